//! What a peer's lines mean: names, commands, and what is to be published.

use super::config::{Naming, SessionConfig};
use super::shared::Desk;
use super::shared_limits::RenameLimits;
use crate::hub::{Hub, JoinOptions, Joined};
use crate::protocol::foreign::{Opening, is_http};
use crate::protocol::lines;
use crate::state::command::TextsBuffer;
use crate::types::errors::{JoinError, PublishError, RenameError};
use crate::types::event::LeaveReason;
use crate::types::ids::MemberId;
use crate::types::name::Name;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The target of the events that an operator of a server reads.
const LOG: &str = "chat_core::session";

const NOT_A_WEB_SERVER: &str = "this is a chat, not a web server";

#[derive(Debug)]
pub(crate) struct Conversation {
    hub: Hub,
    desk: Arc<Desk>,
    classic: bool,
    asks: bool,
    /// The name that the peer has if it gives none.
    default_name: Name,
    /// The name that it has now, or had last.
    name: Name,
    id: Option<MemberId>,
    renames: Option<Box<RenameLimits>>,
    /// Texts that are to be published together; nothing is kept for who says nothing.
    texts: Option<Box<TextsBuffer>>,
    /// Whether the peer has sent a line since this was last looked at.
    heard: bool,
    /// How the peer began, until its first line has turned out to be talk.
    opening: Option<Box<Opening>>,
    talks: bool,
    over: bool,
}

impl Conversation {
    pub(crate) fn new(hub: Hub, desk: Arc<Desk>, config: &SessionConfig, name: Name) -> Self {
        Self {
            hub,
            desk,
            classic: config.classic,
            asks: config.naming == Naming::Ask && !config.classic,
            name: name.clone(),
            default_name: name,
            id: None,
            renames: RenameLimits::new(config),
            texts: None,
            heard: false,
            opening: None,
            talks: false,
            over: false,
        }
    }

    /// Emits the end of the session. It is for the operator of a server if the peer was a member.
    pub(crate) fn log_end(&self, reason: LeaveReason, duration: Duration) {
        let (peer, name) = (self.default_name.as_str(), self.name.as_str());
        let (reason, seconds) = (reason.to_string(), duration.as_secs());
        match self.id {
            Some(_) => tracing::info!(target: LOG, peer, name, reason, seconds, "left"),
            None => tracing::debug!(target: LOG, peer, reason, seconds, "ended before joining"),
        }
    }

    /// Emits that the peer talks too fast.
    pub(crate) fn log_rate_limit(&self) {
        let (peer, name) = (self.default_name.as_str(), self.name.as_str());
        tracing::info!(target: LOG, peer, name, "over its rate, input waits");
    }

    /// Joins, or asks for the name to join under, unless it was turned away. If it cannot, the
    /// peer is told so; `shut_down` is as if the hub were closed.
    pub(crate) fn open(&mut self, shut_down: bool) -> Result<(), JoinError> {
        let opened = match self.asks {
            _ if self.over => Ok(()),
            _ if shut_down => Err(JoinError::Closed),
            false => self.join(self.default_name.clone()),
            true if self.hub.is_closed() => Err(JoinError::Closed),
            true => {
                self.tell(lines::ask_name(&self.default_name));
                Ok(())
            }
        };
        match opened {
            Err(JoinError::NameTaken) => {
                self.turn_away(&format!("the name {} is taken", self.default_name));
            }
            Err(JoinError::Closed) => self.end(LeaveReason::Closed, None),
            Ok(()) => {}
        }
        opened
    }

    /// Does not join: says why, and that is all.
    pub(crate) fn turn_away(&mut self, why: &str) {
        self.end(LeaveReason::Closed, Some(lines::last_word(why)));
    }

