//! Where the records of each trade stand, without reading any of them.
#![deny(clippy::indexing_slicing)]

use std::collections::HashSet;

use super::{
    codec::{self, Kind},
    error::StoreError,
    reader::Reader,
    stream::READING,
};

/// The records of signals and the outcomes that count, by their trades: 16 bytes each, and the names of the trades.
#[derive(Debug, Default)]
pub struct TradeKeys {
    names: String,
    signals: Vec<Key>,
    outcomes: Vec<Key>,
}

/// Where the name of a trade stands among those of a [`TradeKeys`]: the same for all its records, and in the order of their first
/// records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    start: u32,
    end: u32,
}

/// The trade and the number of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: Name,
    seq: u64,
}

impl Reader {
    /// Where the signals before the number `end` stand and the outcomes that count, by their trades. No record is decoded or checked.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn trade_keys(&self, end: u64) -> Result<TradeKeys, StoreError> {
        Ok(self.guarded(READING, || {
            let mut found = TradeKeys::default();
            for entry in self.log_from(0)? {
                let (seq, value) = entry?;
                if seq >= end {
                    break;
                }
                let trade_id = codec::trade_of(value.value()).unwrap_or_default();
                match Kind::of(value.value()) {
                    Some(Kind::Signal) => found.signal(trade_id, seq),
                    Some(Kind::Outcome) if !self.is_replaced(seq)? => found.closed(trade_id, seq),
                    _ => {}
                }
            }
            found.sort();
            Ok(found)
        })?)
    }
}

impl TradeKeys {
    /// The records of signals: those of a trade together, in the order of their numbers, and the trades in that of their first
    /// records.
    pub fn signals(&self) -> impl ExactSizeIterator<Item = (Name, u64)> {
        self.signals.iter().map(|key| (key.name, key.seq))
    }

    /// The same, which are forgotten.
    pub fn take_signals(&mut self) -> impl Iterator<Item = (Name, u64)> + use<> {
        std::mem::take(&mut self.signals).into_iter().map(|key| (key.name, key.seq))
    }

    /// The number of the outcome of a trade.
    pub fn outcome(&self, name: Name) -> Option<u64> {
        let place = self.outcomes.binary_search_by_key(&name, |key| key.name).ok()?;
        self.outcomes.get(place).map(|key| key.seq)
    }

    /// The trade's own name.
    pub fn name(&self, name: Name) -> &str {
        text(&self.names, name)
    }

    /// Leaves out the oldest of the trades without an outcome, as far as they are more than `most`. Says how many trades these were.
    pub fn leave_out(&mut self, most: usize) -> usize {
        let mut open: Vec<Name> = self.signals.iter().map(|key| key.name).collect();
        open.dedup();
        open.retain(|name| self.outcome(*name).is_none());
        open.truncate(open.len().saturating_sub(most));
        let left_out: HashSet<u32> = open.iter().map(|name| name.start).collect();
        self.signals.retain(|key| !left_out.contains(&key.name.start));
        left_out.len()
    }

    /// Takes in the record of a signal.
    fn signal(&mut self, trade_id: &str, seq: u64) {
        let name = self.named(trade_id);
        self.signals.push(Key { name, seq });
    }

    /// Takes in an outcome that counts.
    fn closed(&mut self, trade_id: &str, seq: u64) {
        let name = self.named(trade_id);
        self.outcomes.push(Key { name, seq });
    }

    fn named(&mut self, trade_id: &str) -> Name {
        let start = self.names.len();
        self.names.push_str(trade_id);
        // four gigabytes of names do not fit into a journal that can be read at all
        Name { start: start as u32, end: self.names.len() as u32 }
    }

    /// Gives all records of a trade one name, and puts them in their order. An outcome without a signal goes.
    fn sort(&mut self) {
        let Self { names, signals, outcomes } = self;
        names.shrink_to_fit();
        let of = |key: &Key| text(names, key.name);
        signals.sort_unstable_by(|a, b| (of(a), a.seq).cmp(&(of(b), b.seq)));
        outcomes.sort_unstable_by(|a, b| of(a).cmp(of(b)));
        let mut first: Option<Key> = None;
        let mut closed = outcomes.iter_mut().peekable();
        let mut named = Vec::new();
        for key in signals.iter_mut() {
            match first.filter(|first| of(first) == of(key)) {
                Some(first) => key.name = first.name,
                None => {
                    first = Some(*key);
                    while closed.next_if(|outcome| of(outcome) < of(key)).is_some() {}
                    let own = closed.next_if(|outcome| of(outcome) == of(key));
                    named.extend(own.map(|outcome| Key { name: key.name, seq: outcome.seq }));
                }
            }
        }
        named.sort_unstable();
        *outcomes = named;
        signals.sort_unstable();
    }
}

fn text(names: &str, Name { start, end }: Name) -> &str {
    names.get(start as usize..end as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(keys: &TradeKeys) -> Vec<(&str, u64)> {
        keys.signals().map(|(name, seq)| (keys.name(name), seq)).collect()
    }

    fn closed(keys: &TradeKeys) -> Vec<Option<u64>> {
        keys.signals().map(|(name, _)| keys.outcome(name)).collect()
    }

    #[test]
    fn they_come_by_trade_with_their_outcomes_and_the_oldest_open_trades_are_left_out_with_all_their_records() {
        let mut keys = TradeKeys::default();
        keys.closed("X", 0);
        for (trade, seq) in [("B", 1), ("D", 2), ("A", 3), ("C", 5), ("C", 6), ("A", 9)] {
            keys.signal(trade, seq);
        }
        keys.closed("C", 7);
        keys.closed("B", 8);
        keys.sort();
        assert_eq!(all(&keys), [("B", 1), ("D", 2), ("A", 3), ("A", 9), ("C", 5), ("C", 6)]);
        assert_eq!(closed(&keys), [Some(8), None, None, None, Some(7), Some(7)]);
        // B and C are closed; of D and A the older goes
        assert_eq!(keys.leave_out(2), 0);
        assert_eq!(keys.leave_out(1), 1);
        assert_eq!(all(&keys), [("B", 1), ("A", 3), ("A", 9), ("C", 5), ("C", 6)]);
        assert_eq!(keys.leave_out(0), 1);
        assert_eq!(all(&keys), [("B", 1), ("C", 5), ("C", 6)]);
        assert_eq!(closed(&keys), [Some(8), Some(7), Some(7)]);
    }
}
