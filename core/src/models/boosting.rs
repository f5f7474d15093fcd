//! Gradient boosting (Friedman 2001) with second-order steps: each round a small tree corrects the rounds before it.

use ndarray::ArrayView2;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{
    bins::Bins,
    error::FitError,
    forest::{Output, check_width, shares},
    grow::{Grower, Rows},
    input::{self, Held, Values, in_range},
    split::Limits,
    tree::{MAX_DEPTH, Tree},
    walk::Trees,
};
use crate::stats::logit::{sigmoid, softplus};

/// A fitted sum of trees: sigmoid(start + trees) for classes, start + trees for real values. This is also what is stored
/// of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boosting {
    /// How it was grown.
    pub spec: BoostingSpec,
    /// What it gives.
    pub output: Output,
    /// Number of columns.
    pub width: usize,
    /// Log-odds, or value, before the first tree.
    pub start: f64,
    /// Its trees, their leaves already scaled by the learning rate.
    pub trees: Vec<Tree>,
    /// Share of each column in what the splits of its trees gained; sums to 1, or all 0 where it has no tree.
    pub importance: Vec<f64>,
    /// Why there are not more trees.
    pub stopped: Stop,
    /// Mean loss on the validation part with these trees, where there was one: log loss, or half the squared error.
    pub validation_loss: Option<f64>,
}

/// How boosting proceeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoostingSpec {
    /// Most rounds, 1 to 10,000.
    pub rounds: u32,
    /// Share of each tree that is taken, above 0 to 1.
    pub learning_rate: f64,
    /// Most leaves of a tree, at least 2.
    pub max_leaves: u32,
    /// Most splits above a leaf, 1 to 64.
    pub max_depth: u32,
    /// Fewest rows of a leaf, at least 1.
    pub min_leaf: u32,
    /// Penalty on the square of a leaf's value, against the summed loss, at least 0.
    pub l2: f64,
    /// With a validation part: rounds without a better loss there after which boosting stops, at least 1. The trees
    /// after the best round are dropped.
    pub patience: u32,
    /// A sign a column: +1 where the prediction may not fall with it, -1 where it may not rise, else 0. Empty is all 0.
    pub monotone: Vec<i8>,
}

/// Why boosting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// All rounds were made.
    Rounds,
    /// The validation part got no better.
    Validation,
    /// No split was left that gains anything.
    NoSplit,
}

impl Default for BoostingSpec {
    /// 100 rounds of 8 leaves of at least 20 rows at a learning rate of 0.1, l2 = 1, patience 10, no constraint.
    fn default() -> Self {
        Self {
            rounds: 100,
            learning_rate: 0.1,
            max_leaves: 8,
            max_depth: MAX_DEPTH,
            min_leaf: 20,
            l2: 1.0,
            patience: 10,
            monotone: Vec::new(),
        }
    }
}

/// Curvature below which no leaf is made: its value would be all noise.
const MIN_CURVATURE: f64 = 1e-3;

/// Boosts. Nothing in it is random.
pub(super) fn fit(
    spec: &BoostingSpec,
    x: ArrayView2<'_, f64>,
    y: Values<'_>,
    weights: &[f64],
    held: Option<Held<'_>>,
) -> Result<Boosting, FitError> {
    check(spec, x, y, weights)?;
    let output = Output::of(y);
    let values = y.numbers();
    let start = start(output, &values, weights);
    let mut watch = held.map(|held| Watch::new(held, x.ncols(), output, start)).transpose()?;
    let bins = Bins::new(x);
    let mut grower = Grower::new(&bins, limits(spec, x.ncols()));
    let mut unused = Pcg64::new(0, 0); // with all columns and the best cuts nothing is drawn
    let mut scores = vec![start; values.len()];
    let (mut trees, mut stopped) = (Vec::new(), Stop::Rounds);
    // of each tree with those before it
    let mut gains: Vec<Vec<f64>> = Vec::new();
    for _ in 0..spec.rounds {
        let mut rows = slopes(output, &values, weights, &scores);
        let grown = grower.grow(&mut rows, spec.learning_rate, &mut unused);
        if grown.tree.splits() == 0 {
            stopped = Stop::NoSplit;
            break;
        }
        for (range, value) in grown.leaves {
            for row in rows.rows.get(range).unwrap_or_default() {
                if let Some(score) = scores.get_mut(*row as usize) {
                    *score += value;
                }
            }
        }
        trees.push(grown.tree);
        gains.push(grower.gains.clone());
        if watch.as_mut().is_some_and(|watch| watch.is_over(&trees, spec.patience)) {
            stopped = Stop::Validation;
            break;
        }
    }
    if shares(&grower.gains).is_none() {
        return Err(FitError::NoSplit { rows: bins.rows, min_leaf: spec.min_leaf });
    }
    if !trees.iter().flat_map(|tree: &Tree| &tree.numbers).chain([&start]).all(|number| number.is_finite()) {
        return Err(FitError::NonFiniteResult);
    }
    let (best, validation_loss) = watch.map_or((trees.len(), None), |watch| (watch.best, Some(watch.loss)));
    trees.truncate(best);
    let kept = best.checked_sub(1).and_then(|last| shares(gains.get(last)?));
    let importance = kept.unwrap_or_else(|| vec![0.0; x.ncols()]);
    Ok(Boosting { spec: spec.clone(), output, width: x.ncols(), start, trees, importance, stopped, validation_loss })
}

