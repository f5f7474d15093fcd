//! What `vigie top` shows, as lines of a size: a function of what the daemon answered.
#![deny(clippy::indexing_slicing)]

use serde_json::Value;

use super::super::terminal::{harmless, on_one_line};

/// What the daemon answered last; `Null` where it answered nothing yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) status: Value,
    pub(super) trials: Value,
    pub(super) signals: Value,
    pub(super) alerts: Value,
    /// Why it does not answer, and for how many seconds.
    pub(super) away: Option<(String, u64)>,
}

/// How a line stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Head,
    Quiet,
    Good,
    Warn,
    Bad,
}

/// A line and its tone.
pub(super) type Line = (Tone, String);

/// The lines of a picture of `width` columns and at most `height` lines; each is harmless and no longer than that.
pub(super) fn frame(seen: &Seen, width: usize, height: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let status = &seen.status;
    let text = |path: &str| match status.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    };
    if let Some((why, seconds)) = &seen.away {
        lines.push((Tone::Bad, format!("THE DAEMON IS AWAY since {seconds} s; it is asked again every second")));
        lines.push((Tone::Quiet, why.clone()));
    }
    if status.is_null() {
        return fit(lines, width, height);
    }
    let now = text("/now");
    let now = now.get(..19).unwrap_or(&now).replace('T', " ");
    lines.push((Tone::Head, format!("vigie {}  {now} UTC  up {} s", text("/version"), text("/uptime_s"))));
    if status.pointer("/drill") == Some(&Value::Bool(true)) {
        lines.push((Tone::Warn, "DRILL: nothing it says is to be traded on".to_owned()));
    }
    lines.push(serving(status));
    let emergencies = status.pointer("/guardian/emergencies").and_then(Value::as_array);
    lines.extend(words(emergencies).map(|emergency| (Tone::Bad, format!("  {emergency}"))));
    lines.push((Tone::Plain, format!("day        the account made {}", text("/guardian/day_pnl"))));
    lines.push((
        Tone::Plain,
        format!(
            "latency    p50 {} us, p99 {} us, longest {} us",
            text("/scorer/p50_us"),
            text("/scorer/p99_us"),
            text("/scorer/max_us")
        ),
    ));
    let journal = match status.pointer("/journal/error") {
        Some(Value::String(error)) => (Tone::Bad, format!("journal    FAILING: {error}")),
        _ => {
            let (signals, outcomes) = (text("/counts/signals"), text("/counts/outcomes"));
            let dropped = text("/journal/dropped");
            (Tone::Plain, format!("journal    {signals} signals, {outcomes} outcomes, {dropped} dropped"))
        }
    };
    lines.push(journal);
    lines.push((Tone::Head, "versions".to_owned()));
    let versions = list(status.pointer("/guardian/versions"));
    if versions.is_empty() {
        lines.push((Tone::Quiet, "  none is known".to_owned()));
    }
    versions.iter().for_each(|version| lines.extend(self::version(status, version)));
    trials(&seen.trials, &mut lines);
    lines.push((Tone::Head, "alerts, latest first".to_owned()));
    let alerts = list(Some(&seen.alerts));
    if alerts.is_empty() {
        lines.push((Tone::Quiet, "  none".to_owned()));
    }
    for alert in alerts.iter().rev().take(4) {
        let of = |name: &str| alert.get(name).and_then(Value::as_str).unwrap_or("-");
        let tone = match of("level") {
            "critical" => Tone::Bad,
            "warning" => Tone::Warn,
            _ => Tone::Quiet,
        };
        lines.push((tone, format!("  {} {} {}: {}", minute(of("at")), of("level"), of("code"), of("message"))));
    }
    lines.push((Tone::Head, "signals, latest first".to_owned()));
    let signals = list(Some(&seen.signals));
    if signals.is_empty() {
        lines.push((Tone::Quiet, "  none".to_owned()));
    }
    lines.extend(signals.iter().rev().map(signal));
    fit(lines, width, height)
}

fn serving(status: &Value) -> Line {
    match status.pointer("/guardian/lock") {
        Some(Value::String(reason)) => (Tone::Bad, format!("serving    LOCKED to the baseline: {reason}")),
        None => (Tone::Bad, "serving    LOCKED to the baseline: the guardian is restarting".to_owned()),
        Some(_) => {
            let silenced: Vec<&str> = words(status.pointer("/guardian/silenced").and_then(Value::as_array)).collect();
            if !silenced.is_empty() {
                let silenced = silenced.join(", ");
                return (Tone::Bad, format!("serving    {silenced} SILENCED by an emergency until `vigie resume`"));
            }
            let versions = list(status.pointer("/guardian/versions"));
            let speaks = |version: &&Value| {
                let state = version.get("state").and_then(Value::as_str);
                matches!(state, Some("production" | "ab_test"))
            };
            let speaking = versions.iter().filter(speaks).map(|version| {
                let of = |name: &str| version.get(name).and_then(Value::as_str).unwrap_or("-");
                format!("{} in {}", of("version"), of("state"))
            });
            match speaking.collect::<Vec<_>>().join(", ") {
                none if none.is_empty() => (Tone::Plain, "serving    the strategy alone: no version speaks".to_owned()),
                speaking => (Tone::Good, format!("serving    {speaking}")),
            }
        }
    }
}

