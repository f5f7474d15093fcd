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
    if violation.is_nan() || violation > tolerance {
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
        Self { means, mean, gram, target, reach }
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
                // made anew, so that rounding does not add up
                slack = self.slack(&beta);
            }
            if self.violation(spec, &beta) <= TOLERANCE {
                return (beta, sweep);
            }
        }
        (beta, MAX_SWEEPS)
    }

    fn slack(&self, beta: &[f64]) -> Vec<f64> {
        self.gram
            .rows()
            .into_iter()
            .zip(&self.target)
            .map(|(row, target)| target - row.iter().zip(beta).map(|(g, b)| g * b).sum::<f64>())
            .collect()
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
