//! The servers under test. Each run starts a fresh process.

use crate::linux::wire::Protocol;
use std::fmt::{self, Display, Formatter};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A program to measure.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Program {
    /// A minimal single-threaded rebroadcaster
    Floor,
    /// The server of this project
    ChatServer,
    /// A typical tokio server: one `tokio::sync::broadcast`, a task per client
    Broadcast,
    /// redis-server, one channel
    Redis,
    /// nats-server, one subject
    Nats,
}

impl Program {
    pub(crate) const ALL: [Self; 5] = [
        Self::Floor,
        Self::ChatServer,
        Self::Broadcast,
        Self::Redis,
        Self::Nats,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::ChatServer => "chat-server",
            Self::Broadcast => "broadcast",
            Self::Redis => "redis",
            Self::Nats => "nats",
        }
    }

    /// Whether the program is installed.
    pub(crate) fn is_installed(self) -> bool {
        let program = match self {
            Self::Floor | Self::ChatServer | Self::Broadcast => return true,
            Self::Redis => "redis-server",
            Self::Nats => "nats-server",
        };
        let mut command = Command::new(program);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok()
    }

    /// Starts the program on a free port; `extra` are flags for `chat-server`.
    pub(crate) fn start(self, extra: &[String]) -> io::Result<Server> {
        match self {
            Self::Floor | Self::Broadcast => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--serve", self.name()]);
                let greets = self == Self::Broadcast;
                Server::spawn_announcing(command, Protocol::Chat { greets })
            }
            Self::ChatServer => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_chat-server"));
                command.args(["--listen", "127.0.0.1:0", "--max-peers", "20000"]);
                command.args(extra).env("CHAT_LOG", "error");
                Server::spawn_announcing(command, Protocol::Chat { greets: true })
            }
            Self::Redis => {
                let mut command = Command::new("redis-server");
                command.args([
                    "--bind",
                    "127.0.0.1",
                    "--protected-mode",
                    "no",
                    "--save",
                    "",
                ]);
                command.args(["--appendonly", "no", "--maxclients", "19500", "--port"]);
                Server::spawn_on_port(command, Protocol::Redis)
            }
            Self::Nats => {
                let mut command = Command::new("nats-server");
                command.args(["-a", "127.0.0.1", "-p"]);
                Server::spawn_on_port(command, Protocol::Nats)
            }
        }
    }
}

impl Display for Program {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    protocol: Protocol,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Starts a server that prints `listening on ADDRESS`.
    fn spawn_announcing(mut command: Command, protocol: Protocol) -> io::Result<Self> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let read = match &mut process.stdout {
            Some(stdout) => BufReader::new(stdout).read_line(&mut line),
            None => Ok(0),
        };
        let printed = line.trim_end().strip_prefix("listening on ");
        let address = printed.and_then(|address| address.parse().ok());
        let server = Self {
            process,
            address: address.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()),
            protocol,
        };
        match (read, address) {
            (Err(error), _) => Err(error),
            (_, None) => Err(io::Error::other("the server did not print its address")),
            _ => Ok(server),
        }
    }

    /// Starts a server that takes a port as its last argument, and waits until it listens.
    fn spawn_on_port(mut command: Command, protocol: Protocol) -> io::Result<Self> {
        // Another process could take the port in between; the server then reports an error.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        command.arg(address.port().to_string());
        // Any files that the server writes go there.
        command.current_dir(std::env::temp_dir());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Self {
            process: command.spawn()?,
            address,
            protocol,
        };
        for _ in 0..200 {
            if TcpStream::connect(address).is_ok() {
                return Ok(server);
            }
            sleep(Duration::from_millis(25));
        }
        Err(io::Error::other("the server does not listen"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if the process has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
