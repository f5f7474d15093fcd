//! The keeper of checkpoints: every so many records it folds what was recorded since the last checkpoint and writes the next,
//! and it looks whether the one that the daemon began from is what the log comes to from its beginning.
//!
//! It has a thread of its own that stands back behind all others, and works on snapshots of the journal: nothing that serves
//! gives it anything or waits for it. What it finds otherwise than it was locks serving.

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

use super::{
    acknowledge::all_stored,
    jobs::{JobLog, Running, names},
    journal::JournalHandle,
    supervision::{Failures, Place, Tries},
};
use crate::{
    config::Config,
    journal::{Reader, Write},
    recall::{
        checkpoint::{Batches, begin, digest_of, forget, writes},
        fold::{Begun, Folded, READS, Slot},
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
) -> std::io::Result<(KeeperHandle, mpsc::UnboundedReceiver<String>)> {
    let (stop, stopped) = channel();
    let (doubts, doubted) = mpsc::unbounded_channel();
    let stops = Arc::new(AtomicBool::new(false));
    let check = kept.begun.map(|against| FoldComparison {
        against,
        folded: None,
        running: jobs.begin(names::CHECKPOINT_CHECK),
    });
    let keeper = Keeper {
        journal,
        config,
        stops: Arc::clone(&stops),
        doubts,
        kept: kept.seq,
        pending: kept.checkpoint,
        check,
        is_doubted: false,
        tries: Tries::new(LOOK, MOST_TRIES),
        pause: None,
        jobs,
    };
    thread::Builder::new().name(NAME.to_owned()).spawn(move || keeper.run(&stopped, &failures))?;
    Ok((KeeperHandle { stop, stops }, doubted))
}

struct Keeper {
    journal: JournalHandle,
    config: Arc<ArcSwap<Config>>,
    stops: Arc<AtomicBool>,
    doubts: mpsc::UnboundedSender<String>,
    /// The number of the last checkpoint, or of the last attempt at one.
    kept: u64,
    /// A checkpoint that waits to be written.
    pending: Option<Batches>,
    check: Option<FoldComparison>,
    /// A checkpoint was not what it should be: none is made any more.
    is_doubted: bool,
    /// How often an attempt at anything failed in a row.
    tries: Tries,
    /// How long to wait after the last one.
    pause: Option<Duration>,
    jobs: JobLog,
}

/// The fold from the beginning that a checkpoint is compared with.
struct FoldComparison {
    against: Begun,
    folded: Option<Box<(Folded, Arc<Config>)>>,
    running: Running,
}

/// What came of a comparison.
enum Compared {
    /// There is more to fold.
    NotYet,
    Same,
    Differs,
    /// What is in force is not what the daemon began with.
    Void,
}

/// Why something was not done.
enum Undone {
    /// The daemon stops.
    Stops,
    /// In words.
    Failed(String),
}

impl From<String> for Undone {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl Keeper {
    fn run(mut self, stopped: &Receiver<oneshot::Sender<Self>>, failures: &Failures) {
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
                Err(RecvTimeoutError::Timeout) => self.guarded(failures, Self::look),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Does `work`. What fails is tried again after a pause that grows; what panics, or fails too often, is not: then the next
    /// start reads more of the log.
    fn guarded(&mut self, failures: &Failures, work: impl FnOnce(&mut Self) -> Result<(), Undone>) {
        let opened = self.journal.status().reopened;
        match failures.caught(Place::KeeperLook, || work(self)) {
            Ok(Ok(())) => {
                self.tries.succeed();
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
            Err(panic) => self.give_up(&panic),
        }
    }

    fn give_up(&mut self, why: &str) {
        tracing::error!(actor = NAME, why, "no checkpoint is made any more until the next start");
        (self.is_doubted, self.check, self.pending, self.pause) = (true, None, None, None);
    }

    fn look(&mut self) -> Result<(), Undone> {
        if let Some(batches) = self.pending.take() {
            self.write(batches)?;
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
            Err(Undone::Failed(why)) => running.end(Err(why.clone())),
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
            folded.go_on(reader, config, last.min(folded.seq + SLICE))?;
        }
        Ok(())
    }

    fn write(&self, batches: impl IntoIterator<Item = Vec<Write>>) -> Result<(), Undone> {
        for batch in batches {
            all_stored(self.journal.write_blocking(batch)).map_err(|error| error.message)?;
        }
        Ok(())
    }

    /// Goes on with the fold from the beginning, and compares it when it has come as far as the checkpoint.
    fn check(&mut self) -> Result<(), Undone> {
        let Some(mut check) = self.check.take() else { return Ok(()) };
        let compared = self.compare(&mut check);
        match compared {
            Err(undone) => {
                self.check = Some(check);
                return Err(undone);
            }
            Ok(Compared::NotYet) => self.check = Some(check),
            Ok(Compared::Same) => check.running.end(Ok("it is the same".into())),
            Ok(Compared::Differs) => check.running.end(Err("it differs, and serving is locked".to_owned())),
            Ok(Compared::Void) => check.running.end(Ok("not compared: the configuration has changed".into())),
        }
        Ok(())
    }

    fn compare(&mut self, check: &mut FoldComparison) -> Result<Compared, Undone> {
        let config = self.config.load_full();
        let FoldComparison { against: Begun { seq, digest: expected, .. }, folded, .. } = check;
        if folded.is_none() {
            // damage that it meets is seen to where the journal is written
            let reader = self.journal.read_blocking().map_err(|error| error.to_string())?;
            reader.audit().map_err(|error| error.to_string())?;
            *folded = Some(Box::new((Folded::empty(&config)?, Arc::clone(&config))));
        }
        let Some((folded, by)) = folded.as_deref_mut() else { return Ok(Compared::NotYet) };
        if by.hash_of(&READS) != config.hash_of(&READS) {
            return Ok(Compared::Void); // what is in force now is not what the daemon began with
        }
        let reader = self.journal.read_blocking().map_err(|error| error.to_string())?;
        folded.go_on(&reader, &config, (*seq).min(folded.seq + SLICE))?;
        if let Some(fault) = folded.doubt.take() {
            // what the daemon began from may be right; a repeated outcome of an archived trade cannot be recognised
            self.is_doubted = true;
            let _the_daemon_may_be_gone = self.doubts.send(fault);
            return Ok(Compared::Differs);
        }
        if folded.seq < *seq {
            return Ok(Compared::NotYet);
        }
        let found = digest_of(&folded.state)?;
        if found == *expected && folded.unreadable == 0 {
            tracing::info!(number = *seq, "the checkpoint is what the log comes to from its beginning");
            return Ok(Compared::Same);
        }
        let why = if folded.unreadable == 0 { "" } else { ", where records cannot be read any more" };
        let doubt = format!(
            "the checkpoint at number {seq}, which the daemon began from, is not what the log comes to from its \
             beginning{why}: the next start reads all of the log; look at what is in service, and resume after that"
        );
        self.is_doubted = true;
        let _the_daemon_may_be_gone = self.doubts.send(doubt);
        self.write([Slot::A, Slot::B, Slot::Base].map(forget))?;
        Ok(Compared::Differs)
    }
}
