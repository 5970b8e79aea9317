//! The floor: a minimal single-threaded rebroadcaster of lines.
//!
//! No names, no greeting, no limits. All lines that can be read form one batch, and each client
//! receives it in one write.

use memchr::memrchr;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

/// The longest read from a client, in bytes.
const READ: usize = 64 * 1024;

/// A batch of this many bytes is sent before more is read.
const BATCH: usize = 1024 * 1024;

/// A client with more unsent bytes than this is disconnected.
const PENDING: usize = 4 * 1024 * 1024;

/// The listener, among the numbers of clients.
const LISTENER: u64 = u64::MAX;

/// Serves until the process is killed; prints the address to stdout.
pub(crate) fn serve() -> io::Result<()> {
    let listener = listen()?;
    println!("listening on {}", listener.local_addr()?);
    Floor {
        epoll: epoll::create(CreateFlags::CLOEXEC)?,
        listener,
        clients: Vec::new(),
        vacant: Vec::new(),
        batch: vec![0; BATCH + 2 * READ],
        filled: 0,
    }
    .run()
}

/// The backlog of the standard library is 128, too short for a generator that connects at once.
fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

struct Floor {
    epoll: OwnedFd,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    vacant: Vec<usize>,
    batch: Vec<u8>,
    /// Bytes of complete lines in the batch.
    filled: usize,
}

struct Client {
    stream: TcpStream,
    /// The beginning of a line whose end has not arrived.
    unfinished: Vec<u8>,
    /// Bytes that the socket has not accepted yet.
    pending: Vec<u8>,
}

impl Floor {
    fn run(mut self) -> io::Result<()> {
        let data = EventData::new_u64(LISTENER);
        epoll::add(&self.epoll, &self.listener, data, EventFlags::IN)?;
        let mut events: Vec<Event> = Vec::with_capacity(512);
        loop {
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    number => self.handle_event(number as usize, event.flags),
                }
                if self.filled >= BATCH {
                    self.send_batch();
                }
            }
            self.send_batch();
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        for _ in 0..256 {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = self.vacant.pop().unwrap_or(self.clients.len());
            let data = EventData::new_u64(number as u64);
            epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
            let client = Some(Client {
                stream,
                unfinished: Vec::new(),
                pending: Vec::new(),
            });
            match self.clients.get_mut(number) {
                Some(slot) => *slot = client,
                None => self.clients.push(client),
            }
        }
        Ok(())
    }

    fn handle_event(&mut self, number: usize, ready: EventFlags) {
        // An earlier event of the same wait may have removed it.
        let Some(client) = &mut self.clients[number] else {
            return;
        };
        let done = if ready.contains(EventFlags::OUT) {
            client.flush(&self.epoll, number)
        } else {
            Ok(())
        };
        let done = done.and_then(|()| {
            if ready.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.filled += client.read(&mut self.batch[self.filled..])?;
            }
            Ok(())
        });
        if done.is_err() {
            self.clients[number] = None;
            self.vacant.push(number);
        }
    }

    /// Sends the batch to all clients.
    fn send_batch(&mut self) {
        if self.filled == 0 {
            return;
        }
        let batch = &self.batch[..self.filled];
        for (number, slot) in self.clients.iter_mut().enumerate() {
            let Some(client) = slot else { continue };
            if client.send(batch, &self.epoll, number).is_err() {
                *slot = None;
                self.vacant.push(number);
            }
        }
        self.filled = 0;
    }
}

impl Client {
    /// Reads complete lines into `batch`, and returns their length in bytes.
    fn read(&mut self, batch: &mut [u8]) -> io::Result<usize> {
        let kept = self.unfinished.len();
        batch[..kept].copy_from_slice(&self.unfinished);
        let end = match self.stream.read(&mut batch[kept..kept + READ]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => kept + count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let lines = memrchr(b'\n', &batch[..end]).map_or(0, |at| at + 1);
        if end - lines > READ {
            return Err(ErrorKind::InvalidData.into());
        }
        self.unfinished.clear();
        self.unfinished.extend_from_slice(&batch[lines..end]);
        Ok(lines)
    }

    fn send(&mut self, batch: &[u8], epoll: &OwnedFd, number: usize) -> io::Result<()> {
        let mut rest = batch;
        if self.pending.is_empty() {
            rest = &batch[write(&mut self.stream, batch)?..];
            if rest.is_empty() {
                return Ok(());
            }
            let data = EventData::new_u64(number as u64);
            let both = EventFlags::IN | EventFlags::OUT;
            epoll::modify(epoll, &self.stream, data, both)?;
        }
        if self.pending.len() + rest.len() > PENDING {
            return Err(ErrorKind::OutOfMemory.into());
        }
        self.pending.extend_from_slice(rest);
        Ok(())
    }

    fn flush(&mut self, epoll: &OwnedFd, number: usize) -> io::Result<()> {
        let written = write(&mut self.stream, &self.pending)?;
        self.pending.drain(..written);
        if self.pending.is_empty() {
            // Only clients with unsent bytes need the memory.
            self.pending = Vec::new();
            let data = EventData::new_u64(number as u64);
            epoll::modify(epoll, &self.stream, data, EventFlags::IN)?;
        }
        Ok(())
    }
}

/// Writes without blocking, and returns the number of bytes accepted.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
