//! Old records go out of the journal of a daemon that serves: on a thread of its own that stands back behind all others.
//!
//! It works on snapshots of the journal and gives the journal's thread small writes, with a pause behind each: what serves waits for
//! none of it. One order is carried out at a time; what a stop, a kill or a failing disk breaks off is gone on with at the next order.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use jiff::civil::Date;
use serde::Serialize;

use super::{
    acknowledge::all_stored,
    jobs::{JobLog, names},
    journal::JournalHandle,
    supervision::{Failures, Place},
};
use crate::{
    clock::Clock,
    config::Config,
    domain::{
        Event, EventKind, Timestamp,
        event::{By, Level},
    },
    journal::{ArchiveError, Hand, Planned, Reader, Step, Write},
    protocol::message::WireError,
    recall::archiving::{self, Archiving, cut_at},
};

/// The name of its thread.
pub const NAME: &str = "archivist";
/// How much the thread stands back.
const NICE: i32 = 15;
/// Pause behind each write, so that what others wait for is written in between.
const PAUSE: Duration = Duration::from_millis(20);

/// The latest order since the start, as `status` has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArchivingStatus {
    /// Its number since the start, from 1.
    pub number: u64,
    /// The first day that stays in the journal, in UTC.
    pub before: Date,
    /// When it was given.
    pub since: Timestamp,
    /// Whether it is being carried out.
    pub running: bool,
    /// Share done, 0 to 1, and of what.
    pub share: f64,
    /// What is being done.
    pub stage: String,
    /// What came of it, once it ended well.
    pub done: Option<String>,
    /// Why it was broken off, if it was.
    pub failed: Option<String>,
}

/// Takes orders to archive.
#[derive(Clone)]
pub struct Archivist(Arc<Inner>);

struct Inner {
    journal: JournalHandle,
    config: Arc<ArcSwap<Config>>,
    clock: Arc<dyn Clock>,
    failures: Failures,
    jobs: JobLog,
    desk: Mutex<Desk>,
}

#[derive(Default)]
struct Desk {
    latest: Option<ArchivingStatus>,
    stops: bool,
}

impl Archivist {
    /// One that archives `journal`.
    pub fn new(
        journal: JournalHandle,
        config: Arc<ArcSwap<Config>>,
        clock: Arc<dyn Clock>,
        failures: Failures,
        jobs: JobLog,
    ) -> Self {
        Self(Arc::new(Inner { journal, config, clock, failures, jobs, desk: Mutex::default() }))
    }

    /// Begins to move what came before a day out of the journal, and gives the number of the order.
    ///
    /// # Errors
    /// `busy` when another order is being carried out, `out_of_range` when trades of before the day may still be open.
    pub fn begin(&self, before: Date, by: &By) -> Result<u64, WireError> {
        let Self(inner) = self;
        let (now, config) = (inner.clock.now(), inner.config.load_full());
        let cut = cut_at(before, &config, now)
            .map_err(|why| WireError { field: Some("before".to_owned()), ..WireError::new("out_of_range", why) })?;
        let number = {
            let mut desk = inner.desk();
            let number = match &desk.latest {
                Some(latest) if latest.running => {
                    let message = format!("archiving {} is under way since {:.0}", latest.number, latest.since);
                    return Err(WireError::new("busy", message));
                }
                latest => latest.as_ref().map_or(1, |latest| latest.number + 1),
            };
            desk.latest = Some(ArchivingStatus {
                number,
                before,
                since: now,
                running: true,
                share: 0.0,
                stage: "begins".to_owned(),
                done: None,
                failed: None,
            });
            number
        };
        let (this, by) = (Arc::clone(inner), by.clone());
        let begun = thread::Builder::new().name(NAME.to_owned()).spawn(move || this.run(cut, &config, &by));
        begun.map(|_| number).map_err(|error| {
            let why = format!("no thread can be started: {error}");
            inner.end(Err(why.clone()));
            WireError::new("internal_error", why)
        })
    }

    /// The latest order since the start.
    pub fn status(&self) -> Option<ArchivingStatus> {
        self.0.desk().latest.clone()
    }

    /// Has it stop at its next step, with the daemon.
    pub fn stop(&self) {
        self.0.desk().stops = true;
    }
}

impl Inner {
    fn run(&self, cut: Timestamp, config: &Config, by: &By) {
        // this thread alone; where it is refused, it only competes a little more
        let _it_is_only_polite = rustix::process::nice(NICE);
        let running = self.jobs.begin(names::ARCHIVE);
        let mut hand = &self.journal;
        let archived = self
            .failures
            .caught(Place::Archiving, || archiving::run(&mut hand, config, cut, &mut |done| self.goes_on(&done)));
        let done = match archived {
            Ok(Ok(planned)) => Ok(words(&planned)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(format!("its thread failed: {panic}")),
        };
        match &done {
            Ok(words) => self.alert(Level::Info, "archived", format!("{words}; ordered by {by}")),
            Err(why) => self.alert(Level::Warning, "archive_failed", format!("the archiving was broken off: {why}")),
        }
        running.end(done.clone().map(Into::into));
        self.end(done);
    }

    /// Notes how far it is. Says whether it is to go on.
    fn goes_on(&self, done: &Archiving) -> bool {
        let (at, of, stage) = match done {
            Archiving::Finishing => {
                thread::sleep(PAUSE);
                (0, 1, "finishing an earlier archiving")
            }
            Archiving::Folding { at, cut } => (*at, *cut, "reading the journal"),
            Archiving::Moving { month, written, of, step } => {
                if matches!(step, Step::Removed(_)) {
                    thread::sleep(PAUSE);
                }
                (*written, *of, month.as_str())
            }
        };
        let mut desk = self.desk();
        if let Some(latest) = &mut desk.latest {
            latest.share = at as f64 / of.max(1) as f64;
            stage.clone_into(&mut latest.stage);
        }
        !desk.stops
    }

    fn end(&self, done: Result<String, String>) {
        if let Some(latest) = &mut self.desk().latest {
            latest.running = false;
            (latest.done, latest.failed) = match done {
                Ok(words) => (Some(words), None),
                Err(why) => (None, Some(why)),
            };
        }
    }

    fn alert(&self, level: Level, code: &'static str, message: String) {
        tracing::info!(code, "{message}");
        let kind = EventKind::Alert { level, code: code.into(), message };
        let _it_is_logged = self.journal.write_behind(Write::Event(Event { at: self.clock.now(), kind }));
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hand for &JournalHandle {
    fn reader(&mut self) -> Result<Reader, ArchiveError> {
        self.read_blocking().map_err(|error| ArchiveError::Refused(error.to_string()))
    }

    fn write(&mut self, write: Write) -> Result<(), ArchiveError> {
        let stored = all_stored(self.write_blocking(vec![write]));
        stored.map(drop).map_err(|error| ArchiveError::Refused(error.message))
    }
}

/// What was moved, in words.
fn words(planned: &[Planned]) -> String {
    match planned {
        [] => "nothing to archive: what came before that day is archived already, or there is nothing".to_owned(),
        [first, .., last] | [first @ last] => format!(
            "{} records of {} to {} are in {} archived files",
            planned.iter().map(|planned| planned.records).sum::<u64>(),
            first.month,
            last.month,
            planned.len()
        ),
    }
}
