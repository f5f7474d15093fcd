//! The stationary block bootstrap: an interval for any statistic of a series with memory.
//!
//! Blocks of random length are drawn from the series, wrapped around as a circle, until it is as long as it was
//! (Politis and Romano 1994). Seeded: the same input gives the same resamples on every machine.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{
    describe::{mean, quantile, standard_deviation},
    interval::{Interval, two_sided_z},
    normal, student,
};

/// Replicates of a statistic beyond this share that are undefined leave nothing to say about it.
const MOST_UNDEFINED: f64 = 0.05;

/// How a series is resampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampling {
    /// Mean length of a block, at least 1; 1 is the ordinary bootstrap.
    pub block: f64,
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// A statistic of a series with memory, and how far chance moves it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The statistic of the series itself.
    pub value: f64,
    /// Its standard error: the deviation over resamples, widened as a small number of blocks asks for.
    pub error: f64,
    /// Blocks that the series is worth, at least 2.
    pub blocks: f64,
}

/// A statistic on each resample.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicates {
    values: Vec<f64>,
    undefined: usize,
    /// Blocks that the series is worth.
    blocks: f64,
}

/// The mean block length that estimates the variance of the mean best: Politis and White (2004) with the correction of
/// Patton, Politis and White (2009), for the stationary bootstrap; at least 1. Agrees with the Python package `arch`
/// where that gives at least 1. `None` below 11 values, or when they do not vary.
pub fn block_length(series: &[f64]) -> Option<f64> {
    let n = series.len();
    if n < 11 {
        return None;
    }
    let centre = mean(series)?;
    let deviations: Vec<f64> = series.iter().map(|x| x - centre).collect();
    let size = n as f64;
    let longest = (3.0 * size.sqrt()).min(size / 3.0).ceil();
    let run = 5.max(size.log10() as usize);
    let lags = size.sqrt().ceil() as usize + run;
    let limit = 2.0 * (size.log10() / size).sqrt();
    let correlations: Vec<f64> = (0..=lags).map(|lag| correlation(&deviations, lag)).collect::<Option<_>>()?;
    // the first lag after which `run` correlations in a row are noise
    let quiet = correlations.windows(run).take(lags + 1 - run).position(|next| next.iter().all(|r| *r < limit));
    let bandwidth = quiet.map_or(lags, |lag| 2 * lag.max(1)).min(lags);
    let (mut slope, mut spectrum) = (0.0, products(&deviations, 0)? / size);
    for lag in 1..=bandwidth {
        let share = lag as f64 / bandwidth as f64;
        let taper = if share <= 0.5 { 1.0 } else { 2.0 * (1.0 - share) };
        let covariance = products(&deviations, lag)? / size;
        slope += 2.0 * taper * lag as f64 * covariance;
        spectrum += 2.0 * taper * covariance;
    }
    let length = (slope * slope / (spectrum * spectrum)).cbrt() * size.cbrt();
    length.is_finite().then(|| length.min(longest).max(1.0))
}

impl Resampling {
    /// `statistic` of each resample of a series of `n`, given as places in it. `None` for an empty series, without
    /// resamples, or when the block is not at least 1.
    pub fn replicate(&self, n: usize, mut statistic: impl FnMut(&[usize]) -> Option<f64>) -> Option<Replicates> {
        if n == 0 || self.resamples == 0 || self.block.is_nan() || self.block < 1.0 {
            return None;
        }
        let mut rng = Pcg64::seed_from_u64(self.seed);
        let mut places = Vec::with_capacity(n);
        let (values, blocks) = (Vec::with_capacity(self.resamples), n as f64 / self.block);
        let mut replicates = Replicates { values, undefined: 0, blocks };
        for _ in 0..self.resamples {
            places.clear();
            let mut place = 0;
            for _ in 0..n {
                // a block ends with chance 1 / block at each step, which makes its mean length `block`
                let begins = places.is_empty() || rng.random::<f64>() * self.block < 1.0;
                place = if begins { rng.random_range(0..n as u64) as usize } else { (place + 1) % n };
                places.push(place);
            }
            match statistic(&places).filter(|value| value.is_finite()) {
                Some(value) => replicates.values.push(value),
                None => replicates.undefined += 1,
            }
        }
        Some(replicates)
    }
}

