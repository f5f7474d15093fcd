//! A matrix cut into at most 255 bins a column, so that the best split of a node is found by one pass over its rows.
//! (Ke et al. 2017, LightGBM; the histogram method is older.)

use ndarray::{ArrayView1, ArrayView2};

/// Most bins of a column.
const MAX_BINS: usize = 255;

/// The columns of a training part, binned.
pub(super) struct Bins {
    pub columns: Vec<Column>,
    /// Where the bins of each column begin in a histogram of all columns; one more at the end, their total.
    pub offsets: Vec<usize>,
    pub rows: usize,
}

/// One column.
pub(super) struct Column {
    /// The bin of each row.
    pub bins: Vec<u8>,
    /// Thresholds between bins: `x` is in bin `b` or below where x <= cuts[b]. One fewer than there are bins.
    pub cuts: Vec<f64>,
}

impl Bins {
    /// Bins a finite matrix.
    pub fn new(x: ArrayView2<'_, f64>) -> Self {
        let columns: Vec<Column> = x.columns().into_iter().map(Column::new).collect();
        let mut offsets = vec![0];
        let mut total = 0;
        for column in &columns {
            total += column.len();
            offsets.push(total);
        }
        Self { columns, offsets, rows: x.nrows() }
    }
}

impl Column {
    fn new(x: ArrayView1<'_, f64>) -> Self {
        let mut sorted = x.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let cuts = cuts(&sorted);
        // at most 254 cuts, so that a place among them fits into a byte
        let bins = x.iter().map(|value| cuts.partition_point(|cut| cut < value) as u8).collect();
        Self { bins, cuts }
    }

    /// Number of bins.
    pub fn len(&self) -> usize {
        self.cuts.len() + 1
    }
}

/// Cuts half-way between neighbours: all of them where there are few distinct values, else those that leave about as
/// many rows in each bin.
fn cuts(sorted: &[f64]) -> Vec<f64> {
    let runs: Vec<(f64, usize)> =
        sorted.chunk_by(|a, b| a == b).filter_map(|run| Some((*run.first()?, run.len()))).collect();
    let few = runs.len() <= MAX_BINS;
    let (mut cuts, mut in_bin, mut left) = (Vec::new(), 0, sorted.len());
    for (run, next) in runs.iter().zip(runs.iter().skip(1)) {
        in_bin += run.1;
        let share = left as f64 / (MAX_BINS - cuts.len()) as f64;
        // a bin ends where it is full, or would be more overfull with the next value than it is short without it
        let full = in_bin as f64 >= share || (in_bin + next.1) as f64 - share > share - in_bin as f64;
        if few || (full && cuts.len() + 1 < MAX_BINS) {
            cuts.push(between(run.0, next.0));
            left -= in_bin;
            in_bin = 0;
        }
    }
    cuts
}

/// A number from `low` up to but without `high`, half-way where rounding allows.
fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if middle >= low && middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn column(values: &[f64]) -> Column {
        Column::new(ArrayView1::from(values))
    }

    #[test]
    fn a_value_and_its_bin_stand_on_the_same_side_of_every_cut() {
        let tiny = f64::from_bits(1);
        let close = [1.0, 1.0 + f64::EPSILON, 1.0 + 2.0 * f64::EPSILON, -0.0, 0.0, tiny, -f64::MAX, f64::MAX];
        let many: Vec<f64> = (0..2_000).map(|i| f64::from(i % 700).powi(3) - 1e7).collect();
        for values in [&close[..], &many, &[3.0; 10]] {
            let column = column(values);
            assert!(column.len() <= MAX_BINS && column.cuts.is_sorted(), "{:?}", column.cuts);
            for (value, &bin) in values.iter().zip(&column.bins) {
                for (place, cut) in column.cuts.iter().enumerate() {
                    assert_eq!(value <= cut, usize::from(bin) <= place, "{value} and the cut {cut}");
                }
            }
        }
        assert_eq!(column(&close).len(), 7, "-0 is 0, all else is told apart");
    }

    #[test]
    fn many_values_fill_their_bins_evenly_and_a_frequent_one_has_its_own() {
        let spread: Vec<f64> = (0..51_000).map(f64::from).collect();
        let mut filled = [0; 256];
        column(&spread).bins.iter().for_each(|bin| filled[usize::from(*bin)] += 1);
        assert!(filled[..255].iter().all(|rows| (199..=201).contains(rows)), "{filled:?}");
        let mut half: Vec<f64> = (0..10_000).map(f64::from).collect();
        half.extend([5_000.5; 10_000]);
        let column = column(&half);
        let bin = column.bins[15_000];
        assert_eq!(column.bins.iter().filter(|b| **b == bin).count(), 10_000);
        assert!(column.len() > 100);
        assert_eq!(Bins::new(Array2::zeros((3, 2)).view()).offsets, [0, 1, 2]);
    }
}
