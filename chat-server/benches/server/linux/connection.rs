//! One connection of the load generator.

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

/// Source addresses, used in turn: an address has about 28,000 ephemeral ports, and connections that
/// come and go leave many of them in TIME_WAIT.
const ADDRESSES: usize = 200;

/// A slot for a connection, occupied or vacant.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    stream: Option<TcpStream>,
    pub(crate) state: State,
    /// Distinguishes events of this connection from those of an earlier one in the same slot.
    generation: u32,
    /// The beginning of a line whose end has not arrived.
    unfinished: Vec<u8>,
    /// Bytes that are to be sent.
    pub(crate) outgoing: Vec<u8>,
    awaits_writability: bool,
    /// The last probe received.
    pub(crate) probe: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum State {
    #[default]
    Connecting,
    /// Connected, but not joined yet.
    Joining,
    Ready,
}

impl Connection {
    /// Starts to connect. `index` is unique to each connection.
    pub(crate) fn open(
        &mut self,
        epoll: &OwnedFd,
        slot: usize,
        address: SocketAddr,
        index: usize,
    ) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.set_tcp_nodelay(true)?;
        let host = (index % ADDRESSES) as u8 + 1;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), 0)).into())?;
        match socket.connect(&address.into()) {
            Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        *self = Self {
            generation: self.generation + 1,
            awaits_writability: true,
            ..Self::default()
        };
        let data = self.data(slot);
        let stream = self.stream.insert(socket.into());
        Ok(epoll::add(
            epoll,
            stream,
            data,
            EventFlags::IN | EventFlags::OUT,
        )?)
    }

    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.outgoing.clear();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_open() && self.state == State::Ready
    }

    /// The generation of the current connection.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether an event with this generation concerns the current connection.
    pub(crate) fn is_current(&self, generation: u32) -> bool {
        self.is_open() && self.generation == generation
    }

    /// The error with which connecting failed, if any.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.as_ref().map_or(Ok(None), TcpStream::take_error)
    }

    /// Deregisters from epoll until [`resume_reading`](Self::resume_reading).
    pub(crate) fn pause_reading(&self, epoll: &OwnedFd) -> io::Result<()> {
        match &self.stream {
            Some(stream) => Ok(epoll::delete(epoll, stream)?),
            None => Ok(()),
        }
    }

    pub(crate) fn resume_reading(&self, epoll: &OwnedFd, slot: usize) -> io::Result<()> {
        match &self.stream {
            Some(stream) => Ok(epoll::add(epoll, stream, self.data(slot), EventFlags::IN)?),
            None => Ok(()),
        }
    }

    /// Sends what the socket accepts, and awaits writability if bytes remain.
    pub(crate) fn flush(&mut self, epoll: &OwnedFd, slot: usize) -> io::Result<()> {
        let data = self.data(slot);
        let Some(stream) = &mut self.stream else {
            self.outgoing.clear();
            return Ok(());
        };
        if !self.outgoing.is_empty() {
            match stream.write(&self.outgoing) {
                Ok(written) => drop(self.outgoing.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let has_more = !self.outgoing.is_empty();
        if has_more != self.awaits_writability {
            self.awaits_writability = has_more;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, has_more);
            epoll::modify(epoll, stream, data, flags)?;
        }
        Ok(())
    }

    /// Reads into `buffer`, after the unfinished line. Returns the length of both together, or 0 if
    /// nothing was read.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else {
            return Ok(0);
        };
        let kept = self.unfinished.len();
        match stream.read(&mut buffer[kept..]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer[..kept].copy_from_slice(&self.unfinished);
                Ok(kept + count)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            },
        }
    }

    /// Stores the beginning of a line for the next read.
    pub(crate) fn keep(&mut self, unfinished: &[u8]) {
        self.unfinished.clear();
        self.unfinished.extend_from_slice(unfinished);
    }

    /// The data of its events: slot and generation.
    fn data(&self, slot: usize) -> EventData {
        EventData::new_u64(u64::from(self.generation) << 32 | slot as u64)
    }
}
