//! The A/B router: has the trials of all versions take in the news and says which step follows from their evidence.
//!
//! Which arm a trade belongs to needs no actor: it follows from the salt and the trade's id, in the scorer
//! ([`Splits`](crate::policy::routing::Splits)). What became of the trades comes here as news. The router changes nothing
//! itself: a step goes to the guardian, who checks it and performs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use actix::{Addr, AsyncContext, Context, Handler, Message, MessageResult};
use arc_swap::ArcSwap;
use serde::Serialize;

use super::{
    guardian::{Advance, Guardian},
    journal::JournalHandle,
    supervision::{Failures, Part, Place, Shell, spawn},
    trade_news::{Making, TradeNews},
};
use crate::{
    clock::Clock,
    config::Config,
    domain::{Event, EventKind, Timestamp, VersionId, event::Level, lifecycle::State},
    journal::Write,
    policy::serving::Serving,
    protocol::message::WireError,
    recall::{checkpoint, fold::Folded},
    trials::{
        experiment::{Criteria, ExperimentOptions, Terms},
        promotion::{EvidenceStep, after_test, to_staging, to_test},
        running::{Keep, Trials},
        trial_view::Case,
    },
};

/// The state of the router.
pub struct AbRouter {
    /// Trials as the journal has them up to a number, until it takes its place.
    made: Option<(Trials, u64, Making)>,
    /// What tests are judged by, with the options it was made of; `None` where these contradict each other, which was told.
    criteria: BTreeMap<VersionId, (ExperimentOptions, Option<Arc<Criteria>>)>,
    /// Criteria that are being made.
    making: BTreeSet<VersionId>,
    /// Steps that follow from the evidence and have not been taken.
    due: BTreeMap<VersionId, EvidenceStep>,
    /// Those the guardian is at.
    asked: BTreeSet<VersionId>,
    /// Those a person was told of.
    told: BTreeSet<(VersionId, State)>,
    shared: RouterShared,
}

/// What the router works with.
#[derive(Clone)]
pub struct RouterShared {
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// What is served, and so what each version is asked.
    pub serving: Arc<ArcSwap<Serving>>,
    /// Where the news is.
    pub trade_news: TradeNews,
    /// Where alerts go.
    pub journal: JournalHandle,
    /// The daemon's clock.
    pub clock: Arc<dyn Clock>,
    /// Who takes steps.
    pub guardian: Addr<Shell<Guardian>>,
    /// Where panics are counted.
    pub failures: Failures,
}

/// There is news, or time has passed.
#[derive(Debug)]
pub struct Look;

/// Asks how versions on trial stand: one, or all that are on trial now.
#[derive(Debug)]
pub struct Assess {
    /// Which, if one.
    pub version: Option<VersionId>,
}

/// Asks the router how it is.
#[derive(Debug)]
pub struct ObserveRouter;

/// How the router is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RouterStatus {
    /// Versions in staging.
    pub staging: usize,
    /// Versions under test.
    pub tests: usize,
    /// Nothing waits: all news is taken in, and every step that follows from it has been taken or refused.
    pub settled: bool,
}

/// Whether there is something to judge a test by.
enum Ready {
    Made(Arc<Criteria>),
    Making,
    /// Not before the options change.
    Never,
}

/// Criteria are made.
struct Made {
    at: Timestamp,
    version: VersionId,
    options: ExperimentOptions,
    /// `None` when it panicked over them: they are made again at the next look.
    criteria: Option<Result<Criteria, String>>,
}

/// The guardian has answered.
struct Answered {
    version: VersionId,
    result: Result<(), WireError>,
}

impl Message for Look {
    type Result = ();
}
impl Message for Assess {
    type Result = Option<Vec<Case>>;
}
impl Message for ObserveRouter {
    type Result = Option<RouterStatus>;
}
impl Message for Made {
    type Result = ();
}
impl Message for Answered {
    type Result = ();
}

impl Part for AbRouter {
    const NAME: &'static str = "ab_router";
    const MAKE: Place = Place::RouterMake;
    const INSTALL: Place = Place::RouterInstall;

    fn installed(&mut self) {
        if let Some((trials, seq, making)) = self.made.take() {
            self.shared.trade_news.install(trials, seq, &making);
        }
    }
}

