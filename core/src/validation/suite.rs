//! The whole validation: every part in its order, one report.

mod sections;
mod subject;

use self::{
    sections::{CrossValidated, Resampled, Simulated, Walked},
    subject::{Scored, Subject},
};
use super::{
    baselines::{AgainstBaselines, BaselineModels},
    evidence::ValidationEvidence,
    example::Examples,
    fitter::{Fitted, Fitter, NoFit},
    options::{InvalidOption, ValidationOptions},
    progress::{Progress, Stage},
    refit::{Missing, Refit},
    report::ValidationReport,
    splits::{SplitError, TimeSplit},
};
use crate::domain::Timestamp;

/// Why there is no report at all.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ValidationError {
    /// An option out of its range.
    #[error(transparent)]
    Option(#[from] InvalidOption),
    /// The trades cannot be split into parts.
    #[error("the trades cannot be split for validation: {0}")]
    Split(#[from] SplitError),
    /// Even the model itself cannot be fitted or judged.
    #[error("the model could not be fitted for validation: {0}")]
    Fit(#[from] NoFit),
    /// Scores and trades do not go together.
    #[error("the model's figures on the {part} part are not defined")]
    Figures {
        /// Which part.
        part: &'static str,
    },
}

/// What is validated.
pub struct Candidate<'a> {
    /// How such models are made.
    pub fitter: &'a Fitter<'a>,
    /// A model that exists already and is judged as it is; without one it is made.
    pub given: Option<Given>,
    /// What it has to beat, if anything.
    pub baselines: Option<BaselineModels<'a>>,
}

/// A model that exists already.
pub struct Given {
    /// The model.
    pub model: Fitted,
    /// The strength it was made with.
    pub strength: f64,
    /// Time of the first signal that it has not learnt from: its test part.
    pub from: Timestamp,
}

impl<'a> Candidate<'a> {
    /// Models that `fitter` makes, with nothing to beat.
    pub fn new(fitter: &'a Fitter<'a>) -> Self {
        Self { fitter, given: None, baselines: None }
    }
}

/// Validates what `fitter` makes of `examples`, see [`validate_subject`].
///
/// # Errors
/// As there.
pub fn validate(
    examples: &Examples,
    fitter: &Fitter<'_>,
    options: &ValidationOptions,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<ValidationReport, ValidationError> {
    validate_subject(examples, Candidate::new(fitter), options, progress)
}

/// Validates a way to make models, or a model that exists, on `examples`. `progress` is told the share done, 0 to 1, and
/// the stage.
///
/// The same input gives the same report. A part that cannot be found out (too few trades for its splits, say) is
/// undefined in the report, with the reason in its notes; only what nothing can do without is an error.
///
/// # Errors
/// [`ValidationError`] for options out of range, and when the trades do not suffice for one fit and one test.
pub fn validate_subject(
    examples: &Examples,
    subject: Candidate<'_>,
    options: &ValidationOptions,
    progress: &mut dyn FnMut(f64, Stage),
) -> Result<ValidationReport, ValidationError> {
    options.check()?;
    let goal = examples.goal();
    let refit = Refit { examples, fitter: subject.fitter, options };
    let baselines = subject.baselines.as_ref().map_or(0, BaselineModels::configurations);
    let mut progress = Progress::new(progress, steps(options, examples.schema().width()) + 2 * baselines);
    let evidence = gather(&refit, subject, &mut progress)?;
    progress.finish();
    Ok(ValidationReport::of(evidence, options, goal))
}

/// About how many fits there will be.
fn steps(options: &ValidationOptions, inputs: usize) -> usize {
    let (splits, effort, strengths) = (&options.splits, &options.effort, options.strengths.len());
    let choices = (1..=splits.judged_groups).fold(1, |n, k| n * (splits.groups + 1 - k) / k);
    strengths * (splits.folds + 1) + 2 + 2 * splits.steps + choices + effort.bootstrap + inputs
}

/// What could not be found out, and why.
#[derive(Default)]
struct Notes(Vec<String>);

impl Notes {
    fn add(&mut self, note: impl Into<String>) {
        self.0.push(note.into());
    }

    /// What was found, or a note why it was not.
    fn keep<T>(&mut self, what: &str, found: Result<T, Missing>) -> Option<T> {
        found.map_err(|missing| self.add(format!("{what}: {missing}"))).ok()
    }
}

fn gather(
    refit: &Refit<'_>,
    candidate: Candidate<'_>,
    progress: &mut Progress<'_>,
) -> Result<ValidationEvidence, ValidationError> {
    let mut notes = Notes::default();
    let (subject, losses) = Subject::of(refit, candidate.given, &mut notes, progress)?;
    let scored = Scored::of(refit, &subject)?;
    scored.note_lost_money(&mut notes);
    let levels = candidate.baselines.as_ref();
    let baselines = levels.and_then(|levels| against(levels, refit, &subject, &scored, &mut notes, progress));
    let tried_below = levels.map_or(0, BaselineModels::configurations);
    let cross = CrossValidated::of(refit, &subject, &scored, &mut notes, progress);
    let simulated = Simulated::of(refit, &subject, &scored, &cross.trials, &mut notes, progress);
    let walked = Walked::of(refit, &subject, &mut notes, progress);
    let resampled = Resampled::of(refit, &subject, &scored, &mut notes, progress);
    Ok(ValidationEvidence {
        parts: subject.parts(refit.examples),
        strength: subject.strength,
        losses,
        train: scored.train,
        test: scored.test,
        majority: scored.majority,
        primary: scored.primary,
        policy: scored.policy,
        every_trade: scored.every_trade,
        skill: scored.skill,
        folds: cross.folds,
        curve: cross.curve,
        expanding: walked.expanding,
        rolling: walked.rolling,
        paths: simulated.paths,
        paths_every_trade: simulated.paths_every_trade,
        feature_stability: cross.feature_stability,
        strongest_input: scored.strongest_input,
        overfitting: simulated.overfitting,
        gain: simulated.gain,
        money: simulated.money,
        lift: scored.lift,
        point: scored.point,
        deflated: None,
        null: resampled.null,
        bootstrap: resampled.bootstrap,
        importance: resampled.importance,
        importance_stability: resampled.importance_stability,
        months: walked.months,
        regimes: walked.regimes,
        has_baselines: levels.is_some(),
        baselines,
        configurations: cross.tried + tried_below,
        out_of_fold: cross.out_of_fold,
        notes: notes.0,
    })
}

/// How the model stands to those of the levels below: their strengths are chosen on what came before the test part, and they are
/// judged on the same trades.
fn against(
    levels: &BaselineModels<'_>,
    refit: &Refit<'_>,
    subject: &Subject,
    scored: &Scored,
    notes: &mut Notes,
    progress: &mut Progress<'_>,
) -> Option<AgainstBaselines> {
    let Subject { split, learnt, .. } = subject;
    let before = || refit.before(learnt, &split.test);
    let split = if split.validation.is_empty() { before() } else { Ok(TimeSplit::clone(split)) };
    let standing = split.and_then(|split| levels.stand(refit, &split, learnt, &scored.scores, progress));
    notes.keep("the levels below", standing)
}
