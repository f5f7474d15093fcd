//! The daemon is killed at random moments of a replay; what it acknowledged must be there.
//!
//! `VIGIE_LONG=1` kills 200 times instead of 20. On two shared cores, unoptimised, that took 180 s and 7 s.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use common::{
    long::cases,
    place::{CONFIG, Place, examples},
    process::Process,
    wait::until,
    wire::{LOCK, Wire, baseline},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use vigie::{clock::Stopwatch, domain::lifecycle::State, journal::Reader};

const PATIENT: &str = "[guardian]\nliteral = true\nmin_accuracy = 0\nmax_loss_streak = 99\ndaily_loss_factor = 100\n[health]\nlarge_fall = 0.5\n";

/// What a trader was told, over all lives of the daemon.
#[derive(Default)]
struct Acknowledged {
    /// Outcomes that were acknowledged as durable, with their pnl.
    outcomes: BTreeMap<String, Option<f64>>,
    /// Outcomes that were sent.
    submitted: BTreeSet<String>,
    locked: bool,
}

/// The requests of the example signals: each signal, and some trades later its outcome.
fn requests() -> Vec<String> {
    let mut requests = Vec::new();
    for line in examples() {
        let mut signal: Value = serde_json::from_str(&line).unwrap();
        let fields = signal.as_object_mut().unwrap();
        let outcome = fields.remove("outcome_metrics").unwrap();
        let id = fields["trade_id"].clone();
        fields.insert("type".to_owned(), "score".into());
        requests.push(signal.to_string());
        requests.push(json!({ "type": "outcome", "trade_id": id, "outcome_metrics": outcome }).to_string());
    }
    requests
}

impl Acknowledged {
    /// Sends requests in small bursts until the daemon is gone; says how many were answered.
    fn play(&mut self, mut wire: Wire, requests: &[String]) -> usize {
        let mut answered = 0;
        for burst in requests.chunks(16) {
            for request in burst {
                let request: Value = serde_json::from_str(request).unwrap();
                if request["type"] == "outcome" {
                    self.submitted.insert(request["trade_id"].as_str().unwrap().to_owned());
                }
            }
            let text = burst.iter().map(|line| format!("{line}\n")).collect::<String>();
            wire.send_what_fits(text.as_bytes());
            for request in burst {
                let Some(line) = wire.line() else { return answered };
                // a line that was cut is no answer
                let Ok(answer) = serde_json::from_str::<Value>(&line) else { return answered };
                answered += 1;
                self.take(request, &answer);
            }
        }
        answered
    }

    fn take(&mut self, request: &str, answer: &Value) {
        let request: Value = serde_json::from_str(request).unwrap();
        assert_eq!(answer["trade_id"], request["trade_id"], "in order: {answer}");
        if self.locked {
            assert_ne!(answer["arm"], "ml", "after a lock: {answer}");
        }
        if answer["durable"] == true {
            let id = request["trade_id"].as_str().unwrap().to_owned();
            self.outcomes.insert(id, request["outcome_metrics"]["pnl"].as_f64());
        }
    }

    /// Acknowledged is a subset of stored, stored of submitted.
    fn check(&self, reader: &Reader, context: &str) {
        let stored: BTreeMap<String, Option<f64>> = reader
            .outcomes()
            .unwrap()
            .map(|outcome| outcome.unwrap().record)
            .map(|record| (record.trade_id.to_string(), record.outcome.pnl.map(|pnl| pnl.get())))
            .collect();
        for (id, pnl) in &self.outcomes {
            assert_eq!(stored.get(id), Some(pnl), "{context}: {id} was acknowledged");
        }
        let invented: Vec<_> = stored.keys().filter(|id| !self.submitted.contains(*id)).collect();
        assert!(invented.is_empty(), "{context}: {invented:?} were never sent");
        let damaged = reader.signals().unwrap().filter(|signal| signal.is_err()).count();
        assert_eq!(damaged, 0, "{context}: every signal can be read");
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged_and_no_lock() {
    let kills = cases(20, 200);
    let seed = 11;
    let mut rng = Pcg64::seed_from_u64(seed);
    let watch = Stopwatch::start();
    let place = Place::with_model(State::Production);
    // the trades of these years have days, streaks and stretches that are emergencies, which are other tests' subject
    place.file("config.toml", &format!("{CONFIG}{PATIENT}"));
    let (requests, mut told, mut next) = (requests(), Acknowledged::default(), 0);
    // from each place on there are as many as at first: a quick daemon is not done with them before it is killed
    let twice = [&*requests, &*requests].concat();
    let mut killed_at_work = 0;
    for kill in 0..kills {
        let context = format!("seed {seed}, kill {kill}");
        let mut daemon = Process::start(&place, &[]);
        let mut wire = daemon.connect();
        let guardian = wire.status()["guardian"].take();
        assert_eq!(guardian["lock"].is_string(), told.locked, "{context}: {guardian}");
        if kill == kills / 2 {
            assert_eq!(wire.ask_ok(LOCK)["durable"], true);
            told.locked = true;
        }
        if told.locked {
            assert_eq!(wire.arm("locked"), baseline("locked"), "{context}");
        }
        let life = Duration::from_micros(rng.random_range(0..150_000));
        // what was left unanswered is sent again, as a trader would
        let left = &twice[next..next + requests.len()];
        let answered = thread::scope(|scope| {
            let playing = scope.spawn(|| told.play(wire, left));
            let born = Stopwatch::start();
            until("the end of its life", || (born.elapsed() >= life || playing.is_finished()).then_some(()));
            daemon.kill();
            playing.join().unwrap()
        });
        killed_at_work += usize::from(answered < left.len());
        next = (next + answered) % requests.len();
        // opened as the next daemon will, which recovers it
        told.check(&place.open().reader().unwrap(), &context);
    }
    let daemon = Process::start(&place, &[]);
    let mut wire = daemon.connect();
    assert_eq!(wire.arm("last"), baseline("locked"));
    let counts = wire.status()["counts"].take();
    daemon.stop();
    assert!(killed_at_work > kills / 2, "{killed_at_work} of {kills} kills met a daemon at work");
    assert!(told.outcomes.len() > kills, "{} outcomes show little", told.outcomes.len());
    let seconds = watch.elapsed().as_secs_f64();
    println!("{kills} kills in {seconds:.1} s, {} outcomes acknowledged, in the journal {counts}", told.outcomes.len());
}
