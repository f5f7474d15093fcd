//! Emergencies, played on a daemon that is marked as a drill, and how long a model was heard after each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
};

use super::{
    Drill,
    load::{Ending, Heard, Load, PATIENCE, Word},
    scenario::{EmergencyScenario, noon, signal},
    stage::{self, Model},
};
use crate::{
    clock::Stopwatch,
    commands::{
        Outcome,
        demo::{Folder, child::Daemon},
        files::bar,
        named,
        terminal::{table, tell},
    },
    domain::{Symbol, VersionId},
    protocol::client::{Client, ClientError},
};

const CONNECTIONS: usize = 8;
/// Answers of the load that are waited for after each acknowledgement.
const AFTERWARDS: u64 = 64;
/// Signals that are sent after it on the same connection.
const OWN: u64 = 5;
/// Words after an acknowledgement that the last message tells one by one.
const WORDS_TOLD: usize = 5;
/// Why the model has no word in an answer when the machine is busy.
const BUSY: [&str; 2] = ["journal_unavailable", "deadline"];
const PAUSE: Duration = Duration::from_millis(2);

/// One emergency that was played. Times in microseconds since what tripped it was sent.
struct Played {
    /// Until the last answer with a word from the model came, on any connection; 0 when none came any more.
    last_word: u64,
    acknowledged: u64,
    /// Answers that were asked for after the acknowledgement.
    answers: u64,
    /// What was heard of a model in these.
    heard: Heard,
}

#[derive(Serialize)]
struct Spread {
    p50: u64,
    p99: u64,
    max: u64,
}

#[derive(Serialize)]
struct Row {
    emergency: &'static str,
    played: usize,
    last_word_us: Spread,
    acknowledged_us: Spread,
    answers_after: u64,
    ml_answers_after: u64,
    /// The first of these of each round.
    words_after: Vec<Word>,
}

/// Plays all emergencies as `drill` says.
pub(super) fn run(drill: &Drill) -> Outcome {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    let model = match &drill.version {
        Some(version) => Model::of_journal(&drill.source.open(&drill.config)?.1, version)?,
        None => Model::of_simulation(&named::symbol_of(drill.symbol.as_ref(), None)?, drill.seed)?,
    };
    let folder = Folder::new("vigie-drill", false)?;
    let scenarios = EmergencyScenario::all();
    let rounds = scenarios.len() * usize::from(drill.rounds);
    let versions = stage::build(&folder.path.join("state"), &model.record, u32::try_from(rounds)?)?;
    let daemon = Daemon::start_with(&folder.path, &stage::config(), &["--drill"])?;
    let player = Player { client: Client::new(daemon.socket(), PATIENCE), versions, interrupted: &interrupted };
    let played = perform(&daemon, player, &scenarios);
    let stopped = stop(daemon);
    let played = played?;
    stopped?;
    let rows: Vec<Row> = scenarios.into_iter().map(|scenario| row(scenario, &played)).collect();
    print(drill, &model.source, &rows)?;
    match accusation(&rows) {
        None => Ok(()),
        Some(accusation) => Err(anyhow::Error::msg(accusation).into()),
    }
}

/// Who was heard after an acknowledgement, in which answer and how late; `None` when nobody was.
fn accusation(rows: &[Row]) -> Option<String> {
    let heard: u64 = rows.iter().map(|row| row.ml_answers_after).sum();
    let words = rows.iter().flat_map(|row| row.words_after.iter().map(move |word| (row.emergency, word)));
    let words: Vec<String> = words
        .map(|(emergency, Word { trade, model, after_us })| {
            format!("{model} in the answer to {trade}, {after_us} us after the acknowledgement of {emergency}")
        })
        .take(WORDS_TOLD)
        .collect();
    let more = heard.saturating_sub(words.len() as u64);
    let more = if more > 0 { format!("; and {more} times more") } else { String::new() };
    (heard > 0).then(|| {
        format!(
            "a model was heard after the acknowledgement of an emergency, {heard} times: {}{more}",
            words.join("; ")
        )
    })
}

fn stop(mut daemon: Daemon) -> anyhow::Result<()> {
    daemon.stop()
}

