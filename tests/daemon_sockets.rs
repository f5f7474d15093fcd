//! Limits of the socket, other daemons and other files in the way, and damage found at the start.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{FileTypeExt, PermissionsExt, symlink},
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{CONFIG, Place, model},
    process::{Process, succeed},
    skip::skipped,
    wait::{until, until_passed},
    wire::{LOCK, Wire, arm_of, baseline, ml, outcome, promote, rollback, score},
};
use redb::{ReadableTable, TableDefinition};
use serde_json::Value;
use vigie::{
    actors::daemon::StartError,
    clock::Stopwatch,
    domain::{Arm, EventKind, TradeId, lifecycle::State},
    protocol::listen::ListenError,
};

const PING: &str = r#"{"type":"ping"}"#;

fn with_config(more: &str) -> Setup {
    Setup { config: format!("{CONFIG}{more}"), ..Setup::default() }
}

#[test]
fn when_every_place_is_taken_the_connection_that_asked_longest_ago_gives_way_to_an_operator() {
    let place = Place::new();
    let daemon = Daemon::start_with(&place, with_config("server.reserved_connections = 0\n"));
    let mut open: Vec<Wire> = (0..64).map(|_| daemon.connect()).collect();
    open.iter_mut().for_each(|wire| drop(wire.ask_ok(PING)));
    open[0].ask_ok(PING);
    let mut late = daemon.connect();
    late.ask_ok(PING);
    assert_eq!(open[1].answer()["error"]["code"], "too_many_connections");
    assert_eq!(open[1].line(), None, "closed");
    let told = open[0].status();
    assert_eq!((&told["refused"], &told["connections"]), (&1.into(), &64.into()));
    open.drain(2..).for_each(|mut wire| drop(wire.ask_ok(PING)));
    daemon.stop();
}

#[test]
fn an_operator_gets_in_while_the_daemons_own_user_holds_every_connection() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut trader = daemon.connect();
    assert_eq!(trader.arm("T-1"), ml());
    let mut subscriber = daemon.connect();
    subscriber.ask_ok(r#"{"type":"subscribe"}"#);
    let socket = daemon.socket().to_str().unwrap().to_owned();
    let mut leaked = Vec::new();
    let orders: [&[&str]; 5] = [
        &["status"],
        &["lock", "--reason", "x"],
        &["resume", "--reason", "y"],
        &["rollback", "ES/1", "--reason", "z"],
        &["kill", "--reason", "now"],
    ];
    for order in orders {
        leaked.extend((0..64).map(|_| daemon.connect()));
        succeed(&place, &[order, &["--socket", &socket]].concat());
    }
    // who asked before outlasts those that never did
    assert_eq!(trader.arm("T-2"), baseline("locked"));
    assert!(std::iter::from_fn(|| subscriber.line()).any(|line| line.contains("locked")));
    assert!(leaked.iter_mut().take(5).all(|wire| wire.answer()["error"]["code"] == "too_many_connections"));
    daemon.stop();
}

#[test]
fn half_a_line_that_stays_half_is_closed_and_nobody_else_notices() {
    let place = Place::new();
    let daemon = Daemon::start_with(&place, with_config("server.half_line_timeout_ms = 50\n"));
    let (mut half, mut other, mut idle) = (daemon.connect(), daemon.connect(), daemon.connect());
    half.send(&score("T-1")[..40]);
    assert_eq!(half.answer()["error"]["code"], "half_line");
    assert_eq!(half.line(), None, "closed");
    other.ask_ok(PING);
    idle.ask_ok(PING);
    daemon.stop();
}

