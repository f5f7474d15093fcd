//! Where a file has what its map asks for.

use super::{
    map::{self, Map, Said},
    sheet::{Fault, Sheet, fault},
};
use crate::config::may_name_an_input;

/// Where each field of a trade is read.
pub(super) struct Places<'m> {
    pub id: Option<usize>,
    pub account: Option<usize>,
    pub at: usize,
    pub exit_at: usize,
    pub symbol: Option<usize>,
    pub side: usize,
    pub reason: Option<(usize, &'m map::Text)>,
    pub numbers: Vec<(String, usize, &'m map::Number, Vec<usize>)>,
}

/// Finds the columns.
///
/// # Errors
/// What is lacking, or there twice.
pub(super) fn places<'m>(sheet: &Sheet, map: &'m Map, said: &Said) -> Result<Places<'m>, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut find = |what: &str, names: &[String], needed: bool| {
        let found = sheet.columns(names);
        let shares_its_name = |column: usize| {
            let name = sheet.head.get(column);
            sheet.head.iter().filter(|other| Some(*other) == name).count() > 1
        };
        match found.first() {
            Some(column) if shares_its_name(*column) => {
                let name = sheet.head.get(*column).map_or("", String::as_str);
                let numbers = (1..).zip(&sheet.head).filter(|(_, other)| *other == name);
                let numbers: Vec<String> = numbers.map(|(number, _)| number.to_string()).collect();
                let message =
                    format!("the columns {} are called {name:?} alike; {what} is read from one", numbers.join(" and "));
                faults.push(fault(1, "columns", message));
            }
            None if needed => {
                let head = sheet.head.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(", ");
                let message = format!("there is no column {:?} for {what}; there are: {head}", names.join("\" or \""));
                faults.push(fault(1, "columns", message));
            }
            _ => {}
        }
        found.first().copied()
    };
    let trade = &map.trade;
    let id = if trade.trade_id.made.is_none() { find("trade_id", &trade.trade_id.column, true) } else { None };
    let account = trade.trade_id.account.as_ref();
    let account = account.and_then(|name| find("the account in trade_id", std::slice::from_ref(name), false));
    let at = find("at", &trade.at.column, true);
    let exit_at = find("exit_at", &trade.exit_at.column, true);
    let symbol = match (&said.symbol, &trade.symbol.value) {
        (None, None) if !trade.symbol.column.is_empty() => find("symbol", &trade.symbol.column, true),
        _ => None,
    };
    let side = find("side", &trade.side.column, true);
    let reason = trade.exit_reason.as_ref();
    let reason = reason.and_then(|reason| Some((find("exit_reason", &reason.column, !reason.optional)?, reason)));
    let mut numbers = Vec::new();
    for (field, number) in map.numbers() {
        if let Some(section) = field.strip_suffix('*') {
            for column in sheet.columns(&number.column) {
                let Some(head) = sheet.head.get(column) else { continue };
                let field = format!("{section}{}", head.strip_prefix(section).unwrap_or_default());
                find(&field, std::slice::from_ref(head), true);
                numbers.push((field, column, number, Vec::new()));
            }
            continue;
        }
        let Some(column) = find(&field, &number.column, !number.optional) else { continue };
        let minus = number.minus.iter().filter_map(|name| find(&field, std::slice::from_ref(name), true)).collect();
        numbers.push((field, column, number, minus));
    }
    for name in numbers.iter().filter_map(|(field, ..)| field.strip_prefix("extra.")) {
        if !may_name_an_input(name) {
            let message = format!(
                "extra.{name}: an input of one's own has a name of a-z 0-9 _ that begins with a letter, at most 40 long"
            );
            faults.push(fault(1, "columns", message));
        }
    }
    let no_symbol = said.symbol.is_none() && trade.symbol.value.is_none() && symbol.is_none();
    if no_symbol && trade.symbol.column.is_empty() {
        faults.push(fault(
            1,
            "symbol",
            "the file names no symbol; name it with --symbol, such as --symbol ES".to_owned(),
        ));
    }
    match (at, exit_at, side) {
        (Some(at), Some(exit_at), Some(side)) if faults.is_empty() => {
            Ok(Places { id, account, at, exit_at, symbol, side, reason, numbers })
        }
        _ => Err(faults),
    }
}

impl Places<'_> {
    /// The column that a field of a line of JSON was read from.
    pub(super) fn of(&self, field: &str) -> Option<usize> {
        match field {
            "trade_id" => self.id,
            "at" => Some(self.at),
            "symbol" => self.symbol,
            "side" => Some(self.side),
            "outcome_metrics.exit_at" => Some(self.exit_at),
            "outcome_metrics.exit_reason" => self.reason.map(|(column, _)| column),
            _ => self.numbers.iter().find(|(name, ..)| name == field).map(|(_, column, ..)| *column),
        }
    }
}

/// Whether a field is read in the row of the exit, where that is another one.
pub(super) fn is_of_exit(field: &str) -> bool {
    field.starts_with("outcome_metrics.") && field != "outcome_metrics.entry_price"
}
