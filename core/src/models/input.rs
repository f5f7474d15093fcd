//! What every fit demands of its data.

use ndarray::ArrayView2;

use super::error::FitError;

/// What a model learns from, one a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values<'a> {
    /// Yes or no.
    Classes(&'a [bool]),
    /// Real numbers, finite.
    Reals(&'a [f64]),
}

/// Rows that a fit may look at to know when to stop, and must not learn from.
#[derive(Debug, Clone, Copy)]
pub struct Held<'a> {
    /// Its rows, of the same columns.
    pub x: ArrayView2<'a, f64>,
    /// Its values, of the same kind.
    pub y: Values<'a>,
}

impl Values<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(labels) => labels.len(),
            Self::Reals(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As numbers: yes is 1, no is 0.
    pub(super) fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Classes(labels) => labels.iter().map(|&label| f64::from(u8::from(label))).collect(),
            Self::Reals(values) => values.to_vec(),
        }
    }
}

/// An option within its range, or the refusal.
pub(super) fn in_range(ok: bool, name: &'static str, value: f64, range: &'static str) -> Result<(), FitError> {
    if ok { Ok(()) } else { Err(FitError::Option { name, value, range }) }
}

/// A finite matrix of at least `needed` rows, with a value each.
pub(super) fn check_matrix(x: ArrayView2<'_, f64>, values: usize, needed: usize) -> Result<(), FitError> {
    check_shape(x, values, needed)?;
    check_cells(x)
}

/// A matrix of at least `needed` rows, with a value each.
pub(super) fn check_shape(x: ArrayView2<'_, f64>, values: usize, needed: usize) -> Result<(), FitError> {
    let (rows, columns) = x.dim();
    if rows == 0 || columns == 0 {
        return Err(FitError::Empty { rows, columns });
    }
    if values != rows {
        return Err(FitError::LabelCount { rows, labels: values });
    }
    if rows < needed { Err(FitError::TooFew { rows, columns, needed }) } else { Ok(()) }
}

/// A finite matrix.
pub(super) fn check_cells(x: ArrayView2<'_, f64>) -> Result<(), FitError> {
    match x.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((row, column), &value)) => Err(FitError::NonFiniteCell { row, column, value }),
        None => Ok(()),
    }
}

/// The weight of each of `rows` rows, 1 where none are given.
pub(super) fn weights(rows: usize, given: Option<&[f64]>) -> Result<Vec<f64>, FitError> {
    let weights = match given {
        None => return Ok(vec![1.0; rows]),
        Some(given) if given.len() != rows => {
            return Err(FitError::SampleWeightCount { rows, weights: given.len() });
        }
        Some(given) => given.to_vec(),
    };
    match weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
        Some((row, &value)) => Err(FitError::SampleWeight { row, value }),
        None => Ok(weights),
    }
}

/// Total weight of yes and of no, both above 0.
pub(super) fn class_totals(y: &[bool], weights: &[f64]) -> Result<(f64, f64), FitError> {
    let (mut yes, mut no) = ([0.0; 8], [0.0; 8]);
    // no branch on labels, which nothing foretells, and several sums beside each other
    for (weights, y) in weights.chunks(8).zip(y.chunks(8)) {
        for (((yes, no), w), &label) in yes.iter_mut().zip(&mut no).zip(weights).zip(y) {
            let won = f64::from(u8::from(label));
            *yes += w * won;
            *no += w * (1.0 - won);
        }
    }
    let (yes, no): (f64, f64) = (yes.iter().sum(), no.iter().sum());
    if yes == 0.0 || no == 0.0 { Err(FitError::SingleClass { label: yes > 0.0 }) } else { Ok((yes, no)) }
}

/// Values that are finite and not all the same among the rows that count.
pub(super) fn check_values(y: Values<'_>, weights: &[f64]) -> Result<(), FitError> {
    let values = match y {
        Values::Classes(labels) => return class_totals(labels, weights).map(|_| ()),
        Values::Reals(values) => values,
    };
    if let Some((row, &value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(FitError::NonFiniteTarget { row, value });
    }
    let mut counting = values.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(value, _)| *value);
    let first = counting.next().unwrap_or(0.0);
    let rows = weights.iter().filter(|w| **w > 0.0).count();
    if counting.any(|value| value != first) { Ok(()) } else { Err(FitError::ConstantTarget { rows, value: first }) }
}
