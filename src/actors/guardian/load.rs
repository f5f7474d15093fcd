//! What the journal's events and records make of the guardian.

use std::{collections::BTreeMap, sync::Arc};

use super::Guardian;
use crate::{
    actors::{models::served, supervision::Part},
    domain::{EventKind, VersionId, event::By},
    features::row::Schema,
    journal::Reader,
    rules::{roster::Roster, serving::Served},
};

type Folded = (Roster, BTreeMap<VersionId, Arc<Served>>, Vec<(VersionId, String)>);

pub(super) fn fold(reader: &Reader, schema: &Schema) -> Result<Folded, String> {
    let mut roster = Roster::default();
    for stored in reader.events(0).map_err(|error| error.to_string())? {
        match stored {
            Ok(stored) => roster.apply(&stored.event.kind),
            // an event that cannot be read may have been the one that silenced a model
            Err(error) => {
                let by = By::Daemon(Guardian::NAME.into());
                roster.apply(&EventKind::Locked { reason: format!("the event log is damaged: {error}"), by });
            }
        }
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
    Ok((roster, loaded, damaged))
}
