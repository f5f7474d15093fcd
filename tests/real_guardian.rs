//! Production forced on real trades, on which nothing can be predicted well: the guardian takes the version down, and says
//! why.
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
use vigie::domain::{
    EventKind, VersionId,
    event::{By, Level},
    lifecycle::State,
};

/// Trades of the first part, which the version learns from.
const LEARNT: usize = 1400;

/// Forces a version of this kind, which learnt from `first`, to production, and plays `second`.
fn forced(model: &str, first: &[String], second: &[String]) {
    let place = Place::new();
    place.file("first.jsonl", &(first.join("\n") + "\n"));
    // the rules are as built in
    place.file("config.toml", &format!("{CONFIG}training.allow_levels = [\"gradient_boosting\"]\n"));
    told(&place, &["import", "--json", "--state", "state", "first.jsonl"], 0);
    let train = ["train", "--json", "--keep", "--state", "state", "--config", "config.toml", "--model", model];
    assert_eq!(told(&place, &train, 0)["verdict"], "not_deployable");
    let daemon = Process::start(&place, &["--clock", "event"]);
    let mut wire = daemon.connect();
    // the clock is that of the messages: the first of them sets it
    let mut requests = requests(second);
    let rest = requests.split_off(1);
    let mut sizes = BTreeMap::new();
    play(&mut wire, requests, &mut sizes);
    let forced = json!({
        "type": "promote", "version": "ES/1", "to": "production", "override": true, "reason": "forced on purpose",
    });
    wire.ask_ok(forced.to_string());
    play(&mut wire, rest, &mut sizes);
    let scorer = wire.status()["scorer"]["by_reason"].take();
    daemon.stop();
    println!("{model}: answers {scorer}");
    let version: VersionId = "ES/1".parse().unwrap();
    let (mut down, mut why) = (None, Vec::new());
    for event in place.reader().events(0).unwrap().map(|stored| stored.unwrap().event) {
        match &event.kind {
            EventKind::Alert { level: Level::Critical | Level::Warning, .. } | EventKind::Latched { .. } => {
                why.push(event.kind.to_string());
            }
            EventKind::Moved { version: moved, step, reason, by: By::Daemon(by), .. }
                if *moved == version
                    && step.edge() == (State::Production, State::RolledBack)
                    && &**by == "guardian" =>
            {
                assert!(down.is_none() && !reason.is_empty(), "{reason}");
                down = Some(reason.clone());
            }
            _ => continue,
        }
        println!("  {:.0} {}", event.at, event.kind);
    }
    let down = down.unwrap_or_else(|| panic!("{model}: it was left in production: {why:?}"));
    assert!(why.iter().any(|said| said.contains("ES/1") && said.contains(&down)), "{down}: {why:?}");
    assert!(scorer["production"].as_u64() > Some(0), "it spoke: {scorer}");
}

#[test]
fn a_version_of_real_trades_that_is_forced_to_production_is_taken_down_by_the_guardian_who_says_why() {
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
