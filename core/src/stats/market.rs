//! Regimes that the market itself shows: calm or wild, by a jump model of its volatility and the strength of its trend.
//!
//! The model is fitted to a past and filtered from then on: a label knows of its signal and of those before it.

use serde::{Deserialize, Serialize};

use super::{
    describe::{mean, standard_deviation},
    jump::{JumpFilter, JumpModel, JumpOptions},
};
use crate::domain::Feature;

/// Names of the states, the less volatile first.
pub const NAMES: [&str; 2] = ["market calm", "market wild"];
/// What a regime is seen by: how wide the market swings, how far it is from its mean, how fast it moved; the last two whatever the side
/// of the trade.
pub const FEATURES: [Feature; SEEN_BY] = [Feature::MarketVolatility, Feature::VwapTrendSignal, Feature::RecentMomentum];
const SEEN_BY: usize = 3;
/// Cost of each change, against half the squared distance in standard deviations: a change pays when a few trades agree on it.
const PENALTY: f64 = 10.0;
/// Signals that a model is fitted on, at least.
pub const FEWEST: usize = 100;
/// Share of these in which an input must be known.
const LEAST_KNOWN: f64 = 0.5;

/// What one signal shows of the market, each at least 0.
pub type Shown = [Option<f64>; SEEN_BY];

/// Two regimes, and how to see them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketRegime {
    scales: Vec<Scale>,
    model: JumpModel,
}

/// An input of the regime on the scale of the signals it was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    place: usize,
    mean: f64,
    deviation: f64,
}

/// Labels signal by signal. It knows only what it was given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct MarketFilter {
    /// What was shown last, on its scale; 0 before anything was.
    held: [f64; SEEN_BY],
    filter: JumpFilter,
}

/// What a row of inputs shows that begins with the features, turned to the side of its trade, whatever that is.
pub fn shown(row: &[Option<f64>]) -> Shown {
    FEATURES.map(|feature| {
        let (_, value) = Feature::ALL.into_iter().zip(row).find(|(known, _)| *known == feature)?;
        value.filter(|value| value.is_finite()).map(f64::abs)
    })
}

impl MarketRegime {
    /// Fits the regimes to `past`, oldest first. `None` where too little is known of the market, or it has one regime only.
    pub fn fit(past: &[Shown], seed: u64) -> Option<Self> {
        let scales: Vec<Scale> = (0..SEEN_BY).filter_map(|place| scale(past, place)).collect();
        if past.len() < FEWEST || scales.first().is_none_or(|scale| scale.place != 0) {
            return None;
        }
        let mut held = MarketFilter::default();
        let rows: Vec<Vec<f64>> = past.iter().map(|shown| held.row(&scales, shown)).collect();
        let options = JumpOptions { states: NAMES.len(), penalty: PENALTY, starts: 10, rounds: 100, seed };
        let model = JumpModel::fit(&rows, &options).ok()?.model;
        Some(Self { scales, model })
    }

    /// The label of each signal from it and those before it.
    pub fn filtered<'a>(&self, shown: impl IntoIterator<Item = &'a Shown>) -> Vec<usize> {
        let mut filter = MarketFilter::default();
        shown.into_iter().map(|shown| filter.step(self, shown)).collect()
    }

    /// The label of the last signal, by these alone. `None` of none.
    pub fn label<'a>(&self, shown: impl IntoIterator<Item = &'a Shown>) -> Option<usize> {
        let mut filter = MarketFilter::default();
        shown.into_iter().map(|shown| filter.step(self, shown)).last()
    }

    /// As numbers: the penalty, mean and deviation of each input, then each centre; 0 for an input that is not known often enough.
    pub fn numbers(&self) -> [f64; NUMBERS] {
        let mut numbers = vec![self.model.penalty];
        let scale = |place: usize| self.scales.iter().find(|scale| scale.place == place);
        numbers.extend((0..SEEN_BY).flat_map(|place| scale(place).map_or([0.0; 2], |it| [it.mean, it.deviation])));
        for center in &self.model.centers {
            let of = |place: usize| self.scales.iter().position(|scale| scale.place == place);
            numbers.extend((0..SEEN_BY).map(|place| of(place).and_then(|at| center.get(at).copied()).unwrap_or(0.0)));
        }
        numbers.try_into().unwrap_or([0.0; NUMBERS])
    }

    /// The same with numbers of six digits, which are short to write.
    pub fn rounded(&self) -> Option<Self> {
        let short = |number: f64| format!("{number:.5e}").parse().unwrap_or(number);
        Self::of_numbers(&self.numbers().map(short))
    }

    /// Back from [`Self::numbers`]. `None` for numbers that no regimes have.
    pub fn of_numbers(numbers: &[f64]) -> Option<Self> {
        let (numbers, penalty) = (<&[f64; NUMBERS]>::try_from(numbers).ok()?, *numbers.first()?);
        let (scales, centers) = numbers.get(1..)?.split_at_checked(2 * SEEN_BY)?;
        let fine = penalty >= 0.0 && numbers.iter().all(|number| number.is_finite());
        let all = scales.chunks_exact(2).enumerate().filter_map(|(place, pair)| match *pair {
            [mean, deviation] if deviation > 0.0 => Some(Scale { place, mean, deviation }),
            _ => None,
        });
        let scales: Vec<Scale> = all.collect();
        let center = |all: &[f64]| scales.iter().filter_map(|scale| all.get(scale.place).copied()).collect();
        let centers: Vec<Vec<f64>> = centers.chunks_exact(SEEN_BY).map(center).collect();
        let is_seen = scales.first().is_some_and(|scale| scale.place == 0);
        (fine && is_seen).then_some(Self { scales, model: JumpModel { centers, penalty } })
    }
}

