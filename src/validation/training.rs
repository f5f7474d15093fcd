//! From what happened to a trained version: rows, split, design, fit, and a first judgement on trades never seen.

use std::collections::BTreeMap;

use ndarray::Array2;

use super::{Holdout, Life, Lives, SplitError};
use crate::{
    domain::{Outcome, Signal, Timestamp, TradeId, VersionId},
    features::{
        DesignOptions,
        design::{DesignMatrix, Dropped},
        fit,
        pipeline::Pipeline,
        row::Row,
    },
    models::{
        ClassWeights, DataHash, FitError, ModelRecord, Options as FitOptions, Solver, Target, TrainingSpan,
        VersionError, VersionRecord, fit_logistic,
    },
};

/// How models are trained; the section `[training]` of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Closed trades below which nothing is trained.
    pub min_trades: usize,
    /// Share of the trades, the latest, kept for the out-of-sample test.
    pub test_share: f64,
    /// Trades the test part must have.
    pub min_test_trades: usize,
    /// Weight of the L2 penalty on the summed log loss.
    pub l2: f64,
    /// What fits logistic models.
    pub solver: Solver,
    /// Seed of everything random.
    pub seed: u64,
}

/// Everything that happened, as far as a model may learn from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Every signal received, in the order of their times: the pipeline carries values forward from all of them.
    pub signals: Vec<Signal>,
    /// What became of those that were traded.
    pub outcomes: BTreeMap<TradeId, Outcome>,
    /// Records of the journal that could not be read, in words.
    pub damaged: Vec<String>,
}

