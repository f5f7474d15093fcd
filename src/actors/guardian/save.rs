//! What took a model's word away is written until it is on disk, and an order is on disk before it takes effect.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    thread,
    time::Duration,
};

use tokio::{
    select,
    sync::{MutexGuard, Notify},
    time::{sleep, timeout},
};

use super::{GuardianShared, SAVE_RETRY};
use crate::{
    actors::{
        acknowledge::{all_stored, retry},
        journal::{Unavailable, Written},
        supervision::{Place, Tries},
    },
    domain::{Event, EventKind, event::By},
    journal::{Applied, Write},
    lifecycle::roster::Roster,
    protocol::message::WireError,
};

/// How the writes of what took a model's word away fare. Who waits for one looks again whenever the bell rings.
#[derive(Debug, Default)]
pub struct Attempts {
    failed: Cell<u64>,
    /// The commit of an order failed, and nobody knows whether it is on disk.
    order_in_doubt: Cell<bool>,
    bell: Notify,
}

impl Attempts {
    pub(super) fn count(&self, durable: bool) {
        self.failed.set(self.failed.get() + u64::from(!durable));
        self.bell.notify_waiters();
    }

    fn doubt_the_order(&self, is_in_doubt: bool) {
        self.order_in_doubt.set(is_in_doubt);
        self.bell.notify_waiters();
    }
}

/// Events that took a model's word away and are being written. They are written again if that panics.
pub(super) struct Unwritten {
    shared: GuardianShared,
    events: Vec<Event>,
}

impl Drop for Unwritten {
    fn drop(&mut self) {
        if thread::panicking() {
            // what was recorded may not have been told of either
            self.shared.trade_news.read_again();
            self.shared.write_after(SAVE_RETRY, std::mem::take(&mut self.events));
        }
    }
}

/// The events of the order under way, told of until this is dropped.
pub(super) struct UnderWay(Rc<RefCell<Vec<Event>>>);

impl UnderWay {
    pub(super) fn begin(told: &Rc<RefCell<Vec<Event>>>, events: &[Event]) -> Self {
        *told.borrow_mut() = events.to_vec();
        Self(Rc::clone(told))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.borrow_mut().clear();
    }
}

impl GuardianShared {
    /// Where all versions stand: by what is on disk, and behind that by what took a model's word away and is not there yet. So it
    /// is what the log will say.
    pub(super) fn in_force(&self) -> Roster {
        let mut roster = self.trade_news.roster();
        self.unsaved.borrow().iter().for_each(|event| roster.apply(&event.kind));
        roster
    }

