//! Training beside a running daemon: what it makes, and that no failure of it touches what is served.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use common::{
    daemon::{Daemon, Setup},
    place::{BY_HAND, CONFIG, Place, examples},
    process::{Process, succeed, vigie},
    wait::until,
    wire::{Wire, promote, score_with},
};
use serde_json::{Value, json};
use vigie::{
    config::Config,
    domain::{Arm, Decision, EventKind, Money, Reason, SignalLine, Symbol, Timestamp, VersionId, lifecycle::State},
    journal::{OutcomeRecord, SignalRecord, Source, Write},
    models::targets::Target,
    recall::{
        history,
        learning::{Job, work},
        scored::Signals,
        versions::{record, roster},
        watched,
    },
    validation::training::Order,
};

/// A folder with the journal of the example trades, changed line by line.
fn with_trades(change: impl Fn(usize, String) -> String) -> Place {
    let place = Place::new();
    let lines: Vec<String> = examples().into_iter().enumerate().map(|(n, line)| change(n, line)).collect();
    place.file("trades.jsonl", &lines.join("\n"));
    succeed(&place, &["import", "--state", "state", "trades.jsonl"]);
    place
}

/// A program that does what `script` says in the place of the child.
fn program(place: &Place, script: &str) -> PathBuf {
    let path = place.file("child.sh", &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn ask(wire: &mut Wire) -> Value {
    wire.ask(r#"{"type":"train","symbol":"ES","keep":true,"reason":"a test"}"#)
}

/// What the training came to.
fn ended(wire: &mut Wire) -> Value {
    let begun = ask(wire);
    assert_eq!(begun["ok"], true, "{begun}");
    until("the end of the training", || {
        let training = wire.ask(r#"{"type":"training"}"#)["training"].take();
        training["running"].is_null().then(|| training["last"].clone())
    })
}

/// Trains with `program` as the child under `config`, and checks that nothing came of it but the refusal.
fn refused(place: &Place, program: Option<PathBuf>, config: &str) -> Value {
    let before = place.reader().counts().unwrap();
    let mut setup = Setup { config: format!("{CONFIG}{config}"), ..Setup::default() };
    setup.program = program.unwrap_or(setup.program);
    let daemon = Daemon::start_with(place, setup);
    let mut wire = daemon.connect();
    let last = ended(&mut wire);
    assert_eq!((&last["version"], &last["registered"]), (&Value::Null, &json!(false)), "{last}");
    let signal = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json")).unwrap();
    let mut signal: Value = serde_json::from_str(&signal).unwrap();
    signal["type"] = "score".into();
    assert_eq!(wire.ask(signal.to_string())["ok"], true, "serving is unaffected");
    let models = wire.ask(r#"{"type":"models"}"#);
    assert_eq!(models["models"].as_array().unwrap().len() as u64, before.versions, "{models}");
    assert_eq!(wire.status()["restarts"], 0);
    daemon.stop();
    assert_eq!(place.reader().counts().unwrap().versions, before.versions);
    assert_eq!(place.alerts("training_refused").len(), 1);
    last["refused"].clone()
}

#[test]
fn a_version_is_trained_beside_the_daemon_and_its_life_begins() {
    let place = with_trades(|_, line| line);
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}"));
    let daemon = Process::start(&place, &[]);
    let trained = vigie(&place, &["train", "--state", "state", "--config", "config.toml", "--keep", "--json"]).output();
    let trained: Value = serde_json::from_slice(&trained.unwrap().stdout).unwrap();
    assert_eq!((&trained["version"], &trained["registered"]), (&json!("ES/1"), &json!(true)), "{trained}");
    let mut wire = daemon.connect();
    // the guardian knows it at once, and the gates stand
    let refused = wire.ask(r#"{"type":"promote","version":"ES/1","to":"production","reason":"x"}"#);
    assert!(refused["error"]["message"].as_str().unwrap().contains("--override"), "{refused}");
    let dry = vigie(&place, &["train", "--state", "state", "--dry-run", "--json"]).output().unwrap();
    let dry: Value = serde_json::from_slice(&dry.stdout).unwrap();
    assert_eq!((&dry["version"], &dry["registered"]), (&json!("ES/2"), &json!(false)));
    let again = vigie(&place, &["validate", "ES/1", "--state", "state", "--json"]).output().unwrap();
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["metrics"]["test_auc"], trained["metrics"]["test_auc"], "it is the same model on the same trades");
    daemon.stop();
    let tried: Vec<_> = place.events().into_iter().filter(|kind| matches!(kind, EventKind::Tried(_))).collect();
    assert_eq!((tried.len(), place.reader().counts().unwrap().versions), (2, 1), "a dry run is in the ledger");
    let stands = roster(&place.reader()).unwrap().standing(&"ES/1".parse().unwrap()).unwrap();
    assert!([State::Validated, State::Rejected].contains(&stands.state), "the verdict moved it: {stands:?}");
    let stored = record(&place.reader(), &"ES/1".parse().unwrap()).unwrap();
    assert!(stored.validation.is_some() && stored.reference.score.is_some() && stored.reference.inputs.len() > 8);
    assert_eq!(stored.importance.len(), stored.design.width());
}

#[test]
fn the_same_journal_time_and_seed_give_the_same_record_to_the_byte() {
    let place = with_trades(|_, line| line);
    let config = Config::parse("test", CONFIG).unwrap();
    let order = Order { symbol: Symbol::new("ES").unwrap(), model: None, target: None, days: Some(200) };
    let job = Job::Train { order, dry_run: false, keep: false };
    let run = || work(&job, &place.reader(), &config, Timestamp::UNIX_EPOCH, &mut |_, _| ()).unwrap();
    assert_eq!(run().record.unwrap(), run().record.unwrap());
}

/// A journal of the example trades as they would stand there if each had been answered with a size, and traded at it.
fn at_sizes(sizes: &[f64]) -> Place {
    let place = Place::new();
    let mut writes = Vec::new();
    for (n, line) in examples().into_iter().enumerate() {
        let SignalLine { signal, outcome, .. } = SignalLine::parse(line.as_bytes()).unwrap();
        let (trade_id, size, received_at) = (signal.trade_id, sizes[n % sizes.len()], signal.at);
        let decision = Decision {
            arm: Arm::Ml,
            size,
            ..Decision::baseline(trade_id.clone(), signal.confidence, Some("ES/9".parse().unwrap()), Reason::Production)
        };
        // of some the answer did not reach the disk, and the trader says what it was
        let (decision, echo) = if n % 7 == 0 { (None, Some(decision)) } else { (Some(decision), None) };
        let (source, opinions, line) = (Source::Live, Vec::new(), line.into_bytes());
        writes.push(Write::Signal(SignalRecord {
            trade_id: trade_id.clone(),
            received_at,
            source,
            decision,
            opinions,
            latency_us: None,
            line,
        }));
        let mut outcome = outcome.unwrap();
        outcome.pnl = outcome.pnl.map(|pnl| Money::new(pnl.get() * size).unwrap());
        writes.push(Write::Outcome(Box::new(OutcomeRecord { trade_id, received_at, source, echo, outcome })));
    }
    let mut store = place.open();
    store.apply(&writes).unwrap();
    store.close().unwrap();
    place
}

#[test]
fn a_model_learns_and_is_judged_at_the_strategys_own_size_whatever_size_was_traded() {
    let config = Config::parse("test", CONFIG).unwrap();
    let targets = [None, Some(Target::Pnl)];
    let learnt = |place: &Place| {
        let of = |target| {
            let order = Order { symbol: Symbol::new("ES").unwrap(), model: None, target, days: None };
            let job = Job::Train { order, dry_run: false, keep: true };
            work(&job, &place.reader(), &config, Timestamp::UNIX_EPOCH, &mut |_, _| ()).unwrap().record.unwrap()
        };
        targets.map(of)
    };
    let (plain, sized) = (at_sizes(&[1.0]), at_sizes(&[0.25, 2.0, 0.5]));
    // powers of two, so that nothing is rounded
    assert!(learnt(&plain) == learnt(&sized));
    let pnl = |place: &Place| -> Vec<Option<f64>> {
        let reader = place.reader();
        Signals::read(&reader, &config).unwrap().each().map(|scored| scored.unwrap().pnl).collect()
    };
    assert_eq!(pnl(&plain), pnl(&sized), "what the monitor judges by");
    let imported = with_trades(|_, line| line);
    assert_eq!(pnl(&imported), pnl(&plain), "a file tells what the strategy alone made");
    assert!(pnl(&at_sizes(&[0.0])).iter().all(Option::is_none), "of size 0 nothing is known");
    assert!(history::read(&at_sizes(&[0.0]).reader()).unwrap().outcomes.values().all(|outcome| outcome.pnl.is_none()));
}

#[test]
fn one_training_at_a_time_that_loops_is_ended_at_its_deadline() {
    let place = with_trades(|_, line| line);
    let program = program(&place, "while :; do :; done");
    let config = format!("{CONFIG}trainer.wall_s = 1\n");
    let daemon = Daemon::start_with(&place, Setup { config, program, ..Setup::default() });
    let (mut wire, mut other) = (daemon.connect(), daemon.connect());
    assert_eq!(ask(&mut wire)["training"], 1);
    assert_eq!(ask(&mut other)["error"]["code"], "busy");
    assert_eq!(other.status()["training"]["reason"], "a test");
    let last = until("its end", || {
        let training = wire.ask(r#"{"type":"training"}"#)["training"].take();
        training["running"].is_null().then(|| training["last"].clone())
    });
    assert_eq!(last["refused"]["code"], "deadline", "{last}");
    assert_eq!(ask(&mut wire)["training"], 2, "there is room again");
    daemon.stop();
}

#[test]
fn a_child_that_runs_out_of_memory_crashes_or_talks_nonsense_is_a_refusal() {
    let place = with_trades(|_, line| line);
    let memory = refused(&place, None, "trainer.memory_mib = 24\n");
    assert_eq!(memory["code"], "crashed", "{memory}");
    assert!(memory["message"].as_str().unwrap().contains("trainer.memory_mib"), "{memory}");
    for (script, code) in [
        ("exit 3", "crashed"),
        ("kill -SEGV $$", "crashed"),
        ("echo nonsense", "garbage"),
        (r#"echo '{"product":{"version":"ES/9"}}'"#, "garbage"),
        ("head -c 300000 /dev/zero | tr '\\0' 'x'; echo", "garbage"),
    ] {
        let place = with_trades(|_, line| line);
        let program = program(&place, script);
        assert_eq!(refused(&place, Some(program), "")["code"], code, "{script}");
    }
}

#[test]
fn a_training_ends_with_its_daemon() {
    let place = with_trades(|_, line| line);
    let file = place.folder().join("child.pid");
    let program = program(&place, &format!("echo $$ > {0}.new; mv {0}.new {0}; while :; do :; done", file.display()));
    let daemon = Daemon::start_with(&place, Setup { program, ..Setup::default() });
    assert_eq!(ask(&mut daemon.connect())["training"], 1);
    let pid = until("the child", || fs::read_to_string(&file).ok());
    // a process that has ended and was not waited for yet has no command line any more
    let command = || fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
    assert!(!command().is_empty());
    daemon.stop();
    until("the end of the child", || command().is_empty().then_some(()));
}

/// A product that is whole and sound, of another version than it says.
#[test]
fn a_product_that_is_not_what_was_asked_for_is_never_registered() {
    let place = with_trades(|_, line| line);
    let config = Config::parse("test", CONFIG).unwrap();
    let order = Order { symbol: Symbol::new("ES").unwrap(), model: None, target: None, days: None };
    let job = Job::Train { order, dry_run: false, keep: true };
    let product = work(&job, &place.reader(), &config, Timestamp::UNIX_EPOCH, &mut |_, _| ()).unwrap();
    let sound = serde_json::to_value(&product).unwrap();
    assert_eq!(sound["report"]["verdict"], "deployable");
    type Change = fn(&mut Value);
    let changes: [Change; 4] = [
        |product| product["version"] = "ES/7".into(),
        |product| product["version"] = "NQ/1".into(),
        |product| product["report"]["verdict"] = "not_deployable".into(),
        |product| product["record"] = product["record"].as_str().unwrap().replacen("0.", "1.", 1).into(),
    ];
    for change in changes {
        let place = with_trades(|_, line| line);
        let mut changed = sound.clone();
        change(&mut changed);
        place.file("product.json", &json!({ "product": changed }).to_string());
        let path = place.folder().join("product.json");
        let program = program(&place, &format!("cat {}; echo", path.display()));
        assert_eq!(refused(&place, Some(program), "")["code"], "garbage");
    }
}

#[test]
fn bad_data_is_a_typed_refusal_that_says_what_is_missing() {
    let set_pnl = |line: &str, pnl: Value| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line["outcome_metrics"]["pnl"] = pnl;
        line.to_string()
    };
    let winners = with_trades(|_, line| set_pnl(&line, json!(100.0)));
    let single = refused(&winners, None, "");
    assert_eq!(single["code"], "single_class", "{single}");
    let constant = refused(&with_trades(|_, line| set_pnl(&line, json!(100.0))), None, "training.target = \"pnl\"\n");
    assert_eq!(constant["code"], "constant", "{constant}");
    let withheld = refused(&with_trades(|_, line| set_pnl(&line, Value::Null)), None, "");
    assert_eq!(withheld["code"], "unlabelled", "{withheld}");
    assert!(withheld["message"].as_str().unwrap().contains("1100 of 1100 closed trades"), "{withheld}");
    let open = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("outcome_metrics");
        line.to_string()
    };
    let empty = refused(&with_trades(|_, line| open(&line)), None, "");
    assert_eq!(empty["code"], "too_few_trades", "{empty}");
    assert!(empty["message"].as_str().unwrap().contains("0 closed trades"), "{empty}");
    let few = refused(&with_trades(|n, line| if n < 700 { open(&line) } else { line }), None, "");
    assert!(few["message"].as_str().unwrap().contains("400 closed trades") && few["code"] == "too_few_trades", "{few}");
    let level = refused(&with_trades(|_, line| line), None, "training.model = \"boosting\"\n");
    assert_eq!(level["code"], "level", "{level}");
    assert!(level["message"].as_str().unwrap().contains("901 more"), "{level}");
}

#[test]
fn a_level_that_the_configuration_opens_is_trained_and_has_a_simpler_model_to_beat() {
    let place = with_trades(|_, line| line);
    let config =
        "training.model = \"random_forest\"\ntraining.allow_levels = [\"random_forest\"]\ntraining.leaves = [40, 80]\n";
    let daemon = Daemon::start_with(&place, Setup { config: format!("{CONFIG}{config}"), ..Setup::default() });
    let last = ended(&mut daemon.connect());
    assert_eq!((&last["version"], &last["registered"]), (&json!("ES/1"), &json!(true)), "{last}");
    let parts = last["report"]["checks"].to_string();
    assert!(parts.contains("level_below"), "it has a simpler model to beat: {parts}");
    daemon.stop();
}

/// What it is held against in service, and what its report and the list of versions say of its validation, is one function of the
/// same trades, whatever it is asked.
#[test]
fn what_a_version_is_held_against_in_service_is_what_its_validation_says_by_its_own_question() {
    let es: VersionId = "ES/1".parse().unwrap();
    for target in ["profitability", "signal_quality", "signal_strength_class"] {
        let place = with_trades(|_, line| line);
        let text = format!("{CONFIG}targets.stop_ticks = 8\n");
        place.file("config.toml", &text);
        succeed(&place, &["train", "--keep", "--target", target, "--state", "state", "--config", "config.toml"]);
        let (reader, config) = (place.reader(), Config::parse("test", &text).unwrap());
        let (record, watched) = (record(&reader, &es).unwrap(), watched::of(&reader, &config, &es).unwrap());
        let (validated, standard) = (watched.validated.unwrap(), watched.standard.unwrap());
        assert_eq!((watched.question, watched.question.target().name()), (record.question.unwrap(), target));
        assert_eq!(validated.trades as f64, record.metrics["test_rows"], "{target}");
        let told = (record.metrics["test_accuracy"], record.metrics["test_precision"]);
        assert_eq!((validated.accuracy, validated.precision.unwrap()), told, "{target}");
        assert_eq!((standard.right.rate, standard.yes.rate), told, "{target}");
    }
}

#[test]
fn a_version_is_served_and_validated_again_by_the_policy_it_was_validated_by_whatever_is_configured_later() {
    let place = with_trades(|_, line| line);
    let text = |more: &str| format!("{CONFIG}{BY_HAND}{more}");
    let file = place.file("config.toml", &text(""));
    let figure = |arguments: &[&str], name: &str| {
        let all = [arguments, &["--json", "--state", "state", "--config", "config.toml"]].concat();
        let told: Value = serde_json::from_slice(&succeed(&place, &all).stdout).unwrap();
        told["metrics"][name].as_f64().unwrap()
    };
    let taken = figure(&["train", "--keep"], "test_taken");
    assert!(taken > 0.0);
    let daemon = Daemon::start_with(&place, Setup { config_path: Some(file), ..Setup::default() });
    let mut wire = daemon.connect();
    wire.ask_ok(promote("ES/1"));
    let answer = |wire: &mut Wire, id: &str| {
        let answer = wire.ask_ok(score_with(id, "\"confidence\":0.6", "\"confidence\":0.99"));
        assert_eq!(answer["arm"], "ml", "{answer}");
        (answer["confidence"].clone(), answer["size"].as_f64().unwrap())
    };
    let reload = |wire: &mut Wire, more: &str| {
        place.file("config.toml", &text(more));
        wire.ask_ok(r#"{"type":"reload"}"#)["kept"].take()
    };
    let before = answer(&mut wire, "T-1");
    assert_eq!(before.1, 1.0);
    let other = "scoring.blend_weight = 0.25\nscoring.trade_threshold = 1.0\n";
    let kept = reload(&mut wire, other);
    let told = kept[0].as_str().unwrap();
    for part in ["ES/1 keeps", "scoring.blend_weight = 0.5, not 0.25", "scoring.trade_threshold = 0.5, not 1", "train"]
    {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    assert_eq!(answer(&mut wire, "T-2"), before);
    // what makes trades smaller holds at once
    assert_eq!(reload(&mut wire, "sizing.max = 0.25\n"), json!([]));
    assert_eq!(answer(&mut wire, "T-3"), (before.0, 0.25));
    daemon.stop();
    place.file("config.toml", &text(other));
    assert_eq!(figure(&["validate", "ES/1"], "test_taken"), taken);
}
