//! A model in the form that scores: flat, checked, without allocation.
#![deny(clippy::indexing_slicing)]

use super::{calibration::Calibration, forest::Output, walk::Trees};
use crate::{
    domain::Probability,
    stats::logit::{clipped_logit, sigmoid},
};

/// A model ready to score. Made by [`super::ModelRecord::compile`] only, which checks what came from disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    form: Form,
    width: usize,
    output: Output,
    /// Whether its real values are shares of 0 to 1, and cut there.
    is_share: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// link(intercept + weights . x)
    Linear { weights: Box<[f64]>, intercept: f64, link: Link },
    /// link((start + sum of the leaves) / divisor)
    Trees { trees: Trees, start: f64, divisor: f64, link: Link },
    /// The mean of the members.
    Mean(Box<[Compiled]>),
    /// sigmoid(intercept + weights . log-odds of the members)
    Stack { members: Box<[Compiled]>, weights: Box<[f64]>, intercept: f64 },
    /// What the model's probability is worth.
    Calibrated { model: Box<Compiled>, calibration: Calibration },
}

/// From what is summed up to what the model gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// From log-odds to a probability.
    Sigmoid,
    /// As it is.
    Identity,
}

impl Compiled {
    /// A linear model, from finite numbers.
    pub(super) fn linear(weights: &[f64], intercept: f64, link: Link) -> Self {
        let output = if link == Link::Sigmoid { Output::Probability } else { Output::Real };
        Self {
            width: weights.len(),
            output,
            is_share: false,
            form: Form::Linear { weights: weights.into(), intercept, link },
        }
    }

    /// A sum of trees.
    pub(super) fn trees(trees: Trees, start: f64, divisor: f64, link: Link, output: Output) -> Self {
        Self { width: trees.width(), output, is_share: false, form: Form::Trees { trees, start, divisor, link } }
    }

    /// The mean of members of one width and output.
    pub(super) fn mean(members: Vec<Self>, width: usize, output: Output) -> Self {
        Self { width, output, is_share: false, form: Form::Mean(members.into()) }
    }

    /// A logistic regression on the log-odds of members of one width.
    pub(super) fn stack(members: Vec<Self>, weights: &[f64], intercept: f64, width: usize) -> Self {
        let form = Form::Stack { members: members.into(), weights: weights.into(), intercept };
        Self { width, output: Output::Probability, is_share: false, form }
    }

    /// A model with its calibration.
    pub(super) fn calibrated(model: Self, calibration: Calibration) -> Self {
        let width = model.width;
        let form = Form::Calibrated { model: model.into(), calibration };
        Self { width, output: Output::Probability, is_share: false, form }
    }

    /// The same, whose real values are shares of 0 to 1: they are cut there, as its validation did, and it scores.
    pub fn of_shares(self) -> Self {
        Self { is_share: true, ..self }
    }

    /// Whether what it gives can be a score at all.
    pub fn scores(&self) -> bool {
        self.is_share || self.output == Output::Probability
    }

    /// Number of columns it takes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// What the number it gives means.
    pub fn output(&self) -> Output {
        self.output
    }

    /// Probability of yes for one row of the design matrix. `None` when the row has another width or leads to a number
    /// that is not finite, and from a model of real values that are no shares. Does not allocate.
    pub fn score(&self, x: &[f64]) -> Option<Probability> {
        match self.output {
            Output::Probability => Probability::new(self.value(x)?).ok(),
            Output::Real if self.is_share => Probability::new(self.value(x)?.clamp(0.0, 1.0)).ok(),
            Output::Real => None,
        }
    }

    /// What the model gives for one row of the design matrix: a probability or a real value, see [`Self::output`].
    /// `None` when the row has another width or leads to a number that is not finite. Does not allocate.
    pub fn value(&self, x: &[f64]) -> Option<f64> {
        // a NaN would go right at every split, and look like a sound answer
        if x.len() != self.width || !x.iter().all(|cell| cell.is_finite()) {
            return None;
        }
        self.form.value(x)
    }
}

impl Form {
    fn value(&self, x: &[f64]) -> Option<f64> {
        match self {
            Self::Linear { weights, intercept, link } => {
                link.apply(weights.iter().zip(x).fold(*intercept, |sum, (w, x)| sum + w * x))
            }
            Self::Trees { trees, start, divisor, link } => link.apply(trees.sum(x, *start)? / divisor),
            Self::Mean(members) => {
                let sum = members.iter().try_fold(0.0, |sum, member| Some(sum + member.form.value(x)?))?;
                Link::Identity.apply(sum / members.len() as f64)
            }
            Self::Stack { members, weights, intercept } => {
                let add = |sum, (member, w): (&Compiled, &f64)| Some(sum + w * clipped_logit(member.form.value(x)?));
                Link::Sigmoid.apply(members.iter().zip(weights).try_fold(*intercept, add)?)
            }
            Self::Calibrated { model, calibration } => Link::Identity.apply(calibration.apply(model.form.value(x)?)?),
        }
    }
}

impl Link {
    fn apply(self, sum: f64) -> Option<f64> {
        // the check comes before the sigmoid, which would turn an infinity into a certainty
        sum.is_finite().then(|| if self == Self::Sigmoid { sigmoid(sum) } else { sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_values_are_no_scores_unless_they_are_shares_which_are_cut() {
        let model = Compiled::linear(&[1.0], 0.0, Link::Identity);
        assert_eq!((model.scores(), model.score(&[0.5])), (false, None));
        let share = model.of_shares();
        let score = |x: f64| share.score(&[x]).map(Probability::get);
        assert!(share.scores());
        assert_eq!([score(0.25), score(1.5), score(-2.0), score(f64::NAN)], [Some(0.25), Some(1.0), Some(0.0), None]);
    }

    #[test]
    fn a_row_that_is_not_finite_or_has_another_width_gets_no_score() {
        let model = Compiled::linear(&[2.0, 0.0], 0.0, Link::Sigmoid);
        assert_eq!(model.score(&[0.0, 5.0]), Some(Probability::NEUTRAL));
        for bad in [&[][..], &[1.0], &[1.0, 2.0, 3.0], &[f64::NAN, 1.0], &[1.0, f64::INFINITY], &[f64::MAX, 0.0]] {
            assert_eq!(model.score(bad), None, "{bad:?}");
        }
        // large but finite log-odds are certain, not undefined
        assert_eq!(model.score(&[1e300, 0.0]).unwrap().get(), 1.0);
    }

    #[test]
    fn a_model_of_real_values_gives_no_probability_even_where_it_looks_like_one() {
        let model = Compiled::linear(&[1.0], 0.25, Link::Identity);
        assert_eq!((model.value(&[0.5]), model.score(&[0.5])), (Some(0.75), None));
    }
}
