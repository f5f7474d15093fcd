//! How good scores are: as predictions, and as the policy that takes a trade or leaves it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::example::{Example, Goal};
use crate::{
    domain::TradingDay,
    stats::{
        association::{correlation, r_squared},
        binary::{Confusion, brier, expected_calibration_error, log_loss, roc_auc},
        describe::mean,
        risk::{expectancy, max_drawdown, sharpe},
    },
};

/// Trading days of a year.
const DAYS_PER_YEAR: f64 = 252.0;
/// Bins of the calibration error.
const BINS: usize = 10;

/// Figures of one set of scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Figures {
    /// Of probabilities of yes.
    Class(ClassFigures),
    /// Of predicted numbers.
    Real(RealFigures),
}

/// Figures of probabilities; one of at least the decision point predicts yes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// The decision point; 1/2 in reports of older versions.
    #[serde(default = "one_half")]
    pub point: f64,
    /// Number of rows.
    pub rows: usize,
    /// Rows labelled yes.
    pub wins: usize,
    /// Share predicted right.
    pub accuracy: f64,
    /// Mean of the shares of yes and of no that were recognised; `None` with one class.
    pub balanced_accuracy: Option<f64>,
    /// Share of the predicted yes that were yes; `None` when none was predicted.
    pub precision: Option<f64>,
    /// Share of the yes that were predicted; `None` when there was none.
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall; `None` when yes neither occurred nor was predicted.
    pub f1: Option<f64>,
    /// Area under the ROC curve; `None` with one class.
    pub auc: Option<f64>,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// Mean log loss.
    pub log_loss: f64,
    /// Expected calibration error over ten bins.
    pub calibration_error: f64,
}

/// Figures of predicted numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RealFigures {
    /// Number of rows.
    pub rows: usize,
    /// Coefficient of determination; `None` when the truth does not vary.
    pub r_squared: Option<f64>,
    /// Correlation with the truth; `None` when either does not vary.
    pub correlation: Option<f64>,
    /// Correlation with the pnl really made.
    pub pnl_correlation: Option<f64>,
}

/// What a policy earned, each trade at the strategy's own size times what the sizing rule says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PolicyFigures {
    /// Trades taken.
    pub taken: usize,
    /// Trades offered.
    pub offered: usize,
    /// Pnl of the trades taken, in account currency.
    pub total: f64,
    /// Mean pnl of a trade taken; `None` without any.
    pub expectancy: Option<f64>,
    /// Sharpe ratio of the pnl by trading day, days without a taken trade counting 0, times the square root of 252.
    pub sharpe: Option<f64>,
    /// Deepest fall of the running pnl, in the order of the exits; `None` without a trade.
    pub max_drawdown: Option<f64>,
}

impl Figures {
    /// Judges `scores` by what came to be. `None` without rows, when lengths differ, or when a score is not what the
    /// goal asks for. A class is yes from the decision point `point` on.
    pub fn of(goal: Goal, examples: &[&Example], scores: &[f64], point: f64) -> Option<Self> {
        let truth: Vec<f64> = examples.iter().map(|example| example.truth).collect();
        if goal.is_class() {
            return ClassFigures::of(&labels(&truth), scores, point).map(Self::Class);
        }
        let pnl: Vec<f64> = examples.iter().map(|example| example.pnl).collect();
        (!scores.is_empty() && scores.len() == truth.len() && scores.iter().all(|score| score.is_finite())).then(|| {
            Self::Real(RealFigures {
                rows: scores.len(),
                r_squared: r_squared(&truth, scores),
                correlation: correlation(&truth, scores),
                pnl_correlation: correlation(scores, &pnl),
            })
        })
    }

    /// The figures by name.
    pub fn named(&self) -> Vec<(&'static str, Option<f64>)> {
        match *self {
            Self::Class(figures) => vec![
                ("rows", Some(figures.rows as f64)),
                ("wins", Some(figures.wins as f64)),
                ("accuracy", Some(figures.accuracy)),
                ("balanced_accuracy", figures.balanced_accuracy),
                ("precision", figures.precision),
                ("recall", figures.recall),
                ("f1", figures.f1),
                ("auc", figures.auc),
                ("brier", Some(figures.brier)),
                ("log_loss", Some(figures.log_loss)),
                ("calibration_error", Some(figures.calibration_error)),
            ],
            Self::Real(figures) => vec![
                ("rows", Some(figures.rows as f64)),
                ("r_squared", figures.r_squared),
                ("correlation", figures.correlation),
                ("pnl_correlation", figures.pnl_correlation),
            ],
        }
    }

