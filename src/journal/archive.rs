//! Old records in Parquet files beside the journal, read as if they still stood in the log.
//!
//! A row is a record: its number, its kind, its trade, when it came, and its bytes in two columns, which joined are the record as the log
//! held it, with the line of a signal as it came. The journal knows each file by its digest, and up to which number what they hold has
//! gone from the log: before that number they are needed, behind it the log has it all and no file is looked at. The indexes stay in the
//! journal, so that a trade is found as before; its events stay there too, for they say what is silent.
#![deny(clippy::indexing_slicing)]

use std::{
    collections::{BTreeSet, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use blake2::{Blake2b256, Digest as _};
use redb::{AccessGuard, Range, ReadTransaction, ReadableTable, TableError};

use super::{
    archived_file::ArchivedFile,
    copy::hex,
    file, schema,
    seal::{parse, unseal},
    tables::{ARCHIVES, META, META_GONE_TO},
};
use crate::table::ParquetSource;

type Bytes = &'static [u8];

/// The folder of the files, beside the journal.
pub const FOLDER: &str = "archive";
/// Parts of files that are in memory at once.
const PARTS: usize = 4;
/// The columns.
pub(super) const NUMBER: &str = "number";
pub(super) const KIND: &str = "kind";
pub(super) const TRADE: &str = "trade_id";
pub(super) const CAME: &str = "received_at";
pub(super) const HEAD: &str = "head";
pub(super) const TEXT: &str = "text";

/// An archived file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path}: the archive of the records {first} to {last} {what}; put the right file there, from a backup or from where it was \
     moved, and start again", path = .path.display()
)]
pub(super) struct ArchiveFault {
    path: PathBuf,
    first: u64,
    last: u64,
    what: String,
}

impl From<ArchiveFault> for redb::Error {
    fn from(fault: ArchiveFault) -> Self {
        Self::Io(io::Error::other(fault))
    }
}

/// What an error says of an archived file, if it is of one.
pub(super) fn fault_in(error: &redb::Error) -> Option<String> {
    let redb::Error::Io(error) = error else { return None };
    error.get_ref()?.downcast_ref::<ArchiveFault>().map(ToString::to_string)
}

type Recent = ((usize, usize), Arc<Part>);

/// The archived files of a journal.
#[derive(Debug, Default)]
pub(super) struct Archive {
    folder: PathBuf,
    files: Vec<(ArchivedFile, OnceLock<Opened>)>,
    /// The number up to which what they hold has gone from the log.
    gone_to: u64,
    /// Parts that were read last, by file and part.
    recent: Mutex<VecDeque<Recent>>,
    /// Nothing of it is read.
    passed_over: AtomicBool,
}

#[derive(Debug)]
struct Opened {
    source: ParquetSource,
    /// The numbers of the last records of the parts.
    ends: Vec<u64>,
}

/// Some records, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Part(Vec<(u64, Vec<u8>)>);

/// The bytes of a record.
pub(super) enum Value<'a> {
    Here(AccessGuard<'a, Bytes>),
    Archived(Arc<Part>, usize),
}

impl Value<'_> {
    pub(super) fn value(&self) -> &[u8] {
        match self {
            Self::Here(guard) => guard.value(),
            Self::Archived(part, place) => part.0.get(*place).map_or(&[], |(_, record)| record),
        }
    }
}

/// The bytes of the record number `seq`, wherever it stands.
pub(super) fn get<'a>(
    log: &'a impl ReadableTable<u64, Bytes>,
    archive: &Archive,
    seq: u64,
) -> Result<Option<Value<'a>>, redb::Error> {
    if let Some(guard) = log.get(seq)? {
        return Ok(Some(Value::Here(guard)));
    }
    let found = archive.from(seq, seq)?;
    Ok(found.map(|(_, part, place)| Value::Archived(part, place)))
}

/// The log from a number on.
pub(super) struct LogRange<'a> {
    here: Range<'a, u64, Bytes>,
    next_here: Option<(u64, AccessGuard<'a, Bytes>)>,
    archive: &'a Archive,
    next: Option<u64>,
}

/// The log from number `from` on, wherever its records stand.
pub(super) fn range<'a>(
    log: &'a impl ReadableTable<u64, Bytes>,
    archive: &'a Archive,
    from: u64,
) -> redb::Result<LogRange<'a>> {
    Ok(LogRange { here: log.range(from..)?, next_here: None, archive, next: Some(from) })
}

