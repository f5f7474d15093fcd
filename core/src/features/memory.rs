//! What the latest signals showed of the market, for derived inputs that know the regime.
//!
//! What is remembered depends on the set of signals and not on their order: of each symbol the latest in time. So a label is a function
//! of the signals that were known, live and from the journal alike, and nothing that comes later changes it.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::row::centred;
use crate::{
    domain::{Feature, Symbol, Timestamp},
    stats::market::{FEATURES, MarketRegime, Shown},
};

/// Signals of a symbol that a regime is told from: an earlier one changes hardly a label.
pub const WINDOW: usize = 250;

/// What the latest signals of each symbol showed, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MarketMemory(BTreeMap<Symbol, Vec<(Timestamp, Shown)>>);

/// What a row shows as it was read, whatever the side of its trade.
pub fn shown_raw(raw: &[Option<f64>]) -> Shown {
    FEATURES.map(|feature| {
        let (_, value) = Feature::ALL.into_iter().zip(raw).find(|(known, _)| *known == feature)?;
        value.filter(|value| value.is_finite()).map(|value| centred(feature, value).abs())
    })
}

/// By what signals are ordered and told apart.
fn key((at, shown): &(Timestamp, Shown)) -> (Timestamp, [Option<u64>; 3]) {
    (*at, shown.map(|value| value.map(f64::to_bits)))
}

impl MarketMemory {
    /// Remembers what a signal showed.
    pub fn observe(&mut self, symbol: &Symbol, at: Timestamp, shown: Shown) {
        let signals = self.0.entry(symbol.clone()).or_default();
        let news = (at, shown);
        let Err(place) = signals.binary_search_by_key(&key(&news), key) else { return };
        signals.insert(place, news);
        if signals.len() > WINDOW {
            signals.remove(0);
        }
    }

    /// Remembers what `other` does.
    pub fn join(&mut self, other: &Self) {
        for (symbol, signals) in &other.0 {
            signals.iter().for_each(|(at, shown)| self.observe(symbol, *at, *shown));
        }
    }

    /// The regime in which a signal of `symbol` comes that shows this: by it and those remembered that came no later.
    pub fn label(&self, regime: &MarketRegime, symbol: &Symbol, at: Timestamp, shown: &Shown) -> Option<usize> {
        let known = self.0.get(symbol).map(Vec::as_slice).unwrap_or_default();
        let own = key(&(at, *shown));
        let before = known.iter().filter(|signal| signal.0 <= at && key(signal) != own).map(|(_, shown)| shown);
        regime.label(before.chain([shown]))
    }

    /// Whether as much is remembered of `symbol` as a label is told from.
    pub fn is_full(&self, symbol: &Symbol) -> bool {
        self.0.get(symbol).is_some_and(|signals| signals.len() >= WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, seq::SliceRandom};
    use rand_pcg::Pcg64;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_736_190_000 + second).unwrap()
    }

    #[test]
    fn what_is_remembered_is_the_same_in_every_order_and_joined() {
        let symbol = Symbol::new("ES").unwrap();
        let mut rng = Pcg64::seed_from_u64(5);
        let mut signals: Vec<(Timestamp, Shown)> =
            (0..600).map(|_| (at(rng.random_range(0..400)), [Some(rng.random::<f64>()), None, Some(0.5)])).collect();
        let remembered = |signals: &[(Timestamp, Shown)]| {
            let mut memory = MarketMemory::default();
            signals.iter().for_each(|(at, shown)| memory.observe(&symbol, *at, *shown));
            memory
        };
        let first = remembered(&signals);
        assert!(first.is_full(&symbol) && first.0[&symbol].len() == WINDOW);
        for _ in 0..5 {
            signals.shuffle(&mut rng);
            assert_eq!(remembered(&signals), first);
            let (one, other) = signals.split_at(300);
            let mut joined = remembered(one);
            joined.join(&remembered(other));
            joined.join(&remembered(one));
            assert_eq!(joined, first);
        }
    }

    #[test]
    fn a_label_knows_nothing_of_what_came_later_and_a_repeat_is_the_signal_itself() {
        let symbol = Symbol::new("ES").unwrap();
        let past: Vec<Shown> = (0..400).map(|n| [Some(if n / 50 % 2 == 0 { 0.2 } else { 0.9 }), None, None]).collect();
        let regime = MarketRegime::fit(&past, 1).unwrap();
        let mut memory = MarketMemory::default();
        let mut labels = Vec::new();
        for (second, shown) in (0..).zip(&past) {
            labels.push(memory.label(&regime, &symbol, at(second), shown).unwrap());
            memory.observe(&symbol, at(second), *shown);
            assert_eq!(memory.label(&regime, &symbol, at(second), shown), labels.last().copied(), "asked again");
        }
        // a change is seen at the sixth signal that agrees on it, there and back
        assert_eq!(labels.iter().sum::<usize>(), 4 * 50 - 4 * 5 + 3 * 5);
        // all of them known by now: the label of one in the middle of the window is what it was
        for second in [390, 300, 250] {
            let label = memory.label(&regime, &symbol, at(second), &past[second as usize]);
            assert_eq!(label, Some(labels[second as usize]));
        }
    }
}
