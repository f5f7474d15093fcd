//! Random forests (Breiman 2001) and extra trees (Geurts, Ernst and Wehenkel 2006): the mean of many deep trees.
//!
//! For classes a leaf holds the weighted share of yes, so the mean is a probability, as in scikit-learn.

use ndarray::ArrayView2;
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{
    bins::Bins,
    error::FitError,
    grow::{Grower, Rows},
    input::{self, Values, in_range},
    split::Limits,
    tree::{MAX_DEPTH, Tree},
};

/// A fitted forest: the mean of its trees. This is also what is stored of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forest {
    /// How it was grown.
    pub spec: ForestSpec,
    /// What it gives.
    pub output: Output,
    /// Number of columns.
    pub width: usize,
    /// Its trees, all of equal weight.
    pub trees: Vec<Tree>,
    /// Share of each column in what all splits gained; sums to 1.
    pub importance: Vec<f64>,
}

/// How a forest is grown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ForestSpec {
    /// Number of trees, 1 to 10,000.
    pub trees: u32,
    /// Fewest rows of a leaf, at least 1.
    pub min_leaf: u32,
    /// Most splits above a leaf, 1 to 64.
    pub max_depth: u32,
    /// Columns drawn for each split; without it the square root of their number.
    pub columns_per_split: Option<u32>,
}

/// What the number that a model gives means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// The probability of yes.
    Probability,
    /// The expected value.
    Real,
}

/// What is drawn at random besides columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Draw {
    /// The rows of each tree, with replacement.
    Rows,
    /// One cut a column.
    Cuts,
}

impl Default for ForestSpec {
    /// 100 trees, leaves of 20 rows, no limit on depth but the store's, the square root of the columns.
    fn default() -> Self {
        Self { trees: 100, min_leaf: 20, max_depth: MAX_DEPTH, columns_per_split: None }
    }
}

impl Output {
    /// What a model of such values gives.
    pub(super) fn of(y: Values<'_>) -> Self {
        match y {
            Values::Classes(_) => Self::Probability,
            Values::Reals(_) => Self::Real,
        }
    }
}

/// Grows a forest; each tree has its own stream of random numbers. A row of weight 0 is not looked at.
pub(super) fn fit(
    spec: &ForestSpec,
    draw: Draw,
    x: ArrayView2<'_, f64>,
    y: Values<'_>,
    weights: &[f64],
    seed: u64,
) -> Result<Forest, FitError> {
    check(spec, x, y, weights)?;
    let bins = Bins::new(x);
    let width = x.ncols();
    let square_root = (width as f64).sqrt().floor() as usize;
    let columns_per_split = spec.columns_per_split.map_or(square_root, |n| n as usize).clamp(1, width);
    let limits = Limits {
        max_leaves: None,
        max_depth: spec.max_depth,
        min_leaf: spec.min_leaf,
        min_curvature: 0.0,
        l2: 0.0,
        columns_per_split,
        random_cuts: draw == Draw::Cuts,
        monotone: &[],
    };
    let mut grower = Grower::new(&bins, limits);
    let values = y.numbers();
    let trees: Vec<Tree> = (0..spec.trees)
        .map(|number| {
            let mut rng = Pcg64::new(seed.into(), number.into());
            let mut rows = sample(draw, &values, weights, &mut rng);
            grower.grow(&mut rows, 1.0, &mut rng).tree
        })
        .collect();
    let Some(importance) = shares(&grower.gains) else {
        return Err(FitError::NoSplit { rows: bins.rows, min_leaf: spec.min_leaf });
    };
    if trees.iter().any(|tree| tree.numbers.iter().any(|number| !number.is_finite())) {
        return Err(FitError::NonFiniteResult);
    }
    Ok(Forest { spec: *spec, output: Output::of(y), width, trees, importance })
}

/// Each gain as a share of all. `None` where there was none.
pub(super) fn shares(gains: &[f64]) -> Option<Vec<f64>> {
    let total: f64 = gains.iter().sum();
    (total > 0.0 && total.is_finite()).then(|| gains.iter().map(|gain| gain / total).collect())
}

/// Most columns that a stored tree can name.
pub(super) fn check_width(columns: usize) -> Result<(), FitError> {
    in_range(columns < usize::from(u16::MAX), "columns", columns as f64, "below 65535")
}

fn check(spec: &ForestSpec, x: ArrayView2<'_, f64>, y: Values<'_>, weights: &[f64]) -> Result<(), FitError> {
    in_range((1..=10_000).contains(&spec.trees), "trees", spec.trees.into(), "1 to 10000")?;
    in_range((1..1 << 24).contains(&spec.min_leaf), "min_leaf", spec.min_leaf.into(), "1 to 16777215")?;
    in_range((1..=MAX_DEPTH).contains(&spec.max_depth), "max_depth", spec.max_depth.into(), "1 to 64")?;
    let drawn = spec.columns_per_split.unwrap_or(1);
    in_range(drawn > 0, "columns_per_split", drawn.into(), "at least 1")?;
    input::check_matrix(x, y.len(), 2 * spec.min_leaf as usize)?;
    check_width(x.ncols())?;
    input::check_values(y, weights)
}

/// The rows of one tree: their gradients make a leaf worth the weighted mean of their values.
fn sample(draw: Draw, values: &[f64], weights: &[f64], rng: &mut Pcg64) -> Rows {
    let mut copies = vec![u32::from(draw == Draw::Cuts); values.len()];
    if draw == Draw::Rows {
        for _ in 0..values.len() {
            if let Some(copies) = copies.get_mut(rng.random_range(0..values.len())) {
                *copies += 1;
            }
        }
    }
    let mut sample = Rows { rows: Vec::new(), slopes: Vec::new() };
    for (((row, copies), value), weight) in (0..).zip(copies).zip(values).zip(weights) {
        let weight = weight * f64::from(copies);
        if weight > 0.0 {
            sample.rows.push(row);
            sample.slopes.push([-weight * value, weight]);
        }
    }
    sample
}
