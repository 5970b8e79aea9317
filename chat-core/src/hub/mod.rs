//! The hub: the state behind a lock, wait lists around it, and the handles that a program holds.

mod barrier;
pub(crate) mod batch;
mod clock;
pub(crate) mod dispatch;
pub(crate) mod handle;
pub(crate) mod join;
pub(crate) mod member;
mod pacing;
pub(crate) mod publisher;
mod refusals;
pub(crate) mod shared;
pub(crate) mod subscriber;
pub(crate) mod wait_list;

pub use handle::Hub;

use crate::state::State;
use crate::state::command::{Command, Refusal, Texts, TextsBuffer};
use crate::types::config::HubConfig;
use crate::types::errors::{
    JoinError, LeaveError, PublishError, PublishManyError, RenameError, SendError,
};
use crate::types::event::{LeaveReason, Removal};
use crate::types::ids::{MemberId, SlotId};
use crate::types::name::Name;
use crate::types::position::{Position, Start};
use crate::types::stats::{Lag, Roster, Stats};
use crate::types::text::sanitize;
use crate::types::time::Timestamp;
use join::{JoinOptions, Joined};
use member::Member;
use shared::Shared;
use std::sync::Arc;
use subscriber::Subscriber;

impl Hub {
    /// Makes a hub without members. It needs no runtime and starts no task.
    ///
    /// It takes about 4 KiB, a few microseconds, and more memory only as it is used.
    pub fn new(config: HubConfig) -> Self {
        Self {
            shared: Arc::new(Shared::new(config)),
        }
    }

    /// Adds a member of this name, and announces its arrival to the others. Does not wait; takes
    /// the same time however many members there are.
    ///
    /// # Errors
    ///
    /// [`JoinError::NameTaken`] also for a name that looks like one that is taken; see [`Name`].
    pub fn join(&self, name: Name) -> Result<Member, JoinError> {
        Ok(self.join_with(JoinOptions::new(name))?.member)
    }

