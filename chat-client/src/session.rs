//! One conversation: connects, takes the name, then lets both directions run to their end.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use crate::args::{Args, Target};
use crate::complain;
use crate::display::Output;
use crate::error::Error;
use crate::events::{self, Event, Outgoing};
use crate::linger::Linger;
use crate::naming::{Naming, Outcome};

/// Events that may wait. Few: when stdout is slow, the server is to notice it.
const WAITING: usize = 4;
/// How long stdin is held for a server that may not know what a name is.
const ANSWER: Duration = Duration::from_secs(5);

/// Talks to `target` until one side ends it.
pub(crate) fn run(args: &Args, target: &Target) -> Result<(), Error> {
    let stream = connect(target).map_err(|reason| Error::Connect {
        target: target.clone(),
        reason,
    })?;
    let stream = Arc::new(stream);
    let outgoing = Arc::new(Outgoing::new(Arc::clone(&stream)));
    let (sender, events) = mpsc::sync_channel(WAITING);
    let mut session = Session {
        target,
        outgoing,
        sender,
        events,
        output: if args.send_only {
            Output::Nowhere
        } else {
            Output::stdout()
        },
        reads_stdin: !args.recv_only,
        naming: None,
        linger: Linger::new(args.linger),
    };
    if !args.send_only {
        events::watch_stdout(session.sender.clone());
    }
    events::receive(stream, session.sender.clone());
    match &args.name {
        Some(name) => session.ask_for(name),
        None => session.start_sending(),
    }
    session.talk()
}

/// Tries each address that the name has.
fn connect(target: &Target) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((target.host.as_str(), target.port))?;
    // A typed line is to be sent at once.
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Session<'a> {
    target: &'a Target,
    outgoing: Arc<Outgoing>,
    /// For threads that are yet to start.
    sender: SyncSender<Event>,
    events: Receiver<Event>,
    output: Output,
    reads_stdin: bool,
    /// While it waits for an answer, and until when at most.
    naming: Option<(Naming, Instant)>,
    linger: Linger,
}

impl Session<'_> {
    fn talk(&mut self) -> Result<(), Error> {
        loop {
            match self.next() {
                Some(Event::Received(bytes)) => self.received(&bytes)?,
                Some(Event::ServerClosed) => return self.closed(),
                Some(Event::ServerLost(reason)) => {
                    self.show_rest()?;
                    return Err(self.lost(reason));
                }
                Some(Event::InputEnded) => self.linger.input_ended(Instant::now()),
                Some(Event::InputFailed(reason)) => return Err(Error::Input(reason)),
                Some(Event::OutputClosed) => return Ok(()),
                None if self.naming.is_some() => self.settle(&Outcome::Unknown)?,
                None => return self.show_rest(),
            }
        }
    }

    /// The next event, or none at the time limit that applies now.
    fn next(&self) -> Option<Event> {
        const OPEN: &str = "this session holds a sender of its own channel";
        let deadline = match &self.naming {
            Some((_, deadline)) => Some(*deadline),
            None => self.linger.deadline(),
        };
        let Some(deadline) = deadline else {
            return Some(self.events.recv().expect(OPEN));
        };
        // Looked at first: a server that never stops talking does not put it off.
        let wait = deadline.checked_duration_since(Instant::now())?;
        match self.events.recv_timeout(wait) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => unreachable!("{OPEN}"),
        }
    }

    fn ask_for(&mut self, name: &str) {
        // If this fails, the receiving thread learns why.
        self.outgoing.send(format!("/name {name}\n").as_bytes());
        self.naming = Some((Naming::new(name), Instant::now() + ANSWER));
    }

    fn start_sending(&mut self) {
        if self.reads_stdin {
            events::send_stdin(Arc::clone(&self.outgoing), self.sender.clone());
        }
    }

    fn received(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some((naming, _)) = &mut self.naming else {
            self.output.write(bytes).map_err(Error::Output)?;
            self.linger.heard(Instant::now());
            return Ok(());
        };
        let mut shown = Vec::new();
        let outcome = naming.push(bytes, &mut shown);
        self.output.write(&shown).map_err(Error::Output)?;
        match outcome {
            Some(outcome) => self.settle(&outcome),
            None => Ok(()),
        }
    }

    /// The outcome of the naming is known, or will never be.
    fn settle(&mut self, outcome: &Outcome) -> Result<(), Error> {
        match outcome {
            Outcome::Taken => {}
            Outcome::Refused(reason) => {
                self.output.finish().map_err(Error::Output)?;
                return Err(Error::Refused(reason.clone()));
            }
            Outcome::Published => complain("the server does not know /name, going on without"),
            Outcome::Unknown => complain("the server does not answer to /name, going on without"),
        }
        self.show_held()?;
        self.start_sending();
        Ok(())
    }

    fn closed(&mut self) -> Result<(), Error> {
        let unanswered = self.naming.is_some();
        self.show_rest()?;
        if let Some(reason) = self.outgoing.lost() {
            return Err(self.lost(reason));
        }
        if unanswered {
            return Err(Error::Unanswered {
                target: self.target.clone(),
            });
        }
        Ok(())
    }

    fn lost(&self, reason: io::Error) -> Error {
        Error::Lost {
            target: self.target.clone(),
            reason,
        }
    }

    /// Shows what waited for an end of line or of character that will not come.
    fn show_rest(&mut self) -> Result<(), Error> {
        self.show_held()?;
        self.output.finish().map_err(Error::Output)
    }

    fn show_held(&mut self) -> Result<(), Error> {
        match self.naming.take() {
            Some((naming, _)) => self.output.write(&naming.give_up()).map_err(Error::Output),
            None => Ok(()),
        }
    }
}
