//! The committed schemas, and whether a value fits one, for the words that are used in them.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Set to anything, the files are written anew instead of compared.
const WRITE: &str = "VIGIE_WRITE_SCHEMA";

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the committed schema is the one that the program gives.
pub fn is_current(name: &str, schema: &Value) {
    let path = root().join("docs/schema").join(name);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{} is not current; run this test with {WRITE}=yes", path.display());
}

pub fn committed(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(root().join("docs/schema").join(name)).unwrap()).unwrap()
}

/// The documents whose examples are held against the schemas, by their paths in the project.
pub fn documents() -> Vec<String> {
    let docs =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let docs = docs.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}"));
    docs.chain(["README.md".to_owned(), "systemd/README.md".to_owned()]).collect()
}

/// Why `value` does not fit `schema`, with the place; nothing when it does. A word that is not known here is a fault.
pub fn misfit(schema: &Value, value: &Value, at: &str) -> Option<String> {
    let Value::Object(words) = schema else { return (schema != &json!(true)).then(|| format!("{at}: {schema}")) };
    let wrong = |what: &str| Some(format!("{at}: {value} {what}"));
    for (word, of) in words {
        let fault = match word.as_str() {
            "$schema" | "$id" | "title" | "description" | "default" | "$comment" | "format" => None,
            "type" => {
                let kinds: Vec<&Value> = of.as_array().map_or_else(|| vec![of], |kinds| kinds.iter().collect());
                let fits = kinds.iter().any(|kind| is_a(value, kind.as_str().unwrap()));
                (!fits).then(|| wrong(&format!("is not {of}"))).flatten()
            }
            "const" => (value != of).then(|| wrong(&format!("is not {of}"))).flatten(),
            "enum" => (!of.as_array().unwrap().contains(value)).then(|| wrong(&format!("is none of {of}"))).flatten(),
            "minimum" => bound(value, of, |value, bound| value < bound).then(|| wrong("is too small")).flatten(),
            "exclusiveMinimum" => {
                bound(value, of, |value, bound| value <= bound).then(|| wrong("is too small")).flatten()
            }
            "maximum" => bound(value, of, |value, bound| value > bound).then(|| wrong("is too large")).flatten(),
            "exclusiveMaximum" => {
                bound(value, of, |value, bound| value >= bound).then(|| wrong("is too large")).flatten()
            }
            "pattern" => value
                .as_str()
                .filter(|text| !matches(of.as_str().unwrap(), text))
                .and_then(|_| wrong("is not of the form")),
            "minLength" => value
                .as_str()
                .filter(|text| (text.chars().count() as u64) < of.as_u64().unwrap())
                .and_then(|_| wrong("is too short")),
            "maxLength" => value
                .as_str()
                .filter(|text| text.chars().count() as u64 > of.as_u64().unwrap())
                .and_then(|_| wrong("is too long")),
            "minItems" => value
                .as_array()
                .filter(|items| (items.len() as u64) < of.as_u64().unwrap())
                .and_then(|_| wrong("is too short")),
            "maxItems" => value
                .as_array()
                .filter(|items| items.len() as u64 > of.as_u64().unwrap())
                .and_then(|_| wrong("is too long")),
            "prefixItems" => {
                let each = value.as_array().into_iter().flatten().zip(of.as_array().unwrap()).enumerate();
                each.into_iter().find_map(|(n, (item, of))| misfit(of, item, &format!("{at}/{n}")))
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.into_iter().find_map(|(n, item)| misfit(of, item, &format!("{at}/{n}")))
            }
            "required" => {
                let lacks = |name: &&Value| {
                    value.as_object().is_some_and(|fields| !fields.contains_key(name.as_str().unwrap()))
                };
                of.as_array().unwrap().iter().find(lacks).map(|name| format!("{at}: {name} is missing"))
            }
            "properties" => {
                let fields = value.as_object().into_iter().flatten();
                let known = |(name, value): (&String, &Value)| misfit(of.get(name)?, value, &format!("{at}/{name}"));
                fields.into_iter().find_map(known)
            }
            "additionalProperties" => {
                let own = |name: &String| words.get("properties").and_then(|own| own.get(name)).is_some();
                let others = value.as_object().into_iter().flatten().filter(|(name, _)| !own(name));
                others.into_iter().find_map(|(name, value)| misfit(of, value, &format!("{at}/{name}")))
            }
            "oneOf" => {
                let fitting = of.as_array().unwrap().iter().filter(|one| misfit(one, value, at).is_none()).count();
                (fitting != 1).then(|| wrong(&format!("fits {fitting} of the schemas"))).flatten()
            }
            other => Some(format!("{at}: {other} is not known to this test")),
        };
        if fault.is_some() {
            return fault;
        }
    }
    None
}

fn bound(value: &Value, bound: &Value, beyond: fn(f64, f64) -> bool) -> bool {
    value.as_f64().zip(bound.as_f64()).is_some_and(|(value, bound)| beyond(value, bound))
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

/// The patterns that are used here.
fn matches(pattern: &str, text: &str) -> bool {
    use vigie::domain::{Symbol, TradeId, VersionId};
    match pattern {
        "^[A-Za-z0-9._:/-]{1,64}$" => TradeId::new(text).is_ok(),
        "^[A-Z0-9._]{1,16}$" => Symbol::new(text).is_ok(),
        "^[A-Z0-9._]{1,16}/[1-9][0-9]*$" => text.parse::<VersionId>().is_ok(),
        ranges if ranges.starts_with("[^\\u") => text.chars().any(|character| !is_within(ranges, character)),
        other => panic!("{other} is not known to this test"),
    }
}

/// Whether a character is one of those between `[^` and `]`, which are all spelled `\\u0000`.
fn is_within(ranges: &str, character: char) -> bool {
    let spelled: Vec<&str> = ranges.trim_start_matches("[^\\u").trim_end_matches(']').split("\\u").collect();
    let code = |text: &str| u32::from_str_radix(text.trim_end_matches('-'), 16).unwrap();
    let mut rest = spelled.iter();
    while let Some(first) = rest.next() {
        let last = if first.ends_with('-') { rest.next().unwrap() } else { first };
        if (code(first)..=code(last)).contains(&character.into()) {
            return true;
        }
    }
    false
}
