//! What is kept of a training: the version's record, and its entry in the trial ledger; and back from a record to the
//! model that it holds.

use std::collections::BTreeMap;

use super::{
    Examples, Recipe, ValidationOptions, ValidationReport,
    fitter::TrainingSet,
    order::{Birth, Order, Trained},
    recipe::{self, Learnt},
    refused::TrainError,
};
use crate::{
    domain::{Timestamp, event::Trial},
    features::{design::Dropped, row::Schema},
    models::{
        DataHash, Kind, Labeller, ModelRecord, Question, References, ReliabilityBin, Standard, TargetKind, TradePolicy,
        TrainingSpan, Values, VersionRecord, standard::Validated,
    },
    stats::reference::Reference,
};

/// Most bins of the reliability of probabilities; each has about as many rows as the next.
const RELIABILITY_BINS: usize = 10;

/// Trades that no model chose from which they are what drift is measured against.
const MIN_UNCHOSEN: usize = 100;

/// A version as it is read back.
pub(super) struct Stored {
    pub model: Learnt,
    pub kind: Kind,
    pub strength: f64,
    /// The report it was registered with.
    pub earlier: Option<ValidationReport>,
}

/// What the labels were made by, and where a score says yes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub labeller: Labeller,
    /// `None` for the base rate of the training part.
    pub decision_point: Option<f64>,
}

impl Asked {
    /// The question, where `truth` is what was to be foretold of the training part.
    fn question(&self, truth: &[f64]) -> Question {
        match self.decision_point.filter(|_| self.labeller.target().can_speak()) {
            Some(point) => Question::new(self.labeller, point),
            None => Question::at_base_rate(self.labeller, truth),
        }
    }
}

/// The version that `report` judged: the same fit once more, and what is said about it.
pub(super) fn version(
    birth: Birth,
    order: &Order,
    recipe: &Recipe<'_>,
    (examples, asked): (&Examples, Asked),
    mut warnings: Vec<String>,
    report: ValidationReport,
    options: &ValidationOptions,
) -> Result<Trained, TrainError> {
    let split = examples.lives().time_split(0.0, options.splits.test_share).map_err(super::ValidationError::Split)?;
    let (strength, truth) = (report.evidence.strength, examples.truth(&split.train));
    let learnt = recipe.learn(&TrainingSet { examples, rows: &split.train, truth: &truth, strength })?;
    if report.evidence.parts.purged > 0 {
        let purged = report.evidence.parts.purged;
        warnings.push(format!("{purged} training trades were still open when the test part begins and were purged"));
    }
    warnings.extend(learnt.design.dropped().iter().map(Dropped::to_string));
    warnings.extend(report.evidence.notes.iter().cloned());
    if !recipe.target.can_speak() {
        warnings.push(format!(
            "a version of {} predicts amounts: it is stored for inspection and never promoted",
            recipe.target
        ));
    }
    let names: Vec<&str> = learnt.design.names().collect();
    let x = recipe::columns(&learnt.design, &examples.table().rows(&split.train))?;
    let labels: Vec<bool> = truth.iter().map(|truth| *truth >= 0.5).collect();
    let real = recipe.target.kind() == TargetKind::Real;
    let y = if real { Values::Reals(&truth) } else { Values::Classes(&labels) };
    let data_hash = DataHash::of_values(&names, x.view(), y);
    let question = asked.question(&truth);
    let trial = trial(&birth, recipe, &report, &names, data_hash);
    let (own, others) = (unchosen(examples, &split.train), unchosen(examples, &split.test));
    if own.is_none() || others.is_none() {
        warnings.push(format!(
            "fewer than {MIN_UNCHOSEN} of the training or test trades were not let through by another model: drift is measured \
             against trades that it chose"
        ));
    }
    let (own, others) = (own.unwrap_or_else(|| split.train.clone()), others.unwrap_or_else(|| split.test.clone()));
    let compiled = learnt.model.compile().map_err(|error| TrainError::Stored(error.to_string()))?;
    let scores = learnt.scores(&compiled, &examples.table().rows(&split.test))?;
    let in_service = learnt.scores(&compiled, &examples.table().rows(&others))?;
    let test_labels: Vec<bool> = examples.truth(&split.test).iter().map(|truth| *truth >= 0.5).collect();
    let won = |example: &super::Example| if real { example.pnl > 0.0 } else { example.truth >= 0.5 };
    let wins = examples.pick(&split.train).filter(|example| won(example)).count();
    let at = |row: Option<&usize>| examples.as_slice().get(*row?).map(|example| example.life.at);
    let (first, last) = (at(split.train.first()), at(split.train.last()));
    let record = VersionRecord {
        id: birth.id,
        target: recipe.target,
        created_at: birth.created_at,
        training: TrainingSpan {
            first: first.unwrap_or(birth.created_at),
            last: last.unwrap_or(birth.created_at),
            rows: split.train.len() as u64,
            wins: wins as u64,
        },
        data_hash,
        seed: recipe.seed,
        code_version: env!("CARGO_PKG_VERSION").into(),
        parent: birth.parent,
        metrics: report.metrics(),
        warnings,
        kind: Some(recipe.kind),
        hyper: hyper(order, options, strength),
        importance: learnt.importance(),
        reference: References {
            inputs: references(&learnt, examples, &own),
            score: Reference::of(in_service.iter().copied().map(Some)),
        },
        reliability: if real { Vec::new() } else { reliability(&scores, &test_labels) },
        validation: Some(report.stored().map_err(TrainError::Report)?),
        question: Some(question),
        standard: Standard::of(&validated(examples, &split.test, &scores, &question, &options.policy)),
        inputs: None,
        policy: Some(options.policy),
        model: learnt.model,
        design: learnt.design,
    };
    record.to_bytes()?;
    Ok(Trained { record, report, trial })
}

