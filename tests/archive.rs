//! Old records in archived files: nothing reads differently, whatever moment the work was broken off at.
#![expect(clippy::unwrap_used, reason = "tests may fail loudly")]

#[path = "common/old_records.rs"]
mod old_records;

use std::{
    fs,
    path::{Path, PathBuf},
};

use old_records::{TRADES, at, config, id, line, outcome, writes};
use vigie::{
    domain::{SignalLine, Skip, Timestamp},
    journal::{
        Applied, ArchiveError, Backup, Reader, SkipRecord, Step, Store, StoreOptions, Write, archive_month, archive_of,
        archive_of_backup, back_up, copy_archive, find_archive, finish_archive, receive, send,
    },
    recall::{
        archiving,
        checkpoint::{self, newest},
        fold::{Folded, Slot},
        history,
    },
};

const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 4 << 20, verify: false };

/// The first day that stays: the 28th of February.
fn before() -> Timestamp {
    at(8 * 58 - 4)
}

/// A journal with all of these in `folder`.
fn journal(folder: &Path) -> PathBuf {
    let path = folder.join("vigie.redb");
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let all: Vec<_> = (0..TRADES).flat_map(writes).collect();
    all.chunks(100).for_each(|writes| drop(store.apply(writes).unwrap()));
    store.close().unwrap();
    path
}

/// Everything that is read of a journal up to a number, each in its own way.
fn all(reader: &Reader, last: u64) -> Vec<String> {
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
    folded.go_on(reader, &config(), last).unwrap();
    assert_eq!((folded.unreadable, &folded.doubt), (0, &None));
    all.push(text(&checkpoint::digest(&folded.state.to_bytes().unwrap())));
    reader.audit().unwrap();
    all
}

/// The same of the journal at `path`, all of it.
fn read(path: &Path) -> Vec<String> {
    let reader = Reader::open_path(path, 4 << 20).unwrap();
    all(&reader, reader.last_seq().unwrap())
}

/// What a start makes of a journal.
fn start(path: &Path) -> (Option<String>, [u8; 32]) {
    let reader = Reader::open_path(path, 1 << 20).unwrap();
    let folded = checkpoint::state(&reader, &config()).unwrap();
    (folded.doubt, checkpoint::digest(&folded.state.to_bytes().unwrap()))
}

/// Archives; breaks off at the step number `stop`. Says how many steps there were.
fn archive(path: &Path, stop: usize) -> (usize, Result<(), ArchiveError>) {
    let mut store = Store::open(path, OPTIONS).unwrap();
    let mut steps = 0;
    let mut tell = |_| {
        steps += 1;
        steps != stop
    };
    let mut done = finish_archive(&mut store, &mut tell);
    for planned in store.reader().unwrap().plan_archive(before()).unwrap() {
        done = done.and_then(|()| archive_month(&mut store, &planned, &mut tell));
    }
    if done.is_err() {
        return (steps, done);
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
    let mut said = asked(&path);
    assert!(matches!(
        said[..3],
        [Applied::Duplicate, Applied::Conflict { .. }, Applied::Stored { matched: Some(true), .. }]
    ));
    assert!(matches!(said[3..], [Applied::Conflict { .. }, Applied::Conflict { .. }]), "{said:?}");
    // but for the numbers: the archiving took some
    let number = |applied: &Vec<Applied>| match applied[2] {
        Applied::Stored { seq, .. } => seq,
        _ => 0,
    };
    let mut of_archived = asked(&archived);
    assert!(number(&of_archived) > number(&said));
    (of_archived[2], said[2]) = (Applied::Duplicate, Applied::Duplicate);
    assert_eq!(of_archived, said);
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
    let (said, before_it) = (read(&path), start(&path));
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
    assert_eq!(start(&path), before_it);
    let other = folder.path().join("other/vigie.redb");
    fs::create_dir(other.parent().unwrap()).unwrap();
    find_archive(&files, &[&archive_of(&other)]).unwrap_err();
    copy_archive(&files, &beside, &archive_of(&other)).unwrap();
    Backup::open(&saved).unwrap().restore(&other, &mut |_, _| {}).unwrap();
    assert_eq!(read(&other), said);
    let _all_steps_have_names = [Step::Whole, Step::Named, Step::Known, Step::Compared];
}

#[test]
fn a_journal_that_is_sent_holds_what_is_archived_at_its_place_and_needs_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let said = read(&path);
    archive(&path, usize::MAX).1.unwrap();
    let mut bytes = Vec::new();
    send(&Reader::open_path(&path, 1 << 20).unwrap(), &mut |piece| {
        bytes.extend(piece);
        true
    });
    let received = receive(bytes.as_slice(), &mut |_| ()).unwrap();
    assert_eq!((received.archived().len(), received.archived_to()), (0, 0));
    // read as a file, in a folder that has none of the archive's
    let other = folder.path().join("other/vigie.redb");
    fs::create_dir(other.parent().unwrap()).unwrap();
    back_up(&received, &other, at(0), &mut |_, _| {}).unwrap();
    assert_eq!(read(&other), said);
}

