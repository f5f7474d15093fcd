//! What is wrong with a data set, said before anything is learned from it.
//!
//! It counts; it does not judge. Nothing is repaired and no row is thrown out here.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;

pub use super::quality_report::{ClassBalance, Gap, InputQuality, OutOfRangeField, QualityReport, RowFault};
use super::{
    Instrument, ranges,
    row::{self, Schema},
};
use crate::domain::{
    Inputs, InvalidLine, Outcome, Side, Signal, SignalLine, Symbol, Timestamp, TradeId, TradingCalendar, TradingDay,
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
    seen: BTreeMap<TradeId, Seen>,
    days: BTreeMap<Symbol, BTreeSet<TradingDay>>,
    signals: BTreeMap<Symbol, u64>,
    inputs: Vec<InputQuality>,
    read: u64,
    accepted: u64,
    rejected: BTreeMap<&'static str, RowFault>,
    duplicates: RowFault,
    conflicts: RowFault,
    out_of_range: BTreeMap<(&'static str, ranges::Rule), RowFault>,
    classes: ClassBalance,
    span: Option<(Timestamp, Timestamp)>,
    values: Vec<Option<f64>>,
}

/// The first line of a trade id.
#[derive(Debug, Clone, Copy)]
struct Seen {
    line: u64,
    at: Timestamp,
    side: Side,
}

impl QualityCheck {
    /// Nothing read yet.
    pub fn new(options: QualityOptions) -> Self {
        let inputs = options.schema.names().map(InputQuality::new).collect();
        Self {
            options,
            seen: BTreeMap::new(),
            days: BTreeMap::new(),
            signals: BTreeMap::new(),
            inputs,
            read: 0,
            accepted: 0,
            rejected: BTreeMap::new(),
            duplicates: RowFault::default(),
            conflicts: RowFault::default(),
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
        let seen = Seen { line: number, at: signal.at, side: signal.side };
        if let Some(first) = self.seen.get(&signal.trade_id) {
            let line = first.line;
            let fault =
                if (first.at, first.side) == (seen.at, seen.side) { &mut self.duplicates } else { &mut self.conflicts };
            return fault.add(|| format!("line {number}: {} was on line {line}", signal.trade_id));
        }
        self.seen.insert(signal.trade_id.clone(), seen);
        self.accepted += 1;
        self.classes.add(outcome.as_ref());
        self.note_inputs(signal, instrument);
        self.note_ranges(signal);
        if let Some(outcome) = outcome {
            self.note_outcome(signal, outcome);
        }
        self.note_time(signal);
    }

    /// Takes what became of a trade whose signal came before, or in an earlier part of the data set.
    pub fn push_outcome(&mut self, signal: &Signal, outcome: &Outcome) {
        self.note_outcome(signal, outcome);
    }

    /// Takes a trading day of `symbol` of which signals are known that are in an earlier part of the data set.
    pub fn push_day(&mut self, symbol: Symbol, day: TradingDay) {
        self.days.entry(symbol).or_default().insert(day);
    }

    /// The last trading day of each symbol of which a signal is known.
    pub fn last_days(&self) -> BTreeMap<Symbol, TradingDay> {
        self.days.iter().filter_map(|(symbol, days)| Some((symbol.clone(), *days.last()?))).collect()
    }

    /// The symbols without a signal for longer than a gap may be, up to `today`, which is not over.
    pub fn silent_until(&self, today: TradingDay) -> Vec<Gap> {
        let gap = |(symbol, after): (Symbol, TradingDay)| {
            let trading_days = if after < today { weekdays_between(after, today) } else { 0 };
            Gap { symbol, after, before: today, trading_days }
        };
        let gaps = self.last_days().into_iter().map(gap);
        gaps.filter(|gap| gap.trading_days > self.options.max_gap_days).collect()
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
            conflicts: self.conflicts.clone(),
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

    fn note_ranges(&mut self, signal: &Signal) {
        if let Inputs::Snapshot(snapshot) = &signal.inputs {
            ranges::check_snapshot(snapshot, &mut noting(&mut self.out_of_range, &signal.trade_id));
        }
    }

    fn note_outcome(&mut self, signal: &Signal, outcome: &Outcome) {
        ranges::check_outcome(outcome, signal.at, &mut noting(&mut self.out_of_range, &signal.trade_id));
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

/// Notes a number of a trade that cannot be what it says it is.
fn noting<'a>(
    out_of_range: &'a mut BTreeMap<(&'static str, ranges::Rule), RowFault>,
    trade_id: &'a TradeId,
) -> impl FnMut(&'static str, ranges::Rule, f64) + 'a {
    move |field, rule, value| {
        out_of_range.entry((field, rule)).or_default().add(|| format!("{trade_id}: {value}"));
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

#[cfg(test)]
mod tests {
    use jiff::{civil::time, tz::TimeZone};

    use super::*;

    const ORDINARY: &str = include_str!("../../../tests/fixtures/features/snapshots.jsonl");

    fn symbol(name: &str) -> Symbol {
        Symbol::new(name).unwrap()
    }

    fn check() -> QualityCheck {
        let es = Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None };
        QualityCheck::new(QualityOptions {
            symbols: BTreeMap::from([(symbol("ES"), es), (symbol("NQ"), es)]),
            calendar: TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), time(17, 0, 0, 0)),
            schema: Schema::new(&["tape".to_owned()]).unwrap(),
            max_gap_days: 3,
            max_missing: 0.5,
        })
    }

    fn report(lines: &[&str]) -> QualityReport {
        let mut check = check();
        lines.iter().for_each(|line| check.push(SignalLine::parse(line.as_bytes()).as_ref()));
        check.report()
    }

    /// A signal of `symbol` at `at` with nothing but a confidence and `rest`.
    fn line(id: &str, symbol: &str, at: &str, rest: &str) -> String {
        format!(
            r#"{{"trade_id":"{id}","at":"{at}","symbol":"{symbol}","side":"long","confidence":0.5,"features":{{}}{rest}}}"#
        )
    }

    #[test]
    fn refused_repeated_and_conflicting_lines_are_told_apart() {
        let first = line("T1", "ES", "2015-01-05T15:00:00Z", "");
        let other = line("T1", "ES", "2015-01-05T16:00:00Z", "");
        let unknown = line("T2", "CL", "2015-01-05T16:00:00Z", "");
        let typo = first.replace("side", "sied");
        let report = report(&[&first, &first, &other, &unknown, &typo, "{", &typo, &typo, &typo]);
        assert_eq!((report.read, report.accepted, report.duplicates.count, report.conflicts.count), (9, 1, 1, 1));
        assert_eq!(report.conflicts.examples, ["line 3: T1 was on line 1"]);
        let counts: Vec<_> = report.rejected.iter().map(|(code, fault)| (*code, fault.count)).collect();
        assert_eq!(counts, [("invalid_json", 1), ("unknown_field", 4), ("unknown_symbol", 1)]);
        assert_eq!(report.rejected["unknown_field"].examples.len(), 3);
        assert!(report.rejected["unknown_field"].examples[0].starts_with("line 5: sied"));
    }

    #[test]
    fn gaps_are_counted_in_weekdays_per_symbol() {
        let days = ["2015-01-02", "2015-01-05", "2015-01-09", "2015-01-16", "2015-02-20"];
        let mut lines: Vec<String> = days.iter().map(|day| line(day, "ES", &format!("{day}T15:00:00Z"), "")).collect();
        lines.push(line("other", "NQ", "2015-01-28T15:00:00Z", ""));
        lines.reverse();
        let report = report(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let gaps: Vec<_> = report.gaps.iter().map(|gap| (gap.after.to_string(), gap.trading_days)).collect();
        // three weekdays between the 5th and the 9th are allowed; the weekend before the 5th is no gap
        assert_eq!(gaps, [("2015-01-16".to_owned(), 24), ("2015-01-09".to_owned(), 4)]);
        assert_eq!(report.signals, BTreeMap::from([(symbol("ES"), 5), (symbol("NQ"), 1)]));
        assert_eq!(report.span.map(|(first, _)| first.to_string()).as_deref(), Some("2015-01-02T15:00:00Z"));
    }

    #[test]
    fn every_fault_of_the_odd_snapshots_is_found() {
        let report = report(&ORDINARY.lines().collect::<Vec<_>>());
        let found = |field: &str| {
            let field = report.out_of_range.iter().find(|found| found.field == field);
            field.map_or(0, |found| found.fault.count)
        };
        assert_eq!(found("market_state.price"), 2);
        assert_eq!(found("market_state.atr"), 2);
        assert_eq!(found("market_state.bid_ask"), 1);
        assert_eq!(found("market_state.volume.recent"), 1);
        assert_eq!(found("market_state.volume.average"), 1);
        assert_eq!(found("battle_navale_analysis.patterns"), 3);
        assert_eq!(found("market_structure.es_nq_correlation"), 2);
        assert_eq!(found("market_structure.options_flow.put_call_ratio"), 2);
        assert_eq!(found("execution_context.session_fraction"), 2);
        // one bar of the ordinary snapshot closes above a high that is unknown: nothing to say about it
        assert_eq!(found("battle_navale_analysis.boules"), 0);
    }

    #[test]
    fn balance_missing_shares_and_degenerate_inputs_are_exact() {
        let outcome = |pnl: &str| {
            format!(r#","outcome_metrics":{{"exit_at":"2015-01-05T14:00:00Z","pnl":{pnl},"exit_reason":"time"}}"#)
        };
        let at = "2015-01-05T15:00:00Z";
        let lines = [
            line("a", "ES", at, &outcome("12.5")),
            line("b", "ES", at, &outcome("0")),
            line("c", "ES", at, &outcome("null")),
            line("d", "ES", at, r#","extra":{"tape":2,"unheard_of":1}"#).replace("{}", r#"{"session_time":0.25}"#),
        ];
        let report = report(&lines.each_ref().map(String::as_str));
        assert_eq!(report.classes, ClassBalance { wins: 1, losses: 1, unknown: 2 });
        let input = |name: &str| report.inputs.iter().find(|input| &*input.name == name).unwrap();
        let tape = input("tape");
        assert_eq!((tape.known, tape.missing_share, tape.min, tape.mean), (1, Some(0.75), Some(2.0), Some(2.0)));
        assert_eq!(input("confidence").missing_share, Some(0.0));
        // the confidence is the same in all, the others are missing in more than half
        assert_eq!(report.degenerate.len(), 14);
        assert_eq!(report.out_of_range[0].fault.count, 3, "{:?}", report.out_of_range);
    }

    #[test]
    fn an_empty_data_set_has_a_report_too() {
        let report = report(&[]);
        assert_eq!((report.read, report.span, report.inputs[0].missing_share), (0, None, None));
        assert!(report.to_string().starts_with("lines       0 read, 0 accepted, 0 rejected"));
    }

    #[test]
    fn the_table_and_the_json_say_the_same() {
        let report = report(&ORDINARY.lines().take(20).collect::<Vec<_>>());
        let json = serde_json::to_value(&report).unwrap();
        let table = report.to_string();
        assert_eq!(json["accepted"], 20);
        assert_eq!(json["out_of_range"][0]["field"], "market_state.atr");
        assert!(table.contains("lines       20 read, 20 accepted, 0 rejected"), "{table}");
        assert!(table.contains("market_state.atr (above 0): 2\n    atr-zero: 0\n    atr-negative: -1.5\n"), "{table}");
        assert!(table.lines().any(|line| line.starts_with("tape ") && line.ends_with("says nothing")), "{table}");
    }
}
