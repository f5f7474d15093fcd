//! A version that was archived or rolled back comes back: through its gates on what came since, or at once by an order that marks it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{BY_HAND, CONFIG, Place, examples, model},
    process::{succeed, told, vigie},
    wait::until,
    wire::{LOCK, RESUME, Wire, baseline, ml, promote, rollback},
};
use serde_json::{Value, json};
use vigie::{
    config::Config,
    domain::{
        Event, EventKind, Timestamp, VersionId,
        event::{By, Trial},
        lifecycle::{State, Transition},
    },
    features::row::Schema,
    journal::Write,
    models::VersionRecord,
    recall::{
        learning::{Job, Product, work},
        versions::{record, roster},
    },
};

/// Example trades that the version was trained and tested on.
const BEFORE: usize = 750;

fn es(number: u32) -> VersionId {
    format!("ES/{number}").parse().unwrap()
}

fn moved(number: u32, step: Transition) -> Write {
    let (version, by, evidence) = (es(number), By::Uid(0), BTreeMap::new());
    let kind = EventKind::Moved { version, step, reason: "a test".to_owned(), by, overridden: false, evidence };
    Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind })
}

fn take(place: &Place, writes: &[Write]) {
    let mut store = place.open();
    store.apply(writes).unwrap();
    store.close().unwrap();
}

/// A journal in which ES/1 was trained on the first of the example trades, changed line by line, and archived.
fn archived(change: impl Fn(usize, String) -> String) -> (Place, Vec<String>) {
    let place = Place::new();
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}"));
    let mut lines: Vec<String> = examples().into_iter().enumerate().map(|(n, line)| change(n, line)).collect();
    let since = lines.split_off(BEFORE);
    import(&place, &lines);
    succeed(&place, &["train", "--keep", "--state", "state", "--config", "config.toml"]);
    let state = roster(&place.reader()).unwrap().standing(&es(1)).unwrap().state;
    let begin = if state == State::Trained { vec![moved(1, Transition::Validate)] } else { Vec::new() };
    take(&place, &begin);
    take(&place, &[moved(1, Transition::Stage), moved(1, Transition::ArchiveStaging)]);
    assert_eq!(standing(&place, 1), (State::Archived, false));
    (place, since)
}

fn import(place: &Place, lines: &[String]) {
    place.file("trades.jsonl", &lines.join("\n"));
    succeed(place, &["import", "--state", "state", "trades.jsonl"]);
}

fn standing(place: &Place, number: u32) -> (State, bool) {
    let standing = roster(&place.reader()).unwrap().standing(&es(number)).unwrap();
    (standing.state, standing.overridden)
}

fn trials(place: &Place) -> Vec<Trial> {
    let trial = |kind| match kind {
        EventKind::Tried(trial) => Some(*trial),
        _ => None,
    };
    place.events().into_iter().filter_map(trial).collect()
}

