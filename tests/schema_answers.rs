//! The JSON Schemas of what a daemon answers and tells: made from the types it writes, current, and held against what a real one says over a
//! whole life and against every example in the documents.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;
#[path = "common/fits.rs"]
mod fits;
#[path = "common/types.rs"]
mod types;

use std::{collections::BTreeMap, fs};

use common::{
    daemon::{Daemon, Setup},
    market::{Market, config, settle, trade_a_day},
    place::{CONFIG, Place, examples},
    process::{Process, succeed},
    wait::until,
    wire::{LOCK, RESUME, Wire, score, score_with},
};
use fits::{DIALECT, committed, documents, is_current, misfit, root};
use serde_json::{Value, json};
use types::Types;
use vigie::{actors::daemon::Time, domain::lifecycle::State};

/// What the types do not tell, because the program writes it by hand.
fn said() -> Vec<(&'static str, Value)> {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    vec![
        ("TradeId", text("^[A-Za-z0-9._:/-]{1,64}$")),
        ("Symbol", text("^[A-Z0-9._]{1,16}$")),
        ("VersionId", text("^[A-Z0-9._]{1,16}/[1-9][0-9]*$")),
        ("Probability", json!({ "type": "number", "minimum": 0, "maximum": 1 })),
    ]
}

/// `schema` with one field more in each of its objects.
fn with(mut schema: Value, name: &str, of: &Value, is_always_there: bool) -> Value {
    if let Some(each) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        each.iter_mut().for_each(|one| *one = with(one.take(), name, of, is_always_there));
    } else {
        schema["properties"][name] = of.clone();
        if is_always_there {
            let required = schema["required"].as_array_mut().unwrap();
            required.push(json!(name));
            required.sort_unstable_by_key(ToString::to_string);
        }
    }
    schema
}

fn each_of(schemas: Vec<Value>) -> Value {
    let flat = schemas.into_iter().flat_map(|schema| match schema.get("oneOf") {
        Some(each) => each.as_array().unwrap().clone(),
        None => vec![schema],
    });
    json!({ "oneOf": flat.collect::<Vec<_>>() })
}

/// The schemas by the names of their files.
fn schemas() -> Vec<(&'static str, Value)> {
    let (source, core) = (root().join("src"), root().join("core/src"));
    let mut types = Types::read(&[&source, &core], &said());
    // an array that was written before
    let alerts = types.schema("actors::alerts", "Vec<Alert>");
    types.say("Answer.alerts", alerts);
    let answers = "actors::gateway::answers";
    let all = [
        ("ping.json", answers, vec!["Pong"]),
        ("status.json", answers, vec!["StatusAnswer"]),
        ("training.json", answers, vec!["TrainingAnswer"]),
        ("models.json", answers, vec!["ModelsAnswer"]),
        ("model.json", answers, vec!["ModelAnswer"]),
        ("phases.json", answers, vec!["PhasesAnswer"]),
        ("experiment.json", answers, vec!["ExperimentAnswer"]),
        ("signals.json", answers, vec!["SignalsAnswer"]),
        ("drift.json", answers, vec!["DriftAnswer"]),
        ("alerts.json", "actors::alerts", vec!["Answer"]),
        ("done.json", "actors::guardian::messages", vec!["Done", "Performed"]),
        ("subscription.json", "actors::subscriber", vec!["Begun"]),
        ("copy.json", "actors::gateway::copy", vec!["Head"]),
    ];
    let ok = |schema| with(with(schema, "ok", &json!({ "const": true }), true), "id", &json!({}), false);
    let one = |module: &str, name: &str| types.schema(module, name);
    let mut schemas: Vec<(&str, Value)> = all
        .into_iter()
        .map(|(file, module, names)| match names.as_slice() {
            [name] => (file, ok(one(module, name))),
            // what a note says is what an order of the guardian says, so it stands there once
            names => {
                let of_each = each_of(names.iter().map(|name| ok(one(module, name))).collect());
                let mut each = of_each["oneOf"].as_array().unwrap().clone();
                let (mut seen, mut left) = (Vec::new(), Vec::new());
                for schema in each.drain(..) {
                    let names: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
                    if !seen.contains(&names) {
                        seen.push(names);
                        left.push(schema);
                    }
                }
                (file, json!({ "oneOf": left }))
            }
        })
        .collect();
    let told = ["EventLine", "DecisionLine", "Notice"].map(|name| one("actors::event_stream", name));
    // of a drill, each line says so
    let told = with(each_of(told.to_vec()), "drill", &json!({ "const": true }), false);
    schemas.push(("event.json", told));
    for (file, schema) in &mut schemas {
        schema["$schema"] = json!(DIALECT);
        schema["title"] = json!(match *file {
            "event.json" => "A line to a subscriber".to_owned(),
            "done.json" => "The answer to an order".to_owned(),
            "subscription.json" => "The answer to `subscribe`".to_owned(),
            other => format!("The answer to `{}`", other.trim_end_matches(".json")),
        });
    }
    schemas
}

