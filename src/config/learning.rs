//! The keys of training, of validation and of the decision points.

#![deny(clippy::indexing_slicing)]

use toml::de::DeValue;

use super::{
    Trainer,
    reader::{
        Effect::AtReload,
        Reader,
        section::{ListForm, Refusal, Section, above, quoted},
    },
};
use crate::{
    models::{
        Kind, Solver, Target,
        levels::{Level, Thresholds},
    },
    policy::answer::Policy,
    validation::{
        ValidationOptions,
        options::{Effort, Gates, Overall, Splits, Stability, Targets},
        training::Training,
    },
};

pub(super) fn training(reader: &mut Reader<'_, '_>) -> Training {
    let solvers = [("smartcore", Solver::Smartcore), ("newton", Solver::Newton)];
    let kinds = Kind::ALL.map(|kind| (kind.name(), kind));
    let targets = Target::ALL.map(|target| (target.name(), target));
    let mut at = reader.section("training", AtReload);
    let training = Training {
        model: at.choice("model", Kind::Logistic, &kinds),
        target: at.choice("target", Target::Profitability, &targets),
        min_trades: at.count("min_trades", 50..=1_000_000),
        test_share: at.number("test_share", 0.05..=0.5),
        min_test_trades: at.count("min_test_trades", 10..=1_000_000),
        decision_point: Some(at.number("decision_point", 0.0..=1.0)).filter(|point| *point > 0.0),
        strengths: rising(&mut at, "strengths", 0.0, 1e6),
        leaves: rising(&mut at, "leaves", 1.0, 1e5),
        solver: at.choice("solver", Solver::Newton, &solvers),
        allow_levels: levels_allowed(&mut at),
        seed: at.whole("seed", 0..=i64::MAX.unsigned_abs()),
    };
    let possible = training.min_test_trades <= training.min_trades;
    reader.demand(possible, ("training.min_test_trades", "must not be above", "training.min_trades"));
    training
}

/// The strengths and the trials of a run are set by the run.
pub(super) fn validation(reader: &mut Reader<'_, '_>, training: &Training, policy: &Policy) -> ValidationOptions {
    let mut at = reader.section("validation", AtReload);
    let splits = splits(&mut at, training);
    let effort = Effort {
        bootstrap: at.count("bootstrap", 2..=10_000),
        null: at.count("null", 20..=10_000),
        importance: at.count("importance", 2..=1_000),
        blocks: 2 * at.count("block_pairs", 1..=10),
    };
    let gates = gates(&mut at);
    let targets = Targets {
        accuracy: at.number("min_accuracy", 0.0..=1.0),
        f1: at.number("min_f1", 0.0..=1.0),
        precision: at.number("min_precision", 0.0..=1.0),
        correlation: at.number("min_correlation", 0.0..=1.0),
    };
    let stability = stability(&mut at);
    let overall = Overall {
        min_score: at.number("min_score", 0.0..=1.0),
        performance_weight: at.number("performance_weight", above(0.0, 1.0)),
        overfitting_weight: at.number("overfitting_weight", above(0.0, 1.0)),
        stability_weight: at.number("stability_weight", above(0.0, 1.0)),
    };
    reader.demand(
        splits.judged_groups < splits.groups,
        ("validation.judged_groups", "must be below", "validation.groups"),
    );
    ValidationOptions {
        splits,
        strengths: training.strengths.clone(),
        strength: None,
        decision_point: None,
        policy: policy.trade(),
        looks: Vec::new(),
        effort,
        gates,
        targets,
        stability,
        overall,
        seed: training.seed,
    }
}

fn splits(at: &mut Section<'_, '_, '_>, training: &Training) -> Splits {
    Splits {
        validation_share: at.number("validation_share", 0.05..=0.4),
        test_share: training.test_share,
        min_test_trades: training.min_test_trades,
        folds: at.count("folds", 2..=100),
        embargo_hours: at.number("embargo_hours", 0.0..=8760.0),
        steps: at.count("steps", 2..=1_000),
        first_step_share: at.number("first_step_share", 0.05..=0.95),
        groups: at.count("groups", 3..=20),
        judged_groups: at.count("judged_groups", 1..=19),
    }
}

