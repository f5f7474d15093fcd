//! What the registry, the decision points and the exports tell, on the example trades and beside a running daemon.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::process::Command;

use common::{
    place::{BY_HAND, CONFIG, Place, examples, model},
    process::{Process, succeed, vigie},
    skip::skipped,
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Value, json};
use vigie::domain::lifecycle::State;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signals.jsonl.gz");
const SIGNAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/signal.json");
const NEVER: &str = "1990-01-01T00:00:00Z";
const ALWAYS: &str = "2200-01-01T00:00:00Z";

fn text(place: &Place, arguments: &[&str]) -> String {
    let all = [arguments, &["--state", "state", "--config", "config.toml"]].concat();
    String::from_utf8(succeed(place, &all).stdout).unwrap()
}

fn told(place: &Place, arguments: &[&str]) -> Value {
    serde_json::from_str(&text(place, &[arguments, &["--json"]].concat())).unwrap()
}

fn trained() -> Place {
    let place = Place::new();
    // what passes its validation would take its first step while the test gives its orders
    place.file("config.toml", &format!("{CONFIG}{BY_HAND}"));
    succeed(&place, &["import", "--state", "state", EXAMPLES]);
    text(&place, &["train", "--keep"]);
    place
}

#[test]
fn a_version_is_shown_compared_and_asked_what_it_would_have_said() {
    let place = trained();
    text(&place, &["train", "--keep", "--days", "150"]);
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let socket = socket.to_str().unwrap();
    let promote = ["promote", "ES/1", "--to", "production", "--override", "--reason", "x", "--socket", socket];
    succeed(&place, &promote);
    let shown = told(&place, &["models", "show", "ES/1"]);
    assert_eq!(shown["record"]["id"], "ES/1");
    assert!(shown["report"]["checks"].as_array().unwrap().len() > 15, "{shown}");
    let shown = text(&place, &["models", "show", "ES/1"]);
    for part in ["data hash", "strengths_tried", "share of each column", "foretold", "makes more than every trade"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let differ = told(&place, &["models", "diff", "ES/1", "ES/2"])["differ"].to_string();
    assert!(differ.contains("\"days\"") && differ.contains("data hash") && !differ.contains("\"seed\""), "{differ}");
    assert_eq!(told(&place, &["models", "at", NEVER])["live"], json!({}));
    let now = told(&place, &["models", "at", ALWAYS, "--signal", SIGNAL]);
    assert_eq!(now["live"]["ES"]["production"], "ES/1", "{now}");
    let score = succeed(&place, &["score", "--json", "--deadline-ms", "10000", "--socket", socket, SIGNAL]).stdout;
    let score: Value = serde_json::from_slice(&score).unwrap();
    assert_eq!(
        (&now["said"]["decision"]["score"], &score["arm"]),
        (&score["score"], &json!("ml")),
        "as the daemon says"
    );
    daemon.stop();
}

#[test]
fn decision_points_tell_their_evidence() {
    let place = trained();
    let phases = told(&place, &["phases"]);
    let go: Vec<&Value> = phases["levels"].as_array().unwrap().iter().map(|level| &level["go"]).collect();
    assert_eq!(go, [true, false, false, false], "{phases}");
    assert_eq!(
        (&phases["portfolio"]["go"], &phases["levels"][0]["conditions"][0]["found"]),
        (&json!(false), &json!(1100.0))
    );
    let phases = text(&place, &["phases"]);
    assert!(
        phases.contains("linear: GO") && phases.contains("901 more") && phases.contains("2 more trainings"),
        "{phases}"
    );
}

#[test]
fn versions_that_were_pushed_to_production_prove_nothing_about_a_portfolio() {
    let place = Place::with_model(State::Production);
    let mut other = model().clone();
    other.id = "NQ/1".parse().unwrap();
    place.register("NQ/1", other.to_bytes().unwrap(), State::Production);
    place.file("config.toml", CONFIG);
    let portfolio = told(&place, &["phases"])["portfolio"].take();
    assert_eq!((&portfolio["go"], &portfolio["symbols_in_production"]), (&json!(false), &json!(2)), "{portfolio}");
    assert_eq!(portfolio["proven"], 0);
    let text = text(&place, &["phases"]);
    assert!(text.contains("portfolio: NO-GO") && text.contains("NQ/1: "), "{text}");
}

#[test]
fn a_data_set_is_described_the_same_from_the_journal_and_from_its_file() {
    let place = trained();
    let (journal, file) = (told(&place, &["dataset"]), told(&place, &["dataset", EXAMPLES]));
    assert_eq!(journal["accepted"], examples().len());
    for part in ["classes", "inputs", "gaps", "span", "degenerate"] {
        assert_eq!(journal[part], file[part], "{part}");
    }
}

#[test]
fn exports_hold_every_closed_trade_and_python_reads_them() {
    let place = trained();
    let csv = text(&place, &["export"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), examples().len() + 1);
    let width = lines[0].split(',').count();
    assert_eq!(width, 3 + 13 + 1 + 7, "{}", lines[0]);
    assert!(lines.iter().all(|line| line.split(',').count() == width));
    assert_eq!(text(&place, &["export", "--what", "snapshots"]).lines().count(), examples().len());
    text(&place, &["export", "--format", "pickle", "--output", "trades.pickle"]);
    let script = "import pickle; m = pickle.load(open('trades.pickle', 'rb')); r = m['rows']; \
                  print(len(r), len(m['columns']), all(len(x['values']) == len(m['columns']) for x in r))";
    let read = Command::new("python3").args(["-c", script]).current_dir(place.folder()).output().unwrap();
    assert_eq!(String::from_utf8(read.stdout).unwrap().trim(), format!("{} 21 True", examples().len()));
    // each row says of which trade it is and when, as the CSV does
    let script = "import pickle; m = pickle.load(open('trades.pickle', 'rb')); \
                  [print(x['trade_id'], x['at'], x['exit_at'], sep=',') for x in m['rows']]";
    let read = Command::new("python3").args(["-c", script]).current_dir(place.folder()).output().unwrap();
    let said = String::from_utf8(read.stdout).unwrap();
    let rows: Vec<String> = said.lines().map(|row| format!("{row},")).collect();
    assert_eq!(rows.len(), lines.len() - 1);
    assert!(rows.iter().zip(&lines[1..]).all(|(row, line)| line.starts_with(row.as_str())), "{said}");
}

/// How a command ends that fails, and what it says.
fn fails(place: &Place, arguments: &[&str]) -> String {
    // a simulation has no journal
    let state: &[&str] = if arguments[0] == "simulate" { &[] } else { &["--state", "state"] };
    let output = vigie(place, &[arguments, state].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_export_that_fails_leaves_the_old_file_as_it_was() {
    let place = trained();
    for (arguments, why) in [
        (
            &["export", "--symbol", "ZZ", "--output", "old"][..],
            "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add",
        ),
        (
            &["export", "--what", "snapshots", "--symbol", "ZZ", "--output", "old"],
            "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add",
        ),
        (&["export", "--what", "snapshots", "--format", "pickle", "--output", "old"], "not written as pickle"),
        (&["export", "--format", "jsonl", "--output", "old"], "not written as jsonl"),
        (&["simulate", "--out", "old", "--truth", "no/such/folder/truth"], "no/such/folder/truth cannot be made"),
    ] {
        place.file("old", "kept");
        let said = fails(&place, arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
        assert_eq!(std::fs::read_to_string(place.folder().join("old")).unwrap(), "kept", "{arguments:?}");
        assert_eq!(parts(&place), Vec::<String>::new(), "{arguments:?}");
    }
}

/// What was written beside its place and left there.
fn parts(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    entries.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".part")).collect()
}

#[test]
fn a_disk_that_fills_during_an_export_leaves_the_old_file_as_it_was() {
    let place = trained();
    let vigie = env!("CARGO_BIN_EXE_vigie");
    for command in [
        "export --state state --output old",
        "export --state state --format pickle --output old",
        "export --state state --format parquet --output old",
        "export --state state --what snapshots --output old",
        "simulate --months 6 --out old",
        "simulate --months 6 --out old.gz",
    ] {
        let old = command.rsplit(' ').next().unwrap();
        place.file(old, "kept");
        // 16 KiB and no more, as a disk without room
        let shell = format!("trap '' XFSZ; ulimit -f 32; exec {vigie} {command}");
        let output = Command::new("sh").args(["-c", &shell]).current_dir(place.folder()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {output:?}");
        assert!(std::fs::read(place.folder().join(old)).unwrap() == b"kept", "{command}");
        assert_eq!(parts(&place), Vec::<String>::new(), "{command}");
    }
}

#[test]
fn what_is_named_and_does_not_exist_is_refused() {
    let place = trained();
    for (arguments, why) in [
        (&["impact", "--version", "ES/99"][..], "there is no version ES/99"),
        (&["power", "--version", "ES/99"], "there is no version ES/99"),
        (&["drill", "--version", "ES/99"], "there is no version ES/99"),
        (&["drill", "--play", "--version", "ES/99"], "there is no version ES/99"),
        (&["models", "show", "ES/99"], "ES/99"),
        (&["models", "diff", "ES/1", "ES/99"], "ES/99"),
        (&["validate", "ES/99"], "ES/99"),
        (&["impact", "--symbol", "ZZ"], "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add"),
        (&["power", "--symbol", "ZZ"], "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add"),
        (&["drill", "--symbol", "ZZ"], "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add"),
        (&["phases", "--symbol", "ZZ"], "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add"),
        (&["train", "--symbol", "ZZ"], "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add"),
        (
            &["simulate", "--symbol", "ZZ", "--out", "-"],
            "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add",
        ),
        (&["impact", "--version", "ES/1", "--symbol", "NQ"], "ES/1 is a version of ES"),
    ] {
        let said = fails(&place, arguments);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

#[test]
fn text_that_a_spreadsheet_would_take_for_a_formula_stands_behind_an_apostrophe() {
    let place = trained();
    let example = examples().swap_remove(0);
    let id = serde_json::from_str::<Value>(&example).unwrap()["trade_id"].as_str().unwrap().to_owned();
    let reason = serde_json::from_str::<Value>(&example).unwrap()["execution_context"]["entry_reason"].clone();
    let bad = example.replace(&id, "-2/3").replace(&reason.to_string(), "\"=HYPERLINK(1,2)\"");
    assert_ne!(example, bad);
    place.file("bad.jsonl", &format!("{bad}\n"));
    text(&place, &["import", "bad.jsonl"]);
    let matrix = text(&place, &["export"]);
    assert!(matrix.lines().any(|line| line.starts_with("'-2/3,")), "{matrix}");
    let snapshots = text(&place, &["export", "--what", "snapshots", "--format", "csv"]);
    assert_eq!(snapshots.lines().count(), examples().len() + 2);
    assert!(snapshots.contains("\n'-2/3,") && snapshots.contains("\"'=HYPERLINK(1,2)\""), "{snapshots}");
}

/// The rows of a Parquet file, each value beside its column's name.
fn parquet_rows(place: &Place, file: &str) -> Vec<Vec<(String, Field)>> {
    let file = std::fs::File::open(place.folder().join(file)).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns()).collect()
}

#[test]
fn the_matrix_as_parquet_is_the_one_as_csv() {
    let place = trained();
    let csv = text(&place, &["export"]);
    text(&place, &["export", "--format", "parquet", "--output", "trades.parquet"]);
    let rows = parquet_rows(&place, "trades.parquet");
    assert_eq!(rows.len(), examples().len());
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let (mut missing, mut classes) = (0, 0);
    for (line, row) in lines.zip(&rows) {
        for ((cell, name), (column, field)) in line.split(',').zip(&names).zip(row) {
            assert_eq!(name, column);
            match field {
                Field::Null => assert_eq!(cell, "", "{column}"),
                Field::Str(text) => assert_eq!(cell, text, "{column}"),
                Field::Double(value) => assert_eq!(cell.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{column}"),
                Field::Bool(yes) => assert_eq!(cell.parse::<f64>().unwrap(), f64::from(u8::from(*yes)), "{column}"),
                Field::TimestampMicros(at) => {
                    assert_eq!(cell.parse::<jiff::Timestamp>().unwrap().as_microsecond(), *at, "{column}");
                }
                other => panic!("{column} is {other:?}"),
            }
            missing += usize::from(*field == Field::Null);
            classes += usize::from(matches!(field, Field::Bool(_)));
        }
    }
    assert!(missing > 0 && classes > 3 * rows.len(), "{missing} missing, {classes} classes");
}

#[test]
fn snapshots_as_parquet_have_every_field_of_every_signal() {
    let place = trained();
    let lines = text(&place, &["export", "--what", "snapshots"]);
    text(&place, &["export", "--what", "snapshots", "--format", "parquet", "--output", "snapshots.parquet"]);
    let rows = parquet_rows(&place, "snapshots.parquet");
    assert_eq!(rows.len(), lines.lines().count());
    let mut sorts = std::collections::HashSet::new();
    for (line, row) in lines.lines().zip(&rows) {
        let line: Value = serde_json::from_str(line).unwrap();
        for (column, field) in row {
            let value = column.split('.').fold(&line, |value, key| &value[key]);
            let same = match field {
                Field::Null => value.is_null(),
                Field::Long(whole) => value.as_i64() == Some(*whole),
                Field::Double(real) => value.as_f64() == Some(*real),
                Field::Str(text) => {
                    value.as_str() == Some(text) || serde_json::from_str::<Value>(text).is_ok_and(|list| list == *value)
                }
                Field::TimestampMicros(at) => {
                    value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond() == *at
                }
                other => panic!("{column} is {other:?}"),
            };
            assert!(same, "{column}: {field:?} is not {value}");
            sorts.insert(std::mem::discriminant(field));
        }
        fn leaves(value: &Value) -> usize {
            value.as_object().map_or(usize::from(!value.is_null()), |object| object.values().map(leaves).sum())
        }
        assert_eq!(row.iter().filter(|(_, field)| *field != Field::Null).count(), leaves(&line), "nothing is left out");
    }
    assert_eq!(sorts.len(), 5, "missing, whole, real, text and time");
}

/// `VIGIE_PYTHON`, or python3, if it has pandas and pyarrow.
fn python_with_pandas() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("VIGIE_PYTHON").unwrap_or_else(|| "python3".into());
    let has_them = Command::new(&python).args(["-c", "import pandas, pyarrow"]).output();
    has_them.is_ok_and(|output| output.status.success()).then_some(python)
}

#[test]
fn pandas_reads_parquet_with_the_types_and_values_of_the_csv() {
    let Some(python) = python_with_pandas() else {
        return skipped("no pandas and pyarrow in python3; VIGIE_PYTHON may name another");
    };
    let place = trained();
    for (what, format, file) in [
        ("matrix", "csv", "trades.csv"),
        ("matrix", "parquet", "trades.parquet"),
        ("snapshots", "jsonl", "snapshots.jsonl"),
        ("snapshots", "parquet", "snapshots.parquet"),
    ] {
        text(&place, &["export", "--what", what, "--format", format, "--output", file]);
    }
    let script = include_str!("fixtures/export/read_parquet.py");
    let read = Command::new(python).args(["-c", script]).current_dir(place.folder()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(String::from_utf8(read.stdout).unwrap().trim(), format!("{0} {0}", examples().len()));
}
