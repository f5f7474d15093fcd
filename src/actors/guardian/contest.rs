//! An outcome of a trade whose outcome is on disk already: a repeat, one that says what was missing, or one that
//! contradicts it. And what is told of a trade under another signal.

use actix::{Addr, AsyncContext, Context, Handler, Message, ResponseFuture};

use super::{
    Answer, Guardian, alert_of_trade,
    messages::{Contest, stored_instead},
    record::{followed, silenced_by},
};
use crate::{
    actors::{
        acknowledge::{CONFLICT, acknowledgement, conflict, retry},
        journal::Unavailable,
        supervision::{Place, Shell},
        trade_news::OnDisk,
    },
    domain::{Decision, Outcome, Timestamp, TradeId, VersionId, event::Level, trip::Unevaluable},
    guard::plausibility::check,
    journal::{Applied, Existing, Source, StoredOutcome, Write},
    lifecycle::{happening::Happening, open_trades::AnsweredSignal},
    protocol::message::{Ack, OutcomeRequest},
    state::step::{Doubt, Telling},
};

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

/// The versions that were taken out of service. `None` when the guardian is restarting and has to be told again.
impl Message for Contradiction {
    type Result = Option<Vec<VersionId>>;
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
        let (config, trade_news) = (self.shared.config.load_full(), self.shared.trade_news.clone());
        let echoed = |echo: &Decision| {
            let of = &stored.outcome;
            Box::new(AnsweredSignal::of_echo(echo, of.exit_at, &config.calendar, &config.policy))
        };
        // of a trade that was told without a decision, what the trader now says that it acted on
        let (kept, own) = (stored.echo.as_ref().map(echoed), decision.as_ref().map(echoed));
        let speaks = |echo: &&AnsweredSignal| echo.speaker().is_some();
        let (kept_echo, own_echo) = (kept.as_deref(), own.as_deref());
        let echo = kept_echo.filter(speaks).or(own_echo.filter(speaks)).or(kept_echo).or(own_echo);
        let known = Telling {
            at: stored.received_at,
            trade_id: &trade_id,
            outcome: &stored.outcome,
            echo,
            recalled: &answered,
        };
        let answer = trade_news.risk().answer(&self.roster, &known);
        // a past trade passes no judgement
        let counts = stored.source == Source::Live || answer.is_some();
        let is_uncounted = counts && trade_news.risk().is_uncounted(&trade_id);
        let mut events = Vec::new();
        if is_uncounted {
            let (told_at, outcome) = (stored.received_at, Box::new(stored.outcome.clone()));
            let happening = Happening::Closed { at: told_at, trade_id: trade_id.clone(), echo: kept.clone(), outcome };
            let kinds = self.on_disk(OnDisk { seq: None, happening, recalled: Vec::new() });
            events.extend(self.enforce(at, kinds));
        }
        let Some(record) = stored.completed_by(&told, decision, at) else {
            let kinds = self.told(|risk, rules, roster| risk.contradicted(rules, roster, &known));
            events.extend(self.enforce(at, kinds));
            let error = conflict(&trade_id, &silenced_by(events.iter().map(|event| &event.kind)));
            alert_of_trade(&self.shared, Level::Warning, CONFLICT, &trade_id, error.message.clone());
            let silenced = self.save(events);
            return Box::pin(async move {
                let _it_is_written_until_it_is = silenced.await;
                Err(error)
            });
        };
        let (merged, completed) = (record.outcome.clone(), record.outcome != stored.outcome);
        let mut counted = None;
        if completed {
            let signal_at = answer.as_ref().filter(|answer| !answer.by_echo).map(|answer| answer.at);
            if let Err(why) = check(&merged, signal_at, at, &config.bounds()) {
                let saved = self.save(events);
                self.shared.failures.spawn(Place::GuardianForget, async move {
                    let _it_is_written_until_it_is = saved.await;
                });
                return self.refuse(at, &trade_id, &merged, &answered, &why);
            }
            let echo = kept.clone().or_else(|| own.clone());
            if counts {
                let telling = Telling { outcome: &merged, echo: echo.as_deref(), ..known };
                let kinds = self.told(|risk, rules, roster| risk.completing(rules, roster, &telling, &stored.outcome));
                events.extend(self.enforce(at, kinds));
                let (before, outcome) = (Box::new(stored.outcome.clone()), Box::new(merged));
                let (told_at, trade_id) = (stored.received_at, trade_id.clone());
                let happening = Happening::Completed { at, told_at, trade_id, echo, before, outcome };
                counted = Some((address, happening, answered));
            }
        }
        let silenced = silenced_by(events.iter().map(|event| &event.kind));
        let write = if completed { Write::Completion(Box::new(record)) } else { Write::Outcome(Box::new(record)) };
        self.record(write, events, counted, move |written, _settled| {
            Box::pin(async move {
                if stored_instead(&written).is_some() {
                    let why = "another outcome of the trade was recorded at the same time";
                    return Err(retry(&Unavailable::not_recorded(why)));
                }
                let ack = acknowledgement(Ok(written), trade_id.clone(), false)?;
                Ok(Ack { completed, silenced, ..ack })
            })
        })
    }

    fn contradiction(&mut self, contradiction: Contradiction) -> ResponseFuture<Vec<VersionId>> {
        let Contradiction { at, trade_id, told, stored, answered } = contradiction;
        let config = self.shared.config.load_full();
        let echo = stored.as_ref().and_then(|stored| stored.record.echo.as_ref());
        let echo = echo.map(|echo| AnsweredSignal::of_echo(echo, told.exit_at, &config.calendar, &config.policy));
        let doubt = Doubt {
            at,
            trade_id: &trade_id,
            why: Unevaluable::Contradicted,
            closed: told.pnl.map(|pnl| (told.exit_at, pnl)),
            stored: stored.as_ref().map(|stored| (stored.record.received_at, &stored.record.outcome)),
            echo: echo.as_ref(),
            recalled: &answered,
        };
        let Some((_, kinds)) = self.doubted(&doubt) else { return Box::pin(std::future::ready(Vec::new())) };
        let silenced = silenced_by(&kinds);
        alert_of_trade(&self.shared, Level::Warning, CONFLICT, &trade_id, conflict(&trade_id, &silenced).message);
        let saved = self.silence(kinds);
        Box::pin(async move {
            let _it_is_written_until_it_is = saved.await;
            silenced
        })
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
