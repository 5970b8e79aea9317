//! Names that read like something else in a line. The rules look at [keys](NameKeys), so they hold for
//! look-alikes, too.

use super::keys::{AROUND, NameKeys};

/// Whether the letters are those of the greeting: `You`, `You are`, `Here`, `Here now`.
pub(super) fn is_greeting(name: &str) -> bool {
    let greeting = ["you", "youare", "here", "herenow"];
    any_letters(name, |letters| greeting.contains(&letters))
}

/// Whether it begins like a notice.
pub(super) fn is_notice(keys: &NameKeys) -> bool {
    keys.iter().any(|key| key.starts_with('*'))
}

/// Whether it reads like the address of a peer, of any transport, or like this machine.
pub(super) fn is_address(name: &str, keys: &NameKeys) -> bool {
    any_letters(name, |letters| letters.contains("localhost"))
        || (keys.iter()).any(|key| has_port(key) || has_ipv4(key) || could_be_ipv6(key))
}

/// Whether it seems to end in a colon, as `bobː` does. Other letters that look like colons are
/// [among their own](super::marks).
pub(super) fn is_prefix(name: &str) -> bool {
    name.trim_end_matches(AROUND).ends_with('ː')
}

/// Whether the test is true of the letters and digits alone, in some key, without accents: keys are
/// decomposed.
fn any_letters(name: &str, test: impl Fn(&str) -> bool) -> bool {
    // Before they come into a key, where `%` has letters. The bar looks like a letter.
    let is_letter = |c: &char| *c == '|' || !c.is_ascii_punctuation();
    let letters: String = name.chars().filter(is_letter).collect();
    let keys = NameKeys::of(&letters.into());
    keys.iter().any(|key| {
        let letters: String = key.chars().filter(|c| c.is_alphanumeric()).collect();
        test(&letters)
    })
}

/// A digit of any script; 0 and 1 are o and l in keys, or i if read as capitals.
fn is_digit(c: char) -> bool {
    matches!(c, 'o' | 'l' | 'i') || c.is_numeric()
}

/// Whether a port or another number follows a colon at the end, as in `unix:3`. In many fonts a
/// semicolon looks like one.
fn has_port(key: &str) -> bool {
    key.rsplit_once([':', ';'])
        .is_some_and(|(_, port)| !port.is_empty() && port.chars().all(is_digit))
}

/// Whether four numbers with dots between them are in it, or a short form of this machine's
/// address, such as `127.1`.
fn has_ipv4(key: &str) -> bool {
    let candidates = key.split(|c| !is_digit(c) && c != '.');
    candidates.into_iter().any(|candidate| {
        let numbers: Vec<_> = candidate.split('.').collect();
        let in_a_row = numbers.split(|number| number.is_empty());
        in_a_row
            .into_iter()
            .any(|row| row.len() >= 4 || row.len() >= 2 && row[0] == "l27")
    })
}

/// Whether it has several colons, and otherwise what an IPv6 address can have.
fn could_be_ipv6(key: &str) -> bool {
    let can_have = |c| is_digit(c) || matches!(c, 'a'..='f' | ':' | '.' | '[' | ']' | '%');
    key.matches(':').count() >= 2 && key.chars().all(can_have)
}
