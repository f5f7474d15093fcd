//! All there is to know about an experiment, for people.

use serde::Serialize;

use super::{
    decide::{Ruling, TestStanding},
    evidence::TestEvidence,
    inference,
    metric::Metric,
    options::{Criteria, View},
    state::{Experiment, Session},
};
use crate::{
    domain::{Arm, Timestamp},
    stats::{
        cluster::{DesignEffect, Sums},
        interval::Test,
        power::Reading,
    },
};

/// One view.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ViewReport {
    /// Which.
    pub view: View,
    /// Signals of the ML policy and of the strategy alone.
    pub signals: [usize; 2],
    /// Those of them that were traded.
    pub taken: [usize; 2],
    /// Every metric.
    pub metrics: Vec<Metric>,
    /// What it can find, read sequentially and once at the planned end.
    pub power: Vec<PowerLine>,
}

/// What a view can find, as far as its sessions tell how much it varies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PowerLine {
    /// Read at every session, or once.
    pub sequential: bool,
    /// Chance that the least gain of win rate that is asked for is found by the planned end.
    pub power_at_end: f64,
    /// Trades of the experiment, both arms, at which that chance is what the options ask for.
    pub trades_needed: f64,
    /// Those still to come.
    pub trades_missing: f64,
    /// Weeks they take at five sessions a week and the rate so far.
    pub weeks_missing: f64,
    /// The difference of the mean pnl per signal that is found with that chance by the planned end.
    pub detectable_pnl: Option<f64>,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestReport {
    /// Sessions closed.
    pub sessions: usize,
    /// Sessions planned.
    pub planned_sessions: usize,
    /// Whether nothing is decided by it: a holdback has no plan and no end.
    #[serde(skip)]
    pub is_measured_only: bool,
    /// Days since the beginning.
    pub days: f64,
    /// Trades of closed sessions.
    pub trades: usize,
    /// Trades of open sessions.
    pub open_trades: usize,
    /// What came after its session had closed.
    pub late: usize,
    /// Signals that there was no room for, see [`Room`](super::Room).
    pub left_out: usize,
    /// Trades of old sessions that were given up for newer ones.
    pub given_up: usize,
    /// Trades in the ML arm among those left to chance, open ones included.
    pub in_ml: f64,
    /// How many should be there.
    pub expected_in_ml: f64,
    /// Whether that is too far off, over all looks together.
    pub sample_ratio: Option<Test>,
    /// How much less than independent ones the baseline's trades of a session tell.
    pub design_effect: Option<DesignEffect>,
    /// Coverage of every interval.
    pub confidence: f64,
    /// Error rate at which a claim is made.
    pub level: f64,
    /// The least gain of win rate that is asked for.
    pub min_win_rate_gain: f64,
    /// The power asked for.
    pub power: f64,
    /// The view that decides.
    pub evidence: View,
    /// Paired, then randomised.
    pub views: Vec<ViewReport>,
    /// How the experiment stands.
    pub standing: TestStanding,
    /// What follows.
    pub ruling: Ruling,
}

impl TestReport {
    /// The report on `experiment` at `now`. Takes some tens of milliseconds for the bootstrap: not on the serving
    /// thread.
    pub fn of(criteria: &Criteria, experiment: &Experiment, now: Timestamp) -> Self {
        let sessions = criteria.counted(experiment);
        let evidence = [View::Paired, View::Randomised].map(|view| TestEvidence::of(view, sessions));
        let [paired, randomised] = &evidence;
        let standing = criteria.standing(experiment, now, paired, randomised);
        let ruling = criteria.decide(&standing);
        let options = criteria.options();
        let ratio = experiment.sample_ratio();
        Self {
            sessions: standing.sessions,
            planned_sessions: criteria.plan.sessions(),
            is_measured_only: criteria.endless,
            days: standing.days,
            trades: standing.trades,
            open_trades: experiment.open_trades(),
            late: experiment.late(),
            left_out: experiment.left_out(),
            given_up: experiment.given_up(),
            in_ml: ratio.in_ml() as f64,
            expected_in_ml: ratio.expected(),
            sample_ratio: standing.sample_ratio,
            design_effect: design_effect(sessions),
            confidence: 1.0 - options.level,
            level: options.level,
            min_win_rate_gain: options.min_win_rate_gain,
            power: options.power,
            evidence: criteria.view_of(experiment),
            views: evidence.iter().map(|evidence| view(criteria, sessions, evidence)).collect(),
            standing,
            ruling,
        }
    }
}

fn view(criteria: &Criteria, sessions: &[Session], evidence: &TestEvidence) -> ViewReport {
    // what has no end has no power at it
    let lines: &[Reading] = if criteria.endless { &[] } else { &[Reading::Sequential, Reading::FixedHorizon] };
    ViewReport {
        view: evidence.view,
        signals: [evidence.ml.signals, evidence.baseline.signals],
        taken: [evidence.ml.taken, evidence.baseline.taken],
        metrics: inference::metrics(criteria, evidence, sessions),
        power: lines.iter().filter_map(|reading| power(criteria, evidence, *reading)).collect(),
    }
}

fn power(criteria: &Criteria, evidence: &TestEvidence, reading: Reading) -> Option<PowerLine> {
    let options = criteria.options();
    let (closed, trades) = (evidence.sessions.len() as f64, evidence.trades as f64);
    // the standard error falls with the root of the sessions
    let to_end = (criteria.plan.sessions() as f64 / closed).sqrt();
    let now = options.min_win_rate_gain / evidence.win_rate?.standard_error()?;
    let planned = criteria.plan.sessions() as f64;
    let wanted = reading.drift_of(options.power, now * now / closed, options.level)?;
    let by_end = reading.drift(options.power, planned, options.level);
    let detectable = |sums: Sums| Some(by_end? * sums.standard_error()? / to_end);
    let trades_needed = trades * (wanted / now).powi(2);
    let trades_missing = (trades_needed - trades).max(0.0);
    let line = PowerLine {
        sequential: reading == Reading::Sequential,
        power_at_end: reading.power(now * to_end, planned, options.level)?,
        trades_needed,
        trades_missing,
        weeks_missing: trades_missing / (5.0 * trades / closed),
        detectable_pnl: evidence.mean_pnl.and_then(detectable),
    };
    line.weeks_missing.is_finite().then_some(line)
}

fn design_effect(sessions: &[Session]) -> Option<DesignEffect> {
    let baseline = sessions.iter().map(|session| {
        let trades = session.trades.iter().filter(|trade| trade.assignment.arm == Arm::Baseline);
        trades.filter_map(|trade| trade.pnl).collect::<Vec<f64>>()
    });
    let sessions: Vec<Vec<f64>> = baseline.collect();
    DesignEffect::of(sessions.iter().map(Vec::as_slice))
}
