//! What an inference gives back: an interval, a test, or both around a point.

use serde::{Deserialize, Serialize};

use super::normal;

/// From `low` to `high`, both finite, both included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end, not below `low`.
    pub high: f64,
}

/// A two-sided test of no difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// The test's own statistic.
    pub statistic: f64,
    /// How often chance alone is at least as extreme, 0 to 1.
    pub p: f64,
}

/// A difference with its interval and its test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The difference as observed.
    pub difference: f64,
    /// Where the true one lies, at the level asked for.
    pub interval: Interval,
    /// Whether it is 0.
    pub test: Test,
}

impl Interval {
    /// `None` unless both ends are finite and in order.
    pub fn new(low: f64, high: f64) -> Option<Self> {
        (low.is_finite() && high.is_finite() && low <= high).then_some(Self { low, high })
    }

    /// `centre` give or take `half`.
    pub fn around(centre: f64, half: f64) -> Option<Self> {
        Self::new(centre - half, centre + half)
    }

    /// Whether `x` lies in it.
    pub fn contains(&self, x: f64) -> bool {
        (self.low..=self.high).contains(&x)
    }

    /// Distance between its ends.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }

    /// The part of it that lies between `low` and `high`; the nearest of the two where none does.
    #[must_use]
    pub fn within(&self, low: f64, high: f64) -> Self {
        Self { low: self.low.clamp(low, high), high: self.high.clamp(low, high) }
    }

    /// Both ends times `factor`, which must not be negative.
    pub fn times(&self, factor: f64) -> Option<Self> {
        Self::new(self.low * factor, self.high * factor)
    }
}

impl Test {
    /// The two-sided test of a statistic that is standard normal when there is no difference. `None` for NaN.
    pub fn normal(z: f64) -> Option<Self> {
        (!z.is_nan()).then(|| Self { statistic: z, p: 2.0 * normal::cdf(-z.abs()) })
    }
}

/// The standard normal deviate that leaves `level` in the middle: 1.96 for 0.95. `None` unless 0 < `level` < 1.
pub fn two_sided_z(level: f64) -> Option<f64> {
    (level > 0.0).then_some(())?;
    normal::quantile(0.5 + level / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_has_finite_ends_in_order() {
        assert_eq!(
            (Interval::new(1.0, 0.0), Interval::around(f64::NAN, 1.0), Interval::new(0.0, f64::INFINITY)),
            (None, None, None)
        );
        let interval = Interval::around(1.0, 0.5).unwrap();
        assert_eq!((interval.contains(0.5), interval.contains(1.6), interval.width()), (true, false, 1.0));
        assert_eq!((two_sided_z(0.0), two_sided_z(1.0), two_sided_z(f64::NAN)), (None, None, None));
    }
}
