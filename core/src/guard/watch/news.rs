//! What a watch is told: small enough to be kept, and told again.
#![deny(clippy::indexing_slicing)]

use jiff::fmt::serde::timestamp::nanosecond::required as nanosecond;
use serde::{Deserialize, Serialize};

use crate::{
    domain::{Arm, Symbol, Timestamp, TradeId, snapshot::TrendRegime},
    guard::monitor::Said,
    models::Facts,
};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum WatchNews {
    /// A signal was scored.
    Scored(Box<ScoredSignal>),
    /// A trade was closed.
    Closed {
        /// Which.
        trade_id: TradeId,
        /// When it was told.
        #[serde(with = "nanosecond")]
        at: Timestamp,
        /// What labels are made of; a trade without a pnl is no news.
        facts: Facts,
    },
    /// So late is it by now.
    Time(#[serde(with = "nanosecond")] Timestamp),
}

/// A signal and what was said of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoredSignal {
    /// The trader's name for it.
    pub trade_id: TradeId,
    /// When it came.
    #[serde(with = "nanosecond")]
    pub at: Timestamp,
    /// What is traded.
    pub symbol: Symbol,
    /// The trend, where known.
    pub regime: Option<TrendRegime>,
    /// The policy that was answered.
    pub arm: Arm,
    /// The row of inputs.
    pub row: Vec<Option<f64>>,
    /// What the versions said; the one whose word counted first.
    pub said: Vec<Said>,
}

impl WatchNews {
    /// When it came.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Time(at) | Self::Closed { at, .. } => *at,
            Self::Scored(signal) => signal.at,
        }
    }
}
