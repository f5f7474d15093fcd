//! What a command line names must exist: a typing error is refused, and not answered as if nothing had happened.

use anyhow::bail;
use jiff::{civil::Date, tz::TimeZone};

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
pub(super) fn time_or_date(text: &str) -> Result<Timestamp, String> {
    let midnight = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let time = text.parse().ok().or_else(midnight);
    time.ok_or_else(|| format!("{text:?} is neither a time such as 2026-11-02T15:00:00Z nor a date such as 2026-11-02"))
}
