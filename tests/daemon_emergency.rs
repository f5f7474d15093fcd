//! The promise: when the outcome that trips an emergency rule has been acknowledged, no later answer has a word from that
//! model, on any connection, whatever the disk is at and across kills.
//!
//! `VIGIE_LONG=1` runs 1,000 emergencies under load instead of 12 (several minutes).
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use common::{
    daemon::{Daemon, Setup, Trap},
    emergencies::{
        SCENARIOS, Scenario, config, latched, lead_up, ml_trade, outcome_on, place_with, register, score_on, spread,
        taken,
    },
    long::cases,
    place::{CONFIG, Place, model},
    process::{Process, succeed},
    wait::until,
    wire::{RESUME, Wire, arm_of, baseline, ml, promote},
};
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    clock::Stopwatch,
    domain::{EventKind, lifecycle::State, trip::Rule},
    models::{Labeller, Question, Target},
};

/// ES/1 as a version that is asked which trades make 50 and more. It says no to every one here.
fn strength() -> Place {
    let place = Place::new();
    let mut record = model().clone();
    record.target = Target::SignalStrengthClass;
    let labeller = Labeller::fit(record.target, &[0.0, 50.0, 50.0, 100.0]);
    (record.question, record.standard) = (Some(Question::new(labeller, 0.99)), None);
    place.register("ES/1", record.to_bytes().unwrap(), State::Production);
    place
}

#[test]
fn a_version_is_taken_down_by_its_own_question_and_not_by_the_money() {
    let play = |pnl: &dyn Fn(usize) -> f64| {
        let place = strength();
        let daemon = Daemon::start_with(&place, Setup { config: config(), ..Setup::default() });
        let mut wire = daemon.connect();
        let after = (0..12).find(|k| {
            let (id, _) = ml_trade(&mut wire, 1, &format!("O-{k}"));
            taken(&mut wire, &outcome_on(1, &id, Some(pnl(*k))));
            !latched(&place).is_empty()
        });
        daemon.stop();
        (after, latched(&place))
    };
    // none of them makes 50, as it says; by the sign of the pnl it was wrong in two of three, whatever its score says
    for sign in [-1.0, 1.0] {
        let (after, rules) = play(&|k| if k % 3 == 2 { -20.0 * sign } else { 20.0 * sign });
        assert_eq!((after, rules), (None, vec![]), "{sign}");
    }
    // each makes more: the money is good and the version wrong
    assert_eq!(play(&|_| 60.0), (Some(8), vec![Rule::named("accuracy")]));
}

/// Eight connections that ask without a pause, and what they heard.
struct Load {
    over: AtomicBool,
    day: AtomicU64,
    /// When the acknowledgement came, in microseconds; `u64::MAX` before.
    acknowledged: AtomicU64,
    /// Of the round: when the last answer with a word from a model came, and how many were asked for after the
    /// acknowledgement.
    heard: Mutex<(u64, u64)>,
    answers: AtomicU64,
    watch: Stopwatch,
}

impl Load {
    fn new() -> Self {
        Self {
            over: AtomicBool::new(false),
            day: AtomicU64::new(0),
            acknowledged: AtomicU64::new(u64::MAX),
            heard: Mutex::new((0, 0)),
            answers: AtomicU64::new(0),
            watch: Stopwatch::start(),
        }
    }

    fn now(&self) -> u64 {
        self.watch.elapsed().as_micros() as u64
    }

    fn ask(&self, connection: usize, mut wire: Wire) {
        for n in 0_u64.. {
            if self.over.load(Ordering::Acquire) {
                return;
            }
            let day = self.day.load(Ordering::Acquire) as usize;
            let asked = self.now();
            let after = asked > self.acknowledged.load(Ordering::Acquire);
            // scores that differ, or the monitor would call them unstable
            let line = score_on(day, &format!("L-{connection}-{n}")).replace("0.71", &format!("0.{}", n % 10));
            let answer = wire.ask(line);
            self.answers.fetch_add(1, Ordering::Relaxed);
            if answer["arm"] == "ml" {
                let mut heard = self.heard.lock().unwrap();
                heard.0 = heard.0.max(self.now());
                heard.1 += u64::from(after);
            }
        }
    }
}

