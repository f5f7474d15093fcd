//! How much was stored on each day: what a journal grows by. The size of the file does not tell, for it grows in leaps.
#![deny(clippy::indexing_slicing)]

use redb::{ReadTransaction, ReadableTable, TableError, WriteTransaction};

use super::tables::DAYS;
use crate::domain::Timestamp;

/// Bytes of a record beside it: its number, and its entries in two indexes.
const BESIDE: u64 = 8 + 2 * 16;
/// Days that a growth is the mean of, at most.
const MOST: u64 = 7;
const SECONDS: i64 = 86_400;

/// What a transaction has stored, by day.
#[derive(Debug, Default)]
pub(super) struct Days(Vec<(u64, u64, u64)>);

/// The day of a time in UTC, counted from 1970.
fn day_of(at: Timestamp) -> u64 {
    u64::try_from(at.as_second().div_euclid(SECONDS)).unwrap_or(0)
}

impl Days {
    /// Counts a record of `bytes` that came `at`.
    pub(super) fn add(&mut self, at: Timestamp, bytes: usize) {
        let (day, bytes) = (day_of(at), bytes as u64 + BESIDE);
        match self.0.iter_mut().rev().find(|(known, ..)| *known == day) {
            Some((_, records, sum)) => (*records, *sum) = (*records + 1, *sum + bytes),
            None => self.0.push((day, 1, bytes)),
        }
    }

    /// Adds to what the table has.
    pub(super) fn store(&mut self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut table = transaction.open_table(DAYS)?;
        for (day, records, bytes) in self.0.drain(..) {
            let before = table.get(day)?.map_or((0, 0), |before| before.value());
            table.insert(day, (before.0.saturating_add(records), before.1.saturating_add(bytes)))?;
        }
        Ok(())
    }
}

/// Bytes a day that were stored in the seven days before the one of `now`, or since the first that is known; `None` on that day.
pub(super) fn growth(moment: &ReadTransaction, now: Timestamp) -> Result<Option<u64>, redb::Error> {
    let table = match moment.open_table(DAYS) {
        Ok(table) => table,
        // a journal that was made before it was counted
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let today = day_of(now);
    let Some(first) = table.first()?.map(|(day, _)| day.value()) else { return Ok(None) };
    let from = today.saturating_sub(MOST).max(first);
    let mut sum = 0_u64;
    for entry in table.range(from..today)? {
        sum = sum.saturating_add(entry?.1.value().1);
    }
    Ok(sum.checked_div(today.saturating_sub(from)))
}
