//! The control: a version that should not trade is forced into its A/B test by an override and plays the second of two
//! years of real trades, through the socket. The test must not ship it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::{
    place::{CONFIG, Place},
    process::{Process, told},
    real::data,
    real_play::{lines, play, requests},
};
use serde_json::json;
use vigie::domain::{EventKind, lifecycle::Transition};

/// No emergency and no decline takes the version down, so that it is the test that decides; the rest is as built in.
const FORCED: &str = "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_limit = 1e9\n\
    [monitor]\nwindow = 5000\n[health]\nmin_trades = 5000\n";
/// Trades of the first part, which the version learns from.
const LEARNT: usize = 1400;

/// Forces a version of this kind, which learnt from `first`, into its test, and plays `second`.
fn forced(model: &str, first: &[String], second: &[String]) {
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
    assert_eq!(report["ruling"]["verdict"], "over", "it came to an end: {trial}");
    let ended = trial["ended"]["reason"].as_str().unwrap();
    assert!(["futile:", "stop for harm:"].iter().any(|end| ended.starts_with(end)), "{ended}");
    assert!(report["sessions"].as_u64() >= Some(10), "after its first look: {trial}");
    assert!(["archived", "rolled_back"].contains(&trial["state"].as_str().unwrap()), "{trial}");
    let shipped = |kind: &EventKind| matches!(kind, EventKind::Moved { step: Transition::Promote, .. });
    assert!(!place.events().iter().any(shipped), "{:?}", place.events());
}

#[test]
fn the_test_of_a_version_of_real_trades_does_not_ship_it() {
    let Some(data) = data() else { return };
    let lines = lines(&data);
    let (first, second) = lines.split_at(LEARNT);
    // side by side: each waits for its daemon most of the time
    std::thread::scope(|scope| {
        for model in ["logistic", "boosting"] {
            scope.spawn(move || forced(model, first, second));
        }
    });
}
