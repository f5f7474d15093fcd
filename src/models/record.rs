//! What is stored of a model.

use serde::{Deserialize, Serialize};

use super::{compiled::Compiled, logistic::Logistic};

/// A stored model of any kind. Its format is versioned by the [`super::VersionRecord`] around it; a new kind is a new
/// variant, and a change of a variant's fields is a new format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelRecord {
    /// Logistic regression.
    Logistic(Logistic),
}

/// Why a stored model is not served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum RecordError {
    /// No column.
    #[error("the model has no weights: train it again")]
    NoWeights,
    /// A number that is NaN or infinite.
    #[error("{what} of the model is {value}: it must be finite; train it again")]
    NonFinite { what: String, value: f64 },
}

impl ModelRecord {
    /// Its kind in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Logistic(_) => "logistic",
        }
    }

    /// Number of columns it was fitted on.
    pub fn width(&self) -> usize {
        match self {
            Self::Logistic(model) => model.weights.len(),
        }
    }

    /// The form that scores, after a check of every number in the record.
    ///
    /// # Errors
    /// [`RecordError`] for a record that no fit of ours gives.
    pub fn compile(&self) -> Result<Compiled, RecordError> {
        match self {
            Self::Logistic(model) => compile_logistic(model),
        }
    }
}

fn compile_logistic(model: &Logistic) -> Result<Compiled, RecordError> {
    if model.weights.is_empty() {
        return Err(RecordError::NoWeights);
    }
    let others = [("intercept", model.intercept), ("l2", model.l2), ("gradient", model.gradient)];
    if let Some((what, value)) = others.into_iter().find(|(_, value)| !value.is_finite()) {
        return Err(RecordError::NonFinite { what: what.to_owned(), value });
    }
    if let Some((column, &value)) = model.weights.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(RecordError::NonFinite { what: format!("weight {column}"), value });
    }
    Ok(Compiled::linear(&model.weights, model.intercept))
}
