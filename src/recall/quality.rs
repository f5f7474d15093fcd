//! What is wrong with the signals and outcomes that came since it was looked at last.
//!
//! The last few stretches are looked at together, since an input that does not change is known among enough signals only; what was
//! wrong before is remembered by its key, so that a fault is told of once.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    domain::{Signal, SignalLine, Symbol, Timestamp, TradingDay},
    features::{
        quality::{QualityCheck, QualityOptions},
        quality_news::{News, faults},
        row::{InvalidSchema, Schema},
    },
    journal::{Reader, StoreError, Stored, Write},
};

/// Trading days in a row without a signal from which a gap is reported.
const MAX_GAP_DAYS: u32 = 3;
/// Stretches that are looked at together: a week of trading days.
const STRETCHES: usize = 5;
/// Under this name the journal has what was known at the last check.
const KNOWN: &str = "schedule:data_quality";

/// What was known at the last check, as JSON. A field that is not there is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Known {
    /// The number of the last record that was looked at by each of the last checks, oldest first.
    looked: VecDeque<u64>,
    /// The keys of what was wrong.
    faults: BTreeSet<String>,
    /// The last trading day with a signal of each symbol before the stretches.
    days: Vec<(Symbol, TradingDay)>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What is wrong, against the check before.
    pub news: News,
    /// Signals since that check.
    pub signals: u64,
    /// What the next check must know.
    pub write: Write,
}

/// How data are judged.
///
/// # Errors
/// When no inputs can be made by `config`, which a checked one does not allow.
pub fn options(config: &Config) -> Result<QualityOptions, InvalidSchema> {
    Ok(QualityOptions {
        symbols: config.symbols.clone(),
        calendar: config.calendar.clone(),
        schema: Schema::new(&config.features.extra)?,
        max_gap_days: MAX_GAP_DAYS,
        max_missing: config.features.max_missing,
    })
}

/// Looks at what came since the last check, at `now`. A journal that was never looked at is looked at as a whole. What was known and
/// cannot be read is as if it had not been.
///
/// # Errors
/// When the storage cannot be read.
pub fn check(reader: &Reader, config: &Config, now: Timestamp) -> Result<Checked, String> {
    let mut known = known(reader)?;
    let last = reader.last_seq().map_err(|error| error.to_string())?;
    // of a journal that was restored from a copy
    known.looked.retain(|seq| *seq <= last);
    let newest = known.looked.back().copied().unwrap_or_default();
    let mut check = QualityCheck::new(options(config).map_err(|error| error.to_string())?);
    for (symbol, day) in &known.days {
        check.push_day(symbol.clone(), *day);
    }
    let from = known.looked.front().copied().unwrap_or_default();
    known.looked.push_back(last);
    if known.looked.len() > STRETCHES {
        known.looked.pop_front();
    }
    // what is looked at next begins there
    let next = known.looked.front().copied().unwrap_or_default();
    let (mut damaged, mut first_damaged) = (0_u64, None);
    let (mut signals, mut days) = (0, BTreeMap::from_iter(known.days));
    for stored in reader.since(from + 1).map_err(|error| error.to_string())? {
        match stored {
            Ok(Stored::Signal(stored)) if !stored.lies_ahead() => {
                signals += u64::from(stored.seq > newest);
                if stored.seq <= next {
                    let day = config.calendar.day_of(stored.signal.at);
                    let last = days.entry(stored.signal.symbol.clone()).or_insert(day);
                    *last = day.max(*last);
                }
                check.push(Ok(&line(stored.signal)));
            }
            Ok(Stored::Outcome(stored)) => {
                let signal = reader.signal(&stored.record.trade_id);
                if let Ok(Some(signal)) = signal {
                    check.push_outcome(&signal.signal, &stored.record.outcome);
                }
            }
            Ok(Stored::Signal(_) | Stored::Skip(_) | Stored::Event(_)) => {}
            Err(StoreError::BadRecord(bad)) => {
                damaged += 1;
                first_damaged.get_or_insert_with(|| bad.to_string());
            }
            Err(error) => return Err(error.to_string()),
        }
    }
    let report = check.report();
    let silent = check.silent_until(config.calendar.day_of(now));
    let mut faults = faults(&report, &silent);
    if let Some(first) = first_damaged {
        faults.insert("damaged".to_owned(), format!("{damaged} records cannot be read, such as {first}"));
    }
    let news = News::of(faults, report.accepted, &known.faults);
    let next = Known { looked: known.looked, faults: news.keys.clone(), days: days.into_iter().collect() };
    let bytes = serde_json::to_vec(&next).map_err(|error| error.to_string())?;
    Ok(Checked { news, signals, write: Write::Checkpoint { name: KNOWN.to_owned(), bytes } })
}

fn line(signal: Signal) -> SignalLine {
    SignalLine { signal, outcome: None, deadline_us: None }
}

fn known(reader: &Reader) -> Result<Known, String> {
    match reader.checkpoint(KNOWN) {
        Ok(bytes) => Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()),
        Err(StoreError::BadRecord(_)) => Ok(Known::default()),
        Err(error) => Err(error.to_string()),
    }
}
