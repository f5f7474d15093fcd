//! Past trades: they are stored, and one that was a trade of here is judged after all.
//!
//! A past trade is history and passes no judgement. But of a signal that was answered here an outcome that comes with an
//! import is the trade's outcome like any other, told late and another way: it counts once it is on disk, and before it is
//! acknowledged.

use std::time::Duration;

use tokio::time::sleep;

use super::{Gateway, may_operate};
use crate::{
    actors::{
        acknowledge::{acknowledgement, all_stored, conflict, words},
        guardian::{Contest, Contradiction, PastClosed, stored_instead, under_another_signal},
    },
    domain::{InvalidLine, Outcome, SignalLine, Timestamp, TradeId, VersionId},
    guard::plausibility::{Incredible, check_line},
    journal::{Applied, StoredOutcome, Write},
    lifecycle::open_trades::AnsweredSignal,
    protocol::{
        message::{Ack, ImportRequest, OutcomeRequest, UnreadOutcome, WireError},
        peer::Peer,
    },
};

/// Pause before a guardian that is restarting is told again of an outcome that is on disk.
pub(super) const TELL_AGAIN: Duration = Duration::from_millis(10);

impl Gateway {
    /// Stores a past trade.
    pub(super) async fn import(&self, request: ImportRequest, peer: Peer) -> Result<Ack, WireError> {
        may_operate(peer)?;
        let unknown_symbol = !self.0.config.load().symbols.contains_key(&request.parsed.signal.symbol);
        self.store(request).await.map(|ack| Ack { unknown_symbol, ..ack })
    }

    async fn store(&self, request: ImportRequest) -> Result<Ack, WireError> {
        let ImportRequest { parsed, line } = request;
        let bounds = self.0.config.load().bounds();
        if let Err(incredible) = check_line(&parsed, self.wall_time(), &bounds) {
            return Err(self.refuse_past(&parsed, &incredible).await);
        }
        if let Some(clock) = &self.0.event_clock {
            // first of all, or a trade would seem to have happened after it was told
            clock.knows(parsed.outcome.as_ref().map_or(parsed.signal.at, |outcome| outcome.exit_at));
        }
        let (at, trade_id, outcome) = (self.0.clock.now(), parsed.signal.trade_id.clone(), parsed.outcome.clone());
        let signal = parsed.signal.clone();
        let write = Write::past_trade(parsed, line, at);
        let alone = write.signal().cloned();
        let written = self.0.journal.write(vec![write]).await;
        let is_new = matches!(written.as_deref(), Ok([Applied::Stored { matched: Some(_), .. }]));
        if let Ok([Applied::Stored { .. }]) = written.as_deref() {
            self.0.trade_news.take_name(&signal);
        }
        let instead = written.as_deref().ok().and_then(stored_instead);
        if let Some((stored, outcome)) = instead.zip(outcome.clone()) {
            let ack = self.contest(at, trade_id, outcome, stored).await?;
            // the outcome was told without its signal
            let signal = alone.map(Write::Signal).into_iter().collect();
            all_stored(self.0.journal.write(signal).await)?;
            return Ok(ack);
        }
        if let Some((stored, told)) = written.as_deref().ok().and_then(under_another_signal).zip(outcome.clone()) {
            let silenced = self.contradict(at, &trade_id, told, stored).await?;
            return Err(conflict(&trade_id, &silenced));
        }
        let ack = acknowledgement(written, trade_id.clone(), false)?;
        let Some(outcome) = outcome else { return Ok(ack) };
        let answered = self.answered_here(&trade_id, is_new).await?;
        let Some(answered) = answered else { return Ok(ack) };
        let closed = PastClosed { at, trade_id, outcome, answered };
        loop {
            match self.0.guardian.send(closed.clone()).await {
                Ok(Some(silenced)) => return Ok(Ack { silenced, ..ack }),
                Ok(None) => sleep(TELL_AGAIN).await,
                Err(_) => return Ok(ack),
            }
        }
    }

