//! A CSV file and its map to lines that can be imported: all of them, or what is wrong with the file. Where something can be read
//! in two ways, such as 3/4/2025 or 1,234, it is read in the only way that fits the whole file, or refused.

use std::collections::HashMap;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Map as Object, Value, json};

use super::{
    cell::{self, NoTime, Twice},
    map::{Map, Said},
    pair::{Closed, closed},
    places::{Places, is_of_exit, places},
    sheet::{Fault, Sheet, fault},
};
use crate::domain::{InvalidLine, Symbol};

/// A file that could be read.
#[derive(Debug)]
pub(super) struct Converted {
    /// Lines of JSON, each with the line of the file where its trade was closed.
    pub trades: Vec<(u64, String)>,
    /// Rows that are no closed trade, by the map.
    pub skipped: u64,
    /// What separates the columns.
    pub separator: char,
    /// The decimal sign that was found.
    pub decimal: char,
    /// The form of times that was found.
    pub form: String,
}

/// Turns a file into lines. `check` says what else is wrong with a line of JSON.
///
/// # Errors
/// All that is wrong with the file; then none of it is to be taken.
pub(super) fn convert(
    bytes: &[u8],
    map: &Map,
    said: &Said,
    check: impl Fn(&str) -> Result<(), InvalidLine>,
) -> Result<Converted, Vec<Fault>> {
    let sheet = Sheet::read(bytes, Some(map))?;
    let places = places(&sheet, map, said)?;
    let Closed { trades, skipped } = closed(&sheet, map)?;
    let zone = match (&said.zone, &map.zone) {
        (Some(zone), _) => Some(zone.clone()),
        (None, Some(name)) => Some(TimeZone::get(name).map_err(|_| {
            vec![fault(
                1,
                "zone",
                format!("the map names the zone {name:?}, which is none, such as \"America/Chicago\""),
            )]
        })?),
        _ => None,
    };
    let reading = Reading { sheet: &sheet, map, zone, twice: said.ambiguous.unwrap_or(map.ambiguous) };
    let decimal = reading.decimal(&trades, &places, said.decimal.or(map.decimal))?;
    let forms = said.time_format.as_ref().map_or(map.times.as_slice(), std::slice::from_ref);
    let form = reading.form(&trades, &places, forms)?;
    let mut found = Vec::with_capacity(trades.len());
    let mut faults = Vec::new();
    for (entry, exit) in trades {
        match reading.trade(entry, exit, &places, decimal, &form, said) {
            Ok(made) => found.push((entry, exit, made)),
            Err(fault) => faults.push(fault),
        }
    }
    name_made(&mut found, map);
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut lines = Vec::with_capacity(found.len());
    for (entry, exit, made) in found {
        let text = made.line.to_string();
        let id = made.line.get("trade_id").and_then(Value::as_str).unwrap_or_default();
        if let Some(before) = seen.insert(id.to_owned(), sheet.line(exit)) {
            faults.push(fault(sheet.line(exit), "twice", format!("the trade {id} stands on line {before} as well")));
        }
        if let Err(InvalidLine { code, message, field }) = check(&text) {
            let place = field.as_deref().and_then(|field| places.of(field));
            let row =
                if field.as_deref().is_some_and(|field| field.starts_with("outcome_metrics")) { exit } else { entry };
            faults.push(match place {
                Some(column) => sheet.fault(row, column, code, message),
                None => fault(sheet.line(row), code, message),
            });
        }
        lines.push((sheet.line(exit), text));
    }
    if faults.is_empty() {
        return Ok(Converted { trades: lines, skipped, separator: sheet.separator, decimal, form });
    }
    faults.sort_by_key(|fault| fault.line);
    Err(faults)
}

/// What one trade became.
struct Made {
    line: Value,
    symbol: Symbol,
    at: Timestamp,
    exit_at: Timestamp,
    is_long: bool,
    account: Option<String>,
}

struct Reading<'a> {
    sheet: &'a Sheet,
    map: &'a Map,
    zone: Option<TimeZone>,
    twice: Twice,
}

