//! The bundled server.

mod cli;

use chat_core::Hub;
use chat_server::{TcpListeners, serve};
use cli::args::Args;
use cli::logging::LogFormat;
use cli::signals::Signals;
use cli::{logging, startup};
use std::error::Error;
use std::io::Write;
use std::process::{ExitCode, exit};
use tokio::runtime::Builder;

/// As a shell reports a program that a signal has ended.
const ENDED_BY_SIGNAL: i32 = 130;

fn main() -> ExitCode {
    let args = Args::read();
    let format = args.log_format;
    let logging = match logging::start(args.log_filter(), format) {
        Ok(logging) => logging,
        Err(error) => return fail(&error),
    };
    let result = start(args);
    match (result, format) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(error), LogFormat::Json) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
        (Err(error), LogFormat::Text) => {
            // After what was logged before.
            drop(logging);
            fail(&*error)
        }
    }
}

fn fail(error: &dyn Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "chat-server: {error}");
    ExitCode::FAILURE
}

fn start(args: Args) -> Result<(), Box<dyn Error>> {
    let threads = args.threads();
    let mut builder = match threads {
        // It has one queue, first come first served. The other runtime has a short one for each
        // thread, and tasks that do not fit in wait for those that do.
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    let runtime = builder.worker_threads(threads).enable_all().build()?;
    // As a task, and not in `block_on`, whose thread is not one of the workers.
    runtime.block_on(async { tokio::spawn(run(args)).await })??;
    Ok(())
}

async fn run(args: Args) -> Result<(), chat_server::BindError> {
    // Before the server says that it listens: from then on a signal means a drain.
    let mut signals = Signals::new();
    let config = args.server_config(startup::raise_descriptor_limit());
    let mut listeners = TcpListeners::default();
    listeners.set_options(args.tcp_options());
    for address in &args.listen {
        listeners.add(address).await?;
    }
    let hub = Hub::new(args.hub_config());
    startup::log(&args, &listeners, hub.config(), &config);
    for address in listeners.addresses() {
        // A server whose stdout is not read serves all the same.
        let _ = writeln!(std::io::stdout(), "listening on {address}");
    }
    let shutdown = {
        let hub = hub.clone();
        async move {
            let signal = signals.next().await;
            tracing::info!(signal, "received a signal");
            // All peers leave at once, so no departure is announced.
            hub.close();
            tokio::spawn(async move {
                signals.next().await;
                // At once: log lines that are not written yet are lost.
                exit(ENDED_BY_SIGNAL);
            });
        }
    };
    serve(listeners, hub, config, shutdown).await;
    Ok(())
}
