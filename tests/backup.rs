//! Backups: one moment of the journal whole, checked to the byte, and the way back, which forgets nothing that silences.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;
#[path = "common/samples.rs"]
mod samples;
#[path = "common/writes.rs"]
mod writes;

use std::{fs, panic::AssertUnwindSafe, path::Path};

use common::{
    place::{Place, examples},
    process::{Process, succeed, told, vigie},
    wire::score,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use samples::{Model, OPTIONS};
use serde_json::{Value, json};
use vigie::{
    domain::{EventKind, TradeId},
    journal::{Backup, LatestBackup, OpenError, Reader, SignalRecord, Source, Store, Write, back_up},
};
use writes::write_of;

/// A journal with some of everything, and what it says.
fn filled(path: &Path, seed: u64) -> (Store, Model) {
    let (mut store, mut model) = (Store::open(path, OPTIONS).unwrap(), Model::default());
    let mut rng = Pcg64::seed_from_u64(seed);
    for _ in 0..6 {
        let batch: Vec<_> = (0..50).map(|_| write_of((rng.random(), rng.random(), rng.random()))).collect();
        batch.iter().for_each(|write| _ = model.apply(write));
        store.apply(&batch).unwrap();
    }
    (store, model)
}

/// A live signal of a trade of its own.
fn live(n: u64) -> Write {
    let mut record: SignalRecord = samples::signal(1, 0, Source::Live);
    let id = format!("L-{n}");
    record.trade_id = TradeId::new(&id).unwrap();
    record.decision.as_mut().unwrap().trade_id = record.trade_id.clone();
    record.line = String::from_utf8(record.line).unwrap().replace("T-1", &id).into_bytes();
    Write::Signal(record)
}

#[test]
fn a_backup_shows_one_moment_while_writing_goes_on() {
    let place = Place::new();
    fs::create_dir_all(place.state()).unwrap();
    let (mut store, mut model) = filled(&place.journal(), 3);
    let first: Vec<Write> = (0..20_000).map(live).collect();
    first.iter().for_each(|write| _ = model.apply(write));
    store.apply(&first).unwrap();
    // as another process reads beside the one that writes
    let reader = place.reader();
    let copy = place.folder().join("copy.backup");
    let mut written = 20_000;
    let manifest = back_up(&reader, &copy, samples::at(5000), &mut |_, _| {
        let more: Vec<Write> = (written..written + 50).map(live).collect();
        written += 50;
        store.apply(&more).unwrap();
    })
    .unwrap();
    assert!(written > 20_200, "nothing was written meanwhile");
    assert_eq!(manifest.last_seq, model.seq);
    let backup = Backup::open(&copy).unwrap();
    backup.check(&mut |_, _| {}).unwrap();
    assert_eq!(Model::read(backup.reader()), model);
    assert_eq!(store.last_seq().unwrap(), model.seq + written - 20_000);
    // a good journal of its own
    let private = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&copy).unwrap().permissions()) & 0o777;
    assert_eq!(private, 0o600);
}

#[test]
fn a_flipped_byte_of_a_backup_is_found_or_is_none_that_counts() {
    let place = Place::new();
    fs::create_dir_all(place.state()).unwrap();
    let (store, model) = filled(&place.journal(), 4);
    drop(store);
    let copy = place.folder().join("copy.backup");
    back_up(&place.reader(), &copy, samples::at(5000), &mut |_, _| {}).unwrap();
    let sound = fs::read(&copy).unwrap();
    // nearly all of a small file is room for what may come
    let full: Vec<usize> = (0..sound.len()).filter(|place| sound[*place] != 0).collect();
    let (mut rng, mut found) = (Pcg64::seed_from_u64(5), 0);
    for _ in 0..250 {
        let mut bytes = sound.clone();
        bytes[full[rng.random_range(0..full.len())]] ^= 1 << rng.random_range(0..8);
        fs::write(&copy, &bytes).unwrap();
        match Backup::open(&copy).and_then(|backup| backup.check(&mut |_, _| {}).map(|()| backup)) {
            Ok(backup) => assert_eq!(Model::read(backup.reader()), model),
            Err(_) => found += 1,
        }
    }
    assert!(found > 50, "{found}");
    fs::write(&copy, &sound[..sound.len() / 2]).unwrap();
    assert!(Backup::open(&copy).and_then(|backup| backup.check(&mut |_, _| {})).is_err());
    let refused = Backup::open(&place.journal()).unwrap_err();
    assert!(matches!(&refused, OpenError::Refused { reason, .. } if reason.contains("no backup")), "{refused}");
}

