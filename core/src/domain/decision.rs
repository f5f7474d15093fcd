//! What the trader gets back for a signal.

use serde::{Deserialize, Serialize};

use super::{
    id::{TradeId, VersionId},
    number::Probability,
};

/// A size below this is none: to divide by it would make a large sum of a small one.
const LEAST_SIZE: f64 = 1e-6;

/// The score of an answer that no model influenced.
const NEUTRAL_SCORE: Probability = Probability::NEUTRAL;

/// Which policy the trader is told to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The primary strategy as it is, untouched.
    Baseline,
    /// The primary strategy, its confidence blended with a model's score.
    Ml,
}

impl Arm {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Ml => "ml",
        }
    }
}

/// Why an answer is what it is. The first three let a model speak or hold it back on purpose; all others are the
/// baseline because something was not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A model in production scored it.
    Production,
    /// A model in an A/B test scored it, or the test gave it to the baseline arm.
    AbTest,
    /// A model is in production and this trade belongs to the permanent holdback.
    Holdback,
    /// Models watch this symbol in shadow only.
    Shadow,
    /// There is no model for this symbol.
    NoModel,
    /// The symbol has no table in the configuration.
    UnknownSymbol,
    /// None of the inputs that the model looks at was ever known.
    MissingFeature,
    /// Too much of what the model looks at was not measured, or an input it cannot do without: it would be carried forward
    /// from earlier signals or be a training median.
    StaleInputs,
    /// The signal carries no confidence of the primary strategy to blend with.
    NoConfidence,
    /// The answer would have come after its deadline.
    Deadline,
    /// The guardian locked serving to the baseline.
    Locked,
    /// An emergency of one of its versions silences this symbol; others go on.
    Silenced,
    /// The journal cannot keep up or cannot write; a decision that cannot be recorded is not made by a model.
    JournalUnavailable,
    /// The model gave a number that is not a probability.
    InvalidScore,
    /// A part of the daemon failed on this request and is restarting.
    InternalError,
    /// The trade's name is that of an earlier signal with another time, symbol or side.
    TradeIdReused,
    /// The request itself was at fault; `error` says how.
    InvalidRequest,
    /// The daemon did not answer in time or could not be reached (said by clients, never by the daemon).
    Unreachable,
}

/// An answer to a signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The signal it answers.
    pub trade_id: TradeId,
    /// The policy to follow.
    pub arm: Arm,
    /// The confidence to trade on; in the baseline arm the strategy's own, unchanged.
    pub confidence: Option<Probability>,
    /// The model's score; 0.5 in the baseline arm.
    pub score: Probability,
    /// Multiplier of the strategy's own size, at least 0; 1 in the baseline arm.
    pub size: f64,
    /// The model in production or under test for this symbol, if there is one.
    pub model: Option<VersionId>,
    /// Why.
    pub reason: Reason,
}

/// How a signal was given out between a version and what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// The arm that the salt gave it, whatever the answer was.
    pub arm: Arm,
    /// The chance it had of the ML arm, 0 to 1.
    pub share: f64,
}

/// What a version was to a signal, and what it made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// Which.
    pub version: VersionId,
    /// How the signal was given out; `None` where the version only watched.
    pub split: Option<Split>,
    /// Its score, heard or not; `None` when it had none.
    pub score: Option<Probability>,
    /// The multiple of the strategy's own size that its policy gives the trade, at least 0; 1 without a score.
    pub size: f64,
}

impl Split {
    /// In the ML arm or not, with the chance `share` of it.
    pub fn new(in_ml: bool, share: f64) -> Self {
        Self { arm: if in_ml { Arm::Ml } else { Arm::Baseline }, share }
    }
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Production,
        Self::AbTest,
        Self::Holdback,
        Self::Shadow,
        Self::NoModel,
        Self::UnknownSymbol,
        Self::MissingFeature,
        Self::StaleInputs,
        Self::NoConfidence,
        Self::Deadline,
        Self::Locked,
        Self::Silenced,
        Self::JournalUnavailable,
        Self::InvalidScore,
        Self::InternalError,
        Self::TradeIdReused,
        Self::InvalidRequest,
        Self::Unreachable,
    ];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::AbTest => "ab_test",
            Self::Holdback => "holdback",
            Self::Shadow => "shadow",
            Self::NoModel => "no_model",
            Self::UnknownSymbol => "unknown_symbol",
            Self::MissingFeature => "missing_feature",
            Self::StaleInputs => "stale_inputs",
            Self::NoConfidence => "no_confidence",
            Self::Deadline => "deadline",
            Self::Locked => "locked",
            Self::Silenced => "silenced",
            Self::JournalUnavailable => "journal_unavailable",
            Self::InvalidScore => "invalid_score",
            Self::InternalError => "internal_error",
            Self::TradeIdReused => "trade_id_reused",
            Self::InvalidRequest => "invalid_request",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Decision {
    /// The answer that changes nothing.
    pub fn baseline(
        trade_id: TradeId,
        confidence: Option<Probability>,
        model: Option<VersionId>,
        reason: Reason,
    ) -> Self {
        Self { trade_id, arm: Arm::Baseline, confidence, score: NEUTRAL_SCORE, size: 1.0, model, reason }
    }

    /// [`at_own_size`], of a trade at the size the trader was told.
    pub fn at_own_size(&self, pnl: f64) -> Option<f64> {
        at_own_size(pnl, self.size)
    }
}

/// What the strategy alone would have made of a trade that earned `pnl` at `size`, a multiple of the strategy's own. `None`
/// when that is 0, or next to it: nothing was to be traded.
pub fn at_own_size(pnl: f64, size: f64) -> Option<f64> {
    (size >= LEAST_SIZE).then(|| pnl / size)
}

/// The answer that a closed trade was made on: the one that its outcome echoes, and else the first that was given to its
/// signal. A signal that is scored again may be answered otherwise, and only the trader knows which answer was used.
pub fn traded_on<'a>(first: Option<&'a Decision>, echo: Option<&'a Decision>) -> Option<&'a Decision> {
    echo.or(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_written_as_they_are_named() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        }
    }
}
