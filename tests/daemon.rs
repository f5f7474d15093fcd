//! The running daemon: what is answered, in which order, what is kept, and who is let in.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeSet;

use common::{
    daemon::{Daemon, Setup},
    place::Place,
    wait::until,
    wire::{LOCK, RESUME, Wire, arm_of, baseline, ml, outcome, promote, rollback, score, score_with, skip},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::{Control, Time},
    domain::{Arm, EventKind, Timestamp, TradeId, lifecycle::State},
    journal::Source,
    policy::routing::Salt,
};

fn trade(id: &str) -> TradeId {
    TradeId::new(id).unwrap()
}

#[test]
fn a_model_in_production_speaks_with_the_mean_of_both_and_the_decision_is_kept() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let answer = daemon.connect().ask_ok(score("T-1"));
    assert_eq!(arm_of(&answer), ml());
    let number = |name: &str| answer[name].as_f64().unwrap();
    assert!((number("confidence") - 0.5 * (0.6 + number("score"))).abs() < 1e-12, "{answer}");
    assert!(number("score") != 0.5 && (0.0..=1.0).contains(&number("score")), "{answer}");
    let size = if number("confidence") < 0.5 { 0.0 } else { 1.0 };
    assert_eq!((&answer["model"], &answer["id"], number("size")), (&json!("ES/1"), &json!("T-1"), size));
    daemon.stop();
    let kept = place.reader().signal(&trade("T-1")).unwrap().unwrap().record;
    assert_eq!((kept.source, &*kept.line), (Source::Live, score("T-1").as_bytes()));
    let decision = kept.decision.unwrap();
    assert_eq!((decision.arm, decision.score.get()), (Arm::Ml, number("score")));
}

#[test]
fn the_latest_signals_are_told_with_what_was_answered_and_which_inputs_came() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let answers: Vec<Value> = (0..3).map(|n| wire.ask_ok(score(&format!("T-{n}")))).collect();
    wire.ask_ok(outcome("T-0", 1.0));
    let signals = until("the signals on disk", || {
        let told = wire.ask_ok(r#"{"type":"signals","limit":2}"#)["signals"].take();
        (told[1]["trade_id"] == "T-2").then_some(told)
    });
    assert_eq!((signals.as_array().unwrap().len(), &signals[0]["trade_id"]), (2, &json!("T-1")), "{signals}");
    let told = &signals[1];
    assert_eq!((&told["decision"]["score"], &told["decision"]["reason"]), (&answers[2]["score"], &json!("production")));
    assert_eq!((&told["opinions"][0]["version"], &told["opinions"][0]["split"]["arm"]), (&json!("ES/1"), &json!("ml")));
    let features = told["features"].as_object().unwrap();
    let sent: Value = serde_json::from_str(&score("T-2")).unwrap();
    for (name, value) in features {
        assert_eq!(value.as_f64(), sent["features"][name].as_f64(), "{name}");
    }
    assert_eq!(features.len(), 12);
    let limits = wire.status()["limits"].take();
    assert!(limits["day_loss"].as_f64().unwrap() > 0.0 && limits["holdback"] == 0.0, "{limits}");
    for fault in ["0", "501", "-1", "\"x\""] {
        assert_eq!(wire.ask(format!(r#"{{"type":"signals","limit":{fault}}}"#))["ok"], false, "{fault}");
    }
}

#[test]
fn a_tenth_of_the_trades_is_held_back_and_always_the_same_ones() {
    let place = Place::with_model(State::Production);
    let ids: Vec<String> = (0..600).map(|n| format!("H-{n}")).collect();
    let held_back = |daemon: &Daemon| -> BTreeSet<String> {
        let mut wire = daemon.connect();
        let answers = ids.iter().map(|id| (id.clone(), wire.arm(id)));
        let held: BTreeSet<String> = answers
            .filter(|(_, arm)| *arm != ml())
            .map(|(id, arm)| {
                assert_eq!(arm, baseline("holdback"), "{id}");
                id
            })
            .collect();
        held
    };
    let setup =
        || Setup { config: common::place::CONFIG.replace("holdback = 0.0", "holdback = 0.1"), ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup());
    let first = held_back(&daemon);
    daemon.stop();
    assert!((40..=80).contains(&first.len()), "{} of 600", first.len());
    let salt = Salt::new("holdback:ES/1");
    assert!(ids.iter().all(|id| first.contains(id) == (salt.position(&trade(id)) < 0.1)), "not by the id alone");
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(held_back(&daemon), first, "after a restart");
    daemon.stop();
}

#[test]
fn an_outcome_is_on_disk_when_it_is_acknowledged_and_counts_once() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(score("T-1"));
    let ack =
        json!({ "ok": true, "id": "T-1", "trade_id": "T-1", "durable": true, "matched": true, "duplicate": false });
    assert_eq!(wire.ask(outcome("T-1", 137.5)), ack);
    let stored = place.reader().outcome(&trade("T-1")).unwrap().expect("it was acknowledged");
    assert_eq!((stored.matched, stored.record.outcome.pnl.unwrap().get()), (true, 137.5));
    let again = json!({ "ok": true, "id": "T-1", "trade_id": "T-1", "durable": true, "duplicate": true });
    assert_eq!(wire.ask(outcome("T-1", 137.5)), again);
    daemon.stop();
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().ask(outcome("T-1", 137.5)), again, "after a restart");
    daemon.stop();
    assert_eq!(place.reader().counts().unwrap().outcomes, 1);
}

#[test]
fn an_outcome_that_contradicts_is_an_error_and_an_alert_and_the_first_stays() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(outcome("T-1", 137.5));
    let refused = wire.ask(outcome("T-1", -137.5));
    assert_eq!((&refused["ok"], &refused["error"]["code"]), (&json!(false), &json!("conflict")), "{refused}");
    assert_eq!(refused["error"]["field"], "trade_id");
    daemon.stop();
    assert_eq!(place.reader().outcome(&trade("T-1")).unwrap().unwrap().record.outcome.pnl.unwrap().get(), 137.5);
    assert!(place.alerts("conflict")[0].contains("T-1"));
}

