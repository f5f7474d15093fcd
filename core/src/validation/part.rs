//! What a verdict is made of.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Number of test trades.
    TestTrades,
    /// Skill of the strongest input alone: too much of it means that it knows the outcome.
    SingleInput,
    /// Accuracy on the test part.
    Accuracy,
    /// F1 on the test part.
    F1,
    /// Precision on the test part.
    Precision,
    /// Correlation with the pnl really made, on the test part.
    PnlCorrelation,
    /// Lower bound of what the precision is above the base rate, on the test part.
    PrecisionLift,
    /// Lower bound of what the accuracy is above that of a guess that says yes as often, on the test part.
    AccuracyLift,
    /// Lower bound of the correlation with the pnl really made, on the test part.
    CorrelationLift,
    /// Loss saved against the majority guess, as a share of it.
    LossSaved,
    /// Sharpe ratio of the policy less that of taking every trade.
    SharpeGained,
    /// Sharpe ratio of the policy (or skill) against the best of the lower levels and the gain asked for.
    LevelBelow,
    /// Training score less test score: the largest of the gaps of AUC, precision, log loss and accuracy, or that of the
    /// correlation.
    Gap,
    /// Standard deviation of the score over the folds.
    CvDeviation,
    /// Range of the score over neighbouring strengths.
    CurveStep,
    /// Agreement of the top columns over the folds.
    FeatureStability,
    /// Probability of backtest overfitting.
    Overfitting,
    /// Deflated Sharpe ratio; in reports of older versions only.
    DeflatedSharpe,
    /// Deflated probability that following the model earns more for its risk than taking every trade.
    Gain,
    /// Probability that following the model makes more money than taking every trade at the strategy's own size.
    Money,
    /// p-value against labels shifted in a circle.
    PValue,
    /// Standard deviation of the test skill over bootstrap refits.
    BootstrapDeviation,
    /// Agreement of the most important inputs over repeats.
    ImportanceStability,
    /// Share of months better than chance.
    GoodMonths,
    /// Skill in the worst regime.
    WorstRegime,
    /// Share of the combinatorial paths better than taking every trade.
    GoodPaths,
}

/// What a part belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Area {
    /// What everything else rests on; not part of the overall score.
    Data,
    /// How good it is.
    Performance,
    /// Whether that can be believed.
    Overfitting,
    /// Whether it holds elsewhere.
    Stability,
}

impl Part {
    /// What it belongs to, and whether it is hard: proof that there is something to deploy, and that it is no leak. Goals
    /// and signs of overfitting are shown and weighed.
    pub(super) fn area(self) -> (Area, bool) {
        match self {
            Self::TestTrades | Self::SingleInput => (Area::Data, true),
            Self::PrecisionLift | Self::AccuracyLift | Self::CorrelationLift => (Area::Performance, true),
            Self::LevelBelow => (Area::Performance, true),
            Self::Accuracy | Self::F1 | Self::Precision | Self::PnlCorrelation => (Area::Performance, false),
            Self::LossSaved | Self::SharpeGained => (Area::Performance, false),
            Self::Gain | Self::Money | Self::DeflatedSharpe | Self::PValue => (Area::Overfitting, true),
            Self::Gap | Self::CvDeviation | Self::CurveStep | Self::FeatureStability => (Area::Overfitting, false),
            Self::Overfitting => (Area::Overfitting, false),
            Self::BootstrapDeviation | Self::ImportanceStability | Self::GoodMonths => (Area::Stability, false),
            Self::WorstRegime | Self::GoodPaths => (Area::Stability, false),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TestTrades => "test trades",
            Self::SingleInput => "skill of one input alone",
            Self::Accuracy => "accuracy",
            Self::F1 => "F1",
            Self::Precision => "precision",
            Self::PnlCorrelation => "correlation with the pnl",
            Self::PrecisionLift => "precision over base, bound",
            Self::AccuracyLift => "accuracy over base, bound",
            Self::CorrelationLift => "correlation, lower bound",
            Self::LossSaved => "loss saved against a guess",
            Self::SharpeGained => "Sharpe ratio gained",
            Self::LevelBelow => "against the levels below",
            Self::Gap => "train-test gap",
            Self::CvDeviation => "deviation over folds",
            Self::CurveStep => "step of the validation curve",
            Self::FeatureStability => "feature stability",
            Self::Overfitting => "probability of overfitting",
            Self::DeflatedSharpe => "deflated Sharpe ratio",
            Self::Gain => "earns more for its risk",
            Self::Money => "makes more than every trade",
            Self::PValue => "p-value, shifted labels",
            Self::BootstrapDeviation => "deviation over bootstraps",
            Self::ImportanceStability => "importance stability",
            Self::GoodMonths => "months better than chance",
            Self::WorstRegime => "skill in the worst regime",
            Self::GoodPaths => "paths better than every trade",
        })
    }
}
