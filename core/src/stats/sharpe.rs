//! Whether two policies that traded on the same days have the same Sharpe ratio.

use super::{
    bootstrap::{Estimate, Resampling, block_length},
    describe::{mean, standard_deviation},
    interval::{Comparison, Interval, Test, two_sided_z},
    risk::sharpe,
};

/// Sharpe ratio of `a` minus that of `b`, both over the same days in the same order, per day (multiply by the square
/// root of 252 to annualise): Jobson and Korkie (1981) with the variance as corrected by Memmel (2003), Finance Letters
/// 1:21, formula 6. Both are asymptotic and assume normal returns without memory. `None` when the lengths differ, below
/// two days, when either does not vary or the two are the same series, or unless 0 < `level` < 1.
pub fn sharpe_difference(a: &[f64], b: &[f64], level: f64) -> Option<Comparison> {
    if a.len() != b.len() {
        return None;
    }
    let (ma, mb, sa, sb) = (mean(a)?, mean(b)?, standard_deviation(a)?, standard_deviation(b)?);
    if !(sa > 0.0 && sb > 0.0) {
        return None;
    }
    let n = a.len() as f64;
    let covariance = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum::<f64>() / (n - 1.0);
    let correlation = (covariance / (sa * sb)).clamp(-1.0, 1.0);
    let (ra, rb) = (ma / sa, mb / sb);
    let variance =
        (2.0 - 2.0 * correlation + 0.5 * (ra * ra + rb * rb - 2.0 * ra * rb * correlation * correlation)) / n;
    // of two series that differ by a factor only the rounding of the correlation is left
    (variance * n > 64.0 * f64::EPSILON).then_some(())?;
    let (difference, error) = (ra - rb, variance.sqrt());
    let interval = Interval::around(difference, two_sided_z(level)? * error)?;
    Some(Comparison { difference, interval, test: Test::normal(difference / error)? })
}

/// Sharpe ratio of `a` minus that of `b` per day, with a standard error by the stationary block bootstrap of the days,
/// which are drawn for both at once: it asks for neither normal returns nor days without memory (after Ledoit and Wolf
/// 2008, Journal of Empirical Finance 15:850). A series that is 0 on every day has a Sharpe ratio of 0. `None` when the
/// lengths differ, below 11 days, or when the two differ by nothing but a factor.
pub fn sharpe_gain(a: &[f64], b: &[f64], resamples: usize, seed: u64) -> Option<Estimate> {
    if a.len() != b.len() {
        return None;
    }
    let scaled = |series: &[f64]| -> Option<Vec<f64>> {
        let deviation = standard_deviation(series)?;
        Some(series.iter().map(|x| if deviation > 0.0 { x / deviation } else { 0.0 }).collect())
    };
    let influence: Vec<f64> = scaled(a)?.iter().zip(&scaled(b)?).map(|(a, b)| a - b).collect();
    let largest = influence.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    // of two series that differ by a factor only rounding is left
    (largest > 1e-9).then_some(())?;
    let ratio = |series: &[f64], places: &[usize]| {
        let drawn: Vec<f64> = places.iter().filter_map(|place| series.get(*place).copied()).collect();
        if drawn.iter().all(|x| *x == 0.0) { Some(0.0) } else { sharpe(&drawn, 1.0) }
    };
    Estimate::of(&influence, resamples, seed, |places| Some(ratio(a, places)? - ratio(b, places)?))
}

/// What a policy made of one day.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Day {
    /// Its pnl, or what it is expected to be when signals stay by chance.
    pub pnl: f64,
    /// The variance that this chance adds; 0 where all signals stay.
    pub extra: f64,
}

/// A Sharpe ratio per day and its influence values, one a day.
struct Ratio {
    ratio: f64,
    influence: Vec<f64>,
}

impl Ratio {
    /// Mean over the root of the sample variance and the mean of what chance adds. `None` below two days or when nothing
    /// varies.
    fn of(days: &[Day]) -> Option<Self> {
        let n = days.len() as f64;
        (n >= 2.0).then_some(())?;
        let mean = days.iter().map(|day| day.pnl).sum::<f64>() / n;
        let squares: f64 = days.iter().map(|day| (day.pnl - mean).powi(2)).sum();
        let variance = squares / (n - 1.0) + days.iter().map(|day| day.extra).sum::<f64>() / n;
        // of days that are all the same only rounding is left
        (variance > mean * mean * 1e-24 && variance > 0.0 && variance.is_finite()).then_some(())?;
        let sd = variance.sqrt();
        let pull = 0.5 * mean / (variance * sd);
        let of_day = |day: &Day| {
            let deviation = day.pnl - mean;
            deviation / sd - pull * (deviation * deviation + day.extra - variance)
        };
        Some(Self { ratio: mean / sd, influence: days.iter().map(of_day).collect() })
    }
}

/// Sharpe ratio per day (multiply by the square root of 252 to annualise). It has the sign of the sum of the pnl. `None`
/// below two days or when nothing varies.
pub fn daily_sharpe(days: &[Day]) -> Option<f64> {
    Ratio::of(days).map(|estimate| estimate.ratio)
}