/// What a new version is called and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Birth {
    /// Its name; its symbol says which trades it learns from.
    pub id: VersionId,
    /// When it is trained.
    pub created_at: Timestamp,
    /// The version it is meant to replace.
    pub parent: Option<VersionId>,
}

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
    /// Only wins, or only losses.
    #[error("all {rows} training trades {}: there is nothing to tell apart", if *.won { "won" } else { "lost" })]
    SingleClass {
        /// Training trades.
        rows: usize,
        /// Whether they won.
        won: bool,
    },
    /// The trades cannot be split by time.
    #[error("the trades cannot be split by time: {0}")]
    Split(#[from] SplitError),
    /// No design matrix can be made of the training part.
    #[error("no design matrix can be made: {0}")]
    Design(#[from] fit::FitError),
    /// The fit was refused or failed.
    #[error("the model could not be fitted: {0}")]
    Fit(#[from] FitError),
    /// The record would not be read back.
    #[error("the trained version cannot be stored: {0}")]
    Record(#[from] VersionError),
    /// Something that should fit together does not.
    #[error("the trained model does not score its own rows: {0}")]
    Inconsistent(String),
}

/// One closed trade, ready to be learnt from.
struct Example {
    row: Row,
    life: Life,
    won: bool,
}

/// Trains a logistic regression on `profitability`: pnl after costs above 0. The latest trades are kept for the test;
/// training trades that were still open when it begins are purged.
///
/// # Errors
/// [`TrainError`] says what is missing, and how much.
pub fn train(
    birth: Birth,
    history: &History,
    pipeline: Pipeline,
    design_options: &DesignOptions,
    options: &Training,
) -> Result<VersionRecord, TrainError> {
    let schema = pipeline.schema().clone();
    let (examples, mut warnings) = examples(&birth.id, history, pipeline);
    check_amount(&birth.id, examples.len(), options)?;
    let lives = Lives::new(examples.iter().map(|example| example.life).collect())?;
    let split = lives.time_split(0.0, options.test_share)?;
    check_test_part(split.test.len(), options)?;
    let pick = |rows: &[usize]| -> Vec<&Example> { rows.iter().filter_map(|row| examples.get(*row)).collect() };
    let (train, test) = (pick(&split.train), pick(&split.test));
    check_classes(&train)?;
    let purged = examples.len() - train.len() - test.len();
    if purged > 0 {
        warnings.push(format!("{purged} training trades were still open when the test part begins and were purged"));
    }
    let values: Vec<&[Option<f64>]> = train.iter().map(|example| example.row.values.as_slice()).collect();
    let design = fit::fit(&schema, &values, design_options)?;
    warnings.extend(design.dropped().iter().map(Dropped::to_string));
    let (x, y) = (matrix(&design, &train)?, labels(&train));
    let fit_options = FitOptions {
        l2: options.l2,
        class_weights: ClassWeights::None,
        sample_weights: None,
        max_iterations: 100,
        tolerance: if options.solver == Solver::Newton { 1e-10 } else { 1e-4 },
        solver: options.solver,
    };
    let model = ModelRecord::Logistic(fit_logistic(x.view(), &y, &fit_options)?);
    let wins = y.iter().filter(|won| **won).count();
    let share_of_wins = wins as f64 / y.len() as f64;
    let metrics = judge(&model, &design, &train, &test, share_of_wins)?;
    let names: Vec<&str> = design.names().collect();
    let data_hash = DataHash::of(&names, x.view(), &y);
    let (first, last) = span(&train).unwrap_or((birth.created_at, birth.created_at));
    let record = VersionRecord {
        id: birth.id,
        target: Target::Profitability,
        created_at: birth.created_at,
        model,
        training: TrainingSpan { first, last, rows: y.len() as u64, wins: wins as u64 },
        data_hash,
        seed: options.seed,
        code_version: env!("CARGO_PKG_VERSION").into(),
        parent: birth.parent,
        metrics,
        warnings,
        design,
    };
    record.to_bytes()?;
    Ok(record)
}

/// The closed trades of the version's symbol, each with the inputs that the service would have seen.
fn examples(id: &VersionId, history: &History, mut pipeline: Pipeline) -> (Vec<Example>, Vec<String>) {
    let mut warnings = Vec::new();
    let mut without_pnl = 0;
    let mut examples = Vec::new();
    for signal in &history.signals {
        let Ok(row) = pipeline.row(signal) else { continue };
        if signal.symbol != id.symbol {
            continue;
        }
        let Some(outcome) = history.outcomes.get(&signal.trade_id) else { continue };
        let Some(pnl) = outcome.pnl else {
            without_pnl += 1;
            continue;
        };
        let life = Life { at: signal.at, exit_at: outcome.exit_at.max(signal.at) };
        examples.push(Example { row, life, won: pnl.get() > 0.0 });
    }
    if without_pnl > 0 {
        warnings.push(format!("{without_pnl} closed trades have no pnl and were left out"));
    }
    if !history.damaged.is_empty() {
        warnings.push(format!("{} records of the journal could not be read and were left out", history.damaged.len()));
    }
    (examples, warnings)
}

fn check_amount(id: &VersionId, have: usize, options: &Training) -> Result<(), TrainError> {
    let (symbol, need) = (id.symbol.to_string(), options.min_trades);
    if have < need { Err(TrainError::TooFewTrades { symbol, have, need }) } else { Ok(()) }
}

fn check_test_part(have: usize, options: &Training) -> Result<(), TrainError> {
    let need = options.min_test_trades;
    let missing = ((need.saturating_sub(have)) as f64 / options.test_share).ceil() as usize;
    if have < need { Err(TrainError::TooFewTestTrades { have, need, missing }) } else { Ok(()) }
}

fn check_classes(train: &[&Example]) -> Result<(), TrainError> {
    let wins = train.iter().filter(|example| example.won).count();
    if wins == 0 || wins == train.len() {
        return Err(TrainError::SingleClass { rows: train.len(), won: wins > 0 });
    }
    Ok(())
}

fn matrix(design: &DesignMatrix, examples: &[&Example]) -> Result<Array2<f64>, TrainError> {
    let mut cells = Vec::with_capacity(examples.len() * design.width());
    let mut row = Vec::with_capacity(design.width());
    for example in examples {
        // a trade of which nothing is known is answered with the baseline in service; here it stands at the medians
        if design.transform(&example.row.values, &mut row).is_err() {
            row.resize(design.width(), 0.0);
        }
        cells.extend_from_slice(&row);
    }
    let shape = (examples.len(), design.width());
    Array2::from_shape_vec(shape, cells).map_err(|error| TrainError::Inconsistent(error.to_string()))
}

fn labels(examples: &[&Example]) -> Vec<bool> {
    examples.iter().map(|example| example.won).collect()
}

fn span(examples: &[&Example]) -> Option<(Timestamp, Timestamp)> {
    Some((examples.first()?.life.at, examples.last()?.life.at))
}

/// Figures on the test part, and accuracy and AUC on the training part beside them: a gap between the two is overfit.
fn judge(
    model: &ModelRecord,
    design: &DesignMatrix,
    train: &[&Example],
    test: &[&Example],
    share_of_wins: f64,
) -> Result<BTreeMap<Box<str>, f64>, TrainError> {
    let scores = |examples: &[&Example]| scores(model, design, examples);
    let inconsistent = || TrainError::Inconsistent("its figures are not defined".to_owned());
    let out = Holdout::judge(&labels(test), &scores(test)?, share_of_wins).ok_or_else(inconsistent)?;
    let own = Holdout::judge(&labels(train), &scores(train)?, share_of_wins).ok_or_else(inconsistent)?;
    let mut metrics = out.metrics();
    metrics.insert("train_accuracy".into(), own.model.accuracy);
    if let Some(auc) = own.model.auc {
        metrics.insert("train_auc".into(), auc);
    }
    Ok(metrics)
}

fn scores(model: &ModelRecord, design: &DesignMatrix, examples: &[&Example]) -> Result<Vec<f64>, TrainError> {
    let compiled = model.compile().map_err(|error| TrainError::Inconsistent(error.to_string()))?;
    let x = matrix(design, examples)?;
    let score = |row: ndarray::ArrayView1<'_, f64>| compiled.score(row.as_slice().unwrap_or_default()).map(|p| p.get());
    let scores: Option<Vec<f64>> = x.rows().into_iter().map(score).collect();
    scores.ok_or_else(|| TrainError::Inconsistent("a score is not a probability".to_owned()))
}
