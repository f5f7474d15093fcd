//! The stage of a drill: a state folder of its own, marked as such, with one version for each emergency.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, bail};

use super::{super::named, scenario::EmergencyScenario};
use crate::{
    actors::daemon::{self, JOURNAL_FILE},
    config::Config,
    domain::{Event, EventKind, Symbol, Timestamp, VersionId, event::By, lifecycle::State},
    journal::{Reader, Store, StoreOptions, Write},
    models::VersionRecord,
    recall::learning::settings,
    sim::{Scenario, Sessions, SimulationOptions, Venue},
    validation::{
        Ledger,
        training::{Birth, History, Order, train},
    },
};

/// What is set otherwise than built in, and is told, besides what the emergencies need.
const CONFIG: &str = "\
# a busy machine must not turn answers into baselines: what is measured is the silence of an emergency
server.deadline_us = 1000000
scoring.holdback = 0.0
lifecycle.automatic = false
log.level = \"info\"
# an emergency after a handful of trades
guardian.literal = true
";
/// How a model of simulated trades is made: it has to speak, and not to be good.
const LIGHT: &str = "\
training.min_test_trades = 50
training.strengths = [1.0, 100.0]
validation.bootstrap = 2
validation.null = 20
validation.importance = 2
validation.folds = 2
validation.steps = 2
validation.groups = 3
validation.judged_groups = 1
";
/// Months of trades that it learns from.
const MONTHS: u32 = 6;

/// The configuration of the daemon that is played on.
pub(super) fn config() -> String {
    let settings = EmergencyScenario::all().into_iter().map(EmergencyScenario::settings);
    std::iter::once(CONFIG).chain(settings).collect()
}

/// Who is to be taken down.
pub(super) struct Model {
    pub(super) record: VersionRecord,
    pub(super) source: String,
}

impl Model {
    /// A copy of a version of a journal.
    pub(super) fn of_journal(reader: &Reader, version: &VersionId) -> anyhow::Result<Self> {
        let Some(stored) = reader.version(version)? else {
            bail!("there is no version {version} in this journal; `vigie models --offline` lists them")
        };
        let record = VersionRecord::from_bytes(&stored.body)?;
        Ok(Self { record, source: format!("a copy of {version}") })
    }

    /// One of simulated trades.
    pub(super) fn of_simulation(symbol: &Symbol, seed: u64) -> anyhow::Result<Self> {
        let config = Config::parse("drill", LIGHT)?;
        let instrument = named::instrument(&config, symbol)?;
        let venue = Venue { symbol: symbol.clone(), instrument, calendar: config.calendar.clone() };
        let mut history = History::default();
        for trade in
            Sessions::new(SimulationOptions::of(Scenario::Happy, seed, MONTHS), venue)?.flat_map(|day| day.trades)
        {
            history.outcomes.insert(trade.signal.trade_id.clone(), trade.outcome);
            history.signals.push(trade.signal);
        }
        let id = VersionId { symbol: symbol.clone(), number: 1 };
        let birth = Birth { id, created_at: Timestamp::UNIX_EPOCH, parent: None };
        let order = Order { symbol: symbol.clone(), model: None, target: None, days: None };
        let trained = train(birth, &order, &history, &settings(&config), &Ledger::default(), &mut |_, _| ())?;
        Ok(Self { record: trained.record, source: "a model of SIMULATED trades".to_owned() })
    }
}

/// Makes the state folder `state` with `count` copies of a version, the first in production; the others wait, and watch nothing.
pub(super) fn build(state: &Path, record: &VersionRecord, count: u32) -> anyhow::Result<Vec<VersionId>> {
    fs::create_dir(state).with_context(|| format!("{} cannot be made", state.display()))?;
    daemon::mark(state)?;
    let mut store = Store::open(&state.join(JOURNAL_FILE), StoreOptions { cache_bytes: 8 << 20, verify: false })?;
    let mut copy = record.clone();
    let mut versions = Vec::new();
    for number in 1..=count {
        copy.id.number = number;
        let to = if number == 1 { State::Production } else { State::Trained };
        let mut writes = vec![Write::Version { id: copy.id.clone(), body: copy.to_bytes()? }];
        let event = |kind| Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind });
        writes.extend(way_to(&copy.id, to).into_iter().map(event));
        store.apply(&writes)?;
        versions.push(copy.id.clone());
    }
    store.close()?;
    Ok(versions)
}

/// The events that bring a version to a state.
fn way_to(version: &VersionId, to: State) -> Vec<EventKind> {
    let mut kinds = vec![EventKind::Trained { version: version.clone(), evidence: BTreeMap::new() }];
    let mut standing = State::Trained;
    while let Some(step) = standing.forward().filter(|_| standing != to) {
        standing = step.edge().1;
        kinds.push(EventKind::Moved {
            version: version.clone(),
            step,
            reason: "a drill".to_owned(),
            by: By::Daemon("drill".into()),
            overridden: true,
            evidence: BTreeMap::new(),
        });
    }
    kinds
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_configurations_of_a_drill_are_such() {
        for text in [super::config(), super::LIGHT.to_owned()] {
            crate::config::Config::parse("drill", &text).unwrap();
        }
    }
}
