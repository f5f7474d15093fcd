//! Time of day as traders count it. Instants are UTC; days belong to the exchange.

use std::{fmt, sync::Arc};

use jiff::{
    SignedDuration, civil,
    tz::{Offset, TimeZone},
};
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
    /// From when on which offset holds between [`TABLED`], oldest first: to ask the zone's rules is ten times the work, and
    /// the day is asked for three times a signal.
    offsets: Arc<[(Timestamp, Offset)]>,
}

/// How long after a change of the clocks the day is found by its opening. No change is more than a day.
const AFTER_A_CHANGE: SignedDuration = SignedDuration::from_hours(50);

/// Years whose offsets are kept ready; others are right as well.
const TABLED: (i16, i16) = (2000, 2060);

impl TradingCalendar {
    /// A calendar whose day turns at `start` local time in `zone`.
    pub fn new(zone: TimeZone, start: civil::Time) -> Self {
        let (first, last) = (new_year(TABLED.0), new_year(TABLED.1));
        let turns = zone.following(first).map(|turn| (turn.timestamp(), turn.offset()));
        let offsets = std::iter::once((first, zone.to_offset(first)));
        // the last one says where the table ends
        let offsets = offsets.chain(turns.take_while(|(at, _)| *at < last)).chain([(last, Offset::UTC)]).collect();
        Self { zone, start, offsets }
    }

    fn local(&self, at: Timestamp) -> civil::DateTime {
        let later = self.offsets.partition_point(|(from, _)| *from <= at);
        match self.offsets.get(..later) {
            Some([.., (_, offset)]) if later < self.offsets.len() => offset.to_datetime(at),
            _ => self.zone.to_datetime(at),
        }
    }

    /// The name of the zone that days are counted in, where it has one.
    pub fn zone_name(&self) -> Option<&str> {
        self.zone.iana_name()
    }

    /// The trading day that `at` belongs to: the one whose opening is the latest that is not after it. So no day ever runs
    /// backwards, also where daylight saving repeats or leaves out the hour in which it turns.
    pub fn day_of(&self, at: Timestamp) -> TradingDay {
        let by_clock = self.day_by_clock(at);
        if self.is_after_a_change(at) { self.day_by_opening(at, by_clock) } else { by_clock }
    }

    /// The day that the local clock says, which is the day but for the hours after the clocks were changed.
    fn day_by_clock(&self, at: Timestamp) -> TradingDay {
        let local = self.local(at);
        let turned = local.time() >= self.start && self.start != civil::Time::midnight();
        let date = if turned { local.date().tomorrow().unwrap_or(local.date()) } else { local.date() };
        TradingDay(date)
    }

    /// Whether the clocks were changed within the last two days, or that is not known.
    fn is_after_a_change(&self, at: Timestamp) -> bool {
        let later = self.offsets.partition_point(|(from, _)| *from <= at);
        match self.offsets.get(..later) {
            // the first one is where the table begins and no change
            Some([_]) => false,
            Some([.., (from, _)]) if later < self.offsets.len() => at.duration_since(*from) <= AFTER_A_CHANGE,
            _ => true,
        }
    }

    fn day_by_opening(&self, at: Timestamp, by_clock: TradingDay) -> TradingDay {
        let mut day = by_clock;
        let has_begun = |date: civil::Date| self.opening(date).is_none_or(|opening| opening <= at);
        // a zone that crosses the date line leaves a whole day out
        for _ in 0..2 {
            match day.0.tomorrow() {
                Ok(next) if has_begun(next) => day = TradingDay(next),
                _ => break,
            }
        }
        for _ in 0..2 {
            match day.0.yesterday() {
                Ok(before) if !has_begun(day.0) => day = TradingDay(before),
                _ => break,
            }
        }
        day
    }

    /// Its zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The name of its zone, empty where it has none, and the local time at which its days turn.
    pub fn turns_at(&self) -> (&str, civil::Time) {
        (self.zone.iana_name().unwrap_or_default(), self.start)
    }

    /// When the trading day named by `date` begins. `None` at the ends of all time. A local time that daylight saving
    /// leaves out or repeats is read as the clocks before it would.
    pub fn opening(&self, date: civil::Date) -> Option<Timestamp> {
        let midnight = self.start == civil::Time::midnight();
        let date = if midnight { date } else { date.yesterday().ok()? };
        self.zone.to_ambiguous_timestamp(date.to_datetime(self.start)).compatible().ok()
    }

