//! The effect of each operation on the model.

use crate::ops::{Op, texts};
use crate::reference::{Model, ModelEvent, ModelMember, sanitized};
use chat_core::{
    EventKind, JoinError, LeaveError, LeaveReason, PublishError, RenameError, SendError, Timestamp,
};
use std::ops::Range;

/// The bounds of one batch of `publish_many`.
const BATCH_BYTES: usize = 64 * 1024;
const BATCH_TEXTS: usize = 1024;

impl Model {
    /// Appends an event; without a free number the hub closes.
    fn append(&mut self, kind: EventKind, member: Option<usize>, text: &str) -> Option<u64> {
        let number = self.position();
        if number == u64::MAX {
            self.close();
            return None;
        }
        let mut event = ModelEvent {
            kind,
            member,
            subject: member.map_or("", |index| self.members[index].last_name),
            text: text.into(),
            end: 0,
        };
        event.end = self.offset(number) + event.line().len() as u64 + 1;
        self.events.push(event);
        Some(number)
    }

    fn add(&mut self, is_subscriber: bool, name: Option<&'static str>) -> usize {
        self.members.push(ModelMember {
            is_subscriber,
            name,
            last_name: name.unwrap_or_default(),
            announced: false,
            muted: false,
            until: None,
            held: true,
            reads: true,
        });
        self.members.len() - 1
    }

    pub(crate) fn join(&mut self, name: &'static str) -> Result<u64, JoinError> {
        if self.closed {
            return Err(JoinError::Closed);
        }
        if !self.holders(name).is_empty() {
            return Err(JoinError::NameTaken);
        }
        let limit = self.settings.announce_up_to;
        let index = self.add(false, Some(name));
        if limit.is_none_or(|limit| self.present.len() < limit) {
            self.members[index].announced = true;
            if self.append(EventKind::Arrived, Some(index), "").is_none() {
                self.members.pop();
                return Err(JoinError::Closed);
            }
        }
        self.present.push(index);
        Ok(self.position())
    }

    pub(crate) fn subscribe(&mut self) {
        let index = self.add(true, None);
        if self.closed {
            self.members[index].until = Some((self.position(), LeaveReason::Closed));
        }
    }

    pub(crate) fn leave(&mut self, index: usize, reason: LeaveReason) -> Result<u64, LeaveError> {
        self.members[index].name.take().ok_or(LeaveError::NotHere)?;
        let end = self.position();
        self.members[index].until = Some((end, reason));
        self.present.retain(|other| *other != index);
        if self.members[index].announced {
            self.append(EventKind::Left(reason), Some(index), "");
        }
        Ok(end)
    }

    fn check_text(&self, text: &str) -> Result<(), (usize, usize)> {
        // The length counts before anything is removed.
        let (len, max) = (text.len(), self.settings.max_text);
        if len > max { Err((len, max)) } else { Ok(()) }
    }

    fn check_publisher(&self, index: usize) -> Result<(), PublishError> {
        let member = &self.members[index];
        match (member.name, member.muted) {
            _ if self.closed => Err(PublishError::Closed),
            (None, _) => Err(PublishError::NotHere),
            (_, true) => Err(PublishError::Muted {
                until: Timestamp::MAX,
            }),
            (_, false) => Ok(()),
        }
    }

    pub(crate) fn publish(
        &mut self,
        index: usize,
        op: &Op,
    ) -> Result<Range<u64>, (usize, PublishError)> {
        let texts = texts(op, self.published);
        for text in &texts {
            self.check_text(text)
                .map_err(|(len, max)| (0, PublishError::TooLong { len, max }))?;
        }
        let first = self.position();
        let mut rest = &texts[..];
        let mut published = 0;
        loop {
            self.check_publisher(index)
                .map_err(|reason| (published, reason))?;
            let (batch, later) = rest.split_at(first_batch(rest));
            if u64::MAX - self.position() < batch.len() as u64 {
                self.close();
                return Err((published, PublishError::Closed));
            }
            for text in batch {
                self.append(EventKind::Message, Some(index), &sanitized(text));
            }
            published += batch.len();
            self.published += batch.len() as u64;
            rest = later;
            if rest.is_empty() {
                return Ok(first..self.position());
            }
        }
    }

    pub(crate) fn announce(&mut self, text: &str) -> Result<Range<u64>, PublishError> {
        self.check_text(text)
            .map_err(|(len, max)| PublishError::TooLong { len, max })?;
        if self.closed {
            return Err(PublishError::Closed);
        }
        let number = self.append(EventKind::Announcement, None, &sanitized(text));
        number
            .map(|number| number..number + 1)
            .ok_or(PublishError::Closed)
    }

    pub(crate) fn send(
        &mut self,
        from: Option<usize>,
        to: usize,
        text: &str,
    ) -> Result<(), SendError> {
        self.check_text(text)
            .map_err(|(len, max)| SendError::TooLong { len, max })?;
        if let Some(from) = from {
            self.check_publisher(from).map_err(|error| match error {
                PublishError::Closed => SendError::Closed,
                PublishError::Muted { until } => SendError::Muted { until },
                _ => SendError::SenderNotHere,
            })?;
        }
        match self.members[to].name {
            _ if self.closed => Err(SendError::Closed),
            None => Err(SendError::NotHere),
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn mute(&mut self, index: usize, muted: bool) -> Result<(), LeaveError> {
        let member = &mut self.members[index];
        member.name.ok_or(LeaveError::NotHere)?;
        member.muted = muted;
        Ok(())
    }

    pub(crate) fn rename(&mut self, index: usize, name: &'static str) -> Result<(), RenameError> {
        self.check_publisher(index).map_err(|error| match error {
            PublishError::Closed => RenameError::Closed,
            PublishError::Muted { until } => RenameError::Muted { until },
            _ => RenameError::NotHere,
        })?;
        if self.members[index].name == Some(name) {
            return Ok(());
        }
        if self.holders(name).iter().any(|holder| *holder != index) {
            return Err(RenameError::NameTaken);
        }
        let renamed = self.append(EventKind::Renamed, Some(index), name);
        renamed.ok_or(RenameError::Closed)?;
        let member = &mut self.members[index];
        (member.name, member.last_name, member.announced) = (Some(name), name, true);
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.present.clear();
        let end = (self.position(), LeaveReason::Closed);
        for member in &mut self.members {
            member.name = None;
            member.until.get_or_insert(end);
        }
    }
}

/// How many of these texts are published under one lock.
fn first_batch(texts: &[String]) -> usize {
    let mut bytes = 0;
    let fits = texts.iter().take(BATCH_TEXTS).take_while(|text| {
        bytes += text.len();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1).min(texts.len())
}
