//! The gate out of staging: what a version must show in shadow before any trade hears it.

use serde::{Deserialize, Serialize};

use super::{decide::Check, evidence::ratio};
use crate::{
    domain::Timestamp,
    stats::risk::{expectancy, max_drawdown},
};

/// The section `[staging]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StagingOptions {
    /// Hours in staging, at least 0.
    pub min_hours: f64,
    /// Closed trades that the version scored in shadow.
    pub min_trades: usize,
    /// Largest drawdown of the shadow policy, as a multiple of the baseline's.
    pub max_drawdown_ratio: f64,
}

/// A trade that was closed while a version watched, as the strategy alone traded it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShadowTrade {
    /// After costs, at the strategy's own size.
    pub pnl: f64,
    /// The multiple of that size which the version's policy would have traded; 0 lets it go.
    pub ml_size: f64,
}

/// Whether a version may go on, condition by condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagingRuling {
    /// The conditions.
    pub checks: Vec<Check>,
    /// Whether all hold.
    pub passed: bool,
}

impl Default for StagingOptions {
    fn default() -> Self {
        Self { min_hours: 24.0, min_trades: 50, max_drawdown_ratio: 1.2 }
    }
}

/// Judges a version that has been in staging since `since` by the `trades` closed since then, in the order of their
/// exits. Both policies have the same trades; performance is mean pnl per trade of the strategy.
pub fn staging_gate(
    options: &StagingOptions,
    since: Timestamp,
    now: Timestamp,
    trades: &[ShadowTrade],
) -> StagingRuling {
    let baseline: Vec<f64> = trades.iter().map(|trade| trade.pnl).collect();
    // 0 times a pnl may be -0
    let policy = |trade: &ShadowTrade| if trade.ml_size > 0.0 { trade.ml_size * trade.pnl } else { 0.0 };
    let shadow: Vec<f64> = trades.iter().map(policy).collect();
    let hours = now.duration_since(since).as_secs_f64() / 3600.0;
    let gain = expectancy(&shadow).zip(expectancy(&baseline)).map(|(shadow, baseline)| shadow - baseline);
    let drawdowns = max_drawdown(&shadow).zip(max_drawdown(&baseline));
    let drawdown = drawdowns.and_then(|(shadow, baseline)| ratio(shadow, baseline));
    let least = |name, value: Option<f64>, threshold: f64| Check {
        name,
        value,
        threshold,
        passed: value.is_some_and(|value| value >= threshold),
    };
    let most = options.max_drawdown_ratio;
    let checks = vec![
        least("hours", Some(hours), options.min_hours),
        least("trades", Some(trades.len() as f64), options.min_trades as f64),
        least("mean_pnl_gain", gain, 0.0),
        Check {
            name: "drawdown_ratio",
            value: drawdown,
            threshold: most,
            passed: drawdown.is_some_and(|ratio| ratio <= most),
        },
    ];
    let passed = checks.iter().all(|check| check.passed);
    StagingRuling { checks, passed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(hours: i64, trades: &[ShadowTrade]) -> StagingRuling {
        let since = Timestamp::from_second(1_420_000_000).unwrap();
        let now = Timestamp::from_second(1_420_000_000 + hours * 3600).unwrap();
        staging_gate(&StagingOptions::default(), since, now, trades)
    }

    fn failed(ruling: &StagingRuling) -> Vec<&'static str> {
        ruling.checks.iter().filter(|check| !check.passed).map(|check| check.name).collect()
    }

    /// Wins and losses in turn, the policy sizing the losses by `loss_size`.
    fn trades(n: usize, loss_size: f64) -> Vec<ShadowTrade> {
        let trade = |i: usize| {
            let won = i.is_multiple_of(2);
            ShadowTrade { pnl: if won { 100.0 } else { -90.0 }, ml_size: if won { 1.0 } else { loss_size } }
        };
        (0..n).map(trade).collect()
    }

    #[test]
    fn a_day_and_fifty_trades_no_worse_than_the_baseline_open_the_gate() {
        assert!(gate(24, &trades(50, 1.0)).passed);
        assert!(gate(24, &trades(50, 0.0)).passed);
        assert_eq!(failed(&gate(23, &trades(49, 1.0))), ["hours", "trades"]);
    }

    #[test]
    fn a_worse_policy_or_a_deeper_drawdown_closes_it() {
        assert_eq!(failed(&gate(48, &trades(60, 1.1))), ["mean_pnl_gain"]);
        assert_eq!(failed(&gate(48, &trades(60, 1.3))), ["mean_pnl_gain", "drawdown_ratio"]);
        assert_eq!(failed(&gate(48, &[])), ["trades", "mean_pnl_gain", "drawdown_ratio"]);
    }
}
