//! The gateway before a real daemon: it answers as the socket does, tells no trader of another, and lets nobody do more than a
//! trader may.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::thread;

use common::{
    Place,
    gateway::{Gateway, vigie_web},
    get, send, signal,
};
use serde_json::{Value, json};

fn counts(place: &Place) -> Value {
    place.ask(&json!({ "type": "status" }))["status"]["counts"].take()
}

fn metrics(place: &Place, pnl: f64) -> Value {
    let now = place.ask(&json!({ "type": "status" }))["status"]["now"].take();
    json!({ "exit_at": now, "pnl": pnl, "exit_reason": "time" })
}

/// An answer without what may differ between two: its name and its error's words.
fn plain(mut answer: Value) -> Value {
    answer["error"]["message"].take();
    answer
}

#[test]
fn a_signal_an_outcome_and_a_skip_are_answered_as_on_the_socket() {
    let place = Place::new();
    let gateway = Gateway::new(&place.socket());
    let mut wire = place.wire();
    let without = |field: &str| {
        let mut signal = signal("GW-1");
        signal.as_object_mut().unwrap().remove(field);
        signal
    };
    let with = |field: &str, value: Value| {
        let mut signal = signal("GW-1");
        signal[field] = value;
        signal
    };
    for body in [
        with("id", json!(7)),
        with("id", json!("a\u{e9}\"\u{1f600}")),
        without("confidence"),
        with("confidence", json!(0.1 + 0.2)),
        with("confidence", json!(5e-324)),
        with("symbol", json!("ZZ")),
        with("sied", json!("long")),
        with("confidence", json!(2)),
        with("confidence", json!("0.6")),
        with("trade_id", json!("a b")),
        with("trade_id", json!(7)),
        without("trade_id"),
        without("at"),
        with("deadline_us", json!(60_000_000)),
        with("deadline_us", json!(-1)),
        with("outcome_metrics", json!({})),
        with("note", json!("x")),
    ] {
        let (said, expected) = (gateway.ask(0, "/v1/score", &body), wire.ask(&body.to_string()));
        assert_eq!((said.status, plain(said.json())), (200, plain(expected)), "{body}");
    }
    // what came twice and what is no JSON are the daemon's to judge, as it reads them
    let text = without("type").to_string();
    for body in [
        text.replace("\"side\"", "\"side\":\"short\",\"side\""),
        text.replace("0.71", "NaN"),
        text.replace("0.71", "1e999"),
        text.replace(",\"side\"", ",\n\r\n\"side\""),
        text[..text.len() - 1].to_owned(),
    ] {
        let said = gateway.post(0, "/v1/score", body.as_bytes());
        let expected = wire.ask(&body.replace(['\r', '\n'], " ").replacen('{', r#"{"type":"score","#, 1));
        assert_eq!((said.status, plain(said.json())), (200, plain(expected)), "{body}");
    }
    let outcome = json!({ "id": 8, "trade_id": "GW-1", "outcome_metrics": metrics(&place, 5.0) });
    let said = gateway.ask(0, "/v1/outcome", &outcome);
    assert!(said.status == 200 && said.json()["durable"] == true && said.json()["id"] == 8, "{said:?}");
    let said = gateway.ask(0, "/v1/outcome", &outcome);
    assert!(said.status == 200 && said.json()["duplicate"] == true, "{said:?}");
    for (body, status, code) in [
        (json!({ "trade_id": "GW-1", "outcome_metrics": metrics(&place, 6.0) }), 409, "conflict"),
        (json!({ "trade_id": "GW-2", "outcome_metrics": { "pnl": 1 } }), 400, "missing_field"),
        (json!({ "trade_id": "GW-2", "type": "skip", "outcome_metrics": {} }), 400, "unknown_type"),
        (json!({ "trade_id": "GW-2", "id": [1], "outcome_metrics": {} }), 400, "wrong_type"),
    ] {
        let said = gateway.ask(0, "/v1/outcome", &body);
        assert_eq!((said.status, &said.json()["error"]["code"]), (status, &json!(code)), "{body}");
    }
    let skip = json!({ "trade_id": "GW-3", "reason": "spread too wide" });
    let said = gateway.ask(0, "/v1/skip", &skip);
    assert!(said.status == 200 && said.json()["durable"] == true, "{said:?}");
    let said = send(&gateway.host, "GET", "/v1/ping", &[("Authorization", &gateway.bearer(0))], b"");
    assert!(said.status == 200 && said.json()["version"].is_string(), "{said:?}");
    assert_eq!(get(&gateway.host, "/healthz").status, 200);
}

#[test]
fn a_line_that_is_no_json_still_counts_as_a_closed_trade() {
    let place = Place::new();
    let gateway = Gateway::new(&place.socket());
    assert_eq!(gateway.ask(0, "/v1/score", &signal("GW-1")).json()["arm"], "ml");
    let text = json!({ "trade_id": "GW-1", "outcome_metrics": metrics(&place, -50.0) }).to_string();
    let said = gateway.post(0, "/v1/outcome", text.replace("-50.0", "NaN").as_bytes());
    // the model spoke to it and the result is not known: it is taken out of service, as on the socket
    assert!(said.status == 400 && said.json()["error"]["code"] == "invalid_json", "{said:?}");
    assert!(said.json()["error"]["message"].as_str().unwrap().contains("ES/1"), "{said:?}");
    assert_eq!(gateway.ask(0, "/v1/score", &signal("GW-2")).json()["arm"], "baseline");
}

#[test]
fn nobody_orders_reads_or_imports_through_it() {
    let place = Place::new();
    let gateway = Gateway::new(&place.socket());
    let before = counts(&place);
    for name in [
        "lock",
        "kill",
        "resume",
        "promote",
        "rollback",
        "reinstate",
        "reload",
        "train",
        "validate",
        "import",
        "imported",
        "backed_up",
        "models",
        "alerts",
        "signals",
        "subscribe",
        "experiment",
        "drift",
        "training",
        "",
        "../score",
        "SCORE",
        "score/",
        "score%20",
    ] {
        for path in [format!("/v1/{name}"), format!("/{name}"), format!("/v1//{name}")] {
            let order =
                json!({ "type": name, "reason": "a test", "version": "ES/1", "symbol": "ES", "trade_id": "GW-1" });
            let said = gateway.ask(0, &path, &order);
            assert_eq!(said.status, 404, "{path}: {said:?}");
            // who posted a signal to the wrong place trades as he would without a model
            assert!(said.json()["size"] == 1.0 && said.json()["arm"] == "baseline", "{said:?}");
            let said = gateway.ask(0, &path, &signal("GW-1"));
            assert_eq!(said.json()["confidence"], signal("GW-1")["confidence"], "{path}: {said:?}");
        }
        for path in ["/v1/score", "/v1/outcome", "/v1/skip", "/v1/status", "/v1/ping"] {
            let order = json!({ "type": name, "reason": "a test", "version": "ES/1" });
            let said = gateway.ask(0, path, &order);
            assert!(
                said.json()["ok"] == false && said.json()["error"]["code"] == "unknown_type",
                "{path} {name}: {said:?}"
            );
        }
    }
    let status = place.ask(&json!({ "type": "status" }));
    assert!(status["status"]["guardian"]["lock"].is_null(), "{status}");
    assert_eq!(counts(&place), before);
}

#[test]
fn only_who_has_a_token_is_answered_and_a_signal_is_answered_neutrally() {
    let place = Place::new();
    let gateway = Gateway::new(&place.socket());
    let good = gateway.bearer(0);
    let before = counts(&place);
    for (headers, code, status) in [
        (vec![], "unauthorized", 401),
        (vec![("Authorization", "Bearer ".to_owned())], "unauthorized", 401),
        (vec![("Authorization", good.replace("Bearer", "Basic"))], "unauthorized", 401),
        (vec![("Authorization", good[..good.len() - 1].to_owned())], "unauthorized", 401),
        (vec![("Authorization", format!("{good}0"))], "unauthorized", 401),
        (vec![("Authorization", good.clone()), ("Authorization", good.clone())], "unauthorized", 401),
        (vec![("Authorization", good.clone()), ("Origin", format!("http://{}", gateway.host))], "forbidden", 403),
        (vec![("Authorization", good.clone()), ("Sec-Fetch-Site", "same-origin".to_owned())], "forbidden", 403),
        (vec![("Authorization", good.clone()), ("Host", "evil.example".to_owned())], "forbidden", 421),
        (vec![("Authorization", good.clone()), ("Host", "127.0.0.1.evil.example:8178".to_owned())], "forbidden", 421),
        (vec![("Authorization", good.clone()), ("Host", "127.0.0.1:x".to_owned())], "forbidden", 421),
    ] {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
        let said = send(&gateway.host, "POST", "/v1/score", &headers, signal("GW-1").to_string().as_bytes());
        let body = said.json();
        assert_eq!((said.status, &body["error"]["code"]), (200, &json!(code)), "{headers:?}: {said:?}");
        assert!(
            body["arm"] == "baseline" && body["size"] == 1.0 && body["score"] == 0.5 && body["ok"] == false,
            "{said:?}"
        );
        let own = signal("GW-1");
        assert_eq!((&body["confidence"], &body["trade_id"]), (&own["confidence"], &own["trade_id"]), "{said:?}");
        let outcome = json!({ "trade_id": "GW-1", "outcome_metrics": metrics(&place, 1.0) });
        for path in ["/v1/outcome", "/v1/skip", "/v1/status", "/v1/ping"] {
            let said = send(&gateway.host, "POST", path, &headers, outcome.to_string().as_bytes());
            assert_eq!(
                (said.status, &said.json()["error"]["code"]),
                (status, &json!(code)),
                "{path} {headers:?}: {said:?}"
            );
            assert!(!said.head.to_lowercase().contains("access-control"), "{said:?}");
        }
    }
    // as on the socket: what stands before a fault is answered, and what comes twice is not guessed at
    let own = signal("GW-1");
    let text = own.to_string();
    let (begin, half) = (format!("{{\"confidence\":{},", own["confidence"]), text.replacen('{', "", 1));
    let long = format!("{begin}{half}{}", " ".repeat(70_000));
    let broken = [begin.as_bytes(), b"\"extra\":\"\xff\"}"].concat();
    for (body, confidence) in [
        (format!("\u{feff}{text}").into_bytes(), &own["confidence"]),
        (long.into_bytes(), &Value::Null),
        (format!("{text}{}", " ".repeat(70_000)).into_bytes(), &own["confidence"]),
        (broken, &own["confidence"]),
        (b"[1]".to_vec(), &Value::Null),
    ] {
        for token in ["Bearer wrong", &*good] {
            let said = send(&gateway.host, "POST", "/v1/score", &[("Authorization", token)], &body);
            let (ok, found) = (&said.json()["ok"], &said.json()["confidence"]);
            assert!(said.status == 200 && *ok == false && found == confidence, "{token}: {said:?}");
        }
    }
    // a tunnel may have another port
    let headers = [("Authorization", &*good), ("Host", "localhost:9")];
    assert_eq!(send(&gateway.host, "POST", "/v1/ping", &headers, b"").status, 200);
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "HEAD"] {
        let said = send(&gateway.host, method, "/v1/outcome", &headers, b"");
        assert!(said.status == 405 && !said.head.to_lowercase().contains("access-control"), "{method}: {said:?}");
    }
    assert_eq!(counts(&place), before, "something was taken");
}

#[test]
fn a_trader_neither_speaks_nor_hears_of_anothers_trades() {
    let place = Place::new();
    let traders: [&[&str]; 2] =
        [&["one", "--prefix", "one-", "--symbols", "ES"], &["two", "--prefix", "two-", "--symbols", "NQ,YM"]];
    let gateway = Gateway::of(&place.socket(), &traders, &["--deadline-ms", "10000"]);
    let said = gateway.ask(0, "/v1/score", &signal("one-1"));
    assert!(said.json()["ok"] == true && said.json()["arm"] == "ml", "{said:?}");
    let before = counts(&place);
    let outcome = json!({ "trade_id": "one-1", "outcome_metrics": metrics(&place, -1.0) });
    let text = outcome.to_string();
    let foreign = [
        text.clone(),
        text.replace("\"one-1\"", "\"two-1\",\"trade_id\":\"one-1\""),
        text.replace("\"one-1\"", "\"one-1\",\"trade_id\":\"two-1\""),
        text.replace("\"one-1\"", "\"\\u006fne-1\""),
        text.replace("trade_id", "tr\\u0061de_id"),
        // no JSON, so that the daemon looks for what can be read
        text.replace("-1.0", "NaN"),
        text.replace("-1.0", "NaN").replace("trade_id", "tr\\u0061de_id"),
        text.replace("-1.0", "NaN").replace("\"trade_id\"", "\"x\":{\"trade_id\":\"two-1\"},\"tr\\u0061de_id\""),
        text.replace("-1.0", "NaN").replace("\"trade_id\"", "\"trade_id\" \n"),
        text.replace("-1.0", "NaN").replace("\"trade_id\"", "\"x\":\"\\\"trade_id\\\":\\\"two-1\",\"trade_id\""),
        text.replace("-1.0", "NaN").replace("{\"outcome", "{\"trade_id\":\"two-1\",\"outcome"),
        text.replace("-1.0", "NaN").replace("{\"outcome", "{\"type\":\"outcome\",\"outcome"),
        format!("{{}}{text}"),
        format!("{{}}\n{text}"),
    ];
    for body in &foreign {
        let said = gateway.post(1, "/v1/outcome", body.as_bytes());
        assert!([400, 403].contains(&said.status) && !said.body.contains("ES/1"), "{body}: {said:?}");
    }
    for body in [signal("one-1"), signal("two-1"), signal("")] {
        let said = gateway.ask(1, "/v1/score", &body);
        assert!(said.json()["size"] == 1.0 && said.json()["error"]["code"] == "forbidden", "{said:?}");
    }
    let said = gateway.ask(1, "/v1/skip", &json!({ "trade_id": "one-1", "reason": "x" }));
    assert_eq!((said.status, said.json()["error"]["code"].clone()), (403, json!("forbidden")), "{said:?}");
    assert_eq!(counts(&place), before, "something of another trader was taken");
    let speaks = gateway.ask(0, "/v1/score", &signal("one-2")).json();
    assert_eq!(speaks["arm"], "ml", "another trader silenced the model: {speaks}");
    // what each hears of the status
    let status = |number: usize| gateway.post(number, "/v1/status", b"").json()["status"].take();
    assert_eq!(
        status(0)["guardian"],
        json!({ "locked": false, "silenced": [], "versions": [{ "version": "ES/1", "state": "production", "scoring": true }] })
    );
    assert_eq!(status(1)["guardian"], json!({ "locked": false, "silenced": [], "versions": [] }));
    place.ask(&json!({ "type": "lock", "reason": "private words" }));
    let (one, two) = (status(0), status(1));
    assert!(one["guardian"]["locked"] == true && one["guardian"]["silenced"] == json!(["ES"]), "{one}");
    let known = ["trader", "guardian", "version", "now", "started_at", "uptime_s"];
    for status in [&one, &two] {
        let names: Vec<_> = status.as_object().unwrap().keys().collect();
        assert!(names.iter().all(|name| known.contains(&name.as_str())), "{status}");
        assert!(!status.to_string().contains("private"), "{status}");
    }
    assert!(!two.to_string().contains("ES"), "{two}");
}

#[test]
fn many_at_once_each_hear_their_own_answer() {
    let place = Place::new();
    let traders: [&[&str]; 2] = [&["one", "--prefix", "one-"], &["two", "--prefix", "two-"]];
    let gateway = Gateway::of(&place.socket(), &traders, &["--deadline-ms", "10000"]);
    thread::scope(|scope| {
        for thread in 0..8 {
            let gateway = &gateway;
            scope.spawn(move || {
                for number in 0..40 {
                    let id = format!("{}-{thread}-{number}", ["one", "two"][thread % 2]);
                    let mut body = signal(&id);
                    body["id"] = json!(id);
                    let said = gateway.ask(thread % 2, "/v1/score", &body).json();
                    assert!(said["ok"] == true && said["trade_id"] == *id && said["id"] == *id, "{said}");
                }
            });
        }
    });
}

#[test]
fn it_listens_on_loopback_or_behind_a_named_proxy_and_for_somebody() {
    let refused = vigie_web(&["gateway", "--listen", "0.0.0.0:0"]);
    assert!(
        refused.status.code() == Some(2) && String::from_utf8_lossy(&refused.stderr).contains("--behind"),
        "{refused:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("traders");
    let kept = kept.to_str().unwrap();
    let nobody = vigie_web(&["gateway", "--listen", "127.0.0.1:0", "--traders", kept]);
    assert!(
        nobody.status.code() == Some(1) && String::from_utf8_lossy(&nobody.stderr).contains("vigie web trader"),
        "{nobody:?}"
    );
    for name in ["one", "two"] {
        assert!(vigie_web(&["trader", name, "--traders", kept]).status.success());
    }
    let overlap = vigie_web(&["gateway", "--listen", "127.0.0.1:0", "--traders", kept]);
    assert!(
        overlap.status.code() == Some(1) && String::from_utf8_lossy(&overlap.stderr).contains("--prefix"),
        "{overlap:?}"
    );
}