/// The journal with January in a file that it knows, and nothing gone from the log but what went before the step number `removed` of the
/// removal; with that file.
fn half_done(folder: &Path, removed: u64) -> (PathBuf, PathBuf) {
    let path = journal(folder);
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let planned = store.reader().unwrap().plan_archive(before()).unwrap();
    let mut left = removed;
    let broken = archive_month(&mut store, &planned[0], &mut |step| match step {
        Step::Known => left > 0,
        Step::Removed(_) => {
            left -= 1;
            left > 0
        }
        _ => true,
    });
    assert!(matches!(broken, Err(ArchiveError::Stopped)), "{broken:?}");
    let file = store.reader().unwrap().check_whole_archive().unwrap().remove(0).name;
    let file = archive_of(&path).join(file);
    (path, file)
}

#[test]
fn a_file_that_is_lost_before_anything_has_gone_from_the_journal_is_not_missed_and_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = half_done(folder.path(), 0);
    let (other, whole) = (folder.path().join("other"), fs::read(&file).unwrap());
    fs::create_dir(&other).unwrap();
    let said = read(&journal(&other));
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    for bytes in [None, Some(changed)] {
        match bytes {
            None => fs::remove_file(&file).unwrap(),
            Some(bytes) => fs::write(&file, bytes).unwrap(),
        }
        assert_eq!(read(&path), said, "every reader");
        let mut store = Store::open(&path, OPTIONS).unwrap();
        let refused = store.apply(&[Write::Gone { to: 100 }]).unwrap();
        assert!(matches!(&refused[0], Applied::Unwritable { why } if why.contains("the archive of the records 1 to")));
        assert_eq!(store.apply(&[outcome(7, 7.0)]).unwrap(), [Applied::Duplicate], "the writer");
        // the next time it is written again, and the same
        let planned = store.reader().unwrap().plan_archive(before()).unwrap();
        assert_eq!((planned.len(), planned[0].first), (2, 1));
        let broken = archive_month(&mut store, &planned[0], &mut |step| step != Step::Known);
        assert!(matches!(broken, Err(ArchiveError::Stopped)), "{broken:?}");
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
    archive(&path, usize::MAX).1.unwrap();
    assert_eq!(read(&path), said);
}

#[test]
fn nothing_more_goes_from_the_journal_once_the_file_that_holds_it_is_lost_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, file) = half_done(folder.path(), 1);
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let away = folder.path().join("away");
    let there = |path: &Path| Reader::open_path(path, 1 << 20).unwrap().archived_to();
    let gone_to = there(&path);
    assert!(gone_to > 0);
    fs::rename(&file, &away).unwrap();
    let (_, refused) = archive(&path, usize::MAX);
    let why = refused.unwrap_err().to_string();
    assert!(why.contains(&name) && why.contains("is not there"), "{why}");
    assert_eq!(there(&path), gone_to);
    // what is behind is read, what has gone is named
    let reader = Reader::open_path(&path, 1 << 20).unwrap();
    assert!(reader.check_archive().unwrap_err().to_string().contains(&name));
    assert!(reader.since(gone_to + 1).unwrap().all(|record| record.is_ok()));
    assert!(reader.since(0).unwrap().next().unwrap().is_err());
    drop(reader);
    fs::rename(&away, &file).unwrap();
    archive(&path, usize::MAX).1.unwrap();
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    assert_eq!(read(&path), read(&journal(&other)));
}

const CHILD: &str = "VIGIE_TEST_ARCHIVE";
/// At which step the child kills itself.
const AT: &str = "VIGIE_TEST_ARCHIVE_AT";

/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "a process of other tests"]
fn child_process_that_archives() {
    let path = std::env::var_os(CHILD).unwrap();
    let at: usize = std::env::var(AT).unwrap().parse().unwrap();
    let mut steps = 0;
    let mut store = Store::open(Path::new(&path), OPTIONS).unwrap();
    archiving::run(&mut store, &config(), before(), &mut |_| {
        steps += 1;
        if steps == at {
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        true
    })
    .unwrap();
}

#[test]
fn a_process_that_is_killed_at_any_step_leaves_a_journal_that_says_the_same_and_starts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = journal(folder.path());
    let (said, started) = (read(&path), start(&path));
    let mut kills = 0;
    loop {
        let place = tempfile::tempdir().unwrap();
        let copy = place.path().join("vigie.redb");
        fs::copy(&path, &copy).unwrap();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "child_process_that_archives"]);
        command.env(CHILD, &copy).env(AT, (kills + 1).to_string());
        let ended = command.output().unwrap().status;
        // the next start recovers it; a reader cannot before
        drop(Store::open(&copy, OPTIONS).unwrap());
        assert_eq!(start(&copy), started, "{kills}");
        assert_eq!(read(&copy), said, "{kills}");
        if ended.success() {
            break;
        }
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended), Some(9), "{ended:?}");
        kills += 1;
        archive(&copy, usize::MAX).1.unwrap();
        assert_eq!((start(&copy), read(&copy)), (started.clone(), said.clone()), "{kills}");
    }
    // the state at the cut, and two months: each written, whole, compared, named, known and removed
    assert!(kills >= 14, "{kills}");
}
