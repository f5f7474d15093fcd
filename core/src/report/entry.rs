//! Lines of the table of decisions, from the events of a journal.

use serde::{Deserialize, Serialize};

use super::timeline::words;
use crate::domain::{Event, EventKind, Timestamp, event::Level};

/// How much a line weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Weight {
    /// Good to know.
    Note,
    /// A version took a step.
    Step,
    /// Somebody should look.
    Warning,
    /// Somebody had to look.
    Critical,
}

/// A line of the table of decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the journal.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// How much it weighs.
    pub weight: Weight,
    /// What happened, in a few words.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Numbers it was decided on.
    pub evidence: Vec<(String, f64)>,
}

impl Entry {
    /// The line of an event; `None` of one that nobody decided on.
    pub fn of(seq: u64, event: &Event) -> Option<Self> {
        let none = Vec::new;
        let (weight, what, reason, evidence) = match &event.kind {
            EventKind::Started { .. }
            | EventKind::Stopped
            | EventKind::Imported { .. }
            // one for each version and day
            | EventKind::Judged { .. } => return None,
            EventKind::Tried(trial) => {
                let what = format!("{} configurations tried", trial.configurations);
                let skill = trial.skill.map(|skill| ("skill".to_owned(), skill));
                (Weight::Note, what, format!("{} for {}", trial.model, trial.target), skill.into_iter().collect())
            }
            EventKind::Trained { version, evidence } => {
                (Weight::Step, format!("{version} trained"), String::new(), pairs(evidence))
            }
            EventKind::Moved { version, step, reason, by, overridden, evidence } => {
                let (from, to) = step.edge();
                let gate = if *overridden { ", past a gate" } else { "" };
                let what = format!("{version}: {} \u{2192} {}{gate}", words(from), words(to));
                (Weight::Step, what, format!("{reason} ({by})"), pairs(evidence))
            }
            EventKind::Latched { trip } => {
                let numbers = [("value", trip.breach.value), ("limit", trip.breach.threshold)];
                let evidence = numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
                let of = trip.version.as_ref().map_or_else(|| "the account".to_owned(), ToString::to_string);
                (Weight::Critical, format!("emergency of {of}"), trip.breach.to_string(), evidence.collect())
            }
            EventKind::Shared { version, share, reason, by } => {
                let what = format!("{version} speaks to {:.0} % of its share", 100.0 * share);
                (Weight::Step, what, format!("{reason} ({by})"), none())
            }
            EventKind::Locked { reason, by, until } => {
                let until = until.map_or_else(String::new, |until| format!(" until {until}"));
                (Weight::Critical, format!("locked to the baseline{until}"), format!("{reason} ({by})"), none())
            }
            EventKind::LockEnded { .. } => (Weight::Step, "the lock ended".to_owned(), event.kind.to_string(), none()),
            EventKind::Resumed { reason, by, same_day } => {
                let mark = if *same_day { " on the day of an emergency of the account (paper)" } else { "" };
                (Weight::Step, format!("resumed{mark}"), format!("{reason} ({by})"), none())
            }
            EventKind::Ran { job, found, failed, .. } => {
                let (weight, what) = if *failed { (Weight::Warning, " failed") } else { (Weight::Note, "") };
                (weight, format!("{}{what}", job.replace('_', " ")), found.clone(), none())
            }
            EventKind::Alert { level, code, message } => {
                let weight = match level {
                    Level::Info => Weight::Note,
                    Level::Warning => Weight::Warning,
                    Level::Critical => Weight::Critical,
                };
                (weight, format!("{level}: {}", code.replace('_', " ")), message.clone(), none())
            }
            other => (Weight::Note, "event".to_owned(), other.to_string(), none()),
        };
        Some(Self { seq, at: event.at, weight, what, reason, evidence })
    }
}

fn pairs(evidence: &std::collections::BTreeMap<Box<str>, f64>) -> Vec<(String, f64)> {
    evidence.iter().map(|(name, value)| (name.replace('_', " "), *value)).collect()
}
