//! Looking at an experiment as often as one likes, when its length is planned.
//!
//! Sums of session differences, scaled by their variance and by the share t of the planned sessions, move like a
//! Brownian motion B on [0, 1] when there is no difference. Success is claimed when |B| reaches a constant, which in the
//! scale of a z statistic is c / sqrt(t): strict early, almost the fixed-horizon limit at the end (O'Brien and Fleming
//! 1979). Harm is claimed earlier, on the boundary C t^(1/4) of Wang and Tsiatis (1987).

use serde::{Deserialize, Serialize};

use super::normal;

/// Shape of the harm boundary: 0 is O'Brien and Fleming's, 1/2 Pocock's.
pub const HARM_SHAPE: f64 = 0.25;
/// Distance of the grid points on which the density is carried from look to look, in standard deviations of one session.
const STEP: f64 = 0.2;
/// Standard deviations beyond which a normal density counts as 0.
const REACH: f64 = 7.5;
/// Most sessions that can be planned; what [`wang_tsiatis`] costs grows with the square.
pub const MOST_SESSIONS: usize = 500;

/// The planned length of an experiment, in sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    sessions: usize,
    first_look: usize,
}

impl Plan {
    /// `None` unless 1 <= `first_look` <= `sessions` <= [`MOST_SESSIONS`].
    pub fn new(sessions: usize, first_look: usize) -> Option<Self> {
        (first_look >= 1 && first_look <= sessions && sessions <= MOST_SESSIONS)
            .then_some(Self { sessions, first_look })
    }

    /// Sessions at which it ends.
    pub fn sessions(self) -> usize {
        self.sessions
    }

    /// Sessions before which nothing is claimed.
    pub fn first_look(self) -> usize {
        self.first_look
    }

    /// Share of the planned sessions after `closed` of them. `None` before the first look and after the end.
    pub fn fraction(self, closed: usize) -> Option<f64> {
        (self.first_look..=self.sessions).contains(&closed).then(|| closed as f64 / self.sessions as f64)
    }

    /// How far from 0 a z statistic must be after `closed` sessions to be significant at the two-sided error rate
    /// `alpha` over the whole plan. `None` as for [`fraction`](Self::fraction), or unless 0 < `alpha` < 1.
    pub fn critical(self, closed: usize, alpha: f64) -> Option<f64> {
        Some(reflection_constant(alpha)? / self.fraction(closed)?.sqrt())
    }

    /// The smallest error rate at which `z` would be significant now. Over all looks together it is at or below any
    /// level at most that often. `None` as for [`fraction`](Self::fraction) or for NaN.
    pub fn p_value(self, closed: usize, z: f64) -> Option<f64> {
        let position = z.abs() * self.fraction(closed)?.sqrt();
        (!position.is_nan()).then(|| reflection_tail(position))
    }
}

/// Chance that a Brownian motion leaves (-c, c) within [0, 1], by the reflection principle:
/// 4 sum over j >= 0 of (-1)^j (1 - Phi((2j + 1) c)) (Feller 1971, section X.5).
pub fn reflection_tail(c: f64) -> f64 {
    if c < 0.25 {
        return 1.0; // short of it by less than 1e-7
    }
    let mut tail = 0.0;
    for (sign, j) in [4.0, -4.0].into_iter().cycle().zip(0_u32..) {
        let term = normal::cdf(-f64::from(2 * j + 1) * c);
        tail += sign * term;
        if term < 1e-18 {
            break;
        }
    }
    tail.clamp(0.0, 1.0)
}

/// The constant that a Brownian motion reaches within [0, 1] on either side with chance `alpha`: 2.2414 for 0.05. `None`
/// unless 0 < `alpha` < 1.
pub fn reflection_constant(alpha: f64) -> Option<f64> {
    (alpha > 0.0 && alpha < 1.0).then_some(())?;
    let (mut low, mut high) = (0.25, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if reflection_tail(middle) > alpha { low = middle } else { high = middle }
    }
    Some(0.5 * (low + high))
}

/// By how much a boundary is farther away for who looks at whole sessions only, in standard deviations of a session
/// (Siegmund 1985, chapter X: Chernoff's -zeta(1/2) / sqrt(2 pi)).
const LOOKS: f64 = 0.583;
/// What the skewness of z takes from that, as a multiple of the effect of one session in standard errors: fitted to
/// simulated tests.
const SKEWNESS: f64 = 1.25;

