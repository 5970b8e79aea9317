//! Names that peers choose: the rules with the reason of each refusal, and the dialogue that asks a
//! new peer for its name.

use chat_tests::wire::{Peer, Server};

const TAKEN: &str = "it is taken";

/// Requests a name and expects a private refusal with this reason.
async fn expect_refusal(peer: &mut Peer, name: &str, why: &str, observer: &mut Peer) {
    peer.send(format!("/name {name}\n")).await;
    peer.expect_line(&format!("* name refused: {why}")).await;
    peer.publish("name unchanged", &mut [observer]).await;
}

mod taken_name {
    use super::*;

    #[tokio::test]
    async fn is_refused_in_any_form() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        a.rename("alice", &mut [&mut b]).await;
        for name in [
            "alice",
            "Alice",
            "ALICE",
            "\u{430}lice", // Cyrillic а
            "\u{410}LICE",
            "al\u{456}ce",
            "\u{ff41}lice", // fullwidth
            "a1ice",
        ] {
            expect_refusal(&mut b, name, TAKEN, &mut a).await;
        }
        b.rename("alicia", &mut [&mut a]).await;
    }

    #[tokio::test]
    async fn is_free_after_departure_or_rename() {
        let server = Server::start().await;
        let [mut a, mut b, mut c] = server.peers().await;
        a.rename("alice", &mut [&mut b, &mut c]).await;
        a.rename("anna", &mut [&mut b, &mut c]).await;
        b.rename("Alice", &mut [&mut a, &mut c]).await;
        b.half_close();
        b.expect_end().await;
        for peer in [&mut a, &mut c] {
            peer.expect_line("Alice has left").await;
        }
        c.rename("ALICE", &mut [&mut a]).await;
    }

    #[tokio::test]
    async fn goes_to_one_of_two_claimants() {
        let server = Server::start().await;
        for round in 0..20 {
            let [mut a, mut b] = server.peers().await;
            let request = format!("/name wanted{round}\n");
            tokio::join!(a.send(&request), b.send(&request));
            let mut lines = [a.line().await, b.line().await];
            lines.sort();
            let refused = format!("* name refused: {TAKEN}");
            match lines.iter().filter(|line| **line == refused).count() {
                // The loser receives the announcement of the other's new name, then its own
                // refusal.
                0 => {
                    assert_eq!(lines[0], lines[1]);
                    let loser = if lines[0].starts_with(a.name()) {
                        &mut b
                    } else {
                        &mut a
                    };
                    loser.expect_line(&refused).await;
                }
                1 => {
                    let winner = &lines[1];
                    let loser = if winner.starts_with(a.name()) {
                        &mut b
                    } else {
                        &mut a
                    };
                    loser.expect_line(winner).await;
                }
                both => panic!("{both} requests were refused: {lines:?}"),
            }
            a.half_close();
            a.rest().await;
            b.half_close();
            b.rest().await;
        }
    }
}

mod rules {
    use super::*;

