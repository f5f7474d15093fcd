//! `vigie replay`: recorded trades through the running daemon's socket.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Failed, Outcome, SocketArgs,
    files::{Line, Lines, bar, bytes_bar, used},
    terminal::tell,
};
use crate::{
    actors::gateway,
    clock::Stopwatch,
    domain::{SignalLine, Timestamp, TradeId},
    protocol::client::Client,
    sim::execution::{Answered, Book},
};

/// How long one answer is waited for: a daemon whose time comes from the messages first does what follows from earlier
/// ones, and that may be a training.
const PATIENCE: Duration = gateway::TRAINING.saturating_add(Duration::from_secs(60));
/// Errors that are shown.
const EXAMPLES_SHOWN: usize = 10;

const EXAMPLES: &str = "\
Examples:
  vigie replay examples/signals.jsonl.gz
  vigie replay --speed 600 --socket /run/vigie/vigie.sock week.jsonl    ten minutes of market time a second
  vigie replay --window 1 --json trades.jsonl                           one request at a time, with its round trip";

/// Play recorded trades through the running daemon: each signal when it fired, each outcome when the trade closed
///
/// It does with the answers what a trader does: a trade that is answered with size 0 is let go, by a `skip`, and its outcome is
/// not sent; the outcome of any other carries the pnl of the file times the size that was answered. The file tells what the
/// strategy made at its own size. Every answer is checked against its request. At full speed several requests are under way
/// at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    /// Snapshots with their outcomes, one JSON object a line, plain or gzipped; `-` for standard input
    file: PathBuf,
    /// Market seconds in one second; without it, as fast as the daemon answers
    #[arg(long, value_name = "FACTOR", value_parser = positive)]
    speed: Option<f64>,
    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    window: u16,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

/// One request, and when it is due.
struct Step {
    at: Timestamp,
    trade_id: TradeId,
    line: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Outcome,
    Skip,
    Score,
}

/// What came back.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Lines of the file.
    lines: u64,
    /// Lines that are no snapshot.
    unreadable: u64,
    /// Requests sent.
    sent: u64,
    /// Signals that got a decision.
    scored: u64,
    /// Of these, by arm.
    arms: BTreeMap<String, u64>,
    /// Of these, by reason.
    reasons: BTreeMap<String, u64>,
    /// Outcomes acknowledged as durable.
    acknowledged: u64,
    /// Of these, known before.
    duplicates: u64,
    /// Of the new ones, those whose signal had been scored.
    matched: u64,
    /// Signals answered with size 0 and let go; their outcomes are not sent.
    let_go: u64,
    /// Requests refused, by code.
    refused: BTreeMap<String, u64>,
    /// The first of them.
    errors: Vec<String>,
    /// Seconds from the first request to the last answer.
    seconds: f64,
    /// Median round trip of a score in microseconds; with a window of 1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    score_p50_us: Option<f64>,
    /// 99th percentile of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    score_p99_us: Option<f64>,
}

fn positive(text: &str) -> Result<f64, String> {
    let factor: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if factor > 0.0 && factor.is_finite() { Ok(factor) } else { Err("it must be above 0".to_owned()) }
}

impl Replay {
    /// Runs the command.
    ///
    /// # Errors
    /// When the file cannot be read, no daemon answers, or an answer is not to its request; refused requests are in the
    /// summary.
    pub fn run(self) -> Outcome {
        let mut summary = Summary::default();
        let (steps, read) = read(&self.file, &mut summary)?;
        if steps.is_empty() {
            summary.tell(self.json)?;
            read?;
            return used(summary.lines, summary.unreadable);
        }
        let progress = bar(steps.len() as u64, "{bar:40} {pos}/{len} requests, {per_sec}, {eta} left");
        let watch = Stopwatch::start();
        let mut client = self.socket.client();
        let mut round_trips = Vec::new();
        let mut player =
            Player { client: &mut client, summary: &mut summary, round_trips: &mut round_trips, book: Book::default() };
        let played = match self.speed {
            Some(speed) => player.play_timed(&steps, speed, &progress),
            None => player.play(&steps, usize::from(self.window), &progress),
        };
        progress.finish_and_clear();
        summary.seconds = watch.elapsed().as_secs_f64();
        if self.speed.is_some() || self.window == 1 {
            summary.score_p50_us = crate::stats::describe::quantile(&round_trips, 0.5);
            summary.score_p99_us = crate::stats::describe::quantile(&round_trips, 0.99);
        }
        summary.tell(self.json)?;
        played?;
        // what was read before the file ended badly was played
        read?;
        if summary.unreadable > 0 || !summary.refused.is_empty() { Err(Failed::Refused) } else { Ok(()) }
    }
}

