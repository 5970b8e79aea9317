//! The server as a child process, and peers that connect to it. Waiting for longer than `PATIENCE`
//! fails the test.

use rustix::process::{Pid, Signal, kill_process};
use std::fmt::{self, Display};
use std::fs::{read_dir, read_to_string};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Polls a condition until it holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_chat-server");

/// The program with its streams piped, and without variables from the test's environment.
pub(crate) fn command(args: &[&str]) -> Command {
    prepare(Command::new(PROGRAM), args)
}

/// The same, run by a shell after the command `first`.
pub(crate) fn command_after(first: &str, args: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{first} exec \"$0\" \"$@\""), PROGRAM]);
    prepare(shell, args)
}

fn prepare(mut command: Command, args: &[&str]) -> Command {
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("CHAT_") {
            command.env_remove(variable);
        }
    }
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running server. Dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    /// The last address that was read from stdout.
    address: Option<SocketAddr>,
}

/// The end of a server.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Server {
    /// A server on a free port, with further flags.
    pub(crate) fn start(args: &[&str]) -> Self {
        let args = [&["--listen", "127.0.0.1:0"], args].concat();
        Self::run(command(&args)).listening()
    }

    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let stdout = Lines::of(child.stdout.take().expect("piped"));
        let stderr = child.stderr.take();
        let stderr = stderr.map_or_else(|| Lines::of(std::io::empty()), Lines::of);
        Self {
            child,
            stdout,
            stderr,
            address: None,
        }
    }

    /// Waits for the next line with an address on stdout.
    pub(crate) fn listening(mut self) -> Self {
        let line = self.stdout.wait_for("listening on ");
        let address = line.strip_prefix("listening on ").expect("that line");
        self.address = Some(address.parse().expect("an address"));
        self
    }

    /// Waits until the server accepts at this address, which it cannot print, and gives the first
    /// peer.
    pub(crate) fn reached_at(mut self, address: SocketAddr) -> (Self, Peer) {
        let since = Instant::now();
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    self.address = Some(address);
                    return (self, Peer::new(stream));
                }
                Err(error) => {
                    assert!(self.is_running() && since.elapsed() < PATIENCE, "{error}");
                    thread::yield_now();
                }
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address.expect("the server has printed it")
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// A peer that joins these others: it reads the greeting, they read its arrival.
    pub(crate) fn newcomer(&self, others: &mut [&mut Peer]) -> Peer {
        let mut peer = self.connect();
        peer.expect_line(&format!("You are {peer}"));
        if !others.is_empty() {
            let names = Vec::from_iter(others.iter().map(ToString::to_string));
            peer.expect_line(&format!("Here now: {}", names.join(", ")));
        }
        for other in others {
            other.expect_line(&format!("{peer} has arrived"));
        }
        peer
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is not reaped yet");
    }

    /// Waits for a line on stderr that contains this, and gives it.
    pub(crate) fn wait_for_log(&mut self, what: &str) -> String {
        self.stderr.wait_for(what)
    }

    /// The log so far.
    pub(crate) fn logged(&mut self) -> &str {
        self.stderr.so_far()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The peak of the resident memory, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a running process, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
        1024 * size
            .and_then(|kib| kib.parse::<u64>().ok())
            .expect("a number of kB")
    }

    /// Stops the process while it waits for I/O, as closing a laptop does. When the process
    /// continues, its wait is interrupted.
    pub(crate) fn suspend_while_idle(&self) {
        wait_until("all threads sleep", || {
            self.states().all(|state| state == 'S')
        });
        self.signal(Signal::STOP);
        // Before that, the process could still receive what is sent next.
        wait_until("all threads are stopped", || {
            self.states().all(|state| state == 'T')
        });
    }

    /// The states of the threads, as in `ps`.
    fn states(&self) -> impl Iterator<Item = char> {
        let threads = read_dir(format!("/proc/{}/task", self.child.id()));
        let threads = threads.expect("a running process, on Linux").flatten();
        threads.map(|thread| {
            let stat = read_to_string(thread.path().join("stat")).unwrap_or_default();
            // It follows the name of the program, which is in parentheses.
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            state.and_then(|rest| rest.chars().next()).unwrap_or('?')
        })
    }

    /// The CPU time of all threads.
    pub(crate) fn processor_time(&self) -> Duration {
        let threads = read_dir(format!("/proc/{}/task", self.child.id()))
            .expect("a running process, on Linux");
        let nanos = threads.flatten().filter_map(|thread| {
            let stat = read_to_string(thread.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// The number of open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        let open = read_dir(format!("/proc/{}/fd", self.child.id()));
        open.expect("a running process, on Linux").count()
    }

    /// Waits until the process has ended.
    pub(crate) fn ended(mut self) -> Ended {
        let stdout = self.stdout.all();
        let stderr = self.stderr.all();
        let status: ExitStatus = self.child.wait().expect("a child");
        Ended {
            code: status.code(),
            stdout,
            stderr,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a stream, which a thread reads.
pub(crate) struct Lines {
    lines: Receiver<String>,
    seen: String,
}

impl Lines {
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                let text = String::from_utf8(std::mem::take(&mut line));
                let _ = sender.send(text.expect("the server prints UTF-8"));
            }
        });
        let seen = String::new();
        Self { lines, seen }
    }

    pub(crate) fn wait_for(&mut self, what: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                panic!("{error} instead of {what:?} after {:?}", self.seen);
            });
            self.seen += &line;
            if line.contains(what) {
                return line.trim_end_matches('\n').to_owned();
            }
        }
    }

    fn so_far(&mut self) -> &str {
        while let Ok(line) = self.lines.try_recv() {
            self.seen += &line;
        }
        &self.seen
    }

    /// Everything, to the end of the stream.
    pub(crate) fn all(&mut self) -> String {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen += &line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return self.seen.clone(),
                Err(error) => panic!("{error} instead of the end after {:?}", self.seen),
            }
        }
    }
}

