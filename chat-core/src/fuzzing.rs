//! What the fuzz targets look at and nobody else can.

use crate::protocol::decoder::{Line, LineDecoder};
use crate::types::text::sanitize_bytes;
use std::borrow::Cow;

/// What is done to a line of a byte stream before it is heard.
pub fn sanitize(line: &[u8]) -> Cow<'_, str> {
    sanitize_bytes(line)
}

/// The line decoder.
#[derive(Debug)]
pub struct Decoder(LineDecoder);

impl Decoder {
    /// A decoder of lines of at most `max_line` bytes that cuts the stream at `endless`.
    pub fn new(max_line: usize, endless: usize) -> Self {
        Self(LineDecoder::with_limits(max_line, endless))
    }

    /// Decodes the next bytes into lines, `None` for one too long. Says whether the stream goes on.
    pub fn push(&mut self, chunk: &[u8], lines: &mut Vec<Option<Vec<u8>>>) -> bool {
        self.0.push(chunk, |line| lines.push(owned(line))).is_ok()
    }

    /// Decodes the end of the stream.
    pub fn finish(&mut self, lines: &mut Vec<Option<Vec<u8>>>) {
        self.0.finish(|line| lines.push(owned(line)));
    }

    /// The bytes of memory for what it keeps.
    pub fn kept(&self) -> usize {
        self.0.kept()
    }
}

fn owned(line: Line<'_>) -> Option<Vec<u8>> {
    match line {
        Line::Text(text) => Some(text.into()),
        Line::TooLong => None,
    }
}

#[cfg(test)]
#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "in a crate of their own they are reached")]
mod properties;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    /// The inputs that the fuzz targets begin with, without a fuzzer.
    #[test]
    fn the_kept_corpus_holds() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (target, check) in super::properties::TARGETS {
            let mut inputs = fs::read_dir(corpus.join(target)).unwrap().peekable();
            assert!(inputs.peek().is_some(), "{target} has none");
            for input in inputs {
                let input = input.unwrap().path();
                // Shown if it fails.
                println!("{}", input.display());
                check(&fs::read(input).unwrap());
            }
        }
    }
}
