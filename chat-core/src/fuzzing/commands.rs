//! A whole session: the other members receive what the peer published by the rules, under the name of
//! the peer, and nothing else.

use super::client::{self, Line};
use super::decoder::owned;
use super::input::chunks;
use crate::protocol::decoder::LineDecoder;
use crate::session::{self, Naming, SessionConfig};
use crate::transport::memory;
use crate::types::text::sanitize_bytes;
use crate::{Batch, Hub, HubConfig, LeaveReason, Member, Name};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

/// Short, so that the fuzzer soon finds longer ones.
const MAX_TEXT: usize = 64;
/// The bytes that a connection holds, unless it is narrow.
const WIDE: usize = 64 * 1024;

const PEER: &str = "peer:1";
const WITNESS: &str = "witness";
/// The line that the witness publishes after each chunk.
const MEANWHILE: &str = "witness: meanwhile";

/// The configuration of the session, each choice a bit.
#[derive(Clone, Copy)]
struct Setup(u8);

impl Setup {
    fn asks(self) -> bool {
        self.0 & 1 > 0 && !self.is_classic()
    }

    fn is_classic(self) -> bool {
        self.0 & 2 > 0
    }

    /// The connection holds less than the peer sends and receives.
    fn is_narrow(self) -> bool {
        self.0 & 4 > 0
    }

