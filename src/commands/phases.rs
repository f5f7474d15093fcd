//! `vigie phases`: which levels of models the data allow.

use clap::Args;
use serde_json::json;

use super::{JournalArgs, Outcome, named, terminal::tell};
use crate::{
    config::Config,
    domain::Symbol,
    journal::Reader,
    models::{
        Target,
        levels::{Level, LevelVerdict, judge},
    },
    portfolio::{Held, PORTFOLIO_DAYS, PORTFOLIO_SYMBOLS},
    recall::{in_time::InTime, learning, versions},
    validation::gather::is_clean,
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
        let target = self.target.as_deref().and_then(Target::named).unwrap_or(config.training.target);
        let trades = Trades::of(&reader, &self.symbol).map_err(anyhow::Error::msg)?;
        named::symbol(&config, &self.symbol, trades.signals)?;
        let verdicts = trades.verdicts(&reader, &config, &self.symbol, target).map_err(anyhow::Error::msg)?;
        let portfolio = versions::portfolio(&reader).map_err(anyhow::Error::msg)?;
        let (go, held) = (portfolio.go(), portfolio.held());
        let proven = held.iter().filter(|held| held.counts).count();
        if self.from.json {
            let portfolio = json!({
                "go": go, "symbols_in_production": held.len(), "proven": proven, "needed": PORTFOLIO_SYMBOLS,
                "needed_days": PORTFOLIO_DAYS, "versions": held,
            });
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
        tell(format_args!("portfolio: {}", if go { "GO" } else { "NO-GO" }))?;
        let mark = if go { "met    " } else { "not met" };
        tell(format_args!(
            "  {mark}  symbols whose version passed its gates and held production for {PORTFOLIO_DAYS} days: {proven}, needs >= \
             {PORTFOLIO_SYMBOLS}"
        ))?;
        held.iter().try_for_each(|held| tell(format_args!("           {}", in_words(held))))?;
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

/// How many trades of a symbol there are.
#[derive(Default)]
struct Trades {
    signals: usize,
    /// Closed ones with a known pnl.
    closed: u64,
    /// Those of them that the quality checks have nothing to say about.
    clean: u64,
}

impl Trades {
    fn of(reader: &Reader, symbol: &Symbol) -> Result<Self, String> {
        let mut found = Self::default();
        for trade in InTime::read(reader)?.walk(reader, None) {
            let trade = trade?;
            let signal = &trade.stored.signal;
            if signal.symbol != *symbol {
                continue;
            }
            found.signals += 1;
            if let Some(outcome) = trade.at_own_size() {
                found.closed += u64::from(outcome.pnl.is_some());
                found.clean += u64::from(is_clean(signal, &outcome));
            }
        }
        Ok(found)
    }

    fn verdicts(
        &self,
        reader: &Reader,
        config: &Config,
        symbol: &Symbol,
        target: Target,
    ) -> Result<Vec<LevelVerdict>, String> {
        let facts = learning::ledger(reader)?.facts(symbol, target.name(), self.closed, self.clean);
        Ok(Level::ALL.into_iter().map(|level| judge(level, &facts, &config.levels)).collect())
    }
}
