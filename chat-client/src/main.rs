//! A netcat-like client of a chat hub: sends the lines of stdin and shows those of all members.

mod args;
mod confirmations;
mod error;
mod input;
mod lines;
mod linger;
mod opening;
mod output;
mod sanitizer;
mod session;
mod threads;
mod wrap;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use signal_hook::{consts::SIGINT, flag};

use crate::args::Args;
use crate::error::{Cause, Failure};

/// The exit code of a program that SIGINT has ended, as shells report it.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run() -> Result<(), Failure> {
    // Exits from the handler itself: nothing is buffered, so there is nothing to clean up.
    flag::register_conditional_shutdown(SIGINT, INTERRUPTED, Arc::new(AtomicBool::new(true)))
        .map_err(Cause::Signal)?;
    let args = Args::parse();
    let target = args.target().unwrap_or_else(|usage| usage.exit());
    session::run(&args, &target)
}
