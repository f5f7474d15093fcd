//! The journal: everything that happened, in one redb file that survives kills, power cuts and full disks.
//!
//! A [`Store`] belongs to one thread and writes batches, each one durable transaction. A [`Reader`] is a snapshot that
//! never moves; it may be sent to another thread, or opened by another process, while writing goes on. There are no
//! threads, queues or retries here: the journal's actor has them.
//!
//! Everything that happened is one log in the order of its sequence numbers; the other tables are indexes into it. What it
//! says since a number or between two times costs what it returns.
//!
//! What holds for ever: a batch is stored whole or not at all; what [`Store::apply`] acknowledged is found again after
//! any crash; nothing that was stored is ever changed or deleted, but checkpoints, which are replaced, and old records may move into
//! files beside the journal, where they are read as before; a record is
//! checked when it is read, and a bad one is reported by kind and name and never served. A journal of an older schema is
//! taken over when it is opened for writing.

mod archive;
mod archive_copy;
mod archive_file;
mod archived;
mod archived_file;
mod archiving;
mod audit;
mod backup;
mod batch;
mod closed;
mod codec;
mod copy;
mod days;
mod dictionaries;
mod doubt;
mod error;
mod file;
mod first_page;
mod header;
mod index;
mod keys;
mod lookup;
mod naming;
mod older;
mod reached;
mod reader;
mod record;
mod recorded;
mod schema;
mod seal;
mod silenced;
mod source;
mod store;
mod stream;
mod tables;
mod takeover;
mod transfer;

pub use archive::FOLDER as ARCHIVE_FOLDER;
pub use archive_copy::{archive_of, archive_of_backup, copy_archive, find_archive};
pub use archive_file::{ArchiveError, Planned, Step};
pub use archived_file::{ArchiveExtent, ArchivedFile};
pub use archiving::{Hand, archive_month, finish_archive};
pub use backup::{Backup, BackupAge, LatestBackup, Manifest, Storage, back_up, present};
pub use closed::ClosedTrades;
pub use copy::TableDigest;
pub use doubt::InDoubt;
pub use error::{BadRecord, FailureKind, OpenError, StorageFailure, StoreError, is_of_the_database};
pub use file::quarantine;
pub use keys::{Name, TradeKeys};
pub use reached::Reached;
pub use reader::{Counts, Reader};
pub use record::{
    Applied, Existing, OutcomeRecord, SignalRecord, SkipRecord, Source, Stored, StoredEvent, StoredOutcome,
    StoredSignal, StoredSkip, StoredVersion, Write,
};
pub use recorded::Recorded;
pub use schema::SCHEMA;
pub use silenced::SilenceFile;
pub use store::{Place, Store, StoreOptions};
pub use takeover::Progress;
pub use transfer::{TransferError, entries as transfer_entries, receive, send};
