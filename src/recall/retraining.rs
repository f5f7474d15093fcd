//! What a consideration of retraining goes by: how many trades have closed, what was trained last, and how the version in production
//! was judged.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{events, in_time::InTime};
use crate::{
    config::Config,
    domain::{EventKind, Symbol, Timestamp, VersionId, lifecycle::State},
    journal::Reader,
    lifecycle::roster::Roster,
    models::levels::Level,
    schedule::retraining::{Consideration, Judged, Known, Latest, Terms},
};

/// Each configured symbol that has a trade, and whether it is to be trained again.
///
/// # Errors
/// When the journal cannot be read.
pub fn consider(reader: &Reader, config: &Config) -> Result<Vec<(Symbol, Consideration)>, String> {
    let terms = Terms {
        new_trades: config.schedule.min_new_trades,
        composite: config.schedule.min_composite,
        first_trades: match config.training.allow_levels.contains(&Level::Linear) {
            true => config.training.min_trades as u64,
            false => config.levels.linear_min_trades.max(config.training.min_trades as u64),
        },
    };
    let known = known(reader)?;
    let configured = known.into_iter().filter(|(symbol, _)| config.symbols.contains_key(symbol));
    Ok(configured.map(|(symbol, known)| (symbol, Consideration::of(&known, &terms))).collect())
}

/// What the events say of trainings.
#[derive(Default)]
struct Trainings {
    roster: Roster,
    /// When a version was registered, by its name.
    trained: BTreeMap<VersionId, Timestamp>,
    /// Closed trades that there were when it was trained, where its entry in the ledger says so.
    closed: BTreeMap<VersionId, u64>,
    judged: BTreeMap<VersionId, Judged>,
}

fn known(reader: &Reader) -> Result<BTreeMap<Symbol, Known>, String> {
    let mut trainings = Trainings::default();
    for stored in events::in_force(reader).map_err(|error| error.to_string())? {
        let event = stored.map_err(|error| error.to_string())?.event;
        trainings.apply(event.at, &event.kind);
    }
    // of each symbol when its closed trades were closed
    let mut closed: BTreeMap<Symbol, Vec<Timestamp>> = BTreeMap::new();
    for trade in InTime::read(reader)?.walk(reader, None) {
        let trade = trade?;
        if let Some(outcome) = trade.at_own_size().filter(|outcome| outcome.pnl.is_some()) {
            closed.entry(trade.stored.signal.symbol.clone()).or_default().push(outcome.exit_at);
        }
    }
    Ok(closed.into_iter().map(|(symbol, closed)| (symbol.clone(), trainings.of(&symbol, &closed))).collect())
}

impl Trainings {
    fn apply(&mut self, at: Timestamp, kind: &EventKind) {
        self.roster.apply(kind);
        match kind {
            EventKind::Trained { version, .. } => drop(self.trained.insert(version.clone(), at)),
            EventKind::Tried(trial) => {
                let of = trial.version.clone().zip(trial.closed_trades);
                self.closed.extend(of);
            }
            EventKind::Judged { version, day, composite, degraded, .. } => {
                let judged = Judged { day: *day, composite: *composite, degraded: *degraded };
                self.judged.insert(version.clone(), judged);
            }
            _ => {}
        }
    }

    fn of(&self, symbol: &Symbol, closed: &[Timestamp]) -> Known {
        let plan = self.roster.plan().remove(symbol).unwrap_or_default();
        let own = self.trained.iter().filter(|(version, _)| version.symbol == *symbol);
        let latest = own.max_by_key(|(version, _)| version.number).map(|(version, at)| {
            let before = || closed.iter().filter(|exit| **exit <= *at).count() as u64;
            Latest {
                version: version.clone(),
                at: *at,
                closed: self.closed.get(version).copied().unwrap_or_else(before),
            }
        });
        let staging = plan.shadows.first().map(|version| (version.clone(), State::Staging));
        Known {
            closed: closed.len() as u64,
            latest,
            judged: plan.production.as_ref().and_then(|version| self.judged.get(version).copied()),
            production: plan.production,
            on_trial: plan.test.map(|version| (version, State::AbTest)).or(staging),
        }
    }
}

/// What was decided for a symbol and why, in a sentence.
pub fn told(symbol: &Symbol, considered: &Consideration) -> String {
    let due = if considered.is_due() { "due" } else { "not due" };
    format!("{symbol} {due}: {considered}")
}
