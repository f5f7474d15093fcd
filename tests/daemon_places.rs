//! Where the daemon stands: its socket's file, its folder, its clock and the limits it was started under.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt as _, chown},
        net::UnixListener,
    },
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use common::{
    daemon::{Daemon, Setup},
    place::{CONFIG, Place, examples},
    process::{Process, succeed, vigie},
    wait::until,
    wire::{RESUME, Wire, baseline, ml},
};
use vigie::{
    actors::daemon::Time,
    clock::{Clock, WallClock},
    domain::{Event, EventKind, Timestamp, lifecycle::State},
    journal::Write,
};

#[test]
fn a_socket_file_that_is_deleted_or_replaced_is_made_again_and_connections_go_on() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let mut before = daemon.connect();
    let socket = place.socket();
    let again = || until("a new socket", || std::os::unix::net::UnixStream::connect(&socket).ok());
    let alerts = |wanted: usize| {
        until("the alert", || (place.alerts("socket_displaced").len() >= wanted).then_some(()));
        assert_eq!(place.alerts("socket_displaced").len(), wanted, "told once");
    };
    fs::remove_file(&socket).unwrap();
    again();
    alerts(1);
    assert_eq!(daemon.connect().arm("deleted"), ml());
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    // a socket that nobody listens on any more
    fs::remove_file(&socket).unwrap();
    drop(UnixListener::bind(&socket).ok());
    again();
    alerts(2);
    assert_eq!(daemon.connect().arm("replaced"), ml());
    // what somebody else put there is left alone, and told of once
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "precious").unwrap();
    until("the alert", || {
        place.alerts("socket_displaced").iter().any(|told| told.contains("in the way")).then_some(())
    });
    let passed = before.status()["uptime_s"].clone();
    until("some looks", || (before.status()["uptime_s"] != passed).then_some(()));
    assert_eq!(fs::read_to_string(&socket).unwrap(), "precious");
    let told = place.alerts("socket_displaced");
    assert_eq!(told.iter().filter(|told| told.contains("in the way")).count(), 1, "{told:?}");
    fs::remove_file(&socket).unwrap();
    again();
    assert_eq!((before.arm("on-the-first-connection"), daemon.connect().arm("last")), (ml(), ml()));
    daemon.stop();
    assert!(!socket.exists(), "removed at the end");
}

#[test]
fn a_state_folder_that_others_may_write_to_is_refused() {
    let place = Place::with_model(State::Production);
    let run = || vigie(&place, &["run", "--state", "state"]).output().unwrap();
    let import = || {
        place.file("trades.jsonl", &examples()[0]);
        vigie(&place, &["import", "--state", "state", "trades.jsonl"]).output().unwrap()
    };
    let refused = |output: std::process::Output, words: &str| {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(words), "{:?}: {said}", output.status);
    };
    for mode in [0o777, 0o770, 0o1777] {
        fs::set_permissions(place.state(), fs::Permissions::from_mode(mode)).unwrap();
        refused(run(), "others may write to it; set it to 0700");
        refused(import(), "others may write to it; set it to 0700");
    }
    fs::set_permissions(place.state(), fs::Permissions::from_mode(0o700)).unwrap();
    if chown(place.state(), Some(12_345), None).is_ok() {
        refused(run(), "the state folder belongs to uid 12345");
        chown(place.state(), Some(0), None).unwrap();
    }
    Process::start(&place, &[]).stop();
}

/// The machine's clock, set otherwise.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        WallClock.now() + jiff::SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

fn setup(clock: &Arc<SetClock>) -> Setup {
    let time = Time::Given(Arc::clone(clock) as Arc<dyn Clock>);
    Setup { time, config: format!("{CONFIG}monitor.clock_tolerance_s = 20\n"), ..Setup::default() }
}

fn lock(wire: &mut Wire) -> String {
    wire.status()["guardian"]["lock"].as_str().unwrap_or("not locked").to_owned()
}

