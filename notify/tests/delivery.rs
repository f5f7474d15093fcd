//! Every alert arrives at least once and in order, whatever its receiver does and whoever is killed.
#![expect(clippy::unwrap_used, reason = "what the tests share may fail loudly")]

mod common;

use std::time::Duration;

use common::{Answer, Place, Receiver, receiver::Conduct, until, webhook};
use serde_json::json;

#[test]
fn whatever_a_receiver_does_every_alert_arrives_in_order() {
    let elsewhere = Receiver::start(|_| Answer::Ok);
    let other = elsewhere.address;
    let faults: Vec<(&str, Box<Conduct>)> = vec![
        ("steady", Box::new(|_| Answer::Ok)),
        ("five-hundred", Box::new(|n| if n % 3 < 2 { Answer::Status(500) } else { Answer::Ok })),
        ("closes-before", Box::new(|n| if n % 3 < 2 { Answer::CloseBefore } else { Answer::Ok })),
        ("closes-after", Box::new(|n| if n % 3 < 2 { Answer::CloseAfter } else { Answer::Ok })),
        ("half-way", Box::new(|n| if n % 3 < 2 { Answer::Half } else { Answer::Ok })),
        ("redirects", Box::new(move |n| if n % 3 < 2 { Answer::Redirect(other) } else { Answer::Ok })),
        ("huge", Box::new(|n| if n % 2 == 0 { Answer::HugeError } else { Answer::HugeOk })),
        ("huge-head", Box::new(|n| if n % 3 < 1 { Answer::HugeHead } else { Answer::Ok })),
        ("nonsense", Box::new(|n| if n % 3 < 2 { Answer::Nonsense } else { Answer::Ok })),
        ("silent", Box::new(|n| if n % 6 == 0 { Answer::Silent } else { Answer::Ok })),
        ("slow", Box::new(|n| if n % 6 == 0 { Answer::Dribble } else { Answer::Ok })),
        (
            "asks",
            Box::new(|n| {
                if n == 1 {
                    Answer::Later(1)
                } else if n == 3 {
                    Answer::LaterInBody(1)
                } else {
                    Answer::Ok
                }
            }),
        ),
    ];
    let receivers: Vec<(&str, Receiver)> =
        faults.into_iter().map(|(name, conduct)| (name, Receiver::start(conduct))).collect();
    // one that is not there yet
    let down = Receiver::start(|_| Answer::Ok);
    let address = down.address;
    drop(down);
    let sections = receivers.iter().map(|(name, receiver)| webhook(name, &receiver.url(), ""));
    let config: String = sections.chain([webhook("down", &format!("http://{address}/hook"), "")]).collect();
    let place = Place::new(&config);
    let mut daemon = place.daemon();
    let mut follower = place.follower();
    for number in 0..8 {
        place.conflict();
        place.lock(&format!("reason {number}"));
    }
    let raised = until("all alerts", || Some(place.raised("warning")).filter(|raised| raised.len() >= 16));
    until("a try of the one that is down", || place.log().contains("down: try 2 of").then_some(()));
    let late = until("an address", || std::net::TcpListener::bind(address).ok());
    drop(late);
    let down = Receiver::at(address, |_| Answer::Ok);
    let all = receivers.iter().map(|(name, receiver)| (*name, receiver)).chain([("down", &down)]);
    for (name, receiver) in all {
        until(&format!("all at {name}: {:?} of {raised:?}", receiver.seqs()), || {
            raised.iter().all(|seq| receiver.seqs().contains(seq)).then_some(())
        });
        let own: Vec<u64> = receiver.seqs().into_iter().filter(|seq| raised.contains(seq)).collect();
        assert_eq!(own, raised, "the order at {name}");
        // the same message has the same name, however often it is sent
        for request in receiver.requests().iter().filter(|request| request.answer != Answer::CloseBefore) {
            assert_eq!(request.header("Vigie-Id"), request.body["id"].as_str());
        }
    }
    assert!(elsewhere.requests().is_empty(), "a redirect was followed");
    let asks = &receivers.last().unwrap().1;
    let requests = asks.requests();
    for number in [1, 3] {
        let pause = requests[number + 1].at - requests[number].at;
        assert!(pause >= Duration::from_secs(1), "it asked for a pause of 1 s and got {pause:?}");
        assert_eq!(requests[number].header("Vigie-Id"), requests[number + 1].header("Vigie-Id"));
    }
    assert!(follower.is_alive() && daemon.is_alive());
    assert_eq!(follower.end(), Some(0));
}

