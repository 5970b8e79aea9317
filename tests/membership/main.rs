//! Membership: joining, names, departures and their reasons, and the roster.

mod departure;

use chat_core::session::SessionConfig;
use chat_core::transport::IoTransport;
use chat_core::{
    Hub, HubConfig, JoinError, LeaveReason, Member, PublishError, RemovalReason, RenameError,
};
use chat_tests::history::{History, Record};
use chat_tests::memory::{Peer, hub, join, join_with_limit, spawn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};
use std::thread;
use tokio::io::{AsyncRead, ReadBuf};

fn names(hub: &Hub) -> Vec<String> {
    let roster = hub.roster(usize::MAX);
    assert_eq!(roster.total, roster.names.len());
    assert_eq!(roster.position.number, hub.stats().position.number);
    assert_eq!(roster.total, hub.stats().members);
    roster.names.iter().map(ToString::to_string).collect()
}

/// The lines of all events that the member can read now.
fn lines(member: &mut Member) -> Vec<String> {
    let mut record = Record::of(member);
    record.catch_up(member);
    assert_eq!(record.check(), Ok(()));
    record.lines().iter().map(ToString::to_string).collect()
}

mod join {
    use super::*;

    #[test]
    fn roster_and_stream_tile_events() {
        let hub = hub();
        let start = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (hub, start) = (hub.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    let mut history = History::new();
                    let mut present = Vec::new();
                    for round in 0..100 {
                        let name = format!("t{thread}r{round}").parse().unwrap();
                        let (member, roster) = join_with_limit(&hub, name, usize::MAX).unwrap();
                        assert_eq!(roster.names.last(), member.name().as_ref());
                        assert_eq!(roster.position.number, member.position().number);
                        history.add_roster(roster);
                        present.push((Record::of(&member), member));
                        if round % 3 == 2 {
                            let (mut record, mut member) =
                                present.swap_remove(round % present.len());
                            record.catch_up(&mut member);
                            history.add(record);
                        }
                    }
                    (history, present)
                })
            })
            .collect();
        let mut history = History::new();
        let ended: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        history.add_roster(hub.roster(usize::MAX));
        for (part, present) in ended {
            history.merge(part);
            for (mut record, mut member) in present {
                record.catch_up(&mut member);
                history.add(record);
            }
        }
        let checked = history.check().unwrap();
        // Each roster, the last included, follows from the previous one and the events in between.
        assert_eq!(checked.rosters, 400);
    }

    #[test]
    fn own_arrival_and_departure_are_omitted() {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        let mut bob = join(&hub, "bob");
        hub.leave(bob.id()).unwrap();
        assert_eq!(lines(&mut ann), ["bob has arrived", "bob has left"]);
        assert_eq!(lines(&mut bob), [""; 0]);
    }

    #[test]
    fn failure_changes_nothing() {
        let hub = hub();
        let ann = join(&hub, "Ann");
        let before = hub.stats();
        for name in ["Ann", "ann", "ANN", "Аnn"] {
            let refused = hub.join(name.parse().unwrap());
            assert_eq!(refused.unwrap_err(), JoinError::NameTaken, "{name}");
        }
        assert_eq!(hub.stats(), before);
        assert_eq!(names(&hub), ["Ann"]);
        hub.close();
        let refused = hub.join("bob".parse().unwrap());
        assert_eq!(refused.unwrap_err(), JoinError::Closed);
        assert_eq!(hub.stats().position.number, before.position.number);
        drop(ann);
    }
}

mod roster {
    use super::*;

    #[test]
    fn is_limited_in_arrival_order() {
        let hub = hub();
        let _members = ["ann", "bob", "cid"].map(|name| join(&hub, name));
        let (_dan, roster) = join_with_limit(&hub, "dan".parse().unwrap(), 2).unwrap();
        assert_eq!(roster.total, 4);
        let names: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
        assert_eq!(names, ["ann", "bob"]);
        assert_eq!(hub.roster(0).total, 4);
    }

    #[test]
    fn is_exact_without_announcements() {
        let mut config = HubConfig::default();
        config.announce_up_to = Some(2);
        let hub = Hub::new(config);
        let mut ann = join(&hub, "ann");
        let bob = join(&hub, "bob");
        let cid = join(&hub, "cid");
        let dan = join(&hub, "dan");
        assert_eq!(names(&hub), ["ann", "bob", "cid", "dan"]);
        assert_eq!(
            hub.stats().position.number,
            2,
            "two arrivals are in the log"
        );
        drop(bob);
        hub.remove(cid.id(), RemovalReason::Kicked).unwrap();
        assert_eq!(names(&hub), ["ann", "dan"]);
        dan.publish("hi").unwrap();
        drop(dan);
        let _eve = join(&hub, "eve");
        let expected = [
            "bob has arrived",
            // Its arrival was announced; that of the others was not.
            "bob has left",
            "dan: hi",
            "eve has arrived",
        ];
        assert_eq!(lines(&mut ann), expected);
        assert_eq!(names(&hub), ["ann", "eve"]);
    }
}

