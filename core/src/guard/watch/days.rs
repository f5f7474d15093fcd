//! Which trading days of which version have been judged, and which have passed without.

use std::collections::{BTreeMap, BTreeSet};

use super::Judgement;
use crate::domain::{Event, EventKind, TradingCalendar, TradingDay, VersionId, lifecycle::State};

/// Trading days that are made up for at most. The windows of the latest hold the trades of those before.
const MOST: usize = 5;

/// How far the versions in service have been judged: a fold over the log, and over what was found since.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JudgedDays {
    /// When each version went into service.
    since: BTreeMap<VersionId, TradingDay>,
    /// The latest day on which each was judged.
    last: BTreeMap<VersionId, TradingDay>,
}

impl JudgedDays {
    /// Takes in an event of the log.
    pub fn follow(&mut self, calendar: &TradingCalendar, event: &Event) {
        match &event.kind {
            EventKind::Judged { version, day, .. } => self.note(version, *day),
            EventKind::Moved { version, step, .. } => {
                let (from, to) = step.edge();
                if !is_watched(to) {
                    self.since.remove(version);
                } else if !is_watched(from) {
                    self.since.insert(version.clone(), calendar.day_of(event.at));
                }
            }
            _ => {}
        }
    }

    /// `version` was judged on `day`.
    pub fn note(&mut self, version: &VersionId, day: TradingDay) {
        let last = self.last.entry(version.clone()).or_insert(day);
        *last = day.max(*last);
    }

    /// The same, and what `other` knows of days.
    pub fn and(mut self, other: &Self) -> Self {
        other.last.iter().for_each(|(version, day)| self.note(version, *day));
        self
    }

    /// Whether it is the first time that `version` is judged on `day`, and no later day has been judged.
    pub fn is_new(&self, version: &VersionId, day: TradingDay) -> bool {
        self.last.get(version).is_none_or(|last| day > *last)
    }

    /// Of what the past comes to when it is heard again, what was not found when it happened: of versions that were in
    /// service then, and of the latest days.
    pub fn missed(&self, mut found: Vec<Judgement>) -> Vec<Judgement> {
        found.retain(|Judgement { version, day_close, .. }| {
            let served = self.since.get(version).is_some_and(|since| day_close.day >= *since);
            served && self.is_new(version, day_close.day)
        });
        let days: BTreeSet<TradingDay> = found.iter().map(|judgement| judgement.day_close.day).collect();
        let first = days.iter().rev().take(MOST).next_back().copied();
        found.retain(|judgement| first.is_some_and(|first| judgement.day_close.day >= first));
        found
    }
}

/// Whether a version in this state is watched.
fn is_watched(state: State) -> bool {
    matches!(state, State::Staging | State::AbTest | State::Production)
}

#[cfg(test)]
mod tests {
    use jiff::{civil, tz::TimeZone};

    use super::*;
    use crate::{
        domain::{Timestamp, event::By, lifecycle::Transition},
        guard::gradual::DayClose,
    };

    fn calendar() -> TradingCalendar {
        TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), civil::time(17, 0, 0, 0))
    }

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_736_190_000 + 86_400 * day).unwrap()
    }

    fn day(number: i64) -> TradingDay {
        calendar().day_of(at(number))
    }

    fn version(name: &str) -> VersionId {
        name.parse().unwrap()
    }

    fn judgement(name: &str, number: i64) -> Judgement {
        let day_close = DayClose { day: day(number), composite: None, degraded: false, unstable: false };
        let (turns, faults, evidence) = (Vec::new(), Vec::new(), BTreeMap::new());
        Judgement { version: version(name), day_close, turns, response: None, faults, evidence }
    }

    fn told(judgements: &[Judgement]) -> Vec<(String, TradingDay)> {
        judgements.iter().map(|judgement| (judgement.version.to_string(), judgement.day_close.day)).collect()
    }

    fn log(events: &[(i64, &str, Option<Transition>)]) -> JudgedDays {
        let mut days = JudgedDays::default();
        for (number, name, step) in events {
            let kind = match *step {
                Some(step) => EventKind::Moved {
                    version: version(name),
                    step,
                    reason: String::new(),
                    by: By::Uid(0),
                    overridden: false,
                    evidence: BTreeMap::new(),
                },
                None => EventKind::Judged {
                    version: version(name),
                    day: day(*number),
                    composite: None,
                    degraded: false,
                    unstable: false,
                    evidence: BTreeMap::new(),
                },
            };
            days.follow(&calendar(), &Event { at: at(*number), kind });
        }
        days
    }

    #[test]
    fn what_was_judged_or_was_before_its_service_is_not_missed_and_of_many_days_the_latest_are_made_up_for() {
        let stage = Some(Transition::Stage);
        let days =
            log(&[(0, "ES/1", stage), (1, "ES/1", Some(Transition::StartTest)), (2, "ES/1", None), (3, "ES/2", stage)]);
        let past = |to: i64| (0..=to).flat_map(|n| [judgement("ES/1", n), judgement("ES/2", n), judgement("ES/3", n)]);
        let missed = days.missed(past(4).collect());
        let expected = [("ES/1", 3), ("ES/2", 3), ("ES/1", 4), ("ES/2", 4)];
        assert_eq!(told(&missed), expected.map(|(name, number)| (name.to_owned(), day(number))));
        let many: Vec<TradingDay> = days.missed(past(20).collect()).iter().map(|missed| missed.day_close.day).collect();
        assert_eq!((many.len(), many.first(), many.last()), (2 * MOST, Some(&day(16)), Some(&day(20))));
    }

    #[test]
    fn what_was_found_since_the_log_was_written_is_known_and_a_day_is_new_once() {
        let mut found = JudgedDays::default();
        found.note(&version("ES/1"), day(4));
        let days = log(&[(0, "ES/1", Some(Transition::Stage)), (2, "ES/1", None)]).and(&found);
        assert_eq!(told(&days.missed(vec![judgement("ES/1", 3), judgement("ES/1", 4)])), []);
        assert!(!days.is_new(&version("ES/1"), day(4)) && days.is_new(&version("ES/1"), day(5)));
        // validated again it is in service again from then on
        let again = log(&[
            (0, "ES/1", Some(Transition::Stage)),
            (1, "ES/1", Some(Transition::ArchiveStaging)),
            (5, "ES/1", Some(Transition::Stage)),
        ]);
        let missed = again.missed((0..=6).map(|n| judgement("ES/1", n)).collect());
        assert_eq!(told(&missed), [5, 6].map(|number| ("ES/1".to_owned(), day(number))));
    }
}
