//! What a validation found, as it is kept with the model.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    baselines::AgainstBaselines,
    check::{Outcome, ValidationCheck},
    example::Goal,
    figures::{Figures, PolicyFigures, one_half},
    lift::Lift,
    stability::{Bootstrap, Group, Importance, Null},
};
use crate::{domain::Timestamp, stats::sessions::History};

/// Everything a validation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// What the model is meant to foretell.
    pub goal: Goal,
    /// Whether it may be deployed.
    pub verdict: ValidationVerdict,
    /// The overall score, 0 to 1.
    pub overall: f64,
    /// What the overall score must exceed.
    pub min_overall: f64,
    /// Every part with its value, its limit and whether it passed.
    pub checks: Vec<ValidationCheck>,
    /// What the parts rest on.
    pub evidence: ValidationEvidence,
}

/// Whether a model may be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationVerdict {
    /// The overall score suffices and every hard gate was passed.
    Deployable,
    /// It does not, or one was not.
    NotDeployable,
    /// Too few test trades for a verdict; not deployable either.
    Insufficient,
}

/// What the parts of a report rest on. What could not be found out is empty or `None`, with the reason in `notes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationEvidence {
    /// How the trades were divided.
    pub parts: Parts,
    /// Strength of regularisation of the model.
    pub strength: f64,
    /// Loss on the validation part by strength.
    pub losses: Vec<(f64, f64)>,
    /// The model on the part it learnt from, the validation part included.
    pub train: Figures,
    /// The model on the test part.
    pub test: Figures,
    /// A guess that knows only how often training won (or the mean of its truth), on the test part; its accuracy is that of the
    /// better of always yes and always no there.
    pub majority: Figures,
    /// The primary strategy's confidence as the score, on the test trades that have one.
    pub primary: Option<Figures>,
    /// What the policy earned on the test part.
    pub policy: Option<PolicyFigures>,
    /// What taking every trade of the test part earned.
    pub every_trade: Option<PolicyFigures>,
    /// Skill on the test part: ROC AUC, or correlation.
    pub skill: Option<f64>,
    /// Accuracy or correlation by fold of the cross-validation.
    pub folds: Vec<f64>,
    /// Accuracy or correlation in cross-validation by strength.
    pub curve: Vec<(f64, f64)>,
    /// Accuracy or correlation by step of the walk-forward that learns from all before.
    pub expanding: Vec<f64>,
    /// The same with a window of constant length.
    pub rolling: Vec<f64>,
    /// Sharpe ratio of the policy on each path of the combinatorial cross-validation; what is not defined is not there.
    pub paths: Vec<f64>,
    /// Sharpe ratio of taking every trade, on the same trades as the paths.
    pub paths_every_trade: Option<f64>,
    /// Agreement of the top columns over the folds.
    pub feature_stability: Option<f64>,
    /// The input that reaches most on its own, and its skill.
    pub strongest_input: Option<(Box<str>, f64)>,
    /// Probability of backtest overfitting.
    pub overfitting: Option<f64>,
    /// What the policy gained over taking every trade, and how far that can be believed; `None` in older reports.
    #[serde(default)]
    pub gain: Option<Gain>,
    /// What the policy made more than taking every trade; `None` in older reports.
    #[serde(default)]
    pub money: Option<MoneyGain>,
    /// By how much the model beats a guess that knows the base rate; `None` in older reports.
    #[serde(default)]
    pub lift: Option<Lift>,
    /// The decision point of the model: its training part's base rate; 1/2 in older reports.
    #[serde(default = "one_half")]
    pub point: f64,
    /// The deflated Sharpe ratio by which versions of before were judged; in their reports only.
    #[serde(default)]
    pub deflated: Option<Deflated>,
    /// Labels shifted in a circle.
    pub null: Option<Null>,
    /// Refits on bootstrap samples.
    pub bootstrap: Option<Bootstrap>,
    /// Importance of the inputs, most important first.
    pub importance: Vec<Importance>,
    /// Agreement of the most important inputs over repeats.
    pub importance_stability: Option<f64>,
    /// Skill by month, on the trades judged by the expanding walk-forward.
    pub months: Vec<Group>,
    /// Skill by regime, on the same trades.
    pub regimes: Vec<Group>,
    /// Whether there were models of lower levels to beat.
    #[serde(default, rename = "has_rivals")]
    pub has_baselines: bool,
    /// How the model stands to them.
    #[serde(default, rename = "rivals")]
    pub baselines: Option<AgainstBaselines>,
    /// Configurations tried in this run.
    #[serde(default)]
    pub configurations: usize,
    /// The trades that the policy takes, out of fold: those of the cross-validation and of the test part. Empty in older reports.
    #[serde(default)]
    pub out_of_fold: History,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
}

/// How the trades were divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Trades there are.
    pub trades: usize,
    /// Trades the model learnt from, those of the choice of strength included.
    pub learnt: usize,
    /// Trades on which the strength was chosen.
    pub chosen_on: usize,
    /// Trades of the test part.
    pub test: usize,
    /// Trades left out because they were open when the test part began.
    pub purged: usize,
    /// Time of the first test signal.
    pub test_from: Option<Timestamp>,
    /// Time of the last test signal.
    pub test_to: Option<Timestamp>,
    /// Trading days of the test part.
    pub test_days: usize,
}