impl Estimate {
    /// Of a `statistic` of places in a series, resampled in blocks whose mean length suits `influence`: one number a
    /// place, in order, how much it moves the statistic. `None` below 11 places, when the influence does not vary, or
    /// when the statistic is undefined for the series or for more than 5 % of the resamples.
    pub fn of(
        influence: &[f64],
        resamples: usize,
        seed: u64,
        mut statistic: impl FnMut(&[usize]) -> Option<f64>,
    ) -> Option<Self> {
        let (n, block) = (influence.len(), block_length(influence)?);
        let value = statistic(&(0..n).collect::<Vec<usize>>())?;
        let replicates = Resampling { block, resamples, seed }.replicate(n, statistic)?;
        let blocks = (n as f64 / block).max(2.0);
        let error = standard_deviation(replicates.defined()?)? * (blocks / (blocks - 1.0)).sqrt();
        (value.is_finite() && error > 0.0).then_some(Self { value, error, blocks })
    }

    /// How many standard errors it lies above 0.
    pub fn ratio(&self) -> f64 {
        self.value / self.error
    }

    /// Probability that chance alone stays below it, by Student's t with one degree of freedom less than there are
    /// blocks: the one-sided confidence that the truth is above 0.
    pub fn confidence_above_zero(&self) -> Option<f64> {
        let outside = student::two_sided_p(self.ratio(), self.blocks - 1.0)? / 2.0;
        Some(if self.value >= 0.0 { 1.0 - outside } else { outside })
    }

    /// One-sided lower confidence bound. `None` unless 1/2 < `level` < 1.
    pub fn lower(&self, level: f64) -> Option<f64> {
        Some(self.value - student::two_sided_quantile(2.0 * level - 1.0, self.blocks - 1.0)? * self.error)
    }
}

impl Replicates {
    /// The middle of the replicates, as wide as Student's t is for the number of blocks at `level`: Hesterberg's (2015)
    /// expanded percentile interval, since the plain one is too narrow by as much as the normal interval of a small
    /// sample is. `None` when more than 5 % of them are undefined, or unless 0 < `level` < 1.
    pub fn interval(&self, level: f64) -> Option<Interval> {
        let values = self.defined()?;
        let outside = normal::cdf(-self.widening(level)? * two_sided_z(level)?);
        Interval::new(quantile(values, outside)?, quantile(values, 1.0 - outside)?)
    }

    /// How much wider an interval at `level` is of as many blocks than of ever so many: Student's t over the normal deviate,
    /// with the factor that a mean takes of the deviation. `None` unless 0 < `level` < 1.
    pub fn widening(&self, level: f64) -> Option<f64> {
        let blocks = self.blocks.max(2.0);
        Some((blocks / (blocks - 1.0)).sqrt() * student::two_sided_quantile(level, blocks - 1.0)? / two_sided_z(level)?)
    }

    /// The `level`-quantile of the replicates. `None` when more than 5 % of them are undefined.
    pub fn quantile(&self, level: f64) -> Option<f64> {
        quantile(self.defined()?, level)
    }

    /// Another statistic of each resample that was defined.
    #[must_use]
    pub fn map(&self, statistic: impl FnMut(f64) -> Option<f64>) -> Self {
        let values: Vec<f64> = self.values.iter().copied().filter_map(statistic).filter(|x| x.is_finite()).collect();
        Self { undefined: self.undefined + self.values.len() - values.len(), values, blocks: self.blocks }
    }

    /// Share of the replicates above `threshold`. `None` when more than 5 % of them are undefined.
    pub fn share_above(&self, threshold: f64) -> Option<f64> {
        let values = self.defined()?;
        Some(values.iter().filter(|value| **value > threshold).count() as f64 / values.len() as f64)
    }

    /// A statistic of two series that were resampled apart from each other, from the statistics of both.
    #[must_use]
    pub fn with(&self, other: &Self, mut statistic: impl FnMut(f64, f64) -> Option<f64>) -> Self {
        let pairs = self.values.iter().zip(&other.values);
        let values: Vec<f64> = pairs.filter_map(|(a, b)| statistic(*a, *b)).filter(|value| value.is_finite()).collect();
        let all = (self.values.len() + self.undefined).min(other.values.len() + other.undefined);
        Self { undefined: all - values.len(), values, blocks: self.blocks.min(other.blocks) }
    }

