//! The writing end of the journal.
#![deny(clippy::indexing_slicing)]

use std::{path::Path, sync::Arc};

use redb::{Builder, ConcurrencyMode, Database, ReadableDatabase, StorageBackend, backends::FileBackend};

use super::{
    archive::Archive,
    batch::Batch,
    dictionaries::Dictionaries,
    error::{OpenError, StorageFailure, StoreError, catch_damage, guarded},
    file,
    first_page::{FirstPage, WatchedFile},
    reader::Reader,
    record::{Applied, Write},
    schema::{self, FoundSchema, SCHEMA},
    takeover::{self, Progress},
};
use crate::clock::{Clock, WallClock};

/// How to open a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Memory for pages, in bytes.
    pub cache_bytes: usize,
    /// Read the whole file and check every page first. It takes seconds per gigabyte; it is for a journal whose last
    /// failure was [`FailureKind::Corrupt`](super::FailureKind::Corrupt).
    pub verify: bool,
}

/// The journal, open for writing. One process has one, on one thread.
///
/// After a [`StoreError::Storage`] it is of no use: drop it and open the journal again. The batch that failed may be
/// stored nevertheless, whole; [`Store::in_doubt`] says so, and the new handle tells whether it is.
#[derive(Debug)]
pub struct Store {
    /// `None` only while it is being closed.
    database: Option<Database>,
    /// The file, where it is one.
    origin: Option<Place>,
    /// As they stand in the file.
    dictionaries: Dictionaries,
    /// As the journal knows it.
    archive: Archive,
    /// What is to be said of a batch whose commit was begun and is not known to have ended.
    doubt: Option<Vec<Applied>>,
}

/// The file of a journal, where it was opened, and what this process wrote to it.
#[derive(Debug, Clone)]
pub struct Place {
    origin: file::Origin,
    first_page: Arc<FirstPage>,
}

impl Place {
    /// Whether the file still stands there, and no other, and nobody else wrote to it. Two system calls, and no disk in general.
    ///
    /// # Errors
    /// What is there instead and what to do, in words.
    pub fn check(&self) -> Result<(), String> {
        self.origin.is_in_place()?;
        if self.is_overwritten() { Err(self.overwritten()) } else { Ok(()) }
    }

    /// Whether somebody else wrote to the file: then this process never writes to it again.
    pub fn is_overwritten(&self) -> bool {
        self.first_page.is_overwritten()
    }

    /// Opening the file again failed, and may have changed it.
    pub fn learn(&self) {
        self.first_page.learn();
    }

    /// The file was opened `again`, and what stands in it was looked at just before.
    ///
    /// # Errors
    /// As [`Place::check`], when it is another one, or a whole one where there was none before.
    pub fn go_on(&mut self, again: &Self) -> Result<(), String> {
        self.origin.is_in_place()?;
        if again.origin != self.origin || self.first_page.has_been_damaged() {
            self.first_page.give_up();
            return Err(self.overwritten());
        }
        *self = again.clone();
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        self.origin.path()
    }

    fn overwritten(&self) -> String {
        format!(
            "another program wrote to the journal {} while it was open, for example by copying a backup onto it: what was \
             recorded after that backup is lost, and nothing more is written; stop the daemon, put the right journal there with \
             `vigie restore` and start it",
            self.origin.path().display()
        )
    }
}

