//! What the journal knows of the trades that a version scored or learnt from, as the monitor and the drill want it.

use std::collections::{BTreeMap, BTreeSet};

use super::in_time::{InTime, Known, pipeline};
use crate::{
    config::Config,
    domain::{Decision, Inputs, Opinion, Outcome, Signal, Symbol, Timestamp, VersionId},
    features::pipeline::Pipeline,
    guard::emergency::Reported,
    journal::{Reader, SignalRecord},
    models::{Facts, Stake},
    state::drill::{Past, PastTrade},
};

/// Share of the trades that must know an input for it to be watched.
pub const LEAST_KNOWN: f64 = 0.1;

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

/// What the journal holds: of each trade the first signal, in the order of time. They are read one by one.
pub struct Signals<'a> {
    reader: &'a Reader,
    config: &'a Config,
    pipeline: Pipeline,
    in_time: InTime,
}

impl<'a> Signals<'a> {
    /// Finds all of them, but the oldest of those that were never closed, as far as they are more than `monitor.max_open`.
    ///
    /// # Errors
    /// When the storage cannot be read; damaged records are left out.
    pub fn read(reader: &'a Reader, config: &'a Config) -> Result<Self, String> {
        Self::read_before(reader, config, u64::MAX)
    }

    /// The same of what was recorded before the number `end`.
    ///
    /// # Errors
    /// As there.
    pub fn read_before(reader: &'a Reader, config: &'a Config, end: u64) -> Result<Self, String> {
        let pipeline = pipeline(config).map_err(|error| error.to_string())?;
        let in_time = InTime::read_before(reader, end, config.monitoring.max_open)?;
        Ok(Self { reader, config, pipeline, in_time })
    }

    /// Each of them whose symbol is known.
    pub fn each(&self) -> impl Iterator<Item = Result<Scored, String>> {
        let trades = self.in_time.walk(self.reader, Some(self.pipeline.clone()));
        trades.filter_map(|trade| trade.map(Scored::of).transpose())
    }

    /// The versions of `symbol` that scored closed trades, and how many.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn versions(&self, symbol: &Symbol) -> Result<BTreeMap<VersionId, usize>, String> {
        let mut counts = BTreeMap::new();
        if !self.config.symbols.contains_key(symbol) {
            return Ok(counts);
        }
        for trade in self.in_time.walk(self.reader, None) {
            let trade = trade?;
            let is_closed = trade.at_own_size().is_some_and(|outcome| outcome.pnl.is_some());
            if trade.stored.signal.symbol != *symbol || !is_closed {
                continue;
            }
            let names = trade.stored.record.opinions.into_iter().filter(|opinion| opinion.score.is_some());
            let names: BTreeSet<VersionId> = names.map(|opinion| opinion.version).collect();
            names.into_iter().for_each(|version| *counts.entry(version).or_insert(0) += 1);
        }
        Ok(counts)
    }

    /// The closed trades that `version` scored, without the columns that are hardly ever known.
    ///
    /// # Errors
    /// When the storage cannot be read.
    pub fn past(&self, version: &VersionId) -> Result<Past, String> {
        let mut past = Past::of(self.pipeline.schema().names().map(Into::into).collect());
        for scored in self.each() {
            let scored = scored?;
            if let Some((trade, row)) = scored.past_trade(version, self.config).zip(Some(scored.row)) {
                past.push(PastTrade { row, ..trade });
            }
        }
        Ok(past.known(LEAST_KNOWN))
    }
}

impl Scored {
    fn of(trade: Known) -> Option<Self> {
        let pnl = trade.at_own_size().and_then(|closed| closed.pnl).map(|pnl| pnl.get());
        let Known { stored, seq, row, outcome, .. } = trade;
        let SignalRecord { received_at, decision, opinions, .. } = stored.record;
        let (signal, row, closed_seq) = (stored.signal, row?, outcome.as_ref().map(|outcome| outcome.seq));
        let outcome = outcome.map(|outcome| (outcome.record.received_at, outcome.record.outcome));
        Some(Self { signal, received_at, seq, decision, row, opinions, outcome, closed_seq, pnl })
    }

    /// The closed trade as one that `version` scored, without its row.
    fn past_trade(&self, version: &VersionId, config: &Config) -> Option<PastTrade> {
        let (score, size) = self.said_by(version)?;
        Some(PastTrade {
            day: config.calendar.day_of(self.signal.at),
            score,
            size,
            pnl: self.pnl?,
            daily_loss_limit: daily_loss_limit(&self.signal),
            facts: self.facts(config)?,
            reported: self.outcome.as_ref().map(|(_, outcome)| Reported::of(outcome)).unwrap_or_default(),
            row: Vec::new(),
        })
    }

    /// What labels are made of. `None` before it is closed.
    pub fn facts(&self, config: &Config) -> Option<Facts> {
        let (_, outcome) = self.outcome.as_ref()?;
        let instrument = config.symbols.get(&self.signal.symbol);
        Some(Facts::of(outcome, self.pnl, Stake::of(&self.signal, instrument.copied())))
    }

    /// What `version` said of it, and at what multiple of the strategy's size its policy takes such a trade, 0 where it does not.
    fn said_by(&self, version: &VersionId) -> Option<(f64, f64)> {
        let opinion = self.opinions.iter().find(|opinion| opinion.version == *version)?;
        Some((opinion.score?.get(), opinion.size))
    }
}

/// The daily limit that a signal carries.
pub fn daily_loss_limit(signal: &Signal) -> Option<f64> {
    match &signal.inputs {
        Inputs::Snapshot(snapshot) => snapshot.execution_context.risk_parameters.daily_loss_limit,
        Inputs::Features(_) => None,
    }
}
