//! What a validation is given: planted trades, and a recipe that learns from them.

use vigie::{
    features::DesignOptions,
    models::{Kind, Solver, Target},
    validation::{Examples, Goal, Recipe, fitter},
};

use super::planted::{examples, rows};

pub fn planted(goal: Goal, seed: u64, n: usize, coefficients: &[f64]) -> Examples {
    examples(goal, rows(seed, n, coefficients))
}

pub fn logistic(design: &DesignOptions) -> impl Fn(&fitter::TrainingSet<'_>) -> Result<fitter::Fitted, fitter::NoFit> {
    of_kind(Kind::Logistic, Target::Profitability, design)
}

pub fn of_kind(
    kind: Kind,
    target: Target,
    design: &DesignOptions,
) -> impl Fn(&fitter::TrainingSet<'_>) -> Result<fitter::Fitted, fitter::NoFit> {
    Recipe { kind, target, solver: Solver::Newton, design, seed: 7 }.fitter()
}