impl Store {
    /// Opens the journal at `path`, created when there is none (mode 0600), recovered after a crash, and taken over when an
    /// older program wrote it, which is logged.
    ///
    /// # Errors
    /// Every [`OpenError`] but those of readers. [`OpenError::Corrupt`] leaves the file where it is;
    /// [`quarantine`](super::quarantine) puts it aside.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        Self::open_telling(path, options, &mut takeover::log())
    }

    /// The same, telling `tell` instead of the log how far a takeover is.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_telling(path: &Path, options: StoreOptions, tell: &mut dyn FnMut(Progress)) -> Result<Self, OpenError> {
        Self::open_through(path, options, tell, &|file| file)
    }

    /// The same on what `storage` makes of the file, such as a disk that fails.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn open_through<B: StorageBackend>(
        path: &Path,
        options: StoreOptions,
        tell: &mut dyn FnMut(Progress),
        storage: &dyn Fn(FileBackend) -> B,
    ) -> Result<Self, OpenError> {
        let builder = shared_builder(options);
        file::ensure(path, &builder)?;
        refuse_newer(path)?;
        let mut opened = Self::open_file(path, &builder, storage)?;
        if let (store, FoundSchema::Older(found)) = &opened {
            // it is written from one end to the other
            let cache_bytes = options.cache_bytes.min(16 << 20);
            let beside = shared_builder(StoreOptions { cache_bytes, verify: false });
            takeover::run(path, store.database_of(path)?, *found, &beside, tell)?;
            opened = Self::open_file(path, &builder, storage)?;
        }
        takeover::clear(path)?;
        Self::current(path, opened)
    }

    fn open_file<B: StorageBackend>(
        path: &Path,
        builder: &Builder,
        storage: &dyn Fn(FileBackend) -> B,
    ) -> Result<(Self, FoundSchema), OpenError> {
        let file = file::open_own(path)?;
        let origin = file::Origin::of(path, &file).map_err(|error| OpenError::io(path, OPENING, &error))?;
        let first_page = FirstPage::new(file::open_to_read(path)?);
        let backend = FileBackend::new(file).map_err(|error| OpenError::from_redb(path, OPENING, &error.into()))?;
        let backend = WatchedFile::new(storage(backend), Arc::clone(&first_page));
        let (mut store, standing) = Self::open_with(path, builder, backend)?;
        // no other process writes to it from now on
        first_page.learn();
        store.origin = Some(Place { origin, first_page });
        Ok((store, standing))
    }

    /// Where its file stands; `None` on other storage.
    pub fn place(&self) -> Option<&Place> {
        self.origin.as_ref()
    }

    /// Opens a journal on any storage, created when the storage is empty. A process alone may use it.
    ///
    /// # Errors
    /// As [`Store::open`]; the path in them is `(storage)`.
    pub fn open_backend(backend: impl StorageBackend, options: StoreOptions) -> Result<Self, OpenError> {
        let path = Path::new("(storage)");
        let new = backend.len().map_err(|error| OpenError::io(path, OPENING, &error))? == 0;
        let mut builder = shared_builder(options);
        builder.set_concurrency_mode(ConcurrencyMode::ExclusiveWriter);
        if !new {
            return Self::current(path, Self::open_with(path, &builder, backend)?);
        }
        let made = catch_damage(|| {
            let database = builder.create_with_backend(backend)?;
            let store = Self {
                database: Some(database),
                origin: None,
                dictionaries: Dictionaries::default(),
                archive: Archive::default(),
                doubt: None,
            };
            schema::create(store.database()?, WallClock.now())?;
            Ok(store)
        });
        flatten(path, made)
    }

    /// Stores a batch in one durable transaction and says of each write, in order, what became of it. When it returns
    /// `Ok`, everything [`Applied::Stored`] or [`Applied::Duplicate`] is on disk. A batch that changes nothing touches
    /// no disk.
    ///
    /// # Errors
    /// [`StoreError::Storage`] only: nothing is acknowledged, and the handle must be dropped.
    pub fn apply(&mut self, writes: &[Write]) -> Result<Vec<Applied>, StoreError> {
        self.doubt = None;
        let (doubt, makes_known) = (&mut self.doubt, writes.iter().any(|write| matches!(write, Write::Archived(_))));
        let applied = guarded("writing a batch", || {
            let database = self.database.as_ref().ok_or(redb::Error::DatabaseClosed)?;
            let transaction = schema::durable(database)?;
            let mut batch = Batch::open(&transaction, &mut self.dictionaries, &self.archive)?;
            let applied = writes.iter().map(|write| batch.write(write)).collect::<Result<Vec<_>, _>>()?;
            if batch.finish()? {
                *doubt = Some(applied.clone());
                transaction.commit()?;
                *doubt = None;
            } else {
                transaction.abort()?;
            }
            Ok(applied)
        })?;
        if makes_known {
            self.look_at_archive()?;
        }
        Ok(applied)
    }

    /// What would have been said of the batch of the last [`Store::apply`], when that failed in its commit: it may be stored, and
    /// [`InDoubt`](super::InDoubt) tells.
    pub fn in_doubt(&self) -> Option<&[Applied]> {
        self.doubt.as_deref()
    }

    /// A snapshot of everything acknowledged so far. It keeps its pages in the file while it lives, so it should not
    /// live for days; after the store is closed it answers [`StoreError::Storage`].
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn reader(&self) -> Result<Reader, StoreError> {
        let path = self.origin.as_ref().map(Place::path);
        Ok(guarded("beginning to read", || Reader::new(self.database()?.begin_read()?, None, path))?)
    }

    /// The number of the last record stored, 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        self.reader()?.last_seq()
    }

    /// Closes the journal in good order, as dropping it does, and says if that failed. Nothing acknowledged can be lost
    /// by a failure here.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn close(mut self) -> Result<(), StoreError> {
        Ok(self.close_database()?)
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    pub(super) fn database_mut(&mut self) -> Result<&mut Database, redb::Error> {
        self.database.as_mut().ok_or(redb::Error::DatabaseClosed)
    }

    /// Reads again which files are archived.
    fn look_at_archive(&mut self) -> Result<(), StoreError> {
        let path = self.origin.as_ref().map(Place::path);
        self.archive = guarded(OPENING, || Archive::load(&self.database()?.begin_read()?, path))?;
        Ok(())
    }

    fn close_database(&mut self) -> Result<(), StorageFailure> {
        guarded("closing the journal", || match self.database.take() {
            Some(database) => Ok(database.close()?),
            None => Ok(()),
        })
    }

    fn open_with(
        path: &Path,
        builder: &Builder,
        backend: impl StorageBackend,
    ) -> Result<(Self, FoundSchema), OpenError> {
        let opened = catch_damage(|| {
            let database = builder.create_with_backend(backend)?;
            let standing = schema::standing(&database)?;
            let dictionaries = Dictionaries::load(&database.begin_read()?)?;
            let archive = Archive::load(&database.begin_read()?, Some(path))?;
            let store = Self { database: Some(database), origin: None, dictionaries, archive, doubt: None };
            Ok((store, standing))
        });
        flatten(path, opened)
    }

    /// The store, if it has today's schema.
    fn current(path: &Path, (store, standing): (Self, FoundSchema)) -> Result<Self, OpenError> {
        let path = path.to_owned();
        match standing {
            FoundSchema::Current => Ok(store),
            FoundSchema::Older(found) => Err(OpenError::Older { path, found, supported: SCHEMA }),
            FoundSchema::Newer(found) => Err(OpenError::Newer { path, found, supported: SCHEMA }),
            FoundSchema::NotAJournal => Err(OpenError::corrupt(&path, "it is a database, and not of vigie")),
        }
    }

    fn database_of(&self, path: &Path) -> Result<&Database, OpenError> {
        self.database().map_err(|error| OpenError::from_redb(path, OPENING, &error))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // redb closes what is dropped, and may panic over damage then as well; nothing is lost by a failure here
        let _closed = self.close_database();
    }
}

