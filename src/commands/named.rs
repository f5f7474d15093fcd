//! What a command line names must exist: a typing error is refused, and not answered as if nothing had happened.

use anyhow::bail;
use jiff::{
    civil::{Date, DateTime},
    tz::TimeZone,
};

use crate::{
    config::Config,
    domain::{Symbol, Timestamp, VersionId},
    journal::Reader,
};

/// The symbol that is meant when a command line names none.
pub(super) const SYMBOL: &str = "ES";

/// Why a symbol without a table is refused.
pub(super) fn unknown(symbol: &Symbol) -> String {
    format!("symbol {symbol} has no table in the configuration; add [symbols.{symbol}], or name the file with --config")
}

/// Refuses a symbol that has no table in the configuration, unless the journal has `signals` of it.
///
/// # Errors
/// In words, with what to do.
pub(super) fn symbol(config: &Config, symbol: &Symbol, signals: usize) -> anyhow::Result<()> {
    if signals == 0 && !config.symbols.contains_key(symbol) {
        bail!("{}", unknown(symbol));
    }
    Ok(())
}

/// Refuses a version that was never registered in this journal.
///
/// # Errors
/// In words, with what to do; also when the journal cannot be read.
pub(super) fn version(reader: &Reader, version: &VersionId) -> anyhow::Result<()> {
    if reader.version(version)?.is_none() {
        bail!("there is no version {version} in this journal; `vigie models --offline` lists them");
    }
    Ok(())
}

/// The symbol that is asked about: the one that is named, else that of the version, else ES.
///
/// # Errors
/// When the two contradict each other.
pub(super) fn symbol_of(symbol: Option<&Symbol>, version: Option<&VersionId>) -> anyhow::Result<Symbol> {
    match (symbol, version) {
        (Some(symbol), Some(version)) if *symbol != version.symbol => {
            bail!("{version} is a version of {}, and --symbol says {symbol}", version.symbol)
        }
        (_, Some(version)) => Ok(version.symbol.clone()),
        (Some(symbol), None) => Ok(symbol.clone()),
        (None, None) => Ok(Symbol::new(SYMBOL)?),
    }
}

/// A time with its offset, or a date, which is its midnight in UTC.
///
/// # Errors
/// In words, with the right form; of a time without an offset, how it is said in UTC.
pub(super) fn time_or_date(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    // a date alone: the library reads one from a time as well, and drops the hour
    let date = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    if let Some(midnight) = date.and_then(|date| date.to_zoned(TimeZone::UTC).ok()) {
        return Ok(midnight.timestamp());
    }
    match text.parse::<DateTime>() {
        Ok(time) => Err(format!(
            "{text:?} does not say its offset; in UTC it is {time}Z, in New York {time}-05:00 or {time}-04:00"
        )),
        Err(_) => Err(format!("{text:?} is neither a time such as 2026-11-02T15:00:00Z nor a date such as 2026-11-02")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_keeps_its_hour_or_is_refused() {
        let at = |text: &str| time_or_date(text).map(|time| time.to_string());
        assert_eq!(at("2025-06-01").as_deref(), Ok("2025-06-01T00:00:00Z"));
        assert_eq!(at("2025-06-01T10:00:00Z").as_deref(), Ok("2025-06-01T10:00:00Z"));
        assert_eq!(at("2025-06-01T10:00:00+02:00").as_deref(), Ok("2025-06-01T08:00:00Z"));
        for bare in ["2025-06-01T10:00:00", "2025-06-01 10:00", "2025-06-01T10:00:00[Europe/Berlin]"] {
            let said = at(bare).unwrap_err();
            assert!(said.contains("does not say its offset; in UTC it is 2025-06-01T10:00:00Z"), "{said}");
        }
        for wrong in ["", "yesterday", "2025-06-31", "2025-6-1", "1748772000", "06/01/2025"] {
            assert!(at(wrong).unwrap_err().contains("is neither a time"), "{wrong}");
        }
    }
}
