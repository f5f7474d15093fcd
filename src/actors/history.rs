//! What the journal remembers, in the form in which the pure core wants it.

mod stream;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use self::stream::happenings;
use self::stream::{Streamed, stream};
use jiff::SignedDuration;

use super::{
    models, monitor,
    scored::{self, Scored},
};
use crate::{
    config::Config,
    domain::{Arm, Decision, EventKind, Signal, Timestamp, TradeId, VersionId, trip::Trip},
    features::pipeline::Pipeline,
    journal::{OutcomeRecord, Reader, Source, StoreError, StoredOutcome, StoredSignal},
    rules::{
        desk::{Desk, Entry},
        past::{Happening, Past},
        replay::Watching,
        stale::StaleWatch,
        trials::Keep,
    },
    validation::{
        arrival::{Arrival, Arrived},
        training::History,
    },
};

/// The records of signals as they were written, without their lines.
#[derive(Debug, Default)]
pub struct Told {
    /// Of each trade the first that was answered here, or else the one from a file, in the order of their times.
    pub signals: Vec<StoredSignal>,
    /// All of them in the order in which they were recorded, in terms of `signals`.
    pub arrivals: Vec<Arrival>,
    /// Of trades that a file told of before they were answered here: the number of the record from the file.
    pub told_before: BTreeMap<TradeId, u64>,
    /// Of each trade the first answer.
    pub answered: BTreeMap<TradeId, Decision>,
    /// Trades for which a model was heard.
    pub heard: BTreeSet<TradeId>,
    /// Records that were left out, in words: damaged ones, and those that fired long after they came.
    pub left_out: Vec<String>,
}

/// Reads the signals.
///
/// # Errors
/// When the storage cannot be read.
pub fn told(reader: &Reader) -> Result<Told, String> {
    told_by(reader.signals().map_err(|error| error.to_string())?)
}

/// The same without the oldest of the trades that `open` says to have no outcome, as far as they are more than `most`; and how
/// many those were.
///
/// # Errors
/// When the storage cannot be read.
pub fn told_of_latest(reader: &Reader, most: usize, open: impl Fn(&str) -> bool) -> Result<(Told, usize), String> {
    let mut keys = reader.signal_keys().map_err(|error| error.to_string())?;
    let left_out = keys.leave_out(most, open);
    let places = (0..keys.len()).filter_map(|place| keys.get(place));
    let records = places.map(|(trade_id, seq)| reader.signal_record(trade_id, seq));
    Ok((told_by(records)?, left_out))
}

