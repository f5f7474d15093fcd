//! Journals that are damaged: after a stop in good order and after a `kill -9`, by flipped bits, by pages that are zeroed or
//! swapped, and by an end that is cut off. The real program must start on each, let no model speak that was rolled back, take
//! outcomes, and name what is lost. Over some damage the database ends the process; then its next start counts.
//!
//! `VIGIE_LONG=1` damages 10,000 files instead of 64 and says after each thousand how many were wrong.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use common::{
    long,
    place::{CONFIG, Place},
    process::Process,
    wait::until,
    wire::{outcome, rollback, score, skip},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    actors::daemon::{JOURNAL_FILE, REACHED_FILE, SILENCE_FILE},
    clock::Stopwatch,
    domain::{EventKind, lifecycle::State},
    journal::{Reader, StoreError, StoredEvent},
};

const PAGE: usize = 4096;
/// redb's header and commit slots, in bytes.
const HEADER: usize = 320;
/// Kinds of whole journals, and bits of the byte in which redb keeps which of its two commits is in force.
const WHOLES: usize = 4;
const STATES: usize = WHOLES * 8;
/// Where redb's two commit slots say their format, in bytes; with a bit flipped it is that of an older redb.
const FORMATS_AT: [usize; 2] = [64, 192];
const FORMATS: usize = WHOLES * FORMATS_AT.len();
const CALM: &str = "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_factor = 100\n";

/// A state folder before it is damaged.
struct Whole {
    name: &'static str,
    journal: Vec<u8>,
    silenced: Vec<u8>,
    reached: Vec<u8>,
    /// Of each table what stands in it, as text.
    holds: BTreeMap<&'static str, BTreeSet<String>>,
    /// Pages that hold something.
    used: Vec<usize>,
}

fn config() -> String {
    format!("{CONFIG}{CALM}")
}

/// What stands in the journal; what cannot be read is named by table.
fn holds(reader: &Reader) -> (BTreeMap<&'static str, BTreeSet<String>>, BTreeSet<String>) {
    let (mut holds, mut named): (BTreeMap<_, BTreeSet<String>>, BTreeSet<String>) = Default::default();
    let mut take = |table: &'static str, found: Result<String, StoreError>| match found {
        Ok(found) => drop(holds.entry(table).or_default().insert(found)),
        Err(StoreError::BadRecord(bad)) => drop(named.insert(bad.table.to_owned())),
        Err(StoreError::Storage(failure)) => drop(named.insert(format!("storage: {failure}"))),
    };
    reader.signals().unwrap().for_each(|found| take("signals", found.map(|found| format!("{:?}", found.record))));
    reader.outcomes().unwrap().for_each(|found| take("outcomes", found.map(|found| format!("{:?}", found.record))));
    reader.skips().unwrap().for_each(|found| take("skips", found.map(|found| format!("{:?}", found.record))));
    reader.events(0).unwrap().for_each(|found| take("events", found.map(|found| format!("{:?}", found.event))));
    reader.versions().unwrap().for_each(|found| take("versions", found.map(|found| format!("{:?}", found.checksum))));
    (holds, named)
}

/// A life in which a model speaks and is rolled back. `after`: trades that are told after that.
fn whole(name: &'static str, killed: bool, after: usize) -> Whole {
    let place = Place::with_model(State::Production);
    place.file("config.toml", &config());
    let mut daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let mut trade = |n: usize| {
        wire.ask_ok(score(&format!("T-{n}")));
        match n % 5 {
            0 => wire.ask_ok(skip(&format!("T-{n}"))),
            _ => wire.ask_ok(outcome(&format!("T-{n}"), 5.0)),
        };
    };
    (0..60).for_each(&mut trade);
    assert_eq!(daemon.connect().ask_ok(rollback("ES/1"))["durable"], true);
    (60..60 + after).for_each(&mut trade);
    if killed {
        daemon.kill()
    } else {
        daemon.stop()
    }
    let file = |name: &str| fs::read(place.state().join(name)).unwrap();
    let (journal, silenced, reached) = (file(JOURNAL_FILE), file(SILENCE_FILE), file(REACHED_FILE));
    let (holds, named) = holds(&place.open().reader().unwrap());
    assert!(named.is_empty() && holds["outcomes"].len() >= 48, "{named:?}");
    let used = journal.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    let used = used.map(|(place, _)| place).collect();
    Whole { name, journal, silenced, reached, holds, used }
}

