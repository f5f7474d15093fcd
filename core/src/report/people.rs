//! Numbers as people read them: with their sign, their thousands apart, and as many digits as mean something.
#![deny(clippy::indexing_slicing)]

use std::fmt::Display;

use jiff::SignedDuration;

use crate::{
    domain::Timestamp,
    stats::interval::Interval,
    trials::experiment::{Horizon, Measure, Metric},
};

/// What stands where there is no number.
pub(super) const NONE: &str = "\u{2013}";
/// Between the thousands.
const THIN: char = '\u{202f}';
const MINUS: char = '\u{2212}';

/// A number with `digits` after the point and its thousands apart.
pub(super) fn number(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{:.digits$}", value.abs());
    let (whole, part) = text.split_once('.').map_or((text.as_str(), None), |(whole, part)| (whole, Some(part)));
    let mut out = String::with_capacity(text.len() + 8);
    if value < 0.0 && text.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
        out.push(MINUS);
    }
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push(THIN);
        }
        out.push(digit);
    }
    out.extend(part.into_iter().flat_map(|part| std::iter::once('.').chain(part.chars())));
    out
}

/// The same with a plus before what is above 0.
pub(super) fn signed(value: f64, digits: usize) -> String {
    let text = number(value, digits);
    let is_above = value > 0.0 && text.contains(|letter: char| ('1'..='9').contains(&letter));
    if is_above { format!("+{text}") } else { text }
}

/// A count.
pub fn count(value: impl TryInto<u64>) -> String {
    value.try_into().map_or_else(|_| NONE.to_owned(), |value: u64| number(value as f64, 0))
}

/// A share in hundredths.
pub fn percent(share: f64, digits: usize) -> String {
    if share.is_finite() { format!("{} %", number(100.0 * share, digits)) } else { NONE.to_owned() }
}

/// A number where there is one.
pub fn known(value: Option<f64>, write: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), write)
}

/// Money, without its unit: with hundredths where they matter.
pub fn money(value: f64) -> String {
    signed(value, digits_of_money(&[value]))
}

/// Digits after the point with which all of `values` are told, so that the two ends of an interval have as many.
fn digits_of_money(values: &[f64]) -> usize {
    if values.iter().all(|value| value.abs() < 1000.0) { 2 } else { 0 }
}

/// From where to where, in money.
pub(super) fn money_interval(found: Option<Interval>) -> String {
    let digits = found.map_or(0, |found| digits_of_money(&[found.low, found.high]));
    interval(found, |value| signed(value, digits))
}

/// From where to where.
pub(super) fn interval(found: Option<Interval>, write: impl Fn(f64) -> String) -> String {
    found.map_or_else(|| NONE.to_owned(), |found| format!("{} to {}", write(found.low), write(found.high)))
}

/// How often chance alone does as much.
pub(super) fn p_value(p: Option<f64>) -> String {
    match p {
        None => NONE.to_owned(),
        Some(p) if p < 1e-4 => "below 0.0001".to_owned(),
        Some(p) if p < 1e-3 => format!("{p:.4}"),
        Some(p) => format!("{p:.3}"),
    }
}

/// A time to the minute, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A time to the second, in UTC.
pub(super) fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The day of a time, in UTC.
pub(super) fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// How long something lasted, in its two largest units.
pub(super) fn duration(lasted: SignedDuration) -> String {
    let seconds = lasted.as_secs().max(0);
    let two = |a: i64, first: &str, b: i64, second: &str| match b {
        0 => format!("{a} {first}"),
        b => format!("{a} {first} {b} {second}"),
    };
    match seconds {
        ..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "days", seconds % 86_400 / 3600, "h"),
    }
}

/// A span of microseconds.
pub(super) fn micros(value: u64) -> String {
    let seconds = value as f64 / 1e6;
    match value {
        ..1000 => format!("{value} \u{b5}s"),
        1000..1_000_000 => format!("{} ms", number(1000.0 * seconds, if value < 100_000 { 1 } else { 0 })),
        1_000_000..120_000_000 => format!("{} s", number(seconds, 1)),
        _ => duration(SignedDuration::from_secs(seconds as i64)),
    }
}

