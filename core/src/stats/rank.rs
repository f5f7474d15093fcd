//! Whether one sample tends to be larger than another, whatever the shape.

use super::{interval::Test, normal};

/// Mann and Whitney's U of `a` (pairs in which it is larger, ties counting half), and the two-sided test by the normal
/// approximation with midranks, tie correction and continuity correction, as SciPy's `mannwhitneyu(method="asymptotic")`.
/// `None` when either is empty, a value is NaN, or all are equal.
pub fn mann_whitney(a: &[f64], b: &[f64]) -> Option<Test> {
    let (na, nb) = (a.len() as f64, b.len() as f64);
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    let mut all: Vec<(f64, bool)> = a.iter().map(|x| (*x, true)).chain(b.iter().map(|x| (*x, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut below, mut rank_sum, mut tie_term) = (0.0, 0.0, 0.0);
    for ties in all.chunk_by(|x, y| x.0 == y.0) {
        let tied = ties.len() as f64;
        rank_sum += (below + (tied + 1.0) / 2.0) * ties.iter().filter(|(_, in_a)| *in_a).count() as f64;
        tie_term += tied.powi(3) - tied;
        below += tied;
    }
    let u = rank_sum - na * (na + 1.0) / 2.0;
    let n = na + nb;
    let variance = na * nb / 12.0 * ((n + 1.0) - tie_term / (n * (n - 1.0)));
    (variance > 0.0).then_some(())?;
    let z = ((u - na * nb / 2.0).abs() - 0.5) / variance.sqrt();
    Some(Test { statistic: u, p: (2.0 * normal::cdf(-z)).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none_and_equal_samples_do_not_differ() {
        assert_eq!((mann_whitney(&[], &[1.0]), mann_whitney(&[1.0], &[1.0])), (None, None));
        assert_eq!(mann_whitney(&[1.0, f64::NAN], &[1.0]), None);
        assert_eq!(mann_whitney(&[1.0, 2.0], &[1.0, 2.0]).map(|test| test.p), Some(1.0));
    }
}
