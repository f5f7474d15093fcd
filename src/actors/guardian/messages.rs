//! What the guardian is told and asked, and what it says of itself.

use actix::Message;
use serde::Serialize;

use crate::{
    domain::{Skip, VersionId, event::By},
    protocol::message::{Ack, Change, OutcomeRequest, WireError},
    rules::roster::Standing,
};

/// A closed trade to be judged and recorded.
#[derive(Debug)]
pub struct RecordOutcome(pub OutcomeRequest);

/// A signal that was let go, to be recorded.
#[derive(Debug)]
pub struct RecordSkip(pub Skip);

/// A change ordered by a person.
#[derive(Debug)]
pub struct Order {
    /// What to do.
    pub change: Change,
    /// Who said so.
    pub uid: u32,
}

/// A new configuration is in force.
#[derive(Debug)]
pub struct Reconfigured;

/// Serve nothing but the baseline, at once. False when the guardian is being made anew and has to be told again.
#[derive(Debug, Clone)]
pub struct LockNow {
    /// Why.
    pub reason: String,
    /// Who says so.
    pub by: By,
}

/// Asks the guardian how things stand.
#[derive(Debug)]
pub struct ObserveGuardian;

/// How things stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardianStatus {
    /// Number of the serving in force.
    pub epoch: u64,
    /// Why serving is locked, if it is.
    pub lock: Option<String>,
    /// All versions and where they stand.
    pub versions: Vec<VersionStatus>,
}

/// Where one version stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionStatus {
    /// Its name.
    pub version: VersionId,
    /// State and mark.
    #[serde(flatten)]
    pub standing: Standing,
    /// Whether it is loaded and scores.
    pub scoring: bool,
}

/// An order was carried out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Done {
    /// What now holds, in words.
    pub done: String,
    /// Whether it is on disk. What silences a model takes effect before.
    pub durable: bool,
}

/// An answer for the wire.
pub type Answer<T> = Result<T, WireError>;

impl Message for RecordOutcome {
    type Result = Answer<Ack>;
}
impl Message for RecordSkip {
    type Result = Answer<Ack>;
}
impl Message for Order {
    type Result = Answer<Done>;
}
impl Message for Reconfigured {
    type Result = ();
}
impl Message for LockNow {
    type Result = bool;
}
impl Message for ObserveGuardian {
    type Result = Option<GuardianStatus>;
}
