//! What `vigie top` shows, as lines of a size: a function of what the daemon answered.
#![deny(clippy::indexing_slicing)]

use serde_json::Value;

use super::{
    layout::{self, Item, Line, Part, Row, Tone},
    levels,
    words::{self, time_of},
};

/// Alerts and signals that are asked for.
pub(super) const MOST: usize = 30;

/// What the daemon answered last; `Null` where it answered nothing yet.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) status: Value,
    pub(super) trials: Value,
    /// The latest, or why there are none, as text.
    pub(super) signals: Value,
    /// The same of the alerts.
    pub(super) alerts: Value,
    pub(super) away: Option<Away>,
}

/// A daemon that does not answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Away {
    /// What came of asking; empty while the answer is waited for.
    pub(super) why: String,
    /// Since its last answer.
    pub(super) seconds: u64,
}

/// Below so many lines a window is low, and below so many columns it is narrow.
const LOW: usize = 16;
const NARROW: usize = 56;

/// The lines of a picture of `width` columns and at most `height` lines; each is harmless and no longer than that. What matters now
/// stands first, and what has no room is counted. What a daemon that is away said last is dimmed and dated.
pub(super) fn frame(seen: &Seen, width: usize, height: usize) -> Vec<Row> {
    let mut news = Vec::new();
    let now = seen.status.get("now").and_then(Value::as_str).unwrap_or("-");
    if let Some(Away { why, seconds }) = &seen.away {
        let dated = if seen.status.is_null() {
            "it is asked again and again".to_owned()
        } else {
            format!("below is as of {} UTC", now.get(11..19).unwrap_or(now))
        };
        news.push((Tone::Bad, format!("THE DAEMON IS AWAY for {seconds} s; {dated}")));
        let why = if why.is_empty() {
            "it took the question and does not answer; it may be stopped or overloaded"
        } else {
            why
        };
        news.push((Tone::Warn, why.to_owned()));
    }
    if seen.status.is_null() {
        if news.is_empty() {
            news.push((Tone::Quiet, "the daemon is asked".to_owned()));
        }
        return layout::arranged(news, Vec::new(), Vec::new(), width, height);
    }
    let parts = vec![
        alerts(&seen.alerts, now),
        versions(&seen.status, height),
        health(&seen.status),
        trials(&seen.trials),
        signals(&seen.signals, now),
    ];
    let (mut head, mut parts) = (self::head(&seen.status, now, width), parts);
    if seen.away.is_some() {
        let dim = |(tone, _): &mut Line| *tone = Tone::Quiet;
        head.iter_mut().for_each(dim);
        for part in &mut parts {
            part.items.iter_mut().flatten().for_each(dim);
            part.tone = Tone::Quiet;
        }
    }
    layout::arranged(news, head, parts, width, height)
}

/// What is served and why, and what silences it.
fn head(status: &Value, now: &str, width: usize) -> Vec<Line> {
    let text = |path: &str| words::text(status, path);
    let shown = if width < NARROW { now.get(11..19) } else { now.get(..19) };
    let now = shown.unwrap_or(now).replace('T', " ");
    let up = status.get("uptime_s").and_then(Value::as_f64).map_or_else(|| "-".to_owned(), |up| format!("{up:.0}"));
    let mut lines = vec![(Tone::Head, format!("vigie {}  {now} UTC  up {up} s", text("/version")))];
    if status.pointer("/drill") == Some(&Value::Bool(true)) {
        lines.push((Tone::Warn, "DRILL: nothing it says is to be traded on".to_owned()));
    }
    lines.push(serving(status));
    // the lock may give one of them as its reason
    let lock = text("/guardian/lock");
    let emergencies = list(status.pointer("/guardian/emergencies")).iter().filter_map(Value::as_str);
    let others = emergencies.filter(|emergency| *emergency != lock);
    lines.extend(others.map(|emergency| (Tone::Bad, format!("  {emergency}"))));
    if let Some(Value::String(error)) = status.pointer("/journal/error") {
        lines.push((Tone::Bad, format!("journal    FAILING: {error}")));
    }
    lines
}

