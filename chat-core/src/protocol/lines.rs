//! The lines that the server writes itself: the greeting, and notices to one peer alone. A notice
//! begins with `* `, which no name does, so none can be taken for a member's line.

use crate::types::event::LeaveReason;
use crate::types::name::Name;
use crate::types::stats::Roster;
use crate::types::text::sanitize;
use std::fmt::{Display, Write};
use std::time::Duration;

/// How many names a line has; the rest is a number.
pub(crate) const ROSTER_NAMES: usize = 50;

/// The room that most greetings need. One that grows is copied, and under the hub's lock.
const GREETING_BYTES: usize = 1024;

pub(crate) const HELP: &str = "\
/name NEW changes your name
/who lists the members
/quit leaves the chat
//TEXT sends /TEXT
any other line is sent to all members";
pub(crate) const GOODBYE: &str = "goodbye";
pub(crate) const MUTED: &str = "message refused: you are muted";

/// Appends a text as notices, one for each of its lines.
pub(crate) fn write_notice(text: impl Display, out: &mut Vec<u8>) {
    use std::io::Write;

    let text = text.to_string();
    for line in text.lines() {
        writeln!(out, "* {line}").expect("a Vec takes whatever is written");
    }
}

/// The first line to a member, with room for the names of others.
pub(crate) fn greeting(name: &Name) -> String {
    let mut greeting = String::with_capacity(GREETING_BYTES);
    let _ = writeln!(greeting, "You are {name}");
    greeting
}

/// Adds a line with the names of `total` other members, if there are any.
pub(crate) fn write_others<'a>(
    greeting: &mut String,
    total: usize,
    others: impl Iterator<Item = &'a Name>,
) {
    if total > 0 {
        greeting.push_str("Here now: ");
        write_names(greeting, total, others);
        greeting.push('\n');
    }
}

pub(crate) fn who(roster: &Roster) -> String {
    let mut line = String::new();
    match roster.total {
        0 => line.push_str("nobody is here"),
        total => {
            line.push_str("here now: ");
            write_names(&mut line, total, roster.names.iter());
        }
    }
    line
}

/// Adds the first of `total` names, as many as a line has.
fn write_names<'a>(line: &mut String, total: usize, names: impl Iterator<Item = &'a Name>) {
    let mut shown = 0;
    for name in names.take(total.min(ROSTER_NAMES)) {
        if shown > 0 {
            line.push_str(", ");
        }
        line.push_str(name.as_str());
        shown += 1;
    }
    if total > shown {
        let _ = write!(line, " and {} others", total - shown);
    }
}

pub(crate) fn ask_name(default: &Name) -> String {
    format!("what is your name? (Enter for {default})")
}

pub(crate) fn name_refused(why: impl Display) -> String {
    format!("name refused: {why}")
}

pub(crate) fn already(name: &Name) -> String {
    format!("you are {name} already")
}

/// The wait in whole seconds, rounded up.
pub(crate) fn renaming_too_fast(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let wait = humantime::format_duration(Duration::from_secs(seconds));
    format!("renaming too fast, wait {wait}")
}

pub(crate) fn unknown_command(command: &str) -> String {
    format!("unknown command /{command}, /help lists them")
}

pub(crate) fn line_refused(max: usize) -> String {
    format!("line refused: longer than {max} bytes")
}

/// One form for any number, so that programs can parse it.
pub(crate) fn skipped(messages: u64) -> String {
    format!("* {messages} messages skipped\n")
}

/// One form for any number, so that programs can parse it.
pub(crate) fn notices_skipped(notices: u64) -> String {
    format!("{notices} notices skipped")
}

/// The last notice to a peer, with the reason.
pub(crate) fn last_word(why: &str) -> String {
    format!("{}, goodbye", sanitize(why))
}

pub(crate) fn idle(limit: Duration) -> String {
    format!("idle for {}, goodbye", humantime::format_duration(limit))
}

pub(crate) fn nameless(limit: Duration) -> String {
    format!("no name for {}, goodbye", humantime::format_duration(limit))
}

/// The last notice where the reason, and perhaps the text of a removal, is all there is to say.
pub(crate) fn goodbye(reason: LeaveReason, text: Option<&str>) -> String {
    match (reason, text) {
        (LeaveReason::Closed, _) => "server is going down".into(),
        (LeaveReason::Kicked, Some(text)) => format!("you were sent away: {text}, goodbye"),
        (LeaveReason::Kicked, None) => "you were sent away, goodbye".into(),
        (_, Some(text)) => format!("{text}, goodbye"),
        (_, None) => String::new(),
    }
}
