//! A replay by the time of its messages gives what a daemon on a live clock gave: the same events at the same times.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{CONFIG, Place, model},
    wait::until,
    wire::{Wire, arm_of, baseline, promote, score_with},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    clock::{Clock, Stopwatch},
    config::Config,
    domain::{Event, EventKind, Timestamp, TradingCalendar, lifecycle::State},
};

/// Short windows, no emergency but by the monitor, and a live clock that may be driven forward a day at a time.
const WATCHED: &str = "guardian.min_accuracy = 0\nguardian.max_loss_streak = 99\nguardian.daily_loss_limit = 1000000.0\n\
     monitor.window = 24\nhealth.min_trades = 20\nmonitor.budget_resamples = 20\nmonitor.clock_tolerance_s = 86400\n\
     health.score_psi = 10\nhealth.variance_factor = 1000\n";
const A_DAY: usize = 8;

/// The machine's clock, as far as the daemon knows.
#[derive(Default)]
struct Driven(AtomicI64);

impl Driven {
    fn set(&self, at: Timestamp) {
        self.0.store(at.as_microsecond(), Ordering::SeqCst);
    }
}

impl Clock for Driven {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

fn text() -> String {
    // what recurs by the clocks begins live, and not where the past is played back
    let quiet = "schedule.data_quality = false\nschedule.review = false\nschedule.retraining = false\n";
    format!("{CONFIG}{WATCHED}{quiet}")
}

/// Signals and outcomes: each with its time. The first days go well, the others badly.
fn tape() -> Vec<(Timestamp, String)> {
    let days = (1..=30).filter(|day| ![0, 6].contains(&(day % 7))).take(10);
    let of_day = |(n, day): (usize, usize)| {
        (0..A_DAY).flat_map(move |number| {
            let id = format!("T-{day}-{number}");
            let at = format!("2025-09-{day:02}T15:0{number}:00Z");
            let line = score_with(&id, "2025-09-01T15:00:00Z", &at);
            let line = line.replace("\"recent_momentum\":-0.2", &format!("\"recent_momentum\":0.{number}"));
            let exit_at = format!("2025-09-{day:02}T15:0{number}:30Z");
            let pnl = if n < 4 { 120.0 } else { -150.0 };
            let outcome = json!({
                "type": "outcome", "trade_id": id,
                "outcome_metrics": { "exit_at": exit_at, "pnl": pnl, "exit_reason": "signal" },
            });
            [(at.parse().unwrap(), line), (exit_at.parse().unwrap(), outcome.to_string())]
        })
    };
    days.enumerate().flat_map(of_day).collect()
}

/// Waits until nothing follows any more.
fn settle(wire: &mut Wire) {
    until("it is settled", || {
        let status = wire.status();
        let quiet = status["trials"]["settled"] == true && status["training"].is_null() && !status["monitor"].is_null();
        quiet.then_some(())
    });
}

/// Sets `clock`, and waits until that was compared with the time that passed: two such steps within a second would be taken
/// for a clock that jumps.
fn step(wire: &mut Wire, clock: &Driven, at: Timestamp) {
    let before = wire.job("clock")["runs"].as_u64();
    clock.set(at);
    until("the clocks are compared", || (wire.job("clock")["runs"].as_u64() > before).then_some(()));
}

/// Drives `clock` to `at`, a trading day after the other, and lets the daemon do what follows at each.
fn drive(wire: &mut Wire, clock: &Driven, calendar: &TradingCalendar, at: Timestamp) {
    let mut day = calendar.day_of(clock.now()).date();
    loop {
        day = day.tomorrow().unwrap();
        let opening = calendar.opening(day).unwrap();
        if opening >= at {
            break;
        }
        step(wire, clock, opening);
        until("the monitor has seen that the day is over", || {
            (wire.status()["monitor"]["day"] == day.to_string()).then_some(())
        });
        settle(wire);
    }
    clock.set(at);
}

/// What happened from the first message on.
fn events(place: &Place, from: Timestamp) -> Vec<Event> {
    let reader = place.reader();
    let events = reader.events(0).unwrap().map(|stored| stored.unwrap().event);
    let passing = |event: &Event| !matches!(event.kind, EventKind::Started { .. } | EventKind::Stopped);
    events.filter(|event| event.at >= from && passing(event)).collect()
}

/// Plays `tape` as fast as the daemon answers and gives back its rolling figures.
fn replay(place: &Place, tape: &[(Timestamp, String)]) -> Value {
    let daemon = Daemon::start_with(place, Setup { config: text(), time: Time::Event, ..Setup::default() });
    let mut wire = daemon.connect();
    settle(&mut wire);
    wire.send(tape.iter().map(|(_, line)| format!("{}\n", line.trim_end())).collect::<String>());
    for _ in tape {
        let answer: Value = wire.answer();
        assert_eq!(answer["ok"], true, "{answer}");
    }
    settle(&mut wire);
    let rolling = wire.status()["monitor"]["rolling"].take();
    daemon.stop();
    rolling
}

#[test]
fn alerts_of_a_replay_carry_the_time_at_which_the_day_of_their_trades_ended() {
    let (tape, calendar) = (tape(), Config::parse("test", &text()).unwrap().calendar.clone());
    let place = Place::with_model(State::Production);
    replay(&place, &tape);
    let mut ends = Vec::new();
    let mut alerts = 0;
    for event in events(&place, tape[0].0) {
        match &event.kind {
            EventKind::Judged { day, .. } => {
                let end = calendar.opening(day.date().tomorrow().unwrap()).unwrap();
                assert_eq!(event.at, end, "{event:?}");
                ends.push(end);
            }
            EventKind::Alert { .. } => {
                alerts += 1;
                let on = calendar.day_of(event.at).date().yesterday().unwrap();
                assert_eq!(Some(event.at), calendar.opening(on.tomorrow().unwrap()), "{event:?}");
            }
            _ => {}
        }
    }
    assert!(alerts > 2 && ends.len() > 5, "{alerts} alerts, {} days", ends.len());
}

#[test]
fn a_replay_gives_the_events_of_a_live_run_at_the_times_of_a_live_run() {
    let (tape, calendar) = (tape(), Config::parse("test", &text()).unwrap().calendar.clone());
    let live = Place::with_model(State::Production);
    let clock = Arc::new(Driven::default());
    clock.set(tape[0].0);
    let time = Time::Given(Arc::clone(&clock) as Arc<dyn Clock>);
    let daemon = Daemon::start_with(&live, Setup { config: text(), time, ..Setup::default() });
    let mut wire = daemon.connect();
    settle(&mut wire);
    for (at, line) in &tape {
        drive(&mut wire, &clock, &calendar, *at);
        wire.ask_ok(line);
        settle(&mut wire);
    }
    let rolling = wire.status()["monitor"]["rolling"].take();
    daemon.stop();

    let replayed = Place::with_model(State::Production);
    let replayed_rolling = replay(&replayed, &tape);
    let (live, replayed) = (events(&live, tape[0].0), events(&replayed, tape[0].0));
    let kinds = |wanted: fn(&EventKind) -> bool| live.iter().filter(|event| wanted(&event.kind)).count();
    assert!(kinds(|kind| matches!(kind, EventKind::Judged { .. })) > 5, "{live:?}");
    assert!(kinds(|kind| matches!(kind, EventKind::Moved { .. })) > 0, "{live:?}");
    assert!(kinds(|kind| matches!(kind, EventKind::Alert { .. })) > 0, "{live:?}");
    for (live, replayed) in live.iter().zip(&replayed) {
        assert_eq!(live, replayed);
    }
    assert_eq!(live.len(), replayed.len());
    assert_eq!(replayed_rolling, rolling, "rolling figures");
}

#[test]
fn what_is_ordered_before_the_first_message_of_a_replay_carries_the_time_of_what_is_known() {
    let place = Place::with_model(State::Staging);
    let event = Setup { config: text(), time: Time::Event, ..Setup::default() };
    let daemon = Daemon::start_with(&place, event);
    let mut wire = daemon.connect();
    for day in ["2025-08-22", "2025-08-29"] {
        let at = format!("{day}T15:00:00Z");
        let mut past: Value =
            serde_json::from_str(&score_with(&format!("PAST-{day}"), "2025-09-01T15:00:00Z", &at)).unwrap();
        past["type"] = json!("import");
        let exit_at = format!("{day}T15:20:00Z");
        past["outcome_metrics"] = json!({ "exit_at": exit_at, "pnl": 20.0, "exit_reason": "signal" });
        wire.ask_ok(past.to_string());
    }
    wire.ask_ok(promote("ES/1"));
    daemon.stop();
    let reader = place.reader();
    let mut moved = reader.events(0).unwrap().map(|stored| stored.unwrap().event);
    let last = moved.rfind(|event| matches!(event.kind, EventKind::Moved { .. })).unwrap();
    assert_eq!(last.at.to_string(), "2025-08-29T15:20:00Z");
    // a trade that is told before the first message is not taken for one that happened after it was told
    assert!(reader.signals().unwrap().all(|stored| !stored.unwrap().lies_ahead()));
    assert!(reader.outcomes().unwrap().all(|stored| !stored.unwrap().lies_ahead()));
}

/// A signal and its outcome, a moment later.
fn trade(id: &str, at: &str, pnl: f64) -> [String; 2] {
    let outcome = json!({
        "type": "outcome", "trade_id": id, "outcome_metrics": { "exit_at": at, "pnl": pnl, "exit_reason": "signal" },
    });
    [score_with(id, "2025-09-01T15:00:00Z", at), outcome.to_string()]
}

#[test]
fn rolling_figures_count_who_was_in_service_when_a_trade_happened_however_fast_it_is_replayed() {
    // the sixth loss in a row takes the version out of service in the middle of a day
    let config = text().replace("max_loss_streak = 99", "max_loss_streak = 5\nguardian.literal = true");
    let tape: Vec<String> =
        (0..8).flat_map(|n| trade(&format!("T-{n}"), &format!("2025-09-02T15:0{n}:00Z"), -50.0)).collect();
    let play = |fast: bool| {
        let place = Place::with_model(State::Production);
        let setup = Setup { config: config.clone(), time: Time::Event, ..Setup::default() };
        let daemon = Daemon::start_with(&place, setup);
        let mut wire = daemon.connect();
        settle(&mut wire);
        if fast {
            wire.send(tape.iter().map(|line| format!("{line}\n")).collect::<String>());
        }
        for line in &tape {
            let answer = if fast { wire.answer() } else { wire.ask(line) };
            assert_eq!(answer["ok"], true, "{answer}");
            if !fast {
                until("the monitor has heard it", || (wire.status()["monitor"]["waiting"] == 0).then_some(()));
            }
        }
        settle(&mut wire);
        let rolling = wire.status()["monitor"]["rolling"].take();
        daemon.stop();
        let latched = |kind: &EventKind| matches!(kind, EventKind::Latched { .. });
        assert!(place.events().iter().any(latched));
        rolling
    };
    let slow = play(false);
    assert_eq!(slow["model ES/1"]["trades"], 6, "{slow}");
    for _ in 0..3 {
        assert_eq!(play(true), slow);
    }
}

#[test]
fn what_a_version_is_watched_against_holds_nothing_that_was_replayed_after_it_was_registered() {
    let place = Place::new();
    let mut record = model().clone();
    // all of the tape was over before, by the time of its trades
    record.created_at = "2026-01-01T00:00:00Z".parse().unwrap();
    place.register("ES/1", record.to_bytes().unwrap(), State::Production);
    let event = || Setup { config: text(), time: Time::Event, ..Setup::default() };
    let daemon = Daemon::start_with(&place, event());
    let mut wire = daemon.connect();
    settle(&mut wire);
    for (_, line) in tape().iter().take(3 * 2 * A_DAY) {
        wire.ask_ok(line);
    }
    settle(&mut wire);
    let before = wire.ask_ok(r#"{"type":"drift"}"#);
    assert!(before["versions"]["ES/1"].is_object(), "{before}");
    daemon.stop();
    let daemon = Daemon::start_with(&place, event());
    let mut wire = daemon.connect();
    settle(&mut wire);
    let after = wire.ask_ok(r#"{"type":"drift"}"#);
    daemon.stop();
    assert_eq!(after["versions"]["ES/1"], before["versions"]["ES/1"]);
}

/// A replay in which `part` stands still: it is waited for once, and named as `name`.
fn replay_beside(part: &'static str, name: &str) {
    let (place, trap) = (Place::with_model(State::Production), Trap::default());
    let setup = Setup { config: text(), time: Time::Event, trap: trap.clone(), ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    let (mut wire, mut other) = (daemon.connect(), daemon.connect());
    settle(&mut wire);
    let [signal, outcome] = trade("T-0", "2025-09-02T15:00:00Z", 50.0);
    wire.ask_ok(signal);
    trap.hold(part);
    if part == "journal" {
        other.ask_ok(score_with("held", "2025-09-01T15:00:00Z", "2025-09-02T15:00:00Z"));
    }
    wire.send(format!("{outcome}\n"));
    // of the same time: the disk is none of its concern
    let answer = other.ask_ok(score_with("S", "2025-09-01T15:00:00Z", "2025-09-02T15:00:00Z"));
    assert_ne!(arm_of(&answer), baseline("deadline"));
    let watch = Stopwatch::start();
    for day in 3..=13 {
        other.ask_ok(score_with(&format!("S-{day}"), "2025-09-01T15:00:00Z", &format!("2025-09-{day:02}T15:00:00Z")));
    }
    assert!(watch.elapsed().as_secs() < 25, "{part}: it is waited for again and again: {:?}", watch.elapsed());
    trap.release();
    assert_eq!(wire.answer()["durable"], true);
    settle(&mut wire);
    daemon.stop();
    let told = place.alerts("replay_late");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains(name), "{told:?}");
}

#[test]
fn a_replay_waits_for_a_part_that_stands_still_once_and_says_so_and_a_live_daemon_does_not_wait() {
    // each waits for seconds: side by side
    std::thread::scope(|scope| {
        scope.spawn(|| replay_beside("monitor", "the monitor"));
        scope.spawn(|| replay_beside("journal", "the disk"));
    });
    let (place, trap) = (Place::with_model(State::Production), Trap::default());
    let daemon = Daemon::start_with(&place, Setup { config: text(), trap: trap.clone(), ..Setup::default() });
    let mut wire = daemon.connect();
    settle(&mut wire);
    trap.hold("monitor");
    let watch = Stopwatch::start();
    (0..8)
        .flat_map(|n| trade(&format!("T-{n}"), "2025-09-02T15:00:00Z", 50.0))
        .for_each(|line| drop(wire.ask_ok(line)));
    assert!(watch.elapsed().as_secs() < 5, "{:?}", watch.elapsed());
    trap.release();
    daemon.stop();
    assert!(place.alerts("replay_late").is_empty());
}
