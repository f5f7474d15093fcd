//! The journal's thread: the only one that writes, and the only one that waits for the disk.
//!
//! Signals are written behind: they are handed over through a bounded queue and nobody waits for them. Outcomes, events
//! and versions are acknowledged once they are durable. All that waits is committed together: at once when somebody
//! waits for it, else when the last commit is a linger old, since a commit costs far more than a record: a signal after a
//! quiet time is on disk at once, and those of a crowd share their commits. Handing over a signal does not wake the thread
//! while it lingers or works, so scoring pays for no context switch. When the storage fails, what was to be acknowledged is
//! answered `unavailable` at once, signals are kept as far as the queue's size allows, and the database is opened again until
//! that works.
//!
//! A commit that failed may have reached the disk. So the journal is opened again at once and read from the last number that is
//! known to be there, before anybody is told that something is not recorded. As long as it cannot be read, that is not known:
//! who cannot wait is told so, and all are told the truth when it is known.

mod health;
mod writer;

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering, fence},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, Thread},
};

use tokio::sync::oneshot;

pub use self::health::{Health, JournalStatus};
use self::{health::MET_DAMAGE, writer::Writer};
use super::{event_stream::EventStream, supervision::Failures};
use crate::{
    config::Journal as Limits,
    journal::{Applied, OpenError, Reached, Reader, SilenceFile, Store, Write},
};

/// The actor's name.
pub const NAME: &str = "journal";

/// Opens the store; called at the start and again after each failure. True asks for a full check of the file.
pub type OpenStore = Box<dyn FnMut(bool) -> Result<Store, OpenError> + Send>;

/// Why something is not in the journal, or is not known to be there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal cannot be written now: {why}")]
pub struct Unavailable {
    /// In words.
    pub why: String,
    /// Whether it may be in the journal all the same: its commit failed, and what is on disk could not be read since.
    pub in_doubt: bool,
}

impl Unavailable {
    /// Of what is certainly not recorded.
    pub fn not_recorded(why: impl Into<String>) -> Self {
        Self { why: why.into(), in_doubt: false }
    }

    /// Of what may be recorded.
    pub fn in_doubt(why: impl Into<String>) -> Self {
        Self { why: why.into(), in_doubt: true }
    }
}

/// The thread ended before it said what became of a write.
fn interrupted<T>(_: T) -> Unavailable {
    Unavailable::in_doubt("its thread was interrupted")
}

/// Places in the queue for what somebody waits for, outcomes and orders, when decisions fill the rest. At most as many as
/// for decisions.
const RESERVED: usize = 1024;

/// The journal could not be closed in good order. Nothing acknowledged is lost by that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NotClosed {
    /// What stood in the way.
    pub why: String,
    /// Whether a page may be damaged.
    pub damaged: bool,
}

/// The queue is full, or the thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many writes wait for the disk")]
pub struct NoRoom;

/// Hands work to the journal's thread.
#[derive(Debug, Clone)]
pub struct JournalHandle {
    queue: SyncSender<Job>,
    /// Writes that may wait before one that nobody waits for is refused.
    room_behind: usize,
    health: Arc<Health>,
    bell: Arc<Bell>,
    event_stream: EventStream,
}

/// Wakes the thread, when that is needed.
#[derive(Debug, Default)]
struct Bell {
    thread: OnceLock<Thread>,
    /// The thread sleeps until it is woken.
    asleep: AtomicBool,
    /// Waiting writes from which a lingering thread is woken.
    crowd: usize,
}

impl Bell {
    fn ring(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Wakes the thread if it sleeps. The fence stands between what was queued and the look at the sleeper, as another
    /// one stands between the sleeper's sign and its last look at the queue: one of the two sees the other.
    fn ring_if_asleep(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.ring();
        }
    }
}

/// What became of the writes of one job, or why they are not there.
pub type Written = Result<Vec<Applied>, Unavailable>;

/// Who waits for a write.
#[derive(Debug)]
struct Waiter {
    /// Is told how the first attempt went, be it that nobody knows.
    first: Option<oneshot::Sender<Written>>,
    /// Is told when it is known.
    known: oneshot::Sender<Written>,
}

