//! The reading end of the journal: one moment of it, unmoved by what is written meanwhile.
#![deny(clippy::indexing_slicing)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::AtomicBool},
};

use redb::{
    Database, ReadOnlyDatabase, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTableMetadata,
    backends::FileBackend,
};
use serde::{Deserialize, Serialize};

use super::{
    archive::Archive,
    codec::{self, Kind},
    dictionaries::Dictionaries,
    error::{BadRecord, OpenError, StoreError, catch_damage},
    file,
    index::Span,
    lookup::{self, Held, MISSING, bad_of_trade},
    naming,
    record::{Stored, StoredEvent, StoredOutcome, StoredSignal, StoredSkip, StoredVersion},
    schema::{self, SCHEMA},
    seal,
    store::{StoreOptions, flatten, shared_builder},
    stream::{self, Found, READING},
    tables::{
        BY_TIME, BY_TRADE, CHECKPOINTS, EVENT_NUMBERS, LOG, META, META_ARCHIVED, META_CREATED_AT, META_DECISIONS,
        META_LAST_SEQ, META_OUTCOMES, META_SIGNALS, META_SKIPS, REPLACED, VERSIONS,
    },
};
use crate::domain::{Timestamp, TradeId, VersionId};

type Bytes = &'static [u8];

/// The journal as it stood when the reader was made. It can be sent to another thread.
///
/// A damaged record is [`StoreError::BadRecord`] and concerns that record only. The iterators go on after one; after a
/// [`StoreError::Storage`] they end. All of them read as they go, and never more than they give back.
pub struct Reader {
    pub(super) log: ReadOnlyTable<u64, Bytes>,
    pub(super) by_trade: ReadOnlyTable<u128, ()>,
    pub(super) by_time: ReadOnlyTable<u128, ()>,
    pub(super) event_numbers: ReadOnlyTable<u64, ()>,
    pub(super) replaced: ReadOnlyTable<u64, u64>,
    pub(super) versions: ReadOnlyTable<&'static str, Bytes>,
    pub(super) checkpoints: ReadOnlyTable<&'static str, Bytes>,
    pub(super) meta: ReadOnlyTable<&'static str, (u64, u32)>,
    pub(super) span: Span,
    /// Set when a read meets a damaged page.
    pub(super) met_damage: Arc<AtomicBool>,
    /// Read when the first line is that needs one.
    dictionaries: OnceLock<Dictionaries>,
    /// Where what is no more in `log` stands.
    pub(super) archive: Archive,
    pub(super) moment: ReadTransaction,
    /// Where its file stands, if it has one.
    pub(super) path: Option<PathBuf>,
    /// Of a reader that opened the file itself. Its locks last as long as this.
    _database: Option<Opened>,
}

