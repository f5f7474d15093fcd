//! An emergency: the rule that trips, what it was measured by, and how that is said.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    id::VersionId,
    time::{Timestamp, TradingDay},
};

/// The emergency rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Rolling accuracy of a version.
    Accuracy,
    /// Losses in a row of a version.
    LossStreak,
    /// Loss of the whole account in a trading day.
    DayLoss,
    /// What following a version cost against not following it, by more than chance.
    Harm,
}

/// Why a rule could not be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unevaluable {
    /// A trade that a model had a say in was closed without a pnl.
    PnlOfMlTrade,
    /// A trade was closed without a pnl.
    PnlOfTrade,
    /// A trade was closed with a pnl that no trade makes.
    PnlOutOfRange,
    /// A trade was closed at a time that cannot be.
    ExitOutOfRange,
    /// Two outcomes of a trade contradict each other.
    Contradicted,
    /// The outcome of a trade cannot be read any more.
    OutcomeDamaged,
    /// The daily limit of the latest signal is no amount.
    DailyLimit,
    /// More trades in a day than can be told apart.
    TooManyTrades,
    /// A trade was told to be closed by a line that cannot be read.
    OutcomeUnreadable,
}

/// A rule that is broken, with what it was measured by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Which.
    pub rule: Rule,
    /// What was found. `None` when the rule could not be evaluated.
    pub value: Option<f64>,
    /// What it was held against. `None` when the rule could not be evaluated.
    pub threshold: Option<f64>,
    /// Why it could not be evaluated, if so.
    pub blank: Option<Unevaluable>,
}

/// A rule that trips, and at which trade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// When the trade closed.
    pub at: Timestamp,
    /// Its trading day.
    pub day: TradingDay,
    /// The version that is to go; `None` for all of them.
    pub version: Option<VersionId>,
    /// What is broken.
    pub breach: Breach,
}

impl Trip {
    /// Whether it is of the same rule and version, and for the day's loss of the same day.
    pub fn is_same(&self, other: &Self) -> bool {
        let rule = self.breach.rule;
        let of_day = rule != Rule::DayLoss || self.day == other.day;
        rule == other.breach.rule && self.version == other.version && of_day
    }
}

impl Breach {
    /// Broken when `value` is above `threshold`.
    pub fn above(rule: Rule, value: f64, threshold: f64) -> Option<Self> {
        (value > threshold).then_some(Self { rule, value: Some(value), threshold: Some(threshold), blank: None })
    }

    /// Broken when `value` is below `threshold`.
    pub fn below(rule: Rule, value: f64, threshold: f64) -> Option<Self> {
        (value < threshold).then_some(Self { rule, value: Some(value), threshold: Some(threshold), blank: None })
    }

    /// Broken because it cannot be evaluated.
    pub fn unknown(rule: Rule, blank: Unevaluable) -> Self {
        Self { rule, value: None, threshold: None, blank: Some(blank) }
    }
}

impl Rule {
    /// The word in events and alerts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::LossStreak => "loss_streak",
            Self::DayLoss => "day_loss",
            Self::Harm => "harm",
        }
    }

    /// A number of this rule for people: a share in percent, a count, or an amount of the account's currency.
    fn figure(self, number: f64) -> String {
        let rounded = |number: f64| {
            let hundredths = (100.0 * number).round();
            let decimals = if hundredths % 100.0 == 0.0 { 0 } else { 2 };
            format!("{:.decimals$}", hundredths / 100.0)
        };
        match self {
            Self::Accuracy => format!("{} %", rounded(100.0 * number)),
            Self::LossStreak => format!("{number:.0}"),
            Self::DayLoss | Self::Harm => rounded(number),
        }
    }

    fn sign(self) -> char {
        if self == Self::Accuracy { '<' } else { '>' }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Unevaluable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PnlOfMlTrade => "an ML trade was closed without a pnl",
            Self::PnlOfTrade => "a trade was closed without a pnl",
            Self::PnlOutOfRange => "a trade was closed with a pnl beyond guardian.max_trade_pnl",
            Self::ExitOutOfRange => "a trade was closed before its signal or in the future",
            Self::Contradicted => "two reports of a trade contradict each other",
            Self::OutcomeDamaged => "the outcome of a trade cannot be read any more",
            Self::DailyLimit => "the signal's daily_loss_limit is negative or no number",
            Self::OutcomeUnreadable => "a trade was closed, and its outcome line is unreadable",
            Self::TooManyTrades => "there are more trades in the day than the daemon can track",
        })
    }
}

impl fmt::Display for Trip {
    /// `emergency of ES/14: loss_streak 11 > 10`, or `emergency of the account: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "emergency of {version}: {}", self.breach),
            None => write!(f, "emergency of the account: {}", self.breach),
        }
    }
}

impl fmt::Display for Breach {
    /// `loss_streak 11 > 10`, `accuracy 8.70 % < 50 %`, `harm 8821.02 > 0`, or `day_loss cannot be evaluated: a trade was closed without a pnl`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, value, threshold, blank } = self;
        match (value, threshold, blank) {
            (Some(value), Some(threshold), _) => {
                write!(f, "{rule} {} {} {}", rule.figure(*value), rule.sign(), rule.figure(*threshold))
            }
            (.., Some(blank)) => write!(f, "{rule} cannot be evaluated: {blank}"),
            _ => write!(f, "{rule} cannot be evaluated"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_said_in_the_unit_of_its_rule_and_rounded() {
        let said = |breach: Option<Breach>| breach.map(|breach| breach.to_string()).unwrap_or_default();
        assert_eq!(said(Breach::below(Rule::Accuracy, 2.0 / 23.0, 0.5)), "accuracy 8.70 % < 50 %");
        assert_eq!(said(Breach::below(Rule::Accuracy, 0.29, 0.575)), "accuracy 29 % < 57.50 %");
        assert_eq!(said(Breach::above(Rule::LossStreak, 11.0, 10.0)), "loss_streak 11 > 10");
        assert_eq!(said(Breach::above(Rule::Harm, 8_821.019_999_999_999, 0.0)), "harm 8821.02 > 0");
        assert_eq!(said(Breach::above(Rule::DayLoss, 2000.01, 2000.0)), "day_loss 2000.01 > 2000");
    }
}
