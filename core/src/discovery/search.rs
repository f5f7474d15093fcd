//! The search itself: each candidate against the null, all of them against the number of candidates, what is left against time and
//! against what the model knows already.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{
    ablation::{Ablation, Gain},
    error::DiscoverError,
    null::{BLOCKS, Outcome, Skill, rank_of},
};
use crate::{
    stats::{interval::Interval, multiple},
    validation::{Examples, Recipe},
};

/// Most candidates of one search.
pub const MOST_CANDIDATES: usize = 2_000;
/// Fewest trades a search begins with: twenty a block.
pub const FEWEST_TRADES: usize = 20 * BLOCKS;
/// Of the smallest p-value that can count, how many times fewer a drawn order is worth.
const FINER: f64 = 3.0;
/// Most orders that are drawn for one candidate.
const MOST_ORDERS: f64 = 500_000.0;

/// How a search is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DiscoveryOptions {
    /// Share of what is found that may be there by chance, on average; above 0, below 1.
    pub false_discovery_rate: f64,
    /// Parts of the time in which a relation must keep its sign, and folds of the ablation; at least 2.
    pub folds: usize,
    /// In how many of them, at least.
    pub stable_folds: usize,
    /// Hours after a judged fold in which no trade that begins is learnt from.
    pub embargo_hours: f64,
    /// Seed of everything random.
    pub seed: u64,
}

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The name that it would have as an input, of its own.
    pub name: Box<str>,
    /// The expression.
    pub expression: Box<str>,
    /// One value a trade, turned to its side.
    pub values: Vec<Option<f64>>,
}

/// How far a candidate came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It knows something, in all of the time, that the model did not know.
    Found,
    /// It knows something that the model knew already, or too little to be sure that it helps.
    AddsNothing,
    /// It knows something, in some of the time only.
    Unstable,
    /// It may be chance.
    Chance,
    /// Too few of its values are known, or they hardly vary.
    Unusable,
}

/// What came of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name.
    pub name: Box<str>,
    /// Its expression.
    pub expression: Box<str>,
    /// How far it came.
    pub standing: Standing,
    /// Correlation of its ranks with the outcome, -1 to 1. `None` where it is unusable.
    pub correlation: Option<f64>,
    /// Where that may lie, 95 %, for this one alone.
    pub interval: Option<Interval>,
    /// Chance of as much or more where it knows nothing.
    pub p: Option<f64>,
    /// The lowest share of false findings at which it is among them.
    pub false_discovery_rate: Option<f64>,
    /// Share of the trades in which it is known.
    pub known: f64,
    /// Folds in which it keeps its sign; `None` where that was not asked.
    pub stable_folds: Option<usize>,
    /// What a model gains by it; `None` where that was not asked.
    pub gain: Option<Gain>,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discovery {
    /// Trades that were looked at.
    pub trades: usize,
    /// Folds that there are.
    pub folds: usize,
    /// Candidates that were tried; those that are unusable are not counted.
    pub tried: usize,
    /// Most orders drawn for one of them.
    pub orders: u32,
    /// All of them: those that came farthest first, then by their p-value.
    pub findings: Vec<Finding>,
}

impl Discovery {
    /// What was found, the surest first.
    pub fn found(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.standing == Standing::Found)
    }
}

/// Tries each of `candidates` on `examples`, which are the trades before the test part with the inputs that a model has already.
/// `recipe` makes the models of the ablation. `progress` is told the share done.
///
/// The same input gives the same findings.
///
/// # Errors
/// [`DiscoverError`] says what is missing.
pub fn search(
    examples: &Examples,
    candidates: &[Candidate],
    recipe: &Recipe<'_>,
    options: &DiscoveryOptions,
    progress: &mut dyn FnMut(f64),
) -> Result<Discovery, DiscoverError> {
    check(examples, candidates, options)?;
    let trades = examples.len();
    let all: Vec<usize> = (0..trades).collect();
    let truth = examples.truth(&all);
    let truth = if examples.goal().is_class() { Some(truth) } else { rank_of(&truth) };
    let constant = DiscoverError::Constant { trades };
    let truth = truth.ok_or(constant.clone())?;
    let outcome = Outcome::new(&truth).ok_or(constant)?;
    let orders = orders(candidates.len(), options.false_discovery_rate);
    let mut skills = Vec::with_capacity(candidates.len());
    for (place, candidate) in candidates.iter().enumerate() {
        let seed = options.seed.wrapping_add(place as u64);
        skills.push(outcome.skill(&candidate.values, orders, seed));
        progress(0.7 * (place + 1) as f64 / candidates.len() as f64);
    }
    let mut findings = judged(candidates, &skills, options.false_discovery_rate);
    let tried = skills.iter().flatten().count();
    findings.sort_by(|(a, _), (b, _)| a.standing.cmp(&b.standing).then(by_p(a, b)));
    let hopeful = findings.iter().filter(|(finding, _)| finding.standing == Standing::Found).count();
    let embargo = SignedDuration::try_from_secs_f64(3600.0 * options.embargo_hours).unwrap_or(SignedDuration::ZERO);
    let mut ablation = None;
    for (done, (finding, values)) in findings.iter_mut().take(hopeful).enumerate() {
        let stable = stable_folds(&truth, values, finding.correlation.unwrap_or_default(), options.folds);
        finding.stable_folds = Some(stable);
        if stable < options.stable_folds {
            finding.standing = Standing::Unstable;
            continue;
        }
        let model = match &mut ablation {
            Some(model) => model,
            none => {
                let splits = examples.lives().purged_k_fold(options.folds, embargo)?;
                none.insert(Ablation::new(examples, splits, recipe)?)
            }
        };
        finding.gain = model.try_input(&finding.name, values)?;
        if finding.gain.is_none_or(|gain| gain.interval.low <= 0.0) {
            finding.standing = Standing::AddsNothing;
        }
        progress(0.7 + 0.3 * (done + 1) as f64 / hopeful as f64);
    }
    findings.sort_by(|(a, _), (b, _)| a.standing.cmp(&b.standing).then(by_p(a, b)));
    let findings = findings.into_iter().map(|(finding, _)| finding).collect();
    progress(1.0);
    Ok(Discovery { trades, folds: options.folds, tried, orders, findings })
}

