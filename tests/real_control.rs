//! The control: a version that should not trade is forced into its A/B test by an override and plays the second of two
//! years of real trades, through the socket. The test must not ship it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Read,
};

use common::{
    market::settle,
    place::{CONFIG, Place},
    process::{Process, told},
    real::data,
    wire::Wire,
};
use serde_json::{Value, json};
use vigie::domain::{EventKind, SignalLine, Timestamp, lifecycle::Transition};

/// No emergency takes the version down, so that it is the test that decides; the rest is as built in.
const FORCED: &str = "[guardian]\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_limit = 1e9\n";
/// Trades of the first part, which the version learns from.
const LEARNT: usize = 1400;

/// One request, at its time; an outcome with what the strategy alone earned.
struct Request {
    at: Timestamp,
    trade_id: String,
    own: Option<f64>,
    line: Value,
}

fn lines(file: &str) -> Vec<String> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The requests of closed trades, in the order of their times.
fn requests(lines: &[String]) -> Vec<Request> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for line in lines {
        let SignalLine { signal, outcome, .. } = SignalLine::parse(line.as_bytes()).unwrap();
        let (trade_id, outcome) = (signal.trade_id.to_string(), outcome.unwrap());
        if !seen.insert(trade_id.clone()) {
            continue; // the one id that is used twice
        }
        let mut score: Value = serde_json::from_str(line).unwrap();
        let metrics = score.as_object_mut().unwrap().remove("outcome_metrics").unwrap();
        score["type"] = "score".into();
        let own = outcome.pnl.map(|pnl| pnl.get());
        let closed = json!({ "type": "outcome", "trade_id": trade_id, "outcome_metrics": metrics });
        all.push(Request { at: signal.at, trade_id: trade_id.clone(), own: None, line: score });
        all.push(Request { at: outcome.exit_at, trade_id, own, line: closed });
    }
    all.sort_by_key(|request| (request.at, request.own.is_none()));
    all
}

/// Plays them as the trader would: what is sized 0 is let go, the rest earns its size's part.
fn play(wire: &mut Wire, requests: Vec<Request>, sizes: &mut BTreeMap<String, f64>) {
    for (n, Request { trade_id, own, mut line, .. }) in requests.into_iter().enumerate() {
        match own {
            None => {
                let size = wire.ask_ok(line.to_string())["size"].as_f64().unwrap();
                sizes.insert(trade_id.clone(), size);
                if size == 0.0 {
                    wire.ask_ok(json!({ "type": "skip", "trade_id": trade_id, "reason": "size 0" }).to_string());
                }
            }
            Some(own) if sizes[&trade_id] > 0.0 => {
                line["outcome_metrics"]["pnl"] = json!(own * sizes[&trade_id]);
                wire.ask_ok(line.to_string());
            }
            Some(_) => {}
        }
        if n % 16 == 0 {
            settle(wire);
        }
    }
    settle(wire);
}

#[test]
fn the_test_of_a_version_of_real_trades_does_not_ship_it() {
    let Some(data) = data() else { return };
    let lines = lines(&data);
    let (first, second) = lines.split_at(LEARNT);
    for model in ["logistic", "boosting"] {
        let place = Place::new();
        place.file("first.jsonl", &(first.join("\n") + "\n"));
        place.file("config.toml", &format!("{CONFIG}training.allow_levels = [\"gradient_boosting\"]\n{FORCED}"));
        told(&place, &["import", "--json", "--state", "state", "first.jsonl"], 0);
        let train = ["train", "--json", "--keep", "--state", "state", "--config", "config.toml", "--model", model];
        let trained = told(&place, &train, 0);
        assert_eq!(trained["verdict"], "not_deployable", "{trained}");
        let daemon = Process::start(&place, &["--clock", "event"]);
        let mut wire = daemon.connect();
        let promote = |overridden: bool| {
            json!({
                "type": "promote", "version": "ES/1", "to": "ab_test", "override": overridden, "reason": "a control",
            })
        };
        let refused = wire.ask(promote(false).to_string());
        assert_eq!(refused["error"]["code"], "refused", "{refused}");
        // the clock is that of the messages, and the test begins when it is ordered
        let mut requests = requests(second);
        let rest = requests.split_off(1);
        let mut sizes = BTreeMap::new();
        play(&mut wire, requests, &mut sizes);
        wire.ask_ok(promote(true).to_string());
        play(&mut wire, rest, &mut sizes);
        let trial = wire.ask_ok(r#"{"type":"experiment","version":"ES/1"}"#)["trials"][0].take();
        println!("{model}: ES/1 is {}\n{}", trial["state"], trial["text"].as_str().unwrap());
        daemon.stop();
        let report = &trial["report"];
        let verdict = report["ruling"]["verdict"].as_str().unwrap();
        assert!(["futile", "stop_for_harm"].contains(&verdict), "it came to an end: {trial}");
        assert!(report["sessions"].as_u64() >= Some(10), "after its first look: {trial}");
        assert!(["archived", "rolled_back"].contains(&trial["state"].as_str().unwrap()), "{trial}");
        let shipped = |kind: &EventKind| matches!(kind, EventKind::Moved { step: Transition::Promote, .. });
        assert!(!place.events().iter().any(shipped), "{:?}", place.events());
    }
}
