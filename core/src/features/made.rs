//! What the inputs of a version were made by, stored with it: a model sees what it was trained on, or it is not asked.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    DesignOptions, Instrument,
    derived::{DerivedInput, Expression},
    formulas::FORMULAS,
    row::CONFIDENCE,
};
use crate::domain::{Feature, Symbol, TradingCalendar};

/// Everything besides the signals that the inputs of a version depend on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputOptions {
    /// [`FORMULAS`] at the time.
    pub formulas: u32,
    /// Smallest price step of its symbol, in points.
    pub tick: f64,
    /// Time zone of the trading day.
    pub zone: Box<str>,
    /// Local time at which the trading day turns, `HH:MM`.
    pub start: Box<str>,
    /// How old a value of each input may be that stands in for a missing one, in minutes.
    pub carry_minutes: BTreeMap<Box<str>, f64>,
    /// How each derived input is worked out, with what that depends on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub derived: BTreeMap<Box<str>, Box<str>>,
}

/// What a version saw when it was trained is not what it would see now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its inputs would differ from its training: {}; restore the setting, or train a new model",
    .differences.join("; ")
)]
pub struct InputsChanged {
    /// In words, one of each option; at least one.
    pub differences: Vec<String>,
}

impl InputOptions {
    /// Those of now, for the inputs `names` of rows of an instrument.
    pub fn new<'a>(
        instrument: Instrument,
        calendar: &TradingCalendar,
        options: &DesignOptions,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let names: Vec<&str> = names.into_iter().filter(|name| *name != CONFIDENCE).collect();
        let derived = options.derived.iter().filter(|input| names.contains(&input.name.as_str()));
        let derived = derived.map(|input| (input.name.as_str().into(), told(input, options).into())).collect();
        let (zone, start) = calendar.turns_at();
        Self {
            formulas: FORMULAS,
            tick: instrument.tick,
            zone: zone.into(),
            start: start.strftime("%H:%M").to_string().into(),
            derived,
            carry_minutes: names.into_iter().map(|name| (name.into(), 60.0 * options.max_age_hours(name))).collect(),
        }
    }

    /// Whether the version of `symbol` that was made by these would see the same under those of `now`: the trading day
    /// matters to one that knows the time of the session, the tick to all, and of the ages those of its inputs.
    ///
    /// # Errors
    /// [`InputsChanged`].
    pub fn check(&self, symbol: &Symbol, now: &Self) -> Result<(), InputsChanged> {
        let mut differences = Vec::new();
        if self.formulas != now.formulas {
            let (then, now) = (self.formulas, now.formulas);
            differences.push(format!("the formulas of the features were number {then} and are number {now}"));
        }
        if self.tick != now.tick {
            differences.push(format!("symbols.{symbol}.tick was {:?} and is {:?}", self.tick, now.tick));
        }
        let day = |options: &Self| format!("{} {}", options.start, options.zone);
        if self.carry_minutes.contains_key(Feature::SessionTime.name()) && day(self) != day(now) {
            differences.push(format!("[trading_day] was {} and is {}", day(self), day(now)));
        }
        for (input, then) in &self.carry_minutes {
            let Some(now) = now.carry_minutes.get(input).filter(|now| *now != then) else { continue };
            differences.push(format!("{input} was carried forward for {then} minutes and is for {now}"));
        }
        for (input, then) in &self.derived {
            let Some(now) = now.derived.get(input).filter(|now| *now != then) else { continue };
            differences.push(format!("{input} was {then} and is {now}"));
        }
        if differences.is_empty() { Ok(()) } else { Err(InputsChanged { differences }) }
    }
}

/// How a derived input is worked out: of one of another symbol also what it asks for, and how old that may be.
fn told(input: &DerivedInput, options: &DesignOptions) -> String {
    let text = input.expression.to_string();
    let Expression::Other(_, asked) = &input.expression else { return text };
    let minutes = 60.0 * options.max_age_hours(asked);
    let of = options.derived.iter().find(|derived| derived.name == **asked);
    let of = of.map_or(String::new(), |derived| format!(" of {}", derived.expression));
    format!("{text}{of}, known for {minutes} minutes")
}

#[cfg(test)]
mod tests {
    use jiff::{civil::time, tz::TimeZone};

    use super::*;
    use crate::features::{Carry, Scaling};

    fn options(minutes: f64) -> DesignOptions {
        DesignOptions {
            scaling: Scaling::Standardise,
            clip_quantile: 0.001,
            indicator_min_missing: 0.01,
            max_missing: 0.99,
            fill_max_age_hours: 23.0,
            carry: Carry { minutes: [minutes; 12], extra_minutes: 60.0 },
            interactions: Vec::new(),
            extra: vec!["tape".to_owned()],
            derived: Vec::new(),
        }
    }

    fn made(tick: f64, hour: i8, minutes: f64) -> InputOptions {
        let options = options(minutes);
        let calendar = TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), time(hour, 30, 0, 0));
        let names = ["session_time", "recent_momentum", "confidence", "tape"];
        InputOptions::new(Instrument { tick, tick_value: 12.5, stop_ticks: None }, &calendar, &options, names)
    }

    #[test]
    fn a_derived_input_that_is_worked_out_otherwise_is_another_input() {
        let of = |text: &str, minutes: f64| {
            let expression = Expression::parse(text).unwrap();
            let options =
                DesignOptions { derived: vec![DerivedInput { name: "own".into(), expression }], ..options(minutes) };
            let calendar = TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), time(17, 0, 0, 0));
            let instrument = Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None };
            InputOptions::new(instrument, &calendar, &options, ["session_time", "own"])
        };
        let (symbol, trained) = (Symbol::new("ES").unwrap(), of("range(6)", 5.0));
        assert_eq!(trained.check(&symbol, &of("range(6)", 5.0)), Ok(()));
        let told = trained.check(&symbol, &of("range(3)", 5.0)).unwrap_err().to_string();
        assert!(told.contains("own was range(6) and is range(3)"), "{told}");
        let of_nq = |minutes| of("other(NQ, recent_momentum)", minutes);
        let told = of_nq(5.0).check(&symbol, &of_nq(6.0)).unwrap_err().differences.join("; ");
        assert!(told.contains("own was other(NQ, recent_momentum), known for 5 minutes and is"), "{told}");
        // what has no derived input is stored as it was
        let stored = serde_json::to_string(&made(0.25, 17, 5.0)).unwrap();
        assert!(!stored.contains("derived"), "{stored}");
    }

    #[test]
    fn what_changes_a_models_inputs_is_named_and_nothing_else_is() {
        let (trained, symbol) = (made(0.25, 17, 5.0), Symbol::new("ES").unwrap());
        assert_eq!(trained.check(&symbol, &trained), Ok(()));
        let told = |now: &InputOptions| trained.check(&symbol, now).unwrap_err().differences.join("; ");
        assert_eq!(told(&made(0.5, 17, 5.0)), "symbols.ES.tick was 0.25 and is 0.5");
        let day = told(&made(0.25, 16, 5.0));
        assert_eq!(day, "[trading_day] was 17:30 America/Chicago and is 16:30 America/Chicago");
        assert!(told(&made(0.25, 17, 6.0)).contains("recent_momentum was carried forward for 5 minutes and is for 6"));
        let mut without_time = trained.clone();
        without_time.carry_minutes.remove("session_time");
        assert_eq!(without_time.check(&symbol, &made(0.25, 16, 5.0)), Ok(()));
        let stored = serde_json::to_string(&trained).unwrap();
        assert_eq!(serde_json::from_str::<InputOptions>(&stored).unwrap(), trained);
    }
}
