//! Closed trades as a model learns from them and is judged on them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::splits::{Life, Lives, SplitError};
use crate::{
    domain::{
        Timestamp, TradingDay,
        snapshot::{TrendRegime, VolatilityRegime},
    },
    features::{fit::FitError, row::Schema, table::Table},
    models::Target,
};

/// What a model is meant to foretell, and with it how it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Yes or no: the trade reached its target, or made half of what it risked.
    SignalQuality,
    /// Yes or no: the trade made money after costs.
    Profitability,
    /// Yes or no: the pnl is in the upper third of the training part's.
    SignalStrengthClass,
    /// 0 to 1: pnl over risk, squashed.
    SignalStrength,
    /// Pnl in account currency.
    Pnl,
    /// 0 to 1: the calibrated probability of profitability.
    ConfidenceScore,
    /// Bars held at the best price.
    ExitTiming,
}

/// One closed trade.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// One value per input of the schema.
    pub values: Vec<Option<f64>>,
    /// From signal to exit.
    pub life: Life,
    /// What is to be foretold: 1 for yes and 0 for no where the goal is a class.
    pub truth: f64,
    /// Profit or loss after costs, in account currency.
    pub pnl: f64,
    /// The primary strategy's own confidence in it, 0 to 1.
    pub confidence: Option<f64>,
    /// Whether a model was heard for it: it is there because the model let it pass, and no model that exists is judged on it.
    pub heard: bool,
    /// How wide the market swung.
    pub volatility: Option<VolatilityRegime>,
    /// The trend after Dow.
    pub trend: Option<TrendRegime>,
    /// The trading day on which its pnl is booked; its month is the trade's.
    pub day: TradingDay,
}

/// Closed trades in the order of their signals, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Examples {
    goal: Goal,
    schema: Schema,
    rows: Vec<Example>,
    lives: Lives,
    table: Table,
    truth: Vec<f64>,
}

