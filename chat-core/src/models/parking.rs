//! Readers that are parked in a hub, without sessions: the shard and its dispatcher.

use super::{DISPATCHER_POLLS, ThreadWaker, block_on, check, hub, join, paused_runtime};
use crate::hub::Hub;
use crate::hub::dispatch::{Offered, Owner, ParkedReader, ParkingPlace};
use crate::hub::member::Member;
use crate::state::read::Cursor;
use crate::types::event::{Delivery, LeaveReason};
use loom::sync::{Condvar, Mutex};
use loom::thread::spawn;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// The peer of a reader.
#[derive(Default)]
struct Peer {
    state: Mutex<PeerState>,
    changed: Condvar,
}

#[derive(Default)]
struct PeerState {
    items: Vec<String>,
    /// How often its reader was dropped.
    drops: usize,
}

impl Peer {
    fn change(&self, change: impl FnOnce(&mut PeerState)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn items(&self) -> Vec<String> {
        self.state.lock().unwrap().items.clone()
    }

    fn wait_until(&self, done: impl Fn(&PeerState) -> bool) {
        let mut state = self.state.lock().unwrap();
        while !done(&state) {
            state = self.changed.wait(state).unwrap();
        }
    }
}

/// A reader whose peer takes `room` lines at once; then its owner has to see to it.
struct Reader {
    member: Member,
    peer: Arc<Peer>,
    owner: Arc<ThreadWaker>,
    room: usize,
}

impl ParkedReader for Reader {
    fn cursor(&mut self) -> &mut Cursor {
        self.member.reader().cursor_to_park()
    }

    fn prepare(&mut self) {}

    fn offer(&mut self, lines: &[u8]) -> Offered {
        let lines = str::from_utf8(lines).unwrap().lines();
        let taken: Vec<_> = lines.clone().take(self.room).map(str::to_owned).collect();
        let count = taken.len();
        self.peer.change(|peer| peer.items.extend(taken));
        self.room -= count;
        match count == lines.count() && self.room > 0 {
            true => Offered::All,
            false => Offered::Some(count as u64),
        }
    }

    fn owner(&self) -> Arc<dyn Owner> {
        self.owner.clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.peer.change(|peer| peer.drops += 1);
    }
}

/// The owner of a reader, which reads in the manner of a session.
struct Session {
    hub: Hub,
    place: ParkingPlace,
    peer: Arc<Peer>,
    owner: Arc<ThreadWaker>,
}

impl Session {
    /// The session of a member that has read everything, and its reader.
    fn new(hub: &Hub, mut member: Member, room: usize) -> (Self, Box<Reader>) {
        while member.try_recv().is_ok() {}
        let session = Self {
            hub: hub.clone(),
            place: hub
                .shared
                .dispatchers
                .place(member.id().slot.index)
                .unwrap(),
            peer: Arc::default(),
            owner: Arc::default(),
        };
        let reader = Reader {
            member,
            peer: session.peer.clone(),
            owner: session.owner.clone(),
            room,
        };
        (session, Box::new(reader))
    }

    /// Reads what the hub has for the reader now. Gives the reason at its end.
    fn read(&self, reader: &mut Reader) -> Option<LeaveReason> {
        while let Ok(item) = reader.member.try_recv() {
            let item = match item {
                Delivery::Event(event) => event.line().to_owned(),
                Delivery::Direct(direct) => format!("* {direct}"),
                Delivery::Closed(reason) => return Some(reason),
                Delivery::Gap { .. } => panic!("the log holds all lines"),
            };
            self.peer.change(|peer| peer.items.push(item));
        }
        None
    }

    /// Parks the reader, and takes it back if there is something to read.
    fn park(&self, mut reader: Box<Reader>) -> Parked {
        let Some(version) = reader.member.reader().idle_at() else {
            return Parked::No(reader);
        };
        if let Err(reader) = self.place.park(&self.hub, reader) {
            return Parked::Refused(taken_back(reader));
        }
        match self.hub.shared.version().load(SeqCst) == version {
            true => Parked::Yes,
            false => match self.place.recall() {
                Some(reader) => Parked::No(taken_back(reader)),
                None => Parked::No(self.wait()),
            },
        }
    }

    /// Waits until the parked reader is returned.
    fn wait(&self) -> Box<Reader> {
        loop {
            if let Some(reader) = self.place.take_returned() {
                return taken_back(reader);
            }
            self.owner.wait();
        }
    }

