//! The regimes of the market: as an input of a model that is the same in training and in service, in the report, and in the monitor.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    daemon::{Daemon, Setup},
    place::{BY_HAND, CONFIG, Place, examples},
    process::{succeed, told, vigie},
    wait::until,
    wire::{Wire, promote},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use vigie::{
    config::Config,
    domain::{Decision, Opinion, Probability, Reason, Signal, SignalLine},
    features::{derived::Expression, pipeline::Pipeline},
    journal::{OutcomeRecord, SignalRecord, Source, Write},
    recall::versions::record,
    validation::{
        arrival::{Arrival, Arrived},
        training::History,
    },
};

/// A journal of the example trades, and the configuration that declares their regime as an input.
fn with_regime() -> (Place, String) {
    let place = Place::new();
    place.file("config.toml", CONFIG);
    place.file("trades.jsonl", &examples().join("\n"));
    succeed(&place, &["import", "--state", "state", "trades.jsonl"]);
    let fitted = told(&place, &["regimes", "--json", "--state", "state", "--config", "config.toml"], 0);
    let text = format!("features.derived = [[\"regime\", {}]]\n{CONFIG}{BY_HAND}", fitted["expression"]);
    place.file("config.toml", &text);
    (place, text)
}

fn signals() -> Vec<Signal> {
    examples().iter().map(|line| SignalLine::parse(line.as_bytes()).unwrap().signal).collect()
}

fn pipeline(text: &str) -> Pipeline {
    let config = Config::parse("test", text).unwrap();
    Pipeline::new(config.symbols.clone(), config.calendar.clone(), &config.features).unwrap()
}

/// The regime of each signal as the service sees it, one by one.
fn live(text: &str, signals: &[Signal]) -> Vec<Option<f64>> {
    let mut pipeline = pipeline(text);
    let place = pipeline.schema().position("regime").unwrap();
    signals.iter().map(|signal| pipeline.inputs(signal).unwrap()[place]).collect()
}

#[test]
fn the_regime_of_a_signal_is_the_same_live_and_from_the_journal_and_knows_nothing_of_what_comes_later() {
    let (_place, text) = with_regime();
    let signals = signals();
    let all = live(&text, &signals);
    let wild = all.iter().filter(|label| **label == Some(1.0)).count();
    assert!(all.iter().all(Option::is_some) && wild > 20 && wild < all.len() - 20, "{wild} of {}", all.len());
    // what is learnt from is what was seen, in whatever order it came
    let mut rng = Pcg64::seed_from_u64(7);
    let mut order: Vec<usize> = (0..signals.len()).collect();
    for place in 1..order.len() {
        if rng.random::<f64>() < 0.2 {
            order.swap(place - 1, place);
        }
    }
    let place = pipeline(&text).schema().position("regime").unwrap();
    let came: Vec<Signal> = order.iter().map(|number| signals[*number].clone()).collect();
    let arrivals = order.iter().map(|number| Arrival { signal: Arrived::Kept(*number), live: true }).collect();
    let history = History { signals: signals.clone(), arrivals, ..History::default() };
    let learnt = history.rows(pipeline(&text));
    let seen = live(&text, &came);
    for (number, label) in order.iter().zip(&seen) {
        assert_eq!(learnt[*number].as_ref().unwrap()[place], *label, "{number}");
    }
    for _ in 0..20 {
        let cut = rng.random_range(1..signals.len());
        assert_eq!(live(&text, &signals[..cut]), all[..cut], "{cut}");
    }
}

#[test]
fn a_model_that_knows_the_regime_scores_the_same_after_a_restart_and_not_under_another_fit() {
    let (place, text) = with_regime();
    succeed(&place, &["train", "--keep", "--state", "state", "--config", "config.toml"]);
    let stored = record(&place.reader(), &"ES/1".parse().unwrap()).unwrap();
    assert!(stored.design.names().any(|name| name == "regime"), "{:?}", stored.design.names().collect::<Vec<_>>());
    let file = place.folder().join("config.toml");
    let start = || Daemon::start_with(&place, Setup { config_path: Some(file.clone()), ..Setup::default() });
    let daemon = start();
    let mut wire = daemon.connect();
    wire.ask_ok(promote("ES/1"));
    let mut lines: Vec<String> = examples()[..120].iter().enumerate().map(|(n, line)| asked(n, line)).collect();
    lines.iter().for_each(|line| drop(wire.ask_ok(line)));
    let last = lines.pop().unwrap().replace("\"T-119\"", "\"again\"");
    let before = wire.ask_ok(&last);
    assert_eq!(before["arm"], "ml", "{before}");
    daemon.stop();
    let daemon = start();
    let after = daemon.connect().ask_ok(last.replace("\"again\"", "\"once-more\""));
    assert_eq!((&before["score"], &before["size"]), (&after["score"], &after["size"]));
    daemon.stop();
    // fitted otherwise, its inputs would be others than it learnt from: it does not score
    let other = text.replacen("regime(", "regime(1", 1);
    place.file("config.toml", &other);
    let daemon = start();
    let answer = daemon.connect().ask_ok(last.replace("\"again\"", "\"at-last\""));
    assert_eq!(answer["arm"], "baseline", "{answer}");
    daemon.stop();
}

/// An example trade as a signal to be scored, at its time.
fn asked(number: usize, line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    line.as_object_mut().unwrap().remove("outcome_metrics");
    (line["type"], line["trade_id"]) = ("score".into(), format!("T-{number}").into());
    line.to_string()
}

