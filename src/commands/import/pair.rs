//! Which rows of a file are a closed trade: one, or two that share a key.

use std::collections::HashMap;

use super::{
    map::{Map, Pair},
    sheet::{Fault, Sheet, fault},
};

/// The closed trades of a file.
pub(super) struct Closed {
    /// The row of the entry and that of the exit of each, in the order of the file.
    pub trades: Vec<(usize, usize)>,
    /// Rows that the map leaves out; two rows of a trade count once.
    pub skipped: u64,
}

/// Finds them.
///
/// # Errors
/// A row that is neither entry nor exit, an entry or exit without the other one or with two.
pub(super) fn closed(sheet: &Sheet, map: &Map) -> Result<Closed, Vec<Fault>> {
    let mut columns = Vec::with_capacity(map.skip.len());
    for rows in &map.skip {
        let Some(column) = sheet.columns(&rows.column).first().copied() else {
            let names = rows.column.join("\" or \"");
            let message = format!("there is no column \"{names}\", by which the map leaves rows out");
            return Err(vec![fault(1, "columns", message)]);
        };
        columns.push((column, &rows.words));
    }
    let is_one_of = |row: usize, column: usize, words: &[String]| {
        words.iter().any(|word| word.eq_ignore_ascii_case(sheet.cell(row, column)))
    };
    let is_skipped = |row: usize| columns.iter().any(|(column, words)| is_one_of(row, *column, words));
    let rows = 0..sheet.rows.len();
    let Some(pair) = &map.pair else {
        let kept: Vec<(usize, usize)> = rows.clone().filter(|row| !is_skipped(*row)).map(|row| (row, row)).collect();
        let skipped = rows.len() - kept.len();
        return Ok(Closed { trades: kept, skipped: skipped as u64 });
    };
    let (Some(key), Some(role)) =
        (sheet.columns(&pair.key).first().copied(), sheet.columns(&pair.role).first().copied())
    else {
        let names = [&pair.key, &pair.role].map(|names| names.join(" or "));
        return Err(vec![fault(1, "columns", format!("the columns {} are not both there", names.join(" and ")))]);
    };
    let mut faults = Vec::new();
    let mut found: HashMap<&str, [Vec<usize>; 2]> = HashMap::new();
    let mut order = Vec::new();
    for row in rows {
        let entry = is_one_of(row, role, &pair.entry);
        if !entry && !is_one_of(row, role, &pair.exit) {
            let Pair { entry, exit, .. } = pair;
            let words = [entry.join(" or "), exit.join(" or ")].join(" or ");
            let message = format!("{:?} is not {words}", sheet.cell(row, role));
            faults.push(sheet.fault(row, role, "wrong_role", message));
            continue;
        }
        let name = sheet.cell(row, key);
        let [entries, exits] = found.entry(name).or_insert_with(|| {
            order.push(name);
            Default::default()
        });
        if entry { entries.push(row) } else { exits.push(row) }
    }
    let (mut trades, mut skipped) = (Vec::new(), 0);
    for name in order {
        match found.get(name).map(|[entries, exits]| (entries.as_slice(), exits.as_slice())) {
            Some((entries, exits)) if entries.iter().chain(exits).any(|row| is_skipped(*row)) => skipped += 1,
            Some(([entry], [exit])) => trades.push((*entry, *exit)),
            Some((entries, exits)) => {
                let row = entries.iter().chain(exits).max().copied().unwrap_or_default();
                let message = format!(
                    "the trade {name} has {} rows of an entry and {} of an exit; it must have one each",
                    entries.len(),
                    exits.len()
                );
                faults.push(sheet.fault(row, key, "wrong_pair", message));
            }
            None => {}
        }
    }
    if faults.is_empty() { Ok(Closed { trades, skipped }) } else { Err(faults) }
}
