//! Models made of models: averages, stacks, and a model with its calibration.

use ndarray::{Array2, ArrayView2};

pub use super::record::{Average, Calibrated, Stack};
use super::{
    calibration::Calibration,
    error::FitError,
    logistic::{LogisticOptions, fit_logistic},
    record::ModelRecord,
};
use crate::stats::logit::clipped_logit;

/// The average of fitted members, each counting the same.
///
/// # Errors
/// [`FitError::Members`] where there are none, or they differ in width or output.
pub fn average(members: Vec<ModelRecord>) -> Result<ModelRecord, FitError> {
    checked(ModelRecord::Average(Average { members }))
}

/// Stacks fitted members (Wolpert 1992): a logistic regression on the log-odds of their scores. `out_of_fold` has a row a
/// trade and a column a member: the score that a model of that kind, fitted on other trades, gave the trade. A score that
/// its member made of a trade it had learnt from would make it look better than it is.
///
/// # Errors
/// [`FitError`] as for a logistic regression, for scores that are no probabilities, and for members that do not fit.
pub fn stack(
    members: Vec<ModelRecord>,
    out_of_fold: ArrayView2<'_, f64>,
    labels: &[bool],
    options: &LogisticOptions<'_>,
) -> Result<ModelRecord, FitError> {
    if out_of_fold.ncols() != members.len() {
        let reason = format!("{} members and {} columns of scores", members.len(), out_of_fold.ncols());
        return Err(FitError::Members { reason });
    }
    if let Some(((row, _), &value)) = out_of_fold.indexed_iter().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
        return Err(FitError::Score { row, value });
    }
    let x: Array2<f64> = out_of_fold.mapv(clipped_logit);
    let combiner = fit_logistic(x.view(), labels, options)?;
    checked(ModelRecord::Stack(Stack { members, combiner }.into()))
}

/// A model with the calibration that was fitted to its scores.
///
/// # Errors
/// [`FitError::Members`] for a model that gives no probabilities.
pub fn calibrated(model: ModelRecord, calibration: Calibration) -> Result<ModelRecord, FitError> {
    checked(ModelRecord::Calibrated(Calibrated { model: model.into(), calibration }))
}

fn checked(record: ModelRecord) -> Result<ModelRecord, FitError> {
    match record.compile() {
        Ok(_) => Ok(record),
        Err(error) => Err(FitError::Members { reason: error.to_string() }),
    }
}
