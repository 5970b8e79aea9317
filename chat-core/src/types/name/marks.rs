//! Combining marks: each is visible and belongs to the letter before it.
//!
//! The rules are the optional detection of [UTS 39] section 5.4, and two more: a mark needs a letter
//! of its script, and an invisible one needs a letter on each side.
//!
//! [UTS 39]: https://www.unicode.org/reports/tr39/#Optional_Detection

use super::NameError;
use std::ops::RangeInclusive;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_script::UnicodeScript;
use unicode_security::skeleton;

/// The most nonspacing marks in a row (UTS 39 section 5.4).
const MAX_STACK: usize = 4;

/// The `Canonical_Combining_Class` of marks that strike through a letter.
const OVERLAY: u8 = 1;
/// The class of marks above a letter.
pub(super) const ABOVE: u8 = 230;

/// Marks that join two letters and are invisible elsewhere: the `Indic_Syllabic_Category`
/// `Invisible_Stacker`, and the joiner of Tifinagh. Of Unicode 6.3, because RFC 8265 names have no
/// later characters.
const STACKERS: [char; 8] = [
    '\u{1039}',
    '\u{17d2}',
    '\u{1a60}',
    '\u{1bab}',
    '\u{2d7f}',
    '\u{aaf6}',
    '\u{10a3f}',
    '\u{11133}',
];

/// Tone letters of Lisu, which look like `.`, `,`, `;` and `:` among others. They follow a letter, as
/// marks do.
const LISU_TONES: RangeInclusive<char> = '\u{a4f8}'..='\u{a4fd}';

/// Checks the marks of a name in NFC.
pub(super) fn check(name: &str) -> Result<(), NameError> {
    check_each(name)?;
    check_stacks(name)
}

/// Whether the character is a mark without a width of its own, an accent for instance.
pub(super) fn is_nonspacing(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark};
    matches!(c.general_category(), NonspacingMark | EnclosingMark)
}

/// Whether a dot above the letter replaces the letter's own (`Soft_Dotted`, of letters that names
/// can have and that are not composed).
pub(super) fn is_soft_dotted(c: char) -> bool {
    matches!(c, 'i' | 'j' | 'ɉ' | 'ɨ' | 'ʝ' | 'ϳ' | 'і' | 'ј' | 'ᶖ')
}

fn check_each(name: &str) -> Result<(), NameError> {
    // The letter that marks apply to, and whether a dot above it would be its own.
    let (mut letter, mut is_dotted) = (None, false);
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        if matches!(c, '\u{200c}' | '\u{200d}') {
            continue;
        }
        if !is_combining_mark(c) && !LISU_TONES.contains(&c) {
            letter = c.is_alphabetic().then_some(c);
            is_dotted = looks_dotted(c);
            continue;
        }
        let is_visible = match c {
            '\u{307}' | '\u{358}' => !is_dotted,
            _ if STACKERS.contains(&c) => chars.peek().is_some_and(|&next| {
                next.is_alphabetic() && !is_combining_mark(next) && share_script(c, next)
            }),
            _ => canonical_combining_class(c) != OVERLAY,
        };
        if !is_visible || !letter.is_some_and(|letter| share_script(c, letter)) {
            return Err(NameError::Mark(c));
        }
        is_dotted &= canonical_combining_class(c) != ABOVE;
    }
    Ok(())
}

/// Whether the character with a dot above it looks like a letter that has a dot: `i` and `j`, what
/// looks like them without the dot, and `l`, which looks like a dotless `i`.
fn looks_dotted(c: char) -> bool {
    let mut decomposed = c.nfd();
    let base = decomposed.next().unwrap_or(c);
    let mut look = [0; 4];
    let look = skeleton(base.encode_utf8(&mut look)).next();
    (is_soft_dotted(base) || matches!(look, Some('i' | 'j' | 'l')))
        // A capital I with a dot is a letter of its own, İ.
        && base != 'I'
        && decomposed.all(|mark| canonical_combining_class(mark) != ABOVE)
}

/// Whether texts in some script have the mark on the letter (`Script_Extensions`, UAX 24).
fn share_script(mark: char, letter: char) -> bool {
    let scripts = mark.script_extension();
    if scripts.is_inherited() {
        return true;
    }
    let mut shared = scripts;
    shared.intersect_with(letter.script_extension());
    // Marks of all scripts that are not accents are of music.
    !scripts.is_common() && !shared.is_empty()
}

fn check_stacks(name: &str) -> Result<(), NameError> {
    let mut stack = Vec::with_capacity(MAX_STACK);
    for c in name.nfd() {
        if !is_nonspacing(c) {
            stack.clear();
        } else if stack.len() == MAX_STACK || stack.contains(&c) {
            return Err(NameError::Mark(c));
        } else {
            stack.push(c);
        }
    }
    Ok(())
}
