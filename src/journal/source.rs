//! A journal of schema 1 or 2 as a takeover reads it.
#![deny(clippy::indexing_slicing)]

use std::ops::Bound;

use redb::{Database, ReadOnlyTable, ReadableDatabase, ReadableTableMetadata};

use super::{
    codec::{self, Kind},
    dictionaries::Dictionaries,
    older,
    reader::Counts,
    schema,
    tables::{CHECKPOINTS, META, META_CREATED_AT, META_DECISIONS, META_LAST_SEQ, VERSIONS, older as tables},
};

type Bytes = &'static [u8];

/// The older journal.
pub(super) struct Source {
    signals: ReadOnlyTable<(&'static str, u64), Bytes>,
    outcomes: ReadOnlyTable<&'static str, Bytes>,
    skips: ReadOnlyTable<&'static str, Bytes>,
    events: ReadOnlyTable<u64, Bytes>,
    pub(super) versions: ReadOnlyTable<&'static str, Bytes>,
    pub(super) checkpoints: ReadOnlyTable<&'static str, Bytes>,
    pub(super) created_at: u64,
    pub(super) last_seq: u64,
    pub(super) decisions: u64,
}

/// Where a record stands in the older journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OlderRecord {
    pub(super) kind: Kind,
    /// Of a signal or an event the number in its key, else 0.
    pub(super) was: u64,
    /// Empty for an event.
    pub(super) trade_id: String,
}

impl OlderRecord {
    /// `[kind u8][number u64 LE][trade id]`.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind as u8];
        bytes.extend_from_slice(&self.was.to_le_bytes());
        bytes.extend_from_slice(self.trade_id.as_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (was, trade_id) = rest.split_first_chunk::<8>()?;
        let trade_id = std::str::from_utf8(trade_id).ok()?.to_owned();
        Some(Self { kind: Kind::from_byte(*kind)?, was: u64::from_le_bytes(*was), trade_id })
    }

    /// Whether what is in the log under `seq` says the same as `was` did; of a damaged record, whether it is as damaged.
    pub(super) fn is_same(&self, seq: u64, was: &[u8], now: &[u8], dictionaries: &Dictionaries) -> bool {
        let same = |was: Result<bool, String>, now: Option<String>| match (was, now) {
            (Ok(same), None) => same,
            (Err(was), Some(now)) => was == now,
            _ => false,
        };
        match self.kind {
            Kind::Signal => {
                let was = older::signal(&self.trade_id, self.was, was);
                let now = codec::decode_signal(seq, now, dictionaries);
                let equal = |was: &_| now.as_ref().is_ok_and(|now| now == was);
                same(was.map(|was| equal(&was)).map_err(|bad| bad.what), now.as_ref().err().cloned())
            }
            Kind::Outcome => {
                let (was, now) = (older::outcome(&self.trade_id, was), codec::decode_outcome(seq, now));
                let equal = |was: &_| now.as_ref().is_ok_and(|now| now == was);
                same(was.map(|was| equal(&was)).map_err(|bad| bad.what), now.as_ref().err().cloned())
            }
            Kind::Skip => {
                let (was, now) = (older::skip(&self.trade_id, was), codec::decode_skip(seq, now));
                let equal = |was: &_| now.as_ref().is_ok_and(|now| now == was);
                same(was.map(|was| equal(&was)).map_err(|bad| bad.what), now.as_ref().err().cloned())
            }
            Kind::Event => {
                let (was, now) = (older::event(self.was, was), codec::decode_event(seq, now));
                let equal = |was: &_| now.as_ref().is_ok_and(|now| now == was);
                same(was.map(|was| equal(&was)).map_err(|bad| bad.what), now.as_ref().err().cloned())
            }
        }
    }
}

