//! What all parts of the daemon share: the configuration, what may be served, the time, and whom a panic is told to.

use std::{collections::BTreeMap, sync::Arc};

use arc_swap::ArcSwap;

use super::{DaemonOptions, Time, jobs};
use crate::{
    actors::{jobs::JobLog, monitor::MonitorHandle, supervision::Failures},
    clock::{Clock, EventClock, Stopwatch, WallClock},
    config::Config,
    domain::Timestamp,
    policy::serving::Serving,
};

/// What all parts share, and nobody owns alone.
pub(super) struct Common {
    /// The configuration in force; the daemon's loop stores into it.
    pub(super) config: Arc<ArcSwap<Config>>,
    /// What may be served; the guardian stores into it.
    pub(super) serving: Arc<ArcSwap<Serving>>,
    pub(super) clock: Arc<dyn Clock>,
    /// When the start began, by that clock, and what has passed since.
    pub(super) began: (Timestamp, Stopwatch),
    /// The same clock where time comes from the messages.
    pub(super) event_clock: Option<Arc<EventClock>>,
    /// Where panics are counted; tells the daemon's loop.
    pub(super) failures: Failures,
    /// What came of the jobs.
    pub(super) jobs: JobLog,
    /// Where the monitor is told what happened.
    pub(super) monitor: MonitorHandle,
}

impl Common {
    pub(super) fn new(options: &DaemonOptions, failures: Failures, monitor: MonitorHandle) -> Self {
        let event_clock = matches!(options.time, Time::Event).then(|| Arc::new(EventClock::default()));
        let clock: Arc<dyn Clock> = match (&event_clock, &options.time) {
            (Some(clock), _) => Arc::clone(clock) as Arc<dyn Clock>,
            (None, Time::Given(clock)) => Arc::clone(clock),
            (None, _) => Arc::new(WallClock),
        };
        Self {
            config: Arc::new(ArcSwap::from_pointee(options.config.clone())),
            serving: Arc::new(ArcSwap::from_pointee(Serving::locked(0, "starting".to_owned(), BTreeMap::new()))),
            jobs: JobLog::new(Arc::clone(&clock), jobs::about(jobs::JOBS)),
            began: (clock.now(), Stopwatch::start()),
            clock,
            event_clock,
            failures,
            monitor,
        }
    }
}
