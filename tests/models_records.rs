//! What is stored of a model: the same bytes for the same input, scores that follow from the record alone, and no record,
//! however damaged, that can panic or never end.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/kinds.rs"]
mod kinds;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/specs.rs"]
mod specs;

use std::cell::Cell;

use kinds::{Data, data, fit_classes, values};
use ndarray::{Array2, ArrayView2, Axis};
use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use rows::uniform;
use specs::class_specs;
use vigie::{
    models::{
        AverageSpec, BoostingSpec, Calibrated, Calibration, FitError, ForestSpec, LinearSpec, LogisticOptions,
        LogisticSpec, Method, ModelRecord, ModelSpec, Output, Solver, Stack, Tree, Values, average, calibrated, fit,
        stack,
    },
    stats::logit::{clipped_logit, sigmoid},
};

/// The value of one tree, found by counting splits from the root on.
fn walk(tree: &Tree, x: &[f64]) -> f64 {
    let mut at = 0;
    while let Some(column) = tree.columns[at] {
        let before = tree.columns[..at].iter().flatten().count();
        at = 2 * before + if x[usize::from(column)] <= tree.numbers[at] { 1 } else { 2 };
    }
    tree.numbers[at]
}

/// Sound records of the kinds that hold trees and models.
fn records() -> Vec<ModelRecord> {
    let Data { x, y, .. } = data(21, 120);
    let mut records: Vec<ModelRecord> =
        class_specs().iter().map(|spec| fit_classes(spec, x.view(), &y, 1).unwrap()).collect();
    let isotonic = Calibration::fit(Method::Isotonic, &values(&records[1], &x), &y, None).unwrap();
    records.push(calibrated(records[1].clone(), isotonic).unwrap());
    let scores = Array2::from_shape_fn((120, 1), |(i, _)| uniform(3, i as u64));
    records.push(stack(vec![records[3].clone()], scores.view(), &y, &LogisticOptions::default()).unwrap());
    records
}

/// Changes one scalar of a JSON value, the `place`-th in order, wrapping round.
fn damage(value: &mut serde_json::Value, place: &mut usize, with: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            // a list is shortened or lengthened at its own place
            if *place == 0 && !items.is_empty() {
                if with.is_null() {
                    items.pop();
                } else {
                    items.push(with.clone());
                }
                return true;
            }
            *place = place.saturating_sub(1);
            items.iter_mut().any(|item| damage(item, place, with))
        }
        Value::Object(map) => map.values_mut().any(|item| damage(item, place, with)),
        scalar if *place == 0 => {
            *scalar = with.clone();
            true
        }
        _ => {
            *place -= 1;
            false
        }
    }
}

fn replacement() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::json;
    prop_oneof![
        Just(json!(null)),
        (-3_i64..70_000).prop_map(|n| json!(n)),
        (0_u64..20).prop_map(|n| json!(n)),
        any::<f64>().prop_map(|x| json!(x)),
        Just(json!(1e308)),
        Just(json!("real")),
    ]
}