/// What a reader opened itself, and keeps for as long as it is there.
pub(super) enum Opened {
    /// A file that somebody else may be writing to.
    Shared { _locks: ReadOnlyDatabase },
    /// A copy that nobody else knows of.
    Own { _file: Database },
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

impl Reader {
    /// Opens a journal for reading, also beside the process that writes to it.
    ///
    /// # Errors
    /// [`OpenError::Older`], [`OpenError::Newer`] and [`OpenError::NeedsRecovery`] are for the daemon to put right;
    /// [`OpenError::Storage`] also when there is no file.
    pub fn open_path(path: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let file = file::open_to_read(path)?;
        let opened = catch_damage(|| {
            let builder = shared_builder(StoreOptions { cache_bytes, verify: false });
            let database = builder.open_read_only_with_backend(FileBackend::new(file)?)?;
            let schema = schema::of(&database)?;
            let is_current = schema.is_some_and(schema::is_current);
            let reader = is_current
                .then(|| Self::new(database.begin_read()?, Some(Opened::Shared { _locks: database }), Some(path)));
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

    pub(super) fn new(
        moment: ReadTransaction,
        database: Option<Opened>,
        path: Option<&Path>,
    ) -> Result<Self, redb::Error> {
        let meta = moment.open_table(META)?;
        Ok(Self {
            log: moment.open_table(LOG)?,
            by_trade: moment.open_table(BY_TRADE)?,
            by_time: moment.open_table(BY_TIME)?,
            event_numbers: moment.open_table(EVENT_NUMBERS)?,
            replaced: moment.open_table(REPLACED)?,
            versions: moment.open_table(VERSIONS)?,
            checkpoints: moment.open_table(CHECKPOINTS)?,
            span: Span::of(schema::number(&meta, META_LAST_SEQ)?),
            meta,
            met_damage: Arc::default(),
            dictionaries: OnceLock::new(),
            archive: Archive::load(&moment, path)?,
            moment,
            path: path.map(Path::to_owned),
            _database: database,
        })
    }

    /// How many records of each kind there are, in time that does not depend on it.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.guarded("counting", || {
            Ok(Counts {
                signals: schema::number(&self.meta, META_SIGNALS)?,
                decisions: schema::number(&self.meta, META_DECISIONS)?,
                outcomes: schema::number(&self.meta, META_OUTCOMES)?,
                skips: schema::number(&self.meta, META_SKIPS)?,
                events: self.event_numbers.len()?,
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

    /// Everything that happened from number `from` on, in its order. Of the outcomes of a trade only the one that counts is
    /// among it, at its own place.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn since(&self, from: u64) -> Result<impl Iterator<Item = Result<Stored, StoreError>>, StoreError> {
        stream::since(self, from, Self::stored)
    }

    /// Everything that came from one time to another, both included, by the daemon's clock, in the order of that. Of an event
    /// it is the time at which it happened.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<impl Iterator<Item = Result<Stored, StoreError>>, StoreError> {
        stream::between(self, from, to, Self::stored)
    }

    /// The latest signal of a trade.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signal(&self, trade_id: &TradeId) -> Result<Option<StoredSignal>, StoreError> {
        let latest = self.held(trade_id)?.signals.last().copied();
        latest.map(|seq| self.signal_record(trade_id.as_str(), seq)).transpose()
    }

    /// All signals of a trade, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn signals_of(
        &self,
        trade_id: &TradeId,
    ) -> Result<impl Iterator<Item = Result<StoredSignal, StoreError>>, StoreError> {
        let numbers = self.held(trade_id)?.signals;
        Ok(numbers.into_iter().map(|seq| self.signal_record(trade_id.as_str(), seq)))
    }

    /// One record of a signal.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn signal_record(&self, trade_id: &str, seq: u64) -> Result<StoredSignal, StoreError> {
        let dictionaries = self.guarded(READING, || self.dictionaries())?;
        self.of_trade(seq, trade_id, Kind::Signal, |seq, value| codec::decode_signal(seq, value, dictionaries))
    }

    /// All signals, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn signals(&self) -> Result<impl Iterator<Item = Result<StoredSignal, StoreError>>, StoreError> {
        stream::since(self, 0, |reader, seq, value| {
            let dictionaries = reader.dictionaries()?;
            reader.of_kind(seq, value, Kind::Signal, |seq, value| codec::decode_signal(seq, value, dictionaries))
        })
    }