mod name {
    use super::*;

    #[test]
    fn is_free_after_the_departure() {
        let hub = hub();
        let mut observer = join(&hub, "observer");
        let first = join(&hub, "name");
        let taken = |name: &str| hub.join(name.parse().unwrap()).map(|_| ());
        assert_eq!(taken("name"), Err(JoinError::NameTaken));
        hub.leave(first.id()).unwrap();
        // The handle of the first member still exists and reads earlier events.
        let second = join(&hub, "name");
        assert_ne!(first.id(), second.id());
        drop(first);
        assert_eq!(taken("name"), Err(JoinError::NameTaken));
        assert_eq!(second.name().unwrap().as_str(), "name");
        second.publish("it is me").unwrap();
        drop(second);
        let expected = [
            "name has arrived",
            "name has left",
            "name has arrived",
            "name: it is me",
            "name has left",
        ];
        assert_eq!(lines(&mut observer), expected);
    }
}

mod rename {
    use super::*;

    #[test]
    fn keeps_position_and_frees_name() {
        let hub = hub();
        let rename = |member: &Member, name: &str| hub.rename(member.id(), name.parse().unwrap());
        let mut ann = join(&hub, "ann");
        let bob = join(&hub, "bob");
        assert_eq!(rename(&ann, "bob"), Err(RenameError::NameTaken));
        assert_eq!(rename(&ann, "BOB"), Err(RenameError::NameTaken));
        assert_eq!(names(&hub), ["ann", "bob"]);
        assert_eq!(rename(&ann, "ann"), Ok(()));
        assert_eq!(rename(&ann, "Ann"), Ok(()), "its own name in another case");
        assert_eq!(rename(&ann, "eve"), Ok(()));
        assert_eq!(names(&hub), ["eve", "bob"]);
        assert_eq!(rename(&bob, "ann"), Ok(()), "the name is free");
        ann.publish("hi").unwrap();
        let expected = [
            "bob has arrived",
            "ann is now Ann",
            "Ann is now eve",
            "bob is now ann",
            "eve: hi",
        ];
        assert_eq!(lines(&mut ann), expected);
        hub.close();
        assert_eq!(rename(&ann, "fay"), Err(RenameError::Closed));
    }
}

mod session {
    use super::*;

    /// A reader that panics on the first read.
    struct PanickingReader;

    impl AsyncRead for PanickingReader {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            resume_unwind(Box::new("on purpose"));
        }
    }

    #[tokio::test]
    async fn panic_ends_one_session_only() {
        let hub = hub();
        let mut peer = Peer::greeted(&hub, "mem:1").await;
        let transport = IoTransport::from_halves(PanickingReader, tokio::io::sink());
        let session = spawn(&hub, "panic:1", transport, &SessionConfig::default());
        assert!(session.await.unwrap_err().is_panic());
        peer.expect_line("panic:1 has arrived").await;
        peer.expect_line("panic:1 has left").await;
        assert_eq!(names(&hub), ["mem:1"]);
        peer.send_line("still present").await;
        peer.expect_line("mem:1: still present").await;
        // The name is free, and the hub works as before.
        let mut next = Peer::connect(&hub, "panic:1");
        next.expect_line("You are panic:1").await;
        next.expect_line("Here now: mem:1").await;
    }
}

mod removal {
    use super::*;
    use chat_core::{Delivery, Removal};

    /// What the member receives last, besides the end.
    fn last_text(text: &str) -> Option<String> {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        let mut removal = Removal::from(RemovalReason::Kicked);
        removal.text = Some(text.into());
        hub.remove(ann.id(), removal)
            .expect("the member is present");
        let first = match ann.try_recv().expect("there is more") {
            Delivery::Direct(direct) => direct.text().to_owned(),
            other => {
                assert_eq!(other, Delivery::Closed(LeaveReason::Kicked));
                return None;
            }
        };
        let end = ann.try_recv().expect("there is more");
        assert_eq!(end, Delivery::Closed(LeaveReason::Kicked));
        Some(first)
    }

    #[test]
    fn text_is_bounded_and_sanitised() {
        assert_eq!(last_text("spam\x07").as_deref(), Some("spam"));
        assert_eq!(last_text("\x07"), None);
        let long = last_text(&"é".repeat(4096)).unwrap();
        assert_eq!(long, "é".repeat(2048));
    }
}
