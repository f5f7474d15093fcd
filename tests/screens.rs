//! What the socket tells the screens of the page: every figure is that of the rules, and of what is on disk.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    daemon::Daemon,
    place::{BY_HAND, CONFIG, Place},
    process::{Process, succeed},
    wait::until,
    wire::{Wire, outcome, score},
};
use serde_json::{Value, json};
use vigie::domain::lifecycle::State;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz");

/// An input that the example model uses.
const INPUT: &str = "level_proximity";

/// The signal of that trade as the socket explains it, once it is on disk.
fn explained(wire: &mut Wire, trade_id: &str) -> Value {
    let seq = until("the signal on disk", || {
        let told = wire.ask_ok(r#"{"type":"signals","limit":20}"#)["signals"].take();
        let found = told.as_array().unwrap().iter().find(|signal| signal["trade_id"] == trade_id).cloned();
        assert!(told.as_array().unwrap().iter().all(|signal| signal.get("moved").is_none()), "{told}");
        found.map(|signal| signal["seq"].as_u64().unwrap())
    });
    let told = wire.ask_ok(json!({ "type": "signals", "seq": seq }).to_string())["signals"].take();
    assert_eq!((told.as_array().unwrap().len(), &told[0]["trade_id"]), (1, &json!(trade_id)), "{told}");
    told[0].clone()
}

/// The same signal with another value of an input, or none.
fn with(line: &str, name: &str, value: &Value) -> String {
    let mut signal: Value = serde_json::from_str(line).unwrap();
    match name {
        "confidence" => signal["confidence"] = value.clone(),
        name => signal["features"][name] = value.clone(),
    }
    signal.to_string()
}

#[test]
fn what_moved_a_score_is_what_the_score_would_be_without_it() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let whole = wire.ask_ok(score("T-0"))["score"].as_f64().unwrap();
    let told = explained(&mut wire, "T-0");
    let moved = &told["moved"][0];
    assert_eq!((&moved["version"], &moved["explained"]["score"]), (&json!("ES/1"), &json!(whole)), "{moved}");
    let inputs = moved["explained"]["inputs"].as_array().unwrap();
    assert!(inputs.len() > 5 && inputs.iter().all(|input| input["from"] == "measured"), "{moved}");
    // the daemon itself says what it makes of the signal with one input at its usual value
    let mut compared = 0;
    for input in inputs {
        let name = input["name"].as_str().unwrap();
        let is_turned =
            ["vwap_trend_signal", "dow_trend_regime", "es_nq_correlation", "options_flow_bias", "recent_momentum"];
        if is_turned.contains(&name) || name == "confidence" {
            continue;
        }
        let usually = wire.ask_ok(with(&score(&format!("T-{name}")), name, &input["usual"]))["score"].as_f64().unwrap();
        let expected = whole - usually;
        assert!((input["moved"].as_f64().unwrap() - expected).abs() < 1e-12, "{name}: {input}, {expected}");
        compared += usize::from(expected.abs() > 1e-6);
    }
    assert!(compared >= 3, "hardly an input moves this score: {moved}");

    // one that does not come is carried forward from the latest signal before, and told so with the value that was used
    let at = |minute: usize, line: &str| line.replace("T15:00:00Z", &format!("T15:0{minute}:00Z"));
    let last = wire.ask_ok(at(1, &with(&score("T-last"), INPUT, &json!(0.25))))["score"].as_f64().unwrap();
    let carried = wire.ask_ok(at(2, &with(&score("T-gone"), INPUT, &Value::Null)))["score"].as_f64().unwrap();
    assert_eq!(last, carried);
    let told = explained(&mut wire, "T-gone");
    let inputs = told["moved"][0]["explained"]["inputs"].as_array().unwrap_or_else(|| panic!("{told}"));
    let filled: Vec<&Value> = inputs.iter().filter(|input| input["from"] != "measured").collect();
    assert_eq!(filled.len(), 1, "{filled:?}");
    assert_eq!(
        (&filled[0]["name"], &filled[0]["from"], &filled[0]["value"]),
        (&json!(INPUT), &json!("carried"), &json!(0.25))
    );
    assert_eq!(told["features"][INPUT], Value::Null);
    // long after, nothing is carried, and the median is guessed
    let late = with(&score("T-late"), INPUT, &Value::Null).replace("2025-09-01T15:00:00Z", "2025-09-03T15:00:00Z");
    wire.ask_ok(late);
    let told = explained(&mut wire, "T-late");
    let inputs = told["moved"][0]["explained"]["inputs"].as_array().unwrap_or_else(|| panic!("{told}"));
    let input = inputs.iter().find(|input| input["name"] == INPUT).unwrap();
    assert_eq!((&input["from"], &input["value"]), (&json!("guessed"), &input["usual"]), "{input}");

    // nobody has the number of an outcome, and none is no signal
    wire.ask_ok(outcome("T-0", 1.0));
    let last = wire.ask_ok(r#"{"type":"alerts"}"#)["last_seq"].as_u64().unwrap();
    for seq in [0, last, last + 7] {
        let none = wire.ask_ok(json!({ "type": "signals", "seq": seq }).to_string());
        assert_eq!(none["signals"], json!([]), "{seq}");
    }
    daemon.stop();
}

#[test]
fn a_score_that_cannot_be_made_again_is_not_explained_and_says_why() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(score("T-0"));
    explained(&mut wire, "T-0");
    drop(wire);
    daemon.stop();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let told = explained(&mut wire, "T-0");
    assert!(told["moved"][0].get("explained").is_some(), "a restart changes nothing: {told}");
    drop(wire);
    daemon.stop();
    // inputs that are carried for another time are not those that the version was trained on
    place.file("config.toml", &format!("{CONFIG}carry.{INPUT} = 1.0\n"));
    let daemon = Process::start(&place, &[]);
    let told = explained(&mut daemon.connect(), "T-0");
    let moved = &told["moved"][0];
    assert!(moved.get("explained").is_none() && moved["unknown"].as_str().unwrap().contains(INPUT), "{told}");
    daemon.stop();
}

