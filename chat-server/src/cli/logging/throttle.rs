//! Bounds how many lines one place in the program can add to the log.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Each place may log so many lines in each window; a summary counts the others.
const LINES: u32 = 1000;
const WINDOW: Duration = Duration::from_secs(10);

/// A filter that drops events of level info and above beyond their place's share. A peer cannot cause
/// more lines, and an operator that enables debug lines gets all of those.
///
/// It remembers a few words for each place that logs, so its memory is bounded by the program.
#[derive(Default)]
pub(super) struct Throttle {
    places: Mutex<HashMap<Identifier, Place>>,
}

/// A place that has logged.
struct Place {
    /// Its first message, to name it by.
    message: String,
    window: Window,
}

impl Throttle {
    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the event may be logged; counts it if not.
    fn allows(&self, event: &Event<'_>, now: Instant) -> bool {
        let mut places = self.lock();
        let place = places.entry(event.metadata().callsite());
        let place = place.or_insert_with(|| Place {
            message: Message::of(event),
            window: Window::new(now),
        });
        place.window.allows(now)
    }

    /// Logs a summary for each window that is over, or, at the end of the program, for all.
    pub(super) fn summarize(&self, now: Instant, at_the_end: bool) {
        let mut summaries = Vec::new();
        for Place { message, window } in self.lock().values_mut() {
            if (at_the_end || window.is_over(now))
                && let Some(summary) = window.restart(now)
            {
                summaries.push((message.clone(), summary));
            }
        }
        for (message, (count, time)) in summaries {
            let seconds = time.as_secs();
            tracing::warn!(count, "{count} more lines of {message:?} in {seconds} s");
        }
    }

    /// The time until a window is over that can have a summary, if there is one.
    pub(super) fn next_summary(&self, now: Instant) -> Option<Duration> {
        let places = self.lock();
        let used_up = places.values().filter(|place| place.window.is_used_up());
        let waits = used_up.map(|place| WINDOW.saturating_sub(place.window.age(now)));
        waits.min()
    }
}

/// The recent log lines of a place.
struct Window {
    began: Instant,
    lines: u32,
    dropped: u64,
}

impl Window {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            lines: 0,
            dropped: 0,
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.age(now) >= WINDOW
    }

    fn is_used_up(&self) -> bool {
        self.lines >= LINES
    }

    /// Whether one more line may be logged; counts it if not.
    fn allows(&mut self, now: Instant) -> bool {
        // A window with dropped lines lasts until their summary is logged.
        if self.dropped == 0 && self.is_over(now) {
            self.restart(now);
        }
        if self.is_used_up() {
            self.dropped += 1;
            return false;
        }
        self.lines += 1;
        true
    }

    /// Begins a new one, and gives the number of dropped lines, if there were any, and their time.
    fn restart(&mut self, now: Instant) -> Option<(u64, Duration)> {
        let old = std::mem::replace(self, Self::new(now));
        (old.dropped > 0).then(|| (old.dropped, old.age(now)))
    }
}

impl<S: Subscriber> Filter<S> for Throttle {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        *event.metadata().level() > Level::INFO || self.allows(event, Instant::now())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }
}

/// Finds the message among the fields of an event.
#[derive(Default)]
struct Message(String);

impl Message {
    fn of(event: &Event<'_>) -> String {
        let mut message = Self::default();
        event.record(&mut message);
        message.0
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    mod window {
        use super::*;

        #[test]
        fn lines_beyond_share_are_counted() {
            let now = Instant::now();
            let mut window = Window::new(now);
            let allowed = (0..LINES + 7).filter(|_| window.allows(now)).count();
            assert_eq!(allowed, LINES as usize);
            assert_eq!(window.restart(now + 3 * SECOND), Some((7, 3 * SECOND)));
            assert!(window.allows(now + 3 * SECOND));
        }

        #[test]
        fn dropped_lines_await_their_summary() {
            let now = Instant::now();
            let mut window = Window::new(now);
            let allowed = (0..=LINES).filter(|_| window.allows(now)).count();
            assert_eq!(allowed, LINES as usize);
            assert!(!window.allows(now + 2 * WINDOW));
            assert_eq!(window.restart(now + 2 * WINDOW), Some((2, 2 * WINDOW)));
        }

        #[test]
        fn next_one_has_full_share() {
            let now = Instant::now();
            let mut window = Window::new(now);
            for round in 0..3 {
                let now = now + round * WINDOW;
                let allowed = (0..LINES).filter(|_| window.allows(now)).count();
                assert_eq!(allowed, LINES as usize);
            }
            assert_eq!(window.restart(now), None);
        }
    }
}
