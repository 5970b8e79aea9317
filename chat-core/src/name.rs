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

use std::{
    borrow::Cow,
    fmt, iter,
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
use unicode_security::confusable_detection::skeleton;

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
    /// A chosen name could be taken for an address: it ends in a letter that looks like a colon,
    /// and what looks like a number.
    #[error("a name cannot look like an address")]
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
    #[error("a name cannot mix right-to-left letters with others")]
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
        if keys.iter().any(|key| looks_like_address(key)) {
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

    fn of(name: &Arc<str>) -> Self {
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

    fn conflict(&self, other: &Self) -> bool {
        self.iter()
            .any(|key| other.iter().any(|taken| key == taken))
    }
}

/// Folds case and looks until neither changes: a skeleton can have capitals (`0` gives `O`), and a
/// small letter a skeleton of its own (`m` gives `rn`).
fn settle(mut name: String) -> String {
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
fn looks_like_address(key: &str) -> bool {
    // In keys, 0 and 1 are o and l.
    let digit = |c: char| matches!(c, 'o' | 'l' | '2'..='9');
    key.rsplit_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.chars().all(digit))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(name: &str) -> Result<Name, NameError> {
        name.parse()
    }

    fn conflict(a: &str, b: &str) -> bool {
        let [a, b] = [a, b].map(|n| Name::assigned(n).expect(n).keys());
        assert_eq!(a.conflict(&b), b.conflict(&a));
        a.conflict(&b)
    }

    #[test]
    fn names_of_every_script_are_welcome() {
        let names = "alice O'Brien a_b-c.d x ~!@#$%^&() Zoë Ångström Nguyễn straße Νίκος Ольга \
            נמרוד7 שָׁלוֹם محمد مُحَمَّد محمد٣ می\u{200c}خواهم ދިވެހި नमस्ते दुःख क्\u{200d}ष สมชาย \
            李雷 さくら ノブ カタカナ・デ 홍길동 ꓡꓲꓢꓴꓽ l·l";
        for name in names.split(' ') {
            assert_eq!(parse(name).as_ref().map(Name::as_str), Ok(name));
        }
    }

    #[test]
    fn a_name_is_kept_in_its_normal_form() {
        for (given, kept) in [("Zoe\u{308}", "Zoë"), ("ｂｏｂ", "bob"), ("ｱｲ", "アイ")] {
            assert_eq!(parse(given).as_ref().map(Name::as_str), Ok(kept));
        }
    }

    #[test]
    fn what_could_forge_a_line_is_refused() {
        // Names are parted by `|`, which a name may have.
        for (error, names) in [
            (NameError::Empty, ""),
            (
                NameError::WhiteSpace,
                "a b| |a\tb|a\n|a\u{a0}b|a\u{3000}b|a\u{2028}b|a\u{85}b",
            ),
            (NameError::Control, "a\x1b[2J|a\x7f|\0|a\u{9b}"),
            (NameError::Beginning, "*|*a|/quit|＊a|／a"),
            (NameError::Colon, "a:|a:b|:|a：b|127.0.0.1:1|[::1]:80"),
            (NameError::Address, "127.0.0.1ː8000|l27.0.0.lः1O|memoryꓽ1"),
            (NameError::Reserved, "You|HERE|ｙｏｕ|Уоu|y0u|hеre"),
            (NameError::Direction, "aא|אa|1א|א.|א1٣|\u{7a8}ހ"),
        ] {
            for name in names.split('|') {
                assert_eq!(parse(name), Err(error.clone()), "{name:?}");
            }
        }
        let max = Name::MAX_CHARS;
        for (letter, times) in [("x", 33), ("x", 65536), ("é", 33), ("e\u{301}", 33)] {
            assert_eq!(
                parse(&letter.repeat(times)),
                Err(NameError::TooLong { max })
            );
        }
        let misplaced =
            "a\u{202e}b|a\u{200b}b|a\u{200d}b|\u{200d}|a\u{3164}|🦀|é·|l·l\u{301}|\u{301}a";
        for (name, culprit) in iter::zip(
            misplaced.split('|'),
            "\u{202e}\u{200b}\u{200d}\u{200d}\u{3164}🦀··\u{301}".chars(),
        ) {
            assert_eq!(parse(name), Err(NameError::NotAllowed(culprit)), "{name:?}");
        }
    }

    #[test]
    fn length_is_counted_in_characters_of_the_normal_form() {
        for name in ["x".repeat(32), "é".repeat(32), "e\u{301}".repeat(32)] {
            assert_eq!(parse(&name).map(|n| n.as_str().chars().count()), Ok(32));
        }
    }

    #[test]
    fn a_refusal_reads_well() {
        assert_eq!(
            NameError::TooLong { max: 32 }.to_string(),
            "a name has at most 32 characters"
        );
        assert_eq!(
            NameError::NotAllowed('\u{9}').to_string(),
            "a name has letters, digits and ASCII punctuation only, U+0009 cannot be there"
        );
    }

    #[test]
    fn assigned_names_may_have_a_colon_within() {
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535";
        let names = "127.0.0.1:1234 [::1]:8000 [fe80::1%eth0]:80 unix:3 memory:1 bob You:1";
        for name in names.split(' ').chain([longest, &":a".repeat(32)]) {
            let assigned = Name::assigned(name);
            assert_eq!(assigned.as_ref().map(Name::as_str), Ok(name));
        }
        let too_long = |max| NameError::TooLong { max };
        for (name, error) in [
            ("a:", NameError::Colon),
            ("", NameError::Empty),
            ("a: b", NameError::WhiteSpace),
            ("a:\u{202e}", NameError::NotAllowed('\u{202e}')),
            ("*:1", NameError::Beginning),
            ("/:1", NameError::Beginning),
            ("You", NameError::Reserved),
            (&"x".repeat(33), too_long(32)),
            (&":a".repeat(33)[1..], too_long(64)),
        ] {
            assert_eq!(Name::assigned(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn an_address_is_a_name() {
        for (addr, name) in [
            ("127.0.0.1:1234", "127.0.0.1:1234"),
            ("[::1]:1234", "[::1]:1234"),
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("[fe80::1%3]:80", "[fe80::1%3]:80"),
        ] {
            let named = Name::from(addr.parse::<SocketAddr>().unwrap());
            assert_eq!(named.as_str(), name);
            assert_eq!(Name::assigned(name), Ok(named));
        }
    }

    #[test]
    fn names_that_look_alike_or_differ_in_case_are_the_same() {
        for same in [
            "Alice alice аlice ALICE АLICE ａlice",
            "r00t root ROOT rооt",
            "Ivan lvan IVAN 1van",
            "ivan Ivan IVAN",
            "paypal раураl",
            "max Max Мax rnax",
            "I0 i0 io",
            "Νίκος ΝΊΚΟΣ",
            "straße STRASSE",
            "क्\u{200d}ष क्ष",
            "unix:1 unix:1",
        ] {
            let (first, others) = same.split_once(' ').unwrap();
            assert!(
                others.split(' ').all(|other| conflict(first, other)),
                "{same}"
            );
        }
        for pair in [
            "alice alicia",
            "ivan lvan",
            "Zoë Zoe",
            "unix:1 unix:l",
            "memory:a memory:A",
            "李 季",
        ] {
            let (a, b) = pair.split_once(' ').unwrap();
            assert!(!conflict(a, b), "{pair}");
        }
    }

    #[test]
    fn keys_are_one_or_two_and_settled() {
        let keys = |name: &str| Vec::from_iter(parse(name).unwrap().keys().iter().cloned());
        assert_eq!(keys("bob"), ["bob".into()]);
        assert_eq!(keys("Ivan"), ["lvan".into(), "ivan".into()]);
        for c in ('\0'..=char::MAX).filter(|c| c.is_alphanumeric()) {
            for key in NameKeys::of(&c.to_string().into()).iter() {
                assert_eq!(settle(key.to_string()), **key, "{c}");
            }
        }
    }

    /// Strings that often are names: of one script, of all, of what the rules speak of.
    fn raw() -> impl Strategy<Value = String> {
        prop_oneof![
            "[!-~]{1,34}",
            r"[\p{L}\p{N}\p{M}]{1,6}",
            r"[\p{Hebrew}\p{Arabic}\p{Thaana}0-9]{1,6}",
            r"[\p{Greek}\p{Cyrillic}a-zA-Z01|]{1,8}",
            "[a*/:：＊／ ｌl·ːः\u{301}\u{200c}\u{200d}क्・ノuUyYоО0٣۳]{1,5}",
            any::<String>(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn every_name_obeys_the_rules(raw in raw()) {
            let (chosen, assigned) = (parse(&raw), Name::assigned(&raw));
            if let Ok(name) = &chosen {
                prop_assert!(!name.as_str().contains(':'));
                prop_assert!(name.as_str().chars().count() <= 32);
                prop_assert!(!["you", "here"].contains(&&*name.as_str().to_lowercase()));
                prop_assert_eq!(&assigned, &chosen);
                prop_assert_eq!(parse(name.as_str()), chosen.clone(), "it parses to itself");
            }
            if let Ok(name) = assigned {
                let shown = name.to_string();
                prop_assert_eq!(&shown, name.as_str());
                prop_assert!(!shown.is_empty() && shown.chars().count() <= 64);
                prop_assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control()));
                prop_assert!(!shown.starts_with(['*', '/']) && !shown.ends_with(':'));
                prop_assert_eq!(Name::assigned(&shown), Ok(name));
                prop_assert!(chosen.is_ok() || shown.contains(':'));
            }
        }

        #[test]
        fn the_profile_agrees(raw in raw()) {
            let profile = UsernameCasePreserved::new();
            match (enforce(&raw), profile.enforce(&raw[..])) {
                (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
                // The marks that the library refuses.
                (Ok(ours), theirs) => {
                    prop_assert_eq!(theirs, Err(Error::Invalid));
                    prop_assert!(!ours.is_ascii());
                }
                (Err(_), _) => {}
            }
            if raw.is_ascii() && raw.chars().all(|c| c.is_ascii_graphic()) && raw.len() <= 128 {
                prop_assert_eq!(enforce(&raw).is_ok(), profile.enforce(&raw[..]).is_ok());
            }
        }

        #[test]
        fn another_case_or_look_is_the_same_name(raw in raw()) {
            if let Ok(name) = parse(&raw) {
                let name = name.as_str();
                prop_assert!(conflict(name, name));
                for other in [name.to_lowercase(), name.to_uppercase(), skeleton(name).collect()] {
                    if let Ok(other) = parse(&other) {
                        prop_assert!(conflict(name, other.as_str()), "{} {}", name, other);
                    }
                }
            }
        }
    }
}
