//! How good scores were on rows the model had never seen, beside a guess that needs no model.

use std::collections::BTreeMap;

use crate::stats::binary::{Confusion, brier, log_loss, roc_auc};

/// Figures of a test part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Holdout {
    /// Number of rows.
    pub rows: usize,
    /// Rows labelled yes.
    pub wins: usize,
    /// What the model reached.
    pub model: Figures,
    /// What the guess reached: always the class that was more frequent in training, with training's share of yes as
    /// its probability.
    pub majority: Figures,
}

/// Figures of one set of probabilities; a probability of at least 1/2 predicts yes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Share that was predicted right.
    pub accuracy: f64,
    /// Area under the ROC curve; `None` when the test part has one class only.
    pub auc: Option<f64>,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// Mean log loss.
    pub log_loss: f64,
}

impl Holdout {
    /// Judges `scores` by `labels`, against the guess that training's `share_of_wins` allows. `None` when there are no
    /// rows, the lengths differ, or a score or the share is not a probability.
    pub fn judge(labels: &[bool], scores: &[f64], share_of_wins: f64) -> Option<Self> {
        Some(Self {
            rows: labels.len(),
            wins: labels.iter().filter(|label| **label).count(),
            model: Figures::of(labels, scores)?,
            majority: Figures::of(labels, &vec![share_of_wins; labels.len()])?,
        })
    }

    /// The figures by name, as they are stored with a version; what is not defined is left out.
    pub fn metrics(&self) -> BTreeMap<Box<str>, f64> {
        let counts = [("test_rows", Some(self.rows as f64)), ("test_wins", Some(self.wins as f64))];
        let of = |figures: &Figures, names: [&'static str; 4]| {
            let Figures { accuracy, auc, brier, log_loss } = *figures;
            names.into_iter().zip([Some(accuracy), auc, Some(brier), Some(log_loss)])
        };
        let model = of(&self.model, ["test_accuracy", "test_auc", "test_brier", "test_log_loss"]);
        let majority = of(&self.majority, ["majority_accuracy", "majority_auc", "majority_brier", "majority_log_loss"]);
        let all = counts.into_iter().chain(model).chain(majority);
        all.filter_map(|(name, value)| Some((name.into(), value?))).collect()
    }
}

impl Figures {
    fn of(labels: &[bool], probabilities: &[f64]) -> Option<Self> {
        Some(Self {
            accuracy: Confusion::at_threshold(labels, probabilities, 0.5)?.accuracy()?,
            auc: roc_auc(labels, probabilities),
            brier: brier(labels, probabilities)?,
            log_loss: log_loss(labels, probabilities)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_shown_beside_the_majority_guess() {
        let labels = [true, false, false, false];
        let holdout = Holdout::judge(&labels, &[0.9, 0.2, 0.6, 0.1], 0.25).unwrap();
        assert_eq!((holdout.rows, holdout.wins), (4, 1));
        assert_eq!((holdout.model.accuracy, holdout.model.auc), (0.75, Some(1.0)));
        assert_eq!((holdout.majority.accuracy, holdout.majority.auc), (0.75, Some(0.5)));
        assert!((holdout.majority.brier - 0.25 * 0.75).abs() < 1e-15);
        assert!((holdout.model.brier - (0.01 + 0.04 + 0.36 + 0.01) / 4.0).abs() < 1e-15);
        assert_eq!(holdout.metrics().len(), 10);
    }

    #[test]
    fn a_test_part_of_one_class_has_no_auc_and_an_empty_one_nothing() {
        let holdout = Holdout::judge(&[true, true], &[0.4, 0.7], 0.6).unwrap();
        assert_eq!((holdout.model.auc, holdout.metrics().contains_key("test_auc")), (None, false));
        assert_eq!(Holdout::judge(&[], &[], 0.5), None);
        assert_eq!(Holdout::judge(&[true], &[1.5], 0.5), None);
        assert_eq!(Holdout::judge(&[true], &[0.5], f64::NAN), None);
    }
}
