//! What a model sees in service is what it was trained on, and what was measured.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{collections::BTreeMap, io::Write};

use common::{
    daemon::{Daemon, Setup},
    place::{BY_HAND, CONFIG, Place, examples, model},
    process::{Process, succeed, told, vigie},
    wait::until,
    wire::{FEATURES, RESUME, Wire, arm_of, baseline, ml, outcome, promote, score, score_with},
};
use jiff::SignedDuration;
use serde_json::Value;
use vigie::{
    config::Config,
    domain::{EventKind, SignalLine, Timestamp, TradeId, lifecycle::State},
    features::pipeline::Pipeline,
    journal::{OutcomeRecord, SignalRecord, Source, Write as Record},
    recall::{history, scored::Signals},
};

/// The folder of an operator who imported the examples and trained on them.
fn trained() -> Place {
    let place = Place::new();
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}"));
    place.file("trades.jsonl", &(examples().join("\n") + "\n"));
    succeed(&place, &["import", "--state", "state", "--config", "config.toml", "trades.jsonl"]);
    succeed(&place, &["train", "--keep", "--state", "state", "--config", "config.toml"]);
    place
}

/// A signal with these features, at a minute of a morning.
fn at_minute(id: &str, minute: i64, features: &str) -> String {
    let morning: Timestamp = "2025-11-04T15:00:00Z".parse().unwrap();
    let at = morning + SignedDuration::from_mins(minute);
    score(id).replace("2025-09-01T15:00:00Z", &at.to_string()).replace(FEATURES, features)
}

