//! One session: connects, takes the name, then runs both directions to their end.

mod ending;

use std::io::{self, ErrorKind, IsTerminal};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use crate::args::{Args, Target};
use crate::confirmations::Confirmations;
use crate::error::{Cause, Failure};
use crate::input::Slash;
use crate::linger::Linger;
use crate::opening::{Opening, Outcome};
use crate::output::{Output, complain};
use crate::threads::{self, Event, Outgoing};

/// The capacity of the event channel. Small, so that a slow stdout slows the server down.
const EVENTS: usize = 4;
/// The time for an answer to `/name`.
const NAME_ANSWER: Duration = Duration::from_secs(5);
/// The time for a greeting, after which stdin is sent without one.
const GREETING: Duration = Duration::from_secs(2);
/// The time for stdin to end after the reader of stdout has gone, or the server.
const INPUT_END: Duration = Duration::from_secs(1);
/// The number of refusals whose reasons are printed.
const REASONS: u64 = 5;

/// Talks to `target` until one side ends the session.
///
/// # Errors
///
/// [`Failure`] unless the server accepted all lines of stdin and the session ended as requested.
pub(crate) fn run(args: &Args, target: &Target) -> Result<(), Failure> {
    let now = Instant::now();
    let linger = Linger::new(args.linger, now);
    let stream = connect(target, linger.write_timeout()).map_err(|reason| Cause::Connect {
        target: target.clone(),
        reason,
    })?;
    let stream = Arc::new(stream);
    let outgoing = Arc::new(Outgoing::new(Arc::clone(&stream)));
    let (sender, events) = mpsc::sync_channel(EVENTS);
    let (slash, first_slash) = mpsc::channel();
    let mut session = Session {
        target,
        outgoing: Arc::clone(&outgoing),
        events,
        events_stay_open: sender.clone(),
        slash,
        output: if args.send_only {
            Output::nowhere()
        } else {
            Output::stdout()
        },
        input: if args.recv_only {
            Input::None
        } else if io::stdin().is_terminal() {
            Input::Terminal
        } else {
            Input::Stream
        },
        has_begun: false,
        commands: args.commands,
        opening: None,
        confirmations: Confirmations::default(),
        linger,
        abandoned: false,
    };
    if !args.send_only {
        threads::watch_stdout(sender.clone());
    }
    threads::receive(stream, sender.clone());
    if !args.recv_only {
        threads::send_stdin(outgoing, first_slash, sender);
    }
    session.open(args.name.as_deref(), now);
    let result = session.talk();
    if result.is_err() {
        session.output.end_line();
    }
    result
}

/// Tries each address of the name.
fn connect(target: &Target, write_timeout: Option<Duration>) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((target.host.as_str(), target.port))?;
    // A typed line is sent at once.
    stream.set_nodelay(true)?;
    stream.set_write_timeout(write_timeout)?;
    Ok(stream)
}

/// The origin of the lines to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// `--recv-only`
    None,
    /// A person types them.
    Terminal,
    /// A pipe or a file.
    Stream,
}

/// The event that ends a session.
#[derive(Debug)]
enum End {
    /// The server closed in good order.
    Closed,
    Lost(io::Error),
    Stalled,
    /// The time is over, or the reader of stdout is gone.
    Left,
}

struct Session<'a> {
    target: &'a Target,
    outgoing: Arc<Outgoing>,
    events: Receiver<Event>,
    /// Keeps `events` open when all threads have ended.
    #[expect(dead_code, reason = "it is there to be dropped")]
    events_stay_open: SyncSender<Event>,
    /// Releases stdin.
    slash: Sender<Slash>,
    output: Output,
    input: Input,
    /// The first read of stdin has returned.
    has_begun: bool,
    /// `--commands`
    commands: bool,
    /// While stdin waits, and its time limit.
    opening: Option<(Opening, Instant)>,
    confirmations: Confirmations,
    linger: Linger,
    /// The reader of stdout is gone.
    abandoned: bool,
}

