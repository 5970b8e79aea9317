//! Who is a member, under which name, from when to when.

use chat_core::session::SessionConfig;
use chat_core::transport::IoTransport;
use chat_core::{
    EventKind, Hub, HubConfig, JoinError, LeaveError, LeaveReason, Member, PublishError,
    RenameError,
};
use chat_tests::history::{History, Record};
use chat_tests::memory::{Peer, join, spawn};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};
use std::thread;
use tokio::io::{AsyncRead, ReadBuf};

fn hub() -> Hub {
    Hub::new(HubConfig::default())
}

fn names(hub: &Hub) -> Vec<String> {
    let roster = hub.roster(usize::MAX);
    assert_eq!(roster.total, roster.names.len());
    assert_eq!(roster.position, hub.stats().position);
    assert_eq!(roster.total, hub.stats().members);
    roster.names.iter().map(ToString::to_string).collect()
}

/// Everything that a member has before it.
fn lines(member: &mut Member) -> Vec<String> {
    let mut record = Record::of(member);
    record.catch_up(member);
    assert_eq!(record.check(), Ok(()));
    record.lines().iter().map(ToString::to_string).collect()
}

#[test]
fn every_event_is_in_the_roster_of_a_newcomer_or_in_its_stream() {
    let hub = hub();
    let start = Arc::new(Barrier::new(4));
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let (hub, start) = (hub.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                let mut history = History::new();
                let mut here = Vec::new();
                for round in 0..100 {
                    let name = format!("t{thread}r{round}").parse().unwrap();
                    let (member, roster) = hub.join_with_roster(name, usize::MAX).unwrap();
                    assert_eq!(roster.names.last(), member.name().as_ref());
                    assert_eq!(roster.position, member.position());
                    history.add_roster(roster);
                    here.push((Record::of(&member), member));
                    if round % 3 == 2 {
                        let (mut record, mut member) = here.swap_remove(round % here.len());
                        record.catch_up(&mut member);
                        history.add(record);
                    }
                }
                (history, here)
            })
        })
        .collect();
    let mut history = History::new();
    let ended: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
    history.add_roster(hub.roster(usize::MAX));
    for (part, here) in ended {
        history.merge(part);
        for (mut record, mut member) in here {
            record.catch_up(&mut member);
            history.add(record);
        }
    }
    let checked = history.check().unwrap();
    // Each roster, the last included, is the one before it and the events in between.
    assert_eq!(checked.rosters, 400);
}

#[test]
fn a_roster_has_as_many_names_as_were_asked_for_in_the_order_of_arrival() {
    let hub = hub();
    let _members = ["ann", "bob", "cid"].map(|name| join(&hub, name));
    let (_dan, roster) = hub.join_with_roster("dan".parse().unwrap(), 2).unwrap();
    assert_eq!(roster.total, 4);
    let names: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
    assert_eq!(names, ["ann", "bob"]);
    assert_eq!(hub.roster(0).total, 4);
}

#[test]
fn a_newcomer_is_not_told_of_its_own_arrival_and_who_leaves_not_of_its_leaving() {
    let hub = hub();
    let mut ann = join(&hub, "ann");
    let mut bob = join(&hub, "bob");
    hub.leave(bob.id(), LeaveReason::Left).unwrap();
    assert_eq!(lines(&mut ann), ["bob has arrived", "bob has left"]);
    assert_eq!(lines(&mut bob), [""; 0]);
}

/// The reasons of all leavings that a member was told of.
fn leavings(member: &mut Member) -> Vec<(String, LeaveReason)> {
    let mut record = Record::of(member);
    record.catch_up(member);
    let leaving = |event: &chat_core::Event| match event.kind() {
        EventKind::Left(reason) => Some((event.sender().into(), reason)),
        _ => None,
    };
    record.events().filter_map(leaving).collect()
}

