//! What follows from an experiment when a session closes.

use serde::Serialize;

use super::{
    evidence::TestEvidence,
    options::{Criteria, EvidenceMetric, View},
    state::{Experiment, Session},
};
use crate::{
    domain::Timestamp,
    lifecycle::gates::{Check, meaning},
    stats::{cluster::Sums, interval::Test, multiple::holm},
};

/// What to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "verdict", content = "why", rename_all = "snake_case")]
pub enum TestVerdict {
    /// Wait; in words, for what.
    Continue(String),
    /// Take the version out now.
    StopForHarm(String),
    /// The version has earned production.
    Ship(String),
    /// It will not: keep the baseline.
    Futile(String),
    /// The arms were not given out as they should have been: nothing may be concluded.
    Invalid(String),
    /// It has ended; in words, how. Never a ruling, only told of a test that is past.
    Over(String),
}

/// A verdict and the numbers it stands on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ruling {
    /// What to do.
    #[serde(flatten)]
    pub verdict: TestVerdict,
    /// The conditions of shipping.
    pub checks: Vec<Check>,
}

/// How a metric of the evidence stands against its boundary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricStanding {
    /// Which.
    pub metric: EvidenceMetric,
    /// Sum of the session differences over the root of their squares; above 0 the ML policy is better.
    pub z: Option<f64>,
    /// Sequential p-value, valid over all looks together, after Holm's correction; 1 where there is none.
    pub p: f64,
}

/// How the harm boundary stands in one view.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HarmStanding {
    /// Which.
    pub view: View,
    /// As in [`MetricStanding`], of the mean pnl.
    pub z: Option<f64>,
    /// At or below which it is harm. `None` before the first look and after the end.
    pub boundary: Option<f64>,
}

/// All that a decision looks at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestStanding {
    /// Sessions closed.
    pub sessions: usize,
    /// Trades in them.
    pub trades: usize,
    /// Days since the experiment began.
    pub days: f64,
    /// Test of the sample ratio, valid over all looks together.
    pub sample_ratio: Option<Test>,
    /// The metrics that may prove success.
    pub metrics: Vec<MetricStanding>,
    /// Both views' mean pnl against the harm boundary.
    pub harm: Vec<HarmStanding>,
    /// In the view that decides: gain of win rate.
    pub win_rate_gain: Option<f64>,
    /// The upper end of its repeated interval.
    pub win_rate_upper: Option<f64>,
    /// In the view that decides: gain of the annualised Sharpe ratio.
    pub sharpe_gain: Option<f64>,
    /// In the view that decides: drawdown per signal over the baseline's.
    pub drawdown_ratio: Option<f64>,
}

impl TestVerdict {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Continue(_) => "continue",
            Self::StopForHarm(_) => "stop for harm",
            Self::Ship(_) => "ship",
            Self::Futile(_) => "futile",
            Self::Invalid(_) => "invalid",
            Self::Over(_) => "over",
        }
    }

    /// Why.
    pub fn why(&self) -> &str {
        match self {
            Self::Continue(why) | Self::StopForHarm(why) | Self::Ship(why) => why,
            Self::Futile(why) | Self::Invalid(why) | Self::Over(why) => why,
        }
    }
}

impl Ruling {
    /// The same where shipping has further `conditions`. A test that would ship waits for them until its plan is over.
    #[must_use]
    pub fn under(mut self, conditions: Vec<Check>, is_over: bool) -> Self {
        if matches!(self.verdict, TestVerdict::Ship(_)) && conditions.iter().any(|check| !check.passed) {
            let failed = failed(&conditions);
            self.verdict = match is_over {
                true => TestVerdict::Futile(format!("the planned sessions are over, and these do not hold: {failed}")),
                false => TestVerdict::Continue(format!("all holds but {failed}")),
            };
        }
        self.checks.extend(conditions);
        self
    }
}

impl Criteria {
    /// How `experiment` stands at `now`, by the sessions that [`counted`](Self::counted) gives.
    pub fn assess(&self, experiment: &Experiment, now: Timestamp) -> TestStanding {
        self.assess_after(self.counted(experiment).len(), experiment, now)
    }

