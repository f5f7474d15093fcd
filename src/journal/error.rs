//! What can go wrong, told apart by what has to be done about it.
#![deny(clippy::indexing_slicing)]

use std::{
    io,
    panic::PanicHookInfo,
    path::{Path, PathBuf},
};

use super::file;
use crate::panics;

/// What is said of a panic of the database.
const PANICKED: &str = "the database panicked over a page that does not hold what it should";

/// Why a journal could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Somebody else writes to it.
    #[error("{path}: another process has this journal open; stop it, or talk to it over its socket", path = .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A newer vigie wrote it. The file was not touched.
    #[error("{path}: the journal has schema {found}, this vigie knows schemas up to {supported}; it was left as it is, \
             start the newer vigie again or restore a backup", path = .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The newest schema this program reads.
        supported: u64,
    },
    /// An older vigie wrote it, and it was opened for reading only, so it cannot be brought up to date.
    #[error("{path}: the journal has schema {found}, older than {supported}; start the daemon once, it brings it up to \
             date", path = .path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The schema a reader needs.
        supported: u64,
    },
    /// It was not closed in good order, and it was opened for reading only, so it cannot be recovered.
    #[error("{path}: the journal was not closed in good order; start the daemon once, it recovers it", path = .path.display())]
    NeedsRecovery {
        /// The file.
        path: PathBuf,
    },
    /// It is damaged, or not a journal. [`super::quarantine`] puts it aside.
    #[error("{path}: the journal is damaged: {what}", path = .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// It could be opened and must not be.
    #[error("{path}: refused: {reason}", path = .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why, and how to put it right.
        reason: String,
    },
    /// The storage failed; trying again later may help.
    #[error("{path}: {failure}", path = .path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// How.
        failure: StorageFailure,
    },
}

/// Why a batch was not written or a record not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The storage failed. The handle is of no use any more: drop it and open the journal again.
    #[error(transparent)]
    Storage(#[from] StorageFailure),
    /// One record is damaged. Everything else can still be read.
    #[error(transparent)]
    BadRecord(#[from] BadRecord),
}

/// The storage did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.said())]
pub struct StorageFailure {
    /// What was being done.
    pub doing: &'static str,
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// What the storage said.
    pub message: String,
}

/// Sorts of storage failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The disk or the quota is full.
    NoSpace,
    /// The file system may not be written to.
    ReadOnly,
    /// Permission is missing.
    Denied,
    /// The device or the file system reported another error.
    Io,
    /// A page does not hold what it should. Open again with [`super::StoreOptions::verify`], which reads the whole file and
    /// answers [`OpenError::Corrupt`] when it is beyond repair.
    Corrupt,
    /// The handle was closed, or has failed before.
    Closed,
}

/// A record that cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal table {table}, record {key}: {what}; it is left out, restore a backup if it is needed")]
pub struct BadRecord {
    /// What it is of: `signals`, `outcomes`, `skips`, `events`, or `log` where nobody knows; else the table it stands in.
    pub table: &'static str,
    /// Its trade, its number behind `#`, its version or its name.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

impl BadRecord {
    /// Whether it is, or may have been, an event.
    pub fn may_be_event(&self) -> bool {
        matches!(self.table, "events" | "log")
    }

    /// Whether it is, or may have been, what a training learns from: a signal or an outcome.
    pub fn may_be_of_a_trade(&self) -> bool {
        matches!(self.table, "signals" | "outcomes" | "log")
    }

