//! Whether a version in service still is what its validation showed: the table of degradations as pure functions.
//!
//! What is shown is a window of closed trades beside the validated reference. What is done follows from the cumulative sums of
//! [`decline`](crate::stats::decline), each level with its own budget of false alarms; an emergency is not decided here.

use serde::{Deserialize, Serialize};

use super::alarm::Condition;
use crate::{
    domain::{TradingDay, event::Level},
    models::Answer,
    stats::{
        autocorrelation::inflation,
        decline::{Decline, DeclineOptions, Furthest, Limits},
        describe::{mean, standard_deviation},
    },
};

/// What follows from a decline, level by level.
pub use crate::stats::decline::Level as Response;

/// How versions in service are held against their validation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HealthOptions {
    /// Trades, and scores, before which no figure of a window is told, at least 2.
    pub min_trades: usize,
    /// Share of quarters without a change in which the score may go beyond its limits, above 0 to 0.5.
    pub act_level: f64,
    /// Relative drop of the accuracy that the scores promise which is an alert.
    pub accuracy_drop: f64,
    /// How declines are looked for, level by level.
    pub decline: DeclineOptions,
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
    pub precision: Option<f64>,
    /// Mean pnl per trade taken; `None` when its policy took none. Without it, or not above 0, the composite is not defined.
    pub expectancy: Option<f64>,
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

/// What is done about an alarm after which the influence of a version may shrink: by how much, and when, is another alert.
pub(super) const SHARE_IS_TOLD: &str = "each reduction of its share raises an alert `share`";

impl HealthOptions {
    /// Beyond which the stability index of a score is unstable, where `usual` is what it reaches by chance and by the moods of the
    /// market.
    pub fn score_psi_limit(&self, usual: Option<f64>) -> f64 {
        self.score_psi.max(usual.unwrap_or(0.0))
    }
}

fn independent() -> f64 {
    1.0
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
            precision: share(said.clone().filter(|(_, label)| *label).count(), said.count()),
            expectancy: mean(&pnl),
            score_variance,
            trades: trades.len(),
            memory: 1.0,
        };
        let memory = parts(&validated, trades).and_then(|parts| inflation(&parts)).unwrap_or(1.0);
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
}

/// What each of `trades` adds to the composite, of which that is the mean. `None` where it is not defined.
fn parts(validated: &Validated, trades: &[ScoredTrade]) -> Option<Vec<f64>> {
    let Validated { accuracy, precision: validated_precision, expectancy, .. } = *validated;
    let (validated_precision, expectancy) = (validated_precision?, expectancy?);
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

/// Share of yes among the answers of `trades` whose label is known. `None` without any.
pub fn said_yes(trades: &[ScoredTrade]) -> Option<f64> {
    let yes: Vec<f64> = ScoredTrade::answers(trades).map(|(yes, _)| indicator(yes)).collect();
    mean(&yes)
}

/// The labels of the trades that were said to be yes.
fn said(trades: &[ScoredTrade]) -> Vec<f64> {
    ScoredTrade::answers(trades).filter(|(yes, _)| *yes).map(|(_, label)| indicator(label)).collect()
}

fn indicator(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// The levels of the ladder as conditions on `subject`, to be observed by [`Alarms`](super::alarm::Alarms): how near each is.
pub fn ladder(decline: &Decline, limits: &Limits, subject: &str) -> Vec<Condition> {
    let condition = |response: Response| {
        let furthest = decline.furthest(limits, response);
        Condition {
            code: code(response).into(),
            subject: subject.into(),
            level: if response == Response::RollBack { Level::Critical } else { Level::Warning },
            value: Some(furthest.multiple),
            threshold: 1.0,
            sure: true,
            told: told(&furthest, limits).into(),
            done: done(response).into(),
            advice: "compare `vigie drift` with the validation of this version".into(),
        }
    };
    Response::ALL.into_iter().map(condition).collect()
}

/// The highest level that is reached.
pub fn response(decline: &Decline, limits: &Limits) -> Option<Response> {
    Response::ALL.into_iter().rev().find(|response| decline.reaches(limits, *response))
}

/// Before and after, in words.
fn told(furthest: &Furthest, limits: &Limits) -> String {
    let Furthest { is_pnl, since, .. } = *furthest;
    if since.trades <= 0.0 {
        return String::new();
    }
    let now = if is_pnl { since.trades } else { since.labelled() };
    let (before, trades) = (limits.trades, if now == 1.0 { "trade" } else { "trades" });
    if is_pnl {
        let (expected, made) = (limits.pnl, since.pnl / now);
        return format!(
            "its last {now:.0} {trades} made {made:.2} standard deviations each; validation on {before:.0} predicted {expected:.2}"
        );
    }
    let (expected, hit) = (100.0 * limits.rate, 100.0 * since.hits / now);
    format!(
        "it was right in {hit:.0} % of its last {now:.0} {trades}; validation on {before:.0} predicted {expected:.0} %"
    )
}

/// The code of a level's alarm.
pub fn code(response: Response) -> &'static str {
    match response {
        Response::Alert => "composite",
        Response::Shrink => "composite_share",
        Response::Retrain => "composite_retrain",
        Response::RollBack => "composite_rollback",
    }
}

fn done(response: Response) -> &'static str {
    match response {
        Response::Alert => "recorded",
        Response::Shrink => SHARE_IS_TOLD,
        Response::Retrain => "a training is requested",
        Response::RollBack => "it is rolled back",
    }
}

/// What of the score is held against its validation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ScoreMoved {
    /// Its stability index, and what that reaches by chance and by the moods of the market.
    pub psi: (Option<f64>, Option<f64>),
    /// The same of its Kolmogorov-Smirnov distance. The index is blind to a constant that becomes another one.
    pub ks: (Option<f64>, Option<f64>),
    /// Its variance.
    pub variance: Option<f64>,
}

/// Whether the score behaves otherwise than when it was validated: its stability index is beyond the threshold and beyond what is
/// usual, its distance is beyond what is usual, or its variance has grown or shrunk by the factor. What is not known says nothing; a
/// variance of 0 has shrunk.
pub fn is_unstable(options: &HealthOptions, validated: &Validated, moved: &ScoreMoved) -> bool {
    let ScoreMoved { psi: (psi, usual_psi), ks: (ks, usual_ks), variance } = *moved;
    let index = psi.is_some_and(|psi| psi > options.score_psi_limit(usual_psi));
    let distance = ks.zip(usual_ks).is_some_and(|(ks, usual)| ks > usual);
    let factor = options.variance_factor;
    let before = validated.score_variance;
    let spread = variance.is_some_and(|now| before > 0.0 && (now >= factor * before || now * factor <= before));
    index || distance || spread
}
