//! All that is known of one version on trial at one moment: enough to say how it stands and whether its next gate is
//! open, away from those who keep it up to date.
#![deny(clippy::indexing_slicing)]

use std::sync::Arc;

use serde::Serialize;

use super::{
    experiment::{
        Criteria, Experiment, ExperimentOptions, InvalidOptions, Look, StagingOptions, StagingRuling, TestReport,
        TestVerdict,
    },
    running::{Shadowing, Trials},
};
use crate::{
    domain::{Timestamp, VersionId, lifecycle::State},
    guard::labels::Unlabelled,
    lifecycle::{
        ending::Ending,
        gates::{Check, Gate},
    },
};

/// A version and its trial.
#[derive(Debug, Clone)]
pub struct Case {
    version: VersionId,
    state: State,
    now: Timestamp,
    ending: Option<Ending>,
    /// What must hold beside what the trial shows.
    conditions: Vec<Check>,
    unlabelled: Option<Unlabelled>,
    trial: Trial,
}

#[derive(Debug, Clone)]
enum Trial {
    Staging { shadowing: Shadowing, options: StagingOptions },
    Test { experiment: Box<Experiment>, judged_by: JudgedBy },
    Holdback { experiment: Box<Experiment>, judged_by: JudgedBy },
}

/// What an experiment is judged by: ready, or to be made.
#[derive(Debug, Clone)]
pub enum JudgedBy {
    /// Made before.
    Criteria(Arc<Criteria>),
    /// To be made; see [`Criteria`].
    Options(Box<ExperimentOptions>),
}

/// How a version on trial stands, for people and programs.
#[derive(Debug, Clone, Serialize)]
pub struct Assessment {
    /// Which.
    pub version: VersionId,
    /// Where it stands in its life.
    pub state: State,
    /// `staging`, `test` or `holdback`.
    pub trial: &'static str,
    /// When that began.
    pub since: Timestamp,
    /// The gate before its next state, where evidence decides on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// How its test ended, when it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ending>,
    /// Of a test or a holdback: all figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<TestReport>>,
    /// The evidence session by session, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub looks: Vec<Look>,
    /// The same in words.
    pub text: String,
}

/// Looks that are told of one trial at most.
pub const MOST_LOOKS: usize = 120;

impl JudgedBy {
    fn criteria(&self) -> Result<Arc<Criteria>, InvalidOptions> {
        match self {
            Self::Criteria(criteria) => Ok(Arc::clone(criteria)),
            Self::Options(options) => Ok(Arc::new(Criteria::new((**options).clone())?)),
        }
    }
}

impl Case {
    /// The trial of `version` as it stands at `now`: the one under way, or the test that it had. `None` when it had none.
    /// `ready` gives the criteria of a test that are made already.
    pub fn of(
        trials: &Trials,
        version: &VersionId,
        options: &ExperimentOptions,
        staging: &StagingOptions,
        now: Timestamp,
        ready: Option<&Arc<Criteria>>,
    ) -> Option<Self> {
        let state = trials.roster().standing(version)?.state;
        let test_options = || match trials.terms(version) {
            Some(terms) => options.clone().under(terms),
            None => options.clone(),
        };
        let trial = match state {
            State::Staging => Trial::Staging { shadowing: trials.shadowing(version)?.clone(), options: *staging },
            State::Production => Trial::Holdback {
                experiment: Box::new(trials.holdback(version)?.clone()),
                judged_by: JudgedBy::Options(Box::new(options.clone())),
            },
            _ => Trial::Test {
                experiment: Box::new(trials.test(version)?.clone()),
                judged_by: match ready {
                    Some(criteria) => JudgedBy::Criteria(Arc::clone(criteria)),
                    None => JudgedBy::Options(Box::new(test_options())),
                },
            },
        };
        let ending = trials.ending(version).cloned();
        let (conditions, unlabelled) = (trials.conditions(version), trials.unlabelled(version));
        Some(Self { version: version.clone(), state, now, ending, conditions, unlabelled, trial })
    }

