//! Finds out, from the first lines that the server sends, what became of `/name NAME`.

use crate::display::one_line;

/// The private notice that refuses a name. No peer can forge it: what a peer types follows `X: `.
const REFUSED: &[u8] = b"* name refused: ";
/// First line of a server that asks for a name.
const QUESTION: &[u8] = b"* what is your name?";
/// More than any line of a chat server, which refuses lines over 4,096 bytes.
const LONGEST_LINE: usize = 8192;

/// What became of the name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is ours.
    Taken,
    /// It is not, for this reason, made harmless.
    Refused(String),
    /// The server published the command as if it were text: it knows no commands.
    Published,
    /// It does not speak as a chat server does.
    Unknown,
}

/// Reads the server's lines until the outcome is known.
#[derive(Debug)]
pub(crate) struct Naming {
    wanted: String,
    /// The name that the server gave us until then.
    given: Option<Vec<u8>>,
    asked: bool,
    /// Held back, because a refusal is shown on stderr and nowhere else.
    unfinished: Vec<u8>,
}

impl Naming {
    /// Waits for the answer to `/name WANTED`.
    pub(crate) fn new(wanted: &str) -> Self {
        Self {
            wanted: wanted.to_owned(),
            given: None,
            asked: false,
            unfinished: Vec::new(),
        }
    }

    /// Appends to `shown` what is to be shown of `bytes`: whole lines, and after the outcome
    /// everything but a refusal and what follows it.
    pub(crate) fn push(&mut self, bytes: &[u8], shown: &mut Vec<u8>) -> Option<Outcome> {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            self.unfinished.extend_from_slice(line);
            let line = std::mem::take(&mut self.unfinished);
            let outcome = self.judge(without_end(&line));
            if matches!(outcome, Some(Outcome::Refused(_))) {
                return outcome;
            }
            shown.extend_from_slice(&line);
            if outcome.is_some() {
                shown.extend_from_slice(rest);
                return outcome;
            }
        }
        self.unfinished.extend_from_slice(rest);
        if self.unfinished.len() > LONGEST_LINE {
            shown.append(&mut self.unfinished);
            return Some(Outcome::Unknown);
        }
        None
    }

    /// What was held back, when there is no more to wait for.
    pub(crate) fn give_up(self) -> Vec<u8> {
        self.unfinished
    }

    fn judge(&mut self, line: &[u8]) -> Option<Outcome> {
        if let Some(reason) = line.strip_prefix(REFUSED) {
            return Some(Outcome::Refused(one_line(reason)));
        }
        if line.starts_with(QUESTION) {
            self.asked = true;
            return None;
        }
        if let Some(name) = line.strip_prefix(b"You are ") {
            // A server that asks greets once, under the name as it spells it.
            if self.asked || name == self.wanted.as_bytes() {
                return Some(Outcome::Taken);
            }
            self.given = Some(name.to_vec());
            return None;
        }
        // Names are unique, so what happens to the given one happens to us.
        let rest = line.strip_prefix(self.given.as_deref()?)?;
        if rest.starts_with(b" is now ") {
            return Some(Outcome::Taken);
        }
        let echo = rest.strip_prefix(b": /name ")?;
        (echo == self.wanted.as_bytes()).then_some(Outcome::Published)
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes `input` whole and split at every byte; all must agree.
    fn outcome(input: &str) -> (Option<Outcome>, String) {
        let push = |parts: &[&[u8]]| {
            let mut naming = Naming::new("alice");
            let mut shown = Vec::new();
            let mut outcome = None;
            for part in parts {
                match outcome {
                    None => outcome = naming.push(part, &mut shown),
                    Some(Outcome::Refused(_)) => {}
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

    #[test]
    fn a_rename_is_a_yes() {
        let lines = "You are 1.2.3.4:5\nHere now: bob\n1.2.3.4:5 is now alice\nbob: hi";
        assert_eq!(outcome(lines), (Some(Outcome::Taken), lines.to_owned()));
    }

    #[test]
    fn a_server_that_asks_says_yes_by_its_greeting() {
        // Spelled as the server normalised it.
        let lines = "* what is your name? (Enter for 1.2.3.4:5)\nYou are Alice\n";
        assert_eq!(outcome(lines), (Some(Outcome::Taken), lines.to_owned()));
    }

    #[test]
    fn a_refusal_is_not_shown_and_ends_it() {
        let lines = "You are 1.2.3.4:5\n* name refused: `alice` is \x1btaken\r\nbob: hi\n";
        let reason = "`alice` is \\x1btaken".to_owned();
        assert_eq!(
            outcome(lines),
            (
                Some(Outcome::Refused(reason)),
                "You are 1.2.3.4:5\n".to_owned()
            )
        );
    }

    #[test]
    fn a_classic_server_publishes_the_command() {
        let lines = "You are 1.2.3.4:5\n1.2.3.4:5: /name alice\n";
        assert_eq!(outcome(lines), (Some(Outcome::Published), lines.to_owned()));
    }

    #[test]
    fn what_happens_to_others_says_nothing() {
        let lines = "You are 1.2.3.4:5\n* 3 messages skipped\nbob is now carol\n\
            6.7.8.9:5: /name alice\n1.2.3.4:5: /name bob\ncarol: * name refused: no\n\
            1.2.3.4:55 is now dave\n\n";
        assert_eq!(outcome(lines), (None, lines.to_owned()));
    }

    #[test]
    fn without_a_greeting_nothing_is_ours() {
        let lines = "1.2.3.4:5 is now alice\n is now alice\n: /name alice\n";
        assert_eq!(outcome(lines), (None, lines.to_owned()));
    }

    #[test]
    fn an_unfinished_line_is_held_and_given_back() {
        let mut naming = Naming::new("alice");
        let mut shown = Vec::new();
        assert_eq!(naming.push(b"login: ", &mut shown), None);
        assert_eq!(shown, b"");
        assert_eq!(naming.give_up(), b"login: ");
    }

    #[test]
    fn a_line_without_end_is_not_a_chat_servers() {
        let mut naming = Naming::new("alice");
        let mut shown = Vec::new();
        assert_eq!(naming.push(&[b'x'; LONGEST_LINE], &mut shown), None);
        assert_eq!(naming.push(b"y", &mut shown), Some(Outcome::Unknown));
        assert_eq!(shown.len(), LONGEST_LINE + 1);
    }
}
