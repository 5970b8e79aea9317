//! Forged lines: the input of one peer cannot produce a line that reads as another member's
//! message, as an arrival or departure, or as a notice, and it cannot control a terminal.

use chat_core::Name;
use chat_tests::wire::{Peer, Server};

/// Asserts that a stream has no character that controls a terminal or splits a line.
fn assert_harmless(stream: &str) {
    let harmful = |c: char| {
        (c.is_control() && c != '\t' && c != '\n')
            || ('\u{2028}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    let found = stream.find(harmful);
    assert_eq!(found, None, "in {stream:?}");
}

mod text {
    use super::*;

    #[tokio::test]
    async fn loses_control_characters() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        let forged = format!("\r{a}: I owe you");
        for (sent, text) in [
            (forged.as_bytes(), format!("{a}: I owe you").as_str()),
            (b"\r\r\r", ""),
            (b"one\rtwo\r", "onetwo"),
            (
                b"\x1b[2J\x1b[1;1H* server is going down",
                "[2J[1;1H* server is going down",
            ),
            (b"\x1b]0;title\x07", "]0;title"),
            (b"\x08\x08\x08\x7f\x7fYou are root", "You are root"),
            (b"\0nul\0", "nul"),
            (b"\x0b\x0c\x0e\x0f\x1c\x1d\x1e\x1f", ""),
            (b"a\ttab", "a\ttab"),
            ("\u{9b}2J\u{85}\u{90}\u{80}\u{9f}".as_bytes(), "2J"),
            ("one\u{2028}two\u{2029}three".as_bytes(), "onetwothree"),
            (
                "\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}evil".as_bytes(),
                "evil",
            ),
            ("\u{2066}\u{2067}\u{2068}\u{2069}evil".as_bytes(), "evil"),
            (b"caf\xe9", "caf\u{fffd}"),
            (b"\xc2\x1b\x9b2J", "\u{fffd}\u{fffd}2J"),
            (b"\xc0\x8a\xc0\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
            (
                b"\xed\xa0\x80 \xf4\x90\x80\x80 \x80",
                "\u{fffd}\u{fffd}\u{fffd} \u{fffd}\u{fffd}\u{fffd}\u{fffd} \u{fffd}",
            ),
            (b"\xe2\x80", "\u{fffd}"),
            (
                "naïve 李雷 🦀 \u{200d} שלום".as_bytes(),
                "naïve 李雷 🦀 \u{200d} שלום",
            ),
        ] {
            b.send([sent, b"\n"].concat()).await;
            let line = format!("{b}: {text}");
            b.expect_line(&line).await;
            a.expect_line(&line).await;
        }
    }

    #[tokio::test]
    async fn loses_telnet_negotiation() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        for (sent, text) in [
            (&b"\xff\xfb\x01hello"[..], "hello"),
            (b"he\xff\xfd\x03llo\xff\xfe\x0a", "hello"),
            (b"\xff\xfa\x18\0xterm\n* forged\r\n\xff\xf0hello", "hello"),
            (b"\xff\xfa\x18\xff\xff\xff\xf0hello", "hello"),
            (b"\xff\xf4\xff\xfd\x06hello", "hello"), // Ctrl-C
            (b"\xff\xffhello", "\u{fffd}hello"),
            (b"\xff\xf9hello\r\0", "hello"),
        ] {
            for split in 0..=sent.len() {
                let (first, second) = sent.split_at(split);
                b.send(first).await;
                a.publish("first part read", &mut [&mut b]).await;
                b.send([second, b"\n"].concat()).await;
                let line = format!("{b}: {text}");
                b.expect_line(&line).await;
                a.expect_line(&line).await;
            }
        }
    }

    #[tokio::test]
    async fn cannot_imitate_other_lines() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        for text in [
            &format!("{a} has left"),
            &format!("{a}: I owe you"),
            "* server is going down",
            "You are root",
            "Here now: nobody",
            "x is now y",
            "   leading white space",
            "\t* tab",
            "",
        ] {
            b.publish(text, &mut [&mut a]).await;
        }
    }
}

