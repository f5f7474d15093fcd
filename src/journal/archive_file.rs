//! One file of old records: written, and compared with the log.
#![deny(clippy::indexing_slicing)]

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    archive::{self, CAME, HEAD, KIND, NUMBER, Part, TEXT, TRADE},
    codec::{self, Kind},
    error::{OpenError, StoreError},
    file,
    reader::Reader,
    record::Stored,
    stream::READING,
};
use crate::table::{Cells, Column, ParquetSource, Parts};

/// Records of one part of a file.
const ROWS: usize = 1024;

/// One file that is to be written: the records of a month.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The month, such as `2025-03`.
    pub month: String,
    /// The first number that may be in it.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Records that are to go.
    pub records: u64,
}

/// What was just done. The records of a file can be read at each of these moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many records of the file are written.
    Written(u64),
    /// The file is whole and on disk, under another name.
    Whole,
    /// It was read back and is the same.
    Compared,
    /// It has its name.
    Named,
    /// The journal knows it.
    Known,
    /// So many of its numbers have gone from the journal.
    Removed(u64),
}

/// Why nothing more was archived. The journal says what it said before.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The journal or a file.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of the archive.
    #[error("{path}: {what}; nothing more was removed from the journal", path = .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The journal did not take it.
    #[error("{0}; nothing more was removed from the journal")]
    Refused(String),
    /// It was told to stop.
    #[error("stopped; what is archived stays archived, and the rest is in the journal")]
    Stopped,
}

/// A file that has not its name yet; removed when it is dropped.
pub(super) struct Draft(pub(super) PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _it_may_have_its_name = fs::remove_file(&self.0);
    }
}

/// A record as an archive holds it.
pub(super) struct Plain {
    kind: Kind,
    bytes: Vec<u8>,
    /// Where in them the text begins.
    text: usize,
    stored: Stored,
}

impl Reader {
    /// A record as an archive holds it; `None` of an event, and of one that is damaged: these stay.
    pub(super) fn plain(&self, seq: u64, value: &[u8]) -> Result<Option<Plain>, redb::Error> {
        let (Some(kind), Ok(stored)) = (Kind::of(value), self.stored_at(seq, value)?) else { return Ok(None) };
        let (bytes, text) = match &stored {
            Stored::Event(_) => return Ok(None),
            Stored::Signal(signal) => {
                let mut plain = Vec::new();
                codec::encode_plain_signal(&mut plain, seq, &signal.record);
                let text = plain.len() - signal.record.line.len();
                (plain, text)
            }
            Stored::Outcome(_) | Stored::Skip(_) => (value.to_vec(), codec::text_of(value)),
        };
        let again = self.stored_at(seq, &bytes)?;
        Ok((again.as_ref() == Ok(&stored)).then_some(Plain { kind, bytes, text, stored }))
    }
}

pub(super) fn bad_file(path: &Path, what: impl ToString) -> ArchiveError {
    ArchiveError::File { path: path.to_owned(), what: what.to_string() }
}

/// Writes a file and waits for the disk.
pub(super) fn write(
    reader: &Reader,
    planned: &Planned,
    path: &Path,
    step: &mut dyn FnMut(Step) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    file::remove(path)?;
    let mut options = OpenOptions::new();
    let out = options.write(true).create_new(true).mode(0o600).open(path).map_err(|error| bad_file(path, error))?;
    let to_sync = out.try_clone().map_err(|error| bad_file(path, error))?;
    let mut table = Parts::parquet(&columns(&[]), out).map_err(|error| bad_file(path, error))?;
    let (mut rows, mut written) = (Vec::new(), 0);
    let mut next = planned.first;
    loop {
        rows.clear();
        reader
            .guarded(READING, || {
                for entry in reader.log.range(next..=planned.last)? {
                    let (seq, value) =
                        (entry.as_ref().map(|(seq, _)| seq.value()), entry.as_ref().map(|(_, value)| value.value()));
                    let (Ok(seq), Ok(value)) = (seq, value) else {
                        return Err(entry.err().map_or(redb::Error::DatabaseClosed, Into::into));
                    };
                    next = seq + 1;
                    if codec::can_be_archived(seq, value) {
                        let plain = reader.plain(seq, value)?;
                        let row = plain.ok_or_else(|| {
                            redb::Error::Corrupted(format!("the record {seq} would be read back different"))
                        })?;
                        rows.push((seq, row));
                    }
                    if rows.len() == ROWS {
                        return Ok(());
                    }
                }
                next = planned.last + 1;
                Ok(())
            })
            .map_err(StoreError::from)?;
        if rows.is_empty() {
            break;
        }
        table.rows(&columns(&rows)).map_err(|error| bad_file(path, error))?;
        written += rows.len() as u64;
        step(Step::Written(written))?;
    }
    table.end().map_err(|error| bad_file(path, error))?;
    to_sync.sync_all().map_err(|error| bad_file(path, error))
}

