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

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::row::{CONFIDENCE_POSITION, Schema};

/// The format written today.
pub const FORMAT: u32 = 1;

/// The largest magnitude of a training value: products and squares of such values are still finite.
pub const LARGEST: f64 = 1e60;

/// A fitted design. Made by [`super::fit`], or read from where it was stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Record", into = "Record")]
pub struct DesignMatrix(Record);

/// What is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// [`FORMAT`] at the time of writing.
    pub(super) format: u32,
    /// Values in a row to transform.
    pub(super) row_width: usize,
    /// Rows it was fitted on.
    pub(super) training_rows: usize,
    /// Inputs that some column uses, in the order of the rows.
    pub(super) inputs: Vec<InputFit>,
    /// The columns, in order.
    pub(super) columns: Vec<Column>,
    /// What was left out, and why.
    pub(super) dropped: Vec<Dropped>,
}

/// One input as the training rows showed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct InputFit {
    pub(super) name: Box<str>,
    /// Where it stands in a row.
    pub(super) position: usize,
    /// Share of the training rows in which it was missing, 0 to below 1.
    pub(super) missing: f64,
    /// Clipped from below and above to these.
    pub(super) low: f64,
    pub(super) high: f64,
    /// Stands for a missing value.
    pub(super) median: f64,
}

/// One column: where its value comes from, and how it is scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Column {
    pub(super) name: Box<str>,
    pub(super) source: Source,
    pub(super) center: f64,
    pub(super) scale: f64,
}

/// Where a column's value comes from; numbers are places in [`Record::inputs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    Value(usize),
    Missing(usize),
    Product(usize, usize),
}

/// A column that would say nothing, by name, and why it was left out: a warning to be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// Name of the column.
    pub column: Box<str>,
    /// Why.
    pub because: Degenerate,
}

/// Why a column would say nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Degenerate {
    /// It is the same in all training rows once clipped and imputed.
    Constant {
        /// What it always is.
        value: f64,
    },
    /// It is missing in too many training rows.
    Missing {
        /// In which share of them.
        share: f64,
        /// The highest share allowed.
        limit: f64,
    },
    /// It is an interaction with an input that was itself dropped.
    PartDropped {
        /// Name of that input.
        part: Box<str>,
    },
    /// The same interaction is declared twice.
    Repeated,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {} is dropped: ", self.column)?;
        match &self.because {
            Degenerate::Constant { value } => write!(f, "it is {value} in all training rows"),
            Degenerate::Missing { share, limit } => {
                let (share, limit) = (100.0 * share, 100.0 * limit);
                write!(f, "it is missing in {share:.1} % of the training rows, at most {limit:.1} % may be")
            }
            Degenerate::PartDropped { part } => write!(f, "its part {part} was dropped"),
            Degenerate::Repeated => f.write_str("the same interaction is declared twice"),
        }
    }
}

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

/// A stored design that must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDesign {
    /// Written by another version of this program.
    #[error("the design matrix has format {found}, this program reads format {FORMAT}; train the model anew")]
    Format {
        /// The format it has.
        found: u32,
    },
    /// Damaged, or never made by this program.
    #[error("the design matrix is damaged: {part}: {fault}; restore it from a copy or train the model anew")]
    Damaged {
        /// The input or column at fault.
        part: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// It uses an input that rows no longer have.
    #[error(
        "the model uses the input {input:?}, which is no longer declared; declare it again or train the model anew"
    )]
    InputGone {
        /// Name of the input.
        input: Box<str>,
    },
}

