//! What the journal's events and records make of the guardian.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    GuardianShared,
    damaged::{Damaged, damaged},
};
use crate::{
    config::Config,
    domain::{Event, EventKind, Timestamp, VersionId, event::By},
    features::row::Schema,
    journal::Reader,
    lifecycle::roster::Roster,
    policy::serving::Served,
    recall::{
        checkpoint,
        fold::Folded,
        versions::{Unusable, served},
    },
    state::step::State,
};

pub(super) struct Loaded {
    /// What everything that happened comes to.
    pub(super) state: State,
    /// The number up to which.
    pub(super) seq: u64,
    pub(super) loaded: BTreeMap<VersionId, Arc<Served>>,
    /// Versions that should be loaded and cannot be, and why.
    pub(super) unusable: Vec<(VersionId, Unusable)>,
    /// What follows from outcomes that cannot be read.
    pub(super) damaged: Damaged,
}

/// Folds what happened, unless it is `known`, and loads what it puts in service.
pub(super) fn load(
    reader: &Reader,
    schema: &Schema,
    config: &Config,
    known: Option<Folded>,
    now: Timestamp,
) -> Result<Loaded, String> {
    let known = known.map_or_else(|| checkpoint::state(reader, config), Ok);
    let Folded { state, seq, damaged: unread, .. } = known?;
    let (mut loaded, mut unusable) = (BTreeMap::new(), Vec::new());
    for plan in state.trials.roster().plan().into_values() {
        for version in plan.production.into_iter().chain(plan.test).chain(plan.shadows) {
            match served(reader, &version, schema, config) {
                Ok(served) => drop(loaded.insert(version, served)),
                // a disk that fails takes no version out of service, and locks nothing
                Err(Unusable::Unreadable(error)) => return Err(error),
                Err(error) => unusable.push((version, error)),
            }
        }
    }
    let damaged = damaged(reader, unread, &state.risk.emergency, config, now)?;
    Ok(Loaded { state, seq, loaded, unusable, damaged })
}

/// Bytes of the words of a lock up to which others are added.
const LONGEST: usize = 1000;

/// Locks the guardian that is about to be made, and every one after it. A lock for this reason that the journal holds
/// already is left as it is; the words of another stay beside it.
pub fn lock_at_start(shared: &GuardianShared, known: &State, reason: String) {
    let reason = match known.trials.roster().silence().lock_for_good() {
        Some(lock) if lock.contains(&reason) => return,
        Some(lock) if lock.len() < LONGEST => format!("{lock}; {reason}"),
        _ => reason,
    };
    tracing::error!(reason, "locked to the baseline");
    let kind = EventKind::Locked { reason, by: By::Daemon("journal".into()), until: None };
    let event = Event { at: shared.clock.now(), kind };
    shared.unsaved.borrow_mut().push(event.clone());
    shared.write_again(vec![event]);
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
    let (version, why) =
        unusable.iter().find(|(version, _)| roster.silence().lock_for_good().is_none() && speaks(version))?;
    let (_, reason) = told(version, why);
    Some(EventKind::Locked { reason, by: By::Daemon("guardian".into()), until: None })
}
