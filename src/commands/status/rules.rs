//! How far a version is from the limits of the rules that have no words of their own, as a rule that is new.

use serde_json::Value;

/// How far it is from the limits of the rules that have no words of their own.
pub(super) fn other_rules(level: &Value) -> String {
    let rules = level.get("rules").and_then(Value::as_array);
    rules.into_iter().flatten().filter_map(other_rule).map(|said| format!("; {said}")).collect()
}

/// Where a version stands by a rule that has no words of its own, such as `slippage 2, limit 3`; `None` of the others.
pub(in super::super) fn other_rule(rule: &Value) -> Option<String> {
    const TOLD: [&str; 3] = ["accuracy", "loss_streak", "harm"];
    let name = rule.get("rule")?.as_str().filter(|name| !TOLD.contains(name))?;
    let (value, limit) = (rule.get("value")?.as_f64()?, rule.get("limit")?.as_f64()?);
    let is_share = rule.get("unit").and_then(Value::as_str) == Some("share");
    let figure = |figure: f64| if is_share { format!("{:.1} %", 100.0 * figure) } else { format!("{figure}") };
    Some(format!("{name} {}, limit {}", figure(value), figure(limit)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_without_words_of_its_own_is_told_with_its_limit() {
        let rule =
            |rule: &str, value: f64, unit: &str| json!({ "rule": rule, "value": value, "limit": 3.0, "unit": unit });
        let rules = [rule("harm", 1.0, "number"), rule("slippage", 2.0, "number"), rule("rejects", 0.25, "share")];
        let said = other_rules(&json!({ "version": "ES/1", "rules": rules }));
        assert_eq!(said, "; slippage 2, limit 3; rejects 25.0 %, limit 300.0 %");
    }
}
