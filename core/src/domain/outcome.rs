//! What became of a signal: a closed trade, or a signal that was not taken.

use serde::{Deserialize, Serialize};

use super::{
    id::TradeId,
    invalid::{InvalidLine, field_error},
    number::Money,
    snapshot::Number,
    time::Timestamp,
};

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

impl Outcome {
    /// One of which nothing else is known.
    pub fn of(exit_at: Timestamp, pnl: Option<Money>) -> Self {
        Self {
            exit_at,
            entry_price: None,
            exit_price: None,
            pnl,
            slippage_ticks: None,
            exit_reason: "unknown".into(),
            bars_held: None,
            mfe_ticks: None,
            mae_ticks: None,
            mfe_bars: None,
        }
    }

    /// Whether its numbers are in the ranges that the format gives them.
    ///
    /// # Errors
    /// `out_of_range` with the field.
    pub fn check(&self) -> Result<(), InvalidLine> {
        match self.mfe_bars {
            Some(bars) if bars < 0.0 => {
                Err(field_error("out_of_range", "outcome_metrics.mfe_bars", &format!("{bars:?} is below 0")))
            }
            _ => Ok(()),
        }
    }

    /// What both tell of the trade together: itself with what `other` says beside it. `None` when they contradict each other in
    /// any field that both have.
    pub fn completed_by(&self, other: &Self) -> Option<Self> {
        fn both<T: PartialEq + Copy>(a: Option<T>, b: Option<T>) -> Result<Option<T>, ()> {
            if a.is_some() && b.is_some() && a != b { Err(()) } else { Ok(a.or(b)) }
        }
        let told = || -> Result<Self, ()> {
            Ok(Self {
                exit_at: self.exit_at,
                entry_price: both(self.entry_price, other.entry_price)?,
                exit_price: both(self.exit_price, other.exit_price)?,
                pnl: both(self.pnl, other.pnl)?,
                slippage_ticks: both(self.slippage_ticks, other.slippage_ticks)?,
                exit_reason: self.exit_reason.clone(),
                bars_held: both(self.bars_held, other.bars_held)?,
                mfe_ticks: both(self.mfe_ticks, other.mfe_ticks)?,
                mae_ticks: both(self.mae_ticks, other.mae_ticks)?,
                mfe_bars: both(self.mfe_bars, other.mfe_bars)?,
            })
        };
        let same = self.exit_at == other.exit_at && self.exit_reason == other.exit_reason;
        same.then(told)?.ok()
    }

    /// Whether `other` says nothing of the trade that this one does not say.
    pub fn says_all_of(&self, other: &Self) -> bool {
        self.completed_by(other).as_ref() == Some(self)
    }

    /// Whether the trade cannot have been closed at `exit_at` with `pnl`.
    pub fn denies(&self, (exit_at, pnl): (Timestamp, Money)) -> bool {
        self.exit_at != exit_at || self.pnl.is_some_and(|own| own != pnl)
    }
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
        let pnl = pnl.map(|pnl| Money::new(pnl).unwrap());
        Self { exit_reason: "signal".into(), ..Self::of(exit_at, pnl) }
    }
}
