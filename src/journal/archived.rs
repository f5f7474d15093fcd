//! What a reader says of the archived files, and how it reads the log with them.
#![deny(clippy::indexing_slicing)]

use super::{
    archive::{self, LogRange, Value},
    archived_file::{ArchiveExtent, ArchivedFile},
    error::StoreError,
    reader::Reader,
    stream::READING,
};

impl Reader {
    /// The files that hold what is no more in the log.
    pub fn archived(&self) -> Vec<ArchivedFile> {
        self.archive.files().filter(|file| file.first <= self.archived_to()).cloned().collect()
    }

    /// The number up to which records stand in archived files only, 0 when none do.
    pub fn archived_to(&self) -> u64 {
        self.archive.gone_to()
    }

    /// What is archived, for `status`; `None` when nothing is. It looks for the files, so it belongs on a thread that may wait.
    pub fn archive_extent(&self) -> Option<ArchiveExtent> {
        let files = self.archived();
        let (first, last) = (files.first()?, files.last()?);
        Some(ArchiveExtent {
            files: files.len(),
            records: files.iter().map(|file| file.records).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            first_month: first.month.clone(),
            last_month: last.month.clone(),
            last_number: self.archived_to(),
            missing: self.archive.missing(),
        })
    }

    /// Looks whether each archived file that is needed is there and is the one that was written. It reads all of them.
    ///
    /// # Errors
    /// [`StoreError::Storage`] names the first that is not, and what to do.
    pub fn check_archive(&self) -> Result<(), StoreError> {
        Ok(self.guarded(READING, || self.archive.check())?)
    }

    /// The same of every file that the journal knows: also of one that holds what still stands in the log. Gives them.
    ///
    /// # Errors
    /// As there.
    pub fn check_whole_archive(&self) -> Result<Vec<ArchivedFile>, StoreError> {
        self.guarded(READING, || self.archive.check_all())?;
        Ok(self.archive.files().cloned().collect())
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
}