    /// Waits until what is written next stands behind every order that was begun before.
    pub(super) async fn behind_orders(&self) -> Option<MutexGuard<'_, ()>> {
        loop {
            // listening before looking
            let rung = self.attempts.bell.notified();
            if self.attempts.order_in_doubt.get() {
                return None; // it was handed to the journal, however it ends there
            }
            select! {
                turn = self.turn.lock() => return Some(turn),
                () = rung => {}
            }
        }
    }

    /// Writes what gives a model influence, and waits until it is known whether it is on disk. If so, its `events` count, whichever part
    /// fails then.
    ///
    /// # Errors
    /// When it is not, or not all of it can be stored; then none of it is.
    pub(super) async fn write_order(&self, writes: Vec<Write>, events: &[Event]) -> Result<(), WireError> {
        let (first, known) = self.journal.attempt(writes);
        let mut written = first.await;
        if written.as_ref().is_err_and(|error| error.in_doubt) {
            self.attempts.doubt_the_order(true);
            written = known.await;
            self.attempts.doubt_the_order(false);
        }
        all_stored(written)?;
        events.iter().for_each(|event| self.trade_news.event(event));
        Ok(())
    }

    /// `events` were handed to the journal. True when they are on disk after the first attempt; else they are written until they
    /// are.
    pub(super) async fn save(
        &self,
        events: Vec<Event>,
        first: impl Future<Output = Written>,
        known: impl Future<Output = Written> + 'static,
    ) -> bool {
        let first = first.await;
        if !first.as_ref().is_err_and(|error| error.in_doubt) {
            return self.settle(events, &first).await;
        }
        self.attempts.count(false);
        let shared = self.clone();
        let unwritten = self.unwritten(&events);
        self.failures.spawn(Place::GuardianSave, async move {
            let _until_it_is_known = unwritten;
            shared.settle(events, &known.await).await;
        });
        false
    }

    /// It is known what became of `events`, which took a model's word away. True when they are on disk; else they are written
    /// until they are: they must survive a restart.
    pub(super) async fn settle(&self, events: Vec<Event>, written: &Written) -> bool {
        if events.is_empty() {
            return true;
        }
        let left = self.saved(events, written).await;
        let durable = left.is_empty();
        self.attempts.count(durable);
        if !durable {
            self.write_again(left);
        }
        durable
    }

    /// `events` are being written: whoever does that and panics has them written again.
    pub(super) fn unwritten(&self, events: &[Event]) -> Unwritten {
        Unwritten { shared: self.clone(), events: events.to_vec() }
    }

    /// Writes `events` until they are on disk.
    pub(super) fn write_again(&self, events: Vec<Event>) {
        self.write_after(Duration::ZERO, events);
    }

    fn write_after(&self, pause: Duration, mut events: Vec<Event>) {
        let (shared, mut tries) = (self.clone(), Tries::new(SAVE_RETRY, u32::MAX));
        let unwritten = self.unwritten(&events);
        self.failures.spawn(Place::GuardianSave, async move {
            let _until_they_are = unwritten;
            if !pause.is_zero() {
                sleep(pause).await;
            }
            loop {
                events.retain(|event| shared.unsaved.borrow().contains(event));
                if events.is_empty() {
                    break;
                }
                let writes = events.iter().cloned().map(Write::Event).collect();
                let healed = shared.journal.healed();
                let written = shared.journal.write(writes).await;
                events = shared.saved(events, &written).await;
                if events.is_empty() {
                    break;
                }
                shared.attempts.count(false);
                if shared.journal.has_ended() {
                    return;
                }
                // the first thing that a disk takes which heals
                let _either = timeout(tries.fail().unwrap_or(SAVE_RETRY), healed).await;
            }
            shared.attempts.count(true);
        });
    }

    /// Has what is on disk of `events` known as such, behind the order that it was written behind. Gives back what is to be
    /// written again. What can never be written silences more: all is locked in its place.
    async fn saved(&self, events: Vec<Event>, written: &Written) -> Vec<Event> {
        let Ok(applied) = written else { return events };
        let _order_under_way = self.turn.lock().await;
        let mut left = Vec::new();
        for (event, applied) in events.into_iter().zip(applied) {
            let replaced = match applied {
                Applied::Unwritable { why } => in_place_of(&event, why),
                _ => {
                    self.trade_news.event(&event);
                    None
                }
            };
            let mut unsaved = self.unsaved.borrow_mut();
            unsaved.retain(|other| *other != event);
            if let Some(lock) = replaced {
                unsaved.push(lock.clone());
                left.push(lock);
                let locked = self.serving.load().silenced("what silenced a model cannot be recorded".to_owned());
                self.serving.store(locked.into());
            }
        }
        left
    }

    /// Waits until what was silenced `before`, perhaps by an earlier attempt at the same outcome, is on disk: no outcome is
    /// acknowledged sooner. Whoever silenced it writes it, and nobody else: it is recorded once.
    pub(super) async fn catch_up(&self, before: &[Event]) -> Result<(), WireError> {
        let failed = self.attempts.failed.get();
        loop {
            // listening before looking: what is saved in between is not missed
            let rung = self.attempts.bell.notified();
            if !self.unsaved.borrow().iter().any(|event| before.contains(event)) {
                return Ok(());
            }
            if self.attempts.failed.get() > failed {
                return Err(retry(&Unavailable::in_doubt("what follows from an earlier outcome is not on disk yet")));
            }
            // also where nobody rings: a kill keeps its lock among the unsaved until the guardian has it
            let _rung_or_not = timeout(SAVE_RETRY, rung).await;
        }
    }
}

/// What is recorded in the place of an event that cannot be: a lock, unless it is a mere word to people.
fn in_place_of(event: &Event, why: &str) -> Option<Event> {
    tracing::error!(why, ?event, "an event cannot be recorded");
    if matches!(event.kind, EventKind::Alert { .. }) {
        return None;
    }
    let reason = format!("what silenced a model cannot be recorded: {why}");
    Some(Event { at: event.at, kind: EventKind::Locked { reason, by: By::Daemon("guardian".into()), until: None } })
}