const OPENING: &str = "opening the journal";

/// How every process opens a journal's file: one writes, any number may read beside it.
pub(super) fn shared_builder(options: StoreOptions) -> Builder {
    let mut builder = Builder::new();
    builder
        .set_cache_size(options.cache_bytes)
        .set_check_integrity_on_open(options.verify)
        .set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// Opening for writing already changes a few bytes, so a file that must not be touched is found out by a reader. One
/// that cannot be read is left to the writer to recover or to refuse.
fn refuse_newer(path: &Path) -> Result<(), OpenError> {
    let found = catch_damage(|| {
        let backend = FileBackend::new(file::open_own(path).ok()?).ok()?;
        let database = shared_builder(StoreOptions { cache_bytes: 1 << 20, verify: false });
        schema::of(&database.open_read_only_with_backend(backend).ok()?).ok()?
    });
    match found {
        Ok(Some(found)) if found > SCHEMA => Err(OpenError::Newer { path: path.to_owned(), found, supported: SCHEMA }),
        _ => Ok(()),
    }
}

/// One error from work that may fail, and may panic on a damaged page.
pub(super) fn flatten<T>(path: &Path, outcome: Result<Result<T, redb::Error>, String>) -> Result<T, OpenError> {
    outcome
        .map_err(|panic| OpenError::corrupt(path, panic))?
        .map_err(|error| OpenError::from_redb(path, OPENING, &error))
}
