//! The beginning of a session: the server's first lines, and the outcome of `/name NAME`.

use crate::input::Slash;
use crate::lines::{KEPT, Line, without_end};
use crate::sanitizer::one_line;

/// The end of an opening.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The client is a member, under the name that it asked for if it asked for one.
    Joined,
    /// The server refused the name, for this reason.
    NameRefused(String),
    /// The server published `/name NAME` as text: it has no commands.
    Published,
    /// The server does not answer as a chat server does.
    Unknown,
}

/// Reads the server's lines until stdin can be sent.
#[derive(Debug)]
pub(crate) struct Opening {
    wanted: Option<String>,
    /// The name that the server has given.
    given: Option<Vec<u8>>,
    asked: bool,
    answered: bool,
    /// The server has sent a line that a chat server does not send first.
    foreign: bool,
    /// With a wanted name it is not shown yet, because a refusal goes to stderr alone.
    unfinished: Vec<u8>,
}

impl Opening {
    /// Waits for the greeting, or for the answer to `/name WANTED`, which is already sent.
    pub(crate) fn new(wanted: Option<&str>) -> Self {
        Self {
            wanted: wanted.map(str::to_owned),
            given: None,
            asked: false,
            // By `/name WANTED`.
            answered: wanted.is_some(),
            foreign: false,
            unfinished: Vec::new(),
        }
    }

    /// Whether the client has asked for a name.
    pub(crate) fn wants_name(&self) -> bool {
        self.wanted.is_some()
    }

