//! Parts that fail while the daemon runs: what is answered meanwhile, what survives, and when it gives up.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{CONFIG, Place, model},
    process::vigie,
    wait::until,
    wire::{LOCK, RESUME, Wire, arm_of, baseline, ml, outcome, promote, rollback, score, skip},
};
use vigie::{
    actors::daemon::{Control, Ended},
    domain::{EventKind, TradeId, lifecycle::State},
};

/// A daemon with a model in production that may fail as often as it likes, and what makes it fail.
fn daemon(place: &Place) -> (Daemon, Trap) {
    let trap = Trap::default();
    let config = format!("{CONFIG}supervision.max_restarts = 100\n");
    (Daemon::start_with(place, Setup { config, trap: trap.clone(), ..Setup::default() }), trap)
}

/// As [`daemon`], with the built-in patience of three restarts.
fn impatient_daemon(place: &Place) -> (Daemon, Trap) {
    let trap = Trap::default();
    (Daemon::start_with(place, Setup { trap: trap.clone(), ..Setup::default() }), trap)
}

fn restarts(wire: &mut Wire) -> u64 {
    wire.status()["restarts"].as_u64().unwrap()
}

fn await_model(wire: &mut Wire, id: &str) {
    until("the model's word", || (wire.arm(id) == ml()).then_some(()));
}

fn code(answer: &serde_json::Value) -> &str {
    answer["error"]["code"].as_str().unwrap_or("none")
}

#[test]
fn a_scorer_that_panics_answers_with_the_baseline_and_is_rebuilt() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = daemon(&place);
    let mut wire = daemon.connect();
    for round in 1..=3 {
        trap.panic_over("scorer", "score", 1);
        let answer = wire.ask_ok(score("T-1"));
        assert_eq!((arm_of(&answer), &answer["confidence"]), (baseline("internal_error"), &0.6.into()));
        await_model(&mut wire, "T-2");
        assert_eq!(restarts(&mut wire), round);
    }
    daemon.stop();
    let failed = |kind: &EventKind| matches!(kind, EventKind::Restarted { actor, .. } if &**actor == "scorer");
    assert_eq!(place.events().iter().filter(|kind| failed(kind)).count(), 3);
}

#[test]
fn a_scorer_that_was_rebuilt_remembers_what_it_carries_forward() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = daemon(&place);
    let mut wire = daemon.connect();
    // what is carried forward must be little enough for the model to be asked
    let later = |id: &str| {
        let late = score(id).replace("15:00:00", "15:30:00");
        late.replace("\"level_proximity\":0.6", "\"level_proximity\":null")
    };
    wire.ask_ok(score("T-1"));
    let before = wire.ask_ok(later("T-2"))["score"].take();
    assert_ne!(before, 0.5);
    trap.panic_over("scorer", "score", 1);
    wire.ask_ok(later("T-3"));
    let after = until("a scorer", || Some(wire.ask_ok(later("T-4"))).filter(|answer| answer["arm"] == "ml"));
    assert_eq!(after["score"], before);
    daemon.stop();
}

#[test]
fn while_the_guardian_is_rebuilt_no_model_speaks_and_outcomes_are_to_be_sent_again() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = daemon(&place);
    let mut wire = daemon.connect();
    for (round, line) in [outcome("T-1", 1.0), skip("T-2")].into_iter().enumerate() {
        let message = if round == 0 { "outcome" } else { "skip" };
        await_model(&mut wire, "T-0");
        // its journal stands still, so that it cannot be rebuilt before this test says so
        trap.hold_journal();
        wire.ask_ok(score("T-3"));
        trap.await_held();
        trap.panic_over("guardian", message, 1);
        assert_eq!(code(&wire.ask(&line)), "retry");
        assert_eq!(wire.arm("T-4"), baseline("locked"));
        assert_eq!(code(&wire.ask(&line)), "retry", "there is none yet");
        assert_eq!(code(&wire.ask(LOCK)), "retry", "an order that was not carried out says so");
        assert_eq!(wire.arm("T-5"), baseline("locked"));
        trap.release();
        await_model(&mut wire, "T-6");
        assert_eq!(wire.ask_ok(&line)["durable"], true);
        assert_eq!(restarts(&mut wire), round as u64 + 1);
    }
    daemon.stop();
    assert_eq!(place.reader().counts().unwrap().outcomes, 1);
}

