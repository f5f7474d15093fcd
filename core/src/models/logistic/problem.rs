//! The function that a logistic regression minimises: its data, checked once, its value and its derivatives.

use ndarray::{Array2, ArrayView2};

use super::{ClassWeights, LogisticOptions, Solver};
use crate::{
    models::{
        blocks::{Blocks, ROWS, Strip, ZEROS},
        cholesky::Factor,
        error::FitError,
        input::{self, in_range},
    },
    stats::logit::{exp_of_negative, ln_1p_of_share},
};

/// Blocks of rows that tell the curvature well enough for the way: some 16,000 rows, and it to about a hundredth.
const ROUGH_BLOCKS: usize = 256;
/// Largest change of a row's log-odds that a last Newton step may still ask for. Where the best weights are infinite
/// the gradient vanishes on the way there while every step still asks for about 1.
const SETTLED: f64 = 1e-3;

/// Labels, weights and the matrix with a column of ones in front. Rows beyond the last have weight 0.
pub(super) struct Problem {
    rows: Blocks,
    /// Weights of the rows, those of losses negative.
    signed: Vec<Strip>,
    /// Slope of the loss where all weights are 0.
    slope_at_zero: Vec<f64>,
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

/// A place, and what the loss is like there.
pub(super) struct Point {
    /// Intercept, then weights.
    pub beta: Vec<f64>,
    /// Slope of the loss.
    pub gradient: Vec<f64>,
    /// The largest of its components, each relative to the largest that the data could make it.
    pub relative: f64,
}

impl Problem {
    /// Checks data and options, and applies the weights.
    pub fn new(x: ArrayView2<'_, f64>, y: &[bool], options: &LogisticOptions<'_>) -> Result<Self, FitError> {
        check_options(options)?;
        input::check_shape(x, y.len(), x.ncols() + 2)?;
        let signed = signed(row_weights(y, options)?.as_deref(), y);
        let (rows, reach, slope_at_zero) = Blocks::new(
            x,
            #[inline(always)]
            |block| signed.get(block).map_or(ZEROS, |signed| signed.map(f64::abs)),
            #[inline(always)]
            |block| signed.get(block).map_or(ZEROS, |signed| signed.map(|w| -0.5 * w)),
        );
        // a cell that is not finite makes the size of its column so
        if reach.iter().any(|size| !size.is_finite()) {
            input::check_cells(x)?;
        }
        Ok(Self { rows, signed, slope_at_zero, l2: options.l2, tolerance: options.tolerance, reach })
    }

    /// How many numbers are to be found: the intercept and a weight a column.
    pub fn width(&self) -> usize {
        self.rows.width()
    }

    /// Weight of the penalty.
    pub fn l2(&self) -> f64 {
        self.l2
    }

    /// The place where all weights are 0, which costs nothing.
    pub fn start(&self) -> Point {
        self.point(vec![0.0; self.width()], self.slope_at_zero.clone())
    }

    /// The place `beta`.
    pub fn at(&self, beta: Vec<f64>) -> Point {
        let gradient = self.rows.there_and_back(
            &beta,
            #[inline(always)]
            |block, z| self.signed.get(block).map_or(ZEROS, |signed| slopes(signed, z)),
        );
        self.point(beta, gradient)
    }

    /// The place `beta` by the slope of the data alone.
    fn point(&self, beta: Vec<f64>, mut gradient: Vec<f64>) -> Point {
        gradient.iter_mut().zip(&beta).skip(1).for_each(|(g, b)| *g += self.l2 * b);
        let relative = gradient.iter().zip(&self.reach).filter(|(_, reach)| **reach > 0.0);
        let relative = relative.map(|(g, reach)| g.abs() / reach);
        // NaN stays
        let relative = relative.fold(0.0, |a: f64, b| if a.is_nan() || b <= a { a } else { b });
        Point { beta, gradient, relative }
    }

