//! A journal that is another one, clocks that were wrong, and an own state that is lost.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly")]

mod common;

use std::{fs, path::Path, process::Command};

use common::{Answer, Place, Receiver, receiver::Request, until, webhook};

fn codes(receiver: &Receiver) -> Vec<String> {
    receiver.delivered().iter().flat_map(Request::codes).collect()
}

/// What the daemon's alerts say, as often as they came.
fn told(receiver: &Receiver) -> Vec<String> {
    let all = receiver.delivered();
    let alerts = all.iter().flat_map(|request| request.body["alerts"].as_array().unwrap().clone());
    alerts.filter(|alert| !alert["seq"].is_null()).map(|alert| alert["message"].as_str().unwrap().to_owned()).collect()
}

fn until_told(receiver: &Receiver, reason: &str) {
    until(reason, || told(receiver).iter().any(|message| message.ends_with(reason)).then_some(()));
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

#[test]
fn a_restored_journal_tells_what_is_new_and_not_what_was_told() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let mut daemon = place.daemon();
    let _follower = place.follower();
    (0..5).for_each(|number| place.lock(&format!("first {number}")));
    until_told(&receiver, "first 4");
    assert_eq!(daemon.end(), Some(0));
    copy(&place.path("state"), &place.path("backup"));
    daemon = place.daemon();
    (0..12).for_each(|number| place.lock(&format!("lost {number}")));
    until_told(&receiver, "lost 11");
    assert_eq!(daemon.end(), Some(0));
    fs::remove_dir_all(place.path("state")).unwrap();
    fs::rename(place.path("backup"), place.path("state")).unwrap();
    daemon = place.daemon();
    place.lock("restored");
    until_told(&receiver, "restored");
    place.lock("later");
    until_told(&receiver, "later");
    let told = told(&receiver);
    for reason in ["first 0", "first 4", "lost 11", "restored", "later"] {
        let count = told.iter().filter(|message| message.ends_with(reason)).count();
        assert_eq!(count, 1, "{reason}: {told:?}");
    }
    assert_eq!(codes(&receiver).iter().filter(|code| *code == "journal_replaced").count(), 1);
    drop(daemon);
}

#[test]
fn a_clock_that_was_ahead_swallows_no_alert() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let mut daemon = place.daemon();
    let mut follower = place.follower();
    (0..9).for_each(|number| place.lock(&format!("ahead {number}")));
    until_told(&receiver, "ahead 8");
    assert_eq!(follower.end(), Some(0));
    // as if the clock had been years ahead when they were raised
    let path = place.path("vigie-notify-state/spool.jsonl");
    let spool = fs::read_to_string(&path).unwrap();
    let year = spool.split("\"told\":\"").nth(1).unwrap().get(..4).unwrap().to_owned();
    fs::write(&path, spool.replace(&format!("\"told\":\"{year}"), "\"told\":\"2099")).unwrap();
    assert_eq!(daemon.end(), Some(0));
    fs::rename(place.path("state"), place.path("old")).unwrap();
    daemon = place.daemon();
    place.lock("unseen");
    follower = place.begin("");
    until_told(&receiver, "unseen");
    place.lock("live");
    place.conflict();
    until_told(&receiver, "live");
    follower.kill();
    place.lock("meanwhile");
    let _follower = place.follower();
    until_told(&receiver, "meanwhile");
    until("the conflict", || codes(&receiver).contains(&"conflict".to_owned()).then_some(()));
    drop(daemon);
}

#[test]
fn a_spool_that_is_lost_loses_no_alert() {
    let quick = Receiver::start(|_| Answer::Ok);
    // one that has the first alert only
    let stuck = Receiver::start(|n| if n == 0 { Answer::Ok } else { Answer::Status(503) });
    let address = stuck.address;
    let place = Place::new(&[webhook("quick", &quick.url(), ""), webhook("stuck", &stuck.url(), "")].concat());
    let _daemon = place.daemon();
    let mut follower = place.follower();
    let mut sent = 0;
    let mut lock = || {
        sent += 1;
        place.lock(&format!("reason {sent}."));
        until_told(&quick, &format!("reason {sent}."));
    };
    lock();
    until_told(&stuck, "reason 1.");
    (0..3).for_each(|_| lock());
    let spool = place.path("vigie-notify-state/spool.jsonl");
    for round in 0..3 {
        assert_eq!(follower.end(), Some(0));
        match round {
            0 => fs::remove_file(&spool).unwrap(),
            1 => fs::write(&spool, "").unwrap(),
            _ => fs::write(&spool, "garbage\n".repeat(40)).unwrap(),
        }
        place.lock(&format!("without it {round}"));
        follower = place.begin("");
        until_told(&quick, &format!("without it {round}"));
        let count = codes(&quick).iter().filter(|code| *code == "spool_damaged").count();
        assert_eq!(count, round + 1, "{:?}", codes(&quick));
    }
    drop(stuck);
    let late = until("an address", || std::net::TcpListener::bind(address).ok());
    drop(late);
    let stuck = Receiver::at(address, |_| Answer::Ok);
    for reason in ["reason 2.", "reason 3.", "reason 4.", "without it 0", "without it 1", "without it 2"] {
        until_told(&stuck, reason);
    }
    drop(follower);
}

