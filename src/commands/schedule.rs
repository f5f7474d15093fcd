//! `vigie schedule`: what recurs by the clocks of the exchange, what it found, and what is due.

use std::{collections::BTreeMap, thread, time::Duration};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::{JournalArgs, Outcome, PATIENCE, SocketArgs, change, terminal::tell};
use crate::{
    actors::{
        daemon::of_schedule,
        jobs::{JobStatus, Run},
    },
    clock::{Clock as _, WallClock},
    domain::{Event, EventKind, Timestamp},
    journal::Reader,
    protocol::client::Client,
    recall::{events, versions},
};

/// Pause between two questions of whether a run has ended.
const POLL: Duration = Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  vigie schedule
  vigie schedule --runs 20 --json | jq '.jobs[] | {name, next, last}'
  vigie schedule run data_quality
  vigie schedule run retraining --detach";

/// Show what recurs by the clocks of the exchange: what ran, what it found and why, and what is due next
///
/// Reads the journal, also beside the daemon; name the daemon's configuration with --config. `vigie schedule run NAME` has the daemon
/// run one now.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Schedule {
    #[command(subcommand)]
    order: Option<ScheduleOrder>,
    /// Latest runs of each job that are told
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    runs: u16,
    #[command(flatten)]
    from: JournalArgs,
}

#[derive(Debug, Subcommand)]
enum ScheduleOrder {
    Run(RunNow),
}

/// Have the daemon run a job of the schedule now, and say what it found
///
/// One run at a time, and none in an emergency. It counts for what was due. A retraining may take as long as a training does.
#[derive(Debug, Args)]
struct RunNow {
    /// Which: data_quality, review or retraining
    name: String,
    /// Do not wait for its end
    #[arg(long)]
    detach: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

/// What is told.
#[derive(Debug, Serialize)]
struct Told {
    /// Why nothing begins by itself, if a lock or an emergency holds.
    emergency: Option<String>,
    /// Whether these are quiet hours, in which nothing begins by itself.
    quiet: bool,
    jobs: Vec<ToldJob>,
}

#[derive(Debug, Serialize)]
struct ToldJob {
    #[serde(flatten)]
    status: JobStatus,
    /// The latest runs that ended and are events of the journal, newest first.
    history: Vec<PastRun>,
}

#[derive(Debug, Clone, Serialize)]
struct PastRun {
    began: Timestamp,
    ended: Timestamp,
    why: String,
    found: String,
    failed: bool,
}

impl Schedule {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read; of a run that was ordered, when the daemon refuses it or it fails.
    pub fn run(self) -> Outcome {
        if let Some(ScheduleOrder::Run(order)) = self.order {
            return order.run();
        }
        let (config, reader) = self.from.reader()?;
        let mut past = past(&reader, usize::from(self.runs))?;
        let job = |status: JobStatus| {
            let history = past.remove(status.name).unwrap_or_default();
            ToldJob { status, history }
        };
        let told = Told {
            emergency: emergency(&reader)?,
            quiet: config.schedule.quiet.includes(config.calendar.zone(), WallClock.now()),
            jobs: of_schedule(&reader, &config)?.into_iter().map(job).collect(),
        };
        if self.from.json {
            tell(serde_json::to_value(&told)?)?
        } else {
            print(&told)?
        }
        Ok(())
    }
}

/// The latest ended runs of each job, newest first.
fn past(reader: &Reader, most: usize) -> anyhow::Result<BTreeMap<String, Vec<PastRun>>> {
    let mut past: BTreeMap<String, Vec<PastRun>> = BTreeMap::new();
    for stored in events::in_force(reader)? {
        let Event { at, kind } = stored?.event;
        if let EventKind::Ran { job, began, why, found, failed } = kind {
            past.entry(job.into()).or_default().push(PastRun { began, ended: at, why, found, failed });
        }
    }
    for runs in past.values_mut() {
        runs.drain(..runs.len().saturating_sub(most));
        runs.reverse();
    }
    Ok(past)
}

/// Why nothing begins by itself, as the journal has it.
fn emergency(reader: &Reader) -> anyhow::Result<Option<String>> {
    let roster = versions::roster(reader).map_err(anyhow::Error::msg)?;
    let silenced = roster.plan().into_keys().find_map(|symbol| roster.silenced(&symbol));
    Ok(roster.lock().map(|reason| format!("serving is locked: {reason}")).or(silenced))
}

fn print(told: &Told) -> std::io::Result<()> {
    if let Some(emergency) = &told.emergency {
        tell(format_args!("nothing begins: {emergency}"))?;
    } else if told.quiet {
        tell("nothing begins by itself: these are quiet hours")?;
    }
    for ToldJob { status, history } in &told.jobs {
        tell(format_args!("{}: {}", status.name, status.when))?;
        tell(format_args!("  it {}", status.does))?;
        if status.running {
            tell("  a run is under way, or was when its daemon was killed")?;
        }
        if let Some(since) = status.waits_since {
            tell(format_args!("  due     since {since:.0}, and not begun: no daemon runs, or it waits"))?;
        }
        if let Some(next) = status.next {
            tell(format_args!("  next    {next:.0}"))?;
        }
        // one that was cut short is no event
        let is_told = |last: &Run| history.first().is_some_and(|run| run.began == last.at);
        if let Some(last) = status.last.as_ref().filter(|last| !is_told(last)) {
            tell(format_args!("  ran     {:.0}: {}\n          because {}", last.at, last.found, last.why))?;
        }
        for run in history {
            let failed = if run.failed { "failed: " } else { "" };
            tell(format_args!("  ran     {:.0}: {failed}{}\n          because {}", run.began, run.found, run.why))?;
        }
        if history.is_empty() && status.last.is_none() {
            tell("  ran     never")?;
        }
    }
    Ok(())
}

impl RunNow {
    fn run(self) -> Outcome {
        let mut client = self.socket.client();
        let before = self.runs(&mut client)?;
        let answer = change::send(&mut client, &json!({ "type": "schedule_run", "job": self.name }))?;
        if self.detach {
            if self.json {
                tell(Value::Object(answer))?
            } else {
                tell("it has begun")?
            }
            return Ok(());
        }
        loop {
            let job = self.status(&mut client)?;
            let count = |job: &Value| job.get("runs").and_then(Value::as_u64);
            if count(&job) == before {
                thread::sleep(POLL);
                continue;
            }
            let last = job.get("last").cloned().unwrap_or_default();
            let found = last.get("found").and_then(Value::as_str).unwrap_or_default();
            if job.get("last_failure") == Some(&last) {
                return Err(anyhow!("{}: {found}", self.name).into());
            }
            if self.json {
                tell(last)?
            } else {
                tell(found)?
            }
            return Ok(());
        }
    }

    /// How often it ran since the daemon's start.
    fn runs(&self, client: &mut Client) -> anyhow::Result<Option<u64>> {
        Ok(self.status(client)?.get("runs").and_then(Value::as_u64))
    }

    /// What the daemon says of the job; nothing of one that it does not know.
    fn status(&self, client: &mut Client) -> anyhow::Result<Value> {
        let answer = client.request(&json!({ "type": "status" }), PATIENCE)?;
        let jobs = answer.get("status").and_then(|status| status.get("jobs")).and_then(Value::as_array);
        let own = |job: &&Value| job.get("name").and_then(Value::as_str) == Some(&self.name);
        Ok(jobs.into_iter().flatten().find(own).cloned().unwrap_or_default())
    }
}
