//! What the daemon's journal holds in the end of a demonstration, as far as it is checked.
#![deny(clippy::indexing_slicing)]

use vigie_core::domain::{Arm, Decision};

/// What was found in the journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ledger {
    /// Numbers of the answers in which a model was heard.
    heard: Vec<u64>,
    /// Outcomes.
    pub outcomes: u64,
    /// Records that cannot be read.
    pub unreadable: u64,
}

impl Ledger {
    /// Takes in an answer.
    pub fn take(&mut self, seq: u64, decision: Option<&Decision>) {
        if decision.is_some_and(|decision| decision.arm == Arm::Ml) {
            self.heard.push(seq);
        }
    }

    /// How many answers between two numbers had a word of a model.
    pub(super) fn heard_between(&self, from: u64, until: u64) -> usize {
        self.heard.iter().filter(|seq| (from..until).contains(*seq)).count()
    }

    /// How many answers had a word of a model.
    pub(super) fn heard(&self) -> usize {
        self.heard.len()
    }
}
