//! The same fault told of the same trade again and again: people hear of the first one, and then of how many there were.
#![deny(clippy::indexing_slicing)]

use std::collections::{HashMap, VecDeque};

use crate::domain::TradeId;

/// Pairs of code and trade that are remembered at most; the oldest go first, and are reported again.
const MOST: usize = 10_000;

/// How often each fault of each trade came.
#[derive(Debug, Default)]
pub struct Repeats {
    counts: HashMap<(Box<str>, TradeId), u64>,
    oldest: VecDeque<(Box<str>, TradeId)>,
}

impl Repeats {
    /// Counts one more fault `code` of a trade. The count, if people are to hear of it: the first one, and each power of ten.
    pub fn count(&mut self, code: &str, trade_id: &TradeId) -> Option<u64> {
        let key = (Box::from(code), trade_id.clone());
        if !self.counts.contains_key(&key) {
            if self.counts.len() >= MOST
                && let Some(oldest) = self.oldest.pop_front()
            {
                self.counts.remove(&oldest);
            }
            self.oldest.push_back(key.clone());
        }
        let count = self.counts.entry(key).or_default();
        *count += 1;
        let is_power_of_ten = 10_u64.checked_pow(count.ilog10()) == Some(*count);
        is_power_of_ten.then_some(*count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: impl std::fmt::Display) -> TradeId {
        TradeId::new(name.to_string()).unwrap()
    }

    #[test]
    fn the_first_is_told_and_then_their_number() {
        let mut repeats = Repeats::default();
        let told: Vec<u64> = (0..5000).filter_map(|_| repeats.count("conflict", &id("T-1"))).collect();
        assert_eq!(told, [1, 10, 100, 1000]);
        assert_eq!(repeats.count("conflict", &id("T-2")), Some(1));
        assert_eq!(repeats.count("outcome_refused", &id("T-1")), Some(1));
    }

    #[test]
    fn it_remembers_so_many_and_no_more() {
        let mut repeats = Repeats::default();
        assert!((0..=MOST).all(|n| repeats.count("conflict", &id(n)) == Some(1)));
        assert_eq!((repeats.counts.len(), repeats.oldest.len()), (MOST, MOST));
        assert_eq!(repeats.count("conflict", &id(0)), Some(1), "the oldest was forgotten");
        assert_eq!(repeats.count("conflict", &id(MOST)), None);
    }
}
