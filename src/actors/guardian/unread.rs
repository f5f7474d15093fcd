//! Closed trades of which nobody knows how they went: the line that told of one could not be taken.

use actix::{Context, Handler, Message, ResponseFuture};

use super::{
    Guardian, alert_of_trade,
    record::{followed, silenced_by},
};
use crate::{
    actors::{
        acknowledge::words,
        supervision::{Place, Shell},
    },
    domain::{Decision, EventKind, Money, Timestamp, TradeId, VersionId, event::Level, trip::Unevaluable},
    lifecycle::open_trades::AnsweredSignal,
    state::step::{Doubt, Doubted, Effects},
};

/// A line that told of a closed trade and is at fault. Nothing of it is recorded.
#[derive(Debug, Clone)]
pub struct Unread {
    /// The trade, when the line names one.
    pub trade_id: Option<TradeId>,
    /// When it was closed and what it made, when both could be read.
    pub closed: Option<(Timestamp, Money)>,
    /// The decision that the line echoes, when that could be read.
    pub decision: Option<Decision>,
    /// What is wrong with the line, in words.
    pub fault: String,
    /// Why the rules cannot be evaluated unless the trade's result could be read.
    pub blank: Unevaluable,
    /// What was answered to the trade's signal, if that is not remembered.
    pub answered: Vec<AnsweredSignal>,
}

/// The versions that were taken out of service. `None` when the guardian is restarting and has to be told again.
impl Message for Unread {
    type Result = Option<Vec<VersionId>>;
}

/// Stands for the trades that no line named, or in which no model was heard, where their faults are counted together.
const NO_TRADE: &str = "-";

impl Guardian {
    /// If a model was heard in the trade, it counts as far as it could be read: by its result, or as a trade whose result is not
    /// known. In a trade that is closed already, or that no model influenced, nothing follows.
    fn unread(&mut self, unread: Unread) -> ResponseFuture<Vec<VersionId>> {
        let Unread { trade_id, closed, decision, fault, blank, answered } = unread;
        let now = self.shared.clock.now();
        let config = self.shared.config.load_full();
        let exit_at = closed.map_or(now, |(exit_at, _)| exit_at);
        let echo = decision.map(|echo| AnsweredSignal::of_echo(&echo, exit_at, &config.calendar, &config.policy));
        let of_open = trade_id.as_ref().filter(|trade_id| !self.shared.trade_news.is_closed(trade_id));
        let doubted = of_open.and_then(|trade_id| {
            let (echo, recalled) = (echo.as_ref(), answered.as_slice());
            let doubt = Doubt { at: now, trade_id, why: blank, closed, stored: None, echo, recalled };
            Some((trade_id, self.doubted(&doubt)?.1))
        });
        let Some((trade_id, kinds)) = doubted else {
            let message = format!("an outcome is not recorded, correct it and send it again: {fault}");
            if let Ok(none) = TradeId::new(NO_TRADE) {
                alert_of_trade(&self.shared, Level::Warning, "outcome_unreadable", &none, message);
            }
            return Box::pin(std::future::ready(Vec::new()));
        };
        let silenced = silenced_by(&kinds);
        let gone = words(&silenced);
        let message = format!("{trade_id}: {fault}; it is not recorded, correct it and send it again{gone}");
        alert_of_trade(&self.shared, Level::Warning, "outcome_unreadable", trade_id, message);
        let saved = self.silence(kinds);
        Box::pin(async move {
            let _it_is_written_until_it_is = saved.await;
            silenced
        })
    }
}

impl Guardian {
    /// What follows from what is told of a closed trade and cannot be recorded so, and why the trade is doubtful. `None` when nothing
    /// follows and nobody need hear of it.
    pub(super) fn doubted(&self, doubt: &Doubt<'_>) -> Option<(Unevaluable, Vec<EventKind>)> {
        let (mut found, bounds) = (None, self.shared.config.load().bounds());
        let kinds = self.told(|risk, rules, roster| match risk.doubted(rules, roster, &bounds, doubt) {
            Some(Doubted { why, effects }) => {
                found = Some(why);
                effects
            }
            None => Effects::default(),
        });
        found.map(|why| (why, kinds))
    }
}

impl Handler<Unread> for Shell<Guardian> {
    type Result = ResponseFuture<Option<Vec<VersionId>>>;

    fn handle(&mut self, message: Unread, context: &mut Context<Self>) -> Self::Result {
        self.answer_with(context, Place::GuardianUnread, |_| None, |guardian| followed(guardian.unread(message)))
    }
}
