//! How far a window may move from its reference before that is news, when only so many false alarms are acceptable.
//!
//! Nothing is assumed about the columns: quarters without drift are drawn from the rows that were learnt from, in blocks that
//! keep the memory the rows have and side by side so that the columns stay together, and each is watched as the real one
//! will be. The thresholds are those that such quarters pass as often as the budget allows, wider where the history is worth
//! few blocks.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

pub use super::sliding::Distance;
use super::{
    bootstrap::Resampling,
    describe::{quantile, standard_deviation},
    drift::stability,
    normal,
    reference::Reference,
    sliding::{Sliding, places},
    student,
};

/// Blocks that a history counts for at least.
const FEWEST_BLOCKS: f64 = 2.0;
/// The largest share of quarters in which one column may raise a false alarm, whatever the budget.
const MOST_OFTEN: f64 = 0.5;

/// How far beyond its budget a column may alarm before it is not watched at all.
const BEYOND: f64 = 1.5;

/// Share of a column's variance that its windows' means have at least where it moves slowly.
const SLOW: f64 = 0.15;

/// How columns are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Rows in the window, the latest ones.
    pub window: usize,
    /// It is measured at every n-th row.
    pub every: usize,
    /// Rows of a quarter.
    pub quarter: usize,
}

/// From which value on a column has moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Population stability index.
    pub psi: f64,
    /// Kolmogorov-Smirnov distance.
    pub ks: f64,
}

impl Thresholds {
    /// Limits that nothing passes but a window without values: those of a column whose history says too little, see [`is_short`].
    pub const NEVER: Self = Self { psi: 1e6, ks: 1.0 };

    /// Whether a window of a column is beyond either. A window without values is: that cannot be evaluated.
    fn are_passed(&self, reference: &Reference, window: &[Option<f64>]) -> bool {
        distance(reference, window).is_none_or(|found| self.multiple(&found) > 1.0)
    }

    /// The larger of both measures, as a multiple of its own threshold; above 1 has moved.
    pub fn multiple(&self, found: &Distance) -> f64 {
        let of = |value: f64, threshold: f64| {
            if threshold > 0.0 { value / threshold } else { if value > 0.0 { 2.0 } else { 0.0 } }
        };
        of(found.psi, self.psi).max(of(found.ks, self.ks))
    }
}

impl Watch {
    /// Whether each of the columns of a quarter of `rows` ever passes its thresholds. `None` when the numbers of columns
    /// differ.
    pub fn alarms(
        &self,
        references: &[Reference],
        thresholds: &[Thresholds],
        columns: &[Vec<Option<f64>>],
    ) -> Option<Vec<bool>> {
        (references.len() == thresholds.len() && columns.len() == references.len()).then_some(())?;
        let ever = |((reference, thresholds), column): ((&Reference, &Thresholds), &Vec<Option<f64>>)| {
            self.windows(column).any(|window| thresholds.are_passed(reference, window))
        };
        Some(references.iter().zip(thresholds).zip(columns).map(ever).collect())
    }

    /// The windows that are measured.
    fn windows<'a>(&self, column: &'a [Option<f64>]) -> impl Iterator<Item = &'a [Option<f64>]> {
        column.windows(self.window.max(1)).step_by(self.every.max(1))
    }
}

