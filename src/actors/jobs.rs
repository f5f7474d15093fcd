//! What recurs in the daemon: when each job is due, and what came of its last run.
//!
//! `daemon::jobs` has the table of them. Whoever runs one notes it here, from whatever thread it runs on; `status` shows it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::{ToSpan, Zoned, civil, tz::TimeZone};
use serde::Serialize;

use crate::{
    clock::{Clock, Stopwatch},
    config::Config,
    domain::Timestamp,
};

/// The names of the jobs that run on threads of their own, which note what they did.
pub mod names {
    /// The archivist moves old records out of the journal.
    pub const ARCHIVE: &str = "archive";
    /// The keeper writes a checkpoint.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The keeper compares the checkpoint that the daemon began from with the whole log.
    pub const CHECKPOINT_CHECK: &str = "checkpoint_check";
    /// The monitor judges a version when a trading day has closed.
    pub const DAY_CLOSE: &str = "day_close";
    /// The service manager's watchdog is fed.
    pub const WATCHDOG: &str = "watchdog";
}

/// When a job is due.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// So long after its last run began.
    Every(Duration),
    /// As often as the configuration says.
    Configured(fn(&Config) -> Duration),
    /// At a time of day in the zone of the trading day. One that was missed, as by a suspended machine, is made up for once. A time
    /// that daylight saving leaves out or repeats is read as the clocks before it would.
    Daily(civil::Time),
    /// When something happens, in words. Whoever sees it happen runs it.
    After(&'static str),
}

/// What a job is, for people.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub does: &'static str,
    /// When it is due.
    pub when: When,
    /// The thread it runs on.
    pub thread: &'static str,
}

/// What came of a run: what was found, or why it failed, in words.
pub type Done = Result<Cow<'static, str>, String>;

/// A job and its last runs, as `status` has them. Runs are counted since the daemon started.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobStatus {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// When it is due, in words.
    pub when: String,
    /// The thread it runs on.
    pub thread: &'static str,
    /// Whether a run has begun and not ended.
    pub running: bool,
    /// How often it ran.
    pub runs: u64,
    /// How often it failed.
    pub failures: u64,
    /// The last run that ended.
    pub last: Option<Run>,
    /// The last one that failed.
    pub last_failure: Option<Run>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// When it began, by the daemon's clock.
    pub at: Timestamp,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// What it found, or why it failed.
    pub found: Cow<'static, str>,
}

/// What came of the last run of each job.
#[derive(Clone)]
pub struct JobLog(Arc<Shared>);

struct Shared {
    clock: Arc<dyn Clock>,
    jobs: Vec<About>,
    runs: Mutex<BTreeMap<&'static str, Runs>>,
}

#[derive(Default)]
struct Runs {
    is_under_way: bool,
    count: u64,
    failures: u64,
    last: Option<Run>,
    last_failure: Option<Run>,
}

/// A run under way. One that is dropped before its end has failed.
pub struct Running {
    log: JobLog,
    name: &'static str,
    at: Timestamp,
    since: Stopwatch,
    is_over: bool,
}

impl When {
    /// Whether a job is due at `now` that was begun `ago` before, at `last` by the clock; or, if it never was, when the daemon
    /// started.
    pub fn is_due(self, config: &Config, (last, ago): (Timestamp, Duration), now: Timestamp) -> bool {
        match self {
            Self::Every(period) => ago >= period,
            Self::Configured(period) => ago >= period(config),
            Self::Daily(time) => latest(time, config.calendar.zone(), now).is_some_and(|due| last < due),
            Self::After(_) => false,
        }
    }

    fn words(self, config: &Config) -> String {
        match self {
            Self::Every(period) => format!("every {period:?}"),
            Self::Configured(period) => format!("every {:?}", period(config)),
            Self::Daily(time) => {
                format!("daily at {} {}", time.strftime("%H:%M"), config.calendar.zone().iana_name().unwrap_or("UTC"))
            }
            Self::After(what) => what.to_owned(),
        }
    }
}

/// The latest moment up to `now` at which the clocks of `zone` showed `time`.
fn latest(time: civil::Time, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let today = Zoned::new(now, zone.clone()).date();
    let on = |date: civil::Date| zone.to_ambiguous_timestamp(date.to_datetime(time)).compatible().ok();
    let days = [Some(today), today.checked_sub(1.day()).ok()];
    days.into_iter().flatten().filter_map(on).find(|due| *due <= now)
}

impl JobLog {
    /// For these jobs, none of which has run.
    pub fn new(clock: Arc<dyn Clock>, jobs: Vec<About>) -> Self {
        Self(Arc::new(Shared { clock, jobs, runs: Mutex::default() }))
    }

    /// A run of a job begins.
    pub fn begin(&self, name: &'static str) -> Running {
        let at = self.0.clock.now();
        self.of(name, |runs| runs.is_under_way = true);
        Running { log: self.clone(), name, at, since: Stopwatch::start(), is_over: false }
    }