#[test]
fn a_lock_survives_a_guardian_that_panics_after_it_or_over_it() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = daemon(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(LOCK);
    trap.panic_over("guardian", "observe", 1);
    assert!(wire.status()["guardian"].is_null(), "it panicked over this");
    until("a guardian", || wire.status()["guardian"].is_object().then_some(()));
    assert_eq!(wire.arm("T-1"), baseline("locked"));
    wire.ask_ok(RESUME);
    trap.panic_over("guardian", "order", 1);
    assert_eq!(code(&wire.ask(LOCK)), "retry", "it was not taken, and says so");
    await_model(&mut wire, "T-2");
    daemon.stop();
}

/// Says that it is over when it is dropped, also by a test that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Keeps asking for scores on a connection of its own while `work` runs, and says whether a model ever spoke.
fn heard_meanwhile(daemon: &Daemon, work: impl FnOnce()) -> bool {
    let (mut wire, over) = (daemon.connect(), AtomicBool::new(false));
    thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut heard = false;
            while !over.load(Ordering::Acquire) {
                heard |= wire.arm("meanwhile").0 == "ml";
            }
            heard
        });
        let ending = Over(&over);
        work();
        drop(ending);
        asking.join().unwrap()
    })
}

#[test]
fn a_kill_by_signal_while_there_is_no_guardian_never_lets_a_model_speak_again() {
    for round in 0..6 {
        let place = Place::with_model(State::Production);
        let (daemon, trap) = daemon(&place);
        let mut wire = daemon.connect();
        await_model(&mut wire, "T-0");
        trap.hold_journal();
        wire.ask_ok(score("T-1"));
        trap.await_held();
        trap.panic_over("guardian", "outcome", 1);
        assert_eq!(code(&wire.ask(outcome("T-1", 1.0))), "retry");
        daemon.tell(Control::Kill);
        let heard = heard_meanwhile(&daemon, || {
            trap.release();
            until("a guardian that is locked", || {
                (wire.status()["guardian"]["lock"] == "killed: ordered by signal").then_some(())
            });
        });
        assert!(!heard, "round {round}");
        // refused as long as the lock is not on disk
        until("a resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
        assert_eq!(wire.arm("T-2"), baseline("no_model"), "what was killed stays out of service");
        daemon.stop();
    }
}

#[test]
fn a_lock_and_a_rollback_that_are_not_on_disk_yet_survive_a_guardian_that_panics() {
    for (order, reason) in [(LOCK.to_owned(), "locked"), (rollback("ES/1"), "no_model")] {
        let place = Place::with_model(State::Production);
        let (daemon, trap) = daemon(&place);
        let mut wire = daemon.connect();
        assert_eq!(wire.arm("T-1"), ml());
        // the disk fails under the order, again and again
        trap.panic_over("journal", "apply", 20);
        let answer = wire.ask_ok(&order);
        assert_eq!(answer["durable"], false, "in force, and not on disk");
        trap.panic_over("guardian", "observe", 1);
        wire.status();
        let heard = heard_meanwhile(&daemon, || {
            until("a journal that is whole again", || {
                wire.ask(outcome("T-1", 1.0));
                (trap.left() == 0 && wire.status()["journal"]["ok"] == true).then_some(())
            });
            until("a guardian", || wire.status()["guardian"].is_object().then_some(()));
        });
        assert!(!heard, "{order}");
        assert_eq!(wire.arm("T-2"), baseline(reason));
        until("the order on disk", || {
            let silenced = |kind: &EventKind| {
                matches!(kind, EventKind::Locked { .. })
                    || matches!(kind, EventKind::Moved { step, .. } if step.edge().1 == State::RolledBack)
            };
            place.events().iter().any(silenced).then_some(())
        });
        daemon.stop();
        let daemon = Daemon::start(&place);
        assert_eq!(daemon.connect().arm("T-3"), baseline(reason), "after a restart");
        daemon.stop();
    }
}

/// Sends an order, and waits until the guardian is about to handle it: orders are handled in turn.
fn order(trap: &Trap, wire: &mut Wire, line: &str) {
    let before = trap.passed("guardian", "order");
    wire.send(format!("{line}\n"));
    until("an order that has come", || (trap.passed("guardian", "order") > before).then_some(()));
}

#[test]
fn a_rollback_wins_over_a_promotion_that_is_under_way_also_after_a_restart() {
    let place = Place::with_model(State::AbTest);
    let (daemon, trap) = daemon(&place);
    let (mut first, mut second) = (daemon.connect(), daemon.connect());
    trap.hold_journal();
    order(&trap, &mut first, &promote("ES/1"));
    trap.await_held();
    second.send(format!("{}\n", rollback("ES/1")));
    let mut trader = daemon.connect();
    until("the rollback in force", || (trader.arm("T-1") == baseline("no_model")).then_some(()));
    trap.release();
    first.answer();
    assert_eq!(second.answer()["durable"], true);
    assert_eq!(trader.arm("T-2"), baseline("no_model"));
    daemon.stop();
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("T-3"), baseline("no_model"), "after a restart");
    assert_eq!(daemon.connect().status()["guardian"]["versions"][0]["state"], "rolled_back");
    daemon.stop();
}

