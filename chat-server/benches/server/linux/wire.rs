//! The payloads, whose headers reveal losses, and the protocols that carry them.

/// Bytes of a header: mark, kind, publisher, sequence, time.
pub(crate) const HEADER: usize = 2 + PUBLISHER + SEQUENCE + TIME;

const PUBLISHER: usize = 2;
const SEQUENCE: usize = 5;
const TIME: usize = 8;

/// The first byte of a header. No server uses it in lines of its own.
const MARK: u8 = b'`';

/// The last byte of a payload without a header. Neither a digit nor padding.
const SHORT: u8 = b'~';

const PADDING: u8 = b'x';

/// What a payload is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Finds out which members receive; not measured.
    Probe = b'P',
    /// Measured.
    Data = b'D',
}

/// The header of a payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) publisher: usize,
    /// Counts from 1, per publisher.
    pub(crate) sequence: u32,
    /// The time of creation, in ns of the generator's clock.
    pub(crate) sent: u64,
}

impl Header {
    /// Writes a payload of `size` bytes, or of [`HEADER`] if that is more.
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

/// Writes a payload of fewer than [`HEADER`] bytes, which can only be counted. Its publisher's next
/// payload with a header tells how many there should have been: sequences count both kinds.
pub(crate) fn write_short(size: usize, payload: &mut Vec<u8>) {
    payload.clear();
    payload.resize(size - 1, PADDING);
    payload.push(SHORT);
}

/// A received line, without its line ending.
pub(crate) enum Line {
    Payload(Header),
    Short,
    /// A greeting, an arrival, a part of the protocol.
    Other,
}

impl Line {
    /// All protocols put the payload at the end of a line; `size` is that of payloads with a header.
    #[inline]
    pub(crate) fn read(line: &[u8], size: usize) -> Self {
        if let Some(at) = line.len().checked_sub(size)
            && let Some(payload) = line[at..].first_chunk()
            && payload[0] == MARK
        {
            return Self::Payload(Header::read(payload));
        }
        match line.last() {
            Some(&SHORT) => Self::Short,
            _ => Self::Other,
        }
    }
}

/// The protocol of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Protocol {
    /// Lines, delivered to all members including the publisher.
    Chat { greets: bool },
    /// `PUBLISH` and `SUBSCRIBE` on one channel.
    Redis,
    /// `PUB` and `SUB` on one subject.
    Nats,
}

/// The next step of a connection that joins.
pub(crate) enum Step {
    Ready,
    Send(&'static [u8]),
    Wait,
}

impl Protocol {
    /// Whether publishers are separate connections that do not subscribe.
    pub(crate) fn separates_publishers(self) -> bool {
        !matches!(self, Self::Chat { .. })
    }

    /// The step after connecting.
    pub(crate) fn first_step(self, member: bool) -> Step {
        match self {
            Self::Chat { greets: true } | Self::Nats => Step::Wait,
            Self::Chat { greets: false } => Step::Ready,
            Self::Redis if member => Step::Send(b"SUBSCRIBE c\r\n"),
            Self::Redis => Step::Ready,
        }
    }

    /// The step after `line`.
    pub(crate) fn handshake(self, member: bool, line: &[u8]) -> Step {
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

    /// The reply that a line requires of a connection that has joined.
    pub(crate) fn reply(self, line: &[u8]) -> Option<&'static [u8]> {
        match self {
            Self::Nats if line.starts_with(b"PING") => Some(b"PONG\r\n"),
            _ => None,
        }
    }

    /// Appends the request to publish `payload`.
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

/// Base 64 with the 64 characters from `0` on: faster to write and read than decimals.
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
