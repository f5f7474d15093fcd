//! Whether a model says the same about other draws of the same trades, other months and other regimes.

use std::{collections::BTreeMap, iter};

use rand::{RngExt, seq::SliceRandom};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

pub use super::rotation::Null;
use super::{
    example::{Example, Examples},
    fitter::{Fitted, NoFit},
    progress::{Progress, Stage},
    refit::{Missing, Refit},
    regime::regimes,
    rotation::rotations,
};
use crate::{
    domain::snapshot::{TrendRegime, VolatilityRegime},
    stats::{
        autocorrelation::inflation,
        describe::{mean, quantile, standard_deviation},
        interval::{Interval, two_sided_z},
    },
};

/// Share of refits that may fail before their spread says nothing.
const MAX_FAILED: f64 = 0.1;
/// Known values that an input needs to be looked at alone.
const MIN_KNOWN: usize = 50;

/// Test skill over refits on bootstrap samples of the rows learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Refits that gave a model.
    pub refits: usize,
    /// Mean test skill.
    pub mean: f64,
    /// Standard deviation of the test skill.
    pub deviation: f64,
    /// 5 % and 95 % quantile of the test skill.
    pub range: (f64, f64),
    /// Standard deviation of a test row's score, averaged over the rows.
    pub score_deviation: f64,
}

/// How much of the test skill is lost when an input is shuffled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Importance {
    /// Name of the input.
    pub input: Box<str>,
    /// Mean loss of skill over the repeats; below 0 the input does harm.
    pub loss: f64,
    /// Its standard deviation over the repeats.
    pub deviation: f64,
}

/// Skill on the trades of one month or one regime, all judged by models that had not seen them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, such as `2016-03` or `volatility high`.
    pub name: Box<str>,
    /// Trades in it.
    pub trades: usize,
    /// Skill there; `None` where it is not defined.
    pub skill: Option<f64>,
    /// What taking every trade made; of regimes only, and not in older reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_trade: Option<Earned>,
    /// What the policy made of the same trades, those it skips counted as 0; `None` where there is no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Earned>,
}

/// What a signal made on average, in account currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Earned {
    /// The mean.
    pub mean: f64,
    /// Where it may lie, 95 %, with the memory of the trades.
    pub interval: Interval,
}

