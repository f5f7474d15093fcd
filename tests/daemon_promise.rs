//! What an outcome that is acknowledged means: it was judged as it is stored, whatever was told before or instead of it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{CONFIG, Place},
    process::{told, vigie},
    wait::until,
    wire::{FEATURES, Wire, arm_of, baseline, ml},
};
use redb::{ReadableTable, TableDefinition};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    config::Config,
    domain::{EventKind, TradeId, lifecycle::State},
    recall::{checkpoint, versions},
};

/// Rules that trip soon, and nothing but them.
const LIMITS: &str = "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 10\ndaily_loss_limit = 1000\ndaily_loss_factor = 2\n\
    [lifecycle]\nautomatic = false\n[monitor]\nwindow = 5000\n[health]\nmin_trades = 5000\nscore_psi = 10\nvariance_factor = 1000\n";

fn setup(trap: &Trap) -> Setup {
    let config =
        format!("{}supervision.max_restarts = 100\n{LIMITS}", CONFIG.replace("retry_ms = 10", "retry_ms = 50"));
    Setup { config, time: Time::Event, trap: trap.clone(), ..Setup::default() }
}

/// Noon in Chicago on the `n`-th day of 2025 and later, and `minute` minutes.
fn at(n: i64, minute: i64) -> String {
    let start: jiff::Timestamp = "2025-01-01T18:00:00Z".parse().unwrap();
    (start + jiff::SignedDuration::from_mins(24 * 60 * n + minute)).to_string()
}

fn signal(at: &str, id: &str) -> Value {
    let features: Value = serde_json::from_str(FEATURES).unwrap();
    json!({ "type": "score", "trade_id": id, "at": at, "symbol": "ES", "side": "long", "confidence": 0.6, "features": features })
}

fn score(at: &str, id: &str) -> String {
    signal(at, id).to_string()
}

fn outcome(at: &str, id: &str, pnl: Option<f64>) -> String {
    let metrics = json!({ "exit_at": at, "pnl": pnl, "exit_reason": "signal" });
    json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string()
}

fn code(answer: &Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("none")
}

fn day_pnl(wire: &mut Wire) -> Option<f64> {
    wire.status()["guardian"]["day_pnl"].as_f64()
}

#[test]
fn a_trade_id_that_comes_again_hears_no_model_and_a_loss_under_it_silences() {
    for restarted in [false, true] {
        let place = Place::with_model(State::Production);
        let mut daemon = Daemon::start_with(&place, setup(&Trap::default()));
        let mut wire = daemon.connect();
        for n in 1..=3 {
            assert_eq!(arm_of(&wire.ask_ok(score(&at(0, n), &format!("T-{n}")))), ml());
            wire.ask_ok(outcome(&at(0, n), &format!("T-{n}"), Some(5.0)));
        }
        let reused = || baseline("trade_id_reused");
        for n in 1..=2 {
            assert_eq!(arm_of(&wire.ask_ok(score(&at(2, n), &format!("T-{n}")))), reused());
        }
        if restarted {
            daemon.stop();
            daemon = Daemon::start_with(&place, setup(&Trap::default()));
            wire = daemon.connect();
        }
        for n in 1..=3 {
            assert_eq!(arm_of(&wire.ask_ok(score(&at(2, n), &format!("T-{n}")))), reused(), "restarted: {restarted}");
        }
        let mut other_side = signal(&at(0, 1), "T-1");
        other_side["side"] = json!("short");
        assert_eq!(arm_of(&wire.ask_ok(other_side.to_string())), reused());
        // a repeat of the signal itself is none
        assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 1), "T-1"))), ml());
        assert_eq!(arm_of(&wire.ask_ok(score(&at(2, 4), "N-1"))), ml());
        let status = wire.status();
        assert!(status["scorer"]["by_reason"]["trade_id_reused"].as_u64().unwrap() >= 4, "{status}");
        assert_eq!(place.alerts("trade_id_reused").len(), 3, "once for each id");
        let refused = wire.ask(outcome(&at(2, 5), "T-1", Some(-400.0)));
        assert_eq!(code(&refused), "conflict");
        assert!(refused["error"]["message"].as_str().unwrap().contains("took ES/1 out of service"), "{refused}");
        assert_eq!(arm_of(&wire.ask_ok(score(&at(2, 6), "N-2"))), baseline("locked"));
        let emergencies = wire.status()["guardian"]["emergencies"].to_string();
        assert!(emergencies.contains("two reports of a trade contradict each other"), "{emergencies}");
        daemon.stop();
    }
}

/// Where a trade was told of first.
#[derive(Debug, Clone, Copy, PartialEq)]
enum First {
    Scored,
    ImportedByTheDaemon,
    ImportedIntoTheFile,
}

