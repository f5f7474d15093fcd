//! Numbers that carry their range with them.

use serde::{Deserialize, Serialize};

/// A number outside the range its meaning allows.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{value} is outside {range}")]
pub struct OutOfRange {
    /// The number as given.
    pub value: f64,
    /// The range it must lie in.
    pub range: &'static str,
}

/// A probability or a confidence: finite, 0 to 1 inclusive.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Probability(f64);

/// An amount in account currency: finite, a loss negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Money(f64);

impl Probability {
    /// No opinion either way.
    pub const NEUTRAL: Self = Self(0.5);

    /// Takes a number from 0 to 1.
    ///
    /// # Errors
    /// [`OutOfRange`] for anything else, NaN included.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        // written so that NaN is refused
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(OutOfRange { value, range: "0 to 1" }) }
    }

    /// The number, 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Money {
    /// Nothing won, nothing lost.
    pub const ZERO: Self = Self(0.0);
    /// The largest amount, won or lost, that figures are made of, in account currency: sums, squares and fourth powers of such
    /// amounts stay far from what a number can hold. What a trade may be told to have made is bounded further, by
    /// `guardian.max_trade_pnl`; journals and files of past trades may hold more.
    pub const MOST: f64 = 1e12;

    /// Takes a finite amount.
    ///
    /// # Errors
    /// [`OutOfRange`] for NaN and infinities.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if value.is_finite() { Ok(Self(value)) } else { Err(OutOfRange { value, range: "the finite numbers" }) }
    }

    /// The amount in account currency.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The amount, unless it is beyond [`Self::MOST`].
    pub fn bounded(self) -> Option<f64> {
        Some(self.0).filter(|amount| amount.abs() <= Self::MOST)
    }
}

impl TryFrom<f64> for Probability {
    type Error = OutOfRange;
    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl TryFrom<f64> for Money {
    type Error = OutOfRange;
    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<Probability> for f64 {
    fn from(p: Probability) -> Self {
        p.0
    }
}

impl From<Money> for f64 {
    fn from(m: Money) -> Self {
        m.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_finite_and_within_its_range() {
        assert!([0.0, 0.5, 1.0].into_iter().all(|p| Probability::new(p).is_ok()));
        assert!([-1e-9, 1.0 + 1e-9, f64::NAN, f64::INFINITY].into_iter().all(|p| Probability::new(p).is_err()));
    }
}
