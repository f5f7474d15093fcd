//! Whether a version in service still is what its validation showed: the table of degradations as pure functions.
//!
//! What is compared is a window of closed trades with the validated reference. A drop counts when the window is long
//! enough and the drop is more than chance, by a one-sided test; an emergency needs neither, and is not decided here.

use serde::{Deserialize, Serialize};

use super::alarm::Condition;
use crate::{
    domain::{TradingDay, event::Level},
    models::Answer,
    stats::{
        describe::{mean, standard_deviation},
        memory::memory,
        normal,
    },
};

/// Thresholds of the degradations, as shares of the validated reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HealthOptions {
    /// Closed trades of a version before which nothing is said, at least 2.
    pub min_trades: usize,
    /// Error rate of each one-sided test, above 0 to 0.5.
    pub level: f64,
    /// The same before something is done, above 0 to `level`: a training, a rollback, a smaller say.
    pub act_level: f64,
    /// Relative drop of the accuracy that is an alert.
    pub accuracy_drop: f64,
    /// Relative drop of the precision that is an alert.
    pub precision_drop: f64,
    /// Drop of the composite that is an alert.
    pub composite_alert: f64,
    /// Drop of the composite at which a new model is asked for.
    pub composite_retrain: f64,
    /// Drop of the composite at which the version is rolled back.
    pub composite_rollback: f64,
    /// Stability index of the score beyond which it is unstable.
    pub score_psi: f64,
    /// Factor by which the score's variance may grow or shrink, above 1.
    pub variance_factor: f64,
}

/// What validation showed: of the version's own question over all trades that it scored, and the money of those that its
/// policy takes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    /// Share of the trades in which its score was right.
    pub accuracy: f64,
    /// Share of yes among the trades of which it said yes.
    pub precision: f64,
    /// Mean pnl per trade taken. Not above 0 it is no measure, and the composite cannot be evaluated.
    pub expectancy: f64,
    /// Variance of the score.
    pub score_variance: f64,
    /// Trades it was measured on; 0 takes it for exact.
    pub trades: usize,
    /// By how much errors are larger than those of independent trades, at least 1: good and bad trades come together.
    #[serde(default = "independent")]
    pub memory: f64,
}

/// A closed trade that a version scored, heard or not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoredTrade {
    /// The trading day of its signal, where known: trades of a day go together.
    pub day: Option<TradingDay>,
    /// What it said, 0 to 1.
    pub score: f64,
    /// Its answer to the version's own question, and the label.
    pub answer: Answer,
    /// Whether the version's policy takes such a trade.
    pub taken: bool,
    /// What the trade made, after costs, at the strategy's own size.
    pub pnl: f64,
}

/// A figure of a window with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Its standard error, at least 0.
    pub error: f64,
}

/// What a window of trades shows. Each is `None` where the window does not define it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Trades in the window.
    pub trades: usize,
    /// Share of those labelled in which the score was right.
    pub accuracy: Option<Estimate>,
    /// Share of yes among those of which the score said yes.
    pub precision: Option<Estimate>,
    /// Mean pnl of those that the policy takes.
    pub expectancy: Option<Estimate>,
    /// Mean of the three, each relative to its reference: 1 is as validated.
    pub composite: Option<Estimate>,
}

/// What follows from the composite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// Tell a person.
    Alert,
    /// Ask for a new model.
    Retrain,
    /// Take it down.
    RollBack,
}

fn independent() -> f64 {
    1.0
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self {
            min_trades: 50,
            level: 0.05,
            act_level: 0.001,
            accuracy_drop: 0.05,
            precision_drop: 0.1,
            composite_alert: 0.05,
            composite_retrain: 0.1,
            composite_rollback: 0.15,
            score_psi: 0.25,
            variance_factor: 4.0,
        }
    }
}

impl ScoredTrade {
    /// The labels of `trades` that are known, each with whether the score said yes.
    fn answers(trades: &[Self]) -> impl Iterator<Item = (bool, bool)> {
        trades.iter().filter_map(|trade| Some((trade.answer.yes, trade.answer.label?)))
    }
}