/// Something and how many of it.
pub(super) fn counted(n: usize, one: impl Display, many: impl Display) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {many}", number(n as f64, 0)) }
}

/// How a figure is written.
type Write = Box<dyn Fn(f64) -> String>;

/// Metrics as rows: what, with the model, without, the difference, its interval, its p-value and what that holds for. Of a measure
/// that is looked at again and again only the p-value that holds for all looks is told; two rows of one measure and one horizon
/// name their methods.
pub(super) fn metric_rows(metrics: &[Metric]) -> Vec<Vec<String>> {
    let row = |told: &Metric| {
        let same =
            metrics.iter().filter(|other| other.measure == told.measure && other.horizon == told.horizon).count();
        let mut cells = metric(told);
        if same > 1
            && let Some(name) = cells.first_mut()
        {
            *name += &format!(" ({})", told.method);
        }
        if told.horizon == Horizon::Fixed
            && looked_at(metrics, told.measure)
            && let Some(p) = cells.get_mut(5)
        {
            NONE.clone_into(p);
        }
        cells
    };
    metrics.iter().map(row).collect()
}

/// Whether a measure has figures that hold for all looks.
fn looked_at(metrics: &[Metric], measure: Measure) -> bool {
    metrics.iter().any(|metric| metric.measure == measure && metric.horizon == Horizon::Sequential)
}

/// What a reader of such rows must know: for what the p-values are corrected, and which intervals end at what can be.
pub(super) fn corrections(metrics: &[Metric]) -> Vec<String> {
    let looked_at = metrics.iter().any(|metric| metric.horizon == Horizon::Sequential);
    let looks = "the p of a measure with a row of every look is that of this row, corrected for all planned looks; another p holds for \
                 one look; the ruling corrects for the number of measures as well (Holm)";
    let is_cut = |metric: &Metric| {
        let ends = metric.interval.map(|interval| [interval.low, interval.high]);
        metric.measure == Measure::WinRate && ends.is_some_and(|ends| ends.iter().any(|end| end.abs() >= 1.0))
    };
    let cut = "an interval of win rates is cut at 100 points, since no two win rates are further apart";
    let is_cut = metrics.iter().any(is_cut);
    [looked_at.then_some(looks), is_cut.then_some(cut)].into_iter().flatten().map(str::to_owned).collect()
}

/// A metric as a row.
fn metric(metric: &Metric) -> Vec<String> {
    let plain = |digits: usize| move |value: f64| number(value, digits);
    let unit = if metric.measure == Measure::WinRate { " points" } else { "" };
    let (name, write, difference): (&str, Write, Write) = match metric.measure {
        Measure::WinRate => {
            ("win rate", Box::new(|share| percent(share, 1)), Box::new(|share| signed(100.0 * share, 1)))
        }
        Measure::PnlPerSignal => ("money per signal", Box::new(money), Box::new(money)),
        Measure::PnlPerTaken => ("money per trade", Box::new(money), Box::new(money)),
        Measure::Sharpe => ("Sharpe ratio, a year", Box::new(plain(2)), Box::new(|gain| signed(gain, 2))),
        Measure::SharpeEven => {
            ("Sharpe ratio, as if both had as many signals", Box::new(plain(2)), Box::new(|gain| signed(gain, 2)))
        }
        Measure::DrawdownRatio => ("drawdown per signal; the ratio", Box::new(plain(2)), Box::new(plain(2))),
        Measure::DrawdownEven => {
            ("drawdown, as if both had as many signals; the ratio", Box::new(plain(2)), Box::new(plain(2)))
        }
        Measure::Slippage => ("slippage, ticks", Box::new(plain(2)), Box::new(|ticks| signed(ticks, 2))),
    };
    let p = match metric.chance_worse {
        Some(chance) => format!("deeper in {} of resamples", percent(chance, 0)),
        None => p_value(metric.p),
    };
    let horizon = match metric.horizon {
        Horizon::Fixed => "one look",
        Horizon::Sequential => "every look",
        Horizon::OpenEnded => "ever",
    };
    let is_money = matches!(metric.measure, Measure::PnlPerSignal | Measure::PnlPerTaken);
    let within = match metric.interval {
        None => NONE.to_owned(),
        found if is_money => money_interval(found),
        found => interval(found, &difference) + unit,
    };
    vec![
        name.to_owned(),
        known(metric.ml, &write),
        known(metric.baseline, &write),
        known(metric.difference, |gain| difference(gain) + unit),
        within,
        p,
        horizon.to_owned(),
    ]
}

