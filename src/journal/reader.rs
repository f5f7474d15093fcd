//! The reading end of the journal: one moment of it, unmoved by what is written meanwhile.
#![deny(clippy::indexing_slicing)]

use std::path::Path;

use redb::{
    AccessGuard, Key, Range, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    ReadableTableMetadata, backends::FileBackend,
};
use serde::{Deserialize, Serialize};

use super::{
    codec,
    error::{BadRecord, OpenError, StoreError, catch_damage, guarded},
    file,
    keys::SignalKeys,
    record::{StoredEvent, StoredOutcome, StoredSignal, StoredSkip, StoredVersion},
    schema::{self, SCHEMA},
    store::{Options, flatten, shared_builder},
    tables::{
        CHECKPOINTS, EVENTS, META, META_CREATED_AT, META_DECISIONS, META_LAST_SEQ, OUTCOMES, SIGNALS, SKIPS, VERSIONS,
    },
};
use crate::domain::{Outcome, Signal, Symbol, Timestamp, TradeId, VersionId};

type Bytes = &'static [u8];

/// The journal as it stood when the reader was made. It can be sent to another thread.
///
/// A damaged record is [`StoreError::BadRecord`] and concerns that record only. The iterators go on after one; after a
/// [`StoreError::Storage`] they end.
pub struct Reader {
    signals: ReadOnlyTable<(&'static str, u64), Bytes>,
    outcomes: ReadOnlyTable<&'static str, Bytes>,
    skips: ReadOnlyTable<&'static str, Bytes>,
    events: ReadOnlyTable<u64, Bytes>,
    versions: ReadOnlyTable<&'static str, Bytes>,
    checkpoints: ReadOnlyTable<&'static str, Bytes>,
    meta: ReadOnlyTable<&'static str, (u64, u32)>,
    /// Of a reader that opened the file itself. Its locks last as long as this.
    _database: Option<ReadOnlyDatabase>,
}

/// How many records there are. Counting does not read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "one per table")]
pub struct Counts {
    /// Every record of a signal; one that was scored twice counts twice.
    pub signals: u64,
    /// Signals that carry a decision.
    pub decisions: u64,
    pub outcomes: u64,
    pub skips: u64,
    pub events: u64,
    pub versions: u64,
}

/// Trades whose signal and outcome are both known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClosedTrades {
    /// Sorted by time of the signal, then trade id.
    pub trades: Vec<(Signal, Outcome)>,
    /// Records that had to be left out.
    pub bad: Vec<BadRecord>,
}

impl Reader {
    /// Opens a journal for reading, also beside the process that writes to it.
    ///
    /// # Errors
    /// [`OpenError::Older`], [`OpenError::Newer`] and [`OpenError::NeedsRecovery`] are for the daemon to put right;
    /// [`OpenError::Storage`] also when there is no file.
    pub fn open_path(path: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let file = file::open_to_read(path)?;
        let opened = catch_damage(|| {
            let builder = shared_builder(Options { cache_bytes, verify: false });
            let database = builder.open_read_only_with_backend(FileBackend::new(file)?)?;
            let schema = schema::of(&database)?;
            let reader = (schema == Some(SCHEMA)).then(|| Self::new(database.begin_read()?, Some(database)));
            Ok((schema, reader.transpose()?))
        });
        match flatten(path, opened)? {
            (_, Some(reader)) => Ok(reader),
            (None, None) => Err(OpenError::corrupt(path, "it is a database, and not of vigie")),
            (Some(found), None) if found > SCHEMA => {
                Err(OpenError::Newer { path: path.to_owned(), found, supported: SCHEMA })
            }
            (Some(found), None) => Err(OpenError::Older { path: path.to_owned(), found, supported: SCHEMA }),
        }
    }

    pub(super) fn new(moment: ReadTransaction, database: Option<ReadOnlyDatabase>) -> Result<Self, redb::Error> {
        Ok(Self {
            signals: moment.open_table(SIGNALS)?,
            outcomes: moment.open_table(OUTCOMES)?,
            skips: moment.open_table(SKIPS)?,
            events: moment.open_table(EVENTS)?,
            versions: moment.open_table(VERSIONS)?,
            checkpoints: moment.open_table(CHECKPOINTS)?,
            meta: moment.open_table(META)?,
            _database: database,
        })
    }

