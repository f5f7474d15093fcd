//! The guardian: the only one that changes what is served.
//!
//! It keeps the roster of versions and publishes [`Serving`]. What takes a model's word away is done first and recorded
//! afterwards; what gives it one is recorded first. An outcome passes through here before it goes to the journal.
//!
//! Here is its state and what it publishes; `messages` says what it can be told, `record` takes outcomes, `orders`
//! carries out what people order, `load` reads the journal for it.

mod contest;
mod damaged;
mod judged;
mod load;
mod messages;
mod orders;
mod record;
mod register;
mod save;
mod unread;
mod verify;

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use actix::{Context, Handler, MessageResult, Recipient, ResponseFuture};
use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use self::load::{Loaded, load, lock, told};
pub use self::{
    contest::{Contradiction, under_another_signal},
    load::lock_at_start,
    messages::{
        Advance, Answer, Contest, Done, EndLock, GuardianStatus, LockNow, ObserveGuardian, Order, PastClosed,
        RecordOutcome, RecordSkip, Verified, Verify, VersionStatus, stored_instead,
    },
    save::Attempts,
    unread::Unread,
};
use super::{
    journal::JournalHandle,
    supervision::{Failures, Part, Place, Shell, Unanswered},
    trade_news::{Making, TradeNews},
    trainer::Ask,
};
use crate::{
    clock::Clock,
    config::Config,
    domain::{Event, EventKind, Symbol, Timestamp, TradeId, VersionId, event::Level},
    features::row::Schema,
    guard::{emergency::day_loss, repeats::Repeats},
    journal::Write,
    lifecycle::{
        consequences::consequences,
        happening::Happening,
        roster::{Plan, Roster},
    },
    policy::{
        routing::Splits,
        serving::{Scope, Served, Serving},
    },
    protocol::message::WireError,
    recall::fold::Folded,
    state::step::{Effects, Risk, Rules, State},
};

/// Pause before an event that takes a model's word away is written again.
const SAVE_RETRY: Duration = Duration::from_millis(250);

/// The state of the guardian.
pub struct Guardian {
    /// Where all versions stand, as it is in force: what is on disk, and behind it what is not there yet.
    roster: Roster,
    /// What the rules know by the journal up to a number, until it takes its place.
    made: Option<(Risk, u64, Making)>,
    loaded: BTreeMap<VersionId, Arc<Served>>,
    shared: GuardianShared,
}

/// What the guardian reads and writes.
#[derive(Clone)]
pub struct GuardianShared {
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// What may be served; the guardian alone stores into it.
    pub serving: Arc<ArcSwap<Serving>>,
    /// Where events go.
    pub journal: JournalHandle,
    /// The trades under way, and where news of them and of versions goes.
    pub trade_news: TradeNews,
    /// Who is asked for a new version, once the daemon is whole.
    pub trainer: Rc<OnceCell<Recipient<Ask>>>,
    /// A file whose presence keeps every model silent.
    pub kill_file: Option<PathBuf>,
    /// The daemon's clock.
    pub clock: Arc<dyn Clock>,
    /// Where panics are counted.
    pub failures: Failures,
    /// What took a model's word away and is not on disk yet. It outlives the guardian, so that one rebuilt from the
    /// journal does not give the word back.
    pub unsaved: Rc<RefCell<Vec<Event>>>,
    /// How the writes of these fare.
    pub attempts: Rc<Attempts>,
    /// What was told of a trade before.
    pub repeats: Rc<RefCell<Repeats>>,
    /// The events of an order that gives a model influence and is not in force yet: a kill takes back what they would give.
    pub under_way: Rc<RefCell<Vec<Event>>>,
    /// Held by an order that gives a model influence, until it is in force. What takes the word away meanwhile is recorded
    /// behind it, so that the log has the last word last.
    pub turn: Arc<Mutex<()>>,
}

impl GuardianShared {
    fn schema(&self) -> Result<Schema, String> {
        Schema::of(&self.config.load().features).map_err(|error| error.to_string())
    }
}

impl Part for Guardian {
    const NAME: &'static str = "guardian";
    const MAKE: Place = Place::GuardianMake;
    const INSTALL: Place = Place::GuardianInstall;

    fn installed(&mut self) {
        self.publish();
        if let Some((risk, seq, making)) = self.made.take() {
            let kinds = self.shared.trade_news.install_risk(risk, seq, &making, &self.roster);
            tell(&kinds);
            self.silence_and_forget(kinds);
        }
    }
}

impl Guardian {
    /// The guardian that the journal's events make: folds them and loads what they put in service. It is published when the guardian takes its place.
    ///
    /// # Errors
    /// When the journal cannot be read. A version that cannot score is left out with an alert; if it should speak, serving is
    /// locked.
    pub async fn from_journal(shared: GuardianShared) -> Result<Self, String> {
        shared.journal.works().await;
        Self::made_of(shared, None).await
    }

