//! Copies of a journal, and the way back.
//!
//! A backup is a journal in a file of its own, as it stood at one moment, with a manifest: which numbers it goes up to, and of each
//! table how many entries it has and their digest. It is made by a reader, so the writer goes on meanwhile: pages that the reader
//! may still need stay in the journal's file until it is done. What silences and how far the journal had come stand in files of
//! their own and are in no backup, for they must outlive a restore.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, unistd::geteuid};
use redb::{Database, TableDefinition, backends::FileBackend};
use serde::{Deserialize, Serialize};

use super::{
    archived_file::ArchiveExtent,
    codec,
    copy::{self, TableDigest},
    days,
    error::{OpenError, StorageFailure, StoreError, catch_damage, guarded},
    file,
    reader::{Counts, Reader},
    record::Write,
    seal::{parse, seal, to_json, unseal},
    store::{StoreOptions, flatten, shared_builder},
    tables::CHECKPOINTS,
};
use crate::domain::Timestamp;

/// In a backup only. Key: `manifest`. Value: a [`Manifest`] as JSON, sealed, format 1.
const BACKUP: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("backup");
const MANIFEST: &str = "manifest";
/// Name of the checkpoint that says which backup was made last.
const LATEST: &str = "backup";
/// Memory for pages of the file that is written, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The program that made it.
    pub vigie: String,
    /// The moment it shows.
    pub made_at: Timestamp,
    /// When the journal was begun: it tells one journal from others.
    pub created_at: Timestamp,
    /// The number of the last record.
    pub last_seq: u64,
    /// How many records there are.
    pub counts: Counts,
    /// Its tables.
    pub tables: Vec<TableDigest>,
}

/// The backup that was made last, as the journal knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestBackup {
    /// The moment it shows.
    pub at: Timestamp,
    /// The number of its last record.
    pub last_seq: u64,
}

impl LatestBackup {
    /// Notes it in the journal.
    pub fn write(&self) -> Write {
        Write::Checkpoint { name: LATEST.to_owned(), bytes: serde_json::to_vec(self).unwrap_or_default() }
    }
}

impl Reader {
    /// The backup that was made last; `None` when the journal knows of none.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn latest_backup(&self) -> Result<Option<LatestBackup>, StoreError> {
        match self.checkpoint(LATEST) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok())),
            Err(StoreError::BadRecord(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// How large a journal is, for `status`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Storage {
    /// Bytes of its file; `None` where it is none.
    pub bytes: Option<u64>,
    /// Bytes a day of the records that were stored on the seven whole days before, in UTC, or on fewer in a younger journal, with
    /// their entries in the indexes; `None` on its first day.
    pub growth_bytes_a_day: Option<u64>,
    /// The backup that was made last, as far as the journal knows.
    pub backup: Option<BackupAge>,
    /// What stands in archived files; `None` when nothing does.
    pub archive: Option<ArchiveExtent>,
}

/// A backup as it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BackupAge {
    /// What the journal knows of it.
    #[serde(flatten)]
    pub latest: LatestBackup,
    /// Seconds since the moment it shows.
    pub age_s: f64,
}

impl Reader {
    /// How large the journal is, by what it knows `now`. It looks for the file, so it belongs on a thread that may wait.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn storage(&self, now: Timestamp) -> Result<Storage, StoreError> {
        let bytes = self.path.as_ref().and_then(|path| fs::metadata(path).ok()).map(|found| found.len());
        let growth_bytes_a_day = guarded("looking how much was stored", || days::growth(&self.moment, now))?;
        let age = |latest: LatestBackup| BackupAge { latest, age_s: now.duration_since(latest.at).as_secs_f64() };
        let backup = self.latest_backup()?.map(age);
        Ok(Storage { bytes, growth_bytes_a_day, backup, archive: self.archive_extent() })
    }
}

/// A file with a journal in it that is not in its place yet; removed when it is dropped.
#[derive(Debug)]
struct Draft(Option<PathBuf>);

