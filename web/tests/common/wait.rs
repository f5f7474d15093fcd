//! Waiting for what other threads and processes do: the one place where these tests sleep.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks `probe` again and again until it has an answer.
#[expect(clippy::disallowed_methods, reason = "this is where the tests wait")]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
