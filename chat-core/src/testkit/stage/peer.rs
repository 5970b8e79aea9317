//! The peer: the remote end of the transport under test.

use super::verdict::{Stop, Verdict, broken, failed, show};
use super::{PEER, Stage, WITNESS};
use crate::testkit::remote::Remote;

impl Stage {
    /// The remote, which is used while it is there.
    pub(in crate::testkit) fn remote(&mut self) -> Verdict<&mut Box<dyn Remote>> {
        let gone = || Stop::Broken("the remote has hung up".into());
        self.remote.as_mut().ok_or_else(gone)
    }

    /// Takes the remote away; to drop it is to hang up.
    pub(in crate::testkit) fn take_remote(&mut self) -> Verdict<Box<dyn Remote>> {
        let gone = || Stop::Broken("the remote has hung up".into());
        self.remote.take().ok_or_else(gone)
    }

    pub(in crate::testkit) fn give_remote(&mut self, remote: Box<dyn Remote>) {
        self.remote = Some(remote);
    }

    /// The peer says something: the remote sends whole lines.
    pub(in crate::testkit) async fn send(&mut self, text: &str) -> Verdict {
        let deadline = self.deadline;
        let what = || format!("the peer tries to send {}", show(text.trim_end()));
        let sent = deadline.meet(what, self.remote()?.send(text)).await?;
        sent.map_err(|error| failed("send", &error))
    }

    /// The peer sends part of a line.
    pub(in crate::testkit) async fn send_part(&mut self, part: &[u8]) -> Verdict {
        let deadline = self.deadline;
        let what = || format!("the peer tries to send {} bytes", part.len());
        let sent = deadline.meet(what, self.remote()?.send_part(part)).await?;
        sent.map_err(|error| failed("send_part", &error))
    }

    /// The peer says that it will send no more.
    pub(in crate::testkit) async fn finish(&mut self) -> Verdict {
        let deadline = self.deadline;
        let what = || "the peer tries to finish".into();
        let finished = deadline.meet(what, self.remote()?.finish()).await?;
        finished.map_err(|error| failed("finish", &error))
    }

    /// The same after the hub's end has said so, when the connection may be gone.
    pub(in crate::testkit) async fn finish_last(&mut self) -> Verdict {
        let deadline = self.deadline;
        let what = || "the peer tries to finish".into();
        // It was not about this.
        let _ = deadline.meet(what, self.remote()?.finish()).await?;
        Ok(())
    }

    /// The peer breaks the connection.
    pub(in crate::testkit) async fn reset(&mut self) -> Verdict {
        let deadline = self.deadline;
        let what = || "the peer tries to reset the connection".into();
        let reset = deadline.meet(what, self.remote()?.reset()).await?;
        reset.map_err(|error| failed("reset", &error))
    }

    /// The next line of what came to the peer; `None` at an orderly end.
    pub(in crate::testkit) async fn peer_line(&mut self, awaited: &str) -> Verdict<Option<String>> {
        loop {
            let unread = &self.heard[self.read..];
            if let Some(end) = memchr::memchr(b'\n', unread) {
                self.read += end + 1;
                let line = String::from_utf8(unread[..end].into());
                return match line {
                    Ok(line) => Ok(Some(line)),
                    Err(error) => broken(format!("the peer got no UTF-8: {error}")),
                };
            }
            self.heard.drain(..self.read);
            self.read = 0;
            let what = || match self.heard.len() {
                0 => format!("the peer waits for {}", show(awaited)),
                part => format!(
                    "the peer waits for the rest of {}, of which {part} bytes came",
                    show(awaited)
                ),
            };
            let what = what();
            let deadline = self.deadline;
            match deadline.meet(|| what, self.remote()?.receive()).await? {
                Ok(Some(piece)) => self.heard.extend(piece),
                Ok(None) if self.heard.is_empty() => return Ok(None),
                Ok(None) => {
                    return broken(format!(
                        "the end came within a line, before {}",
                        show(awaited)
                    ));
                }
                Err(error) => {
                    return broken(format!(
                        "the connection broke before {}: {error}",
                        show(awaited)
                    ));
                }
            }
        }
    }

    /// The next line that comes to the peer is this one.
    pub(in crate::testkit) async fn peer_hears(&mut self, line: &str) -> Verdict {
        match self.peer_line(line).await? {
            Some(heard) if heard == line => Ok(()),
            Some(heard) => broken(format!(
                "the peer got {} instead of {}",
                show(&heard),
                show(line)
            )),
            None => broken(format!("the end came instead of {}", show(line))),
        }
    }

    /// The next things that come to the peer are what the peer said itself, and what the witness
    /// said.
    pub(in crate::testkit) async fn peer_hears_itself(&mut self, text: &str) -> Verdict {
        self.peer_hears(&format!("{PEER}: {text}")).await
    }

    pub(in crate::testkit) async fn peer_hears_witness(&mut self, text: &str) -> Verdict {
        self.peer_hears(&format!("{WITNESS}: {text}")).await
    }

    /// An orderly end is what comes next.
    pub(in crate::testkit) async fn peer_hears_end(&mut self) -> Verdict {
        match self.peer_line("the end").await? {
            None => Ok(()),
            Some(line) => broken(format!("the peer got {} instead of the end", show(&line))),
        }
    }

    /// The connection ends, in whichever way, after whatever is on its way.
    pub(in crate::testkit) async fn peer_is_cut_off(&mut self) -> Verdict {
        loop {
            let deadline = self.deadline;
            let what =
                || "the session is over and the peer waits for the connection to be closed".into();
            match deadline.meet(what, self.remote()?.receive()).await? {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }
}
