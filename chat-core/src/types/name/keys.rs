//! Keys: what names that count as the same have in common.

use super::marks::{ABOVE, is_soft_dotted};
use std::iter;
use std::sync::Arc;
use unicode_normalization::char::canonical_combining_class;
use unicode_security::skeleton;

/// Punctuation that does not count at the ends of a name, and modifier letters that look like it: it
/// reads as part of the sentence, or as quotes around the name.
pub(super) const AROUND: &[char] = &[
    '.', ',', ';', '!', '?', '\'', '"', '`', '(', ')', '[', ']', '{', '}', '<', '>', 'ʹ', 'ʺ', 'ʻ',
    'ʼ', 'ʽ', 'ʾ', 'ʿ', 'ˈ', 'ˊ', 'ˋ', 'ˌ', 'ˎ', 'ˏ', 'ˮ', 'ꞌ',
];

/// One to three keys, all different. Names that share a key count as the same name.
///
/// | key | shared with names that |
/// |---|---|
/// | the first, of the folded name | differ in case, or look like the name in lower case |
/// | of the name's look | look like the name as it is written |
/// | of another reading | look like it if `1` among capitals is `I`, or if ᴀ is `a` |
///
/// One key cannot do all, because the relation is not transitive: `Ivan` looks like `lvan` and
/// differs from `ivan` in case only, yet `lvan` and `ivan` are different names.
///
/// The first key finds a name in another case before its look-alikes. A name with a colon has
/// itself as its only key: an address is like no other.
#[derive(Clone, Debug)]
pub(crate) struct NameKeys {
    first: Arc<str>,
    /// `None` if there are none, as for most names. One word, because each member has it.
    others: Option<Box<[Option<Arc<str>>; 2]>>,
}

impl NameKeys {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        let others = self
            .others
            .iter()
            .flat_map(|others| others.iter().flatten());
        iter::once(&self.first).chain(others)
    }

    pub(super) fn of(name: &Arc<str>) -> Self {
        if name.contains(':') {
            return Self {
                first: name.clone(),
                others: None,
            };
        }
        // Of the name, not of its look, in which letters can be punctuation: י is an apostrophe.
        let core = match name.trim_matches(AROUND) {
            "" => name,
            core => core,
        };
        let seen = look(core);
        let reread = reread(core, &seen);
        let first = settle(core.to_owned());
        let seen = Some(settle(seen)).filter(|key| *key != first);
        let reread = reread
            .map(settle)
            .filter(|key| *key != first && Some(key) != seen.as_ref());
        let others = [seen, reread].map(|key| key.map(Arc::from));
        Self {
            first: first.into(),
            others: (others != [None, None]).then(|| Box::new(others)),
        }
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

/// Another reading of a name that looks like `look`: small capitals are a style of letters, and among
/// capitals, `1` and `|` can be read as `I`. (Among small letters, they look like `l`.)
fn reread(name: &str, look: &str) -> Option<String> {
    let plain: String = name.chars().map(without_style).collect();
    if plain != name {
        return Some(plain);
    }
    let in_capitals = look.is_ascii() && !name.contains(char::is_lowercase);
    (in_capitals && look.contains('l')).then(|| look.replace('l', "i"))
}

/// The letter for a small capital, unless its skeleton is that letter.
fn without_style(c: char) -> char {
    match c {
        'ᴀ' => 'a',
        'ʙ' => 'b',
        'ᴅ' => 'd',
        'ᴇ' => 'e',
        'ꜰ' => 'f',
        'ɢ' => 'g',
        'ʜ' => 'h',
        'ᴊ' => 'j',
        'ᴋ' => 'k',
        'ʟ' => 'l',
        'ᴍ' => 'm',
        'ɴ' => 'n',
        'ᴘ' => 'p',
        'ʀ' => 'r',
        'ᴛ' => 't',
        _ => c,
    }
}
