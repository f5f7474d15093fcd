//! The daemon as a process: from an empty folder to a model in production and back, signals, and the end.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{collections::BTreeSet, fs, time::Duration};

use common::{
    place::{BY_HAND, CONFIG, Place, example_confidence, examples, model},
    process::{Process, succeed, vigie},
    wait::{until, until_passed},
    wire::{RESUME, arm_of, baseline, ml, outcome, promote, score},
};
use serde_json::Value;
use vigie::{
    clock::Stopwatch,
    domain::{EventKind, SignalLine, lifecycle::State},
};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz");
const SIGNAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json");

fn json(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_slice(&succeed(place, arguments).stdout).unwrap()
}

#[test]
fn nothing_is_said_after_the_end() {
    let place = Place::with_model(State::Production);
    // the monitor reads these when the daemon is told to stop
    succeed(&place, &["import", "--state", "state", EXAMPLES]);
    for _ in 0..6 {
        let daemon = Process::start(&place, &[]);
        daemon.stop();
    }
    let log = fs::read_to_string(place.folder().join("log")).unwrap();
    assert!(!log.contains("ERROR"), "{log}");
    assert_eq!(
        log.lines().filter(|line| line.ends_with("stopped")).count(),
        6,
        "the last line of each is written\n{log}"
    );
}

#[test]
fn from_past_trades_to_a_model_in_production_and_back() {
    let place = Place::new();
    // these trades are not what the emergency rules are tried on
    place.file(
        "config.toml",
        &format!(
            "{CONFIG}{BY_HAND}\n[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 50\ndaily_loss_factor = 100\n"
        ),
    );
    let all = examples().len() as u64;
    let imported = json(&place, &["import", "--state", "state", "--json", EXAMPLES]);
    assert_eq!((imported["stored"].as_u64(), imported["rejected"].as_u64()), (Some(all), Some(0)));
    let trained = json(&place, &["train", "--state", "state", "--config", "config.toml", "--json", "--keep"]);
    assert_eq!((&trained["version"], &trained["registered"]), (&"ES/1".into(), &true.into()));
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let socket = socket.to_str().unwrap();
    let scored = || json(&place, &["score", "--json", "--deadline-ms", "10000", "--socket", socket, SIGNAL]);
    assert_eq!(arm_of(&scored()), baseline("no_model"));
    let refused =
        vigie(&place, &["promote", "ES/1", "--to", "production", "--reason", "x", "--socket", socket]).output();
    assert!(String::from_utf8(refused.unwrap().stderr).unwrap().contains("--override"), "a gate was not run");
    succeed(&place, &["promote", "ES/1", "--to", "production", "--override", "--reason", "x", "--socket", socket]);
    let answer = scored();
    let number = |name: &str| answer[name].as_f64().unwrap();
    assert_eq!((arm_of(&answer), &answer["model"]), (ml(), &"ES/1".into()));
    assert!((number("confidence") - 0.5 * (example_confidence() + number("score"))).abs() < 1e-12, "{answer}");
    // under other names, since these were imported with what the strategy made of them
    place.file("renamed.jsonl", &examples().join("\n").replace("\"EX-", "\"RE-"));
    let replayed = json(&place, &["replay", "--json", "--socket", socket, "renamed.jsonl"]);
    let count = |name: &str| replayed[name].as_u64().unwrap();
    assert_eq!((count("scored"), count("acknowledged") + count("let_go"), count("duplicates")), (all, all, 0));
    assert!(count("let_go") > 0 && count("matched") == count("acknowledged"), "{replayed}");
    assert_eq!(replayed["arms"]["ml"], all, "{replayed}");
    succeed(&place, &["rollback", "ES/1", "--reason", "x", "--socket", socket]);
    assert_eq!(arm_of(&scored()), baseline("no_model"));
    let models = json(&place, &["models", "--json", "--socket", socket]);
    assert_eq!((&models[0]["state"], &models[0]["overridden"]), (&"rolled_back".into(), &true.into()));
    assert_eq!(
        json(&place, &["models", "--json", "--state", "state"]),
        models,
        "the daemon of the folder that is named"
    );
    let status = json(&place, &["status", "--json", "--socket", socket]);
    assert_eq!(
        (&status["counts"]["decisions"], &status["counts"]["outcomes"]),
        (&(all + 3).into(), &(all + count("acknowledged")).into())
    );
    daemon.stop();
    let offline = json(&place, &["models", "--json", "--offline", "--state", "state"]);
    assert_eq!(offline, models, "the journal tells the same as the daemon");
}

