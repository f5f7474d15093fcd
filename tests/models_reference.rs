//! The models above the logistic regression against scikit-learn and LightGBM: figures written by
//! `tests/fixtures/models/make_zoo.py`.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/kinds.rs"]
mod kinds;
#[path = "common/rows.rs"]
mod rows;

use kinds::{data, fit_classes, values};
use ndarray::Array2;
use serde::Deserialize;
use vigie::{
    models::{BoostingSpec, Calibration, ForestSpec, LinearSpec, Method, ModelRecord, ModelSpec, Output, Values, fit},
    stats::binary::roc_auc,
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

fn zoo() -> Zoo {
    serde_json::from_str(include_str!("fixtures/models/zoo.json")).unwrap_or_else(|error| {
        unreachable!("the reference figures do not parse: {error}");
    })
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
        let Calibration::Isotonic { scores, probabilities } = &isotonic else { unreachable!() };
        // what always or never came true is not certain here; between the ends the curves are the same
        let (mut inner, ends) = (scores.iter().zip(probabilities), [probabilities[0], probabilities[scores.len() - 1]]);
        let is_inner = |(_, p): &(&f64, &f64)| !ends.contains(*p);
        let from = inner.clone().find(is_inner).map_or(1.0, |(score, _)| *score);
        let to = inner.rfind(is_inner).map_or(0.0, |(score, _)| *score);
        let between = |(score, _): &(&f64, &f64)| (from..=to).contains(*score);
        assert!(set.at.iter().zip(&set.isotonic).filter(between).count() > 3, "{from} to {to}");
        for (score, theirs) in set.at.iter().zip(&set.isotonic).filter(between) {
            let ours = isotonic.apply(*score).unwrap();
            assert!((ours - theirs).abs() < 1e-9, "at {score}: {ours} is not {theirs}");
        }
    }
    assert_eq!((Method::for_rows(999), Method::for_rows(1_000)), (Method::Platt, Method::Isotonic));
}

#[test]
fn forests_and_boosting_tell_classes_apart_as_well_as_scikit_learn_and_lightgbm() {
    let figures = zoo().trees;
    let (train, test) = (data(1, 3_000), data(2, 8_000));
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
        (auc(&ModelSpec::RandomForest(ForestSpec::default()), 2), figures.random_forest_auc),
        (auc(&ModelSpec::ExtraTrees(ForestSpec::default()), 2), figures.extra_trees_auc),
        (auc(&ModelSpec::Boosting(BoostingSpec::default()), 1), figures.boosting_auc),
    ] {
        println!("AUC {ours:.4}, theirs {theirs:.4}");
        assert!((ours - theirs).abs() < 0.005, "{ours} is not {theirs}");
    }
}

#[test]
fn forests_and_boosting_predict_real_values_as_well_as_scikit_learn() {
    let figures = zoo().trees;
    let (train, test) = (data(1, 3_000), data(2, 8_000));
    for (spec, theirs) in [
        (ModelSpec::RandomForest(ForestSpec::default()), figures.forest_regression_correlation),
        (ModelSpec::Boosting(BoostingSpec::default()), figures.boosting_regression_correlation),
    ] {
        let model = fit(&spec, train.x.view(), Values::Reals(&train.z), None, None, 0).unwrap();
        let ours = correlation(&values(&model, &test.x), &test.z);
        println!("correlation {ours:.4}, theirs {theirs:.4}");
        assert!((ours - theirs).abs() < 0.005, "{ours} is not {theirs}");
        assert_eq!((model.output(), model.compile().unwrap().output()), (Output::Real, Output::Real));
    }
}
