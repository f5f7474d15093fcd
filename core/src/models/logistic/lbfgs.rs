//! smartcore's logistic regression, with the checks that it does not make itself.
//!
//! Its objective is ours: 0.5 alpha |w|^2 on the summed loss, the intercept unpenalised. It reports no convergence, its
//! loss has a step of 3e-7 where log-odds pass 15, and it answers cells that are not finite with weights of 0: so the
//! data are checked before, and the gradient at what it found is measured here.

use ndarray::{Array2, ArrayView2};
use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

use super::problem::{Problem, Solution};
use crate::{models::error::FitError, panics::caught};

/// Lets smartcore search the minimum, and checks that it is one.
pub(super) fn minimise(x: ArrayView2<'_, f64>, y: &[bool], problem: &Problem) -> Result<Solution, FitError> {
    // the curvature at 0 says whether the columns are sound, and is otherwise not used
    problem.curvature(&problem.at(vec![0.0; problem.width()]))?;

    let labels: Vec<u32> = y.iter().map(|&label| u32::from(label)).collect();
    let parameters = LogisticRegressionParameters::default().with_alpha(problem.l2());
    let x = x.to_owned();
    // its line search panics when it gets nowhere, which columns of 1e100 bring about
    let model = caught(|| LogisticRegression::<f64, u32, Array2<f64>, Vec<u32>>::fit(&x, &labels, parameters))
        .map_err(|_| FitError::Library { message: "it panicked; scale the columns".to_owned() })?
        .map_err(|error| FitError::Library { message: error.to_string() })?;
    let beta: Vec<f64> = model.intercept().iter().chain(model.coefficients().iter()).copied().collect();
    if beta.len() != problem.width() || beta.iter().any(|b| !b.is_finite()) {
        return Err(FitError::NonFiniteResult);
    }
    let at = problem.at(beta);
    if problem.is_unbounded(&at) {
        return Err(FitError::Separated);
    }
    let mut step = at.gradient.clone();
    problem.curvature(&at)?.solve(&mut step);
    if !(problem.is_flat(&at) && problem.is_settled(&step)) {
        return Err(problem.not_converged(&at));
    }
    Ok(Solution { beta: at.beta, gradient: at.relative, iterations: None })
}