#[test]
fn nothing_is_lost_and_nothing_out_of_order_when_both_are_killed() {
    let receiver = Receiver::start(|n| [Answer::Ok, Answer::Status(503), Answer::CloseAfter, Answer::Ok][n % 4]);
    let other = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&[webhook("a", &receiver.url(), ""), webhook("b", &other.url(), "")].concat());
    let mut daemon = place.daemon();
    let mut follower = place.follower();
    let mut sent = 0;
    for round in 0..12u64 {
        for number in 0..4 {
            if number % 2 == 0 { place.conflict() } else { place.lock(&format!("reason {round} {number}")) }
        }
        // at another moment of what is under way each time
        let least = sent + round as usize % 4;
        sent = until("some deliveries", || Some(receiver.requests().len()).filter(|sent| *sent > least));
        follower.kill();
        if round % 3 == 1 {
            place.conflict();
            daemon.kill();
            daemon = place.daemon();
        }
        follower = if round % 2 == 0 { place.follower() } else { place.begin("") };
        if round % 4 == 3 {
            // the daemon goes under a follower that lives
            daemon.kill();
            daemon = place.daemon();
        }
    }
    let raised = place.raised("warning");
    assert!(raised.len() >= 48, "{}", raised.len());
    for receiver in [&receiver, &other] {
        until("all alerts", || raised.iter().all(|seq| receiver.seqs().contains(seq)).then_some(()));
        let own: Vec<u64> = receiver.seqs().into_iter().filter(|seq| raised.contains(seq)).collect();
        assert_eq!(own, raised);
    }
    // at least once, and not at random: a second copy is one that a kill left in doubt
    let copies = other.delivered().iter().flat_map(common::receiver::Request::seqs).count();
    assert!(copies < raised.len() + 40, "{copies} for {}", raised.len());
    drop((daemon, follower));
}

#[test]
fn repeats_of_a_code_become_one_message_and_critical_ones_come_at_once() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let config = webhook("a", &receiver.url(), "")
        .replace("window = \"0s\"\ncritical_window = \"0s\"", "window = \"3s\"\ncritical_window = \"1h\"");
    let place = Place::new(&config);
    let _daemon = place.daemon();
    let _follower = place.follower();
    (0..5).for_each(|_| place.conflict());
    place.lock("one");
    place.lock("two");
    let kinds = || -> Vec<(String, u64, String)> {
        let delivered = receiver.delivered();
        let of = |body: &serde_json::Value| {
            (
                body["kind"].as_str().unwrap().to_owned(),
                body["count"].as_u64().unwrap(),
                body["alerts"][0]["code"].as_str().unwrap().to_owned(),
            )
        };
        delivered.iter().map(|request| of(&request.body)).collect()
    };
    let expected =
        [("alert", 1, "conflict"), ("alert", 1, "locked"), ("alert", 1, "locked"), ("repeats", 4, "conflict")];
    until("four messages", || (kinds().len() >= 4).then_some(()));
    let expected: Vec<_> =
        expected.iter().map(|(kind, count, code)| ((*kind).to_owned(), *count, (*code).to_owned())).collect();
    assert_eq!(kinds(), expected);
    let words = receiver.delivered()[3].body["text"].as_str().unwrap().to_owned();
    assert!(words.starts_with("WARNING conflict x4 from ") && words.contains("To do: "), "{words}");
}

#[test]
fn quiet_hours_let_critical_alerts_through_and_keep_the_others() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let now = jiff::Timestamp::from_second(
        std::fs::metadata("/proc/self").map(|file| std::os::unix::fs::MetadataExt::mtime(&file)).unwrap(),
    );
    let now = now.unwrap().to_zoned(jiff::tz::TimeZone::UTC);
    let hour = |hours: i8| format!("{:02}:00", (now.hour() + hours).rem_euclid(24));
    let days = "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]";
    let quiet = format!("quiet = [{{ days = {days}, from = \"{}\", to = \"{}\" }}]", hour(-1), hour(3));
    let place = Place::new(&format!("zone = \"UTC\"\n{}", webhook("a", &receiver.url(), &quiet)));
    let _daemon = place.daemon();
    let mut follower = place.follower();
    (0..3).for_each(|_| place.conflict());
    place.lock("in the night");
    until("the critical one", || (!receiver.delivered().is_empty()).then_some(()));
    let status =
        until("three that wait", || Some(place.told(&["status"])).filter(|status| status.contains("a: 3 waiting")));
    assert!(status.contains("running on"), "{status}");
    assert_eq!(receiver.delivered().iter().flat_map(common::receiver::Request::codes).collect::<Vec<_>>(), ["locked"]);
    // what was held back outlives a kill; here the hours end by a new configuration
    follower.kill();
    place.configure(&webhook("a", &receiver.url(), ""));
    let _follower = place.follower();
    until("the others", || (receiver.delivered().len() == 4).then_some(()));
}

