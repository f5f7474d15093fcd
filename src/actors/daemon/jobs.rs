//! The table of what recurs in the daemon, and the thread that keeps its times.
//!
//! A new job is a row of [`JOBS`] with its function; `status` shows it and what came of its last run. The serving thread has no
//! timer of its own, since each one would be set again with every request: its jobs are called by the beat of this thread. What
//! may wait for a disk runs here, one after the other. Work that takes long has a thread of its own, and notes what it did.
//!
//! What is due by the clocks of the exchange is said by [`schedule`](crate::schedule). It begins when the journal knows of it.

use std::{borrow::Cow, future::ready, io, path::PathBuf, pin::Pin, sync::Arc, thread, time::Duration};

use arc_swap::ArcSwap;
use jiff::SignedDuration;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::{
    apart::{self, Apart},
    parts::Parts,
};
use crate::{
    actors::{
        archivist,
        guardian::{EndLock, Verified, Verify},
        jobs::{About, Announced, Done, JobLog, JobStatus, When, names},
        journal::JournalHandle,
        keeper, kill_file,
        monitor::{self, Finding},
        supervision::{Failures, Place},
    },
    clock::{Clock, Stopwatch, WallClock},
    config::Config,
    domain::Timestamp,
    guard::integrity::check_clock,
    journal::{Reader, StoreError},
    policy::serving::Serving,
    protocol::listen::{Displaced, SocketWatch},
};

/// How often the thread looks which jobs are due. No period is shorter.
const BEAT: Duration = Duration::from_millis(200);

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    /// Its name in `status`.
    name: &'static str,
    /// What it does, in a line.
    does: &'static str,
    when: When,
    work: Work,
}

/// What a job does, and where.
#[derive(Debug)]
enum Work {
    /// On the serving thread: it touches no disk, and waits for messages only.
    Serving(fn(&Parts) -> Doing),
    /// On the thread of the jobs: it may wait for a disk, and keeps the others waiting meanwhile.
    Disk(fn(&mut Disk) -> Done),
    /// On a thread of its own that stands back, begun by the thread of the jobs.
    Apart(apart::Doing),
    /// On a thread of its own, of this name, which notes each run.
    Own(&'static str),
}

type Doing = Pin<Box<dyn Future<Output = Done>>>;

/// All of them.
pub(super) static JOBS: &[Job] = &[
    Job {
        name: "kill_file",
        does: "looks for the kill file",
        when: When::Every(BEAT),
        work: Work::Disk(Disk::look_for_kill_file),
    },
    Job {
        name: "socket_file",
        does: "makes the socket's file again when it is gone",
        when: When::Every(BEAT),
        work: Work::Disk(Disk::look_for_socket),
    },
    Job {
        name: "round",
        does: "has the A/B router look at the time, which closes sessions and tests that are due",
        when: When::Every(Duration::from_secs(1)),
        work: Work::Serving(Parts::round),
    },
    Job {
        name: "verify",
        does: "compares what is served with what the journal says is live",
        when: When::Configured(|config| config.lifecycle.verify),
        work: Work::Serving(Parts::verify),
    },
    Job {
        name: "clock",
        does: "compares the wall clock with the time that passed",
        when: When::Every(Duration::from_secs(1)),
        work: Work::Serving(Parts::compare_clocks),
    },
    Job {
        name: "lock_end",
        does: "ends a lock at the time at which it was to end",
        when: When::Every(Duration::from_secs(1)),
        work: Work::Serving(Parts::end_lock),
    },
    Job {
        name: names::DAY_CLOSE,
        does: "judges the versions in service",
        when: When::After("a trading day has closed"),
        work: Work::Own(monitor::NAME),
    },
    Job {
        name: names::CHECKPOINT,
        does: "writes a checkpoint, so that a start reads only what was recorded after it",
        when: When::After("10,000 records have come since the last one, or the daemon stops"),
        work: Work::Own(keeper::NAME),
    },
    Job {
        name: names::CHECKPOINT_CHECK,
        does: "compares the checkpoint that the daemon began from with the whole journal",
        when: When::After("a start from a checkpoint"),
        work: Work::Own(keeper::NAME),
    },
    Job {
        name: names::ARCHIVE,
        does: "moves old records out of the journal into files beside it",
        when: When::After("`vigie archive`"),
        work: Work::Own(archivist::NAME),
    },
    Job {
        name: names::DATA_QUALITY,
        does: "looks at the signals and outcomes that came for what is newly wrong with them",
        when: When::At(|config| config.schedule.data_quality),
        work: Work::Apart(Apart::data_quality),
    },
    Job {
        name: names::REVIEW,
        does: "writes the review of the time since the one before",
        when: When::At(|config| config.schedule.review),
        work: Work::Apart(Apart::review),
    },
    Job {
        name: names::RETRAINING,
        does: "considers for each symbol whether it is to be trained again, and trains it if so",
        when: When::At(|config| config.schedule.retraining),
        work: Work::Apart(Apart::retraining),
    },
    Job {
        name: names::WATCHDOG,
        does: "feeds the service manager's watchdog when a probe through the scoring path and the journal comes back",
        when: When::After("each third of the service manager's WatchdogSec"),
        work: Work::Own("watchdog"),
    },
];

/// What jobs look at that may be on a disk, and whom they tell.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) kill_file: PathBuf,
    /// Whether it is there. What is not taken before the next look is as good as the next.
    pub(super) is_killed: mpsc::Sender<bool>,
    pub(super) socket: SocketWatch,
    /// What was found where the socket's file should be.
    pub(super) displaced: mpsc::UnboundedSender<Displaced>,
}

