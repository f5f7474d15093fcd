//! A part that is made while the daemon runs loses nothing that happened meanwhile, and a reload renews only what reads what changed.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    daemon::{Daemon, Setup, Trap},
    market::{Market, config as market_config, trade_a_day},
    place::{BY_HAND, CONFIG, Place, model},
    wait::until,
    wire::{LOCK, Wire, baseline, ml, outcome, promote, score, score_with},
};
use serde_json::Value;
use vigie::{actors::daemon::Time, config::Config, domain::lifecycle::State, recall::checkpoint};

const RELOAD: &str = r#"{"type":"reload"}"#;
const SYMBOL: &str = "[symbols.ES]\ntick = 0.25\ntick_value = 12.5\n";

/// A signal at a minute of an hour, with one of its inputs as given.
fn at(id: &str, minute: usize, proximity: &str) -> String {
    score(id)
        .replace("15:00:00", &format!("15:{minute:02}:00"))
        .replace("\"level_proximity\":0.6", &format!("\"level_proximity\":{proximity}"))
}

fn until_score(wire: &mut Wire, line: &str) -> Value {
    until("the model's word", || {
        let mut answer = wire.ask_ok(line);
        (answer["arm"] == "ml").then(|| answer["score"].take())
    })
}

#[test]
fn signals_that_come_while_a_scorer_is_made_are_carried_forward() {
    let last = at("T-3", 30, "null");
    // what would be carried forward if they were not
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    daemon.connect().ask_ok(at("T-1", 0, "0.6"));
    let otherwise = until_score(&mut daemon.connect(), &last);
    daemon.stop();
    for after_a_panic in [true, false] {
        let place = Place::with_model(State::Production);
        let text = format!("supervision.max_restarts = 100\n{CONFIG}{SYMBOL}");
        let (trap, file) = (Trap::default(), place.file("config.toml", &text));
        let setup = Setup { config_path: Some(file.clone()), trap: trap.clone(), ..Setup::default() };
        let daemon = Daemon::start_with(&place, setup);
        let mut wire = daemon.connect();
        let installed = trap.passed("scorer", "install");
        wire.ask_ok(at("T-1", 0, "0.6"));
        trap.hold_at("scorer", "fold");
        if after_a_panic {
            trap.panic_over("scorer", "score", 1);
            assert_eq!(wire.arm("T-0"), baseline("internal_error"));
        } else {
            place.file("config.toml", &format!("{text}[symbols.CL]\ntick = 0.01\ntick_value = 10\n"));
            wire.ask_ok(RELOAD);
        }
        trap.await_held();
        let meanwhile = wire.ask_ok(at("T-2", 10, "0.05"));
        assert_eq!(meanwhile["arm"] == "ml", !after_a_panic, "{meanwhile}");
        trap.release();
        until("a new scorer", || (trap.passed("scorer", "install") > installed).then_some(()));
        let live = until_score(&mut wire, &last);
        daemon.stop();
        let daemon = Daemon::start_with(&place, Setup { config_path: Some(file), ..Setup::default() });
        let restarted = until_score(&mut daemon.connect(), &last);
        daemon.stop();
        assert_eq!(live, restarted, "after a panic: {after_a_panic}");
        assert_ne!(live, otherwise);
    }
}

#[test]
fn trades_that_close_while_a_router_is_made_count_in_their_test() {
    let place = Place::with_model(State::AbTest);
    let trap = Trap::default();
    let setup = || Setup { config: market_config(""), time: Time::Event, trap: trap.clone(), ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    (0..2).for_each(|day| trade_a_day(&mut wire, Market::Indifferent, day));
    // a guardian that fails has the router read all of it again; the router before goes on meanwhile
    let (made, installed) = (trap.passed("ab_router", "fold"), trap.passed("ab_router", "install"));
    trap.hold_at("ab_router", "fold");
    trap.panic_over("guardian", "observe", 1);
    wire.status();
    trap.await_held();
    until("a guardian", || (!wire.status()["guardian"].is_null()).then_some(()));
    trade_a_day(&mut wire, Market::Indifferent, 3);
    assert_eq!(trap.passed("ab_router", "fold"), made + 1);
    trap.release();
    until("a new router", || (trap.passed("ab_router", "install") > installed).then_some(()));
    trade_a_day(&mut wire, Market::Indifferent, 5);
    let experiment = |wire: &mut Wire| wire.ask_ok(r#"{"type":"experiment","version":"ES/1"}"#)["trials"].take();
    let live = experiment(&mut wire);
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(live, experiment(&mut daemon.connect()), "as the journal has it");
    daemon.stop();
}

#[test]
fn what_is_found_while_a_guardian_is_made_is_told_to_the_next() {
    let place = Place::with_model(State::Production);
    let trap = Trap::default();
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), ..Setup::default() });
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), ml());
    trap.hold_at("guardian", "load");
    trap.panic_over("guardian", "observe", 1);
    wire.status();
    trap.await_held();
    // told once for each trade
    wire.ask_ok(score_with("T-1", "15:00:00", "15:01:00"));
    assert_eq!(wire.arm("T-2"), baseline("locked"));
    trap.release();
    until("the alert", || (place.alerts("trade_id_reused").len() == 1).then_some(()));
    daemon.stop();
}