#[test]
fn a_trade_id_of_long_ago_hears_no_model_wherever_it_was_told_of_first() {
    for first in [First::Scored, First::ImportedByTheDaemon, First::ImportedIntoTheFile] {
        for restarted in [false, true] {
            let place = Place::with_model(State::Production);
            if first == First::ImportedIntoTheFile {
                import(&place, &[past_trade(&at(0, 1), "T-1", json!({ "pnl": 5.0 }))], 0);
            }
            let mut daemon = Daemon::start_with(&place, setup(&Trap::default()));
            let mut wire = daemon.connect();
            match first {
                First::Scored => {
                    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 1), "T-1"))), ml());
                    wire.ask_ok(outcome(&at(0, 2), "T-1", Some(5.0)));
                }
                First::ImportedByTheDaemon => {
                    let mut line = past_trade(&at(0, 1), "T-1", json!({ "pnl": 5.0 }));
                    line["type"] = json!("import");
                    wire.ask_ok(line.to_string());
                }
                First::ImportedIntoTheFile => {}
            }
            // a month later nothing of it is remembered any more
            assert_eq!(arm_of(&wire.ask_ok(score(&at(30, 0), "N-1"))), ml());
            if restarted {
                daemon.stop();
                daemon = Daemon::start_with(&place, setup(&Trap::default()));
                wire = daemon.connect();
            }
            let case = format!("{first:?}, restarted: {restarted}");
            for minute in 1..=3 {
                let answer = wire.ask_ok(score(&at(30, minute), "T-1"));
                assert_eq!(arm_of(&answer), baseline("trade_id_reused"), "{case}");
            }
            assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 1), "T-1"))), ml(), "a repeat of the signal itself, {case}");
            assert_eq!(arm_of(&wire.ask_ok(score(&at(30, 4), "N-2"))), ml(), "{case}");
            until("the alert", || (place.alerts("trade_id_reused").len() == 1).then_some(()));
            let known = wire.status()["trade_ids"].take();
            assert_eq!(known, json!({ "known": 3, "forgotten": 0 }), "{case}");
            assert_eq!(code(&wire.ask(outcome(&at(30, 5), "T-1", Some(-400.0)))), "conflict", "{case}");
            let silenced = arm_of(&wire.ask_ok(score(&at(30, 6), "N-3"))) == baseline("locked");
            assert!(silenced || first != First::Scored, "a model influenced it, {case}");
            daemon.stop();
        }
    }
}

/// A past trade that was closed a minute after its signal.
fn past_trade(at: &str, id: &str, mut metrics: Value) -> Value {
    let exit_at = at.parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_mins(1);
    metrics["exit_at"] = json!(exit_at.to_string());
    metrics["exit_reason"] = json!("signal");
    let mut line = signal(at, id);
    line["outcome_metrics"] = metrics;
    line.as_object_mut().unwrap().remove("type");
    line
}

/// Changes a bit of the record number `seq` of a journal that nobody has open.
fn damage(place: &Place, seq: u64) {
    const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
    let database = redb::Database::open(place.journal()).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(LOG).unwrap();
        let mut value = table.get(seq).unwrap().unwrap().value().to_vec();
        *value.last_mut().unwrap() ^= 1;
        table.insert(seq, value.as_slice()).unwrap();
    }
    transaction.commit().unwrap();
}

/// Imports these lines into the journal's file, or through the daemon that has it open; the command must end with `code`.
fn import(place: &Place, lines: &[Value], code: i32) -> Value {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    place.file("trades.jsonl", &text);
    told(place, &["import", "--json", "--state", "state", "trades.jsonl"], code)
}