/// What these jobs are, for people.
pub(super) fn about(jobs: &[Job]) -> Vec<About> {
    let about = |job: &Job| {
        let thread = match job.work {
            Work::Serving(_) => "main",
            Work::Disk(_) => "jobs",
            Work::Apart(_) => apart::NAME,
            Work::Own(thread) => thread,
        };
        // one that recurs by a period runs again soon, and so does the watchdog's
        let is_stored = matches!(job.when, When::At(_) | When::After(_)) && job.name != names::WATCHDOG;
        About { name: job.name, does: job.does, when: job.when, thread, is_stored }
    };
    jobs.iter().map(about).collect()
}

/// What recurs by the clocks of the exchange, as `reader` has it.
///
/// # Errors
/// When the journal cannot be read.
pub fn of_schedule(reader: &Reader, config: &Config) -> Result<Vec<JobStatus>, StoreError> {
    let jobs: Vec<About> = about(JOBS).into_iter().filter(|job| matches!(job.when, When::At(_))).collect();
    let log = JobLog::new(Arc::new(WallClock), jobs);
    log.read_beside(reader)?;
    Ok(log.status(config))
}

/// What the thread goes by.
pub(super) struct Times {
    /// The jobs, each with a name of its own.
    pub(super) jobs: &'static [Job],
    pub(super) log: JobLog,
    /// Knows of the runs whose last ones are stored.
    pub(super) journal: JournalHandle,
    pub(super) config: Arc<ArcSwap<Config>>,
    /// Says whether there is an emergency.
    pub(super) serving: Arc<ArcSwap<Serving>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) failures: Failures,
    pub(super) disk: Disk,
    /// What the work of the schedule is done with; `None` where a table has none.
    pub(super) apart: Option<Apart>,
    /// Whether the clock is the wall's. Where time comes from the messages what is due by the clocks of the exchange does not begin by
    /// itself: a year of it may pass within a minute.
    pub(super) is_wall_clock: bool,
}

/// Starts the thread, which ends when nobody listens any more. The jobs of the serving thread come out of the other end as
/// they are due.
///
/// # Errors
/// What the system says when it gives no thread.
pub(super) fn start(times: Times) -> io::Result<mpsc::Receiver<&'static Job>> {
    let (due, dues) = mpsc::channel(times.jobs.len().max(1));
    thread::Builder::new().name("jobs".to_owned()).spawn(move || times.run(&due))?;
    Ok(dues)
}

impl Times {
    fn run(mut self, due: &mpsc::Sender<&'static Job>) {
        let started = self.clock.now();
        let mut begun: Vec<_> = self.jobs.iter().map(|job| (job, Stopwatch::start())).collect();
        let (mut announced, mut handed) = (None, None);
        while !due.is_closed() {
            for (job, begun) in &mut begun {
                if job.when.has_passed(&self.config.load(), begun.elapsed()) && self.begin(job, due) {
                    *begun = Stopwatch::start();
                }
            }
            self.by_the_clock(started, &mut announced, due);
            if handed.as_mut().is_none_or(|handed| self.log.is_settled(handed)) {
                handed = self.log.hand_over(&self.journal);
            }
            thread::sleep(BEAT);
        }
    }

    /// Announces the run that is due by the clocks of the exchange, and begins it when the journal knows of it.
    fn by_the_clock(
        &mut self,
        started: Timestamp,
        announced: &mut Option<Announced>,
        due: &mpsc::Sender<&'static Job>,
    ) {
        if announced.is_none() {
            *announced = self.log.ordered();
        }
        if self.serving.load().emergency().is_some() {
            return;
        }
        if announced.is_none() && self.is_wall_clock {
            *announced = self.log.announce(&self.config.load(), started);
        }
        let next = announced.filter(|announced| self.log.knows(*announced));
        let job = next.and_then(|next| self.jobs.iter().find(|job| job.name == next.name));
        if job.is_some_and(|job| self.begin(job, due)) {
            *announced = None;
        }
    }

