//! `vigie phases`: which levels of models the data allow.

use anyhow::anyhow;
use clap::Args;

use super::{JournalArgs, Outcome, named, terminal::tell};
use crate::{
    domain::Symbol,
    models::Target,
    portfolio::{Held, PORTFOLIO_DAYS, PORTFOLIO_SYMBOLS},
    recall::phases::{PortfolioTold, phases},
};

/// Show which levels of models may be trained, GO or NO-GO, with the evidence condition by condition
///
/// Reads the journal, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vigie phases\n  vigie phases --symbol NQ --target signal_quality --json")]
pub struct Phases {
    /// Whose trades
    #[arg(long, default_value = "ES", value_parser = |text: &str| Symbol::new(text))]
    symbol: Symbol,
    /// For models of what [default: training.target]
    #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Target::ALL.map(Target::name)))]
    target: Option<String>,
    #[command(flatten)]
    from: JournalArgs,
}

impl Phases {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn run(self) -> Outcome {
        let (config, reader) = self.from.reader()?;
        let target = self.target.as_deref().and_then(Target::named);
        let found = phases(&reader, &config, &self.symbol, target).map_err(anyhow::Error::msg)?;
        let found = found.ok_or_else(|| anyhow!("{}", named::unknown(&config, &self.symbol)))?;
        if self.from.json {
            tell(serde_json::to_value(&found)?)?;
            return Ok(());
        }
        tell(format_args!("{}, {}", found.symbol, found.target))?;
        for verdict in &found.levels {
            tell(verdict)?;
            if !verdict.go && found.allowed.contains(&verdict.level) {
                tell("  opened by training.allow_levels")?;
            }
        }
        let PortfolioTold { go, proven, versions, .. } = &found.portfolio;
        tell(format_args!("portfolio: {}", if *go { "GO" } else { "NO-GO" }))?;
        let mark = if *go { "met    " } else { "not met" };
        tell(format_args!(
            "  {mark}  symbols whose version passed its gates and held production for {PORTFOLIO_DAYS} days: {proven}, needs >= \
             {PORTFOLIO_SYMBOLS}"
        ))?;
        versions.iter().try_for_each(|held| tell(format_args!("           {}", in_words(held))))?;
        tell(
            "reinforcement_learning: NO-GO\n  it needs a proven portfolio and a model of the market; neither is there",
        )?;
        Ok(())
    }
}

fn in_words(held: &Held) -> String {
    let Held { version, days, overridden, speaks, .. } = held;
    let past = if *overridden { ", past a gate" } else { "" };
    let silent = if *speaks { "" } else { ", kept silent" };
    format!("{version}: {days:.0} days in production{past}{silent}")
}
