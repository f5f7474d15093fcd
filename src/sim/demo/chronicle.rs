//! What happened, as it is drawn in the end.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::ledger::Ledger;
use crate::{
    domain::{Event, EventKind, Probability, Timestamp, VersionId, lifecycle::State},
    report::{Curve, Entry, Life, Test, TestPoint},
    sim::execution::Closed,
    stats::sequential::reflection_constant,
};

/// Trades over which accuracy is drawn.
const ROLLING: usize = 100;
/// Trades before which it is not.
const LEAST: usize = 50;

/// What happened so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Chronicle {
    pub(super) entries: Vec<Entry>,
    pub(super) stages: BTreeMap<VersionId, Vec<(State, Timestamp)>>,
    pub(super) silences: Vec<(Timestamp, Option<Timestamp>)>,
    pub(super) tests: BTreeMap<VersionId, Test>,
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
                if let Some(test) = self.tests.get_mut(version)
                    && step.edge().0 == State::AbTest
                {
                    test.outcome = format!("{reason}.");
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

    pub(super) fn read(&mut self, reading: &Reading) {
        let test = self.tests.entry(reading.version.clone()).or_insert_with(|| Test {
            version: reading.version.to_string(),
            outcome: "Still under way.".to_owned(),
            planned: reading.planned,
            points: Vec::new(),
        });
        if test.points.last().is_some_and(|last| last.session >= reading.sessions) {
            return;
        }
        let Reading { sessions: session, statistic, success, harm, .. } = *reading;
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
        stages.map(|(_, from, to)| days(from, to.min(&until)).max(0.0)).sum()
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
    curves.into_iter().filter(|curve| curve.points.iter().any(|(_, value)| value.is_some())).collect()
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
        let points = trades.iter().enumerate().map(|(n, (at, _))| {
            let from = (n + 1).saturating_sub(ROLLING);
            let window = trades.get(from..=n).unwrap_or_default();
            let right = window.iter().filter(|(_, right)| *right).count();
            (*at, (window.len() >= LEAST).then(|| right as f64 / window.len() as f64))
        });
        Curve { name: version.to_string(), points: points.collect() }
    };
    seen.into_iter().map(rolling).filter(|curve| curve.points.iter().any(|(_, value)| value.is_some())).collect()
}
