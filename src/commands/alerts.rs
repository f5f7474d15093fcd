//! `vigie alerts`: what a person should know.

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Outcome, PATIENCE, SocketArgs, named,
    terminal::{tell, tell_line},
};
use crate::{
    domain::{Timestamp, event::Level},
    protocol::message::MOST_ALERTS,
};

const EXAMPLES: &str = "\
Examples:
  vigie alerts
  vigie alerts --level critical --limit 5
  vigie alerts --since 2026-11-02
  vigie alerts --since 2026-11-02T15:00:00Z --json | jq '.[].message'";

/// List the alerts of the running daemon, newest last
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Alerts {
    /// So many at most, the latest ones
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=MOST_ALERTS as u64))]
    limit: u64,
    /// None that are less urgent
    #[arg(long, value_enum)]
    level: Option<LevelArg>,
    /// None from before this time; a date alone is its midnight in UTC
    #[arg(long, value_name = "TIME", value_parser = named::time_or_date)]
    since: Option<Timestamp>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LevelArg {
    Info,
    Warning,
    Critical,
}

/// An alert as it is answered.
#[derive(Debug, Deserialize)]
struct AlertLine {
    #[serde(default)]
    drill: bool,
    seq: u64,
    at: Timestamp,
    level: Level,
    code: String,
    message: String,
}

impl Alerts {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers.
    pub fn run(self) -> Outcome {
        let level = self.level.map(|level| match level {
            LevelArg::Info => Level::Info,
            LevelArg::Warning => Level::Warning,
            LevelArg::Critical => Level::Critical,
        });
        let request = json!({ "type": "alerts", "limit": self.limit, "level": level, "since": self.since });
        let mut answer = self.socket.client().request(&request, PATIENCE)?;
        let alerts = answer.remove("alerts").unwrap_or_default();
        if self.json {
            tell(alerts)?;
            return Ok(());
        }
        let alerts: Vec<AlertLine> = serde_json::from_value(alerts)?;
        if alerts.is_empty() {
            tell("no alerts")?;
        }
        for AlertLine { drill, seq, at, level, code, message } in alerts {
            let drill = if drill { "DRILL " } else { "" };
            tell_line(format_args!("{drill}#{seq} {at:.0} {level} {code}: {message}"))?;
        }
        match answer.get("unreadable").and_then(Value::as_u64) {
            Some(0) | None => {}
            Some(count) => tell(format_args!("{count} events of the journal cannot be read; restore a backup"))?,
        }
        Ok(())
    }
}