#[test]
fn a_clock_that_jumps_while_the_monitor_is_at_something_else_locks() {
    let place = Place::with_model(State::Production);
    let clock = Arc::new(SetClock::default());
    let setup = setup(&clock);
    let trap = setup.trap.clone();
    trap.hold("monitor");
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    trap.await_held();
    assert_eq!(wire.arm("before"), ml());
    clock.0.store(3600, Ordering::Relaxed);
    until("the lock", || (wire.arm("after") == baseline("locked")).then_some(()));
    trap.release();
    assert!(lock(&mut wire).starts_with("the clock moved by "), "{}", lock(&mut wire));
    daemon.stop();
}

#[test]
fn a_clock_that_is_behind_the_journal_at_a_start_locks_until_a_person_says_otherwise() {
    let place = Place::with_model(State::Production);
    let clock = Arc::new(SetClock::default());
    Daemon::start_with(&place, setup(&clock)).stop();
    // a little behind is a clock that was corrected
    clock.0.store(-10, Ordering::Relaxed);
    let daemon = Daemon::start_with(&place, setup(&clock));
    assert_eq!(daemon.connect().arm("corrected"), ml());
    daemon.stop();
    clock.0.store(-86_400, Ordering::Relaxed);
    for start in 1..=2 {
        let daemon = Daemon::start_with(&place, setup(&clock));
        let mut wire = daemon.connect();
        assert_eq!(wire.arm("behind"), baseline("locked"), "start {start}");
        let reason = lock(&mut wire);
        assert!(reason.starts_with("the clock is behind the journal, which holds an event of 20"), "{reason}");
        daemon.stop();
    }
    let daemon = Daemon::start_with(&place, setup(&clock));
    let mut wire = daemon.connect();
    until("a resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup(&clock));
    assert_eq!(daemon.connect().arm("resumed"), ml());
    daemon.stop();
}

#[test]
fn time_that_comes_from_the_messages_is_behind_nothing() {
    let place = Place::with_model(State::Production);
    let kind = EventKind::Stopped;
    let mut store = place.open();
    store.apply(&[Write::Event(Event { at: "2100-01-01T00:00:00Z".parse().unwrap(), kind })]).unwrap();
    store.close().unwrap();
    let daemon = Daemon::start_with(&place, Setup { time: Time::Event, ..Setup::default() });
    assert_eq!(lock(&mut daemon.connect()), "not locked");
    daemon.stop();
}

#[test]
fn a_training_under_a_limit_of_addresses_takes_no_more_than_it_and_ends_alone() {
    let place = Place::new();
    place.file("trades.jsonl", &examples().join("\n"));
    succeed(&place, &["import", "--state", "state", "trades.jsonl"]);
    place.file("config.toml", &format!("{CONFIG}trainer.memory_mib = 4096\n"));
    let daemon = Process::start_limited(&place, "ulimit -v 2000000");
    let mut wire = daemon.connect();
    wire.ask_ok(r#"{"type":"train","symbol":"ES","keep":true,"reason":"a test"}"#);
    let child = until("the child", || {
        let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let folder = entry.ok()?.path();
            let command = fs::read(folder.join("cmdline")).ok()?;
            let status = fs::read_to_string(folder.join("status")).ok()?;
            let mine = status.contains(&format!("PPid:\t{}\n", daemon.id())) && command.ends_with(b"\0work\0");
            let limits = fs::read_to_string(folder.join("limits")).ok()?;
            let limit = limits.lines().find(|line| line.starts_with("Max address space"))?.to_owned();
            // its own limit is there once it has read what it is to do
            mine.then_some(limit)
        });
        children.last()
    });
    let most: Vec<&str> = child.split_whitespace().skip(3).take(2).collect();
    assert_eq!(most, ["2048000000", "2048000000"], "{child}");
    until("the end of the training", || {
        let training = wire.ask(r#"{"type":"training"}"#)["training"].take();
        training["running"].is_null().then_some(())
    });
    assert_eq!(wire.status()["restarts"], 0);
    daemon.stop();
}
