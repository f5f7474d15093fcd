//! How good predictions will turn out, before it is known how they turned out.
//!
//! Confidence-based performance estimation: a calibrated score says itself how often it will be right. What is estimated
//! is only as good as the calibration, so it warns early of scores that have lost their confidence, and not of scores that
//! have become wrong.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, two_sided_z};

/// What scores promise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// Scores it is of.
    pub scores: u64,
    /// Share of right predictions to be expected.
    pub accuracy: f64,
    /// Where the share that will be observed lies, at the level asked for, if the scores are calibrated and the outcomes
    /// independent; cut to 0 to 1.
    pub interval: Interval,
    /// Share of wins to be expected among the predicted ones. `None` when none is predicted.
    pub precision: Option<f64>,
}

/// Expects from calibrated `scores`, where one of at least `threshold` predicts a win. `None` without scores, when one or
/// the threshold is no probability, or unless 0 < `level` < 1.
pub fn expected(scores: &[f64], threshold: f64, level: f64) -> Option<Expected> {
    let unit = 0.0..=1.0;
    (!scores.is_empty() && unit.contains(&threshold) && scores.iter().all(|p| unit.contains(p))).then_some(())?;
    let n = scores.len() as f64;
    let right = |p: f64| if p >= threshold { p } else { 1.0 - p };
    let accuracy = scores.iter().map(|p| right(*p)).sum::<f64>() / n;
    let variance = scores.iter().map(|p| p * (1.0 - p)).sum::<f64>() / (n * n);
    let half = two_sided_z(level)? * variance.sqrt();
    let yes: Vec<f64> = scores.iter().copied().filter(|p| *p >= threshold).collect();
    Some(Expected {
        scores: scores.len() as u64,
        accuracy,
        interval: Interval::new((accuracy - half).max(0.0), (accuracy + half).min(1.0))?,
        precision: (!yes.is_empty()).then(|| yes.iter().sum::<f64>() / yes.len() as f64),
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn it_is_the_mean_of_the_chances_to_be_right() {
        let found = expected(&[0.9, 0.6, 0.2], 0.5, 0.95).unwrap();
        assert!((found.accuracy - 2.3 / 3.0).abs() < 1e-15 && (found.precision.unwrap() - 0.75).abs() < 1e-15);
        let half = 1.959_963_984_540_054 * (0.09_f64 + 0.24 + 0.16).sqrt() / 3.0;
        assert!((found.interval.low - (2.3 / 3.0 - half)).abs() < 1e-12 && found.interval.high == 1.0, "{found:?}");
        assert_eq!(expected(&[0.2], 0.5, 0.95).unwrap().precision, None);
        assert_eq!((expected(&[], 0.5, 0.95), expected(&[f64::NAN], 0.5, 0.95)), (None, None));
        assert_eq!((expected(&[0.5], 1.5, 0.95), expected(&[0.5], 0.5, 1.0)), (None, None));
    }

    #[test]
    fn the_interval_holds_the_accuracy_of_calibrated_scores_as_often_as_it_says() {
        let mut rng = Pcg64::seed_from_u64(17);
        let mut held = 0;
        for _ in 0..2000 {
            let scores: Vec<f64> = (0..100).map(|_| 0.3 + 0.5 * rng.random::<f64>()).collect();
            let right = scores.iter().filter(|p| (rng.random::<f64>() < **p) == (**p >= 0.5)).count();
            let interval = expected(&scores, 0.5, 0.95).unwrap().interval;
            held += usize::from(interval.contains(right as f64 / 100.0));
        }
        assert!((1870..=1930).contains(&held), "{held} of 2000"); // 1900 give or take three standard errors
    }
}
