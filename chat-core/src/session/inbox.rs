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
            conversation.cut_for_endless_line();
        }
    }

    /// One whole line, of a transport whose messages have ends of their own. Line ends in it,
    /// like other control characters, are removed.
    pub fn line(&mut self, line: &str) {
        if !self.conversation.is_over() {
            self.conversation.hear(&sanitize(line));
        }
    }

    /// What has come so far is to be published.
    pub(crate) fn done(self) {
        self.conversation.publish();
    }

    /// No more will come.
    pub(crate) fn end(self) {
        let conversation = self.conversation;
        self.decoder.finish(|line| hear(conversation, line));
        conversation.end_of_input();
    }
}

fn hear(conversation: &mut Conversation, line: Line<'_>) {
    match line {
        Line::Text(line) => conversation.hear_first(&sanitize_bytes(line)),
        Line::TooLong => conversation.refuse_line(),
    }
}
