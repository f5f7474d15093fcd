//! A journal of two months of the past, and everything that is read of it.

use std::path::{Path, PathBuf};

use vigie::{
    config::Config,
    domain::{Decision, Event, EventKind, Money, Outcome, Reason, SignalLine, Skip, Timestamp, TradeId},
    journal::{OutcomeRecord, Reader, SignalRecord, SkipRecord, Source, Store, StoreOptions, Write},
    recall::{checkpoint, fold::Folded, history},
};

pub const OPTIONS: StoreOptions = StoreOptions { cache_bytes: 4 << 20, verify: false };
/// Signals, one each three hours: January and February of 2025.
pub const TRADES: i64 = 500;

/// Three hours after three hours.
pub fn at(n: i64) -> Timestamp {
    Timestamp::from_second(1_735_732_800 + 3 * 3600 * n).unwrap()
}

/// The first day that stays: the 28th of February.
pub fn before() -> Timestamp {
    at(8 * 58 - 4)
}

pub fn id(n: i64) -> TradeId {
    TradeId::new(format!("{}-{n}", ["C", "A", "B"][n as usize % 3])).unwrap()
}

pub fn line(n: i64) -> Vec<u8> {
    let (name, at, value) = (id(n), at(n), (n % 97) as f64 / 97.0);
    format!(r#"{{"trade_id":"{name}","at":"{at}","symbol":"ES","side":"long","features":{{"vwap_trend_signal":{value},"level_proximity":0.5}}}}"#)
        .into_bytes()
}

pub fn outcome(n: i64, pnl: f64) -> Write {
    let outcome = Outcome { exit_reason: "signal".into(), ..Outcome::of(at(n + 2), Some(Money::new(pnl).unwrap())) };
    let record = OutcomeRecord { trade_id: id(n), received_at: at(n + 2), source: Source::Live, echo: None, outcome };
    Write::Outcome(Box::new(record))
}

pub fn writes(n: i64) -> Vec<Write> {
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

/// A journal with all of these in `folder`.
pub fn journal(folder: &Path) -> PathBuf {
    let path = folder.join("vigie.redb");
    let mut store = Store::open(&path, OPTIONS).unwrap();
    let all: Vec<_> = (0..TRADES).flat_map(writes).collect();
    all.chunks(100).for_each(|writes| drop(store.apply(writes).unwrap()));
    store.close().unwrap();
    path
}

pub fn config() -> Config {
    Config::builtin().unwrap()
}

/// Everything that is read of a journal up to a number, each in its own way.
pub fn all(reader: &Reader, last: u64) -> Vec<String> {
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
pub fn read(path: &Path) -> Vec<String> {
    let reader = Reader::open_path(path, 4 << 20).unwrap();
    all(&reader, reader.last_seq().unwrap())
}

/// What a start makes of a journal.
pub fn start(path: &Path) -> (Option<String>, [u8; 32]) {
    let reader = Reader::open_path(path, 1 << 20).unwrap();
    let folded = checkpoint::state(&reader, &config()).unwrap();
    (folded.doubt, checkpoint::digest(&folded.state.to_bytes().unwrap()))
}
