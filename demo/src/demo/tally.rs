//! What became of one demonstration, in figures that can be counted over many seeds.
#![deny(clippy::indexing_slicing)]

use jiff::SignedDuration;

use super::{Demo, Ledger};
use vigie_core::{
    domain::{Timestamp, VersionId, lifecycle::State},
    report::{Ending, Expectation},
};

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Share done, 0 to 1.
    pub share: f64,
    /// The simulated time.
    pub at: Timestamp,
    /// Signals sent.
    pub signals: usize,
    /// Profit of what was traded.
    pub traded: f64,
    /// Profit of the strategy alone.
    pub own: f64,
}

/// A version that was rolled back for what it did itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Blamed {
    /// Which.
    pub version: VersionId,
    /// The state it was taken from: under test or in production.
    pub from: State,
    /// When.
    pub at: Timestamp,
    /// Why, in the words of the journal.
    pub reason: String,
    /// The mean chance of a profit that the trades taken on a model's word had in truth: until a month before, and since
    /// then. `None` when there were too few.
    pub chances: Option<(f64, f64)>,
}

impl Blamed {
    /// Whether it was taken down although what it took had lost less than ten points of its chance in truth.
    pub fn wrongly(&self) -> bool {
        self.chances.is_none_or(|(before, lately)| lately > before - FALLEN)
    }
}

/// What a version took lately, before it was taken down.
pub(super) const LATELY: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A fall of the true chance, in shares, from which on a version is not as good as it was: the one that a rollback looks for.
/// Of the months of 60 simulated years in which nothing was taken down 3.4 % fall as far, and 15 % by half as much.
const FALLEN: f64 = 0.1;

/// What became of a demonstration.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// How it ended: as badly as the worst of its checks, and better than told when one was and none was worse.
    pub ending: Ending,
    /// All that was checked.
    pub checks: Vec<Expectation>,
    /// Versions that came into production.
    pub promoted: usize,
    /// Of these, after the market changed or the reports became false.
    pub promoted_after: usize,
    /// Of these, while reports were false, and within their own number of sessions after that.
    pub promoted_falsely: usize,
    /// Rolled back while the market was as it had been: wrongly, if the version was any good.
    pub blamed_before: Vec<Blamed>,
    /// The first that was rolled back after the market changed, whoever is to blame.
    pub gone: Option<(VersionId, Timestamp)>,
    /// After that, when a version began a test by its gates.
    pub tested_again: Option<Timestamp>,
    /// And when one earned production.
    pub back: Option<Timestamp>,
    /// Alarms of drift while nothing had drifted.
    pub false_alarms: usize,
    /// Quarters in which a version was watched until then, each version by itself.
    pub watched_quarters: f64,
    /// Times in which an emergency silenced the models.
    pub emergencies: usize,
    /// Steps that the gradual say took: how often a share shrank.
    pub shrunk: usize,
}

impl Demo {
    /// What became of it, with what the journal holds in the end.
    pub fn tally(&self, ledger: &Ledger) -> Tally {
        let checks = self.checks(ledger);
        let change = self.change();
        let production = self.chronicle.times(State::Production);
        let truthful = self.truthful_again();
        let gone = self.chronicle.times(State::RolledBack).into_iter().find(|(_, at)| *at > change);
        let after =
            |state, since: Timestamp| self.chronicle.times(state).into_iter().map(|(_, at)| at).find(|at| *at > since);
        let since = gone.map(|(_, at)| at);
        Tally {
            ending: ending(&checks),
            promoted: production.len(),
            promoted_after: production.iter().filter(|(_, at)| *at > change).count(),
            promoted_falsely: production.iter().filter(|(_, at)| *at > change && *at <= truthful).count(),
            blamed_before: self.blamed.iter().filter(|blamed| blamed.at < change).cloned().collect(),
            gone: gone.map(|(version, at)| (version.clone(), at)),
            tested_again: since.and_then(|since| after(State::AbTest, since)),
            back: since.and_then(|since| after(State::Production, since)),
            false_alarms: self.false_drifts(),
            watched_quarters: self.watched_quarters(),
            emergencies: self.silent.iter().filter(|silence| silence.emergency).count(),
            shrunk: self.shrunk,
            checks,
        }
    }
}

/// How all of it ended.
pub(super) fn ending(checks: &[Expectation]) -> Ending {
    checks.iter().map(|check| check.ending).max().unwrap_or(Ending::AsTold)
}
