//! The design matrix: from a row of inputs to the columns of a model, as it was fitted on the training part.
//!
//! It is stored with its model and read back years later, so it is a record of our own with a format version, and it is
//! checked whenever it is read: a design that exists can be trusted.
//!
//! Per input that is kept: a value outside the training quantiles is clipped to them, a missing one becomes the training
//! median. Columns are, in this order: the inputs, the missing indicators (`missing:NAME`, 1 where the input is missing,
//! else 0) and the interactions (`A*B`, the product of the two clipped and imputed inputs), each less its centre and
//! divided by its scale. All of it comes from the training rows alone.
#![deny(clippy::indexing_slicing)]

use serde::{Deserialize, Serialize};

pub use super::record::{Degenerate, Dropped, FORMAT, InvalidDesign, LARGEST, is_usable};
use super::{
    fill::Places,
    record::{self, Column, InputFit, Record, Source, known, missing},
    row::{CONFIDENCE_POSITION, Schema},
    table::Rows,
};
use crate::domain::Feature;

/// How far outside of the bounds that a value is clipped to it may lie and still be one of the same market, in widths between
/// them. Beyond, it is a fault of the feed.
const NEAR: f64 = 3.0;

/// Rows whose columns are made at a time: few enough to stay at hand.
const STRIP: usize = 64;
type Strip = [f64; STRIP];

/// A fitted design. Made by [`super::fit`], or read from where it was stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct DesignMatrix(Record);

/// A row that cannot be transformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    /// It has another number of values.
    #[error("the row has {found} values, the design was fitted on rows of {expected}; the schemas differ")]
    Width {
        /// What the design expects.
        expected: usize,
        /// What the row has.
        found: usize,
    },
    /// Every input that the design uses is missing: all its columns would be training medians.
    #[error("none of the {inputs} inputs that the model uses is known or recent enough to be carried forward")]
    NothingKnown {
        /// How many inputs there should be, the confidence not counted if there are others.
        inputs: usize,
    },
}

/// The columns of many rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// Row after row, [`DesignMatrix::width`] each. A row that knows nothing stands at the centre of every column.
    pub cells: Vec<f64>,
    /// Places of the rows that [`DesignMatrix::transform`] would refuse because they know nothing, ascending.
    pub unknown: Vec<usize>,
}

impl DesignMatrix {
    pub(super) fn new(record: Record) -> Result<Self, InvalidDesign> {
        record::check(&record)?;
        Ok(Self(record))
    }

    /// Replaces what is in `out` by the columns of `row`, each finite, [`Self::width`] of them. Does not allocate once
    /// `out` has that capacity. A value that is not finite counts as missing.
    ///
    /// Imputation leaves no single input indispensable; a row is refused when it knows none of the inputs in use, since
    /// the answer would then not depend on the signal. The confidence does not count as long as there are others: it is
    /// what the answer is blended with anyway.
    ///
    /// # Errors
    /// [`InvalidRow`]; `out` is empty then.
    pub fn transform(&self, row: &[Option<f64>], out: &mut Vec<f64>) -> Result<(), InvalidRow> {
        out.clear();
        let wrong_width = InvalidRow::Width { expected: self.0.row_width, found: row.len() };
        if row.len() != self.0.row_width {
            return Err(wrong_width);
        }
        if !self.0.deciding().any(|input| known(input, row).is_some()) {
            return Err(InvalidRow::NothingKnown { inputs: self.0.deciding().count().max(1) });
        }
        for column in &self.0.columns {
            // places were checked when the design was made, so this is never None
            let Some(value) = self.0.value(column.source, row) else {
                out.clear();
                return Err(wrong_width);
            };
            out.push((value - column.center) / column.scale);
        }
        Ok(())
    }

    /// The columns of many rows, the same numbers that [`Self::transform`] gives of each.
    ///
    /// # Errors
    /// [`InvalidRow::Width`] for rows of another schema.
    pub fn transform_all(&self, rows: &Rows<'_>) -> Result<Cells, InvalidRow> {
        let wrong_width = InvalidRow::Width { expected: self.0.row_width, found: rows.width() };
        if rows.width() != self.0.row_width {
            return Err(wrong_width);
        }
        let mut cells = vec![0.0; rows.len() * self.width()];
        let mut unknown = Vec::new();
        let mut strip = [0.0; STRIP];
        for (number, block) in cells.chunks_mut(STRIP * self.width()).enumerate() {
            let first = number * STRIP;
            for (place, column) in self.0.columns.iter().enumerate() {
                self.strip(column, rows, first, &mut strip).ok_or(wrong_width)?;
                let cells = block.iter_mut().skip(place).step_by(self.width());
                cells.zip(&strip).for_each(|(cell, value)| *cell = *value);
            }
            let known = self.knows_something(rows, first);
            for ((place, row), _) in (first..).zip(block.chunks_exact_mut(self.width())).zip(known).filter(|(_, k)| !k)
            {
                unknown.push(place);
                row.fill(0.0);
            }
        }
        Ok(Cells { cells, unknown })
    }

