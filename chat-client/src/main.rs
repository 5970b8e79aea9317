//! netcat for a chat hub: what is typed goes to the server, what the server sends is shown.

mod args;
mod display;
mod error;
mod events;
mod linger;
mod naming;
mod session;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use signal_hook::{consts::SIGINT, flag};

use crate::args::Args;
use crate::error::Error;

/// What a shell reports for a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(Error::Output(reason)) if reason.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<(), Error> {
    // Exits from the handler itself: nothing is buffered, so there is nothing to clean up.
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::new(AtomicBool::new(true)))
        .map_err(Error::Signal)?;
    let args = Args::parse();
    let target = args.target().unwrap_or_else(|usage| usage.exit());
    session::run(&args, &target)
}

/// One line on stderr. That nobody reads it is no reason to fail, as `eprintln!` would.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "chat-client: {message}");
}
