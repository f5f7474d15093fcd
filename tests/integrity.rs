//! Faults after which no figure means anything, in a running daemon: it is locked at once, and told of once.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use common::{
    daemon::{Daemon, Setup},
    place::{BY_HAND, CONFIG, Place, examples, model},
    process::{Process, succeed},
    wait::until,
    wire::{RESUME, Wire, arm_of, baseline, ml, promote, score},
};
use vigie::{
    actors::daemon::Time,
    clock::{Clock, WallClock},
    domain::{EventKind, Timestamp, event::By, lifecycle::State},
    models::ModelRecord,
};

/// The reasons of all locks, and who locked.
fn locks(place: &Place) -> Vec<(String, By)> {
    let lock = |kind| if let EventKind::Locked { reason, by, .. } = kind { Some((reason, by)) } else { None };
    place.events().into_iter().filter_map(lock).collect()
}

#[test]
fn a_score_that_is_no_probability_is_the_baseline_and_locks_once_whether_or_not_it_is_heard() {
    for state in [State::Production, State::Staging] {
        let mut record = model().clone();
        let ModelRecord::Logistic(logistic) = &mut record.model else { panic!("{:?}", record.model) };
        // each of its numbers is finite, and what they add up to is not
        logistic.weights.iter_mut().for_each(|weight| *weight = f64::MAX);
        let place = Place::new();
        place.register("ES/1", record.to_bytes().unwrap(), state);
        let daemon = Daemon::start(&place);
        let mut wire = daemon.connect();
        let lines: String = (0..50).map(|n| score(&format!("S-{n}")) + "\n").collect();
        wire.send(lines);
        let answers: Vec<_> = (0..50).map(|_| wire.answer()).collect();
        assert!(answers.iter().all(|answer| answer["ok"] == true && answer["arm"] == "baseline"), "{answers:?}");
        if state == State::Production {
            assert_eq!(answers[0]["reason"], "invalid_score");
        }
        until("the lock", || (wire.arm("later") == baseline("locked")).then_some(()));
        until("the lock on disk", || locks(&place).first().cloned());
        daemon.stop();
        assert_eq!(locks(&place).len(), 1, "{:?}", locks(&place));
        let (told, locked) = (place.alerts("integrity"), &locks(&place)[0].0);
        assert!(told.len() == 1 && told[0].starts_with("ES/1 gave the score NaN"), "{told:?}");
        assert!(locked.starts_with("ES/1 gave the score NaN"), "{locked}");
    }
}

/// The machine's clock, set otherwise.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        WallClock.now() + jiff::SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

