//! The text of a configuration: only what differs, each key under the comment that the built-in file has for it.

use std::fmt::Write as _;

use super::{Answers, features::Found};
use crate::{
    commands::init::Instrument,
    config::{BUILTIN, Config},
};

const HEAD: &str = "\
# The configuration of vigie, made by `vigie init`: only what differs from the built-in one, config.toml of the project.\n\
# `vigie check --json FILE` prints every value in force. After a change: `vigie check FILE`, then `vigie reload`.\n";

/// The text.
pub(super) fn file(answers: &Answers, found: Option<&Found>, builtin: &Config) -> String {
    let mut text = HEAD.to_owned();
    for (number, Instrument { symbol, tick }) in answers.symbols.iter().enumerate() {
        let known = builtin.symbols.get(symbol).map(|instrument| (instrument.tick, instrument.tick_value));
        let Some((tick, value)) = tick.or(known) else { continue };
        let explained = number == 0;
        if explained {
            comment(
                &mut text,
                "",
                "\nOnly these instruments are scored: any table of a symbol replaces all that are built in.",
            );
        }
        let _ =
            writeln!(text, "{}[symbols.{}]", if explained { "" } else { "\n" }, quoted_unless_bare(symbol.as_str()));
        for (key, value) in [("tick", tick), ("tick_value", value)] {
            if explained {
                text.push_str(&comment_of("symbols.ES", key));
            }
            let _ = writeln!(text, "{key} = {value:?}");
        }
    }
    let number = |value: Option<f64>| value.map(|value| format!("{value:?}"));
    let word = |value: &Option<String>| value.as_deref().map(quoted);
    let list = |values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        (!values.is_empty()).then(|| format!("[{}]", values.join(", ")))
    };
    section(&mut text, builtin, "trading_day", &[("zone", word(&answers.zone)), ("start", word(&answers.start))]);
    section(&mut text, builtin, "access", &[("trader_users", list(&answers.trader_users))]);
    let names: Vec<String> = found.map(|found| found.names().cloned().collect()).unwrap_or_default();
    if let Some(found) = found {
        comment(&mut text, "", &format!("\n{}", found.told()));
    }
    section(&mut text, builtin, "features", &[("extra", list(&names))]);
    section(&mut text, builtin, "guardian", &[("daily_loss_limit", number(answers.daily_loss_limit))]);
    text
}

/// The keys of a section that have a value which is not the built-in one.
fn section(text: &mut String, builtin: &Config, name: &str, keys: &[(&str, Option<String>)]) {
    let entries = builtin.entries();
    let is_built_in = |key: &str, value: &str| {
        let key = format!("{name}.{key}");
        entries.iter().any(|(known, built_in)| *known == key && built_in == value)
    };
    let differs: Vec<(&str, &String)> = keys
        .iter()
        .filter_map(|(key, value)| Some((*key, value.as_ref()?)))
        .filter(|(key, value)| !is_built_in(key, value))
        .collect();
    if differs.is_empty() {
        return;
    }
    let _ = write!(text, "\n[{name}]\n");
    for (key, value) in differs {
        let _ = writeln!(text, "{}{key} = {value}", comment_of(name, key));
    }
}

/// The comment right above a key of the built-in file, with its marks.
fn comment_of(section: &str, wanted: &str) -> String {
    let (mut inside, mut above) = (false, String::new());
    for line in BUILTIN.lines() {
        if line.starts_with('#') {
            above.push_str(line);
            above.push('\n');
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            inside = header.trim_end_matches(']') == section;
        } else if inside && line.split_once(" = ").is_some_and(|(key, _)| key == wanted) {
            return above;
        }
        above.clear();
    }
    String::new()
}

/// Text as comments of at most 120 columns; a line break at its beginning stays.
fn comment(text: &mut String, indent: &str, words: &str) {
    text.push_str(if words.starts_with('\n') { "\n" } else { "" });
    for paragraph in words.trim_start().lines() {
        let mut line = format!("{indent}#");
        for word in paragraph.split(' ') {
            if line.len() + word.len() > 118 {
                text.push_str(&line);
                text.push('\n');
                line = format!("{indent}#");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        text.push('\n');
    }
}

/// As TOML writes a text; what JSON escapes TOML reads as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn quoted_unless_bare(name: &str) -> String {
    let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}
