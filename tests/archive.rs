//! Old records in archived files: nothing reads differently, whatever moment the work was broken off at.
#![expect(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use vigie::{
    config::Config,
    domain::{Decision, Event, EventKind, Money, Outcome, Reason, SignalLine, Skip, Timestamp, TradeId},
    journal::{
        Applied, ArchiveError, Backup, OutcomeRecord, Reader, SignalRecord, SkipRecord, Source, Step, Store,
        StoreOptions, Write, archive_of, archive_of_backup, back_up, copy_archive, find_archive,
    },
    recall::{
        checkpoint::{self, newest},
        fold::{Folded, Slot},
        history,
    },
};

const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 4 << 20, verify: false };
const TRADES: i64 = 1500;

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_735_732_800 + 3600 * hour).unwrap()
}

fn id(n: i64) -> TradeId {
    TradeId::new(format!("{}-{n}", ["C", "A", "B"][n as usize % 3])).unwrap()
}

fn line(n: i64) -> Vec<u8> {
    let (name, at, value) = (id(n), at(n), (n % 97) as f64 / 97.0);
    format!(r#"{{"trade_id":"{name}","at":"{at}","symbol":"ES","side":"long","features":{{"vwap_trend_signal":{value},"level_proximity":0.5}}}}"#)
        .into_bytes()
}

fn outcome(n: i64, pnl: f64) -> Write {
    let outcome = Outcome { exit_reason: "signal".into(), ..Outcome::of(at(n + 2), Some(Money::new(pnl).unwrap())) };
    let record = OutcomeRecord { trade_id: id(n), received_at: at(n + 2), source: Source::Live, echo: None, outcome };
    Write::Outcome(Box::new(record))
}

fn writes(n: i64) -> Vec<Write> {
    let decision = Decision::baseline(id(n), None, None, Reason::NoModel);
    let signal = SignalRecord {
        trade_id: id(n),
        received_at: at(n),
        source: Source::Live,
        decision: Some(decision),
        opinions: Vec::new(),
        latency_us: Some(7),
        line: line(n),
    };
    let mut writes = vec![Write::Signal(signal)];
    match n % 5 {
        0 => writes.push(Write::Skip(SkipRecord {
            received_at: at(n + 1),
            skip: Skip { trade_id: id(n), reason: "risk".into() },
        })),
        1 => {}
        _ => writes.push(outcome(n, n as f64)),
    }
    if n % 50 == 3 {
        let mut parsed = SignalLine::parse(&line(n + 100_000)).unwrap();
        parsed.outcome = Some(Outcome::of(at(n + 1), None));
        writes.push(Write::past_trade(parsed, line(n + 100_000), at(n)));
        writes.push(Write::Event(Event { at: at(n), kind: EventKind::Stopped }));
    }
    writes
}

fn journal(folder: &Path) -> PathBuf {
    let path = folder.join("vigie.redb");
    let mut store = Store::open(&path, OPTIONS).unwrap();
    for n in 0..TRADES {
        store.apply(&writes(n)).unwrap();
    }
    store.close().unwrap();
    path
}

fn config() -> Config {
    Config::builtin().unwrap()
}

/// Everything that is read of a journal, each in its own way.
fn all(reader: &Reader) -> Vec<String> {
    let text = |it: &dyn std::fmt::Debug| format!("{it:?}");
    let mut all: Vec<String> = reader.since(0).unwrap().map(|it| text(&it.unwrap())).collect();
    all.extend(reader.recorded(0).unwrap().map(|it| text(&it.unwrap())));
    all.extend(reader.between(at(0), at(99_999)).unwrap().map(|it| text(&it.unwrap())));
    all.extend(reader.signals().unwrap().map(|it| text(&it.unwrap())));
    all.extend(reader.outcomes().unwrap().map(|it| text(&it.unwrap())));
    all.extend(reader.skips().unwrap().map(|it| text(&it.unwrap())));
    all.extend(reader.events(0).unwrap().map(|it| text(&it.unwrap())));
    for n in (0..TRADES).step_by(41) {
        all.push(text(&reader.signal(&id(n)).unwrap()));
        all.push(text(&reader.outcome(&id(n)).unwrap()));
        all.push(text(&reader.skip(&id(n)).unwrap()));
    }
    all.push(text(&reader.trade_keys(u64::MAX).unwrap()));
    all.push(text(&reader.closed_trades(None).unwrap()));
    all.push(text(&history::read(reader).unwrap().signals.len()));
    all.push(text(&reader.counts().unwrap()));
    let mut folded = Folded::empty(&config()).unwrap();
    folded.go_on(reader, &config(), reader.last_seq().unwrap()).unwrap();
    assert_eq!((folded.unreadable, &folded.doubt), (0, &None));
    all.push(text(&checkpoint::digest(&folded.state.to_bytes().unwrap())));
    reader.audit().unwrap();
    all
}

fn read(path: &Path) -> Vec<String> {
    all(&Reader::open_path(path, 4 << 20).unwrap())
}

fn before() -> Timestamp {
    at(24 * 58)
}

/// Archives; breaks off at the step number `stop`. Says how many steps there were.
fn archive(path: &Path, stop: usize) -> (usize, Result<(), ArchiveError>) {
    let mut store = Store::open(path, OPTIONS).unwrap();
    let mut steps = 0;
    for planned in store.reader().unwrap().plan_archive(before()).unwrap() {
        let done = store.archive(&planned, &mut |_| {
            steps += 1;
            steps != stop
        });
        if done.is_err() {
            return (steps, done);
        }
    }
    store.compact().unwrap();
    (steps, Ok(()))
}

#[test]
fn nothing_reads_differently_whatever_step_the_archiving_was_broken_off_at_and_it_is_finished_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let (said, size) = (read(&path), fs::metadata(&path).unwrap().len());
    let whole = folder.path().join("whole");
    fs::create_dir(&whole).unwrap();
    let finished = whole.join("vigie.redb");
    fs::copy(&path, &finished).unwrap();
    let (steps, done) = archive(&finished, usize::MAX);
    done.unwrap();
    // January and February; each is written, whole, compared, named, known and removed
    assert!(steps >= 12, "{steps}");
    assert_eq!(read(&finished), said);
    let (archived, shorter) =
        (Reader::open_path(&finished, 1 << 20).unwrap().archived(), fs::metadata(&finished).unwrap().len());
    assert_eq!(archived.len(), 2);
    assert!(archived[0].name.starts_with("2025-01-") && archived[1].name.starts_with("2025-02-"), "{archived:?}");
    assert!(2 * shorter < size, "{shorter} of {size}");
    for stop in 1..=steps {
        let place = tempfile::tempdir().unwrap();
        let copy = place.path().join("vigie.redb");
        fs::copy(&path, &copy).unwrap();
        let (at, broken) = archive(&copy, stop);
        assert!(at == stop && matches!(broken, Err(ArchiveError::Stopped)), "{stop}: {broken:?}");
        assert_eq!(read(&copy), said, "{stop}");
        archive(&copy, usize::MAX).1.unwrap();
        assert_eq!(read(&copy), said, "{stop}");
        assert_eq!(Reader::open_path(&copy, 1 << 20).unwrap().archived(), archived, "{stop}");
        let left = fs::read_dir(archive_of(&copy)).unwrap().count();
        assert_eq!(left, archived.len(), "{stop}");
    }
}

