//! What is stored of a model.

use serde::{Deserialize, Serialize};

use super::{
    boosting::Boosting,
    calibration::Calibration,
    compiled::{Compiled, Link},
    forest::{Forest, Output},
    linear::Linear,
    logistic::Logistic,
    tree::{Tree, TreeError},
    walk::Trees,
};

/// Deepest nesting of models within models.
pub(super) const MAX_NESTING: usize = 4;

/// A stored model of any kind. Its format is versioned by the [`super::VersionRecord`] around it; a new kind is a new
/// variant, and a change of a variant's fields is a new format.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelRecord {
    /// Logistic regression.
    Logistic(Logistic),
    /// Linear regression with penalties.
    Linear(Linear),
    /// Random forest.
    RandomForest(Forest),
    /// Extra trees.
    ExtraTrees(Forest),
    /// Gradient boosting.
    Boosting(Box<Boosting>),
    /// Mean of several models.
    Average(Average),
    /// Logistic regression on the scores of several models.
    Stack(Box<Stack>),
    /// A model with its calibration.
    Calibrated(Calibrated),
}

/// The mean of models of one width and output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// At least one.
    pub members: Vec<ModelRecord>,
}

/// A logistic regression on the log-odds that its members give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// At least one, all of one width and giving probabilities.
    pub members: Vec<ModelRecord>,
    /// One weight a member.
    pub combiner: Logistic,
}

/// A model, and what its scores are worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrated {
    /// Gives probabilities.
    pub model: Box<ModelRecord>,
    /// Applied to them.
    pub calibration: Calibration,
}

/// Why a stored model is not served.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum RecordError {
    /// No column.
    #[error("the model has no weights: train it again")]
    NoWeights,
    /// No tree.
    #[error("the model has no trees: train it again")]
    NoTrees,
    /// A number that is NaN or infinite.
    #[error("{what} of the model is {value}: it must be finite; train it again")]
    NonFinite { what: String, value: f64 },
    /// A tree that cannot be walked.
    #[error("tree {tree} of the model is not sound: {error}; train it again")]
    Tree { tree: usize, error: TreeError },
    /// A leaf of a forest that is no probability.
    #[error("tree {tree} of the model has the leaf {value}: it must be from 0 to 1; train it again")]
    Leaf { tree: usize, value: f64 },
    /// Members that do not fit together.
    #[error("the model has {members} members, which must be at least one, of one width and output: train it again")]
    Members { members: usize },
    /// Models within models without end.
    #[error("models are nested more than {MAX_NESTING} deep: train a simpler one")]
    Nesting,
    /// A stack whose weights and members do not pair up.
    #[error("the stack has {weights} weights for {members} members: train it again")]
    Stack { weights: usize, members: usize },
    /// A calibration that cannot be used.
    #[error("the calibration of the model cannot be used: {reason}; train it again")]
    Calibration { reason: String },
    /// Probabilities are needed.
    #[error("the model gives no probabilities, which its calibration or stack needs: train it again")]
    NoProbability,
}

