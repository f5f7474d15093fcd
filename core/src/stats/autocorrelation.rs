//! How long a series remembers, as far as the error of a mean is concerned.

use super::describe::{mean, standard_deviation};

/// Values below which nothing is said.
const FEWEST: usize = 50;

/// By how much the standard error of the mean of a series is larger than that of independent values, at least 1: overlapping
/// batch means (Meketon and Schmeiser 1984) in batches of twice the root of its length, which see a memory up to about that
/// and less of a longer one. `None` below 50 values, or when they do not vary.
pub fn inflation(series: &[f64]) -> Option<f64> {
    let n = series.len();
    let batch = (2.0 * (n as f64).sqrt()) as usize;
    let deviation = standard_deviation(series).filter(|sd| n >= FEWEST && *sd > 0.0)?;
    let centre = mean(series)?;
    let mut sum: f64 = series.iter().take(batch).map(|x| x - centre).sum();
    let mut squares = sum * sum;
    for (gone, new) in series.iter().zip(series.iter().skip(batch)) {
        sum += new - gone;
        squares += sum * sum;
    }
    let (size, batch) = (n as f64, batch as f64);
    let squares = squares / (batch * batch);
    let long_run = size * batch / ((size - batch) * (size - batch + 1.0)) * squares;
    Some((long_run.sqrt() / deviation).max(1.0))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn the_memory_of_an_autoregressive_series_is_that_of_the_textbook() {
        let mut rng = Pcg64::seed_from_u64(5);
        let mut noise = move || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        // the standard error grows by the root of (1 + phi) / (1 - phi)
        for (phi, expected) in [(0.0, 1.0), (0.5, 3.0_f64.sqrt()), (0.8, 3.0)] {
            let mut last = 0.0;
            let mut next = || {
                last = phi * last + noise();
                last
            };
            let mut once = || inflation(&(0..20_000).map(|_| next()).collect::<Vec<f64>>()).unwrap();
            let found = (0..30).map(|_| once()).sum::<f64>() / 30.0;
            assert!((found / expected - 1.0).abs() < 0.05, "{phi}: {found} and not {expected}");
        }
    }

    #[test]
    fn a_series_that_swings_back_counts_as_one_without_memory_and_a_constant_one_has_none() {
        let turning: Vec<f64> = (0..100).map(|n| f64::from(n % 2)).collect();
        assert_eq!((inflation(&turning), inflation(&[1.0; 60]), inflation(&[1.0, 2.0])), (Some(1.0), None, None));
    }
}
