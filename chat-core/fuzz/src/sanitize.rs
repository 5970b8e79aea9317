//! Text is made safe, by what sessions and the hub do to it alike.

use super::protocol::{self, Line, is_harmful};
use chat_core::{Batch, Hub, HubConfig};
use std::borrow::Cow;

/// The data: a line of a peer's, without its end.
pub fn check(line: &[u8]) {
    let safe = chat_core::fuzzing::sanitize(line);
    let text = String::from_utf8_lossy(line);
    let rest: String = text.chars().filter(|c| !is_harmful(*c)).collect();
    assert_eq!(safe, rest, "what is harmful goes, and nothing else");
    let untouched = safe.as_bytes() == line;
    assert_eq!(matches!(safe, Cow::Borrowed(_)), untouched, "no copy");
    let again = chat_core::fuzzing::sanitize(safe.as_bytes());
    assert!(matches!(again, Cow::Borrowed(same) if same == safe));
    // U+FFFD has three bytes, and stands for at least one.
    assert!(safe.len() <= 3 * line.len());
    assert!(safe.len() <= line.len() || str::from_utf8(line).is_err());
    publish(&text, &safe);
}

/// The hub leans on nobody to have made a text safe.
fn publish(text: &str, safe: &str) {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (0, text.len());
    let hub = Hub::new(config);
    let name = "author".parse().expect("the name is in order");
    let mut author = hub.join(name).expect("nobody is here");
    author.publish(text).expect("it is not too long");
    let mut batch = Batch::default();
    assert_eq!(author.try_recv_many(&mut batch), Ok(1));
    let line = batch.lines().strip_suffix('\n').expect("a line has an end");
    let message = Line::Message {
        author: "author",
        text: safe,
    };
    assert_eq!(protocol::read(line), message);
}