#[test]
fn a_lock_wins_over_a_resume_that_is_under_way_also_after_a_restart() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = daemon(&place);
    let (mut first, mut second) = (daemon.connect(), daemon.connect());
    first.ask_ok(LOCK);
    trap.hold_journal();
    order(&trap, &mut first, RESUME);
    trap.await_held();
    let mut trader = daemon.connect();
    order(&trap, &mut second, LOCK);
    trap.release();
    assert_eq!(second.answer()["durable"], true);
    first.answer();
    assert_eq!(trader.arm("T-2"), baseline("locked"));
    daemon.stop();
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("T-3"), baseline("locked"), "after a restart");
    daemon.stop();
}

#[test]
fn an_order_that_meets_another_is_sent_again_by_the_command() {
    let place = Place::with_model(State::AbTest);
    let (daemon, trap) = daemon(&place);
    let mut first = daemon.connect();
    first.ask_ok(LOCK);
    trap.hold_journal();
    order(&trap, &mut first, RESUME);
    trap.await_held();
    let socket = place.socket().display().to_string();
    let arguments = ["promote", "ES/1", "--to", "production", "--override", "--reason", "a test", "--socket", &socket];
    let mut command = vigie(&place, &arguments);
    let before = trap.passed("guardian", "order");
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("an order that was sent again", || (trap.passed("guardian", "order") >= before + 3).then_some(()));
    trap.release();
    first.answer();
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "ES/1 is production\n");
    // one that never gets its turn is given up with the daemon's own words
    trap.panic_over("journal", "apply", usize::MAX);
    first.ask(LOCK);
    let refused = vigie(&place, &["resume", "--reason", "a test", "--socket", &socket]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("not on disk yet"), "{said}");
    trap.heal();
    daemon.stop();
}

