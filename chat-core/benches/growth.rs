//! How costs grow with the number of members, to a million, in process and in CPU time.
//!
//! ```text
//! cargo bench -p chat-core --bench growth                          a table, half a minute
//! cargo bench -p chat-core --bench growth -- growth/1000           sizes whose id matches
//! cargo bench -p chat-core --bench growth -- --out growth.jsonl    as JSON lines, too
//! cargo bench -p chat-core --bench growth -- --test                each once: does it still run?
//! ```
//!
//! Figures are for one operation or one member, so what is linear in the number of members is
//! level, but for the caches that it outgrows: where it matters, members are gone through in an
//! order that has nothing to do with where they are, as in a hub that has stood for a while.

use chat_core::{Hub, HubConfig, JoinOptions, Member, Name};
use cpu_time::{ProcessTime, ThreadTime};
use std::fs::{File, read_to_string};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::hint::{black_box, spin_loop};
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio_stream::Stream;

/// 32 bytes, as in the other benchmark.
const TEXT: &str = "abcdefghijklmnopqrstuvwxyz012345";

/// What was asked for on the command line.
struct Options {
    sizes: Vec<usize>,
    test: bool,
    out: Option<String>,
}

impl Options {
    /// What it does not know it ignores: `cargo bench` gives its arguments to all benchmarks.
    fn from_args() -> Self {
        let (mut test, mut filter, mut out) = (false, String::new(), None);
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--test" => test = true,
                "--out" => out = args.next(),
                flag if flag.starts_with('-') => {}
                _ => filter = arg,
            }
        }
        let mut sizes = vec![10, 100, 1_000, 10_000, 100_000, 1_000_000];
        sizes.truncate(if test { 1 } else { sizes.len() });
        sizes.retain(|size| format!("growth/{size}").contains(&filter));
        Self { sizes, test, out }
    }
}

/// All that was measured, in the order in which it first was.
#[derive(Default)]
struct Sheet {
    rows: Vec<(String, Vec<(usize, f64)>)>,
    /// How many members there are now.
    size: usize,
    /// How many operations a figure is for, at least.
    operations: usize,
}

impl Sheet {
    fn add(&mut self, measure: String, value: f64) {
        let value = (self.size, value);
        match self.rows.iter_mut().find(|row| row.0 == measure) {
            Some((_, values)) => values.push(value),
            None => self.rows.push((measure, vec![value])),
        }
    }

    /// Nanoseconds for each of so many operations.
    fn each(&mut self, measure: &str, spent: Duration, operations: usize) {
        let each = spent.as_nanos() as f64 / operations as f64;
        self.add(format!("{measure}, ns"), each);
    }

    fn longest(&mut self, measure: &str, longest: Duration) {
        self.add(format!("{measure}, µs"), longest.as_nanos() as f64 / 1e3);
    }

    fn print(&self, sizes: &[usize]) {
        let line = |head, cells: Vec<String>| println!("| {head} | {} |", cells.join(" | "));
        let heads = sizes.iter().map(usize::to_string);
        line("", heads.chain(["1M / 1k".to_owned()]).collect());
        println!("|---|{}", "--:|".repeat(sizes.len() + 1));
        for (measure, values) in &self.rows {
            let [small, large] = [1_000, 1_000_000].map(|size| median(values, size));
            let ratio = small.zip(large).map(|(small, large)| large / small);
            let cells = sizes.iter().map(|size| median(values, *size));
            let cells = cells.chain([ratio]).map(|cell| match cell {
                Some(value) if value < 100.0 => format!("{value:.1}"),
                Some(value) => format!("{value:.0}"),
                None => "-".to_owned(),
            });
            line(measure, cells.collect());
        }
    }

