//! What a command line names must exist: a typing error is refused, and not answered as if nothing had happened.

use anyhow::{anyhow, bail};
use jiff::{
    SignedDuration,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::{
    clock::{Clock as _, WallClock},
    config::Config,
    domain::{Symbol, Timestamp, VersionId},
    features::Instrument,
    journal::Reader,
};

/// The symbol that is meant when a command line names none.
pub(super) const SYMBOL: &str = "ES";

/// Why a symbol without a table is refused, with those that have one.
pub(super) fn unknown(config: &Config, symbol: &Symbol) -> String {
    let known: Vec<&str> = config.symbols.keys().map(Symbol::as_str).collect();
    format!(
        "symbol {symbol} has no table in the configuration, which has {}; add [symbols.{symbol}], or name the file with --config",
        known.join(", ")
    )
}

/// The tick of a symbol and what it is worth.
///
/// # Errors
/// In words, with what to do, when it has no table.
pub(super) fn instrument(config: &Config, symbol: &Symbol) -> anyhow::Result<Instrument> {
    config.symbols.get(symbol).copied().ok_or_else(|| anyhow!("{}", unknown(config, symbol)))
}

/// Refuses a symbol that has no table in the configuration, unless the journal has `signals` of it.
///
/// # Errors
/// In words, with what to do.
pub(super) fn symbol(config: &Config, symbol: &Symbol, signals: usize) -> anyhow::Result<()> {
    if signals == 0 && !config.symbols.contains_key(symbol) {
        bail!("{}", unknown(config, symbol));
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

/// A time with its offset, or the next time of day with its offset, such as 16:30-05:00.
///
/// # Errors
/// In words, with the right form. A date alone is none: it does not say which hour.
pub(super) fn time_ahead(text: &str) -> Result<Timestamp, String> {
    next_time(text, WallClock.now())
}

fn next_time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if text.parse::<Date>().is_ok_and(|date| date.to_string() == text) {
        return Err(format!("{text:?} does not say which hour; say a time such as {text}T16:30:00Z"));
    }
    let days = [-1, 0, 1, 2].map(|days| now.checked_add(SignedDuration::from_hours(24 * days)));
    let dates = days.into_iter().flatten().map(|day| day.to_zoned(TimeZone::UTC).date());
    let times = dates.filter_map(|date| format!("{date}T{text}").parse::<Timestamp>().ok());
    match times.filter(|time| *time > now).min() {
        Some(next) => Ok(next),
        None if text.parse::<Time>().is_ok() => Err(format!(
            "{text:?} does not say its offset; in UTC it is {text}Z, in New York {text}-05:00 or {text}-04:00"
        )),
        None => match time_or_date(text) {
            Err(why) if why.contains("offset") => Err(why),
            _ => {
                Err(format!("{text:?} is neither a time such as 2026-11-02T15:00:00Z nor one of a day such as 15:00Z"))
            }
        },
    }
}

/// A duration as people write it, in seconds.
///
/// # Errors
/// In words, with the right form.
pub(super) fn duration(text: &str) -> Result<u64, String> {
    let form = || format!("{text:?} is no duration such as 90s, 45m, 2h or 1h30m");
    let seconds = text.parse::<SignedDuration>().map_err(|_| form())?.as_secs();
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).ok_or_else(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_next_one_and_says_its_offset() {
        let now: Timestamp = "2025-06-01T21:00:00Z".parse().unwrap();
        let at = |text: &str| next_time(text, now).map(|time| time.to_string());
        for (text, expected) in [
            ("2025-06-01T22:30:00+02:00", "2025-06-01T20:30:00Z"),
            ("2025-06-01 16:30-05:00", "2025-06-01T21:30:00Z"),
            ("22:30Z", "2025-06-01T22:30:00Z"),
            ("20:59Z", "2025-06-02T20:59:00Z"),
            ("16:30:15-05:00", "2025-06-01T21:30:15Z"),
            ("08:00+10:00", "2025-06-01T22:00:00Z"),
        ] {
            assert_eq!(at(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, why) in [
            ("16:30", "does not say its offset"),
            ("2025-06-01T16:30:00", "does not say its offset"),
            ("2025-06-02", "does not say which hour"),
            ("soon", "is neither a time"),
            ("25:00Z", "is neither a time"),
            ("", "is neither a time"),
        ] {
            assert!(at(text).unwrap_err().contains(why), "{text}: {:?}", at(text));
        }
    }

    #[test]
    fn a_duration_is_written_as_people_write_it() {
        for (text, seconds) in
            [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("2 hours", 7200), ("24h", 86_400)]
        {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for wrong in ["", "0s", "-2h", "2", "soon", "1 fortnight"] {
            assert!(duration(wrong).unwrap_err().contains("is no duration such as"), "{wrong}");
        }
    }

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
