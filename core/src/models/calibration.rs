//! From a score to a probability that can be taken at its word, fitted on trades that the model has not learnt from.

use serde::{Deserialize, Serialize};

use super::{
    error::FitError,
    input,
    logistic::{Logistic, LogisticOptions, fit_logistic},
};
use crate::stats::logit::{clipped_logit, sigmoid};

/// A fitted calibration, applied after a model. This is also what is stored of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case", deny_unknown_fields)]
pub enum Calibration {
    /// sigmoid(offset + slope logit(score)), the logit as [`clipped_logit`] has it (Platt 1999, on log-odds).
    Platt {
        /// 1 where the scores are neither too bold nor too timid. A fit gives at least 0: a calibration never turns the
        /// order of the scores around. At 0 every score means the base rate.
        slope: f64,
        /// 0 where they are neither too high nor too low.
        offset: f64,
    },
    /// Straight lines between these points, level beyond the first and the last. A fit gives no probability of exactly 0
    /// or 1: what always came true n times is (n + 1) / (n + 2) (Laplace's rule of succession), and no less than the
    /// point before it.
    Isotonic {
        /// Scores, rising.
        scores: Vec<f64>,
        /// Probability at each, never falling.
        probabilities: Vec<f64>,
    },
}

/// How a calibration is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Two numbers; for few rows.
    Platt,
    /// Any rising curve, by pooling neighbours that are out of order (Ayer et al. 1955); for many rows.
    Isotonic,
}

/// Rows from which an isotonic curve is sure enough.
const MANY_ROWS: usize = 1_000;

/// Scores that stand together and their share of yes.
struct Pool {
    from: f64,
    to: f64,
    weight: f64,
    yes: f64,
}

impl Method {
    /// The method for so many rows: isotonic from 1,000.
    pub fn for_rows(rows: usize) -> Self {
        if rows < MANY_ROWS { Self::Platt } else { Self::Isotonic }
    }
}

impl Calibration {
    /// Fits a calibration to n scores from 0 to 1, their n labels, and weights (1 each where `None`).
    ///
    /// Platt's targets are smoothed as in his paper: (n_yes + 1) / (n_yes + 2) for yes and 1 / (n_no + 2) for no. Where the
    /// best slope is below 0, or there is none because the scores are all the same, the slope is 0 and the base rate of
    /// these targets is what every score means: of all slopes of at least 0 that is the best.
    ///
    /// # Errors
    /// [`FitError`] for scores that are no probabilities, a single class, and weights that cannot be used.
    pub fn fit(method: Method, scores: &[f64], labels: &[bool], weights: Option<&[f64]>) -> Result<Self, FitError> {
        let (rows, labelled) = (scores.len(), labels.len());
        if rows != labelled {
            return Err(FitError::LabelCount { rows, labels: labelled });
        }
        if rows == 0 {
            return Err(FitError::Empty { rows, columns: 1 });
        }
        // written so that NaN is refused
        if let Some((row, &value)) = scores.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
            return Err(FitError::Score { row, value });
        }
        let weights = input::weights(rows, weights)?;
        let (yes, no) = input::class_totals(labels, &weights)?;
        match method {
            Method::Platt => platt(scores, labels, &weights, (yes + 1.0) / (yes + 2.0), 1.0 / (no + 2.0)),
            Method::Isotonic => Ok(isotonic(scores, labels, &weights)),
        }
    }

    /// The probability behind a score from 0 to 1. `None` for a calibration that its check would refuse. Does not
    /// allocate.
    pub fn apply(&self, score: f64) -> Option<f64> {
        match self {
            Self::Platt { slope, offset } => Some(sigmoid(offset + slope * clipped_logit(score))),
            Self::Isotonic { scores, probabilities } => {
                let above = scores.partition_point(|s| *s <= score);
                let Some(below) = above.checked_sub(1) else { return probabilities.first().copied() };
                let (x0, y0) = (scores.get(below)?, probabilities.get(below)?);
                let Some((x1, y1)) = scores.get(above).zip(probabilities.get(above)) else { return Some(*y0) };
                // rounding must not carry it past its neighbours
                Some((y0 + (y1 - y0) * ((score - x0) / (x1 - x0))).min(*y1))
            }
        }
    }

    /// What is wrong with a calibration that anybody could have written.
    pub(super) fn fault(&self) -> Option<String> {
        let (scores, probabilities) = match self {
            Self::Platt { slope, offset } => {
                let finite = slope.is_finite() && offset.is_finite();
                return (!finite).then(|| format!("slope {slope} and offset {offset} must be finite"));
            }
            Self::Isotonic { scores, probabilities } => (scores, probabilities),
        };
        let in_range = |p: &f64| (0.0..=1.0).contains(p);
        if scores.is_empty() || scores.len() != probabilities.len() {
            return Some(format!("{} scores and {} probabilities", scores.len(), probabilities.len()));
        }
        if !scores.iter().chain(probabilities).all(in_range) {
            return Some("a number is not from 0 to 1".to_owned());
        }
        let rising = scores.is_sorted_by(|a, b| a < b) && probabilities.is_sorted();
        (!rising).then(|| "its points do not rise".to_owned())
    }
}