#[test]
fn a_regime_that_was_fitted_on_what_a_model_is_to_be_judged_on_is_refused() {
    let (place, text) = with_regime();
    let until = text.split("regime(").nth(1).unwrap().split(',').next().unwrap().to_owned();
    let late = text.replacen(&until, "4000000000", 1);
    place.file("config.toml", &late);
    let output = vigie(&place, &["train", "--state", "state", "--config", "config.toml"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("regime was fitted on signals until 2096"), "{said}");
    for (bad, what) in [
        ("regime(1)", "the numbers that `vigie regimes` writes"),
        ("regime(x, 10, 1, 1, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0)", "cannot take"),
        ("regime(1, 10, 1, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0)", "cannot take"),
        ("product(regime(1, 10, 1, 1, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0), trend)", ""),
    ] {
        let told = Expression::parse(bad).unwrap_err().to_string();
        assert!(told.contains(what), "{bad}: {told}");
    }
}

/// A journal of the example trades as if the strategy alone had traded each while ES/1 watched, which lets every third go.
fn watched() -> Place {
    let place = Place::new();
    let mut writes = Vec::new();
    for (n, line) in examples().into_iter().enumerate() {
        let SignalLine { signal, outcome, .. } = SignalLine::parse(line.as_bytes()).unwrap();
        let (trade_id, received_at, source) = (signal.trade_id, signal.at, Source::Live);
        let decision = Some(Decision::baseline(trade_id.clone(), signal.confidence, None, Reason::Shadow));
        let size = if n % 3 == 0 { 0.0 } else { 1.0 };
        let (version, score) = ("ES/1".parse().unwrap(), Probability::new(0.6).ok());
        let opinions = vec![Opinion { version, split: None, score, size }];
        let (latency_us, line) = (None, line.into_bytes());
        let id = trade_id.clone();
        writes.push(Write::Signal(SignalRecord {
            trade_id,
            received_at,
            source,
            decision,
            opinions,
            latency_us,
            line,
        }));
        let outcome = outcome.unwrap();
        writes.push(Write::Outcome(Box::new(OutcomeRecord { trade_id: id, received_at, source, echo: None, outcome })));
    }
    let mut store = place.open();
    store.apply(&writes).unwrap();
    store.close().unwrap();
    place
}

#[test]
fn a_report_says_what_the_strategy_and_the_model_made_in_each_regime_beside_the_traders_labels() {
    let place = watched();
    let summary = told(&place, &["report", "--state", "state", "--json"], 0);
    let regimes = summary["regimes"].as_array().unwrap();
    let named = |name: &str| regimes.iter().find(|it| it["regime"] == name);
    let (calm, wild) = (named("market calm").unwrap(), named("market wild").unwrap());
    let count = |of: &Value| of["signals"].as_u64().unwrap();
    assert_eq!(count(calm) + count(wild), 1100, "each closed trade is in one of them");
    let pnl: f64 = examples()
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome_metrics"]["pnl"].as_f64().unwrap())
        .sum();
    let made = |of: &Value| of["strategy"]["mean"].as_f64().unwrap() * count(of) as f64;
    assert!((made(calm) + made(wild) - pnl).abs() < 1e-6, "{calm} {wild} {pnl}");
    for regime in [calm, wild] {
        assert!(regime["strategy"]["interval"]["low"].is_number());
        let version = &regime["versions"][0];
        assert_eq!((&version["version"], count(version)), (&json!("ES/1"), count(regime)));
        let (gain, made) = (version["gain"]["mean"].as_f64().unwrap(), version["made"]["mean"].as_f64().unwrap());
        assert!((made - gain - regime["strategy"]["mean"].as_f64().unwrap()).abs() < 1e-9);
    }
    let text = String::from_utf8(succeed(&place, &["report", "--state", "state", "--width", "200"]).stdout).unwrap();
    assert!(text.contains("what was made in each regime") && text.contains("market wild: ES/1"), "{text}");
    let none = told(&place, &["report", "--state", "state", "--since", "2030-01-01", "--json"], 0);
    assert_eq!(none["regimes"], json!([]));
}

#[test]
fn the_monitor_keeps_figures_of_each_version_in_each_regime_and_finds_them_again_after_a_restart() {
    let (place, _) = with_regime();
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}monitor.window = 500\n"));
    succeed(&place, &["train", "--keep", "--state", "state", "--config", "config.toml"]);
    let file = place.folder().join("config.toml");
    let start = || Daemon::start_with(&place, Setup { config_path: Some(file.clone()), ..Setup::default() });
    let daemon = start();
    let mut wire = daemon.connect();
    // it watches: no emergency takes it down
    wire.ask_ok(promote("ES/1").replace("production", "staging"));
    for (n, line) in examples()[..150].iter().enumerate() {
        let outcome = serde_json::from_str::<Value>(line).unwrap()["outcome_metrics"].take();
        wire.ask_ok(asked(n, line));
        wire.ask_ok(json!({ "type": "outcome", "trade_id": format!("T-{n}"), "outcome_metrics": outcome }).to_string());
    }
    let regimes = |wire: &mut Wire| {
        let trades = until("all is heard", || {
            let monitor = wire.status()["monitor"].take();
            (monitor["open"] == 0 && monitor["waiting"] == 0)
                .then(|| monitor["rolling"]["model ES/1"]["trades"].clone())
        });
        let drift = wire.ask_ok(r#"{"type":"drift"}"#)["versions"]["ES/1"]["regimes"].take();
        (trades, drift, wire.status()["monitor"]["rolling"]["market calm of ES/1"].take())
    };
    let (heard, found, scope) = regimes(&mut wire);
    let trades: u64 = found.as_object().unwrap().values().map(|of| of["trades"].as_u64().unwrap()).sum();
    assert!(trades > 50 && heard == trades, "{heard} {found}");
    assert_eq!(found["market calm"], scope);
    daemon.stop();
    let daemon = start();
    assert_eq!(regimes(&mut daemon.connect()), (heard, found, scope));
    daemon.stop();
}
