//! What would have happened under other thresholds: the past told again, step by step, by the functions that the daemon
//! itself decides with.
//!
//! Kept as they were: the signals, what every version made of them, what the strategy's trades earned, what people
//! ordered and when, what was trained and how its validation came out. Found again: which version may speak, which trades
//! it speaks to, the emergencies, the steps on evidence, and what was earned.
//!
//! What the monitor finds when a trading day closes is found again when it is told by what it judges; otherwise its locks,
//! shares and rollbacks are taken as they were, when they still apply. A lock because the clock jumped always is.
#![deny(clippy::indexing_slicing)]

mod compare;
mod counterfactual;
mod fold;
mod watcher;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Serialize;

use crate::{
    domain::{
        Event, EventKind, Timestamp, TradeId, TradingCalendar, VersionId,
        event::By,
        lifecycle::{State, Transition},
        snapshot::TrendRegime,
    },
    guard::{
        emergency::EmergencyOptions,
        gradual::GradualOptions,
        watch::{WatchOptions, WatchedVersion},
    },
    lifecycle::happening::Happening,
    policy::answer::Policy,
    state::step::Rules,
    trials::{
        experiment::{ExperimentOptions, StagingOptions},
        promotion::Automatic,
    },
};

pub use compare::{Comparison, MOST_UNKNOWN, Pnl, Row, compare};

/// What the past is told again by.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// When trading days turn.
    pub calendar: TradingCalendar,
    /// How long a trade is remembered.
    pub keep: SignedDuration,
    /// The emergency rules.
    pub guardian: EmergencyOptions,
    /// How influence is reduced in steps.
    pub gradual: GradualOptions,
    /// The gate out of staging.
    pub staging: StagingOptions,
    /// The A/B test.
    pub experiment: ExperimentOptions,
    /// Which steps need no operator.
    pub automatic: Automatic,
    /// Shares, blend and sizes.
    pub policy: Policy,
    /// Whether `policy` computes arms and sizes again from the recorded scores; otherwise they are taken as recorded, and
    /// `policy` serves only where nothing is.
    pub by_policy: bool,
    /// What the monitor judges by; without it what it did is taken as it was.
    pub watching: Option<Watching>,
}

impl Thresholds {
    fn rules(&self) -> Rules<'_> {
        let Self { guardian, calendar, experiment, gradual, .. } = self;
        Rules { guardian, calendar, gradual, wait_days: experiment.outcome_wait_days }
    }
}

/// What the monitor of a replay judges by.
#[derive(Debug, Clone, PartialEq)]
pub struct Watching {
    /// Its thresholds.
    pub options: WatchOptions,
    /// What each version is judged against.
    pub subjects: BTreeMap<VersionId, WatchedVersion>,
}

/// What the log knows of a signal that was answered besides the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its row of inputs.
    pub row: Vec<Option<f64>>,
    /// The trend at the time.
    pub trend: Option<TrendRegime>,
    /// Whether the log has an outcome of its trade. One that has none is not kept until the end.
    pub closes: bool,
}

impl Default for Seen {
    /// Of a signal that is known by its answer alone.
    fn default() -> Self {
        Self { row: Vec::new(), trend: None, closes: true }
    }
}

/// Something that was done or said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// When.
    pub at: Timestamp,
    /// What.
    pub text: String,
}

/// What a signal earned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// An amount, 0 when it was not traded.
    Earned(f64),
    /// Nothing tells: it was let go in fact and would have been traded, or the version that would have spoken has no
    /// score recorded.
    Unknown,
}

/// The past as it would have been.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replay {
    /// What was done and said, in order.
    pub lines: Vec<Line>,
    /// What each signal earned, of those that something is known of, by their names.
    #[serde(skip)]
    pub fates: Vec<(TradeId, Fate)>,
    /// Signals that a model had its word in.
    pub heard: usize,
    /// Where all versions stand in the end.
    pub standing: BTreeMap<VersionId, State>,
    /// Why nothing but the baseline is served in the end, if so.
    pub locked: Option<String>,
}