    /// A past trade that cannot be. If it was one of here and is said to be closed, nobody knows how.
    async fn refuse_past(&self, parsed: &SignalLine, incredible: &Incredible) -> WireError {
        let InvalidLine { code, message, field } = incredible.clone().into();
        let mut silenced = Vec::new();
        if let Some(outcome) = &parsed.outcome {
            let (trade_id, decision) = (Some(parsed.signal.trade_id.clone()), None);
            let closed = outcome.pnl.map(|pnl| (outcome.exit_at, pnl));
            let unread = UnreadOutcome { is_import: true, trade_id, closed, decision };
            match self.tell_unread(unread, &message, incredible.blank()).await {
                Ok(told) => silenced = told,
                Err(error) => return error,
            }
        }
        WireError { field, ..WireError::new(code, format!("{message}{}", words(&silenced))) }
    }

    /// An imported outcome of a trade that has another one: as if the trader had told it.
    async fn contest(
        &self,
        at: Timestamp,
        trade_id: TradeId,
        outcome: Outcome,
        stored: Box<StoredOutcome>,
    ) -> Result<Ack, WireError> {
        let answered =
            if self.0.trade_news.heard(&trade_id).is_some() { Vec::new() } else { self.recalled(&trade_id).await? };
        let request = OutcomeRequest { trade_id, outcome, decision: None };
        let contest = Contest { at, request, stored, answered };
        loop {
            match self.0.guardian.send(contest.clone()).await {
                Ok(Some(answer)) => return answer,
                Ok(None) => sleep(TELL_AGAIN).await,
                Err(error) => return Err(WireError::new("retry", error.to_string())),
            }
        }
    }

    /// The versions that went out of service because a past trade was told under another signal than the journal has of it. Where
    /// it is told to have been closed as it was, nothing follows.
    async fn contradict(
        &self,
        at: Timestamp,
        trade_id: &TradeId,
        told: Outcome,
        stored: Option<Box<StoredOutcome>>,
    ) -> Result<Vec<VersionId>, WireError> {
        if stored.as_ref().is_some_and(|stored| stored.record.outcome.says_all_of(&told)) {
            return Ok(Vec::new());
        }
        let answered =
            if self.0.trade_news.heard(trade_id).is_some() { Vec::new() } else { self.recalled(trade_id).await? };
        self.tell_contradiction(Contradiction { at, trade_id: trade_id.clone(), told, stored, answered }).await
    }

    /// The versions that went out of service for it.
    pub(super) async fn tell_contradiction(&self, contradiction: Contradiction) -> Result<Vec<VersionId>, WireError> {
        loop {
            match self.0.guardian.send(contradiction.clone()).await {
                Ok(Some(silenced)) => return Ok(silenced),
                Ok(None) => sleep(TELL_AGAIN).await,
                Err(error) => return Err(WireError::new("retry", error.to_string())),
            }
        }
    }

    /// What was answered to the signal of a trade, from the journal.
    async fn recalled(&self, trade_id: &TradeId) -> Result<Vec<AnsweredSignal>, WireError> {
        Ok(self.known(trade_id).await?.entries().collect())
    }

    /// What was answered to the signal of a trade whose outcome was imported, as far as it is not remembered. `None` when
    /// the trade is none of here, or counted already.
    async fn answered_here(&self, trade_id: &TradeId, is_new: bool) -> Result<Option<Vec<AnsweredSignal>>, WireError> {
        let trade_news = &self.0.trade_news;
        if trade_news.is_closed(trade_id) {
            return Ok(None);
        }
        if trade_news.heard(trade_id).is_some() {
            return Ok(Some(Vec::new()));
        }
        if !is_new {
            return Ok(None);
        }
        let answered = self.recalled(trade_id).await?;
        Ok((!answered.is_empty()).then_some(answered))
    }
}
