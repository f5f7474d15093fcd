//! People who are not root: what reads the journal works with the permission of the socket alone, and harms nobody who trades.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream, process::CommandExt as _},
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use common::{
    daemon::{Daemon, Setup},
    place::{CONFIG, Place},
    process::{Process, succeed, vigie},
    skip::skipped,
    wait::until,
    wire::{Wire, score},
};
use vigie::domain::lifecycle::State;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz");
const SIGNAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json");
const TRADER: u32 = 12_345;
const COPY: &str = "{\"type\":\"copy\"}\n";

/// A state folder with a model and the example signals in it.
fn filled() -> Place {
    let place = Place::with_model(State::Production);
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(place.state(), fs::Permissions::from_mode(0o700)).unwrap();
    let setup = format!("{CONFIG}access.trader_users = [\"{TRADER}\"]\nexperiment.resamples = 200\n");
    place.file("config.toml", &setup);
    succeed(&place, &["import", "--state", "state", "--config", "config.toml", EXAMPLES]);
    place
}

/// `vigie` as somebody else.
fn as_user(place: &Place, uid: u32, arguments: &[&str]) -> Command {
    let mut command = vigie(place, arguments);
    let own = place.folder().join("own");
    fs::create_dir_all(&own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o1777)).unwrap();
    command.uid(uid).gid(0).env("TMPDIR", own);
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn every_command_that_reads_works_with_the_permission_of_the_socket_and_says_what_root_reads() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can be somebody else");
    }
    let place = filled();
    place.file("other.toml", &format!("{CONFIG}guardian.max_loss_streak = 5\n"));
    let socket = place.folder().join("open.sock");
    let daemon = Process::start_limited_at(&place, "umask 077", socket.clone());
    let socket = socket.to_str().unwrap();
    let mut wire = daemon.connect();
    (0..40).for_each(|n| drop(wire.ask_ok(score(&format!("T-{n}")))));
    until("all of it on disk", || (wire.status()["journal"]["waiting"] == 0).then_some(()));
    let reads: [&[&str]; 15] = [
        &["impact", "--json"],
        &["power"],
        &["phases"],
        &["dataset"],
        &["models", "show", "ES/1"],
        &["models", "diff", "ES/1", "ES/1", "--json"],
        &["models", "at", "2100-01-01T00:00:00Z", "--signal", SIGNAL],
        &["export"],
        &["export", "--what", "snapshots"],
        &["export", "--what", "snapshots", "--format", "csv"],
        &["export", "--format", "pickle"],
        &["export", "--format", "parquet"],
        &["tune", "--config", "other.toml"],
        &["drill", "--runs", "10", "--trades", "300"],
        &["report", "--html", "-"],
    ];
    for arguments in reads {
        // root reads the file, by the configuration that the daemon runs with
        let named = if arguments[0] == "tune" { "--in-force" } else { "--config" };
        let root = [arguments, &["--state", "state", named, "config.toml"]].concat();
        let through = [arguments, &["--socket", socket]].concat();
        let both = [vigie(&place, &root), as_user(&place, TRADER, &through)];
        let both = both.map(|mut command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let [root, trader] = both.map(|child| child.wait_with_output().unwrap());
        assert_eq!(root.status.code(), Some(0), "{arguments:?}: {}", said(&root));
        assert_eq!(trader.status.code(), Some(0), "{through:?}: {}", said(&trader));
        assert!(trader.stdout == root.stdout, "{arguments:?}:\n{}\n{}", said(&root), said(&trader));
    }
    // those that always asked the daemon
    for arguments in [&["status"][..], &["models"], &["top", "--once"], &["alerts"], &["experiment"], &["drift"]] {
        let through = [arguments, &["--socket", socket]].concat();
        let trader = as_user(&place, TRADER, &through).output().unwrap();
        assert_eq!(trader.status.code(), Some(0), "{through:?}: {}", said(&trader));
    }
    let backup = place.folder().join("own/copy.backup");
    let made = as_user(&place, TRADER, &["backup", "--socket", socket, backup.to_str().unwrap()]).output().unwrap();
    assert!(made.status.success() && said(&made).contains("read back"), "{}", said(&made));
    assert!(said(&made).contains("may not change what is served"), "a trader's is not recorded: {}", said(&made));
    let checked =
        vigie(&place, &["restore", "--check", "--state", "state", backup.to_str().unwrap()]).output().unwrap();
    assert!(said(&checked).contains("; whole"), "{}", said(&checked));
    // the file itself stays closed, and the socket to who is not in the list
    let denied = as_user(&place, TRADER, &["impact", "--state", "state"]).output().unwrap();
    assert!(denied.status.code() == Some(1) && said(&denied).contains("ermission denied"), "{}", said(&denied));
    let stranger = as_user(&place, 54_321, &["impact", "--socket", socket]).output().unwrap();
    assert!(stranger.status.code() == Some(1) && said(&stranger).contains("uid 54321"), "{}", said(&stranger));
    let lock = as_user(&place, TRADER, &["lock", "--reason", "x", "--socket", socket]).output().unwrap();
    assert!(said(&lock).contains("may not change what is served"), "{}", said(&lock));
    // by the environment, and an error says so
    let by = |command: &mut Command| said(&command.env("VIGIE_SOCKET", socket).output().unwrap());
    let through = as_user(&place, TRADER, &["dataset", "--socket", socket]).output().unwrap();
    assert_eq!(by(&mut as_user(&place, TRADER, &["dataset"])), said(&through));
    daemon.stop();
    let gone = by(&mut as_user(&place, TRADER, &["dataset"]));
    assert!(gone.contains(&format!("no daemon answers at {socket} (from VIGIE_SOCKET)")), "{gone}");
    let nowhere = said(&vigie(&place, &["dataset"]).env("VIGIE_STATE", "nowhere").output().unwrap());
    assert!(nowhere.contains("nowhere/vigie.redb (from VIGIE_STATE): there is no journal"), "{nowhere}");
    let left: Vec<_> =
        fs::read_dir(place.folder().join("own")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["copy.backup"], "a copy leaves nothing behind");
}