#[test]
fn an_import_completes_an_outcome_once_as_the_trader_does_with_a_daemon_or_without() {
    for running in [false, true] {
        let place = Place::with_model(State::Staging);
        let start = || Daemon::start_with(&place, setup(&Trap::default()));
        let mut daemon = Some(start());
        let mut wire = daemon.as_ref().unwrap().connect();
        wire.ask_ok(score(&at(0, 1), "T-1"));
        wire.ask_ok(outcome(&at(0, 2), "T-1", None));
        // one that was told without its signal
        wire.ask_ok(outcome(&at(0, 3), "T-2", None));
        if !running {
            daemon.take().unwrap().stop();
        }
        let counts =
            |told: &Value| ["stored", "completed", "duplicates", "rejected"].map(|name| told[name].as_u64().unwrap());
        let loss = past_trade(&at(0, 1), "T-1", json!({ "pnl": -2500.0 }));
        assert_eq!(counts(&import(&place, std::slice::from_ref(&loss), 0)), [0, 1, 0, 0], "running: {running}");
        assert_eq!(counts(&import(&place, std::slice::from_ref(&loss), 0)), [0, 0, 1, 0], "running: {running}");
        let other = past_trade(&at(0, 1), "T-1", json!({ "pnl": -400.0 }));
        let refused = import(&place, &[other, past_trade(&at(0, 1), "T-1", json!({ "mfe_ticks": 3.0 }))], 5);
        assert_eq!(counts(&refused), [0, 1, 0, 1], "running: {running}");
        assert_eq!(refused["faults"]["conflict"]["count"], 1, "{refused}");
        // what says less contradicts nothing
        assert_eq!(counts(&import(&place, &[loss], 0)), [0, 0, 1, 0], "running: {running}");
        let without_signal = past_trade(&at(0, 2), "T-2", json!({ "pnl": 7.0 }));
        assert_eq!(counts(&import(&place, &[without_signal], 0)), [0, 1, 0, 0], "running: {running}");
        daemon.take().into_iter().for_each(Daemon::stop);
        let reader = place.reader();
        let id = |name: &str| TradeId::new(name).unwrap();
        let whole = reader.outcome(&id("T-1")).unwrap().unwrap().record.outcome;
        assert_eq!((whole.pnl.map(|pnl| pnl.get()), whole.mfe_ticks), (Some(-2500.0), Some(3.0)));
        assert!(reader.signal(&id("T-2")).unwrap().is_some(), "its signal is there now; running: {running}");
        // the loss is one of the day, whoever told of it
        let daemon = start();
        let mut wire = daemon.connect();
        assert_eq!(day_pnl(&mut wire), Some(-2493.0), "running: {running}");
        assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 9), "T-3"))), baseline("locked"), "running: {running}");
        daemon.stop();
    }
}

#[test]
fn an_import_that_contradicts_a_trade_of_a_model_silences_as_the_trader_would() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    wire.ask_ok(score(&at(0, 0), "T-1"));
    wire.ask_ok(outcome(&at(0, 1), "T-1", Some(5.0)));
    let mut line = signal(&at(0, 0), "T-1");
    line["type"] = json!("import");
    line["outcome_metrics"] = json!({ "exit_at": at(0, 1), "pnl": -400.0, "exit_reason": "signal" });
    assert_eq!(code(&wire.ask(line.to_string())), "conflict");
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 2), "T-2"))), baseline("locked"));
    daemon.stop();
}

#[test]
fn an_import_without_a_daemon_that_makes_a_trade_of_a_model_doubtful_lets_it_never_speak_again() {
    let stored = |pnl: Value| past_trade(&at(0, 1), "CLOSED", json!({ "pnl": pnl }));
    let open = |pnl: Value| past_trade(&at(0, 1), "OPEN", json!({ "pnl": pnl }));
    for (line, code, is_silenced) in [
        (stored(json!(-9000.0)), 5, true),
        (open(json!("-500")), 5, true),
        (open(json!(1e9)), 5, true),
        // what is closed and known stays so
        (stored(json!("-500")), 5, false),
        (stored(json!(5.0)), 0, false),
        (past_trade(&at(0, 1), "NEVER", json!({ "pnl": "-500" })), 5, false),
    ] {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, setup(&Trap::default()));
        let mut wire = daemon.connect();
        ["CLOSED", "OPEN"].iter().for_each(|id| assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 1), id))), ml()));
        wire.ask_ok(outcome(&at(0, 2), "CLOSED", Some(5.0)));
        daemon.stop();
        let told = import(&place, std::slice::from_ref(&line), code);
        let silenced = if is_silenced { json!(["ES/1"]) } else { json!([]) };
        assert_eq!(told["silenced"], silenced, "{line}: {told}");
        let daemon = Daemon::start_with(&place, setup(&Trap::default()));
        let mut wire = daemon.connect();
        let heard = arm_of(&wire.ask_ok(score(&at(0, 3), "NEXT")));
        assert_eq!(heard, if is_silenced { baseline("locked") } else { ml() }, "{line}");
        let status = wire.status();
        let state = &status["guardian"]["versions"][0]["state"];
        assert_eq!(state, if is_silenced { "rolled_back" } else { "production" }, "{line}");
        let silencing = std::fs::read_to_string(place.state().join("vigie.silenced")).unwrap_or_default();
        assert_eq!(silencing.contains("cannot be evaluated"), is_silenced, "{silencing}");
        daemon.stop();
    }
}

/// How an import reaches the journal.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Socket,
    CommandWithDaemon,
    CommandAlone,
}

const WAYS: [Way; 3] = [Way::Socket, Way::CommandWithDaemon, Way::CommandAlone];

