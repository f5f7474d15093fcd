//! The way of a signal to a model, the same in training and in service: compute, carry forward, take a side.
//!
//! A model must be trained on what it will see. So the signals that were scored go through one [`Pipeline`] in the order in
//! which they were recorded, repeats included, live and when a training set is made; leaving out the signals that never
//! became trades, or sorting them by their times, would carry other values forward than the service did.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    DesignOptions, Instrument,
    fill::{Filled, ForwardFill, LastKnown},
    row::{self, InvalidSchema, Row, Schema},
};
use crate::domain::{Signal, Symbol, TradingCalendar};

/// Turns signals into model inputs. Keeps the last known values of each symbol and two buffers; once made it does not
/// allocate.
///
/// After a restart it is brought back by [`Pipeline::remember`] of every signal that was recorded, in any order.
#[derive(Debug, Clone)]
pub struct Pipeline {
    schema: Schema,
    symbols: BTreeMap<Symbol, Instrument>,
    calendar: TradingCalendar,
    fill: ForwardFill,
    raw: Vec<Option<f64>>,
    values: Vec<Option<f64>>,
}

/// The inputs of a signal, as a model sees them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen<'a> {
    /// One value per name of the schema, with what was last known in the place of what is missing, turned to the side of the
    /// trade.
    pub values: &'a [Option<f64>],
    /// Which of them the signal did not bring itself.
    pub filled: Filled,
}

/// A signal for an instrument the configuration does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("symbol {symbol} has no table in the configuration; add [symbols.{symbol}] with its tick and tick value")]
pub struct UnknownSymbol {
    /// The symbol of the signal.
    pub symbol: Symbol,
}

impl<'a> Seen<'a> {
    /// Inputs that were all measured, where they are not missing.
    pub fn measured(values: &'a [Option<f64>]) -> Self {
        let seen = values.iter().enumerate().filter(|(_, value)| value.is_some()).map(|(place, _)| place).collect();
        Self { values, filled: Filled { seen, ..Filled::default() } }
    }

    /// Whether the signal itself brought the input at `place`.
    pub fn is_measured(&self, place: usize) -> bool {
        let known = self.values.get(place).copied().flatten().is_some_and(f64::is_finite);
        known && !self.filled.carried.contains(place)
    }
}

impl Pipeline {
    /// A pipeline for `symbols` that has seen nothing yet.
    ///
    /// # Errors
    /// [`InvalidSchema`] when the declared extras cannot be used.
    pub fn new(
        symbols: BTreeMap<Symbol, Instrument>,
        calendar: TradingCalendar,
        options: &DesignOptions,
    ) -> Result<Self, InvalidSchema> {
        let schema = Schema::new(&options.extra)?;
        let ages: Vec<f64> = schema.names().map(|name| options.max_age_hours(name)).collect();
        let fill = ForwardFill::new(symbols.keys(), &ages);
        let buffer = Vec::with_capacity(schema.width());
        Ok(Self { schema, symbols, calendar, fill, raw: buffer.clone(), values: buffer })
    }

