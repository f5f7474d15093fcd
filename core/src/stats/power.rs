//! How many trades it takes.
//!
//! Everything goes through the **drift**: the true effect over the standard error that the estimate has at the end. The
//! standard error is `spread` / sqrt(trades), and the functions below give the spread of each comparison.

use super::{
    interval::two_sided_z,
    normal,
    sequential::{crossing_power, reflection_constant},
};

/// A drift beyond which none is looked for: no test of the most sessions that can be planned tells so much.
const MOST_DRIFT: f64 = 1e4;

/// How an experiment is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Once, at its end.
    FixedHorizon,
    /// Whenever a session closes, by the constant boundary.
    Sequential,
}

impl Reading {
    /// Chance that an effect of `drift` standard errors at the end of `sessions` is found at the two-sided error rate
    /// `alpha`, in its own direction. `None` unless 0 < `alpha` < 1 and `sessions` is above 0.
    pub fn power(self, drift: f64, sessions: f64, alpha: f64) -> Option<f64> {
        (sessions > 0.0).then_some(())?;
        self.chance(drift, sessions, alpha)
    }

    /// The drift that is found with chance `power` by the end of `sessions`. `None` unless 0 < `alpha` < 1 and `alpha` <
    /// `power` < 1, or when no effect is found so surely in so few sessions.
    pub fn drift(self, power: f64, sessions: f64, alpha: f64) -> Option<f64> {
        self.first(power, alpha, |drift| self.power(drift, sessions, alpha))
    }

    /// The same when each session tells `signal`: the square of the effect in standard errors of one session. The number of
    /// sessions is then the drift squared over it.
    pub fn drift_of(self, power: f64, signal: f64, alpha: f64) -> Option<f64> {
        self.first(power, alpha, |drift| self.chance(drift, drift * drift / signal, alpha))
    }

    /// Trades after which `effect` is found with chance `power`, when the standard error is `spread` / sqrt(trades) and a
    /// session has `per_session` of them. `None` as for [`drift_of`](Self::drift_of), or unless `effect` and `spread` are
    /// above 0.
    pub fn trades(self, effect: f64, spread: f64, per_session: f64, power: f64, alpha: f64) -> Option<f64> {
        (effect > 0.0 && spread > 0.0 && per_session > 0.0).then_some(())?;
        let told = effect / spread;
        let trades = (self.drift_of(power, told * told * per_session, alpha)? / told).powi(2);
        trades.is_finite().then_some(trades)
    }

    fn chance(self, drift: f64, sessions: f64, alpha: f64) -> Option<f64> {
        match self {
            Self::FixedHorizon => Some(normal::cdf(drift - two_sided_z(1.0 - alpha)?)),
            Self::Sequential => Some(crossing_power(drift, sessions, reflection_constant(alpha)?)),
        }
    }

    fn first(self, power: f64, alpha: f64, chance: impl Fn(f64) -> Option<f64>) -> Option<f64> {
        (power > alpha && power < 1.0).then_some(())?;
        if self == Self::FixedHorizon {
            return Some(two_sided_z(1.0 - alpha)? + normal::quantile(power)?);
        }
        let (mut low, mut high) = (0.0, 1.0);
        while chance(high)? < power {
            high *= 2.0;
            (high < MOST_DRIFT).then_some(())?;
        }
        for _ in 0..80 {
            let middle = 0.5 * (low + high);
            if chance(middle)? < power { low = middle } else { high = middle }
        }
        Some(0.5 * (low + high))
    }
}

/// Spread of the difference of two arms' means, per signal: the arm of share `allocation` has standard deviation
/// `sd_a`, the other `sd_b`. `None` unless 0 < `allocation` < 1.
pub fn two_arms(sd_a: f64, sd_b: f64, allocation: f64) -> Option<f64> {
    (allocation > 0.0 && allocation < 1.0).then(|| (sd_a * sd_a / allocation + sd_b * sd_b / (1.0 - allocation)).sqrt())
}

/// Spread of the difference of two arms' win rates `rate_a` and `rate_b`, per signal, when arm a takes the share
/// `taken_a` of its signals. `None` unless rates and shares are within 0 and 1, shares and allocation above 0.
pub fn two_arms_win_rate(rate_a: f64, rate_b: f64, taken_a: f64, allocation: f64) -> Option<f64> {
    let valid = [rate_a, rate_b].iter().all(|rate| (0.0..=1.0).contains(rate)) && taken_a > 0.0 && taken_a <= 1.0;
    valid.then_some(())?;
    let sd = |rate: f64| (rate * (1.0 - rate)).sqrt();
    two_arms(sd(rate_a) / taken_a.sqrt(), sd(rate_b), allocation)
}

/// Spread of win rate of the trades that are kept minus win rate of all, per trade of the baseline, when the share
/// `skipped` is let go: with rate p, sqrt(p (1 - p) skipped / (1 - skipped)). `None` unless 0 <= `skipped` < 1 and the
/// rate is within 0 and 1.
pub fn kept_win_rate(rate: f64, skipped: f64) -> Option<f64> {
    let valid = (0.0..=1.0).contains(&rate) && (0.0..1.0).contains(&skipped);
    valid.then(|| (rate * (1.0 - rate) * skipped / (1.0 - skipped)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_points_of_win_rate_take_about_4_400_trades_an_arm() {
        let spread = two_arms_win_rate(0.53, 0.50, 1.0, 0.5).unwrap();
        let trades = Reading::FixedHorizon.trades(0.03, spread, 20.0, 0.8, 0.05).unwrap();
        assert!((4_350.0..4_450.0).contains(&(trades / 2.0)), "{trades}");
    }

    #[test]
    fn the_trades_asked_for_give_the_power_asked_for() {
        for reading in [Reading::FixedHorizon, Reading::Sequential] {
            let trades = reading.trades(0.1, 2.0, 20.0, 0.8, 0.05).unwrap();
            let power = reading.power(0.1 / (2.0 / trades.sqrt()), trades / 20.0, 0.05).unwrap();
            assert!((power - 0.8).abs() < 1e-9, "{reading:?}: {power}");
        }
        assert_eq!(Reading::Sequential.trades(0.0, 1.0, 20.0, 0.8, 0.05), None);
        // six sessions prove nothing at 2.5 %, however large the effect
        assert_eq!(Reading::Sequential.drift(0.8, 6.0, 0.025), None);
        assert_eq!((Reading::FixedHorizon.drift(1.0, 60.0, 0.05), two_arms(1.0, 1.0, 1.0)), (None, None));
    }
}
