//! The fold itself: a happening comes in, the state of the past goes on, and what follows is done at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Fate, Line, Replay, Seen, Thresholds,
    counterfactual::{Became, Counterfactual, answer_again, became, let_go},
    is_found_again, text,
    watcher::Watcher,
};
use crate::{
    domain::{
        Event, EventKind, Outcome, Timestamp, TradeId, VersionId,
        event::{By, Level},
        lifecycle::{State, Transition},
    },
    guard::watch::Judgement,
    lifecycle::{
        consequences::is_of_here,
        happening::Happening,
        open_trades::{AnsweredSignal, OpenTrades},
        roster::Roster,
    },
    state::step::{Response, State as PastState},
    trials::{
        experiment::{Criteria, ExperimentOptions},
        promotion::{EvidenceStep, after_test, events, to_staging, to_test},
        running::Keep,
    },
};

/// The state of a replay.
pub(super) struct Fold<'a> {
    thresholds: &'a Thresholds,
    state: PastState,
    /// Where the versions stood in fact.
    then: Roster,
    criteria: Vec<(ExperimentOptions, Arc<Criteria>)>,
    /// Steps that follow from the evidence of a test and have not been taken.
    due: BTreeMap<VersionId, EvidenceStep>,
    told: BTreeSet<(VersionId, State)>,
    /// The trades that something happened to.
    trades: BTreeMap<TradeId, Trade>,
    /// Signals that a model has its word in.
    heard: usize,
    lines: Vec<Line>,
    last: Option<Timestamp>,
    watcher: Option<Watcher<'a>>,
}

/// A trade. What is kept of most is what they earned.
#[derive(Default)]
struct Trade {
    fate: Option<Fate>,
    signal: Signal,
}

/// What is known of the signal of a trade.
#[derive(Default)]
enum Signal {
    /// Nothing.
    #[default]
    Untold,
    /// As it was recorded, and as it would have been answered.
    Open(Box<(AnsweredSignal, Counterfactual)>),
    /// No outcome is to come: what it earns if it is said to be let go, and if nothing more is said of it.
    LetGo { skipped: Fate, untold: Option<Fate> },
    /// Its trade is closed.
    Closed,
}

impl Signal {
    /// What it earns once it is said to be let go.
    fn skipped(recorded: &AnsweredSignal, counterfactual: &Counterfactual) -> Fate {
        if counterfactual.known { let_go(recorded, &counterfactual.entry) } else { Fate::Unknown }
    }

    /// What it earns when nothing more is said of it: of what was let go by the answer itself nothing more is expected.
    fn untold(recorded: &AnsweredSignal, counterfactual: &Counterfactual) -> Option<Fate> {
        (recorded.decision.size == 0.0).then(|| let_go(recorded, &counterfactual.entry))
    }
}

impl<'a> Fold<'a> {
    pub(super) fn new(thresholds: &'a Thresholds) -> Self {
        let mut state = PastState::new(OpenTrades::new(thresholds.keep), Keep::of(&thresholds.experiment), None);
        for (version, subject) in thresholds.watching.iter().flat_map(|watching| &watching.subjects) {
            state.risk.emergency.ask(version, subject.question, subject.standard);
            state.trials.ask(version, subject.question);
        }
        Self {
            thresholds,
            state,
            then: Roster::default(),
            criteria: Vec::new(),
            due: BTreeMap::new(),
            told: BTreeSet::new(),
            trades: BTreeMap::new(),
            heard: 0,
            lines: Vec::new(),
            last: None,
            watcher: thresholds.watching.as_ref().map(Watcher::new),
        }
    }