/// A row of target t is a yes of weight t and a no of weight 1 - t.
fn platt(scores: &[f64], labels: &[bool], weights: &[f64], yes: f64, no: f64) -> Result<Calibration, FitError> {
    let (mut x, mut y, mut w) = (Vec::new(), Vec::new(), Vec::new());
    for ((score, &label), weight) in scores.iter().zip(labels).zip(weights) {
        let target = if label { yes } else { no };
        x.extend([clipped_logit(*score); 2]);
        y.extend([true, false]);
        w.extend([weight * target, weight * (1.0 - target)]);
    }
    let (total, came_true): (f64, f64) = (w.iter().sum(), w.iter().step_by(2).sum());
    let rows = x.len();
    let x = ndarray::Array2::from_shape_vec((rows, 1), x).map_err(|_| FitError::Empty { rows, columns: 1 })?;
    let options = LogisticOptions { l2: 0.0, sample_weights: Some(&w), tolerance: 1e-12, ..LogisticOptions::default() };
    let slope = |fit: &Logistic| fit.weights.first().copied().filter(|slope| *slope > 0.0);
    match fit_logistic(x.view(), &y, &options) {
        Ok(fit) => Ok(match slope(&fit) {
            Some(slope) => Calibration::Platt { slope, offset: fit.intercept },
            None => base_rate(came_true / total),
        }),
        // scores that are all but the same have no slope of their own
        Err(FitError::Collinear { .. } | FitError::NotConverged { .. } | FitError::NonFiniteResult) => {
            Ok(base_rate(came_true / total))
        }
        Err(error) => Err(error),
    }
}

/// Every score means `share`, above 0 and below 1 since the targets are.
fn base_rate(share: f64) -> Calibration {
    Calibration::Platt { slope: 0.0, offset: clipped_logit(share) }
}

fn isotonic(scores: &[f64], labels: &[bool], weights: &[f64]) -> Calibration {
    let mut rows: Vec<(f64, bool, f64)> =
        scores.iter().zip(labels).zip(weights).filter(|(_, w)| **w > 0.0).map(|((s, l), w)| (*s, *l, *w)).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut pools: Vec<Pool> = Vec::new();
    for ties in rows.chunk_by(|a, b| a.0 == b.0) {
        let at = ties.first().map_or(0.0, |row| row.0);
        let weight = ties.iter().map(|row| row.2).sum();
        let yes = ties.iter().filter(|row| row.1).map(|row| row.2).sum();
        let mut pool = Pool { from: at, to: at, weight, yes };
        while let Some(before) = pools.pop_if(|before| before.yes * pool.weight >= pool.yes * before.weight) {
            pool = Pool {
                from: before.from,
                to: pool.to,
                weight: before.weight + pool.weight,
                yes: before.yes + pool.yes,
            };
        }
        pools.push(pool);
    }
    let ends = ends(&pools);
    let (mut at, mut probabilities) = (Vec::new(), Vec::new());
    for pool in &pools {
        let share = pool.share().max(ends.0).min(ends.1);
        at.push(pool.from);
        probabilities.push(share);
        if pool.to > pool.from {
            at.push(pool.to);
            probabilities.push(share);
        }
    }
    Calibration::Isotonic { scores: at, probabilities }
}

/// The least and the most that a probability may be. Only the first pool can be all no and only the last all yes; both
/// stay on their side of their neighbours.
fn ends(pools: &[Pool]) -> (f64, f64) {
    let share = |pool: Option<&Pool>, missing: f64| pool.map_or(missing, Pool::share);
    let least = match pools {
        [first, rest @ ..] if first.yes <= 0.0 => (1.0 / (first.weight + 2.0)).min(share(rest.first(), 1.0)),
        _ => 0.0,
    };
    let most = match pools {
        [rest @ .., last] if last.yes >= last.weight => {
            ((last.weight + 1.0) / (last.weight + 2.0)).max(share(rest.last(), 0.0))
        }
        _ => 1.0,
    };
    (least, most)
}

impl Pool {
    fn share(&self) -> f64 {
        (self.yes / self.weight).min(1.0)
    }
}
