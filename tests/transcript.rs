//! What peers see, byte for byte: the book's transcript, then ours.

use chat_core::HubConfig;
use chat_server::ServerConfig;
use chat_tests::wire::{Peer, Server};

fn classic(_: &mut HubConfig, config: &mut ServerConfig) {
    config.session.classic = true;
}

/// Connects to a classic server, where `others` are.
async fn classic_newcomer(server: &Server, others: &mut [&mut Peer]) -> Peer {
    let mut newcomer = server.connect().await;
    newcomer.expect_line(&format!("You are {newcomer}")).await;
    for other in others {
        other.expect_line(&format!("{newcomer} has arrived")).await;
    }
    newcomer
}

#[tokio::test]
async fn classic_is_the_book_to_the_byte() {
    let server = Server::with(classic).await;
    let mut a = classic_newcomer(&server, &mut []).await;
    let mut b = classic_newcomer(&server, &mut [&mut a]).await;
    a.say("Hi!", &mut [&mut b]).await;
    b.say("Hi yourself.", &mut [&mut a]).await;
    let mut c = classic_newcomer(&server, &mut [&mut a, &mut b]).await;
    c.say("Welcome.", &mut [&mut a, &mut b]).await;
    b.half_close();
    for peer in [&mut a, &mut c] {
        peer.expect_line(&format!("{b} has left")).await;
    }
    a.say("", &mut [&mut c]).await;
    a.half_close();
    c.expect_line(&format!("{a} has left")).await;
    c.half_close();

    let to_a = format!(
        "You are {a}\n\
         {b} has arrived\n\
         {a}: Hi!\n\
         {b}: Hi yourself.\n\
         {c} has arrived\n\
         {c}: Welcome.\n\
         {b} has left\n\
         {a}: \n"
    );
    let to_b = format!(
        "You are {b}\n\
         {a}: Hi!\n\
         {b}: Hi yourself.\n\
         {c} has arrived\n\
         {c}: Welcome.\n"
    );
    let to_c = format!(
        "You are {c}\n\
         {c}: Welcome.\n\
         {b} has left\n\
         {a}: \n\
         {a} has left\n"
    );
    assert_eq!(a.whole_stream().await, to_a);
    assert_eq!(b.whole_stream().await, to_b);
    assert_eq!(c.whole_stream().await, to_c);
}

#[tokio::test]
async fn classic_has_no_commands() {
    let server = Server::with(classic).await;
    let mut a = classic_newcomer(&server, &mut []).await;
    let mut b = classic_newcomer(&server, &mut [&mut a]).await;
    for text in [
        "/who",
        "/help",
        "/name bob",
        "/quit",
        "//x",
        "/nonsense",
        "/",
    ] {
        b.say(text, &mut [&mut a]).await;
    }
}

#[tokio::test]
async fn classic_has_no_notices() {
    let server = Server::with(classic).await;
    let mut a = classic_newcomer(&server, &mut []).await;
    let mut b = classic_newcomer(&server, &mut [&mut a]).await;
    b.send([b'x'; 5000]).await;
    b.send("\n").await;
    b.say("after the long line", &mut [&mut a]).await;
    let mut endless = classic_newcomer(&server, &mut [&mut a, &mut b]).await;
    endless.send([b'x'; 64 * 1024]).await;
    endless.expect_end().await;
    for peer in [&mut a, &mut b] {
        peer.expect_line(&format!("{endless} has left")).await;
    }
    let drained = server.shut_down();
    a.expect_end().await;
    b.expect_end().await;
    drop((a, b, endless));
    drained.await;
}

#[tokio::test]
async fn a_newcomer_is_told_its_name_and_who_is_here_and_no_more() {
    let server = Server::start().await;
    let [mut a, mut b, mut c] = server.room().await;
    c.half_close();
    let to_a = format!("You are {a}\n{b} has arrived\n{c} has arrived\n{c} has left\n");
    let to_b = format!("You are {b}\nHere now: {a}\n{c} has arrived\n{c} has left\n");
    let to_c = format!("You are {c}\nHere now: {a}, {b}\n");
    assert_eq!(c.whole_stream().await, to_c);
    for peer in [&mut a, &mut b] {
        peer.expect_line(&format!("{c} has left")).await;
    }
    b.half_close();
    assert_eq!(b.whole_stream().await, to_b);
    a.expect_line(&format!("{b} has left")).await;
    a.half_close();
    assert_eq!(a.whole_stream().await, format!("{to_a}{b} has left\n"));
}

