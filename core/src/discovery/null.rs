//! Whether a candidate and an outcome go together by more than what both remember of their own past.
//!
//! The outcome is cut into a few long blocks of trades in the order of time, turned in a circle by a drawn number of trades, and
//! the blocks are put in a drawn order. So the candidate keeps its memory, and so does the outcome within a block; only
//! what they know of each other is gone. What the blocks cut of the common memory is put back: the observed figure shrinks by the
//! root of the ratio of the two variances.

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64;

use crate::stats::interval::{Interval, two_sided_z};

/// Blocks that the outcome is cut into.
pub const BLOCKS: usize = 24;
/// Lags over which the common memory is looked at, in lengths of a block.
const REACH: usize = 4;
/// Drawn orders that do as well as the observed one at which no more are drawn (Besag and Clifford 1991): the p-value is then
/// above any that matters.
const ENOUGH: u32 = 20;
/// Drawn orders that there are at least, for the error of the figure.
const FEWEST: u32 = 100;
/// Share of the values that must be known.
pub const LEAST_KNOWN: f64 = 0.5;
/// Share of the known values that must not be the most frequent one.
const LEAST_VARIED: f64 = 0.01;

/// What an outcome and a candidate have in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Skill {
    /// Correlation of the candidate's ranks with the outcome, -1 to 1.
    pub correlation: f64,
    /// Where it may lie, 95 %.
    pub interval: Interval,
    /// Chance of as much or more in either direction where the two know nothing of each other.
    pub p: f64,
    /// Share of the trades in which the candidate is known.
    pub known: f64,
}

/// An outcome that candidates are held against.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Mean 0, variance 1, twice in a row.
    twice: Vec<f64>,
    memory: Vec<f64>,
}

impl Outcome {
    /// Of closed trades in the order of time. `None` where there are fewer than five a block, or all are the same.
    pub fn new(truth: &[f64]) -> Option<Self> {
        let standard = standardised(truth)?;
        let reach = REACH * (truth.len() / BLOCKS);
        (truth.len() >= 5 * BLOCKS).then_some(())?;
        let memory = memory(&standard, reach);
        let twice = [standard.as_slice(), &standard].concat();
        Some(Self { twice, memory })
    }

    /// How many trades.
    pub fn len(&self) -> usize {
        self.twice.len() / 2
    }

    /// Whether there are none, which never is.
    pub fn is_empty(&self) -> bool {
        self.twice.is_empty()
    }

    /// What a candidate, one value a trade, has in common with it, from at most `orders` drawn orders. `None` where too few of
    /// its values are known or they hardly vary.
    pub fn skill(&self, candidate: &[Option<f64>], orders: u32, seed: u64) -> Option<Skill> {
        let n = self.len();
        let known = candidate.iter().flatten().count() as f64 / n as f64;
        if candidate.len() != n || known < LEAST_KNOWN {
            return None;
        }
        let ranks = ranks(candidate)?;
        let scale = 1.0 / (n as f64 * known.sqrt());
        let (observed, widening) = (dot(&ranks, &self.twice) * scale, self.widening(&ranks));
        let bar = observed.abs() / widening;
        let mut rng = Pcg64::seed_from_u64(seed);
        let mut blocks: Vec<(usize, usize)> = (0..BLOCKS).map(|k| (k * n / BLOCKS, (k + 1) * n / BLOCKS)).collect();
        let (mut drawn, mut as_much, mut squares) = (0, 0, 0.0);
        while drawn < orders && (as_much < ENOUGH || drawn < FEWEST) {
            let turn = rng.random_range(0..n);
            blocks.shuffle(&mut rng);
            let value = self.reordered(&ranks, &blocks, turn) * scale;
            squares += value * value;
            drawn += 1;
            as_much += u32::from(value.abs() >= bar);
        }
        let error = (squares / f64::from(drawn.max(1))).sqrt() * widening;
        let p = if as_much >= ENOUGH {
            f64::from(as_much) / f64::from(drawn)
        } else {
            f64::from(as_much + 1) / f64::from(drawn + 1)
        };
        let interval = Interval::around(observed, two_sided_z(0.95)? * error)?.within(-1.0, 1.0);
        Some(Skill { correlation: observed, interval, p, known })
    }

