//! The load generator: thousands of connections to one server, on one thread.

mod connect;

use crate::linux::connection::{Connection, State};
use crate::linux::tally::Tally;
use crate::linux::wire::{Header, Kind, Line, Protocol, Step, write_short};
use crate::linux::workload::Workload;
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

/// The longest read in bytes, less an unfinished line.
const BUFFER: usize = 256 * 1024;

/// Of payloads too short for a header, one in this many is full-size and has one.
const FULL_EVERY: u32 = 64;

/// All connections, and the tally of what they received.
pub(crate) struct Generator {
    pub(crate) tally: Tally,
    workload: Workload,
    protocol: Protocol,
    address: SocketAddr,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    events: Vec<Event>,
    clock: Instant,
    /// Connections opened so far; selects the source address.
    opened: usize,
    ready: usize,
    failed: usize,
    probe: u32,
    probe_receipts: usize,
    /// Lines received, of any kind.
    lines: u64,
    /// Whether a visitor that has left connects again.
    pub(crate) visiting: bool,
    pub(crate) visits: u64,
    payload: Vec<u8>,
}

/// Why the generator could not connect.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GeneratorError {
    #[error("{ready} of {total} connections joined before the timeout")]
    NotReady { ready: usize, total: usize },
    #[error("{failed} of {total} connections failed")]
    Failed { failed: usize, total: usize },
    #[error("{received} of {members} members received the probe before the timeout")]
    NotReceived { received: usize, members: usize },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Generator {
    pub(crate) fn new(
        workload: Workload,
        address: SocketAddr,
        protocol: Protocol,
    ) -> Result<Self, GeneratorError> {
        let separate = match protocol.separates_publishers() {
            true => workload.publishers,
            false => 0,
        };
        let total = workload.members + separate + workload.visitors;
        Ok(Self {
            tally: Tally::new(workload),
            workload,
            protocol,
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC).map_err(io::Error::from)?,
            connections: (0..total).map(|_| Connection::default()).collect(),
            buffer: vec![0; BUFFER],
            events: Vec::with_capacity(1024),
            clock: Instant::now(),
            opened: 0,
            ready: 0,
            failed: 0,
            probe: 0,
            probe_receipts: 0,
            lines: 0,
            visiting: false,
            visits: 0,
            payload: Vec::new(),
        })
    }

    /// Nanoseconds since the generator was created.
    pub(crate) fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    pub(crate) fn workload(&self) -> Workload {
        self.workload
    }

    /// Members that have joined.
    pub(crate) fn joined_members(&self) -> usize {
        let members = &self.connections[..self.workload.members];
        members.iter().filter(|peer| peer.is_ready()).count()
    }

    /// Stops reading from the member until [`resume_reading`](Self::resume_reading).
    pub(crate) fn pause_reading(&self, member: usize) -> io::Result<()> {
        self.connections[member].pause_reading(&self.epoll)
    }

    pub(crate) fn resume_reading(&self, member: usize) -> io::Result<()> {
        self.connections[member].resume_reading(&self.epoll, member)
    }

    /// Publishes `count` measured payloads.
    pub(crate) fn publish(&mut self, publisher: usize, count: u64) {
        let short = self.tally.has_short_payloads();
        for _ in 0..count {
            let sequence = self.tally.next_sequence(publisher);
            if short && !sequence.is_multiple_of(FULL_EVERY) {
                let slot = self.slot_of(publisher);
                write_short(self.workload.payload, &mut self.payload);
                let outgoing = &mut self.connections[slot].outgoing;
                self.protocol.publish(&self.payload, outgoing);
            } else {
                self.queue_payload(publisher, Kind::Data, sequence);
            }
        }
        self.flush(self.slot_of(publisher));
    }

    /// Ends publishing. After short payloads, a full-size one carries their number.
    pub(crate) fn finish_publishing(&mut self) {
        if self.tally.has_short_payloads() {
            let sequence = self.tally.next_sequence(0);
            self.queue_payload(0, Kind::Data, sequence);
            self.flush(self.slot_of(0));
        }
    }

    /// Whether the socket has taken everything that the publisher had to send.
    pub(crate) fn has_sent_all(&self, publisher: usize) -> bool {
        self.connections[self.slot_of(publisher)]
            .outgoing
            .is_empty()
    }

    /// Appends a full-size payload to the outgoing bytes of the publisher.
    fn queue_payload(&mut self, publisher: usize, kind: Kind, sequence: u32) {
        let sent = self.now();
        let header = Header {
            kind,
            publisher,
            sequence,
            sent,
        };
        header.write(self.tally.full_payload_size(), &mut self.payload);
        let slot = self.slot_of(publisher);
        let outgoing = &mut self.connections[slot].outgoing;
        self.protocol.publish(&self.payload, outgoing);
    }

    /// Waits for events for at most `wait`, and handles them.
    pub(crate) fn poll(&mut self, wait: Duration) -> io::Result<()> {
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
            self.handle_event(number, generation, event.flags)?;
        }
        self.events = events;
        Ok(())
    }

    fn handle_event(&mut self, slot: usize, generation: u32, ready: EventFlags) -> io::Result<()> {
        if !self.connections[slot].is_current(generation) {
            return Ok(());
        }
        let broken = ready.intersects(EventFlags::ERR | EventFlags::HUP);
        if self.connections[slot].state == State::Connecting {
            if broken || ready.contains(EventFlags::OUT) {
                self.connected(slot)?;
            }
        } else if ready.contains(EventFlags::OUT) {
            self.flush(slot);
        }
        if self.connections[slot].is_current(generation)
            && (broken || ready.contains(EventFlags::IN))
        {
            let mut buffer = take(&mut self.buffer);
            let result = self.read(slot, &mut buffer);
            self.buffer = buffer;
            return result;
        }
        Ok(())
    }

    fn open(&mut self, slot: usize) -> io::Result<()> {
        self.opened += 1;
        self.connections[slot].open(&self.epoll, slot, self.address, self.opened)
    }

    fn connected(&mut self, slot: usize) -> io::Result<()> {
        if self.connections[slot].take_error()?.is_some() {
            self.disconnected(slot);
            return Ok(());
        }
        self.connections[slot].state = State::Joining;
        self.flush(slot);
        self.step(slot, self.protocol.first_step(self.receives(slot)))
    }

    fn step(&mut self, slot: usize, step: Step) -> io::Result<()> {
        match step {
            Step::Wait => {}
            Step::Send(bytes) => {
                self.connections[slot].outgoing.extend_from_slice(bytes);
                self.flush(slot);
            }
            Step::Ready => {
                self.connections[slot].state = State::Ready;
                if !self.visitors().contains(&slot) {
                    self.ready += 1;
                    return Ok(());
                }
                // A visitor leaves after the greeting.
                self.visits += 1;
                self.connections[slot].close();
                if self.visiting {
                    self.open(slot)?;
                }
            }
        }
        Ok(())
    }

    fn flush(&mut self, slot: usize) {
        if self.connections[slot].flush(&self.epoll, slot).is_err() {
            self.disconnected(slot);
        }
    }

    fn read(&mut self, slot: usize, buffer: &mut [u8]) -> io::Result<()> {
        let end = match self.connections[slot].read(buffer) {
            Ok(end) => end,
            Err(_) => {
                self.disconnected(slot);
                return Ok(());
            }
        };
        let generation = self.connections[slot].generation();
        let is_member = slot < self.workload.members;
        let size = self.tally.full_payload_size();
        let now = self.now();
        let mut from = 0;
        for at in memchr_iter(b'\n', &buffer[..end]) {
            let line = &buffer[from..at];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            from = at + 1;
            self.lines += 1;
            match Line::read(line, size) {
                Line::Payload(header) if is_member => match header.kind {
                    Kind::Data => self.tally.record_payload(slot, &header, now),
                    Kind::Probe => self.record_probe(slot, header.sequence),
                },
                Line::Short if is_member => self.tally.record_short(slot, now),
                _ => {
                    self.handle_line(slot, line)?;
                    if !self.connections[slot].is_current(generation) {
                        return Ok(());
                    }
                }
            }
        }
        if end > 0 {
            self.connections[slot].keep(&buffer[from..end]);
        }
        Ok(())
    }

    fn record_probe(&mut self, slot: usize, probe: u32) {
        let last = &mut self.connections[slot].probe;
        if probe == self.probe && *last != probe {
            *last = probe;
            self.probe_receipts += 1;
        }
    }

    /// Handles a line that carries no payload.
    fn handle_line(&mut self, slot: usize, line: &[u8]) -> io::Result<()> {
        let step = match self.connections[slot].state {
            State::Ready => self.protocol.reply(line).map_or(Step::Wait, Step::Send),
            _ => self.protocol.handshake(self.receives(slot), line),
        };
        self.step(slot, step)
    }

    /// Handles a connection that ended unexpectedly.
    fn disconnected(&mut self, slot: usize) {
        let was_ready = self.connections[slot].is_ready();
        self.connections[slot].close();
        if self.visitors().contains(&slot) {
            return;
        }
        if !was_ready {
            self.failed += 1;
        } else if slot < self.workload.members {
            self.tally.member_disconnected(slot);
        }
    }

    /// Whether the connection subscribes: it is a member or a visitor.
    fn receives(&self, slot: usize) -> bool {
        slot < self.workload.members || self.visitors().contains(&slot)
    }

    /// The slots of visitors.
    fn visitors(&self) -> Range<usize> {
        self.connections.len() - self.workload.visitors..self.connections.len()
    }

    /// The slot of the publisher.
    fn slot_of(&self, publisher: usize) -> usize {
        match self.protocol.separates_publishers() {
            true => self.workload.members + publisher,
            false => publisher,
        }
    }
}