    /// The same of one who knows no more than a rate, and whose accuracy is that of the better of always yes and always no on
    /// these very rows: less than that is no foresight.
    #[must_use]
    pub fn of_a_guess(self) -> Self {
        match self {
            Self::Class(figures) => {
                let yes = figures.wins as f64 / figures.rows as f64;
                Self::Class(ClassFigures { accuracy: yes.max(1.0 - yes), ..figures })
            }
            real => real,
        }
    }

    /// Accuracy, or correlation with the truth.
    pub fn hit(&self) -> Option<f64> {
        match self {
            Self::Class(figures) => Some(figures.accuracy),
            Self::Real(figures) => figures.correlation,
        }
    }
}

impl ClassFigures {
    /// Judges probabilities by labels. `None` without rows, when lengths differ, or when one is not a probability.
    pub fn of(labels: &[bool], probabilities: &[f64], point: f64) -> Option<Self> {
        let counts = Confusion::at_threshold(labels, probabilities, point)?;
        Some(Self {
            point,
            rows: labels.len(),
            wins: labels.iter().filter(|label| **label).count(),
            accuracy: counts.accuracy()?,
            balanced_accuracy: counts.balanced_accuracy(),
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            auc: roc_auc(labels, probabilities),
            brier: brier(labels, probabilities)?,
            log_loss: log_loss(labels, probabilities)?,
            calibration_error: expected_calibration_error(labels, probabilities, BINS)?,
        })
    }
}

impl Goal {
    /// Accuracy of scores at the decision point `point`, or their correlation with the truth: what thresholds in points
    /// speak of.
    pub fn hit(self, truth: &[f64], scores: &[f64], point: f64) -> Option<f64> {
        if self.is_class() {
            return Confusion::at_threshold(&labels(truth), scores, point)?.accuracy();
        }
        correlation(truth, scores)
    }

    /// The decision point of a model that learnt from rows of this `truth`: their base rate, or 1/2 where the truth is no
    /// class.
    pub fn point(self, truth: &[f64]) -> f64 {
        mean(truth).filter(|_| self.is_class()).unwrap_or(0.5)
    }

    /// Area under the ROC curve, or correlation with the truth: what is compared with chance, because its value under
    /// chance does not depend on how many won.
    pub fn skill(self, truth: &[f64], scores: &[f64]) -> Option<f64> {
        if self.is_class() { roc_auc(&labels(truth), scores) } else { correlation(truth, scores) }
    }

    /// The [`Self::skill`] of a model that knows nothing.
    pub fn chance(self) -> f64 {
        if self.is_class() { 0.5 } else { 0.0 }
    }

    /// Mean log loss, or mean squared error.
    pub fn loss(self, truth: &[f64], scores: &[f64]) -> Option<f64> {
        if self.is_class() {
            return log_loss(&labels(truth), scores);
        }
        if truth.is_empty() || truth.len() != scores.len() {
            return None;
        }
        let mean = truth.iter().zip(scores).map(|(t, s)| (t - s).powi(2)).sum::<f64>() / truth.len() as f64;
        mean.is_finite().then_some(mean)
    }
}

impl PolicyFigures {
    /// What trading each of those offered at its multiplier in `sizes` earned; 0 is no trade. `None` when the lengths
    /// differ.
    pub fn of(offered: &[&Example], sizes: &[f64]) -> Option<Self> {
        if offered.len() != sizes.len() {
            return None;
        }
        let mut trades: Vec<(&Example, f64)> =
            offered.iter().copied().zip(sizes.iter().copied()).filter(|(_, size)| *size > 0.0).collect();
        trades.sort_by_key(|(example, _)| example.life.exit_at);
        let pnl: Vec<f64> = trades.iter().map(|(example, size)| example.pnl * size).collect();
        Some(Self {
            taken: pnl.len(),
            offered: offered.len(),
            total: pnl.iter().sum(),
            expectancy: expectancy(&pnl),
            sharpe: sharpe(&daily_pnl(offered, sizes), DAYS_PER_YEAR),
            max_drawdown: max_drawdown(&pnl),
        })
    }

    /// The Sharpe ratio as it is compared with others: one that takes no trade earns 0.
    pub fn earned(&self) -> Option<f64> {
        if self.taken == 0 { Some(0.0) } else { self.sharpe }
    }
}

/// Pnl by trading day, in order, of trades at the multipliers in `sizes`; days on which trades were offered and none was
/// taken count 0.
pub fn daily_pnl(offered: &[&Example], sizes: &[f64]) -> Vec<f64> {
    let mut days: BTreeMap<TradingDay, f64> = BTreeMap::new();
    for (example, size) in offered.iter().zip(sizes) {
        *days.entry(example.day).or_default() += size * example.pnl;
    }
    days.into_values().collect()
}

/// What stands for the decision point where an older report has none.
pub(super) fn one_half() -> f64 {
    0.5
}

