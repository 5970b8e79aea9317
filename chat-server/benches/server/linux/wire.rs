//! What goes over the wire: the payloads that tell what was lost, and the protocols around them.

/// The bytes of a payload that says all about itself: mark, kind, publisher, sequence, time.
pub(crate) const HEADER: usize = 2 + PUBLISHER + SEQUENCE + TIME;

const PUBLISHER: usize = 2;
const SEQUENCE: usize = 5;
const TIME: usize = 8;

/// Begins a payload that says all about itself. No server puts it into lines of its own.
const MARK: u8 = b'`';

/// Ends a payload that is too short for that. No digit, no padding.
const SHORT: u8 = b'~';

const PADDING: u8 = b'x';

/// What a payload is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Finds out who is in the room; not measured.
    Probe = b'P',
    /// Measured.
    Data = b'D',
}

/// What a payload says about itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) publisher: usize,
    /// Counts from 1, for each publisher.
    pub(crate) sequence: u32,
    /// When it was sent, in ns of the generator's clock.
    pub(crate) sent: u64,
}

impl Header {
    /// A payload of `size` bytes, or of [`HEADER`] where that is more.
    pub(crate) fn write(&self, size: usize, payload: &mut Vec<u8>) {
        payload.clear();
        payload.extend_from_slice(&[MARK, self.kind as u8]);
        payload.extend_from_slice(&digits::<PUBLISHER>(self.publisher as u64));
        payload.extend_from_slice(&digits::<SEQUENCE>(u64::from(self.sequence)));
        payload.extend_from_slice(&digits::<TIME>(self.sent));
        payload.resize(size.max(HEADER), PADDING);
    }

    fn read(payload: &[u8; HEADER]) -> Self {
        let (publisher, rest) = payload[2..].split_at(PUBLISHER);
        let (sequence, sent) = rest.split_at(SEQUENCE);
        Self {
            kind: match payload[1] {
                b'P' => Kind::Probe,
                _ => Kind::Data,
            },
            publisher: value(publisher) as usize,
            sequence: value(sequence) as u32,
            sent: value(sent),
        }
    }
}

/// A payload of fewer than [`HEADER`] bytes: it can only be counted. The next whole one of its
/// publisher, whose sequence counts these, too, tells how many there should have been.
pub(crate) fn write_short(size: usize, payload: &mut Vec<u8>) {
    payload.clear();
    payload.resize(size - 1, PADDING);
    payload.push(SHORT);
}

/// A line that came, without its end.
pub(crate) enum Line {
    Whole(Header),
    Short,
    /// A greeting, an arrival, a part of the protocol.
    Other,
}

impl Line {
    /// All protocols have the payload at the end of a line; `whole` is the size of whole ones.
    #[inline]
    pub(crate) fn read(line: &[u8], whole: usize) -> Self {
        if let Some(at) = line.len().checked_sub(whole)
            && let Some(payload) = line[at..].first_chunk()
            && payload[0] == MARK
        {
            return Self::Whole(Header::read(payload));
        }
        match line.last() {
            Some(&SHORT) => Self::Short,
            _ => Self::Other,
        }
    }
}

/// How to talk to a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// What one says all hear, who said it included.
    Chat { greets: bool },
    /// `PUBLISH` and `SUBSCRIBE` on one channel.
    Redis,
    /// `PUB` and `SUB` on one subject.
    Nats,
}

/// What a peer that is not in the room yet does about a line.
pub(crate) enum Step {
    Ready,
    Send(&'static [u8]),
    Wait,
}

impl Protocol {
    /// Whether publishers are connections of their own, which hear nothing.
    pub(crate) fn separates_publishers(self) -> bool {
        !matches!(self, Self::Chat { .. })
    }

    /// The first step, once connected.
    pub(crate) fn open(self, member: bool) -> Step {
        match self {
            Self::Chat { greets: true } | Self::Nats => Step::Wait,
            Self::Chat { greets: false } => Step::Ready,
            Self::Redis if member => Step::Send(b"SUBSCRIBE c\r\n"),
            Self::Redis => Step::Ready,
        }
    }

    /// The next one, as `line` came.
    pub(crate) fn enter(self, member: bool, line: &[u8]) -> Step {
        const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nPING\r\n";
        const SUBSCRIBE: &[u8] =
            b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB c 1\r\nPING\r\n";
        match self {
            Self::Chat { .. } => Step::Ready,
            Self::Redis if line.starts_with(b":") => Step::Ready,
            Self::Nats if line.starts_with(b"PONG") => Step::Ready,
            Self::Nats if line.starts_with(b"INFO") => {
                Step::Send(if member { SUBSCRIBE } else { CONNECT })
            }
            Self::Redis | Self::Nats => Step::Wait,
        }
    }

    /// What a line asks of a peer in the room.
    pub(crate) fn answer(self, line: &[u8]) -> Option<&'static [u8]> {
        match self {
            Self::Nats if line.starts_with(b"PING") => Some(b"PONG\r\n"),
            _ => None,
        }
    }

    /// The request to publish `payload`.
    pub(crate) fn publish(self, payload: &[u8], out: &mut Vec<u8>) {
        let size = payload.len();
        match self {
            Self::Chat { .. } => {}
            Self::Redis => out.extend_from_slice(
                format!("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n${size}\r\n").as_bytes(),
            ),
            Self::Nats => out.extend_from_slice(format!("PUB c {size}\r\n").as_bytes()),
        }
        out.extend_from_slice(payload);
        match self {
            Self::Chat { .. } => out.push(b'\n'),
            Self::Redis | Self::Nats => out.extend_from_slice(b"\r\n"),
        }
    }
}

/// Base 64 on the characters from `0` on, as they are found and read faster than decimals.
fn digits<const N: usize>(mut value: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value & 63) as u8;
        value >>= 6;
    }
    digits
}

fn value(digits: &[u8]) -> u64 {
    let add = |value, digit: &u8| value << 6 | u64::from(digit.wrapping_sub(b'0') & 63);
    digits.iter().fold(0, add)
}