    #[tokio::test]
    async fn forging_names_are_refused() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        let reserved = "You and Here are reserved, and so are names that look like them";
        let beginning = "a name cannot begin with * or /";
        let colon = "a name cannot contain a colon";
        let space = "a name cannot contain white space";
        let long = "a name has at most 32 characters";
        let address = "a name cannot look like an address, or end in a look-alike of a colon";
        let mark = |c| {
            let code = u32::from(c);
            format!(
                "a mark must be visible and belong to the letter before it, U+{code:04X} cannot be there"
            )
        };
        let addressed = a.name().to_owned();
        for (name, why) in [
            ("", "a name cannot be empty"),
            ("   ", "a name cannot be empty"),
            ("bob has left", space),
            ("bob\tbuilder", space),
            ("bob\u{a0}builder", space),
            ("bob\u{3000}builder", space),
            ("*", beginning),
            ("*bob", beginning),
            ("/bob", beginning),
            ("\u{ff0a}bob", beginning),
            ("\u{ff0f}bob", beginning),
            ("bob:", colon),
            (":", colon),
            ("b:ob", colon),
            ("bob\u{ff1a}", colon),
            (&addressed, colon),
            (&addressed.replace(':', "\u{ff1a}"), colon),
            (&addressed.replace(':', "\u{2d0}"), address),
            (&addressed.replace(':', "\u{903}"), &mark('\u{903}')),
            (&addressed.replace(':', ";"), address),
            ("127.0.0.1", address),
            ("localhost", address),
            ("ali\u{307}ce", &mark('\u{307}')),
            ("alice\u{17d2}", &mark('\u{17d2}')),
            ("\u{301}bob", &mark('\u{301}')),
            ("eve,alice", "a name cannot contain a comma"),
            ("You", reserved),
            ("you", reserved),
            ("YOU", reserved),
            ("Here", reserved),
            ("hERE", reserved),
            ("Y\u{43e}u", reserved), // Cyrillic о
            ("y0u", reserved),
            ("You.", reserved),
            (&"x".repeat(33), long),
            (&"\u{e9}".repeat(33), long),
            (&"x".repeat(4000), long),
            (
                "\u{5d0}bob",
                "a name has one direction, and begins with a letter if that is from right to left",
            ),
        ] {
            expect_refusal(&mut b, name, why, &mut a).await;
        }
        for c in [
            '\u{200b}',
            '\u{ad}',
            '\u{feff}',
            '\u{3164}',
            '\u{1f980}',
            '\u{fffd}',
        ] {
            let code = u32::from(c);
            let why = format!(
                "a name has letters, digits and ASCII punctuation only, U+{code:04X} cannot be there"
            );
            expect_refusal(&mut b, &format!("{c}bob"), &why, &mut a).await;
        }
    }

    #[tokio::test]
    async fn control_characters_are_removed() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        // Control characters are removed from every line before it is interpreted.
        let names = [
            ("b\x1b[2Jad", "b[2Jad"),
            ("b\0o\x07b\x08b\x7fy", "bobby"),
            ("c\u{9b}1\u{85}x", "c1x"),
            ("d\u{202e}ave\u{2066}", "dave"),
            ("e\u{2028}rin\r", "erin"),
        ];
        for (sent, name) in names {
            b.send(format!("/name {sent}\n")).await;
            let line = format!("{b} is now {name}");
            b.expect_line(&line).await;
            a.expect_line(&line).await;
            b.set_name(name);
        }
    }

    #[tokio::test]
    async fn letters_of_all_scripts_pass() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        let longest = ["x".repeat(32), "\u{674e}".repeat(32)];
        let names = "bob O'Brien a_b-c.d ~!@#$%^&() Zoë Nguyễn straße Νίκος Ольга Դավիթ გიორგი נמרוד \
            محمد مُحَمَّد ދިވެހި नमस्ते தமிழ் বাংলা สมชาย ລາວ မြန်မာ ខ្មែរ አማርኛ 李雷 さくら ノブ 홍길동 ᠮᠣᠩᠭᠣᠯ ᏣᎳᎩ r2d2 محمد٣";
        for name in names.split(' ').chain(longest.iter().map(String::as_str)) {
            a.rename(name, &mut [&mut b]).await;
            a.publish("hello", &mut [&mut b]).await;
        }
    }
}

mod own_name {
    use super::*;

    #[tokio::test]
    async fn may_change_case() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        a.rename("alice", &mut [&mut b]).await;
        a.rename("Alice", &mut [&mut b]).await;
        a.send("/name Alice\n").await;
        a.expect_line("* you are Alice already").await;
        a.publish("no renaming was announced", &mut [&mut b]).await;
        expect_refusal(&mut b, "alice", TAKEN, &mut a).await;
    }
}

mod dialogue {
    use super::*;

    /// A peer that has received the question for its name.
    async fn asked(server: &Server) -> Peer {
        let mut peer = server.connect().await;
        peer.expect_line(&question(&peer)).await;
        peer
    }

    /// The first member, which has answered the question with `alice`.
    async fn alice(server: &Server) -> Peer {
        let mut a = asked(server).await;
        a.send("alice\n").await;
        a.expect_line("You are alice").await;
        a.set_name("alice");
        a
    }

    fn question(peer: &Peer) -> String {
        format!("* what is your name? (Enter for {peer})")
    }

