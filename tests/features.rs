//! Features, carrying forward and design matrices against independent programs, and what must hold for any input.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

#[path = "common/real.rs"]
mod real;
#[path = "common/skip.rs"]
mod skip;

use std::{
    cell::Cell,
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::{civil, tz::TimeZone};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use serde::Deserialize;
use vigie::{
    domain::{
        FEATURES, Feature, FeatureVector, Inputs, MarketSnapshot, Signal, SignalLine, Symbol, Timestamp,
        TradingCalendar,
    },
    features::{
        Carry, DesignOptions, Instrument, Scaling,
        design::{DesignMatrix, InvalidDesign, InvalidRow, LARGEST},
        fit::{FitError, fit},
        formulas::compute,
        pipeline::Pipeline,
        quality::{QualityCheck, QualityOptions, QualityReport},
        row::{BUILT_IN, Schema},
        table::Table,
    },
};

const ES: Instrument = Instrument { tick: 0.25, tick_value: 12.5, stop_ticks: None };
const TOLERANCE: f64 = 1e-12;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/features").join(name)
}

fn chicago() -> TradingCalendar {
    TradingCalendar::new(TimeZone::get("America/Chicago").unwrap(), civil::time(17, 0, 0, 0))
}

fn parsed(text: &str) -> Vec<SignalLine> {
    text.lines().map(|line| SignalLine::parse(line.as_bytes()).unwrap()).collect()
}

fn snapshots() -> Vec<SignalLine> {
    parsed(&std::fs::read_to_string(fixture("snapshots.jsonl")).unwrap())
}

fn options(scaling: Scaling, extra: &[&str]) -> DesignOptions {
    DesignOptions {
        scaling,
        clip_quantile: 0.001,
        indicator_min_missing: 0.01,
        max_missing: 0.99,
        fill_max_age_hours: 23.0,
        carry: Carry::default(),
        interactions: Vec::new(),
        extra: extra.iter().map(|name| (*name).to_owned()).collect(),
        derived: Vec::new(),
    }
}

fn pipeline(extra: &[&str]) -> Pipeline {
    let symbols = BTreeMap::from([(Symbol::new("ES").unwrap(), ES)]);
    Pipeline::new(symbols, chicago(), &options(Scaling::Standardise, extra)).unwrap()
}

/// The first feature of each line that differs from what the reference program printed.
fn differences(lines: &[SignalLine], reference: &str) -> Vec<String> {
    assert_eq!(lines.len(), reference.lines().count());
    let mut differences = Vec::new();
    for (line, expected) in lines.iter().zip(reference.lines()) {
        let expected: [Option<f64>; FEATURES] = serde_json::from_str(expected).unwrap();
        let found = compute(&line.signal, ES, &chicago()).to_array();
        let same = |(a, b): (Option<f64>, Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE,
            (a, b) => a == b,
        };
        if let Some(i) = (0..FEATURES).find(|i| !same((found[*i], expected[*i]))) {
            let (id, name) = (&line.signal.trade_id, Feature::ALL[i].name());
            differences.push(format!("{id} {name}: {:?}, expected {:?}", found[i], expected[i]));
        }
    }
    differences
}

#[test]
fn the_formulas_agree_with_an_independent_program_on_every_odd_snapshot() {
    let reference = std::fs::read_to_string(fixture("snapshots.expected.jsonl")).unwrap();
    let lines = snapshots();
    assert!(lines.len() >= 40, "{}", lines.len());
    assert_eq!(differences(&lines, &reference), Vec::<String>::new());
}

#[test]
fn features_that_the_trader_computed_pass_unchanged() {
    let features = FeatureVector { session_time: Some(0.3), recent_momentum: Some(-1.0), ..Default::default() };
    let signal = Signal { inputs: Inputs::Features(features), ..snapshots()[0].signal.clone() };
    assert_eq!(compute(&signal, ES, &chicago()), features);
}

#[test]
fn without_any_number_only_the_trend_and_the_clock_are_known() {
    let lines = snapshots();
    let absent = lines.iter().find(|line| line.signal.trade_id.as_str() == "every-number-absent").unwrap();
    let features = compute(&absent.signal, ES, &chicago());
    let known: Vec<_> =
        Feature::ALL.into_iter().zip(features.to_array()).filter(|(_, value)| value.is_some()).collect();
    assert_eq!(
        known.iter().map(|(feature, _)| *feature).collect::<Vec<_>>(),
        [Feature::DowTrendRegime, Feature::SessionTime]
    );
}

