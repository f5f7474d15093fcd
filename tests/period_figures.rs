//! What the figures of a report are of: a period by the own time of everything in it, a symbol alone, each signal once.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the tests share may fail loudly"
)]

mod common;

use std::{collections::BTreeMap, fs};

use common::{
    life::{answered, closed, event, moved, outcome},
    place::{CONFIG, Place, model},
    process::{succeed, vigie},
};
use serde_json::{Value, json};
use vigie::{
    config::Config,
    domain::{
        Decision, EventKind, Reason, SignalLine, Skip, Timestamp, TradeId, VersionId,
        event::{By, Level},
        lifecycle::{State, Transition},
        trip::{Breach, Trip, Unit},
    },
    guard::emergency::accuracy,
    journal::{OutcomeRecord, SignalRecord, SkipRecord, Source, Write},
    recall::period,
    report::{Report, Scope, Summary, Words},
};

/// Fourteen months after the market of the messages, in minutes from its beginning.
const WALL: usize = 640_000;
const DAY: usize = 1440;

fn at(minute: usize) -> Timestamp {
    common::life::at(minute)
}

fn config() -> Config {
    Config::parse("test", CONFIG).unwrap()
}

fn told(place: &Place, scope: &Scope) -> Summary {
    period::summary(&place.reader(), &config(), scope).unwrap()
}

fn report(summary: &Summary) -> Report {
    summary.report(&Words { unit: "USD", calendar: &config().calendar })
}

/// A version that is trained and staged at the minute `trained`, and tested and promoted on the market's clock, with a lock of a
/// day; `wrong`: what a wrong clock added in the midst of it.
fn journal(trained: usize, wrong: Option<usize>) -> Place {
    let place = Place::new();
    let version: VersionId = "ES/1".parse().unwrap();
    let alert = || EventKind::Alert { level: Level::Warning, code: "clock".into(), message: "a word".to_owned() };
    let by = || By::Uid(0);
    let mut writes = vec![
        Write::Version { id: version.clone(), body: model().to_bytes().unwrap() },
        event(trained, EventKind::Trained { version, evidence: BTreeMap::new() }),
        moved(trained, "ES/1", Transition::Validate),
        moved(trained, "ES/1", Transition::Stage),
        moved(0, "ES/1", Transition::StartTest),
    ];
    for n in 0..80 {
        let minute = 10 + n * DAY / 4;
        match n {
            8 => {
                writes.push(event(minute - 1, EventKind::Locked { reason: "a test".to_owned(), by: by(), until: None }))
            }
            12 => writes
                .push(event(minute - 1, EventKind::Resumed { reason: "a test".to_owned(), by: by(), same_day: false })),
            20 => writes.extend(wrong.map(|minute| event(minute, alert()))),
            40 => writes.push(moved(minute - 1, "ES/1", Transition::Promote)),
            _ => {}
        }
        let speaker = (n % 3 > 0).then_some("ES/1");
        writes.push(answered(n, minute, "long", speaker, &["ES/1"], false));
        // the half size that it is given saves money, so that no rule takes it down
        let pnl = if n % 2 == 0 { -40.0 } else { 15.0 };
        writes.push(Write::Outcome(Box::new(closed(
            n,
            minute + 9,
            outcome(minute + 8, Some(pnl), None),
            Source::Live,
        ))));
    }
    let mut store = place.open();
    store.apply(&writes).unwrap();
    store.close().unwrap();
    place
}

