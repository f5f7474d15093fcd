//! The rules of writing: what is new, what is a repeat, what contradicts what is there.
#![deny(clippy::indexing_slicing)]

use std::ops::Bound;

use redb::{CursorError, ReadableTable, Table, WriteTransaction};

use super::{
    codec,
    record::{Applied, Existing, OutcomeRecord, SignalRecord, SkipRecord, Source, Write},
    schema,
    tables::{CHECKPOINTS, EVENTS, META, META_DECISIONS, META_LAST_SEQ, OUTCOMES, SIGNALS, SKIPS, VERSIONS},
};
use crate::domain::{Event, Signal, SignalLine, TradeId, VersionId};

type Bytes = &'static [u8];

/// The tables of one transaction, and the counters as they will stand after it.
pub(super) struct Batch<'t> {
    signals: Table<'t, (&'static str, u64), Bytes>,
    outcomes: Table<'t, &'static str, Bytes>,
    skips: Table<'t, &'static str, Bytes>,
    events: Table<'t, u64, Bytes>,
    versions: Table<'t, &'static str, Bytes>,
    checkpoints: Table<'t, &'static str, Bytes>,
    meta: Table<'t, &'static str, (u64, u32)>,
    /// Live signals with their numbers that are not in their table yet. Who reads that table calls [`Batch::settle`]
    /// first.
    live: Vec<(&'t SignalRecord, u64)>,
    first_seq: u64,
    seq: u64,
    decisions: u64,
    buffer: Vec<u8>,
}

/// How a write stands to what is in the journal under its name.
enum Known {
    No,
    Same,
    Other(Box<Existing>),
}

