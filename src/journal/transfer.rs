//! A journal as a stream of bytes: for who may ask its daemon and may not open its file.
//!
//! Why no descriptor of the file is handed over instead: whoever holds one can lock ranges of the file, which stops the writer, and
//! can keep a moment of it for as long as they like, in which no page is used again. The bytes of a moment harm nobody, and who sends
//! them can stop at any of them.
//!
//! The stream is `[kind u8]` and what belongs to it, numbers in little endian:
//! 1 `[length u8][name]`: a table begins, in the order of [`copy::each`]; 2 `[length u32][key][length u32][value]`: an entry of it, in
//! the order of its keys; 3 `[entries u64]`: that was all; 4 `[length u32][text]`: the sender could not go on, and why.
#![deny(clippy::indexing_slicing)]

mod receive;

use std::{io, path::PathBuf};

use redb::{Key, ReadableTable as _, TableDefinition, TableError, TableHandle as _, Value};

pub use self::receive::receive;
use super::{
    copy::{self, Tables},
    error::{StoreError, guarded},
    reader::Reader,
    tables::{LOG, META, META_ARCHIVED, META_GONE_TO},
};

/// Bytes that are sent at once.
pub const CHUNK: usize = 32 << 10;
/// Names in `meta` that say what stands in archived files: nothing does in a copy.
const OF_THE_ARCHIVE: [&[u8]; 2] = [META_ARCHIVED.as_bytes(), META_GONE_TO.as_bytes()];

const TABLE: u8 = 1;
const ENTRY: u8 = 2;
const END: u8 = 3;
const FAILED: u8 = 4;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The stream ended, or stood still.
    #[error("the copy of the journal broke off before it was whole ({0}); ask again")]
    BrokeOff(io::Error),
    /// The sender said that it could not go on.
    #[error("the daemon could not copy its journal to the end: {0}; ask again")]
    Failed(String),
    /// It is something else.
    #[error("this is no copy of a journal that this vigie can read: {0}; use the program of the daemon's version")]
    Foreign(String),
    /// The copy cannot be written.
    #[error("a copy of the journal cannot be kept in {folder}: {why}; TMPDIR names another folder")]
    Storage {
        /// Where it was to be.
        folder: PathBuf,
        /// What the system or the database said.
        why: String,
    },
}

/// How many entries a journal has in its large tables, to tell how far a copy is.
///
/// # Errors
/// [`StoreError::Storage`].
pub fn entries(reader: &Reader) -> Result<u64, StoreError> {
    Ok(guarded("counting", || copy::size(&reader.moment))?)
}

/// Hands all that `reader` sees to `take`, in pieces of at most `CHUNK` bytes, until it says false. A journal that cannot be read
/// to its end is told in the stream.
pub fn send(reader: &Reader, take: &mut dyn FnMut(Vec<u8>) -> bool) {
    let mut sending = Sending { reader, take, piece: Vec::with_capacity(CHUNK), entries: 0, gone: false };
    match guarded("copying the journal", || copy::each(&mut sending)) {
        Ok(()) => {
            sending.put(&[END]);
            sending.put(&sending.entries.to_le_bytes());
        }
        Err(failure) => {
            sending.put(&[FAILED]);
            sending.put_long(failure.to_string().as_bytes());
        }
    }
    sending.flush();
}

struct Sending<'a> {
    reader: &'a Reader,
    take: &'a mut dyn FnMut(Vec<u8>) -> bool,
    piece: Vec<u8>,
    entries: u64,
    /// Nobody takes it any more.
    gone: bool,
}

impl Sending<'_> {
    fn put(&mut self, mut bytes: &[u8]) {
        while !self.gone && !bytes.is_empty() {
            let room = CHUNK.saturating_sub(self.piece.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() >= CHUNK {
                self.flush();
            }
        }
    }

    fn put_long(&mut self, bytes: &[u8]) {
        self.put(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.put(bytes);
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) {
        self.put(&[ENTRY]);
        self.put_long(key);
        self.put_long(value);
        self.entries += 1;
    }

    /// The log with what is archived at its place.
    fn log(&mut self) -> Result<(), redb::Error> {
        let reader = self.reader;
        for entry in reader.log_from(0)? {
            if self.gone {
                break;
            }
            let (seq, value) = entry?;
            self.entry(<u64 as Value>::as_bytes(&seq).as_ref(), value.value());
        }
        Ok(())
    }

    fn flush(&mut self) {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(CHUNK));
        self.gone = self.gone || !(self.take)(piece);
    }
}

