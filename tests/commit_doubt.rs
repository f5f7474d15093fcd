//! Commits that fail after their bytes are durable, or before: whatever is answered, a daemon that went on and a fresh start from
//! the file say the same.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    fs, io,
    ops::Bound,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use common::{
    daemon::{Daemon, Setup},
    long::cases,
    place::{CONFIG, Place, model},
    wait::until,
    wire::{LOCK, RESUME, Wire, baseline, ml, outcome, promote, rollback, score, skip},
};
use redb::{BackendError, StorageBackend, backends::FileBackend};
use serde_json::{Value, json};
use tempfile::TempDir;
use vigie::{
    actors::storage::Storage,
    config::Config,
    domain::{EventKind, lifecycle::State},
    journal::{Reader, Store, StoreOptions},
    recall::checkpoint,
};

/// Faults to come.
#[derive(Debug, Default)]
struct Faults {
    syncs: AtomicU64,
    /// The sync that fails once it has done its work; 0 for none.
    at: AtomicU64,
    /// How many syncs later the next one does; 0 for none.
    every: AtomicU64,
    /// Openings that fail after that.
    after: AtomicU64,
    /// Those of them that are left.
    openings: AtomicU64,
    /// Whether nothing can be read or written.
    dead: AtomicBool,
    /// Syncs that failed.
    strikes: AtomicU64,
}