    /// The inputs it makes, in order.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The inputs of `signal`. Nothing is remembered of it: see [`Pipeline::keep`].
    ///
    /// # Errors
    /// [`UnknownSymbol`].
    pub fn look(&mut self, signal: &Signal) -> Result<Seen<'_>, UnknownSymbol> {
        self.read(signal)?;
        self.values.clone_from(&self.raw);
        let filled = self.fill.fill(&signal.symbol, signal.at, &mut self.values);
        row::align(signal.side, &mut self.values);
        Ok(Seen { values: &self.values, filled })
    }

    /// Remembers for those to come what the signal knows that was looked at last.
    pub fn keep(&mut self, signal: &Signal) {
        self.fill.observe(&signal.symbol, signal.at, &self.raw);
    }

    /// Remembers what `signal` knows; one of an unknown symbol is passed over. The order of calls does not matter.
    pub fn remember(&mut self, signal: &Signal) {
        if self.read(signal).is_ok() {
            self.keep(signal);
        }
    }

    /// What it carries forward.
    pub fn last_known(&self) -> &LastKnown {
        self.fill.last_known()
    }

    /// Puts back what it carried forward. `None` when that is of other symbols or inputs.
    pub fn restored(mut self, last: LastKnown) -> Option<Self> {
        self.fill = self.fill.restored(last)?;
        Some(self)
    }

    /// Remembers what `other` does of the symbols of this one, if the inputs are the same.
    pub fn join(&mut self, other: &Self) {
        if self.schema == other.schema {
            self.fill.join(&other.fill);
        }
    }

    /// The inputs of `signal`, as [`Pipeline::look`] has them. What the signal knows is remembered for those to come.
    ///
    /// # Errors
    /// [`UnknownSymbol`]; nothing is remembered then.
    pub fn inputs(&mut self, signal: &Signal) -> Result<&[Option<f64>], UnknownSymbol> {
        self.look(signal)?;
        self.keep(signal);
        Ok(&self.values)
    }

    /// As [`Pipeline::inputs`], as a row to keep.
    ///
    /// # Errors
    /// [`UnknownSymbol`]; nothing is remembered then.
    pub fn row(&mut self, signal: &Signal) -> Result<Row, UnknownSymbol> {
        let values = self.inputs(signal)?.to_vec();
        Ok(Row { at: signal.at, symbol: signal.symbol.clone(), side: signal.side, values })
    }

    fn read(&mut self, signal: &Signal) -> Result<(), UnknownSymbol> {
        let Some(instrument) = self.symbols.get(&signal.symbol) else {
            return Err(UnknownSymbol { symbol: signal.symbol.clone() });
        };
        row::read(signal, *instrument, &self.calendar, &self.schema, &mut self.raw);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::{civil::time, tz::TimeZone};

    use super::*;
    use crate::{
        domain::SignalLine,
        features::{Carry, Scaling},
    };

    fn pipeline() -> Pipeline {
        let symbols = BTreeMap::from([(
            Symbol::new("ES").unwrap(),
            Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None },
        )]);
        let options = DesignOptions {
            scaling: Scaling::Standardise,
            clip_quantile: 0.001,
            indicator_min_missing: 0.01,
            max_missing: 0.99,
            fill_max_age_hours: 23.0,
            carry: Carry::default(),
            interactions: Vec::new(),
            extra: vec!["tape".to_owned()],
        };
        let calendar = TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), time(17, 0, 0, 0));
        Pipeline::new(symbols, calendar, &options).unwrap()
    }

    /// A signal at `hour` of a day in January, with these features and extras.
    fn signal(hour: u32, side: &str, features: &str, extra: &str) -> Signal {
        let (day, hour) = (5 + hour / 24, hour % 24);
        let line = format!(
            r#"{{"trade_id":"T","at":"2015-01-{day:02}T{hour:02}:00:00Z","symbol":"ES","side":"{side}","confidence":0.6,
                "features":{{{features}}},"extra":{{{extra}}}}}"#
        );
        SignalLine::parse(line.as_bytes()).unwrap().signal
    }

    #[test]
    fn a_short_sees_what_a_long_left_behind_from_its_own_side() {
        let mut pipeline = pipeline();
        let known = signal(
            1,
            "long",
            r#""vwap_trend_signal":0.75,"recent_momentum":0.5,"session_time":0.25"#,
            r#""tape":3,"undeclared":1"#,
        );
        let long = [Some(0.5), Some(0.5), Some(0.25), Some(0.6), Some(3.0)];
        let short = [Some(-0.5), Some(-0.5), Some(0.25), Some(0.6), Some(3.0)];
        let places = [0, 11, 9, 12, 13];
        let row = pipeline.row(&known).unwrap();
        assert_eq!((places.map(|i| row.values[i]), row.values.len()), (long, 14));
        for (side, expected) in [("short", short), ("long", long)] {
            let row = pipeline.row(&signal(2, side, "", "")).unwrap();
            assert_eq!(places.map(|i| row.values[i]), expected, "{side}");
        }
    }

    #[test]
    fn a_pipeline_brought_back_from_the_last_session_goes_on_as_before() {
        let signals: Vec<_> = (0..60)
            .map(|hour| {
                let value = f64::from(hour) / 100.0;
                let features = ["session_time", "level_proximity", "bid_ask_spread"][hour as usize % 3];
                let features = if hour % 10 == 0 { format!(r#""{features}":{value}"#) } else { String::new() };
                signal(hour, "long", &features, "")
            })
            .collect();
        let mut whole = pipeline();
        let kept: Vec<_> = signals.iter().map(|signal| whole.row(signal).unwrap()).collect();
        let mut back = pipeline();
        // stopped after the signal of hour 49: those of the 23 hours before are sent again
        for signal in &signals[27..50] {
            back.inputs(signal).unwrap();
        }
        let after: Vec<_> = signals[50..].iter().map(|signal| back.row(signal).unwrap()).collect();
        assert_eq!(after, kept[50..]);
        assert!(after.iter().any(|row| row.values[4].is_some()) && after.iter().any(|row| row.values[9].is_none()));
    }
}
