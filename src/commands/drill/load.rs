//! Connections that ask without a pause, and what they hear.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use serde_json::Value;

use super::play::{PATIENCE, signal};
use crate::{clock::Stopwatch, domain::Symbol, protocol::client::Client};

/// What all connections share. Times are in microseconds since it was made.
pub(super) struct Load {
    symbol: Symbol,
    over: AtomicBool,
    /// The day of the signals, from 0.
    pub(super) day: AtomicU64,
    /// When the acknowledgement came; `u64::MAX` before.
    acknowledged: AtomicU64,
    heard: Mutex<Heard>,
    answers: AtomicU64,
    watch: Stopwatch,
}

/// What was heard of a model since the last look.
#[derive(Debug, Default, Clone)]
pub(super) struct Heard {
    /// When the last answer with a word from one came.
    pub(super) last: Option<u64>,
    /// Answers with a word from one that were asked for after the acknowledgement.
    pub(super) after: u64,
    /// Why a connection ended, if one did.
    pub(super) broken: Option<String>,
}

/// Ends the load when it goes.
pub(super) struct Ending<'a>(pub(super) &'a Load);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

impl Load {
    pub(super) fn new(symbol: Symbol) -> Self {
        Self {
            symbol,
            over: AtomicBool::new(false),
            day: AtomicU64::new(0),
            acknowledged: AtomicU64::new(u64::MAX),
            heard: Mutex::default(),
            answers: AtomicU64::new(0),
            watch: Stopwatch::start(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.watch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Answers so far.
    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }

    /// What was heard since this was last asked.
    pub(super) fn take(&self) -> Heard {
        std::mem::take(&mut *self.heard())
    }

    pub(super) fn broken(&self) -> Option<String> {
        self.heard().broken.clone()
    }

    /// The acknowledgement came at this moment, or is still to come.
    pub(super) fn acknowledge(&self, at: Option<u64>) {
        self.acknowledged.store(at.unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Asks until it is over.
    pub(super) fn ask(&self, connection: usize, socket: &Path) {
        let mut client = Client::new(socket, PATIENCE);
        let mut number = 0_u64;
        while !self.over.load(Ordering::Acquire) {
            let line = signal(&self.symbol, self.day.load(Ordering::Acquire), &format!("L-{connection}-{number}"));
            number += 1;
            let asked = self.now();
            let after = asked > self.acknowledged.load(Ordering::Acquire);
            let answer = client.request(&line, PATIENCE);
            let came = self.now();
            match answer {
                Ok(answer) => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                    if answer.get("arm").and_then(Value::as_str) == Some("ml") {
                        let mut heard = self.heard();
                        heard.last = heard.last.max(Some(came));
                        heard.after += u64::from(after);
                    }
                }
                Err(error) => {
                    self.heard().broken = Some(error.to_string());
                    return;
                }
            }
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
