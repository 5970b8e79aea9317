//! The rules for names, one by one and by chance.

use super::keys::settle;
use super::*;
use proptest::prelude::*;
use std::iter;
use unicode_security::confusable_detection::skeleton;

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
        (
            NameError::Address,
            "bobː|bobꓽ|127.0.0.1ː8000|l27.0.0.lः1O|memoryꓽ1",
        ),
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
    let misplaced = "a\u{202e}b|a\u{200b}b|a\u{200d}b|\u{200d}|a\u{3164}|🦀|é·|l·l\u{301}|\u{301}a";
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
