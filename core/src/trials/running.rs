//! Which versions are being tried, and what is known of each: a fold over the event log and the trades.
//!
//! A version in staging collects what it would have made of the trades that close; one under test, and one in production
//! beside its holdback, is an [`Experiment`]. The fold gives the same state whether it takes the news one by one as they
//! come or all at once from the journal.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::experiment::{
    Assignment, Criteria, Experiment, ExperimentOptions, Room, Ruling, ShadowBook, ShadowTrade, StagingOptions,
    StagingRuling, Terms, TestStanding, TestVerdict,
};
use crate::{
    domain::{Arm, EventKind, Opinion, Outcome, Timestamp, TradeId, TradingDay, VersionId, lifecycle::State},
    guard::labels::{Labels, Unlabelled},
    lifecycle::{ending::Ending, gates::Check, open_trades::AnsweredSignal, roster::Roster},
    models::Question,
};

/// Something that concerns versions on trial.
#[derive(Debug, Clone, PartialEq)]
pub enum TrialNews {
    /// The life of a version went on.
    Event(EventKind),
    /// A signal was answered, for the first time.
    Scored(Arc<AnsweredSignal>),
    /// A trade was closed, and what was made of its signal.
    Closed(Arc<AnsweredSignal>, Outcome),
    /// A signal was let go.
    Skipped(Arc<AnsweredSignal>),
}

/// All versions on trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trials {
    roster: Roster,
    staging: BTreeMap<VersionId, Shadowing>,
    tests: BTreeMap<VersionId, Experiment>,
    terms: BTreeMap<VersionId, Terms>,
    holdbacks: BTreeMap<VersionId, Experiment>,
    /// How many sessions each test had before those that closed last.
    before: BTreeMap<VersionId, usize>,
    /// After how many closed sessions each test was judged last; who reads the past knows nothing of that.
    #[serde(skip)]
    judged: BTreeMap<VersionId, usize>,
    endings: BTreeMap<VersionId, Ending>,
    /// What each version is asked, as far as that is known.
    #[serde(with = "crate::domain::as_json")]
    asked: BTreeMap<VersionId, Question>,
    /// What the trades that each scored lack for a label, since its trial began.
    labels: BTreeMap<VersionId, Labels>,
    room: Keep,
}

/// How much a trial keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Signals of one trial at most.
    pub trades: usize,
    /// Sessions of a holdback that they are meant for.
    pub holdback_sessions: usize,
}

/// What a version in staging has seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shadowing {
    since: Timestamp,
    book: ShadowBook,
}

impl Keep {
    /// Everything.
    pub const ALL: Self = Self { trades: usize::MAX, holdback_sessions: 1 };

    /// What `options` allow.
    pub fn of(options: &ExperimentOptions) -> Self {
        Self { trades: options.max_trades, holdback_sessions: options.holdback_sessions }
    }
}

impl Default for Trials {
    fn default() -> Self {
        Self::keeping(Keep::ALL)
    }
}

impl Shadowing {
    /// When it came into staging.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Trades that there was no room for.
    pub fn left_out(&self) -> usize {
        self.book.left_out()
    }

    /// Whether the version may go on, by the trades closed until `now`; quick, whatever it has seen.
    pub fn opens(&self, options: &StagingOptions, now: Timestamp) -> bool {
        self.book.opens(options, self.since, now)
    }

    /// The same, condition by condition.
    pub fn ruling(&self, options: &StagingOptions, now: Timestamp) -> StagingRuling {
        self.book.ruling(options, self.since, now)
    }
}

impl Trials {
    /// None yet; each keeps what `room` says.
    pub fn keeping(room: Keep) -> Self {
        Self {
            roster: Roster::default(),
            staging: BTreeMap::new(),
            tests: BTreeMap::new(),
            terms: BTreeMap::new(),
            holdbacks: BTreeMap::new(),
            before: BTreeMap::new(),
            judged: BTreeMap::new(),
            endings: BTreeMap::new(),
            asked: BTreeMap::new(),
            labels: BTreeMap::new(),
            room,
        }
    }

    /// What `version` is asked, from now on.
    pub fn ask(&mut self, version: &VersionId, question: Question) {
        self.asked.insert(version.clone(), question);
    }

