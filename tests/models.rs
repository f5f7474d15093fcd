//! Logistic regression against scikit-learn (figures written by `tests/fixtures/models/make.py`), its two solvers
//! against each other, and its refusals.

use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand_pcg::Pcg64;
use serde::Deserialize;
use vigie::{
    domain::Probability,
    models::{ClassWeights, Compiled, FitError, Logistic, LogisticOptions, ModelRecord, Solver, fit_logistic},
};

#[derive(Deserialize)]
struct Set {
    x: Vec<Vec<f64>>,
    y: Vec<bool>,
    fits: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    l2: f64,
    balanced: bool,
    sample_weights: Option<Vec<f64>>,
    weights: Vec<f64>,
    intercept: f64,
    probabilities: Vec<f64>,
}

impl Reference {
    fn options(&self, solver: Solver, tolerance: f64) -> LogisticOptions<'_> {
        let class_weights = if self.balanced { ClassWeights::Balanced } else { ClassWeights::None };
        let sample_weights = self.sample_weights.as_deref();
        LogisticOptions { l2: self.l2, class_weights, sample_weights, tolerance, solver, ..LogisticOptions::default() }
    }

    fn is_weighted(&self) -> bool {
        self.balanced || self.sample_weights.is_some()
    }

    fn check(&self, fit: &Logistic, tolerance: f64) {
        let theirs = self.weights.iter().chain([&self.intercept]);
        for (ours, theirs) in fit.weights.iter().chain([&fit.intercept]).zip(theirs) {
            let difference = (ours - theirs).abs() / theirs.abs().max(1.0);
            assert!(difference <= tolerance, "{} by {:?}: {ours} is not {theirs}", self.name, fit.solver);
        }
    }

    fn compile(&self) -> Compiled {
        let model = Logistic {
            weights: self.weights.clone(),
            intercept: self.intercept,
            l2: self.l2,
            class_weights: ClassWeights::None,
            solver: Solver::Newton,
            iterations: None,
            gradient: 0.0,
        };
        ModelRecord::Logistic(model).compile().unwrap_or_else(|error| unreachable!("{}: {error}", self.name))
    }
}

fn reference() -> Vec<Set> {
    serde_json::from_str(include_str!("fixtures/models/logistic.json")).unwrap_or_else(|error| {
        unreachable!("the reference figures do not parse: {error}");
    })
}

fn matrix(rows: &[Vec<f64>]) -> Array2<f64> {
    Array2::from_shape_fn((rows.len(), rows.first().map_or(0, Vec::len)), |(i, j)| rows[i][j])
}

/// `n` rows of `k` columns with a weak signal in each.
fn random(seed: u64, n: usize, k: usize) -> (Array2<f64>, Vec<bool>) {
    let mut rng = Pcg64::new(seed.into(), 1);
    let mut uniform = move || rng.random::<f64>();
    let x = Array2::from_shape_simple_fn((n, k), || uniform() + uniform() + uniform() - 1.5);
    let y = x.rows().into_iter().map(|row| row.sum() * 0.5 + 3.0 * (uniform() - 0.4) > 0.0).collect();
    (x, y)
}

#[test]
fn newton_finds_the_coefficients_of_scikit_learn() {
    for set in reference() {
        let x = matrix(&set.x);
        for case in &set.fits {
            let fit = fit_logistic(x.view(), &set.y, &case.options(Solver::Newton, 1e-13)).unwrap();
            case.check(&fit, 1e-9);
            assert!(fit.gradient <= 1e-13 && fit.iterations.is_some_and(|n| (1..=20).contains(&n)), "{fit:?}");
        }
    }
}

#[test]
fn smartcore_finds_the_coefficients_of_scikit_learn() {
    for set in reference() {
        let x = matrix(&set.x);
        for case in &set.fits {
            let fit = fit_logistic(x.view(), &set.y, &case.options(Solver::Smartcore, 1e-6));
            match fit {
                Err(error) if case.is_weighted() => assert_eq!(error, FitError::WeightsUnsupported),
                fit => case.check(&fit.unwrap(), 1e-6),
            }
        }
    }
}

