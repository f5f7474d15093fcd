//! The model that is judged, the trades it learnt from and is judged on, and its scores there.

use std::collections::BTreeSet;

use super::{Given, Notes, ValidationError};
use crate::{
    stats::describe::mean,
    validation::{
        evidence::Parts,
        example::{Example, Examples},
        figures::{Figures, PolicyFigures},
        fitter::Fitted,
        lift::{Lift, lift},
        progress::{Progress, Stage},
        refit::{Choice, Refit},
        splits::TimeSplit,
        stability,
    },
};

/// The model and its trades.
pub(super) struct Subject {
    pub model: Fitted,
    pub strength: f64,
    /// The rows it learnt from.
    pub learnt: Vec<usize>,
    /// The test part of it is what the model is judged on.
    pub split: TimeSplit,
    /// Rows that were left out because they were open when the test part began.
    purged: usize,
}

/// What the scores of the model say on the trades it is judged on.
pub(super) struct Scored {
    /// One a test row.
    pub scores: Vec<f64>,
    /// From where on a score says yes in service.
    pub asked: f64,
    pub point: f64,
    pub train: Figures,
    pub test: Figures,
    pub majority: Figures,
    pub primary: Option<Figures>,
    pub policy: Option<PolicyFigures>,
    pub every_trade: Option<PolicyFigures>,
    pub skill: Option<f64>,
    pub strongest_input: Option<(Box<str>, f64)>,
    pub lift: Option<Lift>,
}

impl Subject {
    /// The model that is given, or one that is made; with the losses by which its strength was chosen.
    pub fn of(
        refit: &Refit<'_>,
        given: Option<Given>,
        notes: &mut Notes,
        progress: &mut Progress<'_>,
    ) -> Result<(Self, Vec<(f64, f64)>), ValidationError> {
        let lives = refit.examples.lives();
        let shares = &refit.options.splits;
        let by_share = || lives.time_split(shares.validation_share, shares.test_share);
        let all = given.as_ref().map_or_else(by_share, |given| lives.split_at(given.from))?;
        let before = all.test.first().copied().unwrap_or_default();
        let unheard = refit.examples.unheard(&all.test);
        let (offered, heard) = (all.test.len(), all.test.len() - unheard.len());
        // a model that exists may have chosen them itself; for one that is made now there may be hardly any others
        let (split, what) = match &given {
            Some(_) => (TimeSplit { test: unheard, ..all }, "are left out"),
            None => (all, "are among those judged on"),
        };
        let (learnt, model, strength, losses) = match given {
            Some(given) => (split.train.clone(), given.model, given.strength, Vec::new()),
            None => {
                let Choice { strength, losses, notes: left_out } = refit.choose_strength(&split, progress)?;
                progress.tick(Stage::Fit);
                let learnt = lives.time_split(0.0, shares.test_share)?.train;
                let model = refit.fit(&learnt, strength)?;
                left_out.into_iter().for_each(|note| notes.add(note));
                (learnt, model, strength, losses)
            }
        };
        if heard > 0 {
            notes.add(format!(
                "test part: a model influenced {heard} of its {offered} trades, which {what}: it chose them, and the trades it refused have no outcome"
            ));
        }
        let purged = before.saturating_sub(learnt.len());
        Ok((Self { model, strength, learnt, split, purged }, losses))
    }

    /// How the trades were divided.
    pub fn parts(&self, examples: &Examples) -> Parts {
        let Self { learnt, split, purged, .. } = self;
        let days: BTreeSet<_> = examples.pick(&split.test).map(|example| example.day).collect();
        let at = |row: Option<&usize>| row.and_then(|row| examples.as_slice().get(*row)).map(|example| example.life.at);
        Parts {
            trades: examples.len(),
            learnt: learnt.len(),
            chosen_on: split.validation.len(),
            test: split.test.len(),
            purged: *purged,
            test_from: at(split.test.first()),
            test_to: at(split.test.last()),
            test_days: days.len(),
        }
    }
}

impl Scored {
    /// Judges the model on the test part.
    pub fn of(refit: &Refit<'_>, subject: &Subject) -> Result<Self, ValidationError> {
        let (examples, goal) = (refit.examples, refit.examples.goal());
        let Subject { model, learnt, split, .. } = subject;
        let (own, scores) = (refit.score(model, learnt)?, refit.score(model, &split.test)?);
        let guess = mean(&examples.truth(learnt)).unwrap_or_default();
        let point = refit.point(learnt);
        let figures = |part, rows: &[usize], scores: &[f64], point: f64| {
            let picked: Vec<&Example> = examples.pick(rows).collect();
            Figures::of(goal, &picked, scores, point).ok_or(ValidationError::Figures { part })
        };
        let tested: Vec<&Example> = examples.pick(&split.test).collect();
        Ok(Self {
            asked: refit.options.decision_point.unwrap_or(guess),
            point,
            train: figures("training", learnt, &own, point)?,
            test: figures("test", &split.test, &scores, point)?,
            majority: figures("test", &split.test, &vec![guess; split.test.len()], 0.5)?.of_a_guess(),
            primary: primary(examples, &split.test),
            policy: refit.policy(&split.test, &scores),
            every_trade: every_trade(examples, &split.test),
            skill: goal.skill(&examples.truth(&split.test), &scores),
            strongest_input: stability::strongest_input(examples, learnt),
            lift: lift(goal, &tested, &scores, point, refit.options.seed),
            scores,
        })
    }

    /// Says so where following the model loses money, whatever it gains over taking every trade.
    pub fn note_lost_money(&self, notes: &mut Notes) {
        let Some((policy, every)) = self.policy.zip(self.every_trade) else { return };
        if policy.total < 0.0 {
            let (lost, made) = (policy.total, every.total);
            notes.add(format!(
                "test part: following the model loses money, {lost:.2}; taking every trade made {made:.2}, and that is what it is held against"
            ));
        }
    }
}

/// The strategy's own confidence as a score, where it is known.
fn primary(examples: &Examples, rows: &[usize]) -> Option<Figures> {
    let known = examples.pick(rows).filter_map(|example| Some((example, example.confidence?)));
    let (rows, confidence): (Vec<&Example>, Vec<f64>) = known.unzip();
    Figures::of(examples.goal(), &rows, &confidence, 0.5)
}

/// What taking every one of `rows` earned.
pub(super) fn every_trade(examples: &Examples, rows: &[usize]) -> Option<PolicyFigures> {
    let offered: Vec<&Example> = examples.pick(rows).collect();
    PolicyFigures::of(&offered, &vec![1.0; offered.len()])
}