/// The same schema, by which an object has no other fields; of an object that is not all there none is needed either.
fn strict(mut schema: Value, is_all_there: bool) -> Value {
    match &mut schema {
        Value::Object(words) => {
            if words.contains_key("properties")
                && words.get("type").is_some_and(|kind| kind.to_string().contains("object"))
            {
                words.insert("additionalProperties".to_owned(), json!(false));
                if !is_all_there {
                    words.remove("required");
                }
            }
            words.values_mut().for_each(|inner| *inner = strict(inner.take(), is_all_there));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| *inner = strict(inner.take(), is_all_there)),
        _ => {}
    }
    schema
}

/// The committed schemas, and which of their places were filled by something that is not null.
struct Held {
    schemas: BTreeMap<&'static str, Value>,
    seen: BTreeMap<&'static str, Vec<Value>>,
}

impl Held {
    fn new() -> Self {
        let strict = |(name, _)| (name, strict(committed(name), true));
        Self { schemas: schemas().into_iter().map(strict).collect(), seen: BTreeMap::new() }
    }

    fn fits(&mut self, name: &'static str, told: Value) {
        assert_eq!(misfit(&self.schemas[name], &told, ""), None, "{name}: {told}");
        self.seen.entry(name).or_default().push(told);
    }

    fn ask(&mut self, name: &'static str, wire: &mut Wire, request: &str) {
        let told = wire.ask_ok(request);
        self.fits(name, told);
    }

    /// Each of these places was filled in an answer of the schema.
    fn filled(&self, name: &str, places: &[&str]) {
        for place in places {
            let is_there = |told: &Value| told.pointer(place).is_some_and(|value| !value.is_null());
            assert!(self.seen[name].iter().any(is_there), "{name}: nothing ever stood at {place}");
        }
    }
}

#[test]
fn the_schemas_of_answers_are_those_of_the_types_that_are_written() {
    for (name, schema) in schemas() {
        is_current(name, &schema);
    }
}