impl Faults {
    /// The sync that is `nth` from now fails; then the journal cannot be opened so many times.
    fn arm(&self, nth: u64, openings: u64) {
        self.after.store(openings, Ordering::SeqCst);
        self.at.store(self.syncs.load(Ordering::SeqCst) + nth, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.openings.store(0, Ordering::SeqCst);
        self.dead.store(false, Ordering::SeqCst);
    }

    fn storage(self: &Arc<Self>) -> Storage {
        let faults = Arc::clone(self);
        Storage::new(move |path, options| {
            let left = faults.openings.load(Ordering::SeqCst);
            if left == 0 {
                faults.dead.store(false, Ordering::SeqCst);
            } else if faults.dead.load(Ordering::SeqCst) {
                faults.openings.store(left - 1, Ordering::SeqCst);
            }
            let file = |file| Failing { file, faults: Arc::clone(&faults) };
            Store::open_through(path, options, &mut |_| (), &file)
        })
    }
}

/// A journal's file on a disk that fails.
#[derive(Debug)]
struct Failing {
    file: FileBackend,
    faults: Arc<Faults>,
}

impl Failing {
    fn alive(&self) -> io::Result<()> {
        if self.faults.dead.load(Ordering::SeqCst) { Err(io::Error::other("a dead disk")) } else { Ok(()) }
    }
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.alive()?;
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.alive()?;
        self.file.read(offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.alive()?;
        self.file.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.alive()?;
        self.file.sync_data()?;
        let nth = self.faults.syncs.fetch_add(1, Ordering::SeqCst) + 1;
        if nth != self.faults.at.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.faults.strikes.fetch_add(1, Ordering::SeqCst);
        let (every, openings) = (self.faults.every.load(Ordering::SeqCst), self.faults.after.load(Ordering::SeqCst));
        self.faults.at.store(if every > 0 { nth + every } else { 0 }, Ordering::SeqCst);
        self.faults.openings.store(openings, Ordering::SeqCst);
        self.faults.dead.store(openings > 0, Ordering::SeqCst);
        Err(io::Error::other("it failed once all was durable"))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.alive()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

/// Two losses in a row take a version down.
fn config() -> String {
    format!(
        "{CONFIG}guardian.literal = true\nguardian.max_loss_streak = 1\nsupervision.max_restarts = 100\nlifecycle.stage_validated = \
         false\njournal.known_ids = 1000\nexperiment.resamples = 200\n"
    )
}

fn start(place: &Place, storage: Storage) -> Daemon {
    Daemon::start_with(place, Setup { config: config(), storage, ..Setup::default() })
}

/// The file as a start would find it: one that was not closed in good order is recovered, as a copy.
fn read(place: &Place) -> (Reader, Option<(TempDir, Store)>) {
    let options = StoreOptions { cache_bytes: 1 << 20, verify: false };
    until("a file that can be read", || {
        if let Ok(reader) = Reader::open_path(&place.journal(), options.cache_bytes) {
            return Some((reader, None));
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vigie.redb");
        fs::copy(place.journal(), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        // torn where it was written meanwhile
        let store = Store::open(&path, options).ok()?;
        Some((store.reader().unwrap(), Some((folder, store))))
    })
}

/// What the file says, as a start would read it.
fn on_disk(place: &Place) -> Value {
    let config = Config::parse("test", &config()).unwrap();
    let (reader, _copy) = read(place);
    let state = checkpoint::state(&reader, &config).unwrap().state;
    let roster = state.trials.roster();
    let version = |(version, standing): (&_, _)| json!({ "version": version, "standing": standing });
    json!({
        "versions": roster.versions().map(version).collect::<Vec<_>>(),
        "lock": roster.lock(),
        "emergencies": roster.latches().held().iter().map(|latch| latch.trip.to_string()).collect::<Vec<_>>(),
        "levels": state.risk.emergency.levels(&config.guardian),
        "trials": [state.trials.staging().count(), state.trials.under_test().count()],
    })
}

/// The same as the daemon tells it.
fn in_force(wire: &mut Wire) -> Value {
    let status = wire.status();
    let guardian = &status["guardian"];
    let version = |told: &Value| {
        json!({ "version": told["version"],
            "standing": { "state": told["state"], "overridden": told["overridden"] } })
    };
    json!({
        "versions": guardian["versions"].as_array().unwrap().iter().map(version).collect::<Vec<_>>(),
        "lock": guardian["lock"],
        "emergencies": guardian["emergencies"],
        "levels": guardian["levels"],
        "trials": [status["trials"]["staging"], status["trials"]["tests"]],
    })
}

/// What changed what may be served, and the trades, in the order of the log.
fn course(place: &Place) -> Vec<String> {
    let told = |kind: &EventKind| match kind {
        EventKind::Moved { version, step, .. } => Some(format!("{version} {step:?}")),
        EventKind::Latched { trip } => Some(format!("latched {:?}", trip.breach.rule)),
        EventKind::Locked { .. } => Some("locked".to_owned()),
        EventKind::Resumed { .. } => Some("resumed".to_owned()),
        EventKind::Alert { code, .. } if &**code == "emergency" => Some("emergency".to_owned()),
        _ => None,
    };
    let (reader, _copy) = read(place);
    reader.events(0).unwrap().filter_map(|stored| told(&stored.unwrap().event.kind)).collect()
}

/// One client and its daemon.
struct Life<'a> {
    place: &'a Place,
    wire: Wire,
    context: String,
}

impl Life<'_> {
    /// Sends a line until it is done, as a client does. What is said not to be recorded is not, and what is done is in force.
    fn done(&mut self, line: &str) -> Value {
        // a lock that was answered before it was on disk may get there meanwhile
        let given = |place: &Place| {
            let gives =
                |what: &String| ["Stage", "StartTest", "Promote", "resumed"].iter().any(|word| what.ends_with(word));
            course(place).into_iter().filter(gives).collect::<Vec<_>>()
        };
        let before = given(self.place);
        let answer = until("it to be done", || {
            let answer = self.wire.ask(line);
            if answer["ok"] == true {
                return Some(answer);
            }
            let said = answer["error"]["message"].as_str().unwrap_or_default().to_owned();
            assert_eq!(answer["error"]["code"], "retry", "{}: {line}: {answer}", self.context);
            if said.contains("it is not recorded") && !line.contains("outcome") {
                assert_eq!(given(self.place), before, "{}: {line}: {said}", self.context);
            }
            None
        });
        if answer["durable"] == true {
            self.compare(line);
        }
        answer
    }

    fn compare(&mut self, after: &str) {
        // decisions are written behind; the trials take what is on disk in when they are looked at
        let (live, disk) = (in_force(&mut self.wire), on_disk(self.place));
        assert_eq!(live, disk, "{}: after {after}", self.context);
    }

    /// Promote, test, emergency, resume, lock.
    fn live(&mut self) {
        self.done(&promote("ES/1").replace("production", "ab_test"));
        for n in 0..3 {
            self.wire.ask_ok(score(&format!("A-{n}")));
        }
        self.done(&outcome("A-0", 5.0));
        self.done(&skip("A-1"));
        self.done(&promote("ES/1"));
        for n in 0..3 {
            // silent only as long as the journal fails
            until("the model's word", || (self.wire.arm(&format!("B-{n}")) == ml()).then_some(()));
        }
        self.done(&outcome("B-0", 5.0));
        self.done(&outcome("B-1", -5.0));
        self.done(&outcome("B-2", -5.0));
        assert_eq!(self.wire.arm("C-0"), baseline("silenced"), "{}", self.context);
        self.done(RESUME);
        assert_eq!(self.wire.arm("C-1"), baseline("no_model"), "{}", self.context);
        self.done(LOCK);
        self.done(RESUME);
    }
}

/// A life in which the `nth` sync fails, and one so many syncs later each time. Says how many syncs there were, how many failed,
/// and the course of it.
fn life(nth: u64, every: u64, openings: u64) -> (u64, u64, Vec<String>) {
    let (place, faults) = (Place::with_model(State::Validated), Arc::new(Faults::default()));
    let daemon = start(&place, faults.storage());
    let first = faults.syncs.load(Ordering::SeqCst);
    if nth > 0 {
        faults.every.store(every, Ordering::SeqCst);
        faults.arm(nth, openings);
    }
    let context = format!("sync {nth}, every {every}, {openings} openings");
    let mut life = Life { place: &place, wire: daemon.connect(), context: context.clone() };
    life.live();
    let syncs = faults.syncs.load(Ordering::SeqCst) - first;
    faults.every.store(0, Ordering::SeqCst);
    // what is behind is written, and all of it is told once
    until("a journal that is whole", || (life.wire.status()["journal"]["ok"] == true).then_some(()));
    until("what is written behind", || {
        let status = life.wire.status();
        let answered = status["scorer"]["answered"].as_u64().unwrap();
        (read(&place).0.counts().unwrap().decisions >= answered).then_some(())
    });
    life.compare("all of it");
    let ask = |wire: &mut Wire| wire.ask_ok(r#"{"type":"experiment","version":"ES/1"}"#)["trials"].take();
    let (told, shown) = (in_force(&mut life.wire), ask(&mut life.wire));
    let answered = life.wire.status()["scorer"]["answered"].as_u64().unwrap();
    drop(life);
    daemon.stop();
    assert_eq!(read(&place).0.counts().unwrap().decisions, answered, "{context}: every decision is there once");
    let daemon = start(&place, Storage::default());
    let mut wire = daemon.connect();
    assert_eq!(in_force(&mut wire), told, "{context}: after a restart");
    assert_eq!(ask(&mut wire), shown, "{context}: after a restart");
    daemon.stop();
    (syncs, faults.strikes.load(Ordering::SeqCst), course(&place))
}

#[test]
fn a_commit_that_fails_once_its_bytes_are_durable_changes_nothing_at_any_moment_of_a_life() {
    let (syncs, strikes, course) = life(0, 0, 0);
    assert!(strikes == 0 && syncs > 20 && course.len() > 8, "{syncs} {course:?}");
    // the journal can be opened again at once, or only when somebody was told that nobody knows
    let lives: Vec<(u64, u64, u64)> = cases(
        // between them each sync fails in one of the seven
        (0..7).map(|n| (1 + n, 7, [0, 3][n as usize % 2])).collect(),
        (1..=syncs).flat_map(|nth| [(nth, 0, 0), (nth, 0, 3), (nth, 9, 0), (nth, 7, 3)]).collect(),
    );
    let mut strikes = 0;
    for (nth, every, openings) in &lives {
        let (_, struck, same) = life(*nth, *every, *openings);
        assert_eq!(same, course, "sync {nth}, every {every}, {openings} openings");
        strikes += struck;
    }
    assert!(strikes > syncs / 2, "{strikes} syncs failed in {} lives", lives.len());
}

/// A daemon whose journal died once the bytes of a promotion of ES/1 to production were durable, and the promoter who waits.
fn promotion_in_doubt(place: &Place, faults: &Arc<Faults>) -> (Daemon, Wire) {
    let daemon = start(place, faults.storage());
    let (mut promoter, mut other) = (daemon.connect(), daemon.connect());
    let before = course(place).len();
    let has_started = || place.events().iter().any(|kind| matches!(kind, EventKind::Started { .. }));
    until("a daemon that wrote all it had to", || has_started().then_some(()));
    // the last sync of a commit makes it durable
    faults.arm(2, u64::MAX);
    promoter.send(format!("{}\n", promote("ES/1")));
    until("a dead disk", || (other.status()["journal"]["ok"] == false).then_some(()));
    assert_eq!(course(place).len(), before + 1, "its bytes are durable");
    (daemon, promoter)
}

#[test]
fn a_lock_is_answered_while_nobody_knows_whether_a_promotion_is_on_disk() {
    let (place, faults) = (Place::with_model(State::AbTest), Arc::new(Faults::default()));
    let (daemon, mut promoter) = promotion_in_doubt(&place, &faults);
    let mut operator = daemon.connect();
    assert_eq!(operator.ask_ok(LOCK)["durable"], false);
    assert_eq!(operator.arm("T-1").0, "baseline");
    let refused = operator.ask(RESUME);
    assert_eq!(refused["error"]["code"], "retry", "{refused}");
    faults.heal();
    assert_eq!(promoter.answer()["ok"], true);
    until("the lock on disk", || (course(&place).last()? == "locked").then_some(()));
    let told = in_force(&mut operator);
    assert_eq!((&told["versions"][0]["standing"]["state"], &told["lock"]), (&json!("production"), &json!("a test")));
    assert_eq!(told, on_disk(&place));
    daemon.stop();
}

#[test]
fn a_rollback_that_meets_a_promotion_under_way_says_the_same_before_and_after_a_restart() {
    let (place, faults) = (Place::with_model(State::AbTest), Arc::new(Faults::default()));
    let (daemon, mut promoter) = promotion_in_doubt(&place, &faults);
    let mut operator = daemon.connect();
    let answer = operator.ask_ok(rollback("ES/1"));
    assert_eq!((&answer["done"], &answer["durable"]), (&json!("ES/1 is rolled_back"), &json!(false)));
    assert_eq!(operator.arm("T-1").0, "baseline");
    faults.heal();
    assert_eq!(promoter.answer()["ok"], true);
    until("the rollback on disk", || (course(&place).last()? == "ES/1 RollBackTest").then_some(()));
    let ask = |wire: &mut Wire| wire.ask_ok(r#"{"type":"experiment","version":"ES/1"}"#)["trials"].take();
    let (told, shown) = (in_force(&mut operator), ask(&mut operator));
    assert_eq!(told["versions"][0]["standing"], json!({ "state": "rolled_back", "overridden": true }));
    assert_eq!(told, on_disk(&place));
    daemon.stop();
    let daemon = start(&place, Storage::default());
    let mut wire = daemon.connect();
    assert_eq!((in_force(&mut wire), ask(&mut wire)), (told, shown), "after a restart");
    daemon.stop();
}

/// The next sync fails before its commit is durable.
fn fail_before(faults: &Faults, openings: u64) {
    faults.arm(1, openings);
}

#[test]
fn a_promotion_that_was_refused_silences_nobody_at_the_next_start() {
    let (place, faults) = (Place::with_model(State::Production), Arc::new(Faults::default()));
    let mut second = model().clone();
    second.id.number = 2;
    place.register("ES/2", second.to_bytes().unwrap(), State::AbTest);
    let daemon = start(&place, faults.storage());
    let mut wire = daemon.connect();
    let has_started = || place.events().iter().any(|kind| matches!(kind, EventKind::Started { .. }));
    until("a daemon that wrote all it had to", || has_started().then_some(()));
    until("a quiet journal", || (wire.status()["journal"]["waiting"] == 0).then_some(()));
    fail_before(&faults, 0);
    let refused = wire.ask(promote("ES/2"));
    assert_eq!(refused["error"]["code"], "retry", "{refused}");
    assert!(refused["error"]["message"].to_string().contains("not recorded"), "{refused}");
    daemon.stop();
    let daemon = start(&place, Storage::default());
    let mut wire = daemon.connect();
    assert_eq!(wire.status()["guardian"]["lock"], Value::Null);
    assert_eq!(wire.arm("T-1"), ml(), "ES/1 never left production");
    // what a promotion takes out of service is still known beside the journal, once it did
    wire.ask_ok(promote("ES/2"));
    daemon.stop();
    let known = fs::read_to_string(place.state().join("vigie.silenced")).unwrap();
    assert_eq!(known.matches("ES/1 left production").count(), 1, "{known}");
}

#[test]
fn a_lock_that_waits_for_the_disk_is_shown_as_waiting_and_is_the_first_that_a_healed_disk_takes() {
    let (place, faults) = (Place::with_model(State::Production), Arc::new(Faults::default()));
    let daemon = start(&place, faults.storage());
    let mut wire = daemon.connect();
    let has_started = || place.events().iter().any(|kind| matches!(kind, EventKind::Started { .. }));
    until("a daemon that wrote all it had to", || has_started().then_some(()));
    fail_before(&faults, u64::MAX);
    assert_eq!(wire.ask_ok(LOCK)["durable"], false);
    assert_ne!(wire.status()["journal"]["waiting"], 0);
    faults.heal();
    until("a journal in order", || {
        let journal = wire.status()["journal"].take();
        (journal["ok"] == true && journal["waiting"] == 0).then_some(())
    });
    assert_eq!(course(&place).last().unwrap(), "locked", "whoever sees it in order finds it on disk");
    daemon.stop();
}
