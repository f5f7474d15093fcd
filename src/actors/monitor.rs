//! The monitor: watches what the versions in service do, on a thread of its own, and tells the guardian what it finds when a
//! trading day closes.
//!
//! Nobody waits for it. News goes through a bounded queue; what does not fit is dropped and counted, and handing it over
//! wakes the thread only when much waits, so that a score pays for no switch of threads. What it knows is a fold over the
//! journal: it is made from there at the start, after a panic, and when a version goes into service.

mod line;
mod make;

pub use line::{Inbox, MonitorHandle, channel};
pub use make::READS;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

use actix::{Message, Recipient};
use arc_swap::ArcSwap;
use serde::Serialize;

use self::line::{Line, MonitorMessage};
use super::{
    jobs::{JobLog, Running, names},
    journal::JournalHandle,
    supervision::{Failures, Place, Tries},
};
use crate::{
    clock::{Clock, Stopwatch},
    config::Config,
    domain::{EventKind, Timestamp, TradeId, TradingDay, VersionId},
    guard::{
        alarm::Alarm,
        integrity::IntegrityFault,
        monitor::Rolling,
        watch::{JudgedDays, Judgement, VersionView, Watch, WatchNews, WatchedVersion},
    },
    policy::serving::Serving,
};

/// The actor's name.
pub const NAME: &str = "monitor";
/// Shortest and longest sleep between two looks at the queue.
const NAPS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
/// How often the time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How much it stands back behind the serving thread when there are not enough processors.
const NICE: i32 = 10;

/// What the monitor found, for the guardian.
#[derive(Debug, Clone)]
pub enum Finding {
    /// A version when a trading day has closed.
    Judged(Box<Judgement>),
    /// A fault after which no figure means anything.
    Broken(IntegrityFault),
    /// An alert.
    Alert(EventKind),
}

impl Message for Finding {
    type Result = ();
}

/// How the monitor is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MonitorStatus {
    /// The trading day of the latest news.
    pub day: Option<TradingDay>,
    /// News that waits.
    pub waiting: usize,
    /// News that was dropped since the start.
    pub dropped: u64,
    /// Signals that wait for their outcome.
    pub open: usize,
    /// Trades without an outcome that had to make room for newer ones.
    pub left_out: usize,
    /// Conditions that hold.
    pub alarms: Vec<Alarm>,
    /// The versions of which something is not watched, and why: too short a validation, or labels that do not come.
    pub unwatched: BTreeMap<VersionId, Box<str>>,
    /// Figures over the latest trades, by model, arm, symbol and regime.
    pub rolling: BTreeMap<Box<str>, Rolling>,
}

/// Everything that is measured of the versions in service.
pub type DriftStatus = BTreeMap<VersionId, VersionView>;

/// What the monitor reads, and whom it tells.
pub struct Surroundings {
    /// The configuration in force.
    pub config: Arc<ArcSwap<Config>>,
    /// What is served, and so who is watched.
    pub serving: Arc<ArcSwap<Serving>>,
    /// Where it is made from.
    pub journal: JournalHandle,
    /// The daemon's clock.
    pub clock: Arc<dyn Clock>,
    /// Who is told what it finds.
    pub guardian: Recipient<Finding>,
    /// Who is told when it fails.
    pub failures: Failures,
    /// Where its jobs note what they did.
    pub jobs: JobLog,
}

impl Inbox {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says when it gives no thread.
    pub fn start(self, surroundings: Surroundings) -> std::io::Result<()> {
        let Inbox { told, shared } = self;
        let line = Arc::clone(&shared);
        let monitor = Monitor {
            ticked: None,
            surroundings,
            line,
            known: BTreeMap::new(),
            told,
            asked: Vec::new(),
            dropped: 0,
            made_again: None,
            made_by: None,
            compared: None,
            days: JudgedDays::default(),
            state: None,
            failed: None,
            tries: Tries::of_making(),
        };
        let thread = thread::Builder::new().name(NAME.to_owned()).spawn(move || monitor.run())?;
        let _set_once = shared.thread.set(thread.thread().clone());
        Ok(())
    }
}

