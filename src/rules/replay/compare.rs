//! Two replays side by side.

use serde::Serialize;

use super::{Fate, Line, Replay};
use crate::domain::Timestamp;

/// What happened under the one, the other, or both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// When.
    pub at: Timestamp,
    /// Under the configuration in force.
    pub in_force: Option<String>,
    /// Under the other.
    pub other: Option<String>,
}

/// What was earned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pnl {
    /// Signals whose fate is known under both.
    pub signals: usize,
    /// What they earned under the configuration in force.
    pub in_force: f64,
    /// And under the other.
    pub other: f64,
    /// The other less the one in force.
    pub difference: f64,
    /// Signals that earned something else.
    pub changed: usize,
    /// Signals whose fate is not known under the configuration in force.
    pub unknown_in_force: usize,
    /// And under the other.
    pub unknown_other: usize,
}

/// Two replays side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether nothing differs.
    pub same: bool,
    /// What was done and said, in order of time.
    pub rows: Vec<Row>,
    /// What was earned.
    pub pnl: Pnl,
}

/// Puts two replays of the same past side by side.
pub fn compare(in_force: &Replay, other: &Replay) -> Comparison {
    Comparison { same: in_force == other, rows: rows(&in_force.lines, &other.lines), pnl: pnl(in_force, other) }
}

/// Both in the order of their times; what is the same at the same time shares a row.
fn rows(in_force: &[Line], other: &[Line]) -> Vec<Row> {
    let (mut left, mut right) = (in_force.iter().peekable(), other.iter().peekable());
    let mut rows = Vec::new();
    loop {
        let (at, take_left, take_right) = match (left.peek(), right.peek()) {
            (None, None) => return rows,
            (Some(line), None) => (line.at, true, false),
            (None, Some(line)) => (line.at, false, true),
            (Some(a), Some(b)) if a == b => (a.at, true, true),
            // what both have comes after what only one has at that time
            (Some(a), Some(b)) if a.at == b.at => {
                let later = right.clone().take_while(|line| line.at == a.at).any(|line| line == *a);
                (a.at, !later, later)
            }
            (Some(a), Some(b)) if a.at < b.at => (a.at, true, false),
            (Some(_), Some(b)) => (b.at, false, true),
        };
        let text = |line: Option<&Line>| line.map(|line| line.text.clone());
        let in_force = if take_left { text(left.next()) } else { None };
        let other = if take_right { text(right.next()) } else { None };
        rows.push(Row { at, in_force, other });
    }
}

fn pnl(in_force: &Replay, other: &Replay) -> Pnl {
    let unknown = |replay: &Replay| replay.fates.values().filter(|fate| **fate == Fate::Unknown).count();
    let mut pnl = Pnl { unknown_in_force: unknown(in_force), unknown_other: unknown(other), ..Pnl::default() };
    for (trade_id, fate) in &in_force.fates {
        let (Fate::Earned(one), Some(Fate::Earned(two))) = (fate, other.fates.get(trade_id)) else { continue };
        pnl.signals += 1;
        pnl.in_force += one;
        pnl.other += two;
        pnl.difference += two - one;
        pnl.changed += usize::from(one != two);
    }
    pnl
}
