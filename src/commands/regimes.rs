//! `vigie regimes`: the regimes of the market as a derived input, fitted to what comes before the test part.

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use super::{JournalArgs, Outcome, named, terminal::tell};
use crate::{
    domain::{Symbol, Timestamp},
    recall::regimes::{Fitted, fitted},
    stats::market::NAMES,
};

const EXAMPLES: &str = "\
Examples:
  vigie regimes
  vigie regimes --symbol NQ --json
  vigie report                              what was made in each regime";

/// Fit the regimes of the market, calm and wild, and write them as a derived input
///
/// A jump model of volatility, trend and momentum is fitted to the signals before the test part of a training, and nothing later. What is
/// printed goes into features.derived; training and service then tell the regime of each signal from it and the latest 250
/// before it, by the same code. Reads the journal, also beside the daemon, and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Regimes {
    /// Whose signals
    #[arg(long, default_value = "ES", value_parser = |text: &str| Symbol::new(text))]
    symbol: Symbol,
    #[command(flatten)]
    from: JournalArgs,
}

impl Regimes {
    /// Runs the command.
    ///
    /// # Errors
    /// When the journal cannot be read, there are too few trades, or the market shows one regime only.
    pub fn run(self) -> Outcome {
        let (config, reader) = self.from.reader()?;
        if !config.symbols.contains_key(&self.symbol) {
            return Err(anyhow!("{}", named::unknown(&config, &self.symbol)).into());
        }
        let Fitted { regime, signals, share_wild } =
            fitted(&reader, &config, &self.symbol).map_err(anyhow::Error::msg)?;
        let (expression, until) = (regime.to_string(), Timestamp::from_second(regime.until_s)?);
        if self.from.json {
            let all = json!({
                "symbol": self.symbol, "name": "regime", "expression": expression, "until": until, "signals": signals,
                "share_wild": share_wild,
            });
            tell(all)?;
            return Ok(());
        }
        let [calm, wild] = NAMES;
        tell(format_args!("{}: fitted to {signals} signals until {until}, before the test part", self.symbol))?;
        tell(format_args!("{calm} {:.1} %, {wild} {:.1} % of them", 100.0 * (1.0 - share_wild), 100.0 * share_wild))?;
        tell("\nTo use it, put this into [features] and train a version:")?;
        tell(format_args!("derived = [\n  [\"regime\", \"{expression}\"],\n]"))?;
        Ok(())
    }
}
