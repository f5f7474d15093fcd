//! What is asked of each part, and the verdict that follows.

use serde::{Deserialize, Serialize};

use super::{
    advice::{Advice, advice},
    check::{Area, Limit, Measured, Outcome, Part, ValidationCheck},
    evidence::ValidationEvidence,
    example::Goal,
    figures::Figures,
    lift::Measure,
    options::{Overall, ValidationOptions},
    stability::counted,
};

/// Lowest probability that following the model makes more money than taking every trade. The proof that it is worth following is
/// that of its Sharpe ratio; this one keeps out what is bought with money, and is no second proof.
const MONEY: f64 = 0.8;

/// Whether a model may be deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValidationVerdict {
    /// The overall score suffices and every hard gate was passed.
    Deployable,
    /// It does not, or one was not.
    NotDeployable,
    /// Too few test trades for a verdict; not deployable either.
    Insufficient,
}

/// All parts of `evidence`.
pub(super) fn checks(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<ValidationCheck> {
    let parts = [
        data(evidence, options, goal),
        performance(evidence, options, goal),
        overfitting(evidence, options),
        stability(evidence, options, goal),
    ];
    let advised = |measured: Measured| judged(measured, |measured| advice(measured, evidence, options));
    parts.into_iter().flatten().map(advised).collect()
}

/// A part with how it ended, and with `advice` where it did not pass.
fn judged(measured: Measured, advice: impl FnOnce(&Measured) -> Advice) -> ValidationCheck {
    let (outcome, credit) = measured.weighed();
    let advice = (outcome != Outcome::Pass).then(|| advice(&measured));
    let (help, more_trades) = advice.map(|Advice { help, more_trades }| (help, more_trades)).unzip();
    let Measured { part, value, limit, .. } = measured;
    let (area, hard) = part.area();
    ValidationCheck { part, area, value, limit, outcome, hard, credit, help, more_trades: more_trades.flatten() }
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

fn data(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<Measured> {
    let trades = Limit::AtLeast(options.splits.min_test_trades as f64);
    let alone = evidence.strongest_input.as_ref().map(|(_, skill)| *skill);
    let most = Limit::AtMost(options.gates.max_single_skill.max(goal.chance()));
    vec![
        check(Part::TestTrades, Some(evidence.parts.test as f64), trades, 0.0),
        check(Part::SingleInput, alone, most, 1.0),
    ]
}

fn performance(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<Measured> {
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

fn overfitting(evidence: &ValidationEvidence, options: &ValidationOptions) -> Vec<Measured> {
    let gates = &options.gates;
    let gap = evidence.gaps().into_iter().map(|(_, gap)| gap).reduce(f64::max);
    let deviation = crate::stats::describe::standard_deviation(&evidence.folds);
    let stability = Limit::AtLeast(gates.min_feature_stability);
    // to let every trade go is no policy, however much the strategy loses
    let takes_some = |_: &_| evidence.policy.is_some_and(|policy| policy.taken > 0);
    let gain = evidence.gain.map(|gain| gain.deflated).filter(takes_some);
    let p_value = evidence.null.as_ref().map(|null| null.p_value);
    vec![
        Measured::twice(Part::Gap, gap, gates.max_gap),
        Measured::twice(Part::CvDeviation, deviation, gates.max_cv_deviation),
        Measured::twice(Part::CurveStep, curve_step(&evidence.curve, evidence.strength), gates.max_curve_step),
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

fn stability(evidence: &ValidationEvidence, options: &ValidationOptions, goal: Goal) -> Vec<Measured> {
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
        Measured::twice(Part::BootstrapDeviation, spread, limits.max_bootstrap_deviation),
        check(Part::ImportanceStability, evidence.importance_stability, important, 0.0),
        check(Part::GoodMonths, good_months, Limit::AtLeast(limits.min_good_months), 0.3),
        check(Part::WorstRegime, regimes.min_by(f64::total_cmp), Limit::AtLeast(worst), worst - 0.1),
        check(Part::GoodPaths, good_paths, Limit::AtLeast(limits.min_good_paths), 0.0),
    ]
}

/// Range of the score over the chosen strength and its neighbours.
fn curve_step(curve: &[(f64, f64)], chosen: f64) -> Option<f64> {
    let place = curve.iter().position(|(strength, _)| *strength == chosen)?;
    let near = curve.get(place.saturating_sub(1)..(place + 2).min(curve.len()))?;
    let scores = || near.iter().map(|(_, score)| *score);
    let range = scores().fold(f64::NEG_INFINITY, f64::max) - scores().fold(f64::INFINITY, f64::min);
    (near.len() >= 2).then_some(range)
}

fn check(part: Part, value: Option<f64>, limit: Limit, worthless: f64) -> Measured {
    Measured { part, value, limit, worthless }
}

fn share(of: usize, part: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged_check(part: Part, value: Option<f64>, limit: Limit, worthless: f64) -> ValidationCheck {
        judged(check(part, value, limit, worthless), |_| Advice { help: String::new(), more_trades: None })
    }

    fn judged_gap(value: Option<f64>, limit: f64) -> ValidationCheck {
        judged(Measured::twice(Part::Gap, value, limit), |_| Advice { help: String::new(), more_trades: None })
    }

    #[test]
    fn credit_falls_from_the_limit_to_what_is_worth_nothing() {
        let precision = |value| judged_check(Part::Precision, value, Limit::Above(0.65), 0.5);
        assert_eq!((precision(Some(0.66)).outcome, precision(Some(0.66)).credit), (Outcome::Pass, 1.0));
        let at_limit = precision(Some(0.65));
        assert_eq!((at_limit.outcome, at_limit.credit), (Outcome::Fail, 0.5));
        assert!((precision(Some(0.575)).credit - 0.25).abs() < 1e-12);
        assert_eq!((precision(Some(0.4)).credit, precision(None).credit), (0.0, 0.0));
        assert_eq!(precision(None).outcome, Outcome::Undefined);
        let gap = |value| judged_gap(Some(value), 0.1);
        assert_eq!((gap(-0.3).outcome, gap(0.1).outcome, gap(0.2).credit), (Outcome::Pass, Outcome::Pass, 0.0));
        assert!((gap(0.15).credit - 0.25).abs() < 1e-12);
        // a limit that allows nothing at all divides by 0
        assert_eq!(judged_gap(Some(0.01), 0.0).credit, 0.0);
    }

    #[test]
    fn one_hard_part_that_is_undefined_prevents_a_deployment_and_a_soft_one_does_not() {
        let pass = judged_check(Part::AccuracyLift, Some(0.2), Limit::Above(0.0), -0.1);
        let soft = judged_check(Part::GoodPaths, None, Limit::AtLeast(0.5), 0.0);
        let hard = judged_check(Part::PValue, None, Limit::AtMost(0.05), 0.5);
        let few = judged_check(Part::TestTrades, Some(199.0), Limit::AtLeast(200.0), 0.0);
        assert_eq!(verdict(&[pass.clone(), soft.clone()], 0.8, 0.7), ValidationVerdict::Deployable);
        assert_eq!(verdict(&[pass.clone(), soft], 0.7, 0.7), ValidationVerdict::NotDeployable);
        assert_eq!(verdict(&[pass.clone(), hard.clone()], 0.9, 0.7), ValidationVerdict::NotDeployable);
        assert_eq!(verdict(&[pass, hard, few], 0.9, 0.7), ValidationVerdict::Insufficient);
    }

    #[test]
    fn the_overall_score_is_the_weighted_mean_of_the_areas_that_have_parts() {
        let good = judged_check(Part::Accuracy, Some(0.9), Limit::Above(0.7), 0.5);
        let bad = judged_check(Part::F1, Some(0.0), Limit::Above(0.6), 0.0);
        let stable = judged_check(Part::GoodPaths, Some(0.25), Limit::AtLeast(0.5), 0.0);
        let data = judged_check(Part::TestTrades, Some(0.0), Limit::AtLeast(200.0), 0.0);
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
