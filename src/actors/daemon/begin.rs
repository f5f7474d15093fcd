//! The beginning of a daemon: the journal is opened, compared with the file of silencing events, and read; a damaged one is
//! put aside, whoever finds the damage.

use std::{
    cell::RefCell,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    thread,
};

use arc_swap::ArcSwap;

use super::{
    DaemonOptions, JOURNAL_FILE, OPENING_FILE, REACHED_FILE, SILENCE_FILE, StartError, common::Common, part_error,
};
use crate::{
    actors::{
        guardian::{self, Guardian},
        journal::{self, JournalHandle, OpenStore},
        keeper::{self, Kept},
        kill_file::KILL_FILE,
        scorer::{Scorer, ScorerShared},
        supervision::{Failures, Place},
        trade_news::TradeNews,
    },
    config::Config,
    domain::{Timestamp, event::Level},
    features::pipeline::Pipeline,
    guard::integrity::check_start,
    journal::{
        FailureKind, OpenError, Reached, Reader, SilenceFile, StorageFailure, Store, StoreError, StoreOptions, Write,
        quarantine,
    },
    lifecycle::open_trades::OpenTrades,
    policy::stale::StaleWatch,
    recall::{
        checkpoint,
        fold::{self, Folded},
        history,
    },
    state::step::State,
    trials::running::Keep,
};

/// Name of the checkpoint that a start writes before it serves: it says that there is a file of silencing events, and shows
/// that the journal can be written.
const BEGUN: &str = "silenced";

/// New trade ids that are taken in without a pause for room.
const ROOM: usize = 100_000;

/// The beginning, of these options, with what all parts share.
pub(super) struct Beginning<'a> {
    pub(super) options: &'a DaemonOptions,
    pub(super) common: &'a Common,
}

/// What is made of the whole journal.
pub(super) struct Begun {
    pub(super) journal: JournalHandle,
    pub(super) trade_news: TradeNews,
    pub(super) guardian: Guardian,
    pub(super) guardian_shared: guardian::GuardianShared,
    pub(super) pipeline: Pipeline,
    pub(super) stale: StaleWatch,
    /// What the keeper of checkpoints goes on from.
    pub(super) kept: Kept,
}

/// The journal and what stands beside it, before its thread begins.
struct Opened {
    store: Store,
    silenced: SilenceFile,
    reached: Reached,
    quarantined: Option<String>,
    /// Why nothing but the baseline is to be served, if so.
    doubt: Option<String>,
}

/// What is not as it should be, in words.
#[derive(Default)]
struct Found {
    /// The journal lacks what was acknowledged.
    behind: Option<String>,
    /// The clock stands before the journal's last event.
    clock: Option<String>,
}

