//! `vigie compare`: two versions on the same trades.

use clap::Args;

use super::{JournalArgs, Outcome, terminal::tell};
use crate::{
    domain::VersionId,
    recall::{history, learning::settings, versions::record},
    validation::versus::compare,
};

const EXAMPLES: &str = "\
Examples:
  vigie compare ES/3 ES/4
  vigie compare ES/3 ES/4 --state /var/lib/vigie --json
  vigie models diff ES/3 ES/4               in what their records differ";

/// Compare two versions on the trades that neither learnt from
///
/// Both score the same closed trades, of the time since both were trained, in which no model was heard. Each difference (log loss, Brier score,
/// accuracy, and the money made under each one's policy) is paired trade by trade and has a 95 % interval over trading days. Reads
/// the journal, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Compare {
    /// One version, such as ES/14
    first: VersionId,
    /// The other
    second: VersionId,
    #[command(flatten)]
    from: JournalArgs,
}

impl Compare {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read, a version cannot be used, or no trade is new to both.
    pub fn run(self) -> Outcome {
        let (config, reader) = self.from.reader()?;
        let read = |version: &VersionId| record(&reader, version).map_err(anyhow::Error::msg);
        let (first, second) = (read(&self.first)?, read(&self.second)?);
        let history = history::read(&reader).map_err(anyhow::Error::msg)?;
        let found = compare(&first, &second, &history, &settings(&config))?;
        if self.from.json {
            tell(serde_json::to_value(&found)?)?;
        } else {
            tell(found.to_string().trim_end())?;
        }
        Ok(())
    }
}
