//! The emergencies and the trades that lead to them.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::domain::{Symbol, Timestamp};

/// Noon in Chicago on the first day.
const FIRST_DAY: &str = "2025-01-01T18:00:00Z";

/// An emergency.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum EmergencyScenario {
    Accuracy,
    LossStreak,
    DayLoss,
    NoPnl,
    Kill,
}

impl EmergencyScenario {
    pub(super) const ALL: [Self; 5] = [Self::Accuracy, Self::LossStreak, Self::DayLoss, Self::NoPnl, Self::Kill];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::LossStreak => "loss_streak",
            Self::DayLoss => "day_loss",
            Self::NoPnl => "a trade without a pnl",
            Self::Kill => "kill",
        }
    }

    /// What `status` has to say of it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::NoPnl => "cannot be evaluated",
            Self::Kill => "killed",
            rule => rule.name(),
        }
    }

    /// Trades that lead to it, the last of which trips it.
    pub(super) fn trades(self) -> usize {
        match self {
            Self::Accuracy => 9,
            Self::LossStreak => 5,
            Self::DayLoss | Self::NoPnl => 2,
            Self::Kill => 1,
        }
    }

    /// The pnl of the `n`-th trade, of which the model said that it wins or not.
    pub(super) fn pnl(self, n: usize, says_win: bool) -> Option<f64> {
        let last = n + 1 == self.trades();
        match self {
            Self::Accuracy => Some(if says_win == n.is_multiple_of(3) { 1.0 } else { -1.0 }),
            Self::LossStreak => Some(-1.0),
            Self::DayLoss => Some(if last { -1e6 } else { 5.0 }),
            Self::NoPnl => (!last).then_some(5.0),
            Self::Kill => Some(5.0),
        }
    }
}

/// A signal of a day, counted from 0.
pub(super) fn signal(symbol: &Symbol, day: u64, trade_id: &str) -> Value {
    json!({
        "type": "score", "trade_id": trade_id, "at": noon(day), "symbol": symbol, "side": "long", "confidence": 0.6,
        "features": {
            "vwap_trend_signal": 0.71, "sierra_pattern_strength": 0.4, "dow_trend_regime": 1, "gamma_levels_proximity": 0.3,
            "level_proximity": 0.6, "es_nq_correlation": 0.9, "volume_confirmation": 0.55, "options_flow_bias": 0.1,
            "market_volatility": 0.2, "session_time": 0.5, "bid_ask_spread": 0.0, "recent_momentum": -0.2,
        },
    })
}

pub(super) fn noon(day: u64) -> String {
    let first: Timestamp = FIRST_DAY.parse().unwrap_or(Timestamp::UNIX_EPOCH);
    (first + SignedDuration::from_hours(24 * i64::try_from(day).unwrap_or(0))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_to_an_emergency_is_no_emergency_before_its_last_trade() {
        for says_win in [true, false] {
            let right =
                (0..9).filter(|n| (EmergencyScenario::Accuracy.pnl(*n, says_win) > Some(0.0)) == says_win).count();
            assert_eq!(right, 3);
            let pnls: Vec<_> = (0..9).map(|n| EmergencyScenario::Accuracy.pnl(n, says_win) < Some(0.0)).collect();
            let longest = pnls.split(|lost| !lost).map(<[bool]>::len).max().unwrap();
            // with three of nine right, losses in a row stay within the limit of the drill
            assert!(longest <= 4, "{longest}");
        }
        assert_eq!(noon(1), "2025-01-02T18:00:00Z");
    }
}
