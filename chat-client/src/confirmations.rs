//! The fate of the lines that the client has sent, read from the lines that the server sends.
//!
//! The server answers each line of text: the line comes back as `NAME: TEXT`, or a notice refuses
//! it. Lines come back in the order in which they were sent, so a count is enough, and the text,
//! which the server may clean, need not be compared. A command is answered by a notice or a rename.

use crate::lines::{Line, LineSplitter};
use crate::sanitizer::one_line;

/// Numbers of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Lines that are published unless the server refuses them.
    pub(crate) texts: u64,
    /// Lines with a command, which are not published.
    pub(crate) commands: u64,
}

impl Count {
    pub(crate) fn total(self) -> u64 {
        self.texts + self.commands
    }

    /// The number of these lines without those of `other`.
    fn beyond(self, other: Self) -> u64 {
        self.texts.saturating_sub(other.texts) + self.commands.saturating_sub(other.commands)
    }
}

/// Reads the server's lines and counts the answers to the client's own.
#[derive(Debug, Default)]
pub(crate) struct Confirmations {
    splitter: LineSplitter,
    state: State,
}

#[derive(Debug, Default)]
struct State {
    /// The client's own name, as of the server's last line.
    name: Option<Vec<u8>>,
    /// The server has asked for a name and has not greeted since.
    asked: bool,
    /// A line came that a chat server does not send before its greeting.
    foreign: bool,
    answered: Count,
    refused: u64,
    /// Messages that the server did not deliver: any of them may be a line of the client.
    skipped: u64,
    /// The server's last line, if it is a notice that answers nothing.
    notice: Option<String>,
}

impl Confirmations {
    /// Reads the next bytes of the server; `sent` is the number of lines sent so far. Appends the
    /// reasons of refusals to `refusals`.
    pub(crate) fn observe(&mut self, bytes: &[u8], sent: Count, refusals: &mut Vec<String>) {
        let Self { splitter, state } = self;
        splitter.push(bytes, |line| state.observe(line, sent, refusals));
    }

    /// The stream has ended; an unfinished line counts.
    pub(crate) fn finish(&mut self, sent: Count, refusals: &mut Vec<String>) {
        let Self { splitter, state } = self;
        splitter.finish(|line| state.observe(line, sent, refusals));
    }

    /// Whether the server has greeted as a chat server does. Only then are answers expected.
    pub(crate) fn is_greeted(&self) -> bool {
        self.state.name.is_some()
    }

    /// Whether the server has sent a line of another protocol.
    pub(crate) fn is_foreign(&self) -> bool {
        self.state.foreign
    }

    /// The number of `sent` lines without an answer.
    pub(crate) fn missing(&self, sent: Count) -> u64 {
        sent.beyond(self.state.answered)
    }

    /// The most lines of the client that may have come back unseen, because this client was too
    /// slow for the server to deliver everything.
    pub(crate) fn skipped(&self) -> u64 {
        self.state.skipped
    }

    /// The number of lines that the server has refused.
    pub(crate) fn refused(&self) -> u64 {
        self.state.refused
    }

    /// The server's last line without its `* `, if it is a notice that answers nothing: the reason
    /// of the end, once the server has closed.
    pub(crate) fn notice(&self) -> Option<&str> {
        self.state.notice.as_deref()
    }

    /// The last notice, if it announces an end.
    pub(crate) fn goodbye(&self) -> Option<&str> {
        let announces =
            |notice: &&str| notice.ends_with("goodbye") || notice.contains("going down");
        self.notice().filter(announces)
    }
}

impl State {
    fn observe(&mut self, line: &[u8], sent: Count, refusals: &mut Vec<String>) {
        self.notice = None;
        match Line::parse(line) {
            Line::Greeting { name } => {
                self.name = Some(name.to_vec());
                // A line of stdin was the answer, unless the client itself gave it.
                if std::mem::take(&mut self.asked) {
                    self.answer_command(sent);
                }
            }
            Line::NameQuestion => self.asked = true,
            Line::Message { name, .. } if self.is_own(name) => self.answer_text(sent),
            Line::Rename { old, new } if self.is_own(old) => {
                self.name = Some(new.to_vec());
                self.answered.commands += u64::from(self.answered.commands < sent.commands);
            }
            Line::MessagesSkipped(count) => {
                self.skipped = self.skipped.saturating_add(count);
                // The answer to a `/name` may be among them, and with it the client's own name.
                if self.answered.commands < sent.commands {
                    self.skipped = u64::MAX;
                }
            }
            // Nothing but refusals makes notices for a client that sends only text.
            Line::NoticesSkipped(count) if sent.commands == 0 => {
                let refused = count.min(sent.beyond(self.answered));
                self.answered.texts += refused;
                self.refused += refused;
            }
            Line::NoticesSkipped(count) => {
                let answers = self.answered.commands.saturating_add(count);
                self.answered.commands = answers.min(sent.commands);
            }
            Line::TextRefused(notice) if sent.beyond(self.answered) > 0 => {
                self.answer_text(sent);
                self.refuse(notice, refusals);
            }
            Line::CommandRefused(notice) if sent.beyond(self.answered) > 0 => {
                self.answer_command(sent);
                self.refuse(notice, refusals);
            }
            Line::NameRefused { .. } if sent.beyond(self.answered) > 0 => {
                self.answer_command(sent);
                // Without the `* ` of the notice.
                self.refuse(&line[2..], refusals);
            }
            Line::Notice(notice) => {
                self.answered.commands += u64::from(self.answered.commands < sent.commands);
                self.notice = Some(one_line(notice));
            }
            Line::NameRefused { .. } | Line::TextRefused(_) | Line::CommandRefused(_) => {}
            Line::Message { .. } | Line::Rename { .. } | Line::Other => {
                self.foreign |= self.name.is_none();
            }
        }
    }

