//! The rules of writing: what is new, what is a repeat, what contradicts what is there.
#![deny(clippy::indexing_slicing)]

mod archived;
mod known;
mod taken;

use std::ops::Bound;

use known::Known;
use redb::{ReadableTable, Table, WriteTransaction};

use super::{
    archive::{self, Archive},
    codec::{self, Kind},
    days::Days,
    dictionaries::{self, Dictionaries},
    index::{self, Span},
    lookup::{self, Held},
    record::{Applied, Existing, OutcomeRecord, SignalRecord, SkipRecord, Source, Write},
    schema,
    tables::{
        BY_TIME, BY_TRADE, CHECKPOINTS, EVENT_NUMBERS, LOG, META, META_DECISIONS, META_LAST_SEQ, META_OUTCOMES,
        META_SIGNALS, META_SKIPS, REPLACED, VERSIONS,
    },
};
use crate::domain::{Event, Signal, SignalLine, Timestamp, TradeId, VersionId};

type Bytes = &'static [u8];

/// The tables of one transaction, and the counters as they will stand after it.
pub(super) struct Batch<'t> {
    transaction: &'t WriteTransaction,
    dictionaries: &'t mut Dictionaries,
    log: Table<'t, u64, Bytes>,
    archive: &'t Archive,
    by_trade: Table<'t, u128, ()>,
    by_time: Table<'t, u128, ()>,
    event_numbers: Table<'t, u64, ()>,
    replaced: Table<'t, u64, u64>,
    versions: Table<'t, &'static str, Bytes>,
    checkpoints: Table<'t, &'static str, Bytes>,
    meta: Table<'t, &'static str, (u64, u32)>,
    /// Live signals with their numbers that are not in the log yet. Who reads or appends to it calls [`Batch::settle`] first.
    live: Vec<(&'t SignalRecord, u64)>,
    /// Entries of the indexes that are not in their tables yet.
    trades: Vec<u128>,
    times: Vec<u128>,
    days: Days,
    before: Counters,
    counters: Counters,
    buffer: Vec<u8>,
}

/// The numbers that `meta` keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counters {
    seq: u64,
    signals: u64,
    decisions: u64,
    outcomes: u64,
    skips: u64,
}

impl<'t> Batch<'t> {
    /// `dictionaries` are those of the journal; after a transaction that was not committed they must be read again, unless it
    /// wrote nothing.
    pub(super) fn open(
        transaction: &'t WriteTransaction,
        dictionaries: &'t mut Dictionaries,
        archive: &'t Archive,
    ) -> Result<Self, redb::Error> {
        let meta = transaction.open_table(META)?;
        let before = Counters {
            seq: schema::number(&meta, META_LAST_SEQ)?,
            signals: schema::number(&meta, META_SIGNALS)?,
            decisions: schema::number(&meta, META_DECISIONS)?,
            outcomes: schema::number(&meta, META_OUTCOMES)?,
            skips: schema::number(&meta, META_SKIPS)?,
        };
        Ok(Self {
            transaction,
            dictionaries,
            log: transaction.open_table(LOG)?,
            archive,
            by_trade: transaction.open_table(BY_TRADE)?,
            by_time: transaction.open_table(BY_TIME)?,
            event_numbers: transaction.open_table(EVENT_NUMBERS)?,
            replaced: transaction.open_table(REPLACED)?,
            versions: transaction.open_table(VERSIONS)?,
            checkpoints: transaction.open_table(CHECKPOINTS)?,
            meta,
            live: Vec::new(),
            trades: Vec::new(),
            times: Vec::new(),
            days: Days::default(),
            before,
            counters: before,
            buffer: Vec::new(),
        })
    }

    pub(super) fn write(&mut self, write: &'t Write) -> Result<Applied, redb::Error> {
        match write {
            Write::Signal(record) if record.source == Source::Live => return Ok(self.live_signal(record)),
            _ => self.settle()?,
        }
        // every look-up comes before anything is written
        let applied = match write {
            Write::Signal(record) => self.import_signal(record),
            Write::Outcome(record) => self.outcome(record),
            Write::Completion(record) => self.completion(record),
            Write::Trade(trade) => self.trade(&trade.0, &trade.1),
            Write::Skip(record) => self.skip(record),
            Write::Event(event) => self.event(event),
            Write::Version { id, body } => self.version(id, body),
            Write::Checkpoint { name, bytes } => self.checkpoint(name, bytes),
            Write::Archived(file) => self.archived(file),
            Write::Gone { to } => self.gone(*to),
        };
        match applied {
            Err(error) => archive::fault_in(&error).map_or(Err(error), |why| Ok(Applied::Unwritable { why })),
            applied => applied,
        }
    }

