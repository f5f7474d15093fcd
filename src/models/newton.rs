//! Newton's method for a logistic regression: each step solves the k + 1 weighted least-squares equations of the
//! quadratic approximation (Hastie, Tibshirani and Friedman 2009, section 4.4.1).

use super::{
    error::FitError,
    problem::{Problem, Solution, Step},
};

/// Share of the promised decrease that a step must bring (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// Halvings of one step before the search is given up.
const MAX_HALVINGS: u32 = 50;

struct Point {
    beta: Vec<f64>,
    log_odds: Vec<f64>,
    loss: f64,
}

/// Searches the minimum from 0, in at most `max_iterations` steps.
pub(super) fn minimise(problem: &Problem, max_iterations: u32) -> Result<Solution, FitError> {
    let mut point = Point::new(problem, vec![0.0; problem.width()]);
    let mut iterations = 0;
    loop {
        if problem.is_unbounded(&point.log_odds) {
            return Err(FitError::Separated);
        }
        let step = problem.newton_step(&point.beta, &point.log_odds)?;
        if problem.is_minimum(&step) {
            return Ok(Solution { beta: point.beta, gradient: step.gradient, iterations: Some(iterations) });
        }
        if iterations == max_iterations {
            return Err(problem.not_converged(&step));
        }
        point = descend(problem, &point, &step).ok_or_else(|| problem.not_converged(&step))?;
        iterations += 1;
    }
}

/// Takes the step, or the largest of its halves that lowers the loss enough.
fn descend(problem: &Problem, from: &Point, step: &Step) -> Option<Point> {
    // near the minimum the promised decrease drowns in the rounding of the loss
    let rounding = from.loss.abs() * 1e-13;
    (0..MAX_HALVINGS).map(|halvings| 0.5_f64.powi(halvings as i32)).find_map(|share| {
        let beta = from.beta.iter().zip(&step.by).map(|(b, by)| b - share * by).collect();
        let to = Point::new(problem, beta);
        (to.loss <= from.loss - SUFFICIENT * share * step.decrease + rounding).then_some(to)
    })
}

impl Point {
    fn new(problem: &Problem, beta: Vec<f64>) -> Self {
        let log_odds = problem.log_odds(&beta);
        let loss = problem.loss(&beta, &log_odds);
        Self { beta, log_odds, loss }
    }
}
