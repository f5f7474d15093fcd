//! Threads for what people ask of the journal: few of them, and behind everything that serves. Questions and copies have their own,
//! since a copy may take minutes and a question must not wait for it.
#![deny(clippy::indexing_slicing)]

use std::time::Duration;

use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, spawn_blocking},
};

/// Questions, and copies, that are under way at once; the others wait for these.
pub(in crate::actors) const AT_ONCE: usize = 2;
/// How much its threads stand back behind the others of the process.
const NICE: i32 = 10;
/// How long a thread waits for the next question before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// What a thread does.
pub(super) type Work = Box<dyn FnOnce() + Send>;

/// The threads. They are made when something is asked.
#[derive(Debug)]
pub(super) struct Scans(Option<Runtime>);

impl Scans {
    /// Threads of this name.
    pub(super) fn new(name: &'static str) -> Self {
        let mut threads = Builder::new_current_thread();
        threads.max_blocking_threads(AT_ONCE).thread_keep_alive(IDLE).thread_name(name).on_thread_start(|| {
            let _it_is_only_polite = rustix::process::nice(NICE);
        });
        Self(threads.build().inspect_err(|error| tracing::error!(%error, "no threads for scans of their own")).ok())
    }

    /// Begins `work` as soon as a thread is free.
    pub(super) fn begin(&self, work: Work) -> JoinHandle<()> {
        match &self.0 {
            Some(threads) => threads.handle().spawn_blocking(work),
            None => spawn_blocking(work),
        }
    }
}

impl Drop for Scans {
    fn drop(&mut self) {
        // what is under way reads only, and nobody waits for it any more
        if let Some(threads) = self.0.take() {
            threads.shutdown_background();
        }
    }
}