    #[tokio::test]
    async fn arrival_follows_the_answer() {
        let server = Server::asking().await;
        let mut a = alice(&server).await;
        let mut b = asked(&server).await;
        a.publish("no arrival so far", &mut []).await;
        b.send("bob\r\n").await;
        b.expect_lines(&["You are bob", "Here now: alice"]).await;
        b.set_name("bob");
        a.expect_line("bob has arrived").await;
        b.publish("hello", &mut [&mut a]).await;

        let mut c = asked(&server).await;
        c.send("/name carol\n").await;
        c.expect_lines(&["You are carol", "Here now: alice, bob"])
            .await;
        for peer in [&mut a, &mut b] {
            peer.expect_line("carol has arrived").await;
        }
        // The dialogue is over, so `dave` is text.
        c.set_name("carol");
        c.publish("dave", &mut [&mut a, &mut b]).await;
    }

    #[tokio::test]
    async fn empty_answer_takes_the_address() {
        let server = Server::asking().await;
        for answer in ["\n", "\r\n", "  \n", "/name\n"] {
            let mut peer = asked(&server).await;
            peer.send(answer).await;
            peer.expect_line(&format!("You are {peer}")).await;
            peer.half_close();
            peer.expect_end().await;
        }
    }

    #[tokio::test]
    async fn refused_answer_repeats_the_question() {
        let server = Server::asking().await;
        let mut a = alice(&server).await;
        let mut b = asked(&server).await;
        for (answer, why) in [
            ("alice", TAKEN),
            ("/name ALICE", TAKEN),
            ("hello everybody", "a name cannot contain white space"),
            ("*", "a name cannot begin with * or /"),
            ("b:c", "a name cannot contain a colon"),
        ] {
            b.send(format!("{answer}\n")).await;
            b.expect_line(&format!("* name refused: {why}")).await;
            b.expect_line(&question(&b)).await;
        }
        b.send("bob\n").await;
        b.expect_lines(&["You are bob", "Here now: alice"]).await;
        a.expect_line("bob has arrived").await;
        a.publish("no answer was published", &mut []).await;
    }

    #[tokio::test]
    async fn later_lines_carry_the_name() {
        let server = Server::asking().await;
        let mut a = asked(&server).await;
        a.send("alice\n").await;
        a.expect_line("You are alice").await;
        let mut b = asked(&server).await;
        b.send("no name\nbob\nhello\n").await;
        a.expect_lines(&["bob has arrived", "bob: hello"]).await;
        // An answer without a line ending counts at the end of the input.
        let mut c = asked(&server).await;
        c.send("carol").await;
        c.half_close();
        a.expect_lines(&["carol has arrived", "carol has left"])
            .await;
        assert!(
            c.rest()
                .await
                .starts_with("You are carol\nHere now: alice, bob\n")
        );
    }

    #[tokio::test]
    async fn commands_work_before_naming() {
        let server = Server::asking().await;
        let mut a = alice(&server).await;
        let mut b = asked(&server).await;
        b.send("/who\n").await;
        b.expect_line("* here now: alice").await;
        b.send("/nonsense\n//text\n").await;
        b.expect_line("* unknown command /nonsense, /help lists them")
            .await;
        b.expect_line("* unknown command //text, /help lists them")
            .await;
        b.send("/quit\n").await;
        assert_eq!(b.rest().await, "* goodbye\n");
        a.publish("no arrival, no departure", &mut []).await;
    }

    #[tokio::test]
    async fn empty_hub_reports_nobody() {
        let server = Server::asking().await;
        let mut a = asked(&server).await;
        a.send("/who\nalice\nhello\n").await;
        let expected = ["* nobody is here", "You are alice", "alice: hello"];
        a.expect_lines(&expected).await;
        a.send("/who\n").await;
        a.expect_line("* here now: alice").await;
    }

    #[tokio::test]
    async fn nameless_departure_is_not_announced() {
        let server = Server::asking().await;
        let mut a = alice(&server).await;
        let mut b = asked(&server).await;
        b.half_close();
        b.expect_end().await;
        asked(&server).await.reset();
        let mut c = asked(&server).await;
        c.send("two words\nand more").await;
        c.half_close();
        let refused = "* name refused: a name cannot contain white space\n";
        let again = format!("{}\n", question(&c));
        assert_eq!(c.rest().await, format!("{refused}{again}{refused}{again}"));
        a.publish("no arrival, no departure", &mut []).await;
    }
}
