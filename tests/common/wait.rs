//! Waiting for what other threads and processes do.

use std::{thread, time::Duration};

use vigie::clock::Stopwatch;

/// How long anything may take on a busy machine before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `time` has passed since `since`, for tests of what time alone brings about: a deadline that passes, a quiet
/// time. What can be asked for is awaited with [`until`].
pub fn until_passed(since: Stopwatch, time: Duration) {
    until("the time to pass", || (since.elapsed() >= time).then_some(()));
}

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
