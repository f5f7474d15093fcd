//! What recurs by the clocks of the exchange, in a daemon and by the command line.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, sync::Arc};

use common::{
    daemon::{Daemon, Setup},
    place::{BY_HAND, CONFIG, Place, examples},
    process::{Process, succeed, told, vigie},
    wait::until,
    wire::Wire,
};
use serde_json::Value;
use vigie::{
    actors::daemon::Time,
    clock::{Clock, WallClock},
    domain::{EventKind, SignalLine, Timestamp},
    journal::Write,
};

const LOCK: &str = r#"{"type":"lock","reason":"a test"}"#;
const RESUME: &str = r#"{"type":"resume","reason":"a test"}"#;

/// A folder with these past trades.
fn with_trades(lines: impl IntoIterator<Item = String>) -> Place {
    let place = Place::new();
    let mut store = place.open();
    let write = |line: String| {
        let parsed = SignalLine::parse(line.as_bytes()).unwrap();
        let at = parsed.outcome.as_ref().unwrap().exit_at;
        Write::past_trade(parsed, line.into_bytes(), at)
    };
    store.apply(&lines.into_iter().map(write).collect::<Vec<_>>()).unwrap();
    store.close().unwrap();
    place
}

/// Orders a run and waits for its end. Says what it found.
fn run(wire: &mut Wire, job: &str) -> Value {
    let before = wire.job(job)["runs"].clone();
    let answer = wire.ask(format!(r#"{{"type":"schedule_run","job":"{job}"}}"#));
    assert_eq!((&answer["ok"], &answer["done"]), (&true.into(), &"it has begun".into()), "{answer}");
    until("the end of the run", || {
        let status = wire.job(job);
        (status["runs"] != before).then(|| status["last"].clone())
    })
}

/// The jobs of the runs that are events, and whether they failed.
fn ran(place: &Place) -> Vec<(String, bool)> {
    let of = |kind| match kind {
        EventKind::Ran { job, failed, .. } => Some((job.into(), failed)),
        _ => None,
    };
    place.events().into_iter().filter_map(of).collect()
}

fn found(run: &Value) -> String {
    run["found"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_newly_wrong_is_an_alert_once_and_subscribers_hear_what_a_run_found() {
    let bad = |line: String| line.replacen("\"market_state\":{\"price\":", "\"market_state\":{\"price\":-", 1);
    let place = with_trades(examples().into_iter().take(60).map(bad));
    let daemon = Daemon::start(&place);
    let (mut wire, mut events) = (daemon.connect(), daemon.connect());
    events.ask_ok(r#"{"type":"subscribe"}"#);
    let first = run(&mut wire, "data_quality");
    assert!(found(&first).starts_with("60 signals since the last check: new: "), "{first}");
    assert!(found(&first).contains("market_state.price (above 0): 60 cases"), "{first}");
    assert!(first["why"].as_str().unwrap().starts_with("ordered by uid "), "{first}");
    let second = run(&mut wire, "data_quality");
    assert!(found(&second).starts_with("0 signals since the last check: nothing new is wrong"), "{second}");
    assert_eq!(place.alerts("data_quality").len(), 1);
    let heard = until("what a subscriber hears of the run", || {
        let line: Value = serde_json::from_str(&events.line().unwrap()).unwrap();
        (line["event"] == "ran").then_some(line)
    });
    assert_eq!((&heard["job"], &heard["found"]), (&"data_quality".into(), &first["found"]));
    daemon.stop();
    assert_eq!(ran(&place), [("data_quality".to_owned(), false), ("data_quality".to_owned(), false)]);
}

#[test]
fn a_name_that_is_none_and_an_emergency_are_refused_and_an_operator_orders() {
    let place = Place::new();
    let daemon = Daemon::start(&place);
    let mut wire = daemon.connect();
    let order = |wire: &mut Wire, job: &str| {
        let answer = wire.ask(format!(r#"{{"type":"schedule_run","job":"{job}"}}"#));
        (answer["error"]["code"].clone(), answer["error"]["message"].as_str().unwrap_or_default().to_owned())
    };
    let (code, message) = order(&mut wire, "verify");
    assert_eq!(code, "out_of_range");
    assert_eq!(message, "the schedule has no job \"verify\"; it has data_quality, review, retraining");
    wire.ask_ok(LOCK);
    let (code, message) = order(&mut wire, "review");
    assert_eq!(code, "refused");
    assert!(message.starts_with("nothing of the schedule runs in an emergency: serving is locked: "), "{message}");
    wire.ask_ok(RESUME);
    let review = run(&mut wire, "review");
    assert!(found(&review).starts_with("review 1, "), "{review}");
    daemon.stop();
    assert_eq!(ran(&place), [("review".to_owned(), false)]);
}

#[test]
fn a_review_is_kept_and_read_later_and_the_schedule_is_shown_with_and_without_a_daemon() {
    let place = with_trades(examples().into_iter().take(40));
    let none = vigie(&place, &["report", "--state", "state", "--review"]).output().unwrap();
    assert_eq!(none.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&none.stderr).contains("there is no review yet"), "{none:?}");
    let daemon = Process::start(&place, &[]);
    let socket = place.socket();
    let order = |name: &str| {
        let arguments = ["schedule", "run", name, "--socket", socket.to_str().unwrap()];
        let output = vigie(&place, &arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, told_of, _) = order("review");
    assert_eq!(code, Some(0));
    assert!(told_of.starts_with("review 1, "), "{told_of}");
    assert!(order("review").1.starts_with("review 2, "));
    let (code, _, why) = order("rewiev");
    assert!(code == Some(1) && why.contains("it has data_quality, review, retraining"), "{why}");
    let beside = told(&place, &["schedule", "--state", "state", "--json"], 0);
    daemon.stop();

    let alone = told(&place, &["schedule", "--state", "state", "--json"], 0);
    assert_eq!(alone["jobs"][1]["history"], beside["jobs"][1]["history"]);
    let names: Vec<&str> = alone["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["data_quality", "review", "retraining"]);
    let review = &alone["jobs"][1];
    assert_eq!(review["history"].as_array().unwrap().len(), 2);
    assert!(found(&review["history"][0]).starts_with("review 2, ") && review["next"].is_string(), "{review}");
    let shown = succeed(&place, &["schedule", "--state", "state", "--runs", "1"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("retraining: each fourth Sunday at 04:00 America/Chicago\n"), "{shown}");
    assert!(
        shown.contains(": review 2, ") && !shown.contains(": review 1, ") && shown.contains("  ran     never"),
        "{shown}"
    );

    let read = |arguments: &[&str]| succeed(&place, &[&["report", "--state", "state"], arguments].concat()).stdout;
    let (first, latest) = (read(&["--review", "1"]), read(&["--review"]));
    assert!(!first.is_empty() && latest == read(&["--review", "2"]));
    let figures: Value = serde_json::from_slice(&read(&["--review", "1", "--json"])).unwrap();
    assert!(figures["scope"]["since"].is_string() && figures["answers"].is_object(), "{figures}");
    read(&["--review", "1", "--html", "review.html"]);
    assert!(fs::read_to_string(place.folder().join("review.html")).unwrap().contains("<html"));
    let unknown = vigie(&place, &["report", "--state", "state", "--review", "7"]).output().unwrap();
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no review 7; the latest is 2"));
}

#[test]
fn a_retraining_that_is_due_is_trained_and_one_that_is_not_says_why() {
    let place = with_trades(examples());
    let daemon = Daemon::start_with(&place, Setup { config: format!("{CONFIG}{BY_HAND}"), ..Setup::default() });
    let mut wire = daemon.connect();
    let first = found(&run(&mut wire, "retraining"));
    let trades = examples().len();
    let due = format!(
        "ES due: no version was trained yet, and {trades} closed trades suffice (at least 500); ES/1 was trained: "
    );
    assert!(first.starts_with(&due), "{first}");
    let second = found(&run(&mut wire, "retraining"));
    assert!(second.starts_with("ES not due: 0 closed trades have come since ES/1 was trained"), "{second}");
    daemon.stop();
    let trained = place.events().iter().filter(|kind| matches!(kind, EventKind::Trained { .. })).count();
    assert_eq!(trained, 1);
}

/// A clock that said this when the test began.
struct From(Timestamp, Timestamp);

impl Clock for From {
    fn now(&self) -> Timestamp {
        self.1 + WallClock.now().duration_since(self.0)
    }
}

#[test]
fn a_run_begins_by_itself_at_its_time_and_what_a_week_off_missed_is_caught_up_for_once() {
    let place = Place::new();
    let life = |now: &str, end: &dyn Fn(&mut Wire)| {
        let clock = From(WallClock.now(), now.parse().unwrap());
        let setup = Setup { time: Time::Given(Arc::new(clock)), config: CONFIG.to_owned(), ..Setup::default() };
        let daemon = Daemon::start_with(&place, setup);
        end(&mut daemon.connect());
        daemon.stop();
    };
    let ran_once = |wire: &mut Wire, job: &str| {
        until("the run", || wire.job(job)["last"].is_object().then_some(()));
        let last = wire.job(job)["last"].clone();
        (last["why"].as_str().unwrap().to_owned(), wire.job(job)["runs"].as_u64())
    };
    // Tuesday, two seconds before 02:00 in Chicago
    life("2025-07-08T06:59:58Z", &|wire| {
        let (why, runs) = ran_once(wire, "data_quality");
        assert_eq!((why.as_str(), runs), ("it was due at 2025-07-08T07:00:00Z", Some(1)));
        assert_eq!(wire.job("review")["last"], Value::Null);
    });
    // an evening nine days later
    life("2025-07-17T23:00:00Z", &|wire| {
        for (job, due) in [("review", "2025-07-13T08:00:00Z"), ("retraining", "2025-07-13T09:00:00Z")] {
            let (why, runs) = ran_once(wire, job);
            assert_eq!((why, runs), (format!("it was due at {due}, when the daemon was down"), Some(1)));
        }
        until("the check", || (wire.job("data_quality")["runs"] == 1).then_some(()));
    });
    let names: Vec<String> = ran(&place).into_iter().map(|(job, _)| job).collect();
    assert_eq!(names, ["data_quality", "review", "retraining", "data_quality"]);
    // in the session nothing begins by itself
    life("2025-07-18T15:00:00Z", &|wire| {
        let beats = |wire: &mut Wire| wire.job("kill_file")["runs"].as_u64().unwrap();
        let then = beats(wire);
        until("some beats", || (beats(wire) > then + 3).then_some(()));
        assert!(wire.job("data_quality")["waits_since"].is_string());
        assert_eq!(wire.job("data_quality")["runs"], 0);
    });
}
