//! The whole validation: every part in its order, one report.

use std::collections::BTreeSet;

use super::{
    backtest,
    baselines::BaselineModels,
    check,
    example::{Example, Examples},
    figures::{Figures, PolicyFigures},
    fitter::{Fitted, Fitter, NoFit},
    lift::lift,
    options::{InvalidOption, ValidationOptions},
    progress::{Progress, Stage},
    refit::{Choice, Missing, Refit},
    report::{Parts, ValidationEvidence, ValidationReport},
    splits::{SplitError, TimeSplit, Window},
    stability,
};
use crate::{
    domain::{Timestamp, TradingDay},
    stats::{describe::mean, overfit::backtest_overfitting, sessions::History},
};

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
    let checks = check::checks(&evidence, options, goal);
    let overall = check::overall(&checks, &options.overall);
    let min_overall = options.overall.min_score;
    let verdict = check::verdict(&checks, overall, min_overall);
    Ok(ValidationReport { goal, verdict, overall, min_overall, checks, evidence })
}

/// About how many fits there will be.
fn steps(options: &ValidationOptions, inputs: usize) -> usize {
    let (splits, effort, strengths) = (&options.splits, &options.effort, options.strengths.len());
    let choices = (1..=splits.judged_groups).fold(1, |n, k| n * (splits.groups + 1 - k) / k);
    strengths * (splits.folds + 1) + 2 + 2 * splits.steps + choices + effort.bootstrap + inputs
}

/// What is known once the model is fitted, and what everything after it needs.
struct Judged {
    evidence: ValidationEvidence,
    model: Fitted,
    learnt: Vec<usize>,
    test: Vec<usize>,
    scores: Vec<f64>,
    /// From where on a score says yes in service.
    asked: f64,
    /// Configurations tried for the levels below.
    baselines: usize,
    notes: Vec<String>,
}

fn gather(
    refit: &Refit<'_>,
    subject: Candidate<'_>,
    progress: &mut Progress<'_>,
) -> Result<ValidationEvidence, ValidationError> {
    let lives = refit.examples.lives();
    let shares = &refit.options.splits;
    let by_share = || lives.time_split(shares.validation_share, shares.test_share);
    let mut split = subject.given.as_ref().map_or_else(by_share, |given| lives.split_at(given.from))?;
    let before = split.test.first().copied().unwrap_or_default();
    let unheard = refit.examples.unheard(&split.test);
    let (offered, heard) = (split.test.len(), split.test.len() - unheard.len());
    // a model that exists may have chosen them itself; for one that is made now there may be hardly any others
    let is_given = subject.given.is_some();
    if is_given {
        split.test = unheard;
    }
    let Choice { strength, losses, notes: left_out } = match &subject.given {
        Some(given) => Choice { strength: given.strength, losses: Vec::new(), notes: Vec::new() },
        None => refit.choose_strength(&split, progress)?,
    };
    let (learnt, model) = match subject.given {
        Some(given) => (split.train.clone(), given.model),
        None => {
            progress.tick(Stage::Fit);
            let learnt = lives.time_split(0.0, shares.test_share)?.train;
            let model = refit.fit(&learnt, strength)?;
            (learnt, model)
        }
    };
    let mut judged = judge(refit, &split, learnt, model, strength)?;
    judged.evidence.parts.purged = before.saturating_sub(judged.learnt.len());
    judged.evidence.losses = losses;
    judged.notes.extend(left_out);
    if heard > 0 {
        let what = if is_given { "are left out" } else { "are among those judged on" };
        judged.notes.push(format!(
            "test part: a model influenced {heard} of its {offered} trades, which {what}: it chose them, and the trades it refused have no outcome"
        ));
    }
    judged.notes.extend(money_lost(&judged.evidence));
    if let Some(baselines) = &subject.baselines {
        judged.baselines = baselines.configurations();
        // their strengths are chosen on what came before the test part, and they are judged on the same trades
        let split = if split.validation.is_empty() { refit.before(&judged.learnt, &judged.test) } else { Ok(split) };
        let standing = split.and_then(|split| baselines.stand(refit, &split, &judged.learnt, &judged.scores, progress));
        judged.evidence.baselines = judged.keep("the levels below", standing);
        judged.evidence.has_baselines = true;
    }
    judged.add_backtests(refit, progress);
    judged.add_walks(refit, progress);
    judged.add_resampling(refit, progress);
    let Judged { evidence, notes, .. } = judged;
    Ok(ValidationEvidence { notes, ..evidence })
}