/// Those of `rows` for which no model was heard, as a version sees the trades in service: those that another let through are
/// its choice. `None` where they are too few to say how the inputs look.
fn unchosen(examples: &Examples, rows: &[usize]) -> Option<Vec<usize>> {
    let unheard = examples.unheard(rows);
    (unheard.len() == rows.len() || unheard.len() >= MIN_UNCHOSEN).then_some(unheard)
}

/// The test part as the version is judged on it.
fn validated(
    examples: &Examples,
    rows: &[usize],
    scores: &[f64],
    question: &Question,
    policy: &TradePolicy,
) -> Vec<Validated> {
    let cut = if question.is_probability() { 0.5 } else { question.decision_point };
    let trade = |(example, score): (&super::Example, &f64)| Validated {
        session: example.day,
        yes: question.says_yes(*score),
        label: example.truth >= cut,
        taken: policy.size(example.confidence, *score) > 0.0,
        won: example.pnl > 0.0,
    };
    let mut trades: Vec<Validated> = examples.pick(rows).zip(scores).map(trade).collect();
    trades.sort_by_key(|trade| trade.session);
    trades
}

/// The model in a record, reading rows of `schema`.
pub(super) fn stored(record: &VersionRecord, schema: &Schema) -> Result<Stored, String> {
    let design = record.design.for_schema(schema).map_err(|error| format!("{}: {error}", record.id))?;
    let earlier = record.validation.clone().and_then(|report| serde_json::from_value::<ValidationReport>(report).ok());
    // records of the first format hold a logistic regression, which knows its penalty
    let (kind, penalty) = match &record.model {
        ModelRecord::Logistic(model) => (Some(Kind::Logistic), Some(model.l2)),
        _ => (None, None),
    };
    let strength = record.hyper.get("strength").and_then(|values| values.first().copied()).or(penalty);
    let (kind, strength) = record
        .kind
        .or(kind)
        .zip(strength)
        .ok_or_else(|| format!("{}: its record does not say how it was made; train it again", record.id))?;
    let unknown = record.metrics.get("train_mean").copied().unwrap_or(0.5);
    let unknown = if record.target.kind() == TargetKind::Real { unknown } else { 0.5 };
    Ok(Stored { model: Learnt { design, model: record.model.clone(), unknown }, kind, strength, earlier })
}