    /// The penalised loss at a place.
    pub fn loss(&self, at: &Point) -> f64 {
        let data = self.rows.sum(
            &at.beta,
            #[inline(always)]
            |block, z| self.signed.get(block).map_or(ZEROS, |signed| losses(signed, z)),
        );
        let penalised = at.beta.get(1..).unwrap_or_default();
        data + 0.5 * self.l2 * dot(penalised, penalised)
    }

    /// The curvature at a place, ready for solving.
    ///
    /// # Errors
    /// [`FitError`] where there is none, which says something about the data.
    pub fn curvature(&self, at: &Point) -> Result<Factor, FitError> {
        self.curvature_of_every(1, at)
    }

    /// About the same, from as many rows as suffice for the way towards a minimum. `None` where those tell too little, and
    /// where there are not more of them.
    pub fn rough_curvature(&self, at: &Point) -> Option<Factor> {
        let nth = self.rows.count() / ROUGH_BLOCKS;
        (nth > 1).then(|| self.curvature_of_every(nth, at).ok())?
    }

    fn curvature_of_every(&self, nth: usize, at: &Point) -> Result<Factor, FitError> {
        let mut triangle = self.rows.gram(
            nth,
            &at.beta,
            #[inline(always)]
            |block, z| self.signed.get(block).map_or(ZEROS, |signed| curves(signed, z)),
        );
        let share = self.rows.count() as f64 / self.rows.count().div_ceil(nth) as f64;
        triangle.iter_mut().for_each(|sum| *sum *= share);
        let mut rest = triangle.as_slice();
        let mut hessian = Array2::zeros((self.width(), self.width()));
        for (i, mut line) in hessian.rows_mut().into_iter().enumerate() {
            let (own, below) = rest.split_at((i + 1).min(rest.len()));
            line.iter_mut().zip(own).for_each(|(to, from)| *to = *from);
            rest = below;
        }
        hessian.diag_mut().iter_mut().skip(1).for_each(|own| *own += self.l2);
        Factor::new(hessian).map_err(|fault| match at.beta.iter().any(|b| *b != 0.0) {
            _ if !fault.pivot.is_finite() => FitError::NonFiniteResult,
            false => FitError::Collinear { column: fault.row.saturating_sub(1) },
            // the columns are sound, so the curvature died out because log-odds run away
            true if self.l2 == 0.0 => FitError::Separated,
            true => self.not_converged(at),
        })
    }

    /// Whether the gradient is small enough for a minimum.
    pub fn is_flat(&self, at: &Point) -> bool {
        at.relative <= self.tolerance
    }

    /// Whether a step that the curvature where it starts asks for is short enough for that to be the minimum.
    pub fn is_settled(&self, step: &[f64]) -> bool {
        let moved = || self.rows.times(step).into_iter().flatten().map(f64::abs).fold(0.0, f64::max);
        self.l2 > 0.0 || moved() <= SETTLED
    }

    /// The error of a search that ended at a place.
    pub fn not_converged(&self, at: &Point) -> FitError {
        FitError::NotConverged { gradient: at.relative, tolerance: self.tolerance }
    }

