//! What everything that happened comes to: the one fold that the daemon starts from.
//!
//! [`State::step`] takes in what happened next and says what follows. A start, a part that is renewed and a replay under other
//! thresholds all call it. The live path does not: the guardian makes the same of an outcome by the same functions, so a change of
//! what follows is made here and there. The state can be stored and read back: whoever has it, and the number of
//! the record up to which it was folded, needs nothing of the log before that number.
//!
//! Everything here is a function of what happened and of [`Rules`]; it keeps at most what its parts are bounded to.
#![deny(clippy::indexing_slicing)]

mod image;

use std::collections::BTreeMap;

use crate::{
    domain::{Event, EventKind, Outcome, Timestamp, TradeId, TradingCalendar, TradingDay, VersionId, trip::Trip},
    features::pipeline::Pipeline,
    guard::{
        emergency::{Emergency, EmergencyOptions},
        gradual::{Gradual, GradualOptions},
    },
    lifecycle::{
        consequences::{closed_trade, consequences, follow, follows, is_of_here},
        happening::Happening,
        measures,
        open_trades::{Closing, OpenTrades},
    },
    policy::stale::StaleWatch,
    trials::running::{Keep, TrialNews, Trials},
};

pub use image::BadImage;

/// What happenings are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The emergency rules.
    pub guardian: &'a EmergencyOptions,
    /// When trading days turn.
    pub calendar: &'a TradingCalendar,
    /// The say that shrinks.
    pub gradual: &'a GradualOptions,
    /// Trading days that an outcome is waited for.
    pub wait_days: u32,
}

/// What happened so far.
#[derive(Debug, Clone)]
pub struct State {
    /// When the latest of it happened.
    pub at: Timestamp,
    /// The trades under way.
    pub open_trades: OpenTrades,
    /// The versions on trial, and where all versions stand.
    pub trials: Trials,
    /// What the emergency rules remember.
    pub emergency: Emergency,
    /// How far each version that was judged has lost its say.
    pub gradual: BTreeMap<VersionId, Gradual>,
    /// The feeds that are lost.
    pub stale: StaleWatch,
    /// What is carried forward; `None` for one who makes no inputs.
    pub pipeline: Option<Pipeline>,
    /// Emergencies by the limits of now of which something may still follow.
    trips: Vec<Trip>,
}

/// What follows from a happening.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Events that are now to happen: what an emergency latches, the versions that go, and the word to a person.
    pub events: Vec<EventKind>,
}

impl State {
    /// Nothing has happened yet. A trial keeps what `room` says.
    pub fn new(open_trades: OpenTrades, room: Keep, pipeline: Option<Pipeline>) -> Self {
        Self {
            at: Timestamp::UNIX_EPOCH,
            open_trades,
            trials: Trials::keeping(room),
            emergency: Emergency::default(),
            gradual: BTreeMap::new(),
            stale: StaleWatch::default(),
            pipeline,
            trips: Vec::new(),
        }
    }

