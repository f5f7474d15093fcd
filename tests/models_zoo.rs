//! What holds for every kind of model: what weights, signs and a validation part mean, and what is refused.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

#[path = "common/kinds.rs"]
mod kinds;
#[path = "common/rows.rs"]
mod rows;
#[path = "common/specs.rs"]
mod specs;

use kinds::{Data, data, fit_classes, values};
use ndarray::{Array2, Axis};
use rows::uniform;
use specs::class_specs;
use vigie::{
    models::{
        BoostingSpec, Calibration, FitError, ForestSpec, Held, LinearSpec, LogisticSpec, Method, ModelRecord,
        ModelSpec, Stop, Values, fit,
    },
    stats::binary::roc_auc,
};

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
    // a forest draws rows, so weights show in what it predicts: where the losses weigh next to nothing all is won
    let only: Vec<f64> = y.iter().map(|&y| if y { 1.0 } else { 1e-3 }).collect();
    let spec = ModelSpec::RandomForest(ForestSpec { min_leaf: 20, ..ForestSpec::default() });
    let model = fit(&spec, x.view(), Values::Classes(&y), Some(&only), None, 0).unwrap();
    assert!(values(&model, &x).iter().all(|p| *p > 0.95));
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
    let (linear, mut sound) = (ModelSpec::Linear(LinearSpec::default()), Vec::new());
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
        let far: Vec<f64> = z.iter().map(|z| z * 1e300).collect();
        let fits =
            [fit(&spec, huge.view(), good, None, None, 0), fit(&spec, x.view(), Values::Reals(&far), None, None, 0)];
        let [of_huge, of_far] = fits.map(|fit| fit.map(|model| assert!(model.compile().is_ok(), "{kind}")).is_ok());
        sound.push((kind, of_huge, of_far));
    }
    // which kinds can be fitted to cells, and which to targets, of that size; all others refuse
    let fitted = |which: fn(&(&'static str, bool, bool)) -> bool| {
        sound.iter().filter(|one| which(one)).map(|(kind, ..)| *kind).collect::<Vec<_>>()
    };
    assert_eq!(fitted(|one| one.1), ["random_forest", "extra_trees", "boosting"]);
    assert_eq!(fitted(|one| one.2), ["linear"]);
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
}
