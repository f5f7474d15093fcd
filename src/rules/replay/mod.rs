//! What would have happened under other thresholds: the past told again, step by step, by the functions that the daemon
//! itself decides with.
//!
//! Kept as they were: the signals, what every version made of them, what the strategy's trades earned, what people
//! ordered and when, what was trained and how its validation came out. Found anew: which version may speak, which trades
//! it speaks to, the emergencies, the steps on evidence, and what was earned.
//!
//! What the monitor finds when a trading day closes is not found anew: locks, shares and rollbacks that the daemon
//! ordered for another reason than an emergency or a trial are taken as they were, when they still apply.
#![deny(clippy::indexing_slicing)]

mod compare;
mod fold;
mod retell;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Serialize;

use super::{
    answer::Policy,
    emergency::EmergencyOptions,
    experiment::{Options, StagingOptions},
    past::Happening,
    promotion::Automatic,
};
use crate::domain::{
    EventKind, Timestamp, TradeId, TradingCalendar, VersionId,
    event::By,
    lifecycle::{State, Transition},
};

pub use compare::{Comparison, Pnl, Row, compare};

/// What the past is told again by.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// When trading days turn.
    pub calendar: TradingCalendar,
    /// How long a trade is remembered.
    pub keep: SignedDuration,
    /// The emergency rules.
    pub guardian: EmergencyOptions,
    /// The gate out of staging.
    pub staging: StagingOptions,
    /// The A/B test.
    pub experiment: Options,
    /// Which steps need no operator.
    pub automatic: Automatic,
    /// Shares, blend and sizes.
    pub policy: Policy,
    /// Whether `policy` makes arms and sizes anew from the recorded scores; otherwise they are taken as recorded, and
    /// `policy` serves only where nothing is.
    pub by_policy: bool,
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
    /// What each signal earned, of those that something is known of.
    #[serde(skip)]
    pub fates: BTreeMap<TradeId, Fate>,
    /// Signals that a model had its word in.
    pub heard: usize,
    /// Where all versions stand in the end.
    pub standing: BTreeMap<VersionId, State>,
    /// Why nothing but the baseline is served in the end, if so.
    pub locked: Option<String>,
}

/// Tells the past again.
///
/// # Errors
/// In words, when the options of the test contradict each other, which those of a checked configuration do not.
pub fn replay(happenings: &[Happening], thresholds: &Thresholds) -> Result<Replay, String> {
    let mut fold = fold::Fold::new(thresholds);
    for happening in happenings {
        fold.take(happening)?;
    }
    Ok(fold.finish())
}

/// What the daemon did by the rules that are replayed, as its own log has it.
pub fn recorded(happenings: &[Happening]) -> Vec<Line> {
    let event = |happening: &Happening| match happening {
        Happening::Event(event) if is_found_anew(&event.kind) => Some(Line { at: event.at, text: text(&event.kind)? }),
        _ => None,
    };
    happenings.iter().filter_map(event).collect()
}

/// Whether an event follows from rules that are replayed.
fn is_found_anew(kind: &EventKind) -> bool {
    match kind {
        // what goes when another is promoted follows from that
        EventKind::Moved { step: Transition::ArchiveProduction, .. } => true,
        EventKind::Moved { by: By::Daemon(by), reason, .. } => match &**by {
            "ab_router" => true,
            // what it orders for another reason is the monitor's finding
            "guardian" => reason.starts_with("emergency of "),
            _ => false,
        },
        EventKind::Latched { .. } => true,
        EventKind::Locked { by: By::Daemon(by), .. } => &**by == "ab_router",
        EventKind::Alert { code, .. } => matches!(&**code, "emergency" | "step_due" | "test_invalid"),
        _ => false,
    }
}

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
        EventKind::Resumed { reason, .. } => Some(format!("resumed: {reason}")),
        EventKind::Shared { version, share, reason, .. } => Some(format!("{version} share {share}: {reason}")),
        EventKind::Trained { version, .. } => Some(format!("{version} trained")),
        EventKind::Alert { code, message, .. } if !matches!(&**code, "emergency" | "test_invalid") => {
            Some(format!("alert {code}: {message}"))
        }
        _ => None,
    }
}
