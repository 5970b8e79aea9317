//! Tables of medians.

use crate::linux::budgets::{BUDGETS, Bound, Budget};
use crate::linux::record::{Figure, Run};
use crate::linux::servers::Program;

struct Table {
    title: &'static str,
    scenarios: &'static [&'static str],
    columns: &'static [Column],
}

enum Column {
    Is(Figure),
    /// The ratio to the floor.
    OverFloor(Figure),
}

use Column::{Is, OverFloor};

const PUBLISHING: &[Column] = &[
    Is(Figure::DeliveriesPerSecond),
    Is(Figure::ServerMicros),
    OverFloor(Figure::ServerMicros),
    Is(Figure::P50Micros),
    Is(Figure::P99Micros),
    Is(Figure::Lost),
];

const TABLES: &[Table] = &[
    Table {
        title: "Saturated: window 256, 32 B",
        scenarios: &["fan10", "fan100", "fan1000", "fan5000"],
        columns: PUBLISHING,
    },
    Table {
        title: "Unbatched (window 1; 50/s), and 1,000/s; 1,000 members, 32 B",
        scenarios: &["ping1000", "lat1000", "rate1000"],
        columns: PUBLISHING,
    },
    Table {
        title: "10,000 members join, and are idle",
        scenarios: &["idle10k"],
        columns: &[Is(Figure::BytesPerPeer), Is(Figure::PeersPerSecond)],
    },
    Table {
        title: "5 of 100 members never read: 60,000 payloads of 400 B, window 256",
        scenarios: &["stuck"],
        columns: &[
            Is(Figure::Lost),
            Is(Figure::LongestPauseMillis),
            Is(Figure::GrowthMib),
            Is(Figure::DeliveriesPerSecond),
            Is(Figure::ServerMicros),
        ],
    },
    Table {
        title: "Connect, receive the greeting, leave: 32 at a time, announced to 100 members",
        scenarios: &["churn"],
        columns: &[Is(Figure::CyclesPerSecond), Is(Figure::ServerMicros)],
    },
    Table {
        title: "Unlimited: as fast as the server reads, 1,000 members, 32 B",
        scenarios: &["flood"],
        // No latencies: they would mostly be time in the publisher's socket. The readers are at
        // their limit when they use a whole core.
        columns: &[
            Is(Figure::DeliveriesPerSecond),
            Is(Figure::ServerMicros),
            OverFloor(Figure::ServerMicros),
            Is(Figure::ServerCores),
            Is(Figure::GeneratorCores),
            Is(Figure::Lost),
        ],
    },
    Table {
        title: "The same, while ten members in turn pause reading for 2 s",
        scenarios: &["turns"],
        columns: &[
            Is(Figure::RateWithout),
            Is(Figure::RateWith),
            Is(Figure::RateKept),
            Is(Figure::Lost),
            Is(Figure::LostAtTimes),
        ],
    },
    Table {
        title: "By members: window 256, 32 B",
        scenarios: &["members"],
        columns: PUBLISHING,
    },
    Table {
        title: "By payload: window 256, 1,000 members",
        scenarios: &["payload"],
        columns: PUBLISHING,
    },
    Table {
        title: "By publishers: window 256, 1,000 members, 32 B",
        scenarios: &["publishers"],
        columns: PUBLISHING,
    },
    Table {
        title: "100 members that read, and others that never do: window 256, and 1,000/s; 400 B",
        scenarios: &["deaf", "deaf-rate"],
        columns: PUBLISHING,
    },
];

/// Prints each table that has runs.
pub(crate) fn print(runs: &[Run]) {
    for table in TABLES {
        let is_in = |run: &&Run| table.scenarios.contains(&run.scenario);
        let mut rows: Vec<Row<'_>> = Vec::new();
        for run in runs.iter().filter(is_in) {
            let row = Row { runs, of: run };
            if !rows.iter().any(|other| other.is_about(run)) {
                rows.push(row);
            }
        }
        if !rows.is_empty() {
            table.print(&rows);
        }
    }
}

impl Table {
    fn print(&self, rows: &[Row<'_>]) {
        let has_budget = |row: &Row<'_>| !row.budgets().is_empty();
        let with_budgets = rows.iter().any(has_budget);
        let mut head = vec!["scenario".to_owned(), "server".to_owned()];
        head.extend(self.columns.iter().map(|column| match column {
            Is(figure) => figure.title().to_owned(),
            OverFloor(_) => "× floor".to_owned(),
        }));
        if with_budgets {
            head.push("budget".to_owned());
        }
        println!("\n### {}\n", self.title);
        println!("| {} |", head.join(" | "));
        println!("|{}", "---|".repeat(head.len()));
        for row in rows {
            let mut cells = vec![row.of.label(), row.server()];
            cells.extend(self.columns.iter().map(|column| {
                match *column {
                    Is(figure) => row.median(figure).map(|value| figure.show(value)),
                    OverFloor(figure) => row.times(figure, Program::Floor).map(short),
                }
                .unwrap_or("–".to_owned())
            }));
            if with_budgets {
                cells.push(row.budgets());
            }
            println!("| {} |", cells.join(" | "));
        }
    }
}

/// The runs of one scenario against one server; `of` is one of them.
struct Row<'a> {
    runs: &'a [Run],
    of: &'a Run,
}

