//! Outcomes and signals let go: first the guardian, then the journal, then the acknowledgement.

use actix::{Addr, AsyncContext, Context, Handler, ResponseFuture};
use tokio::time::sleep;

use super::{Answer, Guardian, PastClosed, RecordOutcome, RecordSkip, SAVE_RETRY, alert, down, messages::Recalled};
use crate::{
    actors::{
        acknowledge::{CONFLICT, acknowledgement, retry},
        history,
        supervision::Shell,
    },
    domain::{Decision, Event, EventKind, Outcome, Skip, Timestamp, TradeId, event::Level, trip::Trip},
    journal::{OutcomeRecord, SkipRecord, Source, Write},
    protocol::message::{Ack, OutcomeRequest, WireError},
    rules::{
        credible::{Incredible, check},
        desk::Entry,
        emergency::ClosedTrade,
        past::{closed_trade, consequences, is_of_here},
    },
};

impl Guardian {
    /// The rules look at the outcome first. If one trips, what it silences is silent when this returns; the outcome and
    /// what followed from it are on disk together when it is acknowledged. A trade whose outcome is on disk is not judged:
    /// what is told now is a repeat or contradicts, which the journal says.
    fn outcome(&mut self, request: &OutcomeRequest, recalled: Option<Recalled>) -> ResponseFuture<Answer<Ack>> {
        let now = self.shared.clock.now();
        let OutcomeRequest { trade_id, outcome, decision } = request;
        let is_open = !(recalled.is_some_and(|known| known.closed) || self.shared.feed.is_closed(trade_id));
        if is_open && let Err(why) = self.check(now, trade_id, outcome) {
            return self.refuse(now, trade_id, outcome, &why);
        }
        let echo = decision.as_ref().filter(|echo| is_of_here(&self.roster, echo));
        if let Some(echo) = echo.filter(|_| is_open) {
            // a decision that was lost on its way to the disk; one that is known stays as it is
            let config = self.shared.config.load();
            let entry = Entry::of_echo(echo, outcome.exit_at, &config.calendar, &config.policy);
            self.shared.feed.scored(now, entry);
        }
        if is_open && echo.is_none() {
            self.tell_of_unknown(trade_id, decision.as_ref());
        }
        let tripped = if is_open { self.judge(now, trade_id, outcome) } else { Vec::new() };
        let record = OutcomeRecord {
            trade_id: trade_id.clone(),
            received_at: now,
            source: Source::Live,
            echo: decision.clone(),
            outcome: outcome.clone(),
        };
        let acknowledged =
            self.acknowledge(trade_id.clone(), Write::Outcome(Box::new(record)), echo.is_some(), tripped);
        let (feed, trade_id, outcome) = (self.shared.feed.clone(), trade_id.clone(), outcome.clone());
        Box::pin(async move {
            let ack = acknowledged.await?;
            // also of a duplicate: it may be the first time that it is known to be on disk
            feed.closed(now, &trade_id, outcome);
            Ok(ack)
        })
    }

    /// Alerts of a decision that is echoed and was not made here, when it is all that is known of the trade's signal.
    fn tell_of_unknown(&self, trade_id: &TradeId, echo: Option<&Decision>) {
        let Some(version) = echo.and_then(|echo| echo.model.as_ref()) else { return };
        if self.shared.feed.heard(trade_id).is_none() {
            let message = format!(
                "{trade_id} was closed with a decision of {version}, which was never registered here: it counts for the \
                 account and for no version; look whether the trader asks another daemon"
            );
            alert(&self.shared, Level::Warning, "unknown_version", message);
        }
    }

    /// Whether an outcome can be that of its trade.
    fn check(&self, now: Timestamp, trade_id: &TradeId, outcome: &Outcome) -> Result<(), Incredible> {
        let config = self.shared.config.load();
        // of a trade that is known by its echo only nobody knows when its signal fired
        let entry = self.shared.feed.entry(trade_id).filter(|entry| !entry.by_echo);
        check(outcome, entry.map(|entry| entry.at), now, &config.bounds())
    }

