//! What an outcome may do and what it may not: it counts once, as it was recorded, live and after a restart alike.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    daemon::{Daemon, Setup},
    place::{CONFIG, Place, examples},
    wire::{FEATURES, LOCK, RESUME, Wire, arm_of, baseline, ml, promote},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    config::Config,
    domain::{Outcome, lifecycle::State},
    recall::{history, scored::Signals},
};

/// Rules that trip soon, and nothing but them.
const LIMITS: &str = "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 4\ndaily_loss_limit = 1000\ndaily_loss_factor = 2\n\
    [lifecycle]\nautomatic = false\n[monitor]\nwindow = 5000\n[health]\nmin_trades = 5000\nscore_psi = 10\nvariance_factor = 1000\n";

fn setup() -> Setup {
    Setup { config: format!("{CONFIG}\n{LIMITS}"), time: Time::Event, ..Setup::default() }
}

/// Noon in Chicago on the `n`-th day of 2025 and later, and `minute` minutes.
fn at(n: i64, minute: i64) -> String {
    let start: jiff::Timestamp = "2025-01-01T18:00:00Z".parse().unwrap();
    (start + jiff::SignedDuration::from_mins(24 * 60 * n + minute)).to_string()
}

fn score_at(at: &str, id: &str) -> String {
    format!(
        r#"{{"type":"score","trade_id":"{id}","at":"{at}","symbol":"ES","side":"long","confidence":0.6,"features":{FEATURES}}}"#
    )
}

fn outcome_at(at: &str, id: &str, pnl: Option<f64>) -> String {
    let metrics = json!({ "exit_at": at, "pnl": pnl, "exit_reason": "signal" });
    json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string()
}

/// A trade of day `n`, scored and closed.
fn trade(wire: &mut Wire, n: i64, id: &str, pnl: f64) {
    wire.ask_ok(score_at(&at(n, 0), id));
    wire.ask_ok(outcome_at(&at(n, 0), id, Some(pnl)));
}

fn day_pnl(wire: &mut Wire) -> Option<f64> {
    wire.status()["guardian"]["day_pnl"].as_f64()
}

#[test]
fn an_outcome_that_contradicts_counts_for_nothing_however_long_ago_the_first_was_told() {
    // while the trade is remembered, and when only the journal knows it
    for later in [4, 30] {
        let place = Place::with_model(State::Staging);
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        // on the baseline, so that no version's rules know it
        trade(&mut wire, 0, "OLD", 100.0);
        wire.ask_ok(promote("ES/1"));
        (0..4).for_each(|k| trade(&mut wire, later - 3 + k, &format!("N-{k}"), 1.0));
        let contradicting = wire.ask(outcome_at(&at(later, 1), "OLD", Some(50_000.0)));
        assert_eq!(contradicting["error"]["code"], "conflict");
        assert_eq!(day_pnl(&mut wire), Some(1.0), "on day {later}");
        let repeated = wire.ask_ok(outcome_at(&at(0, 0), "OLD", Some(100.0)));
        assert_eq!((&repeated["duplicate"], day_pnl(&mut wire)), (&json!(true), Some(1.0)));
        trade(&mut wire, later, "LOSS", -2500.0);
        assert_eq!(arm_of(&wire.ask(score_at(&at(later, 2), "X"))), baseline("locked"), "on day {later}");
        daemon.stop();
    }
}

#[test]
fn a_trade_without_a_pnl_told_while_no_model_spoke_takes_none_down_at_a_restart() {
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    wire.ask_ok(score_at(&at(0, 0), "T"));
    wire.ask_ok(outcome_at(&at(0, 0), "T", None));
    wire.ask_ok(promote("ES/1"));
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask(score_at(&at(0, 1), "X"))), ml());
    assert_eq!(wire.status()["guardian"]["emergencies"], json!([]));
    daemon.stop();
}

/// A signal as a trader sends it, with the daily limit that it carries.
fn snapshot_at(at: &str, id: &str, limit: f64) -> String {
    let mut signal: Value = serde_json::from_str(&examples()[0]).unwrap();
    signal.as_object_mut().unwrap().remove("outcome_metrics").expect("the examples are closed");
    (signal["type"], signal["trade_id"], signal["at"]) = (json!("score"), json!(id), json!(at));
    signal["execution_context"]["risk_parameters"]["daily_loss_limit"] = json!(limit);
    signal.to_string()
}

