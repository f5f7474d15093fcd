//! A year on the schedule, and what is due after a week off.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;

const QUALITY: Appointment = Appointment { rhythm: Rhythm::Daily, time: civil::time(2, 0, 0, 0) };
const WEEKDAYS: Appointment = Appointment { rhythm: Rhythm::Weekdays, ..QUALITY };
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
fn year(down: &[(Timestamp, Timestamp)], quiet: Quiet) -> Vec<Run> {
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
            if let Some(due) = due(jobs, &zone, quiet, (started, now)) {
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
    let runs = year(&[], Quiet::NONE);
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
    let runs = year(&[(from, until)], Quiet::NONE);
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
    assert_eq!(of(year(&once, Quiet::NONE)), [first.clone(), second(true)]);
    let often: Vec<_> = (0..6).map(|n| (once[0].0 + minutes(90 * n), once[0].1 + minutes(90 * n))).collect();
    let runs = year(&often, Quiet::NONE);
    let third = ("2025-01-26T13:30:00Z".to_owned(), Why::CutShort, false);
    assert_eq!(of(runs.clone()), [first, second(false), third]);
    // the next one is as any
    let next = runs.iter().find(|run| run.name == "retraining" && run.due > at("2025-01-27T00:00:00Z")).unwrap();
    assert_eq!((next.due, next.why, next.has_ended), (at("2025-02-23T10:00:00Z"), Why::Time, true));
}

#[test]
fn a_job_that_is_new_misses_nothing_and_a_clock_that_was_ahead_holds_nothing_up() {
    let (zone, new) = (chicago(), at("2025-05-05T20:00:00Z"));
    let due_at =
        |past: Past, now: &str| due([("quality", QUALITY, past)], &zone, Quiet::NONE, (new, at(now))).map(|due| due.at);
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
        (WEEKDAYS, "Monday to Friday at 02:00 America/Chicago"),
        (REVIEW, "each Sunday at 03:00 America/Chicago"),
        (RETRAINING, "each fourth Sunday at 04:00 America/Chicago"),
    ] {
        assert_eq!(appointment.words(&zone), words);
    }
    let missed = Why::Missed.words(at("2025-07-17T07:00:00Z"));
    assert_eq!(missed, "it was due at 2025-07-17T07:00:00Z, when the daemon was down");
}

#[test]
fn a_run_of_weekdays_comes_on_each_of_them_and_on_no_other() {
    let zone = chicago();
    let mut now = at("2025-03-07T08:00:00Z");
    let mut found = Vec::new();
    while found.len() < 6 {
        now = WEEKDAYS.next(&zone, now).unwrap();
        assert_eq!(WEEKDAYS.latest(&zone, now), Some(now));
        found.push(now.to_string());
    }
    // the clocks change on Sunday the 9th
    let days = ["10T07", "11T07", "12T07", "13T07", "14T07", "17T07"].map(|day| format!("2025-03-{day}:00:00Z"));
    assert_eq!(found, days);
    assert_eq!(WEEKDAYS.latest(&zone, at("2025-03-10T06:59:00Z")), Some(at("2025-03-07T08:00:00Z")));
}

#[test]
fn in_quiet_hours_nothing_begins_and_what_was_due_waits_for_their_end() {
    let zone = chicago();
    let time = |hour, minute| civil::time(hour, minute, 0, 0);
    let quiet = |from, until| Quiet { from, until };
    let session = quiet(time(8, 30), time(15, 0));
    let is_quiet = |quiet: Quiet, now: &str| quiet.includes(&zone, at(now));
    // in winter and in summer
    for (from, until) in [("14:30", "21:00"), ("13:30", "20:00")] {
        let day = if from == "14:30" { "2025-01-06" } else { "2025-07-07" };
        assert!(is_quiet(session, &format!("{day}T{from}:00Z")) && !is_quiet(session, &format!("{day}T{until}:00Z")));
        assert!(!is_quiet(session, &format!("{day}T{}:59Z", from.replace(":30", ":29"))));
    }
    let night = quiet(time(22, 0), time(5, 0));
    assert!(is_quiet(night, "2025-07-07T03:00:00Z") && is_quiet(night, "2025-07-07T09:59:00Z"));
    assert!(!is_quiet(night, "2025-07-07T10:00:00Z") && !is_quiet(night, "2025-07-08T02:59:00Z"));
    assert!(!is_quiet(Quiet::NONE, "2025-07-07T05:00:00Z"));
    // with quiet nights each run of the year waits for 05:00, once, and none is lost
    let (waiting, all) = (year(&[], night), calendar());
    assert_eq!(waiting.len(), all.len());
    let local = |now: Timestamp| Zoned::new(now, zone.clone()).time();
    assert!(waiting.iter().all(|run| run.why == Why::Time && local(run.begun) >= time(5, 0)));
}
