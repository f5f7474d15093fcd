//! The guardian: the only one that changes what is served.
//!
//! It keeps the roster of versions and publishes [`Serving`]. What takes a model's word away is done first and recorded
//! afterwards; what gives it one is recorded first. An outcome passes through here before it goes to the journal.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use actix::{Addr, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture};
use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::{sync::Mutex, time::sleep};

use super::{
    journal::{JournalHandle, Unavailable},
    supervision::{Part, Shell},
};
use crate::{
    clock::Clock,
    config::Config,
    domain::{
        Event, EventKind, Skip, TradeId, VersionId,
        event::{By, Level},
        lifecycle::State,
    },
    features::row::Schema,
    journal::{Applied, OutcomeRecord, Reader, SkipRecord, Source, Write},
    models::VersionRecord,
    protocol::message::{Ack, Change, OutcomeRequest, WireError},
    rules::{
        roster::{Roster, Standing},
        serving::{Scope, Served, Serving},
    },
};

/// Pause before an event that takes a model's word away is written again.
const SAVE_RETRY: Duration = Duration::from_millis(250);

/// A closed trade to be judged and recorded.
#[derive(Debug)]
pub struct RecordOutcome(pub OutcomeRequest);

/// A signal that was let go, to be recorded.
#[derive(Debug)]
pub struct RecordSkip(pub Skip);

/// A change ordered by a person.
#[derive(Debug)]
pub struct Order {
    /// What to do.
    pub change: Change,
    /// Who said so.
    pub uid: u32,
}

/// A new configuration is in force.
#[derive(Debug)]
pub struct Reconfigured;

/// Serve nothing but the baseline, at once. False when the guardian is being made anew and has to be told again.
#[derive(Debug, Clone)]
pub struct LockNow {
    /// Why.
    pub reason: String,
    /// Who says so.
    pub by: By,
}

/// Asks the guardian how things stand.
#[derive(Debug)]
pub struct ObserveGuardian;

/// How things stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardianStatus {
    /// Number of the serving in force.
    pub epoch: u64,
    /// Why serving is locked, if it is.
    pub lock: Option<String>,
    /// All versions and where they stand.
    pub versions: Vec<VersionStatus>,
}

/// Where one version stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionStatus {
    /// Its name.
    pub version: VersionId,
    /// State and mark.
    #[serde(flatten)]
    pub standing: Standing,
    /// Whether it is loaded and scores.
    pub scoring: bool,
}

/// An order was carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Done {
    /// What now holds, in words.
    pub done: String,
    /// Whether it is on disk. What silences a model takes effect before.
    pub durable: bool,
}

/// Events of an order that are on disk and now take effect.
struct Committed {
    events: Vec<Event>,
    loaded: BTreeMap<VersionId, Arc<Served>>,
}

type Answer<T> = Result<T, WireError>;

impl Message for RecordOutcome {
    type Result = Answer<Ack>;
}
impl Message for RecordSkip {
    type Result = Answer<Ack>;
}
impl Message for Order {
    type Result = Answer<Done>;
}
impl Message for Reconfigured {
    type Result = ();
}
impl Message for LockNow {
    type Result = bool;
}
impl Message for ObserveGuardian {
    type Result = Option<GuardianStatus>;
}
impl Message for Committed {
    type Result = ();
}

/// The state of the guardian.
pub struct Guardian {
    roster: Roster,
    loaded: BTreeMap<VersionId, Arc<Served>>,
    shared: Shared,
}

/// What the guardian reads and writes.
#[derive(Clone)]
pub struct Shared {
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// What may be served; the guardian alone stores into it.
    pub serving: Arc<ArcSwap<Serving>>,
    /// Where events go.
    pub journal: JournalHandle,
    /// The daemon's clock.
    pub clock: Arc<dyn Clock>,
    /// What took a model's word away and is not on disk yet. It outlives the guardian, so that one made anew from the
    /// journal does not give the word back.
    pub unsaved: Rc<RefCell<Vec<Event>>>,
    /// Held by an order that gives a model a say, until it is in force. What takes the word away meanwhile is recorded
    /// behind it, so that the log has the last word last.
    pub turn: Arc<Mutex<()>>,
}