    /// Every repetition, as JSON lines.
    fn append_to(&self, path: &str) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(path)?;
        for (measure, values) in &self.rows {
            for (size, value) in values {
                let figure = format!(r#""members":{size},"value":{value:.1}"#);
                writeln!(file, r#"{{"measure":"{measure}",{figure}}}"#)?;
            }
        }
        Ok(())
    }
}

fn median(values: &[(usize, f64)], size: usize) -> Option<f64> {
    let values = values.iter().filter(|(at, _)| *at == size);
    let mut values: Vec<_> = values.map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The CPU time that something takes, without what it takes to look at the clock.
fn spent<T>(work: impl FnOnce() -> T) -> Duration {
    static LOOK: LazyLock<Duration> = LazyLock::new(|| {
        let mut looks = [(); 101].map(|()| ProcessTime::now().elapsed());
        looks.sort();
        looks[looks.len() / 2]
    });

    let look = *LOOK;
    let start = ProcessTime::now();
    black_box(work());
    start.elapsed().saturating_sub(look)
}

/// A name as addresses are, so that there is no look to compare.
fn name(of: &str, number: usize) -> Name {
    Name::assigned(&format!("{of}:{number}")).expect("a good name")
}

fn join(hub: &Hub, name: Name) -> Member {
    hub.join(name).expect("the name is free and the hub open")
}

/// Nobody hears who comes: else those who wait would first have to read all of that.
fn silent_hub() -> Hub {
    let mut config = HubConfig::default();
    config.announce_up_to = Some(0);
    Hub::new(config)
}

/// So many members, of whom nobody has read yet.
fn join_all(hub: &Hub, size: usize) -> Vec<Member> {
    let names = (0..size).map(|number| name("member", number));
    names.map(|name| join(hub, name)).collect()
}

/// Coming, going and being looked up; nobody reads, everybody is announced.
fn members(sheet: &mut Sheet) {
    let (size, operations) = (sheet.size, sheet.operations);
    let hub = Hub::new(HubConfig::default());
    let names: Vec<_> = (0..size).map(|number| name("member", number)).collect();
    let mut members = Vec::with_capacity(size);
    let come = || members.extend(names.iter().map(|name| Some(join(&hub, name.clone()))));
    sheet.each("join, all", spent(come), size);

    // An order that no cache can guess, the same each time.
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut order: Vec<_> = (0..size).collect();
    order.sort_by_cached_key(|number| hasher.hash_one(number));
    let churn = || {
        for &at in &order {
            members[at] = None;
            members[at] = Some(join(&hub, names[at].clone()));
        }
    };
    sheet.each("leave and come back, all", spent(churn), size);

    let one_more = name("one", 0);
    let come_and_go = || (0..operations).for_each(|_| drop(join(&hub, one_more.clone())));
    sheet.each("one more, and gone", spent(come_and_go), operations);

    let rosters = operations.div_ceil(size);
    let list = || (0..rosters).for_each(|_| drop(black_box(hub.roster(size))));
    sheet.each("roster, per name", spent(list), rosters * size);
    let list = || {
        for _ in 0..rosters {
            let mut options = JoinOptions::new(one_more.clone());
            options.roster = size;
            let joined = hub.join_with(options);
            black_box(joined).expect("the name is free and the hub open");
        }
    };
    sheet.each("join with roster, per name", spent(list), rosters * size);
    let longest = longest_wait(&hub, || drop(hub.roster(size)));
    sheet.longest("longest wait while all are listed", longest);

    // Of their own: who asks does not hold the hub's name.
    let numbers = order.iter().cycle().take(operations);
    let asked: Vec<_> = numbers.map(|number| name("member", *number)).collect();
    let find = || asked.iter().filter_map(|name| hub.find(name)).count();
    sheet.each("find", spent(find), operations);

    let ids: Vec<_> = members.iter().flatten().map(Member::id).collect();
    let new_names: Vec<_> = (0..operations).map(|number| name("new", number)).collect();
    let rename = || {
        for (at, name) in order.iter().cycle().zip(new_names) {
            hub.rename(ids[*at], name).expect("the name is free");
        }
    };
    sheet.each("rename", spent(rename), operations);

    for (measure, writers) in [("publish, by one", 1), ("publish, by any", size)] {
        let publish = || {
            for at in order.iter().take(writers).cycle().take(operations) {
                hub.publish(ids[*at], TEXT).expect("it is here");
            }
        };
        sheet.each(measure, spent(publish), operations);
    }

    let leave = || order.iter().for_each(|at| members[*at] = None);
    sheet.each("drop, all", spent(leave), size);
}

/// Counts, and does nothing else, so what is measured is the hub.
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// All of them look for news, find none, and wait.
fn wait(members: &mut [Member], waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    for member in members {
        let polled = Pin::new(member).poll_next(&mut cx);
        assert!(polled.is_pending(), "there is nothing to take");
    }
}

/// Members that keep up: they wait, are woken by a line, take it and wait again.
fn waiting(sheet: &mut Sheet) {
    let (size, operations) = (sheet.size, sheet.operations);
    let hub = silent_hub();
    let writer = join(&hub, name("writer", 0));
    let mut members = join_all(&hub, size);
    let woken = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let rounds = operations.div_ceil(size);
    let [mut waking, mut taking, mut falling_asleep] = [Duration::ZERO; 3];
    // Once before it counts: it makes room in the lists of those who wait.
    wait(&mut members, &waker);
    for _ in 0..rounds {
        waking += spent(|| writer.publish(TEXT));
        taking += spent(|| {
            members
                .iter_mut()
                .map(Member::try_recv)
                .all(|line| line.is_ok())
        });
        falling_asleep += spent(|| wait(&mut members, &waker));
    }
    let operations = rounds * size;
    assert_eq!(woken.0.load(SeqCst), operations, "each time everybody");
    sheet.each("publish, all wait, per member", waking, operations);
    sheet.each("try_recv, each", taking, operations);
    sheet.each("wait, each", falling_asleep, operations);
    sheet.each("close, all wait, per member", spent(|| hub.close()), size);
}

/// A task for each member, on one thread: from publishing a line to when all have taken it.
fn tasks(sheet: &mut Sheet) {
    let (size, operations) = (sheet.size, sheet.operations);
    let runtime = Builder::new_current_thread().build();
    let runtime = runtime.expect("it needs nothing");
    let hub = silent_hub();
    let (taken, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    for mut member in join_all(&hub, size) {
        let (taken, all) = (taken.clone(), all.clone());
        runtime.spawn(async move {
            while let Some(delivery) = member.recv().await {
                black_box(delivery);
                if (taken.fetch_add(1, SeqCst) + 1) % size == 0 {
                    all.notify_one();
                }
            }
        });
    }
    let writer = join(&hub, name("writer", 0));
    let publish = |lines| {
        for _ in 0..lines {
            writer.publish(TEXT).expect("it is here");
            runtime.block_on(all.notified());
        }
    };
    // The first starts the tasks.
    publish(1);
    let rounds = operations.div_ceil(size);
    let spent = spent(|| publish(rounds));
    sheet.each("a line to so many tasks, each", spent, rounds * size);
}

/// How long one operation keeps the others waiting, at worst.
fn stalls(sheet: &mut Sheet) {
    let size = sheet.size;
    let hub = silent_hub();
    let mut longest = Duration::ZERO;
    let mut members = Vec::with_capacity(size);
    for number in 0..size {
        let name = name("member", number);
        let start = ThreadTime::now();
        members.push(join(&hub, name));
        longest = longest.max(start.elapsed());
    }
    sheet.longest("longest join, CPU time", longest);

    wait(&mut members, Waker::noop());
    let longest = longest_wait(&hub, || hub.close());
    sheet.longest("longest wait while it closes", longest);
}

/// The longest that another thread waits for the hub's lock meanwhile, in wall time.
fn longest_wait(hub: &Hub, work: impl FnOnce()) -> Duration {
    let (started, done) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            while !done.load(SeqCst) {
                let start = Instant::now();
                black_box(hub.position().number);
                longest = longest.max(start.elapsed());
                started.store(true, SeqCst);
                // Else the lock would hardly ever be free for the work.
                (0..100).for_each(|_| spin_loop());
            }
            longest
        });
        while !started.load(SeqCst) {
            spin_loop();
        }
        work();
        done.store(true, SeqCst);
        other.join().expect("it does not panic")
    })
}