#[test]
fn both_solvers_agree_on_random_data() {
    for seed in 0..20 {
        let (x, y) = random(seed, 300, 12);
        for l2 in [1e-3, 1.0, 50.0] {
            let fit = |solver, tolerance| {
                fit_logistic(x.view(), &y, &LogisticOptions { l2, solver, tolerance, ..LogisticOptions::default() })
                    .unwrap()
            };
            let (newton, smartcore) = (fit(Solver::Newton, 1e-13), fit(Solver::Smartcore, 1e-6));
            for (a, b) in newton.weights.iter().zip(&smartcore.weights) {
                assert!((a - b).abs() < 1e-6, "seed {seed}, l2 {l2}: {a} is not {b}");
            }
        }
    }
}

#[test]
fn a_compiled_score_is_the_probability_of_scikit_learn() {
    for set in reference() {
        for case in &set.fits {
            let model = case.compile();
            for (row, theirs) in set.x.iter().zip(&case.probabilities) {
                let ours = model.score(row).unwrap().get();
                assert!((ours - theirs).abs() <= 1e-12, "{}: {ours} is not {theirs}", case.name);
            }
        }
    }
}

#[test]
fn a_compiled_score_decides_as_smartcore_does() {
    use smartcore::linear::logistic_regression::{LogisticRegression, LogisticRegressionParameters};

    let (x, y) = random(1, 400, 6);
    let labels: Vec<u32> = y.iter().map(|&label| label.into()).collect();
    let parameters = LogisticRegressionParameters::default().with_alpha(1.0);
    let library = LogisticRegression::fit(&x, &labels, parameters).unwrap();
    let decisions: Vec<u32> = library.predict(&x).unwrap();

    let fit = fit_logistic(x.view(), &y, &LogisticOptions { solver: Solver::Smartcore, ..LogisticOptions::default() })
        .unwrap();
    assert!(fit.weights.iter().eq(library.coefficients().iter()), "the coefficients are passed on as they are");
    let model = ModelRecord::Logistic(fit).compile().unwrap();
    for (row, decision) in x.rows().into_iter().zip(decisions) {
        let log_odds = row.dot(&library.coefficients().row(0)) + library.intercept()[[0, 0]];
        let score = model.score(&row.to_vec()).unwrap();
        assert!((score.get() - 1.0 / (1.0 + (-log_odds).exp())).abs() <= 1e-12);
        assert_eq!(score > Probability::NEUTRAL, decision == 1);
    }
}

#[test]
fn a_full_newton_step_that_raises_the_loss_is_shortened() {
    // with full steps the loss goes from 0.22 to 0.77 at the seventh, and from 0.007 to 3.7 at the ninth
    let six = [[-5.4, -3.4], [-1.5, -75.5], [8.5, 1.9], [-2.8, 0.3], [6.8, 6.0], [-1.0, -29.6]];
    let six_labels = [false, true, true, false, false, true];
    let seven = [[-0.9, -1.9], [22.7, -0.3], [-0.8, 0.8], [0.1, -0.2], [-1.0, 0.5], [-0.4, -0.4], [-0.5, 0.0]];
    let seven_labels = [false, false, true, false, true, false, true];
    for (rows, labels, l2) in [(&six[..], &six_labels[..], 0.1), (&seven, &seven_labels, 1e-6)] {
        let x = Array2::from_shape_fn((rows.len(), 2), |(i, j)| rows[i][j]);
        let fit =
            fit_logistic(x.view(), labels, &LogisticOptions { l2, tolerance: 1e-9, ..LogisticOptions::default() })
                .unwrap();
        assert!(fit.gradient <= 1e-9, "{fit:?}");
    }
}