    /// What most trades that `version` scored lack for its label, where too many have none.
    pub fn unlabelled(&self, version: &VersionId) -> Option<Unlabelled> {
        self.labels.get(version)?.unlabelled()
    }

    /// What must hold for `version` to go on, beside what its trial shows: its label comes with the trades, and no decline has
    /// cut its share.
    pub fn conditions(&self, version: &VersionId) -> Vec<Check> {
        let share = self.roster.share(version);
        let whole = Check { name: "share", value: Some(share), threshold: 1.0, passed: share >= 1.0 };
        let speaks = self.state(version).is_some_and(State::may_influence);
        let labelled = self.labels.get(version).and_then(Check::of_labels);
        labelled.into_iter().chain(speaks.then_some(whole)).collect()
    }

    /// From now on a trial that begins keeps what `room` says.
    pub fn make_room(&mut self, room: Keep) {
        self.room = room;
    }

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

    /// The terms under which the test of `version` began, where they were recorded.
    pub fn terms(&self, version: &VersionId) -> Option<Terms> {
        self.terms.get(version).cloned()
    }

    /// How the test of `version` ended, if it did.
    pub fn ending(&self, version: &VersionId) -> Option<&Ending> {
        self.endings.get(version)
    }

    /// The versions under test of which sessions have closed that they have not been judged by.
    pub fn unjudged(&self) -> Vec<VersionId> {
        let is_behind =
            |(version, test): &(&VersionId, &Experiment)| self.judged_after(version) < test.sessions().len();
        self.under_test().filter(is_behind).map(|(version, _)| version.clone()).collect()
    }

    /// Judges the test of `version` after the next of its sessions that it has not been judged by: call it until it gives
    /// none, or until the verdict is carried out. Sessions that close together are looked at one by one, and none beyond
    /// the planned end.
    pub fn judge_next(
        &mut self,
        version: &VersionId,
        criteria: &Criteria,
        now: Timestamp,
    ) -> Option<(TestStanding, Ruling)> {
        let test = self.tests.get(version).filter(|_| self.state(version) == Some(State::AbTest))?;
        let (closed, judged) = (test.sessions().len(), self.judged_after(version));
        (judged < closed).then_some(())?;
        let planned = criteria.plan().sessions();
        let next = (judged + 1).min(planned);
        let standing = criteria.assess_after(next, test, now);
        let ruling = criteria.decide(&standing).under(self.conditions(version), next >= planned);
        let over = next >= planned || matches!(ruling.verdict, TestVerdict::Invalid(_));
        self.judged.insert(version.clone(), if over { closed } else { next });
        Some((standing, ruling))
    }

    /// The test of `version` cannot be judged by what has closed so far.
    pub fn pass_over(&mut self, version: &VersionId) {
        let closed = self.tests.get(version).map_or(0, |test| test.sessions().len());
        self.judged.insert(version.clone(), closed);
    }

    /// Has every test judged by the sessions that closed last, for one who does not know what came of them. What had closed
    /// before was judged before.
    pub fn judge_again(&mut self) {
        for (version, test) in &self.tests {
            let planned = self.terms.get(version).map_or(usize::MAX, |terms| terms.planned_sessions);
            let latest = test.sessions().len().min(planned).saturating_sub(1);
            let before = self.before.get(version).copied().unwrap_or(0);
            self.judged.insert(version.clone(), before.min(latest));
        }
    }

    fn judged_after(&self, version: &VersionId) -> usize {
        self.judged.get(version).copied().unwrap_or(0)
    }

    /// Takes in what happened at `at`. What was taken in before changes nothing.
    pub fn take(&mut self, at: Timestamp, news: &TrialNews) {
        match news {
            TrialNews::Event(event) => self.event(at, event),
            TrialNews::Scored(entry) => self.scored(entry),
            TrialNews::Closed(entry, outcome) => self.closed(entry, outcome),
            TrialNews::Skipped(entry) => {
                for experiment in self.experiments_of(entry) {
                    experiment.skip(&entry.trade_id);
                }
            }
        }
    }

