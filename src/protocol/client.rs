//! A blocking client with a hard deadline.
//!
//! A trader never waits on ML: when the daemon cannot be reached or does not answer in time, [`Client::score`] gives the
//! neutral answer and drops the connection, so that a late answer is never taken for the next one's.

mod connection;

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::connection::{Connection, Incoming, at_least_one};
use super::message::WireError;
use crate::{
    clock::Stopwatch,
    domain::{Arm, Probability, Reason},
};

/// How long a trader waits for a score unless told otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_millis(20);
/// How long a request that was not taken waits before it is sent again, the first time; twice as long each time after that.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// How often it is sent.
const MOST_TRIES: u32 = 6;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there.
    #[error(
        "no daemon answers at {path}{named_by}: {why}; start one with `vigie run`, or name its socket with --socket"
    )]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Who named it, in words behind a space, or nothing.
        named_by: &'static str,
        /// What the system said.
        why: io::Error,
    },
    /// The connection broke, or no answer came in time.
    #[error("the daemon at {path}{named_by} gave no answer: {why}")]
    Lost {
        /// The socket.
        path: PathBuf,
        /// Who named it, in words behind a space, or nothing.
        named_by: &'static str,
        /// What the system said.
        why: io::Error,
    },
    /// The answer is not one.
    #[error("the daemon at {path} answered something else than one JSON object: {line}")]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// The start of what came.
        line: String,
    },
    /// The daemon refused.
    #[error("{0}")]
    Refused(WireError),
}

impl ClientError {
    /// Whether the daemon did not take the request, so that it may be sent again whatever it asks for.
    fn was_not_taken(&self) -> bool {
        match self {
            Self::Refused(error) => error.code == "too_many_connections",
            Self::Lost { why, .. } => why.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }
}

/// An answer to a signal, as the trader sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether the request was in order.
    pub ok: bool,
    /// The policy to follow.
    pub arm: Arm,
    /// The confidence to trade on.
    pub confidence: Option<Probability>,
    /// The model's score, 0.5 where none spoke.
    pub score: Probability,
    /// Multiplier of the strategy's own size.
    pub size: f64,
    /// The model, by name.
    pub model: Option<String>,
    /// Why.
    pub reason: Reason,
    /// What was wrong with the request.
    #[serde(default)]
    pub error: Option<WireError>,
}

/// A connection to the daemon, made when it is needed and made again when it broke.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    /// Who named it, for errors.
    named_by: &'static str,
    deadline: Duration,
    connection: Option<Connection>,
    last_id: u64,
}

impl Client {
    /// A client of the socket at `path` that waits `deadline` for a score.
    pub fn new(path: impl Into<PathBuf>, deadline: Duration) -> Self {
        Self { path: path.into(), named_by: "", deadline, connection: None, last_id: 0 }
    }

    /// The same; its errors say in these words, behind a space, who named the socket.
    #[must_use]
    pub fn named_by(self, named_by: &'static str) -> Self {
        Self { named_by, ..self }
    }

    /// Asks for a score. `signal` is the snapshot, a JSON object without `type` and `id`. Always returns within the
    /// deadline, with the neutral answer when the daemon gave none: the snapshot's own confidence, arm `baseline`, score
    /// 0.5, size 1.
    pub fn score(&mut self, signal: &str) -> Answer {
        self.last_id += 1;
        let id = self.last_id;
        let Some(body) = signal.trim().strip_prefix('{') else {
            return neutral(signal, Reason::InvalidRequest);
        };
        let comma = if body.trim_start().starts_with('}') { "" } else { "," };
        let line = format!("{{\"type\":\"score\",\"id\":{id}{comma}{body}\n");
        let wanted = |answer: &Map<String, Value>| answer.get("id").and_then(Value::as_u64) == Some(id);
        match self.exchange(&line, self.deadline) {
            Ok(answer) if wanted(&answer) => serde_json::from_value(Value::Object(answer)).unwrap_or_else(|_| {
                self.connection = None;
                neutral(signal, Reason::Unreachable)
            }),
            Ok(_) => {
                self.connection = None;
                neutral(signal, Reason::Unreachable)
            }
            Err(ClientError::Lost { why, .. }) if is_timeout(&why) => neutral(signal, Reason::Deadline),
            Err(_) => neutral(signal, Reason::Unreachable),
        }
    }

