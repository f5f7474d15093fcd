//! Which kinds of models may be trained yet: the decision points, with the evidence for each answer.
//!
//! A higher level may only be tried when there are trades enough for it and the level below has nothing more to give.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A level of models, simplest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Logistic and linear regression.
    Linear,
    /// Random forests and extra trees.
    RandomForest,
    /// Gradient boosting.
    GradientBoosting,
    /// A small neural network; none is built in.
    NeuralNetwork,
}

/// How many more closed trades, as a share, there must be than at the training that counted before, for a training to be one
/// on other data: what is hardly more says hardly more.
pub const OTHER_DATA: f64 = 0.1;

/// What is known when the question is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Closed trades with a known pnl.
    pub closed_trades: u64,
    /// Those of them whose signals passed the quality checks without a remark.
    pub clean_trades: u64,
    /// Out-of-sample score (AUC) of the best linear model on each data that one was trained on, oldest first; see
    /// [`OTHER_DATA`].
    pub linear_scores: Vec<f64>,
    /// The same of forests and boosting.
    pub tree_scores: Vec<f64>,
    /// One-sided p-value of trees against linear models on the same trades, out of sample.
    pub trees_beat_linear_p: Option<f64>,
}

/// Where the decision points stand.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Closed trades from which linear models are trained.
    pub linear_min_trades: u64,
    /// Closed trades that boosting needs more than.
    pub boosting_min_trades: u64,
    /// Clean trades that a neural network needs more than.
    pub neural_min_trades: u64,
    /// Latest trainings, each on other data, over which a level has reached its plateau, at least 2.
    pub plateau_trainings: usize,
    /// Rise of the score, from the first of these to the best of the others, that is still a plateau; at least 0.
    pub plateau_rise: f64,
    /// Largest p-value that counts as evidence, 0 to 1.
    pub significance: f64,
    /// Rise of the Sharpe ratio by which a forest must beat the linear model, as a share of it.
    pub forest_gain: f64,
    /// Rise of the Sharpe ratio by which boosting must beat the level below, as a share of it.
    pub boosting_gain: f64,
}

/// Whether a level is open, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelVerdict {
    /// The level.
    pub level: Level,
    /// All conditions are met.
    pub go: bool,
    /// Each condition, in the order in which they are worth looking at.
    pub conditions: Vec<Condition>,
}

/// One condition and what stands against it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Condition {
    /// What is asked for.
    pub what: &'static str,
    /// What was found; `None` where it is not known yet.
    pub found: Option<f64>,
    /// The relation and number that it takes, such as `>= 500`.
    pub needed: String,
    /// Whether it is met. What is not known is not met.
    pub met: bool,
    /// What would help, where it is not met.
    pub help: Option<String>,
}

impl Level {
    /// All of them, simplest first.
    pub const ALL: [Self; 4] = [Self::Linear, Self::RandomForest, Self::GradientBoosting, Self::NeuralNetwork];

    /// Its name in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::RandomForest => "random_forest",
            Self::GradientBoosting => "gradient_boosting",
            Self::NeuralNetwork => "neural_network",
        }
    }
}

impl Default for Thresholds {
    /// 500, 2,000 and 5,000 trades; a plateau is 3 trainings within 1 point; 5 %; Sharpe +5 % and +10 %.
    fn default() -> Self {
        Self {
            linear_min_trades: 500,
            boosting_min_trades: 2_000,
            neural_min_trades: 5_000,
            plateau_trainings: 3,
            plateau_rise: 0.01,
            significance: 0.05,
            forest_gain: 0.05,
            boosting_gain: 0.10,
        }
    }
}

/// Whether models of `level` may be trained.
pub fn judge(level: Level, facts: &Facts, thresholds: &Thresholds) -> LevelVerdict {
    let at_least = |found, needed| trades("closed trades", found, needed, ">=", found >= needed);
    let more_than = |what, found, needed| trades(what, found, needed, ">", found > needed);
    let linear =
        || plateau("rise of the linear models' score over the last trainings", &facts.linear_scores, thresholds);
    let conditions = match level {
        Level::Linear => vec![at_least(facts.closed_trades, thresholds.linear_min_trades)],
        Level::RandomForest => vec![at_least(facts.closed_trades, thresholds.linear_min_trades), linear()],
        Level::GradientBoosting => {
            vec![more_than("closed trades", facts.closed_trades, thresholds.boosting_min_trades)]
        }
        Level::NeuralNetwork => vec![
            more_than("clean trades", facts.clean_trades, thresholds.neural_min_trades),
            linear(),
            plateau("rise of the tree models' score over the last trainings", &facts.tree_scores, thresholds),
            non_linearity(facts, thresholds),
        ],
    };
    LevelVerdict { level, go: conditions.iter().all(|condition| condition.met), conditions }
}

/// What a model of `level` must reach out of sample to be registered over the best of the levels below, which reached
/// `below` on the same trades: as much and its level's gain more, as a share of it, and more than 0. `None` for the lowest
/// level, which has nothing to beat, and where what is below is not known.
pub fn bar(level: Level, below: Option<f64>, thresholds: &Thresholds) -> Option<f64> {
    let gain = match level {
        Level::Linear => return None,
        Level::RandomForest => thresholds.forest_gain,
        Level::GradientBoosting | Level::NeuralNetwork => thresholds.boosting_gain,
    };
    // below 0 a share of it would ask for less than it has
    below.filter(|score| score.is_finite()).map(|score| (score + gain * score.abs()).max(0.0))
}

fn trades(what: &'static str, found: u64, needed: u64, relation: &str, met: bool) -> Condition {
    let missing = needed.saturating_sub(found) + u64::from(relation == ">");
    Condition {
        what,
        found: Some(found as f64),
        needed: format!("{relation} {needed}"),
        met,
        help: (!met).then(|| format!("{missing} more")),
    }
}