    /// A column in the rows from the `first` on, as many as there is room for. `None` where a place in it does not exist.
    fn strip(&self, column: &Column, rows: &Rows<'_>, first: usize, strip: &mut Strip) -> Option<()> {
        // one thing at a time over the whole strip: so a compiler does several rows at once
        let inputs = |place: usize, strip: &mut Strip| {
            let input = self.0.inputs.get(place)?;
            let (values, rows) = rows.input(input.position)?;
            let rows = rows.get(first..)?.iter();
            strip.iter_mut().zip(rows).for_each(|(to, row)| *to = values.get(*row).copied().unwrap_or(f64::NAN));
            Some(input)
        };
        let imputed = |place: usize, strip: &mut Strip| {
            let input = inputs(place, strip)?;
            strip.iter_mut().for_each(|value| *value = input.imputed(*value));
            Some(())
        };
        match column.source {
            Source::Value(place) => imputed(place, strip)?,
            Source::Missing(place) => {
                inputs(place, strip)?;
                strip.iter_mut().for_each(|value| *value = missing(*value));
            }
            Source::Product(left, right) => {
                imputed(left, strip)?;
                let mut other = [0.0; STRIP];
                imputed(right, &mut other)?;
                strip.iter_mut().zip(other).for_each(|(value, other)| *value *= other);
            }
        }
        strip.iter_mut().for_each(|value| *value = (*value - column.center) / column.scale);
        Some(())
    }

    /// Of the rows from the `first` on whether they know an input in use.
    fn knows_something(&self, rows: &Rows<'_>, first: usize) -> [bool; STRIP] {
        let mut known = [false; STRIP];
        for input in self.0.deciding() {
            let Some((values, rows)) = rows.input(input.position) else { continue };
            for (known, row) in known.iter_mut().zip(rows.iter().skip(first)) {
                *known |= values.get(*row).is_some_and(|value| !value.is_nan());
            }
            if known.iter().all(|known| *known) {
                break;
            }
        }
        known
    }

    /// Names of the columns, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.columns.iter().map(|column| &*column.name)
    }

    /// How many columns there are, at least 1.
    pub fn width(&self) -> usize {
        self.0.columns.len()
    }

    /// Names of the inputs that some column uses, in the order of the rows.
    pub fn inputs(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.inputs.iter().map(|input| &*input.name)
    }

    /// The same, each with its place in a row and the share of the training rows in which it was known.
    pub fn known_inputs(&self) -> impl ExactSizeIterator<Item = (&str, usize, f64)> {
        self.0.inputs.iter().map(|input| (&*input.name, input.position, 1.0 - input.missing))
    }

    /// The same, each with its place in a row and the median of the training rows, which stands for a missing value.
    pub fn usual(&self) -> impl ExactSizeIterator<Item = (&str, usize, f64)> {
        self.0.inputs.iter().map(|input| (&*input.name, input.position, input.median))
    }

    /// The places among `carried` whose value in `row` is one that the design was not fitted near: more than three times the
    /// width of the training bounds outside of them. The features have ranges of their own, which every value was checked against.
    pub fn far(&self, row: &[Option<f64>], carried: Places) -> Places {
        if carried.is_empty() {
            return carried;
        }
        let is_far = |input: &&InputFit| {
            let reach = NEAR * (input.high - input.low);
            let value = known(input, row).filter(|_| carried.contains(input.position));
            value.is_some_and(|value| value < input.low - reach || value > input.high + reach)
                && !Feature::ALL.iter().any(|feature| feature.name() == &*input.name)
        };
        self.0.inputs.iter().filter(is_far).map(|input| input.position).collect()
    }

    /// How many rows it was fitted on.
    pub fn training_rows(&self) -> usize {
        self.0.training_rows
    }

    /// What was left out, and why.
    pub fn dropped(&self) -> &[Dropped] {
        &self.0.dropped
    }

    /// Whether everything in it is as [`super::fit`] makes it. Reading a stored design does this by itself.
    ///
    /// # Errors
    /// [`InvalidDesign`], which names the part at fault.
    pub fn check(&self) -> Result<(), InvalidDesign> {
        record::check(&self.0)
    }

    /// The same design, reading its inputs by name from rows of `schema`. To be done when a model is loaded: extras may
    /// have been added or reordered since it was trained.
    ///
    /// # Errors
    /// [`InvalidDesign::InputGone`] when an input it uses is not in `schema`.
    pub fn for_schema(&self, schema: &Schema) -> Result<Self, InvalidDesign> {
        let mut record = self.0.clone();
        record.row_width = schema.width();
        for input in &mut record.inputs {
            let gone = || InvalidDesign::InputGone { input: input.name.clone() };
            input.position = schema.position(&input.name).ok_or_else(gone)?;
        }
        Self::new(record)
    }
}

impl Record {
    /// The inputs of which a row must know one: those but the confidence, which will do alone where there is nothing else.
    fn deciding(&self) -> impl Iterator<Item = &InputFit> {
        let is_market = |input: &InputFit| input.position != CONFIDENCE_POSITION;
        let alone = !self.inputs.iter().any(is_market);
        self.inputs.iter().filter(move |input| alone || is_market(input))
    }
}

impl TryFrom<Record> for DesignMatrix {
    type Error = InvalidDesign;
    fn try_from(record: Record) -> Result<Self, InvalidDesign> {
        Self::new(record)
    }
}

impl From<DesignMatrix> for Record {
    fn from(design: DesignMatrix) -> Self {
        design.0
    }
}
