//! `vigie score`: one signal through the running daemon.

use std::{io::Read, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value};

use super::{Failed, Outcome, SocketArgs, terminal::tell};
use crate::{
    domain::Reason,
    protocol::client::{ClientError, DEFAULT_DEADLINE},
};

const EXAMPLES: &str = "\
Examples:
  vigie score examples/signal.json
  jq .signal today.json | vigie score - --deadline-ms 50 --json";

/// Score one signal with the running daemon
///
/// The file holds one snapshot, without its outcome. When the daemon does not answer in time the neutral answer is
/// printed, as a trader's client would take it, and the exit code is 4.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Score {
    /// The snapshot, one JSON object; `-` for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// How long to wait, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = DEFAULT_DEADLINE.as_millis() as u64)]
    deadline_ms: u64,
    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Score {
    /// Runs the command.
    ///
    /// # Errors
    /// When the file cannot be read, the daemon refuses the signal, or does not answer.
    pub fn run(self) -> Outcome {
        let text = if self.file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin().take(1 << 20)).context("standard input cannot be read")?
        } else {
            std::fs::read_to_string(&self.file).with_context(|| format!("{} cannot be read", self.file.display()))?
        };
        let text = text.trim_start_matches('\u{feff}');
        // on one line, and refused here if it is no object
        let signal: Map<String, Value> = serde_json::from_str(text).context("the signal is not one JSON object")?;
        let socket = self.socket.found();
        let mut client = socket.client(Duration::from_millis(self.deadline_ms));
        let answer = client.score(&Value::Object(signal).to_string());
        let confidence = answer.confidence.map(f64::from);
        if self.json {
            tell(serde_json::to_string(&answer)?)?;
        } else {
            let model = answer.model.as_deref().unwrap_or("none");
            let confidence = confidence.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"));
            tell(format_args!("arm         {}", answer.arm.name()))?;
            tell(format_args!("confidence  {confidence}"))?;
            tell(format_args!("score       {:.4}", answer.score.get()))?;
            tell(format_args!("size        {:.4}", answer.size))?;
            tell(format_args!("model       {model}"))?;
            tell(format_args!("reason      {}", answer.reason.name()))?;
        }
        match (answer.error, answer.reason) {
            (Some(error), _) => Err(anyhow::anyhow!("the daemon refused the signal: {error}").into()),
            (None, Reason::Deadline) if !answer.ok => {
                let why = std::io::Error::other(format!(
                    "none came within {} ms, so this is the neutral answer of the client; --deadline-ms waits longer",
                    self.deadline_ms
                ));
                let named_by = socket.how.words();
                Err(Failed::NoDaemon(ClientError::Lost { path: socket.path, named_by, why }))
            }
            (None, Reason::Unreachable) if !answer.ok => {
                let why = std::io::Error::other("this is the neutral answer of the client");
                Err(Failed::NoDaemon(ClientError::Unreachable { path: socket.path, named_by: socket.how.words(), why }))
            }
            _ => Ok(()),
        }
    }
}
