//! The input of a peer, from its transport to its session.

use super::conversation::Conversation;
use super::meter::Meter;
use crate::buffer::READ_BYTES;
use crate::protocol::decoder::{Line, LineDecoder};
use crate::types::text::sanitize_bytes;
use std::io;
use tokio::time::Instant;

/// The input of a peer on its way into its session.
///
/// A transport puts the bytes of a stream of lines into it, in pieces of any size, or whole
/// messages, each of which is one line; not both. Input beyond the peer's
/// [`Rate`](crate::session::Rate) is held here, and its transport is not asked for more until the
/// peer has earned it.
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
    pub fn capacity(&self) -> usize {
        match self.meter {
            Some(_) => Meter::READ_BYTES,
            None => READ_BYTES,
        }
    }

    /// Takes the next piece of a byte stream. Lines end with `\n` or `\r\n`; an unfinished one is kept
    /// until its end comes. The session replaces bytes that are no UTF-8 by U+FFFD, removes telnet
    /// negotiation, and rejects a line that is too long.
    ///
    /// A peer that speaks HTTP or TLS is disconnected before anything of it is published.
    pub fn bytes(&mut self, piece: &[u8]) {
        if !self.ignores(piece.len()) && !self.conversation.is_tls(piece) {
            self.ration(piece, false);
        }
    }

    /// Takes one whole message, of a transport whose messages have ends of their own. It is one
    /// line, which can be empty, or several if it has line ends in it.
    pub fn text(&mut self, message: &str) {
        if self.ignores(message.len()) {
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
            self.conversation.handle_text(line.as_bytes());
        }
    }

    /// Whether input comes after the end of the session, or after that of input which is held.
    fn ignores(&mut self, bytes: usize) -> bool {
        self.disconnects() || self.discards(bytes)
    }

    fn disconnects(&self) -> bool {
        self.meter.as_ref().is_some_and(|meter| meter.disconnects())
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
                true => self.handle_text(part),
                false => self.handle_bytes(part),
            }
            rest = after;
        }
    }

    fn handle_text(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !self.conversation.is_over() {
            self.conversation.handle_text(line);
        }
    }

    fn handle_bytes(&mut self, part: &[u8]) {
        let conversation = &mut *self.conversation;
        let endless = self
            .decoder
            .push(part, |line| handle_line(conversation, line));
        if endless.is_err() {
            conversation.disconnect("a line without end");
        }
    }

    /// The time before which nothing is taken in, because the peer is beyond its rate.
    pub(crate) fn waits(&self) -> Option<Instant> {
        self.meter.as_ref().and_then(|meter| meter.waits())
    }

    /// Takes in the input that was held, as far as the rate allows. Says whether there was any.
    pub(crate) fn resume(&mut self) -> bool {
        let Some(meter) = self.meter.as_mut().filter(|meter| meter.holds()) else {
            return false;
        };
        let (held, texts) = meter.release();
        if !self.discards(held.len()) {
            self.ration(&held, texts);
        }
        let why = self
            .meter
            .as_mut()
            .and_then(|meter| meter.take_disconnect());
        if let Some(why) = why {
            self.conversation.disconnect(&why);
        }
        true
    }

    /// Whether all input was handled, so that none is held.
    pub(crate) fn has_all(&self) -> bool {
        !self.meter.as_ref().is_some_and(|meter| meter.holds())
    }

    /// Rejects a line that the transport found too long, with a notice.
    pub fn reject_line(&mut self) {
        if !self.disconnects() && !self.conversation.is_over() {
            self.conversation.reject_line();
        }
    }

    /// Disconnects a peer that breaks the transport's own rules. The session publishes the lines
    /// before, as the peer's rate allows, delivers `why` as its last notice, and ends as
    /// [`LeaveReason::Misbehaved`](crate::LeaveReason::Misbehaved). It discards later input.
    pub fn disconnect(&mut self, why: &str) {
        if self.disconnects() || self.conversation.is_over() {
            return;
        }
        match self.meter.as_mut().filter(|meter| meter.holds()) {
            Some(meter) => meter.disconnect(why),
            None => self.conversation.disconnect(why),
        }
    }

    /// Publishes the lines that were received.
    pub(crate) fn done(self) {
        self.conversation.publish();
    }

    /// Handles a failure of the connection. Publishes the whole lines that were received before it,
    /// or keeps the error for the end of the input that is held.
    ///
    /// # Errors
    ///
    /// The failure, if no input is held.
    pub(crate) fn fail(&mut self, error: io::Error) -> io::Result<()> {
        match self.meter.as_mut().filter(|meter| meter.holds()) {
            Some(meter) => {
                meter.fail(error);
                Ok(())
            }
            None => {
                self.conversation.publish();
                Err(error)
            }
        }
    }

    /// Handles the end of input.
    ///
    /// # Errors
    ///
    /// The failure of the connection, if that ended the input.
    pub(crate) fn end(self) -> io::Result<()> {
        let conversation = self.conversation;
        if let Some(error) = self.meter.as_mut().and_then(|meter| meter.take_failure()) {
            conversation.publish();
            return Err(error);
        }
        if !conversation.is_over() {
            self.decoder.finish(|line| handle_line(conversation, line));
            conversation.end_of_input();
        }
        Ok(())
    }
}

fn handle_line(conversation: &mut Conversation, line: Line<'_>) {
    match line {
        Line::Text(line) => conversation.handle_stream_line(&sanitize_bytes(line)),
        Line::TooLong => conversation.reject_stream_line(),
    }
}