impl Waiter {
    /// Tells how it went; in doubt only who cannot wait.
    fn tell(mut self, written: &Written) -> Option<Self> {
        if let Some(first) = self.first.take() {
            let _may_be_gone = first.send(written.clone());
        }
        if matches!(written, Err(error) if error.in_doubt) {
            return Some(self);
        }
        let _may_be_gone = self.known.send(written.clone());
        None
    }
}

#[derive(Debug)]
enum Job {
    Behind(Write),
    Durable(Vec<Write>, Waiter),
    Read(oneshot::Sender<Result<Reader, Unavailable>>),
    Stop(oneshot::Sender<Result<(), NotClosed>>),
}

impl JournalHandle {
    /// Whether a decision made now can be recorded. A model has no influence while it cannot.
    pub fn accepts(&self) -> bool {
        self.health.accepts()
    }

    /// Hands over a write that nobody waits for.
    ///
    /// # Errors
    /// [`NoRoom`]; the write is gone.
    pub fn write_behind(&self, write: Write) -> Result<(), NoRoom> {
        let waiting = self.health.waiting.fetch_add(1, Ordering::Relaxed);
        let has_room = waiting < self.room_behind;
        let sent = has_room.then(|| self.queue.try_send(Job::Behind(write)).ok()).flatten().ok_or_else(|| {
            self.health.waiting.fetch_sub(1, Ordering::Relaxed);
            NoRoom
        });
        if waiting >= self.bell.crowd {
            self.bell.ring();
        } else {
            self.bell.ring_if_asleep();
        }
        sent
    }

    /// Waits until it can be written, and so be read: all models are silent until then.
    pub async fn works(&self) {
        let mut healed = self.healed(); // listening before looking
        while !self.accepts() {
            healed.await;
            healed = self.healed();
        }
    }

    /// The number of the last record that was committed since the start, 0 before the first.
    pub fn last_number(&self) -> u64 {
        self.health.reached.load(Ordering::Relaxed)
    }

    /// Where commits are posted, for who wants to be told.
    pub fn event_stream(&self) -> &EventStream {
        &self.event_stream
    }

    /// Counts a signal that could not be kept.
    pub fn count_dropped(&self) {
        self.health.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands over writes and gets, once they are durable, what became of each. It waits until that is known, be the disk dead
    /// meanwhile.
    ///
    /// # Errors
    /// [`Unavailable`]: none of them is in the journal, or, in doubt, the thread has ended.
    pub fn write(&self, writes: Vec<Write>) -> impl Future<Output = Written> + 'static + use<> {
        let (known, receiver) = oneshot::channel();
        let sent = self.send(Job::Durable(writes, Waiter { first: None, known }));
        async move {
            sent?;
            receiver.await.map_err(interrupted)?
        }
    }

    /// The same for who cannot wait for a dead disk: how the first attempt went, which may be [`Unavailable::in_doubt`], and what
    /// is known in the end.
    pub fn attempt(
        &self,
        writes: Vec<Write>,
    ) -> (impl Future<Output = Written> + 'static + use<>, impl Future<Output = Written> + 'static + use<>) {
        let ((first, tried), (known, settled)) = (oneshot::channel(), oneshot::channel());
        let sent = self.send(Job::Durable(writes, Waiter { first: Some(first), known }));
        let again = sent.clone();
        let first = async move {
            sent?;
            tried.await.map_err(interrupted)?
        };
        let known = async move {
            again?;
            settled.await.map_err(interrupted)?
        };
        (first, known)
    }

