//! Time of day as traders count it. Instants are UTC; days belong to the exchange.

use std::fmt;

use jiff::{civil, tz::TimeZone};
use serde::{Deserialize, Serialize};

pub use jiff::Timestamp;

/// A day of trading, named by the calendar date on which it ends (the evening session of a Sunday belongs to Monday).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TradingDay(civil::Date);

/// When a trading day turns: a local time in a time zone with its daylight saving.
#[derive(Debug, Clone, PartialEq)]
pub struct TradingCalendar {
    zone: TimeZone,
    start: civil::Time,
}

impl TradingCalendar {
    /// A calendar whose day turns at `start` local time in `zone`.
    pub fn new(zone: TimeZone, start: civil::Time) -> Self {
        Self { zone, start }
    }

    /// The trading day that `at` belongs to.
    pub fn day_of(&self, at: Timestamp) -> TradingDay {
        let local = self.zone.to_datetime(at);
        let turned = local.time() >= self.start && self.start != civil::Time::midnight();
        let date = if turned { local.date().tomorrow().unwrap_or(local.date()) } else { local.date() };
        TradingDay(date)
    }

    /// When the trading day named by `date` begins. `None` at the ends of all time. A local time that daylight saving
    /// leaves out or repeats is read as the clocks before it would.
    pub fn opening(&self, date: civil::Date) -> Option<Timestamp> {
        let midnight = self.start == civil::Time::midnight();
        let date = if midnight { date } else { date.yesterday().ok()? };
        self.zone.to_ambiguous_timestamp(date.to_datetime(self.start)).compatible().ok()
    }

    /// Minutes from the last turn of the day, in local clock time (so a session's fraction does not jump with
    /// daylight saving), 0 to below 1440.
    pub fn minutes_into_day(&self, at: Timestamp) -> f64 {
        let seconds = |t: civil::Time| {
            f64::from(t.hour()) * 3600.0
                + f64::from(t.minute()) * 60.0
                + f64::from(t.second())
                + f64::from(t.subsec_nanosecond()) / 1e9
        };
        let since = seconds(self.zone.to_datetime(at).time()) - seconds(self.start);
        since.rem_euclid(86_400.0) / 60.0
    }
}

impl TradingDay {
    /// The calendar date it is named by.
    pub fn date(self) -> civil::Date {
        self.0
    }
}

impl fmt::Display for TradingDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chicago() -> TradingCalendar {
        TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), civil::time(17, 0, 0, 0))
    }

    #[test]
    fn a_trading_day_turns_at_17_00_chicago_in_winter_and_in_summer() {
        for (at, day, minutes) in [
            ("2015-01-05T22:59:59Z", "2015-01-05", 1439.0 + 59.0 / 60.0), // 16:59:59 CST
            ("2015-01-05T23:00:00Z", "2015-01-06", 0.0),
            ("2015-07-06T21:59:00Z", "2015-07-06", 1439.0), // 16:59 CDT
            ("2015-07-06T22:00:00Z", "2015-07-07", 0.0),
            ("2016-02-28T23:00:00Z", "2016-02-29", 0.0),   // a leap day
            ("2015-03-08T09:00:00Z", "2015-03-08", 660.0), // 04:00 CDT, two hours after the clocks went forward
        ] {
            let at: Timestamp = at.parse().unwrap();
            assert_eq!(chicago().day_of(at).to_string(), day, "{at}");
            let opening = chicago().opening(chicago().day_of(at).date()).unwrap();
            assert_eq!((chicago().day_of(opening), chicago().minutes_into_day(opening)), (chicago().day_of(at), 0.0));
            assert!((chicago().minutes_into_day(at) - minutes).abs() < 1e-9, "{at}");
        }
    }
}
