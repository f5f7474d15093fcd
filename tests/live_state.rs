//! Lives drawn at random: what a daemon knows while it serves is what its journal comes to, after every few messages, whatever was told,
//! ordered or broken.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what the tests share may fail loudly")]

mod common;

use std::collections::BTreeMap;

use common::{
    daemon::{Daemon, Setup, Trap},
    long::cases,
    place::{BY_HAND, CONFIG, Place, model},
    wait::until,
    wire::{FEATURES, LOCK, RESUME, Wire, outcome, promote, rollback, score, skip},
};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde_json::{Value, json};
use vigie::{
    actors::daemon::Time,
    clock::Stopwatch,
    config::Config,
    domain::{Timestamp, lifecycle::State as Stands},
    recall::checkpoint,
    state::step::State,
};

/// Messages of a life.
const MESSAGES: usize = 160;
/// Longest that a difference may last: what is behind is on its way.
const CATCH_UP: std::time::Duration = std::time::Duration::from_secs(10);

/// Rules that trip now and then, and trials that end. In each third life a version goes from staging to its test by itself.
fn config(seed: u64) -> String {
    let staged = if seed.is_multiple_of(3) { 3 } else { 5000 };
    let base = CONFIG.replace("scoring.holdback = 0.0\n", "scoring.holdback = 0.2\n");
    format!(
        "{base}supervision.max_restarts = 100\nexperiment.resamples = 100\nexperiment.planned_sessions = 12\n\
         experiment.first_look = 3\nexperiment.min_days = 2\nexperiment.min_trades = 4\nstaging.min_hours = 24\n\
         staging.min_trades = {staged}\nexperiment.outcome_wait_days = 2\nguardian.literal = true\nguardian.min_accuracy = 0.2\n\
         guardian.accuracy_min_trades = 12\nguardian.max_loss_streak = 2\nguardian.daily_loss_limit = 150\n\
         monitor.window = 5000\nhealth.min_trades = 5000\nhealth.score_psi = 10\nhealth.variance_factor = 1000\n"
    )
}