    /// Writes what is left and the counters. Says whether there is anything to commit.
    pub(super) fn finish(mut self) -> Result<bool, redb::Error> {
        self.settle()?;
        let (before, now) = (self.before, self.counters);
        if now == before {
            return Ok(false);
        }
        self.days.store(self.transaction)?;
        let span = self.span();
        index::merge(&mut self.by_trade, span)?;
        let numbers = [
            (META_LAST_SEQ, before.seq, now.seq),
            (META_SIGNALS, before.signals, now.signals),
            (META_DECISIONS, before.decisions, now.decisions),
            (META_OUTCOMES, before.outcomes, now.outcomes),
            (META_SKIPS, before.skips, now.skips),
        ];
        for (name, _, now) in numbers.into_iter().filter(|(_, before, now)| before != now) {
            self.meta.insert(name, codec::encode_number(name, now))?;
        }
        Ok(true)
    }

    fn live_signal(&mut self, record: &'t SignalRecord) -> Applied {
        if let Err(why) = codec::check_signal(record) {
            return Applied::Unwritable { why };
        }
        let seq = self.counters.seq + 1;
        self.live.push((record, seq));
        self.count_signal(record);
        self.stored(seq)
    }

    /// Puts the live signals at the end of the log, and what is new into the indexes. One page is worked on once, and not once
    /// for each of its records.
    fn settle(&mut self) -> Result<(), redb::Error> {
        if !self.live.is_empty() {
            let mut end = self.log.upper_bound_mut(Bound::<u64>::Unbounded)?;
            for (record, seq) in self.live.drain(..) {
                if let Some(name) = codec::encode_signal(&mut self.buffer, seq, record, self.dictionaries) {
                    dictionaries::store(self.transaction, name, &record.line)?;
                }
                end.insert_before(seq, self.buffer.as_slice())?;
                self.trades.push(index::entry(record.trade_id.as_str(), seq, Kind::Signal));
                self.times.push(index::at(record.received_at, seq));
                self.days.add(record.received_at, self.buffer.len());
            }
            end.close()?;
        }
        self.trades.sort_unstable();
        for entry in self.trades.drain(..) {
            self.by_trade.insert(entry, ())?;
        }
        self.times.sort_unstable();
        index::insert_sorted(&mut self.by_time, &self.times)?;
        self.times.clear();
        Ok(())
    }

    /// Appends what was encoded under the next number.
    fn append(&mut self, kind: Kind, trade_id: Option<&str>, at: Timestamp) -> Result<u64, redb::Error> {
        let seq = self.counters.seq + 1;
        self.log.insert(seq, self.buffer.as_slice())?;
        match trade_id {
            Some(trade_id) => self.trades.push(index::entry(trade_id, seq, kind)),
            None => drop(self.event_numbers.insert(seq, ())?),
        }
        self.times.push(index::at(at, seq));
        self.days.add(at, self.buffer.len());
        self.counters.seq = seq;
        Ok(seq)
    }

    fn append_signal(&mut self, record: &SignalRecord) -> Result<Applied, redb::Error> {
        if let Err(why) = codec::check_signal(record) {
            return Ok(Applied::Unwritable { why });
        }
        self.encode_signal(self.counters.seq + 1, record)?;
        let seq = self.append(Kind::Signal, Some(record.trade_id.as_str()), record.received_at)?;
        self.count_signal(record);
        Ok(Applied::Stored { seq, matched: None })
    }

    fn encode_signal(&mut self, seq: u64, record: &SignalRecord) -> Result<(), redb::Error> {
        if let Some(name) = codec::encode_signal(&mut self.buffer, seq, record, self.dictionaries) {
            dictionaries::store(self.transaction, name, &record.line)?;
        }
        Ok(())
    }

    fn count_signal(&mut self, record: &SignalRecord) {
        self.counters.signals += 1;
        self.counters.decisions += u64::from(record.decision.is_some());
    }

    fn import_signal(&mut self, record: &SignalRecord) -> Result<Applied, redb::Error> {
        let signal = match signal_in(record) {
            Ok(signal) => signal,
            Err(why) => return Ok(Applied::Unwritable { why }),
        };
        let held = self.held(&record.trade_id)?;
        match self.known_signal(&held, &signal)? {
            Known::No => self.append_signal(record),
            Known::Same => Ok(Applied::Duplicate),
            Known::Other(existing) => Ok(Applied::Conflict { existing }),
        }
    }

