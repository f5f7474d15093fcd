//! Lines that tell of a closed trade and are at fault: the guardian hears of the trade all the same.

use tokio::time::sleep;

use super::{Gateway, import::TELL_AGAIN, may_operate};
use crate::{
    actors::{
        acknowledge::{retry, words},
        guardian::{Contradiction, Unread},
    },
    domain::{Outcome, TradeId, VersionId, trip::Unevaluable},
    protocol::{
        message::{Rejected, UnreadOutcome, WireError},
        peer::Peer,
    },
    recall::history::{self, Known},
};

impl Gateway {
    /// Tells the guardian of the trade that a refused line said to be closed, and the client what followed.
    ///
    /// # Errors
    /// `retry` when nobody can say now whether a model was heard in the trade.
    pub(super) async fn refuse(&self, mut rejected: Rejected, peer: Peer) -> Result<Rejected, WireError> {
        let Some(unread) = rejected.outcome.take() else { return Ok(rejected) };
        // who may not import has told nothing
        if unread.is_import && may_operate(peer).is_err() {
            return Ok(rejected);
        }
        let silenced = self.tell_unread(unread, &rejected.error.message, Unevaluable::OutcomeUnreadable).await?;
        rejected.error.message.push_str(&words(&silenced));
        Ok(rejected)
    }

    /// The versions that went out of service for a trade that was closed and whose outcome has the fault `fault`.
    pub(super) async fn tell_unread(
        &self,
        unread: UnreadOutcome,
        fault: &str,
        blank: Unevaluable,
    ) -> Result<Vec<VersionId>, WireError> {
        let UnreadOutcome { trade_id, closed, decision, .. } = unread;
        let trade_news = &self.0.trade_news;
        let is_on_desk = trade_id.as_ref().is_some_and(|trade_id| trade_news.heard(trade_id).is_some());
        let mut answered = Vec::new();
        if let Some(trade_id) = trade_id.clone().filter(|trade_id| !is_on_desk || trade_news.is_closed(trade_id)) {
            let mut known = self.known(&trade_id).await?;
            let stored = known.outcome.take();
            answered.extend(known.entries().filter(|_| !is_on_desk));
            if let Some(stored) = stored {
                // a fault beside it hides no contradiction
                if let Some((exit_at, pnl)) = closed.filter(|told| stored.record.outcome.denies(*told)) {
                    let (at, told) = (self.0.clock.now(), Outcome::of(exit_at, Some(pnl)));
                    let contradiction = Contradiction { at, trade_id, told, stored: Some(stored), answered };
                    return self.tell_contradiction(contradiction).await;
                }
                if !is_on_desk {
                    return Ok(Vec::new());
                }
            }
        }
        let unread = Unread { trade_id, closed, decision, fault: fault.to_owned(), blank, answered };
        loop {
            match self.0.guardian.send(unread.clone()).await {
                Ok(Some(silenced)) => return Ok(silenced),
                Ok(None) => sleep(TELL_AGAIN).await,
                Err(error) => return Err(WireError::new("retry", error.to_string())),
            }
        }
    }

    /// What the journal knows of a trade.
    pub(super) async fn known(&self, trade_id: &TradeId) -> Result<Known, WireError> {
        let reader = self.0.journal.read().await.map_err(|error| retry(&error))?;
        let (config, trade_id) = (self.0.config.load_full(), trade_id.clone());
        let known = self.blocking(move || history::known_of(&reader, &trade_id, &config)).await?;
        known.map_err(|error| WireError::new("retry", error))
    }
}
