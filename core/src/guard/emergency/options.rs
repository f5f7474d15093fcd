//! The thresholds of the emergency rules: the section `[guardian]` of the configuration.

use std::collections::BTreeMap;

/// A threshold of one rule: a key of `[guardian]`. Its rule lists it, and the configuration reads what is listed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name in the section.
    pub name: &'static str,
    /// What it may be.
    pub allowed: Allowed,
    /// What it is where nothing is configured: the same as in `config.toml`, which a test compares.
    pub default: f64,
}

/// What a threshold may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// A whole number, the least and the most.
    Count(u32, u32),
    /// A number, the least and the most.
    Number(f64, f64),
    /// A number above the first and up to the second.
    Above(f64, f64),
}

/// The thresholds: those of single rules, and what concerns several.
#[derive(Debug, Clone, PartialEq)]
pub struct EmergencyOptions {
    /// Trades over which a slow decline is looked for, at least 1: an accuracy under the line over so many takes a version down
    /// whatever was validated.
    pub longest_window: usize,
    /// False alarms a year that a version which is as good as validated may cost, over all rules but the loss of the day;
    /// above 0.
    pub false_alarms_per_year: f64,
    /// Whether the lines hold as they are written, however many false alarms that costs.
    pub literal: bool,
    /// What one trade may make or lose at most, above 0, in account currency: a pnl beyond it is none.
    pub max_trade_pnl: f64,
    /// Those of single rules.
    pub thresholds: Thresholds,
}

/// The thresholds of single rules that were set, by key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thresholds(BTreeMap<&'static str, f64>);

impl Default for EmergencyOptions {
    fn default() -> Self {
        Self {
            longest_window: 400,
            false_alarms_per_year: 0.02,
            literal: false,
            max_trade_pnl: 1e6,
            thresholds: Thresholds::default(),
        }
    }
}

impl EmergencyOptions {
    /// The same with another threshold.
    #[must_use]
    pub fn with(mut self, key: &Key, value: f64) -> Self {
        self.thresholds.0.insert(key.name, value);
        self
    }

    /// A threshold.
    pub fn number(&self, key: &Key) -> f64 {
        self.thresholds.0.get(key.name).copied().unwrap_or(key.default)
    }

    /// A threshold that is a whole number.
    pub fn count(&self, key: &Key) -> usize {
        self.number(key) as usize
    }
}
