//! Values of flags: the accepted forms and ranges, and the errors that state them.

use crate::cli::logging;
use bytesize::ByteSize;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tracing::level_filters::LevelFilter;

/// The most that [`HubConfig::log_bytes`](chat_core::HubConfig::log_bytes) can be.
pub(super) const MAX_LOG: u64 = 3 << 30;

/// A limit, or `None` for `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit<T>(pub(super) Option<T>);

impl Limit<Duration> {
    /// The time, or one that never ends.
    pub(super) fn or_forever(self) -> Duration {
        self.0.unwrap_or(Duration::MAX)
    }
}

/// An address to listen at. The host is not looked up yet.
pub(super) fn listen_address(text: &str) -> Result<String, String> {
    let such_as = |example: &str| format!("write HOST:PORT, such as {example}");
    // One of several may have a space before it.
    let text = text.trim();
    if text.parse::<SocketAddr>().is_ok() {
        return Ok(text.into());
    }
    if text.parse::<u16>().is_ok() {
        return Err(such_as(&format!(
            "localhost:{text} for this machine or '[::]:{text}' for every network"
        )));
    }
    let usual = "localhost:8000 or '[::]:8000'";
    match text.rsplit_once(':') {
        None if text == "localhost" => Err(such_as("localhost:8000")),
        None => Err(such_as(usual)),
        Some((host, _)) if host.contains([':', '[', ']']) => Err(format!(
            "{}; an IPv6 address is in brackets",
            such_as("'[::1]:8000'")
        )),
        Some(("", _)) => Err(such_as(&format!(
            "localhost{text} for this machine or '[::]{text}' for every network"
        ))),
        Some((_, port)) if port.parse::<u16>().is_err() => {
            Err(format!("{}; a port is from 0 to 65535", such_as(usual)))
        }
        Some(_) => Ok(text.into()),
    }
}

/// A number, which may be 0.
pub(super) fn count(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| "write a number such as 0 or 1000".into())
}

/// A number above 0.
pub(super) fn number<T: TryFrom<u64>>(most: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok();
        let number = number.filter(|number| (1..=most).contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| match most {
            u64::MAX => "write a number above 0".into(),
            most => format!("write a number from 1 to {most}"),
        })
    }
}

/// A number above 0, or `off`.
pub(super) fn number_or_off(text: &str) -> Result<Limit<NonZeroU32>, String> {
    match text {
        "off" => Ok(Limit(None)),
        text => match text.parse() {
            Ok(number) => Ok(Limit(Some(number))),
            Err(_) => Err(format!("write a number from 1 to {}, or \"off\"", u32::MAX)),
        },
    }
}

/// A number of bytes.
pub(super) fn size<T: TryFrom<u64>>(
    least: u64,
    most: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let size: ByteSize = text
            .parse()
            .map_err(|_| "write a size such as 4096, 64KiB or 8MiB")?;
        let size = Some(size.as_u64()).filter(|size| (least..=most).contains(size));
        let size = size.and_then(|size| T::try_from(size).ok());
        size.ok_or_else(|| {
            let [least, most] = [least, most].map(|size| ByteSize(size).display().iec());
            format!("write a size from {least} to {most}")
        })
    }
}

/// A time, which may be zero, or `off`.
pub(super) fn time(text: &str) -> Result<Limit<Duration>, String> {
    match text {
        "off" => Ok(Limit(None)),
        text => match humantime::parse_duration(text) {
            Ok(time) => Ok(Limit(Some(time))),
            Err(_) => Err("write a time such as 500ms, 30s or 5m, or \"off\"".into()),
        },
    }
}

/// A time above zero, or `off`.
pub(super) fn timeout(text: &str) -> Result<Limit<Duration>, String> {
    let limit = time(text)?;
    match limit.0 {
        Some(Duration::ZERO) => Err("write a time above 0s, or \"off\"".into()),
        _ => Ok(limit),
    }
}

/// A time that the system counts in seconds, up to 32,767, or `off`.
pub(super) fn keepalive(text: &str) -> Result<Limit<Duration>, String> {
    let limit = time(text)?;
    match limit.0.map(|time| time.as_secs()) {
        None | Some(1..=32_767) => Ok(limit),
        Some(_) => Err("write a time from 1s to 9h, or \"off\"".into()),
    }
}

/// A level, or directives that name a target and a level each.
pub(super) fn log_level(text: &str) -> Result<String, String> {
    // The filter takes a single word that is no level for a target, and logs nothing else.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    let is_plausible = |word: &str| is_level(word) || word.contains(['=', '[']);
    match logging::filter(text) {
        Ok(_) if text.split(',').all(is_plausible) => Ok(text.into()),
        _ => Err(
            "write off, error, warn, info, debug or trace, or such as info,chat_core=debug".into(),
        ),
    }
}
