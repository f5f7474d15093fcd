//! Old records go out of the journal of a daemon that serves.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;
#[path = "common/old_records.rs"]
mod old_records;

use std::fs;

use common::{
    daemon::{Daemon, Setup, Trap},
    place::Place,
    process::Process,
    wait::until,
    wire::{Wire, ml, outcome, score},
};
use old_records::{TRADES, config, writes};
use serde_json::{Value, json};
use vigie::{
    domain::lifecycle::State,
    journal::{Reader, archive_of},
    recall::{
        checkpoint::{digest, forget},
        fold::{Folded, Slot},
    },
};

const ORDER: &str = r#"{"type":"archive","before":"2025-02-28"}"#;

/// A place with a model in service and two months of old records; with the number of the last.
fn place() -> (Place, u64) {
    let place = Place::with_model(State::Production);
    let mut store = place.open();
    let all: Vec<_> = (0..TRADES).flat_map(writes).collect();
    all.chunks(100).for_each(|writes| drop(store.apply(writes).unwrap()));
    let last = store.last_seq().unwrap();
    store.close().unwrap();
    (place, last)
}

/// What the log says up to number `last`, and what it comes to.
fn said(reader: &Reader, last: u64) -> (Vec<String>, [u8; 32]) {
    let all = reader.recorded(0).unwrap().map(Result::unwrap).take_while(|(seq, _)| *seq <= last);
    let all = all.map(|record| format!("{record:?}")).collect();
    let mut folded = Folded::empty(&config()).unwrap();
    folded.go_on(reader, &config(), last).unwrap();
    assert_eq!(folded.doubt, None);
    (all, digest(&folded.state.to_bytes().unwrap()))
}

/// The status once the order is carried out; `meanwhile` goes on until then. The thread stands back behind all others of the machine, so
/// what is waited for is that it comes on.
fn ended(wire: &mut Wire, meanwhile: &mut dyn FnMut()) -> Value {
    let how_far = |status: &Value| (status["archiving"].clone(), status["storage"]["archive"].clone());
    let mut status = wire.status();
    while status["archiving"]["running"] == true {
        status = until("the archiving to come on", || {
            meanwhile();
            let now = wire.status();
            (how_far(&now) != how_far(&status)).then_some(now)
        });
    }
    status
}

/// The order number `number`, once it is carried out.
fn carried_out(wire: &mut Wire, number: u64) -> Value {
    let order = ended(wire, &mut || ())["archiving"].take();
    assert_eq!(order["number"], number);
    order
}

#[test]
fn a_daemon_archives_its_own_journal_while_it_serves_and_says_the_same_after() {
    let (place, last) = place();
    let before = said(&place.reader(), last);
    let daemon = Daemon::start(&place);
    let (mut wire, mut trader) = (daemon.connect(), daemon.connect());
    assert_eq!(wire.ask_ok(ORDER)["archiving"], 1);
    let mut served = 0;
    // what serves goes on meanwhile
    let mut meanwhile = || {
        let id = format!("live-{served}");
        assert_eq!(trader.arm(&id), ml());
        assert_eq!(trader.ask_ok(outcome(&id, 1.0))["durable"], true);
        served += 1;
    };
    meanwhile();
    let order = ended(&mut wire, &mut meanwhile)["archiving"].take();
    assert_eq!(order["failed"], Value::Null);
    let done = order["done"].as_str().unwrap();
    assert!(done.contains("of 2025-01 to 2025-02 are in 2 archived files"), "{done}");
    let archive = wire.status()["storage"]["archive"].take();
    assert_eq!((&archive["files"], &archive["missing"]), (&json!(2), &json!([])), "{archive}");
    assert_eq!((&archive["first_month"], &archive["last_month"]), (&json!("2025-01"), &json!("2025-02")));
    assert!(archive["records"].as_u64() > Some(700) && archive["bytes"].as_u64() > Some(1000), "{archive}");
    // a trade of the archive is known
    let repeated = outcome("A-7", 7.0).replace("2025-09-01T16:00:00Z", "2025-01-02T15:00:00Z");
    assert_eq!(wire.ask_ok(&repeated)["duplicate"], true);
    assert_eq!(wire.ask(repeated.replace("7.0", "8.0"))["error"]["code"], "conflict");
    // what is archived is not archived again
    assert_eq!(wire.ask_ok(ORDER)["archiving"], 2);
    assert!(carried_out(&mut wire, 2)["done"].as_str().unwrap().starts_with("nothing to archive"));
    let job = wire.job("archive");
    assert_eq!((&job["runs"], &job["failures"]), (&json!(2), &json!(0)), "{job}");
    daemon.stop();
    assert_eq!(place.alerts("archived").len(), 2);
    assert_eq!(said(&place.reader(), last), before);
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.status()["guardian"]["lock"], Value::Null);
    assert_eq!(wire.arm("after"), ml());
    daemon.stop();
}