    /// How many records each table has, in time that does not depend on it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let decisions = self.number(META_DECISIONS)?;
        Ok(guarded("counting", || {
            Ok(Counts {
                signals: self.signals.len()?,
                decisions,
                outcomes: self.outcomes.len()?,
                skips: self.skips.len()?,
                events: self.events.len()?,
                versions: self.versions.len()?,
            })
        })?)
    }

    /// The number of the last record stored, 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn last_seq(&self) -> Result<u64, StoreError> {
        self.number(META_LAST_SEQ)
    }

    /// When the journal was begun, to the microsecond.
    ///
    /// # Errors
    /// [`StoreError::Storage`], [`StoreError::BadRecord`].
    pub fn created_at(&self) -> Result<Timestamp, StoreError> {
        let micros = self.number(META_CREATED_AT)?;
        let at = i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok());
        at.ok_or_else(|| {
            let what = format!("{micros} microseconds is not a time");
            BadRecord { table: "meta", key: META_CREATED_AT.to_owned(), what }.into()
        })
    }

    /// The latest signal of a trade.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signal(&self, trade_id: &TradeId) -> Result<Option<StoredSignal>, StoreError> {
        self.range_of(trade_id)?.next_back().transpose()
    }

    /// All signals of a trade, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn signals_of(
        &self,
        trade_id: &TradeId,
    ) -> Result<impl Iterator<Item = Result<StoredSignal, StoreError>>, StoreError> {
        self.range_of(trade_id)
    }

    /// The keys of all records of signals, in the order of their numbers. No record is decoded.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn signal_keys(&self) -> Result<SignalKeys, StoreError> {
        Ok(guarded(READING, || {
            let mut found = SignalKeys::default();
            for entry in self.signals.iter()? {
                let (key, _) = entry?;
                let (trade_id, seq) = key.value();
                found.push(trade_id, seq);
            }
            found.sort();
            Ok(found)
        })?)
    }

    /// One record of a signal.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signal_record(&self, trade_id: &str, seq: u64) -> Result<Option<StoredSignal>, StoreError> {
        let decode = |bytes: &[u8]| codec::decode_signal(trade_id, seq, bytes);
        let found = guarded(READING, || Ok(self.signals.get((trade_id, seq))?.map(|guard| decode(guard.value()))))?;
        Ok(found.transpose()?)
    }

    /// All signals, by trade id, then oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn signals(&self) -> Result<impl Iterator<Item = Result<StoredSignal, StoreError>>, StoreError> {
        all(&self.signals, to_signal)
    }

    /// What became of a trade.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outcome(&self, trade_id: &TradeId) -> Result<Option<StoredOutcome>, StoreError> {
        get(&self.outcomes, trade_id.as_str(), codec::decode_outcome)
    }

    /// All outcomes, by trade id.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn outcomes(&self) -> Result<impl Iterator<Item = Result<StoredOutcome, StoreError>>, StoreError> {
        all(&self.outcomes, |(key, value)| codec::decode_outcome(key.value(), value.value()))
    }

    /// Whether and why a signal was not taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn skip(&self, trade_id: &TradeId) -> Result<Option<StoredSkip>, StoreError> {
        get(&self.skips, trade_id.as_str(), codec::decode_skip)
    }

    /// All skips, by trade id.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn skips(&self) -> Result<impl Iterator<Item = Result<StoredSkip, StoreError>>, StoreError> {
        all(&self.skips, |(key, value)| codec::decode_skip(key.value(), value.value()))
    }

    /// Events from number `from` on, in order.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn events(
        &self,
        from: u64,
    ) -> Result<impl DoubleEndedIterator<Item = Result<StoredEvent, StoreError>>, StoreError> {
        records(|| self.events.range(from..), |(key, value)| codec::decode_event(key.value(), value.value()))
    }

    /// One model.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn version(&self, id: &VersionId) -> Result<Option<StoredVersion>, StoreError> {
        get(&self.versions, &id.to_string(), codec::decode_version)
    }

    /// All models, by the text of their names, in which `ES/10` stands before `ES/2`.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn versions(&self) -> Result<impl Iterator<Item = Result<StoredVersion, StoreError>>, StoreError> {
        all(&self.versions, |(key, value)| codec::decode_version(key.value(), value.value()))
    }

    /// What was last stored under a checkpoint's name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        get(&self.checkpoints, name, codec::decode_checkpoint)
    }

    /// Every trade with a signal and an outcome, of one symbol or of all: what models learn from. Of a signal that came
    /// more than once the latest counts.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn closed_trades(&self, symbol: Option<&Symbol>) -> Result<ClosedTrades, StoreError> {
        let mut closed = ClosedTrades::default();
        for outcome in self.outcomes()? {
            let joined = outcome.and_then(|outcome| Ok(self.signal(&outcome.record.trade_id)?.zip(Some(outcome))));
            match joined {
                Ok(Some((signal, outcome))) if symbol.is_none_or(|symbol| signal.signal.symbol == *symbol) => {
                    closed.trades.push((signal.signal, outcome.record.outcome));
                }
                Ok(_) => {}
                Err(StoreError::BadRecord(bad)) => closed.bad.push(bad),
                Err(failure) => return Err(failure),
            }
        }
        closed.trades.sort_by(|(a, _), (b, _)| (a.at, &a.trade_id).cmp(&(b.at, &b.trade_id)));
        Ok(closed)
    }

    fn range_of(&self, trade_id: &TradeId) -> Result<Records<'_, (&'static str, u64), StoredSignal>, StoreError> {
        let id = trade_id.as_str();
        records(|| self.signals.range((id, 0)..=(id, u64::MAX)), to_signal)
    }

    fn number(&self, name: &'static str) -> Result<u64, StoreError> {
        Ok(guarded(READING, || schema::number(&self.meta, name))?)
    }
}