/// Of a daemon under which a model was heard in CLOSED, which made 5, and in OPEN, and in UNHEARD none was: imports `line`, which is
/// refused with `refused`, and says whether the model speaks after it. If not, there is an alert of a contradiction.
fn speaks_after_import(way: Way, line: &Value, refused: &str) -> bool {
    let (speaks, contradictions) = after_import(way, line, refused);
    assert_eq!(contradictions, usize::from(!speaks), "{way:?} {line}");
    speaks
}

/// The same with the number of contradictions that people were alerted of.
fn after_import(way: Way, line: &Value, refused: &str) -> (bool, usize) {
    let place = Place::with_model(State::Production);
    let start = || Daemon::start_with(&place, setup(&Trap::default()));
    let mut daemon = start();
    let mut wire = daemon.connect();
    ["CLOSED", "OPEN"].iter().for_each(|id| assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 1), id))), ml()));
    wire.ask_ok(outcome(&at(0, 2), "CLOSED", Some(5.0)));
    wire.ask_ok(outcome(&at(0, 2), "UNHEARD", Some(5.0)));
    if way == Way::CommandAlone {
        daemon.stop();
        let told = import(&place, std::slice::from_ref(line), 5);
        assert_eq!(told["faults"][refused]["count"], 1, "{told}");
        daemon = start();
        wire = daemon.connect();
    } else if way == Way::CommandWithDaemon {
        let told = import(&place, std::slice::from_ref(line), 5);
        assert_eq!(told["faults"][refused]["count"], 1, "{told}");
    } else {
        let mut request = line.clone();
        request["type"] = json!("import");
        assert_eq!(code(&wire.ask(request.to_string())), refused);
    }
    let arm = arm_of(&wire.ask_ok(score(&at(0, 3), "NEXT")));
    let contradicted = place.alerts("conflict").len();
    daemon.stop();
    assert!(arm == ml() || arm == baseline("locked"), "{arm:?}");
    (arm == ml(), contradicted)
}

#[test]
fn a_fault_beside_a_result_hides_no_loss_of_an_open_trade_of_a_model() {
    let faulty = |pnl: f64| {
        let mut line = past_trade(&at(0, 1), "OPEN", json!({ "pnl": pnl }));
        line["outcome_metrics"]["profit"] = json!(1.0);
        line
    };
    for way in WAYS {
        assert_eq!(after_import(way, &faulty(-9000.0), "unknown_field"), (false, 0), "{way:?}");
        assert_eq!(after_import(way, &faulty(5.0), "unknown_field"), (true, 0), "{way:?}");
    }
}

#[test]
fn a_damaged_event_is_a_lock_for_whoever_asks_what_is_in_force() {
    let place = Place::with_model(State::Production);
    let start = || Daemon::start_with(&place, setup(&Trap::default()));
    let daemon = start();
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 1), "CLOSED"))), ml());
    wire.ask_ok(outcome(&at(0, 2), "CLOSED", Some(5.0)));
    daemon.stop();
    let begun = |event: &EventKind| matches!(event, EventKind::Started { .. });
    let seq =
        place.reader().events(0).unwrap().map(Result::unwrap).find(|stored| begun(&stored.event.kind)).unwrap().seq;
    damage(&place, seq);
    let locked = |lock: Option<&str>| lock.is_some_and(|lock| lock.starts_with("the event log is damaged"));
    // by the events alone, by the whole log, and for people
    assert!(locked(versions::roster(&place.reader()).unwrap().lock().as_deref()));
    let config = Config::parse("test", &setup(&Trap::default()).config).unwrap();
    let folded = checkpoint::state(&place.reader(), &config).unwrap();
    assert!(locked(folded.state.trials.roster().lock().as_deref()));
    let of_now = told(&place, &["models", "at", "2200-01-01T00:00:00Z", "--json", "--state", "state"], 0);
    assert!(locked(of_now["lock"].as_str()), "{of_now}");
    assert_eq!(of_now["live"]["ES"]["production"], "ES/1", "{of_now}");
    // an import judges by the same state: what contradicts takes the model out of service beside the lock
    let line = past_trade(&at(0, 1), "CLOSED", json!({ "pnl": -9000.0 }));
    assert_eq!(import(&place, &[line], 5)["silenced"], json!(["ES/1"]));
    let daemon = start();
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 3), "NEXT"))), baseline("locked"));
    let guardian = &wire.status()["guardian"];
    assert!(locked(guardian["lock"].as_str()) && guardian["versions"][0]["state"] == "rolled_back", "{guardian}");
    daemon.stop();
    // evidence is not added up of what lacks a piece
    assert!(versions::portfolio(&place.reader()).is_err());
}

