//! What the guardian is told and asked, and what it says of itself.

use actix::Message;
use serde::Serialize;

use crate::{
    domain::{Outcome, Skip, Symbol, Timestamp, TradeId, VersionId, event::By},
    guard::emergency::VersionLevel,
    journal::{Applied, Existing, StoredOutcome},
    lifecycle::{gates::Gate, open_trades::AnsweredSignal, roster::VersionStanding},
    protocol::message::{Ack, Change, OutcomeRequest, WireError},
    trials::promotion::EvidenceStep,
};

/// A closed trade to be judged and recorded.
#[derive(Debug)]
pub struct RecordOutcome {
    /// As it came.
    pub request: OutcomeRequest,
    /// What the journal knows of a trade that is not remembered, once it was asked.
    pub recalled: Option<Recalled>,
}

/// An outcome, and the other one that the journal has of the same trade.
#[derive(Debug, Clone)]
pub struct Contest {
    /// When it was told.
    pub at: Timestamp,
    /// As it came.
    pub request: OutcomeRequest,
    /// What is stored.
    pub stored: Box<StoredOutcome>,
    /// What was answered to the trade's signal, if that is not remembered.
    pub answered: Vec<AnsweredSignal>,
}

impl Message for Contest {
    type Result = Option<Answer<Ack>>;
}

/// The outcome that the journal has of the trade instead of the one that was written.
pub fn stored_instead(applied: &[Applied]) -> Option<Box<StoredOutcome>> {
    let Some(Applied::Conflict { existing }) = applied.first() else { return None };
    if let Existing::Outcome(stored) = &**existing { Some(Box::new(stored.clone())) } else { None }
}

/// What the journal knows of a trade.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// Whether its outcome is there.
    pub closed: bool,
    /// What was answered to its signal, oldest first.
    pub answered: Vec<AnsweredSignal>,
    /// When its signal fired, if that is known.
    pub fired: Option<Timestamp>,
}

/// A trade of here whose outcome was imported and is on disk. The answer is the versions that it took out of service; `None` when
/// the guardian is restarting and has to be told again.
#[derive(Debug, Clone)]
pub struct PastClosed {
    /// When it was imported.
    pub at: Timestamp,
    /// Which.
    pub trade_id: TradeId,
    /// What became of it.
    pub outcome: Outcome,
    /// What was answered to its signal, if that is not remembered.
    pub answered: Vec<AnsweredSignal>,
}

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
    /// For a promotion: the gates that evidence decides on.
    pub gates: Vec<Gate>,
}

/// A step that a version takes on evidence.
#[derive(Debug, Clone)]
pub struct Advance(pub EvidenceStep);

/// Compares what is served with what the journal says is live.
#[derive(Debug)]
pub struct Verify;

/// What came of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verified {
    /// They agree.
    Same,
    /// They do not, and serving is locked.
    Differs,
    /// Serving is locked already, something is being changed, or the journal cannot be read.
    NotCompared,
}

/// Serve nothing but the baseline, at once, and take every version out of service if told to. False when the guardian is restarting and has to be told again.
#[derive(Debug, Clone)]
pub struct LockNow {
    /// Why.
    pub reason: String,
    /// Who says so.
    pub by: By,
    /// Whether what speaks is rolled back as well.
    pub kill: bool,
}

/// End the lock that was to end by this time, if there is one.
#[derive(Debug, Clone, Copy)]
pub struct EndLock(pub Timestamp);

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
    /// When that lock ends by itself, if it does.
    pub lock_until: Option<Timestamp>,
    /// The symbols with versions of which none may speak, by a lock or an emergency.
    pub silenced: Vec<Symbol>,
    /// The emergencies in force, in words.
    pub emergencies: Vec<String>,
    /// How close the versions that speak are to one.
    pub levels: Vec<VersionLevel>,
    /// What the account made in this trading day, as far as outcomes say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_pnl: Option<f64>,
    /// What the account may lose in a trading day: by the latest signal that carried a limit of its own, or else by the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_loss_limit: Option<f64>,
    /// All versions and where they stand.
    pub versions: Vec<VersionStatus>,
    /// No order that gives a model influence is being carried out.
    #[serde(skip)]
    pub settled: bool,
}

/// Where one version stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionStatus {
    /// Its name.
    pub version: VersionId,
    /// State and mark.
    #[serde(flatten)]
    pub standing: VersionStanding,
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
impl Message for PastClosed {
    type Result = Option<Vec<VersionId>>;
}
impl Message for RecordSkip {
    type Result = Answer<Ack>;
}
impl Message for Order {
    type Result = Answer<Done>;
}
impl Message for Advance {
    type Result = Answer<Done>;
}
impl Message for Verify {
    type Result = Verified;
}
impl Message for EndLock {
    type Result = Answer<Option<Done>>;
}
impl Message for LockNow {
    type Result = bool;
}
impl Message for ObserveGuardian {
    type Result = Option<GuardianStatus>;
}