    fn outcome(&mut self, record: &OutcomeRecord) -> Result<Applied, redb::Error> {
        let held = self.held(&record.trade_id)?;
        self.outcome_beside(&held, record)
    }

    fn outcome_beside(&mut self, held: &Held, record: &OutcomeRecord) -> Result<Applied, redb::Error> {
        match self.known_outcome(held, record)? {
            Known::No => self.put_outcome(held, record, !held.signals.is_empty()),
            Known::Same => Ok(Applied::Duplicate),
            Known::Other(existing) => Ok(Applied::Conflict { existing }),
        }
    }

    fn completion(&mut self, record: &OutcomeRecord) -> Result<Applied, redb::Error> {
        let held = self.held(&record.trade_id)?;
        match self.known_outcome(&held, record)? {
            Known::Other(existing) => match &*existing {
                Existing::Outcome(stored)
                    if stored.record.outcome.completed_by(&record.outcome).as_ref() == Some(&record.outcome) =>
                {
                    self.put_outcome(&held, record, stored.matched)
                }
                _ => Ok(Applied::Conflict { existing }),
            },
            Known::Same => Ok(Applied::Duplicate),
            Known::No => self.outcome_beside(&held, record),
        }
    }

    /// Appends an outcome; one that is there already counts no more.
    fn put_outcome(&mut self, held: &Held, record: &OutcomeRecord, matched: bool) -> Result<Applied, redb::Error> {
        if let Err(why) = codec::encode_outcome(&mut self.buffer, self.counters.seq + 1, matched, record) {
            return Ok(Applied::Unwritable { why });
        }
        let seq = self.append(Kind::Outcome, Some(record.trade_id.as_str()), record.received_at)?;
        match held.outcome {
            Some(before) => drop(self.replaced.insert(before, seq)?),
            None => self.counters.outcomes += 1,
        }
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
        let held = self.held(&signal.trade_id)?;
        match (self.known_signal(&held, &parsed)?, self.known_outcome(&held, outcome)?) {
            (Known::Other(_), _) => {
                let known = self.outcome_of(&held, &signal.trade_id)?;
                let outcome = if let Some(Existing::Outcome(stored)) = known { Some(stored) } else { None };
                Ok(Applied::Conflict { existing: Box::new(Existing::Trade(outcome)) })
            }
            (_, Known::Other(existing)) => Ok(Applied::Conflict { existing }),
            (Known::Same, Known::Same) => Ok(Applied::Duplicate),
            (Known::No, Known::Same) => self.append_signal(signal),
            (Known::Same, Known::No) => self.put_outcome(&held, outcome, true),
            (Known::No, Known::No) => {
                self.append_signal(signal)?;
                self.put_outcome(&held, outcome, true)
            }
        }
    }

    fn skip(&mut self, record: &SkipRecord) -> Result<Applied, redb::Error> {
        let trade_id = &record.skip.trade_id;
        let held = self.held(trade_id)?;
        if held.skip.is_some() {
            return Ok(Applied::Duplicate);
        }
        if let Some(existing) = self.outcome_of(&held, trade_id)? {
            return Ok(Applied::Conflict { existing: Box::new(existing) });
        }
        if let Err(why) = codec::encode_skip(&mut self.buffer, self.counters.seq + 1, record) {
            return Ok(Applied::Unwritable { why });
        }
        let seq = self.append(Kind::Skip, Some(trade_id.as_str()), record.received_at)?;
        self.counters.skips += 1;
        Ok(Applied::Stored { seq, matched: None })
    }

    fn event(&mut self, event: &Event) -> Result<Applied, redb::Error> {
        if let Err(why) = codec::encode_event(&mut self.buffer, self.counters.seq + 1, event) {
            return Ok(Applied::Unwritable { why });
        }
        let seq = self.append(Kind::Event, None, event.at)?;
        Ok(Applied::Stored { seq, matched: None })
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
                Ok(self.stored(self.counters.seq + 1))
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
        Ok(self.stored(self.counters.seq + 1))
    }

    fn stored(&mut self, seq: u64) -> Applied {
        self.counters.seq = seq;
        Applied::Stored { seq, matched: None }
    }

    fn span(&self) -> Span {
        Span { last: self.counters.seq, ..Span::of(self.before.seq) }
    }

    fn held(&self, trade_id: &TradeId) -> Result<Held, redb::Error> {
        lookup::held(&self.log, self.archive, &self.by_trade, self.span(), trade_id)
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