/// What `vigie reinstate` says on a journal that no daemon has, and how it ends.
fn reinstate(place: &Place, number: u32) -> (i32, String) {
    let id = es(number).to_string();
    let output = vigie(place, &["reinstate", &id, "--state", "state", "--config", "config.toml"]).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn an_archived_version_comes_back_on_the_trades_since_once_and_is_in_the_ledger() {
    let (place, since) = archived(|_, line| line);
    let trained = trials(&place);
    // nothing is new yet, and nothing was looked at
    let (code, text) = reinstate(&place, 1);
    assert!(code == 1 && text.contains("asks for 100 closed trades since") && text.contains("there are 0"), "{text}");
    import(&place, &since[..60]);
    let (code, text) = reinstate(&place, 1);
    assert!(code == 1 && text.contains("there are 60, 40 fewer"), "{text}");
    assert_eq!((trials(&place).len(), standing(&place, 1)), (1, (State::Archived, false)));
    import(&place, &since[60..]);
    let (code, text) = reinstate(&place, 1);
    assert!(code == 0 && text.contains("ES/1 is validated again and goes on to staging"), "{text}");
    assert_eq!(standing(&place, 1), (State::Validated, false), "by its gates, so it is not marked");
    let all = trials(&place);
    let again = &all[1];
    assert_eq!((all.len(), again.version.clone()), (2, Some(es(1))));
    assert!(again.test_from > trained[0].test_to, "what it was judged on before is not judged again");
    assert!(again.data_hash != trained[0].data_hash && again.configurations > 0);
    // it is back: a second order finds nothing to do
    let (code, text) = reinstate(&place, 1);
    assert!(code == 1 && text.contains("ES/1 is validated: only a version that is archived"), "{text}");
    // put away again it is not judged on the same trades twice
    take(&place, &[moved(1, Transition::ArchiveValidated)]);
    let (code, text) = reinstate(&place, 1);
    assert!(code == 1 && text.contains("there are 0, 100 fewer"), "{text}");
    let unknown = reinstate(&place, 9);
    assert!(unknown.0 == 1 && unknown.1.contains("there is no version ES/9"), "{unknown:?}");
}

#[test]
fn a_version_that_the_market_has_left_behind_stays_where_it_is_and_the_gates_are_named_with_their_figures() {
    // what won loses from then on
    let turned = |n: usize, line: String| {
        let mut line: Value = serde_json::from_str(&line).unwrap();
        if n >= BEFORE {
            let pnl = line["outcome_metrics"]["pnl"].as_f64().unwrap();
            line["outcome_metrics"]["pnl"] = (-pnl).into();
        }
        line.to_string()
    };
    let (place, since) = archived(turned);
    import(&place, &since);
    take(&place, &[moved(1, Transition::RollBack)]);
    assert_eq!(standing(&place, 1).0, State::RolledBack);
    let (code, text) = reinstate(&place, 1);
    let last = text.lines().last().unwrap();
    assert!(code == 1 && last.contains("ES/1 stays where it is: the gate to validated is not passed: "), "{text}");
    assert!(last.contains(" is ") && last.contains(" and must be >"), "{last}");
    assert_eq!((standing(&place, 1), trials(&place).len()), ((State::RolledBack, false), 2), "it was looked at");
}

#[test]
fn damage_a_missing_record_and_inputs_that_are_gone_are_named_and_change_nothing() {
    let (place, since) = archived(|_, line| line);
    import(&place, &since);
    place.register("ES/2", b"{ no record".to_vec(), State::Production);
    take(&place, &[moved(2, Transition::RollBack)]);
    let trained = EventKind::Trained { version: es(3), evidence: BTreeMap::new() };
    take(&place, &[Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind: trained }), moved(3, Transition::Validate)]);
    take(&place, &[moved(3, Transition::ArchiveValidated)]);
    // as a program would have made it that knew another input
    let stored = serde_json::to_string(&record(&place.reader(), &es(1)).unwrap()).unwrap();
    let older = stored.replace("\"vwap_trend_signal\"", "\"tape_speed\"").replace("\"ES/1\"", "\"ES/4\"");
    assert_ne!(older, stored);
    let mut older: VersionRecord = serde_json::from_str(&older).unwrap();
    older.inputs = None;
    place.register("ES/4", older.to_bytes().unwrap(), State::Production);
    take(&place, &[moved(4, Transition::RollBack)]);
    let before = place.events().len();
    let daemon = Daemon::start_with(&place, Setup { config: format!("{CONFIG}{BY_HAND}"), ..Setup::default() });
    let mut wire = daemon.connect();
    let events = || place.events().into_iter().filter(|kind| !matches!(kind, EventKind::Alert { .. }));
    for (version, judged, at_once) in [
        ("ES/2", "unknown_version", "model_damaged"),
        ("ES/3", "unknown_version", "model_damaged"),
        ("ES/4", "inputs", "model_damaged"),
        ("ES/9", "refused", "refused"),
    ] {
        let last = ended(&mut wire, version);
        assert_eq!((&last["refused"]["code"], &last["version"]), (&json!(judged), &Value::Null), "{version} {last}");
        let refused = wire.ask(past_gates(version, None));
        assert_eq!(refused["error"]["code"], at_once, "{version} {refused}");
    }
    let gone = wire.ask(past_gates("ES/4", None))["error"]["message"].to_string();
    assert!(gone.contains("tape_speed"), "{gone}");
    assert_eq!(wire.arm("T-1"), baseline("no_model"));
    daemon.stop();
    let steps = events().skip(before).filter(|kind| matches!(kind, EventKind::Moved { .. } | EventKind::Tried(_)));
    assert_eq!(steps.count(), 0);
}

fn past_gates(version: &str, to: Option<&str>) -> String {
    let order = json!({ "type": "reinstate", "version": version, "override": true, "reason": "a test" });
    match to {
        None => order.to_string(),
        Some(to) => order.to_string().replacen('{', &format!("{{\"to\":\"{to}\","), 1),
    }
}

