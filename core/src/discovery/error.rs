//! Why a search cannot be.

use crate::validation::{SplitError, example::InvalidExamples, fitter::NoFit};

/// Why there is no search.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum DiscoverError {
    /// Too little to say anything.
    #[error("{have} closed trades before the test part are too few to search in, it takes {need}; wait for more")]
    TooFewTrades { have: usize, need: usize },
    /// Nothing to foretell.
    #[error("the outcome is the same in all {trades} closed trades before the test part: there is nothing to foretell")]
    Constant { trades: usize },
    /// More than a search can bear.
    #[error("{have} candidates are too many, at most {most} can be tried at once")]
    TooMany { have: usize, most: usize },
    /// An option out of its range.
    #[error("{what} is {value}: it must be {range}")]
    Option { what: &'static str, value: f64, range: &'static str },
    /// A candidate of other trades.
    #[error("candidate {name} has {found} values for {expected} trades")]
    Length { name: Box<str>, found: usize, expected: usize },
    /// A name that cannot be used.
    #[error("{0}")]
    Name(String),
    /// The trades cannot be learnt from.
    #[error("{0}")]
    Trades(String),
    /// No model came of the ablation.
    #[error("no model could be fitted for the ablation: {0}")]
    Fit(String),
    /// The trades cannot be cut into folds.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// The trades with a candidate cannot be learnt from.
    #[error(transparent)]
    Examples(#[from] InvalidExamples),
}

impl From<NoFit> for DiscoverError {
    fn from(error: NoFit) -> Self {
        Self::Fit(error.0)
    }
}
