//! The promise in a storm: the disk fills and empties, the process is stopped and continued, sixty connections flood it and
//! some clients do not read, while one emergency follows another. No answer that is asked for, or begun to be written, after
//! the acknowledgement of the tripping outcome has a word from the model, and no word of a model comes late.
//!
//! `VIGIE_LONG=1` plays 1,000 emergencies instead of a few; with `--release` that takes some minutes.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::{
    collections::BTreeMap,
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use common::{
    emergencies::{SCENARIOS, config, latched, lead_up, place_with, score_on, spread, taken},
    long::cases,
    place::Place,
    process::Process,
    wait::until,
    wire::{RESUME, Wire, promote},
};
use serde_json::{Value, json};
use vigie::clock::Stopwatch;

/// Connections that send much at once.
const FLOODS: usize = 60;
/// Connections that ask for one score after another, as a trader does.
const TRADERS: usize = 4;
/// Connections whose answers nobody reads before the acknowledgement.
const SILENT: usize = 3;
/// Time within which a score is answered, in microseconds.
const DEADLINE_US: u64 = 50_000;
/// What a busy machine may add to it on the way to a client, which this process shares with all the others.
const ON_THE_WAY_US: u64 = 50_000;
/// Requests that a flood sends at once.
const AT_ONCE: usize = 40;
/// Answers that nobody reads: more than three times as many as a socket holds.
const UNREAD: usize = 1000;
const PING: &str = r#"{"type":"ping"}"#;

/// What all connections share. Times are in microseconds since it was made.
struct Storm {
    over: Mutex<bool>,
    /// Rings when it is over.
    calm: Condvar,
    day: AtomicU64,
    /// How many versions are down for good: the outcome that took each down has been acknowledged.
    down: AtomicU64,
    heard: Mutex<Heard>,
    watch: Stopwatch,
}

/// What was answered.
#[derive(Default)]
struct Heard {
    /// By reason.
    answers: BTreeMap<String, u64>,
    /// Words of a model that were asked for after the acknowledgement.
    after: Vec<Value>,
    /// Words of a model that came to a trader later than they may, and how late.
    late: Vec<(u64, Value)>,
    /// How long a trader waited for a word of a model.
    waits: Vec<u64>,
}

impl Storm {
    fn new() -> Self {
        Self {
            over: Mutex::new(false),
            calm: Condvar::new(),
            day: AtomicU64::new(0),
            down: AtomicU64::new(0),
            heard: Mutex::default(),
            watch: Stopwatch::start(),
        }
    }

    fn now(&self) -> u64 {
        self.watch.elapsed().as_micros() as u64
    }

    fn goes_on(&self) -> bool {
        !*self.over.lock().unwrap()
    }

    /// Waits for `time`, or until it is over. Says whether it goes on.
    fn wait(&self, time: Duration) -> bool {
        let over = self.calm.wait_timeout_while(self.over.lock().unwrap(), time, |over| !*over);
        !*over.unwrap().0
    }

    fn signal(&self, name: &str) -> String {
        // scores that differ, or the monitor would call them unstable
        let digit = name.len() + name.bytes().last().map_or(0, usize::from);
        score_on(self.day.load(Ordering::Acquire) as usize, name).replace("0.71", &format!("0.{}", digit % 10))
    }

    /// Takes in the answer to what was asked when `down` versions were down; `waited` of one that nothing stood before.
    fn hear(&self, answer: Value, down: u64, waited: Option<u64>) {
        let mut heard = self.heard.lock().unwrap();
        let reason = answer["reason"].as_str().or(answer["error"]["code"].as_str()).unwrap_or("ok").to_owned();
        *heard.answers.entry(reason).or_default() += 1;
        if answer["arm"] != "ml" {
            return;
        }
        heard.waits.extend(waited);
        let model = answer["model"].as_str().unwrap().strip_prefix("ES/").unwrap().parse::<u64>().unwrap();
        if model <= down {
            heard.after.push(answer.clone());
        }
        if let Some(late) = waited.filter(|waited| *waited > DEADLINE_US + ON_THE_WAY_US) {
            heard.late.push((late, answer));
        }
    }

    /// One score after another.
    fn trade(&self, number: usize, mut wire: Wire) {
        // it is to measure how late an answer is, and not how late this thread is
        let _only_root_may = rustix::process::nice(-10);
        for n in 0.. {
            if !self.goes_on() {
                return;
            }
            let line = self.signal(&format!("L-{number}-{n}"));
            let asked = self.now();
            let down = self.down.load(Ordering::Acquire);
            let answer = wire.ask(line);
            self.hear(answer, down, Some(self.now() - asked));
            self.wait(Duration::from_millis(2));
        }
    }

    /// Many requests in one write, and then their answers.
    fn flood(&self, number: usize, mut wire: Wire) {
        for n in 0.. {
            let mut lines = format!("{PING}\n").repeat(AT_ONCE - 2);
            lines.push_str("{\"type\":\"alerts\",\"limit\":50}\n");
            lines.push_str(&self.signal(&format!("F-{number}-{n}")));
            lines.push('\n');
            let down = self.down.load(Ordering::Acquire);
            wire.send(lines);
            for _ in 1..AT_ONCE {
                wire.answer();
            }
            self.hear(wire.answer(), down, None);
            if !self.wait(Duration::from_millis(50)) {
                return;
            }
        }
    }

