//! A closed trade as the emergency rules see it.

use serde::{Deserialize, Serialize};

use super::options::EmergencyOptions;
use crate::{
    domain::{Money, Outcome, Probability, Timestamp, TradeId, TradingCalendar, TradingDay, VersionId},
    models::Facts,
};

/// A closed trade as the rules see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedTrade {
    /// The trader's name for it.
    pub trade_id: TradeId,
    /// When it closed; see [`ClosedTrade::closed_at`].
    pub at: Timestamp,
    /// The trading day it closed on.
    pub day: TradingDay,
    /// After costs.
    pub pnl: Option<Money>,
    /// The model that influenced it; `None` when it was traded on the baseline, or nothing is known of its decision.
    pub ml: Option<VersionScore>,
    /// What every version in service said of it, heard or not.
    #[serde(default)]
    pub scores: Vec<VersionScore>,
    /// What labels are made of.
    #[serde(default)]
    pub facts: Facts,
    /// What else the trader reported of it.
    #[serde(default)]
    pub reported: Reported,
    /// The daily limit of the latest signal known, if it carried one; an amount of at least 0.
    pub daily_loss_limit: Option<f64>,
}

/// A model's say in a trade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionScore {
    /// Whose.
    pub version: VersionId,
    /// What it said.
    pub score: Probability,
    /// The multiple of the strategy's size that followed; 0 asked for no trade.
    pub size: f64,
}

/// What a trader reports of a closed trade besides its money. What is not there is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Reported {
    /// How much worse it was filled than expected, in ticks.
    pub slippage_ticks: Option<f64>,
    /// Bars from its entry to its exit.
    pub bars_held: Option<f64>,
    /// Maximum favourable excursion, in ticks.
    pub mfe_ticks: Option<f64>,
    /// Maximum adverse excursion, in ticks.
    pub mae_ticks: Option<f64>,
}

impl ClosedTrade {
    /// When a trade counts as closed, and on which trading day: at its exit as the trader tells it, but not after it was
    /// told, so that a clock that is ahead does not keep a trade among the latest for ever.
    pub fn closed_at(
        exit_at: Timestamp,
        received_at: Timestamp,
        calendar: &TradingCalendar,
    ) -> (Timestamp, TradingDay) {
        let at = exit_at.min(received_at);
        (at, calendar.day_of(at))
    }

    /// Whether its pnl, if it has one, is one that a trade can make.
    pub(super) fn is_credible(&self, options: &EmergencyOptions) -> bool {
        self.pnl.is_none_or(|pnl| pnl.get().abs() <= options.max_trade_pnl)
    }
}

impl Reported {
    /// Of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        let Outcome { slippage_ticks, bars_held, mfe_ticks, mae_ticks, .. } = *outcome;
        Self { slippage_ticks, bars_held, mfe_ticks, mae_ticks }
    }
}
