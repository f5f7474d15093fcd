//! The parts of a verdict: what each one looks at, what it asks for, and what would help.

use std::fmt;

use serde::{Deserialize, Serialize};

pub use super::part::{Area, Part};
use super::{
    advice,
    example::Goal,
    figures::Figures,
    lift::Measure,
    options::{Overall, ValidationOptions},
    report::{ValidationEvidence, ValidationVerdict},
    stability::Group,
};

/// Most that a part which failed adds to the overall score. With more, results of chance that fail many parts by little
/// come out above 0.8.
const FAILED_CREDIT: f64 = 0.5;

/// Lowest probability that following the model makes more money than taking every trade. The proof that it is worth following is
/// that of its Sharpe ratio; this one keeps out what is bought with money, and is no second proof.
const MONEY: f64 = 0.8;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// This or more.
    AtLeast(f64),
    /// More than this.
    Above(f64),
    /// This or less.
    AtMost(f64),
}

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Within the limit.
    Pass,
    /// Beyond it.
    Fail,
    /// Its value could not be found out; for a hard part as bad as a failure.
    Undefined,
}

/// One part of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationCheck {
    /// Which.
    pub part: Part,
    /// What it belongs to.
    pub area: Area,
    /// What was found; `None` where it is not defined.
    pub value: Option<f64>,
    /// What it must be.
    pub limit: Limit,
    /// Whether it is.
    pub outcome: Outcome,
    /// Whether nothing is deployed without it.
    pub hard: bool,
    /// What it adds to the overall score: 1 within the limit; beyond it at most 1/2, falling in a line to 0 at a value
    /// that means nothing at all.
    pub credit: f64,
    /// What would help, where it did not pass.
    pub help: Option<String>,
    /// About how many more closed trades would help, where that is known.
    pub more_trades: Option<usize>,
}

impl Limit {
    /// The bare number.
    pub fn number(self) -> f64 {
        match self {
            Self::AtLeast(x) | Self::Above(x) | Self::AtMost(x) => x,
        }
    }

    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(x) => value >= x,
            Self::Above(x) => value > x,
            Self::AtMost(x) => value <= x,
        }
    }
}