#[test]
fn a_late_outcome_does_not_bring_the_daily_limit_of_its_signal_back() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    wire.ask_ok(snapshot_at(&at(0, 0), "OLD", 1e6));
    wire.ask_ok(snapshot_at(&at(30, 0), "NEW", 500.0));
    wire.ask_ok(outcome_at(&at(30, 1), "OLD", Some(5.0)));
    assert_eq!(arm_of(&wire.ask(score_at(&at(30, 2), "X"))), ml());
    wire.ask_ok(outcome_at(&at(30, 3), "NEW", Some(-1100.0)));
    assert_eq!(arm_of(&wire.ask(score_at(&at(30, 4), "Y"))), baseline("locked"));
    daemon.stop();
}

#[test]
fn an_emergency_of_a_version_silences_its_symbol_and_the_answer_says_so_where_nothing_is_locked() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    let ids: Vec<String> = (0..5).map(|n| format!("T-{n}")).collect();
    ids.iter().for_each(|id| drop(wire.ask_ok(score_at(&at(0, 0), id))));
    ids.iter().for_each(|id| drop(wire.ask_ok(outcome_at(&at(0, 1), id, Some(-1.0)))));
    assert_eq!(arm_of(&wire.ask(score_at(&at(0, 2), "X"))), baseline("silenced"));
    let guardian = wire.status()["guardian"].take();
    assert_eq!((&guardian["lock"], &guardian["silenced"]), (&json!(null), &json!(["ES"])), "{guardian}");
    let other = score_at(&at(0, 2), "Y").replace("\"ES\"", "\"NQ\"");
    assert_eq!(arm_of(&wire.ask(other)), baseline("no_model"), "another symbol is not concerned");
    // a lock is over all of it
    wire.ask_ok(LOCK);
    assert_eq!(arm_of(&wire.ask(score_at(&at(0, 2), "Z"))), baseline("locked"));
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(arm_of(&daemon.connect().ask(score_at(&at(0, 2), "Q"))), baseline("locked"), "after a restart");
    daemon.stop();
}

#[test]
fn a_late_outcome_counts_for_its_model_also_after_a_restart() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    let ids: Vec<String> = (0..5).map(|n| format!("T-{n}")).collect();
    ids.iter().for_each(|id| drop(wire.ask_ok(score_at(&at(0, 0), id))));
    wire.ask_ok(score_at(&at(30, 0), "NOW"));
    ids[..4].iter().for_each(|id| drop(wire.ask_ok(outcome_at(&at(30, 1), id, Some(-1.0)))));
    assert_eq!(streak(&mut wire), 4);
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    assert_eq!(streak(&mut wire), 4, "after a restart");
    wire.ask_ok(outcome_at(&at(30, 2), &ids[4], Some(-1.0)));
    assert_eq!(arm_of(&wire.ask(score_at(&at(30, 3), "X"))), baseline("silenced"));
    daemon.stop();
}

/// The same line with the outcome, as a file of past trades has it.
fn past_trade(score: &str, outcome: &str) -> String {
    let mut line: Value = serde_json::from_str(score).unwrap();
    line["type"] = json!("import");
    line["outcome_metrics"] = serde_json::from_str::<Value>(outcome).unwrap()["outcome_metrics"].take();
    line.to_string()
}

fn streak(wire: &mut Wire) -> u64 {
    wire.status()["guardian"]["levels"][0]["loss_streak"].as_u64().unwrap()
}

