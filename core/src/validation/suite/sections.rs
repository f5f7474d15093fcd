//! The sections of the evidence that refit the model: each is made whole by one function.

use super::{
    Notes,
    subject::{Scored, Subject, every_trade},
};
use crate::{
    domain::TradingDay,
    stats::{overfit::backtest_overfitting, sessions::History},
    validation::{
        backtest,
        evidence::{Gain, MoneyGain},
        example::Example,
        progress::Progress,
        refit::{CrossValidation, Refit},
        splits::Window,
        stability::{self, Bootstrap, Group, Importance, Null},
    },
};

/// The cross-validation.
pub(super) struct CrossValidated {
    pub folds: Vec<f64>,
    pub curve: Vec<(f64, f64)>,
    pub feature_stability: Option<f64>,
    /// Daily pnl of each configuration, see [`backtest::trials`].
    pub trials: Vec<Vec<f64>>,
    /// Configurations tried.
    pub tried: usize,
    pub out_of_fold: History,
}

impl CrossValidated {
    pub fn of(
        refit: &Refit<'_>,
        subject: &Subject,
        scored: &Scored,
        notes: &mut Notes,
        progress: &mut Progress<'_>,
    ) -> Self {
        let Subject { learnt, strength, split, .. } = subject;
        let strengths = strengths_with(&refit.options.strengths, *strength);
        let found = refit.cross_validate(learnt, &strengths, *strength, progress);
        let cross = notes.keep("cross-validation", found).unwrap_or_default();
        let (goal, truth) = (refit.examples.goal(), refit.examples.truth(learnt));
        let CrossValidation { strengths: fitted, notes: left_out, scores, folds, effects } = cross;
        left_out.into_iter().for_each(|note| notes.add(note));
        let by_strength = || fitted.iter().zip(&scores);
        let curve = by_strength()
            .filter_map(|(tried, scores)| Some((*tried, goal.hit(&truth, scores, scored.point)?)))
            .collect();
        let own = by_strength().find(|(tried, _)| *tried == strength);
        let of_folds = own.map(|(_, own)| taken(refit, learnt, own, scored.asked)).unwrap_or_default();
        let of_test = taken(refit, &split.test, &scored.scores, scored.asked);
        let mut out_of_fold = [of_folds, of_test].concat();
        out_of_fold.sort_by_key(|(day, ..)| *day);
        let trials = if scores.is_empty() { Vec::new() } else { backtest::trials(refit, learnt, &scores) };
        Self {
            folds,
            curve,
            feature_stability: stability::feature_stability(&effects, refit.options.gates.top_features),
            tried: trials.len().max(strengths.len()),
            trials,
            out_of_fold: History::of(&out_of_fold),
        }
    }
}

/// What follows from it for the policy. Nothing for a goal whose scores cannot be blended with a confidence.
#[derive(Default)]
pub(super) struct Simulated {
    pub overfitting: Option<f64>,
    pub money: Option<MoneyGain>,
    pub gain: Option<Gain>,
    pub paths: Vec<f64>,
    pub paths_every_trade: Option<f64>,
}

impl Simulated {
    pub fn of(
        refit: &Refit<'_>,
        subject: &Subject,
        scored: &Scored,
        trials: &[Vec<f64>],
        notes: &mut Notes,
        progress: &mut Progress<'_>,
    ) -> Self {
        let goal = refit.examples.goal();
        if !goal.is_share() {
            notes.add(format!("a score of {goal} cannot be blended with a confidence: it has no policy"));
            return Self::default();
        }
        let (Subject { learnt, strength, split, .. }, blocks) = (subject, refit.options.effort.blocks);
        let overfitting = backtest_overfitting(trials, blocks).map(|found| found.probability);
        if overfitting.is_none() {
            let days = 2 * blocks;
            notes.add(format!("probability of overfitting: it needs at least {days} trading days before the test"));
        }
        let gain = backtest::gain(refit, &split.test, &scored.scores, trials);
        if gain.is_none() {
            notes.add(
                "gain over every trade: it needs 11 trading days, and a policy that differs from taking every trade",
            );
        }
        let paths = notes.keep("combinatorial paths", refit.paths(learnt, *strength, progress));
        Self {
            overfitting,
            money: backtest::money(refit, &split.test, &scored.scores),
            gain,
            paths: paths.unwrap_or_default().into_iter().flatten().collect(),
            paths_every_trade: every_trade(refit.examples, learnt).and_then(|figures| figures.sharpe),
        }
    }
}