    /// Closes every session that is due on the trading day `today`, of all experiments; see [`Experiment::close_next`]. A test
    /// that has ended stays as it was then.
    pub fn close_due(&mut self, today: TradingDay, wait_days: u32) {
        let Self { roster, tests, holdbacks, before, .. } = self;
        let is_under_test =
            |version: &VersionId| roster.standing(version).is_some_and(|standing| standing.state == State::AbTest);
        for (version, test) in tests.iter_mut().filter(|(version, _)| is_under_test(version)) {
            let closed = test.sessions().len();
            while test.close_next(today, wait_days).is_some() {}
            if test.sessions().len() > closed {
                before.insert(version.clone(), closed);
            }
        }
        for holdback in holdbacks.values_mut() {
            while holdback.close_next(today, wait_days).is_some() {}
        }
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
        let EventKind::Moved { evidence, reason, by, overridden, .. } = event else { return };
        let before = self.state(version);
        self.roster.apply(event);
        let after = self.state(version);
        if before == after {
            return;
        }
        self.labels.remove(version);
        match (before, after) {
            (Some(State::Staging), _) => drop(self.staging.remove(version)),
            (Some(State::AbTest), Some(state)) => {
                let (reason, by, evidence) = (reason.clone(), by.clone(), evidence.clone());
                let ending = Ending { at, state, reason, by, overridden: *overridden, evidence };
                self.endings.insert(version.clone(), ending);
            }
            _ => {}
        }
        match after {
            Some(State::Staging) => {
                let book = ShadowBook::new(self.room.trades);
                self.staging.insert(version.clone(), Shadowing { since: at, book });
            }
            Some(State::AbTest) => {
                let terms = Terms::of(evidence);
                let sessions = terms.as_ref().map_or(1, |terms| terms.planned_sessions);
                self.tests.insert(version.clone(), Experiment::within(at, Room::of_test(self.room.trades, sessions)));
                self.forget_test(version);
                self.terms.extend(terms.map(|terms| (version.clone(), terms)));
            }
            Some(State::Production) => {
                let room = Room::of_holdback(self.room.trades, self.room.holdback_sessions);
                self.holdbacks.insert(version.clone(), Experiment::within(at, room));
            }
            _ => {}
        }
    }

    /// What is known of an earlier test of a version that came back says nothing of the one that begins.
    fn forget_test(&mut self, version: &VersionId) {
        self.terms.remove(version);
        self.before.remove(version);
        self.judged.remove(version);
        self.endings.remove(version);
    }

    fn scored(&mut self, entry: &AnsweredSignal) {
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

    fn closed(&mut self, entry: &AnsweredSignal, outcome: &Outcome) {
        let own = outcome.pnl.and_then(|pnl| entry.at_own_size(pnl.get()));
        for experiment in self.experiments_of(entry) {
            experiment.closed(&entry.trade_id, outcome, own);
        }
        self.label(entry, outcome);
        let Some(pnl) = own else { return };
        for opinion in entry.opinions.iter().filter(|opinion| opinion.score.is_some()) {
            if let Some(shadowing) = self.staging.get_mut(&opinion.version) {
                let trade = ShadowTrade { pnl, ml_size: opinion.size };
                shadowing.book.add(outcome.exit_at, &entry.trade_id, trade);
            }
        }
    }

    /// Counts whether a closed trade tells each version that scored it its label. One that a model let go tells nothing.
    fn label(&mut self, entry: &AnsweredSignal, outcome: &Outcome) {
        if entry.size() <= 0.0 {
            return;
        }
        let facts = entry.facts(outcome);
        for opinion in entry.opinions.iter().filter(|opinion| opinion.score.is_some()) {
            if let Some(question) = self.asked.get(&opinion.version) {
                self.labels.entry(opinion.version.clone()).or_default().take(question.missing(&facts));
            }
        }
    }

    fn experiments_of(&mut self, entry: &AnsweredSignal) -> impl Iterator<Item = &mut Experiment> {
        let concerns = |version: &VersionId, trade_id: &TradeId, experiment: &Experiment| {
            entry.opinion(version).is_some() && experiment.has(trade_id)
        };
        let all = self.tests.iter_mut().chain(&mut self.holdbacks);
        let mine = all.filter(move |(version, experiment)| concerns(version, &entry.trade_id, experiment));
        mine.map(|(_, experiment)| experiment)
    }
}

/// How a signal takes part in the experiment of the version that split it.
fn assignment(entry: &AnsweredSignal, opinion: &Opinion) -> Option<Assignment> {
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