    /// How `experiment` stood when `closed` of its sessions had closed. A test is judged after each, so that what came to
    /// light at once is looked at one by one; nothing beyond the planned end counts.
    pub fn assess_after(&self, closed: usize, experiment: &Experiment, now: Timestamp) -> TestStanding {
        let counted = self.counted(experiment);
        let sessions = counted.get(..closed).unwrap_or(counted);
        let [paired, randomised] = [View::Paired, View::Randomised].map(|view| TestEvidence::of(view, sessions));
        self.standing(experiment, now, &paired, &randomised)
    }

    /// The closed sessions that count: of a test those of its plan, of a holdback all.
    pub fn counted<'a>(&self, experiment: &'a Experiment) -> &'a [Session] {
        let sessions = experiment.sessions();
        let most = if self.endless { sessions.len() } else { self.plan.sessions() };
        sessions.get(..most).unwrap_or(sessions)
    }

    /// The view that decides `experiment`: the one asked for, but against another version the randomised one.
    pub fn view_of(&self, experiment: &Experiment) -> View {
        if experiment.has_champion() { View::Randomised } else { self.options.evidence }
    }

    pub(super) fn standing(
        &self,
        experiment: &Experiment,
        now: Timestamp,
        paired: &TestEvidence,
        randomised: &TestEvidence,
    ) -> TestStanding {
        let closed = paired.sessions.len();
        let chosen = match self.view_of(experiment) {
            View::Paired => paired,
            View::Randomised => randomised,
        };
        let critical = self.plan.critical(closed, self.options.level);
        let upper = |sums: &Sums| sums.inverted_interval(critical?);
        let harm = [paired, randomised].map(|evidence| HarmStanding {
            view: evidence.view,
            z: evidence.mean_pnl.and_then(|sums| sums.statistic()),
            boundary: self.harm_boundary(closed),
        });
        TestStanding {
            sessions: closed,
            trades: paired.trades,
            days: now.duration_since(experiment.since()).as_secs_f64() / 86_400.0,
            sample_ratio: experiment.sample_ratio().test(),
            metrics: self.metric_standings(chosen, closed),
            harm: harm.to_vec(),
            win_rate_gain: chosen.win_rate_gain(),
            win_rate_upper: chosen.win_rate.as_ref().and_then(upper).map(|interval| interval.high),
            sharpe_gain: chosen.sharpe_gain(),
            drawdown_ratio: chosen.drawdown_ratio(),
        }
    }

    /// What follows from `standing`. Emergencies are no part of it: the guardian acts on them at the outcome.
    pub fn decide(&self, standing: &TestStanding) -> Ruling {
        let checks = self.checks(standing);
        let verdict = self
            .invalid(standing)
            .or_else(|| harm(standing))
            .or_else(|| ship(standing, &checks))
            .or_else(|| self.futile(standing, &checks))
            .unwrap_or_else(|| self.wait(standing, &checks));
        Ruling { verdict, checks }
    }

    fn metric_standings(&self, evidence: &TestEvidence, closed: usize) -> Vec<MetricStanding> {
        let z: Vec<Option<f64>> = self.options.metrics.iter().map(|metric| z_of(evidence, *metric)).collect();
        let p = |z: &Option<f64>| z.and_then(|z| self.plan.p_value(closed, z)).unwrap_or(1.0);
        let adjusted = holm(&z.iter().map(p).collect::<Vec<_>>()).unwrap_or_default();
        let rows = self.options.metrics.iter().zip(z).zip(adjusted);
        rows.map(|((metric, z), p)| MetricStanding { metric: *metric, z, p }).collect()
    }

    fn checks(&self, standing: &TestStanding) -> Vec<Check> {
        let options = &self.options;
        let least = |name, value: Option<f64>, threshold: f64| Check {
            name,
            value,
            threshold,
            passed: value.is_some_and(|value| value >= threshold),
        };
        let most = |name, value: Option<f64>, threshold: f64| Check {
            name,
            value,
            threshold,
            passed: value.is_some_and(|value| value <= threshold),
        };
        let better = |metric: &&MetricStanding| metric.z.is_some_and(|z| z > 0.0);
        let proof = standing.metrics.iter().filter(better).map(|metric| metric.p).reduce(f64::min);
        let worse = |metric: &MetricStanding| metric.z.is_some_and(|z| z < 0.0) && metric.p <= options.level;
        let mut evidence = most("evidence", proof, options.level);
        evidence.passed &= !standing.metrics.iter().any(worse);
        vec![
            least("days", Some(standing.days), options.min_days),
            least("trades", Some(standing.trades as f64), options.min_trades as f64),
            least("win_rate_gain", standing.win_rate_gain, options.min_win_rate_gain),
            least("sharpe_gain", standing.sharpe_gain, options.min_sharpe_gain),
            most("drawdown_ratio", standing.drawdown_ratio, options.max_drawdown_ratio),
            evidence,
        ]
    }

    fn invalid(&self, standing: &TestStanding) -> Option<TestVerdict> {
        let test = standing.sample_ratio.filter(|test| test.p < self.options.sample_ratio_level)?;
        let Test { statistic, p } = test;
        Some(TestVerdict::Invalid(format!(
            "the arms are not of the sizes they should be: {statistic:.0} to 1 against chance, p {p:.1e} over all looks; \
             find out what keeps trades of one arm from being recorded, then start again"
        )))
    }

    fn futile(&self, standing: &TestStanding, checks: &[Check]) -> Option<TestVerdict> {
        let (closed, planned) = (standing.sessions, self.plan.sessions());
        if closed >= planned {
            let failed = failed(checks);
            return Some(TestVerdict::Futile(format!(
                "the {planned} planned sessions are over, and these do not hold: {failed}"
            )));
        }
        let least = self.options.min_win_rate_gain;
        let upper = standing.win_rate_upper.filter(|upper| *upper < least)?;
        Some(TestVerdict::Futile(format!(
            "the win rate gains at most {:.1} points, {:.1} are asked for",
            100.0 * upper,
            100.0 * least
        )))
    }

    fn wait(&self, standing: &TestStanding, checks: &[Check]) -> TestVerdict {
        let planned = self.plan.sessions();
        TestVerdict::Continue(format!("{} of {planned} sessions; not yet: {}", standing.sessions, failed(checks)))
    }
}