/// Chance that a test finds, on the boundary `c` > 0 in its own direction, an effect that is worth `drift` standard errors
/// over its `sessions`. With sessions without number that is the chance of a test whose variance is known.
///
/// Dividing by the root of the sum of squares, which grows with the effect, holds z back: with m = drift^2 / sessions the sum
/// moves like a Brownian motion with drift d = drift / sqrt(1 + m) and variance s^2 = (1 + m / 2) / (1 + m)^3 (the delta method
/// for normal sessions), which reaches c within [0, 1] with chance Phi((d - c) / s) + exp(2 c d / s^2) Phi(-(d + c) / s)
/// (Siegmund 1985, formula 3.15). It is looked at when sessions close, so c is farther away by r s / sqrt(sessions), r =
/// 0.583 - 1.25 sqrt(m) max(1 - x^2 / 2, -1/2), x = (d - c) / s: the distance of a normal walk, less what the skewness of z makes
/// of it. Within 0.011 of simulated tests of 20 to 500 normal sessions at 2.5 and 5 %, at 1 % within 0.017 (20 sessions) and 0.008 (from
/// 27 on); sessions with tails
/// of Student's t with 4 degrees are found more often than told, by up to 0.08 of 20 sessions and 0.04 of 75.
pub fn crossing_power(drift: f64, sessions: f64, c: f64) -> f64 {
    let m = drift * drift / sessions;
    let (d, s) = (drift / (1.0 + m).sqrt(), ((1.0 + 0.5 * m) / (1.0 + m).powi(3)).sqrt());
    let x = (d - c) / s;
    let later = LOOKS - SKEWNESS * m.sqrt() * (1.0 - 0.5 * x * x).max(-0.5);
    let c = c + later * s / sessions.sqrt();
    if d > c + 9.0 * s {
        return 1.0; // where the exponential would overflow
    }
    let beyond = normal::cdf(-(d + c) / s);
    let reflected = if beyond > 0.0 { (2.0 * c * d / (s * s) + beyond.ln()).exp() } else { reflected_far(d, s, c) };
    (normal::cdf((d - c) / s) + reflected).min(1.0)
}

/// exp(2 c d / s^2) Phi(-(d + c) / s) where the second underflows: by the tail phi(x) / x of the normal, the exponents add
/// up to -((d - c) / s)^2 / 2.
fn reflected_far(d: f64, s: f64, c: f64) -> f64 {
    phi((d - c) / s) * s / (d + c)
}

/// The constant C of the one-sided boundary C t^(shape - 1/2) for a z statistic that is looked at when every session
/// from the plan's first look to its end closes, so that it is reached with chance `alpha` when there is no difference.
/// Wang and Tsiatis (1987), Biometrics 43:193; the chance by carrying the density from look to look (Armitage, McPherson
/// and Rowe 1969; Jennison and Turnbull 2000, chapter 19). Right to about 1e-6. `None` unless 0 < `alpha` < 1/2 and 0 <=
/// `shape` <= 1/2.
pub fn wang_tsiatis(plan: Plan, shape: f64, alpha: f64) -> Option<f64> {
    if !(alpha > 0.0 && alpha < 0.5 && (0.0..=0.5).contains(&shape)) {
        return None;
    }
    let excess = |c: f64| crossing_probability(plan, |t| c * t.powf(shape - 0.5)).ln() - alpha.ln();
    // one look needs the least; no boundary of these shapes needs 4 more
    let mut low = normal::quantile(1.0 - alpha)?;
    let (mut high, mut at_low) = (low + 4.0, excess(low));
    let mut at_high = excess(high);
    let mut c = low;
    for _ in 0..40 {
        // regula falsi on the logarithm, the end that stays being halved (Illinois)
        c = (low * at_high - high * at_low) / (at_high - at_low);
        let here = excess(c);
        if here.abs() < 1e-9 || (high - low).abs() < 1e-10 {
            break;
        }
        if here < 0.0 {
            (high, at_high) = (c, here);
            at_low *= if here.signum() == at_low.signum() { 1.0 } else { 0.5 };
        } else {
            (low, at_low) = (c, here);
            at_high *= 0.5;
        }
    }
    c.is_finite().then_some(c)
}

