//! The peers: each does what the plan says and takes down what it said and heard.

use super::net::{Wire, Wires, now};
use super::plan::{Act, Ending, Plan, Reading, Visit};
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

/// Where the server is.
pub(crate) const SERVER: &str = "server";
pub(crate) const PORT: u16 = 8000;

/// How many bytes an eager peer reads at a time.
const PIECE: usize = 4096;

/// How often somebody looks whether something has happened elsewhere.
const GLANCE: Duration = Duration::from_millis(50);

/// All visits that led to a connection.
pub(crate) type Diary = Rc<RefCell<Vec<Visited>>>;

/// What a peer takes down of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Visited {
    pub(crate) guest: usize,
    pub(crate) visit: usize,
    /// What the server calls it by.
    pub(crate) address: SocketAddr,
    pub(crate) heard: Vec<u8>,
    pub(crate) end: End,
    /// Whole lines of text, in order.
    pub(crate) said: Vec<Line>,
    /// The beginning of a line that never got its end.
    pub(crate) half: Option<String>,
    /// What is answered by a notice, and how often it was asked for.
    pub(crate) who: u64,
    pub(crate) unknown: usize,
    pub(crate) too_long: usize,
    /// In how many pieces the server reads what was sent.
    pieces: u32,
}

/// A line that a peer sent.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Duration,
    /// In how many pieces the server reads what was sent so far.
    pub(crate) pieces: u32,
    pub(crate) text: String,
}

/// How a connection ended for its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was the first to go.
    Gone,
    /// The server said that no more comes.
    Eof,
    /// It broke.
    Reset,
}

/// What is left to do after a peer has said everything.
#[derive(PartialEq, Eq)]
enum Then {
    ReadOn,
    Close,
}

/// Comes as often as is planned.
pub(crate) async fn attend(scenario: Rc<Plan>, number: usize, wires: Wires, diary: Diary) {
    let guest = &scenario.guests[number];
    for (visit, plan) in guest.visits.iter().enumerate() {
        sleep(plan.comes_after).await;
        // While the network is in trouble, or when the server goes down, it cannot come.
        let Ok(stream) = TcpStream::connect((SERVER, PORT)).await else {
            continue;
        };
        let address = stream.local_addr().expect("it is connected");
        let wire = wires.lock().expect("no panic")[&address].clone();
        let at = diary.borrow().len();
        diary.borrow_mut().push(Visited {
            guest: number,
            visit,
            address,
            heard: Vec::new(),
            end: End::Gone,
            said: Vec::new(),
            half: None,
            who: 0,
            unknown: 0,
            too_long: 0,
            pieces: 0,
        });
        let peer = Peer {
            visit: plan,
            host: &guest.host,
            plan: &scenario,
            diary: &diary,
            at,
        };
        peer.converse(stream, &wire).await;
        if matches!(plan.ending, Ending::Vanish { .. }) {
            return;
        }
        if matches!(plan.ending, Ending::Reset(_)) {
            turmoil::repair(SERVER, guest.host.as_str());
        }
        wire.forget();
        // A host that has nothing to do is not there to answer what still comes.
        let until = now() + plan.patience;
        while wire.state().dropped.is_none() && now() < until {
            sleep(GLANCE).await;
        }
    }
}

struct Peer<'a> {
    plan: &'a Plan,
    visit: &'a Visit,
    host: &'a str,
    diary: &'a Diary,
    /// Its place in the diary.
    at: usize,
}