/// An outcome that trips waits behind the order under way, so it reaches the disk after the next guardian has read the journal; one
/// that does not is among what that reads.
#[test]
fn an_outcome_that_reaches_the_disk_while_a_guardian_is_made_counts_once() {
    for trips in [false, true] {
        let place = Place::with_model(State::Production);
        let mut record = model().clone();
        record.id.number = 2;
        place.register("ES/2", record.to_bytes().unwrap(), State::Staging);
        let most = if trips { 0 } else { 5 };
        let text = format!(
            "supervision.max_restarts = 100\nguardian.literal = true\nguardian.max_loss_streak = {most}\n{CONFIG}{BY_HAND}"
        );
        let trap = Trap::default();
        let daemon = Daemon::start_with(
            &place,
            Setup { config: text.clone(), trap: trap.clone(), observed: true, ..Setup::default() },
        );
        let (mut trader, mut operator, mut other) = (daemon.connect(), daemon.connect(), daemon.connect());
        assert_eq!(trader.arm("T-1"), ml());
        until("the decision", || place.reader().signal(&"T-1".parse().unwrap()).unwrap());
        trap.hold_journal();
        operator.send(format!("{}\n", promote("ES/2")));
        trap.await_held();
        let heard = trap.passed("guardian", "outcome");
        trader.send(format!("{}\n", outcome("T-1", -20.0)));
        until("the outcome", || (trap.passed("guardian", "outcome") > heard).then_some(()));
        let (made, loading) = (trap.passed("guardian", "make"), trap.passed("guardian", "load"));
        trap.panic_over("guardian", "order", 1);
        other.send(format!("{LOCK}\n"));
        until("the next guardian", || (trap.passed("guardian", "make") > made).then_some(()));
        trap.hold_at("guardian", "load");
        until("its reading", || (trap.passed("guardian", "load") > loading).then_some(()));
        until("the outcome on disk", || place.reader().outcome(&"T-1".parse().unwrap()).unwrap());
        let alone = |place: &Place| place.reader().outcomes().unwrap().count();
        assert_eq!(alone(&place), 1);
        trap.release();
        assert_eq!(other.answer()["ok"], false, "the guardian failed over it");
        let told = trader.answer();
        assert!(told["ok"] == true || told["error"]["code"] == "retry", "{told}");
        until("a guardian", || (!other.status()["guardian"].is_null()).then_some(()));
        let config = Config::parse("test", &text).unwrap();
        let same = || {
            let fold = checkpoint::state(&place.reader(), &config).unwrap().state.risk.emergency;
            (daemon.state().risk.emergency == fold).then_some(fold)
        };
        let day = config.calendar.day_of("2025-09-01T16:00:00Z".parse().unwrap());
        assert_eq!(until("what the journal comes to", same).day_pnl(day), Some(-20.0), "it is not lost");
        trader.ask_ok(outcome("T-1", -20.0));
        assert_eq!(until("what the journal comes to", same).day_pnl(day), Some(-20.0), "it counts once");
        assert_eq!(place.alerts("emergency").len(), usize::from(trips));
        assert_eq!(alone(&place), 1);
        daemon.stop();
    }
}

