//! The steps of a demonstration, done on a real daemon through its socket.

use std::{collections::BTreeMap, thread::sleep, time::Duration};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::child::Daemon;
use crate::{
    clock::Stopwatch,
    domain::{Arm, Event, EventKind, Timestamp, TradeId},
    protocol::client::Client,
    sim::{
        demo::{Demo, Step},
        execution::Answered,
    },
};

/// How long an answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a training may take.
const TRAINING: Duration = Duration::from_secs(600);
/// Past trades that are sent without waiting for their answers.
const TOGETHER: usize = 64;
const PAUSE: Duration = Duration::from_millis(2);

/// Who performs.
pub(super) struct Performer {
    daemon: Daemon,
    signals: Client,
    records: Client,
    events: Client,
    /// Events told so far, and the number of the last.
    told: u64,
    last_seq: u64,
    /// How long the acknowledgements of the outcomes since the last look took, by when the trades were closed.
    acknowledged: BTreeMap<Timestamp, Duration>,
    /// What was measured and not told yet.
    measured: Vec<String>,
}

#[derive(Deserialize)]
struct EventLine {
    seq: u64,
    #[serde(flatten)]
    event: Event,
}

impl Performer {
    pub(super) fn new(daemon: Daemon) -> anyhow::Result<Self> {
        let client = || Client::new(daemon.socket(), PATIENCE);
        let (signals, records, events) = (client(), client(), client());
        let (acknowledged, measured) = (BTreeMap::new(), Vec::new());
        let mut performer = Self { daemon, signals, records, events, told: 0, last_seq: 0, acknowledged, measured };
        performer.follow()?;
        Ok(performer)
    }

    /// Does a step and tells `demo` what came of it.
    pub(super) fn perform(&mut self, demo: &mut Demo, step: Step) -> anyhow::Result<()> {
        match step {
            Step::Import { lines } => self.import(demo, &lines),
            Step::Score { trade_id, line } => self.score(demo, &trade_id, &line),
            Step::Record { line } => self.record(demo, &line),
            Step::Settle => self.settle(demo),
            Step::Order { line } => {
                let answer = exchange(&mut self.records, &line)?;
                let refused = answer.get("error").and_then(|error| error.get("message")).and_then(Value::as_str);
                demo.ordered(&line, refused);
                Ok(())
            }
            Step::Assess => {
                let mut answer = self.records.request(&json!({ "type": "experiment" }), PATIENCE)?;
                demo.assessed(&answer.remove("trials").unwrap_or_default());
                Ok(())
            }
            Step::Kill => {
                let watch = Stopwatch::start();
                self.daemon.kill_and_start()?;
                self.measured.push(format!("it answered again after {} ms", watch.elapsed().as_millis()));
                self.reconnect()
            }
            Step::Over => Ok(()),
        }
    }

    /// What was measured and differs from run to run.
    pub(super) fn measured(&mut self) -> Vec<String> {
        std::mem::take(&mut self.measured)
    }

    /// Stops the daemon in good order.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        self.daemon.stop()
    }

    fn score(&mut self, demo: &mut Demo, trade_id: &TradeId, line: &str) -> anyhow::Result<()> {
        let answer = exchange(&mut self.signals, line)?;
        let (arm, size) = (answer.get("arm").cloned(), answer.get("size").and_then(Value::as_f64));
        let arm: Option<Arm> = arm.and_then(|arm| serde_json::from_value(arm).ok());
        match (answer.get("ok"), arm, size) {
            (Some(Value::Bool(true)), Some(arm), Some(size)) => demo.answered(trade_id, Answered { arm, size }),
            _ => demo.fault(format!("{trade_id}: {}", Value::Object(answer))),
        }
        Ok(())
    }

    fn import(&mut self, demo: &mut Demo, lines: &[String]) -> anyhow::Result<()> {
        for some in lines.chunks(TOGETHER) {
            self.records.send(&some.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>(), PATIENCE)?;
            for line in some {
                let answer: Map<String, Value> = serde_json::from_str(&self.records.receive(PATIENCE)?)?;
                if answer.get("durable") != Some(&Value::Bool(true)) {
                    demo.fault(format!("{line}: {}", Value::Object(answer)));
                }
            }
        }
        let count = lines.len();
        let note = json!({ "type": "imported", "file": "history", "lines": count, "stored": count, "rejected": 0 });
        self.records.request(&note, PATIENCE)?;
        Ok(())
    }

    fn record(&mut self, demo: &mut Demo, line: &str) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        let answer = exchange(&mut self.records, line)?;
        let took = watch.elapsed();
        let request: Value = serde_json::from_str(line)?;
        let exit_at = request.pointer("/outcome_metrics/exit_at").and_then(Value::as_str);
        if let Some(exit_at) = exit_at.and_then(|text| text.parse().ok()) {
            self.acknowledged.insert(exit_at, took);
        }
        if answer.get("durable") != Some(&Value::Bool(true)) {
            demo.fault(format!("{line}: {}", Value::Object(answer)));
        }
        Ok(())
    }

    /// Waits until nothing follows in the daemon by itself any more, then tells all events.
    fn settle(&mut self, demo: &mut Demo) -> anyhow::Result<()> {
        let watch = Stopwatch::start();
        let mut before = None;
        // what the monitor finds in one look may call for something in the next: two must be alike
        let events = loop {
            let mut answer = self.records.request(&json!({ "type": "status" }), PATIENCE)?;
            let status = answer.remove("status").unwrap_or_default();
            let settled = status.pointer("/trials/settled") == Some(&Value::Bool(true));
            let quiet = settled && status.get("monitor").is_some() && status.get("training").is_none();
            let events = status.pointer("/counts/events").and_then(Value::as_u64);
            match (events.filter(|_| quiet), before) {
                (Some(events), Some(before)) if events == before => break events,
                (events, _) => before = events,
            }
            if watch.elapsed() > TRAINING {
                bail!("the daemon does not come to rest: {status}");
            }
            if !quiet {
                sleep(PAUSE);
            }
        };
        while self.told < events {
            let line = self.events.receive(PATIENCE)?;
            let told: Value = serde_json::from_str(&line)?;
            if told.get("event").and_then(Value::as_str) == Some("caught_up") {
                continue;
            }
            let EventLine { seq, event } = serde_json::from_value(told).with_context(|| line.clone())?;
            (self.told, self.last_seq) = (self.told + 1, seq);
            if let EventKind::Latched { trip } = &event.kind
                && let Some(took) = self.acknowledged.get(&trip.at)
            {
                let micros = took.as_micros();
                self.measured.push(format!(
                    "the models were silent and it was on disk {micros} us after that trade was reported"
                ));
            }
            demo.event(seq, &event);
        }
        self.acknowledged.clear();
        Ok(())
    }

    fn reconnect(&mut self) -> anyhow::Result<()> {
        let client = || Client::new(self.daemon.socket(), PATIENCE);
        (self.signals, self.records, self.events) = (client(), client(), client());
        self.follow()
    }

    fn follow(&mut self) -> anyhow::Result<()> {
        let from = if self.told == 0 { 0 } else { self.last_seq + 1 };
        self.events.request(&json!({ "type": "subscribe", "from": from }), PATIENCE)?;
        Ok(())
    }
}

fn exchange(client: &mut Client, line: &str) -> anyhow::Result<Map<String, Value>> {
    client.send(&format!("{line}\n"), PATIENCE)?;
    Ok(serde_json::from_str(&client.receive(PATIENCE)?)?)
}