impl Reading<'_> {
    fn cell(&self, row: usize, column: usize) -> &str {
        cell::without_ending(self.sheet.cell(row, column), &self.map.endings)
    }

    /// The decimal sign that fits all numbers.
    fn decimal(&self, trades: &[(usize, usize)], places: &Places<'_>, told: Option<char>) -> Result<char, Vec<Fault>> {
        let columns = places.numbers.iter().flat_map(|(field, column, _, minus)| {
            minus.iter().chain([column]).map(move |column| (is_of_exit(field), *column))
        });
        let columns: Vec<(bool, usize)> = columns.collect();
        let read = |sign: char| {
            let (mut values, mut faults) = (Vec::new(), Vec::new());
            for (entry, exit) in trades {
                for (of_exit, column) in &columns {
                    let row = if *of_exit { *exit } else { *entry };
                    match cell::number(self.cell(row, *column), sign) {
                        Ok(value) => values.push((row, *column, value)),
                        Err(why) => faults.push(self.sheet.fault(row, *column, "wrong_number", why)),
                    }
                }
            }
            if faults.is_empty() { Ok(values) } else { Err(faults) }
        };
        if let Some(sign) = told {
            return read(sign).map(|_| sign);
        }
        match (read('.'), read(',')) {
            (Ok(points), Ok(commas)) => match points.iter().zip(&commas).find(|(point, comma)| point != comma) {
                None => Ok('.'),
                Some(((row, column, _), _)) => {
                    let cell = self.sheet.cell(*row, *column);
                    let message = format!("{cell:?} can be read in two ways; --decimal . or --decimal , says which");
                    Err(vec![self.sheet.fault(*row, *column, "two_ways", message)])
                }
            },
            (Ok(_), Err(_)) => Ok('.'),
            (Err(_), Ok(_)) => Ok(','),
            (Err(points), Err(commas)) => Err(if commas.len() < points.len() { commas } else { points }),
        }
    }

    /// The form of times that fits all of them.
    fn form(&self, trades: &[(usize, usize)], places: &Places<'_>, forms: &[String]) -> Result<String, Vec<Fault>> {
        let cells = trades.iter().flat_map(|(entry, exit)| [(*entry, places.at), (*exit, places.exit_at)]);
        let cells: Vec<(usize, usize)> = cells.collect();
        let read = |form: &str| -> Vec<Result<Timestamp, NoTime>> {
            let moment = |(row, column): &(usize, usize)| {
                cell::moment(self.cell(*row, *column), form, self.zone.as_ref(), self.twice)
            };
            cells.iter().map(moment).collect()
        };
        let faults = |read: &[Result<Timestamp, NoTime>], form: &str| -> Vec<Fault> {
            let told = read.iter().zip(&cells).filter_map(|(read, (row, column))| {
                let text = self.sheet.cell(*row, *column);
                let (code, why) = match read.as_ref().err()? {
                    NoTime::Other => ("wrong_time", format!("{text:?} is no time of the form {form:?}")),
                    NoTime::NoZone => (
                        "no_zone",
                        format!(
                            "{text:?} names no time zone; --zone says in which the file was written, such as \
                            --zone America/Chicago"
                        ),
                    ),
                    NoTime::Clocks(why) => ("clocks", why.clone()),
                };
                Some(self.sheet.fault(*row, *column, code, why))
            });
            told.collect()
        };
        let all: Vec<(&String, Vec<Result<Timestamp, NoTime>>)> = forms.iter().map(|form| (form, read(form))).collect();
        let others = |read: &[Result<Timestamp, NoTime>]| read.iter().filter(|at| **at == Err(NoTime::Other)).count();
        let fitting: Vec<_> = all.iter().filter(|(_, read)| others(read) == 0).collect();
        let Some((form, read)) = fitting.first() else {
            let nearest = all.iter().min_by_key(|(_, read)| others(read));
            return Err(nearest.map(|(form, read)| faults(read, form)).unwrap_or_default());
        };
        let differs = fitting.iter().skip(1).find_map(|(other, second)| {
            // without a zone the readings cannot be compared, and the zone is asked for first
            let differs = read.iter().zip(second).position(|(a, b)| a.is_ok() && b.is_ok() && a != b)?;
            Some((other, differs))
        });
        if let Some((other, at)) = differs {
            let Some((row, column)) = cells.get(at) else { return Ok((*form).clone()) };
            let message = format!(
                "{:?} is a time of the form {form:?} and of the form {other:?}, and nothing in the file tells them apart; \
                 --time-format says which",
                self.sheet.cell(*row, *column)
            );
            return Err(vec![self.sheet.fault(*row, *column, "two_ways", message)]);
        }
        let faults = faults(read, form);
        match faults.into_iter().collect::<Vec<_>>() {
            faults if faults.is_empty() => Ok((*form).clone()),
            // one is enough to be told that a zone is needed
            mut faults if faults.iter().all(|fault| fault.code == "no_zone") => Err(faults.drain(..1).collect()),
            faults => Err(faults),
        }
    }

    fn trade(
        &self,
        entry: usize,
        exit: usize,
        places: &Places<'_>,
        decimal: char,
        form: &str,
        said: &Said,
    ) -> Result<Made, Fault> {
        let sheet = self.sheet;
        let moment = |row: usize, column: usize, twice: Twice| {
            let read = cell::moment(self.cell(row, column), form, self.zone.as_ref(), twice);
            read.map_err(|_| sheet.fault(row, column, "wrong_time", "it is no time".to_owned()))
        };
        let (mut at, mut exit_at) = (moment(entry, places.at, self.twice)?, moment(exit, places.exit_at, self.twice)?);
        if exit_at < at && self.twice != Twice::Refuse {
            // both may lie in the hour that came twice, and then in one way only
            (at, exit_at) = (moment(entry, places.at, Twice::Earlier)?, moment(exit, places.exit_at, Twice::Later)?);
        }
        let is_long = self.is_long(entry, places.side)?;
        let symbol = self.symbol(entry, places.symbol, said)?;
        let (mut line, mut outcome) = (Object::new(), Object::new());
        let (mut features, mut extra) = (Object::new(), Object::new());
        for (field, column, number, minus) in &places.numbers {
            let row = if is_of_exit(field) { exit } else { entry };
            let value = |column: usize| {
                let read = cell::number(self.cell(row, column), decimal);
                read.map_err(|why| sheet.fault(row, column, "wrong_number", why))
            };
            let mut read = value(*column)?.map(|value| value * number.scale.unwrap_or(1.0));
            for column in minus {
                read = read.zip(Some(value(*column)?.unwrap_or(0.0))).map(|(value, minus)| value - minus);
            }
            if read.is_some_and(|value| !value.is_finite()) {
                let why = "it is too large for a number, by the scale or the columns that the map takes".to_owned();
                return Err(sheet.fault(row, *column, "wrong_number", why));
            }
            let (place, name) = match field.split_once('.') {
                Some(("outcome_metrics", name)) => (&mut outcome, name),
                Some(("features", name)) => (&mut features, name),
                Some((_, name)) => (&mut extra, name),
                None => (&mut line, field.as_str()),
            };
            place.insert(name.to_owned(), json!(read));
        }
        let reason = places.reason.map(|(column, reason)| {
            let text = self.cell(exit, column);
            reason.names.get(text).map_or(text, String::as_str)
        });
        outcome.insert("exit_reason".to_owned(), reason.filter(|text| !text.is_empty()).unwrap_or("unknown").into());
        outcome.insert("exit_at".to_owned(), exit_at.to_string().into());
        let id = places.id.map(|column| self.cell(entry, column).to_owned());
        let account = places.account.map(|column| self.cell(exit, column).to_owned()).filter(|name| !name.is_empty());
        line.insert("trade_id".to_owned(), id.unwrap_or_default().into());
        line.insert("at".to_owned(), at.to_string().into());
        line.insert("symbol".to_owned(), symbol.as_str().into());
        line.insert("side".to_owned(), if is_long { "long" } else { "short" }.into());
        line.insert("features".to_owned(), features.into());
        if !extra.is_empty() {
            line.insert("extra".to_owned(), extra.into());
        }
        line.insert("outcome_metrics".to_owned(), outcome.into());
        Ok(Made { line: line.into(), symbol, at, exit_at, is_long, account })
    }

    fn is_long(&self, row: usize, column: usize) -> Result<bool, Fault> {
        let side = &self.map.trade.side;
        let text = self.cell(row, column);
        let usual = |words: &[String], usual: &[&str]| {
            if words.is_empty() {
                return usual.iter().any(|word| word.eq_ignore_ascii_case(text));
            }
            words.iter().any(|word| word.eq_ignore_ascii_case(text))
        };
        match (usual(&side.long, &["long", "buy"]), usual(&side.short, &["short", "sell"])) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => {
                let message = format!("{text:?} is neither long nor short by the map");
                Err(self.sheet.fault(row, column, "wrong_side", message))
            }
        }
    }

    fn symbol(&self, row: usize, column: Option<usize>, said: &Said) -> Result<Symbol, Fault> {
        if let Some(symbol) = said.symbol.clone() {
            return Ok(symbol);
        }
        let how = &self.map.trade.symbol;
        let text = column.map(|column| self.cell(row, column)).or(how.value.as_deref()).unwrap_or_default();
        let mut text = how.after.iter().find_map(|before| text.strip_prefix(before.as_str())).unwrap_or(text).trim();
        for end in how.until.iter().filter(|end| !end.is_empty()) {
            text = text.find(end.as_str()).and_then(|at| text.get(..at)).unwrap_or(text);
        }
        let text = if how.future { cell::root_of_contract(text) } else { text };
        let replace = |text: String, (from, to): (&String, &String)| text.replace(from.as_str(), to);
        let text = how.replace.iter().fold(text.to_owned(), replace);
        let name = how.names.get(&text).unwrap_or(&text);
        Symbol::new(name).map_err(|error| {
            let message = format!("{error}; `replace` and `names` of trade.symbol in the map change it");
            column.map_or_else(
                || fault(self.sheet.line(row), "wrong_symbol", message.clone()),
                |column| self.sheet.fault(row, column, "wrong_symbol", message.clone()),
            )
        })
    }
}

