//! A journal of a life that a seed draws: everything that can happen, over some months.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{
        Arm, Decision, Event, EventKind, Money, Opinion, Outcome, Probability, Reason, SignalLine, Skip, Split,
        Timestamp, TradeId, VersionId,
        event::{By, Level},
        lifecycle::Transition,
    },
    journal::{OutcomeRecord, SignalRecord, SkipRecord, Source, Write},
};

use super::place::{CONFIG, Place};

/// Trades of a life.
const TRADES: usize = 120;

pub fn at(minute: usize) -> Timestamp {
    Timestamp::from_second(1_756_728_000 + 60 * i64::try_from(minute).unwrap()).unwrap()
}

pub fn id(n: usize) -> TradeId {
    TradeId::new(format!("T-{n}")).unwrap()
}

fn line(n: usize, minute: usize, side: &str) -> Vec<u8> {
    let (at, value) = (at(minute), minute % 10);
    format!(
        r#"{{"trade_id":"T-{n}","at":"{at}","symbol":"ES","side":"{side}","confidence":0.6,"features":{{"session_time":0.{value}}}}}"#
    )
    .into_bytes()
}

/// A signal as it was answered by `speaker`, if a model had its word, while `present` were in service.
pub fn answered(n: usize, minute: usize, side: &str, speaker: Option<&str>, present: &[&str], reused: bool) -> Write {
    let score = Probability::new(0.4 + 0.001 * (minute % 200) as f64).unwrap();
    let reason = match speaker {
        _ if reused => Reason::TradeIdReused,
        Some(_) => Reason::Production,
        None => Reason::Holdback,
    };
    let arm = if speaker.is_some() && !reused { Arm::Ml } else { Arm::Baseline };
    let decision = Decision {
        trade_id: id(n),
        arm,
        confidence: Probability::new(0.6).ok(),
        score,
        size: if arm == Arm::Ml { 0.5 } else { 1.0 },
        model: speaker.map(|speaker| speaker.parse().unwrap()),
        reason,
    };
    let opinion = |version: &&str| Opinion {
        version: version.parse().unwrap(),
        split: Some(Split { arm, share: 0.9 }),
        score: Some(score),
        size: 0.5,
    };
    let opinions = if reused { Vec::new() } else { present.iter().map(opinion).collect() };
    Write::Signal(SignalRecord {
        trade_id: id(n),
        received_at: at(minute),
        source: Source::Live,
        decision: Some(decision),
        opinions,
        latency_us: Some(90),
        line: line(n, minute, side),
    })
}

pub fn outcome(minute: usize, pnl: Option<f64>, slippage_ticks: Option<f64>) -> Outcome {
    Outcome {
        exit_at: at(minute),
        entry_price: None,
        exit_price: None,
        pnl: pnl.map(|pnl| Money::new(pnl).unwrap()),
        slippage_ticks,
        exit_reason: "signal".into(),
        bars_held: None,
        mfe_ticks: None,
        mae_ticks: None,
        mfe_bars: None,
    }
}

pub fn closed(n: usize, minute: usize, outcome: Outcome, source: Source) -> OutcomeRecord {
    OutcomeRecord { trade_id: id(n), received_at: at(minute), source, echo: None, outcome }
}

pub fn event(minute: usize, kind: EventKind) -> Write {
    Write::Event(Event { at: at(minute), kind })
}

pub fn moved(minute: usize, version: &str, step: Transition) -> Write {
    let (by, evidence) = (By::Uid(0), BTreeMap::new());
    let version = version.parse().unwrap();
    event(minute, EventKind::Moved { version, step, reason: "a test".to_owned(), by, overridden: true, evidence })
}

