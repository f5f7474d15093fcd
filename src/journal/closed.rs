//! The trades of which both ends are known.
#![deny(clippy::indexing_slicing)]

use super::{
    error::{BadRecord, StoreError},
    reader::Reader,
};
use crate::domain::{Outcome, Signal, Symbol};

/// Trades whose signal and outcome are both known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClosedTrades {
    /// Sorted by time of the signal, then trade id.
    pub trades: Vec<(Signal, Outcome)>,
    /// Records that had to be left out.
    pub bad: Vec<BadRecord>,
}

impl Reader {
    /// Every trade with a signal and an outcome, of one symbol or of all: what models learn from. Of a signal that came
    /// more than once the latest counts.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn closed_trades(&self, symbol: Option<&Symbol>) -> Result<ClosedTrades, StoreError> {
        let mut closed = ClosedTrades::default();
        for outcome in self.outcomes()? {
            let joined = outcome.and_then(|outcome| Ok(self.signal(&outcome.record.trade_id)?.zip(Some(outcome))));
            match joined {
                Ok(Some((signal, outcome))) if symbol.is_none_or(|symbol| signal.signal.symbol == *symbol) => {
                    closed.trades.push((signal.signal, outcome.record.outcome));
                }
                Ok(_) => {}
                Err(StoreError::BadRecord(bad)) => closed.bad.push(bad),
                Err(failure) => return Err(failure),
            }
        }
        closed.trades.sort_by(|(a, _), (b, _)| (a.at, &a.trade_id).cmp(&(b.at, &b.trade_id)));
        Ok(closed)
    }
}