fn seeded() -> TestRunner {
    let config = ProptestConfig {
        cases: 1_500,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
}

#[test]
fn a_damaged_record_is_refused_or_still_scores_without_end_or_panic() {
    let (records, scored) = (records(), Cell::new(0));
    let changes = prop::collection::vec((0..3_000_usize, replacement()), 1..4);
    let row = prop::collection::vec(prop_oneof![any::<f64>(), -3.0..3.0], 12);
    let tested = seeded().run(&(changes, 0..7_usize, row), |(changes, which, row)| {
        let mut json = serde_json::to_value(&records[which]).unwrap();
        for (place, with) in &changes {
            let mut place = *place;
            while !damage(&mut json, &mut place, with) {}
        }
        let Ok(record) = serde_json::from_value::<ModelRecord>(json) else { return Ok(()) };
        let _ = (record.width(), record.output(), record.importance());
        let Ok(model) = record.compile() else { return Ok(()) };
        for x in [&row[..], &[0.5; 12], &[], &vec![0.1; model.width().min(100_000)]] {
            let (p, value) = (model.score(x), model.value(x));
            prop_assert!(p.is_none_or(|p| (0.0..=1.0).contains(&p.get())), "{p:?}");
            prop_assert!(value.is_none_or(f64::is_finite), "{value:?}");
            scored.set(scored.get() + usize::from(p.is_some()));
        }
        Ok(())
    });
    tested.unwrap();
    assert!(scored.get() > 500, "only {} rows were scored", scored.get());
}

/// The beginning of `list` that is a tree, level by level, or `list` with as many leaves more as it takes.
fn as_tree(mut list: Vec<Option<u16>>) -> Vec<Option<u16>> {
    let mut open = 1_usize;
    for (at, node) in list.iter().enumerate() {
        open = if node.is_some() { open + 1 } else { open - 1 };
        if open == 0 {
            list.truncate(at + 1);
            return list;
        }
    }
    list.extend(std::iter::repeat_n(None, open));
    list
}

#[test]
fn any_list_of_columns_is_a_tree_that_can_be_walked_or_is_refused() {
    let walked = Cell::new(0);
    let any_list = prop::collection::vec(prop::option::of(0..4_u16), 1..40);
    // chance seldom makes a tree: every other list is ended where it becomes one
    let columns = (any_list, any::<bool>()).prop_map(|(list, ends)| if ends { as_tree(list) } else { list });
    let tested = seeded().run(&(columns, prop::collection::vec(-3.0..3.0, 3)), |(columns, row)| {
        let splits = columns.iter().flatten().count();
        let is_tree = 2 * splits + 1 == columns.len()
            && columns.iter().enumerate().filter(|(_, c)| c.is_some()).enumerate().all(|(j, (at, _))| 2 * j + 1 > at);
        let has_columns = columns.iter().flatten().all(|column| *column < 3);
        let numbers = (0..columns.len()).map(|n| uniform(1, n as u64)).collect();
        let json = serde_json::json!({
            "kind": "random_forest", "spec": {}, "output": "probability", "width": 3, "importance": [1, 0, 0],
            "trees": [Tree { columns, numbers }],
        });
        let record: ModelRecord = serde_json::from_value(json).unwrap();
        let compiled = record.compile();
        prop_assert_eq!(compiled.is_ok(), is_tree && has_columns, "{:?}", record);
        let (Ok(model), ModelRecord::RandomForest(forest)) = (compiled, &record) else { return Ok(()) };
        prop_assert_eq!(model.value(&row).unwrap(), walk(&forest.trees[0], &row));
        walked.set(walked.get() + usize::from(splits > 0));
        Ok(())
    });
    tested.unwrap();
    assert!(walked.get() > 100, "only {} trees with splits were walked", walked.get());
}

#[test]
fn a_tree_too_deep_is_refused() {
    let chain = |depth: usize| {
        // every left child splits again
        let mut columns = vec![Some(0)];
        for _ in 1..depth {
            columns.extend([Some(0), None]);
        }
        columns.extend([None, None]);
        let numbers = vec![0.5; columns.len()];
        let json = serde_json::json!({
            "kind": "extra_trees", "spec": {}, "output": "real", "width": 1, "importance": [1],
            "trees": [Tree { columns, numbers }],
        });
        serde_json::from_value::<ModelRecord>(json).unwrap().compile()
    };
    assert!(chain(64).is_ok() && chain(65).is_err());
}

#[test]
fn a_calibrated_record_says_what_it_is() {
    let records = records();
    let kinds: Vec<&str> = records.iter().map(ModelRecord::kind).collect();
    assert_eq!(kinds, ["logistic", "random_forest", "extra_trees", "boosting", "average", "calibrated", "stack"]);
    let ModelRecord::Calibrated(Calibrated { calibration, .. }) = &records[5] else { unreachable!() };
    assert_eq!(records[5].compile().unwrap().width(), 12);
    let curve: Vec<f64> = (0..=100).map(|i| calibration.apply(f64::from(i) / 100.0).unwrap()).collect();
    assert!(curve.is_sorted() && curve[0] < 0.3 && curve[100] > 0.7, "{curve:?}");
}

#[test]
fn ensembles_are_made_of_what_their_members_say() {
    let (train, test) = (data(16, 400), data(17, 50));
    let [logistic, forest, ..] = class_specs().map(|spec| fit_classes(&spec, train.x.view(), &train.y, 1).unwrap());
    let (a, b) = (values(&logistic, &test.x), values(&forest, &test.x));
    let mean = average(vec![logistic.clone(), forest.clone()]).unwrap();
    for ((m, a), b) in values(&mean, &test.x).iter().zip(&a).zip(&b) {
        assert!((m - (a + b) / 2.0).abs() < 1e-15);
    }
    let scores = Array2::from_shape_fn((50, 2), |(i, j)| if j == 0 { a[i] } else { b[i] });
    let members = vec![logistic.clone(), forest.clone()];
    let stacked = stack(members.clone(), scores.view(), &test.y, &LogisticOptions::default()).unwrap();
    let ModelRecord::Stack(record) = &stacked else { unreachable!() };
    let Stack { combiner, .. } = &**record;
    for ((s, a), b) in values(&stacked, &test.x).iter().zip(&a).zip(&b) {
        let log_odds =
            combiner.intercept + combiner.weights[0] * clipped_logit(*a) + combiner.weights[1] * clipped_logit(*b);
        assert!((s - sigmoid(log_odds)).abs() < 1e-12);
    }
    let platt = Calibration::Platt { slope: 0.5, offset: 1.0 };
    let tamed = calibrated(stacked.clone(), platt).unwrap();
    for (t, s) in values(&tamed, &test.x).iter().zip(values(&stacked, &test.x)) {
        assert!((t - sigmoid(1.0 + 0.5 * clipped_logit(s))).abs() < 1e-12);
    }
    for model in [&mean, &stacked, &tamed] {
        assert_eq!((model.width(), model.output()), (12, Output::Probability));
        assert!((model.importance().unwrap().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let text = serde_json::to_string(model).unwrap();
        assert_eq!(&serde_json::from_str::<ModelRecord>(&text).unwrap(), model);
    }
    let narrow = fit_classes(&class_specs()[0], train.x.slice_axis(Axis(1), (..3).into()), &train.y, 1).unwrap();
    let real =
        fit(&ModelSpec::Linear(LinearSpec::default()), train.x.view(), Values::Reals(&train.z), None, None, 0).unwrap();
    let is_refused = |result: Result<ModelRecord, FitError>| matches!(result, Err(FitError::Members { .. }));
    assert!(is_refused(average(Vec::new())));
    assert!(is_refused(average(vec![logistic.clone(), narrow])));
    assert!(is_refused(average(vec![logistic.clone(), real.clone()])));
    assert!(is_refused(stack(vec![logistic.clone()], scores.view(), &test.y, &LogisticOptions::default())));
    assert!(is_refused(stack(vec![real.clone(), real.clone()], scores.view(), &test.y, &LogisticOptions::default())));
    assert!(is_refused(calibrated(real, Calibration::Platt { slope: 1.0, offset: 0.0 })));
    assert!(is_refused(calibrated(logistic.clone(), Calibration::Platt { slope: f64::NAN, offset: 0.0 })));
    let nest = |model: ModelRecord, times| (0..times).try_fold(model, |model, _| average(vec![model]));
    assert!(nest(logistic.clone(), 4).is_ok() && is_refused(nest(logistic, 5)));
    let wrong = scores.mapv(|p| p * 3.0);
    assert!(matches!(stack(members, wrong.view(), &test.y, &LogisticOptions::default()), Err(FitError::Score { .. })));
}

#[test]
fn a_compiled_score_is_what_a_plain_walk_over_the_record_gives() {
    let (train, test) = (data(6, 400), data(7, 200));
    for trees in [1, 7, 8, 9, 30] {
        let spec = ForestSpec { trees, min_leaf: 2, ..ForestSpec::default() };
        let model = fit_classes(&ModelSpec::RandomForest(spec), train.x.view(), &train.y, 3).unwrap();
        let ModelRecord::RandomForest(forest) = &model else { unreachable!() };
        let boosted = fit_classes(
            &ModelSpec::Boosting(BoostingSpec { rounds: trees, min_leaf: 3, ..BoostingSpec::default() }),
            train.x.view(),
            &train.y,
            3,
        )
        .unwrap();
        let ModelRecord::Boosting(boosting) = &boosted else { unreachable!() };
        let (by_forest, by_boosting) = (values(&model, &test.x), values(&boosted, &test.x));
        for ((row, forest_value), boosting_value) in test.x.rows().into_iter().zip(by_forest).zip(by_boosting) {
            let x = row.as_slice().unwrap();
            let sum: f64 = forest.trees.iter().map(|tree| walk(tree, x)).sum();
            assert!((forest_value - sum / f64::from(trees)).abs() <= 1e-12);
            let log_odds = boosting.trees.iter().fold(boosting.start, |sum, tree| sum + walk(tree, x));
            assert!((boosting_value - sigmoid(log_odds)).abs() <= 1e-12);
        }
    }
}

#[test]
fn a_spec_is_written_in_few_words_and_a_typo_is_refused() {
    let read = |text: &str| serde_json::from_str::<ModelSpec>(text);
    assert_eq!(read(r#"{"kind":"boosting"}"#).unwrap(), ModelSpec::Boosting(BoostingSpec::default()));
    let forest = ForestSpec { trees: 7, ..ForestSpec::default() };
    assert_eq!(read(r#"{"kind":"extra_trees","trees":7}"#).unwrap(), ModelSpec::ExtraTrees(forest));
    let nested =
        read(r#"{"kind":"average","members":[{"kind":"logistic","solver":"smartcore"},{"kind":"linear","l1":2}]}"#);
    let members = vec![
        ModelSpec::Logistic(LogisticSpec { solver: Solver::Smartcore, ..LogisticSpec::default() }),
        ModelSpec::Linear(LinearSpec { l1: 2.0, ..LinearSpec::default() }),
    ];
    assert_eq!(nested.unwrap(), ModelSpec::Average(AverageSpec { members }));
    for bad in [r#"{"kind":"neural"}"#, r#"{"kind":"boosting","round":7}"#, r#"{"trees":7}"#] {
        assert!(read(bad).is_err(), "{bad}");
    }
    for spec in class_specs() {
        assert_eq!(read(&serde_json::to_string(&spec).unwrap()).unwrap(), spec);
    }
}

#[test]
fn the_same_input_and_seed_give_the_same_bytes_whatever_the_layout() {
    let Data { x, y, .. } = data(5, 300);
    let columns_first = x.t().as_standard_layout().into_owned().reversed_axes();
    for spec in class_specs() {
        let bytes =
            |x: ArrayView2<'_, f64>, seed| serde_json::to_string(&fit_classes(&spec, x, &y, seed).unwrap()).unwrap();
        let one = bytes(x.view(), 7);
        assert_eq!(one, bytes(x.view(), 7), "{}", spec.kind());
        assert_eq!(one, bytes(columns_first.view(), 7), "{}", spec.kind());
        let is_random = !matches!(spec, ModelSpec::Logistic(_) | ModelSpec::Boosting(_));
        assert_eq!(one != bytes(x.view(), 8), is_random, "{}", spec.kind());
        let read: ModelRecord = serde_json::from_str(&one).unwrap();
        assert_eq!(read, fit_classes(&spec, x.view(), &y, 7).unwrap());
    }
}
