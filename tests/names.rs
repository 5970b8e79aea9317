//! Names as peers take them: which are refused and why, and the dialogue that asks for one.

use chat_core::session::Naming;
use chat_tests::wire::{Peer, Server};

const TAKEN: &str = "it is taken";

/// The peer is told why it cannot have that name, and nobody else hears of it.
async fn expect_refusal(peer: &mut Peer, name: &str, why: &str, witness: &mut Peer) {
    peer.send(format!("/name {name}\n")).await;
    peer.expect_line(&format!("* name refused: {why}")).await;
    peer.say("still me", &mut [witness]).await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_in_any_case_and_look() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
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
async fn a_name_that_could_forge_a_line_is_refused() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
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
async fn controls_do_not_get_into_a_name() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    // They are taken out of every line, before anything is made of it.
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
        b.is_called(name);
    }
}

#[tokio::test]
async fn names_of_every_script_are_welcome() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    let longest = ["x".repeat(32), "\u{674e}".repeat(32)];
    let names = "bob O'Brien a_b-c.d ~!@#$%^&() Zoë Nguyễn straße Νίκος Ольга Դավիթ გიორგი נמרוד \
        محمد مُحَمَّد ދިވެހި नमस्ते தமிழ் বাংলা สมชาย ລາວ မြန်မာ ខ្មែរ አማርኛ 李雷 さくら ノブ 홍길동 ᠮᠣᠩᠭᠣᠯ ᏣᎳᎩ r2d2 محمد٣";
    for name in names.split(' ').chain(longest.iter().map(String::as_str)) {
        a.rename(name, &mut [&mut b]).await;
        a.say("hello", &mut [&mut b]).await;
    }
}

#[tokio::test]
async fn a_name_is_free_when_its_owner_has_left_or_taken_another() {
    let server = Server::start().await;
    let [mut a, mut b, mut c] = server.room().await;
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
async fn ones_own_name_can_be_had_in_another_case() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    a.rename("alice", &mut [&mut b]).await;
    a.rename("Alice", &mut [&mut b]).await;
    a.send("/name Alice\n").await;
    a.expect_line("* you are Alice already").await;
    a.say("nothing was announced", &mut [&mut b]).await;
    expect_refusal(&mut b, "alice", TAKEN, &mut a).await;
}

#[tokio::test]
async fn of_two_who_want_a_name_at_once_one_gets_it() {
    let server = Server::start().await;
    for round in 0..20 {
        let [mut a, mut b] = server.room().await;
        let wish = format!("/name wanted{round}\n");
        tokio::join!(a.send(&wish), b.send(&wish));
        let mut lines = [a.line().await, b.line().await];
        lines.sort();
        let refused = format!("* name refused: {TAKEN}");
        match lines.iter().filter(|line| **line == refused).count() {
            // The one who did not get it heard of the other's new name, then of its own luck.
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
            both => panic!("{both} were refused: {lines:?}"),
        }
        a.half_close();
        a.rest().await;
        b.half_close();
        b.rest().await;
    }
}

async fn asking() -> Server {
    Server::with(|_, config| config.session.naming = Naming::Ask).await
}

/// A peer that is being asked for its name.
async fn asked(server: &Server) -> Peer {
    let mut peer = server.connect().await;
    peer.expect_line(&question(&peer)).await;
    peer
}

/// The first of the room, who has answered the question.
async fn alice(server: &Server) -> Peer {
    let mut a = asked(server).await;
    a.send("alice\n").await;
    a.expect_line("You are alice").await;
    a.is_called("alice");
    a
}

fn question(peer: &Peer) -> String {
    format!("* what is your name? (Enter for {peer})")
}

#[tokio::test]
async fn the_arrival_is_announced_when_the_name_is_known() {
    let server = asking().await;
    let mut a = alice(&server).await;
    let mut b = asked(&server).await;
    a.say("nobody has come yet", &mut []).await;
    b.send("bob\r\n").await;
    b.expect_lines(&["You are bob", "Here now: alice"]).await;
    b.is_called("bob");
    a.expect_line("bob has arrived").await;
    b.say("hello", &mut [&mut a]).await;

    let mut c = asked(&server).await;
    c.send("/name carol\n").await;
    c.expect_lines(&["You are carol", "Here now: alice, bob"])
        .await;
    for peer in [&mut a, &mut b] {
        peer.expect_line("carol has arrived").await;
    }
    // The dialogue is over: this is text.
    c.is_called("carol");
    c.say("dave", &mut [&mut a, &mut b]).await;
}

#[tokio::test]
async fn enter_takes_the_address() {
    let server = asking().await;
    for answer in ["\n", "\r\n", "  \n", "/name\n"] {
        let mut peer = asked(&server).await;
        peer.send(answer).await;
        peer.expect_line(&format!("You are {peer}")).await;
        peer.half_close();
        peer.expect_end().await;
    }
}

#[tokio::test]
async fn a_refused_answer_is_told_why_and_asked_again() {
    let server = asking().await;
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
    a.say("nothing of that was published", &mut []).await;
}

#[tokio::test]
async fn commands_work_before_there_is_a_name() {
    let server = asking().await;
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
    a.say("nobody came, nobody left", &mut []).await;
}

#[tokio::test]
async fn who_asks_in_an_empty_room_is_told_so_and_can_still_join() {
    let server = asking().await;
    let mut a = asked(&server).await;
    a.send("/who\nalice\nhello\n").await;
    let expected = ["* nobody is here", "You are alice", "alice: hello"];
    a.expect_lines(&expected).await;
    a.send("/who\n").await;
    a.expect_line("* here now: alice").await;
}

#[tokio::test]
async fn who_goes_without_a_name_was_never_here() {
    let server = asking().await;
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
    a.say("nobody came, nobody left", &mut []).await;
}

#[tokio::test]
async fn what_follows_the_answer_is_said_under_the_name() {
    let server = asking().await;
    let mut a = asked(&server).await;
    a.send("alice\n").await;
    a.expect_line("You are alice").await;
    let mut b = asked(&server).await;
    b.send("no name\nbob\nhello\n").await;
    a.expect_lines(&["bob has arrived", "bob: hello"]).await;
    // An unfinished answer counts, too.
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
