//! The log on stderr.
//!
//! Events pass a [`Throttle`], which bounds the lines that one place in the program can cause, and then a
//! [`Queue`], which a thread of its own writes: stderr can be a pipe that is not read, and no peer may wait
//! for that.

mod format;
mod queue;
mod throttle;

pub(crate) use format::LogFormat;
use queue::Queue;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use throttle::Throttle;
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError};
use tracing_subscriber::layer::{Filter, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, registry};

/// How long the end of the program waits until the last lines are written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// A filter by level and place, as in `info` or `warn,chat_core=debug`.
pub(crate) fn filter(directives: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(directives)
}

/// Starts logging. Dropping the result writes the last lines, if stderr is read.
pub(crate) fn start(filter: EnvFilter, format: LogFormat) -> io::Result<Logging> {
    let queue = Arc::new(Queue::new(format));
    let throttle = Arc::new(Throttle::default());
    thread::Builder::new().name("log".into()).spawn({
        let (queue, throttle) = (queue.clone(), throttle.clone());
        move || queue.write_all(&throttle)
    })?;
    let writer = queue.clone();
    let layer = fmt::layer()
        .with_writer(move || queue::Line(writer.clone()))
        .with_ansi(format == LogFormat::Text && io::stderr().is_terminal());
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    let shared: Arc<dyn Filter<Registry> + Send + Sync> = throttle.clone();
    registry()
        .with(layer.with_filter(filter.and(shared)))
        .init();
    panic::set_hook(Box::new(log_panic));
    Ok(Logging { queue, throttle })
}

/// The log of the program, while it lasts.
pub(crate) struct Logging {
    queue: Arc<Queue>,
    throttle: Arc<Throttle>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.throttle.summarize(Instant::now(), true);
        self.queue.wait_until_written(LAST_LINES);
    }
}

/// The standard hook would write to stderr in the panicking thread, and several lines.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let literal = payload.downcast_ref::<&str>().copied();
    let message = literal.or(payload.downcast_ref::<String>().map(String::as_str));
    let message = message.unwrap_or("no message");
    let place = panic.location().map(ToString::to_string);
    let place = place.as_deref().unwrap_or("unknown");
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    // Captured if `RUST_BACKTRACE` asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let backtrace = backtrace.to_string();
        tracing::error!(thread, place, panic = message, backtrace, "panicked");
    } else {
        tracing::error!(thread, place, panic = message, "panicked");
    }
}