#[test]
fn real_data() {
    let Some(path) = real::data() else { return };
    let file = std::fs::File::open(&path).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let lines = parsed(&text);
    let report = report_on(&text);
    // two different trades of 14 March 2016, the day after the clocks went forward, have one id
    let counts = (report.read, report.accepted, report.duplicates.count, report.conflicts.count);
    assert_eq!((counts, report.rejected.len()), ((2840, 2839, 0, 1), 0));
    assert_eq!(
        report.degenerate.iter().map(|name| &**name).collect::<Vec<_>>(),
        ["options_flow_bias", "bid_ask_spread"]
    );
    assert!((report.classes.wins as f64 / 2839.0 - 0.489).abs() < 5e-4, "{:?}", report.classes);
    println!("{report}");
    match Command::new("python3").arg(fixture("reference.py")).arg(&path).output() {
        Ok(output) if output.status.success() => {
            assert_eq!(differences(&lines, std::str::from_utf8(&output.stdout).unwrap()), Vec::<String>::new());
        }
        // a Python without time zone data, for example
        Ok(output) => skip::skipped(&String::from_utf8_lossy(&output.stderr)),
        Err(error) => skip::skipped(&format!("python3: {error}")),
    }
}

fn report_on(text: &str) -> QualityReport {
    let symbols = BTreeMap::from([(Symbol::new("ES").unwrap(), ES)]);
    let schema = Schema::new(&[]).unwrap();
    let (max_gap_days, max_missing) = (3, 0.99);
    let mut check =
        QualityCheck::new(QualityOptions { symbols, calendar: chicago(), schema, max_gap_days, max_missing });
    text.lines().for_each(|line| check.push(SignalLine::parse(line.as_bytes()).as_ref()));
    check.report()
}

#[derive(Deserialize)]
struct SklearnFixture {
    extra: Vec<String>,
    clip_quantile: f64,
    indicator_min_missing: f64,
    max_missing: f64,
    interactions: Vec<(String, String)>,
    names: Vec<String>,
    dropped: Vec<String>,
    train: Vec<Vec<Option<f64>>>,
    new: Vec<Vec<Option<f64>>>,
    standardise: Vec<Vec<f64>>,
    min_max: Vec<Vec<f64>>,
}

#[test]
fn the_design_matrix_agrees_with_scikit_learn_and_numpy() {
    let text = std::fs::read_to_string(fixture("design.json")).unwrap();
    let mut sklearn: SklearnFixture =
        serde_json::from_str::<serde_json::Value>(&text).and_then(serde_json::from_value).unwrap();
    let schema = Schema::new(&sklearn.extra).unwrap();
    let train: Vec<&[Option<f64>]> = sklearn.train.iter().map(Vec::as_slice).collect();
    sklearn.dropped.sort();
    for (scaling, expected) in [(Scaling::Standardise, &sklearn.standardise), (Scaling::MinMax, &sklearn.min_max)] {
        let options = DesignOptions {
            clip_quantile: sklearn.clip_quantile,
            indicator_min_missing: sklearn.indicator_min_missing,
            max_missing: sklearn.max_missing,
            interactions: sklearn.interactions.clone(),
            ..options(scaling, &[])
        };
        let design = fit(&schema, &train, &options).unwrap();
        assert_eq!(design.names().collect::<Vec<_>>(), sklearn.names);
        let mut dropped: Vec<_> = design.dropped().iter().map(|dropped| dropped.column.to_string()).collect();
        dropped.sort();
        assert_eq!(dropped, sklearn.dropped);
        let mut columns = Vec::new();
        for (row, expected) in sklearn.new.iter().zip(expected) {
            design.transform(row, &mut columns).unwrap();
            assert_eq!(columns.len(), expected.len());
            for ((name, found), expected) in design.names().zip(&columns).zip(expected) {
                let error = (found - expected).abs();
                assert!(error <= TOLERANCE * expected.abs().max(1.0), "{scaling:?} {name}: {found} {expected}");
            }
        }
    }
}

#[test]
fn scoring_reuses_its_buffers() {
    let lines = snapshots();
    let mut pipeline = pipeline(&[]);
    let rows: Vec<_> = lines.iter().map(|line| pipeline.row(&line.signal).unwrap().values).collect();
    let rows: Vec<&[Option<f64>]> = rows.iter().map(Vec::as_slice).collect();
    let design = fit(pipeline.schema(), &rows, &options(Scaling::Standardise, &[])).unwrap();
    let mut columns = Vec::with_capacity(design.width());
    let column_buffer = columns.as_ptr();
    let input_buffer = pipeline.inputs(&lines[0].signal).unwrap().as_ptr();
    for line in &lines {
        let inputs = pipeline.inputs(&line.signal).unwrap();
        assert_eq!(inputs.as_ptr(), input_buffer);
        design.transform(inputs, &mut columns).unwrap();
        assert_eq!(columns.as_ptr(), column_buffer);
    }
}

