//! What became of a signal: a closed trade, or a signal that was not taken.

use serde::{Deserialize, Serialize};

use super::{id::TradeId, number::Money, snapshot::Number, time::Timestamp};

/// A closed trade. Two outcomes are the same when all their fields are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names are the format's own")]
pub struct Outcome {
    pub exit_at: Timestamp,
    #[serde(default)]
    pub entry_price: Number,
    #[serde(default)]
    pub exit_price: Number,
    /// After costs.
    #[serde(default)]
    pub pnl: Option<Money>,
    #[serde(default)]
    pub slippage_ticks: Number,
    /// `take_profit`, `stop_loss`, `signal`, `time`, `session_end` or a word of the trader's own.
    pub exit_reason: Box<str>,
    #[serde(default)]
    pub bars_held: Number,
    /// Maximum favourable excursion.
    #[serde(default)]
    pub mfe_ticks: Number,
    /// Maximum adverse excursion.
    #[serde(default)]
    pub mae_ticks: Number,
    /// Bars from the entry to the maximum favourable excursion, at least 0. Not written where it is not known, as in records
    /// of before there was such a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfe_bars: Number,
}

/// A signal that the trader did not take, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The signal that was let go.
    pub trade_id: TradeId,
    /// The trader's words.
    pub reason: Box<str>,
}

#[cfg(test)]
impl Outcome {
    /// One that is closed at `exit_at` and of which little is known, for tests.
    pub(crate) fn closed(exit_at: Timestamp, pnl: Option<f64>) -> Self {
        Self {
            exit_at,
            entry_price: None,
            exit_price: None,
            pnl: pnl.map(|pnl| Money::new(pnl).unwrap()),
            slippage_ticks: None,
            exit_reason: "signal".into(),
            bars_held: None,
            mfe_ticks: None,
            mae_ticks: None,
            mfe_bars: None,
        }
    }
}
