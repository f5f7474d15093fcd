//! What the threads share: the spool, and a bell that rings when something came.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    alert::{Alert, Level},
    clock,
    log::say,
    message::Mark,
    spool::Spool,
};

/// The spool and its bell.
#[derive(Debug)]
pub struct Desk {
    state: Mutex<State>,
    bell: Condvar,
}

/// What is behind the lock.
#[derive(Debug)]
pub struct State {
    /// What was taken in.
    pub spool: Spool,
    /// Whether it is over.
    pub is_over: bool,
    /// Whether it was told that the disk takes nothing.
    is_unwritten: bool,
}

impl Desk {
    /// With this spool.
    pub fn new(spool: Spool) -> Self {
        Self { state: Mutex::new(State { spool, is_over: false, is_unwritten: false }), bell: Condvar::new() }
    }

    /// Whoever panicked with it left whole entries: one is pushed as one.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the bell, at most for `patience`.
    pub fn wait<'a>(&self, state: MutexGuard<'a, State>, patience: Duration) -> MutexGuard<'a, State> {
        self.bell.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes an alert in, with how far the daemon is followed then, and rings.
    pub fn take(&self, alert: Option<Alert>, change: impl FnOnce(&mut Mark)) {
        let mut state = self.lock();
        let mut mark = state.spool.mark().clone();
        change(&mut mark);
        state.spool.set_mark(mark);
        state.spool.push(clock::now(), alert);
        state.write();
        drop(state);
        self.bell.notify_all();
    }

    /// Takes alerts in as one, each with how far the daemon is followed with it, and rings.
    pub fn take_all(&self, alerts: Vec<(Alert, Mark)>) {
        let mut state = self.lock();
        for (alert, mark) in alerts {
            let silent = state.spool.mark().silent;
            state.spool.set_mark(Mark { silent, ..mark });
            state.spool.push(clock::now(), Some(alert));
        }
        state.write();
        drop(state);
        self.bell.notify_all();
    }

    /// Brings to the disk what it did not take before.
    pub fn catch_up(&self) {
        let mut state = self.lock();
        if state.spool.is_behind() {
            state.write();
            drop(state);
            self.bell.notify_all();
        }
    }

    /// Ends all that wait.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.bell.notify_all();
    }
}

impl State {
    /// Writes. When the disk does not take it, people are told all the same, and of that too.
    fn write(&mut self) {
        match self.spool.write() {
            Ok(()) => self.is_unwritten = false,
            Err(error) => {
                if !std::mem::replace(&mut self.is_unwritten, true) {
                    self.lament(&error.to_string());
                }
            }
        }
    }

    /// Tells that the disk does not take something.
    fn lament(&mut self, why: &str) {
        let now = clock::now();
        say(Level::Critical, &format!("the own state cannot be written: {why}; messages go on"));
        let alert = Alert::own(now, Level::Critical, "notify_unwritten", format!("the disk says: {why}"));
        self.spool.push(now, Some(alert));
    }
}