/// Names the trades that have no name of their own by what is the same in every report that has them: symbol, entry, side, how
/// long they were held, the prices, and account. What a report may count in another way another time, such as commissions, is not in
/// the name. Only those that share all of it are numbered, by what else they say.
fn name_made(found: &mut [(usize, usize, Made)], map: &Map) {
    let Some(prefix) = &map.trade.trade_id.made else { return };
    let mut alike: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, (.., made)) in found.iter().enumerate() {
        alike.entry(made.name(prefix)).or_default().push(place);
    }
    for (base, mut places) in alike {
        places.sort_by_cached_key(|place| found.get(*place).map(|(.., made)| made.line.to_string()));
        for (number, place) in places.into_iter().enumerate() {
            let name = if number == 0 { base.clone() } else { format!("{base}-n{}", number + 1) };
            if let Some((.., made)) = found.get_mut(place) {
                made.line["trade_id"] = name.into();
            }
        }
    }
}

impl Made {
    fn name(&self, prefix: &str) -> String {
        let at =
            self.at.strftime(if self.at.subsec_nanosecond() == 0 { "%Y%m%dT%H%M%SZ" } else { "%Y%m%dT%H%M%S%.fZ" });
        let held = self.exit_at.as_millisecond() - self.at.as_millisecond();
        let held = if held % 1000 == 0 { (held / 1000).to_string() } else { format!("{:.3}", held as f64 / 1e3) };
        let side = if self.is_long { "L" } else { "S" };
        let account = self.account.as_ref().map(|name| format!("-{}", in_an_id(name))).unwrap_or_default();
        let metrics = &self.line["outcome_metrics"];
        let price = |name: &str| metrics[name].as_f64().map(|price| format!("-{price}")).unwrap_or_default();
        let prices = price("entry_price") + &price("exit_price");
        format!("{prefix}-{}-{at}-{side}-{held}s{prices}{account}", self.symbol)
    }
}

/// `text` in the characters of an id; those that an id cannot have are spelled by their bytes, so that no two texts become one, and so
/// is the one that parts a name from its number.
fn in_an_id(text: &str) -> String {
    let mut id = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' => id.push(char::from(byte)),
            _ => id.push_str(&format!(":{byte:02x}")),
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_accounts_become_one_name() {
        assert_eq!(in_an_id("Sim101"), "Sim101");
        assert_eq!(in_an_id("U 1:é"), "U:201:3a:c3:a9");
        assert_eq!(in_an_id("Sim-2"), "Sim:2d2");
    }
}
