//! Why a fit gives no model.

/// Why there is no model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the messages name")]
pub enum FitError {
    /// The matrix has no cell.
    #[error("nothing to fit: {rows} rows of {columns} columns")]
    Empty { rows: usize, columns: usize },
    /// Not more rows than numbers to be found.
    #[error("{rows} rows are too few for {columns} columns: at least {needed} are needed")]
    TooFew { rows: usize, columns: usize, needed: usize },
    /// Labels and rows do not pair up.
    #[error("{labels} labels for {rows} rows: there must be one each")]
    LabelCount { rows: usize, labels: usize },
    /// Sample weights and rows do not pair up.
    #[error("{weights} sample weights for {rows} rows: there must be one each")]
    SampleWeightCount { rows: usize, weights: usize },
    /// A sample weight that cannot be used.
    #[error("sample weight of row {row} is {value}: it must be finite and at least 0")]
    SampleWeight { row: usize, value: f64 },
    /// One of the two classes does not occur, or only with weight 0.
    #[error("all rows that count are labelled {label}: a model needs both wins and losses")]
    SingleClass { label: bool },
    /// NaN or infinity in the matrix.
    #[error("cell at row {row}, column {column} is {value}: fill or drop it before fitting")]
    NonFiniteCell { row: usize, column: usize, value: f64 },
    /// An option out of its range.
    #[error("option {name} is {value}: it must be {range}")]
    Option { name: &'static str, value: f64, range: &'static str },
    /// A solver was asked for what it cannot do.
    #[error("the solver smartcore knows no class or sample weights: leave them out or use the solver newton")]
    WeightsUnsupported,
    /// A column that the columns before it already contain.
    #[error(
        "column {column} is constant or a combination of the columns before it: drop it or set l2 above 0 (or higher)"
    )]
    Collinear { column: usize },
    /// The columns tell the classes apart, so that the best weights are infinite.
    #[error("the columns tell wins and losses apart without error, so that no finite weights fit best: set l2 above 0")]
    Separated,
    /// The search ended before the gradient was small enough.
    #[error(
        "did not converge: the relative gradient is {gradient:e}, above the tolerance {tolerance:e}; scale the columns, raise l2 or the number of iterations"
    )]
    NotConverged { gradient: f64, tolerance: f64 },
    /// Numbers grew beyond what can be represented.
    #[error("the fit gave numbers that are not finite: scale the columns")]
    NonFiniteResult,
    /// The library refused.
    #[error("smartcore refused: {message}")]
    Library { message: String },
    /// A model that tells classes apart was given numbers, or the other way round.
    #[error("{kind} learns from {needs}: choose another kind of model for this target")]
    WrongValues { kind: &'static str, needs: &'static str },
    /// NaN or infinity among the values to be learnt.
    #[error("the value to be learnt in row {row} is {value}: drop the row before fitting")]
    NonFiniteTarget { row: usize, value: f64 },
    /// All values to be learnt are the same.
    #[error("all {rows} rows that count have the value {value}: there is nothing to learn")]
    ConstantTarget { rows: usize, value: f64 },
    /// The validation part does not fit the training part.
    #[error("the validation part cannot be used: {reason}")]
    Validation { reason: String },
    /// No tree could split the rows.
    #[error("no column splits the {rows} rows so that {min_leaf} remain on each side: lower min_leaf or add columns")]
    NoSplit { rows: usize, min_leaf: u32 },
    /// Monotone constraints and columns do not pair up.
    #[error("{signs} monotone signs for {columns} columns: there must be one each, or none at all")]
    MonotoneCount { columns: usize, signs: usize },
    /// An ensemble without members, or with members that cannot stand side by side.
    #[error("the ensemble cannot be made: {reason}")]
    Members { reason: String },
    /// A score that is no probability.
    #[error("score {value} of row {row} is not a probability")]
    Score { row: usize, value: f64 },
}