/// The past as it is told again.
pub struct Retelling<'a>(fold::Fold<'a>);

impl<'a> Retelling<'a> {
    /// Before anything happened.
    pub fn new(thresholds: &'a Thresholds) -> Self {
        Self(fold::Fold::new(thresholds))
    }

    /// Takes in what happened next. `seen`: of a signal that was answered, what the log knows of it besides.
    ///
    /// # Errors
    /// In words, when the options of the test contradict each other, which those of a checked configuration do not.
    pub fn take(&mut self, happening: &Happening, seen: Seen) -> Result<(), String> {
        self.0.take(happening, seen)
    }

    /// What it came to.
    pub fn end(self) -> Replay {
        self.0.finish()
    }
}

/// What the daemon did by the rules that are replayed, as its own log has it; `None` of anything else. `watched`: the monitor's
/// findings too.
pub fn recorded(event: &Event, watched: bool) -> Option<Line> {
    let text = is_found_again(&event.kind, watched).then(|| text(&event.kind)).flatten()?;
    Some(Line { at: event.at, text })
}

/// Alerts of rules that are always replayed, and of what happens beside all rules.
const OF_RULES: [&str; 3] = ["emergency", "step_due", "test_invalid"];
const OF_OTHERS: [&str; 5] = ["conflict", "model_damaged", "input_gone", "data_quality", "schedule_failed"];

/// Whether an event follows from rules that are replayed.
fn is_found_again(kind: &EventKind, watched: bool) -> bool {
    match kind {
        // what goes when another is promoted follows from that
        EventKind::Moved { step: Transition::ArchiveProduction, .. } => true,
        EventKind::Moved { by: By::Daemon(by), reason, .. } => match &**by {
            "ab_router" => true,
            // what it orders for another reason is the monitor's finding
            "guardian" => watched || reason.starts_with("emergency of "),
            _ => false,
        },
        EventKind::Latched { .. } => true,
        EventKind::Judged { .. } => watched,
        EventKind::Shared { by: By::Daemon(_), .. } => watched,
        EventKind::Locked { by: By::Daemon(by), reason, .. } => match &**by {
            "ab_router" => true,
            "monitor" => watched && !reason.contains("clock"),
            _ => false,
        },
        EventKind::Alert { code, .. } if OF_RULES.contains(&&**code) => true,
        EventKind::Alert { code, message, .. } => {
            watched && !OF_OTHERS.contains(&&**code) && !message.contains("clock")
        }
        _ => false,
    }
}

/// Alerts that say again what an event says, or what came of a training that was asked for.
const UNTOLD: [&str; 5] = ["emergency", "test_invalid", "share", "retrain", "training_refused"];

/// An event in words; `None` of one that changes nothing and that nobody needs to see here.
fn text(kind: &EventKind) -> Option<String> {
    match kind {
        EventKind::Moved { version, step, reason, by, .. } => {
            let by = match by {
                By::Uid(_) => " by order",
                By::Daemon(_) => "",
            };
            Some(format!("{version} {}{by}: {reason}", step.edge().1))
        }
        EventKind::Latched { trip } => Some(trip.to_string()),
        EventKind::Locked { reason, .. } => Some(format!("locked: {reason}")),
        EventKind::LockEnded { until } => Some(format!("the lock until {until} ended")),
        EventKind::Resumed { reason, .. } => Some(format!("resumed: {reason}")),
        EventKind::Shared { version, share, reason, .. } => Some(format!("{version} share {share}: {reason}")),
        EventKind::Trained { version, .. } => Some(format!("{version} trained")),
        EventKind::Alert { code, message, .. } if !UNTOLD.contains(&&**code) => {
            Some(format!("alert {code}: {message}"))
        }
        _ => None,
    }
}
