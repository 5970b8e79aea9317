//! The rules for names: one by one, then on generated names.

use super::keys::{AROUND, settle};
use super::*;
use proptest::prelude::*;
use std::iter;
use unicode_security::confusable_detection::skeleton;

fn parse(name: &str) -> Result<Name, NameError> {
    name.parse()
}

/// Asserts that a peer cannot choose any of these names, which `|` separates.
fn assert_refused(names: &str, error: &NameError) {
    for name in names.split('|') {
        assert_eq!(parse(name).as_ref(), Err(error), "{name:?}");
    }
}

/// Asserts that the character is refused in each of these names, which `|` separates.
fn assert_mark_refused(names: &str, mark: char) {
    assert_refused(names, &NameError::Mark(mark));
}

fn assert_accepted(names: &str) {
    for name in names.split(' ') {
        assert_eq!(parse(name).as_ref().map(Name::as_str), Ok(name));
    }
}

fn conflict(a: &str, b: &str) -> bool {
    let [a, b] = [a, b].map(|name| Name::assigned(name).expect(name).keys());
    a.iter().any(|key| b.iter().any(|other| key == other))
}

/// Asserts that the first of these names, which spaces separate, counts as each of the others.
fn assert_same(names: &str) {
    let (first, others) = names.split_once(' ').expect("at least two names");
    for other in others.split(' ') {
        assert!(conflict(first, other), "{first} {other}");
    }
}

fn assert_different(names: &str) {
    let (a, b) = names.split_once(' ').expect("two names");
    assert!(!conflict(a, b), "{names}");
}

mod characters {
    use super::*;

    #[test]
    fn any_script_is_accepted() {
        assert_accepted(
            "alice O'Brien a_b-c.d x ~!@#$%^&() Zoë Ångström Nguyễn straße Νίκος Ольга İsmail ısı \
             נמרוד7 שָׁלוֹם محمد مُحَمَّد محمد٣ می\u{200c}خواهم ދިވެހި नमस्ते दुःख क्\u{200d}ष สมชาย \
             李雷 さくら ノブ カタカナ・デ 홍길동 ꓡꓲꓢꓴꓽ l·l",
        );
    }

    #[test]
    fn stacked_scripts_are_accepted() {
        // Khmer, Myanmar (kinzi, five marks in a row), Tai Tham, Tibetan, Thai, Lao, Vietnamese,
        // polytonic Greek, Hebrew with points, Sinhala, Bengali, Tamil, Kannada, Taiwanese.
        assert_accepted(
            "ស្ត្រី ច័ន្ទដារ៉ា ကျွန်ုပ် အင်္ဂလိပ် မြှို့ ᨾᩉᩣᩅᩥᨴ᩠ᨿᩣᩃᩱ བསྒྲུབས ཧྲཱིཿ ผู้ใหญ่ ຜູ້ໃຫຍ່ Nguyễn ᾧδή בְּרֵאשִׁ֑ית \
             ශ්\u{200d}රී লক্ষ্মী க்ஷத்ரியன் ಲಕ್ಷ್ಮೀ o͘",
        );
    }

    #[test]
    fn name_is_kept_in_nfc() {
        for (given, kept) in [("Zoe\u{308}", "Zoë"), ("ｂｏｂ", "bob"), ("ｱｲ", "アイ")] {
            assert_eq!(parse(given).as_ref().map(Name::as_str), Ok(kept));
        }
    }

    #[test]
    fn length_counts_characters_of_nfc() {
        for name in ["x".repeat(32), "é".repeat(32), "e\u{301}".repeat(32)] {
            assert_eq!(parse(&name).map(|n| n.as_str().chars().count()), Ok(32));
        }
        let max = Name::MAX_CHARS;
        for (letter, times) in [("x", 33), ("x", 65536), ("é", 33), ("e\u{301}", 33)] {
            let name = letter.repeat(times);
            assert_eq!(parse(&name), Err(NameError::TooLong { max }));
        }
    }