impl Refit<'_> {
    /// Refits on samples of `rows` with replacement, each judged on `test`.
    pub fn bootstrap(
        &self,
        rows: &[usize],
        test: &[usize],
        strength: f64,
        progress: &mut Progress<'_>,
    ) -> Result<Bootstrap, Missing> {
        let mut rng = self.random(1);
        let truth = self.examples.truth(test);
        let (mut skills, mut failed) = (Vec::new(), Vec::new());
        let mut of_row = vec![(0.0, 0.0); test.len()];
        for _ in 0..self.options.effort.bootstrap {
            progress.tick(Stage::Bootstrap);
            let mut times = vec![0; rows.len()];
            for _ in rows {
                times.get_mut(rng.random_range(0..rows.len())).into_iter().for_each(|times| *times += 1);
            }
            let sample: Vec<usize> = rows.iter().zip(times).flat_map(|(row, n)| iter::repeat_n(*row, n)).collect();
            match self.fit(&sample, strength).and_then(|model| self.score(&model, test)) {
                Ok(scores) => {
                    for ((sum, squares), score) in of_row.iter_mut().zip(&scores) {
                        *sum += score;
                        *squares += score * score;
                    }
                    skills.extend(self.examples.goal().skill(&truth, &scores));
                }
                Err(error) => failed.push(error),
            }
        }
        check_failures(&failed, self.options.effort.bootstrap)?;
        let n = (self.options.effort.bootstrap - failed.len()) as f64;
        let deviations = of_row.iter().map(|(sum, squares)| ((squares - sum * sum / n) / (n - 1.0)).max(0.0).sqrt());
        let score_deviation = mean(&deviations.collect::<Vec<f64>>());
        let summary = || {
            let range = (quantile(&skills, 0.05)?, quantile(&skills, 0.95)?);
            let (mean, deviation) = (mean(&skills)?, standard_deviation(&skills)?);
            Some(Bootstrap { refits: skills.len(), mean, deviation, range, score_deviation: score_deviation? })
        };
        summary().ok_or_else(|| Missing("the skill of the refits is not defined".to_owned()))
    }

    /// The skill of `scores` on `test` against that on labels shifted in a circle by whole trading days.
    pub fn null(&self, test: &[usize], scores: &[f64], progress: &mut Progress<'_>) -> Result<Null, Missing> {
        progress.tick(Stage::Null);
        let rows: Vec<&Example> = self.examples.pick(test).collect();
        let (least, most) = (self.least_sessions(), self.options.effort.null);
        match rotations(self.examples.goal(), &rows, scores, least, most, &mut self.random(2)) {
            Ok(Some(null)) => Ok(null),
            Ok(None) => Err(Missing("the skill on shifted labels is not defined".to_owned())),
            Err(days) => Err(Missing(format!(
                "the test part has {days} trading days: a p-value that can pass needs {least}, about {:.1} times the trades",
                least as f64 / days.max(1) as f64
            ))),
        }
    }

    /// Trading days from which the best of all shifts is good enough.
    fn least_sessions(&self) -> usize {
        let most = self.options.gates.max_p_value.max(1e-4);
        (1.0 / most - 1e-9).ceil().max(2.0) as usize
    }

    /// Permutation importance (Breiman 2001) of every input on `test`, most important first, and how stable the `top`
    /// are: the share of them that is on top in a single repeat, averaged over the repeats.
    pub fn importance(
        &self,
        model: &Fitted,
        test: &[usize],
        observed: f64,
        progress: &mut Progress<'_>,
    ) -> Result<(Vec<Importance>, Option<f64>), Missing> {
        let mut rng = self.random(3);
        let truth = self.examples.truth(test);
        let rows = self.examples.table().rows(test);
        let mut losses: Vec<(Box<str>, Vec<f64>)> = Vec::new();
        for (position, name) in self.examples.schema().names().enumerate() {
            progress.tick(Stage::Importance);
            let mut shuffled = test.to_vec();
            let mut of_input = Vec::new();
            let is_known = (0..rows.len()).any(|place| rows.value(place, position).is_some());
            for _ in 0..self.options.effort.importance {
                if is_known {
                    shuffled.shuffle(&mut rng);
                }
                let scores = self.score_rows(model, &rows.with_input_of(position, &shuffled))?;
                of_input.extend(self.examples.goal().skill(&truth, &scores).map(|skill| observed - skill));
            }
            losses.push((name.into(), of_input));
        }
        let agreement = self.importance_agreement(&losses);
        let mut found: Vec<Importance> =
            losses.into_iter().filter_map(|(input, losses)| summary(input, &losses)).collect();
        found.sort_by(|a, b| b.loss.total_cmp(&a.loss).then_with(|| a.input.cmp(&b.input)));
        Ok((found, agreement))
    }

    fn importance_agreement(&self, losses: &[(Box<str>, Vec<f64>)]) -> Option<f64> {
        let repeats = losses.iter().map(|(_, losses)| losses.len()).min()?;
        let in_repeat = |repeat: usize| -> Vec<(Box<str>, f64)> {
            losses.iter().filter_map(|(name, losses)| Some((name.clone(), *losses.get(repeat)?))).collect()
        };
        let means: Vec<(Box<str>, f64)> =
            losses.iter().filter_map(|(name, losses)| Some((name.clone(), mean(losses)?))).collect();
        let top = top_of(&means, self.options.gates.top_features, |loss| loss);
        let shares = (0..repeats).map(|repeat| {
            let own = top_of(&in_repeat(repeat), self.options.gates.top_features, |loss| loss);
            top.iter().filter(|name| own.contains(name)).count() as f64 / top.len() as f64
        });
        mean(&shares.collect::<Vec<f64>>())
    }

    fn random(&self, stream: u128) -> Pcg64 {
        Pcg64::new(self.options.seed.into(), stream)
    }
}

/// Whether the folds agree on what matters: the share of the `top` columns (largest mean effect) that have the same
/// sign in a fold and are among its own top ones, averaged over the folds. `None` without effects.
pub(super) fn feature_stability(folds: &[Vec<(Box<str>, f64)>], top: usize) -> Option<f64> {
    if folds.len() < 2 || folds.iter().any(Vec::is_empty) {
        return None;
    }
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, effect) in folds.iter().flatten() {
        *sums.entry(name).or_default() += effect;
    }
    let means: Vec<(Box<str>, f64)> = sums.iter().map(|(name, sum)| ((*name).into(), *sum)).collect();
    let leading = top_of(&means, top, f64::abs);
    let agreement = folds.iter().map(|fold| {
        let own = top_of(fold, top, f64::abs);
        let agrees = |name: &str| {
            let here = fold.iter().find(|(other, _)| **other == *name).map(|(_, effect)| effect.signum());
            own.iter().any(|other| **other == *name) && here == sums.get(name).map(|sum| sum.signum())
        };
        leading.iter().filter(|name| agrees(name)).count() as f64 / leading.len() as f64
    });
    mean(&agreement.collect::<Vec<f64>>())
}