    /// Adds a member. Returns it with the roster and the position at which its stream begins.
    ///
    /// At most `options.roster` names are copied, under the hub's lock.
    ///
    /// ```
    /// use chat_core::{Delivery, Hub, HubConfig, JoinOptions, Start};
    ///
    /// let hub = Hub::new(HubConfig::default());
    /// let alice = hub.join("alice".parse()?)?;
    /// alice.publish("hello")?;
    ///
    /// let mut options = JoinOptions::new("bob".parse()?);
    /// options.roster = 50;
    /// options.start = Start::Last(1);
    /// let mut bob = hub.join_with(options)?;
    /// assert_eq!(bob.roster.names, ["alice", "bob"]);
    /// let Delivery::Event(event) = bob.member.try_recv()? else { panic!("the log holds it") };
    /// assert_eq!(event.line(), "alice: hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_with(&self, options: JoinOptions) -> Result<Joined, JoinError> {
        let JoinOptions {
            name,
            roster,
            start,
        } = options;
        let (member, resumed, roster) =
            self.join_and_see(name, start, |state| state.roster(roster))?;
        Ok(Joined {
            member,
            roster,
            resumed,
        })
    }

    /// Makes a reader that is not a member and is not in the roster.
    ///
    /// Its [`position`](Subscriber::position) and its first item show how its start relates to a
    /// position that [`Start::At`] asked for. Of a closed hub it reads the events that the log still
    /// holds, if `start` asks for them, and then the end.
    pub fn subscribe(&self, start: Start) -> Subscriber {
        let (cursor, _) = self.shared.lock().open(start, None);
        Subscriber::new(self.clone(), cursor)
    }

    /// Publishes a text in the name of a member, to all members, itself included, and returns the
    /// event's number. That is its place in the order, and no promise that any member has read it
    /// or ever will.
    ///
    /// Characters that could move a cursor or forge a line are removed: C0 and C1 controls but
    /// tab, DEL, line separators, bidi overrides and isolates. Never waits for a member.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; a text is rejected or published as a whole.
    pub fn publish(&self, id: MemberId, text: &str) -> Result<u64, PublishError> {
        let id = self.shared.slot(id).ok_or(PublishError::NotHere)?;
        let text = self.shared.admit(text)?;
        let texts = Texts {
            bytes: &text,
            ends: &[text.len()],
        };
        let published = self.shared.apply(Command::Publish { id, texts })?;
        Ok(published.published().start)
    }

    /// Publishes many texts in their order, and returns the number of the first and the one after
    /// the last. The hub is locked once, and every member woken once, for up to 64 KiB of them, so
    /// this is much cheaper than publishing them one by one.
    ///
    /// Texts of more than 64 KiB together are published in several batches. Then events of other
    /// members can have numbers between theirs.
    ///
    /// # Errors
    ///
    /// See [`PublishManyError`]. If one of the texts is too long, none is published; if the member
    /// leaves between two batches, the error says how many were.
    pub fn publish_many(
        &self,
        id: MemberId,
        texts: &[&str],
    ) -> Result<std::ops::Range<u64>, PublishManyError> {
        self.shared.publish_many(id, texts)
    }

    /// Publishes a line of the program's own, `*** TEXT`, and returns its number. No member can
    /// publish such a line.
    ///
    /// Characters are removed as by [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// [`PublishError::TooLong`] or [`PublishError::Closed`].
    pub fn announce(&self, text: &str) -> Result<u64, PublishError> {
        let text = self.shared.admit(text)?;
        let published = self.shared.apply(Command::Announce { text: &text })?;
        Ok(published.published().start)
    }

    /// Delivers a text of one member to another one alone, after all events published so far.
    ///
    /// Characters are removed as by [`publish`](Self::publish). A member can send to itself.
    ///
    /// # Errors
    ///
    /// See [`SendError`]: unless one is returned, the text waits for the recipient, which receives it
    /// if it reads before its connection fails.
    pub fn send(&self, from: MemberId, to: MemberId, text: &str) -> Result<(), SendError> {
        let from = self.shared.slot(from).ok_or(SendError::SenderNotHere)?;
        self.deliver(Some(from), to, text)
    }

    /// Delivers a notice of the program to one member alone, after all events published so far. A
    /// session shows it as `* TEXT`.
    ///
    /// Characters are removed as by [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// See [`SendError`].
    pub fn notify(&self, to: MemberId, text: &str) -> Result<(), SendError> {
        self.deliver(None, to, text)
    }

    fn deliver(&self, from: Option<SlotId>, to: MemberId, text: &str) -> Result<(), SendError> {
        let to = self.shared.slot(to).ok_or(SendError::RecipientNotHere)?;
        let text = self.shared.admit(text)?;
        let text = &text;
        let now = self.shared.now();
        let send = |state: &mut State| state.apply(now, Command::Send { from, to, text });
        self.shared.change_of_member(to, send)?;
        Ok(())
    }

    /// Gives a member another name. An event announces it to all members, itself included. Taking
    /// the name that it has changes nothing and publishes no event.
    ///
    /// # Errors
    ///
    /// See [`RenameError`]. The member's own name in another case is not taken.
    pub fn rename(&self, id: MemberId, name: Name) -> Result<(), RenameError> {
        let id = self.shared.slot(id).ok_or(RenameError::NotHere)?;
        let keys = name.keys();
        match self.shared.apply(Command::Rename { id, name, keys }) {
            Ok(_) => Ok(()),
            Err(Refusal::NameTaken) => Err(RenameError::NameTaken),
            Err(Refusal::NotHere) => Err(RenameError::NotHere),
            Err(Refusal::Muted { until }) => Err(RenameError::Muted { until }),
            Err(_) => Err(RenameError::Closed),
        }
    }

    /// Rejects what a member publishes, sends to others, or wants to be called, until a time of
    /// [`now`](Self::now)'s clock. [`Timestamp::MAX`] is for as long as it is here, a time in the
    /// past ends it.
    ///
    /// # Errors
    ///
    /// [`LeaveError::NotHere`] if the member has left.
    pub fn mute(&self, id: MemberId, until: Timestamp) -> Result<(), LeaveError> {
        let id = self.shared.slot(id).ok_or(LeaveError::NotHere)?;
        let muted = self.shared.apply(Command::Mute { id, until });
        muted.map(drop).map_err(|_| LeaveError::NotHere)
    }

    /// Ends a membership with [`LeaveReason::Left`], announces the departure to the others, and
    /// returns the number before which the member's stream ends.
    ///
    /// # Errors
    ///
    /// [`LeaveError::NotHere`] if the member left before: a member leaves once.
    pub fn leave(&self, id: MemberId) -> Result<u64, LeaveError> {
        self.end(id, LeaveReason::Left, None)
    }

    /// Ends a membership for a reason that is not the member's own wish, like
    /// [`leave`](Self::leave). Takes a [`RemovalReason`](crate::RemovalReason), or a [`Removal`] with
    /// a text for the member.
    ///
    /// ```
    /// use chat_core::{Hub, HubConfig, RemovalReason};
    ///
    /// let hub = Hub::new(HubConfig::default());
    /// let troll = hub.join("Troll".parse()?)?;
    /// let id = hub.find(&"troll".parse()?).expect("it is here");
    /// hub.remove(id, RemovalReason::Kicked)?;
    /// assert_eq!(id, troll.id());
    /// assert_eq!(hub.find(&"Troll".parse()?), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`LeaveError::NotHere`] if the member left before.
    pub fn remove(&self, id: MemberId, removal: impl Into<Removal>) -> Result<u64, LeaveError> {
        let Removal { reason, text } = removal.into();
        let mut text = text.unwrap_or_default();
        let mut end = text.len().min(self.config().max_text);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        let text = sanitize(&text);
        self.end(
            id,
            reason.into(),
            Some(&*text).filter(|text| !text.is_empty()),
        )
    }

    fn end(
        &self,
        id: MemberId,
        reason: LeaveReason,
        text: Option<&str>,
    ) -> Result<u64, LeaveError> {
        let slot = self.shared.slot(id).ok_or(LeaveError::NotHere)?;
        let left = self.shared.leave(slot, reason, text);
        left.map_err(|_| LeaveError::NotHere)
    }

    /// The member with this name, or one that counts as the same, if it is here.
    ///
    /// Names count as the same in several ways. The member with exactly this name comes first, then
    /// one whose name differs in case only, then one whose name looks like it.
    pub fn find(&self, name: &Name) -> Option<MemberId> {
        let keys = name.keys();
        let slot = self.shared.lock().find(name, &keys)?;
        Some(self.shared.member_id(slot))
    }

    /// The name of a member, or `None` if it has left.
    pub fn name(&self, id: MemberId) -> Option<Name> {
        let slot = self.shared.slot(id)?;
        self.shared.lock().name(slot).cloned()
    }

    /// The members, and the position at which that is true. At most `limit` names are copied, under
    /// the hub's lock.
    pub fn roster(&self, limit: usize) -> Roster {
        self.shared.lock().roster(limit)
    }

    /// The position of the next event.
    pub fn position(&self) -> Position {
        self.shared.lock().position()
    }

    /// The time that an event would have now.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Figures about the hub. Takes the same time however many members there are.
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats()
    }

    /// The readers that are furthest behind, at most `count`, from the slowest on. Looks at each
    /// reader under the hub's lock, about a millisecond for a million.
    pub fn slowest(&self, count: usize) -> Vec<Lag> {
        self.shared.lock().slowest(count)
    }

    /// Its settings, within their bounds.
    pub fn config(&self) -> &HubConfig {
        self.shared.config()
    }

    /// Closes the hub, which ends all memberships. Does nothing if it is closed.
    pub fn close(&self) {
        // Closing is never refused.
        let _ = self.shared.apply(Command::Close);
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_closed()
    }

    /// Waits until the hub is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn closed(&self) {
        self.shared.closed().await;
    }

    /// Waits, at most for [`HubConfig::patience`], as long as readers that make progress are about
    /// to be overrun. A program that publishes as fast as it can may call this before each batch, as
    /// sessions do before they read more from their peers.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with a timer, if it has to wait.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn pace(&self) {
        if let Some(room) = self.shared.pace() {
            room.await;
        }
    }

    /// Publishes texts that a session has admitted.
    pub(crate) fn publish_admitted(
        &self,
        id: MemberId,
        texts: &TextsBuffer,
    ) -> Result<(), PublishError> {
        let slot = self.shared.slot(id).ok_or(PublishError::NotHere)?;
        self.shared.publish(slot, texts).map(drop)
    }
}