/// Damages a journal, and says how.
fn damage(n: usize, rng: &mut Pcg64, whole: &Whole) -> (Vec<u8>, String) {
    let mut journal = whole.journal.clone();
    if n < FORMATS {
        let place = FORMATS_AT[n / WHOLES];
        journal[place] ^= 1;
        return (journal, format!("the format of a commit slot flipped, byte {place}"));
    }
    let n = n - FORMATS;
    if n < STATES {
        journal[9] ^= 1 << (n / WHOLES);
        return (journal, format!("bit {} of redb's state flipped", n / WHOLES));
    }
    let page = |rng: &mut Pcg64| whole.used[rng.random_range(0..whole.used.len())];
    let how = match rng.random_range(0..10) {
        0..2 => {
            let bit = rng.random_range(0..HEADER * 8);
            journal[bit / 8] ^= 1 << (bit % 8);
            format!("bit {} of byte {} of the header flipped", bit % 8, bit / 8)
        }
        2..5 => {
            let (page, bit) = (page(rng), rng.random_range(0..PAGE * 8));
            let place = (page * PAGE + bit / 8).min(journal.len() - 1);
            journal[place] ^= 1 << (bit % 8);
            format!("bit {} of byte {place} flipped", bit % 8)
        }
        5 => {
            let flips = rng.random_range(2..30);
            for _ in 0..flips {
                let place = (page(rng) * PAGE + rng.random_range(0..PAGE)).min(journal.len() - 1);
                journal[place] ^= 1 << rng.random_range(0..8);
            }
            format!("{flips} bits flipped")
        }
        6 => {
            let length = rng.random_range(0..journal.len());
            journal.truncate(length);
            format!("cut off behind {length} bytes")
        }
        7..9 => {
            let page = page(rng);
            journal.iter_mut().skip(page * PAGE).take(PAGE).for_each(|byte| *byte = 0);
            format!("page {page} zeroed")
        }
        _ => {
            let (one, two) = (page(rng), page(rng));
            for offset in 0..PAGE {
                if two * PAGE + offset < journal.len() && one * PAGE + offset < journal.len() {
                    journal.swap(one * PAGE + offset, two * PAGE + offset);
                }
            }
            format!("pages {one} and {two} swapped")
        }
    };
    (journal, how)
}

/// The codes of the alerts that can be read.
fn alerts(place: &Place) -> Vec<String> {
    let code = |stored: StoredEvent| match stored.event.kind {
        EventKind::Alert { code, .. } => Some(code.into()),
        _ => None,
    };
    place.reader().events(0).unwrap().flatten().filter_map(code).collect()
}

/// A daemon that listens, and how often it was started: the database may end the process over a damage, and the service manager
/// starts it again.
fn started(place: &Place) -> Result<(Process, usize), String> {
    for starts in 1..=2 {
        let mut daemon = Process::spawn(place, &[]);
        let ended = until("a daemon that listens or ends", || {
            let ended = daemon.ended();
            (ended.is_some() || UnixStream::connect(place.socket()).is_ok()).then_some(ended)
        });
        match ended {
            None => return Ok((daemon, starts)),
            Some(status) if status.signal() == Some(6) => {}
            Some(status) => return Err(format!("it does not start: {status}: {}", daemon.log())),
        }
    }
    Err("it was aborted twice".to_owned())
}

