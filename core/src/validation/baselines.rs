//! The models of lower levels, on the same trades: what a model must beat to be worth its complexity.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use super::{
    example::Goal,
    fitter::Fitter,
    options::ValidationOptions,
    progress::{Progress, Stage},
    refit::{Missing, Refit},
    splits::TimeSplit,
};
use crate::models::levels::{Level, Thresholds, bar};

/// Resamples of the test part for the comparison of two skills.
const RESAMPLES: usize = 500;
/// Stream of the random numbers for it; the others are in `stability`.
const STREAM: u128 = 4;

/// What a model has to beat.
pub struct BaselineModels<'a> {
    /// Its own level.
    pub level: Level,
    /// By how much it has to beat what is below.
    pub thresholds: Thresholds,
    /// A model of each level below.
    pub below: Vec<BaselineModel<'a>>,
}

/// A model of a lower level.
pub struct BaselineModel<'a> {
    /// Its level.
    pub level: Level,
    /// How it is made.
    pub fitter: &'a Fitter<'a>,
    /// The strengths to choose from, as for the model itself.
    pub strengths: &'a [f64],
}

/// How the model stands to those of lower levels, all judged on the test part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgainstBaselines {
    /// What the best of them reached: the Sharpe ratio of its policy, or its skill where a score has none.
    pub best_below: Option<f64>,
    /// What the model reached.
    pub own: Option<f64>,
    /// What it must reach.
    pub bar: Option<f64>,
    /// One-sided p-value of its skill against that of the linear model, by resampling the test trades.
    pub beats_linear_p: Option<f64>,
    /// Each of them: its level, the strength chosen, the figure and the skill.
    pub below: Vec<Below>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Below {
    /// Its level.
    pub level: Level,
    /// Strength of its regularisation.
    pub strength: f64,
    /// Sharpe ratio of its policy, or its skill where a score has none.
    pub figure: Option<f64>,
    /// Its skill.
    pub skill: Option<f64>,
}

impl BaselineModels<'_> {
    /// How many configurations are tried for them.
    pub(super) fn configurations(&self) -> usize {
        self.below.iter().map(|baseline| baseline.strengths.len()).sum()
    }

    /// Fits them to `learnt` and judges them on the test part of `split`, whose `scores` by the model itself are known.
    pub(super) fn stand(
        &self,
        refit: &Refit<'_>,
        split: &TimeSplit,
        learnt: &[usize],
        scores: &[f64],
        progress: &mut Progress<'_>,
    ) -> Result<AgainstBaselines, Missing> {
        if scores.len() != split.test.len() {
            return Err(Missing("the model was judged on other trades".to_owned()));
        }
        let goal = refit.examples.goal();
        let truth = refit.examples.truth(&split.test);
        let (mut below, mut beats_linear_p) = (Vec::new(), None);
        for baseline in &self.below {
            let options =
                ValidationOptions { strengths: baseline.strengths.to_vec(), strength: None, ..refit.options.clone() };
            let other = Refit { examples: refit.examples, fitter: baseline.fitter, options: &options };
            let strength = other.choose_strength(split, progress)?.strength;
            progress.tick(Stage::Rivals);
            let theirs = other.score(&other.fit(learnt, strength)?, &split.test)?;
            if baseline.level == Level::Linear {
                beats_linear_p = beats_p(goal, &truth, scores, &theirs, refit.options.seed);
            }
            let skill = goal.skill(&truth, &theirs);
            below.push(Below { level: baseline.level, strength, figure: figure(&other, split, &theirs), skill });
        }
        let best_below = below.iter().filter_map(|below| below.figure).reduce(f64::max);
        let own = figure(refit, split, scores);
        let bar = bar(self.level, best_below, &self.thresholds);
        Ok(AgainstBaselines { best_below, own, bar, beats_linear_p, below })
    }
}

/// The Sharpe ratio of the policy, 0 for one that takes no trade, or the skill of scores that cannot be blended.
fn figure(refit: &Refit<'_>, split: &TimeSplit, scores: &[f64]) -> Option<f64> {
    let goal = refit.examples.goal();
    if goal.is_share() {
        return refit.policy(&split.test, scores).and_then(|figures| figures.earned());
    }
    goal.skill(&refit.examples.truth(&split.test), scores)
}

/// Share of the resamples of the test rows in which `own` scores are no better than `others`, both judged on the same
/// rows.
fn beats_p(goal: Goal, truth: &[f64], own: &[f64], others: &[f64], seed: u64) -> Option<f64> {
    let rows = truth.len();
    let mut rng = Pcg64::new(seed.into(), STREAM);
    let (mut defined, mut no_better) = (0_usize, 0_usize);
    for _ in 0..RESAMPLES {
        let drawn: Vec<usize> = (0..rows).map(|_| rng.random_range(0..rows.max(1))).collect();
        let of = |values: &[f64]| -> Vec<f64> { drawn.iter().filter_map(|row| values.get(*row).copied()).collect() };
        let truth = of(truth);
        let skills = goal.skill(&truth, &of(own)).zip(goal.skill(&truth, &of(others)));
        defined += usize::from(skills.is_some());
        no_better += usize::from(skills.is_some_and(|(own, others)| own <= others));
    }
    (2 * defined > RESAMPLES).then(|| (no_better + 1) as f64 / (defined + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_is_compared_on_the_same_rows() {
        let truth: Vec<f64> = (0..200).map(|row| f64::from(row % 2)).collect();
        let good: Vec<f64> = truth.iter().map(|truth| 0.3 + 0.4 * truth).collect();
        let noise: Vec<f64> = (0..200).map(|row| f64::from(row * 37 % 101) / 101.0).collect();
        let p = |own: &[f64], others: &[f64]| beats_p(Goal::Profitability, &truth, own, others, 7).unwrap();
        assert!(p(&good, &noise) < 0.01 && p(&noise, &good) > 0.99, "{} {}", p(&good, &noise), p(&noise, &good));
        assert_eq!(p(&good, &good), 1.0);
        assert_eq!(beats_p(Goal::Profitability, &[1.0; 9], &[0.5; 9], &[0.4; 9], 7), None);
        assert_eq!(beats_p(Goal::Profitability, &[], &[], &[], 7), None);
    }
}
