//! The layout of the file as a whole, and the way from an older one to today's.
//!
//! A migration is one step from a schema to the next. All steps that are needed run in one transaction, so a kill in
//! the middle leaves the file as it was. The only step so far rewrites nothing; the tests run invented ones as well.
#![deny(clippy::indexing_slicing)]

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableError, WriteTransaction};

use super::{
    codec,
    tables::{
        CHECKPOINTS, EVENTS, META, META_CREATED_AT, META_DECISIONS, META_LAST_SEQ, META_SCHEMA, OUTCOMES, SIGNALS,
        SKIPS, VERSIONS,
    },
};
use crate::domain::Timestamp;

/// The schema this program writes.
pub const SCHEMA: u64 = 1 + MIGRATIONS.len() as u64;

/// The step at place `i`, from 0, leads from schema `i + 1` to `i + 2`.
pub(super) const MIGRATIONS: &[Step] = &[shorten_headers];

/// Signals of schema 1 stay as they are and are read by their format. The step is there so that a program that does not
/// know format 2 refuses the file, and does not take its signals for damaged.
fn shorten_headers(_: &WriteTransaction) -> Result<(), redb::Error> {
    Ok(())
}

/// Rewrites what one schema stored into what the next one reads. The number in `meta` is not its business.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// How a file stands to this program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has, or was brought to, today's schema.
    Current,
    /// A newer program wrote it.
    Newer(u64),
    /// It is a redb file, and not a journal.
    NotAJournal,
}

/// Makes all tables of a new, empty file.
pub(super) fn create(database: &Database, now: Timestamp) -> Result<(), redb::Error> {
    let transaction = durable(database)?;
    {
        transaction.open_table(SIGNALS)?;
        transaction.open_table(OUTCOMES)?;
        transaction.open_table(SKIPS)?;
        transaction.open_table(EVENTS)?;
        transaction.open_table(VERSIONS)?;
        transaction.open_table(CHECKPOINTS)?;
        let mut meta = transaction.open_table(META)?;
        let created_at = u64::try_from(now.as_microsecond()).unwrap_or(0);
        let numbers = [(META_SCHEMA, SCHEMA), (META_CREATED_AT, created_at), (META_LAST_SEQ, 0), (META_DECISIONS, 0)];
        for (name, number) in numbers {
            meta.insert(name, codec::encode_number(name, number))?;
        }
    }
    Ok(transaction.commit()?)
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

/// Brings the file to the schema that follows the last of `steps`, in one transaction.
pub(super) fn migrate(database: &Database, steps: &[Step]) -> Result<Standing, redb::Error> {
    let newest = 1 + steps.len();
    let found = match of(database)? {
        None | Some(0) => return Ok(Standing::NotAJournal),
        Some(found) => found,
    };
    let Some(needed) = usize::try_from(found - 1).ok().and_then(|done| steps.get(done..)) else {
        return Ok(Standing::Newer(found));
    };
    if needed.is_empty() {
        return Ok(Standing::Current);
    }
    let transaction = durable(database)?;
    for step in needed {
        step(&transaction)?;
    }
    transaction.open_table(META)?.insert(META_SCHEMA, codec::encode_number(META_SCHEMA, newest as u64))?;
    transaction.commit()?;
    Ok(Standing::Current)
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
    use redb::{TableDefinition, backends::InMemoryBackend};

    use super::*;

    const NAMES: TableDefinition<'static, u64, &str> = TableDefinition::new("names");

    /// One that says it has the first schema.
    fn journal() -> Database {
        let database = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        create(&database, Timestamp::UNIX_EPOCH).unwrap();
        let transaction = durable(&database).unwrap();
        transaction.open_table(META).unwrap().insert(META_SCHEMA, codec::encode_number(META_SCHEMA, 1)).unwrap();
        transaction.commit().unwrap();
        database
    }

    fn begin_names(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        transaction.open_table(NAMES)?.insert(1, "first")?;
        Ok(())
    }

    fn double_names(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut names = transaction.open_table(NAMES)?;
        let name = names.get(1)?.map(|guard| guard.value().repeat(2)).unwrap_or_default();
        names.insert(1, name.as_str())?;
        Ok(())
    }

    fn fail(_: &WriteTransaction) -> Result<(), redb::Error> {
        Err(redb::Error::Corrupted("on purpose".into()))
    }

    fn name(database: &Database) -> Option<String> {
        let table = database.begin_read().unwrap().open_table(NAMES).ok()?;
        table.get(1).unwrap().map(|guard| guard.value().to_owned())
    }

    #[test]
    fn steps_run_in_order_each_once() {
        let database = journal();
        assert_eq!(migrate(&database, &[begin_names]).unwrap(), Standing::Current);
        assert_eq!((of(&database).unwrap(), name(&database).as_deref()), (Some(2), Some("first")));
        for _ in 0..2 {
            assert_eq!(migrate(&database, &[begin_names, double_names]).unwrap(), Standing::Current);
            assert_eq!((of(&database).unwrap(), name(&database).as_deref()), (Some(3), Some("firstfirst")));
        }
        let database = journal();
        assert_eq!(migrate(&database, &[begin_names, double_names]).unwrap(), Standing::Current);
        assert_eq!((of(&database).unwrap(), name(&database).as_deref()), (Some(3), Some("firstfirst")));
    }

    #[test]
    fn a_step_that_fails_leaves_everything_as_it_was() {
        let database = journal();
        assert!(migrate(&database, &[begin_names, fail]).is_err());
        assert_eq!((of(&database).unwrap(), name(&database)), (Some(1), None));
        assert_eq!(migrate(&database, &[begin_names]).unwrap(), Standing::Current);
    }

    #[test]
    fn a_newer_file_and_a_foreign_one_are_recognised() {
        let database = journal();
        migrate(&database, &[begin_names, double_names]).unwrap();
        assert_eq!(migrate(&database, &[begin_names]).unwrap(), Standing::Newer(3));
        let foreign = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        assert_eq!(migrate(&foreign, MIGRATIONS).unwrap(), Standing::NotAJournal);
    }
}
