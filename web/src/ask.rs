//! What pages ask of the daemon beside what they are told: each question is asked once for all pages that want to know within a few
//! seconds, one after the other. And the orders of those who have the token.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    clock::Stopwatch,
    wire::{Wire, WireError},
};

/// How long an answer serves all who ask the same; and one that takes the whole journal, and changes with a training.
const FRESH: Duration = Duration::from_secs(3);
const FRESH_OF_ALL: Duration = Duration::from_secs(60);
/// Answers that are kept.
const ANSWERS: usize = 32;
/// The requests that ask.
const KINDS: [&str; 7] = ["models", "model", "experiment", "drift", "training", "signals", "phases"];
/// Longest reason of an order, in bytes.
const LONGEST_REASON: usize = 500;

/// Asks for the pages.
#[derive(Debug)]
pub struct Asker {
    socket: PathBuf,
    /// One for each kind of question: one that takes its time keeps the others waiting for nothing.
    lines: [Mutex<Line>; KINDS.len()],
}

#[derive(Debug)]
struct Line {
    wire: Wire,
    answers: HashMap<String, (Stopwatch, Arc<str>)>,
}

/// An order as a page sends it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    order: Verb,
    reason: String,
    version: Option<String>,
    to: Option<String>,
    /// Of a lock, after how many seconds it ends by itself.
    for_s: Option<u64>,
    #[serde(default, rename = "override")]
    overridden: bool,
    /// What the person confirmed: the version, or the order where it has none.
    confirm: String,
}

#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Lock,
    Kill,
    Resume,
    Promote,
    Rollback,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Lock => "lock",
            Self::Kill => "kill",
            Self::Resume => "resume",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
        }
    }
}

impl Order {
    /// The daemon's request for it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn request(&self) -> Result<Value, &'static str> {
        let names_version = matches!(self.order, Verb::Promote | Verb::Rollback);
        let wanted = match &self.version {
            Some(version) if names_version => version,
            None if !names_version => self.order.name(),
            Some(_) => return Err("this order has no version"),
            None => return Err("version: which one is missing"),
        };
        if self.confirm != wanted {
            return Err(
                "confirm: it is not what the order is about; confirm the version, or the order where it has none",
            );
        }
        if self.reason.trim().is_empty() || self.reason.len() > LONGEST_REASON {
            return Err("reason: it is required, and has at most 500 bytes");
        }
        if self.order != Verb::Promote && (self.to.is_some() || self.overridden) {
            return Err("only a promotion has `to` and `override`");
        }
        if self.order != Verb::Lock && self.for_s.is_some() {
            return Err("only a lock ends by itself: `for_s`");
        }
        let mut request = json!({ "type": self.order.name(), "reason": self.reason.trim() });
        if let Value::Object(fields) = &mut request {
            let optional = [("version", self.version.as_ref()), ("to", self.to.as_ref())];
            fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
            fields.extend(self.for_s.map(|seconds| ("for_s".to_owned(), json!(seconds))));
            if self.overridden {
                fields.insert("override".to_owned(), Value::Bool(true));
            }
        }
        Ok(request)
    }
}

impl Asker {
    /// To the daemon at `socket`.
    pub fn new(socket: PathBuf) -> Self {
        let lines = KINDS.map(|_| Mutex::new(Line { wire: Wire::new(socket.clone()), answers: HashMap::new() }));
        Self { socket, lines }
    }

    /// The answer to `request`, which reads; at most some seconds old.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn ask(&self, request: &Value) -> Result<Arc<str>, WireError> {
        let key = request.to_string();
        let kind = request.get("type").and_then(Value::as_str);
        let Some((line, _)) = self.lines.iter().zip(KINDS).find(|(_, known)| kind == Some(*known)) else {
            let message = "this is no question of a page".to_owned();
            return Err(WireError::Refused { code: "unknown_type".to_owned(), message });
        };
        let fresh = if kind == Some("phases") { FRESH_OF_ALL } else { FRESH };
        let mut line = line.lock().await;
        if let Some((since, answer)) = line.answers.get(&key)
            && since.elapsed() < fresh
        {
            return Ok(Arc::clone(answer));
        }
        let answer: Arc<str> = line.wire.request(request, true).await?.to_string().into();
        if line.answers.len() >= ANSWERS {
            line.answers.clear();
        }
        line.answers.insert(key, (Stopwatch::start(), Arc::clone(&answer)));
        Ok(answer)
    }

    /// Carries out an order on a connection of its own, so that a lock waits for nothing, and forgets the answers of before.
    ///
    /// # Errors
    /// [`WireError`]; one that is lost on the way may have been carried out.
    pub async fn order(&self, request: &Value) -> Result<Value, WireError> {
        let done = Wire::new(self.socket.clone()).request(request, false).await;
        for line in &self.lines {
            if let Ok(mut line) = line.try_lock() {
                line.answers.clear();
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<Value, String> {
        let order: Order = serde_json::from_str(text).map_err(|error| error.to_string())?;
        order.request().map_err(str::to_owned)
    }

    #[test]
    fn an_order_names_what_it_is_about_twice_and_says_why() {
        let taken = [
            (r#"{"order":"lock","reason":" news ","confirm":"lock"}"#, json!({ "type": "lock", "reason": "news" })),
            (
                r#"{"order":"lock","reason":"news","confirm":"lock","for_s":1800}"#,
                json!({ "type": "lock", "reason": "news", "for_s": 1800 }),
            ),
            (
                r#"{"order":"rollback","version":"ES/1","reason":"r","confirm":"ES/1"}"#,
                json!({ "type": "rollback", "reason": "r", "version": "ES/1" }),
            ),
            (
                r#"{"order":"promote","version":"ES/1","to":"production","override":true,"reason":"r","confirm":"ES/1"}"#,
                json!({ "type": "promote", "reason": "r", "version": "ES/1", "to": "production", "override": true }),
            ),
        ];
        for (text, expected) in taken {
            assert_eq!(request(text).unwrap(), expected);
        }
        for refused in [
            r#"{"order":"lock","reason":"r"}"#,
            r#"{"order":"kill","reason":"r","confirm":"kill","for_s":1800}"#,
            r#"{"order":"lock","reason":"r","confirm":"lock","for_s":-1}"#,
            r#"{"order":"lock","reason":"r","confirm":"kill"}"#,
            r#"{"order":"lock","reason":"  ","confirm":"lock"}"#,
            r#"{"order":"lock","reason":"r","confirm":"lock","more":1}"#,
            r#"{"order":"lock","version":"ES/1","reason":"r","confirm":"ES/1"}"#,
            r#"{"order":"rollback","reason":"r","confirm":"rollback"}"#,
            r#"{"order":"rollback","version":"ES/1","reason":"r","confirm":"ES/2"}"#,
            r#"{"order":"kill","override":true,"reason":"r","confirm":"kill"}"#,
            r#"{"order":"reload","reason":"r","confirm":"reload"}"#,
            "[]",
        ] {
            assert!(request(refused).is_err(), "{refused}");
        }
        let long = format!(r#"{{"order":"lock","reason":"{}","confirm":"lock"}}"#, "x".repeat(501));
        assert!(request(&long).is_err());
    }
}