#[test]
fn after_the_acknowledgement_of_the_tripping_outcome_no_connection_hears_the_model() {
    let rounds = cases(12, 1_000);
    let place = place_with(rounds);
    let setup = Setup { config: config(), time: Time::Event, ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    let load = Load::new();
    let (mut to_baseline, mut to_ack) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        for connection in 0..8 {
            let (load, wire) = (&load, daemon.connect());
            scope.spawn(move || load.ask(connection, wire));
        }
        let ending = Ending(&load.over);
        let mut wire = daemon.connect();
        for round in 0..rounds {
            let scenario = SCENARIOS[round % SCENARIOS.len()];
            load.day.store(round as u64, Ordering::Release);
            if round > 0 {
                // of a new day, so that a loss of the day before may be lifted
                wire.ask_ok(score_on(round, &format!("D-{round}")));
                taken(&mut wire, RESUME);
                taken(&mut wire, &promote(&format!("ES/{}", round + 1)));
            }
            let tripping = lead_up(&mut wire, scenario, round);
            *load.heard.lock().unwrap() = (0, 0);
            let sent = load.now();
            taken(&mut wire, &tripping);
            let acknowledged = load.now();
            load.acknowledged.store(acknowledged, Ordering::Release);
            for k in 0..5 {
                // where the load fills the queue, that is told instead; it is the baseline from the first answer on
                let mut tries = 0;
                let answer = until("an answer that the queue had room for", || {
                    tries += 1;
                    let answer = wire.arm_on(round, &format!("A-{round}-{k}-{tries}"));
                    assert_eq!(answer.0, "baseline", "{scenario:?} in round {round}: {answer:?}");
                    (answer != baseline("journal_unavailable")).then_some(answer)
                });
                assert_eq!(answer, baseline("locked"), "{scenario:?} in round {round}");
            }
            let answers = load.answers.load(Ordering::Relaxed);
            until("answers of the load after the acknowledgement", || {
                (load.answers.load(Ordering::Relaxed) > answers + 16).then_some(())
            });
            let (last, after) = *load.heard.lock().unwrap();
            assert_eq!(after, 0, "{scenario:?} in round {round}: a model was heard after the acknowledgement");
            load.acknowledged.store(u64::MAX, Ordering::Release);
            to_baseline.push(last.saturating_sub(sent));
            to_ack.push(acknowledged - sent);
        }
        drop(ending);
    });
    daemon.stop();
    let rules = latched(&place);
    for (round, scenario) in (0..rounds).zip(SCENARIOS.into_iter().cycle()) {
        assert!(rules.contains(&scenario.rule()), "{scenario:?} in round {round}");
    }
    assert!(rules.len() >= rounds, "{rules:?}");
    println!(
        "{rounds} emergencies, {} answers: from the outcome to the last ML answer {}, to the acknowledgement {}",
        load.answers.load(Ordering::Relaxed),
        spread(&mut to_baseline),
        spread(&mut to_ack)
    );
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

trait OnDay {
    fn arm_on(&mut self, day: usize, id: &str) -> (String, String);
}

impl OnDay for Wire {
    fn arm_on(&mut self, day: usize, id: &str) -> (String, String) {
        // one of a version silences its symbol, one of the account locks: tests/daemon_outcomes.rs tells them apart
        let (arm, reason) = arm_of(&self.ask(score_on(day, id)));
        (arm, if reason == "silenced" { "locked".to_owned() } else { reason })
    }
}

#[test]
fn a_journal_that_stands_still_or_fails_delays_the_acknowledgement_and_not_the_rollback() {
    for scenario in SCENARIOS {
        let place = Place::with_model(State::Production);
        let trap = Trap::default();
        let setup = Setup { config: config(), time: Time::Event, trap: trap.clone(), ..Setup::default() };
        let daemon = Daemon::start_with(&place, setup);
        let (mut wire, mut other) = (daemon.connect(), daemon.connect());
        let tripping = lead_up(&mut wire, scenario, 0);
        trap.hold_journal();
        other.ask_ok(score_on(0, "W"));
        trap.await_held();
        wire.send(format!("{tripping}\n"));
        until("the baseline", || (other.arm_on(0, "X") == baseline("locked")).then_some(()));
        trap.panic_over("journal", "apply", 2);
        trap.release();
        let answer = wire.answer();
        assert_eq!(answer["error"]["code"], "retry", "{scenario:?}: {answer}");
        assert_eq!(other.arm_on(0, "Y"), baseline("locked"), "{scenario:?}");
        until("the outcome on disk", || (wire.ask(&tripping)["ok"] == true).then_some(()));
        assert_eq!(other.arm_on(0, "Z"), baseline("locked"), "{scenario:?}");
        // what is acknowledged is there with what followed from it
        assert!(latched(&place).contains(&scenario.rule()), "{scenario:?}");
        daemon.stop();
        let daemon = Daemon::start_with(&place, Setup { config: config(), time: Time::Event, ..Setup::default() });
        assert_eq!(daemon.connect().arm_on(0, "Q"), baseline("locked"), "{scenario:?} after a restart");
        daemon.stop();
    }
}