/// Everything that can happen, in an order that `seed` chooses, over some months.
fn life(seed: u64) -> Vec<Write> {
    let mut rng = Pcg64::seed_from_u64(seed);
    let mut writes = Vec::new();
    let (one, two): (VersionId, VersionId) = ("ES/1".parse().unwrap(), "ES/2".parse().unwrap());
    for version in [&one, &two] {
        writes.push(event(0, EventKind::Trained { version: version.clone(), evidence: BTreeMap::new() }));
        writes.push(moved(0, &version.to_string(), Transition::Validate));
        writes.push(moved(0, &version.to_string(), Transition::Stage));
    }
    let (mut minute, mut present, mut speaker) = (0, vec!["ES/1", "ES/2"], None);
    let mut open: Vec<usize> = Vec::new();
    let mut blank: Vec<(usize, Outcome)> = Vec::new();
    for n in 0..TRADES {
        minute += rng.random_range(1..1500);
        if rng.random_range(0..6) == 0 && n != 20 && n != 60 {
            // a past trade, which may be answered here later
            let line = line(n, minute, "long");
            let mut parsed = SignalLine::parse(&line).unwrap();
            parsed.outcome = (rng.random_range(0..3) > 0).then(|| outcome(minute + 5, Some(3.0), None));
            writes.push(Write::past_trade(parsed, line, at(minute)));
            if rng.random_range(0..2) == 0 {
                minute += 3;
                writes.push(answered(n, minute - 3, "long", speaker, &present, false));
            }
            continue;
        }
        writes.push(answered(n, minute, "long", speaker.filter(|_| rng.random_range(0..10) > 0), &present, false));
        match rng.random_range(0..10) {
            0 => writes.push(answered(n, minute, "long", speaker, &present, false)),
            1 => writes.push(answered(n, minute + 1, "short", speaker, &present, true)),
            _ => {}
        }
        open.push(n);
        if rng.random_range(0..4) > 0 {
            let n = open.swap_remove(rng.random_range(0..open.len()));
            minute += rng.random_range(1..30);
            let pnl = (rng.random_range(0..8) > 0).then(|| f64::from(rng.random_range(-40..40)));
            let source = if rng.random_range(0..8) == 0 { Source::Import } else { Source::Live };
            match rng.random_range(0..12) {
                0 => writes.push(Write::Skip(SkipRecord {
                    received_at: at(minute),
                    skip: Skip { trade_id: id(n), reason: "spread".into() },
                })),
                _ => {
                    let told = outcome(minute, pnl, None);
                    writes.push(Write::Outcome(Box::new(closed(n, minute, told.clone(), source))));
                    blank.push((n, told));
                }
            }
        }
        if !blank.is_empty() && rng.random_range(0..5) == 0 {
            // told again, with what was missing
            let (n, told) = blank.swap_remove(rng.random_range(0..blank.len()));
            minute += 1;
            let more = Outcome { pnl: told.pnl.or(Money::new(-7.0).ok()), slippage_ticks: Some(1.0), ..told };
            writes.push(Write::Completion(Box::new(closed(n, minute, more, Source::Live))));
        }
        match (n, rng.random_range(0..12)) {
            (20, _) => {
                speaker = Some("ES/1");
                writes.extend([Transition::StartTest, Transition::Promote].map(|step| moved(minute, "ES/1", step)));
            }
            (60, _) => {
                (speaker, present) = (None, vec!["ES/2"]);
                writes.push(moved(minute, "ES/1", Transition::RollBack));
                writes.push(moved(minute, "ES/2", Transition::StartTest));
            }
            (_, 0) => writes.push(event(
                minute,
                EventKind::Judged {
                    version: one.clone(),
                    day: Config::parse("test", CONFIG).unwrap().calendar.day_of(at(minute)),
                    composite: Some(0.9),
                    degraded: rng.random_range(0..2) == 0,
                    unstable: false,
                    evidence: BTreeMap::new(),
                },
            )),
            (_, 1) => {
                let (reason, by) = ("looked at".to_owned(), By::Uid(0));
                writes.push(event(minute, EventKind::Locked { reason: reason.clone(), by: by.clone(), until: None }));
                writes.push(event(minute, EventKind::Resumed { reason, by, same_day: false }));
            }
            (_, 2) => writes.push(event(
                minute,
                EventKind::Alert {
                    level: Level::Warning,
                    code: "stale_inputs".into(),
                    message: "ES/2 does not score".to_owned(),
                },
            )),
            (_, 3) => writes.push(event(
                minute,
                EventKind::Shared { version: one.clone(), share: 0.5, reason: "test".to_owned(), by: By::Uid(0) },
            )),
            _ => {}
        }
    }
    writes
}

pub fn place(seed: u64) -> Place {
    let place = Place::new();
    let mut store = place.open();
    for write in life(seed) {
        store.apply(&[write]).unwrap();
    }
    store.close().unwrap();
    place
}