struct Monitor {
    surroundings: Surroundings,
    line: Arc<Line>,
    /// The end of the queue.
    told: Receiver<MonitorMessage>,
    /// What was asked while it was made.
    asked: Vec<MonitorMessage>,
    /// News that had been dropped when the journal was read last: it is in there.
    dropped: u64,
    /// When it was made again for news that was dropped.
    made_again: Option<Stopwatch>,
    /// What is known of the versions in service, as their records say; it outlives a state that failed.
    known: BTreeMap<VersionId, WatchedVersion>,
    /// Hash of what they were made by, as far as it is read.
    made_by: Option<String>,
    /// The configuration that was compared with it last, and whether it is the same.
    compared: Option<(Arc<Config>, bool)>,
    /// Which days the guardian was told of, by the log and since it was read.
    days: JudgedDays,
    /// `None` while it could not be made; what is told meanwhile is in the journal.
    state: Option<State>,
    /// When making it failed last, and how long to wait before it is tried again.
    failed: Option<(Stopwatch, Duration)>,
    /// How often making it failed in a row.
    tries: Tries,
    /// When it looked at the time last.
    ticked: Option<Stopwatch>,
}

struct State {
    watch: Watch,
    /// The serving whose versions are watched.
    epoch: u64,
    /// The signals that came until then were in the journal when this was made: of the last moment, these.
    until: Option<(Timestamp, BTreeSet<TradeId>)>,
}

impl State {
    /// Whether a signal is known from the journal. An outcome may be heard twice: it counts once.
    fn knows(&self, news: &WatchNews) -> bool {
        let (WatchNews::Scored(signal), Some((until, last))) = (news, &self.until) else { return false };
        signal.at < *until || (signal.at == *until && last.contains(&signal.trade_id))
    }
}

