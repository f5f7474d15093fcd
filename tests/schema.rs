//! The JSON Schemas in docs/schema: made from what the program's own readers take, current, and held against every example in the
//! documents.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;
#[path = "common/fits.rs"]
mod fits;
#[path = "common/schema.rs"]
mod reading;

use std::fs;

use common::{
    place::Place,
    process::{Process, succeed},
    wire::FEATURES,
};
use fits::{DIALECT, committed, documents, is_current, misfit, root};
use reading::Reader;
use serde_json::{Map, Value, json};
use vigie::{
    config::{BUILTIN, Config},
    domain::{Decision, Probability, Reason, TradeId, lifecycle::State},
    protocol::message::{Ack, Rejected, RejectedScore, WireError, decode, write_answer, write_error, write_rejected},
};

/// A request of each type, with all that it may carry and cannot be found by asking.
fn samples() -> Vec<Value> {
    let features: Value = serde_json::from_str(FEATURES).unwrap();
    let short = json!({ "trade_id": "T-1", "at": "2025-01-06T15:00:00Z", "symbol": "ES", "side": "long", "confidence": 0.5,
        "features": features, "extra": { "x": 0.5 } });
    let mut whole: Value =
        serde_json::from_str(&fs::read_to_string(root().join("examples/signal.json")).unwrap()).unwrap();
    whole["extra"] = json!({ "x": 0.5 });
    let outcome = json!({ "exit_at": "2025-01-06T15:20:00Z", "exit_reason": "signal" });
    let typed = |kind: &str, mut of: Value| {
        of["type"] = json!(kind);
        of["id"] = json!(7);
        of
    };
    let past = |of: &Value| {
        let mut of = of.clone();
        of["outcome_metrics"] = outcome.clone();
        of
    };
    let decision = json!({ "trade_id": "T-1", "arm": "ml", "confidence": 0.5, "score": 0.5, "size": 1.0, "model": "ES/1", "reason": "production" });
    let mut all = vec![
        typed("score", short.clone()),
        typed("score", whole.clone()),
        typed("outcome", json!({ "trade_id": "T-1", "outcome_metrics": outcome, "decision": decision })),
        typed("import", past(&short)),
        typed("import", past(&whole)),
        typed("skip", json!({ "trade_id": "T-1", "reason": "no" })),
        typed("alerts", json!({ "limit": 1, "since": "2025-01-06T15:00:00Z", "level": "warning" })),
        typed("signals", json!({ "limit": 1, "seq": 1 })),
        typed("experiment", json!({ "version": "ES/1", "looks": true })),
        typed("model", json!({ "version": "ES/1", "against": "ES/2" })),
        typed("phases", json!({ "symbol": "ES", "target": "profitability" })),
        typed("subscribe", json!({ "from": 1, "decisions": true })),
        typed("promote", json!({ "version": "ES/1", "reason": "why", "to": "production", "override": true })),
        typed("reinstate", json!({ "version": "ES/1", "reason": "why", "to": "production", "override": true })),
        typed("rollback", json!({ "version": "ES/1", "reason": "why" })),
        typed("train", json!({ "symbol": "ES", "reason": "why", "model": "logistic", "target": "profitability" })),
        typed("validate", json!({ "version": "ES/1", "reason": "why" })),
        typed(
            "backed_up",
            json!({ "at": "2025-01-06T15:00:00Z", "last_seq": 1, "created_at": "2025-01-06T15:00:00Z" }),
        ),
        typed("imported", json!({ "file": "f", "lines": 1, "stored": 1, "rejected": 0 })),
    ];
    all.push(typed("lock", json!({ "reason": "why", "until": "2025-01-06T15:00:00Z", "for_s": 1 })));
    all.push(typed("kill", json!({ "reason": "why" })));
    all.push(typed("resume", json!({ "reason": "why", "same_day": true })));
    all.push(typed("schedule_run", json!({ "job": "review" })));
    all.push(typed("archive", json!({ "before": "2025-01-06" })));
    let bare = ["copy", "ping", "status", "models", "training", "drift", "reload"];
    all.extend(bare.map(|kind| typed(kind, json!({}))));
    all
}

