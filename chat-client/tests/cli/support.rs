//! A server that does what a test says, and the client as a child process. Whatever takes longer
//! than `PATIENCE` fails the test; nothing hangs, and no test depends on how fast anything is.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs what may block in a thread; the answer must come within `PATIENCE`.
pub(crate) fn in_time<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    answer
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|error| panic!("{what}: {error}"))
}

pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::on("127.0.0.1:0").unwrap()
    }

    pub(crate) fn on(address: &str) -> io::Result<Self> {
        TcpListener::bind(address).map(|listener| Self { listener })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Starts a client of this server, all its streams being pipes.
    pub(crate) fn client(&self, args: &[&str]) -> Client {
        Client::start(command(self.command_args(args)))
    }

    /// The same, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        command(self.command_args(args))
    }

    fn command_args(&self, args: &[&str]) -> Vec<String> {
        let address = self.address().to_string();
        args.iter()
            .map(|&arg| arg.to_owned())
            .chain([address])
            .collect()
    }

    pub(crate) fn accept(&self) -> Peer {
        let listener = self.listener.try_clone().unwrap();
        let (stream, _) = in_time("accept", move || listener.accept()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Peer {
            stream: BufReader::new(stream),
        }
    }
}

/// The server's side of a connection.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_say(bytes)
            .expect("the client takes what it is sent");
    }

    pub(crate) fn try_say(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    #[track_caller]
    pub(crate) fn hears(&mut self, expected: &str) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line comes");
        assert_eq!(line, expected);
    }

    /// Everything until the client ends its side; a reset counts as that.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the client does not end: {error}"),
        }
        String::from_utf8(rest).unwrap()
    }

    /// Orderly: the client sees the end after what was said.
    pub(crate) fn hang_up(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Waits for something to read, and leaves it there: dropping a peer then resets the
    /// connection, as closing one with unread input does.
    pub(crate) fn has_unread_input(&self) {
        let length = self
            .stream
            .get_ref()
            .peek(&mut [0])
            .expect("the client sends something");
        assert_eq!(length, 1);
    }
}

pub(crate) fn command<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-client"));
    command
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running chat-client.
pub(crate) struct Client {
    pid: u32,
    stdin: Option<ChildStdin>,
    stdout: Option<Collector>,
    stderr: Option<Collector>,
    status: Receiver<ExitStatus>,
    ended: bool,
}

/// What a client said until it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Client {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child: Child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map(Collector::new);
        let stderr = child.stderr.take().map(Collector::new);
        let pid = child.id();
        let (sender, status) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait().unwrap()));
        Self {
            pid,
            stdin,
            stdout,
            stderr,
            status,
            ended: false,
        }
    }

    pub(crate) fn types(&mut self, text: &str) {
        self.stdin
            .as_mut()
            .expect("stdin is open")
            .write_all(text.as_bytes())
            .unwrap();
    }

    /// Writes to stdin from a thread for as long as the client lives, and tells of each write.
    pub(crate) fn floods(&mut self) -> Receiver<()> {
        let mut stdin = self.stdin.take().expect("stdin is open");
        let (sender, progress) = mpsc::channel();
        thread::spawn(move || {
            while stdin.write_all(&[b'x'; 1 << 16]).is_ok() {
                // Whether anyone wants to know or not.
                let _ = sender.send(());
            }
        });
        progress
    }

    pub(crate) fn ends_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until stdout is `expected` from its beginning on.
    #[track_caller]
    pub(crate) fn shows(&mut self, expected: &str) {
        self.stdout
            .as_mut()
            .expect("stdout is a pipe of ours")
            .wait_for(expected);
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for the client to end by itself. Its stdin stays as it is until then.
    pub(crate) fn end(mut self) -> Ended {
        let status = self.status.recv_timeout(PATIENCE).expect("the client ends");
        self.ended = true;
        let stdout = self.stdout.take().map(Collector::rest).unwrap_or_default();
        let stderr = self.stderr.take().map(Collector::rest).unwrap_or_default();
        Ended {
            code: status.code(),
            stdout,
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Still ours to kill: the thread that waits for it has not told of its end.
        if !self.ended && self.status.try_recv().is_err() {
            let _ = Command::new("kill")
                .args(["-KILL", &self.pid.to_string()])
                .status();
        }
    }
}

impl Ended {
    /// Exactly this, and nothing on stderr.
    #[track_caller]
    pub(crate) fn cleanly_with(self, stdout: &str) {
        let text = String::from_utf8_lossy(&self.stdout);
        assert_eq!((self.code, &*text, &*self.stderr), (Some(0), stdout, ""));
    }

    /// With one line on stderr, which begins like this.
    #[track_caller]
    pub(crate) fn with(self, code: i32, complaint: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.starts_with(complaint), "{self:?}");
        assert_eq!(
            self.stderr.find('\n'),
            Some(self.stderr.len() - 1),
            "{self:?}"
        );
    }
}

/// Gathers what comes from a pipe.
struct Collector {
    chunks: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Collector {
    fn new(mut pipe: impl Read + Send + 'static) -> Self {
        let (sender, chunks) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            chunks,
            seen: Vec::new(),
        }
    }

    #[track_caller]
    fn wait_for(&mut self, expected: &str) {
        while self.seen.len() < expected.len() {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => self.seen.extend(chunk),
                Err(error) => panic!("{error}: {:?}", String::from_utf8_lossy(&self.seen)),
            }
        }
        assert_eq!(String::from_utf8_lossy(&self.seen), expected);
    }

    fn rest(mut self) -> Vec<u8> {
        loop {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => self.seen.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => return self.seen,
                Err(RecvTimeoutError::Timeout) => panic!("a stream outlives the client"),
            }
        }
    }
}
