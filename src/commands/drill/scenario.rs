//! The emergencies and the trades that lead to them.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    domain::{Symbol, Timestamp},
    guard::emergency::{EmergencyRule, RULES, Reported, Scenario},
};

/// Noon in Chicago on the first day.
const FIRST_DAY: &str = "2025-01-01T18:00:00Z";

/// An emergency.
#[derive(Debug, Clone, Copy)]
pub(super) enum EmergencyScenario {
    /// A rule trips.
    Rule(&'static EmergencyRule, &'static Scenario),
    /// A trade that the model was heard in is closed without a pnl.
    NoPnl,
    /// An operator kills.
    Kill,
}

impl EmergencyScenario {
    /// All of them: each rule that a few trades trip, and what is no rule.
    pub(super) fn all() -> Vec<Self> {
        let rules = RULES.iter().filter_map(|rule| Some(Self::Rule(rule, rule.scenario.as_ref()?)));
        rules.chain([Self::NoPnl, Self::Kill]).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rule(rule, _) => rule.name.name(),
            Self::NoPnl => "a trade without a pnl",
            Self::Kill => "kill",
        }
    }

    /// What `status` has to say of it.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Self::Rule(..) => self.name(),
            Self::NoPnl => "cannot be evaluated",
            Self::Kill => "killed",
        }
    }

    /// Lines of a configuration under which so few trades suffice.
    pub(super) fn settings(self) -> &'static str {
        match self {
            Self::Rule(_, scenario) => scenario.settings,
            Self::NoPnl | Self::Kill => "",
        }
    }

    /// Trades that lead to it, the last of which trips it.
    pub(super) fn trades(self) -> usize {
        match self {
            Self::Rule(_, scenario) => scenario.trades,
            Self::NoPnl => 2,
            Self::Kill => 1,
        }
    }

    /// What is told of the `n`-th trade, which was closed at `exit_at`, and of which the model said that it wins or not.
    pub(super) fn metrics(self, n: usize, says_win: bool, exit_at: &str) -> Value {
        let (pnl, Reported { slippage_ticks, bars_held, mfe_ticks, mae_ticks }) = match self {
            Self::Rule(_, scenario) => {
                let (pnl, reported) = (scenario.outcome)(n, says_win);
                (Some(pnl), reported)
            }
            Self::NoPnl => ((n + 1 < self.trades()).then_some(5.0), Reported::default()),
            Self::Kill => (Some(5.0), Reported::default()),
        };
        json!({
            "exit_at": exit_at, "exit_reason": "signal", "pnl": pnl, "slippage_ticks": slippage_ticks,
            "bars_held": bars_held, "mfe_ticks": mfe_ticks, "mae_ticks": mae_ticks,
        })
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
    use crate::guard::emergency::accuracy;

    #[test]
    fn what_leads_to_an_emergency_is_no_emergency_before_its_last_trade() {
        for says_win in [true, false] {
            let pnl = accuracy::RULE.scenario.as_ref().unwrap().outcome;
            let right = (0..9).filter(|n| (pnl(*n, says_win).0 > 0.0) == says_win).count();
            assert_eq!(right, 3);
            let pnls: Vec<_> = (0..9).map(|n| pnl(n, says_win).0 < 0.0).collect();
            let longest = pnls.split(|lost| !lost).map(<[bool]>::len).max().unwrap();
            // with three of nine right, losses in a row stay within the limit of the drill
            assert!(longest <= 4, "{longest}");
        }
        assert_eq!(noon(1), "2025-01-02T18:00:00Z");
    }
}