#[test]
fn a_repeated_outcome_of_an_archived_trade_is_recognised_and_a_reused_name_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let asked = |path: &Path| {
        let mut store = Store::open(path, OPTIONS).unwrap();
        let skip = SkipRecord { received_at: at(9), skip: Skip { trade_id: id(7), reason: "late".into() } };
        let mut parsed = SignalLine::parse(&line(7)).unwrap();
        parsed.signal.at = at(8);
        let reused =
            Write::past_trade(parsed, String::from_utf8(line(7)).unwrap().replace("long", "short").into_bytes(), at(9));
        store.apply(&[outcome(7, 7.0), outcome(7, 8.0), outcome(10, 1.0), Write::Skip(skip), reused]).unwrap()
    };
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    let archived = other.join("vigie.redb");
    fs::copy(&path, &archived).unwrap();
    archive(&archived, usize::MAX).1.unwrap();
    let said = asked(&path);
    assert!(matches!(
        said[..3],
        [Applied::Duplicate, Applied::Conflict { .. }, Applied::Stored { matched: Some(true), .. }]
    ));
    assert!(matches!(said[3..], [Applied::Conflict { .. }, Applied::Conflict { .. }]), "{said:?}");
    assert_eq!(asked(&archived), said);
}

#[test]
fn a_missing_damaged_or_foreign_file_is_named_and_nothing_is_told_of_the_rest_as_if_it_were_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let config = config();
    archive(&path, usize::MAX).1.unwrap();
    let files = Reader::open_path(&path, 1 << 20).unwrap().archived();
    let file = archive_of(&path).join(&files[0].name);
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    let foreign = fs::read(archive_of(&path).join(&files[1].name)).unwrap();
    for (bytes, what) in
        [(None, "is not there"), (Some(damaged), "does not match its digest"), (Some(foreign), "bytes and should have")]
    {
        match bytes {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        let reader = Reader::open_path(&path, 1 << 20).unwrap();
        let why = reader.check_archive().unwrap_err().to_string();
        assert!(
            why.contains(&files[0].name) && why.contains(what) && why.contains("put the right file there"),
            "{why}"
        );
        // a stream ends with the fault, and not before it
        let read: Vec<_> = reader.signals().unwrap().collect();
        assert!(read.len() == 1 && read[0].is_err(), "{}", read.len());
        assert!(history::read(&reader).is_err() && reader.outcome(&id(7)).is_err());
        // events are in the journal itself
        assert!(reader.events(0).unwrap().all(|event| event.is_ok()));
        // a fold that needs it says so, and no checkpoint is made of it
        let mut folded = Folded::empty(&config).unwrap();
        folded.go_on(&reader, &config, reader.last_seq().unwrap()).unwrap();
        assert!(folded.doubt.unwrap().contains(what) && folded.unreadable > 0);
        drop(reader);
        // the journal can be written; what must be compared with the archive is refused, the rest is not
        let mut store = Store::open(&path, OPTIONS).unwrap();
        let said = store.apply(&[outcome(7, 7.0), writes(200_000).remove(0)]).unwrap();
        assert!(matches!(&said[0], Applied::Unwritable { why } if why.contains(what)), "{said:?}");
        assert!(matches!(said[1], Applied::Stored { .. }));
    }
    fs::write(&file, whole).unwrap();
    Reader::open_path(&path, 1 << 20).unwrap().check_archive().unwrap();
}