/// The alerts: critical ones first, of each level the newest first. The two newest are the last to go.
fn alerts(alerts: &Value, now: &str) -> Part {
    let line = |alert: &Value| {
        let of = |name: &str| alert.get(name).and_then(Value::as_str).unwrap_or("-");
        let tone = match of("level") {
            "critical" => Tone::Bad,
            "warning" => Tone::Warn,
            _ => Tone::Quiet,
        };
        (tone, format!("  {} {} {}: {}", time_of(of("at"), now), of("level"), of("code"), of("message")))
    };
    let latest: Vec<&Value> = list(Some(alerts)).iter().rev().collect();
    let critical = |alert: &&Value| alert.get("level").and_then(Value::as_str) == Some("critical");
    let (mut first, others): (Vec<&Value>, Vec<&Value>) = latest.iter().take(2).copied().partition(critical);
    first.extend(others);
    let (mut rest, others): (Vec<&Value>, Vec<&Value>) = latest.iter().skip(2).copied().partition(critical);
    rest.extend(others);
    let items = first.into_iter().chain(rest).map(|alert| vec![line(alert)]).collect();
    Part { least: 2, lines: 3, ..part("alerts", alerts, items) }
}

/// A low window has where each stands, and no more of it.
fn versions(status: &Value, height: usize) -> Part {
    let mut versions: Vec<&Value> = list(status.pointer("/guardian/versions")).iter().collect();
    versions.sort_by_key(|version| match version.get("state").and_then(Value::as_str) {
        Some("production") => 0,
        Some("ab_test") => 1,
        Some("staging") => 2,
        _ => 3,
    });
    let most = if height < LOW { 1 } else { usize::MAX };
    let item = |version| self::version(status, version).into_iter().take(most).collect();
    let items = versions.into_iter().map(item).collect();
    Part { lines: 2, ..part("versions", &Value::Null, items) }
}

/// What the monitor finds, the latency, the account's day and the journal.
fn health(status: &Value) -> Part {
    let text = |path: &str| words::text(status, path);
    let mut lines = Vec::new();
    for alarm in list(status.pointer("/monitor/alarms")) {
        let of = |name: &str| alarm.get(name).and_then(Value::as_str).unwrap_or("-");
        lines.push((Tone::Warn, format!("  {} since {}", of("condition"), of("since"))));
    }
    for (version, why) in status.pointer("/monitor/unwatched").and_then(Value::as_object).into_iter().flatten() {
        lines.push((Tone::Warn, format!("  {version} is not watched: {}", why.as_str().unwrap_or("-"))));
    }
    for version in
        list(status.pointer("/guardian/versions")).iter().filter_map(|version| version.get("version")?.as_str())
    {
        let rolling = status.pointer("/monitor/rolling").and_then(|all| all.get(version));
        let composite = rolling.and_then(|of| of.pointer("/health/figures/composite/value")).and_then(Value::as_f64);
        if let Some(composite) = composite {
            let tone = if composite < 1.0 { Tone::Warn } else { Tone::Plain };
            lines.push((tone, format!("  {version}  composite {composite:.2}, 1 is as validated")));
        }
    }
    lines.push((Tone::Plain, format!("  latency: {}", words::latency(status))));
    match status.pointer("/guardian/day_pnl") {
        Some(_) => lines.push((Tone::Plain, format!("  day: the account made {}", text("/guardian/day_pnl")))),
        None => lines.push((Tone::Plain, "  day: no trade has closed yet".to_owned())),
    }
    if status.pointer("/journal/error").is_none() {
        let (signals, outcomes) = (text("/counts/signals"), text("/counts/outcomes"));
        let dropped = text("/journal/dropped");
        let tone = if dropped == "0" { Tone::Plain } else { Tone::Warn };
        lines.push((tone, format!("  journal: {signals} signals, {outcomes} outcomes, {dropped} dropped")));
    }
    Part { lines: 2, ..part("health", &Value::Null, lines.into_iter().map(|line| vec![line]).collect()) }
}

fn trials(trials: &Value) -> Part {
    let mut running: Vec<&Value> = list(Some(trials)).iter().collect();
    running.sort_by_key(|trial| match trial.get("trial").and_then(Value::as_str) {
        Some("test") => 0,
        Some("staging") => 1,
        _ => 2,
    });
    let items = running.into_iter().map(words::trial).collect();
    Part { lines: 3, ..part("tests", trials, items) }
}