#[test]
fn a_replay_makes_of_the_answers_what_a_trader_would() {
    for (sizing, speed) in [("max = 0.4", &["--window", "8"][..]), ("rule = \"kelly\"", &["--speed", "1e9"])] {
        let place = Place::with_model(State::Production);
        // these trades are not what the emergency rules are tried on
        let loose = "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 50\ndaily_loss_factor = 100\n";
        place.file("config.toml", &format!("{CONFIG}{BY_HAND}[sizing]\n{sizing}\n{loose}"));
        let daemon = Process::start(&place, &["--clock", "event"]);
        let (socket, lines) = (place.socket(), examples().split_off(900));
        place.file("trades.jsonl", &lines.join("\n"));
        let command = [&["replay", "--json", "--socket", socket.to_str().unwrap(), "trades.jsonl"][..], speed].concat();
        let replayed = json(&place, &command);
        daemon.stop();
        let reader = place.reader();
        let (mut let_go, mut smaller, mut told) = (0_u64, 0_u64, 0_u64);
        for line in &lines {
            let SignalLine { signal, outcome, .. } = SignalLine::parse(line.as_bytes()).unwrap();
            let size = reader.signal(&signal.trade_id).unwrap().unwrap().record.decision.unwrap().size;
            let outcome = outcome.unwrap();
            let stored = reader.outcome(&signal.trade_id).unwrap().map(|stored| stored.record.outcome);
            if size == 0.0 {
                assert_eq!(stored, None, "{} was let go", signal.trade_id);
                assert!(reader.skip(&signal.trade_id).unwrap().is_some(), "{} was let go", signal.trade_id);
                let_go += 1;
                continue;
            }
            let traded = outcome.pnl.unwrap().get() * size;
            let stored = stored.unwrap();
            assert!(
                (stored.pnl.unwrap().get() - traded).abs() < 1e-9,
                "{} at size {size}: {stored:?}",
                signal.trade_id
            );
            assert_eq!((stored.exit_at, stored.exit_reason), (outcome.exit_at, outcome.exit_reason));
            (smaller, told) = (smaller + u64::from(size < 1.0), told + 1);
        }
        let count = |name: &str| replayed[name].as_u64().unwrap();
        assert_eq!((count("let_go"), count("acknowledged")), (let_go, told), "{replayed}");
        assert!(let_go > 10 && smaller > 10, "{sizing}: {let_go} let go, {smaller} made smaller");
    }
}

