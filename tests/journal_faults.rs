//! The journal on a disk that fails and loses power. What was acknowledged is there, whole batches or nothing.
//!
//! `VIGIE_LONG=1` runs many more cases.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly as well")]

#[path = "common/disk.rs"]
mod disk;
#[path = "common/long.rs"]
mod long;
#[path = "common/samples.rs"]
mod samples;
#[path = "common/writes.rs"]
mod writes;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use disk::{Disk, Fault};
use long::cases;
use nix::errno::Errno;
use proptest::{prelude::*, test_runner::RngSeed};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use samples::{Answer, Model, OPTIONS, outcome};
use vigie::{
    clock::Stopwatch,
    journal::{Applied, OpenError, Reader, Source, Store, StoreError, Write},
};
use writes::{event, write_of};

fn script(rng: &mut Pcg64, batches: usize) -> Vec<Vec<Write>> {
    let mut batch = |_| {
        let writes = rng.random_range(1..=6);
        (0..writes).map(|_| write_of((rng.random(), rng.random(), rng.random()))).collect()
    };
    (0..batches).map(&mut batch).collect()
}

fn answer(applied: &Applied) -> Answer {
    match applied {
        Applied::Stored { seq, matched } => Answer::Stored(*seq, *matched),
        Applied::Duplicate => Answer::Duplicate,
        Applied::Conflict { .. } => Answer::Conflict,
        Applied::Unwritable { why } => panic!("{why}"),
    }
}

/// A client of the journal: it knows what was acknowledged, and what would be in the journal if the batch that failed
/// got through nevertheless.
#[derive(Debug, Default, Clone)]
struct Client {
    acknowledged: Model,
    in_doubt: Option<Model>,
}

impl Client {
    /// Writes a batch; checks every answer against the model.
    fn write(&mut self, store: &mut Store, batch: &[Write]) -> Result<(), StoreError> {
        let mut after = self.acknowledged.clone();
        let expected: Vec<_> = batch.iter().map(|write| after.apply(write)).collect();
        match store.apply(batch) {
            Ok(applied) => {
                assert_eq!(applied.iter().map(answer).collect::<Vec<_>>(), expected);
                self.acknowledged = after;
                Ok(())
            }
            Err(error) => {
                self.in_doubt = Some(after);
                Err(error)
            }
        }
    }

    /// Looks at a journal that was opened again: it holds what was acknowledged, and perhaps the batch in doubt.
    fn look(&mut self, store: &Store, context: &str) {
        let found = Model::read(&store.reader().unwrap());
        if let Some(in_doubt) = self.in_doubt.take()
            && found.seq > self.acknowledged.seq
        {
            self.acknowledged = in_doubt;
        }
        assert!(found == self.acknowledged, "{context}: found {found:#?}, acknowledged {:#?}", self.acknowledged);
    }

