//! What is known of the journal without asking its thread.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// Why the journal is opened again when a reader asked for it.
pub(super) const MET_DAMAGE: &str = "a damaged page was met while the journal was read; every page of it is looked at";

/// What the rest of the daemon knows of the journal. Reading it waits for nothing but the sentence about a failure.
#[derive(Debug, Default)]
pub struct Health {
    pub(super) failing: AtomicBool,
    pub(super) why: Mutex<String>,
    pub(super) waiting: AtomicUsize,
    pub(super) dropped: AtomicU64,
    pub(super) commits: AtomicU64,
    /// The number of the last record that was committed.
    pub(super) reached: AtomicU64,
    pub(super) reopened: AtomicU64,
    /// A reader met a damaged page, and the thread has not seen to it yet.
    pub(super) met_damage: Arc<AtomicBool>,
    /// Rings when the file is damaged beyond repair.
    pub(super) damaged: Notify,
    /// Rings when it can be written again.
    pub(super) healed: Notify,
    pub(super) ended: AtomicBool,
}

impl Health {
    /// Why the journal cannot be written.
    pub(super) fn why(&self) -> String {
        match self.met_damage.load(Ordering::Acquire) {
            true => MET_DAMAGE.to_owned(),
            false => self.why.lock().map(|why| why.clone()).unwrap_or_default(),
        }
    }

    /// Whether it can be written, as far as is known.
    pub(super) fn accepts(&self) -> bool {
        !self.failing.load(Ordering::Acquire) && !self.met_damage.load(Ordering::Acquire)
    }

    /// Its state.
    pub(super) fn status(&self) -> JournalStatus {
        let ok = self.accepts();
        JournalStatus {
            ok,
            error: (!ok).then(|| self.why()),
            waiting: self.waiting.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            reopened: self.reopened.load(Ordering::Relaxed),
        }
    }
}

/// The journal's state for `status`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct JournalStatus {
    /// Whether it can be written now.
    pub ok: bool,
    /// What stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Writes that wait for the disk, with the locks and rollbacks that are in force and not on disk.
    pub waiting: usize,
    /// Signals that could not be kept since the start. Their answers were the baseline.
    pub dropped: u64,
    /// Durable commits since the start.
    pub commits: u64,
    /// Times the database was opened again after a failure.
    pub reopened: u64,
}
