//! Old records go out of the journal, file by file.
//!
//! A file is written under another name, on disk, read back and compared with the log, and named by its digest; then the journal knows
//! it; then the records go, slice by slice, and the file is looked at before each slice. No file is read before something of it has gone
//! from the log. So at every moment each record can be read, and what a kill left half done is gone on with the next time: records that
//! are archived go, and a file that the journal does not know yet, or that was lost before anything of it had gone, is written again.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use jiff::tz::TimeZone;

use super::{
    archive,
    archive_file::{ArchiveError, Draft, Planned, Step, bad_file, compare, write},
    archived_file::ArchivedFile,
    codec,
    error::{StorageFailure, StoreError, catch_damage},
    file, index,
    reader::Reader,
    record::{Applied, Write},
    store::Store,
    stream::READING,
};
use crate::domain::Timestamp;

/// Numbers that go in one transaction: few enough that nobody who waits for the same commit waits long.
const SLICE: u64 = 256;

impl Reader {
    /// The files to be written, the oldest first, when what came in the months before `before`, in UTC, goes: no number behind one that
    /// came later is among it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn plan_archive(&self, before: Timestamp) -> Result<Vec<Planned>, StoreError> {
        let (mut planned, mut first) = (Vec::new(), self.archive.settled_to() + 1);
        let end = self.last_seq()? + 1;
        for (month, later) in self.months(before, first)? {
            let last = later.unwrap_or(end) - 1;
            if last < first {
                continue;
            }
            let records = self.guarded(READING, || {
                let mut records = 0;
                for entry in self.log.range(first..=last)? {
                    let (seq, value) = entry?;
                    records += u64::from(codec::can_be_archived(seq.value(), value.value()));
                }
                Ok(records)
            })?;
            if records > 0 {
                planned.push(Planned { month, first, last, records });
            }
            first = last + 1;
        }
        Ok(planned)
    }

    /// The months before `before` in which anything from number `first` on came, the oldest first, each with the lowest number of what
    /// came after it.
    fn months(&self, before: Timestamp, first: u64) -> Result<Vec<(String, Option<u64>)>, StoreError> {
        let mut months = self.guarded(READING, || {
            let (mut months, mut lowest) = (Vec::<(String, Timestamp, Option<u64>)>::new(), None::<u64>);
            for entry in self.by_time.range(0..)?.rev() {
                let entry = entry?.0.value();
                let (number, at) = (index::number_in(entry), index::time_in(entry));
                let Some(at) = at.filter(|_| number >= first) else { continue };
                let is_of_the_last = months.last().is_some_and(|(_, begin, _)| at >= *begin);
                if at < before && !is_of_the_last {
                    let Some((month, begin)) = month_of(at) else { continue };
                    months.push((month, begin, lowest));
                }
                lowest = Some(lowest.map_or(number, |lowest| lowest.min(number)));
            }
            Ok(months)
        })?;
        months.reverse();
        Ok(months.into_iter().map(|(month, _, later)| (month, later)).collect())
    }
}

/// The month of a time in UTC, and when it begins.
fn month_of(at: Timestamp) -> Option<(String, Timestamp)> {
    let day = at.to_zoned(TimeZone::UTC).date();
    let begin = day.first_of_month().to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some((format!("{:04}-{:02}", day.year(), day.month()), begin))
}

/// Whoever reads and writes a journal: a [`Store`], or the daemon beside which its own journal is archived.
pub trait Hand {
    /// A snapshot of everything that is on disk.
    ///
    /// # Errors
    /// In its own words.
    fn reader(&mut self) -> Result<Reader, ArchiveError>;

    /// Writes one thing, and waits for the disk.
    ///
    /// # Errors
    /// [`ArchiveError::Refused`] when it cannot be written.
    fn write(&mut self, write: Write) -> Result<(), ArchiveError>;
}

impl Hand for Store {
    fn reader(&mut self) -> Result<Reader, ArchiveError> {
        Ok(Self::reader(self)?)
    }

    fn write(&mut self, write: Write) -> Result<(), ArchiveError> {
        let applied = self.apply(&[write])?;
        applied.into_iter().try_for_each(|applied| match applied {
            Applied::Unwritable { why } => Err(ArchiveError::Refused(why)),
            _ => Ok(()),
        })
    }
}