    /// Begins a run, or has the serving thread do so. False when that is not possible now.
    fn begin(&mut self, job: &'static Job, due: &mpsc::Sender<&'static Job>) -> bool {
        match job.work {
            Work::Own(_) => false,
            Work::Disk(work) => {
                let running = self.log.begin(job.name);
                running.end(self.failures.caught(Place::DiskJob, || work(&mut self.disk)).flatten());
                true
            }
            Work::Apart(doing) => {
                let apart = self.apart.as_ref();
                apart.is_some_and(|apart| {
                    apart.begin(job.name, self.log.begin(job.name), doing);
                    true
                })
            }
            Work::Serving(_) => due.try_send(job).is_ok(),
        }
    }
}

impl Disk {
    fn look_for_kill_file(&mut self) -> Done {
        let there = kill_file::is_there(&self.kill_file);
        match self.is_killed.try_send(there) {
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(if there { "it is there" } else { "it is not there" }.into()),
            Err(TrySendError::Full(_)) => Err("the serving thread has not taken the last look yet".to_owned()),
        }
    }

    fn look_for_socket(&mut self) -> Done {
        let Some(found) = self.socket.look() else { return Ok("it is there".into()) };
        let done = match &found {
            Displaced::MadeAgain(_) => Ok("it was gone, and was made again".into()),
            Displaced::Lost(error) => Err(error.to_string()),
        };
        let _the_daemon_may_be_gone = self.displaced.send(found);
        done
    }
}

impl Parts {
    /// Runs a job of the serving thread that is due, unless its last run is still under way.
    pub(super) fn run(&self, job: &'static Job) {
        let Work::Serving(work) = job.work else { return };
        if self.jobs.is_under_way(job.name) {
            return;
        }
        let (running, failures) = (self.jobs.begin(job.name), self.failures.clone());
        let doing = failures.caught(Place::ServingJob, || work(self));
        actix::spawn(async move {
            running.end(match doing {
                Ok(doing) => failures.caught_future(Place::ServingJob, doing).await.flatten(),
                Err(panic) => Err(panic),
            });
        });
    }

    fn round(&self) -> Doing {
        self.trade_news.ring();
        done("it was told")
    }

    /// On this thread and not on one that may be busy for long: a model that speaks by a clock that is wrong is to be silenced now.
    fn compare_clocks(&self) -> Doing {
        if !self.is_wall_clock {
            return done("not compared: the time is that of the messages");
        }
        let now = self.clock.now();
        let (then, since) = self.looked_at.replace((now, Stopwatch::start()));
        let tolerance = self.config.load().monitoring.clock_tolerance.as_secs_f64();
        let Some(fault) = check_clock(then, now, since.elapsed().as_secs_f64(), tolerance) else {
            return done("they agree");
        };
        let why = fault.to_string();
        let told = self.guardian.send(Finding::Broken(fault));
        Box::pin(async move {
            // a guardian that is restarting is told as soon as it is there, and no model speaks meanwhile
            told.await.map_err(|error| error.to_string())?;
            Err(why)
        })
    }

    /// In doubt it stays locked: of a clock that was set forward since the start the time that passed by the other clock counts, and of
    /// one that was set back its own.
    fn end_lock(&self) -> Doing {
        let (began, since) = &self.began;
        let passed = SignedDuration::try_from(since.elapsed()).ok().and_then(|passed| began.checked_add(passed).ok());
        let now = match passed.filter(|_| self.is_wall_clock) {
            Some(passed) => passed.min(self.clock.now()),
            None => self.clock.now(),
        };
        let ended = self.guardian.send(EndLock(now));
        Box::pin(async move {
            match ended.await {
                Ok(Ok(None)) => Ok("no lock is to end".into()),
                Ok(Ok(Some(ended))) => Ok(ended.done.into()),
                Ok(Err(why)) => Err(format!("it stays locked: {why}")),
                Err(error) => Err(error.to_string()),
            }
        })
    }

    fn verify(&self) -> Doing {
        let verify = self.guardian.send(Verify);
        Box::pin(async move {
            match verify.await {
                Ok(Verified::Same) => Ok("it is the same".into()),
                Ok(Verified::NotCompared) => {
                    Ok("not compared: serving is locked, or something is being changed".into())
                }
                Ok(Verified::Differs) => Err("it differs, and serving is locked".to_owned()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}

fn done(found: &'static str) -> Doing {
    Box::pin(ready(Ok(Cow::Borrowed(found))))
}

#[cfg(test)]
mod tests;
