//! Old records go out of the journal, file by file.
//!
//! A file is written under another name, on disk, read back and compared with the log, and named by its digest; then the journal knows
//! it; then the records go, slice by slice. A record that stands in both is read from the log. So at every moment each record can be
//! read, and what a kill left half done is gone on with: records that are archived go when the journal is opened next, and a file that
//! the journal does not know yet is written again, under the same name.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt as _,
    path::Path,
};

use jiff::{civil::Date, tz::TimeZone};
use redb::ReadableTableMetadata as _;

use super::{
    archive::{self, ArchivedFile},
    archive_file::{ArchiveError, Draft, Planned, Step, bad_file, compare, goes, write},
    codec,
    error::{StorageFailure, StoreError, catch_damage, guarded},
    file, index,
    reader::Reader,
    schema,
    seal::{seal, to_json},
    store::Store,
    stream::READING,
    tables::{ARCHIVES, LOG, META, META_ARCHIVED, META_SCHEMA},
};
use crate::domain::Timestamp;

/// Numbers that are looked at in one transaction.
const SLICE: u64 = 4096;
const WRITING: &str = "writing an archive";
const REMOVING: &str = "removing what is archived";

impl Reader {
    /// The files to be written, the oldest first, when what came in the months before `before`, in UTC, goes: no number behind one that
    /// came later is among it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn plan_archive(&self, before: Timestamp) -> Result<Vec<Planned>, StoreError> {
        let mut planned = Vec::new();
        let mut first = self.archived_to() + 1;
        let Some(mut at) = self.came_from(first)? else { return Ok(planned) };
        while at < before {
            let Some((month, end)) = month_of(at) else { break };
            let end = end.min(before);
            let next = self.first_from(end, first)?;
            let last = next.map_or(self.last_seq()?, |next| next - 1);
            if last >= first {
                let records = self.guarded(READING, || {
                    let mut records = 0;
                    for entry in self.log.range(first..=last)? {
                        let (seq, value) = entry?;
                        records += u64::from(self.plain(seq.value(), value.value())?.is_some());
                    }
                    Ok(records)
                })?;
                if records > 0 {
                    planned.push(Planned { month, first, last, records });
                }
                first = last + 1;
            }
            at = end;
        }
        Ok(planned)
    }

    /// When the first record from number `from` on came that can be archived.
    fn came_from(&self, from: u64) -> Result<Option<Timestamp>, StoreError> {
        let earliest = |entry: u128| index::time_in(entry);
        Ok(self.guarded(READING, || {
            for entry in self.by_time.range(0..)? {
                let entry = entry?.0.value();
                if index::number_in(entry) >= from {
                    return Ok(earliest(entry));
                }
            }
            Ok(None)
        })?)
    }

    /// The lowest number from `from` on of what came at `at` or later.
    fn first_from(&self, at: Timestamp, from: u64) -> Result<Option<u64>, StoreError> {
        Ok(self.guarded(READING, || {
            let mut first = None::<u64>;
            for entry in self.by_time.range(index::at(at, 0)..)? {
                let seq = index::number_in(entry?.0.value());
                if seq >= from {
                    first = Some(first.map_or(seq, |first| first.min(seq)));
                }
            }
            Ok(first)
        })?)
    }
}

/// The month of a time in UTC, and when the next begins.
fn month_of(at: Timestamp) -> Option<(String, Timestamp)> {
    let day = at.to_zoned(TimeZone::UTC).date();
    let next =
        if day.month() == 12 { Date::new(day.year() + 1, 1, 1) } else { Date::new(day.year(), day.month() + 1, 1) };
    let next = next.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some((format!("{:04}-{:02}", day.year(), day.month()), next))
}

