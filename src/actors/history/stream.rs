//! Everything that happened, told one by one in the order in which it was recorded.
#![deny(clippy::indexing_slicing)]

use std::{cell::Cell, collections::BTreeMap};

use super::kept;
use crate::{
    config::Config,
    domain::{Event, EventKind, Timestamp, TradeId, event::By},
    journal::{
        OutcomeRecord, Reader, SignalRecord, Source, StoreError, Stored, StoredEvent, StoredOutcome, StoredSignal,
        StoredSkip,
    },
    rules::{desk::Entry, past::Happening},
};

/// Something that is told.
pub(super) enum Streamed<'a> {
    /// A record of a signal, whether or not it was answered here.
    Signal(&'a StoredSignal),
    /// What happened.
    Happening(Happening),
}

/// Everything that happened while the daemon ran, in the order in which it was recorded. Past trades that were imported
/// are not among it; an imported outcome of a signal that was answered here is, behind the answer.
///
/// # Errors
/// When the storage cannot be read. Damaged records are left out: an event that cannot be read may have been the one
/// that silenced a model, so a lock stands in its place.
pub fn happenings(reader: &Reader, config: &Config) -> Result<Vec<Happening>, String> {
    let mut all = Vec::new();
    stream(reader, config, |told| {
        if let Streamed::Happening(happening) = told {
            all.push(happening);
        }
        Ok(())
    })?;
    Ok(all)
}

/// Tells everything to `hear`: what happened in order, and each record of a signal before what was answered to it.
///
/// # Errors
/// As for [`happenings`], and what `hear` says.
pub(super) fn stream(
    reader: &Reader,
    config: &Config,
    mut hear: impl FnMut(Streamed<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let text = |error: StoreError| error.to_string();
    // trades whose outcome came from a file, and when they were answered
    let mut imported: BTreeMap<TradeId, Option<Timestamp>> = BTreeMap::new();
    for stored in reader.outcomes().map_err(text)? {
        if let Some(stored) = kept(stored)?.filter(|stored| stored.record.source == Source::Import) {
            imported.insert(stored.record.trade_id, None);
        }
    }
    let last = Cell::new(Timestamp::UNIX_EPOCH);
    for stored in reader.since(0).map_err(text)? {
        if let Ok(Stored::Signal(stored)) = &stored {
            hear(Streamed::Signal(stored))?;
        }
        let mut tell = |happening: Happening| {
            last.set(happening.at());
            hear(Streamed::Happening(happening))
        };
        match stored {
            Ok(Stored::Event(StoredEvent { event, .. })) => tell(Happening::Event(event))?,
            Ok(Stored::Signal(stored)) => {
                let StoredSignal { seq, record, signal } = *stored;
                let SignalRecord { trade_id, received_at: at, decision: Some(decision), opinions, .. } = record else {
                    continue;
                };
                let instrument = config.symbols.get(&signal.symbol);
                let entry = Box::new(Entry::of_signal(&signal, &config.calendar, instrument, decision, opinions));
                tell(Happening::Scored { at, entry })?;
                if let Some(answered @ None) = imported.get_mut(&trade_id) {
                    *answered = Some(at);
                    let told = reader.outcome(&trade_id).map_err(text)?.filter(|told| told.seq < seq);
                    if let Some(StoredOutcome { mut record, .. }) = told {
                        record.received_at = record.received_at.max(at);
                        tell(closed(record, config))?;
                    }
                }
            }
            Ok(Stored::Outcome(stored)) => {
                let mut record = stored.record;
                if record.source == Source::Import {
                    let Some(answered) = imported.get(&record.trade_id).copied().flatten() else { continue };
                    record.received_at = record.received_at.max(answered);
                }
                tell(closed(record, config))?;
            }
            Ok(Stored::Skip(StoredSkip { record, .. })) => {
                tell(Happening::Skipped { at: record.received_at, trade_id: record.skip.trade_id })?;
            }
            Err(StoreError::BadRecord(bad)) if bad.may_be_event() => {
                let by = By::Daemon("guardian".into());
                let kind = EventKind::Locked { reason: format!("the event log is damaged: {bad}"), by };
                tell(Happening::Event(Event { at: last.get(), kind }))?;
            }
            Err(StoreError::BadRecord(_)) => {}
            Err(error) => return Err(text(error)),
        }
    }
    Ok(())
}

/// An outcome as it happened.
fn closed(record: OutcomeRecord, config: &Config) -> Happening {
    let OutcomeRecord { trade_id, received_at: at, echo, outcome, .. } = record;
    let echo = echo.map(|echo| Box::new(Entry::of_echo(&echo, outcome.exit_at, &config.calendar, &config.policy)));
    Happening::Closed { at, trade_id, echo, outcome: Box::new(outcome) }
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
    fn everything_is_told_in_its_order_whatever_the_names_of_the_trades() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vigie.redb");
        let mut store = Store::open(&path, Options { cache_bytes: 1 << 20, verify: false }).unwrap();
        let mut writes = vec![imported("H-1", 0), imported("Z-1", 1), scored("Z-1", 1), scored("M-1", 2)];
        // names that do not rise with time, and each third closed
        let many = 300;
        for n in 0..many {
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
        let (mut all, mut records) = (Vec::new(), Vec::new());
        let streamed = stream(&reader, &config, |told| {
            match told {
                Streamed::Signal(stored) => records.push(stored.seq),
                Streamed::Happening(happening) => all.push(happening),
            }
            Ok(())
        });
        streamed.unwrap();
        assert_eq!(records.len(), 5 + many, "those from a file included");
        assert!(records.is_sorted());
        assert_eq!(all.len(), 2 + many + many / 3 + 1 + 2 + 1);
        let name = |happening: &Happening| match happening {
            Happening::Scored { entry, .. } => format!("scored {}", entry.trade_id),
            Happening::Closed { trade_id, .. } => format!("closed {trade_id}"),
            other => format!("{other:?}"),
        };
        let names: Vec<String> = all.iter().map(name).collect();
        assert_eq!(names[..5], ["scored Z-1", "closed Z-1", "scored M-1", "scored C-0", "scored A-1"]);
        assert_eq!(names[names.len() - 3..names.len() - 1], ["closed M-1", "scored M-1"]);
        // who hears no more is told of nothing more
        let stopped = stream(&reader, &config, |_| Err("enough".to_owned()));
        assert_eq!(stopped, Err("enough".to_owned()));
    }
}