/// Plays each emergency in turn, one for each version, while the load goes on.
fn perform(
    daemon: &Daemon,
    mut player: Player<'_>,
    scenarios: &[EmergencyScenario],
) -> anyhow::Result<Vec<(EmergencyScenario, Played)>> {
    let symbol = &player.versions.first().context("no version to take down")?.symbol;
    let load = Load::new(symbol.clone());
    let socket = daemon.socket();
    let bar = bar(player.versions.len() as u64, "{bar:40} {pos}/{len} emergencies");
    let played = thread::scope(|scope| {
        let _ending = Ending(&load);
        for connection in 0..CONNECTIONS {
            let (load, socket) = (&load, &socket);
            scope.spawn(move || load.ask(connection, socket));
        }
        let scenarios = scenarios.iter().copied().cycle().zip(0..player.versions.len());
        scenarios
            .map(|(scenario, round)| {
                let played = player
                    .round(&load, scenario, round)
                    .with_context(|| format!("{} in round {round}", scenario.name()))?;
                bar.inc(1);
                Ok((scenario, played))
            })
            .collect()
    });
    bar.finish_and_clear();
    played
}

struct Player<'a> {
    client: Client,
    versions: Vec<VersionId>,
    interrupted: &'a AtomicBool,
}

impl Player<'_> {
    fn round(&mut self, load: &Load, scenario: EmergencyScenario, round: usize) -> anyhow::Result<Played> {
        let day = round as u64;
        let version = self.versions.get(round).context("there is no such version")?.clone();
        if round > 0 {
            // the day's signal first: the loss of a day is lifted on the next
            self.patiently(&signal(&version.symbol, day, &format!("D-{round}")))?;
            load.day.store(day, Ordering::Release);
            self.patiently(&json!({ "type": "resume", "reason": "a drill" }))?;
            self.patiently(&json!({
                "type": "promote", "version": version, "to": "production", "override": true, "reason": "a drill",
            }))?;
        }
        let tripping = self.lead_up(&version.symbol, scenario, round)?;
        let _before = load.take();
        let sent = load.now();
        self.patiently(&tripping)?;
        let acknowledged = load.now();
        load.acknowledge(Some(acknowledged));
        let before = load.answers();
        let own = self.ask_afterwards(load, acknowledged, &version.symbol, round)?;
        self.until(load, |load| load.answers() >= before + AFTERWARDS)?;
        let mut heard = load.take();
        heard.after += own.after;
        heard.words.splice(0..0, own.words);
        let answers = load.answers() - before + OWN;
        load.acknowledge(None);
        self.check(scenario)?;
        let last_word = heard.last.map_or(0, |last| last.saturating_sub(sent));
        Ok(Played { last_word, acknowledged: acknowledged - sent, answers, heard })
    }

    /// The trades that lead to an emergency, and what trips it, which is not sent yet.
    fn lead_up(&mut self, symbol: &Symbol, scenario: EmergencyScenario, round: usize) -> anyhow::Result<Value> {
        for n in 0..scenario.trades() {
            let answer = self.ml_trade(symbol, round, n)?;
            let says_win = answer.get("score").and_then(Value::as_f64).is_some_and(|score| score >= 0.5);
            let metrics = scenario.metrics(n, says_win, &noon(round as u64));
            // with its decision, which may have been dropped on its way to the disk under load
            let decision = Value::Object(answer.clone());
            let outcome = json!({
                "type": "outcome", "trade_id": answer.get("trade_id"), "decision": decision, "outcome_metrics": metrics,
            });
            if n + 1 == scenario.trades() && !matches!(scenario, EmergencyScenario::Kill) {
                return Ok(outcome);
            }
            self.patiently(&outcome)?;
        }
        Ok(json!({ "type": "kill", "reason": "a drill" }))
    }

    /// A trade in which the model has a word; under load some are answered with the baseline.
    fn ml_trade(&mut self, symbol: &Symbol, round: usize, n: usize) -> anyhow::Result<Map<String, Value>> {
        let watch = Stopwatch::start();
        for attempt in 0_u64.. {
            let answer = self.patiently(&signal(symbol, round as u64, &format!("E-{round}-{n}-{attempt}")))?;
            if answer.get("arm").and_then(Value::as_str) == Some("ml") {
                return Ok(answer);
            }
            let reason = answer.get("reason").and_then(Value::as_str).unwrap_or_default();
            if !BUSY.contains(&reason) || watch.elapsed() > PATIENCE {
                bail!("the model does not speak: {}", Value::Object(answer));
            }
        }
        bail!("the model does not speak")
    }

    /// A few signals on this connection, and what was heard of a model in the answers.
    fn ask_afterwards(
        &mut self,
        load: &Load,
        acknowledged: u64,
        symbol: &Symbol,
        round: usize,
    ) -> anyhow::Result<Heard> {
        let mut heard = Heard::default();
        for n in 0..OWN {
            let trade = format!("A-{round}-{n}");
            let answer = self.patiently(&signal(symbol, round as u64, &trade))?;
            if let Some(word) = Word::of(&answer, &trade, load.now() - acknowledged) {
                heard.count(word);
            }
        }
        Ok(heard)
    }

    /// Whether it was the emergency that it should be.
    fn check(&mut self, scenario: EmergencyScenario) -> anyhow::Result<()> {
        let status = self.patiently(&json!({ "type": "status" }))?.remove("status").unwrap_or_default();
        if status.get("drill") != Some(&Value::Bool(true)) {
            bail!("the daemon does not say that it is a drill");
        }
        let said = [status.pointer("/guardian/lock"), status.pointer("/guardian/emergencies")];
        let said: String = said.into_iter().flatten().map(Value::to_string).collect();
        if said.contains(scenario.sign()) { Ok(()) } else { bail!("it did not come about: {said}") }
    }

    /// Sends a request until it is taken: under load the journal may have no room for it at first.
    fn patiently(&mut self, line: &Value) -> anyhow::Result<Map<String, Value>> {
        let watch = Stopwatch::start();
        loop {
            let answer = self.client.request(line, PATIENCE);
            // a signal breaks off the reading of an answer as well
            if self.interrupted.load(Ordering::Relaxed) {
                bail!("interrupted; the daemon of the drill is stopped");
            }
            match answer {
                Err(ClientError::Refused(error)) if error.code == "retry" && watch.elapsed() < PATIENCE => {
                    thread::sleep(PAUSE);
                }
                answer => return Ok(answer?),
            }
        }
    }

    fn until(&self, load: &Load, done: impl Fn(&Load) -> bool) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        while !done(load) {
            if let Some(why) = load.broken() {
                bail!("a connection broke: {why}");
            }
            if self.interrupted.load(Ordering::Relaxed) || watch.elapsed() > PATIENCE {
                bail!("the load got no answers, or it was interrupted; the daemon of the drill is stopped");
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }
}

