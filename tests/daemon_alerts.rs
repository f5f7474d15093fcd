//! What people are told: each emergency once, the same fault of one trade a few times, and nothing urgent pushed out of sight.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, thread};

use common::{
    daemon::{Daemon, Setup},
    place::{CONFIG, Place},
    process::{Process, succeed, vigie},
    wait::until,
    wire::{LOCK, Wire, ml, outcome, score},
};
use serde_json::{Value, json};
use vigie::domain::{EventKind, lifecycle::State};

fn emergencies() -> Setup {
    let limits = "[guardian]\nmax_loss_streak = 4\ndaily_loss_limit = 1000000\n[lifecycle]\nautomatic = false\n";
    Setup { config: format!("{CONFIG}{limits}"), ..Setup::default() }
}

/// Sends all lines in one write and reads as many answers.
fn pipelined(wire: &mut Wire, lines: &[String]) -> Vec<Value> {
    wire.send(lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    lines.iter().map(|_| wire.answer()).collect()
}

#[test]
fn one_emergency_is_recorded_once_however_many_outcomes_are_in_flight() {
    for round in 0..4 {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, emergencies());
        let mut wire = daemon.connect();
        let ids: Vec<String> = (0..70).map(|n| format!("T-{n}")).collect();
        ids.iter().for_each(|id| assert_eq!(wire.arm(id), ml()));
        ids[..4].iter().for_each(|id| drop(wire.ask_ok(outcome(id, -1.0))));
        // the fifth loss trips, and a crowd of outcomes is right behind it
        let rest: Vec<String> = ids[4..].iter().map(|id| outcome(id, -1.0)).collect();
        assert!(pipelined(&mut wire, &rest).iter().all(|answer| answer["ok"] == true));
        daemon.stop();
        let events = place.events();
        let count = |is: fn(&EventKind) -> bool| events.iter().filter(|event| is(event)).count();
        let latched = count(|event| matches!(event, EventKind::Latched { .. }));
        let gone = count(|event| matches!(event, EventKind::Moved { step, .. } if step.edge().1 == State::RolledBack));
        assert_eq!((latched, gone, place.alerts("emergency").len()), (1, 1, 1), "round {round}");
    }
}

#[test]
fn a_trade_told_wrongly_again_and_again_is_an_alert_and_then_a_count() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(outcome("T-1", 1.0));
    let wrong: Vec<String> = (0..1000).map(|n| outcome("T-1", 2.0 + f64::from(n))).collect();
    assert!(pipelined(&mut wire, &wrong).iter().all(|answer| answer["error"]["code"] == "conflict"));
    let impossible: Vec<String> = (0..150).map(|_| outcome("T-2", 1e12)).collect();
    assert!(pipelined(&mut wire, &impossible).iter().all(|answer| answer["error"]["code"] == "out_of_range"));
    wire.ask_ok(outcome("T-3", 1.0));
    assert_eq!(wire.ask(outcome("T-3", 2.0))["error"]["code"], "conflict");
    daemon.stop();
    let told = place.alerts("conflict");
    let counts =
        ["compare with the broker and correct the trader", "10 times so far", "100 times so far", "1000 times so far"];
    assert!(told.iter().zip(counts).all(|(told, end)| told.starts_with("T-1: ") && told.ends_with(end)), "{told:?}");
    assert!(told.len() == 5 && told[4].starts_with("T-3: "), "{told:?}");
    assert_eq!(place.alerts("outcome_refused").len(), 3, "of the first, the tenth and the hundredth");
}

#[test]
fn no_crowd_of_lesser_alerts_pushes_a_critical_one_out_of_the_usual_view() {
    let place = Place::new();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    wire.ask_ok(LOCK);
    for n in 0..150 {
        let id = format!("T-{n}");
        wire.ask_ok(outcome(&id, 1.0));
        assert_eq!(wire.ask(outcome(&id, 2.0))["error"]["code"], "conflict");
    }
    let alerts = until("all alerts", || {
        let alerts = wire.ask_ok(r#"{"type":"alerts"}"#)["alerts"].take();
        (alerts.as_array().unwrap().last().unwrap()["message"].as_str().unwrap().starts_with("T-149:"))
            .then_some(alerts)
    });
    let alerts = alerts.as_array().unwrap();
    assert_eq!((alerts.len(), &alerts[0]["code"]), (100, &json!("locked")));
    assert!(alerts.windows(2).all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64()), "newest last");
    let socket = place.socket();
    let said = String::from_utf8(succeed(&place, &["alerts", "--socket", socket.to_str().unwrap()]).stdout).unwrap();
    assert!(said.lines().count() == 20 && said.lines().next().unwrap().contains("critical locked:"), "{said}");
    daemon.stop();
}

