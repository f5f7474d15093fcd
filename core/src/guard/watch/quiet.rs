//! What is told at most once a quarter: an alarm that chance raised is not raised again while nothing has changed.

use std::collections::BTreeMap;

use super::QUARTER_SESSIONS;
use crate::guard::alarm::{Condition, Turn};

/// Conditions that nothing follows from but a word to people.
const ONCE_A_QUARTER: [&str; 7] =
    ["drift", "novelty", "expected_accuracy", "adwin", "page_hinkley", "cusum", "unwatched"];

/// The alarms of one version that were raised of late.
#[derive(Debug, Clone, Default)]
pub(super) struct Quiet {
    /// Days that were judged.
    days: usize,
    /// By code and subject the day on which each was raised last.
    raised: BTreeMap<(Box<str>, Box<str>), usize>,
}

impl Quiet {
    /// A day has closed.
    pub(super) fn close_day(&mut self) {
        self.days += 1;
        let days = self.days;
        self.raised.retain(|_, raised| days < *raised + QUARTER_SESSIONS);
    }

    /// Whether `condition` may be raised today.
    pub(super) fn lets(&self, condition: &Condition) -> bool {
        !self.raised.contains_key(&(condition.code.clone(), condition.subject.clone()))
    }

    /// Something has turned.
    pub(super) fn note(&mut self, turn: &Turn) {
        if let Turn::Raised(alarm) = turn
            && ONCE_A_QUARTER.contains(&&*alarm.condition.code)
        {
            self.raised.insert((alarm.condition.code.clone(), alarm.condition.subject.clone()), self.days);
        }
    }
}