    /// Whether the place tells the classes apart without error, so that there is no minimum. Rows of weight 0 do not matter.
    pub fn is_unbounded(&self, at: &Point) -> bool {
        let apart = || {
            let log_odds = self.rows.times(&at.beta);
            let mut rows = self.signed.iter().flatten().zip(log_odds.iter().flatten());
            rows.all(|(w, z)| *w == 0.0 || w.signum() * z > 1e-9)
        };
        self.l2 == 0.0 && apart()
    }
}

/// By each row's log-odds the slope of its loss, -w sigmoid(-z) for a win and w sigmoid(z) for a loss, without the digits that
/// 1 - p loses.
#[inline(always)]
fn slopes(signed: &Strip, z: &Strip) -> Strip {
    let mut slopes = ZEROS;
    for ((slope, w), z) in slopes.iter_mut().zip(signed).zip(z) {
        let right = (*w < 0.0) != (*z >= 0.0);
        let e = exp_of_negative(-z.abs());
        *slope = -w * if right { e } else { 1.0 } / (1.0 + e);
    }
    slopes
}

/// By each row's log-odds its loss, w ln(1 + exp(-z)) for a win and w ln(1 + exp(z)) for a loss.
#[inline(always)]
fn losses(signed: &Strip, z: &Strip) -> Strip {
    let mut losses = ZEROS;
    for ((loss, w), z) in losses.iter_mut().zip(signed).zip(z) {
        let against = if *w < 0.0 { *z } else { -z };
        *loss = w.abs() * (against.max(0.0) + ln_1p_of_share(exp_of_negative(-z.abs())));
    }
    losses
}

/// By each row's log-odds the curvature of its loss, w p (1 - p).
#[inline(always)]
fn curves(signed: &Strip, z: &Strip) -> Strip {
    let mut curves = ZEROS;
    for ((curve, w), z) in curves.iter_mut().zip(signed).zip(z) {
        let e = exp_of_negative(-z.abs());
        *curve = w.abs() * e / ((1.0 + e) * (1.0 + e));
    }
    curves
}

/// The weights by blocks, those of losses negative, filled up with zeros.
fn signed(weights: Option<&[f64]>, y: &[bool]) -> Vec<Strip> {
    let sign = |label: &bool| 2.0 * f64::from(u8::from(*label)) - 1.0;
    let mut strips = vec![ZEROS; y.len().div_ceil(ROWS)];
    for (strip, y) in strips.iter_mut().zip(y.chunks(ROWS)) {
        strip.iter_mut().zip(y).for_each(|(cell, label)| *cell = sign(label));
    }
    strips.iter_mut().flatten().zip(weights.unwrap_or_default()).for_each(|(cell, w)| *cell *= w);
    strips
}

fn check_options(options: &LogisticOptions<'_>) -> Result<(), FitError> {
    in_range(options.l2 >= 0.0 && options.l2.is_finite(), "l2", options.l2, "finite and at least 0")?;
    let tolerance = options.tolerance;
    in_range(tolerance > 0.0 && tolerance < 1.0, "tolerance", tolerance, "above 0 and below 1")?;
    let iterations = options.max_iterations;
    in_range(iterations > 0, "max_iterations", f64::from(iterations), "at least 1")?;
    let weighted = options.sample_weights.is_some() || options.class_weights != ClassWeights::None;
    if options.solver == Solver::Smartcore && weighted { Err(FitError::WeightsUnsupported) } else { Ok(()) }
}

/// Sample weights times class weights, `None` where all are 1. Balanced: total / (2 x weight of the class), as scikit-learn has
/// it.
fn row_weights(y: &[bool], options: &LogisticOptions<'_>) -> Result<Option<Vec<f64>>, FitError> {
    let balanced = options.class_weights == ClassWeights::Balanced;
    if options.sample_weights.is_none() && !balanced {
        let [yes, no] = [true, false].map(|label| y.contains(&label));
        return if yes && no { Ok(None) } else { Err(FitError::SingleClass { label: yes }) };
    }
    let mut weights = input::weights(y.len(), options.sample_weights)?;
    let (yes, no) = input::class_totals(y, &weights)?;
    if balanced {
        let half = (yes + no) / 2.0;
        weights.iter_mut().zip(y).for_each(|(w, &label)| *w *= half / if label { yes } else { no });
    }
    Ok(Some(weights))
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_the_place_where_all_weights_are_0_to_the_bit() {
        let x = Array2::from_shape_fn((201, 3), |(i, j)| ((i * 31 + j * 17 + 5) % 43) as f64 / 9.0 - 2.0);
        let y: Vec<bool> = (0..201).map(|i| i % 3 == 0).collect();
        let weights: Vec<f64> = (0..201).map(|i| f64::from(i % 5)).collect();
        let options = LogisticOptions {
            sample_weights: Some(&weights),
            class_weights: ClassWeights::Balanced,
            ..LogisticOptions::default()
        };
        let problem = Problem::new(x.view(), &y, &options).unwrap();
        let (start, zero) = (problem.start(), problem.at(vec![0.0; 4]));
        assert_eq!((start.gradient, start.relative), (zero.gradient, zero.relative));
    }
}
