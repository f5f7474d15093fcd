//! How a validation is done and what it asks for.

use serde::{Deserialize, Serialize};

use crate::{domain::Timestamp, models::TradePolicy};

/// Everything that a validation can be told. The defaults are those of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationOptions {
    /// How trades are split.
    pub splits: Splits,
    /// Strengths of regularisation to try, ascending, at least two; see [`super::fitter::TrainingSet::strength`].
    pub strengths: Vec<f64>,
    /// The strength to validate; `None` takes the one with the lowest loss on the validation part.
    pub strength: Option<f64>,
    /// Where the score of a class says yes; `None` for the base rate of what a model learnt from.
    pub decision_point: Option<f64>,
    /// When a trade is taken.
    pub policy: TradePolicy,
    /// Earlier looks at a test part, whose trades may be among those of this one.
    pub looks: Vec<Look>,
    /// How often things are repeated.
    pub effort: Effort,
    /// Limits of the overfitting gates.
    pub gates: Gates,
    /// What the goals ask for.
    pub targets: Targets,
    /// Limits of the stability parts.
    pub stability: Stability,
    /// The overall score.
    pub overall: Overall,
    /// Seed of everything random.
    pub seed: u64,
}

/// A version that was judged on a test part before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Time of the first signal of that part; `None` where it was not noted.
    pub from: Option<Timestamp>,
    /// Time of the last one.
    pub to: Option<Timestamp>,
    /// Whether it was the same kind of model for the same target.
    pub alike: bool,
}

/// How trades are split; shares are of all trades, latest last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Splits {
    /// Share for the choice of the strength, above 0.
    pub validation_share: f64,
    /// Share for the out-of-sample test, above 0.
    pub test_share: f64,
    /// Trades the test part must have for a verdict.
    pub min_test_trades: usize,
    /// Folds of the cross-validation, at least 2.
    pub folds: usize,
    /// Hours after a judged block in which no trade that begins is learnt from.
    pub embargo_hours: f64,
    /// Steps of the walk-forward, at least 2.
    pub steps: usize,
    /// Share of the trades that its first step learns from, and each step of the rolling window.
    pub first_step_share: f64,
    /// Groups of the combinatorial cross-validation, at least 3.
    pub groups: usize,
    /// Groups judged at once, at least 1 and fewer than there are.
    pub judged_groups: usize,
}

/// How often things are repeated: more is surer and slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effort {
    /// Refits on bootstrap samples, at least 2.
    pub bootstrap: usize,
    /// Most shifts of the labels, at least 20: with fewer no p-value can be below 5 %. There are no more than trading days.
    pub null: usize,
    /// Shuffles of each input for its importance, at least 2.
    pub importance: usize,
    /// Blocks of the probability of overfitting, even, 2 to 20.
    pub blocks: usize,
}

/// Limits of the overfitting parts. Hard are the probability of a gain, the p-value and the skill of one input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gates {
    /// Most that the training part may score above the test part.
    pub max_gap: f64,
    /// Highest standard deviation of the score over the folds.
    pub max_cv_deviation: f64,
    /// Widest range of the score over the chosen strength and its two neighbours.
    pub max_curve_step: f64,
    /// Lowest agreement of the top columns over the folds.
    pub min_feature_stability: f64,
    /// How many columns are the top ones, at most half of all.
    pub top_features: usize,
    /// Highest probability of backtest overfitting.
    pub max_overfitting: f64,
    /// Lowest probability, deflated, that following the model earns more than taking every trade.
    pub min_gain_probability: f64,
    /// Highest p-value against labels shifted in a circle.
    pub max_p_value: f64,
    /// Highest skill that one input may reach alone: above it, it knows the outcome.
    pub max_single_skill: f64,
}

/// What the goals ask for, each to be exceeded: shown and weighed, since an absolute figure ignores the base rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// Accuracy of `signal_quality`.
    pub accuracy: f64,
    /// F1 of `signal_quality`.
    pub f1: f64,
    /// Precision of `profitability`.
    pub precision: f64,
    /// Correlation of `signal_strength` with the pnl really made.
    pub correlation: f64,
}

/// Limits of the stability parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Highest standard deviation of the test skill over bootstrap refits.
    pub max_bootstrap_deviation: f64,
    /// Lowest agreement of the most important inputs over repeats.
    pub min_importance_stability: f64,
    /// Trades below which a month does not count.
    pub min_month_trades: usize,
    /// Lowest share of months that are better than chance.
    pub min_good_months: f64,
    /// Trades below which a regime does not count.
    pub min_regime_trades: usize,
    /// How far below chance the worst regime may be.
    pub regime_slack: f64,
    /// Lowest share of the combinatorial paths with a Sharpe ratio above that of taking every trade.
    pub min_good_paths: f64,
}

/// The overall score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Overall {
    /// What it must exceed.
    pub min_score: f64,
    /// Weight of the mean of the performance parts.
    pub performance_weight: f64,
    /// Weight of the mean of the overfitting parts.
    pub overfitting_weight: f64,
    /// Weight of the mean of the stability parts.
    pub stability_weight: f64,
}

