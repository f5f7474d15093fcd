//! From a model's score to what the trader is told.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{Arm, Decision, Probability, Reason, TradeId, VersionId},
    models::{TradePolicy, sizing::Sizing},
};

/// How a score changes an answer; the sections `[scoring]` and `[sizing]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Weight of the model's score in the blended confidence, 0 to 1.
    pub blend_weight: f64,
    /// Blended confidence below which the ML arm asks for no trade (size 0), 0 to 1.
    pub trade_threshold: f64,
    /// Share of the signals that a version under test speaks to, 0 to 1.
    pub ab_share: f64,
    /// Share of the signals that stay on the baseline while a model is in production, 0 to 1.
    pub holdback: f64,
    /// Size of the trades that are taken.
    pub sizing: Sizing,
}

impl Policy {
    /// What of it decides about a trade: the same when a version is validated and when it is served.
    pub fn trade(&self) -> TradePolicy {
        TradePolicy { blend_weight: self.blend_weight, trade_threshold: self.trade_threshold, sizing: self.sizing }
    }

    /// The same for a version that was validated by `own`, see [`TradePolicy::in_service`].
    #[must_use]
    pub fn of(&self, own: Option<&TradePolicy>) -> Self {
        let TradePolicy { blend_weight, trade_threshold, sizing } = TradePolicy::in_service(own, &self.trade());
        Self { blend_weight, trade_threshold, sizing, ..*self }
    }

    /// `(1 - w) confidence + w score`; with the default weight of one half, their mean.
    pub fn blend(&self, confidence: Probability, score: Probability) -> Probability {
        Probability::new(self.trade().blend(confidence.get(), score.get())).unwrap_or(confidence)
    }

    /// The size the ML policy gives a signal: 0 when the blended confidence is under the trade threshold.
    pub fn size(&self, blended: Probability, score: Probability) -> f64 {
        self.trade().size_at(blended.get(), score.get())
    }

    /// The answer of the ML arm.
    pub fn ml_answer(
        &self,
        trade_id: TradeId,
        confidence: Probability,
        score: Probability,
        model: VersionId,
        reason: Reason,
    ) -> Decision {
        let blended = self.blend(confidence, score);
        let size = self.size(blended, score);
        Decision { trade_id, arm: Arm::Ml, confidence: Some(blended), score, size, model: Some(model), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::sizing::SizingRule;

    fn policy(blend_weight: f64, trade_threshold: f64) -> Policy {
        let sizing = Sizing { rule: SizingRule::Unit, min: 0.0, max: 2.0, kelly_fraction: 0.5 };
        Policy { blend_weight, trade_threshold, ab_share: 0.5, holdback: 0.1, sizing }
    }

    fn answer(policy: Policy, confidence: f64, score: f64) -> Decision {
        let p = |x| Probability::new(x).unwrap();
        policy.ml_answer(
            TradeId::new("T").unwrap(),
            p(confidence),
            p(score),
            "ES/1".parse().unwrap(),
            Reason::Production,
        )
    }

    #[test]
    fn the_default_blend_is_the_mean_and_a_weak_one_asks_for_no_trade() {
        let decision = answer(policy(0.5, 0.5), 0.62, 0.75);
        assert!((decision.confidence.unwrap().get() - 0.685).abs() < 1e-12);
        assert_eq!((decision.size, decision.arm), (1.0, Arm::Ml));
        assert_eq!(answer(policy(0.5, 0.7), 0.62, 0.75).size, 0.0);
    }

    #[test]
    fn weight_zero_leaves_the_confidence_as_it_was() {
        assert_eq!(answer(policy(0.0, 0.5), 0.62, 0.1).confidence.unwrap().get(), 0.62);
    }
}