/// A life under way.
struct Life {
    place: Place,
    rng: Pcg64,
    seed: u64,
    trap: Trap,
    /// Minutes since its beginning.
    minute: i64,
    signals: usize,
    /// What was answered to the trades that are open, and the outcomes of those that are closed.
    open: Vec<(String, Value)>,
    closed: Vec<(String, Value)>,
    /// What was done since the last comparison.
    done: Vec<String>,
    /// How often something of each kind was done and answered in that way.
    seen: BTreeMap<String, usize>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let place = Place::with_model(Stands::Production);
        let mut record = model().clone();
        record.id.number = 2;
        place.register("ES/2", record.to_bytes().unwrap(), Stands::Staging);
        Self {
            place,
            rng: Pcg64::seed_from_u64(seed),
            seed,
            trap: Trap::default(),
            minute: 0,
            signals: 0,
            open: Vec::new(),
            closed: Vec::new(),
            done: Vec::new(),
            seen: BTreeMap::new(),
        }
    }

    fn start(&self) -> Daemon {
        let (trap, config) = (self.trap.clone(), config(self.seed));
        Daemon::start_with(&self.place, Setup { config, trap, time: Time::Event, observed: true, ..Setup::default() })
    }

    fn at(&self) -> String {
        let start: Timestamp = "2025-01-06T15:00:00Z".parse().unwrap();
        (start + jiff::SignedDuration::from_mins(self.minute)).to_string()
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.random_range(0..end)
    }

    /// Asks until the answer is not to ask again, as a client does.
    fn tell(&mut self, wire: &mut Wire, what: &str, line: &str) -> Value {
        let answer = until("an answer", || {
            let answer = wire.ask(line);
            (answer["error"]["code"] != "retry").then_some(answer)
        });
        let is_silenced = answer["silenced"].as_array().is_some_and(|silenced| !silenced.is_empty());
        let ok = if is_silenced { "silenced" } else { "ok" };
        let came = answer["error"]["code"].as_str().unwrap_or(ok).to_owned();
        *self.seen.entry(format!("{what}: {came}")).or_default() += 1;
        self.done.push(format!("{line} -> {answer}"));
        answer
    }

    fn signal(&mut self, wire: &mut Wire, id: &str) -> Value {
        let line = format!(
            r#"{{"type":"score","trade_id":"{id}","at":"{}","symbol":"ES","side":"long","confidence":0.6,"features":{FEATURES}}}"#,
            self.at()
        );
        let answer = self.tell(wire, "score", &line);
        let mut decision = answer.clone();
        let fields = decision.as_object_mut().unwrap();
        fields
            .retain(|name, _| ["arm", "confidence", "score", "size", "model", "reason", "trade_id"].contains(&&**name));
        if !self.open.iter().any(|(open, _)| open == id) {
            self.open.push((id.to_owned(), decision));
        }
        answer
    }

    fn metrics(&mut self) -> Value {
        let pnl = match self.below(12) {
            0 => Value::Null,
            1..6 => json!(self.below(60)),
            _ => json!(-(self.below(40) as f64)),
        };
        let mut metrics = json!({ "exit_at": self.at(), "exit_reason": "signal", "pnl": pnl });
        if self.below(3) == 0 {
            metrics["slippage_ticks"] = json!(1.0);
        }
        metrics
    }

    /// A trade that is open, or was just scored, and the line of its outcome.
    fn outcome(&mut self) -> Option<(String, Value)> {
        let place = (!self.open.is_empty()).then(|| self.below(self.open.len()))?;
        let (id, decision) = self.open[place].clone();
        let mut line = json!({ "type": "outcome", "trade_id": id, "outcome_metrics": self.metrics() });
        if self.below(3) == 0 && !decision["arm"].is_null() {
            line["decision"] = decision;
        }
        Some((id, line))
    }

    fn is_closed(&mut self, id: &str, line: &Value) {
        self.open.retain(|(open, _)| open != id);
        self.closed.push((id.to_owned(), line.clone()));
    }

    fn close(&mut self, wire: &mut Wire) {
        let Some((id, line)) = self.outcome() else { return };
        if self.tell(wire, "outcome", &line.to_string())["ok"] == true {
            self.is_closed(&id, &line);
        }
    }

    /// Two tellings of one trade, one behind the other without waiting.
    fn close_twice(&mut self, wire: &mut Wire) {
        let Some((id, line)) = self.outcome() else { return };
        let other = json!({ "outcome_metrics": self.metrics(), "trade_id": id, "type": "outcome" });
        wire.send(format!("{line}\n{other}\n"));
        let answers = [wire.answer(), wire.answer()];
        self.done.push(format!("{line} and {other} -> {answers:?}"));
        for (answer, line) in answers.iter().zip([&line, &other]) {
            if answer["ok"] == true {
                self.is_closed(&id, line);
            }
        }
        *self.seen.entry(format!("twice: {}", answers[1]["ok"])).or_default() += 1;
    }

    fn again(&mut self, wire: &mut Wire, change: usize) {
        let place = if self.closed.is_empty() { return } else { self.below(self.closed.len()) };
        let (_, mut line) = self.closed[place].clone();
        let (what, metrics) = (["repeat", "complete", "contradict"][change], &mut line["outcome_metrics"]);
        match change {
            1 => {
                metrics["slippage_ticks"] = json!(1.0);
                metrics["mae_ticks"] = json!(3.0);
                if metrics["pnl"].is_null() {
                    metrics["pnl"] = json!(-7.0);
                }
            }
            2 => metrics["pnl"] = json!(-39.5),
            _ => {}
        }
        if self.tell(wire, what, &line.to_string())["ok"] == true {
            self.closed[place].1 = line;
        }
    }

    /// A trade whose signal this daemon never saw, with the decision that its trader says it was made on.
    fn echo(&mut self, wire: &mut Wire) {
        self.signals += 1;
        let id = format!("E-{}", self.signals);
        let (arm, reason) = if self.below(2) == 0 { ("ml", "production") } else { ("baseline", "holdback") };
        let version = ["ES/1", "ES/2", "ES/77"][self.below(3)];
        let mut line = json!({ "type": "outcome", "trade_id": id, "outcome_metrics": self.metrics() });
        if self.below(4) > 0 {
            line["decision"] = json!({
                "arm": arm, "confidence": 0.6, "score": 0.55, "size": 1.0, "model": version, "reason": reason,
            });
        }
        if self.tell(wire, "echo", &line.to_string())["ok"] == true {
            self.is_closed(&id, &line);
        }
    }

    /// A past trade, or the outcome of one of here that comes from a file.
    fn import(&mut self, wire: &mut Wire) {
        let features: Value = serde_json::from_str(FEATURES).unwrap();
        self.signals += 1;
        let id = format!("H-{}", self.signals);
        let mut line = json!({
            "type": "import", "trade_id": id, "at": self.at(), "symbol": "ES", "side": "long", "confidence": 0.6, "features": features,
        });
        self.minute += 5;
        line["outcome_metrics"] = self.metrics();
        self.tell(wire, "import", &line.to_string());
    }

    fn at_fault(&mut self, wire: &mut Wire) {
        let Some((_, mut line)) = self.outcome() else { return };
        let what = match self.below(2) {
            0 => {
                line["outcome_metrics"]["pnl"] = json!("much");
                "unreadable"
            }
            _ => {
                line["outcome_metrics"]["pnl"] = json!(1e12);
                "incredible"
            }
        };
        self.tell(wire, what, &line.to_string());
    }

    fn order(&mut self, wire: &mut Wire) {
        let (what, line) = match self.below(10) {
            0 => ("lock", LOCK.to_owned()),
            1 => ("kill", r#"{"type":"kill","reason":"a test"}"#.to_owned()),
            2 => ("rollback", rollback(["ES/1", "ES/2"][self.below(2)])),
            3 => ("test", promote("ES/2").replace("production", "ab_test")),
            _ => ("promote", promote(["ES/1", "ES/2"][self.below(2)])),
        };
        self.tell(wire, what, &line);
        // most of it would be silent else
        if self.below(3) > 0 {
            self.tell(wire, "resume", RESUME);
        }
    }

    fn next(&mut self, wire: &mut Wire) {
        self.minute += 1 + self.below(20) as i64;
        match self.below(60) {
            0..22 => {
                self.signals += 1;
                let id = format!("T-{}", self.signals);
                self.signal(wire, &id);
                if self.below(8) == 0 {
                    self.signal(wire, &id);
                }
            }
            22..38 => self.close(wire),
            38..41 => self.close_twice(wire),
            41..43 => self.again(wire, 0),
            43..46 => self.again(wire, 1),
            46 if self.below(2) == 0 => self.again(wire, 2),
            46..49 => self.echo(wire),
            49 => self.import(wire),
            50 if self.below(2) == 0 => self.at_fault(wire),
            51 if !self.open.is_empty() => {
                let place = self.below(self.open.len());
                let (id, _) = self.open.swap_remove(place);
                self.tell(wire, "skip", &skip(&id));
            }
            52 => {
                let (actor, message) =
                    [("guardian", "outcome"), ("guardian", "settle"), ("ab_router", "look")][self.below(3)];
                self.done.push(format!("{actor} fails over {message}"));
                self.trap.panic_over(actor, message, 1);
            }
            53..56 => self.minute += 24 * 60,
            _ => self.order(wire),
        }
    }

    /// What the journal comes to is what the daemon knows.
    fn compare(&mut self, daemon: &Daemon, wire: &mut Wire) {
        let (watch, config) = (Stopwatch::start(), Config::parse("test", &config(self.seed)).unwrap());
        let now: Timestamp = self.at().parse().unwrap();
        loop {
            let status = wire.status();
            let (mut live, fold) = (daemon.state(), checkpoint::state(&self.place.reader(), &config));
            let Ok(mut fold) = fold.map(|folded| folded.state) else { continue };
            live.pass_to(&config.rules(), now);
            fold.pass_to(&config.rules(), now);
            let differs = difference(&live, &fold);
            if differs.is_none() && status["journal"]["waiting"] == 0 {
                break;
            }
            assert!(watch.elapsed() < CATCH_UP, "seed {}: {differs:#?}\nafter {:#?}\n{status:#}", self.seed, self.done);
        }
        self.done.clear();
    }
}