/// What the daemon says of a request.
fn said(request: &Value) -> Option<String> {
    let line = serde_json::to_vec(request).unwrap();
    decode(&line).body.err().map(|rejected| rejected.error.message)
}

fn requests() -> Value {
    let reader = Reader(&said);
    let of_each: Vec<Value> = samples().iter().map(|sample| reader.schema(sample)).collect();
    json!({ "$schema": DIALECT, "title": "A request to vigie, one line", "oneOf": of_each })
}

#[test]
fn the_schema_of_requests_is_what_the_daemon_takes() {
    let schema = requests();
    is_current("request.json", &schema);
    for sample in samples() {
        assert_eq!(misfit(&schema, &sample, ""), None);
    }
    // every type that the documents have
    let text = fs::read_to_string(root().join("docs/protocol.md")).unwrap();
    let table = text.split("| type | who | what |").nth(1).unwrap().split("\n\n").next().unwrap();
    let first = table.lines().filter_map(|line| line.split('|').nth(1));
    let types: Vec<&str> = first.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let of_each = schema["oneOf"].as_array().unwrap();
    let of_type = |kind: &&str| of_each.iter().any(|one| one["properties"]["type"]["const"] == **kind);
    assert_eq!(types.iter().filter(|kind| !of_type(kind)).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(types.len() > 20);
}

#[test]
fn what_the_schema_of_requests_refuses_the_daemon_refuses_and_the_other_way_round() {
    let schema = requests();
    let values = [
        json!(null),
        json!(true),
        json!(-7),
        json!(0),
        json!(0.5),
        json!(1),
        json!(2),
        json!(1001),
        json!("x y"),
        json!("long"),
        json!("ES"),
        json!("ES/1"),
        json!("T-1"),
        json!("2025-01-06T15:00:00Z"),
        json!(""),
        json!(" \t"),
        json!("\u{200b}\u{2060}"),
        json!("x".repeat(65)),
        json!("x".repeat(1_000)),
        json!(9_007_199_254_740_993_u64),
        json!(u64::MAX),
        json!(1e300),
        json!(-1e-9),
        json!(1.000_001),
        json!("ES/0"),
        json!("es"),
        json!("T 1"),
        json!("../x"),
        json!("production"),
        json!(["x"]),
        json!([[1, 2]]),
        json!({ "x": "y" }),
        json!([]),
        json!({}),
    ];
    let mut compared = 0;
    for sample in samples() {
        let mut places = Vec::new();
        leaves(&sample, String::new(), &mut places);
        // that an echo is of the trade itself is no matter of a schema
        let is_echo = |place: &str| sample.get("decision").is_some() && place.ends_with("trade_id");
        for place in places.iter().filter(|place| *place != "/type" && !is_echo(place)) {
            let mut changed: Vec<Value> = values.iter().map(|value| set(&sample, place, value.clone())).collect();
            let (parent, name) = place.rsplit_once('/').unwrap();
            let mut gone = sample.clone();
            if let Some(fields) = gone.pointer_mut(parent).unwrap().as_object_mut() {
                fields.remove(name);
                changed.push(gone);
            }
            for request in changed {
                let (misfit, said) = (misfit(&schema, &request, ""), said(&request));
                // a format says nothing to a validator; two fields that contradict each other are no matter of a schema
                let by_format = misfit.is_none()
                    && (place.ends_with("at")
                        || place.ends_with("since")
                        || place.ends_with("before")
                        || place.ends_with("until"));
                assert!(misfit.is_some() == said.is_some() || by_format, "{place}: {misfit:?}, {said:?}: {request}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

fn set(root: &Value, at: &str, value: Value) -> Value {
    let mut changed = root.clone();
    *changed.pointer_mut(at).unwrap() = value;
    changed
}

fn leaves(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(value, format!("{at}/{name}"), places);
            }
        }
        _ => places.push(at),
    }
}

/// The schema of what is written, from values of the same types: with all that may be there, and with as little as can be.
fn written(values: &[Value]) -> Value {
    let objects: Vec<&Map<String, Value>> = values.iter().filter_map(Value::as_object).collect();
    if objects.len() == values.len() && !values.is_empty() {
        let names: std::collections::BTreeSet<&String> = objects.iter().flat_map(|object| object.keys()).collect();
        let required: Vec<&&String> =
            names.iter().filter(|name| objects.iter().all(|o| o.contains_key(**name))).collect();
        let of =
            |name: &String| written(&objects.iter().filter_map(|object| object.get(name).cloned()).collect::<Vec<_>>());
        let properties: Map<String, Value> = names.iter().map(|name| ((*name).clone(), of(name))).collect();
        return json!({ "type": "object", "properties": properties, "required": required });
    }
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let mut kinds: Vec<&str> = values.iter().map(kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut schema = json!({ "type": if kinds.len() == 1 { json!(kinds[0]) } else { json!(kinds) } });
    let items: Vec<Value> = values.iter().filter_map(Value::as_array).flatten().cloned().collect();
    if !items.is_empty() {
        schema["items"] = written(&items);
    }
    schema
}

fn line(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

/// Answers as the daemon's own code writes them.
fn answers() -> [(&'static str, Value); 3] {
    let id = serde_json::value::RawValue::from_string("7".to_owned()).unwrap();
    let full = Decision {
        trade_id: TradeId::new("T-1").unwrap(),
        arm: vigie::domain::Arm::Ml,
        confidence: Some(Probability::NEUTRAL),
        score: Probability::NEUTRAL,
        size: 0.5,
        model: Some("ES/1".parse().unwrap()),
        reason: Reason::StaleInputs,
    };
    let bare = Decision { confidence: None, model: None, ..full.clone() };
    let error =
        vigie::domain::InvalidLine { code: "out_of_range", message: "why".to_owned(), field: Some("at".to_owned()) };
    let rejected = |field: Option<&str>, trade_id: Option<&str>| Rejected {
        error: vigie::domain::InvalidLine { field: field.map(str::to_owned), ..error.clone() },
        score: Some(RejectedScore { trade_id: trade_id.map(|id| TradeId::new(id).unwrap()), confidence: None }),
        outcome: None,
    };
    let mut decision = written(&[
        line(|out| write_answer(out, Some(&id), &full, &["x".into()])),
        line(|out| write_answer(out, None, &bare, &[])),
        line(|out| write_rejected(out, Some(&id), &rejected(Some("at"), Some("T-1")))),
        line(|out| write_rejected(out, None, &rejected(None, None))),
    ]);
    let words = |all: &[Reason]| all.iter().map(|reason| json!(reason.name())).collect::<Vec<_>>();
    // only clients say that nobody could be reached
    let reasons: Vec<Reason> = Reason::ALL.into_iter().filter(|reason| *reason != Reason::Unreachable).collect();
    decision["properties"]["reason"] = json!({ "enum": words(&reasons) });
    decision["properties"]["arm"] = json!({ "enum": ["baseline", "ml"] });
    for name in ["score", "confidence"] {
        (decision["properties"][name]["minimum"], decision["properties"][name]["maximum"]) = (json!(0), json!(1));
    }
    decision["properties"]["size"]["minimum"] = json!(0);
    let ack = |full: bool| {
        let some = |yes: bool| full.then_some(yes);
        let ack = Ack {
            trade_id: TradeId::new("T-1").unwrap(),
            durable: true,
            matched: some(true),
            duplicate: false,
            completed: full,
            silenced: if full { vec!["ES/1".parse().unwrap()] } else { Vec::new() },
            unknown_symbol: full,
        };
        line(|out| vigie::protocol::message::write_ok(out, full.then_some(&*id), &ack))
    };
    let wrong = |full: bool| {
        let field = full.then(|| "at".to_owned());
        let error = WireError { field, ..WireError::new("conflict", "why") };
        line(|out| write_error(out, full.then_some(&*id), &error))
    };
    let mut others = [written(&[ack(true), ack(false)]), written(&[wrong(true), wrong(false)])];
    for schema in others.iter_mut().chain([&mut decision]) {
        schema["properties"]["id"] = json!({});
        schema["$schema"] = json!(DIALECT);
    }
    let [acknowledgement, error] = others;
    [("decision.json", decision), ("acknowledgement.json", acknowledgement), ("error.json", error)]
}

#[test]
fn the_schemas_of_answers_are_what_the_daemon_writes() {
    for (name, schema) in answers() {
        is_current(name, &schema);
    }
    // and what a real one says fits, with no field that is not in them
    let place = Place::with_model(State::Production);
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    let [score, outcome] = [&samples()[0], &samples()[2]].map(|sample| {
        let mut sample = sample.clone();
        sample.as_object_mut().unwrap().remove("decision");
        sample
    });
    let asked = [
        ("decision.json", score.clone()),
        ("decision.json", set(&score, "/confidence", json!(7))),
        ("acknowledgement.json", outcome.clone()),
        ("acknowledgement.json", outcome.clone()),
        ("error.json", set(&outcome, "/outcome_metrics/exit_reason", json!("other"))),
        ("error.json", json!({ "type": "nothing" })),
    ];
    for (name, request) in asked {
        let mut schema = committed(name);
        schema["additionalProperties"] = json!(false);
        let answer = wire.ask(request.to_string());
        assert_eq!(misfit(&schema, &answer, ""), None, "{name}: {answer}");
    }
    daemon.stop();
}

/// What the built-in file says of a key, by its dotted path: the comment above it.
fn comments() -> Vec<(String, String)> {
    let (mut found, mut above, mut section) = (Vec::new(), Vec::new(), String::new());
    for line in BUILTIN.lines() {
        if let Some(text) = line.strip_prefix('#') {
            above.push(text.trim());
            continue;
        }
        let comment = std::mem::take(&mut above).join(" ");
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
            found.push((section.clone(), comment));
        } else if let Some((key, _)) = line.split_once(" = ") {
            found.push((format!("{section}.{key}"), comment));
        }
    }
    found
}

/// The schema of a value, from its default and from what the comment says is allowed.
fn of_key(default: &Value, allowed: &str) -> Value {
    let whole = default.is_i64();
    let number = |text: &str| -> Option<Value> {
        let text = text.trim();
        if whole { text.parse::<u64>().ok().map(Value::from) } else { text.parse::<f64>().ok().map(Value::from) }
    };
    if default.is_boolean() {
        return json!({ "type": "boolean" });
    }
    if default.is_array() {
        let items = match allowed.split_once("each ").map_or("", |(_, each)| each) {
            each if each.starts_with("a number") => json!({ "type": "number" }),
            each if each.starts_with("a pair") => {
                json!({ "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2 })
            }
            _ => json!({ "type": "string" }),
        };
        let most = allowed.strip_prefix("at most ").and_then(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        let mut schema = json!({ "type": "array", "items": items });
        if let Some(most) = most {
            schema["maxItems"] = json!(most);
        }
        return schema;
    }
    if default.is_string() {
        let words: Vec<&str> = allowed.split('"').skip(1).step_by(2).collect();
        let is_choice = allowed.starts_with('"') && allowed.contains(" or ");
        return if is_choice { json!({ "enum": words }) } else { json!({ "type": "string" }) };
    }
    let kind = if default.is_f64() { "number" } else { "integer" };
    let (low, high) = allowed.split_once(" to ").unwrap_or_else(|| panic!("{allowed}"));
    let bound = |text: &str, open: &str, names: [&'static str; 2]| match text.trim().strip_prefix(open) {
        Some(text) => (names[1], number(text).unwrap_or_else(|| panic!("{allowed}"))),
        None => (names[0], number(text).unwrap_or_else(|| panic!("{allowed}"))),
    };
    let (low, high) =
        (bound(low, "above ", ["minimum", "exclusiveMinimum"]), bound(high, "below ", ["maximum", "exclusiveMaximum"]));
    json!({ "type": kind, low.0: low.1, high.0: high.1 })
}

fn configuration() -> Value {
    let comments = comments();
    let defaults: Value = toml::from_str(BUILTIN).unwrap();
    let mut sections = Map::new();
    for (section, values) in defaults.as_object().unwrap() {
        let values = values.as_object().unwrap();
        let of = |at: &str| {
            let found = comments.iter().find(|(key, _)| key == at);
            found.map(|(_, comment)| comment.clone()).unwrap_or_else(|| panic!("{at} has no comment"))
        };
        let properties = |at: &str, values: &Map<String, Value>| -> Map<String, Value> {
            let each = values.iter().map(|(key, default)| {
                let comment = of(&format!("{at}.{key}"));
                let (meaning, allowed) =
                    comment.split_once("Allowed: ").unwrap_or_else(|| panic!("{at}.{key}: {comment}"));
                let allowed = allowed.split(". Raising it: ").next().unwrap().split(". Effect: ").next().unwrap();
                let mut schema = of_key(default, allowed);
                schema["description"] = json!(format!("{} Allowed: {allowed}.", meaning.trim()));
                if section != "symbols" {
                    schema["default"] = default.clone();
                }
                (key.clone(), schema)
            });
            each.collect()
        };
        let schema = if section == "symbols" {
            let keys = properties("symbols.ES", values["ES"].as_object().unwrap());
            let required: Vec<&String> = keys.keys().collect();
            let one =
                json!({ "type": "object", "properties": keys, "required": required, "additionalProperties": false });
            json!({ "type": "object", "additionalProperties": one })
        } else {
            let keys = properties(section, values);
            json!({ "type": "object", "properties": keys, "additionalProperties": false, "description": of(section) })
        };
        sections.insert(section.clone(), schema);
    }
    json!({ "$schema": DIALECT, "title": "The configuration of vigie", "type": "object", "properties": sections,
        "additionalProperties": false })
}

#[test]
fn the_schema_of_the_configuration_is_what_the_program_reads() {
    let schema = configuration();
    is_current("config.json", &schema);
    let defaults: Value = toml::from_str(BUILTIN).unwrap();
    assert_eq!(misfit(&schema, &defaults, ""), None);
    let mut bounds = 0;
    for (key, value) in Config::builtin().unwrap().entries() {
        let pointer = format!("/properties/{}", key.replace('.', "/properties/"));
        let Some(of) = schema.pointer(&pointer) else {
            assert!(key.starts_with("symbols."), "{key} is not in the schema");
            continue;
        };
        let allowed =
            of["description"].as_str().and_then(|told| told.split_once("Allowed: ")).map_or("", |(_, allowed)| allowed);
        let allowed = allowed.trim_end_matches('.');
        let refuses = |value: &str| Config::parse("x", &format!("{key} = {value}")).is_err();
        // what has another type is refused by both, so a bound that is wrong by itself is seen
        assert!(refuses("{ zz = 1 }") && !refuses(&value), "{key}");
        for (bound, step) in [("minimum", -1), ("exclusiveMinimum", 0), ("maximum", 1), ("exclusiveMaximum", 0)] {
            let Some(limit) = of[bound].as_f64() else { continue };
            let text = |step: i8| match of[bound].as_u64().filter(|_| of["type"] == "integer") {
                Some(limit) => (i128::from(limit) + i128::from(step)).to_string(),
                None => format!("{:?}", limit + f64::from(step)),
            };
            assert!(refuses(&text(step)), "{key} = {} is beyond {bound}", text(step));
            bounds += 1;
            if !bound.starts_with("exclusive") {
                let said = Config::parse("x", &format!("{key} = {}", text(0))).err().map(|errors| errors.to_string());
                // a rule between two keys may refuse it, its own range must not
                assert!(
                    said.as_ref().is_none_or(|said| !said.contains(&format!("must be {allowed}"))),
                    "{key}: {said:?}"
                );
            }
        }
    }
    assert!(bounds > 200, "{bounds}");
}

/// The blocks of a document that begin with ``` and `kind`.
fn blocks(file: &str, kind: &str) -> Vec<String> {
    let (text, mark) = (fs::read_to_string(root().join(file)).unwrap(), format!("\n```{kind}\n"));
    let found = text.split(mark.as_str()).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_owned());
    found.collect()
}

#[test]
fn every_configuration_in_the_documents_fits_the_schema() {
    let schema = committed("config.json");
    let mut seen = 0;
    // notify.toml and the maps of imports are other files
    for file in documents().iter().filter(|file| *file != "docs/notify.md" && *file != "docs/import.md") {
        for block in blocks(file, "toml") {
            let value: Value = toml::from_str(&block).unwrap_or_else(|error| panic!("{file}: {error}\n{block}"));
            assert_eq!(misfit(&schema, &value, ""), None, "{file}:\n{block}");
            assert!(Config::parse(file, &block).is_ok(), "{file}:\n{block}");
            seen += 1;
        }
    }
    assert!(seen > 0, "no example was found");
    let place = Place::new();
    succeed(
        &place,
        &["init", "--symbol", "CL=0.01:10", "--daily-loss-limit", "600", "--trader-user", "7", "--out", "made.toml"],
    );
    let made: Value = toml::from_str(&fs::read_to_string(place.folder().join("made.toml")).unwrap()).unwrap();
    assert_eq!(misfit(&schema, &made, ""), None);
    for (wrong, named) in [
        ("scoring.holdback = 1.5", "/scoring/holdback"),
        ("scoring.holdbak = 0.5", "/scoring/holdbak"),
        ("sizing.rule = \"all\"", "/sizing/rule"),
        ("symbols.CL.tick = 1.0", "tick_value"),
        ("features.extra = \"rsi\"", "/features/extra"),
    ] {
        let value: Value = toml::from_str(wrong).unwrap();
        assert!(misfit(&schema, &value, "").is_some_and(|why| why.contains(named)), "{wrong}");
    }
}

#[test]
fn every_message_in_the_documents_fits_the_schemas() {
    let request = committed("request.json");
    let answers = ["decision.json", "acknowledgement.json", "error.json"].map(committed);
    let (mut asked, mut answered) = (0, 0);
    for file in documents().iter().chain([&"clients/python/README.md".to_owned()]) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        // a request may be broken for reading: its lines behind the first are indented
        let joined = text.replace("\n   ", "");
        let mut lines = joined.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(sent) = line.strip_prefix("> {").map(|rest| format!("{{{rest}")) {
                let refused = lines.peek().is_some_and(|next| next.contains("\"ok\":false"));
                let read: Result<Value, _> = serde_json::from_str(&sent);
                if sent.contains("...") || (read.is_err() && refused) {
                    continue;
                }
                let sent = read.unwrap_or_else(|error| panic!("{file}: {error}: {sent}"));
                // what the daemon refuses for what it knows, such as a conflict, fits all the same
                let by_its_form = refused && said(&sent).is_some();
                assert_eq!(misfit(&request, &sent, "").is_some(), by_its_form, "{file}: {sent}");
                asked += 1;
            }
            let told = line.strip_prefix("< {").map(|rest| format!("{{{rest}"));
            let told = told.or_else(|| line.starts_with("{\"ok\":").then(|| line.to_owned()));
            let Some(told) = told.filter(|told| !told.contains("...")) else { continue };
            let told: Value = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{file}: {error}: {told}"));
            let schema = match (told.get("reason"), told.get("durable"), told.get("error")) {
                (Some(_), None, _) if told.get("arm").is_some() => &answers[0],
                (_, Some(_), None) if told.get("trade_id").is_some() => &answers[1],
                (None, None, Some(_)) => &answers[2],
                _ => continue,
            };
            assert_eq!(misfit(schema, &told, ""), None, "{file}: {told}");
            answered += 1;
        }
    }
    assert!(asked >= 8 && answered >= 8, "{asked} requests, {answered} answers");
}