#[test]
fn an_imported_outcome_of_a_trade_of_here_counts_as_if_the_trader_had_told_it_and_history_does_not() {
    // while the trades are remembered, and when only the journal knows them
    for later in [0, 30] {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        let lines: Vec<(String, String)> = (0..5)
            .map(|n| (score_at(&at(0, n), &format!("T-{n}")), outcome_at(&at(0, n), &format!("T-{n}"), Some(-1.0))))
            .collect();
        lines.iter().for_each(|(score, _)| drop(wire.ask_ok(score)));
        wire.ask_ok(score_at(&at(later, 10), "NOW"));
        for n in 0..9 {
            wire.ask_ok(past_trade(&score_at(&at(0, 5), &format!("P-{n}")), &outcome_at(&at(0, 6), "P", Some(-900.0))));
        }
        assert_eq!(streak(&mut wire), 0, "history passes no judgement");
        for (score, outcome) in &lines[..4] {
            wire.ask_ok(past_trade(score, outcome));
        }
        assert_eq!(streak(&mut wire), 4, "after {later} days");
        for (score, outcome) in &lines[..4] {
            assert_eq!(wire.ask_ok(past_trade(score, outcome))["duplicate"], true);
            assert_eq!(wire.ask_ok(outcome)["duplicate"], true);
        }
        assert_eq!(streak(&mut wire), 4, "each counts once");
        daemon.stop();
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        assert_eq!(streak(&mut wire), 4, "after a restart");
        wire.ask_ok(past_trade(&lines[4].0, &lines[4].1));
        assert_eq!(arm_of(&wire.ask(score_at(&at(later, 20), "X"))), baseline("silenced"), "after {later} days");
        daemon.stop();
        let daemon = Daemon::start_with(&place, setup());
        assert_eq!(arm_of(&daemon.connect().ask(score_at(&at(later, 21), "Y"))), baseline("silenced"));
        daemon.stop();
    }
}

#[test]
fn an_outcome_that_cannot_be_is_refused_by_its_field_and_silences_until_the_trade_is_reported_correctly_and_a_person_looked()
 {
    let far = "9999-01-01T00:00:00Z".to_owned();
    for (exit, pnl, field, time) in [
        (at(0, 1), 1e308, "outcome_metrics.pnl", Time::Event),
        (at(0, 1), -1.1e6, "outcome_metrics.pnl", Time::Event),
        (at(-1, 0), -500.0, "outcome_metrics.exit_at", Time::Event),
        (far, -500.0, "outcome_metrics.exit_at", Time::Wall),
    ] {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, Setup { time, ..setup() });
        let mut wire = daemon.connect();
        assert_eq!(arm_of(&wire.ask_ok(score_at(&at(0, 0), "T"))), ml());
        let refused = wire.ask(outcome_at(&exit, "T", Some(pnl)));
        let error = &refused["error"];
        assert_eq!((&error["code"], &error["field"]), (&json!("out_of_range"), &json!(field)), "{refused}");
        // the loss of the day is unknown too, and that is the account's
        assert_eq!(arm_of(&wire.ask(score_at(&at(0, 1), "X"))), baseline("locked"), "{field}");
        let status = wire.status();
        let emergencies = status["guardian"]["emergencies"].to_string();
        assert!(emergencies.contains("ES/1: loss_streak cannot be evaluated: a trade was closed"), "{emergencies}");
        assert_eq!(status["counts"]["outcomes"], 0, "{status}");
        assert_eq!(place.alerts("outcome_refused").len(), 1);
        // nothing is lost: reported correctly it is taken, once
        let taken = wire.ask_ok(outcome_at(&at(0, 1), "T", Some(-500.0)));
        assert_eq!(taken["duplicate"], false);
        if field == "outcome_metrics.pnl" {
            assert_eq!(day_pnl(&mut wire), Some(-500.0));
        }
        daemon.stop();
        let daemon = Daemon::start_with(&place, setup());
        assert_eq!(arm_of(&daemon.connect().ask(score_at(&at(0, 2), "Y"))), baseline("locked"), "{field}");
        daemon.stop();
    }
}

#[test]
fn a_decision_of_a_version_that_never_was_counts_for_the_account_and_for_no_version() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    let decision = json!({
        "arm": "ml", "confidence": 0.5, "score": 0.6, "size": 1.0, "model": "ES/77", "reason": "production",
    });
    for n in 0..6 {
        let mut outcome: Value = serde_json::from_str(&outcome_at(&at(0, n), &format!("T-{n}"), Some(-10.0))).unwrap();
        outcome["decision"] = decision.clone();
        assert_eq!(wire.ask_ok(outcome.to_string())["matched"], false);
    }
    assert_eq!(arm_of(&wire.ask(score_at(&at(0, 10), "X"))), ml());
    let status = wire.status();
    assert_eq!(status["guardian"]["levels"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!((&status["guardian"]["day_pnl"], place.alerts("unknown_version").len()), (&json!(-60.0), 6));
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask(score_at(&at(0, 11), "Y"))), ml());
    assert_eq!(day_pnl(&mut wire), Some(-60.0));
    daemon.stop();
}