impl Beginning<'_> {
    /// Opens the journal and reads it. When a part cannot be made of it, or the start before this one was cut short, the file is
    /// checked page by page: is it damaged, it is put aside as if that had been found when it was opened, and the daemon begins
    /// with a new one.
    pub(super) async fn begin(self) -> Result<Begun, StartError> {
        let marker = self.options.state.join(OPENING_FILE);
        let was_cut_short = marker.symlink_metadata().is_ok();
        let _a_full_disk_has_no_room_for_it = fs::write(&marker, "A start is under way, or was cut short.\n");
        let begun = match if was_cut_short { self.checked(None).await } else { self.attempt(None).await } {
            Err(error @ StartError::Part { .. }) if !was_cut_short => self.checked(Some(error)).await,
            begun => begun,
        };
        let begun = match begun {
            // every page may be as it was written, and another one have been written last
            Err(StartError::Journal(damage)) if damage.is_corrupt() => self.attempt(Some(damage)).await,
            begun => begun,
        };
        let _it_may_not_be_there = fs::remove_file(&marker);
        begun
    }

    /// Begins when every page has been checked. `found` is what was wrong before, if that is known.
    async fn checked(&self, found: Option<StartError>) -> Result<Begun, StartError> {
        let (path, options) = (self.journal(), StoreOptions { verify: true, ..self.store_options() });
        let storage = self.options.storage.clone();
        let checked = tokio::task::spawn_blocking(move || storage.open(&path, options).map(drop)).await;
        match checked.map_err(|error| part_error("journal", error.to_string()))? {
            // what was wrong is repaired, or lay elsewhere
            Ok(()) => self.attempt(None).await,
            Err(damage) if damage.is_corrupt() => self.attempt(Some(damage)).await,
            Err(error) => Err(found.unwrap_or(error.into())),
        }
    }

    async fn attempt(&self, damage: Option<OpenError>) -> Result<Begun, StartError> {
        let opened = self.open(damage)?;
        let (path, options) = (self.journal(), self.store_options());
        let storage = self.options.storage.clone();
        let open: OpenStore = Box::new(move |verify| storage.open(&path, StoreOptions { verify, ..options }));
        let limits = self.common.config.load().journal.clone();
        let Opened { store, silenced, reached, quarantined, doubt } = opened;
        let journal = journal::start(store, silenced, reached, open, limits, self.common.failures.clone());
        let journal = journal.map_err(|error| part_error(journal::NAME, error.to_string()))?;
        let read = self.read(&journal, quarantined, doubt).await;
        if read.is_err() {
            // the file is free again
            let _it_was_read_only = journal.stop().await;
        }
        read
    }

    async fn read(
        &self,
        journal: &JournalHandle,
        quarantined: Option<String>,
        doubt: Option<String>,
    ) -> Result<Begun, StartError> {
        if let Some(clock) = &self.common.event_clock {
            latest(journal).await.into_iter().for_each(|at| clock.knows(at));
        }
        let Read { open_trades, pipeline, known, kept } = self.read_once(journal).await?;
        let stale = known.state.stale.clone();
        // what the rules know comes with the guardian
        let mut state = State::new(open_trades, Keep::of(&self.common.config.load().experiment), None);
        state.trials = known.state.trials.clone();
        state.trials.judge_again();
        let trade_news = TradeNews::new(state, Arc::clone(&self.common.config), self.common.monitor.clone());
        let guardian_shared = guardian::GuardianShared {
            config: Arc::clone(&self.common.config),
            serving: Arc::clone(&self.common.serving),
            journal: journal.clone(),
            clock: Arc::clone(&self.common.clock),
            failures: self.common.failures.clone(),
            trade_news: trade_news.clone(),
            kill_file: Some(self.options.state.join(KILL_FILE)),
            trainer: Rc::default(),
            unsaved: Rc::new(RefCell::new(Vec::new())),
            attempts: Rc::default(),
            repeats: Rc::default(),
            under_way: Rc::default(),
            turn: Arc::default(),
        };
        if let Some(message) = quarantined {
            guardian::alert(&guardian_shared, Level::Critical, "journal_quarantined", message);
        }
        let doubt = match (doubt, known.doubt.clone()) {
            (Some(doubt), Some(fault)) => Some(format!("{doubt}; {fault}")),
            (doubt, fault) => doubt.or(fault),
        };
        if let Some(reason) = doubt {
            guardian::lock_at_start(&guardian_shared, &known.state, reason);
        }
        let guardian = Guardian::at_start(guardian_shared.clone(), known).await;
        let guardian = guardian.map_err(|error| part_error("guardian", error))?;
        let journal = journal.clone();
        Ok(Begun { journal, trade_news, guardian, guardian_shared, pipeline, stale, kept })
    }

    /// Reads the journal once for all parts, from the newest checkpoint on. Where there is none, another thread counts meanwhile
    /// whether everything is there that was written; else the keeper does that when the daemon serves.
    async fn read_once(&self, journal: &JournalHandle) -> Result<Read, StartError> {
        let (config, path, jobs) = (self.common.config.load_full(), self.journal(), self.common.jobs.clone());
        let unreadable = |error: String| part_error("feed", error);
        let reader = journal.read().await.map_err(|error| unreadable(error.to_string()))?;
        let read = tokio::task::spawn_blocking(move || {
            jobs.read(&reader).map_err(|error| unreadable(error.to_string()))?;
            let known = checkpoint::begin(&reader, &config).map_err(unreadable)?;
            thread::scope(|scope| {
                let audit = known.begun.is_none().then(|| scope.spawn(|| reader.audit()));
                let read = Read::of(&reader, &config, known);
                match audit.map(thread::ScopedJoinHandle::join) {
                    Some(Ok(Err(StoreError::Storage(failure)))) if failure.kind == FailureKind::Corrupt => {
                        Err(OpenError::Corrupt { path, what: failure.message }.into())
                    }
                    _ => read.map_err(unreadable),
                }
            })
        });
        read.await.map_err(|error| unreadable(error.to_string()))?
    }

    /// Opens the journal, puts it aside if it is damaged, and compares it with the file of silencing events and the clock.
    fn open(&self, damage: Option<OpenError>) -> Result<Opened, StartError> {
        let (path, options) = (self.journal(), self.store_options());
        let opened = damage.map_or_else(|| self.options.storage.open(&path, options), Err);
        let (mut store, mut quarantined) = match opened {
            Ok(store) => (store, None),
            Err(error) if error.is_corrupt() => self.put_aside(&path, &error)?,
            Err(error) => return Err(error.into()),
        };
        loop {
            let mut silenced = SilenceFile::open(&self.options.state.join(SILENCE_FILE))?;
            let reached = Reached::open(&self.options.state.join(REACHED_FILE));
            let looked = self.look(&store, &mut silenced, &reached);
            // before anybody can use up the descriptors that making it takes, and before the mark which says that it was made
            if let Err(error) = silenced.record(&[]) {
                tracing::warn!(%error, "the file of silencing events cannot be written; it is tried with the first event");
            }
            let found = match (looked, write_mark(&mut store)) {
                (Ok(found), Ok(())) => found,
                (Err(failure), _) | (_, Err(failure))
                    if failure.kind == FailureKind::Corrupt && quarantined.is_none() =>
                {
                    drop(store);
                    let damage = OpenError::Corrupt { path: path.clone(), what: failure.message };
                    (store, quarantined) = self.put_aside(&path, &damage)?;
                    continue;
                }
                (Err(failure), _) => return Err(OpenError::Storage { path, failure }.into()),
                // a disk that is full now is opened again, as it would be later
                (Ok(found), Err(_)) => {
                    drop(store);
                    store = self.options.storage.open(&path, options)?;
                    found
                }
            };
            let started_over =
                quarantined.is_some().then(|| "the journal was damaged and a new one is in use".to_owned());
            // of a new one that goes without saying
            let behind = found.behind.filter(|_| started_over.is_none());
            let doubts: Vec<String> =
                [started_over, silenced.disagreement(), behind, found.clock].into_iter().flatten().collect();
            let doubt = (!doubts.is_empty()).then(|| doubts.join("; "));
            return Ok(Opened { store, silenced, reached, quarantined, doubt });
        }
    }

    /// Compares the journal with what stands beside it, and with the clock.
    fn look(&self, store: &Store, silenced: &mut SilenceFile, reached: &Reached) -> Result<Found, StorageFailure> {
        let Some(reader) = readable(store.reader())? else { return Ok(Found::default()) };
        let (last, reached) = (readable(reader.last_seq())?.unwrap_or(0), reached.number());
        let behind = (reached > last).then(|| {
            format!("the journal ends before what was acknowledged, at number {last} of {reached}: send the latest outcomes again")
        });
        // a mark that cannot be read was there
        let is_begun = readable(reader.checkpoint(BEGUN))?.is_none_or(|mark| mark.is_some());
        readable(silenced.compare(&reader))?;
        if silenced.is_new() && is_begun {
            silenced.was_gone(self.common.clock.now());
        }
        let latest = readable(reader.events(0))?.and_then(|mut events| events.next_back());
        let latest = latest.map_or(Ok(None), readable)?.filter(|_| self.common.event_clock.is_none());
        let tolerance = self.common.config.load().monitoring.clock_tolerance.as_secs_f64();
        let fault = latest.and_then(|stored| check_start(stored.event.at, self.common.clock.now(), tolerance));
        Ok(Found { behind, clock: fault.map(|fault| fault.to_string()) })
    }

    fn journal(&self) -> PathBuf {
        self.options.state.join(JOURNAL_FILE)
    }

    fn store_options(&self) -> StoreOptions {
        StoreOptions { cache_bytes: self.common.config.load().journal.cache_bytes, verify: false }
    }

    /// Puts a damaged journal aside; the new one serves nothing but the baseline.
    fn put_aside(&self, path: &Path, damage: &OpenError) -> Result<(Store, Option<String>), StartError> {
        let aside = quarantine(path)?;
        let message = format!(
            "{damage}; it was put aside as {}, and a new one without models or history is in use; restore a backup",
            aside.display()
        );
        tracing::error!("{message}");
        Ok((self.options.storage.open(path, self.store_options())?, Some(message)))
    }
}

