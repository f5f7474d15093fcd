//! Connections that ask without a pause, and what they hear.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value};

use super::scenario::signal;
use crate::{clock::Stopwatch, domain::Symbol, protocol::client::Client};

/// How long an answer may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

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

/// Answers that are told one by one of each look; the others are counted.
const WORDS: usize = 3;

/// A word from a model that must not have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Word {
    /// The trade that was asked about.
    pub(super) trade: String,
    /// Who spoke.
    pub(super) model: String,
    /// How long after the acknowledgement its answer came, in microseconds.
    pub(super) after_us: u64,
}

/// What was heard of a model since the last look.
#[derive(Debug, Default, Clone)]
pub(super) struct Heard {
    /// When the last answer with a word from one came.
    pub(super) last: Option<u64>,
    /// Answers with a word from one that were asked for after the acknowledgement.
    pub(super) after: u64,
    /// The first of these.
    pub(super) words: Vec<Word>,
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

impl Word {
    /// Of the answer about `trade`; `None` when no model had a word in it.
    pub(super) fn of(answer: &Map<String, Value>, trade: &str, after_us: u64) -> Option<Self> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        (text("arm")? == "ml").then(|| Self {
            trade: trade.to_owned(),
            model: text("model").unwrap_or("an unnamed model").to_owned(),
            after_us,
        })
    }
}

impl Heard {
    /// Counts a word that was asked for after the acknowledgement.
    pub(super) fn count(&mut self, word: Word) {
        self.after += 1;
        if self.words.len() < WORDS {
            self.words.push(word);
        }
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
            let trade = format!("L-{connection}-{number}");
            let line = signal(&self.symbol, self.day.load(Ordering::Acquire), &trade);
            number += 1;
            let asked = self.now();
            let acknowledged = self.acknowledged.load(Ordering::Acquire);
            let answer = client.request(&line, PATIENCE);
            let came = self.now();
            match answer {
                Ok(answer) => {
                    self.answers.fetch_add(1, Ordering::Relaxed);
                    if let Some(word) = Word::of(&answer, &trade, came.saturating_sub(acknowledged)) {
                        let mut heard = self.heard();
                        heard.last = heard.last.max(Some(came));
                        if asked > acknowledged {
                            heard.count(word);
                        }
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
