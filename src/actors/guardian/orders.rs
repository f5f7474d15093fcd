//! Orders of people: what silences a model is in force at once, what gives it a say waits for the disk.

use std::{collections::BTreeMap, sync::Arc};

use actix::{Addr, AsyncContext, Context, Handler, Message, ResponseFuture};

use super::{Answer, Done, Guardian, Order, down};
use crate::{
    actors::{acknowledge::retry, models::served, supervision::Shell},
    domain::{
        Event, EventKind, VersionId,
        event::By,
        lifecycle::{State, Transition},
    },
    journal::Write,
    protocol::message::{Change, WireError},
    rules::serving::Served,
};

/// Events of an order that are on disk and now take effect.
pub(super) struct Committed {
    pub(super) events: Vec<Event>,
    pub(super) loaded: BTreeMap<VersionId, Arc<Served>>,
}

impl Message for Committed {
    type Result = ();
}

impl Guardian {
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
                    load.iter().map(|id| Ok((id.clone(), served(&reader, id, &schema)?))).collect::<Result<_, String>>()
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
}

fn moved(version: &VersionId, step: Transition, reason: &str, by: By, overridden: bool) -> EventKind {
    let (version, reason) = (version.clone(), reason.to_owned());
    EventKind::Moved { version, step, reason, by, overridden, evidence: BTreeMap::new() }
}

fn refused<T: 'static>(why: String) -> ResponseFuture<Answer<T>> {
    Box::pin(std::future::ready(Err(WireError::new("refused", why))))
}

impl Handler<Order> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Done>>;

    fn handle(&mut self, message: Order, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        let done = self.handle_with(context, "order", |guardian| guardian.order(&message, address));
        done.unwrap_or_else(|| Box::pin(std::future::ready(Err(down()))))
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