#[test]
fn an_import_goes_through_the_daemon_that_has_the_journal_open_and_ends_as_it_would_without() {
    let (through, alone) = (Place::new(), Place::new());
    let mut lines = examples();
    lines.truncate(450);
    lines.push(lines[0].replace("\"pnl\":570.5", "\"pnl\":-570.5"));
    lines.push("nonsense".to_owned());
    let text = lines.join("\n");
    let daemon = Process::start(&through, &[]);
    let import = |place: &Place| {
        place.file("trades.jsonl", &text);
        let output = vigie(place, &["import", "--json", "--state", "state", "trades.jsonl"]).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let (first, expected) = (import(&through), import(&alone));
    for count in ["lines", "stored", "duplicates", "rejected"] {
        assert_eq!(first[count], expected[count], "{count}");
    }
    assert_eq!((&first["stored"], &first["faults"]["conflict"]["count"]), (&450.into(), &1.into()));
    assert_eq!(import(&through)["duplicates"], 450, "the same again");
    let mut wire = daemon.connect();
    let status = wire.status();
    assert_eq!((&status["counts"]["outcomes"], &status["counts"]["decisions"]), (&450.into(), &0.into()));
    let noted = |kind: &EventKind| matches!(kind, EventKind::Imported { stored: 450, rejected: 2, .. });
    assert_eq!(through.events().iter().filter(|kind| noted(kind)).count(), 1);
    daemon.stop();
    let trades = |place: &Place| {
        let reader = place.reader();
        reader.signals().unwrap().map(|stored| stored.unwrap().signal).collect::<Vec<_>>()
    };
    assert_eq!(trades(&through), trades(&alone));
}

#[test]
fn sighup_takes_a_good_file_and_refuses_a_bad_one_with_file_and_line() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let hash = wire.status()["config_hash"].take();
    place.file("config.toml", &format!("{CONFIG}scoring.blend_weight = 0\nserver.drain_ms = 7\n"));
    daemon.signal("HUP");
    let new = until("a reload", || Some(wire.status()["config_hash"].take()).filter(|now| *now != hash));
    assert_eq!(wire.ask_ok(score("T-1"))["confidence"], 0.6);
    assert!(daemon.log().contains("server.drain_ms"), "what waits for a restart is named: {}", daemon.log());
    place.file("config.toml", &format!("{CONFIG}scoring.blend_weight = 3\n"));
    let fault = format!("config.toml:{}: scoring.blend_weight = 3", CONFIG.lines().count() + 1);
    daemon.signal("HUP");
    until("a refusal in the log", || daemon.log().contains(&fault).then_some(()));
    assert_eq!(wire.status()["config_hash"], new);
    assert_eq!(wire.ask_ok(score("T-2"))["confidence"], 0.6);
    // a storm of them is survived
    (0..50).for_each(|_| daemon.signal("HUP"));
    place.file("config.toml", CONFIG);
    until("the last file", || {
        daemon.signal("HUP");
        (wire.status()["config_hash"] == hash).then_some(())
    });
    daemon.stop();
}

#[test]
fn sigusr1_kills_whatever_is_reloaded_and_a_resume_brings_no_model_back() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), ml());
    daemon.signal("USR1");
    until("the lock", || (wire.arm("T-2") == baseline("locked")).then_some(()));
    daemon.signal("HUP");
    let reloaded = |kind: &EventKind| matches!(kind, EventKind::Reloaded { .. });
    until("a reload", || place.events().iter().any(reloaded).then_some(()));
    assert_eq!(wire.arm("T-3"), baseline("locked"));
    daemon.stop();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-4"), baseline("locked"));
    wire.ask_ok(RESUME);
    assert_eq!(wire.arm("T-5"), baseline("no_model"));
    daemon.stop();
}

#[test]
fn a_kill_file_silences_all_while_it_is_there_and_what_it_took_out_stays_out() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), ml());
    let kill = place.state().join("kill");
    fs::write(&kill, "").unwrap();
    until("the lock", || (wire.arm("T-2") == baseline("locked")).then_some(()));
    until("the rollback on disk", || {
        place
            .events()
            .iter()
            .any(|kind| matches!(kind, EventKind::Moved { reason, .. } if reason.contains("kill")))
            .then_some(())
    });
    let refused = wire.ask(RESUME);
    assert!(refused["error"]["message"].as_str().unwrap().contains("remove it"), "{refused}");
    fs::remove_file(&kill).unwrap();
    // the daemon may learn later than a reader that the kill is on disk
    until("the resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
    assert_eq!(wire.arm("T-3"), baseline("no_model"));
    daemon.stop();
    // and one that is there at the start
    fs::write(&kill, "").unwrap();
    let daemon = Process::start(&place, &[]);
    assert_eq!(daemon.connect().arm("T-4"), baseline("locked"));
    daemon.stop();
}

