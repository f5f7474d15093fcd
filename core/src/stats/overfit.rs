//! How far a backtest can be believed, given how many were tried.
//!
//! Sharpe ratios here are per period, as they come out of the returns: nothing is annualised.

use std::{f64::consts::E, ops::Range};

use super::{describe::mean, normal, risk::sharpe};

/// Euler-Mascheroni constant.
const EULER_GAMMA: f64 = 0.577_215_664_901_532_9;
/// Most blocks of [`backtest_overfitting`]: 184,756 ways to choose half of them.
const MOST_BLOCKS: usize = 20;

/// What of a sequence of returns decides how sure its Sharpe ratio is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackRecord {
    /// Number of returns.
    pub periods: usize,
    /// Mean over sample standard deviation, per period.
    pub sharpe: f64,
    /// Third standardised moment, 0 for a normal distribution; the biased estimate, as SciPy's default.
    pub skewness: f64,
    /// Fourth standardised moment, 3 for a normal distribution; biased too.
    pub kurtosis: f64,
}

/// What combinatorially symmetric cross-validation found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overfitting {
    /// Share of the splits in which the trial that was best on one half was no better than the median trial on the
    /// other.
    pub probability: f64,
    /// Number of splits.
    pub splits: usize,
}

impl TrackRecord {
    /// Of returns in their order. `None` below two, without deviation, or with one that is not finite.
    pub fn of(returns: &[f64]) -> Option<Self> {
        let sharpe = sharpe(returns, 1.0)?;
        let (mean, n) = (mean(returns)?, returns.len() as f64);
        let moment = |power: i32| returns.iter().map(|r| (r - mean).powi(power)).sum::<f64>() / n;
        let variance = moment(2);
        let (skewness, kurtosis) = (moment(3) / variance.powf(1.5), moment(4) / variance.powi(2));
        let record = Self { periods: returns.len(), sharpe, skewness, kurtosis };
        (skewness.is_finite() && kurtosis.is_finite()).then_some(record)
    }

    /// Standard error of the Sharpe ratio times the square root of the periods less one:
    /// sqrt(1 - skewness SR + (kurtosis - 1)/4 SR^2). `None` where the moments contradict each other.
    pub fn spread(&self) -> Option<f64> {
        let square = 1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe.powi(2);
        (square > 0.0 && square.is_finite()).then(|| square.sqrt())
    }
}

/// Probability that the true Sharpe ratio is above `benchmark` (Bailey and Lopez de Prado 2012, the probabilistic
/// Sharpe ratio). `None` below two periods or where the moments contradict each other.
pub fn probabilistic_sharpe(record: &TrackRecord, benchmark: f64) -> Option<f64> {
    let free = record.periods.checked_sub(1).filter(|free| *free > 0)?;
    let z = (record.sharpe - benchmark) * (free as f64).sqrt() / record.spread()?;
    (!z.is_nan()).then(|| normal::cdf(z))
}

/// The Sharpe ratio that the best of `trials` worthless ones is expected to show, where their ratios have this
/// `variance` (Bailey and Lopez de Prado 2014); 0 for one trial. `None` without trials or for a variance below 0.
pub fn expected_max_sharpe(variance: f64, trials: usize) -> Option<f64> {
    if !(variance >= 0.0 && variance.is_finite()) || trials == 0 {
        return None;
    }
    if trials == 1 {
        return Some(0.0);
    }
    let n = trials as f64;
    let (one_in_n, one_in_ne) = (normal::quantile(1.0 - 1.0 / n)?, normal::quantile(1.0 - 1.0 / (n * E))?);
    Some(variance.sqrt() * ((1.0 - EULER_GAMMA) * one_in_n + EULER_GAMMA * one_in_ne))
}

/// Probability that the true Sharpe ratio is above what the best of `trials` worthless ones would show (Bailey and
/// Lopez de Prado 2014, the deflated Sharpe ratio). `None` as for its two parts.
pub fn deflated_sharpe(record: &TrackRecord, variance: f64, trials: usize) -> Option<f64> {
    probabilistic_sharpe(record, expected_max_sharpe(variance, trials)?)
}

/// Probability of backtest overfitting by combinatorially symmetric cross-validation (Bailey, Borwein, Lopez de Prado
/// and Zhu 2017). `trials` are the returns of each configuration tried, over the same periods. These are cut into
/// `blocks` runs; for every choice of half of them, the trial with the best Sharpe ratio there is looked up in the
/// ranking on the other half. Its relative rank is r / (trials + 1), ties at their midrank; at 1/2 or below the choice
/// was overfit. A trial that does not vary on a half has a Sharpe ratio of 0 there.
///
/// `None` unless there are two trials of one length, an even number of blocks from 2 to 20, two periods a block, and
/// nothing but finite returns.
pub fn backtest_overfitting(trials: &[Vec<f64>], blocks: usize) -> Option<Overfitting> {
    let periods = trials.first()?.len();
    let whole = trials.iter().all(|trial| trial.len() == periods && trial.iter().all(|r| r.is_finite()));
    let cut = blocks.is_multiple_of(2) && (2..=MOST_BLOCKS).contains(&blocks) && periods >= 2 * blocks;
    if trials.len() < 2 || !whole || !cut {
        return None;
    }
    let sums: Vec<Sums> = trials.iter().map(|trial| Sums::of(trial, blocks)).collect::<Option<_>>()?;
    let (mut splits, mut overfit) = (0, 0);
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for half in (0_u32..1 << blocks).filter(|half| half.count_ones() as usize * 2 == blocks) {
        inside.clear();
        outside.clear();
        for sums in &sums {
            inside.push(sums.sharpe(half));
            outside.push(sums.sharpe(!half));
        }
        splits += 1;
        overfit += usize::from(relative_rank_of_best(&inside, &outside)? <= 0.5);
    }
    Some(Overfitting { probability: overfit as f64 / splits as f64, splits })
}

