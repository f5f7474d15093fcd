//! The demonstration: the real daemon tells the story that its pure core tells, and over many seeds what is promised holds.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the tests share may fail loudly"
)]

#[path = "common/core.rs"]
mod core;
#[path = "common/long.rs"]
mod long;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use core::Core;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use vigie::{
    config::Config,
    domain::{
        Event, EventKind, Symbol, Timestamp, VersionId,
        event::{By, Level},
        lifecycle::Transition,
        trip::{Breach, Rule, Trip, Unit},
    },
    sim::{
        Scenario, Venue,
        demo::{Demo, Ledger, SETTINGS, Step},
    },
};

/// As the demonstration is configured, with less effort for validations.
const QUICK: &str = "training.min_test_trades = 100\nvalidation.bootstrap = 2\nvalidation.null = 20\n\
    validation.importance = 2\nexperiment.resamples = 100\n";

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
    let checks = demo.checks(&core.found).into_iter().map(|check| {
        let ok = check.ok();
        (check.what, check.found, ok)
    });
    (story.collect(), checks.collect())
}

/// What should have happened, what did, and whether that is it.
type Checks = Vec<(String, String, bool)>;

/// Plays all seeds on all processors.
fn hunt(scenario: Scenario, months: u32, short: u64) -> Vec<(u64, Checks)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let all: Vec<u64> = (1..=long::cases(short, 200)).collect();
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
    assert!(played.iter().all(|(_, checks)| ok(checks, "influences an answer while")));
}

#[test]
fn where_there_is_something_to_foretell_a_version_is_promoted() {
    let played = hunt(Scenario::Happy, 12, 2);
    let missed: Vec<_> =
        played.iter().filter(|(_, checks)| !ok(checks, "earns production")).map(|(seed, _)| seed).collect();
    let disturbed: Vec<_> =
        played.iter().filter(|(_, checks)| !ok(checks, "is taken down")).map(|(seed, _)| seed).collect();
    println!("happy: none promoted in {missed:?}, taken down in {disturbed:?}, of {} seeds", played.len());
    assert!(missed.len() * 20 <= played.len(), "{missed:?} of {}", played.len());
}

#[test]
fn the_same_seed_tells_the_same_story_and_another_one_another() {
    let [once, again, other] = std::thread::scope(|scope| {
        [1, 1, 2]
            .map(|seed| scope.spawn(move || play(Scenario::Crash, seed, 2, QUICK)))
            .map(|played| played.join().unwrap())
    });
    assert_eq!(once, again);
    assert_ne!(once.0, other.0);
}

/// What `vigie demo` prints, word by word, without what was measured.
fn told(scenario: &str, folder: &std::path::Path) -> (String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigie"));
    command.args(["demo", "--scenario", scenario, "--months", "2", "--seed", "1"]).current_dir(folder);
    let output = command.env("TMPDIR", folder).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let is_measured = |line: &&str| line.trim_start().starts_with("measured");
    let lines: Vec<&str> = told.lines().filter(|line| !is_measured(line)).collect();
    (words(&lines.join(" ")), output.status.code())
}

/// A sentence may go over several lines.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_daemon_tells_the_story_that_its_pure_core_tells() {
    let folder = tempfile::tempdir().unwrap();
    let (text, code) = told("no-edge", folder.path());
    let (story, checks) = play(Scenario::NoEdge, 1, 2, SETTINGS);
    assert!(story.len() > 4 && checks.iter().all(|(.., ok)| *ok), "{story:?} {checks:?}");
    for sentence in &story {
        assert!(text.contains(&words(sentence)), "{sentence}\nis not in\n{text}");
    }
    assert_eq!(code, Some(0), "{text}");
    assert!(
        fs::read_to_string(folder.path().join("vigie-demo.html")).unwrap().contains("The life of a model: no-edge")
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["vigie-demo.html"], "the daemon's folder is gone");
}

/// Interrupts a demonstration when it has told so many lines.
fn interrupted_after(lines: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vigie"));
    command.args(["demo", "--scenario", "no-edge", "--months", "12"]).env("TMPDIR", folder.path());
    command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = told.by_ref().take(lines).last().unwrap().unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    told.for_each(drop);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*said), (Some(1), "vigie: interrupted; the daemon is stopped\n"), "{last}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "its folder is gone");
}

#[test]
fn an_interrupt_at_any_moment_says_so_and_nothing_else_and_leaves_nothing_behind() {
    std::thread::scope(|scope| {
        for lines in [9, 12, 16, 20] {
            scope.spawn(move || interrupted_after(lines));
        }
    });
}

fn trained(version: &VersionId) -> EventKind {
    EventKind::Trained { version: version.clone(), evidence: Default::default() }
}

fn moved(version: &VersionId, step: Transition) -> EventKind {
    let (version, by, evidence) = (version.clone(), By::Uid(0), Default::default());
    EventKind::Moved { version, step, reason: String::new(), by, overridden: false, evidence }
}

/// The events of a story that tells what silences models.
fn silencing(trip: Option<Breach>) -> EventKind {
    match trip {
        Some(breach) => {
            let at: Timestamp = "2026-03-02T15:00:00Z".parse().unwrap();
            let day = Config::builtin().unwrap().calendar.day_of(at);
            EventKind::Latched { trip: Box::new(Trip { at, day, version: None, breach }) }
        }
        None => EventKind::Locked { reason: "a test".to_owned(), by: By::Daemon("ab_router".into()), until: None },
    }
}

