//! What a validation found, before anything is asked of it.

use serde::{Deserialize, Serialize};

use super::{
    baselines::AgainstBaselines,
    figures::{Figures, PolicyFigures, one_half},
    lift::Lift,
    stability::{Bootstrap, Group, Importance, Null},
};
use crate::{domain::Timestamp, stats::sessions::History};

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

impl ValidationEvidence {
    /// How much better the training part looks than the test part, by each measure: it has learnt by heart as far as any of
    /// them says so.
    pub(super) fn gaps(&self) -> Vec<(&'static str, f64)> {
        let of = |name, train: Option<f64>, test: Option<f64>| Some((name, train? - test?));
        match (&self.train, &self.test) {
            (Figures::Class(train), Figures::Class(test)) => [
                of("AUC", train.auc, test.auc),
                of("precision", train.precision, test.precision),
                of("log loss", Some(test.log_loss), Some(train.log_loss)),
                of("accuracy", Some(train.accuracy), Some(test.accuracy)),
            ]
            .into_iter()
            .flatten()
            .collect(),
            (train, test) => of("correlation", train.hit(), test.hit()).into_iter().collect(),
        }
    }
}