#[test]
fn what_a_daemon_says_over_the_life_of_a_version_fits_the_schemas() {
    let place = Place::with_model(State::Staging);
    let setup = Setup { config: config(""), time: Time::Event, ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    let (mut wire, mut held, mut events) = (daemon.connect(), Held::new(), daemon.connect());
    held.ask("subscription.json", &mut events, r#"{"type":"subscribe","id":"a","from":0,"decisions":true}"#);
    held.ask("ping.json", &mut wire, r#"{"type":"ping","id":1}"#);
    let look = |held: &mut Held, wire: &mut Wire| {
        held.ask("status.json", wire, r#"{"type":"status"}"#);
        held.ask("models.json", wire, r#"{"type":"models","id":2}"#);
        held.ask("experiment.json", wire, r#"{"type":"experiment"}"#);
        held.ask("experiment.json", wire, r#"{"type":"experiment","looks":true}"#);
        held.ask("signals.json", wire, r#"{"type":"signals","limit":4}"#);
        held.ask("alerts.json", wire, r#"{"type":"alerts"}"#);
    };
    look(&mut held, &mut wire);
    for day in 0..20 {
        trade_a_day(&mut wire, Market::Foreseen, day);
        look(&mut held, &mut wire);
        if wire.status()["guardian"]["versions"][0]["state"] == "production" {
            break;
        }
    }
    held.ask("experiment.json", &mut wire, r#"{"type":"experiment","version":"ES/1"}"#);
    held.ask("done.json", &mut wire, LOCK);
    held.ask("status.json", &mut wire, r#"{"type":"status"}"#);
    held.ask("done.json", &mut wire, RESUME);
    held.ask("done.json", &mut wire, r#"{"type":"archive","before":"2024-01-01"}"#);
    until("the end of the archiving", || (wire.status()["archiving"]["running"] == false).then_some(()));
    held.ask("status.json", &mut wire, r#"{"type":"status"}"#);
    held.ask("done.json", &mut wire, r#"{"type":"rollback","version":"ES/1","reason":"a test"}"#);
    held.ask("alerts.json", &mut wire, r#"{"type":"alerts","level":"info"}"#);
    let noted = r#"{"type":"imported","file":"f","lines":1,"stored":1,"rejected":0}"#;
    held.ask("done.json", &mut wire, noted);
    held.ask("copy.json", &mut daemon.connect(), r#"{"type":"copy","id":3}"#);
    settle(&mut wire);
    daemon.stop();
    while let Some(line) = events.line() {
        held.fits("event.json", serde_json::from_str(&line).unwrap());
    }
    let told: Vec<&str> = held.seen["event.json"].iter().filter_map(|line| line["event"].as_str()).collect();
    for wanted in ["started", "decision", "moved", "locked", "resumed", "alert", "caught_up", "imported"] {
        assert!(told.contains(&wanted), "{wanted} was never told");
    }
    held.filled(
        "experiment.json",
        &[
            "/trials/0/gate/checks/0",
            "/trials/0/report/ruling/why",
            "/trials/0/report/sample_ratio/p",
            "/trials/0/report/views/0/metrics/0/interval/low",
        ],
    );
    held.filled(
        "status.json",
        &[
            "/status/guardian/lock",
            "/status/archiving/done",
            "/status/scorer/p99_us",
            "/status/guardian/day_pnl",
            "/status/jobs/0/last/found",
        ],
    );
    held.filled(
        "signals.json",
        &["/signals/0/decision/score", "/signals/0/opinions/0/split/arm", "/signals/0/features/vwap_trend_signal"],
    );
}

#[test]
fn what_a_daemon_says_of_drift_and_of_a_training_fits_the_schemas() {
    let mut held = Held::new();
    let place = Place::with_model(State::Production);
    let watched = "guardian.literal = true\nguardian.min_accuracy = 0\nguardian.max_loss_streak = 99\nguardian.daily_loss_limit = 1000000.0\n\
        monitor.window = 24\nhealth.min_trades = 20\nmonitor.budget_resamples = 20\n";
    let setup = Setup { config: format!("{CONFIG}{watched}"), time: Time::Event, ..Setup::default() };
    let daemon = Daemon::start_with(&place, setup);
    let mut wire = daemon.connect();
    for day in [1, 2, 3, 4, 5] {
        for number in 0..8 {
            let (id, at) = (format!("T-{day}-{number}"), format!("2025-09-{day:02}T15:0{number}:00Z"));
            wire.ask_ok(score_with(&id, "2025-09-01T15:00:00Z", &at));
            let metrics =
                json!({ "exit_at": at, "pnl": if number % 2 == 0 { 120.0 } else { -60.0 }, "exit_reason": "signal" });
            wire.ask_ok(json!({ "type": "outcome", "trade_id": id, "outcome_metrics": metrics }).to_string());
        }
    }
    let whole = |told: &Value| told.pointer("/versions/ES~11/health/figures/accuracy/value").is_some();
    until("a monitor that has seen the trades", || {
        held.ask("drift.json", &mut wire, r#"{"type":"drift"}"#);
        held.seen["drift.json"].last().is_some_and(whole).then_some(())
    });
    held.ask("status.json", &mut wire, r#"{"type":"status"}"#);
    held.filled(
        "drift.json",
        &[
            "/versions/ES~11/inputs/columns/session_time/psi",
            "/versions/ES~11/inputs/expected",
            "/versions/ES~11/thresholds",
        ],
    );
    held.filled("status.json", &["/status/monitor/rolling/model ES~11/accuracy", "/status/monitor/day"]);
    daemon.stop();

    let place = Place::new();
    place.file("trades.jsonl", &examples().join("\n"));
    succeed(&place, &["import", "--state", "state", "trades.jsonl"]);
    let process = Process::start(&place, &[]);
    let mut wire = process.connect();
    held.ask("training.json", &mut wire, r#"{"type":"training"}"#);
    held.ask("done.json", &mut wire, r#"{"type":"train","symbol":"ES","keep":true,"reason":"a test"}"#);
    until("the end of the training", || {
        held.ask("status.json", &mut wire, r#"{"type":"status"}"#);
        held.ask("training.json", &mut wire, r#"{"type":"training"}"#);
        let last = held.seen["training.json"].last().unwrap();
        last["training"]["running"].is_null().then_some(())
    });
    held.filled(
        "training.json",
        &[
            "/training/running/stage",
            "/training/running/order/symbol",
            "/training/last/report/evidence/test",
            "/training/last/report/checks/0/limit",
        ],
    );
    held.ask("models.json", &mut wire, r#"{"type":"models"}"#);
    held.filled("models.json", &["/models/0/kind", "/models/0/metrics/test_auc", "/models/0/training_span/0"]);
    let version = held.seen["models.json"].last().unwrap()["models"][0]["version"].clone();
    held.ask("model.json", &mut wire, &json!({ "type": "model", "version": version, "against": version }).to_string());
    held.filled(
        "model.json",
        &["/model/facts/0/1", "/model/importance/0/1", "/model/validation/checks/0/limit", "/differ"],
    );
    held.ask("phases.json", &mut wire, r#"{"type":"phases","symbol":"ES"}"#);
    held.filled("phases.json", &["/phases/levels/0/conditions/0/needed", "/phases/portfolio/needed_days"]);
    held.ask("done.json", &mut wire, r#"{"type":"reload"}"#);
    held.ask("alerts.json", &mut wire, r#"{"type":"alerts"}"#);
    wire.ask_ok(score("T-1"));
    let seq = until("the signal on disk", || {
        held.ask("signals.json", &mut wire, r#"{"type":"signals","limit":1}"#);
        let told = &held.seen["signals.json"].last().unwrap()["signals"][0];
        (told["trade_id"] == "T-1").then(|| told["seq"].as_u64().unwrap())
    });
    held.ask("signals.json", &mut wire, &json!({ "type": "signals", "seq": seq }).to_string());
    held.filled("signals.json", &["/signals/0/moved/0/explained/inputs/0/from"]);
    process.stop();
}

#[test]
fn a_schema_refuses_what_no_daemon_says() {
    let schemas: BTreeMap<&str, Value> = schemas().into_iter().collect();
    let event = |fields: &str| {
        serde_json::from_str::<Value>(&format!(r#"{{"seq":1,"at":"2025-01-06T15:00:00Z",{fields}}}"#)).unwrap()
    };
    let locked = event(r#""event":"locked","reason":"why","by":{"uid":0}"#);
    assert_eq!(misfit(&schemas["event.json"], &locked, ""), None);
    for wrong in [
        r#""event":"locked","reason":"why""#,
        r#""event":"locked","reason":"why","by":"me""#,
        r#""event":"locked","reason":"why","by":{"person":0}"#,
        r#""event":"nothing""#,
        r#""event":"judged","version":"ES1","day":"2025-01-06","composite":null,"degraded":true,"unstable":false,"evidence":{}"#,
        r#""event":"alert","level":"urgent","code":"x","message":"y""#,
    ] {
        assert!(misfit(&schemas["event.json"], &event(wrong), "").is_some(), "{wrong}");
    }
    let done = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(misfit(&schemas["done.json"], &done(r#"{"ok":true,"done":"it has begun","training":1}"#), ""), None);
    for wrong in
        [r#"{"ok":true}"#, r#"{"ok":false,"done":"x","durable":true}"#, r#"{"ok":true,"done":"x","training":-1}"#]
    {
        assert!(misfit(&schemas["done.json"], &done(wrong), "").is_some(), "{wrong}");
    }
}

/// An example as JSON, and whether all of it is there: `...` marks what is left out.
fn example(text: &str) -> (Value, bool) {
    // whoever asks has some uid
    let whole = text.replace("\"...\"", "\"\u{2026}\"").replace("\"uid\":...", "\"uid\":0");
    let of_fields = whole.replace("}...", "}").replace(":{...}", ":...").replace(":[...]", ":...");
    let mut part = of_fields.replace("{...}", "{}").replace("[...]", "[]").replace(",...", "");
    // a field whose value is left out goes with one comma
    while let Some(at) = part.find("\":...") {
        let (begin, end) = (part[..at].rfind('"').unwrap(), at + "\":...".len());
        match (part[..begin].strip_suffix(','), part[end..].strip_prefix(',')) {
            (_, Some(rest)) => part = format!("{}{rest}", &part[..begin]),
            (Some(before), None) => part = format!("{before}{}", &part[end..]),
            (None, None) => part = format!("{}{}", &part[..begin], &part[end..]),
        }
    }
    (serde_json::from_str(&part).unwrap_or_else(|error| panic!("{error}: {text}")), part == whole)
}

/// The schema of an answer, by what stands in it; none of an answer to a signal or an outcome, or of an error.
fn schema_of(told: &Value) -> Option<&'static str> {
    let names = [
        ("error", ""),
        ("trade_id", ""),
        ("event", "event.json"),
        ("done", "done.json"),
        ("status", "status.json"),
        ("models", "models.json"),
        ("model", "model.json"),
        ("phases", "phases.json"),
        ("trials", "experiment.json"),
        ("signals", "signals.json"),
        ("alerts", "alerts.json"),
        ("versions", "drift.json"),
        ("training", "training.json"),
        ("created_at", "copy.json"),
        ("from", "subscription.json"),
        ("version", "ping.json"),
    ];
    let event = told.get("event").map(|_| "event.json");
    let by_field = || names.iter().find(|(name, _)| told.get(name).is_some()).map(|(_, schema)| *schema);
    event.or_else(by_field).filter(|schema| !schema.is_empty())
}

#[test]
fn every_answer_and_event_in_the_documents_fits_the_schemas() {
    let schemas: BTreeMap<&str, Value> = schemas().into_iter().map(|(name, _)| (name, committed(name))).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for file in documents().iter().chain([&"clients/python/README.md".to_owned()]) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for line in text.lines() {
            let told = line.strip_prefix("< {").map(|rest| format!("{{{rest}"));
            let told = told
                .or_else(|| (line.starts_with("{\"ok\":") || line.starts_with("{\"seq\":")).then(|| line.to_owned()));
            let Some(told) = told.filter(|told| !told.contains("\"error\":{...")) else { continue };
            let (told, is_all_there) = example(&told);
            let Some(name) = schema_of(&told) else { continue };
            let schema = strict(schemas[name].clone(), is_all_there);
            assert_eq!(misfit(&schema, &told, ""), None, "{file}: {told}");
            *seen.entry(name).or_default() += 1;
        }
    }
    let missing: Vec<&&str> = schemas.keys().filter(|name| !seen.contains_key(**name)).collect();
    assert!(missing.is_empty(), "docs/protocol.md has no example of {missing:?}");
}
