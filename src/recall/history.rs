//! What the journal remembers, in the form in which the pure core wants it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    config::Config,
    domain::{Arm, Decision, EventKind, Signal, Symbol, Timestamp, TradeId, TradingCalendar, VersionId},
    journal::{OutcomeRecord, Reader, Source, StoreError, Stored, StoredOutcome, StoredSignal},
    lifecycle::open_trades::AnsweredSignal,
    trials::experiment::Traded,
    validation::{
        arrival::{Arrival, Arrived},
        training::History,
    },
};

/// The records of signals as they were written, without their lines.
#[derive(Debug, Default)]
pub struct RecordedSignals {
    /// Of each trade the first that was answered here, or else the one from a file, in the order of their times.
    pub signals: Vec<StoredSignal>,
    /// All of them in the order in which they were recorded, in terms of `signals`.
    pub arrivals: Vec<Arrival>,
    /// Of each trade the first answer.
    pub answered: BTreeMap<TradeId, Decision>,
    /// Trades for which a model was heard.
    pub heard: HashSet<TradeId>,
    /// Records that were left out, in words: damaged ones, and those that fired long after they came.
    pub left_out: Vec<String>,
}

/// What is read of signals, until all are.
#[derive(Debug, Default)]
struct Gathering {
    told: RecordedSignals,
    kept: Vec<StoredSignal>,
    repeats: Vec<(u64, bool, Signal)>,
    places: HashMap<TradeId, usize>,
}

