//! The daemon's socket: one request at a time on a connection that is kept, and the one subscription.

use std::{io, path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::timeout,
};

/// How long an answer is waited for: longer than the daemon itself waits for a part that is busy.
pub const PATIENCE: Duration = Duration::from_secs(8);
/// Longest line that is read, in bytes.
const LONGEST_LINE: u64 = 16 << 20;

/// Why the daemon gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Nobody listens, or the connection broke.
    #[error("no daemon answers at {path}: {why}")]
    Gone {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        why: io::Error,
    },
    /// It answered with an error of its own.
    #[error("{message}")]
    Refused {
        /// Its stable code, such as `forbidden`.
        code: String,
        /// Its words.
        message: String,
    },
}

/// A connection that is made when it is needed, and made again when it broke.
#[derive(Debug)]
pub struct Wire {
    path: PathBuf,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Wire {
    /// To the socket at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path, connection: None }
    }

    /// Sends one request and returns the answer, which is `ok`. A connection that the daemon closed meanwhile is made again once,
    /// if `request` may be sent twice.
    ///
    /// # Errors
    /// [`WireError`] when there is no answer, or one that says no.
    pub async fn request(&mut self, request: &Value, may_repeat: bool) -> Result<Value, WireError> {
        let was_open = self.connection.is_some();
        let answer = match self.exchange(request).await {
            Err(_) if was_open && may_repeat => self.exchange(request).await,
            answer => answer,
        };
        let answer = answer.map_err(|why| WireError::Gone { path: self.path.clone(), why })?;
        match answer.get("error") {
            Some(error) if answer.get("ok") != Some(&Value::Bool(true)) => Err(refusal(error)),
            _ => Ok(answer),
        }
    }

    /// The next line of a subscription; `None` when the daemon ended it.
    ///
    /// # Errors
    /// When the connection broke or the line is no JSON.
    pub async fn next(&mut self) -> io::Result<Option<(Value, String)>> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let line = connection.read_line().await?;
        if line.is_empty() {
            return Ok(None);
        }
        let line = line.trim_end().to_owned();
        Ok(Some((serde_json::from_str(&line)?, line)))
    }

    async fn exchange(&mut self, request: &Value) -> io::Result<Value> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.path).await?,
        };
        let answer = timeout(PATIENCE, connection.exchange(request)).await;
        let answer = answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // one that failed or is late has an answer under way that belongs to nobody
        self.connection = Some(connection);
        Ok(answer)
    }
}

impl Connection {
    async fn open(path: &PathBuf) -> io::Result<Self> {
        let (reader, writer) = UnixStream::connect(path).await?.into_split();
        Ok(Self { reader: BufReader::new(reader), writer })
    }

    async fn exchange(&mut self, request: &Value) -> io::Result<Value> {
        self.writer.write_all(format!("{request}\n").as_bytes()).await?;
        let line = self.read_line().await?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&line)?)
    }

    /// A whole line; an empty one at the end of the stream.
    async fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.reader).take(LONGEST_LINE).read_line(&mut line).await?;
        if !line.is_empty() && !line.ends_with('\n') {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line that is too long, or that breaks off"));
        }
        Ok(line)
    }
}

fn refusal(error: &Value) -> WireError {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    WireError::Refused { code: text("code"), message: text("message") }
}