#[tokio::test]
async fn whoever_ends_it_a_membership_ends_once_and_all_see_the_reason() {
    let hub = hub();
    let mut observer = join(&hub, "observer");
    drop(join(&hub, "drop"));

    let kicked = join(&hub, "kick");
    let end = hub.leave(kicked.id(), LeaveReason::Kicked).unwrap();
    assert_eq!(end, hub.stats().position - 1);
    let again = hub.leave(kicked.id(), LeaveReason::Left);
    assert_eq!(again, Err(LeaveError::NotHere));
    drop(kicked);

    let panics = join(&hub, "panic");
    let task = tokio::spawn(async move {
        let _owned = panics;
        // As a panic, but without its report among the test's.
        resume_unwind(Box::new("on purpose"));
    });
    assert!(task.await.unwrap_err().is_panic());

    let closed = join(&hub, "close");
    let id = closed.id();
    hub.close();
    assert_eq!(hub.leave(id, LeaveReason::Left), Err(LeaveError::NotHere));
    drop(closed);

    let expected = [
        ("drop", LeaveReason::Left),
        ("kick", LeaveReason::Kicked),
        ("panic", LeaveReason::Panicked),
    ]
    .map(|(name, reason)| (name.to_string(), reason));
    assert_eq!(leavings(&mut observer), expected);
}

#[test]
fn of_racing_ways_to_leave_one_wins() {
    for round in 0..200 {
        let hub = hub();
        let mut observer = join(&hub, "observer");
        let member = join(&hub, "member");
        let id = member.id();
        let start = Arc::new(Barrier::new(4));
        let closes = round % 2 == 0;
        let race = |run: Box<dyn FnOnce(&Hub) -> bool + Send>| {
            let (hub, start) = (hub.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                run(&hub)
            })
        };
        let kicks = [LeaveReason::Kicked, LeaveReason::Idle];
        let kicks = kicks.map(|reason| race(Box::new(move |hub| hub.leave(id, reason).is_ok())));
        let drops = race(Box::new(move |_| {
            drop(member);
            false
        }));
        start.wait();
        if closes {
            hub.close();
        }
        let won = kicks.map(|kick| kick.join().unwrap());
        drops.join().unwrap();
        let told = leavings(&mut observer);
        let by_leave = won.iter().filter(|won| **won).count();
        assert!(by_leave <= told.len() && told.len() <= 1, "{told:?}");
        assert!(closes || told.len() == 1);
        let known = match told.first() {
            Some((_, LeaveReason::Kicked)) => won[0],
            Some((_, LeaveReason::Idle)) => won[1],
            Some((_, LeaveReason::Left)) | None => by_leave == 0,
            Some(_) => false,
        };
        assert!(known, "{told:?} but {won:?}");
    }
}