impl<'t> Batch<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        let meta = transaction.open_table(META)?;
        let seq = schema::number(&meta, META_LAST_SEQ)?;
        let decisions = schema::number(&meta, META_DECISIONS)?;
        Ok(Self {
            signals: transaction.open_table(SIGNALS)?,
            outcomes: transaction.open_table(OUTCOMES)?,
            skips: transaction.open_table(SKIPS)?,
            events: transaction.open_table(EVENTS)?,
            versions: transaction.open_table(VERSIONS)?,
            checkpoints: transaction.open_table(CHECKPOINTS)?,
            meta,
            live: Vec::new(),
            first_seq: seq,
            seq,
            decisions,
            buffer: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, write: &'t Write) -> Result<Applied, redb::Error> {
        match write {
            Write::Signal(record) if record.source == Source::Live => return Ok(self.live_signal(record)),
            Write::Signal(_) | Write::Outcome(_) | Write::Completion(_) | Write::Trade(..) => self.settle()?,
            Write::Skip(_) | Write::Event(_) | Write::Version { .. } | Write::Checkpoint { .. } => {}
        }
        match write {
            Write::Signal(record) => self.import_signal(record),
            Write::Outcome(record) => self.outcome(record),
            Write::Completion(record) => self.completion(record),
            Write::Trade(trade) => self.trade(&trade.0, &trade.1),
            Write::Skip(record) => self.skip(record),
            Write::Event(event) => self.event(event),
            Write::Version { id, body } => self.version(id, body),
            Write::Checkpoint { name, bytes } => self.checkpoint(name, bytes),
        }
    }

    /// Writes what is left and the counters. Says whether there is anything to commit.
    pub(super) fn finish(mut self) -> Result<bool, redb::Error> {
        self.settle()?;
        if self.seq == self.first_seq {
            return Ok(false);
        }
        self.meta.insert(META_LAST_SEQ, codec::encode_number(META_LAST_SEQ, self.seq))?;
        self.meta.insert(META_DECISIONS, codec::encode_number(META_DECISIONS, self.decisions))?;
        Ok(true)
    }

    fn live_signal(&mut self, record: &'t SignalRecord) -> Applied {
        if let Err(why) = codec::check_signal(record) {
            return Applied::Unwritable { why };
        }
        let seq = self.seq + 1;
        self.live.push((record, seq));
        self.decisions += u64::from(record.decision.is_some());
        self.stored(seq)
    }

    /// Puts the live signals into their table, in the order of their keys: those between the same two neighbours go in
    /// together, so that a page is worked on once, and not once for each of its signals.
    fn settle(&mut self) -> Result<(), redb::Error> {
        let mut live = std::mem::take(&mut self.live);
        live.sort_unstable_by_key(|(record, seq)| (record.trade_id.as_str(), *seq));
        let mut rest = live.into_iter().peekable();
        while let Some((record, seq)) = rest.next() {
            let key = (record.trade_id.as_str(), seq);
            codec::encode_signal(&mut self.buffer, seq, record);
            self.signals.insert(key, self.buffer.as_slice())?;
            if rest.peek().is_none() {
                break;
            }
            let mut gap = self.signals.upper_bound_mut(Bound::Included(key))?;
            while let Some((record, seq)) = rest.peek() {
                codec::encode_signal(&mut self.buffer, *seq, record);
                match gap.insert_before((record.trade_id.as_str(), *seq), self.buffer.as_slice()) {
                    Ok(()) => drop(rest.next()),
                    Err(CursorError::UnorderedKey) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            gap.close()?;
        }
        Ok(())
    }

    fn append_signal(&mut self, record: &SignalRecord) -> Result<Applied, redb::Error> {
        if let Err(why) = codec::check_signal(record) {
            return Ok(Applied::Unwritable { why });
        }
        let seq = self.seq + 1;
        codec::encode_signal(&mut self.buffer, seq, record);
        self.signals.insert((record.trade_id.as_str(), seq), self.buffer.as_slice())?;
        self.decisions += u64::from(record.decision.is_some());
        Ok(self.stored(seq))
    }

    fn import_signal(&mut self, record: &SignalRecord) -> Result<Applied, redb::Error> {
        let signal = match signal_in(record) {
            Ok(signal) => signal,
            Err(why) => return Ok(Applied::Unwritable { why }),
        };
        match self.known_signal(&signal)? {
            Known::No => self.append_signal(record),
            Known::Same => Ok(Applied::Duplicate),
            Known::Other(existing) => Ok(Applied::Conflict { existing }),
        }
    }

    fn outcome(&mut self, record: &OutcomeRecord) -> Result<Applied, redb::Error> {
        match self.known_outcome(record)? {
            Known::No => {
                let matched = self.has_signal(&record.trade_id)?;
                self.put_outcome(record, matched)
            }
            Known::Same => Ok(Applied::Duplicate),
            Known::Other(existing) => Ok(Applied::Conflict { existing }),
        }
    }

    fn completion(&mut self, record: &OutcomeRecord) -> Result<Applied, redb::Error> {
        match self.known_outcome(record)? {
            Known::Other(existing) => match &*existing {
                Existing::Outcome(stored)
                    if stored.record.outcome.completed_by(&record.outcome).as_ref() == Some(&record.outcome) =>
                {
                    self.put_outcome(record, stored.matched)
                }
                _ => Ok(Applied::Conflict { existing }),
            },
            Known::Same => Ok(Applied::Duplicate),
            Known::No => self.outcome(record),
        }
    }

    fn put_outcome(&mut self, record: &OutcomeRecord, matched: bool) -> Result<Applied, redb::Error> {
        let seq = self.seq + 1;
        if let Err(why) = codec::encode_outcome(&mut self.buffer, seq, matched, record) {
            return Ok(Applied::Unwritable { why });
        }
        self.outcomes.insert(record.trade_id.as_str(), self.buffer.as_slice())?;
        self.seq = seq;
        Ok(Applied::Stored { seq, matched: Some(matched) })
    }

    fn trade(&mut self, signal: &SignalRecord, outcome: &OutcomeRecord) -> Result<Applied, redb::Error> {
        if signal.trade_id != outcome.trade_id {
            let why = format!("a signal of {} with an outcome of {}", signal.trade_id, outcome.trade_id);
            return Ok(Applied::Unwritable { why });
        }
        // both halves are looked at, and the outcome encoded, before either is written
        let mut unused = Vec::new();
        let writable = signal_in(signal).and_then(|parsed| {
            codec::check_signal(signal)?;
            codec::encode_outcome(&mut unused, 0, true, outcome)?;
            Ok(parsed)
        });
        let parsed = match writable {
            Ok(parsed) => parsed,
            Err(why) => return Ok(Applied::Unwritable { why }),
        };
        match (self.known_signal(&parsed)?, self.known_outcome(outcome)?) {
            (Known::Other(existing), _) | (_, Known::Other(existing)) => Ok(Applied::Conflict { existing }),
            (Known::Same, Known::Same) => Ok(Applied::Duplicate),
            (Known::No, Known::Same) => self.append_signal(signal),
            (Known::Same, Known::No) => self.put_outcome(outcome, true),
            (Known::No, Known::No) => {
                self.append_signal(signal)?;
                self.put_outcome(outcome, true)
            }
        }
    }

    fn skip(&mut self, record: &SkipRecord) -> Result<Applied, redb::Error> {
        let trade_id = record.skip.trade_id.as_str();
        if self.skips.get(trade_id)?.is_some() {
            return Ok(Applied::Duplicate);
        }
        if let Some(existing) = self.outcome_of(trade_id)? {
            return Ok(Applied::Conflict { existing: Box::new(existing) });
        }
        let seq = self.seq + 1;
        if let Err(why) = codec::encode_skip(&mut self.buffer, seq, record) {
            return Ok(Applied::Unwritable { why });
        }
        self.skips.insert(trade_id, self.buffer.as_slice())?;
        Ok(self.stored(seq))
    }

    fn event(&mut self, event: &Event) -> Result<Applied, redb::Error> {
        let seq = self.seq + 1;
        if let Err(why) = codec::encode_event(&mut self.buffer, seq, event) {
            return Ok(Applied::Unwritable { why });
        }
        self.events.insert(seq, self.buffer.as_slice())?;
        Ok(self.stored(seq))
    }

    fn version(&mut self, id: &VersionId, body: &[u8]) -> Result<Applied, redb::Error> {
        let key = id.to_string();
        let known = match self.versions.get(key.as_str())?.map(|guard| codec::decode_version(&key, guard.value())) {
            None => Known::No,
            Some(Ok(stored)) if stored.body == body => Known::Same,
            Some(Ok(stored)) => Known::Other(Box::new(Existing::Version(stored.checksum))),
            Some(Err(bad)) => Known::Other(Box::new(Existing::Unreadable(bad))),
        };
        match known {
            Known::No => {
                codec::encode_version(&mut self.buffer, body);
                self.versions.insert(key.as_str(), self.buffer.as_slice())?;
                Ok(self.stored(self.seq + 1))
            }
            Known::Same => Ok(Applied::Duplicate),
            Known::Other(existing) => Ok(Applied::Conflict { existing }),
        }
    }

    fn checkpoint(&mut self, name: &str, bytes: &[u8]) -> Result<Applied, redb::Error> {
        if let Err(why) = codec::encode_checkpoint(&mut self.buffer, name, bytes) {
            return Ok(Applied::Unwritable { why });
        }
        self.checkpoints.insert(name, self.buffer.as_slice())?;
        Ok(self.stored(self.seq + 1))
    }

    fn stored(&mut self, seq: u64) -> Applied {
        self.seq = seq;
        Applied::Stored { seq, matched: None }
    }

    fn has_signal(&self, trade_id: &TradeId) -> Result<bool, redb::Error> {
        let id = trade_id.as_str();
        Ok(self.signals.range((id, 0)..=(id, u64::MAX))?.next().transpose()?.is_some())
    }

    /// A live signal may have come more than once and differ in a digit; an imported one is a repeat of any of them.
    fn known_signal(&self, signal: &Signal) -> Result<Known, redb::Error> {
        let id = signal.trade_id.as_str();
        let mut latest = None;
        for entry in self.signals.range((id, 0)..=(id, u64::MAX))?.rev() {
            let (key, value) = entry?;
            let existing = match codec::decode_signal(id, key.value().1, value.value()) {
                // a signal that only took the trade's name
                Ok(stored) if stored.record.took_a_name() => continue,
                Ok(stored) if stored.signal == *signal => return Ok(Known::Same),
                Ok(stored) => Existing::Signal(stored),
                Err(bad) => Existing::Unreadable(bad),
            };
            latest.get_or_insert(existing);
        }
        Ok(latest.map_or(Known::No, |existing| Known::Other(Box::new(existing))))
    }

    fn known_outcome(&self, record: &OutcomeRecord) -> Result<Known, redb::Error> {
        Ok(match self.outcome_of(record.trade_id.as_str())? {
            // what is damaged may be told again
            None | Some(Existing::Unreadable(_)) => Known::No,
            Some(Existing::Outcome(stored)) if stored.record.outcome == record.outcome => Known::Same,
            Some(existing) => Known::Other(Box::new(existing)),
        })
    }

    fn outcome_of(&self, trade_id: &str) -> Result<Option<Existing>, redb::Error> {
        let stored = self.outcomes.get(trade_id)?.map(|guard| codec::decode_outcome(trade_id, guard.value()));
        Ok(stored.map(|stored| stored.map_or_else(Existing::Unreadable, Existing::Outcome)))
    }
}

fn signal_in(record: &SignalRecord) -> Result<Signal, String> {
    let signal = SignalLine::parse(&record.line).map_err(|error| error.to_string())?.signal;
    if signal.trade_id == record.trade_id {
        Ok(signal)
    } else {
        Err(format!("a record of {} with a line of {}", record.trade_id, signal.trade_id))
    }
}