impl Validated {
    /// What `trades` show, together with the variance of all scores. `None` when they do not define it.
    pub fn of(trades: &[ScoredTrade], score_variance: f64) -> Option<Self> {
        let share = |hits: usize, of: usize| (of > 0).then(|| hits as f64 / of as f64);
        let answers: Vec<(bool, bool)> = ScoredTrade::answers(trades).collect();
        let said = answers.iter().filter(|(yes, _)| *yes);
        let pnl: Vec<f64> = trades.iter().filter(|trade| trade.taken).map(|trade| trade.pnl).collect();
        let validated = Self {
            accuracy: share(answers.iter().filter(|(yes, label)| yes == label).count(), answers.len())?,
            precision: share(said.clone().filter(|(_, label)| *label).count(), said.count())?,
            expectancy: mean(&pnl)?,
            score_variance,
            trades: trades.len(),
            memory: 1.0,
        };
        let memory = parts(&validated, trades).and_then(|parts| memory(&parts)).unwrap_or(1.0);
        Some(Self { memory, ..validated })
    }
}

impl Estimate {
    /// Mean of one value per trade.
    fn of(values: &[f64]) -> Option<Self> {
        Some(Self { value: mean(values)?, error: standard_deviation(values)? / (values.len() as f64).sqrt() })
    }

    /// The same with the error of its difference to a reference that is itself a mean, of so many times as many trades.
    fn stretched(self, stretch: f64) -> Self {
        Self { error: stretch * self.error, ..self }
    }

    /// Whether it is below `reference` by more than chance.
    pub fn is_below(&self, reference: f64, level: f64) -> bool {
        let short = reference - self.value;
        short > 0.0 && normal::cdf(-short / self.error) < level
    }
}

impl Figures {
    /// Of a window of trades. Standard errors are those of independent trades, times the memory that trades had in validation;
    /// that of the composite is by linearisation of its three parts together, trade by trade, so it knows that they go
    /// together. What validation showed is a mean over trades as well, taken to spread as these do: each error is that of the
    /// difference.
    pub fn of(validated: &Validated, trades: &[ScoredTrade]) -> Self {
        let hits: Vec<f64> = ScoredTrade::answers(trades).map(|(yes, label)| indicator(yes == label)).collect();
        let said: Vec<f64> = said(trades);
        let pnl: Vec<f64> = trades.iter().filter(|trade| trade.taken).map(|trade| trade.pnl).collect();
        let precision = Estimate::of(&said);
        let composite = parts(validated, trades).and_then(|parts| Estimate::of(&parts));
        let reference = validated.trades as f64;
        let stretch = if reference > 0.0 { (1.0 + trades.len() as f64 / reference).sqrt() } else { 1.0 };
        let stretch = validated.memory.max(1.0) * stretch;
        let against = |estimate: Option<Estimate>| estimate.map(|estimate| estimate.stretched(stretch));
        Self {
            trades: trades.len(),
            accuracy: against(Estimate::of(&hits)),
            precision: against(precision),
            expectancy: against(Estimate::of(&pnl)),
            composite: against(composite),
        }
    }

    /// The degradations as conditions on `subject`, to be observed by [`Alarms`](super::alarm::Alarms).
    pub fn conditions(&self, options: &HealthOptions, validated: &Validated, subject: &str) -> Vec<Condition> {
        let enough = self.trades >= options.min_trades;
        let composite = |response: Response, threshold| {
            drop_of(response.code(), self.composite, 1.0, threshold, response.level(), response.done())
        };
        let measured = [
            drop_of("accuracy_drop", self.accuracy, validated.accuracy, options.accuracy_drop, Level::Warning, NOTED),
            drop_of(
                "precision_drop",
                self.precision,
                validated.precision,
                options.precision_drop,
                Level::Warning,
                NOTED,
            ),
            composite(Response::Alert, options.composite_alert),
            composite(Response::Retrain, options.composite_retrain),
            composite(Response::RollBack, options.composite_rollback),
        ];
        let condition = |drop: Drop| Condition {
            code: drop.code.into(),
            subject: subject.into(),
            level: drop.level,
            value: drop.value.filter(|_| enough),
            threshold: drop.threshold,
            sure: drop.figure.is_some_and(|figure| figure.is_below(drop.reference, drop.level_of(options))),
            done: drop.done.into(),
            advice: "compare `vigie status` with the validation of this version".into(),
        };
        measured.into_iter().map(condition).collect()
    }

