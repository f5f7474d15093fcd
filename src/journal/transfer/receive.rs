//! The receiving end of a transfer: the stream becomes a journal in a file without a name.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read},
    ops::Bound,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use redb::{
    Builder, ConcurrencyMode, Database, Durability, Key, ReadableDatabase as _, TableDefinition, TableHandle as _,
    Value, backends::FileBackend,
};

use super::{
    super::{
        copy::{self, MOST_BYTES, Tables},
        error::{StorageFailure, guarded},
        reader::{Opened, Reader},
        schema::{self, SCHEMA},
    },
    CHUNK, END, ENTRY, FAILED, TABLE, TransferError,
};

/// Longest value that is taken: far above any model.
const MOST_VALUE: u32 = 1 << 30;
/// Memory for pages of the copy, in bytes.
const CACHE_BYTES: usize = 16 << 20;

/// The journal that `stream` brings, in a file without a name that is gone with the reader. `tell` is told how many entries came.
/// Memory does not depend on how many there are.
///
/// # Errors
/// [`TransferError`].
pub fn receive(stream: impl Read, tell: &mut dyn FnMut(u64)) -> Result<Reader, TransferError> {
    let folder = folder();
    let failed = |why: String| TransferError::Storage { folder: folder.clone(), why };
    let file = nameless(&folder).map_err(|error| failed(error.to_string()))?;
    let database = storage(|| {
        let mut builder = Builder::new();
        // nobody else can open the file
        builder.set_cache_size(CACHE_BYTES).set_concurrency_mode(ConcurrencyMode::ExclusiveWriter);
        Ok(builder.create_with_backend(FileBackend::new(file)?)?)
    });
    let database = database.map_err(|failure| failed(failure.message))?;
    let stream = BufReader::with_capacity(CHUNK, stream);
    let mut receiving = Receiving { to: &database, stream, next: None, entries: 0, fault: None, tell };
    let received = storage(|| {
        copy::each(&mut receiving)?;
        Ok(receiving.end())
    });
    let fault = receiving.fault.take();
    match (fault, received) {
        (Some(fault), _) | (None, Ok(Err(fault))) => return Err(fault),
        (None, Err(failure)) => return Err(failed(failure.message)),
        (None, Ok(Ok(()))) => {}
    }
    let opened = storage(|| {
        let found = schema::of(&database)?;
        let moment = database.begin_read()?;
        let reader = found
            .is_some_and(schema::is_current)
            .then(|| Reader::new(moment, Some(Opened::Own { _file: database }), None));
        Ok(reader.transpose()?.ok_or(found))
    });
    match opened.map_err(|failure| failed(failure.message))? {
        Ok(reader) => Ok(reader),
        Err(found) => {
            let found = found.map_or_else(|| "none".to_owned(), |found| found.to_string());
            Err(TransferError::Foreign(format!("its schema is {found}, this program reads {SCHEMA}")))
        }
    }
}

fn storage<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StorageFailure> {
    guarded("writing a copy of the journal", work)
}

/// Where the copy is kept: it may be larger than what a folder in memory has room for.
fn folder() -> PathBuf {
    match std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => folder.into(),
        None if Path::new("/var/tmp").is_dir() => "/var/tmp".into(),
        None => std::env::temp_dir(),
    }
}

/// A file in `folder` that nobody else can open, and that is gone when it is closed.
fn nameless(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let made = options.clone().custom_flags(OFlag::O_TMPFILE.bits()).open(folder);
    let is_unknown = |error: &io::Error| {
        matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput)
    };
    if !made.as_ref().is_err_and(is_unknown) {
        return made;
    }
    // a file system without such files
    let path = folder.join(format!(".vigie-copy.{}", std::process::id()));
    let file = options.create_new(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// What came next in the stream.
enum Frame {
    Table(String),
    Entry(Vec<u8>, Vec<u8>),
    End(u64),
}

struct Receiving<'a, R> {
    to: &'a Database,
    stream: BufReader<R>,
    /// What was read and belongs to the next table.
    next: Option<Frame>,
    entries: u64,
    /// Why it cannot go on, other than over the storage.
    fault: Option<TransferError>,
    tell: &'a mut dyn FnMut(u64),
}

