//! The growth of costs with the number of members, up to a million, in process and in CPU time.
//!
//! ```text
//! cargo bench -p chat-core --bench growth                          a table, half a minute
//! cargo bench -p chat-core --bench growth -- growth/1000           sizes whose id matches
//! cargo bench -p chat-core --bench growth -- --out growth.jsonl    also as JSON lines
//! cargo bench -p chat-core --bench growth -- --test                each once, as a test
//! ```
//!
//! Figures are per operation or per member, so linear costs appear constant, except for cache
//! misses. Where it matters, members are visited in random order, as in a hub that has run for long.

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

/// 32 bytes, as in the benchmark `hub`.
const TEXT: &str = "abcdefghijklmnopqrstuvwxyz012345";

/// The command line.
struct Options {
    sizes: Vec<usize>,
    test: bool,
    out: Option<String>,
}

impl Options {
    /// Ignores unknown arguments: `cargo bench` passes its arguments to all benchmarks.
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

/// All measurements, in the order of their first occurrence.
#[derive(Default)]
struct Sheet {
    rows: Vec<(String, Vec<(usize, f64)>)>,
    /// The current number of members.
    size: usize,
    /// The minimum number of operations per figure.
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

    /// Adds nanoseconds per operation.
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

    /// Appends each repetition as a line of JSON.
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

/// The CPU time of `work`, without that of reading the clock.
fn spent<T>(work: impl FnOnce() -> T) -> Duration {
    static OVERHEAD: LazyLock<Duration> = LazyLock::new(|| {
        let mut samples = [(); 101].map(|()| ProcessTime::now().elapsed());
        samples.sort();
        samples[samples.len() / 2]
    });

    let overhead = *OVERHEAD;
    let start = ProcessTime::now();
    black_box(work());
    start.elapsed().saturating_sub(overhead)
}

/// A name in the form of an address: such names have no skeleton to compare.
fn name(prefix: &str, number: usize) -> Name {
    Name::assigned(&format!("{prefix}:{number}")).expect("the name is valid")
}

fn join(hub: &Hub, name: Name) -> Member {
    hub.join(name).expect("the name is free and the hub open")
}

/// A hub that announces no arrivals, so that members have no backlog of them.
fn quiet_hub() -> Hub {
    let mut config = HubConfig::default();
    config.announce_up_to = Some(0);
    Hub::new(config)
}

/// Joins `size` members, none of which reads.
fn join_all(hub: &Hub, size: usize) -> Vec<Member> {
    let names = (0..size).map(|number| name("member", number));
    names.map(|name| join(hub, name)).collect()
}

/// Joining, leaving and lookups. No member reads; all arrivals are announced.
fn members(sheet: &mut Sheet) {
    let (size, operations) = (sheet.size, sheet.operations);
    let hub = Hub::new(HubConfig::default());
    let names: Vec<_> = (0..size).map(|number| name("member", number)).collect();
    let mut members = Vec::with_capacity(size);
    let join_all = || members.extend(names.iter().map(|name| Some(join(&hub, name.clone()))));
    sheet.each("join, all", spent(join_all), size);

    // A random order, the same each time.
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
    let join_and_leave = || (0..operations).for_each(|_| drop(join(&hub, one_more.clone())));
    sheet.each("one more, and gone", spent(join_and_leave), operations);

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

    // Fresh names: a caller does not share the allocation of the hub.
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
                hub.publish(ids[*at], TEXT)
                    .expect("the member has not left");
            }
        };
        sheet.each(measure, spent(publish), operations);
    }

    let leave = || order.iter().for_each(|at| members[*at] = None);
    sheet.each("drop, all", spent(leave), size);
}

/// A waker that only counts, so that the hub alone is measured.
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls all members, none of which has an event, so that they register their wakers.
fn wait(members: &mut [Member], waker: &Waker) {
    let mut cx = Context::from_waker(waker);
    for member in members {
        let polled = Pin::new(member).poll_next(&mut cx);
        assert!(polled.is_pending(), "no event is available");
    }
}

/// Members that keep up: they wait, are woken by a line, read it and wait again.
fn waiting(sheet: &mut Sheet) {
    let (size, operations) = (sheet.size, sheet.operations);
    let hub = quiet_hub();
    let writer = join(&hub, name("writer", 0));
    let mut members = join_all(&hub, size);
    let woken = Arc::new(CountingWaker(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let rounds = operations.div_ceil(size);
    let [mut waking, mut taking, mut registering] = [Duration::ZERO; 3];
    // Not measured: the wait lists allocate.
    wait(&mut members, &waker);
    for _ in 0..rounds {
        waking += spent(|| writer.publish(TEXT));
        taking += spent(|| members.iter_mut().all(|member| member.try_recv().is_ok()));
        registering += spent(|| wait(&mut members, &waker));
    }
    let operations = rounds * size;
    let woken = woken.0.load(SeqCst);
    assert_eq!(woken, operations, "each line wakes each member");
    sheet.each("publish, all wait, per member", waking, operations);
    sheet.each("try_recv, each", taking, operations);
    sheet.each("wait, each", registering, operations);
    sheet.each("close, all wait, per member", spent(|| hub.close()), size);
}

/// A task per member, on one thread: from publishing a line until all tasks have received it.
fn tasks(sheet: &mut Sheet) {
    let (size, operations) = (sheet.size, sheet.operations);
    let runtime = Builder::new_current_thread().build();
    let runtime = runtime.expect("the runtime has no drivers");
    let hub = quiet_hub();
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
            writer.publish(TEXT).expect("the member has not left");
            runtime.block_on(all.notified());
        }
    };
    // The first line starts the tasks.
    publish(1);
    let rounds = operations.div_ceil(size);
    let spent = spent(|| publish(rounds));
    sheet.each("a line to so many tasks, each", spent, rounds * size);
}

/// The longest time for which one operation blocks others.
fn stalls(sheet: &mut Sheet) {
    let size = sheet.size;
    let hub = quiet_hub();
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

/// The longest wait of another thread for the lock of the hub during `work`, in wall time.
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
                // Leaves the lock free for the work.
                (0..100).for_each(|_| spin_loop());
            }
            longest
        });
        while !started.load(SeqCst) {
            spin_loop();
        }
        work();
        done.store(true, SeqCst);
        other.join().expect("the thread does not panic")
    })
}

/// Memory per member: the growth of resident memory, where the system reports it.
fn memory(sizes: &[usize], sheet: &mut Sheet) {
    // Kept until the end, so that no hub reuses the memory of another.
    let mut hubs = Vec::new();
    for &size in sizes {
        sheet.size = size;
        let before = resident();
        hubs.push(join_all(&quiet_hub(), size));
        let grown = before.and_then(|before| resident()?.checked_sub(before));
        // Less than this can come from memory that the allocator had reserved.
        if let Some(grown) = grown.filter(|grown| *grown > 128 << 10) {
            sheet.add("memory, each, B".to_owned(), grown as f64 / size as f64);
        }
    }
}

/// The resident memory of the process in bytes.
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
