//! ADWIN: a window that grows while the mean stays and is cut where it changed.
//!
//! Bifet and Gavalda (2007), "Learning from time-changing data with adaptive windowing", in the variant with the variance,
//! step by step as in the Python package river: values are kept as sums over buckets of 1, 2, 4, ... values, so the space
//! grows with the logarithm of the window. After a change the window starts over.

use serde::{Deserialize, Serialize};

/// What ADWIN is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdwinOptions {
    /// Bound on the chance of a false alarm at one look, above 0 to below 1.
    pub delta: f64,
    /// It looks at every n-th value, n at least 1.
    pub clock: u64,
}

/// The window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adwin {
    options: AdwinOptions,
    /// Level k holds buckets of 2^k values, oldest first.
    levels: Vec<Vec<Bucket>>,
    width: f64,
    total: f64,
    variance: f64,
    ticks: u64,
}

/// A run of values: their sum, and the sum of their squared deviations from their own mean.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bucket {
    total: f64,
    variance: f64,
}

/// Buckets of one size before the two oldest become one of the next.
const MOST_BUCKETS: usize = 5;
/// Values that each side of a cut must have.
const SHORTEST: f64 = 5.0;
/// Values below which it does not look.
const GRACE: f64 = 10.0;

impl Adwin {
    /// An empty window. `None` unless 0 < `delta` < 1 and `clock` is at least 1.
    pub fn new(options: AdwinOptions) -> Option<Self> {
        (options.delta > 0.0 && options.delta < 1.0 && options.clock > 0).then(|| Self::empty(options))
    }

    fn empty(options: AdwinOptions) -> Self {
        Self { options, levels: vec![Vec::new()], width: 0.0, total: 0.0, variance: 0.0, ticks: 0 }
    }

    /// Takes in a value, and says whether the mean has changed; then the window starts over with the next value. A value
    /// that is not finite is left out.
    pub fn update(&mut self, value: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        self.insert(value);
        self.ticks += 1;
        let looks = self.ticks.is_multiple_of(self.options.clock) && self.width > GRACE;
        let changed = looks && self.has_cut();
        if changed {
            *self = Self::empty(self.options);
        }
        changed
    }

    /// Values in the window.
    pub fn width(&self) -> u64 {
        self.width as u64
    }

    /// Their mean. `None` when there are none.
    pub fn mean(&self) -> Option<f64> {
        (self.width > 0.0).then(|| self.total / self.width)
    }

    fn insert(&mut self, value: f64) {
        self.width += 1.0;
        if self.width > 1.0 {
            let before = self.width - 1.0;
            self.variance += before * (value - self.total / before).powi(2) / self.width;
        }
        self.total += value;
        if let Some(newest) = self.levels.first_mut() {
            newest.push(Bucket { total: value, variance: 0.0 });
        }
        self.compress();
    }

    /// Where a level is over-full, its two oldest buckets become the newest one of the next level.
    fn compress(&mut self) {
        let mut level = 0;
        while let Some(buckets) = self.levels.get_mut(level).filter(|buckets| buckets.len() > MOST_BUCKETS) {
            let size = (level as f64).exp2();
            let mut oldest = buckets.drain(..2);
            let (Some(a), Some(b)) = (oldest.next(), oldest.next()) else { return };
            drop(oldest);
            let apart = a.total / size - b.total / size;
            let variance = a.variance + b.variance + size * size * apart * apart / (size + size);
            level += 1;
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            if let Some(next) = self.levels.get_mut(level) {
                next.push(Bucket { total: a.total + b.total, variance });
            }
        }
    }

    /// Whether anywhere between two buckets the means of both sides are too far apart for one mean.
    fn has_cut(&self) -> bool {
        let (mut n0, mut total0) = (0.0, 0.0);
        let (mut n1, mut total1) = (self.width, self.total);
        for (level, buckets) in self.levels.iter().enumerate().rev() {
            let size = (level as f64).exp2();
            for bucket in buckets {
                n0 += size;
                n1 -= size;
                total0 += bucket.total;
                total1 -= bucket.total;
                let long_enough = n0 >= SHORTEST && n1 >= SHORTEST;
                if long_enough && (total0 / n0 - total1 / n1).abs() > self.cut(n0, n1) {
                    return true;
                }
            }
        }
        false
    }

    /// How far the means of sides of `n0` and `n1` values may be apart.
    fn cut(&self, n0: f64, n1: f64) -> f64 {
        let spend = (2.0 * self.width.ln() / self.options.delta).ln();
        let sizes = 1.0 / (n0 - SHORTEST + 1.0) + 1.0 / (n1 - SHORTEST + 1.0);
        let variance = self.variance / self.width;
        (2.0 * sizes * variance * spend).sqrt() + 2.0 / 3.0 * spend * sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: AdwinOptions = AdwinOptions { delta: 0.002, clock: 32 };

    #[test]
    fn its_space_grows_with_the_logarithm_and_its_mean_is_that_of_the_window() {
        let mut adwin = Adwin::new(OPTIONS).unwrap();
        assert_eq!(adwin.mean(), None);
        (0..100_000).for_each(|n| assert!(!adwin.update(f64::from(n % 3))));
        assert_eq!(adwin.width(), 100_000);
        assert!((adwin.mean().unwrap() - 99_999.0 / 100_000.0).abs() < 1e-9, "{:?}", adwin.mean());
        let buckets: usize = adwin.levels.iter().map(Vec::len).sum();
        assert!(buckets <= 6 * 17, "{buckets}");
    }

    #[test]
    fn odd_options_are_refused_and_a_stored_window_is_read_back() {
        for (delta, clock) in [(0.0, 1), (1.0, 1), (f64::NAN, 1), (0.1, 0)] {
            assert_eq!(Adwin::new(AdwinOptions { delta, clock }), None);
        }
        let mut adwin = Adwin::new(OPTIONS).unwrap();
        assert!(!adwin.update(f64::NAN) && adwin.width() == 0);
        (0..40).for_each(|n| {
            adwin.update(f64::from(n));
        });
        let stored = serde_json::to_string(&adwin).unwrap();
        let read: Adwin = serde_json::from_str(&stored).unwrap();
        assert_eq!(read, adwin);
    }
}
