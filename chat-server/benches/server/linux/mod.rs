//! The command line, and the sequence of runs.

mod broadcast;
mod budgets;
mod connection;
mod drive;
mod floor;
mod generator;
mod machine;
mod record;
mod report;
mod scenarios;
mod servers;
mod tally;
mod wire;
mod workload;

use clap::Parser;
use record::{Figure, Figures, Run};
use scenarios::{SCENARIOS, Scenario, growth};
use servers::Program;
use std::error::Error;
use std::fs::{File, create_dir_all};
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The number of repetitions of a noisy run.
const REPEATS: usize = 2;

/// A server that needs more seconds than this until all members have joined is run once, and not
/// with more members.
const SLOW: f64 = 60.0;

/// Compares chat-server with other servers over loopback: cost per delivery, slow readers
#[derive(Debug, Parser)]
#[command(bin_name = "cargo bench -p chat-server --")]
#[command(after_help = "\
The scenarios are fan10, fan100, fan1000, fan5000, ping1000, lat1000, rate1000, idle10k, stuck,
churn, flood, turns; and growth, which is members, payload, publishers, deaf, deaf-rate.")]
struct Args {
    /// Scenarios to run [default: all but growth]
    #[arg(value_name = "SCENARIO", value_delimiter = ',')]
    scenarios: Vec<String>,

    /// Servers to measure [default: all that are installed]
    #[arg(long, value_name = "SERVER", value_delimiter = ',')]
    servers: Vec<Program>,

    /// Fresh servers for each scenario
    #[arg(long, value_name = "N", default_value_t = 3)]
    runs: usize,

    /// Flags for chat-server, such as '--threads 2'
    #[arg(
        long,
        value_name = "FLAGS",
        default_value = "",
        allow_hyphen_values = true
    )]
    server_args: String,

    /// Append each run to FILE as a line of JSON [default: bench/server.jsonl in the target
    /// directory, which is overwritten]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Run each scenario once in its shortest form, as a test
    #[arg(long)]
    test: bool,

    /// Passed by Cargo
    #[arg(long, hide = true)]
    bench: bool,

    /// Act as one of the servers
    #[arg(long, hide = true)]
    serve: Option<Program>,
}

