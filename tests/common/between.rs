//! Somebody who sits between `vigie drill --play` and the real daemon that it starts, hands on every line, and may change
//! the answers.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use vigie::actors::daemon::SOCKET_FILE;

use super::{place::Place, process::vigie, wait::until, wire::Wire};

/// Times that the moment to come between may be missed on a busy machine.
const TRIES: usize = 10;

/// What becomes of an answer, given the request.
pub type Change = dyn Fn(&Value, Value) -> Value + Send + Sync;

/// Runs `vigie drill --play` to its end, with every answer of its daemon changed by `change` on its way.
pub fn drill(
    place: &Place,
    arguments: &[&str],
    change: impl Fn(&Value, Value) -> Value + Send + Sync + 'static,
) -> Output {
    let (mut drill, state) =
        (0..TRIES).find_map(|_| Drill::held(place, arguments)).expect("the moment was always missed");
    let (socket, real) = (state.join(SOCKET_FILE), state.join("real.sock"));
    // it listens before it has all it needs, and serves when it answers
    until("the daemon of the drill", || socket.exists().then_some(()));
    Wire::connect(&socket).ask_ok(json!({ "type": "ping" }).to_string());
    fs::rename(&socket, &real).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let (over, change): (_, Arc<Change>) = (Arc::new(AtomicBool::new(false)), Arc::new(change));
    let ending = Arc::clone(&over);
    let accepting = thread::spawn(move || {
        for client in
            listener.incoming().map_while(|client| (!ending.load(Ordering::Acquire)).then_some(client.unwrap()))
        {
            let (daemon, change) = (UnixStream::connect(&real).unwrap(), Arc::clone(&change));
            thread::spawn(move || relay(client, daemon, &*change));
        }
    });
    drill.signal(Signal::SIGCONT);
    let output = drill.0.take().unwrap().wait_with_output().unwrap();
    over.store(true, Ordering::Release);
    // one more to accept, so that it looks; the folder is gone with the drill, and so may the socket be
    match UnixStream::connect(&socket) {
        Ok(_) => accepting.join().unwrap(),
        Err(_) => drop(accepting),
    }
    output
}

/// Hands on line by line until either end is gone: each request has one answer.
fn relay(client: UnixStream, daemon: UnixStream, change: &Change) {
    let (mut requests, mut answers) = (BufReader::new(client), BufReader::new(daemon));
    let (mut request, mut answer) = (String::new(), String::new());
    while matches!(requests.read_line(&mut request), Ok(1..)) {
        answers.get_mut().write_all(request.as_bytes()).unwrap();
        if !matches!(answers.read_line(&mut answer), Ok(1..)) {
            return;
        }
        let changed = change(&serde_json::from_str(&request).unwrap(), serde_json::from_str(&answer).unwrap());
        if requests.get_mut().write_all(format!("{changed}\n").as_bytes()).is_err() {
            return;
        }
        request.clear();
        answer.clear();
    }
}

/// A drill that runs; it is ended, and its daemon with it, when this goes.
struct Drill(Option<Child>);

impl Drill {
    /// Starts one and stops it between the moment when it has started its daemon and the first that this answers it. Gives
    /// the state folder of the daemon; `None` when that moment was missed.
    fn held(place: &Place, arguments: &[&str]) -> Option<(Self, PathBuf)> {
        let mut command = vigie(place, &["drill", "--play"]);
        command.args(arguments).env("TMPDIR", place.folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let drill = Self(Some(command.spawn().unwrap()));
        let folder = place.folder().join(format!("vigie-drill-{}", drill.pid()));
        let state = folder.join("state");
        until("a drill that starts its daemon", || folder.join("daemon.log").exists().then_some(()));
        let held = until("a daemon that was started", || {
            drill.signal(Signal::SIGSTOP);
            until("a drill that stands still", || drill.stands_still().then_some(()));
            // now it can have reached nothing that is not there
            let (started, listens) = (drill.has_child(), state.join(SOCKET_FILE).exists());
            if started || listens {
                return Some(started && !listens);
            }
            drill.signal(Signal::SIGCONT);
            None
        });
        held.then_some((drill, state))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.as_ref().unwrap().id()).unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    fn stands_still(&self) -> bool {
        let stat = fs::read_to_string(Path::new("/proc").join(self.pid().to_string()).join("stat")).unwrap();
        // the name of the program stands in brackets before the state
        let state = stat.rsplit(") ").next().unwrap().chars().next();
        assert_ne!(state, Some('Z'), "the drill has ended");
        state == Some('T')
    }

    fn has_child(&self) -> bool {
        let pid = self.pid().to_string();
        let children = Path::new("/proc").join(&pid).join("task").join(&pid).join("children");
        !fs::read_to_string(children).unwrap().trim().is_empty()
    }
}

impl Drop for Drill {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
            // told to stop it stops its daemon
            let _may_be_gone = (kill(pid, Signal::SIGTERM), kill(pid, Signal::SIGCONT));
            let _status = child.wait();
        }
    }
}
