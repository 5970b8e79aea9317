//! The checks by name.

use std::fmt;

/// One rule of the [`transport`](crate::transport) traits, with a scenario that fails for a
/// transport that breaks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// One line at a time in turn, in both directions: nothing waits in a buffer for more.
    PingPong,
    /// Empty lines, in both directions.
    EmptyLines,
    /// Lines of 4,096 bytes, with characters of one to four bytes and with white space at both
    /// ends, in both directions.
    Utf8Text,
    /// Lines of more than 4,096 bytes are refused, and the lines after them are published.
    OverlongLines,
    /// 10,000 lines at once, in both directions.
    Burst,
    /// 1,000 lines in one call of [`send`](super::Remote::send) each, without waiting.
    MessageBoundaries,
    /// Lines that arrive byte by byte, and one and a half at a time. Needs
    /// [`send_part`](super::Remote::send_part).
    PartialLines,
    /// A peer that reads little at a time receives a large backlog.
    ShortWrites,
    /// Each call of `deliver` takes from its feed once.
    OneTakePerCall,
    /// An attempt that was [complete](crate::transport::Attempt::Complete) needs no further call for
    /// the peer to receive all its lines. Needs [`try_deliver`].
    ///
    /// [`try_deliver`]: crate::transport::DeliverHalf::try_deliver
    CompleteAttempts,
    /// A peer that reads little at a time receives what `try_deliver` and `deliver` send in turn: in
    /// order, once. Needs [`try_deliver`].
    ///
    /// [`try_deliver`]: crate::transport::DeliverHalf::try_deliver
    PartialAttempts,
    /// Messages of a peer that reads nothing are published.
    IndependentHalves,
    /// A peer that has read nothing for long, and then reads, receives the exact number of lines it
    /// missed.
    Gap,
    /// A peer that reads nothing for longer than the stall timeout is disconnected.
    StallTimeout,
    /// Attempts return while the peer reads nothing. Needs [`try_deliver`].
    ///
    /// [`try_deliver`]: crate::transport::DeliverHalf::try_deliver
    NoBlocking,
    /// Input that the session does not ask for is not read.
    NoReadAhead,
    /// The transport is not polled in a busy loop, neither without input nor while the peer reads
    /// nothing.
    NoBusyPolling,
    /// The peer ends its input: everything it sent is published, and it leaves.
    EndOfInput,
    /// The peer ends its input and still receives everything. Needs
    /// [`half_closes`](super::Remote::half_closes).
    HalfClose,
    /// The remote is dropped with input unread.
    Disconnect,
    /// The remote is dropped, and only the delivering half can notice. Needs [`try_deliver`].
    ///
    /// [`try_deliver`]: crate::transport::DeliverHalf::try_deliver
    FailedAttempts,
    /// The connection breaks. Needs [`reset`](super::Remote::reset).
    Reset,
    /// The peer asks for the end of its session.
    Quit,
    /// The hub closes with a large backlog on its way.
    HubClose,
    /// The session's future is dropped.
    SessionDrop,
}

impl Check {
    /// Every check, in the order in which they run.
    pub const ALL: [Self; 25] = [
        Self::PingPong,
        Self::EmptyLines,
        Self::Utf8Text,
        Self::OverlongLines,
        Self::Burst,
        Self::MessageBoundaries,
        Self::PartialLines,
        Self::ShortWrites,
        Self::OneTakePerCall,
        Self::CompleteAttempts,
        Self::PartialAttempts,
        Self::IndependentHalves,
        Self::Gap,
        Self::StallTimeout,
        Self::NoBlocking,
        Self::NoReadAhead,
        Self::NoBusyPolling,
        Self::EndOfInput,
        Self::HalfClose,
        Self::Disconnect,
        Self::FailedAttempts,
        Self::Reset,
        Self::Quit,
        Self::HubClose,
        Self::SessionDrop,
    ];

    /// Whether it is a check of the optional `try_deliver`.
    pub(super) fn needs_attempts(self) -> bool {
        use Check::{CompleteAttempts, FailedAttempts, NoBlocking, PartialAttempts};
        matches!(
            self,
            CompleteAttempts | PartialAttempts | NoBlocking | FailedAttempts
        )
    }