    /// Sum of products of the ranks with the outcome, turned and in another order of its blocks.
    fn reordered(&self, ranks: &[f64], blocks: &[(usize, usize)], turn: usize) -> f64 {
        let mut rest = ranks;
        let mut sum = 0.0;
        for (from, to) in blocks {
            let (own, after) = rest.split_at_checked(to - from).unwrap_or((rest, &[]));
            sum += dot(own, self.twice.get(turn + from..).unwrap_or_default());
            rest = after;
        }
        sum
    }

    /// By how much the error of a sum of products is larger than in the drawn orders, at least 1.
    fn widening(&self, ranks: &[f64]) -> f64 {
        let (n, block) = (self.len() as f64, (self.len() / BLOCKS) as f64);
        let own = memory(ranks, self.memory.len());
        let common = |lag: usize, length: f64| {
            let both = self.memory.get(lag - 1).zip(own.get(lag - 1)).map_or(0.0, |(a, b)| a * b);
            2.0 * both * (1.0 - lag as f64 / length).max(0.0)
        };
        let sum = |length: f64| 1.0 + (1..=self.memory.len()).map(|lag| common(lag, length)).sum::<f64>();
        let (whole, cut) = (sum(n), sum(block));
        if cut > 0.0 { (whole / cut).max(1.0).sqrt() } else { 1.0 }
    }
}

/// Sum of products over the shorter of two.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    // four sums at a time: so a compiler does several at once
    let (mut sums, mut last) = ([0.0; 4], 0.0);
    let length = a.len().min(b.len());
    let (a, b) = (a.get(..length).unwrap_or_default(), b.get(..length).unwrap_or_default());
    let (a, b) = (a.chunks_exact(4), b.chunks_exact(4));
    for (x, y) in a.remainder().iter().zip(b.remainder()) {
        last += x * y;
    }
    for (x, y) in a.zip(b) {
        sums.iter_mut().zip(x.iter().zip(y)).for_each(|(sum, (x, y))| *sum += x * y);
    }
    sums.iter().sum::<f64>() + last
}

/// Mean 0, variance 1. `None` where all are the same.
fn standardised(values: &[f64]) -> Option<Vec<f64>> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (variance > 0.0).then(|| values.iter().map(|value| (value - mean) / variance.sqrt()).collect())
}

/// Midranks of what is known, with mean 0 and variance 1; 0 where nothing is known. `None` where they hardly vary.
fn ranks(candidate: &[Option<f64>]) -> Option<Vec<f64>> {
    let mut known: Vec<(f64, usize)> =
        candidate.iter().enumerate().filter_map(|(place, value)| Some(((*value)?, place))).collect();
    known.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut most, mut ranked) = (0.0, 0, Vec::with_capacity(known.len()));
    for ties in known.chunk_by(|a, b| a.0 == b.0) {
        let rank = below + (ties.len() as f64 + 1.0) / 2.0;
        ranked.extend(ties.iter().map(|(_, place)| (*place, rank)));
        below += ties.len() as f64;
        most = most.max(ties.len());
    }
    if known.len() - most < 2 || ((known.len() - most) as f64) < LEAST_VARIED * known.len() as f64 {
        return None;
    }
    let scaled = standardised(&ranked.iter().map(|(_, rank)| *rank).collect::<Vec<_>>())?;
    let mut ranks = vec![0.0; candidate.len()];
    for ((place, _), value) in ranked.iter().zip(scaled) {
        *ranks.get_mut(*place)? = value;
    }
    Some(ranks)
}

/// Correlation of a series of mean 0 with itself, 1 to `reach` steps later.
fn memory(values: &[f64], reach: usize) -> Vec<f64> {
    let variance = dot(values, values);
    (1..=reach).map(|lag| dot(values, values.get(lag..).unwrap_or_default()) / variance).collect()
}

/// Midranks of an outcome that is an amount.
pub fn rank_of(truth: &[f64]) -> Option<Vec<f64>> {
    ranks(&truth.iter().copied().map(Some).collect::<Vec<_>>())
}