    /// An outcome that cannot be: nothing of it is recorded. The trade was closed all the same, and nobody knows how, so the
    /// rules that need to know trip.
    fn refuse(
        &mut self,
        now: Timestamp,
        trade_id: &TradeId,
        outcome: &Outcome,
        why: &Incredible,
    ) -> ResponseFuture<Answer<Ack>> {
        let trade = self.closed_trade(now, trade_id, outcome);
        let kinds = self.follow_from(self.emergency.unknown(&trade, why.blank()));
        let field = why.field();
        let message = format!("{field}: {why}; it is not recorded, correct it and send it again");
        alert(&self.shared, Level::Warning, "outcome_refused", format!("{trade_id}: {message}"));
        let silenced = (!kinds.is_empty()).then(|| self.silence(kinds));
        Box::pin(async move {
            if let Some(silenced) = silenced {
                let _it_is_written_until_it_is = silenced.await;
            }
            Err(WireError { field: Some(field.to_owned()), ..WireError::new("out_of_range", message) })
        })
    }

    /// A trade that is not on the desk any more, or never was: the journal is asked what was answered to its signal, so
    /// that no model is spared for being forgotten, and whether it is closed, so that it counts once.
    fn recall(&self, request: OutcomeRequest, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<Ack>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let reader = shared.journal.read().await.map_err(|error| retry(&error))?;
            let (config, trade_id) = (shared.config.load_full(), request.trade_id.clone());
            let found = tokio::task::spawn_blocking(move || history::known_of(&reader, &trade_id, &config));
            let found = found.await.map_err(|error| WireError::new("internal_error", error.to_string()))?;
            let found = found.map_err(|error| WireError::new("retry", error))?;
            let now = shared.clock.now();
            let recalled = Some(Recalled { closed: found.closed });
            if !found.closed {
                found.answered.into_iter().for_each(|(_, entry)| shared.feed.remember(now, entry));
            }
            let sent = address.send(RecordOutcome { request, recalled }).await;
            sent.unwrap_or_else(|error| Err(WireError::new("internal_error", error.to_string())))
        })
    }

    /// Looks at a trade that was closed, and silences what must be. Looking again at the same trade changes nothing.
    fn judge(&mut self, now: Timestamp, trade_id: &TradeId, outcome: &Outcome) -> Vec<Event> {
        let kinds = self.emergencies(now, trade_id, outcome);
        let events: Vec<Event> = kinds.into_iter().map(|kind| Event { at: now, kind }).collect();
        if !events.is_empty() {
            self.take(&events);
        }
        events
    }

    /// The emergencies that a closed trade is, and what follows from them.
    fn emergencies(&mut self, now: Timestamp, trade_id: &TradeId, outcome: &Outcome) -> Vec<EventKind> {
        let trade = self.closed_trade(now, trade_id, outcome);
        let trips = self.emergency.judge(&self.shared.config.load().guardian, &trade);
        self.follow_from(trips)
    }

    fn closed_trade(&self, now: Timestamp, trade_id: &TradeId, outcome: &Outcome) -> ClosedTrade {
        let (config, feed) = (self.shared.config.load(), &self.shared.feed);
        let (entry, limit) = (feed.heard(trade_id), feed.daily_loss_limit());
        closed_trade(trade_id, outcome, entry.as_deref(), now, limit, &config.calendar)
    }

    fn follow_from(&self, trips: Vec<Trip>) -> Vec<EventKind> {
        let kinds = consequences(&self.roster, trips);
        for kind in &kinds {
            if let EventKind::Alert { code, message, .. } = kind {
                tracing::error!(code, "{message}");
            }
        }
        kinds
    }

    /// A trade of here whose outcome was imported: it is judged as if the trader had told it, unless it counted already.
    fn past_closed(&mut self, closed: PastClosed) -> ResponseFuture<bool> {
        let PastClosed { at, trade_id, outcome, answered } = closed;
        let feed = self.shared.feed.clone();
        if feed.is_closed(&trade_id) {
            return Box::pin(std::future::ready(true));
        }
        answered.into_iter().for_each(|entry| feed.remember(at, entry));
        let kinds = self.emergencies(at, &trade_id, &outcome);
        let silenced = (!kinds.is_empty()).then(|| self.silence(kinds));
        feed.closed(at, &trade_id, outcome);
        Box::pin(async move {
            if let Some(silenced) = silenced {
                let _it_is_written_until_it_is = silenced.await;
            }
            true
        })
    }

    fn skip(&self, skip: &Skip) -> ResponseFuture<Answer<Ack>> {
        let (now, trade_id) = (self.shared.clock.now(), skip.trade_id.clone());
        let record = SkipRecord { received_at: now, skip: skip.clone() };
        let acknowledged = self.acknowledge(trade_id.clone(), Write::Skip(record), false, Vec::new());
        let feed = self.shared.feed.clone();
        Box::pin(async move {
            let ack = acknowledged.await?;
            feed.skipped(now, &trade_id);
            Ok(ack)
        })
    }

    /// Records `write`, and in the same transaction the events that follow from it and are in force already; answers
    /// once it is durable. Events that the disk does not take now are written again until it does.
    fn acknowledge(
        &self,
        trade_id: TradeId,
        write: Write,
        echoed: bool,
        events: Vec<Event>,
    ) -> ResponseFuture<Answer<Ack>> {
        let shared = self.shared.clone();
        let before = shared.unsaved.borrow().clone();
        shared.unsaved.borrow_mut().extend(events.iter().cloned());
        let followed = events.iter().cloned().map(Write::Event);
        let writes: Vec<Write> = std::iter::once(write).chain(followed).collect();
        // without events it is on its way to the journal before anything else is handled
        let at_once = events.is_empty().then(|| shared.journal.write(writes.clone()));
        Box::pin(async move {
            let mut written = match at_once {
                Some(written) => written.await,
                None => {
                    let order_under_way = shared.turn.lock().await;
                    let written = shared.journal.write(writes);
                    drop(order_under_way);
                    written.await
                }
            };
            shared.settle(events, written.is_ok());
            if written.is_ok() {
                shared.catch_up(&before).await?;
            }
            if let Ok(applied) = &mut written {
                applied.truncate(1);
            }
            let answer = acknowledgement(written, trade_id, echoed);
            if let Err(error) = &answer
                && error.code == CONFLICT
            {
                alert(&shared, Level::Warning, CONFLICT, error.message.clone());
            }
            answer
        })
    }
}

