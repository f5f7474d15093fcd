//! Whether a portfolio of several symbols can be thought of: the decision point behind the levels of models.
//!
//! A portfolio is built on versions whose worth is shown. One that was pushed past a gate, or that has hardly begun, shows
//! nothing, whatever its state is called.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::{
    domain::{Event, EventKind, Timestamp, TradingDay, VersionId, lifecycle::State},
    lifecycle::roster::Roster,
};

/// Symbols whose versions must have proven themselves, at least.
pub const PORTFOLIO_SYMBOLS: usize = 2;
/// Days for which a version must have held production without interruption: about a quarter.
pub const PORTFOLIO_DAYS: f64 = 90.0;

/// A fold over the event log.
#[derive(Debug, Clone, Default)]
pub struct Portfolio {
    roster: Roster,
    /// When each came into production, and the latest trading day since then on which it was judged.
    since: BTreeMap<VersionId, (Timestamp, Option<TradingDay>)>,
}

/// A version in production, and whether a portfolio can count on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Which.
    pub version: VersionId,
    /// Days in production, until the latest trading day on which it was judged there. The time of other events is none of the market's
    /// where the past is played back.
    pub days: f64,
    /// Whether a gate was ever passed over for it.
    pub overridden: bool,
    /// Whether it may speak: no lock and no emergency is in force for its symbol.
    pub speaks: bool,
    /// Whether it counts: it passed its gates, it speaks, and it has held production for [`PORTFOLIO_DAYS`].
    pub counts: bool,
}

impl Portfolio {
    /// Takes in the next event of the log.
    pub fn apply(&mut self, event: &Event) {
        self.roster.apply(&event.kind);
        match &event.kind {
            EventKind::Moved { version, .. } if self.is_in_production(version) => {
                self.since.entry(version.clone()).or_insert((event.at, None));
            }
            EventKind::Moved { version, .. } => drop(self.since.remove(version)),
            EventKind::Judged { version, day, .. } => {
                if let Some((_, last)) = self.since.get_mut(version) {
                    *last = (*last).max(Some(*day));
                }
            }
            _ => {}
        }
    }

    /// The versions in production, by name.
    pub fn held(&self) -> Vec<Held> {
        let held = |(version, (since, last)): (&VersionId, &(Timestamp, Option<TradingDay>))| {
            let standing = self.roster.standing(version)?;
            let began = since.to_zoned(TimeZone::UTC).date();
            let days = last.map_or(0, |last| (last.date() - began).get_days()).max(0);
            let days = f64::from(days);
            let speaks = self.roster.silenced(&version.symbol).is_none();
            let counts = !standing.overridden && speaks && days >= PORTFOLIO_DAYS;
            Some(Held { version: version.clone(), days, overridden: standing.overridden, speaks, counts })
        };
        self.since.iter().filter_map(held).collect()
    }

    /// Whether enough symbols have a version that counts.
    pub fn go(&self) -> bool {
        self.held().iter().filter(|held| held.counts).count() >= PORTFOLIO_SYMBOLS
    }

    fn is_in_production(&self, version: &VersionId) -> bool {
        self.roster.standing(version).is_some_and(|standing| standing.state == State::Production)
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil};

    use super::*;
    use crate::domain::{TradingCalendar, event::By, lifecycle::Transition};

    fn day(n: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * n)
    }

    fn take(portfolio: &mut Portfolio, at: i64, kind: EventKind) {
        portfolio.apply(&Event { at: day(at), kind });
    }

    fn step(portfolio: &mut Portfolio, at: i64, version: &str, step: Transition, overridden: bool) {
        let (version, by) = (version.parse().unwrap(), By::Daemon("test".into()));
        let (reason, evidence) = (String::new(), BTreeMap::new());
        take(portfolio, at, EventKind::Moved { version, step, reason, by, overridden, evidence });
    }

    /// Every version is judged when a day has closed.
    fn judged(portfolio: &mut Portfolio, at: i64) {
        let calendar = TradingCalendar::new(TimeZone::UTC, civil::time(0, 0, 0, 0));
        for version in ["ES/1", "NQ/1"] {
            let (version, evidence) = (version.parse().unwrap(), BTreeMap::new());
            let day = calendar.day_of(day(at));
            let judged =
                EventKind::Judged { version, day, composite: None, degraded: false, unstable: false, evidence };
            take(portfolio, at, judged);
        }
    }

    #[test]
    fn the_clock_of_the_wall_makes_no_version_of_a_replay_older() {
        let mut portfolio = Portfolio::default();
        promote(&mut portfolio, 0, "ES/1", false);
        promote(&mut portfolio, 0, "NQ/1", false);
        judged(&mut portfolio, 10);
        // ten days of the market, and an event that came years later by the wall
        take(&mut portfolio, 2_000, EventKind::Stopped);
        assert_eq!(portfolio.held().iter().map(|held| held.days).collect::<Vec<_>>(), [10.0, 10.0]);
        assert!(!portfolio.go());
    }

    /// Brings a version to production on a day.
    fn promote(portfolio: &mut Portfolio, at: i64, version: &str, overridden: bool) {
        take(portfolio, at, EventKind::Trained { version: version.parse().unwrap(), evidence: BTreeMap::new() });
        for next in [Transition::Validate, Transition::Stage, Transition::StartTest, Transition::Promote] {
            step(portfolio, at, version, next, overridden && next == Transition::StartTest);
        }
    }

    #[test]
    fn it_takes_two_symbols_whose_versions_passed_their_gates_and_held_production_for_a_quarter() {
        let mut portfolio = Portfolio::default();
        promote(&mut portfolio, 0, "ES/1", false);
        promote(&mut portfolio, 10, "NQ/1", false);
        judged(&mut portfolio, 99);
        assert!(!portfolio.go(), "NQ/1 has held for 89 days: {:?}", portfolio.held());
        judged(&mut portfolio, 100);
        assert!(portfolio.go(), "{:?}", portfolio.held());
        // while it is locked nothing is in service
        let (reason, by) = ("news".to_owned(), By::Uid(0));
        let mut locked = portfolio.clone();
        take(&mut locked, 101, EventKind::Locked { reason, by, until: None });
        assert!(!locked.go() && locked.held().iter().all(|held| !held.speaks));
        // a version that came back starts over
        step(&mut portfolio, 101, "ES/1", Transition::RollBack, false);
        assert!(!portfolio.go() && portfolio.held().len() == 1);
    }

    #[test]
    fn a_version_that_was_pushed_past_a_gate_never_counts() {
        let mut portfolio = Portfolio::default();
        promote(&mut portfolio, 0, "ES/1", true);
        promote(&mut portfolio, 0, "NQ/1", false);
        judged(&mut portfolio, 1_000);
        let counts: Vec<bool> = portfolio.held().iter().map(|held| held.counts).collect();
        assert_eq!((counts, portfolio.go()), (vec![false, true], false));
    }
}