    /// Whether a run of a job has begun and not ended.
    pub fn is_under_way(&self, name: &'static str) -> bool {
        self.of(name, |runs| runs.is_under_way)
    }

    /// Each job with its last runs.
    pub fn status(&self, config: &Config) -> Vec<JobStatus> {
        let runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |job: &About| {
            let About { name, does, when, thread } = *job;
            let runs = runs.get(name);
            JobStatus {
                name,
                does,
                when: when.words(config),
                thread,
                running: runs.is_some_and(|runs| runs.is_under_way),
                runs: runs.map_or(0, |runs| runs.count),
                failures: runs.map_or(0, |runs| runs.failures),
                last: runs.and_then(|runs| runs.last.clone()),
                last_failure: runs.and_then(|runs| runs.last_failure.clone()),
            }
        };
        self.0.jobs.iter().map(status).collect()
    }

    fn note(&self, name: &'static str, at: Timestamp, took: Duration, done: Done) {
        let has_failed = done.is_err();
        let found = done.unwrap_or_else(Cow::Owned);
        let run = Run { at, took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX), found };
        self.of(name, |runs| {
            runs.is_under_way = false;
            runs.count += 1;
            if has_failed {
                runs.failures += 1;
                runs.last_failure = Some(run.clone());
            }
            runs.last = Some(run);
        });
    }

    fn of<T>(&self, name: &'static str, with: impl FnOnce(&mut Runs) -> T) -> T {
        with(self.0.runs.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default())
    }
}

impl Running {
    /// It ended.
    pub fn end(mut self, done: Done) {
        self.is_over = true;
        self.log.note(self.name, self.at, self.since.elapsed(), done);
    }

    /// There was nothing to do: it does not count.
    pub fn was_none(mut self) {
        self.is_over = true;
        self.log.of(self.name, |runs| runs.is_under_way = false);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.log.note(self.name, self.at, self.since.elapsed(), Err("it broke off".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

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
        let job = |name| About { name, does: "something", when: When::After("a test"), thread: "main" };
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
        let (last, now) = (at("2025-09-01T12:00:00Z"), at("2025-09-01T12:00:09Z"));
        let due = |when: When, more: &str, ago: u64| when.is_due(&config(more), (last, Duration::from_secs(ago)), now);
        let ten = When::Every(Duration::from_secs(10));
        assert_eq!((due(ten, "", 9), due(ten, "", 10)), (false, true), "whatever the clock says");
        let set = When::Configured(|config| config.lifecycle.verify);
        assert_eq!((due(set, "lifecycle.verify_s = 30", 29), due(set, "lifecycle.verify_s = 20", 29)), (false, true));
        assert!(!due(When::After("a test"), "", 1_000_000));
    }

    #[test]
    fn a_time_of_day_is_due_once_a_day_in_the_zone_of_the_trading_day_and_is_made_up_for_once() {
        let config = Config::builtin().unwrap();
        let two = When::Daily(civil::time(2, 0, 0, 0));
        let due = |last: &str, now: &str| two.is_due(&config, (at(last), Duration::ZERO), at(now));
        // 02:00 in Chicago is 08:00 in winter and 07:00 in summer
        for (last, now, expected) in [
            ("2025-01-06T07:00:00Z", "2025-01-06T07:59:59Z", false),
            ("2025-01-06T07:00:00Z", "2025-01-06T08:00:00Z", true),
            ("2025-01-06T08:00:00Z", "2025-01-06T23:00:00Z", false),
            ("2025-07-07T06:00:00Z", "2025-07-07T07:00:00Z", true),
            // a week later: once, and then not before the next morning
            ("2025-01-06T08:00:00Z", "2025-01-13T20:00:00Z", true),
            ("2025-01-13T20:00:00Z", "2025-01-14T07:59:00Z", false),
            // the hour that is left out: the clocks before it read it as 08:00
            ("2025-03-08T08:00:00Z", "2025-03-09T07:59:59Z", false),
            ("2025-03-08T08:00:00Z", "2025-03-09T08:00:00Z", true),
        ] {
            assert_eq!(due(last, now), expected, "{last} {now}");
        }
        // from one minute to the next over a year: as many as days, both changes of the clocks among them
        let (mut last, mut runs) = (at("2025-01-01T12:00:00Z"), 0);
        let end = at("2026-01-01T12:00:00Z");
        let mut now = last;
        while now < end {
            now += Duration::from_secs(600);
            if two.is_due(&config, (last, Duration::ZERO), now) {
                (last, runs) = (now, runs + 1);
            }
        }
        assert_eq!(runs, 365);
    }

    #[test]
    fn when_a_job_is_due_is_said_in_words() {
        let config = Config::builtin().unwrap();
        let words = [
            When::Every(Duration::from_millis(200)).words(&config),
            When::Configured(|config| config.lifecycle.verify).words(&config),
            When::Daily(civil::time(2, 0, 0, 0)).words(&config),
        ];
        assert_eq!(words, ["every 200ms", "every 60s", "daily at 02:00 America/Chicago"]);
    }
}