    /// [`Self::write`] for a thread that may wait.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn write_blocking(&self, writes: Vec<Write>) -> Written {
        self.hand_over(writes)?.blocking_recv().map_err(interrupted)?
    }

    /// [`Self::write`] for a thread that looks for the answer now and then.
    ///
    /// # Errors
    /// [`Unavailable`]: none of them is in the journal.
    pub fn hand_over(&self, writes: Vec<Write>) -> Result<oneshot::Receiver<Written>, Unavailable> {
        let (known, receiver) = oneshot::channel();
        self.send(Job::Durable(writes, Waiter { first: None, known }))?;
        Ok(receiver)
    }

    /// A snapshot of everything that was committed before, to be read on another thread.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn read(&self) -> impl Future<Output = Result<Reader, Unavailable>> + 'static + use<> {
        let (sender, receiver) = oneshot::channel();
        let sent = self.send(Job::Read(sender));
        async move {
            sent?;
            receiver.await.map_err(interrupted)?
        }
    }

    /// The same for a thread that may wait.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn read_blocking(&self) -> Result<Reader, Unavailable> {
        let (sender, receiver) = oneshot::channel();
        self.send(Job::Read(sender))?;
        receiver.blocking_recv().map_err(interrupted)?
    }

    /// Commits what waits, closes the journal and ends the thread.
    ///
    /// # Errors
    /// [`NotClosed`].
    pub async fn stop(&self) -> Result<(), NotClosed> {
        let (sender, receiver) = oneshot::channel();
        let ended = |_| NotClosed { why: "its thread has ended".to_owned(), damaged: false };
        self.send(Job::Stop(sender)).map_err(|error| NotClosed { why: error.why, damaged: false })?;
        receiver.await.map_err(ended)?
    }

    /// Waits until the file is known to be damaged beyond repair, and says how. Nothing can be written to it any more, and the
    /// next start puts it aside.
    pub async fn damaged(&self) -> String {
        self.health.damaged.notified().await;
        self.health.why()
    }

    /// Waits until the journal can be written again after a failure; a healing after this call counts, whenever it is awaited.
    pub fn healed(&self) -> impl Future<Output = ()> {
        self.health.healed.notified()
    }

    /// Whether the thread was stopped: what is not written then never is.
    pub fn has_ended(&self) -> bool {
        self.health.ended.load(Ordering::Acquire)
    }

    /// Its state.
    pub fn status(&self) -> JournalStatus {
        self.health.status()
    }

    /// Whether the journal fails, or failed since it had been opened again `reopened` times: what was read of it meanwhile may
    /// have ended for that.
    pub fn failed_since(&self, reopened: u64) -> bool {
        !self.accepts() || self.health.reopened.load(Ordering::Relaxed) != reopened
    }

    fn send(&self, job: Job) -> Result<(), Unavailable> {
        let sent = self.queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Unavailable::not_recorded(NoRoom.to_string()),
            TrySendError::Disconnected(_) => Unavailable::not_recorded("its thread has ended"),
        });
        self.bell.ring();
        sent
    }
}

/// Starts the thread around a store that is open; what silences a model goes to `silenced` first, and
/// `reached` is told of each commit. Panics are reported to
/// `failures` and survived.
///
/// # Errors
/// What the system says when it gives no thread.
pub fn start(
    store: Store,
    silenced: SilenceFile,
    reached: Reached,
    open: OpenStore,
    limits: Limits,
    failures: Failures,
) -> std::io::Result<JournalHandle> {
    let room_behind = limits.queue;
    let (queue, jobs) = sync_channel(room_behind + RESERVED.min(room_behind));
    let health = Arc::new(Health::default());
    let event_stream = EventStream::default();
    let bell = Arc::new(Bell { crowd: limits.batch.min(limits.queue / 2), ..Bell::default() });
    let writer = Writer {
        bell: Arc::clone(&bell),
        event_stream: event_stream.clone(),
        place: store.place().cloned(),
        displaced: false,
        store: Some(store),
        silenced,
        reached,
        open,
        verify: false,
        failed: None,
        committed: None,
        limits,
        kept: VecDeque::new(),
        doubts: Vec::new(),
        health: Arc::clone(&health),
        failures,
        reopenings: 0,
    };
    let thread = thread::Builder::new().name(NAME.to_owned()).spawn(move || writer.run(&jobs))?;
    let _set_once = bell.thread.set(thread.thread().clone());
    Ok(JournalHandle { queue, room_behind, health, bell, event_stream })
}
