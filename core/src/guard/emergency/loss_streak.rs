//! Losses of a version in a row.
//!
//! How many there may be follows from its validated win rate, so that a healthy version seldom has more: a quarter of the false
//! alarms that a year may have. There are never fewer than are configured.

use super::{
    accuracy,
    options::{Allowed, EmergencyOptions, Key},
    rule::{Case, EmergencyRule, Found, OfVersion, Scenario, Scope, Side, Trades, YEAR},
    trade::Reported,
};
use crate::{
    domain::trip::{Rule, Unit},
    models::Standard,
};

/// The rule.
pub static RULE: EmergencyRule = EmergencyRule {
    name: Rule::named("loss_streak"),
    watches: "losses in a row of the trades that heard a version",
    unit: Unit::Number,
    trips: Side::Above,
    keys: &[MAX],
    is_fitted: true,
    scope: Scope::Version(OfVersion {
        trades: Trades::Heard,
        observe: |observed| observed.trade.pnl.map(|pnl| pnl.get()),
        kept: |options, _| 2 * options.count(&accuracy::WINDOW).max(options.longest_window),
        judge,
        now,
        trips_blind: true,
    }),
    scenario: Some(Scenario {
        settings: "guardian.max_loss_streak = 4\n",
        trades: 5,
        outcome: |_, _| (-1.0, Reported::default()),
    }),
};
/// Losses in a row that a version may have, below [`accuracy::WINDOW`].
pub const MAX: Key = Key { name: "max_loss_streak", allowed: Allowed::Count(0, 999), default: 10.0 };
/// Share of the false alarms.
const STREAK: f64 = 0.25;

fn judge(case: &Case<'_>) -> Option<Found> {
    let mut streak = 0_usize;
    // a trade that made nothing neither adds nor ends
    let streaks = case.seen.iter().map(|trade| {
        streak = if trade.value > 0.0 { 0 } else { streak + usize::from(trade.value < 0.0) };
        streak
    });
    let longest = streaks.skip(case.from).max()?;
    let most = case.options.count(&MAX);
    let threshold = || case.options.streak_limit(case.standard) as f64;
    (longest > most).then(|| Found { value: longest as f64, threshold: threshold() })
}

fn now(case: &Case<'_>) -> Option<Found> {
    let since_a_win = case.seen.iter().rev().take_while(|trade| trade.value <= 0.0);
    let value = since_a_win.filter(|trade| trade.value < 0.0).count() as f64;
    Some(Found { value, threshold: case.options.streak_limit(case.standard) as f64 })
}

impl EmergencyOptions {
    /// Losses in a row that a version may have: those of the configuration, or as many as a version of its win rate has by
    /// chance, whichever is more.
    pub fn streak_limit(&self, standard: Option<&Standard>) -> usize {
        let standard = standard.filter(|_| !self.literal);
        let by_chance = standard.and_then(|found| found.longest_streak(STREAK * self.false_alarms_per_year, YEAR));
        self.count(&MAX).max(by_chance.unwrap_or(0))
    }
}
