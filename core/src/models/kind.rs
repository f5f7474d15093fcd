//! The kinds of model that can be asked for by name, and what each is made of at a strength.
//!
//! The strength is one number that holds a model back: the more of it, the simpler the model. For what is linear it is
//! the weight of its penalty, for trees the fewest rows of a leaf, for what is made of both it is both.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    boosting::BoostingSpec,
    forest::ForestSpec,
    levels::Level,
    linear::LinearSpec,
    logistic::Solver,
    spec::{LogisticSpec, ModelSpec},
    targets::TargetKind,
};

/// A kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Logistic regression.
    Logistic,
    /// Linear regression with a penalty on the squares of its weights.
    Ridge,
    /// Linear regression with a penalty on the sizes of its weights.
    Lasso,
    /// Linear regression with half of each.
    ElasticNet,
    /// Random forest.
    RandomForest,
    /// Extra trees.
    ExtraTrees,
    /// Gradient boosting.
    Boosting,
    /// The mean of a linear model, a random forest and boosting.
    Average,
    /// A logistic regression on the scores of those three.
    Stack,
}

impl Kind {
    /// All of them, simplest first.
    pub const ALL: [Self; 9] = [
        Self::Logistic,
        Self::Ridge,
        Self::Lasso,
        Self::ElasticNet,
        Self::RandomForest,
        Self::ExtraTrees,
        Self::Boosting,
        Self::Average,
        Self::Stack,
    ];

    /// Its name, as it is configured and stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logistic => "logistic",
            Self::Ridge => "ridge",
            Self::Lasso => "lasso",
            Self::ElasticNet => "elastic_net",
            Self::RandomForest => "random_forest",
            Self::ExtraTrees => "extra_trees",
            Self::Boosting => "boosting",
            Self::Average => "average",
            Self::Stack => "stack",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The level that must be open for it: of what is made of others, that of its highest member.
    pub fn level(self) -> Level {
        match self {
            Self::Logistic | Self::Ridge | Self::Lasso | Self::ElasticNet => Level::Linear,
            Self::RandomForest | Self::ExtraTrees => Level::RandomForest,
            Self::Boosting | Self::Average | Self::Stack => Level::GradientBoosting,
        }
    }

    /// Whether it can learn such values.
    pub fn learns(self, target: TargetKind) -> bool {
        let real = target == TargetKind::Real;
        match self {
            Self::Logistic | Self::Stack => !real,
            Self::Ridge | Self::Lasso | Self::ElasticNet => real,
            Self::RandomForest | Self::ExtraTrees | Self::Boosting | Self::Average => true,
        }
    }

    /// The kind of the same level that learns such values: a linear model of the other sort in place of one that does not.
    pub fn for_target(self, target: TargetKind) -> Self {
        match self {
            kind if kind.learns(target) => kind,
            Self::Stack => Self::Average,
            Self::Logistic => Self::Ridge,
            _ => Self::Logistic,
        }
    }

    /// Whether its strength is the weight of a penalty alone; else it is also the fewest rows of a leaf.
    pub fn is_linear(self) -> bool {
        self.level() == Level::Linear
    }

    /// The models it is made of at a `strength`; one, unless it is made of others. `spread` is the standard deviation of
    /// what is learnt: it makes a penalty on the sizes of weights free of its unit. `solver` fits logistic models.
    pub fn members(self, target: TargetKind, strength: f64, spread: f64, solver: Solver) -> Vec<ModelSpec> {
        let real = target == TargetKind::Real;
        let linear = |l1: f64, l2: f64| ModelSpec::Linear(LinearSpec { l1: l1 * spread, l2 });
        let simple = if real {
            linear(0.0, strength)
        } else {
            ModelSpec::Logistic(LogisticSpec { l2: strength, solver, ..LogisticSpec::default() })
        };
        let min_leaf = leaf(strength);
        let forest = ForestSpec { min_leaf, ..ForestSpec::default() };
        let boosting = || ModelSpec::Boosting(BoostingSpec { min_leaf, ..BoostingSpec::default() });
        match self {
            Self::Logistic | Self::Ridge => vec![simple],
            Self::Lasso => vec![linear(strength, 0.0)],
            Self::ElasticNet => vec![linear(strength / 2.0, strength / 2.0)],
            Self::RandomForest => vec![ModelSpec::RandomForest(forest)],
            Self::ExtraTrees => vec![ModelSpec::ExtraTrees(forest)],
            Self::Boosting => vec![boosting()],
            Self::Average | Self::Stack => vec![simple, ModelSpec::RandomForest(forest), boosting()],
        }
    }
}

/// Rows of a leaf, at least 1.
fn leaf(strength: f64) -> u32 {
    // the cast saturates, and gives 0 for what is no number
    (strength.round() as u32).max(1)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_made_of_what_its_level_allows_and_learns_what_it_says() {
        for kind in Kind::ALL {
            assert_eq!(Kind::named(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            for target in [TargetKind::Class, TargetKind::Real] {
                let instead = kind.for_target(target);
                assert!(instead.learns(target) && instead.level() == kind.level(), "{kind} for {target:?}");
                let members = instead.members(target, 20.4, 2.0, Solver::Newton);
                assert_eq!(members.iter().map(ModelSpec::level).max(), Some(kind.level()));
            }
        }
        let lasso = Kind::Lasso.members(TargetKind::Real, 3.0, 2.0, Solver::Newton);
        assert_eq!(lasso, [ModelSpec::Linear(LinearSpec { l1: 6.0, l2: 0.0 })]);
        assert_eq!((leaf(0.2), leaf(20.4), leaf(f64::NAN)), (1, 20, 1));
    }
}
