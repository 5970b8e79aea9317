//! The checks by name.

use std::fmt;

/// One rule of the [`transport`](crate::transport) traits, and a scenario in which a transport
/// that breaks it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Check {
    /// One line at a time, both ways, with nothing behind it to push it through.
    OneByOne,
    /// Empty lines, both ways.
    EmptyLines,
    /// Lines of 4,096 bytes, characters of one to four bytes, spaces at both ends, both ways.
    AnyText,
    /// Lines of more than 4,096 bytes are refused, and what follows them is heard.
    TooLong,
    /// 10,000 lines at once, both ways.
    ManyAtOnce,
    /// 1,000 lines, each sent on its own and none waited for.
    ManySends,
    /// Lines that come byte by byte, or several and a half at a time. Needs
    /// [`send_part`](super::Remote::send_part).
    PartsOfLines,
    /// A peer that reads little at a time gets all that has piled up.
    ShortWrites,
    /// Each call of `deliver` takes once from its feed.
    OnePiece,
    /// A peer that reads nothing is heard.
    Independent,
    /// A peer that read nothing for long, and reads again, is told exactly what it missed.
    Gap,
    /// A peer that reads nothing for too long is cut.
    Stalled,
    /// What the session does not ask for is not received.
    NotAhead,
    /// Nothing is polled in vain, while all is silent and while the peer has no room.
    NotBusy,
    /// The peer ends in order: what it said is heard, and it leaves.
    End,
    /// The peer has ended and still gets what is on its way. Needs
    /// [`half_closes`](super::Remote::half_closes).
    HalfClose,
    /// The peer goes without a word, and without having read everything.
    HangUp,
    /// The connection breaks. Needs [`reset`](super::Remote::reset).
    Reset,
    /// The session ends, as the peer has asked for it.
    Quit,
    /// The hub closes while much is on its way.
    HubCloses,
    /// The session's future is dropped.
    Dropped,
}

impl Check {
    /// Every check, in the order in which they are run.
    pub const ALL: [Self; 21] = [
        Self::OneByOne,
        Self::EmptyLines,
        Self::AnyText,
        Self::TooLong,
        Self::ManyAtOnce,
        Self::ManySends,
        Self::PartsOfLines,
        Self::ShortWrites,
        Self::OnePiece,
        Self::Independent,
        Self::Gap,
        Self::Stalled,
        Self::NotAhead,
        Self::NotBusy,
        Self::End,
        Self::HalfClose,
        Self::HangUp,
        Self::Reset,
        Self::Quit,
        Self::HubCloses,
        Self::Dropped,
    ];

    /// The rule: what a transport must do to pass, and where it is written.
    pub fn rule(self) -> &'static str {
        match self {
            Self::OneByOne => {
                "`ReceiveHalf::receive` takes all that is there and does not wait for more; \
                 `DeliverHalf::deliver` gives what it takes to the peer, and not to a buffer"
            }
            Self::EmptyLines => "`Inbox::text`: a message is one line, also an empty one",
            Self::AnyText => {
                "`Inbox::bytes` takes pieces of any size as they are; `Feed::lend` and \
                 `Feed::take` give lines that reach the peer as they are"
            }
            Self::TooLong => {
                "a line that is too long goes to the session, or to `Inbox::refuse_line`: it is \
                 refused whole, and never cut"
            }
            Self::ManyAtOnce => {
                "`ReceiveHalf::receive` puts everything into the inbox, and \
                 `DeliverHalf::deliver` gives everything to the peer: once, in order"
            }
            Self::ManySends => "`Inbox::text`: one message is one line, and two are two",
            Self::PartsOfLines => {
                "`Inbox::bytes` is for pieces of a stream of lines, `Inbox::text` for whole messages"
            }
            Self::ShortWrites => {
                "`Feed::lend`: a write says how many bytes it took, no more and no fewer; what was \
                 taken by `Feed::take` goes to the peer whole"
            }
            Self::OnePiece => {
                "`DeliverHalf::deliver` returns after every piece, so that the session sees progress"
            }
            Self::Independent => {
                "`chat_core::transport`: reading never waits for writing, nor the other way around"
            }
            Self::Gap => {
                "`DeliverHalf::deliver` waits for the peer, if need be, before it takes from the \
                 feed, so that all the rest can be counted as missed"
            }
            Self::Stalled => {
                "a call of `DeliverHalf::deliver` in which the peer takes nothing for too long is \
                 the end of it, and when the halves are dropped the connection is gone"
            }
            Self::NotAhead => {
                "`ReceiveHalf::receive` does not read ahead: between its calls the session may wait"
            }
            Self::NotBusy => {
                "`ReceiveHalf::receive` waits until the peer has sent something, and \
                 `DeliverHalf::deliver` until it has room"
            }
            Self::End => {
                "`ReceiveHalf::receive` gives all that the peer has sent before `Received::End`, \
                 and an orderly end is no error"
            }
            Self::HalfClose => {
                "`Received::End` says that the peer will send no more, and nothing of what it is \
                 still to receive"
            }
            Self::HangUp => {
                "that the peer is gone is an end or an error of `ReceiveHalf::receive`, or an error \
                 of `DeliverHalf::deliver`"
            }
            Self::Reset => {
                "an error of `ReceiveHalf::receive` says that the connection broke, and the \
                 session ends at once; `Received::End` is an orderly end"
            }
            Self::Quit => {
                "`DeliverHalf::close` tells the peer that nothing more will come, and \
                 `ReceiveHalf::receive` goes on until the peer has ended, too"
            }
            Self::HubCloses => {
                "`DeliverHalf::close` tells the peer after everything was delivered, and destroys \
                 nothing of what is on its way"
            }
            Self::Dropped => {
                "`Transport::split`: when the halves are dropped the connection must be gone"
            }
        }
    }
}

/// The name, as that of the variant.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{self:?}"))
    }
}
