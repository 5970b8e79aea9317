//! The rules of `push`: one by one, then against a model that sees the whole stream.

use super::*;
use proptest::prelude::*;

const WILL: u8 = 251;
const MAX: usize = 4;
const LIMIT: usize = 16;

/// The lines, `None` for one that is too long, and whether a line was endless.
type Decoded = (Vec<Option<Vec<u8>>>, bool);

fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let mut decoder = LineDecoder::with_limits(MAX, LIMIT);
    let mut lines = Vec::new();
    let mut on_line = |line: Line<'_>| {
        lines.push(match line {
            Line::Text(text) => Some(text.to_vec()),
            Line::TooLong => None,
        });
    };
    let mut endless = false;
    for chunk in chunks {
        let pushed = decoder.push(chunk, &mut on_line);
        assert!(pushed.is_err() || !endless, "goes on after an error");
        endless |= pushed.is_err();
        let kept = decoder.kept();
        assert!(kept <= MAX + 1, "keeps {kept} bytes");
        let unfinished = decoder.unended > 0 && !decoder.too_long;
        assert!(unfinished || kept == 0, "keeps a buffer");
    }
    decoder.finish(&mut on_line);
    assert_eq!(decoder.kept(), 0);
    (lines, endless)
}

/// The rules again, in passes over the whole stream: first the role of each byte, then the lines.
fn model(stream: &[u8]) -> Decoded {
    let mut roles = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        let (len, data) = match &stream[at..] {
            [IAC, IAC, ..] => (2, Some(IAC)),
            [IAC, WILL..=254, ..] => (3, None),
            [IAC, SB, body @ ..] => {
                // Up to the first IAC SE; other pairs with IAC are skipped.
                let (mut i, mut closed) = (0, false);
                while i < body.len() && !closed {
                    closed = body[i..].starts_with(&[IAC, SE]);
                    i += if body[i] == IAC { 2 } else { 1 };
                }
                (2 + i, None)
            }
            [IAC, ..] => (2, None),
            [byte, ..] => (1, Some(*byte)),
            [] => unreachable!(),
        };
        let len = len.min(stream.len() - at);
        roles.extend((1..len).map(|_| None));
        // A lone IAC at the end of the stream is no data yet.
        let whole = len > 1 || stream[at] != IAC;
        roles.push(data.filter(|_| whole));
        at += len;
    }

    let (mut lines, mut line, mut bytes) = (Vec::new(), Vec::new(), 0);
    let ended = |mut line: Vec<u8>| {
        line.pop_if(|b| *b == b'\r');
        (line.len() <= MAX).then_some(line)
    };
    for role in roles {
        match role {
            Some(b'\n') => {
                lines.push(ended(mem::take(&mut line)));
                bytes = 0;
                continue;
            }
            Some(byte) => line.push(byte),
            None => {}
        }
        bytes += 1;
        if bytes == LIMIT {
            return (lines, true);
        }
    }
    if !line.is_empty() && line != b"\r" {
        lines.push(ended(line));
    }
    (lines, false)
}

fn texts(lines: &[&[u8]]) -> Decoded {
    (
        lines.iter().map(|line| Some(line.to_vec())).collect(),
        false,
    )
}

#[test]
fn line_ends_at_lf_or_crlf() {
    assert_eq!(
        decode([&b"a\n\nb\r\n\r\nc"[..]]),
        texts(&[b"a", b"", b"b", b"", b"c"])
    );
    assert_eq!(
        decode([&b"a\r"[..], b"\nb\rc\r\r\n"]),
        texts(&[b"a", b"b\rc\r"])
    );
}

#[test]
fn unfinished_line_counts_at_end() {
    assert_eq!(decode([&b"ab"[..]]), texts(&[b"ab"]));
    assert_eq!(decode([&b"abcd\r"[..]]), texts(&[b"abcd"]));
    assert_eq!(decode([&b"ab\n"[..]]), texts(&[b"ab"]));
    assert_eq!(decode([&b"\r"[..]]), texts(&[]));
    assert_eq!(decode([&b"abcde"[..]]), (vec![None], false));
    assert_eq!(decode([]), texts(&[]));
}

