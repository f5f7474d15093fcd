//! How far a window may move from its reference before that is news, when only so many false alarms are acceptable.
//!
//! Nothing is assumed about the columns: quarters without drift are drawn from the rows that were learnt from, in blocks that
//! keep the memory the rows have and side by side so that the columns stay together, and each is watched as the real one
//! will be. The thresholds are those that such quarters pass as often as the budget allows. What the reference itself
//! does not know for sure is part of that: it is drawn anew for each quarter.

use serde::{Deserialize, Serialize};

use super::{
    bootstrap::Resampling,
    describe::quantile,
    drift::{ks_distance, stability},
    reference::Reference,
};

/// Rows from which the reference of a drawn quarter is made, at most.
const MOST_ROWS: usize = 5000;
/// The largest share of quarters in which one column may raise a false alarm, whatever the budget.
const MOST_OFTEN: f64 = 0.5;

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

/// How far a window is from its reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Population stability index.
    pub psi: f64,
    /// Kolmogorov-Smirnov distance.
    pub ks: f64,
}

impl Thresholds {
    /// Whether a window of a column is beyond either. A window without values is: that cannot be evaluated.
    pub fn are_passed(&self, reference: &Reference, window: &[Option<f64>]) -> bool {
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
/// A history of some 200 rows is too short to say how far windows of 100 go: its thresholds come out too low. Takes time
/// in proportion to resamples, columns and measurements of a quarter.
pub fn thresholds(
    history: &[Vec<Option<f64>>],
    watch: &Watch,
    false_alarms: f64,
    resampling: &Resampling,
) -> Option<Vec<Thresholds>> {
    let pool = history.first()?.len();
    let same = history.iter().all(|other| other.len() == pool);
    let valid = same && watch.window > 0 && watch.window <= watch.quarter && false_alarms > 0.0;
    valid.then_some(())?;
    let share = (false_alarms / history.len() as f64).min(MOST_OFTEN);
    let learnt = pool.min(MOST_ROWS);
    let mut furthest: Vec<Vec<Distance>> = vec![Vec::with_capacity(resampling.resamples); history.len()];
    for draw in 0..resampling.resamples as u64 {
        let before = rows(resampling, 2 * draw, pool, learnt)?;
        let after = rows(resampling, 2 * draw + 1, pool, watch.quarter)?;
        for (column, found) in history.iter().zip(&mut furthest) {
            let pick = |rows: &[usize]| -> Vec<Option<f64>> {
                rows.iter().filter_map(|row| column.get(*row).copied()).collect()
            };
            let reference = Reference::of(pick(&before));
            found.extend(reference.and_then(|reference| furthest_of(&reference, watch, &pick(&after))));
        }
    }
    furthest.iter().map(|found| at_share(found, share)).collect()
}

/// `count` rows of a history of `pool` rows, drawn in blocks.
fn rows(resampling: &Resampling, draw: u64, pool: usize, count: usize) -> Option<Vec<usize>> {
    let mut rows = Vec::with_capacity(count + pool);
    let mut part = 0;
    while rows.len() < count {
        let seed = resampling.seed.wrapping_add(draw << 16).wrapping_add(part);
        let once = Resampling { resamples: 1, seed, ..*resampling };
        once.replicate(pool, |places| {
            rows.extend_from_slice(places);
            Some(0.0)
        })?;
        part += 1;
    }
    rows.truncate(count);
    Some(rows)
}

fn furthest_of(reference: &Reference, watch: &Watch, quarter: &[Option<f64>]) -> Option<Distance> {
    let found = watch.windows(quarter).filter_map(|window| distance(reference, window));
    found.reduce(|a, b| Distance { psi: a.psi.max(b.psi), ks: a.ks.max(b.ks) })
}

/// Measures a window. `None` without values.
pub fn distance(reference: &Reference, window: &[Option<f64>]) -> Option<Distance> {
    let values: Vec<f64> = window.iter().flatten().copied().filter(|value| value.is_finite()).collect();
    Some(Distance { psi: stability(reference, &values)?, ks: ks_distance(reference.quantiles(), &values)? })
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
        assert!(two[0].are_passed(&Reference::of(column(100)).unwrap(), &[None; 20]));
    }
}
