//! How good scores are: as predictions, and as the policy that takes a trade or leaves it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::example::{Example, Goal};
use crate::{
    domain::TradingDay,
    stats::{
        association::{correlation, r_squared},
        binary::{Confusion, brier, expected_calibration_error, log_loss, roc_auc},
        risk::{expectancy, max_drawdown, sharpe},
    },
};

/// Trading days of a year.
const DAYS_PER_YEAR: f64 = 252.0;
/// Bins of the calibration error.
const BINS: usize = 10;

/// Figures of one set of scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Figures {
    /// Of probabilities of yes.
    Class(ClassFigures),
    /// Of predicted numbers.
    Real(RealFigures),
}

/// Figures of probabilities; a probability of at least 1/2 predicts yes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Number of rows.
    pub rows: usize,
    /// Rows labelled yes.
    pub wins: usize,
    /// Share predicted right.
    pub accuracy: f64,
    /// Mean of the shares of yes and of no that were recognised; `None` with one class.
    pub balanced_accuracy: Option<f64>,
    /// Share of the predicted yes that were yes; `None` when none was predicted.
    pub precision: Option<f64>,
    /// Share of the yes that were predicted; `None` when there was none.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall; `None` when yes neither occurred nor was predicted.
    pub f1: Option<f64>,
    /// Area under the ROC curve; `None` with one class.
    pub auc: Option<f64>,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// Mean log loss.
    pub log_loss: f64,
    /// Expected calibration error over ten bins.
    pub calibration_error: f64,
}

/// Figures of predicted numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RealFigures {
    /// Number of rows.
    pub rows: usize,
    /// Coefficient of determination; `None` when the truth does not vary.
    pub r_squared: Option<f64>,
    /// Correlation with the truth; `None` when either does not vary.
    pub correlation: Option<f64>,
    /// Correlation with the pnl really made.
    pub pnl_correlation: Option<f64>,
}

/// When a trade is taken; part of the section `[scoring]` of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TradePolicy {
    /// Weight of the score in the blended confidence, 0 to 1.
    pub blend_weight: f64,
    /// Blended confidence below which no trade is taken, 0 to 1.
    pub trade_threshold: f64,
}

/// What a policy earned, one contract a trade as the strategy traded it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PolicyFigures {
    /// Trades taken.
    pub taken: usize,
    /// Trades offered.
    pub offered: usize,
    /// Pnl of the trades taken, in account currency.
    pub total: f64,
    /// Mean pnl of a trade taken; `None` without any.
    pub expectancy: Option<f64>,
    /// Sharpe ratio of the pnl by trading day, days without a taken trade counting 0, times the square root of 252.
    pub sharpe: Option<f64>,
    /// Deepest fall of the running pnl, in the order of the exits; `None` without a trade.
    pub max_drawdown: Option<f64>,
}

impl Figures {
    /// Judges `scores` by what came to be. `None` without rows, when lengths differ, or when a score is not what the goal
    /// asks for.
    pub fn of(goal: Goal, examples: &[&Example], scores: &[f64]) -> Option<Self> {
        let truth: Vec<f64> = examples.iter().map(|example| example.truth).collect();
        if goal.is_class() {
            return ClassFigures::of(&labels(&truth), scores).map(Self::Class);
        }
        let pnl: Vec<f64> = examples.iter().map(|example| example.pnl).collect();
        (!scores.is_empty() && scores.len() == truth.len() && scores.iter().all(|score| score.is_finite())).then(|| {
            Self::Real(RealFigures {
                rows: scores.len(),
                r_squared: r_squared(&truth, scores),
                correlation: correlation(&truth, scores),
                pnl_correlation: correlation(scores, &pnl),
            })
        })
    }

    /// Accuracy, or correlation with the truth.
    pub fn hit(&self) -> Option<f64> {
        match self {
            Self::Class(figures) => Some(figures.accuracy),
            Self::Real(figures) => figures.correlation,
        }
    }
}

