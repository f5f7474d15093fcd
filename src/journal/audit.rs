//! Whether the tables hold as many entries as were written to them.
//!
//! A page in whose place another or an older one stands takes records away without damaging any: there are fewer of them,
//! or they are out of order. How many entries a table has is written with every commit, in another page, so the entries are
//! counted and their keys compared. Records are not decoded.
#![deny(clippy::indexing_slicing)]

use std::{
    cmp,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redb::{AccessGuard, Key, ReadOnlyTable, ReadableTable, ReadableTableMetadata, Value};

use super::{
    dictionaries,
    error::{FailureKind, OpenError, StorageFailure, StoreError, guarded},
    reader::Reader,
    schema,
    store::{Store, StoreOptions},
    tables::{META_ARCHIVED, META_LAST_SEQ},
};

impl Reader {
    /// The same reader, which sets `met_damage` when it meets a damaged page: the journal is to be opened again with
    /// [`StoreOptions::verify`] then.
    pub fn telling(mut self, met_damage: Arc<AtomicBool>) -> Self {
        self.met_damage = met_damage;
        self
    }

    /// Reads something, and tells of a damaged page.
    pub(super) fn guarded<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, StorageFailure> {
        let read = guarded(doing, work);
        if read.as_ref().is_err_and(|failure| failure.kind == FailureKind::Corrupt) {
            self.met_damage.store(true, Ordering::Release);
        }
        read
    }

    /// Walks through all tables.
    ///
    /// # Errors
    /// [`StoreError::Storage`] of the kind [`FailureKind::Corrupt`] for the first table that does not hold what it should;
    /// the message names it.
    pub fn audit(&self) -> Result<(), StoreError> {
        Ok(self.guarded("counting what is stored", || {
            check("log", &self.log)?;
            check("by_trade", &self.by_trade)?;
            check("by_time", &self.by_time)?;
            check("event_numbers", &self.event_numbers)?;
            check("replaced", &self.replaced)?;
            check("versions", &self.versions)?;
            check("checkpoints", &self.checkpoints)?;
            check("meta", &self.meta)?;
            dictionaries::tables(&self.moment)?.iter().try_for_each(|table| check("dictionaries", table))?;
            if !self.indexes_hold(self.log.len()? + schema::number_or(&self.meta, META_ARCHIVED, 0)?)? {
                return corrupt("the indexes do not hold as many entries as the log".to_owned());
            }
            let last = schema::number(&self.meta, META_LAST_SEQ)?;
            match self.log.last()?.map(|(seq, _)| seq.value()) {
                Some(seq) if seq > last => corrupt(format!("the log goes on to number {seq}, beyond the last, {last}")),
                _ => Ok(()),
            }
        })?)
    }
}

impl Store {
    /// Opens the journal at `path` as [`Store::open`] does, and audits it: for commands that have it alone.
    ///
    /// # Errors
    /// As there; [`OpenError::Corrupt`] also when the audit finds damage.
    pub fn open_audited(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        let store = Self::open(path, options)?;
        Self::audited(path, store.reader()).map(|()| store)
    }

    /// Audits what a reader of the journal at `path` finds.
    ///
    /// # Errors
    /// [`OpenError::Corrupt`] when the audit finds damage, [`OpenError::Storage`] when it cannot read.
    pub fn audited(path: &Path, reader: Result<Reader, StoreError>) -> Result<(), OpenError> {
        match reader.and_then(|reader| reader.audit()) {
            Err(StoreError::Storage(failure)) if failure.kind == FailureKind::Corrupt => {
                Err(OpenError::corrupt(path, failure.message))
            }
            Err(StoreError::Storage(failure)) => Err(OpenError::Storage { path: path.to_owned(), failure }),
            Err(StoreError::BadRecord(_)) | Ok(()) => Ok(()),
        }
    }
}

fn check<K: Key + 'static, V: Value + 'static>(name: &str, table: &ReadOnlyTable<K, V>) -> Result<(), redb::Error> {
    let (mut found, mut before) = (0, None::<AccessGuard<'_, K>>);
    for entry in table.iter()? {
        let (key, _) = entry?;
        let rises = before.is_none_or(|before| {
            let (before, key) = (before.value(), key.value());
            K::compare(K::as_bytes(&before).as_ref(), K::as_bytes(&key).as_ref()) == cmp::Ordering::Less
        });
        if !rises {
            return corrupt(format!("the entries of the table {name} are out of order"));
        }
        before = Some(key);
        found += 1;
    }
    match table.len()? {
        written if written == found => Ok(()),
        written => corrupt(format!("the table {name} has {found} entries, and {written} were written")),
    }
}

fn corrupt(what: String) -> Result<(), redb::Error> {
    Err(redb::Error::Corrupted(what))
}
