//! Refitting the model on parts of the trades, and judging each refit on trades it has not seen.

use jiff::SignedDuration;

use super::{
    example::Examples,
    figures::PolicyFigures,
    fitter::{Fitted, Fitter, NoFit, TrainingSet},
    options::ValidationOptions,
    progress::{Progress, Stage},
    splits::{Life, Lives, Split, SplitError, TimeSplit, Window, blocks},
};
use crate::features::table::Rows;

/// Why a part of the validation could not be done, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Missing(pub String);

/// What is refitted.
pub(super) struct Refit<'a> {
    pub examples: &'a Examples,
    pub fitter: &'a Fitter<'a>,
    pub options: &'a ValidationOptions,
}

/// A strength that was chosen.
pub(super) struct Choice {
    pub strength: f64,
    /// Loss on the validation part by strength.
    pub losses: Vec<(f64, f64)>,
    /// Strengths that could not be tried, and why.
    pub notes: Vec<String>,
}

/// Cross-validation at several strengths, over the same folds.
#[derive(Default)]
pub(super) struct CrossValidation {
    /// The strengths that could be fitted on every fold.
    pub strengths: Vec<f64>,
    /// Those that could not, and why.
    pub notes: Vec<String>,
    /// Per strength, the score of every row by the model that had not seen it, in the order of the rows.
    pub scores: Vec<Vec<f64>>,
    /// Per fold, accuracy or correlation at the chosen strength; what is not defined is not there.
    pub folds: Vec<f64>,
    /// Per fold, what the columns say at the chosen strength.
    pub effects: Vec<Vec<(Box<str>, f64)>>,
}

/// A walk through the trades in the order of time.
#[derive(Default)]
pub(super) struct Walk {
    /// Per step, accuracy or correlation; what is not defined is not there.
    pub steps: Vec<f64>,
    /// The rows judged, ascending.
    pub rows: Vec<usize>,
    /// Their scores.
    pub scores: Vec<f64>,
}

impl From<NoFit> for Missing {
    fn from(error: NoFit) -> Self {
        Self(error.0)
    }
}

impl From<SplitError> for Missing {
    fn from(error: SplitError) -> Self {
        Self(error.to_string())
    }
}

