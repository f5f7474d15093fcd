//! The places of connections, and who gives way when an operator needs one.
#![deny(clippy::indexing_slicing)]

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    rc::Rc,
    time::Duration,
};

use tokio::sync::Notify;

use crate::clock::Stopwatch;

/// How long one request may take before its connection counts as stuck.
const STUCK: Duration = Duration::from_secs(1);
/// How long a new connection has to send its first request before it counts as one that never asks.
const NEW: Duration = Duration::from_secs(1);

/// Open connections and counters of the listener, shared with whoever reports them.
#[derive(Debug, Default)]
pub struct Connections {
    /// Open now.
    pub open: Cell<usize>,
    /// Turned away since the start: for lack of room, to make room, or for lack of permission.
    pub refused: Cell<u64>,
    seats: RefCell<Vec<Rc<Seat>>>,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It waits for a request.
    Waiting,
    /// It tells events to a subscriber.
    Following,
    /// It answers.
    Answering,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    doing: Cell<Doing>,
    /// Whether anything ever came on it.
    was_used: Cell<bool>,
    /// Whether a signal, an outcome or a skip ever came on it.
    trades: Cell<bool>,
    /// When something came last, or when it was opened.
    since: Cell<Stopwatch>,
    /// Whether it gives way, and if so whether in the middle of an answer too.
    leaves: Cell<Option<bool>>,
    leave: Notify,
}

/// A seat that is taken until this is dropped.
pub(super) struct Taken {
    pub(super) seat: Rc<Seat>,
    connections: Rc<Connections>,
}

impl Connections {
    /// Takes a seat for a connection that was admitted.
    pub(super) fn seat(self: &Rc<Self>) -> Taken {
        let seat = Rc::new(Seat {
            doing: Cell::new(Doing::Waiting),
            was_used: Cell::new(false),
            trades: Cell::new(false),
            since: Cell::new(Stopwatch::start()),
            leaves: Cell::new(None),
            leave: Notify::new(),
        });
        self.open.set(self.open.get() + 1);
        self.seats.borrow_mut().push(Rc::clone(&seat));
        Taken { seat, connections: Rc::clone(self) }
    }

    /// Connections that do not give way.
    pub(super) fn staying(&self) -> usize {
        self.seats.borrow().iter().filter(|seat| seat.leaves.get().is_none()).count()
    }

    /// Has one connection give way, in the order of [`Rank`]; of equals the one that has been idle longest. False when all are busy.
    pub(super) fn make_room(&self) -> bool {
        let seats = self.seats.borrow();
        let rank = |seat: &Rc<Seat>| Some((seat.rank()?, Reverse(seat.since.get().elapsed()), Rc::clone(seat)));
        let Some((rank, _, seat)) = seats.iter().filter_map(rank).min_by_key(|(rank, idle, _)| (*rank, *idle)) else {
            return false;
        };
        seat.leaves.set(Some(rank == Rank::Stuck));
        seat.leave.notify_one();
        self.refused.set(self.refused.get() + 1);
        true
    }
}

/// Who gives way first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It never sent anything.
    Unused,
    /// It waits for requests, and never traded.
    Idle,
    /// It was opened just now: perhaps by an operator whose order is on its way.
    New,
    Subscriber,
    /// A trader's, between two requests. Whoever leaks connections loses those first.
    Trader,
    /// Its answer takes too long.
    Stuck,
}

impl Seat {
    fn rank(&self) -> Option<Rank> {
        match self.doing.get() {
            _ if self.leaves.get().is_some() => None,
            Doing::Waiting if self.trades.get() => Some(Rank::Trader),
            Doing::Waiting if self.was_used.get() => Some(Rank::Idle),
            Doing::Waiting if self.since.get().elapsed() < NEW => Some(Rank::New),
            Doing::Waiting => Some(Rank::Unused),
            Doing::Following => Some(Rank::Subscriber),
            Doing::Answering if self.since.get().elapsed() > STUCK => Some(Rank::Stuck),
            Doing::Answering => None,
        }
    }

    /// The connection waits for a request.
    pub(super) fn waits(&self) {
        self.is_free_for(Doing::Waiting);
    }

    /// It tells events from now on.
    pub(super) fn follows(&self) {
        self.is_free_for(Doing::Following);
    }

    fn is_free_for(&self, doing: Doing) {
        self.doing.set(doing);
        if self.leaves.get().is_some() {
            self.leave.notify_one();
        }
    }

    /// It answers what it `received`.
    pub(super) fn answers(&self, received: Stopwatch) {
        self.doing.set(Doing::Answering);
        self.was_used.set(true);
        self.since.set(received);
    }

    /// A request came on it; whether it is a signal, an outcome or a skip.
    pub(super) fn trades(&self, is_trade: bool) {
        self.trades.set(self.trades.get() || is_trade);
    }

    /// Waits until the connection has to give way: between two requests, if it is not stuck. True when it can still be told why.
    pub(super) async fn must_leave(&self) -> bool {
        loop {
            self.leave.notified().await;
            let is_between = self.doing.get() != Doing::Answering;
            match self.leaves.get() {
                Some(_) if is_between => return true,
                Some(true) => return false,
                _ => {}
            }
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.connections.open.set(self.connections.open.get() - 1);
        self.connections.seats.borrow_mut().retain(|seat| !Rc::ptr_eq(seat, &self.seat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_asked_gives_way_first_and_then_who_was_idle_longest_a_trader_late_and_never_who_is_answered() {
        let connections = Rc::new(Connections::default());
        let ago = |seconds: u64| Stopwatch::started_ago(Duration::from_secs(seconds));
        let taken: Vec<Taken> = (0..8).map(|_| connections.seat()).collect();
        let used = |place: usize, seconds: u64| taken[place].seat.answers(ago(seconds));
        used(0, 50);
        taken[0].seat.follows();
        used(1, 20);
        taken[1].seat.waits();
        used(2, 30);
        taken[2].seat.waits();
        used(3, 5);
        used(4, 0);
        // it waits longer than all of them, and trades
        used(6, 100);
        taken[6].seat.trades(true);
        taken[6].seat.waits();
        taken[5].seat.since.set(ago(2));
        let mut left = Vec::new();
        while connections.make_room() {
            let leaves = |place: &usize| taken[*place].seat.leaves.get().is_some() && !left.contains(place);
            let place = (0..8).find(leaves).unwrap();
            left.push(place);
        }
        assert_eq!(left, [5, 2, 1, 7, 0, 6, 3]);
        assert_eq!((connections.staying(), connections.open.get(), connections.refused.get()), (1, 8, 7));
        drop(taken);
        assert_eq!((connections.staying(), connections.open.get()), (0, 0));
    }

    #[tokio::test]
    async fn a_request_that_came_before_it_must_leave_is_answered_first() {
        let connections = Rc::new(Connections::default());
        let taken = connections.seat();
        assert!(connections.make_room());
        taken.seat.answers(Stopwatch::start());
        let mut leaves = std::pin::pin!(taken.seat.must_leave());
        let asked = tokio::time::timeout(Duration::ZERO, leaves.as_mut()).await;
        assert!(asked.is_err(), "it answers");
        taken.seat.waits();
        assert!(leaves.await, "it can be told");
    }
}
