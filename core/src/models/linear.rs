//! Linear regression with L1 and L2 penalties: ridge, lasso and elastic net.
//!
//! All work is done on the k x k matrix of products, which for a few columns is fast and exact: ridge solves one system,
//! the others go coordinate by coordinate (Friedman, Hastie and Tibshirani 2010).

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::{
    cholesky::Factor,
    error::FitError,
    input::{self, Values, in_range},
};

/// A fitted linear regression: intercept + weights . x. This is also what is stored of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// How it was fitted.
    pub spec: LinearSpec,
    /// One weight a column.
    pub weights: Vec<f64>,
    /// Value where all columns are 0.
    pub intercept: f64,
    /// Sweeps over the columns; 0 without an L1 penalty, which needs none.
    pub sweeps: u32,
    /// Largest violation of the optimality conditions, relative to the largest that the data could make.
    pub violation: f64,
}

/// How a linear regression is fitted: by minimising
/// 1/2 sum_i w_i (y_i - prediction_i)^2 + l1 |weights|_1 + l2/2 |weights|^2, with the intercept unpenalised. With unit
/// weights and n rows this is scikit-learn's `Ridge(alpha = l2)`, `Lasso(alpha = l1 / n)` and
/// `ElasticNet(alpha = (l1 + l2) / n, l1_ratio = l1 / (l1 + l2))`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinearSpec {
    /// Penalty on the sum of the weights' sizes, at least 0: the larger, the more weights are 0.
    pub l1: f64,
    /// Penalty on the sum of their squares, at least 0.
    pub l2: f64,
}

/// Most sweeps over the columns.
const MAX_SWEEPS: u32 = 100_000;
/// Violation of the optimality conditions at which the search ends.
const TOLERANCE: f64 = 1e-12;
/// Duality gap that is good enough where rounding allows no better, as a share of the loss of the best constant. What the
/// weights predict is then within sqrt(1e-8) standard deviations of the best prediction.
const GAP: f64 = 1e-8;
/// Sweeps after which a search that creeps is helped by a jump, time and again.
const JUMP_SWEEPS: u32 = 50;

impl Default for LinearSpec {
    /// Ridge with l2 = 1.
    fn default() -> Self {
        Self { l1: 0.0, l2: 1.0 }
    }
}

/// Means and products of the weighted, centred data.
struct Products {
    means: Vec<f64>,
    mean: f64,
    /// X'WX, and X'Wy.
    gram: Array2<f64>,
    target: Vec<f64>,
    /// y'Wy: twice the loss of the best constant.
    square: f64,
    /// What a component of the gradient is measured against: sqrt(X'WX_jj y'Wy).
    reach: Vec<f64>,
}

/// Fits a linear regression to real values.
pub(super) fn fit(spec: &LinearSpec, x: ArrayView2<'_, f64>, y: &[f64], weights: &[f64]) -> Result<Linear, FitError> {
    for (name, value) in [("l1", spec.l1), ("l2", spec.l2)] {
        in_range(value >= 0.0 && value.is_finite(), name, value, "finite and at least 0")?;
    }
    input::check_matrix(x, y.len(), x.ncols() + 2)?;
    input::check_values(Values::Reals(y), weights)?;
    let products = Products::new(x, y, weights);
    if products.gram.iter().chain(&products.target).any(|product| !product.is_finite()) {
        return Err(FitError::NonFiniteResult);
    }
    let (beta, sweeps) = if spec.l1 > 0.0 { products.descend(spec) } else { (products.solve(spec)?, 0) };
    if beta.iter().any(|b| !b.is_finite()) {
        return Err(FitError::NonFiniteResult);
    }
    let violation = products.violation(spec, &beta);
    // ridge is one solution of a linear system: rounding alone keeps it from zero
    let tolerance = if spec.l1 > 0.0 { 10.0 * TOLERANCE } else { 1e-6 };
    let settled = violation <= tolerance || (spec.l1 > 0.0 && products.gap(spec, &beta) <= GAP);
    if !settled || violation.is_nan() {
        return Err(FitError::NotConverged { gradient: violation, tolerance });
    }
    let intercept = products.mean - dot(&products.means, &beta);
    Ok(Linear { spec: *spec, weights: beta, intercept, sweeps, violation })
}

impl Products {
    fn new(x: ArrayView2<'_, f64>, y: &[f64], weights: &[f64]) -> Self {
        let k = x.ncols();
        let total: f64 = weights.iter().sum();
        let mean_of = |values: &mut dyn Iterator<Item = f64>| {
            values.zip(weights).map(|(value, w)| value * w).sum::<f64>() / total
        };
        let means: Vec<f64> = x.columns().into_iter().map(|c| mean_of(&mut c.iter().copied())).collect();
        let mean = mean_of(&mut y.iter().copied());
        let (mut gram, mut target, mut square) = (vec![0.0; k * k], vec![0.0; k], 0.0);
        let mut row = vec![0.0; k];
        for ((line, y), w) in x.rows().into_iter().zip(y).zip(weights) {
            row.iter_mut().zip(line).zip(&means).for_each(|((cell, x), mean)| *cell = x - mean);
            let y = y - mean;
            square += w * y * y;
            for ((products, target), xi) in gram.chunks_exact_mut(k).zip(&mut target).zip(&row) {
                let scaled = w * xi;
                *target += scaled * y;
                products.iter_mut().zip(&row).for_each(|(product, xj)| *product += scaled * xj);
            }
        }
        let gram = Array2::from_shape_fn((k, k), |(i, j)| gram[i * k + j]);
        let reach = gram.diag().iter().map(|own| (own * square).sqrt()).collect();
        Self { means, mean, gram, target, square, reach }
    }

