//! Signals in the journal: those of the first schema beside today's, and many at once in the order of their keys.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly as well")]

#[path = "common/samples.rs"]
mod samples;

use std::path::Path;

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64;
use redb::{Database, TableDefinition};
use samples::{Answer, Model, OPTIONS, outcome, signal};
use vigie::{
    domain::{Opinion, TradeId},
    journal::{Applied, OpenError, Reader, SCHEMA, SignalRecord, Source, Store, StoreError, Write},
};

const SIGNALS: TableDefinition<'static, (&str, u64), &[u8]> = TableDefinition::new("signals");
const META: TableDefinition<'static, &str, (u64, u32)> = TableDefinition::new("meta");

fn edit(path: &Path, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

fn crc(parts: &[&[u8]]) -> u32 {
    let mut sum = flate2::Crc::new();
    parts.iter().for_each(|part| sum.update(part));
    sum.sum()
}

fn set_number(transaction: &redb::WriteTransaction, name: &str, number: u64) {
    let value = (number, crc(&[name.as_bytes(), &number.to_le_bytes()]));
    transaction.open_table(META).unwrap().insert(name, value).unwrap();
}

/// A signal as the first schema had it: its header was JSON, and at first knew of those that watched only what they
/// scored.
fn put_first_format(transaction: &redb::WriteTransaction, seq: u64, record: &SignalRecord) {
    let SignalRecord { received_at, source, decision, opinions, latency_us, .. } = record;
    let mut header = serde_json::json!({
        "received_at": received_at, "source": source, "decision": decision, "latency_us": latency_us,
    });
    match opinions.as_slice() {
        [Opinion { version, split: None, score, .. }] => header["shadows"] = serde_json::json!([[version, score]]),
        opinions => header["opinions"] = serde_json::json!(opinions),
    }
    let header = header.to_string().into_bytes();
    let body = [&u32::try_from(header.len()).unwrap().to_le_bytes(), header.as_slice(), &record.line].concat();
    let sum = crc(&[record.trade_id.as_str().as_bytes(), &seq.to_be_bytes(), &body]);
    let value = [&[1], sum.to_le_bytes().as_slice(), &body].concat();
    let mut table = transaction.open_table(SIGNALS).unwrap();
    table.insert((record.trade_id.as_str(), seq), value.as_slice()).unwrap();
}

#[test]
fn a_journal_of_the_first_schema_is_taken_over_and_its_signals_are_read_beside_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vigie.redb");
    drop(Store::open(&path, OPTIONS).unwrap());
    let mut old = [signal(1, 0, Source::Live), signal(2, 0, Source::Import), signal(3, 0, Source::Live)];
    old[2].opinions[0].split = None;
    edit(&path, |transaction| {
        (1..).zip(&old).for_each(|(seq, record)| put_first_format(transaction, seq, record));
        for (name, number) in [("schema", 1), ("last_seq", 3), ("decisions", 2)] {
            set_number(transaction, name, number);
        }
    });
    let older = OpenError::Older { path: path.clone(), found: 1, supported: SCHEMA };
    assert_eq!(Reader::open_path(&path, 1 << 20).unwrap_err(), older);
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let new = signal(1, 1, Source::Live);
    let writes = [Write::Signal(new.clone()), Write::Signal(old[1].clone())];
    assert_eq!(store.apply(&writes).unwrap(), [Applied::Stored { seq: 4, matched: None }, Applied::Duplicate]);
    drop(store);
    let reader = Reader::open_path(&path, 1 << 20).unwrap();
    let [first, second, third] = old;
    let read: Vec<_> = reader.signals().unwrap().map(|stored| stored.unwrap().record).collect();
    assert_eq!(read, [first, new, second, third]);
    let counts = reader.counts().unwrap();
    assert_eq!((counts.signals, counts.decisions), (4, 3));
    drop(reader);
    // damage is found in both formats, and so is a format that was taken for the other
    for (key, place, damage) in [(("T-1", 1), 30, 1), (("T-1", 4), 30, 1), (("T-3", 3), 0, 3)] {
        edit(&path, |transaction| {
            let mut table = transaction.open_table(SIGNALS).unwrap();
            let mut value = table.remove(key).unwrap().unwrap().value().to_vec();
            value[place] ^= damage;
            table.insert(key, value.as_slice()).unwrap();
        });
    }
    let reader = Reader::open_path(&path, 1 << 20).unwrap();
    let bad = |stored: Result<_, StoreError>| stored.err().map(|error| error.to_string());
    let bad: Vec<_> = reader.signals().unwrap().filter_map(bad).collect();
    assert_eq!(bad.len(), 3, "{bad:?}");
    for (error, key) in bad.iter().zip(["T-1 #1", "T-1 #4", "T-3 #3"]) {
        assert!(error.contains(key) && error.contains("checksum"), "{error}");
    }
}

