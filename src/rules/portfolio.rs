//! Whether a portfolio of several symbols can be thought of: the decision point behind the levels of models.
//!
//! A portfolio is built on versions whose worth is shown. One that was pushed past a gate, or that has hardly begun, shows
//! nothing, whatever its state is called.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::roster::Roster;
use crate::domain::{Event, EventKind, Timestamp, VersionId, lifecycle::State};

/// Symbols whose versions must have proven themselves, at least.
pub const PORTFOLIO_SYMBOLS: usize = 2;
/// Days for which a version must have held production without interruption: about a quarter.
pub const PORTFOLIO_DAYS: f64 = 90.0;

/// A fold over the event log.
#[derive(Debug, Clone, Default)]
pub struct Portfolio {
    roster: Roster,
    since: BTreeMap<VersionId, Timestamp>,
    last: Option<Timestamp>,
}

/// A version in production, and whether a portfolio can count on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Which.
    pub version: VersionId,
    /// Days in production, until the latest event of the log.
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
        self.last = self.last.max(Some(event.at));
        if let EventKind::Moved { version, .. } = &event.kind {
            if self.is_in_production(version) {
                self.since.entry(version.clone()).or_insert(event.at);
            } else {
                self.since.remove(version);
            }
        }
    }

    /// The versions in production, by name.
    pub fn held(&self) -> Vec<Held> {
        let held = |(version, since): (&VersionId, &Timestamp)| {
            let standing = self.roster.standing(version)?;
            let days = self.last?.duration_since(*since).as_secs_f64() / 86_400.0;
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
    use jiff::SignedDuration;

    use super::*;
    use crate::domain::{event::By, lifecycle::Transition};

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
        take(&mut portfolio, 99, EventKind::Stopped);
        assert!(!portfolio.go(), "NQ/1 has held for 89 days: {:?}", portfolio.held());
        take(&mut portfolio, 100, EventKind::Stopped);
        assert!(portfolio.go(), "{:?}", portfolio.held());
        // while it is locked nothing is in service
        let (reason, by) = ("news".to_owned(), By::Uid(0));
        let mut locked = portfolio.clone();
        take(&mut locked, 101, EventKind::Locked { reason, by });
        assert!(!locked.go() && locked.held().iter().all(|held| !held.speaks));
        // a version that came back begins anew
        step(&mut portfolio, 101, "ES/1", Transition::RollBack, false);
        assert!(!portfolio.go() && portfolio.held().len() == 1);
    }

    #[test]
    fn a_version_that_was_pushed_past_a_gate_never_counts() {
        let mut portfolio = Portfolio::default();
        promote(&mut portfolio, 0, "ES/1", true);
        promote(&mut portfolio, 0, "NQ/1", false);
        take(&mut portfolio, 1_000, EventKind::Stopped);
        let counts: Vec<bool> = portfolio.held().iter().map(|held| held.counts).collect();
        assert_eq!((counts, portfolio.go()), (vec![false, true], false));
    }
}
