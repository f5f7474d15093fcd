//! The way of a signal to a model, the same in training and in service: compute, carry forward, take a side.
//!
//! A model must be trained on what it will see. So the signals that were scored go through one [`Pipeline`] in the order in
//! which they were recorded, repeats included, live and when a training set is made; leaving out the signals that never
//! became trades, or sorting them by their times, would carry other values forward than the service did.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::{
    DesignOptions, Instrument,
    derived::{DerivedInput, Expression},
    fill::{Filled, ForwardFill, LastKnown},
    memory::{MarketMemory, shown_raw},
    row::{self, BUILT_IN, InvalidSchema, Row, Schema},
};
use crate::{
    domain::{Feature, Signal, Symbol, TradingCalendar},
    stats::market::Shown,
};

/// Turns signals into model inputs. Keeps the last known values of each symbol and two buffers; once made it does not
/// allocate.
///
/// After a restart it is brought back by [`Pipeline::remember`] of every signal that was recorded, in any order.
#[derive(Debug, Clone)]
pub struct Pipeline {
    schema: Schema,
    /// Without the derived inputs.
    sent: Schema,
    derived: Vec<Derived>,
    symbols: BTreeMap<Symbol, Instrument>,
    calendar: TradingCalendar,
    fill: ForwardFill,
    /// What the latest signals showed; nothing where no derived input asks for the regime.
    memory: MarketMemory,
    raw: Vec<Option<f64>>,
    values: Vec<Option<f64>>,
}

/// A derived input where it is worked out.
#[derive(Debug, Clone)]
struct Derived {
    expression: Expression,
    /// Its place in a row.
    place: usize,
    /// Whether it is turned to the side of the trade.
    directional: bool,
    /// Of another symbol: the place of what it asks for, and whether that is the trend against the mean, from 0 to 1.
    theirs: Option<(usize, bool)>,
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
        let (schema, sent) = (Schema::of(options)?, Schema::new(&options.extra)?);
        let derived = derived(&schema, &symbols, &options.derived)?;
        let ages: Vec<f64> = schema.names().map(|name| options.max_age_hours(name)).collect();
        let fill = ForwardFill::new(symbols.keys(), &ages);
        let buffer = Vec::with_capacity(schema.width());
        let memory = MarketMemory::default();
        Ok(Self { schema, sent, derived, symbols, calendar, fill, memory, raw: buffer.clone(), values: buffer })
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
        let mut filled = self.fill.fill(&signal.symbol, signal.at, &mut self.values);
        row::align(signal.side, &mut self.values);
        self.derive(signal, &mut filled);
        Ok(Seen { values: &self.values, filled })
    }

    /// Remembers for those to come what the signal knows that was looked at last.
    pub fn keep(&mut self, signal: &Signal) {
        self.fill.observe(&signal.symbol, signal.at, &self.raw);
        if self.knows_regimes() {
            self.memory.observe(&signal.symbol, signal.at, shown_raw(&self.raw));
        }
    }

    /// Whether as much is remembered of `symbol` as its inputs are made of, beside what is carried forward.
    pub fn remembers_enough(&self, symbol: &Symbol) -> bool {
        !self.knows_regimes() || self.memory.is_full(symbol)
    }

    /// What `signal` shows of the market, whatever the side of its trade.
    ///
    /// # Errors
    /// [`UnknownSymbol`].
    pub fn shown(&mut self, signal: &Signal) -> Result<Shown, UnknownSymbol> {
        self.read(signal)?;
        Ok(shown_raw(&self.raw))
    }

    fn knows_regimes(&self) -> bool {
        self.derived.iter().any(|derived| matches!(derived.expression, Expression::Regime(_)))
    }

    /// Remembers what `signal` knows; one of an unknown symbol is passed over. The order of calls does not matter.
    pub fn remember(&mut self, signal: &Signal) {
        if self.read(signal).is_ok() {
            self.keep(signal);
        }
    }

    /// What it carries forward, and what it remembers of the market.
    pub fn last_known(&self) -> (&LastKnown, &MarketMemory) {
        (self.fill.last_known(), &self.memory)
    }

    /// Puts both back. `None` when that is of other symbols or inputs.
    pub fn restored(mut self, (last, memory): (LastKnown, MarketMemory)) -> Option<Self> {
        (self.fill, self.memory) = (self.fill.restored(last)?, memory);
        Some(self)
    }

    /// Remembers what `other` does of the symbols of this one, if the inputs are the same.
    pub fn join(&mut self, other: &Self) {
        if self.schema == other.schema {
            self.fill.join(&other.fill);
            self.memory.join(&other.memory);
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
        row::read(signal, *instrument, &self.calendar, &self.sent, &mut self.raw);
        for derived in &self.derived {
            let value = derived.expression.value(signal, &self.raw);
            self.raw.push(value);
        }
        Ok(())
    }

    /// Takes in what other symbols knew, and turns derived inputs to the side of the trade.
    fn derive(&mut self, signal: &Signal, filled: &mut Filled) {
        for Derived { expression, place, directional, theirs } in &self.derived {
            let Some(value) = self.values.get_mut(*place) else { continue };
            if let (Expression::Other(symbol, _), Some((theirs, stretched))) = (expression, theirs) {
                let known = self.fill.known(symbol, *theirs, signal.at);
                *value = known.map(|known| if *stretched { 2.0 * known - 1.0 } else { known });
                if value.is_some() {
                    filled.seen.insert(*place);
                }
            }
            if let Expression::Regime(fitted) = expression {
                let shown = shown_raw(&self.raw);
                let label = self.memory.label(&fitted.regime, &signal.symbol, signal.at, &shown);
                *value = label.map(|label| label as f64);
                filled.seen.insert(*place);
            }
            if *directional {
                *value = value.map(|value| signal.side.sign() * value);
            }
        }
    }
}

