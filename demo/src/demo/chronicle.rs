//! What happened, as it is drawn in the end.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::{ledger::Ledger, verdict::date};
use crate::execution::Closed;
use vigie_core::{
    domain::{Event, EventKind, Probability, Timestamp, VersionId, lifecycle::State},
    report::{Curve, Entry, Life, Test, TestPoint},
    stats::sequential::reflection_constant,
};

/// Trades over which accuracy is drawn.
const ROLLING: usize = 100;
/// Trades before which it is not.
const LEAST: usize = 50;
/// Days without a trade that break its line.
const BREAK: f64 = 5.0;

/// What happened so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Chronicle {
    pub(super) entries: Vec<Entry>,
    pub(super) stages: BTreeMap<VersionId, Vec<(State, Timestamp)>>,
    pub(super) silences: Vec<(Timestamp, Option<Timestamp>)>,
    /// In the order in which they began; a version may have more than one.
    pub(super) tests: Vec<Test>,
    pub(super) marks: Vec<(Timestamp, String)>,
}

/// How a test stands, from the daemon's answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) version: VersionId,
    pub(super) sessions: usize,
    pub(super) planned: usize,
    pub(super) trades: u64,
    pub(super) statistic: Option<f64>,
    pub(super) success: Option<f64>,
    pub(super) harm: Option<f64>,
    pub(super) win_rate_gain: Option<f64>,
}

impl Reading {
    /// From one of the trials in the answer to `experiment`; `None` of anything but a test.
    pub(super) fn of(trial: &Value) -> Option<Self> {
        let report = trial.get("report")?;
        let number = |path: &str| report.pointer(path).and_then(Value::as_f64);
        let whole = |path: &str| report.pointer(path).and_then(Value::as_u64);
        (trial.get("trial")?.as_str()? == "test").then_some(())?;
        let (sessions, planned) = (whole("/sessions")? as usize, whole("/planned_sessions")? as usize);
        let metrics = report.pointer("/standing/metrics")?.as_array()?;
        let harm = number("/standing/harm/0/boundary");
        // the strictest level of Holm's correction; before the first look there is no boundary at all
        let level = number("/level")? / metrics.len().max(1) as f64;
        let reached = sessions as f64 / planned.max(1) as f64;
        let success = harm.and_then(|_| Some(reflection_constant(level)? / reached.sqrt()));
        Some(Self {
            version: trial.get("version")?.as_str()?.parse().ok()?,
            sessions,
            planned,
            trades: whole("/trades")?,
            // any of them may prove success: the strongest is told of
            statistic: metrics.iter().filter_map(|metric| metric.get("z")?.as_f64()).reduce(f64::max),
            success,
            harm,
            win_rate_gain: number("/standing/win_rate_gain"),
        })
    }
}

impl Chronicle {
    pub(super) fn event(&mut self, seq: u64, event: &Event) {
        self.entries.extend(Entry::of(seq, event));
        let at = event.at;
        match &event.kind {
            EventKind::Trained { version, .. } => {
                self.stages.entry(version.clone()).or_default().push((State::Trained, at));
            }
            EventKind::Moved { version, step, reason, .. } => {
                let to = step.edge().1;
                self.stages.entry(version.clone()).or_default().push((to, at));
                let mark = match to {
                    State::AbTest => Some("A/B test"),
                    State::Production => Some("production"),
                    State::RolledBack => Some("rolled back"),
                    _ => None,
                };
                self.marks.extend(mark.map(|mark| (at, mark.to_owned())));
                if to == State::AbTest {
                    self.begin(version, at);
                }
                if step.edge().0 == State::AbTest
                    && let Some(test) = self.latest(version)
                {
                    test.outcome = format!("It ended on {}: {reason}.", date(at));
                }
            }
            EventKind::Locked { .. } | EventKind::Latched { .. } if !self.is_silent() => self.silences.push((at, None)),
            EventKind::Resumed { .. } => {
                if let Some((_, until @ None)) = self.silences.last_mut() {
                    *until = Some(at);
                }
            }
            _ => {}
        }
    }

    /// Whether everything is locked, or an emergency holds.
    pub(super) fn is_silent(&self) -> bool {
        self.silences.last().is_some_and(|(_, until)| until.is_none())
    }

