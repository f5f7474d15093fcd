//! Newton's method for a logistic regression (Hastie, Tibshirani and Friedman 2009, section 4.4.1), with the curvature kept as
//! long as it serves: to find it costs a sum over all pairs of columns, a slope one over the columns. Between, each step tells how
//! the slope really changes, and the next ones go by that (L-BFGS, Nocedal and Wright 2006, algorithm 7.4).

use super::problem::{Point, Problem, Solution, dot};
use crate::models::{cholesky::Factor, error::FitError};

/// Share of the promised decrease that a step must bring (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// Halvings of one step before the search is given up.
const MAX_HALVINGS: u32 = 50;
/// What a step must leave of the gradient at most for the curvature to be kept.
const KEPT: f64 = 0.25;
/// Steps that are remembered.
const REMEMBERED: usize = 12;

/// The curvature at one place, and what the steps since have told of it.
struct Curvature {
    factor: Factor,
    /// Whether it is that of the place it was made for: no step was taken since.
    is_exact: bool,
    told: Vec<Correction>,
}

/// A step, by how much the slope changed over it, and the product of the two, which is above 0.
struct Correction {
    step: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

/// Searches the minimum from 0, in at most `max_iterations` steps.
pub(super) fn minimise(problem: &Problem, max_iterations: u32) -> Result<Solution, FitError> {
    let mut at = problem.start();
    let mut curvature = Curvature::roughly(problem, &at)?;
    let (mut iterations, mut flattest) = (0, at.relative);
    loop {
        if problem.is_unbounded(&at) {
            return Err(FitError::Separated);
        }
        if problem.is_flat(&at) {
            // only the curvature here can tell a minimum from a slope that dies out on the way to infinity
            if problem.l2() == 0.0 {
                curvature = Curvature::here(problem, &at)?;
            }
            if problem.is_settled(&curvature.step(&at)?) {
                return Ok(Solution { beta: at.beta, gradient: at.relative, iterations: Some(iterations) });
            }
        }
        if iterations == max_iterations {
            return Err(problem.not_converged(&at));
        }
        let to = match descend(problem, &at, flattest, &curvature.step(&at)?) {
            Some(to) => to,
            None if curvature.is_exact => return Err(problem.not_converged(&at)),
            None => {
                curvature = Curvature::here(problem, &at)?;
                continue;
            }
        };
        if to.relative <= KEPT * at.relative || problem.is_flat(&to) {
            curvature.hear(&at, &to);
        } else {
            curvature = Curvature::here(problem, &to)?;
        }
        flattest = flattest.min(to.relative);
        at = to;
        iterations += 1;
    }
}

/// Takes the step, or the largest of its halves that is good: one that flattens the slope well below the flattest so far, which
/// can only be so often before the end, or one that lowers the loss enough.
fn descend(problem: &Problem, from: &Point, flattest: f64, step: &[f64]) -> Option<Point> {
    let falls = dot(&from.gradient, step);
    let mut loss = None;
    (0..MAX_HALVINGS).map(|halvings| 0.5_f64.powi(halvings as i32)).find_map(|share| {
        let to = problem.at(from.beta.iter().zip(step).map(|(b, by)| b - share * by).collect());
        if to.relative <= KEPT * flattest {
            return Some(to);
        }
        let before = *loss.get_or_insert_with(|| problem.loss(from));
        // near the minimum the promised decrease drowns in the rounding of the loss
        let rounding = before.abs() * 1e-13;
        (problem.loss(&to) <= before - SUFFICIENT * share * falls + rounding).then_some(to)
    })
}

impl Curvature {
    fn here(problem: &Problem, at: &Point) -> Result<Self, FitError> {
        Ok(Self { factor: problem.curvature(at)?, is_exact: true, told: Vec::new() })
    }

    /// About the same where there are many rows, else the same.
    fn roughly(problem: &Problem, at: &Point) -> Result<Self, FitError> {
        match problem.rough_curvature(at) {
            Some(factor) => Ok(Self { factor, is_exact: false, told: Vec::new() }),
            None => Self::here(problem, at),
        }
    }

    /// Remembers a step. One over which the slope did not grow, as rounding may have it, tells nothing.
    fn hear(&mut self, from: &Point, to: &Point) {
        self.is_exact = false;
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (step, change) = (difference(&to.beta, &from.beta), difference(&to.gradient, &from.gradient));
        let product = dot(&step, &change);
        if product > 0.0 {
            if self.told.len() == REMEMBERED {
                self.told.remove(0);
            }
            self.told.push(Correction { step, change, product });
        }
    }

    /// What is to be subtracted from a place.
    fn step(&self, at: &Point) -> Result<Vec<f64>, FitError> {
        let add =
            |to: &mut [f64], times: f64, what: &[f64]| to.iter_mut().zip(what).for_each(|(to, x)| *to += times * x);
        let mut step = at.gradient.clone();
        let mut shares = Vec::with_capacity(self.told.len());
        for told in self.told.iter().rev() {
            let share = dot(&told.step, &step) / told.product;
            add(&mut step, -share, &told.change);
            shares.push(share);
        }
        self.factor.solve(&mut step);
        for (told, share) in self.told.iter().zip(shares.iter().rev()) {
            let back = dot(&told.change, &step) / told.product;
            add(&mut step, share - back, &told.step);
        }
        let falls = dot(&at.gradient, &step);
        if falls.is_finite() && step.iter().all(|by| by.is_finite()) {
            Ok(step)
        } else {
            Err(FitError::NonFiniteResult)
        }
    }
}
