//! The names that trades have had: a signal under one of them is a repeat, or takes the name of another trade.
//!
//! Open trades are remembered for some days. A name that comes again after months must be known as quickly, and
//! nobody may wait for the disk before a signal is answered. So of each name no more than two numbers are kept: a hash of
//! the name, and one of when its signal fired, for what and which way. A new name is taken for a known one once in
//! 10^12 or so, which costs it the word of a model and nothing else.
#![deny(clippy::indexing_slicing)]

mod sealed;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher},
    mem,
};

use serde::{Deserialize, Serialize};

use self::sealed::Sealed;
use crate::domain::{Side, Signal, Symbol, Timestamp, TradeId};

/// Names that are kept unless somebody says otherwise.
pub const MOST_NAMES: usize = 2_000_000;

/// The latest names, at most so many.
#[derive(Debug, Clone, PartialEq)]
pub struct Names {
    most: usize,
    /// The hash of each name, and of its first signal with [`ANSWERED`]. When there is no room the older half goes at once.
    older: Half,
    newer: Half,
    /// The hashes of those under which another signal came.
    reused: HashSet<u64>,
    forgotten: u64,
}

/// Those that were stored, which all copies share, and behind them what came or changed since.
#[derive(Debug, Clone, Default)]
struct Half {
    sealed: Sealed,
    /// Those of `sealed` too that are otherwise by now.
    since: Known,
    /// Names in `since` that are not in `sealed`.
    new: usize,
}

/// By the hash of a name.
type Known = HashMap<u64, u64, BuildHasherDefault<Hashed>>;

/// The bit of a signal's hash that says whether a signal of this name was answered here.
const ANSWERED: u64 = 1;

/// Keys that are hashes already.
#[derive(Debug, Clone, Copy, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Names as they are stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct NamesImage {
    older: Sealed,
    newer: Sealed,
    reused: Vec<u64>,
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
        Self { most, older: Half::default(), newer: Half::default(), reused: HashSet::new(), forgotten: 0 }
    }

    /// A trade of this name began with a signal that fired `at`, for `symbol`, to `side`; `answered`: here, and not in a file.
    /// The first one stays.
    pub fn take(&mut self, trade_id: &TradeId, at: Timestamp, symbol: &Symbol, side: Side, answered: bool) {
        let name = hash(trade_id);
        let bit = u64::from(answered) * ANSWERED;
        if self.mark(name, bit) {
            return;
        }
        if self.newer.len() >= self.most.div_ceil(2) {
            let gone = mem::replace(&mut self.older, mem::take(&mut self.newer));
            self.forgotten += gone.len() as u64;
            self.reused.retain(|name| gone.get(*name).is_none());
        }
        self.newer.insert(name, (hash(&(at, symbol, side)) & !ANSWERED) | bit);
    }

    /// Room for so many more, as far as they are kept: who takes a name does not wait for it.
    pub fn make_room(&mut self, names: usize) {
        self.newer.since.reserve(names.min(self.most.div_ceil(2).saturating_sub(self.newer.len())));
    }

    /// Whether the name of `signal` is known as that of another one.
    pub fn is_of_another(&self, signal: &Signal) -> bool {
        let known = self.known(&signal.trade_id);
        known.is_some_and(|known| (known ^ hash(&(signal.at, &signal.symbol, signal.side))) & !ANSWERED != 0)
    }

    /// Whether a signal of this name was answered here; `None` where the name is not known.
    pub fn was_answered(&self, trade_id: &TradeId) -> Option<bool> {
        self.known(trade_id).map(|known| known & ANSWERED == ANSWERED)
    }

    fn known(&self, trade_id: &TradeId) -> Option<u64> {
        let name = hash(trade_id);
        self.newer.get(name).or_else(|| self.older.get(name))
    }

    /// Sets a bit of a name that is known. False: it is not.
    fn mark(&mut self, name: u64, bit: u64) -> bool {
        let halves = [&mut self.newer, &mut self.older];
        halves.into_iter().any(|half| half.get(name).is_some_and(|known| half.set(name, known, known | bit)))
    }

    /// Another signal came under a name that is known, and was answered.
    pub fn reuse(&mut self, trade_id: &TradeId) {
        let name = hash(trade_id);
        self.reused.insert(name);
        self.mark(name, ANSWERED);
    }

    /// Whether one did.
    pub fn was_reused(&self, trade_id: &TradeId) -> bool {
        self.reused.contains(&hash(trade_id))
    }

    /// Keeps all of them in the form that takes the least memory, for who folds many. It looks at each: nobody who answers may wait.
    pub fn settle(&mut self) {
        for half in [&mut self.older, &mut self.newer].into_iter().filter(|half| !half.since.is_empty()) {
            *half = Half { sealed: half.seal(), ..Half::default() };
        }
    }

    /// How many are kept at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many there are.
    pub fn count(&self) -> NameCount {
        NameCount { known: self.older.len() + self.newer.len(), forgotten: self.forgotten }
    }

    /// As they are stored: equal names give equal bytes.
    pub(super) fn image(&self) -> NamesImage {
        let mut reused: Vec<u64> = self.reused.iter().copied().collect();
        reused.sort_unstable();
        NamesImage { older: self.older.seal(), newer: self.newer.seal(), reused, forgotten: self.forgotten }
    }

    /// The names that were stored, of which at most `most` are kept from now on.
    pub(super) fn of(image: NamesImage, most: usize) -> Self {
        let NamesImage { older, newer, reused, forgotten } = image;
        let half = |sealed| Half { sealed, ..Half::default() };
        Self { most, older: half(older), newer: half(newer), reused: reused.into_iter().collect(), forgotten }
    }
}

