//! What a trader makes of the answers it gets: which trades it takes, at which size, and what it reports.
//!
//! A trade that the answer asks no size of is let go and reported as such; its end is still known here, and to nobody
//! else. The end of one that is taken is reported with the profit of its size. [`Book`] holds for whoever plays a trader,
//! [`Execution`] for the simulated one, whose truth is known as well.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::tape::{Action, ActionKind};
use vigie_core::domain::{Arm, Timestamp, TradeId};

/// Trades of which a mean chance says something.
const FEWEST: usize = 20;

/// The answers that trades are made on.
#[derive(Debug, Clone, Default)]
pub struct Book(BTreeMap<TradeId, Answered>);

/// The simulated trader.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    book: Book,
    /// Trades whose end has come, in that order.
    closed: Vec<Closed>,
}

/// What a signal was answered, as far as the trader acts on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answered {
    /// The policy to follow.
    pub arm: Arm,
    /// Multiple of the strategy's own size; 0 asks for no trade.
    pub size: f64,
}

/// A trade at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    /// Which.
    pub trade_id: TradeId,
    /// When it was reported, or would have been.
    pub at: Timestamp,
    /// What the strategy alone would have earned, in truth.
    pub own: f64,
    /// What was earned, in truth.
    pub traded: f64,
    /// What was reported as earned by its size; `None` of a trade that was let go. It differs from `traded` when the report
    /// is false.
    pub reported: Option<f64>,
    /// The answer it was traded on.
    pub answer: Answered,
    /// The chance of a profit that it had in truth when its signal fired, 0 to 1.
    pub chance: f64,
}

impl Book {
    /// Takes in the answer to a signal. Gives what is to be sent when the trade is let go. The first answer counts.
    pub fn answered(&mut self, trade_id: &TradeId, answer: Answered) -> Option<String> {
        if self.0.contains_key(trade_id) {
            return None;
        }
        self.0.insert(trade_id.clone(), answer);
        let skip = json!({ "type": "skip", "trade_id": trade_id, "reason": "the answer asks for no size" });
        (answer.size <= 0.0).then(|| skip.to_string())
    }

    /// The answer that a trade is made on.
    pub fn answer(&self, trade_id: &TradeId) -> Option<&Answered> {
        self.0.get(trade_id)
    }

    /// What to send when a trade ends, of which the request `line` tells what the strategy alone would have made: the same
    /// with the profit of the size that was traded. Nothing for a trade that was let go or that no answer is known of.
    pub fn outcome(&self, trade_id: &TradeId, line: &str) -> Option<String> {
        let size = self.answer(trade_id)?.size;
        if size == 1.0 { Some(line.to_owned()) } else { (size > 0.0).then(|| scaled(line, size)).flatten() }
    }
}

impl Answered {
    /// What a trader does who hears nothing: the strategy alone.
    pub const ALONE: Self = Self { arm: Arm::Baseline, size: 1.0 };

    /// The amount that a trade makes at this size which makes `own` at the strategy's own.
    pub fn makes(&self, own: f64) -> f64 {
        if self.size > 0.0 { own * self.size } else { 0.0 }
    }
}

impl Execution {
    /// What to send for `action`; nothing for the end of a trade that was let go.
    pub fn request(&self, action: &Action) -> Option<String> {
        match action.kind {
            ActionKind::Signal => Some(action.line.clone()),
            ActionKind::Outcome => self.book.outcome(&action.trade_id, &action.line),
        }
    }

    /// [`Book::answered`].
    pub fn answered(&mut self, trade_id: &TradeId, answer: Answered) -> Option<String> {
        self.book.answered(trade_id, answer)
    }

    /// Takes in the end of a trade, as far as it is the first word of it.
    pub fn closed(&mut self, action: &Action) {
        let first = action.kind == ActionKind::Outcome && !action.again;
        let (true, Some(answer), Some(told)) = (first, self.book.answer(&action.trade_id), own_pnl(&action.line))
        else {
            return;
        };
        let own = action.truth.pnl;
        let traded = answer.makes(own);
        let reported = (answer.size > 0.0).then(|| answer.makes(told));
        let (trade_id, at) = (action.trade_id.clone(), action.at);
        let chance = action.truth.probability;
        self.closed.push(Closed { trade_id, at, own, traded, reported, answer: *answer, chance });
    }