    #[test]
    fn white_space_and_controls_are_refused() {
        assert_refused("", &NameError::Empty);
        assert_refused(
            "a b| |a\tb|a\n|a\u{a0}b|a\u{3000}b|a\u{2028}b|a\u{85}b",
            &NameError::WhiteSpace,
        );
        assert_refused("a\x1b[2J|a\x7f|\0|a\u{9b}", &NameError::Control);
    }

    #[test]
    fn invisible_characters_are_refused() {
        // Zero width, joiners without a neighbour, bidi controls, soft hyphen, grapheme joiner,
        // Hangul and Khmer fillers, variation selectors, tags, Braille blank, private use.
        for c in "\u{200b}\u{2060}\u{feff}\u{200c}\u{200d}\u{61c}\u{200e}\u{202e}\u{2066}\u{ad}\u{34f}\
            \u{115f}\u{1160}\u{3164}\u{17b4}\u{17b5}\u{180b}\u{180e}\u{fe0f}\u{e0100}\u{e0061}\u{2800}\u{e000}"
            .chars()
        {
            for name in [format!("a{c}b"), format!("{c}a"), format!("a{c}")] {
                assert_eq!(parse(&name), Err(NameError::NotAllowed(c)), "{name:?}");
            }
        }
        // It is mapped to the wide filler first.
        assert_refused("a\u{ffa0}b", &NameError::NotAllowed('\u{3164}'));
    }

    #[test]
    fn symbols_are_refused() {
        // Emoji, mathematical letters, ligatures, numbers in circles, tatweel, misplaced dots.
        for (name, culprit) in iter::zip(
            "🦀|𝐚lice|ﷺ|①|½|alice²|aـb|é·|l·l\u{301}|a\u{20dd}".split('|'),
            "🦀𝐚ﷺ①½²ـ··\u{20dd}".chars(),
        ) {
            assert_eq!(parse(name), Err(NameError::NotAllowed(culprit)), "{name:?}");
        }
    }

    #[test]
    fn mixed_directions_are_refused() {
        assert_refused("aא|אa|1א|א.|א1٣|127٠0٠0٠1", &NameError::Direction);
    }

