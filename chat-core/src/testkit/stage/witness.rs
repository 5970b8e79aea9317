//! The witness: a member who talks to the peer, and sees what others see of it.

use super::verdict::{Verdict, broken, show, wrong_end};
use super::{PEER, Stage, WITNESS};
use crate::types::event::{Delivery, Event, EventKind, LeaveReason};

impl Stage {
    /// The witness says something.
    pub(in crate::testkit) fn tell(&mut self, text: &str) -> Verdict {
        self.tell_all(&[text])
    }

    /// The witness says all this at once.
    pub(in crate::testkit) fn tell_all(&mut self, texts: &[impl AsRef<str>]) -> Verdict {
        let texts: Vec<_> = texts.iter().map(AsRef::as_ref).collect();
        let lines = texts
            .iter()
            .map(|text| WITNESS.len() + ": \n".len() + text.len());
        self.told += lines.sum::<usize>() as u64;
        match self.hub.publish_many(self.witness.id(), &texts) {
            Ok(_) => Ok(()),
            Err(error) => broken(format!("the witness could not speak: {error}")),
        }
    }

    /// The next event that others see.
    pub(in crate::testkit) async fn next_event(&mut self, awaited: &str) -> Verdict<Event> {
        let what = || format!("the others wait for {}", show(awaited));
        let deadline = self.deadline;
        match deadline.meet(what, self.witness.recv()).await? {
            Some(Delivery::Event(event)) => Ok(event),
            other => broken(format!(
                "the others got {other:?} instead of {}",
                show(awaited)
            )),
        }
    }

    /// The next line that others see is this one.
    pub(in crate::testkit) async fn all_hear(&mut self, line: &str) -> Verdict {
        let event = self.next_event(line).await?;
        match event.line() == line {
            true => Ok(()),
            false => broken(format!(
                "the others got {} instead of {}",
                show(event.line()),
                show(line)
            )),
        }
    }

    /// The next thing that others see is what the peer said.
    pub(in crate::testkit) async fn all_hear_peer(&mut self, text: &str) -> Verdict {
        self.all_hear(&format!("{PEER}: {text}")).await
    }

    /// The next thing that others see of the peer is that it leaves, for one of these reasons,
    /// and it is the last.
    pub(in crate::testkit) async fn all_see_it_leave(
        &mut self,
        reasons: &[LeaveReason],
    ) -> Verdict {
        let line = format!("{PEER} has left");
        let event = loop {
            let event = self.next_event(&line).await?;
            if event.subject() != WITNESS {
                break event;
            }
        };
        match event.kind() {
            EventKind::Left(reason) if reasons.contains(&reason) => {}
            EventKind::Left(reason) => return wrong_end(reason, reasons),
            _ => {
                return broken(format!(
                    "the others got {} instead of {line:?}",
                    show(event.line())
                ));
            }
        }
        let marker = "is it gone?";
        self.tell(marker)?;
        loop {
            let event = self.next_event(marker).await?;
            match event.subject() {
                WITNESS if event.text() == marker => return Ok(()),
                WITNESS => {}
                _ => {
                    return broken(format!(
                        "after {line:?} the others got {}",
                        show(event.line())
                    ));
                }
            }
        }
    }

    /// Forgets what others have seen so far.
    pub(in crate::testkit) fn skip_events(&mut self) {
        while self.witness.try_recv().is_ok() {}
    }
}
