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
        line("a list", r#"["ping"]"#),
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
        line("the type twice", r#"{"type":"ping","type":"lock"}"#),
        line("an id that is an object", r#"{"type":"ping","id":{}}"#),
        line("an id that is too long", format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(200))),
        line("an unknown field of a ping", r#"{"type":"ping","pong":1}"#),
    ];
    insta::assert_snapshot!(answers(&lines), @r#"
    empty line
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object: the line is empty","field":null}}
    blanks
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object: the line is empty","field":null}}
    no JSON
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object","field":null}}
    half an object
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object: EOF while parsing an object at byte 14","field":null}}
    a list
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object","field":null}}
    a number
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object","field":null}}
    two objects
      {"ok":false,"error":{"code":"invalid_json","message":"not a single JSON object: characters follow the end of it","field":null}}
    an object and a comma
      {"ok":false,"error":{"code":"invalid_json","message":"not a single JSON object: characters follow the end of it","field":null}}
    bad UTF-8
      {"ok":false,"arm":"baseline","confidence":null,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"invalid_json","message":"not a JSON object: invalid unicode code point at byte 29","field":null}}
    a NUL
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object: control character (\\u0000-\\u001F) found while parsing a string at byte 14","field":null}}
    deep nesting
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object","field":null}}
    deep nesting in a field
      {"ok":false,"error":{"code":"invalid_json","message":"not a JSON object: EOF while parsing a list at byte 10020","field":null}}
    no type
      {"ok":false,"error":{"code":"missing_field","message":"type: a request says its type, such as \"score\"","field":"type"}}
    a type that is no word
      {"ok":false,"error":{"code":"wrong_type","message":"type: invalid type: integer `1`, expected a string","field":"type"}}
    an unknown type
      {"ok":false,"error":{"code":"unknown_type","message":"type: \"scroe\" is not a request; see the list in docs/protocol.md","field":"type"}}
    the type twice
      {"ok":false,"error":{"code":"duplicate_field","message":"type: duplicate field `type`","field":"type"}}
    an id that is an object
      {"ok":false,"error":{"code":"out_of_range","message":"id: a string or a number of at most 128 bytes is echoed","field":"id"}}
    an id that is too long
      {"ok":false,"error":{"code":"out_of_range","message":"id: a string or a number of at most 128 bytes is echoed","field":"id"}}
    an unknown field of a ping
      {"ok":false,"error":{"code":"unknown_field","message":"pong: unknown field `pong`, expected `type` or `id`","field":"pong"}}
    "#);
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
    insta::assert_snapshot!(answers(&lines), @r#"
    NaN
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"invalid_json","message":"not a JSON object: expected value at byte 150","field":null}}
    1e999
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"invalid_json","message":"not a JSON object: number out of range at byte 154","field":null}}
    a confidence of NaN
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":null,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"invalid_json","message":"not a JSON object: expected value at byte 114","field":null}}
    a confidence of 1e999
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":null,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"invalid_json","message":"not a JSON object: number out of range at byte 118","field":null}}
    a confidence over 1
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":null,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"confidence: 1.6 is outside 0 to 1","field":"confidence"}}
    a confidence that is text
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":null,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"wrong_type","message":"confidence: invalid type: string \"0.6\", expected f64","field":"confidence"}}
    an unknown field
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"unknown_field","message":"sied: unknown field `sied`, expected one of `type`, `id`, `deadline_us`, `trade_id`, `at`, `symbol`, `side`, `confidence`, `market_state`, `battle_navale_analysis`, `market_structure`, `execution_context`, `outcome_metrics`, `features`, `extra`","field":"sied"}}
    an unknown feature
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"unknown_field","message":"features.session_tmie: unknown field `session_tmie`, expected one of `vwap_trend_signal`, `sierra_pattern_strength`, `dow_trend_regime`, `gamma_levels_proximity`, `level_proximity`, `es_nq_correlation`, `volume_confirmation`, `options_flow_bias`, `market_volatility`, `session_time`, `bid_ask_spread`, `recent_momentum`","field":"features.session_tmie"}}
    a feature out of its range
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"features.vwap_trend_signal: 1.71 is outside 0 to 1","field":"features.vwap_trend_signal"}}
    a feature of the wrong type
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"wrong_type","message":"features.vwap_trend_signal: invalid type: boolean `true`, expected f64","field":"features.vwap_trend_signal"}}
    a missing field
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"missing_field","message":"side: missing field `side`","field":"side"}}
    a duplicate key
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"duplicate_field","message":"side: duplicate field `side`","field":"side"}}
    a duplicate confidence
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":null,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"duplicate_field","message":"confidence: duplicate field `confidence`","field":"confidence"}}
    a duplicate feature
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"duplicate_field","message":"features.vwap_trend_signal: duplicate field `vwap_trend_signal`","field":"features.vwap_trend_signal"}}
    neither snapshot nor features
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"missing_field","message":"market_state: a snapshot needs all four sections (or give `features`)","field":"market_state"}}
    features and a part of a snapshot
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"missing_field","message":"market_structure.gamma_levels: missing field `gamma_levels`","field":"market_structure.gamma_levels"}}
    an id with a blank
      {"ok":false,"id":"T 1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"trade_id: trade_id \"T 1\" is not valid: 1 to 64 characters of A-Z a-z 0-9 . _ : / -","field":"trade_id"}}
    an id that is too long
      {"ok":false,"id":"TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"trade_id: trade_id \"TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT\" is not valid: 1 to 64 characters of A-Z a-z 0-9 . _ : / -","field":"trade_id"}}
    a time without zone
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"at: failed to find offset component, which is required for parsing a timestamp","field":"at"}}
    a day that does not exist
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"at: parsed date is not valid: parameter 'day' for `2025-02` is invalid, must be in range `1..=28`","field":"at"}}
    a symbol in small letters
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"symbol: symbol \"es\" is not valid: 1 to 16 characters of A-Z 0-9 . _","field":"symbol"}}
    a side that is none
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"side: unknown variant `up`, expected `long` or `short`","field":"side"}}
    a deadline below zero
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"out_of_range","message":"deadline_us: invalid value: integer `-1`, expected u64","field":"deadline_us"}}
    a signal that knows its outcome
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"unexpected_field","message":"outcome_metrics: a signal to be scored cannot know its outcome; send it later as an `outcome`","field":"outcome_metrics"}}
    two signals
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"invalid_json","message":"not a single JSON object: characters follow the end of it","field":null}}
    half a signal
      {"ok":false,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"invalid_request","error":{"code":"invalid_json","message":"not a JSON object: EOF while parsing an object at byte 150","field":null}}
    "#);
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
        line("an outcome with bars below 0", outcome("T-1", 1.0).replace("\"pnl\"", "\"mfe_bars\":-1,\"pnl\"")),
        line("an outcome of 1e999", outcome("T-1", 1.0).replace("1.0", "1e999")),
        line("a skip without reason", r#"{"type":"skip","trade_id":"T-1"}"#),
        line("an order without reason", r#"{"type":"lock"}"#),
        line("an order with an empty reason", r#"{"type":"rollback","version":"ES/1","reason":" \t"}"#),
        line("an order with a field twice", r#"{"type":"rollback","version":"ES/1","version":"ES/2","reason":"x"}"#),
        line("a question with a field twice", r#"{"type":"alerts","limit":1,"limit":2}"#),
        line("an order with an unknown field", r#"{"type":"lock","reason":"x","untill":"tomorrow"}"#),
        line("a version that is no name", r#"{"type":"rollback","reason":"x","version":"ES"}"#),
        line("a version that does not exist", r#"{"type":"rollback","reason":"x","version":"NQ/1"}"#),
        line("a version that is not in service", r#"{"type":"rollback","reason":"x","version":"ES/1"}"#),
        line("a gate that was not run", r#"{"type":"promote","reason":"x","version":"ES/1"}"#),
        line("a state that is none", r#"{"type":"promote","reason":"x","version":"ES/1","to":"live"}"#),
        line("nothing to resume", RESUME),
        line("the reason twice", r#"{"type":"lock","reason":"x","reason":"y"}"#),
    ];
    insta::assert_snapshot!(answers(&lines), @r#"
    an outcome that contradicts
      {"ok":false,"id":"known","error":{"code":"conflict","message":"known: something else is recorded for this trade, and stays; compare with the broker and correct the trader","field":"trade_id"}}
    an outcome of an unknown trade
      {"ok":true,"id":"unknown","trade_id":"unknown","durable":true,"matched":false,"duplicate":false}
    the same outcome again
      {"ok":true,"id":"known","trade_id":"known","durable":true,"duplicate":true}
    a skip of a closed trade
      {"ok":false,"id":"known","error":{"code":"conflict","message":"known: something else is recorded for this trade, and stays; compare with the broker and correct the trader","field":"trade_id"}}
    an outcome without its time
      {"ok":false,"error":{"code":"missing_field","message":"outcome_metrics.exit_at: missing field `exit_at`","field":"outcome_metrics.exit_at"}}
    an outcome with an unknown field
      {"ok":false,"id":"T-1","error":{"code":"unknown_field","message":"outcome_metrics.profit: unknown field `profit`, expected one of `exit_at`, `entry_price`, `exit_price`, `pnl`, `slippage_ticks`, `exit_reason`, `bars_held`, `mfe_ticks`, `mae_ticks`, `mfe_bars`","field":"outcome_metrics.profit"}}
    an outcome with bars below 0
      {"ok":false,"id":"T-1","error":{"code":"out_of_range","message":"outcome_metrics.mfe_bars: -1.0 is below 0","field":"outcome_metrics.mfe_bars"}}
    an outcome of 1e999
      {"ok":false,"id":"T-1","error":{"code":"invalid_json","message":"not a JSON object: number out of range at byte 98","field":null}}
    a skip without reason
      {"ok":false,"error":{"code":"missing_field","message":"reason: missing field `reason`","field":"reason"}}
    an order without reason
      {"ok":false,"error":{"code":"missing_field","message":"missing field `reason`","field":"reason"}}
    an order with an empty reason
      {"ok":false,"error":{"code":"out_of_range","message":"reason: it is empty; say why in your own words, it is kept for ever","field":"reason"}}
    an order with a field twice
      {"ok":false,"error":{"code":"duplicate_field","message":"version: duplicate field `version`","field":"version"}}
    a question with a field twice
      {"ok":false,"error":{"code":"duplicate_field","message":"limit: duplicate field `limit`","field":"limit"}}
    an order with an unknown field
      {"ok":false,"error":{"code":"unknown_field","message":"unknown field `untill`, expected one of `reason`, `until`, `for_s`","field":"untill"}}
    a version that is no name
      {"ok":false,"error":{"code":"wrong_type","message":"version \"ES\" is not valid: a symbol, a slash and a number from 1, such as ES/14","field":null}}
    a version that does not exist
      {"ok":false,"error":{"code":"refused","message":"there is no version NQ/1; `vigie models` lists those that exist","field":null}}
    a version that is not in service
      {"ok":false,"error":{"code":"refused","message":"ES/1 is trained: it is not in service, so there is nothing to roll back","field":null}}
    a gate that was not run
      {"ok":false,"error":{"code":"refused","message":"ES/1 is trained and the gate to validated has not been run; --override passes it, and marks the version for ever","field":null}}
    a state that is none
      {"ok":false,"error":{"code":"wrong_type","message":"unknown variant `live`, expected one of `trained`, `validated`, `staging`, `ab_test`, `production`, `rejected`, `archived`, `rolled_back`","field":null}}
    nothing to resume
      {"ok":false,"error":{"code":"refused","message":"serving is not locked","field":null}}
    the reason twice
      {"ok":false,"error":{"code":"duplicate_field","message":"reason: duplicate field `reason`","field":"reason"}}
    "#);
}

#[test]
fn outcomes_that_cannot_be() {
    let at = |line: String, exit: &str| line.replace("2025-09-01T16:00:00Z", exit);
    let with = |decision: &str| outcome("T-2", 1.0).replacen('{', &format!(r#"{{"decision":{decision},"#), 1);
    let said = r#"{"arm":"ml","confidence":0.5,"score":0.6,"size":1.0,"model":"ES/77","reason":"production"}"#;
    let lines = [
        line("a signal", score("T-1")),
        line("a pnl of 1e308", outcome("T-1", 1e308)),
        line("a loss in millionths", outcome("T-1", -5e8)),
        line("an exit 55 years before its signal", at(outcome("T-1", -500.0), "1970-01-02T00:00:00Z")),
        line("an exit of local time", at(outcome("T-1", -500.0), "2025-09-01T11:00:00Z")),
        line("a clock that was corrected by seconds", at(outcome("T-1", -500.0), "2025-09-01T14:59:30Z")),
        line("another exit of a trade that is recorded", at(outcome("T-1", -500.0), "1970-01-02T00:00:00Z")),
        line("a size below zero", with(&said.replace("1.0", "-1.0"))),
        line("a size that no policy gives", with(&said.replace("1.0", "1e300"))),
        line("a version that never was", with(said)),
    ];
    insta::assert_snapshot!(answers(&lines), @r#"
    a signal
      {"ok":true,"id":"T-1","trade_id":"T-1","arm":"baseline","confidence":0.6,"score":0.5,"size":1.0,"model":null,"reason":"no_model"}
    a pnl of 1e308
      {"ok":false,"id":"T-1","error":{"code":"out_of_range","message":"outcome_metrics.pnl: 1e308 is more than one trade makes or loses, 1000000.0 by guardian.max_trade_pnl; it is not recorded, correct it and send it again","field":"outcome_metrics.pnl"}}
    a loss in millionths
      {"ok":false,"id":"T-1","error":{"code":"out_of_range","message":"outcome_metrics.pnl: -500000000.0 is more than one trade makes or loses, 1000000.0 by guardian.max_trade_pnl; it is not recorded, correct it and send it again","field":"outcome_metrics.pnl"}}
    an exit 55 years before its signal
      {"ok":false,"id":"T-1","error":{"code":"out_of_range","message":"outcome_metrics.exit_at: 1970-01-02T00:00:00Z lies before its signal, of 2025-09-01T15:00:00Z, by more than monitor.clock_tolerance_s; it is not recorded, correct it and send it again","field":"outcome_metrics.exit_at"}}
    an exit of local time
      {"ok":false,"id":"T-1","error":{"code":"out_of_range","message":"outcome_metrics.exit_at: 2025-09-01T11:00:00Z lies before its signal, of 2025-09-01T15:00:00Z, by more than monitor.clock_tolerance_s; it is not recorded, correct it and send it again","field":"outcome_metrics.exit_at"}}
    a clock that was corrected by seconds
      {"ok":true,"id":"T-1","trade_id":"T-1","durable":true,"matched":true,"duplicate":false}
    another exit of a trade that is recorded
      {"ok":false,"id":"T-1","error":{"code":"conflict","message":"T-1: something else is recorded for this trade, and stays; compare with the broker and correct the trader","field":"trade_id"}}
    a size below zero
      {"ok":false,"id":"T-2","error":{"code":"out_of_range","message":"decision.size: -1.0 is outside 0 to 10","field":"decision.size"}}
    a size that no policy gives
      {"ok":false,"id":"T-2","error":{"code":"out_of_range","message":"decision.size: 1e300 is outside 0 to 10","field":"decision.size"}}
    a version that never was
      {"ok":true,"id":"T-2","trade_id":"T-2","durable":true,"matched":false,"duplicate":false}
    "#);
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
    insta::assert_snapshot!(answers(&lines), @r#"
    CRLF
      {"ok":true,"id":1,"version":"0.1.0"}
    blanks around
      {"ok":true,"id":2,"version":"0.1.0"}
    escapes in the type
      {"ok":true,"id":3,"version":"0.1.0"}
    an id as it is written
      {"ok":true,"id":1.50,"version":"0.1.0"}
    a number for an id
      {"ok":true,"id":-12345678901234567890123,"version":"0.1.0"}
    an order
      {"ok":true,"done":"locked to the baseline","durable":true}
    "#);
}

#[test]
fn a_line_over_the_limit_is_answered_once_and_closes_the_connection() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.send_what_fits(score_with("T-1", "\"side\"", &format!("\"{}\":1,\"side\"", "x".repeat(70_000))).as_bytes());
    insta::assert_snapshot!(wire.line().unwrap(), @r#"{"ok":false,"error":{"code":"line_too_long","message":"a line may have 65536 bytes; the connection is closed","field":null}}"#);
    assert_eq!(wire.line(), None);
    daemon.stop();
}