/// Judges the model on the test part; the rest of the evidence is left empty.
/// What is to be said where following the model loses money, whatever it gains over taking every trade.
fn money_lost(evidence: &ValidationEvidence) -> Option<String> {
    let (policy, every) = (evidence.policy?.total, evidence.every_trade?.total);
    (policy < 0.0).then(|| {
        format!("test part: following the model loses money, {policy:.2}; taking every trade made {every:.2}, and that is what it is held against")
    })
}

fn judge(
    refit: &Refit<'_>,
    split: &TimeSplit,
    learnt: Vec<usize>,
    model: Fitted,
    strength: f64,
) -> Result<Judged, ValidationError> {
    let (examples, goal) = (refit.examples, refit.examples.goal());
    let (own, scores) = (refit.score(&model, &learnt)?, refit.score(&model, &split.test)?);
    let guess = mean(&examples.truth(&learnt)).unwrap_or_default();
    let point = refit.point(&learnt);
    let asked = refit.options.decision_point.unwrap_or(guess);
    let figures = |part, rows: &[usize], scores: &[f64], point: f64| {
        let picked: Vec<&Example> = examples.pick(rows).collect();
        Figures::of(goal, &picked, scores, point).ok_or(ValidationError::Figures { part })
    };
    let tested: Vec<&Example> = examples.pick(&split.test).collect();
    let evidence = ValidationEvidence {
        parts: parts(examples, split, &learnt),
        strength,
        losses: Vec::new(),
        train: figures("training", &learnt, &own, point)?,
        test: figures("test", &split.test, &scores, point)?,
        majority: figures("test", &split.test, &vec![guess; split.test.len()], 0.5)?.of_a_guess(),
        primary: primary(examples, &split.test),
        policy: refit.policy(&split.test, &scores),
        every_trade: every_trade(examples, &split.test),
        skill: goal.skill(&examples.truth(&split.test), &scores),
        folds: Vec::new(),
        curve: Vec::new(),
        expanding: Vec::new(),
        rolling: Vec::new(),
        paths: Vec::new(),
        paths_every_trade: None,
        feature_stability: None,
        strongest_input: stability::strongest_input(examples, &learnt),
        overfitting: None,
        gain: None,
        money: None,
        lift: lift(goal, &tested, &scores, point, refit.options.seed),
        point,
        deflated: None,
        null: None,
        bootstrap: None,
        importance: Vec::new(),
        importance_stability: None,
        months: Vec::new(),
        regimes: Vec::new(),
        has_baselines: false,
        baselines: None,
        configurations: 0,
        out_of_fold: History::default(),
        notes: Vec::new(),
    };
    Ok(Judged { evidence, model, learnt, test: split.test.clone(), scores, asked, baselines: 0, notes: Vec::new() })
}

impl Judged {
    /// Cross-validation, and what follows from it for the policy.
    fn add_backtests(&mut self, refit: &Refit<'_>, progress: &mut Progress<'_>) {
        let (goal, strength) = (refit.examples.goal(), self.evidence.strength);
        let strengths = strengths_with(&refit.options.strengths, strength);
        let cross = refit.cross_validate(&self.learnt, &strengths, strength, progress);
        let (mut trials, mut out_of_fold) = (Vec::new(), Vec::new());
        if let Some(cross) = self.keep("cross-validation", cross) {
            let truth = refit.examples.truth(&self.learnt);
            let scored = cross.strengths.iter().zip(&cross.scores);
            let point = self.evidence.point;
            let own = scored.clone().find(|(tried, _)| **tried == strength);
            out_of_fold = own.map(|(_, own)| taken(refit, &self.learnt, own, self.asked)).unwrap_or_default();
            let curve = scored.filter_map(|(strength, scores)| Some((*strength, goal.hit(&truth, scores, point)?)));
            self.evidence.curve = curve.collect();
            self.notes.extend(cross.notes);
            self.evidence.folds = cross.folds;
            let top = refit.options.gates.top_features;
            self.evidence.feature_stability = stability::feature_stability(&cross.effects, top);
            trials = backtest::trials(refit, &self.learnt, &cross.scores);
        }
        out_of_fold.extend(taken(refit, &self.test, &self.scores, self.asked));
        out_of_fold.sort_by_key(|(day, ..)| *day);
        self.evidence.out_of_fold = History::of(&out_of_fold);
        self.evidence.configurations = trials.len().max(strengths.len()) + self.baselines;
        if !goal.is_share() {
            return self.notes.push(format!("a score of {goal} cannot be blended with a confidence: it has no policy"));
        }
        let overfitting = backtest_overfitting(&trials, refit.options.effort.blocks);
        self.evidence.overfitting = overfitting.map(|found| found.probability);
        if overfitting.is_none() {
            let days = 2 * refit.options.effort.blocks;
            self.notes
                .push(format!("probability of overfitting: it needs at least {days} trading days before the test"));
        }
        self.evidence.money = backtest::money(refit, &self.test, &self.scores);
        self.evidence.gain = backtest::gain(refit, &self.test, &self.scores, &trials);
        if self.evidence.gain.is_none() {
            self.notes.push(
                "gain over every trade: it needs 11 trading days, and a policy that differs from taking every trade"
                    .to_owned(),
            );
        }
        let paths = refit.paths(&self.learnt, strength, progress);
        self.evidence.paths =
            self.keep("combinatorial paths", paths).unwrap_or_default().into_iter().flatten().collect();
        self.evidence.paths_every_trade = every_trade(refit.examples, &self.learnt).and_then(|figures| figures.sharpe);
    }

