//! What is wrong with a data set, fault by fault, and what of that is new since it was looked at before.
//!
//! A fault is known by a key that stays the same while it lasts, so that it is told once and not every day.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use super::quality::{Gap, QualityReport};

/// Signals below which nothing is said of an input that does not change or does not come.
pub const LEAST_SIGNALS: u64 = 30;
/// Faults that are told one by one in a sentence.
const MOST_TOLD: usize = 5;

/// What is wrong, each fault in words by its key.
pub type Faults = BTreeMap<String, String>;

/// What is wrong, against what was wrong before.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct News {
    /// What was not wrong before, in words.
    pub new: Vec<String>,
    /// What was, and still is.
    pub standing: Vec<String>,
    /// The keys of what no longer is.
    pub gone: Vec<String>,
    /// The keys of what is wrong now, for the next time.
    pub keys: BTreeSet<String>,
}

/// The faults of a report, with the symbols that are `silent`. Repeats of a signal are none: whoever had no answer sends it again.
pub fn faults(report: &QualityReport, silent: &[Gap]) -> Faults {
    let mut faults = Faults::new();
    for (code, fault) in &report.rejected {
        let example = fault.examples.first().map(|example| format!(", such as {example}")).unwrap_or_default();
        faults.insert(format!("refused {code}"), format!("{} records are {code}{example}", fault.count));
    }
    if report.conflicts.count > 0 {
        let count = report.conflicts.count;
        faults.insert("conflict".to_owned(), format!("{count} signals came under the name of another trade"));
    }
    for found in &report.out_of_range {
        let example = found.fault.examples.first().map(|example| format!(", such as {example}")).unwrap_or_default();
        let told = format!("{} ({}): {} cases{example}", found.field, found.rule, found.fault.count);
        faults.insert(format!("field {} {}", found.field, found.rule), told);
    }
    for gap in report.gaps.iter().chain(silent) {
        let Gap { symbol, after, trading_days, .. } = gap;
        let told = format!("{symbol}: {trading_days} trading days without a signal after {after}");
        faults.insert(format!("gap {symbol} {after}"), told);
    }
    if report.accepted >= LEAST_SIGNALS {
        for input in report.inputs.iter().filter(|input| report.degenerate.contains(&input.name)) {
            let (name, of) = (&input.name, report.accepted);
            let told = match (input.missing_share, input.min) {
                (Some(share), _) if input.min != input.max || input.known == 0 => {
                    format!("{name} is missing in {:.0} % of {of} signals", 100.0 * share)
                }
                (_, Some(value)) => format!("{name} is {value} in all of {} signals that have it", input.known),
                _ => continue,
            };
            faults.insert(format!("input {name}"), told);
        }
    }
    faults
}

impl News {
    /// What is new among `faults`, given the keys of what was wrong `before`. Where the signals were too few to judge inputs
    /// (`accepted`), what was wrong with those is taken to last.
    pub fn of(faults: Faults, accepted: u64, before: &BTreeSet<String>) -> Self {
        let lasts = |key: &&String| accepted < LEAST_SIGNALS && key.starts_with("input ");
        let unjudged = before.iter().filter(lasts).filter(|key| !faults.contains_key(*key));
        let mut news = Self { keys: unjudged.cloned().collect(), ..Self::default() };
        news.gone =
            before.iter().filter(|key| !faults.contains_key(*key) && !news.keys.contains(*key)).cloned().collect();
        for (key, told) in faults {
            if before.contains(&key) { &mut news.standing } else { &mut news.new }.push(told);
            news.keys.insert(key);
        }
        news
    }

    /// What it comes to, of so many `signals` that are new.
    pub fn told(&self, signals: u64) -> String {
        let news = match self.new.as_slice() {
            [] => "nothing new is wrong".to_owned(),
            new => format!("new: {}", listed(new)),
        };
        let standing =
            if self.standing.is_empty() { String::new() } else { format!("; as before: {}", listed(&self.standing)) };
        let gone = if self.gone.is_empty() { String::new() } else { format!("; no longer: {}", listed(&self.gone)) };
        format!("{signals} signals since the last check: {news}{standing}{gone}")
    }
}

