//! Newton's method for a logistic regression (Hastie, Tibshirani and Friedman 2009, section 4.4.1), with the curvature kept as
//! long as it serves: to find it costs a sum over all pairs of columns, a slope one over the columns. Between, each step tells how
//! the slope really changes, and the next ones go by that (L-BFGS, Nocedal and Wright 2006, algorithm 7.4).

use super::{
    cholesky::Factor,
    error::FitError,
    problem::{Point, Problem, Solution, dot},
};

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
    told: Vec<Told>,
}

/// A step, by how much the slope changed over it, and the product of the two, which is above 0.
struct Told {
    step: Vec<f64>,
    change: Vec<f64>,
    product: f64,
}

/// Searches the minimum from 0, in at most `max_iterations` steps.
pub(super) fn minimise(problem: &Problem, max_iterations: u32) -> Result<Solution, FitError> {
    let mut at = problem.at(vec![0.0; problem.width()]);
    let most = problem.curvature(&at)?;
    let mut curvature = Curvature { factor: most.clone(), told: Vec::new() };
    let mut iterations = 0;
    loop {
        if problem.is_unbounded(&at) {
            return Err(FitError::Separated);
        }
        if problem.is_flat(&at) {
            // only the curvature here can tell a minimum from a slope that dies out on the way to infinity
            if problem.l2() == 0.0 {
                curvature.renew(problem, &at)?;
            }
            if problem.is_settled(&curvature.step(&at)?) {
                return Ok(Solution { beta: at.beta, gradient: at.relative, iterations: Some(iterations) });
            }
        }
        if iterations == max_iterations {
            return Err(problem.not_converged(&at));
        }
        let to = match descend(problem, &most, &at, &curvature.step(&at)?) {
            Some(to) => to,
            None if curvature.told.is_empty() => return Err(problem.not_converged(&at)),
            None => {
                curvature.renew(problem, &at)?;
                continue;
            }
        };
        if to.relative <= KEPT * at.relative || problem.is_flat(&to) {
            curvature.hear(&at, &to);
        } else {
            curvature.renew(problem, &to)?;
        }
        at = to;
        iterations += 1;
    }
}

/// Takes the step, or the largest of its halves that lowers the loss enough. `most` is the curvature at 0, where it is largest.
fn descend(problem: &Problem, most: &Factor, from: &Point, step: &[f64]) -> Option<Point> {
    let falls = dot(&from.gradient, step);
    let bends = most.form(step);
    let mut loss = None;
    (0..MAX_HALVINGS).map(|halvings| 0.5_f64.powi(halvings as i32)).find_map(|share| {
        let to = problem.at(from.beta.iter().zip(step).map(|(b, by)| b - share * by).collect());
        let rises = -dot(&to.gradient, step);
        let wanted = SUFFICIENT * share * falls;
        // The slope along the step grows from -falls to rises, nowhere faster than bends: so the loss falls by this at least.
        let sure = (rises + falls).powi(2) / (2.0 * bends) - share * rises;
        if rises <= 0.0 || sure >= wanted {
            return Some(to);
        }
        let before = *loss.get_or_insert_with(|| problem.loss(from));
        // near the minimum the promised decrease drowns in the rounding of the loss
        (problem.loss(&to) <= before - wanted + before.abs() * 1e-13).then_some(to)
    })
}

impl Curvature {
    fn renew(&mut self, problem: &Problem, at: &Point) -> Result<(), FitError> {
        self.factor = problem.curvature(at)?;
        self.told.clear();
        Ok(())
    }

    /// Remembers a step. One over which the slope did not grow, as rounding may have it, tells nothing.
    fn hear(&mut self, from: &Point, to: &Point) {
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (step, change) = (difference(&to.beta, &from.beta), difference(&to.gradient, &from.gradient));
        let product = dot(&step, &change);
        if product > 0.0 {
            if self.told.len() == REMEMBERED {
                self.told.remove(0);
            }
            self.told.push(Told { step, change, product });
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
