//! The models above the logistic regression against scikit-learn and LightGBM (figures written by
//! `tests/fixtures/models/make_zoo.py`), and what holds for every kind.

use ndarray::{Array2, ArrayView2, Axis};
use proptest::{prelude::*, test_runner::RngSeed};
use serde::Deserialize;
use vigie::{
    models::{
        AverageSpec, BoostingSpec, Calibrated, Calibration, FitError, ForestSpec, Held, LinearSpec, LogisticSpec,
        Method, ModelRecord, ModelSpec, Options, Output, Solver, Stack, Stop, Tree, Values, average, calibrated, fit,
        stack,
    },
    stats::{
        binary::roc_auc,
        logit::{clipped_logit, sigmoid},
    },
};

#[derive(Deserialize)]
struct Zoo {
    linear: LinearSet,
    calibrations: Vec<CalibrationSet>,
    trees: TreeFigures,
}

#[derive(Deserialize)]
struct LinearSet {
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
    fits: Vec<LinearCase>,
}

#[derive(Deserialize)]
struct LinearCase {
    name: String,
    l1: f64,
    l2: f64,
    sample_weights: Option<Vec<f64>>,
    weights: Vec<f64>,
    intercept: f64,
}

#[derive(Deserialize)]
struct CalibrationSet {
    scores: Vec<f64>,
    labels: Vec<bool>,
    weights: Option<Vec<f64>>,
    slope: f64,
    offset: f64,
    at: Vec<f64>,
    isotonic: Vec<f64>,
}

#[derive(Deserialize)]
struct TreeFigures {
    best_auc: f64,
    random_forest_auc: f64,
    extra_trees_auc: f64,
    boosting_auc: f64,
    forest_regression_correlation: f64,
    boosting_regression_correlation: f64,
    checks: (f64, f64, usize, f64),
}

/// Rows, the log-odds behind their labels, and the labels.
struct Data {
    x: Array2<f64>,
    z: Vec<f64>,
    y: Vec<bool>,
}

fn zoo() -> Zoo {
    serde_json::from_str(include_str!("fixtures/models/zoo.json")).unwrap_or_else(|error| {
        unreachable!("the reference figures do not parse: {error}");
    })
}

/// SplitMix64, as in the script.
fn uniform(seed: u64, place: u64) -> f64 {
    let mut number = place.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((number ^ (number >> 31)) >> 11) as f64 * 2.0_f64.powi(-53)
}

/// Twelve columns; the log-odds are linear in two of them, bent in one, and hold one product.
fn data(seed: u64, rows: usize) -> Data {
    let cell = |i: usize, j: usize| uniform(seed, (i * 13 + j + 1) as u64);
    let x = Array2::from_shape_fn((rows, 12), |(i, j)| 4.0 * cell(i, j) - 2.0);
    let log_odds =
        |x: ndarray::ArrayView1<'_, f64>| 0.5 * x[0] - 0.4 * x[1] + 0.6 * (x[2].abs() - 1.0) + 0.4 * x[3] * x[4];
    let z: Vec<f64> = x.rows().into_iter().map(log_odds).collect();
    let y = z.iter().enumerate().map(|(i, z)| cell(i, 12) < sigmoid(*z)).collect();
    Data { x, z, y }
}

fn values(model: &ModelRecord, x: &Array2<f64>) -> Vec<f64> {
    let model = model.compile().unwrap();
    x.rows().into_iter().map(|row| model.value(row.as_slice().unwrap()).unwrap()).collect()
}

fn fit_classes(spec: &ModelSpec, x: ArrayView2<'_, f64>, y: &[bool], seed: u64) -> Result<ModelRecord, FitError> {
    fit(spec, x, Values::Classes(y), None, None, seed)
}

