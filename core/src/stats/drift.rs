//! How far a window of recent values has moved from a [`Reference`].
//!
//! The population stability index and the distances of Kolmogorov-Smirnov and Wasserstein, each for any two samples, and
//! [`Drift`], which is all of them for one column. The p-value of a window takes its values for independent; what counts
//! as an alarm is decided elsewhere, by simulation with the memory that the column has.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::{
    describe::mean,
    interval::Test,
    proportion::{Share, two_proportion_z},
    reference::Reference,
};

/// Pairs of sizes up to this product get the exact distribution of Kolmogorov and Smirnov's distance.
const EXACT: f64 = 1e6;

/// One column of a window against its reference. What the window does not define is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Values of the window that were there.
    pub present: u64,
    /// Population stability index over the reference's bins; below 0.1 is usually called stable, above 0.25 moved.
    pub psi: Option<f64>,
    /// Kolmogorov-Smirnov distance with its p-value for independent values.
    pub ks: Option<Test>,
    /// Wasserstein distance in standard deviations of the reference.
    pub wasserstein: Option<f64>,
    /// |mean - reference mean| over the larger of |reference mean| and reference standard deviation.
    pub relative_change: Option<f64>,
    /// Share of the window's values that were missing.
    pub missing: f64,
    /// Whether as many are missing as in the reference, by the two-proportion z test.
    pub missing_test: Option<Test>,
}

impl Drift {
    /// Measures `window`. `None` when it is empty.
    pub fn of(reference: &Reference, window: &[Option<f64>]) -> Option<Self> {
        let rows = window.len() as f64;
        let values: Vec<f64> = window.iter().flatten().copied().filter(|value| value.is_finite()).collect();
        let missing = Share::new(rows - values.len() as f64, rows)?;
        let before = Share::new(reference.rows() as f64 - reference.present(), reference.rows() as f64)?;
        let distance = ks_distance(reference.quantiles(), &values);
        let ks = distance.and_then(|statistic| {
            Some(Test { statistic, p: ks_p(statistic, reference.present(), values.len() as f64)? })
        });
        let moved = wasserstein(reference.quantiles(), &values);
        let scale = reference.mean().abs().max(reference.sd());
        Some(Self {
            present: values.len() as u64,
            psi: stability(reference, &values),
            ks,
            wasserstein: moved.filter(|_| reference.sd() > 0.0).map(|moved| moved / reference.sd()),
            relative_change: mean(&values).filter(|_| scale > 0.0).map(|mean| (mean - reference.mean()).abs() / scale),
            missing: missing.get(),
            missing_test: two_proportion_z(missing, before),
        })
    }
}

/// Population stability index of `actual` against `expected`, the shares of the same bins: the sum of (a - e) ln(a / e),
/// which is Kullback and Leibler's divergence both ways. `None` without bins, when the lengths differ, or unless all
/// shares are above 0 (see `smoothed`).
pub fn psi(expected: &[f64], actual: &[f64]) -> Option<f64> {
    let valid = |shares: &[f64]| !shares.is_empty() && shares.iter().all(|share| *share > 0.0 && share.is_finite());
    (expected.len() == actual.len() && valid(expected) && valid(actual)).then_some(())?;
    Some(expected.iter().zip(actual).map(|(e, a)| (a - e) * (a / e).ln()).sum())
}

/// Shares of counted bins, half a row added to each, so that a bin in which chance has put nothing is not infinitely far
/// from one that holds something.
fn smoothed(counts: &[u64]) -> Vec<f64> {
    let total = counts.iter().sum::<u64>() as f64 + 0.5 * counts.len() as f64;
    counts.iter().map(|count| (*count as f64 + 0.5) / total).collect()
}

/// The strategy's own figure of drift: the mean of `relative_change` over the columns that have one.
pub fn mean_relative_change<'a>(columns: impl IntoIterator<Item = &'a Drift>) -> Option<f64> {
    let changes: Vec<f64> = columns.into_iter().filter_map(|drift| drift.relative_change).collect();
    mean(&changes)
}