impl Source {
    pub(super) fn new(database: &Database) -> Result<Self, redb::Error> {
        let moment = database.begin_read()?;
        let meta = moment.open_table(META)?;
        Ok(Self {
            signals: moment.open_table(tables::SIGNALS)?,
            outcomes: moment.open_table(tables::OUTCOMES)?,
            skips: moment.open_table(tables::SKIPS)?,
            events: moment.open_table(tables::EVENTS)?,
            versions: moment.open_table(VERSIONS)?,
            checkpoints: moment.open_table(CHECKPOINTS)?,
            created_at: schema::number(&meta, META_CREATED_AT)?,
            last_seq: schema::number(&meta, META_LAST_SEQ)?,
            decisions: schema::number(&meta, META_DECISIONS)?,
        })
    }

    /// Tells this journal, as it is now, from others.
    pub(super) fn identity(&self) -> [u8; 16] {
        (u128::from(self.created_at) << 64 | u128::from(self.last_seq)).to_le_bytes()
    }

    pub(super) fn counts(&self) -> Result<Counts, redb::Error> {
        Ok(Counts {
            signals: self.signals.len()?,
            decisions: self.decisions,
            outcomes: self.outcomes.len()?,
            skips: self.skips.len()?,
            events: self.events.len()?,
            versions: self.versions.len()?,
        })
    }

    /// How many records there are, without versions and checkpoints.
    pub(super) fn records(&self) -> Result<u64, redb::Error> {
        Ok(self.signals.len()? + self.outcomes.len()? + self.skips.len()? + self.events.len()?)
    }

    /// Up to `most` records of `kind` behind the entry `after`, in the order of their keys, with their numbers where they can
    /// say them.
    pub(super) fn entries(
        &self,
        after: Option<&OlderRecord>,
        kind: Kind,
        most: usize,
    ) -> Result<Vec<(Option<u64>, OlderRecord)>, redb::Error> {
        let mut found = Vec::new();
        let trade_after = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.trade_id.as_str()));
        match kind {
            Kind::Signal => {
                let after = after.map(|after| (after.trade_id.as_str(), after.was));
                let after = after.map_or(Bound::Unbounded, Bound::Excluded);
                for entry in self.signals.range::<(&str, u64)>((after, Bound::Unbounded))?.take(most) {
                    let key = entry?.0;
                    let (trade_id, was) = key.value();
                    found.push((Some(was), OlderRecord { kind, was, trade_id: trade_id.to_owned() }));
                }
            }
            Kind::Outcome => {
                for entry in self.outcomes.range::<&str>((trade_after, Bound::Unbounded))?.take(most) {
                    let (key, value) = entry?;
                    let seq = older::outcome(key.value(), value.value()).ok().map(|stored| stored.seq);
                    found.push((seq, OlderRecord { kind, was: 0, trade_id: key.value().to_owned() }));
                }
            }
            Kind::Skip => {
                for entry in self.skips.range::<&str>((trade_after, Bound::Unbounded))?.take(most) {
                    let (key, value) = entry?;
                    let seq = older::skip(key.value(), value.value()).ok().map(|stored| stored.seq);
                    found.push((seq, OlderRecord { kind, was: 0, trade_id: key.value().to_owned() }));
                }
            }
            Kind::Event => {
                let after = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.was));
                for entry in self.events.range::<u64>((after, Bound::Unbounded))?.take(most) {
                    let was = entry?.0.value();
                    found.push((Some(was), OlderRecord { kind, was, trade_id: String::new() }));
                }
            }
        }
        Ok(found)
    }

    /// The bytes of a record.
    pub(super) fn value(&self, entry: &OlderRecord) -> Result<Vec<u8>, redb::Error> {
        let trade_id = entry.trade_id.as_str();
        let value = match entry.kind {
            Kind::Signal => self.signals.get((trade_id, entry.was))?,
            Kind::Outcome => self.outcomes.get(trade_id)?,
            Kind::Skip => self.skips.get(trade_id)?,
            Kind::Event => self.events.get(entry.was)?,
        };
        let missing = || redb::Error::Corrupted(format!("the record of {trade_id} is missing"));
        Ok(value.ok_or_else(missing)?.value().to_vec())
    }
}