impl AbRouter {
    /// A router of the trials that the journal makes.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn from_journal(shared: RouterShared) -> Result<Self, String> {
        let config = shared.config.load_full();
        shared.journal.works().await;
        // before the journal is read: what is news from now on is in neither, or in both, which changes nothing
        let making = shared.trade_news.making();
        let reader = shared.journal.read().await.map_err(|error| error.to_string())?;
        let folded = shared.failures.blocking(Place::RouterFold, move || checkpoint::state(&reader, &config));
        let Folded { state, seq, .. } = folded.await??;
        let mut trials = state.trials;
        trials.judge_again();
        Ok(Self { made: Some((trials, seq, making)), ..Self::new(shared) })
    }

    /// A router of the trials that the trade news has.
    pub fn new(shared: RouterShared) -> Self {
        Self {
            made: None,
            criteria: BTreeMap::new(),
            making: BTreeSet::new(),
            due: BTreeMap::new(),
            asked: BTreeSet::new(),
            told: BTreeSet::new(),
            shared,
        }
    }

    fn look(&mut self, address: &Addr<Shell<Self>>) {
        let (trade_news, now) = (self.shared.trade_news.clone(), self.shared.clock.now());
        {
            let mut trials = trade_news.trials();
            trials.make_room(Keep::of(&self.shared.config.load().experiment));
            let serving = self.shared.serving.load();
            serving.all().for_each(|served| trials.ask(served.version(), *served.question()));
        }
        trade_news.take_news(now);
        self.judge(&mut trade_news.trials(), now, address);
        self.step(&trade_news.trials(), now, address);
    }

    /// Judges the tests of which sessions have closed, session by session, until a step follows that needs nobody.
    fn judge(&mut self, trials: &mut Trials, now: Timestamp, address: &Addr<Shell<Self>>) {
        let automatic = self.shared.config.load().lifecycle.automatic;
        for version in trials.unjudged() {
            if self.asked.contains(&version) {
                continue; // what follows is under way
            }
            let criteria = match self.criteria_of(&version, trials.terms(&version), now, address) {
                Ready::Made(criteria) => criteria,
                Ready::Making => continue,
                Ready::Never => {
                    trials.pass_over(&version);
                    continue;
                }
            };
            while let Some((standing, ruling)) = trials.judge_next(&version, &criteria, now) {
                tracing::info!(%version, verdict = ruling.verdict.name(), "{}", ruling.verdict.why());
                let Some(step) = after_test(&version, &standing, &ruling) else {
                    self.due.remove(&version);
                    continue;
                };
                let needs_nobody = step.needs_nobody(automatic);
                self.due.insert(version.clone(), step);
                if needs_nobody {
                    break; // if it is refused, the next session is looked at
                }
            }
        }
    }

    /// What a test is judged by. When it is not ready it is made, away from this thread.
    fn criteria_of(
        &mut self,
        version: &VersionId,
        terms: Option<Terms>,
        now: Timestamp,
        address: &Addr<Shell<Self>>,
    ) -> Ready {
        let options = self.shared.config.load().experiment.clone();
        let options = match terms {
            Some(terms) => options.under(terms),
            None => options,
        };
        if let Some((made_of, criteria)) = self.criteria.get(version)
            && *made_of == options
        {
            return criteria.as_ref().map_or(Ready::Never, |criteria| Ready::Made(Arc::clone(criteria)));
        }
        if self.making.insert(version.clone()) {
            let (version, to, failures) = (version.clone(), address.clone(), self.shared.failures.clone());
            spawn(address, &self.shared.failures, Place::RouterCriteria, async move {
                let of = options.clone();
                let made = failures.blocking(Place::RouterCriteriaWork, move || Criteria::new(of)).await;
                let criteria = made.ok().map(|made| made.map_err(|error| error.to_string()));
                let _gone_with_the_daemon = to.send(Made { at: now, version, options, criteria }).await;
            });
        }
        Ready::Making
    }

    /// Has the guardian take the steps that are due, or tells a person of them.
    fn step(&mut self, trials: &Trials, now: Timestamp, address: &Addr<Shell<Self>>) {
        let config = self.shared.config.load_full();
        let automatic = config.lifecycle.automatic;
        let stands = |step: &EvidenceStep| {
            trials.roster().standing(&step.version).is_some_and(|standing| standing.state == step.step.edge().0)
        };
        self.due.retain(|_, step| stands(step));
        let mut steps: Vec<EvidenceStep> = self.due.values().cloned().collect();
        steps.extend(to_test(trials, &config.staging, now));
        if automatic.stage {
            steps.extend(to_staging(trials));
        }
        for step in steps {
            if step.needs_nobody(automatic) {
                // one that is held back is due again at each look
                if step.held_back(trials.roster()).is_none() {
                    self.ask(step, address);
                }
            } else if self.told.insert((step.version.clone(), step.step.edge().1)) {
                self.alert(now, Level::Info, "step_due", step.notice());
            }
        }
    }

    fn ask(&mut self, step: EvidenceStep, address: &Addr<Shell<Self>>) {
        if !self.asked.insert(step.version.clone()) {
            return;
        }
        let (guardian, to, version) = (self.shared.guardian.clone(), address.clone(), step.version.clone());
        spawn(address, &self.shared.failures, Place::RouterAsk, async move {
            let answer = guardian.send(Advance(step)).await;
            let answer = answer.unwrap_or_else(|error| Err(WireError::new("internal_error", error.to_string())));
            let result = answer.map(drop);
            let _gone_with_the_daemon = to.send(Answered { version, result }).await;
        });
    }

    fn alert(&self, at: Timestamp, level: Level, code: &str, message: String) {
        tracing::warn!(code, "{message}");
        let kind = EventKind::Alert { level, code: code.into(), message };
        let _it_is_logged = self.shared.journal.write_behind(Write::Event(Event { at, kind }));
    }

    fn made(&mut self, made: Made) {
        self.making.remove(&made.version);
        let Made { at, version, options, criteria } = made;
        let Some(criteria) = criteria else { return };
        let criteria = match criteria {
            Ok(criteria) => Some(Arc::new(criteria)),
            Err(error) => {
                let message = format!(
                    "the test of {version} cannot be judged: {error}; correct the key and reload, or end it by \
                     `vigie rollback {version}`"
                );
                self.alert(at, Level::Critical, "test_unjudgeable", message);
                None
            }
        };
        self.criteria.insert(version, (options, criteria));
    }

    fn answered(&mut self, answered: &Answered) {
        self.asked.remove(&answered.version);
        if let Err(error) = &answered.result {
            tracing::debug!(version = %answered.version, %error, "a step was not taken; it is tried again");
        }
    }

    fn cases(&self, wanted: Option<&VersionId>) -> Vec<Case> {
        let config = self.shared.config.load();
        let now = self.shared.clock.now();
        let on_trial = |state| matches!(state, State::Staging | State::AbTest | State::Production);
        let trials = self.shared.trade_news.trials();
        let versions = trials.roster().versions().filter(|(version, standing)| match wanted {
            Some(wanted) => wanted == *version,
            None => on_trial(standing.state),
        });
        let case = |(version, _): (&VersionId, _)| {
            let ready = self.criteria.get(version).and_then(|(_, criteria)| criteria.as_ref());
            Case::of(&trials, version, &config.experiment, &config.staging, now, ready)
        };
        versions.filter_map(case).collect()
    }

    fn status(&self) -> RouterStatus {
        let trials = self.shared.trade_news.trials();
        let settled = self.shared.trade_news.waiting() == 0
            && self.asked.is_empty()
            && self.making.is_empty()
            && trials.unjudged().is_empty();
        RouterStatus { staging: trials.staging().count(), tests: trials.under_test().count(), settled }
    }
}

