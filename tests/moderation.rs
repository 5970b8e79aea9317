//! Moderation: mutes and their end, and removals with an explanation. The clock is paused.

use chat_core::session::SessionConfig;
use chat_core::{
    Delivery, Hub, LeaveReason, MemberId, PublishError, Removal, RemovalReason, RenameError,
    SendError, Timestamp,
};
use chat_tests::memory::{CAPACITY, Peer, hub, join, run_until_idle};
use std::time::Duration;
use tokio::time::advance;

fn id_of(hub: &Hub, name: &str) -> MemberId {
    let name = chat_core::Name::assigned(name).expect("the names of the tests are valid");
    hub.find(&name).expect("the member is present")
}

mod mute {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ends_at_its_time() {
        let hub = hub();
        let (ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
        let until = hub.now() + Duration::from_secs(60);
        hub.mute(ann.id(), until).unwrap();
        let name = || "eve".parse().unwrap();
        let before = hub.stats();
        for wait in [Duration::from_millis(59_999), Duration::from_millis(1)] {
            assert_eq!(ann.publish("x"), Err(PublishError::Muted { until }));
            let many = hub.publish_many(ann.id(), &["x"]).unwrap_err();
            assert_eq!(many.reason, PublishError::Muted { until });
            let sent = hub.send(ann.id(), bob.id(), "x");
            assert_eq!(sent, Err(SendError::Muted { until }));
            let renamed = hub.rename(ann.id(), name());
            assert_eq!(renamed, Err(RenameError::Muted { until }));
            assert_eq!(hub.stats(), before);
            advance(wait).await;
        }
        ann.publish("at last").unwrap();
        hub.send(ann.id(), bob.id(), "at last").unwrap();
        hub.rename(ann.id(), name()).unwrap();
    }

    #[test]
    fn leaves_reading_and_leaving() {
        let hub = hub();
        let (mut ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
        hub.mute(ann.id(), Timestamp::MAX).unwrap();
        bob.publish("hi").unwrap();
        hub.send(bob.id(), ann.id(), "psst").unwrap();
        for _ in 0..3 {
            ann.try_recv().unwrap();
        }
        hub.leave(ann.id()).unwrap();
        // The next member in the same slot is not muted.
        drop(ann);
        join(&hub, "ann").publish("hi").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn is_ended_by_a_past_time() {
        let hub = hub();
        let ann = join(&hub, "ann");
        hub.mute(ann.id(), Timestamp::MAX).unwrap();
        advance(Duration::from_secs(1_000_000_000)).await;
        assert!(ann.publish("x").is_err(), "it has no end");
        hub.mute(ann.id(), hub.now()).unwrap();
        ann.publish("x").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn answers_the_peer_by_notices() {
        let hub = hub();
        let mut peer = Peer::greeted(&hub, "mem:1").await;
        let id = id_of(&hub, "mem:1");
        hub.mute(id, hub.now() + Duration::from_secs(1)).unwrap();
        for line in ["hi", "/name eve"] {
            peer.send_line(line).await;
            peer.expect_line("* message refused: you are muted").await;
        }
        assert_eq!(hub.stats().published, 0);
        advance(Duration::from_secs(1)).await;
        peer.send_line("hi").await;
        peer.expect_line("mem:1: hi").await;
    }
}

mod removal {
    use super::*;

    const REASONS: [RemovalReason; 5] = [
        RemovalReason::Kicked,
        RemovalReason::Idle,
        RemovalReason::Stalled,
        RemovalReason::Lost,
        RemovalReason::Misbehaved,
    ];

    fn removal(reason: RemovalReason, text: &str) -> Removal {
        let mut removal = Removal::from(reason);
        removal.text = Some(text.into());
        removal
    }

    #[test]
    fn has_its_text_before_the_end() {
        let mut config = chat_core::HubConfig::default();
        // The text is delivered although the mailbox is full.
        config.mailbox_bytes = 100;
        let hub = Hub::new(config);
        let mut ann = join(&hub, "ann");
        ann.publish("hi").unwrap();
        let notes = (0..=100).take_while(|_| hub.notify(ann.id(), "note").is_ok());
        assert!((1..100).contains(&notes.count()), "the mailbox is full");
        hub.remove(ann.id(), removal(RemovalReason::Kicked, "no\n spam\u{7}"))
            .unwrap();
        let mut items = std::iter::from_fn(|| ann.try_recv().ok()).collect::<Vec<_>>();
        let closed = items.pop();
        assert_eq!(closed, Some(Delivery::Closed(LeaveReason::Kicked)));
        let Some(Delivery::Direct(text)) = items.pop() else {
            panic!("the text is the last item but one of {items:?}")
        };
        assert_eq!((text.text(), text.sender()), ("no spam", None));
        assert!(items.len() > 1, "{items:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn never_claims_a_shutdown() {
        let texts = [None, Some("no spam")];
        for (reason, text) in REASONS
            .into_iter()
            .flat_map(|r| texts.map(|text| (r, text)))
        {
            assert_ne!(LeaveReason::from(reason), LeaveReason::Closed);
            let hub = hub();
            let mut peer = Peer::greeted(&hub, "mem:1").await;
            let ann = join(&hub, "ann");
            let removed = match text {
                Some(text) => removal(reason, text),
                None => reason.into(),
            };
            hub.remove(id_of(&hub, "mem:1"), removed).unwrap();
            ann.publish("after the end").unwrap();
            let lines = peer.rest().await;
            let expected = match (reason, text) {
                (RemovalReason::Kicked, None) => vec!["* you were sent away, goodbye"],
                (RemovalReason::Kicked, Some(_)) => {
                    vec!["* you were sent away: no spam, goodbye"]
                }
                (_, Some(_)) => vec!["* no spam, goodbye"],
                (_, None) => vec![],
            };
            assert_eq!(lines[0], "ann has arrived");
            assert_eq!(lines[1..], expected, "{reason:?}");
            peer.half_close().await;
            assert_eq!(peer.ended().await, LeaveReason::from(reason));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn follows_all_that_waits() {
        let hub = hub();
        // The session delivers a few bytes at a time.
        let config = SessionConfig::default();
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, 8);
        peer.expect_line("You are mem:1").await;
        let ann = join(&hub, "ann");
        ann.publish("one").unwrap();
        let id = id_of(&hub, "mem:1");
        hub.send(ann.id(), id, "psst").unwrap();
        ann.publish("two").unwrap();
        run_until_idle().await;
        hub.remove(id, removal(RemovalReason::Kicked, "no spam"))
            .unwrap();
        ann.publish("three").unwrap();
        let expected = [
            "ann has arrived",
            "ann: one",
            "* ann tells you: psst",
            "ann: two",
            "* you were sent away: no spam, goodbye",
        ];
        assert_eq!(peer.rest().await, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_classic_peer_is_silent() {
        let hub = hub();
        let mut config = SessionConfig::default();
        config.classic = true;
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        peer.expect_line("You are mem:1").await;
        let removed = removal(RemovalReason::Kicked, "no spam");
        hub.remove(id_of(&hub, "mem:1"), removed).unwrap();
        assert_eq!(peer.rest().await, [""; 0]);
    }
}
