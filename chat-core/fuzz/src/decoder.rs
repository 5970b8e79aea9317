//! The line decoder: the same bytes give the same lines, however they are cut, in bounded memory.

use super::input::pieces;
use chat_core::fuzzing::Decoder;

/// "Interpret as command", without which a stream has no telnet negotiation.
const IAC: u8 = 255;

/// The lines, `None` for one too long, and whether the stream was cut.
type Decoded = (Vec<Option<Vec<u8>>>, bool);

#[derive(Clone, Copy)]
struct Limits {
    max_line: usize,
    endless: usize,
}

/// The data: the longest line, one less than what is endless, how the stream is cut, the stream.
pub fn check(data: &[u8]) {
    let Some((&[max_line, endless], data)) = data.split_first_chunk() else {
        return;
    };
    let limits = Limits {
        max_line: max_line.into(),
        endless: usize::from(endless) + 1,
    };
    let (pieces, stream) = pieces(data);
    let whole = decode(limits, [stream]);
    assert_eq!(decode(limits, stream.chunks(1)), whole, "byte by byte");
    assert_eq!(decode(limits, pieces), whole, "in pieces");
    if !stream.contains(&IAC) {
        assert_eq!(by_the_rules(limits, stream), whole);
    }
}

fn decode<'a>(limits: Limits, pieces: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = Decoder::new(limits.max_line, limits.endless);
    let (mut lines, mut cut) = (Vec::new(), false);
    let mut plain = true;
    for piece in pieces {
        let given = lines.len();
        let goes_on = decoder.push(piece, &mut lines);
        assert!(!cut || !goes_on && lines.len() == given, "it stays cut");
        cut = !goes_on;
        assert!(decoder.kept() <= limits.max_line + 1);
        plain &= !piece.contains(&IAC);
        if cut || plain && piece.ends_with(b"\n") {
            assert_eq!(decoder.kept(), 0, "nothing is kept between lines");
        }
    }
    decoder.finish(&mut lines);
    assert_eq!(decoder.kept(), 0);
    for line in lines.iter().flatten() {
        assert!(line.len() <= limits.max_line && !line.contains(&b'\n'));
    }
    (lines, cut)
}

/// The rules again, for a stream as a whole and without telnet negotiation.
fn by_the_rules(limits: Limits, stream: &[u8]) -> Decoded {
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
