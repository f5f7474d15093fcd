//! Records in the journal: many at once, whatever their trade ids, how they are found again, and those of the first schema.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly as well")]

#[path = "common/samples.rs"]
mod samples;

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_pcg::Pcg64;
use redb::{Database, TableDefinition};
use samples::{Answer, Model, OPTIONS, at, outcome, signal, trade};
use serde::Serialize;
use serde_json::json;
use vigie::{
    domain::{Event, EventKind, Opinion, Skip, TradeId},
    journal::{
        Applied, Counts, OpenError, OutcomeRecord, Reader, SCHEMA, SignalRecord, SkipRecord, Source, Store, StoreError,
        StoreOptions, Stored, Write,
    },
};

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
    let numbers: Vec<u64> = store.reader().unwrap().signals().unwrap().map(|stored| stored.unwrap().seq).collect();
    assert!(numbers.is_sorted());
}

#[test]
fn a_trade_is_found_among_a_hundred_thousand_records_and_reads_cost_what_they_return() {
    let folder = tempfile::tempdir().unwrap();
    let mut store =
        Store::open(&folder.path().join("vigie.redb"), StoreOptions { cache_bytes: 64 << 20, ..OPTIONS }).unwrap();
    let number_of = |n: u64| format!("{:07}", n.wrapping_mul(7_368_787) % 10_000_019);
    // more than the index keeps young, so that its runs are merged, and the last batch goes beyond one
    let all = 70_000;
    for batch in (0..all).collect::<Vec<u64>>().chunks(10_000) {
        let writes: Vec<_> = batch.iter().map(|n| Write::Signal(live(&number_of(*n)))).collect();
        store.apply(&writes).unwrap();
    }
    let mut again = live(&number_of(3));
    again.received_at += jiff::SignedDuration::from_secs(60);
    store.apply(&[Write::Signal(again)]).unwrap();
    let reader = store.reader().unwrap();
    for n in (0..all).step_by(977) {
        let id = TradeId::new(number_of(n)).unwrap();
        let found: Vec<u64> = reader.signals_of(&id).unwrap().map(|stored| stored.unwrap().seq).collect();
        assert_eq!(found, [n + 1]);
    }
    let twice: Vec<u64> =
        reader.signals_of(&TradeId::new(number_of(3)).unwrap()).unwrap().map(|stored| stored.unwrap().seq).collect();
    assert_eq!(twice, [4, all + 1]);
    assert!(reader.signal(&TradeId::new("unknown").unwrap()).unwrap().is_none());
    let number = |stored: Stored| if let Stored::Signal(stored) = stored { stored.seq } else { 0 };
    let since: Vec<u64> = reader.since(all - 1).unwrap().map(|stored| number(stored.unwrap())).collect();
    assert_eq!(since, [all - 1, all, all + 1]);
    let came = live("x").received_at;
    let later = came + jiff::SignedDuration::from_secs(1);
    let between: Vec<u64> = reader
        .between(later, later + jiff::SignedDuration::from_hours(1))
        .unwrap()
        .map(|stored| number(stored.unwrap()))
        .collect();
    assert_eq!(between, [all + 1]);
    assert_eq!(reader.between(came, came).unwrap().take(5).count(), 5);
    assert_eq!(
        reader
            .between(came - jiff::SignedDuration::from_secs(9), came - jiff::SignedDuration::from_secs(1))
            .unwrap()
            .count(),
        0
    );
}

// a journal of schemas 1 and 2, record by record, for what no real one holds

const SIGNALS: TableDefinition<'static, (&str, u64), &[u8]> = TableDefinition::new("signals");
const OUTCOMES: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("outcomes");
const SKIPS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("skips");
const EVENTS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("events");
const VERSIONS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("versions");
const REPORTS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("checkpoints");
const META: TableDefinition<'static, &str, (u64, u32)> = TableDefinition::new("meta");

fn crc(parts: &[&[u8]]) -> u32 {
    let mut sum = flate2::Crc::new();
    parts.iter().for_each(|part| sum.update(part));
    sum.sum()
}

fn sealed(key: &[u8], body: &[u8]) -> Vec<u8> {
    [&[1], crc(&[key, body]).to_le_bytes().as_slice(), body].concat()
}

fn json_of(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).unwrap()
}

/// A signal as the first schema had it: its header was JSON, and at first knew of those that watched only what they
/// scored.
fn first_format(seq: u64, record: &SignalRecord) -> Vec<u8> {
    let SignalRecord { received_at, source, decision, opinions, latency_us, .. } = record;
    let mut header = json!({
        "received_at": received_at, "source": source, "decision": decision, "latency_us": latency_us,
    });
    match opinions.as_slice() {
        [Opinion { version, split: None, score, .. }] => header["shadows"] = json!([[version, score]]),
        opinions => header["opinions"] = json!(opinions),
    }
    let header = json_of(&header);
    let body = [&u32::try_from(header.len()).unwrap().to_le_bytes(), header.as_slice(), &record.line].concat();
    sealed(&[record.trade_id.as_str().as_bytes(), &seq.to_be_bytes()].concat(), &body)
}

