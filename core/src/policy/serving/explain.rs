//! What moved the score of a version, input by input. Nothing that serves needs it: it is asked of a past signal, for people.

use serde::Serialize;

use super::Served;
use crate::{domain::Probability, features::pipeline::Seen};

/// A score and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The score that these inputs give.
    pub score: Probability,
    /// Each input that the version uses, in the order of the rows.
    pub inputs: Vec<Explaining>,
}

/// One input of a version in one signal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explaining {
    /// Its name.
    pub name: Box<str>,
    /// Its value, turned to the side of the trade; of one that was guessed the median of the training.
    pub value: f64,
    /// Where that is from.
    pub from: Origin,
    /// The median of the training.
    pub usual: f64,
    /// How much higher the score is than it would be if this input alone had been at its median. These do not add up to the score,
    /// since inputs act together. `None` where the score without it is not defined.
    pub moved: Option<f64>,
}

/// Where the value of an input is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It came with the signal.
    Measured,
    /// It is that of an earlier signal.
    Carried,
    /// Nothing recent enough was known: the median of the training stands for it, and the model is told so where it was fitted
    /// to hear it.
    Guessed,
}

impl Served {
    /// What moved the score of a signal whose inputs are `seen`. `None` where it has no score, as for
    /// [`score`](Served::score).
    pub fn explain(&self, seen: &Seen<'_>) -> Option<Explained> {
        let mut row = Vec::new();
        let score = self.score_signal(seen, &mut row).ok()?;
        let far = self.design.far(seen.values, seen.filled.carried);
        let near = |(place, value): (usize, &Option<f64>)| value.filter(|_| !far.contains(place));
        let values: Vec<Option<f64>> = seen.values.iter().enumerate().map(near).collect();
        let inputs = self.design.usual().map(|(name, place, usual)| {
            let value = values.get(place).copied().flatten().filter(|value| value.is_finite());
            let from = match value {
                None => Origin::Guessed,
                Some(_) if seen.filled.carried.contains(place) => Origin::Carried,
                Some(_) => Origin::Measured,
            };
            let mut without = values.clone();
            if let Some(cell) = without.get_mut(place) {
                *cell = Some(usual);
            }
            let usually = self.score(&without, &mut row).ok();
            let moved = usually.map(|usually| score.get() - usually.get());
            Explaining { name: name.into(), value: value.unwrap_or(usual), from, usual, moved }
        });
        let inputs = inputs.collect();
        Some(Explained { score, inputs })
    }
}
