//! A peer in memory: the session runs as a task, and the test speaks lines into it.

use chat_core::session::{self, SessionConfig};
use chat_core::transport::{Transport, memory};
use chat_core::{Hub, JoinError, LeaveReason, Member, Name, Roster};
use std::fmt::Display;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// How long anything may take that should take no time, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// What a connection holds in each direction unless a test says otherwise.
pub const CAPACITY: usize = 64 * 1024;

/// What a session comes to.
pub type Ended = Result<LeaveReason, JoinError>;

/// A member of this chosen name.
pub fn join(hub: &Hub, name: &str) -> Member {
    let name = name
        .parse()
        .expect("the tests choose names that are in order");
    hub.join(name).expect("the name is free and the hub open")
}

/// A member of this chosen name, with everybody who is here.
pub fn join_with_roster(hub: &Hub, name: &str) -> (Member, Roster) {
    let name = name
        .parse()
        .expect("the tests choose names that are in order");
    let joined = hub.join_with_roster(name, usize::MAX);
    joined.expect("the name is free and the hub open")
}

/// Gives a member this chosen name.
pub fn rename(member: &Member, name: &str) {
    let name = name
        .parse()
        .expect("the tests choose names that are in order");
    let renamed = member.hub().rename(member.id(), name);
    renamed.expect("it is here and the name free");
}

/// The other end of a session over [`memory::pair`]. Everything it waits for has a deadline and
/// fails the test when that is over.
#[derive(Debug)]
pub struct Peer {
    stream: DuplexStream,
    /// Bytes that came behind the last line.
    heard: Vec<u8>,
    deadline: Duration,
    session: JoinHandle<Ended>,
}

impl Peer {
    /// A peer of this assigned name, under the default configuration.
    pub fn connect(hub: &Hub, name: &str) -> Self {
        Self::connect_with(hub, name, &SessionConfig::default(), CAPACITY)
    }

    /// A peer over a connection that holds `capacity` bytes in each direction.
    pub fn connect_with(hub: &Hub, name: &str, config: &SessionConfig, capacity: usize) -> Self {
        let (transport, stream) = memory::pair(capacity);
        Self {
            stream,
            heard: Vec::new(),
            deadline: DEADLINE,
            session: spawn(hub, name, transport, config),
        }
    }

    /// [`connect`](Self::connect), and has read the line that greets it.
    pub async fn greeted(hub: &Hub, name: &str) -> Self {
        let mut peer = Self::connect(hub, name);
        peer.expect(&format!("You are {name}")).await;
        peer
    }

    /// The same peer, which waits for up to so long; for paused clocks, where waiting is free.
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends a line.
    pub async fn say(&mut self, line: &str) {
        self.send(&format!("{line}\n")).await;
    }

    /// Sends these bytes and no more.
    pub async fn send(&mut self, bytes: &str) {
        let sent = self.stream.write_all(bytes.as_bytes());
        let sent = timely(self.deadline, "sending", sent).await;
        sent.expect("the session takes what is sent");
    }

    /// Says that it will send no more, and goes on reading.
    pub async fn finish(&mut self) {
        let shut = self.stream.shutdown().await;
        shut.expect("a connection in memory can be shut down");
    }