#[test]
fn a_time_that_is_too_late_near_the_beginning_spoils_no_period_before_it() {
    let sound = journal(0, None);
    let spoiled = [journal(WALL, None), journal(0, Some(WALL)), journal(WALL, Some(WALL)), journal(WALL, Some(1))];
    for until in [6, 9, 15, 19] {
        let scope = Scope { until: Some(at(until * DAY)), ..Scope::default() };
        let whole = told(&sound, &scope);
        let of = |summary: &Summary| {
            let told = serde_json::to_value(summary).unwrap();
            let mut parts: Vec<Value> = ["answers", "money", "tests", "holdbacks", "latency_us", "outcomes_late_us"]
                .map(|part| told[part].clone())
                .into();
            let serving = |stay: &&vigie::report::Stay| stay.state != State::Staging;
            parts.push(json!(summary.versions.iter().filter(serving).collect::<Vec<_>>()));
            parts.push(json!([told["lost"]["unresolved"], told["lost"]["away_s"], told["health"]]));
            parts
        };
        assert_eq!(whole.answers.signals, 4 * until, "{until} days");
        assert_eq!((whole.tests.len(), whole.holdbacks.len()), (1, usize::from(until > 10)), "{until} days");
        for (n, place) in spoiled.iter().enumerate() {
            let summary = told(place, &scope);
            let looks = |summary: &Summary| summary.tests[0].looks.len();
            assert_eq!((summary.tests.len(), summary.holdbacks.len()), (1, usize::from(until > 10)), "{until} days");
            assert_eq!(looks(&summary), looks(&whole), "{until} days of journal {n}");
            let (mut found, mut expected) = (of(&summary), of(&whole));
            // a wrong clock in the midst of a session closed it for the test as well: what came after it was too late
            if n > 0 {
                for parts in [&mut found, &mut expected] {
                    parts.retain(|part| part.pointer("/0/assessment").is_none() && part.pointer("/0/trial").is_none());
                }
            }
            for (found, expected) in found.iter().zip(&expected) {
                assert!(found == expected, "{until} days of journal {n}: {found} and not {expected}");
            }
            let lead = report(&summary).lead;
            assert_eq!(lead, report(&whole).lead, "{until} days of journal {n}");
            assert_eq!(lead.contains("ES/1 is in production since 2025-09-11"), until > 10, "{lead}");
            assert!(lead.contains("Models were silent for 1 days."), "{lead}");
            let curve = &summary.accuracy;
            assert!(until < 15 || !curve.is_empty(), "no curve of {until} days");
            assert!(curve.iter().flat_map(|curve| &curve.points).is_sorted_by_key(|(at, _)| *at), "{curve:?}");
        }
    }
}

