//! Emergencies played by `vigie drill --play`, and the wall between drills and trading.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    place::Place,
    process::{Process, succeed, told, vigie},
    wire::{LOCK, score},
};
use serde_json::{Value, json};
use vigie::{actors::daemon::DRILL_FILE, domain::lifecycle::State};

#[test]
fn each_emergency_is_played_under_load_and_no_model_is_heard_after_its_acknowledgement() {
    let place = Place::new();
    let played = told(&place, &["drill", "--play", "--rounds", "2", "--json"], 0);
    println!("{played}");
    let rows = played["emergencies"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["emergency"].as_str().unwrap()).collect();
    assert_eq!(names, ["accuracy", "loss_streak", "day_loss", "a trade without a pnl", "kill"]);
    for row in rows {
        assert_eq!((&row["played"], &row["ml_answers_after"]), (&json!(2), &json!(0)), "{row}");
        assert!(row["answers_after"].as_u64() >= Some(128), "under load: {row}");
        assert!(row["acknowledged_us"]["p50"].as_u64() > Some(0), "{row}");
    }
}

#[test]
fn a_drill_says_so_everywhere_and_neither_kind_of_daemon_takes_the_folder_of_the_other() {
    let place = Place::new();
    let drill = Process::start(&place, &["--drill"]);
    assert_eq!(drill.connect().status()["drill"], true);
    let log = drill.log();
    assert!(!log.is_empty() && log.lines().all(|line| line.starts_with("DRILL ")), "{log}");
    drill.stop();
    assert!(place.state().join(DRILL_FILE).exists() && place.alerts("drill").len() == 1);
    let refused = |place: &Place, arguments: &[&str], why: &str| {
        let output = vigie(place, &["run", "--state", "state"]).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
    };
    refused(&place, &[], "is the state folder of a drill");
    Process::start(&place, &["--drill"]).stop();
    let trading = Place::with_model(State::Production);
    refused(&trading, &["--drill"], "has a journal that is not of a drill");
    let daemon = Process::start(&trading, &[]);
    assert_eq!(daemon.connect().status()["drill"], json!(null));
    daemon.stop();
}

/// What a daemon tells somebody who subscribes from the start, up to a decision and a lock that come while it is followed; with
/// its answer to the subscription, and its list of alerts.
fn lines_told(daemon: &Process) -> Vec<Value> {
    let (mut wire, mut follower) = (daemon.connect(), daemon.connect());
    let mut told = vec![follower.ask_ok(r#"{"type":"subscribe","from":0,"decisions":true}"#)];
    let mut until = |event: &str| {
        while told.last().unwrap()["event"] != event {
            told.push(follower.answer());
        }
    };
    until("caught_up");
    wire.ask(score("T-1"));
    until("decision");
    wire.ask_ok(LOCK);
    until("locked");
    told.extend(wire.ask_ok(r#"{"type":"alerts"}"#)["alerts"].as_array().unwrap().iter().cloned());
    told
}

#[test]
fn every_line_that_a_drill_tells_says_that_it_is_one_and_none_of_a_trading_daemon_does() {
    let (drilling, trading) = (Place::new(), Place::new());
    let drill = Process::start(&drilling, &["--drill"]);
    let told = lines_told(&drill);
    let events = ["started", "alert", "caught_up", "decision", "locked"];
    for event in events {
        assert!(told.iter().any(|line| line["event"] == event), "{event}: {told:?}");
    }
    let alert = told.last().unwrap();
    assert_eq!((&alert["code"], &alert["drill"]), (&json!("drill"), &json!(true)), "in the list of alerts");
    for line in &told {
        assert_eq!(line["drill"], true, "{line}");
    }
    for command in ["events", "alerts"] {
        let said = String::from_utf8(succeed(&drilling, &[command, "--socket", "state/vigie.sock"]).stdout).unwrap();
        assert!(!said.is_empty() && said.lines().all(|line| line.starts_with("DRILL #")), "{said}");
    }
    drill.stop();
    let daemon = Process::start(&trading, &[]);
    for line in lines_told(&daemon) {
        assert_eq!(line["drill"], Value::Null, "{line}");
    }
    daemon.stop();
}