/// The walks forward, by step, month and regime.
pub(super) struct Walked {
    pub expanding: Vec<f64>,
    pub rolling: Vec<f64>,
    pub months: Vec<Group>,
    pub regimes: Vec<Group>,
}

impl Walked {
    pub fn of(refit: &Refit<'_>, subject: &Subject, notes: &mut Notes, progress: &mut Progress<'_>) -> Self {
        let (examples, strength, learnt) = (refit.examples, subject.strength, &subject.learnt);
        let expanding = refit.walk_forward(Window::Expanding, strength, progress);
        let expanding = notes.keep("expanding walk-forward", expanding).unwrap_or_default();
        let rolling = refit.walk_forward(Window::Rolling, strength, progress);
        let rolling = notes.keep("rolling walk-forward", rolling).unwrap_or_default();
        let (rows, scores) = (&expanding.rows, &expanding.scores);
        let sizes = if examples.goal().is_share() {
            refit.sizes(rows, scores, refit.options.policy.trade_threshold)
        } else {
            Vec::new()
        };
        Self {
            months: stability::by_month(examples, rows, scores),
            regimes: stability::by_regime(examples, learnt, rows, scores, &sizes, refit.options.seed),
            expanding: expanding.steps,
            rolling: rolling.steps,
        }
    }
}

/// Shifted labels, bootstrap and importance. Nothing where the model has no skill to compare.
#[derive(Default)]
pub(super) struct Resampled {
    pub null: Option<Null>,
    pub bootstrap: Option<Bootstrap>,
    pub importance: Vec<Importance>,
    pub importance_stability: Option<f64>,
}

impl Resampled {
    pub fn of(
        refit: &Refit<'_>,
        subject: &Subject,
        scored: &Scored,
        notes: &mut Notes,
        progress: &mut Progress<'_>,
    ) -> Self {
        let Subject { model, learnt, strength, split, .. } = subject;
        let Some(skill) = scored.skill else {
            notes.add("the skill on the test part is not defined: there is nothing to compare");
            return Self::default();
        };
        let null = notes.keep("shifted labels", refit.null(&split.test, &scored.scores, progress));
        let bootstrap = notes.keep("bootstrap", refit.bootstrap(learnt, &split.test, *strength, progress));
        let importance = notes.keep("importance", refit.importance(model, &split.test, skill, progress));
        let (importance, importance_stability) = importance.unwrap_or_default();
        Self { null, bootstrap, importance, importance_stability }
    }
}

/// Those of `rows` that the policy takes at these scores: the day of each, whether it went as the score
/// said at `point`, and its pnl.
fn taken(refit: &Refit<'_>, rows: &[usize], scores: &[f64], point: f64) -> Vec<(TradingDay, bool, f64)> {
    let goal = refit.examples.goal();
    if !goal.is_share() {
        return Vec::new();
    }
    let cut = if goal.is_class() { 0.5 } else { point };
    let sizes = refit.sizes(rows, scores, refit.options.policy.trade_threshold);
    let trades = refit.examples.pick(rows).zip(scores).zip(sizes).filter(|(_, size)| *size > 0.0);
    let went = |example: &Example, score: f64| (score >= point) == (example.truth >= cut);
    trades.map(|((example, score), _)| (example.day, went(example, *score), example.pnl)).collect()
}

/// The strengths to try with the chosen one among them, ascending.
fn strengths_with(strengths: &[f64], chosen: f64) -> Vec<f64> {
    let mut all = strengths.to_vec();
    if !all.contains(&chosen) {
        all.push(chosen);
        all.sort_by(f64::total_cmp);
    }
    all
}