/// A connection that has asked for a copy and was told that it begins.
fn copying(socket: &PathBuf) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(COPY.as_bytes()).unwrap();
    stream.set_read_timeout(Some(common::wait::PATIENCE)).unwrap();
    let (mut head, mut byte) = (Vec::new(), [0]);
    while byte != [b'\n'] {
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("{\"ok\":true") && head.contains("\"entries\":"), "{head}");
    stream
}

fn all_of(mut stream: UnixStream) -> usize {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes.len()
}

#[test]
fn who_does_not_take_a_copy_keeps_nobody_from_one_nor_from_an_answer() {
    let place = filled();
    let socket = place.socket();
    let config = format!("{CONFIG}server.write_timeout_ms = 5000\n");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let whole = all_of(copying(&socket));
    assert!(whole > 600_000, "{whole} bytes would fit into the buffers of the socket");
    // gone after the first bytes, many times over: each leaves its place
    for _ in 0..20 {
        drop(copying(&socket));
    }
    let idle = [copying(&socket), copying(&socket)];
    // both places are taken by who does not read: an answer and a question come all the same
    let mut wire = Wire::connect(&socket);
    wire.ask_ok(score("T-1"));
    wire.ask_ok(r#"{"type":"alerts"}"#);
    wire.ask_ok(r#"{"type":"signals","limit":5}"#);
    let open = wire.status()["connections"].as_u64().unwrap();
    assert!(open >= 3, "the questions waited until a copy was cut off: {open} connections are left");
    assert_eq!(all_of(copying(&socket)), whole + more_since(&socket, whole), "it came to its turn");
    for stream in idle {
        assert!(all_of(stream) < whole, "who does not read is cut off");
    }
    // whoever asks for something else on such a connection is refused as a subscriber is
    let mut stream = copying(&socket);
    stream.write_all(b"{\"type\":\"ping\"}\n").unwrap();
    let mut told = Vec::new();
    let _may_be_reset = stream.read_to_end(&mut told);
    assert!(String::from_utf8_lossy(&told).contains("subscribed") || told.len() < whole);
    daemon.stop();
}

/// How many bytes longer a copy is now.
fn more_since(socket: &PathBuf, before: usize) -> usize {
    all_of(copying(socket)) - before
}

#[test]
fn a_daemon_that_stops_breaks_a_copy_off_and_ends_in_good_order() {
    let place = filled();
    let daemon = Process::start(&place, &[]);
    let stream = copying(&place.socket());
    daemon.stop();
    drop(stream);
    let log = fs::read_to_string(place.folder().join("log")).unwrap();
    assert!(!log.contains("could not be closed") && !log.contains("a part failed"), "{log}");
    place.open().close().unwrap();
}
