//! The monitor in a running daemon: it watches, the guardian acts on what it finds, and nobody waits for it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::sync::Arc;

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{CONFIG, Place, model},
    wire::{LOCK, RESUME, Wire, outcome, promote, rollback, score, score_with},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    clock::{Clock, WallClock},
    domain::{EventKind, Timestamp, VersionId, event::By, lifecycle::State},
    guard::emergency::NO_TRADE,
};

/// Short windows, and no emergency but by the monitor.
const WATCHED: &str = "guardian.literal = true\nguardian.min_accuracy = 0\nguardian.max_loss_streak = 99\nguardian.daily_loss_limit = 1000000.0\n\
     monitor.window = 24\nhealth.min_trades = 20\nmonitor.budget_resamples = 20\n";
/// Budgets of a guardian in a hurry.
const HASTY: &str =
    "health.alert_budget = 5\nhealth.share_budget = 5\nhealth.retrain_budget = 5\nhealth.rollback_budget = 5\n";
const A_DAY: usize = 8;

/// The signals of these tests are too much alike to have the variance of the examples.
const STEADY: &str = "health.score_psi = 10\nhealth.variance_factor = 1000\n";

fn setup() -> Setup {
    Setup { config: format!("{CONFIG}{WATCHED}{STEADY}"), time: Time::Event, ..Setup::default() }
}

/// Waits until `holds`.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    common::wait::until(what, || holds().then_some(()));
}

/// A trading day in September on which each trade makes `pnl`. Each signal is a little different.
fn day(wire: &mut Wire, day: usize, pnl: f64) {
    for number in 0..A_DAY {
        let id = format!("T-{day}-{number}");
        let at = format!("2025-09-{day:02}T15:0{number}:00Z");
        let line = score_with(&id, "2025-09-01T15:00:00Z", &at);
        let line = line.replace("\"recent_momentum\":-0.2", &format!("\"recent_momentum\":0.{number}"));
        wire.ask_ok(line);
        let outcome = json!({
            "type": "outcome", "trade_id": id,
            "outcome_metrics": { "exit_at": at, "pnl": pnl, "exit_reason": "signal" },
        });
        wire.ask_ok(outcome.to_string());
    }
}

/// Business days of September 2025.
fn days(count: usize) -> impl Iterator<Item = usize> {
    (1..=30).filter(|day| ![0, 6].contains(&(day % 7))).take(count)
}

fn monitor(wire: &mut Wire) -> Value {
    wire.status()["monitor"].take()
}

/// What passes before the monitor is made is judged when it is; a day here takes less.
fn await_monitor(wire: &mut Wire) {
    until("the monitor is made", || monitor(wire)["waiting"] == 0);
}

fn judged(place: &Place) -> Vec<String> {
    let day = |kind| match kind {
        EventKind::Judged { day, .. } => Some(day.to_string()),
        _ => None,
    };
    place.events().into_iter().filter_map(day).collect()
}

#[test]
fn a_version_that_has_become_worse_is_told_of_and_rolled_back_and_the_days_are_in_the_log() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    await_monitor(&mut wire);
    days(5).for_each(|number| day(&mut wire, number, 120.0));
    until("the days are judged", || judged(&place).len() == 4);
    assert_eq!(wire.arm("still-speaks"), common::wire::ml());
    let rolling = monitor(&mut wire);
    assert_eq!(rolling["rolling"]["model ES/1"]["trades"], 24, "{rolling}");
    let drift = wire.ask_ok(r#"{"type":"drift"}"#);
    let accuracy = &drift["versions"]["ES/1"]["health"]["figures"]["accuracy"]["value"];
    assert!(accuracy.as_f64().is_some_and(|accuracy| accuracy == 1.0 || accuracy == 0.0), "{drift}");
    days(14).skip(5).for_each(|number| day(&mut wire, number, -150.0));
    let version: VersionId = "ES/1".parse().unwrap();
    let rolled_back = |kind: &EventKind| {
        matches!(kind, EventKind::Moved { version: moved, step, by: By::Daemon(by), .. }
            if *moved == version && step.edge().1 == State::RolledBack && &**by == "guardian")
    };
    until("it is rolled back", || place.events().iter().any(rolled_back));
    assert_eq!(wire.arm("silent").0, "baseline");
    assert!(!place.alerts("composite_rollback").is_empty(), "{:?}", place.events());
    // a rollback asks for a successor as well
    until("a training is requested", || !place.alerts("retrain").is_empty());
    daemon.stop();
    // a day is judged once, in the order of days
    let judged = judged(&place);
    assert!(judged.is_sorted() && judged.windows(2).all(|pair| pair[0] != pair[1]), "{judged:?}");
}

