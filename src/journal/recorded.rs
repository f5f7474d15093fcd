//! The log as it was recorded, for who folds it from any number on: what was read once is read the same for ever.
//!
//! Elsewhere only the outcome that counts in the end is told. Here each outcome is told at its own place, and of a later one
//! whose place it takes.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    codec::{self, Kind},
    error::{BadRecord, StoreError},
    index,
    reader::Reader,
    record::{Stored, StoredOutcome},
    stream::{self, READING},
};
use crate::domain::TradeId;

/// A record with its number; or what is wrong with it.
pub type Recorded = (u64, Result<Stored, BadRecord>);

impl Reader {
    /// Everything that was recorded from number `from` on, in its order, each with its number.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn recorded(&self, from: u64) -> Result<impl Iterator<Item = Result<Recorded, StoreError>>, StoreError> {
        stream::since(self, from, |reader, seq, value| Ok(Some(Ok((seq, reader.stored_at(seq, value)?)))))
    }

    /// The outcomes that took the place of an earlier one of the same trade, and whose.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn replacements(&self) -> Result<BTreeMap<u64, u64>, StoreError> {
        Ok(self.guarded(READING, || {
            let mut found = BTreeMap::new();
            for entry in self.replaced.range(0..)? {
                let (first, later) = entry?;
                found.insert(later.value(), first.value());
            }
            Ok(found)
        })?)
    }

    /// An outcome of a trade by its number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outcome_record(&self, trade_id: &TradeId, seq: u64) -> Result<StoredOutcome, StoreError> {
        self.of_trade(seq, trade_id.as_str(), Kind::Outcome, codec::decode_outcome)
    }

    /// What had become of a trade before the record number `seq` was written.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outcome_before(&self, trade_id: &TradeId, seq: u64) -> Result<Option<StoredOutcome>, StoreError> {
        let latest = self.guarded(READING, || {
            let mut latest = None;
            for (found, kind) in index::find(&self.by_trade, self.span, trade_id)? {
                if kind != Kind::Outcome || found >= seq {
                    continue;
                }
                let value = self.get_record(found)?;
                if value.is_some_and(|value| codec::may_be_of(found, value.value(), trade_id)) {
                    latest = latest.max(Some(found));
                }
            }
            Ok(latest)
        })?;
        latest.map(|found| self.outcome_record(trade_id, found)).transpose()
    }
}
