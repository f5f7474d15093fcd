//! Requests that read, and change nothing.
#![deny(clippy::indexing_slicing)]

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;

use super::Gateway;
use crate::{
    actors::{
        ab_router::{Assess, ObserveRouter, RouterStatus},
        archivist::ArchivingStatus,
        guardian::{GuardianStatus, ObserveGuardian},
        jobs::JobStatus,
        journal::JournalStatus,
        monitor::MonitorStatus,
        scorer::{ObserveScorer, ScorerStatus},
        supervision::Place,
        trainer::{ObserveTrainer, Running},
    },
    config::Config,
    domain::Timestamp,
    guard::emergency::{accuracy, day_loss},
    journal::{Counts, Storage},
    lifecycle::{gates::Gate, names::NameCount},
    protocol::message::{Change, WireError},
    trials::trial_view::Case,
};

/// How long `status` waits for the monitor, which may be busy.
const GLANCE: Duration = Duration::from_millis(250);

/// Limits and shares of the configuration in force, for who shows how far from them things are.
#[derive(Debug, Serialize)]
pub struct Limits {
    /// What the account may lose in a trading day while signals carry no limit of their own; account currency.
    day_loss: f64,
    /// Accuracy under which a version is dangerous, 0 to 1.
    min_accuracy: f64,
    /// Part of the signals that is held back from a version in production, 0 to 1.
    holdback: f64,
    /// Part of the signals that a version under test gets, 0 to 1.
    ab_share: f64,
    /// In which trading days are counted.
    time_zone: Option<String>,
}

impl Limits {
    fn of(config: &Config) -> Self {
        let number = |key| config.guardian.number(key);
        Self {
            day_loss: number(&day_loss::FACTOR) * number(&day_loss::LIMIT),
            min_accuracy: number(&accuracy::MIN),
            holdback: config.policy.holdback,
            ab_share: config.policy.ab_share,
            time_zone: config.calendar.zone_name().map(str::to_owned),
        }
    }
}

/// The daemon's state: the answer to `status`.
#[derive(Debug, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: &'static str,
    /// Whether it is a drill, and nothing it says is to be traded on; absent when it is none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// When it began to serve, by its clock.
    pub started_at: Timestamp,
    /// Its clock now.
    pub now: Timestamp,
    /// Seconds since it began to serve.
    pub uptime_s: f64,
    /// BLAKE2b-8 of the configuration in force.
    pub config_hash: String,
    /// Connections open now.
    pub connections: usize,
    /// Connections turned away since the start.
    pub refused: u64,
    /// Requests at fault since the start.
    pub rejected: u64,
    /// Restarts of actors survived since the start.
    pub restarts: u64,
    /// What the configuration allows.
    pub limits: Limits,
    /// What the journal holds; absent while it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The journal.
    pub journal: JournalStatus,
    /// How large it is; absent while it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// The trade ids that are known.
    pub trade_ids: NameCount,
    /// The scorer; absent while it restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scorer: Option<ScorerStatus>,
    /// The guardian; absent while it restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guardian: Option<GuardianStatus>,
    /// The A/B router; absent while it restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<RouterStatus>,
    /// The monitor; absent while it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorStatus>,
    /// What recurs, and what came of the last runs.
    pub jobs: Vec<JobStatus>,
    /// The latest order to archive since the start, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archiving: Option<ArchivingStatus>,
    /// What the trainer is doing, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training: Option<Running>,
}

impl Gateway {
    /// Does what may wait for a disk, or takes its time, on another thread.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WireError> {
        let done = self.0.failures.blocking(Place::GatewayRead, work).await;
        done.map_err(|error| WireError::new("internal_error", error))
    }

    /// Answers a question about the journal on one of the few threads for that.
    pub(super) async fn scan<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WireError> {
        let done = self.0.failures.scan(Place::GatewayRead, work).await;
        done.map_err(|error| WireError::new("internal_error", error))
    }

    pub(super) async fn status(&self) -> Status {
        let wiring = &*self.0;
        let now = wiring.clock.now();
        let (counts, storage) = match wiring.journal.read().await {
            Ok(reader) => self.blocking(move || (reader.counts().ok(), reader.storage(now).ok())).await,
            Err(_) => Ok((None, None)),
        }
        .unwrap_or_default();
        let mut journal = wiring.journal.status();
        journal.waiting += wiring.unsaved.borrow().len();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            drill: wiring.drill,
            started_at: wiring.started_at,
            now,
            uptime_s: wiring.started.elapsed().as_secs_f64(),
            config_hash: wiring.config.load().hash(),
            connections: wiring.connections.open.get(),
            refused: wiring.connections.refused.get(),
            rejected: wiring.rejected.get(),
            restarts: wiring.restarts.get(),
            limits: Limits::of(&wiring.config.load()),
            counts,
            journal,
            storage,
            trade_ids: wiring.trade_news.names(),
            scorer: wiring.scorer_shell.send(ObserveScorer).await.ok().flatten(),
            guardian: wiring.guardian.send(ObserveGuardian).await.ok().flatten(),
            trials: wiring.ab_router.send(ObserveRouter).await.ok().flatten(),
            monitor: timeout(GLANCE, wiring.monitor.observe()).await.ok().flatten(),
            jobs: wiring.jobs.status(&wiring.config.load()),
            archiving: wiring.archivist.status(),
            training: wiring.trainer.send(ObserveTrainer).await.ok().flatten().and_then(|status| status.running),
        }
    }

    /// The gates on the way of a promotion that evidence decides on.
    pub(super) async fn gates(&self, change: &Change) -> Vec<Gate> {
        let Change::Promote { version, .. } = change else { return Vec::new() };
        let assess = Assess { version: Some(version.clone()) };
        let cases = self.0.ab_router.send(assess).await.ok().flatten().unwrap_or_default();
        let gates = move || cases.iter().filter_map(Case::gate).collect();
        self.blocking(gates).await.unwrap_or_default()
    }
}
