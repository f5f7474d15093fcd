//! How long a request may have waited in its socket before it was read.
//!
//! The kernel does not say when bytes arrived. What is known is an upper bound: they came after the event loop last looked
//! at its sockets, and after this connection's socket was last seen empty. A process that was stopped looks at nothing and
//! does not notice; the signal that continues it is noticed instead, and what is read soon after counts as late.
//!
//! The state is that of one event loop, so it is kept by thread. A loop without the hooks knows nothing and bounds nothing.

use std::{
    cell::Cell,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::clock::Stopwatch;

/// How long after a stop requests still count as those that waited through it.
const AFTERMATH: Duration = Duration::from_millis(50);
/// A loop that rested for at least so long had nothing left to do: what woke it came then.
const REST: Duration = Duration::from_millis(5);
/// What is said of a wait that nobody knows the length of: longer than any deadline.
const UNKNOWN: Duration = Duration::from_secs(3600);

thread_local! {
    static LOOP: EventLoop = const {
        let (woken, parked, busy, continued) = (Cell::new(None), Cell::new(None), Cell::new(Duration::ZERO), Cell::new(None));
        EventLoop { woken, parked, busy, continued }
    };
}

/// Set by the handler of SIGCONT.
static CONTINUED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

struct EventLoop {
    /// When it last had nothing to do and was woken.
    woken: Cell<Option<Stopwatch>>,
    /// When it last began to wait.
    parked: Cell<Option<Stopwatch>>,
    /// How long it was busy before that without a break.
    busy: Cell<Duration>,
    /// When the process was last found to have been stopped.
    continued: Cell<Option<Stopwatch>>,
}

impl EventLoop {
    fn look_for_a_stop(&self) {
        if CONTINUED.swap(false, Ordering::AcqRel) {
            self.continued.set(Some(Stopwatch::start()));
        }
    }
}

/// The event loop of this thread has nothing to do; to be called before it waits.
pub fn parks() {
    LOOP.with(|state| {
        state.busy.set(state.woken.get().map_or(Duration::ZERO, |woken| woken.elapsed()));
        state.parked.set(Some(Stopwatch::start()));
    });
}

/// The event loop of this thread goes on; to be called after it waited.
pub fn wakes() {
    LOOP.with(|state| {
        if state.parked.get().is_none_or(|parked| parked.elapsed() >= REST) {
            state.busy.set(Duration::ZERO);
        }
        state.woken.set(Some(Stopwatch::start()));
        // the signal that continues the process ends the wait, so a stop is noticed when it ends and not at the next request
        state.look_for_a_stop();
    });
}

/// The flag that the handler of SIGCONT sets.
pub fn continued() -> Arc<AtomicBool> {
    Arc::clone(&CONTINUED)
}

/// The longest that what was just read can have waited, on a connection whose socket was last seen empty at `emptied`.
pub fn waited(emptied: Option<Stopwatch>) -> Duration {
    let in_loop = LOOP.with(|state| {
        state.look_for_a_stop();
        if state.continued.get().is_some_and(|continued| continued.elapsed() < AFTERMATH) {
            return UNKNOWN;
        }
        // it came after the loop last looked at its sockets, which is no earlier than it was woken the time before
        state.woken.get().map_or(Duration::ZERO, |woken| woken.elapsed() + state.busy.get())
    });
    emptied.map_or(in_loop, |emptied| in_loop.min(emptied.elapsed()))
}

/// How long something took that began before it was read; `None` when that is not known.
pub fn known(latency: Duration) -> Option<Duration> {
    (latency < UNKNOWN).then_some(latency)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Spins, since a test does not sleep.
    fn pass(time: Duration) -> Stopwatch {
        let watch = Stopwatch::start();
        while watch.elapsed() < time {
            thread::yield_now();
        }
        watch
    }

    #[test]
    fn a_loop_without_hooks_bounds_nothing() {
        thread::spawn(|| assert_eq!(waited(None), Duration::ZERO)).join().unwrap();
    }

    #[test]
    fn a_wait_is_as_long_as_the_loop_was_busy_and_no_longer_than_since_the_socket_was_empty() {
        let checked = thread::spawn(|| {
            wakes();
            pass(Duration::from_millis(20));
            assert!(waited(None) >= Duration::from_millis(20));
            let emptied = Stopwatch::start();
            assert!(waited(Some(emptied)) <= emptied.elapsed());
            // the loop was busy for that long, then found more at once
            parks();
            wakes();
            assert!(waited(None) >= Duration::from_millis(20));
            // it rested, and what woke it came then
            parks();
            pass(Duration::from_millis(20));
            wakes();
            let woken = Stopwatch::start();
            assert!(waited(None) < Duration::from_millis(10) + woken.elapsed());
        });
        checked.join().unwrap();
    }
}