#[test]
fn an_outcome_without_its_signal_is_kept_as_unmatched_unless_it_echoes_its_decision() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.ask_ok(outcome("orphan", 1.0))["matched"], false);
    let decision = wire.ask_ok(score("T-1"));
    let mut echo: Value = serde_json::from_str(&outcome("echoed", 1.0)).unwrap();
    echo["decision"] = decision;
    let refused = wire.ask(echo.to_string());
    assert_eq!(refused["error"]["field"], "decision.trade_id", "the echo is of another trade: {refused}");
    echo["decision"]["trade_id"] = json!("echoed");
    assert_eq!(wire.ask_ok(echo.to_string())["matched"], true);
    daemon.stop();
    let stored = place.reader().outcome(&trade("echoed")).unwrap().unwrap();
    assert_eq!(stored.record.echo.unwrap().arm, Arm::Ml);
}

#[test]
fn a_skip_is_kept_and_a_trade_that_was_made_cannot_be_skipped() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let ack = json!({ "ok": true, "id": "T-1", "trade_id": "T-1", "durable": true, "duplicate": false });
    assert_eq!(wire.ask(skip("T-1")), ack);
    assert_eq!(&*place.reader().skip(&trade("T-1")).unwrap().unwrap().record.skip.reason, "risk");
    assert_eq!(wire.ask_ok(skip("T-1"))["duplicate"], true);
    wire.ask_ok(outcome("T-2", 1.0));
    assert_eq!(wire.ask(skip("T-2"))["error"]["code"], "conflict");
    daemon.stop();
}