#[test]
fn news_that_finds_no_room_while_a_monitor_is_made_is_read_from_the_journal() {
    const MANY: usize = 10_000;
    let place = Place::with_model(State::Production);
    let trap = Trap::default();
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), ..Setup::default() });
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), ml());
    trap.hold_at("monitor", "fold");
    trap.panic_over("monitor", "tick", 1);
    trap.await_held();
    for first in (0..MANY).step_by(500) {
        wire.send((first..first + 500).map(|n| score(&format!("S-{n}")) + "\n").collect::<String>());
        (0..500).for_each(|_| assert_eq!(wire.answer()["arm"], "ml"));
    }
    trap.release();
    let monitor = until("the monitor has heard all", || {
        let monitor = wire.status()["monitor"].take();
        (monitor["waiting"] == 0).then_some(monitor)
    });
    assert!(monitor["dropped"].as_u64() > Some(1000), "{monitor}");
    let known = monitor["open"].as_u64().unwrap() + monitor["left_out"].as_u64().unwrap();
    assert_eq!(known, MANY as u64 + 1, "{monitor}");
    daemon.stop();
}

#[test]
fn a_part_that_fails_while_the_disk_fails_is_not_tried_before_it_is_back() {
    let place = Place::with_model(State::Production);
    let trap = Trap::default();
    let config = format!("supervision.max_restarts = 100\n{CONFIG}").replace("retry_ms = 10", "retry_ms = 60000");
    let daemon = Daemon::start_with(&place, Setup { config, trap: trap.clone(), ..Setup::default() });
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), ml());
    let failing = |wire: &mut Wire| wire.status()["journal"]["ok"] == false;
    // the disk fails, and is opened again in a minute
    trap.panic_over("journal", "apply", 1);
    until("a disk that fails", || {
        wire.ask(outcome("T-1", 1.0));
        failing(&mut wire).then_some(())
    });
    trap.panic_over("guardian", "observe", 1);
    trap.panic_over("ab_router", "observe", 1);
    trap.panic_over("scorer", "score", 1);
    wire.arm("T-2");
    wire.status();
    let parts = ["guardian", "ab_router", "scorer"];
    until("each begins to be made", || parts.iter().all(|part| trap.passed(part, "make") == 1).then_some(()));
    for n in 0..200 {
        assert_eq!(wire.arm(&format!("S-{n}")).0, "baseline");
    }
    assert!(failing(&mut wire) && wire.status()["guardian"].is_null());
    let tried = ["load", "fold", "fold"].iter().zip(parts).map(|(what, part)| trap.passed(part, what));
    assert_eq!(tried.collect::<Vec<_>>(), [1, 0, 0], "one at the start, and none since");
    daemon.stop();
}

#[test]
fn a_reload_renews_only_what_reads_what_changed() {
    let place = Place::with_model(State::Production);
    let mut text = format!("{CONFIG}{SYMBOL}");
    let (trap, file) = (Trap::default(), place.file("config.toml", &text));
    let daemon = Daemon::start_with(&place, Setup { config_path: Some(file), trap: trap.clone(), ..Setup::default() });
    let mut wire = daemon.connect();
    let drift = |wire: &mut Wire| until("drift", || (wire.ask(r#"{"type":"drift"}"#)["ok"] == true).then_some(()));
    drift(&mut wire);
    let parts = ["scorer", "guardian", "ab_router", "trainer", "monitor"];
    let made = || parts.map(|part| trap.passed(part, "make"));
    for (more, renewed) in [
        ("", &[][..]),
        ("[log]\nlevel = \"warn\"\n", &[]),
        ("[trainer]\nwall_s = 77\n", &[]),
        ("[guardian]\nmax_loss_streak = 77\n", &[]),
        ("[lifecycle]\nverify_s = 77\n", &[]),
        // frozen until a restart
        ("[supervision]\nmax_restarts = 7\n", &[]),
        ("[monitor]\nwindow = 777\n", &["monitor"]),
        ("[health]\nmin_trades = 77\n", &["monitor"]),
        ("[symbols.CL]\ntick = 0.01\ntick_value = 10\n", &["scorer", "monitor"]),
        ("", &[]),
    ] {
        let mut expected = made();
        for part in renewed {
            expected[parts.iter().position(|known| known == part).unwrap()] += 1;
        }
        text.push_str(more);
        place.file("config.toml", &text);
        wire.ask_ok(RELOAD);
        until("the renewal", || {
            drift(&mut wire);
            wire.status();
            made().iter().zip(expected).all(|(made, expected)| *made >= expected).then_some(())
        });
        assert_eq!(made(), expected, "{more}");
    }
    assert_eq!(wire.arm("T-1"), ml());
    daemon.stop();
}
