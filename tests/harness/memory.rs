//! Peers in memory: the session runs as a task, and the test sends and receives lines.

use crate::within;
use async_trait::async_trait;
use chat_core::session::{self, Naming, SessionConfig};
use chat_core::transport::{DeliverHalf, Feed, Transport, memory};
use chat_core::{
    Hub, HubConfig, JoinError, JoinOptions, LeaveReason, Member, Name, Position, Roster,
};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

/// The deadline of operations that should complete at once, on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The default capacity of a connection, in bytes per direction.
pub const CAPACITY: usize = 64 * 1024;

/// The result of a session.
pub type Ended = Result<LeaveReason, JoinError>;

/// A hub with the default configuration.
pub fn hub() -> Hub {
    Hub::new(HubConfig::default())
}

/// The configuration of a session that asks its peer for a name.
pub fn asking() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.naming = Naming::Ask;
    config
}

fn chosen(name: &str) -> Name {
    name.parse().expect("the names of the tests are valid")
}

/// A new member with this chosen name.
pub fn join(hub: &Hub, name: &str) -> Member {
    hub.join(chosen(name))
        .expect("the name is free and the hub is open")
}

/// A hub whose first event gets this number.
pub fn hub_starting_at(mut config: HubConfig, number: u64) -> Hub {
    config.first = Some(Position { epoch: 1, number });
    Hub::new(config)
}

/// A new member with this name, and the names of at most `limit` members.
pub fn join_with_limit(hub: &Hub, name: Name, limit: usize) -> Result<(Member, Roster), JoinError> {
    let mut options = JoinOptions::new(name);
    options.roster = limit;
    let joined = hub.join_with(options)?;
    Ok((joined.member, joined.roster))
}

/// A new member with this chosen name, and the whole roster.
pub fn join_with_roster(hub: &Hub, name: &str) -> (Member, Roster) {
    let joined = join_with_limit(hub, chosen(name), usize::MAX);
    joined.expect("the name is free and the hub is open")
}

/// Renames a member to this chosen name.
pub fn rename(member: &Member, name: &str) {
    let renamed = member.hub().rename(member.id(), chosen(name));
    renamed.expect("the member is present and the name is free");
}

/// The delivering half of a transport, which discards everything.
#[derive(Debug)]
pub struct DiscardingWriter;

#[async_trait]
impl DeliverHalf for DiscardingWriter {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        feed.take();
        Ok(())
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}

/// The peer of a session over [`memory::pair`]. Every wait has a deadline that fails the test.
#[derive(Debug)]
pub struct Peer {
    stream: DuplexStream,
    /// Received bytes after the last returned line.
    buffered: Vec<u8>,
    deadline: Duration,
    session: JoinHandle<Ended>,
}

impl Peer {
    /// A peer with this assigned name and the default configuration.
    pub fn connect(hub: &Hub, name: &str) -> Self {
        Self::connect_with(hub, name, &SessionConfig::default(), CAPACITY)
    }

    /// A peer over a connection with a capacity of `capacity` bytes per direction.
    pub fn connect_with(hub: &Hub, name: &str, config: &SessionConfig, capacity: usize) -> Self {
        let (transport, stream) = memory::pair(capacity);
        Self {
            stream,
            buffered: Vec::new(),
            deadline: DEADLINE,
            session: spawn(hub, name, transport, config),
        }
    }

    /// Like [`connect`](Self::connect), with the greeting already read.
    pub async fn greeted(hub: &Hub, name: &str) -> Self {
        let mut peer = Self::connect(hub, name);
        peer.expect_line(&format!("You are {name}")).await;
        peer
    }

    /// The same peer with another deadline, for tests with a paused clock.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Sends a line.
    pub async fn send_line(&mut self, line: &str) {
        self.send(&format!("{line}\n")).await;
    }

    /// Sends bytes without a line ending.
    pub async fn send(&mut self, bytes: &str) {
        let sent = self.stream.write_all(bytes.as_bytes());
        let sent = within(self.deadline, "sending", sent).await;
        sent.expect("the session reads the input");
    }

    /// Shuts down the sending side and keeps the receiving side open.
    pub async fn half_close(&mut self) {
        let shut = self.stream.shutdown().await;
        shut.expect("a connection in memory can be shut down");
    }

