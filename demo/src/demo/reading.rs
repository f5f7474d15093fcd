//! How tests stand, as the daemon answers, and what the strategy alone would have earned.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde_json::Value;

use crate::execution::Closed;
use vigie_core::{domain::VersionId, report::Curve, stats::sequential::reflection_constant};

/// How a test stands, from the daemon's answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    pub(super) version: VersionId,
    pub(super) sessions: usize,
    pub(super) planned: usize,
    pub(super) trades: u64,
    pub(super) statistic: Option<f64>,
    pub(super) success: Option<f64>,
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
            win_rate_gain: number("/standing/win_rate_gain"),
        })
    }
}

/// How often the latest test of each version was looked at: its sessions then, and how many numbers of them there were.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks(BTreeMap<VersionId, (usize, usize)>);

impl Looks {
    /// A test of `version` begins.
    pub(super) fn begin(&mut self, version: &VersionId) {
        self.0.insert(version.clone(), (0, 0));
    }

    pub(super) fn read(&mut self, reading: &Reading) {
        let (last, looks) = self.0.entry(reading.version.clone()).or_default();
        if reading.sessions > *last {
            (*last, *looks) = (reading.sessions, *looks + 1);
        }
    }

    /// The most looks at one test.
    pub(super) fn most(&self) -> usize {
        self.0.values().map(|(_, looks)| *looks).max().unwrap_or(0)
    }
}

/// The cumulative profit of the strategy alone on every trade, which only a simulation knows.
pub(super) fn alone(closed: &[Closed]) -> Curve {
    let mut sum = 0.0;
    let points = closed.iter().map(|trade| {
        sum += trade.own;
        (trade.at, Some(sum))
    });
    Curve { name: "the strategy alone on every trade, in truth".to_owned(), points: points.collect() }
}
