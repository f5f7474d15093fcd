//! What signals made: by arm as chance gave them, and in all.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use super::super::summary::{Made, Money, Scope};
use crate::{
    domain::{Symbol, TradingDay},
    stats::{
        cluster::{SessionSum, Sums},
        interval::Interval,
    },
    trials::{
        experiment::{Comparing, ImpactOptions, Traded, impact},
        groups::{Among, Groups, Past},
    },
};

/// The names of the groups.
const NAMES: [&str; 4] =
    ["decided by the model", "strategy alone, by chance", "not left to chance", "all that was traded"];

/// Symbol by symbol, what the signals of `past` that `scope` means made.
pub(super) fn of(past: &Past, scope: &Scope, options: &ImpactOptions) -> Vec<Money> {
    let symbols = past.symbols().into_iter().filter(|symbol| scope.has_symbol(symbol));
    let found = symbols.map(|symbol| of_symbol(past, scope, symbol, options));
    found.filter(|money| money.groups.iter().any(|group| group.signals > 0) || money.unresolved > 0).collect()
}

fn of_symbol(past: &Past, scope: &Scope, symbol: Symbol, options: &ImpactOptions) -> Money {
    let among = Among { symbol: Some(symbol.clone()), since: scope.since, until: scope.until };
    let Groups { ml, baseline, rest, counts } = past.by_arm_among(&among);
    let unresolved = past.tally(&among).unresolved;
    let found = impact(Comparing::Arms, &ml, &baseline, options);
    let notes = counts.notes(&found);
    // what is not the version's own is no part of a report on it
    let rest = if scope.version.is_some() { Vec::new() } else { rest };
    let all: Vec<Traded> = [&ml, &baseline, &rest].into_iter().flatten().copied().collect();
    let [of_ml, of_baseline, of_all] = [&ml, &baseline, &all].map(|trades| by_day(trades));
    let days = of_all.iter().map(|(day, made)| {
        let of = |days: &Days| days.get(day).map_or(0.0, |made| made.difference);
        (*day, [of(&of_ml), of(&of_baseline), made.difference])
    });
    let groups = NAMES.into_iter().zip([&ml, &baseline, &rest, &all]);
    Money {
        symbol,
        impact: found,
        counts,
        unresolved,
        notes,
        days: days.collect(),
        groups: groups.map(|(name, trades)| made(name, trades, options.confidence)).collect(),
    }
}

/// What was made each day, and of how many signals.
type Days = BTreeMap<TradingDay, SessionSum>;

fn by_day(trades: &[Traded]) -> Days {
    let mut days = Days::new();
    for trade in trades {
        let day = days.entry(trade.day).or_default();
        day.difference += trade.pnl.unwrap_or(0.0);
        day.weight += 1.0;
    }
    days
}

fn made(group: &'static str, trades: &[Traded], confidence: f64) -> Made {
    let taken = || trades.iter().filter_map(|trade| trade.pnl);
    let days = by_day(trades);
    let sessions: Vec<SessionSum> = days.values().copied().collect();
    let sums = Sums::of(&sessions);
    let mean = sums.and_then(|sums| sums.fixed_horizon(confidence));
    let signals = trades.len() as f64;
    let (mut sum, mut highest, mut deepest) = (0.0_f64, 0.0_f64, 0.0_f64);
    for made in &sessions {
        sum += made.difference;
        highest = highest.max(sum);
        deepest = deepest.min(sum - highest);
    }
    Made {
        group,
        signals: trades.len(),
        taken: taken().count(),
        won: taken().filter(|pnl| *pnl > 0.0).count(),
        sessions: days.len(),
        pnl: taken().fold(0.0, |sum, pnl| sum + pnl),
        interval: mean.and_then(|mean| Interval::new(mean.interval.low * signals, mean.interval.high * signals)),
        drawdown: deepest,
    }
}