#[test]
fn a_version_that_nobody_can_watch_is_never_promoted_in_silence() {
    for (sessions, says) in [(0, "keeps no taken trades"), (12, "on 12 trading days, and 30 are needed")] {
        let place = Place::new();
        let mut record = model().clone();
        let report = record.validation.as_mut().unwrap();
        let kept = report["evidence"]["out_of_fold"]["sessions"].as_array_mut().unwrap();
        assert!(kept.len() >= 30, "{}", kept.len());
        kept.truncate(sessions);
        place.register("ES/1", record.to_bytes().unwrap(), State::Staging);
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        let done = wire.ask_ok(promote("ES/1"))["done"].to_string();
        assert!(done.contains("ES/1 is production; ES/1: ") && done.contains(says), "{done}");
        until("it is told", || place.alerts("unwatched").iter().any(|told| told.contains(says)));
        until("the monitor says so", || {
            monitor(&mut wire)["unwatched"]["ES/1"].as_str().is_some_and(|told| told.contains("declines are not"))
        });
        daemon.stop();
    }
    // one that lets every trade go: what watches it is said once, and what its validation showed is known
    let place = Place::new();
    let mut record = model().clone();
    record.standard.as_mut().unwrap().wins = None;
    record.metrics.remove("test_expectancy");
    record.validation.as_mut().unwrap()["evidence"]["out_of_fold"]["sessions"].as_array_mut().unwrap().clear();
    place.register("ES/1", record.to_bytes().unwrap(), State::Staging);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    let done = wire.ask_ok(promote("ES/1"))["done"].to_string();
    assert_eq!(done.matches(NO_TRADE).count(), 1, "{done}");
    until("the monitor says so", || monitor(&mut wire)["unwatched"]["ES/1"] == NO_TRADE);
    let health = wire.ask_ok(r#"{"type":"drift"}"#)["versions"]["ES/1"]["health"].take();
    assert_eq!(health["validated"]["accuracy"].as_f64(), record.metrics.get("test_accuracy").copied(), "{health}");
    daemon.stop();
    assert_eq!(place.alerts("unwatched"), [format!("ES/1: {NO_TRADE}")]);
    // one that can be watched is promoted without a word about it
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    assert_eq!(wire.ask_ok(promote("ES/1"))["done"], "ES/1 is production");
    until("the monitor knows it", || monitor(&mut wire)["unwatched"].as_object().is_some_and(|known| known.is_empty()));
    daemon.stop();
    assert_eq!(place.alerts("unwatched"), [""; 0]);
}

#[test]
fn a_monitor_that_panics_is_rebuilt_from_the_journal_and_no_score_notices() {
    let place = Place::with_model(State::Production);
    let setup = setup();
    let trap = setup.trap.clone();
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    days(4).for_each(|number| day(&mut wire, number, 120.0));
    // what was scored while it was made for the first time counts too
    until("all is heard", || monitor(&mut wire)["rolling"]["model ES/1"]["trades"] == 24);
    let before = monitor(&mut wire);
    trap.panic_over("monitor", "told", 1);
    assert_eq!(wire.arm("meanwhile"), common::wire::ml());
    until("it has panicked", || trap.left() == 0);
    until("it is back", || monitor(&mut wire)["rolling"] == before["rolling"]);
    let restarted = |kind: &EventKind| matches!(kind, EventKind::Restarted { actor, .. } if &**actor == "monitor");
    until("it is told", || place.events().iter().any(restarted));
    daemon.stop();
    // and after a restart of everything it knows the same
    let daemon = Daemon::start_with(&place, Setup { trap: Default::default(), ..self::setup() });
    let mut wire = daemon.connect();
    until("it is made from the journal", || monitor(&mut wire)["rolling"] == before["rolling"]);
    daemon.stop();
}

#[test]
fn after_a_restart_under_a_lock_the_monitor_knows_what_it_knew() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    await_monitor(&mut wire);
    days(4).for_each(|number| day(&mut wire, number, 120.0));
    wire.ask_ok(score_with("open", "2025-09-01T15:00:00Z", "2025-09-04T15:30:00Z"));
    until("all is heard", || monitor(&mut wire)["open"] == 1);
    wire.ask_ok(LOCK);
    let known = |wire: &mut Wire| {
        let drift = wire.ask(r#"{"type":"drift"}"#)["versions"].take();
        let versions: Vec<String> = drift.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        let monitor = monitor(wire);
        (monitor["open"].clone(), monitor["rolling"].clone(), versions)
    };
    let before = known(&mut wire);
    assert_eq!(
        (&before.0, &before.1["model ES/1"]["trades"], &before.2[..]),
        (&1.into(), &24.into(), &["ES/1".to_owned()][..])
    );
    daemon.stop();
    let setup = setup();
    let trap = setup.trap.clone();
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    let is_locked = |wire: &mut Wire| wire.status()["guardian"]["lock"].is_string();
    until("it is made from the journal", || known(&mut wire) == before);
    assert!(is_locked(&mut wire));
    // and so does one that fails under a lock
    trap.panic_over("monitor", "told", 1);
    monitor(&mut wire);
    until("it has panicked", || trap.left() == 0);
    until("it is back", || known(&mut wire) == before);
    assert!(is_locked(&mut wire));
    until("the resume", || wire.ask(RESUME)["ok"] == true);
    assert_eq!(known(&mut wire), before);
    daemon.stop();
}

#[test]
fn the_figures_of_a_version_that_is_out_of_service_are_the_same_after_a_restart() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    await_monitor(&mut wire);
    days(3).for_each(|number| day(&mut wire, number, 120.0));
    until("all is heard", || monitor(&mut wire)["rolling"]["model ES/1"]["trades"] == 24);
    wire.ask_ok(rollback("ES/1"));
    let before = monitor(&mut wire)["rolling"].take();
    assert!(before["model ES/1"]["accuracy"].is_number() && before["symbol ES"]["trades"] == 24, "{before}");
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    until("the monitor is made", || monitor(&mut wire)["day"].is_string());
    assert_eq!(monitor(&mut wire)["rolling"], before);
    daemon.stop();
}

