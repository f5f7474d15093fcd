//! The index from a trade to its records.
//!
//! A key is `[run, 24 bits][hash of the trade id, 56 bits][sequence number, 40 bits][kind, 8 bits]`. Trade ids come in any
//! order, and one index over all of them would touch a page for every record. So the records are indexed in runs of
//! consecutive numbers: a young run covers [`YOUNG`] numbers and fills a few pages, and the young runs of [`OLD`] numbers are
//! merged into one old run when they are full. A look-up asks each run. The hash only finds candidates: a record says itself
//! of which trade it is.
#![deny(clippy::indexing_slicing)]

use std::ops::{Bound, RangeInclusive};

use redb::{CursorError, ReadableTable, Table};

use super::codec::Kind;
use crate::domain::{Timestamp, TradeId};

/// Binary logarithm of the numbers of a young run.
const YOUNG: u32 = 12;
/// Binary logarithm of the numbers of an old run.
const OLD: u32 = 16;
/// Where the run stands in a key.
const RUN: u32 = 104;
/// Where the hash stands in a key.
const HASH: u32 = 48;
/// The bit of a young run. Behind it stands its place among those of one old run.
const IS_YOUNG: u128 = 1 << 127;
const HASH_BITS: u64 = (1 << 56) - 1;
const SEQ_BITS: u64 = (1 << 40) - 1;

/// What the index covers: numbers up to `last`, and those below `merged` in old runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) merged: u64,
    pub(super) last: u64,
}

impl Span {
    /// As a transaction that ended with the number `last` left it.
    pub(super) fn of(last: u64) -> Self {
        Self { merged: last >> OLD << OLD, last }
    }

    /// Every run, as the upper bits of its keys.
    fn runs(self) -> impl Iterator<Item = u128> {
        let old = (0..self.merged >> OLD).map(|run| u128::from(run) << RUN);
        let young = (self.merged >> YOUNG)..=(self.last >> YOUNG);
        // a transaction that goes beyond an old run fills the first young ones again before it merges
        let count = (self.last >> YOUNG) - (self.merged >> YOUNG);
        let young = young.take(usize::try_from(count + 1).unwrap_or(usize::MAX).min(1 << (OLD - YOUNG)));
        old.chain(young.map(|run| young_run(run << YOUNG)))
    }
}

fn young_run(seq: u64) -> u128 {
    IS_YOUNG | u128::from((seq >> YOUNG) & ((1 << (OLD - YOUNG)) - 1)) << RUN
}

fn hash(trade_id: &str) -> u128 {
    // FNV-1a, folded: it stands in files, so it must never change
    let hash = trade_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    u128::from((hash ^ (hash >> 56)) & HASH_BITS)
}

fn seq_of(key: u128) -> u64 {
    u64::try_from((key >> 8) & u128::from(SEQ_BITS)).unwrap_or(0)
}

fn kind_of(key: u128) -> Option<Kind> {
    Kind::from_byte(u8::try_from(key & 0xFF).unwrap_or(0))
}

/// The entry of a new record.
pub(super) fn entry(trade_id: &str, seq: u64, kind: Kind) -> u128 {
    young_run(seq) | hash(trade_id) << HASH | u128::from(seq & SEQ_BITS) << 8 | kind as u128
}

/// The entry of a record in the index by time.
pub(super) fn at(at: Timestamp, seq: u64) -> u128 {
    time(at) | u128::from(seq)
}

/// The entries of what came from one time to another, both included.
pub(super) fn between(from: Timestamp, to: Timestamp) -> RangeInclusive<u128> {
    time(from)..=time(to) | u128::from(u64::MAX)
}

fn time(at: Timestamp) -> u128 {
    // turned so that times before 1970 come first
    u128::from(at.as_microsecond().cast_unsigned() ^ (1 << 63)) << 64
}

/// The number in an entry of the index by time.
pub(super) fn number_in(entry: u128) -> u64 {
    u64::try_from(entry & u128::from(u64::MAX)).unwrap_or(0)
}

