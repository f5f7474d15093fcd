//! The log folded into a [`State`], from its beginning or from where a checkpoint stands: record by record, so that a long
//! journal takes no more memory than a short one.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::SignedDuration;

pub use super::slot::Slot;
use super::{
    events,
    history::{Known, kept, known_of, moved},
    versions,
};
use crate::{
    config::Config,
    domain::TradeId,
    features::pipeline::Pipeline,
    journal::{
        BadRecord, OutcomeRecord, Reader, SignalRecord, Source, StoreError, Stored, StoredEvent, StoredOutcome,
        StoredSignal, StoredSkip,
    },
    lifecycle::{
        happening::Happening,
        open_trades::{AnsweredSignal, OpenTrades},
    },
    state::step::State,
    trials::running::Keep,
};

/// Sections and keys of the configuration that a fold reads. A checkpoint fits as long as they say what they said.
pub const READS: [&str; 11] = [
    "symbols",
    "targets",
    "trading_day",
    "features",
    "carry",
    "scoring",
    "sizing",
    "guardian",
    "gradual",
    "experiment",
    "journal.known_ids",
];
/// Records after which a long fold says how far it is.
const TELL_EVERY: u64 = 200_000;

/// Records after which a long fold puts the names it has met into the form that takes the least memory.
const SETTLE_EVERY: u64 = 100_000;

/// A checkpoint that was gone on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The number up to which it had folded the log.
    pub seq: u64,
    /// BLAKE2b-32 of its state.
    pub digest: [u8; 32],
    /// Where it stands.
    pub slot: Slot,
}

/// What the log comes to up to a number.
#[derive(Debug, Clone)]
pub struct Folded {
    /// What everything comes to.
    pub state: State,
    /// The number up to which.
    pub seq: u64,
    /// Outcomes that could not be read, in whose place no other was told.
    pub damaged: Vec<BadRecord>,
    /// Records of any kind that could not be read. No checkpoint is made of such a fold, so that each start names them.
    pub unreadable: usize,
    /// Why what is archived is not among it, if it is not.
    pub doubt: Option<String>,
    /// The checkpoint that it was begun from; `None` for the beginning of the log.
    pub begun: Option<Begun>,
}

/// Everything that happened while the daemon ran, in the order in which it was recorded, each outcome as it is in the end.
/// Past trades that were imported are not among it; an imported outcome of a signal that was answered here is, behind the
/// answer.
///
/// # Errors
/// When the storage cannot be read. Damaged records are left out: an event that cannot be read may have been the one
/// that silenced a model, so a lock stands in its place.
pub fn happenings(reader: &Reader, config: &Config) -> Result<Vec<Happening>, String> {
    let (mut all, mut places): (Vec<Option<Happening>>, BTreeMap<TradeId, usize>) = Default::default();
    each(reader, config, &mut |happening| {
        let mut happening = match happening {
            Happening::Came { .. } => return,
            other => other.clone(),
        };
        if let Happening::Completed { at, trade_id, echo, outcome, .. } = happening {
            if let Some(first) = places.get(&trade_id).and_then(|place| all.get_mut(*place)) {
                *first = None;
            }
            happening = Happening::Closed { at, trade_id, echo, outcome };
        }
        if let Happening::Closed { trade_id, .. } = &happening {
            places.insert(trade_id.clone(), all.len());
        }
        all.push(Some(happening));
    })?;
    Ok(all.into_iter().flatten().collect())
}

/// Tells `tell` of everything that happened while the daemon ran, in the order in which it was recorded, and keeps none of it. An
/// outcome that was completed later is told twice, the second time as [`Happening::Completed`]. Past trades that were imported are
/// told as signals only.
///
/// # Errors
/// As for [`happenings`].
pub fn each(reader: &Reader, config: &Config, tell: &mut dyn FnMut(&Happening)) -> Result<(), String> {
    let last = reader.last_seq().map_err(|error| error.to_string())?;
    Folded::empty(config)?.go_on_telling(reader, config, last, &mut |_, happening, _| tell(happening))
}

