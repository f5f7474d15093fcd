//! Who gets in, and how somebody is turned away so that they hear why.
//!
//! A client that is refused has often sent its request already. Closing at once would show it a broken pipe and not the
//! reason, so the connection is kept open for a moment: long enough for the reason to be read.
#![deny(clippy::indexing_slicing)]

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    io::{self, Read as _},
    os::fd::{AsFd, OwnedFd},
    os::unix::net::UnixStream as Socket,
    rc::Rc,
    time::Duration,
};

use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream, unix::UCred},
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    message::{self, WireError},
    peer::{AccessList, Peer, Role},
    server::{Connections, watch_for},
};
use crate::{clock::Stopwatch, config::Server as Limits};

/// Pause after the system refused to give a connection, so that a lack of file descriptors is not a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often a lack of room is told of.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// How long somebody who is turned away may take to hear why.
const FAREWELL: Duration = Duration::from_millis(250);
/// How many may do so at once; one more is closed at once.
const MOST_FAREWELLS: usize = 16;
/// File descriptors in reserve. While one of them is given away, only operators get in.
const SPARES: usize = 8;
/// Users who were turned away and are remembered, so that each is told of once.
const MOST_STRANGERS: usize = 64;

/// The door of the socket.
pub(super) struct Admission {
    listener: UnixListener,
    access: watch::Receiver<AccessList>,
    limits: Rc<Limits>,
    connections: Rc<Connections>,
    strangers: RefCell<BTreeSet<u32>>,
    farewells: Rc<Cell<usize>>,
    /// File descriptors in reserve, given up to let operators in when there are no others.
    spares: RefCell<Vec<OwnedFd>>,
    /// Connections that waited at a listener before this one.
    waiting: RefCell<Vec<UnixStream>>,
    /// A lack of file descriptors.
    exhausted: RefCell<OnceAMinute>,
    /// Connections that gave way.
    crowded: RefCell<OnceAMinute>,
}

/// When something was told last.
#[derive(Default)]
struct OnceAMinute {
    told: Option<Stopwatch>,
    untold: u64,
}

impl OnceAMinute {
    /// Whether it is to be told now, and how often it was not since the last time.
    fn due(&mut self) -> Option<u64> {
        if self.told.is_some_and(|told| told.elapsed() < TELL_AGAIN) {
            self.untold += 1;
            return None;
        }
        let before = std::mem::replace(self, Self { told: Some(Stopwatch::start()), untold: 0 });
        Some(before.untold)
    }
}

