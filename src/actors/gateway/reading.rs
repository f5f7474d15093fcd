//! How requests that read are answered.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use tokio::time::timeout;

use super::{
    Gateway,
    answers::{
        DriftAnswer, ExperimentAnswer, ModelAnswer, ModelsAnswer, PhasesAnswer, Pong, SignalsAnswer, StatusAnswer,
        TrainingAnswer,
    },
    signals::{latest, one},
};
use crate::{
    actors::{ab_router::Assess, guardian::ObserveGuardian, trainer::ObserveTrainer},
    config::Config,
    journal::Reader,
    protocol::message::{self, Experiment, Model, Phases, Read, Signals, WireError},
    recall::{
        passport::{difference, passport},
        phases::phases,
        versions::summaries,
    },
    trials::trial_view::Case,
};

/// How long `drift` waits for the monitor.
const PATIENCE: Duration = Duration::from_secs(5);

/// Fields of an answer, written already, or why there are none.
type Answered = Result<BTreeMap<String, Box<RawValue>>, WireError>;

/// The fields of an answer, in the order of their names. What is large is written so away from the thread that serves.
fn told(answer: &impl Serialize) -> Answered {
    let written = || -> serde_json::Result<_> {
        let fields: serde_json::Map<String, Value> = serde_json::from_value(serde_json::to_value(answer)?)?;
        fields.into_iter().map(|(name, value)| Ok((name, to_raw_value(&value)?))).collect()
    };
    written().map_err(|error| WireError::new("internal_error", error.to_string()))
}

fn unreadable(error: impl ToString) -> WireError {
    WireError::new("retry", error.to_string())
}

impl Gateway {
    /// Answers what changes nothing.
    pub(super) async fn read(&self, read: Read, id: Option<&RawValue>, out: &mut Vec<u8>) {
        let answered = match read {
            Read::Ping => told(&Pong { version: env!("CARGO_PKG_VERSION") }),
            Read::Status => told(&StatusAnswer { status: self.status().await }),
            Read::Training => {
                let training = self.0.trainer.send(ObserveTrainer).await.ok().flatten().unwrap_or_default();
                told(&TrainingAnswer { training })
            }
            Read::Models => self.models().await,
            Read::Model(wanted) => self.model(wanted).await,
            Read::Alerts(wanted) => match self.0.alerts.answer(&self.0.journal, &self.0.failures, wanted).await {
                Ok(alerts) => return message::write_ok(out, id, &alerts),
                Err(error) => Err(error),
            },
            Read::Experiment(wanted) => self.experiment(wanted).await,
            Read::Signals(wanted) => self.signals(wanted).await,
            Read::Drift => self.drift().await,
            Read::Phases(wanted) => self.phases(wanted).await,
        };
        match answered {
            Ok(fields) => message::write_ok(out, id, &fields),
            Err(error) => message::write_error(out, id, &error),
        }
    }

    async fn drift(&self) -> Answered {
        let drift = timeout(PATIENCE, self.0.monitor.drift()).await.ok().flatten();
        let drift = drift.ok_or_else(|| WireError::new("retry", "the monitor does not answer now; ask again"))?;
        self.scan(move || told(&DriftAnswer { versions: drift })).await?
    }

    /// A question about the journal as it stands, by the configuration in force.
    async fn of_journal(&self, ask: impl FnOnce(&Reader, &Config) -> Answered + Send + 'static) -> Answered {
        let reader = self.0.journal.read().await.map_err(unreadable)?;
        let config = self.0.config.load_full();
        self.scan(move || ask(&reader, &config)).await?
    }

    async fn signals(&self, wanted: Signals) -> Answered {
        let ask = move |reader: &Reader, config: &Config| {
            let signals = match wanted.seq {
                Some(seq) => one(reader, seq, config).map(|signal| signal.into_iter().collect()),
                None => latest(reader, wanted.limit, config),
            };
            told(&SignalsAnswer { signals: signals.map_err(unreadable)? })
        };
        self.of_journal(ask).await
    }

    async fn models(&self) -> Answered {
        let guardian = self.0.guardian.send(ObserveGuardian).await.ok().flatten();
        let guardian = guardian.ok_or_else(|| WireError::new("retry", "the guardian is restarting"))?;
        let standings = guardian.versions.into_iter().map(|status| (status.version, status.standing)).collect();
        let ask = move |reader: &Reader, _: &Config| {
            told(&ModelsAnswer { models: summaries(reader, &standings).map_err(unreadable)? })
        };
        self.of_journal(ask).await
    }

    async fn model(&self, wanted: Model) -> Answered {
        let Model { version, against } = wanted;
        let ask = move |reader: &Reader, _: &Config| {
            let refused = |error: String| WireError::new("refused", error);
            let model = passport(reader, &version).map_err(refused)?;
            let differ =
                against.as_ref().map(|other| difference(reader, &version, other)).transpose().map_err(refused)?;
            told(&ModelAnswer { model, differ })
        };
        self.of_journal(ask).await
    }

    async fn phases(&self, wanted: Phases) -> Answered {
        let ask = move |reader: &Reader, config: &Config| {
            let found = phases(reader, config, &wanted.symbol, wanted.target).map_err(unreadable)?;
            let unknown = || format!("symbol {} is not configured, and no signal of it ever came", wanted.symbol);
            told(&PhasesAnswer { phases: found.ok_or_else(|| WireError::new("refused", unknown()))? })
        };
        self.of_journal(ask).await
    }

    async fn experiment(&self, wanted: Experiment) -> Answered {
        let Experiment { version, looks } = wanted;
        let cases = self.0.ab_router.send(Assess { version: version.clone() }).await.ok().flatten();
        let cases = cases.ok_or_else(|| WireError::new("retry", "the A/B router is restarting; ask again"))?;
        if let (Some(version), []) = (&version, cases.as_slice()) {
            let message =
                format!("{version} is on no trial and never was under test; `vigie models` lists all versions");
            return Err(WireError::new("refused", message));
        }
        let assess = move || {
            let assess = if looks { Case::assess_with_looks } else { Case::assess };
            let assessed: Result<Vec<_>, _> = cases.iter().map(assess).collect();
            told(&ExperimentAnswer { trials: assessed.map_err(|error| WireError::new("config", error.to_string()))? })
        };
        self.scan(assess).await?
    }
}
