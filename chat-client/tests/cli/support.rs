//! A scripted server, and the client as a child process. A wait longer than `PATIENCE` fails the
//! test: nothing hangs, and no test depends on the speed of the machine.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Runs blocking `work` in a thread and fails the test after `PATIENCE`.
pub(crate) fn in_time<T: Send + 'static>(
    subject: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    answer
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|error| panic!("{subject}: {error}"))
}

/// A listener under the control of its test.
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

    /// Starts a client of this server with pipes as its streams.
    pub(crate) fn client(&self, args: &[&str]) -> Client {
        Client::start(self.command(args))
    }

    /// A client of this server, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let address = self.address().to_string();
        command(args.iter().copied().chain([address.as_str()]))
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

    /// Accepts a client and greets it as `bob`.
    pub(crate) fn greet(&self) -> Peer {
        let mut peer = self.accept();
        peer.send("You are bob\n");
        peer
    }
}

/// The server's side of a connection.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the client reads");
    }

    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &str) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line comes");
        assert_eq!(line, expected);
    }

    /// All input until the client ends its side. A reset counts as an end.
    pub(crate) fn rest_of_bytes(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the client does not end: {error}"),
        }
        rest
    }

    pub(crate) fn rest(&mut self) -> String {
        String::from_utf8(self.rest_of_bytes()).unwrap()
    }

    /// Sends FIN: the client reads all that was sent, then the end.
    pub(crate) fn hang_up(&self) {
        self.stream.get_ref().shutdown(Shutdown::Write).unwrap();
    }

    /// Waits for input and leaves it unread, so that dropping the peer resets the connection.
    pub(crate) fn leave_input_unread(&self) {
        let length = self
            .stream
            .get_ref()
            .peek(&mut [0])
            .expect("the client sends");
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

/// The exit code and the output of a client that has ended.
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

    /// Writes to stdin.
    pub(crate) fn input(&mut self, text: impl AsRef<[u8]>) {
        self.stdin
            .as_mut()
            .expect("stdin is open")
            .write_all(text.as_ref())
            .unwrap();
    }

    /// Writes to stdin from a thread while the client runs, and reports each write.
    pub(crate) fn flood(&mut self) -> Receiver<()> {
        let mut stdin = self.stdin.take().expect("stdin is open");
        let (sender, progress) = mpsc::channel();
        thread::spawn(move || {
            while stdin.write_all(&[b'x'; 1 << 16]).is_ok() {
                // The receiver may be gone.
                let _ = sender.send(());
            }
        });
        progress
    }

    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Waits until stdout equals `expected` so far.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &str) {
        self.stdout
            .as_mut()
            .expect("stdout is a pipe")
            .wait_for(expected);
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid.to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
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
        // The process still exists: its thread has not reported its status.
        if !self.ended && self.status.try_recv().is_err() {
            let _ = Command::new("kill")
                .args(["-KILL", &self.pid.to_string()])
                .status();
        }
    }
}

impl Ended {
    /// Exit code 0, exactly this on stdout, nothing on stderr.
    #[track_caller]
    pub(crate) fn cleanly_with(self, stdout: &str) {
        let text = String::from_utf8_lossy(&self.stdout);
        assert_eq!((self.code, &*text, &*self.stderr), (Some(0), stdout, ""));
    }

    /// One line on stderr, with this beginning.
    #[track_caller]
    pub(crate) fn with(self, code: i32, complaint: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.starts_with(complaint), "{self:?}");
        let end = self.stderr.find('\n');
        assert_eq!(end, Some(self.stderr.len() - 1), "{self:?}");
    }

    /// Exactly this on stderr.
    #[track_caller]
    pub(crate) fn with_exactly(self, code: i32, stderr: &str) {
        assert_eq!((self.code, &*self.stderr), (Some(code), stderr));
    }
}

/// Gathers the output of a pipe.
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