fn trial(birth: &Birth, recipe: &Recipe<'_>, report: &ValidationReport, names: &[&str], data_hash: DataHash) -> Trial {
    let evidence = &report.evidence;
    Trial {
        symbol: birth.id.symbol.clone(),
        target: recipe.target.name().into(),
        model: recipe.kind.name().into(),
        data_hash: data_hash.to_string().into(),
        closed_trades: None,
        columns: names.iter().map(|name| (*name).into()).collect(),
        fits: evidence.losses.iter().map(|(strength, loss)| (*strength, Some(*loss))).collect(),
        strength: evidence.strength,
        configurations: evidence.configurations as u64,
        skill: evidence.skill,
        beats_linear_p: evidence.baselines.as_ref().and_then(|standing| standing.beats_linear_p),
        test_from: evidence.parts.test_from,
        test_to: evidence.parts.test_to,
        version: Some(birth.id.clone()),
    }
}

/// The hash of the trades from `from` on, as `learnt` reads them: those that a version is judged on again.
pub(super) fn judged_on(learnt: &Learnt, examples: &Examples, from: Timestamp) -> Result<DataHash, TrainError> {
    let rows = examples.places(|example| example.life.at >= from);
    let names: Vec<&str> = learnt.design.names().collect();
    let x = recipe::columns(&learnt.design, &examples.table().rows(&rows))?;
    Ok(DataHash::of_values(&names, x.view(), Values::Reals(&examples.truth(&rows))))
}

/// The entry of a version that was judged again to come back. It is a look at other trades than those that it was made with, and says
/// nothing of what more trades would teach.
pub(super) fn trial_again(
    record: &VersionRecord,
    recipe: &Recipe<'_>,
    report: &ValidationReport,
    data_hash: DataHash,
) -> Trial {
    let birth = Birth { id: record.id.clone(), created_at: record.created_at, parent: record.parent.clone() };
    let names: Vec<&str> = record.design.names().collect();
    Trial { closed_trades: None, beats_linear_p: None, ..trial(&birth, recipe, report, &names, data_hash) }
}

fn hyper(order: &Order, options: &ValidationOptions, strength: f64) -> BTreeMap<Box<str>, Vec<f64>> {
    let days = order.days.map(|days| ("days".into(), vec![f64::from(days)]));
    let own = [("strength".into(), vec![strength]), ("strengths_tried".into(), options.strengths.clone())];
    own.into_iter().chain(days).collect()
}

fn references(learnt: &Learnt, examples: &Examples, rows: &[usize]) -> BTreeMap<Box<str>, Reference> {
    let schema = examples.schema();
    let reference = |name: &str| {
        let place = schema.position(name)?;
        let values = examples.pick(rows).map(|example| example.values.get(place).copied().flatten());
        Some((name.into(), Reference::of(values)?))
    };
    learnt.design.inputs().filter_map(reference).collect()
}

/// Rows in the order of their probabilities, cut into bins of about the same size; equal ones stand together.
fn reliability(scores: &[f64], labels: &[bool]) -> Vec<ReliabilityBin> {
    let mut rows: Vec<(f64, bool)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let each = rows.len().div_ceil(RELIABILITY_BINS).max(1);
    let mut bins: Vec<ReliabilityBin> = Vec::new();
    let (mut open, mut sum, mut yes) = (0_usize, 0.0, 0_usize);
    for (place, (score, label)) in rows.iter().enumerate() {
        (open, sum, yes) = (open + 1, sum + score, yes + usize::from(*label));
        let tied = rows.get(place + 1).is_some_and(|(next, _)| next == score);
        if (open >= each && !tied) || place + 1 == rows.len() {
            let rows = open as f64;
            bins.push(ReliabilityBin { rows: open as u64, foretold: sum / rows, observed: yes as f64 / rows });
            (open, sum, yes) = (0, 0.0, 0);
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reliability_puts_ties_together_and_counts_every_row() {
        let scores: Vec<f64> = (0..40).map(|row| f64::from(row / 8) / 8.0).collect();
        let labels: Vec<bool> = (0..40).map(|row| row % 4 == 0).collect();
        let bins = reliability(&scores, &labels);
        assert_eq!(bins.len(), 5);
        assert_eq!(bins[2], ReliabilityBin { rows: 8, foretold: 0.25, observed: 0.25 });
        assert_eq!(bins.iter().map(|bin| bin.rows).sum::<u64>(), 40);
        assert!(reliability(&[], &[]).is_empty());
    }
}
