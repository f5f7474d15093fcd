//! What is told: an alert of the daemon, or one of this process about the daemon.

use jiff::Timestamp;
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{Seen, digits};

/// How urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// For the record.
    Info,
    /// To be looked at.
    Warning,
    /// To be acted upon.
    Critical,
}

impl Level {
    /// As it stands before a line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its number in the daemon's journal; none for one of this process.
    pub seq: Option<u64>,
    /// When it was raised.
    pub at: Timestamp,
    /// How urgent it is.
    pub level: Level,
    /// What it is about: a code of `docs/operations.md`, or one of [`crate::advice::OWN`].
    pub code: String,
    /// What was measured, in words.
    pub message: String,
    /// Whether the daemon is a drill.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drill: bool,
    /// The receiver that it is about, which is not told of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

impl Alert {
    /// One of this process.
    pub fn own(at: Timestamp, level: Level, code: &str, message: String) -> Self {
        Self { seq: None, at, level, code: code.to_owned(), message, drill: false, about: None }
    }
}

/// A line of a subscription.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Which event of the journal it is, if it is one.
    pub seen: Option<Seen>,
    /// Whether it says that all events of the journal were sent.
    pub is_caught_up: bool,
    /// What a person should know of it, if anything.
    pub alert: Option<Alert>,
}

impl Line {
    /// Reads one that came at `now`. An event that should be an alert and cannot be read as one is an alert of that.
    pub fn of(line: &Value, now: Timestamp) -> Self {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        let seq = line.get("seq").and_then(Value::as_u64);
        let at: Option<Timestamp> = text("at").and_then(|at| at.parse().ok());
        let drill = line.get("drill") == Some(&Value::Bool(true));
        let (when, kind) = (at.unwrap_or(now), text("event").unwrap_or_default());
        let told = |level, code: &str, message: String| Alert { seq, drill, ..Alert::own(when, level, code, message) };
        let alert = match kind {
            "alert" => {
                let level = line.get("level").and_then(|level| Level::deserialize(level).ok());
                Some(match (level, text("code"), text("message")) {
                    (Some(level), Some(code), Some(message)) => told(level, code, message.to_owned()),
                    _ => told(Level::Critical, "unreadable", format!("an alert of another shape: {line}")),
                })
            }
            "locked" => {
                let reason = text("reason").unwrap_or_default();
                Some(told(Level::Critical, "locked", format!("serving was locked by {}: {reason}", by(line))))
            }
            "unreadable" => {
                let what = text("what").unwrap_or("it does not say which");
                Some(told(Level::Warning, "unreadable", what.to_owned()))
            }
            _ => None,
        };
        let is_caught_up = kind == "caught_up";
        let seen = seq.filter(|_| !is_caught_up).map(|seq| Seen { seq, hash: at.map(|_| hash(line)) });
        Self { seen, is_caught_up, alert }
    }
}

/// Of what an event of every version of the daemon has: a newer one may say more of the same event.
fn hash(line: &Value) -> String {
    let mut hashed = digest::Context::new(&digest::SHA256);
    for name in ["at", "event", "code", "message", "reason"] {
        hashed.update(line.get(name).map(Value::to_string).unwrap_or_default().as_bytes());
        hashed.update(b"\n");
    }
    digits(hashed.finish().as_ref(), 8)
}

fn by(line: &Value) -> String {
    let by = line.get("by").and_then(Value::as_object).and_then(|by| by.iter().next());
    match by {
        Some((name, Value::Number(uid))) => format!("{name} {uid}"),
        Some((_, Value::String(part))) => format!("the {part}"),
        _ => "somebody".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_alert_and_a_lock_are_told_and_what_cannot_be_read_is_not_dropped() {
        let now = Timestamp::UNIX_EPOCH;
        let at = "2026-11-25T09:23:00.5Z";
        let line = |line: Value| Line::of(&line, now);
        let alert =
            line(json!({ "seq": 4, "at": at, "event": "alert", "level": "warning", "code": "drift", "message": "m" }));
        let expected = Alert {
            seq: Some(4),
            at: at.parse().unwrap(),
            level: Level::Warning,
            code: "drift".to_owned(),
            message: "m".to_owned(),
            drill: false,
            about: None,
        };
        assert_eq!(alert.alert, Some(expected));
        let locked =
            line(json!({ "drill": true, "seq": 5, "at": at, "event": "locked", "reason": "news", "by": { "uid": 7 } }));
        let locked = locked.alert.unwrap();
        assert!(locked.drill && locked.level == Level::Critical && locked.code == "locked");
        assert_eq!(locked.message, "serving was locked by uid 7: news");
        let part =
            line(json!({ "seq": 5, "at": at, "event": "locked", "reason": "r", "by": { "daemon": "guardian" } }));
        assert_eq!(part.alert.unwrap().message, "serving was locked by the guardian: r");
        for odd in [
            json!({ "seq": 6, "at": at, "event": "alert", "level": "urgent", "code": "x", "message": "m" }),
            json!({ "seq": 6, "event": "unreadable", "what": "event #6: checksum" }),
        ] {
            let odd = line(odd);
            assert!(
                odd.seen.is_some_and(|seen| seen.seq == 6) && odd.alert.is_some_and(|alert| alert.code == "unreadable")
            );
        }
        let caught_up = line(json!({ "event": "caught_up", "seq": 6 }));
        assert!(caught_up.is_caught_up && caught_up.seen.is_none() && caught_up.alert.is_none());
        let other = line(json!({ "seq": 7, "at": at, "event": "started", "code_version": "1" }));
        assert!(other.alert.is_none());
        // what it says is known again, also from a daemon that says more of it
        let seen = |message: &str, more: Value| {
            line(json!({ "seq": 4, "at": at, "event": "alert", "level": "info", "code": "c", "message": message, "more": more })).seen
        };
        let first = seen("m", Value::Null).unwrap();
        assert!(first.is(&seen("m", json!(1)).unwrap()) && !first.is(&seen("n", Value::Null).unwrap()));
        assert!(first.is(&line(json!({ "seq": 4, "event": "unreadable", "what": "w" })).seen.unwrap()));
    }
}
