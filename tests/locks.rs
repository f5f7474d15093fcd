//! Locks that end by themselves, and the resume of a paper account on the day of an emergency, in a running daemon.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use common::{
    daemon::{Daemon, Setup},
    emergencies::config,
    place::{CONFIG, Place},
    process::{Process, succeed, vigie},
    wait::until,
    wire::{FEATURES, RESUME, Wire, baseline, ml},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    clock::{Clock, WallClock},
    domain::{EventKind, Timestamp, lifecycle::State},
};

/// The machine's clock, set otherwise by so many seconds.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        WallClock.now() + jiff::SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

fn lock(wire: &mut Wire, end: Value) -> Value {
    let mut order = json!({ "type": "lock", "reason": "the news" });
    order.as_object_mut().unwrap().extend(end.as_object().unwrap().clone());
    wire.ask(order.to_string())
}

fn lock_until(wire: &mut Wire) -> Value {
    wire.status()["guardian"]["lock_until"].take()
}

/// Waits until the daemon has looked twice more whether a lock is to end.
fn looked_again(wire: &mut Wire) {
    let runs = |wire: &mut Wire| wire.job("lock_end")["runs"].as_u64().unwrap();
    let before = runs(wire);
    until("two looks", || (runs(wire) >= before + 2).then_some(()));
}

fn ends(place: &Place) -> usize {
    place.events().iter().filter(|kind| matches!(kind, EventKind::LockEnded { .. })).count()
}

#[test]
fn a_lock_ends_by_itself_and_says_when_also_over_a_restart() {
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let said = lock(&mut wire, json!({ "for_s": 3600 }))["done"].take();
    let end = lock_until(&mut wire).as_str().unwrap().to_owned();
    assert_eq!(said, format!("locked to the baseline until {end}"));
    let ahead = end.parse::<Timestamp>().unwrap().duration_since(WallClock.now()).as_secs();
    assert!((3500..=3600).contains(&ahead), "{ahead}");
    // people see it
    let at = ["--socket", "state/vigie.sock"];
    let shown = |command: &[&str]| {
        let output = vigie(&place, &[command, &at].concat()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(
        shown(&["status"]).contains(&format!("LOCKED to the baseline until {end}: the news")),
        "{}",
        shown(&["status"])
    );
    assert!(shown(&["top", "--once", "--width", "200"]).contains(&format!("until {end}: the news")));
    let check = shown(&["status", "--check"]);
    assert!(check.starts_with(&format!("VIGIE WARNING - locked to the baseline until {end}: the news")), "{check}");
    assert!(
        shown(&["alerts"]).contains(&format!("locked to the baseline until {end} by uid")),
        "{}",
        shown(&["alerts"])
    );
    daemon.stop();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!((wire.arm("T-1"), lock_until(&mut wire)), (baseline("locked"), json!(end)));
    // a resume ends it before, and a short one ends by itself
    until("a resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
    assert_eq!((wire.arm("T-2"), lock_until(&mut wire)), (ml(), Value::Null));
    succeed(&place, &["lock", "--for", "1s", "--reason", "the news", at[0], at[1]]);
    assert_eq!(wire.arm("T-3"), baseline("locked"));
    until("the end of the lock", || (wire.arm("T-4") == ml()).then_some(()));
    assert_eq!((ends(&place), wire.job("lock_end")["last_failure"].take()), (1, Value::Null));
    // one that was to end while no daemon ran
    lock(&mut wire, json!({ "for_s": 1 }));
    daemon.stop();
    let ended = WallClock.now() + jiff::SignedDuration::from_secs(1);
    until("the time", || (WallClock.now() > ended).then_some(()));
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    until("the end of the lock", || (wire.arm("T-5") == ml()).then_some(()));
    daemon.stop();
    assert_eq!(ends(&place), 2);
}

#[test]
fn a_longer_lock_is_not_shortened_and_an_end_that_is_none_locks_nothing() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let now = WallClock.now();
    let past = (now - jiff::SignedDuration::from_secs(60)).to_string();
    let far = (now + jiff::SignedDuration::from_hours(24 * 400)).to_string();
    for (end, why) in [
        (json!({ "until": past }), "has passed"),
        (json!({ "for_s": 0 }), "has passed"),
        (json!({ "until": far }), "more than 366 days ahead"),
        (json!({ "for_s": u64::MAX }), "more than 366 days ahead"),
        (json!({ "until": far, "for_s": 5 }), "not both"),
        (json!({ "until": "2026-11-29T16:00:00" }), ""),
    ] {
        let refused = lock(&mut wire, end.clone());
        assert!(
            refused["ok"] == false && refused["error"]["message"].as_str().unwrap().contains(why),
            "{end}: {refused}"
        );
    }
    assert_eq!(wire.arm("T-1"), ml());
    lock(&mut wire, json!({ "for_s": 3600 }));
    let end = lock_until(&mut wire);
    let shorter = lock(&mut wire, json!({ "for_s": 1 }))["done"].as_str().unwrap().to_owned();
    assert!(shorter.contains(end.as_str().unwrap()) && shorter.ends_with("is longer"), "{shorter}");
    let second = WallClock.now() + jiff::SignedDuration::from_secs(1);
    until("the shorter end", || (WallClock.now() > second).then_some(()));
    looked_again(&mut wire);
    assert_eq!((wire.arm("T-2"), lock_until(&mut wire)), (baseline("locked"), end));
    // one without an end is the longest
    lock(&mut wire, json!({}));
    let longest = lock(&mut wire, json!({ "for_s": 1 }))["done"].as_str().unwrap().to_owned();
    assert!(longest.contains("until `vigie resume`"), "{longest}");
    assert_eq!(lock_until(&mut wire), Value::Null);
    looked_again(&mut wire);
    looked_again(&mut wire);
    assert_eq!(wire.arm("T-3"), baseline("locked"));
    daemon.stop();
    assert_eq!(ends(&place), 0);
}

#[test]
fn a_clock_that_is_set_forward_ends_no_lock() {
    // with the tolerance of the first nobody but the lock itself notices; with that of the second a fault locks for good
    for tolerance in [86_400, 20] {
        let place = Place::with_model(State::Production);
        let clock = Arc::new(SetClock::default());
        let setup = Setup {
            time: Time::Given(Arc::clone(&clock) as Arc<dyn Clock>),
            config: format!("{CONFIG}monitor.clock_tolerance_s = {tolerance}\n"),
            ..Setup::default()
        };
        let daemon = Daemon::start_with(&place, setup);
        let mut wire = daemon.connect();
        looked_again(&mut wire);
        lock(&mut wire, json!({ "for_s": 3600 }));
        clock.0.store(7200, Ordering::Relaxed);
        looked_again(&mut wire);
        looked_again(&mut wire);
        assert_eq!((wire.arm("T-1"), ends(&place)), (baseline("locked"), 0), "{tolerance}");
        assert_eq!(lock_until(&mut wire).is_null(), tolerance == 20, "{tolerance}");
        daemon.stop();
    }
}

fn score_now(id: &str) -> String {
    let at = WallClock.now();
    format!(
        r#"{{"type":"score","trade_id":"{id}","at":"{at}","symbol":"ES","side":"long","confidence":0.6,"features":{FEATURES}}}"#
    )
}

/// A trade that is closed today with this pnl.
fn close(wire: &mut Wire, id: &str, pnl: f64) {
    wire.ask_ok(score_now(id));
    let metrics = json!({ "exit_at": WallClock.now(), "pnl": pnl, "exit_reason": "signal" });
    wire.ask_ok(json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string());
}

#[test]
fn an_emergency_meanwhile_outlives_the_lock() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, Setup { config: config(), ..Setup::default() });
    let mut wire = daemon.connect();
    // heard by the model before it is locked
    wire.ask_ok(score_now("T-1"));
    lock(&mut wire, json!({ "for_s": 2 }));
    let metrics = json!({ "exit_at": WallClock.now(), "pnl": -3000.0, "exit_reason": "signal" });
    wire.ask_ok(json!({ "type": "outcome", "trade_id": "T-1", "outcome_metrics": metrics }).to_string());
    until("the end of the lock", || (ends(&place) == 1).then_some(()));
    let guardian = wire.status()["guardian"].take();
    assert!(guardian["lock"].as_str().unwrap().starts_with("emergency of the account: day_loss"), "{guardian}");
    assert_eq!(guardian["lock_until"], Value::Null);
    assert_eq!(wire.arm("T-2"), baseline("locked"));
    daemon.stop();
}

