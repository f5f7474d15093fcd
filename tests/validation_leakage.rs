//! Controls against leakage: what a model cannot know must not help it, and what it can know it must find.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its input ends here")]

#[path = "common/planted.rs"]
mod planted;
#[path = "common/suite.rs"]
mod suite;

use std::collections::BTreeMap;

use ndarray::{Array1, Array2};
use planted::{STRONG, design, rows};
use rand::RngExt;
use rand_pcg::Pcg64;
use suite::{logistic, planted};
use vigie::{
    config::Config,
    features::table::Rows,
    models::{LogisticOptions, fit_logistic},
    validation::{
        Example, Examples, Goal, Life, ValidationOptions, ValidationReport,
        check::{Outcome, Part},
        figures::Figures,
        fitter::{Fitted, NoFit, TrainingSet},
        options::Effort,
        validate,
    },
};

fn quick() -> ValidationOptions {
    ValidationOptions {
        effort: Effort { bootstrap: 5, null: 20, importance: 2, blocks: 10 },
        strengths: vec![1.0, 10.0],
        ..Config::builtin().unwrap().validation.clone()
    }
}

/// Looks an input up among those it has learnt: knows an outcome by heart, and nothing else.
fn memory(place: usize) -> impl Fn(&TrainingSet<'_>) -> Result<Fitted, NoFit> {
    move |set| {
        let keys = move |rows: &Rows<'_>| -> Vec<u64> {
            (0..rows.len()).map(|row| rows.value(row, place).unwrap().to_bits()).collect()
        };
        let mut known: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
        for (key, truth) in keys(&set.inputs()).into_iter().zip(set.truth) {
            let (sum, count) = known.entry(key).or_default();
            *sum += truth;
            *count += 1.0;
        }
        let look_up = move |key: u64| known.get(&key).map_or(0.5, |(sum, count)| sum / count);
        let score = move |rows: &Rows<'_>| Ok(keys(rows).into_iter().map(&look_up).collect());
        Ok(Fitted { score: Box::new(score), effects: vec![("exit".into(), 1.0)] })
    }
}

/// Trades in runs of 120 that all stay open until the run ends and then win or lose together; the first input is the
/// time of that exit, known only then. With `hidden` the lives are cut to their signals, so that no purge can see them.
fn open_together(hidden: bool) -> Examples {
    let mut rng = Pcg64::new(4, 4);
    let mut trades = rows(4, 1200, &[]);
    let exits: Vec<_> = trades.chunks(120).map(|run| run.last().unwrap().life.exit_at).collect();
    for (run, exit_at) in trades.chunks_mut(120).zip(exits) {
        let won = rng.random::<bool>();
        for row in run {
            // one in ten does not share the fate, so that every part has both
            let won = won ^ (rng.random::<f64>() < 0.1);
            (row.truth, row.pnl) = (f64::from(u8::from(won)), if won { 100.0 } else { -100.0 });
            row.values[0] = Some(exit_at.as_second() as f64);
            let exit_at = if hidden { row.life.at } else { exit_at };
            row.life = Life { at: row.life.at, exit_at, known_at: exit_at };
        }
    }
    planted::examples(Goal::SignalQuality, trades)
}

fn accuracy_over_folds(report: &ValidationReport) -> f64 {
    report.evidence.folds.iter().sum::<f64>() / report.evidence.folds.len() as f64
}

#[test]
fn a_column_from_the_future_is_worth_nothing_once_trades_that_share_a_fate_are_purged() {
    let mut options = quick();
    // the folds cut the runs; without an embargo only the purge stands between them
    (options.splits.folds, options.splits.embargo_hours) = (7, 0.0);
    let run = |examples: &Examples| validate(examples, &memory(0), &options, &mut |_, _| ()).unwrap();
    let leaking = accuracy_over_folds(&run(&open_together(true)));
    let purged = accuracy_over_folds(&run(&open_together(false)));
    let labels: f64 = open_together(false).as_slice().iter().map(|row| row.truth).sum();
    println!("accuracy {leaking:.3} with the leak, {purged:.3} purged, {labels} of 1200 won");
    assert!(leaking > 0.7, "the control shows no leak that a purge could stop: {leaking}");
    assert!((purged - 0.5).abs() < 0.1, "{purged}");
}

#[test]
fn an_input_that_knows_the_outcome_is_named_and_nothing_is_deployed() {
    let mut trades = rows(6, 1200, &STRONG);
    let mut rng = Pcg64::new(6, 6);
    for row in &mut trades {
        // the excursion of the trade, known only when it is over
        row.values[8] = Some(row.pnl + 60.0 * planted::normal(&mut rng));
    }
    let design = design();
    let examples = planted::examples(Goal::SignalQuality, trades);
    let report = validate(&examples, &logistic(&design), &quick(), &mut |_, _| ()).unwrap();
    let failed: Vec<Part> = report.failed_gates().map(|check| check.part).collect();
    assert_eq!(failed, [Part::SingleInput]);
    let check = report.checks.iter().find(|check| check.part == Part::SingleInput).unwrap();
    assert_eq!(check.outcome, Outcome::Fail);
    assert!(check.help.as_ref().unwrap().starts_with("market_volatility alone"), "{:?}", check.help);
}

