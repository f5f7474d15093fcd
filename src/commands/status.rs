//! `vigie status`: how is the daemon?

use clap::Args;
use serde_json::{Value, json};

use super::{
    Outcome, PATIENCE, SocketArgs,
    terminal::{self, tell},
};

const EXAMPLES: &str = "\
Examples:
  vigie status
  vigie status --json | jq .counts";

/// Show the state and the counters of the running daemon
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Status {
    /// Print everything as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Status {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers.
    pub fn run(self) -> Outcome {
        let answer = self.socket.client().request(&json!({ "type": "status" }), PATIENCE)?;
        let status = answer.get("status").cloned().unwrap_or_default();
        if self.json {
            tell(&status)?;
        } else {
            tell(describe(&status).trim_end())?;
        }
        Ok(())
    }
}

fn describe(status: &Value) -> String {
    let text = |pointer: &str| match status.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(Value::Number(number)) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        Some(value) => value.to_string(),
    };
    let journal = match status.pointer("/journal/error") {
        Some(Value::String(error)) => format!("FAILING: {error}"),
        _ => "in order".to_owned(),
    };
    let lock = match status.pointer("/guardian/lock") {
        Some(Value::String(reason)) => format!("LOCKED to the baseline: {reason}"),
        Some(_) => "as the versions below say".to_owned(),
        None => "LOCKED to the baseline: the guardian is being made anew".to_owned(),
    };
    let mut rows: Vec<Vec<String>> = [
        ("vigie", format!("{}, up {} s, configuration {}", text("/version"), text("/uptime_s"), text("/config_hash"))),
        ("serving", lock),
        (
            "journal",
            format!(
                "{journal}, {} waiting, {} dropped, {} commits",
                text("/journal/waiting"),
                text("/journal/dropped"),
                text("/journal/commits")
            ),
        ),
        ("signals", format!("{} stored, {} with a decision", text("/counts/signals"), text("/counts/decisions"))),
        ("outcomes", format!("{} stored, {} skips", text("/counts/outcomes"), text("/counts/skips"))),
        ("answers", format!("{} since the start, {} requests at fault", text("/scorer/answered"), text("/rejected"))),
        (
            "latency",
            format!(
                "p50 {} us, p99 {} us, longest {} us",
                text("/scorer/p50_us"),
                text("/scorer/p99_us"),
                text("/scorer/max_us")
            ),
        ),
        ("sockets", format!("{} open, {} refused", text("/connections"), text("/refused"))),
        ("restarts", text("/restarts")),
    ]
    .into_iter()
    .map(|(name, value)| vec![name.to_owned(), value])
    .collect();
    if let Some(Value::Object(reasons)) = status.pointer("/scorer/by_reason") {
        rows.extend(reasons.iter().map(|(reason, count)| vec![format!("  {reason}"), count.to_string()]));
    }
    for version in status.pointer("/guardian/versions").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| version.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        let flag = |name: &str| version.get(name) == Some(&Value::Bool(true));
        let marks = [(flag("scoring"), ", scoring"), (flag("overridden"), ", a gate was overridden")];
        let marks: String = marks.into_iter().filter_map(|(set, mark)| set.then_some(mark)).collect();
        rows.push(vec![field("version"), format!("{}{marks}", field("state"))]);
    }
    terminal::table(&rows)
}
