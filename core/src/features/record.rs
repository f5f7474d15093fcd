//! The stored form of a design matrix, and the check it must pass whenever it is read.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

/// The format written today.
pub const FORMAT: u32 = 1;

/// The largest magnitude of a training value: products and squares of such values are still finite.
pub const LARGEST: f64 = 1e60;

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

/// Whether a design can be fitted on a value: it is finite and not beyond [`LARGEST`].
pub fn is_usable(value: f64) -> bool {
    value.abs() <= LARGEST
}

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

/// A stored design that must not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDesign {
    /// Written by another version of this program.
    #[error("the design matrix has format {found}, this program reads format {FORMAT}; train the model again")]
    Format {
        /// The format it has.
        found: u32,
    },
    /// Damaged, or never made by this program.
    #[error("the design matrix is damaged: {part}: {fault}; restore it from a copy or train the model again")]
    Damaged {
        /// The input or column at fault.
        part: String,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// It uses an input that rows no longer have.
    #[error("the model uses the input {input:?}, which is no longer declared; declare it again, or train a new model")]
    InputGone {
        /// Name of the input.
        input: Box<str>,
    },
}

impl Record {
    /// The unscaled value of a column, or `None` when a place in it does not exist.
    #[inline]
    pub(super) fn value(&self, source: Source, row: &[Option<f64>]) -> Option<f64> {
        match source {
            Source::Value(input) => self.imputed(input, row),
            Source::Missing(input) => Some(if known(self.inputs.get(input)?, row).is_some() { 0.0 } else { 1.0 }),
            Source::Product(left, right) => Some(self.imputed(left, row)? * self.imputed(right, row)?),
        }
    }

    #[inline]
    fn imputed(&self, input: usize, row: &[Option<f64>]) -> Option<f64> {
        let input = self.inputs.get(input)?;
        Some(input.imputed(known(input, row).unwrap_or(f64::NAN)))
    }
}

impl InputFit {
    /// A value within the bounds, the median where it is NaN.
    #[inline]
    pub(super) fn imputed(&self, value: f64) -> f64 {
        // not `clamp`, which panics when the bounds are out of order
        if value.is_nan() { self.median } else { value.max(self.low).min(self.high) }
    }
}

/// The missing indicator of a value: 1 for NaN, else 0.
#[inline]
pub(super) fn missing(value: f64) -> f64 {
    if value.is_nan() { 1.0 } else { 0.0 }
}

/// The value of `input` in `row`, if it is there and finite.
#[inline]
pub(super) fn known(input: &InputFit, row: &[Option<f64>]) -> Option<f64> {
    row.get(input.position).copied().flatten().filter(|value| value.is_finite())
}

fn damaged(part: &str, fault: &'static str) -> InvalidDesign {
    InvalidDesign::Damaged { part: part.to_owned(), fault }
}

/// Whether a record is as fitting makes it, so that transforming with it can neither fail nor overflow.
pub(super) fn check(record: &Record) -> Result<(), InvalidDesign> {
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
    check_places(record)?;
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
    let rules = [
        (input.position < row_width, "its place is beyond the row"),
        ((0.0..1.0).contains(&input.missing), "its missing share is outside 0 to 1"),
        (is_usable(input.low) && is_usable(input.high), "a bound is not finite or too large"),
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

/// Two inputs of one place would be one input under two names.
fn check_places(record: &Record) -> Result<(), InvalidDesign> {
    let places: BTreeSet<usize> = record.inputs.iter().map(|input| input.position).collect();
    let twice = places.len() < record.inputs.len();
    if twice { Err(damaged("inputs", "two of them share a place in the row")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::features::design::DesignMatrix;

    fn stored() -> Value {
        json!({
            "format": 1, "row_width": 14, "training_rows": 3, "dropped": [],
            "inputs": [
                {"name": "a", "position": 2, "missing": 0.5, "low": -1.0, "high": 3.0, "median": 1.0},
                {"name": "b", "position": 13, "missing": 0.0, "low": 0.0, "high": 2.0, "median": 0.5},
            ],
            "columns": [
                {"name": "a", "source": {"value": 0}, "center": 1.0, "scale": 2.0},
                {"name": "missing:a", "source": {"missing": 0}, "center": 0.5, "scale": 0.5},
                {"name": "a*b", "source": {"product": [0, 1]}, "center": 0.0, "scale": 4.0},
            ],
        })
    }

    fn read(stored: &Value) -> Result<DesignMatrix, String> {
        serde_json::from_str(&stored.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_stored_design_computes_what_it_says() {
        let design = read(&stored()).unwrap();
        assert_eq!(serde_json::to_value(&design).unwrap(), stored());
        let mut row = [None; 14];
        row[13] = Some(9.0);
        let mut columns = Vec::new();
        design.transform(&row, &mut columns).unwrap();
        assert_eq!(columns, [0.0, 1.0, 0.5]);
        row[2] = Some(-5.0);
        design.transform(&row, &mut columns).unwrap();
        assert_eq!(columns, [-1.0, -1.0, -0.5]);
    }

    #[test]
    fn a_damaged_design_is_never_read() {
        let cases = [
            ("/format", json!(2), "format 2, this program reads format 1"),
            ("/columns", json!([]), "columns: there is none"),
            ("/row_width", json!(13), "b: its place is beyond the row"),
            ("/inputs/1/position", json!(2), "two of them share a place"),
            ("/inputs/0/low", json!(3.5), "a: the lower bound is above the upper"),
            ("/inputs/0/median", json!(3.5), "a: the median is outside the bounds"),
            ("/inputs/1/high", json!(1e61), "b: a bound is not finite or too large"),
            ("/inputs/0/missing", json!(1.0), "a: its missing share is outside"),
            ("/inputs/0/low", Value::Null, "invalid type: null"),
            ("/columns/0/scale", json!(0.0), "a: its scale is not above 0"),
            ("/columns/0/scale", json!(-2.0), "a: its scale is not above 0"),
            ("/columns/2/scale", json!(5e-324), "a*b: it can become infinite"),
            ("/columns/2/source", json!({"product": [0, 2]}), "a*b: it uses an input that does not exist"),
            ("/columns/1/source", json!({"missing": 7}), "missing:a: it uses an input that does not exist"),
            ("/columns/1/name", json!("a"), "a: two columns have this name"),
        ];
        for (place, value, fault) in cases {
            let mut damaged = stored();
            *damaged.pointer_mut(place).unwrap() = value;
            let error = read(&damaged).unwrap_err();
            assert!(error.contains(fault), "{place}: {error}");
        }
    }
}