/// Where a version stands, and how far the guardian's rules are from it.
fn version(status: &Value, version: &Value) -> Vec<Line> {
    let of = |name: &str| version.get(name).and_then(Value::as_str).unwrap_or("-");
    let name = of("version");
    let mut lines = vec![(Tone::Plain, format!("  {name}  {}", of("state")))];
    let levels = list(status.pointer("/guardian/levels"));
    let level = levels.iter().find(|level| level.get("version").and_then(Value::as_str) == Some(name));
    if let Some(level) = level {
        let count = |name: &str| level.get(name).and_then(Value::as_u64).unwrap_or_default();
        let share = |name: &str| {
            level
                .get(name)
                .and_then(Value::as_f64)
                .map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
        };
        let min = status.pointer("/limits/min_accuracy").and_then(Value::as_f64).unwrap_or(0.0);
        let accuracy = level.get("accuracy").and_then(Value::as_f64);
        let close = accuracy.is_some_and(|accuracy| accuracy < min + 0.05);
        let tone = if close { Tone::Warn } else { Tone::Plain };
        lines.push((
            tone,
            format!(
                "    right in {} of {}, as validated {}, limit {:.0} %",
                share("accuracy"),
                count("labelled"),
                share("expected_accuracy"),
                100.0 * min
            ),
        ));
        let (streak, most) = (count("loss_streak"), count("streak_limit"));
        let tone = if 4 * streak >= 3 * most.max(1) { Tone::Warn } else { Tone::Plain };
        let gain = level.get("gain").and_then(Value::as_f64).unwrap_or_default();
        let trades = count("gain_trades");
        lines.push((tone, format!("    {streak} of {most} losses in a row; gain {gain:+.2} in {trades} trades")));
    }
    let composite =
        status.pointer("/monitor/rolling").and_then(|all| all.get(name)?.pointer("/health/figures/composite/value"));
    if let Some(composite) = composite.and_then(Value::as_f64) {
        let tone = if composite < 1.0 { Tone::Warn } else { Tone::Plain };
        lines.push((tone, format!("    composite {composite:.2}, 1 is as validated")));
    }
    lines
}

fn trials(trials: &Value, lines: &mut Vec<Line>) {
    for trial in list(Some(trials)) {
        let of = |path: &str| trial.pointer(path).and_then(Value::as_str).unwrap_or("-");
        let whole = |path: &str| trial.pointer(path).and_then(Value::as_u64).unwrap_or_default();
        let says = match trial.pointer("/gate/says").and_then(Value::as_str) {
            Some(says) => says.to_owned(),
            None => of("/report/ruling/why").to_owned(),
        };
        if of("/trial") == "test" {
            let (sessions, planned) = (whole("/report/sessions"), whole("/report/planned_sessions").max(1));
            let done = (20 * sessions / planned).min(20) as usize;
            let bar = format!("[{}{}]", "#".repeat(done), ".".repeat(20 - done));
            lines.push((Tone::Head, format!("test of {}  {bar} {sessions} of {planned} sessions", of("/version"))));
        } else {
            lines.push((Tone::Head, format!("{} of {}", of("/trial"), of("/version"))));
        }
        lines.push((Tone::Plain, format!("  {says}")));
    }
}

fn signal(signal: &Value) -> Line {
    let of = |path: &str| signal.pointer(path).and_then(Value::as_str).unwrap_or("-");
    let number = |path: &str| signal.pointer(path).and_then(Value::as_f64);
    let arm = of("/decision/arm");
    let score =
        number("/decision/score").filter(|_| arm == "ml").map_or_else(String::new, |score| format!(" {score:.2}"));
    let size = number("/decision/size").map_or_else(String::new, |size| format!(" x{size:.2}"));
    let line = format!(
        "  {} {} {} {arm}{score}{size} {}  {}",
        minute(of("/at")),
        of("/symbol"),
        of("/side"),
        of("/decision/reason"),
        of("/trade_id")
    );
    (if arm == "ml" { Tone::Good } else { Tone::Plain }, line)
}

/// Month, day and minute of a time.
fn minute(at: &str) -> String {
    at.get(5..16).unwrap_or(at).replace('T', " ")
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn words(list: Option<&Vec<Value>>) -> impl Iterator<Item = &str> {
    list.into_iter().flatten().filter_map(Value::as_str)
}

fn fit(mut lines: Vec<Line>, width: usize, height: usize) -> Vec<Line> {
    if lines.len() > height {
        lines.truncate(height.saturating_sub(1));
        lines.push((Tone::Quiet, "... the window is too low for the rest".to_owned()));
    }
    lines.into_iter().map(|(tone, line)| (tone, cut(&harmless(&on_one_line(&line)), width))).collect()
}

/// The line, with three dots where it is longer than there is room.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    line.chars().take(width.saturating_sub(3)).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_line_is_longer_than_the_window_and_nothing_in_it_is_obeyed() {
        let evil = "\u{1b}[2J\nforged \u{202e}";
        let alert =
            json!({ "at": "2026-11-02T15:00:00Z", "level": "critical", "code": evil, "message": evil.repeat(40) });
        let seen = Seen {
            status: json!({ "guardian": { "lock": evil, "versions": [{ "version": "ES/1", "state": evil }], "emergencies": [evil] } }),
            alerts: json!(vec![alert; 9]),
            away: Some((evil.to_owned(), 7)),
            ..Seen::default()
        };
        for (width, height) in [(60, 24), (120, 50), (20, 3), (0, 0)] {
            let lines = frame(&seen, width, height);
            assert!(lines.len() <= height.max(1), "{width} {height}");
            for (_, line) in &lines {
                assert!(line.chars().count() <= width.max(3) && !line.chars().any(char::is_control), "{line:?}");
            }
        }
        let told: String = frame(&seen, 120, 50).into_iter().map(|(_, line)| line + "\n").collect();
        assert!(
            told.starts_with("THE DAEMON IS AWAY since 7 s") && told.contains("LOCKED to the baseline: \\u001b[2J"),
            "{told}"
        );
    }
}
