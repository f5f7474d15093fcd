//! The journal as a file: how it is made, which file is trusted, what a reader sees, what becomes of damage.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly as well")]

#[path = "common/samples.rs"]
mod samples;
#[path = "common/skip.rs"]
mod skip;
#[path = "common/writes.rs"]
mod writes;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use redb::{Database, TableDefinition};
use samples::{Model, OPTIONS, at, decision, line, outcome, signal, trade};
use tempfile::TempDir;
use vigie::{
    domain::{Event, EventKind, SignalLine, Symbol},
    journal::{
        Applied, Counts, Existing, FailureKind, OpenError, Reader, SCHEMA, Source, Store, StoreError, StoreOptions,
        Write, quarantine,
    },
};
use writes::{event, skip, write_of};

/// A folder for one test, and the place of its journal.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vigie.redb");
    (folder, path)
}

fn open(path: &Path) -> Store {
    Store::open(path, OPTIONS).unwrap()
}

fn files(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn refusal(path: &Path) -> String {
    match Store::open(path, OPTIONS) {
        Err(OpenError::Refused { path: named, reason }) if named == path => reason,
        other => panic!("{other:?}"),
    }
}

fn edit(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn a_new_journal_is_private_empty_and_alone_in_its_folder() {
    let (folder, path) = place();
    fs::write(path.with_extension("redb.new"), "left by a kill").unwrap();
    let store = open(&path);
    assert_eq!(files(&folder), ["vigie.redb"]);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let reader = store.reader().unwrap();
    assert_eq!((reader.counts().unwrap(), reader.last_seq().unwrap()), (Counts::default(), 0));
    let created_at = reader.created_at().unwrap();
    drop((reader, store));
    assert_eq!(open(&path).reader().unwrap().created_at().unwrap(), created_at);
}

#[test]
fn what_was_written_is_read_back_after_reopening() {
    let (_folder, path) = place();
    let mut model = Model::default();
    let mut rng = Pcg64::seed_from_u64(5);
    for _ in 0..4 {
        let mut store = open(&path);
        let batch: Vec<_> = (0..40).map(|_| write_of((rng.random(), rng.random(), rng.random()))).collect();
        batch.iter().for_each(|write| _ = model.apply(write));
        store.apply(&batch).unwrap();
        assert_eq!(Model::read(&store.reader().unwrap()), model);
        store.close().unwrap();
    }
    assert_eq!(Model::read(&Reader::open_path(&path, 1 << 20).unwrap()), model);
}

#[test]
fn only_a_private_regular_file_of_ones_own_is_opened() {
    let (folder, path) = place();
    drop(open(&path));
    for mode in [0o620, 0o602] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(refusal(&path).contains(&format!("{mode:04o}")));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    if geteuid().is_root() {
        chown(&path, Some(12345), None).unwrap();
        assert!(refusal(&path).contains("12345"));
        chown(&path, Some(0), None).unwrap();
    } else {
        skip::skipped("only root can give a file to somebody else");
    }
    for target in ["vigie.redb", "nothing-there"] {
        let link = folder.path().join(format!("link-to-{target}"));
        symlink(folder.path().join(target), &link).unwrap();
        assert!(refusal(&link).contains("symbolic link"));
        assert!(Reader::open_path(&link, 1 << 20).is_err());
    }
    assert!(!folder.path().join("nothing-there").exists());
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(refusal(&pipe).contains("regular"));
    open(&path);
}

#[test]
fn a_journal_of_a_newer_vigie_is_refused_and_not_touched() {
    let (_folder, path) = place();
    drop(open(&path));
    const META: TableDefinition<'static, &str, (u64, u32)> = TableDefinition::new("meta");
    edit(&path, |transaction| {
        let mut sum = flate2::Crc::new();
        sum.update(b"schema");
        sum.update(&(SCHEMA + 8).to_le_bytes());
        transaction.open_table(META).unwrap().insert("schema", (SCHEMA + 8, sum.sum())).unwrap();
    });
    let before = fs::read(&path).unwrap();
    let newer = OpenError::Newer { path: path.clone(), found: SCHEMA + 8, supported: SCHEMA };
    assert_eq!(Store::open(&path, OPTIONS).unwrap_err(), newer);
    assert_eq!(Reader::open_path(&path, 1 << 20).unwrap_err(), newer);
    assert!(fs::read(&path).unwrap() == before, "the file was changed");
}

#[test]
fn what_is_not_a_journal_is_put_aside_and_a_new_one_begun() {
    let (folder, path) = place();
    let half = {
        drop(open(&path));
        let bytes = fs::read(&path).unwrap();
        bytes[..bytes.len() / 2].to_vec()
    };
    let foreign = {
        let other = folder.path().join("other.redb");
        drop(Database::create(&other).unwrap());
        let bytes = fs::read(&other).unwrap();
        fs::remove_file(&other).unwrap();
        bytes
    };
    for (n, bytes) in [Vec::new(), b"not a database".repeat(5000), half, foreign].into_iter().enumerate() {
        fs::write(&path, &bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = Store::open(&path, OPTIONS).unwrap_err();
        assert!(error.is_corrupt(), "{n}: {error:?}");
        let aside = quarantine(&path).unwrap();
        assert_eq!(aside, folder.path().join(format!("vigie.redb.corrupt-{}", n + 1)));
        assert!(!path.exists());
        assert!(fs::metadata(&aside).unwrap().len() >= bytes.len() as u64);
        open(&path).apply(&[Write::Event(event(1))]).unwrap();
    }
}

#[test]
fn a_damaged_page_gives_an_error_or_the_truth_never_something_else() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let mut model = Model::default();
    let mut rng = Pcg64::seed_from_u64(9);
    let batch: Vec<_> = (0..300).map(|_| write_of((rng.random(), rng.random(), rng.random()))).collect();
    batch.iter().for_each(|write| _ = model.apply(write));
    store.apply(&batch).unwrap();
    drop(store);
    let sound = fs::read(&path).unwrap();
    let (mut errors, mut refused) = (0, 0);
    for _ in 0..150 {
        let mut bytes = sound.clone();
        for _ in 0..rng.random_range(1..60) {
            let place = rng.random_range(0..bytes.len());
            bytes[place] = rng.random();
        }
        fs::write(&path, &bytes).unwrap();
        match Store::open(&path, OPTIONS) {
            Ok(store) => errors += disagreements(&store, &model),
            Err(OpenError::Corrupt { .. } | OpenError::Refused { .. }) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(store) = Store::open(&path, StoreOptions { verify: true, ..OPTIONS }) {
            assert_eq!(disagreements(&store, &model), 0, "a verified journal has damage");
        }
    }
    assert!(errors > 10 && refused > 10, "the damage was never met: {errors} errors, {refused} refused");
}

/// Reads every record; counts errors, and fails on a record that is not what was written.
fn disagreements(store: &Store, model: &Model) -> usize {
    let Ok(reader) = store.reader() else { return 1 };
    let mut errors = 0;
    match reader.signals() {
        Ok(all) => all.for_each(|stored| match stored {
            Ok(s) => assert_eq!(Some(&s.record), model.signals.get(&(s.record.trade_id.to_string(), s.seq))),
            Err(_) => errors += 1,
        }),
        Err(_) => errors += 1,
    }
    match reader.outcomes() {
        Ok(all) => all.for_each(|stored| match stored {
            Ok(s) => assert_eq!(Some(&s.record), model.outcomes.get(s.record.trade_id.as_str()).map(|known| &known.2)),
            Err(_) => errors += 1,
        }),
        Err(_) => errors += 1,
    }
    match reader.versions() {
        Ok(all) => all.for_each(|stored| match stored {
            Ok(s) => assert_eq!(Some(&s.body), model.versions.get(&s.id.to_string())),
            Err(_) => errors += 1,
        }),
        Err(_) => errors += 1,
    }
    match reader.events(0) {
        Ok(all) => all.for_each(|stored| match stored {
            Ok(s) => assert_eq!(Some(&s.event), model.events.get(&s.seq)),
            Err(_) => errors += 1,
        }),
        Err(_) => errors += 1,
    }
    errors
}

#[test]
fn a_bad_record_is_named_and_the_others_are_read() {
    let (_folder, path) = place();
    let trades = (0..4).map(|n| Write::Trade(Box::new((signal(n, 0, Source::Import), outcome(n, 0, Source::Import)))));
    open(&path).apply(&trades.collect::<Vec<_>>()).unwrap();
    // signal and outcome of each trade, one after the other
    const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
    edit(&path, |transaction| {
        let mut table = transaction.open_table(LOG).unwrap();
        let mut value = table.remove(4).unwrap().unwrap().value().to_vec();
        // one digit of the pnl, -0.3
        let text = String::from_utf8_lossy(&value).into_owned();
        value[text.replace('\u{fffd}', "?").find("-0.3").unwrap() + 3] = b'4';
        table.insert(4, value.as_slice()).unwrap();
        // the kind, and the trade id as well
        let mut value = table.remove(8).unwrap().unwrap().value().to_vec();
        (value[0], value[7]) = (0x77, 0xFF);
        table.insert(8, value.as_slice()).unwrap();
    });
    let mut store = open(&path);
    let reader = store.reader().unwrap();
    let read: Vec<_> = reader.outcomes().unwrap().collect();
    assert_eq!(read.iter().filter(|outcome| outcome.is_ok()).count(), 2);
    let errors: Vec<_> = read.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert!(
        errors[0].contains("outcomes") && errors[0].contains("T-1") && errors[0].contains("checksum"),
        "{errors:?}"
    );
    assert!(errors[1].contains("outcomes") && errors[1].contains("T-3") && errors[1].contains("kind"), "{errors:?}");
    let closed = reader.closed_trades(None).unwrap();
    assert_eq!((closed.trades.len(), closed.bad.len()), (2, 2));
    assert!(matches!(reader.outcome(&trade(1)), Err(StoreError::BadRecord(bad)) if bad.key == "T-1"));
    let again = store.apply(&[Write::Outcome(Box::new(outcome(1, 0, Source::Live))), Write::Event(event(1))]).unwrap();
    assert!(matches!(again[0], Applied::Stored { .. }), "what is damaged may be told again");
    assert!(store.reader().unwrap().outcome(&trade(1)).unwrap().is_some());
    assert!(matches!(again[1], Applied::Stored { .. }));
}

#[test]
fn what_could_not_be_read_back_is_not_written_and_harms_nothing_else() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let evidence = BTreeMap::from([("p_value".into(), f64::NAN)]);
    let nan = EventKind::Trained { version: "ES/1".parse().unwrap(), evidence };
    let mut endless = signal(1, 0, Source::Live);
    endless.decision.as_mut().unwrap().size = f64::INFINITY;
    let mut mixed = signal(1, 0, Source::Live);
    mixed.decision = Some(decision(2));
    let mut other_line = signal(1, 0, Source::Import);
    other_line.line = line(2, 0);
    let applied = store
        .apply(&[
            Write::Event(Event { at: at(1), kind: nan }),
            Write::Signal(endless),
            Write::Signal(mixed),
            Write::Signal(other_line.clone()),
            Write::Trade(Box::new((other_line, outcome(1, 0, Source::Import)))),
            Write::Trade(Box::new((signal(2, 0, Source::Import), outcome(1, 0, Source::Import)))),
            Write::Skip(skip(3, 0)),
        ])
        .unwrap();
    assert!(applied[..6].iter().all(|applied| matches!(applied, Applied::Unwritable { .. })), "{applied:?}");
    assert_eq!(applied[6], Applied::Stored { seq: 1, matched: None });
    let counts = store.reader().unwrap().counts().unwrap();
    assert_eq!(counts, Counts { skips: 1, ..Counts::default() });
}

#[test]
fn a_conflict_shows_what_is_there_and_changes_nothing() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.apply(&[Write::Outcome(Box::new(outcome(1, 0, Source::Live)))]).unwrap();
    let batch = [
        Write::Outcome(Box::new(outcome(1, 1, Source::Live))),
        Write::Trade(Box::new((signal(1, 0, Source::Import), outcome(1, 1, Source::Import)))),
        Write::Skip(skip(1, 0)),
    ];
    for applied in store.apply(&batch).unwrap() {
        let Applied::Conflict { existing } = applied else { panic!("{applied:?}") };
        assert!(matches!(*existing, Existing::Outcome(stored) if stored.record == outcome(1, 0, Source::Live)));
    }
    assert_eq!(store.reader().unwrap().counts().unwrap(), Counts { outcomes: 1, ..Counts::default() });
    assert_eq!(store.last_seq().unwrap(), 1);
}

#[test]
fn closed_trades_are_joined_and_in_order_of_time() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let mut writes: Vec<_> = [0, 1, 2, 4].map(|n| Write::Signal(signal(n, 0, Source::Live))).into();
    writes.push(Write::Signal(signal(2, 1, Source::Live)));
    writes.extend([0, 1, 2, 3].map(|n| Write::Outcome(Box::new(outcome(n, 0, Source::Live)))));
    store.apply(&writes).unwrap();
    let reader = store.reader().unwrap();
    let ids = |symbol: Option<&Symbol>| -> Vec<_> {
        let closed = reader.closed_trades(symbol).unwrap();
        assert!(closed.bad.is_empty());
        closed.trades.iter().map(|(signal, _)| signal.trade_id.to_string()).collect()
    };
    // a higher number fired earlier; T-3 has no signal, T-4 no outcome
    assert_eq!(ids(None), ["T-2", "T-1", "T-0"]);
    assert_eq!(ids(Some(&Symbol::new("ES").unwrap())), ["T-2", "T-0"]);
    let latest = SignalLine::parse(&line(2, 1)).unwrap().signal;
    assert_eq!(reader.closed_trades(None).unwrap().trades[0].0, latest);
    assert_eq!(reader.signal(&trade(2)).unwrap().unwrap().signal, latest);
    assert_eq!(reader.signals_of(&trade(2)).unwrap().count(), 2);
    assert!(!reader.outcome(&trade(3)).unwrap().unwrap().matched);
    assert!(reader.outcome(&trade(2)).unwrap().unwrap().matched);
}

