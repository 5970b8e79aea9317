//! Where a transport puts what its peer has sent.

use super::conversation::Conversation;
use crate::decoder::{Line, LineDecoder};
use crate::text::{sanitize, sanitize_bytes};

/// What a peer has sent, on its way into its session.
///
/// A transport puts the bytes of a stream of lines into it, in pieces of any size, or whole
/// messages, each of which is one line; not both.
#[derive(Debug)]
pub struct Inbox<'a> {
    conversation: &'a mut Conversation,
    decoder: &'a mut LineDecoder,
}

impl<'a> Inbox<'a> {
    pub(crate) fn new(conversation: &'a mut Conversation, decoder: &'a mut LineDecoder) -> Self {
        Self {
            conversation,
            decoder,
        }
    }

    /// The next piece of a byte stream. Lines end with `\n` or `\r\n`; an unfinished one is kept
    /// until its end comes. Bytes that are no UTF-8 become U+FFFD, telnet negotiation is taken
    /// out, and a line that is too long is refused, all by the session.
    ///
    /// What looks like a browser or a TLS client ends the session before it publishes anything.
    pub fn bytes(&mut self, piece: &[u8]) {
        let conversation = &mut *self.conversation;
        if conversation.is_over() || conversation.is_tls(piece) {
            return;
        }
        let endless = self.decoder.push(piece, |line| hear(conversation, line));
        if endless.is_err() {
            conversation.cut_for("a line without end");
        }
    }

    /// One whole message, of a transport whose messages have ends of their own: one line, also an
    /// empty one, or several if it has line ends in it.
    pub fn text(&mut self, message: &str) {
        let message = message.strip_suffix('\n').unwrap_or(message);
        let mut lines = message.split('\n');
        while !self.conversation.is_over()
            && let Some(line) = lines.next()
        {
            self.conversation.hear(&sanitize(line));
        }
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
