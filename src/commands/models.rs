//! `vigie models`: the registered versions.

use clap::Args;
use serde_json::json;

use super::{
    ConfigArgs, Outcome, PATIENCE, SocketArgs, StateArgs,
    registry::Question,
    source::of_folder,
    terminal::{self, tell},
};
use crate::recall::versions::{VersionSummary, roster, summaries};

const EXAMPLES: &str = "\
Examples:
  vigie models
  vigie models --state /var/lib/vigie --offline
  vigie models show ES/3
  vigie models diff ES/3 ES/4
  vigie models at 2026-11-02T15:00:00Z --signal examples/signal.json
  vigie models --json | jq '.[] | select(.state == \"production\")'";

/// List the registered model versions and where each stands
///
/// A daemon says it: that of the folder that --state names, else the one that --socket or the environment does. With --offline
/// the journal in the state folder is read instead.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Models {
    #[command(subcommand)]
    question: Option<Question>,
    /// Read the journal in the state folder instead of asking the daemon
    #[arg(long)]
    offline: bool,
    /// Print the list as one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    socket: SocketArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

impl Models {
    /// Runs the command.
    ///
    /// # Errors
    /// When neither a daemon answers nor a journal can be read.
    pub fn run(self) -> Outcome {
        if let Some(question) = self.question {
            return question.answer();
        }
        let models: Vec<VersionSummary> = if self.offline {
            let reader = of_folder(&self.state.found(), &self.config.load()?)?;
            let roster = roster(&reader).map_err(anyhow::Error::msg)?;
            let standings = roster.versions().map(|(version, standing)| (version.clone(), standing)).collect();
            summaries(&reader, &standings).map_err(anyhow::Error::msg)?
        } else {
            let answer = self.socket.client_of(&self.state).request(&json!({ "type": "models" }), PATIENCE)?;
            serde_json::from_value(answer.get("models").cloned().unwrap_or_default())?
        };
        if self.json {
            tell(serde_json::to_string(&models)?)?;
        } else if models.is_empty() {
            tell("no model was trained yet; see `vigie train --help`")?;
        } else {
            tell(describe(&models).trim_end())?;
        }
        Ok(())
    }
}

fn describe(models: &[VersionSummary]) -> String {
    let head =
        ["version", "state", "kind", "target", "trained", "trades", "test AUC", "yes from", "test accuracy", "note"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for model in models {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let note = match (&model.error, model.overridden) {
            (Some(error), _) => error.clone(),
            (None, true) => "a gate was overridden".to_owned(),
            (None, false) => String::new(),
        };
        rows.push(vec![
            model.version.to_string(),
            model.state.to_string(),
            text(&model.kind),
            text(&model.target),
            model.created_at.map_or_else(|| "-".to_owned(), |at| format!("{at:.0}")),
            model.training_rows.map_or_else(|| "-".to_owned(), |rows| rows.to_string()),
            terminal::figure(model.metrics.get("test_auc")),
            terminal::figure(model.metrics.get("decision_point")),
            terminal::figure(model.metrics.get("test_accuracy")),
            note,
        ]);
    }
    terminal::table(&rows)
}
