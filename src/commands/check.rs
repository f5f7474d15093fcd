//! `vigie check`: is this configuration in order?

use std::path::PathBuf;

use clap::Args;

use super::{Outcome, load_config, terminal::tell};

const EXAMPLES: &str = "\
Examples:
  vigie check config.toml             all faults at once, each with its line
  vigie check --json my.toml | jq .   every value in force, defaults included";

/// Check a configuration file, and say what would be in force
///
/// A file need only hold what differs from the built-in configuration.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// The file
    file: PathBuf,
    /// Print every value in force as one JSON object
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Runs the command.
    ///
    /// # Errors
    /// When the file cannot be read or is not in order.
    pub fn run(self) -> Outcome {
        let config = load_config(&self.file)?;
        if self.json {
            let values: serde_json::Map<String, serde_json::Value> =
                config.entries().into_iter().map(|(key, value)| (key, value.into())).collect();
            tell(serde_json::json!({ "hash": config.hash(), "values": values }))?;
        } else {
            tell(format_args!(
                "{}: in order, {} values, hash {}",
                self.file.display(),
                config.entries().len(),
                config.hash()
            ))?;
        }
        Ok(())
    }
}
