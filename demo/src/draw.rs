//! Seeded draws: uniform, normal, and what follows from them. Each concern has a stream of its own, so that a knob of
//! one changes nothing of the others.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// What a stream of draws is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// Prices, volumes, moods.
    Market = 1,
    /// Which breakouts the trader takes, and how sure it is.
    Trader = 2,
    /// What becomes of trades.
    Fate = 3,
    /// What gets lost, late or twice on the way.
    Delivery = 4,
}

/// More than there are streams.
const STREAMS: u64 = 8;

/// A stream of draws.
#[derive(Debug, Clone)]
pub(super) struct Draw(Pcg64);

impl Draw {
    /// The stream of `seed` for one concern.
    pub(super) fn new(seed: u64, stream: Stream) -> Self {
        // the generator spreads its seed, so neighbours have nothing in common
        let rng = Pcg64::seed_from_u64(seed.wrapping_mul(STREAMS).wrapping_add(stream as u64));
        Self(rng)
    }

    /// From 0 to below 1.
    pub(super) fn uniform(&mut self) -> f64 {
        self.0.random()
    }

    /// From `low` to below `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// True with probability `p`.
    pub(super) fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Standard normal, by Box and Muller.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Around 1, with standard deviation `spread` of its logarithm.
    pub(super) fn lognormal(&mut self, spread: f64) -> f64 {
        (spread * self.normal()).exp()
    }

    /// Pareto with lowest value 1: heavy on the right, the more so the smaller `shape`.
    pub(super) fn pareto(&mut self, shape: f64) -> f64 {
        (1.0 - self.uniform()).powf(-1.0 / shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_they_should_and_streams_and_seeds_differ() {
        let n = 40_000;
        let mut draw = Draw::new(1, Stream::Market);
        let normals: Vec<f64> = (0..n).map(|_| draw.normal()).collect();
        let moment = |k: i32| normals.iter().map(|x| x.powi(k)).sum::<f64>() / f64::from(n);
        for (k, expected, error) in [(1, 0.0, 1.0_f64), (2, 1.0, 2.0), (4, 3.0, 96.0)] {
            assert!((moment(k) - expected).abs() < 4.0 * (error / f64::from(n)).sqrt(), "{k}: {}", moment(k));
        }
        let beyond = (0..n).filter(|_| draw.pareto(3.0) > 2.0).count() as f64 / f64::from(n);
        assert!((beyond - 0.125).abs() < 0.007, "{beyond}");
        let firsts = [(1, Stream::Market), (2, Stream::Market), (1, Stream::Fate)].map(|(seed, stream)| {
            let mut draw = Draw::new(seed, stream);
            [draw.uniform(), draw.uniform()]
        });
        assert!(firsts[0] != firsts[1] && firsts[0] != firsts[2]);
        // not only different: neighbours do not move together
        let pairs: Vec<(f64, f64)> = (0..2000)
            .map(|seed| {
                let [a, b] = [seed, seed + 1].map(|seed| Draw::new(seed, Stream::Fate).normal());
                (a, b)
            })
            .collect();
        let together = pairs.iter().map(|(a, b)| a * b).sum::<f64>() / 2000.0;
        assert!(together.abs() < 0.09, "{together}");
    }
}
