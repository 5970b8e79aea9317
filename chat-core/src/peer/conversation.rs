//! The meaning of a peer's lines: names, commands, and texts to publish.

use super::config::{Naming, SessionConfig};
use super::shared::SessionShared;
use super::shared_limits::RenameLimits;
use crate::hub::Hub;
use crate::protocol::foreign::{Opening, is_http};
use crate::protocol::lines;
use crate::state::State;
use crate::state::command::TextsBuffer;
use crate::types::errors::{JoinError, PublishError, RenameError};
use crate::types::event::LeaveReason;
use crate::types::ids::MemberId;
use crate::types::name::Name;
use crate::types::position::Start;
use crate::types::text::sanitize_bytes;
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
    shared: Arc<SessionShared>,
    classic: bool,
    asks: bool,
    /// The name that the peer has if it gives none.
    default_name: Name,
    /// The name that it has now, or had last.
    name: Name,
    id: Option<MemberId>,
    renames: Option<Box<RenameLimits>>,
    /// Texts that are to be published together. `None` between two reads.
    texts: Option<Box<TextsBuffer>>,
    /// Whether the peer has sent a line since input was last published.
    received: bool,
    /// The first bytes, until the first line shows that the peer does not speak HTTP or TLS.
    opening: Option<Box<Opening>>,
    is_chat: bool,
    over: bool,
}

impl Conversation {
    pub(crate) fn new(
        hub: Hub,
        shared: Arc<SessionShared>,
        config: &SessionConfig,
        name: Name,
    ) -> Self {
        Self {
            hub,
            shared,
            classic: config.classic,
            asks: config.naming == Naming::Ask && !config.classic,
            name: name.clone(),
            default_name: name,
            id: None,
            renames: RenameLimits::new(config.rename_rate, config.shared.clone()),
            texts: None,
            received: false,
            opening: None,
            is_chat: false,
            over: false,
        }
    }

    /// Emits the end of the session. It is for the operator of a server if the peer was a member.
    pub(crate) fn log_end(&self, reason: LeaveReason, duration: Duration) {
        let (peer, name) = (self.default_name.as_str(), self.name.as_str());
        let (reason, seconds) = (reason.as_str(), duration.as_secs());
        match self.id {
            Some(_) => tracing::info!(target: LOG, peer, name, reason, seconds, "left"),
            None => tracing::debug!(target: LOG, peer, reason, seconds, "ended before joining"),
        }
    }

    /// Emits that the peer is beyond its rate.
    pub(crate) fn log_rate_limit(&self) {
        let (peer, name) = (self.default_name.as_str(), self.name.as_str());
        tracing::info!(target: LOG, peer, name, "over its rate, input waits");
    }

    /// Joins, or asks for the name to join under, unless the peer was refused. A peer that cannot
    /// join receives the reason. `shut_down` has the effect of a closed hub.
    pub(crate) fn open(&mut self, shut_down: bool) -> Result<(), JoinError> {
        let opened = match self.asks {
            _ if self.over => Ok(()),
            _ if shut_down => Err(JoinError::Closed),
            false => self.join(self.default_name.clone()),
            true if self.hub.is_closed() => Err(JoinError::Closed),
            true => {
                self.send_notice(lines::ask_name(&self.default_name));
                Ok(())
            }
        };
        match opened {
            Err(JoinError::NameTaken) => {
                self.refuse(&format!("the name {} is taken", self.default_name));
            }
            Err(JoinError::Closed) => self.end(LeaveReason::Closed, None),
            Ok(()) => {}
        }
        opened
    }

    /// Ends the session before it joins, with the reason as its only notice.
    pub(crate) fn refuse(&mut self, why: &str) {
        self.end(LeaveReason::Closed, Some(lines::last_word(why)));
    }

