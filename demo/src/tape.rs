//! What reaches the reader, in the order of time, as lines of the wire.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Venue,
    options::{InvalidOptions, SimulationOptions},
    trade::{Sessions, Trade, TradedSession, Truth},
    wire,
};
use vigie_core::domain::{Timestamp, TradeId};

/// One line at its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// When it is sent.
    pub at: Timestamp,
    /// The trade it is about.
    pub trade_id: TradeId,
    /// What it is.
    pub kind: ActionKind,
    /// Whether the same was sent before.
    pub again: bool,
    /// The request, one JSON object without a line end.
    pub line: String,
    /// The truth about the trade.
    pub truth: Truth,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// A `score` request.
    Signal,
    /// An `outcome` request.
    Outcome,
}

/// The actions of a simulation, in the order of their times; of one time, in the order of their trades.
///
/// No more is held than the actions of one session and what is reported late.
#[derive(Debug, Clone)]
pub struct Tape {
    sessions: Sessions,
    next: Option<TradedSession>,
    pending: BTreeMap<(Timestamp, u64), Action>,
    made: u64,
}

impl Tape {
    /// The tape of a simulation at `venue`.
    ///
    /// # Errors
    /// [`InvalidOptions`].
    pub fn new(options: SimulationOptions, venue: Venue) -> Result<Self, InvalidOptions> {
        Ok(Self::of(Sessions::new(options, venue)?))
    }

    /// The tape of the sessions that are left of `sessions`.
    pub fn of(mut sessions: Sessions) -> Self {
        let next = sessions.next();
        Self { sessions, next, pending: BTreeMap::new(), made: 0 }
    }

    fn add(&mut self, trade: &Trade) {
        if trade.delivered.lost {
            return;
        }
        let again = &trade.delivered;
        let signal = wire::score(&trade.signal);
        self.push(trade, trade.signal.at, ActionKind::Signal, false, &signal);
        if let Some(at) = again.signal_again_at {
            self.push(trade, at, ActionKind::Signal, true, &signal);
        }
        let outcome = wire::outcome(&trade.signal.trade_id, &trade.outcome);
        self.push(trade, again.reported_at, ActionKind::Outcome, false, &outcome);
        if let Some(at) = again.outcome_again_at {
            self.push(trade, at, ActionKind::Outcome, true, &outcome);
        }
    }

    fn push(&mut self, trade: &Trade, at: Timestamp, kind: ActionKind, again: bool, line: &str) {
        let (trade_id, line, truth) = (trade.signal.trade_id.clone(), line.to_owned(), trade.truth);
        self.made += 1;
        self.pending.insert((at, self.made), Action { at, trade_id, kind, again, line, truth });
    }
}

impl Iterator for Tape {
    type Item = Action;

    fn next(&mut self) -> Option<Action> {
        loop {
            let first = self.pending.first_key_value().map(|((at, _), _)| *at);
            match &self.next {
                // something later could still come before it
                Some(session) if first.is_none_or(|at| at >= session.opening) => {}
                _ => return self.pending.pop_first().map(|(_, action)| action),
            }
            let session = self.next.take()?;
            session.trades.iter().for_each(|trade| self.add(trade));
            self.next = self.sessions.next();
        }
    }
}
