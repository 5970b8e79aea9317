//! Member names, and the rules that keep one member from passing for another.
//!
//! The first token of a line decides its kind: `*` begins a notice, `You` and `Here` begin the
//! greeting, a token that ends in `:` is the author of a message, and any other token is the name of
//! a member that has arrived, left or been renamed. No choice of name may forge a line.
//!
//! # Every name
//!
//! - It has no white space and no control character: it is one token, and does not move a terminal.
//! - It does not begin with `*` or `/`, and does not end in `:`.
//! - It has letters and digits of any script, and ASCII punctuation, as the `UsernameCasePreserved`
//!   profile of [RFC 8265] allows: no symbols, nothing invisible. Wide and narrow forms become plain
//!   ones, and accents are composed (NFC). All rules apply to that form, and the hub keeps it.
//! - It runs in one direction ([RFC 5893], section 2).
//! - Each combining mark is visible and belongs to a letter of its script. There are at most four
//!   nonspacing marks in a row, all different, and none strikes through a letter or adds a second dot
//!   to an `i` ([UTS 39], section 5.4).
//!
//! # A name that a peer chooses
//!
//! - It has at most [`MAX_CHARS`](Name::MAX_CHARS) characters, and neither a colon nor a comma, which
//!   separate an author from the text and names in the roster.
//! - It does not read like the greeting (`You.`, `Here_now`), like an address (`127.0.0.1`, `unix;3`)
//!   or like this machine (`localhost`), and does not end in a look-alike of a colon (`bobː`).
//!
//! # Names that count as the same
//!
//! Two names count as the same if they
//!
//! - differ in case only, or
//! - look alike, by the skeletons of [UTS 39], section 4, where `1` among capitals can be `I`, and
//!   small capitals, ᴀ, are letters; or
//! - differ only in quotes, brackets or punctuation around them: `alice.`, `'alice'`.
//!
//! `Name`s are nevertheless equal only if they have the same characters.
//!
//! # Unicode tables
//!
//! | table | of | Unicode |
//! |---|---|---|
//! | allowed characters | `precis-core` | 6.3, which RFC 8265 names; later characters are refused |
//! | directions, width | `precis-profiles` | as that crate says |
//! | skeletons | `unicode-security` | 18 |
//! | normal forms, combining classes | `unicode-normalization` | 18 |
//! | nonspacing marks | `unicode-properties` | 18 |
//! | scripts of a mark | `unicode-script` | 18 |
//! | soft-dotted letters, marks that join letters, small capitals | this module | 6.3 |
//!
//! [RFC 5893]: https://www.rfc-editor.org/rfc/rfc5893#section-2
//! [RFC 8265]: https://www.rfc-editor.org/rfc/rfc8265#section-3.4
//! [UTS 39]: https://www.unicode.org/reports/tr39/

mod keys;
mod lookalikes;
mod marks;
#[cfg(test)]
mod tests;

pub(crate) use keys::NameKeys;

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use precis_profiles::UsernameCasePreserved;
use precis_profiles::precis_core::profile::{Profile, Rules};
use precis_profiles::precis_core::{DerivedPropertyValue, Error, IdentifierClass, StringClass};

