//! The signals of the past in two groups to be compared: two arms, or two periods.
#![deny(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::experiment::Traded;
use crate::{
    domain::{Arm, Outcome, Signal, Timestamp, TradeId, TradingCalendar, VersionId},
    lifecycle::{happening::Happening, open_trades::AnsweredSignal},
};

/// Two groups, and what was left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Groups {
    /// With the ML layer: its arm, or the later period.
    pub ml: Vec<Traded>,
    /// Without it: the baseline arm, or the earlier period.
    pub baseline: Vec<Traded>,
    /// What was left out, and what to know about the rest.
    pub counts: Counts,
}

/// What to know about groups.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Counts {
    /// Signals left out because nothing is known of what became of them.
    pub unresolved: usize,
    /// Signals left out because they belong to neither group.
    pub in_neither: usize,
    /// Of the first group: signals that a model had its word in.
    pub heard: usize,
    /// Of the baseline arm: signals that another version had its word in.
    pub by_another: usize,
    /// The chances of the ML arm that there were, in percent.
    pub shares: BTreeSet<u32>,
}

/// What became of trades, as the past tells it.
#[derive(Debug, Default)]
struct Fates<'a> {
    entries: BTreeMap<&'a TradeId, &'a AnsweredSignal>,
    outcomes: BTreeMap<&'a TradeId, &'a Outcome>,
    skipped: BTreeSet<&'a TradeId>,
}

impl<'a> Fates<'a> {
    fn of(happenings: &'a [Happening]) -> Self {
        let mut fates = Self::default();
        for happening in happenings {
            match happening {
                Happening::Scored { entry, .. } => {
                    fates.entries.entry(&entry.trade_id).or_insert(entry);
                }
                Happening::Closed { trade_id, echo, outcome, .. } => {
                    if let Some(entry) = echo {
                        fates.entries.entry(trade_id).or_insert(entry);
                    }
                    fates.outcomes.entry(trade_id).or_insert(outcome);
                }
                Happening::Skipped { trade_id, .. } => drop(fates.skipped.insert(trade_id)),
                Happening::Event(_) | Happening::Came { .. } | Happening::Completed { .. } => {}
            }
        }
        fates
    }

    /// `None` while it may still be traded, for all that is known.
    fn traded(&self, entry: &AnsweredSignal) -> Option<Traded> {
        let outcome = self.outcomes.get(&entry.trade_id);
        let let_go = self.skipped.contains(&entry.trade_id) || entry.decision.size == 0.0;
        (outcome.is_some() || let_go).then(|| Traded {
            day: entry.day,
            pnl: outcome.and_then(|outcome| outcome.pnl).map(|pnl| pnl.get()),
            slippage_ticks: outcome.and_then(|outcome| outcome.slippage_ticks),
        })
    }
}

/// The signals that chance gave to an arm, by the arm it gave them to, whatever was done with them: those that `version`
/// split, or any.
pub fn by_arm(happenings: &[Happening], version: Option<&VersionId>) -> Groups {
    let fates = Fates::of(happenings);
    let mut groups = Groups::default();
    for entry in fates.entries.values() {
        let opinions = entry.opinions.iter().filter(|opinion| version.is_none_or(|wanted| opinion.version == *wanted));
        let splits: Vec<_> = opinions.filter_map(|opinion| Some((&opinion.version, opinion.split?))).collect();
        let random: Vec<_> = splits.into_iter().filter(|(_, split)| split.share > 0.0 && split.share < 1.0).collect();
        if random.is_empty() {
            groups.counts.in_neither += 1;
            continue;
        }
        let Some(traded) = fates.traded(entry) else {
            groups.counts.unresolved += 1;
            continue;
        };
        groups.counts.shares.extend(random.iter().map(|(_, split)| (100.0 * split.share).round() as u32));
        if random.iter().any(|(_, split)| split.arm == Arm::Ml) {
            groups.counts.heard += usize::from(entry.speaker().is_some());
            groups.ml.push(traded);
        } else {
            groups.counts.by_another += usize::from(entry.speaker().is_some());
            groups.baseline.push(traded);
        }
    }
    groups
}

/// The signals that fired before `before`, against those from `since` on. `imported` are those that no daemon answered,
/// with their outcomes.
pub fn by_period(
    happenings: &[Happening],
    imported: &[(&Signal, &Outcome)],
    calendar: &TradingCalendar,
    before: Timestamp,
    since: Timestamp,
) -> Groups {
    let fates = Fates::of(happenings);
    let mut groups = Groups::default();
    let mut put = |at: Timestamp, traded: Option<Traded>, heard: bool| {
        let Groups { ml, baseline, counts } = &mut groups;
        match traded {
            _ if at >= before && at < since => counts.in_neither += 1,
            None => counts.unresolved += 1,
            Some(traded) if at < before => baseline.push(traded),
            Some(traded) => {
                counts.heard += usize::from(heard);
                ml.push(traded);
            }
        }
    };
    for entry in fates.entries.values() {
        put(entry.at, fates.traded(entry), entry.speaker().is_some());
    }
    for (signal, outcome) in imported.iter().filter(|(signal, _)| !fates.entries.contains_key(&signal.trade_id)) {
        let traded = Traded {
            day: calendar.day_of(signal.at),
            pnl: outcome.pnl.map(|pnl| pnl.get()),
            slippage_ticks: outcome.slippage_ticks,
        };
        put(signal.at, Some(traded), false);
    }
    groups
}
