//! By how much a model is better than a guess that knows the base rate, with a lower confidence bound.

use serde::{Deserialize, Serialize};

use super::{
    example::{Example, Goal},
    figures::labels,
    rotation::sessions,
};
use crate::stats::bootstrap::Estimate;

/// Confidence of the lower bound, one-sided.
const LEVEL: f64 = 0.95;
/// Resamples of the sessions.
const RESAMPLES: usize = 2000;

/// What a lift is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of those predicted yes that were yes, less the base rate.
    Precision,
    /// Share predicted right, less what a guess gets right that says yes as often as the model and knows no more.
    Accuracy,
    /// Correlation of the score with the pnl really made.
    Correlation,
}

/// A lift over the base rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lift {
    /// What it is of.
    pub measure: Measure,
    /// As observed.
    pub value: f64,
    /// One-sided lower bound at 95 %, by resampling whole trading days in blocks.
    pub lower: f64,
    /// Its standard error.
    pub error: f64,
}

impl Goal {
    /// The lift that a model for this goal must show; `None` for goals that no version speaks for.
    pub fn measure(self) -> Option<Measure> {
        match self {
            Self::SignalQuality => Some(Measure::Accuracy),
            Self::Profitability | Self::SignalStrengthClass => Some(Measure::Precision),
            Self::SignalStrength | Self::ConfidenceScore => Some(Measure::Correlation),
            Self::Pnl | Self::ExitTiming => None,
        }
    }
}

/// Sums over the rows of a session: of 1, x, y, xy, xx and yy, where x is the prediction (or the score) and y the label
/// (or the pnl).
type Sums = [f64; 6];

/// The lift of `scores` on `rows`, a class predicted yes from `point` on. `None` where it is not defined, or for too few
/// trading days.
pub(super) fn lift(goal: Goal, rows: &[&Example], scores: &[f64], point: f64, seed: u64) -> Option<Lift> {
    let measure = goal.measure()?;
    let (x, y): (Vec<f64>, Vec<f64>) = if measure == Measure::Correlation {
        (scores.to_vec(), rows.iter().map(|row| row.pnl).collect())
    } else {
        let truth: Vec<f64> = rows.iter().map(|row| row.truth).collect();
        let number = |yes: bool| f64::from(u8::from(yes));
        (scores.iter().map(|score| number(*score >= point)).collect(), labels(&truth).into_iter().map(number).collect())
    };
    let starts = sessions(rows);
    let ends = starts.iter().skip(1).copied().chain([rows.len()]);
    let of_session = |(from, to): (&usize, usize)| -> Option<Sums> {
        let pairs = x.get(*from..to)?.iter().zip(y.get(*from..to)?);
        Some(pairs.fold([0.0; 6], |sums, (x, y)| add(sums, [1.0, *x, *y, x * y, x * x, y * y])))
    };
    let all: Vec<Sums> = starts.iter().zip(ends).map(of_session).collect::<Option<_>>()?;
    let total = all.iter().fold([0.0; 6], |sums, more| add(sums, *more));
    let [count, sum_x, sum_y, ..] = total;
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let covariance = |[n, x, y, xy, ..]: Sums| xy - mean_x * y - mean_y * x + n * mean_x * mean_y;
    let influence: Vec<f64> = all.iter().map(|sums| covariance(*sums)).collect();
    let statistic = |places: &[usize]| {
        let drawn = places.iter().filter_map(|place| all.get(*place));
        value(measure, drawn.fold([0.0; 6], |sums, more| add(sums, *more)))
    };
    let found = Estimate::of(&influence, RESAMPLES, seed, statistic)?;
    Some(Lift { measure, value: found.value, lower: found.lower(LEVEL)?, error: found.error })
}

fn value(measure: Measure, [n, x, y, xy, xx, yy]: Sums) -> Option<f64> {
    let value = match measure {
        Measure::Precision => xy / x - y / n,
        Measure::Accuracy => 2.0 * (xy / n - x * y / (n * n)),
        Measure::Correlation => {
            (xy / n - x * y / (n * n)) / ((xx / n - (x / n).powi(2)) * (yy / n - (y / n).powi(2))).sqrt()
        }
    };
    value.is_finite().then_some(value)
}

fn add(mut sums: Sums, more: Sums) -> Sums {
    sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lift_is_what_is_gained_over_a_guess_of_the_same_base_rate() {
        // of 10, 5 were yes; 4 were predicted yes, 3 of them correctly
        let sums = [10.0, 4.0, 5.0, 3.0, 4.0, 5.0];
        let near = |measure, wanted: f64| assert!((value(measure, sums).unwrap() - wanted).abs() < 1e-12);
        near(Measure::Precision, 0.75 - 0.5);
        // 3 + 4 are right; a guess that says yes 4 times in 10 is right for 0.4 x 5 + 0.6 x 5 of them
        near(Measure::Accuracy, 0.7 - 0.5);
        near(Measure::Correlation, (0.3 - 0.2) / (0.24_f64 * 0.25).sqrt());
        assert_eq!(value(Measure::Precision, [10.0, 0.0, 5.0, 0.0, 0.0, 5.0]), None, "nothing was predicted yes");
    }
}
