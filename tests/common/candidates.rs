//! Trades and candidate inputs whose truth is known: which of them know something of the outcome.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    discovery::{Candidate, DiscoverError, Discovery, DiscoveryOptions, Standing, search},
    models::{Kind, Solver, Target},
    stats::normal::quantile,
    validation::{Examples, Goal, Recipe},
};

use super::planted::{design, examples, normal, rows};

/// Trades of a session.
const SESSION: usize = 5;

/// How the outcome comes about besides what is planted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Process {
    /// Each trade for itself.
    Independent,
    /// Sessions share a mood (correlation .3) that lasts (AR .8).
    Moods,
    /// The win rate is 15 points up or down, for 60 trades on average.
    Regimes,
    /// The win rate falls by 15 points from the first trade to the last.
    Decline,
}

/// How much there is to search in.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub trades: usize,
    pub candidates: usize,
}

/// As much as in life: the trades before the test part of 2,840.
pub const FULL: Size = Size { trades: 2_272, candidates: 200 };
/// As little as shows it.
pub const SMALL: Size = Size { trades: 900, candidates: 40 };

/// What a candidate remembers of the trade before: a quarter of them each.
const MEMORIES: [f64; 4] = [0.0, 0.6, 0.9, 0.98];

/// A search in a market of `process` with `planted` candidates that know something: their log-odds are `strength` a standard
/// deviation. Which of the findings were planted is told by their names, `planted_N`.
pub fn searched(size: Size, process: Process, planted: usize, strength: f64, seed: u64) -> Discovery {
    let mut rng = Pcg64::seed_from_u64(seed);
    let columns: Vec<Vec<f64>> =
        (0..size.candidates).map(|place| series(MEMORIES[place % 4], size.trades, &mut rng)).collect();
    let base = base(process, size.trades, &mut rng);
    let mut rows = rows(seed, size.trades, &[]);
    for (place, row) in rows.iter_mut().enumerate() {
        let sign = |planted: usize| if planted.is_multiple_of(2) { strength } else { -strength };
        let log_odds: f64 = columns.iter().take(planted).enumerate().map(|(k, x)| sign(k) * x[place]).sum();
        let (threshold, mood) = base[place];
        // what was .5 becomes the probability of these log-odds
        let shift = quantile(1.0 / (1.0 + (-log_odds).exp())).unwrap();
        let won = mood < threshold + shift;
        row.truth = f64::from(u8::from(won));
    }
    let candidates: Vec<Candidate> = columns
        .into_iter()
        .enumerate()
        .map(|(place, column)| Candidate {
            name: if place < planted { format!("planted_{place}") } else { format!("chance_{place}") }.into(),
            expression: format!("extra(x{place})").into(),
            values: column.into_iter().map(Some).collect(),
        })
        .collect();
    search_in(&examples(Goal::Profitability, rows), &candidates, seed).unwrap()
}

/// A search as the command does one.
///
/// # Errors
/// When there can be none.
pub fn search_in(trades: &Examples, candidates: &[Candidate], seed: u64) -> Result<Discovery, DiscoverError> {
    let design = design();
    let recipe = Recipe {
        kind: Kind::Logistic,
        target: Target::Profitability,
        solver: Solver::Newton,
        design: &design,
        seed: 1,
    };
    let options = DiscoveryOptions { false_discovery_rate: 0.1, folds: 5, stable_folds: 4, embargo_hours: 24.0, seed };
    search(trades, candidates, &recipe, &options, &mut |_| ())
}

/// An autoregressive series of variance 1.
fn series(memory: f64, trades: usize, rng: &mut Pcg64) -> Vec<f64> {
    let mut last = normal(rng);
    let mut next = || {
        last = memory * last + (1.0 - memory * memory).sqrt() * normal(rng);
        last
    };
    (0..trades).map(|_| next()).collect()
}

/// Of each trade the threshold below which its standard normal mood is a win, and the mood.
fn base(process: Process, trades: usize, rng: &mut Pcg64) -> Vec<(f64, f64)> {
    let (mut mood, mut up) = (normal(rng), rng.random::<bool>());
    let mut one = |place: usize| {
        if place.is_multiple_of(SESSION) {
            mood = 0.8 * mood + 0.6 * normal(rng);
        }
        if rng.random::<f64>() < 1.0 / 60.0 {
            up = !up;
        }
        let own = normal(rng);
        let rate = |rate: f64| quantile(rate).unwrap();
        match process {
            Process::Independent => (0.0, own),
            Process::Moods => (0.0, 0.3_f64.sqrt() * mood + 0.7_f64.sqrt() * own),
            Process::Regimes => (rate(if up { 0.65 } else { 0.35 }), own),
            Process::Decline => (rate(0.575 - 0.15 * place as f64 / trades as f64), own),
        }
    };
    (0..trades).map(&mut one).collect()
}

/// How many were found, and how many of these were not planted.
pub fn count(found: &Discovery, least: Standing) -> (usize, usize) {
    let found = found.findings.iter().filter(|finding| finding.standing <= least);
    let names: Vec<&str> = found.map(|finding| &*finding.name).collect();
    (names.len(), names.iter().filter(|name| name.starts_with("chance")).count())
}