    /// Reads to the end of the stream, or, by a number of items, until the peer has so many. Gives
    /// the reader back, which leaves when it is dropped, and the reason at the end.
    fn run(&self, mut reader: Box<Reader>, items: usize) -> (Box<Reader>, Option<LeaveReason>) {
        loop {
            let ended = self.read(&mut reader);
            if ended.is_some() || self.peer.items().len() >= items {
                return (reader, ended);
            }
            reader = match self.park(reader) {
                Parked::No(reader) => reader,
                Parked::Yes => self.wait(),
                Parked::Refused(mut reader) => {
                    let item = block_on(reader.member.recv()).unwrap();
                    let Delivery::Event(event) = item else {
                        panic!("{item:?} is no event");
                    };
                    self.peer
                        .change(|peer| peer.items.push(event.line().into()));
                    reader
                }
            };
        }
    }
}

enum Parked {
    Yes,
    /// There is something to read.
    No(Box<Reader>),
    /// No dispatcher takes it.
    Refused(Box<Reader>),
}

fn taken_back(reader: Box<dyn ParkedReader>) -> Box<Reader> {
    let reader: Box<dyn Any> = reader;
    reader.downcast().unwrap()
}

/// Runs scenes of the owner of a reader, whose peer has room for so many lines, and a publisher.
fn check_parking(
    preemptions: usize,
    room: usize,
    scene: impl Fn(Session, Box<Reader>, Member) + Sync + Send + 'static,
) {
    let runtime = paused_runtime();
    let _guard = runtime.enter();
    check(preemptions, move || {
        let hub = hub();
        let [bob, alice] = ["bob", "alice"].map(|name| join(&hub, name));
        let (session, reader) = Session::new(&hub, alice, room);
        scene(session, reader, bob);
    });
}

const LINES: [&str; 2] = ["bob: one", "bob: two"];

/// Publishes the lines; the last of them is the last event of the hub.
fn publish(publisher: &Member) {
    for text in ["one", "two"] {
        publisher.publish(text).unwrap();
    }
}

mod reader {
    use super::*;

    /// Nothing but the lines wakes the dispatcher; the peer has room for fewer, so many, and more.
    fn receives_lines(room: usize) {
        check_parking(3, room, move |session, reader, bob| {
            let publisher = spawn(move || {
                publish(&bob);
                bob
            });
            session.run(reader, 2);
            assert_eq!(session.peer.items(), LINES);
            publisher.join().unwrap();
        });
    }

    #[test]
    fn receives_lines_without_room() {
        receives_lines(0);
    }

    #[test]
    fn receives_lines_beyond_its_room() {
        receives_lines(1);
    }

    /// The owner has nothing to do: it waits for the peer alone.
    #[test]
    fn receives_lines_without_its_owner() {
        check_parking(3, 9, |session, reader, bob| {
            let publisher = spawn(move || {
                publish(&bob);
                bob
            });
            let mut reader = reader;
            while let Parked::No(mut back) = session.park(reader) {
                session.read(&mut back);
                reader = back;
            }
            session.peer.wait_until(|peer| peer.items.len() == 2);
            assert_eq!(session.peer.items(), LINES);
            publisher.join().unwrap();
            session.place.abandon();
            session.peer.wait_until(|peer| peer.drops == 1);
        });
    }

    /// A round of the dispatcher has two turns then.
    #[test]
    fn receives_lines_beside_another() {
        let runtime = paused_runtime();
        let _guard = runtime.enter();
        check(2, || {
            let hub = hub();
            let [bob, alice, carol] = ["bob", "alice", "carol"].map(|name| join(&hub, name));
            let scenes = [alice, carol].map(|member| Session::new(&hub, member, 1));
            let sessions = scenes.map(|(session, reader)| {
                spawn(move || {
                    // A departure would wake the dispatcher once more.
                    let (reader, _) = session.run(reader, 1);
                    (session.peer.items(), reader)
                })
            });
            bob.publish("one").unwrap();
            let ended = sessions.map(|session| session.join().unwrap());
            for (items, _) in ended {
                assert_eq!(items[0], LINES[0]);
            }
        });
    }
}

mod recall {
    use super::*;

    #[test]
    fn loses_and_repeats_nothing() {
        check_parking(3, 9, |session, reader, bob| {
            let publisher = spawn(move || {
                publish(&bob);
                bob
            });
            let mut reader = match session.park(reader) {
                Parked::No(reader) => reader,
                Parked::Refused(_) => panic!("the dispatcher runs"),
                Parked::Yes => match session.place.recall() {
                    Some(reader) => taken_back(reader),
                    None => session.wait(),
                },
            };
            let _bob = publisher.join().unwrap();
            session.read(&mut reader);
            assert_eq!(session.peer.items(), LINES);
        });
    }
}

mod mail {
    use super::*;