/// Starts on a damaged journal. Says what kind of end it was, or what was wrong.
fn start(whole: &Whole, journal: &[u8]) -> Result<&'static str, String> {
    let place = Place::new();
    fs::create_dir_all(place.state()).unwrap();
    fs::write(place.state().join(JOURNAL_FILE), journal).unwrap();
    fs::write(place.state().join(SILENCE_FILE), &whole.silenced).unwrap();
    fs::write(place.state().join(REACHED_FILE), &whole.reached).unwrap();
    place.file("config.toml", &config());
    let (daemon, starts) = started(&place)?;
    let mut wire = daemon.connect();
    let (answer, status) = (wire.arm("after-the-damage"), wire.status());
    let acknowledged = wire.ask(outcome("after-the-damage", 1.0));
    drop(wire);
    daemon.stop();
    if answer.0 == "ml" {
        return Err(format!("a model speaks: {answer:?}"));
    }
    if acknowledged["durable"] != true {
        return Err(format!("it takes no outcome: {acknowledged}, {status}"));
    }
    let quarantined = place.state().join(format!("{JOURNAL_FILE}.corrupt-1")).exists();
    if quarantined {
        let told = alerts(&place).into_iter().filter(|code| code == "journal_quarantined").collect::<Vec<_>>();
        let locked = status["guardian"]["lock"].as_str().unwrap_or_default();
        return match told.len() {
            1 if locked.contains("the journal was damaged and a new one begun") => {
                Ok(if starts == 1 { "put aside" } else { "put aside at the second start" })
            }
            _ => Err(format!("it was put aside: {told:?}, {status}")),
        };
    }
    let (holds, named) = holds(&place.reader());
    if let Some(storage) = named.iter().find(|named| named.starts_with("storage")) {
        return Err(format!("it serves and cannot be read: {storage}"));
    }
    let lost: Vec<(&str, usize)> = whole
        .holds
        .iter()
        .map(|(table, held)| (*table, held.difference(holds.get(table).unwrap_or(&BTreeSet::new())).count()))
        .filter(|(_, lost)| *lost > 0)
        .collect();
    if lost.is_empty() {
        return Ok(if starts == 1 { "nothing is lost" } else { "nothing is lost, at the second start" });
    }
    let lock = status["guardian"]["lock"].as_str().unwrap_or_default().to_owned();
    let alerts = alerts(&place);
    let all_named = lost.iter().all(|(table, _)| match *table {
        "outcomes" => alerts.iter().any(|code| code == "outcome_damaged"),
        "events" => lock.contains("the event log is damaged"),
        _ => named.contains(*table),
    });
    if all_named {
        return Ok("left out and named");
    }
    if lock.contains("the journal ends before what was acknowledged") {
        return Ok("older, and said so");
    }
    Err(format!("lost without a word: {lost:?}; lock {lock:?}, alerts {alerts:?}, unreadable {named:?}"))
}

#[test]
fn every_damaged_journal_lets_the_daemon_start_and_no_model_come_back_and_each_loss_is_named() {
    let wholes: [Whole; WHOLES] = [
        whole("stopped behind the rollback", false, 0),
        whole("killed behind the rollback", true, 0),
        whole("stopped later", false, 8),
        whole("killed later", true, 8),
    ];
    let (damages, next, watch) = (long::cases(64, 10_000), AtomicUsize::new(0), Stopwatch::start());
    let (ends, wrong) = (Mutex::new(BTreeMap::<String, usize>::new()), Mutex::new(Vec::<String>::new()));
    let work = || loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= damages {
            return;
        }
        if n % 1000 == 999 {
            println!("{n} damaged files, {} of them wrong", wrong.lock().unwrap().len());
        }
        let mut rng = Pcg64::seed_from_u64(n as u64);
        let whole = &wholes[n % wholes.len()];
        let (journal, how) = damage(n, &mut rng, whole);
        let end = catch_unwind(AssertUnwindSafe(|| start(whole, &journal)));
        match end.unwrap_or_else(|panic| Err(format!("panicked: {:?}", panic.downcast_ref::<String>()))) {
            Ok(end) => *ends.lock().unwrap().entry(format!("{}: {end}", whole.name)).or_default() += 1,
            Err(error) => wrong.lock().unwrap().push(format!("{n} ({}, {how}): {error}", whole.name)),
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let (ends, wrong) = (ends.into_inner().unwrap(), wrong.into_inner().unwrap());
    println!("{damages} damaged files in {:.0} s: {ends:#?}", watch.elapsed().as_secs_f64());
    assert!(wrong.is_empty(), "{} of {damages}:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}
