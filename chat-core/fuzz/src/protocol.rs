//! The lines that a session sends, as a client reads them: by the table of `chat_core::session`
//! and nothing else.

use chat_core::{Event, EventKind, Name};

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Notice(&'a str),
    Greeting { name: &'a str },
    Roster(&'a str),
    Message { author: &'a str, text: &'a str },
    Arrived { name: &'a str },
    Left { name: &'a str },
    Renamed { old: &'a str, new: &'a str },
}

impl<'a> Line<'a> {
    /// What an event says of itself.
    pub(crate) fn of<S: AsRef<str>>(event: &'a Event<S>) -> Self {
        let (name, text) = (event.subject(), event.text());
        match event.kind() {
            EventKind::Message => Self::Message { author: name, text },
            EventKind::Arrived => Self::Arrived { name },
            EventKind::Left(_) => Self::Left { name },
            // `Renamed`, and what there may be one day, which is not in the table.
            _ => Self::Renamed {
                old: name,
                new: text,
            },
        }
    }
}

/// What a line, without its end, says: it is harmless, and there is but one way to read it, which
/// its first token tells.
pub(crate) fn read(line: &str) -> Line<'_> {
    assert_eq!(line.find(is_harmful), None, "in {line:?}");
    let Some(read) = by_first_token(line) else {
        panic!("{line:?} is not in the table");
    };
    assert_eq!(readings(line), [read], "{line:?}");
    read
}

/// What can move a terminal or part a line in two.
pub(crate) fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\t')
        || ('\u{2028}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

fn by_first_token(line: &str) -> Option<Line<'_>> {
    let (token, rest) = line.split_once(' ')?;
    Some(match (token, rest) {
        ("*", notice) => Line::Notice(notice),
        ("You", _) => Line::Greeting {
            name: rest.strip_prefix("are ")?,
        },
        ("Here", _) => Line::Roster(rest.strip_prefix("now: ")?),
        (_, text) if let Some(author) = token.strip_suffix(':') => Line::Message { author, text },
        (name, "has arrived") => Line::Arrived { name },
        (name, "has left") => Line::Left { name },
        (old, _) => Line::Renamed {
            old,
            new: rest.strip_prefix("is now ")?,
        },
    })
}

/// All that a line could say, with names wherever names can be.
fn readings(line: &str) -> Vec<Line<'_>> {
    let named = |name: &'_ str| Name::assigned(name).is_ok_and(|same| same == name);
    let names = |name: &&str| named(name);
    let parted = |phrase: &'static str| {
        line.match_indices(phrase)
            .map(|(at, _)| (&line[..at], &line[at + phrase.len()..]))
            .filter(|(name, _)| named(name))
    };
    let notice = line.strip_prefix("* ").map(Line::Notice);
    let greeting = line.strip_prefix("You are ").filter(names);
    let roster = line.strip_prefix("Here now: ").map(Line::Roster);
    let arrived = line.strip_suffix(" has arrived").filter(names);
    let left = line.strip_suffix(" has left").filter(names);
    let messages = parted(": ").map(|(author, text)| Line::Message { author, text });
    let renamed = parted(" is now ")
        .filter(|(_, new)| named(new))
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
