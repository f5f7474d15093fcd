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
    select,
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    lookup::{Counted, LookedUp, Lookups, MOST},
    message::{self, WireError},
    peer::{AccessList, Peer, Role},
    seats::Connections,
    socket::watch_for,
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
    /// Connections whose users are being looked up.
    lookups: Lookups,
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

/// Who comes.
enum Verdict {
    In(Peer),
    Out(WireError),
    /// That depends on the groups of this user and primary group.
    Ask(u32, u32),
}

impl Admission {
    pub(super) fn new(
        listener: UnixListener,
        access: watch::Receiver<AccessList>,
        limits: Rc<Limits>,
        connections: Rc<Connections>,
        lookups: Lookups,
    ) -> Self {
        let admission = Self {
            listener,
            access,
            limits,
            connections,
            strangers: RefCell::default(),
            farewells: Rc::default(),
            lookups,
            spares: RefCell::default(),
            waiting: RefCell::default(),
            exhausted: RefCell::default(),
            crowded: RefCell::default(),
        };
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

    /// The next connection that gets in. Those that do not are turned away meanwhile, and nobody waits for the lookup of another.
    pub(super) async fn next(&mut self) -> (UnixStream, Peer) {
        loop {
            let waits = self.waiting.borrow_mut().pop();
            let accepted = match waits {
                Some(stream) => Ok(stream),
                None => select! {
                    Some(LookedUp { stream, groups }) = self.lookups.next() => {
                        if let Some(admitted) = self.let_in(stream, Some(groups)) {
                            return admitted;
                        }
                        continue;
                    }
                    accepted = self.listener.accept() => accepted.map(|(stream, _)| stream),
                },
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
            if let Some(admitted) = accepted.and_then(|stream| self.let_in(stream, None)) {
                return admitted;
            }
            if failed {
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Who it is, if it gets in; it is turned away if not, or looked up first. `looked_up`: what came of that.
    fn let_in(&self, stream: UnixStream, looked_up: Option<Option<Vec<u32>>>) -> Option<(UnixStream, Peer)> {
        let is_short = !self.has_reserve();
        let no_descriptor = || WireError::new("too_many_connections", "the daemon has no file descriptor left");
        let verdict = match self.admit(&stream, looked_up) {
            Verdict::In(peer) if is_short && peer.role < Role::Operator => Verdict::Out(no_descriptor()),
            Verdict::Ask(..) if is_short => Verdict::Out(no_descriptor()),
            Verdict::Ask(..) if self.lookups.is_full() => {
                let message = format!("{MOST} connections wait for the account database already");
                Verdict::Out(WireError::new("too_many_connections", message))
            }
            verdict => verdict,
        };
        let admitted = match verdict {
            Verdict::In(peer) => {
                if self.spares.borrow().len() < SPARES / 2 {
                    // the next operator needs a descriptor too
                    self.make_room();
                }
                Some((stream, peer))
            }
            Verdict::Out(error) => {
                self.turn_away(stream, &error, is_short);
                None
            }
            Verdict::Ask(uid, gid) => {
                self.lookups.begin(stream, uid, gid);
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

    fn admit(&self, stream: &UnixStream, looked_up: Option<Option<Vec<u32>>>) -> Verdict {
        let forbidden = |uid: &dyn std::fmt::Display| {
            let message = format!("uid {uid} may not talk to this daemon; see [access] in its configuration");
            Verdict::Out(WireError::new("forbidden", message))
        };
        let credentials = match stream.peer_cred() {
            Ok(credentials) => credentials,
            Err(error) => return forbidden(&error),
        };
        let (uid, gid, access) = (UCred::uid(&credentials), credentials.gid(), self.access.borrow());
        let groups = match looked_up {
            None if access.asks_for_groups(uid, gid) => return Verdict::Ask(uid, gid),
            None => Vec::new(),
            Some(Some(groups)) => groups,
            Some(None) => {
                tracing::warn!(uid, "the account database did not say which groups a user is in");
                let message = "the account database does not say which groups you are in; connect again";
                return Verdict::Out(WireError::new("retry", message));
            }
        };
        let Some(role) = access.role_of(uid, gid, &groups) else {
            self.note_stranger(uid);
            return forbidden(&uid);
        };
        let reserved = if role == Role::Operator { 0 } else { self.limits.reserved_connections };
        let open = self.connections.staying();
        let is_full = open >= self.limits.max_connections.saturating_sub(reserved);
        if is_full && !(role == Role::Operator && self.make_room()) {
            let message = format!("{open} connections are open already; close one, or raise server.max_connections");
            return Verdict::Out(WireError::new("too_many_connections", message));
        }
        Verdict::In(Peer { uid, role })
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
        let farewell = Counted::new(&self.farewells);
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
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt as _;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        config::Config,
        protocol::{listen::listen, peer::Accounts},
    };

    fn uncaught(accounts: Accounts) -> Lookups {
        Lookups::new(accounts, |work| work)
    }

    #[tokio::test]
    async fn who_waits_at_a_listener_is_taken_when_another_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let config = Config::builtin().unwrap();
        let (_changes, access) = watch::channel(AccessList::resolve(&config.access).unwrap());
        let (first, _file) = listen(&path).unwrap();
        let mut admission =
            Admission::new(first, access, Rc::new(config.server.clone()), Rc::default(), uncaught(Accounts::default()));
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

    #[test]
    fn nobody_waits_while_the_account_database_hangs_but_those_whom_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let config = Config::builtin().unwrap();
        let own = AccessList::resolve(&config.access).unwrap();
        let (changes, access) = watch::channel(AccessList::of_group(4321));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (listener, _file) = listen(&path).unwrap();
        // it hangs until it is told to go on
        let (go_on, held) = std::sync::mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let (asks, mut asked) = mpsc::unbounded_channel();
        let accounts = Accounts::new(move |_, gid| {
            asks.send(gid).unwrap();
            let _gone = held.lock().unwrap().recv();
            vec![4321]
        });
        let mut admission =
            Admission::new(listener, access, Rc::new(config.server.clone()), Rc::default(), uncaught(accounts));
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let _looked_up = Socket::connect(&path).unwrap();
            select! {
                admitted = admission.next() => panic!("nobody was looked up yet: {:?}", admitted.1),
                asked = asked.recv() => assert!(asked.is_some()),
            }
            // somebody else need not be looked up
            changes.send_replace(own);
            let _known = Socket::connect(&path).unwrap();
            let known = timeout(Duration::from_secs(30), admission.next()).await.unwrap();
            assert_eq!(known.1.role, Role::Operator);
            // by the list that is in force when the database answers
            changes.send_replace(AccessList::of_group(4321));
            go_on.send(()).unwrap();
            let looked_up = timeout(Duration::from_secs(30), admission.next()).await.unwrap();
            assert_eq!(looked_up.1.role, Role::Trader);
        });
    }

    #[test]
    fn a_lookup_that_panics_is_told_to_who_counts_panics_and_turns_its_user_away_with_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let config = Config::builtin().unwrap();
        let (_changes, access) = watch::channel(AccessList::of_group(4321));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let (listener, _file) = listen(&path).unwrap();
        let panics = Rc::new(Cell::new(0));
        let counted = Rc::clone(&panics);
        let lookups = Lookups::new(Accounts::new(|_, _| panic!("planted")), move |work| {
            let counted = Rc::clone(&counted);
            Box::pin(async move {
                let done = AssertUnwindSafe(work).catch_unwind().await;
                counted.set(counted.get() + usize::from(done.is_err()));
            })
        });
        let mut admission = Admission::new(listener, access, Rc::new(config.server.clone()), Rc::default(), lookups);
        let local = tokio::task::LocalSet::new();
        let said = local.block_on(&runtime, async move {
            let stranger = Socket::connect(&path).unwrap();
            let read = tokio::task::spawn_blocking(move || std::io::read_to_string(stranger).unwrap());
            select! {
                admitted = admission.next() => panic!("somebody got in: {:?}", admitted.1),
                said = read => said.unwrap(),
            }
        });
        assert!(said.contains("retry"), "{said}");
        assert_eq!(panics.get(), 1);
    }
}
