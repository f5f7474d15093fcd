//! Whether two samples have the same mean.

use super::{
    describe::{mean, standard_deviation},
    interval::{Comparison, Interval, Test},
    student,
};

/// Welch's t: the mean of `a` minus the mean of `b`, with unequal variances and the degrees of freedom of Welch and
/// Satterthwaite. `None` below two values on either side, when neither side varies, or unless 0 < `level` < 1.
pub fn welch(a: &[f64], b: &[f64], level: f64) -> Option<Comparison> {
    let difference = mean(a)? - mean(b)?;
    let variance = |values: &[f64]| Some(standard_deviation(values)?.powi(2) / values.len() as f64);
    let (va, vb) = (variance(a)?, variance(b)?);
    let error = (va + vb).sqrt();
    (error > 0.0).then_some(())?;
    let freedom = (va + vb).powi(2) / (va * va / (a.len() as f64 - 1.0) + vb * vb / (b.len() as f64 - 1.0));
    with_error(difference, error, freedom, level)
}

/// `difference` with standard error `error`, by Student's t. `None` unless `error` and `freedom` are above 0 and
/// 0 < `level` < 1.
pub fn with_error(difference: f64, error: f64, freedom: f64, level: f64) -> Option<Comparison> {
    (error > 0.0).then_some(())?;
    let statistic = difference / error;
    let interval = Interval::around(difference, student::two_sided_quantile(level, freedom)? * error)?;
    Some(Comparison { difference, interval, test: Test { statistic, p: student::two_sided_p(statistic, freedom)? } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!((welch(&[1.0], &[1.0, 2.0], 0.95), welch(&[1.0; 3], &[2.0; 3], 0.95)), (None, None));
        assert_eq!((welch(&[1.0, 2.0], &[1.0, 2.0], 1.0), welch(&[1.0, f64::NAN], &[1.0, 2.0], 0.9)), (None, None));
    }
}
