//! The keys of signals: what there is, in the order in which it came, without reading any of it.
#![deny(clippy::indexing_slicing)]

use std::collections::HashSet;

/// The keys of the records of signals, in the order of their numbers: 16 bytes each, and the name of each trade once.
#[derive(Debug, Default)]
pub struct SignalKeys {
    names: String,
    keys: Vec<Key>,
}

/// The number of a record, and where the name of its trade stands in `names`: trades stand there in the order of their first
/// records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    seq: u64,
    start: u32,
    end: u32,
}

impl SignalKeys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Trade and number of the record at `place`.
    pub fn get(&self, place: usize) -> Option<(&str, u64)> {
        self.keys.get(place).map(|key| (self.name(key), key.seq))
    }

    /// Leaves out the oldest of the trades that are `open`, as far as they are more than `most`, and puts the others in the
    /// order of their first records, so that the records of a trade stand together. Says how many trades were left out.
    pub fn leave_out(&mut self, most: usize, open: impl Fn(&str) -> bool) -> usize {
        let mut seen = HashSet::new();
        let is_first = |key: &&Key| seen.insert(key.start);
        let trades: Vec<u32> =
            self.keys.iter().filter(is_first).filter(|key| open(self.name(key))).map(|key| key.start).collect();
        let left_out: HashSet<u32> = trades.iter().copied().take(trades.len().saturating_sub(most)).collect();
        self.keys.retain(|key| !left_out.contains(&key.start));
        self.keys.sort_unstable_by_key(|key| (key.start, key.seq));
        left_out.len()
    }

    /// Takes in a key.
    pub(super) fn push(&mut self, trade_id: &str, seq: u64) {
        let start = self.names.len();
        self.names.push_str(trade_id);
        // four gigabytes of names do not fit into a journal that can be read at all
        self.keys.push(Key { seq, start: start as u32, end: self.names.len() as u32 });
    }

    /// Puts them in the order of their numbers; those of a trade share one name then, the first.
    pub(super) fn sort(&mut self) {
        let names = &self.names;
        let name = |key: &Key| names.get(key.start as usize..key.end as usize).unwrap_or_default();
        self.keys.sort_unstable_by(|a, b| (name(a), a.seq).cmp(&(name(b), b.seq)));
        let mut first: Option<Key> = None;
        for key in &mut self.keys {
            match first.filter(|first| name(first) == name(key)) {
                Some(first) => (key.start, key.end) = (first.start, first.end),
                None => first = Some(*key),
            }
        }
        self.keys.sort_unstable();
    }

    fn name(&self, key: &Key) -> &str {
        let (start, end) = key.place();
        self.names.get(start..end).unwrap_or_default()
    }
}

impl Key {
    fn place(&self) -> (usize, usize) {
        (self.start as usize, self.end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(keys: &SignalKeys) -> Vec<(&str, u64)> {
        (0..keys.len()).filter_map(|place| keys.get(place)).collect()
    }

    #[test]
    fn they_come_by_number_and_the_oldest_open_trades_are_left_out_with_all_their_records() {
        let mut keys = SignalKeys::default();
        for (trade, seq) in [("A", 3), ("A", 9), ("B", 1), ("C", 5), ("C", 6), ("D", 2)] {
            keys.push(trade, seq);
        }
        keys.sort();
        assert_eq!(all(&keys), [("B", 1), ("D", 2), ("A", 3), ("C", 5), ("C", 6), ("A", 9)]);
        // B is closed; of D, A and C the oldest goes
        assert_eq!(keys.leave_out(2, |trade| trade != "B"), 1);
        assert_eq!(all(&keys), [("A", 3), ("A", 9), ("B", 1), ("C", 5), ("C", 6)]);
        assert_eq!(keys.leave_out(0, |trade| trade != "B"), 2);
        assert_eq!(all(&keys), [("B", 1)]);
    }
}
