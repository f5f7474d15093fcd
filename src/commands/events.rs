//! `vigie events`: everything that happened and happens, line by line.

use std::{io::Write as _, time::Duration};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Outcome, PATIENCE, SocketArgs,
    terminal::{Output, harmless, on_one_line},
};
use crate::{
    domain::Event,
    protocol::{
        client::{Client, ClientError},
        message::WireError,
    },
};

/// How long to wait for something to happen: longer than anybody looks on.
const FOREVER: Duration = Duration::from_secs(1 << 31);

const EXAMPLES: &str = "\
Examples:
  vigie events
  vigie events --follow
  vigie events --follow --from 120        nothing is missed after a line whose number was 119
  vigie events --follow --decisions --json | jq 'select(.event == \"decision\") | .reason'";

/// Tell what happened: alerts, steps in the life of versions, locks, trainings, restarts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Events {
    /// Go on with what happens, until the daemon ends
    #[arg(long)]
    follow: bool,
    /// Begin with this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from: u64,
    /// Tell decisions as well, from now on
    #[arg(long, requires = "follow")]
    decisions: bool,
    /// Print the lines as they come, one JSON object each
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

#[derive(Deserialize)]
struct EventLine {
    seq: u64,
    #[serde(flatten)]
    event: Event,
}

impl Events {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers, or it ends while it is followed.
    pub fn run(self) -> Outcome {
        let mut client = self.socket.client();
        let request = json!({ "type": "subscribe", "from": self.from, "decisions": self.decisions });
        client.request(&request, PATIENCE)?;
        while let Some(line) = self.next(&mut client)? {
            // when what reads this has gone away, nobody follows any more
            let line = if self.json { line } else { on_one_line(&in_words(&line)?) };
            writeln!(Output::new(), "{}", harmless(&line))?;
        }
        Ok(())
    }

    /// The next line that tells something; `None` when all is told that was asked for.
    fn next(&self, client: &mut Client) -> anyhow::Result<Option<String>> {
        loop {
            let line = client.receive(if self.follow { FOREVER } else { PATIENCE })?;
            let told: Value = serde_json::from_str(&line)?;
            if let Some(error) = told.get("error") {
                return Err(ClientError::Refused(serde_json::from_value::<WireError>(error.clone())?).into());
            }
            match told.get("event").and_then(Value::as_str) {
                Some("caught_up") if self.follow => {}
                Some("caught_up") => return Ok(None),
                _ => return Ok(Some(line)),
            }
        }
    }
}

fn in_words(line: &str) -> anyhow::Result<String> {
    let told: Value = serde_json::from_str(line)?;
    let drill = if told.get("drill") == Some(&Value::Bool(true)) { "DRILL " } else { "" };
    if let Ok(EventLine { seq, event }) = serde_json::from_str(line) {
        return Ok(format!("{drill}#{seq} {:.0} {}", event.at, event.kind));
    }
    let text = |name: &str| match told.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "-".to_owned(),
    };
    let event = text("event");
    Ok(match event.as_str() {
        "decision" => format!(
            "{drill}#{} {} decision {}: {} {}, size {}",
            text("seq"),
            text("at"),
            text("trade_id"),
            text("arm"),
            text("reason"),
            text("size")
        ),
        _ => format!("{drill}#{} {event}: {}", text("seq"), text("what")),
    })
}
