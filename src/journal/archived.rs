//! What a reader says of the archived files, and how it reads the log with them.
#![deny(clippy::indexing_slicing)]

use super::{
    archive::{self, ArchivedFile, LogRange, Value},
    error::StoreError,
    reader::Reader,
    schema,
    stream::READING,
    tables::META_ARCHIVED,
};

impl Reader {
    /// The files that hold old records.
    pub fn archived(&self) -> Vec<ArchivedFile> {
        self.archive.files().cloned().collect()
    }

    /// The number of the last archived record, 0 when there is none.
    pub fn archived_to(&self) -> u64 {
        self.archive.end()
    }

    /// Looks whether each archived file is there and is the one that was written. It reads all of them.
    ///
    /// # Errors
    /// [`StoreError::Storage`] names the first that is not, and what to do.
    pub fn check_archive(&self) -> Result<(), StoreError> {
        Ok(self.guarded(READING, || self.archive.check())?)
    }

    /// From now on this reader knows nothing of the archive: its records are missing.
    pub fn pass_over_archive(&self) {
        self.archive.pass_over();
    }

    /// The bytes of a record, wherever it stands.
    pub(super) fn get_record(&self, seq: u64) -> Result<Option<Value<'_>>, redb::Error> {
        archive::get(&self.log, &self.archive, seq)
    }

    /// The log from a number on, wherever its records stand.
    pub(super) fn log_from(&self, from: u64) -> redb::Result<LogRange<'_>> {
        archive::range(&self.log, &self.archive, from)
    }

    /// How many records stand in archived files only.
    pub(super) fn removed(&self) -> Result<u64, StoreError> {
        Ok(self.guarded(READING, || schema::number_or(&self.meta, META_ARCHIVED, 0))?)
    }
}
