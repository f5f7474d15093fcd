//! The keeper of checkpoints: every so many records it folds what was recorded since the last checkpoint and writes the next,
//! and it looks whether the one that the daemon began from is what the log comes to from its beginning.
//!
//! It has a thread of its own that stands back behind all others, and works on snapshots of the journal: nothing that serves
//! gives it anything or waits for it. What it finds otherwise than it was locks serving.

mod compare;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use self::compare::FoldComparison;
use super::{
    acknowledge::all_stored,
    jobs::{JobLog, names},
    journal::JournalHandle,
    supervision::{Failures, Place, Tries},
};
use crate::{
    config::Config,
    journal::{Reader, Write},
    recall::{
        checkpoint::{Batches, begin, writes},
        fold::{Begun, Folded, Slot},
    },
};

/// The actor's name.
pub const NAME: &str = "keeper";
/// Records after which the next checkpoint is written. A start after a kill reads at most about so many.
const EVERY: u64 = 10_000;
/// Records that are worth a checkpoint at a stop.
const LEAST: u64 = 1000;
/// Numbers that are folded in one go, between two looks at whether the daemon stops.
const SLICE: u64 = 2000;
/// Records that are read at a stop at most; more are left to the next start.
const MOST_AT_A_STOP: u64 = 100_000;
/// How often in a row an attempt may fail before none is made any more: about an hour.
const MOST_TRIES: u32 = 120;
/// How often it looks how far the journal has come.
const LOOK: Duration = Duration::from_secs(1);
/// How much the thread stands back.
const NICE: i32 = 15;

/// What a start leaves to the keeper.
#[derive(Debug, Default)]
pub struct Kept {
    /// The checkpoint that the daemon began from, if it did.
    pub begun: Option<Begun>,
    /// The number up to which the newest checkpoint goes, or the one that is to be written.
    pub seq: u64,
    /// A checkpoint that is to be written.
    pub checkpoint: Option<Batches>,
}

/// Tells the keeper to end.
#[derive(Debug)]
pub struct KeeperHandle {
    stop: Sender<oneshot::Sender<Keeper>>,
    stops: Arc<AtomicBool>,
}

impl KeeperHandle {
    /// Has the last checkpoint written, if that is worth it, and ends the thread.
    pub async fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
        let (sender, ended) = oneshot::channel();
        if self.stop.send(sender).is_err() {
            return;
        }
        let Ok(mut keeper) = ended.await else { return };
        // on a thread that does not stand back: somebody waits for it
        let kept = tokio::task::spawn_blocking(move || keeper.keep(LEAST, true)).await;
        if let Ok(Err(Undone::Failed(why))) = kept {
            tracing::warn!(why, "no checkpoint was made at the stop; the next start reads more of the log");
        }
    }
}

/// What a start leaves to the keeper: a checkpoint, when much had to be read.
pub fn at_start(folded: &Folded, config: &Config) -> Kept {
    let begun = folded.begun;
    let seq = begun.map_or(0, |begun| begun.seq);
    if folded.unreadable > 0 || folded.seq.saturating_sub(seq) < EVERY {
        return Kept { begun, seq, checkpoint: None };
    }
    match writes(folded, config, begun.map_or(Slot::A, |begun| begun.slot.other())) {
        Ok(batches) => Kept { begun, seq: folded.seq, checkpoint: Some(batches) },
        Err(why) => {
            tracing::warn!(actor = NAME, why, "no checkpoint can be made of what was read");
            Kept { begun, seq: folded.seq, checkpoint: None }
        }
    }
}

/// What the keeper has to tell, in words.
#[derive(Debug)]
pub enum KeeperNews {
    /// The state that was begun from is not what the log comes to.
    Differs(String),
    /// A checkpoint is not made or not checked for now, or until the next start.
    Failed(String),
}

