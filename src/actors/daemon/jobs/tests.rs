//! The thread with a journal, over several lives.

use std::{collections::BTreeSet, sync::Mutex};

use jiff::civil;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::{
    actors::{
        jobs::{JobStatus, Running},
        journal,
    },
    journal::{Reached, SilenceFile, Store, StoreOptions},
    protocol::listen::{SocketFile, listen},
    schedule::{Appointment, Rhythm},
};

/// One that beats, and one that the test runs as the serving thread would.
static TABLE: &[Job] = &[
    Job { name: "beat", does: "beats", when: When::Every(BEAT), work: Work::Disk(Disk::look_for_kill_file) },
    Job {
        name: "quality",
        does: "looks at the data",
        when: When::At(|_| Some(Appointment { rhythm: Rhythm::Daily, time: civil::time(2, 0, 0, 0) })),
        work: Work::Serving(|_| done("all is well")),
    },
];

struct At(Mutex<Timestamp>);

impl Clock for At {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A folder with a journal.
struct Place {
    folder: TempDir,
    runtime: Runtime,
}

/// A thread of jobs with its journal.
struct Life<'a> {
    place: &'a Place,
    journal: JournalHandle,
    log: JobLog,
    clock: Arc<At>,
    serving: Arc<ArcSwap<Serving>>,
    dues: mpsc::Receiver<&'static Job>,
    beats: mpsc::Receiver<bool>,
    _socket: SocketFile,
}

impl Place {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { folder: tempfile::tempdir().unwrap(), runtime }
    }

    /// A daemon starts at `now`.
    fn life(&self, now: &str) -> Life<'_> {
        let _entered = self.runtime.enter();
        let path = |name: &str| self.folder.path().join(name);
        let options = StoreOptions { cache_bytes: 1 << 20, verify: false };
        let config = Config::builtin().unwrap();
        let (failures, _told) = Failures::new(crate::actors::supervision::Tripwire::default());
        let journal = journal::start(
            Store::open(&path("journal.redb"), options).unwrap(),
            SilenceFile::open(&path("silenced")).unwrap(),
            Reached::open(&path("reached")),
            Box::new(|_| panic!("it does not fail")),
            config.journal.clone(),
            failures.clone(),
        )
        .unwrap();
        let clock = Arc::new(At(Mutex::new(now.parse().unwrap())));
        let log = JobLog::new(Arc::clone(&clock) as Arc<dyn Clock>, about(TABLE));
        log.read(&journal.read_blocking().unwrap()).unwrap();
        let (is_killed, beats) = mpsc::channel(1);
        let (displaced, _nobody) = mpsc::unbounded_channel();
        let (_listener, socket) = listen(&path("vigie.sock")).unwrap();
        let serving = Arc::new(ArcSwap::from_pointee(Serving::default()));
        let dues = start(Times {
            jobs: TABLE,
            log: log.clone(),
            journal: journal.clone(),
            config: Arc::new(ArcSwap::from_pointee(config)),
            serving: Arc::clone(&serving),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            failures,
            apart: None,
            is_wall_clock: true,
            disk: Disk { kill_file: path("KILL"), is_killed, socket: socket.watch(), displaced },
        });
        Life { place: self, journal, log, clock, serving, dues: dues.unwrap(), beats, _socket: socket }
    }
}

impl Life<'_> {
    fn is_now(&self, now: &str) {
        *self.clock.0.lock().unwrap() = now.parse().unwrap();
    }

    /// The job that is due, when the journal knows of it; its run begins.
    fn due(&mut self) -> Running {
        let job = self.dues.blocking_recv().unwrap();
        assert_eq!(job.name, "quality");
        self.log.begin(job.name)
    }

    /// Nothing is due within some beats.
    fn nothing_is_due(&mut self) {
        for _ in 0..5 {
            self.beats.blocking_recv().unwrap();
        }
        assert!(self.dues.try_recv().is_err());
    }

    fn quality(&self) -> JobStatus {
        self.log.status(&Config::builtin().unwrap()).remove(1)
    }

    /// The daemon ends in good order: what is known is handed over, and the journal closed.
    fn stop(self) {
        self.log.hand_over(&self.journal);
        self.kill();
    }

    /// It ends, and what the journal was not handed is lost.
    fn kill(self) {
        let Life { place, journal, dues, .. } = self;
        drop(dues);
        place.runtime.block_on(journal.stop()).unwrap();
    }
}

