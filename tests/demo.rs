//! The demonstration: the real daemon tells the story that its pure core tells, and over many seeds what is promised holds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the tests share may fail loudly"
)]

#[path = "common/core.rs"]
mod core;

use std::{fs, process::Command};

use core::Core;
use vigie::{
    config::Config,
    domain::Symbol,
    sim::{Scenario, Venue, demo::Demo},
};

/// As the demonstration is configured, with less effort for validations.
const QUICK: &str = "training.min_test_trades = 100\nvalidation.bootstrap = 2\nvalidation.null = 20\n\
    validation.importance = 2\nexperiment.resamples = 100\n";
/// As the demonstration is configured.
const SHOWN: &str = "training.min_test_trades = 100\nvalidation.bootstrap = 60\nvalidation.null = 60\n\
    validation.importance = 5\n";

fn config(text: &str) -> Config {
    Config::parse("test", text).unwrap()
}

fn demo(scenario: Scenario, seed: u64, months: u32) -> Demo {
    let config = Config::builtin().unwrap();
    let symbol = Symbol::new("ES").unwrap();
    let instrument = config.symbols[&symbol];
    Demo::new(scenario, seed, months, Venue { symbol, instrument, calendar: config.calendar.clone() }).unwrap()
}

/// The sentences of a demonstration on the pure core, and what was checked.
fn play(scenario: Scenario, seed: u64, months: u32, text: &str) -> (Vec<String>, Vec<(String, String, bool)>) {
    let (mut demo, mut core) = (demo(scenario, seed, months), Core::new(config(text)));
    core.play(&mut demo);
    let story = demo.news().into_iter().map(|(at, sentence)| format!("{} {sentence}", at.strftime("%Y-%m-%d")));
    let checks = demo.checks(&core.found).into_iter().map(|check| (check.what, check.found, check.ok));
    (story.collect(), checks.collect())
}

fn seeds(short: u64) -> std::ops::RangeInclusive<u64> {
    let long = std::env::var_os("VIGIE_LONG").is_some();
    1..=if long { 200 } else { short }
}

/// What should have happened, what did, and whether that is it.
type Checks = Vec<(String, String, bool)>;

/// Plays all seeds on all processors.
fn hunt(scenario: Scenario, months: u32, short: u64) -> Vec<(u64, Checks)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<u64> = seeds(short).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let played = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = all.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let (_, checks) = play(scenario, *seed, months, QUICK);
                    played.lock().unwrap().push((*seed, checks));
                }
            });
        }
    });
    played.into_inner().unwrap()
}

fn ok(checks: &[(String, String, bool)], what: &str) -> bool {
    checks.iter().find(|(name, ..)| name.contains(what)).unwrap_or_else(|| panic!("{what}: {checks:?}")).2
}

#[test]
fn where_nothing_can_be_foretold_nothing_is_promoted() {
    let played = hunt(Scenario::NoEdge, 6, 2);
    let promoted: Vec<_> = played.iter().filter(|(_, checks)| !ok(checks, "no version earns production")).collect();
    let refused = played.iter().filter(|(_, checks)| ok(checks, "is refused")).count();
    println!("no-edge: {} of {} seeds promoted a version, {refused} refused one", promoted.len(), played.len());
    assert!(promoted.is_empty(), "{promoted:?}");
    assert!(played.iter().all(|(_, checks)| ok(checks, "has a word while")));
}

#[test]
fn where_there_is_something_to_foretell_a_version_is_promoted() {
    let played = hunt(Scenario::Happy, 12, 2);
    let missed: Vec<_> =
        played.iter().filter(|(_, checks)| !ok(checks, "earns production")).map(|(seed, _)| seed).collect();
    let disturbed: Vec<_> =
        played.iter().filter(|(_, checks)| !ok(checks, "taken down")).map(|(seed, _)| seed).collect();
    println!("happy: none promoted in {missed:?}, taken down in {disturbed:?}, of {} seeds", played.len());
    assert!(missed.len() * 20 <= played.len(), "{missed:?} of {}", played.len());
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_one_another() {
    let [once, again, other] = [1, 1, 2].map(|seed| play(Scenario::Crash, seed, 2, QUICK));
    assert_eq!(once, again);
    assert_ne!(once.0, other.0);
}

#[test]
fn the_daemon_tells_the_story_that_its_pure_core_tells() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigie"));
    command.args(["demo", "--scenario", "crash", "--months", "2", "--seed", "1"]).current_dir(folder.path());
    let output = command.env("TMPDIR", folder.path()).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    // a sentence may go over several lines
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let is_measured = |line: &&str| line.trim_start().starts_with("measured");
    let told = words(&told.lines().filter(|line| !is_measured(line)).collect::<Vec<_>>().join("\n")).join(" ");
    let (story, _) = play(Scenario::Crash, 1, 2, SHOWN);
    assert!(story.len() > 5, "{story:?}");
    for sentence in &story {
        let sentence = words(sentence).join(" ");
        assert!(told.contains(&sentence) || sentence.contains("was killed"), "{sentence}\nis not in\n{told}");
    }
    // a version cannot come back in so short a time, and the demonstration says so
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(fs::read_to_string(folder.path().join("vigie-demo.html")).unwrap().contains("The life of a model: crash"));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["vigie-demo.html"], "the daemon's folder is gone");
}
