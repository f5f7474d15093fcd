//! What is told of all that happens: alerts that are asked for, and events to subscribers.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, time::Duration};

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{CONFIG, Place},
    process::{Process, succeed},
    wait::{until, until_passed},
    wire::{LOCK, Wire, outcome, score},
};
use serde_json::{Value, json};
use vigie::{
    clock::Stopwatch,
    domain::{TradeId, lifecycle::State},
};

/// Begins to subscribe and gives the answer.
fn subscribe(wire: &mut Wire, fields: &Value) -> Value {
    let mut request = json!({ "type": "subscribe" });
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    wire.ask_ok(request.to_string())
}

/// What is told up to the sign that the past is over.
fn past(wire: &mut Wire) -> Vec<Value> {
    let mut told = Vec::new();
    loop {
        let line = wire.answer();
        if line["event"] == "caught_up" {
            return told;
        }
        told.push(line);
    }
}

/// The next `count` events; where the journal was looked at again is passed over.
fn next(wire: &mut Wire, count: usize) -> Vec<Value> {
    let mut told = Vec::new();
    while told.len() < count {
        let line = wire.answer();
        if line["event"] != "caught_up" {
            told.push(line);
        }
    }
    told
}

/// The events of the journal from a number on, as a subscriber should be told of them.
fn journal(place: &Place, from: u64) -> Vec<Value> {
    let reader = place.reader();
    let told = |seq: u64, event: &vigie::domain::Event| {
        let mut line = serde_json::to_value(event).unwrap();
        line["seq"] = seq.into();
        line
    };
    reader.events(from).unwrap().map(Result::unwrap).map(|stored| told(stored.seq, &stored.event)).collect()
}

fn note(file: &str) -> String {
    json!({ "type": "imported", "file": file, "lines": 1, "stored": 1, "rejected": 0 }).to_string()
}

