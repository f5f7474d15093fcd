//! Outcomes and signals let go: first the guardian, then the journal, then the acknowledgement.

use actix::{Addr, AsyncContext, Context, Handler, Message, ResponseFuture};

use super::{
    Answer, Guardian, GuardianShared, PastClosed, RecordOutcome, RecordSkip, alert_of_trade,
    messages::{Contest, Recalled, stored_instead},
    tell, unrecorded,
};
use crate::{
    actors::{
        acknowledge::{CONFLICT, acknowledgement, retry, words},
        journal::Written,
        supervision::{Place, Shell, Unanswered},
        trade_news::OnDisk,
    },
    domain::{Decision, Event, EventKind, Outcome, Skip, Timestamp, TradeId, VersionId, event::Level},
    guard::plausibility::{Incredible, check},
    journal::{Applied, OutcomeRecord, SkipRecord, Source, Write},
    lifecycle::{consequences::is_of_here, happening::Happening, open_trades::AnsweredSignal},
    protocol::message::{Ack, OutcomeRequest, WireError},
    recall::history,
    state::step::Telling,
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
        let answered = recalled.map(|known| known.answered).unwrap_or_default();
        if is_open && let Err(why) = self.check(now, trade_id, outcome, fired) {
            return self.refuse(now, trade_id, outcome, &answered, &why);
        }
        let config = self.shared.config.load_full();
        let of = |echo| AnsweredSignal::of_echo(echo, outcome.exit_at, &config.calendar, &config.policy);
        let echo = decision.as_ref().map(of).map(Box::new);
        let is_of_here = decision.as_ref().is_some_and(|echo| is_of_here(&self.roster, echo));
        let mut tripped = Vec::new();
        if is_open {
            if !is_of_here && answered.is_empty() {
                self.tell_of_unknown(trade_id, decision.as_ref());
            }
            let telling = Telling { at: now, trade_id, outcome, echo: echo.as_deref(), recalled: &answered };
            let kinds = self.told(|risk, rules, roster| risk.told(rules, roster, &telling));
            tripped = self.enforce(now, kinds);
        }
        let record = OutcomeRecord {
            trade_id: trade_id.clone(),
            received_at: now,
            source: Source::Live,
            echo: decision.clone(),
            outcome: outcome.clone(),
        };
        let silenced = silenced_by(tripped.iter().map(|event| &event.kind));
        let happening =
            Happening::Closed { at: now, trade_id: trade_id.clone(), echo, outcome: Box::new(outcome.clone()) };
        let counted = is_open.then(|| (address.clone(), happening, answered.clone()));
        let (request, trade_id) = (request.clone(), trade_id.clone());
        self.record(Write::Outcome(Box::new(record)), tripped, counted, move |written, settled| {
            Box::pin(async move {
                if let Some(stored) = stored_instead(&written) {
                    let contest = Contest { at: now, request, stored, answered };
                    return address
                        .send(contest)
                        .await
                        .ok()
                        .flatten()
                        .unwrap_or_else(|| Err(unrecorded(Unanswered::Failed)));
                }
                let ack = acknowledgement(Ok(written), trade_id, is_open && is_of_here)?;
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
        recalled: &[AnsweredSignal],
        why: &Incredible,
    ) -> ResponseFuture<Answer<Ack>> {
        let telling = Telling { at: now, trade_id, outcome, echo: None, recalled };
        let kinds = self.told(|risk, rules, roster| risk.unknown(rules, roster, &telling, why.blank()));
        let field = why.field();
        let gone = words(&silenced_by(&kinds));
        let message = format!("{field}: {why}; it is not recorded, correct it and send it again{gone}");
        alert_of_trade(&self.shared, Level::Warning, "outcome_refused", trade_id, format!("{trade_id}: {message}"));
        let silenced = self.silence(kinds);
        Box::pin(async move {
            let _it_is_written_until_it_is = silenced.await;
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
            let (closed, fired) = (found.outcome.is_some(), found.fired);
            let recalled = Some(Recalled { closed, answered: found.entries().collect(), fired });
            let sent = address.send(RecordOutcome { request, recalled }).await;
            sent.unwrap_or_else(|error| Err(WireError::new("internal_error", error.to_string())))
        })
    }

    /// An outcome is on disk and counts for good. Gives back what follows beyond what was told.
    pub(super) fn on_disk(&self, on_disk: OnDisk) -> Vec<EventKind> {
        let kinds = self.shared.trade_news.on_disk(&self.roster, on_disk);
        tell(&kinds);
        kinds
    }

    /// A trade of here whose outcome was imported: it is judged as if the trader had told it, unless it counted already.
    fn past_closed(&mut self, closed: PastClosed) -> ResponseFuture<Vec<VersionId>> {
        let PastClosed { at, trade_id, outcome, answered } = closed;
        if self.shared.trade_news.is_closed(&trade_id) {
            return Box::pin(std::future::ready(Vec::new()));
        }
        let happening = Happening::Closed { at, trade_id, echo: None, outcome: Box::new(outcome) };
        let kinds = self.on_disk(OnDisk { seq: None, happening, recalled: answered });
        let silenced = silenced_by(&kinds);
        let saved = self.silence(kinds);
        Box::pin(async move {
            let _it_is_written_until_it_is = saved.await;
            silenced
        })
    }

    fn skip(&self, skip: &Skip) -> ResponseFuture<Answer<Ack>> {
        let (now, trade_id) = (self.shared.clock.now(), skip.trade_id.clone());
        let record = SkipRecord { received_at: now, skip: skip.clone() };
        let shared = self.shared.clone();
        self.record(Write::Skip(record), Vec::new(), None, move |written, _settled| {
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
    /// became of `write`, what is `counted` by it is, and `then` gives the answer; it is told whether all that followed is on disk. When
    /// that is not known after the first attempt the answer is `retry`, and the rest is done later if it turns out to be stored. Events
    /// that the disk does not take now are written again until it does.
    pub(super) fn record<T: 'static>(
        &self,
        write: Write,
        events: Vec<Event>,
        counted: Option<Counted>,
        then: impl FnOnce(Vec<Applied>, bool) -> ResponseFuture<Answer<T>> + 'static,
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
                        let settled = shared.count(&written, counted).await;
                        shared.settle(events, &followed).await;
                        if let Ok(written) = written {
                            let _nobody_waits_for_it = then(written, settled).await;
                        }
                    });
                    return Err(answer);
                }
                first => first,
            };
            let (written, followed) = apart(written);
            // in the order of the log: the outcome, and behind it what followed from it
            let settled = shared.count(&written, counted).await;
            shared.settle(events, &followed).await;
            drop(unwritten);
            let answer = then(written.map_err(|error| retry(&error))?, settled).await;
            shared.catch_up(&before).await?;
            answer
        })
    }
}

