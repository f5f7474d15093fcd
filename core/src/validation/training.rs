//! From what happened to a version that was trained and validated, or to the reason why there is none.

use std::collections::BTreeMap;

use super::{
    Candidate, Examples, Goal, Recipe, Stage, ValidationError, ValidationOptions, ValidationReport,
    baselines::{BaselineModel, BaselineModels},
    gather::{self, clean_trades, gather, known_pnl},
    ledger::Ledger,
    options::Look,
    to_record, validate_subject,
};
use crate::{
    domain::{Outcome, Signal, Symbol, Timestamp, TradingCalendar, event::Trial},
    features::{
        DesignOptions, Instrument,
        derived::{DerivedInput, Expression},
        made::InputOptions,
        pipeline::Pipeline,
    },
    models::{
        Kind, Labeller, MOST_UNLABELLED, Solver, Target, TargetKind, TargetValue, TradePolicy, VersionRecord,
        levels::{Level, Thresholds, judge},
    },
};

pub use super::{
    arrival::{Closed, History},
    order::{Birth, Order, Trained},
    refused::TrainError,
};

/// How models are trained; the section `[training]` of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// The kind of model, unless an order says otherwise.
    pub model: Kind,
    /// What it predicts, unless an order says otherwise.
    pub target: Target,
    /// Closed trades below which nothing is trained.
    pub min_trades: usize,
    /// Share of the trades, the latest, kept for the out-of-sample test.
    pub test_share: f64,
    /// Trades the test part must have.
    pub min_test_trades: usize,
    /// Where a score says yes; `None` for the base rate of the training part.
    pub decision_point: Option<f64>,
    /// Penalties to choose from, for linear models; ascending.
    pub strengths: Vec<f64>,
    /// Fewest rows of a leaf to choose from, for trees; ascending. In a model made of both it is the penalty too.
    pub leaves: Vec<f64>,
    /// What fits logistic models.
    pub solver: Solver,
    /// Levels that may be trained whatever their decision point says.
    pub allow_levels: Vec<Level>,
    /// Seed of everything random.
    pub seed: u64,
}

/// Everything a training needs to know besides what happened.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The instruments that may be scored.
    pub symbols: &'a BTreeMap<Symbol, Instrument>,
    /// When trading days turn.
    pub calendar: &'a TradingCalendar,
    /// How columns are made.
    pub features: &'a DesignOptions,
    /// How models are trained.
    pub training: &'a Training,
    /// Where the decision points stand.
    pub levels: &'a Thresholds,
    /// How models are validated; strengths and trials are set here.
    pub validation: &'a ValidationOptions,
}

/// The closed trades of one symbol, labelled.
pub(super) struct Trades {
    pub(super) examples: Examples,
    labeller: Labeller,
    pub(super) warnings: Vec<String>,
}