#[test]
fn a_silent_daemon_is_told_and_its_return() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&format!(
        "silent_after = \"1s\"\n{}",
        webhook("a", &receiver.url(), "").replace("\"warning\"", "\"info\"")
    ));
    let mut daemon = place.daemon();
    let _follower = place.follower();
    // one that is there and does not answer
    daemon.signal("-STOP");
    let codes = || {
        receiver
            .delivered()
            .iter()
            .flat_map(common::receiver::Request::codes)
            .filter(|code| code.starts_with("daemon_"))
            .collect::<Vec<_>>()
    };
    until("that it is silent", || (codes() == ["daemon_silent"]).then_some(()));
    daemon.signal("-CONT");
    until("that it is back", || (codes() == ["daemon_silent", "daemon_back"]).then_some(()));
    // one that is gone
    daemon.kill();
    until("that it is gone", || (codes().len() == 3).then_some(()));
    place.lock_after_restart(&receiver);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how soon it is told is what is asked")]
fn a_daemon_that_is_frozen_is_told_in_time_also_at_the_start() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&format!("silent_after = \"1s\"\n{}", webhook("a", &receiver.url(), "")));
    let daemon = place.daemon();
    daemon.signal("-STOP");
    let begun = std::time::Instant::now();
    let _follower = place.begin("");
    until("that it is silent", || (!receiver.delivered().is_empty()).then_some(()));
    // one ping of 8 s that is not answered, and not two
    let elapsed = begun.elapsed();
    assert!(elapsed < Duration::from_secs(14), "{elapsed:?}");
    let told = receiver.delivered()[0].body["alerts"][0].clone();
    let words = told["message"].as_str().unwrap();
    assert!(told["code"] == "daemon_silent" && words.ends_with("it is there and says nothing for 8 s"), "{told}");
    let seconds: u64 = words.strip_prefix("for ").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(seconds >= 8 && !place.log().contains("os error"), "{words}: {}", place.log());
    daemon.signal("-CONT");
}

#[test]
fn another_journal_is_noticed_and_its_alerts_are_told() {
    let receiver = Receiver::start(|_| Answer::Ok);
    let place = Place::new(&webhook("a", &receiver.url(), ""));
    let mut daemon = place.daemon();
    let mut follower = place.follower();
    place.lock("before");
    until("the first", || (receiver.delivered().len() == 1).then_some(()));
    follower.kill();
    assert_eq!(daemon.end(), Some(0));
    let backup = place.path("backup");
    std::fs::rename(place.path("state"), &backup).unwrap();
    // a new journal grows past the number that was reached
    daemon = place.daemon();
    (0..12).for_each(|number| place.lock(&format!("after {number}")));
    let raised = place.raised("critical");
    let _follower = place.follower();
    until("its alerts", || {
        let told: Vec<u64> = receiver.delivered().iter().skip(1).flat_map(common::receiver::Request::seqs).collect();
        raised.iter().all(|seq| told.contains(seq)).then_some(())
    });
    let codes: Vec<String> = receiver.delivered().iter().flat_map(common::receiver::Request::codes).collect();
    assert_eq!(codes.iter().filter(|code| *code == "journal_replaced").count(), 1, "{codes:?}");
    drop(daemon);
}

impl Place {
    /// A daemon that comes back is followed on from where it was.
    fn lock_after_restart(&self, receiver: &Receiver) {
        let _daemon = self.daemon();
        self.lock("after the restart");
        let last = *self.raised("critical").last().unwrap();
        until("an alert after the restart", || receiver.seqs().contains(&last).then_some(()));
        assert!(self.ask(&json!({ "type": "ping" }))["ok"] == true);
    }
}