    /// Whether it is, or may have been, an outcome.
    pub fn may_be_outcome(&self) -> bool {
        matches!(self.table, "outcomes" | "log")
    }
}

impl OpenError {
    /// Whether the file is to be put aside and a new one begun.
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt { .. })
    }

    pub(super) fn refused(path: &Path, reason: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), what: what.into() }
    }

    pub(super) fn io(path: &Path, doing: &'static str, error: &io::Error) -> Self {
        Self::Storage { path: path.to_owned(), failure: StorageFailure::from_io(doing, error) }
    }

    pub(super) fn from_redb(path: &Path, doing: &'static str, error: &redb::Error) -> Self {
        let path = path.to_owned();
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse { path },
            redb::Error::RepairAborted => Self::NeedsRecovery { path },
            redb::Error::UpgradeRequired(version) if file::is_flipped(&path, *version) => {
                Self::Corrupt { path, what: "one of its two commit slots is damaged".to_owned() }
            }
            redb::Error::UpgradeRequired(version) => Self::Refused {
                path,
                reason: format!("it is a redb file of format {version}, made by another program"),
            },
            error => match StorageFailure::new(doing, error) {
                failure if failure.kind == FailureKind::Corrupt => Self::Corrupt { path, what: failure.message },
                failure => Self::Storage { path, failure },
            },
        }
    }
}

impl StorageFailure {
    /// In words. Damage says what to do.
    fn said(&self) -> String {
        let Self { doing, kind, message } = self;
        if *kind != FailureKind::Corrupt {
            return format!("storage failed while {doing}: {message}");
        }
        format!(
            "the journal is damaged, as was found while {doing}: {message}; restore a backup with `vigie restore`, or start the daemon, \
             which puts the journal aside and begins a new one"
        )
    }

    pub(super) fn new(doing: &'static str, error: &redb::Error) -> Self {
        let kind = match error {
            redb::Error::Io(error) => kind_of(error),
            redb::Error::PreviousIo | redb::Error::DatabaseClosed | redb::Error::LockPoisoned(_) => FailureKind::Closed,
            redb::Error::Corrupted(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TableIsNotMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_) => FailureKind::Corrupt,
            _ => FailureKind::Io,
        };
        Self { doing, kind, message: error.to_string() }
    }

    pub(super) fn from_io(doing: &'static str, error: &io::Error) -> Self {
        Self { doing, kind: kind_of(error), message: error.to_string() }
    }
}

fn kind_of(error: &io::Error) -> FailureKind {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => FailureKind::NoSpace,
        io::ErrorKind::ReadOnlyFilesystem => FailureKind::ReadOnly,
        io::ErrorKind::PermissionDenied => FailureKind::Denied,
        // redb's words for "not a database", and for a file that ends before its pages do
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => FailureKind::Corrupt,
        _ => FailureKind::Io,
    }
}

/// Does some work on the database. redb may panic on a damaged page instead of returning an error, so a panic counts
/// as damage.
pub(super) fn guarded<T>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, StorageFailure> {
    catch_damage(work)
        .unwrap_or_else(|panic| Err(redb::Error::Corrupted(panic)))
        .map_err(|error| StorageFailure::new(doing, &error))
}

/// Runs `work` and gives back that it panicked: the words of such a panic are about the code of the database, and are logged only.
pub(super) fn catch_damage<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // what the work leaves half done is a handle that is dropped after any failure
    panics::caught(work).map_err(|said| {
        tracing::debug!(said, "the database panicked");
        PANICKED.to_owned()
    })
}

/// Whether a panic began in the database: over damage it may panic a second time while it cleans up, and that ends the process
/// before anybody can catch the first.
pub fn is_of_the_database(panic: &PanicHookInfo<'_>) -> bool {
    panic.location().is_some_and(|location| {
        Path::new(location.file()).iter().any(|part| part.to_str().is_some_and(|part| part.starts_with("redb-")))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{set_hook, take_hook},
        sync::mpsc::channel,
    };

    use redb::Value as _;

    use super::*;

    #[test]
    fn a_panic_of_the_database_is_told_from_others() {
        let (told, heard) = channel();
        let before = take_hook();
        set_hook(Box::new(move |panic| told.send(is_of_the_database(panic)).unwrap_or_default()));
        let damaged = catch_damage(|| <&str>::from_bytes(&[0xff]).len());
        let other = catch_damage(|| panic!("redb-like"));
        set_hook(before);
        assert!(damaged.is_err_and(|said| said == PANICKED) && other.is_err_and(|said| !said.contains("redb-like")));
        assert_eq!(heard.iter().collect::<Vec<_>>(), [true, false]);
    }
}