#[test]
fn alerts_are_listed_newest_last_by_number_time_and_urgency() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    for n in 1..=3 {
        let id = format!("T-{n}");
        wire.ask_ok(outcome(&id, 1.0));
        assert_eq!(wire.ask(outcome(&id, 2.0))["error"]["code"], "conflict");
    }
    // an alert is written behind the answer it belongs to
    let all = until("three alerts", || {
        let answer = wire.ask_ok(r#"{"type":"alerts","id":"a"}"#);
        (answer["alerts"].as_array().unwrap().len() == 3).then_some(answer)
    });
    assert_eq!((all["id"].as_str(), &all["unreadable"]), (Some("a"), &json!(0)));
    let alerts = all["alerts"].as_array().unwrap();
    let numbers: Vec<u64> = alerts.iter().map(|alert| alert["seq"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted() && all["last_seq"].as_u64().unwrap() >= numbers[2], "{all}");
    assert!(alerts[2]["message"].as_str().unwrap().contains("T-3"), "{all}");
    let mut ask = |fields: &str| {
        let answer = wire.ask_ok(format!(r#"{{"type":"alerts",{fields}}}"#));
        answer["alerts"].as_array().unwrap().iter().map(|alert| alert["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ask(r#""limit":2"#), numbers[1..]);
    let level = alerts[0]["level"].as_str().unwrap();
    assert_eq!(ask(&format!(r#""level":"{level}""#)), numbers);
    assert!(level == "critical" || ask(r#""level":"critical""#).is_empty());
    assert_eq!(ask(&format!(r#""since":{}"#, alerts[1]["at"])), numbers[1..]);
    assert!(ask(r#""since":"2200-01-01T00:00:00Z""#).is_empty());
    daemon.stop();
}

#[test]
fn nothing_falls_between_a_read_and_a_subscription() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(LOCK);
    let last = wire.ask_ok(r#"{"type":"alerts"}"#)["last_seq"].as_u64().unwrap();
    // some happens before the subscription, some while it begins, some after
    (0..10).for_each(|n| drop(wire.ask_ok(note(&format!("before {n}")))));
    (0..10).for_each(|n| wire.send(format!("{}\n", note(&format!("meanwhile {n}")))));
    let mut follower = daemon.connect();
    let answer = subscribe(&mut follower, &json!({ "id": 5, "from": last + 1 }));
    assert_eq!((answer["id"].as_u64(), answer["from"].as_u64()), (Some(5), Some(last + 1)));
    (0..10).for_each(|_| drop(wire.answer()));
    (0..10).for_each(|n| drop(wire.ask_ok(note(&format!("after {n}")))));
    let told = next(&mut follower, 30);
    assert_eq!(told, journal(&place, last + 1));
    assert_eq!(told[29]["file"], "after 9");
    daemon.stop();
}

#[test]
fn a_subscription_from_the_start_tells_all_and_one_without_a_start_only_what_is_new() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    (0..300).for_each(|n| wire.send(format!("{}\n", note(&n.to_string()))));
    (0..300).for_each(|_| drop(wire.answer()));
    let (mut old, mut new) = (daemon.connect(), daemon.connect());
    subscribe(&mut old, &json!({ "from": 0 }));
    assert_eq!(past(&mut old), journal(&place, 0));
    subscribe(&mut new, &json!({}));
    assert_eq!(past(&mut new), Vec::<Value>::new());
    wire.ask_ok(LOCK);
    let told = next(&mut new, 1);
    assert_eq!((told[0]["event"].as_str(), &told), (Some("locked"), &next(&mut old, 1)));
    // a number that this journal has not reached is that of another journal
    let ahead = daemon.connect().ask(r#"{"type":"subscribe","from":9999999}"#);
    assert_eq!(
        (ahead["error"]["code"].as_str(), ahead["error"]["field"].as_str()),
        (Some("out_of_range"), Some("from"))
    );
    daemon.stop();
}

#[test]
fn decisions_are_told_to_who_wants_them_once_they_are_on_disk() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let (mut wire, mut all, mut events) = (daemon.connect(), daemon.connect(), daemon.connect());
    wire.ask_ok(score("T-0"));
    subscribe(&mut all, &json!({ "decisions": true }));
    subscribe(&mut events, &json!({}));
    let answer = wire.ask_ok(score("T-1"));
    let told = &next(&mut all, 1)[0];
    for field in ["trade_id", "arm", "reason", "size", "score"] {
        assert_eq!(told[field], answer[field], "{field}");
    }
    let reader = place.reader();
    let stored = reader.signal(&TradeId::new("T-1").unwrap()).unwrap().unwrap();
    assert_eq!((told["event"].as_str(), told["seq"].as_u64()), (Some("decision"), Some(stored.seq)));
    wire.ask_ok(LOCK);
    assert_eq!(next(&mut events, 1)[0]["event"], "locked", "decisions are told to nobody else");
    daemon.stop();
}

#[test]
fn what_is_waited_for_lingers_for_nobody() {
    let place = Place::new();
    let config = format!("journal.linger_ms = 1000\n{CONFIG}");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let mut wire = daemon.connect();
    let start = Stopwatch::start();
    for n in 0..10 {
        // alone, at a journal that sleeps, and right behind what does linger
        wire.ask_ok(outcome(&format!("alone-{n}"), 1.0));
        wire.ask_ok(score(&format!("T-{n}")));
        wire.ask_ok(outcome(&format!("T-{n}"), 1.0));
    }
    let all = start.elapsed();
    assert!(all < Duration::from_millis(1000), "{all:?}");
    daemon.stop();
}

/// What a start has to write is written within a second or two.
#[test]
fn a_daemon_that_is_told_nothing_writes_nothing() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let mut commits = || wire.ask_ok(r#"{"type":"status"}"#)["status"]["journal"]["commits"].as_u64().unwrap();
    until_passed(Stopwatch::start(), Duration::from_millis(1500));
    let before = commits();
    until_passed(Stopwatch::start(), Duration::from_millis(3500));
    assert_eq!(commits(), before);
    daemon.stop();
}

#[test]
fn a_decision_after_a_quiet_time_is_on_disk_at_once_and_those_of_a_crowd_share_their_commits() {
    let place = Place::new();
    let config = format!("journal.linger_ms = 1000\n{CONFIG}");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let (mut wire, mut follower) = (daemon.connect(), daemon.connect());
    subscribe(&mut follower, &json!({ "decisions": true }));
    until_passed(Stopwatch::start(), Duration::from_millis(1100));
    let start = Stopwatch::start();
    wire.ask_ok(score("alone"));
    assert_eq!(next(&mut follower, 1)[0]["trade_id"], "alone");
    let alone = start.elapsed();
    assert!(alone < Duration::from_millis(600), "{alone:?}");
    (0..30).for_each(|n| drop(wire.ask_ok(score(&format!("crowd-{n}")))));
    next(&mut follower, 1);
    let first = start.elapsed();
    next(&mut follower, 29);
    let all = start.elapsed();
    assert!(first > Duration::from_millis(900), "{first:?}");
    assert!(all - first < Duration::from_millis(500), "{first:?} {all:?}");
    daemon.stop();
}

#[test]
fn what_a_failing_disk_held_back_is_told_when_it_is_on_disk() {
    let place = Place::new();
    let trap = Trap::default();
    let config = format!("{CONFIG}supervision.max_restarts = 100\n");
    let daemon = Daemon::start_with(&place, Setup { config, trap: trap.clone(), ..Setup::default() });
    let (mut wire, mut follower) = (daemon.connect(), daemon.connect());
    let from = subscribe(&mut follower, &json!({}))["from"].as_u64().unwrap();
    for n in 0..5 {
        trap.panic_over("journal", "apply", 1);
        assert_eq!(wire.ask(note(&format!("lost {n}")))["ok"], false);
        until("a journal that can be written", || {
            wire.ask(note(&format!("kept {n}")))["ok"].as_bool().filter(|ok| *ok)
        });
    }
    let expected = journal(&place, from);
    assert!(expected.len() >= 10, "the restarts are events too: {expected:?}");
    assert_eq!(next(&mut follower, expected.len()), expected);
    daemon.stop();
}

#[test]
fn a_subscriber_that_falls_behind_reads_from_the_journal_again_and_misses_nothing() {
    let place = Place::new();
    let config = format!("{CONFIG}server.write_timeout_ms = 600000\n");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let (mut wire, mut follower) = (daemon.connect(), daemon.connect());
    let from = subscribe(&mut follower, &json!({}))["from"].as_u64().unwrap();
    // more than the socket, the lines in between and the posts hold
    let long = "x".repeat(20_000);
    (0..400).for_each(|n| drop(wire.ask_ok(note(&format!("{n} {long}")))));
    assert_eq!(next(&mut follower, 400), journal(&place, from));
    daemon.stop();
}

#[test]
fn a_subscriber_that_never_reads_is_cut_off_and_disturbs_nobody() {
    let place = Place::new();
    let config = format!("{CONFIG}server.write_timeout_ms = 300\n");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let mut wire = daemon.connect();
    let mut silent: Vec<Wire> = (0..8).map(|_| daemon.connect()).collect();
    silent.iter_mut().for_each(|one| drop(subscribe(one, &json!({ "decisions": true }))));
    let mut events = daemon.connect();
    subscribe(&mut events, &json!({}));
    let mut slowest = Duration::ZERO;
    until("the end of those who never read", || {
        for n in 0..100 {
            let watch = Stopwatch::start();
            wire.ask_ok(score(&format!("T-{n}")));
            slowest = slowest.max(watch.elapsed());
        }
        (wire.status()["connections"] == 2).then_some(())
    });
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    wire.ask_ok(LOCK);
    assert_eq!(next(&mut events, 1)[0]["event"], "locked", "one who reads is still told");
    daemon.stop();
}

#[test]
fn what_a_subscriber_sends_is_refused_and_ends_its_connection() {
    let place = Place::new();
    let config = format!("{CONFIG}server.half_line_timeout_ms = 600000\n");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let ping = r#"{"type":"ping"}"#;
    // behind the subscription, in the same write; later; and half a line
    for (first, then) in [(format!("{ping}\n"), ""), (String::new(), ping), (String::new(), "{")] {
        let mut wire = daemon.connect();
        wire.send(format!("{{\"type\":\"subscribe\",\"id\":1}}\n{first}"));
        assert_eq!(wire.answer()["id"], 1);
        if first.is_empty() {
            assert_eq!(past(&mut wire), Vec::<Value>::new());
            wire.send(then);
        }
        assert_eq!(wire.answer()["error"]["code"], "subscribed");
        assert_eq!(wire.line(), None, "closed");
    }
    daemon.stop();
}

#[test]
fn subscribers_do_not_hold_up_a_stop_and_their_connections_end_with_it() {
    let place = Place::new();
    let config = format!("{CONFIG}server.drain_ms = 60000\n");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let mut followers: Vec<Wire> = (0..20).map(|_| daemon.connect()).collect();
    for follower in &mut followers {
        subscribe(follower, &json!({}));
        assert_eq!(past(follower), Vec::<Value>::new());
    }
    daemon.connect().ask_ok(LOCK);
    let watch = Stopwatch::start();
    daemon.stop();
    assert!(watch.elapsed() < Duration::from_secs(10), "{:?}", watch.elapsed());
    for follower in &mut followers {
        assert_eq!(next(follower, 1)[0]["event"], "locked");
        assert_eq!(follower.line(), None, "closed");
    }
}

#[test]
fn the_commands_tell_the_same_in_words_and_as_json() {
    let place = Place::new();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    wire.ask_ok(LOCK);
    wire.ask_ok(outcome("T-1", 1.0));
    wire.ask(outcome("T-1", 2.0));
    until("an alert", || wire.ask_ok(r#"{"type":"alerts"}"#)["alerts"].get(0).cloned());
    let socket = place.socket();
    let run = |arguments: &[&str]| {
        let output = succeed(&place, &[arguments, &["--socket", socket.to_str().unwrap()]].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let words = run(&["events"]);
    for part in ["began to serve", "locked to the baseline by uid", "a test", "warning conflict: T-1"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let lines = run(&["events", "--json"]);
    let told: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told, journal(&place, 0));
    assert_eq!(words.lines().count(), told.len());
    let alerts = run(&["alerts"]);
    assert!(alerts.contains("warning conflict: T-1"), "{alerts}");
    let alerts: Value = serde_json::from_str(&run(&["alerts", "--json", "--limit", "1"])).unwrap();
    assert_eq!(alerts.as_array().unwrap().len(), 1);
    assert_eq!(run(&["alerts", "--since", "2200-01-01T00:00:00Z"]), "no alerts\n");
    daemon.stop();
}

#[test]
fn status_says_what_recurs_when_it_ran_last_and_what_came_of_it() {
    let place = Place::with_model(State::Production);
    let config = format!("{CONFIG}lifecycle.verify_s = 1\n");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let mut wire = daemon.connect();
    let mut job = |name: &str, is_so: &dyn Fn(&Value) -> bool| until(name, || Some(wire.job(name)).filter(is_so));
    for (name, thread, when, found) in [
        ("kill_file", "jobs", "every 200ms", "it is not there"),
        ("socket_file", "jobs", "every 200ms", "it is there"),
        ("round", "main", "every 1s", "it was told"),
        ("verify", "main", "every 1s", "it is the same"),
        ("clock", "main", "every 1s", "they agree"),
    ] {
        let ran = job(name, &|job| job["runs"].as_u64() > Some(1) && job["last"]["found"] == found);
        assert_eq!(
            (&ran["thread"], &ran["when"], &ran["failures"]),
            (&json!(thread), &json!(when), &json!(0)),
            "{ran}"
        );
        assert!(ran["last"]["took_us"].is_u64() && ran["last_failure"].is_null(), "{ran}");
    }
    // what is found changes with what there is to find
    fs::write(place.state().join("kill"), "").unwrap();
    job("kill_file", &|job| job["last"]["found"] == "it is there");
    job("verify", &|job| job["last"]["found"].as_str().is_some_and(|found| found.starts_with("not compared")));
    daemon.stop();
}

#[test]
fn the_last_run_of_a_job_survives_a_restart() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(r#"{"type":"archive","before":"2025-01-01"}"#);
    let ran = until("an archiving", || Some(wire.job("archive")).filter(|job| job["last"].is_object()));
    assert_eq!(ran["last"]["why"], "`vigie archive`");
    assert_eq!(ran["runs"], 1);
    daemon.stop();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let known = wire.job("archive");
    assert_eq!((&known["last"], &known["last_failure"]), (&ran["last"], &ran["last_failure"]));
    assert_eq!((&known["runs"], &known["running"]), (&json!(0), &json!(false)));
    // what recurs by a period is not kept: it says soon what it finds
    let other = wire.job("kill_file");
    assert!(other["last"].is_null() || other["runs"].as_u64() > Some(0), "{other}");
    daemon.stop();
}
