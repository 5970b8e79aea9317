//! Where a transport puts what its peer has sent.

use super::conversation::Conversation;
use super::meter::Meter;
use crate::buffer::READ_BYTES;
use crate::protocol::decoder::{Line, LineDecoder};
use crate::types::text::{sanitize, sanitize_bytes};
use tokio::time::Instant;

/// What a peer has sent, on its way into its session.
///
/// A transport puts the bytes of a stream of lines into it, in pieces of any size, or whole
/// messages, each of which is one line; not both. A peer that talks faster than its
/// [`Rate`](crate::session::Rate) has the rest of them held here, and its transport is not asked for more.
#[derive(Debug)]
pub struct Inbox<'a> {
    conversation: &'a mut Conversation,
    decoder: &'a mut LineDecoder,
    meter: &'a mut Option<Box<Meter>>,
    /// One more than the bytes that may still be discarded; 0 when the peer has sent more.
    discardable: &'a mut usize,
}

impl<'a> Inbox<'a> {
    pub(crate) fn new(
        conversation: &'a mut Conversation,
        decoder: &'a mut LineDecoder,
        meter: &'a mut Option<Box<Meter>>,
        discardable: &'a mut usize,
    ) -> Self {
        Self {
            conversation,
            decoder,
            meter,
            discardable,
        }
    }

    /// How many bytes to receive in one call of
    /// [`receive`](crate::transport::ReceiveHalf::receive), at most. It is less for a peer whose
    /// rate is limited, because the session holds what is beyond the rate. A single message may be
    /// larger.
    ///
    /// The number does not shrink while input is put into the inbox. So a transport that takes
    /// several pieces or messages in one call counts their bytes itself.
    pub fn room(&self) -> usize {
        match self.meter {
            Some(_) => Meter::READ_BYTES,
            None => READ_BYTES,
        }
    }

    /// The next piece of a byte stream. Lines end with `\n` or `\r\n`; an unfinished one is kept
    /// until its end comes. Bytes that are no UTF-8 become U+FFFD, telnet negotiation is taken
    /// out, and a line that is too long is refused, all by the session.
    ///
    /// What looks like a browser or a TLS client ends the session before it publishes anything.
    pub fn bytes(&mut self, piece: &[u8]) {
        if !self.discards(piece.len()) && !self.conversation.is_tls(piece) {
            self.ration(piece, false);
        }
    }

    /// One whole message, of a transport whose messages have ends of their own: one line, also an
    /// empty one, or several if it has line ends in it.
    pub fn text(&mut self, message: &str) {
        if self.discards(message.len()) {
            return;
        }
        let message = message.strip_suffix('\n').unwrap_or(message);
        if self.meter.is_some() {
            // Each line needs an end, because it may have to wait together with others.
            return self.ration(format!("{message}\n").as_bytes(), true);
        }
        let mut lines = message.split('\n');
        while !self.conversation.is_over()
            && let Some(line) = lines.next()
        {
            self.conversation.hear(&sanitize(line));
        }
    }

    /// Whether input is discarded, because the member has left; then counts it.
    fn discards(&mut self, bytes: usize) -> bool {
        let discards = self.conversation.is_over();
        if discards {
            // Empty messages count as well.
            *self.discardable = self.discardable.saturating_sub(bytes.max(1));
        }
        discards
    }

    /// Whether the peer has sent more than the session discards.
    pub(crate) fn is_exhausted(&self) -> bool {
        *self.discardable == 0
    }

    /// Takes in the input, line by line as far as the rate allows, and holds the rest.
    fn ration(&mut self, input: &[u8], texts: bool) {
        let mut rest = input;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let part = match &mut *self.meter {
                Some(meter) => {
                    let length = end.map_or(rest.len(), |at| at + 1);
                    if !meter.admit(length, end.is_some()) {
                        return meter.hold(rest, texts);
                    }
                    length
                }
                None => rest.len(),
            };
            let (part, after) = rest.split_at(part);
            match texts {
                true => self.hear_text(part),
                false => self.hear_bytes(part),
            }
            rest = after;
        }
    }

    fn hear_text(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !self.conversation.is_over() {
            self.conversation.hear(&sanitize_bytes(line));
        }
    }

    fn hear_bytes(&mut self, part: &[u8]) {
        let conversation = &mut *self.conversation;
        let endless = self.decoder.push(part, |line| hear(conversation, line));
        if endless.is_err() {
            conversation.cut_for("a line without end");
        }
    }

    /// The time before which nothing is taken in, because the peer talks too fast.
    pub(crate) fn waits(&self) -> Option<Instant> {
        self.meter.as_ref().and_then(|meter| meter.waits())
    }

    /// Takes in what had to wait, as far as that goes. Says whether there was any.
    pub(crate) fn resume(&mut self) -> bool {
        let Some(meter) = self.meter.as_mut().filter(|meter| meter.holds()) else {
            return false;
        };
        let (held, texts) = meter.release();
        if !self.discards(held.len()) {
            self.ration(&held, texts);
        }
        true
    }

    /// The transport has no more. Says whether that is all, or something still waits here.
    pub(crate) fn has_all(&self) -> bool {
        !self.meter.as_ref().is_some_and(|meter| meter.holds())
    }

    /// A line that the transport found too long: it is refused with a notice.
    pub fn refuse_line(&mut self) {
        if !self.conversation.is_over() {
            self.conversation.refuse_line();
        }
    }

    /// The peer breaks the transport's own rules: the session ends with `why` as a notice, after
    /// what came before, and as [`LeaveReason::Misbehaved`](crate::LeaveReason::Misbehaved).
    pub fn cut(&mut self, why: &str) {
        if !self.conversation.is_over() {
            self.conversation.cut_for(why);
        }
    }

    /// What has come so far is to be published.
    pub(crate) fn done(self) {
        self.conversation.publish();
    }

    /// No more will come.
    pub(crate) fn end(self) {
        let conversation = self.conversation;
        if !conversation.is_over() {
            self.decoder.finish(|line| hear(conversation, line));
            conversation.end_of_input();
        }
    }
}

fn hear(conversation: &mut Conversation, line: Line<'_>) {
    match line {
        Line::Text(line) => conversation.hear_streamed(&sanitize_bytes(line)),
        Line::TooLong => conversation.refuse_streamed(),
    }
}
