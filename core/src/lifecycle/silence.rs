//! What keeps models silent: a lock of everything, which may end by itself, and the emergencies in force. A fold over the event log.

use serde::{Deserialize, Serialize};

use crate::{
    domain::{EventKind, Symbol, Timestamp, TradingDay},
    guard::emergency::Latches,
};

/// The lock and the emergencies in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    lock: Option<Lock>,
    latches: Latches,
}

/// A lock that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Lock {
    reason: String,
    /// When it ends by itself; without it, when somebody resumes.
    until: Option<Timestamp>,
}

impl Lock {
    /// Whether a lock until `until` takes its place: a longer one is never shortened, and one without an end is the longest.
    fn gives_way(&self, until: Option<Timestamp>) -> bool {
        match (self.until, until) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(until)) => until > own,
        }
    }
}

impl Silence {
    /// Takes in the next event of the log. Those that silence nobody and lift nothing change nothing.
    pub fn apply(&mut self, event: &EventKind) {
        match event {
            EventKind::Locked { reason, until, .. } if self.lock.as_ref().is_none_or(|held| held.gives_way(*until)) => {
                self.lock = Some(Lock { reason: reason.clone(), until: *until });
            }
            // an emergency stays, and so does a lock that took its place
            EventKind::LockEnded { until } => {
                self.lock.take_if(|held| held.until == Some(*until));
            }
            EventKind::Latched { trip } => self.latches.hold((**trip).clone()),
            EventKind::Resumed { .. } => {
                self.lock = None;
                self.latches.lift();
            }
            _ => {}
        }
    }

    /// Whether nothing is locked and no emergency holds.
    pub fn is_none(&self) -> bool {
        self.lock.is_none() && self.latches.held().is_empty()
    }

    /// Why serving is locked for all symbols, if it is: by an order, or by an emergency of the whole account.
    pub fn lock(&self) -> Option<String> {
        let account = || self.latches.held().iter().find(|latch| latch.trip.version.is_none());
        self.reason().or_else(|| account().map(|latch| latch.trip.to_string()))
    }

    /// Why no model of `symbol` may speak, if so.
    pub fn of(&self, symbol: &Symbol) -> Option<String> {
        self.reason().or_else(|| self.latches.silences(symbol).map(ToString::to_string))
    }

    fn reason(&self) -> Option<String> {
        self.lock.as_ref().map(|lock| lock.reason.clone())
    }

    /// When the lock in force ends by itself, if it does.
    pub fn until(&self) -> Option<Timestamp> {
        self.lock.as_ref()?.until
    }

    /// Why serving is locked until somebody resumes: a lock that ends by itself is none, and a fault meanwhile locks as if there were none.
    pub fn lock_for_good(&self) -> Option<String> {
        self.lock().filter(|_| self.until().is_none())
    }

    /// What ends the lock, if it was to end by `now`.
    pub fn ends(&self, now: Timestamp) -> Option<EventKind> {
        self.until().filter(|until| *until <= now).map(|until| EventKind::LockEnded { until })
    }

    /// The emergencies in force.
    pub fn latches(&self) -> &Latches {
        &self.latches
    }

    /// Whether lock and emergencies may be lifted on the trading day `today`. On a paper account an order that says `same_day` lifts
    /// one of the account before that day is over: true then, and the resume is marked so.
    ///
    /// # Errors
    /// In words, when nothing is locked, it is too early, or such an order is given for a real account.
    pub fn may_resume(&self, today: TradingDay, same_day: bool, is_paper: bool) -> Result<bool, String> {
        if self.is_none() {
            return Err("serving is not locked".to_owned());
        }
        if same_day && !is_paper {
            let why = "the account is real (account.paper is false): after an emergency of the account it is resumed when the \
                       trading day is over";
            return Err(why.to_owned());
        }
        match self.latches.may_resume(today) {
            Ok(()) => Ok(false),
            Err(_) if same_day => Ok(true),
            Err(error) if is_paper => {
                Err(format!("{error}; the account is paper: `vigie resume --same-day` does not wait"))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        VersionId,
        event::By,
        trip::{Breach, Rule, Trip, Unevaluable},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn day(text: &str) -> TradingDay {
        serde_json::from_value(text.into()).unwrap()
    }

    fn lock(silence: &mut Silence, reason: &str, until: Option<i64>) {
        silence.apply(&EventKind::Locked { reason: reason.to_owned(), by: By::Uid(0), until: until.map(at) });
    }

    fn latched(version: Option<VersionId>) -> EventKind {
        let breach = Breach::unknown(Rule::named("day_loss"), Unevaluable::PnlOfTrade);
        EventKind::Latched { trip: Box::new(Trip { at: at(50), day: day("2015-01-05"), version, breach }) }
    }

    #[test]
    fn a_longer_lock_is_never_shortened_by_a_second_one() {
        let mut silence = Silence::default();
        let stands = |silence: &Silence, reason: &str, until: Option<i64>| {
            assert_eq!((silence.lock().as_deref(), silence.until()), (Some(reason), until.map(at)));
        };
        lock(&mut silence, "long", Some(200));
        lock(&mut silence, "short", Some(100));
        stands(&silence, "long", Some(200));
        lock(&mut silence, "longer", Some(300));
        stands(&silence, "longer", Some(300));
        // the end of a lock that another took the place of
        silence.apply(&EventKind::LockEnded { until: at(200) });
        stands(&silence, "longer", Some(300));
        assert_eq!(
            (silence.ends(at(299)), silence.ends(at(300))),
            (None, Some(EventKind::LockEnded { until: at(300) }))
        );
        lock(&mut silence, "for good", None);
        lock(&mut silence, "an hour", Some(5000));
        stands(&silence, "for good", None);
        silence.apply(&EventKind::LockEnded { until: at(300) });
        stands(&silence, "for good", None);
        assert_eq!(silence.ends(at(9000)), None);
    }

    #[test]
    fn the_end_of_a_lock_lifts_no_emergency() {
        let version: VersionId = "ES/1".parse().unwrap();
        for of in [None, Some(version.clone())] {
            let mut silence = Silence::default();
            lock(&mut silence, "the news", Some(100));
            silence.apply(&latched(of.clone()));
            silence.apply(&EventKind::LockEnded { until: at(100) });
            assert!(silence.of(&version.symbol).is_some_and(|why| why.contains("emergency of")), "{of:?}");
            assert_eq!((silence.lock().is_some(), silence.until(), silence.is_none()), (of.is_none(), None, false));
        }
    }

    #[test]
    fn an_emergency_of_the_account_is_lifted_on_its_own_day_on_paper_only_and_only_by_saying_so() {
        let [day, next] = ["2015-01-05", "2015-01-06"].map(day);
        let mut silence = Silence::default();
        assert_eq!(silence.may_resume(day, true, true), Err("serving is not locked".to_owned()));
        silence.apply(&latched(None));
        let real = silence.may_resume(day, true, false).unwrap_err();
        assert!(real.contains("account.paper is false"), "{real}");
        assert!(!silence.may_resume(day, false, false).unwrap_err().contains("--same-day"));
        assert!(silence.may_resume(day, false, true).unwrap_err().contains("--same-day"));
        assert_eq!(silence.may_resume(day, true, true), Ok(true));
        // a day later nothing is passed over, and nothing is marked
        assert_eq!(
            (silence.may_resume(next, true, true), silence.may_resume(next, false, false)),
            (Ok(false), Ok(false))
        );
    }
}