/// What a member needs: by how much the process grows, where the system tells.
fn memory(sizes: &[usize], sheet: &mut Sheet) {
    // They stay until the end, so that none is put where another was.
    let mut rooms = Vec::new();
    for &size in sizes {
        sheet.size = size;
        let before = resident();
        rooms.push(join_all(&silent_hub(), size));
        let grown = before.and_then(|before| resident()?.checked_sub(before));
        // Less than that is what the allocator had at hand.
        if let Some(grown) = grown.filter(|grown| *grown > 128 << 10) {
            sheet.add("memory, each, B".to_owned(), grown as f64 / size as f64);
        }
    }
}

/// Bytes of memory that the process has now.
fn resident() -> Option<usize> {
    let status = read_to_string("/proc/self/status").ok()?;
    let (_, rest) = status.split_once("VmRSS:")?;
    let kib: usize = rest.split_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

fn main() -> io::Result<()> {
    let Options { sizes, test, out } = Options::from_args();
    let (repetitions, operations) = if test { (1, 1) } else { (3, 20_000) };
    let mut sheet = Sheet {
        operations,
        ..Sheet::default()
    };
    memory(&sizes, &mut sheet);
    for &size in &sizes {
        sheet.size = size;
        for _ in 0..repetitions {
            members(&mut sheet);
            waiting(&mut sheet);
            tasks(&mut sheet);
            stalls(&mut sheet);
        }
    }
    if !sizes.is_empty() {
        sheet.print(&sizes);
    }
    out.map_or(Ok(()), |path| sheet.append_to(&path))
}