const READING: &str = "reading";

type Entry<'a, K> = (AccessGuard<'a, K>, AccessGuard<'a, Bytes>);

/// The records of a range, up to the first failure of the storage.
struct Records<'a, K: Key + 'static, T> {
    range: Option<Range<'a, K, Bytes>>,
    decode: fn(Entry<'a, K>) -> Result<T, BadRecord>,
}

impl<'a, K: Key + 'static, T> Records<'a, K, T> {
    fn step(
        &mut self,
        take: impl FnOnce(&mut Range<'a, K, Bytes>) -> Option<redb::Result<Entry<'a, K>>>,
    ) -> Option<Result<T, StoreError>> {
        let (range, decode) = (self.range.as_mut()?, self.decode);
        // the key is decoded inside as well: redb panics on one that is not what its type says
        match guarded(READING, || Ok(take(range).transpose()?.map(decode))) {
            Ok(record) => record.map(|record| Ok(record?)),
            Err(failure) => {
                self.range = None;
                Some(Err(failure.into()))
            }
        }
    }
}

impl<K: Key + 'static, T> Iterator for Records<'_, K, T> {
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Iterator::next)
    }
}

impl<K: Key + 'static, T> DoubleEndedIterator for Records<'_, K, T> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(DoubleEndedIterator::next_back)
    }
}

fn records<'a, K: Key + 'static, T>(
    range: impl FnOnce() -> redb::Result<Range<'a, K, Bytes>>,
    decode: fn(Entry<'a, K>) -> Result<T, BadRecord>,
) -> Result<Records<'a, K, T>, StoreError> {
    Ok(Records { range: Some(guarded(READING, || Ok(range()?))?), decode })
}

fn all<'a, K: Key + 'static, T>(
    table: &'a ReadOnlyTable<K, Bytes>,
    decode: fn(Entry<'a, K>) -> Result<T, BadRecord>,
) -> Result<Records<'a, K, T>, StoreError> {
    records(|| table.iter(), decode)
}

fn get<T>(
    table: &ReadOnlyTable<&'static str, Bytes>,
    key: &str,
    decode: impl FnOnce(&str, &[u8]) -> Result<T, BadRecord>,
) -> Result<Option<T>, StoreError> {
    let found = guarded(READING, || Ok(table.get(key)?.map(|guard| decode(key, guard.value()))))?;
    Ok(found.transpose()?)
}

fn to_signal((key, value): Entry<'_, (&'static str, u64)>) -> Result<StoredSignal, BadRecord> {
    let (trade_id, seq) = key.value();
    codec::decode_signal(trade_id, seq, value.value())
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
