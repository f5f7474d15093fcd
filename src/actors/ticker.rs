//! A beat for the serving thread, kept by a thread of its own.
//!
//! A timer of the serving thread's would be set again each time it waits for a request, at a cost to every score; and what
//! is looked at with each beat may be on a disk.

use std::{io, thread, time::Duration};

use tokio::sync::mpsc::{self, error::TrySendError};

use super::supervision::{Failures, Place};

/// Starts a thread `name` that looks every `period` and tells what it saw, for as long as somebody listens. What is not
/// taken before the next beat is as good as the next. A look that panics is counted, and the next one is made all the same.
///
/// # Errors
/// What the system says when it gives no thread.
pub fn start<T: Send + 'static>(
    name: &str,
    period: Duration,
    watched: (Failures, Place),
    mut look: impl FnMut() -> T + Send + 'static,
) -> io::Result<mpsc::Receiver<T>> {
    let (beat, beats) = mpsc::channel(1);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let (failures, place) = watched;
        loop {
            let seen = failures.caught(place, &mut look).ok();
            let is_gone = match seen {
                Some(seen) => matches!(beat.try_send(seen), Err(TrySendError::Closed(_))),
                None => beat.is_closed(),
            };
            if is_gone {
                return;
            }
            thread::sleep(period);
        }
    })?;
    Ok(beats)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::actors::supervision::Tripwire;

    #[test]
    fn it_beats_while_somebody_listens_and_ends_with_them() {
        let (alive, ended) = channel::<()>();
        let mut seen = 0;
        let (failures, mut counted) = Failures::new(Tripwire::default());
        let mut beats = start("pulse-test", Duration::from_millis(1), (failures, Place::WatchdogBeat), move || {
            let _held_by_the_thread = &alive;
            seen += 1;
            assert!(seen != 2, "at the second look");
            seen
        })
        .unwrap();
        assert_eq!(beats.blocking_recv(), Some(1), "at once");
        let next = beats.blocking_recv().unwrap();
        assert!(next > 2, "{next}");
        let failure = counted.blocking_recv().unwrap();
        assert_eq!((failure.actor, &*failure.panic), ("watchdog", "at the second look"));
        drop(beats);
        assert!(
            ended
                .recv_timeout(Duration::from_secs(10))
                .is_err_and(|error| error != std::sync::mpsc::RecvTimeoutError::Timeout)
        );
    }
}