impl Folded {
    /// Nothing of the log yet.
    ///
    /// # Errors
    /// In words, when no inputs can be made by `config`, which a checked one does not allow.
    pub fn empty(config: &Config) -> Result<Self, String> {
        let pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features);
        let pipeline = pipeline.map_err(|error| error.to_string())?;
        let open_trades = OpenTrades::knowing(open_trades_keep(config), config.journal.known_ids);
        let state = State::new(open_trades, Keep::of(&config.experiment), Some(pipeline));
        Ok(Self { state, seq: 0, damaged: Vec::new(), unreadable: 0, doubt: None, begun: None })
    }

    /// Takes in what was recorded since, up to number `last`.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn go_on(&mut self, reader: &Reader, config: &Config, last: u64) -> Result<(), String> {
        self.go_on_telling(reader, config, last, &mut |_, _, _| ())
    }

    /// The same, telling `tell` of each happening with the number of its record, and of what had happened before.
    ///
    /// # Errors
    /// As there.
    pub fn go_on_telling(
        &mut self,
        reader: &Reader,
        config: &Config,
        last: u64,
        tell: &mut dyn FnMut(u64, &Happening, &mut State),
    ) -> Result<(), String> {
        let text = |error: StoreError| error.to_string();
        if self.seq < reader.archived_to()
            && let Err(fault) = reader.check_archive()
        {
            // no checkpoint is made of it, and who serves it locks
            (self.unreadable, self.doubt) = (self.unreadable + 1, Some(fault.to_string()));
            reader.pass_over_archive();
        }
        let replaced = reader.replacements().map_err(text)?;
        let rules = config.rules();
        let mut read = 0_u64;
        for stored in reader.recorded(self.seq + 1).map_err(text)? {
            let (seq, stored) = stored.map_err(text)?;
            if seq > last {
                break;
            }
            self.seq = seq;
            let happenings = match stored {
                Ok(stored) => self.happenings(reader, config, &replaced, seq, stored)?,
                Err(bad) => self.damaged(bad),
            };
            for happening in happenings {
                self.prepare(reader, config, &happening)?;
                tell(seq, &happening, &mut self.state);
                let _it_followed_when_it_happened = self.state.step(&rules, happening);
            }
            read += 1;
            if seq.is_multiple_of(SETTLE_EVERY) {
                self.state.risk.open_trades.settle_names();
            }
            if read.is_multiple_of(TELL_EVERY) {
                tracing::info!(read, number = self.seq, last, "the journal is being read");
            }
        }
        self.seq = self.seq.max(last);
        Ok(())
    }

    /// What must be known before a happening is taken in: what the journal knows of a trade that is forgotten, and what a
    /// version is asked.
    fn prepare(&mut self, reader: &Reader, config: &Config, happening: &Happening) -> Result<(), String> {
        match happening {
            Happening::Closed { at, trade_id, .. } | Happening::Completed { at, trade_id, .. }
                if self.state.risk.open_trades.heard(trade_id).is_none() =>
            {
                let Known { answered, .. } = known_of(reader, trade_id, config)?;
                let known_then = answered.into_iter().filter(|answered| answered.seq < self.seq);
                known_then.for_each(|answered| drop(self.state.risk.open_trades.recall(*at, answered.entry)));
            }
            Happening::Event(event) => {
                // one whose record cannot be read cannot speak either
                if let Some(version) = moved(&event.kind).filter(|version| !self.state.risk.emergency.is_asked(version))
                    && let Ok(record) = versions::record(reader, version)
                {
                    self.state.risk.emergency.ask(version, record.question(), record.standard);
                    self.state.trials.ask(version, record.question());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What a record says that happened.
    fn happenings(
        &mut self,
        reader: &Reader,
        config: &Config,
        replaced: &BTreeMap<u64, u64>,
        seq: u64,
        stored: Stored,
    ) -> Result<Vec<Happening>, String> {
        match stored {
            Stored::Event(StoredEvent { event, .. }) => Ok(vec![Happening::Event(event)]),
            Stored::Skip(StoredSkip { record, .. }) => {
                Ok(vec![Happening::Skipped { at: record.received_at, trade_id: record.skip.trade_id }])
            }
            Stored::Signal(stored) => self.of_signal(reader, config, *stored),
            Stored::Outcome(stored) => {
                let first = replaced.get(&seq).copied();
                Ok(self.of_outcome(reader, config, first, *stored)?.into_iter().collect())
            }
        }
    }

    fn of_signal(&self, reader: &Reader, config: &Config, stored: StoredSignal) -> Result<Vec<Happening>, String> {
        let served = stored.record.source == Source::Live && !stored.lies_ahead();
        let StoredSignal { seq, record, signal } = stored;
        let SignalRecord { trade_id, received_at: at, decision, opinions, .. } = record;
        let Some(decision) = decision else {
            return Ok(vec![Happening::Came { signal: Box::new(signal), served, answered: false }]);
        };
        let is_from_file = self.state.risk.open_trades.was_answered(&trade_id) == Some(false);
        let instrument = config.symbols.get(&signal.symbol);
        let entry = Box::new(AnsweredSignal::of_signal(&signal, &config.calendar, instrument, decision, opinions));
        let came = Happening::Came { signal: Box::new(signal), served, answered: true };
        let mut told = vec![came, Happening::Scored { at, entry }];
        if is_from_file && let Some(before) = kept(reader.outcome_before(&trade_id, seq))?.flatten() {
            let mut record = before.record;
            record.received_at = record.received_at.max(at);
            told.push(closed(record, config));
        }
        Ok(told)
    }

    /// `first`: the number of the outcome in whose place it counts.
    fn of_outcome(
        &mut self,
        reader: &Reader,
        config: &Config,
        first: Option<u64>,
        stored: StoredOutcome,
    ) -> Result<Option<Happening>, String> {
        let StoredOutcome { seq, mut record, .. } = stored;
        if record.source == Source::Import {
            if self.state.risk.open_trades.was_answered(&record.trade_id) == Some(false) {
                return Ok(None);
            }
            let known = known_of(reader, &record.trade_id, config)?;
            let Some(answered) = known.answered.first().filter(|answered| answered.seq < seq) else { return Ok(None) };
            record.received_at = record.received_at.max(answered.at);
        }
        let first = first.map(|first| kept(reader.outcome_record(&record.trade_id, first))).transpose()?.flatten();
        let Some(first) = first else {
            self.damaged.retain(|bad| bad.key != record.trade_id.as_str());
            return Ok(Some(closed(record, config)));
        };
        let (told_at, before) = (first.record.received_at, Box::new(first.record.outcome));
        let echo = echoed(&record, config);
        let OutcomeRecord { trade_id, received_at: at, outcome, .. } = record;
        Ok(Some(Happening::Completed { at, told_at, trade_id, echo, before, outcome: Box::new(outcome) }))
    }

    /// What stands in the place of a record that cannot be read.
    fn damaged(&mut self, bad: BadRecord) -> Vec<Happening> {
        self.unreadable += 1;
        let told = events::in_place_of(&bad, self.state.at).into_iter().map(Happening::Event).collect();
        if bad.may_be_outcome() {
            self.damaged.push(bad);
        }
        told
    }
}

/// How long a trade is remembered: as long as a test waits for its outcome, with a weekend before and after.
pub fn open_trades_keep(config: &Config) -> SignedDuration {
    SignedDuration::from_hours(24 * (i64::from(config.experiment.outcome_wait_days) + 5))
}

/// An outcome as it happened.
fn closed(record: OutcomeRecord, config: &Config) -> Happening {
    let echo = echoed(&record, config);
    let OutcomeRecord { trade_id, received_at: at, outcome, .. } = record;
    Happening::Closed { at, trade_id, echo, outcome: Box::new(outcome) }
}

fn echoed(record: &OutcomeRecord, config: &Config) -> Option<Box<AnsweredSignal>> {
    let echo = record.echo.as_ref()?;
    Some(Box::new(AnsweredSignal::of_echo(echo, record.outcome.exit_at, &config.calendar, &config.policy)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{Decision, Event, EventKind, Money, Outcome, Reason, SignalLine, Timestamp},
        journal::{SignalRecord, Store, StoreOptions, Write},
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

    fn closed(minute: usize, pnl: f64) -> Outcome {
        Outcome { exit_reason: "signal".into(), ..Outcome::of(at(minute), Some(Money::new(pnl).unwrap())) }
    }

    fn told(name: &str, minute: usize, source: Source) -> Write {
        let (trade_id, outcome) = (TradeId::new(name).unwrap(), closed(minute, 1.0));
        Write::Outcome(Box::new(OutcomeRecord { trade_id, received_at: at(minute), source, echo: None, outcome }))
    }

    fn imported(name: &str, minute: usize) -> Write {
        let line = line(name, minute);
        let mut parsed = SignalLine::parse(&line).unwrap();
        parsed.outcome = Some(closed(minute, 2.0));
        Write::past_trade(parsed, line, at(minute))
    }

    #[test]
    fn everything_is_told_in_its_order_whatever_the_names_of_the_trades() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vigie.redb");
        let mut store = Store::open(&path, StoreOptions { cache_bytes: 1 << 20, verify: false }).unwrap();
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
        let all = happenings(&reader, &config).unwrap();
        assert_eq!(all.len(), 2 + many + many / 3 + 1 + 2 + 1);
        let name = |happening: &Happening| match happening {
            Happening::Scored { entry, .. } => format!("scored {}", entry.trade_id),
            Happening::Closed { trade_id, .. } => format!("closed {trade_id}"),
            other => format!("{other:?}"),
        };
        let names: Vec<String> = all.iter().map(name).collect();
        assert_eq!(names[..5], ["scored Z-1", "closed Z-1", "scored M-1", "scored C-0", "scored A-1"]);
        assert_eq!(names[names.len() - 3..names.len() - 1], ["closed M-1", "scored M-1"]);
    }
}