fn row(scenario: EmergencyScenario, played: &[(EmergencyScenario, Played)]) -> Row {
    let of_scenario = || played.iter().filter(|(other, _)| other.name() == scenario.name()).map(|(_, played)| played);
    Row {
        emergency: scenario.name(),
        played: of_scenario().count(),
        last_word_us: Spread::of(of_scenario().map(|played| played.last_word)),
        acknowledged_us: Spread::of(of_scenario().map(|played| played.acknowledged)),
        answers_after: of_scenario().map(|played| played.answers).sum(),
        ml_answers_after: of_scenario().map(|played| played.heard.after).sum(),
        words_after: of_scenario().flat_map(|played| played.heard.words.clone()).collect(),
    }
}

impl Spread {
    fn of(micros: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = micros.collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let place = (sorted.len().saturating_sub(1) * percent).div_ceil(100);
            sorted.get(place).copied().unwrap_or_default()
        };
        Self { p50: at(50), p99: at(99), max: at(100) }
    }

    fn cells(&self) -> [String; 3] {
        [self.p50, self.p99, self.max].map(|micros| micros.to_string())
    }
}

fn print(drill: &Drill, source: &str, rows: &[Row]) -> anyhow::Result<()> {
    if drill.json {
        return Ok(tell(json!({ "model": source, "connections": CONNECTIONS, "emergencies": rows }))?);
    }
    let config = stage::config();
    let settings: Vec<&str> =
        config.lines().filter(|line| !line.starts_with('#') && !line.starts_with("log")).collect();
    tell(format_args!(
        "Played on a daemon of its own with {source}, under load on {CONNECTIONS} connections.\n\
         Settings that differ from the defaults: {}.\n\
         Microseconds from what trips the emergency being sent until the last answer with a word from the model came on any\n\
         connection (0: none came any more), and until the acknowledgement; then the answers to signals that were sent after it.\n",
        settings.join(", ")
    ))?;
    let head = [
        "emergency",
        "played",
        "last word p50",
        "p99",
        "max",
        "acknowledged p50",
        "p99",
        "max",
        "answers",
        "by a model",
    ];
    let mut cells = vec![head.map(str::to_owned).to_vec()];
    for row in rows {
        let mut line = vec![row.emergency.to_owned(), row.played.to_string()];
        line.extend(row.last_word_us.cells());
        line.extend(row.acknowledged_us.cells());
        line.extend([row.answers_after.to_string(), row.ml_answers_after.to_string()]);
        cells.push(line);
    }
    Ok(tell(table(&cells).trim_end())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_tells_the_middle_the_tail_and_the_longest() {
        let Spread { p50, p99, max } = Spread::of(1..=101);
        assert_eq!((p50, p99, max), (51, 100, 101));
        assert_eq!(Spread::of([7].into_iter()).p99, 7);
    }
}
