//! Outcomes and signals let go: first the guardian, then the journal, then the acknowledgement.

use actix::{Addr, AsyncContext, Context, Handler, ResponseFuture};

use super::{
    Answer, Guardian, PastClosed, RecordOutcome, RecordSkip, alert_of_trade,
    contest::{Contest, Settle, stored_instead},
    messages::Recalled,
    unrecorded,
};
use crate::{
    actors::{
        acknowledge::{CONFLICT, acknowledgement, retry, words},
        journal::Written,
        supervision::{Place, Shell, Unanswered},
    },
    domain::{Decision, Event, EventKind, Outcome, Skip, Timestamp, TradeId, VersionId, event::Level, trip::Trip},
    guard::{
        emergency::ClosedTrade,
        plausibility::{Incredible, check},
    },
    journal::{Applied, OutcomeRecord, SkipRecord, Source, Write},
    lifecycle::{
        consequences::{closed_trade, consequences, is_of_here},
        open_trades::AnsweredSignal,
    },
    protocol::message::{Ack, OutcomeRequest, WireError},
    recall::history,
};

impl Guardian {
    /// The rules look at the outcome first. If one trips, what it silences is silent when this returns; the outcome and
    /// what followed from it are on disk together when it is acknowledged. A trade whose outcome is on disk is not judged:
    /// what is told now is a repeat or contradicts, which the journal says.
    fn outcome(
        &mut self,
        request: &OutcomeRequest,
        recalled: Option<Recalled>,
        address: Addr<Shell<Self>>,
    ) -> ResponseFuture<Answer<Ack>> {
        let now = self.shared.clock.now();
        let OutcomeRequest { trade_id, outcome, decision } = request;
        let is_open =
            !(recalled.as_ref().is_some_and(|known| known.closed) || self.shared.trade_news.is_closed(trade_id));
        let fired = recalled.as_ref().and_then(|known| known.fired);
        if is_open && let Err(why) = self.check(now, trade_id, outcome, fired) {
            return self.refuse(now, trade_id, outcome, &why);
        }
        let echo = decision.as_ref().filter(|echo| is_of_here(&self.roster, echo));
        if let Some(echo) = echo.filter(|_| is_open) {
            // a decision that was lost on its way to the disk; one that is known stays as it is
            let config = self.shared.config.load();
            let entry = AnsweredSignal::of_echo(echo, outcome.exit_at, &config.calendar, &config.policy);
            self.shared.trade_news.scored(now, entry);
        }
        if is_open && echo.is_none() {
            self.tell_of_unknown(trade_id, decision.as_ref());
        }
        if is_open {
            self.shared.trade_news.traded_on(trade_id, decision.as_ref());
        }
        let tripped = if is_open { self.judge(now, trade_id, outcome) } else { Vec::new() };
        let record = OutcomeRecord {
            trade_id: trade_id.clone(),
            received_at: now,
            source: Source::Live,
            echo: decision.clone(),
            outcome: outcome.clone(),
        };
        let (silenced, echoed) = (silenced_by(tripped.iter().map(|event| &event.kind)), echo.is_some());
        let (trade_news, request, trade_id) = (self.shared.trade_news.clone(), request.clone(), trade_id.clone());
        self.record(Write::Outcome(Box::new(record)), tripped, move |written| {
            Box::pin(async move {
                if let Some(stored) = stored_instead(&written) {
                    let answered = recalled.map(|known| known.answered).unwrap_or_default();
                    let contest = Contest { at: now, request, stored, answered };
                    return address
                        .send(contest)
                        .await
                        .ok()
                        .flatten()
                        .unwrap_or_else(|| Err(unrecorded(Unanswered::Failed)));
                }
                let ack = acknowledgement(Ok(written), trade_id.clone(), echoed)?;
                let settle = Settle { at: now, trade_id: trade_id.clone(), outcome: request.outcome.clone() };
                let settled = !is_open || address.send(settle).await != Ok(false);
                // also of a duplicate: it may be the first time that it is known to be on disk
                trade_news.closed(now, &trade_id, request.outcome);
                if settled { Ok(Ack { silenced, ..ack }) } else { Err(unrecorded(Unanswered::Failed)) }
            })
        })
    }

    /// Alerts of a decision that is echoed and was not made here, when it is all that is known of the trade's signal.
    fn tell_of_unknown(&self, trade_id: &TradeId, echo: Option<&Decision>) {
        let Some(version) = echo.and_then(|echo| echo.model.as_ref()) else { return };
        if self.shared.trade_news.heard(trade_id).is_none() {
            let message = format!(
                "{trade_id} was closed with a decision of {version}, which was never registered here: it counts for the \
                 account and for no version; look whether the trader asks another daemon"
            );
            alert_of_trade(&self.shared, Level::Warning, "unknown_version", trade_id, message);
        }
    }

    /// Whether an outcome can be that of its trade, whose signal fired at `fired` if it is not remembered.
    fn check(
        &self,
        now: Timestamp,
        trade_id: &TradeId,
        outcome: &Outcome,
        fired: Option<Timestamp>,
    ) -> Result<(), Incredible> {
        let config = self.shared.config.load();
        // of a trade that is known by its echo only nobody knows when its signal fired
        let entry = self.shared.trade_news.entry(trade_id).filter(|entry| !entry.by_echo);
        check(outcome, entry.map(|entry| entry.at).or(fired), now, &config.bounds())
    }