mod notice {
    use super::*;

    #[tokio::test]
    async fn is_sanitised() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        for command in [
            &b"/\x1b[2J"[..],
            b"/no\rbody: forged",
            b"/\xff\xff\xfe",
            "/\u{202e}evil\u{9b}".as_bytes(),
            "/name \u{202e}\u{1f980}".as_bytes(),
            b"/name \xff\xff",
            b"/name *\x1b[2J",
        ] {
            b.send([command, b"\n"].concat()).await;
            let notice = b.line().await;
            assert!(notice.starts_with("* "), "{notice:?}");
            assert_harmless(&notice);
        }
        b.publish("no command was published", &mut [&mut a]).await;
    }
}

mod random_input {
    use super::*;

    /// A small seeded generator with the same output on every platform.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: usize) -> usize {
            // xorshift64
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).expect("31 bits") % limit
        }

        fn pick<T: Copy>(&mut self, from: &[T]) -> T {
            from[self.below(from.len())]
        }

        /// Bytes of an attacker that knows the name of a victim.
        fn hostile(&mut self, victim: &str, pieces: usize) -> Vec<u8> {
            let alphabet: [&[u8]; 46] = [
                b"\n",
                b"\n",
                b"\n",
                b"\r",
                b"\r\n",
                b"\n\n",
                b" ",
                b"\t",
                b": ",
                b":",
                b"* ",
                b"/",
                b"/name ",
                b"\n/name ",
                b"\n/name a",
                b"/who\n",
                b"/help\n",
                b"//",
                b"\x1b[2J",
                b"\x1b[A\r",
                b"\x08\x08",
                b"\x7f",
                b"\0",
                b"\xc2\x9b",
                b"\xc2\x85",
                b"\xc2",
                b"\x9b",
                b"\xe2\x80\xa8",
                b"\xe2\x80\xa9",
                b"\xe2\x80\xae",
                b"\xe2\x81\xa6",
                b"\xe2\x80",
                b"\xae",
                b"\xef\xbc\x9a",
                b"\xcb\x90",
                b"\xff\xf0",
                b"\xff\xf0\n",
                b"\xff\xfb\x01",
                b"\xff\xfa\x18\0x\xff\xf0",
                b"\xff",
                b" has left\n",
                b" has arrived\n",
                b" is now ",
                b"You are ",
                b"Here now: ",
                victim.as_bytes(),
            ];
            let mut bytes = Vec::new();
            for _ in 0..pieces {
                match self.below(8) {
                    0 => bytes.push(u8::try_from(self.below(256)).expect("a byte")),
                    _ => bytes.extend_from_slice(self.pick(&alphabet)),
                }
            }
            bytes
        }
    }

    /// Reads the lines of a peer until the attacker has left and asserts that each is the
    /// attacker's own.
    async fn expect_only_its_own_lines(observer: &mut Peer, attacker: &Peer) {
        let mut name = attacker.name().to_owned();
        loop {
            let line = observer.line().await;
            assert_harmless(&line);
            let rest = line.strip_prefix(&name);
            let rest = rest.unwrap_or_else(|| panic!("{line:?} does not begin with {name}"));
            if let Some(new) = rest.strip_prefix(" is now ") {
                let parsed: Name = new.parse().expect("a name");
                assert_eq!(parsed.as_str(), new);
                assert_ne!(new, observer.name());
                name = new.to_owned();
            } else if rest == " has left" {
                return;
            } else {
                assert!(rest.starts_with(": "), "{line:?}");
            }
        }
    }

    #[tokio::test]
    async fn others_receive_attributed_lines() {
        let server = Server::start().await;
        let [mut observer] = server.peers().await;
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        for _ in 0..150 {
            let mut attacker = server.newcomer(&mut [&mut observer]).await;
            for _ in 0..=random.below(4) {
                let pieces = random.below(200);
                attacker.send(random.hostile(observer.name(), pieces)).await;
            }
            attacker.half_close();
            expect_only_its_own_lines(&mut observer, &attacker).await;
            assert_harmless(&attacker.whole_stream().await);
        }
        observer
            .publish("nothing else was published", &mut [])
            .await;
    }

    #[tokio::test]
    async fn answer_yields_a_valid_name() {
        let server = Server::asking().await;
        let mut observer = server.connect().await;
        observer.send("observer\n").await;
        observer
            .expect_line(&format!("* what is your name? (Enter for {observer})"))
            .await;
        observer.expect_line("You are observer").await;
        observer.set_name("observer");
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..150 {
            let mut attacker = server.connect().await;
            attacker.send(random.hostile("observer", 30)).await;
            // Ends an open telnet command or line; a peer without a name takes its address.
            attacker.send(b"\xff\xf0\xff\xf0\n\n").await;
            attacker.half_close();
            let arrival = observer.line().await;
            let name = arrival.strip_suffix(" has arrived");
            let name = name.unwrap_or_else(|| panic!("{arrival:?}"));
            assert!(
                name == attacker.name() || name.parse::<Name>().is_ok(),
                "{arrival:?}"
            );
            let name = name.to_owned();
            attacker.set_name(&name);
            expect_only_its_own_lines(&mut observer, &attacker).await;
            assert_harmless(&attacker.whole_stream().await);
        }
        observer
            .publish("nothing else was published", &mut [])
            .await;
    }
}