impl Store {
    /// Moves what is `planned` into a file. `tell` is told of each step; it stops when that says no.
    ///
    /// # Errors
    /// [`ArchiveError`]: whatever it is, every record can be read as before.
    pub fn archive(&mut self, planned: &Planned, tell: &mut dyn FnMut(Step) -> bool) -> Result<(), ArchiveError> {
        let mut step = |step| if tell(step) { Ok(()) } else { Err(ArchiveError::Stopped) };
        let journal = self.place().map(|place| place.path().to_owned());
        let journal =
            journal.ok_or_else(|| bad_file(Path::new("(storage)"), "a journal that is no file has no archive"))?;
        let folder = archive::folder_of(&journal);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| bad_file(&folder, error))?;
        let reader = self.reader()?;
        let draft = Draft(folder.join(format!(".{}.part", planned.month)));
        write(&reader, planned, &draft.0, &mut step)?;
        step(Step::Whole)?;
        let records = compare(&reader, planned, &draft.0)?;
        step(Step::Compared)?;
        let blake2b = archive::digest_of(&draft.0).map_err(|error| bad_file(&draft.0, error))?;
        let bytes = fs::metadata(&draft.0).map_err(|error| bad_file(&draft.0, error))?.len();
        let Planned { month, first, last, .. } = planned;
        let name = format!("{month}-{first}-{last}-{}.parquet", blake2b.get(..8).unwrap_or_default());
        let path = folder.join(&name);
        let named = fs::rename(&draft.0, &path)
            .and_then(|()| file::sync_folder(&path))
            .and_then(|()| file::sync_folder(&folder));
        named.map_err(|error| bad_file(&path, error))?;
        step(Step::Named)?;
        drop(reader);
        self.know(&ArchivedFile { name, first: *first, last: *last, records, bytes, blake2b })?;
        step(Step::Known)?;
        self.remove_archived(&mut |numbers| step(Step::Removed(numbers)))
    }

    /// The journal takes a file for its own.
    fn know(&mut self, file: &ArchivedFile) -> Result<(), StoreError> {
        let database = self.database_mut();
        Ok(guarded(WRITING, || {
            let mut value = Vec::new();
            let key = file.first.to_be_bytes();
            seal(&mut value, &[&key], |out| to_json(out, file)).map_err(redb::Error::Corrupted)?;
            let transaction = schema::durable(database?)?;
            transaction.open_table(ARCHIVES)?.insert(file.first, value.as_slice())?;
            // an older program would take what is archived for lost
            let number = codec::encode_number(META_SCHEMA, schema::SCHEMA);
            transaction.open_table(META)?.insert(META_SCHEMA, number)?;
            Ok(transaction.commit()?)
        })?)
    }

    /// Removes from the log what is archived.
    pub(super) fn remove_archived(
        &mut self,
        tell: &mut dyn FnMut(u64) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let reader = self.reader()?;
        let (files, gone) = (reader.archived(), reader.removed()?);
        if files.iter().map(|file| file.records).sum::<u64>() <= gone {
            return Ok(self.look_at_archive()?);
        }
        // since a kill a file may have been lost, and what the log still has is all there is
        reader.check_archive()?;
        drop(reader);
        for file in files {
            let mut from = file.first;
            while from <= file.last {
                let to = file.last.min(from + SLICE - 1);
                let database = self.database_mut();
                let removed = guarded(REMOVING, || {
                    let transaction = schema::durable(database?)?;
                    let mut removed = 0;
                    {
                        let mut log = transaction.open_table(LOG)?;
                        let before = log.len()?;
                        log.retain_in(from..=to, |seq, value| !goes(seq, value))?;
                        removed += before - log.len()?;
                        let mut meta = transaction.open_table(META)?;
                        let gone = schema::number_or(&meta, META_ARCHIVED, 0)?;
                        meta.insert(META_ARCHIVED, codec::encode_number(META_ARCHIVED, gone + removed))?;
                    }
                    if removed > 0 {
                        transaction.commit()?
                    } else {
                        transaction.abort()?
                    }
                    Ok(removed)
                });
                removed.map_err(StoreError::from)?;
                tell(to - file.first + 1)?;
                from = to + 1;
            }
        }
        Ok(self.look_at_archive()?)
    }

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