/// Nothing that is judged may be seen by what is learnt from: the fitter itself looks.
#[test]
fn no_fit_ever_sees_the_test_part_before_it_is_walked_over() {
    let examples = planted(Goal::SignalQuality, 8, 600, &STRONG);
    let largest = std::cell::Cell::new(0);
    let design = design();
    let fit = logistic(&design);
    let spy = |set: &TrainingSet<'_>| {
        largest.set(largest.get().max(set.rows.last().copied().unwrap_or_default()));
        assert!(set.rows.windows(2).all(|pair| pair[0] <= pair[1]));
        fit(set)
    };
    let mut options = quick();
    // a walk whose only steps judge the last row each: all other fits end before the test part
    (options.splits.first_step_share, options.splits.steps) = (0.75, 2);
    validate(&examples, &spy, &options, &mut |_, _| ()).unwrap();
    // the second step of the walk learns from up to row 524
    assert_eq!(largest.get(), 524);
    (options.splits.first_step_share, options.splits.steps) = (0.1, 2);
    largest.set(0);
    validate(&examples, &spy, &options, &mut |_, _| ()).unwrap();
    assert_eq!(largest.get(), 479);
}

#[test]
fn planted_coefficients_are_found_within_two_standard_errors() {
    let n = 3000;
    let (mut within, mut squares, mut all) = (0, 0.0, 0);
    for seed in 0..10 {
        let trades = rows(seed, n, &STRONG);
        let x = Array2::from_shape_fn((n, 12), |(i, j)| trades[i].values[j].unwrap());
        let y: Vec<bool> = trades.iter().map(|row| row.truth == 1.0).collect();
        let fit = fit_logistic(x.view(), &y, &LogisticOptions { l2: 1e-6, ..LogisticOptions::default() }).unwrap();
        let log_odds = x.dot(&Array1::from(fit.weights.clone())) + fit.intercept;
        let information = log_odds.mapv(|z| 1.0 / (1.0 + (-z).exp())).mapv(|p| p * (1.0 - p));
        // the intercept is left out: it is nearly orthogonal to columns of mean 0
        let weighted = Array2::from_shape_fn((n, 12), |(i, j)| x[[i, j]] * information[i]);
        let variances = diagonal_of_inverse(x.t().dot(&weighted));
        for (j, (weight, variance)) in fit.weights.iter().zip(variances).enumerate() {
            let z = (weight - STRONG.get(j).copied().unwrap_or(0.0)) / variance.sqrt();
            within += usize::from(z.abs() <= 2.0);
            squares += z * z;
            all += 1;
        }
    }
    println!("{within} of {all} within two standard errors, mean square {:.3}", squares / f64::from(all));
    // 114.5 are expected; a mean square of 120 normal numbers lies within these in 99 of 100 cases
    assert!(within >= 108, "{within} of {all}");
    assert!((0.70..1.37).contains(&(squares / f64::from(all))), "{squares}");
}

/// By Gauss and Jordan.
fn diagonal_of_inverse(mut a: Array2<f64>) -> Vec<f64> {
    let n = a.nrows();
    let mut inverse = Array2::<f64>::eye(n);
    for i in 0..n {
        let pivot = a[[i, i]];
        for j in 0..n {
            a[[i, j]] /= pivot;
            inverse[[i, j]] /= pivot;
        }
        for k in (0..n).filter(|k| *k != i) {
            let factor = a[[k, i]];
            for j in 0..n {
                a[[k, j]] -= factor * a[[i, j]];
                inverse[[k, j]] -= factor * inverse[[i, j]];
            }
        }
    }
    inverse.diag().to_vec()
}

#[test]
fn the_best_possible_accuracy_is_reached_within_its_standard_error() {
    let examples = planted(Goal::SignalQuality, 13, 4000, &STRONG);
    let design = design();
    let report = validate(&examples, &logistic(&design), &quick(), &mut |_, _| ()).unwrap();
    let best = |row: &Example| {
        let log_odds: f64 = row.values.iter().zip(STRONG).map(|(x, w)| x.unwrap() * w).sum();
        1.0 / (1.0 + (-log_odds.abs()).exp())
    };
    let rows = examples.as_slice();
    let bayes = rows.iter().map(best).sum::<f64>() / rows.len() as f64;
    let Figures::Class(test) = report.evidence.test else { unreachable!("a class has figures of one") };
    let error = (bayes * (1.0 - bayes) / test.rows as f64).sqrt();
    println!("accuracy {:.4} where {bayes:.4} +- {error:.4} is possible", test.accuracy);
    assert!((test.accuracy - bayes).abs() < 2.0 * error);
    // and its probabilities mean what they say
    assert!(test.calibration_error < 0.05, "{test:?}");
}

#[test]
fn a_longer_embargo_learns_from_fewer_trades() {
    let examples = planted(Goal::SignalQuality, 14, 600, &STRONG);
    let fits = |hours: f64| {
        let (design, learnt) = (design(), std::cell::RefCell::new(Vec::new()));
        let fit = logistic(&design);
        let spy = |set: &TrainingSet<'_>| {
            learnt.borrow_mut().push(set.rows.len());
            fit(set)
        };
        let mut options = quick();
        options.splits.embargo_hours = hours;
        validate(&examples, &spy, &options, &mut |_, _| ()).unwrap();
        learnt.into_inner()
    };
    let (short, long) = (fits(0.0), fits(24.0));
    assert_eq!(short.len(), long.len());
    // four trades begin within 24 hours after each of the folds but the last: two strengths, five folds
    let fewer: Vec<usize> = short[3..13].iter().zip(&long[3..13]).map(|(a, b)| a - b).collect();
    assert_eq!(fewer, [4, 4, 4, 4, 4, 4, 4, 4, 0, 0]);
}
