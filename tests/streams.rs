//! What commands hold in memory of a long journal: little of each trade, and none of its snapshots.
//!
//! `VIGIE_LONG=1` takes journals of 50,000 and 200,000 trades instead of 3,000 and 12,000, prints the peak of each command, and holds
//! each to 150 MiB. The figures are those of the program that is tested: an optimised one is meant.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, process::Stdio, time::Duration};

use common::{
    long::cases,
    place::{CONFIG, Place, examples, model},
    process::vigie,
    wait::until_passed,
};
use serde_json::json;
use vigie::{
    clock::Stopwatch,
    domain::{
        Arm, Decision, Opinion, Outcome, Probability, Reason, SignalLine, Split, Timestamp, TradeId, VersionId,
        lifecycle::State,
    },
    journal::{OutcomeRecord, SignalRecord, Source, Write},
    models::VersionRecord,
};

/// Most MiB of a command on 200,000 trades.
const MOST: usize = 150;
/// The same on the shorter journals of an export of snapshots, of which a part of the rows is in memory.
const MOST_OF_A_PART: usize = 100;
/// Most bytes that a command may hold of a trade. A snapshot takes two to three thousand.
const MOST_OF_A_TRADE: usize = 1_600;
/// Hardly a page of the journal in memory, and limits that are drawn soon.
const LITTLE: &str = "journal.cache_mib = 1\nmonitor.budget_resamples = 20\n";
/// Records that are written at once.
const BATCH: usize = 2_000;

/// An example signal under another name and time, its line without its outcome, and how it was closed.
fn example(line: &str, name: &str, at: Timestamp) -> (SignalLine, String, Outcome) {
    let (signal, _) = line.split_once(",\"outcome_metrics\"").unwrap();
    let fields = signal.find("\"symbol\"").unwrap();
    let text = format!("{{\"trade_id\":\"{name}\",\"at\":\"{at}\",{}}}", &signal[fields..]);
    let before = SignalLine::parse(line.as_bytes()).unwrap();
    let outcome = before.outcome.unwrap();
    let exit_at = at + outcome.exit_at.duration_since(before.signal.at);
    (SignalLine::parse(text.as_bytes()).unwrap(), text, Outcome { exit_at, ..outcome })
}

/// Of a quarter of the trades a file told, in the time that ES/1 learnt from; ES/1 spoke to the others, let a third of them go, and
/// every tenth was held back from it.
fn journal(place: &Place, trades: usize) {
    let lines = examples();
    let version: VersionId = "ES/1".parse().unwrap();
    let imported = trades / 4;
    let mut past = place.open();
    for first in (0..imported).step_by(BATCH) {
        let writes = (first..imported.min(first + BATCH)).map(|n| {
            let line = &lines[n % lines.len()];
            let own = SignalLine::parse(line.as_bytes()).unwrap().signal.at;
            let at = own + Duration::from_millis(n as u64);
            let (mut parsed, text, outcome) = example(line, &format!("P-{n}"), at);
            parsed.outcome = Some(outcome);
            Write::past_trade(parsed, text.into_bytes(), "2025-11-01T12:00:00Z".parse().unwrap())
        });
        past.apply(&writes.collect::<Vec<_>>()).unwrap();
    }
    past.close().unwrap();
    let created_at = "2025-11-01T13:00:00Z".parse().unwrap();
    let record = VersionRecord { created_at, ..model().clone() };
    place.register("ES/1", record.to_bytes().unwrap(), State::Production);
    let mut store = place.open();
    for first in (imported..trades).step_by(BATCH) {
        let writes = (first..trades.min(first + BATCH)).flat_map(|n| {
            let begin: Timestamp = "2025-11-03T15:00:00Z".parse().unwrap();
            let at = begin + Duration::from_secs(60 * (n - imported) as u64);
            let (parsed, text, outcome) = example(&lines[n % lines.len()], &format!("L-{n}"), at);
            let trade_id = TradeId::new(format!("L-{n}")).unwrap();
            let score = Probability::new(0.3 + 0.6 * ((n * 7919) % 1000) as f64 / 1000.0).unwrap();
            let confidence = parsed.signal.confidence;
            let (held_back, size) = (n.is_multiple_of(10), if score.get() > 0.5 { 1.0 } else { 0.0 });
            let arm = if held_back { Arm::Baseline } else { Arm::Ml };
            let split = Some(Split { arm, share: 0.9 });
            let decision = if held_back {
                Decision::baseline(trade_id.clone(), confidence, Some(version.clone()), Reason::Holdback)
            } else {
                let (confidence, model) = (Some(score), Some(version.clone()));
                Decision { trade_id: trade_id.clone(), arm, confidence, score, size, model, reason: Reason::Production }
            };
            let (traded, source) = (decision.size > 0.0, Source::Live);
            let signal = Write::Signal(SignalRecord {
                trade_id: trade_id.clone(),
                received_at: at,
                source,
                decision: Some(decision),
                opinions: vec![Opinion { version: version.clone(), split, score: Some(score), size }],
                latency_us: Some(90),
                line: text.into_bytes(),
            });
            let exit_at = at + Duration::from_secs(50);
            let outcome = Outcome { exit_at, ..outcome };
            let record = OutcomeRecord { trade_id, received_at: exit_at, source, echo: None, outcome };
            [Some(signal), traded.then(|| Write::Outcome(Box::new(record)))].into_iter().flatten()
        });
        store.apply(&writes.collect::<Vec<_>>()).unwrap();
    }
    store.close().unwrap();
}