    /// Takes in what happened next, and says what follows from it by `rules` and by who spoke then. A session that is due by
    /// then closes first.
    pub fn step(&mut self, rules: &Rules<'_>, happening: Happening) -> Effects {
        if let Happening::Came { signal, served, answered } = happening {
            if let Some(pipeline) = self.pipeline.as_mut().filter(|_| served) {
                pipeline.remember(&signal);
            }
            // one that is answered takes its name with the answer
            if !answered {
                self.open_trades.take_name(&signal);
            }
            return Effects::default();
        }
        let at = happening.at();
        self.at = at;
        self.trials.close_due(rules.calendar.day_of(at), rules.wait_days);
        match happening {
            Happening::Event(event) => self.event(rules, event),
            Happening::Scored { entry, .. } => {
                if let Some(entry) = self.open_trades.open(at, *entry) {
                    self.trials.take(at, &TrialNews::Scored(entry));
                }
            }
            Happening::Closed { trade_id, echo, outcome, .. } => {
                let traded_on = echo.as_ref().map(|entry| entry.decision.clone());
                let echo = echo.filter(|entry| is_of_here(self.trials.roster(), &entry.decision));
                if let Some(entry) = echo.and_then(|entry| self.open_trades.open(at, *entry)) {
                    self.trials.take(at, &TrialNews::Scored(entry));
                }
                self.open_trades.traded_on(&trade_id, traded_on.as_ref());
                return self.closed(rules, at, &trade_id, *outcome);
            }
            Happening::Completed { told_at, trade_id, echo, before, outcome, .. } => {
                self.open_trades.traded_on(&trade_id, echo.as_ref().map(|entry| &entry.decision));
                return self.completed(rules, at, told_at, &trade_id, &before, *outcome);
            }
            Happening::Skipped { trade_id, .. } => {
                if let Some(entry) = self.open_trades.entry(&trade_id) {
                    self.trials.take(at, &TrialNews::Skipped(entry.clone()));
                }
            }
            Happening::Came { .. } => {}
        }
        Effects::default()
    }

    /// Of the emergencies that were found by the limits of now, those that were none when they happened: the version still
    /// speaks and is judged no more, or the loss is one of `today` and not latched.
    pub fn missed(&self, today: TradingDay) -> Vec<Trip> {
        let roster = self.trials.roster();
        let latched = |trip: &Trip| {
            let same = |held: &Trip| held.version == trip.version && held.day == trip.day;
            roster.latches().held().iter().any(|latch| same(&latch.trip))
        };
        let is_missed = |trip: &&Trip| match &trip.version {
            Some(version) => self.is_spared(version),
            None => trip.day >= today && !latched(trip),
        };
        self.trips.iter().filter(is_missed).cloned().collect()
    }

    fn event(&mut self, rules: &Rules<'_>, event: Event) {
        let Event { at, kind } = event;
        let news = TrialNews::Event(kind);
        self.trials.take(at, &news);
        let TrialNews::Event(kind) = &news else { return };
        follow(&mut self.emergency, self.trials.roster(), kind);
        measures::follow(&mut self.gradual, rules.gradual, kind);
        self.stale.follow(kind);
        if matches!(kind, EventKind::Moved { .. }) {
            self.forget_trips();
        }
    }

    fn closed(&mut self, rules: &Rules<'_>, at: Timestamp, trade_id: &TradeId, outcome: Outcome) -> Effects {
        let (entry, limit) = (self.open_trades.heard(trade_id).cloned(), self.open_trades.daily_loss_limit());
        let trade = closed_trade(trade_id, &outcome, entry.as_deref(), at, limit, rules.calendar);
        let trips = self.emergency.judge(rules.guardian, &trade);
        if let Closing::First(Some(entry)) = self.open_trades.close(at, trade_id) {
            self.trials.take(at, &TrialNews::Closed(entry, outcome));
        }
        self.tripped(trips)
    }

    /// The outcome of a trade, told at `told_at` as `before`, says more now. What a test has closed stays as it was.
    fn completed(
        &mut self,
        rules: &Rules<'_>,
        at: Timestamp,
        told_at: Timestamp,
        trade_id: &TradeId,
        before: &Outcome,
        outcome: Outcome,
    ) -> Effects {
        let (entry, limit) = (self.open_trades.heard(trade_id).cloned(), self.open_trades.daily_loss_limit());
        let of = |outcome| closed_trade(trade_id, outcome, entry.as_deref(), told_at, limit, rules.calendar);
        let (known, trade) = (of(before), of(&outcome));
        let mut trips = self.emergency.complete(rules.guardian, &known, &trade);
        trips.extend(self.emergency.settle(rules.guardian, &trade));
        let _it_was_closed_before = self.open_trades.close(at, trade_id);
        if let Some(entry) = self.open_trades.entry(trade_id).cloned() {
            self.trials.take(at, &TrialNews::Closed(entry, outcome));
        }
        self.tripped(trips)
    }