/// Interval of the Sharpe ratio of `a` minus that of `b`, per day, both over the same days in the same order: the
/// studentised bootstrap of Ledoit and Wolf (2008), Journal of Empirical Finance 15:850, symmetric, with the blocks of the
/// stationary bootstrap. The errors of the estimate and of each resample are those of the mean of its influence values under
/// that bootstrap. Blocks are as long as the influence values of the difference ask for: what both arms share cancels out of
/// them, so they are often short where each arm has a long memory. It is widened as Student's t asks for, since without that
/// 60 days are covered in 93 % instead of 95. `None`
/// when a ratio is not defined, the difference does not vary, more than 5 % of the resamples are undefined, or unless
/// 0 < `level` < 1.
pub fn studentised(a: &[Day], b: &[Day], (resamples, seed): (usize, u64), level: f64) -> Option<Interval> {
    if a.len() != b.len() || !(level > 0.0 && level < 1.0) {
        return None;
    }
    let differ = |a: &[Day], b: &[Day]| {
        let (a, b) = (Ratio::of(a)?, Ratio::of(b)?);
        let influence: Vec<f64> = a.influence.iter().zip(&b.influence).map(|(a, b)| a - b).collect();
        Some((a.ratio - b.ratio, influence))
    };
    let (difference, influence) = differ(a, b)?;
    let resampling = Resampling { block: block_length(&influence).unwrap_or(1.0), resamples, seed };
    let error = stationary_error(&influence, resampling.block)?;
    let pick = |days: &[Day], places: &[usize]| -> Vec<Day> {
        places.iter().filter_map(|place| days.get(*place)).copied().collect()
    };
    let replicates = resampling.replicate(a.len(), |places| {
        let (drawn, influence) = differ(&pick(a, places), &pick(b, places))?;
        Some((drawn - difference).abs() / stationary_error(&influence, resampling.block)?)
    })?;
    Interval::around(difference, replicates.quantile(level)? * replicates.widening(level)? * error)
}

/// The same of two series that have nothing to do with each other, each resampled by itself.
pub fn studentised_apart(a: (&[Day], Resampling), b: (&[Day], Resampling), level: f64) -> Option<Interval> {
    let of = |(days, resampling): (&[Day], Resampling)| {
        let Ratio { ratio, influence } = Ratio::of(days)?;
        let error = stationary_error(&influence, resampling.block)?;
        let mut squares = Vec::with_capacity(resampling.resamples);
        let ratios = resampling.replicate(days.len(), |places| {
            let drawn: Vec<Day> = places.iter().filter_map(|place| days.get(*place)).copied().collect();
            let Ratio { ratio: drawn, influence } = Ratio::of(&drawn)?;
            squares.push(stationary_error(&influence, resampling.block)?.powi(2));
            Some(drawn - ratio)
        })?;
        Some((ratio, error, ratios, squares))
    };
    let (ratio_a, error_a, ratios_a, squares_a) = of(a)?;
    let (ratio_b, error_b, ratios_b, squares_b) = of(b)?;
    let mut squares = squares_a.iter().zip(&squares_b);
    let t = ratios_a.with(&ratios_b, |a, b| {
        let (of_a, of_b) = squares.next()?;
        Some((a - b).abs() / (of_a + of_b).sqrt())
    });
    Interval::around(ratio_a - ratio_b, t.quantile(level)? * t.widening(level)? * error_a.hypot(error_b))
}

/// Standard error of a mean under the stationary bootstrap with blocks of mean length `block`: Politis and Romano (1994),
/// lemma 1, by the covariances on the circle, so that it is never negative; with n - 1 for n. `None` when nothing varies.
fn stationary_error(values: &[f64], block: f64) -> Option<f64> {
    let n = values.len();
    let size = n as f64;
    let centre = mean(values)?;
    let deviations: Vec<f64> = values.iter().map(|value| value - centre).collect();
    let goes_on = 1.0 - 1.0 / block.max(1.0);
    let mut variance: f64 = deviations.iter().map(|x| x * x).sum();
    let (mut weight, mut lag) = (goes_on, 1);
    while lag < n && weight > 1e-4 {
        let along = deviations.iter().zip(deviations.iter().cycle().skip(lag)).map(|(x, y)| x * y).sum::<f64>();
        variance += 2.0 * (1.0 - lag as f64 / size) * weight * along;
        (weight, lag) = (weight * goes_on, lag + 1);
    }
    let error = (variance / (size * (size - 1.0))).sqrt();
    (error > 1e-12 && error.is_finite()).then_some(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        let (a, b) = ([1.0, 2.0, 4.0], [2.0, 4.0, 8.0]);
        assert_eq!((sharpe_difference(&a, &b, 0.95), sharpe_difference(&a, &b[..2], 0.95)), (None, None));
        assert_eq!((sharpe_difference(&a, &[1.0; 3], 0.95), sharpe_difference(&[], &[], 0.95)), (None, None));
    }
}
