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
    trials::{Keep, News, Trials},
};
use crate::{
    domain::{
        Decision, Event, EventKind, Opinion, Outcome, Timestamp, TradeId, TradingCalendar, TradingDay, VersionId,
        event::{By, Level},
        trip::Trip,
    },
    models::{Facts, Stake},
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
        Self::keeping(desk, Keep::ALL)
    }

    /// The same, in which a trial keeps what `room` says.
    pub fn keeping(desk: Desk, room: Keep) -> Self {
        Self { desk, trials: Trials::keeping(room), emergency: Emergency::default() }
    }

    /// Takes in what happened next. Gives back the emergencies that a closed trade is, by `options` and by who spoke then.
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
                let echo = echo.filter(|entry| is_of_here(self.trials.roster(), &entry.decision));
                if let Some(entry) = echo.and_then(|entry| self.desk.open(at, *entry)) {
                    self.trials.take(at, &News::Scored(entry));
                }
                let entry = self.desk.heard(&trade_id).cloned();
                let limit = self.desk.daily_loss_limit();
                let trade = closed_trade(&trade_id, &outcome, entry.as_deref(), at, limit, calendar);
                let mut trips = self.emergency.judge(options, &trade);
                trips.retain(|trip| follows(self.trials.roster(), trip));
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
    entry: Option<&Entry>,
    received_at: Timestamp,
    limit: Option<f64>,
    calendar: &TradingCalendar,
) -> ClosedTrade {
    let exit_at = entry.map_or(outcome.exit_at, |entry| outcome.exit_at.max(entry.at));
    let (at, day) = ClosedTrade::closed_at(exit_at, received_at, calendar);
    let say = |entry: &Entry| {
        let Decision { score, size, .. } = entry.decision;
        Some(Say { version: entry.speaker()?.clone(), score, size })
    };
    let scores = |entry: &Entry| {
        let say = |opinion: &Opinion| {
            Some(Say { version: opinion.version.clone(), score: opinion.score?, size: opinion.size })
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
        facts: entry.map_or_else(|| Facts::of(outcome, None, Stake::default()), |entry| entry.facts(outcome)),
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

/// Whether anything follows from an emergency. A rule that could not be evaluated while no model had a say does no harm.
fn follows(roster: &Roster, trip: &Trip) -> bool {
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

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil, tz::TimeZone};

    use super::*;
    use crate::domain::lifecycle::Transition;

    fn calendar() -> TradingCalendar {
        TradingCalendar::new(TimeZone::UTC, civil::time(22, 0, 0, 0))
    }

    fn noon() -> Timestamp {
        "2025-09-01T12:00:00Z".parse().unwrap()
    }

    fn told(past: &mut Past, happening: Happening) -> Vec<Trip> {
        past.take(&EmergencyOptions::default(), &calendar(), happening)
    }

    fn closed(past: &mut Past, name: &str, pnl: Option<f64>) -> Vec<Trip> {
        let outcome = Outcome::closed(noon(), pnl);
        let trade_id = TradeId::new(name).unwrap();
        told(past, Happening::Closed { at: noon(), trade_id, echo: None, outcome: Box::new(outcome) })
    }

    /// A past in which ES/1 is trained, and what brings it into production.
    fn trained() -> (Past, Vec<EventKind>) {
        let mut past = Past::new(Desk::new(SignedDuration::from_hours(240)));
        let version: VersionId = "ES/1".parse().unwrap();
        let kind = EventKind::Trained { version: version.clone(), evidence: BTreeMap::new() };
        told(&mut past, Happening::Event(Event { at: noon(), kind }));
        let steps = [Transition::Validate, Transition::Stage, Transition::StartTest, Transition::Promote];
        let moved = steps.map(|step| {
            let (version, by, evidence) = (version.clone(), By::Uid(0), BTreeMap::new());
            EventKind::Moved { version, step, reason: String::new(), by, overridden: true, evidence }
        });
        (past, moved.into())
    }

    #[test]
    fn what_was_no_emergency_when_it_happened_is_none_when_a_version_speaks_later() {
        let (mut past, promotion) = trained();
        let before = closed(&mut past, "T-1", None);
        promotion.into_iter().for_each(|kind| drop(told(&mut past, Happening::Event(Event { at: noon(), kind }))));
        let today = calendar().day_of(noon());
        assert_eq!(missed(past.trials.roster(), &past.emergency, before, today), []);
        // while it speaks the same is one, and a loss beyond the limit is one whoever speaks
        let now = closed(&mut past, "T-2", None);
        assert_eq!(missed(past.trials.roster(), &past.emergency, now, today).len(), 1);
        let (mut past, _) = trained();
        let loss = closed(&mut past, "T-1", Some(-2500.0));
        assert_eq!(missed(past.trials.roster(), &past.emergency, loss, today).len(), 1);
    }
}
