//! How far the guardian's rules are from a version, and what following it made.
#![deny(clippy::indexing_slicing)]

use serde_json::Value;

use super::{
    super::status::other_rule,
    layout::{Line, Tone},
};
use crate::guard::emergency::accuracy::Held;

/// The lines of a level of `status`.
pub(super) fn told(level: &Value) -> Vec<Line> {
    let count = |name: &str| level.get(name).and_then(Value::as_u64).unwrap_or_default();
    let number = |name: &str| level.get(name).and_then(Value::as_f64);
    let share = |name: &str| number(name).map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share));
    let held = level.get("accuracy_held").and_then(|held| serde_json::from_value::<Held>(held.clone()).ok());
    let (accuracy, expected) = (number("accuracy"), number("expected_accuracy"));
    // near a line over these trades, or, where it is held to another one, below that and below what was validated
    let close = |held: Held| {
        let (accuracy, is_of_these) = (accuracy?, held.haste.is_none());
        let is_below = accuracy < held.below && expected.is_none_or(|expected| accuracy < expected);
        Some(if is_of_these { accuracy < held.below + 0.05 } else { is_below })
    };
    let tone = if held.and_then(close) == Some(true) { Tone::Warn } else { Tone::Plain };
    let right = format!(
        "    right in {} of {}, as validated {}",
        share("accuracy"),
        count("labelled"),
        share("expected_accuracy")
    );
    let mut lines = vec![(tone, right)];
    let (streak, most) = (count("loss_streak"), count("streak_limit"));
    let tone = if 4 * streak >= 3 * most.max(1) { Tone::Warn } else { Tone::Plain };
    lines.push((tone, format!("    {streak} of {most} losses in a row")));
    lines.extend(held.map(|held| (Tone::Quiet, format!("    {held}"))));
    let rules = level.get("rules").and_then(Value::as_array);
    let others = rules.into_iter().flatten().filter_map(other_rule);
    lines.extend(others.map(|said| (Tone::Plain, format!("    {said}"))));
    let amount = |name: &str| number(name).unwrap_or_default();
    let (heard, others) = (count("gain_trades"), count("would_gain_trades"));
    if heard > 0 {
        let (made, gain) = (amount("made"), amount("gain"));
        let said = format!("    {heard} trades that heard it made {made:.2}, {gain:+.2} against the strategy");
        lines.push((Tone::Plain, said));
    }
    if others > 0 {
        let gain = amount("would_gain");
        let said = format!("    {others} that did not: following it would have made {gain:+.2} against the strategy");
        lines.push((Tone::Plain, said));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_told_with_the_line_that_is_judged_and_with_what_following_it_made() {
        let told = |held: Value| {
            told(&json!({
                "version": "ES/1", "accuracy": 0.52, "labelled": 100, "expected_accuracy": 0.6, "accuracy_held": held, "loss_streak": 1,
                "streak_limit": 9, "made": 340.0, "gain": 0.0, "gain_trades": 60, "would_gain": -7.5, "would_gain_trades": 12,
            }))
        };
        let find = |lines: &[Line], part: &str| lines.iter().find(|(_, line)| line.contains(part)).cloned();
        let near = told(json!({ "below": 0.5, "line": { "trades": 100, "fewest": 50 }, "haste": null }));
        let right = "    right in 52.0 % of 100, as validated 60.0 %".to_owned();
        assert_eq!(find(&near, "right in"), Some((Tone::Warn, right.clone())), "near the line that is judged");
        assert!(find(&near, "taken down below 50 % of its latest 100 trades, judged from 50 on").is_some(), "{near:?}");
        let far = told(json!({ "below": 0.5, "line": { "trades": 1325, "fewest": 1325 }, "haste": 600 }));
        assert_eq!(find(&far, "right in"), Some((Tone::Plain, right)), "it is held to another line");
        assert!(find(&far, "below 50 % of its latest 1325 trades; sooner").is_some(), "{far:?}");
        let none = told(json!({ "below": 0.5, "line": null, "haste": 600 }));
        assert!(find(&none, "no line is judged").is_some() && find(&none, "limit 50 %").is_none(), "{none:?}");
        assert!(find(&none, "60 trades that heard it made 340.00, +0.00 against the strategy").is_some(), "{none:?}");
        assert!(find(&none, "12 that did not: following it would have made -7.50").is_some(), "{none:?}");
    }
}
