//! The parts of an input that do not belong to the stream.

/// Takes from the front of the data how a stream is chunked: the number of cuts, in the low half of a
/// byte, then a byte for the length of each chunk. The rest is the stream.
///
/// Returns the chunks, and the stream as a whole.
pub(super) fn chunks(data: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (&cuts, data) = data.split_first().unwrap_or((&0, data));
    let cuts = usize::from(cuts & 0xf).min(data.len());
    let (lengths, stream) = data.split_at(cuts);
    let mut rest = stream;
    let mut chunks = Vec::new();
    for &len in lengths {
        let (chunk, after) = rest.split_at(usize::from(len).min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    chunks.push(rest);
    (chunks, stream)
}
