//! `vigie phases`: which levels of models the data allow.

use clap::Args;
use serde_json::json;

use super::{JournalArgs, Outcome, terminal::tell};
use crate::{
    actors::{history, learning, models::roster},
    config::Config,
    domain::Symbol,
    journal::Reader,
    models::{
        Target,
        levels::{Level, Verdict, judge},
    },
    validation::gather::{clean_trades, closed_trades},
};

/// Symbols in production from which a portfolio can be thought of.
const PORTFOLIO_SYMBOLS: usize = 2;

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
        let target = self.target.as_deref().and_then(Target::named).unwrap_or(config.training.target);
        let verdicts = verdicts(&reader, &config, &self.symbol, target).map_err(anyhow::Error::msg)?;
        let plans = roster(&reader).map_err(anyhow::Error::msg)?.plan();
        let symbols = plans.values().filter(|plan| plan.production.is_some()).count();
        let portfolio = symbols >= PORTFOLIO_SYMBOLS;
        if self.from.json {
            let portfolio = json!({ "go": portfolio, "symbols_in_production": symbols, "needed": PORTFOLIO_SYMBOLS });
            tell(json!({
                "symbol": self.symbol, "target": target, "levels": verdicts, "allowed": config.training.allow_levels,
                "portfolio": portfolio, "reinforcement_learning": { "go": false },
            }))?;
            return Ok(());
        }
        tell(format_args!("{}, {target}", self.symbol))?;
        for verdict in &verdicts {
            tell(verdict)?;
            if !verdict.go && config.training.allow_levels.contains(&verdict.level) {
                tell("  opened by training.allow_levels")?;
            }
        }
        let word = if portfolio { "GO" } else { "NO-GO" };
        tell(format_args!("portfolio: {word}\n  symbols in production: {symbols}, needs >= {PORTFOLIO_SYMBOLS}"))?;
        tell(
            "reinforcement_learning: NO-GO\n  it needs a proven portfolio and a model of the market; neither is there",
        )?;
        Ok(())
    }
}

fn verdicts(reader: &Reader, config: &Config, symbol: &Symbol, target: Target) -> Result<Vec<Verdict>, String> {
    let history = history::read(reader)?;
    let (closed, clean) = (closed_trades(&history, symbol), clean_trades(&history, symbol));
    let facts = learning::ledger(reader)?.facts(symbol, target.name(), closed, clean);
    Ok(Level::ALL.into_iter().map(|level| judge(level, &facts, &config.levels)).collect())
}
