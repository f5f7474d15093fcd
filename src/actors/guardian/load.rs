//! What the journal's events and records make of the guardian.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Shared,
    damaged::{Damaged, damaged},
};
use crate::{
    actors::{
        history,
        models::{Unusable, served},
    },
    config::Config,
    domain::{Event, EventKind, Timestamp, VersionId, event::By, trip::Trip},
    features::row::Schema,
    journal::Reader,
    rules::{
        emergency::Emergency, gradual::Gradual, past::Past, roster::Roster, serving::Served, trials::Trials, watch,
    },
};

/// What everything that happened makes of the folds over it.
pub struct Known {
    /// The versions on trial, and the roster.
    pub trials: Trials,
    /// What the emergency rules remember.
    pub emergency: Emergency,
    /// The emergencies that the closed trades are by the limits of now.
    pub trips: Vec<Trip>,
}

pub(super) struct Folded {
    pub(super) roster: Roster,
    pub(super) emergency: Emergency,
    pub(super) gradual: BTreeMap<VersionId, Gradual>,
    pub(super) loaded: BTreeMap<VersionId, Arc<Served>>,
    /// Versions that should be loaded and cannot be, and why.
    pub(super) unusable: Vec<(VersionId, Unusable)>,
    /// The emergencies that the closed trades are by the limits of now.
    pub(super) trips: Vec<Trip>,
    /// What follows from outcomes that cannot be read.
    pub(super) damaged: Damaged,
}

impl Known {
    fn read(reader: &Reader, config: &Config) -> Result<Self, String> {
        let (Past { trials, emergency, .. }, trips) = history::past(reader, config, None)?;
        Ok(Self { trials, emergency, trips })
    }
}

/// Folds what happened, unless it is `known`, and loads what it puts in service.
pub(super) fn fold(
    reader: &Reader,
    schema: &Schema,
    config: &Config,
    known: Option<Known>,
    now: Timestamp,
) -> Result<Folded, String> {
    let known = known.map_or_else(|| Known::read(reader, config), Ok);
    let Known { trials, emergency, trips } = known?;
    let roster = trials.roster().clone();
    let mut gradual = BTreeMap::new();
    for stored in reader.events(0).map_err(|error| error.to_string())?.flatten() {
        watch::follow(&mut gradual, &config.gradual, &stored.event.kind);
    }
    let (mut loaded, mut unusable) = (BTreeMap::new(), Vec::new());
    for plan in roster.plan().into_values() {
        for version in plan.production.into_iter().chain(plan.test).chain(plan.shadows) {
            match served(reader, &version, schema, config) {
                Ok(served) => drop(loaded.insert(version, served)),
                // a disk that fails takes no version out of service, and locks nothing
                Err(Unusable::Unreadable(error)) => return Err(error),
                Err(error) => unusable.push((version, error)),
            }
        }
    }
    let damaged = damaged(reader, &emergency, config, now)?;
    Ok(Folded { roster, emergency, gradual, loaded, unusable, trips, damaged })
}

/// Locks the guardian that is about to be made, and every one after it. A lock for this reason that the journal holds
/// already is left as it is.
pub fn lock_at_start(shared: &Shared, known: &Known, reason: String) {
    if known.trials.roster().lock().is_some_and(|lock| lock.contains(&reason)) {
        return;
    }
    tracing::error!(reason, "locked to the baseline");
    let kind = EventKind::Locked { reason, by: By::Daemon("journal".into()) };
    let event = Event { at: shared.clock.now(), kind };
    shared.unsaved.borrow_mut().push(event.clone());
    shared.settle(vec![event], false);
}

/// The code of the alert about a version that cannot score, and its words.
pub(super) fn told(version: &VersionId, why: &Unusable) -> (&'static str, String) {
    match why {
        Unusable::InputGone(error) => ("input_gone", format!("{version} does not score any more: {error}")),
        Unusable::InputsChanged(error) => ("inputs_changed", format!("{version} does not score any more: {error}")),
        Unusable::Damaged(error) | Unusable::Unreadable(error) => (
            "model_damaged",
            format!("{version} is in service and cannot be loaded: {error}; it does not score, train it again"),
        ),
    }
}

/// A version that should speak and cannot score is a fault of integrity, as lifecycle has it: all is locked until a person
/// has looked. Not twice, and not for one that only watches.
pub(super) fn lock(roster: &Roster, unusable: &[(VersionId, Unusable)]) -> Option<EventKind> {
    let speaks = |version: &VersionId| roster.speaking().any(|(other, _)| other == version);
    let (version, why) = unusable.iter().find(|(version, _)| roster.lock().is_none() && speaks(version))?;
    let (_, reason) = told(version, why);
    Some(EventKind::Locked { reason, by: By::Daemon("guardian".into()) })
}
