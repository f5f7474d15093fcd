//! Lines of signals in the journal: compressed, and read back as they came.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use std::{
    fs,
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use redb::{Database, ReadableTable, ReadableTableMetadata, TableDefinition};
use vigie::{
    domain::{SignalLine, Timestamp},
    journal::{Applied, Reader, Store, StoreError, StoreOptions, Write},
};

const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 4 << 20, verify: false };
const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
const DICTIONARIES: TableDefinition<'static, u32, &[u8]> = TableDefinition::new("dictionaries");
const DICTIONARIES_AGAIN: TableDefinition<'static, u32, &[u8]> = TableDefinition::new("dictionaries_again");

fn unpacked(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The lines of so many example signals: snapshots, as a file of past trades has them.
fn snapshots(count: usize) -> Vec<String> {
    let text = String::from_utf8(unpacked("examples/signals.jsonl.gz")).unwrap();
    text.lines().take(count).map(str::to_owned).collect()
}

/// Lines with the twelve features.
fn features(count: usize) -> Vec<String> {
    let number = |n: usize, k: usize| (n * 7919 + k * 104_729) % 10_000;
    let names = [
        "vwap_trend_signal",
        "sierra_pattern_strength",
        "dow_trend_regime",
        "gamma_levels_proximity",
        "level_proximity",
        "es_nq_correlation",
        "volume_confirmation",
        "options_flow_bias",
        "market_volatility",
        "session_time",
        "bid_ask_spread",
        "recent_momentum",
    ];
    let line = |n: usize| {
        let values: Vec<String> =
            names.iter().enumerate().map(|(k, name)| format!(r#""{name}":0.{:04}"#, number(n, k))).collect();
        format!(
            r#"{{"type":"score","id":{n},"trade_id":"ES-20251104-{n:03}","at":"2025-11-04T15:02:11.{:03}Z","symbol":"ES","side":"long","confidence":0.{:04},"features":{{{}}}}}"#,
            n % 1000,
            number(n, 99),
            values.join(",")
        )
    };
    (0..count).map(line).collect()
}

fn write(line: &str) -> Write {
    let parsed = SignalLine::parse(line.as_bytes()).unwrap();
    Write::past_trade(parsed, line.as_bytes().to_vec(), Timestamp::from_second(1_765_000_000).unwrap())
}

fn stored_lines(reader: &Reader) -> Vec<String> {
    let line = |stored: Result<vigie::journal::StoredSignal, StoreError>| stored.unwrap().record.line;
    reader.signals().unwrap().map(line).map(|line| String::from_utf8(line).unwrap()).collect()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vigie.redb");
    (folder, path)
}

/// Bytes of the log's signals.
fn bytes_of_signals(path: &Path) -> usize {
    let log = Database::open(path).unwrap();
    let log = redb::ReadableDatabase::begin_read(&log).unwrap().open_table(LOG).unwrap();
    log.iter().unwrap().map(|entry| entry.unwrap().1.value().to_vec()).filter(|v| v[0] == 1).map(|v| v.len()).sum()
}

#[test]
fn lines_come_back_to_the_byte_and_take_less_than_half() {
    let (_folder, path) = place();
    let (snapshots, features) = (snapshots(300), features(300));
    let lines: Vec<String> = snapshots.iter().zip(&features).flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
    for batch in lines.chunks(50) {
        // a store that is opened again knows the lines that were learnt before
        let mut store = Store::open(&path, OPTIONS).unwrap();
        let applied = store.apply(&batch.iter().map(|line| write(line)).collect::<Vec<_>>()).unwrap();
        assert!(applied.iter().all(|applied| matches!(applied, Applied::Stored { .. })), "{applied:?}");
        let again = store.apply(&batch.iter().map(|line| write(line)).collect::<Vec<_>>()).unwrap();
        assert!(again.iter().all(|applied| *applied == Applied::Duplicate), "{again:?}");
        store.close().unwrap();
    }
    assert_eq!(stored_lines(&Reader::open_path(&path, 1 << 20).unwrap()), lines);
    let came: usize = lines.iter().map(String::len).sum();
    let kept = bytes_of_signals(&path);
    println!("{} bytes a line came, {} bytes a record are kept", came / lines.len(), kept / lines.len());
    assert!(2 * kept < came, "{kept} of {came}");
    let database = Database::open(&path).unwrap();
    let table = redb::ReadableDatabase::begin_read(&database).unwrap().open_table(DICTIONARIES).unwrap();
    assert_eq!(table.len().unwrap(), 2, "one line of each shape");
}

#[test]
fn a_journal_whose_lines_stand_as_they_came_is_read_and_goes_on_compressed() {
    let (_folder, path) = place();
    fs::write(&path, unpacked("tests/fixtures/journal/raw-lines.redb.gz")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let lines = snapshots(12);
    assert_eq!(stored_lines(&Reader::open_path(&path, 1 << 20).unwrap()), lines[..6]);
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let applied = store.apply(&lines.iter().map(|line| write(line)).collect::<Vec<_>>()).unwrap();
    assert!(applied[..6].iter().all(|applied| *applied == Applied::Duplicate), "{applied:?}");
    assert!(applied[6..].iter().all(|applied| matches!(applied, Applied::Stored { .. })), "{applied:?}");
    store.close().unwrap();
    assert_eq!(stored_lines(&Reader::open_path(&path, 1 << 20).unwrap()), lines);
}

#[test]
fn a_dictionary_that_is_damaged_once_costs_nothing_and_twice_the_lines_that_need_it() {
    let (_folder, path) = place();
    let (snapshots, features) = (snapshots(20), features(20));
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let lines: Vec<&String> = snapshots.iter().chain(&features).collect();
    store.apply(&lines.iter().map(|line| write(line)).collect::<Vec<_>>()).unwrap();
    store.close().unwrap();
    let damage = |table: TableDefinition<'static, u32, &[u8]>, wanted: &str| {
        let database = Database::open(&path).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(table).unwrap();
            let entry = |entry: redb::Result<(redb::AccessGuard<'_, u32>, redb::AccessGuard<'_, &[u8]>), _>| {
                let (name, value) = entry.unwrap();
                (name.value(), value.value().to_vec())
            };
            let entries: Vec<(u32, Vec<u8>)> = table.iter().unwrap().map(entry).collect();
            let is_wanted = |value: &[u8]| String::from_utf8_lossy(value).contains(wanted);
            let (name, mut value) = entries.into_iter().find(|(_, value)| is_wanted(value)).unwrap();
            value[40] ^= 1;
            table.insert(name, value.as_slice()).unwrap();
        }
        transaction.commit().unwrap();
    };
    // a shape has its line in one of the two, and the other is asked for it
    damage(DICTIONARIES, "market_state");
    damage(DICTIONARIES_AGAIN, "vwap_trend_signal\"");
    assert_eq!(stored_lines(&Reader::open_path(&path, 1 << 20).unwrap()).len(), 40);
    damage(DICTIONARIES_AGAIN, "market_state");
    let reader = Reader::open_path(&path, 1 << 20).unwrap();
    let (read, bad): (Vec<_>, Vec<_>) = reader.signals().unwrap().partition(Result::is_ok);
    assert_eq!((read.len(), bad.len()), (20, 20));
    for error in bad.into_iter().map(Result::unwrap_err) {
        assert!(matches!(&error, StoreError::BadRecord(bad) if bad.what.contains("is lost")), "{error}");
    }
    // what comes afterwards is read again
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let later: Vec<String> = self::snapshots(25).split_off(20);
    store.apply(&later.iter().map(|line| write(line)).collect::<Vec<_>>()).unwrap();
    let read = store.reader().unwrap().signals().unwrap().filter(Result::is_ok).count();
    assert_eq!(read, 25);
}
