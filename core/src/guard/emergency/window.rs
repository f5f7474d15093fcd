//! The latest closed trades of one version, by rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    options::EmergencyOptions,
    rule::{Case, EmergencyRule, Observed, OfVersion, Seen},
    trade::ClosedTrade,
};
use crate::{
    domain::{
        Timestamp, TradeId,
        trip::{Breach, Rule},
    },
    models::Standard,
};

/// What is known of a version's trades.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Window(BTreeMap<Rule, Latest>);

/// What a rule keeps: the latest trades by exit, in that order. The oldest goes when there are too many.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Latest {
    trades: Vec<(Timestamp, TradeId)>,
    /// One for each of them.
    seen: Vec<Seen>,
    /// Trades that told the rule nothing.
    silent: u64,
}

impl Latest {
    /// Puts a trade in its place and gives that back; `None` when it is older than all that are kept.
    fn insert(&mut self, most: usize, trade: &ClosedTrade, seen: Seen) -> Option<usize> {
        let (at, trade_id) = (trade.at, trade.trade_id.clone());
        let place = self.trades.partition_point(|(known, id)| (*known, id) < (at, &trade_id));
        self.trades.insert(place, (at, trade_id));
        self.seen.insert(place, seen);
        let too_many = self.trades.len().saturating_sub(most);
        self.trades.drain(..too_many);
        self.seen.drain(..too_many);
        place.checked_sub(too_many)
    }

    fn place(&self, trade_id: &TradeId) -> Option<usize> {
        self.trades.iter().position(|(_, known)| known == trade_id)
    }
}

impl Window {
    /// Takes in a trade, and gives back whether `rule` is broken: as the trades stood when it closed, or after any that closed
    /// later and was told before it.
    pub(super) fn take(
        &mut self,
        (rule, of): (&EmergencyRule, &OfVersion),
        options: &EmergencyOptions,
        standard: Option<&Standard>,
        observed: &Observed<'_>,
    ) -> Option<Breach> {
        let latest = self.0.entry(rule.name.clone()).or_default();
        let Some(value) = (of.observe)(observed) else {
            latest.silent += 1;
            return None;
        };
        let from = latest.insert((of.kept)(options, standard), observed.trade, observed.seen(value))?;
        rule.breach((of.judge)(&Case { options, standard, seen: &latest.seen, from })?)
    }

    /// Takes a trade out again. What older trades it displaced does not come back: twice as many are kept as are looked at.
    pub(super) fn forget(&mut self, (rule, of): (&EmergencyRule, &OfVersion), observed: &Observed<'_>, counted: bool) {
        let Some(latest) = self.0.get_mut(&rule.name) else { return };
        if let Some(place) = latest.place(&observed.trade.trade_id) {
            latest.trades.remove(place);
            latest.seen.remove(place);
        } else if counted && (of.observe)(observed).is_none() {
            latest.silent = latest.silent.saturating_sub(1);
        }
    }

    /// Whether a trade of this name is among them.
    pub(super) fn holds(&self, trade_id: &TradeId) -> bool {
        self.0.values().any(|latest| latest.place(trade_id).is_some())
    }

    /// What a rule keeps, in the order of the exits.
    pub(super) fn seen(&self, rule: &EmergencyRule) -> &[Seen] {
        self.0.get(&rule.name).map_or(&[], |latest| &latest.seen)
    }

    /// Trades that told a rule nothing.
    pub(super) fn silent(&self, rule: &EmergencyRule) -> u64 {
        self.0.get(&rule.name).map_or(0, |latest| latest.silent)
    }
}