    fn begin(&mut self, version: &VersionId, at: Timestamp) {
        let version = version.to_string();
        let number = 1 + self.tests.iter().filter(|test| test.version == version).count();
        let (outcome, points) = ("Still under way.".to_owned(), Vec::new());
        self.tests.push(Test { version, number, begun: at, outcome, planned: 0, points });
    }

    /// The test of a version that began last.
    fn latest(&mut self, version: &VersionId) -> Option<&mut Test> {
        let version = version.to_string();
        self.tests.iter_mut().rfind(|test| test.version == version)
    }

    pub(super) fn read(&mut self, reading: &Reading) {
        let Reading { sessions: session, planned, statistic, success, harm, .. } = *reading;
        let Some(test) = self.latest(&reading.version) else { return };
        if test.points.last().is_some_and(|last| last.session >= session) {
            return;
        }
        test.planned = planned;
        test.points.push(TestPoint { session, statistic, success, harm });
    }

    pub(super) fn lives(&self, end: Timestamp) -> Vec<Life> {
        let life = |(version, stages): (&VersionId, &Vec<(State, Timestamp)>)| {
            let ends = stages.iter().skip(1).map(|(_, at)| *at).chain([end]);
            let stages = stages.iter().zip(ends).map(|((state, from), until)| (*state, *from, until)).collect();
            Life { version: version.to_string(), stages }
        };
        self.stages.iter().map(life).collect()
    }

    /// Days until `until` in which versions were in service and watched, each by itself.
    pub(super) fn watched_days(&self, until: Timestamp) -> f64 {
        let in_service = |state: &State| matches!(state, State::Staging | State::AbTest | State::Production);
        let lives = self.lives(until);
        let stages = lives.iter().flat_map(|life| &life.stages).filter(|(state, ..)| in_service(state));
        let days = |from: &Timestamp, to: &Timestamp| to.duration_since(*from).as_secs_f64() / 86_400.0;
        // the sum of nothing would be -0
        stages.map(|(_, from, to)| days(from, to.min(&until)).max(0.0)).fold(0.0, |sum, days| sum + days)
    }

    pub(super) fn locks(&self, end: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        self.silences.iter().map(|(from, until)| (*from, until.unwrap_or(end))).collect()
    }

    /// When a version was trained. One that is validated anew is `trained` once more, and no new one.
    pub(super) fn begun(&self, version: &VersionId) -> Option<Timestamp> {
        Some(self.stages.get(version)?.first()?.1)
    }

    /// When a version first came into a state.
    pub(super) fn first(&self, state: State) -> Option<(&VersionId, Timestamp)> {
        let all = self.stages.iter().flat_map(|(version, stages)| stages.iter().map(move |stage| (version, *stage)));
        all.filter(|(_, (to, _))| *to == state).map(|(version, (_, at))| (version, at)).min_by_key(|(_, at)| *at)
    }

    /// When versions came into a state, in the order of time.
    pub(super) fn times(&self, state: State) -> Vec<(&VersionId, Timestamp)> {
        let all = self.stages.iter().flat_map(|(version, stages)| stages.iter().map(move |stage| (version, *stage)));
        let mut found: Vec<_> =
            all.filter(|(_, (to, _))| *to == state).map(|(version, (_, at))| (version, at)).collect();
        found.sort_by_key(|(_, at)| *at);
        found
    }
}

/// The cumulative profit of the strategy alone, of what was traded, and of what the versions in service would have made
/// of every trade.
pub(super) fn equity(closed: &[Closed], ledger: &Ledger) -> Vec<Curve> {
    let (mut own, mut traded, mut policy) = (0.0, 0.0, 0.0);
    let mut curves = ["the strategy alone", "what was traded", "the model's policy on every trade"]
        .map(|name| Curve { name: name.to_owned(), points: Vec::new() });
    for trade in closed {
        own += trade.own;
        traded += trade.traded;
        let size = ledger.leading(&trade.trade_id).map(|opinion| opinion.size);
        policy += trade.own * size.unwrap_or(1.0);
        for (curve, value) in curves.iter_mut().zip([Some(own), Some(traded), size.map(|_| policy)]) {
            curve.points.push((trade.at, value));
        }
    }
    let mut curves: Vec<Curve> =
        curves.into_iter().filter(|curve| curve.points.iter().any(|(_, value)| value.is_some())).collect();
    // one line would hide the other
    if let [alone, traded, ..] = curves.as_mut_slice()
        && alone.points == traded.points
    {
        alone.name = "the strategy alone, which is what was traded".to_owned();
        curves.remove(1);
    }
    curves
}