/// The requests of a file in the order of their times, of one time outcomes first, and whether it was read to its end.
fn read(path: &Path, summary: &mut Summary) -> anyhow::Result<(Vec<Step>, anyhow::Result<()>)> {
    let progress = bytes_bar([path]);
    let mut lines = Lines::open(path, &progress)?;
    let mut steps = Vec::new();
    let read = loop {
        let (number, line) = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        summary.lines += 1;
        let parsed = match line {
            Line::Text(text) => split(text),
            Line::TooLong => Err(anyhow::anyhow!("the line is too long")),
        };
        match parsed {
            Ok(of_line) => steps.extend(of_line),
            Err(error) => {
                summary.unreadable += 1;
                summary.note(format!("{}:{number}: {error}", path.display()));
            }
        }
    };
    progress.finish_and_clear();
    steps.sort_by_key(|step| (step.at, step.kind));
    Ok((steps, read))
}

/// The signal and the outcome of one line, as requests.
fn split(text: &[u8]) -> anyhow::Result<Vec<Step>> {
    let parsed = SignalLine::parse(text)?;
    let mut fields: Map<String, Value> = serde_json::from_slice(text)?;
    let outcome_fields = fields.remove("outcome_metrics");
    fields.insert("type".to_owned(), "score".into());
    let (at, trade_id) = (parsed.signal.at, parsed.signal.trade_id);
    let line = Value::Object(fields).to_string();
    let mut steps = vec![Step { at, trade_id: trade_id.clone(), line, kind: Kind::Score }];
    if let Some(outcome) = parsed.outcome {
        let line = json!({ "type": "outcome", "trade_id": trade_id, "outcome_metrics": outcome_fields }).to_string();
        // an outcome never comes before its signal, whatever the file says
        steps.push(Step { at: outcome.exit_at.max(at + Duration::from_nanos(1)), trade_id, line, kind: Kind::Outcome });
    }
    Ok(steps)
}

struct Player<'a> {
    client: &'a mut Client,
    summary: &'a mut Summary,
    round_trips: &'a mut Vec<f64>,
    book: Book,
}

impl Player<'_> {
    fn play(&mut self, steps: &[Step], window: usize, progress: &ProgressBar) -> anyhow::Result<()> {
        // answers come in order, so a score sent behind an outcome would wait for the disk: it is sent after the answer. What is
        // sent of an outcome depends on the answer to its signal
        let runs = steps.chunk_by(|step, next| step.kind == next.kind);
        for steps in runs.flat_map(|run| run.chunks(window)) {
            self.perform(steps)?;
            progress.inc(steps.len() as u64);
        }
        Ok(())
    }

    fn play_timed(&mut self, steps: &[Step], speed: f64, progress: &ProgressBar) -> anyhow::Result<()> {
        let Some(first) = steps.first() else { return Ok(()) };
        let watch = Stopwatch::start();
        for step in steps {
            let due = step.at.duration_since(first.at).as_secs_f64() / speed;
            thread::sleep(Duration::from_secs_f64(due.max(0.0)).saturating_sub(watch.elapsed()));
            self.perform(std::slice::from_ref(step))?;
            progress.inc(1);
        }
        Ok(())
    }

    /// Sends steps of one kind as far as a trader would, and then what is to be let go by the answers.
    fn perform(&mut self, steps: &[Step]) -> anyhow::Result<()> {
        let request = |step: &Step| match step.kind {
            Kind::Score | Kind::Skip => Some(step.line.clone()),
            Kind::Outcome => self.book.outcome(&step.trade_id, &step.line),
        };
        let due: Vec<(&Step, String)> = steps.iter().filter_map(|step| Some((step, request(step)?))).collect();
        let skips = self.exchange(&due)?;
        if skips.is_empty() { Ok(()) } else { self.perform(&skips) }
    }

    fn exchange(&mut self, due: &[(&Step, String)]) -> anyhow::Result<Vec<Step>> {
        let lines: String = due.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
        let watch = Stopwatch::start();
        self.client.send(&lines, PATIENCE)?;
        self.summary.sent += due.len() as u64;
        let mut skips = Vec::new();
        for (step, _) in due {
            let answer = self.client.receive(PATIENCE)?;
            if due.len() == 1 && step.kind == Kind::Score {
                self.round_trips.push(watch.elapsed().as_secs_f64() * 1e6);
            }
            let answer = serde_json::from_str(&answer)?;
            self.summary.take(step, &answer)?;
            if step.kind == Kind::Score {
                let skip = self.book.answered(&step.trade_id, answered(&answer));
                let (at, trade_id, kind) = (step.at, step.trade_id.clone(), Kind::Skip);
                skips.extend(skip.map(|line| Step { at, trade_id, line, kind }));
            }
        }
        Ok(skips)
    }
}