/// Population stability index of `values` over the bins of `reference`. `None` without values.
pub fn stability(reference: &Reference, values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then_some(())?;
    let mut counts = vec![0_u64; reference.shares().len()];
    for value in values {
        *counts.get_mut(reference.bin(*value))? += 1;
    }
    stability_of(reference, &counts)
}

/// The same of so many values in each bin.
pub(super) fn stability_of(reference: &Reference, counts: &[u64]) -> Option<f64> {
    psi(reference.shares(), &smoothed(counts))
}

/// What the index of `values` values over the bins of `reference` stays below with probability 1 - `level` when nothing
/// has moved: (1/n + 1/m) times a quantile of the chi-squared distribution with one degree of freedom less than there are
/// bins (Yurdakul and Naranjo, "Statistical properties of the population stability index", Journal of Risk Model
/// Validation 2020). `None` unless 0 < `level` < 1 and there are bins and values on both sides.
pub fn chance(reference: &Reference, values: usize, level: f64) -> Option<f64> {
    let freedom = reference.shares().len().checked_sub(1).filter(|freedom| *freedom > 0)?;
    let valid = values > 0 && reference.present() > 0.0 && level > 0.0 && level < 1.0;
    valid.then_some(())?;
    let spread = 1.0 / values as f64 + 1.0 / reference.present();
    Some(spread * ChiSquared::new(freedom as f64).ok()?.inverse_cdf(1.0 - level))
}

/// The largest distance between the distribution functions of two samples, which need not be sorted. `None` when one is
/// empty or holds NaN.
pub fn ks_distance(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut largest = 0.0_f64;
    walk(a, b, |below_a, below_b, _| largest = largest.max((below_a - below_b).abs()))?;
    Some(largest)
}

/// The area between the distribution functions of two samples (Wasserstein's distance of order 1), in their unit. `None`
/// when one is empty or a value is not finite.
pub fn wasserstein(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut area = 0.0;
    walk(a, b, |below_a, below_b, width| area += (below_a - below_b).abs() * width)?;
    area.is_finite().then_some(area)
}

/// How often two independent samples of `n` and `m` values from one continuous distribution are at least `distance`
/// apart: exactly, by counting paths, for sizes whose product is up to a million; by Kolmogorov's limit above. `None`
/// unless the sizes are at least 1 and the distance is from 0 to 1.
pub fn ks_p(distance: f64, n: f64, m: f64) -> Option<f64> {
    ((0.0..=1.0).contains(&distance) && n >= 1.0 && m >= 1.0).then_some(())?;
    if n * m <= EXACT {
        return Some(paths_outside(distance, n as usize, m as usize));
    }
    Some(kolmogorov(distance * (n * m / (n + m)).sqrt()))
}

/// The share of the lattice paths from (0, 0) to (n, m) that are somewhere at least `distance` from the diagonal. A path
/// reaches (i, j) from the left with the chance i / (i + j), so the shares follow from each other without subtraction.
fn paths_outside(distance: f64, n: usize, m: usize) -> f64 {
    // distances are multiples of 1 / (n m): half of one below keeps rounding out
    let limit = distance - 0.5 / (n as f64 * m as f64);
    let outside = |i: usize, j: usize| (i as f64 / n as f64 - j as f64 / m as f64).abs() >= limit;
    let mut column = vec![0.0; m + 1];
    for i in 0..=n {
        let mut below = 0.0;
        for (j, share) in column.iter_mut().enumerate() {
            *share = match (i, j) {
                _ if outside(i, j) => 1.0,
                (0, 0) => 0.0,
                _ => (i as f64 * *share + j as f64 * below) / (i + j) as f64,
            };
            below = *share;
        }
    }
    column.last().copied().unwrap_or(1.0)
}

/// The chance that the supremum of a Brownian bridge is beyond `x` in size (Kolmogorov 1933), by the series that is
/// quick on either side of 1.
fn kolmogorov(x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x < 1.0 {
        let term = |k: i32| (-f64::from((2 * k - 1).pow(2)) * PI * PI / (8.0 * x * x)).exp();
        return 1.0 - (2.0 * PI).sqrt() / x * (1..=6).map(term).sum::<f64>();
    }
    let term = |k: i32| (if k % 2 == 1 { 2.0 } else { -2.0 }) * (-2.0 * f64::from(k * k) * x * x).exp();
    (1..=6).map(term).sum()
}