#[test]
fn dripping_bytes_do_not_keep_half_a_line_open() {
    let place = Place::new();
    let daemon = Daemon::start_with(&place, with_config("server.half_line_timeout_ms = 100\n"));
    let stream = UnixStream::connect(daemon.socket()).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    stream.set_nonblocking(true).unwrap();
    let said = until("the end of a connection that drips", || {
        // each byte is progress, and still the line as a whole is late
        let _closed_by_then = (&stream).write(b"x");
        let mut line = String::new();
        answers.read_line(&mut line).is_ok().then_some(line)
    });
    assert!(said.contains("half_line"), "{said}");
    daemon.stop();
}

#[test]
fn a_line_over_the_limit_gets_one_error_and_closes_its_own_connection_only() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut other = daemon.connect();
    let mut wire = daemon.connect();
    let _closed_before_it_was_all_sent = wire.send_what_fits(&vec![b'a'; 70_000]);
    assert_eq!(wire.answer()["error"]["code"], "line_too_long");
    assert_eq!(wire.line(), None, "closed");
    // what stood before it is answered, and a line at the limit passes
    let mut wire = daemon.connect();
    let padding = " ".repeat(65_536 - PING.len());
    assert_eq!(wire.ask_ok(format!("{PING}{padding}"))["ok"], true);
    wire.send(format!("{PING}\n{PING}{padding} \n"));
    assert_eq!((wire.answer()["ok"].clone(), wire.answer()["ok"].clone()), (true.into(), false.into()));
    assert_eq!(wire.line(), None, "closed");
    other.ask_ok(PING);
    daemon.stop();
}

#[test]
fn a_connection_that_sends_many_lines_at_once_gives_way_after_each() {
    let place = Place::new();
    let trap = Trap::default();
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), ..Setup::default() });
    let (mut greedy, mut other) = (daemon.connect(), daemon.connect());
    other.ask_ok(score("before"));
    trap.hold("scorer");
    greedy.send((0..30).map(|n| format!("{}\n", score(&format!("many-{n}")))).collect::<String>());
    trap.await_held();
    other.send(format!("{}\n", score("one")));
    trap.release();
    other.answer();
    (0..30).for_each(|_| drop(greedy.answer()));
    daemon.stop();
    let reader = place.reader();
    let number = |id: &str| reader.signal(&TradeId::new(id).unwrap()).unwrap().unwrap().seq;
    let (first, one, last) = (number("many-0"), number("one"), number("many-29"));
    assert!(one <= first + 3, "{first} {one} {last}");
}

#[test]
fn every_line_of_a_busy_client_has_its_own_time() {
    let place = Place::new();
    let daemon = Daemon::start_with(&place, with_config("server.half_line_timeout_ms = 300\n"));
    let mut busy = daemon.connect();
    // each send ends one line and begins the next, so that there is half a line at all times and none is old
    let (watch, halves) = (Stopwatch::start(), PING.split_at(5));
    busy.send(halves.0);
    while watch.elapsed() < Duration::from_millis(900) {
        busy.send(format!("{}\n{}", halves.1, halves.0));
        assert_eq!(busy.answer()["ok"], true);
    }
    daemon.stop();
}