    /// The same at a start, when what happened was just read and nothing was written since.
    ///
    /// # Errors
    /// As there.
    pub async fn at_start(shared: GuardianShared, known: Folded) -> Result<Self, String> {
        Self::made_of(shared, Some(known)).await
    }

    async fn made_of(shared: GuardianShared, known: Option<Folded>) -> Result<Self, String> {
        let config = shared.config.load_full();
        let making = shared.trade_news.making();
        // taken before the journal is read: what is saved meanwhile is in neither, or in both, which does no harm
        let unsaved = shared.unsaved.borrow().clone();
        let schema = shared.schema()?;
        let reader = shared.journal.read().await.map_err(|error| error.to_string())?;
        let now = shared.clock.now();
        let own = Arc::clone(&config);
        let loaded = shared.failures.blocking(Place::GuardianLoad, move || load(&reader, &schema, &own, known, now));
        let loaded = loaded.await?;
        let Loaded { mut state, seq, loaded, unusable, damaged } = loaded?;
        let rules = config.rules();
        let happen = |state: &mut State, event: &Event| drop(state.step(&rules, Happening::Event(event.clone())));
        unsaved.iter().for_each(|event| happen(&mut state, event));
        // limits that are stricter than they were may find an emergency in what is past
        let mut missed = state.missed(config.calendar.day_of(now));
        missed.extend(damaged.trips);
        let kinds = consequences(state.trials.roster(), missed).into_iter().chain(damaged.alerts);
        let mut missed: Vec<Event> = kinds.map(|kind| Event { at: now, kind }).collect();
        // one that restarts before they are on disk finds them again
        missed.retain(|event| !unsaved.iter().any(|before| before.kind == event.kind));
        missed.iter().for_each(|event| happen(&mut state, event));
        let mut roster = state.trials.roster().clone();
        if let Some(kind) = lock(&roster, &unusable) {
            roster.apply(&kind);
            missed.push(Event { at: now, kind });
        }
        shared.unsaved.borrow_mut().extend(missed.iter().cloned());
        shared.write_again(missed);
        loaded.values().filter_map(|served| served.keeps(&config.policy)).for_each(|kept| tracing::warn!("{kept}"));
        for (version, why) in unusable {
            let (code, message) = told(&version, &why);
            alert(&shared, Level::Critical, code, message);
        }
        Ok(Self { roster, made: Some((state.risk, seq, making)), loaded, shared })
    }

    /// Makes what is in force the one thing that is served. What is not on disk yet is in force all the same, over anything that
    /// came from there.
    fn publish(&mut self) {
        self.roster = self.shared.in_force();
        let epoch = self.shared.serving.load().epoch + 1;
        let serving = Serving::new(epoch, self.roster.lock(), self.scopes(), self.splits());
        self.shared.serving.store(Arc::new(serving));
    }

    fn scopes(&self) -> BTreeMap<Symbol, Scope> {
        let load = |version: &VersionId| self.loaded.get(version).cloned();
        let scope = |symbol: &Symbol, plan: Plan| Scope {
            production: plan.production.as_ref().and_then(load),
            test: plan.test.as_ref().and_then(load),
            shadows: plan.shadows.iter().filter_map(load).collect(),
            silenced: self.roster.silenced(symbol).is_some(),
        };
        self.roster.plan().into_iter().map(|(symbol, plan)| (symbol.clone(), scope(&symbol, plan))).collect()
    }

    /// How trades are given out, whether or not anybody may speak.
    fn splits(&self) -> BTreeMap<Symbol, Splits> {
        let share = |version: &VersionId| (version.clone(), self.roster.share(version));
        let split = |plan: &Plan| Splits::new(plan.test.as_ref().map(share), plan.production.as_ref().map(share));
        self.roster.plan().iter().map(|(symbol, plan)| (symbol.clone(), split(plan))).collect()
    }

    /// Has `events`, which are in force now, followed by the rules, and publishes.
    fn follow(&mut self, events: &[Event]) {
        self.publish();
        let (config, mut risk) = (self.shared.config.load(), self.shared.trade_news.risk());
        events.iter().for_each(|event| risk.follow(&config.rules(), &self.roster, &event.kind));
    }

    /// Puts what takes a model's word away into force at `at`; it is not on disk yet.
    fn enforce(&mut self, at: Timestamp, kinds: Vec<EventKind>) -> Vec<Event> {
        let events: Vec<Event> = kinds.into_iter().map(|kind| Event { at, kind }).collect();
        if !events.is_empty() {
            self.shared.unsaved.borrow_mut().extend(events.iter().cloned());
            self.follow(&events);
        }
        events
    }

