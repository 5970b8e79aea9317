//! Accepted names obey the rules, and a hub keeps names apart that count as the same.

use super::client::{self, Line, is_harmful};
use crate::{Hub, HubConfig, JoinError, Name, NameError};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Checks an input: names, separated by line feeds. Its beginning is also taken as a socket address.
pub fn check(data: &[u8]) {
    if let Some((ip, rest)) = data.split_first_chunk()
        && let Some((port, rest)) = rest.split_first_chunk()
        && let Some(scope) = rest.first_chunk()
    {
        check_addresses(ip, port, scope);
    }
    let text = String::from_utf8_lossy(data);
    let mut names = text.split('\n').map(check_name);
    let mut next = || names.next().flatten();
    if let (Some(a), Some(b)) = (next(), next()) {
        check_pair(&a, &b);
    }
}

/// Returns the name, chosen or assigned, if the text is one.
fn check_name(raw: &str) -> Option<Name> {
    let chosen = raw.parse::<Name>();
    let assigned = Name::assigned(raw);
    // `localhost`, and letters that look like more than `you` and `here` do.
    let is_plain = raw.bytes().all(|b| b.is_ascii_lowercase()) && !raw.contains("localhost");
    let is_reserved = ["herenow", "youare"].contains(&raw);
    if (5..=Name::MAX_CHARS).contains(&raw.len()) && is_plain && !is_reserved {
        assert!(chosen.is_ok(), "{raw} is refused");
    }
    if let Ok(name) = &chosen {
        check_chosen(name);
        assert_eq!(assigned.as_ref(), Ok(name), "a program may assign it");
    }
    let name = assigned.ok()?;
    let shown = name.as_str();
    assert_eq!(name.to_string(), shown);
    let is_address = chosen == Err(NameError::Address);
    assert!(
        chosen.is_ok() || is_address || shown.contains(':'),
        "{shown:?}"
    );
    assert!((1..=Name::MAX_ASSIGNED_CHARS).contains(&shown.chars().count()));
    let is_bad = |c: char| c.is_whitespace() || is_harmful(c) || is_invisible(c);
    assert!(!shown.contains(is_bad), "{shown:?}");
    assert!(
        !shown.starts_with(['*', '/']) && !shown.ends_with(':'),
        "{shown:?}"
    );
    check_marks(shown);
    assert_eq!(Name::assigned(shown).as_ref(), Ok(&name), "not in NFC");
    let arrival = format!("{name} has arrived");
    assert_eq!(client::read(&arrival), Line::Arrived { name: shown });
    Some(name)
}

/// The rules for names that peers choose.
fn check_chosen(name: &Name) {
    let shown = name.as_str();
    assert!(shown.chars().count() <= Name::MAX_CHARS, "{shown:?}");
    assert!(!shown.contains([':', ',']), "{shown:?}");
    let around = |c: char| c.is_ascii_punctuation();
    let lower = shown.to_lowercase();
    let word = lower.trim_matches(around);
    assert!(!["you", "here", "localhost"].contains(&word), "{shown:?}");
    assert!(word.parse::<IpAddr>().is_err(), "{shown:?}");
    assert_eq!(shown.parse().as_ref(), Ok(name), "not in NFC");
    // A name of punctuation only, or of letters that look like it, has none around it.
    let quoted = match shown.contains(|c: char| c.is_ascii_alphanumeric()) {
        true => format!("'{shown}.'"),
        false => lower.clone(),
    };
    for other in [&lower, &shown.to_uppercase(), &quoted] {
        if let Ok(other) = other.parse() {
            assert!(counts_as(name, &other), "{name} and {other}");
        }
    }
}

/// Marks are few, different, visible, and not where they cannot be seen.
fn check_marks(shown: &str) {
    let is_mark = |c: char| c.general_category() == GeneralCategory::NonspacingMark;
    let decomposed: Vec<char> = shown.nfd().collect();
    assert!(!decomposed.first().is_some_and(|&c| is_mark(c)));
    for stack in decomposed.chunk_by(|_, c| is_mark(*c)) {
        let marks = &stack[1..];
        assert!(marks.len() <= 4, "{shown:?}");
        for (at, mark) in marks.iter().enumerate() {
            assert!(!marks[..at].contains(mark), "{shown:?}");
        }
    }
    // İ is I with a dot.
    let dots = ["i\u{307}", "j\u{307}", "l\u{307}", "ı\u{307}", "і\u{307}"];
    assert!(!dots.iter().any(|dots| shown.contains(dots)), "{shown:?}");
    let stackers = ['\u{17d2}', '\u{1039}', '\u{1a60}', '\u{2d7f}'];
    assert!(!shown.ends_with(stackers), "{shown:?}");
}

/// Some of the characters that Unicode calls default ignorable, without the joiners, which some
/// scripts need.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'
            | '\u{200e}' | '\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The socket addresses that the bytes can stand for are names, unchanged.
fn check_addresses(&ip: &[u8; 16], &port: &[u8; 2], &scope: &[u8; 4]) {
    let (port, flow) = (u16::from_be_bytes(port), 0);
    let v6 = SocketAddrV6::new(ip.into(), port, flow, u32::from_be_bytes(scope));
    for address in [SocketAddr::V6(v6), SocketAddr::from((scope, port))] {
        let name = Name::from(address);
        assert_eq!(Name::assigned(name.as_str()).as_ref(), Ok(&name));
        let (shown, without_port) = (name.to_string(), address.ip().to_string());
        for text in [shown, without_port] {
            assert!(text.parse::<Name>().is_err(), "a peer can choose {text}");
        }
    }
}

/// A member takes one name, then the other, and each is found while the member has it.
fn check_pair(a: &Name, b: &Name) {
    let same = counts_as(a, b);
    assert_eq!(same, counts_as(b, a), "{a} and {b}");
    assert!(same || a != b);
    assert!(counts_as(a, a) && counts_as(b, b));

    let hub = small_hub();
    let member = hub.join(a.clone()).expect("the hub is empty");
    hub.rename(member.id(), b.clone()).expect("it is alone");
    assert_eq!(member.name().as_ref(), Some(b));
    assert_eq!(hub.find(b), Some(member.id()));
    assert_eq!(
        hub.find(a).is_some(),
        same,
        "{a} is free unless it counts as {b}"
    );
    if !same {
        check_own_case(&hub, a, b);
    }
    drop(member);
    assert!(hub.find(a).is_none() && hub.find(b).is_none());
}

/// Whatever other members there are, a member can take its own name in another case, unless that looks
/// like the name of another.
fn check_own_case(hub: &Hub, a: &Name, b: &Name) {
    let member = hub.join(a.clone()).expect("the name is free");
    for other in [a.as_str().to_lowercase(), a.as_str().to_uppercase()] {
        let Ok(other) = other.parse::<Name>() else {
            continue;
        };
        let renamed = hub.rename(member.id(), other.clone());
        assert_eq!(renamed.is_ok(), !counts_as(b, &other), "{a} to {other}");
        assert!(hub.rename(member.id(), a.clone()).is_ok());
    }
}

/// Whether a member named `a` keeps `b` from being taken.
fn counts_as(a: &Name, b: &Name) -> bool {
    let hub = small_hub();
    let first = hub.join(a.clone()).expect("the hub is empty");
    let found = hub.find(b);
    let second = hub.join(b.clone());
    match found {
        Some(id) => assert_eq!((id, second.err()), (first.id(), Some(JoinError::NameTaken))),
        None => assert!(second.is_ok()),
    }
    found.is_some()
}

fn small_hub() -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (0, 0);
    Hub::new(config)
}