/// What counts once it is on disk, what was answered to its signal if that is not remembered, and who counts it.
pub(super) type Counted = (Addr<Shell<Guardian>>, Happening, Vec<AnsweredSignal>);

/// An outcome is on disk. False when something followed from that beyond what was told and is not on disk.
struct Settle(OnDisk);

impl Message for Settle {
    type Result = Result<bool, Unanswered>;
}

impl GuardianShared {
    /// Has what is on disk of an outcome count for good, whatever was told of the trade meanwhile. False when something followed
    /// from that and is not on disk.
    async fn count(&self, written: &Written, counted: Option<Counted>) -> bool {
        let seq = match written.as_deref() {
            Ok([Applied::Stored { seq, .. }, ..]) => Some(*seq),
            Ok([Applied::Duplicate, ..]) => None,
            _ => return true,
        };
        let Some((guardian, happening, recalled)) = counted else { return true };
        let on_disk = OnDisk { seq, happening, recalled };
        let answer = guardian.send(Settle(on_disk.clone())).await;
        if let Ok(Ok(durable)) = answer {
            return durable;
        }
        // a guardian that restarts finds what follows in the journal, or in what came since it was begun
        let _found_again = self.trade_news.on_disk(&self.trade_news.roster(), on_disk);
        answer != Ok(Err(Unanswered::Failed))
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

impl Handler<Settle> for Shell<Guardian> {
    type Result = ResponseFuture<Result<bool, Unanswered>>;

    fn handle(&mut self, Settle(on_disk): Settle, context: &mut Context<Self>) -> Self::Result {
        self.answer_with(context, Place::GuardianSettle, Err, |guardian| {
            let kinds = guardian.on_disk(on_disk);
            let durable = guardian.silence(kinds);
            Box::pin(async move { Ok(durable.await) })
        })
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