impl Shared {
    fn schema(&self) -> Result<Schema, String> {
        Schema::new(&self.config.load().features.extra).map_err(|error| error.to_string())
    }
}

impl Part for Guardian {
    const NAME: &'static str = "guardian";

    fn installed(&mut self) {
        self.publish();
    }
}

impl Guardian {
    /// The guardian that the journal's events make: folds them and loads what they put in service. It is published when the guardian takes its place.
    ///
    /// # Errors
    /// When the journal cannot be read. A version whose record is damaged is left out with an alert; the rest is served.
    pub async fn from_journal(shared: Shared) -> Result<Self, String> {
        // taken before the journal is read: what is saved meanwhile is in neither, or in both, which does no harm
        let unsaved = shared.unsaved.borrow().clone();
        let schema = shared.schema()?;
        let reader = shared.journal.read().await.map_err(|error| error.to_string())?;
        let folded =
            tokio::task::spawn_blocking(move || fold(&reader, &schema)).await.map_err(|error| error.to_string())?;
        let (mut roster, loaded, damaged) = folded?;
        unsaved.iter().for_each(|event| roster.apply(&event.kind));
        for (version, error) in damaged {
            let message =
                format!("{version} is in service and cannot be loaded: {error}; it does not score, train it again");
            alert(&shared, Level::Critical, "model_damaged", message);
        }
        Ok(Self { roster, loaded, shared })
    }

    /// Makes what the roster says the one thing that is served. What is not on disk yet is in force all the same, over
    /// anything that came from there.
    fn publish(&mut self) {
        self.shared.unsaved.borrow().iter().for_each(|event| self.roster.apply(&event.kind));
        let epoch = self.shared.serving.load().epoch + 1;
        let serving = match self.roster.lock() {
            Some(reason) => Serving::locked(epoch, reason.to_owned()),
            None => Serving { epoch, lock: None, scopes: self.scopes() },
        };
        self.shared.serving.store(Arc::new(serving));
    }

    fn scopes(&self) -> BTreeMap<crate::domain::Symbol, Scope> {
        let load = |version: &VersionId| self.loaded.get(version).cloned();
        let scope = |plan: crate::rules::roster::Plan| Scope {
            production: plan.production.as_ref().and_then(load),
            test: plan.test.as_ref().and_then(load),
            shadows: plan.shadows.iter().filter_map(load).collect(),
        };
        self.roster.plan().into_iter().map(|(symbol, plan)| (symbol, scope(plan))).collect()
    }

