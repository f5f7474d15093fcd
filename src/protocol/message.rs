//! The wire's own types: what may be asked, and how it is answered.
#![deny(clippy::indexing_slicing)]

mod decode;
mod echo;
mod fields;
mod reply;
mod salvage;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    domain::{
        Decision, InvalidLine, Money, Outcome, Probability, SignalLine, Skip, Symbol, Timestamp, TradeId, VersionId,
        event::Level, lifecycle::State,
    },
    models::{Kind, Target},
};

pub use decode::decode;
pub use reply::{DecisionReply, write_answer, write_decision, write_error, write_ok, write_rejected, write_sorted};
pub use salvage::unread_outcome;

/// A request, decoded, with what is needed to answer it.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// Echoed in the answer: a JSON string or number as written.
    pub id: Option<&'a RawValue>,
    /// The request, or what was wrong with it.
    pub body: Result<Request, Rejected>,
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A signal to be scored.
    Score(Box<SignalLine>),
    /// A closed trade.
    Outcome(Box<OutcomeRequest>),
    /// A signal that was not taken.
    Skip(Skip),
    /// A past trade, from a file.
    Import(Box<ImportRequest>),
    /// Anything that reads.
    Read(Read),
    /// What takes the rest of this connection.
    Stream(Stream),
    /// Anything that changes what is served.
    Change(Change),
    /// Anything else that only an operator may ask for.
    Task(Task),
}

/// Requests that read and change nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Are you there?
    Ping,
    /// The daemon's state and counters.
    Status,
    /// The registered versions.
    Models,
    /// What is kept of one version.
    Model(Model),
    /// How versions on trial stand.
    Experiment(Experiment),
    /// Which levels of models the trades allow.
    Phases(Phases),
    /// How far the trainer is, and what it did last.
    Training,
    /// What the monitor measures of the versions in service.
    Drift,
    /// What a person should know.
    Alerts(Alerts),
    /// The latest signals.
    Signals(Signals),
}

/// Requests that a stream answers, to the end of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// All that happens from now on.
    Subscribe(Subscribe),
    /// The journal as it stands now.
    Copy,
}

/// Which alerts are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// So many, the latest ones: 1 to [`MOST_ALERTS`].
    #[serde(default = "usual_alerts")]
    pub limit: usize,
    /// None from before.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// None that are less urgent.
    #[serde(default)]
    pub level: Option<Level>,
}

/// Which signals are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signals {
    /// So many, the latest ones: 1 to [`MOST_SIGNALS`].
    #[serde(default = "usual_signals")]
    pub limit: usize,
    /// The one of this number alone, with what moved its scores.
    #[serde(default)]
    pub seq: Option<u64>,
}

/// Which trials are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Those of this version; without it, all that are under way.
    #[serde(default)]
    pub version: Option<VersionId>,
    /// Whether with the evidence session by session.
    #[serde(default)]
    pub looks: bool,
}

/// Which version is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// This one.
    pub version: VersionId,
    /// With what it differs in from this other one.
    #[serde(default)]
    pub against: Option<VersionId>,
}

/// Which decision points are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// Those of the trades of this symbol.
    pub symbol: Symbol,
    /// For models of this; of what is configured without it.
    #[serde(default)]
    pub target: Option<Target>,
}

/// Most signals in one answer.
pub const MOST_SIGNALS: usize = 500;

fn usual_signals() -> usize {
    100
}

/// Most alerts in one answer.
pub const MOST_ALERTS: usize = 1000;

fn usual_alerts() -> usize {
    100
}

/// What a subscriber wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// Events from this number on; without it, those from now on.
    #[serde(default)]
    pub from: Option<u64>,
    /// Whether to be told of decisions too, from now on.
    #[serde(default)]
    pub decisions: bool,
}

/// Requests that change what is served; each is journalled with the uid and the reason.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Change {
    /// Move a version one step forward in its life.
    Promote {
        /// Which.
        version: VersionId,
        /// Why, in the operator's words.
        reason: String,
        /// How far; one step without it.
        #[serde(default)]
        to: Option<State>,
        /// Whether to pass over a gate that failed or was not run.
        #[serde(default, rename = "override")]
        overridden: bool,
    },
    /// Take a version out of service.
    Rollback {
        /// Which.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// Bring a version back that is archived or was rolled back.
    Reinstate {
        /// Which.
        version: VersionId,
        /// Why.
        reason: String,
        /// Whether at once, past its gates; else it is judged first on what came since.
        #[serde(default, rename = "override")]
        overridden: bool,
        /// With `override`, how far; to production without it.
        #[serde(default)]
        to: Option<State>,
    },
    /// Serve the baseline only.
    Lock {
        /// Why.
        reason: String,
        /// When it ends by itself; without this and `for_s`, when somebody resumes.
        #[serde(default)]
        until: Option<Timestamp>,
        /// How long from now, in seconds, until it ends by itself.
        #[serde(default)]
        for_s: Option<u64>,
    },
    /// Serve the baseline only, and take every version that speaks out of service.
    Kill {
        /// Why.
        reason: String,
    },
    /// Lift a lock.
    Resume {
        /// Why.
        reason: String,
        /// Whether to lift an emergency of the account before its trading day is over; on a paper account only.
        #[serde(default)]
        same_day: bool,
    },
}

