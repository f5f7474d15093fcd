//! An outcome of a trade whose outcome is on disk already: a repeat, one that says what was missing, or one that
//! contradicts it. And what is told of a trade under another signal.

use actix::{Addr, AsyncContext, Context, Handler, Message, ResponseFuture};

use super::{
    Answer, Guardian, alert_of_trade,
    record::{followed, silenced_by},
};
use crate::{
    actors::{
        acknowledge::{CONFLICT, acknowledgement, conflict, retry},
        journal::Unavailable,
        supervision::{Place, Shell, Unanswered},
    },
    domain::{
        Event, Outcome, Timestamp, TradeId, VersionId,
        decision::traded_on,
        event::Level,
        trip::{Trip, Unevaluable},
    },
    guard::{emergency::ClosedTrade, plausibility::check},
    journal::{Applied, Existing, Source, StoredOutcome, Write},
    lifecycle::{
        consequences::{closed_trade, consequences, is_of_here},
        open_trades::AnsweredSignal,
    },
    protocol::message::{Ack, OutcomeRequest},
};

/// An outcome, and the other one that the journal has of the same trade.
#[derive(Debug, Clone)]
pub struct Contest {
    /// When it was told.
    pub at: Timestamp,
    /// As it came.
    pub request: OutcomeRequest,
    /// What is stored.
    pub stored: Box<StoredOutcome>,
    /// What was answered to the trade's signal, if that is not remembered.
    pub answered: Vec<AnsweredSignal>,
}

/// A line that tells of a closed trade and contradicts what is recorded of it, by its result or by its signal. Nothing of it is
/// recorded, and how the trade was closed is not known any more.
#[derive(Debug, Clone)]
pub struct Contradiction {
    /// When it was told.
    pub at: Timestamp,
    /// The trade.
    pub trade_id: TradeId,
    /// How the line says that it was closed.
    pub told: Outcome,
    /// What is stored; `None` of a trade that is open, whose signal the line contradicts.
    pub stored: Option<Box<StoredOutcome>>,
    /// What was answered to the trade's signal, if that is not on the desk.
    pub answered: Vec<AnsweredSignal>,
}

/// The outcome of a trade that was heard is on disk.
#[derive(Debug, Clone)]
pub(super) struct Settle {
    pub(super) at: Timestamp,
    pub(super) trade_id: TradeId,
    pub(super) outcome: Outcome,
}

impl Message for Contest {
    type Result = Option<Answer<Ack>>;
}

/// The versions that were taken out of service. `None` when the guardian is restarting and has to be told again.
impl Message for Contradiction {
    type Result = Option<Vec<VersionId>>;
}

impl Message for Settle {
    type Result = bool;
}

/// The outcome that the journal has of the trade instead of the one that was written.
pub fn stored_instead(applied: &[Applied]) -> Option<Box<StoredOutcome>> {
    let Some(Applied::Conflict { existing }) = applied.first() else { return None };
    if let Existing::Outcome(stored) = &**existing { Some(Box::new(stored.clone())) } else { None }
}

/// Of a past trade that was not written because the journal has another signal of it: the outcome that the journal has.
pub fn under_another_signal(applied: &[Applied]) -> Option<Option<Box<StoredOutcome>>> {
    let Some(Applied::Conflict { existing }) = applied.first() else { return None };
    if let Existing::Trade(stored) = &**existing { Some(stored.clone().map(Box::new)) } else { None }
}

