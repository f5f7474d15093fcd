//! What is wrong with a data set, said before anything is learned from it.
//!
//! It counts; it does not judge. Nothing is repaired and no row is thrown out here.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

pub use super::quality_report::{ClassBalance, Fault, Gap, InputQuality, OutOfRangeField, QualityReport};
use super::{
    Instrument, ranges,
    row::{self, Schema},
};
use crate::domain::{
    Inputs, InvalidLine, Outcome, Signal, SignalLine, Symbol, Timestamp, TradeId, TradingCalendar, TradingDay,
};

/// How many gaps are listed, the longest first.
const GAPS_LISTED: usize = 20;

/// What the report needs to know beside the data.
#[derive(Debug, Clone)]
pub struct QualityOptions {
    /// The instruments that may occur.
    pub symbols: BTreeMap<Symbol, Instrument>,
    /// When trading days turn.
    pub calendar: TradingCalendar,
    /// The inputs that are looked for.
    pub schema: Schema,
    /// Trading days in a row without a signal beyond which a gap is reported. Saturdays and Sundays are not counted;
    /// holidays are, as they are not known here.
    pub max_gap_days: u32,
    /// Share of missing values beyond which an input is called degenerate, 0 to 1.
    pub max_missing: f64,
}

/// Reads a data set line by line. Keeps the trade ids and trading days it has seen and a few sums, not the rows.
#[derive(Debug, Clone)]
pub struct QualityCheck {
    options: QualityOptions,
    seen: BTreeSet<TradeId>,
    days: BTreeMap<Symbol, BTreeSet<TradingDay>>,
    signals: BTreeMap<Symbol, u64>,
    inputs: Vec<InputQuality>,
    read: u64,
    accepted: u64,
    rejected: BTreeMap<&'static str, Fault>,
    duplicates: Fault,
    out_of_range: BTreeMap<(&'static str, ranges::Rule), Fault>,
    classes: ClassBalance,
    span: Option<(Timestamp, Timestamp)>,
    values: Vec<Option<f64>>,
}

impl QualityCheck {
    /// Nothing read yet.
    pub fn new(options: QualityOptions) -> Self {
        let inputs = options.schema.names().map(InputQuality::new).collect();
        Self {
            options,
            seen: BTreeSet::new(),
            days: BTreeMap::new(),
            signals: BTreeMap::new(),
            inputs,
            read: 0,
            accepted: 0,
            rejected: BTreeMap::new(),
            duplicates: Fault::default(),
            out_of_range: BTreeMap::new(),
            classes: ClassBalance::default(),
            span: None,
            values: Vec::new(),
        }
    }

    /// Takes the next line of the data set, as it was parsed. Lines are numbered from 1.
    pub fn push(&mut self, line: Result<&SignalLine, &InvalidLine>) {
        self.read += 1;
        let number = self.read;
        let SignalLine { signal, outcome, .. } = match line {
            Ok(line) => line,
            Err(error) => return self.reject(error.code, || format!("line {number}: {error}")),
        };
        let Some(instrument) = self.options.symbols.get(&signal.symbol).copied() else {
            let symbol = &signal.symbol;
            return self.reject("unknown_symbol", || format!("line {number}: {symbol} is not in the configuration"));
        };
        if !self.seen.insert(signal.trade_id.clone()) {
            return self.duplicates.add(|| format!("line {number}: {}", signal.trade_id));
        }
        self.accepted += 1;
        self.classes.add(outcome.as_ref());
        self.note_inputs(signal, instrument);
        self.note_ranges(signal, outcome.as_ref());
        self.note_time(signal);
    }

    /// The state of what was read so far.
    pub fn report(&self) -> QualityReport {
        let share = |known: u64| (self.accepted > 0).then(|| (self.accepted - known) as f64 / self.accepted as f64);
        let with_share = |input: &InputQuality| InputQuality { missing_share: share(input.known), ..input.clone() };
        let inputs: Vec<InputQuality> = self.inputs.iter().map(with_share).collect();
        let degenerate = inputs.iter().filter(|input| input.degenerate(self.options.max_missing));
        let degenerate = degenerate.map(|input| input.name.clone()).collect();
        let out_of_range = self.out_of_range.iter();
        let out_of_range =
            out_of_range.map(|((field, rule), fault)| OutOfRangeField { field, rule, fault: fault.clone() }).collect();
        let mut gaps = self.gaps();
        let gaps_found = gaps.len();
        gaps.truncate(GAPS_LISTED);
        QualityReport {
            read: self.read,
            accepted: self.accepted,
            rejected: self.rejected.clone(),
            duplicates: self.duplicates.clone(),
            span: self.span,
            signals: self.signals.clone(),
            classes: self.classes,
            inputs,
            degenerate,
            out_of_range,
            gaps_found,
            gaps,
        }
    }

    fn reject(&mut self, code: &'static str, example: impl FnOnce() -> String) {
        self.rejected.entry(code).or_default().add(example);
    }

    fn note_inputs(&mut self, signal: &Signal, instrument: Instrument) {
        row::read(signal, instrument, &self.options.calendar, &self.options.schema, &mut self.values);
        for (input, value) in self.inputs.iter_mut().zip(&self.values) {
            if let Some(value) = value {
                input.add(*value);
            }
        }
    }

    fn note_ranges(&mut self, signal: &Signal, outcome: Option<&Outcome>) {
        let out_of_range = &mut self.out_of_range;
        let mut found = |field: &'static str, rule: ranges::Rule, value: f64| {
            let example = || format!("{}: {value}", signal.trade_id);
            out_of_range.entry((field, rule)).or_default().add(example);
        };
        if let Inputs::Snapshot(snapshot) = &signal.inputs {
            ranges::check_snapshot(snapshot, &mut found);
        }
        if let Some(outcome) = outcome {
            ranges::check_outcome(outcome, signal.at, &mut found);
        }
    }

    fn note_time(&mut self, signal: &Signal) {
        let at = signal.at;
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        *self.signals.entry(signal.symbol.clone()).or_default() += 1;
        self.days.entry(signal.symbol.clone()).or_default().insert(self.options.calendar.day_of(at));
    }

    /// All gaps, the longest first, then by symbol and time.
    fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (symbol, days) in &self.days {
            for (after, before) in days.iter().zip(days.iter().skip(1)) {
                let trading_days = weekdays_between(*after, *before);
                if trading_days > self.options.max_gap_days {
                    gaps.push(Gap { symbol: symbol.clone(), after: *after, before: *before, trading_days });
                }
            }
        }
        gaps.sort_by_key(|gap| std::cmp::Reverse(gap.trading_days));
        gaps
    }
}

/// Days other than Saturday and Sunday after `first` and before `last`, which is the later one.
fn weekdays_between(first: TradingDay, last: TradingDay) -> u32 {
    let weekdays = weekdays_before(last) - weekdays_before(first);
    // `first` itself is among those counted unless it fell on a weekend
    let itself = if first.date().weekday().to_monday_zero_offset() < 5 { 1 } else { 0 };
    u32::try_from(weekdays - itself).unwrap_or(0)
}

/// Weekdays from a fixed Monday to before `day`, negative for days before it.
fn weekdays_before(day: TradingDay) -> i64 {
    const MONDAY: Date = jiff::civil::date(1970, 1, 5);
    let days = MONDAY.duration_until(day.date()).as_hours().div_euclid(24);
    5 * days.div_euclid(7) + days.rem_euclid(7).min(5)
}