#[test]
fn a_trade_counts_at_the_size_of_the_answer_that_its_outcome_echoes_and_else_of_the_first() {
    let place = Place::with_model(State::Production);
    let text = format!("{}[sizing]\nmin = 2.0\nmax = 2.0\n", setup().config);
    let large = || Setup { config: text.clone(), ..setup() };
    let daemon = Daemon::start_with(&place, large());
    let mut wire = daemon.connect();
    // made on a later answer, which asked for half of the size
    let first = wire.ask_ok(score_at(&at(0, 0), "ECHO"));
    assert_eq!((arm_of(&first), first["size"].as_f64()), (ml(), Some(2.0)));
    wire.ask_ok(LOCK);
    let second = wire.ask_ok(score_at(&at(0, 0), "ECHO"));
    assert_eq!((arm_of(&second), second["size"].as_f64()), (baseline("locked"), Some(1.0)));
    let mut outcome: Value = serde_json::from_str(&outcome_at(&at(0, 1), "ECHO", Some(100.0))).unwrap();
    outcome["decision"] = second.clone();
    wire.ask_ok(outcome.to_string());
    // made on the first one, which was the strategy's, though a model was heard in the second
    assert_eq!(wire.ask_ok(score_at(&at(0, 2), "FIRST"))["size"].as_f64(), Some(1.0));
    wire.ask_ok(RESUME);
    assert_eq!(wire.ask_ok(score_at(&at(0, 2), "FIRST"))["size"].as_f64(), Some(2.0));
    wire.ask_ok(outcome_at(&at(0, 3), "FIRST", Some(100.0)));
    // told without a decision, and then with one, and a field that was missing
    assert_eq!(wire.ask_ok(score_at(&at(0, 4), "LATER"))["size"].as_f64(), Some(2.0));
    let mut outcome: Value = serde_json::from_str(&outcome_at(&at(0, 5), "LATER", Some(50.0))).unwrap();
    wire.ask_ok(outcome.to_string());
    outcome["outcome_metrics"]["slippage_ticks"] = json!(1.0);
    outcome["decision"] = second;
    outcome["decision"]["trade_id"] = json!("LATER");
    assert_eq!(wire.ask_ok(outcome.to_string())["completed"], true);
    let gain = |wire: &mut Wire| {
        let level = wire.status()["guardian"]["levels"][0].take();
        (level["gain"].as_f64(), level["gain_trades"].as_u64())
    };
    // twice the size makes once as much more
    let told = gain(&mut wire);
    daemon.stop();
    let daemon = Daemon::start_with(&place, large());
    let mut wire = daemon.connect();
    assert_eq!(
        (gain(&mut wire), told),
        ((Some(250.0), Some(3)), (Some(250.0), Some(3))),
        "after a restart, and before"
    );
    daemon.stop();
    let (reader, config) = (place.reader(), Config::parse("test", &text).unwrap());
    let pnl = |outcome: &Outcome| outcome.pnl.unwrap().get();
    let by_name: std::collections::BTreeMap<_, _> = history::read(&reader).unwrap().outcomes.into_iter().collect();
    let learnt: Vec<f64> = by_name.values().map(pnl).collect();
    let drawn: Vec<Option<f64>> =
        Signals::read(&reader, &config).unwrap().each().map(|scored| scored.unwrap().pnl).collect();
    assert_eq!((learnt, drawn), (vec![100.0, 100.0, 50.0], [100.0, 100.0, 50.0].map(Some).to_vec()));
}

/// The line of an outcome with `pnl` and `exit_at` as written.
fn raw_outcome(id: &str, pnl: &str, exit_at: &str) -> String {
    format!(
        r#"{{"type":"outcome","outcome_metrics":{{"exit_at":{exit_at},"exit_reason":"x","pnl":{pnl}}},"trade_id":"{id}"}}"#
    )
}