#[test]
fn a_reader_stands_still_on_another_thread_while_writing_goes_on() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.apply(&[Write::Event(event(1))]).unwrap();
    let (reader, beside) = (store.reader().unwrap(), Reader::open_path(&path, 1 << 20).unwrap());
    let before = Model::read(&reader);
    let reading = std::thread::spawn(move || (0..20).map(|_| Model::read(&reader)).collect::<Vec<_>>());
    for n in 0..40 {
        store.apply(&[Write::Event(event(n)), write_of((7, n, 1))]).unwrap();
    }
    assert!(reading.join().unwrap().iter().all(|seen| *seen == before));
    assert_eq!(Model::read(&beside), before);
    assert_eq!(Reader::open_path(&path, 1 << 20).unwrap().counts().unwrap().events, 41);
}

#[test]
fn a_reader_left_over_from_a_closed_journal_keeps_nobody_from_opening_it_again() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.apply(&[Write::Event(event(1))]).unwrap();
    let left_over = store.reader().unwrap();
    drop(store);
    let again = open(&path);
    let error = left_over.counts().and_then(|_| left_over.events(0)?.collect::<Result<Vec<_>, _>>());
    assert!(matches!(error, Err(StoreError::Storage(failure)) if failure.kind == FailureKind::Closed));
    assert_eq!(again.reader().unwrap().counts().unwrap().events, 1);
}

