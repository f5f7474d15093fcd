//! What recurs by the clocks of the exchange: when a job is due, given what is known of its runs before.
//!
//! An appointment is a time of day in the zone of the trading day. One that passed while nobody was there is caught up for once,
//! however many passed. Only one job runs at a time, and a run that was cut short is repeated a few times and then given up.

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
            Self::Weekly(day) => date.weekday() == day,
            Self::FourWeekly(day) => date.weekday() == day && weeks().rem_euclid(4) == 0,
        }
    }

    /// Days within which one of its days is, whichever they are counted from.
    fn period(self) -> i32 {
        match self {
            Self::Daily => 1,
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
    (started, now): (Timestamp, Timestamp),
) -> Option<Due<'a>> {
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
mod tests {
    use std::collections::BTreeMap;

    use jiff::SignedDuration;

    use super::*;

    const QUALITY: Appointment = Appointment { rhythm: Rhythm::Daily, time: civil::time(2, 0, 0, 0) };
    const REVIEW: Appointment =
        Appointment { rhythm: Rhythm::Weekly(civil::Weekday::Sunday), time: civil::time(3, 0, 0, 0) };
    const RETRAINING: Appointment =
        Appointment { rhythm: Rhythm::FourWeekly(civil::Weekday::Sunday), time: civil::time(4, 0, 0, 0) };
    /// Each with how many minutes a run takes.
    const JOBS: [(&str, Appointment, i64); 3] =
        [("quality", QUALITY, 20), ("review", REVIEW, 90), ("retraining", RETRAINING, 300)];

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn chicago() -> TimeZone {
        TimeZone::get("America/Chicago").unwrap()
    }

    fn minutes(minutes: i64) -> SignedDuration {
        SignedDuration::from_mins(minutes)
    }

    /// Every appointment of 2025 from the plain calendar: six hours behind UTC, five from 9 March to 2 November.
    fn calendar() -> Vec<(&'static str, Timestamp)> {
        let mut all = Vec::new();
        let mut date = civil::date(2025, 1, 1);
        // in week 2,872 after that of 5 January 1970
        let fourth = civil::date(2025, 1, 26);
        while date < civil::date(2026, 1, 1) {
            let is_summer = |hour: i8| {
                let clock = date.at(hour, 0, 0, 0);
                clock >= civil::date(2025, 3, 9).at(3, 0, 0, 0) && clock < civil::date(2025, 11, 2).at(1, 0, 0, 0)
            };
            let moment = |hour: i8| {
                let behind = if is_summer(hour) { 5 } else { 6 };
                date.at(hour + behind, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp()
            };
            all.push(("quality", moment(2)));
            if date.weekday() == civil::Weekday::Sunday {
                all.push(("review", moment(3)));
                if fourth.until(date).unwrap().get_days() % 28 == 0 {
                    all.push(("retraining", moment(4)));
                }
            }
            date = date.tomorrow().unwrap();
        }
        all
    }

    /// A run: of which job, for which appointment, when and why it began, and whether it ended.
    #[derive(Debug, Clone, PartialEq)]
    struct Run {
        name: &'static str,
        due: Timestamp,
        begun: Timestamp,
        why: Why,
        has_ended: bool,
    }

    /// 2025 by steps of ten minutes, with a daemon that is down from each of the first times to the second.
    fn year(down: &[(Timestamp, Timestamp)]) -> Vec<Run> {
        let (zone, mut now) = (chicago(), at("2025-01-01T06:00:00Z"));
        let mut pasts: BTreeMap<&str, Past> = JOBS.iter().map(|(name, ..)| (*name, Past::new(now))).collect();
        let (mut runs, mut under_way): (Vec<Run>, Option<Timestamp>) = (Vec::new(), None);
        let mut started = now;
        while now < at("2026-01-01T06:00:00Z") {
            if let Some((_, until)) = down.iter().find(|(from, until)| *from <= now && now < *until) {
                // what was under way is cut short; what is stored is read again
                (under_way, now, started) = (None, *until, *until);
                pasts.values_mut().for_each(|past| *past = past.at_start(now));
            }
            if under_way.is_some_and(|end| end <= now) {
                under_way = None;
                let run = runs.last_mut().unwrap();
                run.has_ended = true;
                pasts.get_mut(run.name).unwrap().end();
            }
            if under_way.is_none() {
                let jobs = JOBS.iter().map(|(name, appointment, _)| (*name, *appointment, pasts[name]));
                if let Some(due) = due(jobs, &zone, (started, now)) {
                    let (name, _, takes) = JOBS.into_iter().find(|(name, ..)| *name == due.name).unwrap();
                    pasts.get_mut(name).unwrap().begin(due.at);
                    runs.push(Run { name, due: due.at, begun: now, why: due.why, has_ended: false });
                    under_way = Some(now + minutes(takes));
                }
            }
            now += minutes(10);
        }
        runs
    }

    #[test]
    fn a_year_has_each_run_once_over_both_changes_of_the_clocks_and_never_two_at_once() {
        let runs = year(&[]);
        let mut expected = calendar();
        assert_eq!(expected.len(), 365 + 52 + 13);
        let mut found: Vec<_> = runs.iter().map(|run| (run.name, run.due)).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        for pair in runs.windows(2) {
            let takes = JOBS.iter().find(|(name, ..)| *name == pair[0].name).unwrap().2;
            assert!(pair[0].begun + minutes(takes) <= pair[1].begun, "two at once: {pair:?}");
        }
        // none waits for longer than the others of its day take
        assert!(runs.iter().all(|run| run.why == Why::Time && run.begun.duration_since(run.due) <= minutes(90 + 20)));
        // both at 08:00 UTC on the day on which 02:00 is left out: one after the other
        let of = |day: &str| -> Vec<String> {
            let of_day = runs.iter().filter(|run| run.due.to_string().starts_with(day));
            of_day.map(|run| format!("{} {} {}", run.name, run.due, run.begun)).collect()
        };
        assert_eq!(
            of("2025-03-09"),
            ["quality 2025-03-09T08:00:00Z 2025-03-09T08:00:00Z", "review 2025-03-09T08:00:00Z 2025-03-09T08:20:00Z"]
        );
        assert_eq!(
            of("2025-11-02"),
            [
                "quality 2025-11-02T08:00:00Z 2025-11-02T08:00:00Z",
                "review 2025-11-02T09:00:00Z 2025-11-02T09:00:00Z",
                "retraining 2025-11-02T10:00:00Z 2025-11-02T10:30:00Z"
            ]
        );
    }

    #[test]
    fn what_fell_due_in_a_week_off_is_caught_up_for_once_after_the_start() {
        // a retraining is among what was missed: 13 July
        let (from, until) = (at("2025-07-10T12:00:00Z"), at("2025-07-17T12:00:00Z"));
        let runs = year(&[(from, until)]);
        let caught_up: Vec<_> = runs.iter().filter(|run| run.why != Why::Time).collect();
        let said: Vec<_> = caught_up.iter().map(|run| (run.name, run.due.to_string(), run.begun.to_string())).collect();
        let run = |name, due: &str, begun: &str| (name, due.to_owned(), begun.to_owned());
        assert_eq!(
            said,
            [
                run("review", "2025-07-13T08:00:00Z", "2025-07-17T12:00:00Z"),
                run("retraining", "2025-07-13T09:00:00Z", "2025-07-17T13:30:00Z"),
                run("quality", "2025-07-17T07:00:00Z", "2025-07-17T18:30:00Z"),
            ]
        );
        assert!(caught_up.iter().all(|run| run.why == Why::Missed && run.has_ended));
        let mut expected: Vec<_> = calendar().into_iter().filter(|(_, due)| !(from..until).contains(due)).collect();
        expected.extend(caught_up.iter().map(|run| (run.name, run.due)));
        let mut found: Vec<_> = runs.iter().map(|run| (run.name, run.due)).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_run_that_is_cut_short_is_begun_again_and_after_the_third_time_given_up() {
        // an hour into the retraining of 26 January
        let once = [(at("2025-01-26T11:30:00Z"), at("2025-01-26T12:00:00Z"))];
        let of = |runs: Vec<Run>| -> Vec<(String, Why, bool)> {
            let ours = runs.into_iter().filter(|run| run.due == at("2025-01-26T10:00:00Z"));
            ours.map(|run| (run.begun.to_string(), run.why, run.has_ended)).collect()
        };
        let first = ("2025-01-26T10:30:00Z".to_owned(), Why::Time, false);
        let second = |ended| ("2025-01-26T12:00:00Z".to_owned(), Why::CutShort, ended);
        assert_eq!(of(year(&once)), [first.clone(), second(true)]);
        let often: Vec<_> = (0..6).map(|n| (once[0].0 + minutes(90 * n), once[0].1 + minutes(90 * n))).collect();
        let runs = year(&often);
        let third = ("2025-01-26T13:30:00Z".to_owned(), Why::CutShort, false);
        assert_eq!(of(runs.clone()), [first, second(false), third]);
        // the next one is as any
        let next = runs.iter().find(|run| run.name == "retraining" && run.due > at("2025-01-27T00:00:00Z")).unwrap();
        assert_eq!((next.due, next.why, next.has_ended), (at("2025-02-23T10:00:00Z"), Why::Time, true));
    }

    #[test]
    fn a_job_that_is_new_misses_nothing_and_a_clock_that_was_ahead_holds_nothing_up() {
        let (zone, new) = (chicago(), at("2025-05-05T20:00:00Z"));
        let due_at = |past: Past, now: &str| due([("quality", QUALITY, past)], &zone, (new, at(now))).map(|due| due.at);
        assert_eq!(due_at(Past::new(new), "2025-05-05T20:00:00Z"), None);
        assert_eq!(due_at(Past::new(new), "2025-05-06T07:00:00Z"), Some(at("2025-05-06T07:00:00Z")));
        let ahead = Past { kept: Some(at("2035-01-01T08:00:00Z")), ..Past::new(at("2034-12-31T00:00:00Z")) };
        assert_eq!(due_at(ahead, "2025-05-06T07:00:00Z"), None);
        assert_eq!(due_at(ahead.at_start(new), "2025-05-06T07:00:00Z"), Some(at("2025-05-06T07:00:00Z")));
    }

    #[test]
    fn the_next_one_is_the_first_after_now_and_words_say_when() {
        let (zone, mut all) = (chicago(), calendar());
        all.retain(|(name, _)| *name == "retraining");
        for pair in all.windows(2) {
            assert_eq!(RETRAINING.next(&zone, pair[0].1), Some(pair[1].1));
            assert_eq!(RETRAINING.latest(&zone, pair[1].1 - minutes(1)), Some(pair[0].1));
        }
        for (appointment, words) in [
            (QUALITY, "daily at 02:00 America/Chicago"),
            (REVIEW, "each Sunday at 03:00 America/Chicago"),
            (RETRAINING, "each fourth Sunday at 04:00 America/Chicago"),
        ] {
            assert_eq!(appointment.words(&zone), words);
        }
        let missed = Why::Missed.words(at("2025-07-17T07:00:00Z"));
        assert_eq!(missed, "it was due at 2025-07-17T07:00:00Z, when the daemon was down");
    }
}