struct Farewell(Rc<Cell<usize>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Admission {
    pub(super) fn new(
        listener: UnixListener,
        access: watch::Receiver<AccessList>,
        limits: Rc<Limits>,
        connections: Rc<Connections>,
    ) -> Self {
        let (strangers, farewells) = (RefCell::default(), Rc::default());
        let (exhausted, crowded) = (RefCell::default(), RefCell::default());
        let (spares, waiting) = (RefCell::default(), RefCell::default());
        let admission =
            Self { listener, access, limits, connections, strangers, farewells, spares, waiting, exhausted, crowded };
        admission.has_reserve();
        admission
    }

    /// Takes who comes from now on from another listener, after those that wait at the one before, which nobody would take any
    /// more.
    pub(super) fn listen_on(&mut self, listener: UnixListener) {
        let before = std::mem::replace(&mut self.listener, listener);
        // copies of the one before would keep it open
        self.spares.borrow_mut().clear();
        let waiting = before.into_std().map(|before| std::iter::from_fn(move || before.accept().ok()));
        let streams = waiting.into_iter().flatten().filter_map(|(stream, _)| {
            stream.set_nonblocking(true).ok()?;
            UnixStream::from_std(stream).ok()
        });
        self.waiting.get_mut().extend(streams);
    }

    /// The next connection that gets in. Those that do not are turned away meanwhile.
    pub(super) async fn next(&self) -> (UnixStream, Peer) {
        loop {
            let waits = self.waiting.borrow_mut().pop();
            let accepted = match waits {
                Some(stream) => Ok(stream),
                None => self.listener.accept().await.map(|(stream, _)| stream),
            };
            let (accepted, failed) = match accepted {
                Ok(stream) => (Some(stream), false),
                Err(error) => {
                    self.tell(&error);
                    // one in reserve shows who is waiting
                    drop(self.spares.borrow_mut().pop());
                    let waiting = timeout(ACCEPT_PAUSE, self.listener.accept()).await;
                    (waiting.ok().and_then(Result::ok).map(|(stream, _)| stream), true)
                }
            };
            if let Some(admitted) = accepted.and_then(|stream| self.let_in(stream)) {
                return admitted;
            }
            if failed {
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Who it is, if it gets in; it is turned away if not.
    fn let_in(&self, stream: UnixStream) -> Option<(UnixStream, Peer)> {
        let is_short = !self.has_reserve();
        let admitted = match self.admit(&stream) {
            Ok(peer) if is_short && peer.role < Role::Operator => {
                Err(WireError::new("too_many_connections", "the daemon has no file descriptor left"))
            }
            Ok(peer) => {
                if self.spares.borrow().len() < SPARES / 2 {
                    // the next operator needs a descriptor too
                    self.make_room();
                }
                Ok(peer)
            }
            other => other,
        };
        let admitted = match admitted {
            Ok(peer) => Some((stream, peer)),
            Err(error) => {
                self.turn_away(stream, &error, is_short);
                None
            }
        };
        self.has_reserve();
        admitted
    }

    /// Whether the reserve is whole, once what can be had was put into it.
    fn has_reserve(&self) -> bool {
        let mut spares = self.spares.borrow_mut();
        while spares.len() < SPARES {
            let Ok(spare) = self.listener.as_fd().try_clone_to_owned() else { return false };
            spares.push(spare);
        }
        true
    }

    fn admit(&self, stream: &UnixStream) -> Result<Peer, WireError> {
        let forbidden = |uid: &dyn std::fmt::Display| {
            let message = format!("uid {uid} may not talk to this daemon; see [access] in its configuration");
            WireError::new("forbidden", message)
        };
        let credentials = stream.peer_cred().map_err(|error| forbidden(&error))?;
        let uid = UCred::uid(&credentials);
        let Some(role) = self.access.borrow().role_of(uid, credentials.gid()) else {
            self.note_stranger(uid);
            return Err(forbidden(&uid));
        };
        let reserved = if role == Role::Operator { 0 } else { self.limits.reserved_connections };
        let open = self.connections.staying();
        let is_full = open >= self.limits.max_connections.saturating_sub(reserved);
        if is_full && !(role == Role::Operator && self.make_room()) {
            let message = format!("{open} connections are open already; close one, or raise server.max_connections");
            return Err(WireError::new("too_many_connections", message));
        }
        Ok(Peer { uid, role })
    }

    /// Has an idle connection give way to an operator.
    fn make_room(&self) -> bool {
        let made = self.connections.make_room();
        if made && let Some(before) = self.crowded.borrow_mut().due() {
            let open = self.connections.open.get();
            tracing::warn!(
                open,
                before,
                "an idle connection gave way to an operator: somebody leaks connections, or server.max_connections is too \
                 low; this is said once a minute"
            );
        }
        made
    }

    fn note_stranger(&self, uid: u32) {
        let mut strangers = self.strangers.borrow_mut();
        if strangers.len() < MOST_STRANGERS && strangers.insert(uid) {
            tracing::warn!(uid, "a user without permission was turned away; see [access]. This is said once a user");
        }
    }

    /// Says why, as far as the socket takes it at once, and closes when the other side has read it.
    fn turn_away(&self, stream: UnixStream, error: &WireError, at_once: bool) {
        self.connections.refused.set(self.connections.refused.get() + 1);
        let mut out = Vec::new();
        message::write_error(&mut out, None, error);
        let _best_effort = stream.try_write(&out);
        if at_once || self.farewells.get() >= MOST_FAREWELLS {
            return;
        }
        self.farewells.set(self.farewells.get() + 1);
        let farewell = Farewell(Rc::clone(&self.farewells));
        tokio::task::spawn_local(async move {
            let _counted = farewell;
            let _over_or_not = timeout(FAREWELL, read_away(stream)).await;
        });
    }

    /// Tells of an error of `accept`, the same one no more than once a minute.
    fn tell(&self, error: &io::Error) {
        if let Some(before) = self.exhausted.borrow_mut().due() {
            tracing::warn!(%error, before, "a connection could not be accepted; this is said once a minute");
        }
    }
}

/// Reads what is sent, and keeps none of it, until the other side closes.
async fn read_away(stream: UnixStream) -> io::Result<()> {
    let socket: Socket = stream.into_std()?;
    socket.shutdown(std::net::Shutdown::Write)?;
    let socket = watch_for(socket, Interest::READABLE)?;
    let mut scratch = [0; 4096];
    loop {
        let mut ready = socket.readable().await?;
        match ready.try_io(|socket| socket.get_ref().read(&mut scratch)) {
            Ok(Ok(0)) => return Ok(()),
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, protocol::listen::listen};

    #[tokio::test]
    async fn who_waits_at_a_listener_is_taken_when_another_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let config = Config::builtin().unwrap();
        let (_changes, access) = watch::channel(AccessList::resolve(&config.access).unwrap());
        let (first, _file) = listen(&path).unwrap();
        let mut admission = Admission::new(first, access, Rc::new(config.server.clone()), Rc::default());
        let waiting: Vec<Socket> = (0..3).map(|_| Socket::connect(&path).unwrap()).collect();
        std::fs::remove_file(&path).unwrap();
        let (second, _file_again) = listen(&path).unwrap();
        admission.listen_on(second);
        let later = Socket::connect(&path).unwrap();
        for _ in waiting.iter().chain([&later]) {
            let admitted = timeout(Duration::from_secs(30), admission.next()).await;
            assert_eq!(admitted.unwrap().1.role, Role::Operator);
        }
    }
}
