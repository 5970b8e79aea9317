//! The server as a child process, and peers that connect to it. Whatever takes longer than
//! `PATIENCE` fails the test.

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
/// Waits for what must come to be.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_chat-server");

/// The program with its streams piped, and with no settings from the environment.
pub(crate) fn command(args: &[&str]) -> Command {
    prepare(Command::new(PROGRAM), args)
}

/// The same by way of a shell, which does `first`.
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

/// A running server. It is killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    stdout: Lines,
    stderr: Lines,
    /// Its first address; none if it was not told to say so.
    address: Option<SocketAddr>,
}

/// How a server ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Server {
    /// One on a port of its own, with these flags as well.
    pub(crate) fn start(args: &[&str]) -> Self {
        let args = [&["--listen", "127.0.0.1:0"], args].concat();
        Self::run(command(&args)).listening()
    }

    pub(crate) fn run(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program runs");
        let stdout = Lines::of(child.stdout.take().expect("piped"));
        let stderr = match child.stderr.take() {
            Some(stderr) => Lines::of(stderr),
            None => Lines::of(std::io::empty()),
        };
        Self {
            child,
            stdout,
            stderr,
            address: None,
        }
    }

    /// Waits until it says where it listens.
    pub(crate) fn listening(mut self) -> Self {
        let line = self.stdout.wait_for("listening on ");
        let address = line.strip_prefix("listening on ").expect("that line");
        self.address = Some(address.parse().expect("an address"));
        self
    }

    /// Waits until it listens at this address, which it cannot say; gives the first peer.
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
        self.address.expect("it has said so")
    }

    pub(crate) fn connect(&self) -> Peer {
        Peer::connect(self.address())
    }

    /// Connects to a server which greets with the name and, if others are here, the roster.
    pub(crate) fn newcomer(&self, others: &mut [&mut Peer]) -> Peer {
        let mut peer = self.connect();
        peer.hears(&format!("You are {peer}"));
        if !others.is_empty() {
            let names = Vec::from_iter(others.iter().map(ToString::to_string));
            peer.hears(&format!("Here now: {}", names.join(", ")));
        }
        for other in others {
            other.hears(&format!("{peer} has arrived"));
        }
        peer
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is not waited for yet");
    }

    /// Waits for a line on stderr that contains this, and gives it.
    pub(crate) fn logs(&mut self, what: &str) -> String {
        self.stderr.wait_for(what)
    }

    /// What it has logged, as far as it was looked at and whatever has come since.
    pub(crate) fn logged(&mut self) -> &str {
        self.stderr.come_so_far()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory that it has ever had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, what: &str) -> u64 {
        let status = read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs, on Linux");
        let line = status.lines().find_map(|line| line.strip_prefix(what));
        let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
        1024 * size
            .and_then(|kib| kib.parse::<u64>().ok())
            .expect("so many kB")
    }

    /// Stops it while it waits for something to happen, as a laptop that is closed does; its wait is
    /// then interrupted when it goes on.
    pub(crate) fn stop_asleep(&self) {
        wait_until("it sleeps", || self.states().all(|state| state == 'S'));
        self.signal(Signal::STOP);
        // Else it might still see what is sent next.
        wait_until("it has stopped", || self.states().all(|state| state == 'T'));
    }

    /// What its threads do.
    fn states(&self) -> impl Iterator<Item = char> {
        let threads = read_dir(format!("/proc/{}/task", self.child.id()));
        let threads = threads.expect("it runs, on Linux").flatten();
        threads.map(|thread| {
            let stat = read_to_string(thread.path().join("stat")).unwrap_or_default();
            // After the name of the program, which is in parentheses.
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
            state.and_then(|rest| rest.chars().next()).unwrap_or('?')
        })
    }

    /// How long it has used a processor, its threads together.
    pub(crate) fn processor_time(&self) -> Duration {
        let threads =
            read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs, on Linux");
        let nanos = threads.flatten().filter_map(|thread| {
            let stat = read_to_string(thread.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanos.sum())
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let open = read_dir(format!("/proc/{}/fd", self.child.id()));
        open.expect("it runs, on Linux").count()
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ended {
        let stdout = self.stdout.all();
        let stderr = self.stderr.all();
        let status: ExitStatus = self.child.wait().expect("it is ours");
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

/// The lines of a stream, which is read all the time.
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
                let _ = sender.send(text.expect("it prints UTF-8"));
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

    fn come_so_far(&mut self) -> &str {
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

/// A peer that speaks bytes; it is shown as its name.
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
        Self::new(TcpStream::connect(address).expect("it listens"))
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_write_timeout(Some(PATIENCE)).expect("an option");
        Self {
            name: stream.local_addr().expect("connected").to_string(),
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.stream.get_mut().write_all(bytes.as_ref());
        sent.expect("the server takes it");
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("a line comes");
        assert_eq!(line.pop(), Some('\n'), "the end of {self}");
        line
    }

    /// The next line, if it comes in so many seconds.
    pub(crate) fn line_within(&mut self, seconds: u64) -> Option<String> {
        let mut line = String::new();
        let within = Duration::from_secs(seconds);
        let read = self.within(within, |stream| stream.read_line(&mut line));
        read.ok()?;
        line.pop()?;
        Some(line)
    }

    /// What has come, and comes at once.
    pub(crate) fn pending(&mut self) -> Vec<u8> {
        let mut pending = Vec::new();
        let at_once = Duration::from_millis(100);
        let read = self.within(at_once, |stream| stream.read_to_end(&mut pending));
        read.expect_err("that nothing more has come in time");
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

    /// So many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("they come");
        bytes
    }

    #[track_caller]
    pub(crate) fn hears(&mut self, expected: &str) {
        assert_eq!(self.line(), expected);
    }

    /// Says something, which these and itself hear.
    #[track_caller]
    pub(crate) fn say(&mut self, text: &str, others: &mut [&mut Peer]) {
        self.send(format!("{text}\n"));
        let line = format!("{self}: {text}");
        self.hears(&line);
        others.iter_mut().for_each(|other| other.hears(&line));
    }

    /// Everything to the end.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = String::new();
        self.stream
            .read_to_string(&mut rest)
            .expect("an orderly end");
        rest
    }

    /// Another handle on its connection.
    pub(crate) fn stream(&self) -> TcpStream {
        self.stream.get_ref().try_clone().expect("a descriptor")
    }

    pub(crate) fn half_close(&self) {
        let closed = self.stream.get_ref().shutdown(Shutdown::Write);
        closed.expect("it is open");
    }
}
