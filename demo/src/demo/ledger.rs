//! What the daemon's journal holds in the end of a demonstration, as far as it is drawn and checked.
#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;

use vigie_core::domain::{Arm, Decision, Opinion, TradeId};

/// What was found in the journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    opinions: BTreeMap<TradeId, Vec<Opinion>>,
    /// Numbers of the answers in which a model had a word, and of the trades they were about.
    heard: Vec<(u64, TradeId)>,
    /// Outcomes.
    pub outcomes: u64,
    /// Records that cannot be read.
    pub unreadable: u64,
}

impl Ledger {
    /// Takes in an answer. Of a signal that came more than once the first counts.
    pub fn take(&mut self, seq: u64, decision: Option<&Decision>, trade_id: &TradeId, opinions: &[Opinion]) {
        if decision.is_some_and(|decision| decision.arm == Arm::Ml) {
            self.heard.push((seq, trade_id.clone()));
        }
        self.opinions.entry(trade_id.clone()).or_insert_with(|| opinions.to_vec());
    }

    /// What all versions made of a trade.
    pub(super) fn opinions(&self, trade_id: &TradeId) -> &[Opinion] {
        self.opinions.get(trade_id).map(Vec::as_slice).unwrap_or_default()
    }

    /// The opinion of the version that is farthest in its life: production stands before a test, and both before those
    /// that only watch.
    pub(super) fn leading(&self, trade_id: &TradeId) -> Option<&Opinion> {
        self.opinions(trade_id).iter().find(|opinion| opinion.score.is_some())
    }

    /// How many answers between two numbers had a word of a model.
    pub(super) fn heard_between(&self, from: u64, until: u64) -> usize {
        self.heard.iter().filter(|(seq, _)| (from..until).contains(seq)).count()
    }

    /// How many answers had a word of a model.
    pub(super) fn heard(&self) -> usize {
        self.heard.len()
    }
}