impl DesignMatrix {
    pub(super) fn new(record: Record) -> Result<Self, InvalidDesign> {
        check(&record)?;
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
        let market = |input: &&InputFit| input.position != CONFIDENCE_POSITION;
        let inputs = self.0.inputs.iter().filter(market).count();
        let knows = |input: &InputFit| known(input, row).is_some();
        let usable =
            if inputs > 0 { self.0.inputs.iter().filter(market).any(knows) } else { self.0.inputs.iter().any(knows) };
        if !usable {
            return Err(InvalidRow::NothingKnown { inputs: inputs.max(1) });
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
        check(&self.0)
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
        record_in_row_order(&record)?;
        Ok(Self(record))
    }
}

/// Two inputs of one place would be one input under two names.
fn record_in_row_order(record: &Record) -> Result<(), InvalidDesign> {
    let places: BTreeSet<usize> = record.inputs.iter().map(|input| input.position).collect();
    let twice = places.len() < record.inputs.len();
    if twice { Err(damaged("inputs", "two of them share a place in the row")) } else { Ok(()) }
}

impl Record {
    /// The unscaled value of a column, or `None` when a place in it does not exist.
    pub(super) fn value(&self, source: Source, row: &[Option<f64>]) -> Option<f64> {
        match source {
            Source::Value(input) => self.imputed(input, row),
            Source::Missing(input) => Some(if known(self.inputs.get(input)?, row).is_some() { 0.0 } else { 1.0 }),
            Source::Product(left, right) => Some(self.imputed(left, row)? * self.imputed(right, row)?),
        }
    }

    fn imputed(&self, input: usize, row: &[Option<f64>]) -> Option<f64> {
        let input = self.inputs.get(input)?;
        // not `clamp`, which panics when the bounds are out of order
        Some(known(input, row).map_or(input.median, |value| value.max(input.low).min(input.high)))
    }
}

fn known(input: &InputFit, row: &[Option<f64>]) -> Option<f64> {
    row.get(input.position).copied().flatten().filter(|value| value.is_finite())
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

fn damaged(part: &str, fault: &'static str) -> InvalidDesign {
    InvalidDesign::Damaged { part: part.to_owned(), fault }
}

fn check(record: &Record) -> Result<(), InvalidDesign> {
    if record.format != FORMAT {
        return Err(InvalidDesign::Format { found: record.format });
    }
    if record.columns.is_empty() {
        return Err(damaged("columns", "there is none"));
    }
    let mut names = BTreeSet::new();
    for input in &record.inputs {
        check_input(input, record.row_width).map_err(|fault| damaged(&input.name, fault))?;
    }
    record_in_row_order(record)?;
    for column in &record.columns {
        check_column(column, record).map_err(|fault| damaged(&column.name, fault))?;
        if !names.insert(&column.name) {
            return Err(damaged(&column.name, "two columns have this name"));
        }
    }
    Ok(())
}

/// Comparisons are written so that NaN fails them.
fn check_input(input: &InputFit, row_width: usize) -> Result<(), &'static str> {
    let usable = |value: f64| value.abs() <= LARGEST;
    let rules = [
        (input.position < row_width, "its place is beyond the row"),
        ((0.0..1.0).contains(&input.missing), "its missing share is outside 0 to 1"),
        (usable(input.low) && usable(input.high), "a bound is not finite or too large"),
        (input.low <= input.high, "the lower bound is above the upper"),
        ((input.low..=input.high).contains(&input.median), "the median is outside the bounds"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, fault)| Err(fault))
}

/// The value of a column lies between the extremes of its source, so if those are finite once scaled, all are.
fn check_column(column: &Column, record: &Record) -> Result<(), &'static str> {
    let bounds = |input: usize| record.inputs.get(input).map(|input| [input.low, input.high]);
    let no_input = "it uses an input that does not exist";
    let extremes: Vec<f64> = match column.source {
        Source::Value(input) => bounds(input).ok_or(no_input)?.to_vec(),
        Source::Missing(input) => bounds(input).map(|_| vec![0.0, 1.0]).ok_or(no_input)?,
        Source::Product(left, right) => {
            let (left, right) = (bounds(left).ok_or(no_input)?, bounds(right).ok_or(no_input)?);
            left.into_iter().flat_map(|a| right.map(|b| a * b)).collect()
        }
    };
    let scaled = |value: &f64| ((value - column.center) / column.scale).is_finite();
    let rules = [
        (column.center.is_finite(), "its centre is not finite"),
        (column.scale.is_finite() && column.scale > 0.0, "its scale is not above 0"),
        (extremes.iter().all(scaled), "it can become infinite"),
    ];
    rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, fault)| Err(fault))
}