/// What is not the same, as one has it and the other.
fn difference(live: &State, fold: &State) -> Option<Vec<String>> {
    let mut found = Vec::new();
    let mut differ = |what: &str, is_same: bool, live: String, fold: String| {
        if !is_same {
            found.extend([format!("{what}, live: {live}"), format!("{what}, fold: {fold}")]);
        }
    };
    let (a, b) = (&live.risk, &fold.risk);
    differ("emergency", a.emergency == b.emergency, format!("{:?}", a.emergency), format!("{:?}", b.emergency));
    differ("gradual", a.gradual == b.gradual, format!("{:?}", a.gradual), format!("{:?}", b.gradual));
    differ(
        "open trades",
        a.open_trades == b.open_trades,
        format!("{:?}", a.open_trades),
        format!("{:?}", b.open_trades),
    );
    // which sessions were judged is not stored
    let bytes = |state: &State| postcard::to_stdvec(&state.trials).unwrap();
    differ("trials", bytes(live) == bytes(fold), format!("{:?}", live.trials), format!("{:?}", fold.trials));
    (!found.is_empty()).then_some(found)
}

fn live(seed: u64) -> BTreeMap<String, usize> {
    let mut life = Life::new(seed);
    let mut daemon = life.start();
    let mut wire = daemon.connect();
    for n in 0..MESSAGES {
        life.next(&mut wire);
        if n % 4 == 3 {
            life.compare(&daemon, &mut wire);
        }
        if n == MESSAGES / 2 {
            drop(wire);
            life.trap.heal();
            daemon.stop();
            daemon = life.start();
            wire = daemon.connect();
            life.done.push("a restart".to_owned());
        }
    }
    life.trap.heal();
    life.compare(&daemon, &mut wire);
    daemon.stop();
    life.seen
}

