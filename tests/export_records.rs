//! Exports of decisions, outcomes and events: what the journal holds, in every format, beside a running daemon.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, process::Command};

use common::{
    place::Place,
    process::{Process, succeed, vigie},
    wire::FEATURES,
};
use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
};
use serde_json::{Value, json};
use vigie::domain::lifecycle::State;

const KINDS: [&str; 3] = ["decisions", "outcomes", "events"];

fn signal(id: &str, symbol: &str, side: &str) -> String {
    format!(
        r#"{{"trade_id":"{id}","at":"2025-11-03T15:00:00.25Z","symbol":"{symbol}","side":"{side}","confidence":0.6,"features":{FEATURES}}}"#
    )
}

fn closed(pnl: f64) -> Value {
    json!({ "exit_at": "2025-11-03T15:20:00Z", "pnl": pnl, "entry_price": 5900.25, "exit_reason": "=1+1" })
}

/// A journal with three answers, of which one was acted on in part, an imported trade and an outcome without a signal; the daemon
/// that serves it.
fn served() -> (Place, Process) {
    let place = Place::with_model(State::Production);
    let mut past: Value = serde_json::from_str(&signal("PAST", "NQ", "short")).unwrap();
    past["outcome_metrics"] = closed(7.5);
    place.file("past.jsonl", &format!("{past}\n"));
    succeed(&place, &["import", "--state", "state", "past.jsonl"]);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    for (id, symbol, side) in [("-1", "ES", "long"), ("T-2", "ES", "short"), ("T-3", "NQ", "long")] {
        let mut request: Value = serde_json::from_str(&signal(id, symbol, side)).unwrap();
        request["type"] = json!("score");
        let answer = wire.ask_ok(request.to_string());
        let mut outcome = json!({ "type": "outcome", "trade_id": id, "outcome_metrics": closed(-12.5) });
        if id == "T-2" {
            let fields = ["trade_id", "arm", "confidence", "score", "size", "model", "reason"];
            let mut told: Value = fields
                .iter()
                .map(|name| ((*name).to_owned(), answer[*name].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into();
            told["size"] = json!(0.5);
            outcome["decision"] = told;
        }
        if id != "T-3" {
            wire.ask_ok(outcome.to_string());
        }
    }
    wire.ask_ok(json!({ "type": "outcome", "trade_id": "LONE", "outcome_metrics": closed(1.0) }).to_string());
    (place, daemon)
}

fn csv(place: &Place, arguments: &[&str]) -> Vec<Vec<String>> {
    let output = succeed(place, &[&["export", "--state", "state", "--what"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    // none of these has a quoted line break
    let mut rows = Vec::new();
    for line in text.lines() {
        let (mut cells, mut cell, mut inside) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => inside = !inside,
                ',' if !inside => cells.push(std::mem::take(&mut cell)),
                c => cell.push(c),
            }
        }
        cells.push(cell);
        rows.push(cells);
    }
    rows
}

fn column<'a>(rows: &'a [Vec<String>], name: &str) -> Vec<&'a str> {
    let place = rows[0].iter().position(|head| head == name).unwrap_or_else(|| panic!("{name}: {:?}", rows[0]));
    rows[1..].iter().map(|row| row[place].as_str()).collect()
}

#[test]
fn decisions_outcomes_and_events_are_exported_beside_the_daemon_with_trade_ids_and_times() {
    let (place, daemon) = served();
    let decisions = csv(&place, &["decisions"]);
    assert_eq!(column(&decisions, "trade_id"), ["'-1", "T-2", "T-3"], "an imported signal was not answered");
    assert!(column(&decisions, "at").iter().all(|at| *at == "2025-11-03T15:00:00.25Z"));
    assert!(column(&decisions, "received_at").iter().all(|at| at.ends_with('Z')));
    assert_eq!(column(&decisions, "symbol"), ["ES", "ES", "NQ"]);
    assert_eq!(column(&decisions, "side"), ["long", "short", "long"]);
    assert_eq!(column(&decisions, "reason"), ["production", "production", "no_model"]);
    assert_eq!(column(&decisions, "arm"), ["ml", "ml", "baseline"]);
    assert_eq!(column(&decisions, "model"), ["ES/1", "ES/1", ""]);
    assert!(column(&decisions, "opinions")[0].contains("ES/1") && column(&decisions, "opinions")[2].is_empty());
    let outcomes = csv(&place, &["outcomes"]);
    assert_eq!(column(&outcomes, "trade_id"), ["PAST", "'-1", "T-2", "LONE"]);
    assert_eq!(column(&outcomes, "source"), ["import", "live", "live", "live"]);
    assert_eq!(column(&outcomes, "pnl"), ["7.5", "-12.5", "-12.5", "1.0"]);
    assert_eq!(column(&outcomes, "at")[3], "", "of a trade without a signal it is not known");
    assert_eq!(column(&outcomes, "exit_at")[0], "2025-11-03T15:20:00Z");
    assert_eq!(column(&outcomes, "acted_on_size"), ["", "", "0.5", ""]);
    assert!(column(&outcomes, "exit_reason").iter().all(|reason| *reason == "'=1+1"), "no text is a formula");
    let events = csv(&place, &["events"]);
    assert!(column(&events, "event").contains(&"started") && column(&events, "event").contains(&"imported"));
    assert_eq!(column(&events, "at").len(), place.reader().events(0).unwrap().count());
    // of one symbol, and of none that is unknown
    assert_eq!(column(&csv(&place, &["decisions", "--symbol", "NQ"]), "trade_id"), ["T-3"]);
    assert_eq!(column(&csv(&place, &["outcomes", "--symbol", "ES"]), "trade_id"), ["'-1", "T-2"]);
    for (arguments, why) in [
        (["decisions", "--symbol", "ZZ"], "ZZ has no table in the configuration, which has ES, MES, MNQ, NQ; add"),
        (["events", "--symbol", "ES"], "leave --symbol out"),
        (["outcomes", "--format", "jsonl"], "not written as jsonl"),
    ] {
        let output =
            vigie(&place, &[&["export", "--state", "state", "--what"], &arguments[..]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(why), "{output:?}");
    }
    daemon.stop();
}

#[test]
fn all_formats_of_a_kind_hold_the_same_and_a_journal_without_them_gives_the_columns() {
    let (place, daemon) = served();
    daemon.stop();
    for what in KINDS {
        let rows = csv(&place, &[what]);
        for format in ["parquet", "pickle"] {
            let file = format!("{what}.{format}");
            succeed(&place, &["export", "--state", "state", "--what", what, "--format", format, "--output", &file]);
        }
        let file = fs::File::open(place.folder().join(format!("{what}.parquet"))).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let read: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns()).collect();
        assert_eq!(read.len(), rows.len() - 1, "{what}");
        for (row, cells) in read.iter().zip(&rows[1..]) {
            for ((name, field), (head, cell)) in row.iter().zip(rows[0].iter().zip(cells)) {
                assert_eq!(name, head);
                match field {
                    Field::Null => assert_eq!(cell, "", "{name}"),
                    Field::Str(text) => assert_eq!(cell.trim_start_matches('\''), text.replace('"', ""), "{name}"),
                    Field::Double(real) => assert_eq!(cell.parse::<f64>().unwrap().to_bits(), real.to_bits(), "{name}"),
                    Field::Long(whole) => assert_eq!(cell.parse::<i64>().unwrap(), *whole, "{name}"),
                    Field::Bool(yes) => assert_eq!(cell, if *yes { "1.0" } else { "0.0" }, "{name}"),
                    Field::TimestampMicros(at) => {
                        assert_eq!(cell.parse::<jiff::Timestamp>().unwrap().as_microsecond(), *at, "{name}");
                    }
                    other => panic!("{name} is {other:?}"),
                }
            }
        }
        let script = format!(
            "import pickle; t = pickle.load(open('{what}.pickle', 'rb'));\n\
             print(len(t['rows']), all(len(r) == len(t['columns']) for r in t['rows']), *t['columns'][:2], sep=',')"
        );
        let python = Command::new("python3").args(["-c", &script]).current_dir(place.folder()).output().unwrap();
        let said = String::from_utf8(python.stdout).unwrap();
        assert_eq!(said.trim(), format!("{},True,trade_id,at", rows.len() - 1), "{what}");
    }
    let empty = Place::new();
    drop(empty.open());
    for what in KINDS {
        assert_eq!(csv(&empty, &[what]).len(), 1, "{what}");
    }
}

#[test]
fn an_export_of_records_that_fails_leaves_the_old_file_as_it_was() {
    let (place, daemon) = served();
    daemon.stop();
    for (format, file) in [("csv", "old.csv"), ("parquet", "old.parquet"), ("pickle", "old.pickle")] {
        place.file(file, "kept");
        let binary = env!("CARGO_BIN_EXE_vigie");
        let command = format!("export --state state --what events --format {format} --output {file}");
        // not a byte more on this disk
        let shell = format!("trap '' XFSZ; ulimit -f 0; exec {binary} {command}");
        let output = Command::new("sh").args(["-c", &shell]).current_dir(place.folder()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(fs::read(place.folder().join(file)).unwrap(), b"kept");
        let names = fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.into_iter().any(|name| name.to_string_lossy().ends_with(".part")));
    }
}

#[test]
fn a_damaged_record_is_left_out_of_an_export_and_counted() {
    let place = Place::new();
    let past = |id: &str, reason: &str| {
        let mut past: Value = serde_json::from_str(&signal(id, "ES", "long")).unwrap();
        past["outcome_metrics"] = json!({ "exit_at": "2025-11-03T15:20:00Z", "pnl": 1.5, "exit_reason": reason });
        format!("{past}\n")
    };
    let lines: String =
        [("A", "first"), ("B", "wholesome"), ("C", "last")].map(|(id, reason)| past(id, reason)).concat();
    place.file("past.jsonl", &lines);
    succeed(&place, &["import", "--state", "state", "past.jsonl"]);
    let mut journal = fs::read(place.journal()).unwrap();
    let found: Vec<usize> = (0..journal.len() - 9).filter(|at| journal[*at..].starts_with(b"wholesome")).collect();
    assert!(!found.is_empty(), "the outcome stands in the journal as it was told");
    found.iter().for_each(|at| journal[*at] = b'W');
    fs::write(place.journal(), journal).unwrap();
    let arguments = ["export", "--state", "state", "--what", "outcomes"];
    for format in ["csv", "parquet", "pickle"] {
        let file = format!("out.{format}");
        let output = succeed(&place, &[&arguments[..], &["--format", format, "--output", &file]].concat());
        assert!(String::from_utf8_lossy(&output.stderr).contains("1 damaged records were left out"), "{output:?}");
    }
    assert_eq!(column(&csv(&place, &["outcomes"]), "trade_id"), ["A", "C"]);
}
