//! Models for loom: a few threads that share one hub. loom runs each model in every order in which
//! the threads can reach the hub's locks and atomics, with every value that a load may give. A lost
//! wake-up is a deadlock, which loom reports.
//!
//! ```console
//! $ RUSTFLAGS='--cfg chat_loom' cargo test --release -p chat-core --lib models::
//! ```
//!
//! `--release`, because loom gives a model's first thread a stack of 32 KiB. A model has too many
//! orders to run them all, so each bounds the preemptions: how often a thread is stopped that could
//! have gone on. `LOOM_MAX_PREEMPTIONS=3` sets another bound for all.

pub(crate) mod atomic;
mod hub;
mod leaving;
mod parked_session;
mod parking;
mod session;
mod shutdown;
mod wait_list;

use crate::hub::Hub;
use crate::hub::dispatch::Owner;
use crate::hub::member::Member;
use crate::types::config::HubConfig;
use crate::types::event::{Delivery, Event, LeaveReason};
use loom::model::Builder;
use loom::sync::{Condvar, Mutex};
use loom::thread::spawn;
use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tokio::runtime::Runtime;

/// Runs a model in every order that has at most so many preemptions.
fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    builder.max_branches = 10_000;
    builder.check(model);
}

/// A runtime for timers that never fire. It is never dropped: a model that fails leaves timers in it
/// whose stacks no longer exist.
fn paused_runtime() -> ManuallyDrop<Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    ManuallyDrop::new(runtime.unwrap())
}

/// Wakes the thread that waits for a future.
#[derive(Default)]
struct ThreadWaker {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        Owner::wake(&*self);
    }
}

impl ThreadWaker {
    fn wait(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !*woken {
            woken = self.changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

impl Owner for ThreadWaker {
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

/// Waits for a future, with a new waker for each poll: only the last one has to be woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        let thread = Arc::new(ThreadWaker::default());
        let waker = Waker::from(thread.clone());
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread.wait();
    }
}

thread_local! {
    /// After how many polls a dispatcher is dropped, as by a runtime that shuts down. loom's threads
    /// are all on the thread of the test.
    static DISPATCHER_POLLS: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Runs a dispatcher, which ends with its hub.
pub(crate) fn spawn_dispatcher(dispatcher: impl Future<Output = ()> + Send + 'static) {
    let polls = DISPATCHER_POLLS.get();
    spawn(move || match polls {
        None => block_on(dispatcher),
        Some(polls) => poll_and_drop(dispatcher, polls),
    });
}

/// Polls a future at most so often, without waiting, and drops it.
fn poll_and_drop(future: impl Future, polls: usize) {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        if future.as_mut().poll(&mut cx).is_ready() {
            break;
        }
    }
}

/// A hub with the smallest log there is.
fn hub() -> Hub {
    hub_with(|_| {})
}

fn hub_with(configure: impl FnOnce(&mut HubConfig)) -> Hub {
    let mut config = HubConfig {
        log_bytes: 0,
        max_text: 16,
        ..HubConfig::default()
    };
    configure(&mut config);
    Hub::new(config)
}

fn join(hub: &Hub, name: &str) -> Member {
    hub.join(name.parse().unwrap()).unwrap()
}

/// The items that a member received, from its arrival to its end.
struct Record {
    from: u64,
    events: Vec<Event>,
    reason: LeaveReason,
}

impl Record {
    /// Reads to the end. The numbers must be complete and in order.
    fn of(member: &mut Member) -> Self {
        let (from, mut events) = (member.position().number, Vec::new());
        loop {
            let next = from + events.len() as u64;
            assert_eq!(member.position().number, next);
            match block_on(member.recv()).expect("the end comes only once") {
                Delivery::Event(event) => {
                    assert_eq!(event.seq(), next);
                    events.push(event);
                }
                other @ (Delivery::Gap { .. } | Delivery::Direct(_)) => panic!("{other:?}"),
                Delivery::Closed(reason) => {
                    assert_eq!(block_on(member.recv()), None);
                    return Self {
                        from,
                        events,
                        reason,
                    };
                }
            }
        }
    }

    /// The number before which it ends.
    fn end(&self) -> u64 {
        self.from + self.events.len() as u64
    }

    fn lines(&self) -> Vec<&str> {
        self.events.iter().map(Event::line).collect()
    }

    /// The line of an event, if it was received.
    fn line(&self, seq: u64) -> Option<&str> {
        let at = seq.checked_sub(self.from)?;
        Some(self.events.get(at as usize)?.line())
    }
}
