//! The cost of the hub in process, compared with tokio's channels, in CPU time.
//!
//! ```text
//! cargo bench -p chat-core                        all benchmarks, some minutes
//! cargo bench -p chat-core -- fan_out/1000        those whose id matches
//! cargo bench -p chat-core -- --test              each once, as a test
//! ```
//!
//! The measure is the CPU time of the process, not wall time: it hardly depends on other load.

use chat_core::session::{self, SessionConfig};
use chat_core::transport::IoTransport;
use chat_core::{Batch, Hub, HubConfig, Member, Name};
use cpu_time::ProcessTime;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::task::yield_now;

/// 32 bytes, as in the server benchmark.
const TEXT: &str = "abcdefghijklmnopqrstuvwxyz012345";

/// The capacity of the channels.
const CAPACITY: usize = 1024;

fn hub() -> Hub {
    Hub::new(HubConfig::default())
}

fn join(hub: &Hub, number: usize) -> Member {
    // With a colon, as in an address: such names have no skeleton to compare.
    let name = Name::assigned(&format!("member:{number}")).expect("the name is valid");
    hub.join(name).expect("the name is free and the hub open")
}

/// CPU time of the process, formatted like wall time.
struct Cpu(WallTime);

impl Measurement for Cpu {
    type Intermediate = ProcessTime;
    type Value = Duration;

    fn start(&self) -> ProcessTime {
        ProcessTime::now()
    }

    fn end(&self, start: ProcessTime) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        self.0.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

/// The cost of a line before any member reads it.
fn publish(c: &mut Criterion<Cpu>) {
    let mut group = c.benchmark_group("publish");
    for stalled in [0, 1000] {
        let hub = hub();
        let writer = join(&hub, 0);
        let _stalled: Vec<_> = (1..=stalled).map(|number| join(&hub, number)).collect();
        group.bench_function(BenchmarkId::new("stalled members", stalled), |b| {
            b.iter(|| writer.publish(black_box(TEXT)));
        });
    }
    let hub = hub();
    let writer = join(&hub, 0);
    group.throughput(Throughput::Elements(64));
    group.bench_function("64 at a time", |b| {
        b.iter(|| hub.publish_many(writer.id(), black_box(&[TEXT; 64])));
    });
    group.finish();
}

/// What a line costs its publisher while all readers wait: sessions are parked, the tasks of members
/// in process are woken one by one. Wall time, because the clocks of CPU time take as long as the
/// call.
fn publish_to_waiting(c: &mut Criterion<Cpu>) {
    let mut group = c.benchmark_group("publish/waiting");
    for readers in [1_000, 10_000] {
        let mut run = |name: &str, start: fn(&Hub, usize)| {
            let runtime = Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime can be made");
            let hub = hub();
            let writer = join(&hub, 0).into_publisher();
            runtime.block_on(async {
                for number in 1..=readers {
                    start(&hub, number);
                }
                while hub.stats().members <= readers {
                    yield_now().await;
                }
                all_read(&hub).await;
            });
            group.bench_function(BenchmarkId::new(name, readers), |b| {
                b.iter_custom(|rounds| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..rounds {
                        runtime.block_on(async {
                            let start = Instant::now();
                            let published = writer.publish(black_box(TEXT));
                            spent += start.elapsed();
                            published.expect("the member has not left");
                            all_read(&hub).await;
                        });
                    }
                    spent
                });
            });
        };
        run("parked sessions", |hub, number| {
            let transport = IoTransport::from_halves(Silent, tokio::io::sink());
            let name = Name::assigned(&format!("member:{number}")).expect("the name is valid");
            let mut config = SessionConfig::default();
            config.idle_timeout = None;
            tokio::spawn(session::run(hub, name, transport, &config));
        });
        run("members", |hub, number| {
            let mut member = join(hub, number);
            tokio::spawn(async move {
                let mut batch = Batch::default();
                while member.recv_many(&mut batch).await > 0 {}
            });
        });
    }
    group.finish();
}

/// The input of a peer that sends nothing.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// Waits until all readers have read everything, and then until they wait again.
async fn all_read(hub: &Hub) {
    let all = hub.read_by_all(hub.position().number).await;
    all.expect("no reader is that slow");
    for _ in 0..3 {
        yield_now().await;
    }
}

