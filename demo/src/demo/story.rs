//! Events in the sentences of a story.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use super::reading::Reading;
use vigie_core::domain::{
    Event, EventKind, VersionId,
    event::{By, Level},
    lifecycle::Transition,
};

/// Characters of a number that is told as it is.
const LONGEST_NUMBER: usize = 7;

/// What a sentence needs to know of what came before.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    /// Figures of versions that were trained and not yet told of.
    trained: BTreeMap<VersionId, BTreeMap<Box<str>, f64>>,
    /// Alerts that were told of, by code and month: the same again is no news.
    told: BTreeSet<(Box<str>, String)>,
}

impl Story {
    /// The sentence about an event, if it is worth one.
    pub(super) fn sentence(&mut self, event: &Event) -> Option<String> {
        match &event.kind {
            EventKind::Trained { version, evidence } => {
                self.trained.insert(version.clone(), evidence.clone());
                None
            }
            EventKind::Moved { version, step, reason, by, evidence, .. } => {
                self.step(version, *step, reason, by, evidence)
            }
            EventKind::Latched { trip } => {
                let what = match &trip.version {
                    Some(_) => "It is silenced before the trader has the acknowledgement of that trade",
                    None => "No model may speak until the day is over and an operator resumes",
                };
                let trip = trip.to_string();
                Some(format!("EMERGENCY: {}. {what}.", rounded(trip.trim_start_matches("emergency of "))))
            }
            EventKind::Shared { version, share, reason, .. } => Some(format!(
                "{version} speaks to {:.0} % of its trades: {}.",
                100.0 * share,
                reason.split(": ").next().unwrap_or(reason)
            )),
            EventKind::Locked { reason, .. } => Some(format!("Everything is locked to the baseline: {reason}.")),
            EventKind::Resumed { reason, .. } => Some(format!("The operator resumes: {reason}.")),
            EventKind::Restarted { actor, .. } => Some(format!("The {actor} failed and was rebuilt.")),
            EventKind::Alert { level, code, message } => self.alert(*level, code, message, event),
            _ => None,
        }
    }

    fn step(
        &mut self,
        version: &VersionId,
        step: Transition,
        reason: &str,
        by: &By,
        evidence: &BTreeMap<Box<str>, f64>,
    ) -> Option<String> {
        let number = |name: &str| evidence.get(name).copied();
        let sentence = match step {
            Transition::Validate => match self.trained.remove(version) {
                Some(figures) => format!("{version} was trained and passed its validation{}.", learnt(&figures)),
                None => format!("{version} was validated again, on all it had not learnt from, and passed."),
            },
            Transition::Reject => match self.trained.remove(version) {
                Some(_) => format!("{version} was trained and refused: {reason}."),
                None => format!("{version} was validated again and refused: {reason}."),
            },
            Transition::Revalidate | Transition::Reinstate => return None,
            Transition::Stage => format!("{version} watches: it scores every signal and no trade hears it."),
            Transition::StartTest => {
                let seen = number("trades").map_or_else(String::new, |trades| format!(" over {trades:.0} trades"));
                let gain = number("mean_pnl_gain").map_or_else(String::new, |gain| format!(", {gain:+.0} a trade"));
                format!(
                    "{version} was no worse than the strategy{seen}{gain}: its A/B test begins, and its share of the signals hears it."
                )
            }
            Transition::Promote if matches!(by, By::Daemon(_)) => {
                format!("{version} has earned production: {}.", trimmed(reason.trim_start_matches("ship: ")))
            }
            Transition::Promote => format!("{version} was promoted to production by an operator."),
            Transition::RollBack | Transition::RollBackTest => {
                format!("{version} is rolled back: {}.", rounded(trimmed(reason)))
            }
            Transition::ArchiveTest => format!("The test of {version} is over and it goes: {}.", trimmed(reason)),
            Transition::ArchiveProduction => format!("{version} is replaced and put away."),
            Transition::ArchiveValidated | Transition::ArchiveStaging => {
                format!("{version} is put away: {}.", trimmed(reason))
            }
        };
        Some(sentence)
    }

    fn alert(&mut self, level: Level, code: &str, message: &str, event: &Event) -> Option<String> {
        if level == Level::Info || !self.told.insert((code.into(), event.at.strftime("%Y-%m").to_string())) {
            return None;
        }
        match code {
            // the event beside it tells
            "emergency" | "share" | "instability" | "composite_retrain" | "composite_rollback" => None,
            // they are recorded and nothing follows from them
            "adwin" | "page_hinkley" | "cusum" | "expected_accuracy" | "novelty" => None,
            "drift" => {
                let (input, rest) = message.split_once(": drift since ").unwrap_or((message, ""));
                let told = rest.split_once(": ").map_or("", |(_, told)| told);
                let told = told.split_once("; recorded").map_or(told, |(told, _)| told);
                Some(format!("Drift: {input} has moved beyond its limit: {told}."))
            }
            "training_refused" => {
                let why = message.split_once("came to nothing: ").map_or(message, |(_, why)| why);
                Some(format!("A training came to nothing: {}.", trimmed(why)))
            }
            _ => Some(format!(
                "{}: {}.",
                if level == Level::Critical { "Critical" } else { "Warning" },
                trimmed(message.split("; ").next().unwrap_or(message))
            )),
        }
    }
}

/// The same with long fractions cut.
fn rounded(text: &str) -> String {
    let short = |word: &str| match word.parse::<f64>() {
        Ok(number) if word.len() > LONGEST_NUMBER => format!("{number:.3}"),
        _ => word.to_owned(),
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

fn trimmed(text: &str) -> &str {
    text.trim_end_matches('.')
}

fn learnt(figures: &BTreeMap<Box<str>, f64>) -> String {
    let figure = |name: &str| figures.get(name).copied();
    match (figure("test_rows"), figure("test_accuracy"), figure("majority_accuracy")) {
        (Some(rows), Some(right), Some(guess)) => format!(
            ": of {rows:.0} trades it had never seen it foretold {:.0} %, where guessing gives {:.0} %",
            100.0 * right,
            100.0 * guess
        ),
        _ => String::new(),
    }
}

/// The sentence about a test under way.
pub(super) fn test(reading: &Reading) -> String {
    let Reading { version, sessions, planned, trades, statistic, success, win_rate_gain, .. } = reading;
    let gain = win_rate_gain.map_or_else(String::new, |gain| format!(", win rate {:+.0} points", 100.0 * gain));
    let evidence = match (statistic, success) {
        (Some(statistic), Some(success)) => format!(", evidence {statistic:.1} of the {success:.1} it needs"),
        (Some(statistic), None) => format!(", evidence {statistic:.1}, too early to judge"),
        _ => String::new(),
    };
    format!("The test of {version} after {sessions} of {planned} sessions: {trades} trades{gain}{evidence}.")
}
