//! Why a training or a validation gives no version.

use super::{ValidationError, example::InvalidExamples, fitter::NoFit};
use crate::{
    domain::{Symbol, Timestamp, VersionId},
    features::row::InvalidSchema,
    models::{Kind, Target, VersionError, levels::LevelVerdict},
};

/// Why there is no new version.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrainError {
    /// Too little has happened.
    #[error(
        "{symbol} has {have} closed trades with a known pnl; training needs {need}, {} more (training.min_trades); import \
         past trades with `vigie import`",
        need - have
    )]
    TooFewTrades {
        /// Whose trades.
        symbol: String,
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// Too little was closed since a version was last judged.
    #[error(
        "{version} stays where it is: the gate to validated asks for {need} closed trades since {since} that it neither learnt from \
         nor was judged on (training.min_test_trades), and there are {have}, {} fewer; {heard} more were influenced by a model, which chose them, and do not count",
        need - have
    )]
    TooFewNewTrades {
        /// Which.
        version: VersionId,
        /// The time of the last signal that it learnt from or was judged on.
        since: Timestamp,
        /// Trades there are since.
        have: usize,
        /// Trades since that a model was heard in.
        heard: usize,
        /// Trades that are needed.
        need: usize,
    },
    /// The latest share is too small to judge by.
    #[error(
        "the test part has {have} trades; a verdict needs {need} (training.min_test_trades): about {missing} more closed \
         trades, or a larger training.test_share"
    )]
    TooFewTestTrades {
        /// How many it has.
        have: usize,
        /// How many it needs.
        need: usize,
        /// Closed trades that would help.
        missing: usize,
    },
    /// Only yes, or only no.
    #[error(
        "{target} is {} for all {rows} training trades: there is nothing to tell apart; at least one of the other sort is \
         missing",
        if *.yes { "yes" } else { "no" }
    )]
    SingleClass {
        /// What was to be foretold.
        target: Target,
        /// Training trades.
        rows: usize,
        /// What it always is.
        yes: bool,
    },
    /// The same number for all.
    #[error(
        "{target} is {value} for all {rows} training trades: there is nothing to learn; at least one other value is \
             missing"
    )]
    Constant {
        /// What was to be foretold.
        target: Target,
        /// Training trades.
        rows: usize,
        /// What it always is.
        value: f64,
    },
    /// The trades do not say what is to be foretold.
    #[error(
        "{target} cannot be learnt: {missing} of {of} closed trades do not say {field}, and at most 5 % may be left out; send \
         it with each trade{}",
        if *.from_config { ", or set targets.stop_ticks" } else { "" }
    )]
    Unlabelled {
        /// What was to be foretold.
        target: Target,
        /// The field that is missing.
        field: &'static str,
        /// Trades that lack it.
        missing: usize,
        /// Closed trades.
        of: usize,
        /// Whether the configuration may say it instead.
        from_config: bool,
    },
    /// A decision point says no.
    #[error("{0}\nnothing was fitted; training.allow_levels opens a level whatever its decision point says")]
    Level(LevelVerdict),
    /// The kind of model cannot learn such values.
    #[error("{kind} cannot learn {target}: it learns from {}", if *.real { "real values" } else { "yes and no" })]
    WrongKind {
        /// The kind.
        kind: Kind,
        /// The target.
        target: Target,
        /// What it learns from.
        real: bool,
    },
    /// The symbol is not configured.
    #[error(
        "symbol {symbol} has no table in the configuration, which has {known}; add [symbols.{symbol}] with its tick and tick value"
    )]
    UnknownSymbol {
        /// It.
        symbol: Symbol,
        /// Those that have one.
        known: String,
    },
    /// A regime that knows of the trades that a model is to be judged on.
    #[error(
        "{name} was fitted on signals until {until}, and the test part begins at {from}: it would know of what the model is judged on; \
         write it anew with `vigie regimes`"
    )]
    RegimeAhead {
        /// The derived input.
        name: String,
        /// The last signal that it was fitted on.
        until: Timestamp,
        /// The first signal of the test part.
        from: Timestamp,
    },
    /// The declared inputs cannot be used.
    #[error(transparent)]
    Schema(#[from] InvalidSchema),
    /// A trade that nothing can be learnt from.
    #[error("the trades cannot be used: {0}")]
    Trades(#[from] InvalidExamples),
    /// The validation could not be done.
    #[error(transparent)]
    Validation(#[from] ValidationError),
    /// The fit was refused or failed.
    #[error("the model could not be fitted: {0}")]
    Fit(#[from] NoFit),
    /// The record would not be read back.
    #[error("the trained version cannot be stored: {0}")]
    Record(#[from] VersionError),
    /// The report would not be read back.
    #[error(
        "the report of the validation cannot be read back, so nothing is registered: {0}; look for a pnl that cannot be"
    )]
    Report(String),
    /// The record to be validated cannot be used with the inputs now declared.
    #[error("{0}")]
    Stored(String),
}

impl TrainError {
    /// A stable word for it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooFewTrades { .. } => "too_few_trades",
            Self::TooFewTestTrades { .. } => "too_few_test_trades",
            Self::TooFewNewTrades { .. } => "too_few_new_trades",
            Self::SingleClass { .. } => "single_class",
            Self::Constant { .. } => "constant",
            Self::Unlabelled { .. } => "unlabelled",
            Self::Level(_) => "level",
            Self::WrongKind { .. } => "wrong_kind",
            Self::UnknownSymbol { .. } => "unknown_symbol",
            Self::Schema(_) | Self::Stored(_) | Self::RegimeAhead { .. } => "inputs",
            Self::Trades(_) => "trades",
            Self::Validation(_) => "validation",
            Self::Fit(_) => "fit",
            Self::Record(_) => "record",
            Self::Report(_) => "report",
        }
    }
}