#[test]
fn a_start_goes_on_from_the_state_at_the_cut_and_a_backup_with_its_files_is_a_whole_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (path, config) = (journal(folder.path()), config());
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let reader = store.reader().unwrap();
    let cut = reader.plan_archive(before()).unwrap().last().unwrap().last;
    let mut folded = Folded::empty(&config).unwrap();
    folded.go_on(&reader, &config, cut).unwrap();
    drop(reader);
    for batch in checkpoint::writes(&folded, &config, Slot::Base).unwrap() {
        store.apply(&batch).unwrap();
    }
    drop(store);
    let state = |path: &Path| {
        let reader = Reader::open_path(path, 1 << 20).unwrap();
        let folded = checkpoint::state(&reader, &config).unwrap();
        (folded.seq, folded.doubt.clone(), checkpoint::digest(&folded.state.to_bytes().unwrap()))
    };
    let (said, before_it) = (read(&path), state(&path));
    archive(&path, usize::MAX).1.unwrap();
    let reader = Reader::open_path(&path, 1 << 20).unwrap();
    assert_eq!(newest(&reader, &config).unwrap().unwrap().begun.unwrap().slot, Slot::Base);
    let saved = folder.path().join("saved");
    back_up(&reader, &saved, at(0), &mut |_, _| {}).unwrap();
    let (files, beside) = (reader.archived(), archive_of_backup(&saved));
    assert_eq!(copy_archive(&files, &archive_of(&path), &beside).unwrap(), 2);
    assert_eq!(copy_archive(&files, &archive_of(&path), &beside).unwrap(), 0);
    drop(reader);
    // without its files the state at the cut is enough
    fs::remove_dir_all(archive_of(&path)).unwrap();
    assert_eq!(state(&path), before_it);
    let other = folder.path().join("other/vigie.redb");
    fs::create_dir(other.parent().unwrap()).unwrap();
    find_archive(&files, &[&archive_of(&other)]).unwrap_err();
    copy_archive(&files, &beside, &archive_of(&other)).unwrap();
    Backup::open(&saved).unwrap().restore(&other, &mut |_, _| {}).unwrap();
    assert_eq!(read(&other), said);
    let _all_steps_have_names = [Step::Whole, Step::Named, Step::Known, Step::Compared];
}

#[test]
fn nothing_leaves_the_journal_after_a_kill_when_its_file_was_lost_since() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let said = read(&path);
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let planned = store.reader().unwrap().plan_archive(before()).unwrap();
    let broken = store.archive(&planned[0], &mut |step| step != Step::Known);
    assert!(matches!(broken, Err(ArchiveError::Stopped)), "{broken:?}");
    drop(store);
    let file = Reader::open_path(&path, 1 << 20).unwrap().archived().remove(0).name;
    let (file, away) = (archive_of(&path).join(file), folder.path().join("away"));
    fs::rename(&file, &away).unwrap();
    Store::open(&path, OPTIONS).unwrap().close().unwrap();
    let reader = Reader::open_path(&path, 1 << 20).unwrap();
    assert!(reader.outcome(&id(7)).unwrap().is_some());
    drop(reader);
    fs::rename(&away, &file).unwrap();
    Store::open(&path, OPTIONS).unwrap().close().unwrap();
    assert_eq!(read(&path), said);
}
