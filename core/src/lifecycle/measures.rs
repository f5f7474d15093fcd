//! What is done about a judgement: who is told, who goes, whose influence shrinks, and whether a successor is asked for.

use std::collections::BTreeMap;

use super::roster::Roster;
use crate::{
    domain::{
        EventKind, VersionId,
        event::{By, Level},
    },
    guard::{
        alarm::Turn,
        gradual::{DayClose, Gradual, GradualOptions, next_share},
        health::{Response, code},
        integrity::IntegrityFault,
        watch::Judgement,
    },
};

/// The alarms at which a new version is asked for.
const CALL_FOR_TRAINING: [&str; 2] = ["composite_retrain", "composite_rollback"];
/// The alarms after which something is taken from a version that speaks.
const SAID_OF_SPEAKERS: [&str; 3] = ["composite_share", "composite_rollback", "instability"];

/// What follows from a judgement.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// What people are told.
    pub alerts: Vec<EventKind>,
    /// What locks all, because of a fault.
    pub lock: Option<EventKind>,
    /// Why a successor is asked for, if one is.
    pub train: Option<String>,
    /// The judgement itself.
    pub judged: EventKind,
    /// What takes the version out of service, if it is to go.
    pub out: Option<EventKind>,
}

/// What follows from `judgement`. `None` when there is no such version.
pub fn measures(roster: &Roster, judgement: Judgement) -> Option<Measures> {
    let Judgement { version, day_close, turns, response, faults, evidence } = judgement;
    let state = roster.standing(&version)?.state;
    let told = |turn: &Turn| {
        let (Turn::Raised(alarm) | Turn::Cleared(alarm)) = turn;
        let level = if matches!(turn, Turn::Raised(_)) { alarm.condition.level } else { Level::Info };
        let message = truly(turn, state.may_influence()).message();
        EventKind::Alert { level, code: alarm.condition.code.clone(), message }
    };
    let mut alerts: Vec<EventKind> = turns.iter().map(told).collect();
    let mut lock = None;
    for fault in &faults {
        let (alert, locked) = broken(roster, fault);
        alerts.push(alert);
        lock = lock.or(locked);
    }
    let raised = |code: &str| {
        turns.iter().find_map(|turn| match turn {
            Turn::Raised(alarm) if *alarm.condition.code == *code => Some(&*alarm.condition.told),
            _ => None,
        })
    };
    let train = CALL_FOR_TRAINING.into_iter().find_map(raised).map(|told| format!("{version} has declined: {told}"));
    let told = raised(code(Response::RollBack)).unwrap_or("it has not recovered");
    let step = state.out_of_service().filter(|_| state.may_influence() && response == Some(Response::RollBack));
    let out = step.map(|step| EventKind::Moved {
        version: version.clone(),
        step,
        reason: format!("it has declined: {told}"),
        by: By::Daemon("guardian".into()),
        overridden: false,
        evidence: evidence.clone(),
    });
    let DayClose { day, composite, degraded, unstable } = day_close;
    let judged = EventKind::Judged { version, day, composite, degraded, unstable, evidence };
    Some(Measures { alerts, lock, train, judged, out })
}

/// The same turn without what is only done to a version that speaks, when this one does not.
fn truly(turn: &Turn, speaks: bool) -> Turn {
    let mut turn = turn.clone();
    let (Turn::Raised(alarm) | Turn::Cleared(alarm)) = &mut turn;
    if !speaks && SAID_OF_SPEAKERS.contains(&&*alarm.condition.code) {
        alarm.condition.done = "it influences no trade, so its share was not reduced".into();
    }
    turn
}

/// What people are told of a fault, and the lock, unless all is locked for good already.
pub fn broken(roster: &Roster, fault: &IntegrityFault) -> (EventKind, Option<EventKind>) {
    let message = format!("{fault}; serving is locked, look and then resume");
    let alert = EventKind::Alert { level: Level::Critical, code: "integrity".into(), message };
    let lock = EventKind::Locked { reason: fault.to_string(), by: By::Daemon("monitor".into()), until: None };
    (alert, roster.silence().lock_for_good().is_none().then_some(lock))
}

/// What brings the share of a version that speaks to `called_for`, what its days call for: the word to people, and the
/// event. `None` when it has it.
pub fn adjustment(
    roster: &Roster,
    version: &VersionId,
    called_for: f64,
    unstable: bool,
) -> Option<(EventKind, EventKind)> {
    let share = roster.share(version);
    // the days may be judged otherwise than they were, by limits that were changed since
    let called_for = next_share(share, called_for);
    if share == called_for || !roster.standing(version)?.state.may_influence() {
        return None;
    }
    let why = match called_for < share {
        true if unstable => "its score is unstable",
        true => "it has declined",
        false => "it has recovered",
    };
    let reason =
        format!("{why}: it influences {:.0} % of its trades instead of {:.0} %", 100.0 * called_for, 100.0 * share);
    let message = format!("{version}: {reason}; no action is needed");
    let level = if called_for < share { Level::Warning } else { Level::Info };
    let alert = EventKind::Alert { level, code: "share".into(), message };
    let by = By::Daemon("guardian".into());
    Some((alert, EventKind::Shared { version: version.clone(), share: called_for, reason, by }))
}

/// Takes an event of the log into what is known of the days of the versions that are judged.
pub fn follow(known: &mut BTreeMap<VersionId, Gradual>, options: &GradualOptions, event: &EventKind) {
    match event {
        EventKind::Judged { version, day, composite, degraded, unstable, .. } => {
            let close = DayClose { day: *day, composite: *composite, degraded: *degraded, unstable: *unstable };
            known.entry(version.clone()).or_default().close_day(options, &close);
        }
        // a promotion gives nothing back that a decline took
        EventKind::Moved { step, .. } if step.edge().1.may_influence() => {}
        EventKind::Moved { version, .. } => drop(known.remove(version)),
        _ => {}
    }
}
