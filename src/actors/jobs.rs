//! What recurs in the daemon: when each job is due, and what came of its last run.
//!
//! `daemon::jobs` has the table of them. Whoever runs one notes it here, from whatever thread it runs on; `status` shows it. The last
//! runs of jobs that do not recur by a mere period are stored in the journal, so that a daemon that starts knows them.

mod order;
mod stored;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::{order::NotOrdered, stored::Handed};
use crate::{
    clock::{Clock, Stopwatch},
    config::Config,
    domain::Timestamp,
    schedule::{self, Appointment, Past},
};

/// The names of the jobs that run on threads of their own.
pub mod names {
    /// The archivist moves old records out of the journal.
    pub const ARCHIVE: &str = "archive";
    /// The keeper writes a checkpoint.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The keeper compares the checkpoint that the daemon began from with the whole log.
    pub const CHECKPOINT_CHECK: &str = "checkpoint_check";
    /// What came is looked at for faults.
    pub const DATA_QUALITY: &str = "data_quality";
    /// The monitor judges a version when a trading day has closed.
    pub const DAY_CLOSE: &str = "day_close";
    /// A retraining is considered.
    pub const RETRAINING: &str = "retraining";
    /// A review is written.
    pub const REVIEW: &str = "review";
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
    /// At a time of day in the zone of the trading day, on the days that the configuration says; `None` where it is switched off. What
    /// was missed while the daemon was down is caught up for once. One such job runs at a time, and none begins in an emergency.
    At(fn(&Config) -> Option<Appointment>),
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
    /// Whether its last runs are stored in the journal.
    pub is_stored: bool,
}

/// What came of a run: what was found, or why it failed, in words.
pub type Done = Result<Cow<'static, str>, String>;

/// A job and its last runs, as `status` has them. Runs are counted since the daemon started; the last ones may be of before.
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
    /// When it will be due next by the clocks of the exchange; `None` of a job that is due otherwise.
    pub next: Option<Timestamp>,
    /// Since when a run is due that has not begun, by the same clocks.
    pub waits_since: Option<Timestamp>,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// When it began, by the daemon's clock.
    pub at: Timestamp,
    /// How long it took, in microseconds; `None` of one that the end of the daemon cut short.
    pub took_us: Option<u64>,
    /// Why it ran.
    pub why: Cow<'static, str>,
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
    /// A run that was ordered, and that the thread of the jobs has not taken yet.
    ordered: Mutex<Option<Announced>>,
    /// Held while runs are handed to the journal, so that of two the later is written later.
    handing: Mutex<()>,
}

#[derive(Default)]
struct Runs {
    /// When the run under way began, and why.
    under_way: Option<(Timestamp, Cow<'static, str>)>,
    /// Whether that run was announced: the journal knows then that it began. Of others, of which many find nothing to do, it knows the end.
    is_announced: bool,
    /// The same of a run that is to begin, which the journal is to know of first.
    announced: Option<(Timestamp, Cow<'static, str>)>,
    count: u64,
    failures: u64,
    last: Option<Run>,
    last_failure: Option<Run>,
    /// What the times at which it is due go by; `None` until the journal was read.
    past: Option<Past>,
    /// Grows with each change.
    revision: u64,
    /// The latest change that is on disk.
    stored: u64,
}

/// A run that is to begin once the journal knows that it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Of which job.
    pub name: &'static str,
    revision: u64,
}

/// A run under way. One that is dropped before its end has failed.
pub struct Running {
    log: JobLog,
    name: &'static str,
    since: Stopwatch,
    is_over: bool,
}

impl When {
    /// Whether the period of a job is over that was begun `ago` before; or, if it never was, when the daemon started.
    pub fn has_passed(self, config: &Config, ago: Duration) -> bool {
        match self {
            Self::Every(period) => ago >= period,
            Self::Configured(period) => ago >= period(config),
            Self::At(_) | Self::After(_) => false,
        }
    }

    fn appointment(self, config: &Config) -> Option<Appointment> {
        if let Self::At(appointment) = self { appointment(config) } else { None }
    }

    /// Why a run begins that nobody announced.
    fn why(self) -> Cow<'static, str> {
        match self {
            Self::Every(_) | Self::Configured(_) => "its period was over".into(),
            Self::At(_) => "its time had come".into(),
            Self::After(what) => what.into(),
        }
    }

    fn words(self, config: &Config) -> String {
        match self {
            Self::Every(period) => format!("every {period:?}"),
            Self::Configured(period) => format!("every {:?}", period(config)),
            Self::At(appointment) => {
                let words = |appointment: Appointment| appointment.words(config.calendar.zone());
                appointment(config).map_or_else(|| "switched off".to_owned(), words)
            }
            Self::After(what) => what.to_owned(),
        }
    }
}

impl JobLog {
    /// For these jobs, none of which has run.
    pub fn new(clock: Arc<dyn Clock>, jobs: Vec<About>) -> Self {
        Self(Arc::new(Shared {
            clock,
            jobs,
            runs: Mutex::default(),
            ordered: Mutex::default(),
            handing: Mutex::default(),
        }))
    }