/// Truth as labels.
pub(super) fn labels(truth: &[f64]) -> Vec<bool> {
    truth.iter().map(|truth| *truth >= 0.5).collect()
}

#[cfg(test)]
mod tests {
    use jiff::{civil, tz::TimeZone};

    use super::*;
    use crate::{
        domain::{Timestamp, TradingCalendar},
        validation::Life,
    };

    /// A trade that ends `hours` after the first evening.
    fn trade(hours: i64, pnl: f64) -> Example {
        let at = Timestamp::from_second(hours * 3600).unwrap();
        let calendar = TradingCalendar::new(TimeZone::UTC, civil::time(0, 0, 0, 0));
        let life = Life { at: Timestamp::UNIX_EPOCH, exit_at: at, known_at: at };
        let day = calendar.day_of(at);
        Example {
            values: Vec::new(),
            life,
            truth: 1.0,
            pnl,
            confidence: None,
            heard: false,
            volatility: None,
            trend: None,
            day,
        }
    }

    #[test]
    fn a_policy_is_judged_by_its_days_and_a_day_without_a_trade_counts_nothing() {
        // days 0, 1 and 2; the order of the exits is not that of the signals
        let trades = [trade(30, -50.0), trade(1, 100.0), trade(2, 20.0), trade(50, -30.0), trade(60, 70.0)];
        let offered: Vec<&Example> = trades.iter().collect();
        let sizes = [0.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(daily_pnl(&offered, &sizes), [120.0, 0.0, 40.0]);
        let found = PolicyFigures::of(&offered, &sizes).unwrap();
        assert_eq!((found.taken, found.offered, found.total), (4, 5, 160.0));
        assert_eq!((found.expectancy, found.max_drawdown), (Some(40.0), Some(30.0)));
        // NumPy: 160 / 3 / np.std([120, 0, 40], ddof=1) * np.sqrt(252)
        assert!((found.sharpe.unwrap() - 13.856_406_460_551_02).abs() < 1e-9, "{:?}", found.sharpe);
        let every = PolicyFigures::of(&offered, &[1.0; 5]).unwrap();
        assert_eq!((every.max_drawdown, every.total), (Some(80.0), 110.0));
        let none = PolicyFigures::of(&offered, &[0.0; 5]).unwrap();
        assert_eq!((none.expectancy, none.sharpe, none.max_drawdown), (None, None, None));
        assert_eq!((none.earned(), every.earned()), (Some(0.0), every.sharpe));
        assert_eq!(PolicyFigures::of(&offered, &[1.0]), None);
        let half = PolicyFigures::of(&offered, &[0.0, 0.5, 0.5, 2.0, 0.0]).unwrap();
        assert_eq!((half.taken, half.total, half.max_drawdown), (3, 0.0, Some(60.0)));
    }

    #[test]
    fn a_guess_is_the_better_of_always_yes_and_always_no_on_the_trades_that_are_spoken_of() {
        // training won in 51 %, the test part in 31 %: always no is right in 69 %
        let won: Vec<Example> =
            (0..100).map(|n| Example { truth: f64::from(u8::from(n < 31)), ..trade(n + 1, 1.0) }).collect();
        let rows: Vec<&Example> = won.iter().collect();
        let figures = Figures::of(Goal::Profitability, &rows, &[0.51; 100], 0.5).unwrap();
        assert_eq!((figures.hit(), figures.of_a_guess().hit()), (Some(0.31), Some(0.69)));
        // what it costs to take the training part's rate at its word stays what it is
        let loss = |figures: Figures| match figures {
            Figures::Class(figures) => figures.log_loss,
            Figures::Real(_) => f64::NAN,
        };
        assert_eq!(loss(figures), loss(figures.of_a_guess()));
    }

    #[test]
    fn what_is_not_defined_has_no_figures() {
        let one = trade(1, 5.0);
        assert_eq!(Figures::of(Goal::Profitability, &[], &[], 0.5), None);
        assert_eq!(Figures::of(Goal::Profitability, &[&one], &[1.5], 0.5), None);
        assert_eq!(Figures::of(Goal::Pnl, &[&one], &[f64::NAN], 0.5), None);
        let Some(Figures::Real(figures)) = Figures::of(Goal::Pnl, &[&one], &[4.0], 0.5) else { unreachable!() };
        assert_eq!((figures.r_squared, figures.correlation, figures.pnl_correlation), (None, None, None));
        assert_eq!((Goal::Profitability.skill(&[1.0, 1.0], &[0.1, 0.9]), Goal::Pnl.loss(&[], &[])), (None, None));
        assert_eq!(Goal::Pnl.loss(&[1.0, 3.0], &[2.0, 5.0]), Some(2.5));
    }
}