/// A peer that sends and receives bytes; it is displayed as its name.
pub(crate) struct Peer {
    name: String,
    stream: BufReader<TcpStream>,
}

impl Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("the server listens"))
    }

    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Self {
            name: stream.local_addr().expect("connected").to_string(),
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.get_mut().write_all(bytes.as_ref());
        sent.expect("the server receives it");
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line");
        assert_eq!(line.pop(), Some('\n'), "{self} at the end");
        line
    }

    /// The next line, if it comes within this many seconds.
    pub(crate) fn line_within(&mut self, seconds: u64) -> Option<String> {
        let mut line = String::new();
        let within = Duration::from_secs(seconds);
        let read = self.within(within, |stream| stream.read_line(&mut line));
        read.ok()?;
        line.pop()?;
        Some(line)
    }

    /// The bytes that have been received, and those that follow without a pause.
    pub(crate) fn pending(&mut self) -> Vec<u8> {
        let mut pending = Vec::new();
        let pause = Duration::from_millis(100);
        let read = self.within(pause, |stream| stream.read_to_end(&mut pending));
        read.expect_err("the stream pauses");
        pending
    }

    fn within<T>(
        &mut self,
        time: Duration,
        read: impl FnOnce(&mut BufReader<TcpStream>) -> T,
    ) -> T {
        let limit = |stream: &TcpStream, time| stream.set_read_timeout(Some(time));
        limit(self.stream.get_ref(), time).expect("an option");
        let result = read(&mut self.stream);
        limit(self.stream.get_ref(), PATIENCE).expect("an option");
        result
    }

    /// The next bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("as many bytes");
        bytes
    }

    #[track_caller]
    pub(crate) fn expect_line(&mut self, expected: &str) {
        assert_eq!(self.line(), expected);
    }

    /// Publishes a text, which this peer and the others receive.
    #[track_caller]
    pub(crate) fn publish(&mut self, text: &str, others: &mut [&mut Peer]) {
        self.send(format!("{text}\n"));
        let line = format!("{self}: {text}");
        self.expect_line(&line);
        others.iter_mut().for_each(|other| other.expect_line(&line));
    }

    /// Everything up to the end of the stream.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream
            .read_to_string(&mut rest)
            .expect("an orderly end");
        rest
    }

    /// Another handle of the connection.
    pub(crate) fn stream(&self) -> TcpStream {
        self.stream.get_ref().try_clone().expect("a descriptor")
    }

    pub(crate) fn half_close(&self) {
        let closed = self.stream.get_ref().shutdown(Shutdown::Write);
        closed.expect("the connection is open");
    }
}
