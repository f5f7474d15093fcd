//! Outcomes and signals let go: first the guardian, then the journal, then the acknowledgement.

use actix::{Context, Handler, ResponseFuture};

use super::{Answer, Guardian, RecordOutcome, RecordSkip, alert, down};
use crate::{
    actors::{
        acknowledge::{CONFLICT, acknowledgement},
        supervision::Shell,
    },
    domain::{Skip, TradeId, event::Level},
    journal::{OutcomeRecord, SkipRecord, Source, Write},
    protocol::message::{Ack, OutcomeRequest},
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
            let answer = acknowledgement(written.await, trade_id, echoed);
            if let Err(error) = &answer
                && error.code == CONFLICT
            {
                alert(&shared, Level::Warning, CONFLICT, error.message.clone());
            }
            answer
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
