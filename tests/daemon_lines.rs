//! What comes back for lines that are not in order: the contract, to the letter.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::fmt::Write;

use common::{
    daemon::Daemon,
    place::Place,
    wire::{FEATURES, LOCK, RESUME, outcome, score, score_with, skip},
};
use vigie::domain::lifecycle::State;

/// Sends each line and writes what comes back under its title. The connection must survive all of them.
fn answers(lines: &[(&str, Vec<u8>)]) -> String {
    let place = Place::with_model(State::Trained);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(outcome("known", 1.0));
    let mut text = String::new();
    for (title, line) in lines {
        wire.send(line);
        wire.send("\n");
        writeln!(text, "{title}\n  {}", wire.line().expect("an answer")).unwrap();
    }
    assert_eq!(wire.status()["connections"], 1);
    daemon.stop();
    text
}

fn line(title: &str, text: impl Into<String>) -> (&str, Vec<u8>) {
    (title, text.into().into_bytes())
}

#[test]
fn lines_that_are_not_one_json_object() {
    let bad_utf8 = [b"{\"type\":\"score\",\"trade_id\":\"".as_slice(), b"\xff\xfe", b"\"}"].concat();
    let (ping, deep) = (r#"{"type":"ping"}"#, "[".repeat(10_000));
    let lines = [
        line("empty line", ""),
        line("blanks", "  \t "),
        line("no JSON", "nonsense"),
        line("half an object", r#"{"type":"ping""#),
        line("a list", "[]"),
        line("a number", "1"),
        line("two objects", format!("{ping}{ping}")),
        line("an object and a comma", format!("{ping},")),
        ("bad UTF-8", bad_utf8),
        ("a NUL", b"{\"type\":\"ping\0\"}".to_vec()),
        line("deep nesting", deep.clone()),
        line("deep nesting in a field", format!(r#"{{"type":"ping","id":{deep}"#)),
        line("no type", "{}"),
        line("a type that is no word", r#"{"type":1}"#),
        line("an unknown type", r#"{"type":"scroe"}"#),
        line("an unknown type that is long", format!(r#"{{"type":"{}"}}"#, "x".repeat(300))),
        line("the type twice", r#"{"type":"ping","type":"lock"}"#),
        line("an id that is an object", r#"{"type":"ping","id":{}}"#),
        line("an id that is too long", format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(200))),
        line("an unknown field of a ping", r#"{"type":"ping","pong":1}"#),
    ];
    insta::assert_snapshot!(answers(&lines), @"SNAP1");
}

#[test]
fn signals_at_fault_are_answered_with_the_baseline_and_their_own_confidence() {
    let lines = [
        line("NaN", score_with("T-1", "0.71", "NaN")),
        line("1e999", score_with("T-1", "0.71", "1e999")),
        line("a confidence of NaN", score_with("T-1", "0.6,\"f", "NaN,\"f")),
        line("a confidence of 1e999", score_with("T-1", "0.6,\"f", "1e999,\"f")),
        line("a confidence over 1", score_with("T-1", "0.6,\"f", "1.6,\"f")),
        line("a confidence that is text", score_with("T-1", "0.6,\"f", "\"0.6\",\"f")),
        line("an unknown field", score_with("T-1", "\"side\"", "\"sied\"")),
        line("an unknown feature", score_with("T-1", "session_time", "session_tmie")),
        line("a feature out of its range", score_with("T-1", "0.71", "1.71")),
        line("a feature of the wrong type", score_with("T-1", "0.71", "true")),
        line("a missing field", score_with("T-1", "\"side\":\"long\",", "")),
        line("a duplicate key", score_with("T-1", "\"side\"", "\"side\":\"short\",\"side\"")),
        line("a duplicate confidence", score_with("T-1", "\"side\"", "\"confidence\":0.9,\"side\"")),
        line(
            "a duplicate feature",
            score_with("T-1", "{\"vwap_trend_signal\"", "{\"vwap_trend_signal\":1,\"vwap_trend_signal\""),
        ),
        line("neither snapshot nor features", score_with("T-1", &format!(",\"features\":{FEATURES}"), "")),
        line(
            "features and a part of a snapshot",
            score_with("T-1", "\"features\"", "\"market_structure\":{},\"features\""),
        ),
        line("an id with a blank", score("T 1")),
        line("an id that is too long", score(&"T".repeat(65))),
        line("a time without zone", score_with("T-1", "15:00:00Z", "15:00:00")),
        line("a day that does not exist", score_with("T-1", "2025-09-01", "2025-02-30")),
        line("a symbol in small letters", score_with("T-1", "\"ES\"", "\"es\"")),
        line("a side that is none", score_with("T-1", "\"long\"", "\"up\"")),
        line("a deadline below zero", score_with("T-1", "\"side\"", "\"deadline_us\":-1,\"side\"")),
        line(
            "a signal that knows its outcome",
            score_with(
                "T-1",
                "\"side\"",
                r#""outcome_metrics":{"exit_at":"2025-09-01T16:00:00Z","exit_reason":"signal"},"side""#,
            ),
        ),
        line("two signals", score("T-1") + &score("T-2")),
        line("half a signal", &score("T-1")[..150]),
    ];
    insta::assert_snapshot!(answers(&lines), @"SNAP2");
}

#[test]
fn outcomes_and_orders_at_fault() {
    let lines = [
        line("an outcome that contradicts", outcome("known", 2.0)),
        line("an outcome of an unknown trade", outcome("unknown", 1.0)),
        line("the same outcome again", outcome("known", 1.0)),
        line("a skip of a closed trade", skip("known")),
        line(
            "an outcome without its time",
            r#"{"type":"outcome","trade_id":"T-1","outcome_metrics":{"exit_reason":"signal"}}"#,
        ),
        line("an outcome with an unknown field", outcome("T-1", 1.0).replace("\"pnl\"", "\"profit\"")),
        line("an outcome of 1e999", outcome("T-1", 1.0).replace("1.0", "1e999")),
        line("a skip without reason", r#"{"type":"skip","trade_id":"T-1"}"#),
        line("an order without reason", r#"{"type":"lock"}"#),
        line("an order with an unknown field", r#"{"type":"lock","reason":"x","until":"tomorrow"}"#),
        line("a version that is no name", r#"{"type":"rollback","reason":"x","version":"ES"}"#),
        line("a version that does not exist", r#"{"type":"rollback","reason":"x","version":"NQ/1"}"#),
        line("a version that is not in service", r#"{"type":"rollback","reason":"x","version":"ES/1"}"#),
        line("a gate that was not run", r#"{"type":"promote","reason":"x","version":"ES/1"}"#),
        line("a state that is none", r#"{"type":"promote","reason":"x","version":"ES/1","to":"live"}"#),
        line("nothing to resume", RESUME),
        line("the reason twice", r#"{"type":"lock","reason":"x","reason":"y"}"#),
    ];
    insta::assert_snapshot!(answers(&lines), @"SNAP3");
}

#[test]
fn line_ends_of_other_systems_are_taken() {
    let lines = [
        line("CRLF", "{\"type\":\"ping\",\"id\":1}\r"),
        line("blanks around", " {\"type\":\"ping\",\"id\":2} "),
        line("escapes in the type", r#"{"type":"\u0070ing","id":3}"#),
        line("an id as it is written", r#"{"type":"ping","id":1.50}"#),
        line("a number for an id", r#"{"type":"ping","id":-12345678901234567890123}"#),
        line("an order", LOCK),
    ];
    insta::assert_snapshot!(answers(&lines), @"SNAP4");
}
