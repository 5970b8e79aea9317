//! Thousands of connections to one server, on one thread.

mod gather;

pub(crate) use gather::CrowdError;

use crate::linux::peer::{Peer, State};
use crate::linux::tally::Tally;
use crate::linux::wire::{Header, Kind, Line, Protocol, Step, write_short};
use memchr::memchr_iter;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventFlags};
use std::io;
use std::mem::take;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// The most that is read at a time, less an unfinished line.
const BUFFER: usize = 256 * 1024;

/// Of payloads that are too short to say anything, every so many are longer and say it.
const WHOLE_EVERY: u32 = 64;

/// How many come together, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Who hears.
    pub(crate) members: usize,
    /// Who publishes: the first members, or others where the protocol wants that.
    pub(crate) publishers: usize,
    /// How many connections come and go beside them.
    pub(crate) visitors: usize,
    /// Bytes of a payload.
    pub(crate) payload: usize,
}

/// All connections, and what was heard on them.
pub(crate) struct Crowd {
    pub(crate) tally: Tally,
    shape: Shape,
    protocol: Protocol,
    address: SocketAddr,
    epoll: OwnedFd,
    peers: Vec<Peer>,
    buffer: Vec<u8>,
    events: Vec<Event>,
    clock: Instant,
    /// Counts connections, for their addresses.
    opened: usize,
    ready: usize,
    failed: usize,
    probe: u32,
    heard_probe: usize,
    /// Counts lines of any kind.
    lines: u64,
    /// While visitors are to come again.
    pub(crate) visiting: bool,
    pub(crate) visits: u64,
    payload: Vec<u8>,
}

impl Crowd {
    pub(crate) fn new(
        shape: Shape,
        address: SocketAddr,
        protocol: Protocol,
    ) -> Result<Self, CrowdError> {
        let apart = match protocol.separates_publishers() {
            true => shape.publishers,
            false => 0,
        };
        let total = shape.members + apart + shape.visitors;
        Ok(Self {
            tally: Tally::new(shape),
            shape,
            protocol,
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(io::Error::from)?,
            peers: (0..total).map(|_| Peer::default()).collect(),
            buffer: vec![0; BUFFER],
            events: Vec::with_capacity(1024),
            clock: Instant::now(),
            opened: 0,
            ready: 0,
            failed: 0,
            probe: 0,
            heard_probe: 0,
            lines: 0,
            visiting: false,
            visits: 0,
            payload: Vec::new(),
        })
    }

    /// The generator's clock, in ns.
    pub(crate) fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Members that are in the room.
    pub(crate) fn present(&self) -> usize {
        let members = &self.peers[..self.shape.members];
        members.iter().filter(|peer| peer.is_ready()).count()
    }

    /// From now on the member is not read, until [`listen`](Self::listen).
    pub(crate) fn turn_away(&self, member: usize) -> io::Result<()> {
        self.peers[member].turn_away(&self.epoll)
    }

    pub(crate) fn listen(&self, member: usize) -> io::Result<()> {
        self.peers[member].listen(&self.epoll, member)
    }

    /// The publisher sends `count` measured payloads more.
    pub(crate) fn publish(&mut self, publisher: usize, count: u64) {
        let short = self.tally.has_short_payloads();
        for _ in 0..count {
            let sequence = self.tally.next_sequence(publisher);
            if short && !sequence.is_multiple_of(WHOLE_EVERY) {
                let place = self.place_of(publisher);
                write_short(self.shape.payload, &mut self.payload);
                let out = &mut self.peers[place].out;
                self.protocol.publish(&self.payload, out);
            } else {
                self.say(publisher, Kind::Data, sequence);
            }
        }
        self.flush(self.place_of(publisher));
    }

    /// Nothing more will be published. After short payloads a whole one says how many there were.
    pub(crate) fn conclude(&mut self) {
        if self.tally.has_short_payloads() {
            let sequence = self.tally.next_sequence(0);
            self.say(0, Kind::Data, sequence);
            self.flush(self.place_of(0));
        }
    }

    /// Whether the publisher could send all that it had to.
    pub(crate) fn has_sent(&self, publisher: usize) -> bool {
        self.peers[self.place_of(publisher)].out.is_empty()
    }

    /// Puts a whole payload behind what the publisher has to send.
    fn say(&mut self, publisher: usize, kind: Kind, sequence: u32) {
        let sent = self.now();
        let header = Header {
            kind,
            publisher,
            sequence,
            sent,
        };
        header.write(self.tally.whole_payload(), &mut self.payload);
        let place = self.place_of(publisher);
        let out = &mut self.peers[place].out;
        self.protocol.publish(&self.payload, out);
    }