fn signals(signals: &Value, now: &str) -> Part {
    let items = list(Some(signals)).iter().rev().map(|signal| vec![words::signal(signal, now)]).collect();
    part("signals", signals, items)
}

/// A part of items, of what was answered as a list or as the reason why there is none.
fn part(name: &'static str, answered: &Value, items: Vec<Item>) -> Part {
    let of_more = items.len() >= MOST;
    let none = answered.as_str().map_or_else(|| "none".to_owned(), |why| format!("not known: {why}"));
    Part { name, tone: Tone::Head, none, items, of_more, least: 1, lines: 1 }
}

fn serving(status: &Value) -> Line {
    match status.pointer("/guardian/lock") {
        Some(Value::String(reason)) => {
            let until = status.pointer("/guardian/lock_until").and_then(Value::as_str);
            let until = until.map_or_else(String::new, |until| format!(" until {until}"));
            (Tone::Bad, format!("serving    LOCKED to the baseline{until}: {reason}"))
        }
        None => (Tone::Bad, "serving    LOCKED to the baseline: the guardian is restarting".to_owned()),
        Some(_) => {
            let silenced = list(status.pointer("/guardian/silenced")).iter().filter_map(Value::as_str);
            let silenced: Vec<&str> = silenced.collect();
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
        lines.extend(levels::told(level));
    }
    lines
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(seen: &Seen, width: usize, height: usize) -> Vec<String> {
        let rows = frame(seen, width, height).into_iter();
        rows.map(|row| row.into_iter().map(|(_, text)| text).collect()).collect()
    }

    /// Two versions, a test, a staging, eight alerts of which an old one is critical, a dozen signals.
    fn busy() -> Seen {
        let level = |version: &str| json!({ "version": version, "accuracy": 0.52, "expected_accuracy": 0.55, "labelled": 40, "streak_limit": 8, "gain_trades": 40 });
        let alert = |number: usize| {
            let what = format!(
                "alert {number} of a fault that many words describe, more than there is room for on one line; `vigie do {number}` mends it"
            );
            json!({ "at": format!("2026-11-02T15:0{number}:00Z"), "level": if number == 3 { "critical" } else { "warning" }, "code": "fault", "message": what })
        };
        let signal = |number: usize| {
            json!({ "at": format!("2025-12-31T23:{:02}:00Z", 10 + number), "symbol": "ES", "side": "long", "trade_id": format!("T-{number}"),
                "decision": { "arm": "ml", "score": 0.61, "size": 1.0, "reason": "production" } })
        };
        let check = json!({ "name": "win_rate_gain", "value": null, "threshold": 0.02, "passed": false });
        Seen {
            status: json!({
                "now": "2026-11-02T15:09:04.5Z", "version": "0.1.0", "uptime_s": 5.4, "scorer": { "p50_us": null }, "limits": { "min_accuracy": 0.5 },
                "counts": { "signals": 12, "outcomes": 4 }, "journal": { "ok": true, "dropped": 0 },
                "guardian": {
                    "lock": null, "silenced": [], "emergencies": [], "levels": [level("ES/1"), level("ES/2")],
                    "versions": [{ "version": "ES/0", "state": "archived" }, { "version": "ES/2", "state": "ab_test" }, { "version": "ES/1", "state": "production" }],
                },
            }),
            trials: json!([
                { "trial": "test", "version": "ES/2", "report": { "sessions": 0, "planned_sessions": 60, "ruling": { "verdict": "continue", "checks": [check] } } },
                { "trial": "staging", "version": "ES/3", "gate": { "passed": false, "says": "is not passed", "checks": [check] } },
            ]),
            signals: (0..12).map(signal).collect(),
            alerts: (1..9).map(alert).collect(),
            away: None,
        }
    }

    #[test]
    fn no_line_is_longer_than_the_window_and_nothing_in_it_is_obeyed() {
        let evil = "\u{1b}[2J\nforged \u{202e}";
        let alert =
            json!({ "at": "2026-11-02T15:00:00Z", "level": "critical", "code": evil, "message": evil.repeat(40) });
        let trial = json!({ "trial": evil, "version": evil, "report": { "ruling": { "why": evil } } });
        let seen = Seen {
            status: json!({ "now": evil, "guardian": { "lock": evil, "versions": [{ "version": evil, "state": evil }], "emergencies": [evil] } }),
            alerts: json!(vec![alert; 9]),
            trials: json!([trial]),
            signals: json!(evil),
            away: Some(Away { why: evil.to_owned(), seconds: 7 }),
        };
        for seen in [&seen, &busy()] {
            for (width, height) in
                (0..140).flat_map(|width| [0, 1, 3, 5, 9, 14, 20, 24, 50].map(|height| (width, height)))
            {
                let lines = lines(seen, width, height);
                assert!(lines.len() <= height, "{width} {height}");
                for line in &lines {
                    assert!(line.chars().count() <= width && !line.chars().any(char::is_control), "{width} {line:?}");
                }
            }
        }
        let told = lines(&seen, 120, 50).join("\n");
        assert!(
            told.starts_with("THE DAEMON IS AWAY for 7 s; below is as of")
                && told.contains("LOCKED to the baseline: \\u001b[2J"),
            "{told}"
        );
    }

    #[test]
    fn a_small_window_has_a_share_for_each_part_and_counts_the_rest() {
        let lines = lines(&busy(), 60, 20);
        let told = lines.join("\n");
        let place =
            |what: &str| lines.iter().position(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {told}"));
        let places = [
            "serving    ES/2 in ab_test, ES/1 in production",
            "alerts (",
            "alert 8 of a fault",
            "`vigie do 8` mends it",
            "alert 7 of a fault",
            "`vigie do 7` mends it",
            "versions (",
            "ES/1  production",
        ];
        let rest = ["health (", "tests (1 more)", "test of ES/2", "signals (", "2025-12-31 23:21 ES long ml 0.61"];
        let places: Vec<usize> = places.iter().chain(&rest).map(|what| place(what)).collect();
        assert!(places.is_sorted() && lines.len() == 20, "{told}");
        assert!(!told.contains("win_rate_gain") && !told.contains("- us"), "{told}");
    }

    #[test]
    fn a_lower_window_drops_the_last_parts_and_says_so() {
        let told = lines(&busy(), 60, 9).join("\n");
        assert!(told.contains("`vigie do 8` mends it") && told.contains("`vigie do 7` mends it"), "{told}");
        assert!(told.ends_with("signals 12"), "{told}");
    }

    #[test]
    fn a_critical_alert_stands_before_a_newer_one_of_less_weight() {
        let mut seen = busy();
        let alerts = seen.alerts.as_array_mut().unwrap();
        alerts.truncate(4);
        alerts[0]["level"] = "critical".into();
        alerts[2]["level"] = "warning".into();
        let told = lines(&seen, 100, 60).join("\n");
        let place = |number: usize| told.find(&format!("alert {number} ")).unwrap();
        assert!([place(1), place(4), place(3), place(2)].is_sorted(), "{told}");
    }

    #[test]
    fn a_wide_window_has_two_columns_where_they_show_more() {
        let both = |told: &[String]| told.iter().any(|line| line.contains("alerts") && line.contains("signals"));
        let (low, high) = (lines(&busy(), 120, 30), lines(&busy(), 120, 90));
        let narrow = lines(&busy(), 119, 30);
        let signals = |told: &[String]| told.iter().filter(|line| line.contains(" T-")).count();
        assert!(low.iter().any(|line| line.starts_with("alerts") && line.len() > 60), "{low:#?}");
        assert!(signals(&low) > signals(&narrow), "{low:#?} {narrow:#?}");
        assert!(!both(&high) && high.iter().all(|line| !line.starts_with("alerts") || line.len() < 60), "{high:#?}");
    }

    #[test]
    fn what_a_daemon_that_is_away_said_is_dimmed_and_dated() {
        let seen = Seen { away: Some(Away { why: String::new(), seconds: 4 }), ..busy() };
        let rows = frame(&seen, 60, 20);
        assert_eq!(rows[0], [(Tone::Bad, "THE DAEMON IS AWAY for 4 s; below is as of 15:09:04 UTC".to_owned())]);
        let told: Vec<_> = rows.iter().skip_while(|row| !row[0].1.starts_with("vigie ")).flatten().collect();
        assert!(told.len() > 10 && told.iter().all(|(tone, _)| *tone == Tone::Quiet), "{told:?}");
    }
}