    fn tripped(&mut self, mut trips: Vec<Trip>) -> Effects {
        trips.retain(|trip| follows(self.trials.roster(), trip));
        if trips.is_empty() {
            return Effects::default();
        }
        self.trips.extend(trips.iter().cloned());
        self.forget_trips();
        Effects { events: consequences(self.trials.roster(), trips) }
    }

    /// Forgets the emergencies of which nothing follows any more: of versions that do not speak or are judged again, and of days
    /// before the latest.
    fn forget_trips(&mut self) {
        let latest = self.trips.iter().filter(|trip| trip.version.is_none()).map(|trip| trip.day).max();
        let mut trips = std::mem::take(&mut self.trips);
        trips.retain(|trip| match &trip.version {
            Some(version) => self.is_spared(version),
            None => latest.is_none_or(|latest| trip.day >= latest),
        });
        self.trips = trips;
    }

    /// Whether a version speaks whose trades are judged no more: it tripped, and nobody took it down.
    fn is_spared(&self, version: &VersionId) -> bool {
        let speaks = self.trials.roster().standing(version).is_some_and(|standing| standing.state.may_influence());
        speaks && !self.emergency.judges(version)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil, tz::TimeZone};

    use super::*;
    use crate::config::Config;
    use crate::domain::{event::By, lifecycle::Transition};

    fn calendar() -> TradingCalendar {
        TradingCalendar::new(TimeZone::UTC, civil::time(22, 0, 0, 0))
    }

    fn noon() -> Timestamp {
        "2025-09-01T12:00:00Z".parse().unwrap()
    }

    fn told(state: &mut State, happening: Happening) -> Effects {
        let (guardian, gradual) = (EmergencyOptions::default(), Config::builtin().unwrap().gradual);
        let rules = Rules { guardian: &guardian, calendar: &calendar(), gradual: &gradual, wait_days: 5 };
        state.step(&rules, happening)
    }

    fn closed(state: &mut State, name: &str, pnl: Option<f64>) {
        let outcome = Outcome::closed(noon(), pnl);
        let trade_id = TradeId::new(name).unwrap();
        told(state, Happening::Closed { at: noon(), trade_id, echo: None, outcome: Box::new(outcome) });
    }

    /// A state in which ES/1 is trained, and what brings it into production.
    fn trained() -> (State, Vec<EventKind>) {
        let mut state = State::new(OpenTrades::new(SignedDuration::from_hours(240)), Keep::ALL, None);
        let version: VersionId = "ES/1".parse().unwrap();
        let kind = EventKind::Trained { version: version.clone(), evidence: BTreeMap::new() };
        told(&mut state, Happening::Event(Event { at: noon(), kind }));
        let steps = [Transition::Validate, Transition::Stage, Transition::StartTest, Transition::Promote];
        let moved = steps.map(|step| {
            let (version, by, evidence) = (version.clone(), By::Uid(0), BTreeMap::new());
            EventKind::Moved { version, step, reason: String::new(), by, overridden: true, evidence }
        });
        (state, moved.into())
    }

    #[test]
    fn what_was_no_emergency_when_it_happened_is_none_when_a_version_speaks_later() {
        let (mut state, promotion) = trained();
        closed(&mut state, "T-1", None);
        promotion.into_iter().for_each(|kind| drop(told(&mut state, Happening::Event(Event { at: noon(), kind }))));
        let today = calendar().day_of(noon());
        assert_eq!(state.missed(today), []);
        // while it speaks the same is one, and a loss beyond the limit is one whoever speaks
        closed(&mut state, "T-2", None);
        assert_eq!(state.missed(today).len(), 1);
        let (mut state, _) = trained();
        closed(&mut state, "T-1", Some(-2500.0));
        assert_eq!(state.missed(today).len(), 1);
    }
}