/// The head of such rows.
pub(super) fn metrics_head(confidence: f64) -> Vec<String> {
    let level = format!("{} interval", percent(confidence, 0));
    ["measure", "with the model", "strategy alone", "difference", &level, "p", "holds for"].map(str::to_owned).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_sign_their_thousands_apart_and_no_minus_before_nothing() {
        let told = [number(-1_234_567.4, 0), number(999.995, 2), number(-0.001, 2), number(f64::NAN, 1)];
        assert_eq!(told, ["\u{2212}1\u{202f}234\u{202f}567", "1\u{202f}000.00", "0.00", "\u{2013}"]);
        assert_eq!([signed(0.001, 2), signed(3.0, 1), signed(-3.0, 1)], ["0.00", "+3.0", "\u{2212}3.0"]);
        assert_eq!([money(12.5), money(-54_321.5)], ["+12.50", "\u{2212}54\u{202f}322"]);
        let spans = [90, 1500, 250_000, 1_500_000, 7_260_000_000].map(micros);
        assert_eq!(spans, ["90 \u{b5}s", "1.5 ms", "250 ms", "1.5 s", "2 h 1 min"]);
        assert_eq!(duration(SignedDuration::from_hours(49)), "2 days 1 h");
        assert_eq!([counted(1, "test", "tests"), counted(1200, "test", "tests")], ["1 test", "1\u{202f}200 tests"]);
    }

    fn of(measure: Measure, horizon: Horizon, method: &str, (low, high): (f64, f64)) -> Metric {
        Metric {
            measure,
            horizon,
            method: method.to_owned(),
            ml: Some(0.5),
            baseline: Some(0.25),
            difference: Some(0.25),
            interval: Interval::new(low, high),
            p: Some(0.0424),
            chance_worse: None,
        }
    }

    #[test]
    fn a_measure_has_one_p_value_and_rows_of_one_name_say_how_they_differ() {
        let metrics = [
            of(Measure::WinRate, Horizon::Fixed, "z", (-0.1, 0.2)),
            of(Measure::WinRate, Horizon::Sequential, "sums", (-1.0, 0.9)),
            of(Measure::Sharpe, Horizon::Fixed, "closed", (0.0, 1.0)),
            of(Measure::Sharpe, Horizon::Fixed, "resampled", (0.0, 1.0)),
            of(Measure::PnlPerSignal, Horizon::Fixed, "t", (-999.4, 2000.6)),
        ];
        let rows = metric_rows(&metrics);
        let of_win_rate: Vec<&str> = rows.iter().take(2).map(|row| row[5].as_str()).collect();
        assert_eq!(of_win_rate, [NONE, "0.042"], "the one that holds for all looks");
        assert_eq!([&rows[2][0], &rows[3][0]], ["Sharpe ratio, a year (closed)", "Sharpe ratio, a year (resampled)"]);
        assert_eq!(rows[4][4], "\u{2212}999 to +2\u{202f}001", "both ends have as many digits");
        let notes = corrections(&metrics);
        assert!(notes[0].contains("Holm") && notes[1].contains("cut at 100 points"), "{notes:?}");
        assert_eq!(corrections(&metrics[2..]), [""; 0]);
        assert_eq!([0.00001, 0.00042, 0.9].map(|p| p_value(Some(p))), ["below 0.0001", "0.0004", "0.900"]);
    }
}