/// A member's name: one token that cannot be mistaken for another part of a line.
///
/// [`parse`](str::parse) takes a name that a peer chose: at most [`MAX_CHARS`](Self::MAX_CHARS)
/// characters and no colon. [`Name::assigned`] takes a name that a program gives to a peer, and a
/// socket address converts into a name. Cloning is cheap.
///
/// ```
/// use chat_core::{Name, NameError};
///
/// let name: Name = "Zoë".parse()?;
/// assert_eq!(name.as_str(), "Zoë");
/// assert_eq!("no spaces".parse::<Name>(), Err(NameError::WhiteSpace));
/// assert_eq!("127.0.0.1:1234".parse::<Name>(), Err(NameError::Colon));
/// assert_eq!("127.0.0.1".parse::<Name>(), Err(NameError::Address));
/// assert_eq!(Name::assigned("127.0.0.1:1234")?.to_string(), "127.0.0.1:1234");
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// The reason why a name was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name is empty.
    #[error("a name cannot be empty")]
    Empty,
    /// The name is too long.
    #[error("a name has at most {max} characters")]
    TooLong {
        /// The most characters that it may have.
        max: usize,
    },
    /// The name has a character with the Unicode property `White_Space`.
    #[error("a name cannot contain white space")]
    WhiteSpace,
    /// The name has a C0 or C1 control, or DEL.
    #[error("a name cannot contain control characters")]
    Control,
    /// The name begins like a notice or a command.
    #[error("a name cannot begin with * or /")]
    Beginning,
    /// A chosen name has a colon, or an assigned one ends in it.
    #[error("a name cannot contain a colon")]
    Colon,
    /// The name has a comma, which separates names in the roster.
    #[error("a name cannot contain a comma")]
    Comma,
    /// A chosen name looks like an address or this machine, or ends in a look-alike of a colon, like
    /// the author of a message.
    #[error("a name cannot look like an address, or end in a look-alike of a colon")]
    Address,
    /// The name looks like `You` or `Here`, which begin the greeting.
    #[error("You and Here are reserved, and so are names that look like them")]
    Reserved,
    /// RFC 8265 does not allow the character, or not in this place.
    #[error(
        "a name has letters, digits and ASCII punctuation only, U+{:04X} cannot be there",
        u32::from(*.0)
    )]
    NotAllowed(char),
    /// The combining mark is invisible, repeated, one too many, or not of the script of the letter
    /// before it.
    #[error(
        "a mark must be visible and belong to the letter before it, U+{:04X} cannot be there",
        u32::from(*.0)
    )]
    Mark(char),
    /// The name breaks the bidi rule of RFC 5893, so it could reorder its line.
    #[error("a name has one direction, and begins with a letter if that is from right to left")]
    Direction,
}

impl Name {
    /// The most characters of a chosen name.
    pub const MAX_CHARS: usize = 32;

    /// The most characters of an assigned name with a colon: the longest socket address has 58.
    pub const MAX_ASSIGNED_CHARS: usize = 64;