    /// The rule: what a transport must do to pass, and the item whose docs say so.
    pub fn rule(self) -> &'static str {
        match self {
            Self::PingPong => {
                "`ReceiveHalf::receive` takes everything that is available and does not wait for \
                 more; `DeliverHalf::deliver` writes what it takes to the peer, not to a buffer"
            }
            Self::EmptyLines => "`Inbox::text`: a message is one line, even if it is empty",
            Self::Utf8Text => {
                "`Inbox::bytes` takes pieces of any size unchanged; lines from `Feed::lend` and \
                 `Feed::take` reach the peer unchanged"
            }
            Self::OverlongLines => {
                "a line that is too long is passed to the session, or reported by \
                 `Inbox::reject_line`: it is refused as a whole, never truncated"
            }
            Self::Burst => {
                "`ReceiveHalf::receive` puts everything into the inbox, and \
                 `DeliverHalf::deliver` writes everything to the peer: in order, once"
            }
            Self::MessageBoundaries => "`Inbox::text`: one message is one line, two are two",
            Self::PartialLines => {
                "`Inbox::bytes` takes pieces of a stream of lines, `Inbox::text` whole messages"
            }
            Self::ShortWrites => {
                "`Feed::lend`: a write returns exactly the number of bytes that it took; text from \
                 `Feed::take` is written to the peer as a whole"
            }
            Self::OneTakePerCall => {
                "`DeliverHalf::deliver` returns after every piece, so the session sees progress"
            }
            Self::CompleteAttempts => {
                "`Attempt::Complete`: the peer has taken everything, and nothing of it waits in a \
                 buffer of the transport"
            }
            Self::PartialAttempts => {
                "`Attempt::Partial`: exactly so many bytes were taken, and `deliver` flushes what \
                 is in a buffer of the transport, also if there is nothing more to deliver"
            }
            Self::IndependentHalves => {
                "`chat_core::transport`: reading never waits for writing, nor writing for reading"
            }
            Self::Gap => {
                "`DeliverHalf::deliver` waits for the peer before it takes from the feed, so that \
                 lines not taken can be counted as missed"
            }
            Self::StallTimeout => {
                "a call of `DeliverHalf::deliver` in which the peer takes nothing for too long \
                 ends the session, and dropping both halves closes the connection"
            }
            Self::NoBlocking => {
                "`DeliverHalf::try_deliver` must not block: other peers wait for this call"
            }
            Self::NoReadAhead => {
                "`ReceiveHalf::receive` does not read ahead: the session may wait between its calls"
            }
            Self::NoBusyPolling => {
                "`ReceiveHalf::receive` waits for input, and `DeliverHalf::deliver` waits until \
                 the peer can accept more"
            }
            Self::EndOfInput => {
                "`ReceiveHalf::receive` returns everything that the peer has sent before \
                 `Received::End`, and a graceful end is not an error"
            }
            Self::HalfClose => {
                "`Received::End` means that the peer sends no more; it still receives what is on \
                 its way"
            }
            Self::Disconnect => {
                "a disconnected peer is an end or an error of `ReceiveHalf::receive`, or an error \
                 of `DeliverHalf::deliver`"
            }
            Self::FailedAttempts => {
                "an error of `DeliverHalf::try_deliver`, or of the call of `deliver` after it, \
                 means that the connection broke, and ends the session"
            }
            Self::Reset => {
                "an error of `ReceiveHalf::receive` means that the connection broke, and ends the \
                 session at once; `Received::End` is a graceful end"
            }
            Self::Quit => {
                "`DeliverHalf::close` tells the peer that nothing more will come, and \
                 `ReceiveHalf::receive` continues until the peer has ended, too"
            }
            Self::HubClose => {
                "`DeliverHalf::close` tells the peer after everything was delivered, and discards \
                 nothing that is on its way"
            }
            Self::SessionDrop => "`Transport::split`: dropping both halves closes the connection",
        }
    }
}

/// The name of the variant.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}