impl Handler<Look> for Shell<AbRouter> {
    type Result = ();

    fn handle(&mut self, _: Look, context: &mut Context<Self>) {
        let address = context.address();
        let lost = self.handle_with(context, Place::RouterLook, |router| {
            if router.shared.trade_news.has_lost() {
                return true;
            }
            router.look(&address);
            false
        });
        if lost == Some(true) {
            self.renew(context);
        }
    }
}

impl Handler<Made> for Shell<AbRouter> {
    type Result = ();

    fn handle(&mut self, made: Made, context: &mut Context<Self>) {
        let address = context.address();
        self.handle_with(context, Place::RouterMade, |router| {
            let is_one_more = made.criteria.is_some();
            router.made(made);
            if is_one_more {
                router.look(&address);
            }
        });
    }
}

impl Handler<Answered> for Shell<AbRouter> {
    type Result = ();

    fn handle(&mut self, answered: Answered, context: &mut Context<Self>) {
        let address = context.address();
        self.handle_with(context, Place::RouterAnswered, |router| {
            router.answered(&answered);
            // what was refused is tried at the next tick; what was done may be followed by another step
            if answered.result.is_ok() {
                router.look(&address);
            }
        });
    }
}

impl Handler<Assess> for Shell<AbRouter> {
    type Result = MessageResult<Assess>;

    fn handle(&mut self, assess: Assess, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        MessageResult(self.handle_with(context, Place::RouterAssess, |router| {
            router.look(&address);
            router.cases(assess.version.as_ref())
        }))
    }
}

impl Handler<ObserveRouter> for Shell<AbRouter> {
    type Result = MessageResult<ObserveRouter>;

    fn handle(&mut self, _: ObserveRouter, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        MessageResult(self.handle_with(context, Place::RouterObserve, |router| {
            router.look(&address);
            router.status()
        }))
    }
}
