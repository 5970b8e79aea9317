//! The text protocol byte for byte: the transcript of *The Go Programming Language*, section 8.10,
//! with `--classic`, and the default protocol.

use chat_core::HubConfig;
use chat_server::ServerConfig;
use chat_tests::wire::{Peer, Server};

mod classic {
    use super::*;

    fn classic(_: &mut HubConfig, config: &mut ServerConfig) {
        config.session.classic = true;
    }

    /// Connects a peer to a classic server and reads the greeting and, at `others`, the arrival.
    async fn classic_newcomer(server: &Server, others: &mut [&mut Peer]) -> Peer {
        let mut newcomer = server.connect().await;
        newcomer.expect_line(&format!("You are {newcomer}")).await;
        for other in others {
            other.expect_line(&format!("{newcomer} has arrived")).await;
        }
        newcomer
    }

    #[tokio::test]
    async fn output_matches_the_book() {
        let server = Server::with(classic).await;
        let mut a = classic_newcomer(&server, &mut []).await;
        let mut b = classic_newcomer(&server, &mut [&mut a]).await;
        a.publish("Hi!", &mut [&mut b]).await;
        b.publish("Hi yourself.", &mut [&mut a]).await;
        let mut c = classic_newcomer(&server, &mut [&mut a, &mut b]).await;
        c.publish("Welcome.", &mut [&mut a, &mut b]).await;
        b.half_close();
        for peer in [&mut a, &mut c] {
            peer.expect_line(&format!("{b} has left")).await;
        }
        a.publish("", &mut [&mut c]).await;
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
    async fn commands_are_text() {
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
            b.publish(text, &mut [&mut a]).await;
        }
    }

    #[tokio::test]
    async fn notices_are_omitted() {
        let server = Server::with(classic).await;
        let mut a = classic_newcomer(&server, &mut []).await;
        let mut b = classic_newcomer(&server, &mut [&mut a]).await;
        b.send([b'x'; 5000]).await;
        b.send("\n").await;
        b.publish("after the long line", &mut [&mut a]).await;
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
}

mod greeting {
    use super::*;

    #[tokio::test]
    async fn contains_name_and_roster_only() {
        let server = Server::start().await;
        let [mut a, mut b, mut c] = server.peers().await;
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
}

mod roster {
    use super::*;

    #[tokio::test]
    async fn keeps_arrival_order() {
        let server = Server::start().await;
        let [mut a, mut b, mut c] = server.peers().await;
        a.rename("zoe", &mut [&mut b, &mut c]).await;
        b.half_close();
        b.expect_end().await;
        for peer in [&mut a, &mut c] {
            peer.expect_line(&format!("{b} has left")).await;
        }
        let mut d = server.newcomer(&mut [&mut a, &mut c]).await;
        d.rename("abe", &mut [&mut a, &mut c]).await;
        // `newcomer` checks the order of the names in the greeting.
        server.newcomer(&mut [&mut a, &mut c, &mut d]).await;
    }

    #[tokio::test]
    async fn lists_fifty_names_and_a_count() {
        let unannounced = |hub: &mut HubConfig, _: &mut ServerConfig| hub.announce_up_to = Some(0);
        let server = Server::with(unannounced).await;
        let mut peers: Vec<Peer> = Vec::new();
        for count in 0..54 {
            let mut peer = server.connect().await;
            peer.expect_line(&format!("You are {peer}")).await;
            let shown: Vec<_> = peers.iter().take(50).map(Peer::name).collect();
            let roster = match count {
                0 => None,
                1..=50 => Some(format!("Here now: {}", shown.join(", "))),
                _ => Some(format!(
                    "Here now: {} and {} others",
                    shown.join(", "),
                    count - 50
                )),
            };
            if let Some(roster) = roster {
                peer.expect_line(&roster).await;
            }
            peers.push(peer);
        }
        let shown: Vec<_> = peers.iter().take(50).map(Peer::name).collect();
        let who = format!("* here now: {} and 4 others", shown.join(", "));
        peers[53].send("/who\n").await;
        peers[53].expect_line(&who).await;
    }
}

mod commands {
    use super::*;

    #[tokio::test]
    async fn answers_are_private() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.send("/who\n/help\n/nonsense\n/nonsense with words\n/\n/WHO\n/ who\n")
            .await;
        let answers = [
            &format!("* here now: {a}, {b}"),
            "* /name NEW changes your name",
            "* /who lists the members",
            "* /quit leaves the chat",
            "* //TEXT sends /TEXT",
            "* any other line is sent to all members",
            "* unknown command /nonsense, /help lists them",
            "* unknown command /nonsense, /help lists them",
            "* unknown command /, /help lists them",
            "* unknown command /WHO, /help lists them",
            "* unknown command /, /help lists them",
        ];
        b.expect_lines(&answers).await;
        b.publish("the next line of all members", &mut [&mut a])
            .await;
    }

    #[tokio::test]
    async fn answer_follows_earlier_messages() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.send("one\n/who\n").await;
        b.expect_line(&format!("{b}: one")).await;
        b.expect_line(&format!("* here now: {a}, {b}")).await;
        b.send("two\n/name bob\n/who\n").await;
        b.expect_line(&format!("{b}: two")).await;
        b.expect_line(&format!("{b} is now bob")).await;
        b.expect_line(&format!("* here now: {a}, bob")).await;
        let received = ["{b}: one", "{b}: two", "{b} is now bob"];
        for line in received {
            a.expect_line(&line.replace("{b}", b.name())).await;
        }
    }

    #[tokio::test]
    async fn quit_discards_later_input() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.send("first\n/quit\nlast\n").await;
        assert_eq!(b.rest().await, format!("{b}: first\n* goodbye\n"));
        a.expect_line(&format!("{b}: first")).await;
        a.expect_line(&format!("{b} has left")).await;
        a.publish("alone", &mut []).await;
    }

    #[tokio::test]
    async fn double_slash_publishes_one() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
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
}