#[test]
fn an_import_that_tells_of_the_end_of_a_trade_of_a_model_under_another_signal_silences() {
    let under = |id: &str, field: &str, value: Value, pnl: f64| {
        let mut line = past_trade(&at(0, 1), id, json!({ "pnl": pnl }));
        line[field] = value;
        line
    };
    let another_at = || json!(at(0, 0));
    for way in WAYS {
        assert!(!speaks_after_import(way, &under("CLOSED", "at", another_at(), -9000.0), "conflict"), "{way:?}");
        assert!(!speaks_after_import(way, &under("OPEN", "at", another_at(), -50.0), "conflict"), "{way:?}");
        // how it was closed is known, and by no model is nothing contradicted
        assert!(speaks_after_import(way, &under("CLOSED", "at", another_at(), 5.0), "conflict"), "{way:?}");
        assert!(speaks_after_import(way, &under("UNHEARD", "side", json!("short"), -9000.0), "conflict"), "{way:?}");
    }
    for (field, value) in [("side", json!("short")), ("symbol", json!("NQ")), ("confidence", json!(0.7))] {
        assert!(!speaks_after_import(Way::Socket, &under("CLOSED", field, value, -9000.0), "conflict"), "{field}");
    }
}

#[test]
fn a_fault_beside_a_result_hides_no_contradiction_of_a_trade_of_a_model() {
    let faulty = |pnl: f64| {
        let mut line = past_trade(&at(0, 1), "CLOSED", json!({ "pnl": pnl }));
        line["outcome_metrics"]["profit"] = json!(1.0);
        line
    };
    let impossible = past_trade(&at(0, 1), "CLOSED", json!({ "pnl": 1e9 }));
    for way in WAYS {
        assert!(!speaks_after_import(way, &faulty(-9000.0), "unknown_field"), "{way:?}");
        assert!(!speaks_after_import(way, &impossible, "out_of_range"), "{way:?}");
        assert!(speaks_after_import(way, &faulty(5.0), "unknown_field"), "{way:?}");
    }
    // the trader's own outcome, while the trade is on the desk and when only the journal knows it
    for later in [0, 30] {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, setup(&Trap::default()));
        let mut wire = daemon.connect();
        wire.ask_ok(score(&at(0, 1), "T-1"));
        wire.ask_ok(outcome(&at(0, 2), "T-1", Some(5.0)));
        assert_eq!(arm_of(&wire.ask_ok(score(&at(later, 3), "NEXT"))), ml());
        let faulty = |pnl: f64| outcome(&at(0, 2), "T-1", Some(pnl)).replace("exit_reason", "exit_raeson");
        assert_eq!(code(&wire.ask(faulty(5.0))), "unknown_field");
        assert_eq!(arm_of(&wire.ask_ok(score(&at(later, 4), "SAME"))), ml(), "later: {later}");
        let told = wire.ask(faulty(-9000.0));
        assert!(told["error"]["message"].as_str().unwrap().ends_with("it took ES/1 out of service"), "{told}");
        assert_eq!(arm_of(&wire.ask_ok(score(&at(later, 5), "OTHER"))), baseline("locked"), "later: {later}");
        daemon.stop();
    }
}

#[test]
fn a_contradiction_of_a_trade_that_only_the_stored_echo_says_a_model_was_heard_in_silences() {
    for (way, imported) in [(None, false), (Some(Way::Socket), true), (Some(Way::CommandAlone), true)] {
        let place = Place::with_model(State::Production);
        let start = || Daemon::start_with(&place, setup(&Trap::default()));
        let mut daemon = start();
        let mut wire = daemon.connect();
        let mut told: Value = serde_json::from_str(&outcome(&at(0, 2), "LOST", Some(5.0))).unwrap();
        told["decision"] = json!({
            "arm": "ml", "confidence": 0.5, "score": 0.6, "size": 1.0, "model": "ES/1", "reason": "production",
        });
        wire.ask_ok(told.to_string());
        // a month later nothing of it is on the desk any more
        assert_eq!(arm_of(&wire.ask_ok(score(&at(30, 0), "N-1"))), ml());
        let mut line = past_trade(&at(0, 1), "LOST", json!({ "pnl": -9000.0 }));
        match way {
            Some(Way::CommandAlone) => {
                daemon.stop();
                assert_eq!(import(&place, &[line], 5)["silenced"], json!(["ES/1"]));
                daemon = start();
                wire = daemon.connect();
            }
            Some(_) => {
                line["type"] = json!("import");
                assert_eq!(code(&wire.ask(line.to_string())), "conflict");
            }
            None => assert_eq!(code(&wire.ask(outcome(&at(0, 2), "LOST", Some(-9000.0)))), "conflict"),
        }
        assert_eq!(arm_of(&wire.ask_ok(score(&at(30, 1), "N-2"))), baseline("locked"), "imported: {imported}");
        daemon.stop();
    }
}

