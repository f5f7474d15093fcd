//! What is done with a score: whether the trade is taken, and how large it is as a multiple of the strategy's own size.

use serde::{Deserialize, Serialize};

use crate::{domain::Probability, stats::normal};

/// When a trade is taken and how large; parts of the sections `[scoring]` and `[sizing]` of the configuration. A version is
/// served with the policy it was validated with, see [`TradePolicy::in_service`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TradePolicy {
    /// Weight of the score in the blended confidence, 0 to 1.
    pub blend_weight: f64,
    /// Blended confidence below which no trade is taken, 0 to 1.
    pub trade_threshold: f64,
    /// Size of the trades that are taken.
    pub sizing: Sizing,
}

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

impl TradePolicy {
    /// `(1 - w) confidence + w score`, of two numbers from 0 to 1.
    pub fn blend(&self, confidence: f64, score: f64) -> f64 {
        // a weighted mean lies between the two, but for rounding
        ((1.0 - self.blend_weight) * confidence + self.blend_weight * score).clamp(0.0, 1.0)
    }

    /// Multiplier of the strategy's own size at this blended confidence: 0 under the threshold, where no trade is taken.
    pub fn size_at(&self, blended: f64, score: f64) -> f64 {
        if blended < self.trade_threshold {
            return 0.0;
        }
        Probability::new(score).map_or(0.0, |score| self.sizing.size(score))
    }

    /// Multiplier of the strategy's own size. Without a confidence of the strategy's own it is 1: the service leaves the
    /// trade to the strategy.
    pub fn size(&self, confidence: Option<f64>, score: f64) -> f64 {
        confidence.map_or(1.0, |confidence| self.size_at(self.blend(confidence, score), score))
    }

    /// The same with another threshold.
    pub fn at(&self, trade_threshold: f64) -> Self {
        Self { trade_threshold, ..*self }
    }

    /// The policy that a version is served with while `configured` is in force: `own`, by which it was validated, with no
    /// trade larger than either allows. A version that does not know its own is served with what is configured.
    pub fn in_service(own: Option<&Self>, configured: &Self) -> Self {
        let Some(own) = own else { return *configured };
        let (min, max) = (own.sizing.min.min(configured.sizing.min), own.sizing.max.min(configured.sizing.max));
        Self { sizing: Sizing { min, max, ..own.sizing }, ..*own }
    }

    /// The keys of the configuration in which two policies differ, each with the value here and the value there.
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let keys = |of: &Self| {
            [
                ("scoring.blend_weight", of.blend_weight.to_string()),
                ("scoring.trade_threshold", of.trade_threshold.to_string()),
                ("sizing.rule", of.sizing.rule.name().to_owned()),
                ("sizing.min", of.sizing.min.to_string()),
                ("sizing.max", of.sizing.max.to_string()),
                ("sizing.kelly_fraction", of.sizing.kelly_fraction.to_string()),
            ]
        };
        let pairs = keys(self).into_iter().zip(keys(other));
        pairs.filter(|(own, other)| own != other).map(|((key, own), (_, other))| (key, own, other)).collect()
    }

    /// The first of its numbers that no policy has, by name.
    pub fn fault(&self) -> Option<(&'static str, f64)> {
        let Sizing { min, max, kelly_fraction, .. } = self.sizing;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        [
            ("blend_weight", self.blend_weight, share(self.blend_weight)),
            ("trade_threshold", self.trade_threshold, share(self.trade_threshold)),
            ("sizing.min", min, (0.0..=max).contains(&min)),
            ("sizing.max", max, max.is_finite()),
            ("sizing.kelly_fraction", kelly_fraction, share(kelly_fraction)),
        ]
        .into_iter()
        .find(|(.., holds)| !holds)
        .map(|(name, value, _)| (name, value))
    }
}

impl SizingRule {
    /// The word in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Bet => "bet",
            Self::Kelly => "kelly",
        }
    }
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
    fn a_trade_is_taken_from_the_threshold_on_and_without_a_confidence_always() {
        let policy = TradePolicy { blend_weight: 0.5, trade_threshold: 0.5, sizing: Sizing::UNIT };
        assert_eq!((policy.size(Some(0.25), 0.75), policy.size(Some(0.25), 0.7)), (1.0, 0.0));
        assert_eq!((policy.size(None, 0.0), policy.at(0.6).size(Some(0.5), 0.6)), (1.0, 0.0));
        // a rule for sizes is part of what is judged
        let kelly = TradePolicy { sizing: Sizing { rule: SizingRule::Kelly, ..Sizing::UNIT }, ..policy };
        assert_eq!((kelly.size(Some(0.5), 0.75), kelly.size(Some(0.75), 0.25)), (0.25, 0.0));
    }

    #[test]
    fn a_version_keeps_its_policy_and_the_configuration_can_only_make_it_smaller() {
        let sizing = |rule, min, max| Sizing { rule, min, max, kelly_fraction: 0.5 };
        let policy = |threshold, sizing| TradePolicy { blend_weight: 0.5, trade_threshold: threshold, sizing };
        let own = policy(0.5, sizing(SizingRule::Kelly, 0.5, 1.0));
        let kept = |configured: TradePolicy| TradePolicy::in_service(Some(&own), &configured);
        assert_eq!(kept(policy(0.2, sizing(SizingRule::Unit, 0.75, 2.0))), own);
        let capped = policy(0.5, sizing(SizingRule::Kelly, 0.0, 0.25));
        assert_eq!(kept(policy(0.9, sizing(SizingRule::Bet, 0.0, 0.25))), capped);
        // limits that have nothing in common: the smaller one holds
        assert_eq!(kept(policy(0.5, sizing(SizingRule::Kelly, 0.1, 0.2))).size(Some(1.0), 0.9), 0.2);
        assert_eq!(TradePolicy::in_service(None, &capped), capped);
        let differ = own.differences(&policy(0.2, sizing(SizingRule::Kelly, 0.5, 2.0)));
        let expected = [("scoring.trade_threshold", "0.5", "0.2"), ("sizing.max", "1", "2")];
        assert_eq!(differ, expected.map(|(key, own, other)| (key, own.to_owned(), other.to_owned())));
    }

    #[test]
    fn every_rule_stays_within_the_limits() {
        for rule in [SizingRule::Unit, SizingRule::Bet, SizingRule::Kelly] {
            let of = |min, max| Sizing { rule, min, max, kelly_fraction: 0.5 }.size(Probability::new(0.9).unwrap());
            assert_eq!((of(0.0, 0.25), of(1.5, 2.0)), (0.25, 1.5), "{rule:?}");
        }
    }
}