/// The best of the last trainings is hardly better than the first of them.
fn plateau(what: &'static str, scores: &[f64], thresholds: &Thresholds) -> Condition {
    let needed_trainings = thresholds.plateau_trainings.max(2);
    let rise = scores.len().checked_sub(needed_trainings).and_then(|from| {
        let (first, later) = scores.get(from..)?.split_first()?;
        let best = later.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(best - first).filter(|rise| rise.is_finite())
    });
    let met = rise.is_some_and(|rise| rise <= thresholds.plateau_rise);
    let help = match rise {
        None => {
            let missing = needed_trainings.saturating_sub(scores.len()).max(1);
            format!("{missing} more trainings, each when there are {:.0} % more closed trades", 100.0 * OTHER_DATA)
        }
        Some(_) => "it still improves: train it on more trades first".to_owned(),
    };
    let needed = format!("<= {} over {needed_trainings} trainings", thresholds.plateau_rise);
    Condition { what, found: rise, needed, met, help: (!met).then_some(help) }
}

fn non_linearity(facts: &Facts, thresholds: &Thresholds) -> Condition {
    let found = facts.trees_beat_linear_p;
    // written so that NaN is no evidence
    let met = found.is_some_and(|p| p >= 0.0 && p <= thresholds.significance);
    Condition {
        what: "p-value of trees against linear models out of sample",
        found,
        needed: format!("<= {}", thresholds.significance),
        met,
        help: (!met).then(|| "without evidence of non-linearity a network has nothing to find".to_owned()),
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for LevelVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.level, if self.go { "GO" } else { "NO-GO" })?;
        self.conditions.iter().try_for_each(|condition| write!(f, "\n  {condition}"))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.met { "met    " } else { "not met" };
        write!(f, "{mark}  {}: ", self.what)?;
        match self.found {
            // counts have no decimals to round
            Some(found) => write!(f, "{}", (found * 1e4).round() / 1e4)?,
            None => f.write_str("not known yet")?,
        }
        write!(f, ", needs {}", self.needed)?;
        self.help.iter().try_for_each(|help| write!(f, " ({help})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            closed_trades: 6_000,
            clean_trades: 5_001,
            linear_scores: vec![0.5, 0.57, 0.575, 0.572],
            tree_scores: vec![0.58, 0.58, 0.589],
            trees_beat_linear_p: Some(0.03),
        }
    }

    fn is_open(level: Level, facts: &Facts) -> bool {
        judge(level, facts, &Thresholds::default()).go
    }

    #[test]
    fn every_condition_alone_closes_its_level() {
        assert!(Level::ALL.into_iter().all(|level| is_open(level, &facts())));
        type Change = fn(&mut Facts);
        let close: [(Level, Change); 9] = [
            (Level::Linear, |f| f.closed_trades = 499),
            (Level::RandomForest, |f| f.closed_trades = 499),
            (Level::RandomForest, |f| f.linear_scores = vec![0.5, 0.51, 0.5101]),
            (Level::RandomForest, |f| f.linear_scores = vec![0.5, 0.5]),
            (Level::GradientBoosting, |f| f.closed_trades = 2_000),
            (Level::NeuralNetwork, |f| f.clean_trades = 5_000),
            (Level::NeuralNetwork, |f| f.tree_scores = vec![0.5, f64::NAN, f64::NAN]),
            (Level::NeuralNetwork, |f| f.trees_beat_linear_p = None),
            (Level::NeuralNetwork, |f| f.trees_beat_linear_p = Some(f64::NAN)),
        ];
        for (number, (level, change)) in close.into_iter().enumerate() {
            let mut facts = facts();
            change(&mut facts);
            let verdict = judge(level, &facts, &Thresholds::default());
            let unmet: Vec<&Condition> = verdict.conditions.iter().filter(|condition| !condition.met).collect();
            assert!(!verdict.go && unmet.len() == 1 && unmet[0].help.is_some(), "{number}: {verdict}");
        }
        assert!(is_open(Level::Linear, &Facts { closed_trades: 500, ..Facts::default() }));
        assert!(is_open(Level::GradientBoosting, &Facts { closed_trades: 2_001, ..Facts::default() }));
    }

    #[test]
    fn a_verdict_reads_as_evidence() {
        let facts = Facts { closed_trades: 480, linear_scores: vec![0.5], ..Facts::default() };
        let text = judge(Level::RandomForest, &facts, &Thresholds::default()).to_string();
        let wanted = "random_forest: NO-GO\n  not met  closed trades: 480, needs >= 500 (20 more)\n  not met  rise of the \
                      linear models' score over the last trainings: not known yet, needs <= 0.01 over 3 trainings (2 \
                      more trainings, each when there are 10 % more closed trades)";
        assert_eq!(text, wanted);
        let text = judge(Level::GradientBoosting, &facts, &Thresholds::default()).to_string();
        assert!(text.ends_with("480, needs > 2000 (1521 more)"), "{text}");
    }

    #[test]
    fn a_higher_level_must_beat_the_one_below_by_its_margin() {
        let bar = |level, below| bar(level, below, &Thresholds::default());
        assert_eq!(bar(Level::Linear, Some(1.0)), None);
        assert_eq!(bar(Level::RandomForest, Some(1.0)), Some(1.05));
        assert_eq!(bar(Level::GradientBoosting, Some(1.0)), Some(1.1));
        assert_eq!(bar(Level::GradientBoosting, Some(-1.0)), Some(0.0), "better is not enough where it loses");
        assert_eq!((bar(Level::RandomForest, None), bar(Level::RandomForest, Some(f64::NAN))), (None, None));
    }
}
