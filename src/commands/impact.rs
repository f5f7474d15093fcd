//! `vigie impact`: what the ML layer changed.

use clap::Args;
use serde_json::json;

use super::{JournalArgs, Outcome, named, terminal::tell};
use crate::{
    domain::{Symbol, Timestamp, VersionId},
    recall::{fold, history},
    trials::{
        experiment::{Comparing, ImpactOptions, impact},
        groups::{Groups, Past},
    },
};

const EXAMPLES: &str = "\
Examples:
  vigie impact
  vigie impact --version ES/3 --json
  vigie impact --since 2026-03-02
  vigie impact --before 2026-02-01T00:00:00Z --since 2026-03-02T00:00:00Z";

/// Show what the ML layer changed: win rate, pnl, Sharpe ratio, drawdown, slippage, each with its interval
///
/// Compares the signals that chance gave to the ML arm with those it left to the strategy alone. With --since or --before
/// it compares two periods instead, imported trades included; that is no experiment: whatever else changed between them
/// is in every figure. Reads the journal, also beside the daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImpactArgs {
    /// Compare the arms of the journal's decisions [default, unless a period is named]
    #[arg(long, conflicts_with_all = ["since", "before"])]
    arm: bool,
    /// Beginning of the period with the ML layer; a date alone is its midnight in UTC [default: the end of the one before]
    #[arg(long, value_name = "TIME", value_parser = named::time_or_date)]
    since: Option<Timestamp>,
    /// End of the period before [default: the beginning of the other]
    #[arg(long, value_name = "TIME", value_parser = named::time_or_date)]
    before: Option<Timestamp>,
    /// Of the arms: only those of this version's test and holdback
    #[arg(long, conflicts_with_all = ["since", "before"])]
    version: Option<VersionId>,
    /// Whose trades [default: those of the version's symbol, else ES]
    #[arg(long, value_parser = |text: &str| Symbol::new(text))]
    symbol: Option<Symbol>,
    #[command(flatten)]
    from: JournalArgs,
}

impl ImpactArgs {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read, or the periods overlap.
    pub fn run(self) -> Outcome {
        let symbol = named::symbol_of(self.symbol.as_ref(), self.version.as_ref())?;
        let (config, reader) = self.from.reader()?;
        if let Some(version) = &self.version {
            named::version(&reader, version)?;
        }
        if !config.symbols.contains_key(&symbol) {
            let is_there = reader.signals()?.flatten().any(|stored| stored.signal.symbol == symbol);
            named::symbol(&config, &symbol, usize::from(is_there))?;
        }
        let mut past = Past::new(Some(symbol.clone()), self.version.clone());
        fold::each(&reader, &config, &mut |happening| past.hear(happening)).map_err(anyhow::Error::msg)?;
        let (comparing, groups) = match self.since.or(self.before) {
            None => (Comparing::Arms, past.by_arm()),
            Some(boundary) => {
                let (before, since) = (self.before.unwrap_or(boundary), self.since.unwrap_or(boundary));
                if before > since {
                    return Err(anyhow::anyhow!("--before {before} lies after --since {since}").into());
                }
                let was_answered = |trade_id: &_| past.was_answered(trade_id);
                let imported = history::imported(&reader, &symbol, &config.calendar, was_answered);
                (Comparing::Periods, past.by_period(imported.map_err(anyhow::Error::msg)?, before, since))
            }
        };
        let Groups { ml, baseline, counts, .. } = groups;
        let options = ImpactOptions {
            confidence: 1.0 - config.experiment.level,
            resamples: config.experiment.resamples,
            seed: config.experiment.seed,
        };
        let found = impact(comparing, &ml, &baseline, &options);
        let notes = counts.notes(&found);
        if self.from.json {
            tell(json!({ "symbol": symbol, "impact": found, "counts": counts, "notes": notes }))?;
            return Ok(());
        }
        tell(found.to_string().trim_end())?;
        notes.iter().try_for_each(|note| tell(format_args!("note: {note}")))?;
        Ok(())
    }
}
