//! The thread itself: what waits is committed together, and a storage that failed is opened again.

mod batch;
mod doubt;

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{Ordering, fence},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

use self::{
    batch::Batch,
    doubt::{Doubt, Failed, acknowledge, refuse},
};
use super::{Bell, Health, Job, MET_DAMAGE, NAME, NotClosed, OpenStore, Unavailable, Waiter};
use crate::{
    actors::{
        event_stream::EventStream,
        supervision::{Failures, Place as At},
    },
    clock::{Clock, Stopwatch, WallClock},
    config::Journal as Limits,
    domain::{
        Event, EventKind,
        event::{By, Level},
    },
    journal::{Applied, FailureKind, InDoubt, Place, Reached, Reader, SilenceFile, Store, StoreError, Write},
};

/// How long the thread sleeps before it looks whether anybody is left who could give it work.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);
/// The longest pause before it is opened again is the configured one times two to the power of this.
const LONGEST_PAUSE: u32 = 4;
/// Name of the mark that is written when the database was opened again.
const REOPENED: &str = "reopened";
/// Code of the alert that the journal's file is not the one that was opened.
const DISPLACED: &str = "journal_displaced";
/// How long a signal after a quiet time waits: its answer goes out first, where there is one processor for both.
const BREATH: Duration = Duration::from_millis(2);

pub(super) struct Writer {
    pub(super) store: Option<Store>,
    /// Where what silences a model stands besides the journal.
    pub(super) silenced: SilenceFile,
    /// How far it has come.
    pub(super) reached: Reached,
    /// Where the journal's file stands since the start.
    pub(super) place: Option<Place>,
    /// Whether it stands there no more: then nothing is written, and no other file is taken for it.
    pub(super) displaced: bool,
    pub(super) open: OpenStore,
    pub(super) verify: bool,
    /// When the storage failed last, or failed to open.
    pub(super) failed: Option<Stopwatch>,
    /// When a commit was done last.
    pub(super) committed: Option<Stopwatch>,
    pub(super) limits: Limits,
    /// What nobody waits for and a failed commit did not store, to be written again.
    pub(super) kept: VecDeque<Write>,
    /// Batches whose commit failed and that may be on disk, oldest first.
    pub(super) doubts: Vec<Doubt>,
    pub(super) health: Arc<Health>,
    pub(super) bell: Arc<Bell>,
    pub(super) event_stream: EventStream,
    pub(super) failures: Failures,
    /// Times in a row that the database was opened in vain.
    pub(super) reopenings: u32,
}

