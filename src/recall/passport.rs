//! What is kept of one version, for people: its facts by name, what its score rests on, and the gates of its latest validation. Two
//! versions differ where their facts do.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{learning::latest_report, versions::record};
use crate::{
    domain::VersionId,
    journal::Reader,
    models::{
        Kind, ReliabilityBin, TradePolicy, VersionRecord,
        sizing::{Sizing, SizingRule},
    },
    validation::{
        ValidationReport,
        check::{Area, Outcome},
        part::Part,
        report::ValidationVerdict,
    },
};

/// One version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Passport {
    /// Which.
    pub version: VersionId,
    /// The version that was in production when it was trained, and that it is meant to replace.
    pub parent: Option<VersionId>,
    /// Name and value of everything that fits on a line.
    pub facts: Vec<(String, String)>,
    /// Share of each column in what it says.
    pub importance: Vec<(Box<str>, f64)>,
    /// How far its probabilities can be taken at their word, on the test part.
    pub reliability: Vec<ReliabilityBin>,
    /// What a person should know about its data.
    pub warnings: Vec<String>,
    /// Its latest validation; `None` of one that was never validated.
    pub validation: Option<Validation>,
}

/// What a validation found, gate by gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Validation {
    /// Whether it may be deployed.
    pub verdict: ValidationVerdict,
    /// The same in a line.
    pub summary: String,
    /// The overall score, 0 to 1, and what it must exceed.
    pub overall: f64,
    /// See `overall`.
    pub min_overall: f64,
    /// Every part.
    pub checks: Vec<GateTold>,
}

/// One part of a validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateTold {
    /// Which, in a word.
    pub part: Part,
    /// The same in words.
    pub name: String,
    /// What it belongs to.
    pub area: Area,
    /// What was found; `None` where it is not defined.
    pub value: Option<f64>,
    /// What it must be, such as `>= 200`.
    pub limit: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether nothing is deployed without it.
    pub hard: bool,
    /// What would help, where it did not pass.
    pub help: Option<String>,
    /// About how many more closed trades would help, where that is known.
    pub more_trades: Option<usize>,
}

/// Something in which two versions differ: its name, and what it is of the one and of the other; `None` where one has no such thing.
pub type Difference = (String, Option<String>, Option<String>);

/// The passport of a version.
///
/// # Errors
/// When there is no such version, its record cannot be used, or its report cannot be read.
pub fn passport(reader: &Reader, version: &VersionId) -> Result<Passport, String> {
    let found = record(reader, version)?;
    let validation = latest_report(reader, &found)?.map(|report| Validation::of(&report));
    Ok(Passport {
        version: found.id.clone(),
        parent: found.parent.clone(),
        facts: facts(&found),
        importance: found.importance,
        reliability: found.reliability,
        warnings: found.warnings,
        validation,
    })
}

/// In what two versions differ.
///
/// # Errors
/// When there is no such version, or its record cannot be used.
pub fn difference(reader: &Reader, one: &VersionId, other: &VersionId) -> Result<Vec<Difference>, String> {
    let [one, other] = [record(reader, one)?, record(reader, other)?].map(|record| named(&record));
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ = names.into_iter().filter(|name| one.get(*name) != other.get(*name));
    Ok(differ.map(|name| (name.clone(), one.get(name).cloned(), other.get(name).cloned())).collect())
}

fn named(record: &VersionRecord) -> BTreeMap<String, String> {
    let share = |(column, share): &(Box<str>, f64)| (format!("share of {column}"), format!("{share:.4}"));
    facts(record).into_iter().chain(record.importance.iter().map(share)).collect()
}

/// Name and value of everything that fits on a line.
pub fn facts(record: &VersionRecord) -> Vec<(String, String)> {
    let span = record.training;
    let mut facts = vec![
        ("version".to_owned(), record.id.to_string()),
        ("kind".to_owned(), record.kind.map_or(record.model.kind(), Kind::name).to_owned()),
        ("target".to_owned(), record.target.to_string()),
        ("says yes from".to_owned(), format!("a score of {:.4} on", record.question().decision_point)),
        ("policy".to_owned(), record.policy.as_ref().map_or_else(|| "as configured".to_owned(), policy)),
        ("trained".to_owned(), record.created_at.to_string()),
        ("parent".to_owned(), record.parent.as_ref().map_or_else(|| "-".to_owned(), VersionId::to_string)),
        ("program".to_owned(), record.code_version.to_string()),
        ("seed".to_owned(), record.seed.to_string()),
        ("data hash".to_owned(), record.data_hash.to_string()),
        ("training trades".to_owned(), record.trained_on()),
        ("training span".to_owned(), format!("{} to {}", span.first, span.last)),
        ("columns".to_owned(), record.design.names().collect::<Vec<_>>().join(", ")),
        ("reference of".to_owned(), format!("{} inputs", record.reference.inputs.len())),
    ];
    facts.extend(record.hyper.iter().map(|(name, values)| (name.to_string(), format!("{values:?}"))));
    facts.extend(record.metrics.iter().map(|(name, value)| (name.to_string(), format!("{value:.4}"))));
    facts
}

/// The policy it was validated by and is served with.
fn policy(of: &TradePolicy) -> String {
    let Sizing { rule, min, max, kelly_fraction } = of.sizing;
    let kelly = if rule == SizingRule::Kelly { format!(" {kelly_fraction}") } else { String::new() };
    let (weight, threshold) = (of.blend_weight, of.trade_threshold);
    format!("score weighs {weight}, trades from {threshold} on, size {}{kelly} from {min} to {max}", rule.name())
}

impl Validation {
    fn of(report: &ValidationReport) -> Self {
        let check = |check: &crate::validation::check::ValidationCheck| GateTold {
            part: check.part,
            name: check.part.to_string(),
            area: check.area,
            value: check.value,
            limit: check.limit.to_string(),
            outcome: check.outcome,
            hard: check.hard,
            help: check.help.clone(),
            more_trades: check.more_trades,
        };
        Self {
            verdict: report.verdict,
            summary: report.summary(),
            overall: report.overall,
            min_overall: report.min_overall,
            checks: report.checks.iter().map(check).collect(),
        }
    }
}
