//! What a model must survive before anyone trades on it.
//!
//! Pure. Everything is split by time: no row that a model learns from may know anything of the rows it is judged on.

pub mod holdout;
pub mod splits;
pub mod training;

pub use holdout::Holdout;
pub use splits::{Life, Lives, Split, SplitError};
