//! Signals that are never closed: what is held of them is bounded, in the daemon that starts on a journal full of them too, and
//! what there is no room for is counted.
//!
//! `VIGIE_LONG=1` takes 1,000,000 signals of one day instead of 30,000.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    long::cases,
    place::{BY_HAND, CONFIG, Place},
    process::Process,
    wait::until,
    wire::{arm_of, baseline, score_with},
};
use serde_json::json;
use vigie::{
    domain::{Arm, Decision, Opinion, Probability, Reason, Timestamp, TradeId, lifecycle::State},
    journal::{SignalRecord, Source, Write},
};

/// Trade ids that are held, and trades without an outcome that the monitor is made of.
const KNOWN: usize = 10_000;
/// Memory that a start may take, in MiB; unoptimised it is the same within some.
const MOST_MIB: u64 = 700;

/// The `n`-th signal of a day, as ES/1 answered it.
fn signal(n: usize) -> Write {
    let (id, at) = (format!("F-{n}"), Timestamp::from_microsecond(1_756_728_000_000_000 + 50_000 * n as i64).unwrap());
    let line = score_with(&id, "2025-09-01T15:00:00Z", &at.to_string()).into_bytes();
    let (trade_id, score) = (TradeId::new(id).unwrap(), Probability::new(0.6).unwrap());
    let version = "ES/1".parse().unwrap();
    let opinion = Opinion { version, split: None, score: Some(score), size: 1.0 };
    let decision = Decision {
        trade_id: trade_id.clone(),
        arm: Arm::Ml,
        confidence: Some(score),
        score,
        size: 1.0,
        model: Some("ES/1".parse().unwrap()),
        reason: Reason::Production,
    };
    Write::Signal(SignalRecord {
        trade_id,
        received_at: at,
        source: Source::Live,
        decision: Some(decision),
        opinions: vec![opinion],
        latency_us: Some(90),
        line,
    })
}

#[test]
fn a_start_on_signals_that_are_never_closed_holds_so_many_and_counts_the_others() {
    let signals = cases(30_000, 1_000_000);
    let place = Place::with_model(State::Production);
    let mut store = place.open();
    for first in (0..signals).step_by(10_000) {
        store.apply(&(first..first + 10_000).map(signal).collect::<Vec<_>>()).unwrap();
    }
    store.close().unwrap();
    let bounds = format!("journal.known_ids = {KNOWN}\nmonitor.max_open = {KNOWN}\n");
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}{bounds}"));
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let monitor =
        until("a monitor that is made", || Some(wire.status()["monitor"].take()).filter(|it| it["open"] == KNOWN));
    assert_eq!(monitor["left_out"], signals - KNOWN, "{monitor}");
    let ids = wire.status()["trade_ids"].take();
    let (known, forgotten) = (ids["known"].as_u64().unwrap() as usize, ids["forgotten"].as_u64().unwrap() as usize);
    assert!((KNOWN / 2..=KNOWN).contains(&known), "{ids}");
    assert_eq!(known + forgotten, signals, "{ids}");
    // the latest are known; a new one is answered
    let last = format!("F-{}", signals - 1);
    assert_eq!(arm_of(&wire.ask_ok(score_with(&last, "\"long\"", "\"short\""))), baseline("trade_id_reused"));
    wire.ask_ok(score_with("N-1", "\"long\"", "\"short\""));
    let memory = daemon.memory("VmHWM");
    println!("{}", json!({ "signals": signals, "VmHWM_MiB": memory, "VmRSS_MiB": daemon.memory("VmRSS") }));
    assert!(memory < MOST_MIB, "{memory} MiB");
    daemon.stop();
}
