//! What the screens ask for beside the stream: one signal explained, one version and its difference to another, the decision points,
//! the evidence session by session, and the journal by level and time; each as the daemon tells it, and nothing else.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::time::SystemTime;

use common::{Place, get, until};
use serde_json::{Value, json};

fn of<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn the_page_is_told_what_the_daemon_tells() {
    let place = Place::new();
    let mut wire = place.wire();
    let score = wire.score(1)["score"].take();
    let seq = until("the signal", || {
        let told = get(&place.host, "/api/signals").json();
        let found = of(&told, "signals").iter().find(|signal| signal["trade_id"] == "WEB-1").cloned();
        assert!(of(&told, "signals").iter().all(|signal| signal.get("moved").is_none()), "{told}");
        found.map(|signal| signal["seq"].as_u64().unwrap())
    });
    let told = get(&place.host, &format!("/api/signals?seq={seq}")).json();
    assert_eq!(told, place.ask(&json!({ "type": "signals", "limit": 200, "seq": seq })));
    let moved = &told["signals"][0]["moved"][0]["explained"];
    assert!(moved["score"] == score && of(moved, "inputs").len() > 5, "{told}");

    let model = get(&place.host, "/api/model?version=ES%2F1").json();
    assert_eq!(model, place.ask(&json!({ "type": "model", "version": "ES/1" })));
    assert!(of(&model["model"]["validation"], "checks").len() > 15 && model.get("differ").is_none(), "{model}");
    let same = get(&place.host, "/api/model?version=ES%2F1&against=ES%2F1").json();
    assert_eq!(of(&same, "differ"), &Vec::<Value>::new());
    let phases = get(&place.host, "/api/phases?symbol=ES&target=signal_quality").json();
    assert_eq!(phases["phases"]["target"], "signal_quality");
    assert_eq!(of(&phases["phases"], "levels").len(), 4);
    let trials = get(&place.host, "/api/experiment?looks=true").json();
    assert_eq!((&trials["trials"][0]["trial"], &trials["trials"][0]["version"]), (&json!("holdback"), &json!("ES/1")));

    let (none, wrong) = (get(&place.host, "/api/model?version=ES%2F9"), get(&place.host, "/api/phases?symbol=ZZ"));
    assert!(none.status == 409 && none.json()["error"]["code"] == "refused", "{none:?}");
    assert!(wrong.status == 409 && wrong.json()["error"]["message"].as_str().unwrap().contains("ZZ"), "{wrong:?}");
    for refused in
        ["signals?seq=x", "signals?limit=7", "model?name=ES", "experiment?looks=maybe", "phases?symbol=ES&x=1"]
    {
        let answer = get(&place.host, &format!("/api/{refused}"));
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!("query")), "{refused}");
    }
    // what is missing the daemon says itself
    let answer = get(&place.host, "/api/phases");
    assert!(
        answer.status == 409 && answer.json()["error"]["message"].as_str().unwrap().contains("symbol"),
        "{answer:?}"
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a lock has the time of the clock")]
fn the_journal_is_filtered_by_level_and_time_and_exported_as_a_sheet() {
    let place = Place::new();
    // what was there before the lock is of an earlier second, however fast the machine
    let second = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let begun = second();
    until("the next second", || (second() > begun).then_some(()));
    place.ask(&json!({ "type": "lock", "reason": "=a formula, \"or so\"" }));
    until("the lock", || (!of(&get(&place.host, "/api/events?kind=locked").json(), "events").is_empty()).then_some(()));
    let all = get(&place.host, "/api/events?limit=1000").json();
    let lock = of(&all, "events").iter().find(|event| event["event"] == "locked").unwrap().clone();
    let second = lock["at"].as_str().unwrap()[..19].to_owned();
    let count = |query: &str| of(&get(&place.host, &format!("/api/events?limit=1000&{query}")).json(), "events").len();
    let total = of(&all, "events").len();
    let (before, since) = (count(&format!("until={second}Z")), count(&format!("since={second}Z")));
    assert!(before > 0 && since > 0 && before + since == total, "{before} and {since} of {total}");
    let by_level = |level: &str| of(&all, "events").iter().filter(|event| event["level"] == level).count();
    for level in ["info", "warning", "critical"] {
        assert_eq!(count(&format!("level={level}")), by_level(level), "{level}");
    }
    let sheet = get(&place.host, &format!("/api/events.csv?kind=locked&since={second}"));
    assert!(sheet.head.contains("vigie-events.csv") && sheet.head.contains("text/csv"), "{sheet:?}");
    let rows: Vec<&str> = sheet.body.split("\r\n").filter(|row| !row.is_empty()).collect();
    assert_eq!((rows.len(), rows[0]), (2, "seq,at,event,level,code,version,text,line"), "{sheet:?}");
    assert!(rows[1].contains("\"'=a formula, \"\"or so\"\"\""), "{}", rows[1]);
    assert_eq!(get(&place.host, "/api/events.csv?since=monday").status, 400);
}

#[test]
fn a_lock_may_be_given_for_a_time() {
    let place = Place::new();
    let order = |body: Value| {
        let headers = place.own_headers();
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        place.order(&body, &headers)
    };
    let done = order(json!({ "order": "lock", "reason": "news", "confirm": "lock", "for_s": 1800 }));
    assert!(done.status == 200 && done.json()["done"].as_str().unwrap().contains("until"), "{done:?}");
    let until = place.ask(&json!({ "type": "status" }))["status"]["guardian"]["lock_until"].take();
    assert!(until.is_string(), "{until}");
    let refused = order(json!({ "order": "kill", "reason": "news", "confirm": "kill", "for_s": 1800 }));
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("order")));
}