/// Trades that nothing can be learnt from.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum InvalidExamples {
    /// A row of another schema.
    #[error("trade {row} has {found} inputs, the schema has {expected}")]
    Width { row: usize, expected: usize, found: usize },
    /// An input that no computation can use.
    #[error(transparent)]
    Inputs(#[from] FitError),
    /// A number that cannot be.
    #[error("trade {row} has {value} for its {what}: it must be {range}")]
    Number { row: usize, what: &'static str, value: f64, range: &'static str },
    /// Out of order, or a life that ends before it begins.
    #[error(transparent)]
    Lives(#[from] SplitError),
}

impl From<Target> for Goal {
    fn from(target: Target) -> Self {
        match target {
            Target::SignalQuality => Self::SignalQuality,
            Target::Profitability => Self::Profitability,
            Target::SignalStrengthClass => Self::SignalStrengthClass,
            Target::SignalStrength => Self::SignalStrength,
            Target::Pnl => Self::Pnl,
            Target::ConfidenceScore => Self::ConfidenceScore,
            Target::ExitTiming => Self::ExitTiming,
        }
    }
}

impl Goal {
    /// Whether it is a yes or no.
    pub fn is_class(self) -> bool {
        matches!(self, Self::SignalQuality | Self::Profitability | Self::SignalStrengthClass)
    }

    /// Whether a score lies from 0 to 1, so that it can be blended with a confidence.
    pub fn is_share(self) -> bool {
        self.is_class() || matches!(self, Self::SignalStrength | Self::ConfidenceScore)
    }
}

impl Examples {
    /// Takes closed trades sorted by the time of their signal, each with the inputs of `schema`.
    ///
    /// # Errors
    /// [`InvalidExamples`] names the first row at fault.
    pub fn new(goal: Goal, schema: Schema, rows: Vec<Example>) -> Result<Self, InvalidExamples> {
        for (row, example) in rows.iter().enumerate() {
            check(row, example, goal, schema.width())?;
        }
        let lives = Lives::new(rows.iter().map(|example| example.life).collect())?;
        let values: Vec<&[Option<f64>]> = rows.iter().map(|example| example.values.as_slice()).collect();
        let table = Table::new(&schema, &values)?;
        let truth = rows.iter().map(|example| example.truth).collect();
        Ok(Self { goal, schema, rows, lives, table, truth })
    }

    /// What is to be foretold.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// The inputs of every row.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// All of them, in order.
    pub fn as_slice(&self) -> &[Example] {
        &self.rows
    }

    /// Their lives, in order.
    pub fn lives(&self) -> &Lives {
        &self.lives
    }

    /// Those whose signal came at `from` or later.
    ///
    /// # Errors
    /// None for what was checked already.
    pub fn since(self, from: Timestamp) -> Result<Self, InvalidExamples> {
        let rows = self.rows.into_iter().filter(|row| row.life.at >= from).collect();
        Self::new(self.goal, self.schema, rows)
    }

    /// Those without the signals that came after `after` and not after `until`.
    ///
    /// # Errors
    /// None for what was checked already.
    pub fn without(self, after: Timestamp, until: Timestamp) -> Result<Self, InvalidExamples> {
        let rows = self.rows.into_iter().filter(|row| row.life.at <= after || row.life.at > until).collect();
        Self::new(self.goal, self.schema, rows)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The places of those that `is_meant`.
    pub fn places(&self, is_meant: impl Fn(&Example) -> bool) -> Vec<usize> {
        self.rows.iter().enumerate().filter(|(_, row)| is_meant(row)).map(|(place, _)| place).collect()
    }

    /// Those of `rows` for which no model was heard: nobody chose them.
    pub fn unheard(&self, rows: &[usize]) -> Vec<usize> {
        let chosen = |row: &usize| self.rows.get(*row).is_some_and(|example| example.heard);
        rows.iter().copied().filter(|row| !chosen(row)).collect()
    }

    /// Those of the row numbers `rows` that exist.
    pub fn pick<'a>(&'a self, rows: &'a [usize]) -> impl Iterator<Item = &'a Example> {
        rows.iter().filter_map(|row| self.rows.get(*row))
    }

    /// What is to be foretold of `rows`.
    pub fn truth(&self, rows: &[usize]) -> Vec<f64> {
        rows.iter().filter_map(|row| self.truth.get(*row).copied()).collect()
    }

    /// The inputs of all of them.
    pub fn table(&self) -> &Table {
        &self.table
    }
}

fn check(row: usize, example: &Example, goal: Goal, width: usize) -> Result<(), InvalidExamples> {
    let found = example.values.len();
    if found != width {
        return Err(InvalidExamples::Width { row, expected: width, found });
    }
    let confidence = example.confidence.unwrap_or(0.0);
    let truth = example.truth;
    let class = !goal.is_class() || truth == 0.0 || truth == 1.0;
    let rules = [
        (class, "truth", truth, "0 for no or 1 for yes"),
        (truth.is_finite(), "truth", truth, "finite"),
        (example.pnl.is_finite(), "pnl", example.pnl, "finite"),
        ((0.0..=1.0).contains(&confidence), "confidence", confidence, "0 to 1"),
    ];
    match rules.into_iter().find(|(holds, ..)| !holds) {
        Some((_, what, value, range)) => Err(InvalidExamples::Number { row, what, value, range }),
        None => Ok(()),
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SignalQuality => "signal_quality",
            Self::Profitability => "profitability",
            Self::SignalStrengthClass => "signal_strength_class",
            Self::SignalStrength => "signal_strength",
            Self::Pnl => "pnl",
            Self::ConfidenceScore => "confidence_score",
            Self::ExitTiming => "exit_timing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TradingCalendar;
    use jiff::{civil, tz::TimeZone};

    fn example() -> Example {
        let at = Timestamp::UNIX_EPOCH;
        let calendar = TradingCalendar::new(TimeZone::UTC, civil::time(17, 0, 0, 0));
        Example {
            values: vec![None; 13],
            life: Life { at, exit_at: at, known_at: at },
            truth: 1.0,
            pnl: -3.0,
            confidence: Some(0.5),
            heard: false,
            volatility: None,
            trend: None,
            day: calendar.day_of(at),
        }
    }

    fn examples(goal: Goal, change: impl Fn(&mut Example)) -> Result<Examples, InvalidExamples> {
        let mut changed = example();
        change(&mut changed);
        Examples::new(goal, Schema::new(&[]).unwrap(), vec![example(), changed])
    }

    #[test]
    fn a_trade_that_cannot_be_is_named() {
        assert_eq!(examples(Goal::Profitability, |_| ()).unwrap().len(), 2);
        let error = examples(Goal::Profitability, |row| row.values.truncate(5)).unwrap_err();
        assert_eq!(error, InvalidExamples::Width { row: 1, expected: 13, found: 5 });
        type Case = (&'static str, fn(&mut Example));
        let cases: [Case; 5] = [
            ("0.5 for its truth: it must be 0 for no or 1 for yes", |row| row.truth = 0.5),
            ("inf for its truth", |row| row.truth = f64::INFINITY),
            ("NaN for its pnl", |row| row.pnl = f64::NAN),
            ("1.5 for its confidence", |row| row.confidence = Some(1.5)),
            ("exits at", |row| row.life.exit_at = Timestamp::MIN),
        ];
        for (message, change) in cases {
            let error = examples(Goal::Profitability, change).unwrap_err().to_string();
            assert!(error.contains(message) && error.starts_with("trade 1"), "{error}");
        }
        assert!(examples(Goal::Pnl, |row| row.truth = -70.5).is_ok());
    }
}
