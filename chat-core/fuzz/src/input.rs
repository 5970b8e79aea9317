//! What an input says beside what it is about.

/// Takes the way in which a stream is cut off the front of the data: how many cuts, in the low half
/// of a byte, and a byte for each, how far it is from the one before. The rest is the stream.
///
/// Gives the pieces, and the stream as a whole.
pub(crate) fn pieces(data: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (&cuts, data) = data.split_first().unwrap_or((&0, data));
    let cuts = usize::from(cuts & 0xf).min(data.len());
    let (lengths, stream) = data.split_at(cuts);
    let mut rest = stream;
    let mut pieces = Vec::new();
    for &len in lengths {
        let (piece, after) = rest.split_at(usize::from(len).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    (pieces, stream)
}