    /// The wait, if any, before more is read: for readers that are about to be overrun.
    pub(crate) fn pace(&self) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        match self.id.is_some() && !self.over {
            true => self.hub.shared.pace(),
            false => None,
        }
    }

    /// Whether input no longer matters. Asked before input is handled, because the membership can
    /// have ended since the last.
    pub(crate) fn is_over(&mut self) -> bool {
        self.over |= self.shared.has_ended();
        self.over
    }

    /// Whether a byte stream begins like TLS, which need not have a line end. If so, the session
    /// disconnects the peer.
    pub(crate) fn is_tls(&mut self, piece: &[u8]) -> bool {
        if self.is_chat {
            return false;
        }
        let opening = self.opening.get_or_insert_default();
        opening.see(piece);
        let tls = opening.is_tls();
        if tls {
            self.disconnect("this is a chat without TLS");
        }
        tls
    }

    /// Handles a line of a byte stream. The first one shows whether the peer speaks HTTP.
    pub(crate) fn handle_stream_line(&mut self, line: &str) {
        if !self.is_chat && is_http(line) {
            self.disconnect(NOT_A_WEB_SERVER);
        }
        // An empty line may come before a request (RFC 9112, 2.2).
        if !line.is_empty() {
            self.mark_as_chat();
        }
        if !self.over {
            self.handle_line(line);
        }
    }

    /// Rejects a line of a byte stream that was too long to be kept.
    pub(crate) fn reject_stream_line(&mut self) {
        if self
            .opening
            .as_ref()
            .is_some_and(|opening| opening.is_http())
        {
            self.disconnect(NOT_A_WEB_SERVER);
        }
        self.mark_as_chat();
        self.reject_line();
    }

    fn mark_as_chat(&mut self) {
        self.is_chat = true;
        self.opening = None;
    }

    /// Handles a line of a transport of messages, which bounds nothing.
    pub(crate) fn handle_text(&mut self, line: &[u8]) {
        // Before it is sanitised, which takes time and can make it shorter.
        match self.is_too_long(line.len()) {
            true => self.reject_line(),
            false => self.handle_line(&sanitize_bytes(line)),
        }
    }

    /// Whether a line is longer than the longest text and a slash before it.
    fn is_too_long(&self, len: usize) -> bool {
        len > self.hub.config().max_text + 1
    }

    /// Handles a line, which was sanitised.
    pub(crate) fn handle_line(&mut self, line: &str) {
        self.received = true;
        if self.is_too_long(line.len()) {
            return self.reject_line();
        }
        match line.strip_prefix('/').filter(|_| !self.classic) {
            // Text that begins with a slash.
            Some(text) if text.starts_with('/') && self.id.is_some() => self.publish_line(text),
            Some(command) => {
                // Texts before the command come before its effect.
                self.publish();
                if !self.over {
                    self.run_command(command);
                }
            }
            None if self.id.is_some() => self.publish_line(line),
            None => self.take_name(line),
        }
    }

    fn publish_line(&mut self, text: &str) {
        // Each byte that was no UTF-8 has become three.
        if text.len() > self.hub.config().max_text {
            return self.reject_line();
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

    fn run_command(&mut self, command: &str) {
        let (word, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        match word {
            "name" if self.id.is_some() => self.rename(rest.trim()),
            "name" => self.take_name(rest.trim()),
            "who" => {
                let roster = self.hub.roster(lines::ROSTER_NAMES);
                match self.id {
                    // The member itself has left; the last words say so.
                    Some(_) if roster.total == 0 => self.over = true,
                    _ => self.send_notice_after(&lines::who(&roster), Some(roster.position.number)),
                }
            }
            "help" => self.send_notice(lines::HELP),
            "quit" => self.end(LeaveReason::Left, Some(lines::GOODBYE.into())),
            _ => self.send_notice(lines::unknown_command(word)),
        }
    }

    fn rename(&mut self, name: &str) {
        let Some(id) = self.id else { return };
        let name: Name = match name.parse() {
            Ok(name) => name,
            Err(error) => return self.send_notice(lines::name_refused(error)),
        };
        if self.hub.name(id).as_ref() == Some(&name) {
            return self.send_notice(lines::already(&name));
        }
        if let Some(renames) = &mut self.renames
            && let Err(wait) = renames.try_take()
        {
            tracing::debug!(target: LOG, peer = self.default_name.as_str(), "renaming too fast");
            return self.send_notice(lines::renaming_too_fast(wait));
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
                self.send_notice(lines::name_refused(RenameError::NameTaken));
            }
            Err(RenameError::Muted { .. }) => self.send_notice(lines::MUTED),
            Err(RenameError::NotHere | RenameError::Closed) => self.over = true,
        }
    }

    /// Handles the answer to the question for a name.
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
        self.send_notice(why);
        self.send_notice(lines::ask_name(&self.default_name));
    }

    fn join(&mut self, name: Name) -> Result<(), JoinError> {
        let mut greeting = lines::greeting(&name);
        let classic = self.classic;
        let greet = |state: &State| {
            let (total, names) = state.members();
            if !classic {
                // The new member is the last.
                lines::write_others(&mut greeting, total - 1, names);
            }
        };
        let (member, ..) = self.hub.join_and_see(name.clone(), Start::Now, greet)?;
        let id = member.id();
        let peer = self.default_name.as_str();
        tracing::info!(target: LOG, peer, name = name.as_str(), "joined");
        self.name = name;
        self.id = Some(id);
        self.shared.update(|state| {
            state.join(Box::new(member));
            state.last_line = Instant::now();
            state.outbox().push_lines(&greeting);
        });
        Ok(())
    }

    /// Publishes the texts that were received.
    pub(crate) fn publish(&mut self) {
        if std::mem::take(&mut self.received) && self.id.is_some() {
            self.shared.lock().last_line = Instant::now();
        }
        let (Some(texts), Some(id)) = (self.texts.take(), self.id) else {
            return;
        };
        match self.hub.publish_admitted(id, &texts) {
            Ok(()) => {}
            Err(PublishError::Muted { .. }) => self.send_notice(lines::MUTED),
            Err(PublishError::NotHere | PublishError::Closed) => self.over = true,
            Err(PublishError::TooLong { .. }) => unreachable!("rejected by `publish_line`"),
        }
    }

    pub(crate) fn reject_line(&mut self) {
        if self.over {
            return;
        }
        // So that the notice comes after the lines before the rejected one.
        self.publish();
        self.received = true;
        self.send_notice(lines::line_refused(self.hub.config().max_text));
    }

    pub(crate) fn disconnect(&mut self, why: &str) {
        self.publish();
        if !self.is_over() {
            self.end(LeaveReason::Misbehaved, Some(lines::last_word(why)));
        }
    }

    /// Handles the end of input.
    pub(crate) fn end_of_input(&mut self) {
        self.publish();
        if !self.is_over() {
            self.end(LeaveReason::Left, None);
        }
    }

    /// Leaves. The session then delivers the remainder, and `goodbye` or the notice of the reason.
    fn end(&mut self, reason: LeaveReason, goodbye: Option<String>) {
        self.over = true;
        self.shared.leave_with(&self.hub, reason, goodbye);
    }

    /// Sends a notice, after the effects of what it answers.
    fn send_notice(&mut self, text: impl AsRef<str>) {
        self.send_notice_after(text.as_ref(), None);
    }

    /// Sends a notice, after all events before number `after`.
    fn send_notice_after(&mut self, text: &str, after: Option<u64>) {
        if self.classic {
            return;
        }
        match self.id {
            Some(id) => self.hub.shared.notify(id.slot, text, after),
            None => self.shared.update(|state| state.outbox().push_notice(text)),
        }
    }
}
