//! What recurs by the clocks of the exchange: when a job is due, given what is known of its runs before.
//!
//! An appointment is a time of day in the zone of the trading day. One that passed while nobody was there is caught up for once,
//! however many passed. Only one job runs at a time, and a run that was cut short is repeated a few times and then given up. In
//! quiet hours nothing begins by itself.

pub mod retraining;

use jiff::{ToSpan, Zoned, civil, tz::TimeZone};

use crate::domain::Timestamp;

/// How often a run is begun for one appointment. One that is cut short as often may be what ends the daemon.
pub const MOST_ATTEMPTS: u32 = 3;
/// A Monday from which four weeks are counted.
const FIRST_MONDAY: civil::Date = civil::date(1970, 1, 5);
const DAYS_OF_A_WEEK: i32 = 7;
const DAYS_OF_FOUR_WEEKS: i32 = 4 * DAYS_OF_A_WEEK;

/// On which days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rhythm {
    /// Each day.
    Daily,
    /// From Monday to Friday. Holidays are not known here: on such a day a job finds nothing new.
    Weekdays,
    /// On a day of each week.
    Weekly(civil::Weekday),
    /// On a day of each fourth week. The weeks are counted from 5 January 1970, so that no run moves the next one.
    FourWeekly(civil::Weekday),
}

/// When a job is due. A time that daylight saving leaves out or repeats is read as the clocks before it would: it comes once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appointment {
    /// The days.
    pub rhythm: Rhythm,
    /// The time of day in the zone of the trading day.
    pub time: civil::Time,
}

/// Hours of each day in which no run begins by itself: what is due then waits for their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// When they begin, in the zone of the trading day.
    pub from: civil::Time,
    /// When they are over; before `from` it is the next day, and at the same time there are none.
    pub until: civil::Time,
}

impl Quiet {
    /// No such hours.
    pub const NONE: Self = Self { from: civil::Time::midnight(), until: civil::Time::midnight() };

    /// Whether `now` is among them.
    pub fn includes(self, zone: &TimeZone, now: Timestamp) -> bool {
        let time = Zoned::new(now, zone.clone()).time();
        match self.from <= self.until {
            true => self.from <= time && time < self.until,
            false => self.from <= time || time < self.until,
        }
    }
}

/// What is known of the runs of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// From when on the job is known. What was due before was not missed.
    pub since: Timestamp,
    /// The latest appointment that a run has ended for.
    pub kept: Option<Timestamp>,
    /// The appointment that runs were begun for and none has ended, and how often.
    pub begun: Option<(Timestamp, u32)>,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due<'a> {
    /// The job's name.
    pub name: &'a str,
    /// The appointment: the latest that has passed.
    pub at: Timestamp,
    /// How often a run is begun for it, this one included; from 1 to [`MOST_ATTEMPTS`].
    pub attempt: u32,
    /// Why it runs now.
    pub why: Why,
}

/// Why a run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its time has come.
    Time,
    /// Its time passed while the daemon was down.
    Missed,
    /// The run before was cut short.
    CutShort,
}

impl Why {
    /// In words, of the appointment `at`.
    pub fn words(self, at: Timestamp) -> String {
        let more = match self {
            Self::Time => "",
            Self::Missed => ", when the daemon was down",
            Self::CutShort => ", and the run before was cut short",
        };
        format!("it was due at {at}{more}")
    }
}

impl Rhythm {
    fn includes(self, date: civil::Date) -> bool {
        let weeks = || FIRST_MONDAY.until(date).map_or(0, |span| span.get_days().div_euclid(DAYS_OF_A_WEEK));
        match self {
            Self::Daily => true,
            Self::Weekdays => date.weekday().to_monday_zero_offset() < 5,
            Self::Weekly(day) => date.weekday() == day,
            Self::FourWeekly(day) => date.weekday() == day && weeks().rem_euclid(4) == 0,
        }
    }

    /// Days within which one of its days is, whichever they are counted from.
    fn period(self) -> i32 {
        match self {
            Self::Daily => 1,
            // from Monday before the time of day back to Friday, and on
            Self::Weekdays => 3,
            Self::Weekly(_) => DAYS_OF_A_WEEK,
            Self::FourWeekly(_) => DAYS_OF_FOUR_WEEKS,
        }
    }
}

