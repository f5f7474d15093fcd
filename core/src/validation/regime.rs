//! Regimes that the market itself shows: calm or wild, by a jump model of its volatility and the strength of its trend.
//!
//! The model is fitted on what came before the test part and filtered over all trades, in the order of their signals: a label knows of its
//! trade and those before it. The trader's own labels of volatility and trend stay beside it.

use super::example::{Example, Examples};
use crate::{
    domain::Feature,
    stats::{
        describe::{mean, standard_deviation},
        jump::{JumpModel, JumpOptions},
    },
};

/// What a regime is seen by: how wide the market swings, how far it is from its mean, how fast it moved. The last two whatever the
/// side of the trade.
const SEEN_BY: [Feature; 3] = [Feature::MarketVolatility, Feature::VwapTrendSignal, Feature::RecentMomentum];
/// Names of the states, the less volatile first.
const NAMES: [&str; 2] = ["market calm", "market wild"];
/// Cost of each change, against half the squared distance in standard deviations: a change pays when a few trades agree on it.
const PENALTY: f64 = 10.0;
/// Trades that a model is fitted on, at least.
const FEWEST: usize = 100;
/// Share of these in which an input must be known.
const LEAST_KNOWN: f64 = 0.5;

/// An input of the regime on the scale of the trades it was fitted on.
struct Scale {
    place: usize,
    mean: f64,
    deviation: f64,
}

/// The regime of every trade, by name; `learnt` are the rows that come before the test part. `None` where too little is known of
/// the market, or it has one regime only.
pub(super) fn regimes(examples: &Examples, learnt: &[usize], seed: u64) -> Option<Vec<&'static str>> {
    let scales = scales(examples, learnt);
    if learnt.len() < FEWEST
        || !scales.iter().any(|scale| scale.place == place(examples, SEEN_BY.first()).unwrap_or(usize::MAX))
    {
        return None;
    }
    let rows = rows(examples.as_slice(), &scales);
    let past: Vec<Vec<f64>> = learnt.iter().filter_map(|row| rows.get(*row).cloned()).collect();
    let options = JumpOptions { states: NAMES.len(), penalty: PENALTY, starts: 10, rounds: 100, seed };
    let fit = JumpModel::fit(&past, &options).ok()?;
    fit.model.filtered(&rows).into_iter().map(|state| NAMES.get(state).copied()).collect()
}

fn place(examples: &Examples, feature: Option<&Feature>) -> Option<usize> {
    examples.schema().position(feature?.name())
}

/// Of each input that is known often enough and varies.
fn scales(examples: &Examples, learnt: &[usize]) -> Vec<Scale> {
    let scale = |feature: &Feature| {
        let place = place(examples, Some(feature))?;
        let known: Vec<f64> = examples.pick(learnt).filter_map(|example| size(example, place)).collect();
        let enough = known.len() as f64 >= LEAST_KNOWN * learnt.len() as f64;
        let deviation = standard_deviation(&known).filter(|deviation| enough && *deviation > 0.0)?;
        Some(Scale { place, mean: mean(&known)?, deviation })
    };
    SEEN_BY.iter().filter_map(scale).collect()
}

/// What a trade shows at `place`, whatever its side.
fn size(example: &Example, place: usize) -> Option<f64> {
    example.values.get(place).copied().flatten().map(f64::abs)
}

/// What each trade shows; where it shows nothing, what the trade before it did.
fn rows(examples: &[Example], scales: &[Scale]) -> Vec<Vec<f64>> {
    let mut last = vec![0.0; scales.len()];
    let mut row = |example: &Example| {
        for (held, scale) in last.iter_mut().zip(scales) {
            if let Some(value) = size(example, scale.place) {
                *held = (value - scale.mean) / scale.deviation;
            }
        }
        last.clone()
    };
    examples.iter().map(&mut row).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::{
        domain::{Timestamp, TradingCalendar},
        features::row::{BUILT_IN, Schema},
        validation::{Goal, Life},
    };

    /// Trades whose market is wild in every other hundred, and what is known of it.
    fn examples(trades: usize) -> Examples {
        let calendar = TradingCalendar::new(jiff::tz::TimeZone::UTC, jiff::civil::time(17, 0, 0, 0));
        let mut rng = Pcg64::seed_from_u64(4);
        let mut one = |number: usize| {
            let wild = f64::from(u8::from(number / 100 % 2 == 1));
            let side = if rng.random::<bool>() { 1.0 } else { -1.0 };
            let mut values = vec![None; BUILT_IN];
            values[8] = Some(0.2 + 0.3 * wild + 0.1 * rng.random::<f64>()).filter(|_| !number.is_multiple_of(7));
            values[0] = Some(side * (0.1 + 0.4 * wild + 0.3 * rng.random::<f64>()));
            let at = Timestamp::from_second(1_420_000_000 + 3_600 * number as i64).unwrap();
            Example {
                values,
                life: Life { at, exit_at: at, known_at: at },
                truth: f64::from(u8::from(number.is_multiple_of(2))),
                pnl: 1.0,
                confidence: None,
                heard: false,
                volatility: None,
                trend: None,
                day: calendar.day_of(at),
            }
        };
        let rows = (0..trades).map(&mut one).collect();
        Examples::new(Goal::Profitability, Schema::built_in(), rows).unwrap()
    }

    #[test]
    fn a_planted_regime_is_named_and_what_comes_later_never_renames_it() {
        let (learnt, whole) = ((0..400).collect::<Vec<usize>>(), examples(800));
        let names = regimes(&whole, &learnt, 1).unwrap();
        let right = |(number, name): &(usize, &&str)| (number / 100 % 2 == 1) == (***name == *NAMES[1]);
        assert!(names.iter().enumerate().filter(right).count() > 780);
        for cut in [401, 555, 703] {
            assert_eq!(regimes(&examples(cut), &learnt, 1).unwrap(), names[..cut]);
        }
    }

    #[test]
    fn without_a_volatility_or_with_too_few_trades_there_is_no_regime() {
        let whole = examples(300);
        assert_eq!(regimes(&whole, &(0..99).collect::<Vec<_>>(), 1), None);
        let blind =
            whole.as_slice().iter().map(|row| Example { values: vec![None; BUILT_IN], ..row.clone() }).collect();
        let blind = Examples::new(Goal::Profitability, Schema::built_in(), blind).unwrap();
        assert_eq!(regimes(&blind, &(0..200).collect::<Vec<_>>(), 1), None);
    }
}
