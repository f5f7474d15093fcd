//! What is told of a closed trade, and cannot be recorded as it is told: the one judgement of it, for a daemon that serves and for an
//! import without one.

use super::{Effects, Risk, Rules, Telling};
use crate::{
    domain::{Money, Outcome, Timestamp, TradeId, trip::Unevaluable},
    guard::plausibility::{Bounds, check},
    lifecycle::{open_trades::AnsweredSignal, roster::Roster},
};

/// A line that tells of a closed trade. Nothing of it is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Doubt<'a> {
    /// When it was told.
    pub at: Timestamp,
    /// Of which trade.
    pub trade_id: &'a TradeId,
    /// Why it cannot be recorded: it contradicts what is, or how the trade was closed cannot be read or be.
    pub why: Unevaluable,
    /// When it says that the trade was closed and what it made, when both could be read.
    pub closed: Option<(Timestamp, Money)>,
    /// The outcome that is recorded, and when that was told.
    pub stored: Option<(Timestamp, &'a Outcome)>,
    /// What is known of the trade's signal by a decision that is echoed.
    pub echo: Option<&'a AnsweredSignal>,
    /// What the journal has of its signal, oldest first, if that is not among the open trades.
    pub recalled: &'a [AnsweredSignal],
}

/// What follows from a doubt.
#[derive(Debug, Clone, PartialEq)]
pub struct Doubted {
    /// Why the trade is doubtful: [`Unevaluable::Contradicted`] also where another fault stands beside a result that is denied.
    pub why: Unevaluable,
    /// What is to be done.
    pub effects: Effects,
}

impl Risk {
    /// If a model was heard in the trade, it counts as far as it could be read: by a result that can be, or as a trade whose result is
    /// not known. Where an outcome is recorded, a line of which too little can be read contradicts nothing. `None` when nothing follows
    /// and nobody need hear of it: no model was heard in the trade, or how it was closed is known.
    pub fn doubted(
        &mut self,
        rules: &Rules<'_>,
        roster: &Roster,
        bounds: &Bounds,
        doubt: &Doubt<'_>,
    ) -> Option<Doubted> {
        let Doubt { at, trade_id, why, closed, stored, echo, recalled } = *doubt;
        let contradicts = why == Unevaluable::Contradicted
            || stored.zip(closed).is_some_and(|((_, stored), told)| stored.denies(told));
        let told = closed.map(|(exit_at, pnl)| Outcome::of(exit_at, Some(pnl)));
        let unknown = told.clone().filter(|_| contradicts).unwrap_or_else(|| Outcome::of(at, None));
        let (told_at, outcome) = stored.unwrap_or((at, &unknown));
        let telling = Telling { at: told_at, trade_id, outcome, echo, recalled };
        let heard = self.answer(roster, &telling).filter(|answer| answer.speaker().is_some())?;
        if contradicts {
            let effects = self.contradicted(rules, roster, &telling);
            return Some(Doubted { why: Unevaluable::Contradicted, effects });
        }
        if stored.is_some() {
            return None;
        }
        let signal_at = (!heard.by_echo).then_some(heard.at);
        let effects = match told.filter(|told| check(told, signal_at, at, bounds).is_ok()) {
            Some(told) => self.told(rules, roster, &Telling { outcome: &told, ..telling }),
            None => self.unknown(rules, roster, &telling, why),
        };
        Some(Doubted { why, effects })
    }
}
