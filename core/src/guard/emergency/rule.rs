//! What an emergency rule is: a value that says all there is to say of it.
//!
//! Each rule is one file beside this one, with an [`EmergencyRule`]. The table [`RULES`](super::RULES) lists them; the guardian,
//! the configuration, `vigie drill` and the replay go by the table. A rule only looks: what follows when it trips is the same
//! for all, and stands in `lifecycle::consequences`.

use serde::{Deserialize, Serialize};

use super::{
    options::{EmergencyOptions, Key},
    trade::{ClosedTrade, Reported, VersionScore},
};
use crate::{
    domain::{
        TradingDay,
        trip::{Breach, Rule, Unevaluable, Unit},
    },
    models::{Answer, Question, Standard},
};

/// Sessions of a year.
pub(super) const YEAR: f64 = 252.0;

/// An emergency rule.
#[derive(Debug)]
pub struct EmergencyRule {
    /// Its word in events, alerts and tables: 1 to 40 of a-z, 0-9 and _. Records name it, so it stays.
    pub name: Rule,
    /// What it watches, for people, in a line.
    pub watches: &'static str,
    /// What its figures are.
    pub unit: Unit,
    /// On which side of its threshold it trips.
    pub trips: Side,
    /// Its thresholds.
    pub keys: &'static [Key],
    /// Whether the validation of a version moves its threshold, so that `guardian.literal` makes a difference.
    pub is_fitted: bool,
    /// What it looks at, and how.
    pub scope: Scope,
    /// Trades that trip it. `None` where no handful does.
    pub scenario: Option<Scenario>,
}

/// A side of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// A larger figure trips.
    Above,
    /// A smaller one does.
    Below,
}

/// What a rule looks at.
#[derive(Debug)]
pub enum Scope {
    /// The trades of one version, which goes when it trips. Its symbol is silent until a person resumes.
    Version(OfVersion),
    /// The trading day of the whole account. When it trips all versions go, and all is silent until the day is over and a person
    /// resumes.
    Account(OfAccount),
}

/// How the trades of a version are looked at.
#[derive(Debug)]
pub struct OfVersion {
    /// Which of them.
    pub trades: Trades,
    /// What the rule keeps of one; `None` of one that tells it nothing.
    pub observe: fn(&Observed<'_>) -> Option<f64>,
    /// Trades to keep: twice as many as are looked at, so that one that comes late finds those that were its latest ones.
    pub kept: fn(&EmergencyOptions, Option<&Standard>) -> usize,
    /// What is found over those that are kept; `None` when there is nothing to find.
    pub judge: fn(&Case<'_>) -> Option<Found>,
    /// Where the version stands now, for people, whether or not that trips; `None` where it is not judged.
    pub now: fn(&Case<'_>) -> Option<Found>,
    /// Whether it counts as tripped by a trade that the version was heard in and of which nobody knows how it ended.
    pub trips_blind: bool,
}

/// How a trading day of the account is looked at.
#[derive(Debug)]
pub struct OfAccount {
    /// What is found after a trade, or why that cannot be told.
    pub judge: fn(&AccountDay<'_>) -> Result<Found, Unevaluable>,
}

/// Which trades of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trades {
    /// All that it scored, heard or not.
    Scored,
    /// Those that it was heard in, and whose pnl is known.
    Heard,
}

/// A closed trade that a version scored.
#[derive(Debug)]
pub struct Observed<'a> {
    /// The trade.
    pub trade: &'a ClosedTrade,
    /// What the version said.
    pub score: &'a VersionScore,
    /// Whether it was heard.
    pub heard: bool,
    /// Its answer by its own question, and the label.
    pub answer: Answer,
}

/// What a rule keeps of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Its trading day.
    pub day: TradingDay,
    /// What the rule observed.
    pub value: f64,
    /// The multiple of the strategy's size that the version asked for.
    pub size: f64,
    /// Whether it was heard.
    pub heard: bool,
    /// Whether its score said yes.
    pub yes: bool,
}

/// What a rule judges.
#[derive(Debug)]
pub struct Case<'a> {
    /// The thresholds.
    pub options: &'a EmergencyOptions,
    /// What the version was validated as, if that is known.
    pub standard: Option<&'a Standard>,
    /// The trades that are kept, in the order of their exits.
    pub seen: &'a [Seen],
    /// The place of the new one. What is broken as the trades stood after it, or after any later one, is broken: so it does not
    /// matter in which order they are told.
    pub from: usize,
}

/// What a rule of the account judges.
#[derive(Debug)]
pub struct AccountDay<'a> {
    /// The thresholds.
    pub options: &'a EmergencyOptions,
    /// The trade that was closed.
    pub trade: &'a ClosedTrade,
    /// What the account made in its trading day so far, as far as is known.
    pub made: f64,
}

/// What a rule found. Whether that trips it, its [`Side`] says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The figure.
    pub value: f64,
    /// What it is held against.
    pub threshold: f64,
}

/// Trades that trip a rule, the last of which does, for `vigie drill --play`.
#[derive(Debug)]
pub struct Scenario {
    /// Lines of a configuration under which so few suffice.
    pub settings: &'static str,
    /// How many, at least 1.
    pub trades: usize,
    /// What comes of the n-th, counted from 0, of which the version said that it wins or not: its pnl and what else is reported.
    pub outcome: fn(usize, bool) -> (f64, Reported),
}

impl EmergencyRule {
    /// What is broken by what was found, if it is.
    pub(super) fn breach(&self, Found { value, threshold }: Found) -> Option<Breach> {
        match self.trips {
            Side::Above => Breach::above(self.name.clone(), self.unit, value, threshold),
            Side::Below => Breach::below(self.name.clone(), self.unit, value, threshold),
        }
    }

    pub(super) fn of_version(&self) -> Option<&OfVersion> {
        match &self.scope {
            Scope::Version(of) => Some(of),
            Scope::Account(_) => None,
        }
    }

    pub(super) fn of_account(&self) -> Option<&OfAccount> {
        match &self.scope {
            Scope::Version(_) => None,
            Scope::Account(of) => Some(of),
        }
    }
}

impl<'a> Observed<'a> {
    /// The trade of a version that is asked `question` and said `score`.
    pub(super) fn of(trade: &'a ClosedTrade, score: &'a VersionScore, question: &Question) -> Self {
        let heard = trade.ml.as_ref().is_some_and(|ml| ml.version == score.version);
        Self { trade, score, heard, answer: question.answer(score.score.get(), &trade.facts) }
    }

    pub(super) fn seen(&self, value: f64) -> Seen {
        Seen { day: self.trade.day, value, size: self.score.size, heard: self.heard, yes: self.answer.yes }
    }
}