    fn take(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.roster.apply(&event.kind));
        self.publish();
    }

    /// Reads the inputs of the loaded versions by the configuration now in force. A version that uses an input which is
    /// no longer declared does not score any more.
    fn reconfigured(&mut self) {
        let shared = self.shared.clone();
        let Ok(schema) = shared.schema() else { return };
        self.loaded.retain(|version, served| match served.for_schema(&schema) {
            Ok(remapped) => {
                *served = Arc::new(remapped);
                true
            }
            Err(error) => {
                alert(&shared, Level::Critical, "input_gone", format!("{version} does not score any more: {error}"));
                false
            }
        });
        self.publish();
    }

    fn event(&self, kind: EventKind) -> Event {
        Event { at: self.shared.clock.now(), kind }
    }

    fn outcome(&self, request: &OutcomeRequest) -> ResponseFuture<Answer<Ack>> {
        let record = OutcomeRecord {
            trade_id: request.trade_id.clone(),
            received_at: self.shared.clock.now(),
            source: Source::Live,
            echo: request.decision.clone(),
            outcome: request.outcome.clone(),
        };
        let (echoed, trade_id) = (request.decision.is_some(), request.trade_id.clone());
        self.acknowledge(trade_id, Write::Outcome(record), echoed)
    }

    fn skip(&self, skip: &Skip) -> ResponseFuture<Answer<Ack>> {
        let record = SkipRecord { received_at: self.shared.clock.now(), skip: skip.clone() };
        self.acknowledge(skip.trade_id.clone(), Write::Skip(record), false)
    }

    /// Records `write` and answers once it is durable.
    fn acknowledge(&self, trade_id: TradeId, write: Write, echoed: bool) -> ResponseFuture<Answer<Ack>> {
        let written = self.shared.journal.write(vec![write]);
        let shared = self.shared.clone();
        Box::pin(async move {
            let applied = written.await.map_err(|error| retry(&error))?.pop();
            let ack = |matched: Option<bool>, duplicate| Ack {
                trade_id: trade_id.clone(),
                durable: true,
                matched,
                duplicate,
            };
            match applied {
                Some(Applied::Stored { matched, .. }) => Ok(ack(matched.map(|matched| matched || echoed), false)),
                Some(Applied::Duplicate) => Ok(ack(None, true)),
                Some(Applied::Conflict { .. }) => {
                    let message = format!(
                        "{trade_id}: something else is recorded for this trade, and stays; compare with the broker and correct the trader"
                    );
                    alert(&shared, Level::Warning, "conflict", message.clone());
                    Err(WireError { field: Some("trade_id".to_owned()), ..WireError::new("conflict", message) })
                }
                Some(Applied::Unwritable { why }) => Err(WireError::new("out_of_range", why)),
                None => Err(retry(&Unavailable("the answer of the journal was incomplete".to_owned()))),
            }
        })
    }

    /// Takes a model's word away: in force when this returns, on disk when the future ends or later.
    fn silence(&mut self, kinds: Vec<EventKind>) -> ResponseFuture<bool> {
        let events: Vec<Event> = kinds.into_iter().map(|kind| self.event(kind)).collect();
        self.take(&events);
        let writes: Vec<Write> = events.iter().cloned().map(Write::Event).collect();
        let Shared { journal, unsaved, turn, .. } = self.shared.clone();
        unsaved.borrow_mut().extend(events.iter().cloned());
        let saved = move || unsaved.borrow_mut().retain(|event| !events.contains(event));
        Box::pin(async move {
            let order_under_way = turn.lock().await;
            let first = journal.write(writes.clone());
            drop(order_under_way);
            let durable = first.await.is_ok();
            if durable {
                saved();
            } else {
                // it must survive a restart: it is written again until the journal takes it
                actix::spawn(async move {
                    while journal.write(writes.clone()).await.is_err() {
                        sleep(SAVE_RETRY).await;
                    }
                    saved();
                });
            }
            durable
        })
    }

    fn order(&mut self, order: &Order, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<Done>> {
        let by = By::Uid(order.uid);
        let silenced = |durable: ResponseFuture<bool>, done: String| -> ResponseFuture<Answer<Done>> {
            Box::pin(async move { Ok(Done { done, durable: durable.await }) })
        };
        match &order.change {
            Change::Lock { reason } => {
                let durable = self.silence(vec![EventKind::Locked { reason: reason.clone(), by }]);
                silenced(durable, "locked to the baseline".to_owned())
            }
            Change::Rollback { version, reason } => match self.roster.roll_back(version) {
                Err(refusal) => refused(refusal.to_string()),
                Ok(step) => {
                    let done = format!("{version} is {}", step.edge().1);
                    let durable = self.silence(vec![moved(version, step, reason, by, false)]);
                    silenced(durable, done)
                }
            },
            Change::Resume { reason } => {
                if self.roster.lock().is_none() {
                    return refused("serving is not locked".to_owned());
                }
                let events = vec![self.event(EventKind::Resumed { reason: reason.clone(), by })];
                self.commit(events, Vec::new(), "the lock is lifted".to_owned(), address)
            }
            Change::Promote { version, reason, to, overridden } => match self.roster.promote(version, *to, *overridden)
            {
                Err(refusal) => refused(refusal.to_string()),
                Ok(steps) => {
                    let state = steps.last().map_or(State::Trained, |(_, step)| step.edge().1);
                    let event = |(id, step)| self.event(moved(&id, step, reason, by.clone(), *overridden));
                    let events = steps.into_iter().map(event).collect();
                    self.commit(events, vec![version.clone()], format!("{version} is {state}"), address)
                }
            },
            Change::Reload | Change::Imported { .. } => refused("this is not the guardian's".to_owned()),
        }
    }

    /// Gives a model a say: loads it, records the events, and only then lets them take effect. One order at a time.
    fn commit(
        &mut self,
        events: Vec<Event>,
        load: Vec<VersionId>,
        done: String,
        address: Addr<Shell<Self>>,
    ) -> ResponseFuture<Answer<Done>> {
        let Ok(turn) = Arc::clone(&self.shared.turn).try_lock_owned() else {
            return refused("another order is being carried out; try again".to_owned());
        };
        if !self.shared.unsaved.borrow().is_empty() {
            let error = WireError::new("retry", "an earlier lock or rollback is not on disk yet; try again when it is");
            return Box::pin(std::future::ready(Err(error)));
        }
        let journal = self.shared.journal.clone();
        let schema = self.shared.schema();
        Box::pin(async move {
            let committed = async {
                let schema = schema.map_err(|error| WireError::new("config", error))?;
                let reader = journal.read().await.map_err(|error| retry(&error))?;
                let loaded = tokio::task::spawn_blocking(move || {
                    load.iter()
                        .map(|id| Ok((id.clone(), load_version(&reader, id, &schema)?)))
                        .collect::<Result<_, String>>()
                });
                let loaded = loaded.await.map_err(|error| WireError::new("internal_error", error.to_string()))?;
                let loaded = loaded.map_err(|error| WireError::new("model_damaged", error))?;
                let writes = events.iter().cloned().map(Write::Event).collect();
                journal.write(writes).await.map_err(|error| retry(&error))?;
                Ok(Committed { events, loaded })
            };
            let committed: Answer<Committed> = committed.await;
            let delivered = address.send(committed?).await;
            drop(turn);
            delivered.map_err(|error| WireError::new("internal_error", error.to_string()))?;
            Ok(Done { done, durable: true })
        })
    }

    fn status(&self) -> GuardianStatus {
        let serving = self.shared.serving.load();
        let versions = self.roster.versions().map(|(version, standing)| VersionStatus {
            version: version.clone(),
            standing,
            scoring: serving.scopes.get(&version.symbol).is_some_and(|scope| scope.names().any(|name| name == version)),
        });
        GuardianStatus { epoch: serving.epoch, lock: serving.lock.clone(), versions: versions.collect() }
    }
}