    /// Takes in what happened next. Sessions that are due close first, as when the daemon takes in news.
    pub(super) fn take(&mut self, happening: &Happening, seen: Seen) -> Result<(), String> {
        let at = happening.at();
        self.close(at);
        if let Some(watcher) = &mut self.watcher {
            let judged = watcher.time(at, self.state.trials.roster(), &self.thresholds.calendar);
            self.judged(at, judged);
        }
        match happening {
            Happening::Event(event) => self.event(event),
            Happening::Scored { entry, .. } => self.scored(at, entry, seen),
            Happening::Closed { trade_id, echo, outcome, .. } => {
                if let Some(echo) = echo.as_ref().filter(|echo| is_of_here(self.state.trials.roster(), &echo.decision))
                {
                    self.scored(at, echo, Seen::default());
                }
                self.closed(at, trade_id, echo.as_deref(), outcome);
            }
            Happening::Skipped { trade_id, .. } => self.skipped(at, trade_id),
            // signals are told with their answers, and outcomes as they are in the end
            Happening::Came { .. } | Happening::Completed { .. } => {}
        }
        self.judge(at)?;
        self.step(at, matches!(happening, Happening::Scored { .. }));
        self.last = Some(at);
        Ok(())
    }

    pub(super) fn finish(self) -> Replay {
        let fate = |(trade_id, trade): (TradeId, Trade)| {
            let untold = match trade.signal {
                Signal::Open(open) => Signal::untold(&open.0, &open.1),
                Signal::LetGo { untold, .. } => untold,
                Signal::Untold | Signal::Closed => None,
            };
            Some((trade_id, trade.fate.or(untold)?))
        };
        let roster = self.state.trials.roster();
        Replay {
            heard: self.heard,
            standing: roster.versions().map(|(version, standing)| (version.clone(), standing.state)).collect(),
            locked: roster.lock(),
            lines: self.lines,
            fates: self.trades.into_iter().filter_map(fate).collect(),
        }
    }

    fn close(&mut self, at: Timestamp) {
        let (today, wait) = (self.thresholds.calendar.day_of(at), self.thresholds.experiment.outcome_wait_days);
        self.state.trials.close_due(today, wait);
    }

    fn put(&mut self, at: Timestamp, happening: Happening) {
        for kind in self.state.step(&self.thresholds.rules(), happening).events {
            self.happens(at, kind);
        }
    }

    /// An event takes effect, and is told of.
    fn happens(&mut self, at: Timestamp, kind: EventKind) {
        self.lines.extend(text(&kind).map(|text| Line { at, text }));
        self.put(at, Happening::Event(Event { at, kind }));
    }

    fn event(&mut self, event: &Event) {
        let Event { at, kind } = event;
        self.then.apply(kind);
        if is_found_again(kind, self.watcher.is_some()) {
            return;
        }
        let roster = self.state.trials.roster();
        let refused = match kind {
            EventKind::Moved { version, step, reason, by, overridden, evidence } => {
                let withdrawn = matches!(step.edge().1, State::RolledBack | State::Archived);
                let steps = if withdrawn {
                    roster.roll_back(version).map(|step| vec![(version.clone(), step)])
                } else {
                    roster.advance(version, *step)
                };
                match steps {
                    Err(refusal) => Some(refusal.to_string()),
                    Ok(steps) => {
                        let step = EvidenceStep {
                            version: version.clone(),
                            step: *step,
                            reason: reason.clone(),
                            evidence: evidence.clone(),
                            locks: false,
                        };
                        self.perform(*at, &step, steps, by, *overridden);
                        return;
                    }
                }
            }
            EventKind::Resumed { same_day, .. } => {
                let today = self.thresholds.calendar.day_of(*at);
                // what was marked was ordered on a paper account
                roster.silence().may_resume(today, *same_day, *same_day).err()
            }
            EventKind::Shared { version, .. } => {
                let speaks = roster.standing(version).is_some_and(|standing| standing.state.may_influence());
                (!speaks).then(|| format!("{version} does not speak"))
            }
            _ => None,
        };
        match refused {
            None => self.happens(*at, kind.clone()),
            Some(why) => {
                let told = text(kind).map(|text| format!("{text} (not done: {why})"));
                self.lines.extend(told.map(|text| Line { at: *at, text }));
            }
        }
    }