    /// The next line of the received bytes, without its ending.
    pub fn buffered_line(&mut self) -> Option<String> {
        let end = self.buffered.iter().position(|byte| *byte == b'\n')?;
        let rest = self.buffered.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.buffered, rest);
        line.pop();
        Some(String::from_utf8(line).expect("a line is UTF-8"))
    }

    /// Whether the received bytes end within a line.
    pub fn has_partial_line(&self) -> bool {
        self.buffered.last().is_some_and(|byte| *byte != b'\n')
    }

    /// The next line without its ending; `None` at the end of the stream.
    pub async fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.buffered_line() {
                return Some(line);
            }
            if self.receive(4096).await == 0 {
                assert!(
                    self.buffered.is_empty(),
                    "partial line at the end: {:?}",
                    self.buffered
                );
                return None;
            }
        }
    }

    /// The next line.
    pub async fn line(&mut self) -> String {
        let line = self.next_line().await;
        line.expect("the stream has another line")
    }

    /// Asserts the next line.
    pub async fn expect_line(&mut self, line: &str) {
        assert_eq!(self.next_line().await.as_deref(), Some(line));
    }

    /// The lines up to and including this one.
    pub async fn lines_until(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            match self.next_line().await {
                Some(line) => lines.push(line),
                None => panic!("{last:?} is missing in {lines:#?}"),
            }
        }
        lines
    }

    /// All lines up to the end of the stream.
    pub async fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(line) = self.next_line().await {
            lines.push(line);
        }
        lines
    }

    /// Receives at most `at_most` bytes and returns their number; 0 at the end of the stream.
    pub async fn receive(&mut self, at_most: usize) -> usize {
        let mut piece = vec![0; at_most];
        let read = within(self.deadline, "reading", self.stream.read(&mut piece)).await;
        let read = read.expect("a connection in memory can be read");
        self.buffered.extend_from_slice(&piece[..read]);
        read
    }

    /// Whether the session has ended.
    pub fn has_ended(&self) -> bool {
        self.session.is_finished()
    }

    /// Waits for the end of the session with an open connection and returns the reason.
    pub async fn ended(mut self) -> LeaveReason {
        let ended = within(self.deadline, "ending", &mut self.session).await;
        let ended = ended.expect("the session does not panic");
        ended.expect("the peer has joined")
    }

    /// Drops the connection and returns the reason for which the session ended.
    pub async fn disconnect(self) -> LeaveReason {
        drop(self.stream);
        let ended = within(self.deadline, "ending", self.session).await;
        let ended = ended.expect("the session does not panic");
        ended.expect("the peer has joined")
    }
}

/// The lines that a peer is to receive, compared with the lines that it does receive.
#[derive(Debug, Default)]
pub struct Transcript {
    expected: Vec<String>,
    /// Notices to the peer, each with the number of expected lines before it.
    notices: VecDeque<(usize, String)>,
    /// How many of them were received or reported as skipped.
    reported: usize,
    skipped: usize,
    gaps: usize,
}

impl Transcript {
    /// Publishes a text that the peer is to receive.
    pub fn publish(&mut self, member: &Member, text: &str) {
        let name = member.name().expect("the member is present");
        member
            .publish(text)
            .expect("the member is present and the text is valid");
        self.expected.push(format!("{name}: {text}"));
    }

    /// Adds the next line of the log that the peer is to receive.
    pub fn expect_line(&mut self, line: &str) {
        self.expected.push(line.into());
    }

    /// Adds a notice that the peer is to receive after all lines so far.
    pub fn expect_notice(&mut self, text: &str) {
        let notice = format!("* {text}");
        self.notices.push_back((self.expected.len(), notice));
    }

    /// Checks the next line of the peer: the next expected line or notice, or a notice of how many
    /// lines are missing.
    pub fn check_line(&mut self, line: &str) {
        if let Some((after, notice)) = self.notices.front()
            && *after <= self.reported
        {
            assert_eq!(line, notice, "a notice comes before later lines");
            self.notices.pop_front();
            return;
        }
        let Some(notice) = line.strip_prefix("* ") else {
            assert_eq!(
                Some(line),
                self.expected.get(self.reported).map(String::as_str)
            );
            self.reported += 1;
            return;
        };
        let skipped = notice
            .strip_suffix(" messages skipped")
            .map(str::parse::<usize>);
        let Some(Ok(skipped)) = skipped else {
            panic!("{line:?} is neither a line nor a gap");
        };
        assert!(skipped > 0, "an empty gap");
        self.reported += skipped;
        self.skipped += skipped;
        self.gaps += 1;
    }

    /// The number of expected lines.
    pub fn expected(&self) -> usize {
        self.expected.len()
    }

    /// The number of expected lines and notices that were neither received nor reported as skipped.
    pub fn outstanding(&self) -> usize {
        let outstanding = self.expected.len().checked_sub(self.reported);
        let lines = outstanding.expect("no more lines were reported than expected");
        lines + self.notices.len()
    }

    /// The number of lines reported as skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped as u64
    }

    /// The number of gap notices.
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
    let name = Name::assigned(name).expect("the names of the tests are valid");
    let (hub, config) = (hub.clone(), config.clone());
    tokio::spawn(session::run(&hub, name, transport, &config))
}

/// Runs all tasks until none can proceed. The clock must be paused: it advances by a millisecond,
/// once no task can run.
pub async fn run_until_idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
