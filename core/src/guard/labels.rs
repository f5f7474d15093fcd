//! Whether the trader's messages give the label that a version is judged by.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::models::{MOST_UNLABELLED, Missing};

/// Closed trades from which on it is known whether labels come.
const LEAST: u64 = 20;

/// Closed trades that a version scored, and what they lack for its label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    scored: u64,
    missing: BTreeMap<Missing, u64>,
}

/// More closed trades have no label than may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlabelled {
    /// What most of them lack.
    pub most: Missing,
    /// Those without a label.
    pub without: u64,
    /// Of so many.
    pub of: u64,
}

impl Labels {
    /// A trade was closed that lacks `missing`, or nothing.
    pub fn take(&mut self, missing: Option<Missing>) {
        self.scored += 1;
        if let Some(missing) = missing {
            *self.missing.entry(missing).or_default() += 1;
        }
    }

    /// Share of the trades without a label. `None` while they are too few to know.
    pub fn share(&self) -> Option<f64> {
        (self.scored >= LEAST).then(|| self.without() as f64 / self.scored as f64)
    }

    /// What is missing where more than one trade in twenty has no label.
    pub fn unlabelled(&self) -> Option<Unlabelled> {
        self.share().filter(|share| *share > MOST_UNLABELLED)?;
        let (most, _) = self.missing.iter().max_by_key(|(_, count)| **count)?;
        Some(Unlabelled { most: *most, without: self.without(), of: self.scored })
    }

    fn without(&self) -> u64 {
        self.missing.values().sum()
    }
}

impl FromIterator<Option<Missing>> for Labels {
    fn from_iter<T: IntoIterator<Item = Option<Missing>>>(trades: T) -> Self {
        let mut labels = Self::default();
        trades.into_iter().for_each(|missing| labels.take(missing));
        labels
    }
}

impl fmt::Display for Unlabelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most, without, of } = self;
        write!(f, "{without} of {of} closed trades that it scored have no label: they lack {}", most.field())
    }
}
