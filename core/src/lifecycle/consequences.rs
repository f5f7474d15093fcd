//! What follows from an emergency: the latch, the versions that go, and the word to people; and a closed trade as the emergency
//! rules see it. `guard::emergency` says whether a rule trips.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{open_trades::AnsweredSignal, roster::Roster};
use crate::{
    domain::{
        Decision, EventKind, Opinion, Outcome, Timestamp, TradeId, TradingCalendar, VersionId,
        event::{By, Level},
        trip::Trip,
    },
    guard::emergency::{ClosedTrade, Emergency, Reported, VersionScore},
    models::{Facts, Stake},
};

/// Whether a decision that is echoed can have been made here: a version that was never registered said nothing. The trade may
/// be real all the same, from before a journal was lost.
pub fn is_of_here(roster: &Roster, echo: &Decision) -> bool {
    echo.model.as_ref().is_none_or(|version| roster.standing(version).is_some())
}

/// A closed trade as the emergency rules see it: closed no sooner than its signal fired. `limit` is the daily limit of the
/// latest signal.
pub fn closed_trade(
    trade_id: &TradeId,
    outcome: &Outcome,
    entry: Option<&AnsweredSignal>,
    received_at: Timestamp,
    limit: Option<f64>,
    calendar: &TradingCalendar,
) -> ClosedTrade {
    let exit_at = entry.map_or(outcome.exit_at, |entry| outcome.exit_at.max(entry.at));
    let (at, day) = ClosedTrade::closed_at(exit_at, received_at, calendar);
    let say = |entry: &AnsweredSignal| {
        let Decision { score, size, .. } = entry.decision;
        Some(VersionScore { version: entry.speaker()?.clone(), score, size })
    };
    let scores = |entry: &AnsweredSignal| {
        let say = |opinion: &Opinion| {
            Some(VersionScore { version: opinion.version.clone(), score: opinion.score?, size: opinion.size })
        };
        entry.opinions.iter().filter_map(say).collect()
    };
    ClosedTrade {
        trade_id: trade_id.clone(),
        at,
        day,
        pnl: outcome.pnl,
        ml: entry.and_then(say),
        scores: entry.map(scores).unwrap_or_default(),
        reported: Reported::of(outcome),
        facts: entry.map_or_else(|| Facts::of(outcome, None, Stake::default()), |entry| entry.facts(outcome)),
        daily_loss_limit: limit,
    }
}

/// Keeps in step with the life of a version: its trades are judged from when it may speak until it may not.
pub fn follow(emergency: &mut Emergency, roster: &Roster, event: &EventKind) {
    let version = match event {
        EventKind::Moved { version, .. } => version,
        EventKind::Resumed { same_day: true, .. } => return emergency.begin_days_anew(),
        _ => return,
    };
    match roster.standing(version) {
        Some(standing) if standing.state.may_influence() => emergency.begin(version),
        _ => emergency.retire(version),
    }
}

/// Whether anything follows from an emergency. A rule that could not be evaluated while no model had influence does no harm.
pub fn follows(roster: &Roster, trip: &Trip) -> bool {
    trip.breach.value.is_some() || concerned(roster, trip).next().is_some()
}

/// The versions that speak and that an emergency takes down.
fn concerned<'a>(roster: &'a Roster, trip: &Trip) -> impl Iterator<Item = &'a VersionId> {
    let is_concerned = |version: &&VersionId| trip.version.as_ref().is_none_or(|of| of == *version);
    roster.speaking().map(|(version, _)| version).filter(is_concerned)
}

/// What follows from emergencies: the latch, the versions that go, and the word to a person.
pub fn consequences(roster: &Roster, trips: Vec<Trip>) -> Vec<EventKind> {
    let mut gone: Vec<VersionId> = Vec::new();
    let mut events = Vec::new();
    let by = || By::Daemon("guardian".into());
    for trip in trips {
        let speaking: Vec<VersionId> = concerned(roster, &trip).cloned().collect();
        let latched = roster.latches().held().iter().any(|latch| latch.trip.is_same(&trip));
        if !follows(roster, &trip) || (speaking.is_empty() && latched) {
            continue;
        }
        let named = |what: &str, number: Option<f64>| number.map(|number| (what.into(), number));
        let evidence: BTreeMap<Box<str>, f64> =
            named("value", trip.breach.value).into_iter().chain(named("threshold", trip.breach.threshold)).collect();
        let mut done = Vec::new();
        for version in speaking.iter().filter(|version| !gone.contains(version)) {
            let Ok(step) = roster.roll_back(version) else { continue };
            let reason = trip.to_string();
            let evidence = evidence.clone();
            let version = version.clone();
            done.push(EventKind::Moved { version, step, reason, by: by(), overridden: false, evidence });
        }
        gone.extend(speaking.iter().cloned());
        let message = say(&trip, &speaking);
        events.push(EventKind::Latched { trip: Box::new(trip) });
        events.extend(done);
        events.push(EventKind::Alert { level: Level::Critical, code: "emergency".into(), message });
    }
    events
}

fn say(trip: &Trip, speaking: &[VersionId]) -> String {
    let done = match speaking {
        [] => "no version was in service".to_owned(),
        some => {
            let names: Vec<String> = some.iter().map(ToString::to_string).collect();
            format!("{} was rolled back", names.join(", "))
        }
    };
    let scope = match &trip.version {
        Some(version) => format!("no model of {} speaks", version.symbol),
        None => "no model speaks".to_owned(),
    };
    let until = match trip.version {
        Some(_) => "until `vigie resume`".to_owned(),
        None => format!("until the trading day {} is over and `vigie resume`", trip.day),
    };
    let at = trip.at;
    format!("{trip} at {at}: {done}, {scope} {until}; compare its trades with its validation before you resume")
}