/// A live signal of a trade with any id.
fn live(id: &str) -> SignalRecord {
    let mut record = signal(1, 0, Source::Live);
    record.trade_id = TradeId::new(id).unwrap();
    record.decision.as_mut().unwrap().trade_id = record.trade_id.clone();
    record.line = String::from_utf8(record.line).unwrap().replace("T-1", id).into_bytes();
    record
}

fn answer(applied: &Applied) -> Answer {
    match applied {
        Applied::Stored { seq, matched } => Answer::Stored(*seq, *matched),
        Applied::Duplicate => Answer::Duplicate,
        Applied::Conflict { .. } => Answer::Conflict,
        Applied::Unwritable { why } => panic!("{why}"),
    }
}

#[test]
fn many_signals_at_once_are_all_there_whatever_the_order_of_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("vigie.redb"), OPTIONS).unwrap();
    let (mut model, mut rng) = (Model::default(), Pcg64::seed_from_u64(11));
    // ids that rise, that rise in eight places by turns, that come in any order, and that come again
    let rising = |n: u32| format!("ES-{n:06}");
    let by_turns = |n: u32| format!("C{}-{n:06}", n % 8);
    for round in 0..3 {
        let numbers = (round * 150)..(round * 150 + 150);
        let mut ids: Vec<String> = numbers.clone().map(rising).chain(numbers.map(by_turns)).collect();
        ids.extend((0..150).map(|_| format!("{:08x}", rng.random::<u32>())));
        ids.extend((0..40).map(|_| rising(rng.random_range(0..200))));
        if round == 2 {
            ids.shuffle(&mut rng);
        }
        let mut batch: Vec<_> = ids.iter().map(|id| Write::Signal(live(id))).collect();
        // what reads the signals' table sees those that came before it in the batch
        let known = u8::try_from(round).unwrap();
        batch.insert(100, Write::Signal(signal(known, 0, Source::Live)));
        batch.insert(200, Write::Outcome(Box::new(outcome(known, 0, Source::Live))));
        batch.insert(300, Write::Signal(signal(known, 0, Source::Import)));
        batch.insert(400, Write::Signal(signal(known, 1, Source::Import)));
        let answers: Vec<_> = store.apply(&batch).unwrap().iter().map(answer).collect();
        assert!(answers[200] == Answer::Stored(200 + model.seq + 1, Some(true)), "{:?}", answers[200]);
        assert_eq!(answers[300..=400].iter().filter(|answer| !matches!(answer, Answer::Stored(..))).count(), 2);
        assert_eq!(answers, batch.iter().map(|write| model.apply(write)).collect::<Vec<_>>());
        assert_eq!(Model::read(&store.reader().unwrap()), model);
    }
    let ids: Vec<_> =
        store.reader().unwrap().signals().unwrap().map(|stored| stored.unwrap().record.trade_id).collect();
    assert!(ids.is_sorted());
}