/// Chance that a z statistic of independent normal sessions is at or above `boundary` (a function of the share of the
/// planned sessions) at any look of the plan.
pub fn crossing_probability(plan: Plan, boundary: impl Fn(f64) -> f64) -> f64 {
    let limit = |k: usize| boundary(k as f64 / plan.sessions as f64) * (k as f64).sqrt();
    let points = |k: usize| ((limit(k) + REACH * (k as f64).sqrt()) / STEP).max(0.0) as usize + 1;
    let first = plan.first_look;
    let (mut edge, spread) = (limit(first), (first as f64).sqrt());
    let mut crossed = normal::cdf(-edge / spread);
    // density of the sum at edge, edge - STEP, edge - 2 STEP, ... for the paths that have not crossed yet
    let mut density: Vec<f64> = (0..points(first)).map(|i| phi((edge - STEP * i as f64) / spread) / spread).collect();
    for k in first + 1..=plan.sessions {
        let next_edge = limit(k);
        weigh(&mut density);
        let beyond = |(i, mass): (usize, &f64)| mass * normal::cdf(edge - STEP * i as f64 - next_edge);
        crossed += density.iter().enumerate().take((REACH / STEP) as usize + 60).map(beyond).sum::<f64>();
        density = carry(&density, next_edge - edge, points(k));
        edge = next_edge;
    }
    crossed
}

/// Turns densities into masses: the rule of Gregory to fourth differences at the edge, where the density
/// ends abruptly.
fn weigh(density: &mut [f64]) {
    let edge = [95.0 / 288.0, 317.0 / 240.0, 23.0 / 30.0, 793.0 / 720.0, 157.0 / 160.0];
    for (i, value) in density.iter_mut().enumerate() {
        *value *= STEP * edge.get(i).copied().unwrap_or(1.0);
    }
}

/// The density one session later on `points` points below an edge that is `rise` higher.
fn carry(mass: &[f64], rise: f64, points: usize) -> Vec<f64> {
    // from point i to point j the sum moves by rise + (i - j) STEP; only moves within REACH count
    let lowest = ((-REACH - rise) / STEP).ceil() as i64;
    let kernel: Vec<f64> = (lowest..).map(|m| rise + STEP * m as f64).take_while(|x| *x <= REACH).map(phi).collect();
    let at = |j: usize| {
        let from = j as i64 + lowest;
        let (skip, start) = ((-from).max(0) as usize, from.max(0) as usize);
        let (kernel, mass) = (kernel.get(skip..).unwrap_or(&[]), mass.get(start..).unwrap_or(&[]));
        kernel.iter().zip(mass).map(|(k, m)| k * m).sum()
    };
    (0..points).map(at).collect()
}

fn phi(x: f64) -> f64 {
    (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_boundary_at_five_per_cent_is_2_2414() {
        let c = reflection_constant(0.05).unwrap();
        assert!((c - 2.241_403).abs() < 1e-6, "{c}");
        assert!((reflection_tail(c) - 0.05).abs() < 1e-12);
        // far in, where the first term alone would be above 1
        assert!((reflection_tail(0.5) - 0.991_2).abs() < 2e-3, "{}", reflection_tail(0.5));
        assert_eq!((reflection_constant(0.0), reflection_constant(f64::NAN)), (None, None));
    }

    #[test]
    fn nothing_is_claimed_before_the_first_look_or_after_the_end() {
        let plan = Plan::new(60, 10).unwrap();
        assert_eq!((plan.critical(9, 0.05), plan.critical(61, 0.05), plan.p_value(9, 9.0)), (None, None, None));
        let at_end = plan.critical(60, 0.05).unwrap();
        assert!((plan.critical(15, 0.05).unwrap() / at_end - 2.0).abs() < 1e-12);
        assert!((plan.p_value(60, at_end).unwrap() - 0.05).abs() < 1e-12);
        assert_eq!((Plan::new(9, 10), Plan::new(501, 10), Plan::new(10, 0)), (None, None, None));
    }

    #[test]
    fn drift_makes_a_crossing_likelier_and_none_leaves_the_reflection() {
        let c = 2.0;
        assert!((crossing_power(0.0, f64::INFINITY, c) - 2.0 * normal::cdf(-c)).abs() < 1e-15);
        assert!(crossing_power(3.0, f64::INFINITY, c) > 0.8 && crossing_power(-3.0, f64::INFINITY, c) < 1e-4);
        // a session that tells much holds its own z back; where the normal underflows the limit takes over smoothly
        assert!(crossing_power(3.0, 30.0, c) < crossing_power(3.0, f64::INFINITY, c));
        let far = |signal: f64| crossing_power((signal * 60.0_f64).sqrt(), 60.0, c);
        assert!((1..200).all(|n| (0.0..=1.0).contains(&far(f64::from(n) * 0.05))));
    }
}
