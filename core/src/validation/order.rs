//! What is ordered, what a version is called that comes of it, and what comes of it.

use serde::{Deserialize, Serialize};

use super::ValidationReport;
use crate::{
    domain::{Symbol, Timestamp, VersionId, event::Trial},
    models::{Kind, Target, VersionRecord},
};

/// What is to be trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Whose trades.
    pub symbol: Symbol,
    /// The kind of model; as configured without it.
    #[serde(default)]
    pub model: Option<Kind>,
    /// What it predicts; as configured without it.
    #[serde(default)]
    pub target: Option<Target>,
    /// Only trades of so many days before the latest one.
    #[serde(default)]
    pub days: Option<u32>,
}

/// What a new version is called and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Birth {
    /// Its name; its symbol says which trades it learns from.
    pub id: VersionId,
    /// When it is trained.
    pub created_at: Timestamp,
    /// The version it is meant to replace.
    pub parent: Option<VersionId>,
}

/// A version that was trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Trained {
    /// What is stored of it; the report is in there too.
    pub record: VersionRecord,
    /// What its validation found.
    pub report: ValidationReport,
    /// Its entry in the ledger.
    pub trial: Trial,
}
