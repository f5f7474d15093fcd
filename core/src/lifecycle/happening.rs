//! What can happen, in the order in which it does.
//!
//! A part of the daemon that is rebuilt takes the happenings from the journal; a replay under other thresholds takes the
//! same ones. [`State`](crate::state::step::State) is what they come to.
#![deny(clippy::indexing_slicing)]

use super::open_trades::AnsweredSignal;
use crate::domain::{Event, Outcome, Signal, Timestamp, TradeId};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// An entry of the event log.
    Event(Event),
    /// A signal was answered.
    Scored {
        /// When it came.
        at: Timestamp,
        /// What was made of it.
        entry: Box<AnsweredSignal>,
    },
    /// A trade was closed.
    Closed {
        /// When the outcome came.
        at: Timestamp,
        /// Which.
        trade_id: TradeId,
        /// What is known of its signal by the decision that it echoes.
        echo: Option<Box<AnsweredSignal>>,
        /// What became of it.
        outcome: Box<Outcome>,
    },
    /// The outcome of a closed trade says more now.
    Completed {
        /// When the rest of it came.
        at: Timestamp,
        /// When it came first.
        told_at: Timestamp,
        /// Which.
        trade_id: TradeId,
        /// As of [`Happening::Closed`].
        echo: Option<Box<AnsweredSignal>>,
        /// What was told first.
        before: Box<Outcome>,
        /// That, and the rest.
        outcome: Box<Outcome>,
    },
    /// A signal was recorded, from the trader or from a file; what was answered to it follows.
    Came {
        /// As it came.
        signal: Box<Signal>,
        /// Whether the service has seen it, and carries forward what it knew.
        served: bool,
        /// Whether it was answered here.
        answered: bool,
    },
    /// A signal was let go.
    Skipped {
        /// When that came.
        at: Timestamp,
        /// Which.
        trade_id: TradeId,
    },
}

impl Happening {
    /// When.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Event(event) => event.at,
            Self::Scored { at, .. }
            | Self::Closed { at, .. }
            | Self::Completed { at, .. }
            | Self::Skipped { at, .. } => *at,
            Self::Came { signal, .. } => signal.at,
        }
    }
}