#[test]
fn an_order_to_archive_is_refused_while_one_is_carried_out_and_when_trades_may_still_be_open() {
    let (place, _) = place();
    let trap = Trap::default();
    let daemon = Daemon::start_with(&place, Setup { trap: trap.clone(), ..Setup::default() });
    let mut wire = daemon.connect();
    let refused = wire.ask(r#"{"type":"archive","before":"9999-01-01"}"#)["error"].take();
    assert_eq!((&refused["code"], &refused["field"]), (&json!("out_of_range"), &json!("before")), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("may still be open; the latest day is 20"), "{refused}");
    assert_eq!(wire.ask(r#"{"type":"archive","before":"soon"}"#)["error"]["code"], "wrong_type");
    assert_eq!(wire.ask(r#"{"type":"archive"}"#)["error"]["code"], "missing_field");
    assert_eq!(wire.status()["archiving"], Value::Null);
    trap.hold_at("archivist", "archive");
    wire.ask_ok(ORDER);
    trap.await_held();
    let refused = wire.ask(ORDER)["error"].take();
    assert_eq!(refused["code"], "busy", "{refused}");
    trap.release();
    assert_eq!(carried_out(&mut wire, 1)["failed"], Value::Null);
    daemon.stop();
}

#[test]
fn an_archiving_that_cannot_write_its_file_is_broken_off_and_said_and_goes_on_at_the_next_order() {
    let (place, last) = place();
    let before = said(&place.reader(), last);
    let folder = archive_of(&place.journal());
    fs::write(&folder, "in the way").unwrap();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(ORDER);
    let why = carried_out(&mut wire, 1)["failed"].as_str().unwrap().to_owned();
    assert!(why.contains("archive") && why.contains("nothing more was removed from the journal"), "{why}");
    assert_eq!(wire.job("archive")["failures"], 1);
    assert_eq!(wire.status()["storage"]["archive"], Value::Null);
    assert_eq!(wire.arm("meanwhile"), ml());
    fs::remove_file(&folder).unwrap();
    wire.ask_ok(ORDER);
    assert_eq!(carried_out(&mut wire, 2)["failed"], Value::Null);
    daemon.stop();
    assert_eq!(place.alerts("archive_failed").len(), 1);
    assert_eq!(said(&place.reader(), last), before);
}

#[test]
fn a_daemon_that_is_killed_while_it_archives_loses_nothing_and_the_next_order_goes_on() {
    // at once, while a file is written, as soon as something has gone from the journal, and while the second month goes
    let moments: [&dyn Fn(&Place) -> bool; 4] = [
        &|_| true,
        &|place| archive_of(&place.journal()).exists(),
        &|place| place.reader().archived_to() > 0,
        &|place| place.reader().archived().len() > 1,
    ];
    for (number, is_it) in moments.iter().enumerate() {
        let (place, last) = place();
        let before = said(&place.reader(), last);
        let mut process = Process::start(&place, &[]);
        process.connect().ask_ok(ORDER);
        until("the moment of the kill", || is_it(&place).then_some(()));
        process.kill();
        place.open().close().unwrap();
        assert_eq!(said(&place.reader(), last), before, "{number}");
        let process = Process::start(&place, &[]);
        let mut wire = process.connect();
        assert_eq!(wire.status()["guardian"]["lock"], Value::Null);
        assert_eq!(wire.arm("after"), ml());
        wire.ask_ok(ORDER);
        assert_eq!(carried_out(&mut wire, 1)["failed"], Value::Null);
        assert_eq!(wire.status()["storage"]["archive"]["files"], 2);
        process.stop();
        assert_eq!(said(&place.reader(), last), before, "{number}");
    }
}

#[test]
fn a_daemon_whose_archive_lacks_a_file_says_so_and_is_locked_when_its_start_needs_it() {
    let (place, _) = place();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    wire.ask_ok(ORDER);
    carried_out(&mut wire, 1);
    daemon.stop();
    let file = place.reader().archived().remove(0).name;
    fs::remove_file(archive_of(&place.journal()).join(&file)).unwrap();
    // a start from a checkpoint needs it not
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    assert_eq!(wire.status()["storage"]["archive"]["missing"], json!([file]));
    daemon.stop();
    let mut store = place.open();
    for slot in [Slot::A, Slot::B, Slot::Base] {
        store.apply(&forget(slot)).unwrap();
    }
    store.close().unwrap();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let lock = wire.status()["guardian"]["lock"].take();
    assert!(lock.as_str().unwrap().contains(&file), "{lock}");
    assert_eq!(wire.ask(score("silent"))["arm"], "baseline");
    daemon.stop();
}
