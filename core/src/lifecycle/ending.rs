//! How a test ended, as the log tells it.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::domain::{Timestamp, event::By, lifecycle::State};

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// What became of the version.
    pub state: State,
    /// Why, in words.
    pub reason: String,
    /// On whose word.
    pub by: By,
    /// Whether a gate was passed over.
    pub overridden: bool,
    /// The numbers it was decided on, by name.
    pub evidence: BTreeMap<Box<str>, f64>,
}

impl fmt::Display for Ending {
    /// What became of it, on whose word, and the numbers, each against its threshold where it has one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, state, reason, by, overridden, evidence } = self;
        let mark = if *overridden { ", past its gate" } else { "" };
        writeln!(f, "the test ended at {at}, {state} by {by}{mark}: {reason}")?;
        for (name, value) in evidence.iter().filter(|(name, _)| !name.ends_with("_threshold")) {
            match evidence.get(&*format!("{name}_threshold")) {
                Some(threshold) => writeln!(f, "  {name} {value:.4} against {threshold}")?,
                None => writeln!(f, "  {name} {value:.4}")?,
            }
        }
        Ok(())
    }
}