/// What an operator may ask for and others than the guardian carry out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Task {
    /// Read the configuration again.
    Reload,
    /// Train a version and validate it, in a process of its own.
    Train {
        /// Whose trades.
        symbol: Symbol,
        /// Kind of model; as configured without it.
        #[serde(default)]
        model: Option<Kind>,
        /// What it predicts; as configured without it.
        #[serde(default)]
        target: Option<Target>,
        /// Only trades of so many days before the latest one.
        #[serde(default)]
        days: Option<u32>,
        /// Whether to register nothing.
        #[serde(default)]
        dry_run: bool,
        /// Whether a version that fails its validation stays trained.
        #[serde(default)]
        keep: bool,
        /// Why.
        reason: String,
    },
    /// Validate a version again, in a process of its own.
    Validate {
        /// Which.
        version: VersionId,
        /// Why.
        reason: String,
    },
    /// Move old records out of the journal into files beside it.
    Archive {
        /// The first day that stays, in UTC.
        before: jiff::civil::Date,
    },
    /// Run a job of the schedule now.
    ScheduleRun {
        /// Its name.
        job: String,
    },
    /// Note that a backup was made.
    BackedUp {
        /// The moment it shows.
        at: Timestamp,
        /// The number of its last record.
        last_seq: u64,
        /// When its journal was begun.
        created_at: Timestamp,
    },
    /// Note that a file was imported; its trades came before, each as an `import`.
    Imported {
        /// Name of the file.
        file: String,
        /// Lines read.
        lines: u64,
        /// Trades that were new.
        stored: u64,
        /// Lines refused.
        rejected: u64,
    },
}

/// A closed trade as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct OutcomeRequest {
    /// The trade.
    pub trade_id: TradeId,
    /// What became of it.
    pub outcome: Outcome,
    /// The decision it answers, echoed by the trader, so that a crash between the two loses nothing.
    pub decision: Option<Decision>,
}

/// A past trade as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportRequest {
    /// The signal, and its outcome if it is known.
    pub parsed: SignalLine,
    /// The request as it came.
    pub line: Vec<u8>,
}

/// A request at fault, with what could still be read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// What was wrong.
    pub error: InvalidLine,
    /// Set when it was meant to be a `score`: it gets an answer the trader can use.
    pub score: Option<RejectedScore>,
    /// Set when it told of a closed trade: nobody may know then how that trade went.
    pub outcome: Option<UnreadOutcome>,
}

/// What could be read of a faulty line that told of a closed trade.
#[derive(Debug, Clone, PartialEq)]
pub struct UnreadOutcome {
    /// Whether it came as an `import` and not as an `outcome`.
    pub is_import: bool,
    /// The trade, when the line names one.
    pub trade_id: Option<TradeId>,
    /// When it was closed and what it made, when both could be read.
    pub closed: Option<(Timestamp, Money)>,
    /// The decision that it echoes, when that could be read.
    pub decision: Option<Decision>,
}

/// What could be read of a faulty `score`.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedScore {
    /// Its trade, when the id was valid.
    pub trade_id: Option<TradeId>,
    /// Its confidence, when that was valid.
    pub confidence: Option<Probability>,
}

/// The answer to an `outcome` or a `skip` once it is on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// The trade.
    pub trade_id: TradeId,
    /// Always true: what is not durable is not acknowledged.
    pub durable: bool,
    /// Of a new outcome: whether the trade was scored here or echoed its decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<bool>,
    /// Whether the same had been stored before.
    pub duplicate: bool,
    /// Whether it said what a stored outcome did not, and was added to it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub completed: bool,
    /// The versions that this outcome took out of service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<VersionId>,
    /// Of a past trade: whether its symbol has no table in the configuration in force.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unknown_symbol: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// An error in an answer: a stable code, a sentence, the field at fault when there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct WireError {
    /// A stable word, such as `conflict` or `retry`.
    pub code: Cow<'static, str>,
    /// What was wrong and what to do.
    pub message: String,
    /// Dotted path of the field.
    pub field: Option<String>,
}

impl WireError {
    /// An error about no single field.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), message: message.into(), field: None }
    }
}

impl From<InvalidLine> for WireError {
    fn from(error: InvalidLine) -> Self {
        Self { code: Cow::Borrowed(error.code), message: error.message, field: error.field }
    }
}