    /// Does what there is to do, and waits for it for at most this long.
    pub(crate) fn pump(&mut self, wait: Duration) -> io::Result<()> {
        let mut events = take(&mut self.events);
        events.clear();
        let wait = Timespec {
            tv_sec: wait.as_secs() as i64,
            tv_nsec: wait.subsec_nanos().into(),
        };
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let data = event.data.u64();
            let (number, generation) = (data as u32 as usize, (data >> 32) as u32);
            self.serve(number, generation, event.flags)?;
        }
        self.events = events;
        Ok(())
    }

    fn serve(&mut self, place: usize, generation: u32, ready: EventFlags) -> io::Result<()> {
        if !self.peers[place].is(generation) {
            return Ok(());
        }
        let broken = ready.intersects(EventFlags::ERR | EventFlags::HUP);
        if self.peers[place].state == State::Connecting {
            if broken || ready.contains(EventFlags::OUT) {
                self.connected(place)?;
            }
        } else if ready.contains(EventFlags::OUT) {
            self.flush(place);
        }
        if self.peers[place].is(generation) && (broken || ready.contains(EventFlags::IN)) {
            let mut buffer = take(&mut self.buffer);
            let result = self.read(place, &mut buffer);
            self.buffer = buffer;
            return result;
        }
        Ok(())
    }

    fn open(&mut self, place: usize) -> io::Result<()> {
        self.opened += 1;
        self.peers[place].open(&self.epoll, place, self.address, self.opened)
    }

    fn connected(&mut self, place: usize) -> io::Result<()> {
        if self.peers[place].take_error()?.is_some() {
            self.gone(place);
            return Ok(());
        }
        self.peers[place].state = State::Entering;
        self.flush(place);
        self.step(place, self.protocol.open(self.hears(place)))
    }

    fn step(&mut self, place: usize, step: Step) -> io::Result<()> {
        match step {
            Step::Wait => {}
            Step::Send(bytes) => {
                self.peers[place].out.extend_from_slice(bytes);
                self.flush(place);
            }
            Step::Ready => {
                self.peers[place].state = State::Ready;
                if !self.visitors().contains(&place) {
                    self.ready += 1;
                    return Ok(());
                }
                // Greeted, and so it goes.
                self.visits += 1;
                self.peers[place].close();
                if self.visiting {
                    self.open(place)?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self, place: usize) {
        if self.peers[place].flush(&self.epoll, place).is_err() {
            self.gone(place);
        }
    }

    fn read(&mut self, place: usize, buffer: &mut [u8]) -> io::Result<()> {
        let end = match self.peers[place].read(buffer) {
            Ok(end) => end,
            Err(_) => {
                self.gone(place);
                return Ok(());
            }
        };
        let generation = self.peers[place].generation();
        let is_member = place < self.shape.members;
        let whole = self.tally.whole_payload();
        let now = self.now();
        let mut from = 0;
        for at in memchr_iter(b'\n', &buffer[..end]) {
            let line = &buffer[from..at];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            from = at + 1;
            self.lines += 1;
            match Line::read(line, whole) {
                Line::Whole(header) if is_member => match header.kind {
                    Kind::Data => self.tally.whole(place, &header, now),
                    Kind::Probe => self.heard_probe(place, header.sequence),
                },
                Line::Short if is_member => self.tally.short(place, now),
                _ => {
                    self.other(place, line)?;
                    if !self.peers[place].is(generation) {
                        return Ok(());
                    }
                }
            }
        }
        if end > 0 {
            self.peers[place].keep(&buffer[from..end]);
        }
        Ok(())
    }

    fn heard_probe(&mut self, place: usize, probe: u32) {
        let last = &mut self.peers[place].probe;
        if probe == self.probe && *last != probe {
            *last = probe;
            self.heard_probe += 1;
        }
    }

    /// A line that is no payload.
    fn other(&mut self, place: usize, line: &[u8]) -> io::Result<()> {
        let step = match self.peers[place].state {
            State::Ready => self.protocol.answer(line).map_or(Step::Wait, Step::Send),
            _ => self.protocol.enter(self.hears(place), line),
        };
        self.step(place, step)
    }

    /// A connection ended that should not have.
    fn gone(&mut self, place: usize) {
        let was_ready = self.peers[place].is_ready();
        self.peers[place].close();
        if self.visitors().contains(&place) {
            return;
        }
        if !was_ready {
            self.failed += 1;
        } else if place < self.shape.members {
            self.tally.left(place);
        }
    }

    /// Whether lines are to come to it: it is a member or a visitor.
    fn hears(&self, place: usize) -> bool {
        place < self.shape.members || self.visitors().contains(&place)
    }

    /// Where visitors come and go.
    fn visitors(&self) -> Range<usize> {
        self.peers.len() - self.shape.visitors..self.peers.len()
    }

    /// Where the publisher is.
    fn place_of(&self, publisher: usize) -> usize {
        match self.protocol.separates_publishers() {
            true => self.shape.members + publisher,
            false => publisher,
        }
    }
}