/// What came of a judgement that a daemon was asked for.
fn ended(wire: &mut Wire, version: &str) -> Value {
    let begun = wire.ask_ok(json!({ "type": "reinstate", "version": version, "reason": "a test" }).to_string());
    assert_eq!(begun["done"], "it has begun");
    until("the end of the judgement", || {
        let training = wire.ask(r#"{"type":"training"}"#)["training"].take();
        training["running"].is_null().then(|| training["last"].clone())
    })
}

#[test]
fn a_daemon_judges_it_beside_its_service_and_the_version_is_in_staging_by_the_usual_step_also_after_a_restart() {
    let (place, since) = archived(|_, line| line);
    import(&place, &since);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let state = |wire: &mut Wire| {
        let status = wire.status();
        let versions = status["guardian"]["versions"].as_array().unwrap().clone();
        versions.iter().map(|it| (it["state"].clone(), it["scoring"].clone(), it["overridden"].clone())).next().unwrap()
    };
    let order = json!({ "type": "reinstate", "version": "ES/1", "reason": "a test" }).to_string();
    let told_to = order.replacen('{', "{\"to\":\"production\",", 1);
    assert_eq!(wire.ask(told_to)["error"]["code"], "refused", "how far is said only of what goes past its gates");
    assert_eq!(wire.ask_ok(&order)["training"], 1);
    assert_eq!(daemon.connect().ask(&order)["error"]["code"], "busy", "one at a time");
    let staging = (json!("staging"), json!(true), json!(false));
    until("staging", || (state(&mut wire) == staging).then_some(()));
    let last = ended(&mut wire, "ES/1");
    assert_eq!(last["refused"]["code"], "refused", "it is there: {last}");
    daemon.stop();
    let daemon = Daemon::start(&place);
    assert_eq!(state(&mut daemon.connect()), staging);
    daemon.stop();
    let steps: Vec<(Transition, String)> = place.events().into_iter().filter_map(step_of(1)).collect();
    let back: Vec<_> = steps.iter().skip_while(|(step, _)| *step != Transition::Reinstate).collect();
    let by = ["the trainer", "the trainer", "the ab_router"];
    let steps = [Transition::Reinstate, Transition::Validate, Transition::Stage];
    assert_eq!(back, steps.into_iter().zip(by.map(str::to_owned)).collect::<Vec<_>>().iter().collect::<Vec<_>>());
}

/// The steps of a version, and who took them.
fn step_of(number: u32) -> impl Fn(EventKind) -> Option<(Transition, String)> {
    move |kind| match kind {
        EventKind::Moved { version, step, by, .. } if version == es(number) => Some((step, by.to_string())),
        _ => None,
    }
}

/// ES/1 archived behind ES/2 in production.
fn replaced() -> Place {
    let place = Place::with_model(State::Production);
    let mut second = model().clone();
    second.id = es(2);
    place.register("ES/2", second.to_bytes().unwrap(), State::AbTest);
    take(&place, &[moved(1, Transition::ArchiveProduction), moved(2, Transition::Promote)]);
    assert_eq!((standing(&place, 1).0, standing(&place, 2).0), (State::Archived, State::Production));
    place
}

#[test]
fn in_an_emergency_an_order_brings_it_back_at_once_marked_for_ever_and_it_survives_a_restart() {
    let place = replaced();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let no_reason = json!({ "type": "reinstate", "version": "ES/1", "override": true }).to_string();
    assert_eq!(wire.ask(no_reason)["error"]["code"], "missing_field");
    let refused = wire.ask(past_gates("ES/2", None));
    assert!(refused["error"]["message"].as_str().unwrap().contains("ES/2 is production: only a version"), "{refused}");
    // what silences stays in force, and the answer says so
    wire.ask_ok(LOCK);
    let done = wire.ask_ok(past_gates("ES/1", None));
    let said = done["done"].as_str().unwrap();
    assert!(said.starts_with("ES/1 is production; no model of ES speaks until `vigie resume`"), "{done}");
    assert_eq!(wire.arm("T-1"), baseline("locked"));
    wire.ask_ok(RESUME);
    assert_eq!(wire.arm("T-2"), ml());
    assert_eq!(wire.ask(past_gates("ES/1", None))["error"]["code"], "refused", "a second order finds it there");
    daemon.stop();
    assert_eq!((standing(&place, 1), standing(&place, 2).0), ((State::Production, true), State::Archived));
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-3"), ml());
    wire.ask_ok(rollback("ES/1"));
    assert_eq!(wire.arm("T-4"), baseline("no_model"), "it is watched and taken down as any other");
    assert!(wire.ask(promote("ES/1"))["error"]["message"].as_str().unwrap().contains("rolled_back"));
    wire.ask_ok(past_gates("ES/1", Some("staging")));
    assert_eq!(wire.arm("T-5"), baseline("shadow"));
    daemon.stop();
    assert_eq!(standing(&place, 1), (State::Staging, true));
    let told = told(&place, &["models", "--state", "state", "--offline", "--json"], 0);
    assert_eq!(told[0]["overridden"], true);
}

#[test]
fn a_test_under_way_is_ended_first_and_a_version_in_staging_goes_on() {
    let place = replaced();
    for (number, state) in [(3, State::Staging), (4, State::AbTest)] {
        let mut other = model().clone();
        other.id = es(number);
        place.register(&es(number).to_string(), other.to_bytes().unwrap(), state);
    }
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let refused = wire.ask(past_gates("ES/1", None));
    let said = refused["error"]["message"].as_str().unwrap();
    assert!(said.contains("ES/4 is under test for the same symbol; end its test first"), "{refused}");
    wire.ask_ok(rollback("ES/4"));
    wire.ask_ok(past_gates("ES/1", None));
    daemon.stop();
    let stand = [1, 2, 3, 4].map(|number| standing(&place, number).0);
    assert_eq!(stand, [State::Production, State::Archived, State::Staging, State::RolledBack]);
}

#[test]
fn a_kill_that_meets_a_return_under_way_takes_it_back_and_two_orders_at_once_are_one() {
    let place = replaced();
    let trap = Trap::default();
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), ..Setup::default() });
    let (mut first, mut second, mut third) = (daemon.connect(), daemon.connect(), daemon.connect());
    assert_eq!(third.arm("T-1"), ml());
    trap.hold_journal();
    first.send(format!("{}\n", past_gates("ES/1", None)));
    trap.await_held();
    assert_eq!(second.ask(past_gates("ES/1", None))["error"]["code"], "retry", "one order at a time");
    second.send("{\"type\":\"kill\",\"reason\":\"a test\"}\n");
    until("the kill in force", || (third.arm("T-2") == baseline("locked")).then_some(()));
    trap.release();
    assert_eq!((&first.answer()["ok"], &second.answer()["ok"]), (&json!(true), &json!(true)));
    daemon.stop();
    assert_eq!((standing(&place, 1).0, standing(&place, 2).0), (State::RolledBack, State::RolledBack));
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("T-3"), baseline("locked"));
    daemon.stop();
}

