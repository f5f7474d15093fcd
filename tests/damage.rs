//! Journals that are damaged: after a stop in good order and after a `kill -9`, by flipped bits, by pages that are zeroed or
//! swapped, and by an end that is cut off. The real program must start on each, let no model speak that was rolled back, take
//! outcomes, and name what is lost. Over some damage the database ends the process; then its next start counts.
//!
//! `VIGIE_LONG=1` damages 10,000 files instead of 64; `VIGIE_SEEDS` names others, such as `4280,20000..22000`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{
        fs::{FileExt as _, MetadataExt as _},
        net::UnixStream,
        process::ExitStatusExt as _,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use common::{
    place::{CONFIG, Place},
    process::Process,
    seeds,
    wait::{PATIENCE, until},
    wire::{Wire, baseline, ml, outcome, rollback, score, skip},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use vigie::{
    actors::daemon::{JOURNAL_FILE, REACHED_FILE, SILENCE_FILE},
    clock::Stopwatch,
    domain::{EventKind, lifecycle::State},
    journal::{OpenError, Reader, StoreError, StoredEvent},
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

/// What a daemon said in one life on a damaged journal.
struct Lived {
    starts: usize,
    /// Arms of the answers before and after an outcome was taken.
    arms: Vec<String>,
    status: Value,
    log: String,
}

/// Whether the checkpoint that a daemon began from is being compared with its log.
fn is_checked(answer: &Value) -> bool {
    let jobs = answer["status"]["jobs"].as_array().into_iter().flatten();
    jobs.into_iter().any(|job| job["name"] == "checkpoint_check" && job["running"] == true)
}

/// Starts on what is there, asks, tells an outcome until it is taken, as a client does, and stops in good order.
fn live(place: &Place) -> Result<Lived, String> {
    let (mut daemon, starts) = started(place)?;
    let (socket, mut last) = (place.socket(), Value::Null);
    let mut ask = |line: &str, is_answer: fn(&Value) -> bool| {
        let watch = Stopwatch::start();
        until("an answer", || {
            if let Some(ended) = daemon.ended() {
                return Some(Err(format!("it ended: {ended}: {}", daemon.log())));
            }
            last = Wire::ask_once(&socket, line).unwrap_or_default();
            let in_vain = watch.elapsed() > PATIENCE * 9 / 10;
            in_vain.then(|| Err(format!("{line}: {last}"))).or(is_answer(&last).then(|| Ok(last.take())))
        })
    };
    let arm = |answer: Value| answer["arm"].as_str().unwrap_or("none").to_owned();
    let before = ask(&score("after-the-damage"), Value::is_object)?;
    ask(&outcome("after-the-damage", 1.0), |answer| answer["durable"] == true)
        .map_err(|why| format!("it takes no outcome: {why}"))?;
    let after = ask(&score("after-the-outcome"), Value::is_object)?;
    // damage before a checkpoint is met when the log is read from its beginning behind a start
    let status = ask(r#"{"type":"status"}"#, |answer| answer["ok"] == true && !is_checked(answer))?["status"].take();
    daemon.signal("TERM");
    let (ended, log) = (daemon.wait(), daemon.log());
    let lived = Lived { starts, arms: [before, after].map(arm).into(), status, log };
    if ended.success() { Ok(lived) } else { Err(format!("it ended: {ended}: {}", lived.log)) }
}

/// Whether a damaged journal was put aside, and if so, whether that was told.
fn aside(place: &Place, status: &Value) -> Option<Result<(), String>> {
    place.state().join(format!("{JOURNAL_FILE}.corrupt-1")).exists().then(|| {
        let told = alerts(place).into_iter().filter(|code| code == "journal_quarantined").count();
        let locked = status["guardian"]["lock"].as_str().unwrap_or_default();
        let is_told = told == 1 && locked.contains("the journal was damaged and a new one is in use");
        is_told.then_some(()).ok_or_else(|| format!("it was put aside: {told}, {status}"))
    })
}

/// Starts on a damaged journal. Says what kind of end it was, or what was wrong.
fn start(whole: &Whole, journal: &[u8]) -> Result<String, String> {
    let place = Place::new();
    fs::create_dir_all(place.state()).unwrap();
    fs::write(place.state().join(JOURNAL_FILE), journal).unwrap();
    fs::write(place.state().join(SILENCE_FILE), &whole.silenced).unwrap();
    fs::write(place.state().join(REACHED_FILE), &whole.reached).unwrap();
    place.file("config.toml", &config());
    let mut lived = match live(&place) {
        Err(why) if why.starts_with("it ended: signal: 6") => Lived { starts: 2, ..live(&place)? },
        lived => lived?,
    };
    let mut when = if lived.starts == 1 { String::new() } else { ", at the second start".to_owned() };
    if let Err(not_closed @ OpenError::NeedsRecovery { .. }) = Reader::open_path(&place.journal(), 1 << 20) {
        let said = ["the journal could not be closed in good order", "the journal did not end in time"];
        if !said.iter().any(|said| lived.log.contains(said)) {
            return Err(format!("{not_closed}: {}", lived.log));
        }
        let again = live(&place)?;
        when = ", after an end that said so".to_owned();
        lived = Lived { arms: [lived.arms, again.arms].concat(), ..again };
    }
    let Lived { arms, status, log, .. } = lived;
    if arms.iter().any(|arm| arm == "ml") {
        return Err(format!("a model speaks: {arms:?}"));
    }
    if log.contains("the daemon restarts and puts") {
        when.push_str(", while it ran");
    }
    if let Some(aside) = aside(&place, &status) {
        return aside.map(|()| format!("put aside{when}"));
    }
    let (holds, named) = holds(&place.reader());
    if let Some(storage) = named.iter().find(|named| named.starts_with("storage")) {
        // nothing shows before the daemon's own writes go by a list of free pages that is damaged; the next start finds it
        let next = live(&place)?;
        let found = aside(&place, &next.status).unwrap_or_else(|| Err(format!("it serves, {storage}: {log}")));
        return found.map(|()| "put aside by the next start".to_owned());
    }
    let lost: Vec<(&str, usize)> = whole
        .holds
        .iter()
        .map(|(table, held)| (*table, held.difference(holds.get(table).unwrap_or(&BTreeSet::new())).count()))
        .filter(|(_, lost)| *lost > 0)
        .collect();
    if lost.is_empty() {
        return Ok(format!("nothing is lost{when}"));
    }
    let lock = status["guardian"]["lock"].as_str().unwrap_or_default().to_owned();
    let alerts = alerts(&place);
    let all_named = lost.iter().all(|(table, _)| match *table {
        "outcomes" => alerts.iter().any(|code| code == "outcome_damaged"),
        "events" => lock.contains("the event log is damaged"),
        _ => named.contains(*table),
    });
    if all_named {
        return Ok(format!("left out and named{when}"));
    }
    if lock.contains("the journal ends before what was acknowledged") {
        return Ok(format!("older, and said so{when}"));
    }
    Err(format!("lost without a word: {lost:?}; lock {lock:?}, alerts {alerts:?}, unreadable {named:?}: {log}"))
}

#[test]
fn every_damaged_journal_lets_the_daemon_start_and_no_model_come_back_and_each_loss_is_named() {
    let wholes: [Whole; WHOLES] = [
        whole("stopped behind the rollback", false, 0),
        whole("killed behind the rollback", true, 0),
        whole("stopped later", false, 8),
        whole("killed later", true, 8),
    ];
    let (seeds, next, watch) = (seeds::seeds(64, 10_000), AtomicUsize::new(0), Stopwatch::start());
    let (ends, wrong) = (Mutex::new(BTreeMap::<String, usize>::new()), Mutex::new(Vec::<String>::new()));
    let take = || {
        let done = next.fetch_add(1, Ordering::Relaxed);
        if done % 1000 == 999 {
            println!("{done} damaged files, {} of them wrong", wrong.lock().unwrap().len());
        }
        seeds.get(done).copied()
    };
    let work = || {
        while let Some(n) = take() {
            let mut rng = Pcg64::seed_from_u64(n as u64);
            let whole = &wholes[n % wholes.len()];
            let (journal, how) = damage(n, &mut rng, whole);
            let end = catch_unwind(AssertUnwindSafe(|| start(whole, &journal)));
            match end.unwrap_or_else(|panic| Err(format!("panicked: {:?}", panic.downcast_ref::<String>()))) {
                Ok(end) => *ends.lock().unwrap().entry(format!("{}: {end}", whole.name)).or_default() += 1,
                Err(error) => wrong.lock().unwrap().push(format!("{n} ({}, {how}): {error}", whole.name)),
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let (ends, wrong) = (ends.into_inner().unwrap(), wrong.into_inner().unwrap());
    let damages = seeds.len();
    println!("{damages} damaged files in {:.0} s: {ends:#?}", watch.elapsed().as_secs_f64());
    assert!(wrong.is_empty(), "{} of {damages}:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

/// The file is damaged in place while the daemon holds it. `question`: what then is asked again and again.
fn damaged_while_it_runs(by_a_write: bool, question: impl Fn(usize) -> String) {
    let place = Place::with_model(State::Production);
    place.file("config.toml", &format!("journal.cache_mib = 1\n{}", config()));
    let mut daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    for n in 0..60 {
        assert_eq!(wire.arm(&format!("T-{n}")), ml());
        assert_eq!(wire.ask_ok(outcome(&format!("T-{n}"), 5.0))["durable"], true);
    }
    // nobody reads the journal any more
    until("a monitor that is made", || wire.status().get("monitor").map(drop));
    // a record as large as the cache is read, so that the next read of any page is one of the disk
    wire.ask_ok(r#"{"type":"models"}"#);
    let file = fs::File::options().write(true).open(place.journal()).unwrap();
    let (found, length) = (file.metadata().unwrap().ino(), file.metadata().unwrap().len() as usize);
    file.write_all_at(&vec![0; length - PAGE], PAGE as u64).unwrap();
    let aside = place.state().join(format!("{JOURNAL_FILE}.corrupt-1"));
    let (socket, mut asked, mut silent) = (place.socket(), 0_usize, false);
    until("a journal that is put aside", || {
        asked += 1;
        // where all that is asked for is still in memory, new outcomes take its place there, and old ones are read again
        for n in 5 * asked..if asked > 50 { 5 * asked + 5 } else { 0 } {
            let trade = if n.is_multiple_of(2) { format!("E-{n}") } else { format!("T-{}", n % 60) };
            let told = Wire::ask_once(&socket, &outcome(&trade, 5.0));
            silent |= told.is_none_or(|answer| answer["ok"] == false);
        }
        // whoever is told that the journal failed, or finds nobody, hears no model afterwards
        silent |= Wire::ask_once(&socket, &question(asked)).is_none_or(|answer| answer["ok"] == false);
        let heard = silent.then(|| Wire::ask_once(&socket, &score(&format!("D-{asked}")))).flatten();
        assert!(heard.is_none_or(|heard| heard["arm"] != "ml"), "a model speaks");
        aside.exists().then_some(())
    });
    assert!(silent, "nobody was told");
    let log = daemon.log();
    // beside outcomes either may meet it first; where only readers ask, a reader does
    assert!(by_a_write || asked > 50 || log.contains("a damaged page was met while the journal was read"), "{log}");
    let acknowledged = until("an outcome that is taken", || {
        Wire::ask_once(&socket, &outcome("after", 1.0)).filter(|answer| answer["durable"] == true)
    });
    assert_eq!(acknowledged["ok"], true);
    assert_eq!(daemon.ended(), None, "it is the same process");
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("after"), baseline("locked"));
    assert_eq!(wire.status()["guardian"]["lock"], "the journal was damaged and a new one is in use");
    daemon.stop();
    assert_eq!(fs::metadata(&aside).unwrap().ino(), found, "the file itself is put aside");
    let told = place.alerts("journal_quarantined");
    assert!(told.len() == 1 && told[0].contains("corrupt-1"), "{told:?}");
    assert!(place.reader().outcome(&"after".parse().unwrap()).unwrap().is_some());
    Process::start(&place, &[]).stop();
    assert!(!place.state().join(format!("{JOURNAL_FILE}.corrupt-2")).exists(), "and it is no loop");
}

#[test]
fn damage_that_an_outcome_meets_while_the_daemon_runs_silences_and_the_journal_is_put_aside() {
    // each new one takes the place of something in memory, until one that is told again has to be read from the disk
    let trade = |n: usize| if n.is_multiple_of(2) { 100 + n } else { n % 60 };
    damaged_while_it_runs(true, |n| outcome(&format!("T-{}", trade(n)), 5.0));
}

#[test]
fn damage_that_a_reader_meets_while_the_daemon_runs_silences_and_the_journal_is_put_aside() {
    damaged_while_it_runs(false, |n| format!(r#"{{"type":"alerts","id":"{n}"}}"#));
}