#[test]
fn a_score_that_waited_unread_for_longer_than_its_deadline_is_answered_by_the_baseline() {
    let (place, trap) = (Place::with_model(State::Production), Trap::default());
    let config = CONFIG.replace("deadline_us = 1000000", "deadline_us = 200000");
    let daemon = Daemon::start_with(&place, Setup { config, trap: trap.clone(), ..Setup::default() });
    let (mut trader, mut other) = (daemon.connect(), daemon.connect());
    assert_eq!(trader.arm("T-1"), ml());
    trap.hold("guardian");
    other.send(format!("{}\n", r#"{"type":"models"}"#));
    trap.await_held();
    trader.send(format!("{}\n", score("T-2")));
    until_passed(Stopwatch::start(), Duration::from_millis(400));
    trap.release();
    assert_eq!(arm_of(&trader.answer()), baseline("deadline"));
    assert_eq!(trader.arm("T-3"), ml());
    daemon.stop();
}

#[test]
fn an_answer_that_waits_behind_a_client_who_does_not_read_is_true_when_it_is_written() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let (mut silent, mut other) = (daemon.connect(), daemon.connect());
    let lines: String = (0..4000).map(|number| format!("{}\n", score(&format!("T-{number}")))).collect();
    let sent = silent.send_what_fits(lines.as_bytes());
    let whole = lines.as_bytes()[..sent].iter().filter(|byte| **byte == b'\n').count();
    // the daemon has answered what fits into the socket, and stands before an answer that does not
    let mut answered = 0;
    until("answers that nobody reads", || {
        let now = other.status()["scorer"]["answered"].as_u64().unwrap();
        (std::mem::replace(&mut answered, now) == now && now > 0).then_some(())
    });
    assert!((answered as usize) < whole, "{answered} of {whole} were answered: all fit into the socket");
    other.ask_ok(rollback("ES/1"));
    let answers: Vec<Value> = (0..whole).map(|_| silent.answer()).collect();
    let first = answers.iter().position(|answer| answer["arm"] == "baseline").unwrap();
    assert!(answers[first..].iter().all(|answer| answer["arm"] == "baseline"));
    // it was the model's word that waited: it is on record, and it was not given out
    assert_eq!(first as u64 + 1, answered);
    let id = TradeId::new(format!("T-{first}")).unwrap();
    let recorded = until("the record", || place.reader().signal(&id).unwrap());
    assert_eq!(recorded.record.decision.unwrap().arm, Arm::Ml);
    daemon.stop();
}

#[test]
fn a_client_that_never_reads_is_cut_off_and_disturbs_nobody() {
    let place = Place::new();
    let daemon = Daemon::start_with(&place, with_config("server.write_timeout_ms = 300\n"));
    let mut silent = daemon.connect();
    let flood = format!("{}\n", r#"{"type":"status"}"#).repeat(20_000);
    let mut sent = silent.send_what_fits(flood.as_bytes());
    let mut other = daemon.connect();
    let watch = Stopwatch::start();
    other.ask_ok(score("T-1"));
    other.ask_ok(outcome("T-1", 1.0));
    assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());
    until("the end of a client that never reads", || {
        // it goes on sending as long as it may
        if other.status()["connections"] == 1 {
            return Some(());
        }
        let rest = flood.as_bytes().get(sent..).unwrap_or_default();
        sent += silent.send_what_fits(rest);
        None
    });
    daemon.stop();
}

#[test]
fn a_connection_that_ends_within_a_line_leaves_no_trace() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.send(&score("T-1")[..100]);
    drop(wire);
    let mut wire = daemon.connect();
    until("the end of the other", || (wire.status()["connections"] == 1).then_some(()));
    assert_eq!(wire.status()["counts"]["signals"], 0);
    daemon.stop();
}

#[test]
fn a_second_daemon_on_the_same_state_or_socket_is_refused_and_the_first_goes_on() {
    let (place, other) = (Place::with_model(State::Production), Place::new());
    let daemon = Daemon::start(&place);
    let elsewhere = Setup { socket: Some(place.folder().join("other.sock")), ..Setup::default() };
    let refused = Daemon::try_start(&place, elsewhere).err().expect("the same state");
    assert!(refused.to_string().contains("another process has this journal open"), "{refused}");
    let taken = Setup { socket: Some(place.socket()), ..Setup::default() };
    let refused = Daemon::try_start(&other, taken).err().expect("the same socket");
    assert!(matches!(refused, StartError::Socket(ListenError::InUse { .. })), "{refused}");
    assert_eq!(daemon.connect().arm("T-1"), ml());
    daemon.stop();
    Daemon::start(&other).stop();
}

