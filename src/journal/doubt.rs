//! A batch whose commit failed: it may be stored, whole. The journal that was opened again tells.
#![deny(clippy::indexing_slicing)]

use super::{
    error::StoreError,
    reader::Reader,
    record::{Applied, Stored, Write},
};

/// What would have become of each write of a batch whose commit failed.
#[derive(Debug, Clone, PartialEq)]
pub struct InDoubt(Vec<Applied>);

impl InDoubt {
    /// Of a batch of which this would be said if its commit had not failed.
    pub fn of(applied: Vec<Applied>) -> Self {
        Self(applied)
    }

    /// What is said of each write when the batch is stored.
    pub fn applied(&self) -> &[Applied] {
        &self.0
    }

    /// Whether the journal holds the batch, which consisted of `writes`. What another batch wrote under the same numbers is not
    /// taken for it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn is_stored(&self, reader: &Reader, writes: &[Write]) -> Result<bool, StoreError> {
        let number = |applied: &Applied| if let Applied::Stored { seq, .. } = applied { Some(*seq) } else { None };
        if reader.last_seq()? < self.0.iter().filter_map(number).max().unwrap_or(0) {
            return Ok(false);
        }
        for (write, seq) in writes.iter().zip(&self.0).filter_map(|(write, applied)| Some((write, number(applied)?))) {
            if let Some(is_there) = is_at(reader, seq, write)? {
                return Ok(is_there);
            }
        }
        Ok(true)
    }
}

/// Whether `write` stands under the number `seq`; `None` where the log does not tell.
fn is_at(reader: &Reader, seq: u64, write: &Write) -> Result<Option<bool>, StoreError> {
    if matches!(write, Write::Version { .. } | Write::Checkpoint { .. } | Write::Archived(_) | Write::Gone { .. }) {
        return Ok(None);
    }
    let Some((found, stored)) = reader.recorded(seq)?.next().transpose()? else { return Ok(Some(false)) };
    if found != seq {
        return Ok(Some(false));
    }
    let Ok(stored) = stored else { return Ok(None) };
    Ok(Some(match (write, stored) {
        (Write::Signal(record), Stored::Signal(stored)) => stored.record == *record,
        (Write::Outcome(record) | Write::Completion(record), Stored::Outcome(stored)) => stored.record == **record,
        (Write::Trade(trade), Stored::Signal(stored)) => stored.record == trade.0,
        (Write::Trade(trade), Stored::Outcome(stored)) => stored.record == trade.1,
        (Write::Skip(record), Stored::Skip(stored)) => stored.record == *record,
        (Write::Event(event), Stored::Event(stored)) => stored.event == *event,
        _ => false,
    }))
}