impl Peer<'_> {
    fn note(&self, write: impl FnOnce(&mut Visited)) {
        write(&mut self.diary.borrow_mut()[self.at]);
    }

    async fn converse(&self, stream: TcpStream, wire: &Arc<Wire>) {
        let (reader, writer) = stream.into_split();
        let mut listening = pin!(self.listen(reader, wire));
        let mut talking = pin!(self.talk(writer));
        // Not by chance, as `select!` is otherwise: the same seed is to lead to the same.
        let (then, _writer) = tokio::select! {
            biased;
            () = &mut listening => return,
            said = &mut talking => said,
        };
        if then == Then::ReadOn {
            // If it is not over by then, it closes.
            let _ = timeout(self.visit.patience, listening).await;
        }
    }

    async fn listen(&self, mut reader: OwnedReadHalf, wire: &Wire) {
        let came = now();
        let mut piece = [0; PIECE];
        let mut paused = false;
        let end = loop {
            let most = match self.visit.reading {
                Reading::Eager => PIECE,
                Reading::Slow { bytes, every } => {
                    sleep(every).await;
                    bytes
                }
                Reading::Pauses { after, lasting } => {
                    if !paused && now() - came >= after {
                        paused = true;
                        sleep(lasting).await;
                    }
                    PIECE
                }
            };
            match reader.read(&mut piece[..most]).await {
                Ok(0) => break End::Eof,
                Err(_) => break End::Reset,
                Ok(read) => {
                    wire.took(read);
                    self.note(|visited| visited.heard.extend_from_slice(&piece[..read]));
                }
            }
        };
        self.note(|visited| visited.end = end);
    }

    /// Gives the writer back, as dropping it ends the stream.
    async fn talk(&self, mut writer: OwnedWriteHalf) -> (Then, OwnedWriteHalf) {
        for (wait, act) in &self.visit.acts {
            sleep(*wait).await;
            if self.act(&mut writer, act).await.is_err() {
                // What it was sent before the connection broke is still to be read.
                return (Then::ReadOn, writer);
            }
        }
        let then = match &self.visit.ending {
            Ending::Stay => Then::ReadOn,
            Ending::Quit => {
                let _ = writer.write_all(b"/quit\n").await;
                Then::ReadOn
            }
            Ending::HalfClose(half) => {
                self.begin_line(&mut writer, half.as_deref()).await;
                let _ = writer.shutdown().await;
                Then::ReadOn
            }
            Ending::HangUp(half) => {
                self.begin_line(&mut writer, half.as_deref()).await;
                Then::Close
            }
            Ending::Reset(half) => {
                self.begin_line(&mut writer, Some(half)).await;
                // The beginning of the line is to arrive, the end of the stream is not.
                sleep(Duration::from_millis(150)).await;
                turmoil::partition(SERVER, self.host);
                Then::Close
            }
            Ending::Vanish { held: true } => {
                turmoil::hold(SERVER, self.host);
                Then::Close
            }
            Ending::Vanish { held: false } => {
                turmoil::partition(SERVER, self.host);
                Then::Close
            }
        };
        (then, writer)
    }

    async fn act(&self, writer: &mut OwnedWriteHalf, act: &Act) -> io::Result<()> {
        // Taken down before it is sent: what is published is what was said, or less.
        let bytes = match act {
            Act::Say(lines) => {
                let bytes: String = lines.iter().map(|line| format!("{line}\n")).collect();
                for line in lines {
                    self.say(line, bytes.len());
                }
                bytes
            }
            Act::Dribble(line, step) => {
                for byte in line.bytes() {
                    self.send(writer, &[byte]).await?;
                    sleep(*step).await;
                }
                self.say(line, 1);
                "\n".into()
            }
            Act::Rename(name) => format!("/name {name}\n"),
            Act::Who => {
                self.note(|visited| visited.who += 1);
                "/who\n".into()
            }
            Act::Unknown => {
                self.note(|visited| visited.unknown += 1);
                "/what is this\n".into()
            }
            Act::TooLong => {
                self.note(|visited| visited.too_long += 1);
                "too long ".repeat(self.plan.max_text / 9 + 1) + "\n"
            }
        };
        self.send(writer, bytes.as_bytes()).await
    }

    fn pieces(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(self.plan.piece)).expect("nobody says that much")
    }

    /// Takes down a line that is sent in one write of so many bytes.
    fn say(&self, line: &str, bytes: usize) {
        let pieces = self.pieces(bytes);
        self.note(|visited| {
            visited.said.push(Line {
                at: now(),
                pieces: visited.pieces + pieces,
                text: line.into(),
            });
        });
    }

    async fn send(&self, writer: &mut OwnedWriteHalf, bytes: &[u8]) -> io::Result<()> {
        let pieces = self.pieces(bytes.len());
        self.note(|visited| visited.pieces += pieces);
        writer.write_all(bytes).await
    }

    async fn begin_line(&self, writer: &mut OwnedWriteHalf, half: Option<&str>) {
        if let Some(half) = half {
            self.note(|visited| visited.half = Some(half.into()));
            // If it fails, so does what comes next.
            let _ = self.send(writer, half.as_bytes()).await;
        }
    }
}
