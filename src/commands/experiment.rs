//! `vigie experiment`: how versions on trial stand.

use clap::Args;
use serde_json::{Value, json};

use super::{Outcome, PATIENCE, SocketArgs, terminal::tell};
use crate::domain::VersionId;

/// Show how versions on trial stand: the staging gate, the A/B test, production against its holdback
///
/// Of a test both views are shown, the paired one (the same trades under both policies) and the randomised one (the two
/// arms), with intervals, the evidence over all looks, the power it has, and what is missing for a decision.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vigie experiment\n  vigie experiment ES/14 --json")]
pub struct Experiment {
    /// One version, also one whose test is over; without it all that are on trial now
    version: Option<VersionId>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
}

impl Experiment {
    /// Runs the command.
    ///
    /// # Errors
    /// When no daemon answers or it refuses.
    pub fn run(self) -> Outcome {
        let mut request = json!({ "type": "experiment" });
        if let (Some(version), Value::Object(fields)) = (&self.version, &mut request) {
            fields.insert("version".to_owned(), json!(version));
        }
        let answer = self.socket.client().request(&request, PATIENCE)?;
        if self.json {
            tell(Value::Object(answer))?;
            return Ok(());
        }
        let trials = answer.get("trials").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if trials.is_empty() {
            tell("no version is on trial; `vigie promote` brings one into staging")?;
        }
        for trial in trials {
            let text = |key: &str| trial.get(key).and_then(Value::as_str).unwrap_or_default();
            let (version, state, since) = (text("version"), text("state"), text("since"));
            tell(format_args!("{version}, {state}: {} since {since}", text("trial")))?;
            tell(text("text").trim_end())?;
            tell("")?;
        }
        Ok(())
    }
}
