//! Keys: what names that count as the same have in common.

use super::marks::{ABOVE, is_soft_dotted};
use std::iter;
use std::sync::Arc;
use unicode_normalization::char::canonical_combining_class;
use unicode_security::skeleton;

/// ASCII punctuation that does not count at the ends of a name: it reads as part of the sentence, or
/// as quotes around the name. Quotation marks have become apostrophes.
const AROUND: [char; 14] = [
    '.', ',', ';', '!', '?', '\'', '(', ')', '[', ']', '{', '}', '<', '>',
];

/// One to three keys, all different. Names that share a key count as the same name.
///
/// | key | shared with names that |
/// |---|---|
/// | the first, of the folded name | differ in case, or look like the name in lower case |
/// | of the name's look | look like the name as it is written |
/// | of its look in capitals | look like it when `1` is read as `I` |
///
/// One key cannot do all, because the relation is not transitive: `Ivan` looks like `lvan` and
/// differs from `ivan` in case only, yet `lvan` and `ivan` are different names.
///
/// The first key finds a name in another case before its look-alikes. A name with a colon has
/// itself as its only key: an address is like no other.
#[derive(Clone, Debug)]
pub(crate) struct NameKeys {
    first: Arc<str>,
    /// `None` if there are none, as for most names.
    others: Option<Box<[Arc<str>]>>,
}

impl NameKeys {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        iter::once(&self.first).chain(self.others.iter().flatten())
    }

    pub(super) fn of(name: &Arc<str>) -> Self {
        if name.contains(':') {
            return Self {
                first: name.clone(),
                others: None,
            };
        }
        let seen = look(name);
        let capitals = in_capitals(name, &seen);
        let first = key(name.to_string());
        let seen = Some(key(seen)).filter(|key| *key != first);
        let capitals = capitals
            .map(key)
            .filter(|key| *key != first && Some(key) != seen.as_ref());
        let others: Box<[_]> = seen.into_iter().chain(capitals).map(Arc::from).collect();
        Self {
            first: first.into(),
            others: Some(others).filter(|others| !others.is_empty()),
        }
    }
}

fn key(name: String) -> String {
    let key = settle(name);
    match key.trim_matches(AROUND) {
        "" => key,
        trimmed => trimmed.to_owned(),
    }
}

/// Folds case and takes the look until neither changes: a look can have capitals (`0` gives `O`),
/// and a small letter a look of its own (`m` gives `rn`).
pub(super) fn settle(mut name: String) -> String {
    // No letter needs more than three rounds, see the tests; the bound is for later tables.
    for _ in 0..8 {
        // Through capitals, because ς and σ, ß and ss differ in case only.
        let capitals = name.chars().flat_map(char::to_uppercase);
        let folded: String = capitals.flat_map(char::to_lowercase).collect();
        let next = look(&folded);
        if next == name {
            break;
        }
        name = next;
    }
    name
}

/// The skeleton of UTS 39 section 4, in which `i` and `j` have no second dot: İ is `i` with one in
/// lower case.
fn look(name: &str) -> String {
    let mut look = String::with_capacity(name.len());
    // The last letter has a dot, and no mark above it.
    let mut is_dotted = false;
    for c in skeleton(name) {
        if c == '\u{307}' && is_dotted {
            is_dotted = false;
            continue;
        }
        match canonical_combining_class(c) {
            0 => is_dotted = is_soft_dotted(c),
            ABOVE => is_dotted = false,
            _ => {}
        }
        look.push(c);
    }
    look
}

/// The look of a name without small letters, in which `1` and `|` can be read as `I`: `AL1CE`.
/// (As a small letter, `l` is what they look like.)
fn in_capitals(name: &str, look: &str) -> Option<String> {
    let can_be = look.is_ascii() && look.contains('l') && !name.contains(char::is_lowercase);
    can_be.then(|| look.replace('l', "i"))
}
