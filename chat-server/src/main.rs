//! The bundled server.

mod args;

use args::Args;
use chat_core::Hub;
use chat_server::{BindError, TcpListeners, serve};
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::process::{ExitCode, exit};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// As a shell reports a program that a signal has ended.
const ENDED_BY_SIGNAL: i32 = 130;

/// How many lines of the log may wait for who reads it.
const LOG_LINES: usize = 1024;

fn main() -> ExitCode {
    let args = Args::read();
    let log = start_logging();
    let ended = start(args);
    // What is still to be logged comes first.
    drop(log);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "chat-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<(), Box<dyn Error>> {
    let threads = args.threads();
    let mut builder = match threads {
        // One queue, first come first served. The other runtime has a short one for each thread,
        // and who does not fit in waits for those who do.
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads).enable_all().build()?;
    // As a task, and not in `block_on`, whose thread is not one of the workers.
    runtime.block_on(async { tokio::spawn(run(args)).await })??;
    Ok(())
}

async fn run(args: Args) -> Result<(), BindError> {
    // Before anyone is told that it listens: from then on a signal means a drain.
    let mut signals = Signals::new();
    let files = allow_many_files();
    let config = args.server_config(files);
    let mut listeners = TcpListeners::default();
    for address in &args.listen {
        listeners.add(address).await?;
    }
    listeners.set_options(args.tcp_options());
    for address in listeners.addresses() {
        // A server that nobody watches serves all the same.
        let _ = writeln!(std::io::stdout(), "listening on {address}");
    }
    let shutdown = async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            exit(ENDED_BY_SIGNAL);
        });
    };
    let hub = Hub::new(args.hub_config());
    serve(listeners, hub, config, shutdown).await;
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Self {
        let on = |kind| signal(kind).expect("these signals can be caught, in a runtime with I/O");
        Self {
            terminate: on(SignalKind::terminate()),
            interrupt: on(SignalKind::interrupt()),
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Every peer is a descriptor, and the usual soft limit is 1,024.
fn allow_many_files() -> u64 {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => {
            tracing::debug!(limit, "file descriptors");
            limit
        }
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of file descriptors");
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft)
        }
    }
}

/// The log ends when what this gives is dropped. It is written by a thread of its own, and a line
/// for which there is no room is dropped: who does not read the log holds up nobody.
fn start_logging() -> WorkerGuard {
    let (log, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LOG_LINES)
        .finish(std::io::stderr());
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .with_env_var("CHAT_LOG")
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    guard
}