#[test]
fn a_state_folder_that_is_removed_is_made_again_and_stays_held() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let _daemon = place.daemon();
    let mut follower = place.follower();
    place.lock("before");
    until_told(&receiver, "before");
    let state = place.path("vigie-notify-state");
    // at once, so that nothing is written into it while it goes
    fs::rename(&state, place.path("gone")).unwrap();
    place.lock("removed");
    until_told(&receiver, "removed");
    let whole = || fs::read_to_string(state.join("spool.jsonl")).is_ok_and(|spool| spool.contains("removed\""));
    until("the folder", || {
        (whole() && state.join("run.lock").exists() && state.join("receivers/a.json").exists()).then_some(())
    });
    until("that it is told", || codes(&receiver).contains(&"spool_damaged".to_owned()).then_some(()));
    let second = place.notify(&["run"]);
    assert!(
        second.status.code() == Some(1) && String::from_utf8_lossy(&second.stderr).contains("another `vigie"),
        "{second:?}"
    );
    assert!(follower.is_alive() && place.told(&["status"]).contains("running on"));
    // it is a state that a start goes on from
    follower.kill();
    place.lock("meanwhile");
    let _follower = place.follower();
    until_told(&receiver, "meanwhile");
    let told = told(&receiver);
    assert_eq!(told.iter().filter(|message| message.ends_with("before")).count(), 1, "{told:?}");
}

#[test]
fn a_state_folder_that_cannot_be_made_again_is_told_once_and_messages_go_on() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let _daemon = place.daemon();
    let mut follower = place.follower();
    let state = place.path("vigie-notify-state");
    // no folder can be where a file is
    let mut turns = 0..;
    until("a file in its place", || {
        let _made_again_meanwhile = fs::rename(&state, place.path(&format!("gone {}", turns.next()?)));
        fs::write(&state, "").ok()
    });
    for number in 0..5 {
        place.lock(&format!("homeless {number}"));
        until_told(&receiver, &format!("homeless {number}"));
    }
    until("that it is told", || codes(&receiver).contains(&"notify_unwritten".to_owned()).then_some(()));
    fs::remove_file(&state).unwrap();
    until("the folder", || state.join("spool.jsonl").exists().then_some(()));
    until("that it is told", || codes(&receiver).contains(&"spool_damaged".to_owned()).then_some(()));
    let unwritten = codes(&receiver).iter().filter(|code| *code == "notify_unwritten").count();
    assert!(unwritten == 1 && follower.is_alive(), "{:?}", codes(&receiver));
}

#[test]
fn a_damaged_list_of_dead_letters_is_told_once_and_kept() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let broken = Receiver::start(|_| Answer::Status(500));
    let place = Place::new(&[webhook("a", &receiver.url(), ""), webhook("b", &broken.url(), "tries = 1")].concat());
    let _daemon = place.daemon();
    let mut follower = place.follower();
    for number in 0..2 {
        place.lock(&format!("dead {number}"));
    }
    until("two letters", || (place.told(&["dead", "list"]).matches("given up at").count() == 2).then_some(()));
    assert_eq!(follower.end(), Some(0));
    let path = place.path("vigie-notify-state/dead.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"receiver\"", "\"receivr\"", 1)).unwrap();
    let list = place.told(&["dead", "list"]);
    assert!(
        list.contains("vigie-notify-state/dead.jsonl:1: this line cannot be read")
            && list.matches("for b,").count() == 1,
        "{list}"
    );
    for round in 0..2 {
        follower = place.follower();
        until("that it is told", || codes(&receiver).contains(&"spool_damaged".to_owned()).then_some(()));
        let list = place.told(&["dead", "list"]);
        assert!(list.contains("dead.damaged: 1 lines that could not be read are kept here"), "{list}");
        place.lock(&format!("to the end {round}"));
        until_told(&receiver, &format!("to the end {round}"));
        assert_eq!(follower.end(), Some(0));
    }
    assert!(fs::read_to_string(path.with_extension("damaged")).unwrap().contains("receivr"));
    assert_eq!(codes(&receiver).iter().filter(|code| *code == "spool_damaged").count(), 1);
    // names that are not there, and letters that are to be sent already
    let id = list.split(' ').next().unwrap();
    assert!(place.told(&["dead", "retry", id]).starts_with("1 to be sent once more, at"));
    assert!(place.told(&["dead", "retry", id]).starts_with("0 to be sent once more, at"));
    let dropped = place.notify(&["dead", "drop", id, "nonsense"]);
    assert_eq!((dropped.status.code(), &*String::from_utf8_lossy(&dropped.stdout)), (Some(1), "1 removed\n"));
    assert!(String::from_utf8_lossy(&dropped.stderr).contains("the list has no nonsense;"), "{dropped:?}");
}
