//! What was made in each regime, as tables.
#![deny(clippy::indexing_slicing)]

use super::{
    super::{
        Part, Table,
        people::{NONE, count, money, money_interval},
        regimes::{PerSignal, RegimeMoney, VersionMoney},
        summary::Summary,
    },
    Words,
};

const HELP: &str = "Per signal, on the closed trades that no model chose: those of the baseline arm, of the holdback, and while versions \
    only watched. `market calm` and `market wild` are what volatility and trend show, by a jump model that is fitted to what came before and \
    knows nothing of what comes later; the others are the trader's own labels. Intervals are at 95 %, by how trading days vary.";

/// A table for each symbol.
pub(super) fn tables(summary: &Summary, words: &Words<'_>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for found in &summary.regimes {
        let title = format!("{}: what was made in each regime ({} a signal)", found.symbol, words.unit);
        if tables.last().is_none_or(|table| table.title != title) {
            let head = ["regime", "signals", "days", "made", "interval", "more than the strategy", "interval"];
            let (head, help) = (head.map(str::to_owned).to_vec(), HELP.to_owned());
            tables.push(Table { part: Part::Money, title, help, head, ..Table::default() });
        }
        if let Some(table) = tables.last_mut() {
            table.rows.push(strategy(found));
            table.rows.extend(found.versions.iter().map(|version| of(version, found)));
        }
    }
    tables
}

fn strategy(found: &RegimeMoney) -> Vec<String> {
    let RegimeMoney { regime, signals, sessions, strategy, .. } = found;
    let [mean, interval] = cells(strategy);
    let none = || NONE.to_owned();
    vec![format!("{regime}: the strategy"), count(*signals), count(*sessions), mean, interval, none(), none()]
}

fn of(version: &VersionMoney, found: &RegimeMoney) -> Vec<String> {
    let VersionMoney { version, signals, made, gain } = version;
    let ([mean, interval], [gain, gained]) = (cells(made), cells(gain));
    vec![format!("{}: {version}", found.regime), count(*signals), String::new(), mean, interval, gain, gained]
}

fn cells(made: &PerSignal) -> [String; 2] {
    [money(made.mean), money_interval(made.interval)]
}
