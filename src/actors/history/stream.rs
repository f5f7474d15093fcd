//! Everything that happened, told one by one in the order in which it was recorded.
//!
//! Signals are by far the most, and lie in the journal by the names of their trades. When they are very many only their keys
//! are held here, and the records are read in the order of their numbers, a batch ahead of who listens: a start needs no more
//! memory for a million signals that were never closed than for the latest of them.
#![deny(clippy::indexing_slicing)]

use std::{
    collections::BTreeMap,
    iter::Peekable,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use super::kept;
use crate::{
    config::Config,
    domain::{Event, EventKind, Timestamp, TradeId, event::By},
    journal::{OutcomeRecord, Reader, SignalKeys, Source, StoreError, StoredOutcome, StoredSignal, StoredSkip},
    rules::{desk::Entry, past::Happening},
};

/// Signals that are held at once. Of more only the keys are, and they are read in batches.
const AT_ONCE: u64 = 200_000;
/// Signals of a batch.
const BATCH: usize = 1024;
/// Threads that read them.
const READERS: usize = 2;

/// Something that is told.
pub(super) enum Streamed<'a> {
    /// A record of a signal, whether or not it was answered here.
    Signal(&'a StoredSignal),
    /// What happened.
    Happening(Happening),
}

/// What happened besides signals, with the numbers of the records.
pub(super) struct Others {
    /// In the order of their numbers.
    numbered: Vec<(u64, Happening)>,
    /// Outcomes that were imported: they are told behind the first answer to their signal, if there is one.
    imported: BTreeMap<TradeId, (u64, OutcomeRecord)>,
}

/// Everything that happened while the daemon ran, in the order in which it was recorded. Past trades that were imported
/// are not among it; an imported outcome of a signal that was answered here is, behind the answer.
///
/// # Errors
/// When the storage cannot be read. Damaged records are left out: an event that cannot be read may have been the one
/// that silenced a model, so a lock stands in its place.
pub fn happenings(reader: &Reader, config: &Config) -> Result<Vec<Happening>, String> {
    let mut all = Vec::new();
    stream(reader, config, Others::read(reader, config)?, |told| {
        if let Streamed::Happening(happening) = told {
            all.push(happening);
        }
        Ok(())
    })?;
    Ok(all)
}

impl Others {
    /// # Errors
    /// As for [`happenings`].
    pub(super) fn read(reader: &Reader, config: &Config) -> Result<Self, String> {
        let text = |error: StoreError| error.to_string();
        let mut numbered: Vec<(u64, Happening)> = Vec::new();
        for (place, stored) in reader.events(0).map_err(text)?.enumerate() {
            let (seq, event) = match stored {
                Ok(stored) => (stored.seq, stored.event),
                Err(StoreError::BadRecord(bad)) => {
                    let before = numbered.last().map_or(place as u64, |(seq, _)| *seq);
                    let by = By::Daemon("guardian".into());
                    let kind = EventKind::Locked { reason: format!("the event log is damaged: {bad}"), by };
                    let at = numbered.last().map_or(Timestamp::UNIX_EPOCH, |(_, happening)| happening.at());
                    (before, Event { at, kind })
                }
                Err(error) => return Err(text(error)),
            };
            numbered.push((seq, Happening::Event(event)));
        }
        let mut imported = BTreeMap::new();
        for stored in reader.outcomes().map_err(text)? {
            let Some(StoredOutcome { seq, record, .. }) = kept(stored)? else { continue };
            if record.source == Source::Import {
                imported.insert(record.trade_id.clone(), (seq, record));
            } else {
                numbered.push((seq, closed(record, config)));
            }
        }
        for stored in reader.skips().map_err(text)? {
            let Some(StoredSkip { seq, record }) = kept(stored)? else { continue };
            numbered.push((seq, Happening::Skipped { at: record.received_at, trade_id: record.skip.trade_id }));
        }
        numbered.sort_by_key(|(seq, _)| *seq);
        Ok(Self { numbered, imported })
    }

    /// Those that depend on no signal.
    pub(super) fn happenings(&self) -> impl Iterator<Item = &Happening> {
        self.numbered.iter().map(|(_, happening)| happening)
    }
}

fn closed(record: OutcomeRecord, config: &Config) -> Happening {
    let exit_at = record.outcome.exit_at;
    let OutcomeRecord { trade_id, received_at: at, echo, outcome, .. } = record;
    let echo = echo.map(|echo| Box::new(Entry::of_echo(&echo, exit_at, &config.calendar, &config.policy)));
    Happening::Closed { at, trade_id, echo, outcome: Box::new(outcome) }
}

/// Tells everything to `hear`: what happened in order, and each record of a signal before what was answered to it.
///
/// # Errors
/// As for [`happenings`], and what `hear` says.
pub(super) fn stream(
    reader: &Reader,
    config: &Config,
    others: Others,
    hear: impl FnMut(Streamed<'_>) -> Result<(), String>,
) -> Result<(), String> {
    stream_holding(AT_ONCE, reader, config, others, hear)
}

/// The same, holding no more than `most` signals at once.
fn stream_holding(
    most: u64,
    reader: &Reader,
    config: &Config,
    others: Others,
    mut hear: impl FnMut(Streamed<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let Others { numbered, imported } = others;
    let numbered = numbered.into_iter().peekable();
    let mut queue = Queue { numbered, imported, late: BTreeMap::new() };
    let scored = |stored: StoredSignal| {
        let StoredSignal { seq, record, signal } = stored;
        let instrument = config.symbols.get(&signal.symbol);
        let entry = Entry::of_signal(&signal, &config.calendar, instrument, record.decision?, record.opinions);
        Some((seq, record.received_at, Box::new(entry)))
    };
    if reader.counts().map_err(|error| error.to_string())?.signals <= most {
        // their keys need not be looked up one by one
        let mut all = Vec::new();
        for stored in reader.signals().map_err(|error| error.to_string())? {
            let Some(stored) = kept(stored)? else { continue };
            hear(Streamed::Signal(&stored))?;
            all.extend(scored(stored));
        }
        all.sort_unstable_by_key(|(seq, ..)| *seq);
        all.into_iter().try_for_each(|(seq, at, entry)| queue.tell(config, seq, at, entry, &mut hear))?;
    } else {
        in_batches(reader, |stored| {
            hear(Streamed::Signal(&stored))?;
            scored(stored).map_or(Ok(()), |(seq, at, entry)| queue.tell(config, seq, at, entry, &mut hear))
        })?;
    }
    while let Some(happening) = queue.before(u64::MAX) {
        hear(Streamed::Happening(happening))?;
    }
    Ok(())
}

/// Gives every signal to `hear`, in the order of their numbers, while others are read on further threads.
fn in_batches(reader: &Reader, mut hear: impl FnMut(StoredSignal) -> Result<(), String>) -> Result<(), String> {
    let keys = reader.signal_keys().map_err(|error| error.to_string())?;
    thread::scope(|scope| {
        let mut batches = Vec::new();
        for part in 0..READERS {
            let (sender, receiver) = sync_channel(1);
            let keys = &keys;
            scope.spawn(move || read(reader, keys, part, &sender));
            batches.push(receiver);
        }
        for turn in 0.. {
            // when one has none left, there is none behind it either
            let Some(Ok(batch)) = batches.get(turn % READERS).map(Receiver::recv) else { break };
            batch?.into_iter().try_for_each(&mut hear)?;
        }
        Ok(())
    })
}

/// What is still to be told besides signals.
struct Queue<I: Iterator<Item = (u64, Happening)>> {
    numbered: Peekable<I>,
    imported: BTreeMap<TradeId, (u64, OutcomeRecord)>,
    /// Imported outcomes of signals that were told, by where they belong.
    late: BTreeMap<u64, Happening>,
}

impl<I: Iterator<Item = (u64, Happening)>> Queue<I> {
    /// Tells what stands before the record `seq` of a signal that was answered `at`, and then the answer.
    fn tell(
        &mut self,
        config: &Config,
        seq: u64,
        at: Timestamp,
        entry: Box<Entry>,
        hear: &mut impl FnMut(Streamed<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        while let Some(happening) = self.before(seq) {
            hear(Streamed::Happening(happening))?;
        }
        if let Some((closed_seq, mut closing)) = self.imported.remove(&entry.trade_id) {
            closing.received_at = closing.received_at.max(at);
            self.late.insert(closed_seq.max(seq), closed(closing, config));
        }
        hear(Streamed::Happening(Happening::Scored { at, entry }))
    }

    /// The next of what stands before the record of this number.
    fn before(&mut self, seq: u64) -> Option<Happening> {
        let late = self.late.first_key_value().map(|(at, _)| *at).filter(|at| *at < seq);
        let next = self.numbered.peek().map(|(at, _)| *at).filter(|at| *at < seq);
        match (late, next) {
            (Some(late), next) if next.is_none_or(|next| late < next) => {
                self.late.pop_first().map(|(_, happening)| happening)
            }
            (_, Some(_)) => self.numbered.next().map(|(_, happening)| happening),
            _ => None,
        }
    }
}

/// Reads every batch whose turn is `part`, until nobody listens any more.
fn read(reader: &Reader, keys: &SignalKeys, part: usize, sender: &SyncSender<Result<Vec<StoredSignal>, String>>) {
    for batch in (0..keys.len().div_ceil(BATCH)).skip(part).step_by(READERS) {
        let records = (batch * BATCH..(batch + 1) * BATCH).filter_map(|place| keys.get(place));
        let read = || -> Result<Vec<StoredSignal>, String> {
            let mut found = Vec::with_capacity(BATCH);
            for (trade_id, seq) in records {
                let stored = reader.signal_record(trade_id, seq).transpose();
                found.extend(stored.map(kept).transpose()?.flatten());
            }
            Ok(found)
        };
        if sender.send(read()).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Decision, Outcome, Reason, SignalLine},
        journal::{Options, SignalRecord, Store, Write},
    };

    fn at(minute: usize) -> Timestamp {
        Timestamp::from_second(1_756_728_000 + 60 * minute as i64).unwrap()
    }

    fn line(name: &str, minute: usize) -> Vec<u8> {
        let at = at(minute);
        format!(r#"{{"trade_id":"{name}","at":"{at}","symbol":"ES","side":"long","features":{{}}}}"#).into_bytes()
    }

    fn scored(name: &str, minute: usize) -> Write {
        let trade_id = TradeId::new(name).unwrap();
        let decision = Decision::baseline(trade_id.clone(), None, None, Reason::NoModel);
        Write::Signal(SignalRecord {
            trade_id,
            received_at: at(minute),
            source: Source::Live,
            decision: Some(decision),
            opinions: Vec::new(),
            latency_us: None,
            line: line(name, minute),
        })
    }

    fn told(name: &str, minute: usize, source: Source) -> Write {
        let (trade_id, outcome) = (TradeId::new(name).unwrap(), Outcome::closed(at(minute), Some(1.0)));
        Write::Outcome(Box::new(OutcomeRecord { trade_id, received_at: at(minute), source, echo: None, outcome }))
    }

    fn imported(name: &str, minute: usize) -> Write {
        let line = line(name, minute);
        let mut parsed = SignalLine::parse(&line).unwrap();
        parsed.outcome = Some(Outcome::closed(at(minute), Some(2.0)));
        Write::past_trade(parsed, line, at(minute))
    }

    #[test]
    fn batches_tell_the_same_in_the_same_order_as_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vigie.redb");
        let mut store = Store::open(&path, Options { cache_bytes: 1 << 20, verify: false }).unwrap();
        let mut writes = vec![imported("H-1", 0), imported("Z-1", 1), scored("Z-1", 1), scored("M-1", 2)];
        // names that do not rise with time, more than two batches of them, and each third closed
        for n in 0..3 * BATCH {
            let name = format!("{}-{n}", ["C", "A", "B"][n % 3]);
            writes.push(scored(&name, 3 + n));
            writes.extend((n % 3 == 1).then(|| told(&name, 4 + n, Source::Live)));
        }
        // imported before its answer and behind it
        writes.extend([told("M-1", 9, Source::Import), scored("M-1", 10)]);
        let at = at(9000);
        writes.push(Write::Event(Event { at, kind: EventKind::Stopped }));
        store.apply(&writes).unwrap();
        let (reader, config) = (store.reader().unwrap(), Config::builtin().unwrap());
        let heard = |most| {
            let (mut happenings, mut records) = (Vec::new(), 0);
            let others = Others::read(&reader, &config).unwrap();
            let streamed = stream_holding(most, &reader, &config, others, |told| {
                match told {
                    Streamed::Signal(_) => records += 1,
                    Streamed::Happening(happening) => happenings.push(happening),
                }
                Ok(())
            });
            streamed.unwrap();
            (happenings, records)
        };
        let (all, records) = heard(u64::MAX);
        assert_eq!(records, 5 + 3 * BATCH, "those from a file included");
        assert_eq!(heard(0), (all.clone(), records));
        assert_eq!(all.len(), 3 + 4 * BATCH + 2 + 1);
        let name = |happening: &Happening| match happening {
            Happening::Scored { entry, .. } => format!("scored {}", entry.trade_id),
            Happening::Closed { trade_id, .. } => format!("closed {trade_id}"),
            other => format!("{other:?}"),
        };
        let first: Vec<String> = all.iter().take(5).map(name).collect();
        assert_eq!(first, ["scored Z-1", "closed Z-1", "scored M-1", "scored C-0", "scored A-1"]);
        // who hears no more is told of nothing more
        let others = Others::read(&reader, &config).unwrap();
        let stopped = stream_holding(0, &reader, &config, others, |_| Err("enough".to_owned()));
        assert_eq!(stopped, Err("enough".to_owned()));
    }
}