/// Starts the thread. What it finds otherwise than it should be comes out of the other end.
///
/// # Errors
/// What the system says when it gives no thread.
pub fn start(
    kept: Kept,
    journal: JournalHandle,
    config: Arc<ArcSwap<Config>>,
    failures: Failures,
    jobs: JobLog,
) -> std::io::Result<(KeeperHandle, mpsc::UnboundedReceiver<KeeperNews>)> {
    let (stop, stopped) = channel();
    let (news, told) = mpsc::unbounded_channel();
    let stops = Arc::new(AtomicBool::new(false));
    let panics = Tries::of_panics(&config.load().supervision);
    let mut keeper = Keeper {
        journal,
        config,
        stops: Arc::clone(&stops),
        news,
        kept: kept.seq,
        good: kept.begun.map_or(0, |begun| begun.seq),
        pending: kept.checkpoint,
        unchecked: kept.begun,
        check: None,
        is_doubted: false,
        tries: Tries::new(LOOK, MOST_TRIES),
        panics,
        failures,
        pause: None,
        jobs,
    };
    keeper.begin_check();
    thread::Builder::new().name(NAME.to_owned()).spawn(move || keeper.run(&stopped))?;
    Ok((KeeperHandle { stop, stops }, told))
}

struct Keeper {
    journal: JournalHandle,
    config: Arc<ArcSwap<Config>>,
    stops: Arc<AtomicBool>,
    news: mpsc::UnboundedSender<KeeperNews>,
    /// The number of the last checkpoint, or of the last attempt at one.
    kept: u64,
    /// The number of the last checkpoint that was written whole, or begun from.
    good: u64,
    /// A checkpoint that waits to be written.
    pending: Option<Batches>,
    /// The checkpoint that the daemon began from, until it was compared.
    unchecked: Option<Begun>,
    check: Option<FoldComparison>,
    /// A checkpoint was not what it should be: none is made any more.
    is_doubted: bool,
    /// How often an attempt at anything failed in a row.
    tries: Tries,
    /// How often a panic was met in a row.
    panics: Tries,
    failures: Failures,
    /// How long to wait after the last one.
    pause: Option<Duration>,
    jobs: JobLog,
}

/// Why something was not done.
enum Undone {
    /// The daemon stops.
    Stops,
    /// What a panic said, which is counted.
    Panicked(String),
    /// In words.
    Failed(String),
}

