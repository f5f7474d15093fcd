//! What is validated: a way to make a model from trades, whatever kind of model that is.
//!
//! A [`Fitter`] does everything that learns: imputation, scaling and the fit itself see the rows they are given and no
//! others, so nothing of what a model is judged on can leak in through a mean or a quantile.

use ndarray::Array2;

use super::example::Examples;
use crate::{
    features::{
        DesignOptions,
        design::{DesignMatrix, InvalidRow},
        fit,
    },
    models::{ModelRecord, Options as FitOptions, Solver, fit_logistic},
};

/// Makes a model from a training set. The same set must give the same model.
pub type Fitter<'a> = dyn Fn(&TrainingSet<'_>) -> Result<Fitted, NoFit> + 'a;

/// Scores rows of inputs, one score each: a probability where the goal is a class, a share of 0 to 1 or the figure
/// itself where it is not.
pub type Score = dyn Fn(&[&[Option<f64>]]) -> Result<Vec<f64>, NoFit>;

/// What to learn from.
#[derive(Debug, Clone, Copy)]
pub struct TrainingSet<'a> {
    /// Where the rows are.
    pub examples: &'a Examples,
    /// Row numbers, ascending; a bootstrap repeats some.
    pub rows: &'a [usize],
    /// What is to be foretold, one a row number: not the examples' own where labels are shuffled on purpose. Repeated
    /// rows have the same.
    pub truth: &'a [f64],
    /// How strongly to hold the model back; more is simpler. For a regression the weight of its penalty.
    pub strength: f64,
}

/// A model that scores.
pub struct Fitted {
    /// Its scores.
    pub score: Box<Score>,
    /// Per column by name how much it says, on one scale, signed: above 0 where higher values speak for a higher
    /// score. A model that knows no sign (a forest) gives importances of at least 0. Empty if it cannot tell; its
    /// stability cannot be shown then.
    pub effects: Vec<(Box<str>, f64)>,
}

/// Why there is no model, or no score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoFit(pub String);

/// What a row is scored of which no input is known; the service answers so too.
const NEUTRAL: f64 = 0.5;

impl<'a> TrainingSet<'a> {
    /// Inputs of its rows, with the repeats.
    pub fn values(&self) -> Vec<&'a [Option<f64>]> {
        self.examples.values(self.rows)
    }

    /// Each row once: its number, its truth and how often it occurs.
    pub fn distinct(&self) -> Vec<(usize, f64, f64)> {
        let mut distinct: Vec<(usize, f64, f64)> = Vec::with_capacity(self.rows.len());
        for (&row, &truth) in self.rows.iter().zip(self.truth) {
            match distinct.last_mut() {
                Some((last, _, times)) if *last == row => *times += 1.0,
                _ => distinct.push((row, truth, 1.0)),
            }
        }
        distinct
    }
}

/// Logistic regression behind a design matrix; the strength is its L2 penalty. `options.l2` and
/// `options.sample_weights` are not used.
pub fn logistic<'a>(
    design: &'a DesignOptions,
    options: FitOptions<'a>,
) -> impl Fn(&TrainingSet<'_>) -> Result<Fitted, NoFit> + 'a {
    move |set| fit_once(set, design, &options)
}

fn fit_once(set: &TrainingSet<'_>, design: &DesignOptions, options: &FitOptions<'_>) -> Result<Fitted, NoFit> {
    let refuse = |error: &dyn std::fmt::Display| NoFit(error.to_string());
    let design = fit::fit(set.examples.schema(), &set.values(), design).map_err(|error| refuse(&error))?;
    // a repeated row is one with a weight: less to multiply for the same sums
    let distinct = set.distinct();
    let repeats = distinct.len() < set.rows.len() && options.solver == Solver::Newton;
    let (rows, truth, weights) = if repeats {
        let rows: Vec<usize> = distinct.iter().map(|(row, ..)| *row).collect();
        let truth: Vec<f64> = distinct.iter().map(|(_, truth, _)| *truth).collect();
        (rows, truth, Some(distinct.iter().map(|(.., times)| *times).collect::<Vec<f64>>()))
    } else {
        (set.rows.to_vec(), set.truth.to_vec(), None)
    };
    let x = matrix(&design, &set.examples.values(&rows))?;
    let labels: Vec<bool> = truth.iter().map(|truth| *truth >= 0.5).collect();
    let options = FitOptions { l2: set.strength, sample_weights: weights.as_deref(), ..*options };
    let model = fit_logistic(x.view(), &labels, &options).map_err(|error| refuse(&error))?;
    let effects = design.names().map(Box::from).zip(model.weights.iter().copied()).collect();
    let compiled = ModelRecord::Logistic(model).compile().map_err(|error| refuse(&error))?;
    let score = move |rows: &[&[Option<f64>]]| {
        let mut columns = Vec::with_capacity(design.width());
        let score = |row: &&[Option<f64>]| match design.transform(row, &mut columns) {
            Ok(()) => {
                compiled.score(&columns).map(|p| p.get()).ok_or_else(|| NoFit("a score is not finite".to_owned()))
            }
            Err(InvalidRow::NothingKnown { .. }) => Ok(NEUTRAL),
            Err(error @ InvalidRow::Width { .. }) => Err(NoFit(error.to_string())),
        };
        rows.iter().map(score).collect()
    };
    Ok(Fitted { score: Box::new(score), effects })
}

/// A row of which nothing is known stands at the centre of every column.
fn matrix(design: &DesignMatrix, rows: &[&[Option<f64>]]) -> Result<Array2<f64>, NoFit> {
    let mut cells = Vec::with_capacity(rows.len() * design.width());
    let mut columns = Vec::with_capacity(design.width());
    for row in rows {
        if design.transform(row, &mut columns).is_err() {
            columns.resize(design.width(), 0.0);
        }
        cells.extend_from_slice(&columns);
    }
    Array2::from_shape_vec((rows.len(), design.width()), cells).map_err(|error| NoFit(error.to_string()))
}
