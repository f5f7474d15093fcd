//! Carrying forward what was last known of a symbol, for inputs that a signal lacks.
//!
//! Values are carried as they were read, before they are turned to a side: the signal they came from may have been on
//! the other one. The primary strategy's confidence is about one signal only and is never carried. There is no
//! interpolation towards a later value, which would tell the past about the future.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{design::is_usable, row::CONFIDENCE_POSITION};
use crate::domain::{Symbol, Timestamp};

/// A set of inputs, by their places in a row. A row of the configuration has at most 109 inputs; places from 128 on are never
/// in a set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places(u128);

/// What carrying forward did to a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filled {
    /// Inputs whose value is that of an earlier signal.
    pub carried: Places,
    /// Inputs of which any value was ever known, however old.
    pub seen: Places,
}

/// The last known value of every input of every symbol. Its size is fixed when it is made.
///
/// What it holds depends on the set of rows it observed and not on their order: of each input the latest value, and of
/// several at the same instant the largest. A value that no model can be fitted on is not held.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardFill {
    /// Per place of a row.
    max_ages: Vec<SignedDuration>,
    last: LastKnown,
}

/// Of each symbol, per place of a row.
pub type LastKnown = BTreeMap<Symbol, Vec<Option<Known>>>;

/// What is known of one input.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Known {
    value: f64,
    at: Timestamp,
}

impl Known {
    fn replaces(self, other: Self) -> bool {
        self.at > other.at || (self.at == other.at && self.value > other.value)
    }
}

impl Places {
    /// Adds a place.
    pub fn insert(&mut self, place: usize) {
        self.0 |= u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place)).unwrap_or(0);
    }

    /// Whether no place is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a place is in it.
    pub fn contains(self, place: usize) -> bool {
        u32::try_from(place).is_ok_and(|place| self.0.checked_shr(place).is_some_and(|rest| rest & 1 == 1))
    }
}

impl FromIterator<usize> for Places {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        let mut set = Self::default();
        places.into_iter().for_each(|place| set.insert(place));
        set
    }
}

