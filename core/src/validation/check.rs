//! One part of a verdict: its value, what is asked of it, and how far it is met.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::part::{Area, Part};

/// Most that a part which failed adds to the overall score. With more, results of chance that fail many parts by little
/// come out above 0.8.
const FAILED_CREDIT: f64 = 0.5;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// This or more.
    AtLeast(f64),
    /// More than this.
    Above(f64),
    /// This or less.
    AtMost(f64),
}

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Within the limit.
    Pass,
    /// Beyond it.
    Fail,
    /// Its value could not be found out; for a hard part as bad as a failure.
    Undefined,
}

/// One part of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationCheck {
    /// Which.
    pub part: Part,
    /// What it belongs to.
    pub area: Area,
    /// What was found; `None` where it is not defined.
    pub value: Option<f64>,
    /// What it must be.
    pub limit: Limit,
    /// Whether it is.
    pub outcome: Outcome,
    /// Whether nothing is deployed without it.
    pub hard: bool,
    /// What it adds to the overall score: 1 within the limit; beyond it at most 1/2, falling in a line to 0 at a value
    /// that means nothing at all.
    pub credit: f64,
    /// What would help, where it did not pass.
    pub help: Option<String>,
    /// About how many more closed trades would help, where that is known.
    pub more_trades: Option<usize>,
}

impl Limit {
    /// The bare number.
    pub fn number(self) -> f64 {
        match self {
            Self::AtLeast(x) | Self::Above(x) | Self::AtMost(x) => x,
        }
    }

    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(x) => value >= x,
            Self::Above(x) => value > x,
            Self::AtMost(x) => value <= x,
        }
    }
}

/// The value of a part, and what is asked of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub part: Part,
    pub value: Option<f64>,
    pub limit: Limit,
    /// The value that is worth nothing.
    pub worthless: f64,
}

impl Measured {
    /// A part that may be at most `limit`, and means nothing from twice that on.
    pub fn twice(part: Part, value: Option<f64>, limit: f64) -> Self {
        Self { part, value, limit: Limit::AtMost(limit), worthless: 2.0 * limit }
    }

    /// How it ended, and what it adds to the overall score.
    pub fn weighed(&self) -> (Outcome, f64) {
        let Self { value, limit, worthless, .. } = *self;
        match value {
            None => (Outcome::Undefined, 0.0),
            Some(value) if limit.holds(value) => (Outcome::Pass, 1.0),
            Some(value) => {
                let credit = FAILED_CREDIT * (value - worthless) / (limit.number() - worthless);
                (Outcome::Fail, if credit.is_finite() { credit.clamp(0.0, FAILED_CREDIT) } else { 0.0 })
            }
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self {
            Self::AtLeast(_) => ">=",
            Self::Above(_) => ">",
            Self::AtMost(_) => "<=",
        };
        // as many digits as a threshold has, and no more of one that was computed
        f.pad(&format!("{sign} {}", (self.number() * 1e4).round() / 1e4))
    }
}
