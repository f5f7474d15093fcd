//! What is validated: a way to make a model from trades, whatever kind of model that is.
//!
//! A [`Fitter`] does everything that learns: imputation, scaling and the fit itself see the rows they are given and no
//! others, so nothing of what a model is judged on can leak in through a mean or a quantile.

use super::example::Examples;
use crate::features::table::{Rows, Sample};

/// Makes a model from a training set. The same set must give the same model.
pub type Fitter<'a> = dyn Fn(&TrainingSet<'_>) -> Result<Fitted, NoFit> + 'a;

/// Scores rows of inputs, one score each: a probability where the goal is a class, a share of 0 to 1 or the figure
/// itself where it is not.
pub type Score = dyn Fn(&Rows<'_>) -> Result<Vec<f64>, NoFit>;

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

impl<'a> TrainingSet<'a> {
    /// Inputs of its rows, with the repeats.
    pub fn inputs(&self) -> Rows<'a> {
        self.examples.table().rows(self.rows)
    }

    /// Each row once, with how often it occurs.
    pub fn sample(&self) -> Sample {
        Sample::new(self.rows)
    }

    /// What is to be foretold of each row of its [`Self::sample`].
    pub fn truth_of(&self, sample: &Sample) -> Vec<f64> {
        let mut rest = self.truth;
        let first = |times: &f64| {
            let (own, after) = rest.split_at_checked(*times as usize)?;
            rest = after;
            own.first().copied()
        };
        sample.times.iter().map_while(first).collect()
    }
}
