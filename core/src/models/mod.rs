//! Models: what they predict, how they are fitted, what is stored of them, and how they score.
//!
//! [`fit`] gives one of our own records ([`ModelRecord`]), never a library's struct, so that upgrading a library
//! invalidates nothing that is stored. Serving uses [`Compiled`], which a record gives only after it has been checked.
//! Pure: no clock, no file; the same input and seed give the same model, to the byte.

mod bins;
mod blocks;
mod boosting;
mod calibration;
mod cholesky;
mod compiled;
mod ensemble;
mod error;
mod forest;
mod grow;
mod input;
mod kind;
pub mod levels;
mod linear;
mod logistic;
mod question;
mod record;
pub mod sizing;
mod spec;
mod split;
pub mod standard;
pub mod targets;
mod tree;
mod version;
mod walk;

pub use boosting::{Boosting, BoostingSpec, Stop};
pub use calibration::{Calibration, Method};
pub use compiled::Compiled;
pub use ensemble::{Average, Calibrated, Stack, average, calibrated, stack};
pub use error::FitError;
pub use forest::{Forest, ForestSpec, Output};
pub use input::{Held, Values};
pub use kind::Kind;
pub use linear::{Linear, LinearSpec};
pub use logistic::{ClassWeights, Logistic, LogisticOptions, Solver, fit_logistic};
pub use question::{Answer, Question};
pub use record::{ModelRecord, RecordError};
pub use sizing::TradePolicy;
pub use spec::{AverageSpec, LogisticSpec, ModelSpec, fit};
pub use standard::Standard;
pub use targets::{Facts, Labeller, MOST_UNLABELLED, Missing, Stake, Target, TargetKind, TargetValue};
pub use tree::{MAX_DEPTH, Tree, TreeError};
pub use version::{DataHash, References, ReliabilityBin, TrainingSpan, VersionError, VersionRecord};