#[test]
fn a_paper_account_is_resumed_on_the_day_of_its_emergency_by_an_order_that_is_marked_for_ever() {
    const SAME_DAY: &str = r#"{"type":"resume","reason":"a test","same_day":true}"#;
    for is_paper in [false, true] {
        let place = Place::with_model(State::Production);
        place.file("config.toml", &format!("account.paper = {is_paper}\n{}", config()));
        let daemon = Process::start(&place, &[]);
        let mut wire = daemon.connect();
        close(&mut wire, "T-1", -3000.0);
        assert_eq!(wire.arm("T-2"), baseline("locked"));
        let refused = wire.ask(RESUME)["error"]["message"].as_str().unwrap().to_owned();
        assert!(refused.contains("until the next trading day"), "{refused}");
        assert_eq!(refused.contains("--same-day"), is_paper, "{refused}");
        if !is_paper {
            let real = wire.ask(SAME_DAY);
            assert!(real["error"]["message"].as_str().unwrap().contains("account.paper is false"), "{real}");
            assert_eq!(wire.arm("T-3"), baseline("locked"));
            daemon.stop();
            continue;
        }
        let order = ["resume", "--same-day", "--reason", "a test", "--socket", "state/vigie.sock"];
        let said = String::from_utf8(succeed(&place, &order).stdout).unwrap();
        assert!(said.contains("which is marked for ever"), "{said}");
        assert_eq!(wire.arm("T-3"), baseline("no_model"), "the versions stay rolled back");
        let events = succeed(&place, &["events", "--socket", "state/vigie.sock"]).stdout;
        let events = String::from_utf8(events).unwrap();
        assert!(events.contains("on the day of an emergency of the account, which is paper: a test"), "{events}");
        // the day is watched from here on: as much again trips again, counted over a restart, and less does not
        close(&mut wire, "T-4", -1900.0);
        assert_eq!(wire.arm("T-5"), baseline("no_model"));
        daemon.stop();
        let daemon = Process::start(&place, &[]);
        let mut wire = daemon.connect();
        let mut count = 0;
        until("a daemon that has begun", || {
            count += 1;
            (wire.arm(&format!("T-6-{count}")) == baseline("no_model")).then_some(())
        });
        close(&mut wire, "T-7", -200.0);
        assert_eq!(wire.arm("T-8"), baseline("locked"));
        let day = wire.status()["guardian"]["day_pnl"].as_f64().unwrap();
        assert!((day + 5100.0).abs() < 1e-6, "what the account made is not forgotten: {day}");
        daemon.stop();
        // the next day no order is marked
        let marked = |kind: &EventKind| matches!(kind, EventKind::Resumed { same_day: true, .. });
        assert_eq!(place.events().iter().filter(|kind| marked(kind)).count(), 1);
    }
}