#[test]
fn every_baseline_says_why() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let nothing_known = format!("\"features\":{}", common::wire::FEATURES);
    let cases = [
        (score_with("T-1", "\"ES\"", "\"CL\""), "unknown_symbol", 0.6),
        (score_with("T-2", "\"ES\"", "\"NQ\""), "no_model", 0.6),
        (score_with("T-3", &nothing_known, "\"features\":{}"), "missing_feature", 0.6),
        (score_with("T-4", "\"id\":\"T-4\"", "\"deadline_us\":0"), "deadline", 0.6),
    ];
    for (line, reason, confidence) in cases {
        let answer = wire.ask_ok(&line);
        assert_eq!(arm_of(&answer), baseline(reason), "{line}");
        assert_eq!((&answer["confidence"], &answer["score"]), (&json!(confidence), &json!(0.5)), "{line}");
        assert_eq!(answer["size"], 1.0);
    }
    let unsure = wire.ask_ok(score_with("T-5", "\"confidence\":0.6,", ""));
    assert_eq!((arm_of(&unsure), &unsure["confidence"]), (baseline("no_confidence"), &Value::Null));
    wire.ask_ok(LOCK);
    assert_eq!(wire.arm("T-6"), baseline("locked"));
    wire.ask_ok(RESUME);
    assert_eq!(wire.arm("T-7"), ml());
    let reasons = wire.status()["scorer"]["by_reason"].take();
    for reason in ["locked", "no_confidence", "deadline", "missing_feature", "unknown_symbol", "production"] {
        assert_eq!(reasons[reason], 1, "{reasons}");
    }
    daemon.stop();
}

#[test]
fn a_version_that_only_watches_is_recorded_and_never_heard() {
    for (state, reason) in [(State::Trained, "no_model"), (State::Validated, "no_model"), (State::Staging, "shadow")] {
        let place = Place::with_model(state);
        let daemon = Daemon::start(&place);
        assert_eq!(daemon.connect().arm("T-1"), baseline(reason), "{state}");
        daemon.stop();
        let opinions = place.reader().signal(&trade("T-1")).unwrap().unwrap().record.opinions;
        assert_eq!(opinions.len(), usize::from(state == State::Staging), "{state}");
    }
}

#[test]
fn a_version_under_test_speaks_to_its_half_by_the_id_alone() {
    let place = Place::with_model(State::AbTest);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let salt = Salt::new("test:ES/1");
    for n in 0..100 {
        let id = format!("A-{n}");
        let arm = if salt.position(&trade(&id)) < 0.5 { "ml" } else { "baseline" };
        assert_eq!(wire.arm(&id), (arm.to_owned(), "ab_test".to_owned()), "{id}");
    }
    daemon.stop();
}

#[test]
fn a_lock_outlives_restarts_until_an_operator_lifts_it() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let epoch = |wire: &mut Wire| wire.status()["guardian"]["epoch"].as_u64().unwrap();
    let before = epoch(&mut wire);
    assert_eq!(wire.ask_ok(LOCK)["durable"], true);
    assert!(epoch(&mut wire) > before, "a change has a number of its own");
    daemon.stop();
    for _ in 0..2 {
        let daemon = Daemon::start(&place);
        let mut wire = daemon.connect();
        assert_eq!(wire.status()["guardian"]["lock"], "a test");
        assert_eq!(wire.arm("T-1"), baseline("locked"));
        daemon.stop();
    }
    let daemon = Daemon::start(&place);
    daemon.connect().ask_ok(RESUME);
    assert_eq!(daemon.connect().ask(RESUME)["error"]["code"], "refused");
    daemon.stop();
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("T-2"), ml());
    daemon.stop();
}

#[test]
fn after_a_rollback_is_answered_no_connection_hears_the_model_again() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut traders: Vec<Wire> = (0..8).map(|_| daemon.connect()).collect();
    let mut operator = daemon.connect();
    for (n, trader) in traders.iter_mut().enumerate() {
        assert_eq!(trader.arm(&format!("before-{n}")), ml());
    }
    operator.ask_ok(rollback("ES/1"));
    for (n, trader) in traders.iter_mut().enumerate() {
        assert_eq!(trader.arm(&format!("after-{n}")), baseline("no_model"));
    }
    assert_eq!(operator.ask(promote("ES/1"))["error"]["code"], "refused", "it has no way back");
    daemon.stop();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.status()["guardian"]["versions"][0]["state"], "rolled_back");
    assert_eq!(wire.arm("restarted"), baseline("no_model"));
    daemon.stop();
}

