//! Every command that reads the journal says the same of one whose old records are archived, and refuses one that lacks a file.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, process::Output};

use common::{
    place::{CONFIG, Place, examples},
    process::{succeed, vigie},
};
use vigie::{
    domain::{Arm, Decision, Opinion, Probability, Reason, SignalLine, Split, lifecycle::State},
    journal::{ARCHIVE_FOLDER, OutcomeRecord, SignalRecord, Source, Write},
};

/// Commands, each of which prints or writes the same.
const COMMANDS: [&[&str]; 13] = [
    &["export", "--config", "config.toml"],
    &["export", "--format", "pickle", "--config", "config.toml"],
    &["export", "--format", "parquet", "--config", "config.toml", "--output", "out"],
    &["export", "--what", "snapshots", "--config", "config.toml"],
    &["export", "--what", "snapshots", "--format", "parquet", "--config", "config.toml", "--output", "out"],
    &["impact", "--json", "--config", "config.toml"],
    &["impact", "--json", "--config", "config.toml", "--before", "2025-08-01", "--since", "2025-08-01"],
    &["report", "--json", "--config", "config.toml", "--since", "2025-09-01", "--until", "2025-12-31"],
    &["power", "--json", "--config", "config.toml"],
    &["tune", "--json", "--config", "other.toml", "--in-force", "config.toml"],
    &["drill", "--json", "--version", "ES/1", "--runs", "4", "--trades", "200", "--config", "config.toml"],
    &["train", "--dry-run", "--json", "--config", "config.toml"],
    &["validate", "ES/1", "--json", "--config", "config.toml"],
];

/// A journal with the example trades as they came one by one, the later half answered by a model or held back from it.
fn place() -> Place {
    let place = Place::with_model(State::Production);
    place.file("config.toml", CONFIG);
    place.file("other.toml", &format!("{CONFIG}guardian.max_loss_streak = 3\n"));
    let all = examples();
    let mut store = place.open();
    let mut writes = Vec::new();
    for (n, line) in all.iter().enumerate() {
        let mut parsed = SignalLine::parse(line.as_bytes()).unwrap();
        let (trade_id, received_at) = (parsed.signal.trade_id.clone(), parsed.signal.at);
        let outcome = parsed.outcome.take();
        let arm = if n % 3 == 0 { Arm::Baseline } else { Arm::Ml };
        let score = Probability::new(0.3 + 0.004 * (n % 100) as f64).unwrap();
        let version = "ES/1".parse().unwrap();
        let opinion = Opinion { version, split: Some(Split { arm, share: 1.0 }), score: Some(score), size: 1.0 };
        let decision = Decision {
            trade_id: trade_id.clone(),
            arm,
            confidence: parsed.signal.confidence,
            score,
            size: 1.0,
            model: (arm == Arm::Ml).then(|| opinion.version.clone()),
            reason: if arm == Arm::Ml { Reason::Production } else { Reason::Holdback },
        };
        let was_answered = n > all.len() / 2;
        writes.push(Write::Signal(SignalRecord {
            trade_id: trade_id.clone(),
            received_at,
            source: if was_answered { Source::Live } else { Source::Import },
            decision: was_answered.then_some(decision),
            opinions: if was_answered { vec![opinion] } else { Vec::new() },
            latency_us: None,
            line: line.clone().into_bytes(),
        }));
        if let Some(outcome) = outcome {
            let source = if was_answered { Source::Live } else { Source::Import };
            let record = OutcomeRecord { trade_id, received_at: outcome.exit_at, source, echo: None, outcome };
            writes.push(Write::Outcome(Box::new(record)));
        }
    }
    writes.chunks(200).for_each(|writes| drop(store.apply(writes).unwrap()));
    store.close().unwrap();
    place
}

/// Runs a command on a state folder of the place. What it says of times that it measured itself is left out.
fn run(place: &Place, state: &str, command: &[&str]) -> (Output, Vec<u8>) {
    let out = place.folder().join("out");
    let _there_may_be_none = fs::remove_file(&out);
    let output = vigie(place, &[command, &["--state", state]].concat()).output().unwrap();
    (output, fs::read(out).unwrap_or_default())
}

#[test]
fn every_command_says_the_same_after_an_archiving_and_refuses_a_journal_that_lacks_a_file_by_its_name() {
    let place = place();
    let copy = place.folder().join("archived");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(place.state()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    std::os::unix::fs::PermissionsExt::set_mode(&mut fs::metadata(&copy).unwrap().permissions(), 0o700);
    let archived = ["archive", "--state", "archived", "--before", "2025-10-10", "--config", "config.toml", "--json"];
    let said: serde_json::Value = serde_json::from_slice(&succeed(&place, &archived).stdout).unwrap();
    assert_eq!(said["files"].as_array().unwrap().len(), 10, "{said}");
    assert!(said["journal_bytes"]["after"].as_u64() < said["journal_bytes"]["before"].as_u64(), "{said}");
    for command in COMMANDS {
        let (before, wrote_before) = run(&place, "state", command);
        let (after, wrote_after) = run(&place, "archived", command);
        assert!(before.status.success(), "{command:?}: {before:?}");
        assert!(!before.stdout.is_empty() || !wrote_before.is_empty(), "{command:?}");
        let text = |output: &Output| String::from_utf8_lossy(&output.stdout).replace("archived", "state");
        assert_eq!(text(&after), text(&before), "{command:?}");
        assert!(wrote_after == wrote_before, "{command:?}");
    }
    let file = fs::read_dir(copy.join(ARCHIVE_FOLDER)).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    let (name, whole) = (file.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&file).unwrap());
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for bytes in [None, Some(&changed)] {
        match bytes {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        for command in COMMANDS {
            let (refused, wrote) = run(&place, "archived", command);
            let why = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(
                (refused.status.code(), refused.stdout.len(), wrote.len()),
                (Some(1), 0, 0),
                "{command:?}: {why}"
            );
            assert!(why.contains(&name) && why.contains("put the right file there"), "{command:?}: {why}");
        }
    }
    fs::write(&file, whole).unwrap();
    succeed(&place, &["archive", "--state", "archived", "--check", "--config", "config.toml"]);
}