#[test]
fn a_socket_left_behind_is_replaced_and_the_new_one_is_private() {
    let place = Place::new();
    fs::create_dir_all(place.state()).unwrap();
    drop(UnixListener::bind(place.socket()).unwrap());
    let daemon = Daemon::start(&place);
    daemon.connect().ask_ok(PING);
    let metadata = fs::symlink_metadata(place.socket()).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    daemon.stop();
    assert!(!place.socket().exists(), "removed at the end");
}

#[test]
fn a_link_or_a_file_in_the_place_of_the_socket_is_left_alone() {
    let files = Place::new();
    let precious = files.file("precious", "precious");
    let link = files.folder().join("link");
    symlink(&precious, &link).unwrap();
    for path in [&link, &precious] {
        let place = Place::new();
        let setup = Setup { socket: Some(path.clone()), ..Setup::default() };
        let refused = Daemon::try_start(&place, setup).err().expect("something is in the way");
        assert!(matches!(refused, StartError::Socket(ListenError::InTheWay { .. })), "{refused}");
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_damaged_journal_is_put_aside_whole_and_the_baseline_is_served() {
    let place = Place::with_model(State::Production);
    let damaged = vec![0xA5; 50_000];
    fs::write(place.journal(), &damaged).unwrap();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), baseline("locked"));
    let lock = wire.status()["guardian"]["lock"].take();
    assert_eq!(lock, "the journal was damaged and a new one is in use");
    wire.ask_ok(outcome("T-1", 1.0));
    daemon.stop();
    assert_eq!(fs::read(place.state().join("vigie.redb.corrupt-1")).unwrap(), damaged);
    let alerts = place.alerts("journal_quarantined");
    assert!(alerts[0].contains("vigie.redb.corrupt-1"), "{alerts:?}");
    // and it is no loop
    Daemon::start(&place).stop();
    assert!(!place.state().join("vigie.redb.corrupt-2").exists());
}