fn line(name: &str, symbol: &str, minute: usize) -> Vec<u8> {
    let at = at(minute);
    format!(r#"{{"trade_id":"{name}","at":"{at}","symbol":"{symbol}","side":"long","features":{{}}}}"#).into_bytes()
}

/// A signal that was answered with the strategy alone and left to no chance.
fn plain(name: &str, symbol: &str, minute: usize, fired: usize) -> Write {
    let trade_id = TradeId::new(name).unwrap();
    let decision = Decision::baseline(trade_id.clone(), None, None, Reason::NoModel);
    Write::Signal(SignalRecord {
        trade_id,
        received_at: at(minute),
        source: Source::Live,
        decision: Some(decision),
        opinions: Vec::new(),
        latency_us: Some(90),
        line: line(name, symbol, fired),
    })
}

fn ended(name: &str, minute: usize) -> Write {
    let outcome = outcome(minute, Some(10.0), None);
    let trade_id = TradeId::new(name).unwrap();
    Write::Outcome(Box::new(OutcomeRecord {
        trade_id,
        received_at: at(minute + 1),
        source: Source::Live,
        echo: None,
        outcome,
    }))
}

fn imported(name: &str, symbol: &str, minute: usize) -> Write {
    let line = line(name, symbol, minute);
    let mut parsed = SignalLine::parse(&line).unwrap();
    parsed.outcome = Some(outcome(minute + 5, Some(3.0), None));
    Write::past_trade(parsed, line, at(minute))
}

/// Two symbols: of ES five signals, one of which came three times, four closed; of NQ four, one let go, one closed, two open.
fn two_symbols() -> Place {
    let place = Place::new();
    let skip = Skip { trade_id: TradeId::new("N-1").unwrap(), reason: "no room".into() };
    let mut writes = vec![imported("H-1", "ES", 1), imported("H-2", "NQ", 2), imported("H-3", "NQ", 3)];
    writes.extend((0..5).map(|n| plain(&format!("E-{n}"), "ES", 100 + n, 100 + n)));
    writes.extend([plain("E-2", "ES", 110, 102), plain("E-2", "ES", 111, 102)]);
    writes.extend((0..4).map(|n| ended(&format!("E-{n}"), 200 + n)));
    writes.extend((0..4).map(|n| plain(&format!("N-{n}"), "NQ", 120 + n, 120 + n)));
    writes.push(ended("N-0", 210));
    writes.push(Write::Skip(SkipRecord { received_at: at(211), skip }));
    let mut store = place.open();
    store.apply(&writes).unwrap();
    store.close().unwrap();
    place
}

#[test]
fn each_figure_is_of_the_symbol_that_is_asked_about_and_each_signal_counts_once() {
    let place = two_symbols();
    let of = |symbol: Option<&str>| {
        let symbol = symbol.map(|symbol| vigie::domain::Symbol::new(symbol).unwrap());
        told(&place, &Scope { symbol, ..Scope::default() })
    };
    let figures = |summary: &Summary| {
        let answers = &summary.answers;
        let late = summary.outcomes_late_us.map_or(0, |late| late.count);
        (answers.signals, answers.answers, answers.closed, answers.skipped, answers.imported, late)
    };
    let (es, nq, all) = (of(Some("ES")), of(Some("NQ")), of(None));
    assert_eq!(figures(&es), (5, 7, 4, 0, 1, 4));
    assert_eq!(figures(&nq), (4, 4, 1, 1, 2, 1));
    assert_eq!(figures(&all), (9, 11, 5, 1, 3, 5));
    // none of it was left to chance, and what is open is told of nevertheless
    assert_eq!([&es, &nq, &all].map(|summary| summary.lost.unresolved), [1, 2, 3]);
    for summary in [&es, &nq, &all] {
        let known: usize = summary.money.iter().map(|money| money.groups[3].signals).sum();
        let open: usize = summary.money.iter().map(|money| money.unresolved).sum();
        assert_eq!((known + open, open), (summary.answers.signals, summary.lost.unresolved), "money has every signal");
    }
    let lead = report(&es).lead;
    assert!(
        lead.starts_with("5 signals were answered (2 answers more to repeats), and a model was heard in 0"),
        "{lead}"
    );
    let text = report(&nq).to_text(200);
    for said in ["4 answers", "2 more were answered of which nothing is known", "all else here is of the whole daemon"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert!(text.contains(", of all symbols"), "{text}");
    // a signal belongs to the period in which it fired, its repeats to that in which they were answered
    let first = told(&place, &Scope { until: Some(at(105)), ..Scope::default() });
    assert_eq!((first.answers.signals, first.answers.answers), (5, 5));
}

#[test]
fn the_accuracy_is_held_to_the_rule_that_acts_and_an_emergency_is_no_point_of_the_curve() {
    let place = journal(0, None);
    let version: VersionId = "ES/1".parse().unwrap();
    let breach = Breach {
        rule: accuracy::RULE.name.clone(),
        value: Some(0.24),
        threshold: Some(0.5),
        blank: None,
        unit: Unit::Share,
    };
    let late = 21 * DAY;
    let trip = Trip { at: at(late), day: config().calendar.day_of(at(late)), version: Some(version.clone()), breach };
    let mut store = place.open();
    store.apply(&[event(late, EventKind::Latched { trip: Box::new(trip) })]).unwrap();
    store.close().unwrap();
    let few = format!(
        "{CONFIG}guardian.accuracy_min_trades = 5\nguardian.accuracy_window = 20\nguardian.min_accuracy = 0.3\n"
    );
    for literal in [true, false] {
        let config = Config::parse("test", &format!("{few}guardian.literal = {literal}\n")).unwrap();
        let summary = period::summary(&place.reader(), &config, &Scope::default()).unwrap();
        assert!(!summary.accuracy.is_empty(), "no curve");
        let points = summary.accuracy.iter().flat_map(|curve| &curve.points);
        assert!(
            points.clone().all(|(_, value)| *value != Some(0.24)),
            "the emergency is drawn as a point of the curve"
        );
        assert_eq!(summary.accuracy_trips.len(), 1);
        let held = summary.accuracy_rules[&version];
        let standard = model().standard;
        assert_eq!(held, config.guardian.held(standard.as_ref()), "the rule is asked");
        let report = summary.report(&Words { unit: "USD", calendar: &config.calendar });
        assert_eq!(report.accuracy_marks.iter().map(|mark| mark.1).collect::<Vec<_>>(), [0.24]);
        let text = report.to_text(400);
        assert!(text.contains("the latest 20 labelled trades"), "{text}");
        assert!(text.contains("the event has no count of the trades that its 24.0 % is of"), "{text}");
        let limits: Vec<f64> = report.accuracy_limits.iter().map(|(below, _)| *below).collect();
        if literal || standard.is_none() {
            assert_eq!(limits, [0.3], "the line of the window is drawn");
            assert!(text.contains("ES/1: taken down below 30 % of its latest 20 trades, judged from 5 on"), "{text}");
        } else {
            assert!(limits.is_empty(), "a line over other trades is not drawn on this curve: {limits:?}");
            assert!(text.contains("further below its validation than chance explains"), "{text}");
        }
    }
    assert!(model().standard.is_some(), "the test sees both");
}

#[test]
fn a_page_for_standard_output_is_all_that_goes_there() {
    let place = two_symbols();
    place.file("config.toml", CONFIG);
    let arguments = |path: &'static str| ["report", "--html", path, "--state", "state", "--config", "config.toml"];
    for path in ["-", "/dev/stdout"] {
        let page = String::from_utf8(succeed(&place, &arguments(path)).stdout).unwrap();
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{path}: {page}");
    }
    assert!(!place.folder().join("-").exists());
    succeed(&place, &arguments("page.html"));
    assert!(fs::metadata(place.folder().join("page.html")).is_ok());
    for command in ["report", "impact", "alerts"] {
        let output = vigie(&place, &[command, "--since", "2025-09-01T10:00:00"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("in UTC it is 2025-09-01T10:00:00Z"), "{command}: {said}");
    }
}
