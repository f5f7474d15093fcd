//! The registered versions, as `models` lists them, from the running daemon or from a journal on disk.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::events;
use crate::{
    config::Config,
    domain::{Timestamp, VersionId, lifecycle::State},
    features::{
        design::InvalidDesign,
        made::{InputOptions, InputsChanged},
        measured::Needs,
        row::Schema,
    },
    journal::{FailureKind, Reader, StoreError},
    lifecycle::roster::{Roster, VersionStanding},
    models::{Kind, VersionRecord},
    policy::serving::Served,
    portfolio::Portfolio,
};

/// One version in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionSummary {
    /// Its name.
    pub version: VersionId,
    /// Where it stands.
    pub state: State,
    /// Whether a gate was ever passed over for it.
    pub overridden: bool,
    /// When it was trained.
    pub created_at: Option<Timestamp>,
    /// Its kind, such as `logistic`.
    pub kind: Option<String>,
    /// What it predicts.
    pub target: Option<String>,
    /// Trades it was fitted on.
    pub training_rows: Option<u64>,
    /// Times of the first and the last signal of these.
    #[serde(default)]
    pub training_span: Option<(Timestamp, Timestamp)>,
    /// The version that was in production when it was trained, and that it is meant to replace.
    #[serde(default)]
    pub parent: Option<VersionId>,
    /// Share of each column in what it says; empty where nothing matters.
    #[serde(default)]
    pub importance: Vec<(Box<str>, f64)>,
    /// Figures of its fit and its out-of-sample test.
    pub metrics: BTreeMap<Box<str>, f64>,
    /// Why its record cannot be used, if so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// Summaries of `standings`, in the order of their names.
///
/// # Errors
/// When the journal cannot be read; a damaged record is an entry with its error.
pub fn summaries(
    reader: &Reader,
    standings: &BTreeMap<VersionId, VersionStanding>,
) -> Result<Vec<VersionSummary>, String> {
    standings.iter().map(|(version, standing)| summary(reader, version, *standing)).collect()
}

/// The roster that the events of a journal make. One that cannot be read locks it.
///
/// # Errors
/// When the storage cannot be read.
pub fn roster(reader: &Reader) -> Result<Roster, String> {
    roster_until(reader, None)
}

/// The same, of those up to a time, itself included. One that cannot be read is as old as what is before it.
///
/// # Errors
/// When the storage cannot be read.
pub fn roster_until(reader: &Reader, until: Option<Timestamp>) -> Result<Roster, String> {
    let mut roster = Roster::default();
    for stored in events::in_force(reader).map_err(|error| error.to_string())? {
        let event = stored.map_err(|error| error.to_string())?.event;
        if until.is_none_or(|until| event.at <= until) {
            roster.apply(&event.kind);
        }
    }
    Ok(roster)
}

/// What the events of a journal say about a portfolio.
///
/// # Errors
/// When an event cannot be read.
pub fn portfolio(reader: &Reader) -> Result<Portfolio, String> {
    let mut portfolio = Portfolio::default();
    for event in events::whole(reader).map_err(|error| error.to_string())? {
        portfolio.apply(&event.map_err(|error| error.to_string())?);
    }
    Ok(portfolio)
}

/// The record of one version, checked.
///
/// # Errors
/// When there is none, or it cannot be used.
pub fn record(reader: &Reader, version: &VersionId) -> Result<VersionRecord, String> {
    usable(reader, version).map_err(|error| error.to_string())
}

/// The same, for who tells a record that is damaged from a journal that cannot be read at this moment.
///
/// # Errors
/// [`Unusable::Damaged`] and [`Unusable::Unreadable`].
pub fn usable(reader: &Reader, version: &VersionId) -> Result<VersionRecord, Unusable> {
    checked(reader, version).map(|(record, _)| record)
}

