//! Mail over a session: direct messages and notices among the events, the bound of a mailbox, and
//! classic peers. `feed` cuts notices at every byte, `stress` has mail under concurrency.

use chat_core::session::SessionConfig;
use chat_core::{Delivery, Hub, HubConfig, MemberId, Name, SendError};
use chat_tests::memory::{CAPACITY, Peer, hub, join, rename, run_until_idle};

fn id_of(hub: &Hub, name: &str) -> MemberId {
    let name = Name::assigned(name).expect("the names of the tests are valid");
    hub.find(&name).expect("the member is present")
}

mod order {
    use super::*;

    #[test]
    fn is_among_the_events() {
        let hub = hub();
        let (mut ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
        hub.send(bob.id(), ann.id(), "one").unwrap();
        bob.publish("two").unwrap();
        rename(&bob, "eve");
        hub.send(bob.id(), ann.id(), "three\u{7}").unwrap();
        hub.notify(ann.id(), "four").unwrap();
        bob.publish("five").unwrap();
        hub.send(ann.id(), ann.id(), "six").unwrap();
        let items = std::iter::from_fn(|| ann.try_recv().ok());
        let items: Vec<_> = items
            .map(|item| match item {
                Delivery::Event(event) => event.to_string(),
                Delivery::Direct(direct) => {
                    let sender = direct.sender_id();
                    let expected = match direct.sender().map(Name::as_str) {
                        Some("ann") => Some(ann_id(&hub)),
                        Some(_) => Some(bob.id()),
                        None => None,
                    };
                    assert_eq!(sender, expected);
                    format!("* {direct}")
                }
                other => panic!("{other:?} was not expected"),
            })
            .collect();
        let expected = [
            "bob has arrived",
            "* bob tells you: one",
            "bob: two",
            "bob is now eve",
            "* eve tells you: three",
            "* four",
            "eve: five",
            "* ann tells you: six",
        ];
        assert_eq!(items, expected);
    }

    fn ann_id(hub: &Hub) -> MemberId {
        id_of(hub, "ann")
    }

    #[tokio::test(start_paused = true)]
    async fn holds_for_any_capacity() {
        for capacity in [1, 7, 64, CAPACITY] {
            let hub = hub();
            let config = SessionConfig::default();
            let mut peer = Peer::connect_with(&hub, "mem:1", &config, capacity);
            peer.expect_line("You are mem:1").await;
            let bob = join(&hub, "bob");
            let id = id_of(&hub, "mem:1");
            let mut expected = vec!["bob has arrived".to_string()];
            for n in 0..20 {
                bob.publish(&format!("before {n}")).unwrap();
                hub.send(bob.id(), id, &format!("psst {n}")).unwrap();
                hub.notify(id, &format!("note {n}")).unwrap();
                expected.extend([
                    format!("bob: before {n}"),
                    format!("* bob tells you: psst {n}"),
                    format!("* note {n}"),
                ]);
                if n % 3 == 0 {
                    run_until_idle().await;
                }
            }
            bob.publish("end").unwrap();
            expected.push("bob: end".into());
            assert_eq!(peer.lines_until("bob: end").await, expected);
        }
    }
}

mod wake_up {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reaches_the_recipient_only() {
        let hub = hub();
        let mut peers = Vec::new();
        for n in 0..20 {
            let name = format!("mem:{n}");
            peers.push(Peer::connect(&hub, &name));
            run_until_idle().await;
        }
        for (n, peer) in peers.iter_mut().enumerate() {
            let id = id_of(&hub, &format!("mem:{n}"));
            hub.notify(id, &format!("for {n}")).unwrap();
            let lines = peer.lines_until(&format!("* for {n}")).await;
            let others = lines.iter().filter(|line| line.starts_with("* for"));
            assert_eq!(others.count(), 1);
        }
    }
}

mod mailbox {
    use super::*;