impl Monitor {
    fn run(mut self) {
        // this thread alone; where it is refused, it only competes a little more
        let _it_is_only_polite = rustix::process::nice(NICE);
        let mut nap = NAPS.0;
        while !self.line.ends.load(Ordering::Acquire) {
            if let Some(asked) = self.asked.pop() {
                self.guarded(Place::MonitorTold, |monitor| monitor.take(asked));
                continue;
            }
            match self.told.try_recv() {
                Ok(told) => {
                    self.line.waiting.fetch_sub(1, Ordering::Relaxed);
                    self.guarded(Place::MonitorTold, |monitor| monitor.take(told));
                    nap = NAPS.0;
                }
                Err(TryRecvError::Empty) => {
                    if self.ticked.is_none_or(|ticked| ticked.elapsed() >= TICK) {
                        self.guarded(Place::MonitorTick, Self::tick);
                    }
                    thread::park_timeout(nap);
                    nap = (2 * nap).min(NAPS.1);
                }
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    /// Does it, unless it panics: then the state is dropped and rebuilt before the next.
    fn guarded(&mut self, place: Place, work: impl FnOnce(&mut Self)) {
        let failures = self.surroundings.failures.clone();
        if failures.caught(place, || work(self)).is_err() {
            self.state = None;
        }
    }

    fn take(&mut self, told: MonitorMessage) {
        self.keep_up();
        let config = self.surroundings.config.load_full();
        let options = &config.monitoring.watch;
        let Some(state) = &mut self.state else { return };
        match told {
            MonitorMessage::News(news) => {
                if state.knows(&news) {
                    return;
                }
                let closing = self.surroundings.jobs.begin(names::DAY_CLOSE);
                let judged = state.watch.hear(options, &config.calendar, news);
                self.close(closing, judged);
            }
            MonitorMessage::Drift(answer) => {
                let versions: Vec<VersionId> = state.watch.versions().cloned().collect();
                let view = |version: VersionId| Some((version.clone(), state.watch.view(options, &version)?));
                let _nobody_waits = answer.send(versions.into_iter().filter_map(view).collect());
            }
            MonitorMessage::Observe(answer) => {
                let _nobody_waits = answer.send(MonitorStatus {
                    day: state.watch.day(),
                    waiting: self.line.waiting.load(Ordering::Relaxed),
                    dropped: self.line.dropped.load(Ordering::Relaxed),
                    open: state.watch.open(),
                    left_out: state.watch.left_out(),
                    alarms: state.watch.alarms().to_vec(),
                    unwatched: state.watch.unwatched(),
                    rolling: state.watch.rolling(),
                });
            }
        }
    }

    fn tick(&mut self) {
        self.keep_up();
        let config = self.surroundings.config.load_full();
        let now = self.surroundings.clock.now();
        self.ticked = Some(Stopwatch::start());
        if let Some(state) = &mut self.state {
            let closing = self.surroundings.jobs.begin(names::DAY_CLOSE);
            let judged = state.watch.hear(&config.monitoring.watch, &config.calendar, WatchNews::Time(now));
            self.close(closing, judged);
        }
    }

    /// Tells what was judged, if a trading day has closed.
    fn close(&mut self, closing: Running, judged: Vec<Judgement>) {
        if judged.is_empty() {
            return closing.was_none();
        }
        let found: Vec<String> =
            judged.iter().map(|judged| format!("{} on {}", judged.version, judged.day_close.day)).collect();
        self.tell(judged);
        closing.end(Ok(found.join(", ").into()));
    }

    /// Of a day that has closed each version is told of once, however often it is heard of.
    fn tell(&mut self, judged: Vec<Judgement>) {
        for judgement in judged {
            let (version, day) = (judgement.version.clone(), judgement.day_close.day);
            if self.days.is_new(&version, day) && self.send(Finding::Judged(Box::new(judgement))) {
                self.days.note(&version, day);
            }
        }
    }

    fn send(&self, finding: Finding) -> bool {
        // the guardian's mailbox has room for all connections; a judgement that finds none is made again tomorrow
        let sent = self.surroundings.guardian.try_send(finding).is_ok();
        if !sent {
            tracing::warn!("a finding of the monitor found no room at the guardian's");
        }
        sent
    }

    /// Watches those who stand in service now, also while a lock silences them.
    fn keep_up(&mut self) {
        let serving = self.surroundings.serving.load_full();
        let config = self.surroundings.config.load_full();
        let is_same = self.is_made_by(&config);
        if self.has_lost() {
            self.made_again = Some(Stopwatch::start());
            self.state = None;
        }
        let is_current = is_same && self.state.as_ref().is_some_and(|state| state.epoch == serving.epoch);
        // nothing was published yet at 0
        if is_current || serving.epoch == 0 {
            return;
        }
        let versions: Vec<VersionId> = serving.standing.iter().map(|standing| standing.version.clone()).collect();
        let options = config.monitoring.watch;
        if is_same
            && let Some(state) = &mut self.state
            && versions.iter().all(|version| state.watch.versions().any(|known| known == version))
        {
            state.watch.serve(&options, &versions, |_| WatchedVersion::default());
            state.epoch = serving.epoch;
            return;
        }
        // while the disk fails all models are silent, and what happens is not lost
        if !self.surroundings.journal.accepts() {
            return;
        }
        if self.failed.as_ref().is_some_and(|(failed, pause)| failed.elapsed() < *pause) {
            return;
        }
        let failures = self.surroundings.failures.clone();
        let opened = self.surroundings.journal.status().reopened;
        let made = failures.caught(Place::MonitorMake, || self.make(&versions, serving.epoch));
        match made.and_then(|made| made) {
            Ok(()) => {
                self.failed = None;
                self.tries.succeed();
            }
            // a journal that was closed behind it at the end is no fault
            Err(_) if self.line.ends.load(Ordering::Acquire) => {}
            Err(error) if self.surroundings.journal.failed_since(opened) => self.wait_for_the_disk(&error),
            Err(error) => self.try_again(error),
        }
    }
}