    /// Trades whose end has come.
    pub fn all_closed(&self) -> &[Closed] {
        &self.closed
    }

    /// The mean chance that the trades taken on a model's word had in truth, of those that closed until `since` and of those
    /// after it. `None` when either are fewer than 20.
    pub fn chances_taken(&self, since: Timestamp) -> Option<(f64, f64)> {
        let taken = |trade: &&Closed| trade.answer.arm == Arm::Ml && trade.answer.size > 0.0;
        let (lately, before): (Vec<&Closed>, Vec<&Closed>) =
            self.closed.iter().filter(taken).partition(|trade| trade.at > since);
        let mean = |trades: &[&Closed]| {
            let sum: f64 = trades.iter().map(|trade| trade.chance).sum();
            (trades.len() >= FEWEST).then(|| sum / trades.len() as f64)
        };
        Some((mean(&before)?, mean(&lately)?))
    }
}

fn own_pnl(line: &str) -> Option<f64> {
    let outcome: Value = serde_json::from_str(line).ok()?;
    outcome.pointer("/outcome_metrics/pnl")?.as_f64()
}

/// The outcome with the profit of a trade of `size`.
fn scaled(line: &str, size: f64) -> Option<String> {
    let mut outcome: Value = serde_json::from_str(line).ok()?;
    if let Some(pnl) = outcome.pointer_mut("/outcome_metrics/pnl")
        && let Some(own) = pnl.as_f64()
    {
        *pnl = json!(own * size);
    }
    Some(outcome.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Regime, Truth};
    use vigie_core::domain::TradingDay;

    fn action(kind: ActionKind, again: bool) -> Action {
        let at = Timestamp::from_second(1_760_000_000).unwrap();
        let day: TradingDay = serde_json::from_str("\"2025-10-09\"").unwrap();
        let truth = Truth {
            session: 0,
            day,
            regime: Regime::TrendUp,
            probability: 0.6,
            won: true,
            pnl: 120.5,
            poisoned: false,
        };
        let line = r#"{"type":"outcome","trade_id":"T-1","outcome_metrics":{"exit_at":"2025-10-09T09:00:00Z","pnl":120.5,"exit_reason":"signal"}}"#;
        Action { at, trade_id: TradeId::new("T-1").unwrap(), kind, again, line: line.to_owned(), truth }
    }

    fn pnl_sent(size: f64) -> Option<f64> {
        let mut execution = Execution::default();
        let signal = action(ActionKind::Signal, false);
        execution.answered(&signal.trade_id, Answered { arm: Arm::Ml, size });
        own_pnl(&execution.request(&action(ActionKind::Outcome, false))?)
    }

    #[test]
    fn a_trade_is_reported_with_the_profit_of_its_size_and_not_at_all_when_it_was_let_go() {
        assert_eq!([1.0, 0.5, 0.333].map(pnl_sent), [Some(120.5), Some(60.25), Some(120.5 * 0.333)]);
        assert_eq!(pnl_sent(0.0), None);
    }

    #[test]
    fn what_is_reported_falsely_is_summed_as_it_was_in_truth() {
        let mut execution = Execution::default();
        let ended = action(ActionKind::Outcome, false);
        let poisoned = Action { truth: Truth { won: false, pnl: -130.0, poisoned: true, ..ended.truth }, ..ended };
        execution.answered(&poisoned.trade_id, Answered { arm: Arm::Ml, size: 0.5 });
        execution.closed(&poisoned);
        let closed = &execution.all_closed()[0];
        assert_eq!((closed.own, closed.traded, closed.reported), (-130.0, -65.0, Some(60.25)));
    }

    #[test]
    fn the_first_answer_and_the_first_end_count() {
        let mut execution = Execution::default();
        let trade_id = TradeId::new("T-1").unwrap();
        let skip = execution.answered(&trade_id, Answered { arm: Arm::Ml, size: 0.0 }).unwrap();
        assert!(skip.contains("\"type\":\"skip\"") && skip.contains("T-1"));
        assert_eq!(execution.answered(&trade_id, Answered { arm: Arm::Ml, size: 2.0 }), None);
        execution.closed(&action(ActionKind::Outcome, false));
        execution.closed(&action(ActionKind::Outcome, true));
        let closed = execution.all_closed();
        assert_eq!((closed.len(), closed[0].own, closed[0].traded), (1, 120.5, 0.0));
    }
}