/// An option out of its range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("validation option {name} is {value}: it must be {range}")]
pub struct InvalidOption {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub value: f64,
    /// What it may be.
    pub range: &'static str,
}

impl ValidationOptions {
    /// Checks what would make a validation meaningless or impossible whatever the trades are.
    ///
    /// # Errors
    /// [`InvalidOption`] names the first one.
    pub fn check(&self) -> Result<(), InvalidOption> {
        self.check_splits()?;
        self.check_strengths()?;
        self.check_limits()
    }

    fn check_splits(&self) -> Result<(), InvalidOption> {
        let Splits { validation_share, test_share, embargo_hours, first_step_share, .. } = self.splits;
        let Splits { folds, steps, groups, judged_groups, .. } = self.splits;
        let Effort { bootstrap, null, importance, blocks } = self.effort;
        let even = |n: usize| n.is_multiple_of(2);
        let count = |n: usize| n as f64;
        let inside = |x: f64| x > 0.0 && x < 1.0;
        first_of([
            (inside(validation_share), "validation_share", validation_share, "above 0 and below 1"),
            (inside(test_share), "test_share", test_share, "above 0 and below 1"),
            (validation_share + test_share < 1.0, "test_share", test_share, "below 1 with validation_share added"),
            (inside(first_step_share), "first_step_share", first_step_share, "above 0 and below 1"),
            ((0.0..=8760.0).contains(&embargo_hours), "embargo_hours", embargo_hours, "0 to 8760"),
            ((2..=100).contains(&folds), "folds", count(folds), "2 to 100"),
            ((2..=1000).contains(&steps), "steps", count(steps), "2 to 1000"),
            ((3..=20).contains(&groups), "groups", count(groups), "3 to 20"),
            ((1..groups).contains(&judged_groups), "judged_groups", count(judged_groups), "1 to below groups"),
            (bootstrap >= 2, "bootstrap", count(bootstrap), "at least 2"),
            (null >= 20, "null", count(null), "at least 20"),
            (importance >= 2, "importance", count(importance), "at least 2"),
            (even(blocks) && (2..=20).contains(&blocks), "blocks", count(blocks), "even, 2 to 20"),
        ])
    }

    fn check_strengths(&self) -> Result<(), InvalidOption> {
        let usable = |strength: f64| strength >= 0.0 && strength.is_finite();
        let count = self.strengths.len();
        let rising = self.strengths.windows(2).find(|pair| !matches!(pair, [a, b] if a < b));
        let unusable = self.strengths.iter().chain(&self.strength).find(|strength| !usable(**strength));
        let of = |found: Option<&f64>| found.copied().unwrap_or_default();
        first_of([
            ((2..=50).contains(&count), "number of strengths", count as f64, "2 to 50"),
            (unusable.is_none(), "strength", of(unusable), "finite and at least 0"),
            (rising.is_none(), "strengths", of(rising.and_then(|pair| pair.last())), "above the one before it"),
        ])
    }

    fn check_limits(&self) -> Result<(), InvalidOption> {
        let (gates, targets, stability, overall) = (&self.gates, &self.targets, &self.stability, &self.overall);
        let shares = [
            ("blend_weight", self.policy.blend_weight),
            ("trade_threshold", self.policy.trade_threshold),
            ("max_gap", gates.max_gap),
            ("max_cv_deviation", gates.max_cv_deviation),
            ("max_curve_step", gates.max_curve_step),
            ("min_feature_stability", gates.min_feature_stability),
            ("max_overfitting", gates.max_overfitting),
            ("min_gain_probability", gates.min_gain_probability),
            ("max_p_value", gates.max_p_value),
            ("max_single_skill", gates.max_single_skill),
            ("accuracy", targets.accuracy),
            ("f1", targets.f1),
            ("precision", targets.precision),
            ("correlation", targets.correlation),
            ("max_bootstrap_deviation", stability.max_bootstrap_deviation),
            ("min_importance_stability", stability.min_importance_stability),
            ("min_good_months", stability.min_good_months),
            ("regime_slack", stability.regime_slack),
            ("min_good_paths", stability.min_good_paths),
            ("min_score", overall.min_score),
            ("performance_weight", overall.performance_weight),
            ("overfitting_weight", overall.overfitting_weight),
            ("stability_weight", overall.stability_weight),
        ];
        let outside = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value));
        if let Some((name, value)) = outside {
            return Err(InvalidOption { name, value, range: "0 to 1" });
        }
        let sum = overall.performance_weight + overall.overfitting_weight + overall.stability_weight;
        first_of([
            (gates.top_features > 0, "top_features", gates.top_features as f64, "at least 1"),
            (sum > 0.0, "sum of the weights", sum, "above 0"),
        ])
    }
}

fn first_of<const N: usize>(rules: [(bool, &'static str, f64, &'static str); N]) -> Result<(), InvalidOption> {
    match rules.into_iter().find(|(holds, ..)| !holds) {
        Some((_, name, value, range)) => Err(InvalidOption { name, value, range }),
        None => Ok(()),
    }
}