    /// Writes a whole script, opening the journal again after each failure. Stops at the second failure in a row.
    fn run(&mut self, disk: &Disk, script: &[Vec<Write>], context: &str) -> Result<(), String> {
        let mut store = None;
        for batch in script {
            let mut failures = 0;
            loop {
                match self.attempt(&mut store, disk, batch, context) {
                    Ok(()) => break,
                    Err(error) if failures == 1 => return Err(error),
                    Err(_) => (failures, store) = (failures + 1, None),
                }
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        store: &mut Option<Store>,
        disk: &Disk,
        batch: &[Write],
        context: &str,
    ) -> Result<(), String> {
        if store.is_none() {
            let opened = Store::open_backend(disk.clone(), OPTIONS).map_err(|error| storage_only(error, context))?;
            let seen = opened.last_seq().map_err(|error| error.to_string())?;
            // a reader may meet the fault as well; the writer's own number settles the batch in doubt
            if let Some(in_doubt) = self.in_doubt.take()
                && seen > self.acknowledged.seq
            {
                self.acknowledged = in_doubt;
            }
            *store = Some(opened);
        }
        let Some(store) = store else { return Err("no store".to_owned()) };
        self.write(store, batch).map_err(|error| error.to_string())
    }
}

fn storage_only(error: OpenError, context: &str) -> String {
    assert!(matches!(error, OpenError::Storage { .. }), "{context}: {error:?}");
    error.to_string()
}

#[test]
fn any_failure_at_any_operation_loses_nothing_and_heals() {
    let script = script(&mut Pcg64::seed_from_u64(1), cases(6, 20));
    // a new journal is made under another name, and a half-made one thrown away: faults begin after that
    let made = || {
        let disk = Disk::default();
        drop(Store::open_backend(disk.clone(), OPTIONS).unwrap());
        disk
    };
    let disk = made();
    let first = disk.operations() + 1;
    Client::default().run(&disk, &script, "no fault").unwrap();
    let last = disk.operations();
    assert!(last > first + 100, "a script of {} operations shows little", last - first);
    for at in first..=last + 1 {
        let kinds = [(false, Errno::EIO), (true, Errno::EIO), (false, Errno::ENOSPC), (true, Errno::EROFS)];
        let here = kinds.into_iter().enumerate().filter(|(kind, _)| cases(false, true) || at % 2 == (kind % 2) as u64);
        for (_, (for_good, errno)) in here {
            let fault = Fault { at, for_good, error: errno as i32, sync_forgets: at % 3 == 0 };
            let context = format!("{fault:?}");
            let (disk, mut client) = (made(), Client::default());
            disk.fail(fault);
            let run = client.run(&disk, &script, &context);
            assert!(run.is_ok() || for_good, "{context}: {run:?}");
            disk.heal();
            let mut store = Store::open_backend(disk.clone(), OPTIONS).unwrap_or_else(|e| panic!("{context}: {e}"));
            client.look(&store, &context);
            // it goes on where it stopped
            script.iter().for_each(|batch| client.write(&mut store, batch).unwrap());
        }
    }
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    for seed in 0..cases(400, 20_000) {
        let mut rng = Pcg64::seed_from_u64(seed);
        let script = script(&mut rng, 8);
        let (mut disk, mut client) = (Disk::default(), Client::default());
        // a journal's first commit is made under another name, so that cuts during it are not met here
        drop(Store::open_backend(disk.clone(), OPTIONS).unwrap());
        for cut in ["first cut", "second cut", "third cut"] {
            let context = format!("seed {seed}, {cut}");
            let span = if cut == "first cut" { 200 } else { 60 };
            let at = disk.operations() + rng.random_range(1..span);
            disk.fail(Fault { at, for_good: true, error: Errno::EIO as i32, sync_forgets: false });
            let _cut_short = client.run(&disk, &script, &context);
            let kept = [0.0, 0.5, 0.9, 1.0][rng.random_range(0..4)];
            disk = disk.after_power_cut(&mut rng, kept);
        }
        let mut store = Store::open_backend(disk.clone(), OPTIONS).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        client.look(&store, &format!("seed {seed}"));
        script.iter().for_each(|batch| client.write(&mut store, batch).unwrap());
    }
}

#[test]
fn a_sync_that_fails_and_forgets_before_a_power_cut_loses_nothing_acknowledged() {
    for seed in 0..cases(300, 10_000) {
        let mut rng = Pcg64::seed_from_u64(seed);
        let script = script(&mut rng, 8);
        let (disk, mut client) = (Disk::default(), Client::default());
        drop(Store::open_backend(disk.clone(), OPTIONS).unwrap());
        let at = disk.operations() + rng.random_range(1..200);
        disk.fail(Fault { at, for_good: false, error: Errno::EIO as i32, sync_forgets: true });
        client.run(&disk, &script, &format!("seed {seed}")).unwrap();
        let disk = disk.after_power_cut(&mut rng, 0.5);
        let store = Store::open_backend(disk, OPTIONS).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        client.look(&store, &format!("seed {seed}"));
    }
}

#[test]
fn the_power_cuts_find_out_a_disk_that_lies_about_syncs() {
    // if nothing were lost on such a disk, the tests above would prove nothing
    let unharmed = (0..20).filter(|seed| {
        let mut rng = Pcg64::seed_from_u64(*seed);
        let script = script(&mut rng, 4);
        let (disk, mut client) = (Disk::default(), Client::default());
        drop(Store::open_backend(disk.clone(), OPTIONS).unwrap());
        disk.lie();
        client.run(&disk, &script, "lying disk").unwrap();
        let opened = Store::open_backend(disk.after_power_cut(&mut rng, 0.5), OPTIONS);
        opened.is_ok_and(|store| Model::read(&store.reader().unwrap()) == client.acknowledged)
    });
    assert_eq!(unharmed.count(), 0);
}

#[test]
fn a_second_writer_is_turned_away_and_the_first_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vigie.redb");
    let mut store = Store::open(&path, OPTIONS).unwrap();
    assert_eq!(Store::open(&path, OPTIONS).unwrap_err(), OpenError::InUse { path: path.clone() });
    store.apply(&[Write::Event(event(1))]).unwrap();
    drop(store);
    let mut child = spawn_writer(&path);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    await_line(&mut output, "acked 0");
    assert_eq!(Store::open(&path, OPTIONS).unwrap_err(), OpenError::InUse { path: path.clone() });
    assert!(Reader::open_path(&path, 1 << 20).unwrap().counts().unwrap().outcomes >= 1);
    child.kill().unwrap();
    child.wait().unwrap();
    Store::open(&path, OPTIONS).unwrap();
}

#[test]
fn a_kill_at_any_moment_of_the_first_start_leaves_a_journal_that_opens() {
    let mut rng = Pcg64::seed_from_u64(3);
    for kill in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vigie.redb");
        let mut acknowledged = 0;
        // the second round meets what the first left
        for round in 0..2 {
            let mut child = spawn_writer(&path);
            let mut output = BufReader::new(child.stdout.take().unwrap());
            await_line(&mut output, "begin");
            let life = Duration::from_micros(rng.random_range(0..12_000));
            let watch = Stopwatch::start();
            while watch.elapsed() < life {
                std::hint::spin_loop();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            acknowledged = acknowledged.max(rest.lines().filter(|line| line.starts_with("acked ")).count());
            let store = Store::open(&path, OPTIONS).unwrap_or_else(|error| panic!("kill {kill}.{round}: {error}"));
            let outcomes = store.reader().unwrap().outcomes().unwrap().map(Result::unwrap).count();
            assert!(outcomes >= acknowledged, "kill {kill}.{round}: {outcomes} of {acknowledged}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "kill {kill}.{round}: something is left over");
        }
    }
}

const CHILD: &str = "VIGIE_TEST_JOURNAL";

/// Not a test of its own: the process that the tests above start and kill. It writes outcomes, and says so.
#[test]
#[ignore = "a process of other tests"]
fn child_process_that_writes_until_it_is_killed() {
    let path = std::env::var_os(CHILD).unwrap();
    println!("\nbegin");
    let mut store = Store::open(Path::new(&path), OPTIONS).unwrap();
    for n in 0..=u8::MAX {
        store.apply(&[Write::Outcome(Box::new(outcome(n, 0, Source::Live)))]).unwrap();
        println!("acked {n}");
    }
    loop {
        std::thread::park();
    }
}

fn spawn_writer(path: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child_process_that_writes_until_it_is_killed", "--nocapture"]);
    command.env(CHILD, path).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn await_line(output: &mut impl BufRead, wanted: &str) {
    assert!(output.lines().any(|line| line.unwrap() == wanted), "the child process ended before it said {wanted:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_writes_and_reopenings_give_what_a_plain_model_gives(
        batches in prop::collection::vec(
            (prop::collection::vec(any::<(u8, u8, u8)>(), 0..8), any::<bool>()), 0..12)
    ) {
        let (disk, mut client) = (Disk::default(), Client::default());
        let mut store = Store::open_backend(disk.clone(), OPTIONS).unwrap();
        for (batch, reopen) in batches {
            let batch: Vec<_> = batch.into_iter().map(write_of).collect();
            client.write(&mut store, &batch).unwrap();
            if reopen {
                store.close().unwrap();
                store = Store::open_backend(disk.clone(), OPTIONS).unwrap();
            }
            client.look(&store, "no fault");
        }
    }
}
