//! How the monitor is made from the journal, and when it is made again.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Finding, Monitor, NAME, State, line::MonitorMessage};
use crate::{
    actors::supervision::Place,
    clock::Stopwatch,
    config::Config,
    domain::VersionId,
    guard::watch::{Watch, WatchedVersion},
    recall::{
        rebuilt::Rebuilt,
        versions::Unusable,
        watched::{self, untold},
    },
};

/// Sections and keys of the configuration that a monitor is made by.
pub const READS: [&str; 11] = [
    "symbols",
    "targets",
    "trading_day",
    "features",
    "carry",
    "scoring",
    "sizing",
    "monitor",
    "health",
    "experiment.outcome_wait_days",
    "training.seed",
];
/// How often in a row it reads what was recorded while it was made; each time that is less.
const MOST_GAPS: usize = 16;
/// The shortest time between two makings for news that found no room.
const LOST_AGAIN: Duration = Duration::from_secs(30);
/// The pause after the journal failed while it was read.
const AFTER_THE_DISK: Duration = Duration::from_secs(1);

impl Monitor {
    /// Whether what it was made by is as `config` has it.
    pub(super) fn is_made_by(&mut self, config: &Arc<Config>) -> bool {
        if let Some((compared, is_same)) = &self.compared
            && Arc::ptr_eq(compared, config)
        {
            return *is_same;
        }
        let is_same = self.made_by.as_ref() == Some(&config.hash_of(&READS));
        self.compared = Some((Arc::clone(config), is_same));
        is_same
    }

    /// Whether news was dropped that the journal has and this has not, and it may be read now.
    pub(super) fn has_lost(&self) -> bool {
        self.state.is_some()
            && self.line.dropped.load(Ordering::Relaxed) != self.dropped
            && !self.line.is_crowded()
            && self.surroundings.journal.accepts()
            && self.made_again.as_ref().is_none_or(|at| at.elapsed() >= LOST_AGAIN)
    }

    /// Makes room for news from now on: what waits is in the journal. Gives back how much was dropped so far.
    fn make_room(&mut self) -> u64 {
        while let Ok(told) = self.told.try_recv() {
            self.line.waiting.fetch_sub(1, Ordering::Relaxed);
            if !matches!(told, MonitorMessage::News(_)) {
                self.asked.push(told);
            }
        }
        self.line.dropped.load(Ordering::Relaxed)
    }

    /// The journal failed while it was read. That is no failure of this part, and is not counted as one.
    pub(super) fn wait_for_the_disk(&mut self, error: &str) {
        tracing::warn!(actor = NAME, error, pause = ?AFTER_THE_DISK, "the journal failed while the monitor was made; trying again");
        (self.state, self.failed) = (None, Some((Stopwatch::start(), AFTER_THE_DISK)));
    }

    /// It could not be made: it is made after a pause that grows, unless that was tried too often. A version that nobody watches
    /// is not served for ever.
    pub(super) fn try_again(&mut self, error: String) {
        self.state = None;
        let pause = self.tries.fail();
        tracing::error!(actor = NAME, error, ?pause, "the monitor could not be made; trying again");
        if pause.is_none() {
            let why = format!("it could not be made in {} tries: {error}", self.tries.failed());
            self.surroundings.failures.give_up(Place::MonitorMake, why);
        }
        self.failed = Some((Stopwatch::start(), pause.unwrap_or(Duration::MAX)));
    }

    /// Makes the state that the journal's signals and outcomes make of `versions`, and tells what was not told when it
    /// happened: nobody may have watched then, or what was found did not reach the disk.
    pub(super) fn make(&mut self, versions: &[VersionId], epoch: u64) -> Result<(), String> {
        let config = self.surroundings.config.load_full();
        let mut dropped = self.line.dropped.load(Ordering::Relaxed);
        let reader = self.surroundings.journal.read_blocking().map_err(|error| error.to_string())?;
        if !self.is_made_by(&config) {
            self.known.clear();
            self.made_by = Some(config.hash_of(&READS));
            self.compared = Some((Arc::clone(&config), true));
        }
        self.known.retain(|version, _| versions.contains(version));
        for version in versions {
            if self.known.contains_key(version) {
                continue;
            }
            let since = Stopwatch::start();
            let subject = match watched::of(&reader, &config, version) {
                Ok(subject) => subject,
                Err(Unusable::Unreadable(error)) => return Err(error),
                Err(error) => {
                    tracing::error!(actor = NAME, %version, %error, "it cannot be judged");
                    WatchedVersion::default()
                }
            };
            tracing::info!(%version, seconds = since.elapsed().as_secs_f64(), "its limits were drawn");
            self.known.insert(version.clone(), subject);
        }
        let (mut watch, options) = (Watch::default(), &config.monitoring.watch);
        watch.serve(options, versions, |version| self.known.get(version).cloned().unwrap_or_default());
        let failures = self.surroundings.failures.clone();
        let mut rebuilt = failures.caught(Place::MonitorFold, || Rebuilt::from(&reader, &config, watch))??;
        drop(reader);
        for _ in 0..MOST_GAPS {
            if self.line.dropped.load(Ordering::Relaxed) == dropped {
                break;
            }
            // what found no room meanwhile is in the journal by now
            dropped = self.make_room();
            let reader = self.surroundings.journal.read_blocking().map_err(|error| error.to_string())?;
            rebuilt.go_on(&reader)?;
        }
        self.dropped = dropped;
        let Rebuilt { watch, days, found, until, told, .. } = rebuilt;
        self.days = days.and(&self.days);
        for alert in untold(&watch, &self.surroundings.serving.load(), &told) {
            let _it_is_logged = self.send(Finding::Alert(alert));
        }
        self.state = Some(State { watch, epoch, until });
        let missed = self.days.missed(found);
        self.tell(missed);
        Ok(())
    }
}
