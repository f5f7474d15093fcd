//! Alerts, counted by their codes.

use std::collections::BTreeMap;

use super::super::summary::AlertLine;
use crate::domain::{Event, EventKind, event::Level};

/// Codes that are told apart: a journal has some dozens.
const MOST: usize = 500;

/// The alerts so far, by level and code.
#[derive(Debug, Default)]
pub(super) struct Alerts(BTreeMap<(Level, Box<str>), AlertLine>);

impl Alerts {
    pub(super) fn event(&mut self, event: &Event) {
        let EventKind::Alert { level, code, message } = &event.kind else { return };
        let key = (*level, code.clone());
        if !self.0.contains_key(&key) && self.0.len() >= MOST {
            return;
        }
        let line = self.0.entry(key).or_insert_with(|| AlertLine {
            level: *level,
            code: code.to_string(),
            count: 0,
            first: event.at,
            last: event.at,
            message: String::new(),
        });
        line.count += 1;
        line.last = event.at;
        line.message.clone_from(message);
    }

    /// The most urgent first, then those that came most often.
    pub(super) fn lines(self) -> Vec<AlertLine> {
        let mut lines: Vec<AlertLine> = self.0.into_values().collect();
        lines.sort_by(|a, b| (b.level, b.count).cmp(&(a.level, a.count)).then_with(|| a.code.cmp(&b.code)));
        lines
    }
}