/// Writes something, so that a journal that can be read and not written is found out before anybody relies on it.
fn write_mark(store: &mut Store) -> Result<(), StorageFailure> {
    let mark = Write::Checkpoint { name: BEGUN.to_owned(), bytes: vec![1] };
    match store.apply(&[mark]) {
        Err(StoreError::Storage(failure)) => Err(failure),
        Err(StoreError::BadRecord(_)) | Ok(_) => Ok(()),
    }
}

/// What a reader found; `None` of a record that is damaged, which concerns that record only.
fn readable<T>(read: Result<T, StoreError>) -> Result<Option<T>, StorageFailure> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(StoreError::BadRecord(_)) => Ok(None),
        Err(StoreError::Storage(failure)) => Err(failure),
    }
}

/// Makes the state folder, for its owner alone. One that others may write to is refused with the journal.
pub(super) fn make_folder(path: &Path) -> Result<(), StartError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StartError::State { path: path.to_owned(), source })
}

/// What is made of the journal by reading it once.
struct Read {
    open_trades: OpenTrades,
    pipeline: Pipeline,
    /// What everything comes to, without the open trades and the pipeline.
    known: Folded,
    kept: Kept,
}

impl Read {
    fn of(reader: &Reader, config: &Config, mut known: Folded) -> Result<Self, String> {
        let last = reader.last_seq().map_err(|error| error.to_string())?;
        known.go_on(reader, config, last)?;
        let kept = keeper::at_start(&known, config);
        known.state.risk.open_trades.make_room(ROOM);
        let open_trades =
            std::mem::replace(&mut known.state.risk.open_trades, OpenTrades::new(fold::open_trades_keep(config)));
        let pipeline = known.state.pipeline.take().ok_or("it makes no inputs")?;
        Ok(Self { open_trades, pipeline, known, kept })
    }
}