#[test]
fn a_kill_takes_out_a_version_whose_step_into_service_is_under_way_also_after_a_restart() {
    for (from, to) in [(State::Staging, "ab_test"), (State::Validated, "production")] {
        let place = Place::with_model(from);
        let (daemon, trap) = daemon(&place);
        let (mut first, mut second) = (daemon.connect(), daemon.connect());
        trap.hold_journal();
        order(&trap, &mut first, &promote("ES/1").replace("production", to));
        trap.await_held();
        let mut trader = daemon.connect();
        order(&trap, &mut second, r#"{"type":"kill","reason":"a test"}"#);
        until("the lock", || (trader.arm("T-0") == baseline("locked")).then_some(()));
        trap.release();
        assert_eq!(second.answer()["durable"], true);
        first.answer();
        trader.ask_ok(RESUME);
        let silent = |wire: &mut Wire, id: &str| assert_eq!(wire.arm(id), baseline("no_model"), "from {from} to {to}");
        silent(&mut trader, "T-1");
        daemon.stop();
        let daemon = Daemon::start(&place);
        silent(&mut daemon.connect(), "T-2");
        daemon.stop();
    }
}

#[test]
fn a_journal_that_fails_silences_the_models_and_loses_nothing_acknowledged() {
    let place = Place::with_model(State::Production);
    let trap = Trap::default();
    let config = CONFIG.replace("retry_ms = 10", "retry_ms = 200") + "supervision.max_restarts = 100\n";
    let daemon = Daemon::start_with(&place, Setup { config, trap: trap.clone(), ..Setup::default() });
    let mut wire = daemon.connect();
    let ids: Vec<String> = (0..5).map(|round| format!("T-{round}")).collect();
    for id in &ids {
        await_model(&mut wire, "before");
        // on a slow machine the journal may be whole again before the signal comes: then it fails once more
        until("a baseline while the journal fails", || {
            trap.panic_over("journal", "apply", 1);
            let answer = wire.ask(outcome(id, 1.0));
            assert_eq!(code(&answer), "retry", "{answer}");
            (wire.arm("during") == baseline("journal_unavailable")).then_some(())
        });
        until("an acknowledgement", || (wire.ask(outcome(id, 1.0))["durable"] == true).then_some(()));
        assert_eq!(trap.left(), 0);
    }
    await_model(&mut wire, "after");
    let status = wire.status();
    assert!(status["journal"]["reopened"].as_u64().unwrap() >= 5, "{status}");
    assert_eq!((&status["journal"]["ok"], &status["journal"]["dropped"]), (&true.into(), &0.into()), "{status}");
    let answered = status["scorer"]["answered"].as_u64().unwrap();
    daemon.stop();
    let reader = place.reader();
    for id in &ids {
        assert!(reader.outcome(&TradeId::new(id.as_str()).unwrap()).unwrap().is_some(), "{id}");
    }
    assert_eq!(reader.counts().unwrap().decisions, answered, "every decision is kept, each once");
}

#[test]
fn a_journal_that_failed_heals_by_itself_and_writes_what_it_kept() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = daemon(&place);
    let mut wire = daemon.connect();
    trap.panic_over("journal", "apply", 3);
    assert_eq!(wire.arm("T-1"), ml());
    // nothing more is asked of the daemon; this looks at its file from outside
    until("the decision on disk", || (place.reader().counts().unwrap().decisions == 1).then_some(()));
    assert_eq!(trap.left(), 0);
    daemon.stop();
}

#[test]
fn a_journal_that_stands_still_delays_acknowledgements_and_no_score() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = daemon(&place);
    let (mut trader, mut other) = (daemon.connect(), daemon.connect());
    trap.hold_journal();
    other.send(outcome("T-1", 1.0) + "\n");
    trap.await_held();
    for n in 0..100 {
        assert_eq!(trader.arm(&format!("S-{n}")), ml(), "its decision waits in the queue");
    }
    assert_eq!(place.reader().counts().unwrap().outcomes, 0);
    trap.release();
    assert_eq!(other.answer()["durable"], true);
    daemon.stop();
    assert_eq!(place.reader().counts().unwrap().decisions, 100);
}

#[test]
fn when_the_queue_is_full_answers_are_the_baseline_and_outcomes_are_pushed_back() {
    let place = Place::with_model(State::Production);
    let trap = Trap::default();
    let config = format!("{CONFIG}journal.queue = 16\njournal.batch = 16\n");
    let daemon = Daemon::start_with(&place, Setup { config, trap: trap.clone(), ..Setup::default() });
    let (mut trader, mut other) = (daemon.connect(), daemon.connect());
    // a trade that is known and on disk: its outcome asks the journal for nothing but to be written
    assert_eq!(other.arm("T-1"), ml());
    assert_eq!(other.ask(outcome("T-0", 1.0))["durable"], true);
    trap.hold_journal();
    other.send(outcome("T-1", 1.0) + "\n");
    trap.await_held();
    let arms: Vec<_> = (0..30).map(|n| trader.arm(&format!("S-{n}"))).collect();
    assert!(arms[..16].iter().all(|arm| *arm == ml()), "{arms:?}");
    assert!(arms[16..].iter().all(|arm| *arm == baseline("journal_unavailable")), "{arms:?}");
    // what somebody waits for has places of its own, and is pushed back when these are taken
    // in one piece, so that they are begun together
    trader.send((0..30).map(|n| outcome(&format!("S-{n}"), 1.0) + "\n").collect::<String>());
    let mut third = daemon.connect();
    // by the time these are answered the outcomes were looked at
    (0..200).for_each(|n| assert_eq!(third.arm(&format!("L-{n}")), baseline("journal_unavailable")));
    trap.release();
    assert_eq!(other.answer()["durable"], true);
    let answers: Vec<_> = (0..30).map(|_| trader.answer()).collect();
    let pushed_back = answers.iter().filter(|answer| code(answer) == "retry").count();
    assert!(answers[0]["durable"] == true && pushed_back > 0, "{answers:?}");
    assert_eq!(trader.status()["journal"]["dropped"], 214);
    await_model(&mut trader, "after");
    daemon.stop();
}