/// Small and quick, one of each kind that learns classes.
fn class_specs() -> [ModelSpec; 5] {
    let forest = ForestSpec { trees: 9, min_leaf: 5, ..ForestSpec::default() };
    let boosting = BoostingSpec { rounds: 10, min_leaf: 5, ..BoostingSpec::default() };
    let logistic = ModelSpec::Logistic(LogisticSpec::default());
    let members = vec![logistic.clone(), ModelSpec::RandomForest(forest)];
    [
        logistic,
        ModelSpec::RandomForest(forest),
        ModelSpec::ExtraTrees(forest),
        ModelSpec::Boosting(boosting),
        ModelSpec::Average(AverageSpec { members }),
    ]
}

/// The value of one tree, found by counting splits from the root on.
fn walk(tree: &Tree, x: &[f64]) -> f64 {
    let mut at = 0;
    while let Some(column) = tree.columns[at] {
        let before = tree.columns[..at].iter().flatten().count();
        at = 2 * before + if x[usize::from(column)] <= tree.numbers[at] { 1 } else { 2 };
    }
    tree.numbers[at]
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn penalised_regressions_have_the_coefficients_of_scikit_learn() {
    let LinearSet { x, y, fits } = zoo().linear;
    let x = Array2::from_shape_fn((x.len(), x[0].len()), |(i, j)| x[i][j]);
    for case in fits {
        let spec = ModelSpec::Linear(LinearSpec { l1: case.l1, l2: case.l2 });
        let record = fit(&spec, x.view(), Values::Reals(&y), case.sample_weights.as_deref(), None, 0).unwrap();
        let ModelRecord::Linear(model) = &record else { unreachable!() };
        for (ours, theirs) in
            model.weights.iter().chain([&model.intercept]).zip(case.weights.iter().chain([&case.intercept]))
        {
            assert!((ours - theirs).abs() <= 1e-8 * theirs.abs().max(1.0), "{}: {ours} is not {theirs}", case.name);
        }
        let zeros = |weights: &[f64]| weights.iter().map(|w| *w == 0.0).collect::<Vec<_>>();
        assert_eq!(zeros(&model.weights), zeros(&case.weights), "{}: the same columns are left out", case.name);
        let row = x.row(3);
        let prediction = model.intercept + row.iter().zip(&model.weights).map(|(x, w)| x * w).sum::<f64>();
        let compiled = record.compile().unwrap();
        assert!((compiled.value(row.as_slice().unwrap()).unwrap() - prediction).abs() < 1e-12);
        assert_eq!(compiled.score(row.as_slice().unwrap()), None);
    }
}

#[test]
fn calibrations_are_those_of_scikit_learn() {
    for set in zoo().calibrations {
        let weights = set.weights.as_deref();
        let platt = Calibration::fit(Method::Platt, &set.scores, &set.labels, weights).unwrap();
        let Calibration::Platt { slope, offset } = platt else { unreachable!() };
        assert!((slope - set.slope).abs() < 1e-9 && (offset - set.offset).abs() < 1e-9, "{slope} {offset}");
        let isotonic = Calibration::fit(Method::Isotonic, &set.scores, &set.labels, weights).unwrap();
        for (score, theirs) in set.at.iter().zip(&set.isotonic) {
            let ours = isotonic.apply(*score).unwrap();
            assert!((ours - theirs).abs() < 1e-9, "at {score}: {ours} is not {theirs}");
        }
    }
    assert_eq!((Method::for_rows(999), Method::for_rows(1_000)), (Method::Platt, Method::Isotonic));
}

#[test]
fn forests_and_boosting_tell_classes_apart_as_well_as_scikit_learn_and_lightgbm() {
    let figures = zoo().trees;
    let (train, test) = (data(1, 3_000), data(2, 20_000));
    let wins = train.y.iter().filter(|y| **y).count();
    assert_eq!((train.x[[0, 0]], train.x[[2_999, 11]], wins), (figures.checks.0, figures.checks.1, figures.checks.2));
    let auc = |spec: &ModelSpec, seeds: u64| {
        let one = |seed| {
            let model = fit_classes(spec, train.x.view(), &train.y, seed).unwrap();
            roc_auc(&test.y, &values(&model, &test.x)).unwrap()
        };
        (0..seeds).map(one).sum::<f64>() / seeds as f64
    };
    let best = roc_auc(&test.y, &test.z).unwrap();
    assert!((best - figures.best_auc).abs() < 1e-9, "{best}");
    for (ours, theirs) in [
        (auc(&ModelSpec::RandomForest(ForestSpec::default()), 3), figures.random_forest_auc),
        (auc(&ModelSpec::ExtraTrees(ForestSpec::default()), 3), figures.extra_trees_auc),
        (auc(&ModelSpec::Boosting(BoostingSpec::default()), 1), figures.boosting_auc),
    ] {
        println!("AUC {ours:.4}, theirs {theirs:.4}");
        assert!((ours - theirs).abs() < 0.005, "{ours} is not {theirs}");
    }
}

#[test]
fn forests_and_boosting_predict_real_values_as_well_as_the_reference_libraries() {
    let figures = zoo().trees;
    let (train, test) = (data(1, 3_000), data(2, 20_000));
    for (spec, theirs) in [
        (ModelSpec::RandomForest(ForestSpec::default()), figures.forest_regression_correlation),
        (ModelSpec::Boosting(BoostingSpec::default()), figures.boosting_regression_correlation),
    ] {
        let model = fit(&spec, train.x.view(), Values::Reals(&train.z), None, None, 0).unwrap();
        let ours = correlation(&values(&model, &test.x), &test.z);
        println!("correlation {ours:.4}, theirs {theirs:.4}");
        assert!((ours - theirs).abs() < 0.01, "{ours} is not {theirs}");
        assert_eq!((model.output(), model.compile().unwrap().output()), (Output::Real, Output::Real));
    }
}

#[test]
fn labels_that_mean_nothing_teach_nothing() {
    let (train, test) = (data(3, 1_000), data(4, 4_000));
    let shuffled: Vec<bool> = (0..1_000).map(|i| uniform(99, i) < 0.5).collect();
    for spec in class_specs() {
        let model = fit_classes(&spec, train.x.view(), &shuffled, 1).unwrap();
        let auc = roc_auc(&test.y, &values(&model, &test.x)).unwrap();
        assert!((auc - 0.5).abs() < 0.08, "{}: {auc}", spec.kind());
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
fn a_forest_of_one_deep_extra_tree_repeats_what_it_learnt() {
    let Data { x, z, .. } = data(8, 200);
    let spec = ForestSpec { trees: 1, min_leaf: 1, columns_per_split: Some(12), ..ForestSpec::default() };
    let model = fit(&ModelSpec::ExtraTrees(spec), x.view(), Values::Reals(&z), None, None, 0).unwrap();
    for (found, wanted) in values(&model, &x).iter().zip(&z) {
        assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
    }
}

#[test]
fn boosting_sees_the_order_of_values_and_not_their_scale() {
    let Data { x, y, .. } = data(9, 250);
    let bent = x.mapv(|cell| (3.0 * cell).exp());
    let spec = ModelSpec::Boosting(BoostingSpec { min_leaf: 5, ..BoostingSpec::default() });
    let (one, other) = (fit_classes(&spec, x.view(), &y, 0).unwrap(), fit_classes(&spec, bent.view(), &y, 0).unwrap());
    assert_eq!(values(&one, &x), values(&other, &bent));
}

#[test]
fn a_row_of_weight_two_counts_as_two_rows_and_one_of_weight_zero_as_none() {
    let Data { x, y, z } = data(10, 80);
    let weights: Vec<f64> = (0..80).map(|i| f64::from(i % 3)).collect();
    let copies: Vec<usize> = (0..80).flat_map(|i| vec![i; i % 3]).collect();
    let copied_x = x.select(Axis(0), &copies);
    let copied_y: Vec<bool> = copies.iter().map(|&i| y[i]).collect();
    let copied_z: Vec<f64> = copies.iter().map(|&i| z[i]).collect();
    let boosting = ModelSpec::Boosting(BoostingSpec { min_leaf: 1, rounds: 5, ..BoostingSpec::default() });
    for (spec, values_of, copied_values) in [
        (boosting.clone(), Values::Classes(&y), Values::Classes(&copied_y)),
        (boosting, Values::Reals(&z), Values::Reals(&copied_z)),
        (ModelSpec::Linear(LinearSpec { l1: 1.0, l2: 1.0 }), Values::Reals(&z), Values::Reals(&copied_z)),
    ] {
        let weighted = fit(&spec, x.view(), values_of, Some(&weights), None, 0).unwrap();
        let copied = fit(&spec, copied_x.view(), copied_values, None, None, 0).unwrap();
        for (a, b) in values(&weighted, &copied_x).iter().zip(values(&copied, &copied_x)) {
            assert!((a - b).abs() < 1e-9, "{}: {a} is not {b}", spec.kind());
        }
    }
    // a forest draws rows, so weights show in what it predicts: where the losses weigh nothing all is won
    let only: Vec<f64> = y.iter().map(|&y| if y { 1.0 } else { 1e-9 }).collect();
    let spec = ModelSpec::RandomForest(ForestSpec { min_leaf: 20, ..ForestSpec::default() });
    let model = fit(&spec, x.view(), Values::Classes(&y), Some(&only), None, 0).unwrap();
    assert!(values(&model, &x).iter().all(|p| *p > 0.999));
}

#[test]
fn a_monotone_prediction_never_turns_against_its_sign() {
    let (train, test) = (data(11, 800), data(12, 60));
    // the label falls with column 1 and bends in column 2: both signs bind
    let mut monotone = vec![0; 12];
    (monotone[1], monotone[2], monotone[3]) = (-1, 1, 1);
    let spec = |monotone| {
        ModelSpec::Boosting(BoostingSpec { max_leaves: 20, min_leaf: 5, monotone, ..BoostingSpec::default() })
    };
    let turns = |model: &ModelRecord, column: usize, sign: f64| {
        let model = model.compile().unwrap();
        let mut turns = 0;
        for row in test.x.rows() {
            let mut row = row.to_vec();
            let path: Vec<f64> = (0..=40)
                .map(|step| {
                    row[column] = f64::from(step) / 10.0 - 2.0;
                    sign * model.value(&row).unwrap()
                })
                .collect();
            turns += path.windows(2).filter(|pair| pair[1] < pair[0] - 1e-12).count();
        }
        turns
    };
    let free = fit_classes(&spec(Vec::new()), train.x.view(), &train.y, 0).unwrap();
    let bound = fit_classes(&spec(monotone), train.x.view(), &train.y, 0).unwrap();
    for (column, sign) in [(1, -1.0), (2, 1.0), (3, 1.0)] {
        assert!(turns(&free, column, sign) > 0, "column {column} would turn");
        assert_eq!(turns(&bound, column, sign), 0, "column {column}");
    }
    let auc = |model: &ModelRecord| roc_auc(&train.y, &values(model, &train.x)).unwrap();
    assert!(auc(&bound) > 0.7 && auc(&bound) < auc(&free));
}

#[test]
fn boosting_stops_where_the_validation_part_gets_no_better() {
    let (train, held, late) = (data(13, 500), data(14, 500), data(15, 5_000));
    let spec = BoostingSpec { rounds: 400, ..BoostingSpec::default() };
    let boost =
        |held| fit(&ModelSpec::Boosting(spec.clone()), train.x.view(), Values::Classes(&train.y), None, held, 0);
    let watched = boost(Some(Held { x: held.x.view(), y: Values::Classes(&held.y) })).unwrap();
    let ModelRecord::Boosting(model) = &watched else { unreachable!() };
    assert_eq!(model.stopped, Stop::Validation);
    assert!((5..300).contains(&model.trees.len()), "{} trees", model.trees.len());
    let loss = |model: &ModelRecord, set: &Data| {
        let loss = |(p, y): (f64, &bool)| -if *y { p.ln() } else { (1.0 - p).ln() };
        values(model, &set.x).into_iter().zip(&set.y).map(loss).sum::<f64>() / set.y.len() as f64
    };
    assert!((model.validation_loss.unwrap() - loss(&watched, &held)).abs() < 1e-12);
    let ran_on = boost(None).unwrap();
    assert!(loss(&watched, &late) < loss(&ran_on, &late) - 0.01, "what it kept is better on trades of neither part");

    // labels without a pattern: the best number of trees is none at all, and the share of wins is the answer
    let noise: Vec<bool> = (0..500).map(|i| uniform(5, i) < 0.4).collect();
    let noise_held: Vec<bool> = (0..500).map(|i| uniform(6, i) < 0.4).collect();
    let held = Some(Held { x: held.x.view(), y: Values::Classes(&noise_held) });
    let model = fit(&ModelSpec::Boosting(spec), train.x.view(), Values::Classes(&noise), None, held, 0).unwrap();
    let ModelRecord::Boosting(boosting) = &model else { unreachable!() };
    assert!(boosting.trees.len() < 5, "{} trees", boosting.trees.len());
    assert!(values(&model, &train.x).iter().all(|p| (p - 0.4).abs() < 0.15));
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
    let stacked = stack(members.clone(), scores.view(), &test.y, &Options::default()).unwrap();
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
    assert!(is_refused(stack(vec![logistic.clone()], scores.view(), &test.y, &Options::default())));
    assert!(is_refused(stack(vec![real.clone(), real.clone()], scores.view(), &test.y, &Options::default())));
    assert!(is_refused(calibrated(real, Calibration::Platt { slope: 1.0, offset: 0.0 })));
    assert!(is_refused(calibrated(logistic.clone(), Calibration::Platt { slope: f64::NAN, offset: 0.0 })));
    let nest = |model: ModelRecord, times| (0..times).try_fold(model, |model, _| average(vec![model]));
    assert!(nest(logistic.clone(), 4).is_ok() && is_refused(nest(logistic, 5)));
    let wrong = scores.mapv(|p| p * 3.0);
    assert!(matches!(stack(members, wrong.view(), &test.y, &Options::default()), Err(FitError::Score { .. })));
}

#[test]
fn importance_finds_the_columns_that_matter() {
    let Data { x, y, .. } = data(18, 3_000);
    for spec in class_specs() {
        let importance = fit_classes(&spec, x.view(), &y, 1).unwrap().importance().unwrap();
        assert!((importance.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let noise = importance[5..].iter().copied().fold(0.0, f64::max);
        assert!(importance[0] > noise && importance[1] > noise, "{}: {importance:?}", spec.kind());
    }
}

#[test]
fn every_kind_refuses_what_cannot_be_learnt_from() {
    let Data { x, y, z } = data(19, 60);
    let linear = ModelSpec::Linear(LinearSpec::default());
    for spec in class_specs().into_iter().chain([linear]) {
        let kind = spec.kind();
        let is_linear = kind == "linear";
        let mut holes = z.clone();
        holes[9] = f64::INFINITY;
        let good = if is_linear { Values::Reals(&z) } else { Values::Classes(&y) };
        let refusal =
            |x: &Array2<f64>, y, weights: Option<&[f64]>| fit(&spec, x.view(), y, weights, None, 0).unwrap_err();
        assert!(fit(&spec, x.view(), good, None, None, 0).is_ok(), "{kind}");
        assert!(matches!(
            refusal(&Array2::zeros((0, 12)), Values::Classes(&[]), None),
            FitError::Empty { .. } | FitError::WrongValues { .. }
        ));
        let mut broken = x.clone();
        broken[[7, 3]] = f64::NAN;
        assert!(matches!(refusal(&broken, good, None), FitError::NonFiniteCell { row: 7, column: 3, .. }), "{kind}");
        assert!(matches!(refusal(&x, good, Some(&[1.0; 59])), FitError::SampleWeightCount { .. }), "{kind}");
        let mut weights = [1.0; 60];
        weights[4] = f64::NAN;
        assert!(matches!(refusal(&x, good, Some(&weights)), FitError::SampleWeight { row: 4, .. }), "{kind}");
        let tail = if is_linear { Values::Reals(&z[1..]) } else { Values::Classes(&y[1..]) };
        assert!(matches!(refusal(&x, tail, None), FitError::LabelCount { rows: 60, labels: 59 }), "{kind}");
        let (all, fours) = ([true; 60], [4.0; 60]);
        let same = if is_linear { Values::Reals(&fours) } else { Values::Classes(&all) };
        let error = refusal(&x, same, None);
        assert!(matches!(error, FitError::SingleClass { .. } | FitError::ConstantTarget { .. }), "{kind}: {error}");
        assert!(
            matches!(
                refusal(&x, good, Some(&[0.0; 60])),
                FitError::SingleClass { .. } | FitError::ConstantTarget { .. }
            ),
            "{kind}"
        );
        if let ModelSpec::RandomForest(_) | ModelSpec::ExtraTrees(_) | ModelSpec::Boosting(_) | ModelSpec::Linear(_) =
            spec
        {
            assert!(
                matches!(refusal(&x, Values::Reals(&holes), None), FitError::NonFiniteTarget { row: 9, .. }),
                "{kind}"
            );
            let flat = fit(&spec, Array2::ones((60, 12)).view(), good, None, None, 0);
            assert!(flat.is_err() || is_linear, "{kind}: constant columns split nothing");
        }
        let few = x.slice_axis(Axis(0), (..8).into()).to_owned();
        let few_values = if is_linear { Values::Reals(&z[..8]) } else { Values::Classes(&y[..8]) };
        assert!(matches!(refusal(&few, few_values, None), FitError::TooFew { .. }), "{kind}");
        let huge = x.mapv(|cell| cell * 1e300);
        // either it is refused or what comes back is sound
        if let Ok(model) = fit(&spec, huge.view(), good, None, None, 0) {
            assert!(model.compile().is_ok(), "{kind}");
        }
        let far: Vec<f64> = z.iter().map(|z| z * 1e300).collect();
        if let Ok(model) = fit(&spec, x.view(), Values::Reals(&far), None, None, 0) {
            assert!(model.compile().is_ok(), "{kind}");
        }
    }
}

#[test]
fn settings_out_of_their_range_and_values_of_the_wrong_kind_are_refused_by_name() {
    let Data { x, y, z } = data(20, 200);
    let option = |spec: ModelSpec| match fit_classes(&spec, x.view(), &y, 0) {
        Err(FitError::Option { name, .. }) => name,
        other => unreachable!("{other:?}"),
    };
    let forest = |spec| option(ModelSpec::RandomForest(spec));
    let boosting = |spec| option(ModelSpec::Boosting(spec));
    let (f, b) = (ForestSpec::default(), BoostingSpec::default());
    assert_eq!(forest(ForestSpec { trees: 0, ..f }), "trees");
    assert_eq!(forest(ForestSpec { min_leaf: 0, ..f }), "min_leaf");
    assert_eq!(forest(ForestSpec { max_depth: 65, ..f }), "max_depth");
    assert_eq!(forest(ForestSpec { columns_per_split: Some(0), ..f }), "columns_per_split");
    assert_eq!(boosting(BoostingSpec { rounds: 0, ..b.clone() }), "rounds");
    assert_eq!(boosting(BoostingSpec { learning_rate: f64::NAN, ..b.clone() }), "learning_rate");
    assert_eq!(boosting(BoostingSpec { max_leaves: 1, ..b.clone() }), "max_leaves");
    assert_eq!(boosting(BoostingSpec { l2: -1.0, ..b.clone() }), "l2");
    assert_eq!(boosting(BoostingSpec { patience: 0, ..b.clone() }), "patience");
    assert_eq!(boosting(BoostingSpec { monotone: vec![2; 12], ..b.clone() }), "monotone");
    let refusal = |spec: &ModelSpec, y| fit(spec, x.view(), y, None, None, 0).unwrap_err();
    let short = ModelSpec::Boosting(BoostingSpec { monotone: vec![1; 11], ..b.clone() });
    assert_eq!(refusal(&short, Values::Classes(&y)), FitError::MonotoneCount { columns: 12, signs: 11 });
    let logistic = ModelSpec::Logistic(LogisticSpec::default());
    assert!(matches!(refusal(&logistic, Values::Reals(&z)), FitError::WrongValues { kind: "logistic", .. }));
    let linear = ModelSpec::Linear(LinearSpec::default());
    assert!(matches!(refusal(&linear, Values::Classes(&y)), FitError::WrongValues { kind: "linear", .. }));
    let held = Held { x: x.slice_axis(Axis(1), (..3).into()), y: Values::Classes(&y) };
    let error = fit(&ModelSpec::Boosting(b), x.view(), Values::Classes(&y), None, Some(held), 0).unwrap_err();
    assert!(matches!(error, FitError::Validation { .. }), "{error}");
    for (scores, labels) in [(&[0.5, 1.5][..], &[true, false][..]), (&[0.5, f64::NAN], &[true, false])] {
        assert!(matches!(
            Calibration::fit(Method::Isotonic, scores, labels, None),
            Err(FitError::Score { row: 1, .. })
        ));
    }
    assert_eq!(
        Calibration::fit(Method::Platt, &[0.1, 0.2], &[true, true], None),
        Err(FitError::SingleClass { label: true })
    );
    let constant = Calibration::fit(Method::Platt, &[0.3; 20], &[[true, false]; 10].concat(), None);
    assert!(matches!(constant, Err(FitError::Collinear { .. })), "{constant:?}");
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

/// Sound records of the kinds that hold trees and models.
fn records() -> Vec<ModelRecord> {
    let Data { x, y, .. } = data(21, 120);
    let mut records: Vec<ModelRecord> =
        class_specs().iter().map(|spec| fit_classes(spec, x.view(), &y, 1).unwrap()).collect();
    let isotonic = Calibration::fit(Method::Isotonic, &values(&records[1], &x), &y, None).unwrap();
    records.push(calibrated(records[1].clone(), isotonic).unwrap());
    let scores = Array2::from_shape_fn((120, 1), |(i, _)| uniform(3, i as u64));
    records.push(stack(vec![records[3].clone()], scores.view(), &y, &Options::default()).unwrap());
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_record_is_refused_or_still_scores_without_end_or_panic(
        changes in prop::collection::vec((0..3_000_usize, replacement()), 1..4), which in 0..7_usize,
        row in prop::collection::vec(prop_oneof![any::<f64>(), -3.0..3.0], 12)
    ) {
        thread_local! { static RECORDS: Vec<ModelRecord> = records(); }
        let mut json = RECORDS.with(|records| serde_json::to_value(&records[which]).unwrap());
        for (place, with) in &changes {
            let mut place = *place;
            while !damage(&mut json, &mut place, with) {}
        }
        let Ok(record) = serde_json::from_value::<ModelRecord>(json) else { return Ok(()) };
        let _ = (record.width(), record.output(), record.importance());
        if let Ok(model) = record.compile() {
            for x in [&row[..], &[0.5; 12], &[], &vec![0.1; model.width().min(100_000)]] {
                if let Some(p) = model.score(x) { prop_assert!((0.0..=1.0).contains(&p.get())); }
                if let Some(value) = model.value(x) { prop_assert!(value.is_finite()); }
            }
        }
    }

    #[test]
    fn any_list_of_columns_is_a_tree_that_can_be_walked_or_is_refused(
        columns in prop::collection::vec(prop::option::of(0..4_u16), 1..40), row in prop::collection::vec(-3.0..3.0, 3)
    ) {
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
        if let (Ok(model), ModelRecord::RandomForest(forest)) = (compiled, &record) {
            prop_assert_eq!(model.value(&row).unwrap(), walk(&forest.trees[0], &row));
        }
    }
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