/// How many numbers [`MarketRegime::numbers`] are.
pub const NUMBERS: usize = 1 + 2 * SEEN_BY + NAMES.len() * SEEN_BY;

impl MarketFilter {
    /// The label of the next signal.
    pub fn step(&mut self, regime: &MarketRegime, shown: &Shown) -> usize {
        self.take(&regime.scales, shown);
        let held = self.held.get(..regime.scales.len()).unwrap_or_default();
        self.filter.step(&regime.model, held)
    }

    /// What is not shown is what was shown before.
    fn take(&mut self, scales: &[Scale], shown: &Shown) {
        for (held, scale) in self.held.iter_mut().zip(scales) {
            if let Some(value) = shown.get(scale.place).copied().flatten().filter(|value| value.is_finite()) {
                *held = (value - scale.mean) / scale.deviation;
            }
        }
    }

    fn row(&mut self, scales: &[Scale], shown: &Shown) -> Vec<f64> {
        self.take(scales, shown);
        self.held.iter().take(scales.len()).copied().collect()
    }
}

/// Of an input that is known often enough and varies.
fn scale(past: &[Shown], place: usize) -> Option<Scale> {
    let known: Vec<f64> = past.iter().filter_map(|shown| shown.get(place).copied().flatten()).collect();
    let enough = known.len() as f64 >= LEAST_KNOWN * past.len() as f64;
    let deviation = standard_deviation(&known).filter(|deviation| enough && *deviation > 0.0)?;
    Some(Scale { place, mean: mean(&known)?, deviation })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    /// Signals whose market is wild in every other hundred; of every seventh nobody knows how wild.
    fn market(signals: usize) -> Vec<Shown> {
        let mut rng = Pcg64::seed_from_u64(4);
        let mut one = |number: usize| {
            let wild = f64::from(u8::from(number / 100 % 2 == 1));
            let width = 0.2 + 0.3 * wild + 0.1 * rng.random::<f64>();
            [
                Some(width).filter(|_| !number.is_multiple_of(7)),
                Some(0.1 + 0.4 * wild + 0.3 * rng.random::<f64>()),
                None,
            ]
        };
        (0..signals).map(&mut one).collect()
    }

    #[test]
    fn a_planted_regime_is_found_and_what_comes_later_never_changes_a_label() {
        let whole = market(800);
        let regime = MarketRegime::fit(&whole[..400], 1).unwrap();
        let labels = regime.filtered(&whole);
        let right = |(number, label): &(usize, &usize)| number / 100 % 2 == **label;
        assert!(labels.iter().enumerate().filter(right).count() > 780);
        for cut in [401, 555, 703] {
            assert_eq!(regime.filtered(&whole[..cut]), labels[..cut]);
            assert_eq!(regime.label(&whole[..cut]), labels[..cut].last().copied());
        }
        // from a window a label is what it is from the beginning, but for the first signals of a window that begins in the dark
        let windowed = |end: usize| regime.label(&whole[end.saturating_sub(250)..end]);
        assert!((1..=800).filter(|end| windowed(*end) != Some(labels[end - 1])).count() < 8);
    }

    #[test]
    fn regimes_are_the_same_after_they_were_numbers() {
        let whole = market(800);
        let regime = MarketRegime::fit(&whole[..400], 1).unwrap();
        let back = MarketRegime::of_numbers(&regime.numbers()).unwrap();
        assert_eq!(back, regime);
        assert_eq!(back.filtered(&whole), regime.filtered(&whole));
        let mut bad = regime.numbers();
        bad[2] = 0.0;
        assert_eq!(MarketRegime::of_numbers(&bad), None, "nothing is seen without a volatility");
        bad[2] = f64::NAN;
        assert_eq!((MarketRegime::of_numbers(&bad), MarketRegime::of_numbers(&bad[1..])), (None, None));
    }

    #[test]
    fn without_a_volatility_or_with_too_few_signals_there_is_no_regime() {
        let whole = market(300);
        assert_eq!(MarketRegime::fit(&whole[..FEWEST - 1], 1), None);
        let blind: Vec<Shown> = whole.iter().map(|shown| [None, shown[1], None]).collect();
        assert_eq!(MarketRegime::fit(&blind, 1), None);
    }
}
