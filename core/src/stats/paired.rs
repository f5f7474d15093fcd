//! The mean of paired differences of trades, whose sessions share a fate and may remember the session before.

use super::{
    autocorrelation::inflation,
    cluster::{SessionSum, Sums},
    compare::with_error,
    interval::Comparison,
};

/// Sessions below which no interval is given: with fewer its error is not known well enough.
pub const FEWEST_SESSIONS: usize = 10;

/// The mean difference of the trades of `sessions`, in the order of time, with an interval at `level`: Student's t over the sessions, by the
/// standard error that counts a session as one observation, widened by [`inflation`] where the sessions have a memory. `None` with
/// fewer than [`FEWEST_SESSIONS`], without weight, and where the sessions do not vary.
pub fn paired(sessions: &[SessionSum], level: f64) -> Option<Comparison> {
    let sums = Sums::of(sessions).filter(|sums| sums.sessions >= FEWEST_SESSIONS)?;
    let estimate = sums.estimate()?;
    let residual = |session: &SessionSum| session.difference - estimate * session.weight;
    let residuals: Vec<f64> = sessions.iter().map(residual).collect();
    let error = sums.standard_error()? * inflation(&residuals).unwrap_or(1.0);
    with_error(estimate, error, sessions.len() as f64 - 1.0, level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_the_sessions_and_wider_where_they_have_a_memory() {
        let one = |difference: f64| SessionSum { difference, weight: 4.0 };
        let turning: Vec<SessionSum> = (0..60).map(|n| one(if n % 2 == 0 { 3.0 } else { -1.0 })).collect();
        let plain = Sums::of(&turning).unwrap().fixed_horizon(0.95);
        assert_eq!(paired(&turning, 0.95), plain);
        let moods: Vec<SessionSum> = (0..60).map(|n| one(if n < 30 { 3.0 } else { -1.0 })).collect();
        let wide = paired(&moods, 0.95).unwrap();
        assert!(wide.interval.width() > 2.0 * plain.unwrap().interval.width(), "{wide:?}");
        assert_eq!(wide.difference, 0.25);
    }

    #[test]
    fn what_is_not_defined_is_none() {
        let few = vec![SessionSum { difference: 1.0, weight: 1.0 }; FEWEST_SESSIONS - 1];
        assert_eq!((paired(&few, 0.95), paired(&[], 0.95)), (None, None));
        assert_eq!(paired(&vec![SessionSum { difference: 1.0, weight: 1.0 }; 20], 0.95), None, "nothing varies");
    }
}
