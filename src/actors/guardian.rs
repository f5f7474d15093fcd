//! The guardian: the only one that changes what is served.
//!
//! It keeps the roster of versions and publishes [`Serving`]. What takes a model's word away is done first and recorded
//! afterwards; what gives it one is recorded first. An outcome passes through here before it goes to the journal.
//!
//! Here is its state and what it publishes; `messages` says what it can be told, `record` takes outcomes, `orders`
//! carries out what people order, `load` reads the journal for it.

mod load;
mod messages;
mod orders;
mod record;
mod register;

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};

use actix::{Context, Handler, MessageResult, ResponseFuture};
use arc_swap::ArcSwap;
use tokio::{sync::Mutex, time::sleep};

use self::load::fold;
pub use self::messages::{
    Answer, Done, GuardianStatus, LockNow, ObserveGuardian, Order, Reconfigured, RecordOutcome, RecordSkip,
    VersionStatus,
};
pub use self::register::Register;
use super::{
    journal::JournalHandle,
    supervision::{Part, Shell},
};
use crate::{
    clock::Clock,
    config::Config,
    domain::{Event, EventKind, VersionId, event::Level},
    features::row::Schema,
    journal::Write,
    protocol::message::WireError,
    rules::{
        roster::Roster,
        serving::{Scope, Served, Serving},
    },
};

/// Pause before an event that takes a model's word away is written again.
const SAVE_RETRY: Duration = Duration::from_millis(250);

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

/// Records an alert and logs it; an alert that the queue has no room for is only logged.
pub fn alert(shared: &Shared, level: Level, code: &str, message: String) {
    tracing::warn!(code, "{message}");
    let event = Event { at: shared.clock.now(), kind: EventKind::Alert { level, code: code.into(), message } };
    let _it_is_logged = shared.journal.write_behind(Write::Event(event));
}

/// What is answered while the guardian is being made anew.
fn down() -> WireError {
    WireError::new("retry", "the guardian is being made anew; send it again")
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