    fn defined(&self) -> Option<&[f64]> {
        let all = self.values.len() + self.undefined;
        let enough = !self.values.is_empty() && self.undefined as f64 <= MOST_UNDEFINED * all as f64;
        enough.then_some(&self.values)
    }
}

fn products(deviations: &[f64], lag: usize) -> Option<f64> {
    Some(deviations.iter().zip(deviations.get(lag..)?).map(|(x, y)| x * y).sum())
}

/// Size of the correlation with what came `lag` steps before, on the two parts that overlap; the sums of squares leave
/// out one more value, as in Patton's program.
fn correlation(deviations: &[f64], lag: usize) -> Option<f64> {
    let squares = |part: &[f64]| part.iter().map(|x| x * x).sum::<f64>();
    let (head, tail) = (deviations.get(..deviations.len().checked_sub(lag + 1)?)?, deviations.get(lag + 1..)?);
    let scale = (squares(head) * squares(tail)).sqrt();
    (scale > 0.0).then_some(())?;
    Some(products(deviations, lag)?.abs() / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESAMPLING: Resampling = Resampling { block: 4.0, resamples: 2000, seed: 3 };

    #[test]
    fn blocks_have_the_mean_length_asked_for_and_every_place_the_same_chance() {
        let (mut begins, mut counts) = (0_u32, [0_u32; 50]);
        let replicates = RESAMPLING.replicate(50, |places| {
            begins += places.windows(2).filter(|pair| pair[1] != (pair[0] + 1) % 50).count() as u32;
            places.iter().for_each(|place| counts[*place] += 1);
            Some(0.0)
        });
        assert!(replicates.is_some());
        // of the 49 steps of a resample a quarter begins a block, one in fifty of these unseen
        let share = f64::from(begins) / (49.0 * 2000.0);
        assert!((share - 0.25 * 0.98).abs() < 0.006, "{share}");
        assert!(counts.iter().all(|count| (1700..2300).contains(count)), "{counts:?}");
    }

    #[test]
    fn the_same_seed_repeats_and_undefined_replicates_are_not_hidden() {
        let series: Vec<f64> = (0..40).map(|n| f64::from(n % 7)).collect();
        let run = |seed| {
            let sum = |places: &[usize]| Some(places.iter().map(|place| series[*place]).sum());
            Resampling { seed, ..RESAMPLING }.replicate(40, sum).and_then(|r| r.interval(0.95))
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let mut calls = 0;
        let rare = RESAMPLING.replicate(9, |_| {
            calls += 1;
            (calls % 10 > 0).then_some(1.0)
        });
        assert_eq!((rare.as_ref().and_then(|r| r.interval(0.9)), rare.and_then(|r| r.share_above(0.0))), (None, None));
    }

    #[test]
    fn an_interval_of_few_blocks_is_as_wide_as_students_t() {
        let of = |block: f64, n: u32| {
            let series: Vec<f64> = (0..n).map(f64::from).collect();
            let mean = |places: &[usize]| Some(places.iter().map(|place| series[*place]).sum::<f64>() / f64::from(n));
            let replicates = Resampling { block, ..RESAMPLING }.replicate(n as usize, mean).unwrap();
            let plain = quantile(&replicates.values, 0.975).unwrap() - quantile(&replicates.values, 0.025).unwrap();
            replicates.interval(0.95).unwrap().width() / plain
        };
        // t with 9 degrees of freedom times sqrt(10 / 9) over the normal deviate
        assert!((of(1.0, 10) / (2.262_157 * (10.0_f64 / 9.0).sqrt() / 1.959_964) - 1.0).abs() < 0.06);
        assert!((of(1.0, 400) - 1.0).abs() < 0.03);
        assert!(of(20.0, 200) > 1.1, "ten blocks");
    }

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!((block_length(&[1.0; 30]), block_length(&[1.0, 2.0])), (None, None));
        assert!(RESAMPLING.replicate(0, |_| Some(0.0)).is_none());
        assert!(Resampling { block: f64::NAN, ..RESAMPLING }.replicate(5, |_| Some(0.0)).is_none());
    }
}
