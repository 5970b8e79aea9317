//! A whole session: whatever a peer sends, the others hear what it said by the rules, under its own
//! name, and nothing else.

use super::input::pieces;
use super::protocol::{self, Line};
use chat_core::fuzzing::{Decoder, sanitize};
use chat_core::session::{self, Naming, SessionConfig};
use chat_core::transport::memory;
use chat_core::{Batch, Hub, HubConfig, LeaveReason, Member, Name};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

/// Short, so that too long is quickly made up.
const MAX_TEXT: usize = 64;
/// Of any chat; see the decoder.
const ENDLESS: usize = 64 * 1024;

const PEER: &str = "peer:1";
const WITNESS: &str = "witness";
/// What the witness says now and then.
const MEANWHILE: &str = "witness: meanwhile";

/// How the session is set up, each by a bit.
#[derive(Clone, Copy)]
struct Setup(u8);

impl Setup {
    fn asks(self) -> bool {
        self.0 & 1 > 0 && !self.is_classic()
    }

    fn is_classic(self) -> bool {
        self.0 & 2 > 0
    }

    /// The connection holds less than the peer sends and hears.
    fn is_narrow(self) -> bool {
        self.0 & 4 > 0
    }

    /// The peer takes nothing before it has sent everything.
    fn listens_late(self) -> bool {
        self.0 & 8 > 0
    }

    fn session(self) -> SessionConfig {
        let mut config = SessionConfig::default();
        (config.classic, config.naming) = match self.asks() {
            true => (false, Naming::Ask),
            false => (self.is_classic(), Naming::Given),
        };
        config
    }
}

/// The data: how the session is set up, how the stream is cut, what the peer sends.
pub fn check(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else {
        return;
    };
    let setup = Setup(setup);
    let (pieces, stream) = pieces(data);

    let mut config = HubConfig::default();
    // A byte can be a line, and a line have a long name: nobody is to miss any of it.
    (config.log_bytes, config.max_text) = (64 * 1024 + 256 * stream.len(), MAX_TEXT);
    let hub = Hub::new(config);
    let name = WITNESS.parse().expect("the name is in order");
    let mut witness = hub.join(name).expect("nobody is here");

    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be built");
    let (reason, told) = runtime.block_on(converse(&witness, setup, &pieces));

    let mut batch = Batch::default();
    let mut heard = String::new();
    while witness.try_recv_many(&mut batch).is_ok() {
        assert_eq!(batch.missed(), 0, "the log is large enough");
        heard.push_str(batch.lines());
    }
    let heard: Vec<_> = heard.split_terminator('\n').collect();
    assert_eq!(count(&heard, MEANWHILE), pieces.len());
    let life: Vec<_> = heard
        .into_iter()
        .skip_while(|line| *line == MEANWHILE)
        .collect();
    let end = life.iter().rposition(|line| *line != MEANWHILE);
    let life = &life[..end.map_or(0, |end| end + 1)];

    is_by_one_author(life);
    is_told(&told, life, setup);
    is_as_sent(life, &hub, setup, stream, reason);
}

/// Runs the session to its end; gives why it ended and what the peer was told.
async fn converse(witness: &Member, setup: Setup, pieces: &[&[u8]]) -> (LeaveReason, String) {
    let (transport, stream) = memory::pair(if setup.is_narrow() { 256 } else { ENDLESS });
    let (mut ear, mut mouth) = split(stream);
    let name = Name::assigned(PEER).expect("the name is in order");
    let session = session::run(witness.hub(), name, transport, &setup.session());
    let session = tokio::spawn(session);
    let talking = async move {
        for piece in pieces {
            // When it has ended, it takes no more.
            let _ = mouth.write_all(piece).await;
            // The clock is paused, and moves when the session has done all it can.
            sleep(Duration::from_millis(1)).await;
            assert!(witness.publish("meanwhile").is_ok());
        }
        let _ = mouth.shutdown().await;
    };
    let mut told = String::new();
    let listening = ear.read_to_string(&mut told);
    let all = async {
        if setup.listens_late() {
            talking.await;
            listening.await
        } else {
            tokio::join!(listening, talking).0
        }
    };
    let minute = Duration::from_secs(60);
    let read = timeout(minute, all).await.expect("nobody waits for ever");
    read.expect("it is UTF-8 to the end");
    drop(ear);
    let ended = timeout(minute, session)
        .await
        .expect("it ends after its input");
    let reason = ended.expect("it does not panic").expect("the name is free");
    (reason, told)
}

fn count(lines: &[&str], line: &str) -> usize {
    lines.iter().filter(|other| **other == line).count()
}