fn gates(at: &mut Section<'_, '_, '_>) -> Gates {
    Gates {
        max_gap: at.number("max_gap", 0.0..=1.0),
        max_cv_deviation: at.number("max_cv_deviation", 0.0..=1.0),
        max_curve_step: at.number("max_curve_step", 0.0..=1.0),
        min_feature_stability: at.number("min_feature_stability", 0.0..=1.0),
        top_features: at.count("top_features", 1..=100),
        max_overfitting: at.number("max_overfitting", 0.0..=1.0),
        min_gain_probability: at.number("min_gain_probability", 0.0..=1.0),
        max_p_value: at.number("max_p_value", 0.0..=1.0),
        max_single_skill: at.number("max_single_skill", 0.0..=1.0),
    }
}

fn stability(at: &mut Section<'_, '_, '_>) -> Stability {
    Stability {
        max_bootstrap_deviation: at.number("max_bootstrap_deviation", 0.0..=1.0),
        min_importance_stability: at.number("min_importance_stability", 0.0..=1.0),
        min_month_trades: at.count("min_month_trades", 1..=100_000),
        min_good_months: at.number("min_good_months", 0.0..=1.0),
        min_regime_trades: at.count("min_regime_trades", 1..=100_000),
        regime_slack: at.number("regime_slack", 0.0..=1.0),
        min_good_paths: at.number("min_good_paths", 0.0..=1.0),
    }
}

pub(super) fn levels(reader: &mut Reader<'_, '_>) -> Thresholds {
    let mut at = reader.section("levels", AtReload);
    Thresholds {
        linear_min_trades: at.whole("linear_min_trades", 0..=1_000_000),
        boosting_min_trades: at.whole("boosting_min_trades", 0..=1_000_000),
        neural_min_trades: at.whole("neural_min_trades", 0..=1_000_000),
        plateau_trainings: at.count("plateau_trainings", 2..=100),
        plateau_rise: at.number("plateau_rise", 0.0..=1.0),
        significance: at.number("significance", 0.0..=1.0),
        forest_gain: at.number("forest_gain", 0.0..=10.0),
        boosting_gain: at.number("boosting_gain", 0.0..=10.0),
    }
}

pub(super) fn trainer(reader: &mut Reader<'_, '_>) -> Trainer {
    let mut at = reader.section("trainer", AtReload);
    Trainer {
        wall: at.seconds("wall_s", 1..=86_400),
        memory_bytes: at.whole("memory_mib", 16..=1_048_576) << 20,
        nice: i32::try_from(at.whole("nice", 0..=19)).unwrap_or(19),
    }
}

/// Numbers from `least` to `most`, at least two, each above the one before it.
fn rising(at: &mut Section<'_, '_, '_>, key: &str, least: f64, most: f64) -> Vec<f64> {
    let item_allowed = format!("a number from {least} to {most}, above the one before it");
    let form = ListForm { most: 50, item_kind: "a number", item_allowed: &item_allowed };
    let take = |value: &DeValue<'_>, before: &[f64]| {
        let text = match value {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            _ => return Err(Refusal::Type),
        };
        let number = text.parse().ok().filter(|x: &f64| (least..=most).contains(x)).ok_or(Refusal::Range(None))?;
        if before.last().is_some_and(|before| *before >= number) { Err(Refusal::Range(None)) } else { Ok(number) }
    };
    at.list(key, &form, take, |x| format!("{x:?}"))
}

fn levels_allowed(at: &mut Section<'_, '_, '_>) -> Vec<Level> {
    let form = ListForm {
        most: 3,
        item_kind: "text in quotes",
        item_allowed: "\"linear\" or \"random_forest\" or \"gradient_boosting\"",
    };
    let trainable = [Level::Linear, Level::RandomForest, Level::GradientBoosting];
    let take = |value: &DeValue<'_>, _: &[Level]| {
        let name = value.as_str().ok_or(Refusal::Type)?;
        trainable.into_iter().find(|level| level.name() == name).ok_or(Refusal::Range(None))
    };
    at.list("allow_levels", &form, take, |level| quoted(level.name()))
}