impl super::Shared {
    /// Waits until what was silenced `before`, perhaps by an earlier attempt at the same outcome, is on disk: no outcome is
    /// acknowledged sooner.
    async fn catch_up(&self, before: &[Event]) -> Result<(), WireError> {
        if before.is_empty() {
            return Ok(());
        }
        // those whose write has just ended are told of first
        tokio::task::yield_now().await;
        let left: Vec<Event> = self.unsaved.borrow().iter().filter(|event| before.contains(event)).cloned().collect();
        if left.is_empty() {
            return Ok(());
        }
        let writes = left.iter().cloned().map(Write::Event).collect();
        self.journal.write(writes).await.map_err(|error| retry(&error))?;
        self.settle(left, true);
        Ok(())
    }

    /// `events` took a model's word away and are on disk, or are written again until they are: they must survive a
    /// restart.
    pub(super) fn settle(&self, events: Vec<Event>, durable: bool) {
        if events.is_empty() {
            return;
        }
        let unsaved = self.unsaved.clone();
        if durable {
            unsaved.borrow_mut().retain(|event| !events.contains(event));
            return;
        }
        let journal = self.journal.clone();
        actix::spawn(async move {
            loop {
                let left = || unsaved.borrow().iter().filter(|event| events.contains(event)).cloned().collect();
                let left: Vec<Event> = left();
                let writes: Vec<Write> = left.into_iter().map(Write::Event).collect();
                if writes.is_empty() || journal.write(writes).await.is_ok() {
                    break;
                }
                sleep(SAVE_RETRY).await;
            }
            unsaved.borrow_mut().retain(|event| !events.contains(event));
        });
    }
}

impl Handler<RecordOutcome> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Ack>>;

    fn handle(&mut self, message: RecordOutcome, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        let recorded = self.handle_with(context, "outcome", |guardian| {
            let RecordOutcome { request, recalled } = message;
            let known = recalled.is_some() || guardian.shared.feed.heard(&request.trade_id).is_some();
            if known { guardian.outcome(&request, recalled) } else { guardian.recall(request, address) }
        });
        recorded.unwrap_or_else(|| Box::pin(std::future::ready(Err(down()))))
    }
}

impl Handler<PastClosed> for Shell<Guardian> {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, message: PastClosed, context: &mut Context<Self>) -> Self::Result {
        let taken = self.handle_with(context, "past_closed", |guardian| guardian.past_closed(message));
        taken.unwrap_or_else(|| Box::pin(std::future::ready(false)))
    }
}

impl Handler<RecordSkip> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Ack>>;

    fn handle(&mut self, message: RecordSkip, context: &mut Context<Self>) -> Self::Result {
        let recorded = self.handle_with(context, "skip", |guardian| guardian.skip(&message.0));
        recorded.unwrap_or_else(|| Box::pin(std::future::ready(Err(down()))))
    }
}
