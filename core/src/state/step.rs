//! What everything that happened comes to: the one place where a happening becomes what follows.
//!
//! A start, a part that is renewed, a replay under other thresholds and the checkpoints call [`State::step`] with what the log holds.
//! The daemon that runs calls its two halves, each when it is due: [`Risk`] takes in an outcome when it is told and again when it is on
//! disk, and [`State::learn`] has the trials take it in after that. The state can be stored and read back: whoever has it, and the number
//! of the record up to which it was folded, needs nothing of the log before that number.
//!
//! Everything here is a function of what happened and of [`Rules`]; it keeps at most what its parts are bounded to.
#![deny(clippy::indexing_slicing)]

mod doubt;
mod image;
mod risk;

use crate::{
    domain::{EventKind, Timestamp, TradingCalendar, TradingDay, trip::Trip},
    features::pipeline::Pipeline,
    guard::{emergency::EmergencyOptions, gradual::GradualOptions},
    lifecycle::{happening::Happening, open_trades::OpenTrades},
    policy::stale::StaleWatch,
    trials::running::{Keep, TrialNews, Trials},
};

pub use doubt::{Doubt, Doubted};
pub use image::BadImage;
pub use risk::{Response, Risk, Telling};

/// What happenings are judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The emergency rules.
    pub guardian: &'a EmergencyOptions,
    /// When trading days turn.
    pub calendar: &'a TradingCalendar,
    /// The influence that shrinks.
    pub gradual: &'a GradualOptions,
    /// Trading days that an outcome is waited for.
    pub wait_days: u32,
}

/// What happened so far.
#[derive(Debug, Clone)]
pub struct State {
    /// When the latest of it happened.
    pub at: Timestamp,
    /// The trades under way and what the rules know.
    pub risk: Risk,
    /// The versions on trial, and where all versions stand.
    pub trials: Trials,
    /// The feeds that are lost.
    pub stale: StaleWatch,
    /// What is carried forward; `None` for one who makes no inputs.
    pub pipeline: Option<Pipeline>,
}

/// What follows from a happening.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Events that are now to happen: what an emergency latches, the versions that go, and the word to a person.
    pub events: Vec<EventKind>,
    /// What the trials are to take in, in this order. [`State::step`] has given it to them.
    pub news: Vec<TrialNews>,
}

impl Effects {
    fn of(events: Vec<EventKind>) -> Self {
        Self { events, news: Vec::new() }
    }

    fn news(news: Option<TrialNews>) -> Self {
        Self { events: Vec::new(), news: news.into_iter().collect() }
    }
}

impl State {
    /// Nothing has happened yet. A trial keeps what `room` says.
    pub fn new(open_trades: OpenTrades, room: Keep, pipeline: Option<Pipeline>) -> Self {
        Self {
            at: Timestamp::UNIX_EPOCH,
            risk: Risk::new(open_trades),
            trials: Trials::keeping(room),
            stale: StaleWatch::default(),
            pipeline,
        }
    }

    /// Takes in what happened next, and says what follows from it by `rules` and by who spoke then. A session that is due by
    /// then closes first.
    pub fn step(&mut self, rules: &Rules<'_>, happening: Happening) -> Effects {
        if let Happening::Came { signal, served, .. } = &happening {
            if let Some(pipeline) = self.pipeline.as_mut().filter(|_| *served) {
                pipeline.remember(signal);
            }
            return self.risk.take(rules, self.trials.roster(), happening);
        }
        let at = happening.at();
        self.at = at;
        self.pass_to(rules, at);
        if let Happening::Event(event) = &happening {
            self.learn(rules, at, &TrialNews::Event(event.kind.clone()));
            self.stale.follow(&event.kind);
        }
        let mut effects = self.risk.take(rules, self.trials.roster(), happening);
        effects.news.drain(..).for_each(|news| self.learn(rules, at, &news));
        effects
    }

    /// The trials take in what happened at `at`. A session that is due by then closes first.
    pub fn learn(&mut self, rules: &Rules<'_>, at: Timestamp, news: &TrialNews) {
        self.pass_to(rules, at);
        self.trials.take(at, news);
    }

    /// Closes the sessions that are due at `at`.
    pub fn pass_to(&mut self, rules: &Rules<'_>, at: Timestamp) {
        self.trials.close_due(rules.calendar.day_of(at), rules.wait_days);
    }

    /// [`Risk::missed`], by where versions stand on disk.
    pub fn missed(&self, today: TradingDay) -> Vec<Trip> {
        self.risk.missed(self.trials.roster(), today)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{SignedDuration, civil, tz::TimeZone};

    use super::*;
    use crate::domain::{Event, Outcome, TradeId, VersionId, event::By, lifecycle::Transition};
    use crate::guard::gradual::GradualOptions;

    fn calendar() -> TradingCalendar {
        TradingCalendar::new(TimeZone::UTC, civil::time(22, 0, 0, 0))
    }

    fn noon() -> Timestamp {
        "2025-09-01T12:00:00Z".parse().unwrap()
    }

    fn told(state: &mut State, happening: Happening) -> Effects {
        let (guardian, gradual) = (EmergencyOptions::default(), GradualOptions { decline_days: 3, cooldown_days: 5 });
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