    /// What became of a trade.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn outcome(&self, trade_id: &TradeId) -> Result<Option<StoredOutcome>, StoreError> {
        let number = self.held(trade_id)?.outcome;
        number.map(|seq| self.of_trade(seq, trade_id.as_str(), Kind::Outcome, codec::decode_outcome)).transpose()
    }

    /// The outcomes of all trades, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn outcomes(&self) -> Result<impl Iterator<Item = Result<StoredOutcome, StoreError>>, StoreError> {
        stream::since(self, 0, |reader, seq, value| reader.of_kind(seq, value, Kind::Outcome, codec::decode_outcome))
    }

    /// Whether and why a signal was not taken.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn skip(&self, trade_id: &TradeId) -> Result<Option<StoredSkip>, StoreError> {
        let number = self.held(trade_id)?.skip;
        number.map(|seq| self.of_trade(seq, trade_id.as_str(), Kind::Skip, codec::decode_skip)).transpose()
    }

    /// All skips, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn skips(&self) -> Result<impl Iterator<Item = Result<StoredSkip, StoreError>>, StoreError> {
        stream::since(self, 0, |reader, seq, value| reader.of_kind(seq, value, Kind::Skip, codec::decode_skip))
    }

    /// Events from number `from` on, in order.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn events(
        &self,
        from: u64,
    ) -> Result<impl DoubleEndedIterator<Item = Result<StoredEvent, StoreError>>, StoreError> {
        stream::events(self, from, |_, seq, value| {
            let event = if value.is_empty() { Err(MISSING.to_owned()) } else { codec::decode_event(seq, value) };
            Ok(Some(event.map_err(|what| seal::bad(Kind::Event.name(), format!("#{seq}"), what))))
        })
    }

    /// One model.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn version(&self, id: &VersionId) -> Result<Option<StoredVersion>, StoreError> {
        self.get(&self.versions, &id.to_string(), codec::decode_version)
    }

    /// All models, by the text of their names, in which `ES/10` stands before `ES/2`.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn versions(&self) -> Result<impl Iterator<Item = Result<StoredVersion, StoreError>>, StoreError> {
        stream::named(self, &self.versions, codec::decode_version)
    }

    /// What was last stored under a checkpoint's name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(&self.checkpoints, name, codec::decode_checkpoint)
    }

    fn number(&self, name: &'static str) -> Result<u64, StoreError> {
        Ok(self.guarded(READING, || schema::number(&self.meta, name))?)
    }

    fn held(&self, trade_id: &TradeId) -> Result<Held, StoreError> {
        Ok(self.guarded(READING, || lookup::held(&self.log, &self.archive, &self.by_trade, self.span, trade_id))?)
    }

    /// The dictionaries of lines.
    pub(super) fn dictionaries(&self) -> Result<&Dictionaries, redb::Error> {
        match self.dictionaries.get() {
            Some(dictionaries) => Ok(dictionaries),
            None => {
                let loaded = Dictionaries::load(&self.moment)?;
                Ok(self.dictionaries.get_or_init(|| loaded))
            }
        }
    }

    /// One record that the index names under a trade.
    pub(super) fn of_trade<T>(
        &self,
        seq: u64,
        trade_id: &str,
        kind: Kind,
        decode: impl Fn(u64, &[u8]) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        let found = self.guarded(READING, || Ok(self.get_record(seq)?.map(|value| decode(seq, value.value()))))?;
        let record = found.unwrap_or_else(|| Err(MISSING.to_owned()));
        Ok(record.map_err(|what| bad_of_trade(kind, seq, trade_id, what))?)
    }

    /// A record of the log, if it counts.
    fn stored(&self, seq: u64, value: &[u8]) -> Found<Stored> {
        match Kind::of(value) {
            Some(Kind::Outcome) if self.is_replaced(seq)? => Ok(None),
            _ => self.stored_at(seq, value).map(Some),
        }
    }

    /// A record of the log.
    pub(super) fn stored_at(&self, seq: u64, value: &[u8]) -> Result<Result<Stored, BadRecord>, redb::Error> {
        let decoded = match Kind::of(value) {
            Some(Kind::Signal) => {
                let decoded = codec::decode_signal(seq, value, self.dictionaries()?);
                decoded.map(|signal| Stored::Signal(Box::new(signal)))
            }
            Some(Kind::Outcome) => codec::decode_outcome(seq, value).map(|outcome| Stored::Outcome(Box::new(outcome))),
            Some(Kind::Skip) => codec::decode_skip(seq, value).map(Stored::Skip),
            Some(Kind::Event) => codec::decode_event(seq, value).map(Stored::Event),
            None if value.is_empty() => Err(MISSING.to_owned()),
            None => Err("its kind is unknown".to_owned()),
        };
        match decoded {
            Ok(stored) => Ok(Ok(stored)),
            Err(what) => Ok(Err(self.name(seq, value, what)?)),
        }
    }

    /// A record of the log, if it is of `kind` and counts.
    fn of_kind<T>(
        &self,
        seq: u64,
        value: &[u8],
        kind: Kind,
        decode: impl Fn(u64, &[u8]) -> Result<T, String>,
    ) -> Found<T> {
        match Kind::of(value) {
            Some(other) if other != kind => Ok(None),
            Some(Kind::Outcome) if self.is_replaced(seq)? => Ok(None),
            Some(_) => match decode(seq, value) {
                Ok(record) => Ok(Some(Ok(record))),
                Err(what) => Ok(Some(Err(self.name(seq, value, what)?))),
            },
            None => {
                let bad = self.name(seq, value, "its kind is unknown".to_owned())?;
                Ok((bad.table == kind.name() || bad.table == naming::UNKNOWN).then_some(Err(bad)))
            }
        }
    }

    /// Whether the indexes hold `records` in all, as far as their lengths tell.
    pub(super) fn indexes_hold(&self, records: u64) -> Result<bool, redb::Error> {
        let by_trade = self.by_trade.len()? + self.event_numbers.len()?;
        let log = self.log.len()? + schema::number_or(&self.meta, META_ARCHIVED, 0)?;
        Ok((log, by_trade, self.by_time.len()?) == (records, records, records))
    }

    /// What a table of names has under `key`.
    fn get<T>(
        &self,
        table: &ReadOnlyTable<&'static str, Bytes>,
        key: &str,
        decode: impl FnOnce(&str, &[u8]) -> Result<T, BadRecord>,
    ) -> Result<Option<T>, StoreError> {
        let found = self.guarded(READING, || Ok(table.get(key)?.map(|guard| decode(key, guard.value()))))?;
        Ok(found.transpose()?)
    }

    pub(super) fn is_replaced(&self, seq: u64) -> Result<bool, redb::Error> {
        Ok(self.replaced.get(seq)?.is_some())
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