#[test]
fn an_import_through_a_daemon_says_whom_it_silenced_and_which_symbols_the_daemon_lacks() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 1), "T-1"))), ml());
    let mut other = past_trade(&at(0, 1), "T-2", json!({ "pnl": 1.0 }));
    other["symbol"] = json!("QQ");
    let loss = past_trade(&at(0, 1), "T-1", json!({ "pnl": -50_000.0 }));
    place.file("trades.jsonl", &format!("{loss}\n{other}\n"));
    // the daemon has ES and not QQ, whatever a file says that it does not read
    place.file("other.toml", "[symbols.QQ]\ntick = 0.25\ntick_value = 12.5\n");
    let arguments = ["import", "--json", "--state", "state", "--config", "other.toml", "trades.jsonl"];
    let output = vigie(&place, &arguments).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["silenced"], &told["unknown_symbols"]), (&json!(["ES/1"]), &json!({ "QQ": 1 })), "{told}");
    let warned = String::from_utf8(output.stderr).unwrap();
    assert!(warned.contains("other.toml is not used"), "{warned}");
    daemon.stop();
}

#[test]
fn an_outcome_before_a_signal_that_was_imported_open_is_refused_as_before_one_that_was_scored() {
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    let mut line = signal(&at(0, 60), "IMPORTED");
    line["type"] = json!("import");
    wire.ask_ok(line.to_string());
    wire.ask_ok(score(&at(0, 60), "SCORED"));
    for id in ["IMPORTED", "SCORED"] {
        let early = wire.ask(outcome(&at(0, 0), id, Some(5.0)));
        assert_eq!(
            (code(&early), &early["error"]["field"]),
            ("out_of_range", &json!("outcome_metrics.exit_at")),
            "{id}"
        );
        assert_eq!(wire.ask_ok(outcome(&at(0, 61), id, Some(5.0)))["matched"], true, "{id}");
    }
    daemon.stop();
}

#[test]
fn a_loss_that_contradicts_an_outcome_told_without_its_decision_silences_the_model_that_it_echoes() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    wire.ask_ok(outcome(&at(0, 1), "LOST", Some(5.0)));
    let decision = json!({
        "arm": "ml", "confidence": 0.5, "score": 0.6, "size": 1.0, "model": "ES/1", "reason": "production",
    });
    let mut loss: Value = serde_json::from_str(&outcome(&at(0, 1), "LOST", Some(-5.0))).unwrap();
    loss["decision"] = decision;
    let refused = wire.ask(loss.to_string());
    assert_eq!(code(&refused), "conflict");
    assert!(refused["error"]["message"].as_str().unwrap().ends_with("it took ES/1 out of service"), "{refused}");
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 2), "NEXT"))), baseline("locked"));
    daemon.stop();
}

#[test]
fn a_known_id_under_a_symbol_without_a_table_is_a_reused_one() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    wire.ask_ok(score(&at(0, 1), "T-1"));
    let mut other = signal(&at(0, 1), "T-1");
    other["symbol"] = json!("ZZ");
    assert_eq!(arm_of(&wire.ask_ok(other.to_string())), baseline("trade_id_reused"));
    other["trade_id"] = json!("T-2");
    assert_eq!(arm_of(&wire.ask_ok(other.to_string())), baseline("unknown_symbol"));
    daemon.stop();
}

#[test]
fn an_outcome_without_a_pnl_says_whom_it_silenced_and_is_completed_once() {
    for imported in [false, true] {
        let place = Place::with_model(State::Production);
        let daemon = Daemon::start_with(&place, setup(&Trap::default()));
        let mut wire = daemon.connect();
        wire.ask_ok(score(&at(0, 0), "T-1"));
        let told = wire.ask_ok(outcome(&at(0, 1), "T-1", None));
        assert_eq!(told["silenced"], json!(["ES/1"]), "{told}");
        assert_eq!(day_pnl(&mut wire), Some(0.0));
        let impossible = wire.ask(outcome(&at(0, 1), "T-1", Some(-1e9)));
        assert_eq!(code(&impossible), "out_of_range", "{impossible}");
        let whole = if imported {
            let mut line = signal(&at(0, 0), "T-1");
            line["type"] = json!("import");
            line["outcome_metrics"] = json!({ "exit_at": at(0, 1), "pnl": -500.0, "exit_reason": "signal" });
            line.to_string()
        } else {
            outcome(&at(0, 1), "T-1", Some(-500.0))
        };
        let completed = wire.ask_ok(&whole);
        assert_eq!((&completed["completed"], &completed["duplicate"]), (&json!(true), &json!(false)), "{completed}");
        assert_eq!(day_pnl(&mut wire), Some(-500.0));
        // the first telling, which may still wait in the client, says nothing else
        for again in [&whole, &outcome(&at(0, 1), "T-1", None)] {
            assert_eq!(wire.ask_ok(again)["duplicate"], true);
        }
        assert_eq!(code(&wire.ask(outcome(&at(0, 1), "T-1", Some(-400.0)))), "conflict", "what is complete stays");
        assert_eq!(day_pnl(&mut wire), Some(-500.0));
        daemon.stop();
        let daemon = Daemon::start_with(&place, setup(&Trap::default()));
        let mut wire = daemon.connect();
        assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 5), "T-2"))), baseline("locked"));
        assert_eq!(day_pnl(&mut wire), Some(-500.0));
        daemon.stop();
    }
}

