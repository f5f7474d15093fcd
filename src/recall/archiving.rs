//! Old records go out of a journal: what may go, and the state at the cut, so that a start need not read what went.
#![deny(clippy::indexing_slicing)]

use super::{
    checkpoint::{newest_to, writes},
    fold::{Folded, Slot, open_trades_keep},
};
use crate::{
    config::Config,
    domain::Timestamp,
    journal::{ArchiveError, Hand, Planned, Step, archive_month, finish_archive},
};

/// Numbers that are folded between two tellings.
const SLICE: u64 = 2000;

/// What is being done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Archiving {
    /// What an earlier run left half done is finished.
    Finishing,
    /// The state at the cut is worked out: what is read, and up to which number.
    Folding {
        /// Read up to this number.
        at: u64,
        /// The number of the cut.
        cut: u64,
    },
    /// A month is moved.
    Moving {
        /// Which, such as `2025-03`.
        month: String,
        /// Records of it and of the months before it that are written.
        written: u64,
        /// Records of all months.
        of: u64,
        /// What was just done.
        step: Step,
    },
}

/// The latest cut that can be made at `now`: trades of before are closed for all that is known, or forgotten.
///
/// # Errors
/// In words, when there is no such time.
pub fn latest_cut(config: &Config, now: Timestamp) -> Result<Timestamp, String> {
    now.checked_sub(open_trades_keep(config)).map_err(|error| error.to_string())
}

/// When the first day that stays begins, if it may be cut there.
///
/// # Errors
/// In words, when trades of the days before it may still be open.
pub fn cut_at(day: jiff::civil::Date, config: &Config, now: Timestamp) -> Result<Timestamp, String> {
    let utc = jiff::tz::TimeZone::UTC;
    let before = day.to_zoned(utc.clone()).map_err(|error| error.to_string())?.timestamp();
    let latest = latest_cut(config, now)?;
    if before > latest {
        let latest = latest.to_zoned(utc).date();
        return Err(format!("--before {day}: trades of these days may still be open; the latest day is {latest}"));
    }
    Ok(before)
}

/// Moves what came before `before` out of the journal, month by month, after what an earlier run left half done. `tell` is told how far
/// it is; it stops when that says no. Says what was moved.
///
/// # Errors
/// [`ArchiveError`]: whatever it is, every record can be read as before.
pub fn run(
    hand: &mut dyn Hand,
    config: &Config,
    before: Timestamp,
    tell: &mut dyn FnMut(Archiving) -> bool,
) -> Result<Vec<Planned>, ArchiveError> {
    finish_archive(hand, &mut |_| tell(Archiving::Finishing))?;
    let planned = hand.reader()?.plan_archive(before)?;
    let Some(cut) = planned.last().map(|planned| planned.last) else { return Ok(planned) };
    keep_state(hand, config, cut, tell)?;
    let (of, mut done) = (planned.iter().map(|planned| planned.records).sum(), 0);
    for planned in &planned {
        let mut written = done;
        archive_month(hand, planned, &mut |step| {
            if let Step::Written(records) = step {
                written = done + records;
            }
            tell(Archiving::Moving { month: planned.month.clone(), written, of, step })
        })?;
        done += planned.records;
    }
    Ok(planned)
}

/// The state at the cut stays in the journal, so that a start without another checkpoint need not read what is archived.
fn keep_state(
    hand: &mut dyn Hand,
    config: &Config,
    cut: u64,
    tell: &mut dyn FnMut(Archiving) -> bool,
) -> Result<(), ArchiveError> {
    let folded = fold_to(hand, config, cut, tell)?;
    // one that lacks a record is not begun from
    if folded.unreadable > 0 {
        return Ok(());
    }
    let batches = writes(&folded, config, Slot::Base).map_err(ArchiveError::Refused)?;
    drop(folded);
    batches.flatten().try_for_each(|write| hand.write(write))
}

/// Each slice is read of a snapshot of its own: one that lived long would keep the journal from using free pages again.
fn fold_to(
    hand: &mut dyn Hand,
    config: &Config,
    cut: u64,
    tell: &mut dyn FnMut(Archiving) -> bool,
) -> Result<Folded, ArchiveError> {
    let begun = newest_to(&hand.reader()?, config, cut).map_err(ArchiveError::Refused)?;
    let mut folded = begun.map_or_else(|| Folded::empty(config), Ok).map_err(ArchiveError::Refused)?;
    while folded.seq < cut {
        if !tell(Archiving::Folding { at: folded.seq, cut }) {
            return Err(ArchiveError::Stopped);
        }
        let to = cut.min(folded.seq + SLICE);
        folded.go_on(&hand.reader()?, config, to).map_err(ArchiveError::Refused)?;
    }
    Ok(folded)
}