    /// The gate before its next state, where evidence decides on one. With 500 planned sessions it takes half a second.
    pub fn gate(&self) -> Option<Gate> {
        match &self.trial {
            Trial::Staging { shadowing, options } => {
                let ruling = shadowing.ruling(options, self.now).under(self.conditions.clone());
                Some(staging_gate(&ruling, self.unlabelled.as_ref()))
            }
            Trial::Test { experiment, judged_by } if self.state == State::AbTest => {
                let criteria = judged_by.criteria().ok()?;
                let standing = criteria.assess(experiment, self.now);
                let is_over = standing.sessions >= criteria.plan().sessions();
                let ruling = criteria.decide(&standing).under(self.conditions.clone(), is_over);
                let passed = matches!(ruling.verdict, TestVerdict::Ship(_));
                let says = if passed { "is passed" } else { "is not passed" };
                let lacks = self.unlabelled.map(|unlabelled| format!("; {unlabelled}")).unwrap_or_default();
                let says = format!("{says}: {}{lacks}", ruling.verdict.why());
                Some(Gate { next: State::Production, passed, says, checks: ruling.checks })
            }
            _ => None,
        }
    }

    /// All there is to say. It takes some tens of milliseconds, and as for [`gate`](Self::gate).
    ///
    /// # Errors
    /// When the options contradict each other, which a checked configuration does not.
    pub fn assess(&self) -> Result<Assessment, InvalidOptions> {
        let blank = Assessment {
            version: self.version.clone(),
            state: self.state,
            trial: "staging",
            since: self.now,
            gate: None,
            ended: self.ending.clone(),
            report: None,
            looks: Vec::new(),
            text: String::new(),
        };
        let ended = self.ending.as_ref().map(ToString::to_string).unwrap_or_default();
        match &self.trial {
            Trial::Staging { shadowing, .. } => {
                let gate = self.gate();
                let mut text = gate.as_ref().map(staging_text).unwrap_or_default();
                if shadowing.left_out() > 0 {
                    text += &format!("  experiment.max_trades: {} trades left out\n", shadowing.left_out());
                }
                Ok(Assessment { since: shadowing.since(), gate, text, ..blank })
            }
            Trial::Test { experiment, judged_by } => {
                let criteria = judged_by.criteria()?;
                let over = self.ending.as_ref();
                let mut report = TestReport::of(&criteria, experiment, over.map_or(self.now, |ending| ending.at));
                if let Some(ending) = over {
                    report.ruling.verdict = TestVerdict::Over(ending.reason.clone());
                    report.ruling.checks.clear();
                } else {
                    let is_over = report.sessions >= criteria.plan().sessions();
                    report.ruling = report.ruling.under(self.conditions.clone(), is_over);
                }
                let (text, since) = (format!("{ended}{report}"), experiment.since());
                Ok(Assessment {
                    trial: "test",
                    since,
                    gate: self.gate(),
                    report: Some(Box::new(report)),
                    text,
                    ..blank
                })
            }
            Trial::Holdback { experiment, judged_by } => {
                let criteria = Criteria::clone(&*judged_by.criteria()?).of_holdback();
                let mut report = TestReport::of(&criteria, experiment, self.now);
                let sessions = report.sessions;
                report.ruling.verdict = TestVerdict::Continue(format!(
                    "measured for as long as it is in production, {sessions} sessions so far"
                ));
                report.ruling.checks.clear();
                let (text, since) = (format!("{ended}{report}"), experiment.since());
                Ok(Assessment { trial: "holdback", since, report: Some(Box::new(report)), text, ..blank })
            }
        }
    }
}

impl Case {
    /// The same with the evidence session by session, at most [`MOST_LOOKS`] looks.
    ///
    /// # Errors
    /// As for [`assess`](Self::assess).
    pub fn assess_with_looks(&self) -> Result<Assessment, InvalidOptions> {
        let looks = match &self.trial {
            Trial::Staging { .. } => Vec::new(),
            Trial::Test { experiment, judged_by } => {
                judged_by.criteria()?.looks(experiment, self.ending.as_ref(), MOST_LOOKS)
            }
            Trial::Holdback { experiment, judged_by } => {
                Criteria::clone(&*judged_by.criteria()?).of_holdback().looks(experiment, None, MOST_LOOKS)
            }
        };
        Ok(Assessment { looks, ..self.assess()? })
    }
}

fn staging_gate(ruling: &StagingRuling, unlabelled: Option<&Unlabelled>) -> Gate {
    let says = if ruling.passed { "is passed" } else { "is not passed" };
    let says = unlabelled.map_or(says.to_owned(), |unlabelled| format!("{says}: {unlabelled}"));
    Gate { next: State::AbTest, passed: ruling.passed, says, checks: ruling.checks.clone() }
}

fn staging_text(gate: &Gate) -> String {
    let checks: String = gate.checks.iter().map(|check| format!("  {check}\n")).collect();
    format!("the gate to its test {}\n{checks}", gate.says)
}