/// The latest time on the market that the journal knows.
async fn latest(journal: &JournalHandle) -> Option<Timestamp> {
    let reader = journal.read().await.ok()?;
    tokio::task::spawn_blocking(move || history::latest(&reader)).await.ok()?
}

/// A scorer that carries forward what the signals that were answered knew.
pub(super) async fn make_scorer(shared: ScorerShared) -> Result<Scorer, String> {
    shared.journal.works().await;
    let (pipeline, stale) = make_pipeline(&shared.journal, &shared.config, &shared.failures).await?;
    // one that is rebuilt knows what it has told
    if shared.pipeline.borrow().is_none() {
        shared.stale.replace(stale);
    }
    Ok(Scorer::new(pipeline, shared))
}

/// A pipeline that knows what the signals that were answered knew, and the feeds that were lost.
async fn make_pipeline(
    journal: &JournalHandle,
    config: &ArcSwap<Config>,
    failures: &Failures,
) -> Result<(Pipeline, StaleWatch), String> {
    let config = config.load_full();
    let reader = journal.read().await.map_err(|error| error.to_string())?;
    let warmed = failures.blocking(Place::ScorerFold, move || {
        let state = checkpoint::state(&reader, &config)?.state;
        Ok((state.pipeline.ok_or("it makes no inputs")?, state.stale))
    });
    warmed.await?
}