#[test]
fn a_kill_file_that_is_made_again_at_once_after_a_resume_kills_again_and_nothing_is_promoted_while_it_is_there() {
    let place = Place::with_model(State::Production);
    place.register("ES/2", model().to_bytes().unwrap(), State::Staging);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let kill = place.state().join("kill");
    fs::write(&kill, "").unwrap();
    until("the lock", || (wire.arm("T-1") == baseline("locked")).then_some(()));
    fs::remove_file(&kill).unwrap();
    until("the resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
    fs::write(&kill, "").unwrap();
    let refused = wire.ask(promote("ES/2"));
    assert!(refused["error"]["message"].as_str().unwrap().contains("kill is there; remove it"), "{refused}");
    until("the lock again", || (wire.arm("T-2") == baseline("locked")).then_some(()));
    daemon.stop();
}

#[test]
fn a_link_to_nothing_in_the_place_of_the_kill_file_kills_and_keeps_from_resuming() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    std::os::unix::fs::symlink("nowhere", place.state().join("kill")).unwrap();
    until("the lock", || (wire.arm("T-1") == baseline("locked")).then_some(()));
    let refused = wire.ask(RESUME);
    assert!(refused["error"]["message"].as_str().unwrap().contains("remove it"), "{refused}");
    daemon.stop();
}

#[test]
fn what_waited_through_a_stop_of_the_process_is_answered_by_the_baseline() {
    let place = Place::with_model(State::Production);
    place.file("config.toml", &CONFIG.replace("deadline_us = 1000000", "deadline_us = 300000"));
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), ml());
    daemon.signal("STOP");
    until("a process that stands", || daemon.state().starts_with('T').then_some(()));
    wire.send(format!("{}\n", score("T-2")));
    until_passed(Stopwatch::start(), Duration::from_millis(400));
    daemon.signal("CONT");
    assert_eq!(arm_of(&wire.answer()), baseline("deadline"));
    until("the model again", || (wire.arm("T-3") == ml()).then_some(()));
    daemon.stop();
}

#[test]
fn what_comes_well_after_a_stop_of_the_process_did_not_wait_through_it() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    assert_eq!(daemon.connect().arm("T-1"), ml());
    daemon.signal("STOP");
    until("a process that stands", || daemon.state().starts_with('T').then_some(()));
    daemon.signal("CONT");
    until_passed(Stopwatch::start(), Duration::from_millis(800));
    assert_eq!(daemon.connect().arm("T-2"), ml());
    daemon.stop();
}

#[test]
fn a_file_that_may_not_grow_is_a_disk_that_fails_and_no_end_of_the_daemon() {
    let place = Place::with_model(State::Production);
    let mut daemon = Process::start_limited(&place, "ulimit -f 8192");
    let mut wire = daemon.connect();
    let filled = until("a journal that cannot grow", || {
        let id = format!("T-{}", wire.status()["counts"]["outcomes"]);
        wire.send(format!(
            "{}\n",
            score(&id).replace("\"side\"", &format!("\"extra\":{{\"{}\":1}},\"side\"", "x".repeat(30_000)))
        ));
        wire.answer();
        let answer = wire.ask(outcome(&id, 1.0));
        (answer["ok"] == false).then_some(answer)
    });
    assert_eq!(filled["error"]["code"], "retry", "{filled}");
    wire.ask_ok(score("T-after"));
    assert_eq!(daemon.ended(), None);
    daemon.kill();
}

#[test]
fn a_kill_by_command_takes_every_version_out_and_says_so() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let said = succeed(&place, &["kill", "--reason", "a test", "--socket", socket.to_str().unwrap()]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said, "locked to the baseline; 1 version rolled back\n");
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), baseline("locked"));
    wire.ask_ok(RESUME);
    assert_eq!(wire.arm("T-2"), baseline("no_model"));
    daemon.stop();
}

