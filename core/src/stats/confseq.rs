//! Looking as often as one likes at something that has no end.
//!
//! A confidence sequence holds the true value at all times together with its level. The asymptotic one needs only a
//! variance: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic
//! confidence sequences" (2021; Annals of Statistics 2024), theorem 2.2.

use super::{cluster::Sums, interval::Interval};

/// An asymptotic confidence sequence whose boundary is tightest at a number of sessions chosen beforehand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceSequence {
    rho2: f64,
    alpha: f64,
}

impl ConfidenceSequence {
    /// Error rate `alpha` over all time, tightest at `tuned_to` sessions, by the closed form of the paper's appendix:
    /// rho^2 = (-2 ln alpha + ln(1 - 2 ln alpha)) / m. `None` unless 0 < `alpha` < 1 and `tuned_to` is above 0.
    pub fn tuned(tuned_to: usize, alpha: f64) -> Option<Self> {
        (tuned_to > 0 && alpha > 0.0 && alpha < 1.0).then(|| {
            let spend = -2.0 * alpha.ln();
            Self { rho2: (spend + spend.ln_1p()) / tuned_to as f64, alpha }
        })
    }

    /// Half the width after `sessions`, in standard errors. `None` for 0.
    pub fn critical(&self, sessions: usize) -> Option<f64> {
        let v = sessions as f64 * self.rho2;
        (v > 0.0).then(|| (2.0 * (v + 1.0) / v * ((v + 1.0).sqrt() / self.alpha).ln()).sqrt())
    }

    /// The interval now. `None` as for [`Sums::interval`].
    pub fn interval(&self, sums: &Sums) -> Option<Interval> {
        sums.interval(self.critical(sums.sessions)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tightest_about_where_it_was_tuned_to_and_within_1_6_of_a_fixed_horizon_there() {
        let sequence = ConfidenceSequence::tuned(100, 0.05).unwrap();
        // width per unit of standard deviation, against that of sequences tuned elsewhere
        let here = sequence.critical(100).unwrap();
        for other in [50, 200] {
            assert!(ConfidenceSequence::tuned(other, 0.05).unwrap().critical(100).unwrap() > here, "{other}");
        }
        assert!((1.0..1.6).contains(&(here / 1.959_964)), "{here}");
        assert_eq!((ConfidenceSequence::tuned(0, 0.05), sequence.critical(0)), (None, None));
    }
}