impl ModelRecord {
    /// Its kind in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Logistic(_) => "logistic",
            Self::Linear(_) => "linear",
            Self::RandomForest(_) => "random_forest",
            Self::ExtraTrees(_) => "extra_trees",
            Self::Boosting(_) => "boosting",
            Self::Average(_) => "average",
            Self::Stack(_) => "stack",
            Self::Calibrated(_) => "calibrated",
        }
    }

    /// Number of columns it was fitted on; 0 for an ensemble without members, which does not compile.
    pub fn width(&self) -> usize {
        match self {
            Self::Logistic(model) => model.weights.len(),
            Self::Linear(model) => model.weights.len(),
            Self::RandomForest(model) | Self::ExtraTrees(model) => model.width,
            Self::Boosting(model) => model.width,
            Self::Average(model) => model.members.first().map_or(0, Self::width),
            Self::Stack(model) => model.members.first().map_or(0, Self::width),
            Self::Calibrated(model) => model.model.width(),
        }
    }

    /// What the number it gives means.
    pub fn output(&self) -> Output {
        match self {
            Self::Logistic(_) | Self::Stack(_) | Self::Calibrated(_) => Output::Probability,
            Self::Linear(_) => Output::Real,
            Self::RandomForest(model) | Self::ExtraTrees(model) => model.output,
            Self::Boosting(model) => model.output,
            Self::Average(model) => model.members.first().map_or(Output::Real, Self::output),
        }
    }

    /// Share of each column in what the model says, summing to 1: of the sizes of the weights for linear kinds (columns
    /// are on one scale), of what splits gained for trees, weighed over its members for an ensemble. `None` where nothing
    /// matters at all.
    pub fn importance(&self) -> Option<Vec<f64>> {
        match self {
            Self::Logistic(model) => shares(model.weights.iter().map(|w| w.abs()).collect()),
            Self::Linear(model) => shares(model.weights.iter().map(|w| w.abs()).collect()),
            Self::RandomForest(model) | Self::ExtraTrees(model) => shares(model.importance.clone()),
            Self::Boosting(model) => shares(model.importance.clone()),
            Self::Average(model) => blend(model.members.iter().map(|member| (member, 1.0)), self.width()),
            Self::Stack(model) => blend(model.members.iter().zip(model.combiner.weights.iter().copied()), self.width()),
            Self::Calibrated(model) => model.model.importance(),
        }
    }

    /// The form that scores, after a check of every number in the record.
    ///
    /// # Errors
    /// [`RecordError`] for a record that no fit of ours gives.
    pub fn compile(&self) -> Result<Compiled, RecordError> {
        self.compile_nested(0)
    }

    fn compile_nested(&self, nesting: usize) -> Result<Compiled, RecordError> {
        if nesting > MAX_NESTING {
            return Err(RecordError::Nesting);
        }
        match self {
            Self::Logistic(model) => compile_logistic(model),
            Self::Linear(model) => compile_linear(model),
            Self::RandomForest(model) | Self::ExtraTrees(model) => compile_forest(model),
            Self::Boosting(model) => compile_boosting(model),
            Self::Average(model) => {
                let (members, width, output) = compile_members(&model.members, nesting)?;
                Ok(Compiled::mean(members, width, output))
            }
            Self::Stack(model) => compile_stack(model, nesting),
            Self::Calibrated(model) => {
                let inner = model.model.compile_nested(nesting + 1)?;
                if inner.output() != Output::Probability {
                    return Err(RecordError::NoProbability);
                }
                match model.calibration.fault() {
                    Some(reason) => Err(RecordError::Calibration { reason }),
                    None => Ok(Compiled::calibrated(inner, model.calibration.clone())),
                }
            }
        }
    }
}

fn compile_logistic(model: &Logistic) -> Result<Compiled, RecordError> {
    finite(&[("intercept", model.intercept), ("l2", model.l2), ("gradient", model.gradient)])?;
    check_weights(&model.weights)?;
    Ok(Compiled::linear(&model.weights, model.intercept, Link::Sigmoid))
}

fn compile_linear(model: &Linear) -> Result<Compiled, RecordError> {
    let (spec, violation) = (model.spec, model.violation);
    finite(&[("intercept", model.intercept), ("l1", spec.l1), ("l2", spec.l2), ("violation", violation)])?;
    check_weights(&model.weights)?;
    Ok(Compiled::linear(&model.weights, model.intercept, Link::Identity))
}

fn compile_forest(model: &Forest) -> Result<Compiled, RecordError> {
    check_importance(&model.importance, model.width)?;
    let trees = lay_out(&model.trees, model.width)?;
    if model.output == Output::Probability {
        for (tree, nodes) in model.trees.iter().enumerate() {
            let leaves = nodes.columns.iter().zip(&nodes.numbers).filter(|(column, _)| column.is_none());
            if let Some((_, &value)) = leaves.into_iter().find(|(_, value)| !(0.0..=1.0).contains(*value)) {
                return Err(RecordError::Leaf { tree, value });
            }
        }
    }
    Ok(Compiled::trees(trees, 0.0, model.trees.len() as f64, Link::Identity, model.output))
}