    /// Reads the next bytes and appends to `shown` those to show: with a wanted name, whole lines
    /// but for a refusal. Reads nothing beyond an outcome.
    pub(crate) fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) -> Option<Outcome> {
        let mut read = 0;
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            read += piece.len();
            self.unfinished.extend_from_slice(piece);
            if !self.wants_name() {
                shown.extend_from_slice(piece);
            }
            if !piece.ends_with(b"\n") {
                break;
            }
            let line = std::mem::take(&mut self.unfinished);
            let outcome = self.judge(without_end(&line));
            if self.wants_name() && !matches!(outcome, Some(Outcome::NameRefused(_))) {
                shown.extend_from_slice(&line);
            }
            if outcome.is_some() {
                if !matches!(outcome, Some(Outcome::NameRefused(_))) {
                    shown.extend_from_slice(&bytes[read..]);
                }
                return outcome;
            }
        }
        if self.unfinished.len() > KEPT {
            self.foreign = true;
            shown.extend(self.give_up());
            return Some(Outcome::Unknown);
        }
        None
    }

    /// Whether the server has just asked for a name and the client has none to give: true once.
    pub(crate) fn needs_answer(&mut self) -> bool {
        self.asked && !std::mem::replace(&mut self.answered, true)
    }

    /// The meaning of `/` at the beginning of a line after `outcome`. A server that has said
    /// nothing yet counts as a slow chat server.
    pub(crate) fn slash(&self, outcome: &Outcome) -> Slash {
        match outcome {
            Outcome::Joined | Outcome::NameRefused(_) => Slash::Escaped,
            Outcome::Published => Slash::Text,
            Outcome::Unknown if self.foreign && self.given.is_none() => Slash::Text,
            Outcome::Unknown => Slash::Escaped,
        }
    }

    /// The bytes that were not shown yet, when there is nothing more to wait for.
    pub(crate) fn give_up(&mut self) -> Vec<u8> {
        let unfinished = std::mem::take(&mut self.unfinished);
        if self.wants_name() {
            unfinished
        } else {
            Vec::new()
        }
    }

    fn judge(&mut self, line: &[u8]) -> Option<Outcome> {
        match Line::parse(line) {
            Line::NameRefused { reason } => return Some(Outcome::NameRefused(one_line(reason))),
            Line::NameQuestion => self.asked = true,
            Line::Greeting { name } => {
                // A server that asks greets once, under the name as it spells it.
                let is_wanted = self
                    .wanted
                    .as_ref()
                    .is_none_or(|wanted| wanted.as_bytes() == name);
                if self.asked || is_wanted {
                    return Some(Outcome::Joined);
                }
                self.given = Some(name.to_vec());
            }
            // Names are unique, so a line about the given name is about this client.
            Line::Rename { old, .. } if self.given.as_deref() == Some(old) => {
                return Some(Outcome::Joined);
            }
            Line::Message { name, text } if self.given.as_deref() == Some(name) => {
                let echo = text.strip_prefix(b"/name ");
                if echo.is_some_and(|name| self.wanted.as_deref().map(str::as_bytes) == Some(name))
                {
                    return Some(Outcome::Published);
                }
            }
            Line::Message { .. } | Line::Rename { .. } | Line::Other if self.given.is_none() => {
                self.foreign = true;
                // With a wanted name the answer may still come.
                if !self.wants_name() {
                    return Some(Outcome::Unknown);
                }
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes `input` whole and split at every byte; all must agree.
    fn open(wanted: Option<&str>, input: &str) -> (Option<Outcome>, String) {
        let push = |parts: &[&[u8]]| {
            let mut opening = Opening::new(wanted);
            let mut shown = Vec::new();
            let mut outcome = None;
            for part in parts {
                match outcome {
                    None => outcome = opening.push(part, &mut shown),
                    Some(Outcome::NameRefused(_)) => {}
                    Some(_) => shown.extend_from_slice(part),
                }
            }
            (outcome, String::from_utf8(shown).unwrap())
        };
        let whole = push(&[input.as_bytes()]);
        for split in 0..input.len() {
            let (head, tail) = input.as_bytes().split_at(split);
            assert_eq!(push(&[head, tail]), whole, "split at {split}");
        }
        whole
    }

    mod with_name {
        use super::*;

        fn outcome(input: &str) -> (Option<Outcome>, String) {
            open(Some("alice"), input)
        }

        #[test]
        fn rename_is_success() {
            let lines = "You are 1.2.3.4:5\nHere now: bob\n1.2.3.4:5 is now alice\nbob: hi";
            assert_eq!(outcome(lines), (Some(Outcome::Joined), lines.to_owned()));
        }

        #[test]
        fn greeting_after_question_is_success() {
            // Spelled as the server normalised it.
            let lines = "* what is your name? (Enter for 1.2.3.4:5)\nYou are Alice\n";
            assert_eq!(outcome(lines), (Some(Outcome::Joined), lines.to_owned()));
        }

        #[test]
        fn refusal_is_not_shown() {
            let lines = "You are 1.2.3.4:5\n* name refused: `alice` is \x1btaken\r\nbob: hi\n";
            let reason = "`alice` is \\x1btaken".to_owned();
            let shown = "You are 1.2.3.4:5\n".to_owned();
            assert_eq!(outcome(lines), (Some(Outcome::NameRefused(reason)), shown));
        }

        #[test]
        fn classic_server_publishes_command() {
            let lines = "You are 1.2.3.4:5\n1.2.3.4:5: /name alice\n";
            assert_eq!(outcome(lines), (Some(Outcome::Published), lines.to_owned()));
        }

        #[test]
        fn lines_about_others_are_ignored() {
            let lines = "You are 1.2.3.4:5\n* 3 messages skipped\nbob is now carol\n\
                6.7.8.9:5: /name alice\n1.2.3.4:5: /name bob\ncarol: * name refused: no\n\
                1.2.3.4:55 is now dave\n\n";
            assert_eq!(outcome(lines), (None, lines.to_owned()));
        }

        #[test]
        fn greeting_is_required() {
            let lines = "1.2.3.4:5 is now alice\n is now alice\n: /name alice\n";
            assert_eq!(outcome(lines), (None, lines.to_owned()));
        }

        #[test]
        fn unfinished_line_is_held_back() {
            let mut opening = Opening::new(Some("alice"));
            let mut shown = Vec::new();
            assert_eq!(opening.push(b"login: ", &mut shown), None);
            assert_eq!(shown, b"");
            assert_eq!(opening.give_up(), b"login: ");
        }

        #[test]
        fn endless_line_is_foreign() {
            let mut opening = Opening::new(Some("alice"));
            let mut shown = Vec::new();
            assert_eq!(opening.push(&[b'x'; KEPT], &mut shown), None);
            assert_eq!(opening.push(b"y", &mut shown), Some(Outcome::Unknown));
            assert_eq!(shown.len(), KEPT + 1);
            assert_eq!(opening.slash(&Outcome::Unknown), Slash::Text);
        }
    }

    mod without_name {
        use super::*;

        fn outcome(input: &str) -> (Option<Outcome>, String) {
            open(None, input)
        }

        #[test]
        fn greeting_is_success() {
            let lines = "You are 1.2.3.4:5\nHere now: bob\n";
            assert_eq!(outcome(lines), (Some(Outcome::Joined), lines.to_owned()));
        }

        #[test]
        fn notices_are_no_outcome() {
            let lines = "* welcome\n* server is full, goodbye\n* what is your";
            assert_eq!(outcome(lines), (None, lines.to_owned()));
        }

        #[test]
        fn refused_default_is_shown() {
            let lines = "* what is your name? (Enter for bob)\n* name refused: taken\n";
            let refused = Outcome::NameRefused("taken".to_owned());
            assert_eq!(outcome(lines), (Some(refused), lines.to_owned()));
        }

        #[test]
        fn other_line_is_foreign() {
            for line in ["220 mail.example\n", "\n", "bob: hi\n"] {
                let mut opening = Opening::new(None);
                let outcome = opening.push(line.as_bytes(), &mut Vec::new());
                assert_eq!(outcome, Some(Outcome::Unknown), "{line}");
                assert_eq!(opening.slash(&Outcome::Unknown), Slash::Text, "{line}");
            }
        }

        #[test]
        fn silence_is_not_foreign() {
            assert_eq!(Opening::new(None).slash(&Outcome::Unknown), Slash::Escaped);
        }

        #[test]
        fn unfinished_line_is_shown() {
            let mut opening = Opening::new(None);
            let mut shown = Vec::new();
            assert_eq!(opening.push(b"login: ", &mut shown), None);
            assert_eq!(shown, b"login: ");
            assert_eq!(opening.give_up(), b"");
        }
    }

    mod question {
        use super::*;

        const QUESTION: &[u8] = b"* what is your name? (Enter for bob)\n";

        #[test]
        fn needs_one_answer() {
            let mut opening = Opening::new(None);
            assert!(!opening.needs_answer());
            opening.push(QUESTION, &mut Vec::new());
            assert!(opening.needs_answer());
            assert!(!opening.needs_answer());
        }

        #[test]
        fn wanted_name_is_answer() {
            let mut opening = Opening::new(Some("alice"));
            opening.push(QUESTION, &mut Vec::new());
            assert!(!opening.needs_answer());
        }
    }
}