/// The time in an entry of the index by time.
pub(super) fn time_in(entry: u128) -> Option<Timestamp> {
    let turned = u64::try_from(entry >> 64).ok()?;
    Timestamp::from_microsecond((turned ^ (1 << 63)).cast_signed()).ok()
}

/// Numbers and kinds of the records that may be of a trade, oldest first.
pub(super) fn find(
    table: &impl ReadableTable<u128, ()>,
    span: Span,
    trade_id: &TradeId,
) -> Result<Vec<(u64, Kind)>, redb::Error> {
    find_hash(table, span, hash(trade_id.as_str()))
}

fn find_hash(table: &impl ReadableTable<u128, ()>, span: Span, hash: u128) -> Result<Vec<(u64, Kind)>, redb::Error> {
    let mut found = Vec::new();
    for run in span.runs() {
        let first = run | hash << HASH;
        for entry in table.range(first..=first | u128::from(u64::MAX >> (64 - HASH)))? {
            let key = entry?.0.value();
            found.extend(kind_of(key).map(|kind| (seq_of(key), kind)));
        }
    }
    found.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(found)
}

/// What the index knows of one record that cannot say it itself.
pub(super) struct Known {
    pub(super) kind: Kind,
    hash: u128,
}

impl Known {
    pub(super) fn is_of(&self, trade_id: &str) -> bool {
        hash(trade_id) == self.hash
    }

    /// The records that may be of the same trade.
    pub(super) fn siblings(
        &self,
        table: &impl ReadableTable<u128, ()>,
        span: Span,
    ) -> Result<Vec<(u64, Kind)>, redb::Error> {
        find_hash(table, span, self.hash)
    }
}

/// Looks a record up by its number, which takes a walk through its run.
pub(super) fn known(table: &impl ReadableTable<u128, ()>, span: Span, seq: u64) -> Result<Option<Known>, redb::Error> {
    let run = if seq < span.merged { u128::from(seq >> OLD) << RUN } else { young_run(seq) };
    for entry in table.range(run..=run | ((1 << RUN) - 1))? {
        let key = entry?.0.value();
        if seq_of(key) == seq
            && let Some(kind) = kind_of(key)
        {
            return Ok(Some(Known { kind, hash: (key >> HASH) & u128::from(HASH_BITS) }));
        }
    }
    Ok(None)
}

/// Merges the young runs that are full, so that what `span` covers is as [`Span::of`] has it.
pub(super) fn merge(table: &mut Table<'_, u128, ()>, span: Span) -> Result<(), redb::Error> {
    for old in (span.merged >> OLD)..(span.last >> OLD) {
        let is_of = |key: u128| seq_of(key) >> OLD == old;
        let mut merged = Vec::new();
        for entry in table.range(IS_YOUNG..)? {
            let key = entry?.0.value();
            if is_of(key) {
                merged.push(u128::from(old) << RUN | key & ((1 << RUN) - 1));
            }
        }
        merged.sort_unstable();
        table.retain_in(IS_YOUNG.., |key, ()| !is_of(key))?;
        insert_sorted(table, &merged)?;
    }
    Ok(())
}

/// Inserts keys that rise; those between the same two neighbours go in together.
pub(super) fn insert_sorted(table: &mut Table<'_, u128, ()>, keys: &[u128]) -> Result<(), redb::Error> {
    let mut rest = keys.iter().peekable();
    while let Some(key) = rest.next() {
        table.insert(key, ())?;
        if rest.peek().is_none() {
            break;
        }
        let mut gap = table.upper_bound_mut(Bound::Included(key))?;
        while let Some(key) = rest.peek() {
            match gap.insert_before(**key, ()) {
                Ok(()) => drop(rest.next()),
                Err(CursorError::UnorderedKey) => break,
                Err(error) => return Err(error.into()),
            }
        }
        gap.close()?;
    }
    Ok(())
}
