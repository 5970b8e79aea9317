//! Reads the lines of a session as a client does: by the table of [`session`](crate::session) alone.

use crate::{Event, EventKind, Name};

/// The meaning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Notice(&'a str),
    Greeting { name: &'a str },
    Roster(&'a str),
    Message { author: &'a str, text: &'a str },
    Arrived { name: &'a str },
    Left { name: &'a str },
    Renamed { old: &'a str, new: &'a str },
}

impl<'a> Line<'a> {
    /// The line that the fields of an event stand for.
    pub(super) fn of<S: AsRef<str>>(event: &'a Event<S>) -> Self {
        let (name, text) = (event.subject(), event.text());
        match event.kind() {
            EventKind::Message => Self::Message { author: name, text },
            EventKind::Arrived => Self::Arrived { name },
            EventKind::Left(_) => Self::Left { name },
            // `Renamed`; later kinds are not in the table.
            _ => Self::Renamed {
                old: name,
                new: text,
            },
        }
    }
}

/// Reads a line, without its ending, by its first token. Asserts that it is harmless and has one
/// meaning only.
pub(super) fn read(line: &str) -> Line<'_> {
    assert_eq!(line.find(is_harmful), None, "in {line:?}");
    let Some(read) = by_first_token(line) else {
        panic!("{line:?} is not in the table");
    };
    assert_eq!(meanings(line), [read], "{line:?}");
    read
}

/// Whether a terminal could obey the character, or show two lines for one.
pub(super) fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\t')
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

fn by_first_token(line: &str) -> Option<Line<'_>> {
    let (token, rest) = line.split_once(' ')?;
    if let Some(author) = token.strip_suffix(':') {
        return Some(Line::Message { author, text: rest });
    }
    Some(match (token, rest) {
        ("*", notice) => Line::Notice(notice),
        ("You", _) => Line::Greeting {
            name: rest.strip_prefix("are ")?,
        },
        ("Here", _) => Line::Roster(rest.strip_prefix("now: ")?),
        (name, "has arrived") => Line::Arrived { name },
        (name, "has left") => Line::Left { name },
        (old, _) => Line::Renamed {
            old,
            new: rest.strip_prefix("is now ")?,
        },
    })
}

/// All meanings that the line could have, with a name wherever a name can stand.
fn meanings(line: &str) -> Vec<Line<'_>> {
    let is_name = |name: &'_ str| Name::assigned(name).is_ok_and(|same| same == name);
    let names = |name: &&str| is_name(name);
    let split_at_each = |phrase: &'static str| {
        line.match_indices(phrase)
            .map(|(at, _)| (&line[..at], &line[at + phrase.len()..]))
            .filter(|(name, _)| is_name(name))
    };
    let notice = line.strip_prefix("* ").map(Line::Notice);
    let greeting = line.strip_prefix("You are ").filter(names);
    let roster = line.strip_prefix("Here now: ").map(Line::Roster);
    let arrived = line.strip_suffix(" has arrived").filter(names);
    let left = line.strip_suffix(" has left").filter(names);
    let messages = split_at_each(": ").map(|(author, text)| Line::Message { author, text });
    let renamed = split_at_each(" is now ")
        .filter(|(_, new)| is_name(new))
        .map(|(old, new)| Line::Renamed { old, new });
    notice
        .into_iter()
        .chain(greeting.map(|name| Line::Greeting { name }))
        .chain(roster)
        .chain(arrived.map(|name| Line::Arrived { name }))
        .chain(left.map(|name| Line::Left { name }))
        .chain(messages)
        .chain(renamed)
        .collect()
}