    /// What follows from what was told, by the rules and by where versions stand.
    fn told(&self, judge: impl FnOnce(&mut Risk, &Rules<'_>, &Roster) -> Effects) -> Vec<EventKind> {
        let (config, mut risk) = (self.shared.config.load(), self.shared.trade_news.risk());
        let Effects { events, .. } = judge(&mut risk, &config.rules(), &self.roster);
        tell(&events);
        events
    }

    fn event(&self, kind: EventKind) -> Event {
        Event { at: self.shared.clock.now(), kind }
    }

    /// Takes a model's word away: in force when this returns, on disk when the future ends or later.
    fn silence(&mut self, kinds: Vec<EventKind>) -> ResponseFuture<bool> {
        let events = self.enforce(self.shared.clock.now(), kinds);
        self.save(events)
    }

    /// Has what is in force written. True when it is on disk after the first attempt.
    fn save(&self, events: Vec<Event>) -> ResponseFuture<bool> {
        if events.is_empty() {
            return Box::pin(std::future::ready(true));
        }
        let shared = self.shared.clone();
        let writes: Vec<Write> = events.iter().cloned().map(Write::Event).collect();
        let unwritten = shared.unwritten(&events);
        Box::pin(async move {
            let order_under_way = shared.behind_orders().await;
            let (first, known) = shared.journal.attempt(writes);
            drop(order_under_way);
            let saved = shared.save(events, first, known).await;
            drop(unwritten);
            saved
        })
    }

    fn status(&self) -> GuardianStatus {
        let serving = self.shared.serving.load();
        let versions = self.roster.versions().map(|(version, standing)| VersionStatus {
            version: version.clone(),
            standing,
            scoring: serving.scopes.get(&version.symbol).is_some_and(|scope| scope.names().any(|name| name == version)),
        });
        let config = self.shared.config.load();
        let (today, risk) = (config.calendar.day_of(self.shared.clock.now()), self.shared.trade_news.risk());
        GuardianStatus {
            epoch: serving.epoch,
            lock: serving.lock.clone(),
            lock_until: self.roster.silence().until().filter(|_| serving.lock == self.roster.lock()),
            silenced: self.roster.plan().into_keys().filter(|symbol| self.roster.silenced(symbol).is_some()).collect(),
            emergencies: self.roster.latches().held().iter().map(|latch| latch.trip.to_string()).collect(),
            levels: risk.emergency.levels(&config.guardian),
            day_pnl: risk.emergency.day_pnl(today),
            day_loss_limit: day_loss::limit(&config.guardian, risk.open_trades.daily_loss_limit()),
            versions: versions.collect(),
            settled: self.shared.turn.try_lock().is_ok(),
        }
    }
}

/// Logs what is told to people.
fn tell(kinds: &[EventKind]) {
    for kind in kinds {
        if let EventKind::Alert { code, message, .. } = kind {
            tracing::error!(code, "{message}");
        }
    }
}

/// Records an alert and logs it; an alert that the queue has no room for is only logged.
pub fn alert(shared: &GuardianShared, level: Level, code: &str, message: String) {
    tracing::warn!(code, "{message}");
    let event = Event { at: shared.clock.now(), kind: EventKind::Alert { level, code: code.into(), message } };
    let _it_is_logged = shared.journal.write_behind(Write::Event(event));
}

/// The same of a fault of one trade: the first is told, and then their number at each power of ten, so that a trader who
/// repeats it buries nothing else.
fn alert_of_trade(shared: &GuardianShared, level: Level, code: &str, trade_id: &TradeId, message: String) {
    let counted = shared.repeats.borrow_mut().count(code, trade_id);
    match counted {
        None => tracing::debug!(code, "{message}"),
        Some(1) => alert(shared, level, code, message),
        Some(count) => alert(shared, level, code, format!("{message}; {count} times so far")),
    }
}

/// What is answered in the guardian's place: of what it began nobody knows whether it was done.
fn unanswered(why: Unanswered) -> WireError {
    match why {
        Unanswered::Down => WireError::new("retry", "the guardian is restarting; send it again"),
        Unanswered::Failed => {
            let message = "the guardian failed over it, and it may have been done: look how things stand before you send it again";
            WireError::new("internal_error", message)
        }
    }
}

/// The same of what is to be recorded: sent again, it counts once.
fn unrecorded(why: Unanswered) -> WireError {
    match why {
        Unanswered::Down => unanswered(why),
        Unanswered::Failed => WireError::new(
            "retry",
            "the guardian failed over it, and whether it is recorded is not known; send it again",
        ),
    }
}

impl Handler<LockNow> for Shell<Guardian> {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, message: LockNow, context: &mut Context<Self>) -> Self::Result {
        let LockNow { reason, by, kill } = message;
        self.answer_with(
            context,
            Place::GuardianLock,
            |_| false,
            |guardian| {
                let mut kinds = if kill { guardian.killed(&reason, &by) } else { Vec::new() };
                kinds.push(EventKind::Locked { reason, by, until: None });
                let saved = guardian.silence(kinds);
                Box::pin(async move {
                    let _it_is_written_until_it_is = saved.await;
                    true
                })
            },
        )
    }
}

impl Handler<ObserveGuardian> for Shell<Guardian> {
    type Result = MessageResult<ObserveGuardian>;

    fn handle(&mut self, _: ObserveGuardian, context: &mut Context<Self>) -> Self::Result {
        MessageResult(self.handle_with(context, Place::GuardianObserve, |guardian| guardian.status()))
    }
}