impl Half {
    fn get(&self, name: u64) -> Option<u64> {
        self.since.get(&name).copied().or_else(|| self.sealed.get(name))
    }

    /// A name that is not known yet.
    fn insert(&mut self, name: u64, signal: u64) {
        self.since.insert(name, signal);
        self.new += 1;
    }

    /// A name that is known is `signal` from now on; true.
    fn set(&mut self, name: u64, known: u64, signal: u64) -> bool {
        if known != signal {
            self.since.insert(name, signal);
        }
        true
    }

    fn len(&self) -> usize {
        self.sealed.len() + self.new
    }

    fn seal(&self) -> Sealed {
        self.sealed.with(self.since.iter().map(|(name, signal)| (*name, *signal)).collect())
    }
}

/// By what is known, and not by how it is kept.
impl PartialEq for Half {
    fn eq(&self, other: &Self) -> bool {
        self.seal() == other.seal()
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
        names.take(&signal.trade_id, signal.at, &signal.symbol, signal.side, true);
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
    fn names_that_settle_are_known_as_before() {
        let (mut settled, mut others) = (Names::new(100), Names::new(100));
        for name in 0..120 {
            let signal = signal(name, name % 60, "long");
            take(&mut settled, &signal);
            take(&mut others, &signal);
            if name % 7 == 0 {
                settled.reuse(&signal.trade_id);
                others.reuse(&signal.trade_id);
                settled.settle();
            }
        }
        settled.settle();
        assert!(settled.newer.since.is_empty() && settled.older.since.is_empty());
        assert_eq!(settled, others);
        assert_eq!(settled.count(), others.count());
        take(&mut settled, &signal(119, 7, "short"));
        assert!(settled.is_of_another(&signal(119, 7, "short")) && !settled.is_of_another(&signal(119, 59, "long")));
    }

    #[test]
    fn what_came_from_a_file_and_was_answered_later_is_told_from_what_was_not() {
        let mut names = Names::new(100);
        let first = signal(1, 0, "long");
        assert_eq!(names.was_answered(&first.trade_id), None);
        names.take(&first.trade_id, first.at, &first.symbol, first.side, false);
        assert_eq!(names.was_answered(&first.trade_id), Some(false));
        take(&mut names, &first);
        assert_eq!(names.was_answered(&first.trade_id), Some(true));
        assert!(!names.is_of_another(&first) && names.is_of_another(&signal(1, 7, "long")));
    }

    #[test]
    fn names_come_back_from_their_bytes_as_they_were() {
        let mut names = Names::new(100);
        (0..130).for_each(|name| take(&mut names, &signal(name, 0, "long")));
        names.reuse(&signal(129, 0, "long").trade_id);
        let bytes = postcard::to_allocvec(&names.image()).unwrap();
        let back = Names::of(postcard::from_bytes(&bytes).unwrap(), 100);
        assert_eq!(back, names);
        assert_eq!(postcard::to_allocvec(&back.image()).unwrap(), bytes);
    }

    #[test]
    fn what_came_and_what_changed_since_they_were_stored_counts_as_if_they_had_never_been() {
        let (mut through, mut stored) = (Names::new(1000), Names::new(1000));
        for round in 0..4 {
            for name in 0..100 {
                let signal = signal(100 * (round / 2) + name, 0, "long");
                for names in [&mut through, &mut stored] {
                    names.take(
                        &signal.trade_id,
                        signal.at,
                        &signal.symbol,
                        signal.side,
                        round % 2 == 1 && name % 3 == 0,
                    );
                }
            }
            through.reuse(&signal(round, 0, "long").trade_id);
            stored.reuse(&signal(round, 0, "long").trade_id);
            stored = Names::of(stored.image(), 1000);
        }
        assert_eq!((stored.count(), through.count().known), (through.count(), 200));
        assert_eq!(stored, through);
        assert_eq!(stored.was_answered(&signal(3, 0, "long").trade_id), Some(true));
        assert_eq!(stored.was_answered(&signal(4, 0, "long").trade_id), Some(false));
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
