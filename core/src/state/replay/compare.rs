//! Two replays side by side.

use std::cmp::Ordering;

use serde::Serialize;

use super::{Fate, Line, Replay};
use crate::domain::{Timestamp, TradeId};

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

/// Share of the signals without whose fate a difference may still be told.
pub const MOST_UNKNOWN: f64 = 0.03;

/// What was earned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pnl {
    /// Signals whose fate is known under both.
    pub signals: usize,
    /// What they earned under the configuration in force.
    pub in_force: f64,
    /// And under the other.
    pub other: f64,
    /// The other less the one in force. `None` when more than [`MOST_UNKNOWN`] of the signals are not known under the one
    /// or the other: they are those that the one trades and the other does not, so the rest says nothing of them.
    pub difference: Option<f64>,
    /// Signals that earned something else.
    pub changed: usize,
    /// Signals whose fate is not known under at least one of them.
    pub unknown: usize,
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
    let unknown = |replay: &Replay| replay.fates.iter().filter(|(_, fate)| *fate == Fate::Unknown).count();
    let mut pnl = Pnl { unknown_in_force: unknown(in_force), unknown_other: unknown(other), ..Pnl::default() };
    let mut difference = 0.0;
    for fates in both(&in_force.fates, &other.fates) {
        match fates {
            (Some(Fate::Earned(one)), Some(Fate::Earned(two))) => {
                pnl.signals += 1;
                pnl.in_force += one;
                pnl.other += two;
                difference += two - one;
                pnl.changed += usize::from(one != two);
            }
            (one, two) => pnl.unknown += usize::from([one, two].contains(&Some(Fate::Unknown))),
        }
    }
    let few = pnl.unknown as f64 <= MOST_UNKNOWN * (pnl.signals + pnl.unknown) as f64;
    pnl.difference = few.then_some(difference);
    pnl
}

/// The fates of each trade under both, by the names of the trades.
fn both<'a>(
    in_force: &'a [(TradeId, Fate)],
    other: &'a [(TradeId, Fate)],
) -> impl Iterator<Item = (Option<Fate>, Option<Fate>)> + 'a {
    let (mut left, mut right) = (in_force.iter().peekable(), other.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((one, _)), Some((two, _))) => one.cmp(two),
        };
        let fate = |(_, fate): &(TradeId, Fate)| *fate;
        let one = if order.is_le() { left.next().map(fate) } else { None };
        Some((one, if order.is_ge() { right.next().map(fate) } else { None }))
    })
}