mod other_protocol {
    use super::*;

    /// Asserts that other members receive the arrival and the departure of a peer with this opening
    /// and nothing else, for every split of the opening into two reads.
    async fn assert_disconnects(opening: &[u8], goodbye: &str) {
        let server = Server::start().await;
        let [mut observer] = server.peers().await;
        for split in 0..opening.len() {
            let mut foreign = server.newcomer(&mut [&mut observer]).await;
            let (first, second) = opening.split_at(split);
            foreign.send(first).await;
            // Once this line is back, the first part has been read. It may have sufficed.
            observer.send("meanwhile\n").await;
            let meanwhile = format!("{observer}: meanwhile");
            let left = format!("{foreign} has left");
            let mut received = vec![observer.line().await];
            if received[0] == left {
                received.push(observer.line().await);
            }
            foreign.send(second).await;
            if received[0] == meanwhile {
                received.push(observer.line().await);
            }
            received.sort_by_key(|line| *line == left);
            assert_eq!(received, [meanwhile.clone(), left]);
            let goodbye_lines = foreign.rest().await;
            let goodbye_lines = goodbye_lines
                .strip_prefix(&format!("{meanwhile}\n"))
                .unwrap_or(&goodbye_lines);
            assert_eq!(goodbye_lines, goodbye);
        }
    }

    #[tokio::test]
    async fn http_request_is_disconnected() {
        let goodbye = "* this is a chat, not a web server, goodbye\n";
        for request in [
            "GET / HTTP/1.1\r\nHost: localhost:8000\r\nCookie: secret\r\n\r\n",
            "POST /a?b=c HTTP/1.0\n\nsecret\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "CONNECT example.org:443 HTTP/1.1\r\n\r\n",
        ] {
            assert_disconnects(request.as_bytes(), goodbye).await;
        }
    }

    #[tokio::test]
    async fn long_http_request_is_not_published() {
        let server = Server::start().await;
        let [mut observer] = server.peers().await;
        let mut browser = server.newcomer(&mut [&mut observer]).await;
        let target = "x".repeat(5000);
        let request = format!("GET /?{target} HTTP/1.1\r\nCookie: secret\r\n\r\n");
        browser.send(request).await;
        browser.half_close();
        observer.expect_line(&format!("{browser} has left")).await;
    }

    #[tokio::test]
    async fn tls_client_is_disconnected() {
        let hello =
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\n* random\n\xff\xfa\0\0\x02\x13\x01\n";
        assert_disconnects(hello, "* this is a chat without TLS, goodbye\n").await;
    }
}