/// Between its arrival and its leaving, which are the first and the last line, the peer alone is
/// heard of, but for what the witness says.
fn is_by_one_author(life: &[&str]) {
    let leaves = |line| matches!(protocol::read(line), Line::Left { .. });
    assert!(life.last().is_none_or(|line| leaves(line)));
    let mut name = None;
    for (at, line) in life.iter().enumerate() {
        let author = match protocol::read(line) {
            _ if *line == MEANWHILE => continue,
            Line::Arrived { name: newcomer } if at == 0 => {
                name = Some(newcomer);
                continue;
            }
            Line::Left { name } if at == life.len() - 1 => name,
            Line::Message { author, .. } => author,
            Line::Renamed { old, new } => {
                assert!(
                    new.parse::<Name>().is_ok_and(|same| same == new),
                    "{line:?}"
                );
                assert_eq!(name.replace(new), Some(old), "{line:?}");
                continue;
            }
            _ => panic!("{line:?} is nothing that it can do"),
        };
        assert_eq!(name, Some(author), "{line:?}");
    }
}

/// The peer is greeted, and told all of that but its own coming and going; the rest are notices.
fn is_told(told: &str, life: &[&str], setup: Setup) {
    assert!(told.is_empty() || told.ends_with('\n'), "half a line");
    let mut lines = told
        .split_terminator('\n')
        .map(|line| (line, protocol::read(line)));
    let is_notice = |(_, read): &(&str, Line<'_>)| matches!(read, Line::Notice(_));
    if setup.is_classic() {
        assert!(!lines.clone().any(|line| is_notice(&line)));
    }
    let events: Vec<_> = match life {
        [arrival, rest @ .., _] => {
            let (_, greeting) = lines.find(|line| !is_notice(line)).expect("it is greeted");
            let Line::Greeting { name } = greeting else {
                panic!("{greeting:?} is no greeting");
            };
            assert_eq!(protocol::read(arrival), Line::Arrived { name });
            if !setup.is_classic() {
                assert_eq!(
                    lines.next(),
                    Some(("Here now: witness", Line::Roster(WITNESS)))
                );
            }
            rest.into()
        }
        _ => Vec::new(),
    };
    let others = lines.filter(|line| !is_notice(line)).map(|(line, _)| line);
    assert_eq!(others.collect::<Vec<_>>(), events);
}

/// The others hear what the peer said, by the rules; less only if it was cut, for a reason.
fn is_as_sent(life: &[&str], hub: &Hub, setup: Setup, stream: &[u8], reason: LeaveReason) {
    let mut decoder = Decoder::new(MAX_TEXT, ENDLESS);
    let mut lines = Vec::new();
    let endless = !decoder.push(stream, &mut lines);
    if !endless {
        decoder.finish(&mut lines);
    }
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.as_deref().map(sanitize))
        .collect();

    let said = life.split_last().map_or(life, |(_, said)| said);
    let said = said.iter().filter(|line| **line != MEANWHILE);
    let said: Vec<_> = said.map(|line| (*line).to_owned()).collect();
    let expected = by_the_rules(&lines, hub, setup);
    match reason {
        LeaveReason::Left => assert_eq!(said, expected),
        LeaveReason::Misbehaved => {
            let http = lines.iter().any(|line| match line {
                Some(line) => line.contains("HTTP/"),
                // Of which only the beginning was seen.
                None => true,
            });
            assert!(endless || http || stream.starts_with(&[0x16, 0x03]));
            assert!(expected.starts_with(&said), "{said:?} of {expected:?}");
        }
        _ => panic!("it {reason}"),
    }
}

/// What the others hear of a peer whose lines these are, but for its leaving.
fn by_the_rules(lines: &[Option<impl AsRef<str>>], hub: &Hub, setup: Setup) -> Vec<String> {
    let given = || Some(Name::assigned(PEER).expect("the name is in order"));
    // The witness is still here, so its name is taken.
    let chosen = |name: &str| name.parse().ok().filter(|name| hub.find(name).is_none());
    let mut heard = Vec::new();
    let mut name: Option<Name> = None;
    if !setup.asks() {
        heard.push(format!("{PEER} has arrived"));
        name = given();
    }
    for line in lines.iter().flatten().map(AsRef::as_ref) {
        let command = line.strip_prefix('/').filter(|_| !setup.is_classic());
        let (word, rest) = match (&name, command) {
            // It is told so, at most a byte later because of `//`.
            _ if line.len() > MAX_TEXT + 1 => continue,
            (Some(_), None) => (None, line),
            (Some(_), Some(text)) if text.starts_with('/') => (None, text),
            (_, Some(command)) => match command.split_once(char::is_whitespace) {
                Some((word, rest)) => (Some(word), rest.trim()),
                None => (Some(command), ""),
            },
            // The answer to the question.
            (None, None) => (Some("name"), line.trim()),
        };
        match (word, &name) {
            (None, Some(author)) if rest.len() <= MAX_TEXT => {
                heard.push(format!("{author}: {rest}"));
            }
            (Some("name"), Some(old)) => {
                if let Some(new) = chosen(rest).filter(|new| new != old) {
                    heard.push(format!("{old} is now {new}"));
                    name = Some(new);
                }
            }
            (Some("name"), None) => {
                name = if rest.is_empty() {
                    given()
                } else {
                    chosen(rest)
                };
                heard.extend(name.as_ref().map(|name| format!("{name} has arrived")));
            }
            (Some("quit"), _) => break,
            _ => {}
        }
    }
    heard
}