fn by_p(a: &Finding, b: &Finding) -> std::cmp::Ordering {
    a.p.unwrap_or(1.0).total_cmp(&b.p.unwrap_or(1.0))
}

fn check(examples: &Examples, candidates: &[Candidate], options: &DiscoveryOptions) -> Result<(), DiscoverError> {
    let rate = options.false_discovery_rate;
    if !(rate > 0.0 && rate < 1.0) {
        return Err(DiscoverError::Option {
            what: "the false discovery rate",
            value: rate,
            range: "above 0 and below 1",
        });
    }
    if options.folds < 2 || options.stable_folds > options.folds {
        let value = options.folds as f64;
        return Err(DiscoverError::Option {
            what: "the number of folds",
            value,
            range: "2 to the number of stable ones",
        });
    }
    if candidates.len() > MOST_CANDIDATES {
        return Err(DiscoverError::TooMany { have: candidates.len(), most: MOST_CANDIDATES });
    }
    let expected = examples.len();
    if expected < FEWEST_TRADES {
        return Err(DiscoverError::TooFewTrades { have: expected, need: FEWEST_TRADES });
    }
    match candidates.iter().find(|candidate| candidate.values.len() != expected) {
        Some(Candidate { name, values, .. }) => {
            Err(DiscoverError::Length { name: name.clone(), found: values.len(), expected })
        }
        None => Ok(()),
    }
}

/// Orders to draw, so that the smallest p-value that counts can be told.
fn orders(candidates: usize, rate: f64) -> u32 {
    let candidates = candidates.max(1);
    (FINER * candidates as f64 * multiple::harmonic(candidates) / rate).min(MOST_ORDERS) as u32
}

/// Every candidate with what the null and the number of them say; what may be found stands as found.
fn judged<'a>(candidates: &'a [Candidate], skills: &[Option<Skill>], rate: f64) -> Vec<(Finding, &'a [Option<f64>])> {
    let p: Vec<f64> = skills.iter().flatten().map(|skill| skill.p).collect();
    let mut adjusted = multiple::benjamini_yekutieli(&p).unwrap_or_default().into_iter();
    let one = |(candidate, skill): (&'a Candidate, &Option<Skill>)| {
        let adjusted = skill.and_then(|_| adjusted.next());
        let standing = match adjusted {
            None => Standing::Unusable,
            Some(adjusted) if adjusted <= rate => Standing::Found,
            Some(_) => Standing::Chance,
        };
        let known = candidate.values.iter().flatten().count() as f64 / candidate.values.len().max(1) as f64;
        let finding = Finding {
            name: candidate.name.clone(),
            expression: candidate.expression.clone(),
            standing,
            correlation: skill.map(|skill| skill.correlation),
            interval: skill.map(|skill| skill.interval),
            p: skill.map(|skill| skill.p),
            false_discovery_rate: adjusted,
            known,
            stable_folds: None,
            gain: None,
        };
        (finding, candidate.values.as_slice())
    };
    candidates.iter().zip(skills).map(one).collect()
}

/// Folds in which the candidate goes with the outcome in the direction that it has in all, each fold around its own means.
fn stable_folds(truth: &[f64], values: &[Option<f64>], direction: f64, folds: usize) -> usize {
    let n = truth.len();
    let keeps = |fold: usize| {
        let range = fold * n / folds..(fold + 1) * n / folds;
        let both = values.get(range.clone()).zip(truth.get(range));
        let known: Vec<(f64, f64)> = both.map_or(Vec::new(), |(values, truth)| {
            values.iter().zip(truth).filter_map(|(x, y)| Some(((*x)?, *y))).collect()
        });
        let (x, y): (Vec<f64>, Vec<f64>) = known.into_iter().unzip();
        let ranked = rank_of(&x);
        ranked.and_then(|x| crate::stats::association::correlation(&x, &y)).is_some_and(|own| own * direction > 0.0)
    };
    (0..folds).filter(|fold| keeps(*fold)).count()
}