impl Draft {
    fn begin(path: PathBuf) -> Result<(Self, Database), OpenError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = options.open(&path).map_err(|error| OpenError::io(&path, WRITING, &error))?;
        let draft = Self(Some(path.clone()));
        let made = catch_damage(|| {
            let builder = shared_builder(StoreOptions { cache_bytes: CACHE_BYTES, verify: false });
            Ok(builder.create_with_backend(FileBackend::new(file)?)?)
        });
        Ok((draft, flatten(&path, made)?))
    }

    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    fn close(&self, database: Database) -> Result<(), OpenError> {
        flatten(self.path(), catch_damage(|| Ok(database.close()?)))?;
        let synced = File::open(self.path()).and_then(|file| file.sync_all());
        synced.map_err(|error| OpenError::io(self.path(), WRITING, &error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _nobody_else_knows_of_it = fs::remove_file(path);
        }
    }
}

const WRITING: &str = "writing a copy of the journal";
const READING: &str = "reading a copy of the journal";

/// Writes what `reader` sees to `path`, which is replaced when the copy is whole, on disk, and was read back. `tell` is told how many
/// entries are done, and of how many.
///
/// # Errors
/// [`OpenError`] of the file or the journal; `path` is then as it was.
pub fn back_up(
    reader: &Reader,
    path: &Path,
    made_at: Timestamp,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Manifest, OpenError> {
    let of_journal = |error: StoreError| OpenError::corrupt(path, format!("the journal cannot be read: {error}"));
    let (draft, database) = Draft::begin(beside(path)?)?;
    let tables = guarded(WRITING, || copy::all(&reader.moment, Some(&database), tell));
    let manifest = Manifest {
        vigie: env!("CARGO_PKG_VERSION").to_owned(),
        made_at,
        created_at: reader.created_at().map_err(of_journal)?,
        last_seq: reader.last_seq().map_err(of_journal)?,
        counts: reader.counts().map_err(of_journal)?,
        tables: tables.map_err(|failure| OpenError::Storage { path: path.to_owned(), failure })?,
    };
    let sealed = catch_damage(|| {
        let mut value = Vec::new();
        seal(&mut value, &[MANIFEST.as_bytes()], |out| to_json(out, &manifest)).map_err(redb::Error::Corrupted)?;
        let transaction = database.begin_write()?;
        transaction.open_table(BACKUP)?.insert(MANIFEST, value.as_slice())?;
        Ok(transaction.commit()?)
    });
    flatten(draft.path(), sealed)?;
    draft.close(database)?;
    Backup::open(draft.path())?.check(&mut |_, _| {})?;
    place(draft, path)?;
    Ok(manifest)
}

/// Where a backup is written before it takes its name.
fn beside(path: &Path) -> Result<PathBuf, OpenError> {
    let name = path.file_name().ok_or_else(|| OpenError::refused(path, "it is no name of a file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.part", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// Puts a draft in its place.
fn place(mut draft: Draft, path: &Path) -> Result<(), OpenError> {
    let failed = |error: &std::io::Error| OpenError::io(path, "putting a copy of the journal in its place", error);
    fs::rename(draft.path(), path).map_err(|error| failed(&error))?;
    draft.0 = None;
    file::sync_folder(path).map_err(|error| failed(&error))
}

/// A backup, open for reading.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    reader: Reader,
    manifest: Manifest,
}

impl Backup {
    /// Opens a backup and reads its manifest.
    ///
    /// # Errors
    /// [`OpenError`]; a journal that is no backup is [`OpenError::Refused`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let reader = Reader::open_path(path, CACHE_BYTES)?;
        let read = guarded(READING, || {
            let table = match reader.moment.open_table(BACKUP) {
                Ok(table) => table,
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let value = table
                .get(MANIFEST)?
                .map(|value| unseal(&[MANIFEST.as_bytes()], value.value()).and_then(parse::<Manifest>));
            value.transpose().map_err(redb::Error::Corrupted)
        });
        match read {
            Ok(Some(manifest)) => Ok(Self { path: path.to_owned(), reader, manifest }),
            Ok(None) => Err(OpenError::refused(path, "it is a journal and no backup that `vigie backup` made")),
            Err(failure) => Err(unreadable(path, failure)),
        }
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What it holds.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Reads all of it and compares it with its manifest.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] with what differs.
    pub fn check(&self, tell: &mut dyn FnMut(u64, u64)) -> Result<(), OpenError> {
        self.copy_to(None, tell)
    }

    fn copy_to(&self, to: Option<&Database>, tell: &mut dyn FnMut(u64, u64)) -> Result<(), OpenError> {
        let found = guarded(READING, || copy::all(&self.reader.moment, to, tell));
        let found = found.map_err(|failure| unreadable(&self.path, failure))?;
        for expected in &self.manifest.tables {
            match found.iter().find(|found| found.name == expected.name) {
                Some(found) if found == expected => {}
                Some(found) if found.entries != expected.entries => {
                    let what =
                        format!("{} has {} entries and should have {}", found.name, found.entries, expected.entries);
                    return Err(OpenError::corrupt(&self.path, what));
                }
                Some(found) => {
                    return Err(OpenError::corrupt(&self.path, format!("{} does not match its digest", found.name)));
                }
                None => {
                    let what = format!("this vigie does not know its table {}", expected.name);
                    return Err(OpenError::refused(&self.path, what));
                }
            }
        }
        let known = |found: &TableDigest| self.manifest.tables.iter().any(|table| table.name == found.name);
        match found.iter().find(|found| found.entries > 0 && !known(found)) {
            Some(found) => Err(OpenError::corrupt(&self.path, format!("its manifest does not name {}", found.name))),
            None => Ok(()),
        }
    }

    /// Copies it to the place of the journal at `path`, checked entry by entry, and gives the name under which what stood there is
    /// kept. At every moment one of the two stands there whole.
    ///
    /// # Errors
    /// [`OpenError::InUse`] while somebody has the journal open; every other leaves it as it was, too.
    pub fn restore(&self, path: &Path, tell: &mut dyn FnMut(u64, u64)) -> Result<Option<PathBuf>, OpenError> {
        refuse_in_use(path)?;
        let half = file::with_suffix(path, ".restored");
        file::remove(&half)?;
        let (draft, database) = Draft::begin(half)?;
        self.copy_to(Some(&database), tell)?;
        let noted = catch_damage(|| {
            let latest = LatestBackup { at: self.manifest.made_at, last_seq: self.manifest.last_seq };
            let Write::Checkpoint { name, bytes } = latest.write() else { return Ok(()) };
            let mut value = Vec::new();
            codec::encode_checkpoint(&mut value, &name, &bytes).map_err(redb::Error::Corrupted)?;
            let transaction = database.begin_write()?;
            // without a number: that would be one that was acknowledged
            transaction.open_table(CHECKPOINTS)?.insert(name.as_str(), value.as_slice())?;
            Ok(transaction.commit()?)
        });
        flatten(draft.path(), noted)?;
        draft.close(database)?;
        give_to_owner(path, draft.path())?;
        let _folder = file::lock_folder(path)?;
        // whoever opens it from now on waits for the folder
        refuse_in_use(path)?;
        let aside = file::keep_aside(path)?;
        place(draft, path)?;
        Ok(aside)
    }
}

fn unreadable(path: &Path, failure: StorageFailure) -> OpenError {
    OpenError::corrupt(path, format!("{} (while {})", failure.message, failure.doing))
}

/// Refuses when somebody has the journal open for writing.
fn refuse_in_use(path: &Path) -> Result<(), OpenError> {
    let Ok((file, metadata)) = file::open_regular(path, true) else { return Ok(()) };
    if metadata.len() == 0 {
        return Ok(());
    }
    let opened = catch_damage(|| {
        let builder = shared_builder(StoreOptions { cache_bytes: 1 << 20, verify: false });
        Ok(builder.create_with_backend(FileBackend::new(file)?)?)
    });
    match flatten(path, opened) {
        Err(error @ OpenError::InUse { .. }) => Err(error),
        // a damaged one is what a restore is for
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Root makes files for the daemon's user.
fn give_to_owner(path: &Path, new: &Path) -> Result<(), OpenError> {
    let folder = file::folder_of(path);
    let given = fs::metadata(folder).and_then(|owner| match geteuid().is_root() {
        true => chown(new, Some(owner.uid()), Some(owner.gid())),
        false => Ok(()),
    });
    given.map_err(|error| OpenError::io(path, "giving the journal to the owner of its folder", &error))
}

/// What can be read of a journal, for comparisons: `None` where there is none.
///
/// # Errors
/// [`OpenError`].
pub fn present(path: &Path) -> Result<Option<Reader>, OpenError> {
    if path.symlink_metadata().is_err() { Ok(None) } else { Reader::open_path(path, CACHE_BYTES).map(Some) }
}