    /// What the composite asks for now. `None` when nothing, when there are too few trades, or when it may be chance.
    pub fn response(&self, options: &HealthOptions) -> Option<Response> {
        let composite = self.composite.filter(|_| self.trades >= options.min_trades)?;
        let sure = |response: Response| {
            let level = if response == Response::Alert { options.level } else { options.act_level };
            composite.is_below(1.0, level)
        };
        let levels = [
            (options.composite_rollback, Response::RollBack),
            (options.composite_retrain, Response::Retrain),
            (options.composite_alert, Response::Alert),
        ];
        levels
            .into_iter()
            .find(|(drop, response)| 1.0 - composite.value >= *drop && sure(*response))
            .map(|(_, response)| response)
    }
}

/// What each of `trades` adds to the composite, of which that is the mean. `None` where it is not defined.
fn parts(validated: &Validated, trades: &[ScoredTrade]) -> Option<Vec<f64>> {
    let Validated { accuracy, precision: validated_precision, expectancy, .. } = *validated;
    (accuracy > 0.0 && validated_precision > 0.0 && expectancy > 0.0).then_some(())?;
    let labelled: Vec<(&ScoredTrade, bool)> =
        trades.iter().filter_map(|trade| Some((trade, trade.answer.label?))).collect();
    let said = said(trades);
    let precision = mean(&said)?;
    let share = said.len() as f64 / labelled.len() as f64;
    let taken = labelled.iter().filter(|(trade, _)| trade.taken).count() as f64 / labelled.len() as f64;
    let part = |(trade, label): &(&ScoredTrade, bool)| {
        let yes = trade.answer.yes;
        let surprise = indicator(yes) * (indicator(*label) - precision) / share;
        let precise = (precision + surprise) / validated_precision;
        let earned = indicator(trade.taken) * trade.pnl / (expectancy * taken);
        (indicator(yes == *label) / accuracy + precise + if taken > 0.0 { earned } else { 0.0 }) / 3.0
    };
    Some(labelled.iter().map(part).collect())
}

/// The labels of the trades that were said to be yes.
fn said(trades: &[ScoredTrade]) -> Vec<f64> {
    ScoredTrade::answers(trades).filter(|(yes, _)| *yes).map(|(_, label)| indicator(label)).collect()
}

fn indicator(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

const NOTED: &str = "recorded";

/// A figure against its reference.
struct Drop {
    code: &'static str,
    figure: Option<Estimate>,
    reference: f64,
    value: Option<f64>,
    threshold: f64,
    level: Level,
    done: &'static str,
}

fn drop_of(
    code: &'static str,
    figure: Option<Estimate>,
    reference: f64,
    threshold: f64,
    level: Level,
    done: &'static str,
) -> Drop {
    let value = figure.filter(|_| reference > 0.0).map(|figure| 1.0 - figure.value / reference);
    Drop { code, figure, reference, value, threshold, level, done }
}

impl Drop {
    /// Where more is done than to note it, chance must be ruled out further.
    fn level_of(&self, options: &HealthOptions) -> f64 {
        if self.done == NOTED { options.level } else { options.act_level }
    }
}

impl Response {
    fn code(self) -> &'static str {
        match self {
            Self::Alert => "composite",
            Self::Retrain => "composite_retrain",
            Self::RollBack => "composite_rollback",
        }
    }

    fn level(self) -> Level {
        if self == Self::RollBack { Level::Critical } else { Level::Warning }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Alert => NOTED,
            Self::Retrain => "a training was asked for",
            Self::RollBack => "the version was rolled back",
        }
    }
}

/// Whether the score behaves otherwise than when it was validated: its stability index `psi` is beyond the threshold and
/// beyond `chance`, what it would reach by chance, or its `variance` has grown or shrunk by the factor. What is not known says nothing; a variance of 0 has shrunk.
pub fn is_unstable(
    options: &HealthOptions,
    validated: &Validated,
    (psi, chance): (Option<f64>, Option<f64>),
    variance: Option<f64>,
) -> bool {
    let moved = psi.is_some_and(|psi| psi > options.score_psi.max(chance.unwrap_or(0.0)));
    let factor = options.variance_factor;
    let before = validated.score_variance;
    let spread = variance.is_some_and(|now| before > 0.0 && (now >= factor * before || now * factor <= before));
    moved || spread
}
