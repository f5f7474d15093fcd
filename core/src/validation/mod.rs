//! What a model must survive before anyone trades on it.
//!
//! Pure. Everything is split by time: no row that a model learns from may know anything of the rows it is judged on.
//! What is validated is a [`fitter::Fitter`], a way to make a model from trades, so that any kind of model goes
//! through the same mill: [`validate`].

mod advice;
pub mod arrival;
mod backtest;
pub mod baselines;
pub mod check;
mod evidence;
pub mod example;
pub mod figures;
pub mod fitter;
pub mod gather;
pub mod ledger;
pub mod lift;
pub mod options;
pub mod order;
pub mod part;
mod progress;
pub mod recipe;
mod refit;
mod refused;
mod regime;
pub mod report;
mod rotation;
pub mod splits;
pub mod stability;
mod suite;
mod table;
mod to_record;
pub mod training;
mod verdict;
pub mod versus;

pub use example::{Example, Examples, Goal};
pub use ledger::Ledger;
pub use options::ValidationOptions;
pub use progress::Stage;
pub use recipe::Recipe;
pub use report::{ValidationReport, ValidationVerdict};
pub use splits::{Life, Lives, Split, SplitError};
pub use suite::{Candidate, Given, ValidationError, validate, validate_subject};