#[test]
fn a_run_by_the_clock_survives_a_restart_and_what_was_missed_is_caught_up_for_once() {
    let place = Place::new();
    // 02:00 in Chicago is 07:00 UTC in summer
    let mut life = place.life("2025-07-07T06:59:00Z");
    life.nothing_is_due();
    assert_eq!(life.quality().next, Some("2025-07-07T07:00:00Z".parse().unwrap()));
    life.is_now("2025-07-07T07:00:00Z");
    let running = life.due();
    assert!(life.quality().running);
    life.nothing_is_due();
    running.end(Ok("two gaps".into()));
    life.nothing_is_due();
    life.stop();

    let mut life = place.life("2025-07-07T23:00:00Z");
    life.nothing_is_due();
    let last = life.quality().last.unwrap();
    assert_eq!((last.at, last.found.as_ref()), ("2025-07-07T07:00:00Z".parse().unwrap(), "two gaps"));
    assert!(last.took_us.is_some() && life.quality().runs == 0);
    assert_eq!(last.why, "it was due at 2025-07-07T07:00:00Z");
    life.stop();

    // ten days later
    let mut life = place.life("2025-07-17T12:00:00Z");
    let running = life.due();
    running.end(Err("no data".to_owned()));
    life.nothing_is_due();
    let said = life.quality();
    assert_eq!((said.runs, said.failures, said.last.clone()), (1, 1, said.last_failure));
    assert_eq!(said.last.unwrap().why, "it was due at 2025-07-17T07:00:00Z, when the daemon was down");
    life.stop();

    let mut life = place.life("2025-07-17T13:00:00Z");
    life.nothing_is_due();
    assert_eq!(life.quality().last_failure.unwrap().found, "no data");
    life.kill();
}

#[test]
fn a_run_that_the_end_of_the_daemon_cuts_short_is_known_and_begun_again_but_not_for_ever() {
    let place = Place::new();
    place.life("2025-07-07T06:00:00Z").stop();
    for attempt in 1..=3 {
        let mut life = place.life("2025-07-07T12:00:00Z");
        let _broken_off = std::mem::ManuallyDrop::new(life.due());
        assert_eq!(life.quality().last.is_some(), attempt > 1);
        life.kill();
    }
    let mut life = place.life("2025-07-07T12:00:00Z");
    life.nothing_is_due();
    let last = life.quality().last.unwrap();
    assert_eq!((last.took_us, last.found.as_ref()), (None, "the end of the daemon cut it short"));
    life.is_now("2025-07-08T07:00:00Z");
    life.due().end(Ok("all is well".into()));
    life.stop();
}

#[test]
fn nothing_begins_in_an_emergency_nor_before_the_journal_knows_of_it() {
    let place = Place::new();
    let mut life = place.life("2025-07-07T06:59:00Z");
    life.serving.store(Arc::new(Serving { lock: Some("a test".to_owned()), ..Serving::default() }));
    life.is_now("2025-07-07T07:00:00Z");
    life.nothing_is_due();
    assert_eq!(life.quality().waits_since, Some("2025-07-07T07:00:00Z".parse().unwrap()));
    life.serving.store(Arc::default());
    life.due().end(Ok("all is well".into()));
    assert_eq!(life.quality().waits_since, None);
    place.runtime.block_on(life.journal.stop()).unwrap();
    life.is_now("2025-07-08T07:00:00Z");
    life.nothing_is_due();
}

#[test]
fn each_job_has_a_name_of_its_own_and_no_period_is_shorter_than_the_beat() {
    let names: BTreeSet<&str> = JOBS.iter().map(|job| job.name).collect();
    assert_eq!(names.len(), JOBS.len());
    for job in JOBS {
        assert!(!matches!(job.when, When::Every(period) if period < BEAT), "{}", job.name);
        let by_others = matches!(job.when, When::After(_));
        assert!(!by_others || matches!(job.work, Work::Own(_)), "{}: nobody would run it", job.name);
        let by_the_clock = matches!(job.when, When::At(_));
        assert!(!by_the_clock || !matches!(job.work, Work::Own(_)), "{}: nobody would begin it", job.name);
    }
}
