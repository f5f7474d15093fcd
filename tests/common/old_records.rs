//! Records of two months of the past.

use vigie::{
    config::Config,
    domain::{Decision, Event, EventKind, Money, Outcome, Reason, SignalLine, Skip, Timestamp, TradeId},
    journal::{OutcomeRecord, SignalRecord, SkipRecord, Source, Write},
};

/// Signals, one each three hours: January and February of 2025.
pub const TRADES: i64 = 500;

/// Three hours after three hours.
pub fn at(n: i64) -> Timestamp {
    Timestamp::from_second(1_735_732_800 + 3 * 3600 * n).unwrap()
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

pub fn config() -> Config {
    Config::builtin().unwrap()
}