/// Thresholds for all columns under which a quarter without drift raises `false_alarms` on average over all of them, each
/// column counting once. `history` is the columns that were learnt from, in the order of time. Every column has the same
/// share of the budget, and within it both measures do. `None` without columns, when they are not equally long, for a
/// window longer than a quarter, or unless the budget is above 0.
///
/// A quarter is drawn together with the window before it, and held against the whole history. What so many blocks do not tell
/// about how far windows go widens the limits, see [`widening`]. Takes time in proportion to resamples, columns and
/// measurements of a quarter.
pub fn thresholds(
    history: &[Vec<Option<f64>>],
    watch: &Watch,
    false_alarms: f64,
    resampling: &Resampling,
) -> Option<Vec<Thresholds>> {
    let pool = history.first()?.len();
    let same = history.iter().all(|other| other.len() == pool);
    let valid = same && watch.window > 0 && watch.window <= watch.quarter && false_alarms > 0.0;
    let drawn = pool > 0 && resampling.resamples > 0 && resampling.block >= 1.0;
    (valid && drawn).then_some(())?;
    let share = (false_alarms / history.len() as f64).min(MOST_OFTEN);
    let wider = widening(pool as f64 / resampling.block, share);
    let references: Vec<Option<Reference>> =
        history.iter().map(|column| Reference::of(column.iter().copied())).collect();
    let mut furthest: Vec<Vec<Distance>> = vec![Vec::with_capacity(resampling.resamples); history.len()];
    let mut rng = Pcg64::seed_from_u64(resampling.seed);
    let mut rows = Vec::with_capacity(watch.window + watch.quarter);
    let mut drawn = Vec::with_capacity(watch.window + watch.quarter);
    // a value is looked up once, however often it is drawn
    let looked_up = history.iter().zip(&references).map(|(column, reference)| {
        reference.as_ref().map(|reference| (places(reference, column), Sliding::new(reference)))
    });
    let mut looked_up: Vec<_> = looked_up.collect();
    for _ in 0..resampling.resamples {
        draw(&mut rng, resampling.block, pool, watch.window + watch.quarter, &mut rows);
        for (column, found) in looked_up.iter_mut().zip(&mut furthest) {
            let Some((places, sliding)) = column else { continue };
            drawn.clear();
            drawn.extend(rows.iter().filter_map(|row| places.get(*row).copied()));
            found.extend(sliding.furthest(&drawn, watch.window, watch.every));
        }
    }
    let widened = |limits: Thresholds| Thresholds { psi: limits.psi * wider * wider, ks: (limits.ks * wider).min(1.0) };
    furthest.iter().map(|found| at_share(found, share).map(widened)).collect()
}

/// Whether the history of a column is too short for its memory: no limit within it keeps a quarter's alarms at `share`, or
/// near it. Where windows of a column differ in more than chance, since it moves slowly, the farthest of all windows of the history
/// and of a quarter lies in the quarter with the chance that is the quarter's share of the rows, whatever their law. A column moves
/// slowly when more than 15 % of its variance is one of the means of its windows; a window of independent rows averages
/// nearly all of it away.
pub fn is_short(column: &[Option<f64>], watch: &Watch, share: f64) -> bool {
    let quarter = (watch.quarter + watch.window) as f64;
    let lies_in_quarter = quarter / (column.len() as f64 + quarter);
    lies_in_quarter > BEYOND * share && variance_of_means(column, watch.window).is_some_and(|ratio| ratio > SLOW)
}

/// The variance of the means of all windows of so many rows, as a share of the variance of the rows. `None` when they do not vary
/// or are fewer than two windows.
fn variance_of_means(column: &[Option<f64>], window: usize) -> Option<f64> {
    let known: Vec<f64> = column.iter().flatten().copied().collect();
    (window > 0 && known.len() >= 2 * window).then_some(())?;
    let means: Vec<f64> = known.windows(window).map(|rows| rows.iter().sum::<f64>() / window as f64).collect();
    let ratio = standard_deviation(&means)?.powi(2) / standard_deviation(&known)?.powi(2);
    ratio.is_finite().then_some(ratio)
}

/// By how much limits that leave out `share` of the quarters are wider than those of `blocks` drawn blocks, at least 1: Student's
/// t over the normal deviate, since that many blocks tell the spread of a window, times the root of (1 + 1/n) / (1 - 1/n) for what
/// the reference itself is off by and for a spread that is taken around the blocks' own mean. A distance of distribution functions
/// grows by it, a stability index by its square.
pub fn widening(blocks: f64, share: f64) -> f64 {
    let blocks = blocks.max(FEWEST_BLOCKS);
    let t = student::two_sided_quantile(1.0 - share, blocks - 1.0);
    let z = normal::quantile(1.0 - 0.5 * share);
    let tails = t.zip(z).map_or(1.0, |(t, z)| t / z);
    (tails * ((1.0 + 1.0 / blocks) / (1.0 - 1.0 / blocks)).sqrt()).max(1.0)
}

/// `count` rows of a history of `pool` rows, drawn in blocks.
fn draw(rng: &mut Pcg64, block: f64, pool: usize, count: usize, rows: &mut Vec<usize>) {
    rows.clear();
    let mut place = 0;
    for _ in 0..count {
        let begins = rows.is_empty() || rng.random::<f64>() * block < 1.0;
        place = if begins { rng.random_range(0..pool as u64) as usize } else { (place + 1) % pool };
        rows.push(place);
    }
}