#[test]
fn a_reload_that_meets_another_is_to_be_tried_again() {
    let place = Place::new();
    let daemon = Process::start(&place, &[]);
    let mut wires: Vec<Wire> = (0..8).map(|_| daemon.connect()).collect();
    wires.iter_mut().for_each(|wire| drop(wire.ask_ok(r#"{"type":"ping"}"#)));
    // all of them are there when it looks
    daemon.signal("STOP");
    until("a daemon that stands still", || daemon.state().starts_with('T').then_some(()));
    wires.iter_mut().for_each(|wire| wire.send("{\"type\":\"reload\"}\n"));
    daemon.signal("CONT");
    let answers: Vec<Value> = wires.iter_mut().map(Wire::answer).collect();
    let met = answers.iter().filter(|answer| answer["error"]["code"] == "retry").count();
    let done = answers.iter().filter(|answer| answer["ok"] == true).count();
    assert!(met + done == 8 && met > 0 && done > 0, "{answers:?}");
    wires[0].ask_ok(r#"{"type":"reload"}"#);
    wires[0].ask_ok(score("T-1"));
    daemon.stop();
}

#[test]
fn a_lock_and_a_kill_are_alerts_and_a_check_of_the_status_is_critical_while_they_hold() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let run = |arguments: &[&str]| {
        let at = ["--socket", socket.to_str().unwrap()];
        let output = vigie(&place, &[arguments, &at].concat()).output().unwrap();
        let [said, warned] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code().unwrap(), said, warned)
    };
    let reason = ["--reason", "a test"];
    let ends_with = |arguments: &[&str], code: i32| {
        let ended = run(arguments);
        assert_eq!(ended.0, code, "{arguments:?}: {ended:?}");
        ended.1
    };
    let well = ends_with(&["status", "--check"], 0);
    assert!(well.starts_with("VIGIE OK - ES/1 in production | uptime=") && well.lines().count() == 1, "{well}");
    for (order, told) in [("lock", ": a test"), ("kill", ": killed: a test")] {
        ends_with(&[&[order], &reason[..]].concat(), 0);
        let check = ends_with(&["status", "--check"], 2);
        assert!(check.starts_with(&format!("VIGIE CRITICAL - locked to the baseline{told} |")), "{order}: {check}");
        let alerts = ends_with(&["alerts"], 0);
        let last = alerts.lines().last().unwrap_or_default();
        assert!(last.contains(" critical locked: ") && last.ends_with(told), "{alerts}");
        ends_with(&[&["resume"], &reason[..]].concat(), 0);
        ends_with(&["status", "--check"], 0);
    }
    // what a command is given and the daemon does not read, it says
    place.file("other.toml", "training.seed = 3\n");
    let (_, _, warned) = run(&["train", "--config", "other.toml"]);
    assert!(warned.contains("other.toml is not used"), "{warned}");
    daemon.stop();
    let gone = ends_with(&["status", "--check"], 2);
    assert!(gone.starts_with("VIGIE CRITICAL - no daemon answers at ") && gone.lines().count() == 1, "{gone}");
}

/// The scheduling priorities of the threads of a process that are called `name`.
fn niceness(process: u32, name: &str) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.unwrap().path().join("stat")).ok());
    let its = stats.filter_map(|stat| stat.split_once(&format!(" ({name}) ")).map(|(_, rest)| rest.to_owned()));
    its.map(|rest| rest.split(' ').nth(16).unwrap().parse().unwrap()).collect()
}

#[test]
fn however_many_ask_what_the_journal_holds_two_are_answered_at_once_behind_all_that_serves() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    thread::scope(|scope| {
        for question in ["alerts", "signals", "models", "experiment"].iter().cycle().take(16) {
            let mut wire = daemon.connect();
            scope.spawn(move || {
                (0..20).for_each(|_| drop(wire.ask_ok(format!(r#"{{"type":"{question}"}}"#))));
            });
        }
        let (scans, own) = (niceness(daemon.id(), "scan"), niceness(daemon.id(), "vigie"));
        assert!(scans.len() <= 2 && scans.iter().all(|nice| *nice >= own[0] + 10), "{scans:?} behind {own:?}");
    });
    // they stay for a while
    assert_eq!(niceness(daemon.id(), "scan").len(), 2);
    daemon.stop();
}
