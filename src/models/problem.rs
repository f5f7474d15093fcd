//! The function that a logistic regression minimises: its data, checked once, its value and its derivatives.

use ndarray::{Array2, ArrayView2};

use super::{
    cholesky,
    error::FitError,
    input::{self, in_range},
    logistic::{ClassWeights, Options, Solver},
};
use crate::stats::logit::{sigmoid, softplus};

/// Largest change of a row's log-odds that a last Newton step may still ask for. Where the best weights are infinite
/// the gradient vanishes on the way there while every step still asks for about 1.
const SETTLED: f64 = 1e-3;

/// Labels, weights and the matrix with a column of ones in front, row by row.
pub(super) struct Problem {
    rows: Vec<f64>,
    width: usize,
    labels: Vec<bool>,
    weights: Vec<f64>,
    l2: f64,
    tolerance: f64,
    /// Per column, sum_i w_i |x_ij|: what a component of the gradient is measured against.
    reach: Vec<f64>,
}

/// Where a search ended.
pub(super) struct Solution {
    /// Intercept, then weights.
    pub beta: Vec<f64>,
    /// Relative gradient there.
    pub gradient: f64,
    /// Steps taken, where known.
    pub iterations: Option<u32>,
}

/// The Newton step from a point, to be subtracted from it.
pub(super) struct Step {
    /// By how much each number moves.
    pub by: Vec<f64>,
    /// First-order decrease of the loss it promises, at least 0.
    pub decrease: f64,
    /// Relative gradient at the point it starts from.
    pub gradient: f64,
    /// Largest change of a row's log-odds.
    pub reach: f64,
}

impl Problem {
    /// Checks data and options, and applies the weights.
    pub fn new(x: ArrayView2<'_, f64>, y: &[bool], options: &Options<'_>) -> Result<Self, FitError> {
        check_options(options)?;
        input::check_matrix(x, y.len(), x.ncols() + 2)?;
        let weights = row_weights(y, options)?;
        let width = x.ncols() + 1;
        let rows: Vec<f64> = x.rows().into_iter().flat_map(|row| [1.0].into_iter().chain(row.to_vec())).collect();
        let mut reach = vec![0.0; width];
        for (row, w) in rows.chunks_exact(width).zip(&weights) {
            reach.iter_mut().zip(row).for_each(|(sum, x)| *sum += w * x.abs());
        }
        Ok(Self { rows, width, labels: y.to_vec(), weights, l2: options.l2, tolerance: options.tolerance, reach })
    }

    /// How many numbers are to be found: the intercept and a weight a column.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Weight of the penalty.
    pub fn l2(&self) -> f64 {
        self.l2
    }

    /// Log-odds of each row at `beta`.
    pub fn log_odds(&self, beta: &[f64]) -> Vec<f64> {
        self.rows.chunks_exact(self.width).map(|row| dot(row, beta)).collect()
    }

    /// The penalised loss at `beta`, whose log-odds are `z`.
    pub fn loss(&self, beta: &[f64], z: &[f64]) -> f64 {
        let data: f64 = self
            .labels
            .iter()
            .zip(&self.weights)
            .zip(z)
            .map(|((&label, w), &z)| w * softplus(if label { -z } else { z }))
            .sum();
        let penalised = beta.get(1..).unwrap_or_default();
        data + 0.5 * self.l2 * dot(penalised, penalised)
    }

    /// Whether the log-odds `z` tell the classes apart without error. Rows of weight 0 do not matter.
    fn separates(&self, z: &[f64]) -> bool {
        let margins = self.labels.iter().zip(z).map(|(&label, &z)| if label { z } else { -z });
        margins.zip(&self.weights).all(|(margin, &w)| w == 0.0 || margin > 1e-9)
    }