#[test]
fn what_is_acknowledged_is_what_was_judged_and_not_what_a_full_disk_refused() {
    let (place, trap) = (Place::with_model(State::Production), Trap::default());
    let daemon = Daemon::start_with(&place, setup(&trap));
    let mut wire = daemon.connect();
    let ids: Vec<String> = (0..11).map(|n| format!("T-{n}")).collect();
    ids.iter().for_each(|id| assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 0), id))), ml()));
    // a decision that is not on disk yet is written again and again, and each attempt counts as a restart
    until("the decisions on disk", || (place.reader().counts().unwrap().decisions == 11).then_some(()));
    trap.panic_over("journal", "apply", usize::MAX);
    for id in &ids {
        assert_eq!(code(&wire.ask(outcome(&at(0, 1), id, Some(5.0)))), "retry");
    }
    trap.heal();
    for id in &ids {
        until("an acknowledgement", || {
            (wire.ask(outcome(&at(0, 1), id, Some(-500.0)))["durable"] == true).then_some(())
        });
    }
    assert_eq!(day_pnl(&mut wire), Some(-5500.0));
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 2), "X"))), baseline("locked"));
    daemon.stop();
}

#[test]
fn a_disk_that_failed_is_whole_only_after_a_write_that_reached_it() {
    let (place, trap) = (Place::with_model(State::Production), Trap::default());
    let daemon = Daemon::start_with(&place, setup(&trap));
    let mut wire = daemon.connect();
    wire.ask_ok(score(&at(0, 0), "T-1"));
    wire.ask_ok(outcome(&at(0, 1), "T-1", Some(5.0)));
    trap.panic_over("journal", "apply", 20);
    assert_eq!(code(&wire.ask(outcome(&at(0, 1), "T-2", Some(5.0)))), "retry");
    until("a journal in order", || (wire.status()["journal"]["ok"] == true).then_some(()));
    assert_eq!(trap.left(), 0, "it was declared whole without a write");
    daemon.stop();
}

/// A journal that is moved away while a daemon has it open, and back; `replaced`: a copy of it takes its place meanwhile.
fn moved_away(replaced: bool) {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 0), "T-1"))), ml());
    let away = place.folder().join("away");
    std::fs::rename(place.journal(), &away).unwrap();
    if replaced {
        std::fs::copy(&away, place.journal()).unwrap();
    }
    let refused = wire.ask(outcome(&at(0, 1), "T-1", Some(5.0)));
    assert_eq!(code(&refused), "retry", "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("put the file back, or stop the daemon"), "{message}");
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 2), "T-2"))), baseline("journal_unavailable"));
    std::fs::rename(&away, place.journal()).unwrap();
    until("an acknowledgement", || (wire.ask(outcome(&at(0, 1), "T-1", Some(5.0)))["durable"] == true).then_some(()));
    until("the alert", || (place.alerts("journal_displaced").len() == 1).then_some(()));
    daemon.stop();
    assert_eq!(place.reader().counts().unwrap().outcomes, 1);
}

#[test]
fn a_journal_that_is_not_in_its_place_takes_nothing_until_it_is_back() {
    // a replay waits for the disk: side by side
    std::thread::scope(|scope| {
        for replaced in [false, true] {
            scope.spawn(move || moved_away(replaced));
        }
    });
}

/// When an older copy of the journal is written over it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Overwritten {
    BeforeAnOutcome,
    /// After the last look at the file before a commit.
    InACommit,
    WhileNothingIsRecorded,
}