#[test]
fn a_dead_feed_is_answered_with_the_baseline_and_told_once_also_after_a_restart() {
    let place = trained();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    wire.ask_ok(promote("ES/1"));
    assert_eq!(arm_of(&wire.ask(at_minute("full", 0, FEATURES))), ml());
    let dead = |wire: &mut Wire, n: i64| {
        let answer = wire.ask(at_minute(&format!("dead-{n}"), n, "{}"));
        assert_eq!(arm_of(&answer), baseline("stale_inputs"), "{answer}");
        let missing: Vec<&str> =
            answer["missing"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        assert!(missing.contains(&"recent_momentum") && missing.contains(&"level_proximity"), "{missing:?}");
        let unchanged = (answer["confidence"].as_f64(), answer["size"].as_f64(), answer["model"].as_str());
        assert_eq!(unchanged, (Some(0.6), Some(1.0), Some("ES/1")));
    };
    (0..150).for_each(|n| dead(&mut wire, 1 + n));
    daemon.stop();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    (150..300).for_each(|n| dead(&mut wire, 1 + n));
    // days later nothing is young enough to be carried forward, and it is the same fault
    (0..3).for_each(|n| dead(&mut wire, 10_000 + n));
    let again = wire.ask(at_minute("full-again", 10_100, FEATURES));
    assert_eq!((arm_of(&again), &again["missing"]), (ml(), &Value::Null));
    daemon.stop();
    let told = place.alerts("stale_inputs");
    assert!(told.len() == 1 && told[0].starts_with("ES/1 does not score"), "{told:?}");
}

#[test]
fn a_signal_that_knows_one_feature_of_twelve_hears_no_model() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    // of which nothing was ever known there is nothing to be stale
    assert_eq!(arm_of(&wire.ask(score_with("none", FEATURES, "{}"))), baseline("missing_feature"));
    let answer = wire.ask(score_with("one", FEATURES, r#"{"recent_momentum":0.3}"#));
    assert_eq!(arm_of(&answer), baseline("stale_inputs"));
    assert!(answer["missing"].as_array().unwrap().len() >= 8, "{answer}");
    assert_eq!(wire.arm("all"), ml());
    daemon.stop();
}

#[test]
fn however_much_a_few_features_matter_no_model_speaks_when_more_than_a_third_of_them_did_not_come() {
    let place = trained();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    until("the promotion", || (wire.ask(promote("ES/1"))["ok"] == true).then_some(()));
    // a daemon that has not seen any of them yet: what does not come is missing, and nothing can be carried forward
    let all: serde_json::Map<String, Value> = serde_json::from_str(FEATURES).unwrap();
    let few = |n: usize| {
        let names = all.keys().cycle().skip(n).take(7);
        Value::Object(names.map(|name| (name.clone(), all[name].clone())).collect()).to_string()
    };
    for n in 0..12 {
        let answer = wire.ask(at_minute(&format!("few-{n}"), 60 * n as i64, &few(n)));
        assert_eq!(arm_of(&answer), baseline("stale_inputs"), "{n}: {answer}");
        assert!(answer["missing"].as_array().unwrap().len() > 4, "{n}: {answer}");
    }
    assert_eq!(arm_of(&wire.ask(at_minute("full", 1000, FEATURES))), ml());
    daemon.stop();
    let told = place.alerts("stale_inputs");
    assert!(told.len() == 1 && told[0].starts_with("ES/1 does not score"), "{told:?}");
}

#[test]
fn a_value_that_the_version_was_trained_nowhere_near_is_not_carried_to_it() {
    let place = Place::new();
    let tape = |line: &str, x: f64| line.replacen('{', &format!("{{\"extra\":{{\"tape\":{x}}},"), 1);
    let lines: Vec<String> =
        examples().iter().enumerate().map(|(n, line)| tape(line, ((n * 37) % 100) as f64 / 20.0 - 2.5)).collect();
    let config = "[features]\nextra = [\"tape\"]\n";
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}{config}"));
    place.file(
        "trades.jsonl",
        &(lines.join(
            "
",
        ) + "
"),
    );
    succeed(&place, &["import", "--state", "state", "--config", "config.toml", "trades.jsonl"]);
    succeed(&place, &["train", "--keep", "--state", "state", "--config", "config.toml"]);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    wire.ask_ok(promote("ES/1"));
    let mut minute = 0;
    let mut scored = |x: Option<f64>| {
        minute += 1;
        let line = at_minute(&format!("T-{minute}"), minute, FEATURES);
        let answer = wire.ask_ok(x.map_or(line.clone(), |x| tape(&line, x)));
        assert_eq!(arm_of(&answer), ml(), "{answer}");
        answer["score"].as_f64().unwrap()
    };
    let unknown = scored(None);
    let inside = scored(Some(1.0));
    assert_eq!(scored(None), inside, "a value of the market is carried");
    assert_ne!(inside, unknown);
    for far in [50.0, -50.0, 1e6, 1e12, 1e20, 1e60] {
        scored(Some(far));
        assert_eq!(scored(None), unknown, "{far}");
    }
    // a market that moves is carried on
    let beyond = scored(Some(8.0));
    assert_eq!(scored(None), beyond);
    daemon.stop();
}

/// What an older program took without a question: a trade of 2099 that was scored and closed today.
fn of_2099() -> [Record; 2] {
    let trade_id = TradeId::new("OLD").unwrap();
    let line = score("OLD").replace("2025-09-01T15:00:00Z", "2099-01-01T15:00:00Z").replace("-0.2", "0.9").into_bytes();
    let (received_at, source): (Timestamp, _) = ("2025-11-01T15:00:00Z".parse().unwrap(), Source::Live);
    let closed = r#"{"exit_at":"2099-01-01T16:00:00Z","exit_reason":"signal","pnl":50.0}"#;
    let outcome = Box::new(OutcomeRecord {
        trade_id: trade_id.clone(),
        received_at,
        source,
        echo: None,
        outcome: serde_json::from_str(closed).unwrap(),
    });
    let (decision, opinions, latency_us) = (None, Vec::new(), None);
    let signal = SignalRecord { trade_id, received_at, source, decision, opinions, latency_us, line };
    [Record::Signal(signal), Record::Outcome(outcome)]
}

#[test]
fn a_trade_of_2099_in_an_older_journal_ends_no_window_and_is_carried_nowhere() {
    let [with, without] = [true, false].map(|is_there| {
        let place = Place::new();
        place.file("config.toml", &format!("{CONFIG}{BY_HAND}"));
        place.file("trades.jsonl", &(examples().join("\n") + "\n"));
        succeed(&place, &["import", "--state", "state", "--config", "config.toml", "trades.jsonl"]);
        if is_there {
            let mut store = place.open();
            store.apply(&of_2099()).unwrap();
            store.close().unwrap();
        }
        let train = ["train", "--json", "--keep", "--days", "200", "--state", "state", "--config", "config.toml"];
        let trained = told(&place, &train, 0);
        let daemon = Process::start(&place, &[]);
        let mut wire = daemon.connect();
        wire.ask_ok(promote("ES/1"));
        let mut scored = |id: &str, minute: i64, features: &str| {
            let answer = wire.ask_ok(at_minute(id, minute, features));
            assert_eq!(arm_of(&answer), ml(), "{answer}");
            answer["score"].as_f64().unwrap()
        };
        let lost = FEATURES.replace("\"recent_momentum\":-0.2", "\"recent_momentum\":null");
        assert_ne!(lost, FEATURES);
        let scores = [scored("unknown", 0, &lost), scored("full", 1, FEATURES), scored("carried", 2, &lost)];
        daemon.stop();
        ((trained["data_hash"].clone(), trained["training"].clone()), scores)
    });
    assert_eq!(with, without);
    assert_eq!(with.0.1["rows"], 605, "the window is shorter than the journal");
    assert!(with.1[0] != with.1[2] && with.1[1] == with.1[2], "{with:?}");
}

#[test]
fn one_input_that_is_required_silences_the_model_when_it_is_lost() {
    let place = Place::with_model(State::Production);
    let config = format!("{CONFIG}[carry]\nrequired = [\"recent_momentum\"]\n");
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("all"), ml());
    let lost = wire.ask(score_with("lost", "\"recent_momentum\":-0.2", "\"recent_momentum\":null"));
    assert_eq!(
        (arm_of(&lost), lost["missing"].to_string()),
        (baseline("stale_inputs"), "[\"recent_momentum\"]".to_owned())
    );
    let other = wire.ask(score_with("other", "\"options_flow_bias\":0.1", "\"options_flow_bias\":null"));
    assert_eq!(arm_of(&other), ml());
    daemon.stop();
}

#[test]
fn a_version_is_not_served_on_inputs_that_are_made_otherwise_than_when_it_was_trained() {
    for (changed, named) in [
        ("features.fill_max_age_hours = 1.0\n", "level_proximity was carried forward for 1380 minutes and is for 60"),
        ("trading_day.start = \"16:00\"\n", "[trading_day] was 17:00 America/Chicago and is 16:00 America/Chicago"),
        ("[symbols.ES]\ntick = 0.5\ntick_value = 12.5\n", "symbols.ES.tick was 0.25 and is 0.5"),
    ] {
        let place = Place::with_model(State::Production);
        let setup = || Setup { config: format!("{CONFIG}{changed}"), ..Setup::default() };
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        assert_eq!(wire.arm("a"), baseline("locked"), "{changed}");
        until("the alert on disk", || place.alerts("inputs_changed").first().cloned());
        let is_lock = |kind: &EventKind| matches!(kind, EventKind::Locked { .. });
        until("the lock on disk", || place.events().iter().any(is_lock).then_some(()));
        until("the resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
        assert_eq!(wire.arm("b"), baseline("no_model"), "{changed}");
        daemon.stop();
        let told = place.alerts("inputs_changed");
        assert!(told[0].starts_with("ES/1") && told[0].contains(named), "{told:?}");
        // set back, it speaks when a person says so
        let daemon = Daemon::start(&place);
        assert_eq!(daemon.connect().arm("c"), ml(), "{changed}");
        daemon.stop();
    }
    // what it does not look at may change
    let place = Place::with_model(State::Production);
    let config = format!(
        "{CONFIG}[features]\nextra = [\"tape\"]\nderived = [[\"book\", \"imbalance(bid_size, ask_size)\"]]\n[carry]\nextra = 7\n"
    );
    let daemon = Daemon::start_with(&place, Setup { config, ..Setup::default() });
    assert_eq!(daemon.connect().arm("d"), ml());
    daemon.stop();
}

/// Rows by trade as the journal makes them, which is what is learnt from and what is watched.
fn rows(place: &Place) -> BTreeMap<TradeId, Vec<Option<f64>>> {
    let config = Config::parse("test", CONFIG).unwrap();
    let pipeline = Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features).unwrap();
    let history = history::read(&place.reader()).unwrap();
    let rows = history.rows(pipeline);
    let rows: BTreeMap<TradeId, Vec<Option<f64>>> =
        history.signals.iter().map(|signal| signal.trade_id.clone()).zip(rows.into_iter().flatten()).collect();
    let reader = place.reader();
    for scored in Signals::read(&reader, &config).unwrap().each() {
        let scored = scored.unwrap();
        assert_eq!(rows[&scored.signal.trade_id], scored.row);
    }
    rows
}

#[test]
fn the_row_that_was_served_is_the_row_that_is_learnt_from_restarts_repeats_and_imports_included() {
    let place = Place::with_model(State::Staging);
    let names = ["market_volatility", "es_nq_correlation", "dow_trend_regime", "level_proximity"];
    let signal = |n: i64, minute: i64| {
        let mut features: serde_json::Map<String, Value> = serde_json::from_str(FEATURES).unwrap();
        for (k, name) in names.iter().enumerate() {
            let known = (n * 7 + k as i64 * 3) % 5 < 2;
            let value = if k == 2 { ((n % 3) - 1) as f64 } else { 0.01 * (n % 97) as f64 };
            features.insert((*name).to_owned(), if known { value.into() } else { Value::Null });
        }
        at_minute(&format!("S-{n}"), minute, &Value::Object(features).to_string())
    };
    let minute = |n: i64| if n % 4 == 3 { 2 * n - 45 } else { 2 * n };
    for part in 0..4 {
        let daemon = Daemon::start(&place);
        let mut wire = daemon.connect();
        for n in 40 * part..40 * (part + 1) {
            wire.ask_ok(signal(n, minute(n)));
            match n % 8 {
                // a signal that comes twice, the second time with more of it
                2 => drop(wire.ask_ok(at_minute(&format!("S-{n}"), minute(n), FEATURES))),
                // past trades between the signals, of times among them
                5 => {
                    let line = signal(1000 + n, minute(n) - 1).replace("\"score\"", "\"import\"");
                    drop(wire.ask_ok(line));
                }
                _ => {}
            }
        }
        daemon.stop();
    }
    let rows = rows(&place);
    let (record, mut compared, mut filled) = (model(), 0, 0);
    let compiled = record.compile().unwrap();
    for stored in place.reader().signals().unwrap() {
        let stored = stored.unwrap();
        let row = &rows[&stored.record.trade_id];
        let SignalLine { signal, .. } = SignalLine::parse(&stored.record.line).unwrap();
        assert_eq!(signal, stored.signal);
        let repeat = stored.record.line.windows(FEATURES.len()).any(|part| part == FEATURES.as_bytes());
        if stored.record.source == Source::Import || repeat {
            continue;
        }
        let Some(score) = stored.record.opinions[0].score else { continue };
        let mut columns = Vec::new();
        record.design.transform(row, &mut columns).unwrap();
        let again = compiled.score(&columns).unwrap();
        assert_eq!(score.get().to_bits(), again.get().to_bits(), "{}", stored.record.trade_id);
        compared += 1;
        let own = Pipeline::new(
            Config::builtin().unwrap().symbols.clone(),
            Config::builtin().unwrap().calendar.clone(),
            &Config::builtin().unwrap().features,
        );
        filled += usize::from(own.unwrap().inputs(&signal).unwrap() != row.as_slice());
    }
    assert!(compared > 60 && filled > 40, "{compared} compared, {filled} of them filled");
}

/// A past trade in one line, with parts replaced.
fn past(n: usize, changes: &[(&str, &str)]) -> String {
    let mut line = format!(
        r#"{{"trade_id":"P-{n}","at":"2025-11-04T15:{:02}:00Z","symbol":"ES","side":"long","confidence":0.6,"features":{FEATURES},"outcome_metrics":{{"exit_at":"2025-11-04T16:00:00Z","pnl":50.0,"exit_reason":"signal"}}}}"#,
        n % 60
    );
    for (from, to) in changes {
        assert!(line.contains(from), "{from}");
        line = line.replacen(from, to, 1);
    }
    line
}

#[test]
fn what_a_request_cannot_say_no_file_can_say_either() {
    let place = Place::new();
    place.file("config.toml", CONFIG);
    let lines = [
        past(1, &[]),
        past(2, &[("2025-11-04T15:02:00Z", "2099-01-01T00:00:00Z"), ("2025-11-04T16:00:00Z", "2099-01-01T01:00:00Z")]),
        past(3, &[("2025-11-04T16:00:00Z", "2099-01-01T00:00:00Z")]),
        past(4, &[("{", r#"{"id":"\ud800","#)]),
        past(5, &[("2025-11-04T16:00:00Z", "2025-11-03T16:00:00Z")]),
        past(6, &[("50.0", "1e9")]),
        past(7, &[("{", r#"{"extra":{"x":1,"x":2},"#)]),
        past(8, &[("\"ES\"", "\"CL\"")]),
    ];
    place.file("trades.jsonl", &(lines.join("\n") + "\n"));
    let check = |summary: &Value| {
        let refused = |code: &str| summary["faults"][code]["examples"].to_string();
        assert_eq!((&summary["stored"], &summary["rejected"]), (&2.into(), &6.into()), "{summary}");
        // three examples of a kind are shown
        let all = refused("out_of_range");
        for (line, field) in [(2, ": at: "), (3, "outcome_metrics.exit_at"), (4, ": id: ")] {
            assert!(all.contains(&format!("trades.jsonl:{line}: ")) && all.contains(field), "{line}: {all}");
        }
        assert_eq!(summary["faults"]["out_of_range"]["count"], 5, "{}", refused("out_of_range"));
        assert!(refused("duplicate_field").contains("extra.x"), "{}", refused("duplicate_field"));
        assert_eq!(summary["unknown_symbols"]["CL"], 1);
    };
    let import = ["import", "--json", "--config", "config.toml", "--state"];
    check(&told(&place, &[&import[..], &["own", "trades.jsonl"]].concat(), 5));
    let daemon = Daemon::start(&place);
    check(&told(&place, &[&import[..], &["state", "trades.jsonl"]].concat(), 5));
    daemon.stop();
    for command in [&["dataset", "trades.jsonl"][..], &["features", "trades.jsonl"]] {
        let output = vigie(&place, command).output().unwrap();
        assert_eq!(output.status.code(), Some(5), "{command:?} {output:?}");
    }
    place.file("good.jsonl", &(past(1, &[]) + "\n"));
    succeed(&place, &["dataset", "good.jsonl"]);
}

#[test]
fn an_exit_before_the_signal_is_refused_also_where_the_signal_had_no_confidence() {
    let place = Place::with_model(State::Staging);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    for (name, confidence) in [("with", "\"confidence\":0.6"), ("without", "\"confidence\":null")] {
        wire.ask_ok(score_with(name, "\"confidence\":0.6", confidence));
        let answer = wire.ask(outcome(name, 5.0).replace("2025-09-01T16:00:00Z", "2025-08-01T16:00:00Z"));
        let told = (answer["error"]["code"].as_str(), answer["error"]["field"].as_str());
        assert_eq!(told, (Some("out_of_range"), Some("outcome_metrics.exit_at")), "{name}: {answer}");
        wire.ask_ok(outcome(name, 5.0));
    }
    daemon.stop();
}

/// Files of 30 good lines: what is done to the bytes, and what comes of it.
#[test]
fn what_was_read_before_a_file_ends_badly_is_kept_and_told() {
    let zipped = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    // lines that do not compress to nothing, so that a cut lies behind some of them
    let line = |n: usize| past(n, &[("0.6", &format!("0.{}", 100_000_007 * (n + 1) % 999_999_937))]);
    let text: String = (0..300).map(|n| line(n) + "\n").collect();
    let (half, other) = text.split_at(text.len() / 2 - text.len() / 2 % text.lines().next().unwrap().len());
    let zeros = vec![0; 100_000];
    let cut = zipped(&text);
    let cases: [(&str, Vec<u8>, i32, u64); 6] = [
        ("zeros.gz", [zipped(&text), zeros.clone()].concat(), 0, 300),
        ("two.gz", [zipped(half), zeros[..512].to_vec(), zipped(other)].concat(), 0, 300),
        ("zeros.jsonl", [text.as_bytes(), &zeros].concat(), 0, 300),
        ("bom.jsonl", [b"\xef\xbb\xbf", text.as_bytes()].concat(), 0, 300),
        ("bom.gz", zipped(&format!("\u{feff}{text}")), 0, 300),
        ("garbage.gz", [zipped(&text), b"no gzip".to_vec()].concat(), 1, 300),
    ];
    let import = |name: &str, bytes: &[u8]| {
        let place = Place::new();
        std::fs::write(place.folder().join(name), bytes).unwrap();
        let output = vigie(&place, &["import", "--json", "--state", "state", name]).output().unwrap();
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), summary["stored"].as_u64(), summary["rejected"].as_u64())
    };
    for (name, bytes, code, stored) in cases {
        assert_eq!(import(name, &bytes), (Some(code), Some(stored), Some(0)), "{name}");
    }
    let (code, stored, rejected) = import("cut.gz", &cut[..cut.len() * 3 / 4]);
    assert!(
        code == Some(1) && stored > Some(100) && stored < Some(300) && rejected == Some(0),
        "{stored:?} {rejected:?}"
    );
}
