//! Stdout and stderr: the bytes of the server, and the client's own messages.

use std::io::{self, IsTerminal, Stdout, Write};

use terminal_size::{Width, terminal_size_of};

use crate::sanitizer::Sanitizer;
use crate::wrap::Wrapper;

/// The width of a terminal that does not report its own.
const USUAL_WIDTH: usize = 80;

/// The destination of the server's bytes.
#[derive(Debug)]
pub(crate) struct Output {
    sink: Sink,
    /// The text on stderr follows that on stdout, in one window, file or pipe.
    shares_stderr: bool,
}

#[derive(Debug)]
enum Sink {
    /// All bytes are discarded. They are read all the same, so that the server need not wait.
    Nowhere,
    /// A pipe or a file gets all bytes unchanged.
    Raw { stdout: Stdout, is_in_line: bool },
    /// A terminal obeys control characters, and the server must not control it.
    Terminal {
        stdout: Stdout,
        sanitizer: Sanitizer,
        wrapper: Wrapper,
    },
}

impl Output {
    /// Discards all bytes, as for `--send-only`.
    pub(crate) fn nowhere() -> Self {
        Self {
            sink: Sink::Nowhere,
            shares_stderr: false,
        }
    }

    /// Writes to stdout.
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        if stdout.is_terminal() {
            Self {
                sink: Sink::Terminal {
                    stdout,
                    sanitizer: Sanitizer::default(),
                    wrapper: Wrapper::default(),
                },
                shares_stderr: io::stderr().is_terminal(),
            }
        } else {
            Self {
                sink: Sink::Raw {
                    stdout,
                    is_in_line: false,
                },
                shares_stderr: shares_stderr(),
            }
        }
    }

    /// Shows `bytes` at once; on a terminal the beginning of an unfinished character waits.
    ///
    /// # Errors
    ///
    /// Those of stdout.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.sink {
            Sink::Nowhere => Ok(()),
            Sink::Raw { stdout, is_in_line } => {
                if let Some(last) = bytes.last() {
                    *is_in_line = *last != b'\n';
                }
                write_now(stdout, bytes)
            }
            Sink::Terminal {
                stdout,
                sanitizer,
                wrapper,
            } => show(stdout, wrapper, &sanitizer.push(bytes)),
        }
    }

    /// Shows an unfinished character at the end of the stream.
    ///
    /// # Errors
    ///
    /// Those of stdout.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Nowhere | Sink::Raw { .. } => Ok(()),
            Sink::Terminal {
                stdout,
                sanitizer,
                wrapper,
            } => show(stdout, wrapper, &sanitizer.finish()),
        }
    }

    /// Whether a reader of stderr has already seen the server's notices, on the same terminal.
    pub(crate) fn shows_notices(&self) -> bool {
        self.shares_stderr && matches!(self.sink, Sink::Terminal { .. })
    }

    /// Ends an unfinished line, so that a message on stderr starts on a line of its own.
    pub(crate) fn end_line(&mut self) {
        let is_in_line = match &mut self.sink {
            Sink::Nowhere => return,
            Sink::Raw { is_in_line, .. } => std::mem::take(is_in_line),
            Sink::Terminal { wrapper, .. } => {
                let is_in_line = wrapper.is_in_line();
                wrapper.line_ended();
                is_in_line
            }
        };
        if is_in_line && self.shares_stderr {
            // Stderr need not be readable.
            let _ = io::stderr().write_all(b"\n");
        }
    }
}

fn show(stdout: &mut Stdout, wrapper: &mut Wrapper, text: &str) -> io::Result<()> {
    let mut rows = String::with_capacity(text.len() + text.len() / 8);
    // Asked for each time: a user can change it at any moment.
    wrapper.push(text, width(&*stdout), &mut rows);
    write_now(stdout, rows.as_bytes())
}

fn write_now(stdout: &mut Stdout, bytes: &[u8]) -> io::Result<()> {
    let mut stdout = stdout.lock();
    stdout.write_all(bytes)?;
    // Otherwise an unfinished line would wait for its end.
    stdout.flush()
}

#[cfg(unix)]
fn width(terminal: impl std::os::fd::AsFd) -> usize {
    columns(terminal_size_of(terminal))
}

#[cfg(windows)]
fn width(terminal: impl std::os::windows::io::AsHandle) -> usize {
    columns(terminal_size_of(terminal))
}

fn columns<H>(size: Option<(Width, H)>) -> usize {
    size.map_or(USUAL_WIDTH, |(Width(columns), _)| usize::from(columns))
}

/// Whether stdout and stderr are the same file, as after `2>&1`.
#[cfg(unix)]
fn shares_stderr() -> bool {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    let identity = |stream: &dyn AsFd| {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        let metadata = file.metadata()?;
        io::Result::Ok((metadata.dev(), metadata.ino()))
    };
    match (identity(&io::stdout()), identity(&io::stderr())) {
        (Ok(stdout), Ok(stderr)) => stdout == stderr,
        _ => false,
    }
}

#[cfg(not(unix))]
fn shares_stderr() -> bool {
    false
}

/// Writes one line to stderr. Unlike `eprintln!`, does not panic if that fails.
pub(crate) fn complain(message: &str) {
    let mut stderr = io::stderr();
    let line = format!("chat-client: {message}\n");
    let _ = if stderr.is_terminal() {
        // The message can contain text of the server.
        let mut rows = String::new();
        Wrapper::default().push(&line, width(&stderr), &mut rows);
        stderr.write_all(rows.as_bytes())
    } else {
        stderr.write_all(line.as_bytes())
    };
}
