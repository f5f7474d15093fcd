//! A panic at every place where a part is made, installed, handles a message, goes on in a future or works on a thread: it is
//! counted, what was asked is answered, and the part heals or the daemon ends.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use common::{
    daemon::{Daemon, Setup, Trap},
    market::{Market, config as market_config, trade_a_day},
    place::{CONFIG, Place, model},
    process::Process,
    skip::skipped,
    wait::until,
    wire::{LOCK, RESUME, Wire, baseline, ml, outcome, promote, rollback, score, score_with, skip},
};
use serde_json::{Value, json};
use vigie::{
    actors::{
        daemon::{Control, Ended, Time},
        supervision::Place as At,
    },
    config::Config,
    domain::{
        Event, EventKind, Timestamp,
        event::By,
        lifecycle::{State, Transition},
    },
    journal::Write,
    models::ModelRecord,
    recall::{
        checkpoint,
        fold::Slot,
        learning::{ChildMessage, Product},
    },
};

/// A daemon that is brought to a place.
struct Run {
    place: Place,
    daemon: Daemon,
    trap: Trap,
    wire: Wire,
    count: usize,
}

impl Run {
    /// A trade id that was not used before.
    fn id(&mut self) -> String {
        self.count += 1;
        format!("T-{}", self.count)
    }

    fn until_ml(&mut self) {
        until("the model's word", || {
            let id = self.id();
            (self.wire.arm(&id) == ml()).then_some(())
        });
    }

    fn until_ok(&mut self, line: &str) {
        until(line, || (self.wire.ask(line)["ok"] == true).then_some(()));
    }

    /// What follows on the answer to `copy`.
    fn copied(&mut self) -> Vec<u8> {
        let mut wire = self.daemon.connect();
        wire.ask_ok(r#"{"type":"copy"}"#);
        wire.rest()
    }

    /// A trade that was answered, and is closed.
    fn close(&mut self) -> String {
        let id = self.id();
        self.wire.ask_ok(score(&id));
        self.wire.ask(outcome(&id, 1.0));
        id
    }
}

/// The way to a place.
struct Way {
    state: State,
    /// What is configured.
    more: &'static str,
    /// What panics before, so that the place is come to.
    before: &'static [(&'static str, &'static str)],
    /// Planted before the daemon starts.
    from_the_start: bool,
    market: bool,
    prepare: fn(&Place),
    /// Goes there. Whatever is asked on the way is answered.
    go: fn(&mut Run),
    /// Waits until all is as it should be.
    healed: fn(&mut Run),
}

fn way(go: fn(&mut Run)) -> Way {
    Way {
        state: State::Production,
        more: "",
        before: &[],
        from_the_start: false,
        market: false,
        prepare: |_| (),
        go,
        healed: Run::until_ml,
    }
}

const STATUS: &str = r#"{"type":"status"}"#;
const TRAIN: &str = r#"{"type":"train","symbol":"ES","reason":"a test"}"#;
const ARCHIVE: &str = r#"{"type":"archive","before":"2025-01-01"}"#;
const CHECK: &str = r#"{"type":"schedule_run","job":"data_quality"}"#;
const TRAINING: &str = r#"{"type":"training"}"#;
const DRIFT: &str = r#"{"type":"drift"}"#;
const RELOAD: &str = r#"{"type":"reload"}"#;
const SUBSCRIBE: &str = r#"{"type":"subscribe","from":0}"#;
const PING: &str = r#"{"type":"ping"}"#;

fn status(run: &mut Run) {
    run.wire.ask_ok(STATUS);
}

fn guardian_there(run: &mut Run) {
    until("a guardian", || run.wire.status()["guardian"].is_object().then_some(()));
    let id = run.id();
    run.wire.ask_ok(score(&id));
}

/// A journal with a checkpoint of a model that speaks.
fn with_checkpoint(place: &Place) {
    place.register("ES/1", model().to_bytes().unwrap(), State::Production);
    let config = Config::parse("test", CONFIG).unwrap();
    let folded = checkpoint::state(&place.reader(), &config).unwrap();
    let mut store = place.open();
    for batch in checkpoint::writes(&folded, &config, Slot::A).unwrap() {
        store.apply(&batch).unwrap();
    }
    store.close().unwrap();
}

/// The checkpoint that it was begun from was compared with the log, in spite of all.
fn compared(run: &mut Run) {
    until("a comparison", || (run.wire.job("checkpoint_check")["last"]["found"] == "it is the same").then_some(()));
    run.until_ml();
}

/// Locked by a signal, and resumed: what was killed stays out.
fn killed(run: &mut Run) {
    until("the lock on disk", || {
        run.place.events().iter().any(|kind| matches!(kind, EventKind::Locked { .. })).then_some(())
    });
    run.until_ok(RESUME);
    until("no model", || {
        let id = run.id();
        (run.wire.arm(&id) == baseline("no_model")).then_some(())
    });
}

fn resumed(run: &mut Run) {
    until("the lock on disk", || {
        run.place.events().iter().any(|kind| matches!(kind, EventKind::Locked { .. })).then_some(())
    });
    run.until_ok(RESUME);
    run.until_ml();
}

fn trained(run: &mut Run) {
    until("the end of the training", || run.wire.ask(TRAINING)["training"]["running"].is_null().then_some(()));
    run.until_ok(TRAIN);
    run.until_ml();
}

/// A version that scores NaN.
fn nan(place: &Place) {
    let mut record = model().clone();
    let ModelRecord::Logistic(logistic) = &mut record.model else { panic!("{:?}", record.model) };
    logistic.weights.iter_mut().for_each(|weight| *weight = f64::MAX);
    place.register("ES/1", record.to_bytes().unwrap(), State::Production);
}

/// A version that passed its gates by itself.
fn validated(place: &Place) {
    place.register("ES/1", model().to_bytes().unwrap(), State::Trained);
    let (version, by) = ("ES/1".parse().unwrap(), By::Daemon("trainer".into()));
    let (step, reason, evidence) = (Transition::Validate, "a test".to_owned(), Default::default());
    let kind = EventKind::Moved { version, step, reason, by, overridden: false, evidence };
    let mut store = place.open();
    store.apply(&[Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind })]).unwrap();
    store.close().unwrap();
}