#[test]
fn a_name_is_free_only_after_the_leaving() {
    let hub = hub();
    let mut observer = join(&hub, "observer");
    let first = join(&hub, "name");
    let taken = |name: &str| hub.join(name.parse().unwrap()).map(|_| ());
    assert_eq!(taken("name"), Err(JoinError::NameTaken));
    hub.leave(first.id(), LeaveReason::Left).unwrap();
    // Though its handle is still there, to read what came before.
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

#[test]
fn a_join_that_fails_changes_nothing() {
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
    assert_eq!(hub.stats().position, before.position);
    drop(ann);
}

#[test]
fn after_leaving_publishing_is_an_error_and_takes_no_number() {
    let hub = hub();
    let ann = join(&hub, "ann");
    hub.leave(ann.id(), LeaveReason::Left).unwrap();
    // The next tenant of whatever it had is not mistaken for it.
    let bob = join(&hub, "bob");
    let before = hub.stats();
    assert_eq!(ann.publish("x"), Err(PublishError::NotHere));
    let many = hub.publish_many(ann.id(), &["x", "y"]);
    assert_eq!(many, Err(PublishError::NotHere));
    let renamed = hub.rename(ann.id(), "cid".parse().unwrap());
    assert_eq!(renamed, Err(RenameError::NotHere));
    assert_eq!((ann.name(), hub.name(ann.id())), (None, None));
    let id = ann.id();
    drop(ann);
    let _dan = join(&hub, "dan");
    assert_eq!(hub.publish(id, "x"), Err(PublishError::NotHere));
    assert_eq!(hub.stats().position, before.position + 1);
    hub.close();
    assert_eq!(bob.publish("x"), Err(PublishError::Closed));
    assert_eq!(hub.stats().published, 0);
}

#[test]
fn a_text_that_is_too_long_is_refused_with_all_that_were_to_stand_beside_it() {
    let hub = hub();
    let ann = join(&hub, "ann");
    let long = "x".repeat(4097);
    let refused = Err(PublishError::TooLong {
        len: 4097,
        max: 4096,
    });
    let before = hub.stats();
    assert_eq!(ann.publish(&long).map(|n| n..n), refused);
    assert_eq!(hub.publish_many(ann.id(), &["x", &long, "y"]), refused);
    assert_eq!(hub.stats(), before);
    assert!(ann.publish(&long[1..]).is_ok());
}

#[test]
fn a_renaming_is_told_to_all_keeps_the_place_and_frees_the_old_name() {
    let hub = hub();
    let rename = |member: &Member, name: &str| hub.rename(member.id(), name.parse().unwrap());
    let mut ann = join(&hub, "ann");
    let bob = join(&hub, "bob");
    assert_eq!(rename(&ann, "bob"), Err(RenameError::NameTaken));
    assert_eq!(rename(&ann, "BOB"), Err(RenameError::NameTaken));
    assert_eq!(names(&hub), ["ann", "bob"]);
    assert_eq!(rename(&ann, "ann"), Ok(()));
    assert_eq!(rename(&ann, "Ann"), Ok(()), "its own, in another case");
    assert_eq!(rename(&ann, "eve"), Ok(()));
    assert_eq!(names(&hub), ["eve", "bob"]);
    assert_eq!(rename(&bob, "ann"), Ok(()), "it is free");
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

#[test]
fn above_announce_up_to_nobody_is_told_and_the_roster_is_right() {
    let mut config = HubConfig::default();
    config.announce_up_to = Some(2);
    let hub = Hub::new(config);
    let mut ann = join(&hub, "ann");
    let bob = join(&hub, "bob");
    let cid = join(&hub, "cid");
    let dan = join(&hub, "dan");
    assert_eq!(names(&hub), ["ann", "bob", "cid", "dan"]);
    assert_eq!(hub.stats().position, 2, "arrivals that took a place");
    drop(bob);
    hub.leave(cid.id(), LeaveReason::Kicked).unwrap();
    assert_eq!(names(&hub), ["ann", "dan"]);
    dan.publish("hi").unwrap();
    drop(dan);
    let _eve = join(&hub, "eve");
    let expected = [
        "bob has arrived",
        "dan: hi",
        "dan has left",
        "eve has arrived",
    ];
    assert_eq!(lines(&mut ann), expected);
    assert_eq!(names(&hub), ["ann", "eve"]);
}

/// Input that panics when it is read.
struct Trap;

impl AsyncRead for Trap {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        resume_unwind(Box::new("on purpose"));
    }
}

#[tokio::test]
async fn a_panic_in_one_session_ends_that_one_alone() {
    let hub = hub();
    let mut peer = Peer::greeted(&hub, "mem:1").await;
    let transport = IoTransport::from_halves(Trap, tokio::io::sink());
    let session = spawn(&hub, "trap:1", transport, &SessionConfig::default());
    assert!(session.await.unwrap_err().is_panic());
    peer.expect("trap:1 has arrived").await;
    peer.expect("trap:1 has left").await;
    assert_eq!(names(&hub), ["mem:1"]);
    peer.say("still here").await;
    peer.expect("mem:1: still here").await;
    // Its name is free, and the hub works as before.
    let mut next = Peer::connect(&hub, "trap:1");
    next.expect("You are trap:1").await;
    next.expect("Here now: mem:1").await;
}