/// What a judgement comes to depends on where the version stands when it is registered, and not when it began.
#[test]
fn a_judgement_that_ends_behind_an_order_leaves_the_version_where_the_order_brought_it() {
    let (place, since) = archived(|_, line| line);
    import(&place, &since);
    let config = Config::parse("test", CONFIG).unwrap();
    let job = Job::Reinstate { version: es(1) };
    let product = work(&job, &place.reader(), &config, Timestamp::UNIX_EPOCH, &mut |_, _| ()).unwrap();
    assert!(product.report.is_deployable());
    let steps = |product: &Product, before: &[Transition]| -> Vec<Transition> {
        let mut stands = roster(&place.reader()).unwrap();
        for step in before {
            let Write::Event(event) = moved(1, *step) else { panic!() };
            stands.apply(&event.kind);
        }
        let writes = product.writes(&job, &stands, Timestamp::UNIX_EPOCH).unwrap();
        assert!(writes.iter().any(|write| matches!(write, Write::Event(Event { kind: EventKind::Tried(_), .. }))));
        let step = |write| match write {
            Write::Event(Event { kind: EventKind::Moved { step, .. }, .. }) => Some(step),
            _ => None,
        };
        writes.into_iter().filter_map(step).collect()
    };
    assert_eq!(steps(&product, &[]), [Transition::Reinstate, Transition::Validate]);
    assert_eq!(steps(&product, &[Transition::RollBack]), [Transition::Revalidate, Transition::Validate]);
    let promoted = [Transition::Reinstate, Transition::Validate, Transition::Stage, Transition::StartTest];
    assert_eq!(steps(&product, &promoted), []);
    // and a product of something else is not taken for one
    let other = Product { trial: None, ..product.clone() };
    assert!(other.writes(&job, &roster(&place.reader()).unwrap(), Timestamp::UNIX_EPOCH).is_err());
    assert!(
        product
            .writes(&Job::Reinstate { version: es(2) }, &roster(&place.reader()).unwrap(), Timestamp::UNIX_EPOCH)
            .is_err()
    );
    let schema = Schema::of(&config.features).unwrap();
    assert!(record(&place.reader(), &es(1)).unwrap().design.for_schema(&schema).is_ok());
}