fn moved(
    version: &VersionId,
    step: crate::domain::lifecycle::Transition,
    reason: &str,
    by: By,
    overridden: bool,
) -> EventKind {
    let (version, reason) = (version.clone(), reason.to_owned());
    EventKind::Moved { version, step, reason, by, overridden, evidence: BTreeMap::new() }
}

fn refused<T: 'static>(why: String) -> ResponseFuture<Answer<T>> {
    Box::pin(std::future::ready(Err(WireError::new("refused", why))))
}

fn retry(error: &Unavailable) -> WireError {
    WireError::new("retry", format!("{error}; it is not recorded, send it again"))
}

/// Records an alert and logs it; an alert that the queue has no room for is only logged.
pub fn alert(shared: &Shared, level: Level, code: &str, message: String) {
    tracing::warn!(code, "{message}");
    let event = Event { at: shared.clock.now(), kind: EventKind::Alert { level, code: code.into(), message } };
    let _it_is_logged = shared.journal.write_behind(Write::Event(event));
}

type Folded = (Roster, BTreeMap<VersionId, Arc<Served>>, Vec<(VersionId, String)>);

fn fold(reader: &Reader, schema: &Schema) -> Result<Folded, String> {
    let mut roster = Roster::default();
    for stored in reader.events(0).map_err(|error| error.to_string())? {
        match stored {
            Ok(stored) => roster.apply(&stored.event.kind),
            // an event that cannot be read may have been the one that silenced a model
            Err(error) => {
                let by = By::Daemon(Guardian::NAME.into());
                roster.apply(&EventKind::Locked { reason: format!("the event log is damaged: {error}"), by });
            }
        }
    }
    let (mut loaded, mut damaged) = (BTreeMap::new(), Vec::new());
    for plan in roster.plan().into_values() {
        for version in plan.production.into_iter().chain(plan.test).chain(plan.shadows) {
            match load_version(reader, &version, schema) {
                Ok(served) => drop(loaded.insert(version, served)),
                Err(error) => damaged.push((version, error)),
            }
        }
    }
    Ok((roster, loaded, damaged))
}

