//! How long a start takes and what it holds, on journals of closed trades: without a checkpoint, and from one after a `kill -9`.
//!
//! `VIGIE_LONG=1` takes journals of 10,000, 100,000 and 1,000,000 closed trades instead of one of 12,000. The figures are those
//! of the program that is tested: an optimised one is meant.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{collections::BTreeMap, os::unix::net::UnixStream, time::Duration};

use common::{
    long::cases,
    place::{CONFIG, Place},
    process::Process,
    wait::{PATIENCE, until, until_passed},
    wire::score_with,
};
use serde_json::json;
use vigie::{
    clock::Stopwatch,
    config::Config,
    domain::{
        Arm, Decision, Event, EventKind, Money, Opinion, Outcome, Probability, Reason, Split, Timestamp, TradeId,
        lifecycle::State,
    },
    journal::{OutcomeRecord, SignalRecord, Source, Write},
    recall::checkpoint::newest,
};

/// Of losses and wins by turns no rule makes an emergency.
const CALM: &str = "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_factor = 100\n";
/// Seconds between two trades: some 1,400 a day.
const PACE: i64 = 60;

/// The `n`-th trade, as ES/1 answered its signal and as it was closed a minute later.
fn trade(n: usize) -> [Write; 2] {
    let (id, second) = (format!("L-{n}"), 1_600_000_000 + PACE * i64::try_from(n).unwrap());
    let (at, exit_at) = (Timestamp::from_second(second).unwrap(), Timestamp::from_second(second + PACE).unwrap());
    let line = score_with(&id, "2025-09-01T15:00:00Z", &at.to_string()).into_bytes();
    let trade_id = TradeId::new(id).unwrap();
    let score = Probability::new(0.6).unwrap();
    let split = Some(Split { arm: Arm::Ml, share: 0.9 });
    let opinion = Opinion { version: "ES/1".parse().unwrap(), split, score: Some(score), size: 1.0 };
    let decision = Decision {
        trade_id: trade_id.clone(),
        arm: Arm::Ml,
        confidence: Some(score),
        score,
        size: 1.0,
        model: Some("ES/1".parse().unwrap()),
        reason: Reason::Production,
    };
    let outcome = Outcome {
        exit_at,
        entry_price: None,
        exit_price: None,
        pnl: Money::new(if n.is_multiple_of(2) { 9.0 } else { -8.0 }).ok(),
        slippage_ticks: None,
        exit_reason: "signal".into(),
        bars_held: None,
        mfe_ticks: None,
        mae_ticks: None,
        mfe_bars: None,
    };
    let source = Source::Live;
    [
        Write::Signal(SignalRecord {
            trade_id: trade_id.clone(),
            received_at: at,
            source,
            decision: Some(decision),
            opinions: vec![opinion],
            latency_us: Some(90),
            line,
        }),
        Write::Outcome(Box::new(OutcomeRecord { trade_id, received_at: exit_at, source, echo: None, outcome })),
    ]
}

/// Every day of the trades was judged: a start makes up for none, whose trades were made for their number alone.
fn judged(trades: usize) -> Write {
    let at = Timestamp::from_second(1_600_000_000 + PACE * i64::try_from(trades).unwrap() + 2 * 86_400).unwrap();
    let day = Config::builtin().unwrap().calendar.day_of(at);
    let (version, evidence) = ("ES/1".parse().unwrap(), BTreeMap::new());
    let kind = EventKind::Judged { version, day, composite: Some(1.0), degraded: false, unstable: false, evidence };
    Write::Event(Event { at, kind })
}

/// A daemon, and how long it was until a model answered, in seconds. A start may take longer than a test waits.
fn started(place: &Place, id: &str) -> (Process, f64) {
    let watch = Stopwatch::start();
    let daemon = Process::spawn(place, &[]);
    while watch.elapsed() < 8 * PATIENCE && UnixStream::connect(place.socket()).is_err() {
        until_passed(Stopwatch::start(), Duration::from_millis(1));
    }
    let daemon = daemon.listening();
    assert_eq!(daemon.connect().arm(id).0, "ml");
    (daemon, watch.elapsed().as_secs_f64())
}

#[test]
fn a_start_after_a_kill_does_not_grow_with_the_journal() {
    for trades in cases(vec![12_000], vec![10_000, 100_000, 1_000_000]) {
        let place = Place::with_model(State::Production);
        let text = format!("{CONFIG}{CALM}");
        place.file("config.toml", &text);
        let mut store = place.open();
        for first in (0..trades).step_by(10_000) {
            let writes: Vec<Write> = (first..trades.min(first + 10_000)).flat_map(trade).collect();
            store.apply(&writes).unwrap();
        }
        store.apply(&[judged(trades)]).unwrap();
        store.close().unwrap();
        let config = Config::parse("test", &text).unwrap();
        let (mut daemon, whole) = started(&place, "N-1");
        let all = (daemon.memory("VmRSS"), daemon.memory("VmHWM"));
        let seq = until("a checkpoint", || newest(&place.reader(), &config).unwrap()).seq;
        daemon.kill();
        let (mut daemon, first) = started(&place, "N-2");
        let from = (daemon.memory("VmRSS"), daemon.memory("VmHWM"));
        daemon.kill();
        let behind = place.open().reader().unwrap().recorded(seq + 1).unwrap().count();
        println!(
            "{}",
            json!({
                "trades": trades, "whole_s": whole, "whole_rss_mib": all.0, "whole_peak_mib": all.1,
                "first_ml_answer_s": first, "rss_mib": from.0, "peak_mib": from.1, "read_behind_it": behind,
            })
        );
        assert!(seq as usize > 2 * trades && behind < 100, "{seq}, {behind}");
        assert!(from.0 <= all.0 + 20, "{from:?} beside {all:?}");
    }
}