#[test]
fn what_a_daemon_knows_is_what_its_journal_comes_to_at_every_moment_of_a_life() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    // in the life of seed 8 an outcome that cannot be read tells of a trade that is forgotten
    for seed in cases(vec![0, 1, 2, 8], (0..40).collect()) {
        for (what, count) in live(seed) {
            *seen.entry(what).or_default() += count;
        }
    }
    // the lives were lives
    for what in [
        "outcome: ok",
        "complete: ok",
        "contradict: conflict",
        "echo: ok",
        "import: ok",
        "resume: ok",
        "promote: ok",
        "skip: ok",
    ] {
        assert!(seen.contains_key(what), "{what}: {seen:#?}");
    }
}

#[test]
fn an_outcome_that_is_told_while_a_promotion_is_written_counts_for_the_version_as_in_the_journal() {
    let place = Place::with_model(Stands::Staging);
    let (trap, text) = (Trap::default(), format!("{CONFIG}{BY_HAND}"));
    let daemon = Daemon::start_with(
        &place,
        Setup { config: text.clone(), trap: trap.clone(), observed: true, ..Setup::default() },
    );
    let (mut trader, mut operator) = (daemon.connect(), daemon.connect());
    trader.ask_ok(score("T-1"));
    until("the decision", || place.reader().signal(&"T-1".parse().unwrap()).unwrap());
    trap.hold_journal();
    operator.send(format!("{}\n", promote("ES/1")));
    trap.await_held();
    let before = trap.passed("guardian", "outcome");
    trader.send(format!("{}\n", outcome("T-1", -20.0)));
    until("the outcome", || (trap.passed("guardian", "outcome") > before).then_some(()));
    trap.release();
    assert_eq!(operator.answer()["ok"], true);
    assert_eq!(trader.answer()["ok"], true);
    let config = Config::parse("test", &text).unwrap();
    let fold = checkpoint::state(&place.reader(), &config).unwrap().state;
    let live = daemon.state();
    assert_eq!(live.risk.emergency, fold.risk.emergency);
    let levels = fold.risk.emergency.levels(&config.guardian);
    assert_eq!(levels.iter().map(|level| level.would_gain_trades).collect::<Vec<_>>(), [1], "it counts: {levels:?}");
    daemon.stop();
}
