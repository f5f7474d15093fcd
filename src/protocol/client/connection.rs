//! One connection to the daemon: made without ever blocking, read within a time.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, socket},
};

use crate::clock::Stopwatch;

/// Longest answer line that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: UnixStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects without ever blocking: a full accept queue is an error at once, not a wait.
    pub(super) fn open(path: &Path, patience: Duration) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let descriptor = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
        let address = UnixAddr::new(path)?;
        match connect(descriptor.as_raw_fd(), &address) {
            Ok(()) => {}
            Err(Errno::EAGAIN) => return Err(io::Error::new(io::ErrorKind::TimedOut, "its accept queue is full")),
            Err(error) => return Err(error.into()),
        }
        let stream = UnixStream::from(descriptor);
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(at_least_one(patience)))?;
        Ok(Self { stream, unread: Vec::new() })
    }

    pub(super) fn read_line(&mut self, watch: Stopwatch, patience: Duration) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let unsearched = self.unread.get(searched..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', unsearched) {
                let rest = self.unread.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.pop();
                return Ok(line);
            }
            searched = self.unread.len();
            if searched > MAX_ANSWER_BYTES {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
            }
            let left = patience.saturating_sub(watch.elapsed());
            if left.is_zero() && searched > 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut chunk = [0; 16 * 1024];
            // a signal that is handled in this process, an interrupt for one, is no answer and no end of it
            let read = match wait_and_read(&self.stream, &mut chunk, left) {
                Err(Errno::EINTR | Errno::EAGAIN) if !left.is_zero() => continue,
                read => read?,
            };
            match read {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.unread.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            }
        }
    }
}

/// What comes behind an answer.
pub(super) struct Incoming {
    pub(super) connection: Connection,
    pub(super) patience: Duration,
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let unread = &mut self.connection.unread;
        if !unread.is_empty() {
            let count = unread.len().min(into.len());
            into.iter_mut().zip(unread.drain(..count)).for_each(|(byte, read)| *byte = read);
            return Ok(count);
        }
        loop {
            match wait_and_read(&self.connection.stream, into, self.patience) {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                read => return Ok(read?),
            }
        }
    }
}

/// What comes within `patience`. Who waits in a read instead is woken for nothing whenever the daemon takes what it was sent,
/// which costs both a context switch or two a request.
fn wait_and_read(stream: &UnixStream, into: &mut [u8], patience: Duration) -> Result<usize, Errno> {
    match ppoll(&mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)], Some(patience.into()), None)? {
        0 => Err(Errno::ETIMEDOUT),
        _ => recv(stream.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT),
    }
}

/// The system reads a timeout of zero as none at all.
pub(super) fn at_least_one(patience: Duration) -> Duration {
    patience.max(Duration::from_micros(1))
}