#[test]
fn a_symbol_without_a_table_is_refused() {
    let signal = Signal { symbol: Symbol::new("CL").unwrap(), ..snapshots()[0].signal.clone() };
    let error = pipeline(&[]).inputs(&signal).unwrap_err();
    assert!(error.to_string().contains("[symbols.CL]"), "{error}");
}

const TWO_YEARS: i64 = 1_000_000;
const DAYS: i64 = 5_000;

/// Numbers as a broken feed may send them: all sizes, all signs, missing.
fn number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        2 => Just(None),
        6 => (-50.0..5000.0).prop_map(Some),
        2 => (-2.0..2.0).prop_map(Some),
        1 => prop::sample::select(vec![0.0, -0.0, 5e-324, 1e-300, -1e-300, 1e300, -1e300, f64::MAX, f64::MIN]).prop_map(Some),
    ]
}

/// The ordinary snapshot with every number of the formulas replaced, somewhen in the `minutes` after the end of 2014.
fn any_signal(minutes: i64) -> impl Strategy<Value = Signal> {
    let ordinary = snapshots().remove(0).signal;
    (prop::collection::vec(number(), 28), 0..minutes, any::<bool>()).prop_map(move |(numbers, minute, short)| {
        let Inputs::Snapshot(snapshot) = &ordinary.inputs else { panic!("the fixture has snapshots") };
        let mut signal = ordinary.clone();
        signal.inputs = Inputs::Snapshot(Box::new(replace(snapshot, numbers)));
        signal.at = Timestamp::from_second(1_420_000_000 + 60 * minute).unwrap();
        signal.side = if short { vigie::domain::Side::Short } else { vigie::domain::Side::Long };
        signal
    })
}

fn replace(snapshot: &MarketSnapshot, numbers: Vec<Option<f64>>) -> MarketSnapshot {
    let mut numbers = numbers.into_iter();
    let mut next = move || numbers.next().unwrap();
    let mut snapshot = snapshot.clone();
    let market = &mut snapshot.market_state;
    (market.price, market.atr, market.vix, market.price_5m_ago) = (next(), next(), next(), next());
    (market.volume.recent, market.volume.average) = (next(), next());
    (market.bid_ask.bid, market.bid_ask.ask) = (next(), next());
    (market.vwap.session, market.vwap.m15, market.vwap.h1) = (next(), next(), next());
    snapshot.battle_navale_analysis.patterns.values_mut().for_each(|strength| *strength = next());
    let structure = &mut snapshot.market_structure;
    (structure.gamma_levels.call_wall, structure.gamma_levels.put_wall) = (next(), next());
    (structure.value_area.vah, structure.value_area.val, structure.value_area.poc) = (next(), next(), next());
    let previous = &mut structure.previous_session;
    (previous.high, previous.low, previous.close) = (next(), next(), next());
    (structure.es_nq_correlation, structure.options_flow.put_call_ratio) = (next(), next());
    snapshot.execution_context.session_fraction = next();
    snapshot
}

/// A value of a row: usually ordinary, now and then at the edge of what may be fitted.
fn cell() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        2 => Just(None),
        5 => (-1.0..1.0).prop_map(Some),
        2 => prop::sample::select(vec![-1.0, 0.0, 1.0]).prop_map(Some),
        1 => prop::sample::select(vec![LARGEST, -LARGEST, 1e-59, 5e-324, -1e-300]).prop_map(Some),
    ]
}

fn table(rows: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<Option<f64>>>> {
    prop::collection::vec(prop::collection::vec(cell(), BUILT_IN), rows)
}

fn seeded(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(seeded(400))]

    #[test]
    fn every_feature_is_missing_or_in_its_range(signal in any_signal(TWO_YEARS)) {
        let features = compute(&signal, ES, &chicago());
        prop_assert!(features.out_of_range().is_none(), "{:?}", features.out_of_range());
    }

    #[test]
    fn no_later_signal_changes_the_inputs_of_an_earlier_one(
        signals in prop::collection::vec(any_signal(DAYS), 2..12), others in prop::collection::vec(any_signal(DAYS), 12), cut in 0..12_usize,
    ) {
        let cut = cut.min(signals.len());
        let inputs = |signals: &mut dyn Iterator<Item = &Signal>| {
            let mut pipeline = pipeline(&[]);
            signals.map(|signal| pipeline.row(signal).unwrap()).collect::<Vec<_>>()
        };
        let one = inputs(&mut signals.iter());
        let other = inputs(&mut signals.iter().take(cut).chain(&others));
        prop_assert_eq!(&one[..cut], &other[..cut]);
    }
}

