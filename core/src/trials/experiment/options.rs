//! Every threshold of the A/B test, and the constants that follow from them.

use serde::{Deserialize, Serialize};

use crate::stats::sequential::{HARM_SHAPE, MOST_SESSIONS, Plan, reflection_tail, wang_tsiatis};

/// Which trades are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The trades of the baseline arm, as they went and as the ML policy would have sized them: the same trades twice.
    Paired,
    /// The trades of the ML arm against those of the baseline arm: independent trades.
    Randomised,
}

/// What a claim of success may rest on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceMetric {
    /// Mean pnl per signal; a signal that is not traded counts 0.
    MeanPnl,
    /// Win rate of the trades that are taken.
    WinRate,
}

/// The section `[experiment]` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentOptions {
    /// The view that decides.
    pub evidence: View,
    /// What in it may prove success; Holm's correction is over these. At least one, none twice.
    pub metrics: Vec<EvidenceMetric>,
    /// Two-sided error rate of the claim over all looks together, above 0 to 0.5.
    pub level: f64,
    /// Sessions after which the experiment ends.
    pub planned_sessions: usize,
    /// Closed sessions before which nothing is claimed, at least 2.
    pub first_look: usize,
    /// Days before which nothing is shipped.
    pub min_days: f64,
    /// Trades in closed sessions before which nothing is shipped.
    pub min_trades: usize,
    /// Least gain of win rate, 0.03 for 3 points.
    pub min_win_rate_gain: f64,
    /// Least gain of the annualised daily Sharpe ratio.
    pub min_sharpe_gain: f64,
    /// Largest drawdown per signal of the ML policy, as a multiple of the baseline's.
    pub max_drawdown_ratio: f64,
    /// Error rate of stopping a harmless version for harm, over all looks and both views together, above 0 to 0.5.
    pub harm_level: f64,
    /// The p-value of the sample-ratio test, over all looks together, under which the experiment is invalid.
    pub sample_ratio_level: f64,
    /// Days after its own after which a session no longer waits for outcomes.
    pub outcome_wait_days: u32,
    /// The power that the report plans for, above `level`, below 1; otherwise the report does not tell it.
    pub power: f64,
    /// Resamples of the report's bootstrap, at least 100.
    pub resamples: usize,
    /// Seed of the report's bootstrap.
    pub seed: u64,
    /// Sessions at which the open-ended interval of a holdback is tightest.
    pub holdback_sessions: usize,
    /// Signals that one trial keeps at most, at least 1.
    pub max_trades: usize,
}

/// Options that contradict each other or are out of range, by the name of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("experiment.{key} {problem}")]
pub struct InvalidOptions {
    /// The key.
    pub key: &'static str,
    /// What it must be.
    pub problem: &'static str,
}

/// Checked options with the boundaries they give. Making one takes milliseconds, with 500
/// sessions half a second; keep it.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    pub(super) options: ExperimentOptions,
    pub(super) plan: Plan,
    /// The constant of the harm boundary, each view having half of the error rate.
    pub(super) harm: f64,
    /// Sessions at which the open-ended interval is tightest.
    pub(super) tuned_to: usize,
    /// Whether it has no planned end.
    pub(super) endless: bool,
}

impl View {
    /// The word in the configuration and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paired => "paired",
            Self::Randomised => "randomised",
        }
    }
}

impl EvidenceMetric {
    /// The word in the configuration and on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::MeanPnl => "mean_pnl",
            Self::WinRate => "win_rate",
        }
    }
}

impl ExperimentOptions {
    /// Why a test of this plan can never ship, whatever the version is worth, if so. With all sessions in its favour its z
    /// is the root of their number, which must be significant after Holm's correction; and at five sessions a week, with a
    /// weekend and a start in mid-session, the plan must last for `min_days`.
    pub fn can_never_ship(&self) -> Option<InvalidOptions> {
        let planned = self.planned_sessions as f64;
        let best = self.metrics.len() as f64 * reflection_tail(planned.sqrt());
        if best > self.level {
            let problem = "is too short: not even a gain in every session would be proof at experiment.level";
            return Some(InvalidOptions { key: "planned_sessions", problem });
        }
        let lasts = planned * 7.0 / 5.0 + 3.0;
        let problem = "is longer than experiment.planned_sessions last at five sessions a week";
        (self.min_days > lasts).then_some(InvalidOptions { key: "min_days", problem })
    }
}

impl Criteria {
    /// Checks what decides in `options` and computes the boundaries. What only a report needs is not looked at, so that a
    /// test under way, which keeps its own terms, can be judged whatever the rest has become.
    ///
    /// # Errors
    /// [`InvalidOptions`], which names the first key at fault.
    pub fn new(options: ExperimentOptions) -> Result<Self, InvalidOptions> {
        let refuse = |key, problem| Err(InvalidOptions { key, problem });
        let share = |x: f64, most: f64| x > 0.0 && x <= most;
        let repeated = |metric| options.metrics.iter().filter(|other| *other == metric).count() > 1;
        let floor = |x: f64| x.is_finite() && x >= 0.0;
        let checks = [
            (share(options.level, 0.5), "level", "must be above 0 and at most 0.5"),
            (share(options.harm_level, 0.5), "harm_level", "must be above 0 and at most 0.5"),
            (share(options.sample_ratio_level, 0.5), "sample_ratio_level", "must be above 0 and at most 0.5"),
            (!options.metrics.is_empty(), "metrics", "must name at least one metric"),
            (!options.metrics.iter().any(repeated), "metrics", "must not name a metric twice"),
            (options.first_look >= 2, "first_look", "must be at least 2"),
            (floor(options.min_days), "min_days", "must be at least 0"),
            (options.min_win_rate_gain.is_finite(), "min_win_rate_gain", "must be finite"),
            (options.min_sharpe_gain.is_finite(), "min_sharpe_gain", "must be finite"),
            (floor(options.max_drawdown_ratio), "max_drawdown_ratio", "must be at least 0"),
            (options.resamples >= 100, "resamples", "must be at least 100"),
        ];
        if let Some((_, key, problem)) = checks.into_iter().find(|(holds, ..)| !holds) {
            return refuse(key, problem);
        }
        const { assert!(MOST_SESSIONS == 500, "the message below names it") };
        let Some(plan) = Plan::new(options.planned_sessions, options.first_look) else {
            return refuse("planned_sessions", "must be from first_look to 500");
        };
        let Some(harm) = wang_tsiatis(plan, HARM_SHAPE, options.harm_level / 2.0) else {
            return refuse("harm_level", "gives no boundary");
        };
        let tuned_to = plan.sessions();
        Ok(Self { options, plan, harm, tuned_to, endless: false })
    }

    /// The same for a holdback, which has no end: its open-ended interval is tightest elsewhere.
    #[must_use]
    pub fn of_holdback(self) -> Self {
        Self { tuned_to: self.options.holdback_sessions.max(1), endless: true, ..self }
    }

    /// The options as given.
    pub fn options(&self) -> &ExperimentOptions {
        &self.options
    }

    /// The planned length.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// The z statistic at or under which a version does harm, after `closed` sessions. `None` before the first look
    /// and after the planned end.
    pub fn harm_boundary(&self, closed: usize) -> Option<f64> {
        Some(-self.harm * self.plan.fraction(closed)?.powf(HARM_SHAPE - 0.5))
    }
}
