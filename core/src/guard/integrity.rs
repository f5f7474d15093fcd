//! Faults after which no figure of a model means anything: serving is locked to the baseline at once.

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, VersionId};

/// What is broken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum IntegrityFault {
    /// A score that is no probability.
    #[error("{version} gave the score {score}, which is no probability")]
    Score { version: VersionId, score: String },
    /// The wall clock went otherwise than time did.
    #[error("the clock moved by {wall_s:.3} s while {elapsed_s:.3} s passed")]
    ClockJump { wall_s: f64, elapsed_s: f64 },
    /// The wall clock stands before what happened already.
    #[error("the clock is behind the journal, which holds an event of {latest}")]
    ClockBehind { latest: Timestamp },
}

/// Whether a score is a probability.
pub fn check_score(version: &VersionId, score: f64) -> Option<IntegrityFault> {
    // written so that NaN is at fault
    (!(0.0..=1.0).contains(&score))
        .then(|| IntegrityFault::Score { version: version.clone(), score: score.to_string() })
}

/// Whether the wall clock went from `before` to `now` while `elapsed_s` seconds passed by a clock that cannot be set, to
/// within `tolerance_s` seconds.
pub fn check_clock(before: Timestamp, now: Timestamp, elapsed_s: f64, tolerance_s: f64) -> Option<IntegrityFault> {
    let wall_s = now.duration_since(before).as_secs_f64();
    let agrees = (wall_s - elapsed_s).abs() <= tolerance_s;
    (!agrees).then_some(IntegrityFault::ClockJump { wall_s, elapsed_s })
}

/// Whether the clock of a daemon that starts at `now` stands before `latest`, the time of its last event, by more than
/// `tolerance_s` seconds.
pub fn check_start(latest: Timestamp, now: Timestamp, tolerance_s: f64) -> Option<IntegrityFault> {
    let behind_s = latest.duration_since(now).as_secs_f64();
    (behind_s > tolerance_s).then_some(IntegrityFault::ClockBehind { latest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_that_is_no_probability_is_a_fault() {
        let version: VersionId = "ES/1".parse().unwrap();
        assert!([0.0, 0.5, 1.0].iter().all(|score| check_score(&version, *score).is_none()));
        assert!([-0.1, 1.1, f64::NAN, f64::INFINITY].iter().all(|score| check_score(&version, *score).is_some()));
    }

    #[test]
    fn a_clock_that_stands_before_the_last_event_is_behind() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert_eq!((check_start(at(100), at(98), 2.0), check_start(at(100), at(5000), 2.0)), (None, None));
        assert_eq!(check_start(at(100), at(97), 2.0), Some(IntegrityFault::ClockBehind { latest: at(100) }));
    }

    #[test]
    fn a_clock_may_be_corrected_a_little_and_not_jump_either_way() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert_eq!(check_clock(at(100), at(110), 10.4, 0.5), None);
        for (now, elapsed) in [(111, 10.0), (90, 10.0), (110, f64::NAN)] {
            assert!(check_clock(at(100), at(now), elapsed, 0.5).is_some(), "{now} {elapsed}");
        }
    }
}