impl Guardian {
    fn contest(&mut self, contest: Contest, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<Ack>> {
        let Contest { at, request: OutcomeRequest { trade_id, outcome: told, decision }, stored, answered } = contest;
        let StoredOutcome { record: stored, .. } = *stored;
        let config = self.shared.config.load_full();
        let heard = answered.iter().find(|entry| entry.speaker().is_some()).or(answered.first());
        let open = self.shared.trade_news.heard(&trade_id);
        // of a trade that was told without a decision, what the trader now says that it acted on
        let echo = decision.as_ref().or(stored.echo.as_ref()).filter(|echo| is_of_here(&self.roster, echo));
        let echo = echo.map(|echo| AnsweredSignal::of_echo(echo, told.exit_at, &config.calendar, &config.policy));
        let mut entry = open.as_deref().or(heard).or(echo.as_ref()).cloned();
        // at the size that the journal will say was traded
        let first = answered.first().map(|entry| &entry.decision);
        if let Some(answer) = traded_on(first, stored.echo.as_ref().or(decision.as_ref()))
            && let Some(entry) = &mut entry
        {
            entry.trade_on(answer);
        }
        let entry = entry.as_ref();
        // a past trade passes no judgement
        let counts = stored.source == Source::Live || entry.is_some();
        let limit = self.shared.trade_news.daily_loss_limit();
        let closed = |outcome: &Outcome| -> ClosedTrade {
            closed_trade(&trade_id, outcome, entry, stored.received_at, limit, &config.calendar)
        };
        let known = closed(&stored.outcome);
        let mut trips = if counts { self.emergency.settle(&config.guardian, &known) } else { Vec::new() };
        self.shared.trade_news.closed(at, &trade_id, stored.outcome.clone());
        let Some(record) = stored.completed_by(&told, decision, at) else {
            trips.extend(self.contradicted(&known));
            let kinds = self.follow_from(trips);
            let error = conflict(&trade_id, &silenced_by(&kinds));
            alert_of_trade(&self.shared, Level::Warning, CONFLICT, &trade_id, error.message.clone());
            let silenced = (!kinds.is_empty()).then(|| self.silence(kinds));
            return Box::pin(async move {
                if let Some(silenced) = silenced {
                    let _it_is_written_until_it_is = silenced.await;
                }
                Err(error)
            });
        };
        let (merged, completed) = (record.outcome.clone(), record.outcome != stored.outcome);
        if completed {
            let signal_at = entry.filter(|entry| !entry.by_echo).map(|entry| entry.at);
            if let Err(why) = check(&merged, signal_at, at, &config.bounds()) {
                return self.refuse(at, &trade_id, &merged, &why);
            }
            self.shared.trade_news.traded_on(&trade_id, record.echo.as_ref());
            if counts {
                trips.extend(self.emergency.complete(&config.guardian, &known, &closed(&merged)));
            }
        }
        let kinds = self.follow_from(trips);
        let silenced = silenced_by(&kinds);
        let events: Vec<Event> = kinds.into_iter().map(|kind| Event { at, kind }).collect();
        if !events.is_empty() {
            self.enforce(&events);
        }
        let write = if completed { Write::Completion(Box::new(record)) } else { Write::Outcome(Box::new(record)) };
        let trade_news = self.shared.trade_news.clone();
        self.record(write, events, move |written| {
            Box::pin(async move {
                if stored_instead(&written).is_some() {
                    let why = "another outcome of the trade was recorded at the same time";
                    return Err(retry(&Unavailable::not_recorded(why)));
                }
                let ack = acknowledgement(Ok(written), trade_id.clone(), false)?;
                let _told_if_it_lives = address.send(Settle { at, trade_id, outcome: merged }).await;
                if completed {
                    trade_news.completed();
                }
                Ok(Ack { completed, silenced, ..ack })
            })
        })
    }

    /// The rules that cannot be evaluated since what is told of a trade contradicts what is recorded: none, if no model that is in
    /// service was heard in it.
    fn contradicted(&self, trade: &ClosedTrade) -> Vec<Trip> {
        let is_judged = trade.ml.as_ref().is_some_and(|say| self.emergency.judges(&say.version));
        if is_judged { self.emergency.unknown(trade, Unevaluable::Contradicted) } else { Vec::new() }
    }

    fn contradiction(&mut self, contradiction: Contradiction) -> ResponseFuture<Vec<VersionId>> {
        let Contradiction { at, trade_id, told, stored, answered } = contradiction;
        let config = self.shared.config.load_full();
        let on_desk = self.shared.trade_news.heard(&trade_id);
        let echo = stored.as_ref().and_then(|stored| stored.record.echo.as_ref());
        let echo = echo.filter(|echo| is_of_here(&self.roster, echo));
        let echo = echo.map(|echo| AnsweredSignal::of_echo(echo, told.exit_at, &config.calendar, &config.policy));
        let known = on_desk.as_deref().into_iter().chain(&answered).chain(&echo);
        let Some(entry) = known.into_iter().find(|entry| entry.speaker().is_some()) else {
            return Box::pin(std::future::ready(Vec::new()));
        };
        let (outcome, told_at) =
            stored.as_ref().map_or((&told, at), |stored| (&stored.record.outcome, stored.record.received_at));
        let limit = self.shared.trade_news.daily_loss_limit();
        let trade = closed_trade(&trade_id, outcome, Some(entry), told_at, limit, &config.calendar);
        let kinds = self.follow_from(self.contradicted(&trade));
        let silenced = silenced_by(&kinds);
        alert_of_trade(&self.shared, Level::Warning, CONFLICT, &trade_id, conflict(&trade_id, &silenced).message);
        let saved = (!kinds.is_empty()).then(|| self.silence(kinds));
        Box::pin(async move {
            if let Some(saved) = saved {
                let _it_is_written_until_it_is = saved.await;
            }
            silenced
        })
    }

    /// What is on disk counts from now on, whatever was told of the trade meanwhile. False when something followed from that and
    /// is not on disk.
    fn settle(&mut self, settle: &Settle) -> ResponseFuture<bool> {
        let Settle { at, trade_id, outcome } = settle;
        let trade = self.closed_trade(*at, trade_id, outcome);
        let trips = self.emergency.settle(&self.shared.config.load().guardian, &trade);
        let kinds = consequences(&self.roster, trips);
        if kinds.is_empty() { Box::pin(std::future::ready(true)) } else { self.silence(kinds) }
    }
}

impl Handler<Contest> for Shell<Guardian> {
    type Result = ResponseFuture<Option<Answer<Ack>>>;

    fn handle(&mut self, message: Contest, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        self.answer_with(
            context,
            Place::GuardianContest,
            |_| None,
            |guardian| followed(guardian.contest(message, address)),
        )
    }
}

impl Handler<Contradiction> for Shell<Guardian> {
    type Result = ResponseFuture<Option<Vec<VersionId>>>;

    fn handle(&mut self, message: Contradiction, context: &mut Context<Self>) -> Self::Result {
        self.answer_with(
            context,
            Place::GuardianContradiction,
            |_| None,
            |guardian| followed(guardian.contradiction(message)),
        )
    }
}

impl Handler<Settle> for Shell<Guardian> {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, message: Settle, context: &mut Context<Self>) -> Self::Result {
        if !self.is_there() {
            // one that is being made may have begun with a journal that did not hold the outcome yet
            self.miss();
        }
        let safe = |why| why == Unanswered::Down;
        self.answer_with(context, Place::GuardianSettle, safe, |guardian| guardian.settle(&message))
    }
}
