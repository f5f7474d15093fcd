//! What the threads share: the spool, and a bell that rings when something came.

use std::{
    io,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    alert::{Alert, Level},
    clock::{self, Stopwatch},
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
    /// Whether the disk took nothing the last time.
    is_unwritten: bool,
    /// Since that was told.
    lamented: Option<Stopwatch>,
}

/// How long nobody is told again that the disk takes nothing: what is told is written too.
const LAMENT: Duration = Duration::from_secs(3600);

impl Desk {
    /// With this spool.
    pub fn new(spool: Spool) -> Self {
        Self {
            state: Mutex::new(State { spool, is_over: false, is_unwritten: false, lamented: None }),
            bell: Condvar::new(),
        }
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

    /// Tells that the disk does not take something.
    pub fn lament(&self, words: &str) {
        self.lock().lament(words);
        self.bell.notify_all();
    }

    /// Makes the spool again if somebody removed it. Gives back whether that was so.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn restore(&self) -> io::Result<bool> {
        let mut state = self.lock();
        if state.spool.is_in_place() {
            return Ok(false);
        }
        state.spool.restore().map(|()| true)
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
                    self.lament(&format!("what was taken in: {error}"));
                }
            }
        }
    }

    fn lament(&mut self, words: &str) {
        let now = clock::now();
        say(
            Level::Critical,
            &format!("the disk does not take {words}; messages go on, and may come twice after a restart"),
        );
        if self.lamented.is_none_or(|since| since.elapsed() >= LAMENT) {
            self.lamented = Some(Stopwatch::start());
            let alert = Alert::own(now, Level::Critical, "notify_unwritten", format!("the disk does not take {words}"));
            self.spool.push(now, Some(alert));
        }
    }
}