/// The same, with the checksum it is stored under.
fn checked(reader: &Reader, version: &VersionId) -> Result<(VersionRecord, [u8; 32]), Unusable> {
    let damaged = |why: String| Unusable::Damaged(why);
    let stored = reader.version(version).map_err(Unusable::of_store)?;
    let stored = stored
        .ok_or_else(|| damaged(format!("there is no version {version}; `vigie models` lists those that exist")))?;
    let record = VersionRecord::from_bytes(&stored.body).map_err(|error| damaged(error.to_string()))?;
    if record.id != *version {
        return Err(damaged(format!("the record under its name is that of {}; restore a backup", record.id)));
    }
    Ok((record, stored.checksum))
}

/// Why a version cannot score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its record is missing or damaged.
    #[error("{0}")]
    Damaged(String),
    /// The journal cannot be read at this moment, which says nothing about the version.
    #[error("{0}")]
    Unreadable(String),
    /// It uses an input that is no longer declared.
    #[error("{0}")]
    InputGone(InvalidDesign),
    /// Its inputs would not be those it was trained on.
    #[error("{0}")]
    InputsChanged(InputsChanged),
}

/// One version, ready to score rows of `schema` as `config` makes them. Of a version whose record does not say what its inputs
/// were made by, or by what policy it was validated, written before that was stored, it is taken to be what is configured.
///
/// # Errors
/// [`Unusable`].
pub fn served(reader: &Reader, version: &VersionId, schema: &Schema, config: &Config) -> Result<Arc<Served>, Unusable> {
    let (record, checksum) = checked(reader, version)?;
    let model = record.compile().map_err(|error| Unusable::Damaged(error.to_string()))?;
    let design = record.design.for_schema(schema).map_err(Unusable::of)?;
    // without a table of its symbol every signal is answered `unknown_symbol` anyway
    if let (Some(made), Some(instrument)) = (&record.inputs, config.symbols.get(&version.symbol)) {
        let now = InputOptions::new(*instrument, &config.calendar, &config.features, schema.names());
        made.check(&version.symbol, &now).map_err(Unusable::InputsChanged)?;
    }
    let needs = Needs::new(design.known_inputs(), &record.importance, &config.stale);
    let judged_by = (record.question(), record.standard, record.policy);
    Ok(Arc::new(Served::new(version.clone(), design, needs, model, checksum, judged_by)))
}

impl Unusable {
    /// From why the journal did not give what was looked for.
    pub fn of_store(error: StoreError) -> Self {
        match &error {
            StoreError::Storage(failure) if failure.kind != FailureKind::Corrupt => Self::Unreadable(error.to_string()),
            _ => Self::Damaged(error.to_string()),
        }
    }

    /// From why a design cannot be read from the rows of now.
    pub fn of(error: InvalidDesign) -> Self {
        match error {
            InvalidDesign::InputGone { .. } => Self::InputGone(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

fn summary(reader: &Reader, version: &VersionId, standing: VersionStanding) -> Result<VersionSummary, String> {
    let VersionStanding { state, overridden } = standing;
    let stored = reader.version(version);
    let record = match stored {
        Ok(Some(stored)) => VersionRecord::from_bytes(&stored.body).map_err(|error| error.to_string()),
        Ok(None) => Err("its record is missing".to_owned()),
        Err(error) => match Unusable::of_store(error) {
            Unusable::Unreadable(error) => return Err(error),
            damaged => Err(damaged.to_string()),
        },
    };
    let blank = VersionSummary {
        version: version.clone(),
        state,
        overridden,
        created_at: None,
        kind: None,
        target: None,
        training_rows: None,
        training_span: None,
        parent: None,
        importance: Vec::new(),
        metrics: BTreeMap::new(),
        error: None,
    };
    Ok(match record {
        Ok(record) => VersionSummary {
            created_at: Some(record.created_at),
            kind: Some(record.kind.map_or(record.model.kind(), Kind::name).to_owned()),
            target: Some(record.target.to_string()),
            training_rows: Some(record.training.rows),
            training_span: Some((record.training.first, record.training.last)),
            parent: record.parent,
            importance: record.importance,
            metrics: record.metrics,
            ..blank
        },
        Err(error) => VersionSummary { error: Some(error), ..blank },
    })
}
