//! The layout of the file as a whole, by its number.
#![deny(clippy::indexing_slicing)]

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableError, WriteTransaction};

use super::{
    codec,
    tables::{
        BY_TIME, BY_TRADE, CHECKPOINTS, EVENT_NUMBERS, LOG, META, META_CREATED_AT, META_DECISIONS, META_LAST_SEQ,
        META_OUTCOMES, META_SCHEMA, META_SIGNALS, META_SKIPS, REPLACED, VERSIONS,
    },
};
use crate::domain::Timestamp;

/// The newest schema: one log with its indexes, the oldest records of which are in archived files. 1 and 2 had a table for each kind
/// of record, by trade id; 2 had shorter signals. A file of these is taken over, see `takeover`.
pub const SCHEMA: u64 = 4;
/// The same without archived files: a journal has this schema until the first is written.
pub(super) const UNARCHIVED: u64 = 3;

/// Whether this program reads a file of the schema as it is.
pub(super) fn is_current(schema: u64) -> bool {
    matches!(schema, UNARCHIVED | SCHEMA)
}

/// How a file stands to this program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FoundSchema {
    Current,
    /// An older program wrote it.
    Older(u64),
    /// A newer program wrote it.
    Newer(u64),
    /// It is a redb file, and not a journal.
    NotAJournal,
}

/// Makes all tables of a new, empty file.
pub(super) fn create(database: &Database, now: Timestamp) -> Result<(), redb::Error> {
    let transaction = durable(database)?;
    lay_out(&transaction, u64::try_from(now.as_microsecond()).unwrap_or(0))?;
    seal(&transaction)?;
    Ok(transaction.commit()?)
}

/// Makes all tables, and all numbers but the schema.
pub(super) fn lay_out(transaction: &WriteTransaction, created_at: u64) -> Result<(), redb::Error> {
    transaction.open_table(LOG)?;
    transaction.open_table(BY_TRADE)?;
    transaction.open_table(BY_TIME)?;
    transaction.open_table(EVENT_NUMBERS)?;
    transaction.open_table(REPLACED)?;
    transaction.open_table(VERSIONS)?;
    transaction.open_table(CHECKPOINTS)?;
    let mut meta = transaction.open_table(META)?;
    meta.insert(META_CREATED_AT, codec::encode_number(META_CREATED_AT, created_at))?;
    for name in [META_LAST_SEQ, META_SIGNALS, META_DECISIONS, META_OUTCOMES, META_SKIPS] {
        meta.insert(name, codec::encode_number(name, 0))?;
    }
    Ok(())
}

/// Makes a file with all tables a journal.
pub(super) fn seal(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(META_SCHEMA, codec::encode_number(META_SCHEMA, UNARCHIVED))?;
    Ok(())
}

/// The schema of a file, if it has one.
pub(super) fn of(database: &impl ReadableDatabase) -> Result<Option<u64>, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(META) {
        Ok(meta) if meta.get(META_SCHEMA)?.is_none() => Ok(None),
        Ok(meta) => Ok(Some(number(&meta, META_SCHEMA)?)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A number in `meta`. A file without it, or with a damaged one, is no journal that can be written to.
pub(super) fn number(
    meta: &impl ReadableTable<&'static str, (u64, u32)>,
    name: &'static str,
) -> Result<u64, redb::Error> {
    let found = meta.get(name)?.map(|guard| codec::decode_number(name, guard.value()));
    match found {
        Some(Ok(number)) => Ok(number),
        Some(Err(bad)) => Err(redb::Error::Corrupted(bad.to_string())),
        None => Err(redb::Error::Corrupted(format!("journal table meta has no {name}"))),
    }
}

/// The same of a number that need not be there.
pub(super) fn number_or(
    meta: &impl ReadableTable<&'static str, (u64, u32)>,
    name: &'static str,
    otherwise: u64,
) -> Result<u64, redb::Error> {
    if meta.get(name)?.is_none() { Ok(otherwise) } else { number(meta, name) }
}

/// How a file stands to this program.
pub(super) fn standing(database: &impl ReadableDatabase) -> Result<FoundSchema, redb::Error> {
    Ok(match of(database)? {
        None | Some(0) => FoundSchema::NotAJournal,
        Some(UNARCHIVED | SCHEMA) => FoundSchema::Current,
        Some(found) if found < SCHEMA => FoundSchema::Older(found),
        Some(found) => FoundSchema::Newer(found),
    })
}

/// A transaction that waits for the disk, and leaves a file that opens at once after a crash.
pub(super) fn durable(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    #[test]
    fn an_older_file_a_newer_one_and_a_foreign_one_are_recognised() {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        assert_eq!(standing(&database).unwrap(), FoundSchema::NotAJournal);
        create(&database, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(standing(&database).unwrap(), FoundSchema::Current);
        let others =
            [(1, FoundSchema::Older(1)), (2, FoundSchema::Older(2)), (SCHEMA + 1, FoundSchema::Newer(SCHEMA + 1))];
        for (number, expected) in others {
            let transaction = durable(&database).unwrap();
            let value = codec::encode_number(META_SCHEMA, number);
            transaction.open_table(META).unwrap().insert(META_SCHEMA, value).unwrap();
            transaction.commit().unwrap();
            assert_eq!(standing(&database).unwrap(), expected);
        }
    }
}