/// A record of ES/1 changed in its text, with a checksum that fits again.
fn poisoned(from: &str, to: &str) -> Vec<u8> {
    let whole: serde_json::Value = serde_json::from_slice(&model().to_bytes().unwrap()).unwrap();
    let version = serde_json::to_string(&whole["version"]).unwrap();
    assert!(version.contains(from), "{from} is not in {version}");
    let version = version.replacen(from, to, 1);
    let format = &whole["format"];
    let number = u32::try_from(format.as_u64().unwrap()).unwrap();
    let covered = [&number.to_le_bytes()[..], version.as_bytes()].concat();
    let digest = <blake2::Blake2b128 as blake2::Digest>::digest(&covered);
    let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(r#"{{"format":{format},"checksum":"{checksum}","version":{version}}}"#).into_bytes()
}

#[test]
fn a_damaged_or_poisoned_model_is_never_served() {
    let good = model().to_bytes().unwrap();
    let flipped: Vec<u8> = String::from_utf8(good.clone()).unwrap().replacen("\"seed\":7", "\"seed\":8", 1).into();
    assert_ne!(flipped, good);
    let weights = serde_json::to_string(&serde_json::to_value(model()).unwrap()["model"]["weights"]).unwrap();
    let bodies = [
        ("no record at all", b"nonsense".to_vec()),
        ("cut short", good[..good.len() / 2].to_vec()),
        ("a changed byte", flipped),
        ("a newer format", b"{\"format\":2}".to_vec()),
        ("a weight that is no number", poisoned(&weights, "[null]")),
        ("a weight too few", poisoned(&weights, &weights.replacen("[", "[1.0,", 1))),
        ("an infinite weight", poisoned(&weights, &weights.replacen("[", "[1e999,", 1))),
        ("the record of another version", poisoned("\"ES/1\"", "\"NQ/1\"")),
    ];
    // the poison is in the numbers, not in how this test writes them
    let unharmed = Place::new();
    unharmed.register("ES/1", poisoned("\"seed\":7", "\"seed\":9"), State::Production);
    let daemon = Daemon::start(&unharmed);
    assert_eq!(daemon.connect().arm("T-1"), ml());
    daemon.stop();
    for (what, body) in bodies {
        for state in [State::Production, State::Trained] {
            let place = Place::new();
            place.register("ES/1", body.clone(), state);
            let daemon = Daemon::start(&place);
            let mut wire = daemon.connect();
            if state == State::Trained {
                assert_eq!(wire.ask(promote("ES/1"))["error"]["code"], "model_damaged", "{what}");
            }
            // one that should speak and cannot is a fault of integrity
            let reason = if state == State::Production { "locked" } else { "no_model" };
            assert_eq!(wire.arm("T-1"), baseline(reason), "{what}, {state}");
            let version = wire.status()["guardian"]["versions"][0].take();
            assert_eq!(
                (version["scoring"].as_bool(), version["state"].as_str()),
                (Some(false), Some(&*state.to_string()))
            );
            daemon.stop();
            let alerts = place.alerts("model_damaged").len();
            assert_eq!(alerts, usize::from(state == State::Production), "{what}, {state}");
        }
    }
}

#[test]
fn a_model_whose_bytes_rot_on_the_disk_is_never_served() {
    let place = Place::with_model(State::Production);
    let table = TableDefinition::<&str, &[u8]>::new("versions");
    let database = redb::Database::open(place.journal()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut versions = transaction.open_table(table).unwrap();
        let mut value = versions.get("ES/1").unwrap().unwrap().value().to_vec();
        *value.last_mut().unwrap() ^= 1;
        versions.insert("ES/1", value.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("T-1"), baseline("locked"));
    let models = daemon.connect().ask_ok(r#"{"type":"models"}"#)["models"].take();
    assert!(models[0]["error"].is_string(), "{models}");
    daemon.stop();
    assert_eq!(place.alerts("model_damaged").len(), 1);
}

const CHILD_SOCKET: &str = "VIGIE_TEST_SOCKET";

/// Not a test of its own: run as another user, it holds connections until its input ends, and says what it was told.
#[test]
#[ignore = "a process of another test"]
fn child_process_that_connects_as_another_user() {
    let socket = std::env::var_os(CHILD_SOCKET).unwrap();
    let count: usize = std::env::var("VIGIE_TEST_COUNT").unwrap().parse().unwrap();
    println!();
    let mut open = Vec::new();
    for _ in 0..count {
        let mut wire = Wire::connect(Path::new(&socket));
        // who is turned away may be so before it has said anything
        wire.send_what_fits(format!("{LOCK}\n").as_bytes());
        println!("told {}", wire.line().unwrap());
        open.push(wire);
    }
    println!("done");
    std::io::stdin().lines().for_each(drop);
}

/// Opens `count` connections as `uid`, runs `meanwhile`, and gives back what each was told.
fn as_user(uid: u32, socket: &Path, count: usize, meanwhile: impl FnOnce()) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child_process_that_connects_as_another_user", "--nocapture"]);
    command.env(CHILD_SOCKET, socket).env("VIGIE_TEST_COUNT", count.to_string());
    let mut child = command.uid(uid).gid(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let told: Vec<String> = lines.by_ref().take_while(|line| line != "done").collect();
    meanwhile();
    drop(child.stdin.take());
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    told.into_iter().filter_map(|line| line.strip_prefix("told ").map(str::to_owned)).collect()
}

#[test]
fn a_trader_cannot_take_the_operators_place_nor_change_anything_and_a_stranger_gets_nothing() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can connect as somebody else");
    }
    let place = Place::with_model(State::Production);
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = place.folder().join("open.sock");
    let setup = with_config("access.trader_users = [\"12345\"]\nserver.max_connections = 5\n");
    let daemon = Daemon::start_with(&place, Setup { socket: Some(socket.clone()), ..setup });
    let told = as_user(54_321, &socket, 20, || {});
    assert!(told.iter().all(|line| line.contains("\"forbidden\"")), "the reason arrives each time: {told:?}");
    assert!(told[0].contains("\"forbidden\"") && told[0].contains("54321"), "{told:?}");
    let told = as_user(12_345, &socket, 5, || {
        assert_eq!(daemon.connect().arm("T-1"), ml(), "the operator gets in, and no lock was taken");
    });
    assert!(told[..4].iter().all(|line| line.contains("\"forbidden\"")), "{told:?}");
    assert!(told[4].contains("\"too_many_connections\""), "{told:?}");
    daemon.stop();
    assert!(!place.events().iter().any(|kind| matches!(kind, EventKind::Locked { .. })));
}

#[test]
fn a_stranger_is_told_each_time_and_logged_once() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can connect as somebody else");
    }
    let place = Place::new();
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = place.folder().join("open.sock");
    let daemon = Process::start_limited_at(&place, "ulimit -n 256", socket.clone());
    for uid in [54_321, 54_322] {
        let told = as_user(uid, &socket, 20, || {});
        assert!(told.len() == 20 && told.iter().all(|line| line.contains("\"forbidden\"")), "{told:?}");
    }
    // a line is written behind what it tells of
    let log = until("both lines", || Some(daemon.log()).filter(|log| log.matches("turned away").count() > 1));
    let logged: Vec<&str> = log.lines().filter(|line| line.contains("turned away")).collect();
    assert!(logged.len() == 2 && logged[0].contains("54321") && logged[1].contains("54322"), "{logged:?}");
    daemon.stop();
}