/// All parts of `evidence`.
pub(super) fn checks(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<ValidationCheck> {
    let mut checks = data(evidence, options, goal);
    checks.extend(performance(evidence, options, goal));
    checks.extend(overfitting(evidence, options));
    checks.extend(stability(evidence, options, goal));
    for check in checks.iter_mut().filter(|check| check.outcome != Outcome::Pass) {
        let advice = advice::advice(check, evidence, options);
        (check.help, check.more_trades) = (Some(advice.help), advice.more_trades);
    }
    checks
}

/// The weighted mean of the areas' mean credits, 0 to 1; an area without parts does not count.
pub(super) fn overall(checks: &[ValidationCheck], overall: &Overall) -> f64 {
    let areas = [
        (Area::Performance, overall.performance_weight),
        (Area::Overfitting, overall.overfitting_weight),
        (Area::Stability, overall.stability_weight),
    ];
    let (mut sum, mut weights) = (0.0, 0.0);
    for (area, weight) in areas {
        let credits: Vec<f64> = checks.iter().filter(|check| check.area == area).map(|check| check.credit).collect();
        if !credits.is_empty() {
            sum += weight * credits.iter().sum::<f64>() / credits.len() as f64;
            weights += weight;
        }
    }
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// What follows from the parts.
pub(super) fn verdict(checks: &[ValidationCheck], overall: f64, min_overall: f64) -> ValidationVerdict {
    let failed = |check: &&ValidationCheck| check.hard && check.outcome != Outcome::Pass;
    if checks.iter().filter(failed).any(|check| check.part == Part::TestTrades) {
        return ValidationVerdict::Insufficient;
    }
    let deployable = overall > min_overall && !checks.iter().any(|check| failed(&check));
    if deployable { ValidationVerdict::Deployable } else { ValidationVerdict::NotDeployable }
}

fn data(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<ValidationCheck> {
    let trades = Limit::AtLeast(options.splits.min_test_trades as f64);
    let alone = evidence.strongest_input.as_ref().map(|(_, skill)| *skill);
    let most = Limit::AtMost(options.gates.max_single_skill.max(goal.chance()));
    vec![
        check(Part::TestTrades, Some(evidence.parts.test as f64), trades, 0.0),
        check(Part::SingleInput, alone, most, 1.0),
    ]
}

fn performance(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<ValidationCheck> {
    let targets = &options.targets;
    let of_goal = match (goal, &evidence.test) {
        (Goal::SignalQuality, Figures::Class(test)) => vec![
            check(Part::Accuracy, Some(test.accuracy), Limit::Above(targets.accuracy), 0.5),
            check(Part::F1, test.f1, Limit::Above(targets.f1), 0.0),
        ],
        (Goal::Profitability, Figures::Class(test)) => {
            vec![check(Part::Precision, test.precision, Limit::Above(targets.precision), 0.5)]
        }
        (Goal::SignalStrength, Figures::Real(test)) => {
            vec![check(Part::PnlCorrelation, test.pnl_correlation, Limit::Above(targets.correlation), 0.0)]
        }
        _ => Vec::new(),
    };
    let saved = match (&evidence.test, &evidence.majority) {
        (Figures::Class(test), Figures::Class(majority)) if majority.log_loss > 0.0 => {
            Some(1.0 - test.log_loss / majority.log_loss)
        }
        // the coefficient of determination is that already, against the mean of the test part
        (Figures::Real(test), _) => test.r_squared,
        _ => None,
    };
    let sharpes =
        evidence.policy.and_then(|policy| policy.earned()).zip(evidence.every_trade.and_then(|all| all.sharpe));
    let gained = sharpes.map(|(model, every)| model - every);
    let baselines = [
        check(Part::LossSaved, saved, Limit::Above(0.0), -0.1),
        check(Part::SharpeGained, gained, Limit::AtLeast(0.0), -1.0),
    ];
    let below = evidence.has_baselines.then(|| {
        let bar = evidence.baselines.as_ref().and_then(|standing| standing.bar);
        let own = bar.and_then(|_| evidence.baselines.as_ref()?.own);
        let bar = bar.unwrap_or_default();
        check(Part::LevelBelow, own, Limit::AtLeast(bar), bar - 1.0)
    });
    let lift = goal.measure().map(|measure| {
        let part = match measure {
            Measure::Precision => Part::PrecisionLift,
            Measure::Accuracy => Part::AccuracyLift,
            Measure::Correlation => Part::CorrelationLift,
        };
        check(part, evidence.lift.map(|lift| lift.lower), Limit::Above(0.0), -0.1)
    });
    lift.into_iter().chain(of_goal).chain(baselines).chain(below).collect()
}

/// How much better the training part looks than the test part, by each measure: it has learnt by heart as far as any of
/// them says so.
pub(super) fn gaps(evidence: &ValidationEvidence) -> Vec<(&'static str, f64)> {
    let of = |name, train: Option<f64>, test: Option<f64>| Some((name, train? - test?));
    match (&evidence.train, &evidence.test) {
        (Figures::Class(train), Figures::Class(test)) => [
            of("AUC", train.auc, test.auc),
            of("precision", train.precision, test.precision),
            of("log loss", Some(test.log_loss), Some(train.log_loss)),
            of("accuracy", Some(train.accuracy), Some(test.accuracy)),
        ]
        .into_iter()
        .flatten()
        .collect(),
        (train, test) => of("correlation", train.hit(), test.hit()).into_iter().collect(),
    }
}

fn overfitting(evidence: &ValidationEvidence, options: &ValidationOptions) -> Vec<ValidationCheck> {
    let gates = &options.gates;
    let gap = gaps(evidence).into_iter().map(|(_, gap)| gap).reduce(f64::max);
    let deviation = crate::stats::describe::standard_deviation(&evidence.folds);
    let stability = Limit::AtLeast(gates.min_feature_stability);
    // to let every trade go is no policy, however much the strategy loses
    let takes_some = |_: &_| evidence.policy.is_some_and(|policy| policy.taken > 0);
    let gain = evidence.gain.map(|gain| gain.deflated).filter(takes_some);
    let p_value = evidence.null.as_ref().map(|null| null.p_value);
    vec![
        twice(Part::Gap, gap, gates.max_gap),
        twice(Part::CvDeviation, deviation, gates.max_cv_deviation),
        twice(Part::CurveStep, curve_step(&evidence.curve, evidence.strength), gates.max_curve_step),
        check(Part::FeatureStability, evidence.feature_stability, stability, 0.0),
        check(Part::Overfitting, evidence.overfitting, Limit::AtMost(gates.max_overfitting), 1.0),
        check(Part::Gain, gain, Limit::AtLeast(gates.min_gain_probability), 0.0),
        check(
            Part::Money,
            evidence.money.map(|money| money.probability).filter(takes_some),
            Limit::AtLeast(MONEY),
            0.0,
        ),
        check(Part::PValue, p_value, Limit::AtMost(gates.max_p_value), 0.5),
    ]
}

fn stability(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<ValidationCheck> {
    let limits = &options.stability;
    let spread = evidence.bootstrap.as_ref().map(|bootstrap| bootstrap.deviation);
    let months: Vec<f64> = counted(&evidence.months, limits.min_month_trades).map(|(_, skill)| skill).collect();
    let good_months = share(months.len(), months.iter().filter(|skill| **skill > goal.chance()).count());
    let regimes = counted(&evidence.regimes, limits.min_regime_trades).map(|(_, skill)| skill);
    let worst = goal.chance() - limits.regime_slack;
    let better = |every: f64| evidence.paths.iter().filter(|path| **path > every).count();
    let good_paths = evidence.paths_every_trade.and_then(|every| share(evidence.paths.len(), better(every)));
    let important = Limit::AtLeast(limits.min_importance_stability);
    vec![
        twice(Part::BootstrapDeviation, spread, limits.max_bootstrap_deviation),
        check(Part::ImportanceStability, evidence.importance_stability, important, 0.0),
        check(Part::GoodMonths, good_months, Limit::AtLeast(limits.min_good_months), 0.3),
        check(Part::WorstRegime, regimes.min_by(f64::total_cmp), Limit::AtLeast(worst), worst - 0.1),
        check(Part::GoodPaths, good_paths, Limit::AtLeast(limits.min_good_paths), 0.0),
    ]
}

/// Groups that are large enough and have a skill.
pub(super) fn counted(groups: &[Group], least: usize) -> impl Iterator<Item = (&Group, f64)> {
    groups.iter().filter(move |group| group.trades >= least).filter_map(|group| Some((group, group.skill?)))
}

/// Range of the score over the chosen strength and its neighbours.
fn curve_step(curve: &[(f64, f64)], chosen: f64) -> Option<f64> {
    let place = curve.iter().position(|(strength, _)| *strength == chosen)?;
    let near = curve.get(place.saturating_sub(1)..(place + 2).min(curve.len()))?;
    let scores = || near.iter().map(|(_, score)| *score);
    let range = scores().fold(f64::NEG_INFINITY, f64::max) - scores().fold(f64::INFINITY, f64::min);
    (near.len() >= 2).then_some(range)
}

/// A part that may be at most `limit`, and means nothing from twice that on.
fn twice(part: Part, value: Option<f64>, limit: f64) -> ValidationCheck {
    check(part, value, Limit::AtMost(limit), 2.0 * limit)
}

/// A part with the value that is worth nothing.
fn check(part: Part, value: Option<f64>, limit: Limit, worthless: f64) -> ValidationCheck {
    let (outcome, credit) = match value {
        None => (Outcome::Undefined, 0.0),
        Some(value) if limit.holds(value) => (Outcome::Pass, 1.0),
        Some(value) => {
            let credit = FAILED_CREDIT * (value - worthless) / (limit.number() - worthless);
            (Outcome::Fail, if credit.is_finite() { credit.clamp(0.0, FAILED_CREDIT) } else { 0.0 })
        }
    };
    let (area, hard) = part.area();
    ValidationCheck { part, area, value, limit, outcome, hard, credit, help: None, more_trades: None }
}

fn share(of: usize, part: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self {
            Self::AtLeast(_) => ">=",
            Self::Above(_) => ">",
            Self::AtMost(_) => "<=",
        };
        // as many digits as a threshold has, and no more of one that was computed
        f.pad(&format!("{sign} {}", (self.number() * 1e4).round() / 1e4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_falls_from_the_limit_to_what_is_worth_nothing() {
        let precision = |value| check(Part::Precision, value, Limit::Above(0.65), 0.5);
        assert_eq!((precision(Some(0.66)).outcome, precision(Some(0.66)).credit), (Outcome::Pass, 1.0));
        let at_limit = precision(Some(0.65));
        assert_eq!((at_limit.outcome, at_limit.credit), (Outcome::Fail, 0.5));
        assert!((precision(Some(0.575)).credit - 0.25).abs() < 1e-12);
        assert_eq!((precision(Some(0.4)).credit, precision(None).credit), (0.0, 0.0));
        assert_eq!(precision(None).outcome, Outcome::Undefined);
        let gap = |value| twice(Part::Gap, Some(value), 0.1);
        assert_eq!((gap(-0.3).outcome, gap(0.1).outcome, gap(0.2).credit), (Outcome::Pass, Outcome::Pass, 0.0));
        assert!((gap(0.15).credit - 0.25).abs() < 1e-12);
        // a limit that allows nothing at all divides by 0
        assert_eq!(twice(Part::Gap, Some(0.01), 0.0).credit, 0.0);
    }

    #[test]
    fn one_hard_part_that_is_undefined_prevents_a_deployment_and_a_soft_one_does_not() {
        let pass = check(Part::AccuracyLift, Some(0.2), Limit::Above(0.0), -0.1);
        let soft = check(Part::GoodPaths, None, Limit::AtLeast(0.5), 0.0);
        let hard = check(Part::PValue, None, Limit::AtMost(0.05), 0.5);
        let few = check(Part::TestTrades, Some(199.0), Limit::AtLeast(200.0), 0.0);
        assert_eq!(verdict(&[pass.clone(), soft.clone()], 0.8, 0.7), ValidationVerdict::Deployable);
        assert_eq!(verdict(&[pass.clone(), soft], 0.7, 0.7), ValidationVerdict::NotDeployable);
        assert_eq!(verdict(&[pass.clone(), hard.clone()], 0.9, 0.7), ValidationVerdict::NotDeployable);
        assert_eq!(verdict(&[pass, hard, few], 0.9, 0.7), ValidationVerdict::Insufficient);
    }

    #[test]
    fn the_overall_score_is_the_weighted_mean_of_the_areas_that_have_parts() {
        let good = check(Part::Accuracy, Some(0.9), Limit::Above(0.7), 0.5);
        let bad = check(Part::F1, Some(0.0), Limit::Above(0.6), 0.0);
        let stable = check(Part::GoodPaths, Some(0.25), Limit::AtLeast(0.5), 0.0);
        let data = check(Part::TestTrades, Some(0.0), Limit::AtLeast(200.0), 0.0);
        let weights =
            Overall { min_score: 0.7, performance_weight: 0.6, overfitting_weight: 0.2, stability_weight: 0.2 };
        let found = overall(&[good, bad, stable, data], &weights);
        assert!((found - (0.6 * 0.5 + 0.2 * 0.25) / 0.8).abs() < 1e-12, "{found}");
    }

    #[test]
    fn a_cliff_beside_the_chosen_strength_is_seen_and_one_far_away_is_not() {
        let curve = [(0.1, 0.60), (1.0, 0.61), (10.0, 0.60), (100.0, 0.5)];
        assert!((curve_step(&curve, 1.0).unwrap() - 0.01).abs() < 1e-12);
        assert!((curve_step(&curve, 0.1).unwrap() - 0.01).abs() < 1e-12);
        assert!((curve_step(&curve, 100.0).unwrap() - 0.1).abs() < 1e-12);
        assert_eq!((curve_step(&curve, 3.0), curve_step(&[(1.0, 0.5)], 1.0)), (None, None));
    }
}