/// A clock that is corrected by two seconds and then set by `jump` seconds.
fn set_by(jump: i64) {
    let place = Place::with_model(State::Production);
    let clock = Arc::new(SetClock::default());
    let setup = Setup {
        time: Time::Given(Arc::clone(&clock) as Arc<dyn Clock>),
        config: format!("{CONFIG}monitor.clock_tolerance_s = 20\n"),
        ..Setup::default()
    };
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    let runs = |wire: &mut Wire| wire.job("clock")["runs"].as_u64();
    // the daemon has looked at the time before it is set, and after
    for correction in [0, 2] {
        clock.0.store(correction, Ordering::Relaxed);
        for _ in 0..2 {
            let looked = runs(&mut wire);
            until("a look at the time", || (runs(&mut wire) > looked).then_some(()));
        }
    }
    assert_eq!(wire.arm("before"), ml());
    clock.0.store(jump, Ordering::Relaxed);
    until("the lock", || (wire.arm("after") == baseline("locked")).then_some(()));
    until("the lock on disk", || locks(&place).first().cloned());
    let told = place.alerts("integrity");
    assert!(told.len() == 1 && told[0].starts_with("the clock moved by "), "{told:?}");
    let compared = wire.job("clock");
    let failed = compared["last_failure"]["found"].as_str();
    assert!(failed.is_some_and(|why| told[0].starts_with(why)), "{compared} {told:?}");
    // the clock goes on from there: a person resumes, once the daemon knows that its lock is on disk, and it stays so
    until("a resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
    let looked = runs(&mut wire).map(|runs| runs + 2);
    until("a look at the time", || (runs(&mut wire) >= looked).then_some(()));
    assert_eq!(wire.arm("resumed"), ml());
    daemon.stop();
}

#[test]
fn a_clock_that_is_set_by_hours_locks_and_one_that_is_corrected_does_not() {
    // the monitor looks at the time once a second: side by side
    std::thread::scope(|scope| {
        for jump in [3600, -3600] {
            scope.spawn(move || set_by(jump));
        }
    });
}

/// The configuration with these inputs besides the built-in ones.
fn inputs(extra: &str) -> String {
    format!("{CONFIG}{BY_HAND}features.extra = [{extra}]\n")
}

fn extra(n: usize, line: &str) -> String {
    let (tick_rule, tape) = (n * 37 % 10, n * 53 % 10);
    line.replacen('{', &format!("{{\"extra\":{{\"tick_rule\":0.{tick_rule},\"tape\":-{tape}}},"), 1)
}

const BOTH: &str = "\"tick_rule\", \"tape\"";

/// A place whose version ES/1 uses the inputs of [`BOTH`].
fn with_extras() -> Place {
    let place = Place::new();
    place.file("config.toml", &inputs(BOTH));
    let lines: Vec<String> = examples().iter().enumerate().map(|(n, line)| extra(n, line)).collect();
    place.file("trades.jsonl", &(lines.join("\n") + "\n"));
    succeed(&place, &["import", "--state", "state", "--config", "config.toml", "trades.jsonl"]);
    succeed(&place, &["train", "--keep", "--state", "state", "--config", "config.toml"]);
    place
}

#[test]
fn inputs_that_change_places_or_go_wait_for_a_restart() {
    let place = with_extras();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    wire.ask_ok(promote("ES/1"));
    let answer = |wire: &mut Wire, name: &str| {
        let answer = wire.ask(extra(1, &score(name)));
        (arm_of(&answer), answer["score"].as_f64())
    };
    let before = answer(&mut wire, "before");
    assert_eq!(before.0, ml());
    for (n, changed) in ["\"tape\", \"tick_rule\"", "", "\"tape\""].into_iter().enumerate() {
        place.file("config.toml", &inputs(changed));
        let told = wire.ask_ok(r#"{"type":"reload"}"#);
        assert!(told.to_string().contains("features.extra"), "{told}");
        for k in 0..20 {
            assert_eq!(answer(&mut wire, &format!("after-{n}-{k}")), before, "{changed}");
        }
    }
    daemon.stop();
    place.file("config.toml", &inputs("\"tape\", \"tick_rule\""));
    let daemon = Process::start(&place, &[]);
    assert_eq!(answer(&mut daemon.connect(), "again"), before, "they are known by their names");
    daemon.stop();
}

#[test]
fn an_input_that_is_gone_at_a_restart_locks_until_a_person_says_otherwise() {
    let place = with_extras();
    let daemon = Process::start(&place, &[]);
    daemon.connect().ask_ok(promote("ES/1"));
    daemon.stop();
    place.file("config.toml", &inputs("\"tape\""));
    // the lock is in force before the first answer, and it is one however often the daemon is started
    for starts in 1..=2 {
        let daemon = Process::start(&place, &[]);
        assert_eq!(daemon.connect().arm("after"), baseline("locked"));
        until("the lock on disk", || locks(&place).first().cloned());
        daemon.stop();
        let (told, locked) = (place.alerts("input_gone"), locks(&place));
        assert!(told.len() == starts && locked.len() == 1 && locked[0].0.contains("tick_rule"), "{told:?} {locked:?}");
        assert_eq!(place.alerts("model_damaged"), Vec::<String>::new());
    }
    // a person may go on without it, and the next start finds the same fault
    let daemon = Process::start(&place, &[]);
    daemon.connect().ask_ok(RESUME);
    assert_eq!(daemon.connect().arm("resumed"), baseline("no_model"));
    daemon.stop();
    let daemon = Process::start(&place, &[]);
    assert_eq!(daemon.connect().arm("anew"), baseline("locked"));
    daemon.stop();
    // with the input declared again it speaks, but not before a person says so
    place.file("config.toml", &inputs(BOTH));
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(arm_of(&wire.ask(extra(1, &score("declared")))), baseline("locked"));
    wire.ask_ok(RESUME);
    assert_eq!(arm_of(&wire.ask(extra(1, &score("speaks")))), ml());
    daemon.stop();
}

#[test]
fn an_input_that_is_gone_locks_nothing_when_the_version_only_watches() {
    let place = with_extras();
    let daemon = Process::start(&place, &[]);
    let stage = r#"{"type":"promote","version":"ES/1","to":"staging","override":true,"reason":"a test"}"#;
    daemon.connect().ask_ok(stage);
    daemon.stop();
    place.file("config.toml", &inputs("\"tape\""));
    let daemon = Process::start(&place, &[]);
    assert_eq!(daemon.connect().arm("after"), baseline("no_model"));
    daemon.stop();
    assert_eq!((place.alerts("input_gone").len(), locks(&place)), (1, Vec::new()));
}
