//! What is noted of runs, and orders.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::civil;

use super::*;
use crate::schedule::Rhythm;

struct At(Timestamp);

impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn log() -> JobLog {
    let job = |name| About { name, does: "something", when: When::After("a test"), thread: "main", is_stored: true };
    JobLog::new(Arc::new(At(at("2025-09-01T12:00:00Z"))), vec![job("one"), job("two")])
}

#[test]
fn a_job_says_how_often_it_ran_and_failed_and_what_came_of_the_last_time() {
    let (log, config) = (log(), Config::builtin().unwrap());
    log.begin("one").end(Ok("nothing".into()));
    log.begin("one").end(Err("no room".to_owned()));
    log.begin("one").end(Ok("two of them".into()));
    log.begin("one").was_none();
    let _caught = catch_unwind(AssertUnwindSafe(|| {
        let _running = log.begin("two");
        panic!("planted");
    }));
    let [one, two] = log.status(&config).try_into().unwrap();
    assert_eq!((one.runs, one.failures), (3, 1));
    let found = |run: Option<Run>| run.map(|run| run.found.into_owned()).unwrap();
    assert_eq!((found(one.last), found(one.last_failure)), ("two of them".to_owned(), "no room".to_owned()));
    assert_eq!((two.runs, two.failures, found(two.last)), (1, 1, "it broke off".to_owned()));
}

#[test]
fn a_period_is_counted_from_the_last_run_and_one_of_the_configuration_is_read_each_time() {
    let config = |more: &str| Config::parse("test", more).unwrap();
    let due = |when: When, more: &str, ago: u64| when.has_passed(&config(more), Duration::from_secs(ago));
    let ten = When::Every(Duration::from_secs(10));
    assert_eq!((due(ten, "", 9), due(ten, "", 10)), (false, true));
    let set = When::Configured(|config| config.lifecycle.verify);
    assert_eq!((due(set, "lifecycle.verify_s = 30", 29), due(set, "lifecycle.verify_s = 20", 29)), (false, true));
    assert!(!due(When::After("a test"), "", 1_000_000));
}

#[test]
fn when_a_job_is_due_is_said_in_words() {
    let config = Config::builtin().unwrap();
    let words = [
        When::Every(Duration::from_millis(200)).words(&config),
        When::Configured(|config| config.lifecycle.verify).words(&config),
        When::At(|_| Some(Appointment { rhythm: Rhythm::Daily, time: civil::time(2, 0, 0, 0) })).words(&config),
        When::At(|_| None).words(&config),
    ];
    assert_eq!(words, ["every 200ms", "every 60s", "daily at 02:00 America/Chicago", "switched off"]);
}

#[test]
fn an_order_is_of_a_job_of_the_schedule_and_waits_for_no_other() {
    let clock = Arc::new(At(at("2025-07-07T12:00:00Z")));
    let when = When::At(|config| config.schedule.data_quality);
    let job = |name| About { name, does: "something", when, thread: "own", is_stored: true };
    let beside = About {
        name: "beat",
        does: "beats",
        when: When::Every(Duration::from_secs(1)),
        thread: "main",
        is_stored: false,
    };
    let (log, config) = (JobLog::new(clock, vec![job("one"), job("two"), beside]), Config::builtin().unwrap());
    let order = |name: &str, emergency: Option<&str>| {
        let ordered = log.order(name, "ordered by uid 7".to_owned(), &config, emergency.map(str::to_owned));
        ordered.map_err(|error| error.to_string())
    };
    assert_eq!(order("three", None), Err("the schedule has no job \"three\"; it has one, two".to_owned()));
    assert_eq!(order("beat", None), Err("the schedule has no job \"beat\"; it has one, two".to_owned()));
    let locked = "nothing of the schedule runs in an emergency: serving is locked: a test";
    assert_eq!(order("two", Some("serving is locked: a test")), Err(locked.to_owned()));
    assert_eq!((log.ordered(), order("two", None)), (None, Ok("two")));
    let busy = "two is under way since 2025-07-07T12:00:00Z; one runs at a time, order it again when that is done";
    assert_eq!(order("one", None), Err(busy.to_owned()));
    assert_eq!(log.ordered().map(|ordered| ordered.name), Some("two"));
    let running = log.begin("two");
    assert_eq!(running.about(), (at("2025-07-07T12:00:00Z"), "ordered by uid 7".to_owned()));
    assert_eq!((log.ordered(), order("one", None)), (None, Err(busy.to_owned())));
    running.end(Ok("all is well".into()));
    assert_eq!(order("one", None), Ok("one"));
}
