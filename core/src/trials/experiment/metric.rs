//! One comparison of the two policies: what is compared, what its interval promises, and the figures.

use serde::Serialize;

use crate::stats::interval::{Comparison, Interval};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of the trades taken that won.
    WinRate,
    /// Mean pnl per signal, in account currency.
    PnlPerSignal,
    /// Mean pnl per trade taken, in account currency.
    PnlPerTaken,
    /// Sharpe ratio of the daily pnl, annualised, from all signals.
    Sharpe,
    /// The same as it would be if both policies had as many signals; only where they have not.
    SharpeEven,
    /// Maximum drawdown per signal, from all signals; the difference is the ratio of the two.
    DrawdownRatio,
    /// The same as it would be if both policies had as many signals; only where they have not.
    DrawdownEven,
    /// Mean slippage, in ticks.
    Slippage,
}

/// What an interval and a p-value promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Horizon {
    /// They hold for one look at a time that was fixed before; looked at again and again they deceive.
    Fixed,
    /// They hold at all looks together, up to the planned end.
    Sequential,
    /// They hold at all times, for ever.
    OpenEnded,
}

/// One comparison of the two policies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// What.
    pub measure: Measure,
    /// What its interval and p-value promise.
    pub horizon: Horizon,
    /// How they were computed.
    pub method: String,
    /// Of the ML policy.
    pub ml: Option<f64>,
    /// Of the strategy alone.
    pub baseline: Option<f64>,
    /// ML minus baseline; of the drawdown, ML over baseline.
    pub difference: Option<f64>,
    /// Of the difference.
    pub interval: Option<Interval>,
    /// Of no difference, two-sided.
    pub p: Option<f64>,
    /// Of the drawdown: share of the resamples in which the ML policy's is deeper.
    pub chance_worse: Option<f64>,
}

impl Metric {
    /// One without figures yet: those that do not apply stay undefined.
    pub(super) fn blank(measure: Measure, horizon: Horizon, method: &str) -> Self {
        Self {
            measure,
            horizon,
            method: method.to_owned(),
            ml: None,
            baseline: None,
            difference: None,
            interval: None,
            p: None,
            chance_worse: None,
        }
    }

    /// The same with the interval and the p-value of `comparison`.
    pub(super) fn compared(self, comparison: Option<Comparison>) -> Self {
        Self { interval: comparison.map(|c| c.interval), p: comparison.map(|c| c.test.p), ..self }
    }

    /// The same with both figures and their difference.
    pub(super) fn with_figures(self, ml: Option<f64>, baseline: Option<f64>) -> Self {
        let difference = ml.zip(baseline).map(|(ml, baseline)| ml - baseline);
        Self { ml, baseline, difference, ..self }
    }
}
