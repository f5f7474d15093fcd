//! Events in words, one line each: what `events` prints and what a report lists.

use std::fmt;

use super::event::{By, EventKind, Level};

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Daemon(part) => write!(f, "the {part}"),
        }
    }
}

/// What marks a resume for ever that lifted an emergency of the account before its trading day was over.
const SAME_DAY: &str = " on the day of an emergency of the account, which is paper";

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { code_version, config_hash } => {
                write!(f, "vigie {code_version} began to serve with the configuration {config_hash}")
            }
            Self::Stopped => f.write_str("the daemon stopped in good order"),
            Self::Reloaded { config_hash, notes, taken: true } => {
                write!(f, "the configuration {config_hash} is in force")?;
                if notes.is_empty() { Ok(()) } else { write!(f, "; waiting for a restart: {}", notes.join(", ")) }
            }
            Self::Reloaded { config_hash, notes, taken: false } => {
                write!(f, "a configuration was refused, {config_hash} stays in force: {}", notes.join("; "))
            }
            Self::Imported { file, lines, stored, rejected } => {
                write!(f, "{file} was imported: {lines} lines, {stored} new trades, {rejected} refused")
            }
            Self::Trained { version, .. } => write!(f, "{version} was trained"),
            Self::Tried(trial) => {
                write!(f, "{} configurations of {} were tried on {}", trial.configurations, trial.model, trial.symbol)
            }
            Self::Moved { version, step, reason, by, overridden, .. } => {
                let (from, to) = step.edge();
                let gate = if *overridden { ", past a gate" } else { "" };
                write!(f, "{version}: {from} -> {to} by {by}{gate}: {reason}")
            }
            Self::Latched { trip } => trip.fmt(f),
            Self::Shared { version, share, reason, by } => {
                write!(f, "{version} speaks to {:.0} % of its share by {by}: {reason}", 100.0 * share)
            }
            Self::Judged { version, day, composite, degraded, unstable, .. } => {
                write!(f, "{version} on {day}: composite ")?;
                match composite {
                    Some(composite) => write!(f, "{composite:.3}")?,
                    None => f.write_str("not defined")?,
                }
                f.write_str(if *degraded { ", worse than validated" } else { "" })?;
                f.write_str(if *unstable { ", its score unstable" } else { "" })
            }
            Self::Locked { reason, by, until: None } => write!(f, "locked to the baseline by {by}: {reason}"),
            Self::Locked { reason, by, until: Some(until) } => {
                write!(f, "locked to the baseline until {until} by {by}: {reason}")
            }
            Self::LockEnded { until } => write!(f, "the lock until {until} ended"),
            Self::Resumed { reason, by, same_day } => {
                let mark = if *same_day { SAME_DAY } else { "" };
                write!(f, "resumed by {by}{mark}: {reason}")
            }
            Self::Restarted { actor, panic } => write!(f, "the {actor} failed and was restarted: {panic}"),
            Self::Ran { job, found, failed: false, .. } => write!(f, "{job}: {found}"),
            Self::Ran { job, found, failed: true, .. } => write!(f, "{job} failed: {found}"),
            Self::Alert { level, code, message } => write!(f, "{level} {code}: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::lifecycle::Transition;

    #[test]
    fn an_event_is_told_in_one_line() {
        let moved = EventKind::Moved {
            version: "ES/3".parse().unwrap(),
            step: Transition::RollBack,
            reason: "loss_streak 11 > 10".to_owned(),
            by: By::Daemon("guardian".into()),
            overridden: false,
            evidence: BTreeMap::new(),
        };
        assert_eq!(moved.to_string(), "ES/3: production -> rolled_back by the guardian: loss_streak 11 > 10");
        let refused =
            EventKind::Reloaded { config_hash: "ab".into(), notes: vec!["a".into(), "b".into()], taken: false };
        assert_eq!(refused.to_string(), "a configuration was refused, ab stays in force: a; b");
    }
}
