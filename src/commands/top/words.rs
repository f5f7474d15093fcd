//! What `vigie top` shows, in sentences.
#![deny(clippy::indexing_slicing)]

use serde_json::Value;

use super::layout::{Line, Tone};
use crate::lifecycle::gates::{meaning, spelled_out};

/// The value at `path` as text, a dash where there is none.
pub(super) fn text(of: &Value, path: &str) -> String {
    match of.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

/// Month, day and minute of the time `at`, and its year where it is not that of `now`.
pub(super) fn time_of(at: &str, now: &str) -> String {
    let begin = if at.get(..4) == now.get(..4) { 5 } else { 0 };
    at.get(begin..16).unwrap_or(at).replace('T', " ")
}

/// How fast signals are answered.
pub(super) fn latency(status: &Value) -> String {
    let of = |name: &str| status.pointer(&format!("/scorer/{name}")).and_then(Value::as_f64);
    match (of("p50_us"), of("p99_us"), of("max_us")) {
        (Some(p50), Some(p99), Some(max)) => format!("p50 {p50:.0} us, p99 {p99:.0} us, longest {max:.0} us"),
        _ if status.pointer("/scorer").is_none() => "the scorer is restarting".to_owned(),
        _ => "no signal has been answered since the start".to_owned(),
    }
}

/// A signal and its answer.
pub(super) fn signal(signal: &Value, now: &str) -> Line {
    let of = |path: &str| signal.pointer(path).and_then(Value::as_str).unwrap_or("-");
    let number = |path: &str| signal.pointer(path).and_then(Value::as_f64);
    let arm = of("/decision/arm");
    let score =
        number("/decision/score").filter(|_| arm == "ml").map_or_else(String::new, |score| format!(" {score:.2}"));
    let size = number("/decision/size").map_or_else(String::new, |size| format!(" x{size:.2}"));
    let line = format!(
        "  {} {} {} {arm}{score}{size} {}  {}",
        time_of(of("/at"), now),
        of("/symbol"),
        of("/side"),
        of("/decision/reason"),
        of("/trade_id")
    );
    (if arm == "ml" { Tone::Good } else { Tone::Plain }, line)
}

/// How a trial stands: what it is, and what its version lacks for the next step.
pub(super) fn trial(trial: &Value) -> Vec<Line> {
    let of = |path: &str| trial.pointer(path).and_then(Value::as_str).unwrap_or("-");
    let whole = |path: &str| trial.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let (version, ruling) = (of("/version"), trial.pointer("/report/ruling"));
    match of("/trial") {
        "test" => {
            let (sessions, planned) = (whole("/report/sessions"), whole("/report/planned_sessions").max(1));
            let done = (20 * sessions / planned).min(20) as usize;
            let bar = format!("[{}{}]", "#".repeat(done), ".".repeat(20 - done));
            let goes_on = of("/report/ruling/verdict") == "continue";
            let says = match ruling.and_then(|ruling| ruling.get("checks")) {
                Some(checks) if goes_on => lacks(&format!("{version} is not promoted yet"), checks, gap(trial)),
                _ => format!("The ruling on {version}: {}.", spelled_out(of("/report/ruling/why"))),
            };
            let tone = if goes_on { Tone::Plain } else { Tone::Warn };
            let title = format!("  test of {version}  {bar} {sessions} of {planned} sessions");
            vec![(Tone::Plain, title), (tone, format!("    {says}"))]
        }
        "staging" => {
            let passed = trial.pointer("/gate/passed") == Some(&Value::Bool(true));
            let checks = trial.pointer("/gate/checks").unwrap_or(&Value::Null);
            let says = match passed {
                true => format!("{version} has passed its gate and may go into its test."),
                false => lacks(&format!("{version} does not go into its test yet"), checks, gap(trial)),
            };
            vec![(Tone::Plain, format!("  staging of {version}")), (Tone::Plain, format!("    {says}"))]
        }
        _ => {
            let sessions = whole("/report/sessions");
            let noun = if sessions == 1 { "session" } else { "sessions" };
            let says = format!("It is compared with the signals held back from it, over {sessions} {noun} so far.");
            vec![(Tone::Plain, format!("  {version} in production")), (Tone::Plain, format!("    {says}"))]
        }
    }
}

/// What is wrong with the labels, where the gate says so.
fn gap(trial: &Value) -> Option<&str> {
    let says = trial.pointer("/gate/says")?.as_str()?;
    let says = says.rsplit("; ").next()?;
    says.contains("have no label").then(|| says.strip_prefix("is not passed: ").unwrap_or(says))
}

fn lacks(subject: &str, checks: &Value, gap: Option<&str>) -> String {
    let failed = checks.as_array().into_iter().flatten();
    let failed = failed.filter(|check| check.get("passed") != Some(&Value::Bool(true))).map(lack);
    match failed.chain(gap.map(str::to_owned)).collect::<Vec<_>>().join("; ") {
        none if none.is_empty() => format!("{subject}."),
        lacks => format!("{subject}: {lacks}."),
    }
}

/// A condition that does not hold.
fn lack(check: &Value) -> String {
    let name = check.get("name").and_then(Value::as_str).unwrap_or("-");
    let asked = check.get("threshold").and_then(Value::as_f64).unwrap_or_default();
    let Some(value) = check.get("value").and_then(Value::as_f64) else {
        return match name {
            "evidence" => "nothing proves yet that it is better".to_owned(),
            name => format!("its {} is not known yet", meaning(name)),
        };
    };
    match name {
        "days" | "hours" => format!("{value:.1} of {asked:.0} {name} have passed"),
        "trades" => format!("{value:.0} of {asked:.0} trades have closed"),
        "win_rate_gain" => format!("its win rate gains {:+.1} of {:+.1} points", 100.0 * value, 100.0 * asked),
        "sharpe_gain" => format!("its Sharpe ratio gains {value:+.2} of {asked:+.2}"),
        "mean_pnl_gain" => format!("its mean pnl gains {value:+.2} of {asked:+.2}"),
        "drawdown_ratio" => format!("its drawdown is {value:.2} times the strategy's, {asked:.2} at most"),
        "evidence" => format!("nothing proves yet that it is better (p {value:.2}, {asked:.3} at most)"),
        "share" => format!("a decline has cut its share to {:.0} %", 100.0 * value),
        "unlabelled_share" => {
            format!("{:.0} % of its trades have no label, {:.0} % at most", 100.0 * value, 100.0 * asked)
        }
        other => format!("its {} is {value:.2} against {asked:.2}", other.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_trial_is_told_in_sentences_without_the_names_of_keys() {
        let check = |name: &str, value: Option<f64>, threshold: f64, passed: bool| json!({ "name": name, "value": value, "threshold": threshold, "passed": passed });
        let checks = [
            check("days", Some(0.04), 30.0, false),
            check("trades", Some(200.0), 150.0, true),
            check("win_rate_gain", None, 0.02, false),
            check("evidence", Some(0.5), 0.05, false),
            check("new_key", Some(1.0), 2.0, false),
        ];
        let says = "is not passed: 0 of 60 sessions; without days so far; 40 of 50 closed trades that it scored have no label: they lack x";
        let test = json!({
            "version": "ES/2", "trial": "test", "gate": { "says": says },
            "report": { "sessions": 3, "planned_sessions": 60, "ruling": { "verdict": "continue", "why": "-", "checks": checks } },
        });
        let told: Vec<String> = trial(&test).into_iter().map(|(_, line)| line).collect();
        assert_eq!(
            told,
            [
                "  test of ES/2  [#...................] 3 of 60 sessions",
                "    ES/2 is not promoted yet: 0.0 of 30 days have passed; its gain of win rate is not known yet; nothing proves yet that it is \
                 better (p 0.50, 0.050 at most); its new key is 1.00 against 2.00; 40 of 50 closed trades that it scored have no label: they lack x."
            ]
        );
        let staging = json!({ "version": "ES/3", "trial": "staging", "gate": { "passed": false, "says": "is not passed", "checks": [check("hours", Some(1.25), 24.0, false)] } });
        let told = trial(&staging).pop().unwrap().1;
        assert_eq!(told, "    ES/3 does not go into its test yet: 1.2 of 24 hours have passed.");
        let over = json!({ "version": "ES/2", "trial": "test", "report": { "ruling": { "verdict": "futile", "why": "the 60 planned sessions are over without win_rate_gain", "checks": [] } } });
        assert!(
            trial(&over)
                .pop()
                .unwrap()
                .1
                .contains("The ruling on ES/2: the 60 planned sessions are over without gain of win rate")
        );
    }

    #[test]
    fn another_year_is_named_and_a_latency_that_nobody_measured_is_none() {
        let now = "2026-01-02T03:04:05Z";
        assert_eq!(time_of("2025-12-31T23:59:01Z", now), "2025-12-31 23:59");
        assert_eq!((time_of("2026-01-01T23:59:01Z", now).as_str(), time_of("-", now).as_str()), ("01-01 23:59", "-"));
        let none = json!({ "scorer": { "p50_us": null, "p99_us": null, "max_us": null } });
        assert_eq!(latency(&none), "no signal has been answered since the start");
        let some = json!({ "scorer": { "p50_us": 152.5, "p99_us": 304.1, "max_us": 3024.8 } });
        assert_eq!(latency(&some), "p50 152 us, p99 304 us, longest 3025 us");
    }
}
