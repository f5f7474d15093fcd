//! Whether anybody else wrote to the journal's file while this process has it open.
//!
//! redb keeps its header and both commit slots in the first bytes of the file and writes them with every commit, and only the one
//! process that has the journal open for writing does so. So what stands there is what this process wrote last, and anything else
//! was put there by somebody else: say, an older copy of the journal onto the open file. What is written into such a file is a mixture
//! of two journals and is lost. From then on nothing is written to it.
//!
//! Only this process changes the length of the file, too. One that is shorter than it was left has lost pages that redb may still
//! hold in memory, so that everything would seem well until the next start: it is damaged, and is treated so at the next write.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::File,
    io,
    ops::Bound,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend};

/// Bytes of redb's header and its two commit slots.
const BYTES: usize = 320;
/// How every redb file begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

type Bytes = [u8; BYTES];

/// What this process wrote to the beginning of the file.
#[derive(Debug)]
pub(super) struct FirstPage {
    /// For looking only.
    file: File,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// What stands there; `None` while the file is being opened, which is when another process may still write.
    last: Option<Bytes>,
    /// What stood there before the last write, until that is known to have succeeded.
    before: Option<Bytes>,
    /// Bytes of the file as this process left it; `None` like `last`.
    length: Option<u64>,
    /// Something else stood there that is no beginning of a database, or the file was shorter.
    has_been_damaged: bool,
    /// Somebody else wrote it.
    is_overwritten: bool,
}

/// How the file begins.
enum Found {
    /// As this process wrote it, or nothing is known yet.
    Own,
    /// As no database does.
    Damaged,
    /// As another one does, or it was found so before.
    Overwritten,
}

impl FirstPage {
    /// Of a file that is open for reading. What stands in it counts from [`FirstPage::learn`] on.
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file, written: Mutex::default() })
    }

    /// Takes what stands there now for this process's own, if it is the beginning of a database.
    pub(super) fn learn(&self) {
        let mut written = self.written();
        if let (Ok(found), Ok(about)) = (self.read(), self.file.metadata())
            && found.starts_with(MAGIC)
        {
            (written.last, written.before, written.length) = (Some(found), None, Some(about.len()));
        }
    }

    /// Whether somebody else wrote to the file. Once that was found it stays so. One small read, of what the system has in memory.
    pub(super) fn is_overwritten(&self) -> bool {
        matches!(self.look(&mut self.written()), Found::Overwritten)
    }

    /// Whether something stood there that is no beginning of a database. If one stands there after that, somebody else put it there.
    pub(super) fn has_been_damaged(&self) -> bool {
        self.written().has_been_damaged
    }

    /// Somebody else wrote to the file.
    pub(super) fn give_up(&self) {
        self.written().is_overwritten = true;
    }

    fn look(&self, written: &mut Written) -> Found {
        let known = [written.last, written.before];
        match (written.is_overwritten, written.last, self.read()) {
            (true, ..) => Found::Overwritten,
            (false, None, _) => Found::Own,
            (false, _, Ok(found)) if known.contains(&Some(found)) => Found::Own,
            (false, _, Ok(found)) if found.starts_with(MAGIC) => {
                written.is_overwritten = true;
                Found::Overwritten
            }
            // a disk that cannot be read says nothing of who wrote
            (false, _, Err(error)) if error.kind() != io::ErrorKind::UnexpectedEof => Found::Own,
            _ => {
                written.has_been_damaged = true;
                Found::Damaged
            }
        }
    }

    /// Before `data` is written at `offset`: whether it may be.
    fn admit(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.written();
        let place = usize::try_from(offset).ok().filter(|place| *place < BYTES);
        // what is written with every commit goes last: what is before it has been looked at
        let found = match place {
            _ if self.is_shortened(&written) => Found::Damaged,
            Some(_) => self.look(&mut written),
            None if written.is_overwritten => Found::Overwritten,
            None => Found::Own,
        };
        match found {
            Found::Own => {}
            Found::Damaged => {
                written.has_been_damaged = true;
                return Err(io::Error::other("the journal's file was damaged by somebody else"));
            }
            Found::Overwritten => return Err(io::Error::other("the journal's file was overwritten by somebody else")),
        }
        if let Some((place, last)) = place.zip(written.last) {
            let mut next = last;
            next.iter_mut().skip(place).zip(data).for_each(|(byte, new)| *byte = *new);
            (written.before, written.last) = (Some(last), Some(next));
        }
        Ok(())
    }

    fn is_shortened(&self, written: &Written) -> bool {
        written.length.is_some_and(|length| self.file.metadata().is_ok_and(|about| about.len() < length))
    }

    /// The file is about to have `length` bytes, or has them.
    fn resized(&self, length: u64, is_done: bool) {
        if let Some(known) = &mut self.written().length {
            *known = if is_done { length } else { length.min(*known) };
        }
    }

    /// What was written at `offset` is there.
    fn is_whole(&self, offset: u64) {
        if offset < BYTES as u64 {
            self.written().before = None;
        }
    }

    fn read(&self) -> io::Result<Bytes> {
        let mut found = [0; BYTES];
        self.file.read_exact_at(&mut found, 0)?;
        Ok(found)
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file of a journal, which nothing is written to once somebody else wrote to it.
#[derive(Debug)]
pub(super) struct WatchedFile<B> {
    file: B,
    first_page: Arc<FirstPage>,
}

impl<B: StorageBackend> WatchedFile<B> {
    pub(super) fn new(file: B, first_page: Arc<FirstPage>) -> Self {
        Self { file, first_page }
    }
}

type Locked<T> = Result<T, BackendError>;

impl<B: StorageBackend> StorageBackend for WatchedFile<B> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.first_page.admit(u64::MAX, &[])?;
        self.first_page.resized(len, false);
        self.file.set_len(len)?;
        self.first_page.resized(len, true);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.first_page.admit(offset, data)?;
        self.file.write(offset, data)?;
        self.first_page.is_whole(offset);
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<()> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Locked<bool> {
        self.file.query_lock_range(start, end)
    }
}
