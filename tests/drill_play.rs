//! Emergencies played by `vigie drill --play`, and the wall between drills and trading.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use common::{
    place::Place,
    process::{Process, told, vigie},
};
use serde_json::json;
use vigie::{actors::daemon::DRILL_FILE, domain::lifecycle::State};

#[test]
fn each_emergency_is_played_under_load_and_no_model_is_heard_after_its_acknowledgement() {
    let place = Place::new();
    let played = told(&place, &["drill", "--play", "--rounds", "2", "--json"], 0);
    println!("{played}");
    let rows = played["emergencies"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["emergency"].as_str().unwrap()).collect();
    assert_eq!(names, ["accuracy", "loss_streak", "day_loss", "a trade without a pnl", "kill"]);
    for row in rows {
        assert_eq!((&row["played"], &row["ml_answers_after"]), (&json!(2), &json!(0)), "{row}");
        assert!(row["answers_after"].as_u64() >= Some(128), "under load: {row}");
        assert!(row["acknowledged_us"]["p50"].as_u64() > Some(0), "{row}");
    }
}

#[test]
fn a_drill_says_so_everywhere_and_neither_kind_of_daemon_takes_the_folder_of_the_other() {
    let place = Place::new();
    let drill = Process::start(&place, &["--drill"]);
    assert_eq!(drill.connect().status()["drill"], true);
    let log = drill.log();
    assert!(!log.is_empty() && log.lines().all(|line| line.starts_with("DRILL ")), "{log}");
    drill.stop();
    assert!(place.state().join(DRILL_FILE).exists() && place.alerts("drill").len() == 1);
    let refused = |place: &Place, arguments: &[&str], why: &str| {
        let output = vigie(place, &["run", "--state", "state"]).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
    };
    refused(&place, &[], "is the state folder of a drill");
    Process::start(&place, &["--drill"]).stop();
    let trading = Place::with_model(State::Production);
    refused(&trading, &["--drill"], "has a journal that is not of a drill");
    let daemon = Process::start(&trading, &[]);
    assert_eq!(daemon.connect().status()["drill"], json!(null));
    daemon.stop();
}
