//! Models: how they are fitted, what is stored of them, and how they score.
//!
//! A fit gives one of our own records ([`ModelRecord`]), never a library's struct, so that upgrading a library
//! invalidates nothing that is stored. Serving uses [`Compiled`], which a record gives only after it has been checked.
//! Pure: no clock, no file; the same input gives the same model.

mod cholesky;
mod compiled;
mod lbfgs;
mod logistic;
mod newton;
mod problem;
mod record;
mod version;

pub use compiled::Compiled;
pub use logistic::{ClassWeights, FitError, Logistic, Options, Solver, fit_logistic};
pub use record::{ModelRecord, RecordError};
pub use version::{DataHash, Target, TrainingSpan, VersionError, VersionRecord};