impl ForwardFill {
    /// Nothing known yet of `symbols`. A value of the input at a place is used up to the age at the same place of
    /// `max_age_hours`; a number of hours beyond all time means for ever.
    pub fn new<'a>(symbols: impl IntoIterator<Item = &'a Symbol>, max_age_hours: &[f64]) -> Self {
        let age = |hours: &f64| SignedDuration::try_from_secs_f64(hours * 3600.0).unwrap_or(SignedDuration::MAX);
        let last = symbols.into_iter().map(|symbol| (symbol.clone(), vec![None; max_age_hours.len()])).collect();
        Self { max_ages: max_age_hours.iter().map(age).collect(), last }
    }

    /// Takes note of what a row read at `at` knows. A symbol that was not announced is ignored, and so is a value that
    /// is older than the one held.
    pub fn observe(&mut self, symbol: &Symbol, at: Timestamp, values: &[Option<f64>]) {
        let Some(last) = self.last.get_mut(symbol) else { return };
        for (position, (held, value)) in last.iter_mut().zip(values).enumerate() {
            let Some(value) = value.filter(|value| is_usable(*value)) else { continue };
            let news = Known { value, at };
            if position != CONFIDENCE_POSITION && held.is_none_or(|held| news.replaces(held)) {
                *held = Some(news);
            }
        }
    }

    /// What it holds.
    pub fn last_known(&self) -> &LastKnown {
        &self.last
    }

    /// Puts back what was held. `None` when that is of other symbols or of rows of another width.
    pub fn restored(mut self, last: LastKnown) -> Option<Self> {
        let width = self.max_ages.len();
        let fits = last.keys().eq(self.last.keys()) && last.values().all(|row| row.len() == width);
        self.last = last;
        fits.then_some(self)
    }

    /// Takes note of everything that `other` observed, of the symbols of this one.
    pub fn join(&mut self, other: &Self) {
        for (symbol, last) in &mut self.last {
            let Some(theirs) = other.last.get(symbol) else { continue };
            for (held, news) in last.iter_mut().zip(theirs) {
                if let Some(news) = *news
                    && held.is_none_or(|held| news.replaces(held))
                {
                    *held = Some(news);
                }
            }
        }
    }

    /// What is known at `at` of the input at `place` of a symbol: the latest value, if it is neither from after then nor too old.
    pub fn known(&self, symbol: &Symbol, place: usize, at: Timestamp) -> Option<f64> {
        let (held, max_age) = ((*self.last.get(symbol)?.get(place)?)?, self.max_ages.get(place)?);
        (held.at <= at && at.duration_since(held.at) <= *max_age).then_some(held.value)
    }

    /// Puts the last known value in the place of each missing one, if it is neither from after `at` nor too old. What
    /// cannot be filled stays missing.
    pub fn fill(&self, symbol: &Symbol, at: Timestamp, values: &mut [Option<f64>]) -> Filled {
        let mut filled = Filled::default();
        let Some(last) = self.last.get(symbol) else { return filled };
        for (place, ((value, held), max_age)) in values.iter_mut().zip(last).zip(&self.max_ages).enumerate() {
            let Some(held) = held else {
                if value.is_some() {
                    filled.seen.insert(place);
                }
                continue;
            };
            filled.seen.insert(place);
            let usable = held.at <= at && at.duration_since(held.at) <= *max_age;
            if value.is_none() && usable {
                *value = Some(held.value);
                filled.carried.insert(place);
            }
        }
        filled
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
        ForwardFill::new(&names.iter().map(|name| symbol(name)).collect::<Vec<_>>(), &vec![1.0; width])
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
        let mut fill = ForwardFill::new(&[symbol("ES")], &[f64::INFINITY]);
        fill.observe(&symbol("ES"), Timestamp::MIN, &[Some(0.3)]);
        let mut values = [None];
        fill.fill(&symbol("ES"), Timestamp::MAX, &mut values);
        assert_eq!(values, [Some(0.3)]);
    }

    #[test]
    fn each_input_is_carried_for_its_own_time_and_what_was_carried_is_told() {
        let mut fill = ForwardFill::new(&[symbol("ES")], &[5.0 / 60.0, 24.0, 24.0]);
        fill.observe(&symbol("ES"), time(0), &[Some(0.1), Some(0.2), None]);
        for (minute, expected, carried) in [
            (5, [Some(0.1), Some(0.2), None], vec![0, 1]),
            (6, [None, Some(0.2), None], vec![1]),
            (1441, [None; 3], vec![]),
        ] {
            let mut values = [None; 3];
            let filled = fill.fill(&symbol("ES"), time(minute), &mut values);
            assert_eq!((values, filled.carried), (expected, carried.into_iter().collect()), "{minute}");
            assert_eq!(filled.seen, [0, 1].into_iter().collect(), "{minute}");
        }
    }

    #[test]
    fn a_value_that_no_model_was_trained_near_is_not_carried() {
        let mut fill = hour_of(&["ES"], 1);
        fill.observe(&symbol("ES"), time(10), &[Some(0.3)]);
        fill.observe(&symbol("ES"), time(11), &[Some(1.7e308)]);
        assert_eq!(filled(&fill, "ES", 12), Some(0.3));
    }

    #[test]
    fn what_two_saw_apart_is_what_one_would_have_seen() {
        let rows = [(30, 0.3), (10, 0.1), (30, 0.7), (20, 0.9)];
        let held = |rows: &[(i64, f64)]| {
            let mut fill = hour_of(&["ES"], 1);
            rows.iter().for_each(|(minute, value)| fill.observe(&symbol("ES"), time(*minute), &[Some(*value)]));
            fill
        };
        for cut in 0..=rows.len() {
            let mut one = held(&rows[..cut]);
            one.join(&held(&rows[cut..]));
            assert_eq!(one, held(&rows), "{cut}");
        }
    }

    #[test]
    fn a_set_holds_the_places_that_a_row_can_have() {
        let set: Places = [0, 77, 127, 128, 1000].into_iter().collect();
        let held: Vec<usize> = (0..2000).filter(|place| set.contains(*place)).collect();
        assert_eq!(held, [0, 77, 127]);
    }
}
