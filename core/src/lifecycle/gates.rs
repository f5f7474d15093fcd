//! The gate before a state: its conditions, each a number against a threshold, and whether it is open.
#![deny(clippy::indexing_slicing)]

use std::fmt;

use serde::Serialize;

use crate::{domain::lifecycle::State, guard::labels::Labels, models::MOST_UNLABELLED};

/// One condition of a gate or of shipping: a number against its threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// A stable word.
    pub name: &'static str,
    /// The number; `None` when it is not defined, and then the check fails.
    pub value: Option<f64>,
    /// What it is held against.
    pub threshold: f64,
    /// Whether it holds.
    pub passed: bool,
}

/// A gate before a state, and how a version stands against it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// The state behind it.
    pub next: State,
    /// Whether it is open.
    pub passed: bool,
    /// In words.
    pub says: String,
    /// Its conditions.
    pub checks: Vec<Check>,
}

/// What conditions ask for, where their stable word does not say it.
const MEANINGS: [(&str, &str); 6] = [
    ("win_rate_gain", "gain of win rate"),
    ("sharpe_gain", "gain of Sharpe ratio"),
    ("mean_pnl_gain", "gain of mean pnl"),
    ("drawdown_ratio", "drawdown"),
    ("unlabelled_share", "labels"),
    ("evidence", "proof that it is better"),
];

/// The stable word of a condition in a reader's words; what has none comes back without its underscores.
pub fn meaning(name: &str) -> String {
    let known = MEANINGS.iter().find(|(condition, _)| *condition == name);
    known.map_or_else(|| name.replace('_', " "), |(_, words)| (*words).to_owned())
}

/// A text in which stable words stand, as verdicts of older journals have them, in a reader's words.
pub fn spelled_out(text: &str) -> String {
    MEANINGS.iter().fold(text.to_owned(), |text, (name, words)| text.replace(name, words))
}

impl Check {
    /// That labels come: a version whose label never comes is watched by too little. `None` while nobody knows.
    pub fn of_labels(labels: &Labels) -> Option<Self> {
        let value = labels.share();
        let passed = value? <= MOST_UNLABELLED;
        Some(Self { name: "unlabelled_share", value, threshold: MOST_UNLABELLED, passed })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let passed = if self.passed { "holds" } else { "fails" };
        write!(f, "{:<16} {value:>12} against {:<10} {passed}", self.name, self.threshold)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)?;
        let squeezed = |check: &Check| check.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let failed = self.checks.iter().filter(|check| !check.passed).map(squeezed).collect::<Vec<_>>();
        if failed.is_empty() { Ok(()) } else { write!(f, " ({})", failed.join(", ")) }
    }
}