impl<'a> Row<'a> {
    fn is_about(&self, run: &Run) -> bool {
        self.of.server == run.server && is_same_scenario(self.of, run)
    }

    fn server(&self) -> String {
        let run = self.of;
        let mut text = match run.server {
            ours if ours == Program::ChatServer.name() => format!("**{ours}**"),
            other => other.to_owned(),
        };
        let mine = || self.runs.iter().filter(|run| self.is_about(run));
        if let Some(error) = mine().find_map(|run| run.error.as_ref()) {
            text += &format!(" ({error})");
        } else if mine().all(|run| run.noisy) {
            text += " (noisy)";
        }
        text
    }

    /// Runs with figures, without noisy ones if quiet ones exist.
    fn good(&self) -> Vec<&'a Run> {
        let mine = self.runs.iter().filter(|run| self.is_about(run));
        let whole: Vec<_> = mine.filter(|run| run.error.is_none()).collect();
        let quiet: Vec<_> = whole.iter().copied().filter(|run| !run.noisy).collect();
        if quiet.is_empty() { whole } else { quiet }
    }

    fn median(&self, figure: Figure) -> Option<f64> {
        let good = self.good();
        median(
            good.iter()
                .filter_map(|run| run.figures.get(&figure))
                .copied(),
        )
    }

    /// The median ratio to the other server, taken within each run number.
    fn times(&self, figure: Figure, other: Program) -> Option<f64> {
        let is_same_run = |run: &Run, beside: &Run| {
            let is_other = beside.server == other.name() && beside.error.is_none();
            is_other && beside.run == run.run && is_same_scenario(beside, run)
        };
        let ratio = |run: &&Run| {
            let beside = self.runs.iter().find(|beside| is_same_run(run, beside))?;
            Some(run.figures.get(&figure)? / beside.figures.get(&figure)?)
        };
        median(self.good().iter().filter_map(ratio))
    }

    /// The budgets of our server in this scenario, and whether they are met.
    fn budgets(&self) -> String {
        if self.of.server != Program::ChatServer.name() {
            return String::new();
        }
        let here = |budget: &&Budget| budget.scenarios.contains(&self.of.scenario);
        let judge = |budget: &Budget| {
            let value = match budget.times {
                Some(other) => self.times(budget.figure, other),
                None => self.median(budget.figure),
            }?;
            let show = |value| match budget.times {
                Some(_) => short(value),
                None => budget.figure.show(value),
            };
            let (bound, is_met) = match budget.bound {
                Bound::AtMost(bound) => (format!("≤ {}", show(bound)), value <= bound),
                Bound::AtLeast(bound) => (format!("≥ {}", show(bound)), value >= bound),
            };
            let times = budget
                .times
                .map_or(String::new(), |other| format!(" × {other}"));
            let verdict = if is_met { "met" } else { "**missed**" };
            let title = budget.figure.title();
            Some(format!(
                "{title} {bound}{times}: {}, {verdict}",
                show(value)
            ))
        };
        let judged: Vec<_> = BUDGETS.iter().filter(here).filter_map(judge).collect();
        judged.join("; ")
    }
}

impl Figure {
    /// The heading of its column, in the unit of [`show`](Self::show).
    fn title(self) -> &'static str {
        match self {
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::ServerMicros => "CPU µs",
            Self::ServerCores => "server cores",
            Self::GeneratorCores => "readers' cores",
            Self::P50Micros => "p50 ms",
            Self::P99Micros => "p99 ms",
            Self::Lost => "lost",
            Self::LostAtTimes => "lost by the ten",
            Self::LongestPauseMillis => "longest pause ms",
            Self::GrowthMib => "memory growth MiB",
            Self::BytesPerPeer => "bytes/peer",
            Self::PeersPerSecond => "peers/s",
            Self::CyclesPerSecond => "cycles/s",
            Self::RateWithout => "deliveries/s without pauses",
            Self::RateWith => "with pauses",
            Self::RateKept => "ratio",
            _ => "",
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::P50Micros | Self::P99Micros => short(value / 1e3),
            _ => short(value),
        }
    }
}

fn is_same_scenario(one: &Run, other: &Run) -> bool {
    let key = |run: &Run| (run.scenario, run.members, run.payload, run.publishers);
    key(one) == key(other)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// Three significant digits: the measurement is no more precise.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        1e6.. => (value / 1e6, " M"),
        1e4.. => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match value {
        0.0 => 0,
        ..0.1 => 4,
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}{unit}")
}
