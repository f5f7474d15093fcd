//! Data whose labels have known odds, and what a model makes of them.

use ndarray::{Array2, ArrayView2};
use vigie::{
    models::{FitError, ModelRecord, ModelSpec, Values, fit},
    stats::logit::sigmoid,
};

use super::rows::{cell, inputs};

/// Rows, the log-odds behind their labels, and the labels.
pub struct Data {
    pub x: Array2<f64>,
    pub z: Vec<f64>,
    pub y: Vec<bool>,
}

/// Twelve columns; the log-odds are linear in two of them, bent in one, and hold one product.
pub fn data(seed: u64, rows: usize) -> Data {
    let x = inputs(seed, rows);
    let log_odds =
        |x: ndarray::ArrayView1<'_, f64>| 0.5 * x[0] - 0.4 * x[1] + 0.6 * (x[2].abs() - 1.0) + 0.4 * x[3] * x[4];
    let z: Vec<f64> = x.rows().into_iter().map(log_odds).collect();
    let y = z.iter().enumerate().map(|(i, z)| cell(seed, i, 12) < sigmoid(*z)).collect();
    Data { x, z, y }
}

pub fn values(model: &ModelRecord, x: &Array2<f64>) -> Vec<f64> {
    let model = model.compile().unwrap();
    x.rows().into_iter().map(|row| model.value(row.as_slice().unwrap()).unwrap()).collect()
}

pub fn fit_classes(spec: &ModelSpec, x: ArrayView2<'_, f64>, y: &[bool], seed: u64) -> Result<ModelRecord, FitError> {
    fit(spec, x, Values::Classes(y), None, None, seed)
}