    fn is_own(&self, name: &[u8]) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Counts the answer to a line of text, or to a command if no text waits for one.
    fn answer_text(&mut self, sent: Count) {
        if self.answered.texts < sent.texts {
            self.answered.texts += 1;
        } else if self.answered.commands < sent.commands {
            self.answered.commands += 1;
        }
    }

    /// Counts the answer to a command, or to a line of text if no command waits for one.
    fn answer_command(&mut self, sent: Count) {
        if self.answered.commands < sent.commands {
            self.answered.commands += 1;
        } else if self.answered.texts < sent.texts {
            self.answered.texts += 1;
        }
    }

    fn refuse(&mut self, notice: &[u8], refusals: &mut Vec<String>) {
        self.refused += 1;
        refusals.push(one_line(notice));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: Count = Count {
        texts: 3,
        commands: 0,
    };

    /// The confirmations after `lines`, and the refusals in them.
    fn after(lines: &str, sent: Count) -> (Confirmations, Vec<String>) {
        let mut confirmations = Confirmations::default();
        let mut refusals = Vec::new();
        confirmations.observe(lines.as_bytes(), sent, &mut refusals);
        confirmations.finish(sent, &mut refusals);
        (confirmations, refusals)
    }

    fn missing(lines: &str, sent: Count) -> u64 {
        after(lines, sent).0.missing(sent)
    }

    mod texts {
        use super::*;

        #[test]
        fn own_lines_confirm() {
            let lines = "You are bob\nbob: 1\ncarol: 2\nbobby: 2\nbob: 2\n";
            assert_eq!(missing(lines, TEXTS), 1);
        }

        #[test]
        fn surplus_answers_are_ignored() {
            // Such as the echo of the client's own `/name alice`.
            let mut confirmations = Confirmations::default();
            let mut refusals = Vec::new();
            confirmations.observe(
                b"You are bob\nbob: /name alice\n* line refused: no\n",
                Count::default(),
                &mut refusals,
            );
            assert_eq!(confirmations.missing(TEXTS), 3);
            assert_eq!((confirmations.refused(), refusals.len()), (0, 0));
        }

        #[test]
        fn refusals_are_answers() {
            let lines = "You are bob\n* line refused: no\x07\nbob: 2\n* line refused: no\n";
            let (confirmations, refusals) = after(lines, TEXTS);
            assert_eq!(confirmations.missing(TEXTS), 0);
            assert_eq!(confirmations.refused(), 2);
            assert_eq!(refusals, ["line refused: no\\x07", "line refused: no"]);
        }

        #[test]
        fn skipped_notices_are_refusals() {
            let (confirmations, _) = after("You are bob\n* 2 notices skipped\n", TEXTS);
            assert_eq!(confirmations.missing(TEXTS), 1);
            assert_eq!(confirmations.refused(), 2);
        }
    }

    mod commands {
        use super::*;

        const BOTH: Count = Count {
            texts: 1,
            commands: 2,
        };

        #[test]
        fn notices_and_renames_answer() {
            let lines = "You are bob\nbob is now eve\neve: 1\n* here now: eve\n";
            assert_eq!(missing(lines, BOTH), 0);
        }

        #[test]
        fn long_answer_confirms_no_text() {
            let lines = "You are bob\n* /who …\n* /name …\n* /quit …\n* //TEXT …\n";
            assert_eq!(missing(lines, BOTH), 1);
        }

        #[test]
        fn refused_commands_count() {
            let lines = "You are bob\nbob: 1\n* unknown command /x, …\n* name refused: no\n";
            let (confirmations, refusals) = after(lines, BOTH);
            assert_eq!(confirmations.missing(BOTH), 0);
            assert_eq!(refusals, ["unknown command /x, …", "name refused: no"]);
        }

        #[test]
        fn skipped_rename_makes_name_uncertain() {
            let (confirmations, _) = after("You are bob\n* 1 messages skipped\n", BOTH);
            assert_eq!(confirmations.skipped(), u64::MAX);
        }
    }

    mod question {
        use super::*;

        const QUESTION: &str = "* what is your name? (Enter for 1.2.3.4:5)\n";

        #[test]
        fn lines_are_answers() {
            let lines = format!("{QUESTION}* name refused: no\n{QUESTION}You are bob\nbob: hi\n");
            let (confirmations, refusals) = after(&lines, TEXTS);
            assert_eq!(confirmations.missing(TEXTS), 0);
            assert_eq!(refusals, ["name refused: no"]);
        }
    }

    mod last_notice {
        use super::*;

        #[test]
        fn is_last_line_only() {
            for (lines, notice, goodbye) in [
                ("* the server is full", Some("the server is full"), None),
                ("* goodbye\n", Some("goodbye"), Some("goodbye")),
                (
                    "You are bob\n* server is going down\n",
                    Some("server is going down"),
                    Some("server is going down"),
                ),
                ("* here now: bob\n", Some("here now: bob"), None),
                ("* goodbye\nbob: hi\n", None, None),
                ("* 3 messages skipped\n", None, None),
                ("bob: * goodbye\n", None, None),
                ("", None, None),
            ] {
                let (confirmations, _) = after(lines, Count::default());
                assert_eq!(confirmations.notice(), notice, "{lines}");
                assert_eq!(confirmations.goodbye(), goodbye, "{lines}");
            }
        }
    }
}
