//! JSON objects as a table: a column a field, named by its path.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::{
    domain::Timestamp,
    table::{Cells, Column, Sort},
};

/// Columns that stand first, in this order; the others follow by name.
const FIRST: [&str; 5] = ["trade_id", "at", "symbol", "side", "confidence"];
/// Fields that are times, wherever they are.
const TIMES: [&str; 2] = ["at", "exit_at"];

/// What the values of each field are, found row by row, so that the rows themselves need not be kept.
#[derive(Debug, Default)]
pub(super) struct Survey(BTreeMap<(usize, String), Fits>);

/// As what all values of a field can be read.
#[derive(Debug, Clone, Copy)]
struct Fits {
    any: bool,
    time: bool,
    yes: bool,
    whole: bool,
    real: bool,
}

/// The columns of rows that were surveyed.
#[derive(Debug)]
pub(super) struct Layout {
    columns: Vec<(String, Sort)>,
    places: HashMap<String, usize>,
}

/// The next rows of a table: by columns from the beginning, since a row as an object takes several times the memory.
pub(super) struct Part<'a> {
    layout: &'a Layout,
    found: Vec<Vec<Value>>,
    rows: usize,
}

impl Survey {
    /// Takes in a row.
    pub(super) fn look(&mut self, row: Map<String, Value>) {
        leaves(String::new(), row, &mut |name, value| {
            let place = FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
            let is_time = name.rsplit('.').next().is_some_and(|last| TIMES.contains(&last));
            let fits = Fits { any: false, time: is_time, yes: true, whole: true, real: true };
            let fits = self.0.entry((place, name)).or_insert(fits);
            if !value.is_null() {
                fits.any = true;
                fits.time &= time(&value).is_some();
                fits.yes &= value.is_boolean();
                fits.whole &= value.as_i64().is_some();
                fits.real &= value.as_f64().is_some();
            }
        });
    }

    /// The columns. One is yes or no, whole numbers, numbers, or times if all its values are, and else text; a list, and an object
    /// without fields, is its JSON. What is null or not there is missing.
    pub(super) fn layout(self) -> Layout {
        let sort = |fits: Fits| match fits {
            Fits { time: true, .. } => Sort::Time,
            Fits { any: false, .. } => Sort::Real,
            Fits { yes: true, .. } => Sort::Yes,
            Fits { whole: true, .. } => Sort::Whole,
            Fits { real: true, .. } => Sort::Real,
            _ => Sort::Text,
        };
        let columns: Vec<(String, Sort)> = self.0.into_iter().map(|((_, name), fits)| (name, sort(fits))).collect();
        let places = columns.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
        Layout { columns, places }
    }
}

impl Layout {
    /// Room for rows that were among those that were surveyed.
    pub(super) fn part(&self) -> Part<'_> {
        Part { layout: self, found: self.columns.iter().map(|_| Vec::new()).collect(), rows: 0 }
    }
}

impl Part<'_> {
    /// Takes in a row.
    pub(super) fn push(&mut self, row: Map<String, Value>) {
        leaves(String::new(), row, &mut |name, value| {
            if let Some(column) = self.layout.places.get(&name).and_then(|place| self.found.get_mut(*place)) {
                column.resize(self.rows, Value::Null);
                column.push(value);
            }
        });
        self.rows += 1;
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The rows by columns. None are left.
    pub(super) fn columns(&mut self) -> Vec<Column> {
        let rows = std::mem::take(&mut self.rows);
        let column = |((name, sort), found): (&(String, Sort), &mut Vec<Value>)| {
            let mut values = std::mem::take(found);
            values.resize(rows, Value::Null);
            Column::new(name.clone(), cells(values, *sort))
        };
        self.layout.columns.iter().zip(&mut self.found).map(column).collect()
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn leaves(path: String, object: Map<String, Value>, each: &mut impl FnMut(String, Value)) {
    for (key, value) in object {
        let name = if path.is_empty() { key } else { format!("{path}.{key}") };
        match value {
            Value::Object(inner) if !inner.is_empty() => leaves(name, inner, each),
            value => each(name, value),
        }
    }
}

fn cells(values: Vec<Value>, sort: Sort) -> Cells {
    let text = |value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    match sort {
        Sort::Time => Cells::Time(values.iter().map(time).collect()),
        Sort::Yes => Cells::Yes(values.iter().map(Value::as_bool).collect()),
        Sort::Whole => Cells::Whole(values.iter().map(Value::as_i64).collect()),
        Sort::Real => Cells::Real(values.iter().map(Value::as_f64).collect()),
        Sort::Text => Cells::Text(values.into_iter().map(text).collect()),
        Sort::Bytes => Cells::Bytes(values.into_iter().map(|value| text(value).map(String::into_bytes)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_field_is_a_column_of_its_own_sort() {
        let rows = [
            json!({"a": {"b": 1, "c": 1.5, "list": [1, null]}, "at": "2025-01-06T11:27:00Z", "trade_id": "x", "mixed": 1}),
            json!({"a": {"b": null, "c": 2}, "late": {"exit_at": "no time", "yes": true}, "mixed": "2", "never": null}),
            json!({"a": {"b": 3}, "empty": {}, "at": "2025-01-06T12:27:00+01:00"}),
        ];
        let rows: Vec<Map<String, Value>> = rows.into_iter().map(|row| row.as_object().unwrap().clone()).collect();
        let mut survey = Survey::default();
        rows.iter().for_each(|row| survey.look(row.clone()));
        let layout = survey.layout();
        // by parts, each column is of the same sort
        let columns = |rows: &[Map<String, Value>]| {
            let mut part = layout.part();
            rows.iter().for_each(|row| part.push(row.clone()));
            assert_eq!(part.rows(), rows.len());
            let columns = part.columns();
            assert_eq!(part.rows(), 0);
            columns
        };
        let parts = columns(&rows[..1]).into_iter().zip(columns(&rows[1..]));
        assert!(parts.into_iter().all(|(one, two)| one.name == two.name && one.cells.sort() == two.cells.sort()));
        let said: Vec<String> =
            columns(&rows).into_iter().map(|column| format!("{} {:?}", column.name, column.cells)).collect();
        let expected = [
            r#"trade_id Text([Some("x"), None, None])"#,
            "at Time([Some(2025-01-06T11:27:00Z), None, Some(2025-01-06T11:27:00Z)])",
            "a.b Whole([Some(1), None, Some(3)])",
            "a.c Real([Some(1.5), Some(2.0), None])",
            r#"a.list Text([Some("[1,null]"), None, None])"#,
            r#"empty Text([None, None, Some("{}")])"#,
            r#"late.exit_at Text([None, Some("no time"), None])"#,
            "late.yes Yes([None, Some(true), None])",
            r#"mixed Text([Some("1"), Some("2"), None])"#,
            "never Real([None, None, None])",
        ];
        assert_eq!(said, expected);
        assert!(Survey::default().layout().part().columns().is_empty());
    }
}
