//! The peers: each performs its plan and records the sent and received data.

use super::net::{Connection, Connections, now};
use super::plan::{Action, ConnectionPlan, Ending, Plan, Reading};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The host name of the server.
pub(crate) const SERVER: &str = "server";
pub(crate) const PORT: u16 = 8000;

/// The maximal number of bytes of one read by a peer.
const READ_SIZE: usize = 4096;

/// The interval of polls for the state of another host.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The records of all connections, in the order of connecting.
pub(crate) type ConnectionRecords = Rc<RefCell<Vec<ConnectionRecord>>>;

/// The data of one connection as its peer has recorded it.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionRecord {
    /// The index of the host in the plan.
    pub(crate) host: usize,
    /// The index of the connection in the plan of the host.
    pub(crate) connection: usize,
    /// The address of the peer, which is its first name.
    pub(crate) address: SocketAddr,
    pub(crate) received: Vec<u8>,
    pub(crate) end: End,
    /// All whole lines of text, in order.
    pub(crate) sent: Vec<Line>,
    /// The beginning of a line without its ending.
    pub(crate) partial: Option<String>,
    /// How often each input was sent that a notice answers.
    pub(crate) who: u64,
    pub(crate) unknown: usize,
    pub(crate) too_long: usize,
    /// How many reads of the server all sent bytes take.
    reads: u32,
}

/// A line that a peer sent.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Duration,
    /// How many reads of the server all bytes sent so far take.
    pub(crate) reads: u32,
    pub(crate) text: String,
}

/// How a connection ended for its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer has closed or dropped it.
    ByPeer,
    /// The server has ended the stream.
    Eof,
    /// The connection was reset.
    Reset,
}

/// The step of a peer after its last action.
#[derive(PartialEq, Eq)]
enum AfterActions {
    ReadToEnd,
    Close,
}

/// Runs all planned connections of a host.
pub(crate) async fn run_host(
    scenario: Rc<Plan>,
    number: usize,
    connections: Connections,
    records: ConnectionRecords,
) {
    let host = &scenario.hosts[number];
    for (connection, plan) in host.connections.iter().enumerate() {
        sleep(plan.delay).await;
        // Connecting fails during a fault of the link and after the shutdown of the server.
        let Ok(stream) = TcpStream::connect((SERVER, PORT)).await else {
            continue;
        };
        let address = stream.local_addr().expect("the stream is connected");
        let server_side = connections.lock().expect("no panic")[&address].clone();
        let index = records.borrow().len();
        records.borrow_mut().push(ConnectionRecord {
            host: number,
            connection,
            address,
            received: Vec::new(),
            end: End::ByPeer,
            sent: Vec::new(),
            partial: None,
            who: 0,
            unknown: 0,
            too_long: 0,
            reads: 0,
        });
        let peer = Peer {
            connection: plan,
            host: &host.name,
            plan: &scenario,
            records: &records,
            index,
        };
        peer.run(stream, &server_side).await;
        if matches!(plan.ending, Ending::Vanish { .. }) {
            return;
        }
        if matches!(plan.ending, Ending::Reset(_)) {
            turmoil::repair(SERVER, host.name.as_str());
        }
        server_side.remove_window();
        // A host without a task does not answer segments, so this one waits for the server.
        let until = now() + plan.end_timeout;
        while server_side.state().dropped.is_none() && now() < until {
            sleep(POLL_INTERVAL).await;
        }
    }
}

struct Peer<'a> {
    plan: &'a Plan,
    connection: &'a ConnectionPlan,
    host: &'a str,
    records: &'a ConnectionRecords,
    /// The index of the record of this connection.
    index: usize,
}