fn overwritten(when: Overwritten) {
    let place = Place::with_model(State::Production);
    let trap = Trap::default();
    let daemon = Daemon::start_with(&place, setup(&trap));
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 0), "T-1"))), ml());
    wire.ask_ok(outcome(&at(0, 1), "T-1", Some(5.0)));
    let older = std::fs::read(place.journal()).unwrap();
    for n in 2..=9 {
        assert_eq!(wire.ask_ok(outcome(&at(0, 1), &format!("T-{n}"), Some(5.0)))["durable"], true);
    }
    until("a quiet journal", || (wire.status()["journal"]["waiting"] == 0).then_some(()));
    // as `cp` does it: into the file that is open
    let overwrite = || std::fs::write(place.journal(), &older).unwrap();
    let again = |wire: &mut Wire| wire.ask(outcome(&at(0, 1), "T-10", Some(5.0)));
    match when {
        Overwritten::BeforeAnOutcome => overwrite(),
        Overwritten::WhileNothingIsRecorded => {
            overwrite();
            let watch = vigie::clock::Stopwatch::start();
            until("a journal that fails", || (wire.status()["journal"]["ok"] == false).then_some(()));
            let waited = watch.elapsed();
            assert!(waited < std::time::Duration::from_secs(2), "{waited:?}");
            assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 2), "T-0"))), baseline("journal_unavailable"));
        }
        Overwritten::InACommit => {
            trap.hold_journal();
            wire.send(format!("{}\n", outcome(&at(0, 1), "T-10", Some(5.0))));
            trap.await_held();
            overwrite();
            trap.release();
            let refused = wire.answer();
            assert_eq!(code(&refused), "retry", "{refused}");
        }
    }
    for _ in 0..5 {
        let refused = again(&mut wire);
        assert_eq!(code(&refused), "retry", "{refused}");
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("another program wrote to the journal") && message.contains("vigie restore"),
            "{message}"
        );
    }
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 2), "T-11"))), baseline("journal_unavailable"));
    assert!(wire.status()["journal"]["error"].as_str().unwrap().contains("another program wrote to the journal"));
    daemon.stop();
    let left = std::fs::read(place.journal()).unwrap();
    let is_as_copied = left == older;
    assert!(is_as_copied || when == Overwritten::InACommit, "something was written to it");
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 3), "T-12"))), baseline("locked"), "{when:?}");
    let lock = wire.status()["guardian"]["lock"].as_str().unwrap().to_owned();
    assert!(lock.contains("another program wrote to the journal"), "{lock}");
    daemon.stop();
}

#[test]
fn a_journal_that_is_overwritten_in_place_takes_nothing_any_more_and_the_next_start_says_so() {
    std::thread::scope(|scope| {
        for when in [Overwritten::BeforeAnOutcome, Overwritten::InACommit, Overwritten::WhileNothingIsRecorded] {
            scope.spawn(move || overwritten(when));
        }
    });
}

#[test]
fn a_journal_that_is_shortened_in_place_acknowledges_nothing_that_is_lost() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    for n in 1..=9 {
        wire.ask_ok(outcome(&at(0, 1), &format!("T-{n}"), Some(5.0)));
    }
    until("a quiet journal", || (wire.status()["journal"]["waiting"] == 0).then_some(()));
    let file = std::fs::File::options().write(true).open(place.journal()).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let (mut told, mut kept) = (0, Vec::new());
    until("an outcome that is taken", || {
        told += 1;
        let name = format!("S-{told}");
        let answer = Wire::ask_once(&place.socket(), &outcome(&at(0, 1), &name, Some(5.0)).to_string())?;
        if answer["durable"] == true {
            kept.push(name);
        }
        (kept.len() == 5).then_some(())
    });
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 2), "T-11"))), baseline("locked"));
    daemon.stop();
    assert_eq!(place.alerts("journal_quarantined").len(), 1);
    for name in kept {
        assert!(place.reader().outcome(&TradeId::new(&name).unwrap()).unwrap().is_some(), "{name} was acknowledged");
    }
}

#[test]
fn a_damaged_outcome_is_named_silences_and_may_be_told_again() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup(&Trap::default()));
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask_ok(score(&at(0, 0), "T-1"))), ml());
    wire.ask_ok(outcome(&at(0, 1), "T-1", Some(5.0)));
    daemon.stop();
    let seq = place.reader().outcome(&TradeId::new("T-1").unwrap()).unwrap().unwrap().seq;
    damage(&place, seq);
    let start = || Daemon::start_with(&place, setup(&Trap::default()));
    let daemon = start();
    let mut wire = daemon.connect();
    assert_ne!(arm_of(&wire.ask_ok(score(&at(0, 2), "T-2"))).0, "ml");
    until("the alert", || (place.alerts("outcome_damaged").len() == 1).then_some(()));
    assert!(place.alerts("outcome_damaged")[0].starts_with("T-1: "));
    daemon.stop();
    let daemon = start();
    let mut wire = daemon.connect();
    assert_eq!(place.alerts("outcome_damaged").len(), 1, "once");
    let told = wire.ask_ok(outcome(&at(0, 1), "T-1", Some(-70.0)));
    assert_eq!((&told["duplicate"], day_pnl(&mut wire)), (&json!(false), Some(-70.0)));
    daemon.stop();
    assert_eq!(place.reader().outcomes().unwrap().filter(Result::is_err).count(), 0);
}
