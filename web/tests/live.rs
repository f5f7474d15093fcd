//! What a page is told: everything, once and in order, however slow it is and whatever becomes of the daemon.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{collections::BTreeSet, io::Read as _};

use common::{Place, get, http::Live, until};
use serde_json::{Value, json};

/// The number of an update within its stream.
fn number(id: &str) -> u64 {
    id.split('-').next_back().unwrap().parse().unwrap()
}

#[test]
fn a_page_is_told_what_happens_once_and_in_order_and_what_it_missed_when_it_comes_back() {
    let place = Place::new();
    let mut live = Live::open(&place.host, None);
    let first = live.next();
    assert!(first.name == "snapshot" && first.data["status"]["guardian"]["lock"].is_null(), "{first:?}");
    let mut wire = place.wire();
    (0..20).for_each(|n| assert_eq!(wire.score(n)["ok"], true));
    place.ask(&json!({ "type": "lock", "reason": "a test" }));
    let (mut trades, mut last) = (Vec::new(), number(&first.id));
    let locked = loop {
        let message = live.next();
        if message.name == "heartbeat" {
            continue;
        }
        assert!(number(&message.id) == last + 1 || message.name == "snapshot", "{message:?} after {last}");
        last = number(&message.id);
        match &*message.name {
            "decision" => trades.push(message.data["trade_id"].as_str().unwrap().to_owned()),
            "event" if message.data["event"] == "locked" => break message,
            _ => {}
        }
    };
    assert_eq!(trades, (0..20).map(|n| format!("WEB-{n}")).collect::<Vec<_>>());
    assert_eq!(locked.data["reason"], "a test");
    drop(live);
    place.ask(&json!({ "type": "resume", "reason": "it is over" }));
    (20..23).for_each(|n| drop(wire.score(n)));
    let mut back = Live::open(&place.host, Some(&locked.id));
    let message = until("the event that was missed", || Some(back.next_of("event")));
    assert!(message.data["event"] == "resumed" || message.data["event"] == "alert", "{message:?}");
    let decided = back.next_of("decision");
    assert_eq!(decided.data["trade_id"], "WEB-20");
}

#[test]
fn an_emergency_is_on_its_way_to_the_page_when_its_outcome_is_acknowledged() {
    let place = Place::new();
    let mut live = Live::open(&place.host, None);
    let mut wire = place.wire();
    for n in 0..4 {
        assert_eq!(wire.score(n)["arm"], "ml");
    }
    // four in a row are one more than is allowed
    let answers: Vec<Value> = (0..4).map(|n| wire.lose(n)).collect();
    assert_eq!(answers[3]["silenced"], json!(["ES/1"]), "{answers:?}");
    let latched = loop {
        let message = live.next_of("event");
        if message.data["event"] == "latched" {
            break message;
        }
    };
    assert_eq!(latched.data["trip"]["breach"]["rule"], "loss_streak");
    let silenced = loop {
        let status = live.next_of("status");
        if status.data["guardian"]["silenced"] == json!(["ES"]) {
            break status;
        }
    };
    assert_eq!(silenced.data["guardian"]["emergencies"].as_array().unwrap().len(), 1);
}

#[test]
fn a_page_that_does_not_read_delays_nobody_and_begins_again_with_a_snapshot() {
    let place = Place::new();
    let mut idle = common::http::connect(&place.host);
    std::io::Write::write_all(&mut idle, format!("GET /live HTTP/1.1\r\nHost: {}\r\n\r\n", place.host).as_bytes())
        .unwrap();
    let mut live = Live::open(&place.host, None);
    live.next();
    let mut wire = place.wire();
    let resyncs = || {
        let text = get(&place.host, "/metrics").body;
        text.lines().find_map(|line| line.strip_prefix("vigie_web_resyncs_total ")).unwrap().parse::<f64>().unwrap()
    };
    // more than fits into what the system keeps for a connection
    let mut seen = BTreeSet::new();
    for round in 0..15 {
        (100 * round..100 * (round + 1)).for_each(|n| drop(wire.score(n)));
        // the other page reads as it goes
        while seen.len() < 100 * (round + 1) {
            let message = live.next();
            if message.name == "decision" {
                let trade = message.data["trade_id"].as_str().unwrap().to_owned();
                assert!(seen.insert(trade), "it came twice: {message:?}");
            }
        }
    }
    assert!(seen.len() == 1500 && resyncs() == 0.0, "the page that reads fell behind: {}", resyncs());
    // now the idle one reads all that waits for it: the beginning, and then a snapshot
    let mut text = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    until("a snapshot for the page that was idle", || {
        let count = idle.read(&mut chunk).unwrap();
        assert!(count > 0, "the idle page was disconnected after {} bytes", text.len());
        text.extend_from_slice(&chunk[..count]);
        (resyncs() > 0.0).then_some(())
    });
    assert!(text.len() < 2 << 20, "{} bytes waited for one page", text.len());
}