/// Reads the signals.
///
/// # Errors
/// When the storage cannot be read.
pub fn told(reader: &Reader) -> Result<RecordedSignals, String> {
    let mut signals = Gathering::default();
    for stored in reader.signals().map_err(|error| error.to_string())? {
        match stored {
            Ok(stored) => signals.take(stored),
            Err(StoreError::BadRecord(bad)) => signals.told.left_out.push(bad.to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(signals.in_order())
}

impl Gathering {
    fn take(&mut self, mut stored: StoredSignal) {
        let trade = &stored.record.trade_id;
        if stored.lies_ahead() {
            self.told.left_out.push(format!("the signal of {trade} fired at {}, long after it came", stored.signal.at));
            return;
        }
        stored.record.line = Vec::new();
        if let Some(decision) = &stored.record.decision {
            if decision.arm == Arm::Ml {
                self.told.heard.insert(trade.clone());
            }
            self.told.answered.entry(trade.clone()).or_insert_with(|| decision.clone());
        }
        let live = |stored: &StoredSignal| stored.record.source == Source::Live;
        match self.places.get(trade).and_then(|place| self.kept.get_mut(*place)) {
            None => {
                self.places.insert(trade.clone(), self.kept.len());
                self.kept.push(stored);
            }
            // what a file says of a trade that was answered here is not what was known when it was
            Some(first) if live(&stored) && !live(first) => {
                let first = std::mem::replace(first, stored);
                self.repeats.push((first.seq, false, first.signal));
            }
            Some(_) => self.repeats.push((stored.seq, live(&stored), stored.signal)),
        }
    }

    fn in_order(self) -> RecordedSignals {
        let Self { mut told, mut kept, repeats, places } = self;
        drop(places);
        kept.sort_by(|a, b| (a.signal.at, &a.record.trade_id).cmp(&(b.signal.at, &b.record.trade_id)));
        let first = |(place, stored): (usize, &StoredSignal)| {
            (stored.seq, Arrival { signal: Arrived::Kept(place), live: stored.record.source == Source::Live })
        };
        let again = |(seq, live, signal): (u64, bool, Signal)| {
            (seq, Arrival { signal: Arrived::Repeat(Box::new(signal)), live })
        };
        let mut order: Vec<(u64, Arrival)> =
            kept.iter().enumerate().map(first).chain(repeats.into_iter().map(again)).collect();
        order.sort_by_key(|(seq, _)| *seq);
        (told.signals, told.arrivals) = (kept, order.into_iter().map(|(_, arrival)| arrival).collect());
        told
    }
}

/// Every trade's signal, in the order of their times and in that in which they came, and the outcomes known, their pnl at the
/// strategy's own size. The log is read once.
///
/// # Errors
/// When the storage cannot be read; damaged records, and those whose times lie long after they came, are listed and left out.
pub fn read(reader: &Reader) -> Result<History, String> {
    let (mut signals, mut outcomes, mut damaged) = (Gathering::default(), Vec::new(), Vec::new());
    for stored in reader.since(0).map_err(|error| error.to_string())? {
        match stored {
            Ok(Stored::Signal(stored)) => signals.take(*stored),
            Ok(Stored::Outcome(stored)) if stored.lies_ahead() => {
                let OutcomeRecord { trade_id, outcome, .. } = stored.record;
                damaged.push(format!(
                    "{trade_id} has the exit time {}, long after its outcome was recorded",
                    outcome.exit_at
                ));
            }
            Ok(Stored::Outcome(stored)) => outcomes.push(stored.record),
            Ok(Stored::Skip(_) | Stored::Event(_)) => {}
            Err(StoreError::BadRecord(bad)) if bad.may_be_of_a_trade() => damaged.push(bad.to_string()),
            Err(StoreError::BadRecord(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    let RecordedSignals { signals, arrivals, answered, heard, mut left_out } = signals.in_order();
    left_out.append(&mut damaged);
    let signals = signals.into_iter().map(|stored| stored.signal).collect();
    let mut history = History { signals, arrivals, heard, damaged: left_out, ..History::default() };
    for record in outcomes {
        let outcome = record.at_own_size(answered.get(&record.trade_id));
        if record.source == Source::Live {
            history.told_at.insert(record.trade_id.clone(), record.received_at);
        }
        history.outcomes.insert(record.trade_id, outcome);
    }
    Ok(history)
}

/// The closed trades of `symbol` whose signal nobody answered, by when it fired; `was_answered` says of which one did.
///
/// # Errors
/// When the storage cannot be read; damaged records, and those whose times lie long after they came, are left out.
pub fn imported(
    reader: &Reader,
    symbol: &Symbol,
    calendar: &TradingCalendar,
    was_answered: impl Fn(&TradeId) -> bool,
) -> Result<Vec<(Timestamp, Traded)>, String> {
    let mut outcomes: HashMap<TradeId, (Option<f64>, Option<f64>)> = HashMap::new();
    for stored in reader.outcomes().map_err(|error| error.to_string())? {
        let Some(stored) = kept(stored)?.filter(|stored| !stored.lies_ahead()) else { continue };
        let OutcomeRecord { trade_id, outcome, .. } = stored.record;
        if !was_answered(&trade_id) {
            outcomes.insert(trade_id, (outcome.pnl.map(|pnl| pnl.get()), outcome.slippage_ticks));
        }
    }
    let mut trades = Vec::new();
    for stored in reader.signals().map_err(|error| error.to_string())? {
        let Some(stored) = kept(stored)?.filter(|stored| !stored.lies_ahead()) else { continue };
        let StoredSignal { signal, .. } = stored;
        if signal.symbol == *symbol
            && let Some((pnl, slippage_ticks)) = outcomes.remove(&signal.trade_id)
        {
            trades.push((signal.at, Traded { day: calendar.day_of(signal.at), pnl, slippage_ticks }));
        }
    }
    Ok(trades)
}

/// The latest time at which a signal fired or a trade was closed: where the clock of a replay stands before it begins.
pub fn latest(reader: &Reader) -> Option<Timestamp> {
    let signals = reader.signals().ok()?.flatten().filter(|stored| !stored.lies_ahead());
    let outcomes = reader.outcomes().ok()?.flatten().filter(|stored| !stored.lies_ahead());
    signals.map(|stored| stored.signal.at).chain(outcomes.map(|stored| stored.record.outcome.exit_at)).max()
}

/// What the journal knows of one trade.
#[derive(Debug)]
pub struct Known {
    /// What was answered each time it was scored, oldest first.
    pub answered: Vec<Answered>,
    /// Its outcome, if it is there and can be read.
    pub outcome: Option<Box<StoredOutcome>>,
    /// When its signal fired, by the oldest record of it.
    pub fired: Option<Timestamp>,
}

/// What was answered to a signal.
#[derive(Debug)]
pub struct Answered {
    /// The number of its record.
    pub seq: u64,
    /// When it came.
    pub at: Timestamp,
    /// What was made of it.
    pub entry: AnsweredSignal,
}

impl Known {
    /// What was answered, without when.
    pub fn entries(self) -> impl Iterator<Item = AnsweredSignal> {
        self.answered.into_iter().map(|answered| answered.entry)
    }
}

/// What is known of a trade. Damaged signals are left out.
///
/// # Errors
/// When the storage cannot be read.
pub fn known_of(reader: &Reader, trade_id: &TradeId, config: &Config) -> Result<Known, String> {
    // what is damaged may be told again
    let outcome = kept(reader.outcome(trade_id))?.flatten().map(Box::new);
    let (mut answered, mut fired) = (Vec::new(), None);
    for stored in reader.signals_of(trade_id).map_err(|error| error.to_string())? {
        let Some(stored) = kept(stored)? else { continue };
        if !stored.lies_ahead() && !stored.record.took_a_name() {
            fired = fired.or(Some(stored.signal.at));
        }
        let StoredSignal { seq, record, signal } = stored;
        if let Some(decision) = record.decision {
            let instrument = config.symbols.get(&signal.symbol);
            let entry = AnsweredSignal::of_signal(&signal, &config.calendar, instrument, decision, record.opinions);
            answered.push(Answered { seq, at: record.received_at, entry });
        }
    }
    Ok(Known { answered, outcome, fired })
}

/// A record that can be read; `None` for one that is damaged.
pub(super) fn kept<T>(stored: Result<T, StoreError>) -> Result<Option<T>, String> {
    match stored {
        Ok(stored) => Ok(Some(stored)),
        Err(StoreError::BadRecord(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The version of which a step is told.
pub(super) fn moved(kind: &EventKind) -> Option<&VersionId> {
    if let EventKind::Moved { version, .. } = kind { Some(version) } else { None }
}
