//! Small models of every kind.

use vigie::models::{AverageSpec, BoostingSpec, ForestSpec, LogisticSpec, ModelSpec};

/// Small and quick, one of each kind that learns classes.
pub fn class_specs() -> [ModelSpec; 5] {
    let forest = ForestSpec { trees: 9, min_leaf: 5, ..ForestSpec::default() };
    let boosting = BoostingSpec { rounds: 10, min_leaf: 5, ..BoostingSpec::default() };
    let logistic = ModelSpec::Logistic(LogisticSpec::default());
    let members = vec![logistic.clone(), ModelSpec::RandomForest(forest)];
    [
        logistic,
        ModelSpec::RandomForest(forest),
        ModelSpec::ExtraTrees(forest),
        ModelSpec::Boosting(boosting),
        ModelSpec::Average(AverageSpec { members }),
    ]
}