    /// Minutes from the last turn of the day, in local clock time (so a session's fraction does not jump with
    /// daylight saving), 0 to below 1440. Where the day has begun and the clock was put back before its start, it is 0; where
    /// the clock is past the start that it left out and the day has not begun, it is the last minute.
    pub fn minutes_into_day(&self, at: Timestamp) -> f64 {
        let (day, by_clock) = (self.day_of(at), self.day_by_clock(at));
        if day != by_clock {
            return if day > by_clock { 0.0 } else { 1439.0 };
        }
        let seconds = |t: civil::Time| {
            f64::from(t.hour()) * 3600.0
                + f64::from(t.minute()) * 60.0
                + f64::from(t.second())
                + f64::from(t.subsec_nanosecond()) / 1e9
        };
        let since = seconds(self.local(at).time()) - seconds(self.start);
        since.rem_euclid(86_400.0) / 60.0
    }
}

/// Its first moment, UTC.
fn new_year(year: i16) -> Timestamp {
    Offset::UTC.to_timestamp(civil::date(year, 1, 1).at(0, 0, 0, 0)).unwrap_or(Timestamp::MAX)
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
    fn the_table_of_offsets_says_what_the_zone_says() {
        for zone in ["America/Chicago", "Europe/London", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"] {
            let calendar = TradingCalendar::new(TimeZone::get(zone).unwrap(), civil::time(17, 0, 0, 0));
            let turns = calendar.zone.following("1995-01-01T00:00:00Z".parse().unwrap()).map(|turn| turn.timestamp());
            let turns: Vec<Timestamp> = turns.take_while(|at| *at < new_year(2065)).collect();
            assert!(turns.len() > 50 || zone == "UTC", "{zone}: {}", turns.len());
            let ends = [new_year(TABLED.0), new_year(TABLED.1), new_year(2030), Timestamp::MIN, Timestamp::MAX];
            for at in turns.into_iter().chain(ends) {
                for nanoseconds in [-1, 0, 1, 40 * 86_400_000_000_000] {
                    let at = at.saturating_add(SignedDuration::from_nanos(nanoseconds)).unwrap();
                    assert_eq!(calendar.local(at), calendar.zone.to_datetime(at), "{zone} {at}");
                }
            }
        }
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

    #[test]
    fn a_trading_day_never_runs_backwards_whatever_the_zone_the_start_and_the_change() {
        let zones = [
            ("America/Chicago", ["2025-03-09", "2025-11-02"]),
            ("America/New_York", ["2026-03-08", "2026-11-01"]),
            ("Europe/London", ["2025-03-30", "2025-10-26"]),
            ("Australia/Lord_Howe", ["2025-04-06", "2025-10-05"]),
            ("America/Sao_Paulo", ["2018-02-18", "2018-11-04"]),
            ("America/Havana", ["2025-03-09", "2025-11-02"]),
            ("Pacific/Apia", ["2011-12-30", "2011-04-02"]),
            ("Africa/Casablanca", ["2025-02-23", "2025-04-06"]),
        ];
        let mut odd = 0;
        for (zone, days) in zones {
            for half_hour in 0..48_i8 {
                let start = civil::time(half_hour / 2, 30 * (half_hour % 2), 0, 0);
                let calendar = TradingCalendar::new(TimeZone::get(zone).unwrap(), start);
                for day in days {
                    let noon: Timestamp = format!("{day}T12:00:00Z").parse().unwrap();
                    let mut before: Option<TradingDay> = None;
                    for minute in (-48 * 60..72 * 60).step_by(5) {
                        let at = noon + SignedDuration::from_mins(minute);
                        let day = calendar.day_of(at);
                        assert!(
                            before.is_none_or(|before| before <= day),
                            "{zone} {start} {at}: {day} after {before:?}"
                        );
                        before = Some(day);
                        let opening = calendar.opening(day.date()).unwrap();
                        let next = calendar.opening(day.date().tomorrow().unwrap()).unwrap();
                        assert!(opening <= at && at < next, "{zone} {start} {at} in {day}: {opening} {next}");
                        let minutes = calendar.minutes_into_day(at);
                        assert!((0.0..1440.0).contains(&minutes), "{zone} {start} {at}: {minutes}");
                        odd += i32::from(day != calendar.day_by_clock(at));
                    }
                }
            }
        }
        assert!(odd > 100, "{odd}");
    }

    #[test]
    fn the_hour_that_comes_twice_belongs_to_one_day() {
        let calendar = TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), civil::time(1, 30, 0, 0));
        let days = ["06:10", "06:40", "07:10", "07:40"].map(|time| {
            let at: Timestamp = format!("2025-11-02T{time}:00Z").parse().unwrap();
            (calendar.day_of(at).to_string(), calendar.minutes_into_day(at))
        });
        let day = |day: &str, minutes| (day.to_owned(), minutes);
        let expected = [("2025-11-02", 1420.0), ("2025-11-03", 10.0), ("2025-11-03", 0.0), ("2025-11-03", 10.0)];
        assert_eq!(days, expected.map(|(name, minutes)| day(name, minutes)));
    }
}