/// Skill by calendar month, in order; `scores` belong to `rows`.
pub(super) fn by_month(examples: &Examples, rows: &[usize], scores: &[f64]) -> Vec<Group> {
    by(examples, rows, scores, &[], |row| {
        let date = examples.as_slice().get(row)?.day.date();
        Some(format!("{:04}-{:02}", date.year(), date.month()))
    })
    .into_iter()
    .map(|group| Group { every_trade: None, ..group })
    .collect()
}

/// Skill and money by regime: each volatility and each trend as the trader names them, then those that the market shows
/// itself, fitted on `learnt`. `sizes` are those of the policy, none where there is none.
pub(super) fn by_regime(
    examples: &Examples,
    learnt: &[usize],
    rows: &[usize],
    scores: &[f64],
    sizes: &[f64],
    seed: u64,
) -> Vec<Group> {
    let volatility = |example: &Example| {
        let name = match example.volatility? {
            VolatilityRegime::Low => "low",
            VolatilityRegime::Normal => "normal",
            VolatilityRegime::High => "high",
            VolatilityRegime::Extreme => "extreme",
        };
        Some(format!("volatility {name}"))
    };
    let trend = |example: &Example| {
        let name = match example.trend? {
            TrendRegime::TrendUp => "up",
            TrendRegime::TrendDown => "down",
            TrendRegime::Range => "range",
        };
        Some(format!("trend {name}"))
    };
    let names: Vec<[Option<String>; 2]> =
        examples.as_slice().iter().map(|example| [volatility(example), trend(example)]).collect();
    let market = regimes(examples, learnt, seed).unwrap_or_default();
    let mut groups = Vec::new();
    for axis in 0..3 {
        let name = |row: usize| match axis {
            2 => market.get(row).map(|name| (*name).to_owned()),
            _ => names.get(row)?.get(axis)?.clone(),
        };
        groups.extend(by(examples, rows, scores, sizes, name));
    }
    groups
}

/// The input with the most skill of its own over `rows`, in either direction: one that reaches too much knows the
/// outcome.
pub(super) fn strongest_input(examples: &Examples, rows: &[usize]) -> Option<(Box<str>, f64)> {
    let (goal, chance) = (examples.goal(), examples.goal().chance());
    let alone = |(place, name): (usize, &str)| {
        let known =
            examples.pick(rows).filter_map(|example| Some((example.truth, example.values.get(place).copied()??)));
        let (truth, values): (Vec<f64>, Vec<f64>) = known.unzip();
        let skill = goal.skill(&truth, &values).filter(|_| values.len() >= MIN_KNOWN)?;
        Some((name.into(), chance + (skill - chance).abs()))
    };
    examples.schema().names().enumerate().filter_map(alone).max_by(|a, b| a.1.total_cmp(&b.1))
}

/// What is known of the trades of a group.
#[derive(Default)]
struct Members {
    truth: Vec<f64>,
    scores: Vec<f64>,
    every_trade: Vec<f64>,
    policy: Vec<f64>,
}

fn by(
    examples: &Examples,
    rows: &[usize],
    scores: &[f64],
    sizes: &[f64],
    key: impl Fn(usize) -> Option<String>,
) -> Vec<Group> {
    let mut groups: BTreeMap<String, Members> = BTreeMap::new();
    for (place, (row, score)) in rows.iter().zip(scores).enumerate() {
        let Some((key, example)) = key(*row).zip(examples.as_slice().get(*row)) else { continue };
        let members = groups.entry(key).or_default();
        members.truth.push(example.truth);
        members.scores.push(*score);
        members.every_trade.push(example.pnl);
        members.policy.extend(sizes.get(place).map(|size| size * example.pnl));
    }
    let group = |(name, Members { truth, scores, every_trade, policy }): (String, Members)| Group {
        name: name.into(),
        trades: truth.len(),
        skill: examples.goal().skill(&truth, &scores),
        every_trade: earned(&every_trade),
        policy: earned(&policy),
    };
    groups.into_iter().map(group).collect()
}

/// `None` for so few trades that nothing can be said of their memory, 50, and where all made the same.
fn earned(pnl: &[f64]) -> Option<Earned> {
    let error = standard_deviation(pnl)? / (pnl.len() as f64).sqrt() * inflation(pnl)?;
    let mean = mean(pnl)?;
    Some(Earned { mean, interval: Interval::around(mean, two_sided_z(0.95)? * error)? })
}