    fn solve(&self, spec: &LinearSpec) -> Result<Vec<f64>, FitError> {
        let (mut gram, mut beta) = (self.gram.clone(), self.target.clone());
        gram.diag_mut().iter_mut().for_each(|own| *own += spec.l2);
        match Factor::new(gram) {
            Ok(factor) => {
                factor.solve(&mut beta);
                Ok(beta)
            }
            Err(at) if at.pivot.is_finite() => Err(FitError::Collinear { column: at.row }),
            Err(_) => Err(FitError::NonFiniteResult),
        }
    }

    /// Coordinate descent from 0; `slack` is X'W(y - X beta).
    fn descend(&self, spec: &LinearSpec) -> (Vec<f64>, u32) {
        let mut beta = vec![0.0; self.target.len()];
        let mut slack = self.target.clone();
        for sweep in 1..=MAX_SWEEPS {
            for j in 0..beta.len() {
                let own = self.gram[[j, j]];
                if own + spec.l2 <= 0.0 {
                    continue; // a constant column keeps its 0
                }
                let pull = slack[j] + own * beta[j];
                let moved = shrink(pull, spec.l1) / (own + spec.l2) - beta[j];
                if moved != 0.0 {
                    beta[j] += moved;
                    slack.iter_mut().zip(self.gram.column(j)).for_each(|(slack, product)| *slack -= moved * product);
                }
            }
            if sweep % 10 == 0 {
                // recomputed, so that rounding does not add up
                slack = self.slack(&beta);
            }
            if self.violation(spec, &beta) <= TOLERANCE {
                return (beta, sweep);
            }
            if sweep % JUMP_SWEEPS == 0 {
                self.jump(spec, &mut beta);
                slack = self.slack(&beta);
            }
        }
        (beta, MAX_SWEEPS)
    }

    /// Moves the weights that are not 0 to the minimum that they have with their signs, or as far towards it as no sign
    /// changes; the weight that would change first becomes 0 (Lee, Battle, Raina and Ng 2007). The loss falls all the way.
    /// Where columns are all but the same, this takes one step where sweeps would take a million.
    fn jump(&self, spec: &LinearSpec, beta: &mut [f64]) {
        let active: Vec<usize> = (0..beta.len()).filter(|j| beta[*j] != 0.0).collect();
        let mut gram = Array2::from_shape_fn((active.len(), active.len()), |(i, j)| self.gram[[active[i], active[j]]]);
        gram.diag_mut().iter_mut().for_each(|own| *own += spec.l2);
        let Ok(factor) = Factor::new(gram) else { return };
        let mut best: Vec<f64> = active.iter().map(|&j| self.target[j] - spec.l1 * beta[j].signum()).collect();
        factor.solve(&mut best);
        if best.iter().any(|b| !b.is_finite()) {
            return;
        }
        let share_to_0 = |(&j, to): (&usize, &f64)| (to * beta[j] <= 0.0).then(|| beta[j] / (beta[j] - to));
        let share = active.iter().zip(&best).filter_map(share_to_0).fold(1.0, f64::min);
        for (&j, to) in active.iter().zip(&best) {
            let ends = to * beta[j] <= 0.0 && beta[j] / (beta[j] - to) <= share;
            beta[j] = if ends { 0.0 } else { beta[j] + share * (to - beta[j]) };
        }
    }

    fn slack(&self, beta: &[f64]) -> Vec<f64> {
        self.gram
            .rows()
            .into_iter()
            .zip(&self.target)
            .map(|(row, target)| target - row.iter().zip(beta).map(|(g, b)| g * b).sum::<f64>())
            .collect()
    }

    /// How far the penalised loss is above its minimum at most, as a share of the loss of the best constant: the duality gap
    /// of the lasso whose rows are those of X and of sqrt(l2) I (Kim, Koh, Lustig, Boyd and Gorinevsky 2007). `l1` must be
    /// above 0.
    fn gap(&self, spec: &LinearSpec, beta: &[f64]) -> f64 {
        let slack = self.slack(beta);
        let left: f64 =
            beta.iter().zip(self.target.iter().zip(&slack)).map(|(b, (target, slack))| b * (target + slack)).sum();
        let penalty = spec.l2 * dot(beta, beta);
        let residual = self.square - left + penalty;
        let steepest = slack.iter().zip(beta).map(|(slack, b)| (slack - spec.l2 * b).abs()).fold(0.0, f64::max);
        let scale = if steepest > spec.l1 { spec.l1 / steepest } else { 1.0 };
        let sizes: f64 = beta.iter().map(|b| b.abs()).sum();
        let gap =
            0.5 * (1.0 + scale * scale) * residual + spec.l1 * sizes - scale * (self.square - dot(beta, &self.target));
        gap / (0.5 * self.square)
    }

    /// Largest distance of the loss's slope from what the penalties ask for, relative.
    fn violation(&self, spec: &LinearSpec, beta: &[f64]) -> f64 {
        let slack = self.slack(beta);
        let of = |((slack, b), reach): ((f64, &f64), &f64)| {
            let slope = slack - spec.l2 * b;
            let excess =
                if *b == 0.0 { (slope.abs() - spec.l1).max(0.0) } else { (slope - spec.l1 * b.signum()).abs() };
            if *reach > 0.0 { excess / reach } else { excess }
        };
        slack.into_iter().zip(beta).zip(&self.reach).map(of).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
    }
}

fn shrink(value: f64, by: f64) -> f64 {
    if value > by {
        value - by
    } else if value < -by {
        value + by
    } else {
        0.0
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
