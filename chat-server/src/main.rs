//! The bundled server.

mod cli;

use chat_core::Hub;
use chat_server::{BindError, TcpListeners, serve};
use cli::args::Args;
use cli::logging;
use std::error::Error;
use std::io::Write;
use std::process::{ExitCode, exit};
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// As a shell reports a program that a signal has ended.
const ENDED_BY_SIGNAL: i32 = 130;

fn main() -> ExitCode {
    match start(Args::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "chat-server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: Args) -> Result<(), Box<dyn Error>> {
    let _logging = logging::start()?;
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
            // At once: what was logged and not read is lost.
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
