//! Logistic regression: the options, the checks before and after a fit, and what a fit gives.

mod lbfgs;
mod newton;
mod problem;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use self::problem::Problem;
use super::error::FitError;

/// A fitted logistic regression: P(yes) = sigmoid(intercept + weights . x). This is also what is stored of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logistic {
    /// One weight a column.
    pub weights: Vec<f64>,
    /// Log-odds where all columns are 0.
    pub intercept: f64,
    /// Penalty it was fitted with, see [`LogisticOptions::l2`].
    pub l2: f64,
    /// How the classes were weighted.
    pub class_weights: ClassWeights,
    /// What fitted it.
    pub solver: Solver,
    /// Steps taken; smartcore does not tell.
    pub iterations: Option<u32>,
    /// Relative gradient at the solution, at most the tolerance, see [`LogisticOptions::tolerance`].
    pub gradient: f64,
}

/// How a logistic regression is fitted: by minimising
/// sum_i w_i log_loss_i + l2/2 |weights|^2, with the intercept unpenalised. With unit weights this is scikit-learn's
/// `LogisticRegression(C = 1/l2)` and smartcore's with `alpha = l2`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LogisticOptions<'a> {
    /// Weight of the penalty on the summed loss, at least 0. With 0, data that the columns tell apart have no solution.
    pub l2: f64,
    /// Whether the rarer class counts more.
    pub class_weights: ClassWeights,
    /// Weight of each row, at least 0; `None` is 1 each. A whole number counts as that many copies of the row.
    pub sample_weights: Option<&'a [f64]>,
    /// Most steps of the Newton solver; smartcore has its own limit of 1,000.
    pub max_iterations: u32,
    /// Largest component of the gradient a solution may have, each relative to sum_i w_i |x_ij|, the largest the data
    /// could make it: free of the scale of columns and of the number of rows. Above 0, below 1. Each Newton step about
    /// squares it, so 1e-13 costs a step or two more; smartcore stops where its loss no longer falls, which may be as
    /// early as at 1e-7.
    pub tolerance: f64,
    /// What does the work.
    pub solver: Solver,
}

/// Weighting of the classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// Every row counts as its sample weight says.
    None,
    /// Rows are scaled so that both classes weigh the same and the total stays what it was.
    Balanced,
}

/// What fits a logistic regression. Both minimise the same function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// Newton's method (iteratively reweighted least squares): ours, takes weights, accurate to rounding.
    Newton,
    /// The L-BFGS of smartcore: knows no weights.
    Smartcore,
}

impl Default for LogisticOptions<'_> {
    /// l2 = 1 as in scikit-learn, no weights, 100 Newton steps, tolerance 1e-6.
    fn default() -> Self {
        Self {
            l2: 1.0,
            class_weights: ClassWeights::None,
            sample_weights: None,
            max_iterations: 100,
            tolerance: 1e-6,
            solver: Solver::Newton,
        }
    }
}

/// Fits a logistic regression to `x` (n rows x k columns) and its n labels, `true` for yes.
///
/// The same input gives the same model. Newton starts at 0 and halves a step that does not lower the loss.
///
/// # Errors
/// [`FitError`] for input that cannot be fitted, and for a result that is not the minimum: a model that comes back has
/// finite numbers and a gradient within the tolerance.
pub fn fit_logistic(x: ArrayView2<'_, f64>, y: &[bool], options: &LogisticOptions<'_>) -> Result<Logistic, FitError> {
    let problem = Problem::new(x, y, options)?;
    let solution = match options.solver {
        Solver::Newton => newton::minimise(&problem, options.max_iterations)?,
        Solver::Smartcore => lbfgs::minimise(x, y, &problem)?,
    };
    let Some((&intercept, weights)) = solution.beta.split_first() else {
        return Err(FitError::Empty { rows: y.len(), columns: 0 });
    };
    Ok(Logistic {
        weights: weights.to_vec(),
        intercept,
        l2: options.l2,
        class_weights: options.class_weights,
        solver: options.solver,
        iterations: solution.iterations,
        gradient: solution.gradient,
    })
}
