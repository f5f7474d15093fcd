//! A bare client of the socket: it sends any bytes and reads lines, and hides nothing.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::{Value, json};

use super::wait::PATIENCE;

/// All twelve features, somewhere within their ranges.
pub const FEATURES: &str = r#"{"vwap_trend_signal":0.71,"sierra_pattern_strength":0.4,"dow_trend_regime":1,"gamma_levels_proximity":0.3,"level_proximity":0.6,"es_nq_correlation":0.9,"volume_confirmation":0.55,"options_flow_bias":0.1,"market_volatility":0.2,"session_time":0.5,"bid_ask_spread":0.0,"recent_momentum":-0.2}"#;

/// One connection.
pub struct Wire(BufReader<UnixStream>);

impl Wire {
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// The answer to one line on a connection of its own; `None` when there is none, as while a daemon starts over.
    pub fn ask_once(socket: &Path, line: &str) -> Option<Value> {
        let mut stream = UnixStream::connect(socket).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        writeln!(stream, "{line}").ok()?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends as much as the socket takes without waiting, and says how much that was; nothing when it is closed.
    pub fn send_what_fits(&mut self, bytes: &[u8]) -> usize {
        let stream = self.0.get_mut();
        stream.set_nonblocking(true).unwrap();
        let mut sent = 0;
        loop {
            match stream.write(&bytes[sent..]) {
                Ok(0) => break,
                Ok(count) => sent += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::BrokenPipe) => break,
                Err(error) => panic!("{error}"),
            }
        }
        stream.set_nonblocking(false).unwrap();
        sent
    }

    /// The next line without its end; `None` when the daemon has closed the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches('\n').to_owned()),
            // closed with something of ours unread
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// All that comes until the daemon closes the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).unwrap();
        bytes
    }

    pub fn answer(&mut self) -> Value {
        let line = self.line().expect("the daemon closed the connection");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Sends one request line and reads its answer.
    pub fn ask(&mut self, line: impl AsRef<str>) -> Value {
        self.send(format!("{}\n", line.as_ref()));
        self.answer()
    }

    /// As [`Self::ask`]; the answer must be `ok`.
    pub fn ask_ok(&mut self, line: impl AsRef<str>) -> Value {
        let answer = self.ask(line.as_ref());
        assert_eq!(answer["ok"], true, "{} -> {answer}", line.as_ref());
        answer
    }

    /// What `status` tells.
    pub fn status(&mut self) -> Value {
        self.ask_ok(r#"{"type":"status"}"#)["status"].take()
    }

    /// What `status` says of a job.
    pub fn job(&mut self, name: &str) -> Value {
        let jobs = self.status()["jobs"].take();
        jobs.as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone()
    }

    /// Arm and reason of the answer to a signal of the trade `id`.
    pub fn arm(&mut self, id: &str) -> (String, String) {
        arm_of(&self.ask(score(id)))
    }
}

pub fn arm_of(answer: &Value) -> (String, String) {
    let text = |name: &str| answer[name].as_str().unwrap_or("none").to_owned();
    (text("arm"), text("reason"))
}

pub fn ml() -> (String, String) {
    ("ml".to_owned(), "production".to_owned())
}

pub fn baseline(reason: &str) -> (String, String) {
    ("baseline".to_owned(), reason.to_owned())
}

/// A signal that a model for ES can score.
pub fn score(id: &str) -> String {
    format!(
        r#"{{"type":"score","id":"{id}","trade_id":"{id}","at":"2025-09-01T15:00:00Z","symbol":"ES","side":"long","confidence":0.6,"features":{FEATURES}}}"#
    )
}

/// The same signal with `from` replaced by `to`, which must be in it.
pub fn score_with(id: &str, from: &str, to: &str) -> String {
    let line = score(id);
    assert!(line.contains(from), "{from} is not in {line}");
    line.replace(from, to)
}

pub fn outcome(id: &str, pnl: f64) -> String {
    json!({
        "type": "outcome", "id": id, "trade_id": id,
        "outcome_metrics": { "exit_at": "2025-09-01T16:00:00Z", "pnl": pnl, "exit_reason": "signal" },
    })
    .to_string()
}

pub fn skip(id: &str) -> String {
    json!({ "type": "skip", "id": id, "trade_id": id, "reason": "risk" }).to_string()
}

pub fn promote(version: &str) -> String {
    json!({ "type": "promote", "version": version, "to": "production", "override": true, "reason": "a test" })
        .to_string()
}

pub fn rollback(version: &str) -> String {
    json!({ "type": "rollback", "version": version, "reason": "a test" }).to_string()
}

pub const LOCK: &str = r#"{"type":"lock","reason":"a test"}"#;
pub const RESUME: &str = r#"{"type":"resume","reason":"a test"}"#;
