//! Which versions are being tried, and what is known of each: a fold over the event log and the trades.
//!
//! A version in staging collects what it would have made of the trades that close; one under test, and one in production
//! beside its holdback, is an [`Experiment`]. The fold gives the same state whether it takes the news one by one as they
//! come or all at once from the journal.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc};

use super::{
    desk::Entry,
    experiment::{
        Assignment, Criteria, Experiment, Ruling, ShadowTrade, StagingOptions, StagingRuling, Standing, Terms,
        staging_gate,
    },
    roster::Roster,
};
use crate::domain::{Arm, EventKind, Opinion, Outcome, Timestamp, TradeId, TradingDay, VersionId, lifecycle::State};

/// Something that concerns versions on trial.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// The life of a version went on.
    Event(EventKind),
    /// A signal was answered, for the first time.
    Scored(Arc<Entry>),
    /// A trade was closed, and what was made of its signal.
    Closed(Arc<Entry>, Outcome),
    /// A signal was let go.
    Skipped(Arc<Entry>),
}

/// All versions on trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trials {
    roster: Roster,
    staging: BTreeMap<VersionId, Shadowing>,
    tests: BTreeMap<VersionId, Experiment>,
    terms: BTreeMap<VersionId, Terms>,
    holdbacks: BTreeMap<VersionId, Experiment>,
}

/// What a version in staging has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Shadowing {
    since: Timestamp,
    /// With the time of the exit. Of a trade that is told of twice the first word stays.
    trades: BTreeMap<TradeId, (Timestamp, ShadowTrade)>,
}

/// Which experiment of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trial {
    /// The A/B test.
    Test,
    /// Production against its holdback.
    Holdback,
}

impl Shadowing {
    fn new(since: Timestamp) -> Self {
        Self { since, trades: BTreeMap::new() }
    }

    /// When it came into staging.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether the version may go on, by the trades closed until `now`.
    pub fn ruling(&self, options: &StagingOptions, now: Timestamp) -> StagingRuling {
        let mut trades: Vec<(Timestamp, ShadowTrade)> = self.trades.values().copied().collect();
        trades.sort_by_key(|(exit_at, _)| *exit_at);
        let trades: Vec<ShadowTrade> = trades.into_iter().map(|(_, trade)| trade).collect();
        staging_gate(options, self.since, now, &trades)
    }
}

impl Trials {
    /// Where all versions stand.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The versions in staging and what they have seen.
    pub fn staging(&self) -> impl Iterator<Item = (&VersionId, &Shadowing)> {
        self.staging.iter()
    }

    /// What a version in staging has seen.
    pub fn shadowing(&self, version: &VersionId) -> Option<&Shadowing> {
        self.staging.get(version)
    }

    /// The test of a version, under way or over.
    pub fn test(&self, version: &VersionId) -> Option<&Experiment> {
        self.tests.get(version)
    }

    /// The versions under test now.
    pub fn under_test(&self) -> impl Iterator<Item = (&VersionId, &Experiment)> {
        self.tests.iter().filter(|(version, _)| self.state(version) == Some(State::AbTest))
    }

    /// What the holdback of a version in production has shown.
    pub fn holdback(&self, version: &VersionId) -> Option<&Experiment> {
        self.holdbacks.get(version)
    }

    /// The versions in production now.
    pub fn in_production(&self) -> impl Iterator<Item = (&VersionId, &Experiment)> {
        self.holdbacks.iter().filter(|(version, _)| self.state(version) == Some(State::Production))
    }

    /// The terms under which the test of `version` began, where they were recorded.
    pub fn terms(&self, version: &VersionId) -> Option<Terms> {
        self.terms.get(version).cloned()
    }

    /// How the test of `version` stands at `now`, and what follows.
    pub fn judge(&self, version: &VersionId, criteria: &Criteria, now: Timestamp) -> Option<(Standing, Ruling)> {
        let standing = criteria.assess(self.tests.get(version)?, now);
        let ruling = criteria.decide(&standing, None);
        Some((standing, ruling))
    }

    /// Takes in what happened at `at`. What was taken in before changes nothing.
    pub fn take(&mut self, at: Timestamp, news: &News) {
        match news {
            News::Event(event) => self.event(at, event),
            News::Scored(entry) => self.scored(entry),
            News::Closed(entry, outcome) => self.closed(entry, outcome),
            News::Skipped(entry) => {
                for experiment in self.experiments_of(entry) {
                    experiment.skip(&entry.trade_id);
                }
            }
        }
    }

