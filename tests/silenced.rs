//! The file of silencing events: a journal that does not know of a rollback any more brings no model back.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use common::{
    daemon::{Daemon, Setup, Trap},
    place::{CONFIG, Place},
    process::Process,
    wait::until,
    wire::{LOCK, RESUME, Wire, arm_of, baseline, ml, outcome, rollback, score},
};
use serde_json::Value;
use vigie::{
    actors::daemon::{JOURNAL_FILE, REACHED_FILE, SILENCE_FILE},
    domain::{
        Event, EventKind, Timestamp,
        event::By,
        lifecycle::{State, Transition},
    },
    journal::{SilenceFile, Write},
};

const KILL: &str = r#"{"type":"kill","reason":"a test"}"#;
/// One loss of 500 is an emergency.
const STRICT: &str = "[guardian]\nliteral = true\nmin_accuracy = 0\ndaily_loss_limit = 100\ndaily_loss_factor = 1\n";

fn setup() -> Setup {
    Setup { config: format!("{CONFIG}{STRICT}"), ..Setup::default() }
}

fn silenced(place: &Place) -> PathBuf {
    place.state().join(SILENCE_FILE)
}

/// The lines of the file behind its checkpoint.
fn lines(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(silenced(place)).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Why serving is locked.
fn lock(wire: &mut Wire) -> String {
    wire.status()["guardian"]["lock"].as_str().unwrap_or("not locked").to_owned()
}

/// The folder as a `kill -9` would leave it now, or a copy of it.
fn copy(from: &Path) -> Place {
    let to = Place::new();
    fs::create_dir_all(to.state()).unwrap();
    for name in [JOURNAL_FILE, SILENCE_FILE] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.state().join(name)).unwrap();
        }
    }
    to
}

/// Starts on `place`: it must be locked for a reason that says `named`, at this start and at the next.
fn starts_locked(place: &Place, named: &[&str]) {
    for start in 1..=2 {
        let daemon = Daemon::start_with(place, setup());
        let mut wire = daemon.connect();
        assert_eq!(wire.arm("after"), baseline("locked"), "start {start}");
        let reason = lock(&mut wire);
        named.iter().for_each(|named| assert!(reason.contains(named), "start {start}: {named:?} is not in {reason:?}"));
        daemon.stop();
    }
    let locks = |kind: &EventKind| matches!(kind, EventKind::Locked { reason, .. } if reason.contains(named[0]));
    assert_eq!(place.events().iter().filter(|kind| locks(kind)).count(), 1, "it is recorded once");
}

#[test]
fn a_folder_in_the_place_of_the_file_is_put_aside_and_the_start_is_locked() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    daemon.connect().ask_ok(LOCK);
    daemon.stop();
    fs::remove_file(silenced(&place)).unwrap();
    fs::create_dir(silenced(&place)).unwrap();
    fs::write(silenced(&place).join("kept"), "x").unwrap();
    starts_locked(&place, &["this file was gone when the daemon started"]);
    let aside = place.state().join("vigie.silenced.aside-1");
    assert!(aside.join("kept").is_file() && silenced(&place).is_file());
}

#[test]
fn a_journal_restored_from_before_what_silenced_starts_locked_and_names_it() {
    let silence = |wire: &mut Wire, how: &str| match how {
        "kill" => drop(wire.ask_ok(KILL)),
        "rollback" => drop(wire.ask_ok(rollback("ES/1"))),
        "lock" => drop(wire.ask_ok(LOCK)),
        _ => {
            wire.ask_ok(score("T-1"));
            assert_eq!(wire.ask_ok(outcome("T-1", -500.0))["silenced"][0], "ES/1");
        }
    };
    let ways = [
        ("rollback", "ES/1 left production, rolled_back: a test"),
        ("kill", "locked: killed: a test"),
        ("lock", "locked: a test"),
        ("emergency", "day_loss"),
    ];
    for (how, named) in ways {
        let place = Place::with_model(State::Production);
        Daemon::start_with(&place, setup()).stop();
        let before = fs::read(place.journal()).unwrap();
        let daemon = Daemon::start_with(&place, setup());
        let mut wire = daemon.connect();
        assert_eq!(wire.arm("before"), ml());
        silence(&mut wire, how);
        daemon.stop();
        fs::write(place.journal(), before).unwrap();
        starts_locked(&place, &["the journal lacks what silenced models: ", named]);
    }
}

