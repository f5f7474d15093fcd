//! JSON objects as a table: a column a field, named by its path.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::table::{Cells, Column};
use crate::domain::Timestamp;

/// Columns that stand first, in this order; the others follow by name.
const FIRST: [&str; 5] = ["trade_id", "at", "symbol", "side", "confidence"];
/// Fields that are times, wherever they are.
const TIMES: [&str; 2] = ["at", "exit_at"];

/// The columns of `rows`. A column is yes or no, whole numbers, numbers, or times if all its values are, and else text; a list,
/// and an object without fields, is its JSON. What is null or not there is missing.
pub(super) fn flatten(rows: Vec<Map<String, Value>>) -> Vec<Column> {
    let count = rows.len();
    let mut found: BTreeMap<(usize, String), Vec<Value>> = BTreeMap::new();
    for (number, row) in rows.into_iter().enumerate() {
        leaves(String::new(), row, &mut |name, value| {
            let place = FIRST.iter().position(|first| *first == name).unwrap_or(FIRST.len());
            let column = found.entry((place, name)).or_default();
            column.resize(number, Value::Null);
            column.push(value);
        });
    }
    let column = |((_, name), mut values): ((usize, String), Vec<Value>)| {
        values.resize(count, Value::Null);
        let is_time = name.rsplit('.').next().is_some_and(|last| TIMES.contains(&last));
        Column::new(name, cells(values, is_time))
    };
    found.into_iter().map(column).collect()
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

fn cells(values: Vec<Value>, is_time: bool) -> Cells {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    if is_time && let Some(times) = all(&values, time) {
        return Cells::Time(times);
    }
    if values.iter().all(Value::is_null) {
        return Cells::Real(vec![None; values.len()]);
    }
    if let Some(cells) = all(&values, Value::as_bool) {
        return Cells::Yes(cells);
    }
    if let Some(cells) = all(&values, Value::as_i64) {
        return Cells::Whole(cells);
    }
    if let Some(cells) = all(&values, Value::as_f64) {
        return Cells::Real(cells);
    }
    let text = |value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    Cells::Text(values.into_iter().map(text).collect())
}

/// Each value read, `None` where it is null; `None` if one cannot be read.
fn all<T>(values: &[Value], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<Option<T>>> {
    values.iter().map(|value| if value.is_null() { Some(None) } else { read(value).map(Some) }).collect()
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
        let rows = rows.into_iter().map(|row| row.as_object().unwrap().clone()).collect();
        let said: Vec<String> =
            flatten(rows).into_iter().map(|column| format!("{} {:?}", column.name, column.cells)).collect();
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
        assert!(flatten(Vec::new()).is_empty());
    }
}