    #[test]
    fn is_bounded_in_bytes() {
        for limit in [0, 10, 1_000, 16 << 10] {
            let mut config = HubConfig::default();
            config.mailbox_bytes = limit;
            let hub = Hub::new(config);
            let (mut ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
            let id = ann.id();
            ann.try_recv().unwrap();
            for text in ["", "hi", &"x".repeat(500)] {
                let send = || hub.send(bob.id(), id, text);
                // A text takes at least a byte.
                let sent = (0..=limit).take_while(|_| send().is_ok()).count();
                assert_eq!(send(), Err(SendError::Full));
                assert_eq!(hub.notify(ann.id(), &"x".repeat(600)), Err(SendError::Full));
                let bytes = sent * (text.len() + "bob".len());
                assert!(bytes <= limit, "{bytes} bytes in {limit}");
                let most = (sent + 1) * (text.len() + "bob".len() + 64);
                assert!(most > limit, "{sent} texts fill {limit}");
                // It has room again for as much as was read.
                for _ in 1..sent {
                    assert!(matches!(ann.try_recv(), Ok(Delivery::Direct(_))));
                }
                for _ in 1..sent {
                    assert_eq!(send(), Ok(()));
                }
                assert_eq!(send(), Err(SendError::Full));
                while let Ok(item) = ann.try_recv() {
                    assert!(matches!(item, Delivery::Direct(_)));
                }
            }
            // It bounds nothing else.
            bob.publish("hi").unwrap();
            assert!(matches!(ann.try_recv(), Ok(Delivery::Event(_))));
        }
    }

    /// A peer that sends commands and reads no answer.
    async fn flood(hub: &Hub, lines: usize) -> Peer {
        let mut peer = Peer::connect_with(hub, "mem:1", &SessionConfig::default(), CAPACITY);
        peer.expect_line("You are mem:1").await;
        for n in 0..lines {
            peer.send_line(&format!("/nonsense{n}")).await;
            run_until_idle().await;
        }
        peer
    }

    #[tokio::test(start_paused = true)]
    async fn counts_the_notices_it_skips() {
        const LINES: usize = 4_000;
        let hub = hub();
        let mut peer = flood(&hub, LINES).await;
        // Direct messages find no room either.
        let bob = join(&hub, "bob");
        let id = id_of(&hub, "mem:1");
        let sent = hub.send(bob.id(), id, &"x".repeat(4096));
        assert_eq!(sent, Err(SendError::Full));
        let (mut answers, mut skipped) = (0, 0);
        while answers + skipped < LINES {
            let line = peer.line().await;
            if let Some(count) = line.strip_prefix("* ")
                && let Some(count) = count.strip_suffix(" notices skipped")
            {
                skipped += count.parse::<usize>().unwrap();
            } else if line != "bob has arrived" {
                let expected = format!("* unknown command /nonsense{answers}, /help lists them");
                assert_eq!(line, expected, "the first ones, in order");
                answers += 1;
            }
        }
        assert!(skipped > 0, "{answers} answers");
        // 16 KiB and what the connection holds.
        assert!(answers < (16 * 1024 + 2 * CAPACITY) / 40, "{answers}");
        peer.send_line("/nonsense").await;
        peer.expect_line("* unknown command /nonsense, /help lists them")
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn too_small_still_counts() {
        let mut config = HubConfig::default();
        config.mailbox_bytes = 10;
        let hub = Hub::new(config);
        let mut peer = flood(&hub, 1).await;
        peer.expect_line("* 1 notices skipped").await;
    }
}

mod classic_peer {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn receives_no_mail() {
        let hub = hub();
        let mut config = SessionConfig::default();
        config.classic = true;
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        peer.expect_line("You are mem:1").await;
        let id = id_of(&hub, "mem:1");
        let bob = join(&hub, "bob");
        // Nor does its mailbox fill up.
        for n in 0..100 {
            hub.notify(id, &"x".repeat(4096)).unwrap();
            hub.send(bob.id(), id, &"x".repeat(4096)).unwrap();
            bob.publish(&n.to_string()).unwrap();
            run_until_idle().await;
        }
        let lines = peer.lines_until("bob: 99").await;
        assert_eq!(lines.len(), 101);
        assert!(lines.iter().all(|line| line.starts_with("bob")));
    }
}
