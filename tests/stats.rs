//! Statistics against NumPy, SciPy and scikit-learn, whose figures `tests/fixtures/stats/make.py` wrote down.

use serde::Deserialize;
use vigie::stats::{
    binary::{Confusion, brier, expected_calibration_error, log_loss, roc_auc},
    describe::{mean, quantile, standard_deviation},
    normal,
    risk::{expectancy, max_drawdown, sharpe},
};

#[derive(Deserialize)]
struct Reference {
    binary: Vec<Binary>,
    samples: Vec<Sample>,
    normal: Normal,
}

#[derive(Deserialize)]
struct Binary {
    name: String,
    labels: Vec<bool>,
    probabilities: Vec<f64>,
    threshold: f64,
    counts: [u64; 4],
    accuracy: f64,
    balanced_accuracy: f64,
    precision: f64,
    recall: f64,
    f1: f64,
    roc_auc: f64,
    brier: f64,
    log_loss: f64,
    calibration_error: f64,
}

#[derive(Deserialize)]
struct Sample {
    values: Vec<f64>,
    mean: f64,
    sd: f64,
    quantiles: Vec<(f64, f64)>,
    drawdown: f64,
    sharpe: f64,
}

#[derive(Deserialize)]
struct Normal {
    cdf: Vec<(f64, f64)>,
    quantile: Vec<(f64, f64)>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("fixtures/stats/reference.json")).unwrap_or_else(|error| {
        unreachable!("the reference figures do not parse: {error}");
    })
}

/// Equal to 1e-12, relative to the size of the figure where that is above 1.
fn check(what: &str, ours: Option<f64>, theirs: f64) {
    let near = ours.is_some_and(|ours| (ours - theirs).abs() <= 1e-12 * theirs.abs().max(1.0));
    assert!(near, "{what}: {ours:?} is not {theirs}");
}

#[test]
fn metrics_of_a_binary_prediction_equal_scikit_learn() {
    for case in reference().binary {
        let (labels, p) = (&case.labels, &case.probabilities);
        let counts = Confusion::at_threshold(labels, p, case.threshold).unwrap();
        let Confusion { true_positives, false_positives, true_negatives, false_negatives } = counts;
        assert_eq!([true_positives, false_positives, true_negatives, false_negatives], case.counts, "{}", case.name);
        for (what, ours, theirs) in [
            ("accuracy", counts.accuracy(), case.accuracy),
            ("balanced accuracy", counts.balanced_accuracy(), case.balanced_accuracy),
            ("precision", counts.precision(), case.precision),
            ("recall", counts.recall(), case.recall),
            ("F1", counts.f1(), case.f1),
            ("ROC AUC", roc_auc(labels, p), case.roc_auc),
            ("Brier", brier(labels, p), case.brier),
            ("log loss", log_loss(labels, p), case.log_loss),
            ("calibration error", expected_calibration_error(labels, p, 10), case.calibration_error),
        ] {
            check(&format!("{}: {what}", case.name), ours, theirs);
        }
    }
}

#[test]
fn descriptions_and_risk_figures_equal_numpy() {
    for sample in reference().samples {
        let values = &sample.values;
        check("mean", mean(values), sample.mean);
        check("expectancy", expectancy(values), sample.mean);
        check("standard deviation", standard_deviation(values), sample.sd);
        check("drawdown", max_drawdown(values), sample.drawdown);
        check("Sharpe ratio", sharpe(values, 252.0), sample.sharpe);
        for (q, theirs) in sample.quantiles {
            check(&format!("quantile {q}"), quantile(values, q), theirs);
        }
    }
}

#[test]
fn the_normal_distribution_equals_scipy() {
    let reference = reference().normal;
    for (x, theirs) in reference.cdf {
        check(&format!("cdf({x})"), Some(normal::cdf(x)), theirs);
        assert!((normal::cdf(x) / theirs - 1.0).abs() < 1e-12, "cdf({x}) in its tail");
    }
    for (p, theirs) in reference.quantile {
        check(&format!("quantile({p})"), normal::quantile(p), theirs);
    }
    assert_eq!((normal::quantile(0.0), normal::quantile(1.0), normal::quantile(f64::NAN)), (None, None, None));
}
