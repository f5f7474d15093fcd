//! One signal as a row of numbers: which inputs there are, in which order, and how they are turned to one side.
#![deny(clippy::indexing_slicing)]

use super::{DesignOptions, Instrument, formulas};
use crate::domain::{FEATURES, Feature, Side, Signal, Symbol, Timestamp, TradingCalendar};

/// The input that is not a feature: the primary strategy's own confidence in this signal.
pub const CONFIDENCE: &str = "confidence";

/// Where [`CONFIDENCE`] stands in every row: right after the twelve.
pub const CONFIDENCE_POSITION: usize = FEATURES;

/// Inputs that every row has: the twelve features and the confidence.
pub const BUILT_IN: usize = FEATURES + 1;

const LONGEST_NAME: usize = 64;

/// The names of a row's inputs, in order: the twelve features, the confidence, then the declared extras.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema(Vec<Box<str>>);

/// A list of extra inputs that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchema {
    /// The name has a character that is not allowed, or the wrong length.
    #[error("extra input {name:?} is not a valid name: 1 to 64 characters of a-z A-Z 0-9 _ . -")]
    Name {
        /// The name as given, cut at 80 characters.
        name: String,
    },
    /// A derived input of another symbol that there is not.
    #[error("derived input {name:?} asks for {what}, which is no {kind}")]
    Other {
        /// Its name.
        name: String,
        /// What it asks for.
        what: String,
        /// What that should be.
        kind: &'static str,
    },
    /// The name stands for another input already.
    #[error("extra input {name:?} is declared twice or is one of the built-in inputs; give it another name")]
    Taken {
        /// The name.
        name: String,
    },
}

/// The inputs of one signal, ready for a design matrix: carried forward where that was possible, turned to the side of
/// the trade, in the order of a [`Schema`].
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// When the signal fired.
    pub at: Timestamp,
    /// What it would trade.
    pub symbol: Symbol,
    /// Long or short.
    pub side: Side,
    /// One value per input of the schema.
    pub values: Vec<Option<f64>>,
}

impl Schema {
    /// The built-in inputs only.
    pub fn built_in() -> Self {
        let features = Feature::ALL.into_iter().map(Feature::name);
        Self(features.chain([CONFIDENCE]).map(Into::into).collect())
    }

    /// The built-in inputs and `extra`, in the order given.
    ///
    /// # Errors
    /// [`InvalidSchema`] when a name is not usable, repeated or already taken.
    pub fn new(extra: &[String]) -> Result<Self, InvalidSchema> {
        let Self(mut names) = Self::built_in();
        for name in extra {
            if !is_name(name) {
                return Err(InvalidSchema::Name { name: name.chars().take(80).collect() });
            }
            if names.iter().any(|taken| **taken == **name) {
                return Err(InvalidSchema::Taken { name: name.clone() });
            }
            names.push(name.as_str().into());
        }
        Ok(Self(names))
    }

    /// The same and the derived inputs behind them.
    ///
    /// # Errors
    /// As there.
    pub fn of(options: &DesignOptions) -> Result<Self, InvalidSchema> {
        let derived = options.derived.iter().map(|derived| derived.name.clone());
        let names: Vec<String> = options.extra.iter().cloned().chain(derived).collect();
        Self::new(&names)
    }

    /// All names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The declared extras, in order.
    fn extras(&self) -> impl Iterator<Item = &str> {
        self.names().skip(BUILT_IN)
    }

    /// How many values a row has.
    pub fn width(&self) -> usize {
        self.0.len()
    }

    /// Where the input `name` stands in a row.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names().position(|known| known == name)
    }
}

/// Whether an input may be called this.
pub fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(allowed)
}

/// Whether a feature points up or down.
pub fn is_directional(feature: Feature) -> bool {
    matches!(
        feature,
        Feature::VwapTrendSignal | Feature::DowTrendRegime | Feature::OptionsFlowBias | Feature::RecentMomentum
    )
}

/// A value of a feature with its middle at 0 if it points up or down: the trend against the volume-weighted mean, 0 to 1, is
/// stretched to -1 to 1.
pub fn centred(feature: Feature, value: f64) -> f64 {
    if feature == Feature::VwapTrendSignal { 2.0 * value - 1.0 } else { value }
}

/// Replaces what is in `values` by the inputs of `signal` as they are: nothing carried forward, no side taken. Extras
/// that the schema does not declare are left out.
pub fn read(
    signal: &Signal,
    instrument: Instrument,
    calendar: &TradingCalendar,
    schema: &Schema,
    values: &mut Vec<Option<f64>>,
) {
    values.clear();
    values.extend(formulas::compute(signal, instrument, calendar).to_array());
    values.push(signal.confidence.map(|confidence| confidence.get()));
    values.extend(schema.extras().map(|name| signal.extra.get(name).copied().flatten()));
}

/// Turns the four directional features of a row to the side of the trade, so that a higher value speaks for it whatever
/// the side: they are multiplied by +1 for long and by -1 for short, the trend against the volume-weighted mean (0 to 1)
/// after it is stretched to -1 to 1. To be done once, after values were carried forward: the past signal may have been
/// on the other side.
pub fn align(side: Side, values: &mut [Option<f64>]) {
    let sign = side.sign();
    for (feature, value) in Feature::ALL.into_iter().zip(values) {
        if is_directional(feature) {
            *value = value.map(|value| sign * centred(feature, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(extra: &[&str]) -> Result<Schema, InvalidSchema> {
        Schema::new(&extra.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_schema_is_the_features_the_confidence_and_the_extras_in_order() {
        let schema = schema(&["tick_rule", "book.skew"]).unwrap();
        assert_eq!(schema.width(), 15);
        assert_eq!(schema.position(Feature::RecentMomentum.name()), Some(11));
        assert_eq!(schema.position(CONFIDENCE), Some(CONFIDENCE_POSITION));
        assert_eq!(schema.extras().collect::<Vec<_>>(), ["tick_rule", "book.skew"]);
    }

    #[test]
    fn an_extra_needs_a_name_of_its_own() {
        for bad in ["", "a*b", "missing:x", "a b", "é", &"x".repeat(65)] {
            assert!(matches!(schema(&[bad]), Err(InvalidSchema::Name { .. })), "{bad:?}");
        }
        for taken in [["session_time", "x"], ["confidence", "x"], ["x", "x"]] {
            assert!(matches!(schema(&taken), Err(InvalidSchema::Taken { .. })), "{taken:?}");
        }
    }

    #[test]
    fn a_short_sees_the_four_directional_features_from_the_other_side() {
        let values: Vec<Option<f64>> = (0..14).map(|i| Some(f64::from(i) / 16.0)).chain([None]).collect();
        let aligned = |side| {
            let mut values = values.clone();
            align(side, &mut values);
            values
        };
        let (long, short) = (aligned(Side::Long), aligned(Side::Short));
        for (i, raw) in values.iter().enumerate() {
            match i {
                0 => assert_eq!((long[i], short[i]), (Some(-1.0), Some(1.0))),
                2 | 7 | 11 => assert_eq!((long[i], short[i]), (*raw, raw.map(|v| -v))),
                _ => assert_eq!((long[i], short[i]), (*raw, *raw)),
            }
        }
    }
}