impl Writer {
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        while let Some(mut batch) = self.collect(jobs) {
            let failures = self.failures.clone();
            let _a_failure_is_counted = failures.caught(At::JournalTurn, || self.reopen_if_due());
            self.commit(&mut batch);
            for reader in batch.readers.drain(..) {
                let _asker_may_be_gone = reader.send(self.reader());
            }
            if let Some(stop) = batch.stop.take() {
                if !self.doubts.is_empty() && self.store.is_none() {
                    self.reopen();
                }
                self.health.ended.store(true, Ordering::Release);
                let _asker_may_be_gone = stop.send(self.close());
                return;
            }
        }
    }

    /// Waits for work, then takes all there is, up to the size of a batch. `None` when nobody can send any more.
    fn collect(&mut self, jobs: &Receiver<Job>) -> Option<Batch> {
        let mut batch = Batch::default();
        self.take(jobs, &mut batch).ok()?;
        if batch.is_empty() {
            self.sleep(jobs, &mut batch)?;
        }
        let (watch, pause) = (Stopwatch::start(), self.pause());
        loop {
            self.take(jobs, &mut batch).ok()?;
            let left = pause.saturating_sub(watch.elapsed());
            let full = batch.writes.len() >= self.limits.batch;
            if batch.is_empty() || batch.is_urgent() || full || left.is_zero() {
                return Some(batch);
            }
            thread::park_timeout(left);
        }
    }

    /// How long what nobody waits for is held: until the last commit is a linger old. After a quiet time it is.
    fn pause(&self) -> Duration {
        let since = self.committed.as_ref().map_or(Duration::MAX, Stopwatch::elapsed);
        self.limits.linger.saturating_sub(since).max(BREATH.min(self.limits.linger))
    }

    /// Sleeps until there is work; without a store, no longer than until it is to be opened again.
    fn sleep(&mut self, jobs: &Receiver<Job>, batch: &mut Batch) -> Option<()> {
        self.bell.asleep.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let looked = self.take(jobs, batch);
        if batch.is_empty() && looked.is_ok() {
            // a handle that goes away rings no bell
            let longest = if self.store.is_some() { LONGEST_SLEEP } else { self.limits.retry };
            thread::park_timeout(longest);
        }
        self.bell.asleep.store(false, Ordering::Relaxed);
        looked.ok()
    }

    fn take(&self, jobs: &Receiver<Job>, batch: &mut Batch) -> Result<(), TryRecvError> {
        while batch.writes.len() < self.limits.batch && batch.stop.is_none() {
            match jobs.try_recv() {
                Ok(job) => batch.add(job, &self.health),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) if batch.is_empty() => return Err(TryRecvError::Disconnected),
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch) {
        if batch.writes.is_empty() {
            return;
        }
        let (writes, waiting) = (std::mem::take(&mut batch.writes), std::mem::take(&mut batch.waiting));
        let result = self.apply(&writes, &orders(&writes, &waiting));
        self.committed = Some(Stopwatch::start());
        match result {
            Ok(applied) => {
                self.health.commits.fetch_add(1, Ordering::Relaxed);
                acknowledge(waiting, &applied);
            }
            Err(Failed { why, batch: None }) => {
                let kept = refuse(writes, waiting, &why);
                kept.into_iter().for_each(|write| self.keep(write));
            }
            Err(Failed { why, batch: Some(batch) }) => {
                self.doubts.push(Doubt { batch, writes, waiting });
                // what is on disk is read before anybody is told; every page of it, if it is damaged, takes too long for that
                if !self.verify && !self.displaced {
                    self.reopen();
                }
                self.tell_of_doubts(&why);
            }
        }
    }

    /// Applies `writes`. When that panics, what the disk has of them is in doubt.
    fn apply(&mut self, writes: &[Write], orders: &[Range<usize>]) -> Result<Vec<Applied>, Failed> {
        let failures = self.failures.clone();
        let applied = failures.caught(At::JournalCommit, || self.apply_now(writes, orders));
        applied.unwrap_or_else(|panic| {
            let in_doubt = self.store.as_ref().and_then(Store::in_doubt);
            let batch = in_doubt.map(|applied| InDoubt::of(applied.to_vec()));
            Err(Failed { why: self.fail(format!("its thread failed: {panic}")), batch })
        })
    }

    /// Commits `writes`. What silences a model is written beside the journal first, but for what belongs to one of the `orders`:
    /// that is not in force before it is committed, and never if it is refused.
    fn apply_now(&mut self, writes: &[Write], orders: &[Range<usize>]) -> Result<Vec<Applied>, Failed> {
        if self.store.is_none() || self.displaced {
            return Err(Failed::at_once(Unavailable::not_recorded(self.health.why())));
        }
        // before the journal: what it loses is found here
        let in_force = (0..).zip(writes).filter(|(place, _)| !orders.iter().any(|order| order.contains(place)));
        if let Err(error) = self.silenced.record(in_force.map(|(_, write)| write)) {
            let why = format!("the silencing events cannot be written beside the journal: {error}");
            return Err(Failed::at_once(self.fail(why)));
        }
        let Some(store) = self.store.as_mut() else {
            return Err(Failed::at_once(Unavailable::not_recorded("it is closed")));
        };
        let applied = self.failures.caught(At::JournalApply, || store.apply(writes));
        let batch = match &applied {
            Ok(Ok(applied)) => Some(InDoubt::of(applied.clone())),
            _ => store.in_doubt().map(|applied| InDoubt::of(applied.to_vec())),
        };
        // what is in a file that nobody finds any more, or that somebody else wrote to, is not stored, unless it is put back
        if let Err(why) = self.place.as_ref().map_or(Ok(()), Place::check) {
            return Err(Failed { why: self.displace(why), batch });
        }
        match applied {
            Ok(Ok(applied)) => {
                let failures = self.failures.clone();
                let told = failures.caught(At::JournalNote, || {
                    self.note(writes, &applied);
                    self.event_stream.post(writes, &applied);
                });
                match told {
                    Ok(()) => Ok(applied),
                    Err(panic) => Err(Failed { why: self.fail(format!("its thread failed: {panic}")), batch }),
                }
            }
            Ok(Err(error)) => {
                self.verify = is_damage(&error);
                Err(Failed { why: self.fail(error.to_string()), batch })
            }
            Err(panic) => Err(Failed { why: self.fail(format!("its thread failed: {panic}")), batch }),
        }
    }

    /// Takes in that `writes` are on disk, as far as they could be written.
    fn note(&mut self, writes: &[Write], applied: &[Applied]) {
        for one in applied {
            if let Applied::Unwritable { why } = one {
                tracing::error!(why, "a record cannot be written");
            }
        }
        let noted = self.silenced.record(writes).and_then(|()| self.silenced.committed(writes));
        if let Err(error) = noted {
            tracing::warn!(%error, "the file of silencing events could not be rewritten; the daemon tries again");
        }
        self.reached.note(writes, applied);
        let number = |applied: &Applied| if let Applied::Stored { seq, .. } = applied { *seq } else { 0 };
        let latest = applied.iter().map(number).max().unwrap_or(0);
        self.health.reached.fetch_max(latest, Ordering::Relaxed);
    }

    fn close(&mut self) -> Result<(), NotClosed> {
        let Some(store) = self.store.take() else {
            return Err(NotClosed { why: self.health.why(), damaged: self.verify });
        };
        let met_damage = self.health.met_damage.load(Ordering::Acquire);
        store.close().map_err(|error| NotClosed { damaged: met_damage || is_damage(&error), why: error.to_string() })
    }

    /// A handle that saw a failure takes no more writes: it is closed here and opened again later.
    fn fail(&mut self, why: String) -> Unavailable {
        tracing::error!(why, "the journal failed; models are silent until it can be written again");
        self.store = None;
        self.failed = Some(Stopwatch::start());
        if let Ok(mut text) = self.health.why.lock() {
            text.clone_from(&why);
        }
        self.health.failing.store(true, Ordering::Release);
        Unavailable::not_recorded(why)
    }

    /// The journal's file is not in its place, or was overwritten there. What holds it stays open, so that it can be put back; one
    /// that was overwritten is not gone on with, and the next start says so.
    fn displace(&mut self, why: String) -> Unavailable {
        if !std::mem::replace(&mut self.displaced, true) {
            tracing::error!(
                code = DISPLACED,
                why,
                "nothing is written to a journal that is not in its place; models are silent"
            );
            if self.place.as_ref().is_some_and(Place::is_overwritten) {
                self.leave_word(&why);
            }
            let kind = EventKind::Alert { level: Level::Critical, code: DISPLACED.into(), message: why.clone() };
            self.keep(Write::Event(Event { at: WallClock.now(), kind }));
        }
        if let Ok(mut text) = self.health.why.lock() {
            text.clone_from(&why);
        }
        self.health.failing.store(true, Ordering::Release);
        // a page that somebody else wrote tells nothing of the disk
        self.health.met_damage.store(false, Ordering::Release);
        Unavailable::not_recorded(why)
    }

    /// Writes beside the journal why the next start is to lock: nothing is written to the journal any more.
    fn leave_word(&mut self, why: &str) {
        let reason = format!("{why}; look at what is in service, and resume after that");
        let kind = EventKind::Locked { reason, by: By::Daemon(NAME.into()), until: None };
        if let Err(error) = self.silenced.record(&[Write::Event(Event { at: WallClock.now(), kind })]) {
            tracing::warn!(%error, "the next start is not told that the journal was overwritten");
        }
    }

    fn keep(&mut self, write: Write) {
        // what was answered before it was known that the disk fails: what waited, and what was being written
        if self.kept.len() < self.limits.queue + self.limits.batch {
            self.kept.push_back(write);
        } else {
            self.health.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn reopen_if_due(&mut self) {
        if let Err(why) = self.place.as_ref().map_or(Ok(()), Place::check) {
            self.displace(why);
            return;
        }
        if std::mem::take(&mut self.displaced) && self.store.is_some() {
            self.resume();
        }
        if self.health.met_damage.load(Ordering::Acquire) {
            self.verify = true;
            self.fail(MET_DAMAGE.to_owned());
            // not before it counts as failing
            self.health.met_damage.store(false, Ordering::Release);
        }
        // all models are silent meanwhile
        let pause = self.limits.retry.saturating_mul(1 << self.reopenings.min(LONGEST_PAUSE));
        let paused = self.failed.is_some_and(|failed| failed.elapsed() < pause);
        if self.store.is_none() && !paused {
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        self.reopenings = self.reopenings.saturating_add(1);
        let failures = self.failures.clone();
        if let Err(panic) = failures.caught(At::JournalOpen, || self.reopen_now()) {
            self.fail(format!("its thread failed: {panic}"));
        }
    }

    fn reopen_now(&mut self) {
        match (self.open)(self.verify) {
            Ok(store) => {
                if let Some((place, again)) = self.place.as_mut().zip(store.place())
                    && let Err(why) = place.go_on(again)
                {
                    drop(store);
                    self.displace(why);
                    return;
                }
                self.store = Some(store);
                self.verify = false;
                self.resume();
            }
            Err(error) => {
                self.place.iter().for_each(Place::learn);
                self.verify |= error.is_corrupt();
                let damaged = error.is_corrupt();
                self.fail(error.to_string());
                if damaged {
                    self.health.damaged.notify_one();
                }
            }
        }
    }

    fn resume(&mut self) {
        self.event_stream.post_gap();
        if self.settle() {
            self.health.reopened.fetch_add(1, Ordering::Relaxed);
            self.health.failing.store(false, Ordering::Release);
            self.health.healed.notify_waiters();
            self.reopenings = 0;
            tracing::info!("the journal can be written again");
        }
    }

    fn reader(&self) -> Result<Reader, Unavailable> {
        let store = self.store.as_ref().filter(|_| !self.displaced);
        let store = store.ok_or_else(|| Unavailable::not_recorded(self.health.why()))?;
        let reader = self.failures.caught(At::JournalRead, || store.reader());
        let reader = reader.map_err(Unavailable::not_recorded)?;
        let reader = reader.inspect_err(|error| {
            if is_damage(error) {
                self.health.met_damage.store(true, Ordering::Release);
            }
        });
        let reader = reader.map_err(|error| Unavailable::not_recorded(error.to_string()))?;
        Ok(reader.telling(Arc::clone(&self.health.met_damage)))
    }
}

/// Which of the writes are orders that give a model influence, or lift a lock.
fn orders(writes: &[Write], waiting: &[(Range<usize>, Waiter)]) -> Vec<Range<usize>> {
    let gives = |write: &Write| match write {
        Write::Event(Event { kind: EventKind::Resumed { .. } | EventKind::LockEnded { .. }, .. }) => true,
        Write::Event(Event { kind: EventKind::Moved { step, .. }, .. }) => step.edge().1.may_influence(),
        _ => false,
    };
    let ranges = waiting.iter().map(|(range, _)| range);
    ranges.filter(|range| writes.get((*range).clone()).is_some_and(|own| own.iter().any(gives))).cloned().collect()
}

fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Storage(failure) if failure.kind == FailureKind::Corrupt)
}
