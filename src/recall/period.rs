//! What the journal tells of a period: a pass over the log for what it comes to, one over its records, and one over its signals in the
//! order of time for the regimes.
#![deny(clippy::indexing_slicing)]

use super::{fold::Folded, regimes::regimes};
use crate::{
    config::Config,
    domain::Timestamp,
    journal::{Reader, Source, StoreError, Stored},
    report::{EndOf, Gathered, Judged, Record, Scope, Summary},
    state::step::State,
    trials::experiment::ImpactOptions,
};

/// What happened in the part of the past that `scope` names, by the rules of `config`. It reads the whole journal, since where
/// versions stand follows from all that was before, and keeps little of each trade.
///
/// # Errors
/// When the storage cannot be read. Damaged records are left out and told of.
pub fn summary(reader: &Reader, config: &Config, scope: &Scope) -> Result<Summary, String> {
    let judged = Judged { rules: config.rules(), experiment: &config.experiment, staging: &config.staging };
    let end = scope.until.map(|until| end(reader, until)).transpose()?;
    let mut gathered = Gathered::new(scope.clone(), judged).ending_after(end);
    let last = reader.last_seq().map_err(|error| error.to_string())?;
    let mut folded = Folded::empty(config)?;
    let mut tell = |seq, happening: &_, state: &mut State| gathered.hear(seq, happening, state);
    folded.go_on_telling(reader, config, last, &mut tell)?;
    records(reader, &mut gathered)?;
    let options = ImpactOptions {
        confidence: 1.0 - config.experiment.level,
        resamples: config.experiment.resamples,
        seed: config.experiment.seed,
    };
    let summary = gathered.end(&mut folded.state, &options);
    Ok(Summary { regimes: regimes(reader, config, scope)?, ..summary })
}

/// The number of the record up to which the journal tells how things stood at `until`.
fn end(reader: &Reader, until: Timestamp) -> Result<u64, String> {
    let mut end = EndOf::before(until);
    for found in reader.recorded(1).map_err(|error| error.to_string())? {
        let (seq, stored) = found.map_err(|error| error.to_string())?;
        match stored {
            Ok(Stored::Signal(stored)) if stored.record.source == Source::Live => {
                end.hear(seq, stored.record.received_at, true);
            }
            Ok(Stored::Outcome(stored)) if stored.record.source == Source::Live => {
                end.hear(seq, stored.record.received_at, true);
            }
            Ok(Stored::Skip(stored)) => end.hear(seq, stored.record.received_at, true),
            Ok(Stored::Event(stored)) => end.hear(seq, stored.event.at, false),
            Ok(Stored::Signal(_) | Stored::Outcome(_)) | Err(_) => {}
        }
    }
    Ok(end.seq())
}

fn records(reader: &Reader, gathered: &mut Gathered<'_>) -> Result<(), String> {
    let all = reader.recorded(1).map_err(|error| error.to_string())?;
    for found in all {
        let stored = match found {
            Ok((_, Ok(stored))) => stored,
            Ok((_, Err(bad))) | Err(StoreError::BadRecord(bad)) => {
                gathered.unreadable(bad.to_string());
                continue;
            }
            Err(error) => return Err(error.to_string()),
        };
        let (at, record) = record(&stored);
        gathered.record(at, record);
    }
    Ok(())
}

/// A record, and when it came.
fn record(stored: &Stored) -> (Timestamp, Record<'_>) {
    match stored {
        Stored::Signal(stored) => {
            let came = stored.record.received_at;
            let record = match stored.record.source {
                Source::Import => Record::Imported { signal_of: Some(&stored.signal.symbol) },
                Source::Live => Record::Signal {
                    symbol: &stored.signal.symbol,
                    opinions: &stored.record.opinions,
                    latency_us: stored.record.latency_us,
                    fired: stored.signal.at,
                    came,
                },
            };
            (came, record)
        }
        Stored::Outcome(stored) => {
            let came = stored.record.received_at;
            let record = match stored.record.source {
                Source::Import => Record::Imported { signal_of: None },
                Source::Live => Record::Outcome {
                    trade_id: &stored.record.trade_id,
                    closed: stored.record.outcome.exit_at,
                    came,
                    matched: stored.matched,
                    has_pnl: stored.record.outcome.pnl.is_some(),
                },
            };
            (came, record)
        }
        Stored::Skip(stored) => (stored.record.received_at, Record::Other),
        Stored::Event(stored) => (stored.event.at, Record::Other),
    }
}