/// The most memory that a command held, in bytes, and how long it took in seconds.
fn peak(place: &Place, arguments: &[&str]) -> (usize, f64) {
    let since = Stopwatch::start();
    let mut child = vigie(place, arguments).stdout(Stdio::null()).spawn().unwrap();
    let mut most = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let held = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        most = held.map_or(most, |held| 1024 * held.parse::<usize>().unwrap());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        until_passed(Stopwatch::start(), Duration::from_millis(1));
    };
    assert!(status.success() && most > 0, "{arguments:?}: {status}");
    (most, since.elapsed().as_secs_f64())
}

/// Holds a command on a long journal against the same on one of a quarter of its trades.
fn holds_little(commands: &[&[&str]]) {
    let [short, long] = cases([3_000, 12_000], [50_000, 200_000]);
    let places = [short, long].map(|trades| {
        let place = Place::new();
        place.file("config.toml", &format!("{CONFIG}{LITTLE}"));
        place.file("other.toml", &format!("{CONFIG}{LITTLE}[guardian]\nmax_loss_streak = 9\n"));
        journal(&place, trades);
        place
    });
    for command in commands {
        let [(few, _), (many, seconds)] = places.each_ref().map(|place| peak(place, command));
        let grown = many.saturating_sub(few) / (long - short);
        println!(
            "{}",
            json!({ "command": command[0], "trades": long, "peak_mib": many >> 20, "bytes_a_trade": grown, "s": seconds })
        );
        assert!(grown < MOST_OF_A_TRADE, "{command:?}: {grown} bytes a trade, {few} and {many}");
        assert!(many >> 20 < MOST, "{command:?}: {many} bytes");
    }
}

#[test]
fn what_reads_all_trades_once_holds_little_of_each() {
    holds_little(&[
        &["dataset", "--state", "state", "--config", "config.toml"],
        &["export", "--state", "state", "--config", "config.toml"],
        &["export", "--state", "state", "--config", "config.toml", "--format", "pickle"],
        &["export", "--state", "state", "--config", "config.toml", "--format", "parquet"],
        &["impact", "--state", "state", "--config", "config.toml"],
        &["phases", "--state", "state", "--config", "config.toml"],
        &["report", "--state", "state", "--config", "config.toml"],
        &["power", "--state", "state", "--config", "config.toml"],
    ]);
}

#[test]
fn what_tries_rules_on_the_past_holds_little_of_each_trade() {
    holds_little(&[
        &["drill", "--state", "state", "--config", "config.toml", "--runs", "2", "--trades", "100"],
        &["tune", "--state", "state", "--in-force", "config.toml", "--config", "other.toml"],
    ]);
}

#[test]
fn an_export_of_snapshots_holds_no_more_than_a_part_of_them() {
    let place = Place::new();
    place.file("config.toml", &format!("{CONFIG}{LITTLE}"));
    journal(&place, 12_000);
    let arguments =
        ["export", "--state", "state", "--config", "config.toml", "--what", "snapshots", "--format", "parquet"];
    let (held, _) = peak(&place, &arguments);
    assert!(held >> 20 < MOST_OF_A_PART, "{held} bytes");
}
