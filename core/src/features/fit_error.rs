//! Why no design can be fitted.

use super::record::{Dropped, InvalidDesign, LARGEST};

/// Training rows or options from which no design can be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// There is nothing to learn from.
    #[error("there are no training rows; import closed trades first")]
    NoRows,
    /// A row does not follow the schema.
    #[error("training row {row} has {found} values, the schema has {expected} inputs")]
    Width {
        /// Number of the row, from 0.
        row: usize,
        /// Inputs of the schema.
        expected: usize,
        /// Values in the row.
        found: usize,
    },
    /// A row that is not there.
    #[error("row {row} is to be learnt from, and there are {rows} rows")]
    NoSuchRow {
        /// Number of the row, from 0.
        row: usize,
        /// How many there are.
        rows: usize,
    },
    /// A value that no computation can use.
    #[error("training row {row} has {value} for {input}: not finite, or larger than {LARGEST:e}; reject the row")]
    Unusable {
        /// Number of the row, from 0.
        row: usize,
        /// Name of the input.
        input: Box<str>,
        /// The value.
        value: f64,
    },
    /// An interaction of something that is no input.
    #[error("interaction {left}*{right}: {unknown} is neither a feature nor the confidence nor a declared extra")]
    UnknownInput {
        /// First part, as configured.
        left: String,
        /// Second part, as configured.
        right: String,
        /// Which of them is unknown.
        unknown: String,
    },
    /// Every column was dropped.
    #[error("no column is left: all {} are constant or missing in the {rows} training rows", dropped.len())]
    NothingLeft {
        /// How many rows there were.
        rows: usize,
        /// All columns, and why each was dropped.
        dropped: Vec<Dropped>,
    },
    /// The result fails its own check.
    #[error(transparent)]
    Invalid(#[from] InvalidDesign),
}
