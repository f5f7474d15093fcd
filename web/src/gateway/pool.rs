//! Connections to the daemon. One carries one request at a time, and dies with a request that is given up: so no answer is ever
//! taken for that of another request, or of another trader.

use std::{io, path::PathBuf, sync::Mutex, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    sync::Semaphore,
    time::sleep,
};

/// Longest answer that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Pause before a daemon that does not accept is tried again.
const PAUSE: Duration = Duration::from_millis(1);

/// Connections of one kind.
#[derive(Debug)]
pub struct Pool {
    socket: PathBuf,
    idle: Mutex<Vec<BufReader<UnixStream>>>,
    room: Semaphore,
}

/// A connection that was answered.
#[derive(Debug)]
pub struct Connection(BufReader<UnixStream>);

impl Pool {
    /// At most `connections` to `socket`.
    pub fn new(socket: PathBuf, connections: usize) -> Self {
        Self { socket, idle: Mutex::default(), room: Semaphore::new(connections) }
    }

    /// Sends `line`, which ends in a line feed, and returns the line of the answer without it, with its connection: to be kept if
    /// the answer makes sense. The caller limits the time; who gives up leaves no connection behind.
    ///
    /// # Errors
    /// When nobody is there, or the connection broke before the end of the line.
    pub async fn ask(&self, line: &[u8]) -> io::Result<(Vec<u8>, Connection)> {
        let _place = self.room.acquire().await.map_err(io::Error::other)?;
        if let Some(mut connection) = self.fresh() {
            match exchange(&mut connection, line).await {
                Ok(answer) => return Ok((answer, Connection(connection))),
                // one that the daemon closed meanwhile: every request may be sent twice
                Err(error) if is_closed(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let mut connection = BufReader::new(self.connect().await?);
        let answer = exchange(&mut connection, line).await?;
        Ok((answer, Connection(connection)))
    }

    /// Keeps a connection for the next request, unless it said what nobody asked.
    pub fn keep(&self, Connection(connection): Connection) {
        if connection.buffer().is_empty()
            && let Ok(mut idle) = self.idle.lock()
        {
            idle.push(connection);
        }
    }

    /// A new connection. A Unix socket whose queue is full says so at once, and there is nothing to wait for but time.
    async fn connect(&self) -> io::Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.socket).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PAUSE).await,
                connected => return connected,
            }
        }
    }

    /// An idle connection on which nothing waits: neither an answer nobody asked for nor the end of the stream.
    fn fresh(&self) -> Option<BufReader<UnixStream>> {
        loop {
            let connection = self.idle.lock().ok()?.pop()?;
            let waits = connection.get_ref().try_read(&mut [0]);
            if waits.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return Some(connection);
            }
        }
    }
}

async fn exchange(connection: &mut BufReader<UnixStream>, line: &[u8]) -> io::Result<Vec<u8>> {
    let written = connection.get_mut().write_all(line).await;
    let mut answer = Vec::new();
    // a daemon that turned the connection away may have said why before it closed it
    let read = (&mut *connection).take(LONGEST).read_until(b'\n', &mut answer).await;
    match (answer.pop(), written, read) {
        (Some(b'\n'), ..) => Ok(answer),
        (None, Err(error), _) | (None, Ok(()), Err(error)) => Err(error),
        (None, ..) => Err(io::ErrorKind::UnexpectedEof.into()),
        (Some(_), ..) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that is too long, or that breaks off"))
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}