    /// A name that a transport or program gives to a peer, such as its address.
    ///
    /// It may have colons, but not at its end, and then at most
    /// [`MAX_ASSIGNED_CHARS`](Self::MAX_ASSIGNED_CHARS) characters. Without a colon the rules of a
    /// chosen name apply, because a peer could choose it; but it may be an address.
    ///
    /// # Errors
    ///
    /// [`NameError`] says which rule the name breaks.
    pub fn assigned(name: &str) -> Result<Self, NameError> {
        let name = enforce(name)?;
        if !name.contains(':') {
            return Ok(Self::without_colon(&name)?.0);
        }
        check_form(&name, Self::MAX_ASSIGNED_CHARS)?;
        if name.ends_with(':') {
            return Err(NameError::Colon);
        }
        Ok(Self(name.into()))
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Names that share a key count as the same name.
    pub(crate) fn keys(&self) -> NameKeys {
        NameKeys::of(&self.0)
    }

    /// Checks the rules of a chosen name, but for the one on addresses; `name` is enforced.
    fn without_colon(name: &str) -> Result<(Self, NameKeys), NameError> {
        check_form(name, Self::MAX_CHARS)?;
        if name.contains(':') {
            return Err(NameError::Colon);
        }
        if name.contains(',') {
            return Err(NameError::Comma);
        }
        let name = Self(name.into());
        let keys = name.keys();
        if lookalikes::is_greeting(&name.0) {
            return Err(NameError::Reserved);
        }
        if lookalikes::is_notice(&keys) {
            return Err(NameError::Beginning);
        }
        if lookalikes::is_prefix(&name.0) {
            return Err(NameError::Address);
        }
        Ok((name, keys))
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let (name, keys) = Self::without_colon(&enforce(name)?)?;
        if lookalikes::is_address(&name.0, &keys) {
            return Err(NameError::Address);
        }
        Ok(name)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        name.parse()
    }
}

/// The address in the form of the book, `127.0.0.1:1234` or `[::1]:1234`. An IPv4 peer of an IPv6
/// socket is shown as IPv4.
impl From<SocketAddr> for Name {
    fn from(addr: SocketAddr) -> Self {
        let shown = match addr.ip().to_canonical() {
            ip if ip.is_ipv4() => SocketAddr::new(ip, addr.port()),
            // Unchanged: it may have a scope, which distinguishes two links.
            _ => addr,
        };
        // `to_string` would grow the string twice, and each peer gets such a name.
        let mut name = String::with_capacity(Self::MAX_ASSIGNED_CHARS);
        let _ = write!(name, "{shown}");
        Self(name.into())
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn check_form(name: &str, max: usize) -> Result<(), NameError> {
    if name.chars().nth(max).is_some() {
        return Err(NameError::TooLong { max });
    }
    if name.starts_with(['*', '/']) {
        return Err(NameError::Beginning);
    }
    Ok(())
}

/// The form of the name that RFC 8265 prescribes. Enforcing it again changes nothing.
fn enforce(name: &str) -> Result<Cow<'_, str>, NameError> {
    /// Normalising can shorten a name, but the work on a longer one is not worth it.
    const MAX_RAW_CHARS: usize = 2 * Name::MAX_ASSIGNED_CHARS;

    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.chars().nth(MAX_RAW_CHARS).is_some() {
        return Err(NameError::TooLong {
            max: Name::MAX_CHARS,
        });
    }
    if name.contains(char::is_whitespace) {
        return Err(NameError::WhiteSpace);
    }
    if name.contains(char::is_control) {
        return Err(NameError::Control);
    }
    if name.is_ascii() {
        return Ok(Cow::Borrowed(name));
    }

    let profile = UsernameCasePreserved::new();
    let refused = |error| refusal(error, name);
    let prepared = profile.prepare(name).map_err(refused)?;
    let enforced = profile.normalization_rule(prepared).map_err(refused)?;
    // Composing can take away the neighbour that a character needs: `l·l` with an accent.
    profile.prepare(&*enforced).map_err(refused)?;
    marks::check(&enforced)?;
    if let Some(c) = enforced.chars().next().filter(|c| !can_begin(*c)) {
        return Err(NameError::NotAllowed(c));
    }
    if !has_one_direction(&profile, &enforced) {
        return Err(NameError::Direction);
    }
    Ok(enforced)
}

/// The middle dots between letters cannot.
fn can_begin(c: char) -> bool {
    c.is_ascii() || c.is_alphanumeric()
}

/// The bidi rule, RFC 5893 section 2.
///
/// The library refuses letters after a nonspacing mark, which the rule allows anywhere but at the
/// beginning. Dhivehi, and vocalised Arabic and Hebrew, need them, so the check leaves marks out.
fn has_one_direction(profile: &UsernameCasePreserved, name: &str) -> bool {
    let satisfies = |name: String| profile.directionality_rule(name).is_ok();
    satisfies(name.to_owned())
        || satisfies(name.chars().filter(|&c| !marks::is_nonspacing(c)).collect())
}

fn refusal(error: Error, name: &str) -> NameError {
    use DerivedPropertyValue::{ContextJ, ContextO};

    let class = IdentifierClass::default();
    let needs_neighbour = |c: &char| matches!(class.get_value_from_char(*c), ContextJ | ContextO);
    let culprit = match error {
        Error::BadCodepoint(info) => char::from_u32(info.cp),
        // Reported without a position if the character has no neighbour at all.
        Error::Invalid | Error::Unexpected(_) => name.chars().find(needs_neighbour),
    };
    NameError::NotAllowed(culprit.unwrap_or(char::REPLACEMENT_CHARACTER))
}
