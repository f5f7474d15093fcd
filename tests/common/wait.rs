//! Waiting for what other threads and processes do.

use std::{thread, time::Duration};

use vigie::clock::Stopwatch;

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` again and again until it has an answer, and fails the test, naming `what` was awaited, when
/// [`PATIENCE`] is over. This is the one place where tests wait: a condition with a deadline, never a fixed time that
/// hopes to be long enough.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let watch = Stopwatch::start();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(watch.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