#[test]
fn when_file_descriptors_are_used_up_operators_get_in_and_it_is_said_once() {
    if !nix::unistd::geteuid().is_root() {
        return skipped("only root can connect as somebody else");
    }
    let place = Place::new();
    fs::set_permissions(place.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    place.file("config.toml", &format!("{CONFIG}access.trader_users = [\"12345\"]\nserver.max_connections = 1000\n"));
    let socket = place.folder().join("open.sock");
    let daemon = Process::start_limited_at(&place, "ulimit -n 48", socket.clone());
    let told = as_user(12_345, &socket, 60, || {
        // one is not enough: `vigie events --follow` keeps its own open
        let mut operators: Vec<Wire> = (0..4).map(|_| daemon.connect()).collect();
        operators.iter_mut().for_each(|wire| drop(wire.ask_ok(PING)));
        assert_eq!(operators[3].ask_ok(LOCK)["durable"], true);
        // no loop without a pause: what is asked meanwhile is answered
        operators[0].ask_ok(score("T-1"));
    });
    let refused = told.iter().filter(|line| line.contains("\"too_many_connections\"")).count();
    assert!(refused > 20 && told[0].contains("\"forbidden\""), "{refused} of {}: {}", told.len(), told[59]);
    assert!(told[59].contains("no file descriptor left"), "{}", told[59]);
    let said = daemon.log().lines().filter(|line| line.contains("a connection could not be accepted")).count();
    assert_eq!(said, 1, "once, and then once a minute: {}", daemon.log());
    // there is room again
    until("a trader that gets in", || as_user(12_345, &socket, 1, || {})[0].contains("\"forbidden\"").then_some(()));
    daemon.stop();
}

#[test]
fn file_descriptors_that_the_daemons_own_user_holds_are_given_to_its_operator() {
    let place = Place::new();
    place.file("config.toml", &format!("{CONFIG}server.max_connections = 1000\n"));
    let socket = place.socket();
    let daemon = Process::start_limited_at(&place, "ulimit -n 48", socket.clone());
    let leaked: Vec<Wire> = (0..60).map(|_| daemon.connect()).collect();
    for _ in 0..3 {
        succeed(&place, &["lock", "--reason", "x", "--socket", socket.to_str().unwrap()]);
    }
    assert!(daemon.connect().status()["guardian"]["lock"].is_string());
    drop(leaked);
    daemon.stop();
}
