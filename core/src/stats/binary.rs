//! How good a prediction of yes or no was. A label is `true` for yes: the trade won.
//!
//! Definitions are those of scikit-learn, except that what it calls undefined and replaces by 0 is `None` here.

/// Predictions against labels, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Confusion {
    /// Predicted yes, was yes.
    pub true_positives: u64,
    /// Predicted yes, was no.
    pub false_positives: u64,
    /// Predicted no, was no.
    pub true_negatives: u64,
    /// Predicted no, was yes.
    pub false_negatives: u64,
}

impl Confusion {
    /// Counts, where a score of at least `threshold` predicts yes. `None` when the lengths differ, there is nothing, or
    /// a score or the threshold is NaN.
    pub fn at_threshold(labels: &[bool], scores: &[f64], threshold: f64) -> Option<Self> {
        if labels.is_empty() || labels.len() != scores.len() || threshold.is_nan() {
            return None;
        }
        let mut counts = Self::default();
        for (&label, &score) in labels.iter().zip(scores) {
            if score.is_nan() {
                return None;
            }
            match (score >= threshold, label) {
                (true, true) => counts.true_positives += 1,
                (true, false) => counts.false_positives += 1,
                (false, false) => counts.true_negatives += 1,
                (false, true) => counts.false_negatives += 1,
            }
        }
        Some(counts)
    }

    /// Share of the predictions that were right.
    pub fn accuracy(&self) -> Option<f64> {
        let wrong = self.false_positives + self.false_negatives;
        let right = self.true_positives + self.true_negatives;
        share(right, right + wrong)
    }

    /// Mean of the shares of yes and of no that were recognised; 1/2 is chance whatever the balance. `None` unless both
    /// occur.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let specificity = share(self.true_negatives, self.true_negatives + self.false_positives)?;
        Some((self.recall()? + specificity) / 2.0)
    }

    /// Share of the predicted yes that were yes. `None` when none was predicted.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Share of the yes that were predicted. `None` when there was none.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Harmonic mean of precision and recall. `None` when yes neither occurred nor was predicted.
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)
    }
}

/// Area under the ROC curve: the chance that a random yes scores above a random no, ties counting half, by the rank sum
/// of Mann and Whitney with midranks. `None` unless both labels occur and all scores are numbers.
pub fn roc_auc(labels: &[bool], scores: &[f64]) -> Option<f64> {
    if labels.len() != scores.len() || scores.iter().any(|score| score.is_nan()) {
        return None;
    }
    let mut pairs: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let yes = labels.iter().filter(|label| **label).count() as f64;
    let no = labels.len() as f64 - yes;
    if yes == 0.0 || no == 0.0 {
        return None;
    }
    let (mut below, mut rank_sum) = (0.0, 0.0);
    // total_cmp puts -0.0 just before 0.0, so values that are equal stand side by side
    for ties in pairs.chunk_by(|a, b| a.0 == b.0) {
        let tied = ties.len() as f64;
        let midrank = below + (tied + 1.0) / 2.0;
        rank_sum += midrank * ties.iter().filter(|(_, label)| *label).count() as f64;
        below += tied;
    }
    Some((rank_sum - yes * (yes + 1.0) / 2.0) / (yes * no))
}

/// Mean squared distance of the probability from what happened (Brier 1950), 0 to 1, less is better. `None` without
/// values, when the lengths differ, or when one is not a probability.
pub fn brier(labels: &[bool], probabilities: &[f64]) -> Option<f64> {
    mean_over(labels, probabilities, |label, p| (p - f64::from(u8::from(label))).powi(2))
}

/// Mean of -ln of the probability given to what happened, less is better. Probabilities are first clipped to
/// [`f64::EPSILON`] and 1 minus it, as scikit-learn does, so that one certain error does not make it infinite.
/// `None` as for [`brier`].
pub fn log_loss(labels: &[bool], probabilities: &[f64]) -> Option<f64> {
    mean_over(labels, probabilities, |label, p| {
        let p = p.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        if label { -p.ln() } else { -(1.0 - p).ln() }
    })
}

/// Expected calibration error: distance between mean probability and share of yes, averaged over `bins` equal-width
/// bins by their number of rows (Naeini et al. 2015). A bin holds its upper edge; the first one also 0. `None` as for
/// [`brier`], and for 0 bins.
pub fn expected_calibration_error(labels: &[bool], probabilities: &[f64], bins: usize) -> Option<f64> {
    let last = bins.checked_sub(1)?;
    if labels.is_empty() || labels.len() != probabilities.len() {
        return None;
    }
    // per bin the sum of (probability - label): the count cancels between the mean and its weight
    let mut excess = vec![0.0_f64; bins];
    for (&label, &p) in labels.iter().zip(probabilities) {
        if !(0.0..=1.0).contains(&p) {
            return None;
        }
        let bin = ((p * bins as f64).ceil() as usize).saturating_sub(1).min(last);
        *excess.get_mut(bin)? += p - f64::from(u8::from(label));
    }
    Some(excess.iter().map(|sum| sum.abs()).sum::<f64>() / labels.len() as f64)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn mean_over(labels: &[bool], probabilities: &[f64], loss: impl Fn(bool, f64) -> f64) -> Option<f64> {
    if labels.is_empty() || labels.len() != probabilities.len() {
        return None;
    }
    let mut sum = 0.0;
    for (&label, &p) in labels.iter().zip(probabilities) {
        if !(0.0..=1.0).contains(&p) {
            return None;
        }
        sum += loss(label, p);
    }
    Some(sum / labels.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        let never = Confusion { true_negatives: 3, ..Confusion::default() };
        assert_eq!(
            (never.precision(), never.recall(), never.f1(), never.balanced_accuracy()),
            (None, None, None, None)
        );
        assert_eq!(never.accuracy(), Some(1.0));
        assert_eq!(Confusion::default().accuracy(), None);
        assert_eq!(Confusion::at_threshold(&[], &[], 0.5), None);
        assert_eq!(Confusion::at_threshold(&[true], &[f64::NAN], 0.5), None);
        assert_eq!((roc_auc(&[true, true], &[0.1, 0.2]), roc_auc(&[], &[])), (None, None));
        assert_eq!(roc_auc(&[true, false], &[f64::NAN, 0.2]), None);
        for bad in [&[][..], &[0.5], &[0.5, 1.1], &[0.5, f64::NAN]] {
            let labels = [true, false];
            assert_eq!((brier(&labels, bad), log_loss(&labels, bad)), (None, None), "{bad:?}");
            assert_eq!(expected_calibration_error(&labels, bad, 10), None, "{bad:?}");
        }
        assert_eq!(expected_calibration_error(&[true], &[0.5], 0), None);
    }

    #[test]
    fn ties_count_half() {
        assert_eq!(roc_auc(&[true, false], &[0.3, 0.3]), Some(0.5));
        assert_eq!(roc_auc(&[true, false, true], &[0.0, -0.0, 1.0]), Some(0.75));
        assert_eq!(roc_auc(&[true, false], &[f64::INFINITY, f64::NEG_INFINITY]), Some(1.0));
    }

    #[test]
    fn a_bin_of_the_calibration_error_holds_its_upper_edge() {
        // 0.5 belongs to (0, 0.5]: together the two rows are off by |0.5 + 0.1 - 1| / 2
        let error = expected_calibration_error(&[true, false], &[0.5, 0.1], 2).unwrap();
        assert!((error - 0.2).abs() < 1e-15);
        let error = expected_calibration_error(&[true, false], &[1.0, 0.0], 10).unwrap();
        assert_eq!(error, 0.0);
    }
}
