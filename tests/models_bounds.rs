//! What keeps a fit within bounds, against scikit-learn and SciPy: figures written by `tests/fixtures/models/make_bounds.py`.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/rows.rs"]
mod rows;

use ndarray::Array2;
use rows::{inputs, uniform};
use serde::Deserialize;
use vigie::{
    models::{
        Boosting, BoostingSpec, Calibration, Held, LinearSpec, Method, ModelRecord, ModelSpec, Stop, Values, fit,
    },
    stats::logit::clipped_logit,
};

#[derive(Deserialize)]
struct Bounds {
    platt: Vec<PlattCase>,
    isotonic: IsotonicCase,
    lasso: LassoCase,
}

#[derive(Deserialize)]
struct PlattCase {
    scores: Vec<f64>,
    labels: Vec<bool>,
    free_slope: f64,
    slope: f64,
    offset: f64,
}

#[derive(Deserialize)]
struct IsotonicCase {
    scores: Vec<f64>,
    labels: Vec<bool>,
    at: Vec<f64>,
    isotonic: Vec<f64>,
}

#[derive(Deserialize)]
struct LassoCase {
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
    l1: f64,
    weights: Vec<f64>,
    intercept: f64,
}

fn bounds() -> Bounds {
    serde_json::from_str(include_str!("fixtures/models/bounds.json")).unwrap()
}

fn platt(scores: &[f64], labels: &[bool]) -> (f64, f64) {
    match Calibration::fit(Method::Platt, scores, labels, None).unwrap() {
        Calibration::Platt { slope, offset } => (slope, offset),
        Calibration::Isotonic { .. } => unreachable!(),
    }
}

#[test]
fn platts_slope_is_the_best_of_those_that_are_not_negative() {
    let cases = bounds().platt;
    assert!(cases[0].free_slope < 0.0 && cases[3].free_slope > 0.0, "both sorts are among them");
    for case in cases {
        let (slope, offset) = platt(&case.scores, &case.labels);
        let close = (slope - case.slope).abs() < 1e-6 && (offset - case.offset).abs() < 1e-6;
        assert!(close, "{slope} {offset} is not {} {}", case.slope, case.offset);
    }
    let mut level = 0;
    for run in 0..400_u64 {
        let draw = |place: u64| uniform(run + 1, place);
        let scores: Vec<f64> = (0..40).map(|row| 0.4 + 0.2 * draw(row)).collect();
        let labels: Vec<bool> = (0..40).map(|row| draw(100 + row) < scores[row as usize]).collect();
        let (slope, offset) = platt(&scores, &labels);
        assert!(slope >= 0.0, "run {run}: {slope}");
        if slope == 0.0 {
            level += 1;
            let (yes, all) = (labels.iter().filter(|label| **label).count() as f64, 40.0);
            let no = all - yes;
            let share = (yes * (yes + 1.0) / (yes + 2.0) + no / (no + 2.0)) / all;
            assert!((offset - clipped_logit(share)).abs() < 1e-9, "run {run}: {offset} for {yes} of 40");
        }
    }
    assert!(level > 40, "{level} of 400 would have had a negative slope");
}

#[test]
fn scores_that_are_all_the_same_mean_the_base_rate() {
    let labels: Vec<bool> = (0..60).map(|row| row % 3 == 0).collect();
    let (slope, offset) = platt(&[0.4; 60], &labels);
    let share = (20.0 * 21.0 / 22.0 + 40.0 / 42.0) / 60.0;
    assert_eq!(slope, 0.0);
    assert!((offset - clipped_logit(share)).abs() < 1e-12, "{offset}");
}