/// A state folder with two versions, the second trained while the first was in production.
fn grown() -> Place {
    let place = Place::new();
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}"));
    let all = ["--state", "state", "--config", "config.toml"];
    succeed(&place, &["import", "--state", "state", EXAMPLES]);
    succeed(&place, &[&["train", "--keep"][..], &all].concat());
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let order = ["promote", "ES/1", "--to", "production", "--override", "--reason", "x", "--socket"];
    succeed(&place, &[&order[..], &[socket.to_str().unwrap()]].concat());
    daemon.stop();
    succeed(&place, &[&["train", "--keep", "--days", "150"][..], &all].concat());
    place
}

#[test]
fn a_passport_its_difference_and_the_decision_points_are_what_the_commands_tell() {
    let place = grown();
    let told = |arguments: &[&str]| -> Value {
        let all = [arguments, &["--state", "state", "--config", "config.toml", "--json"]].concat();
        serde_json::from_slice(&succeed(&place, &all).stdout).unwrap()
    };
    let (shown, differ) = (told(&["models", "show", "ES/2"]), told(&["models", "diff", "ES/2", "ES/1"]));
    let phases = told(&["phases"]);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let models = wire.ask_ok(r#"{"type":"models"}"#)["models"].take();
    assert_eq!((&models[0]["parent"], &models[1]["parent"]), (&Value::Null, &json!("ES/1")), "{models}");
    let (training, importance) = (&shown["record"]["training"], &shown["record"]["importance"]);
    assert_eq!(models[1]["training_span"], json!([training["first"], training["last"]]));
    assert_eq!(&models[1]["importance"], importance);

    let answer = wire.ask_ok(r#"{"type":"model","version":"ES/2","against":"ES/1"}"#);
    let model = &answer["model"];
    assert_eq!((&model["parent"], &model["importance"]), (&json!("ES/1"), importance), "{model}");
    assert!(model["facts"].as_array().unwrap().contains(&json!(["parent", "ES/1"])), "{model}");
    let (gates, checks) = (&model["validation"]["checks"], &shown["report"]["checks"]);
    let (gates, checks) = (gates.as_array().unwrap(), checks.as_array().unwrap());
    assert!(gates.len() > 15 && gates.len() == checks.len());
    for (gate, check) in gates.iter().zip(checks) {
        for field in ["part", "area", "value", "outcome", "hard", "help", "more_trades"] {
            assert_eq!(gate[field], check[field], "{field} of {gate}");
        }
        let (_, limit) = gate["limit"].as_str().unwrap().split_once(' ').unwrap();
        let number = check["limit"].as_object().unwrap().values().next().unwrap().as_f64().unwrap();
        assert!((limit.parse::<f64>().unwrap() - number).abs() < 1e-4, "{gate} {check}");
        assert_eq!(gate["help"].is_null(), gate["outcome"] == "pass", "{gate}");
    }
    let rows: Vec<Value> = answer["differ"].as_array().unwrap().clone();
    let text = |cell: &Value| cell.as_str().unwrap_or("-").to_owned();
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.as_array().unwrap().iter().map(text).collect()).collect();
    assert_eq!(json!(rows), differ["differ"]);

    assert_eq!(wire.ask_ok(r#"{"type":"phases","symbol":"ES"}"#)["phases"], phases);
    for refused in [
        r#"{"type":"model","version":"ES/9"}"#,
        r#"{"type":"model","version":"ES/1","against":"ES/9"}"#,
        r#"{"type":"phases","symbol":"ZZ"}"#,
    ] {
        assert_eq!(wire.ask(refused)["error"]["code"], "refused", "{refused}");
    }
    daemon.stop();
}