impl Appointment {
    /// The latest one up to `now`. `None` at the beginning of all time.
    pub fn latest(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        (0..=self.rhythm.period()).filter_map(|days| self.on(zone, now, -days)).find(|at| *at <= now)
    }

    /// The first one after `now`. `None` at the end of all time.
    pub fn next(self, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        // where a zone crosses the date line the calendar lacks a day
        (-1..=self.rhythm.period() + 1).filter_map(|days| self.on(zone, now, days)).find(|at| *at > now)
    }

    /// The one on the day so many days after that of `now`, if that is one of its days.
    fn on(self, zone: &TimeZone, now: Timestamp, days: i32) -> Option<Timestamp> {
        let date = Zoned::new(now, zone.clone()).date().checked_add(days.days()).ok()?;
        let moment = || zone.to_ambiguous_timestamp(date.to_datetime(self.time)).compatible().ok();
        self.rhythm.includes(date).then(moment).flatten()
    }

    /// In words, with the zone.
    pub fn words(self, zone: &TimeZone) -> String {
        let (time, zone) = (self.time.strftime("%H:%M"), zone.iana_name().unwrap_or("UTC"));
        match self.rhythm {
            Rhythm::Daily => format!("daily at {time} {zone}"),
            Rhythm::Weekdays => format!("Monday to Friday at {time} {zone}"),
            Rhythm::Weekly(day) => format!("each {day:?} at {time} {zone}"),
            Rhythm::FourWeekly(day) => format!("each fourth {day:?} at {time} {zone}"),
        }
    }
}

impl Past {
    /// Of a job that is known from `since` on and has not run.
    pub fn new(since: Timestamp) -> Self {
        Self { since, kept: None, begun: None }
    }

    /// Of one as it was stored, at `now`. A clock that was ahead when something was noted would keep the job from running until then.
    #[must_use]
    pub fn at_start(self, now: Timestamp) -> Self {
        let begun = self.begun.map(|(due, attempts)| (due.min(now), attempts));
        Self { since: self.since.min(now), kept: self.kept.map(|kept| kept.min(now)), begun }
    }

    /// The appointment that has passed and no run has ended for: the latest, if there are several.
    pub fn missed(self, appointment: Appointment, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
        let at = appointment.latest(zone, now)?;
        let is_given_up = self.begun.is_some_and(|(due, attempts)| due >= at && attempts >= MOST_ATTEMPTS);
        (self.kept.unwrap_or(self.since).max(self.since) < at && !is_given_up).then_some(at)
    }

    /// A run is begun for the appointment `at`.
    pub fn begin(&mut self, at: Timestamp) {
        let attempts = self.begun.filter(|(due, _)| *due >= at).map_or(0, |(_, attempts)| attempts);
        self.begun = Some((at, attempts + 1));
    }

    /// The run that was begun has ended, well or not.
    pub fn end(&mut self) {
        if let Some((at, _)) = self.begun.take() {
            self.kept = self.kept.max(Some(at));
        }
    }
}

/// The run that is to be begun at `now`, when none is under way: that of the earliest appointment, and of two at one time the first in
/// the list. `started` is when the daemon started.
pub fn due<'a>(
    jobs: impl IntoIterator<Item = (&'a str, Appointment, Past)>,
    zone: &TimeZone,
    quiet: Quiet,
    (started, now): (Timestamp, Timestamp),
) -> Option<Due<'a>> {
    if quiet.includes(zone, now) {
        return None;
    }
    let due = |(name, appointment, past): (&'a str, Appointment, Past)| {
        let at = past.missed(appointment, zone, now)?;
        let attempts = past.begun.filter(|(due, _)| *due >= at).map_or(0, |(_, attempts)| attempts);
        let why = match attempts {
            0 if at < started => Why::Missed,
            0 => Why::Time,
            _ => Why::CutShort,
        };
        Some(Due { name, at, attempt: attempts + 1, why })
    };
    jobs.into_iter().filter_map(due).min_by_key(|due| due.at)
}

#[cfg(test)]
mod tests;