    /// Walk-forward, by step, month and regime.
    fn add_walks(&mut self, refit: &Refit<'_>, progress: &mut Progress<'_>) {
        let strength = self.evidence.strength;
        let expanding = refit.walk_forward(Window::Expanding, strength, progress);
        if let Some(walk) = self.keep("expanding walk-forward", expanding) {
            self.evidence.months = stability::by_month(refit.examples, &walk.rows, &walk.scores);
            self.evidence.regimes = stability::by_regime(refit.examples, &walk.rows, &walk.scores);
            self.evidence.expanding = walk.steps;
        }
        let rolling = refit.walk_forward(Window::Rolling, strength, progress);
        self.evidence.rolling = self.keep("rolling walk-forward", rolling).map(|walk| walk.steps).unwrap_or_default();
    }

    /// Shifted labels, bootstrap and importance.
    fn add_resampling(&mut self, refit: &Refit<'_>, progress: &mut Progress<'_>) {
        let strength = self.evidence.strength;
        let Some(skill) = self.evidence.skill else {
            return self
                .notes
                .push("the skill on the test part is not defined: there is nothing to compare".to_owned());
        };
        let null = refit.null(&self.test, &self.scores, progress);
        self.evidence.null = self.keep("shifted labels", null);
        let bootstrap = refit.bootstrap(&self.learnt, &self.test, strength, progress);
        self.evidence.bootstrap = self.keep("bootstrap", bootstrap);
        let importance = refit.importance(&self.model, &self.test, skill, progress);
        (self.evidence.importance, self.evidence.importance_stability) =
            self.keep("importance", importance).unwrap_or_default();
    }

    /// What was found, or a note why it was not.
    fn keep<T>(&mut self, what: &str, found: Result<T, Missing>) -> Option<T> {
        found.map_err(|missing| self.notes.push(format!("{what}: {missing}"))).ok()
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

fn parts(examples: &Examples, split: &TimeSplit, learnt: &[usize]) -> Parts {
    let days: BTreeSet<_> = examples.pick(&split.test).map(|example| example.day).collect();
    let at = |row: Option<&usize>| row.and_then(|row| examples.as_slice().get(*row)).map(|example| example.life.at);
    Parts {
        trades: examples.len(),
        learnt: learnt.len(),
        chosen_on: split.validation.len(),
        test: split.test.len(),
        purged: 0,
        test_from: at(split.test.first()),
        test_to: at(split.test.last()),
        test_days: days.len(),
    }
}

/// The strategy's own confidence as a score, where it is known.
fn primary(examples: &Examples, rows: &[usize]) -> Option<Figures> {
    let known = examples.pick(rows).filter_map(|example| Some((example, example.confidence?)));
    let (rows, confidence): (Vec<&Example>, Vec<f64>) = known.unzip();
    Figures::of(examples.goal(), &rows, &confidence, 0.5)
}

fn every_trade(examples: &Examples, rows: &[usize]) -> Option<PolicyFigures> {
    let offered: Vec<&Example> = examples.pick(rows).collect();
    PolicyFigures::of(&offered, &vec![1.0; offered.len()])
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
