//! What a column of numbers looked like when a model learnt from it: all that later comparisons need, in small space.
//!
//! A [`Reference`] is stored with the version it belongs to. It holds the distribution as quantile bins and evenly spaced
//! quantiles, and beside that a few runs of consecutive values, so that chance can be simulated with the memory that the
//! column has. Which rows these are depends on nothing but the number of rows: the runs of all columns of one table are
//! the same rows, and may be put side by side.

use serde::{Deserialize, Serialize};

use super::describe::{mean, standard_deviation};

/// Most bins of a reference.
pub const BINS: usize = 10;
/// Most quantiles of a reference.
const QUANTILES: usize = 100;
/// Most rows of its sample.
pub const SAMPLE: usize = 200;
/// Consecutive rows of each run of a sample that is not the whole column.
pub const RUN: usize = 20;

/// The distribution of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Reference {
    rows: u64,
    missing: f64,
    edges: Vec<f64>,
    shares: Vec<f64>,
    mean: f64,
    sd: f64,
    quantiles: Vec<f64>,
    sample: Vec<Option<f64>>,
}

/// The same before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    rows: u64,
    missing: f64,
    edges: Vec<f64>,
    shares: Vec<f64>,
    mean: f64,
    sd: f64,
    quantiles: Vec<f64>,
    sample: Vec<Option<f64>>,
}