impl<R: Read> Receiving<'_, R> {
    fn frame(&mut self) -> Result<Frame, TransferError> {
        if let Some(next) = self.next.take() {
            return Ok(next);
        }
        let [kind] = self.array()?;
        match kind {
            TABLE => {
                let [length] = self.array()?;
                Ok(Frame::Table(self.text(length.into())?))
            }
            ENTRY => Ok(Frame::Entry(self.long()?, self.long()?)),
            END => Ok(Frame::End(u64::from_le_bytes(self.array()?))),
            FAILED => {
                let why = self.long()?;
                Err(TransferError::Failed(String::from_utf8_lossy(&why).into_owned()))
            }
            other => Err(TransferError::Foreign(format!("nothing in it is of kind {other}"))),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TransferError> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).map_err(TransferError::BrokeOff)?;
        Ok(bytes)
    }

    fn long(&mut self) -> Result<Vec<u8>, TransferError> {
        let length = u32::from_le_bytes(self.array()?);
        if length > MOST_VALUE {
            return Err(TransferError::Foreign(format!("a value in it has {length} bytes")));
        }
        // as it comes: a length that is not true takes no memory
        let mut bytes = Vec::new();
        let read = (&mut self.stream).take(length.into()).read_to_end(&mut bytes).map_err(TransferError::BrokeOff)?;
        if read as u64 == u64::from(length) {
            Ok(bytes)
        } else {
            Err(TransferError::BrokeOff(io::ErrorKind::UnexpectedEof.into()))
        }
    }

    fn text(&mut self, length: usize) -> Result<String, TransferError> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).map_err(TransferError::BrokeOff)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Behind the last table.
    fn end(&mut self) -> Result<(), TransferError> {
        match self.frame()? {
            Frame::End(entries) if entries == self.entries => Ok(()),
            Frame::End(entries) => {
                Err(TransferError::Foreign(format!("it has {entries} entries, of which {} came", self.entries)))
            }
            Frame::Table(name) => Err(TransferError::Foreign(format!("it has a table {name}"))),
            Frame::Entry(..) => Err(TransferError::Foreign("an entry is in no table".to_owned())),
        }
    }

    /// Remembers why it ends.
    fn stop(&mut self, fault: TransferError) -> redb::Error {
        self.fault = Some(fault);
        redb::Error::Io(io::ErrorKind::Interrupted.into())
    }
}

impl<R: Read> Tables for Receiving<'_, R> {
    fn lacks_archives(&self) -> Result<bool, redb::Error> {
        Ok(true)
    }

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> Result<(), redb::Error> {
        match self.frame() {
            Ok(Frame::Table(name)) if name == definition.name() => {}
            Ok(_) => {
                return Err(self.stop(TransferError::Foreign(format!("it has no table {}", definition.name()))));
            }
            Err(fault) => return Err(self.stop(fault)),
        }
        let mut more = true;
        while more {
            let mut transaction = self.to.begin_write()?;
            // it is read by this process only, and gone with it
            transaction.set_durability(Durability::None).map_err(|error| redb::Error::Corrupted(error.to_string()))?;
            {
                let mut table = transaction.open_table(definition)?;
                let mut end = table.upper_bound_mut(Bound::<K::SelfType<'_>>::Unbounded)?;
                let mut bytes = 0;
                while bytes < MOST_BYTES {
                    let (key, value) = match self.frame() {
                        Ok(Frame::Entry(key, value)) => (key, value),
                        Ok(other) => {
                            self.next = Some(other);
                            more = false;
                            break;
                        }
                        Err(fault) => return Err(self.stop(fault)),
                    };
                    bytes += key.len() + value.len();
                    end.insert_before(K::from_bytes(&key), V::from_bytes(&value))?;
                    self.entries += 1;
                    if self.entries.is_multiple_of(4096) {
                        (self.tell)(self.entries);
                    }
                }
                end.close()?;
            }
            transaction.commit()?;
        }
        Ok(())
    }
}