    /// The peer reads nothing before it has sent everything.
    fn reads_late(self) -> bool {
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

/// Checks an input: the configuration, the chunking, the stream that the peer sends.
pub fn check(data: &[u8]) {
    let Some((&setup, data)) = data.split_first() else {
        return;
    };
    let setup = Setup(setup);
    let (chunks, stream) = chunks(data);

    let mut config = HubConfig::default();
    // A byte can be a line, and a line have a long name: the witness is not to miss any.
    (config.log_bytes, config.max_text) = (64 * 1024 + 256 * stream.len(), MAX_TEXT);
    let hub = Hub::new(config);
    let name = WITNESS.parse().expect("the name obeys the rules");
    let mut witness = hub.join(name).expect("the hub is empty");

    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be built");
    let (reason, sent) = runtime.block_on(converse(&witness, setup, &chunks));

    let mut batch = Batch::default();
    let mut log = String::new();
    while witness.try_recv_many(&mut batch).is_ok() {
        assert_eq!(batch.missed(), 0, "the log is large enough");
        log.push_str(batch.lines());
    }
    let log: Vec<_> = log.split_terminator('\n').collect();
    assert_eq!(count(&log, MEANWHILE), chunks.len());
    let stay: Vec<_> = log
        .into_iter()
        .skip_while(|line| *line == MEANWHILE)
        .collect();
    let end = stay.iter().rposition(|line| *line != MEANWHILE);
    let stay = &stay[..end.map_or(0, |end| end + 1)];

    check_authors(stay);
    check_sent(&sent, stay, setup);
    check_published(stay, &hub, setup, stream, reason);
}

/// Runs the session to its end. Returns why it ended, and all that it sent to the peer.
async fn converse(witness: &Member, setup: Setup, chunks: &[&[u8]]) -> (LeaveReason, String) {
    let (transport, stream) = memory::pair(if setup.is_narrow() { 256 } else { WIDE });
    let (mut reader, mut writer) = split(stream);
    let name = Name::assigned(PEER).expect("the name obeys the rules");
    let session = session::run(witness.hub(), name, transport, &setup.session());
    let session = tokio::spawn(session);
    let writing = async move {
        for chunk in chunks {
            // A session that has ended takes no more.
            let _ = writer.write_all(chunk).await;
            // The paused clock advances when the session waits.
            sleep(Duration::from_millis(1)).await;
            assert!(witness.publish("meanwhile").is_ok());
        }
        let _ = writer.shutdown().await;
    };
    let mut sent = String::new();
    let reading = reader.read_to_string(&mut sent);
    let both = async {
        if setup.reads_late() {
            writing.await;
            reading.await
        } else {
            tokio::join!(reading, writing).0
        }
    };
    let minute = Duration::from_secs(60);
    let read = timeout(minute, both)
        .await
        .expect("neither side waits forever");
    read.expect("it is UTF-8 to the end");
    drop(reader);
    let ended = timeout(minute, session)
        .await
        .expect("it ends after its input");
    let reason = ended.expect("it does not panic").expect("the name is free");
    (reason, sent)
}

fn count(lines: &[&str], line: &str) -> usize {
    lines.iter().filter(|other| **other == line).count()
}

/// From the arrival of the peer, the first line, to its departure, the last, all lines are of the
/// peer, except those of the witness.
fn check_authors(stay: &[&str]) {
    let leaves = |line| matches!(client::read(line), Line::Left { .. });
    assert!(stay.last().is_none_or(|line| leaves(line)));
    let mut name = None;
    for (at, line) in stay.iter().enumerate() {
        let author = match client::read(line) {
            _ if *line == MEANWHILE => continue,
            Line::Arrived { name: newcomer } if at == 0 => {
                name = Some(newcomer);
                continue;
            }
            Line::Left { name } if at == stay.len() - 1 => name,
            Line::Message { author, .. } => author,
            Line::Renamed { old, new } => {
                assert!(
                    new.parse::<Name>().is_ok_and(|same| same == new),
                    "{line:?}"
                );
                assert_eq!(name.replace(new), Some(old), "{line:?}");
                continue;
            }
            _ => panic!("a peer cannot cause {line:?}"),
        };
        assert_eq!(name, Some(author), "{line:?}");
    }
}

/// The session sends the peer the greeting, and the lines between arrival and departure. The rest
/// are notices.
fn check_sent(sent: &str, stay: &[&str], setup: Setup) {
    assert!(sent.is_empty() || sent.ends_with('\n'), "half a line");
    let mut lines = sent
        .split_terminator('\n')
        .map(|line| (line, client::read(line)));
    let is_notice = |(_, read): &(&str, Line<'_>)| matches!(read, Line::Notice(_));
    if setup.is_classic() {
        assert!(!lines.clone().any(|line| is_notice(&line)));
    }
    let events: Vec<_> = match stay {
        [arrival, rest @ .., _] => {
            let (_, greeting) = lines.find(|line| !is_notice(line)).expect("a greeting");
            let Line::Greeting { name } = greeting else {
                panic!("{greeting:?} is no greeting");
            };
            assert_eq!(client::read(arrival), Line::Arrived { name });
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

/// The log has what the peer sent, by the rules; less only if the session disconnected it.
fn check_published(stay: &[&str], hub: &Hub, setup: Setup, stream: &[u8], reason: LeaveReason) {
    let mut decoder = LineDecoder::new(MAX_TEXT);
    let mut lines = Vec::new();
    let pushed = decoder.push(stream, |line| lines.push(owned(line)));
    if pushed.is_ok() {
        decoder.finish(|line| lines.push(owned(line)));
    }
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.as_deref().map(sanitize_bytes))
        .collect();

    let published = stay.split_last().map_or(stay, |(_, published)| published);
    let published = published.iter().filter(|line| **line != MEANWHILE);
    let published: Vec<_> = published.map(|line| (*line).to_owned()).collect();
    let expected = expected(&lines, hub, setup);
    match reason {
        LeaveReason::Left => assert_eq!(published, expected),
        LeaveReason::Misbehaved => {
            let http = lines.iter().any(|line| match line {
                Some(line) => line.contains("HTTP/"),
                // The session saw its beginning only.
                None => true,
            });
            let tls = stream.starts_with(&[0x16, 0x03]);
            assert!(pushed.is_err() || http || tls, "it left for no reason");
            assert!(
                expected.starts_with(&published),
                "{published:?} of {expected:?}"
            );
        }
        _ => panic!("it {reason}"),
    }
}

/// The lines in the log for these lines of the peer, without its departure.
fn expected(lines: &[Option<impl AsRef<str>>], hub: &Hub, setup: Setup) -> Vec<String> {
    let given = || Some(Name::assigned(PEER).expect("the name obeys the rules"));
    // The witness is still a member, so its name is taken.
    let chosen = |name: &str| name.parse().ok().filter(|name| hub.find(name).is_none());
    let mut published = Vec::new();
    let mut name: Option<Name> = None;
    if !setup.asks() {
        published.push(format!("{PEER} has arrived"));
        name = given();
    }
    for line in lines.iter().flatten().map(AsRef::as_ref) {
        let command = line.strip_prefix('/').filter(|_| !setup.is_classic());
        let (word, rest) = match (&name, command) {
            // Refused with a notice; one byte more may be that of `//`.
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
                published.push(format!("{author}: {rest}"));
            }
            (Some("name"), Some(old)) => {
                if let Some(new) = chosen(rest).filter(|new| new != old) {
                    published.push(format!("{old} is now {new}"));
                    name = Some(new);
                }
            }
            (Some("name"), None) => {
                name = if rest.is_empty() {
                    given()
                } else {
                    chosen(rest)
                };
                published.extend(name.as_ref().map(|name| format!("{name} has arrived")));
            }
            (Some("quit"), _) => break,
            _ => {}
        }
    }
    published
}