#[test]
fn telnet_commands_are_removed() {
    let negotiation = [b'a', IAC, WILL, b'\n', IAC, 241, b'b', b'\n'];
    assert_eq!(decode([&negotiation[..]]), texts(&[b"ab"]));
    let sub = [b'a', IAC, SB, 1, b'\n', IAC, IAC, SE, IAC, SE, b'b', b'\n'];
    assert_eq!(decode([&sub[..]]), texts(&[b"ab"]));
    assert_eq!(
        decode([&[IAC, IAC, IAC][..], &[IAC, b'\n']]),
        texts(&[&[IAC, IAC]])
    );
    assert_eq!(decode([&[b'\r', IAC, 241, b'\n'][..]]), texts(&[b""]));
}

#[test]
fn long_line_is_refused_once() {
    let expected = (vec![None, Some(b"ok".to_vec())], false);
    assert_eq!(decode([&b"abcdefghi\nok\n"[..]]), expected);
    assert_eq!(decode([&b"abcd"[..], b"ef", b"ghi\nok\n"]), expected);
    assert_eq!(decode([&b"abcd\r"[..], b"\r\nok\n"]), expected);
}

#[test]
fn controls_count_as_bytes() {
    // Sanitising would leave nothing of it.
    let bells = [b"\x07\x07\x07\x07\x07\n\x07\n"].map(|line| &line[..]);
    let expected = (vec![None, Some(b"\x07".to_vec())], false);
    assert_eq!(decode(bells), expected);
    assert_eq!(decode(bells[0].chunks(1)), expected);
}

#[test]
fn longest_line_is_accepted() {
    assert_eq!(decode([&b"abcd\nabcd\r\n"[..]]), texts(&[b"abcd", b"abcd"]));
    assert_eq!(decode([&b"abcd"[..], b"\r", b"\n"]), texts(&[b"abcd"]));
}

#[test]
fn endless_line_stops_decoder() {
    let line = [b'x'; LIMIT];
    assert_eq!(
        decode([b"a\n", &line[..], b"\nb\n"]),
        (vec![Some(b"a".to_vec())], true)
    );
    assert_eq!(
        decode([&line[1..], b"\nb\n"]),
        (vec![None, Some(b"b".to_vec())], false)
    );
    let mut open_subnegotiation = [0; LIMIT];
    open_subnegotiation[..2].copy_from_slice(&[IAC, SB]);
    assert_eq!(decode([&open_subnegotiation[..]]), (vec![], true));
}

#[test]
fn limits_are_as_documented() {
    let endless = LineDecoder::ENDLESS;
    let mut decoder = LineDecoder::new(4096);
    assert_eq!(decoder.push(&vec![b'x'; endless - 1], |_| ()), Ok(()));
    assert_eq!(decoder.push(b"x", |_| ()), Err(Endless));
    let mut decoder = LineDecoder::new(endless);
    let mut longest = vec![b'x'; endless];
    longest.push(b'\n');
    let mut lines = 0;
    let pushed = decoder.push(&longest, |line| {
        assert_eq!(line, Line::Text(&longest[..endless]));
        lines += 1;
    });
    assert_eq!((pushed, lines), (Ok(()), 1));
}

#[test]
fn whole_line_is_not_copied() {
    let chunk = b"ab\ncd\n";
    let mut decoder = LineDecoder::new(MAX);
    let mut places = Vec::new();
    let pushed = decoder.push(chunk, |line| match line {
        Line::Text(text) => places.push(text.as_ptr()),
        Line::TooLong => unreachable!(),
    });
    assert_eq!(pushed, Ok(()));
    assert_eq!(places, [chunk.as_ptr(), chunk[3..].as_ptr()]);
}

#[test]
fn finished_decoder_is_as_new() {
    let mut decoder = LineDecoder::new(MAX);
    for _ in 0..2 {
        let mut lines = 0;
        assert_eq!(decoder.push(&[b'a', IAC, SB], |_| ()), Ok(()));
        decoder.finish(|line| {
            assert_eq!(line, Line::Text(b"a"));
            lines += 1;
        });
        assert_eq!(lines, 1);
    }
}

fn adversarial() -> impl Strategy<Value = Vec<u8>> {
    let byte = proptest::sample::select(vec![
        b'a', b'a', b'\r', b'\n', 0x80, IAC, IAC, WILL, 254, SB, SE, 241,
    ]);
    proptest::collection::vec(byte, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn chunking_does_not_matter(stream in adversarial(), cuts in proptest::collection::vec(0..60usize, 0..12)) {
        let expected = model(&stream);
        prop_assert_eq!(&decode([&stream[..]]), &expected);
        prop_assert_eq!(&decode(stream.chunks(1)), &expected);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        prop_assert_eq!(&decode(cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]])), &expected);
    }
}
