//! An emergency: the rule that trips, what it was measured by, and how that is said.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

use super::{
    id::VersionId,
    time::{Timestamp, TradingDay},
};

/// Longest name of a rule, in bytes.
const LONGEST_NAME: usize = 40;

/// The name of an emergency rule, such as `loss_streak`. What the rule does stands in `guard::emergency`. A journal may name a
/// rule that this program does not have: what it silenced stays silent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule(Cow<'static, str>);

/// A name that no rule can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a rule: 1 to {LONGEST_NAME} of a-z, 0-9 and _")]
pub struct InvalidRule(String);

/// What the figures of a rule are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of a record without a unit, from before there were any: the accuracy is a share, and all else a number.
    #[default]
    Unsaid,
    /// A count, or an amount of the account's currency.
    Number,
    /// 0 to 1, told in percent.
    Share,
}

/// Why a rule could not be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unevaluable {
    /// A trade that a model influenced was closed without a pnl.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    /// Which.
    pub rule: Rule,
    /// What was found. `None` when the rule could not be evaluated.
    pub value: Option<f64>,
    /// What it was held against. `None` when the rule could not be evaluated.
    pub threshold: Option<f64>,
    /// Why it could not be evaluated, if so.
    pub blank: Option<Unevaluable>,
    /// What both figures are.
    #[serde(default)]
    pub unit: Unit,
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
    /// Whether it is of the same rule and version, and for one of the account of the same day.
    pub fn is_same(&self, other: &Self) -> bool {
        let of_day = !self.is_of_account() || self.day == other.day;
        self.breach.rule == other.breach.rule && self.version == other.version && of_day
    }

    /// Whether it is of the whole account, and so of its trading day: all models are silent until that is over.
    pub fn is_of_account(&self) -> bool {
        self.version.is_none()
    }
}

impl Breach {
    /// Broken when `value` is above `threshold`.
    pub fn above(rule: Rule, unit: Unit, value: f64, threshold: f64) -> Option<Self> {
        (value > threshold).then_some(Self { rule, unit, value: Some(value), threshold: Some(threshold), blank: None })
    }

    /// Broken when `value` is below `threshold`.
    pub fn below(rule: Rule, unit: Unit, value: f64, threshold: f64) -> Option<Self> {
        (value < threshold).then_some(Self { rule, unit, value: Some(value), threshold: Some(threshold), blank: None })
    }

    /// Broken because it cannot be evaluated.
    pub fn unknown(rule: Rule, blank: Unevaluable) -> Self {
        Self { rule, unit: Unit::Number, value: None, threshold: None, blank: Some(blank) }
    }

    /// A figure for people.
    fn figure(&self, number: f64) -> String {
        let rounded = |number: f64| {
            let hundredths = (100.0 * number).round();
            let decimals = if hundredths % 100.0 == 0.0 { 0 } else { 2 };
            format!("{:.decimals$}", hundredths / 100.0)
        };
        let is_share = match self.unit {
            Unit::Unsaid => self.rule.name() == "accuracy",
            Unit::Number => false,
            Unit::Share => true,
        };
        if is_share { format!("{} %", rounded(100.0 * number)) } else { rounded(number) }
    }
}

impl Rule {
    /// Of a descriptor. The name is 1 to 40 of a-z, 0-9 and _.
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The word in events and alerts.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Rule {
    type Error = InvalidRule;

    fn try_from(name: String) -> Result<Self, InvalidRule> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_allowed);
        if is_name { Ok(Self(Cow::Owned(name))) } else { Err(InvalidRule(name)) }
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.0.into_owned()
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
        let Self { rule, value, threshold, blank, .. } = self;
        match (value, threshold, blank) {
            (Some(value), Some(threshold), _) => {
                let sign = if value < threshold { '<' } else { '>' };
                write!(f, "{rule} {} {sign} {}", self.figure(*value), self.figure(*threshold))
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
    fn what_is_broken_is_said_in_its_unit_and_rounded() {
        let said = |breach: Option<Breach>| breach.map(|breach| breach.to_string()).unwrap_or_default();
        let below = |value, threshold| said(Breach::below(Rule::named("accuracy"), Unit::Share, value, threshold));
        let above = |rule, value, threshold| said(Breach::above(Rule::named(rule), Unit::Number, value, threshold));
        assert_eq!(below(2.0 / 23.0, 0.5), "accuracy 8.70 % < 50 %");
        assert_eq!(below(0.29, 0.575), "accuracy 29 % < 57.50 %");
        assert_eq!(above("loss_streak", 11.0, 10.0), "loss_streak 11 > 10");
        assert_eq!(above("harm", 8_821.019_999_999_999, 0.0), "harm 8821.02 > 0");
        assert_eq!(above("day_loss", 2000.01, 2000.0), "day_loss 2000.01 > 2000");
    }

    #[test]
    fn a_record_of_before_there_were_units_says_the_same_and_one_of_an_unknown_rule_is_read() {
        let said = |record: &str| serde_json::from_str::<Breach>(record).map(|breach| breach.to_string());
        let before = r#"{"rule":"accuracy","value":0.29,"threshold":0.5,"blank":null}"#;
        assert_eq!(said(before).unwrap(), "accuracy 29 % < 50 %");
        let before = r#"{"rule":"loss_streak","value":11.0,"threshold":10.0,"blank":null}"#;
        assert_eq!(said(before).unwrap(), "loss_streak 11 > 10");
        let later = r#"{"rule":"slippage_2","value":4.0,"threshold":3.0,"blank":null,"unit":"number"}"#;
        assert_eq!(said(later).unwrap(), "slippage_2 4 > 3");
        let odd = r#"{"rule":"Loss streak","value":11.0,"threshold":10.0,"blank":null}"#;
        assert!(said(odd).unwrap_err().to_string().contains("is no name of a rule"));
    }
}
