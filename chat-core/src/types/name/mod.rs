//! Names: who is speaking, and why nobody else can seem to.
//!
//! The first token of a line decides what the line is: `*` begins a notice, `You` and `Here` greet,
//! a token that ends in `:` is somebody's text, any other is somebody who came, went or changed name.
//! So that a line cannot be forged by naming oneself well, a name
//!
//! - has no white space and no control character: it is one token, and moves no terminal;
//! - does not begin with `*` or `/`, and is not `You` or `Here`;
//! - does not end in `:`; one that a peer *chose* has none at all, so it is never another's address.
//!
//! Letters and digits of any script are welcome, as the `UsernameCasePreserved` profile of
//! [RFC 8265] has them: ASCII punctuation too, but no symbols and nothing invisible; wide and narrow
//! forms become plain ones, and composed characters are used (NFC). All rules hold for that form,
//! which is the one that is kept.
//!
//! Names that look alike, by the skeletons of [UTS 39], or that differ in case only count as the
//! same name. `Name`s are nevertheless equal only if they are the same to the letter.
//!
//! [RFC 8265]: https://www.rfc-editor.org/rfc/rfc8265#section-3.4
//! [UTS 39]: https://www.unicode.org/reports/tr39/#Confusable_Detection

mod keys;
#[cfg(test)]
mod tests;

pub(crate) use keys::NameKeys;
use keys::{looks_like_address, looks_like_prefix};

use std::{
    borrow::Cow,
    fmt,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, LazyLock},
};