impl Session<'_> {
    /// Asks for the name, if there is one, and decides whether stdin waits for the server.
    fn open(&mut self, name: Option<&str>, now: Instant) {
        let limit = if let Some(name) = name {
            self.outgoing.send(&format!("/name {name}\n"));
            NAME_ANSWER
        } else if self.input == Input::Stream && !self.commands {
            GREETING
        } else {
            return self.send_stdin(Slash::Command);
        };
        self.opening = Some((Opening::new(name), now + limit));
    }

    fn talk(&mut self) -> Result<(), Failure> {
        while !self.abandoned || self.input == Input::Stream {
            match self.next() {
                Some(Event::Received(bytes)) => self.received(&bytes)?,
                Some(Event::ServerClosed) => return self.conclude(End::Closed),
                Some(Event::ServerLost(reason)) => return self.conclude(End::Lost(reason)),
                Some(Event::InputFailed(reason)) => {
                    return Err(self.failure(Cause::Input(reason)));
                }
                Some(Event::Stalled(time)) => {
                    if self.linger.is_stalled(time, Instant::now()) {
                        return self.conclude(End::Stalled);
                    }
                }
                Some(Event::OutputClosed) => self.output_closed(),
                Some(Event::InputBegun) => self.has_begun = true,
                Some(Event::InputEnded) => self.linger.input_ended(Instant::now()),
                None if self.opening.is_some() => self.opened(&Outcome::Unknown)?,
                None => return self.conclude(End::Left),
            }
        }
        self.conclude(End::Left)
    }

    /// The next event, or none at the deadline.
    fn next(&self) -> Option<Event> {
        match &self.opening {
            Some((_, deadline)) => self.next_before(Some(*deadline)),
            None => self.next_before(self.linger.deadline()),
        }
    }

    fn next_before(&self, deadline: Option<Instant>) -> Option<Event> {
        const OPEN: &str = "the session holds a sender of its own channel";
        let Some(deadline) = deadline else {
            return Some(self.events.recv().expect(OPEN));
        };
        // First, so that a server that never stops sending does not postpone the deadline.
        let wait = deadline.checked_duration_since(Instant::now())?;
        match self.events.recv_timeout(wait) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("{OPEN}"),
        }
    }

    fn send_stdin(&mut self, slash: Slash) {
        let slash = match slash {
            Slash::Escaped if self.commands || self.input == Input::Terminal => Slash::Command,
            other => other,
        };
        // Fails if no thread reads stdin.
        let _ = self.slash.send(slash);
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.linger.heard(Instant::now());
        let sent = self.outgoing.count();
        let before = self.confirmations.refused();
        let mut refusals = Vec::new();
        self.confirmations.observe(bytes, sent, &mut refusals);
        let Some((opening, _)) = &mut self.opening else {
            self.show(bytes)?;
            self.report(before, &refusals);
            return Ok(());
        };
        let mut shown = Vec::new();
        let outcome = opening.push(bytes, &mut shown);
        if opening.needs_answer() {
            // An empty line takes the name that the server proposes.
            self.outgoing.send("\n");
        }
        self.show(&shown)?;
        match outcome {
            Some(outcome) => self.opened(&outcome),
            None => Ok(()),
        }
    }

    /// Prints the reasons of the first refusals, of which there were `before` already.
    fn report(&mut self, before: u64, refusals: &[String]) {
        if self.output.shows_notices() {
            return;
        }
        for (number, reason) in (before..).zip(refusals) {
            match number {
                ..REASONS => self.warn(reason),
                REASONS => self.warn("further refusals are only counted"),
                _ => return,
            }
        }
    }

    /// The outcome of the opening is known, or will never be.
    fn opened(&mut self, outcome: &Outcome) -> Result<(), Failure> {
        let Some((opening, _)) = &self.opening else {
            return Ok(());
        };
        let slash = opening.slash(outcome);
        let wants_name = opening.wants_name();
        match outcome {
            Outcome::NameRefused(reason) => {
                self.finish_output()?;
                return Err(self.failure(Cause::NameRefused(reason.clone())));
            }
            Outcome::Published => self.warn("the server does not know /name, going on without"),
            Outcome::Unknown if wants_name => {
                self.warn("the server does not answer to /name, going on without");
            }
            Outcome::Joined | Outcome::Unknown => {}
        }
        self.show_held()?;
        self.opening = None;
        if self.abandoned {
            // Before stdin goes on: it can end before this thread does, and the time that was set when the
            // reader of stdout had gone may be over.
            self.linger.shorten(Instant::now(), INPUT_END);
        }
        self.send_stdin(slash);
        Ok(())
    }

    /// The reader of stdout is gone. A typed session ends; the lines of a finished program are
    /// still sent, and are about to end.
    fn output_closed(&mut self) {
        self.output = Output::nowhere();
        self.abandoned = true;
        self.expect_input_end();
    }

    fn expect_input_end(&mut self) {
        if self.abandoned && !self.outgoing.has_ended() {
            self.linger.shorten(Instant::now(), INPUT_END);
        }
    }

    fn show(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.output.write(bytes);
        self.written(written)
    }

    fn finish_output(&mut self) -> Result<(), Failure> {
        let written = self.output.finish();
        self.written(written)
    }

    fn written(&mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.output_closed();
                Ok(())
            }
            Err(error) => Err(self.failure(Cause::Output(error))),
        }
    }

    /// Shows the bytes that the opening holds back.
    fn show_held(&mut self) -> Result<(), Failure> {
        match &mut self.opening {
            Some((opening, _)) => {
                let held = opening.give_up();
                self.show(&held)
            }
            None => Ok(()),
        }
    }

    /// A message that does not end the session.
    fn warn(&mut self, message: &str) {
        self.output.end_line();
        complain(message);
    }
}