#[test]
fn a_resume_clears_the_disagreement_for_good_and_is_recorded() {
    let place = Place::with_model(State::Production);
    Daemon::start_with(&place, setup()).stop();
    let before = fs::read(place.journal()).unwrap();
    let daemon = Daemon::start_with(&place, setup());
    daemon.connect().ask_ok(rollback("ES/1"));
    daemon.stop();
    fs::write(place.journal(), before).unwrap();
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    assert!(lock(&mut wire).contains("ES/1 left production"), "{}", lock(&mut wire));
    until("a resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
    assert_eq!(wire.arm("resumed"), ml(), "a person said so");
    daemon.stop();
    assert!(lines(&place).iter().all(|line| line.starts_with("2 ")), "{:?}", lines(&place));
    assert!(place.events().iter().any(|kind| matches!(kind, EventKind::Resumed { .. })));
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(daemon.connect().arm("later"), ml());
    daemon.stop();
    // what took the model out meanwhile is still compared
    let lines = lines(&place);
    assert!(lines.len() == 1 && lines[0].contains("locked: the journal lacks"), "{lines:?}");
}

#[test]
fn a_flipped_commit_slot_brings_no_model_back_that_was_rolled_back() {
    let place = Place::with_model(State::Production);
    let mut daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("before"), ml());
    assert_eq!(wire.ask_ok(rollback("ES/1"))["durable"], true);
    daemon.kill();
    let mut journal = fs::read(place.journal()).unwrap();
    // the bit that says which of redb's two commit slots is the present one
    journal[9] ^= 1;
    fs::write(place.journal(), journal).unwrap();
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("after"), baseline("locked"));
    assert!(lock(&mut wire).contains("ES/1 left production, rolled_back: a test"), "{}", lock(&mut wire));
    daemon.stop();
}

#[test]
fn what_is_on_its_way_to_the_journal_when_it_is_killed_silences_at_the_next_start() {
    let (place, trap) = (Place::with_model(State::Production), Trap::default());
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), ..setup() });
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("before"), ml());
    until("a quiet journal", || (wire.status()["journal"]["waiting"] == 0).then_some(()));
    trap.hold_journal();
    wire.send(format!("{}\n", rollback("ES/1")));
    trap.await_held();
    // held before the commit of anything: what it holds may be the signal, so it is let go until the rollback is here
    let copied = until("the rollback", || {
        let copied = copy(&place.state());
        if lines(&copied).iter().any(|line| line.contains("ES/1 left")) {
            return Some(copied);
        }
        trap.release();
        trap.hold_journal();
        None
    });
    trap.release();
    wire.answer();
    daemon.stop();
    starts_locked(&copied, &["the journal lacks what silenced models: ", "ES/1 left production, rolled_back: a test"]);
}