use precis_profiles::{
    UsernameCasePreserved,
    precis_core::{
        DerivedPropertyValue, Error, IdentifierClass, StringClass,
        profile::{Profile, Rules},
    },
};
/// A member's name: one token that cannot be mistaken for anything else in a line.
///
/// [`parse`](str::parse) takes a name that a peer chose: at most [`MAX_CHARS`](Self::MAX_CHARS)
/// characters and no colon. [`Name::assigned`] takes a name that a program gives a peer, and a
/// socket address is a name as it is. Cloning is cheap.
///
/// ```
/// use chat_core::{Name, NameError};
///
/// let name: Name = "Zoë".parse()?;
/// assert_eq!(name.as_str(), "Zoë");
/// assert_eq!("no spaces".parse::<Name>(), Err(NameError::WhiteSpace));
/// assert_eq!("127.0.0.1:1234".parse::<Name>(), Err(NameError::Colon));
/// assert_eq!(Name::assigned("127.0.0.1:1234")?.to_string(), "127.0.0.1:1234");
/// # Ok::<(), NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a name was refused. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// There is nothing to call the peer by.
    #[error("a name cannot be empty")]
    Empty,
    /// More characters than a name may have.
    #[error("a name has at most {max} characters")]
    TooLong {
        /// The most it may have.
        max: usize,
    },
    /// Anything with the Unicode property `White_Space`.
    #[error("a name cannot contain white space")]
    WhiteSpace,
    /// A C0 or C1 control, or DEL.
    #[error("a name cannot contain control characters")]
    Control,
    /// Notices begin with `*`, commands with `/`.
    #[error("a name cannot begin with * or /")]
    Beginning,
    /// A chosen name has a colon, or an assigned one ends in it.
    #[error("a name cannot contain a colon")]
    Colon,
    /// A chosen name could be taken for an address, or for the beginning of what somebody says: it
    /// has a letter that looks like a colon before what looks like a number, or after Latin ones.
    #[error("a name cannot look like an address, or end as if in a colon")]
    Address,
    /// `You` and `Here` begin the greeting's lines.
    #[error("You and Here are reserved, and so is what looks like them")]
    Reserved,
    /// A character that RFC 8265 does not allow, or not where it stands.
    #[error(
        "a name has letters, digits and ASCII punctuation only, U+{:04X} cannot be there",
        u32::from(*.0)
    )]
    NotAllowed(char),
    /// Against the bidi rule of RFC 5893, without which a name could reorder its line.
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
    /// [`MAX_ASSIGNED_CHARS`](Self::MAX_ASSIGNED_CHARS) characters. Without a colon it is held to the
    /// rules of a chosen name, because a peer could choose it.
    ///
    /// # Errors
    ///
    /// [`NameError`] says which rule it is against.
    pub fn assigned(name: &str) -> Result<Self, NameError> {
        let name = enforce(name)?;
        if !name.contains(':') {
            return Self::chosen(&name);
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

    /// What identifies the name in a hub: names that share a key count as the same.
    pub(crate) fn keys(&self) -> NameKeys {
        NameKeys::of(&self.0)
    }

    /// Checks the rules of a chosen name; `name` is enforced.
    fn chosen(name: &str) -> Result<Self, NameError> {
        static RESERVED: LazyLock<[NameKeys; 2]> =
            LazyLock::new(|| ["You", "Here"].map(|name| NameKeys::of(&name.into())));

        check_form(name, Self::MAX_CHARS)?;
        if name.contains(':') {
            return Err(NameError::Colon);
        }
        let name = Self(name.into());
        let keys = name.keys();
        if RESERVED.iter().any(|reserved| reserved.conflict(&keys)) {
            return Err(NameError::Reserved);
        }
        if keys.iter().any(|key| looks_like_address(key)) || looks_like_prefix(&name.0, &keys) {
            return Err(NameError::Address);
        }
        Ok(name)
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::chosen(&enforce(name)?)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        name.parse()
    }
}

/// The address as the book shows it, `127.0.0.1:1234` or `[::1]:1234`; an IPv4 peer of an IPv6
/// socket is shown as IPv4.
impl From<SocketAddr> for Name {
    fn from(addr: SocketAddr) -> Self {
        let name = match addr.ip().to_canonical() {
            ip if ip.is_ipv4() => SocketAddr::new(ip, addr.port()).to_string(),
            // As it is: it may have a scope, which tells two links apart.
            _ => addr.to_string(),
        };
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

/// The form that RFC 8265 gives a name, which has that form itself.
fn enforce(name: &str) -> Result<Cow<'_, str>, NameError> {
    /// What normalising may shorten is looked at up to here, to bound the work.
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
    // An accent at the beginning would be set on the space or the line end before the name.
    match enforced.chars().next() {
        Some(c) if !c.is_ascii() && !c.is_alphanumeric() => return Err(NameError::NotAllowed(c)),
        _ => {}
    }
    if !has_one_direction(&profile, &enforced) {
        return Err(NameError::Direction);
    }
    Ok(enforced)
}

/// The bidi rule, RFC 5893 section 2.
///
/// The library refuses letters after a nonspacing mark, which the rule allows anywhere but at the
/// beginning; without them Dhivehi and vocalised Arabic and Hebrew have no names. So marks that
/// follow are left out of what it is asked.
fn has_one_direction(profile: &UsernameCasePreserved, name: &str) -> bool {
    let satisfies = |s: String| profile.directionality_rule(s).is_ok();
    if satisfies(name.to_owned()) {
        return true;
    }
    // In no table at hand: what may follow a Hebrew letter, but not stand before it, nor is a digit.
    let is_mark =
        |c: char| satisfies(format!("א{c}")) && !satisfies(format!("{c}א")) && !c.is_numeric();
    let mut chars = name.chars();
    let first = chars.next();
    satisfies(
        first
            .into_iter()
            .chain(chars.filter(|&c| !is_mark(c)))
            .collect(),
    )
}

fn refusal(error: Error, name: &str) -> NameError {
    use DerivedPropertyValue::{ContextJ, ContextO};

    let class = IdentifierClass::default();
    let needs_neighbour = |c: &char| matches!(class.get_value_from_char(*c), ContextJ | ContextO);
    let culprit = match error {
        Error::BadCodepoint(info) => char::from_u32(info.cp),
        // Given without a position, for a character whose neighbour is not there at all.
        Error::Invalid | Error::Unexpected(_) => name.chars().find(needs_neighbour),
    };
    NameError::NotAllowed(culprit.unwrap_or(char::REPLACEMENT_CHARACTER))
}