    /// Closes the next session that is due on the trading day `today`, of any experiment, and says of which. Call it
    /// until it gives none; see [`Experiment::close_next`].
    pub fn close_next(&mut self, today: TradingDay, wait_days: u32) -> Option<(VersionId, Trial)> {
        let tests = self.tests.iter_mut().map(|(version, experiment)| (version, Trial::Test, experiment));
        let holdbacks = self.holdbacks.iter_mut().map(|(version, experiment)| (version, Trial::Holdback, experiment));
        for (version, trial, experiment) in tests.chain(holdbacks) {
            if experiment.close_next(today, wait_days).is_some() {
                return Some((version.clone(), trial));
            }
        }
        None
    }

    fn state(&self, version: &VersionId) -> Option<State> {
        self.roster.standing(version).map(|standing| standing.state)
    }

    fn event(&mut self, at: Timestamp, event: &EventKind) {
        let version = match event {
            EventKind::Trained { version, .. } if self.state(version).is_some() => return,
            EventKind::Moved { version, .. } => version,
            other => return self.roster.apply(other),
        };
        let before = self.state(version);
        self.roster.apply(event);
        let after = self.state(version);
        if before == after {
            return;
        }
        if before == Some(State::Staging) {
            self.staging.remove(version);
        }
        match after {
            Some(State::Staging) => drop(self.staging.insert(version.clone(), Shadowing::new(at))),
            Some(State::AbTest) => {
                self.tests.insert(version.clone(), Experiment::new(at));
                if let EventKind::Moved { evidence, .. } = event {
                    self.terms.extend(Terms::of(evidence).map(|terms| (version.clone(), terms)));
                }
            }
            Some(State::Production) => drop(self.holdbacks.insert(version.clone(), Experiment::new(at))),
            _ => {}
        }
    }

    fn scored(&mut self, entry: &Entry) {
        for opinion in &entry.opinions {
            let Some(assignment) = assignment(entry, opinion) else { continue };
            let experiment = match self.state(&opinion.version) {
                Some(State::AbTest) => self.tests.get_mut(&opinion.version),
                Some(State::Production) => self.holdbacks.get_mut(&opinion.version),
                _ => None,
            };
            if let Some(experiment) = experiment {
                experiment.assign(assignment);
            }
        }
    }

    fn closed(&mut self, entry: &Entry, outcome: &Outcome) {
        for experiment in self.experiments_of(entry) {
            experiment.outcome(&entry.trade_id, outcome);
        }
        let Some(pnl) = outcome.pnl.and_then(|pnl| entry.at_own_size(pnl.get())) else { return };
        for opinion in entry.opinions.iter().filter(|opinion| opinion.score.is_some()) {
            if let Some(shadowing) = self.staging.get_mut(&opinion.version) {
                let trade = (outcome.exit_at, ShadowTrade { pnl, ml_size: opinion.size });
                shadowing.trades.entry(entry.trade_id.clone()).or_insert(trade);
            }
        }
    }

    fn experiments_of(&mut self, entry: &Entry) -> impl Iterator<Item = &mut Experiment> {
        let concerns = |version: &VersionId, trade_id: &TradeId, experiment: &Experiment| {
            entry.opinion(version).is_some() && experiment.has(trade_id)
        };
        let all = self.tests.iter_mut().chain(&mut self.holdbacks);
        let mine = all.filter(move |(version, experiment)| concerns(version, &entry.trade_id, experiment));
        mine.map(|(_, experiment)| experiment)
    }
}

/// How a signal takes part in the experiment of the version that split it.
fn assignment(entry: &Entry, opinion: &Opinion) -> Option<Assignment> {
    let split = opinion.split?;
    let spoke = entry.speaker() == Some(&opinion.version);
    let ml_size = match split.arm {
        Arm::Ml if spoke => entry.decision.size,
        // it was to hear the model and did not: the strategy alone was traded, and counts in this arm
        Arm::Ml => 1.0,
        Arm::Baseline => opinion.size,
    };
    Some(Assignment {
        trade_id: entry.trade_id.clone(),
        at: entry.at,
        day: entry.day,
        arm: split.arm,
        allocation: split.share,
        ml_size,
        alone: entry.speaker().is_none(),
    })
}
