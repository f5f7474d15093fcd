//! A beat for the serving thread, kept by a thread of its own.
//!
//! A timer of the serving thread's would be set anew each time it waits for a request, at a cost to every score; and what
//! is looked at with each beat may be on a disk.

use std::{io, thread, time::Duration};

use tokio::sync::mpsc::{self, error::TrySendError};

/// Starts a thread `name` that looks every `period` and tells what it saw, for as long as somebody listens. What is not
/// taken before the next beat is as good as the next.
///
/// # Errors
/// What the system says when it gives no thread.
pub fn start<T: Send + 'static>(
    name: &str,
    period: Duration,
    mut look: impl FnMut() -> T + Send + 'static,
) -> io::Result<mpsc::Receiver<T>> {
    let (beat, beats) = mpsc::channel(1);
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        while !matches!(beat.try_send(look()), Err(TrySendError::Closed(_))) {
            thread::sleep(period);
        }
    })?;
    Ok(beats)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn it_beats_while_somebody_listens_and_ends_with_them() {
        let (alive, ended) = channel::<()>();
        let mut seen = 0;
        let mut beats = start("pulse-test", Duration::from_millis(1), move || {
            let _held_by_the_thread = &alive;
            seen += 1;
            seen
        })
        .unwrap();
        assert_eq!(beats.blocking_recv(), Some(1), "at once");
        let next = beats.blocking_recv().unwrap();
        assert!(next > 1, "{next}");
        drop(beats);
        assert!(
            ended
                .recv_timeout(Duration::from_secs(10))
                .is_err_and(|error| error != std::sync::mpsc::RecvTimeoutError::Timeout)
        );
    }
}