fn staged(run: &mut Run) {
    until("staging", || {
        let models = run.wire.ask(r#"{"type":"models"}"#);
        (models["models"][0]["state"] == "staging").then_some(())
    });
}

/// A day on the market.
fn day(run: &mut Run) {
    run.count += 1;
    trade_a_day(&mut run.wire, Market::Indifferent, run.count);
}

fn settled(run: &mut Run) {
    until("a router at rest", || (run.wire.status()["trials"].is_object()).then_some(()));
    day(run);
    run.wire.ask_ok(r#"{"type":"experiment","version":"ES/1"}"#);
}

/// How to get to a place. A place without a way does not compile.
fn way_to(at: At) -> Way {
    let by_doubt: &[_] = &[("journal", "note"), ("journal", "open")];
    match at {
        At::ScorerMake | At::ScorerFold | At::ScorerInstall => {
            Way { before: &[("scorer", "score")], ..way_to(At::ScorerScore) }
        }
        At::ScorerScore | At::GatewayScore => way(|run| {
            let id = run.id();
            let answer = run.wire.ask_ok(score(&id));
            assert!(answer["arm"] == "ml" || answer["reason"] == "internal_error", "{answer}");
        }),
        At::ScorerObserve
        | At::GuardianObserve
        | At::RouterObserve
        | At::TrainerObserve
        | At::JournalRead
        | At::GatewayRead => way(status),
        At::GuardianMake | At::GuardianLoad | At::GuardianInstall => {
            Way { before: &[("guardian", "observe")], ..way(status) }
        }
        At::RouterMake | At::RouterFold | At::RouterInstall => {
            Way { before: &[("ab_router", "observe")], ..way(status) }
        }
        At::TrainerMake | At::TrainerInstall => Way { before: &[("trainer", "observe")], ..way(status) },
        At::GuardianOutcome
        | At::GuardianSettle
        | At::JournalApply
        | At::JournalCommit
        | At::JournalNote
        | At::JournalTurn => Way {
            healed: |run| {
                let id = run.close();
                run.until_ok(&outcome(&id, 1.0));
                run.until_ml();
            },
            ..way(|run| drop(run.close()))
        },
        At::JournalOpen => Way { before: &[("journal", "apply")], ..way_to(At::JournalApply) },
        At::GuardianRecall => way(|run| {
            let id = run.id();
            run.wire.ask(outcome(&id, 1.0));
        }),
        At::GuardianPastClosed => way(|run| {
            let id = run.id();
            run.wire.ask_ok(score(&id));
            let mut line: Value = serde_json::from_str(&score(&id)).unwrap();
            line["type"] = json!("import");
            line["outcome_metrics"] =
                serde_json::from_str::<Value>(&outcome(&id, 1.0)).unwrap()["outcome_metrics"].take();
            run.wire.ask_ok(line.to_string());
        }),
        At::GuardianSkip => way(|run| {
            let id = run.id();
            run.wire.ask(skip(&id));
        }),
        At::GuardianContest => way(|run| {
            let id = run.close();
            let more = outcome(&id, 1.0).replace("\"pnl\":1.0", "\"pnl\":1.0,\"slippage_ticks\":1.0");
            run.wire.ask(more);
        }),
        At::GuardianContradiction => Way {
            healed: guardian_there,
            ..way(|run| {
                let id = run.close();
                let fault = outcome(&id, 5.0).replace("\"pnl\":5.0", "\"pnl\":5.0,\"slippage_ticks\":\"none\"");
                assert_ne!(run.wire.ask(fault)["ok"], true);
            })
        },
        At::GuardianUnread => way(|run| {
            let id = run.id();
            assert_ne!(run.wire.ask(outcome(&id, 1.0).replace("1.0", "\"much\""))["ok"], true);
        }),
        At::GuardianOrder => Way {
            healed: |run| {
                run.until_ok(LOCK);
                resumed(run)
            },
            ..way(|run| drop(run.wire.ask(LOCK)))
        },
        At::GuardianKillFile | At::GuardianOrderRead => Way {
            healed: resumed,
            ..way(|run| {
                run.until_ok(LOCK);
                run.wire.ask(RESUME);
            })
        },
        At::GuardianSave => Way { before: by_doubt, healed: resumed, ..way(|run| drop(run.wire.ask(LOCK))) },
        At::GuardianInDoubt => Way {
            go: |run| {
                let id = run.id();
                run.wire.ask_ok(score(&id));
                // its record is on disk when this is answered
                run.wire.ask_ok(STATUS);
                run.trap.panic_over("journal", "note", 1);
                run.trap.panic_over("journal", "open", 1);
                run.wire.ask(outcome(&id, 1.0));
            },
            ..way_to(At::GuardianOutcome)
        },
        At::GuardianAdvance | At::RouterAsk | At::RouterAnswered => {
            Way { state: State::Trained, from_the_start: true, prepare: validated, healed: staged, ..way(status) }
        }
        At::GuardianCommitted => Way { state: State::AbTest, ..way(|run| drop(run.wire.ask(promote("ES/1")))) },
        At::GuardianRegister => Way {
            healed: trained,
            ..way(|run| {
                let answer = run.wire.ask(r#"{"type":"validate","version":"ES/1","reason":"a test"}"#);
                assert!(answer["ok"] == true || answer["error"]["code"] == "busy", "{answer}");
            })
        },
        At::GuardianFinding => way(|run| {
            let id = run.id();
            run.wire.ask_ok(score(&id));
            run.wire.ask_ok(score_with(&id, "15:00:00", "15:01:00"));
        }),
        At::GuardianForget => Way {
            prepare: nan,
            healed: |run| {
                until("the lock on disk", || {
                    run.place.events().iter().any(|kind| matches!(kind, EventKind::Locked { .. })).then_some(())
                });
                assert_eq!(run.wire.arm("later"), baseline("locked"));
                run.until_ok(RESUME);
            },
            ..way(|run| {
                let id = run.id();
                run.wire.ask_ok(score(&id));
            })
        },
        At::GuardianVerify | At::GuardianVerifyRead => Way { more: "lifecycle.verify_s = 1\n", ..way(status) },
        At::GuardianLockEnd => way(status),
        At::GuardianLock | At::DaemonLock => Way {
            healed: killed,
            ..way(|run| {
                run.daemon.tell(Control::Kill);
                until("silence", || {
                    let id = run.id();
                    (run.wire.arm(&id).0 == "baseline").then_some(())
                });
            })
        },
        At::RouterLook | At::DaemonRounds => way(|run| drop(run.close())),
        At::RouterCriteria | At::RouterCriteriaWork | At::RouterMade => {
            Way { state: State::AbTest, market: true, healed: settled, ..way(day) }
        }
        At::RouterAssess => way(|run| drop(run.wire.ask(r#"{"type":"experiment"}"#))),
        At::TrainerAsk | At::TrainerThread | At::TrainerEnd => {
            Way { healed: trained, ..way(|run| drop(run.wire.ask(TRAIN))) }
        }
        At::MonitorMake | At::MonitorFold => Way { before: &[("monitor", "tick")], ..way_to(At::MonitorTick) },
        At::MonitorTold => Way {
            healed: |run| {
                run.until_ok(DRIFT);
                run.until_ml()
            },
            ..way(|run| drop(run.wire.ask(DRIFT)))
        },
        At::MonitorTick => Way {
            healed: |run| {
                run.until_ok(DRIFT);
                run.until_ml()
            },
            ..way(status)
        },
        At::KeeperLook => way(status),
        At::KeeperFold => Way { prepare: with_checkpoint, from_the_start: true, healed: compared, ..way(status) },
        At::Archiving => Way {
            healed: |run| {
                run.until_ok(ARCHIVE);
                until("an archiving that ends well", || {
                    run.wire.status()["archiving"]["done"].is_string().then_some(())
                });
            },
            ..way(|run| drop(run.wire.ask(ARCHIVE)))
        },
        At::GatewayAnswer => way(|run| drop(run.wire.ask(PING))),
        At::GatewayRecord => Way {
            healed: |run| {
                let id = run.close();
                run.until_ok(&outcome(&id, 1.0))
            },
            ..way(|run| drop(run.close()))
        },
        At::GatewayAlerts => Way {
            healed: |run| run.until_ok(r#"{"type":"alerts"}"#),
            ..way(|run| drop(run.wire.ask(r#"{"type":"alerts"}"#)))
        },
        At::GatewayCopy => Way {
            healed: |run| {
                let bytes = run.copied();
                assert!(bytes.last_chunk::<9>().is_some_and(|end| end[0] == 3), "it is whole");
                run.until_ml()
            },
            ..way(|run| drop(run.copied()))
        },
        At::SubscriberTell | At::SubscriberPage => Way {
            healed: |run| {
                let mut wire = run.daemon.connect();
                wire.ask_ok(SUBSCRIBE);
                assert_eq!(wire.answer()["event"], "trained");
            },
            ..way(|run| {
                let mut wire = run.daemon.connect();
                let answer = wire.ask(SUBSCRIBE);
                if answer["ok"] == true {
                    // either an event, or that the telling failed
                    wire.answer();
                }
            })
        },
        At::DaemonReload | At::DaemonReloadRead => Way {
            healed: |run| {
                run.until_ok(RELOAD);
                run.until_ml()
            },
            ..way(|run| drop(run.wire.ask(RELOAD)))
        },
        At::ServingJob => way(status),
        At::ApartJob => Way {
            healed: |run| {
                run.until_ok(CHECK);
                until("a check that ends well", || {
                    let status = run.wire.status();
                    let jobs = status["jobs"].as_array().unwrap().iter();
                    let checked = jobs.filter(|job| job["name"] == "data_quality" && job["running"] == false);
                    checked.filter(|job| job["last"] != job["last_failure"]).map(drop).next()
                });
            },
            ..way(|run| drop(run.wire.ask(CHECK)))
        },
        At::DiskJob => Way {
            healed: |run| {
                let path = run.place.state().join("kill");
                fs::write(&path, "").unwrap();
                until("the kill", || {
                    let id = run.id();
                    (run.wire.arm(&id).0 == "baseline").then_some(())
                });
                fs::remove_file(&path).unwrap();
            },
            ..way(status)
        },
        At::WatchdogBeat => way(status),
        At::Connection => way(|run| drop(Wire::ask_once(run.daemon.socket(), PING))),
        At::DaemonServe => Way { from_the_start: true, ..way(|_| ()) },
    }
}

/// A program that says that a version passed, in the place of the child.
fn child(place: &Place) -> std::path::PathBuf {
    let report = serde_json::from_value(model().validation.clone().unwrap()).unwrap();
    let product = Product { version: "ES/1".parse().unwrap(), record: None, trial: None, report };
    let line = serde_json::to_string(&ChildMessage::Product(Box::new(product))).unwrap();
    let said = place.file("said.json", &line);
    let script = format!(
        "#!/bin/sh\nread -r asked\ncase \"$asked\" in *alidate*) cat {0}; echo;; *) echo '{{\"refused\":{{\"code\":\"none\",\"message\":\"none\"}}}}';; esac\n",
        said.display()
    );
    let path = place.file("child.sh", &script);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Plants a panic at a place, or in the future that its handler returned, and goes there.
fn plant(at: At, name: &'static str) {
    let Way { state, more, before, from_the_start, market, prepare, go, healed } = way_to(at);
    let place = Place::new();
    prepare(&place);
    if !place.journal().exists() {
        place.register("ES/1", model().to_bytes().unwrap(), state);
    }
    let base = if market { market_config("") } else { CONFIG.to_owned() };
    let file = place.file("config.toml", &format!("supervision.max_restarts = 100\n{more}{base}"));
    let time = if market { Time::Event } else { Time::Wall };
    let trap = Trap::default();
    let plant = |trap: &Trap| {
        before.iter().for_each(|(actor, name)| trap.panic_over(actor, name, 1));
        trap.panic_over(at.actor(), name, 1);
    };
    if from_the_start {
        plant(&trap);
    }
    let program = child(&place);
    let watchdog = at == At::WatchdogBeat;
    let setup = Setup { config_path: Some(file), trap: trap.clone(), time, program, watchdog, ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    if at == At::DaemonServe {
        // nobody can connect any more
        let Ended::TooManyFailures(reason) = daemon.ended() else { panic!("it must end") };
        assert!(reason.contains("nobody can connect") && reason.contains("on purpose"), "{reason}");
        assert!(place.events().iter().any(|kind| matches!(kind, EventKind::Locked { .. })));
        return;
    }
    let wire = daemon.connect();
    let mut run = Run { place, daemon, trap, wire, count: 0 };
    if state == State::Production && !from_the_start && at != At::GuardianForget {
        run.until_ml();
    }
    if !from_the_start {
        plant(&run.trap);
    }
    until("the panic", || {
        if run.trap.left() > 0 {
            go(&mut run);
        }
        (run.trap.left() == 0).then_some(())
    });
    until("that it is counted", || (run.wire.status()["restarts"].as_u64() >= Some(1)).then_some(()));
    healed(&mut run);
    let Run { place, daemon, .. } = run;
    daemon.stop();
    let counted = place.events().into_iter().any(|kind| match kind {
        EventKind::Restarted { actor, panic } => *actor == *at.actor() && panic.ends_with(&format!("over {name}")),
        _ => false,
    });
    assert!(counted, "it is not told of");
}

#[test]
fn a_reload_and_a_resume_that_wait_for_a_disk_keep_no_score_waiting() {
    let place = Place::with_model(State::Production);
    let (trap, file) = (Trap::default(), place.file("config.toml", CONFIG));
    let setup = Setup { config_path: Some(file), trap: trap.clone(), ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    let (mut operator, mut trader) = (daemon.connect(), daemon.connect());
    for (at, line) in [(At::DaemonReloadRead, RELOAD), (At::GuardianKillFile, RESUME)] {
        if line == RESUME {
            operator.ask_ok(LOCK);
        }
        trap.hold_at(at.actor(), at.name());
        operator.send(format!("{line}\n"));
        trap.await_held();
        for n in 0..50 {
            trader.ask_ok(score(&format!("{line:.12}-{n}").replace(['{', '"', ':'], "")));
        }
        trap.release();
        assert_eq!(operator.answer()["ok"], true, "{line}");
    }
    daemon.stop();
}

#[test]
fn the_thread_that_serves_touches_no_file_whatever_is_asked() {
    let place = Place::with_model(State::Production);
    place.file("config.toml", &format!("{CONFIG}access.trader_groups = [\"12345\"]\n"));
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-0"), ml());
    let (id, traced) = (daemon.id().to_string(), place.folder().join("traced"));
    // the process without its threads is the thread that serves
    let calls = "trace=file,pread64,pwrite64,fsync,fdatasync,flock,getdents64,connect,ftruncate,epoll_wait,epoll_pwait";
    let strace =
        Command::new("strace").args(["-q", "-p", &id, "-e", calls, "-o"]).arg(&traced).stderr(Stdio::null()).spawn();
    let Ok(mut strace) = strace else { return skipped("there is no strace") };
    let is_traced = || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        !status.lines().any(|line| line.split_whitespace().eq(["TracerPid:", "0"]))
    };
    if until("a tracer", || is_traced().then_some(true).or(strace.try_wait().unwrap().map(|_| false))) {
        let past = score("I-1").replace("\"score\"", "\"import\"");
        let told: Value = serde_json::from_str(&outcome("T-1", 1.0)).unwrap();
        let mut past: Value = serde_json::from_str(&past).unwrap();
        past["outcome_metrics"] = told["outcome_metrics"].clone();
        let backup =
            r#"{"type":"backed_up","at":"2025-09-01T16:00:00Z","last_seq":1,"created_at":"2025-09-01T16:00:00Z"}"#;
        let mut asked = vec![score("T-1"), outcome("T-1", 1.0), outcome("T-2", 1.0), skip("T-3"), past.to_string()];
        asked.extend([PING, STATUS, TRAINING, DRIFT, RELOAD, LOCK, RESUME, TRAIN, backup].map(str::to_owned));
        asked.extend(["models", "alerts", "experiment"].map(|what| format!("{{\"type\":\"{what}\"}}")));
        asked.extend([rollback("ES/1"), promote("ES/1"), outcome("T-4", 1.0).replace("1.0", "\"much\"")]);
        for line in &asked {
            wire.ask(line);
        }
        daemon.connect().ask_ok(SUBSCRIBE);
        daemon.signal("HUP");
        until("a second reload", || {
            let reloads = place.events().into_iter().filter(|kind| matches!(kind, EventKind::Reloaded { .. })).count();
            (reloads == 2).then_some(())
        });
        wire.ask_ok(STATUS);
    } else {
        skipped("strace may not look at another process here");
    }
    Command::new("kill").args(["-INT", &strace.id().to_string()]).status().unwrap();
    strace.wait().unwrap();
    let text = fs::read_to_string(&traced).unwrap_or_default();
    daemon.stop();
    let (waits, others): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("epoll_"));
    let touched: Vec<&str> = others.into_iter().filter(|line| !line.starts_with(['-', '+'])).collect();
    assert!(touched.is_empty(), "{touched:#?}");
    assert!(text.is_empty() || waits.len() > 10, "it was traced: {text}");
}

#[test]
fn a_version_that_is_made_while_the_guardian_is_made_is_registered_by_the_next() {
    let place = Place::with_model(State::Production);
    let (trap, program) = (Trap::default(), child(&place));
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), program, ..Setup::default() });
    let mut wire = daemon.connect();
    trap.hold_at("guardian", "load");
    trap.panic_over("guardian", "observe", 1);
    wire.status();
    trap.await_held();
    wire.ask_ok(r#"{"type":"validate","version":"ES/1","reason":"a test"}"#);
    // it is told at once, and again after a pause that grows
    until("the end of the work", || (trap.passed("trainer", "end") == 1).then_some(()));
    for n in 0..20 {
        assert!(wire.ask(TRAINING)["training"]["running"].is_object(), "{n}: it waits for a guardian");
    }
    trap.release();
    let last = until("the end of the training", || {
        let mut training = wire.ask(TRAINING)["training"].take();
        training["running"].is_null().then(|| training["last"].take())
    });
    assert_eq!((&last["registered"], &last["refused"]), (&json!(true), &Value::Null), "{last}");
    daemon.stop();
}

#[test]
fn a_panic_at_any_place_is_counted_and_answered_and_the_part_heals_or_the_daemon_ends() {
    let places = At::all().flat_map(|at| [Some((at, at.name())), at.future().map(|future| (at, future))]);
    let places: Mutex<Vec<(At, &'static str)>> = Mutex::new(places.flatten().collect());
    let failed = Mutex::new(Vec::new());
    model();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = places.lock().unwrap().pop();
                    let Some((at, name)) = next else { break };
                    if catch_unwind(AssertUnwindSafe(|| plant(at, name))).is_err() {
                        failed.lock().unwrap().push((at, name));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{failed:?}");
}
