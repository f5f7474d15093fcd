//! What is committed together.

use std::{ops::Range, sync::atomic::Ordering};

use tokio::sync::oneshot;

use crate::{
    actors::journal::{Health, Job, NotClosed, Unavailable, Waiter},
    journal::{Reader, Write},
};

/// What is committed together, and who waits for it.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) writes: Vec<Write>,
    pub(super) waiting: Vec<(Range<usize>, Waiter)>,
    pub(super) readers: Vec<oneshot::Sender<Result<Reader, Unavailable>>>,
    pub(super) stop: Option<oneshot::Sender<Result<(), NotClosed>>>,
}

impl Batch {
    pub(super) fn add(&mut self, job: Job, health: &Health) {
        match job {
            Job::Behind(write) => {
                health.waiting.fetch_sub(1, Ordering::Relaxed);
                self.writes.push(write);
            }
            Job::Durable(writes, waiter) => {
                let start = self.writes.len();
                self.writes.extend(writes);
                self.waiting.push((start..self.writes.len(), waiter));
            }
            Job::Read(sender) => self.readers.push(sender),
            Job::Stop(sender) => self.stop = Some(sender),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && !self.is_urgent()
    }

    /// Somebody waits for it, or there is nothing to wait for.
    pub(super) fn is_urgent(&self) -> bool {
        !self.waiting.is_empty() || !self.readers.is_empty() || self.stop.is_some()
    }
}
