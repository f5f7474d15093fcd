//! The loss of the whole account in a trading day: a limit, and no test. It needs none of the false alarms that a year may have.

use super::{
    options::{Allowed, EmergencyOptions, Key},
    rule::{AccountDay, EmergencyRule, Found, OfAccount, Scenario, Scope, Side},
    trade::Reported,
};
use crate::domain::trip::{Rule, Unevaluable, Unit};

/// The rule.
pub static RULE: EmergencyRule = EmergencyRule {
    name: Rule::named("day_loss"),
    watches: "what the whole account lost in the trading day",
    unit: Unit::Number,
    trips: Side::Above,
    keys: &[FACTOR, LIMIT],
    is_fitted: false,
    scope: Scope::Account(OfAccount { judge }),
    scenario: Some(Scenario {
        settings: "",
        trades: 2,
        outcome: |n, _| (if n == 0 { 5.0 } else { -1e6 }, Reported::default()),
    }),
};
/// How many times the daily limit the account may lose in a trading day.
pub const FACTOR: Key = Key { name: "daily_loss_factor", allowed: Allowed::Above(0.0, 100.0), default: 2.0 };
/// The daily limit while signals carry none, in account currency.
pub const LIMIT: Key = Key { name: "daily_loss_limit", allowed: Allowed::Above(0.0, 1e9), default: 1000.0 };

fn judge(day: &AccountDay<'_>) -> Result<Found, Unevaluable> {
    let threshold = limit(day.options, day.trade.daily_loss_limit).ok_or(Unevaluable::DailyLimit)?;
    Ok(Found { value: -day.made, threshold })
}

/// What the account may lose in a trading day, in its currency, where the signals say `own` of their limit; `None` of one that is
/// negative or no number.
pub fn limit(options: &EmergencyOptions, own: Option<f64>) -> Option<f64> {
    Some(own.unwrap_or(options.number(&LIMIT)))
        .filter(|limit| *limit >= 0.0)
        .map(|limit| options.number(&FACTOR) * limit)
}
