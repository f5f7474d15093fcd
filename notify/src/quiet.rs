//! Quiet hours: times of the week, in a time zone, in which only critical alerts come through.

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};

/// When it is quiet.
#[derive(Debug, Clone)]
pub struct Quiet {
    zone: TimeZone,
    periods: Vec<Period>,
}

/// A period that begins on each of some days of the week.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// The days on which it begins.
    pub days: Vec<Weekday>,
    /// When it begins, local time.
    pub from: Time,
    /// When it ends: on the next day, unless that is later than `from`.
    pub to: Time,
}

impl Quiet {
    /// In these periods; none if they leave no hour of the week.
    pub fn new(zone: TimeZone, periods: Vec<Period>) -> Option<Self> {
        let quiet = Self { zone, periods };
        // a week in which no clock is changed
        let monday = Timestamp::from_second(1_767_571_200).ok()?;
        let hours = (0..7 * 24).filter_map(|hour: i64| monday.checked_add(hour.hours()).ok());
        hours.into_iter().any(|hour| quiet.until(hour).is_none()).then_some(quiet)
    }

    /// When the quiet that holds at `at` ends; none if none holds. Periods that meet are one.
    pub fn until(&self, at: Timestamp) -> Option<Timestamp> {
        let (mut end, mut found) = (at, false);
        // more often than there can be periods that begin within a week
        for _ in 0..=7 * self.periods.len() {
            match self.periods.iter().filter_map(|period| self.end_of(period, end)).max() {
                Some(later) if later > end => (end, found) = (later, true),
                _ => break,
            }
        }
        found.then_some(end)
    }

    fn end_of(&self, period: &Period, at: Timestamp) -> Option<Timestamp> {
        let today = at.to_zoned(self.zone.clone()).date();
        let begins = [Some(today), today.yesterday().ok()];
        begins.into_iter().flatten().filter_map(|day| self.on(period, day, at)).max()
    }

    fn on(&self, period: &Period, day: Date, at: Timestamp) -> Option<Timestamp> {
        let last = if period.to > period.from { day } else { day.tomorrow().ok()? };
        let moment = |day: Date, time| self.zone.to_timestamp(day.to_datetime(time)).ok();
        let (begin, end) = (moment(day, period.from)?, moment(last, period.to)?);
        (period.days.contains(&day.weekday()) && begin <= at && at < end).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKDAYS: [Weekday; 5] =
        [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];

    fn period(days: &[Weekday], from: i8, to: i8) -> Period {
        Period { days: days.to_vec(), from: Time::constant(from, 0, 0, 0), to: Time::constant(to, 0, 0, 0) }
    }

    fn chicago(periods: Vec<Period>) -> Quiet {
        Quiet::new(TimeZone::get("America/Chicago").unwrap(), periods).unwrap()
    }

    fn check(quiet: &Quiet, at: &str, expected: Option<&str>) {
        let until = quiet.until(at.parse().unwrap());
        assert_eq!(until, expected.map(|end| end.parse().unwrap()), "{at}");
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins_in_the_zone_of_the_configuration() {
        // Chicago is six hours behind in winter
        let quiet = chicago(vec![period(&WORKDAYS, 22, 7)]);
        check(&quiet, "2026-11-25T03:59:59Z", None);
        check(&quiet, "2026-11-25T04:00:00Z", Some("2026-11-25T13:00:00Z"));
        check(&quiet, "2026-11-25T12:59:59.999Z", Some("2026-11-25T13:00:00Z"));
        check(&quiet, "2026-11-25T13:00:00Z", None);
        // Friday's night ends on Saturday; Saturday has none
        check(&quiet, "2026-11-28T12:00:00Z", Some("2026-11-28T13:00:00Z"));
        check(&quiet, "2026-11-29T05:00:00Z", None);
    }

    #[test]
    fn periods_that_meet_are_one_and_a_night_in_which_clocks_change_has_its_own_length() {
        let weekend = [Weekday::Saturday, Weekday::Sunday];
        let quiet = chicago(vec![period(&WORKDAYS, 22, 0), period(&weekend, 0, 0), period(&[Weekday::Monday], 0, 7)]);
        check(&quiet, "2026-11-28T04:30:00Z", Some("2026-11-30T13:00:00Z"));
        // on 1 November clocks go back: 22:00 to 07:00 are ten hours
        let quiet = chicago(vec![period(&[Weekday::Saturday], 22, 7)]);
        check(&quiet, "2026-11-01T03:00:00Z", Some("2026-11-01T13:00:00Z"));
        // on 8 March they go forward, and 02:30 is not there
        let night =
            Period { days: vec![Weekday::Sunday], from: Time::constant(2, 30, 0, 0), to: Time::constant(4, 0, 0, 0) };
        check(&chicago(vec![night.clone()]), "2026-03-08T08:29:00Z", None);
        check(&chicago(vec![night]), "2026-03-08T08:31:00Z", Some("2026-03-08T09:00:00Z"));
    }

    #[test]
    fn a_week_without_an_hour_that_is_loud_is_refused() {
        let all = [&WORKDAYS[..], &[Weekday::Saturday, Weekday::Sunday]].concat();
        assert!(Quiet::new(TimeZone::UTC, vec![period(&all, 0, 0)]).is_none());
        assert!(Quiet::new(TimeZone::UTC, vec![period(&all, 1, 0)]).is_some());
        assert!(Quiet::new(TimeZone::UTC, Vec::new()).unwrap().until(Timestamp::UNIX_EPOCH).is_none());
    }
}
