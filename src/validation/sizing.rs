//! How large a trade a model's score asks for, as a multiple of the strategy's own size.

use serde::{Deserialize, Serialize};

use crate::{domain::Probability, stats::normal};

/// The section `[sizing]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sizing {
    /// Which rule.
    pub rule: SizingRule,
    /// Lowest multiplier of a trade that is taken, at least 0.
    pub min: f64,
    /// Highest multiplier, at least `min`.
    pub max: f64,
    /// Share of the full Kelly bet, for the rule `kelly`, above 0, at most 1.
    pub kelly_fraction: f64,
}

/// How a score becomes a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SizingRule {
    /// The strategy's own size, whatever the score, within `min` and `max` as every rule.
    Unit,
    /// Bet size from a probability: 2 Phi((p - 1/2) / sqrt(p (1 - p))) - 1 (Lopez de Prado 2018, section 10.3).
    Bet,
    /// A fraction of the Kelly bet at even odds: f (2 p - 1).
    Kelly,
}

impl Sizing {
    /// The strategy's own size for every trade that is taken.
    pub const UNIT: Self = Self { rule: SizingRule::Unit, min: 0.0, max: 2.0, kelly_fraction: 0.5 };

    /// Multiplier of the strategy's own size for a trade that is taken at score `p`, within [`min`, `max`].
    pub fn size(&self, p: Probability) -> f64 {
        let p = p.get();
        let raw = match self.rule {
            SizingRule::Unit => 1.0,
            SizingRule::Bet if p <= 0.0 => -1.0,
            SizingRule::Bet if p >= 1.0 => 1.0,
            SizingRule::Bet => 2.0 * normal::cdf((p - 0.5) / (p * (1.0 - p)).sqrt()) - 1.0,
            SizingRule::Kelly => self.kelly_fraction * (2.0 * p - 1.0),
        };
        raw.clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(rule: SizingRule, p: f64) -> f64 {
        Sizing { rule, min: 0.0, max: 2.0, kelly_fraction: 0.5 }.size(Probability::new(p).unwrap())
    }

    #[test]
    fn a_neutral_score_bets_nothing_and_a_sure_one_everything() {
        assert_eq!(size(SizingRule::Unit, 0.1), 1.0);
        assert_eq!(size(SizingRule::Bet, 0.5), 0.0);
        assert_eq!(size(SizingRule::Bet, 1.0), 1.0);
        assert_eq!(size(SizingRule::Bet, 0.0), 0.0);
        // SciPy: 2 * norm.cdf(0.25 / sqrt(0.1875)) - 1
        assert!((size(SizingRule::Bet, 0.75) - 0.436_297_138_349_226_9).abs() < 1e-12);
        assert_eq!(size(SizingRule::Kelly, 0.75), 0.25);
    }

    #[test]
    fn every_rule_stays_within_the_limits() {
        for rule in [SizingRule::Unit, SizingRule::Bet, SizingRule::Kelly] {
            let of = |min, max| Sizing { rule, min, max, kelly_fraction: 0.5 }.size(Probability::new(0.9).unwrap());
            assert_eq!((of(0.0, 0.25), of(1.5, 2.0)), (0.25, 1.5), "{rule:?}");
        }
    }
}