/// What is wrong with a stored reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored reference distribution cannot be used: {0}")]
pub struct InvalidReference(&'static str);

impl Reference {
    /// Describes `values`, which are in the order of time; what is not finite counts as missing. `None` when no value is
    /// there, or when they are so large that mean or deviation are not finite.
    pub fn of(values: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let column: Vec<Option<f64>> =
            values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
        let mut sorted: Vec<f64> = column.iter().flatten().copied().collect();
        let mean = mean(&sorted)?;
        let sd = if sorted.len() < 2 { 0.0 } else { standard_deviation(&sorted)? };
        sorted.sort_by(f64::total_cmp);
        let (edges, shares) = bins(&sorted)?;
        let kept = sample_rows(column.len());
        Some(Self {
            rows: column.len() as u64,
            missing: (column.len() - sorted.len()) as f64 / column.len() as f64,
            edges,
            shares,
            mean,
            sd,
            quantiles: spaced(&sorted),
            sample: kept.into_iter().filter_map(|row| column.get(row).copied()).collect(),
        })
    }

    /// Rows of the column, missing values included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Values that were there, at least 1.
    pub fn present(&self) -> f64 {
        (self.rows as f64 * (1.0 - self.missing)).round()
    }

    /// Share of missing values, 0 to below 1.
    pub fn missing(&self) -> f64 {
        self.missing
    }

    /// Inner edges of the bins, rising; the first and the last bin are open. A bin holds its upper edge. Without edges
    /// there is one bin: the values do not differ enough to be told apart.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// Share of the values in each bin, one more than there are edges; each is above 0, together 1.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// Mean of the values.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Their sample standard deviation; 0 when all are equal.
    pub fn sd(&self) -> f64 {
        self.sd
    }

    /// At most `QUANTILES` of the values, rising, each standing for an equal share of them: of 100 the i-th is the
    /// quantile (i - 1/2) / 100. All values when there are no more than that.
    pub fn quantiles(&self) -> &[f64] {
        &self.quantiles
    }

    /// At most [`SAMPLE`] rows in the order of time: all of them, or runs of [`RUN`] rows spread evenly.
    pub fn sample(&self) -> &[Option<f64>] {
        &self.sample
    }

    /// The bin that `value` falls in.
    pub fn bin(&self, value: f64) -> usize {
        self.edges.partition_point(|edge| *edge < value)
    }

    /// Whether `value` lies outside the middle 99 % of the values. Of a column that does not vary: whether it differs.
    pub fn is_unusual(&self, value: f64) -> bool {
        let (low, high) = (self.quantiles.first(), self.quantiles.last());
        !low.zip(high).is_some_and(|(low, high)| (*low..=*high).contains(&value))
    }
}

/// The rows that a sample of `rows` rows keeps.
fn sample_rows(rows: usize) -> Vec<usize> {
    if rows <= SAMPLE {
        return (0..rows).collect();
    }
    let runs = SAMPLE / RUN;
    let start = |run: usize| run * (rows - RUN) / (runs - 1);
    (0..runs).flat_map(|run| start(run)..start(run) + RUN).collect()
}

/// Inner edges at the tenths of sorted values, those that coincide once, and the share of each bin. An edge that has
/// nothing above it is left out, so no bin is empty.
fn bins(sorted: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
    let (size, last) = (sorted.len(), *sorted.last()?);
    let mut edges: Vec<f64> = Vec::with_capacity(BINS - 1);
    for tenth in 1..BINS {
        // the smallest value that has at least this share of the values at or below it
        let edge = *sorted.get((size * tenth).div_ceil(BINS).max(1) - 1)?;
        if edge < last && edges.last().is_none_or(|before| *before < edge) {
            edges.push(edge);
        }
    }
    let mut shares = Vec::with_capacity(edges.len() + 1);
    let mut below = 0;
    for edge in edges.iter().copied().chain([last]) {
        let through = sorted.partition_point(|value| *value <= edge);
        shares.push((through - below) as f64 / size as f64);
        below = through;
    }
    Some((edges, shares))
}

/// Evenly spaced order statistics of sorted values.
fn spaced(sorted: &[f64]) -> Vec<f64> {
    let (size, kept) = (sorted.len(), sorted.len().min(QUANTILES));
    let place = |index: usize| (2 * index + 1) * size / (2 * kept);
    (0..kept).filter_map(|index| sorted.get(place(index)).copied()).collect()
}

impl TryFrom<Stored> for Reference {
    type Error = InvalidReference;

    fn try_from(stored: Stored) -> Result<Self, InvalidReference> {
        let Stored { rows, missing, edges, shares, mean, sd, quantiles, sample } = stored;
        let rising = |values: &[f64], strictly: bool| {
            values.iter().all(|value| value.is_finite())
                && values.windows(2).all(|pair| matches!(pair, [a, b] if a < b || (!strictly && a == b)))
        };
        let total: f64 = shares.iter().sum();
        let kept = usize::try_from(rows).map_or(SAMPLE, |rows| rows.min(SAMPLE));
        let checks = [
            (rows > 0 && (0.0..1.0).contains(&missing), "its rows and its share of missing values contradict"),
            (rising(&edges, true) && edges.len() < BINS, "its bins are not in order"),
            (shares.len() == edges.len() + 1, "it has not one share for each bin"),
            (shares.iter().all(|share| *share > 0.0) && (total - 1.0).abs() < 1e-9, "its shares do not add up to 1"),
            (mean.is_finite() && sd.is_finite() && sd >= 0.0, "its mean or deviation is no number"),
            (rising(&quantiles, false) && (1..=QUANTILES).contains(&quantiles.len()), "its quantiles are not in order"),
            (sample.len() == kept && sample.iter().flatten().all(|value| value.is_finite()), "its sample is not whole"),
        ];
        match checks.into_iter().find(|(holds, _)| !holds) {
            Some((_, what)) => Err(InvalidReference(what)),
            None => Ok(Self { rows, missing, edges, shares, mean, sd, quantiles, sample }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(rows: usize) -> Reference {
        Reference::of((0..rows).map(|row| Some(row as f64))).unwrap()
    }

    #[test]
    fn a_long_column_is_ten_equal_bins_a_hundred_quantiles_and_ten_runs_of_twenty() {
        let reference = counting(1000);
        assert_eq!(reference.edges(), [99.0, 199.0, 299.0, 399.0, 499.0, 599.0, 699.0, 799.0, 899.0]);
        assert!(reference.shares().iter().all(|share| (share - 0.1).abs() < 1e-15));
        assert_eq!((reference.bin(-1.0), reference.bin(99.0), reference.bin(99.5), reference.bin(1e9)), (0, 0, 1, 9));
        assert_eq!(
            (reference.quantiles().len(), reference.quantiles()[0], reference.quantiles()[99]),
            (100, 5.0, 995.0)
        );
        let sample: Vec<f64> = reference.sample().iter().flatten().copied().collect();
        assert_eq!((sample.len(), sample[0], sample[19], sample[20], sample[199]), (200, 0.0, 19.0, 108.0, 999.0));
        assert_eq!((reference.mean(), reference.rows(), reference.missing()), (499.5, 1000, 0.0));
        assert!(reference.is_unusual(4.9) && !reference.is_unusual(5.0) && reference.is_unusual(f64::NAN));
    }

    #[test]
    fn ties_share_a_bin_and_no_bin_is_empty() {
        let few = Reference::of([-1.0, 0.0, 0.0, 0.0, 1.0].map(Some)).unwrap();
        assert_eq!((few.edges(), few.shares()), (&[-1.0, 0.0][..], &[0.2, 0.6, 0.2][..]));
        let constant = Reference::of([7.0; 30].map(Some)).unwrap();
        assert_eq!((constant.edges(), constant.shares(), constant.sd()), (&[][..], &[1.0][..], 0.0));
        assert!(constant.is_unusual(7.1) && !constant.is_unusual(7.0));
    }

    #[test]
    fn what_is_missing_is_counted_and_kept_in_its_place() {
        let reference = Reference::of([Some(1.0), None, Some(f64::NAN), Some(3.0)]).unwrap();
        assert_eq!((reference.missing(), reference.present(), reference.mean()), (0.5, 2.0, 2.0));
        assert_eq!(reference.sample(), [Some(1.0), None, None, Some(3.0)]);
        assert_eq!((Reference::of([]), Reference::of([None, None])), (None, None));
        assert_eq!(Reference::of([f64::MAX, f64::MAX].map(Some)), None);
    }

    #[test]
    fn it_is_read_back_as_it_was_and_a_damaged_one_is_refused() {
        let reference = counting(250);
        let stored = serde_json::to_value(&reference).unwrap();
        assert_eq!(serde_json::from_value::<Reference>(stored.clone()).unwrap(), reference);
        for (place, value, fault) in [
            ("/rows", serde_json::json!(0), "contradict"),
            ("/missing", serde_json::json!(1.0), "contradict"),
            ("/edges/3", serde_json::json!(-1.0), "not in order"),
            ("/shares/0", serde_json::json!(0.3), "add up"),
            ("/shares", serde_json::json!([1.0]), "one share for each"),
            ("/sd", serde_json::json!(-1.0), "deviation"),
            ("/quantiles", serde_json::json!([]), "quantiles"),
            ("/sample", serde_json::json!([1.0]), "not whole"),
        ] {
            let mut damaged = stored.clone();
            *damaged.pointer_mut(place).unwrap() = value;
            let error = serde_json::from_value::<Reference>(damaged).unwrap_err().to_string();
            assert!(error.contains(fault), "{place}: {error}");
        }
    }
}
