//! How values are spread, in a room that does not grow with their number.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::Serialize;

/// Digits of a value that are kept.
const DIGITS: u32 = 3;

/// Values of at least 0 by their first three digits, so that a quantile is right to half a hundredth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spread {
    counts: BTreeMap<u64, u64>,
    count: u64,
    largest: u64,
}

/// What is told of a [`Spread`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Quantiles {
    /// Values.
    pub count: u64,
    /// The value that half of them do not exceed.
    pub p50: u64,
    /// The same of nine in ten.
    pub p90: u64,
    /// The same of 99 in 100.
    pub p99: u64,
    /// The largest one, as it is.
    pub max: u64,
}

impl Spread {
    /// Takes in a value.
    pub fn add(&mut self, value: u64) {
        let mut step = 1;
        while value / step >= 10_u64.pow(DIGITS) {
            step *= 10;
        }
        *self.counts.entry(value / step * step + step / 2).or_default() += 1;
        self.count += 1;
        self.largest = self.largest.max(value);
    }

    /// The least value that the share `q` of all do not exceed; 0 of none.
    fn quantile(&self, q: f64) -> u64 {
        let wanted = (q * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        found.map_or(0, |(value, _)| (*value).min(self.largest))
    }

    /// What is told of it; `None` of nothing.
    pub fn quantiles(&self) -> Option<Quantiles> {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|q| self.quantile(q));
        (self.count > 0).then_some(Quantiles { count: self.count, p50, p90, p99, max: self.largest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_half_a_hundredth_in_little_room() {
        let mut spread = Spread::default();
        assert_eq!(spread.quantiles(), None);
        (1..=100_000).for_each(|value| spread.add(value));
        let Quantiles { count, p50, p90, p99, max } = spread.quantiles().unwrap();
        assert_eq!((count, max), (100_000, 100_000));
        for (found, exact) in [(p50, 50_000.0), (p90, 90_000.0), (p99, 99_000.0)] {
            assert!((found as f64 / exact - 1.0).abs() < 0.005, "{found} of {exact}");
        }
        assert!(spread.counts.len() < 3_000, "{}", spread.counts.len());
        let mut one = Spread::default();
        one.add(7);
        assert_eq!(one.quantiles(), Some(Quantiles { count: 1, p50: 7, p90: 7, p99: 7, max: 7 }));
    }
}
