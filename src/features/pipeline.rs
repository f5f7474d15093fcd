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
