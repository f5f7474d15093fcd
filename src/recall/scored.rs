//! What the journal knows of the trades that a version scored or learnt from, as the monitor and the drill want it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::history::{self, RecordedSignals};
use crate::{
    config::Config,
    domain::{Decision, Inputs, Opinion, Outcome, Signal, Symbol, Timestamp, TradeId, VersionId},
    features::pipeline::Pipeline,
    guard::emergency::Reported,
    journal::{OutcomeRecord, Reader, SignalRecord, StoreError, StoredSignal},
    models::{Facts, Stake},
    state::drill::{Past, PastTrade},
    validation::training::History,
};

/// Share of the trades that must know an input for it to be watched.
const LEAST_KNOWN: f64 = 0.1;

/// A signal with its inputs, what was said of it, and what became of it.
#[derive(Debug, Clone)]
pub struct Scored {
    /// The signal.
    pub signal: Signal,
    /// When it came.
    pub received_at: Timestamp,
    /// The number of its record in the journal; that from a file where it came before the answer.
    pub seq: u64,
    /// The policy that was answered, when it was scored here.
    pub decision: Option<Decision>,
    /// Its row, as the service sees it.
    pub row: Vec<Option<f64>>,
    /// What the versions in service made of it, when it was scored here.
    pub opinions: Vec<Opinion>,
    /// The closed trade, and when that was told.
    pub outcome: Option<(Timestamp, Outcome)>,
    /// The number of the record of the closed trade.
    pub closed_seq: Option<u64>,
    /// After costs, at the strategy's own size, once it is closed.
    pub pnl: Option<f64>,
}

/// What the journal holds.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The columns of the rows.
    pub names: Vec<Box<str>>,
    /// Of each trade the first signal, in the order of time.
    pub signals: Vec<Scored>,
    /// Trades without an outcome that were left out, the oldest ones.
    pub left_out: usize,
}

/// Reads all outcomes, and all signals but the oldest of those that were never closed, as far as they are more than
/// `monitor.max_open`.
///
/// # Errors
/// When the storage cannot be read; damaged records are left out.
pub fn read(reader: &Reader, config: &Config) -> Result<Signals, String> {
    read_before(reader, config, u64::MAX)
}

/// The same of what was recorded before the number `end`.
///
/// # Errors
/// As there.
pub fn read_before(reader: &Reader, config: &Config, end: u64) -> Result<Signals, String> {
    let mut outcomes: BTreeMap<TradeId, (u64, OutcomeRecord)> = BTreeMap::new();
    for stored in reader.outcomes().map_err(|error| error.to_string())? {
        let Some(stored) = whole(stored)? else { continue };
        if stored.seq >= end {
            break;
        }
        if !stored.lies_ahead() {
            outcomes.insert(stored.record.trade_id.clone(), (stored.seq, stored.record));
        }
    }
    let pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features);
    let pipeline = pipeline.map_err(|error| error.to_string())?;
    let names = pipeline.schema().names().map(Into::into).collect();
    let closed: HashSet<&str> = outcomes.keys().map(TradeId::as_str).collect();
    let is_open = |trade_id: &str| !closed.contains(trade_id);
    let (told, left_out) = history::told_of_latest(reader, end, config.monitoring.max_open, is_open)?;
    let RecordedSignals { signals, arrivals, answered, told_before, .. } = told;
    let seq_of = |stored: &StoredSignal| told_before.get(&stored.record.trade_id).copied().unwrap_or(stored.seq);
    let seqs: Vec<u64> = signals.iter().map(seq_of).collect();
    let (signals, records): (Vec<Signal>, Vec<SignalRecord>) =
        signals.into_iter().map(|stored| (stored.signal, stored.record)).unzip();
    let history = History { signals, arrivals, ..History::default() };
    let rows = history.rows(pipeline);
    let mut signals = Vec::new();
    for (((signal, record), seq), row) in history.signals.into_iter().zip(records).zip(seqs).zip(rows) {
        let Some(row) = row else { continue };
        let (closed_seq, closed) = outcomes.remove(&signal.trade_id).unzip();
        let pnl = closed.as_ref().and_then(|closed| closed.at_own_size(answered.get(&signal.trade_id)).pnl);
        let outcome = closed.map(|closed| (closed.received_at, closed.outcome));
        let (SignalRecord { received_at, decision, opinions, .. }, pnl) = (record, pnl.map(|pnl| pnl.get()));
        signals.push(Scored { signal, received_at, seq, decision, row, opinions, outcome, closed_seq, pnl });
    }
    Ok(Signals { names, signals, left_out })
}

