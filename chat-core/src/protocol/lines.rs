//! What a session says to its peer alone. Every line but the greeting begins with `* `, which no
//! name does, so none can be taken for something that a peer said.

use crate::types::event::LeaveReason;
use crate::types::name::Name;
use crate::types::stats::Roster;
use crate::types::text::sanitize;
use std::fmt::{Display, Write};
use std::time::Duration;

/// How many names a line has; the rest is a number.
pub(crate) const ROSTER_NAMES: usize = 50;

pub(crate) const HELP: &str = "\
* /name NEW takes that name
* /who tells who is here
* /quit leaves
* //TEXT says /TEXT
* anything else is said to all
";
pub(crate) const NOBODY_HERE: &str = "* nobody is here\n";
pub(crate) const GOODBYE: &str = "* goodbye\n";

pub(crate) fn you_are(name: &Name) -> String {
    format!("You are {name}\n")
}

/// Who else is here, to a newcomer, who is the last in the roster. Nothing if it is alone.
pub(crate) fn here_now(roster: &Roster) -> String {
    let others = roster.total.saturating_sub(1);
    match others {
        0 => String::new(),
        _ => line_of_names("Here now: ", &roster.names, others),
    }
}

pub(crate) fn who(roster: &Roster) -> String {
    if roster.total == 0 {
        return NOBODY_HERE.into();
    }
    line_of_names("* here now: ", &roster.names, roster.total)
}

/// The first of `total` names, as many as a line has.
fn line_of_names(start: &str, names: &[Name], total: usize) -> String {
    let shown = names.len().min(total).min(ROSTER_NAMES);
    let mut line = String::from(start);
    for (at, name) in names[..shown].iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let _ = write!(line, "{comma}{name}");
    }
    if total > shown {
        let _ = write!(line, " and {} others", total - shown);
    }
    line.push('\n');
    line
}

pub(crate) fn ask_name(default: &Name) -> String {
    format!("* what is your name? (Enter for {default})\n")
}

pub(crate) fn name_refused(why: impl Display) -> String {
    format!("* name refused: {why}\n")
}

pub(crate) fn already(name: &Name) -> String {
    format!("* you are {name} already\n")
}

/// The wait in whole seconds, rounded up.
pub(crate) fn renaming_too_fast(wait: Duration) -> String {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let wait = humantime::format_duration(Duration::from_secs(seconds));
    format!("* renaming too fast, wait {wait}\n")
}

pub(crate) fn unknown_command(command: &str) -> String {
    format!("* unknown command /{command}, /help lists them\n")
}

pub(crate) fn line_refused(max: usize) -> String {
    format!("* line refused: longer than {max} bytes\n")
}

/// One form for any number, so that programs can read it.
pub(crate) fn skipped(messages: u64) -> String {
    format!("* {messages} messages skipped\n")
}

pub(crate) fn notices_skipped(notices: u64) -> String {
    format!("* {notices} notices skipped\n")
}

pub(crate) fn last_word(why: &str) -> String {
    format!("* {}, goodbye\n", sanitize(why))
}

pub(crate) fn idle(limit: Duration) -> String {
    format!(
        "* idle for {}, goodbye\n",
        humantime::format_duration(limit)
    )
}

pub(crate) fn nameless(limit: Duration) -> String {
    format!(
        "* no name for {}, goodbye\n",
        humantime::format_duration(limit)
    )
}

/// The last words where the reason is all there is to say.
pub(crate) fn goodbye(reason: LeaveReason) -> &'static str {
    match reason {
        LeaveReason::Closed => "* server is going down\n",
        LeaveReason::Kicked => "* you were sent away, goodbye\n",
        _ => "",
    }
}
