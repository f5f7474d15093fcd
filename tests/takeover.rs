//! A journal of an older schema is taken over: what it said before is said after, whenever the takeover is killed.
//!
//! `VIGIE_LONG=1` kills it 501 times instead of 51. The journals are real ones, made by the program that wrote their schema;
//! `fixtures/journal/make.py` says how.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/long.rs"]
mod long;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use long::cases;
use serde_json::{Value, json};
use vigie::{
    clock::Stopwatch,
    journal::{
        OpenError, Progress, Reader, Store, StoreOptions, StoredEvent, StoredOutcome, StoredSignal, StoredSkip,
        StoredVersion,
    },
};

const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 4 << 20, verify: false };
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal");
/// Names of the checkpoints in the fixture.
const CHECKPOINTS: [&str; 2] = ["report:ES/1", "reopened"];

fn unpacked(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(fs::File::open(Path::new(FOLDER).join(name)).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A folder with the journal of the fixture in it.
fn fixture(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vigie.redb");
    fs::write(&path, unpacked(name)).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&path, private).unwrap();
    (folder, path)
}

/// Everything that a journal says, one value a record, in an order that does not depend on how it is stored.
fn said(reader: &Reader) -> Vec<Value> {
    let counts = reader.counts().unwrap();
    let mut all = vec![json!({
        "created_at": reader.created_at().unwrap(), "last_seq": reader.last_seq().unwrap(), "counts": counts,
    })];
    let signals = reader.signals().unwrap().map(|stored| {
        let StoredSignal { seq, record, .. } = stored.unwrap();
        json!({
            "kind": "signal", "seq": seq, "trade_id": record.trade_id, "received_at": record.received_at,
            "source": record.source, "decision": record.decision, "opinions": record.opinions,
            "latency_us": record.latency_us, "line": String::from_utf8(record.line).unwrap(),
        })
    });
    let outcomes = reader.outcomes().unwrap().map(|stored| {
        let StoredOutcome { seq, matched, record } = stored.unwrap();
        json!({
            "kind": "outcome", "seq": seq, "matched": matched, "trade_id": record.trade_id,
            "received_at": record.received_at, "source": record.source, "echo": record.echo, "outcome": record.outcome,
        })
    });
    let skips = reader.skips().unwrap().map(|stored| {
        let StoredSkip { seq, record } = stored.unwrap();
        json!({ "kind": "skip", "seq": seq, "received_at": record.received_at, "skip": record.skip })
    });
    let events = reader.events(0).unwrap().map(|stored| {
        let StoredEvent { seq, event } = stored.unwrap();
        json!({ "kind": "event", "seq": seq, "event": event })
    });
    let versions = reader.versions().unwrap().map(|stored| {
        let StoredVersion { id, checksum, body } = stored.unwrap();
        json!({ "kind": "version", "id": id.to_string(), "checksum": checksum, "bytes": body.len() })
    });
    let checkpoints = CHECKPOINTS.into_iter().filter_map(|name| {
        let bytes = reader.checkpoint(name).unwrap()?;
        Some(json!({ "kind": "checkpoint", "name": name, "text": String::from_utf8(bytes).unwrap() }))
    });
    all.extend(signals.chain(outcomes).chain(skips).chain(events).chain(versions).chain(checkpoints));
    all.sort_by_key(|value| (value["seq"].as_u64(), value["kind"].to_string(), value.to_string()));
    all
}

/// Whether `now` says everything that `before` said; what was added since may stand beside it.
fn includes(now: &Value, before: &Value) -> bool {
    match (now, before) {
        (Value::Object(now), Value::Object(before)) => {
            before.iter().all(|(name, before)| now.get(name).is_some_and(|now| includes(now, before)))
        }
        (now, before) => now == before,
    }
}

fn expected() -> Vec<Value> {
    let text = String::from_utf8(unpacked("schema-2.expected.jsonl.gz")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn assert_says(reader: &Reader, expected: &[Value]) {
    let said = said(reader);
    assert_eq!(said.len(), expected.len());
    for (now, before) in said.iter().zip(expected) {
        assert!(includes(now, before), "now {now}\nbefore {before}");
    }
}

/// The names of all files in a folder.
fn files(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn everything_that_the_older_journal_said_is_said_after_it_was_taken_over() {
    let (folder, path) = fixture("schema-2.redb.gz");
    drop(Store::open(&path, OPTIONS).unwrap());
    assert_eq!(files(&folder), ["vigie.redb"]);
    let reader = Reader::open_path(&path, OPTIONS.cache_bytes).unwrap();
    if let Some(file) = std::env::var_os("VIGIE_EXPECT") {
        let mut out = GzEncoder::new(fs::File::create(file).unwrap(), Compression::best());
        said(&reader).iter().for_each(|value| writeln!(out, "{value}").unwrap());
        out.finish().unwrap();
    }
    let expected = expected();
    let kinds = ["signal", "outcome", "skip", "event", "version", "checkpoint"];
    let missing = kinds.iter().find(|kind| !expected.iter().any(|value| value["kind"] == **kind));
    if let Some(kind) = missing {
        panic!("the fixture holds no {kind}");
    }
    assert_says(&reader, &expected);
}

const CHILD: &str = "VIGIE_TEST_TAKEOVER";
/// After how many tellings of its progress the child kills itself.
const TOLD: &str = "VIGIE_TEST_TAKEOVER_TOLD";
/// Not a test of its own: the process that is killed.
#[test]
#[ignore = "a process of other tests"]
fn child_process_that_takes_a_journal_over() {
    let path = std::env::var_os(CHILD).unwrap();
    let most: usize = std::env::var(TOLD).unwrap().parse().unwrap();
    let mut told = 0;
    println!("\nbegin");
    let mut tell = |progress: Progress| {
        told += 1;
        println!("{}", progress.step);
        if told == most {
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
        }
    };
    Store::open_telling(Path::new(&path), OPTIONS, &mut tell).unwrap();
    println!("done");
}

fn spawn_takeover(path: &Path, most: usize) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "child_process_that_takes_a_journal_over", "--nocapture"]);
    command.env(CHILD, path).env(TOLD, most.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while line != "begin\n" {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the child process ended before it began");
    }
    (child, output)
}

#[test]
fn a_takeover_that_is_killed_at_any_moment_and_again_loses_nothing() {
    // each journal is killed three times
    let kills: u32 = cases(51, 501);
    let expected = expected();
    let last_seq = expected.iter().find_map(|value| value["last_seq"].as_u64()).unwrap();
    // how long one takes that is left alone, and how often it tells of its progress
    let (_folder, path) = fixture("schema-2.redb.gz");
    let (mut child, mut output) = spawn_takeover(&path, usize::MAX);
    let watch = Stopwatch::start();
    let mut steps = String::new();
    output.read_to_string(&mut steps).unwrap();
    let (whole, tellings) = (watch.elapsed(), steps.matches("ed\n").count());
    assert!(child.wait().unwrap().success());
    assert!(["sorted", "copied", "compared", "done"].iter().all(|step| steps.contains(step)), "{steps}");
    assert!(tellings > 9, "{steps}");
    let mut met = [0; 2];
    for first in 0..kills / 3 {
        let (mut folder, mut path) = fixture("schema-2.redb.gz");
        for round in 0..3 {
            let kill = 3 * first + round;
            // one that was over before it could be killed leaves nothing to kill again
            let is_over = !matches!(Reader::open_path(&path, OPTIONS.cache_bytes), Err(OpenError::Older { .. }));
            if is_over {
                (folder, path) = fixture("schema-2.redb.gz");
            }
            // by turns after some batch, each of them twice, and somewhere within one
            let most = if kill % 2 == 0 { 1 + (kill as usize / 2) % tellings } else { usize::MAX };
            let (mut child, mut output) = spawn_takeover(&path, most);
            if kill % 2 == 1 {
                let (watch, life) = (Stopwatch::start(), whole * kill / kills);
                while watch.elapsed() < life {
                    std::hint::spin_loop();
                }
                child.kill().unwrap();
            }
            let mut rest = String::new();
            output.read_to_string(&mut rest).unwrap();
            child.wait().unwrap();
            let told = rest.matches("ed\n").count();
            assert!(told <= most && (told < most || !rest.contains("done")), "kill {kill}: {rest}");
            // one that goes on from a beginning tells less
            let is_certain = kill % 2 == 0 && (round == 0 || is_over);
            assert!(!is_certain || told == most, "kill {kill} met no takeover: {rest}");
            met[kill as usize % 2] += u32::from(!rest.contains("done"));
            // the older journal stays whole until the new one takes its place
            match Reader::open_path(&path, OPTIONS.cache_bytes) {
                Ok(reader) => assert_eq!(reader.last_seq().unwrap(), last_seq),
                Err(OpenError::Older { found: 2, .. } | OpenError::NeedsRecovery { .. }) => {}
                Err(error) => panic!("kill {kill}: {error}"),
            }
        }
        let store = Store::open(&path, OPTIONS).unwrap_or_else(|error| panic!("journal {first}: {error}"));
        assert_says(&store.reader().unwrap(), &expected);
        assert_eq!(files(&folder), ["vigie.redb"]);
    }
    println!("{met:?} of {kills} kills met a takeover under way: after a batch, and after a share of the time");
    assert!(met[0] + met[1] >= cases(30, 300), "{met:?} of {kills} kills");
}

#[test]
fn the_beginning_of_another_takeover_is_thrown_away() {
    let (folder, path) = fixture("schema-2.redb.gz");
    let beside = folder.path().join("vigie.redb.taken-over");
    for left in [b"no database".to_vec(), Vec::new(), unpacked("schema-2.redb.gz")] {
        fs::write(&path, unpacked("schema-2.redb.gz")).unwrap();
        fs::write(&beside, left).unwrap();
        drop(Store::open(&path, OPTIONS).unwrap());
        assert_says(&Reader::open_path(&path, OPTIONS.cache_bytes).unwrap(), &expected());
        assert!(!beside.exists());
    }
}

#[test]
fn a_link_in_the_place_of_the_new_file_is_not_followed() {
    let (folder, path) = fixture("schema-2.redb.gz");
    let other = folder.path().join("other");
    fs::write(&other, "precious").unwrap();
    std::os::unix::fs::symlink(&other, folder.path().join("vigie.redb.taken-over")).unwrap();
    drop(Store::open(&path, OPTIONS).unwrap());
    assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
    assert_says(&Reader::open_path(&path, OPTIONS.cache_bytes).unwrap(), &expected());
}