/// The share of the latest trades that went as each version said.
pub(super) fn accuracy(closed: &[Closed], ledger: &Ledger) -> Vec<Curve> {
    let mut seen: BTreeMap<&VersionId, Vec<(Timestamp, bool)>> = BTreeMap::new();
    for trade in closed {
        for opinion in ledger.opinions(&trade.trade_id) {
            let Some(score) = opinion.score else { continue };
            let right = (score > Probability::NEUTRAL) == (trade.own > 0.0);
            seen.entry(&opinion.version).or_default().push((trade.at, right));
        }
    }
    let rolling = |(version, trades): (&VersionId, Vec<(Timestamp, bool)>)| {
        let mut points = Vec::new();
        for (n, (at, _)) in trades.iter().enumerate() {
            let from = (n + 1).saturating_sub(ROLLING);
            let window = trades.get(from..=n).unwrap_or_default();
            let right = window.iter().filter(|(_, right)| *right).count();
            if points.last().is_some_and(|(before, _)| at.duration_since(*before).as_secs_f64() > BREAK * 86_400.0) {
                points.push((*at, None));
            }
            points.push((*at, (window.len() >= LEAST).then(|| right as f64 / window.len() as f64)));
        }
        Curve { name: version.to_string(), points }
    };
    seen.into_iter().map(rolling).filter(|curve| curve.points.iter().any(|(_, value)| value.is_some())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigie_core::domain::{event::By, lifecycle::Transition};

    fn moved(chronicle: &mut Chronicle, day: i64, step: Transition, reason: &str) {
        let kind = EventKind::Moved {
            version: "ES/1".parse().unwrap(),
            step,
            reason: reason.to_owned(),
            by: By::Daemon("ab_router".into()),
            overridden: false,
            evidence: BTreeMap::new(),
        };
        let at = Timestamp::from_second(1_767_225_600 + 86_400 * day).unwrap();
        chronicle.event(day as u64, &Event { at, kind });
    }

    fn reading(sessions: usize, statistic: f64) -> Reading {
        Reading {
            version: "ES/1".parse().unwrap(),
            sessions,
            planned: 60,
            trades: 8,
            statistic: Some(statistic),
            success: None,
            harm: None,
            win_rate_gain: None,
        }
    }

    #[test]
    fn a_second_test_of_a_version_begins_anew_and_leaves_the_first_as_it_was() {
        let mut chronicle = Chronicle::default();
        moved(&mut chronicle, 0, Transition::StartTest, "the staging gate is passed");
        for (sessions, statistic) in [(1, 0.5), (2, 0.9), (2, 0.9), (3, 2.5)] {
            chronicle.read(&reading(sessions, statistic));
        }
        moved(&mut chronicle, 4, Transition::Promote, "better beyond chance");
        moved(&mut chronicle, 50, Transition::RollBack, "loss_streak 11 > 10");
        moved(&mut chronicle, 60, Transition::StartTest, "the staging gate is passed");
        assert_eq!(chronicle.tests[1].outcome, "Still under way.");
        chronicle.read(&reading(1, -0.3));
        chronicle.read(&reading(2, -3.0));
        moved(&mut chronicle, 63, Transition::RollBackTest, "harm");
        let told: Vec<_> = chronicle
            .tests
            .iter()
            .map(|test| {
                let points: Vec<_> = test.points.iter().map(|point| (point.session, point.statistic)).collect();
                (test.number, date(test.begun), test.outcome.as_str(), points)
            })
            .collect();
        let one = vec![(1, Some(0.5)), (2, Some(0.9)), (3, Some(2.5))];
        let two = vec![(1, Some(-0.3)), (2, Some(-3.0))];
        let begun = ["2026-01-01", "2026-03-02"].map(str::to_owned);
        let [first, second] = begun;
        assert_eq!(
            told,
            [
                (1, first, "It ended on 2026-01-05: better beyond chance.", one),
                (2, second, "It ended on 2026-03-05: harm.", two)
            ]
        );
    }
}
