//! `vigie status --check`: one line and an exit code, as monitoring plugins have them.

use std::fmt;

use serde_json::Value;

use crate::protocol::client::ClientError;

/// How it stands, as monitoring plugins say it; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    /// Nobody can say.
    Unknown = 3,
}

/// What a monitoring plugin says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) standing: Standing,
    says: Vec<String>,
    /// Figures as name and value, for graphs.
    figures: Vec<(&'static str, String)>,
}

impl Verdict {
    fn new(found: Vec<(Standing, String)>, figures: Vec<(&'static str, String)>) -> Self {
        let standing = found.iter().map(|(standing, _)| *standing).max().unwrap_or(Standing::Ok);
        // the worst first
        let mut found = found;
        found.sort_by_key(|(standing, _)| std::cmp::Reverse(*standing));
        Self { standing, says: found.into_iter().map(|(_, says)| says).collect(), figures }
    }

    /// Of a daemon that gave no answer: one that is not there or stands still is critical; who may not ask does not know.
    pub(super) fn of_no_answer(error: &ClientError) -> Self {
        let denied = std::io::ErrorKind::PermissionDenied;
        let standing = match error {
            ClientError::Unreachable { why, .. } if why.kind() == denied => Standing::Unknown,
            ClientError::Unreachable { .. } | ClientError::Lost { .. } => Standing::Critical,
            ClientError::Garbled { .. } | ClientError::Refused(_) => Standing::Unknown,
        };
        Self::new(vec![(standing, error.to_string())], Vec::new())
    }

    /// Of what `status` says.
    pub(super) fn of(status: &Value) -> Self {
        let mut found = Vec::new();
        let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
        let texts = |pointer: &str| -> Vec<&str> {
            let list = status.pointer(pointer).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).collect()
        };
        if status.pointer("/journal/ok") != Some(&Value::Bool(true)) {
            let why = text("/journal/error").unwrap_or("its state is not known");
            found.push((Standing::Critical, format!("the journal cannot be written: {why}")));
        }
        match status.pointer("/guardian/lock") {
            None => {
                found.push((Standing::Critical, "the guardian is restarting, only the baseline is served".to_owned()))
            }
            Some(Value::String(reason)) => match text("/guardian/lock_until") {
                Some(until) => {
                    found.push((Standing::Warning, format!("locked to the baseline until {until}: {reason}")))
                }
                None => found.push((Standing::Critical, format!("locked to the baseline: {reason}"))),
            },
            Some(_) => {
                let symbols = texts("/guardian/silenced");
                if !symbols.is_empty() {
                    found.push((Standing::Critical, format!("{} silenced until `vigie resume`", symbols.join(", "))));
                }
            }
        }
        found.extend(texts("/guardian/emergencies").into_iter().map(|why| (Standing::Critical, why.to_owned())));
        // the monitor may be busy for longer than `status` waits for it
        for (part, name) in [("scorer", "scorer"), ("trials", "A/B router")] {
            if status.get(part).is_none_or(Value::is_null) {
                found.push((Standing::Warning, format!("the {name} does not answer")));
            }
        }
        if status.get("drill") == Some(&Value::Bool(true)) {
            found.push((Standing::Warning, "it is a drill: nothing it says is to be traded on".to_owned()));
        }
        for alarm in status.pointer("/monitor/alarms").and_then(Value::as_array).into_iter().flatten() {
            let field = |name: &str| alarm.get(name).and_then(Value::as_str).unwrap_or("-");
            found.push((Standing::Warning, format!("{} since {}", field("condition"), field("since"))));
        }
        for (version, why) in status.pointer("/monitor/unwatched").and_then(Value::as_object).into_iter().flatten() {
            found.push((Standing::Warning, format!("{version}: {}", why.as_str().unwrap_or("it is not watched"))));
        }
        for job in status.get("jobs").and_then(Value::as_array).into_iter().flatten() {
            let failed = job.pointer("/last_failure/at").filter(|at| Some(*at) == job.pointer("/last/at"));
            // one that runs again says soon what came of it
            if failed.is_some() && job.pointer("/running") != Some(&Value::Bool(true)) {
                let field = |pointer: &str| job.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
                found.push((Standing::Warning, format!("the job {} failed: {}", field("/name"), field("/last/found"))));
            }
        }
        if found.is_empty() {
            found.push((Standing::Ok, serving(status)));
        }
        Self::new(found, figures(status))
    }
}

/// Who speaks.
fn serving(status: &Value) -> String {
    let versions = status.pointer("/guardian/versions").and_then(Value::as_array);
    let field = |version: &Value, name: &str| version.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let speaks = |version: &&Value| matches!(field(version, "state").as_str(), "production" | "ab_test");
    let speaking: Vec<String> = versions
        .into_iter()
        .flatten()
        .filter(speaks)
        .map(|version| format!("{} in {}", field(version, "version"), field(version, "state")))
        .collect();
    if speaking.is_empty() { "no model speaks, the baseline is served".to_owned() } else { speaking.join(", ") }
}