#[test]
fn a_daemon_that_goes_and_comes_back_is_told_of_and_nothing_is_missed() {
    let mut place = Place::new();
    let mut live = Live::open(&place.host, None);
    live.next();
    place.stop_daemon();
    let gone = live.next_of("daemon");
    assert!(gone.data["reachable"] == false && gone.data["why"].as_str().unwrap().contains("vigie.sock"), "{gone:?}");
    assert_eq!((get(&place.host, "/readyz").status, get(&place.host, "/healthz").status), (503, 200));
    let metrics = get(&place.host, "/metrics").body;
    assert!(metrics.contains("vigie_up 0.0") && !metrics.contains("vigie_locked"), "{metrics}");
    let models = get(&place.host, "/api/models");
    assert!(models.status == 502 && models.json()["error"]["code"] == "no_daemon", "{models:?}");
    place.start_daemon();
    place.ask(&json!({ "type": "lock", "reason": "after the pause" }));
    let back = live.next_of("daemon");
    assert_eq!(back.data["reachable"], true);
    until("a page that is ready", || (get(&place.host, "/readyz").status == 200).then_some(()));
    until("the lock in the journal", || {
        let events = get(&place.host, "/api/events?limit=1000").json();
        let events = events["events"].as_array().unwrap().clone();
        let numbers: Vec<u64> = events.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        events.iter().any(|event| event["reason"] == "after the pause").then_some(())
    });
    assert!(get(&place.host, "/metrics").body.contains("vigie_locked 1.0"));
}

#[test]
fn more_pages_ask_the_daemon_nothing_more() {
    let place = Place::new();
    let mut wire = place.wire();
    let mut connections = || wire.ask(r#"{"type":"status"}"#)["status"]["connections"].as_u64().unwrap();
    get(&place.host, "/api/models");
    // one that follows, one that looks, one that asks, and that of this test
    until("connections of before that are closed", || (connections() == 4).then_some(()));
    let mut pages: Vec<Live> = (0..10).map(|_| Live::open(&place.host, None)).collect();
    let ids: Vec<String> = pages.iter_mut().map(|page| page.next_of("status").id).collect();
    for _ in 0..10 {
        assert_eq!(get(&place.host, "/api/models").status, 200);
    }
    assert_eq!(connections(), 4);
    // all are told of the same looks, and not each of its own
    assert!(ids.iter().collect::<BTreeSet<_>>().len() <= 3, "{ids:?}");
    assert!(get(&place.host, "/metrics").body.contains("vigie_web_pages 10.0"));
    drop(pages);
    until("pages that are closed", || get(&place.host, "/metrics").body.contains("vigie_web_pages 0.0").then_some(()));
}

#[test]
fn events_are_found_by_kind_and_words_and_exported() {
    let place = Place::new();
    place.ask(&json!({ "type": "lock", "reason": "a Rare word" }));
    let found = until("the lock", || {
        let found = get(&place.host, "/api/events?kind=locked&text=rare+WORD").json();
        (!found["events"].as_array().unwrap().is_empty()).then_some(found)
    });
    assert_eq!(found["events"][0]["reason"], "a Rare word");
    let exported = get(&place.host, "/api/events.jsonl?kind=locked,moved");
    assert!(exported.head.contains("attachment"), "{exported:?}");
    let lines: Vec<Value> = exported.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        lines.len() >= 2 && lines.iter().all(|line| line["event"] == "locked" || line["event"] == "moved"),
        "{lines:?}"
    );
    assert_eq!(get(&place.host, "/api/events?limit=0").status, 400);
}