impl Peer<'_> {
    fn record(&self, change: impl FnOnce(&mut ConnectionRecord)) {
        change(&mut self.records.borrow_mut()[self.index]);
    }

    async fn run(&self, stream: TcpStream, server_side: &Arc<Connection>) {
        let (reader, writer) = stream.into_split();
        let mut reading = pin!(self.read(reader, server_side));
        let mut acting = pin!(self.act(writer));
        // `biased`, because a random order would differ between two runs of a seed.
        let (next, _writer) = tokio::select! {
            biased;
            () = &mut reading => return,
            acted = &mut acting => acted,
        };
        if next == AfterActions::ReadToEnd {
            // After the timeout the peer closes.
            let _ = timeout(self.connection.end_timeout, reading).await;
        }
    }

    async fn read(&self, mut reader: OwnedReadHalf, server_side: &Connection) {
        let start = now();
        let mut buffer = [0; READ_SIZE];
        let mut paused = false;
        let end = loop {
            let limit = match self.connection.reading {
                Reading::Eager => READ_SIZE,
                Reading::Slow { bytes, every } => {
                    sleep(every).await;
                    bytes
                }
                Reading::Pauses { after, lasting } => {
                    if !paused && now() - start >= after {
                        paused = true;
                        sleep(lasting).await;
                    }
                    READ_SIZE
                }
            };
            match reader.read(&mut buffer[..limit]).await {
                Ok(0) => break End::Eof,
                Err(_) => break End::Reset,
                Ok(read) => {
                    server_side.consumed(read);
                    self.record(|record| record.received.extend_from_slice(&buffer[..read]));
                }
            }
        };
        self.record(|record| record.end = end);
    }

    /// Performs all actions. Returns the writer, because dropping it ends the stream.
    async fn act(&self, mut writer: OwnedWriteHalf) -> (AfterActions, OwnedWriteHalf) {
        for (wait, action) in &self.connection.actions {
            sleep(*wait).await;
            if self.perform(&mut writer, action).await.is_err() {
                // Data that arrived before the error is still to be read.
                return (AfterActions::ReadToEnd, writer);
            }
        }
        let next = match &self.connection.ending {
            Ending::Stay => AfterActions::ReadToEnd,
            Ending::Quit => {
                let _ = writer.write_all(b"/quit\n").await;
                AfterActions::ReadToEnd
            }
            Ending::HalfClose(partial) => {
                self.begin_line(&mut writer, partial.as_deref()).await;
                let _ = writer.shutdown().await;
                AfterActions::ReadToEnd
            }
            Ending::Close(partial) => {
                self.begin_line(&mut writer, partial.as_deref()).await;
                AfterActions::Close
            }
            Ending::Reset(partial) => {
                self.begin_line(&mut writer, Some(partial)).await;
                // The partial line is to arrive before the partition, the end of the stream not.
                sleep(Duration::from_millis(150)).await;
                turmoil::partition(SERVER, self.host);
                AfterActions::Close
            }
            Ending::Vanish { held: true } => {
                turmoil::hold(SERVER, self.host);
                AfterActions::Close
            }
            Ending::Vanish { held: false } => {
                turmoil::partition(SERVER, self.host);
                AfterActions::Close
            }
        };
        (next, writer)
    }

    async fn perform(&self, writer: &mut OwnedWriteHalf, action: &Action) -> io::Result<()> {
        // Lines are recorded before they are sent, so the published ones are among them.
        let bytes = match action {
            Action::Publish(lines) => {
                let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
                for line in lines {
                    self.record_line(line, bytes.len());
                }
                bytes
            }
            Action::PublishBytewise(line, step) => {
                for byte in line.bytes() {
                    self.send(writer, &[byte]).await?;
                    sleep(*step).await;
                }
                self.record_line(line, 1);
                "\n".into()
            }
            Action::Rename(name) => format!("/name {name}\n"),
            Action::Who => {
                self.record(|record| record.who += 1);
                "/who\n".into()
            }
            Action::Unknown => {
                self.record(|record| record.unknown += 1);
                "/what is this\n".into()
            }
            Action::TooLong => {
                self.record(|record| record.too_long += 1);
                "too long ".repeat(self.plan.max_text / 9 + 1) + "\n"
            }
        };
        self.send(writer, bytes.as_bytes()).await
    }

    /// How many reads of the server a write of this many bytes takes.
    fn reads(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(self.plan.read_size)).expect("the count fits into u32")
    }

    /// Records a line that is sent in one write of this many bytes.
    fn record_line(&self, line: &str, bytes: usize) {
        let reads = self.reads(bytes);
        self.record(|record| {
            record.sent.push(Line {
                at: now(),
                reads: record.reads + reads,
                text: line.into(),
            });
        });
    }

    async fn send(&self, writer: &mut OwnedWriteHalf, bytes: &[u8]) -> io::Result<()> {
        let reads = self.reads(bytes.len());
        self.record(|record| record.reads += reads);
        writer.write_all(bytes).await
    }

    async fn begin_line(&self, writer: &mut OwnedWriteHalf, partial: Option<&str>) {
        if let Some(partial) = partial {
            self.record(|record| record.partial = Some(partial.into()));
            // After an error here, the next operation fails as well.
            let _ = self.send(writer, partial.as_bytes()).await;
        }
    }
}
