//! Sessions and the hub make text safe, in the same way.

use super::client::{self, Line, is_harmful};
use crate::types::text::{admit, sanitize_bytes};
use crate::{Batch, Hub, HubConfig};
use std::borrow::Cow;

/// Checks an input: a line of a peer, without its ending.
pub fn check(line: &[u8]) {
    let safe = sanitize_bytes(line);
    let text = String::from_utf8_lossy(line);
    let rest: String = text.chars().filter(|c| !is_harmful(*c)).collect();
    assert_eq!(safe, rest, "it removes harmful characters and no others");
    let is_unchanged = safe.as_bytes() == line;
    assert_eq!(matches!(safe, Cow::Borrowed(_)), is_unchanged, "a copy");
    let again = sanitize_bytes(safe.as_bytes());
    assert!(matches!(again, Cow::Borrowed(same) if same == safe));
    // U+FFFD has three bytes, and replaces at least one.
    assert!(safe.len() <= 3 * line.len());
    assert!(safe.len() <= line.len() || str::from_utf8(line).is_err());
    check_limits(&text, &safe);
    publish(&text, &safe);
}

/// The limit applies to the text as it came.
fn check_limits(text: &str, safe: &str) {
    assert_eq!(admit(text, text.len()).as_deref(), Ok(safe));
    if !text.is_empty() {
        assert!(admit(text, text.len() - 1).is_err());
    }
}

/// The hub sanitises each text, whether or not its caller did.
fn publish(text: &str, safe: &str) {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (0, text.len());
    let hub = Hub::new(config);
    let name = "author".parse().expect("the name obeys the rules");
    let mut author = hub.join(name).expect("the hub is empty");
    author.publish(text).expect("it is as long as it may be");
    let mut batch = Batch::default();
    assert_eq!(author.try_recv_many(&mut batch), Ok(1));
    let line = batch.lines().strip_suffix('\n').expect("a line has an end");
    let message = Line::Message {
        author: "author",
        text: safe,
    };
    assert_eq!(client::read(line), message);
}
