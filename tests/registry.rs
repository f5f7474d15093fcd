//! What the registry, the decision points and the exports tell, on the example trades and beside a running daemon.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::process::Command;

use common::{
    place::{CONFIG, Place, examples},
    process::{Process, succeed},
};
use serde_json::{Value, json};

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
    place.file("config.toml", CONFIG);
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
    for part in ["data hash", "strengths_tried", "share of each column", "foretold", "deflated Sharpe ratio"] {
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
}