/// What a trader makes of the answer to a signal: without a size in it, the strategy alone.
fn answered(answer: &Map<String, Value>) -> Answered {
    let field = |name: &str| answer.get(name).cloned().unwrap_or_default();
    match (serde_json::from_value(field("arm")), field("size").as_f64()) {
        (Ok(arm), Some(size)) => Answered { arm, size },
        _ => Answered::ALONE,
    }
}

impl Summary {
    fn take(&mut self, step: &Step, answer: &Map<String, Value>) -> anyhow::Result<()> {
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let holds = |name: &str| answer.get(name) == Some(&Value::Bool(true));
        if let Some(error) = answer.get("error") {
            let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            *self.refused.entry(field("code")).or_default() += 1;
            self.note(format!("{}: {}", step.trade_id, field("message")));
            return Ok(());
        }
        if text("trade_id") != step.trade_id.as_str() {
            anyhow::bail!("the answers are out of order: {} came in the place of {}", text("trade_id"), step.trade_id);
        }
        if step.kind == Kind::Score {
            self.scored += 1;
            *self.arms.entry(text("arm")).or_default() += 1;
            *self.reasons.entry(text("reason")).or_default() += 1;
            return Ok(());
        }
        anyhow::ensure!(holds("durable"), "what was told of {} was answered and is not durable", step.trade_id);
        if step.kind == Kind::Skip {
            self.let_go += 1;
        } else {
            self.acknowledged += 1;
            self.duplicates += u64::from(holds("duplicate"));
            self.matched += u64::from(holds("matched"));
        }
        Ok(())
    }

    fn note(&mut self, error: String) {
        if self.errors.len() < EXAMPLES_SHOWN {
            self.errors.push(error);
        }
    }

    fn tell(&self, as_json: bool) -> io::Result<()> {
        if as_json { tell(serde_json::to_string(self)?) } else { self.print() }
    }

    fn print(&self) -> io::Result<()> {
        let list = |counts: &BTreeMap<String, u64>| {
            let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
        };
        let rate = self.sent as f64 / self.seconds.max(1e-9);
        tell(format_args!(
            "{} lines, {} requests in {:.2} s ({rate:.0} a second)",
            self.lines, self.sent, self.seconds
        ))?;
        tell(format_args!(
            "signals   {} answered; arms: {}; reasons: {}",
            self.scored,
            list(&self.arms),
            list(&self.reasons)
        ))?;
        tell(format_args!(
            "outcomes  {} acknowledged, {} of them known before, {} matched; {} signals let go",
            self.acknowledged, self.duplicates, self.matched, self.let_go
        ))?;
        if let (Some(p50), Some(p99)) = (self.score_p50_us, self.score_p99_us) {
            tell(format_args!("scores    round trip p50 {p50:.0} us, p99 {p99:.0} us"))?;
        }
        if self.unreadable > 0 || !self.refused.is_empty() {
            tell(format_args!(
                "refused   {} unreadable lines; by the daemon: {}",
                self.unreadable,
                list(&self.refused)
            ))?;
            self.errors.iter().try_for_each(|error| tell(format_args!("  {error}")))?;
        }
        Ok(())
    }
}