#[test]
fn a_last_line_that_was_cut_off_is_no_damage_and_any_other_line_is() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    wire.ask_ok(LOCK);
    wire.ask_ok(RESUME);
    wire.ask_ok(LOCK);
    wire.ask_ok(RESUME);
    daemon.stop();
    let whole = fs::read(silenced(&place)).unwrap();
    assert_eq!(lines(&place).len(), 2);
    let start = |text: &[u8]| {
        let copied = copy(&place.state());
        fs::write(silenced(&copied), text).unwrap();
        let daemon = Daemon::start_with(&copied, setup());
        let answer = (daemon.connect().arm("after"), lock(&mut daemon.connect()));
        daemon.stop();
        (answer.0, answer.1, copied)
    };
    let torn = [&whole[..], b"3 0011223344"].concat();
    let (arm, reason, copied) = start(&torn);
    assert_eq!(arm, ml(), "{reason}");
    assert_eq!(lines(&copied).len(), 2, "what was cut off is gone");
    let (arm, reason, _) = start(&whole[..whole.len() - 1]);
    assert_eq!(arm, ml(), "{reason}");
    for place in [3, whole.len() / 2, whole.len() - 5] {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        let (arm, reason, copied) = start(&flipped);
        assert_eq!(arm, baseline("locked"), "byte {place}: {reason}");
        assert!(reason.contains("the file of silencing events is damaged"), "byte {place}: {reason}");
        let daemon = Daemon::start_with(&copied, setup());
        let mut wire = daemon.connect();
        assert_eq!(lock(&mut wire), reason);
        until("a resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
        daemon.stop();
        let daemon = Daemon::start_with(&copied, setup());
        assert_eq!(daemon.connect().arm("resumed"), ml(), "byte {place}");
        daemon.stop();
    }
    let (arm, reason, _) = start(b"");
    assert_eq!(arm, baseline("locked"), "an empty file: {reason}");
}

#[test]
fn a_file_that_is_gone_locks_and_an_installation_that_never_had_one_gets_it() {
    // the journal of an older version: it has a lock and a resume, and no such file
    let place = Place::with_model(State::Production);
    let by = || By::Uid(0);
    let kinds = [
        EventKind::Locked { reason: "old".into(), by: by(), until: None },
        EventKind::Resumed { reason: "old".into(), by: by(), same_day: false },
    ];
    let events = kinds.map(|kind| Write::Event(Event { at: Timestamp::UNIX_EPOCH, kind }));
    let mut store = place.open();
    store.apply(&events).unwrap();
    store.close().unwrap();
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(daemon.connect().arm("before"), ml());
    daemon.stop();
    assert!(lines(&place)[0].contains("locked: old"), "{:?}", lines(&place));
    fs::remove_file(silenced(&place)).unwrap();
    starts_locked(&place, &["the journal lacks what silenced models: ", "this file was gone when the daemon started"]);
    assert!(lines(&place).iter().any(|line| line.contains("locked: old")), "what the journal knows is there again");
}

#[test]
fn a_file_that_cannot_be_written_is_a_journal_that_cannot_be() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("before"), ml());
    wire.ask_ok(LOCK);
    wire.ask_ok(RESUME);
    // neither the old file nor a new one can be written
    fs::remove_file(silenced(&place)).unwrap();
    let in_the_way = place.state().join(format!("{SILENCE_FILE}.new"));
    fs::create_dir_all(in_the_way.join("full")).unwrap();
    let told = wire.ask_ok(rollback("ES/1"));
    assert_eq!(told["durable"], false, "{told}");
    assert_ne!(arm_of(&wire.ask(score("during"))).0, "ml");
    let status = wire.status();
    assert_eq!(status["journal"]["ok"], false, "{status}");
    assert!(status["journal"]["error"].to_string().contains("silencing events"), "{status}");
    assert!(!silenced(&place).exists());
    fs::remove_dir_all(in_the_way).unwrap();
    until("a journal in order", || (wire.status()["journal"]["ok"] == true).then_some(()));
    until("the rollback on disk", || {
        let moved = |kind: &EventKind| matches!(kind, EventKind::Moved { reason, step, .. } if reason == "a test" && step.edge().1 == State::RolledBack);
        place.events().iter().any(moved).then_some(())
    });
    daemon.stop();
    assert!(lines(&place).iter().any(|line| line.contains("ES/1 left production")), "{:?}", lines(&place));
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(daemon.connect().arm("after"), baseline("no_model"), "and both agree");
    daemon.stop();
}