/// Names of the `top` largest by `size`, at most half of all, at least one.
fn top_of(items: &[(Box<str>, f64)], top: usize, size: impl Fn(f64) -> f64) -> Vec<Box<str>> {
    let mut sorted: Vec<&(Box<str>, f64)> = items.iter().collect();
    sorted.sort_by(|a, b| size(b.1).total_cmp(&size(a.1)).then_with(|| a.0.cmp(&b.0)));
    sorted.into_iter().take(top.min(items.len() / 2).max(1)).map(|(name, _)| name.clone()).collect()
}

fn summary(input: Box<str>, losses: &[f64]) -> Option<Importance> {
    Some(Importance { input, loss: mean(losses)?, deviation: standard_deviation(losses)? })
}

fn check_failures(failed: &[NoFit], of: usize) -> Result<(), Missing> {
    match failed.last() {
        Some(error) if failed.len() as f64 > MAX_FAILED * of as f64 => {
            Err(Missing(format!("{} of {of} refits failed, the last one because {error}", failed.len())))
        }
        _ => Ok(()),
    }
}

/// Groups that are large enough and have a skill.
pub(super) fn counted(groups: &[Group], least: usize) -> impl Iterator<Item = (&Group, f64)> {
    groups.iter().filter(move |group| group.trades >= least).filter_map(|group| Some((group, group.skill?)))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    /// What a trader reads: of a hundred such intervals about 95 hold what trades of the kind make.
    #[test]
    fn what_trades_made_lies_where_it_is_said_to_as_often_as_that_is_said() {
        const TIMES: usize = 1_000;
        let mut rng = Pcg64::seed_from_u64(9);
        let normal = |rng: &mut Pcg64| (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        // one win of two losses in three, and a cube: skewed, and with heavy tails
        let skewed = |x: f64| if x > 0.43 { 2.0 } else { -1.0 };
        let shape = |kind, x: f64| [x, skewed(x), x * x * x][kind];
        for (kind, memory, trades) in
            (0..3_usize).flat_map(|kind| [(kind, 0.0, 60), (kind, 0.0, 400), (kind, 0.3, 60), (kind, 0.3, 400)])
        {
            let mut series = |length: usize| -> Vec<f64> {
                let mut last = normal(&mut rng);
                let mut next = || {
                    last = memory * last + (1.0 - memory * memory).sqrt() * normal(&mut rng);
                    shape(kind, last)
                };
                (0..length).map(|_| next()).collect()
            };
            let truth = mean(&series(400_000)).unwrap();
            let held = (0..TIMES).filter(|_| earned(&series(trades)).unwrap().interval.contains(truth)).count();
            println!("kind {kind}, memory {memory}, {trades} trades: {held} of {TIMES}");
            let least = if trades == 60 { 870 } else { 910 };
            assert!((least..990).contains(&held), "kind {kind}, memory {memory}, {trades} trades: {held}");
        }
        assert_eq!(earned(&[1.0, -1.0].repeat(20)), None);
    }

    fn effects(values: [f64; 4]) -> Vec<(Box<str>, f64)> {
        ["a", "b", "c", "d"].into_iter().map(Box::from).zip(values).collect()
    }

    #[test]
    fn columns_that_change_sign_or_rank_between_folds_are_not_stable() {
        let steady = effects([3.0, -2.0, 0.1, 0.0]);
        assert_eq!(feature_stability(&[steady.clone(), steady.clone()], 2), Some(1.0));
        // a keeps its place in all; b turns its sign in one fold of four
        let turned = effects([3.0, 2.0, 0.1, 0.0]);
        let folds = [steady.clone(), steady.clone(), steady.clone(), turned];
        assert_eq!(feature_stability(&folds, 2), Some(7.0 / 8.0));
        // b falls behind c in one fold of four
        let behind = effects([3.0, -0.2, 0.5, 0.0]);
        let folds = [steady.clone(), steady.clone(), steady.clone(), behind];
        assert_eq!(feature_stability(&folds, 2), Some(7.0 / 8.0));
        // at most half of the columns can be on top, or all of them would always agree
        assert_eq!(feature_stability(&[steady.clone(), effects([0.0, 0.1, -2.0, 3.0])], 9), Some(0.5));
        assert_eq!(
            (feature_stability(std::slice::from_ref(&steady), 2), feature_stability(&[steady, Vec::new()], 2)),
            (None, None)
        );
    }
}
