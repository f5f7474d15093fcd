//! What is said of a line that cannot be taken.

use serde::Serialize;

/// A line that could not be taken, with the name of the field at fault when one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct InvalidLine {
    /// One of a few stable words: `invalid_json`, `unknown_field`, `missing_field`, `wrong_type`, `out_of_range`,
    /// `duplicate_field`, `unexpected_field`.
    pub code: &'static str,
    /// What was wrong, where, and what is allowed.
    pub message: String,
    /// Dotted path of the field, such as `market_state.vwap.m15`.
    pub field: Option<String>,
}

/// The error of one field.
pub(super) fn field_error(code: &'static str, field: &str, why: &str) -> InvalidLine {
    InvalidLine { code, message: format!("{field}: {why}"), field: Some(field.to_owned()) }
}