#[test]
fn the_file_has_a_bound_and_forgets_nothing_that_a_journal_may_lack() {
    let place = Place::new();
    let mut store = place.open();
    let path = silenced(&place);
    let mut file = SilenceFile::open(&path).unwrap();
    let event = |n: i64| {
        let kind = EventKind::Locked { reason: format!("lock {n}\n{}", "x".repeat(500)), by: By::Uid(0), until: None };
        Write::Event(Event { at: Timestamp::from_second(1_700_000_000 + n).unwrap(), kind })
    };
    for n in 1..=700 {
        let write = [event(n)];
        file.record(&write).unwrap();
        // again, as after a commit that failed
        file.record(&write).unwrap();
        store.apply(&write).unwrap();
        file.committed(&write).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.lines().count() <= 513 && text.len() < 300_000,
        "{} lines, {} bytes",
        text.lines().count(),
        text.len()
    );
    assert!(text.lines().last().unwrap().starts_with("700 "), "numbers go on");
    let reader = store.reader().unwrap();
    let mut again = SilenceFile::open(&path).unwrap();
    again.compare(&reader).unwrap();
    assert_eq!(again.disagreement(), None);
    // a journal that lacks the last
    let older = Place::new();
    let mut store = older.open();
    let writes: Vec<Write> = (1..700).map(event).collect();
    store.apply(&writes).unwrap();
    let mut again = SilenceFile::open(&path).unwrap();
    again.compare(&store.reader().unwrap()).unwrap();
    let said = again.disagreement().unwrap();
    assert!(said.contains(": 700 (") && said.contains("locked: lock 700 ") && !said.contains("lock 699"), "{said}");
    // what is not committed yet is never left out
    let mut file = SilenceFile::open(&path).unwrap();
    file.compare(&reader).unwrap();
    file.record(&[event(3_000)]).unwrap();
    for n in 3_001..=3_600 {
        file.record(&[event(n)]).unwrap();
        file.committed(&[event(n)]).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap().contains("locked: lock 3000 "));
}

/// The rollback of a version, at second `n`.
fn rolled_back(version: &str, n: i64) -> Write {
    let (version, step, by) = (version.parse().unwrap(), Transition::RollBack, By::Uid(0));
    let (reason, evidence) = ("against the news".to_owned(), BTreeMap::new());
    let kind = EventKind::Moved { version, step, reason, by, overridden: false, evidence };
    Write::Event(Event { at: Timestamp::from_second(1_700_000_000 + n).unwrap(), kind })
}

/// A lock and its resume, at second `n`.
fn lock_and_resume(n: i64) -> [Write; 2] {
    let at = Timestamp::from_second(1_700_000_000 + n).unwrap();
    let reason = || format!("lock {n}");
    let kinds = [
        EventKind::Locked { reason: reason(), by: By::Uid(0), until: None },
        EventKind::Resumed { reason: reason(), by: By::Uid(0), same_day: false },
    ];
    kinds.map(|kind| Write::Event(Event { at, kind }))
}

#[test]
fn however_much_silences_after_it_the_rollback_of_a_version_is_never_forgotten() {
    let (place, older) = (Place::new(), Place::new());
    let (mut store, mut file) = (place.open(), SilenceFile::open(&silenced(&place)).unwrap());
    let mut write = |write: &Write| {
        let write = std::slice::from_ref(write);
        file.record(write).unwrap();
        store.apply(write).unwrap();
        file.committed(write).unwrap();
    };
    let versions: Vec<String> = (1..=12).map(|n| format!("ES/{n}")).collect();
    versions.iter().zip(0..).for_each(|(version, n)| write(&rolled_back(version, n)));
    (100..700).flat_map(lock_and_resume).for_each(|it| write(&it));
    write(&rolled_back("NQ/1", 3_000));
    (4_000..4_300).flat_map(lock_and_resume).for_each(|it| write(&it));
    let text = fs::read_to_string(silenced(&place)).unwrap();
    assert!(text.lines().count() <= 513, "{} lines", text.lines().count());
    // a journal from before all of that is told of each version that it would let speak, first of all
    let reader = older.open().reader().unwrap();
    let mut file = SilenceFile::open(&silenced(&place)).unwrap();
    file.compare(&reader).unwrap();
    let said = file.disagreement().unwrap();
    versions.iter().for_each(|version| assert!(said.contains(version), "{version} is not in {said}"));
    assert!(said.contains("NQ/1 left production, rolled_back: against the news"), "{said}");
    // a file that is started over learns them from the journal
    fs::remove_file(silenced(&place)).unwrap();
    let mut file = SilenceFile::open(&silenced(&place)).unwrap();
    file.compare(&store.reader().unwrap()).unwrap();
    file.record(&lock_and_resume(6_000)).unwrap();
    let text = fs::read_to_string(silenced(&place)).unwrap();
    versions.iter().for_each(|version| assert!(text.contains(&format!("{version} left")), "{version}"));
}