fn compile_boosting(model: &Boosting) -> Result<Compiled, RecordError> {
    check_importance(&model.importance, model.width)?;
    finite(&[
        ("start", model.start),
        ("learning rate", model.spec.learning_rate),
        ("l2", model.spec.l2),
        ("validation loss", model.validation_loss.unwrap_or(0.0)),
    ])?;
    // where the validation part liked no tree the start alone is the model
    let trees = Trees::new(&model.trees, model.width).map_err(|(tree, error)| RecordError::Tree { tree, error })?;
    let link = if model.output == Output::Probability { Link::Sigmoid } else { Link::Identity };
    Ok(Compiled::trees(trees, model.start, 1.0, link, model.output))
}

fn compile_stack(model: &Stack, nesting: usize) -> Result<Compiled, RecordError> {
    let combiner = &model.combiner;
    compile_logistic(combiner)?;
    let (weights, members) = (combiner.weights.len(), model.members.len());
    if weights != members {
        return Err(RecordError::Stack { weights, members });
    }
    let (members, width, output) = compile_members(&model.members, nesting)?;
    if output != Output::Probability {
        return Err(RecordError::NoProbability);
    }
    Ok(Compiled::stack(members, &combiner.weights, combiner.intercept, width))
}

fn compile_members(members: &[ModelRecord], nesting: usize) -> Result<(Vec<Compiled>, usize, Output), RecordError> {
    let compiled: Vec<Compiled> =
        members.iter().map(|member| member.compile_nested(nesting + 1)).collect::<Result<_, _>>()?;
    let (width, output) = common(members).ok_or(RecordError::Members { members: members.len() })?;
    Ok((compiled, width, output))
}

fn lay_out(trees: &[Tree], width: usize) -> Result<Trees, RecordError> {
    if trees.is_empty() {
        return Err(RecordError::NoTrees);
    }
    Trees::new(trees, width).map_err(|(tree, error)| RecordError::Tree { tree, error })
}

fn finite(numbers: &[(&str, f64)]) -> Result<(), RecordError> {
    match numbers.iter().find(|(_, value)| !value.is_finite()) {
        Some(&(what, value)) => Err(RecordError::NonFinite { what: what.to_owned(), value }),
        None => Ok(()),
    }
}

fn check_weights(weights: &[f64]) -> Result<(), RecordError> {
    if weights.is_empty() {
        return Err(RecordError::NoWeights);
    }
    match weights.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((column, &value)) => Err(RecordError::NonFinite { what: format!("weight {column}"), value }),
        None => Ok(()),
    }
}

/// Of trees: one share a column, at least one column.
fn check_importance(importance: &[f64], width: usize) -> Result<(), RecordError> {
    if width == 0 || importance.len() != width {
        return Err(RecordError::NoWeights);
    }
    match importance.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        Some((column, &value)) => Err(RecordError::NonFinite { what: format!("importance {column}"), value }),
        None => Ok(()),
    }
}

fn shares(sizes: Vec<f64>) -> Option<Vec<f64>> {
    let total: f64 = sizes.iter().sum();
    (total > 0.0 && total.is_finite()).then(|| sizes.iter().map(|size| size / total).collect())
}

fn blend<'a>(members: impl Iterator<Item = (&'a ModelRecord, f64)>, width: usize) -> Option<Vec<f64>> {
    let mut sum = vec![0.0; width];
    for (member, weight) in members {
        let Some(importance) = member.importance() else { continue };
        sum.iter_mut().zip(importance).for_each(|(sum, share)| *sum += weight.abs() * share);
    }
    shares(sum)
}

/// What the members have in common.
fn common(members: &[ModelRecord]) -> Option<(usize, Output)> {
    let of = |member: &ModelRecord| (member.width(), member.output());
    let first = of(members.first()?);
    members.iter().all(|member| of(member) == first).then_some(first)
}