    /// The next line of what was taken from the connection, without its end.
    pub fn heard_line(&mut self) -> Option<String> {
        let end = self.heard.iter().position(|byte| *byte == b'\n')?;
        let rest = self.heard.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.heard, rest);
        line.pop();
        Some(String::from_utf8(line).expect("a line is UTF-8"))
    }

    /// Whether what was taken from the connection ends within a line.
    pub fn has_part_of_a_line(&self) -> bool {
        self.heard.last().is_some_and(|byte| *byte != b'\n')
    }

    /// The next line, without its end; `None` if nothing more comes.
    pub async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.heard_line() {
                return Some(line);
            }
            if self.listen(4096).await == 0 {
                assert!(self.heard.is_empty(), "half a line: {:?}", self.heard);
                return None;
            }
        }
    }

    /// The next line.
    pub async fn line(&mut self) -> String {
        let line = self.next_line().await;
        line.expect("there is another line")
    }

    /// Asserts what the next line is.
    pub async fn expect(&mut self, line: &str) {
        assert_eq!(self.next_line().await.as_deref(), Some(line));
    }

    /// The lines until this one, which comes last.
    pub async fn until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            match self.next_line().await {
                Some(line) => lines.push(line),
                None => panic!("never came: {last:?}, but: {lines:#?}"),
            }
        }
        lines
    }

    /// All lines until the connection says that nothing more will come.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.next_line().await {
            lines.push(line);
        }
        lines
    }

    /// Takes what is there, at most so many bytes, and gives how many; 0 at the end.
    pub async fn listen(&mut self, at_most: usize) -> usize {
        let mut piece = vec![0; at_most];
        let read = timely(self.deadline, "reading", self.stream.read(&mut piece)).await;
        let read = read.expect("a connection in memory can be read");
        self.heard.extend_from_slice(&piece[..read]);
        read
    }

    /// Whether its session has ended.
    pub fn is_over(&self) -> bool {
        self.session.is_finished()
    }

    /// Why its session ended, keeping the connection until then.
    pub async fn ended(mut self) -> LeaveReason {
        let ended = timely(self.deadline, "ending", &mut self.session).await;
        let ended = ended.expect("the session does not panic");
        ended.expect("it was let in")
    }

    /// Breaks the connection, and gives why the session ended.
    pub async fn hang_up(self) -> LeaveReason {
        drop(self.stream);
        let ended = timely(self.deadline, "ending", self.session).await;
        let ended = ended.expect("the session does not panic");
        ended.expect("it was let in")
    }
}

/// What one member said to a peer, and how much of it the peer was told, in text.
#[derive(Debug, Default)]
pub struct Transcript {
    said: Vec<String>,
    /// How many of them the peer was given or told that it missed.
    told: usize,
    skipped: usize,
    gaps: usize,
}

impl Transcript {
    /// Publishes a text, which the peer is to hear of.
    pub fn say(&mut self, member: &Member, text: &str) {
        let name = member.name().expect("it is here");
        member
            .publish(text)
            .expect("it is here and the text in order");
        self.said.push(format!("{name}: {text}"));
    }

    /// The peer is to hear of this line, too, which comes next in the log.
    pub fn expect(&mut self, line: &str) {
        self.said.push(line.into());
    }

    /// Takes down the peer's next line: the very next that was said, whole, or a notice of how
    /// many are missing.
    pub fn hear(&mut self, line: &str) {
        let Some(notice) = line.strip_prefix("* ") else {
            assert_eq!(Some(line), self.said.get(self.told).map(String::as_str));
            self.told += 1;
            return;
        };
        let skipped = notice
            .strip_suffix(" messages skipped")
            .map(str::parse::<usize>);
        let Some(Ok(skipped)) = skipped else {
            panic!("{line:?} is no line and no gap");
        };
        assert!(skipped > 0, "a gap of nothing");
        self.told += skipped;
        self.skipped += skipped;
        self.gaps += 1;
    }

    /// How many lines were said.
    pub fn said(&self) -> usize {
        self.said.len()
    }

    /// How many of them the peer has not heard of.
    pub fn untold(&self) -> usize {
        let untold = self.said.len().checked_sub(self.told);
        untold.expect("no more are missing than were said")
    }

    /// How many of them it was told that it missed.
    pub fn skipped(&self) -> u64 {
        self.skipped as u64
    }

    /// In how many notices.
    pub fn gaps(&self) -> u64 {
        self.gaps as u64
    }
}

/// Runs a session as a task.
pub fn spawn(
    hub: &Hub,
    name: &str,
    transport: impl Transport,
    config: &SessionConfig,
) -> JoinHandle<Ended> {
    let name = Name::assigned(name).expect("the tests assign names that are in order");
    let (hub, config) = (hub.clone(), config.clone());
    tokio::spawn(session::run(&hub, name, transport, &config))
}

/// What a future comes to, which must be in time.
pub async fn timely<T>(
    deadline: Duration,
    what: impl Display,
    future: impl Future<Output = T>,
) -> T {
    match tokio::time::timeout(deadline, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {deadline:?}"),
    }
}

/// Waits until no task can do any more. Only for a paused clock, which does not move as long as
/// one can; it moves by a millisecond.
pub async fn all_idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
