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

/// A clock that stands at the latest time it was shown: the time of the messages that pass. It never goes back.
#[derive(Debug, Default)]
pub struct EventClock(AtomicI64);

/// A point on the monotonic clock, to measure how long something takes.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl EventClock {
    /// Moves the clock forward to `at`, to the microsecond; an earlier time changes nothing.
    pub fn observe(&self, at: Timestamp) {
        self.0.fetch_max(at.as_microsecond(), Ordering::AcqRel);
    }
}

impl Clock for EventClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::Acquire)).unwrap_or(Timestamp::UNIX_EPOCH)
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
}
