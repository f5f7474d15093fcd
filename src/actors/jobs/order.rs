//! Runs of the schedule that somebody orders.

use std::sync::PoisonError;

use super::{Announced, JobLog, When};
use crate::{config::Config, domain::Timestamp};

/// Why a run that was ordered does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOrdered {
    /// The schedule has no such job.
    #[error("the schedule has no job {name:?}; it has {}", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// None in an emergency.
    #[error("nothing of the schedule runs in an emergency: {emergency}")]
    Emergency {
        /// What is the matter.
        emergency: String,
    },
    /// One run at a time.
    #[error("{name} is under way since {since:.0}; one runs at a time, order it again when that is done")]
    UnderWay {
        /// Which.
        name: &'static str,
        /// Since when.
        since: Timestamp,
    },
}

impl JobLog {
    /// Announces a run of a job of the schedule that somebody ordered, unless there is an `emergency`. What was due for it is kept by
    /// that. Gives back the job's name.
    ///
    /// # Errors
    /// [`NotOrdered`].
    pub fn order(
        &self,
        name: &str,
        why: String,
        config: &Config,
        emergency: Option<String>,
    ) -> Result<&'static str, NotOrdered> {
        let (now, zone) = (self.0.clock.now(), config.calendar.zone());
        let of_schedule = || self.0.jobs.iter().filter(|job| matches!(job.when, When::At(_)));
        let job = of_schedule().find(|job| job.name == name);
        let known = || of_schedule().map(|job| job.name).collect();
        let job = job.ok_or_else(|| NotOrdered::Unknown { name: name.to_owned(), known: known() })?;
        if let Some(emergency) = emergency {
            return Err(NotOrdered::Emergency { emergency });
        }
        let mut all = self.0.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((name, since)) = self.busy(&all) {
            return Err(NotOrdered::UnderWay { name, since });
        }
        let runs = all.entry(job.name).or_default();
        if let Some((past, appointment)) = runs.past.as_mut().zip(job.when.appointment(config)) {
            past.missed(appointment, zone, now).into_iter().for_each(|at| past.begin(at));
        }
        runs.announced = Some((now, why.into()));
        runs.revision += 1;
        let ordered = Announced { name: job.name, revision: runs.revision };
        *self.0.ordered.lock().unwrap_or_else(PoisonError::into_inner) = Some(ordered);
        Ok(job.name)
    }

    /// The run that was ordered since this was asked last.
    pub fn ordered(&self) -> Option<Announced> {
        self.0.ordered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
