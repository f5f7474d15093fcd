//! Shares: how sure one is, and whether two differ.

use statrs::function::factorial::ln_binomial;

use super::interval::{Interval, Test, two_sided_z};

/// Successes among trials. Real numbers, so that counts may be divided by a design effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Successes, 0 to `trials`.
    pub successes: f64,
    /// Trials, above 0.
    pub trials: f64,
}

impl Share {
    /// `None` unless 0 <= `successes` <= `trials` and `trials` is above 0 and finite.
    pub fn new(successes: f64, trials: f64) -> Option<Self> {
        (trials > 0.0 && trials.is_finite() && (0.0..=trials).contains(&successes))
            .then_some(Self { successes, trials })
    }

    /// The same of counts.
    pub fn of(successes: u64, trials: u64) -> Option<Self> {
        Self::new(successes as f64, trials as f64)
    }

    /// Successes per trial.
    pub fn get(&self) -> f64 {
        self.successes / self.trials
    }
}

/// Wilson's score interval (1927). `None` unless 0 < `level` < 1.
pub fn wilson(share: Share, level: f64) -> Option<Interval> {
    let (n, p, z2) = (share.trials, share.get(), two_sided_z(level)?.powi(2));
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt() / (1.0 + z2 / n);
    Interval::new((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Interval of `a` - `b` for independent shares, from their Wilson intervals: method 10 of Newcombe (1998), Statistics
/// in Medicine 17:873, without continuity correction. `None` unless 0 < `level` < 1.
pub fn newcombe(a: Share, b: Share, level: f64) -> Option<Interval> {
    let (pa, pb) = (a.get(), b.get());
    let (wa, wb) = (wilson(a, level)?, wilson(b, level)?);
    let difference = pa - pb;
    let low = difference - (pa - wa.low).hypot(wb.high - pb);
    let high = difference + (wa.high - pa).hypot(pb - wb.low);
    Interval::new(low, high)
}

/// Whether two independent shares are equal, by the normal approximation with the pooled variance. `None` when the
/// pooled share is 0 or 1.
pub fn two_proportion_z(a: Share, b: Share) -> Option<Test> {
    let pooled = (a.successes + b.successes) / (a.trials + b.trials);
    let variance = pooled * (1.0 - pooled) * (1.0 / a.trials + 1.0 / b.trials);
    (variance > 0.0).then_some(())?;
    Test::normal((a.get() - b.get()) / variance.sqrt())
}

/// The smallest expected count of the two-by-two table, if the shares were equal. Below 5 the normal approximation is
/// not to be trusted (Cochran 1954).
pub fn smallest_expected(a: Share, b: Share) -> f64 {
    let pooled = (a.successes + b.successes) / (a.trials + b.trials);
    a.trials.min(b.trials) * pooled.min(1.0 - pooled)
}

/// Fisher's exact test of equal shares, two-sided: the summed chance of all tables with the same margins that are no
/// likelier than this one, with the relative tolerance of R and SciPy (1e-7). Takes time in proportion to the trials.
/// `None` without trials on either side, with more successes than trials, or for counts above what can be added up.
pub fn fisher_exact(successes: [u64; 2], trials: [u64; 2]) -> Option<f64> {
    let ([xa, xb], [na, nb]) = (successes, trials);
    if na == 0 || nb == 0 || xa > na || xb > nb {
        return None;
    }
    let all = xa.checked_add(xb)?;
    let total = ln_binomial(na.checked_add(nb)?, all);
    // statrs' own hypergeometric distribution overflows from about a thousand trials
    let chance = |x: u64| (ln_binomial(na, x) + ln_binomial(nb, all - x) - total).exp();
    let limit = chance(xa) * (1.0 + 1e-7);
    let possible = all.saturating_sub(nb)..=all.min(na);
    let p: f64 = possible.map(chance).filter(|chance| *chance <= limit).sum();
    Some(p.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!((Share::of(1, 0), Share::of(3, 2), Share::new(f64::NAN, 2.0)), (None, None, None));
        let [none, all] = [Share::of(0, 5).unwrap(), Share::of(5, 5).unwrap()];
        assert_eq!((two_proportion_z(none, none), two_proportion_z(all, all)), (None, None));
        assert_eq!(newcombe(none, all, 1.0), None);
        assert_eq!((fisher_exact([0, 0], [0, 3]), fisher_exact([4, 0], [3, 3])), (None, None));
        assert_eq!(fisher_exact([0, 0], [4, 3]), Some(1.0));
    }
}
