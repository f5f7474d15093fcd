//! Carrying forward what was last known of a symbol, for inputs that a signal lacks.
//!
//! Values are carried as they were read, before they are turned to a side: the signal they came from may have been on
//! the other one. The primary strategy's confidence is about one signal only and is never carried. There is no
//! interpolation towards a later value, which would tell the past about the future.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::row::CONFIDENCE_POSITION;
use crate::domain::{Symbol, Timestamp};

/// The last known value of every input of every symbol. Its size is fixed when it is made.
///
/// What it holds depends on the set of rows it observed and not on their order: of each input the latest value, and of
/// several at the same instant the largest.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardFill {
    max_age: SignedDuration,
    last: BTreeMap<Symbol, Vec<Option<Known>>>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    value: f64,
    at: Timestamp,
}

impl Known {
    fn replaces(self, other: Self) -> bool {
        self.at > other.at || (self.at == other.at && self.value > other.value)
    }
}

impl ForwardFill {
    /// Nothing known yet of `symbols`, whose rows are `width` values wide in the order of a schema. A value older than
    /// `max_age_hours` is not used; a number of hours beyond all time means for ever.
    pub fn new<'a>(symbols: impl IntoIterator<Item = &'a Symbol>, width: usize, max_age_hours: f64) -> Self {
        let max_age = SignedDuration::try_from_secs_f64(max_age_hours * 3600.0).unwrap_or(SignedDuration::MAX);
        Self { max_age, last: symbols.into_iter().map(|symbol| (symbol.clone(), vec![None; width])).collect() }
    }

    /// Takes note of what a row read at `at` knows. A symbol that was not announced is ignored, and so is a value that
    /// is older than the one held.
    pub fn observe(&mut self, symbol: &Symbol, at: Timestamp, values: &[Option<f64>]) {
        let Some(last) = self.last.get_mut(symbol) else { return };
        for (position, (held, value)) in last.iter_mut().zip(values).enumerate() {
            let Some(value) = *value else { continue };
            let news = Known { value, at };
            if position != CONFIDENCE_POSITION && held.is_none_or(|held| news.replaces(held)) {
                *held = Some(news);
            }
        }
    }

    /// Puts the last known value in the place of each missing one, if it is neither from after `at` nor too old. What
    /// cannot be filled stays missing.
    pub fn fill(&self, symbol: &Symbol, at: Timestamp, values: &mut [Option<f64>]) {
        let Some(last) = self.last.get(symbol) else { return };
        for (value, held) in values.iter_mut().zip(last) {
            if value.is_none() {
                *value = held.filter(|held| self.usable(held.at, at)).map(|held| held.value);
            }
        }
    }

    fn usable(&self, known_at: Timestamp, at: Timestamp) -> bool {
        known_at <= at && at.duration_since(known_at) <= self.max_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    fn time(minute: i64) -> Timestamp {
        Timestamp::from_second(1_420_000_000 + 60 * minute).unwrap()
    }

    /// One input, one hour; what an empty row gets at `minute`.
    fn filled(fill: &ForwardFill, name: &str, minute: i64) -> Option<f64> {
        let mut values = [None];
        fill.fill(&symbol(name), time(minute), &mut values);
        values[0]
    }

    fn hour_of(names: &[&str], width: usize) -> ForwardFill {
        ForwardFill::new(&names.iter().map(|name| symbol(name)).collect::<Vec<_>>(), width, 1.0)
    }

    #[test]
    fn a_value_is_carried_until_it_is_too_old_and_never_backwards() {
        let mut fill = hour_of(&["ES"], 1);
        fill.observe(&symbol("ES"), time(10), &[Some(0.3)]);
        fill.observe(&symbol("ES"), time(20), &[None]);
        assert_eq!([9, 10, 70, 71].map(|minute| filled(&fill, "ES", minute)), [None, Some(0.3), Some(0.3), None]);
    }

    #[test]
    fn a_known_value_is_left_alone() {
        let mut fill = hour_of(&["ES"], 1);
        fill.observe(&symbol("ES"), time(10), &[Some(0.3)]);
        let mut values = [Some(0.9)];
        fill.fill(&symbol("ES"), time(11), &mut values);
        assert_eq!(values, [Some(0.9)]);
    }

    #[test]
    fn symbols_do_not_mix_and_unknown_ones_take_no_room() {
        let mut fill = hour_of(&["ES", "NQ"], 1);
        let before = fill.clone();
        fill.observe(&symbol("CL"), time(10), &[Some(0.3)]);
        assert_eq!(fill, before);
        fill.observe(&symbol("ES"), time(10), &[Some(0.3)]);
        assert_eq!([filled(&fill, "NQ", 11), filled(&fill, "CL", 11)], [None, None]);
    }

    #[test]
    fn a_late_signal_does_not_overwrite_a_newer_value() {
        let mut fill = hour_of(&["ES"], 1);
        fill.observe(&symbol("ES"), time(30), &[Some(0.3)]);
        fill.observe(&symbol("ES"), time(10), &[Some(0.1)]);
        assert_eq!([filled(&fill, "ES", 40), filled(&fill, "ES", 20)], [Some(0.3), None]);
    }

    #[test]
    fn what_is_held_does_not_depend_on_the_order_of_arrival() {
        let rows = [(30, 0.3), (10, 0.1), (30, 0.7), (20, 0.9)];
        let held = |rows: &mut dyn Iterator<Item = &(i64, f64)>| {
            let mut fill = hour_of(&["ES"], 1);
            rows.for_each(|(minute, value)| fill.observe(&symbol("ES"), time(*minute), &[Some(*value)]));
            fill
        };
        let forth = held(&mut rows.iter());
        assert_eq!(forth, held(&mut rows.iter().rev()));
        assert_eq!(filled(&forth, "ES", 30), Some(0.7));
    }

    #[test]
    fn the_confidence_of_one_signal_is_not_lent_to_another() {
        let mut fill = hour_of(&["ES"], 14);
        fill.observe(&symbol("ES"), time(10), &[Some(0.5); 14]);
        let mut values = [None; 14];
        fill.fill(&symbol("ES"), time(11), &mut values);
        let still_missing: Vec<_> = (0..14).filter(|i| values[*i].is_none()).collect();
        assert_eq!(still_missing, [CONFIDENCE_POSITION]);
    }

    #[test]
    fn an_age_beyond_all_time_means_for_ever() {
        let mut fill = ForwardFill::new(&[symbol("ES")], 1, f64::INFINITY);
        fill.observe(&symbol("ES"), Timestamp::MIN, &[Some(0.3)]);
        let mut values = [None];
        fill.fill(&symbol("ES"), Timestamp::MAX, &mut values);
        assert_eq!(values, [Some(0.3)]);
    }
}
