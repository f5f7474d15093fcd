//! The daemon's socket: a line there, a line back.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

/// How long an answer is waited for: longer than the daemon itself waits for a part that is busy.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// Longest line that is read, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nobody listens, or the connection broke.
    #[error("no daemon answers at {0}: {1}")]
    Gone(String, String),
    /// It answered with an error of its own.
    #[error("the daemon refuses ({code}): {message}")]
    Refused {
        /// Its stable code, such as `forbidden`.
        code: String,
        /// Its words.
        message: String,
    },
}

/// What went wrong, in words.
fn words(why: &io::Error) -> String {
    use io::ErrorKind::{
        BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, PermissionDenied, TimedOut, UnexpectedEof, WouldBlock,
    };
    match why.kind() {
        WouldBlock | TimedOut => format!("it is there and says nothing for {} s", PATIENCE.as_secs()),
        NotFound => "there is no such socket".to_owned(),
        ConnectionRefused => "nobody listens there".to_owned(),
        PermissionDenied => "this user may not open it".to_owned(),
        UnexpectedEof | ConnectionReset | BrokenPipe => "it closed the connection".to_owned(),
        kind => kind.to_string(),
    }
}

/// A connection.
#[derive(Debug)]
pub struct Wire(BufReader<UnixStream>);

impl Wire {
    /// Connects to the socket at `path`, and asks.
    ///
    /// # Errors
    /// [`WireError`] when there is no answer, or one that says no.
    pub fn ask(path: &Path, request: &Value) -> Result<(Self, Value), WireError> {
        let exchange = || -> io::Result<(Self, Value)> {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            let mut wire = Self(BufReader::new(stream));
            wire.0.get_mut().write_all(format!("{request}\n").as_bytes())?;
            let answer = wire.line()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            Ok((wire, answer))
        };
        let (wire, answer) = exchange().map_err(|why| WireError::Gone(path.display().to_string(), words(&why)))?;
        match answer.get("error") {
            Some(error) if answer.get("ok") != Some(&Value::Bool(true)) => {
                let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
                Err(WireError::Refused { code: text("code"), message: text("message") })
            }
            _ => Ok((wire, answer)),
        }
    }

    /// Waits for the next line as long as it takes; none when the daemon ended it.
    ///
    /// # Errors
    /// When the connection broke or the line is no JSON.
    pub fn next(&mut self) -> io::Result<Option<Value>> {
        self.0.get_ref().set_read_timeout(None)?;
        self.line()
    }

    fn line(&mut self) -> io::Result<Option<Value>> {
        let mut line = String::new();
        (&mut self.0).take(LONGEST_LINE).read_line(&mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if !line.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line that is too long, or that breaks off"));
        }
        Ok(Some(serde_json::from_str(&line)?))
    }
}
