//! The tables of a journal, read from one end to the other: copied, digested, or both. Memory is bounded by one transaction.
#![deny(clippy::indexing_slicing)]

use std::{fmt::Write as _, ops::Bound};

use blake2::{Blake2b256, Digest as _};
use redb::{Database, Key, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, TableError, Value};
use serde::{Deserialize, Serialize};

use super::tables::{
    ARCHIVES, BY_TIME, BY_TRADE, CHECKPOINTS, DAYS, DICTIONARIES, DICTIONARIES_AGAIN, EVENT_NUMBERS, LOG, META,
    REPLACED, VERSIONS,
};

/// Bytes of one transaction.
pub(super) const MOST_BYTES: usize = 4 << 20;
/// Entries between two words about how far it is.
const TOLD_EVERY: u64 = 4096;

/// What a table holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDigest {
    /// Its name.
    pub name: String,
    /// How many entries it has.
    pub entries: u64,
    /// BLAKE2b-32 of them in their order, each key and value behind its length in bytes as u32 LE; in hexadecimal.
    pub blake2b: String,
}

/// Reads all tables of `from` as they stand at its moment, writes them to `to` if there is one, and gives their digests. `tell`
/// is told how many entries are done, and of how many.
pub(super) fn all(
    from: &ReadTransaction,
    to: Option<&Database>,
    tell: &mut dyn FnMut(u64, u64),
) -> Result<Vec<TableDigest>, redb::Error> {
    let of = size(from)?;
    let mut copy = Copy { from, to, tell, done: 0, of, tables: Vec::new() };
    each(&mut copy)?;
    Ok(copy.tables)
}

/// What is done with each table of a journal.
pub(super) trait Tables {
    /// Whether there is none of archived files, as in a journal that has none.
    fn lacks_archives(&self) -> Result<bool, redb::Error>;

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> Result<(), redb::Error>;
}

/// Goes through the tables of a journal.
pub(super) fn each(tables: &mut impl Tables) -> Result<(), redb::Error> {
    tables.table(VERSIONS)?;
    tables.table(CHECKPOINTS)?;
    tables.table(DICTIONARIES)?;
    tables.table(DICTIONARIES_AGAIN)?;
    tables.table(DAYS)?;
    tables.table(REPLACED)?;
    tables.table(EVENT_NUMBERS)?;
    tables.table(BY_TRADE)?;
    tables.table(BY_TIME)?;
    tables.table(LOG)?;
    if !tables.lacks_archives()? {
        tables.table(ARCHIVES)?;
    }
    // last: with it a file becomes a journal
    tables.table(META)
}

/// How many entries the large tables have.
pub(super) fn size(from: &ReadTransaction) -> Result<u64, redb::Error> {
    Ok(from.open_table(LOG)?.len()? + from.open_table(BY_TRADE)?.len()? + from.open_table(BY_TIME)?.len()?)
}

struct Copy<'a> {
    from: &'a ReadTransaction,
    to: Option<&'a Database>,
    tell: &'a mut dyn FnMut(u64, u64),
    done: u64,
    of: u64,
    tables: Vec<TableDigest>,
}

impl Tables for Copy<'_> {
    fn lacks_archives(&self) -> Result<bool, redb::Error> {
        is_missing(self.from.open_table(ARCHIVES))
    }

    fn table<K: Key + 'static, V: Value + 'static>(
        &mut self,
        definition: TableDefinition<'static, K, V>,
    ) -> Result<(), redb::Error> {
        let name = redb::TableHandle::name(&definition).to_owned();
        let mut digest = Blake2b256::new();
        let table = match self.from.open_table(definition) {
            Ok(table) => table,
            // an older journal has not all of them
            Err(TableError::TableDoesNotExist(_)) => {
                self.tables.push(TableDigest { name, entries: 0, blake2b: hex(digest.finalize().as_slice()) });
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let (mut entries, mut rest, mut more) = (0, table.iter()?, true);
        while more {
            let transaction = self.to.map(begin).transpose()?;
            let mut bytes = 0;
            {
                let mut into =
                    transaction.as_ref().map(|transaction| transaction.open_table(definition)).transpose()?;
                let end = into.as_mut().map(|into| into.upper_bound_mut(Bound::<K::SelfType<'_>>::Unbounded));
                let mut end = end.transpose()?;
                while bytes < MOST_BYTES {
                    let Some(entry) = rest.next() else {
                        more = false;
                        break;
                    };
                    let (key, value) = entry?;
                    let (key, value) = (key.value(), value.value());
                    bytes += update(&mut digest, K::as_bytes(&key).as_ref());
                    bytes += update(&mut digest, V::as_bytes(&value).as_ref());
                    if let Some(end) = &mut end {
                        end.insert_before(&key, &value)?;
                    }
                    entries += 1;
                    if entries % TOLD_EVERY == 0 {
                        (self.tell)((self.done + entries).min(self.of), self.of);
                    }
                }
                if let Some(end) = end {
                    end.close()?;
                }
            }
            if let Some(transaction) = transaction {
                transaction.commit()?;
            }
        }
        self.done += entries;
        (self.tell)(self.done.min(self.of), self.of);
        self.tables.push(TableDigest { name, entries, blake2b: hex(digest.finalize().as_slice()) });
        Ok(())
    }
}

fn is_missing<T>(opened: Result<T, TableError>) -> Result<bool, redb::Error> {
    match opened {
        Ok(_) => Ok(false),
        Err(TableError::TableDoesNotExist(_)) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn begin(database: &Database) -> Result<redb::WriteTransaction, redb::Error> {
    Ok(database.begin_write()?)
}

/// Takes `bytes` in, and says how many that were.
fn update(digest: &mut Blake2b256, bytes: &[u8]) -> usize {
    digest.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    digest.update(bytes);
    bytes.len()
}

/// In hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _always_room = write!(text, "{byte:02x}");
        text
    })
}
