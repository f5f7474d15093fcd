//! Whether two policies that traded on the same days have the same Sharpe ratio.

use super::{
    bootstrap::Estimate,
    describe::{mean, standard_deviation},
    interval::{Comparison, Interval, Test, two_sided_z},
    risk::sharpe,
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

/// Sharpe ratio of `a` minus that of `b` per day, with a standard error by the stationary block bootstrap of the days,
/// which are drawn for both at once: it asks for neither normal returns nor days without memory (after Ledoit and Wolf
/// 2008, Journal of Empirical Finance 15:850). A series that is 0 on every day has a Sharpe ratio of 0. `None` when the
/// lengths differ, below 11 days, or when the two differ by nothing but a factor.
pub fn sharpe_gain(a: &[f64], b: &[f64], resamples: usize, seed: u64) -> Option<Estimate> {
    if a.len() != b.len() {
        return None;
    }
    let scaled = |series: &[f64]| -> Option<Vec<f64>> {
        let deviation = standard_deviation(series)?;
        Some(series.iter().map(|x| if deviation > 0.0 { x / deviation } else { 0.0 }).collect())
    };
    let influence: Vec<f64> = scaled(a)?.iter().zip(&scaled(b)?).map(|(a, b)| a - b).collect();
    let largest = influence.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    // of two series that differ by a factor only rounding is left
    (largest > 1e-9).then_some(())?;
    let ratio = |series: &[f64], places: &[usize]| {
        let drawn: Vec<f64> = places.iter().filter_map(|place| series.get(*place).copied()).collect();
        if drawn.iter().all(|x| *x == 0.0) { Some(0.0) } else { sharpe(&drawn, 1.0) }
    };
    Estimate::of(&influence, resamples, seed, |places| Some(ratio(a, places)? - ratio(b, places)?))
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
