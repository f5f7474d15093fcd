//! Data and small models of every kind for the tests of the models.

use ndarray::{Array2, ArrayView2};
use vigie::{
    models::{
        AverageSpec, BoostingSpec, FitError, ForestSpec, LogisticSpec, ModelRecord, ModelSpec, Tree, Values, fit,
    },
    stats::logit::sigmoid,
};

/// Rows, the log-odds behind their labels, and the labels.
pub struct Data {
    pub x: Array2<f64>,
    pub z: Vec<f64>,
    pub y: Vec<bool>,
}

/// SplitMix64, as in the script.
pub fn uniform(seed: u64, place: u64) -> f64 {
    let mut number = place.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((number ^ (number >> 31)) >> 11) as f64 * 2.0_f64.powi(-53)
}

/// Twelve columns; the log-odds are linear in two of them, bent in one, and hold one product.
pub fn data(seed: u64, rows: usize) -> Data {
    let cell = |i: usize, j: usize| uniform(seed, (i * 13 + j + 1) as u64);
    let x = Array2::from_shape_fn((rows, 12), |(i, j)| 4.0 * cell(i, j) - 2.0);
    let log_odds =
        |x: ndarray::ArrayView1<'_, f64>| 0.5 * x[0] - 0.4 * x[1] + 0.6 * (x[2].abs() - 1.0) + 0.4 * x[3] * x[4];
    let z: Vec<f64> = x.rows().into_iter().map(log_odds).collect();
    let y = z.iter().enumerate().map(|(i, z)| cell(i, 12) < sigmoid(*z)).collect();
    Data { x, z, y }
}

pub fn values(model: &ModelRecord, x: &Array2<f64>) -> Vec<f64> {
    let model = model.compile().unwrap();
    x.rows().into_iter().map(|row| model.value(row.as_slice().unwrap()).unwrap()).collect()
}

pub fn fit_classes(spec: &ModelSpec, x: ArrayView2<'_, f64>, y: &[bool], seed: u64) -> Result<ModelRecord, FitError> {
    fit(spec, x, Values::Classes(y), None, None, seed)
}

/// Small and quick, one of each kind that learns classes.
pub fn class_specs() -> [ModelSpec; 5] {
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
pub fn walk(tree: &Tree, x: &[f64]) -> f64 {
    let mut at = 0;
    while let Some(column) = tree.columns[at] {
        let before = tree.columns[..at].iter().flatten().count();
        at = 2 * before + if x[usize::from(column)] <= tree.numbers[at] { 1 } else { 2 };
    }
    tree.numbers[at]
}
