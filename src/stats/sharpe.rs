//! Whether two policies that traded on the same days have the same Sharpe ratio.

use super::{
    describe::{mean, standard_deviation},
    interval::{Comparison, Interval, Test, two_sided_z},
};

/// Sharpe ratio of `a` minus that of `b`, both over the same days in the same order, per day (multiply by the square
/// root of 252 to annualise): Jobson and Korkie (1981) with the variance as corrected by Memmel (2003), Finance Letters
/// 1:21, formula 6. Both are asymptotic and assume normal returns without memory. `None` when the lengths differ, below
/// two days, when either does not vary or the two are the same series, or unless 0 < `level` < 1.
pub fn sharpe_difference(a: &[f64], b: &[f64], level: f64) -> Option<Comparison> {
    if a.len() != b.len() {
        return None;
    }
    let (ma, mb, sa, sb) = (mean(a)?, mean(b)?, standard_deviation(a)?, standard_deviation(b)?);
    if !(sa > 0.0 && sb > 0.0) {
        return None;
    }
    let n = a.len() as f64;
    let covariance = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>() / (n - 1.0);
    let correlation = (covariance / (sa * sb)).clamp(-1.0, 1.0);
    let (ra, rb) = (ma / sa, mb / sb);
    let variance =
        (2.0 - 2.0 * correlation + 0.5 * (ra * ra + rb * rb - 2.0 * ra * rb * correlation * correlation)) / n;
    // of two series that differ by a factor only the rounding of the correlation is left
    (variance * n > 64.0 * f64::EPSILON).then_some(())?;
    let (difference, error) = (ra - rb, variance.sqrt());
    let interval = Interval::around(difference, two_sided_z(level)? * error)?;
    Some(Comparison { difference, interval, test: Test::normal(difference / error)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        let (a, b) = ([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]);
        assert_eq!((sharpe_difference(&a, &b, 0.95), sharpe_difference(&a, &b[..2], 0.95)), (None, None));
        assert_eq!((sharpe_difference(&a, &[1.0; 3], 0.95), sharpe_difference(&[], &[], 0.95)), (None, None));
    }
}