pub(super) fn z_of(evidence: &TestEvidence, metric: EvidenceMetric) -> Option<f64> {
    match metric {
        EvidenceMetric::MeanPnl => evidence.mean_pnl.as_ref()?.statistic(),
        EvidenceMetric::WinRate => evidence.win_rate.as_ref()?.statistic(),
    }
}

fn harm(standing: &TestStanding) -> Option<TestVerdict> {
    let crossed = |harm: &&HarmStanding| harm.z.zip(harm.boundary).is_some_and(|(z, boundary)| z <= boundary);
    let harm = standing.harm.iter().find(crossed)?;
    let (z, boundary) = harm.z.zip(harm.boundary)?;
    Some(TestVerdict::StopForHarm(format!(
        "the {} view's mean pnl is worse than the baseline's: z {z:.2}, harm from {boundary:.2}",
        harm.view.name()
    )))
}

fn ship(standing: &TestStanding, checks: &[Check]) -> Option<TestVerdict> {
    checks.iter().all(|check| check.passed).then(|| {
        let gain = 100.0 * standing.win_rate_gain.unwrap_or_default();
        let p = standing.metrics.iter().map(|metric| metric.p).fold(1.0, f64::min);
        TestVerdict::Ship(format!("win rate {gain:+.1} points, p {p:.2e} over all looks; every condition holds"))
    })
}

fn failed(checks: &[Check]) -> String {
    let names: Vec<String> = checks.iter().filter(|check| !check.passed).map(|check| meaning(check.name)).collect();
    names.join(", ")
}