fn load_version(reader: &Reader, id: &VersionId, schema: &Schema) -> Result<Arc<Served>, String> {
    let stored = reader.version(id).map_err(|error| error.to_string())?;
    let stored = stored.ok_or_else(|| format!("the journal has no record of {id}"))?;
    let record = VersionRecord::from_bytes(&stored.body).map_err(|error| error.to_string())?;
    if record.id != *id {
        return Err(format!("the record under its name is that of {}; restore a backup", record.id));
    }
    let model = record.model.compile().map_err(|error| error.to_string())?;
    let design = record.design.for_schema(schema).map_err(|error| error.to_string())?;
    Ok(Arc::new(Served::new(id.clone(), design, model)))
}

/// What is answered while the guardian is being made anew.
fn down() -> WireError {
    WireError::new("retry", "the guardian is being made anew; send it again")
}

impl Handler<RecordOutcome> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Ack>>;

    fn handle(&mut self, message: RecordOutcome, context: &mut Context<Self>) -> Self::Result {
        let recorded = self.handle_with(context, "outcome", |guardian| guardian.outcome(&message.0));
        recorded.unwrap_or_else(|| Box::pin(std::future::ready(Err(down()))))
    }
}

impl Handler<RecordSkip> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Ack>>;

    fn handle(&mut self, message: RecordSkip, context: &mut Context<Self>) -> Self::Result {
        let recorded = self.handle_with(context, "skip", |guardian| guardian.skip(&message.0));
        recorded.unwrap_or_else(|| Box::pin(std::future::ready(Err(down()))))
    }
}

impl Handler<Order> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Done>>;

    fn handle(&mut self, message: Order, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        let done = self.handle_with(context, "order", |guardian| guardian.order(&message, address));
        done.unwrap_or_else(|| Box::pin(std::future::ready(Err(down()))))
    }
}

impl Handler<Reconfigured> for Shell<Guardian> {
    type Result = ();

    fn handle(&mut self, _: Reconfigured, context: &mut Context<Self>) {
        if self.handle_with(context, "reconfigured", Guardian::reconfigured).is_none() {
            self.miss();
        }
    }
}

impl Handler<LockNow> for Shell<Guardian> {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, message: LockNow, context: &mut Context<Self>) -> Self::Result {
        let LockNow { reason, by } = message;
        let saved =
            self.handle_with(context, "lock", |guardian| guardian.silence(vec![EventKind::Locked { reason, by }]));
        Box::pin(async move {
            let handled = saved.is_some();
            if let Some(saved) = saved {
                saved.await;
            }
            handled
        })
    }
}

impl Handler<ObserveGuardian> for Shell<Guardian> {
    type Result = MessageResult<ObserveGuardian>;

    fn handle(&mut self, _: ObserveGuardian, context: &mut Context<Self>) -> Self::Result {
        MessageResult(self.handle_with(context, "observe", |guardian| guardian.status()))
    }
}

impl Handler<Committed> for Shell<Guardian> {
    type Result = ();

    fn handle(&mut self, message: Committed, context: &mut Context<Self>) {
        let taken = self.handle_with(context, "committed", |guardian| {
            guardian.loaded.extend(message.loaded);
            guardian.take(&message.events);
        });
        if taken.is_none() {
            self.miss();
        }
    }
}
