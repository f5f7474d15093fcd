//! How two sequences of numbers go together.

use super::describe::mean;

/// Correlation of Pearson, -1 to 1. `None` when the lengths differ, below two pairs, when one side does not vary, or
/// when a number is not finite.
pub fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || is_constant(x) || is_constant(y) {
        return None;
    }
    let (mean_x, mean_y) = (mean(x)?, mean(y)?);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (dx, dy) = (x - mean_x, y - mean_y);
        xy += dx * dy;
        xx += dx * dx;
        yy += dy * dy;
    }
    let ratio = xy / (xx.sqrt() * yy.sqrt());
    // rounding may go past the ends
    ratio.is_finite().then(|| ratio.clamp(-1.0, 1.0))
}

/// Coefficient of determination of `predictions` of `truth`: 1 - squared errors / squared deviations of the truth from
/// its mean. 1 is perfect, 0 what always predicting the mean reaches, below 0 is worse than that. `None` as for
/// [`correlation`], except that predictions need not vary.
pub fn r_squared(truth: &[f64], predictions: &[f64]) -> Option<f64> {
    if truth.len() != predictions.len() || is_constant(truth) {
        return None;
    }
    let mean = mean(truth)?;
    let errors: f64 = truth.iter().zip(predictions).map(|(t, p)| (t - p).powi(2)).sum();
    let deviations: f64 = truth.iter().map(|t| (t - mean).powi(2)).sum();
    let share = 1.0 - errors / deviations;
    share.is_finite().then_some(share)
}

/// Whether no two values differ; true below two.
fn is_constant(values: &[f64]) -> bool {
    values.windows(2).all(|pair| matches!(pair, [a, b] if a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!((correlation(&[], &[]), correlation(&[1.0], &[2.0])), (None, None));
        assert_eq!((correlation(&[1.0, 2.0], &[1.0]), correlation(&[1.0, 1.0], &[1.0, 2.0])), (None, None));
        assert_eq!(correlation(&[0.1; 3], &[1.0, 2.0, 3.0]), None);
        assert_eq!(
            (correlation(&[1.0, f64::NAN], &[1.0, 2.0]), r_squared(&[1.0, 2.0], &[f64::NAN, 1.0])),
            (None, None)
        );
        assert_eq!((r_squared(&[1.0, 1.0], &[1.0, 2.0]), r_squared(&[1.0, 2.0], &[1.0])), (None, None));
    }

    #[test]
    fn a_line_correlates_fully_and_the_mean_explains_nothing() {
        assert_eq!(correlation(&[1.0, 2.0, 4.0], &[-1.0, -2.0, -4.0]), Some(-1.0));
        assert_eq!((r_squared(&[1.0, 3.0], &[2.0, 2.0]), r_squared(&[1.0, 3.0], &[1.0, 3.0])), (Some(0.0), Some(1.0)));
        assert_eq!(r_squared(&[1.0, 3.0], &[3.0, 1.0]), Some(-3.0));
    }
}