    #[test]
    fn refusals_read_well() {
        for (error, text) in [
            (
                NameError::TooLong { max: 32 },
                "a name has at most 32 characters",
            ),
            (
                NameError::NotAllowed('\u{9}'),
                "a name has letters, digits and ASCII punctuation only, U+0009 cannot be there",
            ),
            (
                NameError::Mark('\u{307}'),
                "a mark must be visible and belong to the letter before it, U+0307 cannot be there",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}

mod marks {
    use super::*;

    #[test]
    fn dot_on_dotted_letter_is_refused() {
        assert_mark_refused(
            "ali\u{307}ce|j\u{307}im|i\u{307}van|J\u{307}j\u{307}",
            '\u{307}',
        );
        // Below the letter nothing covers the dot.
        assert_mark_refused(
            "i\u{328}\u{307}|i\u{323}\u{307}|ḭ\u{307}|į\u{307}",
            '\u{307}',
        );
        // Cyrillic, Greek and letters with a stroke; dotless ones, and l, which look dotted then.
        assert_mark_refused(
            "і\u{307}|ј\u{307}|ϳ\u{307}|ɨ\u{307}|ɉ\u{307}|ʝ\u{307}|ᶖ\u{307}",
            '\u{307}',
        );
        assert_mark_refused(
            "ı\u{307}van|ȷ\u{307}|ι\u{307}van|l\u{307}van|ӏ\u{307}",
            '\u{307}',
        );
        assert_mark_refused("i\u{358}van|l\u{358}", '\u{358}');
    }

    #[test]
    fn dot_on_other_letters_is_accepted() {
        assert_accepted("İvan ċ ż o͘ í\u{307} i\u{310}\u{307} Į\u{307}");
    }

    #[test]
    fn mark_needs_letter() {
        assert_mark_refused("\u{301}a|-\u{301}|1\u{301}|a.\u{301}|'\u{301}", '\u{301}');
        assert_mark_refused("_\u{332}", '\u{332}');
        assert_mark_refused("\u{93e}ब|a-\u{93e}", '\u{93e}');
        // A stroke through a zero, as many fonts have it.
        assert_mark_refused("0\u{338}|b0b0\u{338}", '\u{338}');
    }

    #[test]
    fn mark_needs_its_script() {
        assert_mark_refused("bob\u{903}", '\u{903}');
        // They look like colons.
        assert_mark_refused("bob\u{1038}", '\u{1038}');
        assert_mark_refused("bob\u{17c8}", '\u{17c8}');
        // A dot above, of Arabic.
        assert_mark_refused("al\u{131}\u{6ec}ce|ali\u{6ec}ce", '\u{6ec}');
        // It only places a vowel of Miao.
        assert_mark_refused("ali\u{16f8f}ce", '\u{16f8f}');
        // Tone letters of Lisu, which look like punctuation.
        assert_mark_refused("aliceꓸ|127ꓸ0ꓸ0ꓸ1|ꓸalice", 'ꓸ');
        assert_mark_refused("bobꓽ|memoryꓽ1|ꓽ", 'ꓽ');
        // A musical dot.
        assert_mark_refused("alice\u{1d16d}", '\u{1d16d}');
    }

    #[test]
    fn overlay_is_refused() {
        for overlay in "\u{334}\u{335}\u{336}\u{337}\u{338}\u{20d2}\u{20e5}".chars() {
            assert_mark_refused(&format!("bo{overlay}b|t{overlay}om"), overlay);
        }
        assert_accepted("Bjørn Łukasz ŧ ƶ");
    }

    #[test]
    fn stacker_needs_following_letter() {
        for (letters, stacker) in [
            ("កក", '\u{17d2}'),
            ("ကက", '\u{1039}'),
            ("ᨠᨠ", '\u{1a60}'),
            ("ᮊᮊ", '\u{1bab}'),
            ("ⴰⴱ", '\u{2d7f}'),
            ("ꯀꯀ", '\u{aaf6}'),
            ("𐨐𐨐", '\u{10a3f}'),
            ("𑄇𑄇", '\u{11133}'),
        ] {
            let mut letters = letters.chars();
            let (a, b) = (letters.next().unwrap(), letters.next().unwrap());
            // Between letters it joins them.
            assert_accepted(&format!("{a}{stacker}{b}"));
            for rest in ["", "1", "-", "b", &stacker.to_string()] {
                let name = format!("{a}{b}{stacker}{rest}");
                assert!(
                    // The other script can be right to left.
                    matches!(parse(&name), Err(NameError::Mark(_) | NameError::Direction)),
                    "{name:?}"
                );
            }
        }
        assert_mark_refused("alice\u{17d2}|a\u{17d2}lice|កក\u{17d2}", '\u{17d2}');
    }

    #[test]
    fn stack_is_limited() {
        let zalgo: String = ('\u{300}'..).take(29).collect();
        // Canonical order: those below the letter first.
        assert_mark_refused(&format!("a{zalgo}"), '\u{319}');
        assert_accepted("e\u{316}\u{317}\u{318}\u{319}");
        assert_mark_refused("e\u{316}\u{317}\u{318}\u{319}\u{31c}", '\u{31c}');
        // Composed ones count, too.
        assert_mark_refused("ệ\u{316}\u{317}\u{318}", '\u{302}');
    }

    #[test]
    fn repeated_mark_is_refused() {
        let accents = "\u{301}".repeat(29);
        assert_mark_refused(&format!("a{accents}|é{accents}"), '\u{301}');
        assert_mark_refused("a\u{302}\u{301}\u{302}", '\u{302}');
        assert_mark_refused("ก\u{e34}\u{e34}", '\u{e34}');
    }
}

mod forgery {
    use super::*;

    #[test]
    fn notice_and_command_beginnings_are_refused() {
        assert_refused("*|*a|/quit|＊a|／a|ᕯa", &NameError::Beginning);
    }

    #[test]
    fn colon_and_comma_are_refused() {
        assert_refused("a:|a:b|:|a：b|127.0.0.1:1|[::1]:80", &NameError::Colon);
        assert_refused("alice,|eve,alice|Here,|，a", &NameError::Comma);
    }

    #[test]
    fn greeting_is_refused() {
        assert_refused("You|HERE|ｙｏｕ|Уоu|y0u|hеre", &NameError::Reserved);
        assert_refused(
            "You.|You%`|%Here%|Yóu|ʜᴇʀᴇ|\"You\"|'You'|You!|(Here)|Here;|-Here-|Here_now|herenow|HERE.NOW|You_are",
            &NameError::Reserved,
        );
        assert_accepted("Youssef Heredia young there");
    }

    #[test]
    fn final_colon_look_alikes_are_refused() {
        assert_refused(
            "bobː|бобː|ꓡꓲꓢꓴː|bobː.|7ː|bob-ː|ːː|'bobː'",
            &NameError::Address,
        );
    }
}

mod addresses {
    use super::*;

    #[test]
    fn dotted_quads_are_refused() {
        for name in [
            "127.0.0.1",
            "10.1.2.3",
            "127.0.0.1;5000",
            "127.0.0.1-5000",
            "[127.0.0.1]",
            "ip127.0.0.1",
            "127.0.0.1.",
            "192.168.000.001",
            // Digits and colons of other scripts, and letters that look like them.
            "l27.0.0.l",
            "I27.O.O.I",
            "|27.0.0.|",
            "१२७.०.०.१",
            "l27.0.0.lः1O",
            "127.0.0.1ː8000",
        ] {
            let refused = match name {
                "l27.0.0.lः1O" => NameError::Mark('ः'),
                _ => NameError::Address,
            };
            assert_eq!(parse(name), Err(refused), "{name}");
        }
    }

    #[test]
    fn this_machine_is_refused() {
        assert_refused(
            "localhost|LOCALHOST|local-host|lócalhost|ʟᴏᴄᴀʟʜᴏꜱᴛ|Iocalhost|1oca1h0st|localhost.|localhost;5000|localhost.localdomain|\
             ip6-localhost|lосalhоst|127.1|127.0.1|l27.l",
            &NameError::Address,
        );
    }

    #[test]
    fn ports_are_refused() {
        assert_refused("memoryː1|unixː3|unix;3|web;1O|peer;l", &NameError::Address);
    }

    #[test]
    fn ipv6_look_alikes_are_refused() {
        assert_refused("ːː1|feː80ːːa|[2001ːdb8ːːa]|ːːffffː1", &NameError::Address);
    }

    #[test]
    fn versions_and_words_are_accepted() {
        assert_accepted("3.14 v1.2.3 1.2.3 local host alice;b a.b.c.d Tuːla 127 lol.lol");
    }
}

mod assigned {
    use super::*;

    #[test]
    fn colon_within_is_accepted() {
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535";
        let names =
            "127.0.0.1:1234 [::1]:8000 [fe80::1%eth0]:80 unix:3 memory:1 bob You:1 unix:a,b";
        for name in names.split(' ').chain([longest, &":a".repeat(32)]) {
            let assigned = Name::assigned(name);
            assert_eq!(assigned.as_ref().map(Name::as_str), Ok(name));
        }
    }

    #[test]
    fn address_without_port_is_accepted() {
        for name in ["10.0.0.7", "localhost", "127.1"] {
            assert_eq!(Name::assigned(name).as_ref().map(Name::as_str), Ok(name));
        }
    }

    #[test]
    fn other_rules_hold() {
        let too_long = |max| NameError::TooLong { max };
        for (name, error) in [
            ("a:", NameError::Colon),
            ("", NameError::Empty),
            ("a: b", NameError::WhiteSpace),
            ("a:\u{202e}", NameError::NotAllowed('\u{202e}')),
            ("a:i\u{307}", NameError::Mark('\u{307}')),
            ("*:1", NameError::Beginning),
            ("/:1", NameError::Beginning),
            ("You", NameError::Reserved),
            ("bobː", NameError::Address),
            ("a,b", NameError::Comma),
            (&"x".repeat(33), too_long(32)),
            (&":a".repeat(33)[1..], too_long(64)),
        ] {
            assert_eq!(Name::assigned(name), Err(error), "{name:?}");
        }
    }

    #[test]
    fn socket_address_is_a_name() {
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
}

mod same_name {
    use super::*;

    #[test]
    fn another_case_conflicts() {
        for names in [
            "ivan Ivan IVAN",
            "Νίκος ΝΊΚΟΣ",
            "straße STRASSE",
            "unix:1 unix:1",
            // In Turkish İ is the capital of i, elsewhere I.
            "İsmail ismail Ismail ISMAIL",
            "ısı ISI ISİ",
            "Į\u{307} į Į",
        ] {
            assert_same(names);
        }
    }

    #[test]
    fn look_alike_conflicts() {
        for names in [
            "Alice alice аlice ALICE АLICE ａlice",
            "r00t root ROOT rооt",
            "Ivan lvan IVAN 1van",
            "paypal раураl",
            "max Max Мax rnax",
            "I0 i0 io",
            "क्\u{200d}ष क्ष",
            "می\u{200c}خواهم میخواهم",
        ] {
            assert_same(names);
        }
    }

    #[test]
    fn capitals_look_alike_conflicts() {
        // 1, | and the Lisu letter look like I, which is i in another case.
        assert_same("alice AL1CE AL|CE ALӀCE ꓮꓡꓲꓚꓰ");
        assert_same("AL1CE ALICE alice Alice");
        assert_same("IVAN 1VAN ivan lvan");
    }

    #[test]
    fn punctuation_around_conflicts() {
        assert_same(
            "alice alice. .alice 'alice' \"alice\" `alice` (alice) [Alice] <alice> {alice} alice! alice? alice; \
             аlice. aliceʼ ʻalice ˈaliceˎ",
        );
        for pair in ["alice alice_", "alice alice-", "a.b ab", "... ..", "c c#"] {
            assert_different(pair);
        }
    }

    #[test]
    fn letters_like_punctuation_count() {
        // Their skeletons are ', ?, > and !.
        for pair in ["גל גלי", "ᎠᎮ Ꭰ", "ᓀᐳ ᓀ", "ⵜⵑ ⵜ", "alice aliceʔ"] {
            assert_different(pair);
        }
    }

    #[test]
    fn small_capitals_conflict() {
        assert_same("alice ᴀʟɪᴄᴇ Aʟɪᴄᴇ");
        assert_same("kim ᴋɪᴍ");
        assert_same("bdfghjnprt ʙᴅꜰɢʜᴊɴᴘʀᴛ");
        // The skeletons of these Cyrillic letters are small capitals.
        for pair in ["tom том", "h н", "b в"] {
            assert_different(pair);
        }
    }

    #[test]
    fn different_names_do_not_conflict() {
        for pair in [
            "alice alicia",
            "ivan lvan",
            "Zoë Zoe",
            "unix:1 unix:l",
            "memory:a memory:A",
            "李 季",
            "ılık ilik.x",
            // The dot is above the accent.
            "vi\u{301}\u{307} vi\u{301}",
        ] {
            assert_different(pair);
        }
    }

    #[test]
    fn keys_differ_and_are_settled() {
        let keys = |name: &str| Vec::from_iter(parse(name).unwrap().keys().iter().cloned());
        assert_eq!(keys("bob"), ["bob".into()]);
        assert_eq!(keys("Ivan"), ["ivan".into(), "lvan".into()]);
        assert_eq!(keys("1A"), ["la".into(), "ia".into()]);
        assert_eq!(keys("I1"), ["il".into(), "ll".into(), "ii".into()]);
        // Its ו looks like l, but not among Latin capitals.
        assert_eq!(keys("שלום").len(), 1);
        for c in ('\0'..=char::MAX).filter(|c| c.is_alphanumeric()) {
            for key in NameKeys::of(&c.to_string().into()).iter() {
                assert_eq!(settle(key.to_string()), **key, "{c}");
            }
        }
    }

    #[test]
    fn case_key_comes_first() {
        // A hub that has both finds the one that differs in case only.
        let first = |name: &str| parse(name).unwrap().keys().iter().next().cloned();
        assert_eq!(first("Ivan"), first("ivan"));
        assert_ne!(first("Ivan"), first("lvan"));
    }
}

/// Strings that often are names: of one script, of all, of the characters that the rules name.
fn raw() -> impl Strategy<Value = String> {
    prop_oneof![
        "[!-~]{1,34}",
        r"[\p{L}\p{N}\p{M}]{1,6}",
        r"[\p{Hebrew}\p{Arabic}\p{Thaana}0-9]{1,6}",
        r"[\p{Greek}\p{Cyrillic}a-zA-Z01|]{1,8}",
        "[a*/:：＊／ ｌl·ːः\u{301}\u{200c}\u{200d}क्・ノuUyYоО0٣۳]{1,5}",
        "[iIlİıjжé1\u{307}\u{301}\u{323}\u{335}]{1,6}",
        "[0-2lOoI.,;ːꓸ०٠-]{3,12}",
        r"[\p{Khmer}\p{Myanmar}\p{Devanagari}a]{1,6}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn accepted_name_obeys_rules(raw in raw()) {
        let (chosen, assigned) = (parse(&raw), Name::assigned(&raw));
        if let Ok(name) = &chosen {
            prop_assert!(!name.as_str().contains([':', ',']));
            prop_assert!(name.as_str().chars().count() <= 32);
            prop_assert!(!["you", "here"].contains(&&*name.as_str().to_lowercase()));
            prop_assert!(name.as_str().parse::<std::net::IpAddr>().is_err());
            prop_assert_eq!(&assigned, &chosen);
            prop_assert_eq!(parse(name.as_str()), chosen.clone(), "it parses to itself");
        }
        if let Ok(name) = assigned {
            let shown = name.to_string();
            prop_assert_eq!(&shown, name.as_str());
            prop_assert!(!shown.is_empty() && shown.chars().count() <= 64);
            prop_assert!(!shown.contains(|c: char| c.is_whitespace() || c.is_control()));
            prop_assert!(!shown.starts_with(['*', '/']) && !shown.ends_with(':'));
            let double_dot = ["i\u{307}", "j\u{307}"].iter().any(|dots| shown.contains(dots));
            prop_assert!(!double_dot);
            prop_assert_eq!(Name::assigned(&shown), Ok(name));
            prop_assert!(chosen.is_ok() || chosen == Err(NameError::Address) || shown.contains(':'));
        }
    }

    #[test]
    fn profile_agrees(raw in raw()) {
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
    fn case_and_skeleton_conflict(raw in raw()) {
        if let Ok(name) = parse(&raw) {
            let name = name.as_str();
            prop_assert!(conflict(name, name));
            let mut seen: String = skeleton(name).collect();
            if seen.contains(AROUND) {
                // Letters count, but not the punctuation that they look like.
                seen.clear();
            }
            for other in [name.to_lowercase(), name.to_uppercase(), seen] {
                if let Ok(other) = parse(&other) {
                    prop_assert!(conflict(name, other.as_str()), "{} {}", name, other);
                }
            }
        }
    }

    #[test]
    fn soft_dotted_letters_refuse_dots(letter in r"\p{Soft_Dotted}") {
        let name = letter + "\u{307}";
        prop_assert!(parse(&name).is_err());
    }

    #[test]
    fn five_accents_are_refused(accents in r"[\u{300}-\u{314}]{5}", base in "[aeouк]") {
        let name = base + &accents;
        prop_assert!(matches!(parse(&name), Err(NameError::Mark(_))), "{}", name);
    }
}
