//! What names that count as the same have in common.

use std::{iter, sync::Arc};
use unicode_security::confusable_detection::skeleton;

/// One or two keys, different from each other; names that share one count as the same name.
///
/// Two, because looking alike and differing in case do not go together: `Ivan` looks like `lvan` and
/// is `ivan` in another case, yet those two are different names. A name with a colon has itself as
/// its key: two addresses are never the same.
#[derive(Clone, Debug)]
pub(crate) struct NameKeys {
    first: Arc<str>,
    second: Option<Arc<str>>,
}

impl NameKeys {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        iter::once(&self.first).chain(&self.second)
    }

    pub(super) fn of(name: &Arc<str>) -> Self {
        if name.contains(':') {
            return Self {
                first: name.clone(),
                second: None,
            };
        }
        let first = settle(skeleton(name).collect());
        let second = settle(name.to_string());
        Self {
            second: (second != first).then(|| second.into()),
            first: first.into(),
        }
    }

    pub(super) fn conflict(&self, other: &Self) -> bool {
        self.iter()
            .any(|key| other.iter().any(|taken| key == taken))
    }
}

/// Folds case and looks until neither changes: a skeleton can have capitals (`0` gives `O`), and a
/// small letter a skeleton of its own (`m` gives `rn`).
pub(super) fn settle(mut name: String) -> String {
    // No letter needs more than three rounds, see the tests; the bound is for tables to come.
    for _ in 0..8 {
        // Through capitals, because ς and σ, ß and ss differ in case only.
        let capitals = name.chars().flat_map(char::to_uppercase);
        let folded: String = capitals.flat_map(char::to_lowercase).collect();
        let next: String = skeleton(&folded).collect();
        if next == name {
            break;
        }
        name = next;
    }
    name
}

/// Whether a key ends in a colon and a number, as addresses and the names of other transports do.
/// Such colons are letters: ː lengthens a vowel, ः is a sign of many Indian scripts.
pub(super) fn looks_like_address(key: &str) -> bool {
    // In keys, 0 and 1 are o and l.
    let digit = |c: char| matches!(c, 'o' | 'l' | '2'..='9');
    key.rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.chars().all(digit))
}

/// Whether a name seems to end in a colon, as `bobː` does, and is not of a script that has such
/// letters at home.
pub(super) fn looks_like_prefix(name: &str, keys: &NameKeys) -> bool {
    let latin = name.contains(|c: char| c.is_ascii_alphabetic());
    latin && keys.iter().any(|key| key.ends_with(':'))
}