/// `records`: those of a trade in the order in which they were recorded.
fn told_by(records: impl Iterator<Item = Result<StoredSignal, StoreError>>) -> Result<Told, String> {
    let mut told = Told::default();
    let (mut kept, mut repeats): (Vec<StoredSignal>, Vec<(u64, bool, Signal)>) = (Vec::new(), Vec::new());
    let mut places: HashMap<TradeId, usize> = HashMap::new();
    for stored in records {
        let mut stored = match stored {
            Ok(stored) if stored.lies_ahead() => {
                let (trade, at) = (&stored.record.trade_id, stored.signal.at);
                told.left_out.push(format!("the signal of {trade} fired at {at}, long after it came"));
                continue;
            }
            Ok(stored) => stored,
            Err(StoreError::BadRecord(bad)) => {
                told.left_out.push(bad.to_string());
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        stored.record.line = Vec::new();
        if let Some(decision) = &stored.record.decision {
            if decision.arm == Arm::Ml {
                told.heard.insert(stored.record.trade_id.clone());
            }
            told.answered.entry(stored.record.trade_id.clone()).or_insert_with(|| decision.clone());
        }
        let live = |stored: &StoredSignal| stored.record.source == Source::Live;
        match places.get(&stored.record.trade_id).and_then(|place| kept.get_mut(*place)) {
            None => {
                places.insert(stored.record.trade_id.clone(), kept.len());
                kept.push(stored);
            }
            // what a file says of a trade that was answered here is not what was known when it was
            Some(first) if live(&stored) && !live(first) => {
                let first = std::mem::replace(first, stored);
                told.told_before.insert(first.record.trade_id.clone(), first.seq);
                repeats.push((first.seq, false, first.signal));
            }
            Some(_) => repeats.push((stored.seq, live(&stored), stored.signal)),
        }
    }
    drop(places);
    kept.sort_by(|a, b| (a.signal.at, &a.record.trade_id).cmp(&(b.signal.at, &b.record.trade_id)));
    let first = |(place, stored): (usize, &StoredSignal)| {
        (stored.seq, Arrival { signal: Arrived::Kept(place), live: stored.record.source == Source::Live })
    };
    let again =
        |(seq, live, signal): (u64, bool, Signal)| (seq, Arrival { signal: Arrived::Repeat(Box::new(signal)), live });
    let mut order: Vec<(u64, Arrival)> =
        kept.iter().enumerate().map(first).chain(repeats.into_iter().map(again)).collect();
    order.sort_by_key(|(seq, _)| *seq);
    (told.signals, told.arrivals) = (kept, order.into_iter().map(|(_, arrival)| arrival).collect());
    Ok(told)
}

/// Every trade's signal, in the order of their times and in that in which they came, and the outcomes known, their pnl at the
/// strategy's own size.
///
/// # Errors
/// When the storage cannot be read; damaged records, and those whose times lie long after they came, are listed and left out.
pub fn read(reader: &Reader) -> Result<History, String> {
    let Told { signals, arrivals, answered, heard, left_out: damaged, .. } = told(reader)?;
    let signals = signals.into_iter().map(|stored| stored.signal).collect();
    let mut history = History { signals, arrivals, heard, damaged, ..History::default() };
    for stored in reader.outcomes().map_err(|error| error.to_string())? {
        match stored {
            Ok(stored) if stored.lies_ahead() => {
                let StoredOutcome { record: OutcomeRecord { trade_id, outcome, .. }, .. } = stored;
                history.damaged.push(format!("{trade_id} was closed at {}, long after that was told", outcome.exit_at));
            }
            Ok(StoredOutcome { record, .. }) => {
                let outcome = record.at_own_size(answered.get(&record.trade_id));
                if record.source == Source::Live {
                    history.told_at.insert(record.trade_id.clone(), record.received_at);
                }
                history.outcomes.insert(record.trade_id, outcome);
            }
            Err(StoreError::BadRecord(bad)) => history.damaged.push(bad.to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(history)
}

/// The latest time at which a signal fired or a trade was closed: where the clock of a replay stands before it begins.
pub fn latest(reader: &Reader) -> Option<Timestamp> {
    let signals = reader.signals().ok()?.flatten().filter(|stored| !stored.lies_ahead());
    let outcomes = reader.outcomes().ok()?.flatten().filter(|stored| !stored.lies_ahead());
    signals.map(|stored| stored.signal.at).chain(outcomes.map(|stored| stored.record.outcome.exit_at)).max()
}

/// Lets `pipeline` remember every signal that was answered here, as the service does. What it knows then does not depend on
/// their order.
///
/// # Errors
/// When the storage cannot be read; damaged records, and those that fired long after they came, are left out.
pub fn remember(reader: &Reader, pipeline: &mut Pipeline) -> Result<(), String> {
    for stored in reader.signals().map_err(|error| error.to_string())? {
        if let Some(stored) = kept(stored)?.filter(was_served) {
            pipeline.remember(&stored.signal);
        }
    }
    Ok(())
}

/// Whether the service has seen a signal and carries forward what it knew.
fn was_served(stored: &StoredSignal) -> bool {
    stored.record.source == Source::Live && !stored.lies_ahead()
}

/// The feeds that were lost when the daemon stopped.
///
/// # Errors
/// When the storage cannot be read; damaged records are left out.
pub fn stale(reader: &Reader) -> Result<StaleWatch, String> {
    let events = reader.events(0).map_err(|error| error.to_string())?;
    let kinds: Vec<EventKind> = events.flatten().map(|stored| stored.event.kind).collect();
    Ok(StaleWatch::of(&kinds))
}

/// What the journal knows of one trade.
#[derive(Debug)]
pub struct Known {
    /// What was answered each time it was scored, and when, oldest first.
    pub answered: Vec<(Timestamp, Entry)>,
    /// Whether its outcome is there and can be read.
    pub closed: bool,
    /// When its signal fired, by the oldest record of it.
    pub fired: Option<Timestamp>,
}

impl Known {
    /// What had been answered by the time `at`.
    pub fn before(self, at: Timestamp) -> impl Iterator<Item = Entry> {
        self.answered.into_iter().filter(move |(answered, _)| *answered <= at).map(|(_, entry)| entry)
    }
}

/// What is known of a trade. Damaged signals are left out.
///
/// # Errors
/// When the storage cannot be read.
pub fn known_of(reader: &Reader, trade_id: &TradeId, config: &Config) -> Result<Known, String> {
    let closed = match reader.outcome(trade_id) {
        Ok(outcome) => outcome.is_some(),
        // what is damaged may be told again
        Err(StoreError::BadRecord(_)) => false,
        Err(error) => return Err(error.to_string()),
    };
    let (mut answered, mut fired) = (Vec::new(), None);
    for stored in reader.signals_of(trade_id).map_err(|error| error.to_string())? {
        let Some(stored) = kept(stored)? else { continue };
        if !stored.lies_ahead() && !stored.record.took_a_name() {
            fired = fired.or(Some(stored.signal.at));
        }
        let StoredSignal { record, signal, .. } = stored;
        if let Some(decision) = record.decision {
            let instrument = config.symbols.get(&signal.symbol);
            let entry = Entry::of_signal(&signal, &config.calendar, instrument, decision, record.opinions);
            answered.push((record.received_at, entry));
        }
    }
    Ok(Known { answered, closed, fired })
}

/// A record that can be read; `None` for one that is damaged.
fn kept<T>(stored: Result<T, StoreError>) -> Result<Option<T>, String> {
    match stored {
        Ok(stored) => Ok(Some(stored)),
        Err(StoreError::BadRecord(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// What everything that happened makes of the folds over it, and the emergencies that its closed trades are by the
/// limits of `config`. Where a `pipeline` is given it remembers every signal that was answered here, as the service does.
///
/// # Errors
/// As for [`happenings`].
pub fn past(reader: &Reader, config: &Config, pipeline: Option<&mut Pipeline>) -> Result<(Past, Vec<Trip>), String> {
    let desk = Desk::knowing(desk_keeps(config), config.journal.known_ids);
    let mut past = Past::keeping(desk, Keep::of(&config.experiment));
    let mut trips = Vec::new();
    let events = reader.events(0).map_err(|error| error.to_string())?.flatten();
    let stepped: BTreeSet<VersionId> = events.filter_map(|stored| moved(&stored.event.kind).cloned()).collect();
    for version in stepped {
        // one whose record cannot be read cannot speak either
        if let Ok(record) = models::record(reader, &version) {
            past.emergency.ask(&version, record.question(), record.standard);
            past.trials.ask(&version, record.question());
        }
    }
    let mut pipeline = pipeline;
    stream(reader, config, |told| {
        let happening = match told {
            Streamed::Signal(stored) => {
                if let Some(pipeline) = pipeline.as_deref_mut().filter(|_| was_served(stored)) {
                    pipeline.remember(&stored.signal);
                }
                // one that was answered here takes its name as it happens
                if stored.record.decision.is_none() {
                    past.desk.take_name(&stored.signal);
                }
                return Ok(());
            }
            Streamed::Happening(happening) => happening,
        };
        let today = config.calendar.day_of(happening.at());
        past.trials.close_in_the_past(today, config.experiment.outcome_wait_days);
        if let Happening::Closed { at, trade_id, .. } = &happening
            && past.desk.heard(trade_id).is_none()
        {
            // of a trade that had left the desk the journal was asked, and knows it now as it did then
            let known = known_of(reader, trade_id, config)?;
            known.before(*at).for_each(|entry| drop(past.desk.recall(*at, entry)));
        }
        trips.extend(past.take(&config.guardian, &config.calendar, happening));
        Ok(())
    })?;
    Ok((past, trips))
}

/// The version of which a step is told.
fn moved(kind: &EventKind) -> Option<&VersionId> {
    if let EventKind::Moved { version, .. } = kind { Some(version) } else { None }
}

/// How long a trade is remembered: as long as a test waits for its outcome, with a weekend before and after.
pub fn desk_keeps(config: &Config) -> SignedDuration {
    SignedDuration::from_hours(24 * (i64::from(config.experiment.outcome_wait_days) + 5))
}

/// What the monitor of a replay of `happenings` judges by under `config`. It takes some seconds for each version that was
/// ever registered.
///
/// # Errors
/// When the storage cannot be read.
pub fn watching(reader: &Reader, config: &Config, happenings: &[Happening]) -> Result<Watching, String> {
    let past = scored::read(reader, config)?;
    let stepped = happenings.iter().filter_map(|happening| match happening {
        Happening::Event(event) => moved(&event.kind),
        _ => None,
    });
    let subjects = monitor::subjects(reader, config, &past, stepped.cloned().collect::<BTreeSet<_>>());
    let row = |scored: Scored| (scored.signal.trade_id.clone(), (scored.row, scored.signal.trend()));
    Ok(Watching {
        options: config.monitoring.watch,
        gradual: config.gradual,
        subjects,
        rows: past.signals.into_iter().map(row).collect(),
    })
}
