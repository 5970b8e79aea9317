//! The floor: the least that one thread does to pass lines on to everybody.
//!
//! No names, no greeting, no limits. All lines that can be read are one batch, and each client gets
//! it in one write.

use memchr::memrchr;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use socket2::{Domain, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

/// The most that is read from a client at a time.
const READ: usize = 64 * 1024;

/// With this much the batch goes out before more is read.
const BATCH: usize = 1024 * 1024;

/// A client for whom more than this would have to be kept is cut.
const PENDING: usize = 4 * 1024 * 1024;

/// Stands for the listener among the clients' numbers.
const LISTENER: u64 = u64::MAX;

/// Serves until it is killed; says where on stdout.
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

/// The backlog of the standard library is 128, and a crowd that comes at once is more.
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
    /// How much of the batch is lines.
    filled: usize,
}

struct Client {
    stream: TcpStream,
    /// A line that has no end yet.
    unfinished: Vec<u8>,
    /// What a short write left.
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
                    number => self.serve_client(number as usize, event.flags),
                }
                if self.filled >= BATCH {
                    self.pass_on();
                }
            }
            self.pass_on();
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
                Some(place) => *place = client,
                None => self.clients.push(client),
            }
        }
        Ok(())
    }

    fn serve_client(&mut self, number: usize, ready: EventFlags) {
        // It may have gone in the same round.
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

    /// Gives the batch to everybody.
    fn pass_on(&mut self) {
        if self.filled == 0 {
            return;
        }
        let batch = &self.batch[..self.filled];
        for (number, place) in self.clients.iter_mut().enumerate() {
            let Some(client) = place else { continue };
            if client.give(batch, &self.epoll, number).is_err() {
                *place = None;
                self.vacant.push(number);
            }
        }
        self.filled = 0;
    }
}

impl Client {
    /// Puts lines into the front of `batch`, and says how many bytes of them.
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

    fn give(&mut self, batch: &[u8], epoll: &OwnedFd, number: usize) -> io::Result<()> {
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
            // Kept for those alone who need it.
            self.pending = Vec::new();
            let data = EventData::new_u64(number as u64);
            epoll::modify(epoll, &self.stream, data, EventFlags::IN)?;
        }
        Ok(())
    }
}

/// How much the socket takes now.
fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
