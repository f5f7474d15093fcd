//! A model in the form that scores: flat, checked, without allocation.
#![deny(clippy::indexing_slicing)]

use crate::{domain::Probability, stats::logit::sigmoid};

/// A model ready to score. Made by [`super::ModelRecord::compile`] only, which checks what came from disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled(Form);

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// sigmoid(intercept + weights . x)
    Linear { weights: Box<[f64]>, intercept: f64 },
}

impl Compiled {
    /// A linear model in log-odds, from finite numbers.
    pub(super) fn linear(weights: &[f64], intercept: f64) -> Self {
        Self(Form::Linear { weights: weights.into(), intercept })
    }

    /// Number of columns it takes.
    pub fn width(&self) -> usize {
        match &self.0 {
            Form::Linear { weights, .. } => weights.len(),
        }
    }

    /// Probability of yes for one row of the design matrix. `None` when the row has another width or leads to a number
    /// that is not finite. Does not allocate.
    pub fn score(&self, x: &[f64]) -> Option<Probability> {
        if x.len() != self.width() {
            return None;
        }
        match &self.0 {
            Form::Linear { weights, intercept } => {
                let log_odds = weights.iter().zip(x).fold(*intercept, |sum, (w, x)| sum + w * x);
                // the check comes before the sigmoid, which would turn an infinity into a certainty
                log_odds.is_finite().then(|| Probability::new(sigmoid(log_odds)).ok()).flatten()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_is_not_finite_or_has_another_width_gets_no_score() {
        let model = Compiled::linear(&[2.0, 0.0], 0.0);
        assert_eq!(model.score(&[0.0, 5.0]), Some(Probability::NEUTRAL));
        for bad in [&[][..], &[1.0], &[1.0, 2.0, 3.0], &[f64::NAN, 1.0], &[1.0, f64::INFINITY], &[f64::MAX, 0.0]] {
            assert_eq!(model.score(bad), None, "{bad:?}");
        }
        // large but finite log-odds are certain, not undefined
        assert_eq!(model.score(&[1e300, 0.0]).unwrap().get(), 1.0);
    }
}