#[test]
fn damage_is_told_of_by_every_command_without_the_text_of_a_panic() {
    let place = Place::new();
    place.file("trades.jsonl", &(examples().join("\n") + "\n"));
    succeed(&place, &["import", "--state", "state", "trades.jsonl"]);
    succeed(&place, &["backup", "--state", "state", "b.backup"]);
    let sound = fs::read(place.folder().join("b.backup")).unwrap();
    let pages = (5..sound.len() / 4096).filter(|page| sound[page * 4096..][..4096].iter().any(|byte| *byte != 0));
    let pages: Vec<usize> = pages.collect();
    let commands: [&[&str]; 7] = [
        &["restore", "--check", "--state", "empty", "damaged.backup"],
        &["dataset", "--state", "damaged"],
        &["models", "--offline", "--state", "damaged"],
        &["backup", "--state", "damaged", "--force", "again.backup"],
        &["train", "--state", "damaged", "--dry-run"],
        &["report", "--state", "damaged"],
        &["impact", "--state", "damaged"],
    ];
    fs::create_dir(place.folder().join("damaged")).unwrap();
    let (mut panicked, mut told) = (0, 0);
    for page in pages.iter().step_by(pages.len().div_ceil(12)) {
        let mut bytes = sound.clone();
        bytes[page * 4096..][..4096].fill(0);
        for command in commands {
            fs::write(place.folder().join("damaged.backup"), &bytes).unwrap();
            fs::write(place.folder().join("damaged/vigie.redb"), &bytes).unwrap();
            let output = vigie(&place, command).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!said.contains("panicked at") && !said.contains("backtrace"), "{command:?}: {said}");
            assert!(said.matches("the journal is damaged").count() <= 1, "said twice: {command:?}: {said}");
            assert!(!said.contains("the database panicked:"), "the words of the panic: {command:?}: {said}");
            panicked += usize::from(said.contains("the database panicked"));
            if command[0] == "report" && output.status.code() == Some(1) {
                assert!(said.contains("the journal is damaged"), "{said}");
                told += usize::from(said.contains("restore a backup"));
            }
        }
    }
    assert!(panicked > 3, "{panicked}: this test sees no panic");
    assert!(told > 0, "no report met a damaged page");
}