#[tokio::test]
async fn the_roster_is_in_order_of_arrival_whoever_left_or_renamed() {
    let server = Server::start().await;
    let [mut a, mut b, mut c] = server.room().await;
    a.rename("zoe", &mut [&mut b, &mut c]).await;
    b.half_close();
    b.expect_end().await;
    for peer in [&mut a, &mut c] {
        peer.expect_line(&format!("{b} has left")).await;
    }
    let mut d = server.newcomer(&mut [&mut a, &mut c]).await;
    d.rename("abe", &mut [&mut a, &mut c]).await;
    // `newcomer` looks at the order of the greeting.
    server.newcomer(&mut [&mut a, &mut c, &mut d]).await;
}

#[tokio::test]
async fn the_roster_has_fifty_names_and_counts_the_others() {
    let quiet = |hub: &mut HubConfig, _: &mut ServerConfig| hub.announce_up_to = Some(0);
    let server = Server::with(quiet).await;
    let mut peers: Vec<Peer> = Vec::new();
    for count in 0..54 {
        let mut peer = server.connect().await;
        peer.expect_line(&format!("You are {peer}")).await;
        let shown: Vec<_> = peers.iter().take(50).map(Peer::name).collect();
        let here = match count {
            0 => None,
            1..=50 => Some(format!("Here now: {}", shown.join(", "))),
            _ => Some(format!(
                "Here now: {} and {} others",
                shown.join(", "),
                count - 50
            )),
        };
        if let Some(here) = here {
            peer.expect_line(&here).await;
        }
        peers.push(peer);
    }
    let shown: Vec<_> = peers.iter().take(50).map(Peer::name).collect();
    let who = format!("* here now: {} and 4 others", shown.join(", "));
    peers[53].send("/who\n").await;
    peers[53].expect_line(&who).await;
}

#[tokio::test]
async fn commands_answer_the_one_who_asks_and_nobody_else() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    b.send("/who\n/help\n/nonsense\n/nonsense with words\n/\n/WHO\n/ who\n")
        .await;
    let answers = [
        &format!("* here now: {a}, {b}"),
        "* /name NEW takes that name",
        "* /who tells who is here",
        "* /quit leaves",
        "* //TEXT says /TEXT",
        "* anything else is said to all",
        "* unknown command /nonsense, /help lists them",
        "* unknown command /nonsense, /help lists them",
        "* unknown command /, /help lists them",
        "* unknown command /WHO, /help lists them",
        "* unknown command /, /help lists them",
    ];
    b.expect_lines(&answers).await;
    b.say("the next that anybody hears", &mut [&mut a]).await;
}

#[tokio::test]
async fn quitting_says_goodbye_and_drops_what_is_sent_after() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    b.send("first\n/quit\nlast\n").await;
    assert_eq!(b.rest().await, format!("{b}: first\n* goodbye\n"));
    a.expect_line(&format!("{b}: first")).await;
    a.expect_line(&format!("{b} has left")).await;
    a.say("alone", &mut []).await;
}

#[tokio::test]
async fn an_answer_comes_after_what_was_said_before_the_question() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    b.send("one\n/who\n").await;
    b.expect_line(&format!("{b}: one")).await;
    b.expect_line(&format!("* here now: {a}, {b}")).await;
    b.send("two\n/name bob\n/who\n").await;
    b.expect_line(&format!("{b}: two")).await;
    b.expect_line(&format!("{b} is now bob")).await;
    b.expect_line(&format!("* here now: {a}, bob")).await;
    let heard = ["{b}: one", "{b}: two", "{b} is now bob"];
    for line in heard {
        a.expect_line(&line.replace("{b}", b.name())).await;
    }
}

#[tokio::test]
async fn two_slashes_say_one() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    for (sent, text) in [
        ("//x", "/x"),
        ("//", "/"),
        ("///", "//"),
        ("//quit", "/quit"),
    ] {
        b.send(format!("{sent}\n")).await;
        let line = format!("{b}: {text}");
        b.expect_line(&line).await;
        a.expect_line(&line).await;
    }
}