#[test]
fn a_page_of_an_earlier_moment_takes_nothing_away_without_a_word() {
    // which page stands where depends on how much is written at once
    let (mut fewer, mut found) = (0, 0);
    for at_once in [30, 60, 120] {
        let (lost, noticed) = put_earlier_pages_back(at_once);
        println!("{at_once} at once: {lost} of them lost something, {noticed} were found");
        (fewer, found) = (fewer + lost, found + noticed);
    }
    assert!(fewer > 0 && found >= fewer, "{fewer} of them lost something, {found} were found");
}

/// Puts each page of six earlier moments in its place again, and counts how often records are missing then, and how often an
/// audit finds something.
fn put_earlier_pages_back(at_once: usize) -> (usize, usize) {
    const PAGE: usize = 4096;
    let (_folder, path) = place();
    let mut store = open(&path);
    let mut moments = Vec::new();
    for part in 0..6 {
        let live = |n: usize| Write::Signal(signal((n % 256) as u8, 0, Source::Live));
        store.apply(&(at_once * part..at_once * part + at_once).map(live).collect::<Vec<_>>()).unwrap();
        moments.push(fs::read(&path).unwrap());
    }
    let written = store.reader().unwrap().counts().unwrap();
    store.close().unwrap();
    let now = fs::read(&path).unwrap();
    let (mut fewer, mut found) = (0, 0);
    for (moment, place) in
        moments.iter().flat_map(|moment| (1..moment.len().min(now.len()) / PAGE).map(move |page| (moment, page * PAGE)))
    {
        let mut damaged = now.clone();
        damaged[place..place + PAGE].copy_from_slice(&moment[place..place + PAGE]);
        if damaged == now {
            continue;
        }
        fs::write(&path, &damaged).unwrap();
        let Ok(store) = Store::open(&path, OPTIONS) else { continue };
        let Ok(reader) = store.reader() else { continue };
        let Ok(read) = reader.signals().unwrap().collect::<Result<Vec<_>, _>>() else { continue };
        let audited = reader.audit();
        fewer += usize::from(read.len() as u64 != written.signals);
        match &audited {
            Ok(()) => assert_eq!(read.len() as u64, written.signals, "{place}"),
            Err(StoreError::Storage(failure)) => assert_eq!(failure.kind, FailureKind::Corrupt, "{failure}"),
            Err(other) => panic!("{other}"),
        }
        found += usize::from(audited.is_err());
        drop((reader, store));
        if audited.is_err() {
            let alone = Store::open_audited(&path, OPTIONS);
            assert!(alone.as_ref().is_err_and(OpenError::is_corrupt), "{alone:?}");
        }
    }
    (fewer, found)
}