fn columns(rows: &[(u64, Plain)]) -> [Column; 6] {
    let trade = |stored: &Stored| match stored {
        Stored::Signal(signal) => Some((signal.record.received_at, signal.record.trade_id.to_string())),
        Stored::Outcome(outcome) => Some((outcome.record.received_at, outcome.record.trade_id.to_string())),
        Stored::Skip(skip) => Some((skip.record.received_at, skip.record.skip.trade_id.to_string())),
        Stored::Event(_) => None,
    };
    let split = |plain: &[u8], at: usize| plain.split_at_checked(at).map(|(head, text)| (head.to_vec(), text.to_vec()));
    // what is no text stands with what stands before it
    let cut = |(_, row): &(u64, Plain)| match split(&row.bytes, row.text) {
        Some((head, text)) => match String::from_utf8(text) {
            Ok(text) => (head, Some(text)),
            Err(_) => (row.bytes.clone(), None),
        },
        None => (row.bytes.clone(), None),
    };
    let (heads, texts): (Vec<_>, Vec<_>) = rows.iter().map(cut).unzip();
    [
        Column::new(NUMBER, Cells::Whole(rows.iter().map(|(seq, _)| i64::try_from(*seq).ok()).collect())),
        Column::new(KIND, Cells::Text(rows.iter().map(|(_, row)| Some(row.kind.name().to_owned())).collect())),
        Column::new(
            TRADE,
            Cells::Text(rows.iter().map(|(_, row)| trade(&row.stored).map(|(_, trade)| trade)).collect()),
        ),
        Column::new(CAME, Cells::Time(rows.iter().map(|(_, row)| trade(&row.stored).map(|(at, _)| at)).collect())),
        Column::new(HEAD, Cells::Bytes(heads.into_iter().map(Some).collect())),
        Column::new(TEXT, Cells::Text(texts)),
    ]
}

/// Compares a file with the log, record by record, and says how many there are.
pub(super) fn compare(reader: &Reader, planned: &Planned, path: &Path) -> Result<u64, ArchiveError> {
    let source = File::open(path).map_err(|error| bad_file(path, error))?;
    let source = ParquetSource::open(source).map_err(|error| bad_file(path, error))?;
    let (mut part, mut rows, mut place, mut records) = (0, None::<Part>, 0, 0);
    let mut next = || loop {
        if let Some(row) = rows.as_ref().and_then(|rows| rows.rows().get(place)) {
            place += 1;
            return Ok(Some(row.clone()));
        }
        if part == source.parts() {
            return Ok::<_, String>(None);
        }
        (rows, part, place) = (Some(archive::read_part(&source, part)?), part + 1, 0);
    };
    let same = reader.guarded(READING, || {
        for entry in reader.log.range(planned.first..=planned.last)? {
            let (seq, value) = entry?;
            let (seq, value) = (seq.value(), value.value());
            if !codec::can_be_archived(seq, value) {
                continue;
            }
            let is_same = match next() {
                Ok(Some((number, plain))) => {
                    number == seq && reader.stored_at(seq, &plain)?.ok() == reader.stored_at(seq, value)?.ok()
                }
                Ok(None) => false,
                Err(what) => return Ok(Err(what)),
            };
            if !is_same {
                return Ok(Err(format!("it was read back different from the record {seq}")));
            }
            records += 1;
        }
        Ok(next().map(|more| more.is_none()))
    });
    match same.map_err(StoreError::from)? {
        Ok(true) => Ok(records),
        Ok(false) => Err(bad_file(path, "it has more records than the log")),
        Err(what) => Err(bad_file(path, what)),
    }
}