impl ClassFigures {
    /// Judges probabilities by labels. `None` without rows, when lengths differ, or when one is not a probability.
    pub fn of(labels: &[bool], probabilities: &[f64]) -> Option<Self> {
        let counts = Confusion::at_threshold(labels, probabilities, 0.5)?;
        Some(Self {
            rows: labels.len(),
            wins: labels.iter().filter(|label| **label).count(),
            accuracy: counts.accuracy()?,
            balanced_accuracy: counts.balanced_accuracy(),
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            auc: roc_auc(labels, probabilities),
            brier: brier(labels, probabilities)?,
            log_loss: log_loss(labels, probabilities)?,
            calibration_error: expected_calibration_error(labels, probabilities, BINS)?,
        })
    }
}

impl Goal {
    /// Accuracy of scores, or their correlation with the truth: what thresholds in points speak of.
    pub fn hit(self, truth: &[f64], scores: &[f64]) -> Option<f64> {
        if self.is_class() {
            return Confusion::at_threshold(&labels(truth), scores, 0.5)?.accuracy();
        }
        correlation(truth, scores)
    }

    /// Area under the ROC curve, or correlation with the truth: what is compared with chance, because its value under
    /// chance does not depend on how many won.
    pub fn skill(self, truth: &[f64], scores: &[f64]) -> Option<f64> {
        if self.is_class() { roc_auc(&labels(truth), scores) } else { correlation(truth, scores) }
    }

    /// The [`Self::skill`] of a model that knows nothing.
    pub fn chance(self) -> f64 {
        if self.is_class() { 0.5 } else { 0.0 }
    }

    /// Mean log loss, or mean squared error.
    pub fn loss(self, truth: &[f64], scores: &[f64]) -> Option<f64> {
        if self.is_class() {
            return log_loss(&labels(truth), scores);
        }
        if truth.is_empty() || truth.len() != scores.len() {
            return None;
        }
        let mean = truth.iter().zip(scores).map(|(t, s)| (t - s).powi(2)).sum::<f64>() / truth.len() as f64;
        mean.is_finite().then_some(mean)
    }
}

impl TradePolicy {
    /// Whether a trade is taken. Without a confidence of the strategy's own it is: the service leaves it to the strategy.
    pub fn takes(&self, confidence: Option<f64>, score: f64) -> bool {
        let blend = |confidence| (1.0 - self.blend_weight) * confidence + self.blend_weight * score;
        confidence.is_none_or(|confidence| blend(confidence) >= self.trade_threshold)
    }

    /// The same with another threshold.
    pub fn at(&self, trade_threshold: f64) -> Self {
        Self { trade_threshold, ..*self }
    }
}

impl PolicyFigures {
    /// What taking the trades marked in `taken` earned of those offered. `None` when the lengths differ.
    pub fn of(offered: &[&Example], taken: &[bool]) -> Option<Self> {
        if offered.len() != taken.len() {
            return None;
        }
        let mut trades: Vec<&Example> =
            offered.iter().zip(taken).filter(|(_, taken)| **taken).map(|(example, _)| *example).collect();
        trades.sort_by_key(|example| example.life.exit_at);
        let pnl: Vec<f64> = trades.iter().map(|example| example.pnl).collect();
        Some(Self {
            taken: pnl.len(),
            offered: offered.len(),
            total: pnl.iter().sum(),
            expectancy: expectancy(&pnl),
            sharpe: sharpe(&daily_pnl(offered, taken), DAYS_PER_YEAR),
            max_drawdown: max_drawdown(&pnl),
        })
    }
}

/// Pnl by trading day, in order, of the trades marked in `taken`; days on which trades were offered and none was taken
/// count 0.
pub fn daily_pnl(offered: &[&Example], taken: &[bool]) -> Vec<f64> {
    let mut days: BTreeMap<TradingDay, f64> = BTreeMap::new();
    for (example, &taken) in offered.iter().zip(taken) {
        *days.entry(example.day).or_default() += if taken { example.pnl } else { 0.0 };
    }
    days.into_values().collect()
}

/// Truth as labels.
pub(super) fn labels(truth: &[f64]) -> Vec<bool> {
    truth.iter().map(|truth| *truth >= 0.5).collect()
}
