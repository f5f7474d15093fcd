//! What the trainer made is registered: its record, its entry in the ledger and the steps of its life, in one transaction.
//! It gives no model influence.

use std::sync::Arc;

use actix::{Addr, AsyncContext, Context, Handler, ResponseFuture};

use super::{Answer, Guardian, orders::Committed, unanswered};
use crate::{
    actors::{
        supervision::{Place, Shell},
        trainer::Register,
    },
    domain::Event,
    journal::Write,
    protocol::message::WireError,
};

impl Guardian {
    fn register(&self, message: &Register, address: Addr<Shell<Self>>) -> ResponseFuture<Answer<()>> {
        let Register { product, job } = message;
        let writes = match product.writes(job, &self.roster, self.shared.clock.now()) {
            Ok(writes) => writes,
            Err(why) => return Box::pin(std::future::ready(Err(WireError::new("garbage", why)))),
        };
        let event = |write: &Write| match write {
            Write::Event(event) => Some(event.clone()),
            _ => None,
        };
        let events: Vec<Event> = writes.iter().filter_map(event).collect();
        let (shared, turn) = (self.shared.clone(), Arc::clone(&self.shared.turn));
        Box::pin(async move {
            let turn = turn.lock_owned().await;
            shared.write_order(writes, &events).await?;
            let delivered = address.send(Committed { events, loaded: Default::default() }).await;
            drop(turn);
            delivered.map_err(|error| WireError::new("internal_error", error.to_string()))?;
            Ok(())
        })
    }
}

impl Handler<Register> for Shell<Guardian> {
    type Result = ResponseFuture<Answer<()>>;

    fn handle(&mut self, message: Register, context: &mut Context<Self>) -> Self::Result {
        let address = context.address();
        let safe = |why| Err(unanswered(why));
        self.answer_with(context, Place::GuardianRegister, safe, |guardian| guardian.register(&message, address))
    }
}