fn older_outcome(seq: u64, record: &OutcomeRecord) -> Vec<u8> {
    let OutcomeRecord { trade_id, received_at, source, echo, outcome } = record;
    let body = json!({
        "seq": seq, "received_at": received_at, "matched": true, "source": source, "echo": echo, "outcome": outcome,
    });
    sealed(trade_id.as_str().as_bytes(), &json_of(&body))
}

fn event(n: u8) -> Event {
    Event { at: at(i64::from(n)), kind: EventKind::Stopped }
}

fn skip(n: u8) -> SkipRecord {
    SkipRecord { received_at: at(1500), skip: Skip { trade_id: trade(n), reason: "risk".into() } }
}

#[test]
fn a_journal_of_the_first_schema_is_taken_over_and_what_was_damaged_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vigie.redb");
    let mut old = [signal(1, 0, Source::Live), signal(2, 0, Source::Import), signal(3, 0, Source::Live)];
    old[2].opinions[0].split = None;
    let database = Database::create(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut signals = transaction.open_table(SIGNALS).unwrap();
        for (seq, record) in (1..).zip(&old) {
            signals.insert((record.trade_id.as_str(), seq), first_format(seq, record).as_slice()).unwrap();
        }
        let damaged = |mut value: Vec<u8>| {
            value[30] ^= 1;
            value
        };
        let fourth = damaged(first_format(4, &signal(4, 0, Source::Live)));
        signals.insert(("T-4", 4), fourth.as_slice()).unwrap();
        let mut outcomes = transaction.open_table(OUTCOMES).unwrap();
        outcomes.insert("T-1", older_outcome(6, &outcome(1, 0, Source::Live)).as_slice()).unwrap();
        let lost = damaged(older_outcome(7, &outcome(2, 0, Source::Live)));
        outcomes.insert("T-2", lost.as_slice()).unwrap();
        outcomes.insert("T-9", [7_u8, 1, 2].as_slice()).unwrap();
        let mut skips = transaction.open_table(SKIPS).unwrap();
        let body = json!({ "seq": 8, "received_at": skip(3).received_at, "reason": skip(3).skip.reason });
        skips.insert("T-3", sealed(b"T-3", &json_of(&body)).as_slice()).unwrap();
        let mut events = transaction.open_table(EVENTS).unwrap();
        events.insert(5, sealed(&5_u64.to_be_bytes(), &json_of(&event(1))).as_slice()).unwrap();
        let lost = damaged(sealed(&9_u64.to_be_bytes(), &json_of(&event(2))));
        events.insert(9, lost.as_slice()).unwrap();
        transaction.open_table(VERSIONS).unwrap();
        transaction.open_table(REPORTS).unwrap();
        let mut meta = transaction.open_table(META).unwrap();
        for (name, number) in [("schema", 1_u64), ("created_at_us", 77), ("last_seq", 9), ("decisions", 3)] {
            meta.insert(name, (number, crc(&[name.as_bytes(), &number.to_le_bytes()]))).unwrap();
        }
    }
    transaction.commit().unwrap();
    drop(database);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, private).unwrap();

    let older = OpenError::Older { path: path.clone(), found: 1, supported: SCHEMA };
    assert_eq!(Reader::open_path(&path, 1 << 20).unwrap_err(), older);
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let counts = Counts { signals: 4, decisions: 3, outcomes: 3, skips: 1, events: 2, versions: 0 };
    assert_eq!(store.reader().unwrap().counts().unwrap(), counts);
    // the two outcomes that could not say their numbers stand at the end
    assert_eq!(store.last_seq().unwrap(), 11);
    let new = signal(1, 1, Source::Live);
    let writes = [
        Write::Signal(new.clone()),
        Write::Signal(old[1].clone()),
        Write::Outcome(Box::new(outcome(2, 0, Source::Live))),
    ];
    let applied = store.apply(&writes).unwrap();
    let expected = [
        Applied::Stored { seq: 12, matched: None },
        Applied::Duplicate,
        Applied::Stored { seq: 13, matched: Some(true) },
    ];
    assert_eq!(applied, expected, "what is damaged may be told again");
    drop(store);

    let reader = Reader::open_path(&path, 1 << 20).unwrap();
    let [first, second, third] = old;
    let bad = |error: StoreError| error.to_string();
    let (read, damaged): (Vec<_>, Vec<_>) = reader.signals().unwrap().partition(Result::is_ok);
    let read: Vec<_> = read.into_iter().map(|stored| stored.unwrap().record).collect();
    assert_eq!(read, [first, second, third, new]);
    let mut found: Vec<String> = damaged.into_iter().filter_map(Result::err).map(bad).collect();
    found.extend(reader.outcomes().unwrap().filter_map(Result::err).map(bad));
    found.extend(reader.events(0).unwrap().filter_map(Result::err).map(bad));
    for (error, (kind, key, what)) in found.iter().zip([
        ("signals", "T-4 #4", "checksum"),
        ("outcomes", "T-9", "format 7"),
        ("events", "#9", "checksum"),
    ]) {
        assert!(error.contains(kind) && error.contains(key) && error.contains(what), "{error}");
    }
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(reader.outcome(&trade(1)).unwrap().unwrap().record, outcome(1, 0, Source::Live));
    assert_eq!(reader.skip(&trade(3)).unwrap().unwrap().record, skip(3));
    assert_eq!(reader.created_at().unwrap().as_microsecond(), 77);
}
