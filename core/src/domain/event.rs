//! Everything that happens besides signals and outcomes, as it is kept in the journal.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    id::{Symbol, VersionId},
    lifecycle::Transition,
    time::{Timestamp, TradingDay},
    trip::Trip,
};

/// One entry of the event log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, by the daemon's clock.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// How urgent an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the three usual levels")]
pub enum Level {
    Info,
    Warning,
    Critical,
}

/// Who ordered something: a person behind a uid, or a part of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A peer on the socket or the user of the command line.
    Uid(u32),
    /// A part of the daemon, by name.
    Daemon(Box<str>),
}

/// Configurations that were fitted to the trades of this journal, whatever came of them: an entry of the trial ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Whose trades.
    pub symbol: Symbol,
    /// What was to be foretold.
    pub target: Box<str>,
    /// The kind of model.
    pub model: Box<str>,
    /// Hash of the data it was fitted on.
    pub data_hash: Box<str>,
    /// Closed trades of the symbol with a known pnl that there were, however many of them it was given; `None` in journals of
    /// older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_trades: Option<u64>,
    /// The columns it was given.
    pub columns: Vec<Box<str>>,
    /// Each strength of regularisation that was tried, and its loss on the validation part where it is defined.
    pub fits: Vec<(f64, Option<f64>)>,
    /// The strength that was chosen.
    pub strength: f64,
    /// Configurations that count: each strength at each threshold, those of the models it had to beat, and taking every
    /// trade.
    pub configurations: u64,
    /// Skill of the chosen one on the test part: ROC AUC, or correlation.
    pub skill: Option<f64>,
    /// One-sided p-value of its skill against that of a linear model on the same test trades, where it is not linear.
    pub beats_linear_p: Option<f64>,
    /// Time of the first signal of the test part that it was judged on; `None` in journals of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_from: Option<Timestamp>,
    /// Time of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_to: Option<Timestamp>,
    /// The version that was registered, if one was.
    pub version: Option<VersionId>,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The daemon began to serve.
    Started {
        /// Version of this program.
        code_version: Box<str>,
        /// BLAKE2b-8 of the configuration in force, hexadecimal.
        config_hash: Box<str>,
    },
    /// The daemon stopped in good order.
    Stopped,
    /// A new configuration is in force, or was refused.
    Reloaded {
        /// BLAKE2b-8 of the configuration now in force, hexadecimal.
        config_hash: Box<str>,
        /// Keys that changed in the file and wait for a restart, or the errors that had it refused.
        notes: Vec<String>,
        /// Whether the new file was taken.
        taken: bool,
    },
    /// A file of closed trades was imported.
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
    /// A model was fitted and registered.
    Trained {
        /// Its name.
        version: VersionId,
        /// Figures of the fit.
        evidence: BTreeMap<Box<str>, f64>,
    },
    /// Models were fitted, registered or not. They count in the doubt about whatever is deployed.
    Tried(Box<Trial>),
    /// A version moved on in its life.
    Moved {
        /// Which.
        version: VersionId,
        /// The step it took.
        step: Transition,
        /// In words.
        reason: String,
        /// Who ordered it.
        by: By,
        /// Whether a gate that had failed or had not been run was passed over on purpose.
        overridden: bool,
        /// Numbers it was decided on.
        evidence: BTreeMap<Box<str>, f64>,
    },
    /// An emergency rule tripped. What it silences stays silent until an operator resumes.
    Latched {
        /// What tripped, and what it was measured by.
        trip: Box<Trip>,
    },
    /// The share of its trades that a version speaks to was changed.
    Shared {
        /// Which version.
        version: VersionId,
        /// Part of the share that it would have, 0 to 1.
        share: f64,
        /// In words.
        reason: String,
        /// Who ordered it.
        by: By,
    },
    /// A version in service was judged when a trading day closed.
    Judged {
        /// Which version.
        version: VersionId,
        /// Which day.
        day: TradingDay,
        /// Its composite against its validation; not there when it is not defined.
        composite: Option<f64>,
        /// Whether that is below 1 by more than chance.
        degraded: bool,
        /// Whether its score is unstable.
        unstable: bool,
        /// What it rests on.
        evidence: BTreeMap<Box<str>, f64>,
    },
    /// Serving was locked to the baseline.
    Locked {
        /// In words.
        reason: String,
        /// Who ordered it.
        by: By,
        /// When it ends by itself; without it, when somebody resumes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A lock ended by itself. Emergencies stay.
    LockEnded {
        /// When it was to end, which says which lock it was.
        until: Timestamp,
    },
    /// A lock was lifted.
    Resumed {
        /// In words.
        reason: String,
        /// Who ordered it.
        by: By,
        /// Whether an emergency of the account was lifted on its own trading day, which only a paper account allows. That is never
        /// forgotten.
        #[serde(default, skip_serializing_if = "is_false")]
        same_day: bool,
    },
    /// An actor failed and was rebuilt.
    Restarted {
        /// Its name.
        actor: Box<str>,
        /// What the panic said.
        panic: String,
    },
    /// A run of what recurs by the clocks of the exchange has ended.
    Ran {
        /// Name of the job, such as `review`.
        job: Box<str>,
        /// When the run began.
        began: Timestamp,
        /// Why it ran.
        why: String,
        /// What it found, or why it failed.
        found: String,
        /// Whether it failed.
        #[serde(default, skip_serializing_if = "is_false")]
        failed: bool,
    },
    /// Something a person should know.
    Alert {
        /// How urgent.
        level: Level,
        /// A stable word, such as `outcome_conflict`.
        code: Box<str>,
        /// What, since when, value against threshold, what was done, what to do.
        message: String,
    },
}