#[test]
fn an_unstable_score_loses_its_influence_step_by_step_a_step_a_day_also_across_a_restart() {
    let place = Place::with_model(State::Production);
    let config = || format!("{CONFIG}{WATCHED}health.large_fall = 0.5\n");
    let start = || Daemon::start_with(&place, Setup { config: config(), time: Time::Event, ..Setup::default() });
    let shares = || -> Vec<f64> {
        let share = |kind| if let EventKind::Shared { share, .. } = kind { Some(share) } else { None };
        let mut shares: Vec<f64> = place.events().into_iter().filter_map(share).collect();
        // an outcome on its way to the disk takes along what is not there yet
        shares.dedup();
        shares
    };
    let daemon = start();
    let mut wire = daemon.connect();
    await_monitor(&mut wire);
    // three days fill the windows; the fourth begins, and with each from then on a step is taken
    days(5).for_each(|number| day(&mut wire, number, 120.0));
    until("two steps are taken", || shares() == [0.5, 0.25]);
    daemon.stop();
    let daemon = start();
    let mut wire = daemon.connect();
    await_monitor(&mut wire);
    days(7).skip(5).for_each(|number| day(&mut wire, number, 120.0));
    until("the last step is taken", || shares() == [0.5, 0.25, 0.0]);
    let spoken = (0..30).filter(|n| wire.arm(&format!("after-{n}")).0 == "ml").count();
    assert_eq!(spoken, 0);
    assert!(place.alerts("instability").len() == 1 && place.alerts("share").len() == 3, "{:?}", place.events());
    daemon.stop();
}

#[test]
fn news_that_finds_no_room_at_the_monitor_is_dropped_and_counted_and_disturbs_nobody() {
    const SIGNALS: usize = 9000;
    let place = Place::with_model(State::Production);
    // a replay would wait for the monitor
    let setup = Setup { time: Time::Wall, ..setup() };
    let trap = setup.trap.clone();
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    trap.hold("monitor");
    trap.await_held();
    for numbers in (0..SIGNALS).collect::<Vec<_>>().chunks(250) {
        wire.send(numbers.iter().map(|n| common::wire::score(&format!("N-{n}")) + "\n").collect::<String>());
        for n in numbers {
            let answer = wire.answer();
            // the journal may have no room for a moment; the monitor is nothing that anybody waits for
            let reason = answer["reason"].as_str().unwrap_or_default();
            assert!(["production", "journal_unavailable"].contains(&reason), "{n}: {answer}");
        }
    }
    wire.ask_ok(common::wire::outcome("N-0", 50.0));
    assert_eq!(wire.status()["monitor"], Value::Null, "it stands still, and status does not");
    trap.release();
    until("it has heard the rest", || monitor(&mut wire)["waiting"] == 0);
    let dropped = monitor(&mut wire)["dropped"].as_u64().unwrap();
    assert!((1..SIGNALS as u64).contains(&dropped), "{dropped}");
    assert!(dropped + 8192 + 2 >= SIGNALS as u64, "the queue holds no more: {dropped}");
    assert_eq!(wire.arm("afterwards"), common::wire::ml());
    daemon.stop();
}