    /// What to wait for before more is read: members that are about to be overrun.
    pub(crate) fn pace(&self) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        match self.id.is_some() && !self.over {
            true => self.hub.shared.pace(),
            false => None,
        }
    }

    /// Whether what the peer sends no longer matters. Asked before what it sends is heard, as it
    /// can have been let go meanwhile.
    pub(crate) fn is_over(&mut self) -> bool {
        self.over |= self.desk.has_ended();
        self.over
    }

    /// Whether a byte stream begins as TLS does, which need not have a line end; then it is cut.
    pub(crate) fn is_tls(&mut self, piece: &[u8]) -> bool {
        if self.talks {
            return false;
        }
        let opening = self.opening.get_or_insert_default();
        opening.see(piece);
        let tls = opening.is_tls();
        if tls {
            self.cut_for("this is a chat without TLS");
        }
        tls
    }

    /// A line of a byte stream, of which the first tells whether it is a chat.
    pub(crate) fn hear_streamed(&mut self, line: &str) {
        if !self.talks && is_http(line) {
            self.cut_for(NOT_A_WEB_SERVER);
        }
        // An empty line may come before a request (RFC 9112, 2.2).
        if !line.is_empty() {
            self.talks();
        }
        if !self.over {
            self.hear(line);
        }
    }

    /// A line of a byte stream that was too long to be kept.
    pub(crate) fn refuse_streamed(&mut self) {
        if self
            .opening
            .as_ref()
            .is_some_and(|opening| opening.is_http())
        {
            self.cut_for(NOT_A_WEB_SERVER);
        }
        self.talks();
        self.refuse_line();
    }

    fn talks(&mut self) {
        self.talks = true;
        self.opening = None;
    }

    /// A line without anything harmful in it.
    pub(crate) fn hear(&mut self, line: &str) {
        self.heard = true;
        let max = self.hub.config().max_text;
        if line.len() > max + 1 {
            return self.refuse_line();
        }
        match line.strip_prefix('/').filter(|_| !self.classic) {
            // Text that begins with a slash, as what follows does.
            Some(text) if text.starts_with('/') && self.id.is_some() => self.say(text),
            Some(command) => {
                // What was said before is to stand before what the command does.
                self.publish();
                if !self.over {
                    self.obey(command);
                }
            }
            None if self.id.is_some() => self.say(line),
            None => self.take_name(line),
        }
    }

    fn say(&mut self, text: &str) {
        // Bytes that are no UTF-8 have grown to three each.
        if text.len() > self.hub.config().max_text {
            return self.refuse_line();
        }
        if self
            .texts
            .as_ref()
            .is_some_and(|texts| texts.is_full_for(text.len()))
        {
            self.publish();
        }
        self.texts.get_or_insert_default().push(text);
    }

    fn obey(&mut self, command: &str) {
        let (word, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        match word {
            "name" if self.id.is_some() => self.rename(rest.trim()),
            "name" => self.take_name(rest.trim()),
            "who" => {
                let roster = self.hub.roster(lines::ROSTER_NAMES);
                match self.id {
                    // Who asks is gone itself; the last words say so.
                    Some(_) if roster.total == 0 => self.over = true,
                    _ => self.tell_at(&lines::who(&roster), Some(roster.position.number)),
                }
            }
            "help" => self.tell(lines::HELP),
            "quit" => self.end(LeaveReason::Left, Some(lines::GOODBYE.into())),
            _ => self.tell(lines::unknown_command(word)),
        }
    }

    fn rename(&mut self, name: &str) {
        let Some(id) = self.id else { return };
        let name: Name = match name.parse() {
            Ok(name) => name,
            Err(error) => return self.tell(lines::name_refused(error)),
        };
        if self.hub.name(id).as_ref() == Some(&name) {
            return self.tell(lines::already(&name));
        }
        if let Some(renames) = &mut self.renames
            && let Err(wait) = renames.try_take()
        {
            tracing::debug!(target: LOG, peer = self.default_name.as_str(), "renaming too fast");
            return self.tell(lines::renaming_too_fast(wait));
        }
        match self.hub.rename(id, name.clone()) {
            Ok(()) => {
                let (peer, from) = (self.default_name.as_str(), self.name.as_str());
                tracing::info!(target: LOG, peer, from, to = name.as_str(), "renamed");
                self.name = name;
            }
            Err(RenameError::NameTaken) => {
                if let Some(renames) = &mut self.renames {
                    renames.give_back();
                }
                self.tell(lines::name_refused(RenameError::NameTaken));
            }
            Err(RenameError::Muted { .. }) => self.tell(lines::MUTED),
            Err(RenameError::NotHere | RenameError::Closed) => self.over = true,
        }
    }

    /// The answer to the question for a name.
    fn take_name(&mut self, answer: &str) {
        let answer = answer.trim();
        let joined = if answer.is_empty() {
            self.join(self.default_name.clone())
        } else {
            match answer.parse() {
                Ok(name) => self.join(name),
                Err(error) => return self.ask_again(lines::name_refused(error)),
            }
        };
        match joined {
            Ok(()) => {}
            Err(JoinError::NameTaken) => self.ask_again(lines::name_refused(JoinError::NameTaken)),
            Err(JoinError::Closed) => self.end(LeaveReason::Closed, None),
        }
    }

    fn ask_again(&mut self, why: String) {
        self.tell(why);
        self.tell(lines::ask_name(&self.default_name));
    }

    fn join(&mut self, name: Name) -> Result<(), JoinError> {
        let mut options = JoinOptions::new(name.clone());
        if !self.classic {
            options.roster = lines::ROSTER_NAMES;
        }
        let Joined { member, roster, .. } = self.hub.join_with(options)?;
        let roster = Some(&roster).filter(|_| !self.classic);
        let greeting = lines::greeting(&name, roster);
        let id = member.id();
        let peer = self.default_name.as_str();
        tracing::info!(target: LOG, peer, name = name.as_str(), "joined");
        self.name = name;
        self.id = Some(id);
        self.desk.hand_over(|papers| {
            papers.id = Some(id);
            papers.member = Some(Box::new(member));
            papers.last_line = Instant::now();
            papers.outbox().push_lines(&greeting);
        });
        Ok(())
    }

    /// Publishes what was said.
    pub(crate) fn publish(&mut self) {
        if std::mem::take(&mut self.heard) && self.id.is_some() {
            self.desk.lock().last_line = Instant::now();
        }
        let (Some(texts), Some(id)) = (self.texts.take(), self.id) else {
            return;
        };
        match self.hub.publish_admitted(id, &texts) {
            Ok(()) => {}
            Err(PublishError::Muted { .. }) => self.tell(lines::MUTED),
            Err(PublishError::NotHere | PublishError::Closed) => self.over = true,
            Err(PublishError::TooLong { .. }) => unreachable!("refused by `say`"),
        }
    }

    pub(crate) fn refuse_line(&mut self) {
        if self.over {
            return;
        }
        self.heard = true;
        self.tell(lines::line_refused(self.hub.config().max_text));
    }

    pub(crate) fn cut_for(&mut self, why: &str) {
        self.publish();
        if !self.is_over() {
            self.end(LeaveReason::Misbehaved, Some(lines::last_word(why)));
        }
    }

    /// The peer will send no more.
    pub(crate) fn end_of_input(&mut self) {
        self.publish();
        if !self.is_over() {
            self.end(LeaveReason::Left, None);
        }
    }

    /// Leaves; then comes what is still to be delivered, then `goodbye`, or what goes without
    /// saying.
    fn end(&mut self, reason: LeaveReason, goodbye: Option<String>) {
        self.over = true;
        self.desk.leave_saying(&self.hub, reason, goodbye);
    }

    /// Sends a notice, after the effects of what it answers.
    fn tell(&mut self, text: impl AsRef<str>) {
        self.tell_at(text.as_ref(), None);
    }

    /// Sends a notice, after all events before number `after`.
    fn tell_at(&mut self, text: &str, after: Option<u64>) {
        if self.classic {
            return;
        }
        match self.id {
            Some(id) => self.hub.shared.notify(id.slot, text, after),
            None => self
                .desk
                .hand_over(|papers| papers.outbox().push_notice(text)),
        }
    }
}
