//! The names that trades have had: a signal under one of them is a repeat, or takes the name of another trade.
//!
//! The desk remembers the trades of the last days. A name that comes again after months must be known as quickly, and
//! nobody may wait for the disk before a signal is answered. So of each name no more than two numbers are kept: a hash of
//! the name, and one of when its signal fired, for what and which way. A new name is taken for a known one once in
//! 10^12 or so, which costs it the word of a model and nothing else.
#![deny(clippy::indexing_slicing)]

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    mem,
};

use serde::Serialize;

use crate::domain::{Side, Signal, Symbol, Timestamp, TradeId};

/// Names that are kept unless somebody says otherwise.
pub const MOST_NAMES: usize = 2_000_000;

/// The latest names, at most so many.
#[derive(Debug, Clone, PartialEq)]
pub struct Names {
    most: usize,
    /// The hash of each name, and of its first signal. When there is no room the older half goes at once.
    older: HashMap<u64, u64>,
    newer: HashMap<u64, u64>,
    /// The hashes of those under which another signal came.
    reused: HashSet<u64>,
    forgotten: u64,
}

/// How many names are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NameCount {
    /// Trade ids that are held in memory.
    pub known: usize,
    /// Trade ids that there was no room for, the oldest ones: one of them that comes again is not noticed before its
    /// outcome contradicts the one that is recorded.
    pub forgotten: u64,
}

impl Names {
    /// None yet; at most `most` are kept.
    pub fn new(most: usize) -> Self {
        Self { most, older: HashMap::new(), newer: HashMap::new(), reused: HashSet::new(), forgotten: 0 }
    }

    /// A trade of this name began with a signal that fired `at`, for `symbol`, to `side`. The first one stays.
    pub fn take(&mut self, trade_id: &TradeId, at: Timestamp, symbol: &Symbol, side: Side) {
        let name = hash(trade_id);
        if self.older.contains_key(&name) || self.newer.contains_key(&name) {
            return;
        }
        if self.newer.len() >= self.most.div_ceil(2) {
            let gone = mem::replace(&mut self.older, mem::take(&mut self.newer));
            self.forgotten += gone.len() as u64;
            self.reused.retain(|name| !gone.contains_key(name));
        }
        self.newer.insert(name, hash(&(at, symbol, side)));
    }

    /// Room for so many more, as far as they are kept: who takes a name does not wait for it.
    pub fn make_room(&mut self, names: usize) {
        self.newer.reserve(names.min(self.most.div_ceil(2).saturating_sub(self.newer.len())));
    }

    /// Whether the name of `signal` is known as that of another one.
    pub fn is_of_another(&self, signal: &Signal) -> bool {
        let name = hash(&signal.trade_id);
        let known = self.newer.get(&name).or_else(|| self.older.get(&name));
        known.is_some_and(|known| *known != hash(&(signal.at, &signal.symbol, signal.side)))
    }

    /// Another signal came under a name that is known.
    pub fn reuse(&mut self, trade_id: &TradeId) {
        self.reused.insert(hash(trade_id));
    }

    /// Whether one did.
    pub fn was_reused(&self, trade_id: &TradeId) -> bool {
        self.reused.contains(&hash(trade_id))
    }

    /// How many there are.
    pub fn count(&self) -> NameCount {
        NameCount { known: self.older.len() + self.newer.len(), forgotten: self.forgotten }
    }
}

/// The same in every process.
fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SignalLine;

    fn signal(name: usize, minute: usize, side: &str) -> Signal {
        let line = format!(
            r#"{{"trade_id":"T-{name}","at":"2025-09-01T12:{minute:02}:00Z","symbol":"ES","side":"{side}","features":{{}}}}"#
        );
        SignalLine::parse(line.as_bytes()).unwrap().signal
    }

    fn take(names: &mut Names, signal: &Signal) {
        names.take(&signal.trade_id, signal.at, &signal.symbol, signal.side);
    }

    #[test]
    fn the_first_signal_of_a_name_stays_and_another_is_told_apart() {
        let mut names = Names::new(100);
        let first = signal(1, 0, "long");
        assert!(!names.is_of_another(&first));
        take(&mut names, &first);
        take(&mut names, &signal(1, 7, "long"));
        assert!(!names.is_of_another(&first), "a repeat");
        assert!(names.is_of_another(&signal(1, 7, "long")) && names.is_of_another(&signal(1, 0, "short")));
        assert!(!names.is_of_another(&signal(2, 7, "short")));
        assert!(!names.was_reused(&first.trade_id));
        names.reuse(&first.trade_id);
        assert!(names.was_reused(&first.trade_id));
    }

    #[test]
    fn so_many_are_kept_and_no_more_the_latest_and_the_others_are_counted() {
        let mut names = Names::new(100);
        (0..1000).for_each(|name| take(&mut names, &signal(name, 0, "long")));
        let NameCount { known, forgotten } = names.count();
        assert!((50..=100).contains(&known), "{known}");
        assert_eq!(known as u64 + forgotten, 1000);
        let again = |name| names.is_of_another(&signal(name, 7, "long"));
        assert!((950..1000).all(again) && !(0..900).any(again));
    }
}
