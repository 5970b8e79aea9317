//! Names: those accepted obey the rules, and which of them count as the same.

use super::protocol::{self, Line, is_harmful};
use chat_core::{Hub, HubConfig, JoinError, Name};
use std::net::{SocketAddr, SocketAddrV6};

/// The data: names, parted by line ends. Its beginning is taken for a socket address, too.
pub fn check(data: &[u8]) {
    if let Some((ip, rest)) = data.split_first_chunk()
        && let Some((port, rest)) = rest.split_first_chunk()
        && let Some(scope) = rest.first_chunk()
    {
        are_names(ip, port, scope);
    }
    let text = String::from_utf8_lossy(data);
    let mut names = text.split('\n').map(obeys_the_rules);
    let mut next = || names.next().flatten();
    if let (Some(a), Some(b)) = (next(), next()) {
        share_a_hub(&a, &b);
    }
}

/// Gives the name, chosen or assigned, if there is such a name.
fn obeys_the_rules(raw: &str) -> Option<Name> {
    let chosen = raw.parse::<Name>();
    let assigned = Name::assigned(raw);
    // Letters that look like more than `you` and `here` do.
    if (5..=Name::MAX_CHARS).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_lowercase()) {
        assert!(chosen.is_ok(), "{raw} is welcome");
    }
    if let Ok(name) = &chosen {
        let shown = name.as_str();
        assert!(shown.chars().count() <= Name::MAX_CHARS, "{shown:?}");
        assert!(!shown.contains(':'), "{shown:?}");
        let lower = shown.to_lowercase();
        assert!(lower != "you" && lower != "here", "{shown:?}");
        assert_eq!(
            shown.parse().as_ref(),
            Ok(name),
            "it is its own normal form"
        );
        assert_eq!(assigned.as_ref(), Ok(name), "it can be assigned");
        for other in [lower, shown.to_uppercase()] {
            if let Ok(other) = other.parse() {
                assert!(counts_as(name, &other), "{name} and {other}");
            }
        }
    }
    let name = assigned.ok()?;
    let shown = name.as_str();
    assert_eq!(name.to_string(), shown);
    assert!(chosen.is_ok() || shown.contains(':'), "{shown:?}");
    assert!((1..=Name::MAX_ASSIGNED_CHARS).contains(&shown.chars().count()));
    assert!(!shown.contains(char::is_whitespace), "{shown:?}");
    assert!(
        !shown.contains(|c| is_harmful(c) || is_invisible(c)),
        "{shown:?}"
    );
    assert!(
        !shown.starts_with(['*', '/']) && !shown.ends_with(':'),
        "{shown:?}"
    );
    assert_eq!(
        Name::assigned(shown).as_ref(),
        Ok(&name),
        "it is its own normal form"
    );
    let arrival = format!("{name} has arrived");
    assert_eq!(protocol::read(&arrival), Line::Arrived { name: shown });
    Some(name)
}

/// Some of what Unicode calls default ignorable, without the joiners, which some scripts need.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'
            | '\u{200e}' | '\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// The socket addresses that these bytes can stand for are names as they are.
fn are_names(&ip: &[u8; 16], &port: &[u8; 2], &scope: &[u8; 4]) {
    let (port, flow) = (u16::from_be_bytes(port), 0);
    let v6 = SocketAddrV6::new(ip.into(), port, flow, u32::from_be_bytes(scope));
    for address in [SocketAddr::V6(v6), SocketAddr::from((scope, port))] {
        let name = Name::from(address);
        assert_eq!(Name::assigned(name.as_str()).as_ref(), Ok(&name));
    }
}

/// A member takes one name, then another, while others ask for both.
fn share_a_hub(a: &Name, b: &Name) {
    let same = counts_as(a, b);
    assert_eq!(same, counts_as(b, a), "{a} and {b}");
    assert!(same || a != b);
    assert!(counts_as(a, a) && counts_as(b, b));

    let hub = small_hub();
    let member = hub.join(a.clone()).expect("nobody is here");
    hub.rename(member.id(), b.clone()).expect("it is alone");
    assert_eq!(member.name().as_ref(), Some(b));
    assert_eq!(hub.find(b), Some(member.id()));
    assert_eq!(
        hub.find(a).is_some(),
        same,
        "{a} is free unless it counts as {b}"
    );
    drop(member);
    assert!(hub.find(a).is_none() && hub.find(b).is_none());
}

/// Whether somebody who is called `a` keeps `b` from being taken.
fn counts_as(a: &Name, b: &Name) -> bool {
    let hub = small_hub();
    let first = hub.join(a.clone()).expect("nobody is here");
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
