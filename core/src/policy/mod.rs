//! What is said to a signal: which arm it is in, what the models score, and the answer.

pub mod answer;
pub mod routing;
pub mod serving;
pub mod stale;