    fn scored(&mut self, at: Timestamp, entry: &AnsweredSignal, seen: Seen) {
        let trade = self.trades.entry(entry.trade_id.clone()).or_default();
        if !matches!(trade.signal, Signal::Untold) {
            return;
        }
        let counterfactual = answer_again(entry, self.state.trials.roster(), &self.then, self.thresholds);
        let answered = counterfactual.entry.clone();
        self.heard += usize::from(answered.speaker().is_some());
        trade.signal = if seen.closes {
            Signal::Open(Box::new((entry.clone(), counterfactual)))
        } else {
            let (skipped, untold) = (Signal::skipped(entry, &counterfactual), Signal::untold(entry, &counterfactual));
            Signal::LetGo { skipped, untold }
        };
        self.put(at, Happening::Scored { at, entry: Box::new(answered.clone()) });
        if let Some(watcher) = &mut self.watcher {
            let judged = watcher.scored(at, &answered, seen, self.state.trials.roster(), &self.thresholds.calendar);
            self.judged(at, judged);
        }
    }

    /// What follows when a trading day has closed.
    fn judged(&mut self, at: Timestamp, judgements: Vec<Judgement>) {
        for judgement in judgements {
            let (rules, roster) = (self.thresholds.rules(), self.state.trials.roster());
            let response = self.state.risk.judged(&rules, roster, judgement);
            let Some(Response { version, alerts, lock, train, judged, out, share }) = response else { continue };
            let asked =
                train.map(|reason| Line { at, text: format!("a successor of {version} is asked for: {reason}") });
            alerts.into_iter().chain(lock).for_each(|kind| self.happens(at, kind));
            self.lines.extend(asked);
            let share = share.into_iter().flat_map(|(told, shared)| [told, shared]);
            [judged].into_iter().chain(out).chain(share).for_each(|kind| self.happens(at, kind));
        }
    }

    fn closed(&mut self, at: Timestamp, trade_id: &TradeId, echo: Option<&AnsweredSignal>, outcome: &Outcome) {
        // the signal of a closed trade is not looked at again
        let signal = self.trades.get_mut(trade_id).map(|trade| std::mem::replace(&mut trade.signal, Signal::Closed));
        let mut signal = match signal {
            Some(Signal::Open(open)) => Some(*open),
            _ => None,
        };
        let mut as_told = true;
        if let Some((recorded, retold)) = &mut signal {
            as_told = recorded.decision.size == retold.entry.decision.size;
            if let Some(echo) = echo {
                recorded.trade_on(&echo.decision);
            }
        }
        let (became, fate) = match &signal {
            None => (Became::Closed(outcome.clone()), outcome.pnl.map_or(Fate::Unknown, |pnl| Fate::Earned(pnl.get()))),
            Some((recorded, counterfactual)) => {
                let (became, fate) = became(recorded, &counterfactual.entry, outcome);
                (became, if counterfactual.known { fate } else { Fate::Unknown })
            }
        };
        self.trades.entry(trade_id.clone()).or_default().fate.get_or_insert(fate);
        // the same trade whatever was made of it: it is judged at the strategy's own size
        if let (Some(watcher), Some((recorded, _))) = (&mut self.watcher, &signal) {
            let roster = self.state.trials.roster();
            let judged = watcher.closed(at, recorded, outcome, roster, &self.thresholds.calendar);
            self.judged(at, judged);
        }
        if let Some((_, counterfactual)) = signal
            && self.state.risk.open_trades.heard(trade_id).is_none()
        {
            self.state.risk.open_trades.recall(at, counterfactual.entry);
        }
        let trade_id = trade_id.clone();
        match became {
            Became::Closed(outcome) => {
                let echo = echo.filter(|_| as_told).cloned().map(Box::new);
                self.put(at, Happening::Closed { at, trade_id, echo, outcome: Box::new(outcome) });
            }
            Became::LetGo => self.put(at, Happening::Skipped { at, trade_id }),
        }
    }