#[test]
fn a_restore_that_fails_at_any_moment_leaves_the_journal_and_one_that_ends_keeps_it_beside() {
    let place = Place::new();
    fs::create_dir_all(place.state()).unwrap();
    let (mut store, then) = filled(&place.journal(), 6);
    let copy = place.folder().join("copy.backup");
    let made = back_up(&place.reader(), &copy, samples::at(5000), &mut |_, _| {}).unwrap();
    store.apply(&[live(1), live(2)]).unwrap();
    let backup = Backup::open(&copy).unwrap();
    let restored = backup.restore(&place.journal(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(restored, OpenError::InUse { .. }), "{restored}");
    store.close().unwrap();
    let now = Model::read(&place.reader());
    let mut steps = 0;
    backup.check(&mut |_, _| steps += 1).unwrap();
    for fails_at in 0..steps {
        let mut step = 0;
        let broken = std::panic::catch_unwind(AssertUnwindSafe(|| {
            backup.restore(&place.journal(), &mut |_, _| {
                assert!(step < fails_at, "a failure at step {step}");
                step += 1;
            })
        }));
        assert!(!matches!(broken, Ok(Ok(_))), "{fails_at} of {steps}");
        assert_eq!(Model::read(&place.reader()), now, "{fails_at} of {steps}");
    }
    // what a kill left in the way of the next one
    fs::write(place.state().join("vigie.redb.restored"), "half").unwrap();
    let aside = backup.restore(&place.journal(), &mut |_, _| {}).unwrap().unwrap();
    assert_eq!(Model::read(&place.reader()), then);
    let latest = place.reader().latest_backup().unwrap();
    assert_eq!(latest, Some(LatestBackup { at: samples::at(5000), last_seq: made.last_seq }));
    assert_eq!(Model::read(&Reader::open_path(&aside, 1 << 20).unwrap()), now);
    let mut names: Vec<_> = fs::read_dir(place.state()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["vigie.redb", "vigie.redb.before-restore-1"]);
    assert!(
        backup.restore(&place.journal(), &mut |_, _| {}).unwrap().unwrap().ends_with("vigie.redb.before-restore-2")
    );
    Store::open(&place.journal(), OPTIONS).unwrap().apply(&[live(3)]).unwrap();
}

#[test]
fn a_daemon_is_backed_up_while_it_serves_and_after_a_restore_it_locks_for_what_silenced_since() {
    let place = Place::new();
    let process = Process::start(&place, &[]);
    let mut wire = process.connect();
    wire.ask_ok(score("T-1"));
    let status = |place: &Place| told(place, &["status", "--socket", "state/vigie.sock", "--json"], 0);
    assert_eq!(status(&place)["storage"]["backup"], Value::Null);
    let made = told(&place, &["backup", "b.backup", "--state", "state", "--json"], 0);
    assert_eq!((&made["not_noted"], &made["manifest"]["counts"]["signals"]), (&Value::Null, &json!(1)));
    let storage = status(&place)["storage"].clone();
    assert_eq!(storage["backup"]["last_seq"], made["manifest"]["last_seq"]);
    assert!(
        storage["bytes"].as_u64().unwrap() > 0 && storage["backup"]["age_s"].as_f64().unwrap() < 600.0,
        "{storage}"
    );
    let text = String::from_utf8(succeed(&place, &["status", "--socket", "state/vigie.sock"]).stdout).unwrap();
    assert!(text.contains("last backup 0 h ago"), "{text}");

    succeed(&place, &["lock", "--socket", "state/vigie.sock", "--reason", "slippage"]);
    let refused = vigie(&place, &["restore", "b.backup", "--state", "state"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("stop it first"), "{refused:?}");
    process.stop();

    let events = place.events();
    let looked = told(&place, &["restore", "b.backup", "--state", "state", "--check", "--json"], 0);
    let next = looked["next_start"].as_str().unwrap();
    assert!(
        next.contains("locks") && next.contains("lacks what silenced models") && next.contains("slippage"),
        "{next}"
    );
    assert!(looked["lost"].as_str().unwrap().contains("events"), "{looked}");
    assert_eq!((place.events(), looked["restored"].as_bool()), (events, Some(false)));
    let done = told(&place, &["restore", "b.backup", "--state", "state", "--json"], 0);
    assert_eq!((done["restored"].as_bool(), &done["next_start"]), (Some(true), &looked["next_start"]));
    assert!(done["kept_as"].as_str().unwrap().ends_with("vigie.redb.before-restore-1"), "{done}");
    assert!(!place.events().iter().any(|kind| matches!(kind, EventKind::Locked { .. })));

    let process = Process::start(&place, &[]);
    let lock = status(&place)["guardian"]["lock"].as_str().unwrap().to_owned();
    assert!(lock.contains("lacks what silenced models") && lock.contains("slippage"), "{lock}");
    process.stop();
}

#[test]
fn a_backup_without_a_daemon_is_noted_too_and_replaces_nothing_unasked() {
    let place = Place::new();
    place.open().apply(&[live(1)]).unwrap();
    let made = told(&place, &["backup", "b.backup", "--state", "state", "--json"], 0);
    assert_eq!((&made["not_noted"], &made["manifest"]["last_seq"]), (&Value::Null, &json!(1)));
    assert_eq!(place.reader().latest_backup().unwrap().map(|latest| latest.last_seq), Some(1));
    let before = fs::read(place.folder().join("b.backup")).unwrap();
    for (arguments, why) in [
        (["backup", "b.backup", "--state", "state"], "--force replaces it"),
        (["backup", "state/vigie.redb", "--state", "state"], "the daemon's own"),
        (["backup", "no/such/folder", "--state", "state"], "cannot be made"),
        (["backup", "b.backup2", "--state", "nowhere"], "there is no journal"),
        (["restore", "log", "--state", "state"], "log"),
    ] {
        let output = vigie(&place, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    }
    assert_eq!(fs::read(place.folder().join("b.backup")).unwrap(), before);
    let again = told(&place, &["backup", "b.backup", "--state", "state", "--json", "--force"], 0);
    assert_eq!(again["manifest"]["counts"]["signals"], 1);
    let restored = told(&place, &["restore", "b.backup", "--state", "elsewhere", "--json"], 0);
    assert_eq!((&restored["kept_as"], &restored["lost"]), (&Value::Null, &json!("there is no journal now")));
}

#[test]
fn what_is_added_a_day_is_the_mean_of_the_last_seven_whole_days() {
    let place = Place::new();
    let mut store = place.open();
    let day = jiff::SignedDuration::from_hours(24);
    let mut add = |days: i32, numbers: std::ops::Range<u64>| {
        let dated = |n| match live(n) {
            Write::Signal(record) => Write::Signal(SignalRecord { received_at: samples::at(0) + day * days, ..record }),
            other => other,
        };
        store.apply(&numbers.map(dated).collect::<Vec<_>>()).unwrap();
        store.reader().unwrap()
    };
    let growth = |reader: &Reader, days: i32| {
        let storage = reader.storage(samples::at(0) + day * days).unwrap();
        assert_eq!(storage.bytes, Some(fs::metadata(place.journal()).unwrap().len()));
        storage.growth_bytes_a_day
    };
    let reader = add(0, 0..1000);
    assert_eq!(growth(&reader, 0), None, "the first day is not over");
    let first = growth(&reader, 1).unwrap();
    assert!((100_000..400_000).contains(&first), "{first} bytes for a thousand records");
    let reader = add(2, 1000..2000);
    let both = growth(&reader, 3).unwrap();
    assert!(both.abs_diff(2 * first / 3) < first / 20, "{both} a day of two times {first} on three days");
    // of the day that is not over nothing is known yet
    assert_eq!(growth(&reader, 2), Some(first / 2));
    assert_eq!(growth(&reader, 10), Some(0));
}