/// Trains a model, validates it, and gives the version with its report. What is registered is the model that was judged:
/// it has learnt from everything before the test part, and from nothing in it.
///
/// The same input gives the same record, to the byte.
///
/// # Errors
/// [`TrainError`] says what is missing, and how much. Nothing was fitted then that anybody saw a figure of.
pub fn train(
    birth: Birth,
    order: &Order,
    history: &History,
    settings: &Settings<'_>,
    ledger: &Ledger,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<Trained, TrainError> {
    let Settings { training, levels, .. } = *settings;
    let target = order.target.unwrap_or(training.target);
    let kind = kind_for(order, target, training)?;
    let closed = history.closed(&birth.id.symbol);
    let since = since(&closed, order.days);
    let trades = learnable(&birth.id.symbol, target, since, None, (history, &closed), settings)?;
    let examples = &trades.examples;
    check_amount(&birth.id.symbol, examples.len(), training)?;
    let learnt = examples.len() as u64;
    let facts = ledger.facts(&birth.id.symbol, target.name(), learnt, clean_trades(&closed).min(learnt));
    let verdict = judge(kind.level(), &facts, levels);
    if !verdict.go && !training.allow_levels.contains(&kind.level()) {
        return Err(TrainError::Level(verdict));
    }
    check_parts(examples, target, settings)?;
    let looks = ledger.looks(&birth.id.symbol, target.name(), kind, None);
    let point = training.decision_point.filter(|_| target.can_speak());
    let options = ValidationOptions { decision_point: point, ..options(settings, kind, looks) };
    let recipe = Recipe { kind, target, solver: training.solver, design: settings.features, seed: training.seed };
    let report = validated(&recipe, None, examples, settings, &options, progress)?;
    let asked = to_record::Asked { labeller: trades.labeller, decision_point: training.decision_point };
    let mut trained =
        to_record::version(birth, order, &recipe, (&trades.examples, asked), trades.warnings, report, &options)?;
    trained.record.inputs = inputs_of(&trained.record, settings);
    trained.trial.closed_trades = Some(gather::with_pnl(&closed));
    Ok(trained)
}

/// The closed trades of `symbol` with what is to be foretold of each, as a training has them, and what was left out, in words.
///
/// # Errors
/// [`TrainError`] when there are too few, or what is to be foretold cannot be known.
pub fn labelled(
    symbol: &Symbol,
    target: Target,
    history: &History,
    settings: &Settings<'_>,
) -> Result<(Examples, Vec<String>), TrainError> {
    let closed = history.closed(symbol);
    let Trades { examples, warnings, .. } = learnable(symbol, target, None, None, (history, &closed), settings)?;
    check_amount(symbol, examples.len(), settings.training)?;
    Ok((examples, warnings))
}

/// What the inputs of a version are made by under `settings`. `None` where its symbol has no table.
fn inputs_of(record: &VersionRecord, settings: &Settings<'_>) -> Option<InputOptions> {
    let instrument = settings.symbols.get(&record.id.symbol).copied()?;
    Some(InputOptions::new(instrument, settings.calendar, settings.features, record.design.inputs()))
}

/// Whether the inputs of a version are made now as those that it learnt from were.
pub(super) fn same_inputs(record: &VersionRecord, settings: &Settings<'_>) -> Result<(), TrainError> {
    let Some((made, now)) = record.inputs.as_ref().zip(inputs_of(record, settings)) else { return Ok(()) };
    let changed = made.check(&record.id.symbol, &now);
    changed.map_err(|error| TrainError::Stored(format!("{}: {error}", record.id)))
}

/// Validates a version again, as it is and by the policy that it is served with, on the trades that it has not learnt from, those that came since included.
///
/// # Errors
/// [`TrainError`] when the trades do not suffice or its inputs are no longer there.
pub fn revalidate(
    record: &VersionRecord,
    history: &History,
    settings: &Settings<'_>,
    ledger: &Ledger,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<ValidationReport, TrainError> {
    judge_again(record, None, history, settings, ledger, progress).map(|(report, _)| report)
}

/// Judges a version that is to come back, as it is and by the policy that it is served with, on the trades whose signals came after
/// `judged`, the last that it was judged on. What it was judged on before is left out: it neither learnt from these nor are they new.
/// The second part is its entry in the ledger.
///
/// # Errors
/// As of [`revalidate`], and when there are too few new trades; nothing was looked at then.
pub fn reinstate(
    record: &VersionRecord,
    judged: Timestamp,
    history: &History,
    settings: &Settings<'_>,
    ledger: &Ledger,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<(ValidationReport, Trial), TrainError> {
    let since = judged.max(record.training.last);
    judge_again(record, Some(since), history, settings, ledger, progress)
}

/// The same on what came since, or on all that the version has not learnt from.
fn judge_again(
    record: &VersionRecord,
    since: Option<Timestamp>,
    history: &History,
    settings: &Settings<'_>,
    ledger: &Ledger,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<(ValidationReport, Trial), TrainError> {
    let training = settings.training;
    same_inputs(record, settings)?;
    let first = Some(record.training.first);
    let closed = history.closed(&record.id.symbol);
    let mut trades = learnable(&record.id.symbol, record.target, first, Some(record), (history, &closed), settings)?;
    if let Some(since) = since {
        trades.examples = trades.examples.without(record.training.last, since)?;
        check_new(record, since, &trades.examples, training.min_test_trades)?;
    }
    let stored = to_record::stored(record, trades.examples.schema()).map_err(TrainError::Stored)?;
    let looks = ledger.looks(&record.id.symbol, record.target.name(), stored.kind, Some(&record.id));
    let (strength, point) = (Some(stored.strength), record.question.map(|question| question.decision_point));
    // the policy that is judged is the one that it is served with
    let policy = TradePolicy::in_service(record.policy.as_ref(), &settings.validation.policy);
    let options =
        ValidationOptions { strength, decision_point: point, policy, ..options(settings, stored.kind, looks) };
    let (kind, target, seed) = (stored.kind, record.target, record.seed);
    let recipe = Recipe { kind, target, solver: training.solver, design: settings.features, seed };
    let first_after = |time: Timestamp| trades.examples.as_slice().iter().map(|one| one.life.at).find(|at| *at > time);
    let tested_from = stored.earlier.as_ref().and_then(|report| report.evidence.parts.test_from);
    let from = match since {
        Some(since) => first_after(since),
        None => tested_from.or(first_after(record.training.last)),
    };
    let from = from.unwrap_or(record.created_at);
    let data_hash = to_record::judged_on(&stored.model, &trades.examples, from)?;
    let given = super::Given { model: stored.model.fitted()?, strength: stored.strength, from };
    let report = validated(&recipe, Some(given), &trades.examples, settings, &options, progress)?;
    report.stored().map_err(TrainError::Report)?;
    let trial = to_record::trial_again(record, &recipe, &report, data_hash);
    Ok((report, trial))
}

/// The whole suite, with a model of each level below beside it.
fn validated(
    recipe: &Recipe<'_>,
    given: Option<super::Given>,
    examples: &Examples,
    settings: &Settings<'_>,
    options: &ValidationOptions,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<ValidationReport, ValidationError> {
    let training = settings.training;
    let linear = Recipe { kind: Kind::Logistic.for_target(recipe.target.kind()), ..*recipe };
    let forest = Recipe { kind: Kind::RandomForest, ..*recipe };
    let (own, linear, forest) = (recipe.fitter(), linear.fitter(), forest.fitter());
    let mut below = Vec::new();
    let level = recipe.kind.level();
    if level > Level::Linear {
        below.push(BaselineModel { level: Level::Linear, fitter: &linear, strengths: &training.strengths });
    }
    if level > Level::RandomForest {
        below.push(BaselineModel { level: Level::RandomForest, fitter: &forest, strengths: &training.leaves });
    }
    let baselines = (!below.is_empty()).then_some(BaselineModels { level, thresholds: *settings.levels, below });
    validate_subject(examples, Candidate { fitter: &own, given, baselines }, options, progress)
}

/// The kind that was ordered, or the configured one or its like for the target.
fn kind_for(order: &Order, target: Target, training: &Training) -> Result<Kind, TrainError> {
    match order.model {
        None => Ok(training.model.for_target(target.kind())),
        Some(kind) if kind.learns(target.kind()) => Ok(kind),
        Some(kind) => Err(TrainError::WrongKind { kind, target, real: kind.learns(TargetKind::Real) }),
    }
}

fn options(settings: &Settings<'_>, kind: Kind, looks: Vec<Look>) -> ValidationOptions {
    let training = settings.training;
    let strengths = if kind.is_linear() { &training.strengths } else { &training.leaves };
    let mut options = ValidationOptions { strengths: strengths.clone(), looks, ..settings.validation.clone() };
    options.seed = training.seed;
    options.splits.test_share = training.test_share;
    options.splits.min_test_trades = training.min_test_trades;
    options
}

/// The time of the first of the last `days` before the latest of the `closed` trades.
fn since(closed: &Closed<'_>, days: Option<u32>) -> Option<Timestamp> {
    let (_, last, _) = closed.last()?;
    last.at.checked_sub(jiff::SignedDuration::from_hours(24 * i64::from(days?))).ok()
}

/// The closed trades of `symbol` from `since` on with what is to be foretold of each. What the labels must know is what
/// `stored` holds, in older records what the trades of its span say, and without it what all but the latest share say.
pub(super) fn learnable(
    symbol: &Symbol,
    target: Target,
    since: Option<Timestamp>,
    stored: Option<&VersionRecord>,
    (history, closed): (&History, &Closed<'_>),
    settings: &Settings<'_>,
) -> Result<Trades, TrainError> {
    let instrument = settings.symbols.get(symbol).copied();
    let known = || settings.symbols.keys().map(Symbol::as_str).collect::<Vec<_>>().join(", ");
    let instrument = instrument.ok_or_else(|| TrainError::UnknownSymbol { symbol: symbol.clone(), known: known() })?;
    let pipeline = Pipeline::new(settings.symbols.clone(), settings.calendar.clone(), settings.features)?;
    let pnl = known_pnl(closed, since, stored.map(|record| record.training.last));
    let tested = match stored {
        Some(_) => 0,
        None => (pnl.len() as f64 * settings.training.test_share).round() as usize,
    };
    let kept = stored.and_then(|record| record.question).map(|question| question.labeller);
    let labeller = kept
        .unwrap_or_else(|| Labeller::fit(target, pnl.get(..pnl.len() - tested).unwrap_or_default()).priced(instrument));
    check_labels(&labeller, (history, closed), since, instrument)?;
    let truth = |signal: &Signal, outcome: &Outcome| match labeller.value(signal, outcome, instrument)? {
        TargetValue::Class(yes) => Some(f64::from(u8::from(yes))),
        TargetValue::Real(value) => Some(value),
    };
    let (examples, warnings) = gather(history, closed, pipeline, settings.calendar, Goal::from(target), &truth)?;
    let examples = match since {
        Some(since) => examples.since(since)?,
        None => examples,
    };
    Ok(Trades { examples, labeller, warnings })
}

fn check_labels(
    labeller: &Labeller,
    (history, closed): (&History, &Closed<'_>),
    since: Option<Timestamp>,
    instrument: Instrument,
) -> Result<(), TrainError> {
    let lacks = |signal: &Signal, outcome: &Outcome| labeller.lacks(signal, outcome, instrument);
    let (of, fields) = gather::lacking(history, closed, since, &lacks);
    let (target, missing) = (labeller.target(), fields.values().sum::<usize>());
    let most = fields.into_iter().max_by_key(|(_, count)| *count);
    match most.filter(|_| missing as f64 > MOST_UNLABELLED * of as f64) {
        Some((field, missing)) => {
            let from_config = field.starts_with("execution_context.risk_parameters");
            Err(TrainError::Unlabelled { target, field, missing, of, from_config })
        }
        None => Ok(()),
    }
}

fn check_amount(symbol: &Symbol, have: usize, training: &Training) -> Result<(), TrainError> {
    let (symbol, need) = (symbol.to_string(), training.min_trades);
    if have < need { Err(TrainError::TooFewTrades { symbol, have, need }) } else { Ok(()) }
}

/// Enough that is new to a version that was judged until `since`, of what no model chose.
fn check_new(record: &VersionRecord, since: Timestamp, examples: &Examples, need: usize) -> Result<(), TrainError> {
    let new: Vec<_> = examples.as_slice().iter().filter(|example| example.life.at > since).collect();
    let heard = new.iter().filter(|example| example.heard).count();
    let have = new.len() - heard;
    let version = record.id.clone();
    if have < need { Err(TrainError::TooFewNewTrades { version, since, have, heard, need }) } else { Ok(()) }
}

/// No regime knows of the test part, which begins at `from`.
fn check_regimes(options: &DesignOptions, from: Timestamp) -> Result<(), TrainError> {
    let until = |input: &DerivedInput| match &input.expression {
        Expression::Regime(fitted) => Timestamp::from_second(fitted.until_s).ok(),
        _ => None,
    };
    let mut all = options.derived.iter().filter_map(|input| Some((input, until(input)?)));
    match all.find(|(_, until)| *until > from) {
        Some((input, until)) => Err(TrainError::RegimeAhead { name: input.name.clone(), until, from }),
        None => Ok(()),
    }
}

/// Enough to judge by, something to tell apart, and nothing that knows of the test part.
fn check_parts(examples: &Examples, target: Target, settings: &Settings<'_>) -> Result<(), TrainError> {
    let training = settings.training;
    let split = examples.lives().time_split(0.0, training.test_share).map_err(ValidationError::Split)?;
    let (have, need) = (split.test.len(), training.min_test_trades);
    if have < need {
        let missing = ((need - have) as f64 / training.test_share).ceil() as usize;
        return Err(TrainError::TooFewTestTrades { have, need, missing });
    }
    if let Some(first) = examples.pick(&split.test).next() {
        check_regimes(settings.features, first.life.at)?;
    }
    let truth = examples.truth(&split.train);
    let rows = truth.len();
    match truth.split_first() {
        Some((&first, rest)) if rest.iter().all(|value| *value == first) => Err(match target.kind() {
            TargetKind::Real => TrainError::Constant { target, rows, value: first },
            _ => TrainError::SingleClass { target, rows, yes: first >= 0.5 },
        }),
        _ => Ok(()),
    }
}
