//! Reading and writing the socket of a connection: at once where that goes, else with a bound.
#![deny(clippy::indexing_slicing)]

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream as Socket,
    time::Duration,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    time::timeout,
};

#[expect(
    deprecated,
    reason = "its successor is unsafe and asks the caller to promise that the descriptor lives as long as its owner, \
              which the type given here ensures"
)]
pub(super) fn watch_for(socket: Socket, interest: Interest) -> io::Result<AsyncFd<Socket>> {
    AsyncFd::with_interest(socket, interest)
}

/// Waits for input and appends what is there, as far as `scratch` holds it. 0 at the end of input.
pub(super) async fn read_some(stream: &AsyncFd<Socket>, scratch: &mut [u8], into: &mut Vec<u8>) -> io::Result<usize> {
    loop {
        let mut ready = stream.readable().await?;
        match ready.try_io(|socket| socket.get_ref().read(scratch)) {
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(count)) => {
                if (1..scratch.len()).contains(&count) {
                    // the socket is empty: the next look would only say so
                    ready.clear_ready();
                }
                into.extend_from_slice(scratch.get(..count).unwrap_or_default());
                return Ok(count);
            }
            Err(_would_block) => {}
        }
    }
}

/// Writes all of it, without waiting when the socket takes it at once, as it nearly always does.
pub(super) async fn write(stream: &AsyncFd<Socket>, mut bytes: &[u8], patience: Duration) -> io::Result<()> {
    loop {
        bytes = bytes.get(write_at_once(stream, bytes)?..).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        wait_for_room(stream, patience).await?;
    }
}

/// Writes what the socket takes without waiting, and says how many bytes that were.
pub(super) fn write_at_once(stream: &AsyncFd<Socket>, bytes: &[u8]) -> io::Result<usize> {
    let (mut socket, mut written) = (stream.get_ref(), 0);
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match socket.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Waits until the socket has room.
pub(super) async fn wait_for_room(stream: &AsyncFd<Socket>, patience: Duration) -> io::Result<()> {
    let room = watch_for(stream.get_ref().try_clone()?, Interest::WRITABLE)?;
    let waited = timeout(patience, room.writable()).await;
    drop(waited.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??);
    Ok(())
}