    fn skipped(&mut self, at: Timestamp, trade_id: &TradeId) {
        if let Some(trade) = self.trades.get_mut(trade_id) {
            let fate = match &trade.signal {
                Signal::Open(open) => Some(Signal::skipped(&open.0, &open.1)),
                Signal::LetGo { skipped, .. } => Some(*skipped),
                Signal::Untold | Signal::Closed => None,
            };
            trade.fate = trade.fate.or(fate);
        }
        self.put(at, Happening::Skipped { at, trade_id: trade_id.clone() });
    }

    /// Judges the tests of which sessions have closed, session by session.
    fn judge(&mut self, at: Timestamp) -> Result<(), String> {
        for version in self.state.trials.unjudged() {
            let options = self.thresholds.experiment.clone();
            let options = match self.state.trials.terms(&version) {
                Some(terms) => options.under(terms),
                None => options,
            };
            let criteria = self.criteria(options)?;
            while let Some((standing, ruling)) = self.state.trials.judge_next(&version, &criteria, at) {
                match after_test(&version, &standing, &ruling) {
                    Some(step) => drop(self.due.insert(version.clone(), step)),
                    None => drop(self.due.remove(&version)),
                }
                // what is carried out ends the test, and what a lock holds back is judged by the next session
                self.step(at, true);
            }
        }
        Ok(())
    }

    fn criteria(&mut self, options: ExperimentOptions) -> Result<Arc<Criteria>, String> {
        if let Some((_, criteria)) = self.criteria.iter().find(|(made_of, _)| *made_of == options) {
            return Ok(Arc::clone(criteria));
        }
        let criteria = Arc::new(Criteria::new(options.clone()).map_err(|error| error.to_string())?);
        self.criteria.push((options, Arc::clone(&criteria)));
        Ok(criteria)
    }

    /// Takes the steps that are due. When nothing but a signal has come, a gate can have opened only by the hours.
    fn step(&mut self, at: Timestamp, signal_only: bool) {
        let Thresholds { staging, automatic, .. } = self.thresholds;
        let trials = &self.state.trials;
        let stands = |step: &EvidenceStep| {
            trials.roster().standing(&step.version).is_some_and(|standing| standing.state == step.step.edge().0)
        };
        self.due.retain(|_, step| stands(step));
        let mut steps: Vec<EvidenceStep> = self.due.values().cloned().collect();
        if !signal_only || self.hours_are_over(at) {
            steps.extend(to_test(trials, staging, at));
        }
        if automatic.stage {
            steps.extend(to_staging(trials));
        }
        for step in steps {
            if step.needs_nobody(*automatic) {
                self.advance(at, &step);
            } else if self.told.insert((step.version.clone(), step.step.edge().1)) {
                let message = step.notice();
                self.happens(at, EventKind::Alert { level: Level::Info, code: "step_due".into(), message });
            }
        }
    }

    /// Whether the hours in staging of any version came to their end since what happened before.
    fn hours_are_over(&self, at: Timestamp) -> bool {
        let min_hours = self.thresholds.staging.min_hours;
        let hours = |since: Timestamp, at: Timestamp| at.duration_since(since).as_secs_f64() / 3600.0;
        self.state.trials.staging().any(|(_, shadowing)| {
            let since = shadowing.since();
            hours(since, at) >= min_hours && self.last.is_none_or(|last| hours(since, last) < min_hours)
        })
    }

    /// A step on evidence, as the guardian takes it.
    fn advance(&mut self, at: Timestamp, step: &EvidenceStep) {
        let roster = self.state.trials.roster();
        if step.held_back(roster).is_some() {
            return;
        }
        if let Ok(steps) = roster.advance(&step.version, step.step) {
            self.perform(at, step, steps, &By::Daemon("ab_router".into()), false);
        }
    }

    fn perform(
        &mut self,
        at: Timestamp,
        step: &EvidenceStep,
        steps: Vec<(VersionId, Transition)>,
        by: &By,
        overridden: bool,
    ) {
        let terms = self.thresholds.experiment.terms();
        for kind in events(step, steps, &terms, by, overridden) {
            self.happens(at, kind);
        }
    }
}
