//! What the journal keeps of the runs of a job.
//!
//! It stands beside the log and not in it: nothing follows from a run that an emergency, a test or a share goes by, the next run takes
//! the place of the last, and a start must find it without reading the log. What a run finds and people must hear of is an event or an
//! alert, which is in the log. Copies of the journal have it as they have a checkpoint.

use std::{borrow::Cow, sync::PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::{JobLog, Run, Runs, When};
use crate::{
    actors::{
        acknowledge::all_stored,
        journal::{JournalHandle, Written},
    },
    domain::Timestamp,
    journal::{Reader, StoreError, Write},
    schedule::Past,
};

/// What came of a run that had not ended when the daemon did.
const CUT_SHORT: &str = "the end of the daemon cut it short";

/// Of one job, as JSON under the name [`name_of`] among the checkpoints. A field that is not there is `null`.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct StoredRuns {
    since: Option<Timestamp>,
    /// The latest appointment that a run has ended for.
    kept: Option<Timestamp>,
    /// The one that runs were begun for and none has ended, and how often.
    begun: Option<(Timestamp, u32)>,
    /// When the run began that is under way, or about to be, and why.
    under_way: Option<(Timestamp, Cow<'static, str>)>,
    last: Option<Run>,
    last_failure: Option<Run>,
}

/// What was handed to the journal.
#[derive(Debug)]
pub struct Handed {
    revisions: Vec<(&'static str, u64)>,
    written: oneshot::Receiver<Written>,
}

fn name_of(job: &str) -> String {
    format!("job:{job}")
}

impl StoredRuns {
    fn of(runs: &Runs) -> Self {
        let past = runs.past;
        Self {
            since: past.map(|past| past.since),
            kept: past.and_then(|past| past.kept),
            begun: past.and_then(|past| past.begun),
            under_way: runs.under_way.clone().filter(|_| runs.is_announced).or_else(|| runs.announced.clone()),
            last: runs.last.clone(),
            last_failure: runs.last_failure.clone(),
        }
    }

    /// What a daemon knows that starts at `now`.
    fn at_start(self, now: Timestamp) -> Runs {
        let past = Past { since: self.since.unwrap_or(now), kept: self.kept, begun: self.begun }.at_start(now);
        let cut_short = self.under_way.map(|(at, why)| Run { at, took_us: None, why, found: CUT_SHORT.into() });
        Runs {
            last: cut_short.clone().or(self.last),
            last_failure: cut_short.or(self.last_failure),
            past: Some(past),
            ..Runs::default()
        }
    }
}

impl JobLog {
    /// Takes in what the journal has. A job that it does not know is known from now on; so is one whose record is damaged.
    ///
    /// # Errors
    /// [`StoreError::Storage`].
    pub fn read(&self, reader: &Reader) -> Result<(), StoreError> {
        let now = self.0.clock.now();
        for job in self.0.jobs.iter().filter(|job| job.is_stored) {
            let found = match reader.checkpoint(&name_of(job.name)) {
                Ok(bytes) => bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())),
                Err(StoreError::BadRecord(bad)) => Some(Err(bad.to_string())),
                Err(error) => return Err(error),
            };
            let stored: StoredRuns = found
                .transpose()
                .unwrap_or_else(|why| {
                    tracing::warn!(job = job.name, why, "its last runs cannot be read; it is as if it had not run yet");
                    None
                })
                .unwrap_or_default();
            // what is due by a clock must be known from this start on
            let is_news = stored.under_way.is_some() || (stored.since.is_none() && matches!(job.when, When::At(_)));
            self.of(job.name, |runs| *runs = Runs { revision: u64::from(is_news), ..stored.at_start(now) });
        }
        Ok(())
    }

    /// Takes in what the journal of another process has. A run that is under way there stays so; where that process has ended it was cut
    /// short, which its next start notes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_beside(&self, reader: &Reader) -> Result<(), StoreError> {
        self.read(reader)?;
        for job in self.0.jobs.iter().filter(|job| job.is_stored) {
            let stored = reader.checkpoint(&name_of(job.name)).ok().flatten();
            let stored = stored.and_then(|bytes| serde_json::from_slice::<StoredRuns>(&bytes).ok()).unwrap_or_default();
            if stored.under_way.is_some() {
                let StoredRuns { under_way, last, last_failure, .. } = stored;
                self.of(job.name, |runs| {
                    (runs.under_way, runs.last, runs.last_failure) = (under_way, last, last_failure)
                });
            }
        }
        Ok(())
    }

    /// Hands to the journal what changed, and waits for nothing. `None` when nothing did, or it has no room.
    pub fn hand_over(&self, journal: &JournalHandle) -> Option<Handed> {
        let _in_turn = self.0.handing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut revisions, mut writes) = (Vec::new(), Vec::new());
        for name in self.0.jobs.iter().filter(|job| job.is_stored).map(|job| job.name) {
            let changed =
                self.of(name, |runs| (runs.revision > runs.stored).then(|| (StoredRuns::of(runs), runs.revision)));
            if let Some((stored, revision)) = changed {
                revisions.push((name, revision));
                let bytes = serde_json::to_vec(&stored).unwrap_or_default();
                writes.push(Write::Checkpoint { name: name_of(name), bytes });
            }
        }
        if writes.is_empty() {
            return None;
        }
        journal.hand_over(writes).ok().map(|written| Handed { revisions, written })
    }

    /// Whether it is known what became of `handed`. What is not on disk is handed over again.
    pub fn is_settled(&self, handed: &mut Handed) -> bool {
        let written = match handed.written.try_recv() {
            Ok(written) => all_stored(written).is_ok(),
            Err(TryRecvError::Closed) => false,
            Err(TryRecvError::Empty) => return false,
        };
        for (name, revision) in handed.revisions.iter().filter(|_| written) {
            self.of(name, |runs| runs.stored = runs.stored.max(*revision));
        }
        true
    }
}
