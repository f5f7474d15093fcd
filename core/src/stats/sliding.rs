//! How far every window of a long column goes from its reference, without sorting each: a value is looked up once, and a window
//! is counts of places, which are added and taken away as it slides.

use super::{drift::stability_of, reference::Reference};

/// How far a window is from its reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Population stability index.
    pub psi: f64,
    /// Kolmogorov-Smirnov distance.
    pub ks: f64,
}

/// Where a value falls: its bin, and its place among the quantiles. Even places lie between two of them, odd ones on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    bin: usize,
    among: usize,
}

/// Counts of the places of a window.
pub(super) struct Sliding<'a> {
    reference: &'a Reference,
    bins: Vec<u64>,
    among: Vec<u64>,
    values: u64,
}

/// The places of `values`; a missing value has none.
pub(super) fn places(reference: &Reference, values: &[Option<f64>]) -> Vec<Option<Place>> {
    let quantiles = reference.quantiles();
    let place = |value: f64| {
        let (below, to) = (quantiles.partition_point(|q| *q < value), quantiles.partition_point(|q| *q <= value));
        Place { bin: reference.bin(value), among: if below == to { 2 * below } else { 2 * below + 1 } }
    };
    values.iter().map(|value| value.filter(|value| value.is_finite()).map(place)).collect()
}

impl<'a> Sliding<'a> {
    pub(super) fn new(reference: &'a Reference) -> Self {
        let among = vec![0; 2 * reference.quantiles().len() + 1];
        Self { reference, bins: vec![0; reference.shares().len()], among, values: 0 }
    }

    /// The furthest that a window of `size` goes over `quarter`, measured at every `every`-th row. `None` where no window has a value.
    pub(super) fn furthest(&mut self, quarter: &[Option<Place>], size: usize, every: usize) -> Option<Distance> {
        self.clear();
        let (size, every) = (size.max(1), every.max(1));
        let mut furthest: Option<Distance> = None;
        for (row, place) in quarter.iter().enumerate() {
            self.add(*place);
            if let Some(gone) = row.checked_sub(size) {
                self.take_away(quarter.get(gone).copied().flatten());
            }
            let full = row + 1 >= size;
            if full && (row + 1 - size).is_multiple_of(every) {
                let found = self.distance();
                furthest = match (furthest, found) {
                    (Some(a), Some(b)) => Some(Distance { psi: a.psi.max(b.psi), ks: a.ks.max(b.ks) }),
                    (a, b) => a.or(b),
                };
            }
        }
        furthest
    }

    fn clear(&mut self) {
        self.bins.fill(0);
        self.among.fill(0);
        self.values = 0;
    }

    fn add(&mut self, place: Option<Place>) {
        let Some(Place { bin, among }) = place else { return };
        self.bins.get_mut(bin).into_iter().for_each(|count| *count += 1);
        self.among.get_mut(among).into_iter().for_each(|count| *count += 1);
        self.values += 1;
    }

    fn take_away(&mut self, place: Option<Place>) {
        let Some(Place { bin, among }) = place else { return };
        self.bins.get_mut(bin).into_iter().for_each(|count| *count -= 1);
        self.among.get_mut(among).into_iter().for_each(|count| *count -= 1);
        self.values -= 1;
    }

    fn distance(&self) -> Option<Distance> {
        (self.values > 0).then_some(())?;
        Some(Distance { psi: stability_of(self.reference, &self.bins)?, ks: self.ks() })
    }

    /// Both distribution functions are steps: between two quantiles they are furthest apart at the ends.
    fn ks(&self) -> f64 {
        let quantiles = self.reference.quantiles();
        let (step, own) = (1.0 / quantiles.len() as f64, 1.0 / self.values as f64);
        let (mut counted, mut largest, mut before) = (0, 0.0_f64, None);
        for (n, (quantile, counts)) in quantiles.iter().zip(self.among.chunks(2)).enumerate() {
            let apart = |counted: u64| (n as f64 * step - counted as f64 * own).abs();
            let between = counts.first().copied().unwrap_or_default();
            // of equal quantiles the reference takes all in one step
            if before != Some(*quantile) {
                largest = largest.max(apart(counted)).max(apart(counted + between));
            }
            counted += between + counts.get(1).copied().unwrap_or_default();
            before = Some(*quantile);
        }
        let rest = self.among.last().copied().unwrap_or_default();
        largest.max((1.0 - (counted + rest) as f64 * own).abs()).max((1.0 - counted as f64 * own).abs())
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::stats::budget::distance;

    #[test]
    fn a_window_that_slides_goes_as_far_as_one_that_is_measured_alone() {
        let mut rng = Pcg64::seed_from_u64(6);
        for levels in [3.0, 7.0, 1e6] {
            // few levels make ties, also among the quantiles
            let mut draw = |n: usize, more: f64| -> Vec<Option<f64>> {
                let value = |rng: &mut Pcg64| (rng.random::<f64>() * levels).floor() / levels + more;
                (0..n).map(|_| (rng.random::<f64>() > 0.1).then(|| value(&mut rng))).collect()
            };
            let reference = Reference::of(draw(400, 0.0)).unwrap();
            for more in [0.0, 0.2, 5.0, -5.0] {
                let column = draw(150, more);
                let codes = places(&reference, &column);
                for (size, every) in [(1, 1), (40, 7), (150, 1)] {
                    let each = column.windows(size).step_by(every).filter_map(|window| distance(&reference, window));
                    let alone = each.reduce(|a, b| Distance { psi: a.psi.max(b.psi), ks: a.ks.max(b.ks) });
                    let found = Sliding::new(&reference).furthest(&codes, size, every);
                    let (found, alone) = (found.unwrap(), alone.unwrap());
                    assert!(
                        (found.psi - alone.psi).abs() < 1e-12 && (found.ks - alone.ks).abs() < 1e-12,
                        "{found:?} {alone:?}"
                    );
                }
            }
        }
    }
}
