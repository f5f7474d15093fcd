//! What happened in a period, as plain figures: what a [`Report`](super::Report) is made from, and what a program reads.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Curve, TestPoint, chronicle::Chronicle, chronicle::Stay, regimes::RegimeMoney, spread::Quantiles};
use crate::{
    domain::{Symbol, Timestamp, TradingDay, VersionId, event::Level, trip::Trip},
    guard::emergency::{VersionLevel, accuracy::Held},
    lifecycle::ending::Ending,
    stats::interval::Interval,
    trials::{experiment::Impact, groups::Counts, trial_view::Assessment},
};

/// Which part of the past is told of; what is `None` leaves nothing out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Scope {
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// The signals of this symbol.
    pub symbol: Option<Symbol>,
    /// The signals that this version was given a part of, and what happened to it.
    pub version: Option<VersionId>,
}

/// What happened in a period.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// What was asked for.
    pub scope: Scope,
    /// The first and the last moment of the journal; `None` of an empty one.
    pub journal: Option<(Timestamp, Timestamp)>,
    /// The part of it that lies in the period; `None` when none does.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Records that lie in the span, whatever they are.
    pub records: u64,
    /// What was answered.
    pub answers: Answers,
    /// What was made, by symbol.
    pub money: Vec<Money>,
    /// What was made in each regime, symbol by symbol.
    pub regimes: Vec<RegimeMoney>,
    /// The times of versions in service.
    pub versions: Vec<Stay>,
    /// How each version stands against what was validated.
    pub health: Vec<VersionHealth>,
    /// A/B tests of which a part lies in the period.
    pub tests: Vec<TestTold>,
    /// Versions in production at the end, against their holdback.
    pub holdbacks: Vec<Assessment>,
    /// Alerts, by level and code.
    pub alerts: Vec<AlertLine>,
    /// How long answers took, from the request to the answer, in microseconds.
    pub latency_us: Option<Quantiles>,
    /// How long after it fired a signal came, in microseconds.
    pub signals_late_us: Option<Quantiles>,
    /// How long after the trade was closed its outcome came, in microseconds.
    pub outcomes_late_us: Option<Quantiles>,
    /// What is missing.
    pub lost: Lost,
    /// What was decided.
    #[serde(skip)]
    pub chronicle: Chronicle,
    /// The accuracy by which the guardian judges each version, at the end of each trading day.
    #[serde(skip)]
    pub accuracy: Vec<Curve>,
    /// The composite of each version against its validation, by trading day.
    #[serde(skip)]
    pub composite: Vec<Curve>,
    /// Labelled trades that an accuracy is taken over, in the curves and in the figures of health.
    pub accuracy_window: usize,
    /// What the accuracy of each version is held to, and over how many trades.
    pub accuracy_rules: BTreeMap<VersionId, Held>,
    /// Emergencies by the accuracy of a version. Such an event has the figure and its limit, and not over how many trades.
    pub accuracy_trips: Vec<Trip>,
}

/// What was answered, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Answers {
    /// Signals that fired in the period and were answered, each once, as in the figures of money.
    pub signals: usize,
    /// Those in whose first answer a model was heard.
    pub heard: usize,
    /// Answers that were given in the period: one each time a signal came.
    pub answers: u64,
    /// Those by their reason.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// Trades closed, as the trader reported.
    pub closed: u64,
    /// Signals that were let go.
    pub skipped: u64,
    /// Past trades that were read from files meanwhile; they are in no other figure.
    pub imported: u64,
}

/// What the signals of a symbol made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Money {
    /// Whose signals.
    pub symbol: Symbol,
    /// The arms as chance gave them, as `vigie impact` compares them.
    pub impact: Impact,
    /// What to know of that.
    pub counts: Counts,
    /// Signals that were answered and of which nothing more is known, whether they were left to chance or not.
    pub unresolved: usize,
    /// The same in words.
    pub notes: Vec<String>,
    /// The ML arm, the baseline arm, what was not left to chance, and all of it.
    pub groups: Vec<Made>,
    /// What was made each trading day: in the ML arm, the baseline arm, and in all.
    pub days: Vec<(TradingDay, [f64; 3])>,
}

/// What a group of signals made.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Made {
    /// Which group.
    pub group: &'static str,
    /// Signals whose fate is known.
    pub signals: usize,
    /// Those that were traded.
    pub taken: usize,
    /// Those that won.
    pub won: usize,
    /// Trading days with a signal.
    pub sessions: usize,
    /// What they made, after costs.
    pub pnl: f64,
    /// Where what so many signals make lies, by how trading days vary; `None` of fewer than two.
    pub interval: Option<Interval>,
    /// The deepest fall under the highest point of the cumulative sum, by trading day; not above 0.
    pub drawdown: f64,
}

/// A version against what was validated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionHealth {
    /// Which.
    pub version: VersionId,
    /// Trading days on which it was judged.
    pub days: usize,
    /// Those on which it was worse than validated by more than chance.
    pub degraded: usize,
    /// Those on which its score was unstable.
    pub unstable: usize,
    /// Its latest composite; 1 is as validated.
    pub composite: Option<f64>,
    /// What its latest judgement rests on.
    pub evidence: BTreeMap<Box<str>, f64>,
    /// How close the emergency rules are to it at the end, as `vigie status` tells; `None` of one that is not in service.
    pub level: Option<VersionLevel>,
}

/// A test of a version.
#[derive(Debug, Clone, Serialize)]
pub struct TestTold {
    /// Which test of that version it is, from 1.
    pub number: usize,
    /// When it began.
    pub begun: Timestamp,
    /// How it ended, if it did.
    pub ended: Option<Ending>,
    /// Sessions planned.
    pub planned: usize,
    /// Each look, up to the one that decided.
    pub looks: Vec<TestPoint>,
    /// How it stands, as `vigie experiment` tells.
    pub assessment: Assessment,
}

/// Alerts of one code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlertLine {
    /// How urgent.
    pub level: Level,
    /// Its word.
    pub code: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: Timestamp,
    /// When last.
    pub last: Timestamp,
    /// What the last one says.
    pub message: String,
}

/// What is missing, or may be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Lost {
    /// Records that cannot be read, in the whole journal: nobody knows the time of one.
    pub unreadable: u64,
    /// The first of them, in words.
    pub which: Vec<String>,
    /// Outcomes of trades whose signal is not there, of any symbol: nobody knows that of one.
    pub unmatched: u64,
    /// Closed trades without a pnl, of the symbol or the version that is asked about.
    pub without_pnl: u64,
    /// Signals that were answered and of which nothing more is known.
    pub unresolved: usize,
    /// Starts after which something had ended without order.
    pub unclean_starts: u64,
    /// Times in which no daemon ran, in seconds, together.
    pub away_s: i64,
    /// Parts of the daemon that failed and were made again.
    pub restarts: u64,
    /// Lines of files that were refused.
    pub refused_lines: u64,
}
