//! The only place of this crate that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_second(i64::try_from(since.as_secs()).unwrap_or_default())
        .and_then(|seconds| seconds.checked_add(Duration::from_nanos(u64::from(since.subsec_nanos()))))
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A stopwatch that runs from the moment it is made.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts one.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads it")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since it was started.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
