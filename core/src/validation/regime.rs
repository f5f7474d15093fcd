//! Regimes that the market itself shows: calm or wild, by a jump model of its volatility and the strength of its trend.
//!
//! The model is fitted on what came before the test part and filtered over all trades, in the order of their signals: a label knows of its
//! trade and those before it. The trader's own labels of volatility and trend stay beside it.

use super::example::Examples;
use crate::stats::market::{MarketRegime, NAMES, Shown, shown};

/// The regime of every trade, by name; `learnt` are the rows that come before the test part. `None` where too little is known of
/// the market, or it has one regime only.
pub(super) fn regimes(examples: &Examples, learnt: &[usize], seed: u64) -> Option<Vec<&'static str>> {
    let rows: Vec<Shown> = examples.as_slice().iter().map(|example| shown(&example.values)).collect();
    let past: Vec<Shown> = learnt.iter().filter_map(|row| rows.get(*row).copied()).collect();
    let regime = MarketRegime::fit(&past, seed)?;
    regime.filtered(&rows).into_iter().map(|state| NAMES.get(state).copied()).collect()
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;
    use crate::{
        domain::{Timestamp, TradingCalendar},
        features::row::{BUILT_IN, Schema},
        validation::{Example, Goal, Life},
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