/// Parses the command line and runs it.
pub(crate) fn run() -> ExitCode {
    let args = Args::parse();
    let done = match args.serve {
        Some(program) => serve(program).map(|()| true),
        None => measure(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(stderr(), "server bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(program: Program) -> Result<(), Box<dyn Error>> {
    match program {
        Program::Floor => floor::serve()?,
        Program::Broadcast => broadcast::serve()?,
        other => return Err(format!("{other} is a separate program").into()),
    }
    Ok(())
}

/// Runs the scenarios; returns whether all of them succeeded.
fn measure(args: &Args) -> Result<bool, Box<dyn Error>> {
    // The servers inherit the limit.
    rlimit::increase_nofile_limit(u64::MAX)?;
    let scenarios = select_scenarios(args)?;
    let servers = installed_servers(args);
    let mut out = open_records(args)?;
    let mut runs: Vec<Run> = Vec::new();
    let start = Instant::now();
    for scenario in &scenarios {
        for number in 0..if args.test { 1 } else { args.runs } {
            for &program in &servers {
                if is_too_slow(&runs, scenario, program) {
                    continue;
                }
                let run = run_scenario(args, scenario, program, number);
                serde_json::to_writer(&mut out, &run)?;
                out.write_all(b"\n")?;
                print_run(&run);
                runs.push(run);
            }
        }
    }
    if !args.test {
        report::print(&runs);
    }
    println!(
        "\n{} runs in {:.0} s",
        runs.len(),
        start.elapsed().as_secs_f64()
    );
    let mut bad = runs.iter().filter(|run| failed(run, args.test)).peekable();
    let all_good = bad.peek().is_none();
    for run in bad {
        let why = run
            .error
            .as_deref()
            .unwrap_or("lost deliveries to members that read");
        let _ = writeln!(stderr(), "{}, {}: {why}", run.label(), run.server);
    }
    Ok(all_good)
}

fn select_scenarios(args: &Args) -> Result<Vec<Scenario>, Box<dyn Error>> {
    let mut named = args.scenarios.clone();
    if named.is_empty() {
        named.extend(SCENARIOS.map(|scenario| scenario.name.to_owned()));
        if args.test {
            named.push("growth".to_owned());
        }
    }
    let mut chosen = Vec::new();
    for name in &named {
        let all = SCENARIOS.into_iter().chain(growth());
        let is_growth = |scenario: &Scenario| !SCENARIOS.iter().any(|s| s.name == scenario.name);
        let found: Vec<_> = match name.as_str() {
            "growth" => all.filter(is_growth).collect(),
            name => all.filter(|scenario| scenario.name == name).collect(),
        };
        if found.is_empty() {
            return Err(format!("unknown scenario {name}; see --help").into());
        }
        chosen.extend(found);
    }
    if args.test {
        chosen = chosen.into_iter().map(Scenario::shortest).collect();
        // The points of a curve are equal after shortening.
        chosen.dedup_by_key(|scenario| {
            let Scenario {
                name,
                members,
                publishers,
                payload,
                ..
            } = *scenario;
            (name, members, publishers, payload)
        });
    }
    Ok(chosen)
}

fn installed_servers(args: &Args) -> Vec<Program> {
    let wanted: &[Program] = match &args.servers[..] {
        [] if args.test => &Program::ALL[..3],
        [] => &Program::ALL,
        some => some,
    };
    let mut servers = wanted.to_vec();
    servers.retain(|program| {
        let is_installed = program.is_installed();
        if !is_installed {
            println!("{program} is not installed and is skipped");
        }
        is_installed
    });
    servers
}

fn open_records(args: &Args) -> Result<File, Box<dyn Error>> {
    if let Some(path) = &args.out {
        return Ok(File::options().append(true).create(true).open(path)?);
    }
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = temporary.parent().unwrap_or(temporary).join("bench");
    create_dir_all(&directory)?;
    let path = directory.join("server.jsonl");
    println!("writing runs to {}", path.display());
    Ok(File::create(path)?)
}

fn is_too_slow(runs: &[Run], scenario: &Scenario, program: Program) -> bool {
    let is_slow = |run: &Run| {
        let seconds = run.figures.get(&Figure::SetupSeconds);
        run.error.is_some() || seconds.is_some_and(|&seconds| seconds > SLOW)
    };
    runs.iter().any(|run| {
        let same = run.scenario == scenario.name && run.server == program.name();
        same && run.members <= scenario.members && is_slow(run)
    })
}

/// One run, repeated if other processes used the machine; the quietest repetition counts.
fn run_scenario(args: &Args, scenario: &Scenario, program: Program, number: usize) -> Run {
    let flags: Vec<_> = args
        .server_args
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let mut best: Option<Figures> = None;
    let mut error = None;
    let noise = |figures: &Figures| figures.get(&Figure::OtherCores).copied().unwrap_or(0.0);
    for _ in 0..=REPEATS {
        if !args.test {
            machine::wait_for_quiet();
        }
        match attempt(args, scenario, program, &flags) {
            Ok(figures) => {
                let slow = figures
                    .get(&Figure::SetupSeconds)
                    .is_some_and(|&s| s > SLOW);
                let is_best = best
                    .as_ref()
                    .is_none_or(|best| noise(&figures) < noise(best));
                if is_best {
                    best = Some(figures);
                }
                let quiet = best
                    .as_ref()
                    .is_some_and(|best| noise(best) <= machine::NOISE);
                if args.test || slow || quiet {
                    break;
                }
            }
            Err(failure) => {
                error = Some(failure.to_string());
                break;
            }
        }
    }
    let figures = best.unwrap_or_default();
    Run {
        scenario: scenario.name,
        server: program.name(),
        run: number,
        members: scenario.members,
        publishers: scenario.publishers,
        payload: scenario.payload,
        noisy: !args.test && noise(&figures) > machine::NOISE,
        error: error.filter(|_| figures.is_empty()),
        figures,
    }
}

fn attempt(
    args: &Args,
    scenario: &Scenario,
    program: Program,
    flags: &[String],
) -> Result<Figures, Box<dyn Error>> {
    let server = program.start(flags)?;
    if !args.test {
        // Startup is not measured.
        sleep(Duration::from_millis(200));
    }
    Ok(scenario.run(&server)?)
}

/// Prints progress.
fn print_run(run: &Run) {
    let figure = |figure| run.figures.get(&figure).copied();
    let number = run.run + 1;
    print!("{:<10} {:<11} {number}", run.label(), run.server);
    if let Some(error) = &run.error {
        print!("  {error}");
    }
    if let Some(rate) = figure(Figure::DeliveriesPerSecond) {
        print!("  {:.2} M/s", rate / 1e6);
    }
    if let Some(micros) = figure(Figure::ServerMicros) {
        print!("  {micros:.3} µs");
    }
    if let Some(lost) = figure(Figure::Lost).filter(|&lost| lost > 0.0) {
        print!("  {lost} lost");
    }
    println!("{}", if run.noisy { "  noisy" } else { "" });
}

/// Whether the run is a failure: of our server, or in a test. In a test, ours must lose nothing.
fn failed(run: &Run, test: bool) -> bool {
    let ours = run.server == Program::ChatServer.name();
    let lost = run
        .figures
        .get(&Figure::Lost)
        .is_some_and(|&lost| lost > 0.0);
    (run.error.is_some() && (ours || test)) || (test && ours && lost)
}