impl<'a> LogRange<'a> {
    fn step(&mut self) -> Result<Option<(u64, Value<'a>)>, redb::Error> {
        if self.next_here.is_none() {
            self.next_here = self.here.next().transpose()?.map(|(seq, value)| (seq.value(), value));
        }
        let archived = self.next.map(|next| self.archive.from(next, self.archive.gone_to)).transpose()?.flatten();
        let here = self.next_here.as_ref().map(|(seq, _)| *seq);
        match archived {
            Some((seq, part, place)) if here.is_none_or(|here| seq < here) => {
                self.next = seq.checked_add(1);
                Ok(Some((seq, Value::Archived(part, place))))
            }
            Some(_) => Ok(self.next_here.take().map(|(seq, value)| {
                // what is in both is read here
                self.next = self.next.max(seq.checked_add(1));
                (seq, Value::Here(value))
            })),
            None => {
                self.next = None;
                Ok(self.next_here.take().map(|(seq, value)| (seq, Value::Here(value))))
            }
        }
    }
}

impl<'a> Iterator for LogRange<'a> {
    type Item = Result<(u64, Value<'a>), redb::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// The folder of the archived files of the journal at `path`.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    file::folder_of(path).join(FOLDER)
}

/// BLAKE2b-32 of a file, in hexadecimal.
pub(super) fn digest_of(path: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (File::open(path)?, Blake2b256::new());
    let mut buffer = vec![0; 1 << 16];
    loop {
        match io::Read::read(&mut file, &mut buffer)? {
            0 => return Ok(hex(digest.finalize().as_slice())),
            read => digest.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

impl Archive {
    /// The files that a journal knows, without a look at them.
    pub(super) fn load(moment: &ReadTransaction, path: Option<&Path>) -> Result<Self, redb::Error> {
        let table = match moment.open_table(ARCHIVES) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let mut this = Self { folder: path.map(folder_of).unwrap_or_default(), ..Self::default() };
        for entry in table.iter()? {
            let (first, value) = entry?;
            let file = unseal(&[&first.value().to_be_bytes()], value.value()).and_then(parse::<ArchivedFile>);
            this.files.push((file.map_err(redb::Error::Corrupted)?, OnceLock::new()));
        }
        this.gone_to = schema::number_or(&moment.open_table(META)?, META_GONE_TO, 0)?;
        Ok(this)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &ArchivedFile> {
        self.files.iter().map(|(file, _)| file)
    }

    /// The number up to which what is archived has gone from the log, 0 when nothing has.
    pub(super) fn gone_to(&self) -> u64 {
        self.gone_to
    }

    /// The number up to which what is archived need not be archived again: a file of which nothing has gone yet counts only if it is
    /// there.
    pub(super) fn settled_to(&self) -> u64 {
        let is_settled = |place: &usize| {
            let begun = self.files.get(*place).is_some_and(|(file, _)| file.first <= self.gone_to);
            begun || self.is_there(*place).is_ok()
        };
        let settled = (0..self.files.len()).take_while(is_settled).count();
        settled.checked_sub(1).and_then(|last| self.files.get(last)).map_or(0, |(file, _)| file.last)
    }

    /// The next file of which something is to go from the log: its place and its first and last number.
    pub(super) fn next_to_go(&self) -> Option<(usize, u64, u64)> {
        let place = self.files.partition_point(|(file, _)| file.last <= self.gone_to);
        self.files.get(place).map(|(file, _)| (place, file.first, file.last))
    }

    /// The file of which more is to go from the log once all up to `gone_to` has, if that goes as far as `to`: its first number, and
    /// its place.
    pub(super) fn holder(&self, gone_to: u64, to: u64) -> Option<(u64, usize)> {
        let place = self.files.partition_point(|(file, _)| file.last <= gone_to);
        let (file, _) = self.files.get(place)?;
        (file.first <= to && to <= file.last).then_some((file.first, place))
    }

    /// Whether the file at a place is there and is the one that was archived. It is read only if it changed since it was read last.
    pub(super) fn is_there(&self, place: usize) -> Result<(), redb::Error> {
        let Some((file, _)) = self.files.get(place) else { return Err(no_such_file()) };
        is_it(&self.folder.join(&file.name), file).map_err(|what| self.fault(file, what))
    }

    /// Reads nothing of it any more.
    pub(super) fn pass_over(&self) {
        self.passed_over.store(true, Ordering::Relaxed);
    }

    /// The names of needed files that are not there, or of another size.
    pub(super) fn missing(&self) -> Vec<String> {
        let is_missing = |file: &&ArchivedFile| {
            fs::metadata(self.folder.join(&file.name)).map_or(true, |found| found.len() != file.bytes)
        };
        let needed = self.files().filter(|file| file.first <= self.gone_to);
        needed.filter(is_missing).map(|file| file.name.clone()).collect()
    }

    /// Looks whether each file that is needed is the one that was archived.
    pub(super) fn check(&self) -> Result<(), redb::Error> {
        (0..self.reaching(self.gone_to)).try_for_each(|place| self.opened(place).map(drop))
    }

    /// The same of all files.
    pub(super) fn check_all(&self) -> Result<(), redb::Error> {
        (0..self.files.len()).try_for_each(|place| self.opened(place).map(drop))
    }

    /// How many files begin at number `seq` or before.
    fn reaching(&self, seq: u64) -> usize {
        self.files.partition_point(|(file, _)| file.first <= seq)
    }

    /// The first archived record from number `seq` on, up to number `to`.
    fn from(&self, seq: u64, to: u64) -> Result<Option<(u64, Arc<Part>, usize)>, redb::Error> {
        if seq > to || self.files.is_empty() || self.passed_over.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let begin = self.files.partition_point(|(file, _)| file.last < seq);
        for file in begin..self.reaching(to) {
            let opened = self.opened(file)?;
            for part in opened.ends.partition_point(|end| *end < seq)..opened.ends.len() {
                let part = self.part(file, part, opened)?;
                let place = part.0.partition_point(|(number, _)| *number < seq);
                if let Some((number, _)) = part.0.get(place) {
                    return Ok((*number <= to).then(|| (*number, Arc::clone(&part), place)));
                }
            }
        }
        Ok(None)
    }

    fn opened(&self, place: usize) -> Result<&Opened, redb::Error> {
        let Some((file, opened)) = self.files.get(place) else { return Err(no_such_file()) };
        match opened.get() {
            Some(opened) => Ok(opened),
            None => {
                let found = open(&self.folder.join(&file.name), file).map_err(|what| self.fault(file, what))?;
                Ok(opened.get_or_init(|| found))
            }
        }
    }

    fn part(&self, file: usize, part: usize, opened: &Opened) -> Result<Arc<Part>, redb::Error> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = recent.iter().find(|(key, _)| *key == (file, part)) {
            return Ok(Arc::clone(found));
        }
        let read = read_part(&opened.source, part);
        let read = read.map_err(|what| match self.files.get(file) {
            Some((file, _)) => self.fault(file, what),
            None => no_such_file(),
        })?;
        let read = Arc::new(read);
        recent.push_front(((file, part), Arc::clone(&read)));
        recent.truncate(PARTS);
        Ok(read)
    }

    fn fault(&self, file: &ArchivedFile, what: String) -> redb::Error {
        ArchiveFault { path: self.folder.join(&file.name), first: file.first, last: file.last, what }.into()
    }
}

fn no_such_file() -> redb::Error {
    redb::Error::Corrupted("there is no such archive".to_owned())
}

/// Device, inode, time of the last change, and the digest that was found.
type Stamp = (u64, u64, i64, i64, String);

/// Whether the file at `path` is the one that was archived; what is wrong with it, if not.
pub(super) fn is_it(path: &Path, file: &ArchivedFile) -> Result<(), String> {
    let bytes = match fs::metadata(path) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("is not there".to_owned()),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    if bytes != file.bytes {
        return Err(format!("has {bytes} bytes and should have {}: it is damaged, or another file", file.bytes));
    }
    // files that were read once by this process and did not change since
    static SEEN: Mutex<BTreeSet<Stamp>> = Mutex::new(BTreeSet::new());
    let stamp =
        |found: fs::Metadata| (found.dev(), found.ino(), found.ctime(), found.ctime_nsec(), file.blake2b.clone());
    let before = fs::metadata(path).map(stamp).map_err(|error| format!("cannot be read: {error}"))?;
    let seen = || SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen().contains(&before) {
        return Ok(());
    }
    match digest_of(path) {
        Ok(digest) if digest == file.blake2b => {
            seen().insert(before);
            Ok(())
        }
        Ok(_) => Err("does not match its digest: it is damaged, or another file".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn open(path: &Path, file: &ArchivedFile) -> Result<Opened, String> {
    is_it(path, file)?;
    let source = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let source = ParquetSource::open(source).map_err(|error| format!("cannot be read: {error}"))?;
    let end = |part| source.span(part, NUMBER).and_then(|span| u64::try_from(*span.end()).ok());
    let ends = (0..source.parts()).map(end).collect::<Option<Vec<_>>>();
    Ok(Opened { ends: ends.ok_or("does not say which records it has")?, source })
}

/// The records of a part of a file.
pub(super) fn read_part(source: &ParquetSource, part: usize) -> Result<Part, String> {
    let text = |error: crate::table::TableError| format!("cannot be read: {error}");
    let numbers = source.whole(part, NUMBER).map_err(text)?;
    let (heads, texts) = (source.bytes(part, HEAD).map_err(text)?, source.bytes(part, TEXT).map_err(text)?);
    let rows = numbers.into_iter().zip(heads).zip(texts).map(|((number, head), text)| {
        let number = number.and_then(|number| u64::try_from(number).ok()).ok_or("has a row without a number")?;
        let mut record = head.ok_or("has a row without a record")?;
        record.extend(text.unwrap_or_default());
        Ok((number, record))
    });
    rows.collect::<Result<Vec<_>, &str>>().map(Part).map_err(str::to_owned)
}

impl Part {
    pub(super) fn rows(&self) -> &[(u64, Vec<u8>)] {
        &self.0
    }
}