/// One member that reads its backlog in one call.
fn read(c: &mut Criterion<Cpu>) {
    let mut group = c.benchmark_group("read");
    for events in [1, 64, 4096] {
        let hub = hub();
        let writer = join(&hub, 0);
        let mut reader = join(&hub, 1);
        let mut batch = Batch::default();
        group.throughput(Throughput::Elements(events));
        group.bench_function(BenchmarkId::from_parameter(events), |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    for _ in 0..events {
                        writer.publish(TEXT).expect("the member has not left");
                    }
                    let start = ProcessTime::now();
                    while let Ok(items) = reader.try_recv_many(&mut batch) {
                        black_box(items);
                    }
                    spent += start.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

/// A member joins and leaves, among others.
fn join_and_leave(c: &mut Criterion<Cpu>) {
    let mut group = c.benchmark_group("join and leave");
    for members in [10, 1_000, 100_000] {
        let hub = hub();
        let _members: Vec<_> = (1..=members).map(|number| join(&hub, number)).collect();
        group.bench_function(BenchmarkId::from_parameter(members), |b| {
            b.iter(|| drop(join(&hub, 0)));
        });
    }
    group.finish();
}

/// Counts received lines; the receiver that completes a round wakes the sender.
#[derive(Default)]
struct Received {
    count: AtomicU64,
    goal: AtomicU64,
    reached: Notify,
}

impl Received {
    fn add(&self, more: u64) {
        let count = self.count.fetch_add(more, SeqCst) + more;
        if count >= self.goal.load(SeqCst) {
            self.reached.notify_one();
        }
    }

    async fn reach(&self, goal: u64) {
        self.goal.store(goal, SeqCst);
        while self.count.load(SeqCst) < goal {
            self.reached.notified().await;
        }
    }
}

/// The hub or an alternative: sends a burst to the tasks of all receivers.
trait Sender: Send + 'static {
    fn burst(&mut self, lines: u64);
}

struct OurHub(Member);
impl Sender for OurHub {
    fn burst(&mut self, lines: u64) {
        for _ in 0..lines {
            self.0.publish(TEXT).expect("the member has not left");
        }
    }
}

struct Broadcast(broadcast::Sender<Arc<str>>);
impl Sender for Broadcast {
    fn burst(&mut self, lines: u64) {
        for _ in 0..lines {
            self.0.send(TEXT.into()).expect("there are receivers");
        }
    }
}

struct Mpsc(Vec<mpsc::Sender<Arc<str>>>);
impl Sender for Mpsc {
    fn burst(&mut self, lines: u64) {
        for _ in 0..lines {
            let line: Arc<str> = TEXT.into();
            for sender in &self.0 {
                sender.try_send(line.clone()).expect("a burst fits");
            }
        }
    }
}

fn our_hub(runtime: &Runtime, receivers: usize, received: &Arc<Received>) -> OurHub {
    let mut config = HubConfig::default();
    config.announce_up_to = Some(0);
    let hub = Hub::new(config);
    for number in 1..=receivers {
        let (mut member, received) = (join(&hub, number), received.clone());
        runtime.spawn(async move {
            let mut batch = Batch::default();
            while member.recv_many(&mut batch).await > 0 {
                let lines = batch
                    .iter()
                    .map(|delivery| u64::from(black_box(delivery) != CLOSED));
                received.add(lines.sum());
            }
        });
    }
    // The publisher is a member that never reads.
    OurHub(join(&hub, 0))
}

const CLOSED: chat_core::DeliveryRef<'static> =
    chat_core::Delivery::Closed(chat_core::LeaveReason::Closed);

fn tokio_broadcast(runtime: &Runtime, receivers: usize, received: &Arc<Received>) -> Broadcast {
    let (sender, _) = broadcast::channel(CAPACITY);
    for _ in 0..receivers {
        let (mut receiver, received) = (sender.subscribe(), received.clone());
        runtime.spawn(async move {
            while let Ok(line) = receiver.recv().await {
                black_box(line);
                let mut lines = 1;
                while let Ok(line) = receiver.try_recv() {
                    black_box(line);
                    lines += 1;
                }
                received.add(lines);
            }
        });
    }
    Broadcast(sender)
}

fn tokio_mpsc(runtime: &Runtime, receivers: usize, received: &Arc<Received>) -> Mpsc {
    let senders = (0..receivers).map(|_| {
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        let received = received.clone();
        runtime.spawn(async move {
            let mut lines = Vec::new();
            loop {
                let count = receiver.recv_many(&mut lines, 512).await;
                if count == 0 {
                    return;
                }
                lines.drain(..).for_each(|line| drop(black_box(line)));
                received.add(count as u64);
            }
        });
        sender
    });
    Mpsc(senders.collect())
}

/// Receiver tasks on two threads take a burst before the next one is sent.
fn fan_out(c: &mut Criterion<Cpu>) {
    for receivers in [1, 10, 100, 1_000, 10_000] {
        let mut group = c.benchmark_group(format!("fan_out/{receivers}"));
        for lines in [1, 64, 512] {
            group.throughput(Throughput::Elements(lines * receivers as u64));
            let mut run =
                |name: &str, start: fn(&Runtime, usize, &Arc<Received>) -> Box<dyn Sender>| {
                    let runtime = Builder::new_multi_thread()
                        .worker_threads(2)
                        .build()
                        .expect("threads can be started");
                    let received = Arc::new(Received::default());
                    let mut idle = Some(start(&runtime, receivers, &received));
                    let mut goal = 0;
                    group.bench_function(BenchmarkId::new(name, lines), |b| {
                        b.iter_custom(|rounds| {
                            let mut sender = idle.take().expect("put back below");
                            let received = received.clone();
                            // The sender is a task of the runtime, as in a server.
                            let sending = runtime.spawn(async move {
                                let start = ProcessTime::now();
                                for _ in 0..rounds {
                                    goal += lines * receivers as u64;
                                    sender.burst(lines);
                                    received.reach(goal).await;
                                }
                                (start.elapsed(), goal, sender)
                            });
                            let (spent, reached, sender) =
                                runtime.block_on(sending).expect("the task does not panic");
                            goal = reached;
                            idle = Some(sender);
                            spent
                        });
                    });
                };
            run("hub", |r, n, t| Box::new(our_hub(r, n, t)));
            run("broadcast", |r, n, t| Box::new(tokio_broadcast(r, n, t)));
            run("mpsc", |r, n, t| Box::new(tokio_mpsc(r, n, t)));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(Cpu(WallTime))
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = publish, publish_to_waiting, read, join_and_leave, fan_out
}
criterion_main!(benches);
