//! CPU time and memory of processes and of the machine, from `/proc`.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The unit of `/proc/stat`: USER_HZ is 100 on all common Linux platforms.
const TICK_NS: u64 = 10_000_000;

/// A run is noisy if other processes use more cores than this.
pub(crate) const NOISE: f64 = 0.15;

/// CPU time used so far, in ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) server: u64,
    pub(crate) generator: u64,
    /// Of all processes of the machine.
    machine: u64,
    at: Instant,
}

impl Usage {
    pub(crate) fn now(server: u32) -> Self {
        Self {
            server: process_time(server),
            generator: process_time(std::process::id()),
            machine: machine_time(),
            at: Instant::now(),
        }
    }

    /// The CPU time used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Used {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        let cores = |now: u64, then: u64| now.saturating_sub(then) as f64 / 1e9 / seconds;
        let server = cores(self.server, earlier.server);
        let generator = cores(self.generator, earlier.generator);
        Used {
            server_ns: self.server.saturating_sub(earlier.server),
            generator_ns: self.generator.saturating_sub(earlier.generator),
            server_cores: server,
            generator_cores: generator,
            other_cores: (cores(self.machine, earlier.machine) - server - generator).max(0.0),
        }
    }
}

/// CPU time of an interval, in ns and in cores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) server_ns: u64,
    pub(crate) generator_ns: u64,
    pub(crate) server_cores: f64,
    pub(crate) generator_cores: f64,
    pub(crate) other_cores: f64,
}

/// Waits until the machine is idle, for at most 5 s.
pub(crate) fn wait_for_quiet() {
    const SAMPLE: Duration = Duration::from_millis(300);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        let before = machine_time();
        sleep(SAMPLE);
        let used = machine_time().saturating_sub(before);
        if (used as f64) < NOISE * SAMPLE.as_nanos() as f64 {
            return;
        }
    }
}

/// The resident memory of the process, in KiB.
pub(crate) fn resident(process: u32) -> u64 {
    status(process, "VmRSS:")
}

/// The peak resident memory of the process, in KiB.
pub(crate) fn most_resident(process: u32) -> u64 {
    status(process, "VmHWM:")
}

/// CPU time of all threads in ns, except ended ones; no measured server ends threads.
fn process_time(process: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return 0;
    };
    let time = |path| fs::read_to_string(path).ok().and_then(|text| first(&text));
    let paths = threads
        .flatten()
        .map(|thread| thread.path().join("schedstat"));
    paths.filter_map(time).sum()
}

/// CPU time of all processes in ns, without steal time.
fn machine_time() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq
    let fields = line.split_whitespace().skip(1).take(7).enumerate();
    let busy = fields.filter(|(field, _)| !matches!(field, 3 | 4));
    let ticks: u64 = busy
        .filter_map(|(_, ticks)| ticks.parse::<u64>().ok())
        .sum();
    ticks * TICK_NS
}

fn status(process: u32, key: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value.and_then(first).unwrap_or(0)
}

fn first(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