#[test]
fn an_isotonic_curve_is_never_certain() {
    let IsotonicCase { scores, labels, at, isotonic } = bounds().isotonic;
    let ours = Calibration::fit(Method::Isotonic, &scores, &labels, None).unwrap();
    let Calibration::Isotonic { scores: points, probabilities } = &ours else { unreachable!() };
    assert!(probabilities.iter().all(|p| *p > 0.0 && *p < 1.0) && probabilities.is_sorted());
    let in_pool = |from: f64, to: f64| scores.iter().filter(|score| **score >= from && **score <= to).count() as f64;
    let (low, high) = (in_pool(0.0, points[1]), in_pool(points[points.len() - 2], 1.0));
    assert!((probabilities[0] - 1.0 / (low + 2.0)).abs() < 1e-12, "{low} rows that never came true");
    let last = probabilities[probabilities.len() - 1];
    assert!((last - (high + 1.0) / (high + 2.0)).abs() < 1e-12, "{high} rows that always came true");
    // between the ends it is scikit-learn's
    let (second, before_last) = (points[2], points[points.len() - 3]);
    let mut between = 0;
    for (score, theirs) in at.iter().zip(&isotonic).filter(|(at, _)| (second..=before_last).contains(*at)) {
        let found = ours.apply(*score).unwrap();
        assert!((found - theirs).abs() < 1e-9, "at {score}: {found} is not {theirs}");
        between += 1;
    }
    assert!(between > 20 && isotonic[0] == 0.0 && isotonic[100] == 1.0, "{between} points");
    // a pool of few rows beside one that is all but certain stays on its side
    let scores: Vec<f64> = (0..104)
        .map(|row| {
            if row < 2 {
                0.1
            } else if row < 102 {
                0.5
            } else {
                0.9
            }
        })
        .collect();
    let labels: Vec<bool> = (0..104).map(|row| row != 0 && row != 1 && row != 50).collect();
    let ours = Calibration::fit(Method::Isotonic, &scores, &labels, None).unwrap();
    let curve: Vec<f64> = [0.1, 0.5, 0.9].iter().map(|score| ours.apply(*score).unwrap()).collect();
    assert_eq!(curve, [0.25, 0.99, 0.99]);
}

#[test]
fn a_lasso_settles_on_columns_that_are_nearly_the_same() {
    let case = bounds().lasso;
    let x = Array2::from_shape_fn((case.x.len(), 3), |(i, j)| case.x[i][j]);
    let spec = ModelSpec::Linear(LinearSpec { l1: case.l1, l2: 0.0 });
    let record = fit(&spec, x.view(), Values::Reals(&case.y), None, None, 0).unwrap();
    let ModelRecord::Linear(model) = &record else { unreachable!() };
    for (ours, theirs) in
        model.weights.iter().chain([&model.intercept]).zip(case.weights.iter().chain([&case.intercept]))
    {
        assert!((ours - theirs).abs() < 1e-6 * theirs.abs().max(1.0), "{ours} is not {theirs}");
    }
    assert!(model.sweeps < 1_000, "{} sweeps", model.sweeps);
}

/// Boosting on labels without a pattern, told by others when to stop.
fn noise(seed: u64, rounds: u32, watched: bool) -> Boosting {
    let (train, held) = (inputs(seed, 300), inputs(seed + 500, 150));
    let labels = |seed: u64, rows: u64| (0..rows).map(|row| uniform(seed, row) < 0.5).collect::<Vec<bool>>();
    let (own, theirs) = (labels(seed + 1_000, 300), labels(seed + 2_000, 150));
    let spec = ModelSpec::Boosting(BoostingSpec { rounds, ..BoostingSpec::default() });
    let held = Held { x: held.view(), y: Values::Classes(&theirs) };
    let record = fit(&spec, train.view(), Values::Classes(&own), None, watched.then_some(held), 0).unwrap();
    let ModelRecord::Boosting(model) = record else { unreachable!() };
    *model
}

#[test]
fn boosting_counts_the_gains_of_the_trees_that_it_kept() {
    let (mut without, mut with) = (0, 0);
    for seed in 30..70 {
        let model = noise(seed, 100, true);
        assert_eq!(model.stopped, Stop::Validation);
        let record = ModelRecord::Boosting(Box::new(model.clone()));
        assert!(record.compile().is_ok());
        if model.trees.is_empty() {
            without += 1;
            assert_eq!((model.importance, record.importance()), (vec![0.0; 12], None), "seed {seed}");
        } else {
            with += 1;
            let same = noise(seed, model.trees.len() as u32, false);
            assert_eq!(model.trees, same.trees, "seed {seed}");
            assert_eq!(model.importance, same.importance, "seed {seed}");
        }
    }
    assert!(without > 5 && with > 5, "{without} kept no tree, {with} some");
}
