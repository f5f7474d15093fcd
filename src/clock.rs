//! The only place that reads a clock.
//!
//! Wall time is behind one trait with one method, so that a replay can put event time in its place. Durations are
//! measured on the monotonic clock and never on the wall's.
#![expect(clippy::disallowed_methods, reason = "this is where the clock is read")]

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant},
};

use crate::domain::Timestamp;

/// Says what time it is.
pub trait Clock: Send + Sync {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

/// A clock that stands at the latest time it was shown: the time of the messages that pass. It never goes back. Before the
/// first message it stands at the latest time of what was known when it began.
#[derive(Debug)]
pub struct EventClock {
    /// The first time of all before the first message.
    shown: AtomicI64,
    known: AtomicI64,
}

/// A point on the monotonic clock, to measure how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Before any time that is shown.
const NOTHING_SHOWN: i64 = i64::MIN;

impl Default for EventClock {
    fn default() -> Self {
        Self { shown: AtomicI64::new(NOTHING_SHOWN), known: AtomicI64::new(0) }
    }
}

impl EventClock {
    /// Moves the clock forward to `at`, to the microsecond; an earlier time changes nothing.
    pub fn observe(&self, at: Timestamp) {
        self.shown.fetch_max(at.as_microsecond(), Ordering::AcqRel);
    }

    /// Something is known of `at`: until the first message the clock stands at the latest such time.
    pub fn knows(&self, at: Timestamp) {
        self.known.fetch_max(at.as_microsecond(), Ordering::AcqRel);
    }
}

impl Clock for EventClock {
    fn now(&self) -> Timestamp {
        let at = match self.shown.load(Ordering::Acquire) {
            NOTHING_SHOWN => self.known.load(Ordering::Acquire),
            shown => shown,
        };
        Timestamp::from_microsecond(at).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Stopwatch {
    /// Starts measuring.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// One that was started so long ago; as far back as the machine's clock goes.
    pub fn started_ago(duration: Duration) -> Self {
        let now = Instant::now();
        Self(now.checked_sub(duration).unwrap_or(now))
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    /// The same point as the standard library names it, for APIs that want a deadline.
    pub fn after(&self, duration: Duration) -> Instant {
        self.0 + duration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_time_never_goes_back() {
        let clock = EventClock::default();
        let (early, late): (Timestamp, Timestamp) =
            ("2015-01-05T00:00:00Z".parse().unwrap(), "2015-01-06T00:00:00Z".parse().unwrap());
        clock.observe(late);
        clock.observe(early);
        assert_eq!(clock.now(), late);
    }

    #[test]
    fn before_the_first_message_event_time_is_that_of_what_is_known_and_then_that_of_the_messages() {
        let clock = EventClock::default();
        let (early, late): (Timestamp, Timestamp) =
            ("2015-01-05T00:00:00Z".parse().unwrap(), "2015-01-06T00:00:00Z".parse().unwrap());
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        clock.knows(late);
        assert_eq!(clock.now(), late);
        clock.observe(early);
        assert_eq!(clock.now(), early);
    }
}
