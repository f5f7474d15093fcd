//! What can be fitted, with its settings, and the one function that does it.

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::{
    boosting::{self, BoostingSpec},
    ensemble::average,
    error::FitError,
    forest::{self, Draw, ForestSpec},
    input::{self, Held, Values},
    levels::Level,
    linear::{self, LinearSpec},
    logistic::{ClassWeights, LogisticOptions, Solver, fit_logistic},
    record::{MAX_NESTING, ModelRecord},
};

/// A kind of model and its settings; what is left out is the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelSpec {
    /// Logistic regression, for classes.
    Logistic(LogisticSpec),
    /// Ridge, lasso or elastic net, for real values.
    Linear(LinearSpec),
    /// Random forest, for both.
    RandomForest(ForestSpec),
    /// Extra trees, for both.
    ExtraTrees(ForestSpec),
    /// Gradient boosting, for both.
    Boosting(BoostingSpec),
    /// The mean of several models.
    Average(AverageSpec),
}

/// How a logistic regression is fitted; see [`LogisticOptions`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogisticSpec {
    /// Weight of the L2 penalty on the summed loss, at least 0.
    pub l2: f64,
    /// Whether the rarer class counts more.
    pub class_weights: ClassWeights,
    /// What does the work.
    pub solver: Solver,
}

/// Which models are averaged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AverageSpec {
    /// At least one.
    pub members: Vec<ModelSpec>,
}

impl Default for LogisticSpec {
    /// Newton, l2 = 1, all rows alike.
    fn default() -> Self {
        Self { l2: 1.0, class_weights: ClassWeights::None, solver: Solver::Newton }
    }
}

impl ModelSpec {
    /// The word for its kind, as it is configured and stored.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Logistic(_) => "logistic",
            Self::Linear(_) => "linear",
            Self::RandomForest(_) => "random_forest",
            Self::ExtraTrees(_) => "extra_trees",
            Self::Boosting(_) => "boosting",
            Self::Average(_) => "average",
        }
    }

    /// The level that must be open for it: of an average, that of its highest member.
    pub fn level(&self) -> Level {
        match self {
            Self::Logistic(_) | Self::Linear(_) => Level::Linear,
            Self::RandomForest(_) | Self::ExtraTrees(_) => Level::RandomForest,
            Self::Boosting(_) => Level::GradientBoosting,
            Self::Average(spec) => spec.members.iter().map(Self::level).max().unwrap_or(Level::Linear),
        }
    }
}

/// Fits a model to `x` (n rows x k columns of finite numbers) and its n values. Weights are at least 0, 1 each where
/// `None`. `held` tells boosting when to stop and is not learnt from; other kinds ignore it. All that is random follows
/// from `seed`: the same input gives the same record, to the byte.
///
/// # Errors
/// [`FitError`] for input that cannot be fitted, for a kind that cannot learn such values, and for a result that is not
/// sound: what comes back compiles.
pub fn fit(
    spec: &ModelSpec,
    x: ArrayView2<'_, f64>,
    y: Values<'_>,
    weights: Option<&[f64]>,
    held: Option<Held<'_>>,
    seed: u64,
) -> Result<ModelRecord, FitError> {
    fit_nested(spec, x, y, weights, held, seed, 0)
}

fn fit_nested(
    spec: &ModelSpec,
    x: ArrayView2<'_, f64>,
    y: Values<'_>,
    weights: Option<&[f64]>,
    held: Option<Held<'_>>,
    seed: u64,
    nesting: usize,
) -> Result<ModelRecord, FitError> {
    let all = || input::weights(y.len(), weights);
    match (spec, y) {
        (ModelSpec::Logistic(spec), Values::Classes(labels)) => {
            // smartcore stops where its loss no longer falls
            let tolerance = if spec.solver == Solver::Newton { 1e-6 } else { 1e-4 };
            let LogisticSpec { l2, class_weights, solver } = *spec;
            let options = LogisticOptions {
                l2,
                class_weights,
                solver,
                sample_weights: weights,
                tolerance,
                ..LogisticOptions::default()
            };
            fit_logistic(x, labels, &options).map(ModelRecord::Logistic)
        }
        (ModelSpec::Linear(spec), Values::Reals(values)) => {
            linear::fit(spec, x, values, &all()?).map(ModelRecord::Linear)
        }
        (ModelSpec::Logistic(_), _) => Err(FitError::WrongValues { kind: spec.kind(), needs: "classes" }),
        (ModelSpec::Linear(_), _) => Err(FitError::WrongValues { kind: spec.kind(), needs: "real values" }),
        (ModelSpec::RandomForest(spec), _) => {
            forest::fit(spec, Draw::Rows, x, y, &all()?, seed).map(ModelRecord::RandomForest)
        }
        (ModelSpec::ExtraTrees(spec), _) => {
            forest::fit(spec, Draw::Cuts, x, y, &all()?, seed).map(ModelRecord::ExtraTrees)
        }
        (ModelSpec::Boosting(spec), _) => {
            boosting::fit(spec, x, y, &all()?, held).map(|model| ModelRecord::Boosting(model.into()))
        }
        (ModelSpec::Average(_), _) if nesting >= MAX_NESTING => {
            Err(FitError::Members { reason: format!("models are nested more than {MAX_NESTING} deep") })
        }
        (ModelSpec::Average(spec), _) => {
            let member = |(spec, number): (&ModelSpec, u64)| {
                fit_nested(spec, x, y, weights, held, seed.wrapping_add(number), nesting + 1)
            };
            average(spec.members.iter().zip(0..).map(member).collect::<Result<_, _>>()?)
        }
    }
}
