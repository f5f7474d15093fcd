//! Drift and its detectors against SciPy and river, whose figures `tests/fixtures/drift/make.py` wrote down.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly as well")]

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::Value;
use vigie::stats::{
    adwin::{Adwin, AdwinOptions},
    detector::{Move, PageHinkley, PageHinkleyOptions},
    drift::{ks_distance, ks_p, psi, wasserstein},
    multiple::benjamini_hochberg,
};

fn reference() -> Value {
    serde_json::from_str(include_str!("fixtures/drift/reference.json")).unwrap()
}

fn cases(of: &str) -> Vec<Value> {
    let cases = reference()[of].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// Equal to 1e-9, relative to the size of the figure, however small it is.
fn check(what: &str, ours: Option<f64>, theirs: f64) {
    let near = ours.is_some_and(|ours| (ours - theirs).abs() <= 1e-9 * theirs.abs());
    assert!(near, "{what}: {ours:?} is not {theirs}");
}

#[test]
fn distances_and_their_chances_equal_scipy() {
    for case in cases("samples") {
        let (a, b) = (numbers(&case["a"]), numbers(&case["b"]));
        let distance = ks_distance(&a, &b);
        check("distance", distance, number(&case["ks"]));
        let p = distance.and_then(|distance| ks_p(distance, a.len() as f64, b.len() as f64));
        check("p", p, number(&case["p"]));
        check("Wasserstein", wasserstein(&a, &b), number(&case["wasserstein"]));
    }
    for case in cases("kolmogorov") {
        // sizes for which the limit is used, and the distance that stands for this x
        let (x, n) = (number(&case[0]), 1e8);
        check("limit", ks_p(x / (n / 2.0_f64).sqrt(), n, n), number(&case[1]));
    }
}

#[test]
fn the_stability_index_equals_the_entropies_of_scipy() {
    for case in cases("shares") {
        check("index", psi(&numbers(&case["expected"]), &numbers(&case["actual"])), number(&case["psi"]));
    }
    for case in cases("hochberg") {
        let (ours, theirs) = (benjamini_hochberg(&numbers(&case["p"])).unwrap(), numbers(&case["adjusted"]));
        assert_eq!(ours.len(), theirs.len());
        ours.into_iter().zip(theirs).for_each(|(ours, theirs)| check("Benjamini-Hochberg", Some(ours), theirs));
    }
}

#[test]
fn adwin_speaks_where_river_does() {
    let streams = reference()["streams"].clone();
    for case in cases("detectors").iter().filter(|case| case["kind"] == "adwin") {
        let options = AdwinOptions { delta: number(&case["delta"]), clock: case["clock"].as_u64().unwrap() };
        let mut adwin = Adwin::new(options).unwrap();
        let stream = numbers(&streams[case["stream"].as_str().unwrap()]);
        let found: Vec<usize> = (0..stream.len()).filter(|place| adwin.update(stream[*place])).collect();
        assert_eq!(serde_json::json!(found), case["found"], "{} {options:?}", case["stream"]);
        assert_eq!(adwin.width() as f64, number(&case["width"]));
        check("mean", adwin.mean(), number(&case["mean"]));
    }
}

#[test]
fn page_and_hinkley_speak_where_river_does() {
    let streams = reference()["streams"].clone();
    for case in cases("detectors").iter().filter(|case| case["kind"] == "page_hinkley") {
        let figure = |key: &str| number(&case[key]);
        let only = match case["mode"].as_str().unwrap() {
            "up" => Some(Move::Up),
            "down" => Some(Move::Down),
            _ => None,
        };
        let (delta, threshold, alpha) = (figure("delta"), figure("threshold"), figure("alpha"));
        let options = PageHinkleyOptions { delta, threshold, alpha, min_values: 30, only };
        let mut page = PageHinkley::new(options).unwrap();
        let stream = numbers(&streams[case["stream"].as_str().unwrap()]);
        let found: Vec<usize> = (0..stream.len()).filter(|place| page.update(stream[*place]).is_some()).collect();
        assert_eq!(serde_json::json!(found), case["found"], "{} {options:?}", case["stream"]);
    }
}

/// scipy.stats.chi2.ppf(0.995, 9)
const CHI_SQUARED_9: f64 = 23.589_350_781_257_387;

#[test]
fn an_index_that_moved_by_chance_stays_below_what_chance_allows() {
    use vigie::stats::{
        drift::{chance, stability},
        reference::Reference,
    };
    let mut rng = Pcg64::seed_from_u64(5);
    let mut draw = |count: usize| -> Vec<f64> { (0..count).map(|_| rng.random::<f64>()).collect() };
    let (mut beyond, rounds) = (0, 1500);
    for _ in 0..rounds {
        let reference = Reference::of(draw(400).into_iter().map(Some)).unwrap();
        let limit = chance(&reference, 150, 0.005).unwrap();
        assert!((limit / ((1.0 / 400.0 + 1.0 / 150.0) * CHI_SQUARED_9) - 1.0).abs() < 1e-9, "{limit}");
        beyond += usize::from(stability(&reference, &draw(150)).unwrap() > limit);
    }
    // 0.5 % of them, and three standard errors
    assert!(beyond <= 7 + 9, "{beyond} of {rounds}");
}
