//! A decision that the trader echoes with an outcome.
#![deny(clippy::indexing_slicing)]

use serde::{Deserialize, de::IgnoredAny};

use crate::domain::{Arm, Decision, InvalidLine, Probability, Reason, TradeId, VersionId};

/// Largest multiple of the strategy's size that a decision can carry: the configuration allows no larger `sizing.max`.
const MOST_SIZE: f64 = 10.0;

/// A decision as the trader received it; the envelope's fields may stay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EchoWire {
    #[serde(default, rename = "ok")]
    _ok: bool,
    #[serde(default, rename = "id")]
    _id: IgnoredAny,
    #[serde(default)]
    trade_id: Option<TradeId>,
    arm: Arm,
    confidence: Option<Probability>,
    score: Probability,
    size: f64,
    model: Option<VersionId>,
    reason: Reason,
    #[serde(default, rename = "error")]
    _error: IgnoredAny,
    #[serde(default, rename = "missing")]
    _missing: IgnoredAny,
}

impl EchoWire {
    /// The decision, if it can be one about this trade.
    pub(super) fn of(self, trade_id: &TradeId) -> Result<Decision, InvalidLine> {
        if self.trade_id.as_ref().is_some_and(|id| id != trade_id) {
            return Err(invalid("out_of_range", "decision.trade_id", "it names another trade than the outcome"));
        }
        if !(0.0..=MOST_SIZE).contains(&self.size) {
            let why = format!("{:?} is outside 0 to {MOST_SIZE}", self.size);
            return Err(invalid("out_of_range", "decision.size", &why));
        }
        let Self { arm, confidence, score, size, model, reason, .. } = self;
        Ok(Decision { trade_id: trade_id.clone(), arm, confidence, score, size, model, reason })
    }
}

/// A line at fault by one of its fields.
pub(super) fn invalid(code: &'static str, field: &str, why: &str) -> InvalidLine {
    InvalidLine { code, message: format!("{field}: {why}"), field: Some(field.to_owned()) }
}
