//! The way of a signal to a model, the same in training and in service: compute, carry forward, take a side.
//!
//! A model must be trained on what it will see. So a training set is made by sending *every* signal that was received
//! through one [`Pipeline`], in the order received, and picking the closed trades from the result; leaving out the
//! signals that never became trades would carry other values forward than the service did.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    DesignOptions, Instrument,
    fill::ForwardFill,
    row::{self, InvalidSchema, Row, Schema},
};
use crate::domain::{Signal, Symbol, TradingCalendar};

/// Turns signals into model inputs. Keeps the last known values of each symbol and one buffer; once made it does not
/// allocate.
///
/// After a restart it is brought back by sending it the signals of the last [`DesignOptions::fill_max_age_hours`] and
/// dropping the results: nothing older is ever used.
#[derive(Debug, Clone)]
pub struct Pipeline {
    schema: Schema,
    symbols: BTreeMap<Symbol, Instrument>,
    calendar: TradingCalendar,
    fill: ForwardFill,
    values: Vec<Option<f64>>,
}

/// A signal for an instrument the configuration does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("symbol {symbol} has no table in the configuration; add [symbols.{symbol}] with its tick and tick value")]
pub struct UnknownSymbol {
    /// The symbol of the signal.
    pub symbol: Symbol,
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
        let fill = ForwardFill::new(symbols.keys(), schema.width(), options.fill_max_age_hours);
        let values = Vec::with_capacity(schema.width());
        Ok(Self { schema, symbols, calendar, fill, values })
    }

    /// The inputs it makes, in order.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The inputs of `signal`, one per name of the schema, with what was last known in the place of what is missing and
    /// turned to the side of the trade. What the signal knows is remembered for those to come.
    ///
    /// # Errors
    /// [`UnknownSymbol`]; nothing is remembered then.
    pub fn inputs(&mut self, signal: &Signal) -> Result<&[Option<f64>], UnknownSymbol> {
        let Some(instrument) = self.symbols.get(&signal.symbol) else {
            return Err(UnknownSymbol { symbol: signal.symbol.clone() });
        };
        row::read(signal, *instrument, &self.calendar, &self.schema, &mut self.values);
        self.fill.observe(&signal.symbol, signal.at, &self.values);
        self.fill.fill(&signal.symbol, signal.at, &mut self.values);
        row::align(signal.side, &mut self.values);
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
}

#[cfg(test)]
mod tests {
    use jiff::{civil::time, tz::TimeZone};

    use super::*;
    use crate::{domain::SignalLine, features::Scaling};

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