/// Each derived input with its place. What one asks for of another symbol is a symbol of the configuration and an input that is
/// itself of one symbol.
fn derived(
    schema: &Schema,
    symbols: &BTreeMap<Symbol, Instrument>,
    inputs: &[DerivedInput],
) -> Result<Vec<Derived>, InvalidSchema> {
    let first = schema.width() - inputs.len();
    let one = |(place, input): (usize, &DerivedInput)| {
        let expression = input.expression.clone();
        let Expression::Other(symbol, asked) = &expression else {
            let directional = expression.is_directional();
            return Ok(Derived { expression, place, directional, theirs: None });
        };
        let refuse = |what: &str, kind| InvalidSchema::Other { name: input.name.clone(), what: what.to_owned(), kind };
        if !symbols.contains_key(symbol) {
            return Err(refuse(&symbol.to_string(), "symbol of the configuration"));
        }
        let theirs = schema.position(asked).filter(|theirs| *theirs != row::CONFIDENCE_POSITION);
        let own = theirs.and_then(|theirs| inputs.get(theirs.checked_sub(first)?)).map(|input| &input.expression);
        let (Some(theirs), false) = (theirs, matches!(own, Some(Expression::Other(..)))) else {
            return Err(refuse(asked, "feature, extra input or derived input of one symbol"));
        };
        let feature = Feature::ALL.get(theirs).copied().filter(|_| theirs < BUILT_IN);
        let directional = feature.is_some_and(row::is_directional) || own.is_some_and(Expression::is_directional);
        let stretched = feature == Some(Feature::VwapTrendSignal);
        Ok(Derived { expression, place, directional, theirs: Some((theirs, stretched)) })
    };
    inputs.iter().enumerate().map(|(place, input)| one((first + place, input))).collect()
}

#[cfg(test)]
mod tests {
    use jiff::{civil::time, tz::TimeZone};

    use super::*;
    use crate::{
        domain::SignalLine,
        features::{Carry, Scaling},
    };

    fn options() -> DesignOptions {
        DesignOptions {
            scaling: Scaling::Standardise,
            clip_quantile: 0.001,
            indicator_min_missing: 0.01,
            max_missing: 0.99,
            fill_max_age_hours: 23.0,
            carry: Carry::default(),
            interactions: Vec::new(),
            extra: vec!["tape".to_owned()],
            derived: Vec::new(),
        }
    }

    fn pipeline() -> Pipeline {
        let symbols = BTreeMap::from([(
            Symbol::new("ES").unwrap(),
            Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None },
        )]);
        let calendar = TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), time(17, 0, 0, 0));
        Pipeline::new(symbols, calendar, &options()).unwrap()
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
    fn a_derived_input_knows_of_another_symbol_what_was_known_then_and_takes_the_side_of_the_trade() {
        let input =
            |name: &str, text: &str| DerivedInput { name: name.into(), expression: Expression::parse(text).unwrap() };
        let mut options = options();
        options.derived = vec![
            input("nq", "other(NQ, recent_momentum)"),
            input("vwap_of_nq", "other(NQ, vwap_trend_signal)"),
            input("wild", "product(recent_momentum, trend)"),
            input("tape_too", "extra(tape)"),
        ];
        options.carry.minutes = [90.0; 12];
        let symbols: BTreeMap<_, _> = ["ES", "NQ"]
            .map(|name| (Symbol::new(name).unwrap(), Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None }))
            .into();
        let calendar = TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), time(17, 0, 0, 0));
        let mut pipeline = Pipeline::new(symbols.clone(), calendar.clone(), &options).unwrap();
        let of = |symbol: &str, mut signal: Signal| {
            signal.symbol = Symbol::new(symbol).unwrap();
            signal
        };
        let late = of("NQ", signal(3, "long", r#""recent_momentum":0.9"#, ""));
        let nq = of("NQ", signal(1, "long", r#""recent_momentum":0.5,"vwap_trend_signal":0.75"#, ""));
        let es = |hour, side| signal(hour, side, r#""recent_momentum":0.25,"dow_trend_regime":-1"#, r#""tape":3"#);
        assert_eq!(pipeline.row(&es(1, "long")).unwrap().values[14..], [None, None, Some(-0.25), Some(3.0)]);
        pipeline.row(&nq).unwrap();
        assert_eq!(pipeline.row(&es(2, "long")).unwrap().values[14..16], [Some(0.5), Some(0.5)]);
        let short = pipeline.look(&es(2, "short")).unwrap();
        assert_eq!(short.values[14..], [Some(-0.5), Some(-0.5), Some(-0.25), Some(3.0)]);
        assert!(short.is_measured(14));
        // too old, from before it was known, and from after the signal
        assert_eq!(pipeline.row(&es(3, "long")).unwrap().values[14], None);
        pipeline.row(&late).unwrap();
        assert_eq!(pipeline.row(&es(2, "long")).unwrap().values[14], None);
        for (text, what) in [("other(CL, recent_momentum)", "CL"), ("other(NQ, nq)", "nq"), ("other(NQ, lost)", "lost")]
        {
            let mut bad = options.clone();
            bad.derived.push(input("bad", text));
            let error = Pipeline::new(symbols.clone(), calendar.clone(), &bad).unwrap_err().to_string();
            assert!(error.contains(&format!("asks for {what}, which is no")), "{error}");
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