#[test]
fn emergencies_and_locks_are_told_apart_and_alarms_are_held_against_what_is_true() {
    let mut demo = demo(Scenario::Happy, 1, 12);
    let version: VersionId = "ES/1".parse().unwrap();
    let told = demo.false_alarms(1.0);
    assert!(told.starts_with("0 alarms of drift while nothing had drifted, against 0.0 that"), "{told}");
    let mut seq = 0;
    let mut happens = |demo: &mut Demo, at: &str, kind: EventKind| {
        seq += 1;
        demo.event(seq, &Event { at: at.parse().unwrap(), kind });
    };
    let resumed = || EventKind::Resumed { reason: "a test".to_owned(), by: By::Uid(0), same_day: false };
    let breach = Breach::above(Rule::named("day_loss"), Unit::Number, 3000.0, 2000.0);
    happens(&mut demo, "2026-03-02T15:00:00Z", silencing(breach));
    happens(&mut demo, "2026-03-03T15:00:00Z", resumed());
    assert!(demo.lead(&[]).contains("; one emergency silenced the models"), "{}", demo.lead(&[]));
    for day in ["04", "06"] {
        happens(&mut demo, &format!("2026-03-{day}T15:00:00Z"), silencing(None));
        happens(&mut demo, &format!("2026-03-{day}T16:00:00Z"), resumed());
    }
    assert!(demo.lead(&[]).contains("; one emergency and 2 locks silenced the models"), "{}", demo.lead(&[]));
    // a good version that was silenced by a lock was disturbed, by an emergency of the account it was not
    let undisturbed = |demo: &Demo| {
        let checks = demo.checks(&Ledger::default());
        checks.into_iter().find(|check| check.what.contains("no good version")).unwrap().ok()
    };
    assert!(!undisturbed(&demo));
    // nothing ever drifts here: the alarms of a version that is watched are false, and so many a quarter are budgeted
    let alarm = || EventKind::Alert {
        level: Level::Warning,
        code: "drift".into(),
        message: "ES/1 x: drift 1.10 of its limit".to_owned(),
    };
    let step = |step| moved(&version, step);
    happens(&mut demo, "2025-01-01T00:00:00Z", trained(&version));
    happens(&mut demo, "2025-01-01T00:00:00Z", step(Transition::Validate));
    happens(&mut demo, "2025-01-02T00:00:00Z", step(Transition::Stage));
    happens(&mut demo, "2025-07-03T15:00:00Z", step(Transition::ArchiveStaging));
    while demo.next_step() != Step::Over {}
    (0..3).for_each(|_| happens(&mut demo, "2025-03-05T00:00:00Z", alarm()));
    let told = demo.false_alarms(1.0);
    assert!(told.starts_with("3 alarms of drift while nothing had drifted, against 2.0 that"), "{told}");
}

#[test]
fn a_version_that_is_validated_again_is_not_called_a_new_one() {
    for (born, which) in [("2025-06-01", "the one from before, validated again"), ("2026-11-02", "trained since")] {
        let mut demo = demo(Scenario::Crash, 1, 12);
        let version: VersionId = "ES/1".parse().unwrap();
        demo.event(1, &Event { at: format!("{born}T00:00:00Z").parse().unwrap(), kind: trained(&version) });
        let steps = [
            Transition::Validate,
            Transition::Stage,
            Transition::StartTest,
            Transition::RollBackTest,
            Transition::Revalidate,
            Transition::Validate,
            Transition::Stage,
            Transition::StartTest,
        ];
        for (seq, kind) in (2..).zip(steps.map(|step| moved(&version, step))) {
            demo.event(seq, &Event { at: format!("2026-11-{:02}T00:00:00Z", seq + 1).parse().unwrap(), kind });
        }
        let checks = demo.checks(&Ledger::default());
        let found = &checks.iter().find(|check| check.what.contains("is tried")).unwrap().found;
        assert!(found.starts_with(&format!("ES/1, {which}: under test, and no further,")), "{found}");
    }
}

#[test]
fn a_daemon_that_is_killed_in_a_test_goes_on_as_if_it_had_not_been_and_tells_the_same_twice() {
    let told = || told("crash", tempfile::tempdir().unwrap().path());
    let ((once, code), (twice, _)) = std::thread::scope(|scope| {
        let once = scope.spawn(told);
        let twice = told();
        (once.join().unwrap(), twice)
    });
    assert!(once.contains("killed like by a power cut and started again: all stands as it stood"), "{once}");
    // what is to happen in that scenario takes more than two months, and it says so
    assert_eq!(code, Some(1), "{once}");
    assert_eq!(twice, once);
    // up to where the monitor, which the core does not have, may say something
    let (story, _) = play(Scenario::Crash, 1, 2, SETTINGS);
    let begins = story.iter().position(|sentence| sentence.contains("its A/B test begins")).unwrap();
    for sentence in &story[..=begins] {
        assert!(once.contains(&words(sentence)), "{sentence}\nis not in\n{once}");
    }
}