#[test]
fn a_restart_finds_every_version_where_it_stood() {
    let place = Place::with_model(State::Staging);
    let record = |number: u32| {
        let mut record = common::place::model().clone();
        record.id.number = number;
        record.to_bytes().unwrap()
    };
    place.register("ES/2", record(2), State::Production);
    place.register("ES/3", record(3), State::AbTest);
    place.register("ES/4", record(4), State::Trained);
    let versions = |daemon: &Daemon| daemon.connect().status()["guardian"]["versions"].take();
    let daemon = Daemon::start(&place);
    daemon.connect().ask_ok(promote("ES/3"));
    let before = versions(&daemon);
    let states: Vec<_> = before.as_array().unwrap().iter().map(|v| v["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["staging", "archived", "production", "trained"]);
    let scoring: Vec<_> = before.as_array().unwrap().iter().map(|v| v["scoring"].as_bool().unwrap()).collect();
    assert_eq!(scoring, [true, false, true, false]);
    daemon.stop();
    let daemon = Daemon::start(&place);
    assert_eq!(versions(&daemon), before);
    assert_eq!(daemon.connect().ask_ok(score("T-1"))["model"], "ES/3");
    daemon.stop();
}

#[test]
fn a_gate_is_passed_only_by_saying_so() {
    let place = Place::with_model(State::Trained);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let refused = wire.ask(r#"{"type":"promote","version":"ES/1","reason":"a test"}"#);
    assert_eq!(refused["error"]["code"], "refused", "{refused}");
    assert_eq!(wire.ask(promote("ES/9"))["error"]["code"], "refused");
    assert_eq!(wire.arm("T-1"), baseline("no_model"));
    assert_eq!(wire.ask_ok(promote("ES/1"))["durable"], true);
    assert_eq!(wire.arm("T-2"), ml());
    daemon.stop();
    let moved = |kind: &EventKind| matches!(kind, EventKind::Moved { overridden: true, .. });
    assert_eq!(place.events().iter().filter(|kind| moved(kind)).count(), 4, "each step is on record");
}

#[test]
fn event_time_is_that_of_the_messages_and_never_goes_back() {
    let place = Place::new();
    let daemon = Daemon::start_with(&place, Setup { time: Time::Event, ..Setup::default() });
    let mut wire = daemon.connect();
    let now = |wire: &mut Wire| wire.status()["now"].as_str().unwrap().to_owned();
    wire.ask_ok(score("T-1"));
    assert_eq!(now(&mut wire), "2025-09-01T15:00:00Z");
    wire.ask_ok(outcome("T-1", 1.0));
    assert_eq!(now(&mut wire), "2025-09-01T16:00:00Z");
    wire.ask_ok(score_with("T-2", "2025-09-01", "2025-08-01"));
    assert_eq!(now(&mut wire), "2025-09-01T16:00:00Z");
    daemon.stop();
    let stored = place.reader().signal(&trade("T-2")).unwrap().unwrap();
    assert_eq!(stored.record.received_at, "2025-09-01T16:00:00Z".parse::<Timestamp>().unwrap());
}

#[test]
fn five_hundred_lines_in_one_write_are_answered_each_once_and_in_order() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let line = |n: usize| match n % 10 {
        0..=3 => score(&format!("P-{n}")),
        4..=6 => outcome(&format!("P-{}", n - 4), n as f64),
        7 => skip(&format!("P-{n}")),
        8 => format!(r#"{{"type":"ping","id":"P-{n}"}}"#),
        _ => format!(r#"{{"type":"pong","id":"P-{n}"}}"#),
    };
    let text: String = (0..500).map(|n| line(n) + "\n").collect();
    wire.send(text);
    for n in 0..500 {
        let answer = wire.answer();
        let id = if (4..=6).contains(&(n % 10)) { n - 4 } else { n };
        assert_eq!(answer["id"], format!("P-{id}"), "line {n}: {answer}");
        let wanted = match n % 10 {
            0..=3 => answer["arm"] == "ml",
            4..=6 => answer["matched"] == true,
            7 => answer["durable"] == true,
            8 => answer["version"].is_string(),
            _ => answer["error"]["code"] == "unknown_type",
        };
        assert!(wanted, "line {n}: {answer}");
    }
    let counts = wire.status()["counts"].take();
    assert_eq!((&counts["decisions"], &counts["outcomes"], &counts["skips"]), (&json!(200), &json!(150), &json!(50)));
    daemon.stop();
}

#[test]
fn a_reload_takes_a_good_file_whole_and_names_what_waits_for_a_restart() {
    let place = Place::with_model(State::Production);
    let text = |more: &str| format!("{}{more}", common::place::CONFIG);
    let file = place.file("config.toml", &text(""));
    let daemon = Daemon::start_with(&place, Setup { config_path: Some(file), ..Setup::default() });
    let mut wire = daemon.connect();
    let reload = |wire: &mut Wire| wire.ask(r#"{"type":"reload"}"#);
    place.file("config.toml", &text("scoring.blend_weight = 0\nserver.max_connections = 7\njournal.queue = 5000\n"));
    let answer = reload(&mut wire);
    assert_eq!(answer["notes"], json!(["server.max_connections", "journal.queue"]), "{answer}");
    let answer = wire.ask_ok(score("T-1"));
    assert_eq!((arm_of(&answer), &answer["confidence"]), (ml(), &json!(0.6)), "weight 0 is in force: {answer}");
    let hash = wire.status()["config_hash"].take();
    place.file("config.toml", &text("scoring.blend_weight = 0.3\nscoring.trade_threshold = 7\nsizing.rul = \"bet\"\n"));
    let refused = reload(&mut wire);
    let message = refused["error"]["message"].as_str().unwrap();
    assert_eq!(refused["error"]["code"], "config");
    let line = |after: usize| format!("config.toml:{}:", common::place::CONFIG.lines().count() + after);
    for part in [line(2).as_str(), "scoring.trade_threshold", line(3).as_str(), "sizing.rul"] {
        assert!(message.contains(part), "{part} is not in {message}");
    }
    assert_eq!(wire.ask_ok(score("T-2"))["confidence"], 0.6, "the old one stays in force, whole");
    assert_eq!(wire.status()["config_hash"], hash);
    // as SIGHUP does
    place.file("config.toml", &text("scoring.blend_weight = 1\n"));
    daemon.tell(Control::Reload);
    until("a reload by signal", || {
        let answer = wire.ask_ok(score("T-3"));
        (answer["confidence"] == answer["score"]).then_some(())
    });
    daemon.stop();
    let taken: Vec<bool> = place
        .events()
        .iter()
        .filter_map(|kind| match kind {
            EventKind::Reloaded { taken, .. } => Some(*taken),
            _ => None,
        })
        .collect();
    assert_eq!(taken, [true, false, true]);
}

#[test]
fn a_symbol_that_a_reload_brings_is_known_and_one_that_it_takes_away_is_not() {
    let place = Place::new();
    let text = |symbol: &str| format!("{}[symbols.{symbol}]\ntick = 0.01\ntick_value = 10\n", common::place::CONFIG);
    let file = place.file("config.toml", &text("ES"));
    let daemon = Daemon::start_with(&place, Setup { config_path: Some(file), ..Setup::default() });
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), baseline("no_model"));
    place.file("config.toml", &text("CL"));
    wire.ask_ok(r#"{"type":"reload"}"#);
    until("the scorer by the new configuration", || (wire.arm("T-2") == baseline("unknown_symbol")).then_some(()));
    assert_eq!(arm_of(&wire.ask_ok(score_with("T-3", "\"ES\"", "\"CL\""))), baseline("no_model"));
    daemon.stop();
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().ask(r#"{"type":"reload"}"#)["error"]["code"], "config");
    daemon.stop();
}

#[test]
fn a_kill_by_signal_takes_effect_and_outlives_a_restart() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    daemon.tell(Control::Kill);
    until("the lock", || (wire.arm("T-1") == baseline("locked")).then_some(()));
    until("the lock on disk", || {
        place.events().iter().any(|kind| matches!(kind, EventKind::Locked { .. })).then_some(())
    });
    daemon.stop();
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("T-2"), baseline("locked"));
    daemon.stop();
}