impl Refit<'_> {
    /// Where a model of `rows` says yes.
    pub fn point(&self, rows: &[usize]) -> f64 {
        let goal = self.examples.goal();
        let stated = self.options.decision_point.filter(|_| goal.is_class());
        stated.unwrap_or_else(|| goal.point(&self.examples.truth(rows)))
    }

    /// A model of `rows`.
    pub fn fit(&self, rows: &[usize], strength: f64) -> Result<Fitted, NoFit> {
        self.fit_to(rows, &self.examples.truth(rows), strength)
    }

    /// A model of `rows`, told that this is their `truth`.
    fn fit_to(&self, rows: &[usize], truth: &[f64], strength: f64) -> Result<Fitted, NoFit> {
        (self.fitter)(&TrainingSet { examples: self.examples, rows, truth, strength })
    }

    /// Scores of `rows`, checked: one each, finite, and from 0 to 1 where the goal asks for that. What a regression
    /// predicts beyond 0 and 1 is cut there.
    pub fn score(&self, model: &Fitted, rows: &[usize]) -> Result<Vec<f64>, NoFit> {
        self.score_rows(model, &self.examples.table().rows(rows))
    }

    /// The same for rows of inputs.
    pub fn score_rows(&self, model: &Fitted, rows: &Rows<'_>) -> Result<Vec<f64>, NoFit> {
        let goal = self.examples.goal();
        let mut scores = (model.score)(rows)?;
        if scores.len() != rows.len() {
            return Err(NoFit(format!("the model gave {} scores for {} rows", scores.len(), rows.len())));
        }
        if goal.is_share() && !goal.is_class() {
            scores.iter_mut().for_each(|score| *score = score.clamp(0.0, 1.0));
        }
        let usable = |score: &f64| if goal.is_class() { (0.0..=1.0).contains(score) } else { score.is_finite() };
        match scores.iter().find(|score| !usable(score)) {
            Some(score) => Err(NoFit(format!("the model scored a row {score}"))),
            None => Ok(scores),
        }
    }

    fn embargo(&self) -> SignedDuration {
        // checked with the options
        SignedDuration::try_from_secs_f64(self.options.splits.embargo_hours * 3600.0).unwrap_or_default()
    }

    /// Lives of `rows`; row numbers of its splits are places in `rows`.
    fn lives(&self, rows: &[usize]) -> Result<Lives, SplitError> {
        let lives: Vec<Life> = self.examples.pick(rows).map(|example| example.life).collect();
        Lives::new(lives)
    }

    /// The strength with the lowest loss on the validation part, the larger one of equals. One that cannot be fitted is not
    /// chosen, unless the options ask for it.
    ///
    /// # Errors
    /// [`NoFit`] where none can be fitted.
    pub fn choose_strength(&self, split: &TimeSplit, progress: &mut Progress<'_>) -> Result<Choice, NoFit> {
        let truth = self.examples.truth(&split.validation);
        let (mut losses, mut failed) = (Vec::new(), Vec::new());
        for &strength in &self.options.strengths {
            progress.tick(Stage::Choice);
            let scores = self.fit(&split.train, strength).and_then(|model| self.score(&model, &split.validation));
            match scores {
                Ok(scores) => losses.extend(self.examples.goal().loss(&truth, &scores).map(|loss| (strength, loss))),
                Err(error) => failed.push((strength, error)),
            }
        }
        let best = losses.iter().rev().min_by(|a, b| a.1.total_cmp(&b.1));
        let Some(strength) = self.options.strength.or(best.map(|(strength, _)| *strength)) else {
            let error = failed.into_iter().next().map(|(_, error)| error);
            return Err(
                error.unwrap_or_else(|| NoFit("the validation part is empty: no strength can be chosen".to_owned()))
            );
        };
        let notes =
            failed.iter().map(|(strength, error)| skipped("choice of the strength", *strength, error)).collect();
        Ok(Choice { strength, losses, notes })
    }

    /// Judges every row of `rows` once, by purged folds. A strength other than the chosen one that cannot be fitted on one of
    /// the folds is left out of all.
    pub fn cross_validate(
        &self,
        rows: &[usize],
        strengths: &[f64],
        chosen: f64,
        progress: &mut Progress<'_>,
    ) -> Result<CrossValidation, Missing> {
        let goal = self.examples.goal();
        // that of all rows: what a fold leaves over wins the less often, the more often the fold does
        let point = self.point(rows);
        let folds = self.lives(rows)?.purged_k_fold(self.options.splits.folds, self.embargo())?;
        let folds: Vec<Split> = folds.iter().map(|fold| within(rows, fold)).collect();
        let (mut notes, mut hits, mut effects) = (Vec::new(), Vec::new(), Vec::new());
        // per strength its scores, unless it failed on a fold
        let mut kept: Vec<(f64, Option<Vec<f64>>)> = strengths.iter().map(|s| (*s, Some(Vec::new()))).collect();
        for fold in &folds {
            for (strength, scores) in &mut kept {
                let Some(out) = scores else { continue };
                progress.tick(Stage::CrossValidation);
                let judged = self.fit(&fold.train, *strength).and_then(|model| {
                    let scores = self.score(&model, &fold.test)?;
                    Ok((model, scores))
                });
                match judged {
                    Ok((model, scores)) => {
                        if *strength == chosen {
                            hits.extend(goal.hit(&self.examples.truth(&fold.test), &scores, point));
                            effects.push(model.effects);
                        }
                        out.extend(scores);
                    }
                    Err(error) if *strength == chosen => return Err(Missing::from(error)),
                    Err(error) => {
                        notes.push(skipped("cross-validation", *strength, &error));
                        *scores = None;
                    }
                }
            }
        }
        let whole = kept.into_iter().filter_map(|(strength, scores)| Some((strength, scores?)));
        let (strengths, scores) = whole.unzip();
        Ok(CrossValidation { strengths, notes, scores, folds: hits, effects })
    }

    /// Walks through all trades, each step judged by a model of what came before.
    pub fn walk_forward(&self, window: Window, strength: f64, progress: &mut Progress<'_>) -> Result<Walk, Missing> {
        let splits = &self.options.splits;
        let first = (self.examples.len() as f64 * splits.first_step_share).round() as usize;
        let mut walk = Walk::default();
        for Split { train, test } in self.examples.lives().walk_forward(first, splits.steps, window)? {
            progress.tick(Stage::WalkForward);
            let scores = self.score(&self.fit(&train, strength)?, &test)?;
            let goal = self.examples.goal();
            let point = self.point(&train);
            walk.steps.extend(goal.hit(&self.examples.truth(&test), &scores, point));
            walk.rows.extend(test);
            walk.scores.extend(scores);
        }
        Ok(walk)
    }

    /// Combinatorial purged cross-validation of `rows`: the policy's Sharpe ratio on each path through all of them
    /// (Lopez de Prado 2018, section 12.4).
    pub fn paths(
        &self,
        rows: &[usize],
        strength: f64,
        progress: &mut Progress<'_>,
    ) -> Result<Vec<Option<f64>>, Missing> {
        let splits = &self.options.splits;
        let lives = self.lives(rows)?;
        let groups: Vec<usize> = blocks(0..rows.len(), splits.groups).map(|block| block.len()).collect();
        let mut scores: Vec<Vec<Vec<f64>>> = vec![Vec::new(); splits.groups];
        for combination in lives.combinatorial(splits.groups, splits.judged_groups, self.embargo())? {
            progress.tick(Stage::Paths);
            let split = within(rows, &combination.split);
            let all = self.score(&self.fit(&split.train, strength)?, &split.test)?;
            let mut rest = all.as_slice();
            for group in combination.groups {
                let (own, others) = rest.split_at(groups.get(group).copied().unwrap_or_default().min(rest.len()));
                scores.get_mut(group).into_iter().for_each(|of_group| of_group.push(own.to_vec()));
                rest = others;
            }
        }
        let count = scores.iter().map(Vec::len).min().unwrap_or_default();
        let path = |path: usize| -> Vec<f64> {
            scores.iter().filter_map(|group| group.get(path)).flatten().copied().collect()
        };
        Ok((0..count).map(|number| self.policy(rows, &path(number)).and_then(|figures| figures.earned())).collect())
    }

    /// The multiplier at which the policy trades each of `rows` at these scores; 0 is no trade.
    pub fn sizes(&self, rows: &[usize], scores: &[f64], threshold: f64) -> Vec<f64> {
        let policy = self.options.policy.at(threshold);
        self.examples.pick(rows).zip(scores).map(|(example, &score)| policy.size(example.confidence, score)).collect()
    }

    /// What the policy earns on `rows`; `None` for goals whose scores cannot be blended.
    pub fn policy(&self, rows: &[usize], scores: &[f64]) -> Option<PolicyFigures> {
        let offered: Vec<_> = self.examples.pick(rows).collect();
        let sizes = self.sizes(rows, scores, self.options.policy.trade_threshold);
        self.examples.goal().is_share().then(|| PolicyFigures::of(&offered, &sizes)).flatten()
    }

    /// The rows before a test part as a choice of strength needs them: the latest share of them to choose on.
    pub fn before(&self, learnt: &[usize], test: &[usize]) -> Result<TimeSplit, Missing> {
        let wanted = self.options.splits.validation_share * self.examples.len() as f64 / learnt.len().max(1) as f64;
        let split = self.lives(learnt)?.time_split(0.0, wanted.min(0.5))?;
        let Split { train, test: validation } = within(learnt, &Split { train: split.train, test: split.test });
        Ok(TimeSplit { train, validation, test: test.to_vec() })
    }
}

fn skipped(what: &str, strength: f64, error: &NoFit) -> String {
    format!("{what}: the strength {strength} was left out: {error}")
}

/// From places in `rows` to row numbers.
fn within(rows: &[usize], split: &Split) -> Split {
    let map = |places: &[usize]| places.iter().filter_map(|place| rows.get(*place).copied()).collect();
    Split { train: map(&split.train), test: map(&split.test) }
}
