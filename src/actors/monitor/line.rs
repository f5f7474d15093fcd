//! The queue to the monitor: bounded, and waited at by nobody.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::Thread,
};

use tokio::sync::oneshot;

use super::{DriftStatus, MonitorStatus};
use crate::{
    domain::{Outcome, Timestamp, snapshot::TrendRegime},
    guard::watch::WatchNews,
    lifecycle::{
        open_trades::AnsweredSignal,
        watch_news::{closed_news, scored_news},
    },
};

/// News that may wait.
const QUEUE: usize = 8192;
/// Waiting news from which the thread is woken.
const CROWD: usize = QUEUE / 4;

/// What is handed over.
pub(super) enum MonitorMessage {
    News(WatchNews),
    Drift(oneshot::Sender<DriftStatus>),
    Observe(oneshot::Sender<MonitorStatus>),
}

/// Hands news to the monitor, and asks it.
#[derive(Debug, Clone)]
pub struct MonitorHandle {
    queue: SyncSender<MonitorMessage>,
    shared: Arc<Line>,
}

/// What both ends know.
#[derive(Debug, Default)]
pub(super) struct Line {
    pub(super) thread: OnceLock<Thread>,
    pub(super) waiting: AtomicUsize,
    pub(super) dropped: AtomicU64,
    /// Whether it is to end.
    pub(super) ends: AtomicBool,
}

/// The other end, from which the thread is started.
pub struct Inbox {
    pub(super) told: Receiver<MonitorMessage>,
    pub(super) shared: Arc<Line>,
}

/// The queue to a monitor that is not started yet.
pub fn channel() -> (MonitorHandle, Inbox) {
    let (queue, told) = sync_channel(QUEUE);
    let shared = Arc::new(Line::default());
    (MonitorHandle { queue, shared: Arc::clone(&shared) }, Inbox { told, shared })
}

impl MonitorHandle {
    /// A signal was answered at `now`, when `row` was known.
    pub fn scored(&self, now: Timestamp, entry: &AnsweredSignal, row: Vec<Option<f64>>, regime: Option<TrendRegime>) {
        self.news(scored_news(now, entry, row, regime));
    }

    /// A trade was closed at `now`.
    pub fn closed(&self, now: Timestamp, entry: &AnsweredSignal, outcome: &Outcome) {
        if entry.opinions.iter().any(|opinion| opinion.score.is_some()) {
            self.news(Some(closed_news(now, entry, outcome)));
        }
    }

    /// Tells it the time, so that a day that has ended is judged.
    pub fn time(&self, now: Timestamp) {
        self.news(Some(WatchNews::Time(now)));
    }

    /// Lets it end: the journal is about to be closed. What it has not heard yet is in there.
    pub fn end(&self) {
        self.shared.ends.store(true, Ordering::Release);
        self.shared.wake();
    }

    /// Everything that is measured. `None` when the monitor is not there or has no room.
    pub async fn drift(&self) -> Option<DriftStatus> {
        let (sender, receiver) = oneshot::channel();
        self.ask(MonitorMessage::Drift(sender))?;
        receiver.await.ok()
    }

    /// How it is. `None` as for [`drift`](Self::drift).
    pub async fn observe(&self) -> Option<MonitorStatus> {
        let (sender, receiver) = oneshot::channel();
        self.ask(MonitorMessage::Observe(sender))?;
        receiver.await.ok()
    }

    fn news(&self, news: Option<WatchNews>) {
        let Some(news) = news else { return };
        let waiting = self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(MonitorMessage::News(news)).is_err() {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        } else if waiting == CROWD {
            self.shared.wake();
        }
    }

    fn ask(&self, told: MonitorMessage) -> Option<()> {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = self.queue.try_send(told);
        if sent.is_err() {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.shared.wake();
        sent.ok()
    }
}

impl Line {
    /// Whether much waits.
    pub(super) fn is_crowded(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) >= CROWD
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
