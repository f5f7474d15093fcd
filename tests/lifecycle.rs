//! The life of a version without an operator: staging, test, production or out, over the real socket in event time.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::{
    daemon::{Daemon, Setup},
    market::{Market, TRADES_A_DAY, config, settle, signal, time, trade, trade_a_day},
    place::Place,
    process::Process,
    wait::until,
    wire::{LOCK, RESUME, Wire, arm_of},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    domain::{
        Event, EventKind, Timestamp, TradeId,
        event::By,
        lifecycle::{State, Transition},
    },
    journal::Write,
    policy::routing::Salt,
};

fn state(wire: &mut Wire) -> String {
    let models = wire.ask_ok(r#"{"type":"models"}"#);
    models["models"][0]["state"].as_str().unwrap().to_owned()
}

/// A step that no person ordered: which, why, whether by the router, and the numbers.
type Taken = (Transition, String, bool, BTreeMap<Box<str>, f64>);

fn steps(place: &Place) -> Vec<Taken> {
    let step = |kind| match kind {
        EventKind::Moved { step, reason, by: By::Daemon(by), evidence, .. } => {
            Some((step, reason, &*by == "ab_router", evidence))
        }
        _ => None,
    };
    place.events().into_iter().filter_map(step).collect()
}

fn setup(more: &str) -> Setup {
    Setup { config: config(more), time: Time::Event, ..Setup::default() }
}

/// Trades until the state of the only version is none of `through`, and says which it is.
fn live(wire: &mut Wire, market: Market, days: std::ops::Range<usize>, through: &[&str]) -> (usize, String) {
    for day in days {
        trade_a_day(wire, market, day);
        let state = state(wire);
        if !through.contains(&&*state) {
            return (day, state);
        }
    }
    panic!("nothing came of it: {}", wire.ask(r#"{"type":"experiment"}"#)["trials"][0]["text"]);
}

#[test]
fn a_version_that_is_better_goes_from_staging_through_its_test_into_production_by_itself() {
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, setup(""));
    let mut wire = daemon.connect();
    let (day, stands) = live(&mut wire, Market::Foreseen, 0..6, &["staging"]);
    assert_eq!((day, &*stands), (1, "ab_test"), "24 hours and 10 trades");
    let (_, stands) = live(&mut wire, Market::Foreseen, day + 1..20, &["ab_test"]);
    assert_eq!(stands, "production");
    let [(first, .., start), (second, reason, by_router, evidence)] = &steps(&place)[..] else {
        panic!("{:?}", steps(&place))
    };
    assert_eq!((first, second, by_router), (&Transition::StartTest, &Transition::Promote, &true));
    assert!(reason.starts_with("ship: "), "{reason}");
    // the numbers of the decision, and the terms that the test kept
    for name in [
        "evidence",
        "evidence_threshold",
        "win_rate_gain",
        "sharpe_gain",
        "drawdown_ratio",
        "sample_ratio_p",
        "sessions",
    ] {
        assert!(evidence.contains_key(name), "{name}: {evidence:?}");
    }
    assert!(start["planned_sessions"] == 12.0 && start["trades"] >= 10.0, "{start:?}");
    let trials = wire.ask_ok(r#"{"type":"experiment"}"#);
    assert_eq!(trials["trials"][0]["trial"], "holdback", "{trials}");
    // it is measured on, and its test can still be looked at
    trade_a_day(&mut wire, Market::Foreseen, 30);
    daemon.stop();
}

#[test]
fn a_step_that_a_lock_holds_back_keeps_nobody_busy_and_is_taken_when_it_is_over() {
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, setup(""));
    let mut wire = daemon.connect();
    trade_a_day(&mut wire, Market::Foreseen, 0);
    // what closes under the lock was scored before it, and passes the gate
    (0..TRADES_A_DAY).for_each(|k| drop(wire.ask_ok(signal(1, k, k % 2 == 0).1)));
    wire.ask_ok(LOCK);
    (0..TRADES_A_DAY).for_each(|k| trade(&mut wire, Market::Foreseen, 1, k, |_| ()));
    let trial = &wire.ask_ok(r#"{"type":"experiment"}"#)["trials"][0];
    assert!(trial["text"].as_str().unwrap().starts_with("the gate to its test is passed"), "{trial}");
    assert_eq!((state(&mut wire), &wire.status()["trials"]["settled"]), ("staging".to_owned(), &Value::Bool(true)));
    wire.ask_ok(RESUME);
    let (_, stands) = live(&mut wire, Market::Foreseen, 2..4, &["staging"]);
    assert_eq!(stands, "ab_test");
    daemon.stop();
}

#[test]
fn a_version_that_does_harm_is_rolled_back_and_one_that_changes_nothing_is_archived() {
    for (market, end, step) in [
        (Market::Contrary, "rolled_back", Transition::RollBackTest),
        (Market::Indifferent, "archived", Transition::ArchiveTest),
    ] {
        let place = Place::with_model(State::AbTest);
        let daemon = Daemon::start_with(&place, setup(""));
        let mut wire = daemon.connect();
        let (_, stands) = live(&mut wire, market, 0..24, &["ab_test"]);
        assert_eq!(stands, end, "{market:?}");
        let (taken, reason, ..) = steps(&place).remove(0);
        assert_eq!(taken, step, "{reason}");
        let after = arm_of(&wire.ask_ok(signal(40, 0, true).1));
        assert_eq!(after, ("baseline".to_owned(), "no_model".to_owned()), "{market:?}");
        let trial = wire.ask_ok(r#"{"type":"experiment","version":"ES/1"}"#);
        assert_eq!((&trial["trials"][0]["trial"], &trial["trials"][0]["state"]), (&"test".into(), &end.into()));
        let ended = &trial["trials"][0]["ended"];
        assert_eq!((&ended["state"], ended["reason"].as_str()), (&end.into(), Some(&*reason)), "{trial}");
        assert!(trial["trials"][0]["text"].as_str().unwrap().starts_with("the test ended at "), "{trial}");
        daemon.stop();
    }
}

#[test]
fn arms_that_are_not_of_the_size_they_should_be_end_the_test_and_lock() {
    let place = Place::with_model(State::AbTest);
    let daemon = Daemon::start_with(&place, setup(""));
    let mut wire = daemon.connect();
    // a trader that loses nearly all signals of one arm
    let salt = Salt::new("test:ES/1");
    let mut sent = 0;
    for n in 0.. {
        let id = format!("S-{n}");
        let in_ml = salt.position(&TradeId::new(id.clone()).unwrap()) < 0.5;
        if !in_ml && n % 8 != 0 {
            continue;
        }
        let day = sent / 10;
        let line = signal(day, sent % 10, true).1.replace(&format!("T-{day}-{}", sent % 10), &id);
        wire.ask_ok(line);
        let metrics = json!({ "exit_at": time(day, 60), "pnl": 1.0, "exit_reason": "signal" });
        wire.ask_ok(json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string());
        sent += 1;
        if sent == 60 {
            break;
        }
    }
    settle(&mut wire);
    until("the lock", || wire.status()["guardian"]["lock"].as_str().map(str::to_owned))
        .find("sizes they should be")
        .expect("the reason");
    assert_eq!(state(&mut wire), "archived");
    assert_eq!(place.alerts("test_invalid").len(), 1);
    daemon.stop();
}

#[test]
fn what_a_test_must_show_cannot_be_loosened_once_it_has_begun() {
    let strict = config("").replace("min_days = 2\n", "min_days = 2\nmin_win_rate_gain = 0.9\n");
    let loose = strict.replace("min_win_rate_gain = 0.9", "min_win_rate_gain = 0.01");
    for (began, end) in [(State::Staging, "archived"), (State::AbTest, "production")] {
        // one that begins now has its terms on record; of one that began before only the options in force can say them
        let place = Place::with_model(began);
        place.file("config.toml", &strict);
        let daemon = Process::start(&place, &["--clock", "event"]);
        let mut wire = daemon.connect();
        let before =
            if began == State::Staging { live(&mut wire, Market::Foreseen, 0..6, &["staging"]).0 + 1 } else { 0 };
        assert_eq!(state(&mut wire), "ab_test");
        trade_a_day(&mut wire, Market::Foreseen, before);
        place.file("config.toml", &loose);
        daemon.signal("HUP");
        until("the new configuration", || {
            place.events().iter().any(|kind| matches!(kind, EventKind::Reloaded { taken: true, .. })).then_some(())
        });
        let (_, stands) = live(&mut wire, Market::Foreseen, before + 1..30, &["ab_test"]);
        let (_, reason, ..) = steps(&place).pop().unwrap();
        assert_eq!(stands, end, "{reason}");
        daemon.stop();
    }
}

#[test]
fn a_test_that_cannot_be_judged_is_told_of_once_and_an_operator_can_end_it() {
    // on terms that no configuration gives
    let place = Place::with_model(State::Staging);
    let terms = [("planned_sessions", 12.0), ("first_look", 3.0), ("level", 0.05), ("harm_level", 0.9)];
    let (version, step, reason, by) = ("ES/1".parse().unwrap(), Transition::StartTest, "a test".to_owned(), By::Uid(0));
    let evidence = terms.into_iter().map(|(name, number)| (name.into(), number)).collect();
    let kind = EventKind::Moved { version, step, reason, by, overridden: true, evidence };
    let mut store = place.open();
    store.apply(&[Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind })]).unwrap();
    store.close().unwrap();
    let daemon = Daemon::start_with(&place, setup(""));
    let mut wire = daemon.connect();
    (0..6).for_each(|day| trade_a_day(&mut wire, Market::Foreseen, day));
    let told = until("a word to the operator", || place.alerts("test_unjudgeable").pop());
    assert!(told.contains("experiment.harm_level must be above 0") && told.contains("vigie rollback ES/1"), "{told}");
    (6..10).for_each(|day| trade_a_day(&mut wire, Market::Foreseen, day));
    assert_eq!((place.alerts("test_unjudgeable").len(), &*state(&mut wire)), (1, "ab_test"));
    wire.ask_ok(r#"{"type":"rollback","version":"ES/1","reason":"a test"}"#);
    assert_eq!(state(&mut wire), "rolled_back");
    daemon.stop();
}

#[test]
fn without_automatic_steps_an_operator_is_told_and_passes_the_gate_without_an_override_when_it_is_open() {
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, setup("[lifecycle]\nautomatic = false\n"));
    let mut wire = daemon.connect();
    let promote = r#"{"type":"promote","version":"ES/1","reason":"a test"}"#;
    trade_a_day(&mut wire, Market::Foreseen, 0);
    let refused = wire.ask(promote)["error"]["message"].as_str().unwrap().to_owned();
    assert!(refused.contains("is not passed (trades 8.0000 against 10 fails)"), "{refused}");
    (1..4).for_each(|day| trade_a_day(&mut wire, Market::Foreseen, day));
    assert_eq!(state(&mut wire), "staging");
    let told = until("a word to the operator", || place.alerts("step_due").pop());
    assert!(told.contains("vigie promote ES/1"), "{told}");
    assert_eq!(place.alerts("step_due").len(), 1, "told once");
    wire.ask_ok(promote);
    assert_eq!(state(&mut wire), "ab_test");
    let models = wire.ask_ok(r#"{"type":"models"}"#);
    // the place put it into staging past its gates; this step added no mark of its own
    let moved = |kind| match kind {
        EventKind::Moved { step: Transition::StartTest, overridden, evidence, .. } => Some((overridden, evidence)),
        _ => None,
    };
    let (overridden, evidence) = place.events().into_iter().find_map(moved).unwrap_or_else(|| panic!("{models}"));
    assert!(!overridden && evidence["hours"] >= 24.0, "{evidence:?}");
    daemon.stop();
}

#[test]
fn evidence_survives_a_kill_and_comes_to_the_same_decision() {
    let decide = |kill: bool| {
        let place = Place::with_model(State::AbTest);
        place.file("config.toml", &config(""));
        let mut daemon = Process::start(&place, &["--clock", "event"]);
        for day in 0..20 {
            let mut wire = daemon.connect();
            trade_a_day(&mut wire, Market::Foreseen, day);
            if state(&mut wire) != "ab_test" {
                break;
            }
            if kill && day % 2 == 1 {
                daemon.kill();
                daemon = Process::start(&place, &["--clock", "event"]);
            }
        }
        daemon.stop();
        let (step, reason, _, evidence) = steps(&place).remove(0);
        (step, reason, evidence)
    };
    assert_eq!(decide(false), decide(true));
}

#[test]
fn a_trade_stays_in_its_arm_when_the_share_changes_and_over_restarts() {
    let place = Place::with_model(State::AbTest);
    place.file("config.toml", &config(""));
    let event = ["--clock", "event"];
    let daemon = Process::start(&place, &event);
    let mut wire = daemon.connect();
    let arms =
        |wire: &mut Wire| -> Vec<Value> { (0..40).map(|k| wire.ask_ok(signal(0, k, true).1)["arm"].take()).collect() };
    let first = arms(&mut wire);
    let by_salt = |k: usize| Salt::new("test:ES/1").position(&TradeId::new(format!("T-0-{k}")).unwrap()) < 0.5;
    (0..40).for_each(|k| assert_eq!(first[k] == "ml", by_salt(k), "{k}"));
    place.file("config.toml", &config("").replace("blend_weight = 1", "blend_weight = 1\nab_share = 0.05"));
    daemon.signal("HUP");
    until("the new share", || {
        place.events().iter().any(|kind| matches!(kind, EventKind::Reloaded { taken: true, .. })).then_some(())
    });
    assert_eq!(arms(&mut wire), first);
    let fresh = (0..40).filter(|k| wire.ask_ok(signal(1, *k, true).1)["arm"] == "ml").count();
    assert!(fresh < 8, "{fresh} of 40 at a share of 0.05");
    daemon.stop();
    let daemon = Process::start(&place, &event);
    assert_eq!(arms(&mut daemon.connect()), first, "after a restart");
    daemon.stop();
}