    /// An outcome that cannot be: nothing of it is recorded. The trade was closed all the same, and nobody knows how, so the
    /// rules that need to know trip.
    pub(super) fn refuse(
        &mut self,
        now: Timestamp,
        trade_id: &TradeId,
        outcome: &Outcome,
        why: &Incredible,
    ) -> ResponseFuture<Answer<Ack>> {
        let trade = self.closed_trade(now, trade_id, outcome);
        let kinds = self.follow_from(self.emergency.unknown(&trade, why.blank()));
        let field = why.field();
        let gone = words(&silenced_by(&kinds));
        let message = format!("{field}: {why}; it is not recorded, correct it and send it again{gone}");
        alert_of_trade(&self.shared, Level::Warning, "outcome_refused", trade_id, format!("{trade_id}: {message}"));
        let silenced = (!kinds.is_empty()).then(|| self.silence(kinds));
        Box::pin(async move {
            if let Some(silenced) = silenced {
                let _it_is_written_until_it_is = silenced.await;
            }
            Err(WireError { field: Some(field.to_owned()), ..WireError::new("out_of_range", message) })
        })
    }

    /// A trade that is not remembered any more, or never was: the journal is asked what was answered to its signal, so
    /// that no model is spared for being forgotten, and whether it is closed, so that it counts once.
    fn recall(&self, request: OutcomeRequest, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<Ack>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let reader = shared.journal.read().await.map_err(|error| retry(&error))?;
            let (config, trade_id) = (shared.config.load_full(), request.trade_id.clone());
            let found = move || history::known_of(&reader, &trade_id, &config);
            let found = shared.failures.blocking(Place::GuardianRecall, found).await;
            let found = found.map_err(|error| WireError::new("internal_error", error))?;
            let found = found.map_err(|error| WireError::new("retry", error))?;
            let now = shared.clock.now();
            let (closed, fired) = (found.outcome.is_some(), found.fired);
            let mut answered: Vec<AnsweredSignal> = found.entries().collect();
            if !closed {
                answered.drain(..).for_each(|entry| shared.trade_news.remember(now, entry));
            }
            let recalled = Some(Recalled { closed, answered, fired });
            let sent = address.send(RecordOutcome { request, recalled }).await;
            sent.unwrap_or_else(|error| Err(WireError::new("internal_error", error.to_string())))
        })
    }

    /// Looks at a trade that was closed and whose outcome is not known to be on disk, and silences what must be. Looking again
    /// at the same outcome changes nothing.
    fn judge(&mut self, now: Timestamp, trade_id: &TradeId, outcome: &Outcome) -> Vec<Event> {
        let trade = self.closed_trade(now, trade_id, outcome);
        let trips = self.emergency.hear(&self.shared.config.load().guardian, &trade);
        let kinds = self.follow_from(trips);
        let events: Vec<Event> = kinds.into_iter().map(|kind| Event { at: now, kind }).collect();
        if !events.is_empty() {
            self.enforce(&events);
        }
        events
    }

    /// The emergencies that a closed trade is whose outcome is on disk, and what follows from them.
    fn emergencies(&mut self, now: Timestamp, trade_id: &TradeId, outcome: &Outcome) -> Vec<EventKind> {
        let trade = self.closed_trade(now, trade_id, outcome);
        let trips = self.emergency.judge(&self.shared.config.load().guardian, &trade);
        self.follow_from(trips)
    }

    pub(super) fn closed_trade(&self, now: Timestamp, trade_id: &TradeId, outcome: &Outcome) -> ClosedTrade {
        let (config, trade_news) = (self.shared.config.load(), &self.shared.trade_news);
        let (entry, limit) = (trade_news.heard(trade_id), trade_news.daily_loss_limit());
        closed_trade(trade_id, outcome, entry.as_deref(), now, limit, &config.calendar)
    }

    pub(super) fn follow_from(&self, trips: Vec<Trip>) -> Vec<EventKind> {
        let kinds = consequences(&self.roster, trips);
        for kind in &kinds {
            if let EventKind::Alert { code, message, .. } = kind {
                tracing::error!(code, "{message}");
            }
        }
        kinds
    }

    /// A trade of here whose outcome was imported: it is judged as if the trader had told it, unless it counted already.
    fn past_closed(&mut self, closed: PastClosed) -> ResponseFuture<Vec<VersionId>> {
        let PastClosed { at, trade_id, outcome, answered } = closed;
        let trade_news = self.shared.trade_news.clone();
        if trade_news.is_closed(&trade_id) {
            return Box::pin(std::future::ready(Vec::new()));
        }
        answered.into_iter().for_each(|entry| trade_news.remember(at, entry));
        let kinds = self.emergencies(at, &trade_id, &outcome);
        let silenced = silenced_by(&kinds);
        let saved = (!kinds.is_empty()).then(|| self.silence(kinds));
        trade_news.closed(at, &trade_id, outcome);
        Box::pin(async move {
            if let Some(saved) = saved {
                let _it_is_written_until_it_is = saved.await;
            }
            silenced
        })
    }

    fn skip(&self, skip: &Skip) -> ResponseFuture<Answer<Ack>> {
        let (now, trade_id) = (self.shared.clock.now(), skip.trade_id.clone());
        let record = SkipRecord { received_at: now, skip: skip.clone() };
        let shared = self.shared.clone();
        self.record(Write::Skip(record), Vec::new(), move |written| {
            Box::pin(async move {
                let ack = acknowledgement(Ok(written), trade_id.clone(), false).inspect_err(|error| {
                    if error.code == CONFLICT {
                        alert_of_trade(&shared, Level::Warning, CONFLICT, &trade_id, error.message.clone());
                    }
                })?;
                shared.trade_news.skipped(now, &trade_id);
                Ok(ack)
            })
        })
    }

    /// Records `write`, and in the same transaction the events that follow from it and are in force already. Once it is known what
    /// became of `write`, `then` is done and gives the answer; when that is not known after the first attempt the answer is
    /// `retry`, and `then` is done later if it turns out to be stored. Events that the disk does not take now are written again
    /// until it does.
    pub(super) fn record<T: 'static>(
        &self,
        write: Write,
        events: Vec<Event>,
        then: impl FnOnce(Vec<Applied>) -> ResponseFuture<Answer<T>> + 'static,
    ) -> ResponseFuture<Answer<T>> {
        let shared = self.shared.clone();
        let before = shared.unsaved.borrow().clone();
        let followed = events.iter().cloned().map(Write::Event);
        let writes: Vec<Write> = std::iter::once(write).chain(followed).collect();
        // without events it is on its way to the journal before anything else is handled
        let at_once = events.is_empty().then(|| shared.journal.attempt(writes.clone()));
        let unwritten = shared.unwritten(&events);
        Box::pin(async move {
            let (first, known) = match at_once {
                Some(attempt) => attempt,
                None => {
                    let order_under_way = shared.behind_orders().await;
                    let attempt = shared.journal.attempt(writes);
                    drop(order_under_way);
                    attempt
                }
            };
            let written = match first.await {
                Err(error) if error.in_doubt => {
                    let answer = retry(&error);
                    shared.attempts.count(events.is_empty());
                    shared.failures.clone().spawn(Place::GuardianInDoubt, async move {
                        let _until_it_is_known = unwritten;
                        let (written, followed) = apart(known.await);
                        shared.settle(events, &followed).await;
                        if let Ok(written) = written {
                            let _nobody_waits_for_it = then(written).await;
                        }
                    });
                    return Err(answer);
                }
                first => first,
            };
            let (written, followed) = apart(written);
            shared.settle(events, &followed).await;
            drop(unwritten);
            let answer = then(written.map_err(|error| retry(&error))?).await;
            shared.catch_up(&before).await?;
            answer
        })
    }
}