    /// A run of a job begins.
    pub fn begin(&self, name: &'static str) -> Running {
        let at = self.0.clock.now();
        let usual = || self.0.jobs.iter().find(|job| job.name == name).map_or(Cow::default(), |job| job.when.why());
        self.of(name, |runs| {
            let announced = runs.announced.take();
            runs.is_announced = announced.is_some();
            runs.revision += u64::from(runs.is_announced);
            runs.under_way = Some((at, announced.map_or_else(usual, |(_, why)| why)));
        });
        Running { log: self.clone(), name, since: Stopwatch::start(), is_over: false }
    }

    /// The run that is due by the clocks of the exchange, when none such is under way or announced. It begins when the journal
    /// knows of it, see [`Self::knows`]: so one that ends the daemon is not begun again for ever. `started` is when the daemon did.
    pub fn announce(&self, config: &Config, started: Timestamp) -> Option<Announced> {
        let now = self.0.clock.now();
        let mut all = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.busy(&all).is_some() {
            return None;
        }
        let job = |job: &About| {
            let (appointment, runs) = job.when.appointment(config).zip(all.get(job.name))?;
            runs.past.map(|past| (job.name, appointment, past))
        };
        let jobs: Vec<_> = self.0.jobs.iter().filter_map(job).collect();
        let due = schedule::due(jobs, config.calendar.zone(), config.schedule.quiet, (started, now))?;
        let (name, runs) = all.iter_mut().find(|(name, _)| **name == due.name)?;
        runs.past.as_mut()?.begin(due.at);
        runs.announced = Some((now, due.why.words(due.at).into()));
        runs.revision += 1;
        Some(Announced { name, revision: runs.revision })
    }

    /// The job of the schedule of which a run is under way or announced, and since when.
    fn busy(&self, all: &BTreeMap<&'static str, Runs>) -> Option<(&'static str, Timestamp)> {
        self.0.jobs.iter().filter(|job| matches!(job.when, When::At(_))).find_map(|job| {
            let runs = all.get(job.name)?;
            let (since, _) = runs.under_way.as_ref().or(runs.announced.as_ref())?;
            Some((job.name, *since))
        })
    }

    /// Whether the journal knows that a run is to begin.
    pub fn knows(&self, announced: Announced) -> bool {
        self.of(announced.name, |runs| runs.stored >= announced.revision)
    }

    /// Whether a run of a job has begun and not ended.
    pub fn is_under_way(&self, name: &'static str) -> bool {
        self.of(name, |runs| runs.under_way.is_some())
    }

    /// Each job with its last runs.
    pub fn status(&self, config: &Config) -> Vec<JobStatus> {
        let (now, zone) = (self.0.clock.now(), config.calendar.zone());
        let runs = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let status = |job: &About| {
            let About { name, does, when, thread, .. } = *job;
            let (runs, appointment) = (runs.get(name), when.appointment(config));
            let waits = |past: Past| past.missed(appointment?, zone, now);
            let running = runs.is_some_and(|runs| runs.under_way.is_some());
            JobStatus {
                name,
                does,
                when: when.words(config),
                thread,
                next: appointment.and_then(|appointment| appointment.next(zone, now)),
                waits_since: runs.filter(|_| !running).and_then(|runs| waits(runs.past?)),
                running,
                runs: runs.map_or(0, |runs| runs.count),
                failures: runs.map_or(0, |runs| runs.failures),
                last: runs.and_then(|runs| runs.last.clone()),
                last_failure: runs.and_then(|runs| runs.last_failure.clone()),
            }
        };
        self.0.jobs.iter().map(status).collect()
    }

    fn note(&self, name: &'static str, took: Duration, done: Done) {
        let has_failed = done.is_err();
        let found = done.unwrap_or_else(Cow::Owned);
        let took_us = Some(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.of(name, |runs| {
            let Some((at, why)) = runs.over() else { return };
            let run = Run { at, took_us, why, found };
            runs.revision += 1;
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

impl Runs {
    /// The run under way is over. Gives back when it began, and why.
    fn over(&mut self) -> Option<(Timestamp, Cow<'static, str>)> {
        self.past.iter_mut().for_each(Past::end);
        self.revision += u64::from(std::mem::take(&mut self.is_announced));
        self.under_way.take()
    }
}

impl Running {
    /// When it began, and why.
    pub fn about(&self) -> (Timestamp, String) {
        let under_way = self.log.of(self.name, |runs| runs.under_way.clone());
        under_way.map_or_else(|| (self.log.0.clock.now(), String::new()), |(at, why)| (at, why.into_owned()))
    }

    /// It ended.
    pub fn end(mut self, done: Done) {
        self.is_over = true;
        self.log.note(self.name, self.since.elapsed(), done);
    }

    /// There was nothing to do: it does not count.
    pub fn was_none(mut self) {
        self.is_over = true;
        self.log.of(self.name, |runs| drop(runs.over()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.log.note(self.name, self.since.elapsed(), Err("it broke off".to_owned()));
        }
    }
}

#[cfg(test)]
mod tests;
