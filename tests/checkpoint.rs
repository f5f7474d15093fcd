//! Checkpoints: what a start goes on from is what the whole log comes to, at every moment of a life, and what cannot be gone on
//! from is passed over. A false one is found and locks.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::{
    daemon::Daemon,
    place::{CONFIG, Place},
    wait::until,
    wire::score,
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use vigie::{
    config::Config,
    domain::{
        Arm, Decision, Event, EventKind, Money, Opinion, Outcome, Probability, Reason, SignalLine, Skip, Split,
        Timestamp, TradeId, VersionId,
        event::{By, Level},
        lifecycle::{State, Transition},
    },
    journal::{OutcomeRecord, Reader, SignalRecord, SkipRecord, Source, Write},
    recall::{
        checkpoint::{self, forget, newest, writes},
        fold::{Folded, Slot},
    },
};

/// Trades of a life.
const TRADES: usize = 120;

fn config() -> Config {
    Config::parse("test", CONFIG).unwrap()
}

fn at(minute: usize) -> Timestamp {
    Timestamp::from_second(1_756_728_000 + 60 * i64::try_from(minute).unwrap()).unwrap()
}

fn id(n: usize) -> TradeId {
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
fn answered(n: usize, minute: usize, side: &str, speaker: Option<&str>, present: &[&str], reused: bool) -> Write {
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

fn outcome(minute: usize, pnl: Option<f64>, slippage_ticks: Option<f64>) -> Outcome {
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

fn closed(n: usize, minute: usize, outcome: Outcome, source: Source) -> OutcomeRecord {
    OutcomeRecord { trade_id: id(n), received_at: at(minute), source, echo: None, outcome }
}

fn event(minute: usize, kind: EventKind) -> Write {
    Write::Event(Event { at: at(minute), kind })
}

fn moved(minute: usize, version: &str, step: Transition) -> Write {
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
                    day: config().calendar.day_of(at(minute)),
                    composite: Some(0.9),
                    degraded: rng.random_range(0..2) == 0,
                    unstable: false,
                    evidence: BTreeMap::new(),
                },
            )),
            (_, 1) => {
                let (reason, by) = ("looked at".to_owned(), By::Uid(0));
                writes.push(event(minute, EventKind::Locked { reason: reason.clone(), by: by.clone() }));
                writes.push(event(minute, EventKind::Resumed { reason, by }));
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

fn place(seed: u64) -> Place {
    let place = Place::new();
    let mut store = place.open();
    for write in life(seed) {
        store.apply(&[write]).unwrap();
    }
    store.close().unwrap();
    place
}

fn folded(reader: &Reader, config: &Config, last: u64) -> Folded {
    let mut folded = Folded::empty(config).unwrap();
    folded.go_on(reader, config, last).unwrap();
    folded
}

fn write(place: &Place, batches: Vec<Vec<Write>>) {
    let mut store = place.open();
    batches.iter().for_each(|batch| drop(store.apply(batch).unwrap()));
    store.close().unwrap();
}

/// Numbers of a checkpoint that tests look for.
fn begun(place: &Place, config: &Config) -> Option<u64> {
    newest(&place.reader(), config).unwrap().map(|folded| folded.seq)
}

#[test]
fn a_checkpoint_at_any_moment_and_what_came_since_are_what_the_whole_log_comes_to() {
    for seed in 0..6 {
        let (place, config) = (place(seed), config());
        let reader = place.reader();
        let last = reader.last_seq().unwrap();
        let whole = folded(&reader, &config, last).state.to_bytes().unwrap();
        // what the log came to grows with it, and no two moments are the same by chance
        let mut before = folded(&reader, &config, 0);
        for moment in 1..=last {
            before.go_on(&reader, &config, moment).unwrap();
            let bytes = before.state.to_bytes().unwrap();
            let mut after = Folded::empty(&config).unwrap();
            after.state = after.state.restored(&bytes).unwrap();
            assert_eq!(after.state.to_bytes().unwrap(), bytes, "seed {seed}, number {moment}");
            after.seq = moment;
            after.go_on(&reader, &config, last).unwrap();
            assert!(after.state.to_bytes().unwrap() == whole, "seed {seed}: gone on from number {moment} of {last}");
        }
        let (trials, days) = (&before.state.trials, before.state.risk.gradual.len());
        assert!(trials.test(&"ES/2".parse().unwrap()).is_some_and(|test| !test.sessions().is_empty()), "seed {seed}");
        assert!(trials.holdback(&"ES/1".parse().unwrap()).is_some() && days <= 2, "seed {seed}");
    }
}

#[test]
fn what_is_written_is_read_and_the_newest_that_is_whole_and_fits_is_gone_on_from() {
    let (place, config) = (place(7), config());
    let last = place.reader().last_seq().unwrap();
    assert_eq!(begun(&place, &config), None);
    let (early, late) = (folded(&place.reader(), &config, 50), folded(&place.reader(), &config, 90));
    let whole = folded(&place.reader(), &config, last).state.to_bytes().unwrap();
    let comes_to_the_same = || {
        let state = checkpoint::state(&place.reader(), &config).unwrap().state;
        assert!(state.to_bytes().unwrap() == whole);
    };
    write(&place, writes(&early, &config, Slot::A).unwrap());
    write(&place, writes(&late, &config, Slot::B).unwrap());
    assert_eq!(begun(&place, &config), Some(90));
    comes_to_the_same();
    // another configuration folds otherwise
    let other = Config::parse("test", &format!("{CONFIG}guardian.max_loss_streak = 7\n")).unwrap();
    assert_eq!(begun(&place, &other), None);
    // a part that is not the one that was written, and a write that was cut short
    let damaged = vec![Write::Checkpoint { name: "state.b.0".to_owned(), bytes: vec![1, 2, 3] }];
    write(&place, vec![damaged]);
    assert_eq!(begun(&place, &config), Some(50));
    comes_to_the_same();
    let mut cut_short = writes(&late, &config, Slot::A).unwrap();
    cut_short.pop();
    write(&place, cut_short);
    assert_eq!(begun(&place, &config), None);
    comes_to_the_same();
    write(&place, writes(&late, &config, Slot::A).unwrap());
    assert_eq!(begun(&place, &config), Some(90));
    write(&place, vec![forget(Slot::A)]);
    assert_eq!(begun(&place, &config), None);
    comes_to_the_same();
}

/// A journal of a model that speaks and so many signals that a stop is worth a checkpoint.
fn busy() -> Place {
    let place = Place::with_model(State::Production);
    let signals: Vec<Write> = (0..1500)
        .flat_map(|n| {
            let signal = answered(n, n, "long", Some("ES/1"), &["ES/1"], false);
            let told = closed(n, n, outcome(n, Some(if n % 2 == 0 { 9.0 } else { -8.0 }), None), Source::Live);
            [signal, Write::Outcome(Box::new(told))]
        })
        .collect();
    write(&place, signals.chunks(500).map(<[Write]>::to_vec).collect());
    // every day was judged: a start makes up for none
    let kind = EventKind::Judged {
        version: "ES/1".parse().unwrap(),
        day: config().calendar.day_of(at(6000)),
        composite: Some(1.0),
        degraded: false,
        unstable: false,
        evidence: BTreeMap::new(),
    };
    write(&place, vec![vec![event(1500, kind)]]);
    place
}

#[test]
fn a_stop_leaves_a_checkpoint_from_which_the_next_start_goes_on() {
    let (place, config) = (busy(), config());
    let daemon = Daemon::start(&place);
    assert_eq!(daemon.connect().arm("N-1").0, "ml");
    daemon.stop();
    let kept = begun(&place, &config).expect("a checkpoint");
    // what other parts said meanwhile
    assert!(place.reader().recorded(kept + 1).unwrap().count() < 20);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("N-2").0, "ml");
    assert_eq!(wire.ask_ok(score("N-1"))["arm"], "ml", "the same trade again");
    assert_eq!(wire.arm("T-9").1, "trade_id_reused");
    let checked = until("a comparison", || Some(wire.job("checkpoint_check")).filter(|job| job["runs"] == 1));
    assert_eq!((&checked["failures"], checked["last"]["found"].as_str()), (&0.into(), Some("it is the same")));
    daemon.stop();
    let state = checkpoint::state(&place.reader(), &config).unwrap().state;
    let whole = folded(&place.reader(), &config, place.reader().last_seq().unwrap()).state;
    assert!(state.to_bytes().unwrap() == whole.to_bytes().unwrap());
}

#[test]
fn a_false_checkpoint_is_found_locks_and_is_never_begun_from_again() {
    let (place, config) = (busy(), config());
    let last = place.reader().last_seq().unwrap();
    // it lacks the latest trades, and says that it does not
    let mut short = folded(&place.reader(), &config, last - 20);
    short.seq = last;
    write(&place, writes(&short, &config, Slot::A).unwrap());
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let reason =
        until("a lock over the false checkpoint", || wire.status()["guardian"]["lock"].as_str().map(str::to_owned));
    assert!(reason.contains("is not what the log comes to from its beginning"), "{reason}");
    assert_eq!(wire.arm("N-1").1, "locked");
    until("the alert", || place.alerts("checkpoint_differs").pop());
    until("no checkpoint", || begun(&place, &config).is_none().then_some(()));
    let failed = until("a failed job", || Some(wire.job("checkpoint_check")).filter(|job| job["failures"] == 1));
    assert!(failed["last_failure"]["found"].as_str().unwrap().starts_with("it differs"), "{failed}");
    daemon.stop();
    assert_eq!(begun(&place, &config), None);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("N-2").1, "locked", "until a person has looked");
    assert_eq!(place.alerts("checkpoint_differs").len(), 1);
    daemon.stop();
}