/// The first few, and how many more.
fn listed(all: &[String]) -> String {
    let told: Vec<&str> = all.iter().take(MOST_TOLD).map(String::as_str).collect();
    let more = all.len().saturating_sub(MOST_TOLD);
    if more == 0 { told.join("; ") } else { format!("{}; and {more} more", told.join("; ")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{civil::time, tz::TimeZone};
    use serde_json::json;

    use super::*;
    use crate::{
        domain::{SignalLine, Symbol, TradingCalendar},
        features::{
            Instrument,
            quality::{QualityCheck, QualityOptions},
            row::Schema,
        },
    };

    const ORDINARY: &str = include_str!("../../../tests/fixtures/features/snapshots.jsonl");

    /// A check in which `more` signals have come on each of these days, with ordinary snapshots of this price, or with nothing but their
    /// confidence.
    fn check(days: &[&str], more: usize, price: Option<f64>) -> QualityCheck {
        let es = Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None };
        let mut check = QualityCheck::new(QualityOptions {
            symbols: BTreeMap::from([(Symbol::new("ES").unwrap(), es)]),
            calendar: TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), time(17, 0, 0, 0)),
            schema: Schema::new(&[]).unwrap(),
            max_gap_days: 3,
            max_missing: 0.5,
        });
        for (day, number) in days.iter().flat_map(|day| (0..more).map(move |number| (day, number))) {
            let mut line = json!({ "symbol": "ES", "side": "long", "features": {} });
            if let Some(price) = price {
                line = serde_json::from_str(ORDINARY.lines().next().unwrap()).unwrap();
                line["market_state"]["price"] = price.into();
            }
            line["trade_id"] = format!("{day}-{number}").into();
            line["at"] = format!("{day}T15:00:00Z").into();
            line["confidence"] = ((number as f64 + 1.0) / (more as f64 + 2.0)).into();
            let parsed = SignalLine::parse(line.to_string().as_bytes());
            assert!(parsed.is_ok(), "{parsed:?}");
            check.push(parsed.as_ref());
        }
        check
    }

    fn found(check: &QualityCheck, today: &str) -> Faults {
        let today = serde_json::from_str(&format!("{today:?}")).unwrap();
        faults(&check.report(), &check.silent_until(today))
    }

    #[test]
    fn a_fault_is_new_once_and_new_again_when_it_had_gone() {
        let good = check(&["2015-01-05"], 10, Some(2042.25));
        let bad = check(&["2015-01-05"], 10, Some(-1.0));
        let (good, bad) = (found(&good, "2015-01-06"), found(&bad, "2015-01-06"));
        assert_eq!((good.len(), bad.len()), (0, 1), "{bad:?}");
        let first = News::of(bad.clone(), 10, &BTreeSet::new());
        assert_eq!((first.new.len(), first.standing.len()), (1, 0));
        assert!(
            first.told(10).starts_with(
                "10 signals since the last check: new: market_state.price (above 0): 10 cases, such as 2015-01-05-0: -1"
            ),
            "{}",
            first.told(10)
        );
        let second = News::of(bad.clone(), 10, &first.keys);
        assert_eq!((second.new.len(), second.standing.len()), (0, 1));
        assert!(second.told(0).contains("nothing new is wrong; as before: market_state.price"));
        let third = News::of(good, 10, &second.keys);
        assert_eq!((third.new.len(), third.gone.len(), third.keys.len()), (0, 1, 0));
        assert_eq!(News::of(bad, 10, &third.keys).new.len(), 1);
    }

    #[test]
    fn an_input_that_does_not_come_is_a_fault_among_enough_signals_and_stays_one_while_nothing_can_be_said() {
        let (few, many) = (check(&["2015-01-05"], 29, None), check(&["2015-01-05"], 30, None));
        let (few, many) = (found(&few, "2015-01-05"), found(&many, "2015-01-05"));
        assert!(few.is_empty(), "{few:?}");
        // the twelve features
        assert!(many.keys().all(|key| key.starts_with("input ")) && many.len() >= 10, "{many:?}");
        assert!(many.values().any(|told| told.ends_with("is missing in 100 % of 30 signals")), "{many:?}");
        let known = News::of(many.clone(), 30, &BTreeSet::new()).keys;
        let unjudged = News::of(few, 29, &known);
        assert_eq!((unjudged.keys.clone(), unjudged.gone.len(), unjudged.new.len()), (known, 0, 0));
        assert!(News::of(many, 30, &unjudged.keys).new.is_empty());
    }

    #[test]
    fn a_symbol_that_falls_silent_is_told_of_once_and_known_over_the_parts_of_a_data_set() {
        let mut check = check(&[], 0, None);
        let day = |day: &str| serde_json::from_str(&format!("{day:?}")).unwrap();
        check.push_day(Symbol::new("ES").unwrap(), day("2015-01-05"));
        assert!(found(&check, "2015-01-09").is_empty());
        let monday = found(&check, "2015-01-12");
        assert_eq!(monday["gap ES 2015-01-05"], "ES: 4 trading days without a signal after 2015-01-05");
        let known = News::of(monday, 0, &BTreeSet::new()).keys;
        assert!(News::of(found(&check, "2015-01-13"), 0, &known).new.is_empty());
        check.push_day(Symbol::new("ES").unwrap(), day("2015-01-14"));
        assert!(News::of(found(&check, "2015-01-15"), 0, &known).new.is_empty(), "it is the same gap");
    }
}