#[test]
fn sigterm_answers_what_is_under_way_and_ends_within_a_second() {
    let place = Place::with_model(State::Production);
    let mut daemon = Process::start(&place, &[]);
    let mut wires: Vec<_> = (0..4).map(|_| daemon.connect()).collect();
    let mut idle = daemon.connect();
    idle.ask_ok(r#"{"type":"ping"}"#);
    for (n, wire) in wires.iter_mut().enumerate() {
        wire.ask_ok(r#"{"type":"ping"}"#);
        let line = |k: usize| {
            if k.is_multiple_of(2) { score(&format!("T-{n}-{k}")) } else { outcome(&format!("T-{n}-{}", k - 1), 1.0) }
        };
        wire.send((0..40).map(|k| line(k) + "\n").collect::<String>());
    }
    let watch = Stopwatch::start();
    daemon.signal("TERM");
    let status = daemon.wait();
    let took = watch.elapsed();
    assert!(status.success(), "{status}: {}", daemon.log());
    assert!(took < Duration::from_millis(2500), "1 s to drain and two halves for the last words: {took:?}");
    let mut acknowledged = BTreeSet::new();
    for wire in &mut wires {
        let answers: Vec<Value> =
            std::iter::from_fn(|| wire.line()).map(|line| serde_json::from_str(&line).unwrap()).collect();
        assert_eq!(answers.len(), 40, "every request that was there is answered: {:?}", answers.last());
        let durable = answers.iter().filter(|answer| answer["durable"] == true);
        acknowledged.extend(durable.map(|answer| answer["trade_id"].as_str().unwrap().to_owned()));
    }
    assert_eq!(acknowledged.len(), 80);
    let stored: BTreeSet<String> =
        place.reader().outcomes().unwrap().map(|outcome| outcome.unwrap().record.trade_id.to_string()).collect();
    assert_eq!(stored, acknowledged);
    assert_eq!(place.events().last(), Some(&EventKind::Stopped));
    assert!(!place.socket().exists());
}

#[test]
fn a_second_process_on_the_same_state_is_refused_and_the_first_goes_on() {
    let place = Place::new();
    let daemon = Process::start(&place, &[]);
    let mut second = Process::spawn(&place, &["--socket", "other.sock"]);
    assert_eq!(second.wait().code(), Some(1));
    assert!(second.log().contains("another process has this journal open"), "{}", second.log());
    daemon.connect().ask_ok(r#"{"type":"ping"}"#);
    daemon.stop();
}

#[test]
fn a_daemon_that_was_killed_leaves_nothing_in_the_way_of_the_next() {
    let place = Place::with_model(State::Production);
    let mut daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    wire.ask_ok(outcome("T-1", 1.0));
    daemon.kill();
    assert!(place.socket().exists(), "left behind");
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.ask_ok(outcome("T-1", 1.0))["duplicate"], true);
    assert_eq!(wire.arm("T-2"), ml());
    daemon.stop();
}

#[test]
fn a_daemon_that_cannot_start_says_why() {
    let place = Place::new();
    place.file("config.toml", "scoring.blend_weight = 3\n");
    let mut daemon = Process::spawn(&place, &[]);
    assert_eq!(daemon.wait().code(), Some(3));
    assert!(daemon.log().contains("blend_weight"), "{}", daemon.log());
    place.file("config.toml", "access.trader_users = [\"no-such-user-here\"]\n");
    let mut daemon = Process::spawn(&place, &[]);
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(daemon.log().contains("no-such-user-here"), "{}", daemon.log());
    place.file("config.toml", CONFIG);
    fs::write(place.state(), "a file").unwrap();
    let mut daemon = Process::spawn(&place, &[]);
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(daemon.log().contains("state folder"), "{}", daemon.log());
}
