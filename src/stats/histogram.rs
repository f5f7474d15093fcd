//! Quantiles of many positive numbers in constant memory.

/// Buckets per doubling: a quantile is off by at most 2^(1/8) - 1, 9 %.
const PER_OCTAVE: f64 = 8.0;
/// Buckets; the last one takes everything from about 2^39.
const BUCKETS: usize = 40 * 8;

/// Counts in buckets that grow geometrically from 1. Numbers below 1 count as 1.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: f64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0.0 }
    }

    /// Counts `value`. What is not a number is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let bucket = (value.max(1.0).log2() * PER_OCTAVE) as usize; // saturates
        if let Some(count) = self.counts.get_mut(bucket.min(BUCKETS - 1)) {
            *count += 1;
            self.total += 1;
            self.max = self.max.max(value);
        }
    }

    /// The smallest bucket edge below which at least the share `q` (0 to 1) of the numbers lies; `None` when there are
    /// none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let wanted = (q * self.total as f64).ceil().max(1.0);
        let mut below = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            below += count;
            if below as f64 >= wanted {
                return Some(((bucket + 1) as f64 / PER_OCTAVE).exp2().min(self.max.max(1.0)));
            }
        }
        None
    }

    /// The largest number; `None` when there are none.
    pub fn max(&self) -> Option<f64> {
        (self.total > 0).then_some(self.max)
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_within_a_bucket() {
        let mut histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.max()), (None, None));
        (1..=1000).for_each(|n| histogram.add(f64::from(n)));
        for (q, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = histogram.quantile(q).unwrap();
            assert!((1.0..1.1).contains(&(found / exact)), "{q}: {found}");
        }
        histogram.add(f64::NAN);
        assert_eq!(histogram.max(), Some(1000.0));
    }
}
