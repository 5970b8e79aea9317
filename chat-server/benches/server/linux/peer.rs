//! One connection of the crowd.

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

/// Where connections come from, in turn: an address has some 28,000 ports, and a crowd that comes
/// and goes leaves many of them waiting.
const ADDRESSES: usize = 200;

/// A place for a connection, taken or not.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    stream: Option<TcpStream>,
    pub(crate) state: State,
    /// Tells events of an earlier connection in this place from those of this one.
    generation: u32,
    /// A line that has no end yet.
    unfinished: Vec<u8>,
    /// What it has to send.
    pub(crate) out: Vec<u8>,
    waits_to_write: bool,
    /// The last probe that it heard.
    pub(crate) probe: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum State {
    #[default]
    Connecting,
    /// Connected, and not in the room yet.
    Entering,
    Ready,
}

impl Peer {
    /// Connects, in the background. `nth` is different for each connection.
    pub(crate) fn open(
        &mut self,
        epoll: &OwnedFd,
        place: usize,
        address: SocketAddr,
        nth: usize,
    ) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None)?;
        socket.set_tcp_nodelay(true)?;
        let host = (nth % ADDRESSES) as u8 + 1;
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), 0)).into())?;
        match socket.connect(&address.into()) {
            Err(error) if Errno::from_io_error(&error) != Some(Errno::INPROGRESS) => {
                return Err(error);
            }
            _ => {}
        }
        *self = Self {
            generation: self.generation + 1,
            waits_to_write: true,
            ..Self::default()
        };
        let data = self.data(place);
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
        self.out.clear();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.stream.is_some()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.is_open() && self.state == State::Ready
    }

    /// Which of the connections in this place it is.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Whether it is still the connection that an event is about.
    pub(crate) fn is(&self, generation: u32) -> bool {
        self.is_open() && self.generation == generation
    }

    /// Why the connection could not be made, if so.
    pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.stream.as_ref().map_or(Ok(None), TcpStream::take_error)
    }

    /// Has no more events until [`listen`](Self::listen).
    pub(crate) fn turn_away(&self, epoll: &OwnedFd) -> io::Result<()> {
        match &self.stream {
            Some(stream) => Ok(epoll::delete(epoll, stream)?),
            None => Ok(()),
        }
    }

    pub(crate) fn listen(&self, epoll: &OwnedFd, place: usize) -> io::Result<()> {
        match &self.stream {
            Some(stream) => Ok(epoll::add(epoll, stream, self.data(place), EventFlags::IN)?),
            None => Ok(()),
        }
    }

    /// Sends what the socket takes, and asks to be told when it takes the rest.
    pub(crate) fn flush(&mut self, epoll: &OwnedFd, place: usize) -> io::Result<()> {
        let data = self.data(place);
        let Some(stream) = &mut self.stream else {
            self.out.clear();
            return Ok(());
        };
        if !self.out.is_empty() {
            match stream.write(&self.out) {
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        let waits = !self.out.is_empty();
        if waits != self.waits_to_write {
            self.waits_to_write = waits;
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, waits);
            epoll::modify(epoll, stream, data, flags)?;
        }
        Ok(())
    }

    /// Puts what came behind the unfinished line, both into `buffer`; how much that is, or 0 if
    /// nothing came.
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

    pub(crate) fn keep(&mut self, unfinished: &[u8]) {
        self.unfinished.clear();
        self.unfinished.extend_from_slice(unfinished);
    }

    /// What its events carry: where it is and which it is.
    fn data(&self, place: usize) -> EventData {
        EventData::new_u64(u64::from(self.generation) << 32 | place as u64)
    }
}