/// What became of the first write, and of those behind it.
fn apart(written: Written) -> (Written, Written) {
    match written {
        Ok(mut applied) => {
            let followed = applied.split_off(applied.len().min(1));
            (Ok(applied), Ok(followed))
        }
        Err(error) => (Err(error.clone()), Err(error)),
    }
}

/// The versions that `kinds` take out of service.
pub(super) fn silenced_by<'a>(kinds: impl IntoIterator<Item = &'a EventKind>) -> Vec<VersionId> {
    let gone = |kind: &EventKind| match kind {
        EventKind::Moved { version, .. } => Some(version.clone()),
        _ => None,
    };
    kinds.into_iter().filter_map(gone).collect()
}

impl Handler<RecordOutcome> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Ack>>;

    fn handle(&mut self, message: RecordOutcome, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        self.answer_with(
            context,
            Place::GuardianOutcome,
            |why| Err(unrecorded(why)),
            |guardian| {
                let RecordOutcome { request, recalled } = message;
                let known = recalled.is_some() || guardian.shared.trade_news.heard(&request.trade_id).is_some();
                if known { guardian.outcome(&request, recalled, address) } else { guardian.recall(request, address) }
            },
        )
    }
}

/// What follows, where the guardian gives it: what is told in its place is `None`.
pub(super) fn followed<T: 'static>(told: ResponseFuture<T>) -> ResponseFuture<Option<T>> {
    Box::pin(async move { Some(told.await) })
}

impl Handler<PastClosed> for Shell<Guardian> {
    type Result = ResponseFuture<Option<Vec<VersionId>>>;

    fn handle(&mut self, message: PastClosed, context: &mut Context<Self>) -> Self::Result {
        self.answer_with(
            context,
            Place::GuardianPastClosed,
            |_| None,
            |guardian| followed(guardian.past_closed(message)),
        )
    }
}

impl Handler<RecordSkip> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<Ack>>;

    fn handle(&mut self, message: RecordSkip, context: &mut Context<Self>) -> Self::Result {
        let safe = |why| Err(unrecorded(why));
        self.answer_with(context, Place::GuardianSkip, safe, |guardian| guardian.skip(&message.0))
    }
}