/// Goes through the values of both samples in order. After each distinct one `step` hears the shares of both at or below
/// it, and how far the next value is (0 after the last).
fn walk(a: &[f64], b: &[f64], mut step: impl FnMut(f64, f64, f64)) -> Option<()> {
    if a.is_empty() || b.is_empty() || a.iter().chain(b).any(|value| value.is_nan()) {
        return None;
    }
    let mut all: Vec<(f64, bool)> = a.iter().map(|x| (*x, true)).chain(b.iter().map(|x| (*x, false))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut below_a, mut below_b) = (0_usize, 0_usize);
    let mut rest = all.chunk_by(|x, y| x.0 == y.0).peekable();
    while let Some(ties) = rest.next() {
        let in_a = ties.iter().filter(|(_, in_a)| *in_a).count();
        below_a += in_a;
        below_b += ties.len() - in_a;
        let here = ties.first()?.0;
        let next = rest.peek().and_then(|ties| ties.first()).map_or(here, |next| next.0);
        step(below_a as f64 / a.len() as f64, below_b as f64 / b.len() as f64, next - here);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference() -> Reference {
        Reference::of((0..400).map(|n| (n % 8 > 0).then_some(f64::from(n)))).unwrap()
    }

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!((psi(&[], &[]), psi(&[1.0], &[0.5, 0.5]), psi(&[0.0, 1.0], &[0.5, 0.5])), (None, None, None));
        assert_eq!((ks_distance(&[], &[1.0]), ks_distance(&[1.0], &[f64::NAN])), (None, None));
        assert_eq!((wasserstein(&[1.0], &[]), wasserstein(&[1.0], &[f64::INFINITY])), (None, None));
        assert_eq!((ks_p(0.5, 0.0, 3.0), ks_p(1.5, 3.0, 3.0), ks_p(f64::NAN, 3.0, 3.0)), (None, None, None));
        assert_eq!(Drift::of(&reference(), &[]), None);
        let gone = Drift::of(&reference(), &[None; 20]).unwrap();
        assert_eq!((gone.psi, gone.ks, gone.wasserstein, gone.missing), (None, None, None, 1.0));
        assert!(gone.missing_test.unwrap().p < 1e-10);
        let constant = Reference::of([0.0; 9].map(Some)).unwrap();
        let moved = Drift::of(&constant, &[Some(1.0); 9]).unwrap();
        assert_eq!((moved.wasserstein, moved.relative_change, moved.ks.unwrap().statistic), (None, None, 1.0));
    }

    #[test]
    fn the_reference_itself_has_not_drifted_and_a_shift_by_one_deviation_has() {
        let (reference, rows): (_, Vec<f64>) = (reference(), (0..400).filter(|n| n % 8 > 0).map(f64::from).collect());
        let same = Drift::of(&reference, &rows.iter().copied().map(Some).collect::<Vec<_>>()).unwrap();
        assert!(same.psi.unwrap() < 1e-4 && same.ks.unwrap().p > 0.999, "{same:?}");
        assert!(same.wasserstein.unwrap() < 0.01 && same.relative_change.unwrap() < 1e-12, "{same:?}");
        let shifted: Vec<_> = rows.iter().map(|value| Some(value + reference.sd())).collect();
        let shifted = Drift::of(&reference, &shifted).unwrap();
        assert!(shifted.psi.unwrap() > 0.25 && shifted.ks.unwrap().p < 1e-10, "{shifted:?}");
        assert!((shifted.wasserstein.unwrap() - 1.0).abs() < 0.01, "{shifted:?}");
    }

    #[test]
    fn a_centred_column_is_measured_in_its_deviations() {
        let centred = Reference::of([-1.0, 1.0, -1.0, 1.0].map(Some)).unwrap();
        let drift = Drift::of(&centred, &[Some(0.5)]).unwrap();
        assert!((drift.relative_change.unwrap() - 0.5 / centred.sd()).abs() < 1e-15);
        assert_eq!(mean_relative_change([&drift, &drift]), drift.relative_change);
        assert_eq!(mean_relative_change([]), None);
    }
}
