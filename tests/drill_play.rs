//! Emergencies played by `vigie drill --play`, and the wall between drills and trading.
//!
//! `VIGIE_LONG=1` plays each emergency 20 times instead of once.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use common::{
    between,
    long::cases,
    place::Place,
    process::{Process, succeed, told, vigie},
    wait::until,
    wire::{LOCK, score},
};
use serde_json::{Value, json};
use vigie::{actors::daemon::DRILL_FILE, domain::lifecycle::State};

/// Connections of the load of a drill.
const CONNECTIONS: usize = 8;
/// More words than are told one by one.
const FEW: usize = 8;

#[test]
fn each_emergency_is_played_under_load_and_no_model_is_heard_after_its_acknowledgement() {
    let (rounds, place) = (cases(1, 20), Place::new());
    let played = told(&place, &["drill", "--play", "--rounds", &rounds.to_string(), "--json"], 0);
    println!("{played}");
    let rows = played["emergencies"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["emergency"].as_str().unwrap()).collect();
    assert!(names.starts_with(&["accuracy", "loss_streak", "day_loss"]), "{names:?}");
    assert!(names.ends_with(&["a trade without a pnl", "kill"]), "{names:?}");
    for row in rows {
        assert_eq!((&row["played"], &row["ml_answers_after"]), (&json!(rounds), &json!(0)), "{row}");
        assert!(row["answers_after"].as_u64() >= Some(64 * rounds), "under load: {row}");
        assert!(row["acknowledged_us"]["p50"].as_u64() > Some(0), "{row}");
    }
}

/// What a model said last, told again where `is_to_be` says so: the answer to the request, with that model's word in it.
fn repeating(is_to_be: impl Fn(&Value) -> bool + Send + Sync) -> impl Fn(&Value, Value) -> Value + Send + Sync {
    let last = Mutex::new(Value::Null);
    move |request, answer| {
        let repeats = is_to_be(request);
        let mut last = last.lock().unwrap();
        if answer["arm"] == "ml" {
            *last = answer.clone();
        }
        if !repeats {
            return answer;
        }
        let mut word = last.clone();
        word["trade_id"] = request["trade_id"].clone();
        word
    }
}

#[test]
fn a_word_after_an_acknowledgement_ends_a_drill_with_1_and_is_told_with_its_trade_model_and_delay() {
    let place = Place::new();
    let asks = |request: &Value, trade: &str| request["trade_id"].as_str().is_some_and(|id| id.starts_with(trade));
    // once on the connection of the acknowledgement, and on all others from another acknowledgement until the next round
    let (silenced, repeated) = (AtomicBool::new(false), AtomicUsize::new(0));
    let is_to_be = move |request: &Value| {
        if asks(request, "A-1-0") || request["type"] == "resume" {
            silenced.store(request["type"] != "resume", Ordering::Release);
        }
        if asks(request, "A-1-1") {
            // of each connection the first may have been asked before the acknowledgement, and the last not be read yet
            let enough = 2 * CONNECTIONS + FEW;
            until("repeated words", || (repeated.load(Ordering::Acquire) >= enough).then_some(()));
        }
        let on_another = asks(request, "L-") && silenced.load(Ordering::Acquire);
        repeated.fetch_add(usize::from(on_another), Ordering::AcqRel);
        on_another || asks(request, "A-0-2")
    };
    let output = between::drill(&place, &["--rounds", "1", "--json"], repeating(is_to_be));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let played: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{said}{played}");
    let rows = played["emergencies"].as_array().unwrap();
    let heard: Vec<u64> = rows.iter().map(|row| row["ml_answers_after"].as_u64().unwrap()).collect();
    assert!(heard[0] == 1 && heard[1] >= FEW as u64 && heard[2..].iter().all(|words| *words == 0), "{played}");
    let told = |row: &Value, emergency: &str| {
        let word = &row["words_after"][0];
        let (trade, model) = (word["trade"].as_str().unwrap(), word["model"].as_str().unwrap());
        let delay = word["after_us"].as_u64().unwrap();
        assert!(delay > 0, "{word}");
        let sentence = format!("{model} in the answer to {trade}, {delay} us after the acknowledgement of {emergency}");
        assert!(said.contains(&sentence), "{sentence} is not in {said}");
        (trade.to_owned(), model.to_owned())
    };
    assert_eq!(told(&rows[0], "accuracy"), ("A-0-2".to_owned(), "ES/1".to_owned()));
    let (trade, model) = told(&rows[1], "loss_streak");
    assert!(trade.starts_with("L-") && model == "ES/2", "{trade} {model}");
    let all = heard.iter().sum::<u64>();
    assert!(said.contains(&format!("emergency, {all} times: ")) && said.contains(" times more"), "{said}");
}

#[test]
fn who_comes_between_a_drill_and_its_daemon_and_changes_nothing_changes_no_verdict() {
    let place = Place::new();
    let output = between::drill(&place, &["--rounds", "1", "--json"], |_, answer| answer);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_drill_says_so_everywhere_and_neither_kind_of_daemon_takes_the_folder_of_the_other() {
    let place = Place::new();
    let drill = Process::start(&place, &["--drill"]);
    assert_eq!(drill.connect().status()["drill"], true);
    // the log has a thread of its own: its first line may come after the first answer
    let log = until("a whole line of the log", || Some(drill.log()).filter(|log| log.ends_with('\n')));
    assert!(log.lines().all(|line| line.starts_with("DRILL ")), "{log}");
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
    let mut up_to = |event: &str| {
        while told.last().unwrap()["event"] != event {
            told.push(follower.answer());
        }
    };
    up_to("caught_up");
    wire.ask(score("T-1"));
    up_to("decision");
    wire.ask_ok(LOCK);
    up_to("locked");
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
    for code in ["drill", "locked"] {
        assert!(
            told.iter().any(|line| line["code"] == code && line["event"].is_null()),
            "{code} in the list of alerts"
        );
    }
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