#[test]
fn four_failures_within_a_minute_end_the_daemon_locked_until_an_operator_resumes() {
    for (actor, message) in [("scorer", "score"), ("guardian", "outcome"), ("journal", "apply")] {
        let place = Place::with_model(State::Production);
        let (daemon, trap) = impatient_daemon(&place);
        let mut wire = daemon.connect();
        trap.panic_over(actor, message, 4);
        let mut failed = Vec::new();
        until("four failures", || {
            let before = trap.left();
            let answer = wire.ask(if actor == "scorer" { score("T-1") } else { outcome("T-1", 1.0) });
            failed.extend((trap.left() < before).then_some(answer));
            (trap.left() == 0).then_some(())
        });
        // the journal may have failed over an event of its own, and the answer be that of a part that works
        let is_safe = |answer: &serde_json::Value| answer["arm"] == "baseline" || code(answer) == "retry";
        assert!(actor == "journal" || (failed.len() == 4 && failed.iter().all(is_safe)), "{actor}: {failed:?}");
        let Ended::TooManyFailures(reason) = daemon.ended() else { panic!("{actor}: it must give up") };
        assert!(reason.contains(actor) && reason.contains("on purpose"), "{reason}");
        let locked = |kind: &EventKind| matches!(kind, EventKind::Locked { .. });
        assert!(place.events().iter().any(locked), "{actor}");
        assert!(!place.socket().exists(), "{actor}");
        let daemon = Daemon::start(&place);
        let mut wire = daemon.connect();
        assert_eq!(wire.arm("T-2"), baseline("locked"), "{actor}");
        wire.ask_ok(RESUME);
        assert_eq!(wire.arm("T-3"), ml(), "{actor}");
        daemon.stop();
    }
}

#[test]
fn no_model_speaks_while_a_daemon_that_gave_up_drains() {
    let place = Place::with_model(State::Production);
    let (daemon, trap) = impatient_daemon(&place);
    let mut wire = daemon.connect();
    trap.panic_over("guardian", "outcome", 4);
    // signals that are on their way behind the outcome are answered, and none by the model once the daemon has given up
    let (mut round, mut heard) = (0, Vec::new());
    until("four failures", || {
        round += 1;
        let signals = (0..200).map(|n| score(&format!("S-{round}-{n}")) + "\n").collect::<String>();
        wire.send(outcome("T-1", 1.0) + "\n" + &signals);
        heard = (0..=200).map_while(|_| wire.line()).collect();
        (trap.left() == 0).then_some(())
    });
    while let Some(line) = wire.line() {
        heard.push(line);
    }
    assert!(heard.iter().all(|line| !line.contains("\"arm\":\"ml\"")), "{heard:?}");
    assert!(matches!(daemon.ended(), Ended::TooManyFailures(_)));
}

#[test]
fn a_version_promoted_while_the_guardian_fails_is_served_by_the_next_one() {
    let place = Place::with_model(State::Trained);
    let (daemon, trap) = daemon(&place);
    let mut wire = daemon.connect();
    trap.panic_over("guardian", "committed", 1);
    // it is on disk by then, so it holds
    wire.ask(promote("ES/1"));
    await_model(&mut wire, "T-1");
    assert_eq!(wire.ask_ok(score("T-2"))["model"], model().id.to_string());
    daemon.stop();
}
