//! Statistics of overfitting against SciPy, scikit-learn, a plain reading of their definitions
//! (`tests/fixtures/validation/make.py`), and the examples their authors published.

use serde::Deserialize;
use vigie::stats::{
    association::{correlation, r_squared},
    overfit::{TrackRecord, backtest_overfitting, deflated_sharpe, expected_max_sharpe, probabilistic_sharpe},
};

#[derive(Deserialize)]
struct Reference {
    records: Vec<Record>,
    cscv: Vec<Cscv>,
    real: Vec<Real>,
}

#[derive(Deserialize)]
struct Record {
    returns: Vec<f64>,
    sharpe: f64,
    skewness: f64,
    kurtosis: f64,
    probabilistic: Vec<(f64, f64)>,
    deflated: Vec<(f64, usize, f64)>,
}

#[derive(Deserialize)]
struct Cscv {
    trials: Vec<Vec<f64>>,
    blocks: usize,
    probability: f64,
    splits: usize,
}

#[derive(Deserialize)]
struct Real {
    truth: Vec<f64>,
    prediction: Vec<f64>,
    pnl: Vec<f64>,
    r2: f64,
    correlation: f64,
    correlation_with_pnl: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("fixtures/validation/reference.json")).unwrap_or_else(|error| {
        unreachable!("the reference figures do not parse: {error}");
    })
}

/// Equal to 1e-11, relative to the size of the figure where that is above 1.
fn check(what: &str, ours: Option<f64>, theirs: f64) {
    let near = ours.is_some_and(|ours| (ours - theirs).abs() <= 1e-11 * theirs.abs().max(1.0));
    assert!(near, "{what}: {ours:?} is not {theirs}");
}

#[test]
fn sharpe_ratios_are_doubted_as_by_scipy() {
    for case in reference().records {
        let record = TrackRecord::of(&case.returns).unwrap();
        check("Sharpe ratio", Some(record.sharpe), case.sharpe);
        check("skewness", Some(record.skewness), case.skewness);
        check("kurtosis", Some(record.kurtosis), case.kurtosis);
        for (benchmark, theirs) in case.probabilistic {
            check(&format!("against {benchmark}"), probabilistic_sharpe(&record, benchmark), theirs);
        }
        for (variance, trials, theirs) in case.deflated {
            check(&format!("of {trials} trials"), deflated_sharpe(&record, variance, trials), theirs);
        }
    }
}

#[test]
fn the_fund_of_bailey_and_lopez_de_prado_2012_is_less_sure_than_it_looks() {
    // two years of months at 0.458: sure at 98.2 % if they were normal, at 91.3 % as they are
    let normal = TrackRecord { periods: 24, sharpe: 0.458, skewness: 0.0, kurtosis: 3.0 };
    let real = TrackRecord { skewness: -2.448, kurtosis: 10.164, ..normal };
    assert!((probabilistic_sharpe(&normal, 0.0).unwrap() - 0.982).abs() < 5e-4);
    assert!((probabilistic_sharpe(&real, 0.0).unwrap() - 0.913).abs() < 5e-4);
}

#[test]
fn the_strategy_of_bailey_and_lopez_de_prado_2014_is_deflated_as_published() {
    // five years of days, 2.5 a year; the variance of the trials is 1/2 a year
    let (sharpe, variance) = (2.5 / 250_f64.sqrt(), 0.5 / 250.0);
    let skewed = TrackRecord { periods: 1250, sharpe, skewness: -3.0, kurtosis: 10.0 };
    let normal = TrackRecord { skewness: 0.0, kurtosis: 3.0, ..skewed };
    assert!((expected_max_sharpe(variance, 100).unwrap() - 0.1132).abs() < 5e-5);
    for (record, trials, published) in [(skewed, 100, 0.9004), (skewed, 46, 0.9505), (normal, 88, 0.9505)] {
        let found = deflated_sharpe(&record, variance, trials).unwrap();
        assert!((found - published).abs() < 5e-5, "{trials} trials: {found}");
    }
}

#[test]
fn overfitting_by_block_sums_equals_looking_at_the_returns_again() {
    for case in reference().cscv {
        let found = backtest_overfitting(&case.trials, case.blocks).unwrap();
        assert_eq!((found.probability, found.splits), (case.probability, case.splits));
    }
}

#[test]
fn regressions_are_judged_as_by_scikit_learn() {
    for case in reference().real {
        check("R2", r_squared(&case.truth, &case.prediction), case.r2);
        check("correlation", correlation(&case.truth, &case.prediction), case.correlation);
        check("with the pnl", correlation(&case.prediction, &case.pnl), case.correlation_with_pnl);
    }
}
