//! What a model gains by one more input: the same trades, the same folds, once with it and once without.

use serde::{Deserialize, Serialize};

use super::error::DiscoverError;
use crate::{
    features::row::{BUILT_IN, Schema},
    stats::{
        autocorrelation::inflation,
        describe::{mean, standard_deviation},
        interval::{Interval, two_sided_z},
    },
    validation::{Example, Examples, Recipe, Split, fitter::TrainingSet},
};

/// Nearest that a score counts to 0 and 1.
const CLIP: f64 = 1e-6;

/// Level of the interval of a gain.
const LEVEL: f64 = 0.9;

/// How much less wrong a model is with an input, on trades that it had not learnt from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Loss a trade with the input: log loss, or of an amount the squared error over the variance.
    pub with: f64,
    /// Loss a trade without it.
    pub without: f64,
    /// Mean of the differences, above 0 where the input helps.
    pub gain: f64,
    /// Where it may lie, 90 %, with the memory of the differences: it is at least the lower end with 95 %.
    pub interval: Interval,
}

/// A model that grows by inputs that help.
pub struct Ablation<'a> {
    recipe: &'a Recipe<'a>,
    splits: Vec<Split>,
    examples: Examples,
    /// Of each trade that was judged, in the order of the splits.
    losses: Vec<f64>,
}

impl<'a> Ablation<'a> {
    /// Begins with the inputs that `examples` have.
    ///
    /// # Errors
    /// [`DiscoverError::Fit`] when no model comes of a fold.
    pub fn new(examples: &Examples, splits: Vec<Split>, recipe: &'a Recipe<'a>) -> Result<Self, DiscoverError> {
        let losses = losses(examples, &splits, recipe)?;
        Ok(Self { recipe, splits, examples: examples.clone(), losses })
    }

    /// What it gains by the input `name`. One that helps for certain stays. `None` where the differences do not vary.
    ///
    /// # Errors
    /// [`DiscoverError`] when the name is taken or no model comes of a fold.
    pub fn try_input(&mut self, name: &str, values: &[Option<f64>]) -> Result<Option<Gain>, DiscoverError> {
        let wider = with_input(&self.examples, name, values)?;
        let with = losses(&wider, &self.splits, self.recipe)?;
        let differences: Vec<f64> = self.losses.iter().zip(&with).map(|(without, with)| without - with).collect();
        let gain = || {
            let memory = inflation(&differences).unwrap_or(1.0);
            let error = standard_deviation(&differences)? / (differences.len() as f64).sqrt() * memory;
            let gain = mean(&differences)?;
            let interval = Interval::around(gain, two_sided_z(LEVEL)? * error)?;
            Some(Gain { with: mean(&with)?, without: mean(&self.losses)?, gain, interval })
        };
        let gain = gain();
        if gain.is_some_and(|gain| gain.interval.low > 0.0) {
            (self.examples, self.losses) = (wider, with);
        }
        Ok(gain)
    }
}

/// The same trades with one more input.
fn with_input(examples: &Examples, name: &str, values: &[Option<f64>]) -> Result<Examples, DiscoverError> {
    let names: Vec<String> = examples.schema().names().skip(BUILT_IN).chain([name]).map(str::to_owned).collect();
    let schema = Schema::new(&names).map_err(|error| DiscoverError::Name(error.to_string()))?;
    let wider = |(example, value): (&Example, &Option<f64>)| {
        let values = [example.values.as_slice(), &[*value]].concat();
        Example { values, ..example.clone() }
    };
    let rows = examples.as_slice().iter().zip(values).map(wider).collect();
    Ok(Examples::new(examples.goal(), schema, rows)?)
}

/// The loss of each judged trade.
fn losses(examples: &Examples, splits: &[Split], recipe: &Recipe<'_>) -> Result<Vec<f64>, DiscoverError> {
    let class = examples.goal().is_class();
    let all: Vec<usize> = (0..examples.len()).collect();
    let spread = standard_deviation(&examples.truth(&all)).filter(|sd| *sd > 0.0).unwrap_or(1.0);
    let mut losses = Vec::new();
    for Split { train, test } in splits {
        let truth = examples.truth(train);
        let strength = train.len() as f64 * PENALTY;
        let set = TrainingSet { examples, rows: train, truth: &truth, strength };
        let fitted = recipe.learn(&set)?.fitted()?;
        let scores = (fitted.score)(&examples.table().rows(test))?;
        losses.extend(examples.truth(test).iter().zip(scores).map(|(truth, score)| {
            if class {
                let score = score.clamp(CLIP, 1.0 - CLIP);
                if *truth >= 0.5 { -score.ln() } else { -(-score).ln_1p() }
            } else {
                ((truth - score) / spread).powi(2)
            }
        }));
    }
    Ok(losses)
}

/// Penalty a trade learnt from: it shrinks a weight that the data put at .1 by about a twentieth.
const PENALTY: f64 = 0.01;