#[test]
fn a_monitor_that_stands_still_and_a_trainer_that_is_busy_change_nothing() {
    let place = Place::new();
    place.file("config.toml", CONFIG);
    succeed(&place, &["import", "--state", "state", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz")]);
    register(&place, 1, State::Production);
    (2..=SCENARIOS.len()).for_each(|number| register(&place, number, State::Staging));
    let trap = Trap::default();
    // a training that takes its time
    let config = config()
        .replace("validation.bootstrap = 2\n", "validation.bootstrap = 10000\n")
        .replace("validation.null = 20\n", "validation.null = 10000\n");
    assert!(config.contains("= 10000\n"), "{config}");
    let config = format!("training.allow_levels = [\"gradient_boosting\"]\n{config}");
    let daemon =
        Daemon::start_with(&place, Setup { config, time: Time::Event, trap: trap.clone(), ..Setup::default() });
    let (mut wire, mut other) = (daemon.connect(), daemon.connect());
    let begun = wire.ask_ok(r#"{"type":"train","symbol":"ES","model":"boosting","reason":"a test"}"#);
    assert_eq!(begun["training"], 1, "{begun}");
    trap.hold("monitor");
    for (round, scenario) in SCENARIOS.into_iter().enumerate() {
        if round > 0 {
            wire.ask_ok(score_on(round, &format!("D-{round}")));
            taken(&mut wire, RESUME);
            taken(&mut wire, &promote(&format!("ES/{}", round + 1)));
        }
        let tripping = lead_up(&mut wire, scenario, round);
        wire.ask_ok(&tripping);
        assert_eq!(other.arm_on(round, &format!("X-{round}")), baseline("locked"), "{scenario:?}");
        assert!(latched(&place).contains(&scenario.rule()), "{scenario:?}");
    }
    assert!(wire.status()["training"].is_object(), "the training was still under way");
    trap.await_held();
    trap.release();
    daemon.stop();
}

#[test]
fn a_guardian_that_panics_over_the_tripping_outcome_lets_no_model_speak_and_judges_it_when_it_comes_again() {
    for scenario in SCENARIOS {
        let place = Place::with_model(State::Production);
        let trap = Trap::default();
        let setup = Setup { config: config(), time: Time::Event, trap: trap.clone(), ..Setup::default() };
        let daemon = Daemon::start_with(&place, setup);
        let mut wire = daemon.connect();
        let tripping = lead_up(&mut wire, scenario, 0);
        trap.panic_over("guardian", "outcome", 1);
        assert_eq!(wire.ask(&tripping)["error"]["code"], "retry");
        until("the outcome taken", || (wire.ask(&tripping)["ok"] == true).then_some(()));
        assert_eq!(wire.arm_on(0, "X"), baseline("locked"), "{scenario:?}");
        daemon.stop();
    }
}

#[test]
fn what_tripped_stays_through_kills_reloads_and_looser_limits_until_an_operator_and_the_next_day() {
    for scenario in SCENARIOS {
        let place = Place::with_model(State::Production);
        place.file("config.toml", &config());
        let event = ["--clock", "event"];
        let mut daemon = Process::start(&place, &event);
        let mut wire = daemon.connect();
        let tripping = lead_up(&mut wire, scenario, 0);
        let acknowledged = wire.ask_ok(&tripping);
        assert_eq!(acknowledged["durable"], true);
        daemon.kill();
        let loose = "[health]\nscore_psi = 10\nvariance_factor = 1000\n[guardian]\nliteral = true\naccuracy_min_trades = 90\nmax_loss_streak = 60\ndaily_loss_factor = 100\n";
        place.file("config.toml", &format!("{CONFIG}\n{loose}"));
        let daemon = Process::start(&place, &event);
        let mut wire = daemon.connect();
        assert_eq!(wire.arm_on(0, "X"), baseline("locked"), "{scenario:?}");
        daemon.signal("HUP");
        let reloaded = |kind: &EventKind| matches!(kind, EventKind::Reloaded { .. });
        until("a reload", || place.events().iter().any(reloaded).then_some(()));
        assert_eq!(wire.arm_on(0, "Y"), baseline("locked"), "{scenario:?}");
        let status = wire.status();
        assert_eq!(status["guardian"]["silenced"], json!(["ES"]), "{scenario:?}");
        let emergencies = status["guardian"]["emergencies"].as_array().unwrap().clone();
        assert!(emergencies[0].as_str().unwrap().contains(scenario.rule().name()), "{emergencies:?}");
        if matches!(scenario, Scenario::DayLoss | Scenario::Unknown) {
            let refused = wire.ask(RESUME);
            assert!(refused["error"]["message"].as_str().unwrap().contains("trading day"), "{refused}");
            wire.ask_ok(score_on(1, "next-day"));
        }
        wire.ask_ok(RESUME);
        // the version stays out: only a new validation brings it back
        assert_eq!(wire.arm_on(1, "Z"), baseline("no_model"), "{scenario:?}");
        let back = wire.ask(promote("ES/1"));
        assert_eq!(back["error"]["code"], "refused", "{back}");
        daemon.stop();
    }
}

#[test]
fn a_kill_between_the_tripping_outcome_and_its_acknowledgement_changes_nothing() {
    for round in 0..12 {
        let scenario = SCENARIOS[round % SCENARIOS.len()];
        let place = Place::with_model(State::Production);
        place.file("config.toml", &config());
        let event = ["--clock", "event"];
        let mut daemon = Process::start(&place, &event);
        let (mut wire, mut other) = (daemon.connect(), daemon.connect());
        let tripping = lead_up(&mut wire, scenario, 0);
        wire.send(format!("{tripping}\n"));
        // killed at once, or after so many answers to somebody else; and in the last round of each way when it has answered
        (0..round).for_each(|_| drop(other.ask_ok(r#"{"type":"ping"}"#)));
        let awaited = (round >= 8).then(|| wire.line().unwrap());
        daemon.kill();
        let answer = awaited.or_else(|| wire.line());
        let acknowledged = answer.is_some_and(|line| line.contains("\"durable\":true"));
        assert!(acknowledged || round < 8, "{scenario:?} in round {round}");
        let daemon = Process::start(&place, &event);
        let mut wire = daemon.connect();
        let arm = wire.arm_on(0, "X");
        assert!(!acknowledged || arm == baseline("locked"), "{scenario:?} in round {round}: {arm:?}");
        // a trader that got no answer sends it again, with the decision it acted on
        wire.ask_ok(&tripping);
        assert_eq!(wire.arm_on(0, "Y"), baseline("locked"), "{scenario:?} in round {round}");
        daemon.stop();
    }
}

#[test]
fn stricter_limits_at_a_start_find_the_emergency_in_what_is_past() {
    let place = Place::with_model(State::Production);
    let event = || Setup { time: Time::Event, ..Setup::default() };
    let daemon = Daemon::start_with(&place, event());
    let mut wire = daemon.connect();
    // more than the stricter limits allow, and no more wrong scores than chance explains
    for k in 0..6 {
        wire.ask_ok(score_on(0, &format!("T-{k}")));
        wire.ask_ok(outcome_on(0, &format!("T-{k}"), Some(-1.0)));
    }
    assert_eq!(wire.arm_on(0, "X"), ml());
    daemon.stop();
    let daemon = Daemon::start_with(&place, Setup { config: config(), ..event() });
    let mut wire = daemon.connect();
    assert_eq!(wire.arm_on(0, "Y"), baseline("locked"));
    until("the latch on disk", || latched(&place).contains(&Rule::named("loss_streak")).then_some(()));
    daemon.stop();
}

#[test]
fn a_trade_without_a_pnl_is_no_emergency_while_no_model_speaks_and_a_loss_of_the_day_is_one_for_all() {
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start_with(&place, Setup { config: config(), time: Time::Event, ..Setup::default() });
    let mut wire = daemon.connect();
    wire.ask_ok(outcome_on(0, "T-1", None));
    assert_eq!(wire.arm_on(0, "X"), baseline("shadow"));
    // the account loses on trades that were never scored here
    wire.ask_ok(outcome_on(0, "T-2", Some(-2500.0)));
    assert_eq!(wire.arm_on(0, "Y"), baseline("locked"));
    let models: Value = wire.ask_ok(r#"{"type":"models"}"#);
    assert_eq!(models["models"][0]["state"], "staging", "what only watches stays");
    daemon.stop();
}
