//! What the journal remembers, in the form in which the pure core wants it.

use std::collections::BTreeSet;

use crate::{
    domain::{Signal, Timestamp},
    journal::{Reader, StoreError},
    validation::training::History,
};

/// Every signal in the order of their times, each trade once, and the outcomes known.
///
/// # Errors
/// When the storage cannot be read; damaged records are listed and left out.
pub fn read(reader: &Reader) -> Result<History, String> {
    let mut history = History::default();
    for stored in reader.signals().map_err(|error| error.to_string())? {
        match stored {
            Ok(stored) => history.signals.push(stored.signal),
            Err(StoreError::BadRecord(bad)) => history.damaged.push(bad.to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
    for stored in reader.outcomes().map_err(|error| error.to_string())? {
        match stored {
            Ok(stored) => drop(history.outcomes.insert(stored.record.trade_id, stored.record.outcome)),
            Err(StoreError::BadRecord(bad)) => history.damaged.push(bad.to_string()),
            Err(error) => return Err(error.to_string()),
        }
    }
    // of a trade that was scored more than once the first counts: it is what was known when the signal fired
    history.signals.sort_by(|a, b| (a.at, &a.trade_id).cmp(&(b.at, &b.trade_id)));
    let mut seen = BTreeSet::new();
    history.signals.retain(|signal| seen.insert(signal.trade_id.clone()));
    Ok(history)
}

/// The signals of the last `hours` before the latest one, in the order of their times.
///
/// # Errors
/// When the storage cannot be read; damaged records are left out.
pub fn recent_signals(reader: &Reader, hours: f64) -> Result<Vec<Signal>, String> {
    let mut latest: Option<Timestamp> = None;
    let mut recent: Vec<Signal> = Vec::new();
    let span = jiff::SignedDuration::try_from_secs_f64(hours * 3600.0).map_err(|error| error.to_string())?;
    let is_recent = |signal: &Signal, latest: Option<Timestamp>| {
        latest.is_none_or(|latest| latest.duration_since(signal.at) <= span)
    };
    for stored in reader.signals().map_err(|error| error.to_string())? {
        let signal = match stored {
            Ok(stored) => stored.signal,
            Err(StoreError::BadRecord(_)) => continue,
            Err(error) => return Err(error.to_string()),
        };
        if is_recent(&signal, latest) {
            latest = latest.max(Some(signal.at));
            recent.push(signal);
        }
        if recent.len() >= 100_000 {
            recent.retain(|signal| is_recent(signal, latest));
        }
    }
    recent.retain(|signal| is_recent(signal, latest));
    recent.sort_by_key(|signal| signal.at);
    Ok(recent)
}
