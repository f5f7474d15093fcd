//! The latest signals, read back from the journal with what was answered to them. It runs away from the thread that serves.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    config::Config,
    domain::{
        Decision, FeatureVector, Opinion, Probability, Symbol, Timestamp, TradeId,
        snapshot::{Number, Side},
    },
    features::formulas,
    journal::{Reader, Source, StoreError, Stored, StoredSignal},
    recall::explained::{VersionExplained, explained},
};

/// Records that are looked through for them at most.
const MOST_RECORDS: u64 = 20_000;

/// One signal.
#[derive(Debug, Serialize)]
pub(super) struct ToldSignal {
    seq: u64,
    received_at: Timestamp,
    source: Source,
    trade_id: TradeId,
    at: Timestamp,
    symbol: Symbol,
    side: Side,
    confidence: Option<Probability>,
    /// What was answered; `None` where it was not scored here.
    decision: Option<Decision>,
    /// What every version in service made of it.
    opinions: Vec<Opinion>,
    /// How long the answer took, in microseconds.
    latency_us: Option<u64>,
    /// What came with it; `None` for an input that did not, which models see carried forward or guessed. Absent for a symbol that is
    /// not configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    features: Option<FeatureVector>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<Box<str>, Number>,
    /// What moved the score of each version; only where one signal was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    moved: Option<Vec<VersionExplained>>,
}

/// The latest signals, newest last: at most `limit`, of the latest [`MOST_RECORDS`] records. Damaged ones are left out.
///
/// # Errors
/// When the storage cannot be read.
pub(super) fn latest(reader: &Reader, limit: usize, config: &Config) -> Result<Vec<ToldSignal>, StoreError> {
    let last = reader.last_seq()?;
    let mut records = 4 * limit as u64;
    loop {
        let from = last.saturating_sub(records);
        let mut found = Vec::new();
        for stored in reader.since(from)? {
            match stored {
                Ok(Stored::Signal(signal)) => found.push(*signal),
                // nothing is decided by this list; a start names what cannot be read, and locks where it may have been an event
                Ok(_) | Err(StoreError::BadRecord(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if found.len() >= limit || from == 0 || records >= MOST_RECORDS {
            let older = found.len().saturating_sub(limit);
            return Ok(found.into_iter().skip(older).map(|stored| told(stored, config)).collect());
        }
        records *= 4;
    }
}

/// The signal of that number, with what moved its scores. `None` where no signal has it.
///
/// # Errors
/// When the storage cannot be read.
pub(super) fn one(reader: &Reader, seq: u64, config: &Config) -> Result<Option<ToldSignal>, StoreError> {
    let found = reader.recorded(seq)?.next().transpose()?;
    let Some((number, Ok(Stored::Signal(stored)))) = found else { return Ok(None) };
    if number != seq {
        return Ok(None);
    }
    let moved = explained(reader, config, &stored)?;
    Ok(Some(ToldSignal { moved: Some(moved), ..told(*stored, config) }))
}

fn told(stored: StoredSignal, config: &Config) -> ToldSignal {
    let StoredSignal { seq, record, signal } = stored;
    let instrument = config.symbols.get(&signal.symbol);
    let features = instrument.map(|instrument| formulas::compute(&signal, *instrument, &config.calendar));
    ToldSignal {
        seq,
        received_at: record.received_at,
        source: record.source,
        trade_id: signal.trade_id,
        at: signal.at,
        symbol: signal.symbol,
        side: signal.side,
        confidence: signal.confidence,
        decision: record.decision,
        opinions: record.opinions,
        latency_us: record.latency_us,
        features,
        extra: signal.extra,
        moved: None,
    }
}