impl From<String> for Undone {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl Keeper {
    fn run(mut self, stopped: &Receiver<oneshot::Sender<Self>>) {
        // this thread alone; where it is refused, it only competes a little more
        let _it_is_only_polite = rustix::process::nice(NICE);
        loop {
            let at_once = if self.check.is_some() { Duration::ZERO } else { LOOK };
            let nap = self.pause.unwrap_or(at_once);
            match stopped.recv_timeout(nap) {
                Ok(answer) => {
                    // the next start begins it again
                    self.check.take().into_iter().for_each(|check| check.running.was_none());
                    let _asker_may_be_gone = answer.send(self);
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.guarded(Self::look),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Does `work`. What fails or panics is tried again after a pause that grows, and not for ever: then the next start reads more of
    /// the log.
    fn guarded(&mut self, work: impl FnOnce(&mut Self) -> Result<(), Undone>) {
        let (opened, failures) = (self.journal.status().reopened, self.failures.clone());
        match failures.caught(Place::KeeperLook, || work(self)) {
            Ok(Ok(())) => {
                self.tries.succeed();
                self.panics.succeed();
                self.pause = None;
            }
            Ok(Err(Undone::Stops)) => self.pause = Some(LOOK),
            // a disk that fails is no failure of this part
            Ok(Err(Undone::Failed(why))) if self.journal.failed_since(opened) => {
                tracing::warn!(actor = NAME, why, "the journal failed while a checkpoint was made or checked");
                self.pause = Some(LOOK);
            }
            Ok(Err(Undone::Failed(why))) => {
                self.pause = self.tries.fail();
                if self.pause.is_some() {
                    tracing::warn!(actor = NAME, why, "a checkpoint was not made or not checked; it is tried again");
                } else {
                    self.give_up(&why);
                }
            }
            Ok(Err(Undone::Panicked(panic))) | Err(panic) => self.begin_again(&panic),
        }
    }

    /// What was folded is thrown away: it goes on from the last checkpoint that is whole, and compares from the beginning.
    fn begin_again(&mut self, panic: &str) {
        (self.kept, self.pending) = (self.good, None);
        self.pause = self.panics.fail();
        let Some(pause) = self.pause else { return self.give_up(panic) };
        tracing::warn!(actor = NAME, panic, ?pause, "a checkpoint was not made or not checked; it is begun again");
        if self.panics.failed() == 1 {
            self.tell(KeeperNews::Failed(format!(
                "a checkpoint was not made or not checked: {panic}; it is tried again, at most four times"
            )));
        }
        self.check = None;
        self.begin_check();
    }

    fn tell(&self, news: KeeperNews) {
        let _the_daemon_may_be_gone = self.news.send(news);
    }

    fn give_up(&mut self, why: &str) {
        tracing::error!(actor = NAME, why, "no checkpoint is made any more until the next start");
        (self.is_doubted, self.check, self.pending, self.pause) = (true, None, None, None);
        let failed = "no checkpoint is made or checked any more until the next start, which reads more of the log";
        self.tell(KeeperNews::Failed(format!("{failed}: {why}")));
    }

    fn look(&mut self) -> Result<(), Undone> {
        if let Some(batches) = self.pending.take() {
            self.write(batches)?;
            self.good = self.kept;
        }
        self.keep(EVERY, false)?;
        self.check()
    }

    /// Writes the next checkpoint when there are at least `worth` records behind the last. `at_a_stop` what waits for the disk is
    /// waited for, and the fold is not broken off.
    fn keep(&mut self, worth: u64, at_a_stop: bool) -> Result<(), Undone> {
        if self.is_doubted || (!at_a_stop && self.journal.last_number().saturating_sub(self.kept) < worth) {
            return Ok(());
        }
        let config = self.config.load_full();
        let reader = self.journal.read_blocking().map_err(|error| error.to_string())?;
        let last = reader.last_seq().map_err(|error| error.to_string())?;
        if last.saturating_sub(self.kept) < worth {
            return Ok(());
        }
        let running = self.jobs.begin(names::CHECKPOINT);
        let made = self.make(reader, &config, last, at_a_stop);
        match &made {
            Ok(Some(found)) => running.end(Ok(found.clone().into())),
            Ok(None) | Err(Undone::Stops) => running.was_none(),
            Err(Undone::Failed(why) | Undone::Panicked(why)) => running.end(Err(why.clone())),
        }
        made.map(drop)
    }

    /// Folds up to number `last`, and writes what that comes to. Says so, if anything was written.
    fn make(&mut self, reader: Reader, config: &Config, last: u64, at_a_stop: bool) -> Result<Option<String>, Undone> {
        let mut folded = begin(&reader, config)?;
        let slot = folded.begun.map_or(Slot::A, |begun| begun.slot.other());
        if at_a_stop && last.saturating_sub(folded.seq) > MOST_AT_A_STOP {
            return Ok(None);
        }
        self.go_on(&mut folded, &reader, config, last, at_a_stop)?;
        drop(reader);
        self.kept = last;
        if folded.unreadable > 0 {
            return Ok(Some(format!("none was written: {} records cannot be read", folded.unreadable)));
        }
        let batches = writes(&folded, config, slot)?;
        drop(folded);
        self.write(batches)?;
        self.good = last;
        Ok(Some(format!("up to number {last}")))
    }

    /// Folds up to number `last`, slice by slice.
    fn go_on(
        &self,
        folded: &mut Folded,
        reader: &Reader,
        config: &Config,
        last: u64,
        at_a_stop: bool,
    ) -> Result<(), Undone> {
        while folded.seq < last {
            if !at_a_stop && self.stops.load(Ordering::Relaxed) {
                return Err(Undone::Stops);
            }
            let slice = last.min(folded.seq + SLICE);
            self.fold(|| folded.go_on(reader, config, slice))?;
        }
        Ok(())
    }

    /// Folds. What it leaves when it panics is thrown away.
    fn fold(&self, work: impl FnOnce() -> Result<(), String>) -> Result<(), Undone> {
        self.failures.caught(Place::KeeperFold, work).map_err(Undone::Panicked)??;
        Ok(())
    }

    fn write(&self, batches: impl IntoIterator<Item = Vec<Write>>) -> Result<(), Undone> {
        for batch in batches {
            all_stored(self.journal.write_blocking(batch)).map_err(|error| error.message)?;
        }
        Ok(())
    }
}