    /// Fills and empties the disk, and stops and continues the process, again and again.
    fn torment(&self, daemon: &Process, done: &[AtomicU64; 2]) {
        for turn in 0_u64.. {
            if !self.wait(Duration::from_millis(150)) {
                return;
            }
            let pause = Duration::from_millis(30 + 50 * (turn % 4));
            if turn % 3 == 2 {
                daemon.signal("STOP");
                self.wait(pause);
                daemon.signal("CONT");
            } else {
                daemon.limit_files(Some(0));
                self.wait(pause);
                daemon.limit_files(None);
            }
            done[usize::from(turn % 3 == 2)].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends more than the socket holds the answers of, and a score behind it, and reads none of the answers.
fn fall_silent(storm: &Storm, daemon: &Process, name: &str) -> Wire {
    let mut wire = daemon.connect();
    wire.send(format!("{PING}\n").repeat(UNREAD));
    wire.send(format!("{}\n", storm.signal(name)));
    wire
}

/// Ends the storm when it goes.
struct Ending<'a>(&'a Storm);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *self.0.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.calm.notify_all();
    }
}

#[test]
fn in_a_storm_no_model_is_heard_after_the_acknowledgement_and_none_late() {
    let rounds = cases(4, 1_000);
    let place = place_with(rounds);
    play(&place, rounds);
}

fn play(place: &Place, rounds: usize) {
    let limits = config().replace("server.deadline_us = 1000000", &format!("server.deadline_us = {DEADLINE_US}"));
    let quick = "years = 1000\n";
    let config = format!("server.max_connections = 200\nserver.write_timeout_ms = 60000\n{limits}{quick}")
        .replace("[monitor]\n", "[monitor]\nbudget_resamples = 20\n");
    place.file("config.toml", &config);
    let daemon = Process::start(place, &[]);
    let (storm, tormented) = (Storm::new(), [AtomicU64::new(0), AtomicU64::new(0)]);
    let (mut to_ack, mut behind) = (Vec::new(), 0);
    thread::scope(|scope| {
        let ending = Ending(&storm);
        for number in 0..FLOODS {
            let (storm, wire) = (&storm, daemon.connect());
            scope.spawn(move || storm.flood(number, wire));
        }
        for number in 0..TRADERS {
            let (storm, wire) = (&storm, daemon.connect());
            scope.spawn(move || storm.trade(number, wire));
        }
        let (tormentor, victim, done) = (&storm, &daemon, &tormented);
        let torment = scope.spawn(move || tormentor.torment(victim, done));
        let mut wire = daemon.connect();
        for round in 0..rounds {
            let scenario = SCENARIOS[round % SCENARIOS.len()];
            storm.day.store(round as u64, Ordering::Release);
            if round > 0 {
                taken(&mut wire, RESUME);
                taken(&mut wire, &promote(&format!("ES/{}", round + 1)));
            }
            let tripping = lead_up(&mut wire, scenario, round);
            let silent: Vec<Wire> =
                (0..SILENT).map(|n| fall_silent(&storm, &daemon, &format!("S-{round}-{n}"))).collect();
            let sent = storm.now();
            taken(&mut wire, &tripping);
            let acknowledged = storm.now();
            storm.down.store(round as u64 + 1, Ordering::Release);
            to_ack.push(acknowledged - sent);
            for k in 0..5 {
                let answer = wire.ask(score_on(round, &format!("A-{round}-{k}")));
                assert_eq!(answer["arm"], "baseline", "{scenario:?} in round {round}: {answer}");
            }
            for mut wire in silent {
                (0..UNREAD).for_each(|_| drop(wire.answer()));
                let answer = wire.answer();
                assert_eq!(answer["arm"], "baseline", "{scenario:?} in round {round}, not read before: {answer}");
                behind += 1;
            }
            let after = storm.heard.lock().unwrap().after.clone();
            assert!(after.is_empty(), "{scenario:?} in round {round}: {after:?}");
        }
        drop(ending);
        torment.join().unwrap();
    });
    let Heard { answers, late, mut waits, after } = storm.heard.into_inner().unwrap();
    let [fills, stops] = tormented.map(AtomicU64::into_inner);
    println!(
        "{rounds} emergencies in {:.0} s, the disk filled {fills} times, {stops} stops, {FLOODS} floods; answers by \
         reason: {}; {behind} answers waited unread; acknowledged after {}; words of a model to a trader after {}; \
         {} after the acknowledgement, {} late",
        storm.watch.elapsed().as_secs_f64(),
        json!(answers),
        spread(&mut to_ack),
        spread(&mut waits),
        after.len(),
        late.len()
    );
    assert!(late.is_empty(), "late with a model's word: {late:?}");
    assert!(answers.contains_key("production"), "{answers:?}");
    let mut wire = daemon.connect();
    until("a disk that takes what followed", || (wire.status()["journal"]["ok"] == true).then_some(()));
    daemon.stop();
    let rules = latched(place);
    assert!(
        SCENARIOS.iter().take(rounds).all(|scenario| rules.contains(&scenario.rule())) && rules.len() >= rounds,
        "{rules:?}"
    );
}
