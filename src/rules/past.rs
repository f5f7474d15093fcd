//! What happened, in the order in which it did, and what follows from it: the desk, the trials and the emergencies as
//! folds over one stream.
//!
//! A part of the daemon that is made anew takes the stream from the journal; a replay under other thresholds takes the
//! same one. What the daemon does as things happen is the same functions called one by one.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    desk::{Closing, Desk, Entry},
    emergency::{ClosedTrade, Emergency, EmergencyOptions, Say},
    roster::Roster,
    trials::{News, Trials},
};
use crate::domain::{
    Decision, Event, EventKind, Outcome, Timestamp, TradeId, TradingCalendar, TradingDay, VersionId,
    event::{By, Level},
    trip::Trip,
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// An entry of the event log.
    Event(Event),
    /// A signal was answered.
    Scored {
        /// When it came.
        at: Timestamp,
        /// What was made of it.
        entry: Box<Entry>,
    },
    /// A trade was closed.
    Closed {
        /// When the outcome came.
        at: Timestamp,
        /// Which.
        trade_id: TradeId,
        /// What is known of its signal by the decision that it echoes.
        echo: Option<Box<Entry>>,
        /// What became of it.
        outcome: Box<Outcome>,
    },
    /// A signal was let go.
    Skipped {
        /// When that came.
        at: Timestamp,
        /// Which.
        trade_id: TradeId,
    },
}

/// What happened so far.
#[derive(Debug, Clone)]
pub struct Past {
    /// The trades under way.
    pub desk: Desk,
    /// The versions on trial.
    pub trials: Trials,
    /// What the emergency rules remember.
    pub emergency: Emergency,
}

impl Happening {
    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.at,
            Self::Scored { at, .. } | Self::Closed { at, .. } | Self::Skipped { at, .. } => *at,
        }
    }
}

impl Past {
    /// Nothing yet.
    pub fn new(desk: Desk) -> Self {
        Self { desk, trials: Trials::default(), emergency: Emergency::default() }
    }

    /// Takes in what happened next. Gives back the emergencies that a closed trade is, by `options`.
    pub fn take(&mut self, options: &EmergencyOptions, calendar: &TradingCalendar, happening: Happening) -> Vec<Trip> {
        match happening {
            Happening::Event(event) => {
                let news = News::Event(event.kind);
                self.trials.take(event.at, &news);
                if let News::Event(kind) = &news {
                    follow(&mut self.emergency, self.trials.roster(), kind);
                }
            }
            Happening::Scored { at, entry } => {
                if let Some(entry) = self.desk.open(at, *entry) {
                    self.trials.take(at, &News::Scored(entry));
                }
            }
            Happening::Closed { at, trade_id, echo, outcome } => {
                if let Some(entry) = echo.and_then(|entry| self.desk.open(at, *entry)) {
                    self.trials.take(at, &News::Scored(entry));
                }
                let entry = self.desk.heard(&trade_id).cloned();
                let limit = self.desk.daily_loss_limit();
                let trade = closed_trade(&trade_id, &outcome, entry.as_deref(), at, limit, calendar);
                let trips = self.emergency.judge(options, &trade);
                if let Closing::First(Some(entry)) = self.desk.close(at, &trade_id) {
                    self.trials.take(at, &News::Closed(entry, *outcome));
                }
                return trips;
            }
            Happening::Skipped { at, trade_id } => {
                if let Some(entry) = self.desk.entry(&trade_id) {
                    self.trials.take(at, &News::Skipped(entry.clone()));
                }
            }
        }
        Vec::new()
    }
}

/// A closed trade as the emergency rules see it. `limit` is the daily limit of the latest signal.
pub fn closed_trade(
    trade_id: &TradeId,
    outcome: &Outcome,
    entry: Option<&Entry>,
    received_at: Timestamp,
    limit: Option<f64>,
    calendar: &TradingCalendar,
) -> ClosedTrade {
    let (at, day) = ClosedTrade::closed_at(outcome.exit_at, received_at, calendar);
    let say = |entry: &Entry| {
        let Decision { score, size, .. } = entry.decision;
        Some(Say { version: entry.speaker()?.clone(), score, size })
    };
    ClosedTrade {
        trade_id: trade_id.clone(),
        at,
        day,
        pnl: outcome.pnl,
        ml: entry.and_then(say),
        daily_loss_limit: limit,
    }
}

/// Keeps in step with the life of a version: its trades are judged from when it may speak until it may not.
pub fn follow(emergency: &mut Emergency, roster: &Roster, event: &EventKind) {
    let EventKind::Moved { version, .. } = event else { return };
    match roster.standing(version) {
        Some(standing) if standing.state.may_speak() => emergency.begin(version),
        _ => emergency.retire(version),
    }
}

/// Of the emergencies that a fold over the past finds by the limits of now, those that were none when they happened: the
/// version still speaks and is judged no more, or the day's loss is one of `today` and not latched.
pub fn missed(roster: &Roster, emergency: &Emergency, trips: Vec<Trip>, today: TradingDay) -> Vec<Trip> {
    let speaks = |version: &VersionId| roster.speaking().any(|(speaking, _)| speaking == version);
    let latched = |trip: &Trip| {
        let same = |held: &Trip| held.version == trip.version && held.day == trip.day;
        roster.latches().held().iter().any(|latch| same(&latch.trip))
    };
    let is_missed = |trip: &Trip| match &trip.version {
        Some(version) => speaks(version) && !emergency.judges(version),
        None => trip.day >= today && !latched(trip),
    };
    trips.into_iter().filter(is_missed).collect()
}

/// What follows from emergencies: the latch, the versions that go, and the word to a person. A rule that could not be
/// evaluated while no model had a say does no harm, and nothing follows from it.
pub fn consequences(roster: &Roster, trips: Vec<Trip>) -> Vec<EventKind> {
    let mut gone: Vec<VersionId> = Vec::new();
    let mut events = Vec::new();
    let by = || By::Daemon("guardian".into());
    for trip in trips {
        let concerned = |version: &VersionId| trip.version.as_ref().is_none_or(|of| of == version);
        let speaking: Vec<VersionId> =
            roster.speaking().map(|(version, _)| version.clone()).filter(|version| concerned(version)).collect();
        let latched = roster.latches().held().iter().any(|latch| latch.trip.is_same(&trip));
        if speaking.is_empty() && (latched || trip.breach.value.is_none()) {
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