#[test]
fn an_outcome_whose_line_cannot_be_read_silences_if_a_model_was_heard_and_else_nothing() {
    let exit = format!("\"{}\"", at(0, 1));
    for (pnl, exit_at, code) in [
        ("NaN", &*exit, "invalid_json"),
        ("\"-500\"", &exit, "wrong_type"),
        ("-500", "\"9999-12-31T23:59:59Z\"", "out_of_range"),
    ] {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        // neither a trade that nobody knows, nor one on the baseline, nor one that is closed
        wire.ask_ok(score_at(&at(0, 0), "T"));
        trade(&mut wire, 0, "CLOSED", 5.0);
        let other = score_at(&at(0, 0), "OTHER").replace("\"ES\"", "\"NQ\"");
        assert_eq!(arm_of(&wire.ask_ok(other)), baseline("no_model"));
        for id in ["NEVER", "OTHER", "CLOSED"] {
            assert_eq!(wire.ask(raw_outcome(id, pnl, exit_at))["error"]["code"], code, "{pnl} {exit_at}");
        }
        assert_eq!(arm_of(&wire.ask(score_at(&at(0, 1), "W"))), ml(), "{pnl} {exit_at}");
        let refused = wire.ask(raw_outcome("T", pnl, exit_at));
        assert_eq!(refused["error"]["code"], code, "{refused}");
        assert!(refused["error"]["message"].as_str().unwrap().ends_with("it took ES/1 out of service"), "{refused}");
        assert_eq!(arm_of(&wire.ask(score_at(&at(0, 1), "X"))), baseline("locked"), "{pnl} {exit_at}");
        let emergencies = wire.status()["guardian"]["emergencies"].to_string();
        assert!(emergencies.contains("its outcome line is unreadable"), "{emergencies}");
        assert_eq!(place.alerts("outcome_unreadable").len(), 2, "one for all that concern no model");
        assert_eq!(wire.ask_ok(outcome_at(&at(0, 1), "T", Some(-500.0)))["duplicate"], false);
        assert_eq!(day_pnl(&mut wire), Some(-495.0));
        daemon.stop();
        if code == "invalid_json" {
            let daemon = Daemon::start_with(&place, setup());
            assert_eq!(arm_of(&daemon.connect().ask(score_at(&at(0, 2), "Y"))), baseline("locked"), "after a restart");
            daemon.stop();
        }
    }
}

#[test]
fn a_field_at_fault_beside_a_pnl_that_can_be_read_hides_no_loss() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    let ids: Vec<String> = (0..5).map(|n| format!("T-{n}")).collect();
    ids.iter().for_each(|id| drop(wire.ask_ok(score_at(&at(0, 0), id))));
    let faulty = |id: &str| outcome_at(&at(0, 1), id, Some(-1.0)).replace("exit_reason", "exit_raeson");
    for id in &ids[..4] {
        assert_eq!(wire.ask(faulty(id))["error"]["code"], "unknown_field");
        // told again, and correctly, it counts once
        wire.ask(faulty(id));
    }
    wire.ask_ok(outcome_at(&at(0, 1), &ids[0], Some(-1.0)));
    assert_eq!((streak(&mut wire), day_pnl(&mut wire)), (4, Some(-4.0)));
    assert_eq!(arm_of(&wire.ask(score_at(&at(0, 2), "X"))), ml());
    wire.ask(faulty(&ids[4]));
    assert_eq!(arm_of(&wire.ask(score_at(&at(0, 2), "Y"))), baseline("silenced"));
    daemon.stop();
}

#[test]
fn an_import_hides_no_closed_trade_that_cannot_be_read_or_cannot_be_and_says_what_it_silenced() {
    let of = |pnl: &str| {
        let (score, metrics) =
            (score_at(&at(0, 0), "T"), format!(r#"{{"exit_at":"{}","exit_reason":"x"{pnl}}}"#, at(0, 1)));
        format!(
            r#"{},"outcome_metrics":{metrics}}}"#,
            score.replace("\"score\"", "\"import\"").trim_end_matches('}').to_owned() + "}"
        )
    };
    for (pnl, is_taken) in [
        (r#","pnl":NaN"#, false),
        (r#","pnl":"-500""#, false),
        (r#","pnl":1e9"#, false),
        ("", true),
        (r#","pnl":-50000"#, true),
    ] {
        // while the trade is remembered, and when only the journal knows it
        let later = if pnl.contains("NaN") { 30 } else { 0 };
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        assert_eq!(arm_of(&wire.ask_ok(score_at(&at(0, 0), "T"))), ml());
        wire.ask_ok(score_at(&at(later, 10), "NOW"));
        let answer = wire.ask(of(pnl));
        assert_eq!(answer["ok"], is_taken, "{answer}");
        if is_taken {
            assert_eq!(answer["silenced"], json!(["ES/1"]), "{answer}");
        } else {
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.ends_with("it took ES/1 out of service"), "{answer}");
        }
        assert_ne!(arm_of(&wire.ask(score_at(&at(later, 20), "X"))), ml(), "{pnl}");
        daemon.stop();
    }
}