    /// Sends one request object and returns the answer's fields. A request that the daemon did not take, because there was no
    /// room for the connection or it gave way to another, is sent again.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the daemon's own words when the answer is not `ok`; the others when there is none.
    pub fn request(&mut self, request: &Value, patience: Duration) -> Result<Map<String, Value>, ClientError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..MOST_TRIES {
            match self.request_once(request, patience) {
                Err(error) if error.was_not_taken() => {
                    self.connection = None;
                    std::thread::sleep(pause);
                    pause *= 2;
                }
                answered => return answered,
            }
        }
        self.request_once(request, patience)
    }

    fn request_once(&mut self, request: &Value, patience: Duration) -> Result<Map<String, Value>, ClientError> {
        let answer = self.exchange(&format!("{request}\n"), patience)?;
        match answer.get("error") {
            Some(error) if answer.get("ok") == Some(&Value::Bool(false)) => {
                let parsed: Result<WireError, _> = serde_json::from_value(error.clone());
                Err(parsed.map_or_else(|_| self.garbled(error.to_string().as_bytes()), ClientError::Refused))
            }
            _ => Ok(answer),
        }
    }

    /// Writes lines without waiting for their answers; read those with [`Self::receive`], in the same order.
    ///
    /// # Errors
    /// [`ClientError`] when the daemon cannot be reached or does not take them in time.
    pub fn send(&mut self, lines: &str, patience: Duration) -> Result<(), ClientError> {
        let sent = self.connected(patience).and_then(|connection| {
            connection.stream.set_write_timeout(Some(at_least_one(patience)))?;
            connection.stream.write_all(lines.as_bytes())
        });
        sent.map_err(|error| self.lost(error))
    }

    /// Reads the next answer line.
    ///
    /// # Errors
    /// [`ClientError`] when none comes in time.
    pub fn receive(&mut self, patience: Duration) -> Result<String, ClientError> {
        let watch = Stopwatch::start();
        let line = self.connected(patience).and_then(|connection| connection.read_line(watch, patience));
        let line = line.map_err(|error| self.lost(error))?;
        String::from_utf8(line).map_err(|error| self.garbled(error.as_bytes()))
    }

    /// Sends one request object whose answer a stream follows on, and gives the answer's fields and the stream. Each part of it comes
    /// within `patience`, or the reading fails.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn stream(
        &mut self,
        request: &Value,
        patience: Duration,
    ) -> Result<(Map<String, Value>, impl Read + use<>), ClientError> {
        let answer = self.request(request, patience)?;
        let connection = self.connection.take();
        let connection = connection.ok_or_else(|| self.lost(io::ErrorKind::NotConnected.into()))?;
        Ok((answer, Incoming { connection, patience }))
    }

    fn exchange(&mut self, line: &str, patience: Duration) -> Result<Map<String, Value>, ClientError> {
        let watch = Stopwatch::start();
        self.send(line, patience)?;
        let answer = self.receive(patience.saturating_sub(watch.elapsed()))?;
        serde_json::from_str(&answer).map_err(|_| self.garbled(answer.as_bytes()))
    }

    fn connected(&mut self, patience: Duration) -> io::Result<&mut Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.path, patience)?,
        };
        Ok(self.connection.insert(connection))
    }

    fn lost(&mut self, why: io::Error) -> ClientError {
        let (path, named_by) = (self.path.clone(), self.named_by);
        let never_there = self.connection.take().is_none();
        if never_there {
            ClientError::Unreachable { path, named_by, why }
        } else {
            ClientError::Lost { path, named_by, why }
        }
    }

    fn garbled(&mut self, line: &[u8]) -> ClientError {
        self.connection = None;
        let line = String::from_utf8_lossy(line).chars().take(200).collect();
        ClientError::Garbled { path: self.path.clone(), line }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The answer that changes nothing, from what can be read of the signal.
fn neutral(signal: &str, reason: Reason) -> Answer {
    #[derive(Deserialize)]
    struct Own {
        #[serde(default)]
        confidence: Option<Value>,
    }
    let own: Option<Own> = serde_json::from_str(signal).ok();
    let confidence = own.and_then(|own| Probability::new(own.confidence?.as_f64()?).ok());
    Answer {
        ok: false,
        arm: Arm::Baseline,
        confidence,
        score: Probability::NEUTRAL,
        size: 1.0,
        model: None,
        reason,
        error: None,
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::net::UnixListener, thread};

    use super::*;

    const SIGNAL: &str = r#"{"trade_id":"T-1","confidence":0.62}"#;

    fn client(folder: &tempfile::TempDir, deadline_ms: u64) -> Client {
        Client::new(folder.path().join("socket"), Duration::from_millis(deadline_ms))
    }

    fn listen(folder: &tempfile::TempDir) -> UnixListener {
        UnixListener::bind(folder.path().join("socket")).unwrap()
    }

    fn is_neutral(answer: &Answer) -> bool {
        answer.arm == Arm::Baseline
            && answer.confidence.map(Probability::get) == Some(0.62)
            && answer.size == 1.0
            && !answer.ok
    }

    #[test]
    fn without_a_daemon_the_answer_is_neutral_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let answer = client(&folder, 20).score(SIGNAL);
        assert!(is_neutral(&answer), "{answer:?}");
        assert_eq!(answer.reason, Reason::Unreachable);
    }

    #[test]
    fn a_silent_daemon_costs_no_more_than_the_deadline_and_its_late_answer_is_never_taken() {
        let folder = tempfile::tempdir().unwrap();
        let listener = listen(&folder);
        let mut client = client(&folder, 30);
        let watch = Stopwatch::start();
        let answer = client.score(SIGNAL);
        assert!(is_neutral(&answer) && answer.reason == Reason::Deadline, "{answer:?}");
        assert!(watch.elapsed() < Duration::from_millis(300), "{:?}", watch.elapsed());
        let (mut late, _) = listener.accept().unwrap();
        let late_answer = br#"{"ok":true,"id":1,"arm":"ml","confidence":0.9,"score":0.9,"size":2.0,"model":"ES/1","reason":"production"}"#;
        let _client_is_gone = late.write_all(late_answer);
        let second = client.score(SIGNAL);
        assert!(is_neutral(&second), "{second:?}");
    }

    #[test]
    fn an_answer_to_something_else_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let listener = listen(&folder);
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let answer = br#"{"ok":true,"id":99,"arm":"ml","confidence":0.9,"score":0.9,"size":2.0,"model":"ES/1","reason":"production"}"#;
            stream.write_all(answer).unwrap();
            stream.write_all(b"\n").unwrap();
            stream
        });
        let answer = client(&folder, 2000).score(SIGNAL);
        assert!(is_neutral(&answer), "{answer:?}");
        drop(server.join());
    }
}
