//! Outcomes and signals let go: first the guardian, then the journal, then the acknowledgement.

use actix::{Context, Handler, ResponseFuture};

use super::{Answer, Guardian, RecordOutcome, RecordSkip, alert, down, retry};
use crate::{
    actors::{journal::Unavailable, supervision::Shell},
    domain::{Skip, TradeId, event::Level},
    journal::{Applied, OutcomeRecord, SkipRecord, Source, Write},
    protocol::message::{Ack, OutcomeRequest, WireError},
};

impl Guardian {
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