/// What following the model earned for its risk over taking every trade, on the test part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Annualised Sharpe ratio of the policy less that of taking every trade.
    pub difference: f64,
    /// Its standard error, by resampling the days in blocks.
    pub error: f64,
    /// Days it was measured on.
    pub days: usize,
    /// Independent blocks that these days are worth.
    pub blocks: f64,
    /// One-sided confidence that the true difference is above 0.
    pub probability: f64,
    /// Earlier looks at trades of this test part or of one that is not known.
    pub earlier: usize,
    /// How alike the settings of this recipe come out, 0 to 1: the mean correlation of their daily gains.
    pub likeness: f64,
    /// Independent looks that all of these are worth, this one included.
    pub looks: f64,
    /// The probability to the power of the looks: how often the best of so many worthless ones would show less.
    pub deflated: f64,
}

/// What following the model made more than taking every trade at the strategy's own size, on the test part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MoneyGain {
    /// Per signal, in account currency.
    pub per_signal: f64,
    /// Its standard error, by resampling the days in blocks.
    pub error: f64,
    /// One-sided confidence that the true difference is above 0.
    pub probability: f64,
}

/// How far a Sharpe ratio can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Deflated {
    /// Sharpe ratio a day on the test part.
    pub sharpe: f64,
    /// Days it was measured on.
    pub days: usize,
    /// Configurations tried.
    pub trials: usize,
    /// The Sharpe ratio a day that the best of so many worthless ones would show.
    pub benchmark: f64,
    /// Standard error of the Sharpe ratio times the square root of the days less one.
    pub spread: f64,
    /// Probability that it is truly above 0 (the probabilistic Sharpe ratio).
    pub probabilistic: f64,
    /// Probability that it is truly above the benchmark (the deflated Sharpe ratio).
    pub deflated: f64,
}

impl ValidationReport {
    /// The report as it is stored, which was read back once.
    ///
    /// # Errors
    /// In words, for a figure that is infinite or not a number: what is stored could not be read.
    pub fn stored(&self) -> Result<serde_json::Value, String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        serde_json::from_str::<Self>(&text).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Whether the model may be deployed to staging.
    pub fn is_deployable(&self) -> bool {
        self.verdict == ValidationVerdict::Deployable
    }

    /// The figures by name, as they are stored with a version; what is not defined is left out.
    pub fn metrics(&self) -> BTreeMap<Box<str>, f64> {
        let evidence = &self.evidence;
        let parts = [("test", &evidence.test), ("train", &evidence.train), ("majority", &evidence.majority)];
        let mut metrics: BTreeMap<Box<str>, f64> = BTreeMap::new();
        for (part, figures) in parts {
            let named = figures.named().into_iter();
            metrics.extend(named.filter_map(|(name, value)| Some((format!("{part}_{name}").into(), value?))));
        }
        let policy = evidence.policy;
        let whole = [
            ("test_taken", policy.map(|policy| policy.taken as f64)),
            ("test_expectancy", policy.and_then(|policy| policy.expectancy)),
            ("test_sharpe", policy.and_then(|policy| policy.sharpe)),
            ("test_max_drawdown", policy.and_then(|policy| policy.max_drawdown)),
            ("baseline_expectancy", evidence.every_trade.and_then(|every| every.expectancy)),
            ("baseline_sharpe", evidence.every_trade.and_then(|every| every.sharpe)),
            ("gain_probability", evidence.gain.map(|gain| gain.deflated)),
            ("money_gain", evidence.money.map(|money| money.per_signal)),
            ("decision_point", self.goal.is_class().then_some(evidence.point)),
            ("lift_lower", evidence.lift.map(|lift| lift.lower)),
            ("overall", Some(self.overall)),
        ];
        metrics.extend(whole.into_iter().filter_map(|(name, value)| Some((name.into(), value?))));
        metrics
    }

    /// Every part that was decided on by name, its value and, under `NAME_limit`, what was asked of it; and the overall
    /// score. What is not defined is left out.
    pub fn decided_on(&self) -> BTreeMap<Box<str>, f64> {
        let mut decided = BTreeMap::from([
            ("overall".into(), self.overall),
            ("overall_limit".into(), self.min_overall),
            ("gates_failed".into(), self.failed_gates().count() as f64),
        ]);
        for check in &self.checks {
            let name = serde_json::to_value(check.part).unwrap_or_default();
            let Some(name) = name.as_str() else { continue };
            decided.insert(format!("{name}_limit").into(), check.limit.number());
            decided.extend(check.value.map(|value| (name.into(), value)));
        }
        decided
    }

    /// The verdict in one line.
    pub fn summary(&self) -> String {
        let failed: Vec<String> = self.failed_gates().map(|check| check.part.to_string()).collect();
        let word = match self.verdict {
            ValidationVerdict::Deployable => "validation passed",
            ValidationVerdict::NotDeployable => "validation failed",
            ValidationVerdict::Insufficient => "validation failed, too few test trades",
        };
        let gates = if failed.is_empty() { String::new() } else { format!("; not passed: {}", failed.join(", ")) };
        format!("{word}: overall {:.2}, must exceed {:.2}{gates}", self.overall, self.min_overall)
    }

    /// The hard parts that were not passed.
    pub fn failed_gates(&self) -> impl Iterator<Item = &ValidationCheck> {
        self.checks.iter().filter(|check| check.hard && check.outcome != Outcome::Pass)
    }
}