impl Tables for Sending<'_> {
    fn lacks_archives(&self) -> Result<bool, redb::Error> {
        // what stands in archived files is sent as if it stood in the log
        Ok(true)
    }

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> Result<(), redb::Error> {
        let name = definition.name();
        self.put(&[TABLE, u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        self.put(name.as_bytes());
        if name == LOG.name() {
            return self.log();
        }
        let table = match self.reader.moment.open_table(definition) {
            Ok(table) => table,
            // an older journal has not all of them
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for entry in table.iter()? {
            if self.gone {
                break;
            }
            let (key, value) = entry?;
            let (key, value) = (key.value(), value.value());
            let key = K::as_bytes(&key);
            if name != META.name() || !OF_THE_ARCHIVE.contains(&key.as_ref()) {
                self.entry(key.as_ref(), V::as_bytes(&value).as_ref());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Event, EventKind, Timestamp, event::By},
        journal::{Store, StoreOptions, Write},
    };

    fn store(events: usize) -> Store {
        let options = StoreOptions { cache_bytes: 1 << 20, verify: false };
        let mut store = Store::open_backend(redb::backends::InMemoryBackend::new(), options).unwrap();
        let event = |number: usize| {
            let kind = EventKind::Resumed { reason: format!("number {number}"), by: By::Uid(0), same_day: false };
            Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind })
        };
        store.apply(&(0..events).map(event).collect::<Vec<_>>()).unwrap();
        store
    }

    fn sent(events: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        send(&store(events).reader().unwrap(), &mut |piece| {
            assert!(piece.len() <= CHUNK);
            bytes.extend(piece);
            true
        });
        bytes
    }

    #[test]
    fn what_is_received_is_what_was_sent() {
        let (bytes, store) = (sent(5000), store(5000));
        let reader = receive(bytes.as_slice(), &mut |_| ()).unwrap();
        let original = store.reader().unwrap();
        assert_eq!((reader.last_seq().unwrap(), reader.counts().unwrap().events), (5000, 5000));
        let said = |reader: &Reader| -> Vec<String> {
            reader.events(0).unwrap().map(|stored| format!("{:?}", stored.unwrap())).collect()
        };
        assert_eq!(said(&reader), said(&original));
    }

    #[test]
    fn a_stream_that_is_cut_or_foreign_is_no_journal() {
        // both ends byte by byte, and of what stands between, which repeats, every 101st
        let bytes = sent(20);
        let is_near = |length: usize| length < 30 || length + 30 > bytes.len();
        for length in (0..bytes.len()).filter(|length| is_near(*length) || length % 101 == 0) {
            let cut = receive(&bytes[..length], &mut |_| ());
            assert!(matches!(cut, Err(TransferError::BrokeOff(_))), "{length} of {}: {cut:?}", bytes.len());
        }
        let mut fewer = bytes.clone();
        let last = fewer.len() - 8;
        fewer[last] ^= 1;
        assert!(matches!(receive(fewer.as_slice(), &mut |_| ()), Err(TransferError::Foreign(_))));
        assert!(matches!(receive(&b"{\"ok\":false}"[..], &mut |_| ()), Err(TransferError::Foreign(_))));
        let failed = [&[FAILED, 3, 0, 0, 0][..], b"why"].concat();
        let said = receive(failed.as_slice(), &mut |_| ()).unwrap_err().to_string();
        assert!(said.contains("to the end: why"), "{said}");
    }

    #[test]
    fn sending_ends_when_nobody_takes_it() {
        let mut pieces = 0;
        send(&store(5000).reader().unwrap(), &mut |_| {
            pieces += 1;
            false
        });
        assert_eq!(pieces, 1);
    }
}