    #[test]
    fn comes_between_the_lines() {
        check_parking(2, 9, |session, reader, bob| {
            let (id, peer) = (reader.member.id(), session.peer.clone());
            let sender = spawn(move || {
                bob.publish("one").unwrap();
                bob.hub().notify(id, "mail").unwrap();
                bob.publish("two").unwrap();
                // The reader can be parked then.
                peer.wait_until(|peer| peer.items.len() == 3);
                bob.hub().notify(id, "end").unwrap();
                bob
            });
            session.run(reader, 4);
            assert_eq!(
                session.peer.items(),
                [LINES[0], "* mail", LINES[1], "* end"]
            );
            sender.join().unwrap();
        });
    }

    #[test]
    fn returns_the_reader() {
        check_parking(3, 9, |session, reader, bob| {
            let id = reader.member.id();
            let sender = spawn(move || {
                bob.hub().notify(id, "mail").unwrap();
                bob
            });
            session.run(reader, 1);
            assert_eq!(session.peer.items(), ["* mail"]);
            sender.join().unwrap();
        });
    }
}

mod end {
    use super::*;
    use crate::types::event::RemovalReason;

    #[test]
    fn returns_reader_of_closed_hub() {
        check_parking(3, 9, |session, reader, bob| {
            let closing = spawn(move || {
                bob.publish("one").unwrap();
                bob.hub().close();
                bob
            });
            let (_, ended) = session.run(reader, usize::MAX);
            assert_eq!(ended, Some(LeaveReason::Closed));
            assert_eq!(session.peer.items(), LINES[..1]);
            closing.join().unwrap();
        });
    }

    #[test]
    fn returns_reader_of_removed_member() {
        check_parking(3, 9, |session, reader, bob| {
            let id = reader.member.id();
            let kicker = spawn(move || {
                bob.publish("one").unwrap();
                bob.hub().remove(id, RemovalReason::Kicked).unwrap();
                bob.publish("two").unwrap();
                bob
            });
            let (_, ended) = session.run(reader, usize::MAX);
            assert_eq!(ended, Some(LeaveReason::Kicked));
            assert_eq!(session.peer.items(), LINES[..1]);
            kicker.join().unwrap();
        });
    }
}

mod abandoned {
    use super::*;

    #[test]
    fn reader_frees_its_place() {
        check_parking(2, 9, |session, reader, bob| {
            let slot = reader.member.id().slot.index;
            let publisher = spawn(move || {
                publish(&bob);
                bob
            });
            if !matches!(session.park(reader), Parked::No(_)) {
                session.place.abandon();
            }
            let mut bob = publisher.join().unwrap();
            while !matches!(
                block_on(bob.recv()),
                Some(Delivery::Event(event)) if event.line() == "alice has left"
            ) {}
            let items = session.peer.items();
            assert_eq!(items, LINES[..items.len()]);
            assert_eq!(session.peer.state.lock().unwrap().drops, 1);
            // The next member has its slot, and parks in its place.
            let carol = join(&session.hub, "carol");
            assert_eq!(carol.id().slot.index, slot);
            let (next, reader) = Session::new(&session.hub, carol, 1);
            let Parked::Yes = next.park(reader) else {
                panic!("its place is free");
            };
            drop(session);
            bob.publish("three").unwrap();
            drop(next.wait());
            assert_eq!(next.peer.items(), ["bob: three"]);
        });
    }
}

mod dispatcher {
    use super::*;

    /// The runtime of the dispatcher shuts down.
    fn returns_readers(polls: usize) {
        DISPATCHER_POLLS.set(Some(polls));
        check_parking(2, 9, |session, reader, bob| {
            let publisher = spawn(move || {
                publish(&bob);
                bob
            });
            let peer = session.peer.clone();
            // Delivered by the dispatcher, or by the owner after it.
            let owner = spawn(move || session.run(reader, 2));
            peer.wait_until(|peer| peer.items.len() == 2);
            assert_eq!(peer.items(), LINES);
            owner.join().unwrap();
            publisher.join().unwrap();
        });
    }

    #[test]
    fn returns_readers_unless_polled() {
        returns_readers(0);
    }

    #[test]
    fn returns_readers_after_one_poll() {
        returns_readers(1);
    }

    #[test]
    fn returns_readers_after_three_polls() {
        returns_readers(3);
    }
}
