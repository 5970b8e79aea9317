//! The line decoder gives the same lines for the same bytes, however they are chunked, in bounded
//! memory.

use super::input::chunks;
use crate::protocol::decoder::{Line, LineDecoder};

/// "Interpret as command", without which a stream has no telnet negotiation.
const IAC: u8 = 255;

/// The lines, `None` for one that is too long, and whether a line was endless.
type Decoded = (Vec<Option<Vec<u8>>>, bool);

#[derive(Clone, Copy)]
struct Limits {
    max_line: usize,
    endless: usize,
}

/// Checks an input: the longest line, one less than what is endless, the chunking, the stream.
pub fn check(data: &[u8]) {
    let Some((&[max_line, endless], data)) = data.split_first_chunk() else {
        return;
    };
    let limits = Limits {
        max_line: max_line.into(),
        endless: usize::from(endless) + 1,
    };
    let (chunks, stream) = chunks(data);
    let whole = decode(limits, [stream]);
    assert_eq!(decode(limits, stream.chunks(1)), whole, "byte by byte");
    assert_eq!(decode(limits, chunks), whole, "in chunks");
    if !stream.contains(&IAC) {
        assert_eq!(expected(limits, stream), whole);
    }
}

/// The bytes of the line, `None` if it is too long.
pub(super) fn owned(line: Line<'_>) -> Option<Vec<u8>> {
    match line {
        Line::Text(text) => Some(text.into()),
        Line::TooLong => None,
    }
}

fn decode<'a>(limits: Limits, chunks: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = LineDecoder::with_limits(limits.max_line, limits.endless);
    let (mut lines, mut endless) = (Vec::new(), false);
    let mut plain = true;
    for chunk in chunks {
        let before = lines.len();
        let stopped = decoder.push(chunk, |line| lines.push(owned(line))).is_err();
        assert!(!endless || stopped && lines.len() == before, "it goes on");
        endless = stopped;
        assert!(decoder.kept() <= limits.max_line + 1);
        plain &= !chunk.contains(&IAC);
        if endless || plain && chunk.ends_with(b"\n") {
            assert_eq!(decoder.kept(), 0, "it keeps a buffer between lines");
        }
    }
    decoder.finish(|line| lines.push(owned(line)));
    assert_eq!(decoder.kept(), 0);
    for line in lines.iter().flatten() {
        assert!(line.len() <= limits.max_line && !line.contains(&b'\n'));
    }
    (lines, endless)
}

/// The rules again, for a whole stream without telnet negotiation.
fn expected(limits: Limits, stream: &[u8]) -> Decoded {
    let mut lines = Vec::new();
    let mut rest = stream.split(|byte| *byte == b'\n').peekable();
    while let Some(line) = rest.next() {
        if line.len() >= limits.endless {
            return (lines, true);
        }
        let ended = rest.peek().is_some();
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if ended || !text.is_empty() {
            lines.push((text.len() <= limits.max_line).then(|| text.to_vec()));
        }
    }
    (lines, false)
}
