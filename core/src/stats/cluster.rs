//! Trades of one session share its fate, so the session is what counts as one observation.

use serde::{Deserialize, Serialize};

use super::{
    compare::with_error,
    interval::{Comparison, Interval},
};

/// What one session adds to an estimate, which is the sum of `difference` over the sum of `weight`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionSum {
    /// Sum of the differences of its trades.
    pub difference: f64,
    /// What it weighs in the denominator: with plain differences its number of trades.
    pub weight: f64,
}

/// Sums over closed sessions: all that estimates, boundaries and intervals need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Number of sessions.
    pub sessions: usize,
    difference: f64,
    weight: f64,
    squares: f64,
    cross: f64,
    weight_squares: f64,
}

/// How much less than independent trades the trades of a session tell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DesignEffect {
    /// Intraclass correlation of two trades of one session.
    pub icc: f64,
    /// Mean trades per session, weighted so that it is what the correlation acts on.
    pub session_size: f64,
    /// Factor by which the variance of a mean grows, 1 + (m - 1) icc; below 1 when trades of a session differ more than
    /// others.
    pub effect: f64,
}

impl Sums {
    /// Adds up. `None` when a sum is not finite.
    pub fn of(sessions: &[SessionSum]) -> Option<Self> {
        let mut sums = Self { sessions: sessions.len(), ..Self::default() };
        for SessionSum { difference, weight } in sessions {
            sums.difference += difference;
            sums.weight += weight;
            sums.squares += difference * difference;
            sums.cross += difference * weight;
            sums.weight_squares += weight * weight;
        }
        let Self { squares, cross, weight_squares, .. } = sums;
        (squares + cross + weight_squares).is_finite().then_some(sums)
    }

    /// The estimate. `None` unless the weights add up to more than 0.
    pub fn estimate(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.difference / self.weight)
    }

    /// |S| / sqrt(V) with its sign: the sum over the root of the sum of squares. Under no difference and whatever the
    /// shape about standard normal, and never beyond the root of the number of sessions. `None` when all differences
    /// are 0.
    pub fn statistic(&self) -> Option<f64> {
        (self.squares > 0.0).then(|| self.difference / self.squares.sqrt())
    }

    /// Standard error of the estimate, from how sessions vary around it. `None` below two sessions, without weight or
    /// variation.
    pub fn standard_error(&self) -> Option<f64> {
        let estimate = self.estimate()?;
        let k = self.sessions as f64;
        let residual = self.squares - 2.0 * estimate * self.cross + estimate * estimate * self.weight_squares;
        // what is left when all sessions agree is rounding
        let varies = self.sessions >= 2 && residual > self.squares * 1e-13;
        varies.then(|| (k / (k - 1.0) * residual).sqrt() / self.weight)
    }

    /// Student's t over the sessions: for one look at a length that was fixed before.
    pub fn fixed_horizon(&self, level: f64) -> Option<Comparison> {
        with_error(self.estimate()?, self.standard_error()?, self.sessions as f64 - 1.0, level)
    }

    /// The estimate give or take `q` standard errors.
    pub fn interval(&self, q: f64) -> Option<Interval> {
        Interval::around(self.estimate()?, q * self.standard_error()?)
    }

    /// All differences that [`statistic`](Self::statistic), taken around them, does not put beyond `q`: the interval
    /// that belongs to the test, so that it holds 0 exactly when the test is not significant. `None` while it is
    /// unbounded, with too few sessions for `q`, and when all differences are 0.
    pub fn inverted_interval(&self, q: f64) -> Option<Interval> {
        // (S - d N)^2 <= q^2 (V - 2 d C + d^2 M), a quadratic in d
        let q2 = q * q;
        let a = self.weight * self.weight - q2 * self.weight_squares;
        let b = self.difference * self.weight - q2 * self.cross;
        let c = self.difference * self.difference - q2 * self.squares;
        (a > 0.0 && self.squares > 0.0).then_some(())?;
        let root = (b * b - a * c).max(0.0).sqrt();
        Interval::new((b - root) / a, (b + root) / a)
    }
}

impl DesignEffect {
    /// From the trades of each session, by the one-way analysis of variance with unequal sizes (Donner 1986). `None`
    /// below two sessions, without two trades in one, or when nothing varies.
    pub fn of<'a>(sessions: impl IntoIterator<Item = &'a [f64]>) -> Option<Self> {
        let groups: Vec<&[f64]> = sessions.into_iter().filter(|group| !group.is_empty()).collect();
        let (k, n) = (groups.len() as f64, groups.iter().map(|group| group.len()).sum::<usize>() as f64);
        if groups.len() < 2 || n <= k {
            return None;
        }
        let total: f64 = groups.iter().flat_map(|group| group.iter()).sum();
        let (mut between, mut within, mut size_squares) = (0.0, 0.0, 0.0);
        for group in &groups {
            let size = group.len() as f64;
            let mean = group.iter().sum::<f64>() / size;
            between += size * (mean - total / n).powi(2);
            within += group.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
            size_squares += size * size;
        }
        let (between, within) = (between / (k - 1.0), within / (n - k));
        let common = (n - size_squares / n) / (k - 1.0);
        let icc = (between - within) / (between + (common - 1.0) * within);
        let session_size = size_squares / n;
        let effect = 1.0 + (session_size - 1.0) * icc;
        icc.is_finite().then_some(Self { icc, session_size, effect })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(differences: &[f64]) -> Sums {
        let sessions: Vec<_> = differences.iter().map(|d| SessionSum { difference: *d, weight: 10.0 }).collect();
        Sums::of(&sessions).unwrap()
    }

    #[test]
    fn the_inverted_interval_holds_zero_exactly_when_the_test_is_not_significant() {
        let sums = sums(&[3.0, -1.0, 4.0, 1.0, -5.0, 9.0, 2.0, 6.0, 5.0, 3.0]);
        let z = sums.statistic().unwrap();
        assert!(sums.inverted_interval(z + 1e-9).unwrap().contains(0.0));
        assert!(!sums.inverted_interval(z - 1e-9).unwrap().contains(0.0));
        // beyond the root of the number of sessions nothing is ruled out
        assert_eq!(sums.inverted_interval(10f64.sqrt() + 1e-9), None);
    }

    #[test]
    fn what_is_not_defined_is_none() {
        let empty = Sums::of(&[]).unwrap();
        assert_eq!((empty.estimate(), empty.statistic(), empty.interval(2.0)), (None, None, None));
        assert_eq!((sums(&[0.1; 9]).standard_error(), sums(&[0.0; 3]).statistic()), (None, None));
        assert_eq!(Sums::of(&[SessionSum { difference: f64::NAN, weight: 1.0 }]), None);
        assert_eq!(DesignEffect::of([&[1.0][..], &[2.0]]), None);
        assert_eq!(DesignEffect::of([&[1.0, 1.0][..], &[1.0]]), None);
    }
}