/// Where the first of those that are best inside stands outside, from 0 (below all) to 1 (above all).
fn relative_rank_of_best(inside: &[f64], outside: &[f64]) -> Option<f64> {
    let mut best: Option<(f64, f64)> = None;
    for (&inside, &outside) in inside.iter().zip(outside) {
        if best.is_none_or(|(most, _)| inside > most) {
            best = Some((inside, outside));
        }
    }
    let (_, chosen) = best?;
    let below = outside.iter().filter(|other| **other < chosen).count() as f64;
    let equal = outside.iter().filter(|other| **other == chosen).count() as f64;
    Some((below + (equal + 1.0) / 2.0) / (outside.len() as f64 + 1.0))
}

/// Count, sum and sum of squares per block, of the deviations from the trial's mean: from them the Sharpe ratio of any
/// choice of blocks follows without looking at the returns again.
struct Sums {
    mean: f64,
    blocks: Vec<[f64; 3]>,
}

impl Sums {
    fn of(trial: &[f64], blocks: usize) -> Option<Self> {
        let mean = mean(trial)?;
        let sums = |range: Range<usize>| {
            trial.get(range).unwrap_or_default().iter().fold([0.0; 3], |[n, sum, squares], r| {
                let deviation = r - mean;
                [n + 1.0, sum + deviation, squares + deviation * deviation]
            })
        };
        let (each, longer) = (trial.len() / blocks, trial.len() % blocks);
        let start = |block: usize| block * each + block.min(longer);
        Some(Self { mean, blocks: (0..blocks).map(|block| sums(start(block)..start(block + 1))).collect() })
    }

    /// Of the blocks whose bit is set.
    fn sharpe(&self, chosen: u32) -> f64 {
        let taken = self.blocks.iter().enumerate().filter(|(block, _)| chosen >> block & 1 == 1);
        let [n, sum, squares] = taken.fold([0.0; 3], |[n, sum, squares], (_, add)| {
            let [more, add, add_squares] = add;
            [n + more, sum + add, squares + add_squares]
        });
        let variance = (squares - sum * sum / n) / (n - 1.0);
        let mean = self.mean + sum / n;
        // what is left of equal numbers is rounding
        let noise = (1e-12 * self.mean.abs()).powi(2);
        if variance > noise { mean / variance.sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        assert_eq!(
            (TrackRecord::of(&[1.0]), TrackRecord::of(&[2.0; 5]), TrackRecord::of(&[1.0, f64::NAN])),
            (None, None, None)
        );
        assert_eq!(
            (expected_max_sharpe(1.0, 0), expected_max_sharpe(-1.0, 3), expected_max_sharpe(f64::NAN, 3)),
            (None, None, None)
        );
        let impossible = TrackRecord { periods: 9, sharpe: 1.0, skewness: 3.0, kurtosis: 1.0 };
        assert_eq!((probabilistic_sharpe(&impossible, 0.0), deflated_sharpe(&impossible, 1.0, 3)), (None, None));
        let short = TrackRecord { periods: 1, sharpe: 1.0, skewness: 0.0, kurtosis: 3.0 };
        assert_eq!(probabilistic_sharpe(&short, 0.0), None);
        let trial = || vec![1.0, -1.0, 2.0, 0.5, 1.0, -2.0, 0.1, 0.2];
        assert_eq!(backtest_overfitting(&[], 2), None);
        assert_eq!(backtest_overfitting(&[trial()], 2), None);
        for blocks in [0, 1, 3, 6, 22] {
            assert_eq!(backtest_overfitting(&[trial(), trial()], blocks), None, "{blocks}");
        }
        assert_eq!(backtest_overfitting(&[trial(), vec![1.0; 7]], 2), None);
        assert_eq!(backtest_overfitting(&[trial(), vec![f64::NAN; 8]], 2), None);
    }

    #[test]
    fn one_trial_need_not_be_deflated() {
        assert_eq!(expected_max_sharpe(5.0, 1), Some(0.0));
    }

    #[test]
    fn the_truly_best_trial_is_never_overfit_and_one_that_was_good_in_one_half_only_always() {
        let wave = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let steady = |mean: f64| (0..40).map(|i| mean + wave(i)).collect::<Vec<f64>>();
        let found = backtest_overfitting(&[steady(0.0), steady(0.1), steady(1.0)], 10).unwrap();
        assert_eq!((found.probability, found.splits), (0.0, 252));
        let half = |first: f64| (0..40).map(|i| wave(i) + if i < 20 { first } else { -first }).collect::<Vec<f64>>();
        let found = backtest_overfitting(&[half(1.0), half(-1.0)], 2).unwrap();
        assert_eq!((found.probability, found.splits), (1.0, 2));
    }

    #[test]
    fn equal_trials_say_that_choosing_among_them_is_worth_nothing() {
        let trial: Vec<f64> = (0..16).map(f64::from).collect();
        assert_eq!(backtest_overfitting(&[trial.clone(), trial], 4).unwrap().probability, 1.0);
    }
}