/// Moves what is `planned` into a file. `tell` is told of each step; it stops when that says no.
///
/// # Errors
/// [`ArchiveError`]: whatever it is, every record can be read as before.
pub fn archive_month(
    hand: &mut dyn Hand,
    planned: &Planned,
    tell: &mut dyn FnMut(Step) -> bool,
) -> Result<(), ArchiveError> {
    let mut step = |step| if tell(step) { Ok(()) } else { Err(ArchiveError::Stopped) };
    let reader = hand.reader()?;
    let journal = reader.path.clone();
    let journal =
        journal.ok_or_else(|| bad_file(Path::new("(storage)"), "a journal that is no file has no archive"))?;
    let folder = archive::folder_of(&journal);
    let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    made.map_err(|error| bad_file(&folder, error))?;
    let draft = Draft(folder.join(format!(".{}.part", planned.month)));
    write(&reader, planned, &draft.0, &mut step)?;
    step(Step::Whole)?;
    let records = compare(&reader, planned, &draft.0)?;
    step(Step::Compared)?;
    drop(reader);
    let blake2b = archive::digest_of(&draft.0).map_err(|error| bad_file(&draft.0, error))?;
    let bytes = fs::metadata(&draft.0).map_err(|error| bad_file(&draft.0, error))?.len();
    let Planned { month, first, last, .. } = planned.clone();
    let name = format!("{month}-{first}-{last}-{}.parquet", blake2b.get(..8).unwrap_or_default());
    let path = folder.join(&name);
    let file = ArchivedFile { name, month, first, last, records, bytes, blake2b };
    let named =
        fs::rename(&draft.0, &path).and_then(|()| file::sync_folder(&path)).and_then(|()| file::sync_folder(&folder));
    named.map_err(|error| bad_file(&path, error))?;
    archive::is_it(&path, &file).map_err(|what| bad_file(&path, what))?;
    step(Step::Named)?;
    hand.write(Write::Archived(file))?;
    step(Step::Known)?;
    remove(hand, &mut step)
}

/// Goes on with what a kill left half done: what is archived and still in the log goes from there. A file that was lost before anything
/// of it had gone is left to be written again.
///
/// # Errors
/// [`ArchiveError`], as [`archive_month`].
pub fn finish_archive(hand: &mut dyn Hand, tell: &mut dyn FnMut(Step) -> bool) -> Result<(), ArchiveError> {
    let reader = hand.reader()?;
    reader.check_archive()?;
    let Some((place, first, _)) = reader.archive.next_to_go() else { return Ok(()) };
    if first > reader.archived_to() && reader.archive.is_there(place).is_err() {
        return Ok(());
    }
    drop(reader);
    remove(hand, &mut |step| if tell(step) { Ok(()) } else { Err(ArchiveError::Stopped) })
}

/// Removes from the log what is archived, slice by slice. The journal looks at the file before each.
fn remove(hand: &mut dyn Hand, step: &mut dyn FnMut(Step) -> Result<(), ArchiveError>) -> Result<(), ArchiveError> {
    loop {
        let reader = hand.reader()?;
        let Some((place, first, last)) = reader.archive.next_to_go() else { return Ok(()) };
        // it is read here, so that the journal need not
        reader.archive.is_there(place).map_err(|fault| ArchiveError::Refused(fault.to_string()))?;
        let mut from = first.max(reader.archived_to() + 1);
        drop(reader);
        while from <= last {
            let to = last.min(from + SLICE - 1);
            hand.write(Write::Gone { to })?;
            step(Step::Removed(to - first + 1))?;
            from = to + 1;
        }
    }
}

impl Store {
    /// Gives back to the file system what the file does not need. True if it became shorter.
    ///
    /// # Errors
    /// [`StoreError::Storage`]; also while somebody reads the journal.
    pub fn compact(&mut self) -> Result<bool, StoreError> {
        let database = self.database_mut();
        let compacted =
            catch_damage(|| database.map_err(|error| error.to_string())?.compact().map_err(|error| error.to_string()));
        let failed = |message| {
            StoreError::from(StorageFailure {
                doing: "making the journal's file shorter",
                kind: super::FailureKind::Io,
                message,
            })
        };
        compacted.unwrap_or_else(Err).map_err(failed)
    }
}