#[test]
fn what_is_carried_forward_was_known_before_and_not_too_long_ago() {
    let carried = Cell::new(0);
    let tested = TestRunner::new(seeded(400)).run(&prop::collection::vec(any_signal(DAYS), 2..8), |signals| {
        let mut pipeline = pipeline(&[]);
        for (i, signal) in signals.iter().enumerate() {
            let row = pipeline.row(signal).unwrap();
            let own = compute(signal, ES, &chicago()).to_array();
            // price level against levels is not turned to a side, so it can be compared as it is
            let place = Feature::LevelProximity as usize;
            if let (None, Some(filled)) = (own[place], row.values[place]) {
                let source = signals[..i].iter().any(|past| {
                    let hours = signal.at.duration_since(past.at).as_secs_f64() / 3600.0;
                    (0.0..=23.0).contains(&hours) && compute(past, ES, &chicago()).to_array()[place] == Some(filled)
                });
                prop_assert!(source, "{filled} at {}", signal.at);
                carried.set(carried.get() + 1);
            }
        }
        Ok(())
    });
    tested.unwrap();
    assert!(carried.get() > 50, "only {} values were carried forward", carried.get());
}

#[test]
fn any_row_is_refused_or_becomes_finite_columns() {
    let fitted_designs = Cell::new(0);
    let tested = TestRunner::new(seeded(400)).run(
        &(table(1..150), table(1..10), any::<bool>()),
        |(train, mut rows, min_max)| {
            let scaling = if min_max { Scaling::MinMax } else { Scaling::Standardise };
            let pair = |a: Feature, b: Feature| (a.name().to_owned(), b.name().to_owned());
            let interactions = vec![
                pair(Feature::SessionTime, Feature::BidAskSpread),
                pair(Feature::SessionTime, Feature::SessionTime),
            ];
            let options = DesignOptions { interactions, ..options(scaling, &[]) };
            let train: Vec<&[Option<f64>]> = train.iter().map(Vec::as_slice).collect();
            let schema = Schema::new(&[]).unwrap();
            let fitted = fit(&schema, &train, &options);
            prop_assert!(matches!(fitted, Ok(_) | Err(FitError::NothingLeft { .. })), "{fitted:?}");
            let Ok(design) = fitted else { return Ok(()) };
            fitted_designs.set(fitted_designs.get() + 1);
            rows.push(vec![Some(f64::MAX); BUILT_IN]);
            rows.push((0..BUILT_IN).map(|i| [Some(f64::NAN), Some(f64::INFINITY), None][i % 3]).collect());
            let mut columns = Vec::new();
            for row in &rows {
                match design.transform(row, &mut columns) {
                    Ok(()) => prop_assert!(columns.len() == design.width() && columns.iter().all(|c| c.is_finite())),
                    Err(error) => prop_assert!(matches!(error, InvalidRow::NothingKnown { .. }), "{error}"),
                }
            }
            // many rows at once, to the bit
            let all: Vec<usize> = (0..train.len()).collect();
            let many = design.transform_all(&Table::new(&schema, &train).unwrap().rows(&all)).unwrap();
            for ((place, row), many_columns) in train.iter().enumerate().zip(many.cells.chunks_exact(design.width())) {
                let refused = design.transform(row, &mut columns).is_err();
                columns.resize(design.width(), 0.0);
                prop_assert_eq!((refused, columns.as_slice()), (many.unknown.contains(&place), many_columns));
            }
            let json = serde_json::to_string(&design).unwrap();
            prop_assert_eq!(serde_json::from_str::<DesignMatrix>(&json).unwrap(), design);
            Ok(())
        },
    );
    tested.unwrap();
    assert!(fitted_designs.get() > 300, "only {} designs could be fitted", fitted_designs.get());
}

#[test]
fn a_design_reads_its_inputs_by_name_when_extras_were_added_or_reordered() {
    let names = |names: &[&str]| Schema::new(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    let row = |x: f64, y: f64| [vec![None; BUILT_IN], vec![Some(x), Some(y)]].concat();
    let train = [row(1.0, 10.0), row(2.0, 40.0), row(4.0, 20.0)];
    let train: Vec<&[Option<f64>]> = train.iter().map(Vec::as_slice).collect();
    let design = fit(&names(&["x", "y"]), &train, &options(Scaling::MinMax, &[])).unwrap();
    let moved = design.for_schema(&names(&["y", "new", "x"])).unwrap();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    design.transform(&row(4.0, 10.0), &mut before).unwrap();
    moved.transform(&[vec![None; BUILT_IN], vec![Some(10.0), None, Some(4.0)]].concat(), &mut after).unwrap();
    assert_eq!((before.len(), &before), (2, &after));
    assert_eq!(design.for_schema(&names(&["x"])), Err(InvalidDesign::InputGone { input: "y".into() }));
    let short = moved.transform(&row(4.0, 10.0), &mut after);
    assert_eq!((short, after.len()), (Err(InvalidRow::Width { expected: 16, found: 15 }), 0));
}