/// A record, unless it is damaged.
fn whole<T>(stored: Result<T, StoreError>) -> Result<Option<T>, String> {
    match stored {
        Ok(stored) => Ok(Some(stored)),
        Err(StoreError::BadRecord(_)) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

impl Scored {
    /// What labels are made of. `None` before it is closed.
    pub fn facts(&self, config: &Config) -> Option<Facts> {
        let (_, outcome) = self.outcome.as_ref()?;
        let instrument = config.symbols.get(&self.signal.symbol);
        Some(Facts::of(outcome, self.pnl, Stake::of(&self.signal, instrument.copied())))
    }

    /// What `version` said of it, and at what multiple of the strategy's size its policy takes such a trade, 0 where it does not.
    pub fn said_by(&self, version: &VersionId) -> Option<(f64, f64)> {
        let opinion = self.opinions.iter().find(|opinion| opinion.version == *version)?;
        Some((opinion.score?.get(), opinion.size))
    }
}

impl Signals {
    /// The versions of `symbol` that scored closed trades, and how many.
    pub fn versions(&self, symbol: &Symbol) -> BTreeMap<VersionId, usize> {
        let mut counts = BTreeMap::new();
        let closed = self.signals.iter().filter(|s| s.signal.symbol == *symbol && s.pnl.is_some());
        for scored in closed {
            let names = scored.opinions.iter().filter(|opinion| opinion.score.is_some());
            let names: BTreeSet<VersionId> = names.map(|opinion| opinion.version.clone()).collect();
            names.into_iter().for_each(|version| *counts.entry(version).or_insert(0) += 1);
        }
        counts
    }

    /// The closed trades that `version` scored.
    pub fn past(&self, version: &VersionId, config: &Config) -> Past {
        let trade = |scored: &Scored| {
            let (score, size) = scored.said_by(version)?;
            Some(PastTrade {
                day: config.calendar.day_of(scored.signal.at),
                score,
                size,
                pnl: scored.pnl?,
                daily_loss_limit: daily_loss_limit(&scored.signal),
                facts: scored.facts(config)?,
                reported: scored.outcome.as_ref().map(|(_, outcome)| Reported::of(outcome)).unwrap_or_default(),
                row: scored.row.clone(),
            })
        };
        known_columns(self.names.clone(), self.signals.iter().filter_map(trade).collect())
    }
}

/// The daily limit that a signal carries.
pub fn daily_loss_limit(signal: &Signal) -> Option<f64> {
    match &signal.inputs {
        Inputs::Snapshot(snapshot) => snapshot.execution_context.risk_parameters.daily_loss_limit,
        Inputs::Features(_) => None,
    }
}

/// Trades without the columns that are hardly ever known.
pub fn known_columns(names: Vec<Box<str>>, mut trades: Vec<PastTrade>) -> Past {
    let enough = LEAST_KNOWN * trades.len() as f64;
    let known = |place: usize| trades.iter().filter(|trade| trade.row.get(place).copied().flatten().is_some()).count();
    let kept: Vec<bool> = (0..names.len()).map(|place| known(place) as f64 > enough).collect();
    for trade in &mut trades {
        let mut kept = kept.iter();
        trade.row.retain(|_| kept.next().copied().unwrap_or(false));
    }
    let names = names.into_iter().zip(&kept).filter(|(_, kept)| **kept).map(|(name, _)| name).collect();
    Past::new(names, trades)
}