/// The validation part as boosting goes on.
struct Watch {
    rows: Vec<Vec<f64>>,
    values: Vec<f64>,
    scores: Vec<f64>,
    output: Output,
    width: usize,
    /// Trees up to the best round.
    best: usize,
    /// Loss there.
    loss: f64,
}

impl Watch {
    fn new(held: Held<'_>, width: usize, output: Output, start: f64) -> Result<Self, FitError> {
        let refuse = |reason: String| FitError::Validation { reason };
        if Output::of(held.y) != output || held.x.ncols() != width {
            return Err(refuse(format!("it has {} columns, or another kind of values", held.x.ncols())));
        }
        input::check_matrix(held.x, held.y.len(), 1).map_err(|error| refuse(error.to_string()))?;
        let values = held.y.numbers();
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(refuse(format!("a value to be learnt is {value}")));
        }
        let scores = vec![start; values.len()];
        let loss = mean_loss(output, &values, &scores);
        let rows = held.x.rows().into_iter().map(|row| row.to_vec()).collect();
        Ok(Self { rows, values, scores, output, width, best: 0, loss })
    }

    /// Adds the latest tree; whether it has been `patience` rounds since the best.
    fn is_over(&mut self, grown: &[Tree], patience: u32) -> bool {
        let latest = grown.len().saturating_sub(1)..;
        let Ok(trees) = Trees::new(grown.get(latest).unwrap_or_default(), self.width) else { return false };
        for (row, score) in self.rows.iter().zip(&mut self.scores) {
            *score = trees.sum(row, *score).unwrap_or(*score);
        }
        let loss = mean_loss(self.output, &self.values, &self.scores);
        if loss < self.loss {
            (self.best, self.loss) = (grown.len(), loss);
        }
        grown.len() - self.best >= patience as usize
    }
}

fn check(spec: &BoostingSpec, x: ArrayView2<'_, f64>, y: Values<'_>, weights: &[f64]) -> Result<(), FitError> {
    in_range((1..=10_000).contains(&spec.rounds), "rounds", spec.rounds.into(), "1 to 10000")?;
    let rate = spec.learning_rate;
    in_range(rate > 0.0 && rate <= 1.0, "learning_rate", rate, "above 0 to 1")?;
    in_range((2..1 << 16).contains(&spec.max_leaves), "max_leaves", spec.max_leaves.into(), "2 to 65535")?;
    in_range((1..=MAX_DEPTH).contains(&spec.max_depth), "max_depth", spec.max_depth.into(), "1 to 64")?;
    in_range((1..1 << 24).contains(&spec.min_leaf), "min_leaf", spec.min_leaf.into(), "1 to 16777215")?;
    in_range(spec.l2 >= 0.0 && spec.l2.is_finite(), "l2", spec.l2, "finite and at least 0")?;
    in_range(spec.patience > 0, "patience", spec.patience.into(), "at least 1")?;
    if let Some(&sign) = spec.monotone.iter().find(|sign| !(-1..=1).contains(*sign)) {
        in_range(false, "monotone", sign.into(), "-1, 0 or 1")?;
    }
    input::check_matrix(x, y.len(), 2 * spec.min_leaf as usize)?;
    check_width(x.ncols())?;
    let (columns, signs) = (x.ncols(), spec.monotone.len());
    if signs != 0 && signs != columns {
        return Err(FitError::MonotoneCount { columns, signs });
    }
    input::check_values(y, weights)
}

fn limits(spec: &BoostingSpec, columns: usize) -> Limits<'_> {
    Limits {
        max_leaves: Some(spec.max_leaves),
        max_depth: spec.max_depth,
        min_leaf: spec.min_leaf,
        min_curvature: MIN_CURVATURE,
        l2: spec.l2,
        columns_per_split: columns,
        random_cuts: false,
        monotone: &spec.monotone,
    }
}

/// The best constant: the log-odds of the weighted share of yes, or the weighted mean.
fn start(output: Output, values: &[f64], weights: &[f64]) -> f64 {
    let total: f64 = weights.iter().sum();
    let mean = values.iter().zip(weights).map(|(value, w)| value * w).sum::<f64>() / total;
    match output {
        Output::Probability => (mean / (1.0 - mean)).ln(),
        Output::Real => mean,
    }
}

/// First and second derivative of the loss of every row that counts.
fn slopes(output: Output, values: &[f64], weights: &[f64], scores: &[f64]) -> Rows {
    let mut rows = Rows { rows: Vec::with_capacity(values.len()), slopes: Vec::with_capacity(values.len()) };
    for (((row, value), w), &score) in (0..).zip(values).zip(weights).zip(scores) {
        if *w > 0.0 {
            let slope = match output {
                Output::Probability => {
                    let p = sigmoid(score);
                    [w * (p - value), w * p * (1.0 - p)]
                }
                Output::Real => [w * (score - value), *w],
            };
            rows.rows.push(row);
            rows.slopes.push(slope);
        }
    }
    rows
}

fn mean_loss(output: Output, values: &[f64], scores: &[f64]) -> f64 {
    let loss = |(&value, &score): (&f64, &f64)| match output {
        Output::Probability => softplus(if value > 0.5 { -score } else { score }),
        Output::Real => (value - score).powi(2) / 2.0,
    };
    values.iter().zip(scores).map(loss).sum::<f64>() / values.len() as f64
}
