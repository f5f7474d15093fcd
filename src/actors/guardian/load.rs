//! What the journal's events and records make of the guardian.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    actors::{history, models::served},
    config::Config,
    domain::{VersionId, trip::Trip},
    features::row::Schema,
    journal::Reader,
    rules::{emergency::Emergency, gradual::Gradual, past::Past, roster::Roster, serving::Served, watch},
};

pub(super) struct Folded {
    pub(super) roster: Roster,
    pub(super) emergency: Emergency,
    pub(super) gradual: BTreeMap<VersionId, Gradual>,
    pub(super) loaded: BTreeMap<VersionId, Arc<Served>>,
    /// Versions that should be loaded and cannot be, and why.
    pub(super) damaged: Vec<(VersionId, String)>,
    /// The emergencies that the closed trades are by the limits of now.
    pub(super) trips: Vec<Trip>,
}

pub(super) fn fold(reader: &Reader, schema: &Schema, config: &Config) -> Result<Folded, String> {
    let (Past { trials, emergency, .. }, trips) = history::past(reader, config)?;
    let roster = trials.roster().clone();
    let mut gradual = BTreeMap::new();
    for stored in reader.events(0).map_err(|error| error.to_string())?.flatten() {
        watch::follow(&mut gradual, &config.gradual, &stored.event.kind);
    }
    let (mut loaded, mut damaged) = (BTreeMap::new(), Vec::new());
    for plan in roster.plan().into_values() {
        for version in plan.production.into_iter().chain(plan.test).chain(plan.shadows) {
            match served(reader, &version, schema) {
                Ok(served) => drop(loaded.insert(version, served)),
                Err(error) => damaged.push((version, error)),
            }
        }
    }
    Ok(Folded { roster, emergency, gradual, loaded, damaged, trips })
}