#[test]
fn a_restore_from_before_a_rollback_locks_and_names_the_version_whatever_was_locked_since() {
    let place = Place::with_model(State::Production);
    Daemon::start_with(&place, setup()).stop();
    let before = fs::read(place.journal()).unwrap();
    let daemon = Daemon::start_with(&place, setup());
    daemon.connect().ask_ok(rollback("ES/1"));
    daemon.stop();
    let (mut store, mut file) = (place.open(), SilenceFile::open(&silenced(&place)).unwrap());
    file.compare(&store.reader().unwrap()).unwrap();
    for write in (0..600).flat_map(lock_and_resume) {
        let write = std::slice::from_ref(&write);
        file.record(write).unwrap();
        store.apply(write).unwrap();
        file.committed(write).unwrap();
    }
    store.close().unwrap();
    fs::write(place.journal(), before).unwrap();
    starts_locked(&place, &["the journal lacks what silenced models: ", "ES/1 left production, rolled_back: a test"]);
}

#[test]
fn a_lock_that_stood_keeps_its_words_beside_those_of_a_start() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    wire.ask_ok(r#"{"type":"lock","reason":"a holiday"}"#);
    daemon.stop();
    let before = fs::read(place.journal()).unwrap();
    let daemon = Daemon::start_with(&place, setup());
    daemon.connect().ask_ok(rollback("ES/1"));
    daemon.stop();
    fs::write(place.journal(), before).unwrap();
    starts_locked(
        &place,
        &["the journal lacks what silenced models: ", "ES/1 left production, rolled_back: a test", "a holiday"],
    );
}

#[test]
fn a_journal_that_ends_before_what_was_acknowledged_starts_locked_and_says_where() {
    let place = Place::with_model(State::Production);
    Daemon::start_with(&place, setup()).stop();
    let before = fs::read(place.journal()).unwrap();
    let ends = place.reader().last_seq().unwrap();
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("T-1"), ml());
    assert_eq!(wire.ask_ok(outcome("T-1", 5.0))["durable"], true);
    daemon.stop();
    let reached = place.reader().last_seq().unwrap();
    // a note that cannot be read says nothing, and is written again
    fs::write(place.state().join(REACHED_FILE), "0000").unwrap();
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(daemon.connect().arm("T-2"), ml());
    daemon.stop();
    assert!(place.reader().last_seq().unwrap() > reached);
    fs::write(place.journal(), before).unwrap();
    starts_locked(&place, &["the journal ends before what was acknowledged", &format!("at number {ends} of ")]);
    let daemon = Daemon::start_with(&place, setup());
    let mut wire = daemon.connect();
    until("a resume", || (wire.ask(RESUME)["ok"] == true).then_some(()));
    daemon.stop();
    let daemon = Daemon::start_with(&place, setup());
    assert_eq!(daemon.connect().arm("T-3"), ml());
    daemon.stop();
}

#[test]
fn a_damaged_journal_locks_over_what_it_knew() {
    let place = Place::with_model(State::Production);
    let daemon = Daemon::start_with(&place, setup());
    daemon.connect().ask_ok(rollback("ES/1"));
    daemon.stop();
    fs::write(place.journal(), vec![0xA5; 50_000]).unwrap();
    starts_locked(
        &place,
        &["the journal was damaged and a new one is in use; ", "ES/1 left production, rolled_back: a test"],
    );
    let alert: Value = place.alerts("journal_quarantined").concat().into();
    assert!(alert.as_str().unwrap().contains("vigie.redb.corrupt-1"), "{alert}");
}