#[test]
fn a_row_of_weight_two_counts_as_two_rows_and_one_of_weight_zero_as_none() {
    let (x, y) = random(5, 80, 3);
    let weights: Vec<f64> = (0..80).map(|i| f64::from(i % 3)).collect();
    let copies: Vec<usize> = (0..80).flat_map(|i| vec![i; i % 3]).collect();
    let repeated: Vec<bool> = copies.iter().map(|&i| y[i]).collect();
    for class_weights in [ClassWeights::None, ClassWeights::Balanced] {
        let options = LogisticOptions { class_weights, tolerance: 1e-13, ..LogisticOptions::default() };
        let weighted =
            fit_logistic(x.view(), &y, &LogisticOptions { sample_weights: Some(&weights), ..options }).unwrap();
        let copied = fit_logistic(x.select(ndarray::Axis(0), &copies).view(), &repeated, &options).unwrap();
        for (a, b) in weighted.weights.iter().zip(&copied.weights) {
            assert!((a - b).abs() < 1e-12, "{class_weights:?}: {a} is not {b}");
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bits_and_the_layout_of_the_matrix_does_not_matter() {
    let (x, y) = random(9, 200, 5);
    let columns_first = x.t().as_standard_layout().into_owned().reversed_axes();
    assert_eq!(x, columns_first);
    for solver in [Solver::Newton, Solver::Smartcore] {
        let fit = |x: ArrayView2<'_, f64>| {
            fit_logistic(x, &y, &LogisticOptions { solver, ..LogisticOptions::default() }).unwrap()
        };
        assert_eq!(fit(x.view()), fit(x.view()));
        assert_eq!(fit(x.view()), fit(columns_first.view()));
    }
}

#[test]
fn the_bits_are_those_of_every_machine() {
    // whichever instructions it has; they change with the order of the sums, and then stand here as new ones
    let (x, y) = random(4, 500, 9);
    let fit = fit_logistic(x.view(), &y, &LogisticOptions { tolerance: 1e-10, ..LogisticOptions::default() }).unwrap();
    let bits: Vec<u64> = fit.weights.iter().chain([&fit.intercept]).map(|w| w.to_bits()).collect();
    let known = [
        4607589395589580993,
        4598899189359266655,
        4603541372304538246,
        4604518251148407621,
        4605889900817231728,
        4600760640106991343,
        4606839953482934103,
        4608067390998289046,
        4603875317991848063,
        4602899055765141367,
    ];
    assert_eq!(bits, known);
}

#[test]
fn strong_and_badly_scaled_signals_are_fitted_too() {
    let mut rng = Pcg64::new(23, 1);
    for case in 0..400 {
        let (n, k) = (rng.random_range(12..150), rng.random_range(1..8));
        let (scale, l2) = (10.0_f64.powf(rng.random_range(-2.0..2.0)), 10.0_f64.powf(rng.random_range(-5.0..1.0)));
        let sizes: Vec<f64> = (0..k).map(|_| 10.0_f64.powf(rng.random_range(-1.0..1.5))).collect();
        let x = Array2::from_shape_fn((n, k), |(_, j)| sizes[j] * rng.random_range(-1.0..1.0_f64).powi(3));
        let mut y: Vec<bool> = (x.rows().into_iter())
            .map(|row| row.sum() * scale > (1.0 / rng.random_range(0.0..1.0_f64) - 1.0).ln())
            .collect();
        (y[0], y[1]) = (true, false);
        let weights: Vec<f64> = (0..n).map(|_| f64::from(rng.random_range(1..4_u32))).collect();
        let options = LogisticOptions {
            l2,
            tolerance: 1e-9,
            sample_weights: (case % 2 == 0).then_some(&weights),
            ..LogisticOptions::default()
        };
        let fit = fit_logistic(x.view(), &y, &options).unwrap_or_else(|error| panic!("case {case}: {error}"));
        assert!(fit.gradient <= 1e-9 && fit.iterations.unwrap() < 60, "case {case}: {fit:?}");
    }
}

#[test]
fn data_that_cannot_be_fitted_are_refused_with_the_place() {
    let (x, y) = random(2, 30, 3);
    let refusal = |x: &Array2<f64>, y: &[bool], options: LogisticOptions<'_>| {
        let newton = fit_logistic(x.view(), y, &options).unwrap_err();
        // smartcore is behind the same checks
        if options.sample_weights.is_none() {
            let other =
                fit_logistic(x.view(), y, &LogisticOptions { solver: Solver::Smartcore, ..options }).unwrap_err();
            assert_eq!(other.to_string(), newton.to_string()); // as text, where NaN equals itself
        }
        newton
    };
    let plain = LogisticOptions::default();
    let with = |row: usize, column: usize, value: f64| {
        let mut x = x.clone();
        x[[row, column]] = value;
        x
    };
    let empty = |rows, columns| refusal(&Array2::zeros((rows, columns)), &vec![true; rows], plain);
    assert_eq!(empty(0, 3), FitError::Empty { rows: 0, columns: 3 });
    assert_eq!(empty(5, 0), FitError::Empty { rows: 5, columns: 0 });
    assert_eq!(empty(4, 3), FitError::TooFew { rows: 4, columns: 3, needed: 5 });
    assert_eq!(refusal(&x, &y[1..], plain), FitError::LabelCount { rows: 30, labels: 29 });
    for label in [true, false] {
        assert_eq!(refusal(&x, &[label; 30], plain), FitError::SingleClass { label });
    }
    let cell = FitError::NonFiniteCell { row: 7, column: 2, value: f64::NEG_INFINITY };
    assert_eq!(refusal(&with(7, 2, f64::NEG_INFINITY), &y, plain), cell);
    let nan = refusal(&with(4, 1, f64::NAN), &y, plain);
    assert!(matches!(nan, FitError::NonFiniteCell { row: 4, column: 1, .. }), "{nan}");
    assert_eq!(refusal(&with(7, 2, 1e300), &y, plain), FitError::NonFiniteResult);

    let weigh = |weights: &[f64]| refusal(&x, &y, LogisticOptions { sample_weights: Some(weights), ..plain });
    assert_eq!(weigh(&[1.0; 29]), FitError::SampleWeightCount { rows: 30, weights: 29 });
    let mut weights = [1.0; 30];
    weights[3] = -1.0;
    assert_eq!(weigh(&weights), FitError::SampleWeight { row: 3, value: -1.0 });
    weights[3] = f64::INFINITY;
    assert_eq!(weigh(&weights), FitError::SampleWeight { row: 3, value: f64::INFINITY });
    let only_wins: Vec<f64> = y.iter().map(|&label| f64::from(u8::from(label))).collect();
    assert_eq!(weigh(&only_wins), FitError::SingleClass { label: true });

    for (name, options) in [
        ("l2", LogisticOptions { l2: -1.0, ..plain }),
        ("l2", LogisticOptions { l2: f64::NAN, ..plain }),
        ("tolerance", LogisticOptions { tolerance: 0.0, ..plain }),
        ("max_iterations", LogisticOptions { max_iterations: 0, ..plain }),
    ] {
        let error = refusal(&x, &y, options);
        assert!(matches!(error, FitError::Option { name: found, .. } if found == name), "{error}");
    }
    let error = fit_logistic(x.view(), &y, &LogisticOptions { max_iterations: 1, ..plain }).unwrap_err();
    assert!(matches!(error, FitError::NotConverged { .. }), "{error}");
}

#[test]
fn a_panic_inside_smartcore_is_a_refusal() {
    // its line search gives up on these; Newton, free of scale, sees that they have no solution
    let x = ndarray::array![
        [-7.271235310144496e100, 2.7180634876316753e100, -1.2130542938322535e101],
        [-1.7206533419445492e101, 6.4756270355074136e100, 8.891288703273975e99],
        [2.9546663387064837e100, -1.077386199942505e100, 1.3743144330047487e99],
        [1.3235168573573937e101, 5.616314844962997e100, 1.0000408662800417e100],
        [-6.963626322246183e100, 7.178873901068184e99, -2.5263844668110867e101],
        [-8.54623396078933e100, 1.0220730429227117e100, -4.928106766698465e99],
    ];
    let y = [false, true, true, false, false, true];
    let fit = |solver| fit_logistic(x.view(), &y, &LogisticOptions { l2: 0.0, solver, ..LogisticOptions::default() });
    let error = fit(Solver::Smartcore).unwrap_err();
    assert!(matches!(error, FitError::Library { .. }), "{error}");
    assert_eq!(fit(Solver::Newton), Err(FitError::Separated));
}

#[test]
fn without_a_penalty_separated_classes_and_collinear_columns_are_refused() {
    let (x, y) = random(3, 60, 3);
    let fit = |x: &Array2<f64>, y: &[bool], l2, solver| {
        fit_logistic(x.view(), y, &LogisticOptions { l2, solver, ..LogisticOptions::default() })
    };
    let complete: Vec<bool> = x.column(1).iter().map(|value| *value > 0.2).collect();
    // one column tells the classes apart except where it is 0, where both occur: infinite weights still fit best
    let mut quasi = x.clone();
    quasi.column_mut(2).iter_mut().zip(&y).enumerate().for_each(|(i, (cell, &label))| {
        *cell = if i % 4 > 0 {
            0.0
        } else if label {
            1.0
        } else {
            -1.0
        };
    });
    let mut copy = x.clone();
    copy.column_mut(2).assign(&x.column(0));
    let mut constant = x.clone();
    constant.column_mut(1).fill(3.0);
    for solver in [Solver::Newton, Solver::Smartcore] {
        assert_eq!(fit(&x, &complete, 0.0, solver), Err(FitError::Separated), "{solver:?}");
        let error = fit(&quasi, &y, 0.0, solver).unwrap_err();
        assert!(matches!(error, FitError::Separated | FitError::NotConverged { .. }), "{solver:?}: {error}");
        assert_eq!(fit(&copy, &y, 0.0, solver), Err(FitError::Collinear { column: 2 }), "{solver:?}");
        assert_eq!(fit(&constant, &y, 0.0, solver), Err(FitError::Collinear { column: 1 }), "{solver:?}");
        // any penalty gives all of them a finite answer
        for (x, y) in [(&x, &complete), (&quasi, &y), (&copy, &y), (&constant, &y)] {
            let fit = fit(x, y, 0.1, solver).unwrap();
            assert!(fit.weights.iter().all(|w| w.abs() < 100.0), "{fit:?}");
        }
    }
    let copied = fit(&copy, &y, 0.1, Solver::Newton).unwrap();
    assert!((copied.weights[0] - copied.weights[2]).abs() < 1e-9, "copies share a weight: {copied:?}");
}

#[test]
fn a_planted_signal_is_found_within_its_standard_error() {
    // columns of variance 1/4, log-odds 1.5 x0 - 0.8 x1 + 0.3; the information matrix is near n p (1 - p) var
    let mut rng = Pcg64::new(17, 1);
    let mut uniform = move || rng.random::<f64>();
    let n = 20_000;
    let x = Array2::from_shape_simple_fn((n, 2), || uniform() + uniform() + uniform() - 1.5);
    let log_odds = |row: &[f64]| 1.5 * row[0] - 0.8 * row[1] + 0.3;
    let y: Vec<bool> =
        x.rows().into_iter().map(|row| uniform() < 1.0 / (1.0 + (-log_odds(&row.to_vec())).exp())).collect();
    let fit = fit_logistic(x.view(), &y, &LogisticOptions { l2: 0.0, ..LogisticOptions::default() }).unwrap();
    for (found, planted) in fit.weights.iter().chain([&fit.intercept]).zip([1.5, -0.8, 0.3]) {
        assert!((found - planted).abs() < 4.0 * (n as f64 * 0.22 * 0.25).powf(-0.5), "{found} is not {planted}");
    }
}

/// 40,000 rows, of which a part may be all there is to see in the blocks that are looked at first.
#[test]
fn many_rows_give_the_minimum_whatever_the_first_look_at_a_part_of_them_showed() {
    let mut rng = Pcg64::new(3, 3);
    let mut uniform = move || rng.random::<f64>();
    let rows = 40_000;
    let mut x = Array2::from_shape_simple_fn((rows, 3), || 2.0 * (uniform() + uniform() + uniform() - 1.5));
    // constant, or nearly, in every other block of 64
    let quiet = |row: usize| (row / 64).is_multiple_of(2);
    (0..rows).filter(|row| quiet(*row)).for_each(|row| x[[row, 2]] = 0.0);
    (0..rows).filter(|row| quiet(*row)).for_each(|row| x[[row, 1]] *= 0.01);
    let y: Vec<bool> =
        x.rows().into_iter().map(|row| row[0] + 2.0 * row[1] - row[2] > (1.0 / uniform() - 1.0).ln()).collect();
    for l2 in [0.0, 1.0] {
        let with = |tolerance| {
            let options = LogisticOptions { l2, tolerance, ..LogisticOptions::default() };
            fit_logistic(x.view(), &y, &options).unwrap_or_else(|error| unreachable!("{l2}: {error}"))
        };
        let (loose, tight) = (with(1e-8), with(1e-13));
        assert!(loose.iterations < Some(20), "{:?}", loose.iterations);
        for (a, b) in loose.weights.iter().chain([&loose.intercept]).zip(tight.weights.iter().chain([&tight.intercept]))
        {
            assert!((a - b).abs() < 1e-6, "{a} and {b}");
        }
        // as it was made
        let made = [1.0, 2.0, -1.0];
        assert!(loose.weights.iter().zip(made).all(|(found, made)| (found - made).abs() < 0.1), "{:?}", loose.weights);
    }
    let free = LogisticOptions { l2: 0.0, ..LogisticOptions::default() };
    let apart: Vec<bool> = x.column(0).iter().map(|x| *x > 0.0).collect();
    assert_eq!(fit_logistic(x.view(), &apart, &free), Err(FitError::Separated));
    let mut copies = x.clone();
    copies.column_mut(2).assign(&x.column(0));
    assert_eq!(fit_logistic(copies.view(), &y, &free), Err(FitError::Collinear { column: 2 }));
}
