//! Everything that happened, folded step by step: for the live path, a start, a replay under other thresholds, and drills.

pub mod drill;
pub mod replay;
pub mod step;