    /// The Newton step at `beta`, whose log-odds are `z`.
    ///
    /// # Errors
    /// [`FitError`] where there is none, which says something about the data.
    pub fn newton_step(&self, beta: &[f64], z: &[f64]) -> Result<Step, FitError> {
        let (gradient, mut hessian) = self.derivatives(beta, z);
        let relative = gradient.iter().zip(&self.reach).filter(|(_, reach)| **reach > 0.0);
        let relative = relative.map(|(g, reach)| g.abs() / reach).fold(0.0, f64::max);
        let mut by = gradient.clone();
        cholesky::solve(&mut hessian, &mut by).map_err(|at| match beta.iter().any(|b| *b != 0.0) {
            _ if !at.pivot.is_finite() => FitError::NonFiniteResult,
            false => FitError::Collinear { column: at.row.saturating_sub(1) },
            // the columns are sound, so the curvature died out because log-odds run away
            true if self.l2 == 0.0 => FitError::Separated,
            true => FitError::NotConverged { gradient: relative, tolerance: self.tolerance },
        })?;
        let decrease = dot(&gradient, &by);
        if !decrease.is_finite() || by.iter().any(|by| !by.is_finite()) {
            return Err(FitError::NonFiniteResult);
        }
        let reach = self.rows.chunks_exact(self.width).map(|row| dot(row, &by).abs()).fold(0.0, f64::max);
        Ok(Step { by, decrease, gradient: relative, reach })
    }

    /// Whether the point that `step` starts from is the minimum.
    pub fn is_minimum(&self, step: &Step) -> bool {
        step.gradient <= self.tolerance && (self.l2 > 0.0 || step.reach <= SETTLED)
    }

    /// The error of a search that ended where `step` starts.
    pub fn not_converged(&self, step: &Step) -> FitError {
        FitError::NotConverged { gradient: step.gradient, tolerance: self.tolerance }
    }

    /// Whether some point tells the classes apart, so that there is no minimum: known for sure from its log-odds `z`.
    pub fn is_unbounded(&self, z: &[f64]) -> bool {
        self.l2 == 0.0 && self.separates(z)
    }

    fn derivatives(&self, beta: &[f64], z: &[f64]) -> (Vec<f64>, Array2<f64>) {
        let penalty = |j: usize| if j == 0 { 0.0 } else { self.l2 };
        let mut gradient: Vec<f64> = beta.iter().enumerate().map(|(j, b)| penalty(j) * b).collect();
        let mut hessian = vec![0.0; self.width * self.width]; // its lower triangle, row by row
        for (((row, &label), w), &z) in self.rows.chunks_exact(self.width).zip(&self.labels).zip(&self.weights).zip(z) {
            let p = sigmoid(z);
            // sigmoid(-z) keeps the digits that 1 - p loses
            let miss = if label { -sigmoid(-z) } else { p };
            let (slope, curve) = (w * miss, w * p * sigmoid(-z));
            gradient.iter_mut().zip(row).for_each(|(g, x)| *g += slope * x);
            for (i, (line, &xi)) in hessian.chunks_exact_mut(self.width).zip(row).enumerate() {
                let scaled = curve * xi;
                line.iter_mut().zip(row).take(i + 1).for_each(|(h, xj)| *h += scaled * xj);
            }
        }
        let width = self.width;
        let mut hessian = Array2::from_shape_fn((width, width), |(i, j)| hessian[i * width + j]);
        hessian.diag_mut().iter_mut().enumerate().for_each(|(j, h)| *h += penalty(j));
        (gradient, hessian)
    }
}

fn check_options(options: &Options<'_>) -> Result<(), FitError> {
    in_range(options.l2 >= 0.0 && options.l2.is_finite(), "l2", options.l2, "finite and at least 0")?;
    let tolerance = options.tolerance;
    in_range(tolerance > 0.0 && tolerance < 1.0, "tolerance", tolerance, "above 0 and below 1")?;
    let iterations = options.max_iterations;
    in_range(iterations > 0, "max_iterations", f64::from(iterations), "at least 1")?;
    let weighted = options.sample_weights.is_some() || options.class_weights != ClassWeights::None;
    if options.solver == Solver::Smartcore && weighted { Err(FitError::WeightsUnsupported) } else { Ok(()) }
}

/// Sample weights times class weights. Balanced: total / (2 x weight of the class), as scikit-learn has it.
fn row_weights(y: &[bool], options: &Options<'_>) -> Result<Vec<f64>, FitError> {
    let mut weights = input::weights(y.len(), options.sample_weights)?;
    let (yes, no) = input::class_totals(y, &weights)?;
    if options.class_weights == ClassWeights::Balanced {
        let half = (yes + no) / 2.0;
        weights.iter_mut().zip(y).for_each(|(w, &label)| *w *= half / if label { yes } else { no });
    }
    Ok(weights)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
