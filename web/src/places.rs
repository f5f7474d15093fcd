//! Which connections there may be. Who has shown nothing keeps nobody out: a new connection takes the place of the stranger who has
//! been silent for the longest. A connection that has shown a right to be here is kept, and no stranger takes its place.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

/// How many connections there may be of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// That have shown nothing yet, or whose token was wrong.
    pub strangers: usize,
    /// That have shown a token, or are open pages.
    pub kept: usize,
}

/// All places.
#[derive(Debug)]
pub struct Places {
    most: Most,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Grows with each request, so that the smallest is that of the longest silence.
    last: u64,
    strangers: BTreeMap<u64, Arc<Notify>>,
    kept: usize,
}

/// That of one connection; leaving it makes room.
#[derive(Debug)]
pub struct Seat {
    places: Arc<Places>,
    /// Its number among the strangers.
    number: Mutex<u64>,
    is_kept: AtomicBool,
    leave: Arc<Notify>,
}

impl Places {
    /// None is taken.
    pub fn new(most: Most) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default() })
    }

    /// A place for a new connection. If there is none, the stranger who was silent for the longest has to leave.
    pub fn take(self: &Arc<Self>) -> Arc<Seat> {
        let leave = Arc::new(Notify::new());
        let mut open = self.open();
        while open.strangers.len() >= self.most.strangers {
            let Some((_, oldest)) = open.strangers.pop_first() else { break };
            oldest.notify_one();
        }
        let number = open.next();
        open.strangers.insert(number, Arc::clone(&leave));
        drop(open);
        let (places, number) = (Arc::clone(self), Mutex::new(number));
        Arc::new(Seat { places, number, is_kept: AtomicBool::new(false), leave })
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        // every change is whole before anything could fail
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Seat {
    /// The connection has asked something: it is no longer the one that was silent for the longest.
    pub fn heard(&self) {
        self.renumber(|open, leave| {
            let number = open.next();
            open.strangers.insert(number, leave);
            number
        });
    }

    /// The connection has shown a right to be here. Says whether it is kept; if too many are, it is to be closed after its answer.
    pub fn keep(&self) -> bool {
        if self.is_kept() {
            return true;
        }
        let most = self.places.most.kept;
        self.renumber(|open, leave| {
            if open.kept < most {
                open.kept += 1;
                self.is_kept.store(true, Ordering::Relaxed);
                return 0;
            }
            let number = open.next();
            open.strangers.insert(number, leave);
            number
        });
        self.is_kept()
    }

    /// Returns when the place is another's.
    pub async fn given_up(&self) {
        self.leave.notified().await;
    }

    fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Relaxed)
    }

    /// Puts a stranger elsewhere; one that had to leave, or is kept, stays as it is.
    fn renumber(&self, put: impl FnOnce(&mut Open, Arc<Notify>) -> u64) {
        let mut open = self.places.open();
        let mut number = self.number.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leave) = open.strangers.remove(&number) {
            *number = put(&mut open, leave);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.places.open();
        if self.is_kept.load(Ordering::Relaxed) {
            open.kept -= 1;
        } else {
            open.strangers.remove(&*self.number.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn had_to_leave(seat: &Seat) -> bool {
        seat.given_up().now_or_never().is_some()
    }

    #[test]
    fn the_longest_silent_stranger_gives_way_and_who_is_kept_never_does() {
        let places = Places::new(Most { strangers: 3, kept: 2 });
        let seats: Vec<_> = (0..3).map(|_| places.take()).collect();
        assert!(seats[0].keep() && seats[0].keep());
        seats[1].heard();
        let fourth = places.take();
        assert!(!seats.iter().any(|seat| had_to_leave(seat)), "there was room");
        let fifth = places.take();
        assert!(had_to_leave(&seats[2]), "it was silent for longer than the one before it");
        assert!(!seats[2].keep(), "its place is another's");
        let rest: Vec<_> = (0..9).map(|_| places.take()).collect();
        assert!(had_to_leave(&seats[1]) && had_to_leave(&fourth) && had_to_leave(&fifth));
        assert_eq!(rest.iter().filter(|seat| had_to_leave(seat)).count(), 6);
        assert!(!had_to_leave(&seats[0]));
    }

    #[test]
    fn a_place_that_is_left_is_free_and_no_more_are_kept_than_there_is_room_for() {
        let places = Places::new(Most { strangers: 2, kept: 1 });
        let (one, other) = (places.take(), places.take());
        assert!(one.keep() && !other.keep());
        drop(one);
        assert!(other.keep());
        drop(other);
        let both = [places.take(), places.take()];
        drop(both);
        let again = [places.take(), places.take()];
        assert!(!again.iter().any(|seat| had_to_leave(seat)));
        let open = places.open();
        assert_eq!((open.strangers.len(), open.kept), (2, 0));
    }
}