fn figures(status: &Value) -> Vec<(&'static str, String)> {
    let figure = |name: &'static str, pointer: &str, unit: &str| {
        let value = status.pointer(pointer).and_then(Value::as_f64)?;
        Some((name, format!("{value}{unit}")))
    };
    let all = [
        figure("uptime", "/uptime_s", "s"),
        figure("answered", "/scorer/answered", "c"),
        figure("p99", "/scorer/p99_us", "us"),
        figure("waiting", "/journal/waiting", ""),
        figure("dropped", "/journal/dropped", "c"),
        figure("restarts", "/restarts", "c"),
        figure("journal", "/storage/bytes", "B"),
    ];
    all.into_iter().flatten().collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.standing {
            Standing::Ok => "OK",
            Standing::Warning => "WARNING",
            Standing::Critical => "CRITICAL",
            Standing::Unknown => "UNKNOWN",
        };
        // a bar begins the figures, and there is one line
        let plain = |text: &String| text.replace('|', "/").split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "VIGIE {word} - {}", self.says.iter().map(plain).collect::<Vec<_>>().join("; "))?;
        let mut before = " | ";
        for (name, value) in &self.figures {
            write!(f, "{before}{name}={value}")?;
            before = " ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use serde_json::json;

    use super::*;
    use crate::protocol::message::WireError;

    fn healthy() -> Value {
        json!({
            "journal": { "ok": true, "waiting": 0, "dropped": 0 }, "uptime_s": 12.5, "scorer": { "answered": 7, "p99_us": 304.0 },
            "trials": {}, "monitor": { "alarms": [], "unwatched": {} }, "restarts": 0, "storage": { "bytes": 4096 },
            "guardian": {
                "lock": null, "silenced": [], "emergencies": [],
                "versions": [{ "version": "ES/1", "state": "production" }, { "version": "ES/2", "state": "staging" }],
            },
        })
    }

    #[test]
    fn a_healthy_daemon_is_ok_in_one_line_with_its_figures() {
        let verdict = Verdict::of(&healthy());
        assert_eq!(verdict.standing, Standing::Ok);
        let line = "VIGIE OK - ES/1 in production | uptime=12.5s answered=7c p99=304us waiting=0 dropped=0c restarts=0c journal=4096B";
        assert_eq!(verdict.to_string(), line);
    }

    #[test]
    fn each_thing_that_is_not_as_it_should_be_has_its_standing_and_its_words() {
        let run = json!({ "at": "2026-01-01T00:00:00Z", "found": "it differs" });
        for (pointer, value, standing, words) in [
            ("/journal/ok", json!(false), Standing::Critical, "the journal cannot be written"),
            (
                "/guardian/lock",
                json!("killed: a\ntest | x"),
                Standing::Critical,
                "locked to the baseline: killed: a test / x",
            ),
            ("/guardian/silenced", json!(["ES", "NQ"]), Standing::Critical, "ES, NQ silenced"),
            ("/guardian/emergencies", json!(["emergency of ES/1: x"]), Standing::Critical, "emergency of ES/1: x"),
            ("/guardian", json!({}), Standing::Critical, "the guardian is restarting"),
            ("/scorer", Value::Null, Standing::Warning, "the scorer does not answer"),
            (
                "/monitor/alarms",
                json!([{ "condition": "drift of vix", "since": "2026-01-01" }]),
                Standing::Warning,
                "drift of vix since",
            ),
            ("/monitor/unwatched", json!({ "ES/1": "too few" }), Standing::Warning, "ES/1: too few"),
            ("/drill", json!(true), Standing::Warning, "it is a drill"),
            (
                "/jobs",
                json!([{ "name": "verify", "last": run, "last_failure": run }]),
                Standing::Warning,
                "the job verify failed: it differs",
            ),
        ] {
            let mut status = healthy();
            match status.pointer_mut(pointer) {
                Some(place) => *place = value,
                None => drop(status.as_object_mut().unwrap().insert(pointer[1..].to_owned(), value)),
            }
            let verdict = Verdict::of(&status);
            assert_eq!(verdict.standing, standing, "{pointer}: {verdict}");
            assert!(verdict.to_string().contains(words) && !verdict.to_string().contains('\n'), "{pointer}: {verdict}");
        }
        let mut timed = healthy();
        timed["guardian"]["lock"] = json!("the news");
        timed["guardian"]["lock_until"] = json!("2026-11-29T16:00:00Z");
        let verdict = Verdict::of(&timed);
        assert_eq!(verdict.standing, Standing::Warning);
        assert!(verdict.to_string().contains("until 2026-11-29T16:00:00Z: the news"), "{verdict}");
        timed["journal"]["ok"] = json!(false);
        let worst = Verdict::of(&timed);
        assert!(
            worst.standing == Standing::Critical && worst.to_string().starts_with("VIGIE CRITICAL - the journal"),
            "{worst}"
        );
    }

    #[test]
    fn who_gives_no_answer_is_critical_and_who_may_not_ask_does_not_know() {
        let unreachable =
            |kind: io::ErrorKind| ClientError::Unreachable { path: "s".into(), named_by: "", why: kind.into() };
        let lost = ClientError::Lost { path: "s".into(), named_by: "", why: io::ErrorKind::TimedOut.into() };
        let refused = ClientError::Refused(WireError::new("forbidden", "uid 1 may not talk to this daemon"));
        for (error, standing) in [
            (unreachable(io::ErrorKind::NotFound), Standing::Critical),
            (unreachable(io::ErrorKind::ConnectionRefused), Standing::Critical),
            (unreachable(io::ErrorKind::PermissionDenied), Standing::Unknown),
            (lost, Standing::Critical),
            (refused, Standing::Unknown),
        ] {
            assert_eq!(Verdict::of_no_answer(&error).standing, standing, "{error}");
        }
    }
}
