//! The quality report: what a check of a data set found, as values, as JSON and as a table to read.
#![deny(clippy::indexing_slicing)]

use std::{collections::BTreeMap, fmt};

use serde::{Serialize, Serializer};

use super::ranges;
use crate::domain::{Outcome, Symbol, Timestamp, TradingDay};

/// How many lines are shown of each fault.
const EXAMPLES: usize = 3;

/// The state of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityReport {
    /// Lines read.
    pub read: u64,
    /// Lines that hold a usable signal not seen before; the rest of the report is about these.
    pub accepted: u64,
    /// Lines that were refused, by the code of the error.
    pub rejected: BTreeMap<&'static str, RowFault>,
    /// Lines that repeat an earlier signal: the same trade id, time and side; the first one counts.
    pub duplicates: RowFault,
    /// Lines with the trade id of an earlier signal that are another signal; the first one counts.
    pub conflicts: RowFault,
    /// Time of the first and of the last signal.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Signals of each symbol.
    pub signals: BTreeMap<Symbol, u64>,
    /// How the trades ended.
    pub classes: ClassBalance,
    /// Every input of the schema.
    pub inputs: Vec<InputQuality>,
    /// Names of inputs a model can learn nothing from: constant, never known, or missing in too many rows.
    pub degenerate: Vec<Box<str>>,
    /// Numbers that cannot be what they say they are.
    pub out_of_range: Vec<OutOfRangeField>,
    /// How many gaps there are in all.
    pub gaps_found: usize,
    /// The longest gaps, the longest first.
    pub gaps: Vec<Gap>,
}

/// How often something was found, and where first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RowFault {
    /// How often.
    pub count: u64,
    /// The first few, in words.
    pub examples: Vec<String>,
}

/// Closed trades by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ClassBalance {
    /// Trades with a pnl above 0.
    pub wins: u64,
    /// Trades with a pnl of 0 or below.
    pub losses: u64,
    /// Signals without an outcome, or with one that has no pnl.
    pub unknown: u64,
}

/// One input over all accepted rows, as read: nothing carried forward, no side taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputQuality {
    /// Its name.
    pub name: Box<str>,
    /// Rows that have it.
    pub known: u64,
    /// Share of the rows that lack it; none of none.
    pub missing_share: Option<f64>,
    /// Smallest value.
    pub min: Option<f64>,
    /// Mean of the known values.
    pub mean: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
}

/// A field with numbers that cannot be right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutOfRangeField {
    /// Its path.
    pub field: &'static str,
    /// What is asked of it.
    pub rule: ranges::Rule,
    /// How often it is not so.
    #[serde(flatten)]
    pub fault: RowFault,
}

/// A stretch of trading days without a signal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gap {
    /// Whose signals.
    pub symbol: Symbol,
    /// The last trading day before it.
    #[serde(serialize_with = "as_text")]
    pub after: TradingDay,
    /// The first trading day after it.
    #[serde(serialize_with = "as_text")]
    pub before: TradingDay,
    /// Trading days between the two, weekends not counted.
    pub trading_days: u32,
}

fn as_text<S: Serializer>(day: &TradingDay, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(day)
}

impl RowFault {
    pub(super) fn add(&mut self, example: impl FnOnce() -> String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
    }
}

impl ClassBalance {
    pub(super) fn add(&mut self, outcome: Option<&Outcome>) {
        match outcome.and_then(|outcome| outcome.pnl) {
            Some(pnl) if pnl.get() > 0.0 => self.wins += 1,
            Some(_) => self.losses += 1,
            None => self.unknown += 1,
        }
    }
}

impl InputQuality {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.into(), known: 0, missing_share: None, min: None, mean: None, max: None }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.known += 1;
        self.min = Some(self.min.map_or(value, |min| min.min(value)));
        self.max = Some(self.max.map_or(value, |max| max.max(value)));
        let mean = self.mean.unwrap_or(0.0);
        // a running mean: a sum of large values could overflow
        self.mean = Some(mean + (value / self.known as f64 - mean / self.known as f64));
    }

    pub(super) fn degenerate(&self, max_missing: f64) -> bool {
        self.min == self.max || self.missing_share.is_some_and(|share| share > max_missing)
    }
}

impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rejected: u64 = self.rejected.values().map(|fault| fault.count).sum();
        writeln!(f, "lines       {} read, {} accepted, {rejected} rejected", self.read, self.accepted)?;
        for (code, fault) in &self.rejected {
            write_fault(f, code, fault)?;
        }
        for (name, fault) in [("duplicate", &self.duplicates), ("conflict", &self.conflicts)] {
            if fault.count > 0 {
                write_fault(f, name, fault)?;
            }
        }
        if let Some((first, last)) = self.span {
            writeln!(f, "time        {first} to {last}")?;
        }
        for (symbol, count) in &self.signals {
            writeln!(f, "symbol      {symbol}: {count}")?;
        }
        let ClassBalance { wins, losses, unknown } = self.classes;
        writeln!(f, "outcomes    {wins} won, {losses} lost, {unknown} unknown{}", win_rate(self.classes))?;
        self.write_inputs(f)?;
        for field in &self.out_of_range {
            write_fault(f, &format!("{} ({})", field.field, field.rule), &field.fault)?;
        }
        self.write_gaps(f)
    }
}

impl QualityReport {
    fn write_inputs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.inputs.iter().map(|input| input.name.len()).max().unwrap_or(0);
        writeln!(f, "{:width$}  {:>9}  {:>10}  {:>10}  {:>10}", "input", "missing", "min", "mean", "max")?;
        for input in &self.inputs {
            let number = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
            let missing = input.missing_share.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share));
            let (min, mean, max) = (number(input.min), number(input.mean), number(input.max));
            let note = if self.degenerate.contains(&input.name) { "  says nothing" } else { "" };
            writeln!(f, "{:width$}  {missing:>9}  {min:>10}  {mean:>10}  {max:>10}{note}", input.name)?;
        }
        Ok(())
    }

    fn write_gaps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for gap in &self.gaps {
            let Gap { symbol, after, before, trading_days } = gap;
            writeln!(f, "gap         {symbol}: {trading_days} trading days without a signal, {after} to {before}")?;
        }
        let hidden = self.gaps_found.saturating_sub(self.gaps.len());
        if hidden > 0 { writeln!(f, "gap         {hidden} shorter ones are not listed") } else { Ok(()) }
    }
}

fn win_rate(classes: ClassBalance) -> String {
    let closed = classes.wins + classes.losses;
    if closed == 0 { String::new() } else { format!(", win rate {:.1} %", 100.0 * classes.wins as f64 / closed as f64) }
}

fn write_fault(f: &mut fmt::Formatter<'_>, name: &str, fault: &RowFault) -> fmt::Result {
    writeln!(f, "{name}: {}", fault.count)?;
    fault.examples.iter().try_for_each(|example| writeln!(f, "    {example}"))
}