/// Measures a window. `None` without values.
pub fn distance(reference: &Reference, window: &[Option<f64>]) -> Option<Distance> {
    let mut values: Vec<f64> = window.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    let psi = stability(reference, &values)?;
    values.sort_unstable_by(f64::total_cmp);
    Some(Distance { psi, ks: sorted_ks(reference.quantiles(), &values) })
}

/// The largest distance between the distribution functions of two sorted samples without NaN, which must not be empty.
fn sorted_ks(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut largest) = (0, 0, 0.0_f64);
    let (step_a, step_b) = (1.0 / a.len() as f64, 1.0 / b.len() as f64);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let here = x.min(*y);
        while a.get(i).is_some_and(|value| *value <= here) {
            i += 1;
        }
        while b.get(j).is_some_and(|value| *value <= here) {
            j += 1;
        }
        largest = largest.max((i as f64 * step_a - j as f64 * step_b).abs());
    }
    largest
}

/// The thresholds that the share `share` of the quarters passes, by one measure or the other.
fn at_share(found: &[Distance], share: f64) -> Option<Thresholds> {
    let psi: Vec<f64> = found.iter().map(|distance| distance.psi).collect();
    let ks: Vec<f64> = found.iter().map(|distance| distance.ks).collect();
    let at = |level: f64| Some(Thresholds { psi: quantile(&psi, level)?, ks: quantile(&ks, level)? });
    let passing = |thresholds: &Thresholds| {
        let passes = |d: &&Distance| d.psi > thresholds.psi || d.ks > thresholds.ks;
        found.iter().filter(passes).count() as f64 / found.len() as f64
    };
    // more pass when the level is lower; half of the share each would be too few, for both often pass together
    // the share among so many quarters is itself known to a standard error, and doubt counts against the threshold
    let share = share - (share * (1.0 - share) / found.len() as f64).sqrt();
    let (mut low, mut high) = (1.0 - share.max(0.0), 1.0);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        if passing(&at(middle)?) > share { low = middle } else { high = middle }
    }
    at(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_defined_is_none() {
        let column = |rows: u32| -> Vec<Option<f64>> { (0..rows).map(|n| Some(f64::from(n))).collect() };
        let watch = Watch { window: 20, every: 10, quarter: 60 };
        let resampling = Resampling { block: 3.0, resamples: 30, seed: 1 };
        let ask = |columns: &[Vec<Option<f64>>], watch, budget| thresholds(columns, &watch, budget, &resampling);
        assert_eq!(ask(&[], watch, 1.0), None);
        assert_eq!(ask(&[column(100), column(101)], watch, 1.0), None);
        assert_eq!(ask(&[column(100)], Watch { window: 61, ..watch }, 1.0), None);
        assert_eq!(ask(&[column(100)], watch, 0.0), None);
        let two = ask(&[column(100), column(100)], watch, 0.5).unwrap();
        assert!(two[0] == two[1] && two[0].ks > 0.0 && two[0].ks < 1.0, "{two:?}");
        assert!(ask(&[column(100)], watch, 0.1).unwrap()[0].ks > two[0].ks);
        let same =
            |a: &[f64], b: &[f64]| (sorted_ks(a, b) - crate::stats::drift::ks_distance(a, b).unwrap()).abs() < 1e-12;
        assert!(same(&[1.0, 2.0, 2.0, 5.0], &[2.0, 3.0]) && same(&[1.0; 9], &[1.0; 4]) && same(&[1.0], &[2.0, 3.0]));
        assert!((widening(1e9, 0.05) - 1.0).abs() < 1e-6 && widening(10.0, 0.05) > 1.2);
        // 1,000 rows that turn once, and 1,000 of which neighbours have nothing in common
        let watch = Watch { window: 100, every: 10, quarter: 600 };
        let slow: Vec<Option<f64>> = (0..1000).map(|n| Some(f64::from(n).sqrt())).collect();
        let fast: Vec<Option<f64>> = (0..1000).map(|n| Some(f64::from((n * 7919) % 1000))).collect();
        assert!(is_short(&slow, &watch, 0.2) && !is_short(&fast, &watch, 0.2));
        assert!(!is_short(&[Some(1.0); 1000], &watch, 0.2), "what never varied is watched");
        assert!(!Thresholds::NEVER.are_passed(&Reference::of(column(100)).unwrap(), &[Some(1e9); 20]));
        assert!(two[0].are_passed(&Reference::of(column(100)).unwrap(), &[None; 20]));
    }
}