#[test]
fn a_step_that_is_not_on_disk_yet_is_not_undone_by_the_one_before_it() {
    let place = Place::with_model(State::Production);
    let config = format!("{CONFIG}{WATCHED}health.large_fall = 0.5\n");
    let trap = Trap::default();
    let setup = Setup { config, time: Time::Event, trap: trap.clone(), ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    // three days fill the window of scores, which are all too much alike
    let score = |wire: &mut Wire, number: usize| {
        for n in 0..A_DAY {
            let at = format!("2025-09-{number:02}T15:0{n}:00Z");
            wire.ask_ok(score_with(&format!("S-{number}-{n}"), "2025-09-01T15:00:00Z", &at));
        }
    };
    days(3).for_each(|number| score(&mut wire, number));
    // it reads the journal once, which will stand still
    await_monitor(&mut wire);
    trap.hold_journal();
    for number in days(8).skip(3) {
        let judged = trap.passed("guardian", "finding");
        score(&mut wire, number);
        until("the day before is judged", || trap.passed("guardian", "finding") > judged);
    }
    trap.await_held();
    trap.release();
    until("the steps are on disk", || place.alerts("share").len() >= 3);
    daemon.stop();
    let told = place.alerts("share");
    let steps: Vec<&str> = told.iter().map(|step| step.split("influences ").last().unwrap()).collect();
    let step = |to: usize, from: usize| format!("{to} % of its trades instead of {from} %; no action is needed");
    assert_eq!(steps, [step(50, 100), step(25, 50), step(0, 25)], "{told:?}");
}

#[test]
fn days_that_nobody_watched_are_judged_at_the_next_start_and_what_they_call_for_is_done() {
    let place = Place::with_model(State::Production);
    let (first, trap) = (setup(), Trap::default());
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), ..first });
    let mut wire = daemon.connect();
    await_monitor(&mut wire);
    days(5).for_each(|number| day(&mut wire, number, 120.0));
    until("the days are judged", || judged(&place).len() == 4);
    // the monitor stands still while the model goes bad, and ends with the daemon
    trap.hold("monitor");
    trap.await_held();
    days(10).skip(5).for_each(|number| day(&mut wire, number, -150.0));
    daemon.stop();
    let before = judged(&place);
    assert_eq!(before.len(), 4, "nobody judged: {before:?}");
    // at the next start, with budgets by which the four days that are over suffice
    let config = format!("{}{HASTY}", setup().config);
    let daemon = Daemon::start_with(&place, Setup { config, ..setup() });
    let mut wire = daemon.connect();
    // without a word from the trader
    let rolled_back =
        |kind: &EventKind| matches!(kind, EventKind::Moved { step, .. } if step.edge().1 == State::RolledBack);
    until("it is rolled back", || place.events().iter().any(rolled_back));
    assert_eq!(wire.arm("silent").0, "baseline");
    await_monitor(&mut wire);
    daemon.stop();
    trap.release();
    // the fifth was not over when the monitor stood still, and the last is not over yet
    let expected: Vec<String> = days(9).map(|number| format!("2025-09-{number:02}")).collect();
    assert_eq!(judged(&place), expected);
}

/// The machine's clock, some days ahead.
struct Ahead(i64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        WallClock.now() + jiff::SignedDuration::from_hours(24 * self.0)
    }
}

#[test]
fn a_day_that_closed_while_the_daemon_was_off_is_judged_when_it_is_back_and_once_however_often_it_starts() {
    let place = Place::with_model(State::Production);
    let start = |days: i64| {
        let setup = Setup { time: Time::Given(Arc::new(Ahead(days))), ..setup() };
        let trap = setup.trap.clone();
        (Daemon::start_with(&place, setup), trap)
    };
    let (daemon, _) = start(0);
    let mut wire = daemon.connect();
    for n in 0..A_DAY {
        let id = format!("T-{n}");
        wire.ask_ok(score(&id));
        wire.ask_ok(outcome(&id, 50.0));
    }
    daemon.stop();
    assert_eq!(judged(&place), Vec::<String>::new(), "the day is not over");
    let (daemon, _) = start(3);
    until("the day is judged", || judged(&place).len() == 1);
    daemon.stop();
    for _ in 0..2 {
        let (daemon, trap) = start(3);
        let mut wire = daemon.connect();
        until("the past is known", || monitor(&mut wire)["day"].is_string());
        // whatever it tells, it has told when the second look at the time after that begins
        let looks = trap.passed("monitor", "tick");
        until("two looks at the time", || trap.passed("monitor", "tick") >= looks + 2);
        let found = trap.passed("guardian", "finding");
        daemon.stop();
        assert_eq!((found, judged(&place).len()), (0, 1));
    }
}
