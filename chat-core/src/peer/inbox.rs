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
}

impl<'a> Inbox<'a> {
    pub(crate) fn new(
        conversation: &'a mut Conversation,
        decoder: &'a mut LineDecoder,
        meter: &'a mut Option<Box<Meter>>,
    ) -> Self {
        Self {
            conversation,
            decoder,
            meter,
        }
    }

    /// How many bytes of a stream to read at a time, at most. It is less for a peer whose rate is
    /// limited; a transport that cannot read less need not care.
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
        if self.conversation.is_over() || self.conversation.is_tls(piece) {
            return;
        }
        self.ration(piece, |inbox, part| {
            let conversation = &mut *inbox.conversation;
            let endless = inbox.decoder.push(part, |line| hear(conversation, line));
            if endless.is_err() {
                conversation.cut_for("a line without end");
            }
        });
    }

    /// One whole message, of a transport whose messages have ends of their own: one line, also an
    /// empty one, or several if it has line ends in it.
    pub fn text(&mut self, message: &str) {
        let message = message.strip_suffix('\n').unwrap_or(message);
        if let Some(meter) = self.meter {
            // All its lines need an end where they may have to wait.
            meter.keeps_texts();
            let lines = format!("{message}\n");
            return self.ration(lines.as_bytes(), Self::hear_text);
        }
        let mut lines = message.split('\n');
        while !self.conversation.is_over()
            && let Some(line) = lines.next()
        {
            self.conversation.hear(&sanitize(line));
        }
    }

    fn hear_text(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !self.conversation.is_over() {
            self.conversation.hear(&sanitize_bytes(line));
        }
    }

    /// Gives `take` the input, and if the rate is limited, line by line as far as that goes.
    fn ration(&mut self, input: &[u8], take: impl Fn(&mut Self, &[u8])) {
        if self.meter.is_none() {
            return take(self, input);
        }
        let mut rest = input;
        while !rest.is_empty()
            && let Some(meter) = &mut *self.meter
        {
            if meter.holds() || meter.waits().is_some() {
                return meter.hold(rest);
            }
            let end = memchr::memchr(b'\n', rest);
            let (part, after) = rest.split_at(end.map_or(rest.len(), |at| at + 1));
            meter.count(part.len(), end.is_some());
            take(self, part);
            rest = after;
        }
    }

    /// Until when nothing can be taken in, as the peer has talked too fast.
    pub(crate) fn waits(&self) -> Option<Instant> {
        self.meter.as_ref().and_then(|meter| meter.waits())
    }

    /// Takes in what had to wait, as far as that goes. Says whether there was any.
    pub(crate) fn resume(&mut self) -> bool {
        let Some(meter) = self.meter.as_mut().filter(|meter| meter.holds()) else {
            return false;
        };
        let (held, texts) = meter.release();
        match texts {
            true => self.ration(&held, Self::hear_text),
            false => self.bytes(&held),
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
