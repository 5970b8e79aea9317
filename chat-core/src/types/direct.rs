//! Text for one member alone.

use super::ids::MemberId;
use super::name::Name;
use std::fmt;

/// A text that only one member receives: a direct message of another member, or a notice of the
/// program.
///
/// It has a place among the events of its recipient and no number. It is in no log. `Display`
/// gives `alice tells you: TEXT` or, for a notice, the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    from: Option<(MemberId, Name)>,
    text: Box<str>,
}

impl Direct {
    pub(crate) fn message(sender: MemberId, name: Name, text: &str) -> Self {
        Self {
            from: Some((sender, name)),
            text: text.into(),
        }
    }

    pub(crate) fn notice(text: impl Into<Box<str>>) -> Self {
        Self {
            from: None,
            text: text.into(),
        }
    }

    /// The name that the sender had when it sent this, or `None` for a notice.
    pub fn sender(&self) -> Option<&Name> {
        self.from.as_ref().map(|(_, name)| name)
    }

    /// The sender's id, or `None` for a notice.
    pub fn sender_id(&self) -> Option<MemberId> {
        self.from.as_ref().map(|(id, _)| *id)
    }

    /// The text: one line, without a line end. A session's notices to its own peer can have
    /// several, separated by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sender() {
            Some(name) => write!(f, "{name} tells you: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
